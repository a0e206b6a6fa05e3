//! When to dial: jittered exponential backoff under a hard bound.
//!
//! A failure doubles the wait (first about a second, at most half a minute); only a *proven* connection resets it, so a
//! venue that accepts and then closes is not stormed. Jitter comes from a seed: two gateways behind one address do not
//! dial in step, and a run can be replayed.

use std::collections::VecDeque;

use crate::time::{Span, Time};

/// A small deterministic source of jitter (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A length of time from zero up to `span`.
    pub fn up_to(&mut self, span: Span) -> Span {
        let bound = span.nanos().max(0) as u64 + 1;
        Span::from_nanos((self.next() % bound) as i64)
    }
}

/// Paces the dials of one machine, whatever number of links it has.
#[derive(Clone, Debug)]
pub struct Dialer {
    start: Span,
    cap: Span,
    failures: u32,
    promised: Time,
    jitter: Jitter,
    recent: VecDeque<Time>,
}

/// The venue allows 300 attempts in 5 minutes per address; a machine keeps to a fifth, so that feed, order entry and a
/// second gateway fit.
const DIALS: usize = 60;
const DIALS_WINDOW: Span = Span::from_secs(300);

/// See [`Dialer::hastened`].
const HASTE: Span = Span::from_secs(2);

impl Dialer {
    /// First wait `start`, longest wait `cap`.
    pub const fn new(start: Span, cap: Span, seed: u64) -> Self {
        Self {
            start,
            cap,
            failures: 0,
            promised: Time::from_nanos(0),
            jitter: Jitter::new(seed),
            recent: VecDeque::new(),
        }
    }

    /// When to dial after a connection failed or was lost at `now`. Links that fail together take turns.
    pub fn retry_at(&mut self, now: Time) -> Time {
        let base = (self.start * (1_i64 << self.failures.min(20))).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let quarter = Span::from_nanos(base.nanos() / 4);
        let wait = quarter * 3 + self.jitter.up_to(quarter);
        self.promised = self.not_before(now.max(self.promised) + wait);
        self.promised
    }

    /// When to dial instead of then, as the venue was reached on another connection: within two seconds, so that the
    /// links of many machines do not dial in step.
    pub fn hastened(&mut self, now: Time, until: Time) -> Time {
        let soon = now + self.jitter.up_to(HASTE);
        until.min(self.not_before(soon))
    }

    /// When to dial for another reason than a failure: at once, unless the bound is reached.
    pub fn soon(&self, now: Time) -> Time {
        self.not_before(now)
    }

    /// A dial was made.
    pub fn dialled(&mut self, now: Time) {
        if self.recent.len() >= DIALS {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// A connection did its work: the next failure starts from the shortest wait.
    pub fn proven(&mut self) {
        self.failures = 0;
        self.promised = Time::default();
    }

    /// Has nothing failed since a connection last did its work?
    pub const fn is_calm(&self) -> bool {
        self.failures == 0
    }

    /// A random length of time, for spreading planned reconnects.
    pub fn spread(&mut self, span: Span) -> Span {
        self.jitter.up_to(span)
    }

    fn not_before(&self, wanted: Time) -> Time {
        match self.recent.front() {
            Some(oldest) if self.recent.len() >= DIALS => wanted.max(*oldest + DIALS_WINDOW),
            _ => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r37_ten_minutes_of_refusals_are_at_most_thirty_dials() {
        for seed in 0..200 {
            let mut dialer = Dialer::new(Span::from_secs(1), Span::from_secs(30), seed);
            let (mut now, mut dials) = (Time::default(), 0);
            while now < Time::default() + Span::from_secs(600) {
                dialer.dialled(now);
                dials += 1;
                now = dialer.retry_at(now);
            }
            assert!((20..=30).contains(&dials), "seed {seed}: {dials}");
        }
    }

    #[test]
    fn r37_two_links_of_one_machine_take_turns() {
        let mut dialer = Dialer::new(Span::from_secs(1), Span::from_secs(30), 9);
        let (mut due, mut dials) = ([Time::default(); 2], 0);
        loop {
            let link = usize::from(due[1] < due[0]);
            let now = due[link];
            if now >= Time::default() + Span::from_secs(600) {
                break;
            }
            dialer.dialled(now);
            dials += 1;
            due[link] = dialer.retry_at(now);
        }
        assert!((20..=30).contains(&dials), "{dials}");
    }

    #[test]
    fn what_waits_is_hastened_when_the_venue_was_reached_and_the_bound_holds() {
        let (mut dialer, start) = (Dialer::new(Span::from_secs(1), Span::from_secs(30), 3), Time::default());
        for _ in 0..8 {
            dialer.retry_at(start);
        }
        let (now, far) = (start + Span::from_secs(100), start + Span::from_secs(130));
        assert!(dialer.hastened(now, far) <= now + HASTE);
        let soon = now + Span::from_nanos(1);
        assert_eq!(dialer.hastened(now, soon), soon.min(dialer.hastened(now, soon)), "never later");
        (0..DIALS).for_each(|_| dialer.dialled(now));
        let later = now + Span::from_secs(1_000);
        assert_eq!(dialer.hastened(now, later), now + DIALS_WINDOW);
    }

    #[test]
    fn accept_and_close_is_bounded_too() {
        let mut dialer = Dialer::new(Span::from_secs(1), Span::from_secs(30), 3);
        let (mut now, mut dials) = (Time::default(), 0);
        while now < Time::default() + Span::from_secs(300) {
            dialer.dialled(now);
            dialer.proven();
            dials += 1;
            now = dialer.retry_at(now);
        }
        assert_eq!(dials, DIALS);
    }
}
