//! More is filled of an order than was ordered, or seems to be.

use super::*;

fn at(seconds: i64) -> Time {
    START + Span::from_secs(30 + seconds)
}

/// An order for 10 that works.
fn working(mut bench: Bench) -> (Bench, ClientOrderId) {
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    (bench, id)
}

/// The order as the exchange shows it: so much of that quantity filled, the last of it by this trade.
fn filled(id: &ClientOrderId, qty: i64, counted: i64, trade: Option<Fill>) -> OrderReport {
    let status = if counted < qty { VenueStatus::PartiallyFilled } else { VenueStatus::Filled };
    let time = trade.as_ref().map_or(at(50), |fill| fill.time);
    OrderReport { qty: Qty::whole(qty), time, ..report(id, status, counted, trade) }
}

fn is_halted(bench: &Bench) -> bool {
    bench.gateway.stop_view().paused.contains_key(&SessionId(1))
}

fn asked(bench: &Bench) -> Vec<u64> {
    let queries = &bench.script.0.borrow().queries;
    let about = |query: &Query| matches!(query, Query::OrderByVenueId { venue_id: 77, .. });
    queries.iter().filter(|(_, query)| about(query)).map(|(request, _)| *request).collect()
}

/// The answer to the only question about the order there is.
fn answer(bench: &mut Bench, answer: Answer) {
    let found = asked(bench);
    assert_eq!(found.len(), 1, "{found:?}");
    bench.script.0.borrow_mut().queries.retain(|(request, _)| *request != found[0]);
    bench.says(vec![VenueEvent::Answer { request: found[0], answer }]);
}

/// A query of trades has shown more than was ordered, and the lag of queries has passed.
fn suspected() -> (Bench, ClientOrderId) {
    let (mut bench, id) = working(Bench::ready());
    bench.says(vec![event(filled(&id, 10, 6, Some(fill(1, 6))))]);
    let now = bench.now;
    bench.gateway.late_fill(now, &id, &fill(2, 6));
    bench.wait(Span::from_millis(1));
    assert!(!is_halted(&bench) && asked(&bench).is_empty(), "it may have been changed");
    bench.wait(Span::from_secs(5));
    (bench, id)
}

#[test]
fn r25_a_session_whose_order_is_filled_beyond_its_quantity_is_paused_and_the_fills_are_booked() {
    let (mut bench, id) = working(Bench::ready());
    bench.says(vec![event(filled(&id, 10, 6, Some(fill(1, 6))))]);
    assert!(!is_halted(&bench));
    bench.says(vec![event(filled(&id, 10, 12, Some(fill(2, 6))))]);
    assert_eq!(bench.net(), Qty::whole(12), "facts");
    let told = bench.events();
    assert_eq!(told.last_chunk(), Some(&["FILLED 12".to_owned(), "notice overfill".into()]), "{told:?}");
    let notice = bench.sent.iter().rfind(|frame| frame["event"] == "notice").unwrap();
    let words = format!("order {id} for 10 was filled with 12, more than was ordered");
    assert!(notice["message"].as_str().unwrap().starts_with(&words), "{notice}");
    assert_eq!(notice["order_id"], id.as_str());
    let line = format!("an order was filled beyond its quantity order={id} session=1 qty=10 filled=12");
    assert_eq!(bench.logs.iter().filter(|logged| **logged == line).count(), 1, "{:?}", bench.logs);
    let refused = bench.call(&doge_order(2, &json!({})));
    assert_eq!(refused["error"]["name"], "paused", "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("by the gateway: order"), "{refused}");
    assert_eq!(bench.gateway.stopped(SessionId(2)), None, "the others trade on");
    // Resumed, it is not halted again for what was told.
    assert!(bench.gateway.resume(Some(SessionId(1)), "a test"));
    bench.says(vec![event(filled(&id, 10, 12, None))]);
    assert!(!is_halted(&bench));
    bench.says(vec![event(filled(&id, 10, 13, Some(fill(3, 1))))]);
    assert!(is_halted(&bench), "more than that is news");
}

#[test]
fn r25_after_a_restart_only_more_is_news() {
    let (mut bench, id) = working(Bench::ready());
    bench.says(vec![event(filled(&id, 10, 12, Some(fill(1, 12))))]);
    assert!(is_halted(&bench));
    let now = bench.now + Span::from_secs(60);
    let mut bench = Bench::new(bench.journal, Vec::new(), now);
    bench.recover(&[], &[fill(1, 12)]);
    bench.says(vec![event(filled(&id, 10, 12, None))]);
    assert!(!is_halted(&bench), "the pause itself is kept beside the journal");
    bench.says(vec![event(filled(&id, 10, 14, Some(fill(2, 2))))]);
    assert!(is_halted(&bench));
}

#[test]
fn r25_an_order_that_was_changed_may_fill_what_it_was_or_is() {
    // Lowered below what was filled before: it ends with that.
    let (mut bench, id) = working(Bench::perpetual());
    bench.says(vec![event(filled(&id, 10, 6, Some(fill(1, 6))))]);
    let lowered = OrderReport { status: VenueStatus::Canceled, time: at(60), ..filled(&id, 5, 6, None) };
    bench.says(vec![event(lowered)]);
    assert!(!is_halted(&bench));
    bench.says(vec![event(OrderReport { time: at(70), ..filled(&id, 5, 7, Some(fill(2, 1))) })]);
    assert!(is_halted(&bench), "that was all it might");
    // Raised, and told of only by the fill that needed it.
    let (mut bench, id) = working(Bench::perpetual());
    bench.says(vec![event(filled(&id, 20, 16, Some(fill(1, 16))))]);
    // A word of before, which comes late, says nothing.
    let before = OrderReport { time: START, ..filled(&id, 10, 0, None) };
    bench.says(vec![event(before.clone()), event(OrderReport { time: fill(1, 16).time, ..before })]);
    assert!(!is_halted(&bench) && bench.gateway.overfills.suspected.is_empty());
    // An amend on its way may have been carried out.
    let (mut bench, id) = working(Bench::perpetual());
    bench.call(&json!({"id": 9, "method": "amend", "params": {"n": 2, "order_id": id, "qty": "20"}}));
    let now = bench.now;
    bench.gateway.late_fill(now, &id, &fill(1, 16));
    bench.wait(Span::from_millis(1));
    assert!(bench.gateway.overfills.suspected.is_empty());
}

#[test]
fn r25_of_an_order_for_a_quote_amount_nobody_has_said_how_much() {
    let mut bench = Bench::ready();
    let changes = json!({"type": "MARKET", "qty": null, "price": null, "quote_amount": "2"});
    let reply = bench.call(&doge_order(1, &changes));
    let id =
        ClientOrderId::foreign(reply["result"]["order_id"].as_str().unwrap_or_else(|| panic!("{reply}")));
    bench.says(vec![event(filled(&id, 6, 6, Some(fill(1, 6))))]);
    bench.says(vec![event(filled(&id, 6, 10, Some(fill(2, 4))))]);
    assert_eq!((bench.net(), is_halted(&bench)), (Qty::whole(10), false));
}

#[test]
fn r25_what_is_nobodys_halts_nobody() {
    let mut bench = Bench::ready();
    let foreign = ClientOrderId::foreign("by-hand");
    bench.says(vec![event(filled(&foreign, 10, 12, Some(fill(1, 12))))]);
    assert!(bench.gateway.stop_view().paused.is_empty());
    assert!(
        bench.logs.iter().all(|line| !line.starts_with("an order was filled beyond")),
        "{:?}",
        bench.logs
    );
}

#[test]
fn r25_fills_that_a_query_shows_halt_once_the_order_itself_is_asked() {
    let (mut bench, id) = suspected();
    answer(&mut bench, Answer::Order(Box::new(filled(&id, 10, 12, None))));
    assert!(is_halted(&bench));
    let (mut bench, id) = suspected();
    answer(&mut bench, Answer::Order(Box::new(filled(&id, 20, 12, None))));
    assert!(!is_halted(&bench) && bench.gateway.overfills.suspected.is_empty(), "it was changed by hand");
    // The trades are facts whatever is counted.
    let (mut bench, id) = suspected();
    answer(&mut bench, Answer::Order(Box::new(filled(&id, 10, 10, None))));
    assert!(is_halted(&bench));
    for gone in [Answer::NotFound, Answer::Archived] {
        let (mut bench, _) = suspected();
        answer(&mut bench, gone);
        assert!(is_halted(&bench), "nothing says that it was changed");
    }
}

#[test]
fn r25_the_question_is_asked_until_it_is_answered() {
    let (mut bench, id) = suspected();
    answer(&mut bench, Answer::Failed("busy".to_owned()));
    assert!(!is_halted(&bench) && asked(&bench).is_empty());
    bench.wait(Span::from_secs(1));
    assert_eq!(asked(&bench).len(), 1);
    bench.says(vec![VenueEvent::EntryDown("reset".to_owned())]);
    bench.script.0.borrow_mut().queries.clear();
    bench.wait(Span::from_secs(9));
    assert!(asked(&bench).is_empty(), "nobody is there to be asked");
    bench.says(vec![VenueEvent::EntryUp]);
    bench.wait(Span::from_millis(1));
    answer(&mut bench, Answer::Order(Box::new(filled(&id, 10, 12, None))));
    assert!(is_halted(&bench));
}
