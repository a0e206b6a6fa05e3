//! What happens by itself: funding, good-till dates and countdowns.

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::request::Reject;
use crate::exchange::order::Expiry;
use crate::ids::{Symbol, VenueOrderId};
use crate::time::{Span, Time, earliest};

impl Exchange<Clearing> {
    /// When it wants to be called next by [`Exchange::timer`].
    pub fn deadline(&self) -> Option<Time> {
        let clearing = &self.settlement;
        let good_till = clearing.good_tills.first().map(|(at, _, _)| *at);
        let orders = earliest(good_till, clearing.countdowns.values().min().copied());
        earliest(orders, earliest(self.funding_deadline(), self.conditional_deadline()))
    }

    /// Does what is due.
    pub fn timer(&mut self, now: Time) {
        self.run_funding(now);
        let now = self.advance(now);
        self.expire_conditionals(now);
        while let Some(due) = self.settlement.good_tills.first().filter(|(at, _, _)| *at <= now).cloned() {
            self.settlement.good_tills.remove(&due);
            self.expire(now, &due.1, due.2);
        }
        let countdowns = self.settlement.countdowns.iter();
        let due: Vec<(AccountId, Symbol)> =
            countdowns.filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for (account, symbol) in due {
            self.settlement.countdowns.remove(&(account, symbol.clone()));
            // A symbol that takes no cancels now ends its orders itself.
            let _ = self.cancel_all(now, account, &symbol);
        }
    }

    fn expire(&mut self, now: Time, symbol: &Symbol, id: VenueOrderId) {
        let open = self.markets.get(symbol).and_then(|market| market.orders.get(&id));
        if !open.is_some_and(|slot| slot.order.status.is_open()) {
            return;
        }
        if let Some(mut transaction) = self.begin(now, symbol) {
            transaction.end(id, Expiry::GoodTillDate);
            transaction.finish();
        }
    }

    /// Cancels all orders of an account in a symbol after so long, unless called again before; zero stops that.
    ///
    /// # Errors
    /// [`Reject::Market`]: unknown account or symbol.
    pub fn countdown_cancel_all(
        &mut self,
        now: Time,
        account: AccountId,
        symbol: &Symbol,
        after: Span,
    ) -> Result<(), Reject> {
        let now = self.advance(now);
        self.settlement.account(account)?;
        self.settlement.contract(symbol)?;
        let key = (account, symbol.clone());
        if after == Span::ZERO {
            self.settlement.countdowns.remove(&key);
        } else {
            self.settlement.countdowns.insert(key, now + after);
        }
        Ok(())
    }
}
