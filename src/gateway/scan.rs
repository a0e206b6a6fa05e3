//! The past of a symbol, read from the exchange before anything new is sent: so sessions get back what a lost
//! journal knew, and what it never came to know.
//!
//! ```text
//!            ┌──(where kept apart)──▶ Conditionals ─┐
//!   wanted ──┴──────────────────────────────────────┴▶ Orders ──▶ Trades ──┬──▶ Orphans ──▶ over: recorded,
//!      ▲                                                 ▲                 │                committed, orders taken
//!      │                                                 └── Lag ◀─────────┘ (once, if answers may have lagged)
//!      └── the link is lost, from anywhere: begins again
//! ```
//!
//! Client order ids name their session, so every order the exchange still shows is attributed with no database; its
//! trades, which bear no such name, are joined to it by the venue's number. All is paged from the first number on, one
//! question of a symbol at a time, behind the questions of the recovery. A symbol is read once in a journal's life:
//! when a trading session subscribes to it or orders in it, when an order or a position of it is met, when a lost
//! journal's `pos.db` names it, and when it could explain why balances differ from the books.
//!
//! What is found older than the books' opening is in that opening already: each such fill is booked to its session with
//! its other side in EXTERNAL, at the fill's own time. So the sum stays the account at every instant, and funding of
//! the time before, reckoned anew from what each held, comes out even as well. Fills are keyed, so a page read twice
//! changes nothing.
//!
//! What is older than the journal is booked without telling each order of it: a session is told of its position. What a
//! run of this journal sent, and was killed before it was on the disk, is told like all else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::Gateway;
use super::commits::Held;
use super::fact::Source;
use super::io::{LogLevel, LostPosition};
use super::recovery::{PAGE, Purpose, next_trade};
use crate::ids::{Asset, ClientOrderId, ConnId, IdParts, SessionId, Symbol, TradeId, VenueOrderId};
use crate::instrument::InstrumentKind;
use crate::journal::{CashRecord, OrderStateRecord, Owner, Record};
use crate::ledger::books::Books;
use crate::num::Cash;
use crate::time::{Span, Time};
use crate::venue::port::{Answer, Fill, OrderReport, Query};
use crate::wire::event::Private;

/// Symbols read at once.
const AT_ONCE: usize = 2;
/// Pause before a page that could not be had is asked for again.
const AGAIN: Span = Span::from_secs(5);
/// Failures after which balances are judged without waiting for the symbol any longer.
const PATIENCE: u32 = 3;
/// Most symbols looked through for one difference.
const CANDIDATES: usize = 20;
/// How long the same symbol is not looked through again for a difference.
const NOT_AGAIN: Span = Span::from_secs(3_600);

/// How long the reply to a subscription waits for the past of its symbols.
const REPLY_WITHIN: Span = Span::from_secs(3);

/// Reason of a cash row that is the other side of a fill older than the books.
pub(super) const PAST: &str = "past";

/// Reason of the event that tells a session of a position found.
const FOUND: &str = "the exchange's records";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Conditionals,
    Orders,
    Trades,
    /// Read to the end, while answers may still lag.
    Lag,
    /// Read to the end, but for orders of fills that are being asked for.
    Orphans,
}

/// A symbol whose past is being read.
#[derive(Debug)]
struct Scan {
    stage: Stage,
    /// Balances are not judged before it is over.
    explains: bool,
    failures: u32,
    next_order: VenueOrderId,
    next_trade: TradeId,
    /// Conditional orders of ours that have triggered, by the number of what they triggered.
    parents: BTreeMap<VenueOrderId, OrderReport>,
    /// Ended orders that are no session's.
    foreign: BTreeSet<VenueOrderId>,
    /// Orders that ended long ago: their fills are booked without telling each.
    ended: BTreeSet<VenueOrderId>,
}

impl Scan {
    fn new(explains: bool) -> Self {
        Self {
            stage: Stage::Orders,
            explains,
            failures: 0,
            next_order: 1,
            next_trade: 0,
            parents: BTreeMap::new(),
            foreign: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }
}

/// The reply to a subscription, which waits: when it has come, positions are what they are.
#[derive(Debug)]
struct Patient {
    conn: ConnId,
    reply: Bytes,
    symbols: Vec<Symbol>,
    until: Time,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Scans {
    /// Symbols read, by the journal.
    read: BTreeSet<Symbol>,
    /// Epochs of the runs the journal knows.
    runs: BTreeSet<u32>,
    /// Sessions to which something was booked, and which are told when all is read.
    moved: BTreeMap<Symbol, BTreeSet<SessionId>>,
    /// Orders found ended whose strategies wait for a word of them, which comes when all is read.
    pub(super) unheard: BTreeSet<ClientOrderId>,
    /// Symbols that an earlier run had read and never used.
    unused: Vec<Symbol>,
    /// Whose turn is next; whether balances wait for it.
    wanted: VecDeque<(Symbol, bool)>,
    under_way: BTreeMap<Symbol, Scan>,
    /// When symbols were last looked through for a difference.
    suspected: BTreeMap<Symbol, Time>,
    /// Symbols whose past is read and on its way to the disk.
    committing: BTreeSet<Symbol>,
    /// Symbols of which an order was refused because they are not read yet.
    refused: BTreeSet<Symbol>,
    replies: Vec<Patient>,
    /// Balances wait to be judged.
    pub(super) judge_after: bool,
}

impl Scans {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.replies.iter().map(|patient| patient.until).min()
    }

    pub(super) fn fold(&mut self, record: &Record) {
        match record {
            Record::Start(start) => drop(self.runs.insert(start.epoch)),
            Record::Scanned { symbol } => {
                self.moved.remove(symbol);
                self.read.insert(symbol.clone());
            }
            Record::Fill(fill) => self.booked(&fill.symbol, fill.session),
            Record::Allocation(part) => self.booked(&part.symbol, Some(part.session)),
            Record::Listing { symbol, unread: false, .. } => drop(self.read.insert(symbol.clone())),
            Record::Listing { symbol, unread: true, .. } => drop(self.read.remove(symbol)),
            _ => {}
        }
    }

    /// Of a reading that a kill cut short: who was booked something is told once it is over.
    fn booked(&mut self, symbol: &Symbol, session: Option<SessionId>) {
        if !self.read.contains(symbol) {
            self.moved.entry(symbol.clone()).or_default().extend(session);
        }
    }

    /// What was read and not used since is read again: the first order of a symbol may have been filled and its listing
    /// lost with the end of the journal, and no trade before the next listing would ever be looked for.
    pub(super) fn forget_unlisted(&mut self, books: &Books) {
        self.unused = self.read.extract_if(.., |symbol| books.listing(symbol).is_none()).collect();
    }

    /// Is the symbol's past in the books?
    pub(super) fn has(&self, symbol: &Symbol) -> bool {
        self.read.contains(symbol)
    }

    /// Is the symbol's past read to its end, though perhaps not on the disk yet?
    pub(super) fn is_read(&self, symbol: &Symbol) -> bool {
        self.has(symbol) || self.committing.contains(symbol)
    }

    /// Symbols that refuse orders because of their past.
    pub(super) fn refused(&self) -> impl Iterator<Item = &Symbol> {
        self.refused.iter()
    }

    /// Is the past of that symbol waited for?
    pub(super) fn is_reading(&self, symbol: &Symbol) -> bool {
        self.is_to_read(symbol) || self.committing.contains(symbol)
    }

    /// Has that symbol's past yet to be read, in part or as a whole?
    fn is_to_read(&self, symbol: &Symbol) -> bool {
        self.under_way.contains_key(symbol) || self.wanted.iter().any(|(wanted, _)| wanted == symbol)
    }

    /// Is the past of that symbol being read?
    pub(super) fn is_under_way(&self, symbol: &Symbol) -> bool {
        self.under_way.contains_key(symbol)
    }

    /// Must balances wait for what is being read?
    pub(super) fn may_explain(&self) -> bool {
        let patient = |scan: &Scan| scan.explains && scan.failures < PATIENCE;
        self.wanted.iter().any(|(_, explains)| *explains) || self.under_way.values().any(patient)
    }

    /// The link is lost, and questions with it: what was under way begins again.
    pub(super) fn forget_questions(&mut self) {
        for (symbol, scan) in std::mem::take(&mut self.under_way) {
            self.wanted.push_front((symbol, scan.explains));
        }
    }
}

impl Gateway {
    /// The past of a symbol is needed.
    pub(super) fn want_past(&mut self, now: Time, symbol: &Symbol) {
        if self.scans.has(symbol) {
            return;
        }
        let explains = !self.tie_out.is_open() || self.books.listing(symbol).is_some();
        self.want(symbol, explains);
        self.scan_next(now);
    }

    fn want(&mut self, symbol: &Symbol, explains: bool) {
        if !self.scans.is_reading(symbol) {
            self.scans.wanted.push_back((symbol.clone(), explains));
        }
    }

    /// An order waits for it.
    pub(super) fn want_past_soon(&mut self, now: Time, symbol: &Symbol) {
        self.want_past(now, symbol);
        if let Some(at) = self.scans.wanted.iter().position(|(wanted, _)| wanted == symbol)
            && let Some(first) = self.scans.wanted.remove(at)
        {
            self.scans.wanted.push_front(first);
        }
        if !self.scans.has(symbol) && self.scans.refused.insert(symbol.clone()) {
            self.tell_state();
        }
    }

    /// Replies to a subscription once the past of its symbols is known, so that the positions it goes with are true;
    /// at once where that cannot be had, and in a moment at the latest.
    pub(super) fn reply_with_past(&mut self, now: Time, conn: ConnId, reply: Bytes, symbols: &[Symbol]) {
        for symbol in symbols {
            self.want_past(now, symbol);
        }
        let symbols: Vec<Symbol> = symbols.iter().filter(|symbol| !self.scans.has(symbol)).cloned().collect();
        if symbols.is_empty() || !self.recovery.compares() || self.recovery.may_lag() {
            return self.send(conn, reply);
        }
        let until = now + REPLY_WITHIN;
        self.scans.replies.push(Patient { conn, reply, symbols, until });
    }

    /// Sends the replies that need not wait any longer.
    pub(super) fn scan_timer(&mut self, now: Time) {
        let Scans { replies, read, .. } = &mut self.scans;
        let known = |patient: &mut Patient| {
            patient.until <= now || patient.symbols.iter().all(|symbol| read.contains(symbol))
        };
        let due: Vec<Patient> = replies.extract_if(.., known).collect();
        for Patient { conn, reply, .. } in due {
            self.send(conn, reply);
        }
    }

    /// What the journal has met and not read, and what the lost journal's positions name.
    pub(super) fn want_unread(&mut self, now: Time) {
        let named: Vec<Symbol> = self.lost_positions.iter().map(|row| row.symbol.clone()).collect();
        for symbol in named {
            self.list_reported(now, &symbol);
        }
        let mut symbols: Vec<Symbol> = self.books.cursors().keys().cloned().collect();
        symbols.append(&mut self.scans.unused);
        for symbol in symbols {
            if self.instrument(&symbol).is_ok() && !self.scans.has(&symbol) {
                self.want(&symbol, true);
            }
        }
        self.scan_next(now);
    }

    /// Begins what there is room for.
    pub(super) fn scan_next(&mut self, now: Time) {
        if !self.recovery.compares() {
            return;
        }
        // What cannot be had is asked for ever again, and holds up nothing else.
        let busy = |scan: &&Scan| scan.stage != Stage::Lag && scan.failures < PATIENCE;
        while self.scans.under_way.values().filter(busy).count() < AT_ONCE {
            let Some((symbol, explains)) = self.scans.wanted.pop_front() else { return };
            let Ok(instrument) = self.instrument(&symbol) else { continue };
            let mut scan = Scan::new(explains);
            if instrument.rules.conditionals_apart {
                scan.stage = Stage::Conditionals;
            }
            self.scans.under_way.insert(symbol.clone(), scan);
            self.ask_past(now, &symbol);
        }
    }

    fn ask_past(&mut self, now: Time, symbol: &Symbol) {
        let Some(scan) = self.scans.under_way.get(symbol) else { return };
        let symbol = symbol.clone();
        let query = match scan.stage {
            Stage::Conditionals => {
                Query::OrdersFrom { symbol: symbol.clone(), from: scan.next_order, conditional: true }
            }
            Stage::Orders => {
                Query::OrdersFrom { symbol: symbol.clone(), from: scan.next_order, conditional: false }
            }
            Stage::Trades => Query::TradesFrom { symbol: symbol.clone(), from: scan.next_trade },
            Stage::Lag | Stage::Orphans => return,
        };
        self.ask(now, &query.clone(), Purpose::Past { symbol, query });
    }

    /// Answers do not lag any more: what was read before is read on.
    pub(super) fn scan_after_lag(&mut self, now: Time) {
        let waiting: Vec<Symbol> = (self.scans.under_way.iter_mut())
            .filter(|(_, scan)| scan.stage == Stage::Lag)
            .map(|(symbol, scan)| {
                scan.stage = Stage::Orders;
                symbol.clone()
            })
            .collect();
        for symbol in waiting {
            self.ask_past(now, &symbol);
        }
    }

    pub(super) fn past_answered(&mut self, now: Time, symbol: &Symbol, query: Query, answer: Answer) {
        let Some(stage) = self.scans.under_way.get(symbol).map(|scan| scan.stage) else { return };
        match (stage, answer) {
            (Stage::Conditionals, Answer::Orders(orders)) => self.past_conditionals(now, symbol, orders),
            (Stage::Orders, Answer::Orders(orders)) => self.past_orders(now, symbol, &orders),
            (Stage::Trades, Answer::Trades(fills)) => self.past_trades(now, symbol, &fills),
            (_, answer) => {
                let fields = format!("query={query:?} answer={answer:?}");
                self.log(LogLevel::Warn, "a page of the past was not had; asking again", fields);
                let purpose = Purpose::Past { symbol: symbol.clone(), query: query.clone() };
                self.recovery.postponed.ask_at(now + AGAIN, query, purpose);
                self.past_failed(now, symbol);
            }
        }
    }

    fn past_failed(&mut self, now: Time, symbol: &Symbol) {
        let Some(scan) = self.scans.under_way.get_mut(symbol) else { return };
        scan.failures += 1;
        if scan.failures == PATIENCE {
            let fields = format!("symbol={symbol}");
            self.log(LogLevel::Error, "the past of a symbol cannot be had; going on with others", fields);
            self.scan_next(now);
            self.judge_now(now);
        }
    }

    /// Balances that have waited for a past are judged.
    fn judge_now(&mut self, now: Time) {
        if !self.scans.may_explain() && std::mem::take(&mut self.scans.judge_after) {
            self.ask(now, &Query::Account, Purpose::Account);
        }
    }

    /// Goes on with the next page, or the next stage.
    fn past_page(&mut self, now: Time, symbol: &Symbol, full: bool, next: Stage, from: Option<u64>) {
        let Some(scan) = self.scans.under_way.get_mut(symbol) else { return };
        scan.failures = 0;
        match (scan.stage, from) {
            (Stage::Trades, Some(from)) => scan.next_trade = from,
            (_, Some(from)) => scan.next_order = from,
            (_, None) => {}
        }
        if !full {
            if scan.stage == Stage::Conditionals {
                scan.next_order = 1;
            }
            scan.stage = next;
        }
        self.ask_past(now, symbol);
    }

    /// Conditional orders: only what they triggered matters, those that wait are among the open ones.
    fn past_conditionals(&mut self, now: Time, symbol: &Symbol, orders: Vec<OrderReport>) {
        let last = orders.iter().filter_map(|o| o.conditional_id).max();
        let (full, from) = (orders.len() >= PAGE, last.map(|last| last + 1));
        let ours: Vec<OrderReport> =
            orders.into_iter().filter(|o| o.venue_id != 0 && self.ours(&o.client_id).is_some()).collect();
        if let Some(scan) = self.scans.under_way.get_mut(symbol) {
            scan.parents.extend(ours.into_iter().map(|o| (o.venue_id, o)));
        }
        self.past_page(now, symbol, full, Stage::Orders, from);
    }

    /// The session's parts in an id of ours.
    fn ours(&self, id: &ClientOrderId) -> Option<IdParts> {
        id.parts().filter(|parts| parts.install == self.config.install)
    }

    fn past_orders(&mut self, now: Time, symbol: &Symbol, orders: &[OrderReport]) {
        for report in orders {
            self.past_order(now, symbol, report);
        }
        let from = orders.iter().map(|report| report.venue_id + 1).max();
        self.past_page(now, symbol, orders.len() >= PAGE, Stage::Trades, from);
    }

    fn past_order(&mut self, now: Time, symbol: &Symbol, report: &OrderReport) {
        let Some(scan) = self.scans.under_way.get(symbol) else { return };
        let parent = scan.parents.get(&report.venue_id).cloned();
        let named = parent.as_ref().map_or(&report.client_id, |parent| &parent.client_id);
        let parts = self.ours(named);
        let id = parts.map(|p| self.order_id(p.epoch, p.session, p.command));
        let known = self.orders.by_venue(symbol, report.venue_id);
        let known = known.or_else(|| id.as_ref().and_then(|id| self.orders.get(id)));
        let over = known.map(|order| order.state.is_over() && order.venue_id == Some(report.venue_id));
        let Some(scan) = self.scans.under_way.get_mut(symbol) else { return };
        match (over, parts) {
            (Some(true), _) => drop(scan.ended.insert(report.venue_id)),
            (Some(false), _) => self.past_living(now, parent, report),
            (None, _) if !report.status.is_terminal() => self.past_living(now, parent, report),
            // This journal's run sent it, and was killed before that was on the disk: its strategy may wait for it.
            (None, Some(parts)) if self.scans.runs.contains(&parts.epoch) && !report.filled.is_zero() => {
                self.past_living(now, parent, report);
            }
            (None, None) if report.forced.is_none() => drop(scan.foreign.insert(report.venue_id)),
            (None, _) => {
                scan.ended.insert(report.venue_id);
                if let Some(parts) = parts {
                    self.heed_epoch(now, parts, report, Source::Query);
                }
                self.take_ended(now, id.as_ref(), parts, parent.as_ref(), report);
            }
        }
    }

    /// An order that may still live, or whose end is news.
    fn past_living(&mut self, now: Time, parent: Option<OrderReport>, report: &OrderReport) {
        if let Some(parent) = parent {
            self.report(now, &parent, Source::Query);
        }
        self.report(now, report, Source::Query);
    }

    /// An order that ended before this journal: recorded as it ended, and nobody is told.
    fn take_ended(
        &mut self,
        now: Time,
        id: Option<&ClientOrderId>,
        parts: Option<IdParts>,
        parent: Option<&OrderReport>,
        report: &OrderReport,
    ) {
        // Nothing came of it: its id is all that mattered.
        if report.filled.is_zero() || self.list_reported(now, &report.symbol).is_none() {
            return;
        }
        let Some(end) = report.status.end() else { return };
        let foreign = super::fact::foreign_name(report);
        let id = id.unwrap_or(&foreign);
        let mut record = super::fact::adopted(now, id, parts, report);
        record.conditional = parent.is_some();
        let state = OrderStateRecord {
            id: id.clone(),
            state: end.as_str().to_owned(),
            venue_id: Some(report.venue_id),
            conditional_id: parent.and_then(|parent| parent.conditional_id),
            known_as: (report.client_id != *id).then(|| report.client_id.clone()),
            qty: Some(report.qty),
            price: record.price,
            filled: report.filled,
            reason: report.reason.clone(),
            time: report.time,
        };
        self.orders.insert(&record);
        self.orders.fold_state(&state);
        self.commits.push(Record::Order(record));
        self.commits.push(Record::OrderState(state));
    }

    fn past_trades(&mut self, now: Time, symbol: &Symbol, fills: &[Fill]) {
        for fill in fills {
            if self.books.has(&(fill.symbol.clone(), fill.trade_id, fill.venue_id)) {
                continue;
            }
            let Some(scan) = self.scans.under_way.get(symbol) else { return };
            let (ended, foreign) =
                (scan.ended.contains(&fill.venue_id), scan.foreign.contains(&fill.venue_id));
            match self.orders.by_venue(symbol, fill.venue_id).map(|order| (order.id.clone(), order.session)) {
                Some((id, session)) if ended => self.past_fill(now, symbol, &id, session, fill),
                Some((id, _)) => self.late_fill(now, &id, fill),
                // The opening holds it.
                None if foreign && self.tie_out.covers(fill.time) => {}
                None => {
                    if self.list_reported(now, symbol).is_some() {
                        self.orphan(now, fill);
                    }
                }
            }
        }
        if self.books.listing(symbol).is_some() {
            self.advance_cursor(symbol, fills);
        }
        let next = if self.recovery.may_lag() { Stage::Lag } else { Stage::Orphans };
        self.past_page(now, symbol, fills.len() >= PAGE, next, next_trade(fills));
        self.past_settled(now, symbol);
    }

    /// A fill of an order that ended long ago.
    fn past_fill(
        &mut self,
        now: Time,
        symbol: &Symbol,
        id: &ClientOrderId,
        session: Option<SessionId>,
        fill: &Fill,
    ) {
        if self.record_fill(now, id, fill).is_none() {
            return;
        }
        self.balance_past(fill);
        self.recovery.saw(symbol);
        let fields = format!("order={id} trade={} time={}", fill.trade_id, now.millis());
        self.log(LogLevel::Debug, "fill found in the past", fields);
        self.scans.moved.entry(symbol.clone()).or_default().extend(session);
    }

    /// Something older than the books was booked to a session: it is told of its position once the past is read.
    pub(super) fn tell_found(&mut self, now: Time, session: SessionId, symbol: &Symbol) {
        if self.scans.is_to_read(symbol) {
            self.scans.moved.entry(symbol.clone()).or_default().insert(session);
            return;
        }
        let position = self.position_view(session, symbol);
        self.tell(now, session, Private::Position { position, reason: FOUND.to_owned(), fill: None });
    }

    /// The other side of a fill that is older than the books: what it moved is in their opening.
    pub(super) fn balance_past(&mut self, fill: &Fill) {
        if !self.tie_out.covers(fill.time) {
            return;
        }
        let Some(listing) = self.books.listing(&fill.symbol).cloned() else { return };
        let signed = fill.side.signed(fill.qty).as_cash();
        let paid = if signed.is_negative() { fill.quote } else { -fill.quote };
        let mut moved: BTreeMap<Asset, Cash> = BTreeMap::new();
        *moved.entry(listing.holding).or_default() += signed;
        *moved.entry(listing.quote).or_default() += fill.realised.unwrap_or(paid);
        if let Some(asset) = &fill.fee_asset {
            *moved.entry(asset.clone()).or_default() += -fill.fee;
        }
        // What the opening was corrected by counts from the first opening on, a fill of the time until then included.
        let time = self.tie_out.first_opened().map_or(fill.time, |first| fill.time.min(first));
        for (asset, amount) in moved.into_iter().filter(|(_, amount)| !amount.is_zero()) {
            let (owner, reason) = (Owner::External, PAST.to_owned());
            self.emit(Record::Cash(CashRecord { owner, asset, delta: -amount, reason, time }));
        }
    }

    /// Fills whose order was asked for are booked: that may have been all that was missing.
    pub(super) fn past_settled(&mut self, now: Time, symbol: &Symbol) {
        let waits = |scan: &Scan| scan.stage == Stage::Orphans;
        if self.scans.under_way.get(symbol).is_some_and(waits) && !self.orphans.wait_in(symbol) {
            self.past_read(now, symbol);
        }
    }

    /// The past is known.
    fn past_read(&mut self, now: Time, symbol: &Symbol) {
        let Some(scan) = self.scans.under_way.remove(symbol) else { return };
        let moved = self.scans.moved.remove(symbol).unwrap_or_default();
        let fields = format!("symbol={symbol} orders={} sessions={moved:?}", scan.ended.len());
        self.log(LogLevel::Info, "past read", fields);
        self.recovery.saw(symbol);
        self.tell_gaps(symbol, &scan.ended);
        self.scans.committing.insert(symbol.clone());
        self.commits.push(Record::Scanned { symbol: symbol.clone() });
        // Orders follow: what a loss of power takes of the journal must not be that there may be any.
        self.commits.sync();
        for session in moved {
            self.tell_found(now, session, symbol);
        }
        let of_it = |id: &ClientOrderId| self.orders.get(id).is_some_and(|order| order.symbol == *symbol);
        for id in self.scans.unheard.extract_if(.., |id| of_it(id)).collect::<Vec<_>>() {
            self.tell_order(now, &id, None);
        }
        self.commits.hold(Held::Scanned(symbol.clone()));
        self.read_fundings(now, symbol);
        self.scan_next(now);
        self.judge_now(now);
    }

    /// Orders that ended, and of which the exchange has counted more than it shows.
    fn tell_gaps(&mut self, symbol: &Symbol, ended: &BTreeSet<VenueOrderId>) {
        let orders = ended.iter().filter_map(|number| self.orders.by_venue(symbol, *number));
        let told: Vec<String> = (orders.filter(|order| order.has_gap()))
            .map(|order| format!("order={} counted={} booked={}", order.id, order.told, order.filled))
            .collect();
        for fields in told {
            self.log(LogLevel::Error, "fills the exchange has counted are not shown", fields);
        }
    }

    /// The past is on the disk: orders may follow.
    pub(super) fn past_committed(&mut self, now: Time, symbol: &Symbol) {
        self.scans.read.insert(symbol.clone());
        self.scans.committing.remove(symbol);
        self.scan_timer(now);
        self.compare_lost();
        if self.scans.refused.remove(symbol) {
            self.tell_state();
        }
    }

    /// Positions of contracts nobody here has used yet: perhaps a session's of an earlier life.
    pub(super) fn meet_positions(&mut self, now: Time) {
        let held: Vec<Symbol> = (self.instruments.iter().flat_map(BTreeMap::values))
            .filter(|i| i.kind == InstrumentKind::Perpetual && !self.scans.has(&i.symbol))
            .filter(|i| !self.tie_out.balance(&i.holding).0.is_zero())
            .map(|i| i.symbol.clone())
            .collect();
        for symbol in held {
            self.want_past(now, &symbol);
        }
    }

    /// Balances differ from the books: symbols nobody here has used may explain it, if trading in them would move
    /// what differs. True: some are being looked through.
    pub(super) fn look_through(&mut self, now: Time, differing: &BTreeSet<Asset>) -> bool {
        let fresh = |at: &Time| now.since(*at) < NOT_AGAIN;
        let candidates: Vec<Symbol> = (self.instruments.iter().flat_map(BTreeMap::values))
            .filter(|i| differing.contains(&i.holding))
            .filter(|i| differing.contains(&i.quote) || i.kind == InstrumentKind::Perpetual)
            .filter(|i| self.books.listing(&i.symbol).is_none())
            .filter(|i| !self.scans.suspected.get(&i.symbol).is_some_and(fresh))
            .map(|i| i.symbol.clone())
            .take(CANDIDATES)
            .collect();
        for symbol in &candidates {
            self.log(LogLevel::Warn, "balances differ; looking through a symbol", format!("symbol={symbol}"));
            self.scans.suspected.insert(symbol.clone(), now);
            self.want(symbol, true);
        }
        self.scan_next(now);
        !candidates.is_empty()
    }

    /// What the lost journal's `pos.db` showed, against what was found; each row is told once, never taken.
    fn compare_lost(&mut self) {
        let mut rows = std::mem::take(&mut self.lost_positions);
        let found =
            |row: &mut LostPosition| self.scans.has(&row.symbol) || self.instrument(&row.symbol).is_err();
        let due: Vec<LostPosition> = rows.extract_if(.., found).collect();
        self.lost_positions = rows;
        for LostPosition { session, symbol, qty, avg_price } in due {
            let found = self.books.position(session, &symbol);
            let rebuilt = (found.qty, found.avg_price());
            let fields = format!(
                "session={session} symbol={symbol} shown={qty} shown_avg_price={avg_price} found={} \
                 found_avg_price={}",
                rebuilt.0, rebuilt.1
            );
            if rebuilt == (qty, avg_price) {
                self.log(LogLevel::Info, "position found again at the exchange", fields);
                continue;
            }
            let advice = format!(
                "what was filled since, an edit that only the lost journal knew, or fills older than the exchange \
                 shows; if the shown one is right: stop the gateway and run on pos.db: INSERT OR REPLACE INTO \
                 position(session_id, symbol, qty, avg_price) VALUES ({session}, '{symbol}', {qty}, {avg_price});"
            );
            let fields = format!("{fields} advice={advice:?}");
            self.log(LogLevel::Error, "position differs from what the lost journal's pos.db showed", fields);
        }
    }
}
