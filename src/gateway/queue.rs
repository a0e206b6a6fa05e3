//! What waits for one local client: private frames in order, and of market data only what still matters.
//!
//! Private frames go first and are never dropped, nor are closing bars: a client that lets too many of either wait is
//! closed. Of `depth`, `bbo`, `mark` and open bars the newest is kept; public trades queue up to a bound, beyond which
//! they yield a counted gap. Of a `book` all changes are
//! kept up to a bound, beyond which the whole book is given when the client takes it. That a stream is stale is told in
//! its place among its data, and what it makes worthless is dropped.

use std::collections::VecDeque;

use bytes::Bytes;
use indexmap::IndexMap;

use crate::market::{Channel, Stream};

/// Private frames a client may have waiting before it is closed to resume later.
pub(super) const PRIVATE_MAX: usize = 10_000;
/// Closing bars a client may have waiting, over all its streams, before it is closed.
pub(super) const BARS_MAX: usize = 10_000;
/// Public trades a client may have waiting on one stream before a gap is told.
pub(super) const TRADES_MAX: usize = 1_000;
/// Changes of a book a client may have waiting before it gets the whole book instead.
pub(super) const CHANGES_MAX: usize = 100;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Events missed while away: bounded by what a session's log keeps, not by how fast the client reads.
    replay: VecDeque<Bytes>,
    private: VecDeque<Bytes>,
    slots: IndexMap<Stream, Slot>,
    waiting: VecDeque<Stream>,
    /// Closing bars that wait, and what has to stand among them.
    bars: usize,
    thinned: Thinned,
}

/// What clients were not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thinned {
    /// Views that a newer one replaced before they were read, and changes of a book that the whole replaced.
    pub conflated: u64,
    /// Public trades left out; the client was told how many.
    pub trades: u64,
    /// Clients that let too much wait, and were closed.
    pub too_slow: u64,
}

impl std::ops::AddAssign for Thinned {
    fn add_assign(&mut self, more: Self) {
        self.conflated += more.conflated;
        self.trades += more.trades;
        self.too_slow += more.too_slow;
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// The whole book goes first, as it is when it is given; changes until then are in it.
    whole: bool,
    /// In order, all of them: closing bars, trades, changes of a book.
    kept: VecDeque<Bytes>,
    /// Trades left out since the last one given.
    dropped: u64,
    /// The newest of what replaces itself.
    newest: Option<Bytes>,
    listed: bool,
}

/// How a market frame may be thinned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinning {
    /// A newer one replaces it.
    Newest,
    /// It must arrive.
    Keep,
    /// It must arrive, unless the whole book goes in its stead.
    Change,
}

/// What a client gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A frame.
    Frame(Bytes),
    /// The whole book of this stream as it is now.
    Book(Stream),
}

impl Queue {
    /// Adds a frame that goes before all others: the reply to a login, and what was missed.
    pub(super) fn push_replay(&mut self, frame: Bytes) {
        self.replay.push_back(frame);
    }

    /// Adds a private frame. False: over the bound, the client is too slow.
    pub(super) fn push_private(&mut self, frame: Bytes) -> bool {
        self.private.push_back(frame);
        self.private.len() <= PRIVATE_MAX
    }

    /// Adds a market frame. False: over the bound, the client is too slow.
    pub(super) fn push_market(&mut self, stream: &Stream, frame: Bytes, thinning: Thinning) -> bool {
        let slot = self.slots.entry(stream.clone()).or_default();
        match thinning {
            Thinning::Newest => self.thinned.conflated += u64::from(slot.newest.replace(frame).is_some()),
            Thinning::Keep => {
                // A closing bar also replaces the open bar that waits.
                slot.newest = None;
                slot.kept.push_back(frame);
                self.bars += usize::from(is_bars(stream));
                if slot.kept.len() > TRADES_MAX && stream.channel == Channel::Trade {
                    slot.kept.pop_front();
                    slot.dropped += 1;
                    self.thinned.trades += 1;
                }
            }
            Thinning::Change if slot.whole => {}
            Thinning::Change => {
                slot.kept.push_back(frame);
                if slot.kept.len() > CHANGES_MAX {
                    self.thinned.conflated += slot.kept.len() as u64;
                    self.push_book(stream);
                    return true;
                }
            }
        }
        self.list(stream);
        self.bars <= BARS_MAX
    }

    /// The whole book is due: all that waits of its stream is in it.
    pub(super) fn push_book(&mut self, stream: &Stream) {
        let slot = self.slots.entry(stream.clone()).or_default();
        *slot = Slot { whole: true, listed: slot.listed, ..Slot::default() };
        self.list(stream);
    }

    /// Says that what the client has of a stream is old. Trades and closing bars before it still count. False: over the
    /// bound, the client is too slow.
    pub(super) fn push_stale(&mut self, stream: &Stream, frame: Bytes) -> bool {
        match stream.channel {
            Channel::Trade | Channel::Kline(_) => self.push_market(stream, frame, Thinning::Keep),
            _ => {
                let slot = self.slots.entry(stream.clone()).or_default();
                *slot = Slot { newest: Some(frame), listed: slot.listed, ..Slot::default() };
                self.list(stream);
                true
            }
        }
    }

    fn list(&mut self, stream: &Stream) {
        if let Some(slot) = self.slots.get_mut(stream).filter(|slot| !slot.listed) {
            slot.listed = true;
            self.waiting.push_back(stream.clone());
        }
    }

    /// Forgets a stream.
    pub(super) fn forget(&mut self, stream: &Stream) {
        let slot = self.slots.swap_remove(stream);
        if is_bars(stream) {
            self.bars -= slot.map_or(0, |slot| slot.kept.len());
        }
        self.waiting.retain(|s| s != stream);
    }

    /// The next to send.
    pub(super) fn pull(&mut self) -> Option<Next> {
        if let Some(frame) = self.replay.pop_front().or_else(|| self.private.pop_front()) {
            return Some(Next::Frame(frame));
        }
        let stream = self.waiting.pop_front()?;
        let slot = self.slots.get_mut(&stream)?;
        let next = if std::mem::take(&mut slot.whole) {
            Some(Next::Book(stream.clone()))
        } else if slot.dropped > 0 {
            let gap = format!(r#"{{"stream":"{stream}","gap":{}}}"#, std::mem::take(&mut slot.dropped));
            Some(Next::Frame(Bytes::from(gap)))
        } else {
            let kept = slot.kept.pop_front();
            self.bars -= usize::from(kept.is_some() && is_bars(&stream));
            kept.or_else(|| slot.newest.take()).map(Next::Frame)
        };
        slot.listed = !slot.kept.is_empty() || slot.newest.is_some();
        if slot.listed {
            self.waiting.push_back(stream);
        }
        next
    }

    /// Forgets all that waits: the client is too slow for it.
    pub(super) fn give_up(&mut self) {
        let thinned = Thinned { too_slow: self.thinned.too_slow + 1, ..self.thinned };
        *self = Self { thinned, ..Self::default() };
    }

    /// What the client was not given.
    pub(super) const fn thinned(&self) -> Thinned {
        self.thinned
    }

    /// How many frames wait: private ones, and of market data.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let market =
            |slot: &Slot| slot.kept.len() + usize::from(slot.newest.is_some()) + usize::from(slot.whole);
        (self.replay.len() + self.private.len(), self.slots.values().map(market).sum())
    }

    /// Is nothing waiting?
    pub(super) fn is_empty(&self) -> bool {
        self.replay.is_empty() && self.private.is_empty() && self.waiting.is_empty()
    }
}

fn is_bars(stream: &Stream) -> bool {
    matches!(stream.channel, Channel::Kline(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Symbol;
    use crate::market::Interval;

    fn stream(channel: Channel) -> Stream {
        Stream { symbol: Symbol::new("btcusdt"), channel }
    }

    fn drain(queue: &mut Queue) -> String {
        std::iter::from_fn(|| queue.pull())
            .map(|next| match next {
                Next::Frame(frame) => String::from_utf8(frame.to_vec()).unwrap(),
                Next::Book(stream) => format!("whole {stream}"),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn private_frames_go_first_and_depth_is_conflated() {
        let mut queue = Queue::default();
        let (depth, bbo) = (stream(Channel::Depth), stream(Channel::Bbo));
        for n in 0..3 {
            queue.push_market(&depth, Bytes::from(format!("d{n}")), Thinning::Newest);
            queue.push_market(&bbo, Bytes::from(format!("b{n}")), Thinning::Newest);
            queue.push_private(Bytes::from(format!("p{n}")));
        }
        assert_eq!(queue.lengths(), (3, 2));
        assert_eq!(queue.thinned(), Thinned { conflated: 4, ..Thinned::default() });
        assert_eq!(drain(&mut queue), "p0 p1 p2 d2 b2");
        assert!(queue.is_empty());
    }

    #[test]
    fn closing_bars_are_never_dropped() {
        let mut queue = Queue::default();
        let bars = stream(Channel::Kline(Interval::M1));
        for (frame, thinning) in [
            ("o1", Thinning::Newest),
            ("c1", Thinning::Keep),
            ("o2", Thinning::Newest),
            ("c2", Thinning::Keep),
        ] {
            queue.push_market(&bars, Bytes::from(frame), thinning);
        }
        queue.push_market(&bars, Bytes::from("o3"), Thinning::Newest);
        assert_eq!(drain(&mut queue), "c1 c2 o3");
    }

    #[test]
    fn r32_closing_bars_wait_up_to_a_bound_over_all_streams() {
        let mut queue = Queue::default();
        let streams = [Interval::M1, Interval::M5].map(|interval| stream(Channel::Kline(interval)));
        let push = |queue: &mut Queue, n: usize| {
            queue.push_market(&streams[n % 2], Bytes::from_static(b"c"), Thinning::Keep)
        };
        assert!((0..BARS_MAX).all(|n| push(&mut queue, n)));
        assert!(!push(&mut queue, 0) && !queue.push_stale(&streams[1], Bytes::from_static(b"stale")));
        // What was read, or is not wanted any more, makes room.
        assert!(queue.pull().is_some() && queue.pull().is_some());
        assert!(!push(&mut queue, 1));
        queue.forget(&streams[0]);
        assert!((0..BARS_MAX / 2 - 2).all(|_| push(&mut queue, 1)));
        drain(&mut queue);
        assert!(queue.is_empty() && queue.bars == 0);
    }

    #[test]
    fn trades_beyond_the_bound_are_counted() {
        let mut queue = Queue::default();
        let trades = stream(Channel::Trade);
        for n in 0..TRADES_MAX + 5 {
            queue.push_market(&trades, Bytes::from(n.to_string()), Thinning::Keep);
        }
        assert_eq!(queue.lengths(), (0, TRADES_MAX));
        assert_eq!(queue.thinned(), Thinned { trades: 5, ..Thinned::default() });
        let text = drain(&mut queue);
        assert!(text.starts_with(r#"{"stream":"btcusdt@trade","gap":5} 5 6 7"#), "{}", &text[..80]);
    }

    #[test]
    fn changes_of_a_book_beyond_the_bound_become_the_whole_book() {
        let mut queue = Queue::default();
        let book = stream(Channel::Book);
        queue.push_book(&book);
        queue.push_market(&book, Bytes::from_static(b"in it"), Thinning::Change);
        assert_eq!(drain(&mut queue), "whole btcusdt@book");
        for n in 0..CHANGES_MAX {
            queue.push_market(&book, Bytes::from(n.to_string()), Thinning::Change);
        }
        assert!(drain(&mut queue).ends_with("98 99"));
        for n in 0..=CHANGES_MAX {
            queue.push_market(&book, Bytes::from(n.to_string()), Thinning::Change);
        }
        assert_eq!(drain(&mut queue), "whole btcusdt@book");
        assert!(queue.is_empty());
    }

    #[test]
    fn stale_takes_the_place_of_what_it_makes_worthless() {
        let mut queue = Queue::default();
        let streams = [Channel::Book, Channel::Depth, Channel::Trade].map(stream);
        queue.push_book(&streams[0]);
        queue.push_market(&streams[1], Bytes::from_static(b"view"), Thinning::Newest);
        queue.push_market(&streams[2], Bytes::from_static(b"trade"), Thinning::Keep);
        for one in &streams {
            queue.push_stale(one, Bytes::from(format!("stale {}", one.channel)));
        }
        assert_eq!(drain(&mut queue), "stale book stale depth trade stale trade");
        queue.push_stale(&streams[0], Bytes::from_static(b"stale"));
        queue.push_book(&streams[0]);
        assert_eq!(drain(&mut queue), "whole btcusdt@book");
    }

    #[test]
    fn r32_a_client_that_does_not_read_is_found_out() {
        let mut queue = Queue::default();
        for _ in 0..PRIVATE_MAX {
            assert!(queue.push_private(Bytes::from_static(b"x")));
        }
        assert!(!queue.push_private(Bytes::from_static(b"x")));
    }
}
