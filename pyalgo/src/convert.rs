//! Between Python's values and ours: words, numbers, times, errors.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyFloat, PyInt, PyString, PyTzInfo};
use tradingsys::client::event::LocalError;
use tradingsys::client::number::{Given, NumberError, to_f64};
use tradingsys::ids::Symbol;
use tradingsys::market::{OrderStatus, OrderType, Side, Tif, WorkingType};
use tradingsys::num::{Cash, Percent, Price, Qty};
use tradingsys::time::Time;
use tradingsys::wire::error::ErrorBody;

/// A word enum that has a Python enum of the same name.
pub(crate) trait Word: Copy + PartialEq + 'static {
    const NAME: &'static str;
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
    fn cache() -> &'static PyOnceLock<Vec<Py<PyAny>>>;
}

macro_rules! word {
    ($type:ident, $name:literal, $all:expr) => {
        impl Word for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = $all;
            fn word(self) -> &'static str {
                self.as_str()
            }
            fn cache() -> &'static PyOnceLock<Vec<Py<PyAny>>> {
                static CACHE: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
                &CACHE
            }
        }
    };
}
word!(Side, "Side", Side::ALL);
word!(OrderType, "OrderType", OrderType::ALL);
word!(Tif, "Tif", Tif::ALL);
word!(WorkingType, "WorkingType", WorkingType::ALL);
word!(OrderStatus, "OrderState", OrderStatus::ALL);

/// The Python member of a word.
pub(crate) fn member<T: Word>(py: Python<'_>, value: T) -> PyResult<Py<PyAny>> {
    let members = T::cache().get_or_try_init(py, || {
        let class = py.import("pyalgo._enums")?.getattr(T::NAME)?;
        T::ALL.iter().map(|value| Ok(class.call1((value.word(),))?.unbind())).collect::<PyResult<Vec<_>>>()
    })?;
    let at = T::ALL.iter().position(|other| *other == value);
    at.and_then(|at| members.get(at))
        .map(|found| found.clone_ref(py))
        .ok_or_else(|| PyRuntimeError::new_err(format!("{} has no member {}", T::NAME, value.word())))
}

/// The word of a Python member, or of its text.
pub(crate) fn word_of<T: Word>(value: &Bound<'_, PyAny>) -> PyResult<T> {
    let found = value
        .cast::<PyString>()
        .ok()
        .and_then(|text| text.to_str().ok())
        .and_then(|text| T::ALL.iter().copied().find(|word| word.word().eq_ignore_ascii_case(text)));
    found.ok_or_else(|| {
        let words: Vec<_> = T::ALL.iter().map(|word| word.word()).collect();
        let shown = value.repr().map(|text| text.to_string()).unwrap_or_default();
        misuse(value.py(), &format!("{shown} is no {}; there are {}", T::NAME, words.join(", ")))
    })
}

/// A number as a strategy may give it, under the name it has there: `float`, `int`, `Decimal`, `str`, or what turns
/// into a `float`.
pub(crate) fn given(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Given> {
    let py = value.py();
    let parsed = if let Ok(float) = value.cast::<PyFloat>() {
        Given::from_f64(float.value())
    } else if let Ok(text) = value.cast::<PyString>() {
        Given::from_text(text.to_str()?)
    } else if value.is_instance_of::<PyInt>() || is_decimal(value)? {
        Given::from_text(value.str()?.to_str()?)
    } else {
        match value.extract::<f64>() {
            Ok(float) => Given::from_f64(float),
            Err(_) => Err(NumberError::Malformed(value.repr()?.to_string())),
        }
    };
    parsed.map_err(|error| invalid(py, name, &error))
}

fn is_decimal(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_instance(decimal_class(value.py())?)
}

fn decimal_class(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class =
        DECIMAL.get_or_try_init(py, || Ok::<_, PyErr>(py.import("decimal")?.getattr("Decimal")?.unbind()))?;
    Ok(class.bind(py))
}

/// An amount as `decimal.Decimal`.
pub(crate) fn decimal(py: Python<'_>, amount: Cash) -> PyResult<Py<PyAny>> {
    Ok(decimal_class(py)?.call1((amount.to_string(),))?.unbind())
}

pub(crate) fn invalid(py: Python<'_>, name: &str, error: &NumberError) -> PyErr {
    raise(py, &LocalError::InvalidNumber.body(format!("{name}: {error}")))
}

/// A callback as it is set: something that can be called with one argument, or `None`.
pub(crate) fn callback(py: Python<'_>, name: &str, value: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    let Some(found) = value.as_ref().map(|value| value.bind(py)) else { return Ok(None) };
    let fits = found.is_callable() && {
        // What has no signature to look at is taken as it is.
        let signature = py.import("inspect")?.call_method1("signature", (found,));
        signature.map_or(Ok(()), |signature| signature.call_method1("bind", (py.None(),)).map(drop)).is_ok()
    };
    if fits {
        return Ok(value);
    }
    let message =
        format!("{name} = {}: give a function that can be called with one argument, or None", found.repr()?);
    Err(misuse(py, &message))
}

pub(crate) fn misuse(py: Python<'_>, message: &str) -> PyErr {
    raise(py, &LocalError::Misuse.body(message))
}

/// The Python exception of an error: the class is chosen by its code.
pub(crate) fn error(py: Python<'_>, body: &ErrorBody) -> PyResult<Py<PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make =
        MAKE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("pyalgo._errors")?.getattr("error")?.unbind()))?;
    make.call1(py, (body.code, &body.name, &body.message, body.retry_after_ms.map(seconds)))
}

/// Milliseconds as seconds.
pub(crate) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1e3
}

/// The same, to be raised.
pub(crate) fn raise(py: Python<'_>, body: &ErrorBody) -> PyErr {
    match error(py, body) {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(error) => error,
    }
}

/// Nanoseconds since the epoch as an aware `datetime` in UTC, cut off to microseconds.
pub(crate) fn datetime(py: Python<'_>, time: Time) -> PyResult<Bound<'_, PyDateTime>> {
    let micros = time.nanos().div_euclid(1_000);
    let utc = PyTzInfo::utc(py)?;
    // Exact: microseconds since the epoch stay below 2^53 until the year 2255, and Python rounds to the nearest one.
    PyDateTime::from_timestamp(py, micros as f64 / 1e6, Some(&utc))
}

/// A point in time as given: nanoseconds since the epoch, or an aware `datetime`; cut off to a whole second.
pub(crate) fn deadline(value: &Bound<'_, PyAny>) -> PyResult<Time> {
    const SECOND: i64 = 1_000_000_000;
    let py = value.py();
    let seconds = if let Ok(nanos) = value.extract::<i64>() {
        nanos.div_euclid(SECOND)
    } else if let Ok(when) = value.cast::<PyDateTime>() {
        if when.getattr("tzinfo")?.is_none() {
            return Err(misuse(py, "good_till is a datetime without a time zone; give it one"));
        }
        when.call_method0("timestamp")?.extract::<f64>()?.floor() as i64
    } else {
        let message =
            format!("good_till is {}; give nanoseconds since the epoch or a datetime", value.repr()?);
        return Err(misuse(py, &message));
    };
    Ok(Time::from_nanos(seconds.saturating_mul(SECOND)))
}

pub(crate) fn price(value: Price) -> f64 {
    to_f64(value.raw())
}
pub(crate) fn qty(value: Qty) -> f64 {
    to_f64(value.raw())
}
pub(crate) fn percent(value: Percent) -> f64 {
    to_f64(value.raw())
}
pub(crate) fn cash(value: Cash) -> f64 {
    to_f64(value.raw())
}

/// A symbol in any case.
pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::new(text.trim())
}

/// Calls a Python function of the package's log module.
pub(crate) fn log(py: Python<'_>, level: &str, message: &str) -> PyResult<()> {
    py.import("pyalgo._log")?.call_method1(level, (message,))?;
    Ok(())
}
