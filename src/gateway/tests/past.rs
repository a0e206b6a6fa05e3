//! How the past of a symbol is paged, paced and waited for.

use super::*;

fn named(name: &str) -> Instrument {
    let base = Asset::new(name.trim_end_matches("usdt"));
    Instrument { symbol: Symbol::new(name), holding: base.clone(), base, ..doge() }
}

fn comes_up(bench: &mut Bench, others: &[Instrument]) {
    let all = [&[doge()], others].concat();
    bench.says(vec![VenueEvent::Instruments(all), VenueEvent::EntryUp]);
}

/// Ready, at an exchange with these symbols besides.
fn ready(others: &[Instrument]) -> Bench {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    comes_up(&mut bench, others);
    for _ in 0..2 {
        for _ in 0..6 {
            bench.answer(|query| Bench::exchange(&[], &[], query));
        }
        bench.wait(Span::from_secs(5));
    }
    bench.login(None);
    bench.script.0.borrow_mut().queries.clear();
    bench
}

fn subscribe(bench: &mut Bench, names: &[&str]) {
    let streams: Vec<String> = names.iter().map(|name| format!("{name}@bbo")).collect();
    bench.call(&json!({"id": 50, "method": "subscribe", "params": {"streams": streams}}));
}

fn is_answered(bench: &Bench) -> bool {
    bench.sent.iter().any(|frame| frame["id"] == 50)
}

/// Pages of orders that were asked for: symbol, first number, among the conditional ones?
fn pages(bench: &Bench) -> Vec<(String, u64, bool)> {
    let page = |query: &Query| match query {
        Query::OrdersFrom { symbol, from, conditional } => Some((symbol.to_string(), *from, *conditional)),
        _ => None,
    };
    bench.script.0.borrow().queries.iter().filter_map(|(_, query)| page(query)).collect()
}

fn page(name: &str, from: u64) -> (String, u64, bool) {
    (name.to_owned(), from, false)
}

#[test]
fn a_subscription_is_answered_within_three_seconds_where_the_past_is_not_had() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["shibusdt"]);
    bench.wait(Span::from_millis(2_900));
    assert!(!is_answered(&bench));
    assert_eq!(bench.gateway.deadline(), Some(bench.now + Span::from_millis(100)));
    bench.wait(Span::from_millis(100));
    assert!(is_answered(&bench));
}

#[test]
fn a_subscription_to_what_is_read_or_cannot_be_is_answered_at_once() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["dogeusdt"]);
    assert!(is_answered(&bench), "it is read");
    bench.sent.clear();
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    subscribe(&mut bench, &["shibusdt"]);
    assert!(is_answered(&bench), "the exchange is away");
    bench.sent.clear();
    bench.says(vec![VenueEvent::EntryUp]);
    subscribe(&mut bench, &["shibusdt"]);
    assert!(is_answered(&bench), "answers may lag yet");
}

#[test]
fn a_page_of_the_past_that_is_not_had_is_asked_for_again_after_five_seconds() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["shibusdt"]);
    assert_eq!(pages(&bench), [page("shibusdt", 1)]);
    bench.answer(|_| Answer::Failed("-1003".to_owned()));
    bench.wait(Span::from_millis(4_900));
    assert_eq!(pages(&bench), []);
    bench.wait(Span::from_millis(100));
    assert_eq!(pages(&bench), [page("shibusdt", 1)]);
}

#[test]
fn two_symbols_are_read_at_once_and_the_next_when_one_is_through() {
    let names = ["aausdt", "bbusdt", "ccusdt"];
    let mut bench = ready(&names.map(named));
    subscribe(&mut bench, &names);
    assert_eq!(pages(&bench), [page("aausdt", 1), page("bbusdt", 1)]);
    for _ in 0..3 {
        let queries = std::mem::take(&mut bench.script.0.borrow_mut().queries);
        let (first, rest): (Vec<_>, Vec<_>) = queries.into_iter().partition(|(_, query)| match query {
            Query::OrdersFrom { symbol, .. } | Query::TradesFrom { symbol, .. } => {
                symbol.as_str() == names[0]
            }
            _ => false,
        });
        bench.script.0.borrow_mut().queries = rest;
        for (request, query) in first {
            let answer = Bench::exchange(&[], &[], &query);
            bench.says(vec![VenueEvent::Answer { request, answer }]);
        }
    }
    assert_eq!(pages(&bench), [page("bbusdt", 1), page("ccusdt", 1)]);
}

#[test]
fn pasts_that_only_wait_for_the_lag_to_be_over_hold_up_no_other() {
    let names = ["aausdt", "bbusdt", "ccusdt"];
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    bench.login(None);
    bench.says(vec![VenueEvent::Instruments([&[doge()], names.map(named).as_slice()].concat())]);
    subscribe(&mut bench, &names[..2]);
    bench.says(vec![VenueEvent::EntryUp]);
    assert_eq!(pages(&bench), [page("aausdt", 1), page("bbusdt", 1)]);
    for _ in 0..6 {
        bench.answer(|query| Bench::exchange(&[], &[], query));
    }
    assert_eq!(bench.gateway.recovery.word(), "lag");
    subscribe(&mut bench, &names[2..]);
    assert!(pages(&bench).contains(&page("ccusdt", 1)));
    // What was read before the lag was over is read on from where it ended.
    bench.wait(Span::from_secs(5));
    let again = pages(&bench);
    assert!(names[..2].iter().all(|name| again.contains(&page(name, 1))), "{again:?}");
}

#[test]
fn the_next_page_begins_behind_the_last_number_and_orders_begin_anew_behind_conditional_ones() {
    let mut apart = named("shibusdt");
    apart.rules.conditionals_apart = true;
    let mut bench = ready(&[apart.clone()]);
    subscribe(&mut bench, &["shibusdt"]);
    let foreign = |number: u64, conditional: bool| OrderReport {
        symbol: apart.symbol.clone(),
        venue_id: if conditional { 0 } else { number },
        conditional_id: conditional.then_some(number),
        ..report(&ClientOrderId::foreign(&format!("web_{number}")), VenueStatus::Canceled, 0, None)
    };
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.extend(pages(&bench).into_iter().map(|(_, from, conditional)| (from, conditional)));
        bench.answer(|query| match query {
            Query::OrdersFrom { from, conditional, .. } => {
                let page = (*from..=1_700).take(1_000).map(|number| foreign(number, *conditional));
                Answer::Orders(page.collect())
            }
            query => Bench::exchange(&[], &[], query),
        });
    }
    assert_eq!(asked, [(1, true), (1_001, true), (1, false), (1_001, false)]);
    assert!(bench.gateway.scans.has(&apart.symbol));
}

/// The order of a lost life, under its own name, and its fill.
fn ended(symbol: &Symbol, client_id: &ClientOrderId, venue_id: u64) -> (OrderReport, Fill) {
    let time = START - Span::from_secs(7_200);
    let order = report(client_id, VenueStatus::Filled, 10, None);
    let order = OrderReport { symbol: symbol.clone(), venue_id, time, ..order };
    (order, Fill { symbol: symbol.clone(), venue_id, time, ..fill(venue_id, 10) })
}

fn of_a_lost_life(session: u16, command: u64) -> ClientOrderId {
    let session = SessionId(session);
    ClientOrderId::mint(crate::ids::IdParts {
        kind: IdKind::Order,
        install: Install::from_hash(5),
        epoch: 7,
        session,
        command,
    })
}

#[test]
fn what_a_stop_of_a_lost_life_has_triggered_is_its_sessions() {
    let mut apart = named("shibusdt");
    apart.rules.conditionals_apart = true;
    let symbol = apart.symbol.clone();
    let mut bench = ready(&[apart]);
    subscribe(&mut bench, &["shibusdt"]);
    // Ours has triggered 500, another's 501; one of ours triggered nothing.
    let stop = |client_id: &ClientOrderId, number: u64, venue_id: u64| OrderReport {
        conditional_id: Some(number),
        filled: Qty::ZERO,
        status: VenueStatus::Canceled,
        ..ended(&symbol, client_id, venue_id).0
    };
    let foreign = |name: &str| ClientOrderId::foreign(name);
    let stops = [
        stop(&of_a_lost_life(1, 1), 5, 500),
        stop(&foreign("web_1"), 6, 501),
        stop(&of_a_lost_life(1, 2), 7, 0),
    ];
    let triggered = [ended(&symbol, &foreign("made_500"), 500), ended(&symbol, &foreign("made_501"), 501)];
    for _ in 0..6 {
        bench.answer(|query| match query {
            Query::OrdersFrom { conditional: true, .. } => Answer::Orders(stops.to_vec()),
            Query::OrdersFrom { .. } => {
                Answer::Orders(triggered.iter().map(|(order, _)| order.clone()).collect())
            }
            Query::TradesFrom { .. } => {
                Answer::Trades(triggered.iter().map(|(_, fill)| fill.clone()).collect())
            }
            query => Bench::exchange(&[], &[], query),
        });
    }
    let held = bench.gateway.books().position(SessionId(1), &symbol).qty;
    assert_eq!(held, Qty::whole(10), "{:?}", bench.logs);
    assert!(is_answered(&bench));
}

#[test]
fn the_end_of_a_pending_order_found_in_the_past_is_told_when_its_fills_are_read() {
    let shiba = named("shibusdt");
    let mut bench = ready(std::slice::from_ref(&shiba));
    subscribe(&mut bench, &["shibusdt"]);
    let id = of_a_lost_life(2, 7);
    let (order, fill) = ended(&shiba.symbol, &id, 500);
    bench.answer(|_| Answer::Orders(vec![order.clone()]));
    bench.pending = json!([{"epoch": 7, "method": "order", "params": {"n": 7}}]);
    let reply = bench.login_as(2, None);
    assert_eq!(reply["result"]["answers"][0]["result"]["order_id"], json!(id));
    let ends = |bench: &Bench| bench.events().iter().filter(|event| event.starts_with("FILLED")).count();
    assert_eq!(ends(&bench), 0, "its fills are not read yet");
    bench.answer(|_| Answer::Trades(vec![fill.clone()]));
    assert_eq!(ends(&bench), 1, "{:?}", bench.sent);
    assert!(bench.events().contains(&"FILLED 10".to_owned()));
}
