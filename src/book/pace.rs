//! How long a stream may be silent, judged by its own rate.
//!
//! A socket can stay alive while its data has stopped (reliability.md R30). What silence means depends on the stream:
//! a lively book changes every 100 ms, a quiet one every minute. So the longest recent gap is remembered, fades slowly,
//! and a silence several times as long is suspicious.

use crate::time::{Span, Time};

/// Gaps after which a stream's own rate counts as known.
const KNOWN: u32 = 8;
/// A silence this many times the longest recent gap is too long.
const TIMES: i64 = 4;
/// One part in this many of the longest gap fades with every further one.
const FADE: i64 = 256;
/// Longest silence that is ever waited for once the rate is known.
const CAP: Span = Span::from_secs(120);

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct Pace {
    least: Span,
    patience: Span,
    longest: Span,
    gaps: u32,
    heard: Time,
}

impl Pace {
    /// Starts at `now`. A silence shorter than `least` is never too long; before the rate is known `patience` holds.
    pub const fn new(now: Time, least: Span, patience: Span) -> Self {
        Self { least, patience, longest: Span::ZERO, gaps: 0, heard: now }
    }

    /// Data came.
    pub fn heard(&mut self, now: Time) {
        let faded = Span::from_nanos(self.longest.nanos() - self.longest.nanos() / FADE);
        self.longest = faded.max(now.since(self.heard));
        self.gaps = self.gaps.saturating_add(1);
        self.heard = now;
    }

    /// The silence up to `now` turned out to be harmless: the market is quiet.
    pub fn excused(&mut self, now: Time) {
        self.longest = self.longest.max(now.since(self.heard));
        self.gaps = self.gaps.max(KNOWN);
    }

    /// The stream begins anew at `now`; what is known of its rate stays.
    pub fn begin(&mut self, now: Time) {
        self.heard = now;
    }

    /// How long it has been silent.
    pub fn age(&self, now: Time) -> Span {
        now.since(self.heard)
    }

    /// When its silence will have become too long.
    pub fn deadline(&self) -> Time {
        let limit = if self.gaps < KNOWN { self.patience } else { (self.longest * TIMES).min(CAP) };
        self.heard + limit.max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Span = Span::from_millis(1_500);

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn r30_a_stream_is_judged_by_its_own_rate() {
        let mut fast = Pace::new(at(0), LEAST, Span::from_secs(10));
        assert_eq!(fast.deadline(), at(10_000), "nothing known yet");
        for n in 1..=20 {
            fast.heard(at(n * 100));
        }
        assert_eq!(fast.deadline(), at(2_000 + 1_500), "never below the least");
        let mut slow = Pace::new(at(0), LEAST, Span::from_secs(10));
        for n in 1..=20 {
            slow.heard(at(n * 1_000));
        }
        assert_eq!(slow.deadline(), at(20_000 + 4_000));
    }

    #[test]
    fn a_long_gap_is_forgotten_in_time_and_a_harmless_silence_is_learnt() {
        let mut pace = Pace::new(at(0), LEAST, Span::from_secs(10));
        pace.heard(at(5_000));
        for n in 1..=2_000 {
            pace.heard(at(5_000 + n * 100));
        }
        assert_eq!(pace.deadline(), at(205_000 + 1_500));
        pace.excused(at(207_000));
        assert_eq!(pace.deadline(), at(205_000 + 8_000));
        pace.excused(at(405_000));
        assert_eq!(pace.deadline(), at(205_000) + CAP);
    }
}
