//! What became of lines, since the process began.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lines that found the queue full.
pub(crate) static DROPPED: Counter = Counter(AtomicU64::new(0));

/// Lines that the log's file did not take.
pub(crate) static LOST: Counter = Counter(AtomicU64::new(0));

/// Writes and openings of the log's file that failed.
pub(crate) static FAILURES: Counter = Counter(AtomicU64::new(0));

/// What became of lines, since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Lines that found the queue to the log's thread full.
    pub dropped: u64,
    /// Lines that the log's file did not take.
    pub lost: u64,
    /// Writes and openings of the log's file that failed.
    pub failures: u64,
}

/// The counts of this moment.
pub fn counts() -> Counts {
    Counts { dropped: DROPPED.get(), lost: LOST.get(), failures: FAILURES.get() }
}
