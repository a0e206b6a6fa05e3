//! What a monitor asks for: `/metrics` in Prometheus' text format 0.0.4, and `/healthz`.
//!
//! ```text
//!   a thread of its own: HTTP ──at most ten times a second──▶ the loop: one reading ──▶ a page
//! ```
//!
//! Whoever asks costs the loop next to nothing: it hands out plain numbers, and no more often than that, however many
//! ask. Pages are written and sent by a thread of their own, which so also notices when the loop does not answer.

mod health;
mod http;
pub mod meters;
mod page;

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};
use tradingsys::gateway::gauges::Gauges;

use self::meters::Meters;
use crate::links::LinkCounts;
use crate::server::Door;

/// A reading serves all who ask for so long.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// Longest the loop may take to answer. Beyond it counts as stuck.
const LOOP_WITHIN: Duration = Duration::from_secs(2);

/// All numbers of one moment.
#[derive(Debug)]
pub struct Reading {
    /// Of the gateway.
    pub gauges: Gauges,
    /// Of the loop and the journal.
    pub meters: Meters,
    /// Of the links to the exchange.
    pub links: LinkCounts,
    /// Handshakes that were refused at the door.
    pub handshakes_refused: u64,
    /// Number of the journal's last record.
    pub journal_records: u64,
}

/// A question for a reading.
pub type Asked = oneshot::Sender<Box<Reading>>;

/// What does not change while the gateway runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Name of the program.
    pub exe: &'static str,
    /// Folder of the stores.
    pub db: PathBuf,
    /// When the process began, in seconds since 1970.
    pub started: f64,
}

impl Facts {
    /// Of a process that begins now.
    pub fn new(exe: &'static str, db: &Path) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self { exe, db: db.to_owned(), started: since.unwrap_or_default().as_secs_f64() }
    }
}

/// Serves the pages at these sockets, of that port, from a thread of its own, for as long as the process lives. Each
/// question that arrives at the receiver wants one reading.
///
/// # Errors
/// The system gives no thread, or the sockets cannot be used.
pub fn start(
    listeners: Vec<std::net::TcpListener>,
    port: u16,
    facts: Facts,
) -> io::Result<mpsc::Receiver<Asked>> {
    let (ask, asked) = mpsc::channel(1);
    listeners.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("metrics".into()).spawn(move || {
        let pages = Rc::new(Pages { ask, facts, last: RefCell::default(), one: Mutex::new(()) });
        let door = Rc::new(Door { port, allowed_origins: Vec::new() });
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, http::serve(listeners, &door, &pages));
    })?;
    Ok(asked)
}

/// Where pages come from.
struct Pages {
    ask: mpsc::Sender<Asked>,
    facts: Facts,
    last: RefCell<Option<(Instant, Rc<Reading>)>>,
    /// The loop is asked once at a time.
    one: Mutex<()>,
}

impl Pages {
    /// The numbers of this moment; `None`: the loop does not answer.
    async fn reading(&self) -> Option<Rc<Reading>> {
        let _one = self.one.lock().await;
        let last = self.last.borrow().clone();
        if let Some((at, reading)) = last
            && at.elapsed() < FRESH_FOR
        {
            return Some(reading);
        }
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.ask.send(answer).await.ok()?;
            answered.await.ok()
        };
        let reading = Rc::<Reading>::from(tokio::time::timeout(LOOP_WITHIN, asking).await.ok()??);
        *self.last.borrow_mut() = Some((Instant::now(), Rc::clone(&reading)));
        Some(reading)
    }

    /// The page of all numbers; without the loop's, where it does not answer.
    async fn metrics(&self) -> String {
        let reading = self.reading().await;
        page::page(&self.facts, reading.as_deref())
    }

    /// Whether it is ready, and the page that says why not.
    async fn health(&self) -> (bool, String) {
        let reading = self.reading().await;
        let condition = reading.as_deref().map(|reading| &reading.gauges.condition);
        health::page(condition)
    }
}
