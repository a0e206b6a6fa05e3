//! Closing what sessions hold, after the kill switch: market orders that only reduce, one a position, once no order of
//! ours is open any more.
//!
//! Each is an order of its session, with a number that no client may give, and is told to it like any other. New orders
//! need what all new orders need: an exchange that was compared, a symbol that trades, a journal that takes them. What
//! is smaller than the exchange takes stays, and so does a spot position below zero: nobody is owed that there.

use std::collections::BTreeMap;

use super::super::Gateway;
use super::super::command::{NUMBERS_END, SELF_TRADE, not_sent, refused};
use super::super::io::LogLevel;
use super::Closing;
use crate::ids::{ClientOrderId, CommandNumber, SessionId, Symbol};
use crate::instrument::{Instrument, InstrumentKind};
use crate::market::{Instructions, OrderType, Side};
use crate::num::Qty;
use crate::order::request::{Draft, admit};
use crate::time::{Span, Time};
use crate::wire::error::ErrorBody;
use crate::wire::request::Order as Asked;

/// Between two tries to close one position.
const AGAIN: Span = Span::from_secs(1);

/// Was the order made to close a position?
pub(super) fn is_closing(id: &ClientOrderId) -> bool {
    id.parts().is_some_and(|parts| parts.command >= NUMBERS_END)
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flattening {
    /// Orders made in this run.
    made: u64,
    at: Option<Time>,
    last: BTreeMap<(SessionId, Symbol), String>,
}

impl Flattening {
    /// The switch is cleared. Ids count on: none is given twice in a run.
    pub(super) fn end(&mut self) {
        *self = Self { made: self.made, ..Self::default() };
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.at
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
            let open = |order: &crate::order::state::Order| order.symbol == symbol && is_closing(&order.id);
            if self.orders.open_of(session).any(open) {
                continue;
            }
            let words = match self.close_position(now, session, &symbol, net) {
                Ok(id) => format!("sent {id}"),
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
        let kept = |message: String| ErrorBody::new(crate::wire::error::ErrorCode::ReduceOnly, message);
        let short_of_spot = instrument.kind == InstrumentKind::Spot && !self.config.margin;
        if !net.is_positive() && short_of_spot {
            return Err(kept(format!("{net} on spot is owed to nobody: it stays")));
        }
        let side = if net.is_positive() { Side::Sell } else { Side::Buy };
        let qty = closable(&instrument, net);
        if qty.is_zero() {
            return Err(kept(format!("{net} is less than the exchange takes: it stays")));
        }
        self.stop.flattening.made += 1;
        let n = NUMBERS_END + self.stop.flattening.made;
        self.judge_reduction(session, symbol, side, Some(qty), false)?;
        let asked = market_order(n, symbol, side, qty);
        let judged = self.venue_may_judge(session, &instrument, &asked);
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
}

/// As much of a position as one market order may close.
fn closable(instrument: &Instrument, net: Qty) -> Qty {
    let step = instrument.lot().max(instrument.market_qty.step);
    let held = if net.is_positive() { net } else { -net };
    let most = [instrument.qty.max, instrument.market_qty.max].into_iter().filter(|most| !most.is_zero());
    let qty = most.fold(held, Qty::min);
    if step.is_zero() { qty } else { Qty::from_raw(qty.raw() / step.raw() * step.raw()) }
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
