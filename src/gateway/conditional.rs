//! Conditional orders that live apart, and what comes of them.
//!
//! Such an order waits under a number of its own until the market triggers it; then the venue makes an ordinary order
//! with another number, and a report of the conditional one names both. For a session it is one order all the way.
//!
//! ```text
//!   waits (conditional id) ──triggered──▶ works (order number) ──▶ ended
//!            └──────cancelled, expired, refused at the trigger──────▲
//! ```
//!
//! What was triggered may report before the link is known, and under any client id. So a report of an order nobody
//! knows, of a symbol and side in which conditional orders wait, is a *stray*: it is kept until each of them has been
//! asked for, twice and one query lag apart. Only then is it somebody else's order.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::fact::Source;
use super::io::LogLevel;
use super::recovery::Purpose;
use crate::ids::{ClientOrderId, Symbol, VenueOrderId};
use crate::market::Side;
use crate::order::state::Order;
use crate::time::{Span, Time};
use crate::venue::port::{Answer, OrderReport, Query, VenueStatus};

/// How often every waiting conditional order is asked for before a stray counts as somebody else's.
const ROUNDS: u32 = 2;
/// Pause before a question that could not be answered is asked again.
const RETRY: Span = Span::from_secs(1);

type Key = (Symbol, VenueOrderId);

/// Reports of orders that may be the children of conditional ones.
#[derive(Debug, Default)]
pub(super) struct Strays {
    waiting: BTreeMap<Key, Stray>,
    /// Asked for often enough: being taken in as it is.
    released: Option<Key>,
}

#[derive(Debug)]
struct Stray {
    reports: Vec<(OrderReport, Source)>,
    rounds: u32,
    ask_at: Option<Time>,
    /// Conditional orders whose answers this round still waits for.
    asked: BTreeSet<ClientOrderId>,
}

impl Stray {
    fn side(&self) -> Option<Side> {
        self.reports.first().map(|(report, _)| report.side)
    }
}

impl Strays {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.values().filter_map(|s| s.ask_at).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The link is lost, questions with it: ask again when it is back.
    pub(super) fn ask_again(&mut self, now: Time) {
        for stray in self.waiting.values_mut() {
            stray.asked.clear();
            stray.ask_at = Some(now);
        }
    }
}

impl Gateway {
    /// Open conditional orders of a symbol and side that nothing is known to have come of yet.
    fn waiting_conditionals(&self, symbol: &Symbol, side: Side) -> impl Iterator<Item = &Order> {
        let symbol = symbol.clone();
        self.orders.open().filter(move |o| o.waits() && o.symbol == symbol && o.side == side)
    }

    /// Keeps the report of an order nobody knows, if a conditional order may have made it.
    pub(super) fn keep_stray(&mut self, now: Time, report: &OrderReport, source: Source) -> bool {
        let key = (report.symbol.clone(), report.venue_id);
        // What the venue made itself came of no conditional order.
        let child = report.conditional_id.is_none() && report.forced.is_none();
        let passed = self.strays.released.as_ref() == Some(&key);
        if !child || passed || self.waiting_conditionals(&key.0, report.side).next().is_none() {
            return false;
        }
        let fresh = Stray { reports: Vec::new(), rounds: 0, ask_at: Some(now), asked: BTreeSet::new() };
        self.strays.waiting.entry(key).or_insert(fresh).reports.push((report.clone(), source));
        self.stray_timer(now);
        true
    }

    pub(super) fn stray_timer(&mut self, now: Time) {
        if !self.recovery.connected() {
            return;
        }
        let due = |s: &Stray| s.ask_at.is_some_and(|at| at <= now);
        let keys: Vec<Key> =
            self.strays.waiting.iter().filter(|(_, s)| due(s)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.ask_for_parents(now, &key);
        }
    }

    fn ask_for_parents(&mut self, now: Time, key: &Key) {
        let (symbol, venue_id) = key;
        let Some(side) = self.strays.waiting.get(key).and_then(Stray::side) else { return };
        let parents: Vec<(ClientOrderId, ClientOrderId)> = (self.waiting_conditionals(symbol, side))
            .map(|order| (order.id.clone(), order.known_as.clone()))
            .collect();
        if let Some(stray) = self.strays.waiting.get_mut(key) {
            stray.ask_at = None;
            stray.asked = parents.iter().map(|(id, _)| id.clone()).collect();
        }
        if parents.is_empty() {
            return self.release_stray(now, key);
        }
        for (order, client_id) in parents {
            let query = Query::Order { symbol: symbol.clone(), client_id, conditional: true };
            let purpose = Purpose::Parent { symbol: symbol.clone(), venue_id: *venue_id, order };
            self.ask(now, &query, purpose);
        }
    }

    /// What a conditional order says of itself: perhaps that the stray came of it.
    pub(super) fn parent_answered(&mut self, now: Time, key: &Key, order: &ClientOrderId, answer: Answer) {
        match answer {
            Answer::Order(report) => self.report(now, &report, Source::Query),
            Answer::NotFound | Answer::Archived => {}
            _ => {
                if let Some(stray) = self.strays.waiting.get_mut(key) {
                    stray.asked.clear();
                    stray.ask_at = Some(now + RETRY);
                }
                return;
            }
        }
        // Gone if the report has linked it.
        let Some(stray) = self.strays.waiting.get_mut(key) else { return };
        let last = stray.asked.remove(order) && stray.asked.is_empty();
        if !last {
            return;
        }
        stray.rounds += 1;
        if stray.rounds < ROUNDS {
            stray.ask_at = Some(now + self.config.recovery_lag);
        } else {
            self.release_stray(now, key);
        }
    }

    /// No conditional order has made it: it is taken in as what it is.
    fn release_stray(&mut self, now: Time, key: &Key) {
        let Some(stray) = self.strays.waiting.remove(key) else { return };
        self.strays.released = Some(key.clone());
        for (report, source) in &stray.reports {
            self.report(now, report, *source);
        }
        self.strays.released = None;
    }

    /// The order is known by its number now: what it reported before is its own.
    pub(super) fn adopt_strays(&mut self, now: Time, symbol: &Symbol, venue_id: VenueOrderId) {
        if let Some(stray) = self.strays.waiting.remove(&(symbol.clone(), venue_id)) {
            for (report, source) in &stray.reports {
                self.report(now, report, *source);
            }
        }
    }

    /// A conditional order was triggered: what came of it may have reported unheard, so it is asked for.
    pub(super) fn follow_child(&mut self, now: Time, id: &ClientOrderId) {
        let Some(order) = self.orders.get(id) else { return };
        let fields =
            format!("order={id} conditional={:?} order_number={:?}", order.conditional_id, order.venue_id);
        self.log(LogLevel::Debug, "conditional order triggered", fields);
        self.doubt(now, id);
        self.doubt_timer(now);
    }

    /// The status a report speaks of. Once something came of a conditional order, its end is the child's to tell; only
    /// a refusal at the trigger says that there is no child.
    pub(super) fn status_told(&self, id: &ClientOrderId, report: &OrderReport) -> VenueStatus {
        let triggered = self.orders.get(id).is_some_and(|o| o.venue_id.is_some());
        let left_to_child = report.conditional_id.is_some() && triggered;
        if left_to_child && report.status != VenueStatus::Rejected { VenueStatus::New } else { report.status }
    }
}
