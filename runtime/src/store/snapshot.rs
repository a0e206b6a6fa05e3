//! `journal.snapshot`: those records of the journal that a start needs, so that it need not read all.
//!
//! A file of its own, for it is long and made anew as a whole: in the journal it would hold up the thread that
//! appends, and every copy would carry it. It is worth nothing by itself and may be deleted at any time. It is lines
//! of text: what it is of, the records' texts as the journal has them, and a SHA-256 over all that.
//!
//! ```text
//! {"format":1,"journal":"00ff…","seq":1200,"sum":"9a…","made":1795…,"keep":604800000000000,"records":410}
//! {"kind":"start",…}
//! …
//! 5d41…
//! ```
//!
//! It is used only where the journal has that row with that sum, so the chain of checksums goes through both.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tradingsys::journal::Record;
use tradingsys::time::{Span, Time};

use super::chain::hex;
use super::compact::Whole;
use super::journal::Position;
use super::{StoreError, put_aside};
use crate::failpoint::failpoint;
use crate::files;

/// Name of the file within a gateway's folder.
pub const FILE: &str = "journal.snapshot";

/// What is being written has this name.
const NEW: &str = "journal.snapshot.new";

/// What this version writes and reads.
const FORMAT: u32 = 1;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    journal: String,
    seq: u64,
    sum: String,
    /// When, in nanoseconds since 1970: what is old was judged by it.
    made: i64,
    /// Acknowledged events older than this, in nanoseconds, may be missing.
    keep: i64,
    /// How many records follow.
    records: u64,
}

impl Head {
    pub(super) fn new(journal: &str, at: Position, made: Time, keep: Span, records: usize) -> Self {
        let Position { seq, sum } = at;
        let (journal, made, keep) = (journal.to_owned(), made.nanos(), keep.nanos());
        Self { format: FORMAT, journal, seq, sum, made, keep, records: records as u64 }
    }
}

/// A snapshot as it was read.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The row it is of.
    pub(super) at: Position,
    /// What counts of the rows until then.
    pub(super) records: Vec<Record>,
    /// How events stand there.
    pub(super) whole: Whole,
}

/// Reads the folder's snapshot, if there is one. It must be of that journal, made before `now`, and hold events for at
/// least so long.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn read(folder: &Path, journal: &str, keep: Span, now: Time) -> Result<Option<Snapshot>, String> {
    let file = match File::open(folder.join(FILE)) {
        Ok(file) => BufReader::with_capacity(1 << 20, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    let mut lines = Lines { file, hash: Sha256::new(), line: Vec::new(), number: 0 };
    let head: Head = lines.parsed()?;
    if head.format != FORMAT {
        return Err(format!("it is of format {}, this program knows {FORMAT}", head.format));
    }
    if head.journal != journal {
        return Err("it is of another journal".to_owned());
    }
    if head.keep < keep.nanos() {
        return Err("events are to be kept for longer than it has them".to_owned());
    }
    if head.made > now.nanos() {
        return Err("it was made later than now: a clock was wrong, then or now".to_owned());
    }
    let (mut records, mut whole) = (Vec::new(), Whole::default());
    for _ in 0..head.records {
        let record = lines.parsed()?;
        whole.take(head.seq, &record).map_err(|reason| format!("its line {}: {reason}", lines.number))?;
        records.push(record);
    }
    lines.check_sum()?;
    Ok(Some(Snapshot { at: Position { seq: head.seq, sum: head.sum }, records, whole }))
}

/// Lines, each taken into the checksum.
struct Lines {
    file: BufReader<File>,
    hash: Sha256,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    fn next(&mut self) -> Result<&[u8], String> {
        self.line.clear();
        self.number += 1;
        self.file.read_until(b'\n', &mut self.line).map_err(|error| format!("it cannot be read: {error}"))?;
        self.line.strip_suffix(b"\n").ok_or_else(|| format!("it ends in its line {}", self.number))
    }

    fn parsed<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, String> {
        let read = serde_json::from_slice(self.next()?);
        self.hash.update(&self.line);
        read.map_err(|error| format!("its line {} is damaged: {error}", self.number))
    }

    fn check_sum(mut self) -> Result<(), String> {
        let wanted = hex(&std::mem::take(&mut self.hash).finalize());
        let found = self.next()? == wanted.as_bytes();
        if found { Ok(()) } else { Err("its checksum does not match its text".to_owned()) }
    }
}

/// Removes the folder's snapshot and what is left of one half written. One of another journal is put aside.
///
/// # Errors
/// What the system said; that there is none is none.
pub(super) fn remove(folder: &Path, journal: &str) -> Result<(), StoreError> {
    keep_foreign(folder, journal)?;
    let file = folder.join(FILE);
    [remove_unfinished(folder), remove_file(&file)]
        .into_iter()
        .collect::<io::Result<()>>()
        .map_err(StoreError::file(&file))
}

/// Removes what a death left half written.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    remove_file(&folder.join(NEW))
}

fn remove_file(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts the folder's snapshot, if there is one, where no start uses it and nothing overwrites it. Returns where.
pub(super) fn keep_damaged(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let file = folder.join(FILE);
    if file.exists() { put_aside(&file, "damaged").map(Some) } else { Ok(None) }
}

/// What a head of any format says.
#[derive(Deserialize)]
struct Of {
    journal: String,
}

/// Puts a snapshot of another journal aside: it may be all that is left of that one.
fn keep_foreign(folder: &Path, journal: &str) -> Result<(), StoreError> {
    let file = folder.join(FILE);
    let mut head = String::new();
    let read = File::open(&file).and_then(|opened| BufReader::new(opened).read_line(&mut head));
    let found: Option<Of> = read.ok().and_then(|_| serde_json::from_str(&head).ok());
    if found.is_some_and(|of| of.journal != journal) {
        let kept = put_aside(&file, "other")?;
        let advice = "it is of another journal, which it may help to restore; else delete it";
        tracing::warn!(target: "store", kept = %kept.display(), advice, "snapshot_kept");
    }
    Ok(())
}

/// A snapshot that is being written. Only [`Writing::finish`] puts it in the place of the one before; if it does not
/// come to that, nothing is left.
pub(super) struct Writing {
    folder: PathBuf,
    journal: String,
    new: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    left: u64,
    half: u64,
}

impl Writing {
    pub(super) fn begin(folder: &Path, head: &Head) -> io::Result<Self> {
        remove_unfinished(folder)?;
        let new = folder.join(NEW);
        let file = BufWriter::with_capacity(1 << 20, files::create_private(&new)?);
        let (left, half) = (head.records, head.records / 2);
        let (folder, journal) = (folder.to_owned(), head.journal.clone());
        let mut writing = Self { folder, journal, new, file, hash: Sha256::new(), left, half };
        let head = serde_json::to_string(head).map_err(io::Error::from)?;
        writing.line(&head)?;
        Ok(writing)
    }

    /// The text of the next record.
    pub(super) fn record(&mut self, text: &str) -> io::Result<()> {
        if self.left == self.half {
            self.file.flush()?;
            half_way().map_err(io::Error::other)?;
        }
        self.left = self.left.saturating_sub(1);
        self.line(text)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        for bytes in [text.as_bytes(), b"\n"] {
            self.hash.update(bytes);
            self.file.write_all(bytes)?;
        }
        Ok(())
    }

    /// Puts it in place, whole and on the disk. Returns how long it is.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        let target = self.folder.join(FILE);
        let wrong = StoreError::file(&target);
        let sum = hex(&std::mem::take(&mut self.hash).finalize());
        let written = writeln!(self.file, "{sum}")
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| self.file.get_ref().metadata());
        let length = match written {
            Ok(meta) => meta.len(),
            Err(error) => return Err(wrong(error)),
        };
        keep_foreign(&self.folder, &self.journal)?;
        std::fs::rename(&self.new, &target)
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(wrong)?;
        Ok(length)
    }
}

impl Drop for Writing {
    /// Where it was put in place there is nothing of that name any more.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.new);
    }
}

/// A place to die or to fail at.
fn half_way() -> rusqlite::Result<()> {
    failpoint!(may_fail "mid_snapshot");
    Ok(())
}
