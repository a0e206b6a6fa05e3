//! What can be asked of the exchange, its replies and its refusals.

use crate::exchange::order::{Fill, Order, PreventedMatch};
use crate::ids::{ClientOrderId, Symbol, VenueOrderId};
use crate::market::{OrderType, Side, Stp, words};
use crate::num::Qty;
use crate::order::request::Terms;
use crate::time::Time;

/// A new order as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of what.
    pub symbol: Symbol,
    /// The client's name for it; the caller makes one up where the client gave none.
    pub client_id: ClientOrderId,
    /// Side.
    pub side: Side,
    /// Type, prices, time in force.
    pub terms: Terms,
    /// Quantity; not looked at for [`Terms::MarketQuote`].
    pub qty: Qty,
    /// Self-trade prevention; `None` takes the symbol's default.
    pub stp: Option<Stp>,
}

/// Which order is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderRef {
    /// By the exchange's number.
    Id(VenueOrderId),
    /// By the client id it has now.
    ClientId(ClientOrderId),
    /// By the exchange's number; the client id must be the one it has now.
    Both(VenueOrderId, ClientOrderId),
}

words! {
    /// A condition on cancelling.
    CancelRestriction {
        /// Only if nothing was filled.
        OnlyNew = "ONLY_NEW",
        /// Only if something was filled.
        OnlyPartiallyFilled = "ONLY_PARTIALLY_FILLED",
    }
}

/// Ends an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// Of what.
    pub symbol: Symbol,
    /// Which.
    pub order: OrderRef,
    /// The client id the order has afterwards; the caller makes one up where the client gave none.
    pub cancel_id: ClientOrderId,
    /// A condition, if there is one.
    pub restriction: Option<CancelRestriction>,
}

words! {
    /// What becomes of the new order when the cancel fails.
    CancelReplaceMode {
        /// It is not attempted.
        StopOnFailure = "STOP_ON_FAILURE",
        /// It is placed all the same.
        AllowFailure = "ALLOW_FAILURE",
    }
}

/// Reduces an open order's quantity; it keeps its place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amend {
    /// Of what.
    pub symbol: Symbol,
    /// Which.
    pub order: OrderRef,
    /// New total quantity.
    pub qty: Qty,
    /// The client id the order has afterwards; the caller makes one up where the client gave none. May be the same.
    pub amend_id: ClientOrderId,
}

/// Reply to an accepted order: as it stood when its own matching was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// Its fills, in order.
    pub fills: Vec<Fill>,
    /// Matches prevented, in order.
    pub prevented: Vec<PreventedMatch>,
}

/// Reply to a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canceled {
    /// The order, cancelled.
    pub order: Order,
    /// The client id it had before.
    pub previous_id: ClientOrderId,
}

/// Reply to a cancel-and-replace: each leg's own result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelReplaced {
    /// The cancel.
    pub cancel: Result<Canceled, Reject>,
    /// The new order; `None` if it was not attempted.
    pub new: Option<Result<Placed, Reject>>,
}

/// Reply to an amend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amended {
    /// The order after it; it may have expired by it.
    pub order: Order,
    /// The client id it had before.
    pub previous_id: ClientOrderId,
    /// Number of the execution.
    pub execution_id: u64,
}

/// Part of a history, oldest first. The default is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Least order or trade id.
    pub from_id: Option<u64>,
    /// Least creation time (orders) or trade time.
    pub start: Option<Time>,
    /// Largest creation time (orders) or trade time.
    pub end: Option<Time>,
    /// At most so many. The first ones if `from_id` or `start` is given, else the last ones.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { from_id: None, start: None, end: None, limit: usize::MAX }
    }
}

words! {
    /// A filter an order can fail, in the order they are checked.
    Filter {
        /// Price or stop price off its grid or range.
        PriceFilter = "PRICE_FILTER",
        /// Price too far from the last trade.
        PercentPriceBySide = "PERCENT_PRICE_BY_SIDE",
        /// Quantity off its grid or range.
        LotSize = "LOT_SIZE",
        /// Quantity of a market order off its grid or range.
        MarketLotSize = "MARKET_LOT_SIZE",
        /// Price times quantity too small or too large.
        Notional = "NOTIONAL",
        /// Too many open orders.
        MaxNumOrders = "MAX_NUM_ORDERS",
        /// Too many untriggered stops.
        MaxNumAlgoOrders = "MAX_NUM_ALGO_ORDERS",
        /// Amended too often.
        MaxNumOrderAmends = "MAX_NUM_ORDER_AMENDS",
    }
}

/// Why the exchange refuses. Nothing has changed then. Of several reasons to refuse a new order the first one listed is
/// given; but that a quote amount does not buy a single lot is found out last but for the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// No such account.
    #[error("unknown account")]
    UnknownAccount,
    /// No such symbol.
    #[error("unknown symbol")]
    UnknownSymbol,
    /// The account may not trade.
    #[error("this account may not place or cancel orders")]
    AccountBlocked,
    /// The symbol does not take this type.
    #[error("{0} orders are not supported for this symbol")]
    TypeNotSupported(OrderType),
    /// The symbol takes no market orders given as a quote amount.
    #[error("quote amount market orders are not supported for this symbol")]
    QuoteAmountNotSupported,
    /// The symbol does not take this self-trade prevention mode.
    #[error("self-trade prevention {0} is not supported for this symbol")]
    StpNotSupported(Stp),
    /// The symbol takes no amends.
    #[error("amends are not supported for this symbol")]
    AmendNotSupported,
    /// A filter failed; the order never reached the engine.
    #[error("filter failure: {0}")]
    Filter(Filter),
    /// The symbol is not open for this.
    #[error("market is closed")]
    MarketClosed,
    /// No open order of that id (for a query: none at all).
    #[error("unknown order")]
    UnknownOrder,
    /// The order has another client id now.
    #[error("the client id does not belong to the order id")]
    IdMismatch,
    /// The cancel's condition is not met.
    #[error("order was not canceled due to cancel restrictions")]
    CancelRestricted,
    /// Another open order of the account has this client id.
    #[error("duplicate order sent")]
    Duplicate,
    /// An amend may only reduce.
    #[error("an amend may not increase the quantity")]
    AmendIncrease,
    /// An amend to the present quantity.
    #[error("the amend would change nothing")]
    AmendNoChange,
    /// A stop would trigger at once.
    #[error("order would trigger immediately")]
    WouldTrigger,
    /// A post-only order would take.
    #[error("order would immediately match and take")]
    WouldMatch,
    /// It costs more than is free.
    #[error("account has insufficient balance")]
    InsufficientBalance,
}
