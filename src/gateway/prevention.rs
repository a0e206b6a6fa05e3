//! Orders of own sessions that would trade with each other.
//!
//! Every order asks the venue to end the incoming one then: the resting session keeps its place in the queue. What the
//! venue says of it is one word on the incoming order, so who the other side was is found here, among the orders that
//! rest, and both are told. Where the configuration wants it (`refuse_self_trade`), such an order is not sent at all.

use super::Gateway;
use crate::ids::{ClientOrderId, Symbol};
use crate::limits::Asked;
use crate::market::Side;
use crate::num::Price;
use crate::order::state::Order;
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};

/// Does it rest in the book, as far as is known, at a price?
fn rests(order: &Order) -> Option<Price> {
    order.price.filter(|_| !order.waits() && !order.is_untriggered_stop())
}

impl Gateway {
    /// The open order of the account that an incoming one would meet first; without a price it takes any.
    fn met(&self, symbol: &Symbol, side: Side, price: Option<Price>) -> Option<&Order> {
        let facing = self.orders.open().filter(|o| o.side == side.opposite() && o.symbol == *symbol);
        let crossed = facing.filter_map(|order| Some((rests(order)?, order))).filter(|(at, _)| match side {
            Side::Buy => price.is_none_or(|price| price >= *at),
            Side::Sell => price.is_none_or(|price| price <= *at),
        });
        let best = match side {
            Side::Buy => crossed.min_by_key(|(at, order)| (*at, order.created)),
            Side::Sell => crossed.max_by_key(|(at, order)| (*at, std::cmp::Reverse(order.created))),
        };
        best.map(|(_, order)| order)
    }

    /// An order ended by self-trade prevention: says why, and tells the other side.
    pub(super) fn prevented(&mut self, now: Time, id: &ClientOrderId) {
        let Some(order) = self.orders.get(id) else { return };
        let (symbol, session) = (order.symbol.clone(), order.session);
        let other = self.met(&symbol, order.side, rests(order)).map(|o| (o.id.clone(), o.session));
        let with = match &other {
            Some((other, Some(owner))) => format!("order {other} of session {owner}"),
            Some((other, None)) => format!("order {other} of this account, which is no session's"),
            None => "another order of this account".to_owned(),
        };
        let reason = format!("self-trade prevention: it would have traded with {with}");
        self.orders.update(id, |order| order.reason = Some(reason));
        if let (Some(session), Some((other, Some(owner)))) = (session, other)
            && owner != session
        {
            let message = format!(
                "order {id} of session {session} expired: it would have traded with order {other}, which stays as it is"
            );
            self.notice(now, owner, "self_trade", message, Some(&other));
        }
    }

    /// Would an order trade with a resting one of the account, where that is not to be tried?
    pub(super) fn judge_self_trade(&self, asked: &Asked<'_>) -> Result<(), ErrorBody> {
        if asked.stop.is_some() || !self.guard.refuses_self_trade() {
            return Ok(());
        }
        let Some(other) = self.met(asked.symbol, asked.side, asked.price) else { return Ok(()) };
        let owner = other.session.map_or_else(|| "no session".to_owned(), |owner| format!("session {owner}"));
        let message = format!(
            "it would trade with order {} of {owner}, a {} at {}; nothing was sent",
            other.id,
            other.side,
            other.price.unwrap_or_default()
        );
        Err(ErrorBody::new(ErrorCode::SelfTrade, message))
    }
}
