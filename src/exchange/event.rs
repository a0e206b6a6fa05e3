//! What the exchange tells: privately per account, publicly per symbol.
//!
//! One call makes one transaction: all its events carry the same time, and come in the order things happened. At its
//! end follow, per symbol touched, one [`BookChange`] and one [`BestChange`] if there was a change, and per account
//! touched one [`BalanceChange`]. The internal accounts get no private events.

use crate::exchange::config::AccountId;
use crate::exchange::lending::MarginEvent;
use crate::exchange::order::{Fill, Order, Prevention};
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::instrument::InstrumentStatus;
use crate::market::{Level, PublicTrade};
use crate::num::Cash;
use crate::time::Time;

/// Anything the exchange tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Private: an order changed.
    Order(Box<OrderEvent>),
    /// Private: balances changed.
    Balances(BalanceChange),
    /// Private: what a margin wallet owes changed, or how near it is to its end.
    Margin(MarginEvent),
    /// Private: money came in or went out; a [`BalanceChange`] follows.
    Transfer(Transfer),
    /// Public: a trade.
    Trade {
        /// Of which symbol.
        symbol: Symbol,
        /// The trade.
        trade: PublicTrade,
    },
    /// Public: levels of the book changed.
    Book(BookChange),
    /// Public: the best bid or offer changed.
    Best(BestChange),
    /// Public: a symbol's status changed.
    Status {
        /// Of which symbol.
        symbol: Symbol,
        /// Its status now.
        status: InstrumentStatus,
    },
}

/// What the engine tells whatever it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketEvent {
    /// Private: an order changed.
    Order(Box<OrderEvent>),
    /// Public: a trade.
    Trade(Symbol, PublicTrade),
    /// Public: levels of the book changed.
    Book(BookChange),
    /// Public: the best bid or offer changed.
    Best(BestChange),
}

impl From<MarketEvent> for Event {
    fn from(event: MarketEvent) -> Self {
        match event {
            MarketEvent::Order(event) => Self::Order(event),
            MarketEvent::Trade(symbol, trade) => Self::Trade { symbol, trade },
            MarketEvent::Book(change) => Self::Book(change),
            MarketEvent::Best(change) => Self::Best(change),
        }
    }
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Accepted; or, a second time for a stop, triggered ([`Order::working_since`] is set then).
    New,
    /// It traded.
    Trade(Fill),
    /// Cancelled; it had this client id before.
    Canceled {
        /// The client id the cancel was for.
        previous_id: ClientOrderId,
    },
    /// Amended in place; it had this client id before.
    Replaced {
        /// The client id the amend was for.
        previous_id: ClientOrderId,
    },
    /// Ended by the rules of its type; [`Order::expiry`] says why.
    Expired,
    /// Self-trade prevention took quantity from it, or ended it.
    Prevented(Prevention),
}

/// A state change of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEvent {
    /// Number of the execution; unique and rising per symbol.
    pub execution_id: u64,
    /// When.
    pub time: Time,
    /// What happened.
    pub change: Change,
    /// The order after it.
    pub order: Order,
}

/// What an account has of an asset.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Balance {
    /// Of which asset.
    pub asset: Asset,
    /// At its disposal.
    pub free: Cash,
    /// Held by its open orders.
    pub locked: Cash,
}

/// Absolute balances of the assets a transaction touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceChange {
    /// Whose.
    pub account: AccountId,
    /// When.
    pub time: Time,
    /// Balances, by asset.
    pub balances: Vec<Balance>,
}

/// A deposit or a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Whose.
    pub account: AccountId,
    /// When.
    pub time: Time,
    /// Of which asset.
    pub asset: Asset,
    /// How much; negative for a withdrawal.
    pub delta: Cash,
}

/// Levels that changed, with their new quantities (zero: gone). In a matching book each level changed takes one
/// update id, so `first_update_id` is the previous change's `last_update_id + 1`; in a replayed one the ids are the
/// recorded ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookChange {
    /// Of which symbol.
    pub symbol: Symbol,
    /// When.
    pub time: Time,
    /// First update id.
    pub first_update_id: u64,
    /// Last update id.
    pub last_update_id: u64,
    /// Bids, best first.
    pub bids: Vec<Level>,
    /// Asks, best first.
    pub asks: Vec<Level>,
}

/// The best levels after a change of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestChange {
    /// Of which symbol.
    pub symbol: Symbol,
    /// When.
    pub time: Time,
    /// The book's update id.
    pub update_id: u64,
    /// Best bid; `None` if there is none.
    pub bid: Option<Level>,
    /// Best ask; `None` if there is none.
    pub ask: Option<Level>,
}
