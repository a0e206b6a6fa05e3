//! The machine under test: driven as a shell would, in virtual time. Expected frames are written by hand
//! from the venue's documentation (binance-spot-api-docs, 2026-07-21), never by the simulator's own writer.

mod binary;
mod faults;
mod futures;
mod golden;
mod life;
mod limits;
mod margin;
mod orders;
mod queries;
mod replay;
mod resume;
mod sessions;
mod streams;
mod weather;

use binance_wire::sign::{SecretKey, percent_encode};
use serde_json::{Value, json};
use tradingsys::exchange::Rate;
use tradingsys::time::{Span, Time};

use crate::config::{AccountConfig, Config, ReplyOrder, usual_balances};
use crate::io::{Conn, HttpReply, HttpRequest, Journal, Request, SimInput, SimOutput};
use crate::sim::Sim;

/// 2023-11-14T22:13:20Z.
pub(super) const START: Time = Time::from_millis(1_700_000_000_000);

/// A simulator and all it put out.
pub(super) struct Bench {
    pub(super) sim: Sim,
    pub(super) now: Time,
    /// Frames sent, not yet looked at.
    pub(super) frames: Vec<(Conn, String)>,
    /// Other outputs, not yet looked at.
    pub(super) others: Vec<SimOutput>,
    /// Lines of the journals.
    pub(super) lines: Vec<(Journal, String)>,
    numbered: u64,
}

pub(super) fn secret(name: &str) -> SecretKey {
    match name {
        "hmac" => SecretKey::from_secret("secret of hmac"),
        _ => SecretKey::from_seed(&[name.as_bytes()[0]; 32]),
    }
}

pub(super) fn account(name: &str) -> AccountConfig {
    AccountConfig {
        name: name.into(),
        api_key: format!("key-{name}"),
        checker: secret(name).checker(),
        may_trade: true,
        balances: usual_balances().collect(),
        maker_fee: Rate::basis_points(10),
        taker_fee: Rate::basis_points(10),
        pays_in_bnb: false,
        wallets: crate::config::Wallets::default(),
    }
}

/// Two accounts with Ed25519 keys and one with HMAC; a market that stands still; replies before events.
pub(super) fn config() -> Config {
    Config {
        accounts: vec![account("alice"), account("bob"), account("hmac")],
        ticks_per_second: 0,
        reply_order: ReplyOrder::ReplyFirst,
        ..Config::default()
    }
}

pub(super) fn bench() -> Bench {
    Bench::new(config())
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        let mut bench = Self {
            sim: Sim::new(config, START).unwrap(),
            now: START,
            frames: vec![],
            others: vec![],
            lines: vec![],
            numbered: 0,
        };
        bench.price("DOGEUSDT", "0.2");
        bench
    }

    pub(super) fn input(&mut self, input: SimInput) {
        let mut out = Vec::new();
        self.sim.handle(self.now, input, &mut out);
        self.keep(out);
    }

    fn keep(&mut self, out: Vec<SimOutput>) {
        for output in out {
            match output {
                SimOutput::Send(conn, text) => {
                    self.frames.push((conn, String::from_utf8(text.to_vec()).unwrap()));
                }
                SimOutput::Append(journal, line) => self.lines.push((journal, line)),
                other => self.others.push(other),
            }
        }
    }

    /// Lets time pass, stopping at every deadline.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(next) = self.sim.deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let mut out = Vec::new();
            self.sim.timer(self.now, &mut out);
            self.keep(out);
        }
        self.now = end;
    }

    pub(super) fn open(&mut self, target: &str) -> Conn {
        self.numbered += 1;
        let conn = Conn(self.numbered);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = HttpRequest {
            method: "GET".into(),
            path: path.into(),
            query: query.into(),
            peer: "10.0.0.1".into(),
            ..HttpRequest::default()
        };
        self.input(SimInput::Opened { conn, request });
        conn
    }

    pub(super) fn text(&mut self, conn: Conn, text: &str) {
        self.input(SimInput::Text(conn, text.into()));
    }

    /// Takes the frames sent to a connection.
    pub(super) fn taken(&mut self, conn: Conn) -> Vec<String> {
        let (mine, rest) = std::mem::take(&mut self.frames).into_iter().partition(|(to, _)| *to == conn);
        self.frames = rest;
        mine.into_iter().map(|(_, text)| text).collect()
    }

    /// Takes the frames sent to a connection, parsed.
    pub(super) fn values(&mut self, conn: Conn) -> Vec<Value> {
        self.taken(conn).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// Sends a request; its reply is the frame with its id, other frames stay.
    pub(super) fn call(&mut self, conn: Conn, method: &str, params: Value) -> Value {
        self.numbered += 1;
        let id = self.numbered;
        self.text(conn, &json!({"id": id, "method": method, "params": params}).to_string());
        self.reply_to(conn, id).unwrap_or_else(|| panic!("no reply to {method}"))
    }

    pub(super) fn reply_to(&mut self, conn: Conn, id: u64) -> Option<Value> {
        let found = self.frames.iter().position(|(to, text)| {
            let value: Value = serde_json::from_str(text).unwrap();
            *to == conn && value.get("id") == Some(&json!(id))
        })?;
        Some(serde_json::from_str(&self.frames.remove(found).1).unwrap())
    }

    /// A logged-on connection, subscribed to its account's events.
    pub(super) fn logged_on(&mut self, name: &str) -> Conn {
        let conn = self.open("/ws-api/v3");
        let params = self.signed(name, json!({"apiKey": format!("key-{name}")}));
        assert_eq!(self.call(conn, "session.logon", params)["status"], 200);
        assert_eq!(self.call(conn, "userDataStream.subscribe", json!({}))["status"], 200);
        conn
    }

    /// Parameters with timestamp and signature: sorted, joined, not encoded, as the documentation says.
    pub(super) fn signed(&self, name: &str, params: Value) -> Value {
        let mut params = params;
        let object = params.as_object_mut().unwrap();
        object.entry("timestamp").or_insert_with(|| json!(self.now.millis()));
        // serde_json's maps are sorted by name.
        let pairs = object.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
        let payload = pairs.collect::<Vec<_>>().join("&");
        let signature = secret(name).sign(payload.as_bytes());
        object.insert("signature".into(), json!(signature));
        params
    }

    /// Places an order on a logged-on connection.
    pub(super) fn place(&mut self, conn: Conn, order: Value) -> Value {
        let mut order = order;
        order["timestamp"] = json!(self.now.millis());
        self.call(conn, "order.place", order)
    }

    /// A plain limit order of 10 DOGE.
    pub(super) fn limit(&mut self, conn: Conn, side: &str, price: &str, id: &str) -> Value {
        let reply = self.place(
            conn,
            json!({"symbol": "DOGEUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": price,
                "quantity": "10", "newClientOrderId": id}),
        );
        assert_eq!(reply["status"], 200, "{reply}");
        reply
    }

    /// An HTTP request; `None` if there was no reply.
    pub(super) fn http(
        &mut self,
        method: &str,
        target: &str,
        key: Option<&str>,
        body: &str,
    ) -> Option<HttpReply> {
        self.numbered += 1;
        let number = Request(self.numbered);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = key.map(|key| ("x-mbx-apikey".to_owned(), key.to_owned())).into_iter().collect();
        let request = HttpRequest {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers,
            body: body.into(),
            peer: "10.0.0.1".into(),
        };
        self.input(SimInput::Http(number, request));
        self.http_reply(number)
    }

    fn http_reply(&mut self, number: Request) -> Option<HttpReply> {
        let found =
            self.others.iter().position(|output| matches!(output, SimOutput::Reply(n, _) if *n == number))?;
        match self.others.remove(found) {
            SimOutput::Reply(_, reply) => Some(reply),
            _ => None,
        }
    }

    /// A signed REST request with all parameters in the query.
    pub(super) fn rest(&mut self, name: &str, method: &str, path: &str, params: &str) -> (u16, Value) {
        let joint = if params.is_empty() { "" } else { "&" };
        let query = format!("{params}{joint}timestamp={}", self.now.millis());
        let signature = percent_encode(&secret(name).sign(query.as_bytes()));
        let target = format!("{path}?{query}&signature={signature}");
        let reply = self.http(method, &target, Some(&format!("key-{name}")), "").unwrap();
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    /// A request of the control interface that must succeed.
    pub(super) fn control(&mut self, what: &str, body: &Value) -> Value {
        let reply = self.http("POST", &format!("/control/{what}"), None, &body.to_string()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    pub(super) fn price(&mut self, symbol: &str, price: &str) {
        self.control("price", &json!({"symbol": symbol, "price": price}));
    }

    /// Private events of a connection since the last look, without their envelopes.
    pub(super) fn events(&mut self, conn: Conn) -> Vec<Value> {
        let frames = self.values(conn);
        frames.into_iter().filter_map(|frame| frame.get("event").cloned()).collect()
    }

    /// Execution type and status of the order events of a connection since the last look.
    pub(super) fn executions(&mut self, conn: Conn) -> Vec<String> {
        let events = self.events(conn);
        let orders = events.iter().filter(|event| event["e"] == "executionReport");
        orders.map(|event| format!("{}/{}", text(&event["x"]), text(&event["X"]))).collect()
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Code of a websocket reply's error.
pub(super) fn code(reply: &Value) -> i64 {
    reply["error"]["code"].as_i64().unwrap_or(0)
}
