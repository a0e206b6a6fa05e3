//! The engine's time line: the wall clock once, then the monotonic clock added to it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tradingsys::time::{Span, Time};

/// A steady clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Time,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: Time::from_nanos(nanos(since_epoch)), start: Instant::now() }
    }
    pub(crate) fn now(&self) -> Time {
        self.wall + Span::from_nanos(nanos(self.start.elapsed()))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A span as the standard library's duration; nothing if it is negative.
pub(crate) fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.nanos().max(0).unsigned_abs())
}
