//! Rows on their way to `pos.db`: the newest of each key, handed over together every 250 ms or when many have
//! changed.

use std::collections::BTreeMap;

use tradingsys::gateway::io::{AssetRow, FeeRow, PositionRow, Projection};
use tradingsys::ids::{Asset, SessionId, Symbol};
use tradingsys::journal::Owner;
use tradingsys::time::{Span, Time};

use crate::store::books::Applied;
use crate::store::projector::{Job, Projector};

/// How old a change may get before it is shown.
const SHOW_WITHIN: Span = Span::from_millis(250);

/// Changed rows that are shown at once.
const ROWS_MAX: usize = 512;

#[derive(Default)]
pub(super) struct Rows {
    positions: BTreeMap<(SessionId, Symbol), PositionRow>,
    assets: BTreeMap<(Owner, Asset), AssetRow>,
    fees: BTreeMap<(SessionId, Asset), FeeRow>,
    /// When they shall be shown.
    due: Option<Time>,
    under_way: bool,
}

impl Rows {
    /// Takes rows in; a later one of a key replaces an earlier one.
    pub(super) fn add(&mut self, rows: Projection, now: Time) {
        for row in rows.positions {
            self.positions.insert((row.session, row.symbol.clone()), row);
        }
        for row in rows.assets {
            self.assets.insert((row.owner, row.asset.clone()), row);
        }
        for row in rows.fees {
            self.fees.insert((row.session, row.asset.clone()), row);
        }
        if self.len() > 0 && self.due.is_none() {
            self.due = Some(now + SHOW_WITHIN);
        }
    }

    fn len(&self) -> usize {
        self.positions.len() + self.assets.len() + self.fees.len()
    }

    /// When [`Rows::offer`] has something to do.
    pub(super) fn deadline(&self) -> Option<Time> {
        if self.under_way { None } else { self.due }
    }

    /// What was handed over is in the file.
    pub(super) fn done(&mut self) {
        self.under_way = false;
    }

    /// Is something handed over and not done?
    pub(super) fn under_way(&self) -> bool {
        self.under_way
    }

    /// Hands over what is due.
    pub(super) fn offer(&mut self, now: Time, projector: &Projector, applied: &Applied) {
        let due = self.due.is_some_and(|due| due <= now) || self.len() >= ROWS_MAX;
        if due && !self.under_way {
            self.flush(projector, applied);
        }
    }

    /// Hands over all there is.
    pub(super) fn flush(&mut self, projector: &Projector, applied: &Applied) {
        if self.len() == 0 {
            return;
        }
        let rows = Projection {
            positions: std::mem::take(&mut self.positions).into_values().collect(),
            assets: std::mem::take(&mut self.assets).into_values().collect(),
            fees: std::mem::take(&mut self.fees).into_values().collect(),
        };
        self.due = None;
        match projector.project(Job { rows, applied: applied.clone() }) {
            Ok(()) => self.under_way = true,
            // Only if the thread is gone or still busy; the journal has it all.
            Err(job) => self.add(job.rows, Time::default()),
        }
    }
}
