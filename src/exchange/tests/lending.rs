//! Margin wallets: side effects, interest, levels, transfers.

use super::dsl::{Stage, account, stage};
use crate::exchange::*;
use crate::ids::{Asset, ClientOrderId};
use crate::market::{Side, SideEffect, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;
use crate::time::{Span, Time};

const WALLET: AccountId = AccountId(7);

fn usdt() -> Asset {
    Asset::new("USDT")
}

fn btc() -> Asset {
    Asset::new("BTC")
}

fn cash(text: &str) -> Cash {
    text.parse().unwrap()
}

/// A margin wallet with 1000 USDT beside A to C; a bitcoin is worth 100.
fn margin() -> Stage {
    let mut stage = stage(|_| {});
    let now = Time::from_millis(1_000);
    let exchange = &mut stage.exchange;
    let free = AccountSettings { maker_fee: Rate::ZERO, taker_fee: Rate::ZERO, ..Default::default() };
    exchange.open_account(WALLET, free);
    exchange.value_margin_in(usdt());
    exchange.set_margin_price(&btc(), Price::whole(100));
    exchange.open_margin(WALLET).unwrap();
    exchange.move_between(now, (account("A"), WALLET), &usdt(), Cash::whole(1_000)).unwrap();
    exchange.drain_events(&mut Vec::new());
    stage
}

fn order(stage: &Stage, side: Side, qty: &str, price: Option<i64>, name: &str) -> Request {
    let limit = |price| Terms::Limit { price: Price::whole(price), tif: Tif::Gtc };
    Request {
        symbol: stage.symbol.clone(),
        client_id: ClientOrderId::foreign(name),
        side,
        terms: price.map_or(Terms::Market, limit),
        qty: qty.parse::<Qty>().unwrap(),
        stp: None,
    }
}

fn place(stage: &mut Stage, order: &Request, effect: SideEffect) -> Result<MarginPlaced, MarginReject> {
    let now = stage.exchange.now();
    let placed = stage.exchange.place_margin(now, WALLET, order, effect, true);
    check_laws(stage);
    placed
}

/// `free+locked owed` of an asset.
fn state(stage: &Stage, asset: &Asset) -> String {
    let balance = stage.exchange.balance(WALLET, asset).unwrap();
    let loans = stage.exchange.loans(WALLET).unwrap();
    let loan = loans.iter().find(|(of, _)| of == asset).map(|(_, loan)| *loan).unwrap_or_default();
    format!("{}+{} {}/{}", balance.free, balance.locked, loan.borrowed, loan.interest)
}

/// Borrowing makes no money: over all accounts the sums stay what was deposited.
fn check_laws(stage: &Stage) {
    let ids = [account("A"), account("B"), account("C"), WALLET, AccountId::HOUSE, AccountId::FEES];
    for (asset, sum) in [(usdt(), 3_000), (btc(), 30)] {
        let all = ids.iter().map(|id| stage.exchange.balance(*id, &asset).unwrap());
        assert_eq!(all.map(|b| b.free + b.locked).sum::<Cash>(), Cash::whole(sum), "{asset}");
    }
}

#[test]
fn without_side_effect_a_wallet_is_an_account_like_any_other() {
    let mut stage = margin();
    let big = order(&stage, Side::Buy, "11", Some(100), "x");
    let refused = place(&mut stage, &big, SideEffect::None);
    assert_eq!(refused.err(), Some(MarginReject::Spot(Reject::InsufficientBalance)));
    let spot = stage.exchange.place_margin(stage.exchange.now(), account("B"), &big, SideEffect::None, true);
    assert_eq!(spot.err(), Some(MarginReject::NotMargin));
}

#[test]
fn a_margin_buy_borrows_what_it_lacks_up_to_three_times_the_equity() {
    let mut stage = margin();
    let big = order(&stage, Side::Buy, "30.01", Some(100), "big");
    assert_eq!(place(&mut stage, &big, SideEffect::MarginBuy).err(), Some(MarginReject::BorrowLimit));
    assert_eq!(state(&stage, &usdt()), "1000+0 0/0");
    let order = order(&stage, Side::Buy, "30", Some(100), "x");
    let placed = place(&mut stage, &order, SideEffect::MarginBuy).unwrap();
    assert_eq!(placed.borrowed, Some((usdt(), Cash::whole(2_000))));
    assert_eq!(state(&stage, &usdt()), "0+3000 2000/0");
    assert_eq!(stage.exchange.margin_level(WALLET), Ok(Some("1.5".parse().unwrap())));
    // Cancelled, the loan is repaid.
    let cancel = Cancel {
        symbol: stage.symbol.clone(),
        order: OrderRef::Id(placed.placed.order.id),
        cancel_id: ClientOrderId::foreign("c"),
        restriction: None,
    };
    stage.exchange.cancel_margin(stage.exchange.now(), WALLET, &cancel).unwrap();
    assert_eq!(state(&stage, &usdt()), "1000+0 0/0");
    check_laws(&stage);
}

#[test]
fn a_short_sale_borrows_and_the_purchase_repays() {
    let mut stage = margin();
    stage.run("B buy 5 @ 100");
    let sell = order(&stage, Side::Sell, "5", None, "short");
    let placed = place(&mut stage, &sell, SideEffect::AutoBorrowRepay).unwrap();
    assert_eq!(placed.borrowed, Some((btc(), Cash::whole(5))));
    assert_eq!((state(&stage, &btc()), state(&stage, &usdt())), ("0+0 5/0".into(), "1500+0 0/0".into()));
    // A resting order repays with each fill, in whoever's transaction that is.
    let buy = order(&stage, Side::Buy, "6", Some(90), "cover");
    place(&mut stage, &buy, SideEffect::AutoRepay).unwrap();
    stage.run("C sell 2 @ 90");
    assert_eq!(state(&stage, &btc()), "0+0 3/0");
    stage.run("C sell 4 @ 90");
    assert_eq!(state(&stage, &btc()), "1+0 0/0");
    check_laws(&stage);
}

#[test]
fn interest_is_charged_each_hour_on_what_is_borrowed_and_paid_first() {
    let mut stage = margin();
    let hour = Span::from_secs(3_600);
    let start = stage.exchange.now();
    stage.exchange.set_interest(&usdt(), "0.00001".parse().unwrap());
    assert_eq!(stage.exchange.margin_deadline(), None);
    stage.exchange.borrow(start, WALLET, &usdt(), cash("100.5")).unwrap();
    assert_eq!(stage.exchange.margin_deadline(), Some(Time::default() + hour));
    stage.exchange.margin_timer(Time::default() + hour * 2);
    assert_eq!(state(&stage, &usdt()), "1100.5+0 100.5/0.00201");
    let (_, paid) = stage.exchange.repay(stage.exchange.now(), WALLET, &usdt(), cash("0.50201")).unwrap();
    assert_eq!((paid, state(&stage, &usdt())), (cash("0.50201"), "1099.99799+0 100/0".into()));
    let nothing = stage.exchange.repay(stage.exchange.now(), WALLET, &btc(), cash("1"));
    assert_eq!(nothing, Err(MarginReject::NothingOwed));
    let mut events = Vec::new();
    stage.exchange.drain_events(&mut events);
    let told = events.iter().filter_map(|event| match event {
        Event::Margin(MarginEvent::Liability(l)) => {
            Some(format!("{} {} {}", l.kind, l.principal, l.interest))
        }
        _ => None,
    });
    let expected = ["BORROW 100.5 0", "INTEREST 0 0.001005", "INTEREST 0 0.001005", "REPAY -0.5 -0.00201"];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    check_laws(&stage);
}

#[test]
fn a_loan_bears_interest_from_its_own_time_on() {
    let mut stage = margin();
    let hour = Span::from_secs(3_600);
    stage.exchange.set_interest(&usdt(), "0.00001".parse().unwrap());
    let owed = |stage: &mut Stage, at: Time| {
        stage.exchange.margin_timer(at);
        state(stage, &usdt())
    };
    // Nobody owes anything for a day, and nobody asks for the time.
    let day = Time::default() + Span::from_secs(24 * 3_600 + 1);
    stage.exchange.borrow(day, WALLET, &usdt(), cash("100")).unwrap();
    assert_eq!(owed(&mut stage, day), "1100+0 100/0");
    assert_eq!(owed(&mut stage, day + hour), "1100+0 100/0.001");
    stage.exchange.repay(day + hour, WALLET, &usdt(), cash("100.001")).unwrap();
    stage.exchange.borrow(day + hour * 9, WALLET, &usdt(), cash("100")).unwrap();
    assert_eq!(owed(&mut stage, day + hour * 9), "1099.999+0 100/0");
    check_laws(&stage);
}

#[test]
fn the_level_is_told_as_it_falls_and_bars_taking_out() {
    let mut stage = margin();
    let now = stage.exchange.now();
    stage.exchange.borrow(now, WALLET, &btc(), Cash::whole(10)).unwrap();
    let out = |stage: &mut Stage, amount: &str| {
        let now = stage.exchange.now();
        stage.exchange.move_between(now, (WALLET, account("A")), &usdt(), cash(amount))
    };
    assert_eq!(out(&mut stage, "0.01"), Err(MarginReject::LevelTooLow));
    stage.exchange.repay(now, WALLET, &btc(), Cash::whole(5)).unwrap();
    assert_eq!(out(&mut stage, "500"), Ok(()));
    stage.exchange.drain_events(&mut Vec::new());
    // 500 USDT and 5 BTC against 5 BTC owed.
    let mut told = Vec::new();
    for price in [300, 400, 700, 1_100, 100] {
        stage.exchange.set_margin_price(&btc(), Price::whole(price));
        stage.exchange.margin_timer(now);
        stage.exchange.drain_events(&mut told);
    }
    let told: Vec<String> = told
        .iter()
        .filter_map(|event| match event {
            Event::Margin(MarginEvent::Level { status, .. }) => Some(status.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["MARGIN_CALL", "PRE_LIQUIDATION", "FORCE_LIQUIDATION", "NORMAL"]);
}
