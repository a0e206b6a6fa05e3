//! Subscriptions: what a strategy sees of one stream of one symbol, and of its own standing in that symbol.

use std::sync::Mutex;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDateTime;
use tradingsys::client::number::to_f64;
use tradingsys::market::{Channel, Interval, OrderType, Side, Stream, Tif};
use tradingsys::num::{Price, Qty};
use tradingsys::time::Time;
use tradingsys::wire::error::{ErrorBody, ErrorCode};
use tradingsys::wire::event::{PositionView, Product as Facts};

use crate::book::{BookSubscription, Mark, MarkSubscription};
use crate::convert::{callback, cash, datetime, given, member, price, qty, raise, word_of};
use crate::market_data::{Bar, Depth, Trade};
use crate::reactor::lock;
use crate::records::Product;
use crate::session::Session;

/// The newest data of a stream.
pub(crate) enum Latest {
    Nothing,
    Depth(Py<Depth>),
    Bar(Py<Bar>),
    Trade(Py<Trade>),
    Mark(Py<Mark>),
}

#[derive(Default)]
pub(crate) struct SubscriptionHooks {
    pub(crate) on_data: Option<Py<PyAny>>,
    pub(crate) on_order: Option<Py<PyAny>>,
    pub(crate) on_order_error: Option<Py<PyAny>>,
    pub(crate) on_stale: Option<Py<PyAny>>,
    pub(crate) on_gap: Option<Py<PyAny>>,
    phases: Option<Py<PyAny>>,
}

/// What all subscriptions have.
#[pyclass(frozen, subclass, module = "pyalgo")]
pub(crate) struct Subscription {
    pub(crate) session: Py<Session>,
    pub(crate) stream: Stream,
    latest: Mutex<Latest>,
    stale: Mutex<Option<String>>,
    pub(crate) hooks: Mutex<SubscriptionHooks>,
}

/// Depth or best bid and offer of a symbol.
#[pyclass(frozen, extends = Subscription, module = "pyalgo")]
pub(crate) struct DepthSubscription;

/// Bars of a symbol.
#[pyclass(frozen, extends = Subscription, module = "pyalgo")]
pub(crate) struct BarSubscription;

/// Public trades of a symbol.
#[pyclass(frozen, extends = Subscription, module = "pyalgo")]
pub(crate) struct TradeSubscription;

/// A subscription of the class its stream asks for: as what the strategy holds, and as what the session keeps.
pub(crate) fn new_subscription(
    py: Python<'_>,
    session: Py<Session>,
    stream: Stream,
) -> PyResult<(Py<PyAny>, Py<Subscription>)> {
    let channel = stream.channel;
    let base = Subscription {
        session,
        stream,
        latest: Mutex::new(Latest::Nothing),
        stale: Mutex::new(None),
        hooks: Mutex::new(SubscriptionHooks::default()),
    };
    let base = PyClassInitializer::from(base);
    let object = match channel {
        Channel::Trade => Py::new(py, base.add_subclass(TradeSubscription))?.into_any(),
        Channel::Kline(_) => Py::new(py, base.add_subclass(BarSubscription))?.into_any(),
        Channel::Book => Py::new(py, base.add_subclass(BookSubscription))?.into_any(),
        Channel::Mark => Py::new(py, base.add_subclass(MarkSubscription))?.into_any(),
        Channel::Depth | Channel::DepthFast | Channel::Bbo => {
            Py::new(py, base.add_subclass(DepthSubscription))?.into_any()
        }
    };
    let subscription = object.bind(py).cast::<Subscription>()?.clone().unbind();
    Ok((object, subscription))
}

impl Subscription {
    /// The stream's newest data is this.
    pub(crate) fn set_latest(&self, latest: Latest) {
        let old = std::mem::replace(&mut *lock(&self.latest), latest);
        drop(old);
        self.set_current();
    }

    pub(crate) fn set_current(&self) {
        *lock(&self.stale) = None;
    }

    pub(crate) fn newest<T>(&self, read: impl FnOnce(&Latest) -> T) -> T {
        read(&lock(&self.latest))
    }

    pub(crate) fn set_stale(&self, reason: &str) {
        *lock(&self.stale) = Some(reason.to_owned());
    }

    fn facts<T>(&self, py: Python<'_>, read: impl FnOnce(&Facts) -> T) -> PyResult<T> {
        let desk = self.session.get().desk(py)?;
        let found = desk.client.products().get(&self.stream.symbol).map(read);
        drop(desk);
        found.ok_or_else(|| {
            let message = format!(
                "the facts of {} are not known yet: the gateway has not read the exchange's symbols since its start",
                self.stream.symbol
            );
            raise(py, &ErrorBody::new(ErrorCode::NotReady, message))
        })
    }

    pub(crate) fn tick(&self, py: Python<'_>) -> PyResult<i128> {
        self.facts(py, |facts| facts.tick_size.raw())
    }
    pub(crate) fn lot_size(&self, py: Python<'_>) -> PyResult<i128> {
        self.facts(py, |facts| facts.lot.raw())
    }

    fn position<T: Default>(&self, py: Python<'_>, read: impl FnOnce(&PositionView) -> T) -> PyResult<T> {
        let desk = self.session.get().desk(py)?;
        Ok(desk.client.positions().get(&self.stream.symbol).map(read).unwrap_or_default())
    }

    fn depth<T>(&self, read: impl FnOnce(&Depth) -> T, none: T) -> T {
        match &*lock(&self.latest) {
            Latest::Depth(depth) => read(depth.get()),
            _ => none,
        }
    }
    fn bar<T>(&self, read: impl FnOnce(&Bar) -> T, none: T) -> T {
        match &*lock(&self.latest) {
            Latest::Bar(bar) => read(bar.get()),
            _ => none,
        }
    }
    fn trade<T>(&self, read: impl FnOnce(&Trade) -> T, none: T) -> T {
        match &*lock(&self.latest) {
            Latest::Trade(trade) => read(trade.get()),
            _ => none,
        }
    }

    fn hook(
        &self,
        slot: impl FnOnce(&mut SubscriptionHooks) -> &mut Option<Py<PyAny>>,
        value: Option<Py<PyAny>>,
    ) {
        let old = std::mem::replace(slot(&mut lock(&self.hooks)), value);
        drop(old);
    }

    fn phases(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(phases) = &lock(&self.hooks).phases {
            return Ok(phases.clone_ref(py));
        }
        let phases = py.import("pyalgo._phases")?.getattr("Phases")?.call0()?.unbind();
        lock(&self.hooks).phases = Some(phases.clone_ref(py));
        Ok(phases)
    }
}

/// Side on which a price is rounded: buyers never pay more than they said, sellers never take less.
pub(crate) fn price_for(side: Side, number: tradingsys::client::number::Given, tick: i128) -> Price {
    Price::from_raw(match side {
        Side::Buy => number.floor(tick),
        Side::Sell => number.ceil(tick),
    })
}

#[pymethods]
impl Subscription {
    #[getter]
    fn session(&self, py: Python<'_>) -> Py<Session> {
        self.session.clone_ref(py)
    }
    #[getter]
    fn symbol(&self) -> &str {
        self.stream.symbol.as_str()
    }
    #[getter]
    fn stream(&self) -> String {
        self.stream.channel.to_string()
    }
    #[getter]
    fn is_stale(&self) -> bool {
        lock(&self.stale).is_some()
    }
    #[getter]
    fn stale_reason(&self) -> Option<String> {
        lock(&self.stale).clone()
    }

    #[getter]
    fn product(&self, py: Python<'_>) -> PyResult<Product> {
        self.facts(py, |facts| Product(facts.clone()))
    }
    #[getter]
    fn base(&self, py: Python<'_>) -> PyResult<String> {
        self.facts(py, |facts| facts.base.to_string())
    }
    #[getter]
    fn quote(&self, py: Python<'_>) -> PyResult<String> {
        self.facts(py, |facts| facts.quote.to_string())
    }
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<String> {
        self.facts(py, |facts| facts.kind.clone())
    }
    #[getter]
    fn holding(&self, py: Python<'_>) -> PyResult<String> {
        self.facts(py, |facts| Product(facts.clone()).holding().to_owned())
    }
    #[getter]
    fn contract_size(&self, py: Python<'_>) -> PyResult<f64> {
        self.facts(py, |facts| qty(facts.contract_size))
    }
    /// Neither a spot instrument nor a perpetual is ever delivered.
    #[getter]
    fn delivery(&self) -> Option<i64> {
        None
    }
    /// The spot exchange does not tell when it listed an instrument.
    #[getter]
    fn onboard(&self) -> Option<i64> {
        None
    }
    #[getter]
    fn tick_size(&self, py: Python<'_>) -> PyResult<f64> {
        self.facts(py, |facts| price(facts.tick_size))
    }
    #[getter]
    fn lot(&self, py: Python<'_>) -> PyResult<f64> {
        self.facts(py, |facts| qty(facts.lot))
    }
    #[getter]
    fn min_prc(&self, py: Python<'_>) -> PyResult<f64> {
        self.facts(py, |facts| price(facts.min_price))
    }
    #[getter]
    fn max_prc(&self, py: Python<'_>) -> PyResult<f64> {
        self.facts(py, |facts| Product(facts.clone()).max_prc())
    }
    #[getter]
    fn min_notional(&self, py: Python<'_>) -> PyResult<f64> {
        self.facts(py, |facts| cash(facts.min_notional))
    }

    #[getter]
    fn net(&self, py: Python<'_>) -> PyResult<f64> {
        self.position(py, |position| qty(position.net))
    }
    #[getter]
    fn avg_price(&self, py: Python<'_>) -> PyResult<f64> {
        self.position(py, |position| price(position.avg_price))
    }
    #[getter]
    fn realised(&self, py: Python<'_>) -> PyResult<f64> {
        self.position(py, |position| cash(position.realised))
    }

    /// On the grid: the nearest price, or with a side the one that is no worse.
    #[pyo3(signature = (price, side = None))]
    fn round_price(&self, price: &Bound<'_, PyAny>, side: Option<&Bound<'_, PyAny>>) -> PyResult<f64> {
        let tick = self.tick(price.py())?;
        let number = given("price", price)?;
        Ok(match side.map(word_of::<Side>).transpose()? {
            Some(side) => to_f64(price_for(side, number, tick).raw()),
            None => to_f64(number.nearest(tick)),
        })
    }
    fn floor_to_lot_size(&self, quantity: &Bound<'_, PyAny>) -> PyResult<f64> {
        let lot = self.lot_size(quantity.py())?;
        Ok(qty(Qty::from_raw(given("quantity", quantity)?.floor(lot))))
    }
    #[pyo3(signature = (price, n = 1))]
    fn tick_up(&self, price: &Bound<'_, PyAny>, n: i32) -> PyResult<f64> {
        Ok(to_f64(given("price", price)?.stepped(self.tick(price.py())?, i64::from(n))))
    }
    #[pyo3(signature = (price, n = 1))]
    fn tick_dn(&self, price: &Bound<'_, PyAny>, n: i32) -> PyResult<f64> {
        Ok(to_f64(given("price", price)?.stepped(self.tick(price.py())?, -i64::from(n))))
    }
    fn order_support(&self, order_type: &Bound<'_, PyAny>) -> PyResult<bool> {
        let wanted: OrderType = word_of(order_type)?;
        self.facts(order_type.py(), |facts| facts.order_types.iter().any(|word| word == wanted.as_str()))
    }
    fn tif_support(&self, tif: &Bound<'_, PyAny>) -> PyResult<bool> {
        let wanted: Tif = word_of(tif)?;
        self.facts(tif.py(), |facts| facts.tifs.contains(&wanted))
    }

    /// From that time of day on, every day, the phase is this one.
    #[pyo3(signature = (hour, minute, second, phase, tz = None))]
    fn add_phase(
        &self,
        py: Python<'_>,
        hour: u32,
        minute: u32,
        second: u32,
        phase: &Bound<'_, PyAny>,
        tz: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.phases(py)?.call_method1(py, "add", (hour, minute, second, phase, tz))?;
        Ok(())
    }
    /// The phase now, by the engine's clock.
    #[getter]
    fn phase(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.phase_at(py, self.session.get().reactor.now().nanos())
    }
    /// The phase at a time.
    fn phase_at(&self, py: Python<'_>, time: i64) -> PyResult<Py<PyAny>> {
        let when = datetime(py, Time::from_nanos(time))?;
        self.phases(py)?.call_method1(py, "at", (when,))
    }

    /// Ends the subscription.
    fn unsubscribe(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        this.session.get().remove(slf, &this.stream)
    }

    #[getter]
    fn get_on_data(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_data.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_data(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        self.hook(|hooks| &mut hooks.on_data, callback(py, "on_data", value)?);
        Ok(())
    }
    #[getter]
    fn get_on_order(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_order.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_order(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        self.hook(|hooks| &mut hooks.on_order, callback(py, "on_order", value)?);
        Ok(())
    }
    #[getter]
    fn get_on_order_error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_order_error.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_order_error(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        self.hook(|hooks| &mut hooks.on_order_error, callback(py, "on_order_error", value)?);
        Ok(())
    }
    #[getter]
    fn get_on_stale(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_stale.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_stale(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        self.hook(|hooks| &mut hooks.on_stale, callback(py, "on_stale", value)?);
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let Stream { symbol, channel } = &slf.get().stream;
        Ok(format!("{}({symbol}, {channel})", slf.get_type().name()?))
    }
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.session)?;
        let Ok(hooks) = self.hooks.try_lock() else { return Ok(()) };
        let SubscriptionHooks { on_data, on_order, on_order_error, on_stale, on_gap, phases } = &*hooks;
        for callback in [on_data, on_order, on_order_error, on_stale, on_gap, phases] {
            visit.call(callback)?;
        }
        Ok(())
    }
    fn __clear__(&self) {
        let hooks = std::mem::take(&mut *lock(&self.hooks));
        drop(hooks);
    }
}

pub(crate) fn base<'a, T>(slf: &'a Bound<'_, T>) -> &'a Subscription
where
    T: pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True, BaseType = Subscription>,
{
    slf.as_super().get()
}

#[pymethods]
impl DepthSubscription {
    #[getter]
    fn depth(slf: &Bound<'_, Self>) -> Option<Py<Depth>> {
        match &*lock(&base(slf).latest) {
            Latest::Depth(depth) => Some(depth.clone_ref(slf.py())),
            _ => None,
        }
    }
    #[getter]
    fn time(slf: &Bound<'_, Self>) -> i64 {
        base(slf).depth(|depth| depth.data.time.nanos(), 0)
    }
    #[getter]
    fn datetime<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDateTime>> {
        let time = base(slf).depth(|depth| depth.data.time, Time::default());
        datetime(slf.py(), time)
    }
    #[getter]
    fn bid_level(slf: &Bound<'_, Self>) -> usize {
        base(slf).depth(Depth::bid_level, 0)
    }
    #[getter]
    fn ask_level(slf: &Bound<'_, Self>) -> usize {
        base(slf).depth(Depth::ask_level, 0)
    }
    fn bid_prc(slf: &Bound<'_, Self>, level: i64) -> f64 {
        base(slf).depth(|depth| depth.bid_prc(level), f64::NAN)
    }
    fn bid_vol(slf: &Bound<'_, Self>, level: i64) -> f64 {
        base(slf).depth(|depth| depth.bid_vol(level), f64::NAN)
    }
    fn ask_prc(slf: &Bound<'_, Self>, level: i64) -> f64 {
        base(slf).depth(|depth| depth.ask_prc(level), f64::NAN)
    }
    fn ask_vol(slf: &Bound<'_, Self>, level: i64) -> f64 {
        base(slf).depth(|depth| depth.ask_vol(level), f64::NAN)
    }
}

#[pymethods]
impl BarSubscription {
    #[getter]
    fn bar(slf: &Bound<'_, Self>) -> Option<Py<Bar>> {
        match &*lock(&base(slf).latest) {
            Latest::Bar(bar) => Some(bar.clone_ref(slf.py())),
            _ => None,
        }
    }
    #[getter]
    fn interval(slf: &Bound<'_, Self>) -> &'static str {
        match base(slf).stream.channel {
            Channel::Kline(interval) => Interval::as_str(interval),
            _ => "",
        }
    }
    #[getter]
    fn time(slf: &Bound<'_, Self>) -> i64 {
        base(slf).bar(|bar| bar.data.end.nanos(), 0)
    }
    #[getter]
    fn start_time(slf: &Bound<'_, Self>) -> i64 {
        base(slf).bar(|bar| bar.data.start.nanos(), 0)
    }
    #[getter]
    fn datetime<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDateTime>> {
        let time = base(slf).bar(|bar| bar.data.end, Time::default());
        datetime(slf.py(), time)
    }
    #[getter]
    fn open(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| price(bar.data.open), f64::NAN)
    }
    #[getter]
    fn high(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| price(bar.data.high), f64::NAN)
    }
    #[getter]
    fn low(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| price(bar.data.low), f64::NAN)
    }
    #[getter]
    fn close(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| price(bar.data.close), f64::NAN)
    }
    #[getter]
    fn volume(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| qty(bar.data.volume), f64::NAN)
    }
    #[getter]
    fn amount(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| cash(bar.data.amount), f64::NAN)
    }
    #[getter]
    fn trade_count(slf: &Bound<'_, Self>) -> u64 {
        base(slf).bar(|bar| bar.data.trades, 0)
    }
    #[getter]
    fn buy_volume(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| qty(bar.data.buy_volume), f64::NAN)
    }
    #[getter]
    fn buy_amount(slf: &Bound<'_, Self>) -> f64 {
        base(slf).bar(|bar| cash(bar.data.buy_amount), f64::NAN)
    }
    #[getter]
    fn is_closed(slf: &Bound<'_, Self>) -> bool {
        base(slf).bar(|bar| bar.data.closed, false)
    }
}

#[pymethods]
impl TradeSubscription {
    #[getter]
    fn trade(slf: &Bound<'_, Self>) -> Option<Py<Trade>> {
        match &*lock(&base(slf).latest) {
            Latest::Trade(trade) => Some(trade.clone_ref(slf.py())),
            _ => None,
        }
    }
    #[getter]
    fn time(slf: &Bound<'_, Self>) -> i64 {
        base(slf).trade(|trade| trade.data.time.nanos(), 0)
    }
    #[getter]
    fn datetime<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDateTime>> {
        let time = base(slf).trade(|trade| trade.data.time, Time::default());
        datetime(slf.py(), time)
    }
    #[getter]
    fn price(slf: &Bound<'_, Self>) -> f64 {
        base(slf).trade(|trade| price(trade.data.price), f64::NAN)
    }
    #[getter]
    fn quantity(slf: &Bound<'_, Self>) -> f64 {
        base(slf).trade(|trade| qty(trade.data.qty), f64::NAN)
    }
    #[getter]
    fn side(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let side = base(slf).trade(|trade| Some(trade.taker()), None);
        side.map(|side| member(slf.py(), side)).transpose()
    }
    #[getter]
    fn get_on_gap(slf: &Bound<'_, Self>) -> Option<Py<PyAny>> {
        lock(&base(slf).hooks).on_gap.as_ref().map(|hook| hook.clone_ref(slf.py()))
    }
    #[setter]
    fn set_on_gap(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<()> {
        base(slf).hook(|hooks| &mut hooks.on_gap, callback(slf.py(), "on_gap", value)?);
        Ok(())
    }
}
