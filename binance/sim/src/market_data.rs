//! What is public of one market besides its book: trades, aggregated trades, bars, and what the depth
//! streams gather.

use std::collections::{BTreeMap, VecDeque};

use tradingsys::exchange::{BestChange, BookChange};
use tradingsys::ids::Symbol;
use tradingsys::market::{Bar, Depth, Interval, Level, PublicTrade, Side};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::time::Time;

use crate::bars::Bars;

/// Trades kept for queries.
const KEPT: usize = 1_000;

/// Trades of one taker at one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AggTrade {
    /// Its number.
    pub(crate) id: u64,
    /// Price.
    pub(crate) price: Price,
    /// Sum of the quantities.
    pub(crate) qty: Qty,
    /// First trade.
    pub(crate) first: u64,
    /// Last trade.
    pub(crate) last: u64,
    /// When.
    pub(crate) time: Time,
    /// Was the buyer resting?
    pub(crate) buyer_is_maker: bool,
}

/// Level changes gathered for a diff stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diff {
    /// First and last update id, once there is a change.
    pub(crate) ids: Option<(u64, u64)>,
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
}

impl Diff {
    fn add(&mut self, change: &BookChange) {
        let first = self.ids.map_or(change.first_update_id, |(first, _)| first);
        self.ids = Some((first, change.last_update_id));
        self.bids.extend(change.bids.iter().map(|level| (level.price, level.qty)));
        self.asks.extend(change.asks.iter().map(|level| (level.price, level.qty)));
    }

    /// Leaves out the best changed level of each side.
    pub(crate) fn poison(&mut self) {
        self.bids.pop_last();
        self.asks.pop_first();
    }

    /// Puts a bid above the best changed offer.
    pub(crate) fn cross(&mut self) {
        if let Some((price, qty)) = self.asks.first_key_value() {
            self.bids.insert(Price::from_raw(price.raw() * 2), *qty);
        }
    }

    /// Bids best first, then asks best first.
    pub(crate) fn sides(&self) -> (Vec<Level>, Vec<Level>) {
        let level = |(price, qty): (&Price, &Qty)| Level { price: *price, qty: *qty };
        (self.bids.iter().rev().map(level).collect(), self.asks.iter().map(level).collect())
    }
}

/// What happened in the last 24 hours, in whole hours and the running one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayStats {
    /// First, highest, lowest and last price.
    pub(crate) open: Price,
    /// Highest.
    pub(crate) high: Price,
    /// Lowest.
    pub(crate) low: Price,
    /// Last.
    pub(crate) last: Price,
    /// Close before the window.
    pub(crate) before: Price,
    /// Base quantity.
    pub(crate) volume: Qty,
    /// Quote amount.
    pub(crate) amount: Cash,
    /// Number of trades.
    pub(crate) trades: u64,
    /// Begin and end.
    pub(crate) from: Time,
    /// End.
    pub(crate) to: Time,
}

/// Public data of one market.
#[derive(Debug)]
pub(crate) struct MarketData {
    /// Which.
    pub(crate) symbol: Symbol,
    /// Its name as frames show it.
    pub(crate) upper: String,
    /// Bars.
    pub(crate) bars: Bars,
    /// Best bid and offer.
    pub(crate) best: Option<BestChange>,
    /// The trade before the last one, and the last one.
    pub(crate) last_trade: Option<PublicTrade>,
    trades: VecDeque<PublicTrade>,
    aggregated: VecDeque<AggTrade>,
    open_aggregate: Option<AggTrade>,
    next_aggregate: u64,
    /// Diffs gathered per speed; `None` while nobody listens. Spot has two speeds: every second and every 100 ms.
    pub(crate) diffs: [Option<Diff>; 3],
    /// Update id shown last by the partial depth streams, per speed.
    pub(crate) shown: [u64; 3],
}

impl MarketData {
    /// A market without trades yet.
    pub(crate) fn new(symbol: Symbol, bars: Bars) -> Self {
        Self {
            upper: symbol.upper(),
            symbol,
            bars,
            best: None,
            last_trade: None,
            trades: VecDeque::new(),
            aggregated: VecDeque::new(),
            open_aggregate: None,
            next_aggregate: 1,
            diffs: [None, None, None],
            shown: [0; 3],
        }
    }

    /// Takes a trade; returns the aggregate it ended, if it did not join the last one.
    pub(crate) fn trade(&mut self, trade: &PublicTrade) -> Option<AggTrade> {
        self.bars.trade(trade);
        self.last_trade = Some(trade.clone());
        self.trades.push_back(trade.clone());
        if self.trades.len() > KEPT {
            self.trades.pop_front();
        }
        if let Some(open) = &mut self.open_aggregate
            && open.price == trade.price
            && open.buyer_is_maker == trade.buyer_is_maker
        {
            open.qty += trade.qty;
            open.last = trade.id;
            return None;
        }
        let ended = self.end_aggregate();
        self.open_aggregate = Some(AggTrade {
            id: self.next_aggregate,
            price: trade.price,
            qty: trade.qty,
            first: trade.id,
            last: trade.id,
            time: trade.time,
            buyer_is_maker: trade.buyer_is_maker,
        });
        self.next_aggregate += 1;
        ended
    }

    /// The taker is done: its last aggregate ends.
    pub(crate) fn end_aggregate(&mut self) -> Option<AggTrade> {
        let ended = self.open_aggregate.take()?;
        self.aggregated.push_back(ended.clone());
        if self.aggregated.len() > KEPT {
            self.aggregated.pop_front();
        }
        Some(ended)
    }

    /// Takes a change of the book.
    pub(crate) fn book(&mut self, change: &BookChange) {
        for diff in self.diffs.iter_mut().flatten() {
            diff.add(change);
        }
    }

    /// The last `limit` trades, or the first from an id on; oldest first.
    pub(crate) fn trades(&self, from: Option<u64>, limit: usize) -> Vec<&PublicTrade> {
        match from {
            Some(from) => self.trades.iter().filter(|trade| trade.id >= from).take(limit).collect(),
            None => self.trades.iter().skip(self.trades.len().saturating_sub(limit)).collect(),
        }
    }

    /// Aggregated trades: the last ones, or the first from an id or a time on; oldest first.
    pub(crate) fn aggregated(
        &self,
        from: Option<u64>,
        start: Option<Time>,
        end: Option<Time>,
        limit: usize,
    ) -> Vec<&AggTrade> {
        let fits = |trade: &&AggTrade| {
            from.is_none_or(|from| trade.id >= from)
                && start.is_none_or(|start| trade.time >= start)
                && end.is_none_or(|end| trade.time <= end)
        };
        let mut found: Vec<&AggTrade> = self.aggregated.iter().filter(fits).collect();
        if from.is_some() || start.is_some() {
            found.truncate(limit);
        } else {
            found.drain(..found.len().saturating_sub(limit));
        }
        found
    }

    /// The last price, or the price the market opened at.
    pub(crate) fn last_price(&self) -> Price {
        self.bars.open(Interval::M1).bar.close
    }

    /// Average price of the last five minutes by volume; the last price if nothing was traded.
    pub(crate) fn average(&self) -> Price {
        let bars = self.bars.between(Interval::M1, None, None, 5);
        let (amount, volume) =
            (bars.iter().map(|b| b.amount).sum::<Cash>(), bars.iter().map(|b| b.volume).sum());
        amount.per(volume).unwrap_or_else(|| self.last_price())
    }

    /// The last 24 hours.
    pub(crate) fn day(&self, now: Time) -> DayStats {
        let bars = self.bars.between(Interval::H1, None, None, 25);
        let (before, hours) = match &bars[..] {
            [before, hours @ ..] if bars.len() == 25 => (before.close, hours),
            hours => (hours.first().map_or(Price::ZERO, |bar| bar.open), hours),
        };
        let price = |pick: fn(&Bar) -> Price| hours.iter().map(pick);
        DayStats {
            open: hours.first().map_or(Price::ZERO, |bar| bar.open),
            high: price(|bar| bar.high).max().unwrap_or_default(),
            low: price(|bar| bar.low).min().unwrap_or_default(),
            last: self.last_price(),
            before,
            volume: hours.iter().map(|bar| bar.volume).sum(),
            amount: hours.iter().map(|bar| bar.amount).sum(),
            trades: hours.iter().map(|bar| bar.trades).sum(),
            from: hours.first().map_or(now, |bar| bar.start),
            to: now,
        }
    }

    /// The best of a side.
    pub(crate) fn best_of(&self, side: Side) -> Level {
        let level = self.best.as_ref().and_then(|best| match side {
            Side::Buy => best.bid,
            Side::Sell => best.ask,
        });
        level.unwrap_or(Level { price: Price::ZERO, qty: Qty::ZERO })
    }
}

/// The first `levels` of a book.
pub(crate) fn cut(depth: &Depth, levels: usize) -> (&[Level], &[Level]) {
    (&depth.bids[..levels.min(depth.bids.len())], &depth.asks[..levels.min(depth.asks.len())])
}
