//! What lies on the disk: where the journal may end after a loss, and `pos.db` with what users make of it.

use std::collections::BTreeMap;

use tradingsys::gateway::io::{Batch, Edit, Projection};
use tradingsys::ids::{SessionId, Symbol};
use tradingsys::journal::Record;
use tradingsys::ledger::books::Books;
use tradingsys::num::{Price, Qty};
use tradingsys::time::Span;

use crate::wire::Arrival;
use crate::world::World;

/// Where the journal may end.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Its lengths after each batch.
    ends: Vec<usize>,
    /// How many batches a loss of power leaves for certain: all up to the last one that was synced.
    synced: usize,
    /// The last epoch, as noted beside the journal.
    pub(crate) noted: Option<u32>,
    /// What users see.
    pub(crate) rows: BTreeMap<(SessionId, Symbol), Row>,
    /// What users have added to each session's position, in units of 10⁻¹⁰.
    pub(crate) edited: BTreeMap<u16, i128>,
}

/// A row of `position`, and what the gateway remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What the gateway showed last, its average price, and how often it has shown something.
    shown: Qty,
    avg_price: Price,
    revision: u64,
    /// What stands there, and what the gateway believes to stand there: a row that differs is left alone.
    found: Qty,
    expected: Qty,
}

impl Store {
    /// Appends a batch.
    pub(crate) fn write(&mut self, journal: &mut Vec<Record>, batch: Batch) {
        journal.extend(batch.records);
        self.ends.push(journal.len());
        if batch.sync {
            self.synced = self.ends.len();
        }
    }

    /// Notes the last epoch that the journal has.
    pub(crate) fn note(&mut self, journal: &[Record]) {
        let epoch = |record: &Record| match record {
            Record::Start(start) => Some(start.epoch),
            _ => None,
        };
        self.noted = journal.iter().rev().find_map(epoch);
    }

    /// Leaves so many batches.
    fn cut(&mut self, journal: &mut Vec<Record>, batches: usize) {
        self.ends.truncate(batches);
        self.synced = self.synced.min(batches);
        journal.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Shows rows; one that a user has changed stays as it is.
    pub(crate) fn show(&mut self, rows: &Projection) {
        for row in &rows.positions {
            let fresh = Row {
                shown: Qty::ZERO,
                avg_price: Price::ZERO,
                revision: 0,
                found: Qty::ZERO,
                expected: Qty::ZERO,
            };
            let known = self.rows.entry((row.session, row.symbol.clone())).or_insert(fresh);
            if known.found == known.expected {
                (known.shown, known.found, known.expected) = (row.qty, row.qty, row.qty);
                known.avg_price = row.avg_price;
                known.revision += 1;
            }
        }
    }

    /// What users have changed, as a starting gateway finds it.
    pub(crate) fn edits(&mut self) -> Vec<Edit> {
        let edit = |((session, symbol), row): (&(SessionId, Symbol), &mut Row)| {
            row.expected = row.found;
            (row.found != row.shown).then(|| Edit {
                session: *session,
                symbol: symbol.clone(),
                revision: row.revision,
                shown: row.shown,
                found: row.found,
                shown_avg: Some(row.avg_price),
                found_avg: Some(row.avg_price),
            })
        };
        self.rows.iter_mut().filter_map(edit).collect()
    }

    /// Rows that show something else than the books hold, though no user has changed them.
    pub(crate) fn wrong(&self, books: &Books) -> Vec<String> {
        let held = |session, symbol: &Symbol| books.position(session, symbol).qty;
        let rows = self.rows.iter().map(|((session, symbol), row)| (*session, symbol, row.found));
        let unshown = books.positions().filter(|(session, symbol, totals)| {
            !totals.qty.is_zero() && !self.rows.contains_key(&(*session, (*symbol).clone()))
        });
        rows.chain(unshown.map(|(session, symbol, _)| (session, symbol, Qty::ZERO)))
            .filter(|(session, symbol, shown)| held(*session, symbol) != *shown)
            .map(|(session, symbol, shown)| {
                format!("session {session}: {shown}, held {}", held(session, symbol))
            })
            .collect()
    }

    /// Has a user changed something that no gateway has seen yet?
    pub(crate) fn has_news(&self) -> bool {
        self.rows.values().any(|row| row.found != row.expected)
    }
}

impl World {
    /// A user corrects a row by some.
    pub(crate) fn edit_row(&mut self) {
        let keys: Vec<(SessionId, Symbol)> = self.store.rows.keys().cloned().collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.rng.usize(0..keys.len())].clone();
        let by = Qty::whole(self.rng.i64(-500..500));
        self.strike("row edited");
        *self.store.edited.entry(key.0.0).or_default() += by.raw();
        if let Some(row) = self.store.rows.get_mut(&key) {
            row.found += by;
        }
    }

    /// Rows set out for `pos.db`.
    pub(crate) fn project(&mut self, rows: Projection) {
        let at = (self.now + Span::from_millis(self.rng.i64(1..250))).max(self.shown_at);
        self.shown_at = at;
        self.mail.send(at, self.run, Arrival::Shown(rows));
    }

    /// What of the journal outlives the end of the gateway's process, and perhaps of its machine or disk.
    pub(crate) fn lose_tail(&mut self) {
        // What the store had begun to write may have reached the disk without anyone being told.
        let kept = self.rng.usize(0..=self.disk.len());
        for batch in self.disk.drain(..).take(kept).collect::<Vec<_>>() {
            let begins = batch.records.iter().any(|record| matches!(record, Record::Start(_)));
            self.store.write(&mut self.journal, batch);
            // It is noted a moment later.
            if begins && self.rng.bool() {
                self.store.note(&self.journal);
            }
        }
        if self.chance(self.faults.lose_power) {
            self.power_lost = true;
            self.boots += 1;
            self.strike("power lost");
            let kept = self.rng.usize(self.store.synced..=self.store.ends.len());
            self.store.cut(&mut self.journal, kept);
        }
        if self.chance(self.faults.lose_journal) {
            self.lost = true;
            let kept = if self.rng.bool() { 0 } else { self.rng.usize(0..=self.store.ends.len()) };
            self.strike(if kept == 0 { "journal lost" } else { "older copy of the journal" });
            self.store.cut(&mut self.journal, kept);
            if self.store.noted.is_some() && self.chance(self.faults.keep_note) {
                self.strike("note outlived the journal");
            } else {
                self.note_lost = true;
                self.store.note(&self.journal);
            }
        }
        self.booked = self.booked.min(self.journal.len());
    }
}
