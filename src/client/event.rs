//! What a client's machine tells the strategy.

use crate::ids::{ClientOrderId, Symbol};
use crate::wire::error::ErrorBody;
use crate::wire::event::{
    BarData, DepthData, FillView, GatewayState, MarkData, OrderView, PositionView, StateEvent, TradeData,
};
use crate::wire::request::Ack;

/// Failures that arise on this side of the wire and never travel on it. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalError {
    /// Nothing listens at the address, or it is no gateway.
    Connect,
    /// Use from a thread that does not own the engine.
    WrongThread,
    /// No reply in time.
    Timeout,
    /// The gateway sent what the protocol does not know.
    Protocol,
    /// Not a usable number.
    InvalidNumber,
    /// The session is closed.
    Closed,
    /// Too much waits for the socket or for answers.
    Busy,
    /// A call that cannot be made now (`run` within `run`), or with such arguments.
    Misuse,
}

impl LocalError {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::Connect,
        Self::WrongThread,
        Self::Timeout,
        Self::Protocol,
        Self::InvalidNumber,
        Self::Closed,
        Self::Busy,
        Self::Misuse,
    ];
    /// Its number.
    pub const fn code(self) -> i64 {
        match self {
            Self::Connect => -40001,
            Self::WrongThread => -40002,
            Self::Timeout => -40003,
            Self::Protocol => -40004,
            Self::InvalidNumber => -40005,
            Self::Closed => -40006,
            Self::Busy => -40007,
            Self::Misuse => -40008,
        }
    }
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::WrongThread => "wrong_thread",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::InvalidNumber => "invalid_number",
            Self::Closed => "closed",
            Self::Busy => "busy",
            Self::Misuse => "misuse",
        }
    }
    /// With what was found, in the shape of the gateway's errors.
    pub fn body(self, message: impl Into<String>) -> ErrorBody {
        ErrorBody {
            code: self.code(),
            name: self.name().to_owned(),
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

/// Number of an order within one client: given at `send` or when it is first heard of, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub u64);

/// A change of one of the session's orders.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderChange {
    /// Its key; absent for a replayed word about an order that has ended since.
    pub key: Option<OrderKey>,
    /// All there is to know of it now.
    pub order: OrderView,
    /// The fill that caused it.
    pub fill: Option<FillView>,
    /// The position in that symbol now; absent where the change was made on this side (refused, in doubt).
    pub position: Option<PositionView>,
    /// Sent again after a login.
    pub replayed: bool,
}

/// A private event. Delivered in order, each once.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An order changed.
    Order(Box<OrderChange>),
    /// A position changed without an order.
    Position {
        /// The position now.
        position: PositionView,
        /// Why.
        reason: String,
        /// The fill that ended it, where the exchange did.
        fill: Option<FillView>,
    },
    /// A cancel or amend did not do what it should.
    OrderError {
        /// Of which order.
        order_id: ClientOrderId,
        /// Its symbol, if the order is known here.
        symbol: Option<Symbol>,
        /// Why.
        error: ErrorBody,
    },
    /// Something a human should read.
    Notice {
        /// Short name.
        code: String,
        /// In words.
        message: String,
        /// About which symbol.
        symbol: Option<Symbol>,
        /// About which order.
        order_id: Option<ClientOrderId>,
    },
    /// The way to the exchange changed: the gateway's own state, or `Down` while there is no gateway.
    State(StateEvent),
    /// Something failed that belongs to no call of the strategy's.
    Error(ErrorBody),
    /// An event of a kind this version does not know; it counts, that is all.
    Unread,
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Its number in the session's log; absent for what arose on this side.
    pub at: Option<Ack>,
    /// What happened.
    pub event: Event,
}

/// Market data of one stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Market {
    /// Of `depth`, `depth:100ms` and `bbo`: the newest.
    Depth(DepthData),
    /// Of `trade`: the next.
    Trade(TradeData),
    /// Of `kline`: every closing bar, and the newest open one.
    Bar(BarData),
    /// Of `mark`: the newest.
    Mark(MarkData),
    /// Of `book`: it changed. The book itself is always the newest; see `Client::book`.
    Book,
    /// So many trades were left out here.
    Gap(u64),
    /// What came before is old, for this reason; the next data ends it.
    Stale(String),
}

/// The state event for a lost way to the gateway.
pub(super) fn down(reason: impl Into<String>) -> StateEvent {
    StateEvent {
        event: "state".to_owned(),
        state: GatewayState::Down,
        reason: reason.into(),
        not_ready: Vec::new(),
        stopped: None,
    }
}
