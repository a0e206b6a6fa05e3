//! Best prices and books in binary, and the way back to JSON. Frames are written by hand, after `stream_1_0.xml`
//! (2026-07).

use tradingsys::book::BookUpdate;
use tradingsys::market::Level;

use super::*;

const SWIFT: LinkId = LinkId(6);

/// All connections dialled, those of JSON open.
fn dialled() -> Bench {
    let config = SpotConfig { sbe: "ws://binary".to_owned(), ..config() };
    let (feed, now) = (Feed::new(config), Time::from_millis(START));
    let mut bench = Bench { feed, now, out: Outbox::default() };
    bench.feed.start(now, &mut bench.out);
    let doors = bench.take(|action| match action {
        LinkAction::Open { link, url, headers } => Some((*link, url.clone(), headers.clone())),
        _ => None,
    });
    let key = vec![("x-mbx-apikey", "the-key".to_owned())];
    let expected = [
        (API, "ws://venue/ws-api/v3".to_owned(), vec![]),
        (STREAMS, "ws://venue/stream".to_owned(), vec![]),
        (SWIFT, "ws://binary/stream".to_owned(), key),
    ];
    assert_eq!(doors, expected);
    bench.input(API, LinkInput::Up);
    bench.input(STREAMS, LinkInput::Up);
    bench
}

/// Subscribed to best prices and to the whole book, in binary.
fn up() -> Bench {
    let mut bench = dialled();
    bench.input(SWIFT, LinkInput::Up);
    bench.subscribe("btcusdt", "bbo");
    bench.subscribe("btcusdt", "book");
    assert_eq!(bench.confirm(SWIFT)[0]["params"], json!(["btcusdt@bestBidAsk"]));
    bench.events();
    bench.sent(API);
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
            VenueEvent::Warning { event, .. } => Some(event.to_owned()),
            _ => None,
        };
        self.events().into_iter().filter_map(word).collect()
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
    let mut bench = dialled();
    bench.input(SWIFT, LinkInput::Up);
    for word in ["bbo", "trade", "book", "depth", "depth:100ms", "kline:1m"] {
        bench.subscribe("btcusdt", word);
    }
    let names = |requests: Vec<Value>| -> Vec<Value> {
        requests.iter().flat_map(|request| request["params"].as_array().unwrap().clone()).collect()
    };
    let binary = names(bench.confirm(SWIFT));
    assert_eq!(binary, ["btcusdt@bestBidAsk", "btcusdt@depth", "btcusdt@depth20"]);
    assert_eq!(names(bench.confirm(STREAMS)), ["btcusdt@trade", "btcusdt@depth20", "btcusdt@kline_1m"]);
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
fn a_host_that_refuses_is_left_for_json_at_once_and_tried_again_beside_it() {
    let mut bench = dialled();
    bench.subscribe("btcusdt", "bbo");
    bench.events();
    bench.input(SWIFT, LinkInput::Down("binary:80: answered with HTTP 401 Unauthorized"));
    let events = bench.events();
    let why = |event: &VenueEvent| match event {
        VenueEvent::Warning { event: "sbe streams are off", words } => words.contains("HTTP 401"),
        _ => false,
    };
    assert!(events.iter().any(why), "{events:?}");
    bench.pass(Span::ZERO);
    let json = LinkId(14);
    assert_eq!(bench.opened(), [(json, "ws://venue/stream".to_owned())]);
    bench.input(json, LinkInput::Up);
    assert_eq!(bench.confirm(json)[0]["params"], json!(["btcusdt@bookTicker"]));
    bench.text(json, &ticker(5));
    assert_eq!(bench.told(), ["bbo 5"]);

    // It still refuses: nobody hears of it, and nothing is lost.
    let ids = [API, STREAMS, json];
    let again = LinkId(22);
    for _ in 0..59 {
        bench.live(5, &ids);
        bench.text(json, &ticker(6));
    }
    assert_eq!(bench.opened(), []);
    bench.live(5, &ids);
    assert_eq!(bench.opened(), [(again, "ws://binary/stream".to_owned())]);
    bench.told();
    bench.input(again, LinkInput::Down("binary:80: answered with HTTP 401 Unauthorized"));
    bench.text(json, &ticker(7));
    assert_eq!((bench.told(), bench.closed()), (vec!["bbo 7".to_owned()], vec![]));

    // It lets in: the connection in use serves until the other one has brought data for a moment.
    for _ in 0..119 {
        bench.live(5, &ids);
        bench.text(json, &ticker(8));
    }
    assert_eq!(bench.opened(), []);
    bench.live(5, &ids);
    let third = LinkId(30);
    assert_eq!(bench.opened(), [(third, "ws://binary/stream".to_owned())]);
    bench.told();
    bench.input(third, LinkInput::Up);
    assert_eq!(bench.confirm(third)[0]["params"], json!(["btcusdt@bestBidAsk"]));
    bench.binary(third, &best(9));
    assert_eq!((bench.told(), bench.closed()), (vec![], vec![]));
    bench.pass_with(Span::from_secs(1), false);
    bench.binary(third, &best(10));
    assert_eq!((bench.told(), bench.closed()), (vec!["bbo 10".to_owned()], vec![json]));
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
    assert_eq!(bench.opened(), [(LinkId(14), "ws://venue/stream".to_owned())]);
}

#[test]
fn a_connection_that_worked_and_was_lost_is_dialled_again_where_it_was() {
    let mut bench = up();
    bench.binary(SWIFT, &best(1));
    bench.input(SWIFT, LinkInput::Down("reset"));
    bench.pass(Span::from_secs(2));
    assert_eq!(bench.opened(), [(LinkId(14), "ws://binary/stream".to_owned())]);
    assert!(!bench.told().contains(&"sbe streams are off".to_owned()));
    let shutdown = r#"{"e":"serverShutdown","E":1}"#;
    bench.input(LinkId(14), LinkInput::Up);
    bench.confirm(LinkId(14));
    bench.input(LinkId(14), LinkInput::Text(shutdown));
    assert_eq!(bench.opened(), [(LinkId(22), "ws://binary/stream".to_owned())]);
}

#[test]
fn binary_frames_on_a_connection_of_json_are_no_data() {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "bbo");
    bench.confirm(STREAMS);
    bench.binary(STREAMS, &best(1));
    assert_eq!((bench.told(), bench.closed()), (vec![], vec![]));
}
