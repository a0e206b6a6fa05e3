//! The thread that keeps `pos.db` and moves the journal's write-ahead log into its file. Whatever holds it up
//! — a user's editor, a full disk — it tries again; trading goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc;
use tradingsys::gateway::io::Projection;

use super::books::{Applied, Booked, Books, Findings};
use super::{is_busy, journal};
use crate::failpoint::failpoint;

/// Pause before a locked file is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// A file somebody holds no longer than this is nothing to speak of: reading it takes a moment too.
const BUSY_FOR: Duration = Duration::from_secs(2);

/// How often the write-ahead log is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Size of the write-ahead log beyond which it is moved into the journal's file.
const LOG_BYTES: u64 = 4 << 20;

/// Tries for the last rows when the gateway ends while the file is locked. They are shown at the next start.
const LAST_TRIES: u32 = 4;

/// Rows, and the place in the journal they come from.
#[derive(Debug)]
pub struct Job {
    /// The rows.
    pub rows: Projection,
    /// Where the journal stands.
    pub applied: Applied,
}

/// The near end of the thread. It takes one job at a time and reports when it is done.
#[derive(Debug)]
pub struct Projector {
    queue: Option<SyncSender<Job>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
#[derive(Debug)]
pub enum Opening {
    /// The file is open.
    Open(Box<Books>),
    /// Somebody holds it: to be opened as soon as it is free.
    Locked {
        /// Market word.
        market: &'static str,
        /// The journal's id.
        journal: String,
        /// What it has booked of edits.
        booked: Booked,
    },
}

impl Projector {
    /// Starts the thread. Each job done is reported by a unit.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(folder: &Path, opening: Opening) -> io::Result<(Self, mpsc::Receiver<()>)> {
        let (queue, jobs) = sync_channel(1);
        let (done, receiver) = mpsc::channel(1);
        let ending = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            folder: folder.to_owned(),
            books: opening,
            done,
            ending: Arc::clone(&ending),
            checkpoints: None,
            troubled: false,
        };
        let thread = std::thread::Builder::new().name("books".into()).spawn(move || keeper.run(&jobs))?;
        Ok((Self { queue: Some(queue), ending, thread: Some(thread) }, receiver))
    }

    /// Hands rows over.
    ///
    /// # Errors
    /// The job itself, if the one before is not done.
    pub fn project(&self, job: Job) -> Result<(), Job> {
        match self.queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Err(TrySendError::Full(job) | TrySendError::Disconnected(job))) => Err(job),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Keeper {
    folder: PathBuf,
    books: Opening,
    done: mpsc::Sender<()>,
    ending: Arc<AtomicBool>,
    checkpoints: Option<Connection>,
    troubled: bool,
}

impl Keeper {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(HOUSEKEEPING) {
                Ok(job) => {
                    failpoint!("before_projection");
                    self.project(&job);
                    failpoint!("after_projection");
                    let _ = self.done.blocking_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.checkpoint();
        }
    }

    /// Until it is done, or the gateway ends and the file stays locked.
    fn project(&mut self, job: &Job) {
        let mut last_tries = 0;
        let start = Instant::now();
        while let Err((reason, busy)) = self.attempt(job) {
            if !self.troubled && (!busy || start.elapsed() >= BUSY_FOR) {
                self.troubled = true;
                let advice = if busy { "close the editor that holds it" } else { "retrying" };
                tracing::warn!(target: "books", reason, advice, "pos_db_waits");
            }
            if self.ending.load(Ordering::Relaxed) {
                last_tries += 1;
                if last_tries >= LAST_TRIES {
                    return;
                }
            }
            std::thread::sleep(RETRY);
            self.checkpoint();
        }
        if std::mem::take(&mut self.troubled) {
            tracing::info!(target: "books", "pos_db_up_to_date");
        }
    }

    /// The words and whether somebody holds the file.
    fn attempt(&mut self, job: &Job) -> Result<(), (String, bool)> {
        let books = match &mut self.books {
            Opening::Open(books) => books,
            Opening::Locked { market, journal, booked } => {
                let (mut books, findings) = Books::open(&self.folder, market, journal, booked)
                    .map_err(|error| (error.to_string(), error.is_busy()))?;
                log_late(&mut books, &findings);
                self.books = Opening::Open(Box::new(books));
                return self.attempt(job);
            }
        };
        let projected =
            books.project(&job.rows, &job.applied).map_err(|error| (error.to_string(), is_busy(&error)))?;
        for (session, symbol) in projected.edit_pending {
            tracing::info!(target: "books", %session, symbol = symbol.as_str(), "edit_pending");
        }
        if let Some(reason) = projected.rebuilt {
            tracing::warn!(target: "books", reason, "pos_db_rebuilt");
        }
        if projected.replaced {
            let advice = "restart the gateway: the file in its place is read then, and not touched before";
            tracing::error!(target: "books", advice, "pos_db_replaced");
        }
        Ok(())
    }

    fn checkpoint(&mut self) {
        let path = self.folder.join(journal::FILE);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        if std::fs::metadata(PathBuf::from(log)).map_or(0, |meta| meta.len()) < LOG_BYTES {
            return;
        }
        if self.checkpoints.is_none() {
            self.checkpoints = Connection::open(&path).ok();
        }
        let Some(connection) = &self.checkpoints else { return };
        #[cfg(feature = "failpoints")]
        crate::failpoint::checkpointing(&path);
        // Passive: it waits for nobody and holds nobody up.
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(target: "books", reason = %error, "checkpoint_failed");
            self.checkpoints = None;
        }
    }
}

fn log_late(books: &mut Books, findings: &Findings) {
    findings.tell();
    for (session, symbol) in books.postpone(findings) {
        tracing::warn!(target: "books", %session, symbol = symbol.as_str(), "edit_pending");
    }
    for bad in &findings.bad {
        tracing::error!(target: "books", reason = bad.reason.as_str(), "edit_not_understood");
    }
}

#[cfg(test)]
mod tests {
    use tradingsys::gateway::io::{Batch, PositionRow};
    use tradingsys::ids::{Asset, SessionId, Symbol};
    use tradingsys::journal::Record;
    use tradingsys::num::Cash;
    use tradingsys::time::Time;

    use super::*;
    use crate::files::scratch::Scratch;
    use crate::store::books;

    fn job(qty: &str) -> Job {
        let row = PositionRow {
            session: SessionId(1),
            symbol: Symbol::new("dogeusdt"),
            qty: qty.parse().unwrap(),
            avg_price: "1".parse().unwrap(),
            realised: Cash::ZERO,
            quote: Asset::new("USDT"),
            time: Time::default(),
        };
        let applied = Applied { journal: "j".into(), seq: 1, generation: 1 };
        Job { rows: Projection { positions: vec![row], ..Projection::default() }, applied }
    }

    fn qty(dir: &Scratch) -> String {
        Connection::open(dir.path(books::FILE))
            .unwrap()
            .query_row("SELECT group_concat(qty) FROM position", [], |row| row.get(0))
            .unwrap()
    }

    fn start(dir: &Scratch) -> (Projector, mpsc::Receiver<()>) {
        let (books, _) = Books::open(&dir.0, "spot", "j", &Booked::new()).unwrap();
        Projector::start(&dir.0, Opening::Open(Box::new(books))).unwrap()
    }

    #[test]
    fn rows_are_shown_one_job_at_a_time() {
        let dir = Scratch::new("projector");
        let (projector, mut done) = start(&dir);
        for n in 1..=3 {
            projector.project(job(&n.to_string())).unwrap();
            done.blocking_recv().unwrap();
            assert_eq!(qty(&dir), n.to_string());
        }
    }

    #[test]
    fn r57_a_locked_file_is_written_once_it_is_free() {
        let dir = Scratch::new("projector-locked");
        let (projector, mut done) = start(&dir);
        let editor = Connection::open(dir.path(books::FILE)).unwrap();
        editor.execute_batch("BEGIN EXCLUSIVE").unwrap();
        projector.project(job("5")).unwrap();
        assert!(done.try_recv().is_err(), "nobody can write it now");
        editor.execute_batch("COMMIT").unwrap();
        done.blocking_recv().unwrap();
        assert_eq!(qty(&dir), "5");
    }

    #[test]
    fn r57_a_file_locked_at_the_start_is_opened_later_and_its_edits_wait() {
        let dir = Scratch::new("projector-late");
        let (projector, mut done) = start(&dir);
        projector.project(job("5")).unwrap();
        done.blocking_recv().unwrap();
        drop(projector);
        let editor = Connection::open(dir.path(books::FILE)).unwrap();
        editor.execute_batch("BEGIN EXCLUSIVE; UPDATE position SET qty = '9'").unwrap();
        let opening = Opening::Locked { market: "spot", journal: "j".into(), booked: Booked::new() };
        let (projector, mut done) = Projector::start(&dir.0, opening).unwrap();
        projector.project(job("6")).unwrap();
        editor.execute_batch("COMMIT").unwrap();
        done.blocking_recv().unwrap();
        drop(projector);
        assert_eq!(qty(&dir), "9", "the user's, until the next start");
        let (_, findings) = Books::open(&dir.0, "spot", "j", &Booked::new()).unwrap();
        assert_eq!(findings.edits[0].shown, "5".parse().unwrap());
    }

    #[test]
    fn i21_an_edit_taken_back_in_a_file_locked_at_the_start_waits_too() {
        let dir = Scratch::new("projector-late-back");
        let (projector, mut done) = start(&dir);
        projector.project(job("10")).unwrap();
        done.blocking_recv().unwrap();
        drop(projector);
        // Set to 5 and booked; killed before 5 was shown. Another row was inserted and booked, and then deleted.
        let open = |sql: &str| {
            let editor = Connection::open(dir.path(books::FILE)).unwrap();
            editor.execute_batch(sql).unwrap();
            editor
        };
        open(
            "UPDATE position SET qty = '5'; INSERT INTO position(session_id, symbol, qty) VALUES(2, 'btcusdt', 1)",
        );
        let (_, findings) = Books::open(&dir.0, "spot", "j", &Booked::new()).unwrap();
        let booked: Booked = findings
            .edits
            .iter()
            .map(|edit| ((edit.session, edit.symbol.clone(), edit.revision), (edit.found, None)))
            .collect();
        assert_eq!(booked.len(), 2);
        let editor = open(
            "BEGIN EXCLUSIVE; UPDATE position SET qty = '10' WHERE session_id = 1; DELETE FROM position WHERE session_id = 2",
        );
        let opening = Opening::Locked { market: "spot", journal: "j".into(), booked: booked.clone() };
        let (projector, mut done) = Projector::start(&dir.0, opening).unwrap();
        let mut late = job("5");
        let mut inserted = late.rows.positions[0].clone();
        (inserted.session, inserted.symbol) = (SessionId(2), Symbol::new("btcusdt"));
        late.rows.positions.push(inserted);
        projector.project(late).unwrap();
        editor.execute_batch("COMMIT").unwrap();
        done.blocking_recv().unwrap();
        drop(projector);
        assert_eq!(qty(&dir), "10", "the user's last word, and no row where the user deleted one");
        let (_, findings) = Books::open(&dir.0, "spot", "j", &booked).unwrap();
        let told: Vec<_> = findings.taken_back.iter().map(|edit| edit.found.to_string()).collect();
        assert_eq!(told, ["10", "0"], "taken at the next start");
    }

    #[test]
    fn the_end_does_not_wait_for_an_editor() {
        let dir = Scratch::new("projector-end");
        let (projector, _done) = start(&dir);
        let editor = Connection::open(dir.path(books::FILE)).unwrap();
        editor.execute_batch("BEGIN EXCLUSIVE").unwrap();
        projector.project(job("5")).unwrap();
        let start = Instant::now();
        drop(projector);
        // The editor never lets go; a busy machine may take its time.
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_long_log_is_moved_into_the_journals_file() {
        let dir = Scratch::new("projector-wal");
        let (mut journal, _) = journal::Journal::open(&dir.0).unwrap();
        let reason = "x".repeat(4096);
        let records: Vec<Record> =
            (1..=1500).map(|generation| Record::Generation { generation, reason: reason.clone() }).collect();
        journal.append(&[Batch { id: 1, records, sync: false }], false).unwrap();
        let size = || std::fs::metadata(dir.path(journal::FILE)).unwrap().len();
        let before = size();
        let (_projector, _done) = start(&dir);
        let until = Instant::now() + HOUSEKEEPING * 20;
        while size() < before + LOG_BYTES {
            assert!(Instant::now() < until, "still {} bytes", size());
            std::thread::sleep(Duration::from_millis(20));
        }
        // The writer is not in its way, and begins the log anew.
        let batch = Batch { id: 2, records: vec![Record::End { time: Time::default() }], sync: true };
        journal.append(&[batch], true).unwrap();
    }
}
