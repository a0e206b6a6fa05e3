//! Market data: whole books, stale streams, bars without a hole, instruments that change.

use super::*;
use crate::book::{BookDiff, BookUpdate};
use crate::market::{Bar, Depth, Level};

fn named(channel: &str) -> Stream {
    Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::from_word(channel).unwrap() }
}

fn level(price: &str, qty: i64) -> Level {
    Level { price: price.parse().unwrap(), qty: Qty::whole(qty) }
}

fn depth(update_id: u64) -> Depth {
    let (bids, asks) = (vec![level("0.2", 10), level("0.1", 20)], vec![level("0.3", 5)]);
    Depth { update_id, time: START, bids, asks }
}

fn change(previous: u64, update_id: u64) -> BookUpdate {
    BookUpdate::Diff(BookDiff {
        previous,
        update_id,
        time: START,
        bids: vec![level("0.2", 9)],
        asks: Vec::new(),
    })
}

impl Bench {
    fn subscribe(&mut self, channel: &str) -> Value {
        self.call(
            &json!({"id": 50, "method": "subscribe", "params": {"streams": [named(channel).to_string()]}}),
        )
    }

    fn book(&mut self, updates: Vec<BookUpdate>) {
        self.says(updates.into_iter().map(|update| VenueEvent::Book(named("book"), update)).collect());
    }

    fn market(&mut self) -> Vec<Value> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().filter(|frame| frame.get("stream").is_some()).collect()
    }
}

#[test]
fn a_book_is_sent_whole_then_as_changes() {
    let mut bench = Bench::ready();
    bench.subscribe("book");
    assert_eq!(bench.market(), [Value::Null; 0], "not good yet");
    bench.script.0.borrow_mut().book = Some(depth(7));
    bench.book(vec![BookUpdate::Fresh, change(7, 9)]);
    let whole = json!({"stream": "dogeusdt@book", "data": {"time": START, "update_id": 7,
        "bids": [["0.2", "10"], ["0.1", "20"]], "asks": [["0.3", "5"]]}});
    // Told before the venue's machine has moved on, so the change is in the whole already.
    assert_eq!(bench.market(), std::slice::from_ref(&whole));
    bench.book(vec![change(9, 11)]);
    let changed = json!({"stream": "dogeusdt@book", "data": {"time": START, "update_id": 11, "previous_id": 9,
        "bids": [["0.2", "9"]], "asks": []}});
    assert_eq!(bench.market(), [changed]);
    bench.script.0.borrow_mut().book = Some(depth(11));
    bench.take_over = true;
    bench.login(None);
    bench.subscribe("book");
    assert_eq!(bench.market()[0]["data"]["update_id"], 11, "who joins late gets the whole");
}

#[test]
fn r27_a_stale_book_is_said_at_once_and_is_not_given() {
    let mut bench = Bench::ready();
    bench.subscribe("book");
    bench.script.0.borrow_mut().book = Some(depth(7));
    bench.book(vec![BookUpdate::Fresh]);
    bench.sent.clear();
    bench.script.0.borrow_mut().book = None;
    bench.book(vec![change(7, 8), BookUpdate::Stale("a gap".to_owned())]);
    assert_eq!(bench.market(), [json!({"stream": "dogeusdt@book", "stale": "a gap"})]);
    bench.take_over = true;
    bench.login(None);
    bench.subscribe("book");
    assert_eq!(bench.market(), [Value::Null; 0]);
}

#[test]
fn what_the_market_lacks_is_refused_in_its_own_words() {
    let mut bench = Bench::ready();
    bench.script.0.borrow_mut().lacks = Some(Channel::Mark);
    let refused = bench.subscribe("mark");
    assert_eq!(refused["error"]["name"], "invalid_stream");
    assert_eq!(refused["error"]["message"], "no stream \"dogeusdt@mark\": no mark here");
    bench.script.0.borrow_mut().lacks = Some(Channel::Kline(Interval::S1));
    assert_eq!(bench.subscribe("mark")["error"], Value::Null);
    assert_eq!(
        bench.subscribe("kline:1s")["error"]["message"],
        "no stream \"dogeusdt@kline:1s\": no kline:1s here"
    );
    let history =
        json!({"id": 9, "method": "history", "params": {"symbol": "dogeusdt", "interval": "1s", "count": 5}});
    assert_eq!(bench.call(&history)["error"]["message"], "no kline:1s here");
}

#[test]
fn r30_one_stale_stream_is_said_and_the_others_are_not() {
    let mut bench = Bench::ready();
    bench.subscribe("depth");
    bench.subscribe("bbo");
    bench.sent.clear();
    bench.says(vec![
        VenueEvent::Depth(named("depth"), depth(1)),
        VenueEvent::Stale(named("depth"), "no data for 1600 ms".to_owned()),
        VenueEvent::Bbo(named("bbo"), depth(2)),
    ]);
    let frames = bench.market();
    assert_eq!(frames[0], json!({"stream": "dogeusdt@depth", "stale": "no data for 1600 ms"}));
    assert_eq!((frames.len(), frames[1]["stream"].as_str()), (2, Some("dogeusdt@bbo")));
}

const MINUTE: i64 = 60_000;

fn bar(minute: i64, closed: bool) -> Bar {
    let start = Time::from_millis(START.millis() / MINUTE * MINUTE + minute * MINUTE);
    let one = Price::whole(1);
    Bar {
        interval: Interval::M1,
        start,
        end: start + Span::from_millis(MINUTE - 1),
        open: one,
        high: one,
        low: one,
        close: one,
        volume: Qty::whole(1),
        amount: Cash::whole(1),
        trades: 1,
        buy_volume: Qty::ZERO,
        buy_amount: Cash::ZERO,
        closed,
    }
}

fn live(minute: i64, closed: bool) -> VenueEvent {
    VenueEvent::Bar(named("kline:1m"), bar(minute, closed))
}

/// Minute of each bar told, and whether it was closed.
fn told(bench: &mut Bench) -> Vec<(i64, bool)> {
    let zero = bar(0, false).start.nanos();
    let minute = |frame: &Value| (frame["data"]["start"].as_i64().unwrap() - zero) / (MINUTE * 1_000_000);
    bench.market().iter().map(|frame| (minute(frame), frame["data"]["closed"].as_bool().unwrap())).collect()
}

#[test]
fn row_002_75_bars_missed_while_nothing_arrived_are_told_in_their_place() {
    let mut bench = Bench::ready();
    bench.subscribe("kline:1m");
    bench.sent.clear();
    bench.says(vec![live(0, false)]);
    bench.says(vec![live(0, true), live(0, true)]);
    assert_eq!(told(&mut bench), [(0, false), (0, true)], "a bar closes once");
    bench.now += Span::from_secs(4 * 60);
    bench.says(vec![live(3, false), live(3, true), live(4, false)]);
    assert_eq!(told(&mut bench), [], "minutes 1 and 2 come first");
    let asked = std::mem::take(&mut bench.script.0.borrow_mut().histories);
    let [(request, Interval::M1, count)] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(*count >= 4, "{count}");
    let bars = (-2..=4).map(|minute| bar(minute, minute < 4)).collect();
    bench.says(vec![VenueEvent::History { request: *request, bars: Ok(bars) }]);
    bench.says(vec![live(4, true)]);
    assert_eq!(told(&mut bench), [(1, true), (2, true), (3, true), (4, false), (4, true)]);
}

#[test]
fn row_002_75_what_closed_in_an_outage_after_the_first_open_bar_or_a_history_is_told() {
    for begins in ["open bar", "history"] {
        let mut bench = Bench::ready();
        bench.subscribe("kline:1m");
        if begins == "history" {
            let params = json!({"symbol": "dogeusdt", "interval": "1m", "count": 3});
            bench.call(&json!({"id": 6, "method": "history", "params": params}));
            let asked = std::mem::take(&mut bench.script.0.borrow_mut().histories);
            let bars = (-2..=0).map(|minute| bar(minute, minute < 0)).collect();
            bench.says(vec![VenueEvent::History { request: asked[0].0, bars: Ok(bars) }]);
        } else {
            bench.says(vec![live(0, false)]);
        }
        bench.market();
        bench.sent.clear();
        bench.now += Span::from_secs(3 * 60);
        bench.says(vec![live(2, false)]);
        let asked = std::mem::take(&mut bench.script.0.borrow_mut().histories);
        assert_eq!(asked.len(), 1, "{begins}");
        let bars = (-2..=2).map(|minute| bar(minute, minute < 2)).collect();
        bench.says(vec![VenueEvent::History { request: asked[0].0, bars: Ok(bars) }]);
        assert_eq!(told(&mut bench), [(0, true), (1, true), (2, false)], "{begins}");
    }
}

#[test]
fn a_hole_the_exchange_does_not_fill_holds_nothing_up_for_ever() {
    let mut bench = Bench::ready();
    bench.subscribe("kline:1m");
    bench.says(vec![live(0, true)]);
    bench.sent.clear();
    bench.says(vec![live(5, false)]);
    for _ in 0..3 {
        let asked = std::mem::take(&mut bench.script.0.borrow_mut().histories);
        assert_eq!((asked.len(), told(&mut bench)), (1, vec![]));
        let bars = Err("no answer".to_owned());
        bench.says(vec![VenueEvent::History { request: asked[0].0, bars }]);
    }
    bench.says(vec![live(5, true)]);
    assert_eq!(told(&mut bench), [(5, false), (5, true)]);
}

#[test]
fn r42_changed_filters_hold_at_once_and_are_told() {
    let mut bench = Bench::ready();
    bench.subscribe("depth");
    bench.sent.clear();
    let mut coarser = doge();
    coarser.price.step = "0.01".parse().unwrap();
    bench.says(vec![VenueEvent::RulesDoubted]);
    assert_eq!(bench.script.0.borrow().refreshed, 1);
    bench.says(vec![VenueEvent::Instruments(vec![doge()])]);
    assert_eq!(bench.sent, [Value::Null; 0], "nothing changed");
    bench.says(vec![VenueEvent::Instruments(vec![coarser])]);
    let events: Vec<&Value> = bench.sent.iter().filter(|frame| frame["event"] == "products").collect();
    assert_eq!((events.len(), events[0]["products"][0]["tick_size"].as_str()), (1, Some("0.01")));
    let refused = bench.call(&doge_order(1, &json!({"price": "0.201"})));
    assert_eq!(refused["error"]["name"], "off_tick", "{refused}");
}

#[test]
fn a_stream_asked_for_while_market_data_is_down_is_stale_from_the_first() {
    let mut bench = Bench::ready();
    bench.says(vec![VenueEvent::FeedDown("cut off".to_owned())]);
    let ask = |id: u64, what: &str, stream: &str| json!({"id": id, "method": what, "params": {"streams": [stream]}});
    for stream in ["dogeusdt@depth", "dogeusdt@book"] {
        bench.call(&ask(10, "subscribe", stream));
        assert_eq!(bench.sent.last().unwrap(), &json!({"stream": stream, "stale": "cut off"}));
    }
    bench.says(vec![VenueEvent::FeedUp]);
    bench.call(&ask(11, "unsubscribe", "dogeusdt@depth"));
    bench.call(&ask(12, "subscribe", "dogeusdt@depth"));
    assert_eq!(bench.sent.last().unwrap()["id"], 12, "nothing is wrong with it");
    bench.says(vec![VenueEvent::EntryDown("reset".to_owned())]);
    bench.call(&ask(13, "subscribe", "dogeusdt@bbo"));
    assert!(bench.sent.last().unwrap()["stale"].as_str().unwrap().contains("not connected"));
}

#[test]
fn a_stream_that_is_none_lists_those_there_are() {
    let mut bench = Bench::ready();
    bench.script.0.borrow_mut().lacks = Some(Channel::Mark);
    let ask = json!({"id": 10, "method": "subscribe", "params": {"streams": ["dogeusdt@kline:2m"]}});
    let message = bench.call(&ask)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("kline:1m, kline:3m") && message.contains("depth:100ms"), "{message}");
    assert!(!message.contains("mark"), "{message}");
}

#[test]
fn r32_a_client_that_never_reads_is_closed_over_its_bars_too() {
    let mut bench = Bench::ready();
    bench.subscribe("kline:1m");
    bench.deaf = true;
    let most = crate::gateway::queue::BARS_MAX as i64;
    bench.says((0..most).map(|minute| live(minute, true)).collect());
    assert!(bench.closed.is_empty());
    bench.says(vec![live(most, true)]);
    assert_eq!(bench.closed, [(bench.conn, 4002)]);
    assert!(bench.gateway.pull(bench.now, bench.conn).is_none(), "what waited is let go");
    bench.deaf = false;
    assert_eq!(bench.login(None)["result"]["session_id"], 1, "its session is free");
}

#[test]
fn that_symbols_are_known_is_told_also_while_order_entry_is_down() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    bench.login(None);
    let subscribe = json!({"id": 5, "method": "subscribe", "params": {"streams": ["dogeusdt@bbo"]}});
    assert_eq!(bench.call(&subscribe)["error"]["name"], "not_ready");
    bench.sent.clear();
    bench.says(vec![VenueEvent::Instruments(vec![doge()])]);
    let states: Vec<&Value> = bench.sent.iter().filter(|frame| frame["event"] == "state").collect();
    assert_eq!(states.len(), 1, "what was refused for want of symbols is asked for again at it");
    assert_eq!(states[0]["state"], "down");
    assert!(bench.call(&subscribe)["result"].is_object());
}
