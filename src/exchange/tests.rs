//! Tests of the exchange: [`dsl`] reads scripts, the modules below hold their tables.

mod synthetic;
mod twin;

use crate::exchange::{AccountId, Config, Exchange, Listing, Request};
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::instrument::{Grid, Instrument, InstrumentStatus};
use crate::market::{OrderType, Side, Tif};
use crate::num::Cash;
use crate::order::request::Terms;
use crate::time::Time;

/// An instrument with tick 0.01, lot 0.001 and a least notional of 1.
fn instrument(base: &str, quote: &str) -> Instrument {
    let n = |text: &str| text.parse().unwrap();
    let q = |text: &str| text.parse().unwrap();
    Instrument {
        symbol: Symbol::new(&format!("{base}{quote}")),
        base: Asset::new(base),
        quote: Asset::new(quote),
        status: InstrumentStatus::Trading,
        price: Grid { min: n("0.01"), max: n("1000000"), step: n("0.01") },
        qty: Grid { min: q("0.001"), max: q("9000"), step: q("0.001") },
        market_qty: Grid { min: q("0"), max: q("100"), step: q("0") },
        min_notional: Cash::whole(1),
        max_notional: Cash::whole(9_000_000),
        notional_applies_to_market: true,
        order_types: OrderType::ALL.iter().map(|t| t.as_str().to_owned()).collect(),
        amend_allowed: true,
        quote_qty_market_allowed: true,
    }
}

#[test]
fn two_accounts_trade() {
    let listings = vec![Listing::new(instrument("BTC", "USDT"))];
    let mut exchange = Exchange::new(Config { listings, ..Config::default() }).unwrap();
    let now = Time::from_millis(1_000);
    for id in [1, 2] {
        exchange.open_account(AccountId(id), Default::default());
        exchange.deposit(now, AccountId(id), &Asset::new("USDT"), Cash::whole(1_000)).unwrap();
        exchange.deposit(now, AccountId(id), &Asset::new("BTC"), Cash::whole(1)).unwrap();
    }
    let request = |side, price: &str, qty: &str, name: &str| Request {
        symbol: Symbol::new("btcusdt"),
        client_id: ClientOrderId::foreign(name),
        side,
        terms: Terms::Limit { price: price.parse().unwrap(), tif: Tif::Gtc },
        qty: qty.parse().unwrap(),
        stp: None,
    };
    exchange.place(now, AccountId(1), &request(Side::Sell, "100", "0.5", "a")).unwrap();
    let placed = exchange.place(now, AccountId(2), &request(Side::Buy, "101", "0.7", "b")).unwrap();
    assert_eq!(placed.fills.len(), 1);
    assert_eq!(placed.fills[0].quote, Cash::whole(50));
    let usdt = exchange.balance(AccountId(2), &Asset::new("USDT")).unwrap();
    assert_eq!((usdt.free.to_string(), usdt.locked.to_string()), ("929.8".to_owned(), "20.2".to_owned()));
    let mut events = Vec::new();
    exchange.drain_events(&mut events);
    assert_eq!(events.len(), 8 + 4 + 8, "{events:#?}");
}
