//! Frames of the websocket API, and how any request runs: let in, charged, served, answered.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, TimeUnit};
use bytes::Bytes;
use serde_json::value::RawValue;
use tradingsys::exchange::AccountId;
use tradingsys::time::Time;

use crate::config::ReplyOrder;
use crate::io::{Conn, SimOutput};
use crate::methods::{Answer, Call, Method, by_name};
use crate::params::Params;
use crate::sim::Sim;

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

/// How a request ended, and which rows of rate limits its reply carries.
struct Ended {
    answer: Answer,
    account: Option<AccountId>,
    return_limits: bool,
}

impl Sim {
    /// A frame of an API connection.
    pub(crate) fn api_frame(&mut self, now: Time, conn: Conn, text: &str, out: &mut Vec<SimOutput>) {
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(text) else {
            let error = ErrorReply::bad(code::INVALID_JSON, "Invalid JSON Request");
            let reply = self.api_reply(
                now,
                conn,
                "null",
                Ended { answer: Err(error), account: None, return_limits: true },
            );
            return out.push(SimOutput::Send(conn, reply));
        };
        let id = frame.id.map_or("null", RawValue::get);
        let ended = self.api_request(now, conn, &frame);
        let reply = self.api_reply(now, conn, id, ended);
        let first = self.reply_comes_first();
        self.flush_around(Some((SimOutput::Send(conn, reply), first)), out);
        self.banned_close(now, conn, out);
    }

    /// Does the reply come before the private events of the same request?
    fn reply_comes_first(&mut self) -> bool {
        match self.config.reply_order {
            ReplyOrder::Random => self.random.bool(),
            ReplyOrder::ReplyFirst => true,
            ReplyOrder::EventsFirst => false,
        }
    }

    fn api_request(&mut self, now: Time, conn: Conn, frame: &Frame<'_>) -> Ended {
        let refused = |answer| Ended { answer: Err(answer), account: None, return_limits: true };
        let name = match &frame.method {
            Some(name) => name.as_str(),
            None => return refused(ErrorReply::bad(code::INVALID_JSON, "Invalid JSON Request")),
        };
        let params = match frame.params.map(Params::from_json).transpose() {
            Ok(params) => params.unwrap_or_default(),
            Err(error) => return refused(error),
        };
        let return_limits = params.flag("returnRateLimits").ok().flatten();
        let return_limits = return_limits.unwrap_or_else(|| {
            self.connections.get(&conn).and_then(|c| c.session()).is_none_or(|session| session.return_limits)
        });
        let Some(method) = by_name(name) else {
            let error = if REMOVED.contains(&name) {
                ErrorReply::new(410, code::SHUTTING_DOWN, "This service is no longer available.")
            } else {
                ErrorReply::bad(code::UNSUPPORTED_OPERATION, "This operation is not supported.")
            };
            return Ended { answer: Err(error), account: None, return_limits };
        };
        let (answer, account) = self.api_run(now, conn, method, &params);
        let account = account.filter(|_| method.security == crate::auth::Security::Trade);
        Ended { answer, account, return_limits }
    }

    fn api_run(
        &mut self,
        now: Time,
        conn: Conn,
        method: &Method,
        params: &Params,
    ) -> (Answer, Option<AccountId>) {
        let connection = &self.connections[&conn];
        let (peer, unit) = (connection.peer.clone(), connection.unit);
        let logon = connection.session().and_then(|session| session.logon).map(|logon| logon.key);
        let (weight, free) = method.weight.charge(params);
        if let Err(error) = self.rates.charge(now, &peer, weight) {
            return (Err(error), None);
        }
        let key = match self.keys.of_socket(now, method.security, logon, params) {
            Ok(key) => key,
            Err(error) => return (Err(error), None),
        };
        let answer = self.serve(now, method, params, Some(conn), key, unit);
        if free && answer.is_ok() {
            self.rates.refund(now, &peer, weight);
        }
        (answer, key.map(|key| self.keys.at(key).account))
    }

    /// Serves a request that was let in.
    pub(crate) fn serve(
        &mut self,
        now: Time,
        method: &Method,
        params: &Params,
        conn: Option<Conn>,
        key: Option<usize>,
        unit: TimeUnit,
    ) -> Answer {
        params.only(method.params)?;
        let account = key.map_or(AccountId::HOUSE, |key| self.keys.at(key).account);
        let answer = (method.run)(self, &Call { now, params, conn, key, account, unit });
        self.absorb(now);
        answer
    }

    fn api_reply(&mut self, now: Time, conn: Conn, id: &str, ended: Ended) -> Bytes {
        let object = Object::new().raw("id", id);
        let object = match &ended.answer {
            Ok(result) => object.int("status", 200).raw("result", result),
            Err(error) => object.int("status", error.status).raw("error", &error.body()),
        };
        if !ended.return_limits {
            return Bytes::from(object.end());
        }
        let peer = self.connections.get(&conn).map_or(String::new(), |connection| connection.peer.clone());
        let rows = self.rates.rows(now, &peer, ended.account);
        Bytes::from(object.raw("rateLimits", &rows).end())
    }

    /// Connections of a banned address are closed.
    fn banned_close(&mut self, now: Time, conn: Conn, out: &mut Vec<SimOutput>) {
        let Some(peer) = self.connections.get(&conn).map(|connection| connection.peer.clone()) else {
            return;
        };
        if self.rates.banned(now, &peer).is_none() {
            return;
        }
        let all: Vec<Conn> =
            self.connections.iter().filter(|(_, c)| c.peer == peer).map(|(conn, _)| *conn).collect();
        for conn in all {
            self.close(conn, 1008, "banned", out);
        }
    }
}
