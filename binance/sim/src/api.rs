//! Frames of the websocket API, and how any request runs: let in, charged, served, answered.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, TimeUnit};
use bytes::Bytes;
use serde_json::value::RawValue;
use tradingsys::exchange::AccountId;
use tradingsys::time::{Span, Time};

use crate::auth::Security;
use crate::chaos::{Arrival, Plan};
use crate::config::ReplyOrder;
use crate::connection::{Connection, KeyIndex};
use crate::faults::{Side, Stage, Subject};
use crate::io::{Conn, SimOutput};
use crate::methods::{Answer, Call, Method, by_name, method_name};
use crate::params::Params;
use crate::product::Product;
use crate::sim::{Sim, Task};

#[derive(serde::Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Requests that were removed: HTTP 410.
const REMOVED: [&str; 3] = ["userDataStream.start", "userDataStream.ping", "userDataStream.stop"];

/// A frame that was understood.
struct Asked {
    method: &'static Method,
    params: Params,
}

/// Who let a request in, and how it was answered.
pub(crate) struct Served {
    pub(crate) answer: Answer,
    pub(crate) account: Option<AccountId>,
}

impl From<ErrorReply> for Served {
    fn from(error: ErrorReply) -> Self {
        Self { answer: Err(error), account: None }
    }
}

impl Sim {
    /// A frame of an API connection: faults may lose it or hold it back.
    pub(crate) fn api_arrival(&mut self, now: Time, conn: Conn, text: String, out: &mut Vec<SimOutput>) {
        let name = serde_json::from_str::<Frame<'_>>(&text).ok().and_then(|frame| frame.method);
        let account = self.account_of_session(conn);
        let product = self.product_of(conn);
        match self.arrival(subject(product, name.as_deref().unwrap_or_default(), &account)) {
            Arrival::Now => {}
            Arrival::Never => return self.flush(None, out),
            Arrival::Late(after) => {
                self.later(after, Task::Arrive(conn, text));
                return self.flush(None, out);
            }
        }
        self.api_frame(now, conn, &text, out);
    }

    /// The name of the account logged on to a connection; empty if nobody is.
    fn account_of_session(&self, conn: Conn) -> String {
        let session = self.connections.get(&conn).and_then(|connection| connection.session());
        let key = session.and_then(|session| session.logon).map(|logon| logon.key);
        key.map_or(String::new(), |key| self.account_name(self.keys.at(key).account).to_owned())
    }

    /// A frame that has arrived.
    pub(crate) fn api_frame(&mut self, now: Time, conn: Conn, text: &str, out: &mut Vec<SimOutput>) {
        if !self.connections.get(&conn).is_some_and(|connection| connection.is_live()) {
            return;
        }
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(text) else {
            let error = ErrorReply::bad(code::INVALID_JSON, "Invalid JSON Request");
            let reply = self.api_reply(now, conn, "null", &error.into(), true, false);
            return self.send(conn, reply, out);
        };
        let id = frame.id.map_or("null", RawValue::get);
        match understood(self.product_of(conn), &frame) {
            Err(error) => {
                let limits = self.returns_limits(conn, None);
                let reply = self.api_reply(now, conn, id, &error.into(), limits, false);
                self.send(conn, reply, out);
            }
            Ok(asked) => self.api_asked(now, conn, id, &asked, out),
        }
    }

    fn product_of(&self, conn: Conn) -> Product {
        self.connections.get(&conn).map_or(Product::Spot, |connection| connection.product)
    }

    fn api_asked(&mut self, now: Time, conn: Conn, id: &str, asked: &Asked, out: &mut Vec<SimOutput>) {
        let account = self.account_of_session(conn);
        let (peer, product) = (self.connections[&conn].peer.clone(), self.connections[&conn].product);
        let mut plan = self.plan(now, subject(product, asked.method.name, &account), &peer);
        if let Some((fault, Stage::Before)) = plan.cut {
            self.flush(None, out);
            return self.cut(conn, fault, out);
        }
        let served = self.api_serve(now, conn, asked, &plan);
        if let Some((fault, Stage::After)) = plan.cut {
            self.cut(conn, fault, out);
        }
        let limits = self.returns_limits(conn, asked.params.flag("returnRateLimits").ok().flatten());
        let orders = asked.method.security == Security::Trade;
        let reply = self.api_reply(now, conn, id, &served, limits, orders);
        let live = self.connections.get(&conn).is_some_and(|connection| connection.is_live());
        let first = self.reply_comes_first();
        let reply = match self.reply_frame(conn, reply, plan.deform.take()) {
            Ok(reply) => reply,
            Err(odd) => {
                self.flush(Some((odd, first)), out);
                return self.close_banned(now, product, &peer, out);
            }
        };
        match plan.delay {
            _ if plan.lost || !live => self.flush(None, out),
            Some(after) => {
                self.later(after, Task::Send(conn, reply));
                self.flush(None, out);
            }
            None => self.flush(Some((SimOutput::Send(conn, reply), first)), out),
        }
        self.close_banned(now, product, &peer, out);
    }

    /// Does the reply come before the private events of the same request?
    fn reply_comes_first(&mut self) -> bool {
        match self.config.reply_order {
            ReplyOrder::Random => self.random.bool(),
            ReplyOrder::ReplyFirst => true,
            ReplyOrder::EventsFirst => false,
        }
    }

    fn returns_limits(&self, conn: Conn, asked: Option<bool>) -> bool {
        asked.unwrap_or_else(|| {
            let session = self.connections.get(&conn).and_then(|connection| connection.session());
            session.is_none_or(|session| session.return_limits)
        })
    }

    fn api_serve(&mut self, now: Time, conn: Conn, asked: &Asked, plan: &Plan) -> Served {
        let Asked { method, params } = asked;
        let connection = &self.connections[&conn];
        let (peer, unit, product) = (connection.peer.clone(), connection.unit, connection.product);
        let logon = connection.session().and_then(|session| session.logon).map(|logon| logon.key);
        let (weight, free) = method.weight.charge(params);
        if let Err(error) = self.pool(product).charge(now, &peer, weight) {
            return error.into();
        }
        if let Some(error) = &plan.unserved {
            return error.clone().into();
        }
        let key = match self.keys.of_socket(now, method.security, logon, params) {
            Ok(key) => key,
            Err(error) => return error.into(),
        };
        let answer = self.serve(now, method, params, Asker { conn: Some(conn), key, unit, lag: plan.lag });
        let answer = if plan.finds_nothing { nothing_found(method, answer) } else { answer };
        if free && answer.is_ok() {
            self.pool(product).refund(now, &peer, weight);
        }
        let answer = plan.replaced.clone().map_or(answer, Err);
        Served { answer, account: key.map(|key| self.keys.at(key).account) }
    }

    /// Serves a request that was let in.
    pub(crate) fn serve(&mut self, now: Time, method: &Method, params: &Params, asker: Asker) -> Answer {
        params.only(method.params)?;
        let Asker { conn, key, unit, lag } = asker;
        let account = key.map_or(AccountId::HOUSE, |key| self.keys.at(key).account);
        let answer = (method.run)(self, &Call { now, params, conn, key, account, unit, lag });
        self.absorb(now);
        answer
    }

    fn api_reply(
        &mut self,
        now: Time,
        conn: Conn,
        id: &str,
        served: &Served,
        limits: bool,
        orders: bool,
    ) -> Bytes {
        let object = Object::new().raw("id", id);
        let object = match &served.answer {
            Ok(result) => object.int("status", 200).raw("result", result),
            Err(error) => object.int("status", error.status).raw("error", &error.body()),
        };
        if !limits {
            return Bytes::from(object.end());
        }
        let peer = self.connections.get(&conn).map_or(String::new(), |connection| connection.peer.clone());
        let pool = self.product_of(conn);
        let rows = self.pool(pool).rows(now, &peer, served.account.filter(|_| orders));
        Bytes::from(object.raw("rateLimits", &rows).end())
    }

    /// Connections of a banned address are closed.
    pub(crate) fn close_banned(&mut self, now: Time, product: Product, peer: &str, out: &mut Vec<SimOutput>) {
        if self.pool(product).banned(now, peer).is_none() {
            return;
        }
        let theirs = |connection: &Connection| connection.peer == peer && connection.product == product;
        let all: Vec<Conn> =
            self.connections.iter().filter(|(_, c)| theirs(c)).map(|(conn, _)| *conn).collect();
        for conn in all {
            self.close(conn, 1008, "banned", out);
        }
    }
}

/// What a query is answered that finds nothing: an empty list, or that there is no such order.
pub(crate) fn nothing_found(method: &Method, answer: Answer) -> Answer {
    match answer {
        Ok(list) if list.starts_with('[') => Ok("[]".to_owned()),
        Ok(_) if method.name.ends_with("order.status") || method.label().ends_with("order.status") => {
            Err(ErrorReply::new(400, code::NO_SUCH_ORDER, "Order does not exist."))
        }
        other => other,
    }
}

/// Who asks, and how the answer is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The websocket; `None` over REST.
    pub(crate) conn: Option<Conn>,
    /// The key that let the request in.
    pub(crate) key: Option<KeyIndex>,
    /// In which unit times are wanted.
    pub(crate) unit: TimeUnit,
    /// From how long ago the answer comes.
    pub(crate) lag: Span,
}

fn understood(product: Product, frame: &Frame<'_>) -> Result<Asked, ErrorReply> {
    let invalid = || ErrorReply::bad(code::INVALID_JSON, "Invalid JSON Request");
    let name = frame.method.as_deref().ok_or_else(invalid)?;
    let params = frame.params.map(Params::from_json).transpose()?.unwrap_or_default();
    if product == Product::Spot && REMOVED.contains(&name) {
        return Err(ErrorReply::new(410, code::SHUTTING_DOWN, "This service is no longer available."));
    }
    let unknown = || ErrorReply::bad(code::UNSUPPORTED_OPERATION, "This operation is not supported.");
    Ok(Asked { method: by_name(product, name).ok_or_else(unknown)?, params })
}

fn subject<'a>(product: Product, method: &'a str, account: &'a str) -> Subject<'a> {
    let (method, product) = (Some(method_name(product, method)), Some(product));
    Subject { method, account: Some(account), side: Some(Side::Api), product, ..Subject::default() }
}
