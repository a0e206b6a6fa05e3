//! What waits for one local client: private frames in order, and of market data only what still matters.
//!
//! Private frames go first and are never dropped. Of `depth`, `bbo` and open bars the newest is kept; closing bars
//! and public trades queue up to a bound, beyond which trades yield a counted gap.

use std::collections::VecDeque;

use bytes::Bytes;
use indexmap::IndexMap;

use crate::market::{Channel, Stream};

/// Private frames a client may have waiting before it is closed to resume later.
pub(super) const PRIVATE_MAX: usize = 10_000;
/// Public trades a client may have waiting on one stream before a gap is told.
pub(super) const TRADES_MAX: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Events missed while away: bounded by what a session's log keeps, not by how fast the client reads.
    replay: VecDeque<Bytes>,
    private: VecDeque<Bytes>,
    slots: IndexMap<Stream, Slot>,
    waiting: VecDeque<Stream>,
}

#[derive(Debug, Default)]
struct Slot {
    /// In order, all of them: closing bars, trades.
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

    /// Adds a market frame.
    pub(super) fn push_market(&mut self, stream: &Stream, frame: Bytes, thinning: Thinning) {
        let slot = self.slots.entry(stream.clone()).or_default();
        match thinning {
            Thinning::Newest => slot.newest = Some(frame),
            Thinning::Keep => {
                // A closing bar also replaces the open bar that waits.
                slot.newest = None;
                slot.kept.push_back(frame);
                if slot.kept.len() > TRADES_MAX && stream.channel == Channel::Trade {
                    slot.kept.pop_front();
                    slot.dropped += 1;
                }
            }
        }
        if !slot.listed {
            slot.listed = true;
            self.waiting.push_back(stream.clone());
        }
    }

    /// Forgets a stream.
    pub(super) fn forget(&mut self, stream: &Stream) {
        self.slots.swap_remove(stream);
        self.waiting.retain(|s| s != stream);
    }

    /// The next frame to send.
    pub(super) fn pull(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.replay.pop_front().or_else(|| self.private.pop_front()) {
            return Some(frame);
        }
        let stream = self.waiting.pop_front()?;
        let slot = self.slots.get_mut(&stream)?;
        let frame = if slot.dropped > 0 {
            let gap = format!(r#"{{"stream":"{stream}","gap":{}}}"#, std::mem::take(&mut slot.dropped));
            Some(Bytes::from(gap))
        } else {
            slot.kept.pop_front().or_else(|| slot.newest.take())
        };
        slot.listed = !slot.kept.is_empty() || slot.newest.is_some();
        if slot.listed {
            self.waiting.push_back(stream);
        }
        frame
    }

    /// Is nothing waiting?
    pub(super) fn is_empty(&self) -> bool {
        self.replay.is_empty() && self.private.is_empty() && self.waiting.is_empty()
    }
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
            .map(|f| String::from_utf8(f.to_vec()).unwrap())
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
    fn trades_beyond_the_bound_are_counted() {
        let mut queue = Queue::default();
        let trades = stream(Channel::Trade);
        for n in 0..TRADES_MAX + 5 {
            queue.push_market(&trades, Bytes::from(n.to_string()), Thinning::Keep);
        }
        let text = drain(&mut queue);
        assert!(text.starts_with(r#"{"stream":"btcusdt@trade","gap":5} 5 6 7"#), "{}", &text[..80]);
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
