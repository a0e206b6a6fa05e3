//! Fills whose order nobody here knows.

use super::*;
use crate::journal::Owner;

/// An order that is over, so that own trades of its symbol are read; and two fills of an order that nobody here knows.
fn met() -> (Bench, [Fill; 2]) {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
    let bought = [5, 6].map(|trade| Fill { venue_id: 99, ..fill(trade, 5) });
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    bench.answer(|query| Bench::exchange(&[], &bought, query));
    (bench, bought)
}

/// Milliseconds from now on at which the order of the fills is asked for, until they are booked or for so long. Their
/// trades are shown no more: a replica is behind.
fn asked(bench: &mut Bench, span: Span, answer: &Answer) -> Vec<i64> {
    let (since, mut moments) = (bench.now, Vec::new());
    let is_it = |query: &Query| matches!(query, Query::OrderByVenueId { venue_id: 99, .. });
    while bench.now.since(since) < span
        && bench.gateway.books().asset(Owner::External, &doge().base).is_zero()
    {
        if bench.script.0.borrow().queries.iter().any(|(_, query)| is_it(query)) {
            moments.push(bench.now.since(since).millis());
        }
        bench.answer(|query| match query {
            query if is_it(query) => answer.clone(),
            query => Bench::exchange(&[], &[], query),
        });
        bench.wait(Span::from_millis(500));
    }
    moments
}

#[test]
fn fills_of_an_order_that_is_not_found_are_external_after_five_questions_and_all_of_them() {
    let (mut bench, bought) = met();
    let moments = asked(&mut bench, Span::from_secs(60), &Answer::NotFound);
    assert_eq!(moments, [0, 5_000, 10_000, 15_000, 20_000], "as far apart as answers may lag");
    assert_eq!(bench.gateway.books().asset(Owner::External, &doge().base), Cash::whole(10));
    let booked = bench.journal.iter().filter(|record| matches!(record, Record::Fill(_))).count();
    assert_eq!(booked, bought.len());
    // A page that shows them again changes nothing.
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    bench.answer(|query| Bench::exchange(&[], &bought, query));
    assert_eq!(bench.gateway.books().asset(Owner::External, &doge().base), Cash::whole(10));
}

#[test]
fn a_question_for_the_order_of_a_fill_that_fails_is_asked_again_every_second_and_proves_nothing() {
    let (mut bench, bought) = met();
    let moments = asked(&mut bench, Span::from_secs(10), &Answer::Failed("-1003".to_owned()));
    assert_eq!(moments, (0..10).map(|second| second * 1_000).collect::<Vec<_>>());
    // It was a session's: an order of a life before, of which nothing was kept.
    let id = bench.gateway.order_id(900_000, SessionId(1), 9);
    let order = OrderReport { venue_id: 99, ..report(&id, VenueStatus::Filled, 10, None) };
    bench.answer(|query| match query {
        Query::OrderByVenueId { .. } => Answer::Order(Box::new(order.clone())),
        query => Bench::exchange(&[], &[], query),
    });
    bench.wait(Span::from_secs(1));
    bench.answer(|query| match query {
        Query::OrderByVenueId { .. } => Answer::Order(Box::new(order.clone())),
        query => Bench::exchange(&[], &bought, query),
    });
    assert_eq!(bench.net(), Qty::whole(10));
}

#[test]
fn the_order_of_a_fill_is_asked_for_again_when_a_lost_link_is_back() {
    let (mut bench, _) = met();
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    bench.script.0.borrow_mut().queries.clear();
    bench.wait(Span::from_secs(60));
    assert!(bench.script.0.borrow().queries.is_empty(), "nobody is there");
    bench.says(vec![VenueEvent::EntryUp]);
    let moments = asked(&mut bench, Span::from_secs(1), &Answer::NotFound);
    assert_eq!(moments, [0]);
}
