//! The file itself: made, opened, put aside when damaged or another journal's, backed up before edits are
//! taken.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tradingsys::gateway::io::{BadEdit, LostPosition};
use tradingsys::ids::{SessionId, Symbol};

use super::{Findings, edits, meta};
use crate::failpoint::failpoint;
use crate::files;
use crate::store::{StoreError, file_stamp, is_corrupt, put_aside};

const APPLICATION_ID: i64 = 0x7473_706f;
const SCHEMA: i64 = 1;

/// Backups kept; the oldest beyond it are removed.
const BACKUPS_MAX: usize = 20;

/// Beyond all numbers of records, and no other file's.
fn new_number() -> rusqlite::Result<u64> {
    let random = getrandom::u64().map_err(|error| unusable(std::io::Error::other(error.to_string())))?;
    Ok((1 << 48) | (random >> 16))
}

fn create_sql(market: &str, inserts: u64) -> String {
    format!(
        "
CREATE TABLE position(
  session_id INTEGER NOT NULL, market TEXT NOT NULL DEFAULT '{market}', symbol TEXT NOT NULL COLLATE NOCASE,
  side TEXT NOT NULL DEFAULT 'BOTH', qty TEXT NOT NULL, avg_price TEXT NOT NULL DEFAULT '0',
  updated_at TEXT NOT NULL DEFAULT '', PRIMARY KEY(session_id, market, symbol, side)) STRICT;
CREATE TABLE _shadow(
  session_id INTEGER NOT NULL, market TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, qty TEXT NOT NULL,
  avg_price TEXT NOT NULL, rev INTEGER NOT NULL, PRIMARY KEY(session_id, market, symbol, side)) STRICT, WITHOUT ROWID;
CREATE TABLE _asset(
  owner TEXT NOT NULL, market TEXT NOT NULL, asset TEXT NOT NULL, amount TEXT NOT NULL,
  PRIMARY KEY(owner, market, asset)) STRICT, WITHOUT ROWID;
CREATE TABLE _profit(
  session_id INTEGER NOT NULL, market TEXT NOT NULL, symbol TEXT NOT NULL, realised TEXT NOT NULL, quote TEXT NOT NULL,
  PRIMARY KEY(session_id, market, symbol)) STRICT, WITHOUT ROWID;
CREATE TABLE _fee(
  session_id INTEGER NOT NULL, market TEXT NOT NULL, asset TEXT NOT NULL, amount TEXT NOT NULL,
  PRIMARY KEY(session_id, market, asset)) STRICT, WITHOUT ROWID;
CREATE TABLE _meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO _meta VALUES('schema', '{SCHEMA}'), ('market', '{market}'), ('inserts', '{inserts}');
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA};
"
    )
}

/// The folder's file, ready to be read.
pub(super) fn open(
    path: &Path,
    market: &'static str,
    journal: &str,
    findings: &mut Findings,
) -> Result<Connection, StoreError> {
    let wrong = StoreError::sqlite(path);
    if path.exists() {
        match connect(path).and_then(|file| inspect(file, journal)) {
            Ok(Inspection::Ours(connection)) => return Ok(connection),
            Ok(Inspection::Empty) => {}
            Ok(Inspection::Foreign) => return Err(foreign(path)),
            Ok(Inspection::Newer(found)) => return Err(newer(path, found)),
            Ok(Inspection::OtherJournal(rows)) => {
                let aside = put_aside(path, "other")?;
                findings.other_journal = true;
                findings.notes.push(("pos_db_of_another_journal", format!("kept_as={:?}", aside)));
                for row in rows {
                    findings.notes.push(("pos_db_row_not_taken", row.words()));
                    findings.lost.extend(row.position(market));
                }
            }
            Err(error) if is_corrupt(&error) => {
                let aside = put_aside(path, "corrupt")?;
                findings
                    .notes
                    .push(("pos_db_corrupt", format!("reason={:?} kept_as={aside:?}", error.to_string())));
            }
            Err(error) => return Err(wrong(error)),
        }
    }
    create(path, market).map_err(wrong)
}

/// The folder's file as it is; an empty one in memory in place of one that would be put aside.
pub(super) fn look(
    path: &Path,
    market: &str,
    journal: &str,
    findings: &mut Findings,
) -> Result<Connection, StoreError> {
    let wrong = StoreError::sqlite(path);
    let aside = match connect_to_look(path).and_then(|file| inspect(file, journal)) {
        Ok(Inspection::Ours(connection)) => return Ok(connection),
        Ok(Inspection::Empty) => None,
        Ok(Inspection::Foreign) => return Err(foreign(path)),
        Ok(Inspection::Newer(found)) => return Err(newer(path, found)),
        Ok(Inspection::OtherJournal(_)) => Some("belongs to another journal".to_owned()),
        Err(error) if is_corrupt(&error) => Some(format!("is damaged ({error})")),
        Err(error) => return Err(wrong(error)),
    };
    findings.bad.extend(aside.map(|what| BadEdit {
        symbol: None,
        reason: format!(
            "{} {what}; the next start keeps it under another name and makes a new one from journal.db, edits in it \
             are not taken",
            path.display()
        ),
    }));
    let memory = Connection::open_in_memory().map_err(&wrong)?;
    memory.execute_batch(&create_sql(market, 0)).map_err(&wrong)?;
    Ok(memory)
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Foreign { file: path.to_owned(), what: "position file" }
}

fn newer(path: &Path, found: i64) -> StoreError {
    StoreError::Newer { file: path.to_owned(), found, known: SCHEMA }
}

enum Inspection {
    Ours(Connection),
    Empty,
    Foreign,
    Newer(i64),
    OtherJournal(Vec<OtherRow>),
}

fn inspect(connection: Connection, journal: &str) -> rusqlite::Result<Inspection> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("SELECT application_id FROM pragma_application_id")?;
    let schema = number("SELECT user_version FROM pragma_user_version")?;
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Inspection::Empty);
    }
    if application != APPLICATION_ID {
        return Ok(Inspection::Foreign);
    }
    if schema > SCHEMA {
        return Ok(Inspection::Newer(schema));
    }
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(sound),
        ));
    }
    match meta(&connection, "journal")? {
        Some(id) if id != journal => Ok(Inspection::OtherJournal(other_rows(&connection)?)),
        _ => Ok(Inspection::Ours(connection)),
    }
}

/// A row of `position` as its texts stand.
struct OtherRow {
    session: i64,
    market: String,
    symbol: String,
    qty: String,
    avg_price: String,
}

impl OtherRow {
    fn words(&self) -> String {
        let Self { session, symbol, qty, avg_price, .. } = self;
        format!("session={session} symbol={symbol:?} qty={qty:?} avg_price={avg_price:?}")
    }

    /// What it says, if it can be understood and is of our market.
    fn position(&self, market: &str) -> Option<LostPosition> {
        (self.market == market).then_some(())?;
        Some(LostPosition {
            session: SessionId(u16::try_from(self.session).ok()?),
            symbol: Symbol::new(&self.symbol),
            qty: self.qty.parse().ok()?,
            avg_price: self.avg_price.parse().ok()?,
        })
    }
}

fn other_rows(connection: &Connection) -> rusqlite::Result<Vec<OtherRow>> {
    let mut select = connection.prepare("SELECT session_id, market, symbol, qty, avg_price FROM position")?;
    let rows = select.query_map([], |row| {
        Ok(OtherRow {
            session: row.get(0)?,
            market: row.get(1)?,
            symbol: row.get(2)?,
            qty: row.get(3)?,
            avg_price: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// An empty file with all tables, readable by its owner only.
pub(super) fn create(path: &Path, market: &str) -> rusqlite::Result<Connection> {
    if !path.exists() {
        files::create_private(path).map_err(unusable)?;
    }
    let connection = connect(path)?;
    let sql = create_sql(market, new_number()?);
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql} COMMIT;"))?;
    Ok(connection)
}

/// A file with all tables and what `fill` puts into them, in place at once or not at all.
pub(super) fn create_filled(
    path: &Path,
    market: &str,
    fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // What an earlier try left.
    let _ = std::fs::remove_file(&new);
    let mut connection = create(&new, market)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    fill(&transaction)?;
    transaction.commit()?;
    drop(connection);
    failpoint!("mid_rebuild");
    // A hot journal of the file that was here would be played into this one.
    let mut hot = path.as_os_str().to_owned();
    hot.push("-journal");
    let _ = std::fs::remove_file(PathBuf::from(hot));
    std::fs::rename(&new, path).map_err(unusable)
}

fn unusable(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
        Some(error.to_string()),
    )
}

/// Rollback mode and full sync: one file to copy, and any old tool may write beside us.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Waiting is the projector's affair.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// A connection that cannot write. Only where a gateway was killed amid a write SQLite must first take that write
/// back, as at every opening.
fn connect_to_look(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(std::time::Duration::ZERO)?;
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let half_written = |error: &rusqlite::Error| {
        let code = error.sqlite_error().map(|error| error.extended_code);
        code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
    };
    if read.as_ref().is_err_and(half_written) {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        return Ok(connection);
    }
    Ok(connection)
}

/// A copy beside the file, made before edits are taken from it.
///
/// `None`: the newest backup has the same rows, as after a start that could not take the edit.
pub(super) fn back_up(connection: &Connection, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    if backups(path).last().is_some_and(|newest| has_same_rows(connection, newest)) {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".bak-{}", file_stamp()));
    let target = PathBuf::from(name);
    let _ = std::fs::remove_file(&target);
    connection.execute("VACUUM INTO ?1", [target.to_string_lossy()]).map_err(StoreError::sqlite(&target))?;
    files::restrict_file(&target).map_err(StoreError::file(&target))?;
    drop_old_backups(path);
    Ok(Some(target))
}

fn has_same_rows(connection: &Connection, backup: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let kept = Connection::open_with_flags(backup, flags).and_then(|backup| edits::read_rows(&backup));
    let present = edits::read_rows(connection);
    matches!((kept, present), (Ok(kept), Ok(present)) if kept == present)
}

/// The copies kept beside the file, oldest first.
fn backups(path: &Path) -> Vec<PathBuf> {
    let Some((folder, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let prefix = format!("{name}.bak-");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut backups: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
        })
        .collect();
    backups.sort();
    backups
}

fn drop_old_backups(path: &Path) {
    let backups = backups(path);
    let surplus = backups.len().saturating_sub(BACKUPS_MAX);
    for old in &backups[..surplus] {
        let _ = std::fs::remove_file(old);
    }
}
