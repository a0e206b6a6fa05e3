//! From a session's inbox to the strategy's callbacks.

use pyo3::prelude::*;
use tradingsys::client::event::{Event, Market, OrderChange, Placed};
use tradingsys::client::inbox::SlotId;
use tradingsys::ids::Symbol;
use tradingsys::time::{Span, Time};
use tradingsys::wire::event::StateEvent;
use tradingsys::wire::request::Ack;

use crate::book::{Book, Mark};
use crate::convert::{error as error_of, log, raise};
use crate::market_data::{Bar, Depth, Trade};
use crate::reactor::lock;
use crate::records::{Notice, Order, OrderError, SessionState};
use crate::session::Session;
use crate::subscription::{Latest, Subscription};

impl Session {
    /// Gives the strategy every private event that waits; returns how many.
    pub(crate) fn dispatch_private(&self, py: Python<'_>) -> PyResult<usize> {
        let mut count = 0;
        loop {
            let next = self.desk(py)?.client.next_private();
            let Some(placed) = next else { return Ok(count) };
            let told = self.tell(py, &placed);
            let client = &mut self.desk(py)?.client;
            if let Err(error) = told {
                client.failed(placed);
                return Err(error);
            }
            client.handled(&placed);
            count += 1;
        }
    }

    fn tell(&self, py: Python<'_>, placed: &Placed) -> PyResult<()> {
        match &placed.event {
            Event::Order(change) => self.tell_order(py, change, placed.at),
            Event::OrderError { order_id, symbol, error } => {
                let told = Py::new(py, OrderError::new(order_id, symbol.as_ref(), error))?.into_any();
                let pick = |subscription: &Subscription| {
                    lock(&subscription.hooks).on_order_error.as_ref().map(|hook| hook.clone_ref(py))
                };
                let called = self.tell_subscriptions(py, symbol.as_ref(), &told, pick)?;
                if called {
                    return Ok(());
                }
                log(py, "warn", &format!("order {order_id}: {} ({})", error.message, error.code))?;
                // Of an order unknown here there is no subscription that could be told.
                let hook = lock(&self.hooks).on_error.as_ref().map(|hook| hook.clone_ref(py));
                call(py, hook.filter(|_| symbol.is_none()), || error_of(py, error))
            }
            Event::Notice { code, message, symbol, order_id } => {
                log(py, "warn", &format!("{code}: {message}"))?;
                let notice = Notice {
                    code: code.clone(),
                    message: message.clone(),
                    symbol: symbol.as_ref().map(ToString::to_string),
                    order_id: order_id.as_ref().map(ToString::to_string),
                };
                let hook = lock(&self.hooks).on_notice.as_ref().map(|hook| hook.clone_ref(py));
                call(py, hook, || Ok(Py::new(py, notice)?.into_any()))
            }
            Event::State(state) => self.tell_state(py, state),
            Event::Error(body) => {
                let hook = lock(&self.hooks).on_error.as_ref().map(|hook| hook.clone_ref(py));
                match hook {
                    Some(hook) => call(py, Some(hook), || error_of(py, body)),
                    None => Err(raise(py, body)),
                }
            }
            Event::Position { .. } | Event::Unread => Ok(()),
        }
    }

    /// Logs how a session begins.
    pub(crate) fn log_beginning(&self, py: Python<'_>) -> PyResult<()> {
        let desk = self.desk(py)?;
        let config = desk.client.config();
        let (number, name) = (config.session_id, config.name.clone());
        let state = SessionState::new(desk.client.state());
        drop(desk);
        let level = if state.is_ready() { "info" } else { "warn" };
        log(py, level, &format!("session {number} {name:?} is logged in and {}", state.words()))
    }

    fn tell_state(&self, py: Python<'_>, state: &StateEvent) -> PyResult<()> {
        let told = SessionState::new(state);
        let level = if told.is_ready() { "info" } else { "warn" };
        log(py, level, &format!("session {} is {}", self.session_number(), told.words()))?;
        let hook = lock(&self.hooks).on_state.as_ref().map(|hook| hook.clone_ref(py));
        call(py, hook, || Ok(Py::new(py, told)?.into_any()))
    }

    fn tell_order(&self, py: Python<'_>, change: &OrderChange, at: Option<Ack>) -> PyResult<()> {
        let order = Py::new(py, Order::of_change(change, at))?.into_any();
        let pick = |subscription: &Subscription| {
            lock(&subscription.hooks).on_order.as_ref().map(|hook| hook.clone_ref(py))
        };
        self.tell_subscriptions(py, Some(&change.order.symbol), &order, pick)?;
        let hook = lock(&self.hooks).on_order.as_ref().map(|hook| hook.clone_ref(py));
        call(py, hook, || Ok(order))
    }

    /// Calls a callback of every subscription of a symbol; `true` if there was one.
    fn tell_subscriptions(
        &self,
        py: Python<'_>,
        symbol: Option<&Symbol>,
        told: &Py<PyAny>,
        pick: impl Fn(&Subscription) -> Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        let mut called = false;
        for at in 0.. {
            // Looked up anew each time: a callback may subscribe or unsubscribe.
            let subscription = match lock(&self.hooks).entries.get(at) {
                Some(entry) => entry.subscription.clone_ref(py),
                None => break,
            };
            if symbol == Some(&subscription.get().stream.symbol)
                && let Some(hook) = pick(subscription.get())
            {
                hook.call1(py, (told,))?;
                called = true;
            }
        }
        Ok(called)
    }

    /// Gives the strategy market data for so long, or until a private event waits; returns how many items.
    pub(crate) fn dispatch_market(&self, py: Python<'_>, share: Span) -> PyResult<usize> {
        let until: Time = self.reactor.now() + share;
        let mut count = 0;
        loop {
            let mut desk = self.desk(py)?;
            let next = if desk.client.has_private() { None } else { desk.client.next_market() };
            drop(desk);
            let Some((slot, market)) = next else { return Ok(count) };
            self.show(py, slot, market)?;
            count += 1;
            if self.reactor.now() >= until || self.reactor.has_stopped() {
                return Ok(count);
            }
        }
    }

    fn show(&self, py: Python<'_>, slot: SlotId, market: Market) -> PyResult<()> {
        let mut made: Option<Shown> = None;
        let mut market = Some(market);
        for at in 0.. {
            let subscription = match lock(&self.hooks).entries.get(at) {
                Some(entry) if entry.slot == slot => entry.subscription.clone_ref(py),
                Some(_) => continue,
                None => break,
            };
            let this = subscription.get();
            if let Some(market) = market.take() {
                made = Some(Shown::new(py, &this.stream.symbol, market)?);
            }
            if let Some(shown) = &made {
                shown.show(py, this)?;
            }
        }
        Ok(())
    }
}

/// Market data made into Python values once, for all subscriptions of its stream.
enum Shown {
    Depth(Py<Depth>),
    Bar(Py<Bar>),
    Trade(Py<Trade>),
    Mark(Py<Mark>),
    Book,
    Gap(u64),
    Stale(String),
}

impl Shown {
    fn new(py: Python<'_>, symbol: &Symbol, market: Market) -> PyResult<Self> {
        let symbol = symbol.clone();
        Ok(match market {
            Market::Depth(data) => Self::Depth(Py::new(py, Depth { symbol, data })?),
            Market::Bar(data) => Self::Bar(Py::new(py, Bar { symbol, data })?),
            Market::Trade(data) => Self::Trade(Py::new(py, Trade { symbol, data })?),
            Market::Mark(data) => Self::Mark(Py::new(py, Mark { symbol, data })?),
            Market::Book => Self::Book,
            Market::Gap(count) => Self::Gap(count),
            Market::Stale(reason) => Self::Stale(reason),
        })
    }

    fn show(&self, py: Python<'_>, subscription: &Subscription) -> PyResult<()> {
        let (latest, data) = match self {
            Self::Depth(depth) => (Latest::Depth(depth.clone_ref(py)), depth.clone_ref(py).into_any()),
            Self::Bar(bar) => (Latest::Bar(bar.clone_ref(py)), bar.clone_ref(py).into_any()),
            Self::Trade(trade) => (Latest::Trade(trade.clone_ref(py)), trade.clone_ref(py).into_any()),
            Self::Mark(mark) => (Latest::Mark(mark.clone_ref(py)), mark.clone_ref(py).into_any()),
            Self::Book => {
                subscription.set_current();
                let hook = lock(&subscription.hooks).on_data.as_ref().map(|hook| hook.clone_ref(py));
                return call(py, hook, || Ok(Book::of(py, subscription)?.into_any()));
            }
            Self::Gap(count) => {
                let hook = lock(&subscription.hooks).on_gap.as_ref().map(|hook| hook.clone_ref(py));
                return call(py, hook, || Ok(count.into_pyobject(py)?.into_any().unbind()));
            }
            Self::Stale(reason) => {
                subscription.set_stale(reason);
                let hook = lock(&subscription.hooks).on_stale.as_ref().map(|hook| hook.clone_ref(py));
                return call(py, hook, || Ok(reason.into_pyobject(py)?.into_any().unbind()));
            }
        };
        subscription.set_latest(latest);
        let hook = lock(&subscription.hooks).on_data.as_ref().map(|hook| hook.clone_ref(py));
        call(py, hook, || Ok(data))
    }
}

fn call(
    py: Python<'_>,
    hook: Option<Py<PyAny>>,
    argument: impl FnOnce() -> PyResult<Py<PyAny>>,
) -> PyResult<()> {
    if let Some(hook) = hook {
        hook.call1(py, (argument()?,))?;
    }
    Ok(())
}
