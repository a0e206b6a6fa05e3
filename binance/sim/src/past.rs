//! Answers from the past: what a lagging replica of the venue still believes.

use tradingsys::exchange::{AccountId, Order, OrderRef, Reject};
use tradingsys::ids::Symbol;
use tradingsys::time::{Span, Time};

use crate::methods::Call;
use crate::sim::Sim;

impl Sim {
    /// The moment a query is answered from; `None` if that is now.
    pub(crate) fn cutoff(&self, call: &Call<'_>) -> Option<Time> {
        (call.lag > Span::ZERO).then(|| call.now - call.lag)
    }

    /// An order as it was; `None` if it did not exist yet.
    pub(crate) fn order_then(&self, order: &Order, then: Time) -> Option<Order> {
        if order.updated <= then {
            return Some(order.clone());
        }
        let same = |known: &Order| known.id == order.id && known.symbol == order.symbol;
        let events = self.recent.iter().rev();
        events
            .filter(|event| same(&event.order))
            .find(|event| event.time <= then)
            .map(|event| event.order.clone())
    }

    /// One order as it was. An id it took later does not find it, an id it has given up does.
    pub(crate) fn find_then(
        &self,
        account: AccountId,
        symbol: &Symbol,
        wanted: &OrderRef,
        then: Time,
    ) -> Result<Order, Reject> {
        let OrderRef::ClientId(client_id) = wanted else {
            let order = self.exchange.order(account, symbol, wanted)?;
            return self.order_then(order, then).ok_or(Reject::UnknownOrder);
        };
        let recent = self.recent.iter().rev().map(|event| &event.order);
        let mine = recent.filter(|order| order.account == account && order.symbol == *symbol);
        let now = self.exchange.order(account, symbol, wanted).ok();
        now.into_iter()
            .chain(mine)
            .filter(|order| order.client_id == *client_id)
            .filter_map(|order| self.exchange.order(account, symbol, &OrderRef::Id(order.id)).ok())
            .filter_map(|order| self.order_then(order, then))
            .find(|order| order.client_id == *client_id)
            .ok_or(Reject::UnknownOrder)
    }

    /// Open orders as they were.
    pub(crate) fn open_then(&self, account: AccountId, symbol: Option<&Symbol>, then: Time) -> Vec<Order> {
        let fits =
            |order: &Order| order.account == account && symbol.is_none_or(|symbol| order.symbol == *symbol);
        let mut seen = std::collections::BTreeSet::new();
        let mut found = Vec::new();
        let now = self.exchange.open_orders(account, symbol).unwrap_or_default();
        let changed =
            self.recent.iter().rev().take_while(|event| event.time > then).map(|event| &event.order);
        for order in now.into_iter().chain(changed.filter(|order| fits(order))) {
            if seen.insert((order.symbol.clone(), order.id))
                && let Some(order) = self.order_then(order, then).filter(|order| order.status.is_open())
            {
                found.push(order);
            }
        }
        found.sort_by(|a, b| (&a.symbol, a.id).cmp(&(&b.symbol, b.id)));
        found
    }
}
