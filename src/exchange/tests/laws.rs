//! What holds whatever happens, where the random run does not look.

use super::dsl::{account, stage};
use crate::exchange::{
    AccountId, Cancel, Config, Exchange, Listing, OrderRef, Reject, Request, Synthetic, SyntheticConfig,
};
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::market::{Side, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;
use crate::time::Time;

fn limit(symbol: &Symbol, side: Side, price: i64, name: &str) -> Request {
    Request {
        symbol: symbol.clone(),
        client_id: ClientOrderId::foreign(name),
        side,
        terms: Terms::Limit { price: Price::whole(price), tif: Tif::Gtc },
        qty: Qty::whole(1),
        stp: None,
    }
}

#[test]
fn time_never_runs_backwards() {
    let mut stage = stage(|_| {});
    let (late, early) = (Time::from_millis(9_000), Time::from_millis(3_000));
    let (symbol, exchange) = (stage.symbol.clone(), &mut stage.exchange);
    exchange.place(late, account("A"), &limit(&symbol, Side::Buy, 50, "x")).unwrap();
    let placed = exchange.place(early, account("A"), &limit(&symbol, Side::Buy, 50, "y")).unwrap();
    assert_eq!((placed.order.created, exchange.now()), (late, late));
}

#[test]
fn ids_count_per_symbol() {
    let mut stage = stage(|_| {});
    let now = Time::from_millis(9_000);
    for symbol in ["btcusdt", "bnbusdt"].map(Symbol::new) {
        let exchange = &mut stage.exchange;
        exchange.place(now, account("A"), &limit(&symbol, Side::Sell, 50, "x")).unwrap();
        let placed = exchange.place(now, account("B"), &limit(&symbol, Side::Buy, 50, "x")).unwrap();
        assert_eq!((placed.order.id, placed.fills[0].trade_id), (2, 1), "{symbol}");
    }
}

#[test]
fn the_house_may_owe_but_keeps_to_the_grid_and_is_known_by_its_names() {
    let mut stage = stage(|_| {});
    let now = Time::from_millis(9_000);
    let (symbol, exchange) = (stage.symbol.clone(), &mut stage.exchange);
    let house = AccountId::HOUSE;
    for index in 0..300 {
        let order = limit(&symbol, Side::Sell, 1_000_000 - index, &format!("h{index}"));
        exchange.place(now, house, &order).unwrap();
    }
    let off = Request { qty: "0.0001".parse().unwrap(), ..limit(&symbol, Side::Buy, 5, "off") };
    assert!(matches!(exchange.place(now, house, &off), Err(Reject::Filter(_))));
    let name = ClientOrderId::foreign("h7");
    let cancel = Cancel {
        symbol: symbol.clone(),
        order: OrderRef::ClientId(name.clone()),
        cancel_id: name.clone(),
        restriction: None,
    };
    exchange.cancel(now, house, &cancel).unwrap();
    assert_eq!(exchange.cancel(now, house, &cancel), Err(Reject::UnknownOrder));
    assert_eq!(exchange.open_orders(house, None).unwrap().len(), 299);
    let owed = exchange.balance(house, &Asset::new("BTC")).unwrap();
    assert_eq!((owed.free, owed.locked), (Cash::whole(-299), Cash::whole(299)));
    let mut events = Vec::new();
    exchange.drain_events(&mut events);
    assert!(events.iter().all(|event| !matches!(event, crate::exchange::Event::Order(_))));
}

#[test]
fn an_account_that_is_not_open_or_not_allowed_is_refused() {
    let mut stage = stage(|_| {});
    let now = Time::from_millis(9_000);
    let (symbol, exchange) = (stage.symbol.clone(), &mut stage.exchange);
    let order = limit(&symbol, Side::Buy, 50, "x");
    let (nobody, usdt) = (AccountId(99), Asset::new("USDT"));
    assert_eq!(exchange.place(now, nobody, &order).err(), Some(Reject::UnknownAccount));
    assert_eq!(exchange.deposit(now, nobody, &usdt, Cash::whole(1)), Err(Reject::UnknownAccount));
    assert_eq!(exchange.balances(nobody), Err(Reject::UnknownAccount));
    let rich = Cash::whole(1_001);
    assert_eq!(exchange.withdraw(now, account("A"), &usdt, rich), Err(Reject::InsufficientBalance));
    let other = Request { symbol: Symbol::new("nosuch"), ..order.clone() };
    assert_eq!(exchange.place(now, account("A"), &other).err(), Some(Reject::UnknownSymbol));
    let mut settings = exchange.settings(account("A")).unwrap().0;
    settings.can_trade = false;
    exchange.open_account(account("A"), settings);
    assert_eq!(exchange.place(now, account("A"), &order).err(), Some(Reject::AccountBlocked));
    exchange.open_account(AccountId::HOUSE, settings);
    assert!(exchange.settings(AccountId::HOUSE).unwrap().0.can_trade, "the house cannot be changed");
}

#[test]
fn a_synthetic_market_makes_no_money() {
    let listings = vec![Listing::new(super::instrument("BTC", "USDT"))];
    let mut exchange = Exchange::new(Config { listings, ..Config::default() }).unwrap();
    let symbol = Symbol::new("btcusdt");
    let start = Time::from_millis(1_000);
    let mut market = Synthetic::new(SyntheticConfig::around(symbol.clone(), Price::whole(200)), 5);
    market.start(start, &mut exchange);
    let client = AccountId(1);
    exchange.open_account(client, Default::default());
    let deposits = [("USDT", Cash::whole(1_000_000)), ("BTC", Cash::whole(10))];
    for (asset, amount) in deposits {
        exchange.deposit(start, client, &Asset::new(asset), amount).unwrap();
    }
    for step in 0..200 {
        let now = Time::from_millis(1_000 + step * 100);
        market.timer(now, &mut exchange);
        let side = if step % 2 == 0 { Side::Buy } else { Side::Sell };
        let order = Request { terms: Terms::Market, ..limit(&symbol, side, 1, "m") };
        exchange.place(now, client, &order).unwrap();
    }
    for (asset, sum) in deposits {
        let balance = |id| exchange.balance(id, &Asset::new(asset)).unwrap();
        let all = [client, AccountId::HOUSE, AccountId::FEES].map(balance);
        assert_eq!(all.iter().map(|b| b.free + b.locked).sum::<Cash>(), sum, "{asset}");
    }
}
