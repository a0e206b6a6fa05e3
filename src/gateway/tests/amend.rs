//! Orders that are changed, and what is believed of them meanwhile.

use super::*;
use crate::market::OrderStatus;

/// A perpetual's order for 10 that works at the exchange.
fn working() -> (Bench, ClientOrderId) {
    let mut bench = Bench::perpetual();
    let id = bench.send(1, &json!({}));
    bench.says(vec![accepted(&id)]);
    (bench, id)
}

fn amend(bench: &mut Bench, n: u64, id: &ClientOrderId, changes: &Value) -> String {
    let mut params = json!({"n": n, "order_id": id.as_str()});
    for (key, value) in changes.as_object().unwrap() {
        params[key] = value.clone();
    }
    let reply = bench.call(&json!({"id": 50 + n, "method": "amend", "params": params}));
    reply["error"]["name"].as_str().unwrap_or("sent").to_owned()
}

/// The order as the exchange has it since the amend: for 20, of which so many are filled.
fn for_twenty(id: &ClientOrderId, status: VenueStatus, filled: i64) -> OrderReport {
    let time = START + Span::from_secs(20);
    OrderReport { qty: Qty::whole(20), time, ..report(id, status, filled, None) }
}

fn is_asked_of_trades(query: &Query) -> bool {
    matches!(query, Query::TradesFrom { .. } | Query::TradesSince { .. } | Query::TradesOfOrder { .. })
}

#[test]
fn r17_an_order_amended_by_a_lost_request_is_not_called_filled_by_what_it_was() {
    let (mut bench, id) = working();
    assert_eq!(amend(&mut bench, 2, &id, &json!({"qty": "20"})), "sent");
    let outcome = AmendOutcome::Unknown("lost".to_owned());
    bench.says(vec![
        VenueEvent::AmendReply { id: id.clone(), outcome },
        VenueEvent::EntryDown("reset".to_owned()),
    ]);
    bench.script.0.borrow_mut().queries.clear();
    bench.says(vec![VenueEvent::EntryUp]);
    // Carried out all the same, and ten are filled. The trades are told before the open orders.
    let (trades, others): (Vec<_>, Vec<_>) = std::mem::take(&mut bench.script.0.borrow_mut().queries)
        .into_iter()
        .partition(|(_, q)| is_asked_of_trades(q));
    assert!(!trades.is_empty());
    for (request, _) in trades {
        bench.says(vec![VenueEvent::Answer { request, answer: Answer::Trades(vec![fill(1, 10)]) }]);
    }
    assert_eq!(bench.net(), Qty::whole(10));
    assert!(!bench.gateway.orders().get(&id).unwrap().state.is_over(), "ten more may fill");
    let exchange = |id: &ClientOrderId, query: &Query| match query {
        Query::Order { .. } | Query::OrderByVenueId { .. } => {
            Answer::Order(Box::new(for_twenty(id, VenueStatus::PartiallyFilled, 10)))
        }
        query => Bench::exchange(&[for_twenty(id, VenueStatus::PartiallyFilled, 10)], &[fill(1, 10)], query),
    };
    for (request, query) in others {
        bench.says(vec![VenueEvent::Answer { request, answer: exchange(&id, &query) }]);
    }
    bench.answer(|query| exchange(&id, query));
    let order = bench.gateway.orders().get(&id).unwrap().clone();
    assert_eq!((order.status(), order.left()), (OrderStatus::PartiallyFilled, Qty::whole(10)));
    let all = bench.call(&json!({"id": 9, "method": "cancel_all", "params": {"n": 3}}));
    assert_eq!(all["result"]["order_ids"], json!([id.as_str()]));
    assert!(bench.logs.iter().all(|line| !line.contains("called filled")), "{:?}", bench.logs);
}

#[test]
fn an_order_filled_while_its_amend_is_under_way_is_asked_for_until_its_end_is_seen() {
    let (mut bench, id) = working();
    assert_eq!(amend(&mut bench, 2, &id, &json!({"qty": "20"})), "sent");
    bench.gateway.late_fill(bench.now, &id, &fill(1, 10));
    bench.wait(Span::ZERO);
    // The engine had filled it before: the amend finds nothing to change.
    let outcome = AmendOutcome::Rejected { code: -2013, message: "Order does not exist.".to_owned() };
    bench.says(vec![VenueEvent::AmendReply { id: id.clone(), outcome }]);
    assert!(!bench.gateway.orders().get(&id).unwrap().state.is_over());
    let end = report(&id, VenueStatus::Filled, 10, None);
    bench.answer(|query| match query {
        Query::Order { .. } | Query::OrderByVenueId { .. } => Answer::Order(Box::new(end.clone())),
        query => Bench::exchange(&[], &[fill(1, 10)], query),
    });
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status(), OrderStatus::Filled);
}

#[test]
fn an_order_called_filled_that_the_exchange_has_open_is_open_again_loudly() {
    let (mut bench, id) = working();
    bench.gateway.late_fill(bench.now, &id, &fill(1, 10));
    bench.wait(Span::ZERO);
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status(), OrderStatus::Filled);
    // A replica that lags shows it as it was.
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    assert!(bench.gateway.orders().get(&id).unwrap().state.is_over());
    // It had been changed by hand, and nobody here was told.
    bench.says(vec![event(for_twenty(&id, VenueStatus::PartiallyFilled, 10))]);
    let order = bench.gateway.orders().get(&id).unwrap().clone();
    assert_eq!((order.status(), order.left()), (OrderStatus::PartiallyFilled, Qty::whole(10)));
    assert!(bench.logs.iter().any(|line| line.starts_with("an order that was called filled is open")));
    assert_eq!(
        bench.events().last_chunk(),
        Some(&["notice resurrected".to_owned(), "PARTIALLY_FILLED 10".into()])
    );
    assert_eq!(bench.gateway.orders().open().count(), 1);
}

#[test]
fn r58_an_amend_that_brings_risk_passes_only_where_an_order_does() {
    let (mut bench, id) = working();
    bench.input(Input::StoreFailed("disk full".to_owned()));
    for (n, changes) in
        [(2, json!({"qty": "20"})), (3, json!({"price": "0.21"})), (4, json!({"price": "0.19"}))]
    {
        assert_eq!(amend(&mut bench, n, &id, &changes), "store_failed", "{changes}");
    }
    assert_eq!(
        amend(&mut bench, 5, &id, &json!({"qty": "8"})),
        "sent",
        "less at the same price is like a cancel"
    );
    bench.input(Input::StoreRecovered);
    assert_eq!(amend(&mut bench, 6, &id, &json!({"qty": "20"})), "sent");
    bench.says(vec![VenueEvent::EntryDown("reset".to_owned()), VenueEvent::EntryUp]);
    assert_eq!(amend(&mut bench, 7, &id, &json!({"qty": "30"})), "not_ready", "it is being compared");
    assert_eq!(amend(&mut bench, 8, &id, &json!({"qty": "7"})), "sent");
    bench.gateway.foreign_gateway = Some("o1".to_owned());
    assert_eq!(amend(&mut bench, 9, &id, &json!({"qty": "30"})), "foreign_gateway");
    assert_eq!(bench.script.0.borrow().amended.len(), 3);
}
