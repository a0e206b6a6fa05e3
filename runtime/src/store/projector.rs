//! The thread that keeps `pos.db` and moves the journal's write-ahead log into its file. Whatever holds it up
//! — a user's editor, a full disk — it tries again; trading goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc;
use tradingsys::gateway::io::Projection;

use super::books::{Applied, Books, Findings};
use super::{is_busy, journal};

/// Pause before a locked file is tried again.
const RETRY: Duration = Duration::from_millis(250);

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
                    self.project(&job);
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
        while let Err(error) = self.attempt(job) {
            if !self.troubled {
                self.troubled = true;
                let advice = if error.1 { "close the editor that holds it" } else { "retrying" };
                tracing::warn!(target: "books", reason = error.0, advice, "pos_db_waits");
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
            Opening::Locked { market, journal } => {
                let (mut books, findings) = Books::open(&self.folder, market, journal)
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
        // Passive: it waits for nobody and holds nobody up.
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(target: "books", reason = %error, "checkpoint_failed");
            self.checkpoints = None;
        }
    }
}

fn log_late(books: &mut Books, findings: &Findings) {
    for (event, fields) in &findings.notes {
        tracing::warn!(target: "books", fields = fields.as_str(), "{event}");
    }
    for (session, symbol) in books.postpone(findings) {
        tracing::warn!(target: "books", %session, symbol = symbol.as_str(), "edit_pending");
    }
    for bad in &findings.bad {
        tracing::error!(target: "books", reason = bad.reason.as_str(), "edit_not_understood");
    }
}
