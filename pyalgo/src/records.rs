//! What a session is told and asks for: [`Order`], [`Position`], [`Balance`], [`Product`] and the rest.

use pyo3::prelude::*;
use pyo3::types::PyDateTime;
use tradingsys::client::event::OrderChange;
use tradingsys::ids::{ClientOrderId, Symbol};
use tradingsys::num::{Cash, Price};
use tradingsys::time::Time;
use tradingsys::wire::error::ErrorBody;
use tradingsys::wire::event::{
    BalanceView, FillView, OrderView, PositionView, Product as Facts, StateEvent, Stopped,
};
use tradingsys::wire::request::Ack;

use crate::convert::{cash, datetime, decimal, member, percent, price, qty, seconds};

/// An order at one point of its life.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Order {
    order: OrderView,
    fill: Option<FillView>,
    replayed: bool,
    at: Option<Ack>,
}

impl Order {
    pub(crate) fn of_change(change: &OrderChange, at: Option<Ack>) -> Self {
        let (order, fill) = (change.order.clone(), change.fill.clone());
        Self { order, fill, replayed: change.replayed, at }
    }
    pub(crate) fn of_view(order: OrderView, fill: Option<FillView>) -> Self {
        Self { order, fill, replayed: false, at: None }
    }
}

pub(crate) fn average(order: &OrderView) -> Price {
    order.filled_quote.per(order.filled).unwrap_or(Price::ZERO)
}

#[pymethods]
impl Order {
    #[getter]
    fn time(&self) -> i64 {
        self.order.time.nanos()
    }
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        datetime(py, self.order.time)
    }
    #[getter]
    fn symbol(&self) -> &str {
        self.order.symbol.as_str()
    }
    #[getter]
    fn side(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        member(py, self.order.side)
    }
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        member(py, self.order.state)
    }
    #[getter]
    fn is_active(&self) -> bool {
        !self.order.state.is_terminal()
    }
    #[getter]
    fn canceling(&self) -> bool {
        self.order.canceling
    }
    #[getter]
    fn order_type(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        member(py, self.order.order_type)
    }
    #[getter]
    fn tif(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.order.tif.map(|tif| member(py, tif)).transpose()
    }
    #[getter]
    fn quantity(&self) -> f64 {
        qty(self.order.qty)
    }
    #[getter]
    fn price(&self) -> f64 {
        self.order.price.map_or(0.0, price)
    }
    #[getter]
    fn stop_price(&self) -> f64 {
        self.order.stop_price.map_or(0.0, price)
    }
    #[getter]
    fn quote_amount(&self) -> f64 {
        self.order.quote_amount.map_or(0.0, cash)
    }
    #[getter]
    fn reduce_only(&self) -> bool {
        self.order.instructions.reduce_only
    }
    #[getter]
    fn good_till(&self) -> i64 {
        self.order.instructions.good_till.map_or(0, Time::nanos)
    }
    #[getter]
    fn working_type(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.order.instructions.working_type.map(|word| member(py, word)).transpose()
    }
    #[getter]
    fn callback_rate(&self) -> f64 {
        self.order.instructions.callback_rate.map_or(0.0, percent)
    }
    #[getter]
    fn activation_price(&self) -> f64 {
        self.order.instructions.activation_price.map_or(0.0, price)
    }
    #[getter]
    fn conditional_id(&self) -> Option<u64> {
        self.order.conditional_id
    }
    #[getter]
    fn order_id(&self) -> &str {
        self.order.order_id.as_str()
    }
    #[getter]
    fn internal_id(&self) -> u64 {
        self.order.n
    }
    #[getter]
    fn venue_order_id(&self) -> Option<u64> {
        self.order.venue_order_id
    }
    #[getter]
    fn acc(&self) -> f64 {
        qty(self.order.filled)
    }
    #[getter]
    fn avg_price(&self) -> f64 {
        price(average(&self.order))
    }
    #[getter]
    fn trade_id(&self) -> Option<u64> {
        self.fill.as_ref().map(|fill| fill.trade_id)
    }
    #[getter]
    fn trade_time(&self) -> i64 {
        self.fill.as_ref().map_or(0, |fill| fill.time.nanos())
    }
    #[getter]
    fn trade_price(&self) -> f64 {
        self.fill.as_ref().map_or(0.0, |fill| price(fill.price))
    }
    #[getter]
    fn trade_quantity(&self) -> f64 {
        self.fill.as_ref().map_or(0.0, |fill| qty(fill.qty))
    }
    #[getter]
    fn making(&self) -> bool {
        self.fill.as_ref().is_some_and(|fill| fill.maker)
    }
    #[getter]
    fn fee(&self) -> f64 {
        self.fill.as_ref().map_or(0.0, |fill| cash(fill.fee))
    }
    #[getter]
    fn fee_asset(&self) -> Option<&str> {
        self.fill.as_ref().and_then(|fill| fill.fee_asset.as_ref()).map(|asset| asset.as_str())
    }
    #[getter]
    fn code(&self) -> i64 {
        self.order.code.unwrap_or(0)
    }
    #[getter]
    fn reason(&self) -> &str {
        self.order.reason.as_deref().unwrap_or("")
    }
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        self.order.retry_after_ms.map(seconds)
    }
    #[getter]
    fn replayed(&self) -> bool {
        self.replayed
    }
    #[getter]
    fn cursor(&self) -> Option<(u64, u64)> {
        self.at.map(|at| (at.generation, at.sequence))
    }
    fn __repr__(&self) -> String {
        let OrderView { order_id, symbol, side, order_type, qty, filled, state, .. } = &self.order;
        let price = self.order.price.map(|price| format!(" @ {price}")).unwrap_or_default();
        let tif = self.order.tif.map(|tif| format!(" {tif}")).unwrap_or_default();
        let fill = self.fill.as_ref().map(|fill| {
            let role = if fill.maker { "maker" } else { "taker" };
            let asset = fill.fee_asset.as_ref().map_or("", |asset| asset.as_str());
            format!(", fill {} @ {} as {role}, fee {} {asset}", fill.qty, fill.price, fill.fee)
        });
        let reason = self.order.reason.as_ref().map(|reason| format!(", {reason:?}")).unwrap_or_default();
        format!(
            "Order({order_id}, {symbol}, {side} {qty} {order_type}{tif}{price}, {}, acc {filled}{}{reason})",
            state.as_str(),
            fill.unwrap_or_default(),
        )
    }
}

/// A cancel or an amend that did not do what it should.
#[pyclass(frozen, module = "pyalgo", get_all)]
pub(crate) struct OrderError {
    order_id: String,
    symbol: Option<String>,
    code: i64,
    name: String,
    message: String,
    retry_after: Option<f64>,
}

impl OrderError {
    pub(crate) fn new(order_id: &ClientOrderId, symbol: Option<&Symbol>, error: &ErrorBody) -> Self {
        Self {
            order_id: order_id.to_string(),
            symbol: symbol.map(ToString::to_string),
            code: error.code,
            name: error.name.clone(),
            message: error.message.clone(),
            retry_after: error.retry_after_ms.map(seconds),
        }
    }
}

#[pymethods]
impl OrderError {
    fn __repr__(&self) -> String {
        format!("OrderError({}, code={}, {:?})", self.order_id, self.code, self.message)
    }
}

/// Something a human should read.
#[pyclass(frozen, module = "pyalgo", get_all)]
pub(crate) struct Notice {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) symbol: Option<String>,
    pub(crate) order_id: Option<String>,
}

#[pymethods]
impl Notice {
    fn __repr__(&self) -> String {
        format!("Notice({}, {:?})", self.code, self.message)
    }
}

/// How the way to the exchange stands.
#[pyclass(frozen, module = "pyalgo", get_all)]
pub(crate) struct SessionState {
    state: &'static str,
    reason: String,
    not_ready: Vec<String>,
    stopped: Option<&'static str>,
}

/// The state's word.
pub(crate) fn state_word(state: &StateEvent) -> &'static str {
    use tradingsys::wire::event::GatewayState::{Down, Ready, Recovering};
    match state.state {
        Down => "down",
        Recovering => "recovering",
        Ready => "ready",
    }
}

impl SessionState {
    pub(crate) fn new(state: &StateEvent) -> Self {
        let not_ready = state.not_ready.iter().map(ToString::to_string).collect();
        let stopped = state.stopped.map(Stopped::as_str);
        Self { state: state_word(state), reason: state.reason.clone(), not_ready, stopped }
    }
    pub(crate) fn is_ready(&self) -> bool {
        self.state == "ready" && self.not_ready.is_empty() && self.stopped.is_none()
    }
    /// For the log.
    pub(crate) fn words(&self) -> String {
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let but = if self.not_ready.is_empty() {
            String::new()
        } else {
            format!(" but for {}", self.not_ready.join(", "))
        };
        let stopped = self.stopped.map_or(String::new(), |stopped| format!(", trading is {stopped}"));
        format!("{}{but}{stopped}{reason}", self.state)
    }
}

#[pymethods]
impl SessionState {
    fn __repr__(&self) -> String {
        let Self { state, reason, not_ready, stopped } = self;
        let stopped = stopped.unwrap_or("None");
        format!("SessionState({state}, {reason:?}, not_ready={not_ready:?}, stopped={stopped})")
    }
}

/// What a session holds of a symbol.
#[pyclass(frozen, module = "pyalgo", get_all)]
pub(crate) struct Position {
    symbol: String,
    net: f64,
    avg_price: f64,
    realised: f64,
}

impl Position {
    pub(crate) fn new(position: &PositionView) -> Self {
        Self {
            symbol: position.symbol.to_string(),
            net: qty(position.net),
            avg_price: price(position.avg_price),
            realised: cash(position.realised),
        }
    }
}

#[pymethods]
impl Position {
    fn __repr__(&self) -> String {
        let Self { symbol, net, avg_price, realised } = self;
        format!("Position({symbol}, net {net}, avg_price {avg_price}, realised {realised})")
    }
}

/// One asset of the account.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Balance(pub(crate) BalanceView);

#[pymethods]
impl Balance {
    #[getter]
    fn asset(&self) -> &str {
        self.0.asset.as_str()
    }
    #[getter]
    fn free(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        decimal(py, self.0.free)
    }
    #[getter]
    fn locked(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        decimal(py, self.0.locked)
    }
    #[getter]
    fn session(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        decimal(py, self.0.session)
    }
    fn __repr__(&self) -> String {
        let BalanceView { asset, free, locked, session } = &self.0;
        format!("Balance({asset}, free {free}, locked {locked}, session {session})")
    }
}

/// The facts of a symbol.
#[pyclass(frozen, module = "pyalgo")]
pub(crate) struct Product(pub(crate) Facts);

fn limit(value: Cash) -> f64 {
    if value.is_zero() { f64::INFINITY } else { cash(value) }
}

#[pymethods]
impl Product {
    #[getter]
    fn symbol(&self) -> &str {
        self.0.symbol.as_str()
    }
    #[getter]
    fn base(&self) -> &str {
        self.0.base.as_str()
    }
    #[getter]
    fn quote(&self) -> &str {
        self.0.quote.as_str()
    }
    #[getter]
    fn status(&self) -> &str {
        &self.0.status
    }
    #[getter]
    fn tick_size(&self) -> f64 {
        price(self.0.tick_size)
    }
    #[getter]
    fn lot(&self) -> f64 {
        qty(self.0.lot)
    }
    #[getter]
    fn min_prc(&self) -> f64 {
        price(self.0.min_price)
    }
    #[getter]
    pub(crate) fn max_prc(&self) -> f64 {
        if self.0.max_price.is_zero() { f64::INFINITY } else { price(self.0.max_price) }
    }
    #[getter]
    fn min_qty(&self) -> f64 {
        qty(self.0.min_qty)
    }
    #[getter]
    fn max_qty(&self) -> f64 {
        if self.0.max_qty.is_zero() { f64::INFINITY } else { qty(self.0.max_qty) }
    }
    #[getter]
    fn min_notional(&self) -> f64 {
        cash(self.0.min_notional)
    }
    #[getter]
    fn max_notional(&self) -> f64 {
        limit(self.0.max_notional)
    }
    #[getter]
    fn order_types(&self) -> Vec<String> {
        self.0.order_types.clone()
    }
    #[getter]
    fn tifs(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        self.0.tifs.iter().map(|tif| member(py, *tif)).collect()
    }
    #[getter]
    fn amend_allowed(&self) -> bool {
        self.0.amend_allowed
    }
    #[getter]
    fn amend_price(&self) -> bool {
        self.0.amend_price
    }
    #[getter]
    fn kind(&self) -> &str {
        &self.0.kind
    }
    #[getter]
    pub(crate) fn holding(&self) -> &str {
        self.0.holding.as_ref().unwrap_or(&self.0.base).as_str()
    }
    #[getter]
    fn contract_size(&self) -> f64 {
        qty(self.0.contract_size)
    }
    #[getter]
    fn working_types(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        self.0.working_types.iter().map(|word| member(py, *word)).collect()
    }
    #[getter]
    fn callback_rates(&self) -> Option<(f64, f64)> {
        self.0.callback_rates.map(|(least, most)| (percent(least), percent(most)))
    }
    fn __repr__(&self) -> String {
        let Facts { symbol, kind, base, quote, status, tick_size, lot, min_notional, .. } = &self.0;
        format!(
            "Product({symbol}, {kind}, {base}/{quote}, {status}, tick {tick_size}, lot {lot}, min_notional {min_notional})"
        )
    }
}
