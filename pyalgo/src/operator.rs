//! The operator's connection: opened, asked, closed. One question at a time; whoever asks waits.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use serde_json::value::RawValue;
use tradingsys::client::event::LocalError;
use tradingsys::client::operator::{Heard, Operator as Machine};
use tradingsys::wire::error::{ErrorBody, ErrorCode};

use crate::convert::raise;
use crate::engine::{given, secured};
use crate::reactor::lock;
use crate::token::{self, Address, Given};
use crate::transport::{Connection, Found};

/// Python's signals are looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest a reply may be waited for.
const LONGEST: f64 = 86_400.0;

struct Line {
    poll: Poll,
    events: Events,
    connection: Connection,
    machine: Machine,
    /// Heard and not yet looked at.
    heard: Vec<Heard>,
}

#[pyclass(frozen, module = "pyalgo._core")]
pub(crate) struct Operator {
    line: Mutex<Line>,
    address: String,
    patience: Duration,
}

impl Line {
    /// Takes in what is there.
    fn read(&mut self, given: &Given) -> Result<(), ErrorBody> {
        loop {
            match self.connection.advance(self.poll.registry()) {
                Found::Nothing => return Ok(()),
                Found::Opened => {
                    let mut random = [0_u8; 32];
                    getrandom::fill(&mut random)
                        .map_err(|error| LocalError::Connect.body(format!("no randomness: {error}")))?;
                    let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                    let token = token::find_operators(self.connection.address(), given)
                        .map_err(|message| ErrorBody::new(ErrorCode::BadProof, message))?;
                    let hello = self.machine.opened(&token, &nonce);
                    self.send(hello)?;
                }
                Found::Text(text) => match self.machine.take(text.as_str())? {
                    Heard::Say(text) => self.send(text)?,
                    Heard::Nothing => {}
                    heard => self.heard.push(heard),
                },
                Found::Lost(_, reason) => return Err(LocalError::Connect.body(reason)),
            }
        }
    }

    fn send(&mut self, text: String) -> Result<(), ErrorBody> {
        let sent = self.connection.send(text).and_then(|()| self.connection.flush());
        sent.map_err(|found| match found {
            Found::Lost(_, reason) => LocalError::Connect.body(reason),
            _ => LocalError::Connect.body("the connection was lost"),
        })
    }

    /// Waits for something to arrive, and takes it in.
    fn wait(&mut self, longest: Duration, given: &Given) -> Result<(), ErrorBody> {
        match self.poll.poll(&mut self.events, Some(longest.min(LOOK_EVERY))) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(LocalError::Connect.body(error.to_string()));
            }
            _ => {}
        }
        if self.connection.is_blocked() {
            let _ = self.connection.flush();
        }
        self.read(given)
    }
}

impl Operator {
    /// Waits until something is heard.
    fn hear(&self, py: Python<'_>, given: &Given) -> PyResult<Heard> {
        let until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = py.detach(|| {
                let mut line = lock(&self.line);
                line.wait(left, given).map(|()| line.heard.pop())
            });
            match heard.map_err(|error| raise(py, &self.explained(error)))? {
                Some(heard) => return Ok(heard),
                None if left.is_zero() => {
                    let message = format!(
                        "the gateway at {} did not answer within {:?}; what was asked for may still be done",
                        self.address, self.patience
                    );
                    return Err(raise(py, &LocalError::Timeout.body(message)));
                }
                None => py.check_signals()?,
            }
        }
    }

    fn explained(&self, error: ErrorBody) -> ErrorBody {
        if error.code != LocalError::Connect.code() {
            return error;
        }
        let (ErrorBody { message, .. }, address) = (error, &self.address);
        LocalError::Connect.body(if lock(&self.line).machine.gateway().is_some() {
            format!("the gateway at {address} is lost; what was asked for may still be done ({message})")
        } else {
            format!("no gateway at {address} — start one with `spot -c spot.json` ({message})")
        })
    }
}

#[pymethods]
impl Operator {
    /// Connects and proves the operator's token.
    #[new]
    #[pyo3(signature = (addr, *, name = "pyalgo", token = None, token_file = None, ca = None, timeout = 10.0))]
    fn new(
        py: Python<'_>,
        addr: &str,
        name: &str,
        token: Option<String>,
        token_file: Option<PathBuf>,
        ca: Option<PathBuf>,
        timeout: f64,
    ) -> PyResult<Self> {
        if !(timeout > 0.0 && timeout <= LONGEST) {
            return Err(PyValueError::new_err(format!(
                "timeout is a number of seconds above 0 and up to {LONGEST}, not {timeout}"
            )));
        }
        let address =
            Address::parse(addr).map_err(|message| raise(py, &LocalError::Connect.body(message)))?;
        let given = given(token, token_file)?;
        let tls = secured(py, &address, ca)?;
        let failed = |error: std::io::Error| PyOSError::new_err(error.to_string());
        let poll = Poll::new().map_err(failed)?;
        let mut connection = Connection::new(address, tls, Token(1));
        let opened = connection.open(poll.registry());
        let (events, machine, heard) = (Events::with_capacity(16), Machine::new(name), Vec::new());
        let line = Mutex::new(Line { poll, events, connection, machine, heard });
        let operator = Self { line, address: addr.to_owned(), patience: Duration::from_secs_f64(timeout) };
        opened.map_err(|reason| raise(py, &operator.explained(LocalError::Connect.body(reason))))?;
        match operator.hear(py, &given)? {
            Heard::In(_) => Ok(operator),
            _ => Err(raise(py, &LocalError::Protocol.body("the gateway answered what was not asked"))),
        }
    }

    /// Product and version of the gateway.
    #[getter]
    fn gateway(&self) -> String {
        lock(&self.line).machine.gateway().map(|welcome| welcome.gateway.clone()).unwrap_or_default()
    }

    /// The reply to a request, both as JSON text.
    fn ask(&self, py: Python<'_>, method: &str, params: &str) -> PyResult<String> {
        let params = RawValue::from_string(params.to_owned())
            .map_err(|error| PyValueError::new_err(format!("params are no JSON: {error}")))?;
        {
            let mut line = lock(&self.line);
            let question = line.machine.ask(method, &params);
            let sent = line.send(question);
            drop(line);
            sent.map_err(|error| raise(py, &self.explained(error)))?;
        }
        match self.hear(py, &Given::Nothing)? {
            Heard::Reply(Ok(result)) => Ok(result.get().to_owned()),
            Heard::Reply(Err(error)) => Err(raise(py, &error)),
            _ => Err(raise(py, &LocalError::Protocol.body("the gateway answered what was not asked"))),
        }
    }

    /// Leaves.
    fn close(&self) {
        lock(&self.line).connection.close(1000, "done");
    }
}

/// A configuration's text as plain JSON: comments and trailing commas blanked out.
#[pyfunction]
pub(crate) fn plain_json(text: &str) -> String {
    tradingsys::jsonc::plain(text)
}
