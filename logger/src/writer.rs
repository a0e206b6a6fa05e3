//! The threads that write: a bounded queue in front, the log's file behind, and behind another queue standard error.
//! Whoever reads standard error may stop: that costs lines there, never in the file.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use crate::counts::DROPPED;
use crate::files::Files;
use crate::{Settings, calendar};

/// Lines that may wait for the disk. Beyond it new lines are dropped and counted.
const QUEUE_LINES: usize = 8192;

/// Batches of lines that may wait for standard error.
const QUEUE_BATCHES: usize = 256;

/// Largest batch, but for its last line.
const BATCH_BYTES: usize = 64 * 1024;

/// Longest the end waits for lines to be written: whoever reads standard error may have stopped.
const END_WITHIN: Duration = Duration::from_secs(5);

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
            DROPPED.add(1);
        }
    }
}

/// Ends the log in order when dropped: all lines logged before are written, unless that takes seconds.
pub struct Guard {
    queue: SyncSender<Message>,
    ended: Receiver<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let until = Instant::now() + END_WITHIN;
        while let Err(TrySendError::Full(_)) = self.queue.try_send(Message::End) {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // The threads say nothing: their end is the message.
        let _ = self.ended.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Opens the file and starts the threads.
pub(crate) fn start(settings: &Settings) -> io::Result<(Sink, Guard)> {
    let file = match &settings.directory {
        Some(directory) => Some(Files::open(directory, &settings.exe, settings.bounds, SystemTime::now())?),
        None => None,
    };
    let (queue, lines) = sync_channel(QUEUE_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&dropped);
    let (alive, ended) = sync_channel::<()>(1);
    let (shown, batches) = sync_channel::<String>(QUEUE_BATCHES);
    let also_alive = alive.clone();
    std::thread::Builder::new().name("log".into()).spawn(move || {
        write_all(&lines, file, &counter, &shown);
        drop(alive);
    })?;
    std::thread::Builder::new().name("stderr".into()).spawn(move || {
        for batch in batches {
            // There is nowhere left to report that this fails, and trading does not stop for it.
            let _ = io::stderr().lock().write_all(batch.as_bytes());
        }
        drop(also_alive);
    })?;
    Ok((Sink { queue: queue.clone(), dropped }, Guard { queue, ended }))
}

fn write_all(
    lines: &Receiver<Message>,
    mut file: Option<Files>,
    dropped: &AtomicU64,
    shown: &SyncSender<String>,
) {
    let mut not_shown = 0;
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
                Ok(next) if !ended && batch.len() < BATCH_BYTES => message = next,
                Ok(Message::Line(line)) => {
                    batch.push_str(&line);
                    break;
                }
                Ok(Message::End) => {
                    ended = true;
                    break;
                }
                Err(_) => break,
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let time = calendar::timestamp(SystemTime::now());
            batch.push_str(&format!("[{time} log WARN] lines_dropped count={lost}\n"));
        }
        if let Some(file) = &mut file {
            file.write(&batch, SystemTime::now());
        }
        let mut copy = batch.clone();
        if not_shown > 0 {
            let time = calendar::timestamp(SystemTime::now());
            copy.insert_str(0, &format!("[{time} log WARN] lines_not_shown count={not_shown}\n"));
        }
        if shown.try_send(copy).is_ok() {
            not_shown = 0;
        } else {
            not_shown += batch.matches('\n').count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Bounds;

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many() {
        let (queue, lines) = sync_channel(2);
        let sink = Sink { queue: queue.clone(), dropped: Arc::new(AtomicU64::new(0)) };
        let before = DROPPED.get();
        for n in 0..5 {
            sink.send(format!("{n}\n"));
        }
        assert_eq!(sink.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(DROPPED.get(), before + 3);
        drop(queue);
        let dropped = Arc::clone(&sink.dropped);
        drop(sink);
        let directory = std::env::temp_dir().join(format!("tradingsys-drop-{}", std::process::id()));
        let bounds = Bounds { file_bytes: u64::MAX, files: 0 };
        let file = Files::open(&directory, "spot", bounds, SystemTime::now()).unwrap();
        let (shown, batches) = sync_channel(1);
        write_all(&lines, Some(file), &dropped, &shown);
        let path = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("0\n1\n") && text.contains("lines_dropped count=3"), "{text}");
        assert_eq!(batches.recv().unwrap(), text);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn lines_that_nobody_reads_on_standard_error_cost_none_in_the_file() {
        let (queue, lines) = sync_channel(8);
        let directory = std::env::temp_dir().join(format!("tradingsys-unread-{}", std::process::id()));
        let bounds = Bounds { file_bytes: u64::MAX, files: 0 };
        let file = Files::open(&directory, "spot", bounds, SystemTime::now()).unwrap();
        // Full, and nobody takes anything out.
        let (shown, _batches) = sync_channel(0);
        queue.send(Message::Line("one\n".into())).unwrap();
        queue.send(Message::Line("two\n".into())).unwrap();
        drop(queue);
        write_all(&lines, Some(file), &AtomicU64::new(0), &shown);
        let path = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
