//! The thread that writes: a bounded queue in front, standard error and the day's file behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crate::{Settings, calendar};

/// Lines that may wait for the disk. Beyond it new lines are dropped and counted.
const QUEUE_LINES: usize = 8192;

enum Message {
    Line(String),
    End,
}

/// The near end of the queue.
#[derive(Clone)]
pub(crate) struct Sink {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    pub(crate) fn send(&self, line: String) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends the log in order when dropped: all lines logged before are written.
pub struct Guard {
    queue: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.queue.send(Message::End).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Opens today's file and starts the thread.
pub(crate) fn start(settings: &Settings) -> io::Result<(Sink, Guard)> {
    let file = match &settings.directory {
        Some(directory) => Some(DayFile::open(directory, &settings.exe, SystemTime::now())?),
        None => None,
    };
    let (queue, lines) = sync_channel(QUEUE_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&dropped);
    let thread =
        std::thread::Builder::new().name("log".into()).spawn(move || write_all(&lines, file, &counter))?;
    Ok((Sink { queue: queue.clone(), dropped }, Guard { queue, thread: Some(thread) }))
}

fn write_all(lines: &Receiver<Message>, mut file: Option<DayFile>, dropped: &AtomicU64) {
    let mut batch = String::new();
    let mut ended = false;
    while !ended {
        batch.clear();
        let Ok(mut message) = lines.recv() else { return };
        loop {
            match message {
                Message::Line(line) => batch.push_str(&line),
                Message::End => ended = true,
            }
            match lines.try_recv() {
                Ok(next) if !ended && batch.len() < 1 << 20 => message = next,
                Ok(Message::Line(line)) => {
                    batch.push_str(&line);
                    break;
                }
                _ => break,
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let time = calendar::timestamp(SystemTime::now());
            batch.push_str(&format!("[{time} log WARN] lines_dropped count={lost}\n"));
        }
        // There is nowhere left to report a failing log, and trading does not stop for it.
        let _ = io::stderr().lock().write_all(batch.as_bytes());
        if let Some(file) = &mut file {
            file.write(&batch, SystemTime::now());
        }
    }
}

/// `<directory>/<exe>_YYYYMMDD.log`, changed at midnight UTC.
struct DayFile {
    directory: PathBuf,
    exe: String,
    day: String,
    file: File,
}

impl DayFile {
    fn open(directory: &Path, exe: &str, now: SystemTime) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let day = calendar::date(now);
        let file = Self::open_day(directory, exe, &day)?;
        Ok(Self { directory: directory.to_owned(), exe: exe.to_owned(), day, file })
    }

    fn open_day(directory: &Path, exe: &str, day: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(directory.join(format!("{exe}_{day}.log")))
    }

    fn write(&mut self, text: &str, now: SystemTime) {
        let day = calendar::date(now);
        if day != self.day
            && let Ok(file) = Self::open_day(&self.directory, &self.exe, &day)
        {
            self.file = file;
            self.day = day;
        }
        let _ = self.file.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn row_004_59_the_file_is_named_after_the_day_and_changes_with_it() {
        let directory = std::env::temp_dir().join(format!("tradingsys-log-{}", std::process::id()));
        let late = UNIX_EPOCH + Duration::from_secs(951_782_399);
        let mut file = DayFile::open(&directory, "spot", late).unwrap();
        file.write("one\n", late);
        file.write("two\n", late + Duration::from_secs(1));
        let read = |day: &str| std::fs::read_to_string(directory.join(format!("spot_{day}.log"))).unwrap();
        assert_eq!((read("20000228").as_str(), read("20000229").as_str()), ("one\n", "two\n"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many() {
        let (queue, lines) = sync_channel(2);
        let sink = Sink { queue: queue.clone(), dropped: Arc::new(AtomicU64::new(0)) };
        for n in 0..5 {
            sink.send(format!("{n}\n"));
        }
        assert_eq!(sink.dropped.load(Ordering::Relaxed), 3);
        drop(queue);
        let dropped = Arc::clone(&sink.dropped);
        drop(sink);
        let directory = std::env::temp_dir().join(format!("tradingsys-drop-{}", std::process::id()));
        let file = DayFile::open(&directory, "spot", SystemTime::now()).unwrap();
        let path = directory.join(format!("spot_{}.log", file.day));
        write_all(&lines, Some(file), &dropped);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("0\n1\n") && text.contains("lines_dropped count=3"), "{text}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
