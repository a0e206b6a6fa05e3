//! All that is checked before the engine sees an order for a perpetual: type, modes, filters. Each filter has its own
//! refusal, as on the venue.

use crate::exchange::config::AccountId;
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::contract::{Contract, ContractStatus};
use crate::exchange::futures::request::Reject;
use crate::exchange::market::Market;
use crate::exchange::order::{PositionSide, PositionTerms};
use crate::exchange::request::{Reject as MarketReject, Request};
use crate::instrument::Instrument;
use crate::market::{Side, Tif};
use crate::num::{Cash, ONE, Price, Qty};
use crate::order::request::Terms;
use crate::time::Time;

/// Refuses what must not reach the engine. Of the house only the grid is checked.
pub(super) fn check(
    market: &Market,
    clearing: &Clearing,
    account: AccountId,
    request: &Request,
    position: &PositionTerms,
) -> Result<(), Reject> {
    let offered = market.listing.offered();
    let instrument = if account.is_internal() { &market.listing.instrument } else { offered.as_ref() };
    let owner = clearing.account(account)?;
    let reducing = position.reduces(request.side);
    if !account.is_internal() {
        if !owner.settings.can_trade {
            return Err(MarketReject::AccountBlocked.into());
        }
        let contract = &clearing.contract(&request.symbol)?.contract;
        if contract.status != ContractStatus::Trading {
            return Err(Reject::NotOpen(contract.status));
        }
        check_terms(market, request)?;
        check_mode(owner.hedge, position)?;
    }
    if let Some(price) = request.terms.price() {
        check_price(instrument, price)?;
    }
    check_qty(instrument, request.qty, matches!(request.terms, Terms::Market))?;
    if account.is_internal() {
        return Ok(());
    }
    let contract = &clearing.contract(&request.symbol)?.contract;
    let mark = clearing.mark(&request.symbol);
    check_notional(market, request, mark, reducing)?;
    check_band(market, contract, request, mark)?;
    let most = market.listing.limits.max_orders;
    if market.open_orders(account).count() >= most {
        return Err(Reject::TooManyOrders(most));
    }
    Ok(())
}

fn check_terms(market: &Market, request: &Request) -> Result<(), Reject> {
    match request.terms {
        Terms::Limit { .. } | Terms::PostOnly { .. } | Terms::Market => {}
        Terms::MarketQuote { .. } => return Err(MarketReject::QuoteAmountNotSupported.into()),
        Terms::Stop { .. } | Terms::Trailing { .. } => {
            return Err(MarketReject::TypeNotSupported(request.terms.order_type()).into());
        }
    }
    match request.stp.filter(|stp| !market.listing.allowed_stp.contains(stp)) {
        Some(stp) => Err(MarketReject::StpNotSupported(stp).into()),
        None => Ok(()),
    }
}

/// Do position side and reduce-only fit the position mode?
pub(super) fn check_mode(hedge: bool, position: &PositionTerms) -> Result<(), Reject> {
    if hedge == (position.side == PositionSide::Both) {
        return Err(Reject::PositionSide(position.side));
    }
    if hedge && position.reduce_only { Err(Reject::ReduceOnlyInHedgeMode) } else { Ok(()) }
}

/// Is a price on its grid, counted from its least, and in its range?
pub(super) fn check_price(instrument: &Instrument, price: Price) -> Result<(), Reject> {
    let grid = &instrument.price;
    if !price.is_positive() {
        return Err(Reject::PriceNotPositive);
    }
    if price < grid.min {
        return Err(Reject::PriceTooLow(grid.min));
    }
    if price > grid.max {
        return Err(Reject::PriceTooHigh(grid.max));
    }
    if instrument.ticks(price).is_none() { Err(Reject::PriceOffTick(grid.step)) } else { Ok(()) }
}

/// Is a quantity on its grid and in its range?
pub(super) fn check_qty(instrument: &Instrument, qty: Qty, by_market: bool) -> Result<(), Reject> {
    let grid = &instrument.qty;
    let market = &instrument.market_qty;
    let max = if by_market && market.max.is_positive() { market.max.min(grid.max) } else { grid.max };
    if !qty.is_positive() {
        return Err(Reject::QtyNotPositive);
    }
    if qty < grid.min {
        return Err(Reject::QtyTooSmall(grid.min));
    }
    if qty > max {
        return Err(Reject::QtyTooLarge(max));
    }
    if instrument.lots(qty).is_none() { Err(Reject::QtyOffStep(grid.step)) } else { Ok(()) }
}

/// Is it worth enough? A market order is taken at the mark price; one that only reduces may be worth nothing.
pub(super) fn check_notional(
    market: &Market,
    request: &Request,
    mark: Option<Price>,
    reducing: bool,
) -> Result<(), Reject> {
    let least = market.listing.instrument.min_notional;
    let Some(price) = request.terms.price().or(mark) else { return Ok(()) };
    let too_small = least > Cash::ZERO && price.times(request.qty) < least;
    if too_small && !reducing { Err(Reject::NotionalTooSmall(least)) } else { Ok(()) }
}

/// Is its price, or of a market order the best price, near enough to the mark price?
pub(super) fn check_band(
    market: &Market,
    contract: &Contract,
    request: &Request,
    mark: Option<Price>,
) -> Result<(), Reject> {
    let (Some(mark), Some(band)) = (mark, contract.listing.limits.percent_price) else { return Ok(()) };
    let times = |factor: i128| Price::from_raw(mark.raw() * factor / ONE);
    let (highest, lowest) = (times(band.bid_up.raw()), times(band.ask_down.raw()));
    match (request.terms.price(), request.side) {
        (Some(price), Side::Buy) if price > highest => Err(Reject::PriceFarAbove(highest)),
        (Some(price), Side::Sell) if price < lowest => Err(Reject::PriceFarBelow(lowest)),
        (Some(_), _) => Ok(()),
        (None, side) => {
            let bound = times(i128::from(contract.market_take_bound.raw()));
            let best = market.best_offer(side.opposite()).map(|ticks| market.price(ticks));
            let far = |best: Price| (best - mark).abs() > bound;
            let too_far = bound.is_positive() && best.is_some_and(far);
            if too_far { Err(Reject::MarketTooFar) } else { Ok(()) }
        }
    }
}

/// Is a good-till date far enough ahead, and on an order that can have one? One of time in force `GTD` must.
pub(super) fn check_good_till(order: &Request, position: &PositionTerms, least: Time) -> Result<(), Reject> {
    let Some(at) = position.good_till else {
        let missing = order.terms.tif() == Some(Tif::Gtd);
        return if missing { Err(Reject::GoodTillDate(Time::default())) } else { Ok(()) };
    };
    let rests = matches!(order.terms, Terms::Limit { tif: Tif::Gtc | Tif::Gtd, .. });
    if rests && at > least { Ok(()) } else { Err(Reject::GoodTillDate(at)) }
}
