//! The filters of a symbol: what an order must satisfy before it reaches the engine.

use crate::exchange::config::{Listing, PercentPrice};
use crate::exchange::request::{Filter, Request};
use crate::instrument::{Grid, Instrument};
use crate::market::Side;
use crate::num::{Cash, ONE, Price, Qty};
use crate::order::request::Terms;

/// What the filters look at besides the order itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// Price of the symbol's last trade, if there was one. Without it, filters that need a reference are passed.
    pub last: Option<Price>,
    /// The account's open orders in the symbol, stops included.
    pub open_orders: usize,
    /// The account's untriggered stops in the symbol.
    pub open_stops: usize,
}

/// Checks an order against all filters.
///
/// # Errors
/// The first [`Filter`] that fails, in the order they are listed.
pub fn check(listing: &Listing, request: &Request, situation: &Situation) -> Result<(), Filter> {
    let offered = listing.offered();
    let instrument = offered.as_ref();
    let terms = &request.terms;
    check_prices(instrument, terms)?;
    if let (Some(percent), Some(last)) = (&listing.limits.percent_price, situation.last) {
        for price in [terms.price(), terms.stop()].into_iter().flatten() {
            check_percent(percent, request.side, price, last)?;
        }
    }
    if let Terms::MarketQuote { amount } = *terms {
        if !amount.is_positive() {
            return Err(Filter::LotSize);
        }
        if instrument.notional_applies_to_market && amount < instrument.min_notional {
            return Err(Filter::Notional);
        }
    } else {
        check_qty(instrument, request.qty)?;
        if terms.price().is_none() {
            check_market_qty(&instrument.market_qty, request.qty)?;
        }
        check_notional(instrument, terms.price(), request.qty, situation.last)?;
    }
    if situation.open_orders >= listing.limits.max_orders {
        return Err(Filter::MaxNumOrders);
    }
    if matches!(terms, Terms::Stop { .. }) && situation.open_stops >= listing.limits.max_stops {
        return Err(Filter::MaxNumAlgoOrders);
    }
    Ok(())
}

/// Are its prices and its quantity on their grids and within their ranges?
pub(super) fn check_grid(instrument: &Instrument, request: &Request) -> Result<(), Filter> {
    check_prices(instrument, &request.terms)?;
    match request.terms {
        Terms::MarketQuote { amount } if amount.is_positive() => Ok(()),
        Terms::MarketQuote { .. } => Err(Filter::LotSize),
        _ => check_qty(instrument, request.qty),
    }
}

fn check_prices(instrument: &Instrument, terms: &Terms) -> Result<(), Filter> {
    let prices = [terms.price(), terms.stop()];
    prices.into_iter().flatten().try_for_each(|price| check_price(instrument, price))
}

fn check_price(instrument: &Instrument, price: Price) -> Result<(), Filter> {
    let grid = &instrument.price;
    let fits = price >= grid.min && price <= grid.max && price.is_positive();
    if fits && instrument.ticks(price).is_some() { Ok(()) } else { Err(Filter::PriceFilter) }
}

fn check_percent(percent: &PercentPrice, side: Side, price: Price, last: Price) -> Result<(), Filter> {
    let (down, up) = match side {
        Side::Buy => (percent.bid_down, percent.bid_up),
        Side::Sell => (percent.ask_down, percent.ask_up),
    };
    let times = |factor: Price| last.raw() * factor.raw() / ONE;
    if (times(down)..=times(up)).contains(&price.raw()) { Ok(()) } else { Err(Filter::PercentPriceBySide) }
}

/// Is it on the lot grid and within its range?
pub(super) fn check_qty(instrument: &Instrument, qty: Qty) -> Result<(), Filter> {
    let grid = &instrument.qty;
    let fits = qty >= grid.min && qty <= grid.max && qty.is_positive();
    if fits && instrument.lots(qty).is_some() { Ok(()) } else { Err(Filter::LotSize) }
}

fn check_market_qty(grid: &Grid<Qty>, qty: Qty) -> Result<(), Filter> {
    let fits = qty >= grid.min && (grid.max.is_zero() || qty <= grid.max);
    if fits && qty.is_multiple_of(grid.step) { Ok(()) } else { Err(Filter::MarketLotSize) }
}

/// Is price × quantity within its range? An order without a price is taken at the last trade's.
pub(super) fn check_notional(
    instrument: &Instrument,
    limit: Option<Price>,
    qty: Qty,
    last: Option<Price>,
) -> Result<(), Filter> {
    let (price, bounded) = match limit {
        Some(price) => (price, true),
        None => match last.filter(|_| instrument.notional_applies_to_market) {
            Some(last) => (last, false),
            None => return Ok(()),
        },
    };
    let notional = price.times(qty);
    let too_large = bounded && instrument.max_notional > Cash::ZERO && notional > instrument.max_notional;
    if notional < instrument.min_notional || too_large { Err(Filter::Notional) } else { Ok(()) }
}
