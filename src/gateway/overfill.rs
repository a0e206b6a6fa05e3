//! Orders of which more is filled than was ordered: a mistake of the exchange, or two orders under one id.
//!
//! Fills are facts and are booked all the same. The session is paused as by the operator, and somebody has to look.
//!
//! ```text
//!   fills beyond what it may have ──a report counts them, too──────────▶ halted
//!                └──known by trades alone──▶ suspected ──one lag later──▶ asked ──still beyond──▶ halted
//!                                                                          └──changed──▶ nothing
//! ```
//!
//! A report shows quantity and count of one moment. Trades that a query brings do not: the order may have been changed
//! meanwhile, by hand too, and nobody here was told.

use std::collections::BTreeMap;

use super::Gateway;
use super::fact::Source;
use super::io::LogLevel;
use super::recovery::Purpose;
use super::stop::BY_ITSELF;
use crate::ids::ClientOrderId;
use crate::num::Qty;
use crate::order::state::Order;
use crate::time::{Span, Time};
use crate::venue::port::{Answer, Query};

/// Pause before a question that could not be answered is asked again.
const RETRY: Span = Span::from_secs(1);

/// Orders that are asked for, and when; `None`: the question is on its way.
#[derive(Debug, Default)]
pub(super) struct Overfills {
    pub(super) suspected: BTreeMap<ClientOrderId, Option<Time>>,
}

impl Overfills {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.suspected.values().filter_map(|at| *at).min()
    }

    /// The link is lost, questions with it: ask again when it is back.
    pub(super) fn ask_again(&mut self, now: Time) {
        for at in self.suspected.values_mut() {
            *at = Some(at.map_or(now, |at| at.max(now)));
        }
    }
}

impl Gateway {
    /// After a report of the order that counts so much, or, with none, a fill by a query.
    pub(super) fn watch_overfill(&mut self, now: Time, id: &ClientOrderId, counted: Qty) {
        let Some(order) = self.orders.get(id).filter(|order| order.is_overfilled()) else {
            self.overfills.suspected.remove(id);
            return;
        };
        if counted > order.may_fill() {
            return self.halt_overfilled(now, id);
        }
        let ask_at = now + self.config.recovery_lag;
        self.overfills.suspected.entry(id.clone()).or_insert(Some(ask_at));
    }

    pub(super) fn overfill_timer(&mut self, now: Time) {
        if !self.recovery.connected() {
            return;
        }
        let due = |at: &Option<Time>| at.is_some_and(|at| at <= now);
        let suspected = self.overfills.suspected.iter().filter(|(_, at)| due(at));
        let ids: Vec<ClientOrderId> = suspected.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.overfills.suspected.insert(id.clone(), None);
            let Some((symbol, Some(venue_id))) =
                self.orders.get(&id).map(|order| (order.symbol.clone(), order.venue_id))
            else {
                continue;
            };
            let query = Query::OrderByVenueId { symbol, venue_id };
            self.ask(now, &query, Purpose::Overfill { order: id });
        }
    }

    pub(super) fn overfill_answered(&mut self, now: Time, id: &ClientOrderId, answer: Answer) {
        match answer {
            Answer::Order(report) => self.report(now, &report, Source::Query),
            // Nothing says that it was changed.
            Answer::NotFound | Answer::Archived => {}
            _ => {
                self.overfills.suspected.insert(id.clone(), Some(now + RETRY));
                return;
            }
        }
        if self.orders.get(id).is_some_and(Order::is_overfilled) {
            self.halt_overfilled(now, id);
        }
    }

    /// It is filled beyond its quantity, and that is no delay. Told once, and again when even more is.
    fn halt_overfilled(&mut self, now: Time, id: &ClientOrderId) {
        self.overfills.suspected.remove(id);
        let found = self.orders.update(id, |order| {
            order.accept_fills();
            (order.session, order.qty, order.told)
        });
        let Some((Some(session), qty, filled)) = found else { return };
        let fields = format!("order={id} session={session} qty={qty} filled={filled}");
        self.log(LogLevel::Error, "an order was filled beyond its quantity", fields);
        let reason = format!("order {id} for {qty} was filled with {filled}");
        let advice = "compare it with the exchange; the operator resumes the session";
        let message = format!("{reason}, more than was ordered: the session is paused; {advice}");
        self.notice(now, session, "overfill", message, Some(id));
        self.pause(now, Some(session), BY_ITSELF, &reason);
    }
}
