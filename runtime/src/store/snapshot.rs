//! `journal.snapshot`: those records of the journal that a start needs, so that it need not read all.
//!
//! A file of its own, for it is long and made anew as a whole: in the journal it would hold up the thread that
//! appends, and every copy would carry it. It is worth nothing by itself and may be deleted at any time. It is lines
//! of text: what it is of, the records' texts as the journal has them, and a SHA-256 over all that.
//!
//! ```text
//! {"format":1,"journal":"00ff…","seq":1200,"sum":"9a…","keep":604800000000000,"records":410}
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
use tradingsys::time::Span;

use super::chain::hex;
use super::journal::Position;
use crate::failpoint::failpoint;
use crate::files;

/// Name of the file within a gateway's folder.
pub const FILE: &str = "journal.snapshot";

/// What this version writes and reads.
const FORMAT: u32 = 1;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    journal: String,
    seq: u64,
    sum: String,
    /// Acknowledged events older than this, in nanoseconds, may be missing.
    keep: i64,
    /// How many records follow.
    records: u64,
}

impl Head {
    pub(super) fn new(journal: &str, at: Position, keep: Span, records: usize) -> Self {
        let Position { seq, sum } = at;
        let journal = journal.to_owned();
        Self { format: FORMAT, journal, seq, sum, keep: keep.nanos(), records: records as u64 }
    }
}

/// A snapshot as it was read.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The row it is of.
    pub(super) at: Position,
    /// What counts of the rows until then.
    pub(super) records: Vec<Record>,
}

/// Reads the folder's snapshot, if there is one. It must be of that journal and hold events for at least so long.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn read(folder: &Path, journal: &str, keep: Span) -> Result<Option<Snapshot>, String> {
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
    let mut records = Vec::new();
    for _ in 0..head.records {
        records.push(lines.parsed()?);
    }
    lines.check_sum()?;
    Ok(Some(Snapshot { at: Position { seq: head.seq, sum: head.sum }, records }))
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

/// Deletes the folder's snapshot.
///
/// # Errors
/// What the system said; that there is none is none.
pub fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A snapshot that is being written. Only [`Writing::finish`] puts it in the place of the one before.
pub(super) struct Writing {
    folder: PathBuf,
    new: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    left: u64,
    half: u64,
}

impl Writing {
    pub(super) fn begin(folder: &Path, head: &Head) -> io::Result<Self> {
        let new = folder.join(format!("{FILE}.new"));
        let _ = std::fs::remove_file(&new);
        let file = BufWriter::with_capacity(1 << 20, files::create_private(&new)?);
        let (left, half) = (head.records, head.records / 2);
        let mut writing = Self { folder: folder.to_owned(), new, file, hash: Sha256::new(), left, half };
        let head = serde_json::to_string(head).map_err(io::Error::from)?;
        writing.line(&head)?;
        Ok(writing)
    }

    /// The text of the next record.
    pub(super) fn record(&mut self, text: &str) -> io::Result<()> {
        if self.left == self.half {
            self.file.flush()?;
            failpoint!("mid_snapshot");
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
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let sum = hex(&std::mem::take(&mut self.hash).finalize());
        writeln!(self.file, "{sum}")?;
        self.file.flush()?;
        let file = self.file.get_ref();
        file.sync_all()?;
        let length = file.metadata()?.len();
        std::fs::rename(&self.new, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(length)
    }

    /// Gives it up.
    pub(super) fn abandon(self) {
        let _ = std::fs::remove_file(&self.new);
    }
}
