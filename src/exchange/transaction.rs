//! One call on one symbol: admission, placing, cancelling, amending.
//!
//! A [`Transaction`] borrows the symbol and the bank. Whatever it does, it ends with [`Transaction::finish`], which
//! runs the stops that fired and publishes what changed.

use crate::exchange::account::Bank;
use crate::exchange::admission;
use crate::exchange::book::{Resting, crosses};
use crate::exchange::config::AccountId;
use crate::exchange::event::{Change, Event, OrderEvent};
use crate::exchange::filters;
use crate::exchange::market::{Market, Slot, Want, next};
use crate::exchange::order::{Order, OrderStatus};
use crate::exchange::request::{
    Amend, Amended, Cancel, CancelReplaceMode, CancelReplaced, CancelRestriction, Canceled, Filter, Placed,
    Reject, Request,
};
use crate::exchange::stop::Direction;
use crate::ids::{ClientOrderId, VenueOrderId};
use crate::instrument::InstrumentStatus;
use crate::market::{Side, Stp};
use crate::num::{Cash, Qty};
use crate::order::request::Terms;
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Transaction<'a> {
    pub(super) market: &'a mut Market,
    pub(super) bank: &'a mut Bank,
    pub(super) events: &'a mut Vec<Event>,
    pub(super) now: Time,
}

impl Transaction<'_> {
    /// Runs the stops that fired, then publishes the changes of the book and of balances.
    pub(super) fn finish(mut self) {
        self.run_stops();
        let (book, best) = self.market.take_changes(self.now);
        self.events.extend(book.map(Event::Book));
        self.events.extend(best.map(Event::Best));
        self.events.extend(self.bank.take_changes(self.now).into_iter().map(Event::Balances));
    }

    /// Tells the owner of a change.
    pub(super) fn tell(&mut self, order: &Order, change: Change) -> u64 {
        if order.account.is_internal() {
            return 0;
        }
        let execution_id = next(&mut self.market.counters.execution);
        let event = OrderEvent { execution_id, time: self.now, change, order: order.clone() };
        self.events.push(Event::Order(Box::new(event)));
        execution_id
    }

    pub(super) fn place(&mut self, account: AccountId, request: &Request) -> Result<Placed, Reject> {
        admission::check(self.market, self.bank, account, request)?;
        self.place_checked(account, request)
    }

    /// The engine's part of placing.
    fn place_checked(&mut self, account: AccountId, request: &Request) -> Result<Placed, Reject> {
        if self.market.listing.instrument.status != InstrumentStatus::Trading {
            return Err(Reject::MarketClosed);
        }
        if self.market.is_taken(account, &request.client_id) {
            return Err(Reject::Duplicate);
        }
        if let Terms::Stop { order_type, stop, .. } = request.terms {
            let (direction, stop) = (Direction::of(request.side, order_type), self.market.ticks(stop));
            if self.market.last.is_some_and(|last| direction.reached(stop, last)) {
                return Err(Reject::WouldTrigger);
            }
        }
        let limit = request.terms.price().map(|price| self.market.ticks(price));
        let best = self.market.best_offer(request.side.opposite());
        if let (Terms::PostOnly { .. }, Some(limit), Some(best)) = (request.terms, limit, best)
            && crosses(request.side, limit, best)
        {
            return Err(Reject::WouldMatch);
        }
        let stp = request.stp.unwrap_or(self.market.listing.default_stp);
        let want = match request.terms {
            Terms::MarketQuote { amount } => Want::Quote(amount),
            _ => Want::Lots(self.market.lots(request.qty)),
        };
        if let (Want::Quote(_), Some(best)) = (want, best)
            && self.market.wanted(want, best) == 0
        {
            return Err(Reject::Filter(Filter::LotSize));
        }
        let held = self.hold_for(account, request, want, stp);
        if !self.bank.lock(account, self.market.paid_in(request.side), held) {
            return Err(Reject::InsufficientBalance);
        }
        let slot = self.accept(account, request, want, held);
        if slot.order.working_since.is_some() {
            return Ok(self.execute(slot));
        }
        let order = slot.order.clone();
        if let Some((direction, stop)) = self.market.waiting(&order) {
            self.market.stops.insert(direction, stop, order.id);
        }
        self.market.orders.insert(order.id, slot);
        Ok(Placed { order, fills: Vec::new(), prevented: Vec::new() })
    }

    /// What a new order must hold: by its limit or stop price, its amount, or by what the book would give it now.
    fn hold_for(&self, account: AccountId, request: &Request, want: Want, stp: Stp) -> Cash {
        let market = &self.market;
        let limit = request.terms.price().or(request.terms.stop()).map(|price| market.ticks(price));
        match (limit, want) {
            (Some(limit), Want::Lots(lots)) => market.hold(request.side, limit, lots),
            (None, Want::Lots(lots)) if request.side == Side::Sell => market.hold(Side::Sell, 0, lots),
            (None, Want::Quote(amount)) if request.side == Side::Buy => amount,
            _ => {
                let plan = self.plan(account, request.side, stp, None, want);
                plan.paid(market, request.side)
            }
        }
    }

    /// The order exists from here on.
    fn accept(&mut self, account: AccountId, request: &Request, want: Want, held: Cash) -> Slot {
        let id = next(&mut self.market.counters.order);
        let default_stp = self.market.listing.default_stp;
        let order = Order::new(id, account, request, default_stp, self.now);
        let owned = self.market.owners.entry(account).or_default();
        owned.open.insert(id);
        owned.names.insert((request.client_id.clone(), id));
        if !account.is_internal() {
            owned.ids.push(id);
        }
        self.tell(&order, Change::New);
        let arrival = next(&mut self.market.counters.arrival);
        Slot { order, want, held, arrival }
    }

    /// Puts what is left of a working limit order on the book.
    pub(super) fn rest(&mut self, slot: Slot) {
        let place = self.market.place_of(&slot);
        let resting = Resting { id: slot.order.id, account: slot.order.account, lots: slot.lots() };
        self.market.book.insert(place, resting);
        self.market.touch(place.side, place.ticks);
        self.market.orders.insert(slot.order.id, slot);
    }

    /// Takes an open order out of the book or the stops.
    fn withdraw(&mut self, id: VenueOrderId) -> Option<Slot> {
        let slot = self.market.orders.remove(&id)?;
        if let Some((direction, stop)) = self.market.waiting(&slot.order) {
            self.market.stops.remove(direction, stop, id);
        } else {
            let place = self.market.place_of(&slot);
            self.market.book.reduce(place, slot.lots());
            self.market.touch(place.side, place.ticks);
        }
        Some(slot)
    }

    /// The order has ended: releases what it holds; clients' orders stay for queries.
    pub(super) fn close(&mut self, mut slot: Slot) {
        debug_assert!(!slot.order.status.is_open(), "only ended orders are closed");
        let (id, account) = (slot.order.id, slot.order.account);
        let held = std::mem::take(&mut slot.held);
        self.bank.unlock(account, self.market.paid_in(slot.order.side), held);
        let owned = self.market.owners.entry(account).or_default();
        owned.open.remove(&id);
        if account.is_internal() {
            owned.names.remove(&(slot.order.client_id, id));
        } else {
            self.market.orders.insert(id, slot);
        }
    }

    pub(super) fn cancel(&mut self, account: AccountId, cancel: &Cancel) -> Result<Canceled, Reject> {
        self.may_change(account)?;
        let id = self.market.find_open(account, &cancel.order)?;
        let status = self.market.orders.get(&id).map(|slot| slot.order.status);
        let allowed = match cancel.restriction {
            None => true,
            Some(CancelRestriction::OnlyNew) => status == Some(OrderStatus::New),
            Some(CancelRestriction::OnlyPartiallyFilled) => status == Some(OrderStatus::PartiallyFilled),
        };
        if !allowed {
            return Err(Reject::CancelRestricted);
        }
        let mut slot = self.withdraw(id).ok_or(Reject::UnknownOrder)?;
        slot.order.status = OrderStatus::Canceled;
        slot.order.updated = self.now;
        let previous_id = self.market.rename(&mut slot.order, &cancel.cancel_id);
        self.tell(&slot.order, Change::Canceled { previous_id: previous_id.clone() });
        let order = slot.order.clone();
        self.close(slot);
        Ok(Canceled { order, previous_id })
    }

    /// May the account touch open orders here now?
    fn may_change(&self, account: AccountId) -> Result<(), Reject> {
        let settings = self.bank.accounts.get(&account).ok_or(Reject::UnknownAccount)?.settings;
        if !settings.can_trade {
            return Err(Reject::AccountBlocked);
        }
        match self.market.listing.instrument.status {
            InstrumentStatus::Halted => Err(Reject::MarketClosed),
            InstrumentStatus::Trading | InstrumentStatus::CancelOnly => Ok(()),
        }
    }

    pub(super) fn cancel_replace(
        &mut self,
        account: AccountId,
        mode: CancelReplaceMode,
        cancel: &Cancel,
        request: &Request,
    ) -> Result<CancelReplaced, Reject> {
        admission::check(self.market, self.bank, account, request)?;
        let cancel = self.cancel(account, cancel);
        let attempt = cancel.is_ok() || mode == CancelReplaceMode::AllowFailure;
        let new = attempt.then(|| self.place_checked(account, request));
        Ok(CancelReplaced { cancel, new })
    }

    pub(super) fn amend(&mut self, account: AccountId, amend: &Amend) -> Result<Amended, Reject> {
        self.may_change(account)?;
        let listing = &self.market.listing;
        if !listing.instrument.amend_allowed {
            return Err(Reject::AmendNotSupported);
        }
        filters::check_qty(&listing.instrument, amend.qty).map_err(Reject::Filter)?;
        let id = self.market.find_open(account, &amend.order)?;
        let order = self.market.orders.get(&id).map(|slot| &slot.order).ok_or(Reject::UnknownOrder)?;
        let limits = listing.limits;
        if amend.qty > order.qty {
            return Err(Reject::AmendIncrease);
        }
        if amend.qty == order.qty {
            return Err(Reject::AmendNoChange);
        }
        if order.amends >= limits.max_amends {
            return Err(Reject::Filter(Filter::MaxNumOrderAmends));
        }
        let price = order.terms.price();
        filters::check_notional(&listing.instrument, price, amend.qty, None).map_err(Reject::Filter)?;
        if order.client_id != amend.amend_id && self.market.is_taken(account, &amend.amend_id) {
            return Err(Reject::Duplicate);
        }
        self.apply_amend(id, amend.qty, &amend.amend_id)
    }

    /// Reduces in place, or ends an order that has nothing left then.
    fn apply_amend(&mut self, id: VenueOrderId, qty: Qty, name: &ClientOrderId) -> Result<Amended, Reject> {
        let mut slot = self.market.orders.remove(&id).ok_or(Reject::UnknownOrder)?;
        let done = slot.order.filled + slot.order.prevented;
        let left = self.market.lots((qty - done).max(Qty::ZERO));
        let place = self.market.place_of(&slot);
        match self.market.waiting(&slot.order) {
            Some((direction, stop)) if left == 0 => self.market.stops.remove(direction, stop, id),
            Some(_) => {}
            None => {
                self.market.book.reduce(place, slot.lots() - left);
                self.market.touch(place.side, place.ticks);
            }
        }
        slot.want = Want::Lots(left);
        slot.order.qty = qty.max(done);
        slot.order.amends += 1;
        slot.order.updated = self.now;
        let previous_id = self.market.rename(&mut slot.order, name);
        if left == 0 {
            slot.order.status = OrderStatus::Expired;
            let execution_id = self.tell(&slot.order, Change::Expired);
            let order = slot.order.clone();
            self.close(slot);
            return Ok(Amended { order, previous_id, execution_id });
        }
        self.release_surplus(&mut slot);
        let execution_id = self.tell(&slot.order, Change::Replaced { previous_id: previous_id.clone() });
        let order = slot.order.clone();
        self.market.orders.insert(id, slot);
        Ok(Amended { order, previous_id, execution_id })
    }

    /// Unlocks what an open order holds beyond its need.
    pub(super) fn release_surplus(&mut self, slot: &mut Slot) {
        let order = &slot.order;
        let at = order.terms.price().or(order.terms.stop().filter(|_| order.working_since.is_none()));
        let need = match (at, order.side, slot.want) {
            (Some(price), side, Want::Lots(lots)) => self.market.hold(side, self.market.ticks(price), lots),
            (None, Side::Sell, Want::Lots(lots)) => self.market.hold(Side::Sell, 0, lots),
            _ => return,
        };
        let (account, side) = (order.account, order.side);
        let surplus = slot.held - need;
        slot.held = need;
        self.bank.unlock(account, self.market.paid_in(side), surplus);
    }
}
