//! The thread that reads the journal over while the gateway runs: to check what a start from a snapshot has not
//! read, and to make the next snapshot. It only reads the journal, in pieces and with pauses, so it never holds up
//! the thread that appends, and takes little of the machine.
//!
//! A snapshot is always made of the rows themselves, from the first on and each held against the chain, never of the
//! snapshot before: a mistake in one does not live on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Statement};
use tradingsys::gateway::snapshot::{Kept, Snapshot};
use tradingsys::journal::Record;
use tradingsys::time::{Span, Time};

use super::journal::{self, Position, broken, kind_of};
use super::snapshot::{self, Head, Writing};
use super::walk::{COLUMNS, Walk};
use super::{StoreError, chain, is_busy};
use crate::clock::Clock;

/// How often the end of the journal is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often, where it could not be read again and again.
const LOOK_LEAST: Duration = Duration::from_secs(64);

/// Rows read, or records written, between two pauses.
const PIECE: usize = 500;

/// A pause is so many times as long as the work before it.
const PAUSE_TIMES: u32 = 4;

/// A snapshot is made anew when so many parts of its records have come since, if that is more than was asked for: what
/// it costs grows with the journal, what it saves does not.
const PART: u64 = 8;

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A snapshot is made after so many rows; 0: never.
    pub every: u64,
    /// How long acknowledged events are kept.
    pub keep: Span,
    /// The row the snapshot in use is of, and how many records it has; none is of row 0.
    pub taken: (u64, u64),
}

/// The near end of the thread. It ends when this is dropped, whatever it is at.
#[derive(Debug)]
pub struct Reader {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts the thread over the folder's journal, which must be the one of that id. The clock is the gateway's:
    /// what is old is judged by one time line.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(folder: &Path, journal: &str, plan: Plan, clock: Clock) -> io::Result<Self> {
        if let Err(error) = snapshot::remove_unfinished(folder) {
            tracing::warn!(target: "store", reason = %error, "snapshot_not_removed");
        }
        let (alive, ending) = channel();
        let (row, records) = plan.taken;
        let work = Work {
            folder: folder.to_owned(),
            path: folder.join(journal::FILE),
            journal: journal.to_owned(),
            plan,
            clock,
            checked: row == 0,
            next: row.saturating_add(plan.every.max(records / PART)),
            due: None,
            pause: LOOK_EVERY,
            ending,
        };
        let thread = std::thread::Builder::new().name("reader".into()).spawn(move || work.run())?;
        Ok(Self { alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why a reading came to nothing.
enum Failed {
    /// The gateway ends.
    Ending,
    /// The journal is not what was written.
    Damaged(StoreError),
    /// Something that may pass.
    For(String),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::Damaged(error),
            other => Self::For(other.to_string()),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::For(error.to_string())
    }
}

struct Work {
    folder: PathBuf,
    path: PathBuf,
    journal: String,
    plan: Plan,
    clock: Clock,
    /// Every row was read in this run.
    checked: bool,
    /// The row at which a snapshot is due.
    next: u64,
    /// Where the journal ended when the snapshot that is being made was found due.
    due: Option<u64>,
    /// How long until the next look.
    pause: Duration,
    ending: Receiver<()>,
}

impl Work {
    fn run(mut self) {
        while self.waited(self.pause) {
            match self.look() {
                Ok(()) => self.pause = LOOK_EVERY,
                Err(Failed::Ending) => return,
                Err(Failed::Damaged(error)) => return self.give_up(&error),
                Err(Failed::For(reason)) => self.put_off(&reason),
            }
        }
    }

    /// A snapshot that could not be made is tried again after as many rows as one that was; what could not be read is
    /// read again, ever less often.
    fn put_off(&mut self, reason: &str) {
        if let Some(last) = self.due.take() {
            self.next = last.saturating_add(self.plan.every.max(1));
            tracing::warn!(target: "store", reason, again_at = self.next, "snapshot_not_made");
        } else if self.pause == LOOK_EVERY {
            tracing::warn!(target: "store", reason, "journal_not_read_over");
        }
        self.pause = (self.pause * 2).min(LOOK_LEAST);
    }

    /// `false`: the gateway ends.
    fn waited(&self, span: Duration) -> bool {
        self.ending.recv_timeout(span) == Err(RecvTimeoutError::Timeout)
    }

    fn look(&mut self) -> Result<(), Failed> {
        self.due = None;
        let connection = self.connect()?;
        let last: Option<i64> = self.query(&connection, "SELECT max(seq) FROM record")?;
        let last = last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0);
        self.due = Some(last).filter(|last| self.plan.every > 0 && *last >= self.next);
        if last == 0 || (self.checked && self.due.is_none()) {
            return Ok(());
        }
        let made = self.clock.now();
        let mut snapshot = self.due.map(|_| Snapshot::new(made, self.plan.keep));
        let walk = self.read(&connection, last, |seq, record| {
            if let Some(snapshot) = &mut snapshot {
                snapshot.take(&record, seq);
            }
        })?;
        // Only this says that what is without text may be.
        let (at, _) = walk.end()?;
        if !std::mem::replace(&mut self.checked, true) {
            tracing::info!(target: "store", records = last, "journal_checked");
        }
        match snapshot {
            Some(snapshot) => self.write(&connection, at, made, &snapshot.finish()),
            None => Ok(()),
        }
    }

    /// The journal as it is; it may be moved away while it is in use.
    fn connect(&self) -> Result<Connection, Failed> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags);
        let connection = connection.map_err(|error| Failed::For(error.to_string()))?;
        let id: Option<String> = self.query(&connection, "SELECT value FROM meta WHERE key = 'id'")?;
        match id {
            Some(id) if id == self.journal => Ok(connection),
            _ => Err(StoreError::Gone { file: self.path.clone() }.into()),
        }
    }

    fn query<T: rusqlite::types::FromSql>(
        &self,
        connection: &Connection,
        sql: &str,
    ) -> Result<Option<T>, Failed> {
        let found = connection.query_row(sql, [], |row| row.get(0)).optional();
        found.map(Option::flatten).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: rusqlite::Error) -> Failed {
        if is_busy(&error) { Failed::For(error.to_string()) } else { broken(&self.path, error).into() }
    }

    /// Goes over all rows up to that one.
    fn read(
        &self,
        connection: &Connection,
        last: u64,
        mut take: impl FnMut(u64, Record),
    ) -> Result<Walk, Failed> {
        let sql = format!("SELECT {COLUMNS} FROM record WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
        let mut select = connection.prepare(&sql).map_err(|error| self.wrong(error))?;
        let mut walk = Walk::new(&self.path, &self.journal);
        while walk.seq() < last {
            let began = Instant::now();
            let from = walk.seq();
            // Each piece is a transaction of its own: a long one would keep the log from beginning anew.
            // A number below the first is as wrong as one that is missing.
            let above = if from == 0 { i64::MIN } else { from as i64 };
            let mut rows =
                (select.query((above, last as i64, PIECE as i64))).map_err(|error| self.wrong(error))?;
            while let Some(row) = rows.next().map_err(|error| self.wrong(error))? {
                if let Some(record) = walk.take(row)? {
                    take(walk.seq(), record);
                }
            }
            drop(rows);
            if walk.seq() == from {
                let reason = "it is missing".to_owned();
                return Err(StoreError::Damaged { file: self.path.clone(), record: from + 1, reason }.into());
            }
            self.breathe(began)?;
        }
        Ok(walk)
    }

    fn breathe(&self, began: Instant) -> Result<(), Failed> {
        if self.waited(began.elapsed() * PAUSE_TIMES) { Ok(()) } else { Err(Failed::Ending) }
    }

    fn write(
        &mut self,
        connection: &Connection,
        at: Position,
        made: Time,
        kept: &[Kept<u64>],
    ) -> Result<(), Failed> {
        let row = at.seq;
        let head = Head::new(&self.journal, at, made, self.plan.keep, kept.len());
        let mut writing = Writing::begin(&self.folder, &head)?;
        self.write_records(connection, &mut writing, kept)?;
        let bytes = writing.finish()?;
        self.next = row + self.plan.every.max(kept.len() as u64 / PART);
        tracing::info!(target: "store", record = row, records = kept.len(), bytes, "snapshot_made");
        Ok(())
    }

    fn write_records(
        &self,
        connection: &Connection,
        writing: &mut Writing,
        kept: &[Kept<u64>],
    ) -> Result<(), Failed> {
        let sql =
            "SELECT kind, body, sum, (SELECT sum FROM record WHERE seq = ?1 - 1) FROM record WHERE seq = ?1";
        let mut select = connection.prepare(sql).map_err(|error| self.wrong(error))?;
        for piece in kept.chunks(PIECE) {
            let began = Instant::now();
            for record in piece {
                let text = match record {
                    Kept::Taken(seq) => self.sound(&mut select, *seq)?,
                    Kept::Alive(time) => {
                        serde_json::to_string(&Record::End { time: *time }).map_err(io::Error::from)?
                    }
                };
                writing.record(&text)?;
            }
            self.breathe(began)?;
        }
        Ok(())
    }

    /// The text of a row that was read before. It is read again, so it is held against the chain again; one that is
    /// kept has a text.
    fn sound(&self, select: &mut Statement<'_>, seq: u64) -> Result<String, Failed> {
        let damaged = |reason: String| StoreError::Damaged { file: self.path.clone(), record: seq, reason };
        let mut rows = select.query([seq as i64]).map_err(|error| self.wrong(error))?;
        let row = rows.next().map_err(|error| self.wrong(error))?;
        let row = row.ok_or_else(|| damaged("it is missing".into()))?;
        let read = || -> rusqlite::Result<(String, String, String, Option<String>)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (kind, body, sum, before) = read().map_err(|error| damaged(error.to_string()))?;
        let before = before.unwrap_or_else(|| chain::genesis(&self.journal));
        if chain::next(&before, seq, &body) != sum {
            return Err(damaged("its checksum does not match its text".into()).into());
        }
        if kind_of(&body) != kind {
            return Err(damaged("its kind does not match its text".into()).into());
        }
        Ok(body)
    }

    /// What the gateway has in memory is sound: a snapshot was made of rows that were. The next start shall find what
    /// is wrong, and refuse. The snapshot is put aside: it may have the only sound copy of what is damaged.
    fn give_up(&self, error: &StoreError) {
        let advice = "the books in use are sound, but the next start will refuse: have a backup ready";
        let kept = snapshot::keep_damaged(&self.folder).unwrap_or_else(|error| {
            tracing::warn!(target: "store", reason = %error, "snapshot_not_removed");
            None
        });
        let kept = kept.map_or_else(|| "none".to_owned(), |kept| kept.display().to_string());
        tracing::error!(target: "store", reason = %error, snapshot = kept, advice, "journal_damaged");
    }
}

#[cfg(test)]
mod tests;
