use std::collections::{BTreeMap, BTreeSet};

use super::pace::Pace;
use super::*;
use crate::time::Span;

fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: fmt::Debug,
{
    text.parse().unwrap()
}

fn caps<K: Ord, V: std::str::FromStr>(key: K, text: &str) -> Option<Caps<K, V>>
where
    V::Err: fmt::Debug,
{
    Some(Caps { named: BTreeMap::from([(key, number(text))]), others: None })
}

fn doge() -> Symbol {
    Symbol::new("dogeusdt")
}
fn usdt() -> Asset {
    Asset::new("USDT")
}

/// The middle is 0.2.
const BOOK: Quote =
    Quote { bid: Price::from_raw(1_999_000_000), ask: Price::from_raw(2_001_000_000), fresh: true };

/// An order in words: `buy 10 @0.2`, `sell 10`, `buy usdt 5`, `sell 10 @0.2 stop 0.21`.
struct Order {
    side: Side,
    qty: Option<Qty>,
    amount: Option<Cash>,
    price: Option<Price>,
    stop: Option<Price>,
}

fn order(words: &str) -> Order {
    let words: Vec<&str> = words.split(' ').collect();
    let side = if words[0] == "buy" { Side::Buy } else { Side::Sell };
    let after = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    let price = words.iter().find_map(|word| word.strip_prefix('@')).map(number);
    let amount = after("usdt").map(number);
    let qty = if amount.is_none() { Some(number(words[1])) } else { None };
    Order { side, qty, amount, price, stop: after("stop").map(number) }
}

fn judged_by(bounds: &Bounds, standing: &Standing, book: Option<Quote>, words: &str) -> Result<(), Breach> {
    let (symbol, quote, order) = (doge(), usdt(), order(words));
    let asked = Asked {
        symbol: &symbol,
        quote: &quote,
        side: order.side,
        qty: order.qty,
        total: order.qty,
        amount: order.amount,
        price: order.price,
        stop: order.stop,
    };
    let judge = Judge {
        scope: Scope::Session(SessionId(7)),
        bounds,
        standing,
        book,
        unpriced_held: None,
        unpriced_open: None,
    };
    judge.every(&asked)?;
    if standing.only_reduces(order.side, order.qty) { Ok(()) } else { judge.growing(&asked) }
}

fn refusal(bounds: &Bounds, standing: &Standing, words: &str) -> Option<String> {
    judged_by(bounds, standing, Some(BOOK), words).err().map(|breach| breach.to_string())
}

/// Bounds, an order within them, one beyond, and what the refusal says.
type Row = (Bounds, &'static str, &'static str, &'static str);

fn sizes_and_prices() -> Vec<Row> {
    let none = Bounds::default;
    vec![
        (
            Bounds { order_qty: caps(doge(), "10"), ..none() },
            "buy 10 @0.2",
            "buy 11 @0.2",
            "order_qty in dogeusdt of session 7 is 10, and the order is for 11; nothing was sent",
        ),
        (
            Bounds { order_notional: caps(usdt(), "2"), ..none() },
            "buy 10 @0.2",
            "buy 10 @0.2000000001",
            "order_notional in USDT of session 7 is 2, and the order is worth 2.000000001; nothing was sent",
        ),
        // A sell below the middle is worth the middle, a market order too.
        (
            Bounds { order_notional: caps(usdt(), "2"), ..none() },
            "sell 10 @0.1",
            "sell 11 @0.1",
            "is worth 2.2",
        ),
        (Bounds { order_notional: caps(usdt(), "2"), ..none() }, "buy 10", "buy 11", "is worth 2.2"),
        (
            Bounds { order_notional: caps(usdt(), "2"), ..none() },
            "buy usdt 2",
            "buy usdt 2.1",
            "is worth 2.1",
        ),
        (
            Bounds { price_band: Some(number("5")), ..none() },
            "buy 10 @0.21",
            "buy 10 @0.2100000001",
            "price_band of session 7 is 5 %, and the price 0.2100000001 is 5.00 % from the middle of the book, 0.2",
        ),
        (
            Bounds { price_band: Some(number("5")), ..none() },
            "sell 10 @0.19",
            "sell 10 @0.1899999999",
            "is 5 %",
        ),
        (
            Bounds { price_band: Some(number("5")), ..none() },
            "sell 10 @0.95 stop 1",
            "sell 10 @0.9499 stop 1",
            "the price 0.9499 is 5.01 % from its stop price, 1",
        ),
    ]
}

fn open_orders_and_positions() -> Vec<Row> {
    let none = Bounds::default;
    vec![
        (Bounds { open_orders: Some(3), ..none() }, "buy 10 @0.2", "", ""),
        (
            Bounds { open_orders: Some(2), ..none() },
            "",
            "buy 10 @0.2",
            "open_orders of session 7 is 2, and this order would be the 3. open at a time",
        ),
        (
            Bounds { open_notional: caps(usdt(), "9"), ..none() },
            "buy 10 @0.2",
            "buy 11 @0.2",
            "open_notional in USDT of session 7 is 9, and with this order the open ones would be worth 9.2",
        ),
        (
            Bounds { position_qty: caps(doge(), "35"), ..none() },
            "buy 10 @0.2",
            "buy 11 @0.2",
            "position_qty in dogeusdt of session 7 is 35, and with this and all open orders filled the position would \
             be 36",
        ),
        (
            Bounds { position_qty: caps(doge(), "35"), ..none() },
            "sell 25 @0.2",
            "sell 26 @0.2",
            "the position would be -36",
        ),
        (
            Bounds { position_notional: caps(usdt(), "7"), ..none() },
            "buy 10 @0.01",
            "buy 11 @0.01",
            "position_notional in USDT of session 7 is 7, and with this and all open orders filled the position would \
             be 36, worth 7.2",
        ),
    ]
}

fn losses_and_symbols() -> Vec<Row> {
    let none = Bounds::default;
    vec![
        (Bounds { loss_per_day: caps(usdt(), "1.5"), ..none() }, "buy 10", "", ""),
        (
            Bounds { loss_per_day: caps(usdt(), "1.4999999999"), ..none() },
            "",
            "buy 10",
            "loss_per_day in USDT of session 7 is 1.4999999999, and the loss of the UTC day is 1.5",
        ),
        (
            Bounds { symbols: Some(BTreeSet::from([Symbol::new("btcusdt")])), ..none() },
            "",
            "buy 10",
            "symbols of session 7 is btcusdt, and the order is for dogeusdt; nothing was sent",
        ),
        (Bounds { symbols: Some(BTreeSet::from([doge()])), ..none() }, "buy 10", "", ""),
    ]
}

#[test]
fn r61_every_limit_holds_at_its_value_and_refuses_one_step_more() {
    let standing = Standing {
        position: Qty::whole(20),
        buys: Qty::whole(5),
        sells: Qty::whole(30),
        open_orders: 2,
        open_notional: number("7"),
        loss: Some(number("1.5")),
        ..Standing::default()
    };
    let rows = [sizes_and_prices(), open_orders_and_positions(), losses_and_symbols()].concat();
    for (bounds, within, beyond, words) in rows {
        if !within.is_empty() {
            assert_eq!(refusal(&bounds, &standing, within), None, "{within} within {bounds:?}");
        }
        if !beyond.is_empty() {
            let found = refusal(&bounds, &standing, beyond).unwrap_or_else(|| panic!("{beyond}: {bounds:?}"));
            assert!(found.contains(words), "{beyond}: {found}");
        }
    }
}

#[test]
fn r61_what_a_table_does_not_name_may_not_be_traded_unless_others_may() {
    let standing = Standing::default();
    let bounds = Bounds { order_notional: caps(Asset::new("BTC"), "5"), ..Bounds::default() };
    assert!(refusal(&bounds, &standing, "buy 1 @0.2").unwrap().contains("in USDT of session 7 is 0"));
    let others = Caps { named: BTreeMap::new(), others: Some(Cash::whole(1)) };
    let bounds = Bounds { order_notional: Some(others), ..Bounds::default() };
    assert_eq!(refusal(&bounds, &standing, "buy 5 @0.2"), None);
    assert!(refusal(&bounds, &standing, "buy 6 @0.2").is_some());
}

#[test]
fn r61_what_only_reduces_passes_position_notional_loss_and_open_orders_but_not_size_and_band() {
    let standing = Standing {
        position: Qty::whole(20),
        sells: Qty::whole(8),
        open_orders: 9,
        open_notional: Cash::whole(900),
        loss: Some(Cash::whole(900)),
        ..Standing::default()
    };
    let tight = Bounds {
        symbols: Some(BTreeSet::new()),
        position_qty: caps(doge(), "0"),
        position_notional: caps(usdt(), "0"),
        open_orders: Some(0),
        open_notional: caps(usdt(), "0"),
        loss_per_day: caps(usdt(), "0"),
        ..Bounds::default()
    };
    assert_eq!(refusal(&tight, &standing, "sell 12 @0.2"), None);
    assert!(refusal(&tight, &standing, "sell 13 @0.2").is_some(), "the open ones and this could turn it");
    assert!(refusal(&tight, &standing, "buy 1 @0.2").is_some());
    assert!(refusal(&tight, &standing, "sell usdt 1").is_some(), "nobody knows how much that is");
    let one = Blind { orders: 1, amount: Cash::whole(1) };
    let blind = Standing { blind_sells: one, ..standing };
    assert!(refusal(&tight, &blind, "sell 1 @0.2").is_some(), "nobody knows how much is open");
    let bought = Standing { blind_buys: one, ..standing };
    assert_eq!(refusal(&tight, &bought, "sell 12 @0.2"), None, "what may be bought hinders no sale");
    let sized = Bounds { order_qty: caps(doge(), "11"), ..tight.clone() };
    assert!(refusal(&sized, &standing, "sell 12 @0.2").unwrap().starts_with("order_qty"));
    let banded = Bounds { price_band: Some(number("5")), ..tight };
    assert!(refusal(&banded, &standing, "sell 12 @0.1").unwrap().starts_with("price_band"));
    let short = Standing { position: Qty::whole(-20), buys: Qty::whole(8), sells: Qty::ZERO, ..standing };
    assert!(short.only_reduces(Side::Buy, Some(Qty::whole(12))));
    assert!(!short.only_reduces(Side::Buy, Some(Qty::whole(13))));
    assert!(!short.only_reduces(Side::Sell, Some(Qty::whole(1))));
}

#[test]
fn r61_where_a_book_is_needed_a_stale_one_or_none_refuses() {
    let standing = Standing { loss: None, ..Standing::default() };
    let bounds = [
        (Bounds { price_band: Some(number("5")), ..Bounds::default() }, "buy 1 @0.2"),
        (Bounds { price_band: Some(number("5")), ..Bounds::default() }, "buy 1"),
        (Bounds { order_notional: caps(usdt(), "100"), ..Bounds::default() }, "sell 1 @0.2"),
        (Bounds { open_notional: caps(usdt(), "100"), ..Bounds::default() }, "buy 1"),
        (Bounds { position_notional: caps(usdt(), "100"), ..Bounds::default() }, "buy 1 @0.2"),
        (Bounds { loss_per_day: caps(usdt(), "100"), ..Bounds::default() }, "buy 1 @0.2"),
    ];
    let stale = Quote { fresh: false, ..BOOK };
    let empty = Quote { bid: Price::ZERO, ..BOOK };
    for (bounds, words) in &bounds {
        for book in [None, Some(stale), Some(empty)] {
            let breach = judged_by(bounds, &standing, book, words).unwrap_err();
            assert!(breach.wants_book, "{words} {bounds:?} {book:?}");
        }
    }
    let at_a_price = Bounds { order_notional: caps(usdt(), "100"), ..Bounds::default() };
    assert_eq!(judged_by(&at_a_price, &standing, None, "buy 1 @0.2"), Ok(()), "it cannot be worth more");
}

#[test]
fn r61_an_order_by_quote_amount_is_refused_where_its_quantity_counts() {
    let standing = Standing::default();
    for bounds in [
        Bounds { order_qty: caps(doge(), "100"), ..Bounds::default() },
        Bounds { position_qty: caps(doge(), "100"), ..Bounds::default() },
    ] {
        let found = refusal(&bounds, &standing, "buy usdt 1").unwrap();
        assert!(found.contains("send a quantity"), "{found}");
    }
    let worth = Bounds { position_notional: caps(usdt(), "10"), ..Bounds::default() };
    assert_eq!(refusal(&worth, &standing, "buy usdt 10"), None);
    assert!(refusal(&worth, &standing, "buy usdt 10.1").unwrap().contains("worth 10.1"));
    let one = Blind { orders: 1, amount: Cash::whole(9) };
    let blind = Standing { blind_buys: one, ..standing };
    assert_eq!(refusal(&worth, &blind, "buy 5"), None, "9 and 1");
    assert!(refusal(&worth, &blind, "buy 6").unwrap().contains("worth 10.2"));
    assert_eq!(refusal(&worth, &blind, "sell 50"), None);
    let counted = Bounds { position_qty: caps(doge(), "100"), ..Bounds::default() };
    let found = refusal(&counted, &blind, "buy 1").unwrap();
    assert!(found.contains("an open BUY order by quote amount, of 9"), "{found}");
    assert_eq!(refusal(&counted, &blind, "sell 1"), None);
}

#[test]
fn r61_rates_count_a_sliding_second_and_minute_and_say_when_to_try_again() {
    let at = |millis: i64| Time::default() + Span::from_secs(1_000) + Span::from_millis(millis);
    let bounds = Bounds { orders_per_second: Some(2), rejects_per_minute: Some(3), ..Bounds::default() };
    let (standing, mut pace) = (Standing::default(), Pace::default());
    let judge = Judge {
        scope: Scope::Account,
        bounds: &bounds,
        standing: &standing,
        book: None,
        unpriced_held: None,
        unpriced_open: None,
    };
    pace.sent(at(0));
    assert_eq!(pace.judge(at(0), &judge), Ok(()));
    pace.sent(at(400));
    let breach = pace.judge(at(999), &judge).unwrap_err();
    assert_eq!((breach.limit, breach.retry_at), (Limit::OrdersPerSecond, Some(at(1_000))));
    assert_eq!(
        breach.to_string(),
        "orders_per_second of the account is 2, and so many were sent in the last second; try again in 2 ms; nothing \
         was sent"
    );
    assert_eq!(pace.judge(at(1_000), &judge), Ok(()));
    pace.sent(at(1_000));
    assert_eq!(pace.judge(at(1_399), &judge).unwrap_err().retry_at, Some(at(1_400)));
    for second in [0, 10, 20] {
        assert_eq!(pace.judge(at(2_400 + second * 1_000), &judge), Ok(()));
        pace.rejected(at(2_400 + second * 1_000));
    }
    let breach = pace.judge(at(62_399), &judge).unwrap_err();
    assert_eq!((breach.limit, breach.retry_at), (Limit::RejectsPerMinute, Some(at(62_400))));
    assert_eq!(pace.judge(at(62_400), &judge), Ok(()));
    let never = Bounds { orders_per_second: Some(0), ..Bounds::default() };
    let judge = Judge {
        scope: Scope::Account,
        bounds: &never,
        standing: &standing,
        book: None,
        unpriced_held: None,
        unpriced_open: None,
    };
    assert!(Pace::default().judge(at(0), &judge).is_err());
}
