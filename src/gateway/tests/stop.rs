//! The kill switch, pauses, and sessions that are lost, against a scripted venue.

use super::limits::book;
use super::*;
use crate::gateway::stop::crashes::{Crashes, RunEnd};
use crate::gateway::stop::{Kept, Kill, Pause, Policy};
use crate::limits::Bounds;

const BOTH: [Way; 2] = [Way::Session, Way::Request];

fn kill(flatten: bool) -> Input<'static> {
    Input::Kill(Kill { by: "a test".to_owned(), reason: "enough".to_owned(), flatten, ..Kill::default() })
}

/// The file is gone that stood for so many pulls.
fn gone(pulls: u64) -> Input<'static> {
    Input::KillFileGone { by: "a test".to_owned(), change: 1, pulls }
}

impl Bench {
    fn ways(&mut self, ways: &[Way]) {
        self.script.0.borrow_mut().ways = ways.to_vec();
    }

    /// Cancels the stop has sent since the last look here.
    fn urgent(&mut self) -> Vec<(u64, ClientOrderId, Way)> {
        let sent = std::mem::take(&mut self.script.0.borrow_mut().urgent);
        let cancel = |(number, urgent, way)| match urgent {
            Urgent::Cancel(cancel) => Some((number, cancel.id, way)),
            Urgent::OpenOrders { .. } => None,
        };
        sent.into_iter().filter_map(cancel).collect()
    }

    /// Looks the stop has asked for since the last look here.
    fn looks(&mut self) -> Vec<(u64, bool)> {
        let sent = std::mem::take(&mut self.script.0.borrow_mut().urgent);
        let look = |(number, urgent, _)| match urgent {
            Urgent::OpenOrders { conditional } => Some((number, conditional)),
            Urgent::Cancel(_) => None,
        };
        sent.into_iter().filter_map(look).collect()
    }

    fn replies(&mut self, number: u64, reply: UrgentReply) {
        self.says(vec![VenueEvent::Urgent { number, reply }]);
    }

    fn working(&mut self, n: u64) -> ClientOrderId {
        let id = self.order(n);
        let report = OrderReport { venue_id: 76 + n, ..report(&id, VenueStatus::New, 0, None) };
        self.says(vec![event(report)]);
        id
    }

    fn canceled(&mut self, number: u64, id: &ClientOrderId, venue_id: u64) {
        let report = OrderReport { venue_id, ..report(id, VenueStatus::Canceled, 0, None) };
        self.replies(number, UrgentReply::Cancel(CancelOutcome::Canceled(Box::new(report))));
    }

    fn live(&self) -> Vec<ClientOrderId> {
        self.gateway.stop_view().live.into_iter().map(|live| live.order_id).collect()
    }

    fn outcome(&mut self, call: &Value) -> String {
        self.call(call)["error"]["name"].as_str().unwrap_or("taken").to_owned()
    }
}

fn order(n: u64, side: &str) -> Value {
    json!({"id": 200 + n, "method": "order", "params": {"n": n, "symbol": "DOGEUSDT", "side": side, "type": "LIMIT",
        "price": "0.2", "qty": "10"}})
}

#[test]
fn r60_killed_nothing_new_is_taken_and_every_open_order_is_cancelled() {
    let mut bench = Bench::ready();
    let (first, second) = (bench.working(1), bench.order(2));
    bench.ways(&BOTH);
    bench.input(kill(false));
    let sent = bench.urgent();
    let ids: Vec<_> = sent.iter().map(|(_, id, way)| (id.clone(), *way)).collect();
    // The pending one too, and all by the connection there is.
    assert_eq!(ids, [(first.clone(), Way::Session), (second.clone(), Way::Session)]);
    assert_eq!(bench.outcome(&order(3, "BUY")), "killed");
    let amend = json!({"id": 9, "method": "amend", "params": {"n": 4, "order_id": first, "qty": "5"}});
    assert_eq!(bench.outcome(&amend), "killed");
    assert_eq!(bench.live(), [first.clone(), second.clone()]);
    bench.canceled(sent[0].0, &first, 77);
    assert_eq!(bench.live(), std::slice::from_ref(&second));
    // Not known to the engine yet: it may be on its way still.
    bench.replies(sent[1].0, UrgentReply::Cancel(CancelOutcome::UnknownOrder));
    assert_eq!(bench.live(), std::slice::from_ref(&second));
    bench.wait(Span::from_millis(500));
    let again = bench.urgent();
    assert_eq!(again.len(), 1, "{again:?}");
    bench.canceled(again[0].0, &second, 78);
    assert!(bench.live().is_empty());
    assert_eq!(
        bench.events().iter().filter(|event| *event == "CANCELED 0").count(),
        2,
        "{:?}",
        bench.events()
    );
    assert_eq!(bench.gateway.orders().open().count(), 0);
}

#[test]
fn r60_without_a_word_a_cancel_goes_by_the_other_way_and_again() {
    let mut bench = Bench::ready();
    let id = bench.working(1);
    bench.ways(&BOTH);
    bench.input(kill(false));
    let mut ways = Vec::new();
    for _ in 0..12 {
        ways.extend(bench.urgent().into_iter().map(|(_, _, way)| way));
        bench.wait(Span::from_millis(100));
    }
    assert_eq!(ways, [Way::Session, Way::Request, Way::Session], "at 0, 300 and 1000 ms");
    assert_eq!(bench.live(), [id]);
}

#[test]
fn r60_with_no_way_open_cancels_leave_as_soon_as_one_is() {
    let mut bench = Bench::ready();
    let ids = [bench.working(1), bench.working(2)];
    bench.input(kill(false));
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    for _ in 0..40 {
        bench.wait(Span::from_millis(250));
    }
    assert!(bench.urgent().is_empty());
    let live = bench.gateway.stop_view().live;
    assert!(live.iter().all(|live| live.last == "no way to the exchange is open"), "{live:?}");
    assert_eq!(bench.live(), ids);
    bench.ways(&[Way::Request]);
    bench.wait(Span::from_millis(250));
    let sent = bench.urgent();
    assert!(sent.len() == 2 && sent.iter().all(|(.., way)| *way == Way::Request), "{sent:?}");
}

/// One request alone tries a way that was shut; the others follow when it got through.
#[test]
fn r60_a_way_that_fails_is_tried_by_one_cancel_at_a_time() {
    let mut bench = Bench::ready();
    for n in 1..=5 {
        bench.working(n);
    }
    bench.ways(&[Way::Request]);
    bench.input(kill(false));
    let first = bench.urgent();
    assert_eq!(first.len(), 5);
    for (number, ..) in first {
        bench.replies(number, UrgentReply::Lost("refused".to_owned()));
    }
    let mut tries = 0;
    for _ in 0..20 {
        let sent = bench.urgent();
        assert!(sent.len() <= 1, "{sent:?}");
        tries += sent.len();
        for (number, ..) in sent {
            bench.replies(number, UrgentReply::Lost("refused".to_owned()));
        }
        bench.wait(Span::from_millis(100));
    }
    assert!((4..=10).contains(&tries), "{tries}");
    while bench.urgent().is_empty() {
        bench.wait(Span::from_millis(100));
    }
    bench.wait(Span::from_millis(300));
    let scout = bench.urgent();
    bench.replies(scout[0].0, UrgentReply::Failed("busy".to_owned()));
    assert!(bench.urgent().len() >= 3, "the way is open");
}

#[test]
fn r60_it_stays_killed_after_a_restart_and_until_it_is_cleared() {
    let mut bench = Bench::ready();
    let id = bench.working(1);
    let kept = Kept { kill: Some(Kill { by: "the file".to_owned(), ..Kill::default() }), ..Kept::default() };
    let restarted = GatewayConfig { kept, clear_advice: "remove the file".to_owned(), ..config() };
    let script = Scripted::default();
    script.0.borrow_mut().ways = vec![Way::Request];
    // The exchange is not even connected, and nothing is committed.
    let mut bench = Bench::at(script, restarted, bench.journal, Vec::new(), bench.now + Span::from_secs(60));
    assert_eq!(bench.urgent().iter().map(|(_, id, _)| id.clone()).collect::<Vec<_>>(), [id]);
    bench.recover(&[], &[]);
    bench.login(None);
    let reply = bench.call(&order(1, "BUY"));
    assert_eq!(reply["error"]["name"], "killed");
    assert!(reply["error"]["message"].as_str().unwrap().contains("remove the file"), "{reply}");
    bench.input(gone(0));
    assert_eq!(bench.outcome(&order(2, "BUY")), "taken");
}

/// The file is removed, and before that is told here the switch is pulled again: by the signal, or the operator.
#[test]
fn r60_a_pull_between_a_removal_and_its_news_is_not_swallowed() {
    let mut bench = Bench::ready();
    bench.input(kill(false));
    bench.input(Input::Kept(1, Ok(())));
    assert_eq!(bench.gateway.stop_view().not_kept, None);
    bench.input(kill(false));
    assert!(bench.gateway.stop_view().not_kept.is_some(), "it is given to be kept anew");
    bench.input(gone(1));
    assert_eq!(bench.outcome(&order(1, "BUY")), "killed");
    bench.input(gone(2));
    assert_eq!(bench.outcome(&order(2, "BUY")), "taken");
}

#[test]
fn r60_what_is_kept_says_which_change_of_the_file_it_knew() {
    let mut bench = Bench::ready();
    bench.input(Input::KillFile(Kill::default(), 3));
    let kept = bench.gateway.stop.kept.clone();
    assert!(kept.kill.is_some());
    assert_eq!((kept.changes, kept.pulls), (3, 0));
    bench.input(Input::KillFileGone { by: "a test".to_owned(), change: 4, pulls: 0 });
    let kept = bench.gateway.stop.kept.clone();
    assert_eq!((kept.kill, kept.changes), (None, 4));
}

#[test]
fn r60_neither_a_full_disk_nor_a_failing_journal_stops_the_cancels() {
    let mut bench = Bench::ready();
    bench.hold_commits = true;
    let id = bench.order(1);
    bench.input(Input::StoreFailed("no space left".to_owned()));
    bench.ways(&BOTH);
    bench.input(kill(false));
    let sent = bench.urgent();
    assert_eq!(sent.len(), 1);
    bench.canceled(sent[0].0, &id, 77);
    assert!(bench.live().is_empty());
    bench.input(Input::Kept(1, Err("no space left".to_owned())));
    let view = bench.gateway.stop_view();
    assert!(view.killed.is_some() && view.not_kept.as_deref() == Some("no space left"), "{view:?}");
}

/// What was given to be kept later is not kept because something earlier is.
#[test]
fn r60_only_the_newest_that_is_kept_counts() {
    let mut bench = Bench::ready();
    let now = bench.now;
    for whom in [Some(SessionId(1)), None] {
        bench.gateway.pause(now, whom, "a test", "lunch");
        bench.wait(Span::from_millis(1));
    }
    bench.input(Input::Kept(1, Ok(())));
    assert!(bench.gateway.stop_view().not_kept.is_some());
    bench.input(Input::Kept(2, Ok(())));
    assert_eq!(bench.gateway.stop_view().not_kept, None);
}

/// What the exchange itself shows is the last word: an order that nobody here knows is cancelled, too, and others' are
/// left alone.
#[test]
fn r60_the_exchange_must_show_none_of_ours_twice() {
    let mut bench = Bench::ready();
    bench.ways(&BOTH);
    bench.input(kill(false));
    let unknown = ClientOrderId::mint(IdParts {
        kind: IdKind::Order,
        install: Install::from_hash(5),
        epoch: 7,
        session: SessionId(3),
        command: 1,
    });
    let foreign =
        OrderReport { venue_id: 99, ..report(&ClientOrderId::foreign("by-hand"), VenueStatus::New, 0, None) };
    let ours = OrderReport { venue_id: 98, ..report(&unknown, VenueStatus::New, 0, None) };
    let ask = bench.looks();
    assert_eq!(ask.len(), 1);
    bench.replies(ask[0].0, UrgentReply::Open(vec![ours, foreign.clone()]));
    let sent = bench.urgent();
    assert_eq!(sent.iter().map(|(_, id, _)| id.clone()).collect::<Vec<_>>(), std::slice::from_ref(&unknown));
    bench.canceled(sent[0].0, &unknown, 98);
    let mut rounds = 0;
    while bench.gateway.stop_view().confirmed.is_none() {
        for (number, conditional) in bench.looks() {
            rounds += u32::from(!conditional);
            let open = if conditional { Vec::new() } else { vec![foreign.clone()] };
            bench.replies(number, UrgentReply::Open(open));
        }
        bench.wait(Span::from_millis(500));
        assert!(bench.now.since(START) < Span::from_secs(120));
    }
    assert!(rounds >= 2, "{rounds}");
    assert_eq!(bench.gateway.stop_view().others, 1);
}

#[test]
fn r60_flattening_sells_what_sessions_hold_once_nothing_is_open() {
    let mut bench = Bench::ready();
    let bought = bench.order(1);
    bench.says(vec![event(report(&bought, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let resting = bench.working(2);
    bench.script.0.borrow_mut().placed.clear();
    bench.ways(&BOTH);
    bench.input(kill(true));
    let sent = bench.urgent();
    assert!(bench.script.0.borrow().placed.is_empty(), "not while an order is open");
    bench.canceled(sent[0].0, &resting, 78);
    bench.wait(Span::from_secs(1));
    let placed = bench.script.0.borrow().placed.clone();
    assert_eq!(placed.len(), 1, "{:?}", bench.gateway.stop_view());
    assert_eq!((placed[0].side, placed[0].qty), (Side::Sell, Qty::whole(10)));
    let id = placed[0].id.clone();
    // It is not recalled itself, and not sent twice.
    bench.wait(Span::from_secs(5));
    assert!(bench.urgent().is_empty());
    assert_eq!(bench.script.0.borrow().placed.len(), 1);
    let sold = Fill { side: Side::Sell, venue_id: 90, ..fill(2, 10) };
    let done =
        OrderReport { side: Side::Sell, venue_id: 90, ..report(&id, VenueStatus::Filled, 10, Some(sold)) };
    bench.says(vec![event(done)]);
    assert_eq!((bench.net(), bench.gateway.stop_view().closing), (Qty::ZERO, Vec::new()));
}

impl Bench {
    /// Session 1 holds ten, and the switch is pulled that closes it.
    fn flattens(&mut self, n: u64) {
        let bought = self.order(n);
        self.says(vec![event(report(&bought, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
        self.script.0.borrow_mut().placed.clear();
        self.ways(&BOTH);
        self.input(kill(true));
        self.wait(Span::from_secs(1));
    }

    fn refuses(&mut self, for_now: bool) {
        let id = self.script.0.borrow().placed.last().unwrap().id.clone();
        let outcome = PlaceOutcome::Rejected { code: -2010, message: "no".to_owned(), for_now };
        self.says(vec![VenueEvent::Placed { id, outcome }]);
    }

    /// How much was sent to close it after so many seconds, and what is told of it.
    fn closes(&mut self, seconds: i64) -> (Vec<Qty>, String) {
        for _ in 0..seconds {
            self.wait(Span::from_secs(1));
        }
        let sent = self.script.0.borrow().placed.iter().map(|order| order.qty).collect();
        (sent, self.gateway.stop_view().closing[0].last.clone())
    }
}

#[test]
fn r60_what_the_exchange_refuses_to_close_stays_until_it_is_another_position() {
    let mut bench = Bench::ready();
    let early = bench.order(1);
    let canceled = OrderReport { venue_id: 78, ..report(&early, VenueStatus::Canceled, 0, None) };
    bench.says(vec![event(canceled)]);
    bench.flattens(2);
    bench.refuses(false);
    let stays = "the exchange refused to close 10 (-2010 no): it stays";
    assert_eq!(bench.closes(30), (vec![Qty::whole(10)], stays.to_owned()));
    // A fill of an earlier order is told late.
    let late = Fill { venue_id: 78, ..fill(2, 4) };
    let report = OrderReport { venue_id: 78, ..report(&early, VenueStatus::Canceled, 4, Some(late)) };
    bench.says(vec![event(report)]);
    let (sent, last) = bench.closes(1);
    assert_eq!(sent, [10, 14].map(Qty::whole));
    assert!(last.starts_with("sent o"), "{last}");
}

/// Overload says nothing against the order: it goes again until it passes.
#[test]
fn r60_what_was_not_taken_for_want_of_capacity_is_closed_later() {
    let mut bench = Bench::ready();
    bench.flattens(1);
    for tries in 1..5 {
        assert_eq!(bench.closes(0).0, vec![Qty::whole(10); tries]);
        bench.refuses(true);
        bench.wait(Span::from_secs(1));
    }
    assert!(bench.closes(0).1.starts_with("sent o"));
}

/// A rejection that is known beforehand costs no order.
#[test]
fn r60_what_the_exchange_would_not_take_is_not_sent_to_be_closed() {
    let least = |all: i64, market: i64| {
        let grid =
            |min: i64, max: i64| Grid { min: Qty::whole(min), max: Qty::whole(max), step: Qty::whole(1) };
        Instrument { qty: grid(all, 1_000), market_qty: grid(market, 500), ..doge() }
    };
    for (instrument, sent) in [(least(11, 1), 0), (least(1, 11), 0), (least(10, 10), 1)] {
        let mut bench = Bench::ready();
        bench.says(vec![VenueEvent::Instruments(vec![instrument])]);
        // It was bought when the rules were others.
        let rules = bench.gateway.instruments.replace([(Symbol::new("dogeusdt"), doge())].into());
        let bought = bench.order(1);
        bench.says(vec![event(report(&bought, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
        bench.gateway.instruments = rules;
        bench.script.0.borrow_mut().placed.clear();
        bench.input(kill(true));
        let (placed, last) = bench.closes(10);
        assert_eq!(placed.len(), sent, "{last}");
        assert_eq!(last.ends_with("10 is less than the exchange takes: it stays"), sent == 0, "{last}");
    }
}

#[test]
fn r60_what_is_worth_less_than_the_exchange_takes_is_not_sent_to_be_closed() {
    let session = Bounds { price_band: Some("90".parse().unwrap()), ..Bounds::default() };
    let limits = Limits { session, ..Limits::default() };
    let mut bench = Bench::of(GatewayConfig { limits, ..config() }, vec![doge_is_read()], Vec::new(), START);
    bench.recover(&[], &[]);
    bench.login(None);
    assert_eq!(bench.outcome(&order(1, "BUY")), "limit_book", "from now on it is watched");
    bench.says(vec![book("0.2", "0.2")]);
    let bought = bench.order(2);
    bench.says(vec![
        event(report(&bought, VenueStatus::Filled, 10, Some(fill(1, 10)))),
        book("0.09", "0.099"),
    ]);
    bench.script.0.borrow_mut().placed.clear();
    bench.input(kill(true));
    let stays = "10 is worth less than the exchange takes: it stays";
    assert_eq!(bench.closes(10), (Vec::new(), stays.to_owned()));
    // One USDT is the least, and it is worth more again.
    bench.says(vec![book("0.1", "0.101")]);
    assert_eq!(bench.closes(1).0, [Qty::whole(10)]);
}

/// Orders that flatten are numbered by the run, not by the switch: an id given twice would be two orders in one.
#[test]
fn r60_a_switch_pulled_again_gives_no_id_a_second_time() {
    let mut bench = Bench::ready();
    bench.ways(&BOTH);
    let mut closed = Vec::new();
    for round in 1..=3 {
        let bought = bench.order(round);
        let venue_id = 100 + round;
        let fills = Fill { venue_id, ..fill(10 * round, 10) };
        let held = OrderReport { venue_id, ..report(&bought, VenueStatus::Filled, 10, Some(fills)) };
        bench.says(vec![event(held)]);
        bench.script.0.borrow_mut().placed.clear();
        bench.input(kill(true));
        bench.wait(Span::from_secs(1));
        let id = bench.script.0.borrow().placed[0].id.clone();
        let venue_id = 200 + round;
        let sold = Fill { side: Side::Sell, venue_id, ..fill(10 * round + 1, 10) };
        let done =
            OrderReport { side: Side::Sell, venue_id, ..report(&id, VenueStatus::Filled, 10, Some(sold)) };
        bench.says(vec![event(done)]);
        assert_eq!(bench.net(), Qty::ZERO, "{round}");
        assert!(!closed.contains(&id), "{id} twice");
        closed.push(id);
        bench.input(gone(round));
    }
}

#[test]
fn a_pause_lets_cancels_and_what_reduces_pass() {
    let mut bench = Bench::ready();
    let bought = bench.order(1);
    bench.says(vec![event(report(&bought, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let resting = bench.working(2);
    for whom in [None, Some(SessionId(1))] {
        let now = bench.now;
        bench.gateway.pause(now, whom, "a test", "lunch");
        bench.wait(Span::from_millis(1));
        let n = bench.gateway.sessions[&SessionId(1)].last_command + 1;
        assert_eq!(bench.outcome(&order(n, "BUY")), "paused", "{whom:?}");
        let cancel = json!({"id": 7, "method": "cancel", "params": {"n": n + 1, "order_id": resting}});
        assert_eq!(bench.outcome(&cancel), "taken");
        assert!(bench.gateway.resume(whom, "a test"));
        assert!(!bench.gateway.resume(whom, "a test"));
        bench.wait(Span::from_millis(1));
    }
    let now = bench.now;
    bench.gateway.pause(now, Some(SessionId(2)), "a test", "");
    bench.gateway.pause(now, Some(SessionId(1)), "a test", "");
    let n = bench.gateway.sessions[&SessionId(1)].last_command + 1;
    assert_eq!(bench.outcome(&order(n, "SELL")), "taken", "it only reduces");
    assert_eq!(bench.outcome(&order(n + 1, "SELL")), "paused", "with that one it could turn the position");
    let states: Vec<&Value> = bench.sent.iter().filter(|f| f["event"] == "state").collect();
    assert_eq!(states.last().unwrap()["stopped"], "paused", "{states:?}");
    assert!(bench.gateway.resume(Some(SessionId(1)), "a test"));
    assert_eq!(bench.outcome(&order(n + 2, "BUY")), "taken", "the other session's pause is its own");
}

#[test]
fn a_pause_is_kept_and_told_at_login() {
    let pause = Pause { by: "operator".to_owned(), ..Pause::default() };
    let kept = Kept { paused: [(SessionId(1), pause)].into(), ..Kept::default() };
    let mut bench = Bench::of(GatewayConfig { kept, ..config() }, vec![doge_is_read()], Vec::new(), START);
    bench.recover(&[], &[]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["state"]["stopped"], "paused", "{reply}");
    assert_eq!(bench.outcome(&order(1, "BUY")), "paused");
    let other = bench.login_as(2, None);
    assert_eq!(other["result"]["state"]["stopped"], Value::Null);
}

/// A gateway that is back after so many fast crashes, with what it had.
fn back_after(in_a_row: u32, pause_after: u32) -> (Bench, ClientOrderId) {
    let mut bench = Bench::ready();
    let bought = bench.order(1);
    bench.says(vec![event(report(&bought, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let resting = bench.working(2);
    let crashes = Crashes { in_a_row, pause_after };
    let now = bench.now + Span::from_secs(60);
    let mut bench = Bench::of(GatewayConfig { crashes, ..config() }, bench.journal, Vec::new(), now);
    let open = OrderReport { venue_id: 78, ..report(&resting, VenueStatus::New, 0, None) };
    bench.recover(&[open], &[fill(1, 10)]);
    bench.login(None);
    (bench, resting)
}

#[test]
fn r53_after_three_fast_crashes_it_takes_no_new_orders_until_it_is_resumed() {
    let (mut bench, resting) = back_after(3, 3);
    assert_eq!((bench.gateway.recovery.word(), bench.net()), ("ready", Qty::whole(10)), "all else as ever");
    let refused = bench.call(&order(1, "BUY"));
    assert_eq!(refused["error"]["name"], "paused", "{refused}");
    let words =
        "by the gateway: crashed 3 times within 10 s of its start: look into the log, then `pyalgo resume`";
    assert!(refused["error"]["message"].as_str().unwrap().contains(words), "{refused}");
    let cancel = json!({"id": 7, "method": "cancel", "params": {"n": 2, "order_id": resting}});
    assert_eq!(bench.outcome(&cancel), "taken");
    let loud = |line: &String| line == "the gateway crashed again and again times=3";
    assert!(bench.logs.iter().any(loud), "{:?}", bench.logs);
    let condition = bench.gateway.condition(bench.now);
    assert!(
        condition.problems.iter().any(|it| it.kind == "paused" && it.reason.contains(words)),
        "{condition}"
    );
    // A restart that ended in order in between would not forget it.
    assert!(bench.gateway.stop.kept.paused_all.is_some() && bench.gateway.stop_view().not_kept.is_some());
    assert!(bench.gateway.resume(None, "a test"));
    bench.wait(Span::from_millis(1));
    assert_eq!(bench.outcome(&order(3, "BUY")), "taken");
}

#[test]
fn r53_fewer_crashes_or_a_limit_of_none_pause_nothing() {
    for (in_a_row, pause_after, outcome) in
        [(0, 3, "taken"), (2, 3, "taken"), (9, 0, "taken"), (4, 3, "paused"), (1, 1, "paused")]
    {
        let (mut bench, _) = back_after(in_a_row, pause_after);
        assert_eq!(bench.outcome(&order(1, "BUY")), outcome, "{in_a_row} of {pause_after}");
    }
}

#[test]
fn r53_only_a_run_that_broke_is_one_more() {
    let crashes = Crashes { in_a_row: 2, pause_after: 3 };
    assert_eq!(crashes.with_this_run(), 3);
    for (end, count) in [(RunEnd::InOrder, 0), (RunEnd::Refused, 2), (RunEnd::Broken, 3)] {
        assert_eq!(crashes.after(end), count, "{end:?}");
    }
    let many = Crashes { in_a_row: u32::MAX, pause_after: 3 };
    assert_eq!(many.with_this_run(), u32::MAX);
}

impl Bench {
    /// Logs in with what a login may declare.
    fn declares(&mut self, session: u16, declared: &Value) -> Value {
        self.conn = ConnId(self.conn.0 + 1);
        self.input(Input::ClientOpened(self.conn));
        let nonce = "ab".repeat(16);
        let hello = self.call(&json!({"id": 1, "method": "hello", "params": {"version": 1, "nonce": nonce}}));
        let gateway_nonce = hello["result"]["nonce"].as_str().unwrap().to_owned();
        let proof = proof::of_client("secret", &nonce, &gateway_nonce, session);
        let mut params = json!({"session_id": session, "trading": true, "proof": proof});
        for (name, value) in declared.as_object().unwrap() {
            params[name] = value.clone();
        }
        self.call(&json!({"id": 2, "method": "login", "params": params}))
    }

    fn beat(&mut self) {
        self.call(&json!({"method": "beat"}));
    }

    fn leaves(&mut self) {
        let conn = self.conn;
        self.input(Input::ClientClosed(conn));
        self.input(Input::Timer);
    }

    fn declared(declared: &Value) -> (Self, [ClientOrderId; 2]) {
        let mut bench = Self::ready();
        let of_another = bench.working(1);
        bench.ways(&BOTH);
        bench.declares(2, declared);
        let order = bench.order(1);
        let report = OrderReport { venue_id: 500, ..report(&order, VenueStatus::New, 0, None) };
        bench.says(vec![event(report)]);
        (bench, [of_another, order])
    }
}

#[test]
fn r54_orders_of_a_session_whose_connection_is_gone_stay_or_go_as_it_said() {
    let (mut bench, [_, order]) = Bench::declared(&json!({"on_lost": "cancel"}));
    bench.leaves();
    let sent = bench.urgent();
    assert!(sent.len() == 1 && sent[0].1 == order, "its own alone: {sent:?}");
    bench.canceled(sent[0].0, &order, 500);
    assert!(bench.gateway.stop_view().live.is_empty());
    for keeps in [json!({}), json!({"on_lost": "keep", "heartbeat_ms": 1000})] {
        let (mut bench, _) = Bench::declared(&keeps);
        bench.leaves();
        bench.wait(Span::from_secs(60));
        assert!(bench.urgent().is_empty(), "{keeps}");
    }
}

#[test]
fn r54_one_that_is_back_within_its_grace_finds_all_as_it_was() {
    let grace = json!({"on_lost": "cancel", "grace_ms": 5000});
    let (mut bench, [_, order]) = Bench::declared(&grace);
    bench.leaves();
    bench.wait(Span::from_millis(4_900));
    bench.declares(2, &grace);
    bench.wait(Span::from_secs(20));
    assert!(bench.urgent().is_empty());
    bench.leaves();
    assert_eq!(bench.gateway.stop_view().lost.len(), 1);
    bench.wait(Span::from_millis(4_900));
    assert!(bench.urgent().is_empty());
    bench.wait(Span::from_millis(100));
    assert_eq!(bench.urgent()[0].1, order);
}

#[test]
fn r54_the_policy_outlives_the_gateway_while_the_strategy_is_away() {
    let (mut bench, [_, order]) = Bench::declared(&json!({"on_lost": "cancel", "grace_ms": 5000}));
    let policy = Policy { heartbeat_ms: None, cancel_after_ms: Some(5000) };
    assert_eq!(bench.gateway.stop.kept.policies[&SessionId(2)], policy);
    let kept = Kept { policies: [(SessionId(2), policy)].into(), ..Kept::default() };
    let (journal, now) = (std::mem::take(&mut bench.journal), bench.now + Span::from_secs(9));
    let script = Scripted::default();
    script.0.borrow_mut().ways = BOTH.to_vec();
    let mut bench = Bench::at(script, GatewayConfig { kept, ..config() }, journal, Vec::new(), now);
    bench.wait(Span::from_millis(4_900));
    assert!(bench.urgent().is_empty());
    bench.wait(Span::from_millis(100));
    assert_eq!(bench.urgent()[0].1, order);
}

/// Whether what the strategy of another session says is true or made up: to have to log in again is no loss.
#[test]
fn r54_a_session_that_the_gateway_tells_to_log_in_again_has_the_time_for_it() {
    let names_a_lost_epoch = |bench: &mut Bench, session: u16| {
        let seated = bench.conn;
        bench.pending = json!([{"epoch": bench.gateway.epoch + 9, "method": "cancel", "params": {"n": 1}}]);
        bench.login_as(session, None);
        assert!(bench.closed.contains(&(seated, 1012)), "{:?}", bench.closed);
    };
    let at_once = json!({"on_lost": "cancel"});
    let (mut bench, [_, order]) = Bench::declared(&at_once);
    names_a_lost_epoch(&mut bench, 3);
    bench.wait(Span::from_millis(9_900));
    assert_eq!(bench.urgent(), []);
    bench.declares(2, &at_once);
    bench.wait(Span::from_secs(60));
    assert_eq!(bench.urgent(), []);
    // One that does not come back is lost all the same.
    names_a_lost_epoch(&mut bench, 4);
    bench.wait(Span::from_millis(9_900));
    assert_eq!(bench.urgent(), []);
    bench.wait(Span::from_millis(100));
    assert_eq!(bench.urgent()[0].1, order);
    // Its own grace may be longer.
    let (mut bench, [_, order]) = Bench::declared(&json!({"on_lost": "cancel", "grace_ms": 30_000}));
    names_a_lost_epoch(&mut bench, 3);
    bench.wait(Span::from_millis(29_900));
    assert_eq!(bench.urgent(), []);
    bench.wait(Span::from_millis(100));
    assert_eq!(bench.urgent()[0].1, order);
}

#[test]
fn r62_a_session_that_does_not_beat_counts_as_lost_and_may_not_send() {
    let (mut bench, [_, id]) = Bench::declared(&json!({"heartbeat_ms": 1000, "on_lost": "cancel"}));
    bench.wait(Span::from_secs(60));
    assert!(bench.urgent().is_empty(), "before the first beat the loop has not begun to run");
    for _ in 0..10 {
        bench.beat();
        bench.wait(Span::from_millis(900));
    }
    assert!(bench.urgent().is_empty());
    bench.wait(Span::from_millis(100));
    bench.input(Input::Timer);
    let sent = bench.urgent();
    assert_eq!(sent[0].1, id);
    assert!(bench.events().contains(&"notice lost".to_owned()), "{:?}", bench.events());
    assert_eq!(bench.outcome(&order(2, "BUY")), "no_heartbeat");
    let cancel = json!({"id": 7, "method": "cancel", "params": {"n": 3, "order_id": id}});
    assert_eq!(bench.outcome(&cancel), "taken");
    bench.canceled(sent[0].0, &id, 500);
    bench.beat();
    assert_eq!(bench.outcome(&order(4, "BUY")), "taken");
    assert!(bench.gateway.stop_view().lost.is_empty());
}

/// What it declares holds once it is in, and a session that is lost stays lost until then.
#[test]
fn r54_a_login_that_is_turned_away_declares_nothing() {
    let (mut bench, [_, order]) = Bench::declared(&json!({"on_lost": "cancel", "grace_ms": 5000}));
    let policy = bench.gateway.stop.kept.policies[&SessionId(2)];
    let kept = Kept { policies: [(SessionId(2), policy)].into(), ..Kept::default() };
    let (journal, now) = (std::mem::take(&mut bench.journal), bench.now + Span::from_secs(9));
    let script = Scripted::default();
    script.0.borrow_mut().ways = BOTH.to_vec();
    let mut bench = Bench::at(script, GatewayConfig { kept, ..config() }, journal, Vec::new(), now);
    // Of a stop that nobody here knows it cannot be said yet where the exchange keeps it.
    let too_early = json!({"on_lost": "keep", "take_over": true, "pending": [{"epoch": 1, "method": "order",
        "params": {"n": 7, "symbol": "dogeusdt", "side": "BUY", "type": "STOP_LOSS", "stop_price": "0.3", "qty": "10"}}]});
    bench.declares(2, &too_early);
    assert_eq!(bench.closed, [(bench.conn, 1012)]);
    assert_eq!(bench.gateway.stop.kept.policies.get(&SessionId(2)), Some(&policy));
    assert_eq!(bench.gateway.stop_view().lost.len(), 1);
    // Nor does one that would have taken the session over.
    let beats = json!({"on_lost": "cancel", "grace_ms": 5000, "heartbeat_ms": 1000});
    bench.declares(2, &beats);
    let policy = Policy { heartbeat_ms: Some(1000), ..policy };
    bench.beat();
    let owner = bench.conn;
    bench.declares(2, &too_early);
    assert_eq!(bench.closed.last(), Some(&(bench.conn, 1012)));
    assert_eq!(bench.gateway.sessions[&SessionId(2)].owner, Some(owner));
    assert_eq!(bench.gateway.stop.kept.policies[&SessionId(2)], policy);
    bench.wait(Span::from_millis(6_000));
    bench.wait(Span::from_millis(5_000));
    assert_eq!(bench.urgent()[0].1, order, "its beats are missed");
}

#[test]
fn what_a_login_declares_is_checked() {
    for (declared, word) in [
        (json!({"heartbeat_ms": 50}), "100"),
        (json!({"grace_ms": 50}), "on_lost"),
        (json!({"on_lost": "cancel", "grace_ms": 86_400_001}), "86400000"),
        (json!({"on_lost": "cancel", "trading": false}), "trades"),
        (json!({"on_lost": "explode"}), "explode"),
    ] {
        let mut bench = Bench::ready();
        let reply = bench.declares(2, &declared);
        assert_eq!(reply["error"]["name"], "bad_request", "{declared}: {reply}");
        assert!(reply["error"]["message"].as_str().unwrap().contains(word), "{declared}: {reply}");
    }
}
