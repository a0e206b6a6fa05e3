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

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tradingsys::gateway::snapshot::{Kept, Snapshot};
use tradingsys::journal::Record;
use tradingsys::time::Span;

use super::journal::{self, broken};
use super::snapshot::{self, Head, Writing};
use super::walk::{COLUMNS, Walk};
use super::{StoreError, is_busy};
use crate::clock::Clock;

/// How often the end of the journal is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    /// Starts the thread over the folder's journal, which must be the one of that id.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(folder: &Path, journal: &str, plan: Plan) -> io::Result<Self> {
        let (alive, ending) = channel();
        let (row, records) = plan.taken;
        let work = Work {
            folder: folder.to_owned(),
            path: folder.join(journal::FILE),
            journal: journal.to_owned(),
            plan,
            checked: row == 0,
            next: row.saturating_add(plan.every.max(records / PART)),
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
    /// Every row was read in this run.
    checked: bool,
    /// The row at which a snapshot is due.
    next: u64,
    ending: Receiver<()>,
}

impl Work {
    fn run(mut self) {
        while self.waited(LOOK_EVERY) {
            match self.look() {
                Ok(()) => {}
                Err(Failed::Ending) => return,
                Err(Failed::Damaged(error)) => return self.give_up(&error),
                Err(Failed::For(reason)) => {
                    tracing::warn!(target: "store", reason, "snapshot_not_made");
                    self.next += self.plan.every.max(1);
                }
            }
        }
    }

    /// `false`: the gateway ends.
    fn waited(&self, span: Duration) -> bool {
        self.ending.recv_timeout(span) == Err(RecvTimeoutError::Timeout)
    }

    fn look(&mut self) -> Result<(), Failed> {
        let connection = self.connect()?;
        let last: Option<i64> = self.query(&connection, "SELECT max(seq) FROM record")?;
        let last = last.map_or(0, i64::unsigned_abs);
        let due = self.plan.every > 0 && last >= self.next;
        if last == 0 || (self.checked && !due) {
            return Ok(());
        }
        let mut snapshot = due.then(|| Snapshot::new(Clock::new().now(), self.plan.keep));
        let walk = self.read(&connection, last, |seq, record| {
            if let Some(snapshot) = &mut snapshot {
                snapshot.take(&record, seq);
            }
        })?;
        if !std::mem::replace(&mut self.checked, true) {
            tracing::info!(target: "store", records = last, "journal_checked");
        }
        match snapshot {
            Some(snapshot) => self.write(&connection, walk, &snapshot.finish()),
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
            let mut rows = (select.query((from as i64, last as i64, PIECE as i64)))
                .map_err(|error| self.wrong(error))?;
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

    fn write(&mut self, connection: &Connection, walk: Walk, kept: &[Kept<u64>]) -> Result<(), Failed> {
        let (at, _) = walk.end()?;
        let row = at.seq;
        let head = Head::new(&self.journal, at, self.plan.keep, kept.len());
        let mut writing = Writing::begin(&self.folder, &head)?;
        if let Err(failed) = self.write_records(connection, &mut writing, kept) {
            writing.abandon();
            return Err(failed);
        }
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
        let wrong = |error| self.wrong(error);
        let mut select = connection.prepare("SELECT body FROM record WHERE seq = ?1").map_err(wrong)?;
        for piece in kept.chunks(PIECE) {
            let began = Instant::now();
            for record in piece {
                let text = match record {
                    Kept::Taken(seq) => {
                        select.query_row([*seq as i64], |row| row.get::<_, String>(0)).map_err(wrong)?
                    }
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

    /// What the gateway has in memory is sound: a snapshot was made of rows that were. The next start shall find what
    /// is wrong, and refuse.
    fn give_up(&self, error: &StoreError) {
        let advice = "the books in use are sound, but the next start will refuse: have a backup ready";
        tracing::error!(target: "store", reason = %error, advice, "journal_damaged");
        if let Err(error) = snapshot::remove(&self.folder) {
            tracing::warn!(target: "store", reason = %error, "snapshot_not_removed");
        }
    }
}

#[cfg(test)]
mod tests;
