//! Silence on a link: ask first, then give up.
//!
//! A half-open connection never says that it is dead; only silence does. Venues ping every 20 s; a link that stayed
//! silent for half the limit is asked something, one silent for the whole limit is dead.

use crate::time::{Span, Time};

/// What the silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// All is well.
    Fine,
    /// Ask something cheap now (said once per silence).
    Ask,
    /// Nothing came for too long: the link is dead.
    Dead,
}

/// Watches one link.
#[derive(Clone, Debug)]
pub struct SilenceWatch {
    limit: Span,
    heard: Time,
    asked: bool,
}

impl SilenceWatch {
    /// Starts watching; `limit` is the longest silence allowed.
    pub const fn new(now: Time, limit: Span) -> Self {
        Self { limit, heard: now, asked: false }
    }

    /// Something arrived.
    pub fn heard(&mut self, now: Time) {
        self.heard = now;
        self.asked = false;
    }

    /// What to do at `now`.
    pub fn check(&mut self, now: Time) -> Silence {
        if now >= self.heard + self.limit {
            return Silence::Dead;
        }
        if !self.asked && now >= self.heard + self.half() {
            self.asked = true;
            return Silence::Ask;
        }
        Silence::Fine
    }

    /// When to check next.
    pub fn deadline(&self) -> Time {
        self.heard + if self.asked { self.limit } else { self.half() }
    }

    fn half(&self) -> Span {
        Span::from_nanos(self.limit.nanos() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r36_silence_is_asked_about_once_and_then_deadly() {
        let at = Time::from_millis;
        let mut watch = SilenceWatch::new(at(0), Span::from_secs(25));
        assert_eq!((watch.check(at(12_499)), watch.deadline()), (Silence::Fine, at(12_500)));
        assert_eq!((watch.check(at(12_500)), watch.deadline()), (Silence::Ask, at(25_000)));
        assert_eq!(watch.check(at(24_999)), Silence::Fine);
        watch.heard(at(24_999));
        assert_eq!(watch.check(at(25_000)), Silence::Fine);
        assert_eq!(watch.check(at(49_999)), Silence::Dead);
    }
}
