//! The stop: the kill switch, pauses, and what becomes of the orders of a session that is lost.
//!
//! ```text
//!          file, signal, operator                      all own orders gone       the exchange lists none, twice
//!   Open ─────────────────────────▶ Killed: recalling ─────────────────────▶ quiet ────────────────────▶ confirmed
//!    ▲                                  ▲       └── one turns up ◀─────────────┴──────────────────────────┘
//!    └───── cleared, from anywhere      └── a restart comes back here: the switch is a file, not a record
//! ```
//!
//! While it is killed nothing new is sent for anyone and nothing is amended; every open order of a session is
//! cancelled by its id, whatever is known of it, until the exchange itself has said that it is gone.
//!
//! * `recall` cancels and repeats it, by whichever way is open; `look` asks the exchange what is still open.
//! * `flatten` sells what sessions hold, if that was asked for.
//! * `lost` watches over sessions that have said what shall become of their orders without them.
//! * `crashes` pauses a gateway at its start that has crashed too often.
//!
//! Nothing of the first two hangs on the journal, the books, the limits or a client: orders are taken from memory, and
//! what a restart must not forget goes to the shell in one word ([`Output::Keep`]); nothing waits for its answer.

pub mod crashes;
mod flatten;
mod look;
mod lost;
mod recall;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::flatten::Flattening;
use self::look::Look;
use self::lost::Lost;
pub(super) use self::lost::{Left, policy};
use self::recall::Recalls;
use super::Gateway;
use super::io::{LogLevel, Output};
use crate::ids::{ClientOrderId, SessionId, Symbol};
use crate::limits::Asked;
use crate::order::exposure::Exposure;
use crate::order::state::Order;
use crate::time::{Time, earliest};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::Stopped;

/// Who pauses, where nobody did.
pub(super) const BY_ITSELF: &str = "the gateway";

/// The kill switch is on, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kill {
    /// Who or what pulled it.
    pub by: String,
    /// Their words.
    pub reason: String,
    /// Are positions of sessions to be closed once their orders are gone?
    pub flatten: bool,
    /// Since when; the beginning of time if that is not known.
    pub since: Time,
}

/// Trading is paused, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pause {
    /// Who paused it.
    pub by: String,
    /// Their words.
    pub reason: String,
    /// Since when.
    pub since: Time,
}

/// What a session has said shall become of it when it is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// It counts as lost without a beat for so many milliseconds.
    pub heartbeat_ms: Option<u64>,
    /// Its orders are cancelled so many milliseconds after that; `None`: they stay.
    pub cancel_after_ms: Option<u64>,
}

/// What a restart must not forget. The kill switch is a file of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The kill switch, if it is on.
    #[serde(skip)]
    pub kill: Option<Kill>,
    /// All trading is paused.
    pub paused_all: Option<Pause>,
    /// That of these sessions is.
    pub paused: BTreeMap<SessionId, Pause>,
    /// What sessions have declared at their last login, where it is more than to keep everything.
    pub policies: BTreeMap<SessionId, Policy>,
    /// How often the switch was pulled in this run by another way than its file: one that was pulled again is not
    /// cleared by the removal of what stood for the pull before.
    #[serde(skip)]
    pub pulls: u64,
    /// The newest change of the switch's file that was known when this was said: what did not know of it does not undo
    /// it.
    #[serde(skip)]
    pub changes: u64,
}

/// An order that may still be open at the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveOrder {
    /// Its id.
    pub order_id: ClientOrderId,
    /// Whose.
    pub session: Option<SessionId>,
    /// Of which symbol.
    pub symbol: Symbol,
    /// What came of the last attempt to cancel it.
    pub last: String,
}

/// A position that is being closed, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closing {
    /// Whose.
    pub session: SessionId,
    /// Of which symbol.
    pub symbol: Symbol,
    /// What is left of it.
    pub net: crate::num::Qty,
    /// What came of the last attempt.
    pub last: String,
}

/// A session that counts as lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostSession {
    /// Which.
    pub session: SessionId,
    /// Since when.
    pub since: Time,
    /// How.
    pub why: String,
    /// When its orders are or were cancelled; `None`: they stay.
    pub cancels_at: Option<Time>,
}

/// How the stop stands, for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopView {
    /// The kill switch, if it is on.
    pub killed: Option<Kill>,
    /// Pauses: of all, and of sessions.
    pub paused_all: Option<Pause>,
    /// See `paused_all`.
    pub paused: BTreeMap<SessionId, Pause>,
    /// Would a restart remember all of that? If not, why not: it holds while the gateway runs, and is tried again.
    pub not_kept: Option<String>,
    /// Orders that were to be cancelled and may still be open at the exchange.
    pub live: Vec<LiveOrder>,
    /// Since when the exchange lists none of our orders, asked twice; of a kill switch that is on.
    pub confirmed: Option<Time>,
    /// Open orders of the account that are nobody's here, when the exchange was asked last: they are left alone.
    pub others: usize,
    /// Positions that are being closed.
    pub closing: Vec<Closing>,
    /// Sessions that count as lost.
    pub lost: Vec<LostSession>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Keeping {
    Done,
    Due,
    Writing,
    Failed(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) kept: Kept,
    keeping: Keeping,
    /// Number of what was last given to be kept.
    given: u64,
    recalls: Recalls,
    look: Look,
    flattening: Flattening,
    lost: Lost,
}

impl Stop {
    pub(super) fn new(kept: Kept) -> Self {
        Self {
            kept,
            keeping: Keeping::Done,
            given: 0,
            recalls: Recalls::default(),
            look: Look::default(),
            flattening: Flattening::default(),
            lost: Lost::default(),
        }
    }

    pub(super) fn is_killed(&self) -> bool {
        self.kept.kill.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let looks = if self.is_killed() { self.look.deadline() } else { None };
        let flattens = if self.is_killed() { self.flattening.deadline() } else { None };
        earliest(earliest(self.recalls.deadline(), looks), earliest(flattens, self.lost.deadline()))
    }

    /// Is a cancel of that order under way?
    pub(super) fn is_recalling(&self, id: &ClientOrderId) -> bool {
        self.recalls.is_flying(id)
    }

    /// The session has no owner any more.
    pub(super) fn session_left(&mut self, session: SessionId, how: Left) {
        self.lost.left(session, how);
    }

    /// The exchange has refused an order for want of capacity alone.
    pub(super) fn closing_may_pass(&mut self, id: &ClientOrderId) {
        self.flattening.may_pass(id);
    }

    fn keep(&mut self) {
        self.keeping = Keeping::Due;
    }
}

impl Gateway {
    /// What the last run left: the switch may be on, and sessions with a policy are not there yet.
    pub(super) fn stop_begin(&mut self, now: Time) {
        self.expect_sessions(now);
        if let Some(kill) = &self.stop.kept.kill {
            let fields = format!("by={:?} reason={:?} flatten={}", kill.by, kill.reason, kill.flatten);
            self.log(LogLevel::Error, "the kill switch is on", fields);
            self.stop.look.begin(now);
        }
        self.pause_after_crashes(now);
    }

    /// Pulls the kill switch, not by its file.
    pub(super) fn kill(&mut self, now: Time, kill: Kill) {
        // Also where it is on: its file may be gone already, and nobody here knows yet.
        self.stop.kept.pulls += 1;
        self.stop.keep();
        self.killed(now, kill);
    }

    /// The switch's file was made, or says something else.
    pub(super) fn kill_file(&mut self, now: Time, kill: Kill, change: u64) {
        self.stop.kept.changes = change;
        self.killed(now, kill);
    }

    /// The switch's file was removed; it stood for so many pulls.
    pub(super) fn kill_file_gone(&mut self, by: &str, change: u64, pulls: u64) {
        self.stop.kept.changes = change;
        if pulls < self.stop.kept.pulls {
            let advice = "the switch was pulled again at that moment, and stays on; clear it once more";
            self.log(LogLevel::Warn, "the removal came too early", format!("by={by:?} advice={advice:?}"));
            return;
        }
        self.clear(by);
    }

    /// The kill switch is on. Pulled again it may only add that positions are to be closed.
    fn killed(&mut self, now: Time, kill: Kill) {
        let since = if kill.since == Time::default() { now } else { kill.since };
        match &mut self.stop.kept.kill {
            Some(known) if !kill.flatten || known.flatten => return,
            Some(known) => known.flatten = true,
            None => self.stop.kept.kill = Some(Kill { since, ..kill.clone() }),
        }
        let fields = format!("by={:?} reason={:?} flatten={}", kill.by, kill.reason, kill.flatten);
        self.log(LogLevel::Error, "the kill switch is on", fields);
        self.stop.keep();
        self.stop.look.begin(now);
        self.tell_state();
    }

    /// Clears the kill switch. False: it was not on. Cancels that are under way are finished.
    pub(super) fn clear(&mut self, by: &str) -> bool {
        if self.stop.kept.kill.take().is_none() {
            return false;
        }
        self.log(LogLevel::Warn, "the kill switch is cleared", format!("by={by:?}"));
        self.stop.look = Look::default();
        self.stop.flattening.end();
        self.stop.keep();
        self.tell_state();
        true
    }

    /// Pauses a session's trading, or (`None`) all trading: nothing is taken that could do more than reduce.
    pub(super) fn pause(&mut self, now: Time, whom: Option<SessionId>, by: &str, reason: &str) {
        let pause = Pause { by: by.to_owned(), reason: reason.to_owned(), since: now };
        let fields = format!("session={} by={by:?} reason={reason:?}", whom_word(whom));
        match whom {
            Some(session) => drop(self.stop.kept.paused.insert(session, pause)),
            None => self.stop.kept.paused_all = Some(pause),
        }
        self.log(LogLevel::Warn, "trading is paused", fields);
        self.stop.keep();
        self.tell_state();
    }

    /// Resumes a session's trading, or (`None`) ends the pause of all; pauses of single sessions stay then. False: it
    /// was not paused.
    pub(super) fn resume(&mut self, whom: Option<SessionId>, by: &str) -> bool {
        let was = match whom {
            Some(session) => self.stop.kept.paused.remove(&session).is_some(),
            None => self.stop.kept.paused_all.take().is_some(),
        };
        if was {
            let fields = format!("session={} by={by:?}", whom_word(whom));
            self.log(LogLevel::Warn, "trading is resumed", fields);
            self.stop.keep();
            self.tell_state();
        }
        was
    }

    /// How the stop stands.
    pub fn stop_view(&self) -> StopView {
        let kept = &self.stop.kept;
        let not_kept = match &self.stop.keeping {
            Keeping::Done => None,
            Keeping::Due | Keeping::Writing => Some("it is being written".to_owned()),
            Keeping::Failed(reason) => Some(reason.clone()),
        };
        StopView {
            killed: kept.kill.clone(),
            paused_all: kept.paused_all.clone(),
            paused: kept.paused.clone(),
            not_kept,
            live: self.live_orders(),
            confirmed: self.stop.look.confirmed(),
            others: self.stop.look.others(),
            closing: self.closing(),
            lost: self.stop.lost.view(),
        }
    }

    /// Is something being cancelled that must not wait for the journal?
    pub fn is_stopping_orders(&self) -> bool {
        self.stop.is_killed() || !self.stop.recalls.is_empty()
    }

    /// The shell has kept what it was given, or could not.
    pub(super) fn kept(&mut self, number: u64, result: Result<(), String>) {
        if number != self.stop.given {
            // Something newer is on its way.
            return;
        }
        match result {
            Ok(()) => self.stop.keeping = Keeping::Done,
            Err(reason) => {
                let advice = "it holds while the gateway runs; a restart may forget it";
                self.log(
                    LogLevel::Error,
                    "the stop could not be kept",
                    format!("reason={reason:?} advice={advice:?}"),
                );
                self.stop.keeping = Keeping::Failed(reason);
            }
        }
    }

    /// What stops a session from opening anything.
    pub(super) fn stopped(&self, session: SessionId) -> Option<Stopped> {
        let kept = &self.stop.kept;
        if kept.kill.is_some() {
            return Some(Stopped::Killed);
        }
        (kept.paused_all.is_some() || kept.paused.contains_key(&session)).then_some(Stopped::Paused)
    }

    /// May the session send or amend anything at all?
    pub(super) fn may_send(&self, session: SessionId) -> Result<(), ErrorBody> {
        if let Some(kill) = &self.stop.kept.kill {
            let Kill { by, reason, .. } = kill;
            let colon = if reason.is_empty() { "" } else { ": " };
            let message = format!(
                "the kill switch is on (by {by}{colon}{reason}); nothing was sent. To clear it: {}",
                self.config.clear_advice
            );
            return Err(ErrorBody::new(ErrorCode::Killed, message));
        }
        self.may_send_beating(session)
    }

    /// While trading is paused only what reduces passes.
    pub(super) fn judge_pause(
        &self,
        session: SessionId,
        asked: &Asked<'_>,
        replaced: Exposure,
    ) -> Result<(), ErrorBody> {
        let kept = &self.stop.kept;
        let (pause, whose) = match (&kept.paused_all, kept.paused.get(&session)) {
            (Some(pause), _) => (pause, "all trading".to_owned()),
            (None, Some(pause)) => (pause, format!("trading of session {session}")),
            (None, None) => return Ok(()),
        };
        if self.only_reduces(session, asked, replaced) {
            return Ok(());
        }
        let Pause { by, reason, .. } = pause;
        let colon = if reason.is_empty() { "" } else { ": " };
        let message = format!(
            "{whose} is paused (by {by}{colon}{reason}): cancels pass, and orders that only reduce the session's \
             position; nothing was sent"
        );
        Err(ErrorBody::new(ErrorCode::Paused, message))
    }

    pub(super) fn stop_timer(&mut self, now: Time) {
        self.lost_timer(now);
    }

    /// After every input: takes up what is to be cancelled, and does what is due.
    pub(super) fn stop_settle(&mut self, now: Time) {
        self.take_leavers(now);
        if self.stop.is_killed() || self.stop.lost.is_cancelling() {
            self.recall_open(now);
        }
        self.recall_due(now);
        if self.stop.is_killed() && !self.stopping {
            self.look_due(now);
            self.flatten_due(now);
        }
        if self.stop.keeping == Keeping::Due {
            self.stop.keeping = Keeping::Writing;
            self.stop.given += 1;
            self.out.push(Output::Keep(self.stop.given, self.stop.kept.clone()));
        }
    }

    /// Open orders of sessions that have to go.
    fn recall_open(&mut self, now: Time) {
        let all = self.stop.is_killed();
        let stop = &self.stop;
        let wanted = |order: &&Order| {
            let session = order.session.filter(|_| !flatten::is_closing(&order.id));
            let goes = session.is_some_and(|session| all || stop.lost.cancels(session));
            goes && !stop.recalls.holds(&order.id)
        };
        let ids: Vec<ClientOrderId> =
            self.orders.open().filter(wanted).map(|order| order.id.clone()).collect();
        for id in ids {
            self.recall(now, &id);
        }
    }
}

fn whom_word(whom: Option<SessionId>) -> String {
    whom.map_or_else(|| "all".to_owned(), |session| session.to_string())
}
