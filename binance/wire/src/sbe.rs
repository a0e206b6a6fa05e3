//! Frames of the SBE market-data host: best prices, the best twenty levels, and the differences of a book, in binary.
//!
//! After `stream_1_0.xml` (binance-spot-api-docs, 2026-07): little-endian, an eight-byte header, a root block, groups
//! with a dimension each, and the symbol last. A number is a mantissa beside an exponent that a frame says once for its
//! prices and once for its quantities; it is read to the exact number the JSON streams print.
//!
//! The host sends the newest version of the schema. A later version may only append to blocks, so every block is
//! stepped over by the length the frame gives, and only its known beginning is read. What is of another schema is an
//! error of its own: whoever gets it goes back to JSON. A frame that ends too early is torn, and no more than that.
//!
//! ```text
//! header    u16 length of the root block, u16 template, u16 schema, u16 version
//! 10001     i64 time, i64 update, i8 price exponent, i8 qty exponent, i64 bid, i64 qty, i64 ask, i64 qty; symbol
//! 10002     i64 time, i64 update, i8 price exponent, i8 qty exponent; bids, asks; symbol
//! 10003     i64 time, i64 first update, i64 last update, i8 price exponent, i8 qty exponent; bids, asks; symbol
//! bids …    u16 length of an entry, u16 entries; each i64 price, i64 qty
//! symbol    u8 length, UTF-8
//! ```

use tradingsys::book::Difference;
use tradingsys::market::{Channel, Depth, Level};
use tradingsys::num::{Price, Qty, scaled_raw};
use tradingsys::time::Time;

/// The schema read here.
const SCHEMA: u16 = 1;
/// `BestBidAskStreamEvent`.
const BEST: u16 = 10_001;
/// `DepthSnapshotStreamEvent`.
const SNAPSHOT: u16 = 10_002;
/// `DepthDiffStreamEvent`.
const DIFFERENCE: u16 = 10_003;

/// Bytes of a header, of the known part of each root block, and of an entry of a group.
const HEADER: usize = 8;
const BEST_BLOCK: usize = 50;
const SNAPSHOT_BLOCK: usize = 18;
const DIFFERENCE_BLOCK: usize = 26;
const ENTRY: usize = 16;

/// Does this host bring data of that kind, fresher than the JSON streams?
pub const fn serves(channel: Channel) -> bool {
    matches!(channel, Channel::Bbo | Channel::DepthFast | Channel::Book)
}

/// The same data under both names: at the end of a stream of the JSON host, and of this one.
const NAMES: [(&str, &str); 3] =
    [("@bookTicker", "@bestBidAsk"), ("@depth20@100ms", "@depth20"), ("@depth@100ms", "@depth")];

/// What this host calls a stream of the JSON host; a name it has no other word for stays.
pub fn stream_name(name: &str) -> String {
    let same = NAMES.iter().find_map(|(json, here)| Some((name.strip_suffix(json)?, here)));
    same.map_or_else(|| name.to_owned(), |(symbol, here)| format!("{symbol}{here}"))
}

/// What a frame tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Best bid and offer: one level a side, an empty side has none.
    Best(Depth),
    /// The best twenty levels.
    Depth(Depth),
    /// A change of the book.
    Difference(Difference),
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Of which symbol, as the venue spells it (`BTCUSDT`).
    pub symbol: &'a str,
    /// What it tells.
    pub told: Told,
}

impl Event<'_> {
    /// Writes what the JSON host calls the stream of this data. The text is the caller's, so that none is made for
    /// every frame.
    pub fn write_name(&self, name: &mut String) {
        let (json, _) = match self.told {
            Told::Best(_) => NAMES[0],
            Told::Depth(_) => NAMES[1],
            Told::Difference(_) => NAMES[2],
        };
        name.clear();
        name.extend(self.symbol.chars().flat_map(char::to_lowercase));
        name.push_str(json);
    }
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Of another schema: the same bytes may mean anything.
    #[error("schema {id} version {version} is not known, only versions of schema {SCHEMA} are")]
    Schema {
        /// Its schema.
        id: u16,
        /// The version of that.
        version: u16,
    },
    /// Of this schema, and of a kind nobody asked for.
    #[error("template {0} is not known")]
    Template(u16),
    /// A block is shorter than the first version of the schema has it.
    #[error("{what} of {length} bytes is too short for the schema")]
    Block {
        /// Which.
        what: &'static str,
        /// Its length by the frame.
        length: u16,
    },
    /// It ends before its end.
    #[error("the frame ends within {0}")]
    Torn(&'static str),
    /// A number that is out of range, or finer than any this system keeps.
    #[error("{0} is out of range")]
    Number(&'static str),
    /// The symbol is no UTF-8.
    #[error("the symbol is no text")]
    Symbol,
}

impl Unreadable {
    /// Is the whole schema another one, so that no later frame can be read either?
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Schema { .. } | Self::Template(_) | Self::Block { .. })
    }
}

/// Reads a binary frame.
///
/// # Errors
/// [`Unreadable`] says what is wrong with it.
pub fn event(frame: &[u8]) -> Result<Event<'_>, Unreadable> {
    let mut rest = Cursor(frame);
    let mut header = rest.take(HEADER, "the header")?;
    let [length, template, id, version] = [header.u16(), header.u16(), header.u16(), header.u16()];
    if id != SCHEMA {
        return Err(Unreadable::Schema { id, version });
    }
    let told = match template {
        BEST => Told::Best(best(rest.block(length, BEST_BLOCK, "the root block")?)?),
        SNAPSHOT => {
            let mut block = rest.block(length, SNAPSHOT_BLOCK, "the root block")?;
            let (time, update_id) = (block.time()?, block.update_id()?);
            let scale = block.scale();
            let (bids, asks) = (rest.levels("the bids", scale)?, rest.levels("the asks", scale)?);
            Told::Depth(Depth { update_id, time, bids, asks })
        }
        DIFFERENCE => {
            let mut block = rest.block(length, DIFFERENCE_BLOCK, "the root block")?;
            let (time, first, last) = (block.time()?, block.update_id()?, block.update_id()?);
            let scale = block.scale();
            let (bids, asks) = (rest.levels("the bids", scale)?, rest.levels("the asks", scale)?);
            Told::Difference(Difference { first, last, previous: None, time, bids, asks })
        }
        other => return Err(Unreadable::Template(other)),
    };
    let length = rest.take(1, "the symbol")?.u8();
    let symbol = rest.take(usize::from(length), "the symbol")?;
    Ok(Event { symbol: std::str::from_utf8(symbol.0).map_err(|_| Unreadable::Symbol)?, told })
}

fn best(mut block: Cursor<'_>) -> Result<Depth, Unreadable> {
    let (time, update_id) = (block.time()?, block.update_id()?);
    let scale = block.scale();
    let mut side = || {
        let level = block.level(scale)?;
        Ok(if level.qty.is_zero() { Vec::new() } else { vec![level] })
    };
    let (bids, asks) = (side()?, side()?);
    Ok(Depth { update_id, time, bids, asks })
}

/// The exponents of a frame's prices and quantities.
#[derive(Clone, Copy)]
struct Scale {
    price: i8,
    qty: i8,
}

/// What is left of a frame, or of a block of it.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Cuts off so many bytes.
    fn take(&mut self, length: usize, what: &'static str) -> Result<Self, Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unreadable::Torn(what))?;
        self.0 = rest;
        Ok(Self(taken))
    }

    /// Cuts off a block of the length the frame gives it, of which at least `known` bytes are read.
    fn block(&mut self, length: u16, known: usize, what: &'static str) -> Result<Self, Unreadable> {
        if usize::from(length) < known {
            return Err(Unreadable::Block { what, length });
        }
        self.take(usize::from(length), what)
    }

    /// The next bytes of a block. A block is as long as what is read of it, or it was not made.
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().expect("the length of the block was checked");
        self.0 = rest;
        *taken
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.bytes())
    }

    fn i8(&mut self) -> i8 {
        i8::from_le_bytes(self.bytes())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.bytes())
    }

    /// Microseconds since 1970.
    fn time(&mut self) -> Result<Time, Unreadable> {
        let nanos = self.i64().checked_mul(1_000);
        nanos.map(Time::from_nanos).ok_or(Unreadable::Number("the time"))
    }

    fn update_id(&mut self) -> Result<u64, Unreadable> {
        u64::try_from(self.i64()).map_err(|_| Unreadable::Number("the update id"))
    }

    fn scale(&mut self) -> Scale {
        Scale { price: self.i8(), qty: self.i8() }
    }

    fn level(&mut self, scale: Scale) -> Result<Level, Unreadable> {
        let price = scaled_raw(self.i64(), scale.price).map_err(|_| Unreadable::Number("a price"))?;
        let qty = scaled_raw(self.i64(), scale.qty).map_err(|_| Unreadable::Number("a quantity"))?;
        Ok(Level { price: Price::from_raw(price), qty: Qty::from_raw(qty) })
    }

    fn levels(&mut self, what: &'static str, scale: Scale) -> Result<Vec<Level>, Unreadable> {
        let mut dimension = self.take(4, what)?;
        let (length, count) = (dimension.u16(), usize::from(dimension.u16()));
        // What the frame has no room for is not made room for either.
        let fits = self.0.len() / usize::from(length).max(ENTRY);
        let mut levels = Vec::with_capacity(count.min(fits));
        for _ in 0..count {
            levels.push(self.block(length, ENTRY, what)?.level(scale)?);
        }
        Ok(levels)
    }
}

#[cfg(test)]
mod tests;
