//! The machine against a scripted venue: frames are written by hand, after the venue's futures pages.

use binance_wire::sign::SecretKey;
use serde_json::{Value, json};
use tradingsys::time::Span;

use super::*;
use crate::usdt::Endpoints;

mod replay;

const PUBLIC: LinkId = LinkId(2);
const MARKET: LinkId = LinkId(6);

struct Bench {
    feed: Feed,
    now: Time,
    out: Outbox,
}

impl Bench {
    fn up() -> Self {
        Self::living(Span::from_secs(23 * 3_600))
    }

    /// Connections are replaced at that age.
    fn living(life: Span) -> Self {
        let at = Endpoints {
            rest: "http://venue",
            ws_api: "ws://venue/ws-fapi/v1",
            public: "ws://venue/public",
            market: "ws://venue/market/",
            private: "ws://venue/private",
        };
        let mut config = UsdtConfig::new(at, "the-key", SecretKey::from_seed(&[9; 32]), 5);
        config.access.timing.life = life;
        let now = Time::from_millis(1_700_000_000_000);
        let mut bench = Self { feed: Feed::new(&config), now, out: Outbox::default() };
        bench.feed.start(now, &mut bench.out);
        let opened: Vec<(LinkId, String)> = bench.take(|action| match action {
            LinkAction::Open { link, url, .. } => Some((*link, url.clone())),
            _ => None,
        });
        let urls = ["ws://venue/public/stream", "ws://venue/market/stream"].map(str::to_owned);
        assert_eq!(opened, [(PUBLIC, urls[0].clone()), (MARKET, urls[1].clone())]);
        for link in [PUBLIC, MARKET] {
            bench.input(link, LinkInput::Up);
        }
        bench.out.events.clear();
        bench
    }

    fn take<T>(&mut self, pick: impl Fn(&LinkAction) -> Option<T>) -> Vec<T> {
        let picked = self.out.actions.iter().filter_map(&pick).collect();
        self.out.actions.retain(|action| pick(action).is_none());
        picked
    }

    fn input(&mut self, link: LinkId, input: LinkInput<'_>) {
        self.feed.handle(self.now, link, input, &mut self.out);
    }

    fn text(&mut self, link: LinkId, value: &Value) {
        let text = value.to_string();
        self.input(link, LinkInput::Text(&text));
    }

    /// Requests over HTTP since the last call.
    fn asked(&mut self) -> Vec<(LinkId, String)> {
        self.take(|action| match action {
            LinkAction::Request { link, url, .. } => Some((*link, url.clone())),
            _ => None,
        })
    }

    fn answer(&mut self, link: LinkId, body: &str) {
        self.input(link, LinkInput::Response { status: 200, headers: &[], body });
    }

    /// Subscribes, and confirms what was asked; on which link, and under which name.
    fn subscribe(&mut self, word: &str) -> (LinkId, String) {
        let stream = Stream { symbol: Symbol::new("btcusdt"), channel: Channel::from_word(word).unwrap() };
        self.now += Span::from_secs(1);
        self.feed.subscribe(self.now, &stream, &mut self.out);
        let sent = self.take(|action| match action {
            LinkAction::Send { link, text } => Some((*link, serde_json::from_slice::<Value>(text).unwrap())),
            _ => None,
        });
        let [(link, request)] = sent.as_slice() else { panic!("{sent:?}") };
        self.text(*link, &json!({"result": null, "id": request["id"]}));
        (*link, request["params"][0].as_str().unwrap().to_owned())
    }

    fn events(&mut self) -> Vec<VenueEvent> {
        std::mem::take(&mut self.out.events)
    }

    /// From deadline to deadline; the links are alive.
    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(due) = self.feed.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now + Span::from_millis(1));
            self.feed.timer(self.now, &mut self.out);
            for link in [PUBLIC, MARKET] {
                self.input(link, LinkInput::Alive);
            }
        }
        self.now = end;
    }

    /// Confirms all that is asked of a link; the methods.
    fn confirm(&mut self, link: LinkId) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let sent = self.take(|action| match action {
                LinkAction::Send { link: of, text } if *of == link => {
                    Some(serde_json::from_slice::<Value>(text).unwrap())
                }
                _ => None,
            });
            if sent.is_empty() {
                return all;
            }
            for request in sent {
                self.text(link, &json!({"result": null, "id": request["id"]}));
                all.push(request["method"].as_str().unwrap().to_owned());
            }
            self.pass(Span::from_millis(300));
        }
    }
}

#[test]
fn r30_every_kind_of_stream_is_watched_for_its_first_data() {
    for (word, within) in
        [("depth", 10), ("depth:100ms", 10), ("bbo", 10), ("mark", 10), ("trade", 60), ("kline:1m", 60)]
    {
        let mut bench = Bench::up();
        let (link, _) = bench.subscribe(word);
        bench.pass(Span::from_millis(within * 1_000 - 500));
        let stale = |events: Vec<VenueEvent>| {
            events.into_iter().filter(|event| matches!(event, VenueEvent::Stale(..))).collect::<Vec<_>>()
        };
        assert_eq!(stale(bench.events()), [], "{word}");
        bench.pass(Span::from_millis(500));
        let stream = Stream { symbol: Symbol::new("btcusdt"), channel: Channel::from_word(word).unwrap() };
        let why = format!("no data for {within} s after it was subscribed");
        assert_eq!(stale(bench.events()), [VenueEvent::Stale(stream, why)], "{word}");
        assert_eq!(bench.confirm(link), ["UNSUBSCRIBE", "SUBSCRIBE"], "{word} is asked for anew");
    }
}

fn trade(name: &str, id: u64) -> Value {
    json!({"stream": name, "data": {"e": "trade", "E": 5, "T": 4, "s": "BTCUSDT", "t": id, "p": "10", "q": "1",
        "X": "MARKET", "m": true}})
}

fn bar(name: &str, start: i64, trades: u64, closed: bool) -> Value {
    let end = start + 59_999;
    json!({"stream": name, "data": {"e": "kline", "E": 5, "s": "BTCUSDT", "k": {"t": start, "T": end, "s": "BTCUSDT",
        "i": "1m", "f": 1, "L": trades, "o": "1", "c": "1", "h": "1", "l": "1", "v": "1", "n": trades, "x": closed,
        "q": "1", "V": "1", "Q": "1", "B": "0"}}})
}

#[test]
fn r33_connections_of_either_route_are_renewed_without_a_missed_event() {
    for (word, old) in [("trade", PUBLIC), ("kline:1m", MARKET)] {
        let mut bench = Bench::living(Span::from_secs(50));
        let (link, name) = bench.subscribe(word);
        assert_eq!(link, old);
        let frame = |at: u64| match word {
            "trade" => trade(&name, at),
            _ => bar(&name, at as i64 * 60_000, 3, true),
        };
        let told = |bench: &mut Bench| -> Vec<u64> {
            let number = |event: VenueEvent| match event {
                VenueEvent::Trade(_, trade) => Some(trade.id),
                VenueEvent::Bar(_, bar) => u64::try_from(bar.start.millis() / 60_000).ok(),
                other => panic!("{other:?}"),
            };
            bench.events().into_iter().map(number).map(Option::unwrap).collect()
        };
        bench.events();
        bench.text(old, &frame(100));
        bench.pass(Span::from_secs(50));
        let opened = bench.take(|action| match action {
            LinkAction::Open { link, .. } => Some(*link),
            _ => None,
        });
        let next = *opened.iter().find(|link| link.0 % 8 == old.0).expect("a second one beside it");
        bench.input(next, LinkInput::Up);
        assert_eq!(bench.confirm(next), ["SUBSCRIBE"]);
        for at in 101..=103 {
            bench.text(next, &frame(at));
        }
        bench.text(old, &frame(101));
        bench.text(old, &frame(102));
        assert_eq!(told(&mut bench), [100, 101, 102], "the old one still serves");
        bench.pass(Span::from_secs(1));
        bench.text(old, &frame(103));
        bench.text(next, &frame(104));
        assert_eq!(told(&mut bench), [103, 104], "{word}: none missed, none twice");
    }
}

#[test]
fn each_stream_is_asked_for_on_the_route_that_has_it() {
    let mut bench = Bench::up();
    for (word, link, name) in [
        ("depth", PUBLIC, "btcusdt@depth20@500ms"),
        ("depth:100ms", PUBLIC, "btcusdt@depth20@100ms"),
        ("bbo", PUBLIC, "btcusdt@bookTicker"),
        ("trade", PUBLIC, "btcusdt@trade"),
        ("book", PUBLIC, "btcusdt@depth@100ms"),
        ("mark", MARKET, "btcusdt@markPrice@1s"),
        ("kline:1m", MARKET, "btcusdt@kline_1m"),
    ] {
        assert_eq!(bench.subscribe(word), (link, name.to_owned()), "{word}");
    }
    assert!(bench.feed.refuses(Channel::Kline(Interval::S1)).unwrap().contains("kline:1m"));
    assert_eq!(bench.feed.refuses(Channel::Mark), None);
}

#[test]
fn marks_and_views_of_the_book_are_told() {
    let mut bench = Bench::up();
    let (link, name) = bench.subscribe("mark");
    let mark = json!({"e": "markPriceUpdate", "E": 1_562_305_380_000_i64, "s": "BTCUSDT", "p": "11794.15", "i": "11784.62",
        "P": "11784.25", "r": "0.0001", "T": 1_562_306_400_000_i64, "st": 1});
    bench.text(link, &json!({"stream": name, "data": mark}));
    assert!(
        matches!(bench.events().as_slice(), [VenueEvent::Mark(_, mark)] if mark.index == "11784.62".parse().unwrap())
    );
    let (link, name) = bench.subscribe("depth");
    let depth = json!({"e": "depthUpdate", "E": 5, "T": 4, "s": "BTCUSDT", "U": 1, "u": 3, "pu": 0, "b": [["1", "2"]],
        "a": [["3", "4"]]});
    bench.text(link, &json!({"stream": name, "data": depth}));
    assert!(matches!(bench.events().as_slice(), [VenueEvent::Depth(_, depth)] if depth.update_id == 3));
}

#[test]
fn the_loss_of_a_route_makes_its_own_streams_old_and_no_others() {
    let mut bench = Bench::up();
    bench.subscribe("bbo");
    bench.subscribe("mark");
    bench.events();
    bench.input(MARKET, LinkInput::Down("cut"));
    let events = bench.events();
    assert!(
        matches!(events.as_slice(), [VenueEvent::Stale(stream, why)] if stream.channel == Channel::Mark && why == "cut"),
        "{events:?}"
    );
}

#[test]
fn a_silent_stream_is_told_within_seconds() {
    let mut bench = Bench::up();
    bench.subscribe("mark");
    bench.events();
    let end = bench.now + Span::from_secs(30);
    let mut told = Vec::new();
    while let Some(due) = bench.feed.deadline().filter(|due| *due <= end) {
        bench.now = due.max(bench.now + Span::from_millis(1));
        bench.feed.timer(bench.now, &mut bench.out);
        for link in [PUBLIC, MARKET] {
            bench.input(link, LinkInput::Alive);
        }
        told.extend(bench.events());
    }
    assert!(
        told.iter().any(|e| matches!(e, VenueEvent::Stale(s, _) if s.channel == Channel::Mark)),
        "{told:?}"
    );
}

#[test]
fn instruments_and_bars_come_over_http() {
    let mut bench = Bench::up();
    let asked = bench.asked();
    assert_eq!(asked, [(LinkId(4), "http://venue/fapi/v1/exchangeInfo".to_owned())]);
    bench.input(LinkId(4), LinkInput::Down("cut"));
    bench.now += Span::from_secs(5);
    bench.feed.timer(bench.now, &mut bench.out);
    let asked = bench.asked();
    bench.answer(asked[0].0, r#"{"serverTime":1,"rateLimits":[],"symbols":[]}"#);
    assert_eq!(bench.events(), [VenueEvent::Instruments(Vec::new())]);
    let symbol = Symbol::new("btcusdt");
    bench.feed.history(bench.now, 7, &symbol, Interval::M1, 2, &mut bench.out);
    let asked = bench.asked();
    assert_eq!(asked[0].1, "http://venue/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=2");
    let row =
        |start: i64| format!(r#"[{start},"1","2","0.5","1.5","10",{},"15",3,"4","6","0"]"#, start + 59_999);
    bench.answer(asked[0].0, &format!("[{},{}]", row(60_000), row(120_000)));
    assert!(matches!(
        bench.events().as_slice(),
        [VenueEvent::History { request: 7, bars: Ok(bars) }] if bars.len() == 2 && bars[0].closed
    ));
    // Asked for in the last moment of a minute, answered in the next one.
    let minute = bench.now.millis().div_euclid(60_000) * 60_000 + 60_000;
    bench.now = Time::from_millis(minute + 59_990);
    bench.feed.history(bench.now, 9, &symbol, Interval::M1, 2, &mut bench.out);
    let asked = bench.asked();
    bench.now += Span::from_millis(20);
    bench.answer(asked[0].0, &format!("[{},{}]", row(minute - 60_000), row(minute)));
    assert!(matches!(
        bench.events().as_slice(),
        [VenueEvent::History { request: 9, bars: Ok(bars) }] if bars[0].closed && !bars[1].closed
    ));
    bench.feed.history(bench.now, 8, &symbol, Interval::S1, 2, &mut bench.out);
    assert!(matches!(bench.events().as_slice(), [VenueEvent::History { request: 8, bars: Err(_) }]));
}

#[test]
fn a_whole_book_follows_its_chain_and_is_mended_from_a_snapshot() {
    let mut bench = Bench::up();
    bench.asked();
    let (link, name) = bench.subscribe("book");
    let change = |first: u64, last: u64, previous: u64| {
        json!({"stream": name, "data": {"e": "depthUpdate", "E": 5, "T": 5, "s": "BTCUSDT", "U": first, "u": last,
            "pu": previous, "b": [["10", "1"]], "a": [["11", "1"]]}})
    };
    bench.text(link, &change(100, 110, 99));
    bench.now += Span::from_secs(4);
    bench.feed.timer(bench.now, &mut bench.out);
    let asked = bench.asked();
    assert_eq!(asked[0].1, "http://venue/fapi/v1/depth?symbol=BTCUSDT&limit=1000");
    bench.answer(asked[0].0, r#"{"lastUpdateId":105,"E":5,"T":5,"bids":[["10","2"]],"asks":[["11","2"]]}"#);
    let stream = Stream { symbol: Symbol::new("btcusdt"), channel: Channel::Book };
    assert_eq!(bench.feed.book(&stream).map(|depth| depth.update_id), Some(110));
    // The numbers may jump, as long as each names the one before.
    bench.text(link, &change(150, 160, 110));
    assert_eq!(bench.feed.book(&stream).map(|depth| depth.update_id), Some(160));
    bench.text(link, &change(161, 170, 159));
    assert_eq!(bench.feed.book(&stream), None);
}
