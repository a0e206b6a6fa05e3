//! Market data streams in binary: who is let in, how often frames come, and what is in them.

use serde_json::json;
use tradingsys::ids::Symbol;
use tradingsys::time::Span;

use super::{Bench, config};
use crate::io::{Conn, HttpRequest, SimInput, SimOutput};

fn lively() -> Bench {
    let mut config = config();
    config.ticks_per_second = 100;
    Bench::new(config)
}

impl Bench {
    fn open_sbe(&mut self, key: Option<&str>, query: &str) -> Conn {
        let conn = Conn(900 + self.others.len() as u64);
        let headers = key.map(|key| ("x-mbx-apikey".to_owned(), key.to_owned())).into_iter().collect();
        let request = HttpRequest {
            method: "GET".into(),
            path: "/sbe/stream".into(),
            query: query.into(),
            headers,
            peer: "10.0.0.1".into(),
            ..HttpRequest::default()
        };
        self.input(SimInput::Opened { conn, request });
        conn
    }

    /// Takes the binary frames sent to a connection.
    fn data(&mut self, conn: Conn) -> Vec<Vec<u8>> {
        let mine = |output: SimOutput| match output {
            SimOutput::SendData(to, data) if to == conn => Some(data.to_vec()),
            _ => None,
        };
        std::mem::take(&mut self.others).into_iter().filter_map(mine).collect()
    }
}

fn u16_at(frame: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(frame[at..at + 2].try_into().unwrap())
}

fn i64_at(frame: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(frame[at..at + 8].try_into().unwrap())
}

fn of(frames: &[Vec<u8>], template: u16) -> Vec<&Vec<u8>> {
    frames.iter().filter(|frame| u16_at(frame, 2) == template).collect()
}

#[test]
fn only_an_ed25519_key_that_is_known_is_let_in() {
    let mut bench = super::bench();
    let refused = |bench: &mut Bench, key| {
        let conn = bench.open_sbe(key, "");
        let to = |output: &SimOutput| match output {
            SimOutput::Refuse(to, status) if *to == conn => Some(*status),
            _ => None,
        };
        bench.others.iter().find_map(to)
    };
    for (key, status) in [
        (None, Some(400)),
        (Some("nobody"), Some(401)),
        (Some("key-hmac"), Some(401)),
        (Some("key-alice"), None),
    ] {
        assert_eq!(refused(&mut bench, key), status, "{key:?}");
    }
    bench.control("faults", &json!([{"fault": "key.revoke", "apikey": "key-alice"}]));
    assert_eq!(refused(&mut bench, Some("key-alice")), Some(401));
}

#[test]
fn requests_and_notices_are_text_and_data_is_binary() {
    let mut bench = lively();
    let conn = bench.open_sbe(Some("key-alice"), "");
    bench.text(conn, r#"{"method":"SUBSCRIBE","params":["btcusdt@bestBidAsk","btcusdt@bookTicker"],"id":1}"#);
    assert_eq!(bench.taken(conn), [r#"{"result":null,"id":1}"#]);
    bench.pass(Span::from_secs(1));
    assert!(bench.taken(conn).is_empty());
    let frames = bench.data(conn);
    let best = of(&frames, 10_001);
    assert!(best.len() == frames.len() && best.len() > 10, "{} of {}", best.len(), frames.len());
    // What it shows last is the book's best.
    let book = bench.sim.exchange.depth(&Symbol::new("btcusdt"), 1).unwrap();
    let last = best[best.len() - 1];
    let shown: Vec<i128> = [26, 34, 42, 50].map(|at| i128::from(i64_at(last, at)) * 100).into();
    let (bid, ask) = (book.bids[0], book.asks[0]);
    assert_eq!(shown, [bid.price.raw(), bid.qty.raw(), ask.price.raw(), ask.qty.raw()]);
    assert_eq!(&last[58..], b"\x07BTCUSDT");
    bench.control("faults", &json!([{"fault": "shutdown", "ms": 500}]));
    let text = bench.taken(conn);
    assert!(text[0].starts_with(r#"{"e":"serverShutdown","E":"#), "{text:?}");
}

#[test]
fn differences_come_every_20_ms_without_a_hole_and_views_every_50() {
    let mut bench = lively();
    let conn = bench.open_sbe(Some("key-alice"), "streams=btcusdt@depth/btcusdt@depth20");
    bench.pass(Span::from_secs(1));
    let frames = bench.data(conn);
    let differences = of(&frames, 10_003);
    // Of 50; where nothing changed none is sent, and the first beat is that of JSON.
    assert!((25..=50).contains(&differences.len()), "{}", differences.len());
    for pair in differences.windows(2) {
        assert_eq!(i64_at(pair[1], 16), i64_at(pair[0], 24) + 1, "a hole");
        assert!(i64_at(pair[1], 8) - i64_at(pair[0], 8) >= 20_000, "sooner than 20 ms");
    }
    let views = of(&frames, 10_002);
    assert!((12..=20).contains(&views.len()), "{}", views.len());
    assert!(views.iter().all(|view| u16_at(view, 26) == 16 && (1..=20).contains(&u16_at(view, 28))));
}

#[test]
fn faults_strike_frames_as_they_strike_text() {
    let mut bench = lively();
    let conn = bench.open_sbe(Some("key-alice"), "streams=btcusdt@bestBidAsk");
    for (fault, schema, version) in [("frame.enum", 2, 0), ("frame.field", 1, 1)] {
        bench.control("faults", &json!([{"fault": fault, "stream": "btcusdt@bestBidAsk", "times": 1}]));
        bench.pass(Span::from_millis(300));
        let frames = bench.data(conn);
        assert_eq!((u16_at(&frames[0], 4), u16_at(&frames[0], 6)), (schema, version), "{fault}");
        assert_eq!((u16_at(&frames[1], 4), u16_at(&frames[1], 6)), (1, 0));
    }
    bench.control("faults", &json!([{"fault": "stream.drop", "stream": "btcusdt@bestBidAsk"}]));
    bench.pass(Span::from_millis(300));
    assert!(bench.data(conn).is_empty());
}
