//! Public queries.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, TimeUnit, array, fixed, levels};
use tradingsys::ids::Symbol;
use tradingsys::market::{Bar, Interval};

use crate::methods::{Answer, Call};
use crate::sim::Sim;

impl Sim {
    /// `ping`.
    pub(crate) fn ping_request(&mut self, _: &Call<'_>) -> Answer {
        Ok("{}".into())
    }

    /// `time`.
    pub(crate) fn time_request(&mut self, call: &Call<'_>) -> Answer {
        Ok(Object::new().int("serverTime", call.unit.of(call.now)).end())
    }

    /// `depth`.
    pub(crate) fn depth(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let limit = call.params.limit(100, 5_000)?;
        let depth = self.exchange.depth(&symbol, limit).ok_or_else(ErrorReply::symbol)?;
        Ok(Object::new()
            .int("lastUpdateId", depth.update_id)
            .raw("bids", &levels(&depth.bids))
            .raw("asks", &levels(&depth.asks))
            .end())
    }

    /// `klines`, and `uiKlines` of the same shape.
    pub(crate) fn klines(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let interval = Interval::from_word(call.params.need("interval")?)
            .ok_or_else(|| ErrorReply::bad(code::INVALID_INTERVAL, "Invalid interval."))?;
        if call.params.text("timeZone")?.is_some_and(|zone| zone != "0" && zone != "00:00") {
            return Err(ErrorReply::invalid("timeZone"));
        }
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        let limit = call.params.limit(500, 1_000)?;
        let place = self.place(&symbol);
        self.roll(call.now, place);
        let bars = self.markets[place].data.bars.between(interval, start, end, limit);
        Ok(array(bars.iter().map(|bar| row(bar, call.unit))))
    }

    /// Symbols of a request: one, some, or none named.
    pub(crate) fn named_symbols(&self, call: &Call<'_>) -> Result<Option<Vec<Symbol>>, ErrorReply> {
        if call.params.has("symbol") && call.params.has("symbols") {
            return Err(ErrorReply::bad(
                code::BAD_COMBINATION,
                "Combination of optional parameters invalid.",
            ));
        }
        if call.params.has("symbol") {
            return Ok(Some(vec![self.symbol(call.params, "symbol")?]));
        }
        let Some(words) = call.params.words("symbols")? else { return Ok(None) };
        let mut symbols = Vec::with_capacity(words.len());
        for word in &words {
            let symbol = Symbol::new(word);
            if !self.places.contains_key(&symbol) || symbol.upper() != *word {
                return Err(ErrorReply::symbol());
            }
            if symbols.contains(&symbol) {
                let words = "Symbol is present multiple times in the list.";
                return Err(ErrorReply::bad(code::DUPLICATE_SYMBOLS, words));
            }
            symbols.push(symbol);
        }
        Ok(Some(symbols))
    }
}

fn row(bar: &Bar, unit: TimeUnit) -> String {
    let text = |raw: i128| format!("\"{}\"", fixed(raw));
    array([
        unit.of(bar.start).to_string(),
        text(bar.open.raw()),
        text(bar.high.raw()),
        text(bar.low.raw()),
        text(bar.close.raw()),
        text(bar.volume.raw()),
        unit.of(bar.end).to_string(),
        text(bar.amount.raw()),
        bar.trades.to_string(),
        text(bar.buy_volume.raw()),
        text(bar.buy_amount.raw()),
        "\"0\"".to_owned(),
    ])
}
