//! What can be asked of the futures exchange, and its refusals.

use crate::exchange::futures::contract::ContractStatus;
use crate::exchange::order::{Order, PositionSide, PositionTerms};
use crate::exchange::request::{OrderRef, Request};
use crate::ids::Symbol;
use crate::market::Side;
use crate::num::{Cash, Percent, Price, Qty};
use crate::time::Time;

/// A new order as asked for. A post-only order (GTX) is [`Terms::PostOnly`], a good-till-date one (GTD) a limit with
/// [`PositionTerms::good_till`].
///
/// [`Terms::PostOnly`]: crate::order::request::Terms::PostOnly
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Symbol, name, side, type, quantity. Only limit, post-only and market orders are taken.
    pub request: Request,
    /// Position side, reduce-only, good-till date.
    pub position: PositionTerms,
}

/// Changes price and quantity of an open limit order. It loses its place in the queue and keeps its number and client
/// id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modify {
    /// Of what.
    pub symbol: Symbol,
    /// Which.
    pub order: OrderRef,
    /// Its side; must be the order's.
    pub side: Side,
    /// New price.
    pub price: Price,
    /// New total quantity, with what is filled already.
    pub qty: Qty,
    /// If said: is it reduce-only? Checked, never changed.
    pub reduce_only: Option<bool>,
}

/// Reply to a modify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modified {
    /// The order after it. Cancelled, if the new quantity is filled already or a post-only order would have taken.
    pub order: Order,
    /// Number of the execution.
    pub execution_id: u64,
}

/// Why the futures exchange refuses. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// What every market refuses: unknown account, symbol or order, a taken client id, a post-only order that would
    /// take, an order type or self-trade prevention mode it has not.
    #[error(transparent)]
    Market(#[from] crate::exchange::request::Reject),
    /// The contract's status does not allow it.
    #[error("the symbol's status is {0}")]
    NotOpen(ContractStatus),
    /// Price zero or below.
    #[error("the price must be above zero")]
    PriceNotPositive,
    /// Below the least price.
    #[error("the price is below the least, {0}")]
    PriceTooLow(Price),
    /// Above the largest price.
    #[error("the price is above the largest, {0}")]
    PriceTooHigh(Price),
    /// Off the price grid.
    #[error("the price is not a multiple of the tick {0}")]
    PriceOffTick(Price),
    /// Quantity zero or below.
    #[error("the quantity must be above zero")]
    QtyNotPositive,
    /// Below the least quantity.
    #[error("the quantity is below the least, {0}")]
    QtyTooSmall(Qty),
    /// Above the largest quantity.
    #[error("the quantity is above the largest, {0}")]
    QtyTooLarge(Qty),
    /// Off the quantity grid.
    #[error("the quantity is not a multiple of the lot {0}")]
    QtyOffStep(Qty),
    /// Worth too little and not reduce-only.
    #[error("the order's notional must be at least {0}, unless it is reduce-only")]
    NotionalTooSmall(Cash),
    /// A bid too far above the mark price.
    #[error("the price may not be above {0}")]
    PriceFarAbove(Price),
    /// An ask too far below the mark price.
    #[error("the price may not be below {0}")]
    PriceFarBelow(Price),
    /// The best price is too far from the mark price for a market order.
    #[error("the best price is too far from the mark price for a market order")]
    MarketTooFar,
    /// Too many open orders.
    #[error("more than {0} open orders in the symbol")]
    TooManyOrders(usize),
    /// It needs more margin than is available.
    #[error("margin is insufficient")]
    InsufficientMargin,
    /// The position would be larger than its leverage allows.
    #[error("the position would exceed {0}, the largest at this leverage")]
    PositionTooLarge(Cash),
    /// There is no position to reduce.
    #[error("the reduce-only order would not reduce a position")]
    ReduceOnly,
    /// Position side and position mode do not fit.
    #[error("position side {0} does not match the position mode")]
    PositionSide(PositionSide),
    /// Reduce-only is said by the position side in hedge mode.
    #[error("reduce-only is not taken in hedge mode; the position side says it")]
    ReduceOnlyInHedgeMode,
    /// The good-till date is too near or too far, or missing, or the order does not rest.
    #[error("good-till date {0:?} is not taken; it belongs to orders that rest and must be 600 s ahead")]
    GoodTillDate(Time),
    /// Only limit orders can be modified.
    #[error("only limit orders can be modified")]
    ModifyNotLimit,
    /// A modify names the other side.
    #[error("the order's side is {0}")]
    ModifySide(Side),
    /// A modify to what the order is already.
    #[error("the modify would change nothing")]
    ModifyNoChange,
    /// Modified too often.
    #[error("modified more than {0} times")]
    ModifiedTooOften(u32),
    /// A modify says reduce-only of an order that is not.
    #[error("the order is not reduce-only")]
    ModifyReduceOnly,
    /// Not between 1 and the largest leverage.
    #[error("leverage {0} is not taken; at most {1}")]
    Leverage(u32, u32),
    /// The positions are too large for this leverage.
    #[error("the position exceeds {0}, the largest at this leverage")]
    LeveragePosition(Cash),
    /// The setting has this value already.
    #[error("no need to change")]
    NoChange,
    /// Open orders stand in the way of a change of mode.
    #[error("the mode cannot be changed while there are open orders")]
    OpenOrders,
    /// Positions stand in the way of a change of mode.
    #[error("the mode cannot be changed while there are positions")]
    OpenPositions,
    /// Too many conditional orders wait.
    #[error("more than {0} conditional orders wait")]
    TooManyConditionals(usize),
    /// Close-position with a price or reduce-only.
    #[error("close-position is for market types and goes without reduce-only")]
    ClosePosition,
    /// Not between 0.1 and 20 percent.
    #[error("callback rate {0} is not between 0.1 and 20")]
    CallbackRate(Percent),
    /// On the wrong side of the market.
    #[error("activation price {0} is on the wrong side of the market")]
    ActivationPrice(Price),
    /// More than can be taken out.
    #[error("only {0} can be taken out")]
    Withdraw(Cash),
}
