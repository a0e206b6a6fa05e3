//! The operator: whoever proves his token sees everything, owns nothing, and changes what no strategy may.
//!
//! His connection is no session. It has no events and no cursor, and what it asks is answered from what the gateway
//! knows at that moment, also where that has yet to reach the disk: a disk that fails must not hide what is open.
//!
//! What he stops is stopped by `stop`.
//!
//! * `view` says how everything stands; `bounds` shows limits and what is used of them, and sets others.

mod bounds;
mod view;

use super::Gateway;
use super::io::LogLevel;
use super::stop::Kill;
use crate::ids::ConnId;
use crate::journal::LimitsRecord;
use crate::time::Time;
use crate::venue::port::VenueEvent;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::operator::{ClockView, LinkView, Operate, Operating};
use crate::wire::proof;
use crate::wire::request::Call;

/// Characters kept of his name, and of his words: they are written into files, told to sessions and logged.
const NAME_MAX: usize = 40;
const REASON_MAX: usize = 200;

/// What the operator is told that nothing else keeps, and what he has set.
#[derive(Debug)]
pub(super) struct Operator {
    feed: LinkView,
    entry: LinkView,
    clock: Option<ClockView>,
    /// The limits he set last.
    limits: Option<LimitsRecord>,
}

impl Operator {
    pub(super) fn new(now: Time) -> Self {
        let down = || LinkView { up: false, since: now, reason: "not connected yet".to_owned() };
        Self { feed: down(), entry: down(), clock: None, limits: None }
    }

    /// Takes in what he set in an earlier run.
    pub(super) fn fold(&mut self, record: &LimitsRecord) {
        self.limits = Some(record.clone());
    }

    /// Notes how the links and the clock stand.
    pub(super) fn saw(&mut self, now: Time, event: &VenueEvent) {
        match event {
            VenueEvent::FeedUp => turned(&mut self.feed, now, None),
            VenueEvent::FeedDown(reason) => turned(&mut self.feed, now, Some(reason)),
            VenueEvent::EntryUp => turned(&mut self.entry, now, None),
            VenueEvent::EntryDown(reason) => turned(&mut self.entry, now, Some(reason)),
            VenueEvent::Clock { offset_nanos, round_trip } => {
                let round_trip_ns = round_trip.nanos();
                self.clock = Some(ClockView { offset_ns: *offset_nanos, round_trip_ns, measured: now });
            }
            _ => {}
        }
    }
}

/// The beginning of somebody's words. What is stopped in a hurry must not fail because they are too many.
fn clipped(words: &str, most: usize) -> String {
    words.chars().take(most).collect()
}

/// A link came up, or went down for this reason. One that stays down is told of again and again.
fn turned(link: &mut LinkView, now: Time, reason: Option<&str>) {
    let up = reason.is_none();
    if link.up != up {
        (link.up, link.since) = (up, now);
    }
    reason.unwrap_or_default().clone_into(&mut link.reason);
}

impl Gateway {
    /// Is that the operator's proof?
    pub(super) fn is_operator(&self, client_nonce: &str, gateway_nonce: &str, shown: &str) -> bool {
        let token = self.config.operator_token.as_deref();
        token.is_some_and(|token| proof::is_operator(token, client_nonce, gateway_nonce, shown))
    }

    /// He is in, by that name.
    pub(super) fn operate(&mut self, now: Time, conn: ConnId, id: u64, operate: &Operate) -> String {
        let name = clipped(&operate.name, NAME_MAX);
        self.log(LogLevel::Info, "operator connected", format!("conn={} name={name:?}", conn.0));
        let reply =
            Operating { install: self.config.install.as_str().to_owned(), epoch: self.epoch, time: now };
        self.reply(conn, id, &reply);
        name
    }

    fn stop_or_go(&mut self, now: Time, by: &str, call: &Call) {
        let by = format!("operator {by:?}");
        match call {
            Call::Kill(kill) => {
                let (reason, flatten) = (clipped(&kill.reason, REASON_MAX), kill.flatten);
                self.kill(now, Kill { by, reason, flatten, since: now });
            }
            Call::Clear(_) => drop(self.clear(&by)),
            Call::Pause(pause) => {
                self.pause(now, pause.session_id, &by, &clipped(&pause.reason, REASON_MAX));
            }
            Call::Resume(of) => drop(self.resume(of.session_id, &by)),
            _ => {}
        }
    }

    /// What the operator of that name asks.
    pub(super) fn operator_call(&mut self, now: Time, conn: ConnId, name: &str, id: u64, call: &Call) {
        match call {
            Call::Status(_) => self.reply(conn, id, &self.status(now)),
            Call::Sessions(_) => self.reply(conn, id, &self.all_sessions()),
            Call::AllOrders(of) => self.reply(conn, id, &self.all_orders(of.session_id)),
            Call::AllPositions(of) => self.reply(conn, id, &self.holdings(of.session_id)),
            Call::Limits(_) => self.reply(conn, id, &self.limits_view(now)),
            Call::SetLimits(set) => match self.set_limits(now, name, set) {
                Ok(()) => self.reply_when_committed(conn, id, &self.limits_view(now)),
                Err(error) => self.fail(conn, Some(id), error),
            },
            Call::Kill(_) | Call::Clear(_) | Call::Pause(_) | Call::Resume(_) => {
                self.stop_or_go(now, name, call);
                self.reply(conn, id, &self.stop_told());
            }
            Call::Time(_) => self.reply(conn, id, &serde_json::json!({ "time": now })),
            other => {
                let message = format!("{} is of a session, and an operator has none", other.method());
                self.fail(conn, Some(id), ErrorBody::new(ErrorCode::NoSession, message));
            }
        }
    }
}
