//! The kill switch's file, and what else of the stop a restart must not forget: kept apart from the stores, by a thread
//! of its own that shares nothing with them.
//!
//! * `KILL`, in the folder of the databases: while it exists the kill switch is on. Whoever makes it pulls the switch,
//!   whoever removes it clears it; the gateway does both when it is told by another way. If its first word is
//!   `flatten`, positions are closed, too.
//! * `stop.json`: pauses, and what sessions have declared for the case that they are lost.
//! * `crashes.json`: how often it crashed soon after its start ([`crashes`]).
//!
//! `KILL` is made before anything is written into it: an empty file needs no room on a full disk.
//!
//! File and loop may say different things in the same moment. Changes of the file are counted, and pulls by other ways
//! are; each side says how far it knew of the other's. What the loop wanted kept before it knew of a change does not
//! undo that change, and a removal clears no pull that came after the one it was meant for.

pub mod crashes;
pub mod signal;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde::Deserialize as _;
use tokio::sync::mpsc;
use tradingsys::gateway::io::Input;
use tradingsys::gateway::stop::{Kept, Kill, Pause};

use crate::files::{replace, sync};

/// Name of the switch's file.
pub const KILL: &str = "KILL";
/// Name of the file of the rest.
const REST: &str = "stop.json";
/// How often the switch's file is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pause before what could not be written is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// As much of the switch's file is read.
const WORDS: u64 = 4_096;

/// What the loop is told.
#[derive(Debug, PartialEq, Eq)]
pub enum StopEvent {
    /// The kill switch is pulled, not by its file.
    Kill(Kill),
    /// Its file was made or changed, and says this; the number of the change.
    File(Kill, u64),
    /// Its file was removed; the number of the change, and the pulls it stood for.
    FileGone(u64, u64),
    /// What was to be kept is on the disk, or why it is not.
    Kept(u64, Result<(), String>),
}

impl StopEvent {
    /// As the gateway takes it.
    pub fn input(self) -> Input<'static> {
        match self {
            Self::Kill(kill) => Input::Kill(kill),
            Self::File(kill, change) => Input::KillFile(kill, change),
            Self::FileGone(change, pulls) => {
                Input::KillFileGone { by: format!("the removal of the file {KILL}"), change, pulls }
            }
            Self::Kept(number, result) => Input::Kept(number, result),
        }
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// Where the thread takes what is to be kept.
#[derive(Debug)]
pub struct Keeper(Sender<(u64, Kept)>);

impl Keeper {
    /// Starts the thread. `kept` is what [`read`] found; `lives_after` that time no crash counts any more.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        folder: &Path,
        kept: &Kept,
        lives_after: Option<Duration>,
        events: mpsc::Sender<StopEvent>,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let switch = folder.join(KILL);
        // One that was removed since then is a change.
        let seen = kept.kill.as_ref().map(|_| seen(&switch).unwrap_or_default());
        let folder = folder.to_owned();
        let lives_at = lives_after.map(|after| Instant::now() + after);
        let watch = Watch {
            folder,
            switch,
            seen,
            lives_at,
            changes: kept.changes,
            pulls: kept.pulls,
            wanted: None,
            told: false,
            again: None,
            events,
        };
        std::thread::Builder::new().name("stop".to_owned()).spawn(move || watch.run(&receiver))?;
        Ok(Self(sender))
    }

    /// Keeps this, in place of all before.
    pub fn keep(&self, number: u64, kept: Kept) {
        // Fails only when the thread has ended, with the loop it tells.
        let _ended = self.0.send((number, kept));
    }
}

/// What the last run left in that folder. What cannot be read stops more rather than less.
pub fn read(folder: &Path) -> Kept {
    let rest = match fs::read_to_string(folder.join(REST)) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(error.to_string()),
    };
    let mut kept = rest.unwrap_or_else(|error| {
        let reason = format!("{REST} cannot be read: {error}; see who was paused, and resume");
        let pause = Pause { by: "the gateway".to_owned(), reason, ..Pause::default() };
        Kept { paused_all: Some(pause), ..Kept::default() }
    });
    let switch = folder.join(KILL);
    let there =
        !matches!(fs::symlink_metadata(&switch), Err(error) if error.kind() == io::ErrorKind::NotFound);
    kept.kill = there.then(|| words(&switch));
    kept
}

fn seen(path: &Path) -> Option<Seen> {
    let found = fs::symlink_metadata(path).ok()?;
    Some(Seen { inode: found.ino(), length: found.len(), changed: (found.mtime(), found.mtime_nsec()) })
}

/// What the switch's file says; it counts whatever that is.
fn words(path: &Path) -> Kill {
    let mut text = String::new();
    // A pipe in its place would never end.
    if fs::metadata(path).is_ok_and(|found| found.is_file()) {
        let read = File::open(path).and_then(|file| file.take(WORDS).read_to_string(&mut text));
        let _unreadable = read;
    }
    let text = text.trim();
    if let Some(kill) = kill_from(text) {
        return kill;
    }
    let flatten = text.split_whitespace().next() == Some("flatten");
    let reason = if flatten { text.trim_start_matches("flatten") } else { text };
    let reason = reason.trim().chars().take(200).collect();
    Kill { by: format!("the file {KILL}"), reason, flatten, ..Kill::default() }
}

/// As the gateway writes it.
fn kill_from(text: &str) -> Option<Kill> {
    text.starts_with('{')
        .then(|| Kill::deserialize(&mut serde_json::Deserializer::from_str(text)).ok())
        .flatten()
}

struct Watch {
    folder: PathBuf,
    switch: PathBuf,
    /// The switch's file as it is known to the loop.
    seen: Option<Seen>,
    /// How often somebody else has changed it.
    changes: u64,
    /// The pulls by other ways that it stands for.
    pulls: u64,
    /// When this run has lived.
    lives_at: Option<Instant>,
    /// What is to be written.
    wanted: Option<(u64, Kept)>,
    /// The loop knows that it could not be.
    told: bool,
    again: Option<Instant>,
    events: mpsc::Sender<StopEvent>,
}

impl Watch {
    fn run(mut self, receiver: &Receiver<(u64, Kept)>) {
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(kept) => {
                    let newest = receiver.try_iter().last().unwrap_or(kept);
                    (self.wanted, self.told, self.again) = (Some(newest), false, None);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.look() {
                return;
            }
            self.mind_the_file();
            if !self.write() {
                return;
            }
            // Behind the switch: nothing that is to be stopped waits for it.
            if self.lives_at.take_if(|at| *at <= Instant::now()).is_some() {
                crashes::forget(&self.folder);
            }
        }
    }

    /// False: nobody listens any more.
    fn tell(&self, event: StopEvent) -> bool {
        self.events.blocking_send(event).is_ok()
    }

    /// Was the switch's file made, changed or removed?
    fn look(&mut self) -> bool {
        let found = seen(&self.switch);
        if found == self.seen {
            return true;
        }
        self.seen = found;
        self.changes += 1;
        self.tell(match found {
            Some(_) => StopEvent::File(words(&self.switch), self.changes),
            None => StopEvent::FileGone(self.changes, self.pulls),
        })
    }

    /// What waits to be written may have been said before the file was changed: what the file says then counts.
    fn mind_the_file(&mut self) {
        let Some((_, wanted)) = self.wanted.as_mut().filter(|(_, wanted)| wanted.changes < self.changes)
        else {
            return;
        };
        if self.seen.is_some() {
            let said = words(&self.switch);
            let flatten = said.flatten || wanted.kill.as_ref().is_some_and(|kill| kill.flatten);
            wanted.kill = Some(Kill { flatten, ..wanted.kill.take().unwrap_or(said) });
        } else if wanted.pulls <= self.pulls {
            wanted.kill = None;
        }
    }

    fn write(&mut self) -> bool {
        let Some((number, wanted)) = self.wanted.clone() else { return true };
        if self.again.is_some_and(|at| Instant::now() < at) {
            return true;
        }
        // The switch first, and each for itself.
        let switch = self.write_switch(wanted.kill.as_ref());
        if switch.is_ok() {
            self.pulls = wanted.pulls;
        }
        let rest = write_rest(&self.folder, &wanted);
        match switch.and(rest) {
            Ok(()) => {
                self.wanted = None;
                self.tell(StopEvent::Kept(number, Ok(())))
            }
            Err(error) => {
                self.again = Some(Instant::now() + WRITE_AGAIN);
                let told = std::mem::replace(&mut self.told, true);
                told || self.tell(StopEvent::Kept(number, Err(error)))
            }
        }
    }

    fn write_switch(&mut self, kill: Option<&Kill>) -> Result<(), String> {
        let at = |error: io::Error| format!("{}: {error}", self.switch.display());
        match (kill, self.seen) {
            (Some(kill), None) => {
                let mut options = OpenOptions::new();
                let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.switch);
                let written = file.and_then(|mut file| {
                    let text = serde_json::to_string(kill).unwrap_or_default();
                    file.write_all(text.as_bytes())?;
                    file.sync_all()
                });
                // It counts as soon as it is there.
                self.seen = seen(&self.switch);
                written.map_err(at)?;
                sync(&self.folder)
            }
            (None, Some(_)) => {
                match fs::remove_file(&self.switch) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
                    _ => self.seen = None,
                }
                sync(&self.folder)
            }
            // One that was pulled again with more: what the file says must hold after a restart, too.
            (Some(kill), Some(_)) if kill.flatten && !words(&self.switch).flatten => {
                let text = serde_json::to_string(kill).unwrap_or_default();
                let done = replace(&self.folder, &self.switch, &text);
                self.seen = seen(&self.switch);
                done
            }
            _ => Ok(()),
        }
    }
}

fn write_rest(folder: &Path, kept: &Kept) -> Result<(), String> {
    let path = folder.join(REST);
    let nothing =
        Kept { kill: kept.kill.clone(), pulls: kept.pulls, changes: kept.changes, ..Kept::default() };
    if *kept == nothing && !path.exists() {
        return Ok(());
    }
    let text = serde_json::to_string(kept).map_err(|error| error.to_string())?;
    replace(folder, &path, &text)
}

#[cfg(test)]
mod tests;
