//! A gateway that crashes soon after its start, again and again: it comes back paused, until somebody has looked.
//!
//! The shell counts its runs, in a file of its own; here is what the count means.
//!
//! ```text
//!   run begins: one more ──lives for `FAST`, or ends in order──▶ none
//!                        ├─is refused (configuration, key)─────▶ as before it
//!                        └─is gone──────────────────────────────▶ one more; at `pause_after` the next one is paused
//! ```

use super::super::Gateway;
use super::super::io::LogLevel;
use super::BY_ITSELF;
use crate::time::{Span, Time};

/// A run that ended sooner than this after its door was open, and not in order, is a fast crash.
pub const FAST: Span = Span::from_secs(10);

/// Fast crashes before this run, and what to do about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crashes {
    /// So many in a row, the last run's the last.
    pub in_a_row: u32,
    /// From so many on the gateway starts paused; 0: never.
    pub pause_after: u32,
}

/// How a run has ended that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It was told to.
    InOrder,
    /// It may not run: configuration, key, files, account.
    Refused,
    /// Something broke that should not.
    Broken,
}

impl Crashes {
    /// What counts while the run is under way, and where it is gone without a word.
    pub const fn with_this_run(self) -> u32 {
        self.in_a_row.saturating_add(1)
    }

    /// What counts after a run that did not live for [`FAST`].
    pub const fn after(self, end: RunEnd) -> u32 {
        match end {
            RunEnd::InOrder => 0,
            RunEnd::Refused => self.in_a_row,
            RunEnd::Broken => self.with_this_run(),
        }
    }

    const fn are_too_many(self) -> bool {
        self.pause_after > 0 && self.in_a_row >= self.pause_after
    }
}

impl Gateway {
    /// Begins paused, if the runs before this one crashed too often. Everything else goes on as ever.
    pub(super) fn pause_after_crashes(&mut self, now: Time) {
        let crashes = self.config.crashes;
        if !crashes.are_too_many() {
            return;
        }
        let times = crashes.in_a_row;
        let often = if times == 1 { "once".to_owned() } else { format!("{times} times") };
        let reason = format!(
            "crashed {often} within {} s of its start: look into the log, then `pyalgo resume`",
            FAST.millis() / 1_000
        );
        self.log(LogLevel::Error, "the gateway crashed again and again", format!("times={times}"));
        self.pause(now, None, BY_ITSELF, &reason);
    }
}
