//! What a session paid besides what it traded: fees, funding, interest, of the last UTC day in which there were any.
//! Payments may be told in any order; those of an earlier day than the last are past.

use std::collections::BTreeMap;

use crate::ids::{Asset, SessionId};
use crate::num::Cash;
use crate::time::Time;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Costs(BTreeMap<(SessionId, Asset), (i64, Cash)>);

impl Costs {
    /// So much was paid at that time; negative: was got.
    pub(super) fn add(&mut self, session: SessionId, asset: &Asset, time: Time, paid: Cash) {
        let (day, sum) = self.0.entry((session, asset.clone())).or_default();
        if time.day() > *day {
            (*day, *sum) = (time.day(), Cash::ZERO);
        }
        if time.day() == *day {
            *sum += paid;
        }
    }

    /// Whoever has paid.
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.0.keys().map(|(session, _)| *session)
    }

    /// What was paid since the beginning of that UTC day.
    pub(super) fn since(&self, session: SessionId, asset: &Asset, day: i64) -> Cash {
        let last = self.0.get(&(session, asset.clone()));
        last.filter(|(of, _)| *of >= day).map(|(_, sum)| *sum).unwrap_or_default()
    }
}
