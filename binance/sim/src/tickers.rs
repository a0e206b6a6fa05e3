//! Ticker streams.

use binance_wire::render::{Object, TimeUnit, array};
use tradingsys::market::Side;
use tradingsys::num::Price;
use tradingsys::time::Time;

use crate::market_data::{DayStats, MarketData};
use crate::sim::Sim;
use crate::streams::{Kind, MarketIndex, StreamName};

impl Sim {
    /// Ticker streams of one market, once a second; `!miniTicker@arr` with the first.
    pub(crate) fn publish_tickers(&mut self, now: Time, place: usize) {
        let at = MarketIndex::try_from(place).expect("markets are few");
        let symbol = self.markets[place].data.symbol.clone();
        for (kind, word) in [
            (Kind::MiniTicker, "miniTicker"),
            (Kind::Ticker, "ticker"),
            (Kind::AvgPrice, "avgPrice"),
            (Kind::ReferencePrice, "referencePrice"),
        ] {
            let name = StreamName::Of(at, kind);
            if !self.listeners.any(name) {
                continue;
            }
            let write = |sim: &Self, unit| {
                let data = &sim.markets[place].data;
                match kind {
                    Kind::MiniTicker => mini(data, &data.day(now), now, unit),
                    Kind::Ticker => full(data, &data.day(now), now, unit),
                    Kind::AvgPrice => average(data, now, unit),
                    _ => reference(data, now, unit),
                }
            };
            let (millis, micros) = (write(self, TimeUnit::Millis), write(self, TimeUnit::Micros));
            self.publish(name, format!("{symbol}@{word}"), |unit| match unit {
                TimeUnit::Millis => millis.clone(),
                TimeUnit::Micros => micros.clone(),
            });
        }
        if place == 0 && self.listeners.any(StreamName::AllMiniTickers) {
            let write = |sim: &Self, unit| {
                array(sim.markets.iter().map(|market| mini(&market.data, &market.data.day(now), now, unit)))
            };
            let (millis, micros) = (write(self, TimeUnit::Millis), write(self, TimeUnit::Micros));
            self.publish(StreamName::AllMiniTickers, "!miniTicker@arr", |unit| match unit {
                TimeUnit::Millis => millis.clone(),
                TimeUnit::Micros => micros.clone(),
            });
        }
    }
}

fn mini(data: &MarketData, day: &DayStats, now: Time, unit: TimeUnit) -> String {
    Object::new()
        .text("e", "24hrMiniTicker")
        .int("E", unit.of(now))
        .text("s", &data.upper)
        .fixed("c", day.last.raw())
        .fixed("o", day.open.raw())
        .fixed("h", day.high.raw())
        .fixed("l", day.low.raw())
        .fixed("v", day.volume.raw())
        .fixed("q", day.amount.raw())
        .end()
}

fn full(data: &MarketData, day: &DayStats, now: Time, unit: TimeUnit) -> String {
    let (bid, ask) = (data.best_of(Side::Buy), data.best_of(Side::Sell));
    let last = data.last_trade.as_ref();
    let trades = i64::try_from(day.trades).unwrap_or(i64::MAX);
    let last_id = last.map_or(-1, |trade| i64::try_from(trade.id).unwrap_or(i64::MAX));
    Object::new()
        .text("e", "24hrTicker")
        .int("E", unit.of(now))
        .text("s", &data.upper)
        .fixed("p", (day.last - day.open).raw())
        .text("P", &percent(day.open, day.last))
        .fixed("w", weighted(day).raw())
        .fixed("x", day.before.raw())
        .fixed("c", day.last.raw())
        .fixed("Q", last.map_or(0, |trade| trade.qty.raw()))
        .fixed("b", bid.price.raw())
        .fixed("B", bid.qty.raw())
        .fixed("a", ask.price.raw())
        .fixed("A", ask.qty.raw())
        .fixed("o", day.open.raw())
        .fixed("h", day.high.raw())
        .fixed("l", day.low.raw())
        .fixed("v", day.volume.raw())
        .fixed("q", day.amount.raw())
        .int("O", unit.of(day.from))
        .int("C", unit.of(day.to))
        .int("F", if last_id < 0 { -1 } else { 1 })
        .int("L", last_id)
        .int("n", trades)
        .end()
}

fn average(data: &MarketData, now: Time, unit: TimeUnit) -> String {
    let last = data.last_trade.as_ref().map_or(now, |trade| trade.time);
    Object::new()
        .text("e", "avgPrice")
        .int("E", unit.of(now))
        .text("s", &data.upper)
        .text("i", "5m")
        .fixed("w", data.average().raw())
        .int("T", unit.of(last))
        .end()
}

fn reference(data: &MarketData, now: Time, unit: TimeUnit) -> String {
    Object::new()
        .text("e", "referencePrice")
        .text("s", &data.upper)
        .raw("r", "null")
        .int("t", unit.of(now))
        .end()
}

/// The change in percent with three decimals, as tickers show it.
pub(crate) fn percent(open: Price, last: Price) -> String {
    if open.is_zero() {
        return "0.000".into();
    }
    let thousandths = (last - open).raw() * 100_000 / open.raw();
    let sign = if thousandths < 0 { "-" } else { "" };
    let size = thousandths.abs();
    format!("{sign}{}.{:03}", size / 1_000, size % 1_000)
}

/// The day's average price by volume.
pub(crate) fn weighted(day: &DayStats) -> Price {
    day.amount.per(day.volume).unwrap_or(day.last)
}
