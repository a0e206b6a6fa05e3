//! The thread that appends to the journal: all batches that wait go into one transaction, and each is
//! reported once that has committed. It never gives a batch up: while the disk refuses, it keeps what it has
//! and tries again.
//!
//! ```text
//! Writing ──error──▶ Failing (reported once) ──the file takes the same batches──▶ Writing (reported once)
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tradingsys::gateway::io::Batch;

use super::journal::Journal;
use super::note::Note;

/// Batches that may wait for the disk. Beyond it the caller must stop taking input.
pub const QUEUE_BATCHES: usize = 4096;

/// Batches in one transaction at most.
const GROUP_BATCHES: usize = 512;

/// Reports that may wait for the loop; the loop takes them before anything else.
const REPORTS: usize = 1024;

/// Pause before the disk is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// What the thread tells the loop.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// All batches up to this number are committed.
    Committed(u64),
    /// The disk refuses; why.
    Failed(String),
    /// It takes again what it refused.
    Recovered,
}

/// The near end of the thread.
#[derive(Debug)]
pub struct Writer {
    queue: Option<SyncSender<Batch>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(journal: Journal, note: Note) -> io::Result<(Self, mpsc::Receiver<Report>)> {
        let (queue, batches) = sync_channel(QUEUE_BATCHES);
        let (reports, receiver) = mpsc::channel(REPORTS);
        let ending = Arc::new(AtomicBool::new(false));
        let appender = Appender { journal, note, reports, ending: Arc::clone(&ending), failing: false };
        let thread =
            std::thread::Builder::new().name("journal".into()).spawn(move || appender.run(&batches))?;
        Ok((Self { queue: Some(queue), ending, thread: Some(thread) }, receiver))
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// The batch itself, if too many wait: offer it again after the next report.
    pub fn append(&self, batch: Batch) -> Result<(), Batch> {
        match self.queue.as_ref().map(|queue| queue.try_send(batch)) {
            Some(Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch))) => Err(batch),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Drop for Writer {
    /// What was handed over and can be written is written. What cannot is given up: it has not been reported
    /// as committed.
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Appender {
    journal: Journal,
    note: Note,
    reports: mpsc::Sender<Report>,
    ending: Arc<AtomicBool>,
    failing: bool,
}

impl Appender {
    fn run(mut self, batches: &Receiver<Batch>) {
        let mut group = Vec::with_capacity(GROUP_BATCHES);
        while let Ok(first) = batches.recv() {
            group.push(first);
            while group.len() < GROUP_BATCHES
                && let Ok(next) = batches.try_recv()
            {
                group.push(next);
            }
            if !self.write(&group) {
                return;
            }
            group.clear();
        }
    }

    /// Writes until it is written. `false`: it cannot be, and nobody waits for it any more.
    fn write(&mut self, group: &[Batch]) -> bool {
        let Some(last) = group.last() else { return true };
        let sync = group.iter().any(|batch| batch.sync);
        while let Err(reason) = self.attempt(group, sync) {
            if !self.failing {
                self.failing = true;
                self.report(Report::Failed(reason));
            }
            if self.ending.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(RETRY);
        }
        if std::mem::take(&mut self.failing) {
            self.report(Report::Recovered);
        }
        // Before anyone may send an order of it.
        self.note.take(group);
        self.report(Report::Committed(last.id));
        true
    }

    fn attempt(&mut self, group: &[Batch], sync: bool) -> Result<(), String> {
        if self.failing && self.journal.reopen(group).map_err(|error| error.to_string())? {
            // The error hid a commit that took place.
            return Ok(());
        }
        self.journal.append(group, sync).map_err(|error| error.to_string())
    }

    fn report(&self, report: Report) {
        // At the end nobody reads any more, and a full channel must not hold the end up.
        if self.ending.load(Ordering::Relaxed) {
            let _ = self.reports.try_send(report);
        } else {
            let _ = self.reports.blocking_send(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use tradingsys::ids::Install;
    use tradingsys::journal::{Record, Start};
    use tradingsys::time::Time;

    use super::*;
    use crate::files::scratch::Scratch;
    use crate::store::journal::FILE;

    fn batch(id: u64) -> Batch {
        Batch {
            id,
            records: vec![Record::End { time: Time::from_millis(id as i64) }],
            sync: id.is_multiple_of(7),
        }
    }

    fn ids(dir: &Scratch) -> Vec<i64> {
        let (_, found) = Journal::open(&dir.0).unwrap();
        let id = |record: &Record| match record {
            Record::End { time } => time.millis(),
            _ => panic!("{record:?}"),
        };
        found.records.iter().map(id).collect()
    }

    fn start(dir: &Scratch) -> (Writer, mpsc::Receiver<Report>) {
        Writer::start(Journal::open(&dir.0).unwrap().0, Note::of(&dir.0)).unwrap()
    }

    /// All reports until that batch is committed.
    fn until(reports: &mut mpsc::Receiver<Report>, last: u64) -> Vec<Report> {
        let mut seen = Vec::new();
        while seen.last() != Some(&Report::Committed(last)) {
            seen.push(reports.blocking_recv().expect("the thread lives"));
        }
        seen
    }

    #[test]
    fn every_batch_is_written_once_and_reported_in_order() {
        let dir = Scratch::new("writer");
        let (writer, mut reports) = start(&dir);
        for id in 1..=2000 {
            writer.append(batch(id)).unwrap();
        }
        let seen = until(&mut reports, 2000);
        let numbers: Vec<u64> = seen
            .iter()
            .map(|report| match report {
                Report::Committed(id) => *id,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(numbers.is_sorted());
        drop(writer);
        assert_eq!(ids(&dir), (1..=2000).collect::<Vec<_>>());
    }

    #[test]
    fn i7_an_epoch_is_noted_before_it_is_reported_as_committed() {
        let dir = Scratch::new("writer-note");
        let (writer, mut reports) = start(&dir);
        let install = Install::from_hash(1);
        for (id, epoch) in [(1, 7), (2, 8)] {
            let (ours, time) = (install.as_str().to_owned(), Time::from_millis(1));
            let (market, boot_id) = ("spot".to_owned(), "boot".to_owned());
            let begun = Start { epoch, install: ours, market, boot_id, time };
            writer.append(Batch { id, records: vec![Record::Start(begun)], sync: true }).unwrap();
            until(&mut reports, id);
            assert_eq!(Note::of(&dir.0).last("spot", &install), Some(epoch));
        }
    }

    #[test]
    fn what_was_handed_over_is_written_before_the_end() {
        let dir = Scratch::new("writer-end");
        let (writer, reports) = start(&dir);
        for id in 1..=50 {
            writer.append(batch(id)).unwrap();
        }
        drop(writer);
        drop(reports);
        assert_eq!(ids(&dir), (1..=50).collect::<Vec<_>>());
    }

    #[test]
    fn r58_a_journal_that_refuses_keeps_every_batch_until_it_takes_them() {
        let dir = Scratch::new("writer-refused");
        let (writer, mut reports) = start(&dir);
        writer.append(batch(1)).unwrap();
        until(&mut reports, 1);
        let other = Connection::open(dir.path(FILE)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        writer.append(batch(2)).unwrap();
        let failed = reports.blocking_recv().unwrap();
        assert!(matches!(&failed, Report::Failed(reason) if reason.contains("locked")), "{failed:?}");
        writer.append(batch(3)).unwrap();
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(until(&mut reports, 3), [Report::Recovered, Report::Committed(2), Report::Committed(3)]);
        drop(writer);
        assert_eq!(ids(&dir), [1, 2, 3]);
    }

    #[test]
    fn a_queue_at_its_bound_gives_the_batch_back() {
        let dir = Scratch::new("writer-bound");
        let (writer, mut reports) = start(&dir);
        let other = Connection::open(dir.path(FILE)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = (1..).find_map(|id| writer.append(batch(id)).err()).unwrap();
        assert!(refused.id as usize > QUEUE_BATCHES);
        other.execute_batch("COMMIT").unwrap();
        until(&mut reports, refused.id - 1);
        writer.append(refused).unwrap();
    }

    #[test]
    fn the_end_does_not_wait_for_a_journal_that_refuses() {
        let dir = Scratch::new("writer-stuck");
        let (writer, mut reports) = start(&dir);
        let other = Connection::open(dir.path(FILE)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        writer.append(batch(1)).unwrap();
        assert!(matches!(reports.blocking_recv().unwrap(), Report::Failed(_)));
        drop(writer);
        other.execute_batch("COMMIT").unwrap();
        assert!(ids(&dir).is_empty(), "not reported as committed, so it may be missing");
    }
}
