//! SIGINT and SIGTERM while the engine runs: the first lets the callback finish and ends the loop, a second interrupts
//! the callback.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::reactor::Reactor;

/// The handlers that were there before.
pub(crate) struct Signals {
    before: Vec<(Py<PyAny>, Py<PyAny>)>,
}

impl Signals {
    /// Takes over the signals nobody else has taken. Outside the main thread Python allows no handlers: nothing is
    /// done.
    pub(crate) fn install(py: Python<'_>, reactor: &Arc<Reactor>) -> PyResult<Self> {
        let threading = py.import("threading")?;
        let here = threading.call_method0("current_thread")?;
        let mut before = Vec::new();
        if !here.is(threading.call_method0("main_thread")?) {
            return Ok(Self { before });
        }
        let signal = py.import("signal")?;
        let defaults = [signal.getattr("SIG_DFL")?, signal.getattr("default_int_handler")?];
        for name in ["SIGINT", "SIGTERM"] {
            let number = signal.getattr(name)?;
            let present = signal.call_method1("getsignal", (&number,))?;
            let untaken = defaults.iter().any(|default| present.eq(default).unwrap_or(false));
            if !untaken {
                continue;
            }
            signal.call_method1("signal", (&number, handler(py, reactor.clone())?))?;
            before.push((number.unbind(), present.unbind()));
        }
        Ok(Self { before })
    }

    /// Puts the handlers back.
    pub(crate) fn restore(self, py: Python<'_>) -> PyResult<()> {
        let signal = py.import("signal")?;
        for (number, present) in self.before {
            signal.call_method1("signal", (number, present))?;
        }
        Ok(())
    }
}

fn handler(py: Python<'_>, reactor: Arc<Reactor>) -> PyResult<Bound<'_, PyCFunction>> {
    let told = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<()> {
        let before = reactor.signals.fetch_add(1, Ordering::Relaxed);
        reactor.stop.store(true, Ordering::Relaxed);
        reactor.wake();
        if before > 0 { Err(PyKeyboardInterrupt::new_err(())) } else { Ok(()) }
    };
    PyCFunction::new_closure(py, Some(c"stop"), None, told)
}
