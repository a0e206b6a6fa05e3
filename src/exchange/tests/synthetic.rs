//! The synthetic market: alive, deep, bounded, and the same for the same seed.

use super::instrument;
use crate::exchange::{
    AccountId, AccountSettings, Config, Event, Exchange, Listing, Page, Request, Synthetic, SyntheticConfig,
};
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::market::{Side, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;
use crate::time::{Span, Time};

struct Run {
    exchange: Exchange,
    synthetic: Synthetic,
    events: Vec<Event>,
}

fn start(seed: u64, anchor: Price) -> Run {
    let listings = vec![Listing::new(instrument("BTC", "USDT"))];
    let mut exchange = Exchange::new(Config { listings, ..Config::default() }).unwrap();
    let mut synthetic = Synthetic::new(SyntheticConfig::around(Symbol::new("btcusdt"), anchor), seed);
    synthetic.start(Time::from_millis(1_000), &mut exchange);
    Run { exchange, synthetic, events: Vec::new() }
}

impl Run {
    fn until(&mut self, end: Time, mut check: impl FnMut(&Exchange)) {
        while let Some(at) = self.synthetic.deadline().filter(|at| *at <= end) {
            self.synthetic.timer(at, &mut self.exchange);
            check(&self.exchange);
        }
        self.exchange.drain_events(&mut self.events);
    }
}

#[test]
fn a_minute_of_it_is_deep_lively_and_near_its_anchor() {
    let anchor = Price::whole(60_000);
    let mut run = start(7, anchor);
    let symbol = Symbol::new("btcusdt");
    run.until(Time::from_millis(61_000), |exchange| {
        let depth = exchange.depth(&symbol, 100).unwrap();
        assert!(depth.bids.len() >= 20 && depth.asks.len() >= 20, "{}", depth.bids.len());
        assert!(depth.bids[0].price < depth.asks[0].price);
        let off = (depth.bids[0].price - anchor).abs();
        assert!(off < Price::whole(60_000 / 40), "{off} off the anchor");
    });
    let count = |f: fn(&Event) -> bool| run.events.iter().filter(|e| f(e)).count();
    let trades = count(|e| matches!(e, Event::Trade { .. }));
    let best = count(|e| matches!(e, Event::Best(_)));
    assert!((100..2_000).contains(&trades), "{trades} trades");
    assert!(best > 600, "{best} moves of the best prices");
    assert_eq!(count(|e| matches!(e, Event::Order(_) | Event::Balances(_))), 0, "the house is silent");
}

#[test]
fn the_same_seed_gives_the_same_market_however_it_is_called() {
    let end = Time::from_millis(11_000);
    let [mut one, mut two, mut other] =
        [7, 7, 8].map(|seed| start(seed, "0.2".parse::<Price>().unwrap() + Price::whole(100)));
    one.until(end, |_| {});
    two.synthetic.timer(end, &mut two.exchange);
    two.exchange.drain_events(&mut two.events);
    other.until(end, |_| {});
    assert_eq!(one.events, two.events);
    assert_ne!(one.events, other.events);
}

#[test]
fn a_clients_order_that_the_price_reaches_is_filled() {
    let mut run = start(3, Price::whole(60_000));
    let (account, symbol) = (AccountId(1), Symbol::new("btcusdt"));
    run.exchange.open_account(account, AccountSettings::default());
    run.exchange
        .deposit(Time::from_millis(1_000), account, &Asset::new("USDT"), Cash::whole(100_000))
        .unwrap();
    let best = run.exchange.depth(&symbol, 1).unwrap().bids[0].price;
    let qty: Qty = "0.01".parse().unwrap();
    let request = Request {
        symbol: symbol.clone(),
        client_id: ClientOrderId::foreign("a"),
        side: Side::Buy,
        terms: Terms::Limit { price: best, tif: Tif::Gtc },
        qty,
        stp: None,
    };
    run.exchange.place(Time::from_millis(1_000), account, &request).unwrap();
    run.until(Time::from_millis(1_000) + Span::from_secs(120), |_| {});
    assert!(run.exchange.open_orders(account, None).unwrap().is_empty());
    let fills = run.exchange.fills(account, &symbol, None, &Page::default()).unwrap();
    assert_eq!(fills.iter().map(|f| f.qty).sum::<Qty>(), qty);
    assert!(fills.iter().all(|f| f.maker && f.price == best));
}
