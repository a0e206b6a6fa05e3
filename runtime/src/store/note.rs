//! The last epoch that was given, once more, in a small file beside the journal: `epoch.json`.
//!
//! No order's id may be given twice, and the journal says which epochs have been. One that is lost, or put back as an
//! older copy, cannot; this file still does, and shows at once that the journal is older. It is written when the epoch
//! is in the journal, before any order bears it, so it is never ahead of a journal that is whole. Without it, or where
//! it is put back as well, the clock and the exchange are what is left.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tradingsys::gateway::io::Batch;
use tradingsys::ids::{IdParts, Install};
use tradingsys::journal::{Record, Start};

use crate::files::replace;

/// Name of the file.
pub const FILE: &str = "epoch.json";
/// More than that is not read of it.
const BYTES: u64 = 4_096;

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Given {
    market: String,
    install: String,
    /// The last epoch given.
    pub epoch: u32,
}

/// The note of a folder.
#[derive(Debug)]
pub struct Note {
    folder: PathBuf,
    /// What could not be written yet.
    unwritten: Option<Start>,
}

impl Note {
    /// Of that folder.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), unwritten: None }
    }

    /// The epoch that was noted last for orders of this account. A file that is damaged is told, and as good as none.
    pub fn last(&self, market: &str, install: &Install) -> Option<u32> {
        let given = read(&self.folder).unwrap_or_else(|reason| {
            let advice = "the journal alone says which order ids were given; a new file is written";
            tracing::warn!(target: "store", reason, advice, "epoch_note_damaged");
            None
        })?;
        (given.market == market && given.install == install.as_str()).then_some(given.epoch)
    }

    /// These batches are in the journal: what epochs they begin is noted. What could not be is tried again with the
    /// next.
    pub fn take(&mut self, batches: &[Batch]) {
        let start = |record: &Record| match record {
            Record::Start(start) => Some(start.clone()),
            _ => None,
        };
        let records = batches.iter().flat_map(|batch| &batch.records);
        let begun = records.filter_map(start).max_by_key(|start| start.epoch);
        let told = begun.is_none();
        // One that was raised in this run may have been written since.
        let Some(last) = begun.into_iter().chain(self.unwritten.take()).max_by_key(|start| start.epoch)
        else {
            return;
        };
        if let Err(reason) = write(&self.folder, &last) {
            self.unwritten = Some(last);
            if !told {
                let advice =
                    "until it can be, an older copy of the journal would not be noticed at the start";
                tracing::warn!(target: "store", reason, advice, "epoch_not_noted");
            }
        }
    }
}

/// What that folder's file says; `None`: there is none.
///
/// # Errors
/// It cannot be read, or says something else.
pub fn read(folder: &Path) -> Result<Option<Given>, String> {
    let path = folder.join(FILE);
    let wrong = |what: String| format!("{}: {what}", path.display());
    // A pipe in its place would never end.
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_file() => return Err(wrong("no file".to_owned())),
        _ => {}
    }
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(BYTES).read_to_string(&mut text));
    read.map_err(|error| wrong(error.to_string()))?;
    let given: Given = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    // The next run's must fit, too.
    if given.epoch >= IdParts::EPOCHS - 1 {
        return Err(wrong(format!("epoch {} is none that fits into an order's id", given.epoch)));
    }
    Ok(Some(given))
}

fn write(folder: &Path, start: &Start) -> Result<(), String> {
    let Start { epoch, install, market, .. } = start;
    let given = Given { market: market.clone(), install: install.clone(), epoch: *epoch };
    let text = serde_json::to_string(&given).map_err(|error| error.to_string())?;
    replace(folder, &folder.join(FILE), &text)
}

#[cfg(test)]
mod tests {
    use tradingsys::time::Time;

    use super::*;
    use crate::files::scratch::Scratch;

    fn begun(epoch: u32) -> Batch {
        let (install, time) = (Install::from_hash(1).as_str().to_owned(), Time::from_millis(1));
        let start = Start { epoch, install, market: "spot".to_owned(), boot_id: "boot".to_owned(), time };
        Batch { id: 1, records: vec![Record::End { time }, Record::Start(start)], sync: true }
    }

    #[test]
    fn the_last_epoch_is_noted_of_that_account_alone() {
        let dir = Scratch::new("note");
        let mut note = Note::of(&dir.0);
        let (own, other) = (Install::from_hash(1), Install::from_hash(2));
        assert_eq!(note.last("spot", &own), None);
        note.take(&[begun(7), begun(9)]);
        note.take(&[]);
        assert_eq!(note.last("spot", &own), Some(9));
        assert_eq!((note.last("usdt", &own), note.last("spot", &other)), (None, None));
    }

    #[test]
    fn a_damaged_note_is_as_good_as_none_and_is_written_anew() {
        let dir = Scratch::new("note-damaged");
        let (mut note, own) = (Note::of(&dir.0), Install::from_hash(1));
        let too_far = format!(r#"{{"market":"spot","install":"{}","epoch":24299999}}"#, own.as_str());
        for text in ["", "{", "[]", r#"{"epoch":-1}"#, "\u{0}", too_far.as_str()] {
            fs::write(dir.0.join(FILE), text).unwrap();
            let reason = read(&dir.0).err().unwrap();
            assert!(reason.contains(FILE), "{reason}");
            assert_eq!(note.last("spot", &own), None, "{text:?}");
        }
        note.take(&[begun(9)]);
        assert_eq!(note.last("spot", &own), Some(9));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = Scratch::new("note-folder");
        fs::create_dir(dir.0.join(FILE)).unwrap();
        assert!(read(&dir.0).err().unwrap().contains("no file"));
        let (mut note, own) = (Note::of(&dir.0), Install::from_hash(1));
        note.take(&[begun(9)]);
        assert_eq!(note.last("spot", &own), None);
        fs::remove_dir(dir.0.join(FILE)).unwrap();
        note.take(&[]);
        assert_eq!(note.last("spot", &own), Some(9), "tried again");
        fs::remove_file(dir.0.join(FILE)).unwrap();
        fs::create_dir(dir.0.join(FILE)).unwrap();
        note.take(&[begun(10)]);
        fs::remove_dir(dir.0.join(FILE)).unwrap();
        note.take(&[begun(70)]);
        note.take(&[]);
        assert_eq!(note.last("spot", &own), Some(70), "never an earlier one again");
    }
}
