//! Random operations on the real exchange and on the naive one: both must look the same from everywhere.

use super::naive::{Naive, Owner};
use super::*;
use crate::exchange::settlement::Settlement;
use crate::exchange::{Change, Expiry, Fill, Order, OrderRef, OrderStatus};
use crate::market::Stp;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

const OPERATIONS: u32 = 50_000;
/// The one in hedge mode.
const HEDGER: AccountId = AccountId(3);
const ACCOUNTS: [AccountId; 4] = [A, B, C, HEDGER];

struct World {
    random: fastrand::Rng,
    real: Futures,
    naive: Naive,
    now: Time,
    deposited: Cash,
    seen: BTreeMap<String, u32>,
}

fn world(seed: u64) -> World {
    let contract = Contract::new(Listing::new(crate::exchange::tests::instrument("BTC", "USDT")));
    let mut contract = Contract {
        brackets: vec![
            Bracket { cap: Cash::whole(600), max_leverage: 10, ..contract.brackets[0] },
            Bracket { cap: Cash::whole(6_000), max_leverage: 5, ..contract.brackets[0] },
        ],
        ..contract
    };
    contract.listing.limits.max_amends = 2;
    let mut naive = Naive { mark: price("100"), brackets: contract.brackets.clone(), ..Naive::default() };
    let mut real = Futures::futures(Asset::new("USDT"), vec![contract]).unwrap();
    let now = Time::from_millis(1_000);
    for (index, id) in ACCOUNTS.into_iter().enumerate() {
        let (maker, taker) = (Rate::basis_points(index as i64), Rate::basis_points(4));
        real.open_account(id, AccountSettings { maker_fee: maker, taker_fee: taker, ..Default::default() });
        if id == HEDGER {
            real.set_hedge_mode(now, id, true).unwrap();
        }
        real.set_leverage(now, id, &btc(), 10).unwrap();
        let fees = (i128::from(maker.raw()), i128::from(taker.raw()));
        naive.owners.insert(id, Owner { fees, leverage: 10, ..Owner::default() });
    }
    real.fix_mark(&btc(), Some(price("100"))).unwrap();
    real.set_index(now, &btc(), price("100")).unwrap();
    let (random, seen) = (fastrand::Rng::with_seed(seed), BTreeMap::new());
    World { random, real, naive, now, deposited: Cash::ZERO, seen }
}

impl World {
    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.random.usize(0..items.len())].clone()
    }

    fn price(&mut self) -> Price {
        Price::from_raw(i128::from(self.random.i64(9_930..=10_070)) * 100_000_000)
    }

    fn qty(&mut self) -> Qty {
        let lots = if self.random.u8(0..12) == 0 { 12_000 } else { 900 };
        Qty::from_raw(i128::from(self.random.i64(20..=lots)) * 10_000_000)
    }

    fn order(&mut self, account: AccountId) -> NewOrder {
        let (price, tif) = (self.price(), self.pick(&[Tif::Gtc, Tif::Gtc, Tif::Ioc, Tif::Fok]));
        let terms = match self.random.u8(0..10) {
            0..7 => Terms::Limit { price, tif },
            7 => Terms::PostOnly { price },
            _ => Terms::Market,
        };
        let hedge = (account == HEDGER) != (self.random.u8(0..50) == 0);
        let sides = if hedge { [PositionSide::Long, PositionSide::Short] } else { [PositionSide::Both; 2] };
        let position = PositionTerms {
            side: self.pick(&sides),
            reduce_only: self.random.u8(0..if hedge { 50 } else { 4 }) == 0,
            ..PositionTerms::default()
        };
        let stps = [None, Some(Stp::None), Some(Stp::ExpireTaker), Some(Stp::ExpireBoth)];
        let request = Request {
            symbol: btc(),
            client_id: ClientOrderId::foreign(&format!("n{}", self.random.u8(0..30))),
            side: self.pick(&[Side::Buy, Side::Sell]),
            terms,
            qty: self.qty(),
            stp: self.pick(&stps),
        };
        NewOrder { request, position }
    }

    fn reference(&mut self, account: AccountId) -> (OrderRef, Side) {
        let open = self.real.open_orders(account, None).unwrap();
        let open: Vec<_> = open.iter().map(|o| (o.id, o.client_id.clone(), o.side)).collect();
        if open.is_empty() || self.random.u8(0..10) == 0 {
            return (OrderRef::Id(9_999_999), Side::Buy);
        }
        let (id, name, side) = self.pick(&open);
        (if self.random.bool() { OrderRef::Id(id) } else { OrderRef::ClientId(name) }, side)
    }

    /// One random operation on both; their answers as text.
    fn operate(&mut self) -> [String; 2] {
        self.now += Span::from_millis(1);
        (self.naive.now, self.naive.mark) = (self.now, self.real.marks(&btc()).unwrap().mark);
        let account = self.pick(&ACCOUNTS);
        match self.random.u8(0..100) {
            0..70 => self.place(account),
            70..78 => {
                let (order, _) = self.reference(account);
                let real = self.real.cancel(self.now, account, &btc(), &order).map(|c| c.order);
                [text(&real), text(&self.naive.cancel(account, &order))]
            }
            78..91 => {
                let (order, side) = self.reference(account);
                let (price, qty) = (self.price(), self.qty());
                let reduce_only = self.pick(&[None, None, Some(true)]);
                let modify = Modify { symbol: btc(), order, side, price, qty, reduce_only };
                let real = self.real.modify(self.now, account, &modify).map(|m| m.order);
                [text(&real), text(&self.naive.modify(account, &modify))]
            }
            91..94 => self.value(),
            94..96 => self.fund(account),
            _ => self.set_leverage(account),
        }
    }

    fn place(&mut self, account: AccountId) -> [String; 2] {
        let order = self.order(account);
        let market = &self.real.markets[&btc()];
        let checked = self.real.settlement.admit(market, account, &order.request, &order.position);
        let real = self.real.place(self.now, account, &order).map(|placed| placed.order);
        let naive = checked.and_then(|()| self.naive.place(account, &order));
        [text(&real), text(&naive)]
    }

    /// Another mark price, and funding on it.
    fn value(&mut self) -> [String; 2] {
        let mark = Price::from_raw(i128::from(self.random.i64(995_000..=1_005_000)) * 1_000_000);
        self.real.fix_mark(&btc(), Some(mark)).unwrap();
        let rate = i128::from(self.random.i64(-300..=300)) * 10_000;
        self.real.fix_funding_rate(&btc(), Some(crate::num::Rate::from_raw(rate))).unwrap();
        self.real.set_index(self.now, &btc(), price("100")).unwrap();
        self.naive.mark = mark;
        if self.random.bool() {
            self.real.set_funding_interval(self.now, &btc(), Span::from_nanos(500_000)).unwrap();
            self.now += Span::from_nanos(500_000);
            self.real.timer(self.now);
            self.real.set_funding_interval(self.now, &btc(), Span::from_secs(1_000_000)).unwrap();
            self.naive.pay(rate);
        }
        Default::default()
    }

    fn fund(&mut self, account: AccountId) -> [String; 2] {
        let view = self.real.account_view(account).unwrap();
        let poor = self.random.u8(0..3) == 0;
        let target = if poor { Cash::whole(20) } else { Cash::whole(200) };
        let amount = (target - view.margin.wallet).max(-view.margin.withdrawable());
        self.real.transfer(self.now, account, amount).unwrap();
        self.naive.owners.get_mut(&account).unwrap().wallet += amount;
        self.deposited += amount;
        Default::default()
    }

    fn set_leverage(&mut self, account: AccountId) -> [String; 2] {
        let leverage = self.pick(&[1, 5, 6, 10, 10, 11]);
        let real = self.real.set_leverage(self.now, account, &btc(), leverage);
        if real.is_ok() {
            self.naive.owners.get_mut(&account).unwrap().leverage = i128::from(leverage);
        }
        let word = text(&real);
        [word.clone(), word]
    }

    /// What has ended on the naive exchange, which forgets it, and its new fills.
    fn sweep(&mut self) -> (Vec<Order>, Vec<Fill>) {
        let (open, ended) =
            std::mem::take(&mut self.naive.orders).into_iter().partition(|o| o.status.is_open());
        self.naive.orders = open;
        (ended, std::mem::take(&mut self.naive.fills))
    }

    fn compare(&mut self) {
        let mut events = Vec::new();
        self.real.drain_events(&mut events);
        let (ended, fills) = self.sweep();
        let told = events.iter().filter_map(|event| match event {
            Event::Order(event) => match &event.change {
                Change::Trade(fill) => Some(fill.clone()),
                _ => None,
            },
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), fills, "fills");
        for order in &ended {
            let real = self.real.order(order.account, &btc(), &OrderRef::Id(order.id)).unwrap();
            assert_eq!(real, order, "an ended order");
            let word = order.expiry.map_or(order.status.to_string(), |expiry| expiry.to_string());
            *self.seen.entry(word).or_default() += 1;
        }
        let (mut worth, mut net) = (self.naive.fees + self.naive.fund, Qty::ZERO);
        for id in ACCOUNTS {
            let open: Vec<&Order> = self.real.open_orders(id, None).unwrap();
            let mut naive = self.naive.open(id);
            naive.sort_by_key(|order| order.id);
            assert_eq!(open, naive, "{id:?}: open orders");
            let (view, owner) = (self.real.account_view(id).unwrap(), &self.naive.owners[&id]);
            assert_eq!(view.margin.wallet, owner.wallet, "{id:?}: wallet");
            let free = view.margin.balance() - view.margin.initial();
            assert_eq!(free, self.naive.free(id), "{id:?}: free margin");
            let account = &self.real.settlement.accounts[&id];
            let real = account.positions.iter().map(|((_, side), p)| (*side, (p.qty, p.cost, p.realised)));
            assert_eq!(real.collect::<BTreeMap<_, _>>(), owner.held, "{id:?}: positions");
            worth += owner.wallet - owner.held.values().map(|held| held.1).sum();
            net += owner.held.values().map(|held| held.0).sum();
        }
        assert_eq!((worth, net), (self.deposited, Qty::ZERO), "money and positions are conserved");
        let internal =
            [AccountId::FEES, AccountId::INSURANCE].map(|id| self.real.settlement.accounts[&id].wallet);
        assert_eq!(internal, [self.naive.fees, self.naive.fund], "fees and insurance fund");
    }
}

fn text<T: std::fmt::Debug>(answer: &Result<T, Reject>) -> String {
    format!("{answer:?}")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a seed is replayed by the environment")]
fn agrees_with_the_naive_exchange_over_50_000_random_operations() {
    let seed = std::env::var("TRADINGSYS_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or(20_261_121);
    let mut world = world(seed);
    ACCOUNTS.into_iter().for_each(|id| drop(world.fund(id)));
    for step in 0..OPERATIONS {
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let [real, naive] = world.operate();
            assert_eq!(real, naive, "answers");
            world.compare();
            real
        }));
        let Ok(real) = stepped else {
            panic!(
                "step {step}; replay: TRADINGSYS_SEED={seed} cargo test -p tradingsys --lib futures::tests::twin"
            )
        };
        if let Some(reject) = real.strip_prefix("Err(") {
            let word = reject.split([' ', '(', ')']).next().unwrap_or_default();
            let inner = reject.strip_prefix("Market(").unwrap_or(word).trim_end_matches(')');
            *world.seen.entry(inner.to_owned()).or_default() += 1;
        }
    }
    let expected =
        [Expiry::UnfilledIoc, Expiry::UnfilledFok, Expiry::InsufficientLiquidity, Expiry::PositionClosed];
    let ended = [OrderStatus::Filled, OrderStatus::Canceled, OrderStatus::ExpiredInMatch];
    let rejects = [
        "Duplicate",
        "WouldMatch",
        "UnknownOrder",
        "ReduceOnly",
        "ReduceOnlyInHedgeMode",
        "PositionSide",
        "InsufficientMargin",
        "PositionTooLarge",
        "ModifyReduceOnly",
        "ModifiedTooOften",
        "Leverage",
        "LeveragePosition",
    ];
    let words = expected.iter().map(|e| e.as_str()).chain(ended.iter().map(|s| s.as_str())).chain(rejects);
    for word in words {
        assert!(world.seen.contains_key(word), "{word:?} never happened: {:#?}", world.seen);
    }
}
