//! The stream of what the wallet owes: how near it is to its end is told as it changes.
//!
//! Nothing hangs on it. What is owed is read with the account, so a stream that cannot be had is said once and tried
//! again; orders go on.

use std::collections::BTreeSet;

use binance_wire::futures::account::listen_key;
use binance_wire::futures::classify::is_unknown_listen_key;
use binance_wire::margin::{RiskEvent, event_name, risk_event};
use binance_wire::reply::{ApiError, Malformed};
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::{LinkInput, Outbox, VenueEvent};

use super::words::{Own, risk_key, risk_renewal};
use crate::common::Timing;
use crate::common::desk::Call;
use crate::common::private::{Need, Private};

/// How long a listen key lives without being renewed.
const KEY_LIFE: Span = Span::from_secs(3_600);

/// Most names that are told of.
const MOST_STRANGE: usize = 20;

/// The stream, with the key it needs.
#[derive(Debug)]
pub(super) struct Risk {
    stream: Private,
    /// Its absence has been told.
    told: bool,
    /// What was not understood and has been told.
    strange: BTreeSet<String>,
}

impl Risk {
    pub(super) fn new(base: &str, timing: Timing, seed: u64) -> Self {
        Self { stream: Private::new(base, timing, KEY_LIFE, seed), told: false, strange: BTreeSet::new() }
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.stream.owns(link)
    }

    /// What must be asked for now.
    pub(super) fn need(&mut self, now: Time) -> Option<(Own, Call)> {
        match self.stream.need(now)? {
            Need::Key => Some((Own::RiskKey, risk_key())),
            Need::Renewal => Some((Own::RiskRenewal, risk_renewal(self.stream.key()?))),
        }
    }

    pub(super) fn dial(&mut self, now: Time, number: impl FnOnce() -> LinkId, out: &mut Outbox) {
        self.stream.dial(now, number, out);
    }

    /// The answer to what was asked for.
    pub(super) fn answered(
        &mut self,
        now: Time,
        own: Own,
        result: Result<String, ApiError>,
        out: &mut Outbox,
    ) {
        let key = |text: String| {
            let unread = |error: Malformed| ApiError {
                status: 0,
                code: 0,
                message: error.to_string(),
                retry_after: None,
            };
            if own == Own::RiskKey { listen_key(&text).map_err(unread) } else { Ok(text) }
        };
        match (own, result.and_then(key)) {
            (Own::RiskKey, Ok(key)) => self.stream.keyed(now, key),
            (_, Ok(_)) => self.stream.renewed(now),
            (own, Err(error)) => {
                // Where the venue has forgotten the key, a new one is asked for.
                if own == Own::RiskRenewal && is_unknown_listen_key(error.code) {
                    self.stream.key_over("", out);
                } else {
                    self.stream.failed(now, error.to_string());
                }
                self.absent(&error.to_string(), out);
            }
        }
    }

    fn absent(&mut self, why: &str, out: &mut Outbox) {
        if !std::mem::replace(&mut self.told, true) {
            let words =
                format!("how near the margin account is to liquidation is not told as it changes: {why}");
            out.events.push(VenueEvent::Warning { event: "margin calls are off", words });
        }
    }

    /// Something happened on a connection.
    pub(super) fn heard(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        self.stream.heard(now, link);
        match input {
            LinkInput::Up => {
                self.stream.opened(now, link);
                self.told = false;
            }
            LinkInput::Down(why) => {
                if let Some(why) = self.stream.lost(now, link, why) {
                    self.absent(&why, out);
                }
            }
            LinkInput::Text(text) => self.event(text, out),
            LinkInput::Binary(_) | LinkInput::Alive | LinkInput::Response { .. } => {}
        }
    }

    fn event(&mut self, text: &str, out: &mut Outbox) {
        match risk_event(text) {
            Ok(RiskEvent::Level { level, status }) => {
                let advice = match status.as_str() {
                    "NORMAL" => ", out of danger",
                    _ => "; move money into the margin account, or reduce its positions",
                };
                let words = format!("the margin level is {level}: {status}{advice}");
                out.events.push(VenueEvent::Warning { event: "margin level", words });
            }
            Ok(RiskEvent::KeyExpired) => {
                if let Some(why) = self.stream.key_over("its listen key expired", out) {
                    self.absent(&why, out);
                }
            }
            // The answer to a question of ours has no name.
            Ok(RiskEvent::Other(name)) if name.is_empty() => {}
            Ok(RiskEvent::Liability) => {}
            Ok(RiskEvent::Other(name)) => self.strange(&name, "an event of this name is not known", out),
            Err(malformed) => {
                let name = event_name(text).unwrap_or_default();
                self.strange(&name, &malformed.to_string(), out);
            }
        }
    }

    /// Something was not understood, which is told once.
    fn strange(&mut self, name: &str, why: &str, out: &mut Outbox) {
        if self.strange.len() < MOST_STRANGE && self.strange.insert(name.to_owned()) {
            let words = format!(
                "an event \"{name}\" of the exchange's margin stream was not understood: {why}; look at the margin \
                 account there, for a margin call may be among them"
            );
            out.events.push(VenueEvent::Warning { event: "event not understood", words });
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.stream.deadline()
    }

    pub(super) fn timer(&mut self, now: Time, out: &mut Outbox) {
        if let Some(why) = self.stream.timer(now, out) {
            self.absent(&why, out);
        }
    }

    pub(super) fn stop(&mut self, out: &mut Outbox) {
        self.stream.stop(out);
    }
}
