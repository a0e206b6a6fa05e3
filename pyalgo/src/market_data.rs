//! Market data as strategies get it: [`Depth`], [`Bar`], [`Trade`].

use pyo3::prelude::*;
use pyo3::types::PyDateTime;
use tradingsys::ids::Symbol;
use tradingsys::market::Side;
use tradingsys::wire::event::{BarData, DepthData, TradeData};

use crate::convert::{cash, datetime, member, price, qty};

/// The best levels of one book at one time.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Depth {
    pub(crate) symbol: Symbol,
    pub(crate) data: DepthData,
}

/// The level of that number, if there is one.
fn at<T>(levels: &[T], level: i64) -> Option<&T> {
    levels.get(usize::try_from(level).ok()?)
}

#[pymethods]
impl Depth {
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
    fn update_id(&self) -> u64 {
        self.data.update_id
    }
    #[getter]
    pub(crate) fn bid_level(&self) -> usize {
        self.data.bids.len()
    }
    #[getter]
    pub(crate) fn ask_level(&self) -> usize {
        self.data.asks.len()
    }
    pub(crate) fn bid_prc(&self, level: i64) -> f64 {
        at(&self.data.bids, level).map_or(f64::NAN, |found| price(found.0))
    }
    pub(crate) fn bid_vol(&self, level: i64) -> f64 {
        at(&self.data.bids, level).map_or(f64::NAN, |found| qty(found.1))
    }
    pub(crate) fn ask_prc(&self, level: i64) -> f64 {
        at(&self.data.asks, level).map_or(f64::NAN, |found| price(found.0))
    }
    pub(crate) fn ask_vol(&self, level: i64) -> f64 {
        at(&self.data.asks, level).map_or(f64::NAN, |found| qty(found.1))
    }
    #[getter]
    fn bids(&self) -> Vec<(f64, f64)> {
        self.data.bids.iter().map(|level| (price(level.0), qty(level.1))).collect()
    }
    #[getter]
    fn asks(&self) -> Vec<(f64, f64)> {
        self.data.asks.iter().map(|level| (price(level.0), qty(level.1))).collect()
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let best = |levels: &[(_, _)]| match levels.first() {
            Some((price, qty)) => format!("{price} x {qty}"),
            None => "none".to_owned(),
        };
        let DepthData { bids, asks, update_id, .. } = &self.data;
        Ok(format!(
            "Depth({}, {}, bid {}, ask {}, {}+{} levels, update_id={update_id})",
            self.symbol,
            self.datetime(py)?.str()?,
            best(bids),
            best(asks),
            bids.len(),
            asks.len(),
        ))
    }
}

/// One bar.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Bar {
    pub(crate) symbol: Symbol,
    pub(crate) data: BarData,
}

#[pymethods]
impl Bar {
    #[getter]
    fn symbol(&self) -> &str {
        self.symbol.as_str()
    }
    #[getter]
    fn interval(&self) -> &'static str {
        self.data.interval.as_str()
    }
    #[getter]
    fn start_time(&self) -> i64 {
        self.data.start.nanos()
    }
    #[getter]
    fn time(&self) -> i64 {
        self.data.end.nanos()
    }
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        datetime(py, self.data.end)
    }
    #[getter]
    fn open(&self) -> f64 {
        price(self.data.open)
    }
    #[getter]
    fn high(&self) -> f64 {
        price(self.data.high)
    }
    #[getter]
    fn low(&self) -> f64 {
        price(self.data.low)
    }
    #[getter]
    fn close(&self) -> f64 {
        price(self.data.close)
    }
    #[getter]
    fn volume(&self) -> f64 {
        qty(self.data.volume)
    }
    #[getter]
    fn amount(&self) -> f64 {
        cash(self.data.amount)
    }
    #[getter]
    fn trade_count(&self) -> u64 {
        self.data.trades
    }
    #[getter]
    fn buy_volume(&self) -> f64 {
        qty(self.data.buy_volume)
    }
    #[getter]
    fn buy_amount(&self) -> f64 {
        cash(self.data.buy_amount)
    }
    #[getter]
    fn is_closed(&self) -> bool {
        self.data.closed
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let bar = &self.data;
        Ok(format!(
            "Bar({}, {}, {}, open {}, high {}, low {}, close {}, volume {}, {})",
            self.symbol,
            bar.interval,
            datetime(py, bar.start)?.str()?,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            if bar.closed { "closed" } else { "open" },
        ))
    }
}

/// One public trade.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Trade {
    pub(crate) symbol: Symbol,
    pub(crate) data: TradeData,
}

impl Trade {
    pub(crate) fn taker(&self) -> Side {
        if self.data.buyer_is_maker { Side::Sell } else { Side::Buy }
    }
}

#[pymethods]
impl Trade {
    #[getter]
    fn symbol(&self) -> &str {
        self.symbol.as_str()
    }
    #[getter]
    fn trade_id(&self) -> u64 {
        self.data.id
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
    fn price(&self) -> f64 {
        price(self.data.price)
    }
    #[getter]
    fn quantity(&self) -> f64 {
        qty(self.data.qty)
    }
    /// The taker's side.
    #[getter]
    fn side(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        member(py, self.taker())
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let TradeData { id, price, qty, .. } = &self.data;
        let (when, side) = (self.datetime(py)?, self.taker());
        Ok(format!("Trade({}, {}, {side} {qty} @ {price}, trade_id={id})", self.symbol, when.str()?))
    }
}
