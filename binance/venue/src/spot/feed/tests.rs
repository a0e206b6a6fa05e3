//! The machine against a scripted venue: frames are written by hand, after web-socket-streams.md and web-socket-api.md
//! (2026-07-21).

use binance_wire::sign::SecretKey;
use serde_json::{Value, json};
use tradingsys::market::Channel;
use tradingsys::venue::port::{LinkAction, OrderEntry, VenueEvent};

use super::*;

mod binary;
mod books;
mod replay;

const START: i64 = 1_700_000_000_000;
const API: LinkId = LinkId(4);
const STREAMS: LinkId = LinkId(2);

struct Bench {
    feed: Feed,
    now: Time,
    out: Outbox,
}

fn config() -> SpotConfig {
    SpotConfig::new("ws://venue/ws-api/v3", "ws://venue/", "the-key", SecretKey::from_seed(&[9; 32]), 5)
}

impl Bench {
    fn new() -> Self {
        let mut bench =
            Self { feed: Feed::new(config()), now: Time::from_millis(START), out: Outbox::default() };
        bench.feed.start(bench.now, &mut bench.out);
        bench
    }

    /// Both connections open, nothing subscribed.
    fn up() -> Self {
        let mut bench = Self::new();
        let urls = ["ws://venue/ws-api/v3", "ws://venue/stream"].map(str::to_owned);
        assert_eq!(bench.opened(), [(API, urls[0].clone()), (STREAMS, urls[1].clone())]);
        bench.input(API, LinkInput::Up);
        bench.input(STREAMS, LinkInput::Up);
        assert_eq!(bench.events(), [VenueEvent::FeedUp]);
        bench
    }

    fn opened(&mut self) -> Vec<(LinkId, String)> {
        self.take(|action| match action {
            LinkAction::Open { link, url, .. } => Some((*link, url.clone())),
            _ => None,
        })
    }

    fn closed(&mut self) -> Vec<LinkId> {
        self.take(|action| match action {
            LinkAction::Close { link } => Some(*link),
            _ => None,
        })
    }

    /// Frames sent on this link since the last call.
    fn sent(&mut self, link: LinkId) -> Vec<Value> {
        self.take(|action| match action {
            LinkAction::Send { link: on, text } if *on == link => Some(serde_json::from_slice(text).unwrap()),
            _ => None,
        })
    }

    fn take<T>(&mut self, pick: impl Fn(&LinkAction) -> Option<T>) -> Vec<T> {
        let picked = self.out.actions.iter().filter_map(&pick).collect();
        self.out.actions.retain(|action| pick(action).is_none());
        picked
    }

    fn events(&mut self) -> Vec<VenueEvent> {
        std::mem::take(&mut self.out.events)
    }

    fn input(&mut self, link: LinkId, input: LinkInput<'_>) {
        self.feed.handle(self.now, link, input, &mut self.out);
    }

    fn text(&mut self, link: LinkId, value: &Value) {
        let text = value.to_string();
        self.input(link, LinkInput::Text(&text));
    }

    fn reply(&mut self, request: &Value, result: &Value) {
        self.text(API, &json!({"id": request["id"], "status": 200, "result": result, "rateLimits": []}));
    }

    fn subscribe(&mut self, symbol: &str, word: &str) {
        self.feed.subscribe(self.now, &stream(symbol, word), &mut self.out);
    }

    /// Confirms all control requests, also those that follow, for as long as any come.
    fn confirm(&mut self, link: LinkId) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let sent = self.sent(link);
            if sent.is_empty() {
                return all;
            }
            for request in sent {
                self.text(link, &json!({"result": null, "id": request["id"]}));
                all.push(request);
            }
            self.pass(Span::from_millis(300));
        }
    }

    fn pass(&mut self, span: Span) {
        self.pass_with(span, true);
    }

    fn pass_with(&mut self, span: Span, pings: bool) {
        let end = self.now + span;
        let mut ping = self.now + Span::from_secs(10);
        let mut links: Vec<LinkId> = vec![API, STREAMS];
        loop {
            let due = self.feed.deadline().unwrap_or(end).max(self.now);
            if pings && ping <= due.min(end) {
                self.now = ping;
                ping += Span::from_secs(10);
                links.extend(self.out.actions.iter().filter_map(|action| match action {
                    LinkAction::Open { link, .. } => Some(*link),
                    _ => None,
                }));
                for link in links.clone() {
                    self.input(link, LinkInput::Alive);
                }
            } else if due <= end {
                self.now = due;
                self.feed.timer(due, &mut self.out);
            } else {
                self.now = end;
                return;
            }
        }
    }
}

fn stream(symbol: &str, word: &str) -> Stream {
    Stream { symbol: Symbol::new(symbol), channel: Channel::from_word(word).unwrap() }
}

fn ticker(id: u64) -> Value {
    json!({"stream": "btcusdt@bookTicker",
        "data": {"u": id, "s": "BTCUSDT", "b": "1.0", "B": "2.0", "a": "3.0", "A": "4.0"}})
}

fn trade(id: u64) -> Value {
    json!({"stream": "btcusdt@trade", "data": {"e": "trade", "E": 1, "s": "BTCUSDT", "t": id, "p": "1.5",
        "q": "2", "T": 3, "m": true, "M": true}})
}

fn bar(start: i64, trades: u64, closed: bool) -> Value {
    json!({"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": 1, "s": "BTCUSDT", "k": {"t": start,
        "T": start + 59_999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "1", "c": "1", "h": "1", "l": "1",
        "v": "1", "n": trades, "x": closed, "q": "1", "V": "1", "Q": "1", "B": "0"}}})
}

fn trade_ids(events: &[VenueEvent]) -> Vec<u64> {
    let id = |event: &VenueEvent| match event {
        VenueEvent::Trade(_, trade) => Some(trade.id),
        _ => None,
    };
    events.iter().filter_map(id).collect()
}

#[test]
fn instruments_are_asked_for_at_once_and_hourly() {
    let mut bench = Bench::up();
    let sent = bench.sent(API);
    let methods: Vec<_> = sent.iter().map(|request| request["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["time", "exchangeInfo"]);
    let info = json!({"timezone": "UTC", "serverTime": START, "rateLimits": [], "exchangeFilters": [],
        "symbols": [{"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
            "orderTypes": ["LIMIT"], "filters": []}, {"symbol": "BARE"}]});
    bench.reply(&sent[1], &info);
    let events = bench.events();
    let [VenueEvent::Warning { words: text, .. }, VenueEvent::Instruments(all)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(all[0].symbol, Symbol::new("btcusdt"));
    assert!(text.contains("BARE: missing field"), "{text:?}");
    bench.pass(Span::from_secs(10));
    bench.sent(API);
    bench.feed.instruments(bench.now, &mut bench.out);
    bench.feed.instruments(bench.now, &mut bench.out);
    assert_eq!(bench.sent(API).len(), 1, "asked once while one is on its way");
    bench.pass(Span::from_secs(3_599));
    let hourly = |bench: &mut Bench| bench.sent(API).iter().filter(|r| r["method"] == "exchangeInfo").count();
    hourly(&mut bench);
    bench.pass(Span::from_secs(20));
    assert!(hourly(&mut bench) >= 1);
}

#[test]
fn data_of_all_channels_arrives() {
    let mut bench = Bench::up();
    for word in ["depth", "depth:100ms", "bbo", "trade", "kline:1m"] {
        bench.subscribe("BTCUSDT", word);
        bench.subscribe("btcusdt", word);
    }
    let names: Vec<Value> =
        bench.confirm(STREAMS).iter().flat_map(|r| r["params"].as_array().unwrap().clone()).collect();
    assert_eq!(
        names,
        [
            "btcusdt@depth20",
            "btcusdt@depth20@100ms",
            "btcusdt@bookTicker",
            "btcusdt@trade",
            "btcusdt@kline_1m"
        ]
    );
    let depth = json!({"lastUpdateId": 7, "bids": [["1", "2"]], "asks": []});
    bench.text(STREAMS, &json!({"stream": "btcusdt@depth20", "data": depth}));
    bench.text(STREAMS, &json!({"stream": "btcusdt@depth20@100ms", "data": depth}));
    bench.text(STREAMS, &json!({"stream": "ethusdt@depth20", "data": depth}));
    bench.text(STREAMS, &json!({"stream": "btcusdt@depth20", "data": {"lastUpdateId": "x"}}));
    bench.text(STREAMS, &ticker(8));
    bench.text(STREAMS, &trade(9));
    bench.text(STREAMS, &bar(0, 1, true));
    let events = bench.events();
    let [
        VenueEvent::Depth(slow, view),
        VenueEvent::Depth(fast, _),
        VenueEvent::Bbo(_, bbo),
        VenueEvent::Trade(_, trade),
        VenueEvent::Bar(name, bar),
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((slow.channel, fast.channel), (Channel::Depth, Channel::DepthFast));
    assert_eq!((view.update_id, view.time, bbo.update_id, trade.id), (7, bench.now, 8, 9));
    assert!(bar.closed && name.to_string() == "btcusdt@kline:1m");

    bench.feed.unsubscribe(bench.now, &stream("btcusdt", "trade"), &mut bench.out);
    let left = bench.confirm(STREAMS);
    assert_eq!(
        (left[0]["method"].clone(), left[0]["params"][0].clone()),
        (json!("UNSUBSCRIBE"), json!("btcusdt@trade"))
    );
}

#[test]
fn r37_control_frames_are_batched_and_paced() {
    let mut bench = Bench::up();
    let mut times = Vec::new();
    for at in 0..250 {
        bench.subscribe(&format!("s{at}usdt"), "bbo");
    }
    let mut names = 0;
    for _ in 0..400 {
        for request in bench.sent(STREAMS) {
            times.push(bench.now);
            names += request["params"].as_array().unwrap().len();
            bench.text(STREAMS, &json!({"result": null, "id": request["id"]}));
        }
        bench.pass(Span::from_millis(10));
    }
    assert_eq!(names, 250);
    assert!(times.len() <= 5, "{}", times.len());
    for pair in times.windows(5) {
        assert!(pair[4].since(pair[0]) >= Span::from_secs(1));
    }
}

#[test]
fn a_bad_name_does_not_spoil_the_others() {
    let mut bench = Bench::up();
    bench.subscribe("a", "bbo");
    bench.sent(STREAMS);
    for symbol in ["b", "bad", "c"] {
        bench.subscribe(symbol, "bbo");
    }
    let mut good = Vec::new();
    for _ in 0..20 {
        for request in bench.sent(STREAMS) {
            let params = request["params"].as_array().unwrap().clone();
            if params.contains(&json!("bad@bookTicker")) {
                let error = json!({"code": 2, "msg": "Invalid request"});
                bench.text(STREAMS, &json!({"error": error, "id": request["id"]}));
            } else {
                good.extend(params);
                bench.text(STREAMS, &json!({"result": null, "id": request["id"]}));
            }
        }
        bench.pass(Span::from_millis(300));
    }
    assert_eq!(good, ["b@bookTicker", "c@bookTicker"]);
}

#[test]
fn r27_row_004_60_a_lost_connection_is_said_and_everything_is_subscribed_again() {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "bbo");
    bench.subscribe("btcusdt", "trade");
    bench.confirm(STREAMS);
    bench.text(STREAMS, &ticker(1));
    bench.events();
    bench.input(STREAMS, LinkInput::Down("reset"));
    assert_eq!(bench.events(), [VenueEvent::FeedDown("reset".to_owned())]);
    bench.subscribe("ethusdt", "bbo");
    bench.pass(Span::from_secs(1));
    let next = LinkId(6);
    assert_eq!(bench.opened(), [(next, "ws://venue/stream".to_owned())]);
    bench.input(next, LinkInput::Up);
    assert_eq!(bench.events(), []);
    let names = bench.confirm(next)[0]["params"].clone();
    assert_eq!(names, json!(["btcusdt@bookTicker", "btcusdt@trade", "ethusdt@bookTicker"]));
    assert_eq!(bench.events(), [VenueEvent::FeedUp]);
    bench.text(next, &ticker(1));
    assert_eq!(bench.events().len(), 1, "a venue that counts anew is heard");
}

#[test]
fn r30_subscribed_but_silent_is_replaced() {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "bbo");
    bench.confirm(STREAMS);
    bench.pass(Span::from_millis(9_500));
    assert_eq!(bench.events(), []);
    bench.pass(Span::from_millis(500));
    let why = "no data for 10 s after it was subscribed".to_owned();
    assert_eq!(bench.events(), [VenueEvent::Stale(stream("btcusdt", "bbo"), why)]);
    let methods: Vec<Value> =
        bench.confirm(STREAMS).iter().map(|request| request["method"].clone()).collect();
    assert_eq!(methods, ["UNSUBSCRIBE", "SUBSCRIBE"], "that stream is asked for anew");
    for _ in 0..44 {
        bench.pass(Span::from_secs(1));
        bench.input(STREAMS, LinkInput::Alive);
        bench.input(API, LinkInput::Alive);
        bench.confirm(STREAMS);
        assert_eq!(bench.events(), [], "said once");
    }
    bench.pass(Span::from_secs(10));
    let why = "the market-data host sends no data".to_owned();
    assert_eq!(bench.events(), [VenueEvent::FeedDown(why)]);
    assert_eq!(bench.closed(), [STREAMS]);
}

#[test]
fn r30_every_kind_of_stream_is_watched_for_its_first_data() {
    // Nobody may trade for a while; a book changes.
    for (word, within) in [("depth", 10), ("depth:100ms", 10), ("bbo", 10), ("trade", 60), ("kline:1m", 60)] {
        let mut bench = Bench::up();
        bench.subscribe("btcusdt", word);
        bench.confirm(STREAMS);
        bench.pass(Span::from_millis(within * 1_000 - 500));
        assert_eq!(bench.events(), [], "{word}");
        bench.pass(Span::from_millis(500));
        let why = format!("no data for {within} s after it was subscribed");
        assert_eq!(bench.events(), [VenueEvent::Stale(stream("btcusdt", word), why)], "{word}");
        let methods: Vec<Value> = bench.confirm(STREAMS).iter().map(|r| r["method"].clone()).collect();
        assert_eq!(methods, ["UNSUBSCRIBE", "SUBSCRIBE"], "{word} is asked for anew");
    }
}

#[test]
fn r30_a_view_that_stops_is_stale_by_its_own_rate() {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "bbo");
    bench.subscribe("btcusdt", "trade");
    bench.confirm(STREAMS);
    for id in 1..=20 {
        bench.pass(Span::from_millis(100));
        bench.text(STREAMS, &ticker(id));
        bench.text(STREAMS, &trade(id));
    }
    bench.events();
    bench.pass(Span::from_millis(1_500));
    let events = bench.events();
    let [VenueEvent::Stale(name, why)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((name, why.as_str()), (&stream("btcusdt", "bbo"), "no data for 1250 ms"));
    bench.text(STREAMS, &ticker(21));
    assert!(matches!(bench.events()[..], [VenueEvent::Bbo(..)]), "data ends it");
}

#[test]
fn r30_a_stream_wanted_late_has_its_time_too() {
    let mut bench = Bench::up();
    bench.pass(Span::from_secs(600));
    bench.subscribe("btcusdt", "bbo");
    bench.pass(Span::from_millis(500));
    bench.confirm(STREAMS);
    bench.text(STREAMS, &ticker(1));
    bench.events();
    bench.pass(Span::from_secs(29));
    assert_eq!(bench.events(), []);
    for _ in 0..25 {
        bench.pass(Span::from_secs(1));
        bench.confirm(STREAMS);
    }
    assert!(matches!(bench.events()[..], [VenueEvent::Stale(..)]));
}

#[test]
fn r36_a_dead_connection_is_found() {
    let mut bench = Bench::up();
    bench.sent(STREAMS);
    bench.pass_with(Span::from_secs(13), false);
    assert_eq!(bench.sent(STREAMS)[0]["method"], "LIST_SUBSCRIPTIONS");
    bench.pass_with(Span::from_secs(12), false);
    assert!(bench.closed().contains(&STREAMS));
    assert!(matches!(bench.events()[..], [VenueEvent::FeedDown(_)]));
}

#[test]
fn r33_r34_a_planned_change_loses_and_repeats_no_trade() {
    let mut bench = Bench::up();
    for word in ["bbo", "trade", "kline:1m"] {
        bench.subscribe("btcusdt", word);
    }
    bench.confirm(STREAMS);
    bench.text(STREAMS, &trade(100));
    bench.text(STREAMS, &bar(60_000, 5, false));
    bench.text(STREAMS, &json!({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}}));
    let next = LinkId(6);
    assert_eq!(bench.opened().len(), 1);
    bench.input(next, LinkInput::Up);
    bench.confirm(next);
    bench.events();
    for id in 101..=103 {
        bench.text(next, &trade(id));
    }
    bench.text(next, &bar(60_000, 6, true));
    bench.text(next, &bar(120_000, 1, false));
    assert_eq!(bench.events(), [], "the old one still serves");
    bench.text(STREAMS, &trade(101));
    bench.text(STREAMS, &trade(102));
    bench.text(STREAMS, &bar(60_000, 6, false));
    bench.text(STREAMS, &ticker(5));
    assert_eq!(trade_ids(&bench.events()), [101, 102]);
    bench.pass(Span::from_secs(1));
    assert_eq!(bench.closed(), [STREAMS]);
    bench.text(STREAMS, &trade(103));
    bench.text(next, &trade(104));
    let events = bench.events();
    assert_eq!(trade_ids(&events), [103, 104]);
    let bars: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            VenueEvent::Bar(_, bar) => Some((bar.start.millis(), bar.closed)),
            _ => None,
        })
        .collect();
    assert_eq!(bars, [(60_000, true), (120_000, false)]);
    assert!(!events.iter().any(|event| matches!(event, VenueEvent::FeedDown(_) | VenueEvent::FeedUp)));
}

#[test]
fn r33_connections_are_renewed_daily() {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "trade");
    bench.confirm(STREAMS);
    bench.text(STREAMS, &trade(1));
    bench.events();
    bench.pass(Span::from_secs(22 * 3_600));
    bench.closed();
    assert_eq!(bench.opened().iter().filter(|(link, _)| link.0 % 4 == 2).count(), 0);
    while bench.opened().iter().all(|(link, _)| link.0 % 4 != 2) {
        bench.pass(Span::from_secs(20));
        assert!(bench.now < Time::from_millis(START) + Span::from_secs(23 * 3_600 + 60));
    }
    assert_eq!(bench.events(), []);
}

fn row(start: i64) -> Value {
    json!([start, "1", "2", "0.5", "1.5", "10", start + 59_999, "15", 3, "4", "6", "0"])
}

#[test]
fn bars_are_paged_backwards() {
    let mut bench = Bench::up();
    let sent = bench.sent(API);
    bench.reply(&sent[0], &json!({"serverTime": START + 500}));
    let btc = Symbol::new("btcusdt");
    bench.feed.history(bench.now, 9, &btc, Interval::M1, 1_500, &mut bench.out);
    let first = bench.sent(API).remove(0);
    let params = &first["params"];
    assert_eq!(params, &json!({"symbol": "BTCUSDT", "interval": "1m", "limit": 1000}));
    let newest = START / 60_000 * 60_000;
    let rows: Vec<Value> = (0..1_000).map(|at| row(newest - (999 - at) * 60_000)).collect();
    bench.reply(&first, &json!(rows));
    let second = bench.sent(API).remove(0);
    let oldest = newest - 999 * 60_000;
    assert_eq!(
        second["params"],
        json!({"symbol": "BTCUSDT", "interval": "1m", "limit": 500, "endTime": oldest - 1})
    );
    bench.reply(&second, &json!([row(oldest - 60_000)]));
    let events = bench.events();
    let [VenueEvent::History { request: 9, bars: Ok(bars) }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(bars.len(), 1_001);
    assert!(bars.windows(2).all(|pair| pair[0].start < pair[1].start));
    assert!(bars[999].closed && !bars[1_000].closed, "the venue's clock says that the last one is open");
}

#[test]
fn bars_that_cannot_be_had_are_answered_too() {
    let mut bench = Bench::up();
    bench.sent(API);
    let (btc, nope) = (Symbol::new("btcusdt"), Symbol::new("nope"));
    bench.feed.history(bench.now, 1, &nope, Interval::M1, 5, &mut bench.out);
    let request = bench.sent(API).remove(0);
    let error = json!({"code": -1121, "msg": "Invalid symbol."});
    bench.text(API, &json!({"id": request["id"], "status": 400, "error": error}));
    assert!(
        matches!(&bench.events()[..], [VenueEvent::History { request: 1, bars: Err(why) }] if why.contains("Invalid symbol"))
    );

    bench.feed.history(bench.now, 2, &btc, Interval::M1, 5, &mut bench.out);
    bench.input(API, LinkInput::Down("reset"));
    bench.pass(Span::from_secs(2));
    let (next, _) = bench.opened().remove(0);
    bench.input(next, LinkInput::Up);
    let again = bench.sent(next);
    assert!(again.iter().any(|request| request["method"] == "klines"), "asked again: {again:?}");
    bench.input(next, LinkInput::Down("reset"));
    bench.pass(Span::from_secs(60));
    assert!(matches!(&bench.events()[..], [VenueEvent::History { request: 2, bars: Err(_) }]));
}

#[test]
fn r37_ten_minutes_of_refusals_are_at_most_sixty_dials() {
    for seed in 0..20 {
        let mut config = config();
        config.access.seed = seed;
        let (mut feed, mut entry) = crate::spot::ports(&config);
        let (start, mut dials) = (Time::from_millis(START), 0);
        let (mut now, mut out) = (start, Outbox::default());
        feed.start(now, &mut out);
        entry.start(now, &mut out);
        while now < start + Span::from_secs(600) {
            for action in std::mem::take(&mut out.actions) {
                let LinkAction::Open { link, .. } = action else { continue };
                dials += 1;
                let down = LinkInput::Down("connection refused");
                if feed.owns(link) {
                    feed.handle(now, link, down, &mut out);
                } else {
                    assert!(entry.owns(link));
                    entry.handle(now, link, down, &mut out);
                }
            }
            let (feed_due, entry_due) = (feed.deadline(), entry.deadline());
            now = earliest(feed_due, entry_due).unwrap().max(now);
            if feed_due.is_some_and(|at| at <= now) {
                feed.timer(now, &mut out);
            }
            if entry_due.is_some_and(|at| at <= now) {
                entry.timer(now, &mut out);
            }
        }
        assert!((30..=60).contains(&dials), "seed {seed}: {dials}");
    }
}

#[test]
fn what_waits_out_a_backoff_is_dialled_soon_once_order_entry_has_reached_the_venue() {
    let mut bench = Bench::new();
    // An exchange that cannot be reached for a while.
    for _ in 0..12 {
        for (link, _) in bench.opened() {
            bench.input(link, LinkInput::Down("refused"));
        }
        bench.now = bench.feed.deadline().unwrap();
        bench.feed.timer(bench.now, &mut bench.out);
    }
    for (link, _) in bench.opened() {
        bench.input(link, LinkInput::Down("refused"));
    }
    let waits = |bench: &Bench| bench.feed.deadline().unwrap().since(bench.now);
    assert!(waits(&bench) > Span::from_secs(10), "{:?}", waits(&bench));
    bench.feed.reached(bench.now);
    assert!(waits(&bench) <= Span::from_secs(2), "{:?}", waits(&bench));
    bench.now += Span::from_secs(2);
    bench.feed.timer(bench.now, &mut bench.out);
    assert_eq!(bench.opened().len(), 2, "both of its connections");
}
