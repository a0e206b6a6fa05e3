//! Going over the rows of a journal: each is held against the chain of checksums and read.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};
use tradingsys::journal::Record;

use super::journal::{Position, broken, kind_of};
use super::{StoreError, chain, compact};

/// The columns [`Walk::take`] wants, in order.
pub(super) const COLUMNS: &str = "seq, kind, body, sum";

/// How far the rows have been gone over, and what was found.
#[derive(Debug)]
pub(super) struct Walk {
    path: PathBuf,
    at: Position,
    /// Rows that have lost their text.
    emptied: u64,
    /// The last row covers the sums of those before it.
    pinned: bool,
    whole: compact::Whole,
}

impl Walk {
    /// From the first row on.
    pub(super) fn new(path: &Path, id: &str) -> Self {
        Self::behind(path, Position { seq: 0, sum: chain::genesis(id) }, compact::Whole::default())
    }

    /// From behind a row on, until which events stand so.
    pub(super) fn behind(path: &Path, at: Position, whole: compact::Whole) -> Self {
        Self { path: path.to_owned(), at, emptied: 0, pinned: true, whole }
    }

    /// Number of the last row taken.
    pub(super) fn seq(&self) -> u64 {
        self.at.seq
    }

    /// Takes the next row. `None`: its text is gone, and may be.
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<Option<Record>, StoreError> {
        let expected = self.at.seq + 1;
        let read = || -> rusqlite::Result<(i64, String, String, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (seq, kind, body, sum) = read().map_err(|error| self.damaged(expected, error.to_string()))?;
        if seq != expected as i64 {
            return Err(self.damaged(expected, format!("it is missing, number {seq} follows")));
        }
        if body.is_empty() && compact::KINDS.contains(&kind.as_str()) {
            // Its sum cannot be reckoned any more; that of the next one covers it.
            self.at = Position { seq: expected, sum };
            (self.emptied, self.pinned) = (self.emptied + 1, false);
            return Ok(None);
        }
        self.pinned = true;
        self.at = Position { seq: expected, sum: chain::next(&self.at.sum, expected, &body) };
        if self.at.sum != sum {
            return Err(self.damaged(expected, "its checksum does not match its text".into()));
        }
        if kind_of(&body) != kind {
            return Err(self.damaged(expected, "its kind does not match its text".into()));
        }
        let record =
            serde_json::from_str(&body).map_err(|error| self.damaged(expected, error.to_string()))?;
        self.whole.take(expected, &record).map_err(|reason| self.damaged(expected, reason))?;
        Ok(Some(record))
    }

    /// Where the chain ends, and how many rows are without text.
    pub(super) fn end(self) -> Result<(Position, u64), StoreError> {
        if !self.pinned {
            let reason = "its text is missing, and no later record covers its checksum";
            return Err(self.damaged(self.at.seq, reason.into()));
        }
        if self.emptied > 0 {
            self.whole.check().map_err(|(record, reason)| self.damaged(record, reason))?;
        }
        Ok((self.at, self.emptied))
    }

    fn damaged(&self, record: u64, reason: String) -> StoreError {
        StoreError::Damaged { file: self.path.clone(), record, reason }
    }

    /// Takes all rows that are left.
    pub(super) fn take_rest(&mut self, connection: &Connection) -> Result<Vec<Record>, StoreError> {
        let path = self.path.clone();
        let wrong = |error| broken(&path, error);
        let sql = format!("SELECT {COLUMNS} FROM record WHERE seq > ?1 ORDER BY seq");
        let mut select = connection.prepare(&sql).map_err(wrong)?;
        // Not more than was gone over: a number below the first is as wrong as one that is missing.
        let from = if self.at.seq == 0 { i64::MIN } else { self.at.seq as i64 };
        let mut rows = select.query([from]).map_err(wrong)?;
        let mut records = Vec::new();
        loop {
            match rows.next() {
                Ok(Some(row)) => records.extend(self.take(row)?),
                Ok(None) => return Ok(records),
                Err(error) => return Err(self.damaged(self.at.seq + 1, error.to_string())),
            }
        }
    }
}
