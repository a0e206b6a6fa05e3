//! Orders and fills as the exchange keeps them.
//!
//! ```text
//!            place                       trade / amend / decrement
//!   (stop) ───────▶ New, not working ─┐      ┌─────────┐
//!                                     │trigger│         ▼
//!   (else) ───────▶ New, working ◀────┘ ──▶ PartiallyFilled ──▶ Filled
//!                       │ any open state                    └──▶ Canceled, Expired, ExpiredInMatch
//! ```

use crate::exchange::config::AccountId;
use crate::exchange::request::Request;
use crate::ids::{Asset, ClientOrderId, Symbol, TradeId, VenueOrderId};
use crate::market::{Side, Stp, words};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;
use crate::time::Time;

words! {
    /// Where an order stands.
    OrderStatus {
        /// Accepted, nothing filled. A stop waits in this state, too.
        New = "NEW",
        /// Open, with fills.
        PartiallyFilled = "PARTIALLY_FILLED",
        /// Done: filled whole.
        Filled = "FILLED",
        /// Done: cancelled on request.
        Canceled = "CANCELED",
        /// Done: ended by the rules of its own type; [`Order::expiry`] says which.
        Expired = "EXPIRED",
        /// Done: ended by self-trade prevention.
        ExpiredInMatch = "EXPIRED_IN_MATCH",
    }
}

impl OrderStatus {
    /// Can it still trade or be cancelled?
    pub const fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

words! {
    /// Why an order expired.
    Expiry {
        /// The rest of an IOC order found no taker.
        UnfilledIoc = "UNFILLED_IOC_QUANTITY_EXPIRED",
        /// A FOK order could not be filled whole.
        UnfilledFok = "UNFILLED_FOK_ORDER_EXPIRED",
        /// A market order emptied the book.
        InsufficientLiquidity = "INSUFFICIENT_LIQUIDITY",
        /// A triggered stop was refused, for it would have cost more than the account has.
        Rejected = "REJECTED",
        /// Its time is over.
        GoodTillDate = "GOOD_TILL_DATE",
        /// The position it was to reduce is gone.
        PositionClosed = "POSITION_CLOSED",
        /// Its account is being liquidated.
        Liquidation = "LIQUIDATION",
        /// Its symbol is being settled.
        Settlement = "SETTLEMENT",
    }
}

words! {
    /// Which of an account's positions in a symbol is meant.
    PositionSide {
        /// The only one, in one-way mode.
        Both = "BOTH",
        /// The long one, in hedge mode.
        Long = "LONG",
        /// The short one, in hedge mode.
        Short = "SHORT",
    }
}

words! {
    /// Who placed an order.
    Origin {
        /// The account's owner.
        Client = "CLIENT",
        /// The exchange, to close a position whose margin ran out.
        Liquidation = "LIQUIDATION",
        /// The exchange, because the other side of the position was liquidated and found no market.
        Deleveraging = "ADL",
        /// The exchange, to close a position of a symbol that ends.
        Settlement = "SETTLEMENT",
    }
}

/// What an order says of the position it changes. On spot nothing is a position, and this is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PositionTerms {
    /// Of which position.
    pub side: PositionSide,
    /// May it only make the position smaller?
    pub reduce_only: bool,
    /// Does it close the whole position, however large that is when it is triggered?
    pub close_position: bool,
    /// When it expires, if it does.
    pub good_till: Option<Time>,
    /// Who placed it.
    pub origin: Origin,
    /// The conditional order that triggered it, if one did.
    pub conditional: Option<u64>,
}

impl Default for PositionTerms {
    fn default() -> Self {
        Self {
            side: PositionSide::Both,
            reduce_only: false,
            close_position: false,
            good_till: None,
            origin: Origin::Client,
            conditional: None,
        }
    }
}

impl PositionTerms {
    /// Can an order of this side only make its position smaller? In hedge mode a sale of the long position and a
    /// purchase of the short one always do.
    pub const fn reduces(&self, side: Side) -> bool {
        match (self.side, side) {
            (PositionSide::Both, _) => self.reduce_only,
            (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy) => true,
            (PositionSide::Long, Side::Buy) | (PositionSide::Short, Side::Sell) => false,
        }
    }
}

/// One order, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The exchange's number; unique and rising per symbol.
    pub id: VenueOrderId,
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub symbol: Symbol,
    /// The client's name for it now. A cancel and an amend rename it.
    pub client_id: ClientOrderId,
    /// Side.
    pub side: Side,
    /// Type, prices, time in force.
    pub terms: Terms,
    /// Self-trade prevention in force (the symbol's default if none was asked for).
    pub stp: Stp,
    /// Total quantity. Of an order given as a quote amount: what was filled or prevented so far.
    pub qty: Qty,
    /// Filled so far.
    pub filled: Qty,
    /// Quote amount of the fills so far.
    pub filled_quote: Cash,
    /// Taken away by self-trade prevention so far.
    pub prevented: Qty,
    /// Number of the last prevented match, if there was one.
    pub prevented_match: Option<u64>,
    /// Status.
    pub status: OrderStatus,
    /// Why it expired, if it did.
    pub expiry: Option<Expiry>,
    /// How often it was amended.
    pub amends: u32,
    /// When it was accepted.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// When it began to work: at once, or, for a stop, when it was triggered; `None` while it waits.
    pub working_since: Option<Time>,
    /// What it says of a position.
    pub position: PositionTerms,
}

impl Order {
    /// A new order as accepted: nothing has happened to it yet, and a stop does not work yet.
    pub(super) fn new(
        id: VenueOrderId,
        account: AccountId,
        request: &Request,
        default_stp: Stp,
        now: Time,
    ) -> Self {
        let by_amount = matches!(request.terms, Terms::MarketQuote { .. });
        Self {
            id,
            account,
            symbol: request.symbol.clone(),
            client_id: request.client_id.clone(),
            side: request.side,
            terms: request.terms,
            stp: request.stp.unwrap_or(default_stp),
            qty: if by_amount { Qty::ZERO } else { request.qty },
            filled: Qty::ZERO,
            filled_quote: Cash::ZERO,
            prevented: Qty::ZERO,
            prevented_match: None,
            status: OrderStatus::New,
            expiry: None,
            amends: 0,
            created: now,
            updated: now,
            working_since: request.terms.stop().is_none().then_some(now),
            position: PositionTerms::default(),
        }
    }

    /// What can still trade.
    pub fn left(&self) -> Qty {
        self.qty - self.filled - self.prevented
    }
}

/// One execution of one order. A trade makes two, with the same trade id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Whose.
    pub account: AccountId,
    /// Symbol.
    pub symbol: Symbol,
    /// The trade's number; unique and rising per symbol.
    pub trade_id: TradeId,
    /// The order's number.
    pub order_id: VenueOrderId,
    /// The order's side.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Quote amount: price × quantity, exact.
    pub quote: Cash,
    /// Fee charged; zero if none.
    pub fee: Cash,
    /// In which asset (the received one if there was no fee).
    pub fee_asset: Asset,
    /// Did the order rest?
    pub maker: bool,
    /// When.
    pub time: Time,
    /// Profit realised by closing (part of) a position, before fees; zero on spot.
    pub realised: Cash,
    /// Of which position; `BOTH` on spot.
    pub position_side: PositionSide,
}

impl Fill {
    /// An order's part in a trade, given by number, price and quantity, right after it.
    pub(super) fn new(
        order: &Order,
        (trade_id, price, qty): (TradeId, Price, Qty),
        (fee_asset, fee): (Asset, Cash),
        realised: Cash,
        maker: bool,
    ) -> Self {
        Self {
            account: order.account,
            symbol: order.symbol.clone(),
            trade_id,
            order_id: order.id,
            side: order.side,
            price,
            qty,
            quote: price.times(qty),
            fee,
            fee_asset,
            maker,
            time: order.updated,
            realised,
            position_side: order.position.side,
        }
    }
}

/// A match that self-trade prevention kept from happening, as one of the two orders sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prevention {
    /// The prevented match's number; unique and rising per symbol.
    pub id: u64,
    /// The other order.
    pub counter_order: VenueOrderId,
    /// Price at which it would have traded.
    pub price: Price,
    /// Quantity that would have traded.
    pub qty: Qty,
    /// Quote amount that would have traded.
    pub quote: Cash,
    /// What this order lost by it; zero if only the other one did (such an order gets no event).
    pub prevented: Qty,
}

/// The same match, as the reply to the taker shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreventedMatch {
    /// Its number.
    pub id: u64,
    /// The resting order.
    pub maker_order: VenueOrderId,
    /// Price at which it would have traded.
    pub price: Price,
    /// What the resting order lost.
    pub maker_prevented: Qty,
    /// What the incoming order lost.
    pub taker_prevented: Qty,
}
