//! Orders nobody answered for.

use super::*;

#[test]
fn row_004_64_r03_an_unknown_outcome_is_never_a_rejection() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0"]);
    bench.answer(|_| Answer::NotFound);
    bench.wait(Span::from_secs(1));
    bench.answer(|_| Answer::Order(Box::new(report(&id, VenueStatus::New, 0, None))));
    assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0", "NEW 0"]);
    assert_eq!(bench.script.0.borrow().placed.len(), 1, "never sent again");
}

#[test]
fn r07_absence_needs_proof() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    let mut probe_at = None;
    for second in 0..60 {
        bench.answer(|_| Answer::NotFound);
        if probe_at.is_none() && !bench.script.0.borrow().canceled.is_empty() {
            probe_at = Some(second);
            assert!(second >= 13, "not before receive window, ten seconds and two rounds: {second}");
            assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0"]);
            bench
                .says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
        }
        bench.wait(Span::from_secs(1));
    }
    assert!(probe_at.is_some(), "the engine was asked");
    assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0", "REJECTED 0"]);
    assert_eq!(bench.sent.last().unwrap()["order"]["code"], -30007);
    // And if it lives after all, it is adopted, loudly.
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    assert_eq!(bench.net(), Qty::whole(4));
    assert!(bench.events().contains(&"notice resurrected".to_owned()), "{:?}", bench.events());
}

#[test]
fn a_pending_order_of_an_earlier_run_is_never_called_a_failure() {
    let first = Bench::ready();
    // The next run has not reached the exchange yet: it does not even know the symbols.
    let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
    bench.pending = json!([{"epoch": first.gateway.epoch, "method": "order", "params": {"n": 7, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["answers"], json!([null]), "being found out");
    let id = first.gateway.order_id(first.gateway.epoch, SessionId(1), 7);
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status().as_str(), "UNKNOWN");
    bench.recover(&[report(&id, VenueStatus::PartiallyFilled, 4, None)], &[fill(1, 4)]);
    assert_eq!(bench.net(), Qty::whole(4));
}
