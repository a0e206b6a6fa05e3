//! One call on one symbol: admission, placing, cancelling, amending.
//!
//! A [`Transaction`] borrows the symbol and the money side. Whatever it does, it ends with [`Transaction::finish`],
//! which runs the stops that fired and publishes what changed.

use crate::exchange::account::Bank;
use crate::exchange::book::{Resting, crosses};
use crate::exchange::config::AccountId;
use crate::exchange::event::{Change, MarketEvent, OrderEvent};
use crate::exchange::filters;
use crate::exchange::market::{Market, Plan, Slot, Want, next};
use crate::exchange::order::{Order, OrderStatus, PositionTerms};
use crate::exchange::request::{
    Amend, Amended, Cancel, CancelReplaceMode, CancelReplaced, CancelRestriction, Canceled, Filter, Placed,
    Reject, Request,
};
use crate::exchange::settlement::Settlement;
use crate::exchange::stop::Direction;
use crate::ids::{ClientOrderId, VenueOrderId};
use crate::instrument::InstrumentStatus;
use crate::num::{Cash, Qty};
use crate::order::request::Terms;
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Transaction<'a, S: Settlement> {
    pub(super) market: &'a mut Market,
    pub(super) settlement: &'a mut S,
    pub(super) events: &'a mut Vec<S::Told>,
    pub(super) now: Time,
}

impl<S: Settlement> Transaction<'_, S> {
    /// Runs the stops that fired, then publishes the changes of the book and of balances.
    pub(super) fn finish(mut self) {
        self.run_stops();
        let (book, best) = self.market.take_changes(self.now);
        self.events.extend(book.map(|change| MarketEvent::Book(change).into()));
        self.events.extend(best.map(|change| MarketEvent::Best(change).into()));
        self.settlement.tell(self.now, self.events);
    }

    /// Tells the owner of a change.
    pub(super) fn tell(&mut self, order: &Order, change: Change) -> u64 {
        if order.account.is_internal() {
            return 0;
        }
        let execution_id = next(&mut self.market.counters.execution);
        let event = OrderEvent { execution_id, time: self.now, change, order: order.clone() };
        self.events.push(MarketEvent::Order(Box::new(event)).into());
        execution_id
    }

    pub(super) fn place(
        &mut self,
        account: AccountId,
        request: &Request,
        position: &PositionTerms,
    ) -> Result<Placed, S::Refusal> {
        self.settlement.admit(self.market, account, request, position)?;
        self.place_checked(account, request, position)
    }

    /// The engine's part of placing.
    pub(super) fn place_checked(
        &mut self,
        account: AccountId,
        request: &Request,
        position: &PositionTerms,
    ) -> Result<Placed, S::Refusal> {
        if self.market.listing.instrument.status != InstrumentStatus::Trading {
            return Err(Reject::MarketClosed.into());
        }
        if self.market.is_taken(account, &request.client_id) {
            return Err(Reject::Duplicate.into());
        }
        if let Terms::Stop { order_type, stop, .. } = request.terms {
            let (direction, stop) = (Direction::of(request.side, order_type), self.market.ticks(stop));
            if self.market.last.is_some_and(|last| direction.reached(stop, last)) {
                return Err(Reject::WouldTrigger.into());
            }
        }
        let limit = request.terms.price().map(|price| self.market.ticks(price));
        let best = self.market.best_offer(request.side.opposite());
        if let (Terms::PostOnly { .. }, Some(limit), Some(best)) = (request.terms, limit, best)
            && crosses(request.side, limit, best)
        {
            return Err(Reject::WouldMatch.into());
        }
        let want = match request.terms {
            Terms::MarketQuote { amount } => Want::Quote(amount),
            _ => Want::Lots(self.market.lots(request.qty)),
        };
        if let (Want::Quote(_), Some(best)) = (want, best)
            && self.market.wanted(want, best) == 0
        {
            return Err(Reject::Filter(Filter::LotSize).into());
        }
        let slot = self.accept(account, request, position, want)?;
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

    /// The order exists from here on, if its account can afford it.
    fn accept(
        &mut self,
        account: AccountId,
        request: &Request,
        position: &PositionTerms,
        want: Want,
    ) -> Result<Slot, S::Refusal> {
        let id = self.market.counters.order + 1;
        let default_stp = self.market.listing.default_stp;
        let order = Order::new(id, account, request, default_stp, self.now);
        let order = Order { position: *position, ..order };
        let arrival = self.market.counters.arrival + 1;
        let mut slot = Slot { order, want, held: Cash::ZERO, arrival };
        let plan = self.plan_unpriced(&slot);
        self.settlement.reserve(self.market, &mut slot, &plan)?;
        (self.market.counters.order, self.market.counters.arrival) = (id, arrival);
        self.market.enroll(&slot.order);
        self.tell(&slot.order, Change::New);
        Ok(slot)
    }

    /// What the book would give an order that has no limit; nothing for one that has, or that waits.
    pub(super) fn plan_unpriced(&self, slot: &Slot) -> Plan {
        let order = &slot.order;
        if slot.limit().is_some() || order.working_since.is_none() {
            return Plan::default();
        }
        self.plan(slot)
    }

    /// Puts what is left of a working limit order on the book.
    pub(super) fn rest(&mut self, slot: Slot) {
        let place = self.market.place_of(&slot);
        let reduces = slot.order.position.reduces(slot.order.side);
        let resting = Resting { id: slot.order.id, account: slot.order.account, lots: slot.lots(), reduces };
        self.market.book.insert(place, resting);
        self.market.touch(place.side, place.ticks);
        self.market.orders.insert(slot.order.id, slot);
    }

    /// Takes an open order out of the book or the stops.
    pub(super) fn withdraw(&mut self, id: VenueOrderId) -> Option<Slot> {
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
        self.settlement.release(self.market, &mut slot);
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
    pub(super) fn may_change(&self, account: AccountId) -> Result<(), Reject> {
        let settings = self.settlement.settings(account).ok_or(Reject::UnknownAccount)?;
        if !settings.can_trade {
            return Err(Reject::AccountBlocked);
        }
        match self.market.listing.instrument.status {
            InstrumentStatus::Halted => Err(Reject::MarketClosed),
            InstrumentStatus::Trading | InstrumentStatus::CancelOnly => Ok(()),
        }
    }

    pub(super) fn amend(&mut self, account: AccountId, amend: &Amend) -> Result<Amended, Reject> {
        self.may_change(account)?;
        let listing = &self.market.listing;
        if !listing.instrument.amend_allowed {
            return Err(Reject::AmendNotSupported);
        }
        filters::check_qty(&listing.offered(), amend.qty).map_err(Reject::Filter)?;
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
        self.settlement.release(self.market, &mut slot);
        let execution_id = self.tell(&slot.order, Change::Replaced { previous_id: previous_id.clone() });
        let order = slot.order.clone();
        self.market.orders.insert(id, slot);
        Ok(Amended { order, previous_id, execution_id })
    }
}

impl Transaction<'_, Bank> {
    pub(super) fn cancel_replace(
        &mut self,
        account: AccountId,
        mode: CancelReplaceMode,
        cancel: &Cancel,
        request: &Request,
    ) -> Result<CancelReplaced, Reject> {
        let position = PositionTerms::default();
        self.settlement.admit(self.market, account, request, &position)?;
        let cancel = self.cancel(account, cancel);
        let attempt = cancel.is_ok() || mode == CancelReplaceMode::AllowFailure;
        let new = attempt.then(|| self.place_checked(account, request, &position));
        Ok(CancelReplaced { cancel, new })
    }
}
