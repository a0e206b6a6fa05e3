//! What the loop counts as it goes.

use tradingsys::time::Span;

/// Upper bounds of the histogram of commits, in nanoseconds, and the same in seconds as text.
const BOUNDS: [(i64, &str); 13] = [
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (50_000_000, "0.05"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1"),
    (10_000_000_000, "10"),
];

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By the first bound they did not exceed; the last are beyond all.
    counts: [u64; BOUNDS.len() + 1],
    nanos: u64,
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, took: Span) {
        let beyond = |(bound, _): &&(i64, &str)| took.nanos() > *bound;
        let at = BOUNDS.iter().take_while(beyond).count();
        self.counts[at] += 1;
        self.nanos = self.nanos.saturating_add(took.nanos().unsigned_abs());
    }

    /// How many did not exceed each bound.
    pub(super) fn cumulated(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]).zip(sums)
    }

    /// How long all took together.
    pub(super) const fn nanos(&self) -> u64 {
        self.nanos
    }
}

/// What the loop counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meters {
    /// Inputs the gateway has taken.
    pub inputs: u64,
    /// From handing a batch to the journal until it was committed.
    pub commits: Histogram,
    /// Times the journal began to refuse.
    pub store_failures: u64,
    /// Batches that the journal's queue has not taken yet.
    pub batches_waiting: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_counted_at_every_bound_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for nanos in [25_000, 25_001, 2_000_000_000, 20_000_000_000] {
            histogram.add(Span::from_nanos(nanos));
        }
        let cumulated: Vec<_> = histogram.cumulated().collect();
        assert_eq!(cumulated[..2], [("0.000025", 1), ("0.00005", 2)]);
        assert_eq!(cumulated[11..], [("1", 2), ("10", 3), ("+Inf", 4)]);
        assert_eq!(histogram.nanos(), 22_000_050_001);
    }

    #[test]
    fn the_bounds_are_what_their_text_says() {
        for (nanos, text) in BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert!((seconds * 1e9 - nanos as f64).abs() < 0.5, "{text}");
        }
        assert!(BOUNDS.is_sorted());
    }
}
