//! How often in a row the gateway crashed soon after its start: a small file, which shares nothing with the stores.
//!
//! `crashes.json` holds the number with the run that is under way in it. It is written before the stores are opened,
//! for reading them may be what kills it, and removed once the run has lived with its door open, or ended in order. So
//! what a crash leaves, however it came, is the count. What the count leads to is the core's to say.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tradingsys::gateway::stop::crashes::{Crashes, FAST, RunEnd};

use crate::exit::{Exit, ExitCode};
use crate::files::replace;

/// Name of the file.
pub const COUNT: &str = "crashes.json";
/// More than that is not read of it.
const WORDS: u64 = 4_096;

#[derive(Serialize, Deserialize)]
struct Count {
    fast_crashes: u32,
}

/// The count of fast crashes, with this run in it until it has shown that it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    folder: PathBuf,
    crashes: Crashes,
}

impl Counted {
    /// This run begins: whoever calls that has the folder and the doors to itself. `pause_after` 0: nothing is counted.
    pub(crate) fn begin(folder: &Path, pause_after: u32) -> Self {
        let in_a_row = match read(folder) {
            Ok(count) if pause_after > 0 => count,
            Ok(_) => 0,
            Err(reason) => {
                let advice = "it counts from none";
                tracing::warn!(target: "runtime", reason, advice, "crash_count_damaged");
                0
            }
        };
        if in_a_row > 0 {
            tracing::warn!(target: "runtime", in_a_row, "crashed_soon_after_its_start");
        }
        let crashes = Crashes { in_a_row, pause_after };
        let counted = Self { folder: folder.to_owned(), crashes };
        counted.note(crashes.with_this_run());
        counted
    }

    /// Those of the runs before this one.
    pub(crate) const fn crashes(&self) -> Crashes {
        self.crashes
    }

    /// After how long with its door open a run counts no more.
    pub(crate) fn lives_after(&self) -> Option<Duration> {
        let nanos = u64::try_from(FAST.nanos()).unwrap_or(0);
        (self.crashes.pause_after > 0).then_some(Duration::from_nanos(nanos))
    }

    /// The run has ended by itself.
    pub(crate) fn ended(&self, exit: &Exit) {
        let end = match exit.code {
            ExitCode::Interrupted | ExitCode::Terminated => RunEnd::InOrder,
            ExitCode::Failure => RunEnd::Broken,
            _ => RunEnd::Refused,
        };
        // One that has lived counts no more, however it ends.
        if self.folder.join(COUNT).exists() {
            self.note(self.crashes.after(end));
        }
    }

    fn note(&self, count: u32) {
        let count = if self.crashes.pause_after > 0 { count } else { 0 };
        if let Err(reason) = write(&self.folder, count) {
            tracing::warn!(target: "runtime", reason, "crash_count_not_kept");
        }
    }
}

/// The run has lived: what came before it counts no more.
pub(super) fn forget(folder: &Path) {
    if let Err(reason) = write(folder, 0) {
        tracing::warn!(target: "runtime", reason, "crash_count_not_kept");
    }
}

/// How often it crashed soon after its start, as that folder has it.
///
/// # Errors
/// It cannot be read, or says something else.
pub fn read(folder: &Path) -> Result<u32, String> {
    let path = folder.join(COUNT);
    let at = |error: io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    // A pipe in its place would never end.
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Ok(found) if !found.is_file() => return Err(format!("{}: no file", path.display())),
        _ => {}
    }
    File::open(&path).and_then(|file| file.take(WORDS).read_to_string(&mut text)).map_err(at)?;
    let count: Count = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(count.fast_crashes)
}

/// None is no file: it needs no room on a full disk.
fn write(folder: &Path, count: u32) -> Result<(), String> {
    let path = folder.join(COUNT);
    if count == 0 {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(()),
        };
    }
    let text = serde_json::to_string(&Count { fast_crashes: count }).map_err(|error| error.to_string())?;
    replace(folder, &path, &text)
}
