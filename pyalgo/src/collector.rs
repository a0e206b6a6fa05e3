//! Python's garbage collector while the engine runs: it is off, and the loop collects in its pauses.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tradingsys::client::collector::Collector;

use crate::clock::Clock;

/// Who decides when garbage is collected while the engine runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collecting {
    /// The loop, when nothing waits to be read.
    Idle,
    /// Python, in the middle of whatever allocates.
    Python,
}

impl Collecting {
    pub(crate) fn named(name: &str) -> PyResult<Self> {
        match name {
            "idle" => Ok(Self::Idle),
            "python" => Ok(Self::Python),
            _ => Err(PyValueError::new_err(format!("collect is \"idle\" or \"python\", not {name:?}"))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Python => "python",
        }
    }
}

/// The collector, taken over for as long as the engine runs.
pub(crate) struct Pauses {
    collect: Py<PyAny>,
    get_count: Py<PyAny>,
    thresholds: [u64; 3],
    collector: Collector,
    frozen: bool,
    waiting: bool,
}

impl Pauses {
    /// Takes the collector over: collects all, unless `before` says that this was done just now, sets aside what is
    /// there, and keeps Python from collecting by itself. `None` where somebody else has decided: the program has
    /// turned it off, or another engine of this process has.
    pub(crate) fn begin(
        py: Python<'_>,
        collecting: Collecting,
        before: Option<Collector>,
        clock: &Clock,
    ) -> PyResult<Option<Self>> {
        let gc = py.import("gc")?;
        if collecting == Collecting::Python || !gc.call_method0("isenabled")?.extract::<bool>()? {
            return Ok(None);
        }
        let collect = gc.getattr("collect")?;
        let began = clock.now();
        let collector = match before.filter(|before| !before.has_rested(began)) {
            Some(before) => before,
            None => {
                collect.call0()?;
                Collector::new(began, clock.now())
            }
        };
        // What a program has set aside itself stays so after us: then nothing is added to it.
        let frozen = gc.call_method0("get_freeze_count")?.extract::<u64>()? == 0;
        if frozen {
            gc.call_method0("freeze")?;
        }
        let thresholds = gc.call_method0("get_threshold")?.extract()?;
        gc.call_method0("disable")?;
        let get_count = gc.getattr("get_count")?.unbind();
        Ok(Some(Self { collect: collect.unbind(), get_count, thresholds, collector, frozen, waiting: false }))
    }

    /// After a turn that called back so often: collects what is due, if nothing waits to be read.
    pub(crate) fn turned(
        &mut self,
        py: Python<'_>,
        callbacks: usize,
        idle: bool,
        clock: &Clock,
    ) -> PyResult<()> {
        // Without a callback nothing was made, and asking costs something in a loop that never sleeps.
        if callbacks == 0 && !self.waiting {
            return Ok(());
        }
        let counts = self.get_count.call0(py)?.extract(py)?;
        let now = clock.now();
        let Some(generation) = self.collector.due(now, counts, self.thresholds, idle) else {
            self.waiting = !idle;
            return Ok(());
        };
        self.collect.call1(py, (generation,))?;
        self.collector.collected(generation, now, clock.now());
        self.waiting = false;
        Ok(())
    }

    /// What is to be known at the next beginning.
    pub(crate) fn collector(&self) -> Collector {
        self.collector
    }

    /// Gives the collector back to Python, as it was.
    pub(crate) fn end(self, py: Python<'_>) -> PyResult<()> {
        let gc = py.import("gc")?;
        if self.frozen {
            gc.call_method0("unfreeze")?;
        }
        gc.call_method0("enable")?;
        Ok(())
    }
}
