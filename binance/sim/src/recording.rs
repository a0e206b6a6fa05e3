//! A recording of a market: the frames of its streams and one snapshot of its book, as they came.
//!
//! Every line is `<local time of receipt, ns> <frame>`. Frames of the combined stream are `depthUpdate`,
//! `bookTicker` and `trade`; the line without `"stream"` is the snapshot. Update ids and trade ids are
//! kept. A recording of futures is known by its differences: they name the one before them (`pu`). Times are
//! shifted by a constant so that the recording starts at a given time: by so much that no event is told before
//! it happened.

use std::collections::BTreeMap;

use serde::Deserialize;
use tradingsys::exchange::{BestChange, BookChange};
use tradingsys::ids::Symbol;
use tradingsys::market::{Depth, Level, PublicTrade};
use tradingsys::num::{Price, Qty};
use tradingsys::time::{Span, Time};

use crate::product::Product;

/// A piece of a recording. Times count from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Levels changed.
    Diff(BookChange),
    /// Best bid and ask.
    Best(BestChange),
    /// A trade.
    Trade(PublicTrade),
}

/// A recorded market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Of which product.
    pub(crate) product: Product,
    /// Of which symbol.
    pub(crate) symbol: Symbol,
    /// The book at the start.
    pub(crate) snapshot: Depth,
    /// What follows, with the time from the start at which it came.
    pub(crate) pieces: Vec<(Span, Piece)>,
    /// First update ids of differences of futures by their last ones. Those of their pieces follow the difference
    /// before, as a matching core counts.
    firsts: BTreeMap<u64, u64>,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadRecording {
    /// A line is not `<ns> <frame>` with a frame of a kind that is known.
    #[error("line {line} of the recording: {problem}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// It has no snapshot, or no frames after it.
    #[error("the recording has no snapshot of the book (a line without \"stream\") or nothing after it")]
    NoSnapshot,
    /// Differences are missing.
    #[error("the recording has a gap: update {shown} is followed by {found}")]
    Gap {
        /// Update id before it.
        shown: u64,
        /// Update id after it.
        found: u64,
    },
    /// Frames of more than one symbol.
    #[error("the recording is of more than one symbol")]
    SeveralSymbols,
}

type Row = (String, String);

#[derive(Deserialize)]
#[serde(untagged)]
enum Frame {
    Stream {
        data: Data,
    },
    Snapshot {
        #[serde(rename = "lastUpdateId")]
        last_update_id: u64,
        bids: Vec<Row>,
        asks: Vec<Row>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Diff {
        #[serde(rename = "E")]
        event: i64,
        s: String,
        #[serde(rename = "U")]
        first: u64,
        u: u64,
        pu: Option<u64>,
        b: Vec<Row>,
        a: Vec<Row>,
    },
    Trade {
        #[serde(rename = "E")]
        event: i64,
        s: String,
        t: u64,
        p: String,
        q: String,
        #[serde(rename = "T")]
        traded: i64,
        m: bool,
    },
    Best {
        u: u64,
        s: String,
        b: String,
        #[serde(rename = "B")]
        bid_qty: String,
        a: String,
        #[serde(rename = "A")]
        ask_qty: String,
    },
}

fn level(price: &str, qty: &str) -> Result<Level, String> {
    let price: Price = price.parse().map_err(|error| format!("price {price:?}: {error}"))?;
    let qty: Qty = qty.parse().map_err(|error| format!("quantity {qty:?}: {error}"))?;
    Ok(Level { price, qty })
}

fn levels(rows: &[Row]) -> Result<Vec<Level>, String> {
    rows.iter().map(|(price, qty)| level(price, qty)).collect()
}

/// A frame of a stream: its symbol, the venue's time if it says one, and itself.
fn piece(data: &Data) -> Result<(Symbol, Option<Time>, Piece), String> {
    Ok(match data {
        Data::Diff { event, s, first, u, b, a, .. } => {
            let (symbol, time) = (Symbol::new(s), Time::from_millis(*event));
            let (bids, asks) = (levels(b)?, levels(a)?);
            let (first_update_id, last_update_id) = (*first, *u);
            let change =
                BookChange { symbol: symbol.clone(), time, first_update_id, last_update_id, bids, asks };
            (symbol, Some(time), Piece::Diff(change))
        }
        Data::Trade { event, s, t, p, q, traded, m } => {
            let Level { price, qty } = level(p, q)?;
            let trade =
                PublicTrade { id: *t, time: Time::from_millis(*traded), price, qty, buyer_is_maker: *m };
            (Symbol::new(s), Some(Time::from_millis(*event)), Piece::Trade(trade))
        }
        Data::Best { u, s, b, bid_qty, a, ask_qty } => {
            let symbol = Symbol::new(s);
            let (bid, ask) = (Some(level(b, bid_qty)?), Some(level(a, ask_qty)?));
            let best = BestChange { symbol: symbol.clone(), time: Time::default(), update_id: *u, bid, ask };
            (symbol, None, Piece::Best(best))
        }
    })
}

/// One frame with its local time.
struct Line {
    local: Time,
    /// The difference before this one, as a difference of futures names it.
    before: Option<u64>,
    symbol: Symbol,
    event: Option<Time>,
    piece: Piece,
}

impl Recording {
    /// Reads a recording. It begins at its snapshot; differences the snapshot holds already are left out.
    ///
    /// # Errors
    /// [`BadRecording`] names the first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, BadRecording> {
        let mut snapshot: Option<(Time, Depth)> = None;
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let wrong = |problem: String| BadRecording::Line { line: at + 1, problem };
            let (local, frame) = line.split_once(' ').ok_or_else(|| wrong("has no blank".into()))?;
            let local = local.parse().map(Time::from_nanos).map_err(|_| wrong("has no time".into()))?;
            match serde_json::from_str(frame).map_err(|error| wrong(error.to_string()))? {
                Frame::Snapshot { last_update_id, bids, asks } => {
                    let (bids, asks) = (levels(&bids).map_err(wrong)?, levels(&asks).map_err(wrong)?);
                    snapshot = Some((local, Depth { update_id: last_update_id, time: local, bids, asks }));
                }
                Frame::Stream { data } => {
                    let (symbol, event, piece) = piece(&data).map_err(wrong)?;
                    let before = if let Data::Diff { pu, .. } = &data { *pu } else { None };
                    lines.push(Line { local, before, symbol, event, piece });
                }
            }
        }
        let (Some((taken, snapshot)), Some(first)) = (snapshot, lines.first()) else {
            return Err(BadRecording::NoSnapshot);
        };
        let (symbol, begun) = (first.symbol.clone(), first.local.min(taken));
        if lines.iter().any(|line| line.symbol != symbol) {
            return Err(BadRecording::SeveralSymbols);
        }
        // The recorder's clock and the venue's differ; the largest lead of the venue's makes no event come
        // early.
        let lead = |line: &Line| line.event.map(|event| event - line.local);
        let lead = lines.iter().filter_map(lead).max().unwrap_or(Span::ZERO);
        let product =
            if lines.iter().any(|line| line.before.is_some()) { Product::Futures } else { Product::Spot };
        lines.retain(|line| !is_known(product, &line.piece, snapshot.update_id));
        unbroken(snapshot.update_id, &lines)?;
        let firsts = join(snapshot.update_id, &mut lines);
        let pieces = lines.into_iter();
        let pieces = pieces.map(|line| (line.local - begun, shifted(line.piece, begun + lead))).collect();
        Ok(Self { product, symbol, snapshot, pieces, firsts })
    }

    /// The first update id a difference was recorded with, by its last one.
    pub(crate) fn first_of(&self, last: u64) -> Option<u64> {
        self.firsts.get(&last).copied()
    }

    /// The tick and lot to list it with: those given, or as much finer as some recorded level needs (orders
    /// from before a symbol's lot was made coarser stay in the book).
    pub(crate) fn grid(&self, tick: Price, lot: Qty) -> (Price, Qty) {
        let (mut tick, mut lot) = (tick, lot);
        let mut see = |level: &Level| {
            while !level.price.is_multiple_of(tick) && tick.raw() > 1 {
                tick = Price::from_raw(tick.raw() / 10);
            }
            while !level.qty.is_multiple_of(lot) && lot.raw() > 1 {
                lot = Qty::from_raw(lot.raw() / 10);
            }
        };
        self.snapshot.bids.iter().chain(&self.snapshot.asks).for_each(&mut see);
        for (_, piece) in &self.pieces {
            match piece {
                Piece::Diff(change) => change.bids.iter().chain(&change.asks).for_each(&mut see),
                Piece::Best(best) => best.bid.iter().chain(&best.ask).for_each(&mut see),
                Piece::Trade(trade) => see(&Level { price: trade.price, qty: trade.qty }),
            }
        }
        (tick, lot)
    }

    /// Prices the snapshot covers: nothing is known beyond them.
    pub(crate) fn range(&self) -> (Price, Price) {
        let lowest = self.snapshot.bids.last().map_or(Price::ZERO, |level| level.price);
        let highest = self.snapshot.asks.last().map_or(Price::ZERO, |level| level.price);
        (lowest, highest)
    }
}

/// Does every difference join the one before it, and the first one the snapshot?
fn unbroken(snapshot: u64, lines: &[Line]) -> Result<(), BadRecording> {
    let mut shown = snapshot;
    for line in lines {
        let Piece::Diff(change) = &line.piece else { continue };
        // The first one after a snapshot of futures holds the snapshot's update.
        let (joined, found) = match line.before {
            Some(before) if shown != snapshot => (before == shown, before),
            _ => (change.first_update_id <= shown + 1, change.first_update_id),
        };
        if !joined {
            return Err(BadRecording::Gap { shown, found });
        }
        shown = change.last_update_id;
    }
    Ok(())
}

/// Lets every difference of futures begin where the one before it ends; gives what they began with.
fn join(snapshot: u64, lines: &mut [Line]) -> BTreeMap<u64, u64> {
    let (mut shown, mut firsts) = (snapshot, BTreeMap::new());
    for line in lines.iter_mut() {
        let (Piece::Diff(change), Some(_)) = (&mut line.piece, line.before) else { continue };
        let recorded = std::mem::replace(&mut change.first_update_id, shown + 1);
        firsts.insert(change.last_update_id, recorded);
        shown = change.last_update_id;
    }
    firsts
}

/// Does the snapshot hold it already?
fn is_known(product: Product, piece: &Piece, known: u64) -> bool {
    match piece {
        Piece::Diff(change) if product == Product::Futures => change.last_update_id < known,
        Piece::Diff(change) => change.last_update_id <= known,
        Piece::Best(best) => best.update_id <= known,
        Piece::Trade(_) => false,
    }
}

/// With times that count from zero.
fn shifted(piece: Piece, zero: Time) -> Piece {
    let from_zero = |time: Time| Time::default() + (time - zero);
    match piece {
        Piece::Diff(change) => Piece::Diff(BookChange { time: from_zero(change.time), ..change }),
        Piece::Trade(trade) => Piece::Trade(PublicTrade { time: from_zero(trade.time), ..trade }),
        best @ Piece::Best(_) => best,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        "1000000000 {\"stream\":\"s\",\"data\":{\"e\":\"depthUpdate\",\"E\":2500,\"s\":\"BTCUSDT\",\
        \"U\":1,\"u\":3,\"b\":[],\"a\":[]}}\n",
        "1100000000 {\"lastUpdateId\":5,\"bids\":[[\"99\",\"1\"],[\"98\",\"2\"]],\"asks\":[[\"101\",\
        \"3\"]]}\n",
        "1200000000 {\"stream\":\"s\",\"data\":{\"e\":\"depthUpdate\",\"E\":2690,\"s\":\"BTCUSDT\",\
        \"U\":4,\"u\":6,\"b\":[[\"99\",\"0\"]],\"a\":[]}}\n",
        "1250000000 {\"stream\":\"s\",\"data\":{\"u\":7,\"s\":\"BTCUSDT\",\"b\":\"98\",\"B\":\"2\",\
        \"a\":\"101\",\"A\":\"3\"}}\n",
        "1300000000 {\"stream\":\"s\",\"data\":{\"e\":\"trade\",\"E\":2700,\"s\":\"BTCUSDT\",\"t\":9,\
        \"p\":\"101\",\"q\":\"1\",\"T\":2699,\"m\":false,\"M\":true}}\n",
    );

    #[test]
    fn a_recording_starts_at_its_snapshot_and_no_event_comes_before_it_happened() {
        let recording = Recording::parse(TEXT).unwrap();
        assert_eq!((recording.symbol.as_str(), recording.snapshot.update_id), ("btcusdt", 5));
        let at: Vec<i64> = recording.pieces.iter().map(|(at, _)| at.millis()).collect();
        assert_eq!(at, [200, 250, 300], "the difference before the snapshot is left out");
        // The venue's clock leads by at most 1.5 s, in the first line.
        let Piece::Diff(diff) = &recording.pieces[0].1 else { panic!("{:?}", recording.pieces[0]) };
        assert_eq!((diff.time.millis(), diff.first_update_id, diff.last_update_id), (190, 4, 6));
        let Piece::Trade(trade) = &recording.pieces[2].1 else { panic!("{:?}", recording.pieces[2]) };
        assert_eq!((trade.time.millis(), trade.id), (199, 9));
        let price = |text: &str| text.parse::<Price>().unwrap();
        assert_eq!(recording.range(), (price("98"), price("101")));
        let lot = |text: &str| text.parse::<Qty>().unwrap();
        assert_eq!(recording.grid(price("0.01"), lot("0.1")), (price("0.01"), lot("0.1")));
        let odd = Recording::parse(&TEXT.replace("[\"98\",\"2\"]", "[\"98\",\"2.125\"]")).unwrap();
        assert_eq!(odd.grid(price("0.01"), lot("0.1")), (price("0.01"), lot("0.001")));
    }

    #[test]
    fn bad_recordings_name_the_line() {
        for (text, part) in [
            ("", "no snapshot"),
            ("x", "line 1"),
            ("1 {}", "line 1"),
            (&TEXT.replace("\"99\",\"0\"", "\"99\",\"-\""), "line 3"),
            (&TEXT.replace("1,\"u\":3", "1,\"u\":\"3\""), "line 1"),
            (&TEXT.replacen("BTCUSDT", "ETHUSDT", 1), "more than one symbol"),
            (&TEXT.replace("\"U\":4,\"u\":6", "\"U\":7,\"u\":8"), "a gap: update 5 is followed by 7"),
        ] {
            let error = Recording::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
