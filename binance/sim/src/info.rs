//! `exchangeInfo`: what is traded, on which grid, under which filters.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, array, quoted};
use tradingsys::exchange::Listing;
use tradingsys::instrument::InstrumentStatus;
use tradingsys::num::Price;

use crate::methods::{Answer, Call};
use crate::sim::Sim;

/// Permissions of every symbol.
const PERMISSIONS: [&str; 2] = ["SPOT", "MARGIN"];

impl Sim {
    /// `exchangeInfo`.
    pub(crate) fn exchange_info(&mut self, call: &Call<'_>) -> Answer {
        let named = self.named_symbols(call)?;
        let permissions = call.params.words("permissions")?;
        let status = call.params.text("symbolStatus")?;
        if named.is_some() && (permissions.is_some() || status.is_some()) {
            return Err(ErrorReply::bad(
                code::BAD_COMBINATION,
                "Combination of optional parameters invalid.",
            ));
        }
        let permitted = permissions.is_none_or(|list| list.iter().any(|p| PERMISSIONS.contains(&p.as_str())));
        let with_sets = call.params.flag("showPermissionSets")?.unwrap_or(true);
        let listings = self.markets.iter().filter_map(|market| self.exchange.listing(&market.data.symbol));
        let symbols = listings
            .filter(|listing| named.as_ref().is_none_or(|named| named.contains(&listing.instrument.symbol)))
            .filter(|listing| status.is_none_or(|status| status == status_word(listing.instrument.status)))
            .filter(|_| permitted)
            .map(|listing| symbol_object(listing, with_sets));
        Ok(Object::new()
            .text("timezone", "UTC")
            .int("serverTime", call.unit.of(call.now))
            .raw("rateLimits", &self.rates.info_rows(call.conn.is_some()))
            .raw("exchangeFilters", "[]")
            .raw("symbols", &array(symbols))
            .end())
    }
}

/// Status as the venue spells it.
pub(crate) fn status_word(status: InstrumentStatus) -> &'static str {
    match status {
        InstrumentStatus::Trading => "TRADING",
        InstrumentStatus::CancelOnly => "CANCEL_ONLY",
        InstrumentStatus::Halted => "HALT",
    }
}

fn words<'a>(list: impl IntoIterator<Item = &'a str>) -> String {
    array(list.into_iter().map(quoted))
}

fn symbol_object(listing: &Listing, with_sets: bool) -> String {
    let instrument = &listing.instrument;
    let sets = if with_sets { format!("[{}]", words(PERMISSIONS)) } else { "[]".to_owned() };
    Object::new()
        .text("symbol", &instrument.symbol.upper())
        .text("status", status_word(instrument.status))
        .text("baseAsset", instrument.base.as_str())
        .int("baseAssetPrecision", 8)
        .text("quoteAsset", instrument.quote.as_str())
        .int("quotePrecision", 8)
        .int("quoteAssetPrecision", 8)
        .int("baseCommissionPrecision", 8)
        .int("quoteCommissionPrecision", 8)
        .raw("orderTypes", &words(instrument.order_types.iter().map(String::as_str)))
        .flag("icebergAllowed", false)
        .flag("ocoAllowed", false)
        .flag("otoAllowed", false)
        .flag("opoAllowed", false)
        .flag("quoteOrderQtyMarketAllowed", instrument.quote_qty_market_allowed)
        .flag("allowTrailingStop", false)
        .flag("cancelReplaceAllowed", true)
        .flag("amendAllowed", instrument.amend_allowed)
        .flag("pegInstructionsAllowed", false)
        .flag("isSpotTradingAllowed", true)
        .flag("isMarginTradingAllowed", true)
        .raw("filters", &array(filters(listing)))
        .raw("permissions", "[]")
        .raw("permissionSets", &sets)
        .text("defaultSelfTradePreventionMode", listing.default_stp.as_str())
        .raw("allowedSelfTradePreventionModes", &words(listing.allowed_stp.iter().map(|stp| stp.as_str())))
        .end()
}

/// The filters of a symbol.
pub(crate) fn filters(listing: &Listing) -> Vec<String> {
    let instrument = listing.offered();
    let filter = |name: &str| Object::new().text("filterType", name);
    let (price, qty, market) = (&instrument.price, &instrument.qty, &instrument.market_qty);
    let mut list = vec![
        filter("PRICE_FILTER")
            .fixed("minPrice", price.min.raw())
            .fixed("maxPrice", price.max.raw())
            .fixed("tickSize", price.step.raw())
            .end(),
        filter("LOT_SIZE")
            .fixed("minQty", qty.min.raw())
            .fixed("maxQty", qty.max.raw())
            .fixed("stepSize", qty.step.raw())
            .end(),
        filter("MARKET_LOT_SIZE")
            .fixed("minQty", market.min.raw())
            .fixed("maxQty", market.max.raw())
            .fixed("stepSize", market.step.raw())
            .end(),
    ];
    if let Some(band) = &listing.limits.percent_price {
        let plain = |price: Price| price.to_string();
        list.push(
            filter("PERCENT_PRICE_BY_SIDE")
                .text("bidMultiplierUp", &plain(band.bid_up))
                .text("bidMultiplierDown", &plain(band.bid_down))
                .text("askMultiplierUp", &plain(band.ask_up))
                .text("askMultiplierDown", &plain(band.ask_down))
                .int("avgPriceMins", 0)
                .end(),
        );
    }
    list.push(
        filter("NOTIONAL")
            .fixed("minNotional", instrument.min_notional.raw())
            .flag("applyMinToMarket", instrument.notional_applies_to_market)
            .fixed("maxNotional", instrument.max_notional.raw())
            .flag("applyMaxToMarket", false)
            .int("avgPriceMins", 0)
            .end(),
    );
    list.push(filter("MAX_NUM_ORDERS").int("maxNumOrders", listing.limits.max_orders).end());
    list.push(filter("MAX_NUM_ALGO_ORDERS").int("maxNumAlgoOrders", listing.limits.max_stops).end());
    list.push(filter("MAX_NUM_ORDER_AMENDS").int("maxNumOrderAmends", listing.limits.max_amends).end());
    list
}
