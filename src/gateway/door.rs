//! Letting clients in: hello, login, take-over, resume, and seeing them off.

use bytes::Bytes;
use serde_json::Value;

use super::Gateway;
use super::commits::Held;
use super::io::{LogLevel, Output};
use super::question::{order_view, reply_frame};
use super::queue::Queue;
use super::stop::{Left, Policy, policy};
use crate::ids::{ClientOrderId, ConnId, SessionId};
use crate::journal::Record;
use crate::market::{OrderType, Stream};
use crate::session::{EVENTS_MAX, Resumption};
use crate::time::{Span, Time};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{LoggedIn, Resume, Snapshot, Welcome};
use crate::wire::proof;
use crate::wire::request::{Ack, Call, Hello, Login, Pending, VERSION, parse};

/// How long a connection may take to log in.
pub(super) const LOGIN_WITHIN: Span = Span::from_secs(10);
/// Closing code of a connection whose session shall log in again: nothing is wrong with it.
pub(super) const LOG_IN_AGAIN: u16 = 1012;
/// Frames that cannot be understood before a client is closed.
const ERRORS_MAX: u32 = 20;
/// Longest name of a session, in bytes: it is kept, and shown to the operator.
const NAME_MAX: usize = 256;
/// Largest frame from a client.
const FRAME_MAX: usize = 64 * 1024;

/// A local connection.
#[derive(Debug)]
pub(super) struct Client {
    stage: Stage,
    pub(super) queue: Queue,
    pub(super) streams: std::collections::BTreeSet<Stream>,
    /// Session events above this number go to it.
    pub(super) follow_above: Option<u64>,
    pub(super) opened: Time,
    errors: u32,
}

#[derive(Clone, Debug)]
enum Stage {
    Fresh,
    Greeted {
        client_nonce: String,
        gateway_nonce: String,
    },
    Seated {
        session: SessionId,
        trading: bool,
    },
    /// He has said that he is the operator.
    GreetedOperator {
        client_nonce: String,
        gateway_nonce: String,
    },
    /// He owns nothing.
    Operator {
        name: String,
    },
    Leaving,
}

/// Who speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) conn: ConnId,
    pub(super) session: SessionId,
    pub(super) trading: bool,
}

impl Gateway {
    pub(super) fn client_opened(&mut self, now: Time, conn: ConnId) {
        let client = Client {
            stage: Stage::Fresh,
            queue: Queue::default(),
            streams: Default::default(),
            follow_above: None,
            opened: now,
            errors: 0,
        };
        self.clients.insert(conn, client);
        if self.stopping {
            self.close_client(conn, 1001, "the gateway is stopping");
        }
    }

    pub(super) fn client_closed(&mut self, now: Time, conn: ConnId) {
        let Some(client) = self.clients.remove(&conn) else { return };
        self.counts.thinned += client.queue.thinned();
        self.commits.forget_client(conn);
        for stream in &client.streams {
            self.leave_stream(now, conn, stream);
        }
        if let Stage::Seated { session, .. } = client.stage {
            let seat = self.session_mut(session);
            if seat.owner == Some(conn) {
                seat.owner = None;
                self.log(LogLevel::Info, "session left", format!("session={session}"));
                self.stop.session_left(session, Left::Gone);
            }
            self.share_budget();
        }
        if let Stage::Operator { name } = client.stage {
            self.log(LogLevel::Info, "operator left", format!("conn={} name={name:?}", conn.0));
        }
    }

    /// Closes a connection from our side; its session is free at once.
    pub(super) fn close_client(&mut self, conn: ConnId, code: u16, reason: &str) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if let Stage::Seated { session, .. } = std::mem::replace(&mut client.stage, Stage::Leaving) {
            client.follow_above = None;
            let seat = self.session_mut(session);
            if seat.owner == Some(conn) {
                seat.owner = None;
                let how = if code == LOG_IN_AGAIN { Left::SentAway } else { Left::Gone };
                self.stop.session_left(session, how);
            }
            self.share_budget();
        }
        self.commits.forget_client(conn);
        self.log(LogLevel::Info, "client closed", format!("conn={} code={code} reason={reason:?}", conn.0));
        self.out.push(Output::CloseClient(conn, code, reason.to_owned()));
    }

    /// Sessions came or went: those that may trade share the rate budget.
    fn share_budget(&mut self) {
        let trading = |client: &Client| match client.stage {
            Stage::Seated { session, trading: true } => Some(session),
            _ => None,
        };
        self.entry.share_among(&self.clients.values().filter_map(trading).collect());
    }

    /// Is it a session's that may trade?
    pub(super) fn may_trade(&self, conn: ConnId) -> bool {
        self.clients.get(&conn).is_some_and(|c| matches!(c.stage, Stage::Seated { trading: true, .. }))
    }

    /// How many sessions have an owner, and how many of those may trade.
    pub(super) fn seated(&self) -> (usize, usize) {
        let seats = self.clients.values().filter_map(|client| match client.stage {
            Stage::Seated { trading, .. } => Some(trading),
            _ => None,
        });
        seats.fold((0, 0), |(all, able), trading| (all + 1, able + usize::from(trading)))
    }

    /// Connections that have not logged in yet. The shell bounds them.
    pub fn strangers(&self) -> usize {
        let stranger = |c: &&Client| {
            matches!(c.stage, Stage::Fresh | Stage::Greeted { .. } | Stage::GreetedOperator { .. })
        };
        self.clients.values().filter(stranger).count()
    }

    pub(super) fn door_deadline(&self) -> Option<Time> {
        let waiting = |c: &&Client| {
            matches!(c.stage, Stage::Fresh | Stage::Greeted { .. } | Stage::GreetedOperator { .. })
        };
        self.clients.values().filter(waiting).map(|c| c.opened + LOGIN_WITHIN).min()
    }

    pub(super) fn door_timer(&mut self, now: Time) {
        let late = |c: &Client| {
            matches!(c.stage, Stage::Fresh | Stage::Greeted { .. } | Stage::GreetedOperator { .. })
                && c.opened + LOGIN_WITHIN <= now
        };
        let conns: Vec<ConnId> =
            self.clients.iter().filter(|(_, c)| late(c)).map(|(conn, _)| *conn).collect();
        for conn in conns {
            self.close_client(conn, 1008, "no login within 10 seconds");
        }
    }

    pub(super) fn client_frame(&mut self, now: Time, conn: ConnId, text: &str) {
        let Some(client) = self.clients.get(&conn) else { return };
        if matches!(client.stage, Stage::Leaving) {
            return;
        }
        if text.len() > FRAME_MAX {
            self.close_client(conn, 1009, "frames may have 64 KiB");
            return;
        }
        match parse(text) {
            Ok(request) => self.call(now, conn, request.id.unwrap_or(0), request.call),
            Err((id, error)) => {
                self.fail(conn, id, error);
                self.count_error(conn);
            }
        }
    }

    fn count_error(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.errors += 1;
        if client.errors >= ERRORS_MAX {
            self.close_client(conn, 1008, "too many frames that cannot be understood");
        }
    }

    fn call(&mut self, now: Time, conn: ConnId, id: u64, call: Call) {
        let Some(client) = self.clients.get(&conn) else { return };
        match (client.stage.clone(), call) {
            (Stage::Fresh, Call::Hello(hello)) => self.hello(conn, id, &hello),
            (Stage::Greeted { client_nonce, gateway_nonce }, Call::Login(login)) => {
                let allowed = self.may_login(&client_nonce, &gateway_nonce, &login);
                match allowed.and_then(|session| Ok((session, policy(&login)?))) {
                    Ok((session, policy)) => self.login(now, conn, id, session, &login, policy),
                    Err(error) => {
                        self.fail(conn, Some(id), error);
                        self.count_error(conn);
                    }
                }
            }
            (
                Stage::Seated { .. } | Stage::Operator { .. },
                Call::Hello(_) | Call::Login(_) | Call::Operate(_),
            ) => {
                let message = "this connection is logged in already: open another for another session";
                self.fail(conn, Some(id), ErrorBody::new(ErrorCode::BadRequest, message));
                self.count_error(conn);
            }
            (Stage::Seated { session, trading }, call) => {
                self.seated_call(now, Seat { conn, session, trading }, id, call);
            }
            (Stage::GreetedOperator { client_nonce, gateway_nonce }, Call::Operate(operate)) => {
                if self.is_operator(&client_nonce, &gateway_nonce, &operate.proof) {
                    let name = self.operate(now, conn, id, &operate);
                    if let Some(client) = self.clients.get_mut(&conn) {
                        client.stage = Stage::Operator { name };
                    }
                    return;
                }
                let message = "the proof does not match the operator's token: read its file anew";
                self.log(
                    LogLevel::Warn,
                    "a proof of the operator's token was wrong",
                    format!("conn={}", conn.0),
                );
                self.fail(conn, Some(id), ErrorBody::new(ErrorCode::BadProof, message));
                self.count_error(conn);
            }
            (Stage::Operator { name }, call) => self.operator_call(now, conn, &name, id, &call),
            _ => {
                let message =
                    "call hello, then login (an operator: operate), each once, before anything else";
                self.fail(conn, Some(id), ErrorBody::new(ErrorCode::NotLoggedIn, message));
                self.count_error(conn);
            }
        }
    }

    fn hello(&mut self, conn: ConnId, id: u64, hello: &Hello) {
        if hello.version != VERSION {
            let message =
                format!("this gateway speaks version {VERSION}, the client version {}", hello.version);
            return self.fail(conn, Some(id), ErrorBody::new(ErrorCode::VersionMismatch, message));
        }
        let hex = hello.nonce.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !(32..=128).contains(&hello.nonce.len()) {
            let message = "the nonce has 32 to 128 hex characters";
            return self.fail(conn, Some(id), ErrorBody::new(ErrorCode::BadRequest, message));
        }
        if hello.operator && (hello.session_id.is_some() || self.config.operator_token.is_none()) {
            let message = match hello.session_id {
                Some(_) => "an operator has no session: leave session_id out",
                None => "this gateway has no token for an operator",
            };
            return self.fail(conn, Some(id), ErrorBody::new(ErrorCode::BadRequest, message));
        }
        self.nonces += 1;
        let secret = &self.config.token;
        // Unforeseeable without the token, and never the same twice.
        let seed = format!("{}:{}:{}", self.config.seed, self.started.nanos(), self.nonces);
        let nonce = proof::of_gateway(secret, &seed, "nonce")[..32].to_owned();
        let token = match (hello.session_id, &self.config.operator_token) {
            (_, Some(of_operator)) if hello.operator => of_operator,
            (Some(session), _) => self.token_of(SessionId(session)),
            (None, _) => secret,
        };
        let welcome = Welcome {
            version: VERSION,
            market: self.config.market.to_owned(),
            gateway: self.config.product.clone(),
            proof: proof::of_gateway(token, &hello.nonce, &nonce),
            nonce: nonce.clone(),
            generation: Some(self.generation),
        };
        if let Some(client) = self.clients.get_mut(&conn) {
            let client_nonce = hello.nonce.clone();
            client.stage = if hello.operator {
                Stage::GreetedOperator { client_nonce, gateway_nonce: nonce }
            } else {
                Stage::Greeted { client_nonce, gateway_nonce: nonce }
            };
        }
        self.reply(conn, id, &welcome);
    }

    /// The token that lets a session in: its own, if it has one.
    fn token_of(&self, session: SessionId) -> &str {
        self.config.session_tokens.get(&session).unwrap_or(&self.config.token)
    }

    fn may_login(
        &self,
        client_nonce: &str,
        gateway_nonce: &str,
        login: &Login,
    ) -> Result<SessionId, ErrorBody> {
        let session = u16::try_from(login.session_id).map_err(|_| {
            ErrorBody::new(
                ErrorCode::InvalidSession,
                format!("session_id {} is not 0 to 65535", login.session_id),
            )
        })?;
        if login.name.len() > NAME_MAX {
            let message = format!("the name has {} bytes, at most {NAME_MAX} are taken", login.name.len());
            return Err(ErrorBody::new(ErrorCode::BadRequest, message));
        }
        let token = self.token_of(SessionId(session));
        if !proof::is_client(token, client_nonce, gateway_nonce, session, &login.proof) {
            let message = "the proof does not match this gateway's token: read the token file anew";
            return Err(ErrorBody::new(ErrorCode::BadProof, message));
        }
        let session = SessionId(session);
        let owner = self.sessions.get(&session).and_then(|s| s.owner.map(|o| (o, &s.name)));
        if let Some((owner, name)) = owner
            && !login.take_over
        {
            let message = format!(
                "session {session} is held by {name:?} (connection {}); choose another session_id, stop that one, or log \
                 in with take_over=True",
                owner.0
            );
            return Err(ErrorBody::new(ErrorCode::DuplicateLogin, message));
        }
        Ok(session)
    }

    /// Names the login an order that is not known here, and of which it cannot be said yet where the exchange keeps it?
    fn is_too_early(&self, session: SessionId, pending: &[Pending]) -> bool {
        let unknown_stop = |command: &Pending| {
            let word = |name: &str| command.params.get(name);
            let named = word("type").and_then(Value::as_str).and_then(OrderType::from_word);
            let known = word("n").and_then(Value::as_u64).is_some_and(|n| {
                let answered = self.sessions.get(&session).and_then(|seat| seat.answer(command.epoch, n));
                answered.is_some() || self.orders.get(&self.order_id(command.epoch, session, n)).is_some()
            });
            named.is_some_and(OrderType::is_conditional) && !known
        };
        self.instruments.is_none() && pending.iter().any(unknown_stop)
    }

    fn login(&mut self, now: Time, conn: ConnId, id: u64, session: SessionId, login: &Login, policy: Policy) {
        if self.is_too_early(session, &login.pending) {
            let reason = "the exchange's symbols are not loaded yet: log in again";
            return self.close_client(conn, LOG_IN_AGAIN, reason);
        }
        if let Some(old) = self.session_mut(session).owner {
            self.close_client(old, 4001, "another login took the session over");
        }
        // Not before: what a login declares that is turned away is void.
        self.declare(session, policy);
        // First: a numbering that begins anew is that of the raised epoch, and the lost ones lie before it.
        self.heed_named(now, session, login);
        self.heed_cursor(now, session, login.cursor);
        self.heed_last_login(now, session, login.epoch);
        let answers = login.pending.iter().map(|p| self.pending_answer(now, session, p)).collect();
        let (generation, epoch) = (self.generation, self.epoch);
        let seat = self.session_mut(session);
        seat.owner = Some(conn);
        seat.seated_in = Some(epoch);
        seat.name.clone_from(&login.name);
        let resumed = seat.log.resume_from(generation, login.cursor);
        let reply = LoggedIn {
            session_id: session,
            name: login.name.clone(),
            trading: login.trading,
            next_command: seat.last_command + 1,
            last: Ack { generation, sequence: seat.log.last() },
            resume: if let Resumption::Events(_) = resumed { Resume::Events } else { Resume::Snapshot },
            answers,
            install: self.config.install.as_str().to_owned(),
            epoch: self.epoch,
            prefix: self.prefix(session),
            state: self.state_event(session),
            time: now,
        };
        if let Some(client) = self.clients.get_mut(&conn) {
            client.stage = Stage::Seated { session, trading: login.trading };
        }
        self.share_budget();
        let fields = format!(
            "session={session} name={:?} trading={} resume={:?}",
            login.name, login.trading, reply.resume
        );
        self.log(LogLevel::Info, "session taken", fields);
        match resumed {
            Resumption::Events(frames) => self.replay(conn, id, session, &reply, frames),
            Resumption::Snapshot(above) => self.snapshot(now, conn, id, session, &reply, above),
        }
    }

    /// What every order id of the session in this epoch begins with.
    fn prefix(&self, session: SessionId) -> String {
        let id = self.order_id(self.epoch, session, 0);
        id.as_str().rsplit_once('-').map(|(stem, _)| format!("{stem}-")).unwrap_or_default()
    }

    /// All events after the cursor that are committed, then live ones. It names the epoch: one that was told before it
    /// is on the disk, and then is in no journal, would prove a whole journal to be an older copy.
    fn replay(&mut self, conn: ConnId, id: u64, session: SessionId, reply: &LoggedIn, frames: Vec<Bytes>) {
        let published = self.session_mut(session).log.published();
        if !self.epoch_durable {
            let frames = std::iter::once(reply_frame(id, reply)).chain(frames.iter().map(marked_replayed));
            return self.commits.hold(Held::Follow(conn, session, frames.collect(), published));
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.queue.push_replay(reply_frame(id, reply));
        for frame in frames {
            client.queue.push_replay(marked_replayed(&frame));
        }
        client.follow_above = Some(published);
        self.ready.insert(conn);
    }

    /// The present state, shown once it is committed, then the events above a number that are kept.
    fn snapshot(
        &mut self,
        now: Time,
        conn: ConnId,
        id: u64,
        session: SessionId,
        reply: &LoggedIn,
        above: u64,
    ) {
        let snapshot = Snapshot {
            event: "snapshot".to_owned(),
            last: Ack { sequence: above, ..reply.last },
            missed: self.session_mut(session).log.has_lost(),
            time: now,
            orders: self.orders.open_of(session).filter_map(order_view).collect(),
            positions: self.positions_of(session, &[]),
        };
        let frame = serde_json::to_string(&snapshot)
            .expect("snapshots are made of strings, numbers and plain structs");
        let frames = vec![reply_frame(id, reply), Bytes::from(frame)];
        self.commits.hold(Held::Follow(conn, session, frames, above));
    }

    /// The snapshot is committed, and with it all events made before it.
    pub(super) fn follow(&mut self, conn: ConnId, session: SessionId, frames: Vec<Bytes>, above: u64) {
        let state = serde_json::to_string(&self.state_event(session)).expect("states are made of strings");
        let log = &self.session_mut(session).log;
        let (kept, published) = (log.kept_after(above), log.published());
        let Some(client) = self.clients.get_mut(&conn) else { return };
        // The disk may have taken its time, and what was told meanwhile came before the login was answered.
        let told = |frame: &Bytes| std::str::from_utf8(frame).is_ok_and(|words| words.contains(&state));
        let news = !frames.iter().any(told);
        for frame in frames.into_iter().chain(kept.iter().map(marked_replayed)) {
            client.queue.push_replay(frame);
        }
        if news {
            client.queue.push_replay(Bytes::from(state));
        }
        client.follow_above = Some(published);
        self.ready.insert(conn);
    }

    /// Says that so much is unacknowledged that events may be lost.
    pub(super) fn warn_unacknowledged(&mut self, now: Time, session: SessionId, waiting: u64) {
        self.log(LogLevel::Warn, "events not acknowledged", format!("session={session} count={waiting}"));
        let message = format!(
            "{waiting} events of this session are not acknowledged; beyond {EVENTS_MAX} the oldest are not kept: \
             call session.commit()"
        );
        self.notice(now, session, "unacknowledged", message, None);
    }

    fn pending_answer(&mut self, now: Time, session: SessionId, pending: &Pending) -> Value {
        let number = pending.params.get("n").and_then(Value::as_u64).unwrap_or(0);
        if let Err(error) = super::command::check_number(number) {
            return serde_json::json!({ "error": error });
        }
        let id = self.order_id(pending.epoch, session, number);
        self.tell_unheard_end(now, session, &id);
        if let Some(reply) = self.session_mut(session).answer(pending.epoch, number) {
            return serde_json::from_str(reply).unwrap_or(Value::Null);
        }
        if pending.method == "order" && self.orders.get(&id).is_some() {
            return serde_json::json!({ "result": { "n": number, "order_id": id } });
        }
        let lost =
            |message: &str| serde_json::json!({ "error": ErrorBody::new(ErrorCode::Disconnected, message) });
        let epoch = self.epoch;
        let seat = self.session_mut(session);
        if pending.epoch == epoch && seat.seated_in == Some(epoch) {
            seat.last_command = seat.last_command.max(number);
            // This run keeps every answer it gives, and the old connection is gone: the command cannot arrive any more.
            let answer = lost("the command never reached the gateway; nothing was sent");
            self.remember(now, session, pending.epoch, number, answer.to_string());
            return answer;
        }
        if pending.method != "order" {
            return lost(
                "this run of the gateway has no record of it; order events tell, and asking again is safe",
            );
        }
        match serde_json::from_value(pending.params.clone()) {
            Ok(order) => self.resolve_pending(now, session, pending.epoch, &order),
            Err(error) => {
                let body = ErrorBody::new(ErrorCode::BadRequest, format!("pending order: {error}"));
                serde_json::json!({ "error": body })
            }
        }
    }

    /// Who asks for an order waits for an event of it. One that is over has none to come: where its end was found in
    /// the past of a lost journal, or was told under a numbering that is over, it is told now.
    fn tell_unheard_end(&mut self, now: Time, session: SessionId, id: &ClientOrderId) {
        let Some(order) = self.orders.get(id).filter(|order| order.state.is_over()) else { return };
        // An end is told with the fills it counts, and those are read after it.
        let reads = order.has_gap() && !self.scans.is_read(&order.symbol);
        if !self.session_mut(session).log.tells_of(id.as_str()) {
            if reads {
                self.scans.unheard.insert(id.clone());
            } else {
                self.tell_order(now, id, None);
            }
        }
    }

    /// Acknowledges events.
    pub(super) fn ack(&mut self, now: Time, session: SessionId, ack: Ack) {
        if ack.generation != self.generation {
            return;
        }
        if self.session_mut(session).log.ack(ack.sequence) {
            let Ack { generation, sequence } = ack;
            let record = Record::Ack { session, generation, sequence, time: Some(now) };
            self.commits.push_patiently(now, record);
        }
    }
}

/// `{"gen":…}` as `{"replayed":true,"gen":…}`.
fn marked_replayed(frame: &Bytes) -> Bytes {
    let mut marked = b"{\"replayed\":true,".to_vec();
    marked.extend_from_slice(&frame[1..]);
    Bytes::from(marked)
}
