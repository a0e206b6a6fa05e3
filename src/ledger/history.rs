//! How rows came about, to say what was held at a past instant.

use std::collections::BTreeMap;

use crate::ids::{Asset, TradeId};
use crate::journal::Owner;
use crate::num::Cash;
use crate::time::Time;

/// A place in the exchange's order: its time, and the trade's number; 0 for what is no trade.
pub(super) type Instant = (Time, TradeId);

/// Changes of rows, by asset, in any order of time.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: BTreeMap<Asset, Vec<(Instant, Owner, Cash)>>,
    /// The earliest change of each asset since last asked.
    fresh: BTreeMap<Asset, Time>,
}

impl History {
    pub(super) fn add(&mut self, at: Instant, owner: Owner, asset: &Asset, delta: Cash) {
        self.changes.entry(asset.clone()).or_default().push((at, owner, delta));
        let fresh = self.fresh.entry(asset.clone()).or_insert(at.0);
        *fresh = at.0.min(*fresh);
    }

    /// Rows as they stood at that instant, what happened in it not counted, or counted. Zero rows are left out.
    pub(super) fn at(&self, asset: &Asset, instant: Time, inclusive: bool) -> BTreeMap<Owner, Cash> {
        self.rows(asset, |(time, _)| time < instant || (inclusive && time == instant))
    }

    /// Rows as they stood before that trade.
    pub(super) fn before(&self, asset: &Asset, trade: Instant) -> BTreeMap<Owner, Cash> {
        self.rows(asset, |at| at < trade)
    }

    fn rows(&self, asset: &Asset, counts: impl Fn(Instant) -> bool) -> BTreeMap<Owner, Cash> {
        let mut rows: BTreeMap<Owner, Cash> = BTreeMap::new();
        for (at, owner, delta) in self.changes.get(asset).into_iter().flatten() {
            if counts(*at) {
                *rows.entry(*owner).or_default() += *delta;
            }
        }
        rows.retain(|_, amount| !amount.is_zero());
        rows
    }

    /// Times of the first and the last change.
    pub(super) fn span(&self, asset: &Asset) -> Option<(Time, Time)> {
        let changes = self.changes.get(asset)?;
        let times = || changes.iter().map(|((time, _), ..)| *time);
        Some((times().min()?, times().max()?))
    }

    /// Assets changed since the last call, each with the earliest change.
    pub(super) fn take_fresh(&mut self) -> BTreeMap<Asset, Time> {
        std::mem::take(&mut self.fresh)
    }
}
