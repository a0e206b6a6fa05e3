//! Changing an open order's price and quantity.

use crate::exchange::book::crosses;
use crate::exchange::config::AccountId;
use crate::exchange::event::Change;
use crate::exchange::futures::admission;
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::request::{Modified, Modify, Reject};
use crate::exchange::market::{Want, next};
use crate::exchange::order::Order;
use crate::exchange::request::{OrderRef, Reject as MarketReject, Request};
use crate::exchange::settlement::Settlement;
use crate::exchange::transaction::Transaction;
use crate::market::Tif;
use crate::order::request::Terms;

impl Transaction<'_, Clearing> {
    /// Takes the order out of the book, changes it, and works it anew: it may trade at its new price.
    pub(super) fn modify(&mut self, account: AccountId, modify: &Modify) -> Result<Modified, Reject> {
        self.may_change(account)?;
        let id = self.market.find_open(account, &modify.order)?;
        let slot = self.market.orders.get(&id).ok_or(MarketReject::UnknownOrder)?;
        let order = slot.order.clone();
        self.check_modify(&order, modify)?;
        let done = order.filled + order.prevented;
        let post_only = matches!(order.terms, Terms::PostOnly { .. });
        let ticks = self.market.ticks(modify.price);
        let best = self.market.best_offer(order.side.opposite());
        let takes = post_only && best.is_some_and(|best| crosses(order.side, ticks, best));
        if takes || modify.qty <= done {
            return self.cancel_instead(account, &order);
        }
        let before = self.withdraw(id).ok_or(MarketReject::UnknownOrder)?;
        let mut slot = before.clone();
        slot.order.terms = match order.terms {
            Terms::PostOnly { .. } => Terms::PostOnly { price: modify.price },
            _ => Terms::Limit { price: modify.price, tif: order.terms.tif().unwrap_or(Tif::Gtc) },
        };
        slot.order.qty = modify.qty;
        slot.want = Want::Lots(self.market.lots(modify.qty - done));
        let plan = self.plan_unpriced(&slot);
        if let Err(refusal) = self.settlement.reserve(self.market, &mut slot, &plan) {
            self.rest(before);
            return Err(refusal);
        }
        slot.order.amends += 1;
        slot.order.updated = self.now;
        slot.arrival = next(&mut self.market.counters.arrival);
        let previous_id = slot.order.client_id.clone();
        let execution_id = self.tell(&slot.order, Change::Replaced { previous_id });
        let placed = self.execute(slot);
        Ok(Modified { order: placed.order, execution_id })
    }

    fn check_modify(&self, order: &Order, modify: &Modify) -> Result<(), Reject> {
        let (market, clearing) = (&*self.market, &*self.settlement);
        let instrument = &market.listing.offered();
        if order.terms.price().is_none() {
            return Err(Reject::ModifyNotLimit);
        }
        if order.side != modify.side {
            return Err(Reject::ModifySide(order.side));
        }
        let reducing = order.position.reduces(order.side);
        if modify.reduce_only == Some(true) && !reducing {
            return Err(Reject::ModifyReduceOnly);
        }
        admission::check_price(instrument, modify.price)?;
        admission::check_qty(instrument, modify.qty, false)?;
        let terms = Terms::Limit { price: modify.price, tif: Tif::Gtc };
        let request = Request {
            symbol: order.symbol.clone(),
            client_id: order.client_id.clone(),
            side: order.side,
            terms,
            qty: modify.qty,
            stp: None,
        };
        let mark = clearing.mark(&order.symbol);
        let exempt = reducing && modify.reduce_only != Some(false);
        admission::check_notional(market, &request, mark, exempt)?;
        admission::check_band(market, &clearing.contract(&order.symbol)?.contract, &request, mark)?;
        if order.terms.price() == Some(modify.price) && order.qty == modify.qty {
            return Err(Reject::ModifyNoChange);
        }
        let most = market.listing.limits.max_amends;
        if order.amends >= most { Err(Reject::ModifiedTooOften(most)) } else { Ok(()) }
    }

    fn cancel_instead(&mut self, account: AccountId, order: &Order) -> Result<Modified, Reject> {
        let cancel = crate::exchange::request::Cancel {
            symbol: order.symbol.clone(),
            order: OrderRef::Id(order.id),
            cancel_id: order.client_id.clone(),
            restriction: None,
        };
        let order = self.cancel(account, &cancel)?.order;
        Ok(Modified { order, execution_id: self.market.counters.execution })
    }
}
