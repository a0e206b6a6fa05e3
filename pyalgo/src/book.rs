//! Whole books and marks as strategies get them.

use pyo3::prelude::*;
use pyo3::types::PyDateTime;
use tradingsys::client::inbox::WholeBook;
use tradingsys::ids::Symbol;
use tradingsys::market::{Level, Stream};
use tradingsys::num::Rate;
use tradingsys::wire::event::MarkData;

use crate::convert::{datetime, price, qty};
use crate::session::Session;
use crate::subscription::{Latest, Subscription, base};

/// The whole known book of a symbol as it is now: it changes as its changes are read.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Book {
    session: Py<Session>,
    stream: Stream,
}

type Rows = Vec<(f64, f64)>;

fn rows(levels: impl Iterator<Item = Level>, most: Option<usize>) -> Rows {
    levels.take(most.unwrap_or(usize::MAX)).map(|level| (price(level.price), qty(level.qty))).collect()
}

impl Book {
    pub(crate) fn of(py: Python<'_>, subscription: &Subscription) -> PyResult<Py<Self>> {
        let (session, stream) = (subscription.session.clone_ref(py), subscription.stream.clone());
        Py::new(py, Self { session, stream })
    }

    fn read<T>(&self, py: Python<'_>, none: T, read: impl FnOnce(&WholeBook) -> T) -> PyResult<T> {
        let desk = self.session.get().desk(py)?;
        Ok(desk.client.book(&self.stream).map_or(none, read))
    }

    fn bid(&self, py: Python<'_>, level: usize) -> PyResult<Option<Level>> {
        self.read(py, None, |book| book.levels.bids().nth(level))
    }
    fn ask(&self, py: Python<'_>, level: usize) -> PyResult<Option<Level>> {
        self.read(py, None, |book| book.levels.asks().nth(level))
    }
}

#[pymethods]
impl Book {
    #[getter]
    fn symbol(&self) -> &str {
        self.stream.symbol.as_str()
    }
    /// Is it whole and current? It is empty while it is not.
    #[getter]
    fn is_good(&self, py: Python<'_>) -> PyResult<bool> {
        self.read(py, false, |book| book.is_good)
    }
    #[getter]
    fn update_id(&self, py: Python<'_>) -> PyResult<u64> {
        self.read(py, 0, |book| book.update_id)
    }
    #[getter]
    fn time(&self, py: Python<'_>) -> PyResult<i64> {
        self.read(py, 0, |book| book.time.nanos())
    }
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        let time = self.read(py, Default::default(), |book| book.time)?;
        datetime(py, time)
    }
    #[getter]
    fn bid_level(&self, py: Python<'_>) -> PyResult<usize> {
        self.read(py, 0, |book| book.levels.sizes().0)
    }
    #[getter]
    fn ask_level(&self, py: Python<'_>) -> PyResult<usize> {
        self.read(py, 0, |book| book.levels.sizes().1)
    }
    fn bid_prc(&self, py: Python<'_>, level: usize) -> PyResult<f64> {
        Ok(self.bid(py, level)?.map_or(f64::NAN, |level| price(level.price)))
    }
    fn bid_vol(&self, py: Python<'_>, level: usize) -> PyResult<f64> {
        Ok(self.bid(py, level)?.map_or(f64::NAN, |level| qty(level.qty)))
    }
    fn ask_prc(&self, py: Python<'_>, level: usize) -> PyResult<f64> {
        Ok(self.ask(py, level)?.map_or(f64::NAN, |level| price(level.price)))
    }
    fn ask_vol(&self, py: Python<'_>, level: usize) -> PyResult<f64> {
        Ok(self.ask(py, level)?.map_or(f64::NAN, |level| qty(level.qty)))
    }
    /// The best bids, falling; all that are known without a number.
    #[pyo3(signature = (levels = None))]
    fn bids(&self, py: Python<'_>, levels: Option<usize>) -> PyResult<Rows> {
        self.read(py, Vec::new(), |book| rows(book.levels.bids(), levels))
    }
    /// The best asks, rising; all that are known without a number.
    #[pyo3(signature = (levels = None))]
    fn asks(&self, py: Python<'_>, levels: Option<usize>) -> PyResult<Rows> {
        self.read(py, Vec::new(), |book| rows(book.levels.asks(), levels))
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (symbol, update_id) = (&self.stream.symbol, self.update_id(py)?);
        if !self.is_good(py)? {
            return Ok(format!("Book({symbol}, not good)"));
        }
        let best = |level: Option<Level>| match level {
            Some(level) => format!("{} x {}", level.price, level.qty),
            None => "none".to_owned(),
        };
        let (bid, ask) = (best(self.bid(py, 0)?), best(self.ask(py, 0)?));
        let (bids, asks) = (self.bid_level(py)?, self.ask_level(py)?);
        Ok(format!("Book({symbol}, bid {bid}, ask {ask}, {bids}+{asks} levels, update_id={update_id})"))
    }
}

/// The whole book of a symbol.
#[pyclass(frozen, extends = Subscription, module = "pyalgo")]
pub(crate) struct BookSubscription;

#[pymethods]
impl BookSubscription {
    #[getter]
    fn book(slf: &Bound<'_, Self>) -> PyResult<Py<Book>> {
        Book::of(slf.py(), base(slf))
    }
    #[getter]
    fn is_good(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::book(slf)?.get().is_good(slf.py())
    }
    #[getter]
    fn update_id(slf: &Bound<'_, Self>) -> PyResult<u64> {
        Self::book(slf)?.get().update_id(slf.py())
    }
    #[getter]
    fn time(slf: &Bound<'_, Self>) -> PyResult<i64> {
        Self::book(slf)?.get().time(slf.py())
    }
    #[getter]
    fn datetime<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDateTime>> {
        Self::book(slf)?.get().datetime(slf.py())
    }
    #[getter]
    fn bid_level(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Self::book(slf)?.get().bid_level(slf.py())
    }
    #[getter]
    fn ask_level(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Self::book(slf)?.get().ask_level(slf.py())
    }
    fn bid_prc(slf: &Bound<'_, Self>, level: usize) -> PyResult<f64> {
        Self::book(slf)?.get().bid_prc(slf.py(), level)
    }
    fn bid_vol(slf: &Bound<'_, Self>, level: usize) -> PyResult<f64> {
        Self::book(slf)?.get().bid_vol(slf.py(), level)
    }
    fn ask_prc(slf: &Bound<'_, Self>, level: usize) -> PyResult<f64> {
        Self::book(slf)?.get().ask_prc(slf.py(), level)
    }
    fn ask_vol(slf: &Bound<'_, Self>, level: usize) -> PyResult<f64> {
        Self::book(slf)?.get().ask_vol(slf.py(), level)
    }
}

/// What a perpetual is valued at, and what holding it costs.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Mark {
    pub(crate) symbol: Symbol,
    pub(crate) data: MarkData,
}

#[pymethods]
impl Mark {
    #[getter]
    fn symbol(&self) -> &str {
        self.symbol.as_str()
    }
    #[getter]
    fn time(&self) -> i64 {
        self.data.time.nanos()
    }
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        datetime(py, self.data.time)
    }
    #[getter]
    fn mark_price(&self) -> f64 {
        price(self.data.mark)
    }
    #[getter]
    fn index_price(&self) -> f64 {
        price(self.data.index)
    }
    /// NaN where there is no funding.
    #[getter]
    fn funding_rate(&self) -> f64 {
        self.data.funding_rate.map_or(f64::NAN, Rate::to_f64)
    }
    /// 0 where there is no funding.
    #[getter]
    fn next_funding(&self) -> i64 {
        self.data.next_funding.map_or(0, |time| time.nanos())
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let MarkData { mark, index, funding_rate, .. } = &self.data;
        let rate = funding_rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
        let when = self.datetime(py)?;
        Ok(format!("Mark({}, {}, mark {mark}, index {index}, funding_rate {rate})", self.symbol, when.str()?))
    }
}

/// Mark price, index price and funding rate of a perpetual.
#[pyclass(frozen, extends = Subscription, module = "pyalgo")]
pub(crate) struct MarkSubscription;

fn newest<T>(slf: &Bound<'_, MarkSubscription>, none: T, read: impl FnOnce(&Mark) -> T) -> T {
    base(slf).newest(|latest| match latest {
        Latest::Mark(mark) => read(mark.get()),
        _ => none,
    })
}

#[pymethods]
impl MarkSubscription {
    #[getter]
    fn mark(slf: &Bound<'_, Self>) -> Option<Py<Mark>> {
        base(slf).newest(|latest| match latest {
            Latest::Mark(mark) => Some(mark.clone_ref(slf.py())),
            _ => None,
        })
    }
    #[getter]
    fn time(slf: &Bound<'_, Self>) -> i64 {
        newest(slf, 0, Mark::time)
    }
    #[getter]
    fn datetime<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDateTime>> {
        datetime(slf.py(), newest(slf, Default::default(), |mark| mark.data.time))
    }
    #[getter]
    fn mark_price(slf: &Bound<'_, Self>) -> f64 {
        newest(slf, f64::NAN, Mark::mark_price)
    }
    #[getter]
    fn index_price(slf: &Bound<'_, Self>) -> f64 {
        newest(slf, f64::NAN, Mark::index_price)
    }
    #[getter]
    fn funding_rate(slf: &Bound<'_, Self>) -> f64 {
        newest(slf, f64::NAN, Mark::funding_rate)
    }
    #[getter]
    fn next_funding(slf: &Bound<'_, Self>) -> i64 {
        newest(slf, 0, Mark::next_funding)
    }
}
