//! The machine's state, its inputs and outputs, and what a strategy may read of it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::backoff::Backoff;
use super::event::{Event, LocalError, Market, OrderChange, OrderKey, Placed, down};
use super::inbox::{Inbox, MAX_PRIVATE, SlotId};
use super::orders::{Kill, OrderTable};
use crate::ids::{ClientOrderId, CommandNumber, Install, Symbol};
use crate::market::Stream;
use crate::time::{Span, Time};
use crate::wire::error::ErrorBody;
use crate::wire::event::{GatewayState, OrderView, PositionView, Product, Snapshot, StateEvent};
use crate::wire::request::{self, Ack, Call, Nothing, Request};

/// How long opening, greeting, login and restoring may take each.
pub const STEP_TIMEOUT: Span = Span::from_secs(10);
/// Commands that may wait for an answer at one time.
pub const MAX_UNANSWERED: usize = 256;
/// Bytes of commands without an answer, or without an event of what they made, that a login may list: its frame may
/// have 64 KiB.
const MAX_LISTED: usize = 60 * 1024;
/// What of them orders and changes leave to cancels.
pub(super) const KEPT_FOR_CANCELS: usize = 12 * 1024;
/// More than any command takes there.
const MAX_COMMAND: usize = 1024;
/// By how much a command may be longer in that list than when it was sent.
pub(super) const LISTED_LONGER: usize = 32;

/// Who the strategy is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Session, 0 to 65,535.
    pub session_id: u16,
    /// Name shown in logs and refusals.
    pub name: String,
    /// May it send orders?
    pub trading: bool,
    /// Fence a present owner off at the first login.
    pub take_over: bool,
    /// The last event the strategy itself remembers as handled.
    pub cursor: Option<Ack>,
    /// Is an event acknowledged as soon as it is handled? If not, by [`Client::commit`] alone.
    pub autocommit: bool,
    /// What shall become of it when it is lost.
    pub declared: Declared,
    /// Seed of the jitter.
    pub seed: u64,
}

/// What a strategy declares at its logins for the case that it is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// It counts as lost without a beat for so long, from the first one on; whole milliseconds.
    pub heartbeat: Option<Span>,
    /// Its open orders are cancelled so long after that; `None`: they stay. Whole milliseconds.
    pub cancel_after: Option<Span>,
}

/// So many beats are sent in the time in which one must arrive.
const BEATS: i64 = 4;

/// Pause between two acknowledgements of [`Client::acknowledge_seldom`]: one stands for all before it, and each costs
/// both sides a frame and the gateway a record.
const ACK_PAUSE: Span = Span::from_millis(5);

/// One input. After each, the caller performs all outputs.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Begin: connect and log in.
    Start,
    /// The websocket is open. The token of that gateway, and fresh random hex.
    Opened {
        /// The token's text.
        token: &'a str,
        /// 16 to 64 random bytes as hex.
        nonce: &'a str,
    },
    /// A text frame came.
    Frame(&'a str),
    /// The connection could not be made, or is gone: closing code, if there was one, and words.
    Lost(Option<u16>, &'a str),
    /// A deadline has passed.
    Timer,
    /// End: nothing more is sent, and nothing reconnects.
    Close,
}

/// One output, to be performed in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a websocket; answer `Opened` or `Lost`.
    Connect,
    /// Write this text frame.
    Send(String),
    /// Close the connection, if there is one, with this code and reason. `Lost` is not expected.
    Disconnect(u16, String),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Opening {
        until: Time,
    },
    Greeting {
        until: Time,
        token: String,
        nonce: String,
    },
    /// And the numbering of events that the gateway has named.
    LoggingIn {
        until: Time,
        generation: Option<u64>,
    },
    Restoring {
        until: Time,
        orders: bool,
        positions: bool,
        snapshot: bool,
    },
    Live,
    Waiting {
        until: Time,
    },
    Closed,
}

/// What this login was given to name orders with.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) install: Install,
    pub(super) epoch: u32,
    pub(super) next_command: CommandNumber,
}

/// What a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Order(OrderKey),
    Cancel { order_id: ClientOrderId, symbol: Option<Symbol> },
    Amend { order_id: ClientOrderId, symbol: Option<Symbol> },
    CancelAll,
}

/// A command without an answer.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) epoch: u32,
    pub(super) aim: Aim,
    pub(super) method: &'static str,
    pub(super) params: serde_json::Value,
    /// Bytes it takes in a login.
    pub(super) size: usize,
}

/// What a reply will be about.
#[derive(Debug)]
pub(super) enum Asked {
    Hello,
    Login,
    Command(InFlight),
    Question { streams: Vec<Stream> },
    Resubscribe(Vec<Stream>),
    Orders,
    Positions,
}

/// Number of a question; its reply is fetched with [`Client::take_reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionId(pub(super) u64);

/// A reply to a question: the result's JSON text, or the error.
pub type Reply = Result<Box<RawValue>, ErrorBody>;

#[derive(Debug)]
pub(super) enum Queued {
    Event(Placed, bool),
    Snapshot(Box<Stand>),
}

/// A snapshot, in its place among the events.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) snapshot: Snapshot,
    /// The last event whose effect it holds.
    pub(super) known: Option<Ack>,
    /// Orders that were open when it came, and whether the gateway finds out about them.
    pub(super) judged: Vec<(OrderKey, bool)>,
}

/// One session's machine. See the module above.
#[derive(Debug)]
pub struct Client {
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) backoff: Backoff,
    pub(super) identity: Option<Identity>,
    pub(super) ever_live: bool,
    pub(super) failure: Option<ErrorBody>,
    pub(super) last_id: u64,
    pub(super) asked: BTreeMap<u64, Asked>,
    pub(super) replies: BTreeMap<u64, Reply>,
    pub(super) unanswered: Vec<InFlight>,
    /// Orders called taken of which no event has come: a gateway that was killed in between may know nothing of them,
    /// so the next one is asked.
    pub(super) untold: Vec<InFlight>,
    pub(super) orders: OrderTable,
    pub(super) positions: BTreeMap<Symbol, PositionView>,
    pub(super) products: BTreeMap<Symbol, Product>,
    pub(super) streams: IndexMap<Stream, SlotId>,
    pub(super) inbox: Inbox,
    pub(super) received: Option<Ack>,
    pub(super) handled: Option<Ack>,
    /// The event that is being handled.
    pub(super) current: Option<Ack>,
    /// What may be acknowledged.
    pub(super) committed: Option<Ack>,
    pub(super) acked: Option<Ack>,
    /// When that was sent, if seldom.
    pub(super) acked_at: Option<Time>,
    /// The last event there was at the login.
    pub(super) last_made: Option<Ack>,
    /// The numbering under which orders and positions are known here.
    pub(super) known_in: Option<u64>,
    /// The login could not list all orders that are open here.
    pub(super) unlisted: bool,
    /// Events up to here are contained in the orders and positions that the login gave.
    pub(super) known_up_to: Option<Ack>,
    pub(super) state: StateEvent,
    /// The strategy has begun: changes of the state are told to it from here on.
    pub(super) begun: bool,
    /// Some order waits for its acceptance to be cancelled.
    pub(super) kills_wanted: bool,
    /// Streams the gateway cannot give yet: asked for again at its next state.
    pub(super) not_yet: Vec<Stream>,
    /// When the last beat was sent on this connection.
    pub(super) beaten: Option<Time>,
}

impl Client {
    /// A machine at rest.
    pub fn new(config: Config) -> Self {
        let backoff = Backoff::new(Span::from_millis(50), Span::from_secs(5), config.seed);
        // What the strategy remembers by itself needs no further word of it.
        let (received, handled, committed) = (config.cursor, config.cursor, config.cursor);
        Self {
            config,
            phase: Phase::Idle,
            backoff,
            identity: None,
            ever_live: false,
            failure: None,
            last_id: 0,
            asked: BTreeMap::new(),
            replies: BTreeMap::new(),
            unanswered: Vec::new(),
            untold: Vec::new(),
            orders: OrderTable::default(),
            positions: BTreeMap::new(),
            products: BTreeMap::new(),
            streams: IndexMap::new(),
            inbox: Inbox::default(),
            received,
            handled,
            current: None,
            committed,
            acked: None,
            acked_at: None,
            last_made: None,
            known_in: None,
            unlisted: false,
            known_up_to: None,
            state: down("not connected yet"),
            begun: false,
            kills_wanted: false,
            not_yet: Vec::new(),
            beaten: None,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Start => {
                if self.phase == Phase::Idle {
                    self.open(now, out);
                }
            }
            Input::Opened { token, nonce } => self.opened(now, token, nonce, out),
            Input::Frame(text) => self.frame(now, text, out),
            Input::Lost(code, reason) => self.lost(now, code, reason),
            Input::Timer => self.timer(now, out),
            Input::Close => self.close(out),
        }
    }

    /// When `Timer` is due.
    pub fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Opening { until }
            | Phase::Greeting { until, .. }
            | Phase::LoggingIn { until, .. }
            | Phase::Restoring { until, .. }
            | Phase::Waiting { until } => Some(*until),
            Phase::Idle | Phase::Live | Phase::Closed => None,
        }
    }

    /// Logged in, and orders and positions are known.
    pub fn is_logged_in(&self) -> bool {
        self.phase == Phase::Live
    }
    /// Over for good; [`Self::failure`] may say why.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
    /// Why the session is over, if it did not end by `Close`.
    pub fn failure(&self) -> Option<&ErrorBody> {
        self.failure.as_ref()
    }
    /// Commands that wait: for an answer, or for the first event of an order that was called taken.
    pub fn waiting(&self) -> usize {
        let asked = self.asked.values().filter(|asked| matches!(asked, Asked::Command(_))).count();
        asked + self.unanswered.len() + self.untold.len()
    }
    /// Would a login list another command, too, if the connection were lost now? So many bytes are not to be used.
    pub(super) fn can_list(&self, kept: usize) -> bool {
        let asked = self.asked.values().filter_map(|asked| match asked {
            Asked::Command(command) => Some(command),
            _ => None,
        });
        let commands = asked.chain(&self.unanswered).chain(&self.untold);
        commands.map(|command| command.size).sum::<usize>() + MAX_COMMAND + kept <= MAX_LISTED
    }
    /// May the socket be read? Not while too much waits to be handled; the gateway keeps the rest.
    pub fn wants_frames(&self) -> bool {
        self.inbox.private_len() < MAX_PRIVATE
    }
    /// Does a private event wait to be handled? It comes before all market data.
    pub fn has_private(&self) -> bool {
        self.inbox.private_len() > 0
    }
    /// Does something wait to be handled?
    pub fn has_work(&self) -> bool {
        !self.inbox.is_empty()
    }
    /// Who the strategy is.
    pub fn config(&self) -> &Config {
        &self.config
    }
    /// How the way to the exchange stands.
    pub fn state(&self) -> &StateEvent {
        &self.state
    }
    /// The session's orders.
    pub fn orders(&self) -> &OrderTable {
        &self.orders
    }
    /// The session's orders, to hold and release.
    pub fn orders_mut(&mut self) -> &mut OrderTable {
        &mut self.orders
    }
    /// The session's positions.
    pub fn positions(&self) -> &BTreeMap<Symbol, PositionView> {
        &self.positions
    }
    /// Facts of the symbols subscribed to or asked for.
    pub fn products(&self) -> &BTreeMap<Symbol, Product> {
        &self.products
    }
    /// The private event that is being handled; between two of them the last one handled.
    pub fn cursor(&self) -> Option<Ack> {
        self.current.or(self.handled)
    }

    /// The strategy begins: changes of the state are told from here on. Before, they are only noted.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Takes the next private event; what the strategy can read is brought to that point.
    pub fn next_private(&mut self) -> Option<Placed> {
        loop {
            match self.inbox.pop_private()? {
                Queued::Snapshot(stand) => self.apply_snapshot(*stand),
                Queued::Event(mut placed, replayed) => {
                    self.apply(&mut placed, replayed);
                    self.current = placed.at;
                    return Some(placed);
                }
            }
        }
    }

    /// Takes the next market data.
    pub fn next_market(&mut self) -> Option<(SlotId, Market)> {
        loop {
            match self.inbox.pop_market()? {
                Ok(found) => return Some(found),
                Err((stream, error)) => {
                    let message = format!("data of {stream}: {error}");
                    self.push(Event::Error(LocalError::Protocol.body(message)));
                }
            }
        }
    }

    /// The callback for this event has returned.
    pub fn handled(&mut self, placed: &Placed) {
        self.current = None;
        if placed.at.is_some() {
            self.handled = placed.at;
            if self.config.autocommit {
                self.committed = placed.at;
            }
        }
    }

    /// The callback for this event has failed: it does not count as handled, and is the next to be taken again. What
    /// arose on this side is not: it has been told, and nothing would ever acknowledge it.
    pub fn failed(&mut self, placed: Placed) {
        self.current = None;
        if placed.at.is_some() && !self.is_closed() {
            let replayed = matches!(&placed.event, Event::Order(change) if change.replayed);
            self.inbox.push_front(Queued::Event(placed, replayed));
        }
    }

    /// The strategy has on its own disk what it makes of all events up to there; of all up to the one being handled, if
    /// no place is named. [`Self::acknowledge`] tells the gateway. A place of an older generation needs no word.
    ///
    /// # Errors
    /// The session is over, or that event was not handled yet.
    pub fn commit(&mut self, upto: Option<Ack>) -> Result<(), ErrorBody> {
        if self.is_closed() {
            let message = "the session is closed: what is not committed yet is told again at the next login";
            return Err(LocalError::Closed.body(message));
        }
        let here = self.cursor().unwrap_or_default();
        let upto = upto.unwrap_or(here);
        if upto > here {
            let (Ack { generation, sequence }, Ack { generation: of, sequence: last }) = (upto, here);
            let message =
                format!("event {generation}/{sequence} was not told yet: the last one is {of}/{last}");
            return Err(LocalError::Misuse.body(message));
        }
        let forward = |before: Ack| before.generation != upto.generation || before.sequence < upto.sequence;
        if upto.generation == here.generation && self.committed.is_none_or(forward) {
            self.committed = Some(upto);
        }
        Ok(())
    }

    /// Acknowledges what may be since the last time, if anything.
    pub fn acknowledge(&mut self, out: &mut Vec<Output>) {
        if self.phase != Phase::Live || self.committed == self.acked {
            return;
        }
        if let Some(at) = self.committed.filter(|at| at.sequence > 0) {
            out.push(Output::Send(request::encode(&Request { id: None, call: Call::Ack(at) })));
            self.acked = Some(at);
        }
    }

    /// The same, but not soon after the last time: see [`Client::acknowledge_at`].
    pub fn acknowledge_seldom(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.acknowledge_at().is_some_and(|at| at <= now) {
            self.acknowledge(out);
            self.acked_at = Some(now);
        }
    }

    /// When what may be acknowledged is to be, if there is any.
    pub fn acknowledge_at(&self) -> Option<Time> {
        let wanted = self.phase == Phase::Live && self.committed != self.acked;
        self.committed.filter(|at| wanted && at.sequence > 0)?;
        Some(self.acked_at.map_or(Time::default(), |last| last + ACK_PAUSE))
    }

    /// The strategy's loop runs: a beat, if one is due. Nothing else sends any: a callback that hangs is missed.
    pub fn beat(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.beat_at().is_some_and(|at| at <= now) {
            out.push(Output::Send(request::encode(&Request { id: None, call: Call::Beat(Nothing {}) })));
            self.beaten = Some(now);
        }
    }

    /// When the next beat is due.
    pub fn beat_at(&self) -> Option<Time> {
        let within = self.config.declared.heartbeat.filter(|_| self.phase == Phase::Live)?;
        let pause = Span::from_nanos(within.nanos() / BEATS);
        Some(self.beaten.map_or(Time::default(), |last| last + pause))
    }

    /// Puts an event of this side behind those that wait.
    pub(super) fn push(&mut self, event: Event) {
        self.inbox.push_private(Queued::Event(Placed { at: None, event }, false));
    }

    pub(super) fn set_state(&mut self, state: StateEvent) {
        if self.begun {
            self.push(Event::State(state));
        } else {
            self.state = state;
        }
    }

    /// Tells of a change that is already applied, before everything that waits.
    pub(super) fn tell_first(&mut self, key: OrderKey) {
        let Some(tracked) = self.orders.get(key) else { return };
        let order = tracked.order.clone();
        let change = OrderChange { key: Some(key), order, fill: None, position: None, replayed: true };
        let event = Event::Order(Box::new(change));
        self.inbox.push_front(Queued::Event(Placed { at: None, event }, true));
    }

    pub(super) fn push_order(&mut self, key: OrderKey, order: OrderView) {
        let change = OrderChange { key: Some(key), order, fill: None, position: None, replayed: false };
        self.push(Event::Order(Box::new(change)));
    }

    fn apply(&mut self, placed: &mut Placed, replayed: bool) {
        let known = matches!((placed.at, self.known_up_to), (Some(at), Some(known))
            if at.generation == known.generation && at.sequence <= known.sequence);
        match &mut placed.event {
            Event::Order(change) => {
                change.replayed = replayed;
                if known {
                    change.key = self.orders.key(&change.order.order_id);
                    // How an order ended is final: what a snapshot without it left open is settled.
                    if change.key.is_some() && change.order.state.is_terminal() {
                        self.orders.set(change.order.clone(), change.fill.clone());
                    }
                    return;
                }
                change.key = Some(match change.key {
                    // Made on this side.
                    Some(key) if placed.at.is_none() => {
                        let OrderView { state, code, reason, .. } = change.order.clone();
                        self.orders.set_state(key, state, code, reason);
                        key
                    }
                    _ => self.orders.set(change.order.clone(), change.fill.clone()),
                });
                if let (Some(_), Some(key)) = (placed.at, change.key) {
                    // A snapshot that was handled since it came may have shown the order as it was before.
                    self.told_of(key);
                }
                if let Some(position) = &change.position {
                    self.positions.insert(position.symbol.clone(), position.clone());
                }
            }
            Event::Position { position, .. } if !known => {
                self.positions.insert(position.symbol.clone(), position.clone());
            }
            Event::State(state) => {
                self.state = state.clone();
                self.orders.forget_refusals();
            }
            Event::OrderError { order_id, symbol, .. } => {
                if let Some(tracked) = self.orders.key(order_id).and_then(|key| self.orders.get_mut(key)) {
                    *symbol = Some(tracked.order.symbol.clone());
                    tracked.kill = Kill::No;
                }
            }
            _ => {}
        }
    }

    /// Does the gateway take orders now, as far as is known here?
    pub fn is_ready(&self) -> bool {
        self.is_logged_in() && self.state.state == GatewayState::Ready
    }
}
