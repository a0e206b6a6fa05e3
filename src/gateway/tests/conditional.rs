//! Conditional orders, from their own numbers to the orders they trigger.

use super::*;

const CONDITIONAL: u64 = 5;
const CHILD: u64 = 900;

/// A stop of session 1, waiting under its own number.
fn stopped() -> (Bench, ClientOrderId) {
    let mut bench = Bench::perpetual();
    let id = send_stop(&mut bench);
    let accepted = PlaceOutcome::Accepted(Box::new(waits(&id)));
    bench.says(vec![VenueEvent::Placed { id: id.clone(), outcome: accepted }]);
    (bench, id)
}

fn send_stop(bench: &mut Bench) -> ClientOrderId {
    bench.send(1, &json!({"type": "STOP_LOSS", "price": null, "stop_price": "0.21"}))
}

fn waits(id: &ClientOrderId) -> OrderReport {
    OrderReport {
        venue_id: 0,
        conditional_id: Some(CONDITIONAL),
        order_type: Some(OrderType::StopLoss),
        price: Price::ZERO,
        ..report(id, VenueStatus::New, 0, None)
    }
}

/// The report of the conditional order that names what came of it.
fn triggered(id: &ClientOrderId) -> OrderReport {
    OrderReport { venue_id: CHILD, ..waits(id) }
}

/// A report of what was triggered, under a client id the venue made up.
fn child(status: VenueStatus, filled: i64) -> OrderReport {
    let name = ClientOrderId::foreign("algo-made-1");
    let fill = (filled > 0).then(|| Fill { venue_id: CHILD, ..fill(1, filled) });
    OrderReport {
        venue_id: CHILD,
        order_type: Some(OrderType::Market),
        price: Price::ZERO,
        ..report(&name, status, filled, fill)
    }
}

fn asked(bench: &Bench) -> Vec<Query> {
    bench.script.0.borrow().queries.iter().map(|(_, query)| query.clone()).collect()
}

fn parent_query(id: &ClientOrderId) -> Query {
    Query::Order { symbol: Symbol::new("dogeusdt"), client_id: id.clone(), conditional: true }
}

fn child_query() -> Query {
    Query::OrderByVenueId { symbol: Symbol::new("dogeusdt"), venue_id: CHILD }
}

fn external(bench: &Bench) -> usize {
    bench.journal.iter().filter(|r| matches!(r, Record::Order(order) if order.session.is_none())).count()
}

#[test]
fn row_004_74_a_stop_is_followed_to_the_order_it_triggers() {
    let (mut bench, id) = stopped();
    assert_eq!(bench.events(), ["snapshot", "NEW 0"]);
    assert_eq!(bench.sent.last().unwrap()["order"]["conditional_id"], CONDITIONAL);
    bench.says(vec![event(triggered(&id))]);
    assert_eq!(asked(&bench), [child_query()], "it may have filled before anybody listened");
    bench.answer(|_| Answer::Order(Box::new(child(VenueStatus::New, 0))));
    bench.says(vec![event(child(VenueStatus::Filled, 10))]);
    assert_eq!(bench.net(), Qty::whole(10));
    let last = &bench.sent.last().unwrap()["order"];
    assert_eq!((&last["state"], &last["type"]), (&json!("FILLED"), &json!("STOP_LOSS")));
    assert_eq!(last["venue_order_id"], CHILD);
    // The conditional service's own word that it is done says nothing of the child.
    bench.says(vec![event(OrderReport { status: VenueStatus::Canceled, ..triggered(&id) })]);
    assert_eq!(bench.sent.last().unwrap()["order"]["state"], "FILLED");
}

#[test]
fn row_004_74_a_child_heard_of_before_its_link_waits_for_it() {
    let (mut bench, id) = stopped();
    bench.says(vec![event(child(VenueStatus::Filled, 10))]);
    assert_eq!((bench.net(), external(&bench)), (Qty::ZERO, 0), "it may be anybody's");
    assert_eq!(asked(&bench), [parent_query(&id)]);
    bench.says(vec![event(triggered(&id))]);
    assert_eq!((bench.net(), external(&bench)), (Qty::whole(10), 0));
    assert_eq!(bench.events().last().unwrap(), "FILLED 10");
}

#[test]
fn row_004_74_a_lost_link_is_asked_for() {
    let (mut bench, id) = stopped();
    bench.says(vec![event(child(VenueStatus::Filled, 10))]);
    // A replica that lags does not know of the trigger yet.
    bench.answer(|_| Answer::Order(Box::new(waits(&id))));
    assert_eq!(external(&bench), 0);
    bench.wait(Span::from_secs(5));
    bench.answer(|_| Answer::Order(Box::new(triggered(&id))));
    assert_eq!((bench.net(), external(&bench)), (Qty::whole(10), 0));
}

#[test]
fn row_004_73_a_foreign_order_beside_a_stop_is_external_once_the_stop_was_asked_for() {
    let (mut bench, id) = stopped();
    bench.says(vec![event(child(VenueStatus::Filled, 10))]);
    for _ in 0..2 {
        bench.answer(|_| Answer::Order(Box::new(waits(&id))));
        bench.wait(Span::from_secs(5));
    }
    assert_eq!((bench.net(), external(&bench)), (Qty::ZERO, 1));
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status().as_str(), "NEW");
}

#[test]
fn a_refusal_at_the_trigger_is_a_rejection_with_the_venues_words() {
    let (mut bench, id) = stopped();
    let reason = Some("Margin is insufficient.".to_owned());
    bench.says(vec![event(OrderReport { status: VenueStatus::Rejected, reason, ..waits(&id) })]);
    let order = &bench.sent.last().unwrap()["order"];
    assert_eq!((&order["state"], &order["reason"]), (&json!("REJECTED"), &json!("Margin is insufficient.")));
    assert_eq!(order["code"], ErrorCode::Rejected.code());
}

#[test]
fn recovery_reads_the_conditional_orders_too() {
    let (bench, id) = stopped();
    for known in [true, false] {
        let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
        after.says(vec![VenueEvent::Instruments(vec![perpetual::perpetual()]), VenueEvent::EntryUp]);
        assert!(asked(&after).contains(&Query::OpenConditionals));
        for _ in 0..4 {
            after.answer(|query| match query {
                Query::OpenConditionals if known => Answer::Orders(vec![waits(&id)]),
                Query::Order { .. } if known => Answer::Order(Box::new(waits(&id))),
                query => Bench::exchange(&[], &[], query),
            });
        }
        assert!(after.script.0.borrow().canceled.is_empty(), "what once lived is never probed by a cancel");
        assert_eq!(after.gateway.orders().get(&id).unwrap().status().as_str(), "NEW", "known={known}");
    }
}

#[test]
fn r07_the_probe_of_a_stop_in_doubt_goes_to_the_conditional_orders() {
    let mut bench = Bench::perpetual();
    let id = send_stop(&mut bench);
    bench.says(vec![lost(&id)]);
    assert_eq!(asked(&bench), [parent_query(&id)]);
    for _ in 0..30 {
        bench.answer(|query| match query {
            Query::Order { .. } => Answer::NotFound,
            query => Bench::exchange(&[], &[], query),
        });
        bench.wait(Span::from_secs(1));
    }
    let canceled = bench.script.0.borrow().canceled.clone();
    assert_eq!(canceled.len(), 1);
    assert!(canceled[0].conditional && canceled[0].conditional_id.is_none());
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
    assert_eq!(bench.sent.last().unwrap()["order"]["code"], ErrorCode::NotPlaced.code());
}

#[test]
fn a_stop_is_cancelled_among_the_conditional_orders() {
    let (mut bench, id) = stopped();
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    let cancel = bench.script.0.borrow().canceled[0].clone();
    assert_eq!((cancel.conditional, cancel.conditional_id, cancel.venue_id), (true, Some(CONDITIONAL), None));
    let ended = OrderReport { status: VenueStatus::Canceled, ..waits(&id) };
    bench.says(vec![VenueEvent::CancelReply { id, outcome: CancelOutcome::Canceled(Box::new(ended)) }]);
    assert_eq!(bench.events().last().unwrap(), "CANCELED 0");
}

#[test]
fn a_cancel_that_comes_too_late_for_the_stop_cancels_its_child() {
    let (mut bench, id) = stopped();
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
    assert_eq!(asked(&bench), [parent_query(&id)]);
    bench.answer(|_| Answer::Order(Box::new(triggered(&id))));
    let cancel = bench.script.0.borrow().canceled[1].clone();
    assert_eq!((cancel.conditional, cancel.venue_id), (false, Some(CHILD)));
    bench.says(vec![event(child(VenueStatus::Canceled, 4))]);
    assert_eq!(bench.events().last().unwrap(), "CANCELED 4");
}
