//! All that is checked before the engine sees an order: account, type, modes, filters.

use crate::exchange::account::Bank;
use crate::exchange::config::AccountId;
use crate::exchange::filters::{self, Situation};
use crate::exchange::market::Market;
use crate::exchange::request::{Reject, Request};
use crate::order::request::Terms;

/// Refuses what must not reach the engine. Of the house only the grid is checked.
pub(super) fn check(
    market: &Market,
    bank: &Bank,
    account: AccountId,
    request: &Request,
) -> Result<(), Reject> {
    let listing = &market.listing;
    if account.is_internal() {
        return filters::check_grid(&listing.instrument, request).map_err(Reject::Filter);
    }
    let settings = bank.accounts.get(&account).ok_or(Reject::UnknownAccount)?.settings;
    if !settings.can_trade {
        return Err(Reject::AccountBlocked);
    }
    let order_type = request.terms.order_type();
    if !listing.instrument.order_types.iter().any(|t| t == order_type.as_str()) {
        return Err(Reject::TypeNotSupported(order_type));
    }
    let by_amount = matches!(request.terms, Terms::MarketQuote { .. });
    if by_amount && !listing.instrument.quote_qty_market_allowed {
        return Err(Reject::QuoteAmountNotSupported);
    }
    if let Some(stp) = request.stp.filter(|stp| !listing.allowed_stp.contains(stp)) {
        return Err(Reject::StpNotSupported(stp));
    }
    let (mut open_orders, mut open_stops) = (0, 0);
    for order in market.open_orders(account) {
        open_orders += 1;
        open_stops += usize::from(order.working_since.is_none());
    }
    let last = market.last.map(|ticks| market.price(ticks));
    let situation = Situation { last, open_orders, open_stops };
    filters::check(listing, request, &situation).map_err(Reject::Filter)
}
