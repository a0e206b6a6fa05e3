//! How long to wait before the next attempt: doubling, capped, jittered.

use crate::time::Span;

/// Waits that double from `least` to `most`, each shortened by a random part of up to half of it.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Span,
    most: Span,
    attempt: u32,
    seed: u64,
}

impl Backoff {
    /// With these bounds; the seed alone decides the jitter.
    pub fn new(least: Span, most: Span, seed: u64) -> Self {
        Self { least, most, attempt: 0, seed }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Span {
        let doubled = self.least * (1_i64 << self.attempt.min(20));
        let whole = doubled.min(self.most).nanos();
        self.attempt = self.attempt.saturating_add(1);
        let half = (whole / 2).max(1);
        let part = i64::try_from(self.random() % half.unsigned_abs()).unwrap_or(0);
        Span::from_nanos(whole - part)
    }

    /// An attempt succeeded: the next wait is the shortest again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// splitmix64: a step and a mix; good enough to keep many clients from knocking in step.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
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
