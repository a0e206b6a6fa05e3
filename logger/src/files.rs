//! The log's files: one a day and part, each up to a size, the oldest removed.
//!
//! ```text
//! spot_20260730.log   spot_20260730-2.log   spot_20260730-3.log   spot_20260731.log …
//! ```
//!
//! A file is never renamed: whoever follows one reads on to its end, and then there is a next. One that somebody moved
//! or removed is begun anew within a second, so that its room on the disk is free. What cannot be written is counted,
//! and told with the next line that can be; nothing waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::calendar;
use crate::counts::{FAILURES, LOST};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A file of so many bytes is followed by the next; a batch of lines is never parted.
    pub file_bytes: u64,
    /// Most files kept of a program, the one being written among them; 0: all.
    pub files: usize,
}

/// How often it is looked whether the file is still where it was, and one that could not be opened is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Files {
    directory: PathBuf,
    exe: String,
    bounds: Bounds,
    name: Name,
    file: File,
    written: u64,
    looked: SystemTime,
    /// The last write broke off within a line.
    torn: bool,
    /// Lines lost since the last that was told.
    lost: u64,
}

/// A day and the part of it, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    day: String,
    part: u32,
}

impl Name {
    fn file(&self, exe: &str) -> String {
        match self.part {
            1 => format!("{exe}_{}.log", self.day),
            part => format!("{exe}_{}-{part}.log", self.day),
        }
    }

    /// The day and part of a file of that program; `None` if it is none of its own.
    fn of(exe: &str, file: &str) -> Option<Self> {
        let stem = file.strip_prefix(exe)?.strip_prefix('_')?.strip_suffix(".log")?;
        let (day, part) = match stem.split_once('-') {
            Some((day, part)) => (day, part.parse().ok().filter(|part| *part > 1)?),
            None => (stem, 1),
        };
        let is_day = day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit());
        let name = Self { day: day.to_owned(), part };
        // As text: a number may be written in several ways, and only one is ours.
        (is_day && name.file(exe) == file).then_some(name)
    }
}

impl Files {
    /// Opens the last part of today, or the next one if that is full.
    ///
    /// # Errors
    /// The directory cannot be made, or the file not be opened.
    pub(crate) fn open(directory: &Path, exe: &str, bounds: Bounds, now: SystemTime) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let day = calendar::date(now);
        let of_today = names(directory, exe).into_iter().filter(|name| name.day == day);
        let mut name = of_today.max().unwrap_or(Name { day, part: 1 });
        let (mut file, mut written) = open(&directory.join(name.file(exe)))?;
        if written >= bounds.file_bytes {
            name.part += 1;
            (file, written) = open(&directory.join(name.file(exe)))?;
        }
        let (directory, exe) = (directory.to_owned(), exe.to_owned());
        let files = Self { directory, exe, bounds, name, file, written, looked: now, torn: false, lost: 0 };
        files.remove_oldest();
        Ok(files)
    }

    /// Writes whole lines.
    pub(crate) fn write(&mut self, text: &str, now: SystemTime) {
        self.follow(now);
        let mut told = String::new();
        if self.torn {
            told.push('\n');
        }
        if self.lost > 0 {
            let (time, count) = (calendar::timestamp(now), self.lost);
            told.push_str(&format!("[{time} log WARN] lines_lost count={count}\n"));
        }
        let outcome = self.append(&told).and_then(|()| {
            (self.torn, self.lost) = (false, 0);
            self.append(text)
        });
        if outcome.is_err() {
            let lines = text.matches('\n').count() as u64;
            FAILURES.add(1);
            LOST.add(lines);
            self.lost += lines;
        }
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
                    self.torn = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// To the file this moment's lines belong in. Where that cannot be opened, the present one is written on.
    fn follow(&mut self, now: SystemTime) {
        let day = calendar::date(now);
        let name = if day > self.name.day {
            Name { day, part: 1 }
        } else if self.written >= self.bounds.file_bytes {
            Name { part: self.name.part + 1, ..self.name.clone() }
        } else if self.is_due(now) && !self.is_in_place() {
            self.name.clone()
        } else {
            return;
        };
        match open(&self.directory.join(name.file(&self.exe))) {
            Ok((file, written)) => {
                (self.file, self.written, self.torn) = (file, written, false);
                self.name = name;
                self.remove_oldest();
            }
            Err(_) => FAILURES.add(1),
        }
    }

    /// Is it time to look again? A clock that was set back does not put it off.
    fn is_due(&mut self, now: SystemTime) -> bool {
        let due = now.duration_since(self.looked).is_ok_and(|since| since < LOOK_EVERY);
        if !due {
            self.looked = now;
        }
        !due
    }

    /// Is the file that is written the one of its name?
    fn is_in_place(&self) -> bool {
        let path = self.directory.join(self.name.file(&self.exe));
        match (std::fs::metadata(path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => is_same(&there, &ours),
            (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
            _ => true,
        }
    }

    fn remove_oldest(&self) {
        let mut names = names(&self.directory, &self.exe);
        names.sort_unstable();
        let kept = if self.bounds.files == 0 { names.len() } else { self.bounds.files };
        let surplus = names.len().saturating_sub(kept);
        // A clock that was set back must not cost the file that is being written.
        for name in names.into_iter().take(surplus).filter(|name| *name != self.name) {
            let _ = std::fs::remove_file(self.directory.join(name.file(&self.exe)));
        }
    }
}

fn names(directory: &Path, exe: &str) -> Vec<Name> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| Name::of(exe, entry.file_name().to_str()?)).collect()
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let written = file.metadata()?.len();
    Ok((file, written))
}

#[cfg(unix)]
fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::UNIX_EPOCH;

    use super::*;

    static NEXT: AtomicU32 = AtomicU32::new(0);

    /// A folder of a test, removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let unique = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join("tradingsys-log").join(unique);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn files(&self, bounds: Bounds, now: SystemTime) -> Files {
            Files::open(&self.0, "spot", bounds, now).unwrap()
        }

        /// Names and contents of all there is.
        fn all(&self) -> Vec<(String, String)> {
            let mut all: Vec<_> = (std::fs::read_dir(&self.0).unwrap())
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                    (name, std::fs::read_to_string(path).unwrap())
                })
                .collect();
            all.sort();
            all
        }

        fn names(&self) -> Vec<String> {
            self.all().into_iter().map(|(name, _)| name).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const ALL: Bounds = Bounds { file_bytes: u64::MAX, files: 0 };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn row_004_59_the_file_is_named_after_the_day_and_changes_with_it() {
        let folder = Folder::new();
        let late = at(951_782_399);
        let mut files = folder.files(ALL, late);
        files.write("one\n", late);
        files.write("two\n", late + Duration::from_secs(1));
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(folder.all(), [pair("spot_20000228.log", "one\n"), pair("spot_20000229.log", "two\n")]);
    }

    #[test]
    fn a_full_file_is_followed_by_the_next_and_no_line_is_parted() {
        let folder = Folder::new();
        let mut files = folder.files(Bounds { file_bytes: 10, files: 0 }, at(0));
        for _ in 0..4 {
            files.write("12345678\n", at(0));
        }
        let names = ["spot_19700101-2.log", "spot_19700101.log"];
        assert_eq!(folder.names(), names);
        assert!(folder.all().iter().all(|(_, text)| text == "12345678\n12345678\n"));
        // The next start goes on where there is room.
        drop(files);
        folder.files(Bounds { file_bytes: 10, files: 0 }, at(0)).write("x\n", at(0));
        folder.files(Bounds { file_bytes: 10, files: 0 }, at(0)).write("y\n", at(0));
        assert_eq!(folder.all()[1], ("spot_19700101-3.log".to_owned(), "x\ny\n".to_owned()));
    }

    #[test]
    fn only_so_many_files_are_kept_and_no_other_is_touched() {
        let folder = Folder::new();
        let others = [
            "spot.log",
            "spot_2000010.log",
            "spot_20000101-1.log",
            "spot_20000101-02.log",
            "usdt_20000101.log",
        ];
        for other in others {
            std::fs::write(folder.0.join(other), "").unwrap();
        }
        let bounds = Bounds { file_bytes: 4, files: 3 };
        let mut files = folder.files(bounds, at(0));
        for n in 0..12 {
            files.write(&format!("{n:03}\n"), at(0));
        }
        files.write("end\n", at(86_400));
        let own: Vec<_> =
            folder.all().into_iter().filter(|(name, _)| !others.contains(&name.as_str())).collect();
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let last = [
            pair("spot_19700101-11.log", "010\n"),
            pair("spot_19700101-12.log", "011\n"),
            pair("spot_19700102.log", "end\n"),
        ];
        assert_eq!(own, last);
        assert_eq!(folder.names().len(), own.len() + others.len());
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_begun_anew() {
        let folder = Folder::new();
        let mut files = folder.files(ALL, at(0));
        files.write("one\n", at(0));
        std::fs::rename(folder.0.join("spot_19700101.log"), folder.0.join("moved")).unwrap();
        files.write("two\n", at(1));
        std::fs::remove_file(folder.0.join("spot_19700101.log")).unwrap();
        files.write("three\n", at(2));
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(folder.all(), [pair("moved", "one\n"), pair("spot_19700101.log", "three\n")]);
    }

    #[test]
    fn a_clock_set_back_costs_no_file_and_no_line() {
        let folder = Folder::new();
        let mut files = folder.files(Bounds { file_bytes: u64::MAX, files: 1 }, at(86_400));
        files.write("one\n", at(86_400));
        files.write("two\n", at(0));
        assert_eq!(folder.all(), [("spot_19700102.log".to_owned(), "one\ntwo\n".to_owned())]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn r58_lines_a_full_disk_does_not_take_are_counted_and_told_once_it_does() {
        let folder = Folder::new();
        let mut files = folder.files(ALL, at(0));
        let before = LOST.get();
        let disk =
            std::mem::replace(&mut files.file, OpenOptions::new().append(true).open("/dev/full").unwrap());
        files.write("one\ntwo\n", at(0));
        files.write("three\n", at(0));
        assert!(LOST.get() >= before + 3);
        files.file = disk;
        files.write("four\n", at(0));
        let told = "[1970-01-01T00:00:00.000000Z log WARN] lines_lost count=3\nfour\n";
        assert_eq!(folder.all(), [("spot_19700101.log".to_owned(), told.to_owned())]);
    }

    #[test]
    fn a_line_that_broke_off_does_not_spoil_the_next() {
        let folder = Folder::new();
        let mut files = folder.files(ALL, at(0));
        files.write("whole\n", at(0));
        files.append("bro").unwrap();
        files.write("next\n", at(0));
        assert_eq!(folder.all()[0].1, "whole\nbro\nnext\n");
    }
}
