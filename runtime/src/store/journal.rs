//! `journal.db`: rows that are only ever appended, chained by checksums. One connection, one thread.
//! Where a snapshot fits, a start reads it in place of the rows it is of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use tradingsys::gateway::io::Batch;
use tradingsys::journal::Record;
use tradingsys::time::{Span, Time};

use super::snapshot::{self, Snapshot};
use super::walk::Walk;
use super::{StoreError, chain, is_corrupt, migrate};
use crate::failpoint::failpoint;
use crate::files;

/// An open journal, ready to append.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    id: String,
    last: Position,
    full_sync: bool,
}

/// A place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) seq: u64,
    pub(super) sum: String,
}

/// What was found at the opening.
#[derive(Debug)]
pub struct Found {
    /// All records, oldest first, but for those that have lost their text and those a snapshot leaves out.
    pub records: Vec<Record>,
    /// How many of them have lost their text ([`super::compact`]).
    pub emptied: u64,
    /// The row up to which a snapshot stood for the records, and how many were left of them; 0 if none was used.
    pub taken: (u64, u64),
    /// There is a snapshot that was not used; why.
    pub passed_over: Option<String>,
    /// The journal was made just now.
    pub new: bool,
    /// An older schema was migrated; the backup made before.
    pub migrated: Option<PathBuf>,
    /// It was only looked at, and has an older schema: the next opening migrates it.
    pub older: bool,
}

/// How long a snapshot must have kept acknowledged events, and the present time.
type Wanted = (Span, Time);

/// How long another's lock is waited for.
const BUSY: Duration = Duration::from_millis(100);

/// Name of the file within a gateway's folder.
pub const FILE: &str = "journal.db";

impl Journal {
    /// Opens the folder's journal, making it if missing, and reads and checks all of it.
    ///
    /// # Errors
    /// [`StoreError`]: foreign, newer, damaged or unreadable.
    pub fn open(folder: &Path) -> Result<(Self, Found), StoreError> {
        Self::open_by(folder, None)
    }

    /// The same from the journal's snapshot on, if there is one that fits; with it, what counts of the rows before is
    /// read and only those behind it are checked. Acknowledged events are kept for so long. One made after `now` is not
    /// used.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn open_from_snapshot(folder: &Path, keep: Span, now: Time) -> Result<(Self, Found), StoreError> {
        Self::open_by(folder, Some((keep, now)))
    }

    fn open_by(folder: &Path, wanted: Option<Wanted>) -> Result<(Self, Found), StoreError> {
        let path = folder.join(FILE);
        let (connection, new, migrated) = connect(&path)?;
        let id = read_id(&connection).map_err(|error| broken(&path, error))?;
        let (last, found) = load(&connection, &path, &id, wanted)?.found(new, migrated, false);
        Ok((Self { connection, path, id, last, full_sync: true }, found))
    }

    /// Reads and checks all of the folder's journal as it is. Nothing is written: not a byte of it, nor a file beside
    /// it, unless SQLite must make its index of a log that a killed gateway left.
    ///
    /// # Errors
    /// As for [`Journal::open`]; there must be a file.
    pub fn look(folder: &Path) -> Result<(Self, Found), StoreError> {
        Self::look_by(folder, None)
    }

    /// The same as [`Journal::open_from_snapshot`] would.
    ///
    /// # Errors
    /// As for [`Journal::look`].
    pub fn look_from_snapshot(folder: &Path, keep: Span, now: Time) -> Result<(Self, Found), StoreError> {
        Self::look_by(folder, Some((keep, now)))
    }

    fn look_by(folder: &Path, wanted: Option<Wanted>) -> Result<(Self, Found), StoreError> {
        let path = folder.join(FILE);
        let wrong = |error| broken(&path, error);
        let connection = connect_to_look(&path).map_err(wrong)?;
        connection.busy_timeout(BUSY).map_err(wrong)?;
        let (new, schema) = identify(&connection, &path)?;
        // One that was never filled has no name yet.
        let id = if new { String::new() } else { read_id(&connection).map_err(wrong)? };
        let loaded = match new {
            true => Loaded::nothing(&id),
            false => load(&connection, &path, &id, wanted)?,
        };
        let (last, found) = loaded.found(new, None, !new && schema < migrate::SCHEMA);
        Ok((Self { connection, path, id, last, full_sync: true }, found))
    }

    /// The journal's own random name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of the last record; 0 if there is none.
    pub fn last_seq(&self) -> u64 {
        self.last.seq
    }

    /// Appends the batches in one transaction. With `sync` it is on the disk afterwards.
    ///
    /// # Errors
    /// What SQLite said; nothing has been appended then, or all of it: [`Journal::reopen`] tells.
    pub fn append(&mut self, batches: &[Batch], sync: bool) -> rusqlite::Result<()> {
        // A commit in WAL mode reaches the disk only if asked to; the setting cannot change within a
        // transaction.
        if sync != self.full_sync {
            self.connection.pragma_update(None, "synchronous", if sync { "FULL" } else { "NORMAL" })?;
            self.full_sync = sync;
        }
        failpoint!(may_fail "before_append");
        let (rows, at) = after(&self.last, batches)?;
        let written = self.write(&rows);
        if written.is_err() && !self.connection.is_autocommit() {
            // What this says adds nothing: the connection is not used again.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        written?;
        failpoint!(may_fail "after_append");
        self.last = at;
        Ok(())
    }

    /// The rows in a transaction of their own. Its statements are kept from one to the next: to parse them costs as
    /// much as a row.
    fn write(&self, rows: &[Row]) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = self.connection.prepare_cached("INSERT INTO record VALUES(?1, ?2, ?3, ?4)")?;
        for (seq, body, sum) in rows {
            insert.execute((*seq as i64, kind_of(body), body, sum))?;
        }
        failpoint!(may_fail "mid_append");
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Connects anew after an error, and says whether these batches, whose transaction failed, are in the file
    /// after all (then they are on the disk too). A connection that met an error is not trusted again.
    ///
    /// # Errors
    /// The file still cannot be used, or is gone, or another journal stands in its place; nothing is changed
    /// then.
    pub fn reopen(&mut self, batches: &[Batch]) -> Result<bool, StoreError> {
        let wrong = StoreError::sqlite(&self.path);
        if !self.path.exists() {
            return Err(StoreError::Gone { file: self.path.clone() });
        }
        let (connection, _, _) = connect(&self.path)?;
        if read_id(&connection).map_err(&wrong)? != self.id {
            return Err(StoreError::Gone { file: self.path.clone() });
        }
        let last = connection
            .query_row("SELECT seq, sum FROM record ORDER BY seq DESC LIMIT 1", [], |row| {
                Ok(Position { seq: row.get::<_, i64>(0)? as u64, sum: row.get(1)? })
            })
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => {
                    Ok(Position { seq: 0, sum: chain::genesis(&self.id) })
                }
                other => Err(wrong(other)),
            })?;
        let written = last == after(&self.last, batches).map_err(&wrong)?.1;
        if !written && last != self.last {
            return Err(StoreError::Gone { file: self.path.clone() });
        }
        if written {
            // A write of its own, synced, takes the rows before it along.
            connection
                .execute(
                    "INSERT INTO meta VALUES('synced', ?1) ON CONFLICT DO UPDATE SET value = ?1",
                    [last.seq.to_string()],
                )
                .map_err(&wrong)?;
        }
        drop(wrong);
        (self.connection, self.last, self.full_sync) = (connection, last, true);
        Ok(written)
    }
}

/// A record as it is written: number, text, sum.
type Row = (u64, String, String);

/// The rows of these batches behind that position, and where the chain ends with them.
fn after(last: &Position, batches: &[Batch]) -> rusqlite::Result<(Vec<Row>, Position)> {
    let mut at = last.clone();
    let mut rows = Vec::new();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        let body = serde_json::to_string(record)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        at.seq += 1;
        at.sum = chain::next(&at.sum, at.seq, &body);
        rows.push((at.seq, body, at.sum.clone()));
    }
    Ok((rows, at))
}

/// The word of the record's kind. Serde writes the tag of an enum first.
pub(super) fn kind_of(body: &str) -> &str {
    body.strip_prefix("{\"kind\":\"").and_then(|rest| rest.split('"').next()).unwrap_or("")
}

pub(super) fn broken(path: &Path, error: rusqlite::Error) -> StoreError {
    if is_corrupt(&error) {
        StoreError::Damaged { file: path.to_owned(), record: 0, reason: error.to_string() }
    } else {
        StoreError::sqlite(path)(error)
    }
}

fn connect(path: &Path) -> Result<(Connection, bool, Option<PathBuf>), StoreError> {
    let wrong = |error| broken(path, error);
    // Made by hand, so that it, and the files SQLite makes beside it, are private from the first moment.
    let absent = !path.exists();
    if absent {
        files::create_private(path).map_err(StoreError::file(path))?;
    }
    let mut connection = Connection::open(path).map_err(wrong)?;
    connection.busy_timeout(BUSY).map_err(wrong)?;
    let (new, schema) = identify(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(wrong)?;
    // The other connection moves the log into the file; a commit never waits for that.
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(wrong)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(wrong)?;
    let migrated =
        if !new && schema < migrate::SCHEMA { Some(back_up(&connection, path, schema)?) } else { None };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
    if new {
        let id =
            files::new_token().map_err(|exit| StoreError::file(path)(std::io::Error::other(exit.message)))?;
        migrate::create(&transaction, &id[..32]).map_err(wrong)?;
        failpoint!("mid_creation");
    } else if migrated.is_some() {
        migrate::step_up(&transaction, schema).map_err(wrong)?;
        failpoint!("mid_migration");
    }
    migrate::create_views(&transaction).map_err(wrong)?;
    transaction.commit().map_err(wrong)?;
    Ok((connection, new, migrated))
}

/// Is it an empty file, and which schema has it? One that is not ours, or newer, is an error.
fn identify(connection: &Connection, path: &Path) -> Result<(bool, i64), StoreError> {
    let wrong = |error| broken(path, error);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, schema) =
        (pragma("application_id").map_err(wrong)?, pragma("user_version").map_err(wrong)?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(wrong)?;
    // An empty file is what a crash between making it and the first transaction leaves.
    let new = application == 0 && schema == 0 && tables == 0;
    if !new && application != migrate::APPLICATION_ID {
        return Err(StoreError::Foreign { file: path.to_owned(), what: "journal" });
    }
    if schema > migrate::SCHEMA {
        return Err(StoreError::Newer { file: path.to_owned(), found: schema, known: migrate::SCHEMA });
    }
    Ok((new, schema))
}

/// A connection that cannot write. Where there is no write-ahead log the file is called immutable, or SQLite would
/// make an empty log beside it: who looks holds the folder's lock, so no gateway writes meanwhile.
fn connect_to_look(path: &Path) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(PathBuf::from(log)).is_ok_and(|log| log.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match path.to_str() {
        Some(name) if !has_log => {
            let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{name}?immutable=1");
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
        }
        _ => Connection::open_with_flags(path, flags),
    }
}

/// A copy of an older journal beside it, before it is migrated.
fn back_up(connection: &Connection, path: &Path, schema: i64) -> Result<PathBuf, StoreError> {
    // A start that was killed after its copy may be a moment ago.
    let target = super::free_name(path, &format!("bak-schema{schema}"));
    connection.execute("VACUUM INTO ?1", [target.to_string_lossy()]).map_err(StoreError::sqlite(&target))?;
    files::restrict_file(&target).map_err(StoreError::file(&target))?;
    Ok(target)
}

fn read_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT value FROM meta WHERE key = 'id'", [], |row| row.get(0))
}

/// All rows, but for those a snapshot stands for, held against the chain.
fn load(
    connection: &Connection,
    path: &Path,
    id: &str,
    wanted: Option<Wanted>,
) -> Result<Loaded, StoreError> {
    let (snapshot, passed_over) = match wanted.map(|wanted| fitting(connection, path, id, wanted)) {
        None => (None, None),
        Some(Ok(snapshot)) => (snapshot, None),
        Some(Err(reason)) => (None, Some(reason)),
    };
    let taken = snapshot.as_ref().map_or((0, 0), |snapshot| (snapshot.at.seq, snapshot.records.len() as u64));
    let (mut walk, mut records) = match snapshot {
        Some(Snapshot { at, records, whole }) => (Walk::behind(path, at, whole), records),
        None => (Walk::new(path, id), Vec::new()),
    };
    records.append(&mut walk.take_rest(connection)?);
    let (last, emptied) = walk.end()?;
    Ok(Loaded { records, emptied, last, taken, passed_over })
}

struct Loaded {
    records: Vec<Record>,
    emptied: u64,
    last: Position,
    taken: (u64, u64),
    passed_over: Option<String>,
}

impl Loaded {
    fn nothing(id: &str) -> Self {
        let last = Position { seq: 0, sum: chain::genesis(id) };
        Self { records: Vec::new(), emptied: 0, last, taken: (0, 0), passed_over: None }
    }

    fn found(self, new: bool, migrated: Option<PathBuf>, older: bool) -> (Position, Found) {
        let Self { records, emptied, last, taken, passed_over } = self;
        (last, Found { records, emptied, taken, passed_over, new, migrated, older })
    }
}

/// The snapshot beside the journal, if it is of one of its rows; else why not.
fn fitting(
    connection: &Connection,
    path: &Path,
    id: &str,
    (keep, now): Wanted,
) -> Result<Option<Snapshot>, String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let Some(snapshot) = snapshot::read(folder, id, keep, now)? else { return Ok(None) };
    let seq = snapshot.at.seq;
    let sum = connection
        .query_row("SELECT sum FROM record WHERE seq = ?1", [seq as i64], |row| row.get::<_, String>(0))
        .optional();
    match sum {
        Ok(Some(sum)) if sum == snapshot.at.sum => Ok(Some(snapshot)),
        Ok(Some(_)) => Err(format!("record {seq} of the journal is not the one it is of")),
        Ok(None) => Err(format!("it is of record {seq}, which the journal does not have")),
        Err(error) => Err(format!("record {seq} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
