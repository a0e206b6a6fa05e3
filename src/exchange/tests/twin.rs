//! The real exchange against the naive one: random requests, and after each the same answers, the same events, the same
//! balances and the same books; and the laws of the exchange, from its events alone.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::instrument;
use crate::exchange::naive::Naive;
use crate::exchange::*;
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::instrument::InstrumentStatus;
use crate::market::{OrderType, Side, Stp, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;
use crate::time::{Span, Time};

const OPERATIONS: u32 = 100_000;
const ASSETS: [&str; 3] = ["BTC", "BNB", "USDT"];
const ACCOUNTS: [AccountId; 4] = [AccountId(1), AccountId(2), AccountId(3), AccountId(4)];

/// What a listener knows who only reads events.
#[derive(Default)]
struct Mirror {
    books: BTreeMap<(Symbol, Side), BTreeMap<Price, Qty>>,
    updates: BTreeMap<Symbol, u64>,
    best: BTreeMap<Symbol, BestChange>,
    balances: BTreeMap<(AccountId, Asset), (Cash, Cash)>,
    orders: BTreeMap<(Symbol, u64), Order>,
    outside: BTreeMap<Asset, Cash>,
}

impl Mirror {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Order(event) => {
                let order = event.order.clone();
                self.orders.insert((order.symbol.clone(), order.id), order);
            }
            Event::Balances(change) => {
                for b in &change.balances {
                    self.balances.insert((change.account, b.asset.clone()), (b.free, b.locked));
                }
            }
            Event::Margin(event) => panic!("no wallet of these is a margin wallet: {event:?}"),
            Event::Transfer(transfer) => {
                *self.outside.entry(transfer.asset.clone()).or_default() += transfer.delta;
            }
            Event::Book(change) => {
                let update = self.updates.entry(change.symbol.clone()).or_default();
                assert_eq!(change.first_update_id, *update + 1, "update ids have no gap");
                *update = change.last_update_id;
                let ids = change.last_update_id - change.first_update_id + 1;
                assert_eq!(ids, (change.bids.len() + change.asks.len()) as u64, "one id a level");
                for (side, levels) in [(Side::Buy, &change.bids), (Side::Sell, &change.asks)] {
                    let book = self.books.entry((change.symbol.clone(), side)).or_default();
                    for level in levels {
                        if level.qty.is_zero() {
                            book.remove(&level.price);
                        } else {
                            book.insert(level.price, level.qty);
                        }
                    }
                }
            }
            Event::Best(best) => {
                self.best.insert(best.symbol.clone(), best.clone());
            }
            Event::Trade { .. } | Event::Status { .. } => {}
        }
    }

    fn levels(&self, symbol: &Symbol, side: Side) -> Vec<(Price, Qty)> {
        let Some(book) = self.books.get(&(symbol.clone(), side)) else { return vec![] };
        let levels = book.iter().map(|(p, q)| (*p, *q));
        if side == Side::Buy { levels.rev().collect() } else { levels.collect() }
    }
}

struct World {
    random: fastrand::Rng,
    real: Exchange,
    naive: Naive,
    mirror: Mirror,
    symbols: Vec<Symbol>,
    now: Time,
    /// Reply to the last order, if it was accepted.
    told: Option<Placed>,
    seen: BTreeMap<String, u32>,
}

fn world(seed: u64) -> World {
    let mut listings: Vec<Listing> = [("BTC", "USDT"), ("BNB", "USDT"), ("BTC", "BNB")]
        .map(|(b, q)| Listing::new(instrument(b, q)))
        .into();
    for listing in &mut listings {
        listing.limits = Limits { max_orders: 6, max_stops: 3, max_amends: 2, percent_price: None };
    }
    let n = |text: &str| text.parse().unwrap();
    let band =
        PercentPrice { bid_up: n("1.0006"), bid_down: n("0.9"), ask_up: n("1.1"), ask_down: n("0.9994") };
    listings[1].limits.percent_price = Some(band);
    listings[1].default_stp = Stp::ExpireMaker;
    listings[2].allowed_stp = vec![Stp::None, Stp::ExpireTaker];
    listings[2].instrument.order_types.retain(|t| t != "TAKE_PROFIT");
    let symbols = listings.iter().map(|l| l.instrument.symbol.clone()).collect();
    let fee_asset = Some(Asset::new("BNB"));
    let discount: Rate = "0.25".parse().unwrap();
    let config = Config { listings, fee_asset, fee_asset_discount: discount };
    let mut naive = Naive {
        syms: vec![],
        accounts: BTreeMap::new(),
        totals: BTreeMap::new(),
        fee_asset: (Asset::new("BNB"), discount),
        now: Time::default(),
        events: vec![],
    };
    config.listings.iter().for_each(|l| naive.list(l.clone()));
    let mut real = Exchange::new(config).unwrap();
    for (index, id) in ACCOUNTS.into_iter().enumerate() {
        let settings = AccountSettings {
            maker_fee: Rate::basis_points(index as i64 * 5),
            taker_fee: Rate::basis_points(10),
            pay_in_fee_asset: index % 2 == 0,
            can_trade: true,
        };
        real.open_account(id, settings);
        naive.accounts.insert(id, settings);
    }
    World {
        random: fastrand::Rng::with_seed(seed),
        real,
        naive,
        mirror: Mirror::default(),
        symbols,
        now: Time::from_millis(1_000),
        told: None,
        seen: BTreeMap::new(),
    }
}

impl World {
    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.random.usize(0..items.len())].clone()
    }

    fn price(&mut self) -> Price {
        Price::from_raw(i128::from(self.random.i64(9_990..=10_010)) * 100_000_000)
    }

    fn qty(&mut self) -> Qty {
        let lots = if self.random.u8(0..20) == 0 { 2_000 } else { 60 };
        Qty::from_raw(i128::from(self.random.i64(5..=lots)) * 10_000_000)
    }

    fn terms(&mut self) -> Terms {
        let price = self.price();
        let tif = self.pick(&[Tif::Gtc, Tif::Gtc, Tif::Gtc, Tif::Ioc, Tif::Fok]);
        match self.random.u8(0..20) {
            0..10 => Terms::Limit { price, tif },
            10..12 => Terms::PostOnly { price },
            12..14 => Terms::Market,
            14..16 => {
                let cents = self.random.i64(50..=1_000);
                Terms::MarketQuote { amount: Cash::from_raw(i128::from(cents) * 100_000_000) }
            }
            dice => {
                use OrderType::{StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit};
                let kinds = [StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit];
                let order_type = self.pick(&kinds);
                let limit = order_type.has_price().then_some((price, tif));
                let off = if dice == 19 { Price::from_raw(1) } else { Price::ZERO };
                Terms::Stop { order_type, stop: self.price() + off, limit }
            }
        }
    }

    fn name(&mut self) -> ClientOrderId {
        ClientOrderId::foreign(&format!("n{}", self.random.u8(0..30)))
    }

    fn request(&mut self, symbol: &Symbol) -> Request {
        let stps = [None, Some(Stp::None), Some(Stp::ExpireMaker), Some(Stp::ExpireTaker)];
        let more = [Some(Stp::ExpireBoth), Some(Stp::Decrement)];
        Request {
            symbol: symbol.clone(),
            client_id: self.name(),
            side: self.pick(&[Side::Buy, Side::Sell]),
            terms: self.terms(),
            qty: self.qty(),
            stp: self.pick(&[&stps[..], &more[..]].concat()),
        }
    }

    fn reference(&mut self, account: AccountId, symbol: &Symbol) -> OrderRef {
        let open = self.real.open_orders(account, Some(symbol)).unwrap();
        let ids: Vec<_> = open.iter().map(|o| (o.id, o.client_id.clone())).collect();
        if ids.is_empty() || self.random.u8(0..10) == 0 {
            return OrderRef::Id(self.random.u64(1..50));
        }
        let (id, name) = self.pick(&ids);
        match self.random.u8(0..8) {
            0..3 => OrderRef::Id(id),
            3..6 => OrderRef::ClientId(name),
            6 => OrderRef::Both(id, name),
            _ => OrderRef::Both(id, ClientOrderId::foreign("other")),
        }
    }

    fn cancel(&mut self, account: AccountId, symbol: &Symbol) -> Cancel {
        use CancelRestriction::{OnlyNew, OnlyPartiallyFilled};
        let restriction = self.pick(&[None, None, None, Some(OnlyNew), Some(OnlyPartiallyFilled)]);
        Cancel {
            symbol: symbol.clone(),
            order: self.reference(account, symbol),
            cancel_id: self.name(),
            restriction,
        }
    }

    /// One random operation on both; their answers as text.
    fn operate(&mut self) -> [String; 2] {
        self.now += Span::from_millis(1);
        self.naive.now = self.now;
        let account = self.pick(&ACCOUNTS);
        let s = self.random.usize(0..self.symbols.len());
        let symbol = self.symbols[s].clone();
        let answers = match self.random.u8(0..100) {
            0..72 => self.place(account, s, &symbol),
            72..82 => {
                let cancel = self.cancel(account, &symbol);
                let real = self.real.cancel(self.now, account, &cancel).map(|c| c.order);
                [text(&real), text(&self.naive.cancel(s, account, &cancel))]
            }
            82..87 => self.cancel_replace(account, s, &symbol),
            87..96 => {
                let (order, qty, amend_id) = (self.reference(account, &symbol), self.qty(), self.name());
                let amend = Amend { symbol, order, qty, amend_id };
                let real = self.real.amend_keep_priority(self.now, account, &amend).map(|a| a.order);
                [text(&real), text(&self.naive.amend(s, account, &amend))]
            }
            96..98 => {
                self.fund(account);
                Default::default()
            }
            _ => {
                self.switch(account, s, &symbol);
                Default::default()
            }
        };
        self.naive.finish(s);
        answers
    }

    /// The filters have tests of their own: what they refuse, the naive exchange does not see.
    fn place(&mut self, account: AccountId, s: usize, symbol: &Symbol) -> [String; 2] {
        let request = self.request(symbol);
        let checked = self.real.check(account, &request);
        let placed = self.real.place(self.now, account, &request);
        if let Ok(placed) = &placed {
            self.told = Some(placed.clone());
        }
        let real = placed.map(|placed| placed.order);
        let naive = checked.and_then(|()| self.naive.place(s, account, &request));
        [text(&real), text(&naive)]
    }

    fn cancel_replace(&mut self, account: AccountId, s: usize, symbol: &Symbol) -> [String; 2] {
        let (cancel, request) = (self.cancel(account, symbol), self.request(symbol));
        let mode = self.pick(CancelReplaceMode::ALL);
        let checked = self.real.check(account, &request);
        let real = self.real.cancel_replace(self.now, account, mode, &cancel, &request);
        if let Err(reject) = checked {
            return [text(&real), text(&Err::<CancelReplaced, _>(reject))];
        }
        let real = real.map(|r| (r.cancel.map(|c| c.order), r.new.map(|n| n.map(|p| p.order))));
        let canceled = self.naive.cancel(s, account, &cancel);
        // What was cancelled no longer counts when the new order is placed.
        let attempt = canceled.is_ok() || mode == CancelReplaceMode::AllowFailure;
        let new = attempt.then(|| self.naive.place(s, account, &request));
        [text(&real), text(&Ok::<_, Reject>((canceled, new)))]
    }

    /// Blocks or unblocks an account, or opens, halts or reduces a symbol to cancels.
    fn switch(&mut self, account: AccountId, s: usize, symbol: &Symbol) {
        use InstrumentStatus::{CancelOnly, Halted, Trading};
        let can_trade = self.random.u8(0..30) > 0;
        let settings = AccountSettings { can_trade, ..self.real.settings(account).unwrap().0 };
        self.real.open_account(account, settings);
        self.naive.accounts.insert(account, settings);
        let status = match self.random.u8(0..20) {
            0 => CancelOnly,
            1 => Halted,
            _ => Trading,
        };
        self.real.set_status(symbol, status).unwrap();
        self.naive.syms[s].listing.instrument.status = status;
    }

    /// Makes an account poor or rich in each asset.
    fn fund(&mut self, account: AccountId) {
        for (asset, rich) in ASSETS.into_iter().zip([Cash::whole(1), Cash::whole(1), Cash::whole(100)]) {
            let target = self.pick(&[Cash::ZERO, rich, rich]);
            let asset = Asset::new(asset);
            let free = self.real.balance(account, &asset).unwrap().free;
            if free < target {
                self.real.deposit(self.now, account, &asset, target - free).unwrap();
            } else {
                self.real.withdraw(self.now, account, &asset, free - target).unwrap();
            }
            self.naive.add(account, &asset, target - free);
        }
    }

    /// Remembers what happened, to be sure that everything does.
    fn count(&mut self, event: &Event) {
        let Event::Order(event) = event else { return };
        let order = &event.order;
        let change = match &event.change {
            Change::Trade(fill) => format!("trade, fee in {}", fill.fee_asset),
            Change::Prevented(_) => format!("prevented by {}", order.stp),
            other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_lowercase(),
        };
        for word in [
            format!("{} {}", order.terms.order_type(), order.status),
            format!("{change} {}", order.status),
            order.expiry.map_or_else(String::new, |expiry| expiry.to_string()),
        ] {
            *self.seen.entry(word).or_default() += 1;
        }
    }

    /// The reply to the last order must say of it what the events say.
    fn compare_reply(&self, events: &[Event], placed: &Placed) {
        let of = |e: &OrderEvent| e.order.id == placed.order.id && e.order.symbol == placed.order.symbol;
        let told = events.iter().filter_map(|e| if let Event::Order(e) = e { Some(e) } else { None });
        let told: Vec<_> = told.filter(|e| of(e)).collect();
        let fills = told.iter().filter_map(|e| if let Change::Trade(f) = &e.change { Some(f) } else { None });
        let taken: Vec<_> = fills.filter(|fill| !fill.maker).collect();
        assert!(placed.fills.iter().eq(taken), "fills of the reply");
        let kept: Qty = placed.prevented.iter().map(|p| p.taker_prevented).sum();
        assert_eq!(kept, placed.order.prevented, "prevented quantity of the reply");
    }

    /// Both must look the same from everywhere, and the real one must keep its laws.
    fn compare(&mut self) {
        let mut events = Vec::new();
        self.real.drain_events(&mut events);
        events.iter().for_each(|event| self.count(event));
        events.iter().for_each(|event| self.mirror.hear(event));
        if let Some(placed) = self.told.take() {
            self.compare_reply(&events, &placed);
        }
        events.retain(|event| matches!(event, Event::Order(_) | Event::Trade { .. }));
        assert_eq!(events, std::mem::take(&mut self.naive.events), "events");
        for asset in ASSETS.map(Asset::new) {
            let mut sum = Cash::ZERO;
            for id in ACCOUNTS.into_iter().chain([AccountId::FEES, AccountId::HOUSE]) {
                let real = self.real.balance(id, &asset).unwrap();
                let pair = (real.free, real.locked);
                assert_eq!(pair, self.naive.free_and_locked(id, &asset), "{id:?} {asset}: free, locked");
                assert!(!real.free.is_negative() && !real.locked.is_negative(), "{id:?} {asset}: {pair:?}");
                sum += real.free + real.locked;
                if !id.is_internal() {
                    let heard = self.mirror.balances.get(&(id, asset.clone())).copied().unwrap_or_default();
                    assert_eq!(pair, heard, "{id:?} {asset}: what the events say");
                }
            }
            assert_eq!(
                sum,
                self.mirror.outside.get(&asset).copied().unwrap_or_default(),
                "{asset} conserved"
            );
        }
        for (s, symbol) in self.symbols.iter().enumerate() {
            self.compare_book(s, symbol);
        }
    }

    fn compare_book(&self, s: usize, symbol: &Symbol) {
        let depth = self.real.depth(symbol, usize::MAX).unwrap();
        let heard = self.mirror.best.get(symbol);
        for (side, levels) in [(Side::Buy, &depth.bids), (Side::Sell, &depth.asks)] {
            let shown: Vec<_> = levels.iter().map(|l| (l.price, l.qty)).collect();
            assert_eq!(shown, self.mirror.levels(symbol, side), "{symbol} {side}: what the events say");
            let best = heard.and_then(|b| if side == Side::Buy { b.bid } else { b.ask });
            assert_eq!(best, levels.first().copied(), "{symbol} {side}: best");
            let mut naive: Vec<(Price, Qty)> = vec![];
            for order in self.naive.in_turn(s, side) {
                let price = order.terms.price().unwrap();
                match naive.last_mut().filter(|level| level.0 == price) {
                    Some(level) => level.1 += order.left(),
                    None => naive.push((price, order.left())),
                }
            }
            assert_eq!(shown, naive, "{symbol} {side}: book");
        }
        assert_eq!(depth.update_id, self.mirror.updates.get(symbol).copied().unwrap_or(0), "{symbol}");
        let crossed = depth.bids.first().zip(depth.asks.first()).is_some_and(|(b, a)| b.price >= a.price);
        assert!(!crossed, "{symbol} is crossed");
        for id in ACCOUNTS {
            let open = self.real.open_orders(id, Some(symbol)).unwrap();
            let mut naive = self.naive.open(id, s);
            naive.sort_by_key(|o| o.id);
            assert_eq!(open, naive, "{symbol} {id:?}: open orders");
        }
    }
}

fn text<T: std::fmt::Debug>(answer: &Result<T, Reject>) -> String {
    format!("{answer:?}")
}

fn run(seed: u64, operations: u32) -> World {
    let mut world = world(seed);
    ACCOUNTS.into_iter().for_each(|id| world.fund(id));
    for step in 0..operations {
        let replay =
            format!("step {step}; replay: TRADINGSYS_SEED={seed} cargo test -p tradingsys --lib twin");
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let [real, naive] = world.operate();
            assert_eq!(real, naive, "answers");
            world.compare();
            real
        }));
        let Ok(real) = stepped else { panic!("the two disagree at {replay}") };
        if real.starts_with("Err") {
            *world.seen.entry(real).or_default() += 1;
        }
    }
    world
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a seed is replayed by the environment")]
fn agrees_with_the_naive_exchange_over_100_000_random_operations() {
    let seed = std::env::var("TRADINGSYS_SEED").ok().and_then(|text| text.parse().ok());
    let world = run(seed.unwrap_or(20_261_121), OPERATIONS);
    let seen =
        |word: String| assert!(world.seen.contains_key(&word), "{word:?} never happened: {:#?}", world.seen);
    for order_type in OrderType::ALL.iter().filter(|t| **t != OrderType::TrailingStop) {
        for status in ["NEW", "PARTIALLY_FILLED", "FILLED"] {
            seen(format!("{order_type} {status}"));
        }
    }
    let of_futures = [Expiry::GoodTillDate, Expiry::PositionClosed, Expiry::Liquidation, Expiry::Settlement];
    for expiry in Expiry::ALL.iter().filter(|expiry| !of_futures.contains(expiry)) {
        seen(expiry.to_string());
    }
    for stp in ["EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT"] {
        seen(format!("prevented by {stp} EXPIRED_IN_MATCH"));
    }
    for asset in ASSETS {
        seen(format!("trade, fee in {asset} FILLED"));
    }
    for other in ["canceled CANCELED", "replaced NEW", "replaced PARTIALLY_FILLED", "expired EXPIRED"] {
        seen(other.to_owned());
    }
    use Reject::{AccountBlocked, AmendIncrease, AmendNoChange, CancelRestricted, Duplicate, IdMismatch};
    use Reject::{InsufficientBalance, MarketClosed, UnknownOrder, WouldMatch, WouldTrigger};
    let filters = Filter::ALL.iter().filter(|f| !matches!(f, Filter::LotSize | Filter::MarketLotSize));
    let plain = [AccountBlocked, MarketClosed, UnknownOrder, IdMismatch, CancelRestricted, Duplicate];
    let more = [AmendIncrease, AmendNoChange, WouldMatch, WouldTrigger, InsufficientBalance];
    for reject in plain.into_iter().chain(more).chain(filters.map(|f| Reject::Filter(*f))) {
        seen(format!("Err({reject:?})"));
    }
}
