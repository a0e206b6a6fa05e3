//! Comparing with the exchange: at start, after every loss of the private stream, and regularly.
//!
//! ```text
//!   Down ──entry up──▶ Waiting ──epoch durable, symbols loaded──▶ First ──▶ Lag ──▶ Second ──▶ Ready
//!    ▲                                              (cancels from here on)            (orders)   │
//!    └──────────────────────────────── entry down, from anywhere ◀──────────────────────────────┘
//! ```
//!
//! The first pass reads open orders, the account, the fate of every order believed open, and own trades of every
//! symbol in use from its cursor with overlap. Answers may lag, so a second pass, one lag later, reads again what
//! could have moved, of open orders only those symbols' where that is cheaper. Private events are not buffered
//! meanwhile: reports only ever raise what is known, so order does not matter. In `Ready` the same round runs as a
//! sweep, sooner for a minute after anything went wrong. Sweeps are paced by the rate budget: a hundred symbols cost a
//! third of a minute's weight. The passes, for which trading waits, may use more of it than sweeps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Gateway;
use super::io::{GatewayConfig, LogLevel};
use super::later::Postponed;
use crate::ids::{ClientOrderId, SessionId, Symbol, TradeId, VenueOrderId};
use crate::journal::Record;
use crate::ledger::books::Cursor;
use crate::order::state::State;
use crate::time::{Span, Time, earliest};
use crate::venue::port::{Answer, Fill, OrderReport, Query};
use crate::wire::event::{GatewayState, StateEvent};

/// Own trades read again before the cursor, as replicas may have shown them late.
const OVERLAP: Span = Span::from_secs(60);
/// Rows of a full page.
pub(super) const PAGE: usize = 1000;
/// Longest window of a query by time.
const DAY: Span = Span::from_secs(24 * 3600);
/// The cursor of a symbol never traded stays this far behind the present.
const HALF_DAY: Span = Span::from_secs(12 * 3600);
/// How long sweeps are sooner after a fault, and by which factor.
const FAST_FOR: Span = Span::from_secs(60);
const FAST_FACTOR: i64 = 12;
/// How long doubts wait for the list of open orders after a connection is made.
const LISTED_WITHIN: Span = Span::from_secs(5);
/// Pause before a question that could not be answered is asked again.
pub(super) const RETRY: Span = Span::from_secs(1);
/// Longest such pause while fills are missing.
const RETRY_MAX: Span = Span::from_secs(60);
/// Pause while nothing waits for them any more.
const RETRY_RARELY: Span = Span::from_secs(3_600);
/// Missing fills are waited for until they were asked for so often and so long.
const SOUGHT_TIMES: u32 = 10;
const SOUGHT_FOR: Span = Span::from_secs(600);

/// Why a question was asked.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// All open orders.
    OpenOrders {
        /// When it was asked: younger orders may be missing.
        asked: Time,
        /// Those that wait among the venue's conditional orders, or the others?
        conditional: bool,
        /// Of this symbol only.
        of: Option<Symbol>,
    },
    /// The account.
    Account,
    /// Own trades of a symbol.
    Trades {
        /// Symbol.
        symbol: Symbol,
        /// The question.
        query: Query,
    },
    /// Fate of an order in doubt.
    Doubt {
        /// Which.
        order: ClientOrderId,
    },
    /// An order of which more seems to be filled than was ordered.
    Overfill {
        /// Which.
        order: ClientOrderId,
    },
    /// Order of a fill nobody knows.
    Orphan {
        /// Symbol.
        symbol: Symbol,
        /// The venue's number.
        venue_id: VenueOrderId,
    },
    /// What a conditional order says of itself, as another one may have come of it.
    Parent {
        /// Symbol.
        symbol: Symbol,
        /// The number of the order nobody knows.
        venue_id: VenueOrderId,
        /// The conditional order.
        order: ClientOrderId,
    },
    /// Rates of a contract's fundings.
    Funding {
        /// The question.
        query: Query,
        /// When it was asked first: younger fundings may be missing.
        asked: Time,
    },
    /// Payments and charges.
    Income {
        /// The question.
        query: Query,
        /// When it was asked first: younger rows may be missing.
        asked: Time,
    },
    /// The past of a symbol.
    Past {
        /// Symbol.
        symbol: Symbol,
        /// The question.
        query: Query,
    },
    /// Fills the venue has counted and we have not.
    Missing {
        /// Of which order.
        order: ClientOrderId,
        /// The question.
        query: Query,
    },
}

impl Purpose {
    /// The question for open orders that this is the purpose of.
    pub(super) fn open_orders_query(&self) -> Option<Query> {
        let Self::OpenOrders { conditional, of, .. } = self else { return None };
        let conditional = *conditional;
        Some(match of {
            Some(symbol) => Query::OpenOrdersOf { symbol: symbol.clone(), conditional },
            None if conditional => Query::OpenConditionals,
            None => Query::OpenOrders,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Down(String),
    Waiting,
    First,
    Lag(Time),
    Second,
    Ready,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Recovery {
    phase: Phase,
    lag: Span,
    sweep_every: Span,
    requests: u64,
    purposes: BTreeMap<u64, Purpose>,
    /// Questions of the round under way.
    round: BTreeSet<u64>,
    pub(super) postponed: Postponed,
    /// Orders of which fills are missing: how often and since when that was answered.
    sought: BTreeMap<ClientOrderId, (u32, Time)>,
    /// Of each symbol the highest trade seen that is so old that none before it can still show up.
    settled: BTreeMap<Symbol, TradeId>,
    /// Symbols the second pass has yet to read.
    unread: BTreeSet<Symbol>,
    /// Symbols something happened in since the last round.
    active: BTreeSet<Symbol>,
    sweep_at: Option<Time>,
    /// When the round under way began, or the last one.
    round_began: Option<Time>,
    /// When the last whole round began that was answered.
    looked: Option<Time>,
    /// The rate budget allows no round before this.
    not_before: Time,
    /// All open orders are looked at again at this time, be it dearer than those of the symbols in use.
    whole_at: Time,
    fast_until: Time,
}

impl Recovery {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        Self {
            phase: Phase::Down("not connected yet".to_owned()),
            lag: config.recovery_lag,
            sweep_every: config.sweep_every,
            requests: 0,
            purposes: BTreeMap::new(),
            round: BTreeSet::new(),
            postponed: Postponed::default(),
            sought: BTreeMap::new(),
            settled: BTreeMap::new(),
            unread: BTreeSet::new(),
            active: BTreeSet::new(),
            sweep_at: None,
            round_began: None,
            looked: None,
            not_before: Time::default(),
            whole_at: Time::default(),
            fast_until: Time::default(),
        }
    }

    /// When the last look at the exchange began that was answered in whole.
    pub(super) fn looked(&self) -> Option<Time> {
        self.looked
    }

    /// Is the private link up, so that cancels and questions can be sent?
    pub(super) fn connected(&self) -> bool {
        !matches!(self.phase, Phase::Down(_))
    }

    /// Where it stands, in a word.
    pub(super) const fn word(&self) -> &'static str {
        match self.phase {
            Phase::Down(_) => "down",
            Phase::Waiting => "waiting",
            Phase::First => "first_pass",
            Phase::Lag(_) => "lag",
            Phase::Second => "second_pass",
            Phase::Ready => "ready",
        }
    }

    /// Symbols the second pass has yet to read.
    pub(super) fn unread(&self) -> &BTreeSet<Symbol> {
        &self.unread
    }

    pub(super) fn reason(&self) -> &str {
        if let Phase::Down(reason) = &self.phase { reason } else { "" }
    }

    /// May new orders of the symbol be sent?
    pub(super) fn may_trade(&self, symbol: &Symbol) -> bool {
        match self.phase {
            Phase::Ready => true,
            Phase::Second => !self.unread.contains(symbol),
            _ => false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        if !self.connected() {
            return None;
        }
        let lag = if let Phase::Lag(until) = self.phase { Some(until) } else { None };
        let sweep = if self.phase == Phase::Ready { self.sweep_at } else { None };
        let retry = self.postponed.deadline();
        earliest(lag, earliest(sweep, retry))
    }

    /// A number for a new question.
    pub(super) fn number(&mut self, purpose: Purpose) -> u64 {
        self.requests += 1;
        self.purposes.insert(self.requests, purpose);
        self.requests
    }

    /// Have the links and all that is needed been there long enough to ask?
    pub(super) fn compares(&self) -> bool {
        !matches!(self.phase, Phase::Down(_) | Phase::Waiting)
    }

    /// May answers still miss what happened before the link was made?
    pub(super) fn may_lag(&self) -> bool {
        matches!(self.phase, Phase::First | Phase::Lag(_))
    }

    /// Asks for an order's trades at `at`, if fills are still missing then.
    pub(super) fn ask_missing(&mut self, at: Time, order: &ClientOrderId, query: Query) {
        let purpose = Purpose::Missing { order: order.clone(), query: query.clone() };
        self.postponed.ask_at(at, query, purpose);
    }

    /// Are that order's trades being asked for, or will be?
    pub(super) fn seeks(&self, id: &ClientOrderId) -> bool {
        self.postponed.seeks(id) || self.is_seeking(id)
    }

    fn is_seeking(&self, id: &ClientOrderId) -> bool {
        let seeks = |purpose: &Purpose| matches!(purpose, Purpose::Missing { order, .. } if order == id);
        self.purposes.values().any(seeks)
    }

    /// Those trades need not be asked for later. Is a question for them on its way?
    pub(super) fn ask_no_later(&mut self, id: &ClientOrderId) -> bool {
        self.postponed.seek_no_more(id);
        self.is_seeking(id)
    }

    /// Orders of that symbol wait for no more answer of the second pass.
    pub(super) fn passes(&mut self, symbol: &Symbol) {
        self.unread.remove(symbol);
    }

    /// Something happened in that symbol.
    pub(super) fn saw(&mut self, symbol: &Symbol) {
        self.active.insert(symbol.clone());
    }

    /// Something went wrong: look more often for a while.
    pub(super) fn fault(&mut self, now: Time) {
        self.fast_until = now + FAST_FOR;
        self.sweep_at = earliest(self.sweep_at, Some(self.next_sweep(now)));
    }

    fn next_sweep(&self, now: Time) -> Time {
        let fast = now < self.fast_until;
        let pause = if fast { self.sweep_every.nanos() / FAST_FACTOR } else { self.sweep_every.nanos() };
        (now + Span::from_nanos(pause)).max(self.not_before)
    }

    fn forget_questions(&mut self) {
        self.purposes.clear();
        self.round.clear();
        self.postponed.clear();
    }
}

/// Where the next page of trades begins: both orders of a trade with oneself bear its number, and the page may have
/// ended between them. What is read twice is booked once.
pub(super) fn next_trade(page: &[Fill]) -> Option<TradeId> {
    let last = page.iter().map(|fill| fill.trade_id).max()?;
    let stuck = page.len() >= PAGE && page.iter().all(|fill| fill.trade_id == last);
    Some(if stuck { last + 1 } else { last })
}

impl Gateway {
    /// Symbols that cannot trade although all else is ready.
    pub(super) fn not_ready(&self) -> Vec<Symbol> {
        let spoiled = self.bad_edits.iter().filter_map(|bad| bad.symbol.as_ref());
        let unready = spoiled.chain(self.scans.refused()).chain(self.absences.symbols());
        let not_ready: BTreeSet<Symbol> = unready.cloned().collect();
        not_ready.into_iter().collect()
    }

    /// As that session sees it.
    pub(super) fn state_event(&self, session: SessionId) -> StateEvent {
        let (state, reason) = match &self.recovery.phase {
            Phase::Down(reason) => (GatewayState::Down, reason.clone()),
            Phase::Ready => (GatewayState::Ready, String::new()),
            _ => (GatewayState::Recovering, "comparing with the exchange".to_owned()),
        };
        let not_ready = self.not_ready();
        let stopped = self.stopped(session);
        StateEvent { event: "state".to_owned(), state, reason, not_ready, stopped }
    }

    pub(super) fn tell_state(&mut self) {
        let event = self.state_event(SessionId(0));
        self.log(LogLevel::Info, "state", format!("state={:?} reason={:?}", event.state, event.reason));
        let owners: Vec<_> = self.sessions.iter().filter_map(|(id, s)| Some((*id, s.owner?))).collect();
        for (session, conn) in owners {
            let event = self.state_event(session);
            let frame = serde_json::to_string(&event).expect("states are made of strings");
            self.send(conn, Bytes::from(frame));
        }
    }

    pub(super) fn entry_up(&mut self, now: Time) {
        self.feed.reached(now);
        self.recovery.phase = Phase::Waiting;
        self.recovery.forget_questions();
        self.scans.forget_questions();
        self.fundings.forget_questions();
        // The list of open orders settles most doubts with one question; the rest is asked about one by one.
        self.doubts.ask_again(now + LISTED_WITHIN);
        self.ask_of_fills_again(now);
        self.recovery_begin(now);
    }

    /// Told again after every failed attempt to come back; sessions are told once.
    pub(super) fn entry_down(&mut self, now: Time, reason: &str) {
        let news = self.recovery.connected();
        self.counts.lost(now, news);
        self.recovery.phase = Phase::Down(reason.to_owned());
        self.tie_out.interrupted();
        self.recovery.forget_questions();
        self.scans.forget_questions();
        self.fundings.forget_questions();
        self.doubts.ask_again(now);
        self.ask_of_fills_again(now);
        if news {
            self.tell_state();
        }
    }

    /// Starts the first pass once everything it stands on is there.
    pub(super) fn recovery_begin(&mut self, now: Time) {
        let standing = self.epoch_durable && self.instruments.is_some();
        if self.recovery.phase != Phase::Waiting || !standing {
            return;
        }
        self.accept_waiting_edits(now);
        self.recovery.phase = Phase::First;
        self.entry.comparing(true);
        self.tell_state();
        // The others' trades are all read with their past.
        let symbols: BTreeSet<Symbol> =
            self.books.cursors().keys().filter(|symbol| self.scans.has(symbol)).cloned().collect();
        self.begin_round(now, &symbols);
        self.complete_listings();
        self.want_unread(now);
        self.orphan_timer(now);
        self.stray_timer(now);
    }

    fn begin_round(&mut self, now: Time, symbols: &BTreeSet<Symbol>) {
        self.recovery.active.clear();
        self.recovery.round_began = Some(now);
        let trades: Vec<(&Symbol, Query)> = symbols.iter().map(|s| (s, self.next_trades(now, s))).collect();
        let interest = self.config.margin.then(|| self.interest_query(now));
        let open = self.open_orders_queries(now, symbols);
        let mut queries = vec![Query::Account];
        queries.extend(interest.iter().chain(&open).map(|(query, _)| query.clone()));
        queries.extend(trades.iter().map(|(_, query)| query.clone()));
        self.recovery.not_before = now + self.entry.pace(now, &queries);
        for (query, purpose) in open {
            self.round_ask(now, query, purpose);
        }
        for (symbol, query) in trades {
            self.read_trades(now, symbol, query);
        }
        // Before the account: what it was charged then explains what it owes.
        if let Some((query, purpose)) = interest {
            self.round_ask(now, query, purpose);
        }
        self.round_ask(now, Query::Account, Purpose::Account);
        if matches!(self.recovery.phase, Phase::First | Phase::Second) {
            self.read_payments(now);
        }
    }

    /// How open orders are asked for: all of the account's in the first pass and as often as sweeps come, else those of
    /// the symbols in use where that is cheaper. An order entered elsewhere, in another symbol, is told by the private
    /// stream; should that have failed, the next whole look finds it.
    fn open_orders_queries(&mut self, now: Time, symbols: &BTreeSet<Symbol>) -> Vec<(Query, Purpose)> {
        let kinds: &[bool] = if self.conditionals_apart() { &[false, true] } else { &[false] };
        let mut used: BTreeSet<Option<Symbol>> =
            self.orders.open().map(|order| Some(order.symbol.clone())).collect();
        used.extend(symbols.iter().cloned().map(Some));
        let ask = |of: &BTreeSet<Option<Symbol>>| -> Vec<(Query, Purpose)> {
            of.iter()
                .flat_map(|of| kinds.iter().map(move |conditional| (of.clone(), *conditional)))
                .map(|(of, conditional)| Purpose::OpenOrders { asked: now, conditional, of })
                .filter_map(|purpose| Some((purpose.open_orders_query()?, purpose)))
                .collect()
        };
        let weight = |asked: &[(Query, Purpose)]| {
            let queries: Vec<Query> = asked.iter().map(|(query, _)| query.clone()).collect();
            self.entry.weight(&queries)
        };
        let (whole, parts) = (ask(&BTreeSet::from([None])), ask(&used));
        let due = self.recovery.phase == Phase::First || self.recovery.whole_at <= now;
        if due || weight(&parts) >= weight(&whole) {
            self.recovery.whole_at = now + self.recovery.sweep_every;
            whole
        } else {
            parts
        }
    }

    /// Fundings and payments since the last ones known: some may have been missed.
    fn read_payments(&mut self, now: Time) {
        let contracts = self.contracts_in_use();
        for symbol in &contracts {
            let (query, purpose) = self.funding_query(now, symbol);
            self.round_ask(now, query, purpose);
        }
        if self.books.contracts().next().is_some() {
            let (query, purpose) = self.income_query(now);
            self.round_ask(now, query, purpose);
        }
    }

    /// Does any instrument keep its conditional orders apart?
    fn conditionals_apart(&self) -> bool {
        self.instruments.as_ref().is_some_and(|all| all.values().any(|i| i.rules.conditionals_apart))
    }

    pub(super) fn round_ask(&mut self, now: Time, query: Query, purpose: Purpose) {
        let request = self.ask(now, &query, purpose);
        self.recovery.round.insert(request);
    }

    /// Own trades of a symbol, from the cursor with overlap.
    fn next_trades(&self, now: Time, symbol: &Symbol) -> Query {
        match self.books.reread_from(symbol, OVERLAP) {
            Some(from) => {
                // What is nobody's here is not booked: it is known by having been seen.
                let seen = self.recovery.settled.get(symbol).map_or(0, |trade| trade + 1);
                let last = self.books.cursors().get(symbol).map_or(from, |c| c.trade_id);
                Query::TradesFrom { symbol: symbol.clone(), from: from.max(seen.min(last)) }
            }
            None => {
                // Nothing read yet: from when the symbol was first used, a second less for the clocks' difference.
                let first = self.books.cursors().get(symbol).map_or(now, |c| c.time);
                Query::TradesSince { symbol: symbol.clone(), since: first - Span::from_secs(1) }
            }
        }
    }

    fn read_trades(&mut self, now: Time, symbol: &Symbol, query: Query) {
        let purpose = Purpose::Trades { symbol: symbol.clone(), query: query.clone() };
        self.round_ask(now, query, purpose);
    }

    pub(super) fn answered(&mut self, now: Time, request: u64, answer: Answer) {
        let Some(purpose) = self.recovery.purposes.remove(&request) else { return };
        let of_round = self.recovery.round.remove(&request);
        match (purpose, answer) {
            (Purpose::Doubt { order }, answer) => self.doubt_answered(now, &order, answer),
            (Purpose::Overfill { order }, answer) => self.overfill_answered(now, &order, answer),
            (Purpose::Orphan { symbol, venue_id }, answer) => {
                self.orphan_answered(now, symbol, venue_id, answer)
            }
            (Purpose::Parent { symbol, venue_id, order }, answer) => {
                self.parent_answered(now, &(symbol, venue_id), &order, answer);
            }
            (Purpose::Past { symbol, query }, answer) => self.past_answered(now, &symbol, query, answer),
            (Purpose::Missing { order, query }, Answer::Trades(fills)) => {
                self.missing_found(now, &order, query, &fills)
            }
            (Purpose::OpenOrders { asked, conditional, of }, Answer::Orders(orders)) => {
                self.open_orders(now, asked, conditional, of.as_ref(), &orders);
            }
            (Purpose::Account, Answer::Account(account)) => self.compare_account(now, account),
            (Purpose::Trades { symbol, query }, Answer::Trades(fills)) => {
                self.trades_page(now, &symbol, &query, &fills)
            }
            (Purpose::Funding { query: Query::Funding { symbol, .. }, asked }, Answer::Funding(rates)) => {
                let next = self.funding_answered(now, &symbol, asked, &rates);
                self.ask_next(now, of_round, next);
            }
            (Purpose::Income { asked, .. }, Answer::Income(rows)) => {
                let next = self.income_answered(now, asked, &rows);
                self.ask_next(now, of_round, next);
            }
            (purpose, answer) => self.ask_later(now, of_round, purpose, &answer),
        }
        if of_round {
            self.round_progress(now);
        }
    }

    /// The next page of an answer.
    fn ask_next(&mut self, now: Time, of_round: bool, next: Option<(Query, Purpose)>) {
        match next {
            Some((query, purpose)) if of_round => self.round_ask(now, query, purpose),
            Some((query, purpose)) => drop(self.ask(now, &query, purpose)),
            None => {}
        }
    }

    /// Open orders: each is taken in, and what we believe open but the exchange does not list is asked about.
    fn open_orders(
        &mut self,
        now: Time,
        asked: Time,
        conditional: bool,
        of: Option<&Symbol>,
        orders: &[OrderReport],
    ) {
        for report in orders {
            self.report(now, report, super::fact::Source::Query);
        }
        let number = |r: &OrderReport| if conditional { r.conditional_id } else { Some(r.venue_id) };
        let listed: BTreeSet<(Symbol, VenueOrderId)> =
            orders.iter().filter_map(|r| Some((r.symbol.clone(), number(r)?))).collect();
        let missing: Vec<ClientOrderId> = (self.orders.open())
            .filter(|o| o.changed < asked && o.state != State::Sent && o.waits() == conditional)
            .filter(|o| of.is_none_or(|symbol| o.symbol == *symbol))
            // What is being asked about already is no new fault.
            .filter(|o| !self.doubts.holds(&o.id))
            .filter(|o| {
                let number = if conditional { o.conditional_id } else { o.venue_id };
                number.is_none_or(|n| !listed.contains(&(o.symbol.clone(), n)))
            })
            .map(|o| o.id.clone())
            .collect();
        for id in missing {
            self.enter_doubt(now, &id, "not among the exchange's open orders");
        }
        self.doubts.wake(now);
        self.doubt_timer(now);
    }

    fn trades_page(&mut self, now: Time, symbol: &Symbol, query: &Query, fills: &[Fill]) {
        self.trades(now, fills);
        self.advance_cursor(symbol, fills);
        let on = || next_trade(fills).map(|from| Query::TradesFrom { symbol: symbol.clone(), from });
        let next = match query {
            Query::TradesFrom { .. } | Query::TradesSince { .. } if fills.len() >= PAGE => on(),
            Query::TradesSince { since, .. } if fills.is_empty() && *since + DAY < now => {
                Some(Query::TradesSince { symbol: symbol.clone(), since: *since + DAY })
            }
            // The window ends after a day; by number it goes on to the present.
            Query::TradesSince { .. } if !fills.is_empty() => on(),
            _ => None,
        };
        match next {
            Some(query) => self.read_trades(now, symbol, query),
            None => {
                if let Query::TradesSince { .. } = query {
                    self.nothing_traded(now, symbol);
                }
                self.recovery.passes(symbol);
            }
        }
    }

    /// No trade yet up to now: the next reading need not begin at the symbol's first use, which may be years ago.
    /// It stays far enough behind that no difference of the clocks hides a trade.
    fn nothing_traded(&mut self, now: Time, symbol: &Symbol) {
        let time = now - HALF_DAY;
        let old = |c: &Cursor| c.trade_id == 0 && time.since(c.time) > HALF_DAY;
        if self.books.cursors().get(symbol).is_some_and(old) {
            self.emit(Record::Cursor { symbol: symbol.clone(), trade_id: 0, time });
        }
    }

    /// The cursor says "all up to here are booked", so it stops before a fill whose order is still being asked for.
    pub(super) fn advance_cursor(&mut self, symbol: &Symbol, fills: &[Fill]) {
        let booked = !self.orphans.wait_in(symbol);
        let Some(last) = fills.iter().max_by_key(|f| f.trade_id) else { return };
        let known = self.books.cursors().get(symbol).map_or(0, |c| c.trade_id);
        if booked && last.trade_id > known {
            self.emit(Record::Cursor { symbol: symbol.clone(), trade_id: last.trade_id, time: last.time });
        }
        let Some(before) = self.books.cursors().get(symbol).map(|c| c.time - OVERLAP) else { return };
        let old = fills.iter().filter(|f| f.time < before).map(|f| f.trade_id).max();
        if let (true, Some(old)) = (booked, old) {
            let settled = self.recovery.settled.entry(symbol.clone()).or_default();
            *settled = old.max(*settled);
        }
    }

    fn missing_found(&mut self, now: Time, order: &ClientOrderId, query: Query, fills: &[Fill]) {
        if let Some(known) = self.orders.get(order).filter(|known| known.has_gap()) {
            // Not before: the events may only have been slower than the question.
            let fields = format!("order={order} counted={} booked={}", known.told, known.filled);
            self.log(LogLevel::Warn, "fills are missing in the private events", fields);
        }
        self.trades(now, fills);
        let Some(known) = self.orders.get(order).filter(|o| o.lacks_fills()) else {
            self.recovery.sought.remove(order);
            return;
        };
        if !known.has_gap() {
            return self.recovery.ask_missing(now + RETRY_RARELY, order, query);
        }
        // Ever less often: what was counted long ago may be kept no longer.
        let pause = Span::from_nanos(now.since(known.changed).nanos() / 4).clamp(RETRY, RETRY_MAX);
        let (times, since) = self.recovery.sought.entry(order.clone()).or_insert((0, now));
        *times += 1;
        if *times >= SOUGHT_TIMES && now.since(*since) >= SOUGHT_FOR {
            self.stop_waiting_for_fills(now, order);
        }
        self.recovery.ask_missing(now + pause, order, query);
    }

    /// Fills the venue has counted and does not show any more: nothing waits for them any longer. What they moved is
    /// the difference of balances that it is.
    fn stop_waiting_for_fills(&mut self, now: Time, id: &ClientOrderId) {
        self.recovery.sought.remove(id);
        let Some((counted, booked, ending)) = self.orders.update(id, |order| {
            order.lacking = order.told - order.filled;
            (order.told, order.filled, order.ending)
        }) else {
            return;
        };
        let fields = format!("order={id} counted={counted} booked={booked}");
        self.log(LogLevel::Error, "fills the exchange has counted are not shown; going on without", fields);
        if let Some(end) = ending {
            self.end(id, end);
            self.order_changed(now, id, None);
        }
    }

    fn round_progress(&mut self, now: Time) {
        let waiting = self.recovery.postponed.of_round();
        if !self.recovery.round.is_empty() || waiting {
            return;
        }
        self.recovery.looked = self.recovery.round_began;
        match self.recovery.phase {
            Phase::First => self.recovery.phase = Phase::Lag(now + self.recovery.lag),
            Phase::Second => {
                self.recovery.unread.clear();
                self.recovery.phase = Phase::Ready;
                self.counts.recovered(now, self.started);
                self.entry.comparing(false);
                self.recovery.sweep_at = Some(self.recovery.next_sweep(now));
                self.tell_state();
                self.guard_reductions(now);
            }
            Phase::Ready => self.recovery.sweep_at = Some(self.recovery.next_sweep(now)),
            _ => {}
        }
    }

    /// Symbols that could have moved: something happened, orders are open, or a session holds a position.
    fn moving(&self, with_positions: bool) -> BTreeSet<Symbol> {
        let listed = |s: &Symbol| self.books.listing(s).is_some() && self.scans.has(s);
        let mut symbols: BTreeSet<Symbol> =
            self.recovery.active.iter().filter(|s| listed(s)).cloned().collect();
        symbols.extend(self.orders.open().map(|o| o.symbol.clone()).filter(listed));
        if with_positions {
            let held = self.books.positions().filter(|(.., totals)| !totals.qty.is_zero());
            symbols.extend(held.map(|(_, symbol, _)| symbol.clone()).filter(listed));
        }
        symbols
    }

    pub(super) fn recovery_timer(&mut self, now: Time) {
        if !self.recovery.connected() {
            return;
        }
        self.ask_postponed(now);
        match self.recovery.phase {
            Phase::Lag(until) if until <= now => {
                self.recovery.phase = Phase::Second;
                let symbols = self.moving(true);
                self.recovery.unread.clone_from(&symbols);
                self.begin_round(now, &symbols);
                self.scan_after_lag(now);
            }
            Phase::Ready if self.recovery.sweep_at.is_some_and(|at| at <= now) => self.sweep(now),
            _ => {}
        }
    }

    fn sweep(&mut self, now: Time) {
        self.recovery.sweep_at = None;
        if self.recovery.round.is_empty() {
            let symbols = self.moving(false);
            self.begin_round(now, &symbols);
        }
    }

    /// Something may have been missed: look now, or as soon as the rate budget allows.
    pub(super) fn recovery_sweep_now(&mut self, now: Time) {
        let soonest = self.recovery.not_before;
        if self.recovery.phase == Phase::Ready && soonest <= now {
            self.sweep(now);
        } else if self.recovery.phase == Phase::Ready && self.recovery.round.is_empty() {
            self.recovery.sweep_at = earliest(self.recovery.sweep_at, Some(soonest));
        }
    }
}
