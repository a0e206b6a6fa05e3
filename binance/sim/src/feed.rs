//! Where a market's book and trades come from: a synthetic market, or a recording.

use std::sync::Arc;

use tradingsys::exchange::{BestChange, BookChange, House, Rate, Synthetic, SyntheticConfig};
use tradingsys::instrument::Instrument;
use tradingsys::market::{Depth, Level, PublicTrade};
use tradingsys::num::Price;
use tradingsys::time::{Span, Time};

use crate::history::{History, mix};
use crate::listings::Spec;
use crate::recording::{Piece, Recording};

/// Where a market's book and trades come from.
#[derive(Debug)]
pub(crate) enum Feed {
    /// The house makes it.
    Synthetic(Box<Synthetic>),
    /// A recording is shown.
    Replay(Replay),
}

/// A recording under way.
#[derive(Debug)]
pub(crate) struct Replay {
    recording: Arc<Recording>,
    begun: Time,
    /// Recorded time passes so many times faster than time does.
    speed: i64,
    next: usize,
}

/// A market that has just begun.
pub(crate) struct Begun {
    pub(crate) feed: Feed,
    /// Where it trades.
    pub(crate) price: Price,
    /// Its past, if it has one.
    pub(crate) past: Option<History>,
}

impl Feed {
    /// Begins a synthetic market where its past ends; `swing` is how far it strays from there, if not as usual. Markets
    /// of one underlying have one past; `apart` makes them go their own ways from now on.
    pub(crate) fn synthetic(
        now: Time,
        spec: &'static Spec,
        (seed, apart): (u64, u64),
        (rate, swing): (u32, Option<Rate>),
        exchange: &mut impl House,
    ) -> Begun {
        let past = History::new(seed, spec.clone());
        let price = spec.price(past.ticks(now));
        let usual = SyntheticConfig::around(spec.symbol_name(), price);
        let swing = swing.unwrap_or(usual.swing);
        let shape = SyntheticConfig { steps_per_second: rate, swing, ..usual };
        let of_symbol = spec.symbol.bytes().fold(seed ^ apart, |hash, b| mix(hash ^ u64::from(b)));
        let mut house = Synthetic::new(shape, of_symbol);
        house.start(now, exchange);
        Begun { feed: Self::Synthetic(Box::new(house)), price, past: Some(past) }
    }

    /// Begins a replayed market with its snapshot.
    pub(crate) fn replay(
        now: Time,
        recording: Arc<Recording>,
        speed: i64,
        exchange: &mut impl House,
    ) -> Begun {
        let mut replay = Replay { recording, begun: now, speed: speed.max(1), next: 0 };
        let book = Depth { time: now, ..replay.recording.snapshot.clone() };
        let best = |levels: &[Level]| levels.first().map_or(Price::ZERO, |level| level.price);
        let price = best(&book.bids).max(best(&book.asks));
        if exchange.show_book(now, &replay.recording.symbol, &book).is_err() {
            // Off the grid of the listing: the market stays empty.
            replay.next = replay.recording.pieces.len();
        }
        Begun { feed: Self::Replay(replay), price, past: None }
    }

    /// When it changes next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Synthetic(house) => house.deadline(),
            Self::Replay(replay) => replay.deadline(),
        }
    }

    /// Makes changes that are due; the deadline says whether there are more.
    pub(crate) fn timer(&mut self, now: Time, exchange: &mut impl House) {
        match self {
            Self::Synthetic(house) => house.timer(now, exchange),
            Self::Replay(replay) => replay.timer(now, exchange),
        }
    }

    /// Moves a synthetic market to another price; false for a recorded one, which goes its own way.
    pub(crate) fn move_to(&mut self, now: Time, price: Price, exchange: &mut impl House) -> bool {
        match self {
            Self::Synthetic(house) => {
                house.move_to(now, price, exchange);
                true
            }
            Self::Replay(_) => false,
        }
    }

    /// A synthetic market goes along with a price it depends on; a recorded one goes its own way.
    pub(crate) fn follow(&mut self, price: Price, instrument: &Instrument) {
        if let Self::Synthetic(house) = self {
            house.follow(price, instrument);
        }
    }

    /// Prices beyond which a recorded book is unknown.
    pub(crate) fn range(&self) -> Option<(Price, Price)> {
        match self {
            Self::Synthetic(_) => None,
            Self::Replay(replay) => Some(replay.recording.range()),
        }
    }

    /// The first update id a recorded difference has, by its last one.
    pub(crate) fn recorded_first(&self, last: u64) -> Option<u64> {
        match self {
            Self::Synthetic(_) => None,
            Self::Replay(replay) => replay.recording.first_of(last),
        }
    }

    /// Are its books told at each of its changes, instead of every 100 ms?
    pub(crate) const fn tells_changes(&self) -> bool {
        matches!(self, Self::Replay(_))
    }
}

impl Replay {
    /// When something recorded at a time from its start is told.
    fn at(&self, span: Span) -> Time {
        self.begun + Span::from_nanos(span.nanos() / self.speed)
    }

    /// A time that counts from the start, as the time it is shown as.
    fn shown(&self, time: Time) -> Time {
        self.at(time - Time::default())
    }

    fn deadline(&self) -> Option<Time> {
        self.recording.pieces.get(self.next).map(|(span, _)| self.at(*span))
    }

    /// Tells one piece, so that what is made of the book after it is of this piece.
    fn timer(&mut self, now: Time, exchange: &mut impl House) {
        let recording = self.recording.clone();
        if let Some((span, piece)) = recording.pieces.get(self.next).filter(|(span, _)| self.at(*span) <= now)
        {
            self.next += 1;
            let at = self.at(*span);
            // The recording was found unbroken and its grid listed, so nothing of it is refused.
            let _ = match piece {
                Piece::Diff(change) => {
                    let change = BookChange { time: self.shown(change.time), ..change.clone() };
                    exchange.show_diff(at, &change)
                }
                Piece::Best(best) => exchange.show_best(at, &BestChange { time: at, ..best.clone() }),
                Piece::Trade(trade) => {
                    let trade = PublicTrade { time: self.shown(trade.time), ..trade.clone() };
                    exchange.show_trade(at, &recording.symbol, &trade)
                }
            };
        }
    }
}

/// A book without the levels outside a range.
pub(crate) fn within(mut depth: Depth, (lowest, highest): (Price, Price)) -> Depth {
    depth.bids.retain(|level| level.price >= lowest);
    depth.asks.retain(|level| level.price <= highest);
    depth
}
