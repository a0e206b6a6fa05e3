//! Orders as they are asked for, and their admission.
//!
//! [`admit`] is the only way to a [`NewOrder`]: what it lets through lies on the instrument's grid and within its
//! limits.

use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::instrument::{Instrument, InstrumentStatus};
use crate::market::{Instructions, OrderType, Side, Stp, Tif, WorkingType};
use crate::num::{Cash, Percent, Price, Qty};
use crate::time::{Span, Time};

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
    /// Follow the market, and take at once when it turns back.
    Trailing {
        /// How far it may turn back.
        callback_rate: Percent,
        /// Price from which on it follows; at once if there is none.
        activation_price: Option<Price>,
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
            Self::Trailing { .. } => OrderType::TrailingStop,
        }
    }
    /// Does it wait for the market before it does anything?
    pub const fn is_conditional(&self) -> bool {
        matches!(self, Self::Stop { .. } | Self::Trailing { .. })
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
    /// When an order with time in force `GTD` expires.
    pub good_till: Option<Time>,
    /// The price a conditional order watches.
    pub working_type: WorkingType,
    /// The venue shall fill it only as far as it reduces the account's position. Not what the session asked for:
    /// that is judged against its own book before.
    pub reduce_only: bool,
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
    /// What else it carries; `reduce_only` is what the venue shall be told.
    pub instructions: Instructions,
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
    /// The venue does not take this time in force for the symbol.
    #[error("{symbol} does not take time in force {tif}; it takes {allowed}")]
    TifNotSupported {
        /// Which.
        symbol: Symbol,
        /// Asked for.
        tif: Tif,
        /// Taken.
        allowed: String,
    },
    /// The venue's conditional orders cannot watch this price.
    #[error("conditional orders of {symbol} cannot watch the {working_type} price; they can watch {allowed}")]
    WorkingTypeNotSupported {
        /// Which.
        symbol: Symbol,
        /// Asked for.
        working_type: WorkingType,
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
    /// A good-till date that is too near, or off its grid.
    #[error("good_till {found:?} {problem}; the venue takes whole seconds from {least:?} on")]
    GoodTill {
        /// What was found.
        found: Time,
        /// What is wrong with it.
        problem: &'static str,
        /// From when on.
        least: Time,
    },
    /// A callback rate off its grid or range.
    #[error("callback rate {found} % of {symbol} is not a multiple of {step} % from {min} % to {max} %")]
    CallbackRate {
        /// What was found.
        found: Percent,
        /// Least.
        min: Percent,
        /// Most.
        max: Percent,
        /// Step.
        step: Percent,
        /// Of which symbol.
        symbol: Symbol,
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
    #[error("quantity {found} is outside {min} to {max} of {symbol}{rounded}")]
    QtyRange {
        /// What was found.
        found: Qty,
        /// Least.
        min: Qty,
        /// Most.
        max: Qty,
        /// How a larger one may have become this, or nothing.
        rounded: String,
        /// Of which symbol.
        symbol: Symbol,
    },
    /// Too small or too large in the quote asset.
    #[error("the order is worth {found} {quote}; {symbol} takes {limit}")]
    Notional {
        /// What was found.
        found: Cash,
        /// In which asset.
        quote: Asset,
        /// The limit and what to do.
        limit: String,
        /// Of which symbol.
        symbol: Symbol,
    },
}

/// Turns a draft into an order fit to be sent.
///
/// # Errors
/// The first [`Refusal`] that holds, in the order they are listed.
pub fn admit(
    now: Time,
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
    check_instructions(now, instrument, &terms, &draft.instructions)?;
    let activation = draft.instructions.activation_price;
    for (field, found) in
        [("price", terms.price()), ("stop price", terms.stop()), ("activation price", activation)]
    {
        if let Some(found) = found {
            check_price(instrument, field, found)?;
        }
    }
    let new = NewOrder {
        id,
        symbol: symbol(),
        side: draft.side,
        qty: draft.qty.unwrap_or_default(),
        terms,
        stp,
        good_till: draft.instructions.good_till,
        working_type: draft.instructions.working_type.unwrap_or(WorkingType::Last),
        reduce_only: draft.instructions.reduce_only,
    };
    if let Terms::MarketQuote { amount } = terms {
        if !amount.is_positive() {
            let problem = "needs a quote amount above zero";
            return Err(Refusal::Shape { order_type: draft.order_type, problem });
        }
        check_notional(instrument, amount, new.reduce_only)?;
        return Ok(new);
    }
    check_qty(instrument, new.qty, draft.order_type == OrderType::Market)?;
    if let Some(price) = terms.price() {
        check_notional(instrument, worth(instrument, price, new.qty)?, new.reduce_only)?;
    }
    Ok(new)
}

/// Checks what an amend makes of an order: price and quantity as a new order's would be.
///
/// # Errors
/// The first [`Refusal`] that holds.
pub fn check_amended(instrument: &Instrument, price: Option<Price>, qty: Qty) -> Result<(), Refusal> {
    if let Some(price) = price {
        check_price(instrument, "price", price)?;
    }
    check_qty(instrument, qty, false)?;
    price.map_or(Ok(()), |price| check_notional(instrument, worth(instrument, price, qty)?, false))
}

/// Which fields go together.
fn shape(instrument: &Instrument, draft: &Draft) -> Result<Terms, Refusal> {
    let order_type = draft.order_type;
    let instructions = &draft.instructions;
    let trailing = order_type == OrderType::TrailingStop;
    let by_amount = draft.quote_amount.is_some();
    let tif = draft.tif.unwrap_or(Tif::Gtc);
    let problem = [
        (draft.price.is_some() && !order_type.has_price(), "takes no price"),
        (draft.tif.is_some() && !order_type.has_tif(), "takes no time in force"),
        (draft.stop.is_some() && !order_type.has_stop(), "takes no stop price"),
        (instructions.working_type.is_some() && !order_type.is_conditional(), "takes no working type"),
        (instructions.callback_rate.is_some() && !trailing, "takes no callback rate"),
        (instructions.activation_price.is_some() && !trailing, "takes no activation price"),
        (by_amount && order_type != OrderType::Market, "takes no quote amount"),
        (by_amount && draft.qty.is_some(), "takes a quantity or a quote amount, not both"),
        (by_amount && !instrument.quote_qty_market_allowed, "takes no quote amount on this symbol"),
        (draft.qty.is_none() && !by_amount, "needs a quantity"),
        (order_type.has_price() && draft.price.is_none(), "needs a price"),
        (order_type.has_stop() && draft.stop.is_none(), "needs a stop price"),
        (instructions.good_till.is_some() && tif != Tif::Gtd, "takes good_till only with time in force GTD"),
        (instructions.good_till.is_none() && tif == Tif::Gtd, "needs good_till with time in force GTD"),
    ]
    .into_iter()
    .find_map(|(wrong, problem)| wrong.then_some(problem));
    if let Some(problem) = problem {
        return Err(Refusal::Shape { order_type, problem });
    }
    let limit = draft.price.map(|price| (price, tif));
    Ok(match (order_type, limit, draft.stop, draft.quote_amount, instructions.callback_rate) {
        (OrderType::Limit, Some((price, tif)), ..) => Terms::Limit { price, tif },
        (OrderType::LimitMaker, Some((price, _)), ..) => Terms::PostOnly { price },
        (OrderType::Market, _, _, Some(amount), _) => Terms::MarketQuote { amount },
        (OrderType::Market, ..) => Terms::Market,
        (_, limit, Some(stop), ..) => Terms::Stop { order_type, stop, limit },
        (.., Some(callback_rate)) => {
            Terms::Trailing { callback_rate, activation_price: instructions.activation_price }
        }
        _ => return Err(Refusal::Shape { order_type, problem: "needs a callback rate" }),
    })
}

/// What the venue takes of an order beyond its type.
fn check_instructions(
    now: Time,
    instrument: &Instrument,
    terms: &Terms,
    instructions: &Instructions,
) -> Result<(), Refusal> {
    let (rules, symbol) = (&instrument.rules, || instrument.symbol.clone());
    if let Some(tif) = terms.tif().filter(|tif| !rules.tifs.contains(tif)) {
        let allowed = rules.tifs.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Refusal::TifNotSupported { symbol: symbol(), tif, allowed });
    }
    if let Some(working_type) = instructions.working_type.filter(|w| !rules.working_types.contains(w)) {
        let allowed = rules.working_types.iter().map(|w| w.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Refusal::WorkingTypeNotSupported { symbol: symbol(), working_type, allowed });
    }
    if let Some(found) = instructions.good_till {
        let least = now + rules.good_till_least;
        let problem = match found.nanos() % Span::from_secs(1).nanos() {
            0 if found >= least => None,
            0 => Some("is too near"),
            _ => Some("is no whole second"),
        };
        if let Some(problem) = problem {
            return Err(Refusal::GoodTill { found, problem, least });
        }
    }
    if let Some(found) = instructions.callback_rate {
        let grid = &rules.callback_rate;
        if found < grid.min || found > grid.max || !found.is_multiple_of(grid.step) {
            let (min, max, step) = (grid.min, grid.max, grid.step);
            return Err(Refusal::CallbackRate { found, min, max, step, symbol: symbol() });
        }
    }
    Ok(())
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
        let lot = grid.step;
        let rounded = match found.is_zero() && lot.is_positive() {
            true => format!("; what is below one lot ({lot}) is rounded down to 0"),
            false => String::new(),
        };
        return Err(Refusal::QtyRange { found, min: grid.min, max: grid.max, rounded, symbol });
    }
    let off =
        !found.is_multiple_of(grid.step) || (market && !found.is_multiple_of(instrument.market_qty.step));
    if off {
        return Err(Refusal::OffLot { found, lot: grid.step, symbol });
    }
    Ok(())
}

fn worth(instrument: &Instrument, price: Price, qty: Qty) -> Result<Cash, Refusal> {
    price.worth(qty).ok_or_else(|| Refusal::Notional {
        found: price.times(qty),
        quote: instrument.quote.clone(),
        limit: "10^15 at most, as no larger amount is kept: choose a smaller quantity".to_owned(),
        symbol: instrument.symbol.clone(),
    })
}

/// What only reduces a position may be as small as that position.
fn check_notional(instrument: &Instrument, found: Cash, reduces: bool) -> Result<(), Refusal> {
    let (min, max) = (instrument.min_notional, instrument.max_notional);
    if (found < min && !reduces) || (max.is_positive() && found > max) {
        let quote = instrument.quote.clone();
        let limit = if found < min {
            format!("{min} {quote} at least: choose a larger quantity")
        } else {
            format!("{max} {quote} at most: choose a smaller quantity")
        };
        return Err(Refusal::Notional { found, quote, limit, symbol: instrument.symbol.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
