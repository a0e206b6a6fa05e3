//! Facts from the venue: replies, reports, fills, balances. Each becomes records first, then what sessions are told.
//!
//! Facts may come in any order, twice, and by several ways. Fills are keyed and booked once whatever the order's
//! state; the venue's count of filled quantity only rises; an end is told only when every fill it counts is booked.

use std::collections::BTreeMap;

use super::Gateway;
use super::io::LogLevel;
use super::recovery::Purpose;
use super::tie_out::TRANSFER;
use crate::ids::{Asset, ClientOrderId, IdParts, Symbol, VenueOrderId};
use crate::journal::{CashRecord, FillRecord, OrderRecord, Owner, Record};
use crate::market::{Instructions, OrderStatus};
use crate::num::{Cash, Price, Qty};
use crate::order::state::{Event, Order, State};
use crate::order::table::journal_word;
use crate::time::{Span, Time};
use crate::venue::port::{
    AmendOutcome, Answer, Balance, CancelOutcome, Fill, OrderReport, PlaceOutcome, Query, VenueStatus,
};
use crate::wire::error::ErrorCode;
use crate::wire::event::{FillView, Private};

/// How often an unknown order of a fill is asked for before the fill goes to EXTERNAL.
const ORPHAN_TRIES: u32 = 5;

/// How long the private events of a reply may take before the fills they would bring are asked for.
const EVENTS_WITHIN: Span = Span::from_millis(500);

/// What a session sees of an order: its word, whether a cancel is under way, quantity, price, the venue's numbers.
/// Nothing is told while these stay as they are.
type Told = (String, bool, Qty, Option<Price>, (Option<VenueOrderId>, Option<u64>));

/// A name for an order that is nobody's here. Foreign client ids are reusable; the venue's numbers are not.
pub(super) fn foreign_name(report: &OrderReport) -> ClientOrderId {
    let symbol = &report.symbol;
    ClientOrderId::foreign(&match (report.venue_id, report.conditional_id) {
        (0, Some(number)) => format!("{symbol}:conditional:{number}"),
        (number, _) => format!("{symbol}:{number}"),
    })
}

/// The record of an order that was found at the exchange.
pub(super) fn adopted(
    now: Time,
    id: &ClientOrderId,
    parts: Option<IdParts>,
    report: &OrderReport,
) -> OrderRecord {
    let some = |price: Price| (!price.is_zero()).then_some(price);
    OrderRecord {
        id: id.clone(),
        session: parts.map(|p| p.session),
        symbol: report.symbol.clone(),
        side: report.side,
        order_type: report.order_type,
        tif: report.tif,
        price: some(report.price),
        stop: some(report.stop),
        qty: report.qty,
        quote_amount: None,
        forced: report.forced,
        instructions: report.instructions,
        conditional: report.conditional_id.is_some(),
        time: now,
    }
}

/// By which way a report came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The private stream, as it happened.
    Stream,
    /// The reply to a command.
    Reply,
    /// An answer to a query, which may lag.
    Query,
}

/// Fills whose order is not known yet.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    waiting: BTreeMap<(Symbol, VenueOrderId), Orphan>,
}

#[derive(Debug)]
struct Orphan {
    fills: Vec<Fill>,
    tries: u32,
    ask_at: Option<Time>,
}

impl Orphans {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.values().filter_map(|o| o.ask_at).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Does a fill of that symbol wait for its order?
    pub(super) fn wait_in(&self, symbol: &Symbol) -> bool {
        self.waiting.keys().any(|(waiting, _)| waiting == symbol)
    }

    /// The link is lost, questions with it: ask again when it is back.
    pub(super) fn ask_again(&mut self, now: Time) {
        for orphan in self.waiting.values_mut() {
            orphan.ask_at = Some(now);
        }
    }
}

impl Gateway {
    pub(super) fn placed(&mut self, now: Time, id: &ClientOrderId, outcome: PlaceOutcome) {
        match outcome {
            PlaceOutcome::Accepted(report) => self.report(now, &report, Source::Reply),
            PlaceOutcome::Rejected { code, message, for_now } => {
                let told = self.orders.get(id).map(|o| o.state);
                self.step(id, Event::Refuse);
                // A refusal may come late, after the order was found to be nowhere.
                if told == Some(State::NotPlaced) {
                    return;
                }
                if self.orders.get(id).map(|o| o.state) == told {
                    let fields = format!("order={id} code={code} message={message:?}");
                    self.log(LogLevel::Error, "refusal of an order that lives", fields);
                    return;
                }
                self.orders.update(id, |order| {
                    order.code = Some(ErrorCode::Rejected.code());
                    order.reason = Some(format!("{code} {message}"));
                    order.changed = now;
                });
                self.guard.rejected(now, self.orders.get(id).and_then(|order| order.session));
                if for_now {
                    self.stop.closing_may_pass(id);
                }
                self.doubts.settle(id);
                self.order_changed(now, id, None);
            }
            PlaceOutcome::Unknown(reason) => {
                self.step(id, Event::Lose);
                self.enter_doubt(now, id, &reason);
            }
        }
    }

    pub(super) fn cancel_replied(&mut self, now: Time, id: &ClientOrderId, outcome: CancelOutcome) {
        self.orders.update(id, |order| order.cancel_sent = None);
        if self.doubts.is_probe(id) {
            return self.probe_replied(now, id, outcome);
        }
        match outcome {
            CancelOutcome::Canceled(report) => self.report(now, &report, Source::Reply),
            CancelOutcome::UnknownOrder => {
                self.step(id, Event::CancelLose);
                let message = "the exchange no longer has the order open; how it ended follows";
                self.cancel_reject(now, id, ErrorCode::UnknownOrder, message);
                self.enter_doubt(now, id, "the exchange no longer has it open");
                self.doubts.said_gone(now, id);
            }
            CancelOutcome::Rejected { code, message } => {
                self.step(id, Event::CancelRefuse);
                self.orders.update(id, |order| order.cancel_wanted = false);
                self.cancel_reject(now, id, ErrorCode::Rejected, &format!("{code} {message}"));
            }
            CancelOutcome::Unknown(reason) => {
                self.step(id, Event::CancelLose);
                self.enter_doubt(now, id, &reason);
                self.doubts.begin_anew(id);
            }
        }
    }

    pub(super) fn amend_replied(&mut self, now: Time, id: &ClientOrderId, outcome: AmendOutcome) {
        if let AmendOutcome::Amended(report) = &outcome {
            self.report(now, report, Source::Reply);
        }
        // What it asked for counts until what became of it is known, and taken in.
        let known = !matches!(outcome, AmendOutcome::Unknown(_));
        self.orders.update(id, |order| order.amend_replied(now, known));
        match outcome {
            AmendOutcome::Amended(_) => {}
            AmendOutcome::Rejected { code, message } => {
                self.guard.rejected(now, self.orders.get(id).and_then(|order| order.session));
                self.cancel_reject(now, id, ErrorCode::Rejected, &format!("amend: {code} {message}"));
            }
            AmendOutcome::Unknown(reason) => self.enter_doubt(now, id, &reason),
        }
    }

    fn cancel_reject(&mut self, now: Time, id: &ClientOrderId, code: ErrorCode, message: &str) {
        let Some(order) = self.orders.get(id).filter(|o| !o.state.is_over()) else { return };
        let Some(session) = order.session else { return };
        let event = Private::CancelReject {
            order_id: id.clone(),
            code: code.code(),
            name: code.name().to_owned(),
            message: message.to_owned(),
        };
        self.tell(now, session, event);
    }

    /// Everything the venue says of an order comes through here.
    pub(super) fn report(&mut self, now: Time, report: &OrderReport, source: Source) {
        self.recovery.saw(&report.symbol);
        let Some(id) = self.identify(now, report, source) else { return };
        let before = self.told_state(&id);
        let waited = self.orders.get(&id).is_some_and(Order::waits);
        let contradicts = self.contradicts_end(&id, report);
        self.learn(&id, report);
        if contradicts {
            self.reopen(now, &id);
        }
        if source == Source::Query {
            let lag = self.config.recovery_lag;
            self.orders.update(&id, |order| order.amend_found(now, lag));
        }
        let fill = report.fill.as_ref().and_then(|fill| self.book_fill(now, &id, fill));
        let missing = self.advance(now, &id, report, source);
        if fill.is_some() || self.told_state(&id) != before {
            self.order_changed(now, &id, fill);
        }
        if missing {
            self.fetch_missing(now, &id, source, report.filled);
        }
        self.adopt_orphans(now, &report.symbol, report.venue_id, &id);
        self.adopt_strays(now, &report.symbol, report.venue_id);
        let triggered = waited && self.orders.get(&id).is_some_and(|o| !o.waits() && !o.state.is_over());
        if triggered && report.conditional_id.is_some() {
            self.follow_child(now, &id);
        }
        self.watch_overfill(now, &id, report.filled);
        self.guard_reductions(now);
    }

    /// Does it show more to fill of an order that was called filled, and is it newer than the quantity judged by?
    fn contradicts_end(&self, id: &ClientOrderId, report: &OrderReport) -> bool {
        let filled = State::Done(OrderStatus::Filled);
        let Some(order) = self.orders.get(id).filter(|order| order.state == filled) else { return false };
        let lives = self.status_told(id, report).end().is_none();
        lives && report.time > order.as_of && report.qty > order.filled
    }

    /// An order that was called filled has more to fill: it was changed, and nobody here knew.
    fn reopen(&mut self, now: Time, id: &ClientOrderId) {
        self.step(id, Event::Reopen);
        let Some(order) = self.orders.get(id) else { return };
        let (session, qty, filled) = (order.session, order.qty, order.filled);
        let fields = format!("order={id} qty={qty} filled={filled}");
        self.log(LogLevel::Error, "an order that was called filled is open at the exchange", fields);
        if let Some(session) = session {
            let message = format!(
                "order {id} was called filled, but the exchange has it open with {filled} of {qty} filled"
            );
            self.notice(now, session, "resurrected", message, Some(id));
        }
    }

    fn told_state(&self, id: &ClientOrderId) -> Option<Told> {
        let told =
            |o: &Order| (journal_word(o), o.is_canceling(), o.qty, o.price, (o.venue_id, o.conditional_id));
        self.orders.get(id).map(told)
    }

    /// Which of our orders a report is about; takes in orders that nobody here knew.
    fn identify(&mut self, now: Time, report: &OrderReport, source: Source) -> Option<ClientOrderId> {
        self.list_reported(now, &report.symbol)?;
        let triggered = Some(report.venue_id).filter(|number| *number != 0);
        let by_number = triggered.and_then(|number| self.orders.by_venue(&report.symbol, number));
        let by_conditional =
            || report.conditional_id.and_then(|number| self.orders.by_conditional(&report.symbol, number));
        if let Some(order) = by_number.or_else(by_conditional) {
            return Some(order.id.clone());
        }
        let named = report.previous_id.as_ref().unwrap_or(&report.client_id);
        let ours = |id: &ClientOrderId| id.parts().filter(|p| p.install == self.config.install);
        let parts = ours(named).or_else(|| ours(&report.client_id));
        let id = match parts {
            Some(parts) => self.order_id(parts.epoch, parts.session, parts.command),
            None => foreign_name(report),
        };
        match self.orders.get(&id).map(|order| order.venue_id) {
            Some(Some(known)) if triggered.is_some_and(|number| number != known) => {
                Some(self.second_order(now, &id, report, source))
            }
            Some(_) => Some(id),
            None if parts.is_none() && self.keep_stray(now, report, source) => None,
            None => {
                self.adopt(now, &id, parts, report, source);
                Some(id)
            }
        }
    }

    /// The exchange shows another order under an id of ours. We use each id once, so it is not ours.
    fn second_order(
        &mut self,
        now: Time,
        id: &ClientOrderId,
        report: &OrderReport,
        source: Source,
    ) -> ClientOrderId {
        let fields = format!("order={id} venue_id={}", report.venue_id);
        self.log(LogLevel::Error, "another gateway uses this key and install name", fields);
        self.foreign_gateway.get_or_insert_with(|| id.to_string());
        let foreign = foreign_name(report);
        self.adopt(now, &foreign, None, report, source);
        foreign
    }

    /// A symbol met in a report for the first time.
    pub(super) fn list_reported(&mut self, now: Time, symbol: &Symbol) -> Option<()> {
        if self.books.listing(symbol).is_some() {
            return Some(());
        }
        let Ok(instrument) = self.instrument(symbol).cloned() else {
            let fields = format!("symbol={symbol}");
            self.log(LogLevel::Warn, "report of a symbol that is not loaded", fields);
            return None;
        };
        self.list(now, &instrument);
        Some(())
    }

    /// An order nobody here knew: a foreign one, or one of ours that a crash kept from the journal.
    fn adopt(
        &mut self,
        now: Time,
        id: &ClientOrderId,
        parts: Option<IdParts>,
        report: &OrderReport,
        source: Source,
    ) {
        let record = adopted(now, id, parts, report);
        self.orders.insert(&record);
        self.commits.push(Record::Order(record));
        let Some(parts) = parts else { return };
        self.heed_epoch(now, parts, report, source);
        let new = report.status == VenueStatus::New && source == Source::Stream;
        let made_now = new && report.time > self.started + Span::from_secs(2);
        if parts.epoch >= self.epoch || made_now {
            self.log(
                LogLevel::Error,
                "another gateway uses this key and install name",
                format!(
                    "order={id} advice={:?}",
                    "stop it, or give each its own \"install\" in the configuration, and restart"
                ),
            );
            self.foreign_gateway.get_or_insert_with(|| id.to_string());
        }
        self.log(LogLevel::Warn, "order adopted", format!("order={id} session={}", parts.session));
        let message = format!("order {id} was found at the exchange; the gateway had no record of it");
        self.notice(now, parts.session, "adopted", message, Some(id));
    }

    /// Takes in what only rises or is only ever learnt.
    fn learn(&mut self, id: &ClientOrderId, report: &OrderReport) {
        self.orders.update(id, |order| {
            let number = Some(report.venue_id).filter(|number| *number != 0);
            order.venue_id = order.venue_id.or(number);
            order.conditional_id = order.conditional_id.or(report.conditional_id);
            order.told = order.told.max(report.filled);
            if report.conditional_id.is_none() || order.waits() {
                order.known_as = report.client_id.clone();
            }
            // An answer that lags must not undo what a later report has told of an amend.
            if report.time >= order.as_of {
                let newer = report.time > order.as_of;
                order.as_of = report.time;
                if report.qty.is_positive() {
                    order.take_qty(report.qty, report.filled, newer);
                }
                if order.price.is_some() && report.price.is_positive() {
                    order.price = Some(report.price);
                }
            }
        });
    }

    /// Applies the report's status. True: fills are missing and must be fetched.
    fn advance(&mut self, now: Time, id: &ClientOrderId, report: &OrderReport, source: Source) -> bool {
        if self.orders.get(id).is_some_and(|o| o.state == State::NotPlaced) {
            self.resurrected(now, id);
        }
        let Some(end) = self.status_told(id, report).end() else {
            self.step(id, Event::Live);
            self.live_again(now, id, source);
            // An end heard of before its last fill: this report brought the fill.
            if let Some(end) = self.orders.get(id).filter(|o| !o.has_gap()).and_then(|o| o.ending) {
                self.end(id, end);
            }
            return self.orders.get(id).is_some_and(Order::has_gap);
        };
        let news = self.orders.get(id).is_some_and(|o| !o.state.is_over() && o.ending.is_none());
        let complete = self.orders.update(id, |order| {
            if news || report.reason.is_some() {
                order.reason.clone_from(&report.reason);
            }
            if end == OrderStatus::Rejected {
                order.code = Some(ErrorCode::Rejected.code());
            }
            order.changed = report.time;
            if order.has_gap() {
                order.ending = Some(end);
                return false;
            }
            true
        });
        if news && end == OrderStatus::Rejected {
            self.guard.rejected(now, self.orders.get(id).and_then(|order| order.session));
        }
        if news && end == OrderStatus::ExpiredInMatch {
            self.prevented(now, id);
        }
        if complete == Some(true) {
            self.end(id, end);
        } else if self.orders.get(id).is_some_and(|order| order.state == State::Intended) {
            // One that nobody here knew: until its fills are here it is an order like any other.
            self.step(id, Event::Live);
        }
        complete == Some(false)
    }

    pub(super) fn end(&mut self, id: &ClientOrderId, end: OrderStatus) {
        self.step(id, Event::End(end));
        self.orders.update(id, |order| order.ending = None);
        self.doubts.settle(id);
    }

    /// An order declared not placed was placed after all.
    fn resurrected(&mut self, now: Time, id: &ClientOrderId) {
        // Fills that an end counts may still be missing: meanwhile it is an order like any other.
        self.step(id, Event::Live);
        let session = self.orders.update(id, |order| {
            (order.code, order.reason) = (None, None);
            order.session
        });
        self.log(LogLevel::Error, "an order declared not placed was placed", format!("order={id}"));
        if let Some(session) = session.flatten() {
            let message = format!("order {id} was declared not placed, but the exchange has it");
            self.notice(now, session, "resurrected", message, Some(id));
        }
    }

    /// There is evidence that an order in doubt lives.
    fn live_again(&mut self, now: Time, id: &ClientOrderId, source: Source) {
        let there = self.orders.get(id).is_some_and(|o| o.canceled_apart == o.waits());
        if source == Source::Query && there && self.doubts.are_told_gone(now, id, self.config.recovery_lag) {
            // The engine has just said that it is not open there, and replicas may show it a while longer.
            return;
        }
        self.doubts.settle(id);
        let wanted = self.orders.get(id).is_some_and(|o| o.cancel_wanted && o.state == State::Working);
        if wanted {
            // It lived through a cancel whose outcome was not known: cancelling again is safe and is what was asked
            // for.
            let _refused_until_next_report = self.send_cancel(now, id);
        }
    }

    /// Books a fill of a known order, once. Returns what its session is to be told.
    pub(super) fn book_fill(&mut self, now: Time, id: &ClientOrderId, fill: &Fill) -> Option<FillView> {
        if self.books.has(&(fill.symbol.clone(), fill.trade_id, fill.venue_id)) {
            return None;
        }
        self.record_fill(now, id, fill)?;
        self.recovery.saw(&fill.symbol);
        Some(FillView {
            trade_id: fill.trade_id,
            price: fill.price,
            qty: fill.qty,
            quote: fill.quote,
            fee: fill.fee,
            fee_asset: fill.fee_asset.clone(),
            maker: fill.maker,
            time: fill.time,
        })
    }

    /// Puts a fill of a known order into the books.
    pub(super) fn record_fill(&mut self, now: Time, id: &ClientOrderId, fill: &Fill) -> Option<()> {
        let (session, forced) = self.orders.get(id).map(|order| (order.session, order.forced))?;
        let record = FillRecord {
            symbol: fill.symbol.clone(),
            trade_id: fill.trade_id,
            venue_id: fill.venue_id,
            order: Some(id.clone()),
            session,
            side: fill.side,
            price: fill.price,
            qty: fill.qty,
            quote: fill.quote,
            realised: fill.realised,
            fee: fill.fee,
            fee_asset: fill.fee_asset.clone(),
            maker: fill.maker,
            time: fill.time,
        };
        self.fill_order(&record);
        self.orders.update(id, |order| order.changed = order.changed.max(fill.time));
        self.emit(Record::Fill(record.clone()));
        if let Some(forced) = forced {
            self.forced.add(&record, forced);
            self.allocate(now, &record, forced);
        }
        Some(())
    }

    /// Adds a fill to its order's sums; also when the journal is folded.
    pub(super) fn fill_order(&mut self, fill: &FillRecord) {
        let Some(id) = &fill.order else { return };
        self.orders.update(id, |order| {
            order.filled += fill.qty;
            order.filled_quote += fill.quote;
            order.told = order.told.max(order.filled);
            order.lacking = order.lacking.min(order.told - order.filled);
            order.venue_id = order.venue_id.or(Some(fill.venue_id));
        });
    }

    /// Fills are missing that the venue has counted, by a report that counts so many.
    fn fetch_missing(&mut self, now: Time, id: &ClientOrderId, source: Source, counted: Qty) {
        let Some(order) = self.orders.get(id) else { return };
        let Some(venue_id) = order.venue_id else { return };
        let query = Query::TradesOfOrder { symbol: order.symbol.clone(), venue_id };
        if source == Source::Reply {
            // A reply may overtake the events it tells of: they get a moment to arrive.
            self.recovery.ask_missing(now + EVENTS_WITHIN, id, query);
            return;
        }
        if counted <= order.filled && self.recovery.seeks(id) {
            // One of those events: what it counts is booked, and the rest is seen to already.
            return;
        }
        self.recovery.fault(now);
        // One chain of questions an order, however many of its fills tell that another is missing.
        if !self.recovery.ask_no_later(id) {
            self.ask(now, &query, Purpose::Missing { order: id.clone(), query: query.clone() });
        }
    }

    /// Own trades, by a query: each is booked to the order it belongs to.
    pub(super) fn trades(&mut self, now: Time, fills: &[Fill]) {
        for fill in fills {
            if self.books.has(&(fill.symbol.clone(), fill.trade_id, fill.venue_id)) {
                continue;
            }
            match self.orders.by_venue(&fill.symbol, fill.venue_id).map(|o| o.id.clone()) {
                Some(id) => self.late_fill(now, &id, fill),
                // Long before the books were opened, and not found when the symbol's past was read: nobody's here,
                // and the opening balance holds it already. While they are not open, it may be an order of ours that a
                // crash kept from the journal.
                None if self.tie_out.is_open() && self.tie_out.covers(fill.time + Span::from_secs(60)) => {}
                None => self.orphan(now, fill),
            }
        }
    }

    /// A fill learnt by a query; it may complete an end that has waited for it.
    pub(super) fn late_fill(&mut self, now: Time, id: &ClientOrderId, fill: &Fill) {
        self.log(LogLevel::Info, "fill learnt by query", format!("order={id} trade={}", fill.trade_id));
        self.recovery.fault(now);
        let told = self.book_fill(now, id, fill);
        if told.is_some() {
            self.balance_past(fill);
        }
        let ending = self.orders.get(id).filter(|o| !o.has_gap()).and_then(|o| o.ending);
        // All that it may have become by an amend on its way, too.
        let filled = self.orders.get(id).is_some_and(|o| o.qty.is_positive() && o.filled >= o.most());
        let full = self.orders.get(id).is_some_and(|o| o.qty.is_positive() && o.filled >= o.qty);
        if let Some(end) = ending.or(filled.then_some(OrderStatus::Filled)) {
            self.end(id, end);
        } else if full && !self.orders.get(id).is_some_and(|o| o.state.is_over()) {
            self.step(id, Event::Live);
            self.doubt(now, id);
        } else if !self.orders.get(id).is_some_and(|o| o.state.is_over()) {
            self.step(id, Event::Live);
            self.live_again(now, id, Source::Query);
        }
        self.order_changed(now, id, told);
        self.watch_overfill(now, id, Qty::ZERO);
        self.guard_reductions(now);
    }

    pub(super) fn orphan(&mut self, now: Time, fill: &Fill) {
        let key = (fill.symbol.clone(), fill.venue_id);
        let orphan = self.orphans.waiting.entry(key).or_insert(Orphan {
            fills: Vec::new(),
            tries: 0,
            ask_at: Some(now),
        });
        if !orphan.fills.iter().any(|f| f.trade_id == fill.trade_id) {
            orphan.fills.push(fill.clone());
        }
        self.orphan_timer(now);
    }

    /// The link is lost, and the questions about whose fills and orders these are with it.
    pub(super) fn ask_of_fills_again(&mut self, now: Time) {
        self.orphans.ask_again(now);
        self.overfills.ask_again(now);
        self.strays.ask_again(now);
    }

    pub(super) fn orphan_timer(&mut self, now: Time) {
        if !self.recovery.connected() {
            return;
        }
        let due = |o: &Orphan| o.ask_at.is_some_and(|at| at <= now);
        let keys: Vec<_> =
            self.orphans.waiting.iter().filter(|(_, o)| due(o)).map(|(key, _)| key.clone()).collect();
        for (symbol, venue_id) in keys {
            let query = Query::OrderByVenueId { symbol: symbol.clone(), venue_id };
            if let Some(orphan) = self.orphans.waiting.get_mut(&(symbol.clone(), venue_id)) {
                orphan.ask_at = None;
            }
            self.ask(now, &query, Purpose::Orphan { symbol, venue_id });
        }
    }

    pub(super) fn orphan_answered(
        &mut self,
        now: Time,
        symbol: Symbol,
        venue_id: VenueOrderId,
        answer: Answer,
    ) {
        match answer {
            Answer::Order(report) => self.report(now, &report, Source::Query),
            Answer::NotFound | Answer::Archived => self.orphan_not_found(now, symbol, venue_id),
            _ => {
                if let Some(orphan) = self.orphans.waiting.get_mut(&(symbol, venue_id)) {
                    orphan.ask_at = Some(now + Span::from_secs(1));
                }
            }
        }
    }

    /// The order of a fill stays unknown to the exchange's replica: after enough tries the fill goes to EXTERNAL,
    /// loudly.
    fn orphan_not_found(&mut self, now: Time, symbol: Symbol, venue_id: VenueOrderId) {
        let key = (symbol, venue_id);
        let Some(orphan) = self.orphans.waiting.get_mut(&key) else { return };
        orphan.tries += 1;
        if orphan.tries < ORPHAN_TRIES {
            orphan.ask_at = Some(now + self.config.recovery_lag);
            return;
        }
        let (symbol, _) = key;
        let Some(fill) = orphan.fills.first().cloned() else { return };
        let id = ClientOrderId::foreign(&format!("{symbol}:{venue_id}"));
        self.log(LogLevel::Error, "fill of an unknown order booked as external", format!("order={id}"));
        let record = OrderRecord {
            id: id.clone(),
            session: None,
            symbol: symbol.clone(),
            side: fill.side,
            order_type: None,
            tif: None,
            price: None,
            stop: None,
            qty: fill.qty,
            quote_amount: None,
            forced: None,
            instructions: Instructions::default(),
            conditional: false,
            time: now,
        };
        self.orders.insert(&record);
        self.commits.push(Record::Order(record));
        self.orders.update(&id, |order| order.venue_id = Some(venue_id));
        self.adopt_orphans(now, &symbol, venue_id, &id);
    }

    /// The order is known now: its waiting fills are booked.
    fn adopt_orphans(&mut self, now: Time, symbol: &Symbol, venue_id: VenueOrderId, id: &ClientOrderId) {
        if let Some(orphan) = self.orphans.waiting.remove(&(symbol.clone(), venue_id)) {
            for fill in &orphan.fills {
                if !self.books.has(&(fill.symbol.clone(), fill.trade_id, fill.venue_id)) {
                    self.late_fill(now, id, fill);
                }
            }
        }
        self.past_settled(now, symbol);
    }

    /// A private event tells of free and locked alone: what is owed stays as it was shown last.
    pub(super) fn take_balances(&mut self, balances: Vec<Balance>) {
        for balance in balances {
            let owed = self.tie_out.owed(&balance.asset);
            self.tie_out.set(Balance { owed, ..balance });
        }
    }

    /// Money came in or went out by another way than trading: nobody's session has it.
    pub(super) fn transfer(&mut self, asset: Asset, delta: Cash, time: Time) {
        if self.tie_out.has_transfer(&asset, delta, time) {
            return;
        }
        self.log(LogLevel::Info, "transfer", format!("asset={asset} delta={delta}"));
        let reason = TRANSFER.to_owned();
        self.emit(Record::Cash(CashRecord { owner: Owner::External, asset, delta, reason, time }));
    }

    pub(super) fn garbled(&mut self, now: Time, frame: &str) {
        let shown: String = frame.chars().take(200).collect();
        self.log(
            LogLevel::Error,
            "a private frame is not understood; comparing with the exchange",
            format!("frame={shown:?}"),
        );
        self.recovery.fault(now);
        self.recovery_sweep_now(now);
    }
}
