//! The whole of logging on real files: what is logged ends up in files of bounded size, no more of them than wanted, in
//! order, whole, readable by nobody else, and without a secret.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tradingsys_logger::{Bounds, Level, Settings, redact};

const SECRET: &str = "canary-rotation-5f0c2b71";
const FILE_BYTES: u64 = 20_000;

/// How many lines are logged.
const LINES: u32 = 6_000;

/// Names the folder that a process started by the test logs to.
const VARIABLE: &str = "TRADINGSYS_TEST_LOG_FOLDER";

/// What a process of its own does: its standard error is read by the test.
fn log_to(directory: PathBuf) {
    redact::add_secret(SECRET);
    let settings = Settings {
        exe: "spot".into(),
        directory: Some(directory),
        bounds: Bounds { file_bytes: FILE_BYTES, files: 4 },
        level: Level::Info,
    };
    let guard = tradingsys_logger::start(&settings).unwrap();
    // Less than the queue holds: none is dropped, however slow the disk is.
    for number in 0..LINES {
        tracing::info!(target: "gateway", number, token = SECRET, words = SECRET, "told");
    }
    drop(guard);
    assert_eq!(tradingsys_logger::counts().lost, 0);
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (day, part) = name.split_once('-').unwrap_or((&name, "1"));
        (day.to_owned(), part.parse::<u32>().unwrap())
    });
    files
}

#[test]
fn i20_redaction_and_bounds_hold_through_every_rotation() {
    if let Some(directory) = std::env::var_os(VARIABLE) {
        return log_to(directory.into());
    }
    let directory = std::env::temp_dir().join(format!("tradingsys-rotation-{}", std::process::id()));
    let name = "i20_redaction_and_bounds_hold_through_every_rotation";
    let mut process = Command::new(std::env::current_exe().unwrap());
    let done = process.args(["--exact", name, "--nocapture"]).env(VARIABLE, &directory).output().unwrap();
    let shown = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{shown}");
    assert!(!shown.contains(SECRET));
    // Standard error may lag and lose lines; the files may not.
    assert!(shown.contains("told number="));
    let files = files_in(&directory);
    assert_eq!(files.len(), 4, "{files:?}");
    let mut numbers = Vec::new();
    for path in &files {
        let meta = fs::metadata(path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        // A batch is never parted: the queue's own bound is what a file may be over by.
        assert!(meta.len() < FILE_BYTES + 65 * 1024, "{path:?}: {}", meta.len());
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains(SECRET) && text.contains("token=*** words=***"), "{text}");
        for line in text.lines() {
            let number = line.split_once("told number=").unwrap().1;
            numbers.push(number.split_once(' ').unwrap().0.parse::<u32>().unwrap());
        }
    }
    // The newest are there, without a gap.
    let first = numbers[0];
    assert!(first > 0);
    assert_eq!(numbers, (first..LINES).collect::<Vec<_>>());
    fs::remove_dir_all(directory).unwrap();
}
