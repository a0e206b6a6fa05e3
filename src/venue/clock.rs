//! How far the venue's clock is ahead of ours.
//!
//! Each sample asks the venue for its time and halves the round trip. The sample with the shortest round trip is the
//! best one: its error is at most half of it. A sample that contradicts the best one beyond both errors means that a
//! clock was stepped, and replaces all others.

use std::collections::VecDeque;

use crate::time::{Span, Time};

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// When its answer came, on our clock.
    pub at: Time,
    /// Venue time less our time, in nanoseconds.
    pub offset_nanos: i64,
    /// Round trip it was measured with.
    pub round_trip: Span,
}

impl ClockSample {
    /// The offset is at most this wrong.
    pub fn uncertainty(&self) -> Span {
        Span::from_nanos(self.round_trip.nanos() / 2)
    }
}

/// The estimator.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset {
    samples: VecDeque<ClockSample>,
    distrusted: bool,
}

const KEPT: usize = 8;
/// Venues round, and drift between two samples is not nothing.
const GRACE: Span = Span::from_millis(50);

impl ClockOffset {
    /// Asked at `sent`, answered at `received` with the time `venue`. Returns the best sample now.
    pub fn learn(&mut self, sent: Time, received: Time, venue: Time) -> ClockSample {
        let round_trip = received.since(sent);
        let middle = sent + Span::from_nanos(round_trip.nanos() / 2);
        let offset_nanos = (venue - middle).nanos();
        let sample = ClockSample { at: received, offset_nanos, round_trip };
        if self.distrusted || self.best().is_some_and(|best| contradict(&best, &sample)) {
            self.samples.clear();
            self.distrusted = false;
        }
        if self.samples.len() >= KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.best().unwrap_or(sample)
    }

    /// The best sample.
    pub fn best(&self) -> Option<ClockSample> {
        self.samples.iter().copied().min_by_key(|sample| sample.round_trip)
    }

    /// The venue has just shown that the estimate is wrong: it counts as off until the next sample, which replaces it.
    pub fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// The venue's time at our `now`; our own while nothing is known.
    pub fn venue_time(&self, now: Time) -> Time {
        now + Span::from_nanos(self.best().map_or(0, |best| best.offset_nanos))
    }

    /// Our time at the venue's `then`.
    pub fn own_time(&self, then: Time) -> Time {
        then - Span::from_nanos(self.best().map_or(0, |best| best.offset_nanos))
    }

    /// How far off the clocks are, or may be, when that is more than `tolerance`.
    pub fn off(&self, tolerance: Span) -> Option<Span> {
        let best = self.best()?;
        let offset = Span::from_nanos(best.offset_nanos.saturating_abs());
        let worst = offset.max(best.uncertainty());
        (self.distrusted || worst > tolerance).then_some(worst)
    }
}

fn contradict(a: &ClockSample, b: &ClockSample) -> bool {
    let apart = Span::from_nanos(a.offset_nanos.saturating_sub(b.offset_nanos).saturating_abs());
    apart > a.uncertainty() + b.uncertainty() + GRACE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn r38_the_shortest_round_trip_wins() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.venue_time(at(5)), at(5));
        clock.learn(at(0), at(400), at(500));
        clock.learn(at(1_000), at(1_010), at(1_105));
        clock.learn(at(2_000), at(2_300), at(2_390));
        assert_eq!(clock.best().unwrap().offset_nanos, 100_000_000);
        assert_eq!(clock.venue_time(at(3_000)), at(3_100));
        assert_eq!(clock.own_time(at(3_100)), at(3_000));
        assert_eq!(clock.off(Span::from_millis(500)), None);
        assert_eq!(clock.off(Span::from_millis(99)), Some(Span::from_millis(100)));
    }

    #[test]
    fn r38_a_stepped_clock_replaces_what_was_known() {
        let mut clock = ClockOffset::default();
        clock.learn(at(0), at(10), at(5));
        assert_eq!(clock.off(Span::from_millis(500)), None);
        clock.learn(at(1_000), at(1_200), at(4_100));
        assert_eq!(clock.off(Span::from_millis(500)), Some(Span::from_secs(3)));
    }

    #[test]
    fn r38_a_refused_timestamp_discredits_all_samples() {
        let mut clock = ClockOffset::default();
        clock.learn(at(0), at(10), at(105));
        clock.distrust();
        assert_eq!(clock.off(Span::from_millis(500)), Some(Span::from_millis(100)));
        clock.learn(at(1_000), at(1_100), at(1_110));
        assert_eq!((clock.off(Span::from_millis(500)), clock.venue_time(at(0))), (None, at(60)));
    }

    #[test]
    fn r38_a_slow_answer_is_as_bad_as_an_offset() {
        let mut clock = ClockOffset::default();
        clock.learn(at(0), at(1_200), at(600));
        assert_eq!(clock.off(Span::from_millis(500)), Some(Span::from_millis(600)));
    }
}
