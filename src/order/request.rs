//! Orders as they are asked for, and their admission.
//!
//! [`admit`] is the only way to a [`NewOrder`]: what it lets through lies on the instrument's grid and within its
//! limits.

use crate::ids::{ClientOrderId, Symbol};
use crate::instrument::{Instrument, InstrumentStatus};
use crate::market::{OrderType, Side, Stp, Tif};
use crate::num::{Cash, Price, Qty};

/// What is wanted of the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Rest or take at a price or better.
    Limit {
        /// Limit price.
        price: Price,
        /// Time in force.
        tif: Tif,
    },
    /// Rest at a price or be refused.
    PostOnly {
        /// Limit price.
        price: Price,
    },
    /// Take at once.
    Market,
    /// Take at once, spending or earning an amount of the quote asset.
    MarketQuote {
        /// Quote amount.
        amount: Cash,
    },
    /// Wait for a price, then act.
    Stop {
        /// `StopLoss`, `StopLossLimit`, `TakeProfit` or `TakeProfitLimit`.
        order_type: OrderType,
        /// Price that triggers it.
        stop: Price,
        /// Limit price and time in force, where the type has them.
        limit: Option<(Price, Tif)>,
    },
}

impl Terms {
    /// The order type's word.
    pub const fn order_type(&self) -> OrderType {
        match self {
            Self::Limit { .. } => OrderType::Limit,
            Self::PostOnly { .. } => OrderType::LimitMaker,
            Self::Market | Self::MarketQuote { .. } => OrderType::Market,
            Self::Stop { order_type, .. } => *order_type,
        }
    }
    /// The limit price, if there is one.
    pub const fn price(&self) -> Option<Price> {
        match self {
            Self::Limit { price, .. } | Self::PostOnly { price } => Some(*price),
            Self::Stop { limit: Some((price, _)), .. } => Some(*price),
            _ => None,
        }
    }
    /// The time in force, if the type has one.
    pub const fn tif(&self) -> Option<Tif> {
        match self {
            Self::Limit { tif, .. } | Self::Stop { limit: Some((_, tif)), .. } => Some(*tif),
            _ => None,
        }
    }
    /// The stop price, if there is one.
    pub const fn stop(&self) -> Option<Price> {
        match self {
            Self::Stop { stop, .. } => Some(*stop),
            _ => None,
        }
    }
}

/// An order fit to be sent: on the grid, within the limits, named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Its name.
    pub id: ClientOrderId,
    /// Of what.
    pub symbol: Symbol,
    /// Which side.
    pub side: Side,
    /// How much; zero for an order given as a quote amount.
    pub qty: Qty,
    /// On which terms.
    pub terms: Terms,
    /// Explicit self-trade prevention.
    pub stp: Stp,
}

/// An order as a client asked for it: every field as it stood on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Which side.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Time in force.
    pub tif: Option<Tif>,
    /// Limit price.
    pub price: Option<Price>,
    /// Quantity.
    pub qty: Option<Qty>,
    /// Quote amount of a market order.
    pub quote_amount: Option<Cash>,
    /// Stop price.
    pub stop: Option<Price>,
}

/// Why an order was not admitted; nothing left the house. In order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not trading now.
    #[error("{symbol} is not open for new orders ({status:?}); wait until the exchange reopens it")]
    NotTrading {
        /// Which.
        symbol: Symbol,
        /// Its status.
        status: InstrumentStatus,
    },
    /// The venue does not take this type for the symbol.
    #[error("{symbol} does not take {order_type} orders; it takes {allowed}")]
    TypeNotSupported {
        /// Which.
        symbol: Symbol,
        /// Asked for.
        order_type: OrderType,
        /// Taken.
        allowed: String,
    },
    /// A field is missing or does not belong.
    #[error("a {order_type} order {problem}")]
    Shape {
        /// Type asked for.
        order_type: OrderType,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Off the price grid.
    #[error("{field} {found} is not a multiple of the tick {tick} of {symbol}")]
    OffTick {
        /// `price` or `stop price`.
        field: &'static str,
        /// What was found.
        found: Price,
        /// The tick.
        tick: Price,
        /// Of which symbol.
        symbol: Symbol,
    },
    /// Outside the price range.
    #[error("{field} {found} is outside {min} to {max} of {symbol}")]
    PriceRange {
        /// `price` or `stop price`.
        field: &'static str,
        /// What was found.
        found: Price,
        /// Least.
        min: Price,
        /// Most.
        max: Price,
        /// Of which symbol.
        symbol: Symbol,
    },
    /// Off the quantity grid.
    #[error("quantity {found} is not a multiple of the lot {lot} of {symbol}")]
    OffLot {
        /// What was found.
        found: Qty,
        /// The lot.
        lot: Qty,
        /// Of which symbol.
        symbol: Symbol,
    },
    /// Outside the quantity range.
    #[error("quantity {found} is outside {min} to {max} of {symbol}")]
    QtyRange {
        /// What was found.
        found: Qty,
        /// Least.
        min: Qty,
        /// Most.
        max: Qty,
        /// Of which symbol.
        symbol: Symbol,
    },
    /// Too small or too large in the quote asset.
    #[error("price times quantity is {found} {symbol}, outside {min} to {max}")]
    Notional {
        /// What was found.
        found: Cash,
        /// Least.
        min: Cash,
        /// Most (zero: unlimited).
        max: Cash,
        /// Of which symbol.
        symbol: Symbol,
    },
}

/// Turns a draft into an order fit to be sent.
///
/// # Errors
/// The first [`Refusal`] that holds, in the order they are listed.
pub fn admit(
    instrument: &Instrument,
    draft: &Draft,
    id: ClientOrderId,
    stp: Stp,
) -> Result<NewOrder, Refusal> {
    let symbol = || instrument.symbol.clone();
    if instrument.status != InstrumentStatus::Trading {
        return Err(Refusal::NotTrading { symbol: symbol(), status: instrument.status });
    }
    if !instrument.order_types.iter().any(|t| t == draft.order_type.as_str()) {
        let allowed = instrument.order_types.join(", ");
        return Err(Refusal::TypeNotSupported { symbol: symbol(), order_type: draft.order_type, allowed });
    }
    let terms = shape(instrument, draft)?;
    for (field, found) in [("price", terms.price()), ("stop price", terms.stop())] {
        if let Some(found) = found {
            check_price(instrument, field, found)?;
        }
    }
    if let Terms::MarketQuote { amount } = terms {
        check_notional(instrument, amount)?;
        return Ok(NewOrder { id, symbol: symbol(), side: draft.side, qty: Qty::ZERO, terms, stp });
    }
    let qty = draft.qty.unwrap_or_default();
    check_qty(instrument, qty, draft.order_type == OrderType::Market)?;
    if let Some(price) = terms.price() {
        check_notional(instrument, price.times(qty))?;
    }
    Ok(NewOrder { id, symbol: symbol(), side: draft.side, qty, terms, stp })
}

/// Which fields go together.
fn shape(instrument: &Instrument, draft: &Draft) -> Result<Terms, Refusal> {
    let order_type = draft.order_type;
    let wrong = |problem| Err(Refusal::Shape { order_type, problem });
    if draft.price.is_some() && !order_type.has_price() {
        return wrong("takes no price");
    }
    if draft.tif.is_some() && !order_type.has_tif() {
        return wrong("takes no time in force");
    }
    if draft.stop.is_some() && !order_type.has_stop() {
        return wrong("takes no stop price");
    }
    if draft.quote_amount.is_some() && order_type != OrderType::Market {
        return wrong("takes no quote amount");
    }
    if draft.quote_amount.is_some() && draft.qty.is_some() {
        return wrong("takes a quantity or a quote amount, not both");
    }
    if draft.quote_amount.is_some() && !instrument.quote_qty_market_allowed {
        return wrong("takes no quote amount on this symbol");
    }
    if draft.qty.is_none() && draft.quote_amount.is_none() {
        return wrong("needs a quantity");
    }
    let tif = draft.tif.unwrap_or(Tif::Gtc);
    let limit = match (order_type.has_price(), draft.price) {
        (true, None) => return wrong("needs a price"),
        (true, Some(price)) => Some((price, tif)),
        (false, _) => None,
    };
    Ok(match (order_type, limit, draft.stop, draft.quote_amount) {
        (OrderType::Limit, Some((price, tif)), ..) => Terms::Limit { price, tif },
        (OrderType::LimitMaker, Some((price, _)), ..) => Terms::PostOnly { price },
        (OrderType::Market, _, _, Some(amount)) => Terms::MarketQuote { amount },
        (OrderType::Market, ..) => Terms::Market,
        (_, limit, Some(stop), _) => Terms::Stop { order_type, stop, limit },
        _ => return wrong("needs a stop price"),
    })
}

fn check_price(instrument: &Instrument, field: &'static str, found: Price) -> Result<(), Refusal> {
    let grid = &instrument.price;
    let symbol = instrument.symbol.clone();
    if !found.is_positive() || found < grid.min || (!grid.max.is_zero() && found > grid.max) {
        return Err(Refusal::PriceRange { field, found, min: grid.min, max: grid.max, symbol });
    }
    if !found.is_multiple_of(grid.step) {
        return Err(Refusal::OffTick { field, found, tick: grid.step, symbol });
    }
    Ok(())
}

fn check_qty(instrument: &Instrument, found: Qty, market: bool) -> Result<(), Refusal> {
    let symbol = instrument.symbol.clone();
    let mut grid = instrument.qty;
    if market && instrument.market_qty.max.is_positive() {
        grid.max = grid.max.min(instrument.market_qty.max);
        grid.min = grid.min.max(instrument.market_qty.min);
    }
    if !found.is_positive() || found < grid.min || (!grid.max.is_zero() && found > grid.max) {
        return Err(Refusal::QtyRange { found, min: grid.min, max: grid.max, symbol });
    }
    let off =
        !found.is_multiple_of(grid.step) || (market && !found.is_multiple_of(instrument.market_qty.step));
    if off {
        return Err(Refusal::OffLot { found, lot: grid.step, symbol });
    }
    Ok(())
}

fn check_notional(instrument: &Instrument, found: Cash) -> Result<(), Refusal> {
    let (min, max) = (instrument.min_notional, instrument.max_notional);
    if found < min || (max.is_positive() && found > max) {
        return Err(Refusal::Notional { found, min, max, symbol: instrument.symbol.clone() });
    }
    Ok(())
}
