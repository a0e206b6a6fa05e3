//! Orders, positions, realised profit, fees.

use super::*;
use crate::exchange::{Change, OrderRef, OrderStatus, Page};

#[test]
fn a_position_averages_its_entries_and_realises_what_it_closes() {
    let mut stage = Stage::new();
    stage.go(A, "sell 3 @ 100");
    stage.go(A, "sell 3 @ 101");
    stage.go(B, "buy 4 @ 101");
    assert_eq!((stage.position(B), stage.position(A)), ("4@100.25 0".into(), "-4@100.25 0".into()));
    stage.go(A, "buy 10 @ 99");
    let placed = stage.go(B, "sell 1 market");
    assert_eq!(placed.fills[0].realised, cash("-1.25"));
    assert_eq!((stage.position(B), stage.wallet(B)), ("3@100.25 -1.25".into(), cash("998.75")));
    // The rest is closed and a short position opened by one order.
    let placed = stage.go(B, "sell 5 market");
    assert_eq!(placed.fills[0].realised, cash("-3.75"));
    assert_eq!(stage.position(B), "-2@99 -5");
    assert_eq!(stage.position(A), "2@99 5");
}

#[test]
fn a_part_of_the_cost_is_rounded_once_and_nothing_is_lost() {
    let mut stage = Stage::with(|contract| contract.listing.instrument.min_notional = Cash::ZERO);
    stage.go(A, "sell 0.001 @ 100");
    stage.go(A, "sell 0.002 @ 100.01");
    stage.go(B, "buy 0.003 @ 101");
    stage.go(A, "buy 0.003 @ 100");
    let first = stage.go(B, "sell 0.001 market").fills[0].realised;
    let rest = stage.go(B, "sell 0.002 market").fills[0].realised;
    // The cost is 0.30002; a third of it is 0.10000667 at eight decimals.
    assert_eq!((first, rest), (cash("-0.00000667"), cash("-0.00001333")));
    assert_eq!(stage.wallet(B), cash("999.99998"));
}

#[test]
fn fees_are_paid_in_the_margin_asset_and_booked_beside_the_profit() {
    let mut stage = Stage::new();
    let settings = AccountSettings {
        maker_fee: "0.0002".parse().unwrap(),
        taker_fee: "0.0005".parse().unwrap(),
        ..Default::default()
    };
    stage.futures.open_account(B, settings);
    stage.go(A, "sell 1 @ 100");
    let fill = stage.go(B, "buy 1 @ 100").fills.remove(0);
    assert_eq!((fill.fee, fill.fee_asset.as_str()), (cash("0.05"), "USDT"));
    stage.go(B, "sell 1 @ 103");
    stage.go(A, "buy 1 @ 103");
    let rows = stage.futures.income(B, &Page::default()).unwrap();
    let rows: Vec<String> = rows.iter().map(|row| format!("{} {}", row.kind, row.amount)).collect();
    let expected = ["TRANSFER 1000", "COMMISSION -0.05", "REALIZED_PNL 3", "COMMISSION -0.0206"];
    assert_eq!(rows, expected);
    assert_eq!(stage.wallet(B), cash("1002.9294"));
}

#[test]
fn a_transaction_tells_orders_trades_bookings_and_one_account_change() {
    let mut stage = Stage::new();
    stage.go(A, "sell 1 @ 100");
    stage.events();
    stage.go(B, "buy 3 @ 100");
    let told = stage.events();
    let words = told.iter().map(|event| match event {
        Event::Order(event) => format!("{:?} {}", event.order.account.0, event.order.status),
        Event::Account(change) => {
            let positions: Vec<String> =
                change.positions.iter().map(|p| format!("{}@{}", p.qty, p.entry)).collect();
            format!("{} {} {}", change.account.0, change.reason, positions.join(" "))
        }
        Event::Trade { trade, .. } => format!("trade {}@{}", trade.qty, trade.price),
        Event::Book(_) => "book".to_owned(),
        Event::Best(_) => "best".to_owned(),
        other => format!("{other:?}"),
    });
    let words: Vec<String> = words.collect();
    let expected = [
        "1 NEW",
        "1 PARTIALLY_FILLED",
        "0 FILLED",
        "trade 1@100",
        "book",
        "best",
        "0 ORDER -1@100",
        "1 ORDER 1@100",
    ];
    assert_eq!(words, expected);
}

#[test]
fn cancel_and_modify_keep_the_client_id_and_modify_loses_the_place() {
    let mut stage = Stage::new();
    let first = stage.go(A, "buy 1 @ 100 as first").order;
    stage.go(C, "buy 1 @ 100");
    let modify = Modify {
        symbol: btc(),
        order: OrderRef::Id(first.id),
        side: Side::Buy,
        price: price("100"),
        qty: qty("2"),
        reduce_only: None,
    };
    let order = stage.futures.modify(stage.now, A, &modify).unwrap().order;
    assert_eq!((order.id, order.client_id.as_str(), order.qty), (first.id, "first", qty("2")));
    let again = stage.futures.modify(stage.now, A, &modify);
    assert_eq!(again, Err(Reject::ModifyNoChange));
    stage.go(B, "sell 1 market");
    assert_eq!((stage.position(C), stage.position(A)), ("1@100 0".into(), "none".into()));
    let canceled = stage.futures.cancel(stage.now, A, &btc(), &OrderRef::Id(first.id)).unwrap();
    assert_eq!((canceled.order.status, canceled.order.client_id.as_str()), (OrderStatus::Canceled, "first"));
}

#[test]
fn a_modify_can_trade_and_can_end_an_order() {
    let mut stage = Stage::new();
    stage.go(A, "sell 5 @ 101");
    let bid = stage.go(B, "buy 3 @ 100").order.id;
    let modify = |price: &str, qty: &str| Modify {
        symbol: btc(),
        order: OrderRef::Id(bid),
        side: Side::Buy,
        price: price.parse().unwrap(),
        qty: qty.parse().unwrap(),
        reduce_only: None,
    };
    stage.go(C, "sell 1 @ 100");
    let order = stage.futures.modify(stage.now, B, &modify("101", "4")).unwrap().order;
    assert_eq!((order.status, order.filled, order.qty), (OrderStatus::Filled, qty("4"), qty("4")));
    let gone = stage.futures.modify(stage.now, B, &modify("101", "5"));
    assert_eq!(gone, Err(Reject::Market(crate::exchange::Reject::UnknownOrder)));
    let post = stage.go(B, "buy 1 @ 90 post").order.id;
    let cross = Modify { order: OrderRef::Id(post), ..modify("101", "2") };
    let order = stage.futures.modify(stage.now, B, &cross).unwrap().order;
    assert_eq!((order.status, order.filled), (OrderStatus::Canceled, Qty::ZERO));
    let events = stage.events();
    let amended = events.iter().filter(
        |event| matches!(event, Event::Order(event) if matches!(event.change, Change::Replaced { .. })),
    );
    assert_eq!(amended.count(), 1);
}

#[test]
fn post_only_is_refused_and_reduce_only_needs_a_position() {
    let mut stage = Stage::new();
    stage.go(A, "sell 1 @ 100");
    let would_match = Reject::Market(crate::exchange::Reject::WouldMatch);
    assert_eq!(stage.place(B, "buy 1 @ 100 post").err(), Some(would_match));
    assert_eq!(stage.place(B, "sell 1 @ 110 reduce").err(), Some(Reject::ReduceOnly));
    stage.go(B, "buy 1 @ 100");
    let order = stage.go(B, "sell 3 @ 110 reduce").order;
    assert_eq!(order.qty, qty("1"), "no more than the position");
    stage.go(A, "buy 1 @ 105");
    stage.go(B, "sell 1 market");
    let order = stage.futures.order(B, &btc(), &OrderRef::Id(order.id)).unwrap();
    assert_eq!(order.status, OrderStatus::Expired);
    assert_eq!(order.expiry, Some(crate::exchange::Expiry::PositionClosed));
}

#[test]
fn a_good_till_date_ends_an_order_and_a_countdown_all_of_a_symbol() {
    let mut stage = Stage::new();
    let near = Time::from_millis(600_000);
    assert_eq!(stage.place(A, "buy 1 @ 90 till 600000").err(), Some(Reject::GoodTillDate(near)));
    let order = stage.go(A, "buy 1 @ 90 till 700000").order;
    stage.go(A, "buy 1 @ 80");
    stage.go(A, "buy 1 @ 80 eth");
    assert_eq!(stage.futures.deadline(), Some(Time::from_millis(700_000)));
    stage.futures.timer(Time::from_millis(699_999));
    assert_eq!(stage.futures.open_orders(A, None).unwrap().len(), 3);
    stage.futures.timer(Time::from_millis(700_000));
    let ended = stage.futures.order(A, &btc(), &OrderRef::Id(order.id)).unwrap();
    assert_eq!(ended.expiry, Some(crate::exchange::Expiry::GoodTillDate));
    let now = Time::from_millis(700_000);
    stage.futures.countdown_cancel_all(now, A, &btc(), Span::from_secs(10)).unwrap();
    stage.futures.timer(Time::from_millis(709_999));
    assert_eq!(stage.futures.open_orders(A, None).unwrap().len(), 2);
    stage.futures.timer(Time::from_millis(710_000));
    let left = stage.futures.open_orders(A, None).unwrap();
    assert_eq!(left.iter().map(|order| &order.symbol).collect::<Vec<_>>(), [&eth()]);
}
