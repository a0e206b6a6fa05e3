//! Stop orders of one symbol that wait for their trigger.
//!
//! A stop triggers when a trade reaches its stop price from the side it was placed on. Stops fire in the order of the
//! trades that reached them, those of one trade by order number; the engine runs them when the taker that moved the
//! price is done.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::VenueOrderId;
use crate::market::{OrderType, Side};

/// From where the price must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Triggers at or above the stop price.
    Rising,
    /// Triggers at or below it.
    Falling,
}

impl Direction {
    /// Of a stop order of this side and type.
    pub(super) fn of(side: Side, order_type: OrderType) -> Self {
        let take_profit = matches!(order_type, OrderType::TakeProfit | OrderType::TakeProfitLimit);
        if (side == Side::Buy) != take_profit { Self::Rising } else { Self::Falling }
    }

    /// Has a trade at `last` reached `stop`?
    pub(super) fn reached(self, stop: i64, last: i64) -> bool {
        match self {
            Self::Rising => last >= stop,
            Self::Falling => last <= stop,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Stops {
    rising: BTreeSet<(i64, VenueOrderId)>,
    falling: BTreeSet<(i64, VenueOrderId)>,
    fired: VecDeque<VenueOrderId>,
}

impl Stops {
    fn side(&mut self, direction: Direction) -> &mut BTreeSet<(i64, VenueOrderId)> {
        match direction {
            Direction::Rising => &mut self.rising,
            Direction::Falling => &mut self.falling,
        }
    }

    pub(super) fn insert(&mut self, direction: Direction, stop: i64, id: VenueOrderId) {
        self.side(direction).insert((stop, id));
    }

    pub(super) fn remove(&mut self, direction: Direction, stop: i64, id: VenueOrderId) {
        self.side(direction).remove(&(stop, id));
    }

    /// A trade happened: the stops it reached stand in line for [`Stops::next_fired`].
    pub(super) fn on_trade(&mut self, ticks: i64) {
        let mut reached = BTreeSet::new();
        while let Some(first) = self.rising.first().copied().filter(|(stop, _)| *stop <= ticks) {
            self.rising.remove(&first);
            reached.insert(first.1);
        }
        while let Some(last) = self.falling.last().copied().filter(|(stop, _)| *stop >= ticks) {
            self.falling.remove(&last);
            reached.insert(last.1);
        }
        self.fired.extend(reached);
    }

    pub(super) fn next_fired(&mut self) -> Option<VenueOrderId> {
        self.fired.pop_front()
    }
}
