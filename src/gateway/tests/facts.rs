//! What reports and replies change, and what they do not.

use super::*;
use crate::limits::Bounds;

fn order<'a>(bench: &'a Bench, id: &ClientOrderId) -> &'a crate::order::state::Order {
    bench.gateway.orders().get(id).unwrap()
}

fn working() -> (Bench, ClientOrderId) {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    (bench, id)
}

fn cancel(bench: &mut Bench, id: &ClientOrderId, outcome: CancelOutcome) {
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
}

fn trades_asked(bench: &Bench) -> usize {
    let queries = &bench.script.0.borrow().queries;
    queries.iter().filter(|(_, query)| matches!(query, Query::TradesOfOrder { .. })).count()
}

#[test]
fn r21_a_session_is_told_of_a_cancel_that_did_not_work_while_the_order_is_open() {
    let rejected = CancelOutcome::Rejected { code: -1003, message: "too many".to_owned() };
    for (outcome, code) in
        [(CancelOutcome::UnknownOrder, ErrorCode::UnknownOrder), (rejected, ErrorCode::Rejected)]
    {
        let (mut bench, id) = working();
        cancel(&mut bench, &id, outcome.clone());
        let told = bench.sent.iter().find(|frame| frame["event"] == "cancel_reject").expect("told");
        assert_eq!(
            (told["order_id"].as_str(), told["code"].as_i64()),
            (Some(id.as_str()), Some(code.code()))
        );
        // The reply came behind the order's end.
        let (mut bench, id) = working();
        bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
        bench.says(vec![event(report(&id, VenueStatus::Canceled, 0, None))]);
        bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
        assert_eq!(bench.events(), ["snapshot", "NEW 0", "CANCELED 0"], "nothing more to say");
    }
}

#[test]
fn r21_an_order_the_exchange_has_renamed_is_cancelled_by_its_new_name() {
    let (mut bench, id) = working();
    let renamed = ClientOrderId::foreign("renamed");
    bench.says(vec![event(report(&renamed, VenueStatus::New, 0, None))]);
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    assert_eq!(bench.script.0.borrow().canceled[0].known_as, renamed);
}

#[test]
fn r51_an_adopted_order_is_shown_with_its_price() {
    let mut bench = Bench::ready();
    let id = bench.gateway.order_id(1, SessionId(1), 9);
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    let shown = &bench.sent.last().unwrap()["order"];
    assert_eq!((&shown["price"], &shown["qty"]), (&json!("0.2"), &json!("10")), "{shown}");
    assert_eq!(order(&bench, &id).stop, None);
}

/// Its end is known, its fills are not: meanwhile its strategy may cancel it, as any order it has open.
#[test]
fn an_adopted_order_whose_fills_are_missing_is_one_like_any_other() {
    let mut bench = Bench::ready();
    let id = bench.gateway.order_id(1, SessionId(1), 9);
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, None))]);
    assert_eq!(order(&bench, &id).state, crate::order::state::State::Working);
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
    bench.answer(|query| match query {
        Query::TradesOfOrder { .. } => Answer::Trades(vec![fill(1, 10)]),
        other => Bench::exchange(&[], &[], other),
    });
    assert_eq!((order(&bench, &id).status().as_str(), bench.net()), ("FILLED", Qty::whole(10)));
    let impossible = |log: &&String| log.starts_with("impossible order event");
    assert_eq!(bench.logs.iter().find(impossible), None);
}

#[test]
fn r47_an_order_of_an_earlier_epoch_that_is_made_now_is_another_gateways() {
    let id = |bench: &Bench| bench.gateway.order_id(1, SessionId(1), 9);
    let made = |bench: &Bench, status, seconds| OrderReport {
        time: START + Span::from_secs(seconds),
        ..report(&id(bench), status, 0, None)
    };
    for (status, seconds, theirs) in [
        (VenueStatus::New, 10, true),
        (VenueStatus::New, 1, false),
        (VenueStatus::New, -10, false),
        (VenueStatus::Canceled, 10, false),
    ] {
        let mut bench = Bench::ready();
        bench.says(vec![event(made(&bench, status, seconds))]);
        assert_eq!(bench.gateway.foreign_gateway.is_some(), theirs, "{status:?} {seconds}");
    }
    // An answer tells when an order was changed last, not when it was made.
    let mut bench = Bench::ready();
    let open = made(&bench, VenueStatus::New, 10);
    bench.wait(Span::from_secs(60));
    bench.answer(|query| Bench::exchange(std::slice::from_ref(&open), &[], query));
    assert!(bench.gateway.orders().get(&id(&bench)).is_some() && bench.gateway.foreign_gateway.is_none());
}

#[test]
fn the_reason_of_an_end_is_the_ends_own() {
    let (mut bench, id) = working();
    cancel(&mut bench, &id, CancelOutcome::Unknown("-1007".to_owned()));
    // Asked for in vain, which is told with the reason for the doubt.
    bench.wait(Span::from_secs(60));
    bench.answer(|query| Bench::exchange(&[], &[], query));
    cancel(&mut bench, &id, CancelOutcome::Unknown("-1007 again".to_owned()));
    assert_eq!(order(&bench, &id).reason.as_deref(), Some("-1007 again"));
    bench.says(vec![event(report(&id, VenueStatus::Canceled, 0, None))]);
    assert_eq!(order(&bench, &id).reason, None, "cancelled as was wished");
    let (mut bench, id) = working();
    let reason = Some("by the exchange".to_owned());
    bench.says(vec![event(OrderReport { reason, ..report(&id, VenueStatus::Expired, 0, None) })]);
    assert_eq!(bench.sent.last().unwrap()["order"]["reason"], "by the exchange");
    bench.says(vec![event(report(&id, VenueStatus::Expired, 0, None))]);
    assert_eq!(order(&bench, &id).reason.as_deref(), Some("by the exchange"), "a second report knows none");
}

#[test]
fn r14_only_rejections_count_as_rejections() {
    let bounds = Bounds { rejects_per_minute: Some(2), ..Bounds::default() };
    let mut bench = Bench::of(
        GatewayConfig { limits: Limits { session: bounds, ..Limits::default() }, ..config() },
        vec![doge_is_read()],
        Vec::new(),
        START,
    );
    bench.recover(&[], &[]);
    bench.login(None);
    for n in 1..=5 {
        let id = bench.order(n);
        let canceled = OrderReport { venue_id: 100 + n, ..report(&id, VenueStatus::Canceled, 0, None) };
        bench.says(vec![event(canceled)]);
    }
    bench.order(6);
    assert!(bench.events().iter().all(|told| !told.starts_with("notice")), "{:?}", bench.events());
}

#[test]
fn what_fills_have_cost_is_their_sum() {
    let (mut bench, id) = working();
    bench.says(vec![
        event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4)))),
        event(report(&id, VenueStatus::Filled, 10, Some(fill(2, 6)))),
    ]);
    let shown = &bench.sent.last().unwrap()["order"];
    assert_eq!((&shown["filled"], &shown["filled_quote"]), (&json!("10"), &json!("2")), "{shown}");
}

#[test]
fn r17_the_events_of_a_reply_have_half_a_second_to_come() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let outcome = PlaceOutcome::Accepted(Box::new(report(&id, VenueStatus::Filled, 10, None)));
    bench.says(vec![VenueEvent::Placed { id, outcome }]);
    bench.wait(Span::from_millis(400));
    assert_eq!(trades_asked(&bench), 0);
    bench.wait(Span::from_millis(100));
    assert_eq!(trades_asked(&bench), 1);
}

#[test]
fn r17_missing_fills_are_asked_for_again_when_the_question_died_with_its_link() {
    let (mut bench, id) = working();
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 6, None))]);
    assert_eq!(trades_asked(&bench), 1);
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned()), VenueEvent::EntryUp]);
    bench.script.0.borrow_mut().queries.clear();
    // An event that counts no more than is booked, but something is missing still.
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 2, Some(fill(1, 2))))]);
    assert_eq!(trades_asked(&bench), 1);
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 3, Some(fill(2, 1))))]);
    assert_eq!(trades_asked(&bench), 1, "one question at a time");
}

#[test]
fn r16_a_fill_learnt_by_a_query_is_evidence_that_its_order_lives() {
    let (mut bench, id) = working();
    bench.gateway.late_fill(bench.now, &id, &fill(1, 4));
    bench.wait(Span::ZERO);
    assert_eq!(bench.events().last().unwrap(), "PARTIALLY_FILLED 4");
    assert!(!bench.gateway.doubts.holds(&id), "it lives, and nothing is to be asked");
    // It has lived through a cancel of which nothing was heard: that is wished for still.
    cancel(&mut bench, &id, CancelOutcome::Unknown("-1007".to_owned()));
    assert_eq!(order(&bench, &id).state, crate::order::state::State::Unknown);
    bench.script.0.borrow_mut().canceled.clear();
    bench.gateway.late_fill(bench.now, &id, &fill(2, 2));
    bench.wait(Span::ZERO);
    assert_eq!(bench.script.0.borrow().canceled.len(), 1);
    assert_eq!(bench.events().last().unwrap(), "PARTIALLY_FILLED 6");
}

#[test]
fn an_order_called_filled_stays_so_whatever_lags() {
    let mut bench = Bench::perpetual();
    let id = bench.send(1, &json!({}));
    bench.says(vec![accepted(&id)]);
    let changed = |qty: i64, seconds: i64, filled: i64| OrderReport {
        qty: Qty::whole(qty),
        time: START + Span::from_secs(seconds),
        ..report(&id, if filled > 0 { VenueStatus::PartiallyFilled } else { VenueStatus::New }, filled, None)
    };
    // Made larger, and smaller again.
    bench.says(vec![event(changed(20, 20, 0)), event(changed(10, 30, 0))]);
    bench.gateway.late_fill(bench.now, &id, &fill(1, 4));
    bench.gateway.late_fill(bench.now, &id, &fill(2, 6));
    bench.wait(Span::ZERO);
    assert_eq!(bench.events().last().unwrap(), "FILLED 10");
    bench.says(vec![event(changed(20, 20, 0)), event(changed(20, 20, 4))]);
    bench.says(vec![event(changed(10, 40, 4))]);
    assert_eq!(order(&bench, &id).status().as_str(), "FILLED");
    assert!(bench.logs.iter().all(|line| !line.contains("called filled")), "{:?}", bench.logs);
}

#[test]
fn balances_are_shown_as_the_exchange_told_them_last() {
    let mut bench = Bench::ready();
    let doge = Balance::new(Asset::new("DOGE"), Cash::whole(5), Cash::whole(2));
    bench.says(vec![VenueEvent::Balances(vec![doge])]);
    let shown = bench.call(&json!({"id": 9, "method": "balances"}))["result"].clone();
    let of = |asset: &str| {
        let row = shown.as_array().unwrap().iter().find(|row| row["asset"] == asset).unwrap();
        (row["free"].clone(), row["locked"].clone())
    };
    assert_eq!(of("DOGE"), (json!("5"), json!("2")));
    assert_eq!(of("USDT"), (json!("1000"), json!("0")));
}

#[test]
fn what_is_waited_for_no_longer_is_what_was_counted_and_never_booked() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let counts = |filled: i64, shown: Option<Fill>| report(&id, VenueStatus::PartiallyFilled, filled, shown);
    bench.says(vec![accepted(&id), event(counts(2, Some(fill(1, 2)))), event(counts(6, None))]);
    for _ in 0..1_200 {
        bench.wait(Span::from_secs(1));
        bench.answer(|query| Bench::exchange(&[counts(6, None)], &[fill(1, 2)], query));
    }
    let sums =
        |bench: &Bench| (order(bench, &id).filled, order(bench, &id).lacking, order(bench, &id).has_gap());
    assert_eq!(sums(&bench), (Qty::whole(2), Qty::whole(4), false));
    bench.says(vec![event(counts(6, Some(fill(2, 1))))]);
    assert_eq!(sums(&bench), (Qty::whole(3), Qty::whole(3), false), "one of them came late");
    bench.script.0.borrow_mut().queries.clear();
    bench.says(vec![event(counts(7, None))]);
    assert!(sums(&bench).2);
    assert_eq!(trades_asked(&bench), 1, "another is missing");
}
