//! How sessions share one rate budget: none can use up what another may need within the same window.
//!
//! A window's room is split evenly among those that may trade. What a session has not used of its part is kept back for
//! it from the others, less and less as the window goes by: at its beginning the whole part, at its end nothing. So a
//! session that floods gets its part at once and what the others leave over time, and one that wakes up late still
//! finds room. Orders share what orders may use, less what questions have used of it; cancels and amends share what is
//! kept for them alone, and beyond that are orders like others. What is within a session's own part is never refused,
//! and neither is the first request of one that has sent nothing yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::SessionId;
use crate::time::{Span, Time};

/// Those that may trade.
pub(super) type Sharers = BTreeSet<SessionId>;

/// What is shared: each has parts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pool {
    /// New orders.
    Orders,
    /// Cancels and amends.
    Cancels,
}

/// What is kept back for sessions in a window: of one that has sent nothing its whole part.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(BTreeMap<(Pool, SessionId), u64>);

/// A window at one moment, for one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of which pool.
    pub(super) kind: Pool,
    /// Its size: what is shared.
    pub(super) pool: u64,
    /// Most that requests of this kind may have taken.
    pub(super) most: u64,
    /// Taken by all, without this request.
    pub(super) taken: u64,
    /// What this request takes.
    pub(super) more: u64,
    /// When the window ends.
    pub(super) end: Time,
    /// Its length.
    pub(super) span: Span,
}

impl Room {
    /// What one of so many gets, and how much of it is still kept at this time.
    fn part(&self, now: Time, sharers: usize) -> (u64, u64) {
        let part = self.pool / (sharers as u64).max(1);
        let left = self.end.since(now).nanos().min(self.span.nanos());
        (part, scaled(part, left, self.span.nanos()))
    }
}

impl Shares {
    /// Another window began.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn kept(&self, kind: Pool, session: SessionId, most: u64) -> u64 {
        self.0.get(&(kind, session)).map_or(most, |kept| most.min(*kept))
    }

    /// A request of a session was sent: so much less is kept for it. Returns what goes beyond its part.
    pub(super) fn take(&mut self, now: Time, session: SessionId, sharers: &Sharers, room: Room) -> u64 {
        if !sharers.contains(&session) {
            return room.more;
        }
        let (_, in_time) = room.part(now, sharers.len());
        let kept = self.kept(room.kind, session, in_time);
        self.0.insert((room.kind, session), kept.saturating_sub(room.more));
        room.more.saturating_sub(kept)
    }

    /// Is what is kept for a session enough for its request, or has it sent nothing of the kind yet?
    pub(super) fn has(&self, now: Time, session: SessionId, sharers: &Sharers, room: Room) -> bool {
        let (_, in_time) = room.part(now, sharers.len());
        let first = !self.0.contains_key(&(room.kind, session));
        sharers.contains(&session) && (first || self.kept(room.kind, session, in_time) >= room.more)
    }

    /// Until when a request of the session has to wait, so that the others' parts are kept.
    pub(super) fn blocked_until(
        &self,
        now: Time,
        session: SessionId,
        sharers: &Sharers,
        room: Room,
    ) -> Option<Time> {
        if self.has(now, session, sharers, room) {
            return None;
        }
        let others = sharers.iter().filter(|other| **other != session);
        let count = others.clone().count() as u64;
        let (part, in_time) = room.part(now, count as usize + 1);
        if count == 0 || part == 0 {
            return None;
        }
        let kept: u64 = others.map(|other| self.kept(room.kind, *other, in_time)).sum();
        let taken = room.taken.saturating_add(room.more);
        if taken.saturating_add(kept) <= room.most {
            return None;
        }
        // By then no more is kept than there is room for, even if the others send nothing until then.
        let free = room.most.saturating_sub(taken);
        let then = scaled(u64::try_from(room.span.nanos()).unwrap_or_default(), free, part * count);
        let until = room.end - Span::from_nanos(i64::try_from(then).unwrap_or_default());
        Some(until.max(now + Span::from_millis(1)).min(room.end))
    }
}

/// `whole × part ÷ of`, cut off.
fn scaled(whole: u64, part: impl TryInto<u64>, of: impl TryInto<u64>) -> u64 {
    let (part, of) = (part.try_into().unwrap_or_default(), of.try_into().unwrap_or_default());
    u64::try_from(u128::from(whole) * u128::from(part) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span::from_secs(10);

    fn at(millis: i64) -> Time {
        Time::from_millis(10_000 + millis)
    }

    fn sessions(count: u16) -> BTreeSet<SessionId> {
        (1..=count).map(SessionId).collect()
    }

    /// A window of orders with a limit, in which all sessions ask as often as they like.
    struct Window {
        limit: u64,
        taken: u64,
        shares: Shares,
        sharers: BTreeSet<SessionId>,
    }

    impl Window {
        fn of(limit: u64, count: u16) -> Self {
            Self { limit, taken: 0, shares: Shares::default(), sharers: sessions(count) }
        }

        fn asks(&mut self, now: Time, session: u16) -> Result<(), Time> {
            if self.taken >= self.limit {
                return Err(at(10_000));
            }
            let (most, pool, taken, end) = (self.limit, self.limit, self.taken, at(10_000));
            let room = Room { kind: Pool::Orders, pool, most, taken, more: 1, end, span: SPAN };
            let session = SessionId(session);
            match self.shares.blocked_until(now, session, &self.sharers, room) {
                Some(until) => Err(until),
                None => {
                    self.taken += 1;
                    self.shares.take(now, session, &self.sharers, room);
                    Ok(())
                }
            }
        }
    }

    #[test]
    fn one_that_floods_gets_its_part_at_once_and_what_is_left_over_time() {
        let mut window = Window::of(90, 3);
        let sent = |window: &mut Window, now| (0..).take_while(|_| window.asks(now, 1).is_ok()).count();
        assert_eq!(sent(&mut window, at(0)), 30, "a third");
        assert_eq!(window.asks(at(5_000), 1), Ok(()), "half of the others' parts is free by now");
        assert_eq!(sent(&mut window, at(5_000)), 29);
        assert_eq!(window.asks(at(5_000), 2), Ok(()), "and half of them is kept");
        assert_eq!((1..15).filter(|_| window.asks(at(5_000), 2).is_ok()).count(), 14);
        assert!(window.asks(at(5_000), 2).is_err(), "the rest is the third one's");
        assert_eq!((0..15).filter(|_| window.asks(at(5_000), 3).is_ok()).count(), 15);
        assert_eq!(window.taken, 90);
    }

    #[test]
    fn the_time_to_try_again_is_one_at_which_it_passes() {
        for seed in 0..500 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut window = Window::of(rng.u64(1..200), rng.u16(1..6));
            let mut now = at(0);
            loop {
                now += Span::from_millis(rng.i64(1..400));
                if now >= at(10_000) {
                    break;
                }
                let session = rng.u16(1..=window.sharers.len() as u16);
                if let Err(until) = window.asks(now, session) {
                    assert!(until > now, "seed {seed}");
                    let free = window.taken < window.limit && until < at(10_000);
                    assert!(!free || window.asks(until, session).is_ok(), "seed {seed} {until:?}");
                    now = now.max(until.min(at(9_999)));
                }
            }
            assert!(window.taken <= window.limit, "seed {seed}");
        }
    }

    #[test]
    fn no_session_is_kept_from_its_part_by_any_flood_of_others() {
        for seed in 0..500 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let count = rng.u16(2..5);
            let mut window = Window::of(rng.u64(20..200), count);
            let begins = rng.i64(0..10_000);
            for millis in 0..begins {
                let _flood = window.asks(at(millis), rng.u16(2..=count));
            }
            let part = window.limit / u64::from(count);
            let left = part * (10_000 - begins as u64) / 10_000;
            let sent = (0..left).take_while(|_| window.asks(at(begins), 1).is_ok()).count() as u64;
            assert_eq!(sent, left, "seed {seed}: of {part}, from {begins} ms on");
        }
    }
}
