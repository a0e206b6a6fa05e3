//! What holds whatever happens, liquidations and settlements included; and going on after a restart.

use super::*;
use crate::exchange::{LastNumbers, OrderRef, Page};
use crate::market::{OrderType, WorkingType};

/// A stage after so many random operations; every law was checked after each.
fn shaken(seed: u64, operations: u32) -> (Stage, u32) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stage = Stage::new();
    stage.fund(Cash::whole(100));
    let mut forced = 0;
    for id in [A, B, C] {
        for symbol in [btc(), eth()] {
            stage.futures.set_leverage(stage.now, id, &symbol, 100).unwrap();
        }
    }
    for step in 0..operations {
        stage.now += Span::from_millis(250);
        let account = [A, B, C][random.usize(0..3)];
        let symbol = [btc(), eth()][random.usize(0..2)].clone();
        let now = stage.now;
        match random.u8(0..40) {
            0..24 => place(&mut stage, &mut random, account, &symbol),
            24..28 => condition(&mut stage, &mut random, account, &symbol),
            28 => drop(stage.futures.cancel_all(now, account, &symbol)),
            29 => drop(stage.futures.cancel_all_conditionals(now, account, None)),
            30 => top_up(&mut stage, account),
            31 => drop(stage.futures.force_deleveraging(account, &symbol, PositionSide::Both, qty("1"))),
            32 => drop(stage.futures.countdown_cancel_all(now, account, &symbol, Span::from_millis(600))),
            33 => drop(stage.futures.settle_contract(now, &symbol, price("100"))),
            _ => {
                let tenths = random.i64(900..=1_100);
                let index = Price::from_raw(i128::from(tenths) * 1_000_000_000);
                stage.futures.set_index(now, &symbol, index).unwrap();
            }
        }
        stage.futures.timer(now);
        if stage.futures.contract(&symbol).unwrap().status == ContractStatus::Close {
            stage.futures.set_contract_status(&symbol, ContractStatus::Trading).unwrap();
        }
        stage.check_laws();
        let equity = [A, B, C, AccountId::HOUSE, AccountId::FEES, AccountId::INSURANCE].iter();
        let equity: Cash = equity.map(|id| stage.futures.account_view(*id).unwrap().margin.balance()).sum();
        let marked = [btc(), eth()].iter().all(|s| stage.futures.marks(s).unwrap().mark.is_positive());
        assert!(!marked || equity == stage.deposited(), "seed {seed}, step {step}: equity {equity}");
        for event in stage.events() {
            let Event::Order(event) = event else { continue };
            forced += u32::from(event.order.position.origin != crate::exchange::Origin::Client);
        }
    }
    (stage, forced)
}

fn place(stage: &mut Stage, random: &mut fastrand::Rng, account: AccountId, symbol: &Symbol) {
    let side = if random.bool() { "buy" } else { "sell" };
    let kind = match random.u8(0..6) {
        0 => "market",
        1 => "@ 100 ioc",
        _ => "@",
    };
    let price = if kind == "@" { random.i64(90..=110).to_string() } else { String::new() };
    let reduce = if random.u8(0..4) == 0 { "reduce" } else { "" };
    let of = if *symbol == eth() { "eth" } else { "" };
    let words = format!("{side} {} {kind} {price} {reduce} {of}", random.u32(1..=200));
    let before = stage.futures.settlement.accounts[&account].position(symbol, PositionSide::Both).qty;
    let placed = stage.place(account, &words);
    let after = stage.futures.settlement.accounts[&account].position(symbol, PositionSide::Both).qty;
    let grew = after.abs() > before.abs() || (after.raw() * before.raw()).is_negative();
    // A fill can trigger the account's own conditional orders, which may open again.
    let alone = stage.futures.conditionals(account, None).unwrap().is_empty();
    assert!(reduce.is_empty() || placed.is_err() || !alone || !grew, "{words}: {before} became {after}");
}

fn condition(stage: &mut Stage, random: &mut fastrand::Rng, account: AccountId, symbol: &Symbol) {
    let mut order = stage.order(if random.bool() { "buy 5" } else { "sell 5" });
    let types = [OrderType::StopLoss, OrderType::TakeProfit];
    let stop = Price::whole(random.i64(92..=108));
    order.request.symbol = symbol.clone();
    order.request.terms = match random.u8(0..4) {
        0 => Terms::Trailing { callback_rate: "1.5".parse().unwrap(), activation_price: None },
        _ => Terms::Stop { order_type: types[random.usize(0..2)], stop, limit: None },
    };
    order.position.close_position = random.u8(0..3) == 0;
    let working_type = if random.bool() { WorkingType::Mark } else { WorkingType::Last };
    let asked = NewConditional {
        request: order.request,
        position: order.position,
        working_type,
        price_protect: random.bool(),
    };
    let _ = stage.futures.place_conditional(stage.now, account, &asked);
}

fn top_up(stage: &mut Stage, account: AccountId) {
    let missing = Cash::whole(500) - stage.wallet(account);
    if missing.is_positive() {
        stage.futures.transfer(stage.now, account, missing).unwrap();
    }
}

#[test]
fn money_and_positions_are_conserved_through_liquidations_and_settlements() {
    let mut triggered = 0;
    for seed in 1..=6 {
        let (stage, forced) = shaken(seed, 1_500);
        assert!(forced > 100, "seed {seed}: the exchange closed {forced} positions only");
        for id in [A, B, C] {
            let all = stage.futures.conditionals(id, None).unwrap();
            triggered += all.iter().filter(|one| one.triggered.is_some()).count();
        }
    }
    assert!(triggered > 20, "only {triggered} conditional orders were triggered");
}

#[test]
fn a_restored_exchange_has_the_same_wallets_positions_orders_and_numbers() {
    let (mut before, _) = shaken(11, 700);
    let (all, ids) = (Page::default(), [A, B, C]);
    let mut past = Past::default();
    for id in ids {
        past.income.extend(before.futures.income(id, &all).unwrap().into_iter().cloned());
        past.conditionals.extend(before.futures.conditionals(id, None).unwrap().into_iter().cloned());
        let (account, leverage) = (id, vec![(btc(), 100), (eth(), 100)]);
        past.accounts.push(AccountPast { account, hedge: false, multi_assets: false, leverage });
        for symbol in [btc(), eth()] {
            let orders = before.futures.all_orders(id, &symbol, &all).unwrap();
            past.orders.extend(orders.into_iter().cloned());
            let fills = before.futures.fills(id, &symbol, None, &all).unwrap();
            past.fills.extend(fills.into_iter().cloned());
        }
    }
    for symbol in [btc(), eth()] {
        let last = before.futures.markets[&symbol].counters;
        let numbers = LastNumbers {
            order: last.order,
            trade: last.trade,
            execution: last.execution,
            prevention: last.prevention,
            update: last.update,
        };
        past.numbers.insert(symbol, numbers);
    }
    let contract = |base| Contract::new(Listing::new(crate::exchange::tests::instrument(base, "USDT")));
    let mut after = Futures::futures(Asset::new("USDT"), vec![contract("BTC"), contract("ETH")]).unwrap();
    for id in ids {
        after.open_account(id, before.futures.account_view(id).unwrap().settings);
    }
    after.restore(&past).unwrap();
    for symbol in [btc(), eth()] {
        let mark = before.futures.marks(&symbol).unwrap().mark;
        for futures in [&mut before.futures, &mut after] {
            // Valued alike, and so that nobody is liquidated.
            futures.settlement.contracts.get_mut(&symbol).unwrap().marks.mark = mark;
        }
        let internal = |futures: &Futures| {
            futures.settlement.accounts[&AccountId::HOUSE].position(&symbol, PositionSide::Both).qty
        };
        assert_eq!(internal(&before.futures), internal(&after), "{symbol}: the house's position");
        assert_eq!(before.futures.depth(&symbol, 500).unwrap().bids, after.depth(&symbol, 500).unwrap().bids);
    }
    for id in ids {
        let views = [&before.futures, &after].map(|futures| {
            let view = futures.account_view(id).unwrap();
            let open: Vec<_> = futures.open_orders(id, None).unwrap().into_iter().cloned().collect();
            let waiting: Vec<_> = futures.open_conditionals(id, None).unwrap().into_iter().cloned().collect();
            (view, futures.positions(id, None).unwrap(), open, waiting)
        });
        let [was, is] = views;
        assert_eq!(was, is, "{id:?}");
    }
    let order = before.order("buy 1 @ 50");
    let numbers = [&mut before.futures, &mut after].map(|futures| {
        futures.set_contract_status(&btc(), ContractStatus::Trading).unwrap();
        futures.fix_mark(&btc(), Some(price("50"))).unwrap();
        futures.transfer(Time::from_millis(900_000_000), A, Cash::whole(10_000)).unwrap();
        futures.place(Time::from_millis(900_000_000), A, &order).unwrap().order.id
    });
    assert_eq!(numbers[0], numbers[1], "the next order's number");
    let found = after.order(A, &btc(), &OrderRef::Id(numbers[1])).unwrap();
    assert_eq!(found.client_id, order.request.client_id);
}
