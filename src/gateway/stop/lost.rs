//! Sessions that have said what shall become of their orders without them.
//!
//! ```text
//!   there ──connection gone, no beat in time, gateway restarted──▶ lost ──grace over──▶ its orders are cancelled
//!     ▲                                                             │                            │
//!     └────────────────── beats again, logs in again ◀──────────────┴────────────────────────────┘
//! ```
//!
//! A connection that the gateway itself closes, so that its session logs in again, tells nothing of the strategy: it
//! has at least the time that a login may take, whatever its grace.
//!
//! Only that session's orders, by their ids. The policy is kept beside the journal: after a restart the session is
//! lost from the start on, whoever is back first. A strategy that comes back within its grace finds all as it was. One
//! that hangs may send nothing while it counts as lost, unless it keeps its orders: it would act on what is long past.

use std::collections::BTreeMap;

use super::super::Gateway;
use super::super::door::LOGIN_WITHIN;
use super::super::io::LogLevel;
use super::{LostSession, Policy};
use crate::ids::{ClientOrderId, SessionId};
use crate::time::{Span, Time, earliest};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::request::{Login, OnLost};

/// Bounds of a heartbeat, in milliseconds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;
/// Longest grace, in milliseconds.
const GRACE_MS_MAX: u64 = 86_400_000;

/// How a session came to be without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Left {
    /// The connection is gone.
    Gone,
    /// The gateway has closed it: it shall log in again.
    SentAway,
}

#[derive(Debug)]
struct Beats {
    within: Span,
    /// `None` before the first: the loop has not begun to run.
    last: Option<Time>,
}

impl Beats {
    fn due(&self) -> Option<Time> {
        self.last.map(|last| last + self.within)
    }
}

#[derive(Debug)]
struct Gone {
    since: Time,
    why: String,
    /// When its orders are cancelled; `None`: they stay.
    cancel_at: Option<Time>,
    cancels: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lost {
    beats: BTreeMap<SessionId, Beats>,
    gone: BTreeMap<SessionId, Gone>,
    /// Those that were just left without a connection.
    left: Vec<(SessionId, Left)>,
}

impl Lost {
    pub(super) fn left(&mut self, session: SessionId, how: Left) {
        self.left.push((session, how));
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let late = self.beats.iter().filter(|(session, _)| !self.gone.contains_key(*session));
        let late = late.filter_map(|(_, beats)| beats.due()).min();
        let due = self.gone.values().filter(|gone| !gone.cancels).filter_map(|gone| gone.cancel_at).min();
        earliest(late, due)
    }

    /// Are orders of that session being cancelled?
    pub(super) fn cancels(&self, session: SessionId) -> bool {
        self.gone.get(&session).is_some_and(|gone| gone.cancels)
    }

    pub(super) fn is_cancelling(&self) -> bool {
        self.gone.values().any(|gone| gone.cancels)
    }

    pub(super) fn view(&self) -> Vec<LostSession> {
        let lost = |(session, gone): (&SessionId, &Gone)| LostSession {
            session: *session,
            since: gone.since,
            why: gone.why.clone(),
            cancels_at: gone.cancel_at,
        };
        self.gone.iter().map(lost).collect()
    }
}

fn millis(count: u64) -> Span {
    Span::from_millis(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What a login declares.
///
/// # Errors
/// What is wrong with it.
pub(in super::super) fn policy(login: &Login) -> Result<Policy, ErrorBody> {
    let bad = |message: String| Err(ErrorBody::new(ErrorCode::BadRequest, message));
    let cancels = login.on_lost == Some(OnLost::Cancel);
    if let Some(beat) = login.heartbeat_ms.filter(|beat| !HEARTBEAT_MS.contains(beat)) {
        let (least, most) = (HEARTBEAT_MS.start(), HEARTBEAT_MS.end());
        return bad(format!("heartbeat_ms {beat} is not {least} to {most}"));
    }
    match login.grace_ms {
        Some(grace) if grace > GRACE_MS_MAX => {
            return bad(format!("grace_ms {grace} is above {GRACE_MS_MAX}"));
        }
        Some(_) if !cancels => return bad("grace_ms goes with \"on_lost\":\"cancel\"".to_owned()),
        _ => {}
    }
    if cancels && !login.trading {
        return bad("\"on_lost\":\"cancel\" is for a session that trades".to_owned());
    }
    let cancel_after_ms = cancels.then(|| login.grace_ms.unwrap_or(0));
    Ok(Policy { heartbeat_ms: login.heartbeat_ms, cancel_after_ms })
}

impl Gateway {
    /// After a start: sessions whose orders are not to outlive them are not there yet.
    pub(super) fn expect_sessions(&mut self, now: Time) {
        let policies: Vec<SessionId> = self.stop.kept.policies.keys().copied().collect();
        for session in policies {
            self.session_lost(now, session, "the gateway was restarted".to_owned(), Span::ZERO);
        }
    }

    /// A session has logged in: it is there, and has declared that.
    pub(in super::super) fn declare(&mut self, session: SessionId, policy: Policy) {
        let back = self.stop.lost.gone.remove(&session);
        if let Some(gone) = back {
            let fields = format!("session={session} cancelled={}", gone.cancels);
            self.log(LogLevel::Info, "lost session is back", fields);
        }
        let policies = &mut self.stop.kept.policies;
        let before = match policy.cancel_after_ms {
            Some(_) => policies.insert(session, policy),
            None => policies.remove(&session),
        };
        if before != policy.cancel_after_ms.map(|_| policy) {
            self.stop.keep();
        }
        match policy.heartbeat_ms {
            Some(within) => {
                let beats = Beats { within: millis(within), last: None };
                self.stop.lost.beats.insert(session, beats);
            }
            None => drop(self.stop.lost.beats.remove(&session)),
        }
    }

    pub(in super::super) fn beat(&mut self, now: Time, session: SessionId) {
        let Some(beats) = self.stop.lost.beats.get_mut(&session) else { return };
        beats.last = Some(now);
        if let Some(gone) = self.stop.lost.gone.remove(&session) {
            let fields = format!("session={session} cancelled={}", gone.cancels);
            self.log(LogLevel::Info, "lost session is back", fields);
        }
    }

    /// Connections are gone. One that another took over is not missed.
    pub(super) fn take_leavers(&mut self, now: Time) {
        for (session, how) in std::mem::take(&mut self.stop.lost.left) {
            if self.sessions.get(&session).is_some_and(|seat| seat.owner.is_some()) {
                continue;
            }
            self.stop.lost.beats.remove(&session);
            if self.stop.kept.policies.contains_key(&session) && !self.stopping {
                let (why, at_least) = match how {
                    Left::Gone => ("its connection is gone", Span::ZERO),
                    Left::SentAway => ("it was told to log in again", LOGIN_WITHIN),
                };
                self.session_lost(now, session, why.to_owned(), at_least);
            }
        }
    }

    /// It has its grace, and `at_least` so long.
    fn session_lost(&mut self, now: Time, session: SessionId, why: String, at_least: Span) {
        let policy = self.stop.kept.policies.get(&session);
        let grace = policy.and_then(|policy| policy.cancel_after_ms);
        let grace = grace.map(|grace| millis(grace).max(at_least));
        if self.stop.lost.gone.contains_key(&session) {
            return;
        }
        let cancel_at = grace.map(|grace| now + grace);
        let fields = match grace {
            Some(grace) => format!("session={session} why={why:?} cancels_in={grace:?}"),
            None => format!("session={session} why={why:?} orders=\"stay\""),
        };
        self.log(LogLevel::Warn, "session is lost", fields);
        self.stop.lost.gone.insert(session, Gone { since: now, why, cancel_at, cancels: false });
    }

    /// A session that counts as lost may send nothing, unless it keeps its orders.
    pub(super) fn may_send_beating(&self, session: SessionId) -> Result<(), ErrorBody> {
        match self.stop.lost.gone.get(&session).filter(|gone| gone.cancel_at.is_some()) {
            None => Ok(()),
            Some(gone) => {
                let message = format!("session {session} counts as lost: {}; nothing was sent", gone.why);
                Err(ErrorBody::new(ErrorCode::NoHeartbeat, message))
            }
        }
    }

    pub(super) fn lost_timer(&mut self, now: Time) {
        let late = |beats: &Beats| beats.due().is_some_and(|at| at <= now);
        let late: Vec<(SessionId, Span)> = (self.stop.lost.beats.iter())
            .filter(|(session, beats)| late(beats) && !self.stop.lost.gone.contains_key(*session))
            .map(|(session, beats)| (*session, beats.within))
            .collect();
        for (session, within) in late {
            let why = format!("no beat for {} ms", within.millis());
            self.session_lost(now, session, why, Span::ZERO);
        }
        let due = |gone: &Gone| !gone.cancels && gone.cancel_at.is_some_and(|at| at <= now);
        let due: Vec<SessionId> =
            self.stop.lost.gone.iter().filter(|(_, gone)| due(gone)).map(|(session, _)| *session).collect();
        for session in due {
            self.cancel_lost(now, session);
        }
    }

    fn cancel_lost(&mut self, now: Time, session: SessionId) {
        let Some(gone) = self.stop.lost.gone.get_mut(&session) else { return };
        gone.cancels = true;
        let why = gone.why.clone();
        let ids: Vec<ClientOrderId> = self.orders.open_of(session).map(|order| order.id.clone()).collect();
        self.log(
            LogLevel::Warn,
            "orders of a lost session are cancelled",
            format!("session={session} count={} why={why:?}", ids.len()),
        );
        if ids.is_empty() {
            return;
        }
        let message = format!("{} open orders are cancelled: {why}", ids.len());
        self.notice_of(now, session, "lost", message, None);
        for id in ids {
            self.recall(now, &id);
        }
    }
}
