//! What waits for the disk: nothing private is shown before the records that caused it are committed.

use std::collections::VecDeque;

use bytes::Bytes;

use super::io::{Batch, Projection};
use crate::ids::{ConnId, SessionId, Symbol};
use crate::journal::Record;

/// Something to be shown once its batch is committed.
#[derive(Debug)]
pub(super) enum Held {
    /// An event of a session.
    Event(SessionId, u64),
    /// A frame for one client: a reply that shows private state, a snapshot.
    Frame(ConnId, Bytes),
    /// These frames, and then all events of the session above this number.
    Follow(ConnId, SessionId, Vec<Bytes>, u64),
    /// Rows for `pos.db`.
    Project(Projection),
    /// The epoch is durable: orders may be sent.
    EpochDurable,
    /// A symbol's past is in the journal.
    Scanned(Symbol),
}

/// Records on their way to the store.
#[derive(Debug)]
pub(super) struct Commits {
    open: Vec<Record>,
    sync: bool,
    next: u64,
    committed: u64,
    held: VecDeque<(u64, Held)>,
    written: Written,
}

/// Records made in this run of the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// All.
    pub records: u64,
    /// Fills of sessions.
    pub fills: u64,
    /// Fills of orders that are no session's.
    pub fills_external: u64,
    /// Numbered events of sessions.
    pub events: u64,
}

impl Written {
    fn count(&mut self, record: &Record) {
        self.records += 1;
        match record {
            Record::Fill(fill) if fill.session.is_some() => self.fills += 1,
            Record::Fill(_) => self.fills_external += 1,
            Record::Event { .. } => self.events += 1,
            _ => {}
        }
    }
}

impl Commits {
    pub(super) fn new() -> Self {
        Self {
            open: Vec::new(),
            sync: false,
            next: 1,
            committed: 0,
            held: VecDeque::new(),
            written: Written::default(),
        }
    }

    pub(super) fn push(&mut self, record: Record) {
        self.written.count(&record);
        self.open.push(record);
    }

    /// What was handed over in this run.
    pub(super) const fn written(&self) -> Written {
        self.written
    }

    /// Batches that are on their way to the disk.
    pub(super) const fn under_way(&self) -> u64 {
        self.next - 1 - self.committed
    }

    /// The batch now being filled must reach the disk before it counts.
    pub(super) fn sync(&mut self) {
        self.sync = true;
    }

    /// Holds something until all records pushed so far are committed.
    pub(super) fn hold(&mut self, held: Held) {
        let batch = if self.open.is_empty() { self.next - 1 } else { self.next };
        self.held.push_back((batch, held));
    }

    /// Closes the batch being filled.
    pub(super) fn close(&mut self) -> Option<Batch> {
        if self.open.is_empty() {
            return None;
        }
        let id = self.next;
        self.next += 1;
        Some(Batch { id, records: std::mem::take(&mut self.open), sync: std::mem::take(&mut self.sync) })
    }

    /// Events are numbered anew: those that wait are not shown any more under their old numbers.
    pub(super) fn forget_events(&mut self) {
        self.held.retain(|(_, held)| !matches!(held, Held::Event(..)));
    }

    /// A batch is committed.
    pub(super) fn committed(&mut self, batch: u64) {
        self.committed = self.committed.max(batch);
    }

    /// The next thing that may be shown.
    pub(super) fn release(&mut self) -> Option<Held> {
        let (batch, _) = self.held.front()?;
        if *batch > self.committed { None } else { self.held.pop_front().map(|(_, held)| held) }
    }

    /// Is everything on the disk?
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.committed + 1 == self.next
    }
}
