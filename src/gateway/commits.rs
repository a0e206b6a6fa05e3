//! What waits for the disk: nothing private is shown before the records that caused it are committed.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::io::{Batch, Projection};
use crate::ids::{ConnId, SessionId, Symbol};
use crate::journal::Record;
use crate::time::{Span, Time};

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
    /// That epoch is durable: orders of it may be sent.
    EpochDurable(u32),
    /// A symbol's past is in the journal.
    Scanned(Symbol),
}

/// Frames of one client that may wait for the disk before it is closed to come back later.
pub(super) const FRAMES_MAX: usize = 1_000;

/// How long a record that nothing waits for may wait for others to be written with: a commit of its own costs more
/// than all it holds.
const PATIENCE: Span = Span::from_millis(20);

impl Held {
    /// The client it is for, if it is for one alone.
    const fn client(&self) -> Option<ConnId> {
        match self {
            Self::Frame(conn, _) | Self::Follow(conn, ..) => Some(*conn),
            _ => None,
        }
    }
}

/// Records on their way to the store.
#[derive(Debug)]
pub(super) struct Commits {
    open: Vec<Record>,
    /// All of them can wait until then for others; `None`: they cannot, or there are none.
    patient_until: Option<Time>,
    sync: bool,
    next: u64,
    committed: u64,
    held: VecDeque<(u64, Held)>,
    /// How many of them are for one client alone.
    frames: BTreeMap<ConnId, usize>,
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
            patient_until: None,
            sync: false,
            next: 1,
            committed: 0,
            held: VecDeque::new(),
            frames: BTreeMap::new(),
            written: Written::default(),
        }
    }

    pub(super) fn push(&mut self, record: Record) {
        self.written.count(&record);
        self.open.push(record);
        self.patient_until = None;
    }

    /// One that nothing waits for: it goes with the next that cannot wait, or in a while by itself.
    pub(super) fn push_patiently(&mut self, now: Time, record: Record) {
        let alone = self.open.is_empty();
        let until = self.patient_until.or(alone.then_some(now + PATIENCE));
        self.push(record);
        self.patient_until = until;
    }

    /// When records that could wait have waited long enough.
    pub(super) const fn deadline(&self) -> Option<Time> {
        self.patient_until
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
        // Records that can wait are nobody's cause.
        let nothing_new = self.open.is_empty() || self.patient_until.is_some();
        let batch = if nothing_new { self.next - 1 } else { self.next };
        if let Some(conn) = held.client() {
            *self.frames.entry(conn).or_default() += 1;
        }
        self.held.push_back((batch, held));
    }

    /// Does so much wait for a client that it can take no more?
    pub(super) fn are_full(&self, conn: ConnId) -> bool {
        self.frames.get(&conn).is_some_and(|frames| *frames >= FRAMES_MAX)
    }

    /// A client is gone: nothing is to be shown to it.
    pub(super) fn forget_client(&mut self, conn: ConnId) {
        if self.frames.remove(&conn).is_some() {
            self.held.retain(|(_, held)| held.client() != Some(conn));
        }
    }

    /// Closes the batch being filled, unless all of it can wait.
    pub(super) fn close(&mut self, now: Time) -> Option<Batch> {
        if self.open.is_empty() || self.patient_until.is_some_and(|until| now < until) {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.patient_until = None;
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
        if *batch > self.committed {
            return None;
        }
        let (_, held) = self.held.pop_front()?;
        if let Some(frames) = held.client().and_then(|conn| self.frames.get_mut(&conn)) {
            *frames -= 1;
        }
        Some(held)
    }

    /// Is everything on the disk?
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.committed + 1 == self.next
    }
}
