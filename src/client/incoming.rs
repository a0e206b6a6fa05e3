//! Reading frames of the gateway.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{Event, OrderChange, OrderKey, Placed};
use super::link::read;
use super::machine::{Aim, Asked, Client, InFlight, Output, Phase, Queued, Reply};
use super::orders::Kill;
use crate::ids::ClientOrderId;
use crate::market::{OrderStatus, Stream};
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{Numbered, Private, Product, ProductsEvent, Snapshot, StateEvent};
use crate::wire::request::Ack;

/// What any frame may have; the rest is read where it is needed.
#[derive(Deserialize)]
struct Frame<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ErrorBody>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    gap: Option<u64>,
    #[serde(borrow)]
    stale: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(rename = "gen")]
    generation: Option<u64>,
    #[serde(rename = "seq")]
    sequence: Option<u64>,
    #[serde(default)]
    replayed: bool,
}

impl Client {
    pub(super) fn frame(&mut self, now: Time, text: &str, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Idle | Phase::Opening { .. } | Phase::Waiting { .. } | Phase::Closed) {
            return;
        }
        let frame: Frame<'_> = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => return self.broken(now, &format!("a frame cannot be read: {error}"), out),
        };
        let done = match (&frame.stream, &frame.event) {
            (Some(stream), _) => self.market(stream, &frame),
            (None, Some(event)) => {
                if event == "state" && !self.not_yet.is_empty() {
                    let streams = std::mem::take(&mut self.not_yet);
                    self.resubscribe_to(streams, out);
                }
                self.event(event, &frame, text)
            }
            (None, None) => self.reply(now, frame, out),
        };
        if let Err(message) = done {
            self.broken(now, &message, out);
        }
        self.send_kills(out);
    }

    fn market(&mut self, stream: &str, frame: &Frame<'_>) -> Result<(), String> {
        if let Some(data) = frame.data {
            return self.inbox.data(stream, data.get()).map_err(|error| format!("data of {stream}: {error}"));
        }
        if let Some(count) = frame.gap {
            self.inbox.gap(stream, count);
        }
        if let Some(reason) = &frame.stale {
            self.inbox.stale(stream, reason);
        }
        Ok(())
    }

    fn event(&mut self, word: &str, frame: &Frame<'_>, text: &str) -> Result<(), String> {
        match word {
            "state" => {
                let state: StateEvent = parse(word, text)?;
                self.set_state(state);
                return Ok(());
            }
            "products" => {
                let changed: ProductsEvent = parse(word, text)?;
                for product in changed.products {
                    self.products.insert(product.symbol.clone(), product);
                }
                return Ok(());
            }
            "snapshot" => {
                let snapshot: Snapshot = parse(word, text)?;
                self.snapshot(snapshot);
                return Ok(());
            }
            _ => {}
        }
        let (Some(generation), Some(sequence)) = (frame.generation, frame.sequence) else {
            // An unnumbered event of a later version.
            return Ok(());
        };
        if let Some(last) = self.received {
            if last.generation != generation {
                return Err(format!(
                    "event {generation}/{sequence} after {}/{}",
                    last.generation, last.sequence
                ));
            }
            if sequence <= last.sequence {
                return Ok(());
            }
            if sequence > last.sequence + 1 {
                return Err(format!("events {} to {} are missing", last.sequence + 1, sequence - 1));
            }
        }
        let at = Ack { generation, sequence };
        let event = match word {
            "order" | "position" | "cancel_reject" | "notice" => {
                let numbered: Numbered = parse(word, text)?;
                self.private(numbered.event)
            }
            _ => Event::Unread,
        };
        self.received = Some(at);
        self.inbox.push_private(Queued::Event(Placed { at: Some(at), event }, frame.replayed));
        Ok(())
    }

    fn private(&mut self, event: Private) -> Event {
        match event {
            Private::Order { order, fill, position } => {
                if let Some(key) = self.orders.key(&order.order_id) {
                    self.heard_of(key);
                    self.told_of(key);
                }
                let change =
                    OrderChange { key: None, order, fill, position: Some(position), replayed: false };
                Event::Order(Box::new(change))
            }
            Private::Position { position, reason, fill } => Event::Position { position, reason, fill },
            Private::CancelReject { order_id, code, name, message } => {
                let error = ErrorBody { code, name, message, retry_after_ms: None };
                Event::OrderError { order_id, symbol: None, error }
            }
            Private::Notice { code, message, symbol, order_id } => {
                Event::Notice { code, message, symbol, order_id }
            }
        }
    }

    /// The gateway has this order: a wish to cancel it can be sent now, and it need not be asked about any more.
    pub(super) fn heard_of(&mut self, key: OrderKey) {
        self.unanswered.retain(|command| command.aim != Aim::Order(key));
        if let Some(tracked) = self.orders.get_mut(key) {
            tracked.accepted = true;
        }
    }

    /// The gateway has it in its journal: what it tells is committed.
    pub(super) fn told_of(&mut self, key: OrderKey) {
        // Where the connection was lost since, it is listed for the next login already.
        self.unanswered.retain(|command| command.aim != Aim::Order(key));
        self.untold.retain(|command| command.aim != Aim::Order(key));
    }

    fn reply(&mut self, now: Time, frame: Frame<'_>, out: &mut Vec<Output>) -> Result<(), String> {
        let Some(id) = frame.id else {
            let Some(error) = frame.error else { return Ok(()) };
            self.push(Event::Error(error));
            return Ok(());
        };
        let Some(asked) = self.asked.remove(&id) else {
            return Ok(());
        };
        let reply: Reply = match (frame.result, frame.error) {
            (Some(result), None) => Ok(result.to_owned()),
            (_, Some(error)) => Err(error),
            (None, None) => return Err(format!("reply {id} has neither result nor error")),
        };
        match asked {
            Asked::Hello => self.welcomed(now, reply, out),
            Asked::Login => self.logged_in(now, reply, out),
            Asked::Orders => self.orders_restored(now, reply, out),
            Asked::Positions => self.positions_restored(now, reply, out),
            Asked::Command(command) => match reply {
                Ok(result) => {
                    self.check_name(&command.aim, &result)?;
                    self.command_accepted(command, result.get());
                }
                Err(error) => self.command_refused(&command.aim, error),
            },
            Asked::Question { streams } => {
                let reply = match reply {
                    Err(error) if error.code == ErrorCode::NotReady.code() && !streams.is_empty() => {
                        self.await_symbols(streams, &error.message);
                        Ok(RawValue::NULL.to_owned())
                    }
                    Err(error) => Err(error),
                    Ok(_) => {
                        self.subscribed(&streams, &reply)?;
                        reply
                    }
                };
                self.replies.insert(id, reply);
            }
            Asked::Resubscribe(streams) => self.resubscribed(streams, reply, out)?,
        }
        Ok(())
    }

    /// Both sides name an order alike; if not, its events would be taken for another's.
    fn check_name(&self, aim: &Aim, result: &RawValue) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Named {
            order_id: ClientOrderId,
        }
        let Aim::Order(key) = aim else { return Ok(()) };
        let named: Named =
            serde_json::from_str(result.get()).map_err(|error| format!("reply to order: {error}"))?;
        match self.orders.get(*key).map(|tracked| &tracked.order.order_id) {
            Some(ours) if *ours != named.order_id => {
                Err(format!("the gateway calls order {ours} {}", named.order_id))
            }
            _ => Ok(()),
        }
    }

    /// Streams are open, and the reply has their facts.
    fn subscribed(&mut self, streams: &[Stream], reply: &Reply) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Subscribed {
            products: Vec<Product>,
        }
        if streams.is_empty() {
            return Ok(());
        }
        let found: Subscribed = read(reply.clone()).map_err(|error| error.message)?;
        for product in found.products {
            self.products.insert(product.symbol.clone(), product);
        }
        for stream in streams {
            let slot = self.inbox.open(&stream.to_string(), stream.channel);
            self.streams.insert(stream.clone(), slot);
        }
        Ok(())
    }

    /// The gateway does not know its exchange's symbols yet, and says by a change of its state that it does: these are
    /// asked for then, and stale till they come.
    fn await_symbols(&mut self, streams: Vec<Stream>, why: &str) {
        for stream in &streams {
            let name = stream.to_string();
            if !self.streams.contains_key(stream) {
                let slot = self.inbox.open(&name, stream.channel);
                self.streams.insert(stream.clone(), slot);
            }
            self.inbox.stale(&name, why);
        }
        self.not_yet.extend(streams);
    }

    fn resubscribed(
        &mut self,
        mut streams: Vec<Stream>,
        reply: Reply,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        // What is not wanted any more since it was asked for.
        streams.retain(|stream| self.streams.contains_key(stream));
        match reply {
            Ok(_) => self.subscribed(&streams, &reply),
            // One bad stream must not cost the others.
            Err(_) if streams.len() > 1 => {
                for stream in streams {
                    self.resubscribe_to(vec![stream], out);
                }
                Ok(())
            }
            Err(error) if error.code == ErrorCode::NotReady.code() => {
                self.await_symbols(streams, &error.message);
                Ok(())
            }
            Err(mut error) => {
                for stream in streams {
                    error.message = format!("{stream} cannot be subscribed to: {}", error.message);
                    self.inbox.stale(&stream.to_string(), &error.message);
                }
                self.push(Event::Error(error));
                Ok(())
            }
        }
    }

    pub(super) fn command_accepted(&mut self, command: InFlight, result: &str) {
        match command.aim {
            Aim::Order(key) => {
                self.heard_of(key);
                self.untold.push(command);
            }
            // Not all orders were asked to be cancelled: whoever wanted that is told why.
            Aim::CancelAll => {
                if let Some(error) = stopped_by(result) {
                    self.push(Event::Error(error));
                }
            }
            Aim::Cancel { .. } | Aim::Amend { .. } => {}
        }
    }

    pub(super) fn command_refused(&mut self, aim: &Aim, error: ErrorBody) {
        match aim {
            Aim::Order(key) => {
                let Some(tracked) = self.orders.get(*key) else { return };
                let mut order = tracked.order.clone();
                order.state = OrderStatus::Rejected;
                order.code = Some(error.code);
                order.reason = Some(error.message);
                order.retry_after_ms = error.retry_after_ms;
                self.push_order(*key, order);
            }
            Aim::Cancel { order_id, .. } if self.was_told(order_id, error.code) => {}
            Aim::Cancel { order_id, symbol } | Aim::Amend { order_id, symbol } => {
                self.push(Event::OrderError { order_id: order_id.clone(), symbol: symbol.clone(), error });
            }
            Aim::CancelAll => self.push(Event::Error(error)),
        }
    }

    /// Was the same refusal of a cancel told already, and has nothing changed since? A strategy that wants an order
    /// cancelled says so at every tick.
    fn was_told(&mut self, id: &ClientOrderId, code: i64) -> bool {
        let Some(tracked) = self.orders.key(id).and_then(|key| self.orders.get_mut(key)) else {
            return false;
        };
        if tracked.refusal_told.replace(code) != Some(code) {
            return false;
        }
        tracked.kill = Kill::No;
        true
    }

    /// Sends the cancels that waited for their orders to be accepted.
    fn send_kills(&mut self, out: &mut Vec<Output>) {
        if self.phase != Phase::Live || !self.kills_wanted {
            return;
        }
        let ripe: Vec<OrderKey> = self
            .orders
            .open()
            .filter(|(_, tracked)| tracked.kill == Kill::Wanted && tracked.accepted)
            .map(|(key, _)| key)
            .collect();
        for key in ripe {
            // The others follow when something was answered.
            if self.can_list(0) {
                self.send_cancel(key, out);
            }
        }
        self.kills_wanted = self.orders.open().any(|(_, tracked)| tracked.kill == Kill::Wanted);
    }
}

/// Why a cancel of all orders that was taken did not get to the last of them, from its result.
fn stopped_by(result: &str) -> Option<ErrorBody> {
    #[derive(Deserialize)]
    struct Taken {
        stopped_by: Option<ErrorBody>,
    }
    serde_json::from_str::<Taken>(result).ok()?.stopped_by
}

fn parse<T: serde::de::DeserializeOwned>(word: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("event {word}: {error}"))
}
