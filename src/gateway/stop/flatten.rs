//! Closing what sessions hold, after the kill switch: market orders that only reduce, one a position, once no order of
//! ours is open any more.
//!
//! Each is an order of its session, with a number that no client may give, and is told to it like any other. New orders
//! need what all new orders need: an exchange that was compared, a symbol that trades, a journal that takes them. What
//! is smaller than the exchange takes stays, and so does a spot position below zero: nobody is owed that there. What
//! the exchange has refused to close stays until it is another position: it would refuse the same order each second.

use std::collections::BTreeMap;

use super::super::Gateway;
use super::super::command::{NUMBERS_END, SELF_TRADE, not_sent, refused};
use super::super::io::LogLevel;
use super::Closing;
use crate::ids::{ClientOrderId, CommandNumber, SessionId, Symbol};
use crate::instrument::{Instrument, InstrumentKind};
use crate::market::{Instructions, OrderStatus, OrderType, Side};
use crate::num::Qty;
use crate::order::request::{Draft, admit};
use crate::order::state::{Order, State};
use crate::time::{Span, Time};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::request::Order as Asked;

/// Between two tries to close one position.
const AGAIN: Span = Span::from_secs(1);

/// Was the order made to close a position?
pub(super) fn is_closing(id: &ClientOrderId) -> bool {
    id.parts().is_some_and(|parts| parts.command >= NUMBERS_END)
}

/// The last order that was to close a position, and what the position was then.
#[derive(Debug)]
struct Tried {
    id: ClientOrderId,
    net: Qty,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flattening {
    /// Orders made in this run.
    made: u64,
    at: Option<Time>,
    last: BTreeMap<(SessionId, Symbol), String>,
    tried: BTreeMap<(SessionId, Symbol), Tried>,
}

impl Flattening {
    /// The switch is cleared. Ids count on: none is given twice in a run.
    pub(super) fn end(&mut self) {
        *self = Self { made: self.made, ..Self::default() };
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.at
    }

    /// That order was refused, and the next one like it may not be.
    pub(super) fn may_pass(&mut self, id: &ClientOrderId) {
        self.tried.retain(|_, tried| tried.id != *id);
    }
}

impl Gateway {
    fn flattens(&self) -> bool {
        self.stop.kept.kill.as_ref().is_some_and(|kill| kill.flatten)
    }

    fn held(&self) -> Vec<(SessionId, Symbol, Qty)> {
        let held = self.books.positions().filter(|(.., totals)| !totals.qty.is_zero());
        held.map(|(session, symbol, totals)| (session, symbol.clone(), totals.qty)).collect()
    }

    pub(super) fn closing(&self) -> Vec<Closing> {
        if !self.flattens() {
            return Vec::new();
        }
        let closing = |(session, symbol, net)| {
            let key = (session, symbol);
            let last = self.stop.flattening.last.get(&key).cloned().unwrap_or_default();
            Closing { session, symbol: key.1, net, last }
        };
        self.held().into_iter().map(closing).collect()
    }

    /// Closes what can be closed now.
    pub(super) fn flatten_due(&mut self, now: Time) {
        if !self.flattens() || self.stop.flattening.at.is_some_and(|at| at > now) {
            return;
        }
        let held = self.held();
        self.stop.flattening.at = (!held.is_empty()).then(|| now + AGAIN);
        if !self.stop.recalls.is_empty() {
            return;
        }
        for (session, symbol, net) in held {
            let open = |order: &Order| order.symbol == symbol && is_closing(&order.id);
            if self.orders.open_of(session).any(open) {
                continue;
            }
            let words = match self.close_position(now, session, &symbol, net) {
                Ok(id) => {
                    let words = format!("sent {id}");
                    self.stop.flattening.tried.insert((session, symbol.clone()), Tried { id, net });
                    words
                }
                Err(error) => error.message,
            };
            let last = self.stop.flattening.last.insert((session, symbol.clone()), words.clone());
            if last.as_ref() != Some(&words) {
                let fields = format!("session={session} symbol={symbol} net={net} outcome={words:?}");
                self.log(LogLevel::Warn, "position to be closed", fields);
            }
        }
    }

    fn close_position(
        &mut self,
        now: Time,
        session: SessionId,
        symbol: &Symbol,
        net: Qty,
    ) -> Result<ClientOrderId, ErrorBody> {
        let instrument = self.instrument(symbol)?.clone();
        self.may_place(symbol)?;
        let kept = |why: String| ErrorBody::new(ErrorCode::ReduceOnly, format!("{why}: it stays"));
        let short_of_spot = instrument.kind == InstrumentKind::Spot && !self.config.margin;
        if !net.is_positive() && short_of_spot {
            return Err(kept(format!("{net} on spot is owed to nobody")));
        }
        if let Some(reason) = self.refused_to_close(session, symbol, net) {
            return Err(kept(format!("the exchange refused to close {net} ({reason})")));
        }
        let side = if net.is_positive() { Side::Sell } else { Side::Buy };
        let qty = closable(&instrument, net);
        if qty.is_zero() {
            return Err(kept(format!("{net} is less than the exchange takes")));
        }
        self.judge_reduction(session, symbol, side, Some(qty), false)?;
        let n = NUMBERS_END + self.stop.flattening.made + 1;
        let asked = market_order(n, symbol, side, qty);
        let judged = self.venue_may_judge(session, &instrument, &asked);
        if !judged && self.is_worth_too_little(&instrument, qty) {
            return Err(kept(format!("{net} is worth less than the exchange takes")));
        }
        self.stop.flattening.made += 1;
        let draft = Draft {
            side,
            order_type: OrderType::Market,
            tif: None,
            price: None,
            qty: Some(qty),
            quote_amount: None,
            stop: None,
            instructions: Instructions { reduce_only: judged, ..Instructions::default() },
        };
        let id = self.order_id(self.epoch, session, n);
        let new = admit(now, &instrument, &draft, id, SELF_TRADE).map_err(|refusal| refused(&refusal))?;
        self.entry.place(now, &new, &mut self.venue).map_err(|reason| not_sent(now, &reason))?;
        self.take_order(now, session, &new, asked.instructions(), false);
        Ok(new.id)
    }

    /// Why the exchange refused to close this very position.
    fn refused_to_close(&self, session: SessionId, symbol: &Symbol, net: Qty) -> Option<String> {
        let tried =
            self.stop.flattening.tried.get(&(session, symbol.clone())).filter(|tried| tried.net == net)?;
        let order = self.orders.get(&tried.id)?;
        let refused = order.state == State::Done(OrderStatus::Rejected);
        refused.then(|| order.reason.clone().unwrap_or_else(|| "without a reason".to_owned()))
    }

    /// Would the exchange refuse an order of that size for its worth? Where no fresh price is at hand it is asked.
    fn is_worth_too_little(&self, instrument: &Instrument, qty: Qty) -> bool {
        let quote = self.guard.quote(&instrument.symbol).filter(|quote| quote.fresh);
        // It goes by a price of its own, an average perhaps: the better one here leaves the doubtful cases to it.
        let worth = quote.and_then(|quote| quote.ask.worth(qty));
        instrument.notional_applies_to_market && worth.is_some_and(|worth| worth < instrument.min_notional)
    }
}

/// As much of a position as one market order may close; zero: it is less than any may have.
fn closable(instrument: &Instrument, net: Qty) -> Qty {
    let (all, market) = (&instrument.qty, &instrument.market_qty);
    let step = all.step.max(market.step);
    let held = if net.is_positive() { net } else { -net };
    let most = [all.max, market.max].into_iter().filter(|most| !most.is_zero());
    let qty = most.fold(held, Qty::min);
    let whole = if step.is_zero() { qty } else { Qty::from_raw(qty.raw() / step.raw() * step.raw()) };
    // As `admit` takes it.
    let least = if market.max.is_positive() { all.min.max(market.min) } else { all.min };
    if whole < least { Qty::ZERO } else { whole }
}

fn market_order(n: CommandNumber, symbol: &Symbol, side: Side, qty: Qty) -> Asked {
    Asked {
        n,
        symbol: symbol.clone(),
        side,
        order_type: OrderType::Market,
        tif: None,
        price: None,
        qty: Some(qty),
        quote_amount: None,
        stop_price: None,
        reduce_only: true,
        good_till: None,
        working_type: None,
        callback_rate: None,
        activation_price: None,
    }
}
