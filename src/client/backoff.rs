//! How long to wait before the next attempt: doubling, capped, jittered.

use crate::time::Span;
use crate::venue::dial::Jitter;

/// Waits that double from `least` to `most`, each shortened by a random part of up to half of it.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Span,
    most: Span,
    attempt: u32,
    jitter: Jitter,
}

impl Backoff {
    /// With these bounds; the seed alone decides the jitter.
    pub fn new(least: Span, most: Span, seed: u64) -> Self {
        Self { least, most, attempt: 0, jitter: Jitter::new(seed) }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Span {
        let doubled = self.least * (1_i64 << self.attempt.min(20));
        let whole = doubled.min(self.most).nanos();
        self.attempt = self.attempt.saturating_add(1);
        let less_than_half = Span::from_nanos((whole / 2 - 1).max(0));
        Span::from_nanos(whole - self.jitter.up_to(less_than_half).nanos())
    }

    /// An attempt succeeded: the next wait is the shortest again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_cap_and_differ_between_clients() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut backoff = Backoff::new(Span::from_millis(100), Span::from_secs(5), seed);
            for attempt in 0..100 {
                let whole = Span::from_millis((100_i64 << attempt.min(20)).min(5000));
                let wait = backoff.next_wait();
                assert!(
                    wait <= whole && wait.nanos() > whole.nanos() / 2 - 1,
                    "seed {seed} attempt {attempt}: {wait:?}"
                );
                if attempt == 3 {
                    firsts.insert(wait.nanos());
                }
            }
            backoff.reset();
            assert!(backoff.next_wait() <= Span::from_millis(100));
        }
        assert!(firsts.len() > 45, "the jitter hardly differs: {}", firsts.len());
    }
}
