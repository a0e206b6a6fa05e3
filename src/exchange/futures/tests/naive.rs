//! A second futures exchange of one symbol, to check the first one: vectors, decimals, whole scans. What an account has
//! at stake it works out from its open orders, what a market order costs by trying on a copy. It shares types with the
//! real one, and no logic.

use super::*;
use crate::exchange::OrderStatus::{self, Canceled, Expired, ExpiredInMatch, Filled, PartiallyFilled};
use crate::exchange::{Expiry, Fill, Order, OrderRef, Reject as Plain};
use crate::market::Stp;
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub(super) struct Owner {
    pub(super) wallet: Cash,
    pub(super) fees: (i128, i128), // maker, taker; parts of 10^10
    pub(super) leverage: i128,
    pub(super) held: BTreeMap<PositionSide, (Qty, Cash, Cash)>, // quantity, cost, realised
}

#[derive(Clone, Default)]
pub(super) struct Naive {
    pub(super) owners: BTreeMap<AccountId, Owner>,
    pub(super) orders: Vec<Order>, // by arrival
    pub(super) fills: Vec<Fill>,
    pub(super) mark: Price,
    pub(super) fees: Cash,
    pub(super) fund: Cash,
    pub(super) now: Time,
    pub(super) brackets: Vec<Bracket>,
    pub(super) counters: [u64; 3], // orders, trades, preventions
}

fn sign(side: Side) -> i128 {
    if side == Side::Buy { 1 } else { -1 }
}

fn crosses(order: &Order, price: Price) -> bool {
    let limit = order.terms.price();
    limit.is_none_or(|limit| (limit.raw() - price.raw()) * sign(order.side) >= 0)
}

/// Division rounded half away from zero.
fn divide(a: i128, b: i128) -> i128 {
    (2 * a.abs() + b.abs()) / (2 * b.abs()) * a.signum() * b.signum()
}

impl Naive {
    fn get(&mut self, id: u64) -> &mut Order {
        self.orders.iter_mut().find(|order| order.id == id).unwrap()
    }

    pub(super) fn open(&self, id: AccountId) -> Vec<&Order> {
        self.orders.iter().filter(|o| o.account == id && o.status.is_open()).collect()
    }

    fn held(&self, id: AccountId, side: PositionSide) -> Qty {
        self.owners[&id].held.get(&side).map_or(Qty::ZERO, |held| held.0)
    }

    fn opens(&self, order: &Order) -> bool {
        let hedge = order.position.side != PositionSide::Both;
        let closes = hedge && (order.position.side == PositionSide::Long) == (order.side == Side::Sell);
        !(closes || order.position.reduce_only)
    }

    /// What an order could close; without end, if it may open.
    fn can(&self, order: &Order) -> Qty {
        let held = self.held(order.account, order.position.side).raw();
        let closes = (-sign(order.side) * held).max(0);
        if self.opens(order) { Qty::whole(1_000_000) } else { Qty::from_raw(closes) }
    }

    /// The notional at stake in a position: filled up by all bids or by all asks.
    fn stake(&self, id: AccountId, side: PositionSide, more: &[(Side, Cash)]) -> Cash {
        let mut asked = [Cash::ZERO; 2];
        let rests = |o: &&&Order| o.position.side == side && self.opens(o);
        for order in self.open(id).iter().filter(rests) {
            asked[usize::from(order.side == Side::Sell)] += order.terms.price().unwrap().times(order.left());
        }
        more.iter().for_each(|(side, amount)| asked[usize::from(*side == Side::Sell)] += *amount);
        let held = self.mark.times(self.held(id, side));
        match side {
            PositionSide::Both => (held + asked[0]).abs().max((held - asked[1]).abs()),
            PositionSide::Long => held.abs() + asked[0],
            PositionSide::Short => held.abs() + asked[1],
        }
    }

    fn margin(&self, id: AccountId, notional: Cash) -> Cash {
        let part = 100 * self.owners[&id].leverage;
        Cash::from_raw((notional.raw().abs() + part - 1) / part * 100)
    }

    /// Wallet and unrealised profit, less all margin in use.
    pub(super) fn free(&self, id: AccountId) -> Cash {
        let worth = |held: &(Qty, Cash, Cash)| self.mark.times(held.0) - held.1;
        let used = PositionSide::ALL.iter().map(|side| self.margin(id, self.stake(id, *side, &[])));
        let owner = &self.owners[&id];
        owner.wallet + owner.held.values().map(worth).sum() - used.sum()
    }

    /// Margin for a new or changed order, which counts with `old` so far.
    fn afford(&self, order: &Order, old: Cash, cost: Cash, qty: Qty) -> Result<(), Reject> {
        let (id, side) = (order.account, order.position.side);
        let before = self.stake(id, side, &[]);
        let after = self.stake(id, side, &[(order.side, cost - old)]);
        if after <= before {
            return Ok(());
        }
        let leverage = self.owners[&id].leverage;
        let most =
            self.brackets.iter().filter(|b| i128::from(b.max_leverage) >= leverage).map(|b| b.cap).max();
        if after > most.unwrap() {
            return Err(Reject::PositionTooLarge(most.unwrap()));
        }
        let loss = (cost.raw() - self.mark.times(qty).raw()) * sign(order.side);
        let needed = self.margin(id, after) - self.margin(id, before) + Cash::from_raw(loss.max(0));
        if needed > self.free(id) { Err(Reject::InsufficientMargin) } else { Ok(()) }
    }

    /// Fits an order to its position or to its account's margin.
    fn fit(&self, order: &mut Order, old: Cash) -> Result<(), Reject> {
        let can = self.can(order);
        if !self.opens(order) {
            if can.is_zero() || (order.position.side != PositionSide::Both && order.left() > can) {
                return Err(Reject::ReduceOnly);
            }
            order.qty = order.qty - order.left() + order.left().min(can);
            return Ok(());
        }
        let (cost, qty) = match order.terms.price() {
            Some(price) => (price.times(order.left()), order.left()),
            None => self.rehearse(order),
        };
        self.afford(order, old, cost, qty)
    }

    /// Lets a copy trade on credit: what the order would pay, and for how much.
    fn rehearse(&self, order: &Order) -> (Cash, Qty) {
        let mut copy = self.clone();
        copy.orders.retain(|o| o.id != order.id);
        copy.orders.push(order.clone());
        copy.take(order.id);
        let after = copy.get(order.id);
        (after.filled_quote - order.filled_quote, after.filled - order.filled)
    }

    pub(super) fn place(&mut self, id: AccountId, new: &NewOrder) -> Result<Order, Reject> {
        let mut order = Order::new(self.counters[0] + 1, id, &new.request, Stp::ExpireMaker, self.now);
        order.position = new.position;
        if self.open(id).iter().any(|other| other.client_id == order.client_id) {
            return Err(Reject::Market(Plain::Duplicate));
        }
        if self.would_take(&order) {
            return Err(Reject::Market(Plain::WouldMatch));
        }
        self.fit(&mut order, Cash::ZERO)?;
        self.counters[0] += 1;
        let id = order.id;
        self.orders.push(order);
        Ok(self.work(id))
    }

    fn would_take(&self, order: &Order) -> bool {
        let queue = self.queue(order.side.opposite());
        let post_only = matches!(order.terms, Terms::PostOnly { .. });
        post_only && queue.first().is_some_and(|o| crosses(order, o.terms.price().unwrap()))
    }

    fn queue(&self, side: Side) -> Vec<Order> {
        let rests = |o: &&Order| o.side == side && o.status.is_open() && o.terms.price().is_some();
        let mut queue: Vec<_> = self.orders.iter().filter(rests).cloned().collect();
        queue.sort_by_key(|order| -sign(side) * order.terms.price().unwrap().raw());
        queue
    }

    fn work(&mut self, id: u64) -> Order {
        let order = self.get(id).clone();
        if order.terms.tif() != Some(Tif::Fok) || self.rehearse(&order).1 == order.left() {
            self.take(id);
        }
        let order = self.get(id).clone();
        let expiry = match (order.terms.price(), order.terms.tif()) {
            _ if !order.status.is_open() => return order,
            (None, _) => Expiry::InsufficientLiquidity,
            (_, Some(Tif::Ioc)) => Expiry::UnfilledIoc,
            (_, Some(Tif::Fok)) => Expiry::UnfilledFok,
            _ => return order,
        };
        self.end(id, Expired, Some(expiry))
    }

    fn end(&mut self, id: u64, status: OrderStatus, expiry: Option<Expiry>) -> Order {
        let (now, order) = (self.now, self.get(id));
        (order.status, order.expiry, order.updated) = (status, expiry, now);
        order.clone()
    }

    fn take(&mut self, id: u64) {
        while self.get(id).status.is_open() {
            let t = self.get(id).clone();
            let queue = self.queue(t.side.opposite());
            let meets = |m: &&Order| m.id != id && crosses(&t, m.terms.price().unwrap());
            let Some(m) = queue.iter().find(meets) else { return };
            let price = m.terms.price().unwrap();
            let qty = t.left().min(m.left()).min(self.can(m));
            if m.account == t.account && t.stp != Stp::None {
                self.counters[2] += 1;
                let lose = [(m.id, t.stp != Stp::ExpireTaker), (t.id, t.stp != Stp::ExpireMaker)];
                for (id, _) in lose.into_iter().filter(|loses| loses.1) {
                    let (number, order) = (self.counters[2], self.get(id));
                    (order.prevented, order.prevented_match) = (order.prevented + order.left(), Some(number));
                    self.end(id, ExpiredInMatch, None);
                }
                continue;
            }
            self.counters[1] += 1;
            self.fill(t.id, price, qty, false);
            self.fill(m.id, price, qty, true);
            for order in self.orders.clone().iter().filter(|o| o.status.is_open() && o.id != id) {
                if [t.account, m.account].contains(&order.account) && self.can(order).is_zero() {
                    self.end(order.id, Expired, Some(Expiry::PositionClosed));
                }
            }
        }
    }

    fn fill(&mut self, id: u64, price: Price, qty: Qty, maker: bool) {
        let (now, trade, quote) = (self.now, self.counters[1], price.times(qty));
        let order = self.get(id);
        (order.filled, order.filled_quote) = (order.filled + qty, order.filled_quote + quote);
        (order.status, order.updated) = (if order.left().is_zero() { Filled } else { PartiallyFilled }, now);
        let order = order.clone();
        let owner = self.owners.get_mut(&order.account).unwrap();
        let held = owner.held.entry(order.position.side).or_default();
        let against = held.0.raw().signum() * sign(order.side) < 0;
        let closed = if against { qty.raw().min(held.0.raw().abs()) } else { 0 };
        let part = match held.0.raw().abs() {
            all if all == closed => held.1.raw(),
            all => divide(held.1.raw() * closed, all * 100) * 100,
        };
        let amount = |raw: i128| price.times(Qty::from_raw(raw * sign(order.side)));
        let realised = Cash::from_raw(-part) - amount(closed);
        held.0 += Qty::from_raw(qty.raw() * sign(order.side));
        held.1 = held.1 - Cash::from_raw(part) + amount(qty.raw() - closed);
        held.2 += realised;
        let rate = if maker { owner.fees.0 } else { owner.fees.1 };
        let fee = Cash::from_raw(quote.raw() * rate / 10_i128.pow(10) / 100 * 100);
        owner.wallet += realised - fee;
        self.fees += fee;
        self.fills.push(Fill::new(&order, (trade, price, qty), (Asset::new("USDT"), fee), realised, maker));
    }

    fn find(&self, id: AccountId, which: &OrderRef) -> Result<Order, Reject> {
        let order = self.open(id).into_iter().find(|o| match which {
            OrderRef::Id(id) | OrderRef::Both(id, _) => o.id == *id,
            OrderRef::ClientId(name) => o.client_id == *name,
        });
        order.cloned().ok_or(Reject::Market(Plain::UnknownOrder))
    }

    pub(super) fn cancel(&mut self, id: AccountId, which: &OrderRef) -> Result<Order, Reject> {
        self.find(id, which).map(|order| self.end(order.id, Canceled, None))
    }

    pub(super) fn modify(&mut self, id: AccountId, m: &Modify) -> Result<Order, Reject> {
        let old = self.find(id, &m.order)?;
        let same = old.terms.price() == Some(m.price) && old.qty == m.qty;
        let flagged = m.reduce_only == Some(true) && self.opens(&old);
        let refusals = [
            (flagged, Reject::ModifyReduceOnly),
            (same, Reject::ModifyNoChange),
            (old.amends >= 2, Reject::ModifiedTooOften(2)),
        ];
        refusals.iter().find(|refusal| refusal.0).map_or(Ok(()), |refusal| Err(refusal.1))?;
        let (price, tif) = (m.price, old.terms.tif());
        let terms = tif.map_or(Terms::PostOnly { price }, |tif| Terms::Limit { price, tif });
        let mut order = Order { terms, qty: m.qty, ..old.clone() };
        if self.would_take(&order) || m.qty <= old.filled + old.prevented {
            return self.cancel(id, &OrderRef::Id(old.id));
        }
        let counted =
            if self.opens(&old) { old.terms.price().unwrap().times(old.left()) } else { Cash::ZERO };
        self.fit(&mut order, counted)?;
        (order.amends, order.updated) = (old.amends + 1, self.now);
        self.orders.retain(|o| o.id != old.id);
        self.orders.push(order);
        Ok(self.work(old.id))
    }

    /// Funding at a rate of parts of 10^10.
    pub(super) fn pay(&mut self, rate: i128) {
        for owner in self.owners.values_mut() {
            let net: Qty = owner.held.values().map(|held| held.0).sum();
            let amount = -(self.mark.times(net).raw() * rate / 10_i128.pow(10) / 100 * 100);
            owner.wallet += Cash::from_raw(amount);
            self.fund += Cash::from_raw(-amount);
        }
    }
}
