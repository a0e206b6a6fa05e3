//! Getting in, and coming back: greeting, proofs, login, restoring, backoff.

use super::event::{Event, LocalError, Placed, down};
use super::machine::{Aim, Reply};
use super::machine::{
    Asked, Client, Identity, InFlight, LISTED_LONGER, Output, Phase, Queued, STEP_TIMEOUT, Stand,
};
use super::orders::{Kill, Tracked};
use crate::ids::Install;
use crate::market::{OrderStatus, Stream};
use crate::time::{Span, Time};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{LoggedIn, OrderView, PositionView, Resume, Snapshot, Welcome};
use crate::wire::proof;
use crate::wire::request::{
    Ack, Call, Hello, Login, OnLost, Pending, Request, Streams, Symbols, VERSION, encode,
};

/// Closing code: another login took the session over.
const TAKEN_OVER: u16 = 4001;

impl Client {
    pub(super) fn open(&mut self, now: Time, out: &mut Vec<Output>) {
        self.phase = Phase::Opening { until: now + STEP_TIMEOUT };
        out.push(Output::Connect);
    }

    pub(super) fn opened(&mut self, now: Time, token: &str, nonce: &str, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Opening { .. }) {
            return;
        }
        self.phase =
            Phase::Greeting { until: now + STEP_TIMEOUT, token: token.to_owned(), nonce: nonce.to_owned() };
        let session_id = Some(self.config.session_id);
        let hello = Hello { version: VERSION, nonce: nonce.to_owned(), session_id, operator: false };
        self.call(Call::Hello(hello), Asked::Hello, out);
    }

    /// Sends a call whose reply will be about `asked`; returns its number.
    pub(super) fn call(&mut self, call: Call, mut asked: Asked, out: &mut Vec<Output>) -> u64 {
        self.last_id += 1;
        let text = encode(&Request { id: Some(self.last_id), call });
        if let Asked::Command(command) = &mut asked {
            command.size = text.len() + LISTED_LONGER;
        }
        out.push(Output::Send(text));
        self.asked.insert(self.last_id, asked);
        self.last_id
    }

    pub(super) fn welcomed(&mut self, now: Time, reply: Reply, out: &mut Vec<Output>) {
        let Phase::Greeting { token, nonce, .. } = &self.phase else { return };
        let (token, nonce) = (token.clone(), nonce.clone());
        let welcome: Welcome = match read(reply) {
            Ok(welcome) => welcome,
            Err(error) => return self.refused(now, error, out),
        };
        if !proof::is_gateway(&token, &nonce, &welcome.nonce, &welcome.proof) {
            let message = "the gateway's proof does not match the token: something else listens on that port, \
                           or the token file is of an earlier run";
            return self.refused(now, ErrorBody::new(ErrorCode::BadProof, message), out);
        }
        let before = self.known_by_another(welcome.generation);
        self.unlisted = false;
        if before.is_some() {
            self.list_open_orders();
        }
        let proof = proof::of_client(&token, &nonce, &welcome.nonce, self.config.session_id);
        let pending = self.unanswered.iter().map(|command| Pending {
            epoch: command.epoch,
            method: command.method.to_owned(),
            params: command.params.clone(),
        });
        let declared = self.config.declared;
        let millis = |span: Span| u64::try_from(span.millis()).unwrap_or_default();
        let login = Login {
            session_id: i64::from(self.config.session_id),
            name: self.config.name.clone(),
            trading: self.config.trading,
            proof,
            cursor: self.handled.or(before),
            epoch: self.identity.as_ref().map(|known| known.epoch),
            pending: pending.collect(),
            take_over: self.config.take_over && !self.ever_live,
            heartbeat_ms: declared.heartbeat.map(millis),
            on_lost: declared.cancel_after.map(|_| OnLost::Cancel),
            grace_ms: declared.cancel_after.map(millis),
        };
        self.beaten = None;
        self.phase = Phase::LoggingIn { until: now + STEP_TIMEOUT, generation: welcome.generation };
        self.call(Call::Login(login), Asked::Login, out);
    }

    pub(super) fn logged_in(&mut self, now: Time, reply: Reply, out: &mut Vec<Output>) {
        let Phase::LoggingIn { generation, .. } = self.phase else { return };
        let login: LoggedIn = match read(reply) {
            Ok(login) => login,
            Err(error) => return self.refused(now, error, out),
        };
        if self.ever_live && generation.is_some_and(|named| named != login.last.generation) {
            // What is believed open here was listed for another numbering, or not at all.
            let message = "events are numbered anew since the gateway's welcome";
            return self.refused(now, ErrorBody::new(ErrorCode::Disconnected, message), out);
        }
        let Ok(install) = login.install.parse::<Install>() else {
            let message = format!("install {:?} in the login reply is no install name", login.install);
            return self.refused(now, LocalError::Protocol.body(message), out);
        };
        let another_run = self.identity.as_ref().is_some_and(|known| known.epoch != login.epoch);
        self.identity = Some(Identity { install, epoch: login.epoch, next_command: login.next_command });
        self.acked = None;
        self.last_made = Some(login.last);
        let until = now + STEP_TIMEOUT;
        match login.resume {
            Resume::Snapshot => {
                self.phase = Phase::Restoring { until, orders: true, positions: true, snapshot: false };
            }
            Resume::Events if self.ever_live => {
                self.phase = Phase::Restoring { until, orders: true, positions: true, snapshot: true };
            }
            Resume::Events => {
                // A new process knows nothing of what was acknowledged before: it asks for the present state. All
                // events up to `last` are in those replies already.
                self.known_up_to = Some(login.last);
                self.phase = Phase::Restoring { until, orders: false, positions: false, snapshot: true };
                self.call(Call::Orders(Symbols::default()), Asked::Orders, out);
                self.call(Call::Positions(Symbols::default()), Asked::Positions, out);
            }
        }
        self.set_state(login.state);
        self.take_answers(login.answers);
        if another_run {
            // Cancels are in no journal: what that gateway took it may never have sent.
            self.kills_wanted |= self.orders.want_kills_again();
        }
        self.resubscribe(out);
        self.restored();
    }

    fn take_answers(&mut self, answers: Vec<serde_json::Value>) {
        let commands = std::mem::take(&mut self.unanswered);
        let mut answers = answers.into_iter();
        for command in commands {
            let answer = answers.next().unwrap_or_default();
            let refusal = answer.get("error").map(|error| serde_json::from_value::<ErrorBody>(error.clone()));
            match refusal {
                Some(Ok(error)) => self.command_refused(&command.aim, error),
                Some(Err(_)) => self.still_open(command),
                None => match answer.get("result") {
                    Some(result) => self.command_accepted(command, &result.to_string()),
                    None => self.still_open(command),
                },
            }
        }
    }

    /// The gateway does not know yet either: an order stays listed, and its cancel waits until the gateway tells of it;
    /// a cancel may be asked for again.
    fn still_open(&mut self, command: InFlight) {
        match &command.aim {
            Aim::Order(key) => {
                if let Some(tracked) = self.orders.get_mut(*key) {
                    tracked.accepted = false;
                }
                self.unanswered.push(command);
            }
            Aim::Cancel { order_id, .. } => {
                if let Some(tracked) = self.orders.key(order_id).and_then(|key| self.orders.get_mut(key)) {
                    tracked.kill = Kill::No;
                }
            }
            Aim::Amend { .. } | Aim::CancelAll => {}
        }
    }

    fn resubscribe(&mut self, out: &mut Vec<Output>) {
        self.not_yet.clear();
        let streams: Vec<Stream> = self.streams.keys().cloned().collect();
        for chunk in streams.chunks(500) {
            self.resubscribe_to(chunk.to_vec(), out);
        }
    }

    pub(super) fn resubscribe_to(&mut self, streams: Vec<Stream>, out: &mut Vec<Output>) {
        let names = streams.iter().map(ToString::to_string).collect();
        self.call(Call::Subscribe(Streams { streams: names }), Asked::Resubscribe(streams), out);
    }

    pub(super) fn orders_restored(&mut self, now: Time, reply: Reply, out: &mut Vec<Output>) {
        #[derive(serde::Deserialize)]
        struct Orders {
            orders: Vec<OrderView>,
        }
        match read::<Orders>(reply) {
            Ok(found) => {
                for order in found.orders {
                    let key = self.orders.set(order, None);
                    self.shown(key);
                }
                self.restoring(|orders, _, _| *orders = true);
            }
            Err(error) => self.refused(now, error, out),
        }
    }

    pub(super) fn positions_restored(&mut self, now: Time, reply: Reply, out: &mut Vec<Output>) {
        #[derive(serde::Deserialize)]
        struct Positions {
            positions: Vec<PositionView>,
        }
        match read::<Positions>(reply) {
            Ok(found) => {
                for position in found.positions {
                    self.positions.insert(position.symbol.clone(), position);
                }
                self.restoring(|_, positions, _| *positions = true);
            }
            Err(error) => self.refused(now, error, out),
        }
    }

    pub(super) fn snapshot(&mut self, snapshot: Snapshot) {
        self.received = Some(snapshot.last);
        let asked = |key| {
            let commands = self.unanswered.iter().chain(&self.untold);
            commands.into_iter().any(|command| command.aim == Aim::Order(key))
        };
        let judged = self.orders.open().map(|(key, _)| (key, self.unlisted || asked(key))).collect();
        let stand = Stand { snapshot, known: self.last_made, judged };
        if self.ever_live {
            self.inbox.push_private(Queued::Snapshot(Box::new(stand)));
        } else {
            // Nothing can wait before it: the state is there as soon as the login is done.
            self.apply_snapshot(stand);
        }
        self.restoring(|_, _, snapshot| *snapshot = true);
    }

    /// Brings orders and positions to a snapshot, and tells what changed without having been told. Events up to `known`
    /// are in it, also those that follow it.
    pub(super) fn apply_snapshot(&mut self, Stand { snapshot, known, judged }: Stand) {
        self.known_up_to = known;
        let told: Vec<_> = snapshot.orders.iter().map(|order| order.order_id.clone()).collect();
        let mut changes = Vec::new();
        for order in snapshot.orders {
            let before = self.orders.key(&order.order_id).and_then(|key| self.orders.get(key));
            let same = before.is_some_and(|tracked| tracked.order == order);
            let key = self.orders.set(order, None);
            self.shown(key);
            if !same && self.ever_live {
                changes.push(key);
            }
        }
        let shown = |tracked: &Tracked| told.contains(&tracked.order.order_id);
        for (key, asked) in judged {
            let Some(tracked) = self.orders.get(key).filter(|t| t.is_active() && !shown(t)) else { continue };
            let (state, code, words) = if !asked {
                let code = Some(ErrorCode::Undefined.code());
                (
                    OrderStatus::Expired,
                    code,
                    "it ended while its events were lost: the position tells what it did",
                )
            } else if tracked.order.state != OrderStatus::Unknown {
                (OrderStatus::Unknown, None, "the gateway had no record of it; being found out")
            } else {
                continue;
            };
            self.orders.set_state(key, state, code, Some(words.to_owned()));
            changes.push(key);
        }
        self.positions.clear();
        for position in snapshot.positions {
            self.positions.insert(position.symbol.clone(), position);
        }
        for key in changes.into_iter().rev() {
            self.tell_first(key);
        }
        self.begin_at(snapshot.last, snapshot.missed);
    }

    /// Events go on after a snapshot. A session that has had any, or a cursor, is told so: what lies between will not
    /// come. What was committed before is of no use to this gateway, and not to be compared with what it tells.
    fn begin_at(&mut self, last: Ack, missed: bool) {
        self.committed = None;
        if self.handled.is_none() && last.sequence == 0 && !missed && !self.ever_live {
            self.handled = Some(last);
            return;
        }
        let before = match self.handled {
            Some(Ack { generation, sequence }) => format!("after {generation}/{sequence}"),
            None if self.ever_live => "under the numbering of before".to_owned(),
            None => "that were never acknowledged".to_owned(),
        };
        let Ack { generation, sequence } = last;
        let message = format!(
            "the gateway has not all events {before} any more: orders and positions stand as they are at \
             {generation}/{sequence}, and events go on from there"
        );
        let event = Event::Notice { code: "snapshot".to_owned(), message, symbol: None, order_id: None };
        self.inbox.push_front(Queued::Event(Placed { at: Some(last), event }, false));
    }

    fn restoring(&mut self, done: impl FnOnce(&mut bool, &mut bool, &mut bool)) {
        if let Phase::Restoring { orders, positions, snapshot, .. } = &mut self.phase {
            done(orders, positions, snapshot);
        }
        self.restored();
    }

    fn restored(&mut self) {
        if let Phase::Restoring { orders: true, positions: true, snapshot: true, .. } = self.phase {
            self.phase = Phase::Live;
            self.ever_live = true;
            self.known_in = self.last_made.map(|last| last.generation);
            self.backoff.reset();
        }
    }

    /// The gateway said no, or what it said is no answer. Waiting mends some of it, but not at the first login.
    pub(super) fn refused(&mut self, now: Time, error: ErrorBody, out: &mut Vec<Output>) {
        out.push(Output::Disconnect(1000, "login failed".to_owned()));
        let lasting = [ErrorCode::VersionMismatch, ErrorCode::InvalidSession, ErrorCode::TakenOver];
        if !self.ever_live || lasting.iter().any(|code| code.code() == error.code) {
            self.fail(error);
        } else {
            self.wait(now, &error.message);
        }
    }

    /// The gateway broke the protocol: what it says next cannot be trusted to be in order. A new login can.
    pub(super) fn broken(&mut self, now: Time, message: &str, out: &mut Vec<Output>) {
        let error = LocalError::Protocol.body(message);
        if self.ever_live {
            self.push(Event::Error(error.clone()));
        }
        self.refused(now, error, out);
    }

    fn fail(&mut self, error: ErrorBody) {
        if self.ever_live {
            self.set_state(down(error.message.clone()));
            self.push(Event::Error(error.clone()));
        }
        self.drop_calls(&error);
        self.failure = Some(error);
        self.phase = Phase::Closed;
    }

    pub(super) fn lost(&mut self, now: Time, code: Option<u16>, reason: &str) {
        if matches!(self.phase, Phase::Idle | Phase::Closed | Phase::Waiting { .. }) {
            return;
        }
        if code == Some(TAKEN_OVER) {
            let message =
                format!("session {} was taken over by another login: {reason}", self.config.session_id);
            self.inbox.drop_numbered();
            return self.fail(ErrorBody::new(ErrorCode::TakenOver, message));
        }
        if self.ever_live {
            self.wait(now, reason);
        } else {
            self.fail(LocalError::Connect.body(reason));
        }
    }

    fn wait(&mut self, now: Time, reason: &str) {
        let was_in = matches!(self.phase, Phase::Live | Phase::Restoring { .. });
        self.phase = Phase::Waiting { until: now + self.backoff.next_wait() };
        let error = ErrorBody::new(ErrorCode::Disconnected, format!("the connection was lost: {reason}"));
        self.drop_calls(&error);
        if was_in {
            self.inbox.lost("no connection to the gateway");
            self.set_state(down(format!("no connection to the gateway: {reason}")));
        }
    }

    /// Questions without a reply fail; commands without one are in doubt.
    fn drop_calls(&mut self, error: &ErrorBody) {
        self.unanswered.append(&mut self.untold);
        for (id, asked) in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Question { .. } => {
                    self.replies.insert(id, Err(error.clone()));
                }
                Asked::Command(command) => {
                    if let Aim::Order(key) = command.aim {
                        if self.orders.get(key).is_none_or(|tracked| tracked.accepted) {
                            continue;
                        }
                        self.in_doubt(key);
                    }
                    self.unanswered.push(command);
                }
                _ => {}
            }
        }
    }

    fn in_doubt(&mut self, key: super::event::OrderKey) {
        let Some(tracked) = self.orders.get(key) else { return };
        let mut order = tracked.order.clone();
        order.state = OrderStatus::Unknown;
        order.reason =
            Some("the connection was lost before the gateway answered; being found out".to_owned());
        self.push_order(key, order);
    }

    pub(super) fn timer(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(until) = self.deadline() else { return };
        if now < until {
            return;
        }
        if matches!(self.phase, Phase::Waiting { .. }) {
            return self.open(now, out);
        }
        out.push(Output::Disconnect(1000, "no answer in time".to_owned()));
        self.lost(now, None, "the gateway did not answer in time");
    }

    pub(super) fn close(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.acknowledge(out);
        out.push(Output::Disconnect(1000, "the strategy ended".to_owned()));
        self.drop_calls(&LocalError::Closed.body("the session was closed"));
        self.phase = Phase::Closed;
        self.state = down("the session is closed");
    }
}

/// Reads the result of a reply.
pub(super) fn read<T: serde::de::DeserializeOwned>(reply: Reply) -> Result<T, ErrorBody> {
    let text = reply?;
    serde_json::from_str(text.get())
        .map_err(|error| LocalError::Protocol.body(format!("the gateway's reply cannot be read: {error}")))
}
