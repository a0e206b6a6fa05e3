//! Orders that only reduce what their session holds.
//!
//! The venue can only judge the account's position, and a session's may be the other way: with one session long 5 and
//! another short 8 the account is short 3, and the venue would refuse the first one's legitimate sale. So the gateway
//! judges, by the session's own position less what its open orders of that side may still fill. The venue's flag is set
//! only where its judgement is bound to be the same: on an order that fills at once, while nobody else has a part in
//! the symbol.
//!
//! What was judged at sending must hold later, too: when the position shrinks, orders it no longer has room for are
//! cancelled. Conditional orders wait beside the others (a stop loss beside a take profit), so each is judged alone,
//! and is cancelled when nothing is left to reduce.

use super::Gateway;
use super::io::LogLevel;
use crate::ids::{ClientOrderId, SessionId, Symbol};
use crate::instrument::Instrument;
use crate::journal::Owner;
use crate::market::{OrderType, Side, Tif};
use crate::num::Qty;
use crate::order::state::{Order, State};
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::request::Order as Asked;

impl Gateway {
    /// How much an order of that side could reduce.
    fn reducible(&self, session: SessionId, symbol: &Symbol, side: Side) -> Qty {
        let held = self.books.position(session, symbol).qty;
        let room = if side == Side::Sell { held } else { -held };
        room.max(Qty::ZERO)
    }

    /// What open orders of the session and side may still fill, those in doubt included; `None`: no saying how much.
    fn may_fill(&self, session: SessionId, symbol: &Symbol, side: Side) -> Option<Qty> {
        let mut sum = Qty::ZERO;
        for order in self.orders.open_of(session) {
            if order.symbol == *symbol && order.side == side && !order.waits() && !order.is_untriggered_stop()
            {
                if order.quote_amount.is_some() {
                    return None;
                }
                sum += order.left();
            }
        }
        Some(sum)
    }

    /// Would an order of that size do nothing but reduce?
    pub(super) fn judge_reduction(
        &self,
        session: SessionId,
        symbol: &Symbol,
        side: Side,
        qty: Option<Qty>,
        waits: bool,
    ) -> Result<(), ErrorBody> {
        let refuse = |message: String| Err(ErrorBody::new(ErrorCode::ReduceOnly, message));
        let Some(qty) = qty else {
            return refuse("a reduce_only order needs a quantity, not a quote amount".to_owned());
        };
        let room = self.reducible(session, symbol, side);
        let open = if waits { Some(Qty::ZERO) } else { self.may_fill(session, symbol, side) };
        let most = open.map_or(Qty::ZERO, |open| (room - open).max(Qty::ZERO));
        if qty <= most {
            return Ok(());
        }
        let held = self.books.position(session, symbol).qty;
        let open = open.map_or_else(|| "an unknown part of it".to_owned(), |open| open.to_string());
        refuse(format!(
            "session {session} holds {held} {symbol} and its open {side} orders may fill {open}: a reduce_only \
             {side} of {qty} would do more than reduce it; {most} is the most"
        ))
    }

    /// Is the venue's own judgement bound to be the same?
    pub(super) fn venue_may_judge(&self, session: SessionId, instrument: &Instrument, order: &Asked) -> bool {
        let symbol = &instrument.symbol;
        let at_once = order.order_type == OrderType::Market || matches!(order.tif, Some(Tif::Ioc | Tif::Fok));
        let sole_holder = (self.books.positions())
            .all(|(owner, of, totals)| owner == session || of != symbol || totals.qty.is_zero());
        let nobodys = [Owner::External, Owner::Unattributed]
            .into_iter()
            .all(|owner| self.books.asset(owner, &instrument.holding).is_zero());
        let sole_trader =
            self.orders.open().all(|order| order.symbol != *symbol || order.session == Some(session));
        instrument.rules.reduce_only && at_once && sole_holder && nobodys && sole_trader
    }

    /// Cancels reduce-only orders that the session's position has no more room for, the youngest first.
    pub(super) fn guard_reductions(&mut self, now: Time) {
        let mut spent = std::collections::BTreeMap::new();
        let mut excess = Vec::new();
        let mut orders: Vec<&Order> = self.orders.open_reducing().collect();
        orders.sort_by_key(|order| order.created);
        for order in orders {
            let Some(session) = order.session else { continue };
            let room = self.reducible(session, &order.symbol, order.side);
            if order.waits() || order.is_untriggered_stop() {
                if room.is_zero() {
                    excess.push(order.id.clone());
                }
                continue;
            }
            let spent: &mut Qty = spent.entry((session, order.symbol.clone(), order.side)).or_default();
            if *spent + order.left() > room {
                excess.push(order.id.clone());
            } else {
                *spent += order.left();
            }
        }
        for id in excess {
            self.cancel_excess(now, &id);
        }
    }

    fn cancel_excess(&mut self, now: Time, id: &ClientOrderId) {
        let live = |o: &&Order| matches!(o.state, State::Sent | State::Working) && !o.cancel_wanted;
        let Some(session) = self.orders.get(id).filter(live).and_then(|o| o.session) else { return };
        if let Err(reason) = self.send_cancel(now, id) {
            // The next report, and the next comparison with the exchange, try again.
            let fields = format!("order={id} reason={:?}", reason.to_string());
            self.log(LogLevel::Warn, "reduce-only order could not be cancelled yet", fields);
            return;
        }
        let message = format!("order {id} is cancelled: its session has less left than it would reduce");
        self.notice(now, session, "reduce_only", message, Some(id));
    }
}
