//! Orders nobody answered for.

use super::*;
use crate::order::state::State;

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

#[test]
fn a_pending_order_of_a_run_that_an_older_copy_of_the_journal_lacks_is_never_called_a_failure() {
    let first = Bench::ready();
    let begun = |bench: &Bench| Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    let (lost, mut bench) = (begun(&first), begun(&first));
    assert_eq!(
        lost.gateway.epoch, bench.gateway.epoch,
        "the copy is older than the run that was given it first"
    );
    bench.pending = json!([{"epoch": lost.gateway.epoch, "method": "order", "params": {"n": 7, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["answers"], json!([null]), "being found out");
    assert!(reply["result"]["epoch"].as_u64() > Some(lost.gateway.epoch.into()), "its id is not used again");
    let id = lost.gateway.order_id(lost.gateway.epoch, SessionId(1), 7);
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status().as_str(), "UNKNOWN");
}

/// Answers "not found" until the engine is asked by a cancel.
fn until_probed(bench: &mut Bench) {
    for _ in 0..60 {
        bench.answer(|_| Answer::NotFound);
        if !bench.script.0.borrow().canceled.is_empty() {
            return;
        }
        bench.wait(Span::from_secs(1));
    }
    panic!("never probed");
}

#[test]
fn r07_a_probe_that_worked_without_an_answer_is_found_under_its_own_name() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    until_probed(&mut bench);
    // The engine cancelled the order, which now bears the cancel's name; the reply is lost.
    let renamed = id.renamed(IdKind::Cancel).unwrap();
    let outcome = CancelOutcome::Unknown("-1007".to_owned());
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
    for _ in 0..20 {
        bench.wait(Span::from_secs(1));
        bench.answer(|q| match q {
            Query::Order { client_id, .. } if *client_id == renamed => {
                Answer::Order(Box::new(report(&renamed, VenueStatus::Canceled, 4, None)))
            }
            Query::TradesOfOrder { .. } => Answer::Trades(vec![fill(1, 4)]),
            _ => Answer::NotFound,
        });
        if bench.script.0.borrow().canceled.len() > 1 {
            let outcome = CancelOutcome::UnknownOrder;
            bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
        }
    }
    assert_eq!(bench.events().last().unwrap(), "CANCELED 4", "{:?}", bench.events());
}

#[test]
fn an_order_found_alive_after_a_probe_is_cancelled_only_where_somebody_wished_it() {
    for (wished, outcome) in [
        (false, CancelOutcome::Rejected { code: -1003, message: "too many".to_owned() }),
        (false, CancelOutcome::Unknown("-1007".to_owned())),
        (true, CancelOutcome::Unknown("-1007".to_owned())),
    ] {
        let mut bench = Bench::ready();
        let id = bench.order(1);
        bench.says(vec![lost(&id)]);
        if wished {
            bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
            let outcome = CancelOutcome::Unknown("-1007".to_owned());
            bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
            bench.script.0.borrow_mut().canceled.clear();
        }
        until_probed(&mut bench);
        bench.script.0.borrow_mut().canceled.clear();
        bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: outcome.clone() }]);
        bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
        assert_eq!(bench.events().last().unwrap(), "NEW 0");
        let canceled = bench.script.0.borrow().canceled.len();
        assert_eq!(canceled, usize::from(wished), "{outcome:?}");
        assert_eq!(bench.sent.last().unwrap()["order"]["canceling"] == true, wished);
    }
}

#[test]
fn r08_an_order_declared_absent_that_turns_up_ended_is_loud_too() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    until_probed(&mut bench);
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
    assert_eq!(bench.events().last().unwrap(), "REJECTED 0");
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    assert!(bench.events().contains(&"notice resurrected".to_owned()), "{:?}", bench.events());
    let order = &bench.sent.last().unwrap()["order"];
    assert_eq!((order["state"].as_str(), &order["code"]), (Some("FILLED"), &Value::Null), "{order}");
}

#[test]
fn r21_after_a_restart_an_unacknowledged_order_is_asked_for_by_its_cancels_name_too() {
    let mut first = Bench::ready();
    let id = first.order(1);
    first.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    let mut names = Vec::new();
    for _ in 0..4 {
        let queries = bench.script.0.borrow().queries.clone();
        names.extend(queries.into_iter().filter_map(|(_, q)| match q {
            Query::Order { client_id, .. } => Some(client_id),
            _ => None,
        }));
        bench.answer(|q| Bench::exchange(&[], &[], q));
    }
    assert!(names.contains(&id.renamed(IdKind::Cancel).unwrap()), "{names:?}");
}

/// An order the exchange has acknowledged, and then never shows again. Answers every question for a while, and gives
/// how often the order was asked for.
fn unshown(bench: &mut Bench, minutes: u32, answer: &Answer) -> usize {
    let mut asked = 0;
    for _ in 0..minutes {
        for _ in 0..3 {
            let queries = bench.script.0.borrow().queries.clone();
            asked += queries.iter().filter(|(_, q)| matches!(q, Query::OrderByVenueId { .. })).count();
            bench.answer(|q| match q {
                Query::OrderByVenueId { .. } => answer.clone(),
                q => Bench::exchange(&[], &[], q),
            });
        }
        bench.wait(Span::from_secs(60));
    }
    asked
}

#[test]
fn r26_an_order_the_exchange_has_put_away_is_over() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.wait(Span::from_secs(60));
    let asked = unshown(&mut bench, 30, &Answer::Archived);
    assert_eq!((asked, bench.events().last().unwrap().as_str()), (1, "EXPIRED 0"));
    assert!(bench.sent.last().unwrap()["order"]["reason"].as_str().unwrap().contains("ninety days"));
    assert!(bench.script.0.borrow().canceled.is_empty());
}

#[test]
fn r26_an_order_the_exchange_shows_no_more_is_asked_for_ever_less_often() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.wait(Span::from_secs(60));
    unshown(&mut bench, 30, &Answer::NotFound);
    let asked = unshown(&mut bench, 60, &Answer::NotFound);
    assert!((1..=61).contains(&asked), "once a minute: {asked}");
    assert!(bench.script.0.borrow().canceled.is_empty(), "no reason yet to think it forgotten");
    assert_eq!(bench.events().last().unwrap(), "NEW 0", "nothing is told without evidence");
}

#[test]
fn r26_the_end_of_a_forgotten_order_is_the_engines_word() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    bench.wait(Span::from_secs(60));
    unshown(&mut bench, 3 * 24 * 60 - 5, &Answer::NotFound);
    assert!(bench.script.0.borrow().canceled.is_empty(), "it may still be kept");
    unshown(&mut bench, 10, &Answer::NotFound);
    assert_eq!(bench.script.0.borrow().canceled.len(), 1);
    // The scripted exchange's balances know nothing of the fill: of that there are notices.
    let state =
        |bench: &Bench| bench.events().into_iter().rfind(|event| !event.starts_with("notice")).unwrap();
    assert_eq!(state(&bench), "PARTIALLY_FILLED 4", "the engine has not answered yet");
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
    assert_eq!(state(&bench), "EXPIRED 4");
    assert_eq!(unshown(&mut bench, 60, &Answer::NotFound), 0, "it is over");
}

#[test]
fn r26_a_forgotten_order_of_somebody_else_is_never_cancelled() {
    let mut bench = Bench::ready();
    let id = ClientOrderId::foreign("web_1");
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    bench.wait(Span::from_secs(60));
    unshown(&mut bench, 3 * 24 * 60 + 10, &Answer::NotFound);
    assert_eq!(bench.gateway.orders().open().count(), 0);
    assert!(bench.script.0.borrow().canceled.is_empty());
}

#[test]
fn r21_a_cancel_that_finds_nothing_is_not_repeated_while_replicas_still_show_the_order() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    bench.script.0.borrow_mut().queries.clear();
    let told = bench.sent.len();
    let mut asked = 0;
    // One second of a replica that answers at once and lags.
    for _ in 0..100 {
        let canceled = std::mem::take(&mut bench.script.0.borrow_mut().canceled);
        for cancel in &canceled {
            let outcome = CancelOutcome::UnknownOrder;
            bench.says(vec![VenueEvent::CancelReply { id: cancel.id.clone(), outcome }]);
            assert_eq!(bench.now, START + Span::from_secs(5), "cancelled once");
        }
        asked += bench.script.0.borrow().queries.len();
        bench.answer(|query| match query {
            Query::Order { .. } | Query::OrderByVenueId { .. } => {
                Answer::Order(Box::new(report(&id, VenueStatus::New, 0, None)))
            }
            query => Bench::exchange(&[report(&id, VenueStatus::New, 0, None)], &[], query),
        });
        bench.wait(Span::from_millis(10));
    }
    assert!((2..=5).contains(&asked), "asked again, with a pause that grows: {asked}");
    assert!(bench.sent.len() - told <= 4, "{:?}", &bench.sent[told..]);
    // It is shown longer than a replica may lag: the engine is asked once more.
    bench.wait(Span::from_secs(6));
    bench.answer(|query| match query {
        Query::OrderByVenueId { .. } => Answer::Order(Box::new(report(&id, VenueStatus::New, 0, None))),
        query => Bench::exchange(&[report(&id, VenueStatus::New, 0, None)], &[], query),
    });
    assert_eq!(bench.script.0.borrow().canceled.len(), 1);
    let end = VenueStatus::Canceled;
    let outcome = CancelOutcome::Canceled(Box::new(report(&id, end, 0, None)));
    bench.says(vec![VenueEvent::CancelReply { id, outcome }]);
    assert_eq!(bench.events().last().unwrap(), "CANCELED 0");
}

#[test]
fn r13_an_order_in_doubt_that_is_cancelled_at_every_tick_costs_no_request_at_every_tick() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    let (mut sent, mut told) = (0, bench.sent.len());
    for tick in 0..500 {
        let n = 2 + tick;
        bench.call(&match tick % 2 {
            0 => json!({"id": 9, "method": "cancel", "params": {"n": n, "order_id": id.as_str()}}),
            _ => json!({"id": 9, "method": "cancel_all", "params": {"n": n}}),
        });
        let cancels = cancels(&bench);
        sent += cancels.len();
        for id in cancels {
            bench.says(vec![VenueEvent::CancelReply { id, outcome: CancelOutcome::UnknownOrder }]);
        }
        bench.wait(Span::from_millis(10));
    }
    let events = bench.events();
    let refused = events.iter().filter(|event| event.starts_with("cancel_reject")).count();
    assert_eq!((sent, refused), (3, 3), "in five seconds: {events:?}");
    told = bench.sent.len() - told;
    assert!(told < 520, "an answer to each, and little else: {told}");
    // The request was only late: the wish stands, and is carried out with the first word of the order.
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    assert_eq!(cancels(&bench), [id]);
}

/// A session's cancel of an order at the exchange, and how many cancels have gone since.
fn canceled_by_session() -> (Bench, ClientOrderId) {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.call(&json!({"id": 9, "method": "cancel", "params": {"n": 2, "order_id": id.as_str()}}));
    (bench, id)
}

fn cancels(bench: &Bench) -> Vec<ClientOrderId> {
    let taken = std::mem::take(&mut bench.script.0.borrow_mut().canceled);
    taken.into_iter().map(|cancel| cancel.id).collect()
}

fn cancel_in_doubt(bench: &mut Bench, id: &ClientOrderId) {
    let outcome = CancelOutcome::Unknown("-1007".to_owned());
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome }]);
}

/// Its state, and whether a cancel is under way.
fn canceling(bench: &Bench, id: &ClientOrderId) -> (State, bool) {
    let order = bench.gateway.orders().get(id).unwrap();
    (order.state, order.is_canceling())
}

/// Every question is answered by what the exchange has.
fn shows(bench: &mut Bench, has: &OrderReport) {
    bench.answer(|query| match query {
        Query::Order { .. } | Query::OrderByVenueId { .. } => Answer::Order(Box::new(has.clone())),
        Query::TradesOfOrder { .. } => Answer::Trades(has.fill.clone().into_iter().collect()),
        query => Bench::exchange(std::slice::from_ref(has), &[], query),
    });
}

#[test]
fn r20_a_cancel_whose_outcome_is_unknown_is_repeated_until_the_end_is_seen() {
    let end = |id: &ClientOrderId| report(id, VenueStatus::Canceled, 0, None);
    let replied = |id: &ClientOrderId| VenueEvent::CancelReply {
        id: id.clone(),
        outcome: CancelOutcome::Canceled(Box::new(end(id))),
    };
    let filled = |id: &ClientOrderId| event(report(id, VenueStatus::Filled, 10, Some(fill(1, 10))));
    type Evidence<'a> = (&'a dyn Fn(&ClientOrderId) -> VenueEvent, &'a str);
    let evidence: [Evidence<'_>; 3] =
        [(&replied, "CANCELED 0"), (&|id| event(end(id)), "CANCELED 0"), (&filled, "FILLED 10")];
    for (said, last) in evidence {
        let (mut bench, id) = canceled_by_session();
        for time in 1..=5 {
            assert_eq!(
                cancels(&bench),
                std::slice::from_ref(&id),
                "the {time}. time, by nobody's word but the first"
            );
            cancel_in_doubt(&mut bench, &id);
            assert_eq!(canceling(&bench, &id), (State::Unknown, true));
            shows(&mut bench, &report(&id, VenueStatus::New, 0, None));
        }
        assert_eq!(cancels(&bench), std::slice::from_ref(&id));
        bench.says(vec![said(&id)]);
        assert_eq!(bench.events().last().unwrap(), last);
        for _ in 0..300 {
            bench.wait(Span::from_secs(1));
            bench.answer(|query| Bench::exchange(&[], &[], query));
        }
        assert_eq!(cancels(&bench), [], "it is over");
        let refusals = bench.events().iter().filter(|told| told.starts_with("cancel_reject")).count();
        assert_eq!(refusals, 0, "nothing was refused: {:?}", bench.events());
        assert_eq!(bench.script.0.borrow().placed.len(), 1, "nor is anything else sent again");
    }
}

#[test]
fn r20_a_cancel_in_doubt_is_repeated_though_the_order_is_not_shown_at_once_or_no_cancel_may_be_sent() {
    let (mut bench, id) = canceled_by_session();
    let lives = report(&id, VenueStatus::New, 0, None);
    assert_eq!(cancels(&bench).len(), 1);
    cancel_in_doubt(&mut bench, &id);
    // The order was placed and is not found: that ends nothing.
    for _ in 0..20 {
        bench.answer(|query| Bench::exchange(&[], &[], query));
        bench.wait(Span::from_millis(500));
    }
    assert_eq!((canceling(&bench, &id), cancels(&bench).len()), ((State::Unknown, true), 0));
    bench.script.0.borrow_mut().refuse_cancels = Some((0, NotSent::RateLimited { retry_at: bench.now }));
    for _ in 0..60 {
        shows(&mut bench, &lives);
        bench.wait(Span::from_secs(1));
    }
    assert_eq!((canceling(&bench, &id), cancels(&bench).len()), ((State::Working, true), 0));
    bench.script.0.borrow_mut().refuse_cancels = None;
    for _ in 0..61 {
        shows(&mut bench, &lives);
        bench.wait(Span::from_secs(1));
    }
    assert_eq!(cancels(&bench), [id], "repeated with the next look, and its reply is waited for");
}

#[test]
fn r20_a_cancel_that_a_lost_connection_left_in_doubt_is_repeated_on_the_next() {
    let (mut bench, id) = canceled_by_session();
    assert_eq!(cancels(&bench).len(), 1);
    cancel_in_doubt(&mut bench, &id);
    bench.says(vec![VenueEvent::EntryDown("reset".to_owned())]);
    bench.wait(Span::from_secs(90));
    assert_eq!(cancels(&bench), [], "nothing can be sent");
    let lives = report(&id, VenueStatus::New, 0, None);
    bench.says(vec![VenueEvent::EntryUp]);
    for _ in 0..10 {
        shows(&mut bench, &lives);
        bench.wait(Span::from_millis(500));
    }
    assert_eq!(cancels(&bench), std::slice::from_ref(&id), "{:?}", bench.events());
    let outcome = CancelOutcome::Canceled(Box::new(report(&id, VenueStatus::Canceled, 0, None)));
    bench.says(vec![VenueEvent::CancelReply { id, outcome }]);
    assert_eq!(bench.events().last().unwrap(), "CANCELED 0");
}
