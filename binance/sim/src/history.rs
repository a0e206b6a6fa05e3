//! The past of a synthetic market: a price for every instant before the simulator was started.
//!
//! The price is a sum of slow and fast waves through random points, a function of seed, market and time
//! alone, so that bars of every length agree with each other and with the price trading starts at. Integers
//! only.

use tradingsys::market::{Bar, Interval};
use tradingsys::num::{Cash, Qty};
use tradingsys::time::{Span, Time};

use crate::calendar::{bar_end, bar_start};
use crate::listings::Spec;

/// Period in seconds and size in millionths of each wave.
const WAVES: [(i64, i64); 7] = [
    (30 * 86_400, 120_000),
    (3 * 86_400, 40_000),
    (6 * 3_600, 12_000),
    (1_800, 4_000),
    (180, 1_200),
    (20, 300),
    (2, 60),
];

/// The past of one market.
#[derive(Clone, Debug)]
pub(crate) struct History {
    seed: u64,
    spec: Spec,
}

impl History {
    /// The past of a market under this seed.
    pub(crate) fn new(seed: u64, spec: Spec) -> Self {
        let name = spec.symbol.bytes().fold(0_u64, |hash, b| mix(hash ^ u64::from(b)));
        Self { seed: mix(seed ^ name), spec }
    }

    /// The price at a time, in ticks.
    pub(crate) fn ticks(&self, time: Time) -> i64 {
        let mut millionths = 1_000_000_i64;
        for (wave, (period, size)) in (0_u64..).zip(WAVES) {
            let period = period * 1_000;
            let (at, within) = (time.millis().div_euclid(period), time.millis().rem_euclid(period));
            let (from, to) = (self.point(wave, at), self.point(wave, at + 1));
            let value = from + (to - from) * within / period;
            millionths += value * size / 1_000;
        }
        (self.spec.start_ticks() * millionths / 1_000_000).max(1)
    }

    /// A random point of a wave, -1000 to 1000.
    fn point(&self, wave: u64, at: i64) -> i64 {
        let hash = mix(self.seed ^ mix(wave.wrapping_mul(0x9e37_79b9) ^ at as u64));
        (hash % 2_001) as i64 - 1_000
    }

    /// The bar that begins at `start`, as far as `until`.
    pub(crate) fn bar(&self, interval: Interval, start: Time, until: Time) -> Bar {
        let next = bar_end(interval, start);
        let until = until.min(next);
        let span = until - start;
        let (open, close) = (self.ticks(start), self.ticks(until));
        let (mut high, mut low) = (open.max(close), open.min(close));
        for part in 1..8 {
            let ticks = self.ticks(start + Span::from_nanos(span.nanos() / 8 * part));
            (high, low) = (high.max(ticks), low.min(ticks));
        }
        let seconds = (span.millis() / 1_000).max(1);
        let weight = i64::from(mix(self.seed ^ start.millis() as u64) as u8) + 128;
        let lots = self.spec.lots_per_second * seconds * weight / 256;
        let volume = self.spec.qty(lots.max(1));
        let bought = self.spec.qty(lots / 2);
        let price = |ticks| self.spec.price(ticks);
        let middle = price((open + close) / 2);
        Bar {
            interval,
            start,
            end: next - Span::from_millis(1),
            open: price(open),
            high: price(high),
            low: price(low),
            close: price(close),
            volume,
            amount: middle.times(volume),
            trades: u64::try_from(seconds).unwrap_or(0) * 2,
            buy_volume: bought,
            buy_amount: middle.times(bought),
            closed: until == next,
        }
    }

    /// Bars of an interval that begin in `from..to`, oldest first, at most the last `most`.
    pub(crate) fn bars(&self, interval: Interval, from: Time, to: Time, most: usize) -> Vec<Bar> {
        let mut bars = Vec::new();
        let mut end = to;
        while bars.len() < most && end > from {
            let start = bar_start(interval, end - Span::from_nanos(1));
            if start < from {
                break;
            }
            bars.push(self.bar(interval, start, end));
            end = start;
        }
        bars.reverse();
        bars
    }
}

/// An empty bar: what a market without trades has.
pub(crate) fn empty_bar(interval: Interval, start: Time, price: tradingsys::num::Price) -> Bar {
    Bar {
        interval,
        start,
        end: bar_end(interval, start) - Span::from_millis(1),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Qty::ZERO,
        amount: Cash::ZERO,
        trades: 0,
        buy_volume: Qty::ZERO,
        buy_amount: Cash::ZERO,
        closed: false,
    }
}

/// Spreads the bits of a number (splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_a_function_of_the_seed_and_bars_join() {
        let spec = Spec::usual()[0].clone();
        let history = History::new(7, spec.clone());
        let now = Time::from_millis(1_700_000_000_000);
        assert_eq!(history.ticks(now), History::new(7, spec.clone()).ticks(now));
        assert_ne!(history.ticks(now), History::new(8, spec).ticks(now));
        let end = bar_start(Interval::M1, now);
        let bars = history.bars(Interval::M1, Time::from_millis(0), end, 50);
        assert_eq!(bars.len(), 50);
        for pair in bars.windows(2) {
            assert_eq!(pair[0].close, pair[1].open);
            assert_eq!(pair[0].end + Span::from_millis(1), pair[1].start);
        }
        for bar in &bars {
            assert!(bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close) && bar.closed);
        }
    }
}
