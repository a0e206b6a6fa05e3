//! Payloads of the public streams of futures.
//!
//! Here `ps` is the underlying pair and `st` is 1, which tells USDT-margined rows from coin-margined ones. Prices
//! and quantities have the decimals of their symbol.

use binance_wire::render::{Object, array, quoted};
use tradingsys::exchange::{Change, OrderEvent};
use tradingsys::market::{Level, PublicTrade};
use tradingsys::num::{Price, Qty};
use tradingsys::time::Time;

use crate::bars::Candle;
use crate::market_data::{AggTrade, DayStats};
use crate::tickers::{percent, weighted};

/// How a symbol is written: its name, and decimals of its prices and quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// In upper case.
    pub(crate) symbol: String,
    /// Decimals of prices.
    pub(crate) price: u32,
    /// Decimals of quantities.
    pub(crate) qty: u32,
}

impl Style {
    /// A price.
    pub(crate) fn price(&self, price: Price) -> String {
        price.fixed(self.price)
    }

    /// A quantity.
    pub(crate) fn qty(&self, qty: Qty) -> String {
        if self.qty == 0 { qty.to_string() } else { qty.fixed(self.qty) }
    }

    /// Rows of a book.
    pub(crate) fn levels(&self, levels: &[Level]) -> String {
        array(
            levels
                .iter()
                .map(|level| array([quoted(&self.price(level.price)), quoted(&self.qty(level.qty))])),
        )
    }
}

/// What of a book is told at once.
pub(crate) struct BookFrame<'a> {
    /// First update id, last one, and the last one of the frame before.
    pub(crate) ids: (u64, u64, u64),
    /// Best first.
    pub(crate) bids: &'a [Level],
    /// Best first.
    pub(crate) asks: &'a [Level],
}

/// `depthUpdate`, of the diff streams and of the partial ones alike.
pub(crate) fn depth(now: Time, at: Time, style: &Style, frame: &BookFrame<'_>) -> String {
    let (first, last, before) = frame.ids;
    Object::new()
        .text("e", "depthUpdate")
        .int("E", now.millis())
        .int("T", at.millis())
        .text("s", &style.symbol)
        .int("U", first)
        .int("u", last)
        .int("pu", before)
        .raw("b", &style.levels(frame.bids))
        .raw("a", &style.levels(frame.asks))
        .text("ps", &style.symbol)
        .int("st", 1)
        .end()
}

/// `bookTicker`.
pub(crate) fn book_ticker(
    now: Time,
    at: Time,
    style: &Style,
    update: u64,
    (bid, ask): (Level, Level),
) -> String {
    Object::new()
        .text("e", "bookTicker")
        .int("u", update)
        .int("E", now.millis())
        .int("T", at.millis())
        .text("s", &style.symbol)
        .text("ps", &style.symbol)
        .text("b", &style.price(bid.price))
        .text("B", &style.qty(bid.qty))
        .text("a", &style.price(ask.price))
        .text("A", &style.qty(ask.qty))
        .int("st", 1)
        .end()
}

/// `trade`.
pub(crate) fn trade(now: Time, style: &Style, trade: &PublicTrade) -> String {
    Object::new()
        .text("e", "trade")
        .int("E", now.millis())
        .int("T", trade.time.millis())
        .text("s", &style.symbol)
        .int("t", trade.id)
        .text("p", &style.price(trade.price))
        .text("q", &style.qty(trade.qty))
        .text("X", "MARKET")
        .flag("m", trade.buyer_is_maker)
        .end()
}

/// `aggTrade`. There is no retail price improvement here, so `nq` equals `q`.
pub(crate) fn aggregate(now: Time, style: &Style, trade: &AggTrade) -> String {
    Object::new()
        .text("e", "aggTrade")
        .int("E", now.millis())
        .text("s", &style.symbol)
        .int("a", trade.id)
        .text("p", &style.price(trade.price))
        .text("q", &style.qty(trade.qty))
        .text("nq", &style.qty(trade.qty))
        .int("f", trade.first)
        .int("l", trade.last)
        .int("T", trade.time.millis())
        .flag("m", trade.buyer_is_maker)
        .int("st", 1)
        .end()
}

fn bar_fields(style: &Style, candle: &Candle, named: bool) -> String {
    let bar = &candle.bar;
    let times = Object::new().int("t", bar.start.millis()).int("T", bar.end.millis());
    let named = if named { times.text("s", &style.symbol) } else { times };
    named
        .text("i", bar.interval.as_str())
        .int("f", candle.first)
        .int("L", candle.last)
        .text("o", &style.price(bar.open))
        .text("c", &style.price(bar.close))
        .text("h", &style.price(bar.high))
        .text("l", &style.price(bar.low))
        .text("v", &style.qty(bar.volume))
        .int("n", bar.trades)
        .flag("x", bar.closed)
        .text("q", &bar.amount.fixed(5))
        .text("V", &style.qty(bar.buy_volume))
        .text("Q", &bar.buy_amount.fixed(5))
        .text("B", "0")
        .end()
}

/// `kline`.
pub(crate) fn bar(now: Time, style: &Style, candle: &Candle) -> String {
    Object::new()
        .text("e", "kline")
        .int("E", now.millis())
        .text("s", &style.symbol)
        .raw("k", &bar_fields(style, candle, true))
        .end()
}

/// `continuous_kline`.
pub(crate) fn continuous_bar(now: Time, style: &Style, candle: &Candle) -> String {
    Object::new()
        .text("e", "continuous_kline")
        .int("E", now.millis())
        .text("ps", &style.symbol)
        .text("ct", "PERPETUAL")
        .raw("k", &bar_fields(style, candle, false))
        .end()
}

/// `24hrMiniTicker`.
pub(crate) fn mini_ticker(now: Time, style: &Style, day: &DayStats) -> String {
    Object::new()
        .text("e", "24hrMiniTicker")
        .int("E", now.millis())
        .text("s", &style.symbol)
        .text("c", &style.price(day.last))
        .text("o", &style.price(day.open))
        .text("h", &style.price(day.high))
        .text("l", &style.price(day.low))
        .text("v", &style.qty(day.volume))
        .text("q", &day.amount.fixed(2))
        .text("ps", &style.symbol)
        .int("st", 1)
        .end()
}

/// `24hrTicker`.
pub(crate) fn ticker(now: Time, style: &Style, day: &DayStats, last: Option<&PublicTrade>) -> String {
    let last_id = last.map_or(-1, |trade| i64::try_from(trade.id).unwrap_or(i64::MAX));
    Object::new()
        .text("e", "24hrTicker")
        .int("E", now.millis())
        .text("s", &style.symbol)
        .text("p", &style.price(day.last - day.open))
        .text("P", &percent(day.open, day.last))
        .text("w", &style.price(weighted(day)))
        .text("c", &style.price(day.last))
        .text("Q", &style.qty(last.map_or(Qty::ZERO, |trade| trade.qty)))
        .text("o", &style.price(day.open))
        .text("h", &style.price(day.high))
        .text("l", &style.price(day.low))
        .text("v", &style.qty(day.volume))
        .text("q", &day.amount.fixed(2))
        .int("O", day.from.millis())
        .int("C", day.to.millis())
        .int("F", if last_id < 0 { -1 } else { 1 })
        .int("L", last_id)
        .int("n", day.trades)
        .text("ps", &style.symbol)
        .int("st", 1)
        .end()
}

/// `forceOrder`.
pub(crate) fn force_order(now: Time, style: &Style, event: &OrderEvent) -> String {
    let (order, last) = (
        &event.order,
        match &event.change {
            Change::Trade(fill) => fill.qty,
            _ => Qty::ZERO,
        },
    );
    let average = order.filled_quote.per(order.filled).unwrap_or_default();
    let inner = Object::new()
        .text("s", &style.symbol)
        .text("S", order.side.as_str())
        .text("o", "LIMIT")
        .text("f", "IOC")
        .text("q", &style.qty(order.qty))
        .text("p", &style.price(order.terms.price().unwrap_or(average)))
        .text("ap", &style.price(average))
        .text("X", order.status.as_str())
        .text("l", &style.qty(last))
        .text("z", &style.qty(order.filled))
        .int("T", event.time.millis());
    Object::new().text("e", "forceOrder").int("E", now.millis()).raw("o", &inner.end()).int("st", 1).end()
}
