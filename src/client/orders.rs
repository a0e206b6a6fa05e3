//! The session's orders as this side knows them.
//!
//! An order is entered when it is sent, or when it is first heard of. Its facts are *set* by what the gateway tells, in
//! the order of telling; nothing is added up here.

use std::collections::{BTreeMap, VecDeque};

use super::event::OrderKey;
use crate::ids::{ClientOrderId, Symbol};
use crate::market::OrderStatus;
use crate::wire::event::{FillView, OrderView};

/// Ended orders kept for late words about them.
const MAX_ENDED: usize = 1_000;

/// How far the wish to cancel an order has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// No such wish.
    No,
    /// Waits until the gateway has the order.
    Wanted,
    /// Sent; nothing more is sent until it is answered with a refusal, or another run of the gateway is met.
    Asked,
}

/// An order and what is under way with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// All there is to know of it.
    pub order: OrderView,
    /// Its latest fill.
    pub last_fill: Option<FillView>,
    /// Cancel under way.
    pub kill: Kill,
    /// The gateway has it: it answered, or told of it.
    pub(super) accepted: bool,
    /// Code a cancel was refused with, told already: the same one is not told again until something changes.
    pub(super) refusal_told: Option<i64>,
    held: bool,
}

impl Tracked {
    /// May anything still happen to it?
    pub fn is_active(&self) -> bool {
        !self.order.state.is_terminal()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct OrderTable {
    orders: BTreeMap<OrderKey, Tracked>,
    keys: BTreeMap<ClientOrderId, OrderKey>,
    ended: VecDeque<OrderKey>,
    last_key: u64,
}

impl OrderTable {
    /// By key.
    pub fn get(&self, key: OrderKey) -> Option<&Tracked> {
        self.orders.get(&key)
    }
    pub(super) fn get_mut(&mut self, key: OrderKey) -> Option<&mut Tracked> {
        self.orders.get_mut(&key)
    }
    /// Key of an order, by any id it may carry.
    pub fn key(&self, id: &ClientOrderId) -> Option<OrderKey> {
        self.keys.get(id).or_else(|| self.keys.get(&id.stem())).copied()
    }
    /// Those that have not ended, oldest first.
    pub fn open(&self) -> impl Iterator<Item = (OrderKey, &Tracked)> {
        self.orders.iter().filter(|(_, tracked)| tracked.is_active()).map(|(key, tracked)| (*key, tracked))
    }

    pub(super) fn insert(&mut self, order: OrderView, accepted: bool) -> OrderKey {
        self.last_key += 1;
        let key = OrderKey(self.last_key);
        self.keys.insert(order.order_id.clone(), key);
        let ended = order.state.is_terminal();
        let tracked =
            Tracked { order, last_fill: None, kill: Kill::No, accepted, refusal_told: None, held: false };
        self.orders.insert(key, tracked);
        if ended {
            self.end(key);
        }
        key
    }

    /// Sets an order's facts, entering it if it is new.
    pub(super) fn set(&mut self, order: OrderView, fill: Option<FillView>) -> OrderKey {
        let Some(key) = self.key(&order.order_id) else {
            let key = self.insert(order, true);
            if let Some(tracked) = self.orders.get_mut(&key) {
                tracked.last_fill = fill;
            }
            return key;
        };
        let Some(tracked) = self.orders.get_mut(&key) else { return key };
        let ended = tracked.is_active() && order.state.is_terminal();
        tracked.order = order;
        tracked.accepted = true;
        tracked.refusal_told = None;
        if fill.is_some() {
            tracked.last_fill = fill;
        }
        if ended {
            self.end(key);
        }
        key
    }

    /// The gateway that took cancels is gone, and what it took with it: they are wanted again. True if there are any.
    pub(super) fn want_kills_again(&mut self) -> bool {
        let mut any = false;
        for tracked in self.orders.values_mut().filter(|t| t.kill == Kill::Asked && t.is_active()) {
            (tracked.kill, any) = (Kill::Wanted, true);
        }
        any
    }

    /// The way to the exchange changed: what was refused may be refused again, and is told again.
    pub(super) fn forget_refusals(&mut self) {
        for tracked in self.orders.values_mut() {
            tracked.refusal_told = None;
        }
    }

    /// Sets what this side makes of an order; the gateway has not told of it.
    pub(super) fn set_state(
        &mut self,
        key: OrderKey,
        state: OrderStatus,
        code: Option<i64>,
        reason: Option<String>,
    ) {
        let Some(tracked) = self.orders.get_mut(&key) else { return };
        let ended = tracked.is_active() && state.is_terminal();
        tracked.order.state = state;
        tracked.order.code = code;
        tracked.order.reason = reason;
        if ended {
            self.end(key);
        }
    }

    fn end(&mut self, key: OrderKey) {
        self.ended.push_back(key);
        while self.ended.len() > MAX_ENDED {
            let Some(oldest) = self.ended.pop_front() else { break };
            if self.orders.get(&oldest).is_some_and(|tracked| !tracked.held && !tracked.is_active()) {
                self.remove(oldest);
            }
        }
    }

    fn remove(&mut self, key: OrderKey) {
        if let Some(tracked) = self.orders.remove(&key) {
            self.keys.remove(&tracked.order.order_id);
        }
    }

    /// The oldest open order of a symbol that nothing holds.
    pub fn unheld(&self, symbol: &Symbol) -> Option<OrderKey> {
        self.open().find(|(_, tracked)| !tracked.held && tracked.order.symbol == *symbol).map(|(key, _)| key)
    }
    /// Keeps an order's facts until [`Self::release`].
    pub fn hold(&mut self, key: OrderKey) {
        if let Some(tracked) = self.orders.get_mut(&key) {
            tracked.held = true;
        }
    }
    /// Ends a [`Self::hold`].
    pub fn release(&mut self, key: OrderKey) {
        let Some(tracked) = self.orders.get_mut(&key) else { return };
        tracked.held = false;
        if !tracked.is_active() && !self.ended.contains(&key) {
            self.remove(key);
        }
    }
}
