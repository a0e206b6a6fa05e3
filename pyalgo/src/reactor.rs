//! What all sessions of an engine share: the poll, the clock, the wish to stop, the thread that may use them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token, Waker};
use pyo3::prelude::*;
use tradingsys::client::event::LocalError;
use tradingsys::time::Time;

use crate::clock::Clock;
use crate::convert::raise;

/// A signal that was delivered to another thread is noticed after this long at the latest.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
const WAKE: Token = Token(0);

struct Poller {
    poll: Poll,
    events: Events,
    ready: BTreeSet<Token>,
}

pub(crate) struct Reactor {
    poller: Mutex<Poller>,
    pub(crate) registry: Registry,
    waker: Waker,
    pub(crate) clock: Clock,
    pub(crate) interval: Duration,
    owner: AtomicU64,
    pub(crate) stop: AtomicBool,
    pub(crate) signals: AtomicU32,
    pub(crate) running: AtomicBool,
    pub(crate) turns: AtomicU64,
    last_token: AtomicUsize,
}

/// A lock whose holder cannot have left it half done: no code between lock and unlock panics on purpose.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Number of the calling thread; `ThreadId` has none that fits an atomic.
fn this_thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static THIS: u64 = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    }
    THIS.with(|this| *this)
}

impl Reactor {
    pub(crate) fn new(interval: Duration) -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE)?;
        let poller = Poller { poll, events: Events::with_capacity(256), ready: BTreeSet::new() };
        Ok(Self {
            poller: Mutex::new(poller),
            registry,
            waker,
            clock: Clock::start(),
            interval,
            owner: AtomicU64::new(this_thread()),
            stop: AtomicBool::new(false),
            signals: AtomicU32::new(0),
            running: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            last_token: AtomicUsize::new(0),
        })
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn next_token(&self) -> Token {
        Token(self.last_token.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// From here on the calling thread may use engine and sessions, and no other; says who could before.
    pub(crate) fn claim(&self) -> u64 {
        self.owner.swap(this_thread(), Ordering::Relaxed)
    }

    /// Gives engine and sessions back to that thread.
    pub(crate) fn give_back(&self, owner: u64) {
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// Refuses every thread but the owner.
    pub(crate) fn check_thread(&self, py: Python<'_>) -> PyResult<()> {
        if self.owner.load(Ordering::Relaxed) == this_thread() {
            return Ok(());
        }
        let message = "an engine and its sessions belong to the thread that runs the engine; from other threads \
                       only eng.stop() and eng.now() may be called";
        Err(raise(py, &LocalError::WrongThread.body(message)))
    }

    /// Is the loop to end?
    pub(crate) fn has_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Wakes a waiting engine; from any thread.
    pub(crate) fn wake(&self) {
        // If even this fails, the engine wakes by its interval.
        let _ = self.waker.wake();
    }

    /// Waits with the interpreter released, until something arrives or the time is over.
    pub(crate) fn wait(&self, py: Python<'_>, longest: Duration) -> PyResult<()> {
        py.detach(|| self.poll(longest.min(LONGEST_SLEEP)))?;
        Ok(())
    }

    fn poll(&self, longest: Duration) -> std::io::Result<()> {
        let mut poller = lock(&self.poller);
        let Poller { poll, events, ready } = &mut *poller;
        match poll.poll(events, Some(longest)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        ready.extend(events.iter().map(mio::event::Event::token).filter(|token| *token != WAKE));
        events.clear();
        Ok(())
    }

    /// Has something arrived for this connection since it was read dry?
    pub(crate) fn take_ready(&self, token: Token) -> bool {
        lock(&self.poller).ready.remove(&token)
    }

    /// Does something wait to be read?
    pub(crate) fn has_ready(&self) -> bool {
        !lock(&self.poller).ready.is_empty()
    }

    /// This connection was not read dry.
    pub(crate) fn keep_ready(&self, token: Token) {
        lock(&self.poller).ready.insert(token);
    }
}
