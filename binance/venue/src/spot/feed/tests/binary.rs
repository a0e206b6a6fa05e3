//! Best prices and books in binary, and the way back to JSON. Frames are written by hand, after `stream_1_0.xml`
//! (2026-07).

use tradingsys::book::BookUpdate;
use tradingsys::market::Level;

use super::*;

/// The first connection for best prices and books, and the second, which is the first to the binary host.
const JSON: LinkId = LinkId(6);
const SWIFT: LinkId = LinkId(14);

/// All connections dialled and open.
fn dialled() -> Bench {
    let config = SpotConfig { sbe: "ws://binary".to_owned(), ..config() };
    let (feed, now) = (Feed::new(config), Time::from_millis(START));
    let mut bench = Bench { feed, now, out: Outbox::default() };
    bench.feed.start(now, &mut bench.out);
    let json = "ws://venue/stream".to_owned();
    let expected = [(API, "ws://venue/ws-api/v3".to_owned()), (STREAMS, json.clone()), (JSON, json)];
    assert_eq!(bench.opened(), expected);
    [API, STREAMS, JSON].iter().for_each(|link| bench.input(*link, LinkInput::Up));
    bench
}

/// Subscribed to these channels, as JSON: a trial of the binary host has been dialled.
fn tried(words: &[&str]) -> Bench {
    let mut bench = dialled();
    words.iter().for_each(|word| bench.subscribe("btcusdt", word));
    bench.confirm(JSON);
    bench.pass(Span::ZERO);
    let doors = bench.take(|action| match action {
        LinkAction::Open { link, url, headers } => Some((*link, url.clone(), headers.clone())),
        _ => None,
    });
    let key = vec![("x-mbx-apikey", "the-key".to_owned())];
    assert_eq!(doors, [(SWIFT, "ws://binary/stream".to_owned(), key)]);
    bench.events();
    bench
}

/// Subscribed to best prices and to the whole book, in binary.
fn up() -> Bench {
    let mut bench = tried(&["bbo", "book"]);
    bench.sent(API);
    bench.input(SWIFT, LinkInput::Up);
    assert_eq!(bench.confirm(SWIFT)[0]["params"], json!(["btcusdt@bestBidAsk", "btcusdt@depth"]));
    bench.binary(SWIFT, &best(1));
    bench.pass_with(Span::from_secs(3), false);
    assert_eq!(bench.closed(), [JSON]);
    bench.events();
    bench
}

fn frame(template: u16, schema: u16, block: &[u8], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap();
    let header = [length, template, schema, 0].map(u16::to_le_bytes).concat();
    [&header, block, rest, b"\x07BTCUSDT"].concat()
}

const EXPONENTS: [u8; 2] = [0xfe, 0];

fn numbers(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Two of the bid at 10.25, one of the ask at 11, at 17 µs past the start.
fn best(update: i64) -> Vec<u8> {
    let times = numbers(&[START * 1_000 + 17, update]);
    frame(10_001, 1, &[times, EXPONENTS.to_vec(), numbers(&[1_025, 2, 1_100, 1])].concat(), &[])
}

/// As many of the bid at 10.25 as the last update says.
fn change(first: i64, last: i64) -> Vec<u8> {
    let block = [numbers(&[START * 1_000, first, last]), EXPONENTS.to_vec()].concat();
    frame(10_003, 1, &block, &[vec![16, 0, 1, 0], numbers(&[1_025, last]), vec![16, 0, 0, 0]].concat())
}

/// The same as JSON.
fn json_change(first: u64, last: u64) -> Value {
    let data = json!({"e": "depthUpdate", "E": START, "s": "BTCUSDT", "U": first, "u": last,
        "b": [["10.25", last.to_string()]], "a": []});
    json!({"stream": "btcusdt@depth@100ms", "data": data})
}

fn json_view(update: u64) -> Value {
    let data = json!({"lastUpdateId": update, "bids": [["10.25", "3"]], "asks": []});
    json!({"stream": "btcusdt@depth20@100ms", "data": data})
}

fn view(update: i64) -> Vec<u8> {
    let block = [numbers(&[START * 1_000, update]), EXPONENTS.to_vec()].concat();
    frame(10_002, 1, &block, &[vec![16, 0, 1, 0], numbers(&[1_025, 3]), vec![16, 0, 0, 0]].concat())
}

impl Bench {
    fn binary(&mut self, link: LinkId, frame: &[u8]) {
        self.input(link, LinkInput::Binary(frame));
    }

    /// What was told: update ids of best prices and of changes of the book, and words of a warning.
    fn told(&mut self) -> Vec<String> {
        let word = |event: VenueEvent| match event {
            VenueEvent::Bbo(_, depth) => Some(format!("bbo {}", depth.update_id)),
            VenueEvent::Book(_, BookUpdate::Fresh) => Some("book".to_owned()),
            VenueEvent::Book(_, BookUpdate::Diff(diff)) => Some(format!("book {}", diff.update_id)),
            VenueEvent::Book(_, BookUpdate::Stale(why)) => Some(format!("book stale: {why}")),
            VenueEvent::Stale(_, why) => Some(format!("bbo stale: {why}")),
            VenueEvent::Warning { event, .. } => Some(event.to_owned()),
            _ => None,
        };
        self.events().into_iter().filter_map(word).collect()
    }

    /// The words of the warning that binary streams are off, if it was given; other events stay.
    fn warned(&mut self) -> String {
        let off = |event: &VenueEvent| match event {
            VenueEvent::Warning { event: "sbe streams are off", words } => Some(words.clone()),
            _ => None,
        };
        let words = self.out.events.iter().filter_map(off).collect();
        self.out.events.retain(|event| off(event).is_none());
        words
    }

    /// So many seconds of best prices as JSON, the connections alive.
    fn quiet(&mut self, seconds: i64, update: u64) {
        for _ in 0..seconds / 5 {
            self.live(5, &[API, STREAMS, JSON]);
            self.text(JSON, &ticker(update));
        }
    }

    /// Time passes, and these connections are alive.
    fn live(&mut self, seconds: i64, links: &[LinkId]) {
        for _ in 0..seconds / 5 {
            self.pass_with(Span::from_secs(5), false);
            links.iter().for_each(|link| self.input(*link, LinkInput::Alive));
        }
    }

    /// Joins the book at that update.
    fn join(&mut self, update: u64) {
        let asked = self.sent(API).into_iter().find(|request| request["method"] == "depth").unwrap();
        let book =
            json!({"lastUpdateId": update, "bids": [["10.25", "1"], ["9", "2"]], "asks": [["11", "1"]]});
        self.reply(&asked, &book);
    }
}

fn level(price: &str, qty: &str) -> Level {
    Level { price: price.parse().unwrap(), qty: qty.parse().unwrap() }
}

#[test]
fn best_prices_and_books_come_in_binary_and_the_rest_as_json() {
    let mut bench = tried(&["bbo", "trade", "book", "depth", "depth:100ms", "kline:1m"]);
    bench.input(SWIFT, LinkInput::Up);
    let names = |requests: Vec<Value>| -> Vec<Value> {
        requests.iter().flat_map(|request| request["params"].as_array().unwrap().clone()).collect()
    };
    let binary = names(bench.confirm(SWIFT));
    assert_eq!(binary, ["btcusdt@bestBidAsk", "btcusdt@depth", "btcusdt@depth20"]);
    assert_eq!(names(bench.confirm(STREAMS)), ["btcusdt@trade", "btcusdt@depth20", "btcusdt@kline_1m"]);
    bench.binary(SWIFT, &best(6));
    bench.pass_with(Span::from_secs(3), false);
    assert_eq!(bench.closed(), [JSON]);
    bench.events();
    bench.binary(SWIFT, &best(7));
    bench.binary(SWIFT, &view(8));
    let time = Time::from_nanos(START * 1_000_000);
    let (bid, ask) = (level("10.25", "2"), level("11", "1"));
    let expected = [
        VenueEvent::Bbo(
            stream("btcusdt", "bbo"),
            Depth { update_id: 7, time: time + Span::from_nanos(17_000), bids: vec![bid], asks: vec![ask] },
        ),
        VenueEvent::Depth(
            stream("btcusdt", "depth:100ms"),
            Depth { update_id: 8, time, bids: vec![level("10.25", "3")], asks: vec![] },
        ),
    ];
    assert_eq!(bench.events(), expected);
    bench.feed.unsubscribe(bench.now, &stream("btcusdt", "bbo"), &mut bench.out);
    bench.pass(Span::from_secs(1));
    let sent = bench.sent(SWIFT);
    assert_eq!(
        (&sent[0]["method"], &sent[0]["params"]),
        (&json!("UNSUBSCRIBE"), &json!(["btcusdt@bestBidAsk"]))
    );
}

#[test]
fn a_book_joins_follows_and_tells_a_gap_as_it_does_in_json() {
    let mut bench = up();
    bench.binary(SWIFT, &change(101, 103));
    bench.join(102);
    bench.binary(SWIFT, &change(104, 105));
    assert_eq!(bench.told(), ["book", "book 105"]);
    let depth = bench.feed.book(&stream("btcusdt", "book")).unwrap();
    assert_eq!((depth.update_id, depth.bids[0]), (105, level("10.25", "105")));
    // What was left out between two best prices is not held against the book.
    for update in [106, 108, 110, 112, 114] {
        bench.binary(SWIFT, &best(update));
        bench.binary(SWIFT, &change(update, update + 1));
    }
    assert!(bench.told().iter().all(|told| !told.contains("stale")));
    bench.binary(SWIFT, &change(120, 121));
    let told = bench.told();
    assert!(matches!(&told[..], [stale] if stale.contains("missing after update 115")), "{told:?}");
}

#[test]
fn a_book_goes_on_from_json_to_binary_without_a_hole() {
    let mut bench = tried(&["book"]);
    bench.input(SWIFT, LinkInput::Up);
    bench.confirm(SWIFT);
    bench.text(JSON, &json_change(101, 103));
    bench.join(102);
    assert_eq!(bench.told(), ["book"]);
    // Of what both bring, each change is told once, whatever they cut it into.
    bench.binary(SWIFT, &change(104, 104));
    bench.binary(SWIFT, &change(105, 106));
    bench.text(JSON, &json_change(104, 105));
    assert_eq!(bench.told(), ["book 105"]);
    bench.pass_with(Span::from_secs(3), false);
    assert_eq!((bench.closed(), bench.told()), (vec![JSON], vec!["book 106".to_owned()]));
    bench.binary(SWIFT, &change(107, 107));
    assert_eq!(bench.told(), ["book 107"]);
}

#[test]
fn a_host_that_refuses_costs_nothing_and_is_tried_again() {
    let mut bench = tried(&["bbo"]);
    let refusal = "binary:80: answered with HTTP 401 Unauthorized";
    bench.input(SWIFT, LinkInput::Down(refusal));
    bench.text(JSON, &ticker(5));
    assert!(bench.warned().contains(refusal));
    assert_eq!((bench.told(), bench.closed(), bench.opened()), (vec!["bbo 5".to_owned()], vec![], vec![]));

    // It still refuses: nobody hears of that.
    let again = LinkId(22);
    bench.quiet(295, 6);
    assert_eq!(bench.opened(), []);
    bench.quiet(5, 6);
    assert_eq!(bench.opened(), [(again, "ws://binary/stream".to_owned())]);
    bench.told();
    bench.input(again, LinkInput::Down(refusal));
    bench.text(JSON, &ticker(7));
    assert_eq!((bench.told(), bench.closed()), (vec!["bbo 7".to_owned()], vec![]));

    // It lets in: the connection in use serves until the other one has shown that it does.
    bench.quiet(595, 8);
    assert_eq!(bench.opened(), []);
    bench.quiet(5, 8);
    let third = LinkId(30);
    assert_eq!(bench.opened(), [(third, "ws://binary/stream".to_owned())]);
    bench.told();
    bench.input(third, LinkInput::Up);
    assert_eq!(bench.confirm(third)[0]["params"], json!(["btcusdt@bestBidAsk"]));
    bench.binary(third, &best(9));
    bench.pass_with(Span::from_secs(2), false);
    bench.text(JSON, &ticker(9));
    assert_eq!((bench.told(), bench.closed()), (vec!["bbo 9".to_owned()], vec![]));
    bench.pass_with(Span::from_secs(1), false);
    bench.binary(third, &best(10));
    assert_eq!((bench.told(), bench.closed()), (vec!["bbo 10".to_owned()], vec![JSON]));
}

#[test]
fn what_json_brings_and_the_binary_host_does_not_ends_its_trial() {
    for lacks in ["nothing comes", "one of two", "it refuses one", "what comes is unreadable"] {
        let mut bench = tried(&["bbo", "depth:100ms"]);
        bench.input(SWIFT, LinkInput::Up);
        if lacks == "it refuses one" {
            let asked = bench.sent(SWIFT);
            bench.text(SWIFT, &json!({"error": {"code": 2, "msg": "no"}, "id": asked[0]["id"]}));
            bench.pass_with(Span::from_millis(300), false);
            let one = bench.sent(SWIFT);
            bench.text(SWIFT, &json!({"error": {"code": 2, "msg": "no"}, "id": one[0]["id"]}));
            bench.pass_with(Span::from_millis(300), false);
        }
        bench.confirm(SWIFT);
        for second in 0..15 {
            let update = 10 + second;
            bench.text(JSON, &ticker(update));
            bench.text(JSON, &json_view(update));
            match lacks {
                "one of two" | "it refuses one" => bench.binary(SWIFT, &best(update.cast_signed())),
                "what comes is unreadable" => bench.binary(SWIFT, &best(update.cast_signed())[..40]),
                _ => {}
            }
            bench.pass_with(Span::from_secs(1), false);
            bench.input(SWIFT, LinkInput::Alive);
        }
        let warned = bench.warned();
        let why = match lacks {
            "one of two" => "it does not bring btcusdt@depth20",
            "it refuses one" => "it refuses btcusdt@bookTicker",
            _ => "it does not bring btcusdt@bookTicker",
        };
        assert!(warned.contains(why), "{lacks}: {warned}");
        assert_eq!(bench.closed(), [SWIFT], "{lacks}");
        assert!(bench.told().iter().all(|told| !told.contains("stale")), "{lacks}");
    }
}

#[test]
fn a_trial_without_any_data_says_nothing() {
    let mut bench = tried(&["book"]);
    bench.input(SWIFT, LinkInput::Up);
    bench.confirm(SWIFT);
    bench.live(25, &[API, STREAMS, JSON, SWIFT]);
    assert_eq!(bench.closed(), []);
    bench.live(10, &[API, STREAMS, JSON, SWIFT]);
    assert_eq!((bench.closed(), bench.warned()), (vec![SWIFT], String::new()));
}

#[test]
fn an_unknown_schema_is_left_for_json_at_once_and_a_torn_frame_is_not() {
    let mut bench = up();
    bench.binary(SWIFT, &change(101, 103));
    bench.join(103);
    bench.told();
    let whole = change(104, 104);
    bench.binary(SWIFT, &whole[..whole.len() - 1]);
    bench.binary(SWIFT, &whole);
    assert_eq!((bench.told(), bench.closed()), (vec!["book 104".to_owned()], vec![]));
    bench.binary(SWIFT, &frame(10_003, 2, &[0; 26], &[]));
    assert_eq!(bench.closed(), [SWIFT]);
    let told = bench.told();
    assert!(
        told.iter().any(|told| told.starts_with("book stale: schema 2 version 0 is not known")),
        "{told:?}"
    );
    assert!(told.iter().any(|told| told == "sbe streams are off"), "{told:?}");
    bench.pass(Span::ZERO);
    assert_eq!(bench.opened(), [(LinkId(22), "ws://venue/stream".to_owned())]);
}

#[test]
fn one_that_is_lost_after_a_while_is_followed_by_json_and_tried_again_at_once() {
    let mut bench = up();
    for _ in 0..14 {
        bench.live(5, &[API, STREAMS, SWIFT]);
        bench.binary(SWIFT, &best(2));
    }
    bench.told();
    bench.input(SWIFT, LinkInput::Down("reset"));
    let json = LinkId(22);
    assert_eq!(bench.told(), ["bbo stale: reset"]);
    bench.pass(Span::ZERO);
    assert_eq!(bench.opened(), [(json, "ws://venue/stream".to_owned())]);
    bench.input(json, LinkInput::Up);
    bench.confirm(json);
    bench.pass(Span::ZERO);
    assert_eq!(bench.opened(), [(LinkId(30), "ws://binary/stream".to_owned())]);
    // The one in use is lost before the trial is over: what has not shown anything is no replacement.
    bench.input(LinkId(30), LinkInput::Up);
    bench.input(json, LinkInput::Down("reset"));
    assert_eq!(bench.closed(), [LinkId(30)]);
    bench.pass(Span::from_secs(2));
    assert_eq!(bench.opened(), [(LinkId(38), "ws://venue/stream".to_owned())]);
    assert_eq!(bench.warned(), "");
}

#[test]
fn a_planned_end_is_followed_by_its_like_and_by_json_where_that_fails() {
    let mut bench = up();
    let shutdown = r#"{"e":"serverShutdown","E":1}"#;
    bench.input(SWIFT, LinkInput::Text(shutdown));
    let next = LinkId(22);
    assert_eq!(bench.opened(), [(next, "ws://binary/stream".to_owned())]);
    bench.input(next, LinkInput::Down("no room"));
    bench.pass(Span::ZERO);
    let json = LinkId(30);
    assert_eq!(bench.opened(), [(json, "ws://venue/stream".to_owned())]);
    bench.input(json, LinkInput::Up);
    bench.confirm(json);
    bench.text(json, &ticker(5));
    bench.pass_with(Span::from_secs(1), false);
    assert_eq!(bench.closed(), [SWIFT]);
    assert!(bench.told().iter().all(|told| !told.contains("stale")));
}

#[test]
fn r33_a_shutdown_told_during_a_trial_is_not_forgotten() {
    let mut bench = tried(&["bbo"]);
    bench.input(JSON, LinkInput::Text(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#));
    bench.pass(Span::ZERO);
    assert_eq!(bench.opened(), []);
    bench.input(SWIFT, LinkInput::Down("refused"));
    bench.pass(Span::ZERO);
    assert_eq!(bench.opened(), [(LinkId(22), "ws://venue/stream".to_owned())]);
}

#[test]
fn a_stream_asked_for_later_and_refused_takes_all_back_to_json() {
    let mut bench = up();
    bench.subscribe("ethusdt", "bbo");
    bench.pass_with(Span::from_millis(300), false);
    let asked = bench.sent(SWIFT);
    bench.text(SWIFT, &json!({"error": {"code": 2, "msg": "no"}, "id": asked[0]["id"]}));
    bench.pass(Span::ZERO);
    assert!(bench.warned().contains("it refuses ethusdt@bookTicker"));
    assert_eq!(bench.opened(), [(LinkId(22), "ws://venue/stream".to_owned())]);
    bench.binary(SWIFT, &best(4));
    assert_eq!((bench.told(), bench.closed()), (vec!["bbo 4".to_owned()], vec![]));
}

#[test]
fn market_data_is_down_when_no_connection_brings_any() {
    let mut bench = up();
    let feed = |event: &VenueEvent| match event {
        VenueEvent::FeedUp => Some("up".to_owned()),
        VenueEvent::FeedDown(why) => Some(why.clone()),
        _ => None,
    };
    bench.input(STREAMS, LinkInput::Down("cut"));
    assert_eq!(bench.events().iter().filter_map(feed).next(), None);
    bench.input(SWIFT, LinkInput::Down("cut, too"));
    assert_eq!(bench.events().iter().filter_map(feed).collect::<Vec<_>>(), ["cut"]);
    // What is asked for meanwhile is old from the beginning.
    bench.subscribe("ethusdt", "bbo");
    let stale = VenueEvent::Stale(stream("ethusdt", "bbo"), "cut, too".to_owned());
    assert_eq!(bench.events(), [stale]);
    bench.pass(Span::ZERO);
    bench.input(LinkId(22), LinkInput::Up);
    bench.confirm(LinkId(22));
    assert_eq!(bench.events().iter().filter_map(feed).collect::<Vec<_>>(), ["up"]);
}

#[test]
fn binary_frames_on_a_connection_of_json_are_no_data() {
    let mut bench = tried(&["bbo"]);
    bench.binary(JSON, &best(1));
    bench.binary(JSON, &frame(10_003, 2, &[0; 26], &[]));
    assert_eq!((bench.told(), bench.closed()), (vec![], vec![]));
}
