//! Market data streams in binary (SBE): best prices at each change, differences of books every 20 ms, the best twenty
//! levels every 50 ms.
//!
//! Frames are written field by field after `stream_1_0.xml` (binance-spot-api-docs, 2026-07), by code that shares
//! nothing with what reads them. All numbers have eight decimals, as in JSON.

use bytes::Bytes;
use tradingsys::market::{Level, Side};
use tradingsys::time::{Span, Time};

use crate::agenda::Beat;
use crate::connection::{Connection, Kind as Serves};
use crate::faults::{Fault, Strike};
use crate::feed::within;
use crate::io::Conn;
use crate::malformed::{FRAMES, GARBAGE, GIANT};
use crate::market_data::cut;
use crate::publish::index;
use crate::sim::{Sim, Task};
use crate::streams::{Kind, Sbe, StreamName};

/// Between two differences of a book.
const DIFFERENCES: Span = Span::from_millis(20);
/// Between two views of the best levels.
const VIEWS: Span = Span::from_millis(50);
/// Levels a side of a view.
const LEVELS: usize = 20;
/// Place of the differences gathered, and of the views shown, among those of a market's speeds.
const SPEED: usize = 2;
/// Raw units of 10⁻¹⁰ in one of 10⁻⁸.
const RAW: i128 = 100;

/// Which schema frames are of, and by how many bytes each block is longer than that schema's first version.
#[derive(Clone, Copy)]
struct Schema {
    id: u16,
    version: u16,
    longer: u16,
}

/// As it is published.
const PUBLISHED: Schema = Schema { id: 1, version: 0, longer: 0 };
/// A later version, with fields nobody knows.
const LATER: Schema = Schema { id: 1, version: 1, longer: 3 };
/// Another one.
const FOREIGN: Schema = Schema { id: 2, version: 0, longer: 0 };

/// A frame that is being written.
struct Writer {
    schema: Schema,
    bytes: Vec<u8>,
}

impl Writer {
    fn begin(schema: Schema, template: u16, block: u16) -> Self {
        let mut writer = Self { schema, bytes: Vec::new() };
        for field in [block + schema.longer, template, schema.id, schema.version] {
            writer.u16(field);
        }
        writer
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn exponents(&mut self) {
        self.bytes.extend([(-8_i8).cast_unsigned(); 2]);
    }

    fn number(&mut self, raw: i128) {
        self.i64(i64::try_from(raw / RAW).unwrap_or(i64::MAX));
    }

    fn level(&mut self, level: &Level) {
        self.number(level.price.raw());
        self.number(level.qty.raw());
    }

    /// What a later version has at the end of a block.
    fn novelty(&mut self) {
        self.bytes.extend(vec![0xee; usize::from(self.schema.longer)]);
    }

    fn levels(&mut self, levels: &[Level]) {
        self.u16(16 + self.schema.longer);
        self.u16(u16::try_from(levels.len()).unwrap_or(u16::MAX));
        for level in levels.iter().take(usize::from(u16::MAX)) {
            self.level(level);
            self.novelty();
        }
    }

    fn end(mut self, symbol: &str) -> Vec<u8> {
        self.bytes.push(u8::try_from(symbol.len()).expect("names of symbols are short"));
        self.bytes.extend(symbol.bytes());
        self.bytes
    }
}

fn micros(time: Time) -> i64 {
    time.nanos().div_euclid(1_000)
}

fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn best_frame(schema: Schema, now: Time, update: u64, sides: &[Level; 2], symbol: &str) -> Vec<u8> {
    let mut writer = Writer::begin(schema, 10_001, 50);
    writer.i64(micros(now));
    writer.i64(number(update));
    writer.exponents();
    sides.iter().for_each(|level| writer.level(level));
    writer.novelty();
    writer.end(symbol)
}

/// A view of a book with one update id, a difference with two.
fn book_frame(schema: Schema, now: Time, ids: &[u64], sides: [&[Level]; 2], symbol: &str) -> Vec<u8> {
    let (template, block) = if ids.len() == 1 { (10_002, 18) } else { (10_003, 26) };
    let mut writer = Writer::begin(schema, template, block);
    writer.i64(micros(now));
    ids.iter().for_each(|id| writer.i64(number(*id)));
    writer.exponents();
    writer.novelty();
    sides.iter().for_each(|levels| writer.levels(levels));
    writer.end(symbol)
}

impl Sim {
    /// Does anybody listen to timed streams in binary?
    pub(crate) fn has_sbe_listeners(&self) -> bool {
        self.listeners.names().any(|name| matches!(name, StreamName::Of(_, Kind::Sbe(_))))
    }

    /// When the timed streams in binary are looked at next.
    pub(crate) fn next_sbe_beat(now: Time) -> Span {
        let next = |every: Span| (now.nanos().div_euclid(every.nanos()) + 1) * every.nanos();
        Span::from_nanos(next(DIFFERENCES).min(next(VIEWS)) - now.nanos())
    }

    /// Timed streams in binary.
    pub(crate) fn sbe_beat(&mut self, now: Time, beat: Beat) {
        for place in 0..self.markets.len() {
            if self.markets[place].feed.tells_changes() {
                continue;
            }
            if beat.passes(DIFFERENCES) {
                self.publish_sbe_difference(now, place);
            }
            if beat.passes(VIEWS) {
                self.publish_sbe_view(now, place);
            }
        }
    }

    /// The best bid or offer changed.
    pub(crate) fn publish_sbe_best(&mut self, now: Time, place: usize, update: u64) {
        let name = StreamName::Of(index(place), Kind::Sbe(Sbe::Best));
        if self.listeners.any(name) {
            let data = &self.markets[place].data;
            let sides = [data.best_of(Side::Buy), data.best_of(Side::Sell)];
            let (upper, shown) = (data.upper.clone(), format!("{}@bestBidAsk", data.symbol));
            self.publish_data(name, &shown, |schema| best_frame(schema, now, update, &sides, &upper));
        }
    }

    /// The changes of a book since they were told last.
    pub(crate) fn publish_sbe_difference(&mut self, now: Time, place: usize) {
        let name = StreamName::Of(index(place), Kind::Sbe(Sbe::Difference));
        let data = &mut self.markets[place].data;
        let Some(ready) = &mut data.diffs[SPEED] else { return };
        let Some((first, last)) = ready.ids else { return };
        let mut gathered = std::mem::take(ready);
        let (upper, shown) = (data.upper.clone(), format!("{}@depth", data.symbol));
        self.falsify(&shown, &mut gathered);
        let (bids, asks) = gathered.sides();
        self.publish_data(name, &shown, |schema| {
            book_frame(schema, now, &[first, last], [&bids, &asks], &upper)
        });
    }

    /// The best levels of a book, if they were not told.
    pub(crate) fn publish_sbe_view(&mut self, now: Time, place: usize) {
        let name = StreamName::Of(index(place), Kind::Sbe(Sbe::View));
        if !self.listeners.any(name) {
            return;
        }
        let market = &mut self.markets[place];
        let Some(depth) = self.exchange.depth(&market.data.symbol, LEVELS) else { return };
        let depth = match market.feed.range() {
            Some(range) => within(depth, range),
            None => depth,
        };
        let update = depth.update_id;
        if std::mem::replace(&mut market.data.shown[SPEED], update) == update {
            return;
        }
        let (upper, shown) = (market.data.upper.clone(), format!("{}@depth20", market.data.symbol));
        let (bids, asks) = cut(&depth, LEVELS);
        self.publish_data(name, &shown, |schema| book_frame(schema, now, &[update], [bids, asks], &upper));
    }

    /// Sends one frame to all that listen, or what the faults make of it.
    fn publish_data(&mut self, name: StreamName, shown: &str, write: impl Fn(Schema) -> Vec<u8>) {
        const STREAMS: [Fault; 3] = [Fault::StreamDrop, Fault::StreamDuplicate, Fault::StreamDelay];
        let struck = self.strikes_stream("stream", &STREAMS, shown);
        let deformed = self.strikes_stream("frame", &FRAMES, shown);
        let frame = Bytes::from(deformed_frame(deformed.as_ref(), write));
        let live = |conn: &Conn| {
            let connection = self.connections.get(conn).filter(|connection| connection.is_live());
            matches!(connection, Some(Connection { kind: Serves::Streams(_), .. }))
        };
        let conns: Vec<Conn> = self.listeners.of(name).filter(live).collect();
        match struck.map(|strike| (strike.rule.fault, strike.span)) {
            Some((Fault::StreamDrop, _)) => {}
            Some((Fault::StreamDelay, span)) => {
                for conn in conns {
                    self.later(span, Task::SendData(conn, frame.clone()));
                }
            }
            twice => {
                for _ in 0..=usize::from(twice.is_some()) {
                    self.staged.data.extend(conns.iter().map(|conn| (*conn, frame.clone())));
                }
            }
        }
    }
}

/// A frame as a fault wants it; those of them that concern text alone leave it as it is.
fn deformed_frame(strike: Option<&Strike>, write: impl Fn(Schema) -> Vec<u8>) -> Vec<u8> {
    let Some(Strike { rule, .. }) = strike else { return write(PUBLISHED) };
    match rule.fault {
        Fault::FrameField => write(LATER),
        Fault::FrameEnum => write(FOREIGN),
        Fault::FrameGarbage => GARBAGE.as_bytes().to_vec(),
        Fault::FrameCut => {
            let mut frame = write(PUBLISHED);
            frame.truncate(frame.len() / 2);
            frame
        }
        Fault::FrameGiant => {
            let mut frame = write(PUBLISHED);
            frame.resize(rule.bytes.unwrap_or(GIANT).max(frame.len()), 0);
            frame
        }
        _ => write(PUBLISHED),
    }
}

#[cfg(test)]
mod tests {
    //! Bytes written by hand from the schema.

    use super::*;

    fn level(price: &str, qty: &str) -> Level {
        Level { price: price.parse().unwrap(), qty: qty.parse().unwrap() }
    }

    fn check(frame: &[u8], expected: &str) {
        let bytes: Vec<u8> =
            expected.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(frame, bytes);
    }

    const TIME: Time = Time::from_nanos(1_672_515_782_136_123_999);

    #[test]
    fn best_prices_are_fifty_bytes_and_the_symbol() {
        let sides = [level("25.3519", "31.21"), level("25.3652", "40.66")];
        check(
            &best_frame(PUBLISHED, TIME, 400_900_217, &sides, "BNBUSDT"),
            "32 00 11 27 01 00 00 00
             3b 51 13 ed 24 f1 05 00  79 40 e5 17 00 00 00 00  f8 f8
             f0 ed 1b 97 00 00 00 00  40 ae 06 ba 00 00 00 00
             40 39 30 97 00 00 00 00  80 3c 5a f2 00 00 00 00
             07 42 4e 42 55 53 44 54",
        );
    }

    #[test]
    fn views_have_one_update_id_and_differences_two() {
        let (bids, asks) = ([level("0.0024", "10")], [level("0.0027", "0")]);
        check(
            &book_frame(PUBLISHED, TIME, &[160], [&bids, &[]], "BNBBTC"),
            "12 00 12 27 01 00 00 00  3b 51 13 ed 24 f1 05 00  a0 00 00 00 00 00 00 00  f8 f8
             10 00 01 00  80 a9 03 00 00 00 00 00  00 ca 9a 3b 00 00 00 00
             10 00 00 00  06 42 4e 42 42 54 43",
        );
        check(
            &book_frame(PUBLISHED, TIME, &[157, 160], [&[], &asks], "BNBBTC"),
            "1a 00 13 27 01 00 00 00  3b 51 13 ed 24 f1 05 00
             9d 00 00 00 00 00 00 00  a0 00 00 00 00 00 00 00  f8 f8
             10 00 00 00
             10 00 01 00  b0 1e 04 00 00 00 00 00  00 00 00 00 00 00 00 00
             06 42 4e 42 42 54 43",
        );
    }

    #[test]
    fn a_later_version_has_longer_blocks() {
        check(
            &book_frame(LATER, TIME, &[160], [&[level("0.0024", "10")], &[]], "BNBBTC"),
            "15 00 12 27 01 00 01 00  3b 51 13 ed 24 f1 05 00  a0 00 00 00 00 00 00 00  f8 f8  ee ee ee
             13 00 01 00  80 a9 03 00 00 00 00 00  00 ca 9a 3b 00 00 00 00  ee ee ee
             13 00 00 00  06 42 4e 42 42 54 43",
        );
    }
}
