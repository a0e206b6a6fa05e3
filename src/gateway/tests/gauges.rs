//! What a monitor is shown, held against what was done.

use super::*;
use crate::gateway::gauges::{Gauges, Problem};

fn shown(bench: &Bench) -> Gauges {
    bench.gateway.gauges(bench.now)
}

fn kinds(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|problem| problem.kind).collect()
}

/// A view of an empty book.
fn nothing() -> crate::market::Depth {
    crate::market::Depth { time: START, update_id: 1, bids: Vec::new(), asks: Vec::new() }
}

#[test]
fn what_was_sent_ended_and_refused_is_counted_once() {
    let mut bench = Bench::ready();
    let ids: Vec<_> = (1..=4).map(|n| bench.order(n)).collect();
    // The others have no answer yet.
    bench.says(vec![accepted(&ids[0])]);
    let rejected = PlaceOutcome::Rejected { code: -2010, message: "no".to_owned(), for_now: false };
    bench.says(vec![VenueEvent::Placed { id: ids[3].clone(), outcome: rejected }]);
    bench.says(vec![event(report(&ids[0], VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    // Told twice, as while connections are replaced.
    bench.says(vec![event(report(&ids[0], VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    for n in [1, 5] {
        bench.call(&doge_order(n, &json!({"symbol": "nosuch"})));
    }
    bench.call(&json!({"id": 9, "method": "nosuch"}));
    let shown = shown(&bench);
    assert_eq!(shown.sent, [4, 0, 0]);
    assert_eq!(
        shown.open,
        BTreeMap::from([("NEW", 0), ("PARTIALLY_FILLED", 0), ("PENDING", 2), ("UNKNOWN", 0)])
    );
    assert_eq!(shown.ended, BTreeMap::from([("FILLED", 1), ("REJECTED", 1)]));
    // A command whose number was used gets its stored answer: nothing is refused anew.
    assert_eq!(shown.refused, BTreeMap::from([("invalid_symbol", 1), ("unknown_method", 1)]));
    assert_eq!((shown.written.fills, shown.written.fills_external), (1, 0));
    assert_eq!((shown.sessions, shown.sessions_trading, shown.strangers), (1, 1, 0));
}

#[test]
fn the_age_of_an_unknown_order_is_counted_from_the_first_doubt() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    assert_eq!(shown(&bench).unknown_for, Span::ZERO);
    bench.says(vec![lost(&id)]);
    bench.wait(Span::from_secs(1));
    bench.says(vec![lost(&id)]);
    bench.wait(Span::from_secs(2));
    let at = shown(&bench);
    assert_eq!((at.open["UNKNOWN"], at.unknown_for), (1, Span::from_secs(3)));
    bench.says(vec![accepted(&id)]);
    let at = shown(&bench);
    assert_eq!((at.open["UNKNOWN"], at.unknown_for), (0, Span::ZERO));
}

#[test]
fn each_problem_is_there_as_long_as_it_lasts() {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    assert_eq!(kinds(&shown(&bench).condition.problems), ["link_down", "market_data_down"]);
    bench.says(vec![VenueEvent::FeedUp, VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    bench.wait(Span::from_secs(1));
    let at = shown(&bench);
    assert_eq!(kinds(&at.condition.problems), ["recovering"]);
    assert_eq!(at.recovery.under_way_for, Span::from_secs(1));
    bench.recover(&[], &[]);
    let at = shown(&bench);
    assert_eq!(at.condition.to_string(), "ready");
    let (phase, completed, losses) = (at.recovery.phase, at.recovery.completed, at.recovery.losses);
    assert_eq!((phase, completed, losses, at.recovery.under_way_for), ("ready", 1, 0, Span::ZERO));
    bench.input(Input::StoreFailed("no space".to_owned()));
    bench.says(vec![VenueEvent::FeedDown("gone".to_owned()), VenueEvent::EntryDown("gone".to_owned())]);
    // Told again after each attempt to come back.
    bench.says(vec![VenueEvent::FeedDown("gone".to_owned()), VenueEvent::EntryDown("gone".to_owned())]);
    bench.wait(Span::from_secs(7));
    let at = shown(&bench);
    assert_eq!(kinds(&at.condition.problems), ["disk_failing", "link_down", "market_data_down"]);
    assert_eq!((at.recovery.losses, at.market_losses), (1, 1));
    assert_eq!(at.recovery.under_way_for, Span::from_secs(7));
    bench.input(Input::StoreRecovered);
    bench.says(vec![VenueEvent::FeedUp, VenueEvent::EntryUp]);
    bench.recover(&[], &[]);
    let at = shown(&bench);
    assert!(at.condition.is_ready() && at.recovery.last >= Some(Span::from_secs(7)), "{at:?}");
    assert_eq!(at.recovery.completed, 2);
}

#[test]
fn a_kill_switch_and_a_pause_are_in_the_way() {
    let mut bench = Bench::ready();
    bench.says(vec![VenueEvent::FeedUp]);
    bench.gateway.pause(bench.now, None, "operator", "lunch");
    let kill = crate::gateway::stop::Kill { by: "file".into(), reason: "KILL".into(), ..Default::default() };
    bench.gateway.kill(bench.now, kill);
    let at = shown(&bench);
    assert_eq!(kinds(&at.condition.problems), ["killed", "paused"]);
    assert!(at.condition.to_string().contains("by file: KILL; paused"), "{}", at.condition);
}

#[test]
fn a_stream_is_old_from_its_lapse_to_its_next_data() {
    let mut bench = Bench::ready();
    let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Bbo };
    bench.says(vec![VenueEvent::FeedUp]);
    bench.call(&json!({"id": 7, "method": "subscribe", "params": {"streams": ["dogeusdt@bbo"]}}));
    let of_bbo = |bench: &Bench| {
        let at = shown(bench);
        (at.streams["bbo"].wanted, at.streams["bbo"].stale, at.stale)
    };
    assert_eq!(of_bbo(&bench), (1, 0, 0));
    for _ in 0..2 {
        bench.says(vec![VenueEvent::Stale(stream.clone(), "silent".to_owned())]);
        assert_eq!(of_bbo(&bench), (1, 1, 1));
    }
    bench.says(vec![VenueEvent::Bbo(stream, nothing())]);
    assert_eq!(of_bbo(&bench), (1, 0, 1));
}

#[test]
fn what_a_client_that_left_was_not_given_is_not_forgotten() {
    let mut bench = Bench::ready();
    bench.call(&json!({"id": 7, "method": "subscribe", "params": {"streams": ["dogeusdt@bbo"]}}));
    let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Bbo };
    bench.deaf = true;
    for _ in 0..5 {
        bench.says(vec![VenueEvent::Bbo(stream.clone(), nothing())]);
    }
    assert_eq!((shown(&bench).thinned.conflated, shown(&bench).waiting), (4, (0, 1)));
    bench.input(Input::ClientClosed(bench.conn));
    let at = shown(&bench);
    assert_eq!((at.thinned.conflated, at.waiting, at.sessions), (4, (0, 0), 0));
}

#[test]
fn looking_changes_nothing() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    let before = format!("{:?}", bench.gateway);
    let first = shown(&bench);
    assert_eq!(first, shown(&bench));
    assert_eq!(format!("{:?}", bench.gateway), before);
}
