//! The steady clock: the wall clock is read once, monotonic time is added. A stepped wall clock neither fires
//! nor starves a deadline.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tradingsys::time::Time;

/// The process's time line.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall_nanos: i64,
}

impl Clock {
    /// Begins now.
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), wall_nanos: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX) }
    }
    /// The present time.
    pub fn now(&self) -> Time {
        let elapsed = i64::try_from(self.start.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Time::from_nanos(self.wall_nanos.saturating_add(elapsed))
    }
    /// That time as the system's monotonic instant; now, if it has passed.
    pub fn instant(&self, at: Time) -> Instant {
        let after = u64::try_from(at.nanos() - self.wall_nanos).unwrap_or(0);
        self.start + Duration::from_nanos(after)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
