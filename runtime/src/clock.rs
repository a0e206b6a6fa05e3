//! The steady clock: the wall clock is read once, steady time is added. A stepped wall clock neither fires
//! nor starves a deadline.
//!
//! Steady time goes on while the machine sleeps: otherwise the gateway would be behind the exchange for ever after, and
//! every order refused. The library's `Instant`, and every timer of the event loop, stand still meanwhile; they are
//! asked only for how long to wait from now on, never for what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tradingsys::time::{Span, Time};

/// Linux's monotonic clock stands still while the machine sleeps, this one does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEADY: ClockId = ClockId::Boottime;
/// Elsewhere, macOS among them, it goes on.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEADY: ClockId = ClockId::Monotonic;

/// The process's time line.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    steady: fn() -> i64,
    start: i64,
    wall: Time,
}

impl Clock {
    /// Begins now.
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Time::from_nanos(i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX));
        Self { steady, start: steady(), wall }
    }
    /// The present time.
    pub fn now(&self) -> Time {
        self.wall + Span::from_nanos((self.steady)().saturating_sub(self.start))
    }
    /// When a timer of the event loop is to fire for that time: now, if it has passed. One that was set before the
    /// machine slept fires so much later.
    pub fn instant(&self, at: Time) -> Instant {
        Instant::now() + Duration::from_nanos(at.since(self.now()).nanos().unsigned_abs())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Nanoseconds since some fixed moment.
fn steady() -> i64 {
    let time = clock_gettime(STEADY);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// How long the loop stood still, if it did: between two turns there are at most [`Standstill::LOOK_EVERY`] and what
/// one turn takes, unless the machine slept or the process was stopped.
#[derive(Clone, Copy, Debug)]
pub struct Standstill(Time);

impl Standstill {
    /// A timer fires that much later than it should at most, counted from the end of a sleep.
    pub const LOOK_EVERY: Span = Span::from_secs(1);
    /// More than this between two turns is told.
    const LIMIT: Span = Span::from_secs(2);

    /// The loop begins.
    pub const fn new(now: Time) -> Self {
        Self(now)
    }
    /// The loop turns.
    pub fn turn(&mut self, now: Time) -> Option<Span> {
        let stood = now.since(std::mem::replace(&mut self.0, now));
        (stood > Self::LIMIT).then_some(stood)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static SLEPT: Cell<i64> = const { Cell::new(0) };
    }

    /// As the machine's own, had it slept so long.
    fn after_a_sleep() -> i64 {
        steady() + SLEPT.get()
    }

    const NIGHT: Span = Span::from_secs(8 * 3_600);

    #[test]
    fn r63_time_goes_on_while_the_machine_sleeps() {
        let clock = Clock { steady: after_a_sleep, ..Clock::new() };
        let (before, due) = (clock.now(), clock.now() + Span::from_secs(60));
        let waits = |at: Time| clock.instant(at).saturating_duration_since(Instant::now());
        assert!(waits(due) <= Duration::from_secs(60) && waits(due + NIGHT) > Duration::from_secs(8 * 3_600));
        SLEPT.set(NIGHT.nanos());
        assert!(clock.now() >= before + NIGHT);
        // The event loop's own clock has not moved: what is due is due now, and what is not is so much nearer.
        assert_eq!(waits(due), Duration::ZERO);
        assert!(waits(due + NIGHT) <= Duration::from_secs(60));
    }

    /// On a machine that has never slept all clocks agree, so which one is read is all that can be seen.
    #[cfg(target_os = "linux")]
    #[test]
    fn r63_the_clock_is_the_one_that_counts_sleep() {
        assert_eq!(STEADY, ClockId::Boottime);
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let read = clock_gettime(STEADY);
        assert!(read.tv_sec as f64 + 1.0 >= seconds, "{seconds} s up, {read:?}");
    }

    #[test]
    fn r63_a_standstill_is_what_lies_between_two_turns() {
        let at = Time::from_millis;
        let mut standstill = Standstill::new(at(0));
        assert_eq!(standstill.turn(at(2_000)), None);
        assert_eq!(standstill.turn(at(4_001)), Some(Span::from_millis(2_001)));
        assert_eq!(standstill.turn(at(4_002)), None);
    }
}
