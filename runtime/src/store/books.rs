//! `pos.db`: the user's window on positions, and the place to edit them.
//!
//! Beside each row of `position` the gateway keeps, in `_shadow`, what it wrote there. A row is only written
//! by compare-and-swap against that: one the user has changed is left as it is until the next start, where
//! the difference becomes an [`Edit`]. All tables with an underscore are the gateway's; a checksum over them
//! tells when somebody else wrote there.

mod edits;
mod file;
#[cfg(test)]
mod interleaved;
mod mirror;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tradingsys::gateway::io::{BadEdit, Edit, LostPosition, PositionRow, Projection};
use tradingsys::ids::{SessionId, Symbol};
use tradingsys::journal::Record;
use tradingsys::num::{Price, Qty};
use tradingsys::time::Time;

use super::{StoreError, is_busy, is_corrupt, journal};
use crate::failpoint::failpoint;
use mirror::Mirror;

/// Name of the file within a gateway's folder.
pub const FILE: &str = "pos.db";

/// A row of `position` of our market; its side is always `BOTH` on spot.
pub type Key = (SessionId, Symbol);

/// What the gateway wrote into a row last, and what is expected to stand there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Texts of `_shadow`, if it has the row.
    pub(super) shadow: Option<Texts>,
    /// Texts expected in `position`: the shadow's, or what an accepted edit put there. `None`: no row.
    pub(super) expected: Option<Texts>,
    /// Revision of the shadow.
    pub(super) revision: u64,
}

/// Quantity and average price as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) qty: String,
    pub(super) avg_price: String,
}

/// What was last booked of an edit: quantity, and average price if it gave one; by row and revision.
pub type Booked = BTreeMap<(SessionId, Symbol, u64), (Qty, Option<Price>)>;

/// The edits a journal has booked.
pub fn booked(records: &[Record]) -> Booked {
    let mut booked = Booked::new();
    for record in records {
        if let Record::Adjust(adjust) = record {
            let revision = (adjust.session, adjust.symbol.clone(), adjust.revision);
            let last = booked.entry(revision).or_default();
            *last = (adjust.qty, adjust.avg_price.or(last.1));
        }
    }
    booked
}

/// Where the journal stands that the rows come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Journal's id.
    pub journal: String,
    /// Its last record when the rows were true.
    pub seq: u64,
    /// Generation of event numbers.
    pub generation: u64,
}

/// What the opening of `pos.db` found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Differences to what was shown, to be booked.
    pub edits: Vec<Edit>,
    /// Edits that were booked and never shown, and that the user has taken back: the row stands as it was shown, or
    /// is gone where it was inserted.
    pub taken_back: Vec<Edit>,
    /// Rows that cannot be understood.
    pub bad: Vec<BadEdit>,
    /// What the file says of its journal; `None` for a new file.
    pub applied: Option<Applied>,
    /// The file was another journal's, and was put aside.
    pub other_journal: bool,
    /// Its rows, as far as they can be read.
    pub lost: Vec<LostPosition>,
    /// Lines for the log: event and fields.
    pub notes: Vec<(&'static str, String)>,
}

/// What to do when `pos.db` belongs to a journal that is gone.
const JOURNAL_LOST: &str = "pos.db was written for a journal.db that is not here. Positions are read from the \
    exchange's records, and each row of pos.db is compared with what is found; edits are not there. If you have \
    a copy of journal.db, stop the gateway now and put it back (docs/ledger.md, \"A lost journal\")";

/// The same before a start.
pub const JOURNAL_TO_BE_LOST: &str = "pos.db was written for a journal.db that is not here. The next start begins a \
    new one: positions are read from the exchange's records, and each row of pos.db is compared with what is found; \
    edits are not there. If you have a copy of journal.db, put it back first (docs/ledger.md, \"A lost journal\")";

/// Was the folder's `pos.db` written for a journal, though there is none? Nothing is changed.
///
/// # Errors
/// [`StoreError::OtherMarket`]: it was written for another market's.
pub fn outlived_its_journal(folder: &Path, market: &'static str) -> Result<bool, StoreError> {
    if folder.join(journal::FILE).exists() {
        return Ok(false);
    }
    // What cannot be read is told when it is opened.
    let (file, flags) = (folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let read =
        |key| Connection::open_with_flags(&file, flags).and_then(|file| meta(&file, key)).ok().flatten();
    match read("market") {
        Some(found) if found != market => Err(StoreError::OtherMarket { file, found, wanted: market }),
        _ => Ok(read("journal").is_some()),
    }
}

impl Findings {
    /// Tells them in the log: a lost journal as the error it is.
    pub fn tell(&self) {
        if self.other_journal {
            tracing::error!(target: "store", advice = JOURNAL_LOST, "journal_lost");
        }
        for (event, fields) in &self.notes {
            tracing::warn!(target: "store", fields = fields.as_str(), "{event}");
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct Books {
    connection: Connection,
    path: PathBuf,
    market: &'static str,
    mirror: Mirror,
    applied: Applied,
    /// Rows the user has changed: not touched until the next start.
    edited: BTreeSet<Key>,
    /// The gateway's tables were written by somebody else, or the file was replaced: all of it is left as it is.
    frozen: bool,
    /// The connection is to a file that has been made anew since.
    outdated: bool,
}

/// Why the tables are not what the gateway left.
enum Unreadable {
    Touched,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What a projection came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Projected {
    /// Rows found changed by the user just now.
    pub edit_pending: Vec<Key>,
    /// The file was missing or damaged and has been made anew from what was shown; the damaged one's new
    /// name.
    pub rebuilt: Option<String>,
    /// Another file stands in its place now. That one is read at the next start and not touched before.
    pub replaced: bool,
}

impl Books {
    /// Opens the folder's `pos.db` for that journal and the edits it has booked, making it anew if it is missing,
    /// damaged or another journal's.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be used and not be replaced either; `SQLITE_BUSY` if somebody has it
    /// locked.
    pub fn open(
        folder: &Path,
        market: &'static str,
        journal: &str,
        booked: &Booked,
    ) -> Result<(Self, Findings), StoreError> {
        let path = folder.join(FILE);
        let mut findings = Findings::default();
        let connection = file::open(&path, market, journal, &mut findings)?;
        let books = Self::over(connection, path, market, journal, booked, &mut findings)?;
        let taken = !findings.edits.is_empty() || !findings.taken_back.is_empty();
        if taken && let Some(backup) = file::back_up(&books.connection, &books.path)? {
            findings.notes.push(("pos_db_backed_up", format!("file={:?}", backup)));
        }
        Ok((books, findings))
    }

    /// The same without changing anything: what an opening would put aside is named among the bad.
    ///
    /// # Errors
    /// As for [`Books::open`].
    pub fn look(
        folder: &Path,
        market: &'static str,
        journal: &str,
        booked: &Booked,
    ) -> Result<(Self, Findings), StoreError> {
        let path = folder.join(FILE);
        let mut findings = Findings::default();
        let connection = file::look(&path, market, journal, &mut findings)?;
        let books = Self::over(connection, path, market, journal, booked, &mut findings)?;
        Ok((books, findings))
    }

    fn over(
        connection: Connection,
        path: PathBuf,
        market: &'static str,
        journal: &str,
        booked: &Booked,
        findings: &mut Findings,
    ) -> Result<Self, StoreError> {
        let mut books = Self {
            connection,
            path,
            market,
            mirror: Mirror::default(),
            applied: Applied { journal: journal.to_owned(), ..Applied::default() },
            edited: BTreeSet::new(),
            frozen: false,
            outdated: false,
        };
        books.read(booked, findings)?;
        Ok(books)
    }

    fn read(&mut self, booked: &Booked, findings: &mut Findings) -> Result<(), StoreError> {
        let outcome = self.read_tables(booked, findings);
        let reason = match outcome {
            Ok(()) => return Ok(()),
            Err(Unreadable::Touched) => "the checksum over them does not match".to_owned(),
            Err(Unreadable::Sqlite(error)) if is_busy(&error) || is_corrupt(&error) => {
                return Err(StoreError::sqlite(&self.path)(error));
            }
            Err(Unreadable::Sqlite(error)) => error.to_string(),
        };
        self.frozen = true;
        findings.bad.push(BadEdit {
            symbol: None,
            reason: format!(
                "the tables of {} were changed in a way that is no edit of positions ({reason}); move the file away and \
                 it is rebuilt from the journal",
                self.path.display()
            ),
        });
        Ok(())
    }

    fn read_tables(&mut self, booked: &Booked, findings: &mut Findings) -> Result<(), Unreadable> {
        let (mirror, applied, sum) = mirror::load(&self.connection, self.market)?;
        if applied.seq > 0 {
            findings.applied = Some(applied.clone());
        }
        if mirror.sum(&applied, self.market) != sum {
            return Err(Unreadable::Touched);
        }
        let rows = edits::read_rows(&self.connection)?;
        let inserts = mirror::inserts(&self.connection)?;
        self.applied = Applied { journal: self.applied.journal.clone(), ..applied };
        self.mirror = mirror;
        let mut misplaced = false;
        for found in edits::compare(&mut self.mirror, rows, self.market, inserts) {
            match found {
                edits::Difference::Edit(edit) => findings.edits.push(edit),
                edits::Difference::AsShown(row) if was_booked_otherwise(booked, &row) => {
                    findings.taken_back.push(row)
                }
                edits::Difference::AsShown(_) => {}
                edits::Difference::Bad(key, bad) => {
                    misplaced |= key.is_none();
                    self.edited.extend(key);
                    findings.bad.push(bad);
                }
            }
        }
        self.inserted_and_gone(inserts, booked, misplaced, findings);
        Ok(())
    }

    /// Rows a user inserted, that were booked and not yet shown when the gateway was killed, and that are not there
    /// any more: deleted, or what they are found by was spoiled, if there is a row that cannot be placed.
    fn inserted_and_gone(&mut self, inserts: u64, booked: &Booked, misplaced: bool, findings: &mut Findings) {
        for ((session, symbol, revision), (qty, _)) in booked {
            let key = (*session, symbol.clone());
            let gone = *revision == inserts && inserts > 0 && self.mirror.shown(&key).is_none();
            if !gone || qty.is_zero() {
                continue;
            }
            if misplaced {
                let reason = format!(
                    "position row ({session}, {:?}): {}; mend that row and restart",
                    symbol.as_str(),
                    edits::MISPLACED
                );
                findings.bad.push(BadEdit { symbol: Some(symbol.clone()), reason });
                self.edited.insert(key);
                continue;
            }
            findings.taken_back.push(Edit {
                session: *session,
                symbol: symbol.clone(),
                revision: inserts,
                shown: Qty::ZERO,
                found: Qty::ZERO,
                shown_avg: None,
                found_avg: None,
            });
        }
    }

    /// The file could be read only after the gateway had started: what the user changed waits for the next
    /// start.
    pub fn postpone(&mut self, findings: &Findings) -> Vec<Key> {
        // What was taken back the books still have, and would write over it.
        let edits = findings.edits.iter().chain(&findings.taken_back);
        let keys: Vec<Key> = edits.map(|edit| (edit.session, edit.symbol.clone())).collect();
        self.edited.extend(keys.iter().cloned());
        keys
    }

    /// Quantities the gateway has written, by row.
    pub fn shown_quantities(&self) -> BTreeMap<Key, String> {
        let written = |(key, shown): (&Key, &Shown)| Some((key.clone(), shown.shadow.as_ref()?.qty.clone()));
        self.mirror.iter_shown().filter_map(written).collect()
    }

    /// Shows these rows. On `SQLITE_BUSY` nothing has been written: offer the same rows again later.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn project(&mut self, rows: &Projection, applied: &Applied) -> rusqlite::Result<Projected> {
        if self.frozen {
            return Ok(Projected::default());
        }
        if !self.path.exists() {
            self.rebuild()?;
            return self.write(rows, applied, Some("it was gone".into()));
        }
        self.reconnect()?;
        match self.write(rows, applied, None) {
            Err(error) if is_corrupt(&error) => {
                let aside = super::put_aside(&self.path, "corrupt")
                    .map_or_else(|error| error.to_string(), |path| path.display().to_string());
                self.rebuild()?;
                self.write(rows, applied, Some(aside))
            }
            Err(error) if was_moved(&error) => {
                self.frozen = true;
                Ok(Projected { replaced: true, ..Projected::default() })
            }
            other => other,
        }
    }

    /// A new file with all that has been shown so far: whole, or not at all.
    fn rebuild(&mut self) -> rusqlite::Result<()> {
        self.mirror.show_anew();
        file::create_filled(&self.path, self.market, |transaction| {
            self.mirror.write_all(transaction, self.market)?;
            mirror::write_meta(transaction, &self.mirror, &self.applied, self.market)
        })?;
        self.edited.clear();
        self.outdated = true;
        self.reconnect()
    }

    /// Opens the file that was made in place of the one we have open.
    fn reconnect(&mut self) -> rusqlite::Result<()> {
        if self.outdated {
            self.connection = file::connect(&self.path)?;
            self.outdated = false;
        }
        Ok(())
    }

    fn write(
        &mut self,
        rows: &Projection,
        applied: &Applied,
        rebuilt: Option<String>,
    ) -> rusqlite::Result<Projected> {
        // Changed only once the transaction has committed.
        let mut mirror = self.mirror.clone();
        let mut edit_pending = Vec::new();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for row in &rows.positions {
            let key = (row.session, row.symbol.clone());
            mirror.set_profit(&transaction, row, self.market)?;
            if self.edited.contains(&key) {
                continue;
            }
            if !swap(&transaction, &mut mirror, &key, row, applied.seq, self.market)? {
                edit_pending.push(key);
            }
        }
        for row in &rows.assets {
            mirror.set_asset(&transaction, row, self.market)?;
        }
        for row in &rows.fees {
            mirror.set_fee(&transaction, row, self.market)?;
        }
        mirror::write_meta(&transaction, &mirror, applied, self.market)?;
        failpoint!(may_fail "mid_projection");
        transaction.commit()?;
        self.mirror = mirror;
        self.applied = applied.clone();
        self.edited.extend(edit_pending.iter().cloned());
        Ok(Projected { edit_pending, rebuilt, replaced: false })
    }
}

/// Does the row stand as it was shown, though something else was booked of it?
fn was_booked_otherwise(booked: &Booked, row: &Edit) -> bool {
    let last = booked.get(&(row.session, row.symbol.clone(), row.revision));
    last.is_some_and(|(qty, avg)| *qty != row.found || avg.or(row.shown_avg) != row.found_avg)
}

/// Writes a row if what stands there is what is expected. `false`: somebody changed it.
fn swap(
    transaction: &Transaction<'_>,
    mirror: &mut Mirror,
    key: &Key,
    row: &PositionRow,
    applied_seq: u64,
    market: &str,
) -> rusqlite::Result<bool> {
    let new = Texts { qty: row.qty.to_string(), avg_price: row.avg_price.to_string() };
    let shown = mirror.shown(key);
    let expected = shown.as_ref().and_then(|shown| shown.expected.clone());
    let unchanged = shown
        .as_ref()
        .is_some_and(|shown| shown.expected.as_ref() == Some(&new) && shown.shadow.as_ref() == Some(&new));
    let session = i64::from(key.0.0);
    let time = updated_at(row.time);
    let written = match &expected {
        Some(_) if unchanged => return Ok(true),
        Some(old) => transaction
            .prepare_cached(
                "UPDATE position SET symbol = ?3, qty = ?4, avg_price = ?5, updated_at = ?6 \
                 WHERE session_id = ?1 AND market = ?2 AND symbol = ?3 AND side = 'BOTH' AND qty = ?7 AND avg_price = ?8",
            )?
            .execute(params![
                session,
                market,
                key.1.as_str(),
                new.qty,
                new.avg_price,
                time,
                old.qty,
                old.avg_price
            ])?,
        None => transaction
            .prepare_cached(
                "INSERT INTO position(session_id, market, symbol, side, qty, avg_price, updated_at) \
                 VALUES(?1, ?2, ?3, 'BOTH', ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![session, market, key.1.as_str(), new.qty, new.avg_price, time])?,
    };
    if written == 0 {
        return Ok(false);
    }
    // Rises over the life of the journal, also over a lost pos.db: the revision names what the user saw, for
    // ever.
    let revision = shown.map_or(0, |shown| shown.revision + 1).max(applied_seq);
    mirror.set_shown(transaction, key, new, revision, market)?;
    Ok(true)
}

fn updated_at(time: Time) -> String {
    let nanos = u64::try_from(time.nanos()).unwrap_or(0);
    tradingsys_logger::timestamp(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(nanos))
}

/// Is the file we have open not the one at its path any more?
fn was_moved(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED)
}

/// A value of `_meta`.
fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM _meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}
