//! The gateway: sessions × orders × ledger × one venue.
//!
//! One [`Gateway::handle`] takes one input and leaves all outputs in order; the caller performs them before the next.
//! State is the fold of the journal: every change is first a [`Record`], and nothing private is shown before its
//! record is committed.
//!
//! * `door` lets clients in; `command` takes orders and cancels; `question` answers.
//! * `fact` turns what the venue reports into records; `doubt` finds out what became of an order nobody answered for;
//!   `conditional` follows a conditional order to the one it triggers; `reduce` judges what may only reduce; `overfill`
//!   halts a session of whose order more was filled than it had ordered.
//! * `funding` books what contracts pay each other; `charge` what else is paid or charged, and what liquidations end.
//! * `recovery` compares with the exchange at start, after every loss, and regularly; `tie_out` compares balances;
//!   `scan` reads a symbol's past before anything new is sent in it; `absence` refuses where it cannot be had any more.
//! * `stop` is the kill switch, pauses, and what becomes of the orders of sessions that are lost.
//! * `limits` holds sessions and the account to what they may order, hold and lose; `prevention` keeps own sessions
//!   from trading with each other.
//! * `gauges` shows how it all stands to whoever watches.
//! * `operator` answers whoever runs the gateway, and takes other limits from him.
//! * `snapshot` says which records of a journal a start needs.
//! * `tell` makes what sessions are told; `queue` holds what a client has yet to read, `commits` what the disk has yet
//!   to keep; `stream` carries market data, `bars` fills holes between bars.

mod absence;
mod bars;
mod charge;
mod command;
mod commits;
mod conditional;
mod door;
mod doubt;
mod edit;
mod epoch;
mod fact;
mod funding;
pub mod gauges;
pub mod io;
mod later;
mod limits;
mod operator;
mod overfill;
mod prevention;
mod question;
mod queue;
mod recovery;
mod reduce;
mod scan;
pub mod snapshot;
pub mod stop;
mod stream;
mod tell;
mod tie_out;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use self::absence::Absences;
use self::bars::Bars;
use self::charge::ForcedFills;
use self::commits::{Commits, Held};
use self::conditional::Strays;
use self::door::Client;
use self::doubt::Doubts;
use self::epoch::Epochs;
use self::fact::Orphans;
use self::funding::Fundings;
use self::gauges::Counts;
use self::io::{BadEdit, Edit, Frame, GatewayConfig, Input, Log, LogLevel, LostPosition, Output};
use self::limits::Guard;
use self::operator::Operator;
use self::overfill::Overfills;
use self::recovery::{Purpose, Recovery};
use self::scan::Scans;
use self::stop::Stop;
use self::stream::Streams;
use self::tie_out::TieOut;
use crate::ids::{ClientOrderId, CommandNumber};
use crate::ids::{ConnId, IdKind, IdParts, Install, SessionId, Symbol};
use crate::instrument::Instrument;
use crate::journal::{Record, Start, event_time};
use crate::ledger::books::Books;
use crate::order::table::Orders;
use crate::session::Session;
use crate::time::{Span, Time, earliest};
use crate::venue::port::{MarketFeed, OrderEntry, Outbox, VenueEvent};

/// 2025-01-01T00:00:00Z, from which epochs count minutes.
const EPOCH_ZERO: Time = Time::from_millis(1_735_689_600_000);

/// How far ahead of the clock the epochs of a new journal begin: one that is lost may have been started more often than
/// once a minute, and its ids must not come again.
const AHEAD: u32 = 60;
/// As many different beginnings there are: a journal may be lost in the very minute in which it began.
const BEGINNINGS: u64 = 4_096;

/// What to do where the journal is an older copy.
const OLDER_COPY: &str = "orders and fills since are read from the exchange; edits since, and what is older than the \
    exchange shows, are not: compare the positions (docs/ledger.md, \"A lost journal\")";

/// See the module.
pub struct Gateway {
    config: GatewayConfig,
    epoch: u32,
    epoch_durable: bool,
    /// Those of all runs that are known, and when the journal's first run began.
    epochs: Epochs,
    first_start: Option<Time>,
    generation: u64,
    /// Event numbering has begun anew in this run.
    renumbered: bool,
    started: Time,
    feed: Box<dyn MarketFeed>,
    entry: Box<dyn OrderEntry>,
    venue: Outbox,
    orders: Orders,
    books: Books,
    sessions: BTreeMap<SessionId, Session>,
    clients: BTreeMap<ConnId, Client>,
    nonces: u64,
    instruments: Option<BTreeMap<Symbol, Instrument>>,
    streams: Streams,
    bars: Bars,
    commits: Commits,
    recovery: Recovery,
    scans: Scans,
    absences: Absences,
    lost_positions: Vec<LostPosition>,
    guard: Guard,
    operator: Operator,
    doubts: Doubts,
    orphans: Orphans,
    overfills: Overfills,
    strays: Strays,
    tie_out: TieOut,
    fundings: Fundings,
    forced: ForcedFills,
    bad_edits: Vec<BadEdit>,
    waiting_edits: Vec<Edit>,
    store_failed: Option<String>,
    foreign_gateway: Option<String>,
    stop: Stop,
    stopping: bool,
    stopped: bool,
    prune_at: Time,
    ready: BTreeSet<ConnId>,
    counts: Counts,
    out: Vec<Output>,
}

/// Why a gateway cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The journal is another market's.
    #[error("the journal in this directory is of market {found:?}, not {wanted:?}: set another \"db\"")]
    OtherMarket {
        /// In the journal.
        found: String,
        /// Ours.
        wanted: &'static str,
    },
    /// The journal was written for another account, or at least under another install name.
    #[error(
        "the journal in this directory was written under install {found:?}, not {wanted:?}: for another account set \
         another \"db\"; for a new key of the same account set \"install\": {found:?}"
    )]
    OtherInstall {
        /// In the journal.
        found: String,
        /// Ours.
        wanted: String,
    },
}

/// Is that journal one for a gateway of this market and install name? One that holds nothing of an account yet takes
/// any install name.
///
/// # Errors
/// [`StartError`] if not.
pub fn belongs(records: &[Record], market: &'static str, install: &Install) -> Result<(), StartError> {
    let mut last = None;
    for record in records {
        let Record::Start(start) = record else { continue };
        if start.market != market {
            return Err(StartError::OtherMarket { found: start.market.clone(), wanted: market });
        }
        last = Some(start);
    }
    let bound = records.iter().any(Record::is_of_an_account);
    match last.filter(|start| bound && start.install != install.as_str()) {
        None => Ok(()),
        Some(start) => {
            let (found, wanted) = (start.install.clone(), install.as_str().to_owned());
            Err(StartError::OtherInstall { found, wanted })
        }
    }
}

impl Gateway {
    /// Folds the journal, takes the user's edits, begins a new epoch and opens the links.
    ///
    /// # Errors
    /// [`StartError`] if this journal is not for this gateway.
    #[allow(
        clippy::too_many_arguments,
        reason = "the composition root names everything a gateway is made of, once"
    )]
    pub fn new(
        config: GatewayConfig,
        records: &[Record],
        edits: Vec<Edit>,
        bad_edits: Vec<BadEdit>,
        feed: Box<dyn MarketFeed>,
        entry: Box<dyn OrderEntry>,
        now: Time,
        out: &mut Vec<Output>,
    ) -> Result<Self, StartError> {
        let recovery = Recovery::new(&config);
        let mut books = Books::default();
        if config.margin {
            books.remember_all();
        }
        let mut gateway = Self {
            epoch: 0,
            epoch_durable: false,
            epochs: Epochs::default(),
            first_start: None,
            generation: 0,
            renumbered: false,
            started: now,
            feed,
            entry,
            venue: Outbox::default(),
            orders: Orders::default(),
            books,
            sessions: BTreeMap::new(),
            clients: BTreeMap::new(),
            nonces: 0,
            instruments: None,
            streams: Streams::default(),
            bars: Bars::default(),
            commits: Commits::new(),
            recovery,
            scans: Scans::default(),
            absences: Absences::default(),
            lost_positions: config.lost_positions.clone(),
            guard: Guard::new(config.limits.clone()),
            operator: Operator::new(now),
            doubts: Doubts::default(),
            orphans: Orphans::default(),
            overfills: Overfills::default(),
            strays: Strays::default(),
            tie_out: TieOut::default(),
            fundings: Fundings::default(),
            forced: ForcedFills::default(),
            bad_edits,
            waiting_edits: Vec::new(),
            store_failed: None,
            foreign_gateway: None,
            stop: Stop::new(config.kept.clone()),
            stopping: false,
            stopped: false,
            prune_at: now,
            ready: BTreeSet::new(),
            counts: Counts::default(),
            out: Vec::new(),
            config,
        };
        gateway.begin(now, records, edits)?;
        gateway.settle(now);
        out.append(&mut gateway.out);
        Ok(gateway)
    }

    fn begin(&mut self, now: Time, records: &[Record], edits: Vec<Edit>) -> Result<(), StartError> {
        belongs(records, self.config.market, &self.config.install)?;
        let mut last_start: Option<&Start> = None;
        for record in records {
            if let Record::Start(start) = record {
                last_start = Some(start);
            }
            self.fold(record);
        }
        self.scans.forget_unlisted(&self.books);
        self.prune(now);
        let known = last_start.map(|start| start.epoch);
        self.epoch = self.next_epoch(now, known);
        let lacking = self.lacks_a_run(known);
        let ended = matches!(records.last(), Some(Record::End { .. }));
        let power_lost = last_start.is_some_and(|start| start.boot_id != self.config.boot_id) && !ended;
        let reason = match (&self.config.journal_rebuilt, last_start) {
            (Some(reason), _) => Some(reason.clone()),
            (None, None) => Some("first start".to_owned()),
            (None, Some(_)) if lacking => Some("journal.db is an older copy".to_owned()),
            (None, Some(_)) if power_lost => {
                Some("the last run did not end in order and the machine restarted".to_owned())
            }
            _ => None,
        };
        self.came_back(now);
        self.tell_absences(now);
        self.begin_epoch(now, self.epoch);
        if let Some(reason) = reason {
            self.renumber(now, &reason);
        }
        self.restore_limits(now);
        // What the journal holds was settled when it was written.
        self.books.take_changed();
        self.accept_edits(now, edits);
        self.doubt_open_orders(now);
        self.stop_begin(now);
        let everything = self.project_all();
        self.books.take_touched();
        self.commits.hold(Held::Project(everything));
        self.feed.start(now, &mut self.venue);
        self.entry.start(now, &mut self.venue);
        Ok(())
    }

    /// Takes one input and leaves all that follows in `out`.
    pub fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Link(link, input) if self.feed.owns(link) => {
                self.feed.handle(now, link, input, &mut self.venue)
            }
            Input::Link(link, input) if self.entry.owns(link) => {
                self.entry.handle(now, link, input, &mut self.venue)
            }
            // A late word of a link both machines have forgotten.
            Input::Link(..) => {}
            Input::ClientOpened(conn) => self.client_opened(now, conn),
            Input::ClientFrame(conn, text) => self.client_frame(now, conn, text),
            Input::ClientClosed(conn) => self.client_closed(now, conn),
            Input::Committed(batch) => self.commits.committed(batch),
            Input::StoreFailed(reason) => {
                self.log(
                    LogLevel::Error,
                    "the store cannot write; new orders are refused",
                    format!("reason={reason:?}"),
                );
                self.store_failed = Some(reason);
            }
            Input::StoreRecovered => {
                self.log(LogLevel::Info, "the store writes again", String::new());
                self.store_failed = None;
            }
            Input::Kill(kill) => self.kill(now, kill),
            Input::KillFile(kill, change) => self.kill_file(now, kill, change),
            Input::KillFileGone { by, change, pulls } => self.kill_file_gone(&by, change, pulls),
            Input::Kept(number, result) => self.kept(number, result),
            Input::Timer => self.timer(now),
            Input::Stop => self.end_in_order(now),
        }
        self.settle(now);
        out.append(&mut self.out);
    }

    /// When [`Input::Timer`] is due.
    pub fn deadline(&self) -> Option<Time> {
        // Questions can only be asked while the exchange is there.
        let questions = earliest(self.doubts.deadline(), self.orphans.deadline());
        let questions = earliest(questions, self.strays.deadline());
        let questions = earliest(questions, self.overfills.deadline());
        let questions = earliest(questions, self.fundings.deadline());
        [
            self.feed.deadline(),
            self.entry.deadline(),
            self.recovery.deadline(),
            questions.filter(|_| self.recovery.connected()),
            self.door_deadline(),
            self.commits.deadline(),
            self.scans.deadline(),
            self.stop.deadline().filter(|_| !self.stopping),
            Some(self.prune_at),
        ]
        .into_iter()
        .fold(None, earliest)
    }

    /// The next frame for a client whose socket takes one.
    pub fn pull(&mut self, _now: Time, conn: ConnId) -> Option<Frame> {
        self.next_frame(conn)
    }

    /// All books, for checks.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// When the last look at the exchange began that was answered in whole, for checks; `None` while a fill it found
    /// waits for its order.
    pub fn looked(&self) -> Option<Time> {
        self.recovery.looked().filter(|_| self.orphans.is_empty())
    }

    /// Does a difference it found wait for being seen again? For checks.
    pub fn suspects(&self) -> bool {
        self.tie_out.differing() > 0
    }

    /// All orders, for checks.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    fn timer(&mut self, now: Time) {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.feed.deadline()) {
            self.feed.timer(now, &mut self.venue);
        }
        if due(self.entry.deadline()) {
            self.entry.timer(now, &mut self.venue);
        }
        self.settle_venue(now);
        self.door_timer(now);
        self.doubt_timer(now);
        self.orphan_timer(now);
        self.stray_timer(now);
        self.overfill_timer(now);
        self.funding_timer(now);
        self.recovery_timer(now);
        self.scan_timer(now);
        self.stop_timer(now);
        if self.prune_at <= now {
            self.prune_at = now + Span::from_secs(60);
            self.prune(now);
        }
    }

    /// Forgets old events that were acknowledged.
    fn prune(&mut self, now: Time) {
        for session in self.sessions.values_mut() {
            session.log.prune(now, self.config.retention);
        }
    }

    fn end_in_order(&mut self, now: Time) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.emit(Record::End { time: now });
        self.entry.stop(now, &mut self.venue);
        let conns: Vec<ConnId> = self.clients.keys().copied().collect();
        for conn in conns {
            self.out.push(Output::CloseClient(conn, 1001, "the gateway is stopping".to_owned()));
        }
    }

    /// Drains everything an input has caused.
    fn settle(&mut self, now: Time) {
        loop {
            self.settle_venue(now);
            while let Some(held) = self.commits.release() {
                self.release(now, held);
            }
            self.watch_touched(now);
            self.stop_settle(now);
            if self.venue.actions.is_empty() && self.venue.events.is_empty() {
                break;
            }
        }
        self.settle_changed(now);
        let touched = self.books.take_touched();
        if touched != Default::default() {
            let rows = self.project(&touched);
            self.commits.hold(Held::Project(rows));
        }
        if let Some(batch) = self.commits.close(now) {
            self.out.push(Output::Commit(batch));
        }
        for conn in std::mem::take(&mut self.ready) {
            if self.clients.get(&conn).is_some_and(|c| !c.queue.is_empty()) {
                self.out.push(Output::Ready(conn));
            }
        }
        if self.stopping && self.commits.is_idle() && !self.stopped {
            self.stopped = true;
            self.out.push(Output::Stopped);
        }
    }

    fn settle_venue(&mut self, now: Time) {
        while !self.venue.actions.is_empty() || !self.venue.events.is_empty() {
            let Outbox { actions, events } = std::mem::take(&mut self.venue);
            self.out.extend(actions.into_iter().map(Output::Link));
            for event in events {
                self.venue_event(now, event);
            }
        }
    }

    fn venue_event(&mut self, now: Time, event: VenueEvent) {
        self.operator.saw(now, &event);
        match event {
            VenueEvent::Instruments(list) => self.take_instruments(now, list),
            VenueEvent::Depth(stream, depth) => self.publish_depth(&stream, &depth),
            VenueEvent::Bbo(stream, depth) => self.publish_best(&stream, &depth),
            VenueEvent::Trade(stream, trade) => self.publish_trade(&stream, &trade),
            VenueEvent::Bar(stream, bar) => self.publish_bar(now, &stream, bar),
            VenueEvent::Book(stream, update) => self.publish_book(&stream, update),
            VenueEvent::Mark(stream, mark) => self.publish_mark(&stream, &mark),
            VenueEvent::Stale(stream, reason) => {
                self.log(LogLevel::Warn, "stream stale", format!("stream={stream} reason={reason:?}"));
                self.publish_stale(&stream, &reason);
            }
            VenueEvent::RulesDoubted => self.feed.instruments(now, &mut self.venue),
            VenueEvent::Warning { event, words } => {
                self.log(LogLevel::Warn, event, format!("found={words:?}"));
            }
            VenueEvent::Changed { event, words } => {
                self.log(LogLevel::Info, event, format!("now={words:?}"));
            }
            VenueEvent::History { request, bars } => self.history_arrived(now, request, bars),
            VenueEvent::FeedUp => self.feed_up(),
            VenueEvent::FeedDown(reason) => self.feed_down(&reason),
            VenueEvent::EntryUp => self.entry_up(now),
            VenueEvent::EntryDown(reason) => self.entry_down(now, &reason),
            VenueEvent::KeyRefused(reason) => {
                self.log(LogLevel::Error, "the exchange refused the key", format!("reason={reason:?}"));
                self.out.push(Output::KeyRefused(reason));
            }
            VenueEvent::Refused(reason) => {
                self.log(
                    LogLevel::Error,
                    "the account is not set up as it must be",
                    format!("reason={reason:?}"),
                );
                self.out.push(Output::Refused(reason));
            }
            VenueEvent::Placed { id, outcome } => self.placed(now, &id, outcome),
            VenueEvent::CancelReply { id, outcome } => self.cancel_replied(now, &id, outcome),
            VenueEvent::AmendReply { id, outcome } => self.amend_replied(now, &id, outcome),
            VenueEvent::Urgent { number, reply } => self.urgent_replied(now, number, reply),
            VenueEvent::Report(report) => self.report(now, &report, fact::Source::Stream),
            VenueEvent::Balances(balances) => self.take_balances(balances),
            VenueEvent::Transfer { asset, delta, time } => self.transfer(asset, delta, time),
            VenueEvent::Income(income) => self.income(now, &income),
            VenueEvent::PrivateGarbled(frame) => self.garbled(now, &frame),
            VenueEvent::Answer { request, answer } => self.answered(now, request, answer),
            VenueEvent::Clock { offset_nanos, round_trip } => {
                self.tie_out.offset = Span::from_nanos(offset_nanos);
                let fields = format!("offset_ms={} round_trip={round_trip:?}", offset_nanos / 1_000_000);
                self.log(LogLevel::Debug, "clock measured", fields);
            }
        }
    }

    /// Folds a record of the journal into all state that comes from it.
    fn fold(&mut self, record: &Record) {
        if let Record::Start(start) = record {
            self.came_back(start.time);
        }
        self.books.fold(record);
        self.scans.fold(record);
        self.absences.fold(record);
        match record {
            Record::Start(start) => {
                self.epochs.fold(start.epoch);
                self.first_start = self.first_start.or(Some(start.time));
            }
            Record::Generation { generation, .. } => {
                self.generation = *generation;
                self.epochs.numbered_anew();
                for session in self.sessions.values_mut() {
                    session.log.restart();
                }
            }
            Record::Order(order) => self.orders.insert(order),
            Record::OrderState(state) => self.orders.fold_state(state),
            Record::Fill(fill) => {
                self.fill_order(fill);
                let order = fill.order.as_ref().and_then(|id| self.orders.get(id));
                if let Some(forced) = order.and_then(|order| order.forced) {
                    self.forced.add(fill, forced);
                }
            }
            Record::Event { session, sequence, frame, .. } => {
                let time = event_time(frame).unwrap_or(self.started);
                let log = &mut self.session_mut(*session).log;
                debug_assert!(*sequence > log.last(), "event numbers rise");
                log.fold_event(*sequence, time, Bytes::from(frame.clone()));
            }
            Record::Answer { session, epoch, command, reply, .. } => {
                let session = self.session_mut(*session);
                session.keep_answer(*epoch, *command, reply.clone());
            }
            Record::Ack { session, generation, sequence, .. } if *generation == self.generation => {
                self.session_mut(*session).log.fold_ack(*sequence);
            }
            Record::Cash(cash) => self.tie_out.fold(cash),
            Record::Funding(funding) => self.fundings.fold(funding),
            Record::Debt(debt) => self.tie_out.fold_debt(debt),
            Record::Limits(limits) => self.operator.fold(limits),
            _ => {}
        }
    }

    /// Records a fact, in the books at once and in the journal with this input's batch.
    fn emit(&mut self, record: Record) {
        self.books.fold(&record);
        self.absences.fold(&record);
        if let Record::Cash(cash) = &record {
            self.tie_out.fold(cash);
        }
        self.commits.push(record);
    }

    fn session_mut(&mut self, id: SessionId) -> &mut Session {
        self.sessions.entry(id).or_default()
    }

    fn log(&mut self, level: LogLevel, event: &'static str, fields: String) {
        self.out.push(Output::Log(Log { level, event, fields }));
    }

    fn order_id(&self, epoch: u32, session: SessionId, command: CommandNumber) -> ClientOrderId {
        let install = self.config.install;
        ClientOrderId::mint(IdParts { kind: IdKind::Order, install, epoch, session, command })
    }

    /// Begins the numbering of events anew.
    fn renumber(&mut self, now: Time, reason: &str) {
        // A journal that is lost may have come as far: its strategies must see that this is another.
        let by_clock = u64::try_from(now.since(EPOCH_ZERO).millis()).unwrap_or(0);
        let generation = (self.generation + 1).max(by_clock);
        self.log(
            LogLevel::Info,
            "event numbering begins anew",
            format!("generation={generation} reason={reason:?}"),
        );
        let record = Record::Generation { generation, reason: reason.to_owned() };
        self.fold(&record);
        self.commits.push(record);
        self.renumbered = true;
    }

    /// Shows what has waited for its commit.
    fn release(&mut self, now: Time, held: Held) {
        match held {
            Held::Event(session, sequence) => self.publish(session, sequence),
            Held::Frame(conn, frame) => self.send(conn, frame),
            Held::Follow(conn, session, frames, above) => self.follow(conn, session, frames, above),
            Held::Project(rows) => self.out.push(Output::Project(rows)),
            // One that was raised meanwhile waits for its own commit.
            Held::EpochDurable(epoch) if epoch != self.epoch => {}
            Held::EpochDurable(_) => {
                self.epoch_durable = true;
                self.recovery_begin(now);
            }
            Held::Scanned(symbol) => self.past_committed(now, &symbol),
        }
    }

    fn publish(&mut self, session: SessionId, sequence: u64) {
        let seat = self.session_mut(session);
        let frame = seat.log.publish(sequence);
        let Some(conn) = seat.owner else { return };
        let follows = |c: &Client| c.follow_above.is_some_and(|above| sequence > above);
        if let (Some(frame), true) = (frame, self.clients.get(&conn).is_some_and(follows)) {
            self.send(conn, frame);
        }
    }

    /// Queues a private frame.
    fn send(&mut self, conn: ConnId, frame: Bytes) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.queue.push_private(frame) {
            self.ready.insert(conn);
        } else {
            self.too_slow(conn, queue::PRIVATE_MAX, "private events");
        }
    }

    /// Closes a client that lets too much wait. What waits is of no use to a connection that ends.
    fn too_slow(&mut self, conn: ConnId, bound: usize, what: &str) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.queue.give_up();
        }
        self.close_client(conn, 4002, &format!("more than {bound} {what} waited: read faster, then resume"));
    }

    fn ask(&mut self, now: Time, query: &crate::venue::port::Query, purpose: Purpose) -> u64 {
        let request = self.recovery.number(purpose);
        self.entry.query(now, request, query, &mut self.venue);
        request
    }
}

#[cfg(test)]
mod tests;
