//! The matching book of one symbol: price levels, each a queue in order of arrival. Whole ticks and lots only.

use std::collections::BTreeMap;

use crate::exchange::config::AccountId;
use crate::ids::VenueOrderId;
use crate::market::Side;

/// An order's part of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resting {
    pub(super) id: VenueOrderId,
    pub(super) account: AccountId,
    pub(super) lots: i64,
    /// May it only make a position smaller?
    pub(super) reduces: bool,
}

/// Where an order rests: its side, its price and its place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) side: Side,
    pub(super) ticks: i64,
    pub(super) arrival: u64,
}

#[derive(Debug, Default)]
struct Queue {
    lots: i64,
    orders: BTreeMap<u64, Resting>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    bids: BTreeMap<i64, Queue>,
    asks: BTreeMap<i64, Queue>,
}

/// Would a taker of `side` with this limit trade at this price?
pub(super) fn crosses(side: Side, limit: i64, ticks: i64) -> bool {
    match side {
        Side::Buy => ticks <= limit,
        Side::Sell => ticks >= limit,
    }
}

/// A price as a sort key that puts the best of its side first.
pub(super) fn best_first(side: Side, ticks: i64) -> i64 {
    match side {
        Side::Buy => -ticks,
        Side::Sell => ticks,
    }
}

impl Book {
    fn side(&self, side: Side) -> &BTreeMap<i64, Queue> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<i64, Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Puts an order behind all earlier arrivals of its price.
    pub(super) fn insert(&mut self, place: Place, resting: Resting) {
        let level = self.side_mut(place.side).entry(best_first(place.side, place.ticks)).or_default();
        level.lots += resting.lots;
        level.orders.insert(place.arrival, resting);
    }

    /// Takes lots from an order, and the order from the book when none are left. It keeps its place otherwise.
    pub(super) fn reduce(&mut self, place: Place, lots: i64) {
        let side = self.side_mut(place.side);
        let key = best_first(place.side, place.ticks);
        let Some(level) = side.get_mut(&key) else { return };
        let Some(resting) = level.orders.get_mut(&place.arrival) else { return };
        debug_assert!(lots <= resting.lots, "an order gives no more than it has");
        resting.lots -= lots;
        level.lots -= lots;
        if resting.lots == 0 {
            level.orders.remove(&place.arrival);
        }
        if level.orders.is_empty() {
            side.remove(&key);
        }
    }

    /// The order that trades next, and its price.
    pub(super) fn first(&self, side: Side) -> Option<(i64, Resting)> {
        self.orders(side).next()
    }

    /// All orders of a side as they would trade: best price first, then by arrival.
    pub(super) fn orders(&self, side: Side) -> impl Iterator<Item = (i64, Resting)> + '_ {
        self.side(side)
            .iter()
            .flat_map(move |(key, level)| level.orders.values().map(move |o| (best_first(side, *key), *o)))
    }

    /// All levels of a side, best first: ticks and lots.
    pub(super) fn levels(&self, side: Side) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.side(side).iter().map(move |(key, level)| (best_first(side, *key), level.lots))
    }

    /// Lots at a price.
    pub(super) fn lots_at(&self, side: Side, ticks: i64) -> i64 {
        self.side(side).get(&best_first(side, ticks)).map_or(0, |level| level.lots)
    }
}
