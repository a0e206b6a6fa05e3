//! Orders whose fate is not known, and how it is found out.
//!
//! A doubt ends by an event, by a query that finds the order under any id it may carry, or by proof: two rounds of "not
//! found" for all its ids, both asked when the receive window and ten seconds have passed since it was sent, [`APART`]
//! from each other, and then a cancel by id that the engine answers with "unknown order" (placing and cancelling are
//! served by the engine, queries by replicas that lag). Until then it stays in doubt, counted at its worst case. While
//! the exchange answers, all of this is over within the receive window and twelve seconds of the sending.
//!
//! An order that was placed, but is neither listed nor found any more, has ended unseen, or a replica is behind. It is
//! asked for ever less often, down to once in [`PAUSE_LONG`]. Its end is told on evidence only: the venue says that it
//! was put away, or it is old enough for the venue to have forgotten it, all trades since are read, and the engine has
//! nothing to cancel. How it ended nobody can say then: it is told as expired, with that reason. Orders that wait among
//! the venue's conditional orders have no such end, as something may have come of them.

use std::collections::BTreeMap;

use super::Gateway;
use super::fact::Source;
use super::io::LogLevel;
use super::recovery::Purpose;
use crate::ids::{ClientOrderId, SessionId};
use crate::journal::{OrderRecord, Record};
use crate::market::OrderStatus;
use crate::order::state::{Event, Order as OrderState, State};
use crate::time::{Span, Time};
use crate::venue::port::{Answer, CancelOutcome, OrderReport, Query};
use crate::wire::error::ErrorCode;
use crate::wire::request::Order;

/// The venue's own time-out behind its receive window.
const ENGINE_WITHIN: Span = Span::from_secs(10);
/// First pause between two rounds of questions; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Span = Span::from_millis(300);
/// Longest pause.
const PAUSE_MAX: Span = Span::from_secs(2);
/// Between the two rounds that count as proof.
const APART: Span = Span::from_millis(1_500);
/// Rounds of "not found" that are proof enough to ask the engine itself.
const PROOF_ROUNDS: u32 = 2;

/// Longest pause between two questions about an order that was placed and is not found.
const PAUSE_LONG: Span = Span::from_secs(60);
/// So many rounds of "not found" go before an order that was placed may count as forgotten by the venue: minutes.
const FORGOTTEN_ROUNDS: u32 = 10;
/// Venues forget orders without fills no sooner than this (Binance's futures, 2026: three days; spot: never).
const KEPT_FOR: Span = Span::from_secs(3 * 24 * 3600);
/// Why an order is over whose end nobody saw.
const UNSEEN: &str = "the exchange neither shows it nor has it open; how it ended is not known";
const ARCHIVED: &str = "it ended at the exchange over ninety days ago without a fill; how is not kept";

/// All doubts.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    doubts: BTreeMap<ClientOrderId, Doubt>,
}

#[derive(Debug)]
struct Doubt {
    since: Time,
    /// No request of ours about it can be accepted any more after this.
    final_after: Time,
    ask_at: Option<Time>,
    /// When the round under way was begun.
    asked_at: Time,
    pause: Span,
    asked: usize,
    missed: usize,
    rounds: u32,
    probing: bool,
    /// When the engine said, to a cancel, that it has no such order open.
    gone: Option<Time>,
}

impl Doubts {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.doubts.values().filter_map(|d| d.ask_at).min()
    }

    /// Is that order being asked about?
    pub(super) fn holds(&self, id: &ClientOrderId) -> bool {
        self.doubts.contains_key(id)
    }

    /// Since when that order is being asked about.
    pub(super) fn since(&self, id: &ClientOrderId) -> Option<Time> {
        self.doubts.get(id).map(|doubt| doubt.since)
    }

    /// It is known now.
    pub(super) fn settle(&mut self, id: &ClientOrderId) {
        self.doubts.remove(id);
    }

    /// The engine has no such order open, as the reply to a cancel says.
    pub(super) fn said_gone(&mut self, now: Time, id: &ClientOrderId) {
        if let Some(doubt) = self.doubts.get_mut(id) {
            doubt.gone = Some(now);
        }
    }

    /// Has the engine said so less than `lag` ago?
    pub(super) fn are_told_gone(&self, now: Time, id: &ClientOrderId, lag: Span) -> bool {
        let gone = self.doubts.get(id).and_then(|doubt| doubt.gone);
        gone.is_some_and(|at| now.since(at) < lag)
    }

    /// Is the cancel on its way a probe of ours?
    pub(super) fn is_probe(&self, id: &ClientOrderId) -> bool {
        self.doubts.get(id).is_some_and(|d| d.probing)
    }

    /// A cancel was sent that may have worked: that it was not found before says nothing any more.
    pub(super) fn begin_anew(&mut self, id: &ClientOrderId) {
        if let Some(doubt) = self.doubts.get_mut(id) {
            doubt.rounds = 0;
        }
    }

    /// The link is lost, and all questions with it: they are asked again at `at`.
    pub(super) fn ask_again(&mut self, at: Time) {
        for doubt in self.doubts.values_mut() {
            (doubt.asked, doubt.missed, doubt.probing, doubt.ask_at) = (0, 0, false, Some(at));
        }
    }

    /// Those not asked about yet need not wait any longer.
    pub(super) fn wake(&mut self, now: Time) {
        for doubt in self.doubts.values_mut().filter(|d| d.asked == 0 && !d.probing) {
            doubt.ask_at = doubt.ask_at.map(|at| at.min(now));
        }
    }
}

impl Gateway {
    /// Orders the last run left open are in doubt until the exchange has been asked.
    pub(super) fn doubt_open_orders(&mut self, now: Time) {
        let ids: Vec<ClientOrderId> = self.orders.open().map(|o| o.id.clone()).collect();
        for id in ids {
            if self.orders.get(&id).is_some_and(|o| o.state == State::Intended) {
                self.step(&id, Event::Lose);
            }
            self.doubt(now, &id);
        }
    }

    pub(super) fn doubt(&mut self, now: Time, id: &ClientOrderId) {
        // An order of an earlier run is stamped by a clock that may have been set since.
        let sent = self.orders.get(id).map(|o| o.created).filter(|at| *at >= self.started);
        let final_after = sent.map_or(now, |at| at.min(now)) + self.entry.receive_window() + ENGINE_WITHIN;
        let fresh = Doubt {
            since: now,
            final_after,
            ask_at: Some(now),
            asked_at: now,
            pause: PAUSE_MIN,
            asked: 0,
            missed: 0,
            rounds: 0,
            probing: false,
            gone: None,
        };
        self.doubts.doubts.entry(id.clone()).or_insert(fresh);
    }

    /// An outcome is not known. The session is told if that changes what it knows.
    pub(super) fn enter_doubt(&mut self, now: Time, id: &ClientOrderId, reason: &str) {
        let Some(order) = self.orders.get(id) else { return };
        if order.state.is_over() {
            return;
        }
        let in_doubt = order.state == State::Unknown;
        self.log(LogLevel::Warn, "outcome not known; asking", format!("order={id} reason={reason:?}"));
        self.recovery.fault(now);
        if in_doubt {
            self.orders.update(id, |order| {
                order.reason = Some(reason.to_owned());
                order.changed = now;
            });
            self.order_changed(now, id, None);
        }
        self.doubt(now, id);
        self.doubt_timer(now);
    }

    pub(super) fn doubt_timer(&mut self, now: Time) {
        if !self.recovery.connected() {
            return;
        }
        let due: Vec<ClientOrderId> = (self.doubts.doubts.iter())
            .filter(|(_, d)| d.ask_at.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(order) = self.orders.get(&id).filter(|o| !o.state.is_over()) else {
                self.doubts.settle(&id);
                continue;
            };
            if self.is_forgotten(now, order) && order.session.is_none() {
                // Nobody here has a claim to cancel it.
                self.ended_unseen(now, &id, UNSEEN);
                continue;
            }
            let proven = self.doubts.doubts.get(&id).is_some_and(|d| d.rounds >= PROOF_ROUNDS);
            let absent = !order.lives() && proven;
            if absent || self.is_forgotten(now, order) {
                self.probe(now, &id);
                continue;
            }
            let queries: Vec<Query> = match order.venue_id {
                Some(venue_id) => vec![Query::OrderByVenueId { symbol: order.symbol.clone(), venue_id }],
                None => {
                    let (symbol, conditional) = (&order.symbol, order.waits());
                    let ask = |client_id| Query::Order { symbol: symbol.clone(), client_id, conditional };
                    // Nothing renames an order that waits apart.
                    let names = if conditional { vec![order.known_as.clone()] } else { order.names() };
                    names.into_iter().map(ask).collect()
                }
            };
            if let Some(doubt) = self.doubts.doubts.get_mut(&id) {
                (doubt.asked, doubt.missed, doubt.ask_at, doubt.asked_at) = (queries.len(), 0, None, now);
            }
            for query in queries {
                self.ask(now, &query, Purpose::Doubt { order: id.clone() });
            }
        }
    }

    pub(super) fn doubt_answered(&mut self, now: Time, id: &ClientOrderId, answer: Answer) {
        match answer {
            Answer::Order(report) => self.doubt_found(now, id, &report),
            Answer::NotFound => self.doubt_missed(now, id),
            Answer::Archived => self.ended_unseen(now, id, ARCHIVED),
            _ => {
                if let Some(doubt) = self.doubts.doubts.get_mut(id) {
                    doubt.ask_at = Some(now + doubt.pause);
                    doubt.pause = (doubt.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn doubt_found(&mut self, now: Time, id: &ClientOrderId, report: &OrderReport) {
        self.report(now, report, Source::Query);
        // A live report settles a doubt about the placement. One about a cancel stays until the end is seen: see
        // `live_again`.
        let unknown = self.orders.get(id).is_some_and(|o| o.state == State::Unknown);
        if let Some(doubt) = self.doubts.doubts.get_mut(id).filter(|doubt| unknown || doubt.gone.is_some()) {
            doubt.ask_at = Some(now + doubt.pause);
            doubt.pause = (doubt.pause * 2).min(PAUSE_MAX);
        }
    }

    fn doubt_missed(&mut self, now: Time, id: &ClientOrderId) {
        let lives = self.orders.get(id).is_some_and(|o| o.lives());
        let Some(doubt) = self.doubts.doubts.get_mut(id) else { return };
        doubt.missed += 1;
        if doubt.missed < doubt.asked {
            return;
        }
        let pause = doubt.pause;
        if doubt.asked_at < doubt.final_after {
            doubt.pause = (pause * 2).min(PAUSE_MAX);
            // The first round that counts is asked as soon as it may.
            doubt.ask_at = Some((now + pause).min(doubt.final_after.max(now)));
            return;
        }
        doubt.rounds += 1;
        if lives {
            doubt.pause = (pause.max(PAUSE_MAX) * 2).min(PAUSE_LONG);
            doubt.ask_at = Some(now + pause.max(PAUSE_MAX));
        } else {
            let proven = doubt.rounds >= PROOF_ROUNDS;
            doubt.ask_at = Some(if proven { now } else { doubt.asked_at + APART });
        }
    }

    /// Was it placed, and long ago, and is it not found any more, with all trades since then read?
    fn is_forgotten(&self, now: Time, order: &OrderState) -> bool {
        let missed = self.doubts.doubts.get(&order.id).is_some_and(|d| d.rounds >= FORGOTTEN_ROUNDS);
        let old = now.since(order.created) >= KEPT_FOR;
        missed && old && order.lives() && !order.waits() && self.recovery.may_trade(&order.symbol)
    }

    /// It is over, and how is not to be found out.
    fn ended_unseen(&mut self, now: Time, id: &ClientOrderId, reason: &str) {
        let complete = self.orders.update(id, |order| {
            if order.has_gap() {
                // Told when the fills are booked that the venue has counted.
                order.ending.get_or_insert(OrderStatus::Expired);
                return false;
            }
            (order.reason, order.changed) = (Some(reason.to_owned()), now);
            true
        });
        if complete != Some(true) {
            if let Some(doubt) = self.doubts.doubts.get_mut(id) {
                (doubt.probing, doubt.ask_at) = (false, Some(now + PAUSE_LONG));
            }
            return;
        }
        self.log(LogLevel::Warn, "order ended unseen", format!("order={id} reason={reason:?}"));
        self.end(id, OrderStatus::Expired);
        self.order_changed(now, id, None);
    }

    /// Two rounds found nothing: the engine itself is asked, by a cancel.
    fn probe(&mut self, now: Time, id: &ClientOrderId) {
        let sent = self.orders.get(id).and_then(|order| order.cancel_sent);
        let awaited = sent.is_some_and(|at| now < at + self.entry.receive_window() + ENGINE_WITHIN);
        if awaited || self.stop.is_recalling(id) {
            // That cancel may be what the probe would find nothing for.
            if let Some(doubt) = self.doubts.doubts.get_mut(id) {
                doubt.ask_at = Some(now + PAUSE_MAX);
            }
            return;
        }
        let wished = self.orders.get(id).is_some_and(|order| order.cancel_wanted);
        let sent = self.send_cancel(now, id);
        // A question is no wish: should it be found alive after all, nobody wanted it cancelled.
        self.orders.update(id, |order| order.cancel_wanted = wished);
        if let Some(doubt) = self.doubts.doubts.get_mut(id) {
            doubt.probing = sent.is_ok();
            doubt.ask_at = sent.is_err().then(|| now + PAUSE_MAX);
        }
    }

    pub(super) fn probe_replied(&mut self, now: Time, id: &ClientOrderId, outcome: CancelOutcome) {
        if let Some(doubt) = self.doubts.doubts.get_mut(id) {
            doubt.probing = false;
        }
        match outcome {
            CancelOutcome::Canceled(report) => self.report(now, &report, Source::Reply),
            CancelOutcome::UnknownOrder => self.not_placed(now, id),
            CancelOutcome::Rejected { .. } | CancelOutcome::Unknown(_) => {
                if let Some(doubt) = self.doubts.doubts.get_mut(id) {
                    // The probe may have cancelled it, which the next one would take for absence: look for it under
                    // all its names first.
                    (doubt.rounds, doubt.ask_at) = (0, Some(now + PAUSE_MAX));
                }
            }
        }
    }

    /// The engine has nothing to cancel. Proven: the exchange never had it, or has forgotten it.
    fn not_placed(&mut self, now: Time, id: &ClientOrderId) {
        if self.orders.get(id).is_some_and(|order| self.is_forgotten(now, order)) {
            return self.ended_unseen(now, id, UNSEEN);
        }
        let placed = self.orders.get(id).is_none_or(|o| o.lives() || o.state != State::Unknown);
        self.doubts.settle(id);
        if placed {
            return;
        }
        self.step(id, Event::Absent);
        self.orders.update(id, |order| {
            order.code = Some(ErrorCode::NotPlaced.code());
            order.reason =
                Some("the exchange never had it: not found, and a cancel found nothing to cancel".to_owned());
            order.changed = now;
        });
        self.log(LogLevel::Info, "order proven not placed", format!("order={id}"));
        self.order_changed(now, id, None);
    }

    /// A command of an earlier run that nobody answered and the journal does not know. It may have been sent.
    pub(super) fn resolve_pending(
        &mut self,
        now: Time,
        session: SessionId,
        epoch: u32,
        order: &Order,
    ) -> serde_json::Value {
        let id = self.order_id(epoch, session, order.n);
        let mut conditional = false;
        match self.instrument(&order.symbol).cloned() {
            Ok(instrument) => {
                self.list(now, &instrument);
                conditional = order.order_type.is_conditional() && instrument.rules.conditionals_apart;
            }
            // It was never a symbol of the exchange, so the exchange never had the order.
            Err(error) if self.instruments.is_some() => return serde_json::json!({ "error": error }),
            // Not loaded yet: the symbol is listed with the first report of it.
            Err(_) => {}
        }
        let record = OrderRecord {
            id: id.clone(),
            session: Some(session),
            symbol: order.symbol.clone(),
            side: order.side,
            order_type: Some(order.order_type),
            tif: order.tif,
            price: order.price,
            stop: order.stop_price,
            qty: order.qty.unwrap_or_default(),
            quote_amount: order.quote_amount,
            forced: None,
            instructions: order.instructions(),
            conditional,
            time: now,
        };
        self.orders.insert(&record);
        self.commits.push(Record::Order(record));
        self.step(&id, Event::Lose);
        let answer = serde_json::json!({ "result": { "n": order.n, "order_id": &id } });
        self.remember(now, session, epoch, order.n, answer.to_string());
        self.enter_doubt(now, &id, "the gateway restarted before it answered");
        serde_json::Value::Null
    }
}
