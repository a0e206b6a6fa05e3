//! When an order that nobody answered for counts as never placed, and how often it is asked for until then.

use super::*;

fn asks_about_it(query: &Query) -> bool {
    matches!(query, Query::Order { .. } | Query::OrderByVenueId { .. })
}

/// Milliseconds since then at which the order was asked about, until the engine is asked by a cancel, or for so long.
fn rounds(bench: &mut Bench, since: Time, until: Span, answer: &Answer) -> Vec<i64> {
    let mut asked = Vec::new();
    while bench.now.since(since) < until {
        // What is due at once follows in the same instant.
        for _ in 0..2 {
            if bench.script.0.borrow().queries.iter().any(|(_, query)| asks_about_it(query)) {
                asked.push(bench.now.since(since).millis());
            }
            bench.answer(|query| match query {
                query if asks_about_it(query) => answer.clone(),
                query => Bench::exchange(&[], &[], query),
            });
            bench.wait(Span::ZERO);
        }
        if !bench.script.0.borrow().canceled.is_empty() {
            return asked;
        }
        bench.wait(Span::from_millis(100));
    }
    asked
}

fn replied(bench: &mut Bench, id: &ClientOrderId, outcome: CancelOutcome) {
    bench.script.0.borrow_mut().canceled.clear();
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
}

fn too_many() -> CancelOutcome {
    CancelOutcome::Rejected { code: -1003, message: "too many".to_owned() }
}

/// An order whose reply was lost at once.
fn lost_order() -> (Bench, ClientOrderId, Time) {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    let sent = bench.now;
    (bench, id, sent)
}

#[test]
fn r07_absence_is_proven_within_twelve_seconds_of_the_receive_window() {
    let minute = Span::from_secs(60);
    let expected: [&[i64]; 2] = [
        &[0, 300, 900, 2_100, 4_100, 6_100, 8_100, 10_100, 12_000, 13_500],
        &[8_000, 8_300, 8_900, 10_100, 12_000, 13_500],
    ];
    for (late, expected) in [0, 8].into_iter().zip(expected) {
        let mut bench = Bench::ready();
        let (id, sent) = (bench.order(1), bench.now);
        bench.wait(Span::from_secs(late));
        bench.says(vec![lost(&id)]);
        assert_eq!(rounds(&mut bench, sent, minute, &Answer::NotFound), expected, "{late} seconds late");
        assert_eq!(bench.now.since(sent), Span::from_millis(13_500), "the engine is asked");
        assert_eq!(bench.events().last().unwrap(), "UNKNOWN 0");
        replied(&mut bench, &id, CancelOutcome::UnknownOrder);
        assert_eq!(bench.events().last().unwrap(), "REJECTED 0");
        assert_eq!(rounds(&mut bench, sent, minute, &Answer::NotFound), [0; 0], "it is over");
    }
}

#[test]
fn r07_the_time_of_an_order_of_an_earlier_run_begins_with_this_one() {
    // The clock may have been set in between: by its stamp the order may be of the future, or hours old.
    for apart in [-3_600, 3_600] {
        let mut first = Bench::ready();
        let id = first.order(1);
        let start = START + Span::from_secs(apart);
        let mut bench = Bench::new(first.journal.clone(), Vec::new(), start);
        bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
        rounds(&mut bench, start, Span::from_secs(60), &Answer::NotFound);
        assert_eq!(bench.script.0.borrow().canceled.len(), 1, "{apart}");
        assert_eq!(bench.now.since(start), Span::from_millis(13_500), "{apart}");
        assert!(!bench.gateway.orders().get(&id).unwrap().state.is_over());
    }
}

#[test]
fn questions_about_an_order_that_fail_are_asked_ever_less_often() {
    let (mut bench, _, sent) = lost_order();
    let failed = Answer::Failed("-1003".to_owned());
    let asked = rounds(&mut bench, sent, Span::from_secs(20), &failed);
    let pauses: Vec<i64> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses[0] >= 300 && pauses.is_sorted() && pauses[pauses.len() - 1] == 2_000, "{asked:?}");
    assert!(bench.script.0.borrow().canceled.is_empty(), "that it could not be asked proves nothing");
}

#[test]
fn a_probe_that_cannot_be_sent_is_sent_two_seconds_later() {
    let (mut bench, _, sent) = lost_order();
    bench.script.0.borrow_mut().refuse_cancels = Some((0, NotSent::Disconnected));
    rounds(&mut bench, sent, Span::from_secs(14), &Answer::NotFound);
    bench.script.0.borrow_mut().refuse_cancels = None;
    assert_eq!(rounds(&mut bench, sent, Span::from_secs(60), &Answer::NotFound), [0; 0]);
    assert_eq!(bench.now.since(sent), Span::from_millis(15_500));
}

#[test]
fn r07_a_probe_without_a_clear_answer_proves_nothing_and_all_is_asked_anew() {
    for outcome in [too_many(), CancelOutcome::Unknown("-1007".to_owned())] {
        let (mut bench, id, sent) = lost_order();
        rounds(&mut bench, sent, Span::from_secs(60), &Answer::NotFound);
        replied(&mut bench, &id, outcome);
        let asked = rounds(&mut bench, sent, Span::from_secs(60), &Answer::NotFound);
        assert_eq!(asked, [15_500, 17_000], "two more rounds, after a pause");
        assert_eq!(bench.now.since(sent), Span::from_secs(17));
        replied(&mut bench, &id, CancelOutcome::UnknownOrder);
        assert_eq!(bench.events().last().unwrap(), "REJECTED 0");
    }
}

/// What the session's own cancel has done the probe would take for absence.
#[test]
fn r07_a_cancel_of_the_session_that_may_have_worked_makes_what_was_not_found_count_no_more() {
    let (mut bench, id, sent) = lost_order();
    let cancel = json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}});
    let before = rounds(&mut bench, sent, Span::from_millis(12_500), &Answer::NotFound);
    assert_eq!(before.last(), Some(&12_000), "the first round that counts");
    bench.call(&cancel);
    assert_eq!(std::mem::take(&mut bench.script.0.borrow_mut().canceled).len(), 1);
    // While its reply is awaited nobody asks the engine a second time.
    assert_eq!(rounds(&mut bench, sent, Span::from_secs(24), &Answer::NotFound), [13_500]);
    assert!(bench.script.0.borrow().canceled.is_empty());
    replied(&mut bench, &id, CancelOutcome::Unknown("-1007".to_owned()));
    let asked = rounds(&mut bench, sent, Span::from_secs(60), &Answer::NotFound);
    assert_eq!(asked.len(), 2, "two more rounds before the engine is asked: {asked:?}");
    assert_eq!(bench.script.0.borrow().canceled.len(), 1);
    assert_eq!(bench.events().last().unwrap(), "UNKNOWN 0", "{:?}", bench.events());
    replied(&mut bench, &id, CancelOutcome::UnknownOrder);
    assert_eq!(bench.events().last().unwrap(), "REJECTED 0");
}

#[test]
fn r07_a_cancel_that_is_never_answered_keeps_nothing_in_doubt_for_ever() {
    let (mut bench, id, sent) = lost_order();
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    bench.script.0.borrow_mut().canceled.clear();
    rounds(&mut bench, sent, Span::from_secs(60), &Answer::NotFound);
    assert_eq!(bench.script.0.borrow().canceled.len(), 1);
    assert!(bench.now.since(sent) <= Span::from_secs(16), "{:?}", bench.now.since(sent));
}

#[test]
fn an_order_of_the_last_run_is_asked_about_when_the_list_lacks_it_or_does_not_come() {
    for listed in [true, false] {
        let mut first = Bench::ready();
        let id = first.order(1);
        first.says(vec![accepted(&id)]);
        let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
        bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
        let asks = |bench: &Bench| bench.script.0.borrow().queries.iter().any(|(_, q)| asks_about_it(q));
        bench.wait(Span::from_secs(2));
        assert!(!asks(&bench), "the list may say it");
        bench.answer(|query| match query {
            Query::OpenOrders if !listed => Answer::Failed("-1003".to_owned()),
            query => Bench::exchange(&[], &[], query),
        });
        assert_eq!(asks(&bench), listed, "at once");
        bench.script.0.borrow_mut().queries.clear();
        bench.wait(Span::from_millis(2_900));
        assert!(!asks(&bench), "asked once");
        bench.wait(Span::from_millis(100));
        assert_eq!(asks(&bench), !listed, "after five seconds");
    }
}

#[test]
fn r26_somebody_elses_order_that_is_not_shown_is_not_called_over() {
    let mut bench = Bench::ready();
    let id = ClientOrderId::foreign("web_1");
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    bench.wait(Span::from_secs(60));
    let since = bench.now;
    rounds(&mut bench, since, Span::from_secs(120), &Answer::NotFound);
    assert_eq!(bench.gateway.orders().open().count(), 1, "nobody has said that it is over");
}

#[test]
fn r17_an_order_that_was_put_away_is_over_when_the_fills_it_counts_are_booked() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::PartiallyFilled, 4, None))]);
    bench.wait(Span::from_secs(60));
    let since = bench.now;
    let asked = rounds(&mut bench, since, Span::from_secs(50), &Answer::Archived);
    assert_eq!(asked.len(), 1, "it is not asked again for a minute: {asked:?}");
    assert!(!bench.gateway.orders().get(&id).unwrap().state.is_over(), "{:?}", bench.events());
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    assert_eq!(bench.events().last().unwrap(), "EXPIRED 4");
}

#[test]
fn a_pending_order_of_a_symbol_the_exchange_does_not_have_was_never_placed() {
    let first = Bench::ready();
    let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
    bench.recover(&[], &[]);
    bench.pending = json!([{"epoch": first.gateway.epoch, "method": "order", "params": {"n": 7,
        "symbol": "nopeusdt", "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["answers"][0]["error"]["name"], "invalid_symbol", "{reply}");
    assert_eq!(bench.gateway.orders().open().count(), 0);
}

#[test]
fn a_pending_stop_is_asked_for_where_the_exchange_keeps_it() {
    let first = Bench::ready();
    for (kind, apart) in [("STOP_LOSS", true), ("STOP_LOSS", false), ("MARKET", true)] {
        let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
        let mut doge = doge();
        doge.rules.conditionals_apart = apart;
        bench.says(vec![VenueEvent::Instruments(vec![doge])]);
        let mut order = json!({"n": 7, "symbol": "dogeusdt", "side": "BUY", "type": kind, "qty": "10"});
        if kind == "STOP_LOSS" {
            order["stop_price"] = json!("0.3");
        }
        bench.pending = json!([{"epoch": first.gateway.epoch, "method": "order", "params": order}]);
        let reply = bench.login(None);
        assert_eq!(reply["result"]["answers"], json!([null]), "being found out");
        let id = first.gateway.order_id(first.gateway.epoch, SessionId(1), 7);
        assert_eq!(bench.gateway.orders().get(&id).unwrap().waits(), apart && kind == "STOP_LOSS");
    }
}
