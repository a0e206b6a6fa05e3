//! Public queries about trades and prices.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, TimeUnit, array, fixed};
use tradingsys::market::{PublicTrade, Side};
use tradingsys::time::Time;

use crate::market_data::{AggTrade, MarketData};
use crate::methods::{Answer, Call};
use crate::sim::Sim;
use crate::tickers::{percent, weighted};

impl Sim {
    fn data(&mut self, call: &Call<'_>) -> Result<&MarketData, ErrorReply> {
        let symbol = self.symbol(call.params, "symbol")?;
        let place = self.place(&symbol);
        self.roll(call.now, place);
        Ok(&self.markets[place].data)
    }

    /// One object for a named symbol, a list for several or none named.
    fn each(&mut self, call: &Call<'_>, write: impl Fn(&MarketData) -> String) -> Answer {
        for place in 0..self.markets.len() {
            self.roll(call.now, place);
        }
        let named = self.named_symbols(call)?;
        let rows: Vec<String> = match &named {
            None => self.markets.iter().map(|market| write(&market.data)).collect(),
            Some(symbols) => {
                symbols.iter().map(|symbol| write(&self.markets[self.place(symbol)].data)).collect()
            }
        };
        if call.params.has("symbol") { Ok(rows.concat()) } else { Ok(array(rows)) }
    }

    /// `trades.recent`.
    pub(crate) fn recent_trades(&mut self, call: &Call<'_>) -> Answer {
        let limit = call.params.limit(500, 1_000)?;
        let data = self.data(call)?;
        Ok(array(data.trades(None, limit).into_iter().map(|trade| public_trade(trade, call.unit))))
    }

    /// `trades.historical`.
    pub(crate) fn historical_trades(&mut self, call: &Call<'_>) -> Answer {
        let from = call.params.integer("fromId")?.map(i64::unsigned_abs);
        let limit = call.params.limit(500, 1_000)?;
        let data = self.data(call)?;
        Ok(array(data.trades(from, limit).into_iter().map(|trade| public_trade(trade, call.unit))))
    }

    /// `trades.aggregate`.
    pub(crate) fn aggregate_trades(&mut self, call: &Call<'_>) -> Answer {
        let from = call.params.integer("fromId")?.map(i64::unsigned_abs);
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        let limit = call.params.limit(500, 1_000)?;
        let data = self.data(call)?;
        let rows = data.aggregated(from, start, end, limit);
        Ok(array(rows.into_iter().map(|trade| aggregate(trade, call.unit))))
    }

    /// `avgPrice`.
    pub(crate) fn average_price(&mut self, call: &Call<'_>) -> Answer {
        let data = self.data(call)?;
        let last = data.last_trade.as_ref().map_or(call.now, |trade| trade.time);
        Ok(Object::new()
            .int("mins", 5)
            .fixed("price", data.average().raw())
            .int("closeTime", call.unit.of(last))
            .end())
    }

    /// `ticker.24hr`.
    pub(crate) fn day_ticker(&mut self, call: &Call<'_>) -> Answer {
        let full = match call.params.text("type")? {
            None | Some("FULL") => true,
            Some("MINI") => false,
            Some(_) => return Err(ErrorReply::bad(-1139, "Invalid ticker type.")),
        };
        let (now, unit) = (call.now, call.unit);
        self.each(call, |data| day_row(data, now, unit, full))
    }

    /// `ticker.price`.
    pub(crate) fn price_ticker(&mut self, call: &Call<'_>) -> Answer {
        self.each(call, |data| {
            Object::new().text("symbol", &data.upper).fixed("price", data.last_price().raw()).end()
        })
    }

    /// `ticker.book`.
    pub(crate) fn book_ticker(&mut self, call: &Call<'_>) -> Answer {
        self.each(call, |data| {
            let (bid, ask) = (data.best_of(Side::Buy), data.best_of(Side::Sell));
            Object::new()
                .text("symbol", &data.upper)
                .fixed("bidPrice", bid.price.raw())
                .fixed("bidQty", bid.qty.raw())
                .fixed("askPrice", ask.price.raw())
                .fixed("askQty", ask.qty.raw())
                .end()
        })
    }

    /// `executionRules`: none are in force.
    pub(crate) fn execution_rules(&mut self, call: &Call<'_>) -> Answer {
        let named = self.named_symbols(call)?;
        let rows = self
            .markets
            .iter()
            .filter(|market| named.as_ref().is_none_or(|named| named.contains(&market.data.symbol)))
            .map(|market| Object::new().text("symbol", &market.data.upper).raw("rules", "[]").end());
        Ok(Object::new().raw("symbolRules", &array(rows)).end())
    }

    /// `referencePrice`: no symbol ever had one.
    pub(crate) fn reference_price(&mut self, call: &Call<'_>) -> Answer {
        self.symbol(call.params, "symbol")?;
        let error = ErrorReply::bad(code::NO_REFERENCE_PRICE, "This symbol doesn't have a reference price.");
        // Over the websocket API this stands in `result`, with status 200.
        if call.conn.is_some() { Ok(error.body()) } else { Err(error) }
    }
}

fn public_trade(trade: &PublicTrade, unit: TimeUnit) -> String {
    Object::new()
        .int("id", trade.id)
        .fixed("price", trade.price.raw())
        .fixed("qty", trade.qty.raw())
        .fixed("quoteQty", trade.price.times(trade.qty).raw())
        .int("time", unit.of(trade.time))
        .flag("isBuyerMaker", trade.buyer_is_maker)
        .flag("isBestMatch", true)
        .end()
}

fn aggregate(trade: &AggTrade, unit: TimeUnit) -> String {
    Object::new()
        .int("a", trade.id)
        .fixed("p", trade.price.raw())
        .fixed("q", trade.qty.raw())
        .int("f", trade.first)
        .int("l", trade.last)
        .int("T", unit.of(trade.time))
        .flag("m", trade.buyer_is_maker)
        .flag("M", true)
        .end()
}

fn day_row(data: &MarketData, now: Time, unit: TimeUnit, full: bool) -> String {
    let day = data.day(now);
    let last = data.last_trade.as_ref();
    let last_id = last.map_or(-1, |trade| i64::try_from(trade.id).unwrap_or(i64::MAX));
    let head = Object::new().text("symbol", &data.upper);
    let prices = if full {
        let (bid, ask) = (data.best_of(Side::Buy), data.best_of(Side::Sell));
        head.fixed("priceChange", (day.last - day.open).raw())
            .text("priceChangePercent", &percent(day.open, day.last))
            .fixed("weightedAvgPrice", weighted(&day).raw())
            .fixed("prevClosePrice", day.before.raw())
            .fixed("lastPrice", day.last.raw())
            .raw("lastQty", &format!("\"{}\"", fixed(last.map_or(0, |trade| trade.qty.raw()))))
            .fixed("bidPrice", bid.price.raw())
            .fixed("bidQty", bid.qty.raw())
            .fixed("askPrice", ask.price.raw())
            .fixed("askQty", ask.qty.raw())
            .fixed("openPrice", day.open.raw())
            .fixed("highPrice", day.high.raw())
            .fixed("lowPrice", day.low.raw())
    } else {
        head.fixed("openPrice", day.open.raw())
            .fixed("highPrice", day.high.raw())
            .fixed("lowPrice", day.low.raw())
            .fixed("lastPrice", day.last.raw())
    };
    prices
        .fixed("volume", day.volume.raw())
        .fixed("quoteVolume", day.amount.raw())
        .int("openTime", unit.of(day.from))
        .int("closeTime", unit.of(day.to))
        .int("firstId", if last_id < 0 { -1 } else { 1 })
        .int("lastId", last_id)
        .int("count", day.trades)
        .end()
}
