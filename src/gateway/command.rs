//! Orders, cancels and amends of sessions. Every command gets exactly one answer, kept in the journal.

use serde::Serialize;
use serde_json::Value;

use super::Gateway;
use super::door::Seat;
use super::limits::{asked, asked_by_amend};
use crate::ids::{ClientOrderId, CommandNumber, IdKind, SessionId, Symbol};
use crate::instrument::Instrument;
use crate::journal::{OrderRecord, Record};
use crate::market::{Instructions, OrderStatus, Stp};
use crate::order::exposure::Exposure;
use crate::order::request::{Draft, NewOrder, Refusal, Terms, admit, check_amended};
use crate::order::state::{Event, Order as OrderState};
use crate::time::{Span, Time};
use crate::venue::port::{Amend, Cancel, NotSent};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::request::{AmendOrder, Call, CancelAll, CancelOrder, Order};

/// Sent with every order. Of two orders of this account that would trade with each other the incoming one expires: the
/// resting session keeps its place in the queue.
pub(super) const SELF_TRADE: Stp = Stp::ExpireTaker;

/// First command number that is none.
pub(super) const NUMBERS_END: CommandNumber = 1 << 53;

/// A cancel without a reply for longer than this may be sent again.
const REPLY_WITHIN: Span = Span::from_secs(5);
/// Less than this after the engine said that it has the order not open, it would say so again.
const SAID_GONE: Span = Span::from_secs(2);

#[derive(Serialize)]
struct Accepted<'a> {
    n: CommandNumber,
    order_id: &'a ClientOrderId,
}

impl Gateway {
    /// A command: answered from the store if its number was seen before, else carried out.
    pub(super) fn command(&mut self, now: Time, seat: Seat, id: u64, call: &Call) {
        let n = match call {
            Call::Order(order) => order.n,
            Call::Cancel(cancel) => cancel.n,
            Call::CancelAll(cancel) => cancel.n,
            Call::Amend(amend) => amend.n,
            _ => return,
        };
        if let Err(error) = check_number(n) {
            return self.fail(seat.conn, Some(id), error);
        }
        let epoch = self.epoch;
        if let Some(stored) = self.session_mut(seat.session).answer(epoch, n) {
            let answer = stored.to_owned();
            return self.reply_stored(seat.conn, id, &answer);
        }
        if n <= self.session_mut(seat.session).last_command {
            let next = self.session_mut(seat.session).last_command + 1;
            let message = format!("command number {n} is not above all earlier ones; the next is {next}");
            return self.fail(seat.conn, Some(id), ErrorBody::new(ErrorCode::StaleCommand, message));
        }
        let result = self.may_command(seat).and_then(|()| match call {
            Call::Order(order) => self.place(now, seat.session, order),
            Call::Cancel(cancel) => self.cancel(now, seat.session, cancel),
            Call::CancelAll(cancel) => self.cancel_all(now, seat.session, cancel),
            Call::Amend(amend) => self.amend(now, seat.session, amend),
            _ => Ok(Value::Null),
        });
        let refused = result.is_err();
        let answer = match result {
            Ok(result) => serde_json::json!({ "result": result }),
            Err(error) => {
                self.counts.refused(error.code);
                serde_json::json!({ "error": error })
            }
        }
        .to_string();
        self.session_mut(seat.session).last_command = n;
        if refused && self.store_failed.is_some() {
            // Nothing was sent, so a restart may forget it: refusals must not pile up behind a disk that takes nothing.
            self.session_mut(seat.session).keep_answer(epoch, n, answer.clone());
        } else {
            self.remember(now, seat.session, epoch, n, answer.clone());
        }
        self.reply_stored(seat.conn, id, &answer);
    }

    /// Keeps an answer, so that the same number gets the same answer after any loss.
    pub(super) fn remember(
        &mut self,
        now: Time,
        session: SessionId,
        epoch: u32,
        command: CommandNumber,
        reply: String,
    ) {
        self.session_mut(session).keep_answer(epoch, command, reply.clone());
        self.commits.push(Record::Answer { session, epoch, command, reply, time: Some(now) });
    }

    fn may_command(&self, seat: Seat) -> Result<(), ErrorBody> {
        if !seat.trading {
            let message = format!("session {} logged in with trading=false", seat.session);
            return Err(ErrorBody::new(ErrorCode::NonTrading, message));
        }
        if self.stopping {
            return Err(ErrorBody::new(ErrorCode::Stopping, "the gateway is stopping"));
        }
        if !self.recovery.connected() {
            let message =
                format!("the exchange is not connected: {}; nothing was sent", self.recovery.reason());
            return Err(ErrorBody::new(ErrorCode::Disconnected, message));
        }
        Ok(())
    }

    fn place(&mut self, now: Time, session: SessionId, order: &Order) -> Result<Value, ErrorBody> {
        self.may_send(session)?;
        let instrument = self.instrument(&order.symbol)?.clone();
        self.may_place(&instrument.symbol)?;
        if !self.scans.has(&instrument.symbol) {
            self.want_past_soon(now, &instrument.symbol);
            let message = format!(
                "past orders and trades of {} are still being read from the exchange; nothing was sent",
                instrument.symbol
            );
            return Err(ErrorBody::new(ErrorCode::NotReady, message));
        }
        let id = self.order_id(self.epoch, session, order.n);
        let mut instructions = order.instructions();
        instructions.reduce_only &= self.venue_may_judge(session, &instrument, order);
        let draft = Draft {
            side: order.side,
            order_type: order.order_type,
            tif: order.tif,
            price: order.price,
            qty: order.qty,
            quote_amount: order.quote_amount,
            stop: order.stop_price,
            instructions,
        };
        let new = admit(now, &instrument, &draft, id, SELF_TRADE).map_err(|refusal| refused(&refusal))?;
        if order.reduce_only {
            let waits = new.terms.is_conditional();
            self.judge_reduction(session, &instrument.symbol, order.side, order.qty, waits)?;
        }
        let asked = asked(&instrument, &new);
        self.judge_pause(session, &asked, Exposure::default())?;
        let counts = self.judge_limits(now, session, &asked, Exposure::default())?;
        self.entry.place(now, &new, &mut self.venue).map_err(|reason| not_sent(now, &reason))?;
        if counts {
            self.guard.sent(now, session);
        }
        self.list(now, &instrument);
        let conditional = new.terms.is_conditional() && instrument.rules.conditionals_apart;
        self.take_order(now, session, &new, order.instructions(), conditional);
        Ok(accepted(order.n, &new.id))
    }

    pub(super) fn may_place(&self, symbol: &Symbol) -> Result<(), ErrorBody> {
        if let Some(reason) = &self.store_failed {
            let message = format!("the gateway cannot write its journal: {reason}");
            return Err(ErrorBody::new(ErrorCode::StoreFailed, message));
        }
        if let Some(id) = &self.foreign_gateway {
            let message = format!(
                "order {id} was made by another gateway with this key and install name; stop it, or \
                 give each its own \"install\" in the configuration, and restart"
            );
            return Err(ErrorBody::new(ErrorCode::ForeignGateway, message));
        }
        let bad = self.bad_edits.iter().find(|bad| bad.symbol.as_ref().is_none_or(|s| s == symbol));
        if let Some(bad) = bad {
            return Err(ErrorBody::new(ErrorCode::BadPosition, format!("pos.db: {}", bad.reason)));
        }
        if let Some(message) = self.absences.refusal(symbol) {
            return Err(ErrorBody::new(ErrorCode::BadPosition, message));
        }
        if !self.recovery.may_trade(symbol) || !self.epoch_durable {
            let message = format!("{symbol} is still being compared with the exchange; nothing was sent");
            return Err(ErrorBody::new(ErrorCode::NotReady, message));
        }
        Ok(())
    }

    /// The order is on its way: from here on it exists for us.
    pub(super) fn take_order(
        &mut self,
        now: Time,
        session: SessionId,
        new: &NewOrder,
        instructions: Instructions,
        conditional: bool,
    ) {
        let quote_amount = match new.terms {
            Terms::MarketQuote { amount } => Some(amount),
            _ => None,
        };
        let record = OrderRecord {
            id: new.id.clone(),
            session: Some(session),
            symbol: new.symbol.clone(),
            side: new.side,
            order_type: Some(new.terms.order_type()),
            tif: new.terms.tif(),
            price: new.terms.price(),
            stop: new.terms.stop(),
            qty: new.qty,
            quote_amount,
            forced: None,
            instructions,
            conditional,
            time: now,
        };
        self.orders.insert(&record);
        self.commits.push(Record::Order(record));
        self.counts.orders += 1;
        self.step(&new.id, Event::Send);
    }

    /// Applies an event to an order; what our own logic forbids is logged as our error and changes nothing.
    pub(super) fn step(&mut self, id: &ClientOrderId, event: Event) {
        let mut ended = None;
        let stepped = self.orders.update(id, |order| {
            let over = order.state.is_over();
            let outcome = order.apply(event);
            ended = Some(order.status()).filter(|_| order.state.is_over() && !over);
            outcome
        });
        self.counts.ended(ended);
        if let Some(Err(impossible)) = stepped {
            let fields = format!("order={id} what={:?}", impossible.to_string());
            self.log(super::LogLevel::Error, "impossible order event", fields);
            debug_assert!(false, "{impossible}");
        }
    }

    fn cancel(&mut self, now: Time, session: SessionId, cancel: &CancelOrder) -> Result<Value, ErrorBody> {
        let order = self.own_open(session, &cancel.order_id)?;
        let id = order.id.clone();
        self.cancel_once(now, &id).map_err(|reason| not_sent(now, &reason))?;
        Ok(accepted(cancel.n, &id))
    }

    fn cancel_all(&mut self, now: Time, session: SessionId, cancel: &CancelAll) -> Result<Value, ErrorBody> {
        let wanted = |o: &&OrderState| cancel.symbol.as_ref().is_none_or(|s| *s == o.symbol);
        let ids: Vec<ClientOrderId> =
            self.orders.open_of(session).filter(wanted).map(|o| o.id.clone()).collect();
        if let (true, Some(symbol)) = (ids.is_empty(), &cancel.symbol) {
            // A misspelt symbol must not look like one without orders.
            self.instrument(symbol)?;
        }
        let (all, mut sent) = (ids.len(), Vec::new());
        for id in ids {
            match self.cancel_once(now, &id) {
                Ok(()) => sent.push(id),
                Err(reason) if sent.is_empty() => return Err(not_sent(now, &reason)),
                Err(reason) => {
                    let mut error = not_sent(now, &reason);
                    error.message = format!(
                        "{reason}; {} of {all} cancels were sent, the others were not: ask again for them",
                        sent.len()
                    );
                    return Ok(serde_json::json!({ "n": cancel.n, "order_ids": sent, "stopped_by": error }));
                }
            }
        }
        Ok(serde_json::json!({ "n": cancel.n, "order_ids": sent }))
    }

    fn own_open(&self, session: SessionId, id: &ClientOrderId) -> Result<&OrderState, ErrorBody> {
        let order = self.orders.get(id).filter(|o| o.session == Some(session) && !o.state.is_over());
        order.ok_or_else(|| {
            let message = format!("session {session} has no open order {:?}", id.as_str());
            ErrorBody::new(ErrorCode::UnknownOrder, message)
        })
    }

    /// Cancels at a session's wish. One that waits for its reply is not sent again, nor one of an order in doubt that
    /// the engine has just said not to be open: that would use up what others may send, the questions that end the
    /// doubt among it, and change nothing. The wish is kept, should the order turn up.
    fn cancel_once(&mut self, now: Time, id: &ClientOrderId) -> Result<(), NotSent> {
        let sent = self.orders.get(id).and_then(|order| order.cancel_sent);
        let waits = sent.is_some_and(|at| now.since(at) < REPLY_WITHIN);
        if waits || self.doubts.are_told_gone(now, id, SAID_GONE) {
            self.orders.update(id, |order| order.cancel_wanted = true);
            return Ok(());
        }
        self.send_cancel(now, id)
    }

    /// Sends a cancel by every name we have for the order. Safe at any time: cancelling twice cancels once.
    pub(super) fn send_cancel(&mut self, now: Time, id: &ClientOrderId) -> Result<(), NotSent> {
        let Some(order) = self.orders.get(id) else { return Ok(()) };
        let cancel = Cancel {
            symbol: order.symbol.clone(),
            id: order.id.clone(),
            venue_id: order.venue_id,
            conditional: order.waits(),
            conditional_id: order.conditional_id,
            known_as: order.known_as.clone(),
            cancel_id: order.id.renamed(IdKind::Cancel),
        };
        self.entry.cancel(now, &cancel, &mut self.venue)?;
        self.counts.cancels += 1;
        self.orders.update(id, |order| {
            (order.cancel_wanted, order.cancel_sent) = (true, Some(now));
            order.canceled_apart = cancel.conditional;
        });
        self.step(id, Event::CancelSend);
        Ok(())
    }

    fn amend(&mut self, now: Time, session: SessionId, amend: &AmendOrder) -> Result<Value, ErrorBody> {
        self.may_send(session)?;
        let order = self.own_open(session, &amend.order_id)?;
        let id = order.id.clone();
        let request = self.check_amend(order, amend)?;
        let renames = request.amend_id != request.known_as;
        let instrument = self.instrument(&request.symbol)?.clone();
        let mut counts = false;
        if let Some(asked) = asked_by_amend(&instrument, order, request.qty, request.price) {
            let replaced = Exposure::of(order);
            // It brings risk like a new order.
            self.may_place(&request.symbol)?;
            self.judge_pause(session, &asked, replaced)?;
            counts = self.judge_limits(now, session, &asked, replaced)?;
        }
        self.entry.amend(now, &request, &mut self.venue).map_err(|reason| not_sent(now, &reason))?;
        if counts {
            self.guard.sent(now, session);
        }
        self.counts.amends += 1;
        self.orders.update(&id, |order| {
            order.amends += u32::from(renames);
            order.amend_sent(request.qty, request.price);
        });
        Ok(accepted(amend.n, &id))
    }

    /// What the venue is asked to make of an order: all of it within the instrument's rules.
    fn check_amend(&self, order: &OrderState, amend: &AmendOrder) -> Result<Amend, ErrorBody> {
        let instrument = self.instrument(&order.symbol)?;
        let refuse = |message: String| Err(ErrorBody::new(ErrorCode::AmendNotAllowed, message));
        let symbol = &order.symbol;
        if !instrument.amend_allowed {
            return refuse(format!("{symbol} orders cannot be amended; cancel and send anew"));
        }
        if matches!(order.status(), OrderStatus::Pending | OrderStatus::Unknown) {
            return refuse("the order is not known to be working yet".to_owned());
        }
        if order.waits() {
            return refuse(
                "an order that waits for its price cannot be amended; cancel and send anew".to_owned(),
            );
        }
        let free = instrument.rules.amend_price;
        if amend.price.is_some() && (!free || order.price.is_none()) {
            return refuse(format!("the price of this {symbol} order cannot be amended, only its quantity"));
        }
        let (qty, price) = (amend.qty.unwrap_or(order.qty), amend.price.or(order.price));
        if qty == order.qty && price == order.price {
            return refuse("it would change nothing".to_owned());
        }
        let (filled, most) = (order.filled, order.qty);
        if !free && qty > most {
            return refuse(format!(
                "quantity {qty} is above {most}: an order of {symbol} can only be reduced; send another order for more"
            ));
        }
        if qty <= filled || (!free && qty >= most) || !qty.is_multiple_of(instrument.lot()) {
            let lot = instrument.lot();
            let range = if free { format!("above {filled}") } else { format!("between {filled} and {most}") };
            return refuse(format!("quantity {qty} is not a multiple of {lot} {range}"));
        }
        // What an amend on its way may make of it is counted among what is open.
        let more = qty - order.most();
        if let (Some(session), true) = (order.session, order.instructions.reduce_only && more.is_positive()) {
            self.judge_reduction(session, symbol, order.side, Some(more), false)?;
        }
        if free {
            check_amended(instrument, price, qty).map_err(|refusal| refused(&refusal))?;
        }
        let known_as = order.known_as.clone();
        let renamed = if free { None } else { order.id.renamed(IdKind::Amend((order.amends % 10) as u8)) };
        Ok(Amend {
            symbol: symbol.clone(),
            id: order.id.clone(),
            venue_id: order.venue_id,
            amend_id: renamed.unwrap_or_else(|| known_as.clone()),
            known_as,
            side: order.side,
            qty,
            price: price.filter(|_| free),
        })
    }

    /// The instrument of a symbol a client named.
    pub(super) fn instrument(&self, symbol: &Symbol) -> Result<&Instrument, ErrorBody> {
        let found = self.instruments.as_ref().and_then(|all| all.get(symbol));
        found.ok_or_else(|| {
            if self.instruments.is_none() {
                return self.no_symbols_yet();
            }
            let message = format!(
                "the exchange has no symbol {:?}: check the spelling, `products` lists them all",
                symbol.as_str()
            );
            ErrorBody::new(ErrorCode::InvalidSymbol, message)
        })
    }

    /// The exchange was not reached since this gateway began, or has not answered yet.
    pub(super) fn no_symbols_yet(&self) -> ErrorBody {
        let why = match self.recovery.reason() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let message = format!(
            "the gateway has not read the exchange's symbols since its start{why}: try again when its state changes"
        );
        ErrorBody::new(ErrorCode::NotReady, message)
    }

    /// First use of a symbol: its assets are recorded, and from now on its trades are read.
    pub(super) fn list(&mut self, now: Time, instrument: &Instrument) {
        if self.books.listing(&instrument.symbol).is_some() {
            return;
        }
        let symbol = instrument.symbol.clone();
        self.emit(Record::Listing {
            symbol: symbol.clone(),
            base: instrument.base.clone(),
            quote: instrument.quote.clone(),
            holding: (instrument.holding != instrument.base).then(|| instrument.holding.clone()),
            lot: Some(instrument.lot()),
            unread: !self.scans.has(&symbol),
        });
        self.emit(Record::Cursor { symbol: symbol.clone(), trade_id: 0, time: now });
        self.want_past(now, &symbol);
    }

    /// A journal from before lots were kept learns them.
    pub(super) fn complete_listings(&mut self) {
        let symbols: Vec<Symbol> = self.books.cursors().keys().cloned().collect();
        for symbol in symbols {
            let Some(listing) = self.books.listing(&symbol).filter(|listing| listing.lot.is_none()) else {
                continue;
            };
            let Ok(lot) = self.instrument(&symbol).map(Instrument::lot) else { continue };
            let record = Record::Listing {
                base: listing.base.clone(),
                quote: listing.quote.clone(),
                holding: listing.is_contract().then(|| listing.holding.clone()),
                lot: Some(lot),
                unread: !self.scans.has(&symbol),
                symbol,
            };
            self.emit(record);
        }
    }
}

/// Numbers stay below 2^53: every language reads them exactly, and there is always a next one.
pub(super) fn check_number(n: CommandNumber) -> Result<(), ErrorBody> {
    if (1..NUMBERS_END).contains(&n) {
        return Ok(());
    }
    let message = format!("command number {n} is not 1 to {}", NUMBERS_END - 1);
    Err(ErrorBody::new(ErrorCode::BadRequest, message))
}

fn accepted(n: CommandNumber, order_id: &ClientOrderId) -> Value {
    serde_json::to_value(Accepted { n, order_id }).unwrap_or(Value::Null)
}

pub(super) fn refused(refusal: &Refusal) -> ErrorBody {
    let code = match refusal {
        Refusal::NotTrading { .. } => ErrorCode::NotTrading,
        Refusal::TypeNotSupported { .. } => ErrorCode::TypeNotSupported,
        Refusal::TifNotSupported { .. } => ErrorCode::TifNotSupported,
        Refusal::WorkingTypeNotSupported { .. } => ErrorCode::WorkingTypeNotSupported,
        Refusal::Shape { .. } => ErrorCode::BadShape,
        Refusal::GoodTill { .. } => ErrorCode::GoodTill,
        Refusal::CallbackRate { .. } => ErrorCode::CallbackRate,
        Refusal::OffTick { .. } => ErrorCode::OffTick,
        Refusal::PriceRange { .. } => ErrorCode::PriceRange,
        Refusal::OffLot { .. } => ErrorCode::OffLot,
        Refusal::QtyRange { .. } => ErrorCode::QtyRange,
        Refusal::Notional { .. } => ErrorCode::Notional,
    };
    ErrorBody::new(code, refusal.to_string())
}

pub(super) fn not_sent(now: Time, reason: &NotSent) -> ErrorBody {
    let code = match reason {
        NotSent::Disconnected => ErrorCode::Disconnected,
        NotSent::RateLimited { .. } => ErrorCode::RateLimited,
        NotSent::ClockOff(_) => ErrorCode::ClockOff,
    };
    let body = ErrorBody::new(code, format!("{reason}; nothing was sent"));
    match reason {
        NotSent::RateLimited { retry_at } => body.after(retry_at.since(now)),
        NotSent::Disconnected | NotSent::ClockOff(_) => body,
    }
}
