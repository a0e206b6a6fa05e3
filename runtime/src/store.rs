//! The two stores of a gateway's folder: `journal.db`, the truth, and `pos.db`, the user's window on it.
//!
//! Two threads write. One appends to the journal, all waiting batches in one transaction. The other keeps
//! `pos.db` and moves the journal's write-ahead log into its file; neither it nor a user's editor ever delays
//! the first. A third reads the journal over, and leaves beside it what the next start needs of it, `journal.snapshot`.

pub mod books;
pub mod chain;
pub mod compact;
pub mod journal;
mod migrate;
pub mod note;
pub mod projector;
pub mod reader;
pub mod snapshot;
mod typed;
mod walk;
pub mod writer;

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::exit::Exit;

/// Oldest SQLite whose write-ahead log is free of the reset race (sqlite.org/wal.html, 2026-03).
const SQLITE_LEAST: i32 = 3_051_003;

/// What is wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite itself is too old.
    #[error("sqlite {0} is too old; 3.51.3 or later is needed")]
    Library(&'static str),
    /// Not one of ours.
    #[error("{file} is not a {what} of tradingsys; move it away or set \"db\" to another folder", file = .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// Made by a later version.
    #[error(
        "{file} was written by a newer version (schema {found}, this one knows {known}); start that version, or restore \
         a backup made by this one",
        file = .file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// Of another market than ours.
    #[error("{file} is of market {found:?}, not {wanted:?}: set another \"db\"", file = .file.display())]
    OtherMarket {
        /// The file.
        file: PathBuf,
        /// Its market.
        found: String,
        /// Ours.
        wanted: &'static str,
    },
    /// The journal is not what was written.
    #[error(
        "{file} is damaged at record {record}: {reason}. Restore it from a backup. Without one, move it away: a new \
         one is filled from the exchange's records, but for edits (docs/ledger.md, \"A lost journal\")",
        file = .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Number of the first bad record.
        record: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It was moved away, deleted or replaced while it was in use.
    #[error(
        "{file} is not the file this gateway has been writing any more; put the one it was back, or restart the gateway",
        file = .file.display()
    )]
    Gone {
        /// The file.
        file: PathBuf,
    },
    /// SQLite said so.
    #[error("{file}: {source}", file = .file.display())]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// A file operation failed.
    #[error("{file}: {source}", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Has somebody else the file locked?
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if is_busy(source))
    }
    fn sqlite(file: &Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        move |source| Self::Sqlite { file: file.to_owned(), source }
    }
    fn file(file: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::File { file: file.to_owned(), source }
    }
}

impl From<StoreError> for Exit {
    fn from(error: StoreError) -> Self {
        let advice = if error.is_busy() { "; close the program that holds it" } else { "" };
        Self::configuration(format!("{error}{advice}"))
    }
}

/// Is the SQLite we run with new enough?
///
/// # Errors
/// [`StoreError::Library`] if not.
pub fn check_library() -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_LEAST {
        return Err(StoreError::Library(rusqlite::version()));
    }
    Ok(())
}

/// Somebody else has the file locked.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The file's content is not a sound database.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// `20260730T091233`, for the names of files put aside.
fn file_stamp() -> String {
    let text = tradingsys_logger::timestamp(std::time::SystemTime::now());
    text.chars().filter(char::is_ascii_alphanumeric).take(15).collect()
}

/// A name beside the file that tells why and when, and that nothing has yet.
fn free_name(file: &Path, why: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{why}-{}", file_stamp()));
    let mut target = PathBuf::from(&name);
    for n in 2_u32.. {
        if !target.exists() {
            break;
        }
        let mut numbered = name.clone();
        numbered.push(format!("-{n}"));
        target = PathBuf::from(numbered);
    }
    target
}

/// Puts a file aside under a new name that tells why and when, beside where it was.
fn put_aside(file: &Path, why: &str) -> Result<PathBuf, StoreError> {
    let target = free_name(file, why);
    std::fs::rename(file, &target).map_err(StoreError::file(file))?;
    // A hot journal left behind would be played into the next file of that name.
    let mut hot = file.as_os_str().to_owned();
    hot.push("-journal");
    let _ = std::fs::remove_file(PathBuf::from(hot));
    Ok(target)
}
