//! What the exchange itself shows to be open, while the kill switch is on. It is asked at once, for orders that nobody
//! here knows, and after all known ones are gone, until it has shown none of ours twice, a query lag apart.

use super::super::Gateway;
use super::super::fact::Source;
use crate::ids::{ClientOrderId, IdKind, IdParts};
use crate::time::{Span, Time};
use crate::venue::port::{NotSent, OrderReport, Urgent, UrgentReply, Way};

/// Between two tries whether a way is open.
const WAY_AGAIN: Span = Span::from_millis(250);
/// Longest pause between them: what a look costs of the rate budget is not there for cancels.
const PAUSE_MAX: Span = Span::from_secs(5);
/// An answer that takes longer is not waited for.
const WITHIN: Span = Span::from_secs(3);
/// Looks without one of ours that are proof enough.
const CLEAN: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// When the next one is due.
    at: Option<Time>,
    /// The question under way: its number, of conditional orders?, when it was asked.
    asked: Option<(u64, bool, Time)>,
    /// When the look under way began.
    begun: Time,
    /// What it has found so far: ours, and others'.
    ours: usize,
    theirs: usize,
    /// Ways tried in vain.
    tries: u32,
    /// Pause after the next one in vain; zero after an answer.
    pause: Span,
    clean: u32,
    /// When the last order was gone.
    quiet: Time,
    confirmed: Option<Time>,
    others: usize,
}

impl Look {
    pub(super) fn begin(&mut self, now: Time) {
        *self = Self { at: Some(now), quiet: now, ..Self::default() };
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.asked.map(|(.., sent)| sent + WITHIN).or(self.at)
    }

    /// An order turned up: what was seen before says nothing.
    pub(super) fn doubted(&mut self, now: Time) {
        (self.clean, self.confirmed) = (0, None);
        if self.at.is_none() && self.asked.is_none() {
            self.at = Some(now);
        }
    }

    /// An order is gone: only a look from here on can confirm that.
    pub(super) fn quiet_since(&mut self, now: Time) {
        self.quiet = now;
    }

    /// When to try again after a look in vain.
    fn again(&mut self, now: Time) -> Time {
        self.tries += 1;
        self.pause = (self.pause + self.pause).clamp(WAY_AGAIN, PAUSE_MAX);
        now + self.pause
    }

    pub(super) fn confirmed(&self) -> Option<Time> {
        self.confirmed
    }

    pub(super) fn others(&self) -> usize {
        self.others
    }
}

impl Gateway {
    pub(super) fn look_due(&mut self, now: Time) {
        let look = &mut self.stop.look;
        if look.asked.is_some_and(|(.., sent)| sent + WITHIN <= now) {
            (look.asked, look.at) = (None, Some(look.again(now)));
        }
        if look.at.is_some_and(|at| at <= now) && look.asked.is_none() {
            (look.begun, look.ours, look.theirs) = (now, 0, 0);
            self.look_for(now, false);
        }
    }

    fn look_for(&mut self, now: Time, conditional: bool) {
        let ways = if self.stop.look.tries.is_multiple_of(2) {
            [Way::Session, Way::Request]
        } else {
            [Way::Request, Way::Session]
        };
        let mut limited = now;
        for way in ways {
            let number = self.stop.recalls.number();
            let urgent = Urgent::OpenOrders { conditional };
            match self.entry.urgent(now, number, &urgent, way, &mut self.venue) {
                Ok(()) => {
                    (self.stop.look.asked, self.stop.look.at) = (Some((number, conditional, now)), None);
                    return;
                }
                Err(NotSent::RateLimited { retry_at }) => limited = limited.max(retry_at),
                Err(NotSent::Disconnected | NotSent::ClockOff(_)) => {}
            }
        }
        let again = self.stop.look.again(now).max(limited);
        (self.stop.look.asked, self.stop.look.at) = (None, Some(again));
    }

    pub(super) fn look_replied(&mut self, now: Time, number: u64, reply: UrgentReply) {
        let Some((asked, conditional, _)) = self.stop.look.asked else { return };
        if asked != number {
            return;
        }
        self.stop.look.asked = None;
        let UrgentReply::Open(reports) = reply else {
            self.stop.look.at = Some(self.stop.look.again(now));
            return;
        };
        self.stop.look.pause = Span::ZERO;
        for report in &reports {
            self.listed(now, report);
        }
        if conditional {
            self.look_ends(now);
        } else {
            self.look_for(now, true);
        }
    }

    /// An order that the exchange shows as open.
    fn listed(&mut self, now: Time, report: &OrderReport) {
        let numbered = Some(report.venue_id).filter(|number| *number != 0);
        let known = numbered.and_then(|number| self.orders.by_venue(&report.symbol, number)).or_else(|| {
            report.conditional_id.and_then(|number| self.orders.by_conditional(&report.symbol, number))
        });
        let owned = known.filter(|order| order.session.is_some()).map(|order| order.id.clone());
        let named = report.previous_id.as_ref().unwrap_or(&report.client_id);
        let ours = |parts: &IdParts| parts.install == self.config.install;
        let minted = named
            .parts()
            .filter(ours)
            .map(|parts| ClientOrderId::mint(IdParts { kind: IdKind::Order, ..parts }));
        let Some(id) = owned.or(minted) else {
            self.stop.look.theirs += 1;
            return;
        };
        if super::flatten::is_closing(&id) {
            return;
        }
        self.stop.look.ours += 1;
        let loaded = self.instruments.as_ref().is_some_and(|all| all.contains_key(&report.symbol));
        if loaded || self.orders.get(&id).is_some() {
            self.report(now, report, Source::Query);
        }
        // One that is over is shown by a replica that is behind.
        if self.orders.get(&id).is_none() {
            self.recall_listed(now, report, id);
        }
    }

    fn look_ends(&mut self, now: Time) {
        let all_gone = self.stop.recalls.is_empty();
        let lag = self.config.recovery_lag;
        let look = &mut self.stop.look;
        look.others = look.theirs;
        let clean = look.ours == 0 && all_gone && look.begun >= look.quiet;
        look.clean = if clean { look.clean + 1 } else { 0 };
        if look.clean < CLEAN {
            look.at = Some(now + lag);
            return;
        }
        if look.confirmed.replace(now).is_none() {
            let fields = format!("others={}", look.others);
            self.log(super::LogLevel::Warn, "the exchange shows no open order of ours", fields);
        }
    }
}
