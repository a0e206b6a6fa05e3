//! The whole of logging on real files: what is logged ends up in files of bounded size, no more of them than wanted, in
//! order, whole, readable by nobody else, and without a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tradingsys_logger::{Bounds, Level, Settings, redact};

const SECRET: &str = "canary-rotation-5f0c2b71";
const FILE_BYTES: u64 = 20_000;

#[test]
fn i20_redaction_and_bounds_hold_through_every_rotation() {
    let directory = std::env::temp_dir().join(format!("tradingsys-rotation-{}", std::process::id()));
    redact::add_secret(SECRET);
    let settings = Settings {
        exe: "spot".into(),
        directory: Some(directory.clone()),
        bounds: Bounds { file_bytes: FILE_BYTES, files: 4 },
        level: Level::Info,
    };
    let guard = tradingsys_logger::start(&settings).unwrap();
    let mut at = 0;
    for _ in 0..60 {
        // No more at a time than the queue takes.
        for _ in 0..100 {
            tracing::info!(target: "gateway", number = at, token = SECRET, words = SECRET, "told");
            at += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(guard);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (day, part) = name.split_once('-').unwrap_or((&name, "1"));
        (day.to_owned(), part.parse::<u32>().unwrap())
    });
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
    assert_eq!(numbers, (first..at).collect::<Vec<_>>());
    assert_eq!(tradingsys_logger::counts().lost, 0);
    fs::remove_dir_all(directory).unwrap();
}
