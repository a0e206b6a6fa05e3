//! A session: one strategy's seat at one gateway.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use serde_json::value::RawValue;
use std::sync::atomic::Ordering;
use tradingsys::client::Input;
use tradingsys::client::event::{LocalError, OrderKey};
use tradingsys::client::inbox::SlotId;
use tradingsys::client::machine::QuestionId;
use tradingsys::market::{Channel, Interval, Stream};
use tradingsys::time::{Span, earliest};
use tradingsys::wire::error::{ErrorBody, ErrorCode};
use tradingsys::wire::event::{BalanceView, BarData, Product as Facts};
use tradingsys::wire::request::{Ack, Call, History, Nothing, Symbols};

use crate::clock::duration;
use crate::convert::{callback, misuse, raise, symbol as symbol_of};
use crate::desk::Desk;
use crate::market_data::Bar;
use crate::reactor::{Reactor, lock};
use crate::records::{Balance, Order, Position, Product, state_word};
use crate::subscription::{Subscription, new_subscription};

/// How long a question waits for its reply.
const REPLY_TIMEOUT: Span = Span::from_secs(10);

/// A subscription and where its data is filed.
pub(crate) struct Entry {
    pub(crate) slot: SlotId,
    pub(crate) subscription: Py<Subscription>,
}

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_order: Option<Py<PyAny>>,
    pub(crate) on_state: Option<Py<PyAny>>,
    pub(crate) on_notice: Option<Py<PyAny>>,
    pub(crate) on_error: Option<Py<PyAny>>,
    pub(crate) entries: Vec<Entry>,
}

#[pyclass(frozen, module = "pyalgo", weakref)]
pub(crate) struct Session {
    pub(crate) reactor: Arc<Reactor>,
    address: String,
    desk: Mutex<Desk>,
    pub(crate) hooks: Mutex<Hooks>,
    /// Orders whose holders are gone: noted here, because a holder may go at any moment of the garbage collector's
    /// choice.
    released: Mutex<Vec<OrderKey>>,
}

impl Session {
    pub(crate) fn new(reactor: Arc<Reactor>, address: String, desk: Desk) -> Self {
        let hooks = Mutex::new(Hooks::default());
        Self { reactor, address, desk: Mutex::new(desk), hooks, released: Mutex::new(Vec::new()) }
    }

    /// The machine and its connection, for the owning thread. No Python code may run while it is held.
    pub(crate) fn desk(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Desk>> {
        self.reactor.check_thread(py)?;
        Ok(lock(&self.desk))
    }

    /// Reads what has arrived and does what is due.
    pub(crate) fn pump(&self) {
        let mut desk = lock(&self.desk);
        let token = desk.poll_token();
        let now = self.reactor.now();
        if self.reactor.take_ready(token) && desk.read(now, &self.reactor.registry) {
            self.reactor.keep_ready(token);
        }
        if desk.client.deadline().is_some_and(|due| due <= now) {
            desk.input(now, Input::Timer, &self.reactor.registry);
        }
    }

    /// How long nothing needs to be done for it.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        let desk = lock(&self.desk);
        if desk.client.has_work() {
            return Some(Duration::ZERO);
        }
        let due = earliest(desk.client.deadline(), desk.client.beat_at());
        due.map(|due| duration(due - self.reactor.now()))
    }

    /// How long it may be left until [`Self::turned`] has something to acknowledge.
    pub(crate) fn acknowledges_in(&self) -> Option<Duration> {
        let due = lock(&self.desk).client.acknowledge_at();
        due.map(|due| duration(due - self.reactor.now()))
    }

    pub(crate) fn acknowledge(&self) {
        let mut desk = lock(&self.desk);
        let Desk { client, out, .. } = &mut *desk;
        client.acknowledge(out);
        desk.perform(self.reactor.now(), &self.reactor.registry);
    }

    /// The loop runs, and will run again when it is wanted.
    pub(crate) fn turned(&self) {
        let mut desk = lock(&self.desk);
        let Desk { client, out, .. } = &mut *desk;
        let now = self.reactor.now();
        client.acknowledge_seldom(now, out);
        client.beat(now, out);
        desk.perform(now, &self.reactor.registry);
    }

    pub(crate) fn shut(&self) {
        lock(&self.desk).input(self.reactor.now(), Input::Close, &self.reactor.registry);
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.desk).client.is_closed()
    }

    pub(crate) fn is_open(&self) -> bool {
        let desk = lock(&self.desk);
        // A session that failed still has to say so.
        !desk.client.is_closed() || desk.client.has_work()
    }

    /// Connects and logs in; waits until orders and positions are known, and then, at most so long, until orders are
    /// taken: a gateway that has just been started compares its books first.
    pub(crate) fn open(&self, py: Python<'_>, patience: Span) -> PyResult<()> {
        self.log_in(py)?;
        let until = self.reactor.now() + patience;
        while self.reactor.now() < until {
            let desk = lock(&self.desk);
            if desk.client.is_ready() || desk.client.is_closed() {
                break;
            }
            drop(desk);
            self.step(py)?;
        }
        lock(&self.desk).client.begin();
        Ok(())
    }

    fn log_in(&self, py: Python<'_>) -> PyResult<()> {
        self.desk(py)?.input(self.reactor.now(), Input::Start, &self.reactor.registry);
        loop {
            {
                let mut desk = lock(&self.desk);
                if desk.client.is_logged_in() {
                    return Ok(());
                }
                if let Some(failure) = desk.client.failure().cloned() {
                    let failure = desk.token_error.take().unwrap_or(failure);
                    drop(desk);
                    return Err(raise(py, &self.explained(failure)));
                }
            }
            self.step(py)?;
        }
    }

    fn explained(&self, failure: ErrorBody) -> ErrorBody {
        if failure.code != LocalError::Connect.code() {
            return failure;
        }
        let ErrorBody { message, .. } = failure;
        LocalError::Connect
            .body(format!("no gateway at {} — start one with `spot -c spot.json` ({message})", self.address))
    }

    /// Waits a little for something to arrive, and takes it in.
    fn step(&self, py: Python<'_>) -> PyResult<()> {
        let longest = self
            .idle_for()
            .unwrap_or(Duration::MAX)
            .clamp(Duration::from_micros(100), Duration::from_millis(20));
        self.reactor.wait(py, longest)?;
        py.check_signals()?;
        self.pump();
        Ok(())
    }

    /// Waits for the reply to a question. Whatever else arrives meanwhile is handled afterwards.
    pub(crate) fn wait_for(&self, py: Python<'_>, question: QuestionId) -> PyResult<Box<RawValue>> {
        let until = self.reactor.now() + REPLY_TIMEOUT;
        let give_up = |error: PyErr| {
            lock(&self.desk).client.forget(question);
            error
        };
        loop {
            let reply = lock(&self.desk).client.take_reply(question);
            match reply {
                Some(Ok(result)) => return Ok(result),
                Some(Err(error)) => return Err(raise(py, &error)),
                None => {}
            }
            if self.reactor.now() >= until {
                let message = "the gateway did not reply within 10 s";
                return Err(give_up(raise(py, &LocalError::Timeout.body(message))));
            }
            if self.reactor.signals.load(Ordering::Relaxed) > 0 {
                return Err(give_up(PyKeyboardInterrupt::new_err(())));
            }
            let longest = Duration::from_millis(20);
            self.reactor.wait(py, longest)?;
            py.check_signals().map_err(give_up)?;
            self.pump();
        }
    }

    pub(crate) fn session_number(&self) -> u16 {
        lock(&self.desk).client.config().session_id
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, py: Python<'_>, call: Call) -> PyResult<T> {
        let question = self.command(py, |desk| {
            let Desk { client, out, .. } = desk;
            client.ask(call, out)
        })?;
        let result = self.wait_for(py, question)?;
        serde_json::from_str(result.get()).map_err(|error| {
            raise(py, &LocalError::Protocol.body(format!("the gateway's reply cannot be read: {error}")))
        })
    }

    /// Has the machine do something, and sends what it has to say. Refused if the socket is full.
    pub(crate) fn command<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Desk) -> Result<T, ErrorBody>,
    ) -> PyResult<T> {
        let done = self.try_command(py, act)?;
        done.map_err(|error| raise(py, &error))
    }

    /// The same; what the machine refuses is returned.
    pub(crate) fn try_command<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Desk) -> Result<T, ErrorBody>,
    ) -> PyResult<Result<T, ErrorBody>> {
        let mut desk = self.desk(py)?;
        if desk.is_blocked() {
            let message = "nothing was sent: the socket is full, the gateway does not read";
            return Ok(Err(LocalError::Busy.body(message)));
        }
        let done = act(&mut desk);
        desk.perform(self.reactor.now(), &self.reactor.registry);
        Ok(done)
    }

    /// Notes that nothing holds this order any more.
    pub(crate) fn release(&self, key: OrderKey) {
        lock(&self.released).push(key);
    }

    /// Forgets the holds that were noted as gone.
    pub(crate) fn sweep_released(&self) {
        let released = std::mem::take(&mut *lock(&self.released));
        if !released.is_empty() {
            let mut desk = lock(&self.desk);
            for key in released {
                desk.client.orders_mut().release(key);
            }
        }
    }

    pub(crate) fn remove(&self, subscription: &Bound<'_, Subscription>, stream: &Stream) -> PyResult<()> {
        let py = subscription.py();
        let (gone, last) = {
            let mut hooks = lock(&self.hooks);
            let found = hooks.entries.iter().position(|entry| entry.subscription.is(subscription));
            let gone = found.map(|at| hooks.entries.remove(at));
            let slot = gone.as_ref().map(|entry| entry.slot);
            let last = slot.is_some() && !hooks.entries.iter().any(|entry| Some(entry.slot) == slot);
            (gone, last)
        };
        drop(gone);
        if last {
            self.command(py, |desk| {
                let Desk { client, out, .. } = desk;
                client.unsubscribe(stream, out);
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn hook(hooks: &Mutex<Hooks>, slot: impl Fn(&mut Hooks) -> &mut Option<Py<PyAny>>, value: Option<Py<PyAny>>) {
    let old = std::mem::replace(slot(&mut lock(hooks)), value);
    drop(old);
}

#[pymethods]
impl Session {
    /// Subscribes to a stream of a symbol.
    #[pyo3(signature = (symbol, stream))]
    fn subscribe(slf: &Bound<'_, Self>, symbol: &str, stream: &str) -> PyResult<Py<PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let Some(channel) = Channel::from_word(stream) else {
            let known = Channel::words(|_| true);
            let message =
                format!("no stream {stream:?}; there are {known} (mark on futures, kline:1s on spot only)");
            return Err(raise(py, &ErrorBody::new(ErrorCode::InvalidStream, message)));
        };
        let stream = Stream { symbol: symbol_of(symbol), channel };
        let desk = this.desk(py)?;
        if desk.client.is_closed() {
            drop(desk);
            return Err(raise(py, &LocalError::Closed.body("the session is closed; make a new one")));
        }
        let known = desk.client.slot(&stream);
        drop(desk);
        let slot = match known {
            Some(slot) => slot,
            None => {
                let question = this.command(py, |desk| {
                    let Desk { client, out, .. } = desk;
                    client.subscribe(stream.clone(), out)
                })?;
                this.wait_for(py, question)?;
                let slot = lock(&this.desk).client.slot(&stream);
                slot.ok_or_else(|| raise(py, &LocalError::Protocol.body(format!("{stream} was not opened"))))?
            }
        };
        let (object, subscription) = new_subscription(py, slf.clone().unbind(), stream)?;
        lock(&this.hooks).entries.push(Entry { slot, subscription });
        Ok(object)
    }

    /// The newest bars, oldest first.
    fn history(&self, py: Python<'_>, symbol: &str, interval: &str, count: i64) -> PyResult<Vec<Bar>> {
        let fits = u32::try_from(count).ok().filter(|count| (1..=1000).contains(count));
        let count =
            fits.ok_or_else(|| misuse(py, &format!("count {count} is not a number of bars from 1 to 1000")))?;
        let symbol = symbol_of(symbol);
        let interval = interval.strip_prefix("kline:").unwrap_or(interval).to_owned();
        let length = Interval::from_word(&interval);
        let call = Call::History(History { symbol: symbol.clone(), interval, count });
        let bars: Vec<BarData> = self.ask(py, call)?;
        if let Some(length) = length {
            let stream = Stream { symbol: symbol.clone(), channel: Channel::Kline(length) };
            self.desk(py)?.client.joined(&stream, &bars);
        }
        Ok(bars.into_iter().map(|data| Bar { symbol: symbol.clone(), data }).collect())
    }

    /// The account's balances by asset.
    fn balances(&self, py: Python<'_>) -> PyResult<std::collections::BTreeMap<String, Balance>> {
        let found: Vec<BalanceView> = self.ask(py, Call::Balances(Nothing {}))?;
        Ok(found.into_iter().map(|balance| (balance.asset.to_string(), Balance(balance))).collect())
    }

    /// Facts of symbols; of all the exchange trades if none is named.
    #[pyo3(signature = (*symbols))]
    fn products(
        &self,
        py: Python<'_>,
        symbols: Vec<String>,
    ) -> PyResult<std::collections::BTreeMap<String, Product>> {
        let symbols = symbols.iter().map(|name| symbol_of(name)).collect();
        let found: Vec<Facts> = self.ask(py, Call::Products(Symbols { symbols }))?;
        Ok(found.into_iter().map(|facts| (facts.symbol.to_string(), Product(facts))).collect())
    }

    /// Asks for all open orders to be cancelled, or those of one symbol.
    #[pyo3(signature = (symbol = None))]
    fn cancel_all(&self, py: Python<'_>, symbol: Option<&str>) -> PyResult<()> {
        self.command(py, |desk| {
            let Desk { client, out, .. } = desk;
            client.cancel_all(symbol.map(symbol_of), out)
        })
    }

    /// Asks for one order to be cancelled by its id.
    fn cancel(&self, py: Python<'_>, order_id: &str) -> PyResult<()> {
        self.command(py, |desk| {
            let Desk { client, out, .. } = desk;
            client.cancel(tradingsys::ids::ClientOrderId::foreign(order_id), out)
        })
    }

    /// Acknowledges all events up to a cursor, up to the event being handled if none is given.
    #[pyo3(signature = (cursor = None))]
    fn commit(&self, py: Python<'_>, cursor: Option<(u64, u64)>) -> PyResult<()> {
        let upto = cursor.map(|(generation, sequence)| Ack { generation, sequence });
        let done = self.desk(py)?.client.commit(upto);
        done.map_err(|error| raise(py, &error))?;
        if !self.desk(py)?.is_blocked() {
            self.acknowledge();
        }
        Ok(())
    }

    /// The open orders, oldest first.
    #[getter]
    fn orders(&self, py: Python<'_>) -> PyResult<Vec<Order>> {
        let desk = self.desk(py)?;
        let open = desk.client.orders().open();
        Ok(open
            .map(|(_, tracked)| Order::of_view(tracked.order.clone(), tracked.last_fill.clone()))
            .collect())
    }

    /// The positions by symbol.
    #[getter]
    fn positions(&self, py: Python<'_>) -> PyResult<std::collections::BTreeMap<String, Position>> {
        let desk = self.desk(py)?;
        let positions = desk.client.positions().iter();
        Ok(positions.map(|(symbol, position)| (symbol.to_string(), Position::new(position))).collect())
    }

    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(state_word(self.desk(py)?.client.state()))
    }
    #[getter]
    fn cursor(&self, py: Python<'_>) -> PyResult<Option<(u64, u64)>> {
        Ok(self.desk(py)?.client.cursor().map(|at| (at.generation, at.sequence)))
    }
    #[getter]
    fn addr(&self) -> &str {
        &self.address
    }
    #[getter]
    fn session_id(&self) -> u16 {
        self.session_number()
    }
    #[getter]
    fn name(&self) -> String {
        lock(&self.desk).client.config().name.clone()
    }
    #[getter]
    fn trading(&self) -> bool {
        lock(&self.desk).client.config().trading
    }

    #[getter]
    fn get_on_order(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_order.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_order(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        hook(&self.hooks, |hooks| &mut hooks.on_order, callback(py, "on_order", value)?);
        Ok(())
    }
    #[getter]
    fn get_on_state(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_state.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_state(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        hook(&self.hooks, |hooks| &mut hooks.on_state, callback(py, "on_state", value)?);
        Ok(())
    }
    #[getter]
    fn get_on_notice(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_notice.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_notice(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        hook(&self.hooks, |hooks| &mut hooks.on_notice, callback(py, "on_notice", value)?);
        Ok(())
    }
    #[getter]
    fn get_on_error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.hooks).on_error.as_ref().map(|hook| hook.clone_ref(py))
    }
    #[setter]
    fn set_on_error(&self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<()> {
        hook(&self.hooks, |hooks| &mut hooks.on_error, callback(py, "on_error", value)?);
        Ok(())
    }

    /// Acknowledges what was handled, says goodbye and closes the connection. Orders stay as they are, unless the
    /// session was made with `on_lost="cancel"`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.reactor.check_thread(py)?;
        self.shut();
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
        let desk = lock(&self.desk);
        let config = desk.client.config();
        let role = if config.trading { "trading" } else { "watching" };
        let state = state_word(desk.client.state());
        format!("Session({}, {:?}, {}, {role}, {state})", config.session_id, config.name, self.address)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(hooks) = self.hooks.try_lock() else { return Ok(()) };
        for callback in [&hooks.on_order, &hooks.on_state, &hooks.on_notice, &hooks.on_error] {
            visit.call(callback)?;
        }
        hooks.entries.iter().try_for_each(|entry| visit.call(&entry.subscription))
    }
    fn __clear__(&self) {
        let hooks = std::mem::take(&mut *lock(&self.hooks));
        drop(hooks);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shut();
    }
}
