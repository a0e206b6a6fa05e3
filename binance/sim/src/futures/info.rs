//! `exchangeInfo` of futures, books, mark prices and funding.

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, array, quoted};
use tradingsys::exchange::futures::{Contract, Marks};
use tradingsys::exchange::{Page, Rate};
use tradingsys::instrument::Instrument;
use tradingsys::market::Depth;
use tradingsys::num::{Cash, Price};
use tradingsys::time::Time;

use super::Market;
use super::account::rate;
use crate::methods::{Answer, Call};
use crate::sim::Sim;

/// Perpetuals are delivered on Christmas of 2100.
const DELIVERY: i64 = 4_133_404_800_000;
/// Order types of every perpetual.
const TYPES: [&str; 7] =
    ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"];
/// Times in force of every perpetual.
const TIFS: [&str; 5] = ["GTC", "IOC", "FOK", "GTX", "GTD"];

fn words(list: &[&str]) -> String {
    array(list.iter().map(|word| quoted(word)))
}

/// A share with four decimals, as percentages are written.
fn percent(share: Rate) -> String {
    Price::from_raw(i128::from(share.raw()) * 100).fixed(4)
}

fn mark_text(price: Price) -> String {
    price.fixed(8)
}

/// A signed rate of funding, given in raw units, of eight decimals.
pub(crate) fn funding_text(raw: impl Into<i128>) -> String {
    Price::from_raw(raw.into()).fixed(8)
}

impl Sim {
    /// `GET /fapi/v1/exchangeInfo`.
    pub(crate) fn futures_info(&mut self, call: &Call<'_>) -> Answer {
        let symbols = self.futures.markets.iter().filter_map(|market| {
            let contract = self.futures.core.contract(&market.data.symbol)?;
            let offered = self.futures.core.listing(&market.data.symbol)?.offered();
            Some(symbol_object(market, contract, &offered))
        });
        let asset = Object::new()
            .text("asset", "USDT")
            .flag("marginAvailable", true)
            .text("autoAssetExchange", "-10000");
        Ok(Object::new()
            .text("timezone", "UTC")
            .int("serverTime", call.now.millis())
            .text("futuresType", "U_MARGINED")
            .raw("rateLimits", &self.futures.rates.info_rows(false))
            .raw("exchangeFilters", "[]")
            .raw("assets", &array([asset.end()]))
            .raw("symbols", &array(symbols))
            .end())
    }

    /// A book as it is shown: a recorded one only as far as its snapshot reaches.
    pub(crate) fn futures_book(&self, place: usize, levels: usize) -> Option<Depth> {
        let market = &self.futures.markets[place];
        let depth = self.futures.core.depth(&market.data.symbol, levels)?;
        Some(match market.feed.range() {
            Some(range) => crate::feed::within(depth, range),
            None => depth,
        })
    }

    /// `depth`.
    pub(crate) fn futures_depth(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let limit = call.params.limit(500, 1_000)?;
        let style = &self.futures.markets[place].style;
        let depth = self.futures.core.depth(&self.futures.markets[place].data.symbol, limit);
        let depth = depth.ok_or_else(ErrorReply::symbol)?;
        Ok(Object::new()
            .int("lastUpdateId", depth.update_id)
            .int("E", call.now.millis())
            .int("T", depth.time.millis())
            .raw("bids", &style.levels(&depth.bids))
            .raw("asks", &style.levels(&depth.asks))
            .end())
    }

    fn marks_of(&self, place: usize) -> Marks {
        self.futures.core.marks(&self.futures.markets[place].data.symbol).unwrap_or_default()
    }

    /// `markPriceUpdate`.
    pub(crate) fn mark_frame(&self, now: Time, place: usize) -> String {
        let marks = self.marks_of(place);
        Object::new()
            .text("e", "markPriceUpdate")
            .int("E", now.millis())
            .text("s", &self.futures.markets[place].style.symbol)
            .text("p", &mark_text(marks.mark))
            .text("ap", &mark_text(marks.mark))
            .text("i", &mark_text(marks.index))
            .text("P", &mark_text(marks.index))
            .text("r", &funding_text(marks.rate.raw()))
            .int("T", marks.next_funding.millis())
            .int("st", 1)
            .end()
    }

    /// `GET /fapi/v1/premiumIndex`.
    pub(crate) fn premium_index(&mut self, call: &Call<'_>) -> Answer {
        let now = call.now;
        let row = |place: usize| {
            let (marks, market) = (self.marks_of(place), &self.futures.markets[place]);
            let interest = self.futures.core.contract(&market.data.symbol).map_or(Rate::ZERO, |c| c.interest);
            Object::new()
                .text("symbol", &market.style.symbol)
                .text("markPrice", &mark_text(marks.mark))
                .text("indexPrice", &mark_text(marks.index))
                .text("estimatedSettlePrice", &mark_text(marks.index))
                .text("lastFundingRate", &funding_text(marks.rate.raw()))
                .text("interestRate", &funding_text(interest.raw()))
                .int("nextFundingTime", marks.next_funding.millis())
                .int("time", now.millis())
                .end()
        };
        Ok(match self.perpetual_if_named(call.params)? {
            Some(place) => row(place),
            None => array((0..self.futures.markets.len()).map(row)),
        })
    }

    /// `GET /fapi/v1/fundingRate`.
    pub(crate) fn funding_rates(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        let page = Page { from_id: None, start, end, limit: call.params.limit(100, 1_000)? };
        let mut rows = Vec::new();
        for (at, market) in self.futures.markets.iter().enumerate() {
            if place.is_some_and(|place| place != at) {
                continue;
            }
            let funding = self.futures.core.funding(&market.data.symbol, &page).unwrap_or_default();
            rows.extend(funding.into_iter().map(|funding| (funding, &market.style.symbol)));
        }
        rows.sort_by_key(|(funding, _)| funding.time);
        Ok(array(rows.into_iter().map(|(funding, symbol)| {
            Object::new()
                .text("symbol", symbol)
                .text("fundingRate", &funding_text(funding.rate.raw()))
                .int("fundingTime", funding.time.millis())
                .text("markPrice", &mark_text(funding.mark))
                .text("rateType", "Regular")
                .end()
        })))
    }

    /// `GET /fapi/v1/fundingInfo`: symbols whose funding is not the usual one.
    pub(crate) fn funding_info(&mut self, _: &Call<'_>) -> Answer {
        let rows = self.futures.markets.iter().filter_map(|market| {
            let contract = self.futures.core.contract(&market.data.symbol)?;
            let seconds = contract.funding_interval.millis() / 1_000;
            let row = Object::new()
                .text("symbol", &market.style.symbol)
                .text("adjustedFundingRateCap", &funding_text(contract.funding_cap.raw()))
                .text("adjustedFundingRateFloor", &format!("-{}", funding_text(contract.funding_cap.raw())))
                .int("fundingIntervalHours", (seconds / 3_600).max(1))
                .flag("disclaimer", false);
            (seconds != 8 * 3_600).then(|| row.end())
        });
        Ok(array(rows))
    }
}

fn symbol_object(market: &Market, contract: &Contract, instrument: &Instrument) -> String {
    let style = &market.style;
    let first = contract.brackets.first();
    let required = first.map_or(1, |bracket| i64::from(bracket.max_leverage.max(1)));
    Object::new()
        .text("symbol", &style.symbol)
        .text("pair", &style.symbol)
        .text("contractType", "PERPETUAL")
        .int("deliveryDate", DELIVERY)
        .int("onboardDate", market.listed)
        .text("status", contract.status.as_str())
        .text("maintMarginPercent", &percent(first.map_or(Rate::ZERO, |bracket| bracket.maintenance)))
        .text("requiredMarginPercent", &percent(Rate::basis_points(10_000 / required)))
        .text("baseAsset", instrument.base.as_str())
        .text("quoteAsset", instrument.quote.as_str())
        .text("marginAsset", instrument.quote.as_str())
        .int("pricePrecision", style.price)
        .int("quantityPrecision", style.qty)
        .int("baseAssetPrecision", 8)
        .int("quotePrecision", 8)
        .text("underlyingType", "COIN")
        .raw("underlyingSubType", "[]")
        .int("settlePlan", 0)
        .text("triggerProtect", &rate(contract.trigger_protect))
        .text("liquidationFee", &Price::from_raw(i128::from(contract.liquidation_fee.raw())).fixed(6))
        .text("marketTakeBound", &Price::from_raw(i128::from(contract.market_take_bound.raw())).fixed(2))
        .int("maxMoveOrderLimit", contract.listing.limits.max_amends)
        .raw("filters", &array(filters(market, contract, instrument)))
        .raw("orderTypes", &words(&TYPES))
        .raw("timeInForce", &words(&TIFS))
        .raw("permissionSets", "[\"GRID\",\"COPY\"]")
        .end()
}

/// Trailing zeros are not written here.
fn filters(market: &Market, contract: &Contract, instrument: &Instrument) -> Vec<String> {
    let style = &market.style;
    let filter = |name: &str| Object::new().text("filterType", name);
    let (price, qty, by_market) = (&instrument.price, &instrument.qty, &instrument.market_qty);
    let mut list = vec![
        filter("PRICE_FILTER")
            .text("minPrice", &style.price(price.min))
            .text("maxPrice", &price.max.to_string())
            .text("tickSize", &style.price(price.step))
            .end(),
        filter("LOT_SIZE")
            .text("minQty", &style.qty(qty.min))
            .text("maxQty", &qty.max.to_string())
            .text("stepSize", &style.qty(qty.step))
            .end(),
        filter("MARKET_LOT_SIZE")
            .text("minQty", &style.qty(qty.min))
            .text("maxQty", &by_market.max.to_string())
            .text("stepSize", &style.qty(qty.step))
            .end(),
        filter("MAX_NUM_ORDERS").int("limit", contract.listing.limits.max_orders).end(),
        filter("MIN_NOTIONAL").text("notional", &notional(instrument.min_notional)).end(),
    ];
    if let Some(band) = &contract.listing.limits.percent_price {
        list.push(
            filter("PERCENT_PRICE")
                .text("multiplierUp", &band.bid_up.fixed(4))
                .text("multiplierDown", &band.ask_down.fixed(4))
                .text("multiplierDecimal", "4")
                .end(),
        );
    }
    list.push(filter("POSITION_RISK_CONTROL").text("positionControlSide", "NONE").end());
    list
}

fn notional(amount: Cash) -> String {
    amount.to_string()
}
