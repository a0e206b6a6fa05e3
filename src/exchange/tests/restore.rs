//! What an exchange went through, taken over by a fresh one.

use super::dsl::{Stage, account, stage};
use crate::exchange::*;
use crate::ids::Symbol;

/// The past as its events tell it, the last word on each order winning.
fn past(exchange: &Exchange, events: &[Event]) -> Past {
    let mut past = Past::default();
    let mut orders = std::collections::BTreeMap::new();
    for event in events {
        if let Event::Order(event) = event {
            orders.insert((event.order.symbol.clone(), event.order.id), event.order.clone());
            if let Change::Trade(fill) = &event.change {
                past.fills.push(fill.clone());
            }
            let numbers = past.numbers.entry(event.order.symbol.clone()).or_default();
            numbers.execution = numbers.execution.max(event.execution_id);
        }
    }
    past.orders = orders.into_values().collect();
    for name in ["A", "B", "C"] {
        let id = account(name);
        for balance in exchange.balances(id).unwrap() {
            past.holdings.push((id, balance.asset, balance.free + balance.locked));
        }
    }
    past
}

fn play(stage: &mut Stage, script: &str) {
    for line in script.lines() {
        stage.run(line.trim());
    }
}

fn fresh() -> Exchange {
    let listings = [("BTC", "USDT"), ("BNB", "USDT")];
    let listings = listings.map(|(base, quote)| Listing::new(super::instrument(base, quote))).into();
    let mut exchange = Exchange::new(Config { listings, ..Config::default() }).unwrap();
    for name in ["A", "B", "C"] {
        exchange.open_account(account(name), AccountSettings::default());
    }
    exchange
}

fn everything(exchange: &Exchange) -> Vec<String> {
    let symbol = Symbol::new("btcusdt");
    let mut all = Vec::new();
    for name in ["A", "B", "C"] {
        let id = account(name);
        let page = Page { limit: 1_000, ..Page::default() };
        all.extend(exchange.all_orders(id, &symbol, &page).unwrap().iter().map(|order| format!("{order:?}")));
        all.extend(exchange.open_orders(id, None).unwrap().iter().map(|order| format!("{order:?}")));
        all.extend(exchange.fills(id, &symbol, None, &page).unwrap().iter().map(|fill| format!("{fill:?}")));
        all.extend(exchange.balances(id).unwrap().iter().map(|balance| format!("{balance:?}")));
    }
    let depth = exchange.depth(&symbol, 50).unwrap();
    all.push(format!("{:?} {:?}", depth.bids, depth.asks));
    all
}

#[test]
fn a_fresh_exchange_goes_on_where_the_old_one_stopped() {
    let mut stage = stage(|_| {});
    play(
        &mut stage,
        "A sell 1 @ 100 as a1
         A sell 2 @ 101 as a2
         B buy 0.4 @ 100 as b1
         B buy 1 @ 99 as b2
         C sell 1 stop 95 limit 94 as c1
         C buy 1 stop 110 as c2
         B buy 0.5 @ 98 as b3
         B cancel b3 as b4
         A amend a2 1.5 as a3",
    );
    let old = &stage.exchange;
    let mut new = fresh();
    new.restore(&past(old, &stage.raw)).unwrap();
    assert_eq!(everything(&new), everything(old));
    let mut told = Vec::new();
    new.drain_events(&mut told);
    assert_eq!(told, [], "the past is not told again");
}

#[test]
fn orders_keep_their_turn_and_numbers_go_on() {
    let mut stage = stage(|_| {});
    play(
        &mut stage,
        "A sell 1 @ 100 as first
         B sell 1 @ 100 as second",
    );
    let mut past = past(&stage.exchange, &stage.raw);
    past.numbers.insert(
        Symbol::new("btcusdt"),
        LastNumbers { order: 500, trade: 700, execution: 900, ..LastNumbers::default() },
    );
    let mut new = fresh();
    new.restore(&past).unwrap();
    let request = Request {
        symbol: Symbol::new("btcusdt"),
        client_id: crate::ids::ClientOrderId::foreign("taker"),
        side: crate::market::Side::Buy,
        terms: crate::order::request::Terms::Market,
        qty: "1.5".parse().unwrap(),
        stp: None,
    };
    let placed = new.place(crate::time::Time::from_millis(5_000), account("C"), &request).unwrap();
    assert_eq!((placed.order.id, placed.fills[0].trade_id), (501, 701));
    let mut events = Vec::new();
    new.drain_events(&mut events);
    let makers: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Order(event) if event.order.account != account("C") => {
                Some(event.order.client_id.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(makers, ["first", "second"], "by time, as before");
}

#[test]
fn a_past_that_does_not_fit_is_refused() {
    let mut stage = stage(|_| {});
    play(&mut stage, "A sell 1 @ 100 as a1");
    let good = past(&stage.exchange, &stage.raw);
    let mut poor = good.clone();
    poor.holdings.retain(|(_, asset, _)| asset.as_str() != "BTC");
    assert!(matches!(fresh().restore(&poor), Err(RestoreError::TooLittle { .. })));
    let mut owing = good.clone();
    owing.holdings[0].2 = -owing.holdings[0].2;
    assert!(matches!(fresh().restore(&owing), Err(RestoreError::Negative { .. })));
    let mut stranger = good.clone();
    stranger.orders[0].account = AccountId(77);
    assert_eq!(fresh().restore(&stranger), Err(RestoreError::UnknownAccount(AccountId(77))));
    let mut elsewhere = good;
    elsewhere.orders[0].symbol = Symbol::new("dogeusdt");
    assert_eq!(fresh().restore(&elsewhere), Err(RestoreError::UnknownSymbol(Symbol::new("dogeusdt"))));
}
