//! How rows came about, to say what was held at a past instant.

use std::collections::BTreeMap;

use crate::ids::Asset;
use crate::journal::Owner;
use crate::num::Cash;
use crate::time::Time;

/// Changes of rows, by asset, in any order of time.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: BTreeMap<Asset, Vec<(Time, Owner, Cash)>>,
    /// The earliest change of each asset since last asked.
    fresh: BTreeMap<Asset, Time>,
}

impl History {
    pub(super) fn add(&mut self, time: Time, owner: Owner, asset: &Asset, delta: Cash) {
        self.changes.entry(asset.clone()).or_default().push((time, owner, delta));
        let fresh = self.fresh.entry(asset.clone()).or_insert(time);
        *fresh = time.min(*fresh);
    }

    /// Rows as they stood at that instant, what happened in it not counted, or counted. Zero rows are left out.
    pub(super) fn at(&self, asset: &Asset, instant: Time, inclusive: bool) -> BTreeMap<Owner, Cash> {
        let mut rows: BTreeMap<Owner, Cash> = BTreeMap::new();
        for (time, owner, delta) in self.changes.get(asset).into_iter().flatten() {
            if *time < instant || (inclusive && *time == instant) {
                *rows.entry(*owner).or_default() += *delta;
            }
        }
        rows.retain(|_, amount| !amount.is_zero());
        rows
    }

    /// Times of the first and the last change.
    pub(super) fn span(&self, asset: &Asset) -> Option<(Time, Time)> {
        let changes = self.changes.get(asset)?;
        let times = || changes.iter().map(|(time, ..)| *time);
        Some((times().min()?, times().max()?))
    }

    /// Assets changed since the last call, each with the earliest change.
    pub(super) fn take_fresh(&mut self) -> BTreeMap<Asset, Time> {
        std::mem::take(&mut self.fresh)
    }
}
