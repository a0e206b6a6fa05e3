//! Bars of one market, of every length, from its trades; the past of a synthetic market before them.

use std::collections::VecDeque;

use tradingsys::market::{Bar, Interval, PublicTrade};
use tradingsys::num::Price;
use tradingsys::time::Time;

use crate::calendar::{bar_end, bar_start};
use crate::history::{History, empty_bar};

/// Closed bars kept per length; the venue answers at most as many.
const KEPT: usize = 1_000;

/// A bar and the first and last trade in it (-1: none since the simulator was started).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candle {
    /// The bar.
    pub(crate) bar: Bar,
    /// First trade id.
    pub(crate) first: i64,
    /// Last trade id.
    pub(crate) last: i64,
}

#[derive(Debug)]
struct Series {
    interval: Interval,
    closed: VecDeque<Candle>,
    open: Candle,
}

/// All bars of one market.
#[derive(Debug)]
pub(crate) struct Bars {
    /// When the simulator was started.
    begun: Time,
    past: Option<History>,
    series: Vec<Series>,
}

impl Bars {
    /// Bars from `now` on at this price. With a past, open bars begin with it.
    pub(crate) fn new(now: Time, price: Price, past: Option<History>) -> Self {
        let series = |interval: &Interval| {
            let start = bar_start(*interval, now);
            let bar = match &past {
                Some(past) if start < now => {
                    let bar = past.bar(*interval, start, now);
                    Bar {
                        close: price,
                        high: bar.high.max(price),
                        low: bar.low.min(price),
                        closed: false,
                        ..bar
                    }
                }
                _ => empty_bar(*interval, start, price),
            };
            Series { interval: *interval, closed: VecDeque::new(), open: Candle { bar, first: -1, last: -1 } }
        };
        let series = Interval::ALL.iter().map(series).collect();
        Self { begun: now, past, series }
    }

    /// Closes what has ended by `now`. Each close is told with the bar.
    pub(crate) fn roll(&mut self, now: Time, mut closed: impl FnMut(&Candle)) {
        for series in &mut self.series {
            let mut next = bar_end(series.interval, series.open.bar.start);
            while next <= now {
                let price = series.open.bar.close;
                let fresh = Candle { bar: empty_bar(series.interval, next, price), first: -1, last: -1 };
                let mut done = std::mem::replace(&mut series.open, fresh);
                done.bar.closed = true;
                closed(&done);
                series.closed.push_back(done);
                if series.closed.len() > KEPT {
                    series.closed.pop_front();
                }
                next = bar_end(series.interval, next);
            }
        }
    }

    /// Takes a trade; bars that ended before it must have been closed.
    pub(crate) fn trade(&mut self, trade: &PublicTrade) {
        for series in &mut self.series {
            add(&mut series.open, trade);
        }
    }

    /// The bar that is open.
    pub(crate) fn open(&self, interval: Interval) -> &Candle {
        &self.of(interval).open
    }

    fn of(&self, interval: Interval) -> &Series {
        let found = self.series.iter().find(|series| series.interval == interval);
        found.expect("there is a series of every interval")
    }

    /// Bars that begin within `from..=to`, oldest first: the first `most` of them if `from` is given, else
    /// the last. The open bar counts.
    pub(crate) fn between(
        &self,
        interval: Interval,
        from: Option<Time>,
        to: Option<Time>,
        most: usize,
    ) -> Vec<Bar> {
        let series = self.of(interval);
        let fits =
            |bar: &Bar| from.is_none_or(|from| bar.start >= from) && to.is_none_or(|to| bar.start <= to);
        let lived =
            series.closed.iter().chain([&series.open]).map(|candle| &candle.bar).filter(|bar| fits(bar));
        let mut bars: Vec<Bar> = lived.cloned().collect();
        let joint = bar_start(interval, self.begun);
        if let Some(past) = &self.past {
            // Fixed lengths only: a month before the joint is still found, the search goes bar by bar.
            let oldest = from.map(|from| {
                let start = bar_start(interval, from);
                if start < from { bar_end(interval, start) } else { start }
            });
            let end = match to {
                Some(to) if to < joint => bar_end(interval, bar_start(interval, to)),
                _ => joint,
            };
            let mut before = match oldest {
                Some(oldest) => first_bars(past, interval, oldest, end, most),
                None => past.bars(interval, Time::from_millis(0), end, most),
            };
            before.append(&mut bars);
            bars = before;
        }
        if bars.len() > most {
            if from.is_some() {
                bars.truncate(most);
            } else {
                bars.drain(..bars.len() - most);
            }
        }
        bars
    }
}

/// The first `most` bars of the past that begin in `from..end`.
fn first_bars(past: &History, interval: Interval, from: Time, end: Time, most: usize) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut start = from;
    while start < end && bars.len() < most {
        let next = bar_end(interval, start);
        bars.push(past.bar(interval, start, next));
        start = next;
    }
    bars
}

fn add(candle: &mut Candle, trade: &PublicTrade) {
    let bar = &mut candle.bar;
    let id = i64::try_from(trade.id).unwrap_or(i64::MAX);
    if candle.first < 0 {
        candle.first = id;
        if bar.trades == 0 {
            (bar.open, bar.high, bar.low) = (trade.price, trade.price, trade.price);
        }
    }
    candle.last = id;
    bar.high = bar.high.max(trade.price);
    bar.low = bar.low.min(trade.price);
    bar.close = trade.price;
    let amount = trade.price.times(trade.qty);
    bar.volume += trade.qty;
    bar.amount += amount;
    bar.trades += 1;
    if !trade.buyer_is_maker {
        bar.buy_volume += trade.qty;
        bar.buy_amount += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listings::Spec;
    use tradingsys::num::Qty;
    use tradingsys::time::Span;

    fn trade(id: u64, time: Time, price: i64, qty: i64, buyer_is_maker: bool) -> PublicTrade {
        PublicTrade { id, time, price: Price::whole(price), qty: Qty::whole(qty), buyer_is_maker }
    }

    #[test]
    fn trades_make_bars_and_quiet_bars_repeat_the_close() {
        let start = Time::from_millis(1_700_000_040_000);
        let mut bars = Bars::new(start, Price::whole(100), None);
        for (id, price, qty, maker) in [(1, 101, 2, false), (2, 99, 1, true), (3, 100, 3, false)] {
            bars.trade(&trade(id, start, price, qty, maker));
        }
        let open = bars.open(Interval::M1);
        assert_eq!((open.first, open.last), (1, 3));
        let bar = &open.bar;
        let ohlc = [bar.open, bar.high, bar.low, bar.close];
        assert_eq!(ohlc, [101, 101, 99, 100].map(Price::whole));
        assert_eq!((bar.volume, bar.buy_volume, bar.trades), (Qty::whole(6), Qty::whole(5), 3));
        let mut closed = 0;
        bars.roll(start + Span::from_secs(120), |candle| {
            closed += i32::from(candle.bar.interval == Interval::M1)
        });
        assert_eq!(closed, 2);
        let all = bars.between(Interval::M1, None, None, 10);
        assert_eq!(all.len(), 3);
        assert!(all[0].closed && all[1].closed && !all[2].closed);
        assert_eq!((all[1].open, all[1].trades), (Price::whole(100), 0));
    }

    #[test]
    fn the_past_and_the_present_join() {
        let spec = Spec::usual()[0].clone();
        let now = Time::from_millis(1_700_000_070_000);
        let past = History::new(1, spec.clone());
        let price = spec.price(past.ticks(now));
        let mut bars = Bars::new(now, price, Some(past));
        bars.roll(now + Span::from_secs(300), |_| {});
        let all = bars.between(Interval::M1, None, None, 100);
        assert_eq!(all.len(), 100);
        for pair in all.windows(2) {
            assert_eq!(pair[0].end + Span::from_millis(1), pair[1].start);
            assert_eq!(pair[0].close, pair[1].open);
        }
        let from = all[90].start;
        assert_eq!(bars.between(Interval::M1, Some(from), None, 100), all[90..].to_vec());
        assert_eq!(bars.between(Interval::M1, Some(all[3].start), None, 2), all[3..5].to_vec());
        assert_eq!(bars.between(Interval::M1, None, Some(all[3].start), 2), all[2..4].to_vec());
    }
}
