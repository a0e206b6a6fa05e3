//! The two ports of a venue: [`MarketFeed`] and [`OrderEntry`].
//!
//! Both are sans-IO machines. They take [`LinkInput`]s and commands, and put *actions* for the shell and *events* for
//! the gateway into an [`Outbox`]. A venue numbers its own links; the caller routes `LinkInput`s to the machine that
//! opened the link. After every call the caller drains the outbox and asks for the new deadline.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::book::BookUpdate;
use crate::ids::{Asset, ClientOrderId, LinkId, SessionId, Symbol, TradeId, VenueOrderId};
use crate::instrument::Instrument;
use crate::journal::{ChargeKind, Forced, Loan};
use crate::market::{
    Bar, Channel, Depth, Instructions, Interval, Mark, OrderStatus, OrderType, PublicTrade, Side, Stream, Tif,
};
use crate::num::{Cash, Price, Qty, Rate};
use crate::order::request::NewOrder;
use crate::time::{Span, Time};
use crate::venue::clock::ClockSample;
use crate::venue::limit::WindowGauge;

/// What happened on a link.
#[derive(Clone, Debug)]
pub enum LinkInput<'a> {
    /// The websocket is open.
    Up,
    /// It could not be opened, or was closed by either side; the text says why.
    Down(&'a str),
    /// A text frame arrived.
    Text(&'a str),
    /// A binary frame arrived.
    Binary(&'a [u8]),
    /// A ping, pong or any other sign of life arrived (pings are answered by the shell).
    Alive,
    /// The answer to a [`LinkAction::Request`], whole; the link is over.
    Response {
        /// HTTP status.
        status: u16,
        /// Header fields, names in lower case.
        headers: &'a [(String, String)],
        /// The body.
        body: &'a str,
    },
}

/// What the shell shall do for a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkAction {
    /// Open a websocket to this address.
    Open {
        /// Number to use for it from now on.
        link: LinkId,
        /// `ws://` or `wss://` address.
        url: String,
        /// Header fields of the handshake besides those of the protocol, names in lower case.
        headers: Vec<(&'static str, String)>,
    },
    /// Send one text frame.
    Send {
        /// On which link.
        link: LinkId,
        /// The frame, valid UTF-8.
        text: Bytes,
    },
    /// Close it; a `Down` follows. On a request that is under way: give it up, its outcome stays unknown.
    Close {
        /// Which link.
        link: LinkId,
    },
    /// Make one HTTP request. Exactly one `Response` or one `Down` follows (nothing is known of its outcome then: it
    /// may have been carried out); the number is not used again.
    Request {
        /// Number of the request.
        link: LinkId,
        /// `GET`, `POST`, …
        method: &'static str,
        /// `http://` or `https://` address, with its query.
        url: String,
        /// Header fields besides `host` and the body's length, names in lower case.
        headers: Vec<(&'static str, String)>,
        /// The body; empty for none.
        body: Bytes,
    },
}

/// Everything a machine wants done and known, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the shell.
    pub actions: Vec<LinkAction>,
    /// For the gateway.
    pub events: Vec<VenueEvent>,
}

/// Market data in. One machine of this kind per gateway.
pub trait MarketFeed {
    /// Opens what it needs.
    fn start(&mut self, now: Time, out: &mut Outbox);
    /// Wants a stream; a second call for the same stream changes nothing. Kept over reconnects.
    fn subscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox);
    /// No longer wants it.
    fn unsubscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox);
    /// Asks for the newest `count` bars (the last may be open). Answered by [`VenueEvent::History`] with the same
    /// `request`.
    fn history(
        &mut self,
        now: Time,
        request: u64,
        symbol: &Symbol,
        interval: Interval,
        count: u32,
        out: &mut Outbox,
    );
    /// Why this kind of data cannot be had here, in words for the user; `None` if it can.
    fn refuses(&self, _channel: Channel) -> Option<String> {
        None
    }
    /// The whole book of a `book` stream as it stands after all events so far; `None` unless it is good.
    fn book(&self, _stream: &Stream) -> Option<Depth> {
        None
    }
    /// Asks for all instruments anew. Answered by [`VenueEvent::Instruments`]. Done once by `start` itself.
    fn instruments(&mut self, now: Time, out: &mut Outbox);
    /// Order entry has just reached the venue: a connection that waits out a backoff need not wait any longer.
    fn reached(&mut self, _now: Time) {}
    /// Is this link one of its own?
    fn owns(&self, link: LinkId) -> bool;
    /// Takes what happened on a link of its own.
    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox);
    /// When it wants to be called next by [`MarketFeed::timer`].
    fn deadline(&self) -> Option<Time>;
    /// The deadline has passed.
    fn timer(&mut self, now: Time, out: &mut Outbox);
}

/// Orders out, private facts in. One machine of this kind per gateway.
///
/// It owns the logged-on connection, the clock offset, the rate budget and request numbering. It never re-sends an
/// order. No method has a body here: one machine stands around another, and what it forgot to pass on would be lost
/// without a word.
pub trait OrderEntry {
    /// Opens what it needs; [`VenueEvent::EntryUp`] follows when orders can be sent *and* private events arrive.
    fn start(&mut self, now: Time, out: &mut Outbox);
    /// Sends an order: exactly one [`VenueEvent::Placed`] follows later (reply, or loss of the link, or time-out).
    /// After one that says `Unknown`, one that says `Rejected` may follow: the venue's refusal came late.
    ///
    /// # Errors
    /// [`NotSent`] if nothing left the house.
    fn place(&mut self, now: Time, order: &NewOrder, out: &mut Outbox) -> Result<(), NotSent>;
    /// Sends a cancel: exactly one [`VenueEvent::CancelReply`] follows later.
    ///
    /// # Errors
    /// [`NotSent`] if nothing left the house.
    fn cancel(&mut self, now: Time, cancel: &Cancel, out: &mut Outbox) -> Result<(), NotSent>;
    /// Sessions that may trade from now on: they share the rate budget, so that none of them uses up what the others
    /// may need.
    fn share_among(&mut self, sessions: &BTreeSet<SessionId>);
    /// Changes an order in place: exactly one [`VenueEvent::AmendReply`] follows later.
    ///
    /// # Errors
    /// [`NotSent`] if nothing left the house.
    fn amend(&mut self, now: Time, amend: &Amend, out: &mut Outbox) -> Result<(), NotSent>;
    /// Asks a question: exactly one [`VenueEvent::Answer`] with the same `request` follows, or `EntryDown` voids it.
    /// Queries are queued inside when the rate budget is short; they are never dropped while the link is up.
    fn query(&mut self, now: Time, request: u64, query: &Query, out: &mut Outbox);
    /// Does trading wait for the questions asked from now on? They have more of the rate budget then.
    fn comparing(&mut self, under_way: bool);
    /// How long to leave before these questions are asked once more, so that repeating them never uses up what the rate
    /// budget has left for questions.
    fn pace(&mut self, now: Time, queries: &[Query]) -> Span;
    /// What these questions cost of the rate budget, to compare ways of asking.
    fn weight(&self, queries: &[Query]) -> u64;
    /// Is this link one of its own?
    fn owns(&self, link: LinkId) -> bool;
    /// Takes what happened on a link of its own.
    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox);
    /// When it wants to be called next by [`OrderEntry::timer`].
    fn deadline(&self) -> Option<Time>;
    /// The deadline has passed.
    fn timer(&mut self, now: Time, out: &mut Outbox);
    /// How far back own trades can be asked for; `None`: to the account's first.
    fn shows_trades_of(&self) -> Option<Span>;
    /// Is a question of its own under way whose answer may be [`VenueEvent::Refused`]? Whoever only looks waits for it.
    fn inquires(&self) -> bool;
    /// How it stands, for whoever watches.
    fn gauges(&self, now: Time) -> EntryGauges;
    /// The longest time after a send at which the venue could still accept that request (recvWindow).
    fn receive_window(&self) -> Span;
    /// Sends a request of the stop by that way, whatever else is up: exactly one [`VenueEvent::Urgent`] of the same
    /// number follows. A cancel takes from what the rate budget keeps for cancels, and is nobody's part.
    ///
    /// # Errors
    /// [`NotSent`] if nothing left the house; [`NotSent::Disconnected`] if that way is not open.
    fn urgent(
        &mut self,
        now: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        out: &mut Outbox,
    ) -> Result<(), NotSent>;
    /// Gives up all connections; nothing follows but `Down`s.
    fn stop(&mut self, now: Time, out: &mut Outbox);
}

/// How an order entry stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryGauges {
    /// Is there a logged-on connection?
    pub connected: bool,
    /// The rate budget, window by window.
    pub windows: Vec<WindowGauge>,
    /// For how long the venue wants to hear nothing.
    pub stopped_for: Option<Span>,
    /// The best measurement of the venue's clock.
    pub clock: Option<ClockSample>,
    /// How far off the clocks are, where that is too far for orders.
    pub clock_off: Option<Span>,
    /// Requests without an answer yet.
    pub requests: usize,
    /// Questions that wait for the rate budget.
    pub questions: usize,
}

/// Nothing left the house, so nothing can have happened at the venue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// No logged-on connection.
    #[error("the exchange is not connected")]
    Disconnected,
    /// The budget is used up, or its session's share of it; try again at this time.
    #[error("the exchange's rate limit, or the session's share of it, is used up until {retry_at:?}")]
    RateLimited {
        /// When the budget is filled again.
        retry_at: Time,
    },
    /// Our clock and the venue's are too far apart for orders to be safe.
    #[error("the clock is {0:?} off the exchange's")]
    ClockOff(Span),
}

/// Which order to cancel, and the name the cancelled order gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// Symbol of the order.
    pub symbol: Symbol,
    /// The order's own id (never the cancel's).
    pub id: ClientOrderId,
    /// The venue's number, if known (the fastest path).
    pub venue_id: Option<VenueOrderId>,
    /// It waits among the venue's conditional orders and is cancelled there.
    pub conditional: bool,
    /// Its number there, if known.
    pub conditional_id: Option<u64>,
    /// The client id the venue knows it by now, where an amend renamed it.
    pub known_as: ClientOrderId,
    /// The id of the cancel, by which the venue calls the order afterwards; `None` for a foreign order.
    pub cancel_id: Option<ClientOrderId>,
}

/// By which way a request of the stop leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The logged-on connection.
    Session,
    /// A signed request of its own, which needs no connection.
    Request,
}

/// What the stop sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Urgent {
    /// A cancel.
    Cancel(Cancel),
    /// The question for all open orders of the account.
    OpenOrders {
        /// Those that wait among the venue's conditional orders? Where there are none apart, none are found.
        conditional: bool,
    },
}

/// What came of an [`Urgent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrgentReply {
    /// How the cancel ended, as far as the reply says.
    Cancel(CancelOutcome),
    /// The order is cancelled; the reply does not show it.
    Gone,
    /// Open orders.
    Open(Vec<OrderReport>),
    /// The venue answered, and the answer is of no use.
    Failed(String),
    /// Nothing came back by that way: it may have worked.
    Lost(String),
}

/// Which order to change, and into what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amend {
    /// Symbol of the order.
    pub symbol: Symbol,
    /// The order's own id.
    pub id: ClientOrderId,
    /// The venue's number, if known.
    pub venue_id: Option<VenueOrderId>,
    /// The client id the venue knows it by now.
    pub known_as: ClientOrderId,
    /// The id it shall have afterwards; the same where the venue does not rename.
    pub amend_id: ClientOrderId,
    /// The order's side.
    pub side: Side,
    /// Total quantity it shall have, changed or not.
    pub qty: Qty,
    /// Limit price it shall have, changed or not; `None` where the venue cannot change it.
    pub price: Option<Price>,
}

/// A question about the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// All open orders of the account.
    OpenOrders,
    /// All conditional orders of the account that wait under ids of their own. Asked only where
    /// [`crate::instrument::OrderRules::conditionals_apart`] says that there are such.
    OpenConditionals,
    /// The open orders of one symbol; or of them those that [`Query::OpenConditionals`] speaks of.
    OpenOrdersOf {
        /// Symbol.
        symbol: Symbol,
        /// Those that wait among the venue's conditional orders?
        conditional: bool,
    },
    /// One order, by a client id it may carry.
    Order {
        /// Symbol.
        symbol: Symbol,
        /// Any id it may carry.
        client_id: ClientOrderId,
        /// Look for it among the conditional orders. The report then carries its number there and, once it was
        /// triggered, the number of the order that came of it.
        conditional: bool,
    },
    /// One order, by the venue's number.
    OrderByVenueId {
        /// Symbol.
        symbol: Symbol,
        /// The venue's number.
        venue_id: VenueOrderId,
    },
    /// Own trades of a symbol with `id >= from`, oldest first, at most one page of 1000.
    TradesFrom {
        /// Symbol.
        symbol: Symbol,
        /// First trade id wanted.
        from: TradeId,
    },
    /// Own trades of a symbol since a time, at most 24 h, at most one page of 1000.
    TradesSince {
        /// Symbol.
        symbol: Symbol,
        /// From when.
        since: Time,
    },
    /// Own trades of one order.
    TradesOfOrder {
        /// Symbol.
        symbol: Symbol,
        /// The venue's number.
        venue_id: VenueOrderId,
    },
    /// Orders of a symbol that there ever were, as far back as the venue keeps them, lowest number first, at most one
    /// page of 1000.
    OrdersFrom {
        /// Symbol.
        symbol: Symbol,
        /// First number wanted.
        from: VenueOrderId,
        /// Those among the venue's conditional orders, by their numbers there. Asked only where
        /// [`crate::instrument::OrderRules::conditionals_apart`] says that there are such.
        conditional: bool,
    },
    /// Balances, and what the account may do.
    Account,
    /// Funding of a perpetual since a time, oldest first, at most one page of 1000.
    Funding {
        /// Symbol.
        symbol: Symbol,
        /// From when.
        since: Time,
    },
    /// What the account was paid or charged since a time, oldest first, at most one page of 1000; what trades paid and
    /// cost is among it.
    Income {
        /// From when.
        since: Time,
    },
}

impl Query {
    /// Does the fate of one order hang on it? Then it goes before the others, and has more of the rate budget.
    pub const fn is_of_an_order(&self) -> bool {
        matches!(self, Self::Order { .. } | Self::OrderByVenueId { .. } | Self::TradesOfOrder { .. })
    }
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Open orders, or all of a symbol.
    Orders(Vec<OrderReport>),
    /// That order.
    Order(Box<OrderReport>),
    /// The venue says it does not know it (which is no proof).
    NotFound,
    /// The venue had that order; it ended long ago without a fill, and no more is kept of it.
    Archived,
    /// Trades.
    Trades(Vec<Fill>),
    /// The account.
    Account(Account),
    /// Funding as it was published.
    Funding(Vec<FundingRate>),
    /// Payments and charges.
    Income(Vec<Income>),
    /// It could not be answered; ask again later if it still matters.
    Failed(String),
}

/// The account as the venue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// All non-zero balances; positions of perpetuals are among them, see [`Instrument::holding`].
    pub balances: Vec<Balance>,
    /// May it trade?
    pub can_trade: bool,
}

/// One asset's balance: absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Which asset.
    pub asset: Asset,
    /// Free; of a perpetual's holding asset the signed position.
    pub free: Cash,
    /// Held by open orders.
    pub locked: Cash,
    /// Borrowed, with the interest owed; zero where nothing can be borrowed.
    pub owed: Cash,
}

impl Balance {
    /// A balance with nothing owed.
    pub const fn new(asset: Asset, free: Cash, locked: Cash) -> Self {
        Self { asset, free, locked, owed: Cash::ZERO }
    }

    /// What of it is the account's own: free and locked, less what is owed.
    pub fn net(&self) -> Cash {
        self.free + self.locked - self.owed
    }
}

/// One funding of a perpetual, as the venue published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingRate {
    /// Symbol.
    pub symbol: Symbol,
    /// The funding time.
    pub time: Time,
    /// Regular or special.
    pub kind: ChargeKind,
    /// Rate; a long position pays a positive one.
    pub rate: Rate,
    /// Mark price it was reckoned with.
    pub mark: Price,
}

/// One payment or charge of the account that is no trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Income {
    /// The venue's number of the row; `None` where a private event told it, which bears none.
    pub id: Option<u64>,
    /// What for.
    pub kind: ChargeKind,
    /// For which symbol, where it is for one.
    pub symbol: Option<Symbol>,
    /// In which asset.
    pub asset: Asset,
    /// Signed: what the account got.
    pub amount: Cash,
    /// Venue time.
    pub time: Time,
    /// On which loan, where it is not interest of the time that has passed on one of `asset` itself.
    pub loan: Option<Loan>,
}

/// Where an order stands, in the venue's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueStatus {
    /// Accepted, waiting, or on the book without a fill.
    New,
    /// On the book with fills.
    PartiallyFilled,
    /// Filled whole.
    Filled,
    /// Cancelled on request.
    Canceled,
    /// Refused by the engine.
    Rejected,
    /// Ended by the venue's rules (IOC/FOK rest, no liquidity, …).
    Expired,
    /// Ended by self-trade prevention.
    ExpiredInMatch,
}

impl VenueStatus {
    /// Can nothing more happen to it?
    pub const fn is_terminal(self) -> bool {
        self.end().is_some()
    }

    /// How it ended, if it did.
    pub const fn end(self) -> Option<OrderStatus> {
        match self {
            Self::New | Self::PartiallyFilled => None,
            Self::Filled => Some(OrderStatus::Filled),
            Self::Canceled => Some(OrderStatus::Canceled),
            Self::Rejected => Some(OrderStatus::Rejected),
            Self::Expired => Some(OrderStatus::Expired),
            Self::ExpiredInMatch => Some(OrderStatus::ExpiredInMatch),
        }
    }
}

/// All the venue says of one order at one moment, whatever channel it came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderReport {
    /// Symbol.
    pub symbol: Symbol,
    /// The venue's number; 0 for a conditional order that has not been triggered.
    pub venue_id: VenueOrderId,
    /// Its number among the venue's conditional orders, if this tells of one. Such a report is terminal only if the
    /// order was never triggered: what it triggers has its own reports.
    pub conditional_id: Option<u64>,
    /// Client id the venue shows for it now. After a cancel this is the cancel's id.
    pub client_id: ClientOrderId,
    /// Client id it had before the rename this report tells of, if it tells of one.
    pub previous_id: Option<ClientOrderId>,
    /// Side.
    pub side: Side,
    /// Type; `None` for one this version does not know.
    pub order_type: Option<OrderType>,
    /// Time in force, where there is one.
    pub tif: Option<Tif>,
    /// Limit price; zero if none.
    pub price: Price,
    /// Stop price; zero if none.
    pub stop: Price,
    /// What else it carries, as far as the venue says.
    pub instructions: Instructions,
    /// Total quantity.
    pub qty: Qty,
    /// Filled so far.
    pub filled: Qty,
    /// Status.
    pub status: VenueStatus,
    /// Why it ended, in the venue's words, where it says.
    pub reason: Option<String>,
    /// Venue time of this state.
    pub time: Time,
    /// The fill this report tells of, if it tells of one.
    pub fill: Option<Fill>,
    /// The venue itself made this order to end a position, and why.
    pub forced: Option<Forced>,
}

/// One execution of one of the account's orders: a fact. Its key is (market, symbol, trade id, venue order id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Symbol.
    pub symbol: Symbol,
    /// The venue's trade number.
    pub trade_id: TradeId,
    /// The venue's order number.
    pub venue_id: VenueOrderId,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Quote amount as the venue booked it.
    pub quote: Cash,
    /// Profit the venue realised with it on the account's position; `None` on spot, which knows no such thing.
    pub realised: Option<Cash>,
    /// Fee as the venue booked it; never negative on spot.
    pub fee: Cash,
    /// In which asset; `None` if there was no fee.
    pub fee_asset: Option<Asset>,
    /// Did it rest?
    pub maker: bool,
    /// Venue time.
    pub time: Time,
}

/// How a placement ended, as far as the reply says. The private stream may know more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceOutcome {
    /// The venue has it (or had it: the report says).
    Accepted(Box<OrderReport>),
    /// Positive evidence that no order exists: a definite refusal.
    Rejected {
        /// The venue's code.
        code: i64,
        /// The venue's words.
        message: String,
        /// It says nothing against the order: the venue is short of capacity, and may take the next one.
        for_now: bool,
    },
    /// It may exist: no reply, a closed connection, -1006, -1007, 5xx, anything not understood.
    Unknown(String),
}

/// How a cancel ended, as far as the reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// Cancelled.
    Canceled(Box<OrderReport>),
    /// The engine does not know an open order of that id: filled, cancelled before, or never placed.
    UnknownOrder,
    /// Refused for another reason; the order is as it was.
    Rejected {
        /// The venue's code.
        code: i64,
        /// The venue's words.
        message: String,
    },
    /// It may have worked.
    Unknown(String),
}

/// How an amend ended, as far as the reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmendOutcome {
    /// Changed.
    Amended(Box<OrderReport>),
    /// Refused; the order is as it was.
    Rejected {
        /// The venue's code.
        code: i64,
        /// The venue's words.
        message: String,
    },
    /// It may have worked.
    Unknown(String),
}

/// What a venue tells the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VenueEvent {
    /// All instruments, replacing what was known.
    Instruments(Vec<Instrument>),
    /// A new view of a book.
    Depth(Stream, Depth),
    /// Best bid and offer: one level a side.
    Bbo(Stream, Depth),
    /// A public trade.
    Trade(Stream, PublicTrade),
    /// A bar, open or closed.
    Bar(Stream, Bar),
    /// What became of a book; the book itself is [`MarketFeed::book`].
    Book(Stream, BookUpdate),
    /// Mark price, index price and funding rate.
    Mark(Stream, Mark),
    /// What came of this stream is old, for this reason; its next data ends it.
    Stale(Stream, String),
    /// Something a human should read.
    Warning {
        /// What it is about, lower case: the event in the log.
        event: &'static str,
        /// What was found, and what to do.
        words: String,
    },
    /// The way things are done has changed: worth a line of the log, and nothing to be done about.
    Changed {
        /// What has, lower case: the event in the log.
        event: &'static str,
        /// What it is like now.
        words: String,
    },
    /// The venue refused an order by its rules: they may have changed since they were read.
    RulesDoubted,
    /// Bars asked for.
    History {
        /// Number of the request.
        request: u64,
        /// Oldest first, or the venue's words.
        bars: Result<Vec<Bar>, String>,
    },
    /// Market data arrives (again): all wanted streams are subscribed.
    FeedUp,
    /// Market data stopped.
    FeedDown(String),
    /// Orders can be sent and private events arrive from now on; anything may have been missed before.
    EntryUp,
    /// Orders cannot be sent, private events may be missed. Every placement, cancel and amend in flight has been
    /// answered with `Unknown` before this; every query in flight is void.
    EntryDown(String),
    /// The venue will not let this key in; retrying is useless until a human acts.
    KeyRefused(String),
    /// The account is not set up as this gateway needs it; the text says what was found and what to change, and only a
    /// human can.
    Refused(String),
    /// Reply to a placement.
    Placed {
        /// The order's own id.
        id: ClientOrderId,
        /// How it ended.
        outcome: PlaceOutcome,
    },
    /// Reply to a cancel.
    CancelReply {
        /// The order's own id.
        id: ClientOrderId,
        /// How it ended.
        outcome: CancelOutcome,
    },
    /// Reply to an amend.
    AmendReply {
        /// The order's own id.
        id: ClientOrderId,
        /// How it ended.
        outcome: AmendOutcome,
    },
    /// Reply to a request of the stop.
    Urgent {
        /// Its number.
        number: u64,
        /// What came of it.
        reply: UrgentReply,
    },
    /// A private event about an order.
    Report(Box<OrderReport>),
    /// Balances that changed.
    Balances(Vec<Balance>),
    /// Money came in or went out by another way than trading (deposit, withdrawal, transfer, lock by another product).
    Transfer {
        /// Which asset.
        asset: Asset,
        /// How much, signed.
        delta: Cash,
        /// Venue time.
        time: Time,
    },
    /// The account was paid or charged other than by trading. The same fact may be told again, and by
    /// [`Answer::Income`].
    Income(Income),
    /// A private frame could not be understood: something may have been missed.
    PrivateGarbled(String),
    /// Answer to a query.
    Answer {
        /// Number of the query.
        request: u64,
        /// The answer.
        answer: Answer,
    },
    /// How far the venue's clock is ahead of ours.
    Clock {
        /// Venue time less our time, in nanoseconds.
        offset_nanos: i64,
        /// Round trip it was measured with.
        round_trip: Span,
    },
}
