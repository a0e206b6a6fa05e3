//! Public queries about the trades, bars and prices of perpetuals.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, array, quoted};
use tradingsys::ids::Symbol;
use tradingsys::market::{Bar, PublicTrade, Side};
use tradingsys::num::Qty;
use tradingsys::time::{Span, Time};

use super::Market;
use super::frames::Style;
use super::streams::bar_length;
use crate::market_data::AggTrade;
use crate::methods::{Answer, Call};
use crate::params::Params;
use crate::sim::Sim;
use crate::tickers::{percent, weighted};

/// How far back aggregated trades are found.
const AGGREGATES_KEPT: Span = Span::from_secs(48 * 3_600);

impl Sim {
    /// A perpetual named by a request.
    pub(crate) fn perpetual(&self, params: &Params, name: &str) -> Result<usize, ErrorReply> {
        let text = params.need(name)?;
        let known = self.futures.places.get(&Symbol::new(text)).copied().map(usize::from);
        known.filter(|place| self.futures.markets[*place].style.symbol == text).ok_or_else(ErrorReply::symbol)
    }

    /// The perpetual a request may name.
    pub(crate) fn perpetual_if_named(&self, params: &Params) -> Result<Option<usize>, ErrorReply> {
        if params.has("symbol") { self.perpetual(params, "symbol").map(Some) } else { Ok(None) }
    }

    fn perpetual_market(&mut self, call: &Call<'_>) -> Result<&Market, ErrorReply> {
        let place = self.perpetual(call.params, "symbol")?;
        self.futures_roll(call.now, place);
        Ok(&self.futures.markets[place])
    }

    /// One object for a named perpetual, a list of all else.
    fn each_perpetual(&mut self, call: &Call<'_>, write: impl Fn(&Market) -> String) -> Answer {
        for place in 0..self.futures.markets.len() {
            self.futures_roll(call.now, place);
        }
        Ok(match self.perpetual_if_named(call.params)? {
            Some(place) => write(&self.futures.markets[place]),
            None => array(self.futures.markets.iter().map(write)),
        })
    }

    /// `GET /fapi/v1/klines`, and `continuousKlines` of the same shape.
    pub(crate) fn futures_bars(&mut self, call: &Call<'_>) -> Answer {
        let name = if call.params.has("pair") { "pair" } else { "symbol" };
        let place = self.perpetual(call.params, name)?;
        if name == "pair" && call.params.need("contractType")? != "PERPETUAL" {
            return Err(ErrorReply::bad(-1132, "Invalid contract type."));
        }
        let interval = bar_length(call.params.need("interval")?)
            .ok_or_else(|| ErrorReply::bad(code::INVALID_INTERVAL, "Invalid interval."))?;
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        let limit = call.params.limit(500, 1_500)?;
        self.futures_roll(call.now, place);
        let market = &self.futures.markets[place];
        let bars = market.data.bars.between(interval, start, end, limit);
        Ok(array(bars.iter().map(|bar| bar_row(&market.style, bar))))
    }

    /// `GET /fapi/v1/trades`, and `historicalTrades` from an id on.
    pub(crate) fn futures_recent_trades(&mut self, call: &Call<'_>) -> Answer {
        let from = call.params.integer("fromId")?.map(i64::unsigned_abs);
        let limit = call.params.limit(500, 1_000)?;
        let market = self.perpetual_market(call)?;
        let style = &market.style;
        Ok(array(market.data.trades(from, limit).into_iter().map(|trade| trade_row(style, trade))))
    }

    /// `GET /fapi/v1/aggTrades`.
    pub(crate) fn futures_aggregates(&mut self, call: &Call<'_>) -> Answer {
        let from = call.params.integer("fromId")?.map(i64::unsigned_abs);
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        if start.is_some_and(|start| start < call.now - AGGREGATES_KEPT) {
            let words = "Search window is restricted to recent 2 days only.";
            return Err(ErrorReply::bad(-4166, words));
        }
        let limit = call.params.limit(500, 1_000)?;
        let market = self.perpetual_market(call)?;
        let style = &market.style;
        let rows = market.data.aggregated(from, start, end, limit);
        Ok(array(rows.into_iter().map(|trade| aggregate_row(style, trade))))
    }

    /// `GET /fapi/v1/ticker/24hr`.
    pub(crate) fn futures_day_ticker(&mut self, call: &Call<'_>) -> Answer {
        let now = call.now;
        self.each_perpetual(call, |market| day_row(market, now))
    }

    /// `GET /fapi/v1/ticker/price`, `v2`, `ticker.price`.
    pub(crate) fn futures_price_ticker(&mut self, call: &Call<'_>) -> Answer {
        let now = call.now;
        self.each_perpetual(call, |market| {
            let time = market.data.last_trade.as_ref().map_or(now, |trade| trade.time);
            Object::new()
                .text("symbol", &market.style.symbol)
                .text("price", &market.style.price(market.data.last_price()))
                .int("time", time.millis())
                .end()
        })
    }

    /// `GET /fapi/v1/ticker/bookTicker`, `ticker.book`.
    pub(crate) fn futures_book_ticker(&mut self, call: &Call<'_>) -> Answer {
        let now = call.now;
        self.each_perpetual(call, |market| {
            let (style, data) = (&market.style, &market.data);
            let (bid, ask) = (data.best_of(Side::Buy), data.best_of(Side::Sell));
            let best = data.best.as_ref();
            Object::new()
                .text("symbol", &style.symbol)
                .text("bidPrice", &style.price(bid.price))
                .text("bidQty", &style.qty(bid.qty))
                .text("askPrice", &style.price(ask.price))
                .text("askQty", &style.qty(ask.qty))
                .int("time", best.map_or(now, |best| best.time).millis())
                .int("lastUpdateId", best.map_or(0, |best| best.update_id))
                .end()
        })
    }
}

fn bar_row(style: &Style, bar: &Bar) -> String {
    array([
        bar.start.millis().to_string(),
        quoted(&style.price(bar.open)),
        quoted(&style.price(bar.high)),
        quoted(&style.price(bar.low)),
        quoted(&style.price(bar.close)),
        quoted(&style.qty(bar.volume)),
        bar.end.millis().to_string(),
        quoted(&bar.amount.fixed(5)),
        bar.trades.to_string(),
        quoted(&style.qty(bar.buy_volume)),
        quoted(&bar.buy_amount.fixed(5)),
        quoted("0"),
    ])
}

fn trade_row(style: &Style, trade: &PublicTrade) -> String {
    Object::new()
        .int("id", trade.id)
        .text("price", &style.price(trade.price))
        .text("qty", &style.qty(trade.qty))
        .text("quoteQty", &trade.price.times(trade.qty).fixed(2))
        .int("time", trade.time.millis())
        .flag("isBuyerMaker", trade.buyer_is_maker)
        .flag("isRPITrade", false)
        .end()
}

fn aggregate_row(style: &Style, trade: &AggTrade) -> String {
    Object::new()
        .int("a", trade.id)
        .text("p", &style.price(trade.price))
        .text("q", &style.qty(trade.qty))
        .text("nq", &style.qty(trade.qty))
        .int("f", trade.first)
        .int("l", trade.last)
        .int("T", trade.time.millis())
        .flag("m", trade.buyer_is_maker)
        .end()
}

fn day_row(market: &Market, now: Time) -> String {
    let (style, day, last) = (&market.style, market.data.day(now), market.data.last_trade.as_ref());
    let last_id = last.map_or(-1, |trade| i64::try_from(trade.id).unwrap_or(i64::MAX));
    Object::new()
        .text("symbol", &style.symbol)
        .text("priceChange", &style.price(day.last - day.open))
        .text("priceChangePercent", &percent(day.open, day.last))
        .text("weightedAvgPrice", &style.price(weighted(&day)))
        .text("lastPrice", &style.price(day.last))
        .text("lastQty", &style.qty(last.map_or(Qty::ZERO, |trade| trade.qty)))
        .text("openPrice", &style.price(day.open))
        .text("highPrice", &style.price(day.high))
        .text("lowPrice", &style.price(day.low))
        .text("volume", &style.qty(day.volume))
        .text("quoteVolume", &day.amount.fixed(2))
        .int("openTime", day.from.millis())
        .int("closeTime", day.to.millis())
        .int("firstId", if last_id < 0 { -1 } else { 1 })
        .int("lastId", last_id)
        .int("count", day.trades)
        .end()
}
