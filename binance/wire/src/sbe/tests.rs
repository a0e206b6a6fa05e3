//! Frames written byte by byte from `stream_1_0.xml` (binance-spot-api-docs, 2026-07), as text in hexadecimal.

use super::*;
use crate::stream;
use tradingsys::ids::Symbol;
use tradingsys::market::Stream;

/// bookTicker's example: prices of eight decimals, told as mantissas of two and quantities of eight.
const BEST_FRAME: &str = "
    32 00 11 27 01 00 00 00
    3b 51 13 ed 24 f1 05 00
    79 40 e5 17 00 00 00 00
    f8 f8
    f0 ed 1b 97 00 00 00 00
    40 ae 06 ba 00 00 00 00
    40 39 30 97 00 00 00 00
    80 3c 5a f2 00 00 00 00
    07 42 4e 42 55 53 44 54";

/// depthUpdate's example: one bid, two asks, the second of them gone.
const DIFFERENCE_FRAME: &str = "
    1a 00 13 27 01 00 00 00
    3b 51 13 ed 24 f1 05 00
    9d 00 00 00 00 00 00 00
    a0 00 00 00 00 00 00 00
    f8 f8
    10 00 01 00
    80 a9 03 00 00 00 00 00  00 ca 9a 3b 00 00 00 00
    10 00 02 00
    a0 f7 03 00 00 00 00 00  00 e4 0b 54 02 00 00 00
    b0 1e 04 00 00 00 00 00  00 00 00 00 00 00 00 00
    06 42 4e 42 42 54 43";

/// A bid and no ask.
const SNAPSHOT_FRAME: &str = "
    12 00 12 27 01 00 00 00
    3b 51 13 ed 24 f1 05 00
    a0 00 00 00 00 00 00 00
    f8 00
    10 00 01 00
    80 a9 03 00 00 00 00 00  0a 00 00 00 00 00 00 00
    10 00 00 00
    06 42 4e 42 42 54 43";

fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn level(price: &str, qty: &str) -> Level {
    Level { price: price.parse().unwrap(), qty: qty.parse().unwrap() }
}

const TIME: Time = Time::from_nanos(1_672_515_782_136_123_000);

#[test]
fn best_prices_are_read_to_the_last_digit() {
    let frame = bytes(BEST_FRAME);
    let read = event(&frame).unwrap();
    let best = Depth {
        update_id: 400_900_217,
        time: TIME,
        bids: vec![level("25.35190000", "31.21000000")],
        asks: vec![level("25.36520000", "40.66000000")],
    };
    assert_eq!(read, Event { symbol: "BNBUSDT", told: Told::Best(best) });
}

#[test]
fn an_empty_side_has_no_level() {
    let mut frame = bytes(BEST_FRAME);
    frame[34..42].fill(0);
    let Told::Best(best) = event(&frame).unwrap().told else { panic!("no best prices") };
    assert_eq!((best.bids.len(), best.asks.len()), (0, 1));
}

#[test]
fn differences_and_snapshots_are_read() {
    let difference = Difference {
        first: 157,
        last: 160,
        previous: None,
        time: TIME,
        bids: vec![level("0.0024", "10")],
        asks: vec![level("0.0026", "100"), level("0.0027", "0")],
    };
    let frame = bytes(DIFFERENCE_FRAME);
    assert_eq!(event(&frame).unwrap(), Event { symbol: "BNBBTC", told: Told::Difference(difference) });
    let depth = Depth { update_id: 160, time: TIME, bids: vec![level("0.0024", "10")], asks: vec![] };
    let frame = bytes(SNAPSHOT_FRAME);
    assert_eq!(event(&frame).unwrap(), Event { symbol: "BNBBTC", told: Told::Depth(depth) });
}

/// A later version appends to the root block, to entries of groups, and behind the symbol.
#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    let later = "
        1d 00 13 27 01 00 07 00
        3b 51 13 ed 24 f1 05 00
        9d 00 00 00 00 00 00 00
        a0 00 00 00 00 00 00 00
        f8 f8  ee ee ee
        11 00 01 00
        80 a9 03 00 00 00 00 00  00 ca 9a 3b 00 00 00 00  ee
        12 00 02 00
        a0 f7 03 00 00 00 00 00  00 e4 0b 54 02 00 00 00  ee ee
        b0 1e 04 00 00 00 00 00  00 00 00 00 00 00 00 00  ee ee
        06 42 4e 42 42 54 43  ee ee ee ee";
    let (later, first) = (bytes(later), bytes(DIFFERENCE_FRAME));
    assert_eq!(event(&later).unwrap(), event(&first).unwrap());
}

#[test]
fn what_is_of_another_schema_says_so() {
    let changed = |at: usize, byte: u8| {
        let mut frame = bytes(DIFFERENCE_FRAME);
        frame[at] = byte;
        event(&frame).unwrap_err()
    };
    assert_eq!(changed(4, 3), Unreadable::Schema { id: 3, version: 0 });
    assert_eq!(changed(2, 0x10), Unreadable::Template(10_000));
    assert_eq!(changed(0, 25), Unreadable::Block { what: "the root block", length: 25 });
    assert_eq!(changed(34, 15), Unreadable::Block { what: "the bids", length: 15 });
    for foreign in [changed(4, 3), changed(2, 0), changed(0, 0), changed(34, 0)] {
        assert!(foreign.is_foreign(), "{foreign}");
    }
    let json = br#"{"stream":"bnbbtc@depth","data":{}}"#;
    assert!(event(json).unwrap_err().is_foreign());
}

#[test]
fn a_frame_cut_anywhere_is_torn() {
    for whole in [BEST_FRAME, DIFFERENCE_FRAME, SNAPSHOT_FRAME] {
        let frame = bytes(whole);
        for length in 0..frame.len() {
            let error = event(&frame[..length]).unwrap_err();
            assert!(matches!(error, Unreadable::Torn(_)), "{length}: {error}");
            assert!(!error.is_foreign());
        }
    }
    let mut promises = bytes(SNAPSHOT_FRAME);
    promises[28..30].fill(0xff);
    assert_eq!(event(&promises).unwrap_err(), Unreadable::Torn("the bids"));
}

#[test]
fn numbers_that_cannot_be_kept_are_refused() {
    let changed = |range: std::ops::Range<usize>, bytes_there: &[u8]| {
        let mut frame = bytes(BEST_FRAME);
        frame[range].copy_from_slice(bytes_there);
        event(&frame).unwrap_err()
    };
    let least = i64::MIN.to_le_bytes();
    assert_eq!(changed(8..16, &least), Unreadable::Number("the time"));
    assert_eq!(changed(16..24, &least), Unreadable::Number("the update id"));
    assert_eq!(changed(24..25, &[0x7f]), Unreadable::Number("a price"));
    assert_eq!(changed(24..25, &[0x80]), Unreadable::Number("a price"));
    assert_eq!(changed(25..26, &[6]), Unreadable::Number("a quantity"));
    assert_eq!(changed(59..60, &[0xff]), Unreadable::Symbol);
}

#[test]
fn every_channel_served_has_the_name_of_its_json_stream() {
    let all = [Channel::Bbo, Channel::DepthFast, Channel::Book, Channel::Depth, Channel::Trade];
    let told = [BEST_FRAME, SNAPSHOT_FRAME, DIFFERENCE_FRAME].map(bytes);
    let mut name = "what was there before".to_owned();
    let of_frames: Vec<String> = told
        .iter()
        .map(|frame| {
            Event { symbol: "BNBBTC", told: event(frame).unwrap().told }.write_name(&mut name);
            name.clone()
        })
        .collect();
    let mut of_channels = Vec::new();
    for channel in all.into_iter().filter(|channel| serves(*channel)) {
        of_channels.push(stream::stream_name(&Stream { symbol: Symbol::new("bnbbtc"), channel }));
    }
    assert_eq!(of_frames, of_channels);
    let here: Vec<String> = of_channels.iter().map(|name| stream_name(name)).collect();
    assert_eq!(here, ["bnbbtc@bestBidAsk", "bnbbtc@depth20", "bnbbtc@depth"]);
    assert_eq!(stream_name("bnbbtc@trade"), "bnbbtc@trade");
}
