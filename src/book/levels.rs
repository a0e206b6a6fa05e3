//! The two sides of a book and how far they are known.

use std::collections::BTreeMap;

use crate::market::{Depth, Level};
use crate::num::{Price, Qty};
use crate::time::Time;

/// Both sides of a book, within the range that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
    /// Bids below are unknown.
    low: Option<Price>,
    /// Asks above are unknown.
    high: Option<Price>,
    /// Levels a side at the last snapshot.
    wide: usize,
}

impl Levels {
    /// Nothing.
    pub const fn new() -> Self {
        Self { bids: BTreeMap::new(), asks: BTreeMap::new(), low: None, high: None, wide: 0 }
    }

    /// From a whole view. A side with fewer levels than `limit` is complete; of the other, what lies beyond its last
    /// level is unknown.
    pub fn from_snapshot(depth: &Depth, limit: usize) -> Self {
        let side = |levels: &[Level]| {
            let held = levels.iter().filter(|level| level.qty.is_positive());
            held.map(|level| (level.price, level.qty)).collect::<BTreeMap<_, _>>()
        };
        let (bids, asks) = (side(&depth.bids), side(&depth.asks));
        let low = if bids.len() >= limit { bids.keys().next().copied() } else { None };
        let high = if asks.len() >= limit { asks.keys().next_back().copied() } else { None };
        Self { bids, asks, low, high, wide: limit }
    }

    /// Changes levels; quantities are absolute, zero removes. Returns the changes within the known range.
    pub fn apply(&mut self, bids: &[Level], asks: &[Level]) -> (Vec<Level>, Vec<Level>) {
        let (low, high) = (self.low, self.high);
        let bids = change(&mut self.bids, bids, |price| low.is_none_or(|low| price >= low));
        let asks = change(&mut self.asks, asks, |price| high.is_none_or(|high| price <= high));
        (bids, asks)
    }

    /// Why these cannot be a good book, in words: crossed, or a side left its known range.
    pub fn fault(&self) -> Option<String> {
        match (self.bids.keys().next_back(), self.asks.keys().next()) {
            (Some(bid), Some(ask)) if bid >= ask => {
                Some(format!("the book is crossed: bid {bid}, ask {ask}"))
            }
            (None, _) if self.low.is_some() => Some("all known bids are gone".to_owned()),
            (_, None) if self.high.is_some() => Some("all known asks are gone".to_owned()),
            _ => None,
        }
    }

    /// Is less than one part in `parts` of a side's known range left?
    pub fn is_thin(&self, parts: usize) -> bool {
        let thin = |side: &BTreeMap<Price, Qty>| side.len() < self.wide / parts;
        (self.low.is_some() && thin(&self.bids)) || (self.high.is_some() && thin(&self.asks))
    }

    /// The best bids, falling.
    pub fn bids(&self) -> impl Iterator<Item = Level> + '_ {
        self.bids.iter().rev().map(|(price, qty)| Level { price: *price, qty: *qty })
    }

    /// The best asks, rising.
    pub fn asks(&self) -> impl Iterator<Item = Level> + '_ {
        self.asks.iter().map(|(price, qty)| Level { price: *price, qty: *qty })
    }

    /// Number of bids and of asks.
    pub fn sizes(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    /// As a view.
    pub fn depth(&self, update_id: u64, time: Time) -> Depth {
        Depth { update_id, time, bids: self.bids().collect(), asks: self.asks().collect() }
    }
}

fn change(side: &mut BTreeMap<Price, Qty>, levels: &[Level], known: impl Fn(Price) -> bool) -> Vec<Level> {
    let mut shown = Vec::with_capacity(levels.len());
    for level in levels.iter().filter(|level| known(level.price)) {
        if level.qty.is_positive() {
            side.insert(level.price, level.qty);
        } else {
            side.remove(&level.price);
        }
        shown.push(*level);
    }
    shown
}
