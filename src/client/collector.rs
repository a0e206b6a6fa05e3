//! When a strategy's runtime collects its garbage: between callbacks, when nothing waits to be read.
//!
//! Python collects in the middle of whatever allocates, and a full collection walks through every object there is: with
//! a large heap that is a pause of many milliseconds before an order. Here the loop asks after each turn whether a
//! collection is due. Young ones are short and need a moment without data; a full one also needs that such collections
//! take no more than a thousandth of the time. Only garbage without bounds is collected while data waits.

use crate::time::{Span, Time};

/// A full collection comes at most this often.
const FULL_AFTER: Span = Span::from_secs(10);
/// It comes only after so many times what the last one took.
const FULL_SHARE: i64 = 1_000;
/// So many times what is due is collected though data waits.
const BUSY: u64 = 64;
/// The number of a full collection among Python's generations.
const FULL: u8 = 2;

/// What is known of the collections so far.
#[derive(Clone, Copy, Debug)]
pub struct Collector {
    full_at: Time,
    full_took: Span,
}

impl Collector {
    /// From a full collection on that was just done.
    #[must_use]
    pub fn new(began: Time, ended: Time) -> Self {
        Self { full_at: ended, full_took: ended - began }
    }

    /// The generation to collect now, with those below it. `counts` are what has piled up in each: objects, then
    /// collections of the generation below; above `thresholds` one is due. A threshold of 0 means that none ever is.
    #[must_use]
    pub fn due(&self, now: Time, counts: [u64; 3], thresholds: [u64; 3], idle: bool) -> Option<u8> {
        let patience = if idle { 1 } else { BUSY };
        if thresholds[0] == 0 || counts[0] <= thresholds[0].saturating_mul(patience) {
            return None;
        }
        if counts[1] <= thresholds[1] {
            return Some(0);
        }
        let full = idle && counts[2] > thresholds[2] && self.has_rested(now);
        Some(if full { FULL } else { 1 })
    }

    /// Is the last full collection long enough ago for the next?
    #[must_use]
    pub fn has_rested(&self, now: Time) -> bool {
        let wait = FULL_AFTER.max(Span::from_nanos(self.full_took.nanos().saturating_mul(FULL_SHARE)));
        now - self.full_at >= wait
    }

    /// A collection was done.
    pub fn collected(&mut self, generation: u8, began: Time, ended: Time) {
        if generation == FULL {
            *self = Self::new(began, ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHONS: [u64; 3] = [700, 10, 10];

    fn at(seconds: i64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn started() -> Collector {
        Collector::new(at(0), at(0) + Span::from_millis(2))
    }

    #[test]
    fn nothing_is_collected_before_it_is_due() {
        assert_eq!(started().due(at(60), [700, 11, 11], PYTHONS, true), None);
        assert_eq!(started().due(at(60), [701, 0, 0], PYTHONS, true), Some(0));
        assert_eq!(started().due(at(60), [701, 10, 11], PYTHONS, true), Some(0));
        assert_eq!(started().due(at(60), [701, 11, 10], PYTHONS, true), Some(1));
        assert_eq!(started().due(at(60), [701, 11, 11], PYTHONS, true), Some(FULL));
    }

    #[test]
    fn while_data_waits_only_what_has_no_bounds_is_collected_and_never_all() {
        assert_eq!(started().due(at(60), [44_800, 11, 11], PYTHONS, false), None);
        assert_eq!(started().due(at(60), [44_801, 0, 0], PYTHONS, false), Some(0));
        assert_eq!(started().due(at(60), [44_801, 11, 11], PYTHONS, false), Some(1));
    }

    #[test]
    fn full_collections_take_a_thousandth_of_the_time() {
        let mut collector = started();
        let due = |collector: &Collector, now| collector.due(now, [701, 11, 11], PYTHONS, true);
        assert_eq!(due(&collector, at(9)), Some(1), "not every ten seconds");
        assert_eq!(due(&collector, at(11)), Some(FULL));
        collector.collected(1, at(11), at(12));
        assert_eq!(due(&collector, at(12)), Some(FULL), "only a full one counts");
        collector.collected(FULL, at(12), at(12) + Span::from_millis(50));
        assert_eq!(due(&collector, at(62)), Some(1));
        assert_eq!(due(&collector, at(63)), Some(FULL));
    }

    #[test]
    fn a_threshold_of_nothing_means_never() {
        assert_eq!(started().due(at(60), [1_000_000, 11, 11], [0, 10, 10], true), None);
    }
}
