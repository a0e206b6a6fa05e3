//! The engine: one loop on the calling thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use rustls::ClientConfig;
use tradingsys::client::Config;
use tradingsys::client::collector::Collector;
use tradingsys::client::event::LocalError;
use tradingsys::client::machine::Declared;
use tradingsys::time::{Span, Time};
use tradingsys::wire::error::{ErrorBody, ErrorCode};
use tradingsys::wire::request::Ack;

use crate::clock::duration;
use crate::collector::{Collecting, Pauses};
use crate::convert::{misuse, raise};
use crate::desk::Desk;
use crate::reactor::{Reactor, lock};
use crate::session::Session;
use crate::signals::Signals;
use crate::tls;
use crate::token::{Address, Given};

/// Market data is handled at least for so long before the sockets are looked at again.
const MARKET_SLICE: Span = Span::from_millis(1);
/// And at most for so long: a private event may have come.
const LONGEST_SLICE: Span = Span::from_millis(20);

struct Due {
    callback: Py<PyAny>,
    every: Option<Span>,
}

#[derive(Default)]
struct Timers {
    due: BTreeMap<(Time, u64), Due>,
    last_id: u64,
}

#[pyclass(frozen, module = "pyalgo", weakref)]
pub(crate) struct Engine {
    reactor: Arc<Reactor>,
    sessions: Mutex<Vec<Py<Session>>>,
    timers: Arc<Mutex<Timers>>,
    collecting: Collecting,
    collector: Mutex<Option<Collector>>,
}

/// A timer of an engine.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Timer {
    timers: Arc<Mutex<Timers>>,
    id: u64,
}

#[pymethods]
impl Timer {
    /// It does not fire any more.
    fn cancel(&self) {
        let mut timers = lock(&self.timers);
        let found = timers.due.keys().find(|(_, id)| *id == self.id).copied();
        let gone = found.and_then(|key| timers.due.remove(&key));
        drop(timers);
        drop(gone);
    }
}

fn seconds(value: f64, what: &str) -> PyResult<Span> {
    if value.is_finite() && (0.0..1e9).contains(&value) {
        return Ok(Span::from_nanos((value * 1e9) as i64));
    }
    Err(PyValueError::new_err(format!("{what} is a number of seconds from 0 up, not {value}")))
}

/// The two ways to give a token exclude each other.
pub(crate) fn given(token: Option<String>, file: Option<PathBuf>) -> PyResult<Given> {
    match (token, file) {
        (Some(_), Some(_)) => Err(PyValueError::new_err("give token= or token_file=, not both")),
        (Some(token), None) => Ok(Given::Text(token)),
        (None, Some(file)) => Ok(Given::File(file)),
        (None, None) => Ok(Given::Nothing),
    }
}

/// What shall become of the session when it is lost.
fn declared(heartbeat: Option<f64>, on_lost: &str, grace: f64, trading: bool) -> PyResult<Declared> {
    let refuse = |message: &str| Err(PyValueError::new_err(message.to_owned()));
    let cancels = match on_lost {
        "cancel" => true,
        "keep" => false,
        _ => {
            return Err(PyValueError::new_err(format!("on_lost is \"keep\" or \"cancel\", not {on_lost:?}")));
        }
    };
    if cancels && !trading {
        return refuse("on_lost=\"cancel\" is for a session with trading=True");
    }
    if grace != 0.0 && !cancels {
        return refuse("grace= goes with on_lost=\"cancel\"");
    }
    let heartbeat = heartbeat.map(|beat| seconds(beat, "heartbeat")).transpose()?;
    if heartbeat.is_some_and(|beat| beat < Span::from_millis(100) || beat > Span::from_secs(3_600)) {
        return refuse("heartbeat is a number of seconds from 0.1 to 3600");
    }
    let grace = seconds(grace, "grace")?;
    Ok(Declared { heartbeat, cancel_after: cancels.then_some(grace) })
}

/// What TLS needs, at an address that speaks it.
pub(crate) fn secured(
    py: Python<'_>,
    address: &Address,
    ca: Option<PathBuf>,
) -> PyResult<Option<Arc<ClientConfig>>> {
    if !address.is_tls() {
        let unused = || PyValueError::new_err("ca= is for addresses that begin with wss://");
        return ca.map_or(Ok(None), |_| Err(unused()));
    }
    let config = tls::config(ca.as_deref());
    config.map(Some).map_err(|message| raise(py, &LocalError::Connect.body(message)))
}

impl Engine {
    fn sessions(&self, py: Python<'_>) -> Vec<Py<Session>> {
        lock(&self.sessions).iter().map(|session| session.clone_ref(py)).collect()
    }

    /// One turn of the loop: wait at most so long, read, call back, acknowledge.
    fn turn(&self, py: Python<'_>, longest: Duration) -> PyResult<usize> {
        self.reactor.turns.fetch_add(1, Ordering::Relaxed);
        let sessions = self.sessions(py);
        self.reactor.wait(py, self.idle_for(&sessions).min(longest))?;
        py.check_signals()?;
        let began = self.reactor.now();
        py.detach(|| sessions.iter().for_each(|session| session.get().pump()));
        let share = market_share(self.reactor.now() - began);
        let mut count = 0;
        for session in &sessions {
            count += session.get().dispatch_private(py)?;
        }
        for session in &sessions {
            if self.reactor.has_stopped() {
                break;
            }
            count += session.get().dispatch_market(py, share)?;
        }
        count += self.fire(py)?;
        for session in &sessions {
            session.get().sweep_released();
            session.get().turned();
        }
        Ok(count)
    }

    fn idle_for(&self, sessions: &[Py<Session>]) -> Duration {
        if self.reactor.has_ready() {
            return Duration::ZERO;
        }
        let timer = lock(&self.timers).due.keys().next().map(|(due, _)| duration(*due - self.reactor.now()));
        let session = sessions.iter().filter_map(|session| session.get().idle_for()).min();
        let word = sessions.iter().filter_map(|session| session.get().acknowledges_in()).min();
        timer.into_iter().chain(session).chain(word).min().unwrap_or(Duration::MAX)
    }

    /// Calls the timers that are due; each once in a turn.
    fn fire(&self, py: Python<'_>) -> PyResult<usize> {
        let now = self.reactor.now();
        let last = lock(&self.timers).last_id;
        let mut count = 0;
        loop {
            let callback = {
                let mut timers = lock(&self.timers);
                let next = timers.due.range(..=(now, u64::MAX)).find(|((_, id), _)| *id <= last);
                let Some(key) = next.map(|(key, _)| *key) else { return Ok(count) };
                let Some(due) = timers.due.remove(&key) else { return Ok(count) };
                let callback = due.callback.clone_ref(py);
                if let Some(every) = due.every {
                    // Beats that were missed are not made up for.
                    let next = (key.0 + every).max(now + Span::from_nanos(1));
                    timers.due.insert((next, key.1), due);
                }
                callback
            };
            callback.call0(py)?;
            count += 1;
        }
    }

    fn set_timer(
        &self,
        py: Python<'_>,
        wait: Span,
        every: Option<Span>,
        callback: Py<PyAny>,
    ) -> PyResult<Timer> {
        self.reactor.check_thread(py)?;
        let due = self.reactor.now() + wait;
        let mut timers = lock(&self.timers);
        timers.last_id += 1;
        let id = timers.last_id;
        timers.due.insert((due, id), Due { callback, every });
        Ok(Timer { timers: self.timers.clone(), id })
    }

    fn run_collecting(&self, py: Python<'_>) -> PyResult<()> {
        let before = *lock(&self.collector);
        let mut pauses = Pauses::begin(py, self.collecting, before, &self.reactor.clock)?;
        let done = self.run_until_stopped(py, pauses.as_mut());
        // Nobody else would, should the program go on without this engine.
        self.sessions(py).iter().for_each(|session| session.get().acknowledge());
        let Some(pauses) = pauses else { return done };
        *lock(&self.collector) = Some(pauses.collector());
        done.and(pauses.end(py))
    }

    fn run_until_stopped(&self, py: Python<'_>, mut pauses: Option<&mut Pauses>) -> PyResult<()> {
        while !self.reactor.has_stopped() {
            let count = self.turn(py, self.reactor.interval)?;
            if let Some(pauses) = &mut pauses {
                pauses.turned(py, count, !self.reactor.has_ready(), &self.reactor.clock)?;
            }
            let mut sessions = lock(&self.sessions);
            let before = sessions.len();
            let (open, over): (Vec<_>, Vec<_>) =
                std::mem::take(&mut *sessions).into_iter().partition(|session| session.get().is_open());
            *sessions = open;
            let all_over = before > 0 && sessions.is_empty();
            drop(sessions);
            drop(over);
            if all_over && lock(&self.timers).due.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn shut_all(&self, py: Python<'_>) {
        for session in self.sessions(py) {
            session.get().shut();
        }
    }

    fn connect(&self, py: Python<'_>, session: Session, patience: Span) -> PyResult<Py<Session>> {
        let session = Py::new(py, session)?;
        session.get().open(py, patience)?;
        Ok(session)
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (interval = 0.001, *, collect = "idle"))]
    fn new(interval: f64, collect: &str) -> PyResult<Self> {
        let collecting = Collecting::named(collect)?;
        let interval = duration(seconds(interval, "interval")?);
        let reactor = Reactor::new(interval).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self {
            reactor: Arc::new(reactor),
            sessions: Mutex::new(Vec::new()),
            timers: Arc::new(Mutex::new(Timers::default())),
            collecting,
            collector: Mutex::new(None),
        })
    }

    /// Connects to a gateway and logs a session in.
    #[pyo3(signature = (addr, session_id, name = "", trading = false, take_over = false, token_file = None,
        cursor = None, wait = 15.0, autocommit = true, token = None, ca = None, heartbeat = None, on_lost = "keep",
        grace = 0.0))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn make_session(
        &self,
        py: Python<'_>,
        addr: &str,
        session_id: &Bound<'_, PyAny>,
        name: &str,
        trading: bool,
        take_over: bool,
        token_file: Option<PathBuf>,
        cursor: Option<(u64, u64)>,
        wait: f64,
        autocommit: bool,
        token: Option<String>,
        ca: Option<PathBuf>,
        heartbeat: Option<f64>,
        on_lost: &str,
        grace: f64,
    ) -> PyResult<Py<Session>> {
        self.reactor.check_thread(py)?;
        let address =
            Address::parse(addr).map_err(|message| raise(py, &LocalError::Connect.body(message)))?;
        let given = given(token, token_file)?;
        let tls = secured(py, &address, ca)?;
        let session_id: u16 = session_id.extract().map_err(|_| {
            let message = format!("session_id {session_id:?} is not a whole number from 0 to 65535");
            raise(py, &ErrorBody::new(ErrorCode::InvalidSession, message))
        })?;
        let patience = seconds(wait, "wait")?;
        let declared = declared(heartbeat, on_lost, grace, trading)?;
        let make = || {
            let mut seed = [0; 8];
            // Without randomness the jitter is the same for all: no harm.
            let _ = getrandom::fill(&mut seed);
            let config = Config {
                session_id,
                name: name.to_owned(),
                trading,
                take_over,
                cursor: cursor.map(|(generation, sequence)| Ack { generation, sequence }),
                autocommit,
                declared,
                seed: u64::from_ne_bytes(seed),
            };
            let token = self.reactor.next_token();
            let desk = Desk::new(config, address.clone(), tls.clone(), given.clone(), token);
            Session::new(self.reactor.clone(), addr.to_owned(), desk)
        };
        let session = match self.connect(py, make(), patience) {
            Err(error) if is_duplicate(py, &error) && collect(py)? > 0 => {
                // The owner may have been a forgotten object of this very process, as in a notebook cell that is run
                // again.
                self.connect(py, make(), patience)
            }
            done => done,
        }?;
        session.get().log_beginning(py)?;
        lock(&self.sessions).push(session.clone_ref(py));
        Ok(session)
    }

    /// Runs until `stop()`, a signal, or an exception of a callback.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        if self.reactor.running.swap(true, Ordering::Relaxed) {
            return Err(misuse(py, "this engine is running already"));
        }
        let owner = self.reactor.claim();
        let signals = Signals::install(py, &self.reactor);
        let done = signals.and_then(|signals| {
            let done = self.run_collecting(py);
            let told = self.reactor.signals.swap(0, Ordering::Relaxed) > 0;
            if told {
                self.shut_all(py);
            }
            signals.restore(py)?;
            match done {
                Err(error) if told && error.is_instance_of::<PyKeyboardInterrupt>(py) => Ok(()),
                done => done,
            }
        });
        self.reactor.stop.store(false, Ordering::Relaxed);
        self.reactor.give_back(owner);
        self.reactor.running.store(false, Ordering::Relaxed);
        done
    }

    /// The same as `run()`.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py)
    }

    /// Makes `run()` return; from any thread.
    fn stop(&self) {
        self.reactor.stop.store(true, Ordering::Relaxed);
        self.reactor.wake();
    }

    /// One turn without waiting: reads what has arrived and calls back. Returns how many callbacks were called for.
    fn process(&self, py: Python<'_>) -> PyResult<usize> {
        self.reactor.check_thread(py)?;
        if self.reactor.running.load(Ordering::Relaxed) {
            return Err(misuse(py, "this engine is running: process() is for loops of your own"));
        }
        let count = self.turn(py, Duration::ZERO)?;
        // Nobody knows when the next turn comes.
        self.sessions(py).iter().for_each(|session| session.get().acknowledge());
        Ok(count)
    }

    /// Nanoseconds since the epoch, UTC, steady.
    fn now(&self) -> i64 {
        self.reactor.now().nanos()
    }

    /// Calls `callback()` every so many seconds.
    fn every(&self, py: Python<'_>, s: f64, callback: Py<PyAny>) -> PyResult<Timer> {
        let every = seconds(s, "the period")?;
        self.set_timer(py, every, Some(every), callback)
    }

    /// Calls `callback()` once, after so many seconds.
    fn after(&self, py: Python<'_>, s: f64, callback: Py<PyAny>) -> PyResult<Timer> {
        let wait = seconds(s, "the wait")?;
        self.set_timer(py, wait, None, callback)
    }

    #[getter]
    fn interval(&self) -> f64 {
        self.reactor.interval.as_secs_f64()
    }
    #[getter]
    fn collect(&self) -> &'static str {
        self.collecting.name()
    }
    #[getter]
    fn turns(&self) -> u64 {
        self.reactor.turns.load(Ordering::Relaxed)
    }
    #[getter(sessions)]
    fn get_sessions(&self, py: Python<'_>) -> Vec<Py<Session>> {
        self.sessions(py).into_iter().filter(|session| !session.get().is_closed()).collect()
    }

    /// Closes all sessions.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.reactor.check_thread(py)?;
        self.shut_all(py);
        let gone = std::mem::take(&mut *lock(&self.sessions));
        drop(gone);
        Ok(())
    }
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }
    fn __repr__(&self) -> String {
        let sessions = lock(&self.sessions).len();
        format!("Engine(interval={}, {sessions} sessions)", self.interval())
    }
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(sessions) = self.sessions.try_lock() {
            sessions.iter().try_for_each(|session| visit.call(session))?;
        }
        if let Ok(timers) = self.timers.try_lock() {
            timers.due.values().try_for_each(|due| visit.call(&due.callback))?;
        }
        Ok(())
    }
    fn __clear__(&self) {
        let sessions = std::mem::take(&mut *lock(&self.sessions));
        let timers = std::mem::take(&mut lock(&self.timers).due);
        drop((sessions, timers));
    }
}

/// How long callbacks get market data after reading took so long: twice that, so that under a flood most of what is
/// read is also handled, within bounds.
fn market_share(read: Span) -> Span {
    (read * 2).clamp(MARKET_SLICE, LONGEST_SLICE)
}

fn is_duplicate(py: Python<'_>, error: &PyErr) -> bool {
    let code = error.value(py).getattr("code").and_then(|code| code.extract::<i64>());
    code.is_ok_and(|code| code == ErrorCode::DuplicateLogin.code())
}

/// Collects garbage; says how many objects that was.
fn collect(py: Python<'_>) -> PyResult<usize> {
    py.import("gc")?.call_method0("collect")?.extract()
}
