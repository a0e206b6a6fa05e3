//! [`SmartOrder`]: one order at a time.

use std::sync::Mutex;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tradingsys::client::event::OrderKey;
use tradingsys::client::number::Given;
use tradingsys::client::orders::Tracked;
use tradingsys::client::trading::Wish;
use tradingsys::market::{Instructions, OrderType, Side, Tif};
use tradingsys::num::{Cash, Percent, Price, Qty};
use tradingsys::wire::error::{ErrorBody, ErrorCode};
use tradingsys::wire::event::OrderView;

use crate::convert::{cash, deadline, given, invalid, member, price, qty, raise, seconds, word_of};
use crate::desk::Desk;
use crate::reactor::lock;
use crate::records::{Order, average};
use crate::session::Session;
use crate::subscription::{Subscription, price_for};

/// The finest amount of a quote asset that Binance takes, 10⁻⁸, in raw units.
const AMOUNT_STEP: i128 = 100;

#[derive(Default)]
struct Held {
    key: Option<OrderKey>,
    /// Why the latest `send` sent nothing.
    refusal: Option<ErrorBody>,
}

#[pyclass(frozen, module = "pyalgo", weakref)]
pub(crate) struct SmartOrder {
    subscription: Py<Subscription>,
    held: Mutex<Held>,
}

impl SmartOrder {
    fn session(&self) -> &Session {
        self.subscription.get().session.get()
    }

    fn key(&self) -> Option<OrderKey> {
        lock(&self.held).key
    }

    /// Reads the order it holds; `none` before the first.
    fn read<T>(&self, py: Python<'_>, read: impl FnOnce(&Tracked) -> T, none: T) -> PyResult<T> {
        let desk = self.session().desk(py)?;
        Ok(self.key().and_then(|key| desk.client.orders().get(key)).map_or(none, read))
    }

    fn order<T>(&self, py: Python<'_>, read: impl FnOnce(&OrderView) -> T, none: T) -> PyResult<T> {
        self.read(py, |tracked| read(&tracked.order), none)
    }

    fn take(&self, key: OrderKey, desk: &mut Desk) {
        let mut held = lock(&self.held);
        if let Some(old) = held.key.replace(key) {
            desk.client.orders_mut().release(old);
        }
        desk.client.orders_mut().hold(key);
    }

    /// A size as given, or nothing.
    fn size(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Given>> {
        let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
        let py = value.py();
        given(name, value)?.not_negative().map(Some).map_err(|error| invalid(py, name, &error))
    }

    /// The outcome of a command that may be refused without harm: whether anything was sent.
    fn sent(&self, py: Python<'_>, done: Result<bool, ErrorBody>) -> PyResult<bool> {
        match done {
            Ok(sent) => Ok(sent),
            Err(error) if error.code == ErrorCode::NonTrading.code() => Err(raise(py, &error)),
            Err(error) => {
                lock(&self.held).refusal = Some(error);
                Ok(false)
            }
        }
    }
}

#[pymethods]
impl SmartOrder {
    #[new]
    #[pyo3(signature = (sub, adopt = true))]
    fn new(sub: &Bound<'_, Subscription>, adopt: bool) -> PyResult<Self> {
        let this = Self { subscription: sub.clone().unbind(), held: Mutex::new(Held::default()) };
        let session = this.session();
        session.sweep_released();
        let mut desk = session.desk(sub.py())?;
        if adopt && let Some(key) = desk.client.orders().unheld(&sub.get().stream.symbol) {
            this.take(key, &mut desk);
        }
        drop(desk);
        Ok(this)
    }

    /// Sends an order; `False`, and nothing is sent, while the one before is active or nothing can be sent.
    #[pyo3(signature = (
        price, qty, side, r#type, tif = None, stop_price = None, quote_amount = None, *, reduce_only = false,
        good_till = None, working_type = None, callback_rate = None, activation_price = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the signature of the reference, and one word for each instruction"
    )]
    fn send(
        &self,
        py: Python<'_>,
        price: Option<&Bound<'_, PyAny>>,
        qty: Option<&Bound<'_, PyAny>>,
        side: &Bound<'_, PyAny>,
        r#type: &Bound<'_, PyAny>,
        tif: Option<&Bound<'_, PyAny>>,
        stop_price: Option<&Bound<'_, PyAny>>,
        quote_amount: Option<&Bound<'_, PyAny>>,
        reduce_only: bool,
        good_till: Option<&Bound<'_, PyAny>>,
        working_type: Option<&Bound<'_, PyAny>>,
        callback_rate: Option<&Bound<'_, PyAny>>,
        activation_price: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let side: Side = word_of(side)?;
        let order_type: OrderType = word_of(r#type)?;
        let good_till = good_till.map(deadline).transpose()?;
        let default_tif = if good_till.is_some() { Tif::Gtd } else { Tif::Gtc };
        let tif: Tif = tif.map_or(Ok(default_tif), word_of)?;
        let working_type = working_type.map(word_of).transpose()?;
        let (callback_rate, activation_price) =
            (Self::size("callback_rate", callback_rate)?, Self::size("activation_price", activation_price)?);
        let (price, qty) = (Self::size("price", price)?, Self::size("qty", qty)?);
        let (stop_price, quote_amount) =
            (Self::size("stop_price", stop_price)?, Self::size("quote_amount", quote_amount)?);
        let subscription = self.subscription.get();
        let (tick, lot) = (subscription.tick(py)?, subscription.lot_size(py)?);
        if self.is_active(py)? {
            return Ok(false);
        }
        let on_grid = |number: Given| price_for(side, number, tick);
        let wish = Wish {
            symbol: subscription.stream.symbol.clone(),
            side,
            order_type,
            tif: order_type.has_tif().then_some(tif),
            price: price.filter(|_| order_type.has_price()).map(on_grid),
            stop_price: stop_price.map(on_grid),
            qty: qty.map(|number| Qty::from_raw(number.floor(lot))),
            quote_amount: quote_amount.map(|number| Cash::from_raw(number.floor(AMOUNT_STEP))),
            instructions: Instructions {
                reduce_only,
                good_till,
                working_type,
                callback_rate: callback_rate.map(|number| Percent::from_raw(number.floor(1))),
                activation_price: activation_price.map(on_grid),
            },
        };
        let session = self.session();
        let now = session.reactor.now();
        let done = session.try_command(py, |desk| {
            let Desk { client, out, .. } = desk;
            let key = client.order(now, wish, out)?;
            self.take(key, desk);
            Ok(true)
        })?;
        if done.is_ok() {
            lock(&self.held).refusal = None;
        }
        self.sent(py, done)
    }

    /// Wants the order cancelled; `False` if there is none, or its cancel is under way already.
    fn kill(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(key) = self.key() else { return Ok(false) };
        let done = self.session().try_command(py, |desk| {
            let Desk { client, out, .. } = desk;
            client.kill(key, out)
        })?;
        self.sent(py, done)
    }

    /// Wants the order's quantity or price changed; `False` if it is not working.
    #[pyo3(signature = (qty = None, price = None))]
    fn amend(
        &self,
        py: Python<'_>,
        qty: Option<&Bound<'_, PyAny>>,
        price: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let (qty, price) = (Self::size("qty", qty)?, Self::size("price", price)?);
        let subscription = self.subscription.get();
        let (tick, lot) = (subscription.tick(py)?, subscription.lot_size(py)?);
        let Some(key) = self.key() else { return Ok(false) };
        let Some(side) = self.order(py, |order| Some(order.side), None)? else { return Ok(false) };
        let qty = qty.map(|number| Qty::from_raw(number.floor(lot)));
        let price = price.map(|number| price_for(side, number, tick));
        let done = self.session().try_command(py, |desk| {
            let Desk { client, out, .. } = desk;
            client.amend(key, qty, price, out)
        })?;
        self.sent(py, done)
    }

    #[getter]
    fn subscription(&self, py: Python<'_>) -> Py<Subscription> {
        self.subscription.clone_ref(py)
    }
    #[getter]
    fn is_active(&self, py: Python<'_>) -> PyResult<bool> {
        self.read(py, Tracked::is_active, false)
    }
    #[getter]
    fn price(&self, py: Python<'_>) -> PyResult<f64> {
        self.order(py, |order| order.price.map_or(0.0, price), 0.0)
    }
    #[getter]
    fn stop_price(&self, py: Python<'_>) -> PyResult<f64> {
        self.order(py, |order| order.stop_price.map_or(0.0, price), 0.0)
    }
    #[getter]
    fn reduce_only(&self, py: Python<'_>) -> PyResult<bool> {
        self.order(py, |order| order.instructions.reduce_only, false)
    }
    #[getter]
    fn quantity(&self, py: Python<'_>) -> PyResult<f64> {
        self.order(py, |order| qty(order.qty), 0.0)
    }
    #[getter]
    fn acc(&self, py: Python<'_>) -> PyResult<f64> {
        self.order(py, |order| qty(order.filled), 0.0)
    }
    #[getter]
    fn avg_price(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(price(self.order(py, average, Price::ZERO)?))
    }
    #[getter]
    fn making(&self, py: Python<'_>) -> PyResult<bool> {
        self.read(py, |tracked| tracked.last_fill.as_ref().is_some_and(|fill| fill.maker), false)
    }
    #[getter]
    fn fee(&self, py: Python<'_>) -> PyResult<f64> {
        self.read(py, |tracked| tracked.last_fill.as_ref().map_or(0.0, |fill| cash(fill.fee)), 0.0)
    }
    #[getter]
    fn side(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.order(py, |order| Some(order.side), None)?.map(|side| member(py, side)).transpose()
    }
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.order(py, |order| Some(order.state), None)?.map(|state| member(py, state)).transpose()
    }
    #[getter]
    fn order_type(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.order(py, |order| Some(order.order_type), None)?.map(|word| member(py, word)).transpose()
    }
    #[getter]
    fn tif(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.order(py, |order| order.tif, None)?.map(|tif| member(py, tif)).transpose()
    }
    #[getter]
    fn order_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.order(py, |order| Some(order.order_id.to_string()), None)
    }
    #[getter]
    fn code(&self, py: Python<'_>) -> PyResult<i64> {
        if let Some(refusal) = &lock(&self.held).refusal {
            return Ok(refusal.code);
        }
        self.order(py, |order| order.code.unwrap_or(0), 0)
    }
    #[getter]
    fn reason(&self, py: Python<'_>) -> PyResult<String> {
        if let Some(refusal) = &lock(&self.held).refusal {
            return Ok(refusal.message.clone());
        }
        self.order(py, |order| order.reason.clone().unwrap_or_default(), String::new())
    }
    #[getter]
    fn retry_after(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        if let Some(refusal) = &lock(&self.held).refusal {
            return Ok(refusal.retry_after_ms.map(seconds));
        }
        self.order(py, |order| order.retry_after_ms.map(seconds), None)
    }
    /// The order as it stands.
    #[getter(order)]
    fn present(&self, py: Python<'_>) -> PyResult<Option<Order>> {
        self.read(py, |tracked| Some(Order::of_view(tracked.order.clone(), tracked.last_fill.clone())), None)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let symbol = &self.subscription.get().stream.symbol;
        self.order(
            py,
            |order| {
                let OrderView { order_id, side, qty, order_type, state, filled, .. } = order;
                format!("SmartOrder({symbol}, {side} {qty} {order_type}, {state}, acc {filled}, {order_id})")
            },
            format!("SmartOrder({symbol}, no order yet)"),
        )
    }
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.subscription)
    }
}

impl Drop for SmartOrder {
    fn drop(&mut self) {
        if let Some(key) = self.key() {
            // The session outlives this call: the subscription still holds it.
            self.session().release(key);
        }
    }
}
