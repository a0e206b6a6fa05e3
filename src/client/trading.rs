//! What a strategy asks: orders, cancels, amends, questions, streams.

use serde_json::Value;

use super::event::{LocalError, OrderKey};
use super::inbox::{SlotId, WholeBook};
use super::machine::{
    Aim, Asked, Client, InFlight, KEPT_FOR_CANCELS, MAX_UNANSWERED, Output, Phase, QuestionId, Reply,
};
use super::orders::Kill;
use crate::ids::{ClientOrderId, CommandNumber, IdKind, IdParts, SessionId, Symbol};
use crate::market::{Instructions, OrderStatus, OrderType, Side, Stream, Tif};
use crate::num::{Cash, Price, Qty};
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{BarData, GatewayState, OrderView};
use crate::wire::request::{AmendOrder, Call, CancelAll, CancelOrder, Order, Streams};

/// An order to be sent; prices and quantities on the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Of what.
    pub symbol: Symbol,
    /// Which side.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Time in force, for types that have one.
    pub tif: Option<Tif>,
    /// Limit price, for types that have one.
    pub price: Option<Price>,
    /// Stop price.
    pub stop_price: Option<Price>,
    /// Quantity.
    pub qty: Option<Qty>,
    /// Quote amount instead.
    pub quote_amount: Option<Cash>,
    /// What else it carries.
    pub instructions: Instructions,
}

impl Client {
    /// May a command be sent that leaves so many bytes of a login to others?
    fn open_for_commands(&self, kept: usize) -> Result<(), ErrorBody> {
        if self.phase == Phase::Closed {
            return Err(LocalError::Closed.body("the session is closed"));
        }
        if !self.config.trading {
            let message = format!(
                "session {} is watching only; {}",
                self.config.session_id,
                ErrorCode::NonTrading.advice()
            );
            return Err(ErrorBody::new(ErrorCode::NonTrading, message));
        }
        if self.phase != Phase::Live {
            let message = format!("nothing was sent: {}", self.state.reason);
            return Err(ErrorBody::new(ErrorCode::Disconnected, message));
        }
        if self.asked.len() + self.unanswered.len() >= MAX_UNANSWERED {
            let message = format!("nothing was sent: {MAX_UNANSWERED} calls wait for their answers");
            return Err(LocalError::Busy.body(message));
        }
        if !self.can_list(kept) {
            let message =
                "nothing was sent: as much waits for its answer or its first event as a login can list";
            return Err(LocalError::Busy.body(message));
        }
        Ok(())
    }

    /// An order needs the exchange as well; a cancel the gateway answers itself.
    fn open_for_orders(&self) -> Result<(), ErrorBody> {
        self.open_for_commands(KEPT_FOR_CANCELS)?;
        if self.state.state == GatewayState::Down {
            let message = format!("nothing was sent: the exchange is not connected: {}", self.state.reason);
            return Err(ErrorBody::new(ErrorCode::Disconnected, message));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(CommandNumber, u32), ErrorBody> {
        let Some(identity) = &mut self.identity else {
            return Err(ErrorBody::new(ErrorCode::NotLoggedIn, "nothing was sent: not logged in"));
        };
        let number = identity.next_command;
        identity.next_command += 1;
        Ok((number, identity.epoch))
    }

    fn command(&mut self, epoch: u32, aim: Aim, call: Call, params: Value, out: &mut Vec<Output>) {
        let method = call.method();
        self.call(call, Asked::Command(InFlight { epoch, aim, method, params, size: 0 }), out);
    }

    /// Sends an order. It is `PENDING` from here on, under an id both sides know.
    ///
    /// # Errors
    /// Why nothing was sent; no order exists then.
    pub fn order(&mut self, now: Time, wish: Wish, out: &mut Vec<Output>) -> Result<OrderKey, ErrorBody> {
        self.open_for_orders()?;
        let (n, epoch) = self.number()?;
        let order_id = self.mint(n, epoch)?;
        let order = Order {
            n,
            symbol: wish.symbol.clone(),
            side: wish.side,
            order_type: wish.order_type,
            tif: wish.tif,
            price: wish.price,
            qty: wish.qty,
            quote_amount: wish.quote_amount,
            stop_price: wish.stop_price,
            reduce_only: wish.instructions.reduce_only,
            good_till: wish.instructions.good_till,
            working_type: wish.instructions.working_type,
            callback_rate: wish.instructions.callback_rate,
            activation_price: wish.instructions.activation_price,
        };
        let view = OrderView {
            order_id,
            n,
            symbol: wish.symbol,
            side: wish.side,
            order_type: wish.order_type,
            tif: wish.tif,
            price: wish.price,
            stop_price: wish.stop_price,
            qty: wish.qty.unwrap_or_default(),
            quote_amount: wish.quote_amount,
            instructions: wish.instructions,
            state: OrderStatus::Pending,
            canceling: false,
            filled: Qty::ZERO,
            filled_quote: Cash::ZERO,
            venue_order_id: None,
            conditional_id: None,
            code: None,
            reason: None,
            retry_after_ms: None,
            time: now,
        };
        let key = self.orders.insert(view, false);
        let params = value(&order);
        self.command(epoch, Aim::Order(key), Call::Order(order), params, out);
        Ok(key)
    }

    fn mint(&self, command: CommandNumber, epoch: u32) -> Result<ClientOrderId, ErrorBody> {
        let identity =
            self.identity.as_ref().ok_or_else(|| ErrorBody::new(ErrorCode::NotLoggedIn, "not logged in"))?;
        let session = SessionId(self.config.session_id);
        let parts = IdParts { kind: IdKind::Order, install: identity.install, epoch, session, command };
        Ok(ClientOrderId::mint(parts))
    }

    /// Wants an order cancelled: at once if the gateway has it, else as soon as it does. `false` if it has ended or its
    /// cancel is under way.
    ///
    /// # Errors
    /// Why nothing was sent.
    pub fn kill(&mut self, key: OrderKey, out: &mut Vec<Output>) -> Result<bool, ErrorBody> {
        let Some(tracked) = self.orders.get_mut(key).filter(|tracked| tracked.is_active()) else {
            return Ok(false);
        };
        if tracked.kill != Kill::No {
            return Ok(false);
        }
        let accepted = tracked.accepted;
        if accepted {
            self.open_for_commands(0)?;
            self.send_cancel(key, out);
        } else if let Some(tracked) = self.orders.get_mut(key) {
            tracked.kill = Kill::Wanted;
            self.kills_wanted = true;
        }
        Ok(true)
    }

    pub(super) fn send_cancel(&mut self, key: OrderKey, out: &mut Vec<Output>) {
        let Ok((n, epoch)) = self.number() else { return };
        let Some(tracked) = self.orders.get_mut(key) else { return };
        tracked.kill = Kill::Asked;
        let (order_id, symbol) = (tracked.order.order_id.clone(), Some(tracked.order.symbol.clone()));
        let cancel = CancelOrder { n, order_id: order_id.clone() };
        let params = value(&cancel);
        self.command(epoch, Aim::Cancel { order_id, symbol }, Call::Cancel(cancel), params, out);
    }

    /// Asks for an order to be cancelled by its id, known here or not.
    ///
    /// # Errors
    /// Why nothing was sent.
    pub fn cancel(&mut self, order_id: ClientOrderId, out: &mut Vec<Output>) -> Result<(), ErrorBody> {
        self.open_for_commands(0)?;
        if let Some(key) = self.orders.key(&order_id) {
            self.send_cancel(key, out);
            return Ok(());
        }
        let (n, epoch) = self.number()?;
        let cancel = CancelOrder { n, order_id: order_id.clone() };
        let params = value(&cancel);
        self.command(epoch, Aim::Cancel { order_id, symbol: None }, Call::Cancel(cancel), params, out);
        Ok(())
    }

    /// Asks for all open orders of the session, or of one symbol, to be cancelled.
    ///
    /// # Errors
    /// Why nothing was sent.
    pub fn cancel_all(&mut self, symbol: Option<Symbol>, out: &mut Vec<Output>) -> Result<(), ErrorBody> {
        self.open_for_commands(0)?;
        let (n, epoch) = self.number()?;
        let cancel = CancelAll { n, symbol };
        let params = value(&cancel);
        self.command(epoch, Aim::CancelAll, Call::CancelAll(cancel), params, out);
        Ok(())
    }

    /// Asks for a working order's quantity or price to be changed; what is `None` stays as it is. `false` if it is not
    /// working or its cancel is under way.
    ///
    /// # Errors
    /// Why nothing was sent.
    pub fn amend(
        &mut self,
        key: OrderKey,
        qty: Option<Qty>,
        price: Option<Price>,
        out: &mut Vec<Output>,
    ) -> Result<bool, ErrorBody> {
        let working = |state| matches!(state, OrderStatus::New | OrderStatus::PartiallyFilled);
        let Some(tracked) = self.orders.get(key).filter(|tracked| working(tracked.order.state)) else {
            return Ok(false);
        };
        if tracked.kill != Kill::No {
            return Ok(false);
        }
        let (order_id, symbol) = (tracked.order.order_id.clone(), Some(tracked.order.symbol.clone()));
        self.open_for_commands(KEPT_FOR_CANCELS)?;
        let (n, epoch) = self.number()?;
        let amend = AmendOrder { n, order_id: order_id.clone(), qty, price };
        let params = value(&amend);
        self.command(epoch, Aim::Amend { order_id, symbol }, Call::Amend(amend), params, out);
        Ok(true)
    }

    fn open_for_questions(&self) -> Result<(), ErrorBody> {
        match self.phase {
            Phase::Live => Ok(()),
            Phase::Closed => Err(LocalError::Closed.body("the session is closed")),
            _ => Err(ErrorBody::new(ErrorCode::Disconnected, format!("not asked: {}", self.state.reason))),
        }
    }

    /// Asks something; the reply is fetched with [`Self::take_reply`].
    ///
    /// # Errors
    /// Why it was not asked.
    pub fn ask(&mut self, call: Call, out: &mut Vec<Output>) -> Result<QuestionId, ErrorBody> {
        self.open_for_questions()?;
        Ok(QuestionId(self.call(call, Asked::Question { streams: Vec::new() }, out)))
    }

    /// Asks for a stream; it is kept over reconnects once the reply is there.
    ///
    /// # Errors
    /// Why it was not asked for.
    pub fn subscribe(&mut self, stream: Stream, out: &mut Vec<Output>) -> Result<QuestionId, ErrorBody> {
        self.open_for_questions()?;
        let call = Call::Subscribe(Streams { streams: vec![stream.to_string()] });
        Ok(QuestionId(self.call(call, Asked::Question { streams: vec![stream] }, out)))
    }

    /// Wants a stream no longer. Nothing of it is given from here on.
    pub fn unsubscribe(&mut self, stream: &Stream, out: &mut Vec<Output>) {
        self.inbox.shut(&stream.to_string());
        self.not_yet.retain(|waiting| waiting != stream);
        let is_in = matches!(self.phase, Phase::Live | Phase::Restoring { .. });
        if self.streams.shift_remove(stream).is_some() && is_in {
            let call = Call::Unsubscribe(Streams { streams: vec![stream.to_string()] });
            let id = self.call(call, Asked::Question { streams: Vec::new() }, out);
            self.forget(QuestionId(id));
        }
    }

    /// Where a subscribed stream's market data is filed.
    pub fn slot(&self, stream: &Stream) -> Option<SlotId> {
        self.streams.get(stream).copied()
    }

    /// A history of a stream's bars was read: those it gave as closed are not given again.
    pub fn joined(&mut self, stream: &Stream, bars: &[BarData]) {
        if let Some(last) = bars.iter().rev().find(|bar| bar.closed) {
            self.inbox.joined(&stream.to_string(), last.end);
        }
    }

    /// The whole book of a `book` stream, as new as what was read.
    pub fn book(&self, stream: &Stream) -> Option<&WholeBook> {
        self.inbox.book(self.slot(stream)?)
    }

    /// The reply to a question, once.
    pub fn take_reply(&mut self, question: QuestionId) -> Option<Reply> {
        self.replies.remove(&question.0)
    }

    /// The reply to a question is not wanted any more.
    pub fn forget(&mut self, question: QuestionId) {
        self.asked.remove(&question.0);
        self.replies.remove(&question.0);
    }
}

pub(super) fn value<T: serde::Serialize>(params: &T) -> Value {
    serde_json::to_value(params).expect("params are made of strings, numbers and plain structs")
}
