//! One gateway, one strategy and the production simulator under virtual time, with a network of known delays: what the
//! faults are is said to the simulator, through its control interface.

pub(crate) mod still;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use binance_sim::config::{AccountConfig, Config as SimConfig, Listed, USUAL_FEE, Wallets};
use binance_sim::{Conn, HttpReply, HttpRequest, Journal, Request, Sim, SimInput, SimOutput};
use binance_venue::spot::{self, SpotConfig};
use binance_wire::sign::SecretKey;
use fastrand::Rng;
use serde_json::Value;
use tradingsys::client::event::{Event, Market, OrderKey};
use tradingsys::client::machine::{Client, Config, Input as ClientInput, Output as ClientOutput};
use tradingsys::client::trading::Wish;
use tradingsys::gateway::Gateway;
use tradingsys::gateway::io::{Batch, GatewayConfig, Input, Output};
use tradingsys::gateway::stop::{Kept, Kill};
use tradingsys::ids::{Asset, ConnId, Install, LinkId, Symbol};
use tradingsys::journal::Record;
use tradingsys::limits::Limits;
use tradingsys::market::{Instructions, OrderType, Side, Tif};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{LinkAction, LinkInput};
use tradingsys::wire::event::OrderView;

/// A minute begins here, and so do the venue's windows.
const START: Time = Time::from_millis(1_795_000_020_000);
const TOKEN: &str = "token of the bench";
/// Between the strategy and the gateway.
const LOCAL: Span = Span::from_nanos(60_000);
/// How long the disk takes.
const DISK: Span = Span::from_millis(2);
/// How long after its stamp the exchange takes a request.
pub(crate) const RECV_WINDOW: Span = Span::from_secs(2);
pub(crate) const ACCOUNT: &str = "gateway";

/// One way between gateway and exchange takes from the first to the second, in milliseconds.
pub(crate) type Way = (i64, i64);

#[derive(Debug)]
enum Arrival {
    Dial(LinkId, Conn, HttpRequest),
    ToExchange(Conn, String),
    Pong(Conn, bytes::Bytes),
    ExchangeLost(Conn),
    Link(LinkId, Word),
    /// A request over HTTP reaches the exchange; its answer, or the lack of one, the gateway.
    Ask(Request, HttpRequest),
    Answer(LinkId, Option<HttpReply>),
    Committed(u64),
    Knock(ConnId),
    Knocked(ConnId),
    ToGateway(ConnId, String),
    ToStrategy(ConnId, bytes::Bytes),
}

#[derive(Debug)]
enum Word {
    Up,
    Alive,
    Down(&'static str),
    Text(bytes::Bytes),
}

#[derive(Debug)]
struct Wire {
    conn: Conn,
    /// Nothing overtakes: the last arrival on each way.
    out: Time,
    back: Time,
}

/// How one way to the exchange is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Road {
    /// As it should be.
    #[default]
    Open,
    /// Nobody gets through, and is told so at once.
    Refused,
    /// Nobody gets through, and nobody is told.
    Silent,
    /// What is sent is lost.
    Mute,
    /// What comes back is lost.
    Deaf,
    /// Something in between answers in the exchange's place.
    Broken,
}

impl Road {
    fn takes(self) -> bool {
        matches!(self, Self::Open | Self::Deaf)
    }

    fn gives(self) -> bool {
        matches!(self, Self::Open | Self::Mute)
    }
}

/// An order as the exchange's journal tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) status: String,
    pub(crate) filled: String,
}

/// See the module.
pub(crate) struct Bench {
    pub(crate) now: Time,
    seed: u64,
    rng: Rng,
    way: Way,
    sent: u64,
    mail: BTreeMap<(Time, u64), Arrival>,
    sim: Sim,
    pub(crate) gateway: Gateway,
    disk: VecDeque<Batch>,
    wires: BTreeMap<LinkId, Wire>,
    conns: u64,
    client: Client,
    conn: Option<ConnId>,
    /// The exchange cannot be reached.
    dark: bool,
    /// The two ways to it: by its websockets, and by requests.
    pub(crate) sockets: Road,
    pub(crate) requests_road: Road,
    asked: BTreeMap<Request, LinkId>,
    /// What has reached the gateway's process while it stands still.
    still: Option<VecDeque<Arrival>>,
    /// The disk takes nothing.
    pub(crate) disk_full: bool,
    journal: Vec<Record>,
    /// What the gateway gave to be kept beside it.
    pub(crate) kept: Kept,
    /// When each order was open at the exchange, from and to.
    pub(crate) lives: BTreeMap<String, (Time, Option<Time>)>,
    /// What the strategy was told of its orders, and when.
    pub(crate) told: Vec<(Time, OrderView)>,
    pub(crate) notices: Vec<(Time, String)>,
    pub(crate) market: Vec<(Time, Market)>,
    /// By the client id each order was placed with.
    pub(crate) truth: BTreeMap<String, Truth>,
    names: BTreeMap<(String, u64), String>,
    /// Trades of the account by the exchange's journal, and by the gateway's.
    pub(crate) trades: BTreeSet<(String, u64)>,
    pub(crate) booked: Vec<(String, u64)>,
    /// Replies that say that too much was asked.
    pub(crate) over_limit: u32,
    /// Questions that reached the exchange, by method.
    pub(crate) requests: BTreeMap<String, u32>,
    pub(crate) links_up: Vec<Time>,
    pub(crate) logs: Vec<(Time, String)>,
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn account() -> AccountConfig {
    AccountConfig {
        name: ACCOUNT.to_owned(),
        api_key: "bench".to_owned(),
        checker: key().checker(),
        may_trade: true,
        balances: vec![(Asset::new("USDT"), Cash::whole(100_000))],
        maker_fee: USUAL_FEE,
        taker_fee: USUAL_FEE,
        pays_in_bnb: false,
        wallets: Wallets::default(),
    }
}

fn exchange(seed: u64, symbols: &[Symbol], ticks_per_second: u32) -> Sim {
    let listed = Listed { spot: Some(symbols.iter().cloned().collect()), futures: Some(BTreeSet::new()) };
    let accounts = vec![account()];
    let config = SimConfig { seed, accounts, ticks_per_second, listed, ..SimConfig::default() };
    Sim::new(config, START).expect("the simulator's own listings are sound")
}

fn gateway(seed: u64, kept: Kept, journal: &[Record], now: Time, out: &mut Vec<Output>) -> Gateway {
    let mut venue = SpotConfig::new("ws://sim/ws-api/v3", "ws://sim", "bench", key(), seed);
    venue.access.recv_window = RECV_WINDOW;
    "http://sim".clone_into(&mut venue.access.rest);
    let (feed, entry) = spot::ports(&venue);
    let config = GatewayConfig {
        market: "spot",
        product: "bench".to_owned(),
        install: Install::from_hash(seed),
        boot_id: "one boot".to_owned(),
        token: TOKEN.to_owned(),
        session_tokens: Default::default(),
        operator_token: None,
        seed,
        recovery_lag: Span::from_secs(2),
        sweep_every: Span::from_secs(60),
        retention: Span::from_secs(3_600),
        limits: Limits::default(),
        margin: false,
        trust_books: false,
        journal_rebuilt: None,
        noted_epoch: None,
        lost_positions: Vec::new(),
        kept,
        crashes: Default::default(),
        clear_advice: String::new(),
    };
    let (feed, entry) = (Box::new(feed), Box::new(entry));
    Gateway::new(config, journal, Vec::new(), Vec::new(), feed, entry, now, out).expect("its own journal")
}

impl Bench {
    /// All of it at rest, one symbol after another in use.
    pub(crate) fn new(seed: u64, symbols: &[Symbol], way: Way) -> Self {
        Self::of(seed, symbols, way, 0)
    }

    /// The same at an exchange whose market changes so often in a second.
    pub(crate) fn of(seed: u64, symbols: &[Symbol], way: Way, ticks_per_second: u32) -> Self {
        let mut out = Vec::new();
        let gateway = gateway(seed, Kept::default(), &[], START, &mut out);
        let config = Config {
            session_id: 1,
            name: "bench".to_owned(),
            trading: true,
            take_over: true,
            cursor: None,
            autocommit: true,
            declared: Default::default(),
            seed,
        };
        let mut bench = Self {
            now: START,
            seed,
            rng: Rng::with_seed(seed),
            way,
            sent: 0,
            mail: BTreeMap::new(),
            sim: exchange(seed, symbols, ticks_per_second),
            gateway,
            disk: VecDeque::new(),
            wires: BTreeMap::new(),
            conns: 0,
            client: Client::new(config),
            conn: None,
            dark: false,
            sockets: Road::Open,
            requests_road: Road::Open,
            asked: BTreeMap::new(),
            still: None,
            disk_full: false,
            journal: Vec::new(),
            kept: Kept::default(),
            lives: BTreeMap::new(),
            told: Vec::new(),
            notices: Vec::new(),
            market: Vec::new(),
            truth: BTreeMap::new(),
            names: BTreeMap::new(),
            trades: BTreeSet::new(),
            booked: Vec::new(),
            over_limit: 0,
            requests: BTreeMap::new(),
            links_up: Vec::new(),
            logs: Vec::new(),
        };
        bench.perform_gateway(out);
        let mut out = Vec::new();
        bench.client.handle(START, ClientInput::Start, &mut out);
        bench.perform_client(out);
        bench
    }

    fn say(&mut self, at: Time, arrival: Arrival) {
        self.sent += 1;
        self.mail.insert((at, self.sent), arrival);
    }

    fn lag(&mut self) -> Span {
        Span::from_nanos(self.rng.i64(self.way.0 * 1_000_000..=self.way.1 * 1_000_000))
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Span) {
        self.run_until(self.now + span, |_| false);
    }

    /// Lets time pass until something holds, or the time has come; does it hold?
    pub(crate) fn run_until(&mut self, end: Time, holds: impl Fn(&Self) -> bool) -> bool {
        while !holds(self) {
            let timers = [self.sim.deadline(), self.gateway_due(), self.client.deadline()];
            let timer = timers.into_iter().fold(None, earliest);
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let Some(next) = earliest(timer, mail).filter(|at| *at <= end) else {
                self.now = end;
                return holds(self);
            };
            self.now = self.now.max(next);
            if mail.is_some_and(|at| at <= self.now) {
                let (_, arrival) = self.mail.pop_first().expect("its key was just seen");
                self.arrive(arrival);
            } else {
                self.timers();
            }
        }
        true
    }

    fn timers(&mut self) {
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.sim.deadline()) {
            let mut out = Vec::new();
            self.sim.timer(now, &mut out);
            self.perform_exchange(out);
        }
        if due(self.gateway_due()) {
            self.gateway_input(Input::Timer);
        }
        if due(self.client.deadline()) {
            self.client_input(ClientInput::Timer);
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Some(arrival) = self.heard(arrival) else { return };
        match arrival {
            Arrival::Dial(link, conn, request) => self.dial(link, conn, request),
            Arrival::ToExchange(conn, text) => {
                let frame: Value = serde_json::from_str(&text).expect("the gateway sends JSON");
                let method = frame["method"].as_str().unwrap_or_default().to_owned();
                *self.requests.entry(method).or_default() += 1;
                self.exchange_input(SimInput::Text(conn, text));
            }
            Arrival::Pong(conn, payload) => self.exchange_input(SimInput::Pong(conn, payload)),
            Arrival::ExchangeLost(conn) => self.exchange_input(SimInput::Closed(conn)),
            Arrival::Link(link, word) => self.link(link, &word),
            Arrival::Committed(batch) => {
                let done = self.disk.pop_front().expect("batches commit in order");
                self.journal.extend(done.records.iter().cloned());
                for record in &done.records {
                    if let Record::Fill(fill) = record {
                        self.booked.push((fill.symbol.upper(), fill.trade_id));
                    }
                }
                self.gateway_input(Input::Committed(batch));
            }
            Arrival::Knock(conn) => {
                self.gateway_input(Input::ClientOpened(conn));
                self.say(self.now + LOCAL, Arrival::Knocked(conn));
            }
            Arrival::Knocked(conn) if self.conn == Some(conn) => {
                let nonce = format!("{:016x}{:016x}", self.rng.u64(..), self.rng.u64(..));
                self.client_input(ClientInput::Opened { token: TOKEN, nonce: &nonce });
            }
            Arrival::ToGateway(conn, text) => self.gateway_input(Input::ClientFrame(conn, &text)),
            Arrival::ToStrategy(conn, frame) if self.conn == Some(conn) => {
                let text = std::str::from_utf8(&frame).expect("the gateway sends text").to_owned();
                self.client_input(ClientInput::Frame(&text));
            }
            Arrival::Ask(request, http) => self.exchange_input(SimInput::Http(request, http)),
            Arrival::Answer(link, reply) => self.answered(link, reply),
            Arrival::Knocked(_) | Arrival::ToStrategy(..) => {}
        }
    }

    fn answered(&mut self, link: LinkId, reply: Option<HttpReply>) {
        let Some(HttpReply { status, headers, body }) = reply else {
            return self.gateway_input(Input::Link(link, LinkInput::Down("the connection broke")));
        };
        let headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let input = LinkInput::Response { status, headers: &headers, body: &body };
        self.gateway_input(Input::Link(link, input));
    }

    fn ask(&mut self, link: LinkId, method: &str, url: &str, headers: Vec<(&'static str, String)>) {
        self.conns += 1;
        let request = Request(self.conns);
        let (there, back) = (self.now + self.lag(), self.now + self.lag() + self.lag());
        match self.requests_road {
            Road::Refused => return self.say(there, Arrival::Answer(link, None)),
            Road::Silent | Road::Mute => return,
            Road::Broken => {
                let body = "<html>bad gateway</html>".to_owned();
                let reply = HttpReply { status: 502, headers: Vec::new(), body };
                return self.say(back, Arrival::Answer(link, Some(reply)));
            }
            Road::Open | Road::Deaf => {}
        }
        self.asked.insert(request, link);
        let target = url.strip_prefix("http://sim").unwrap_or(url);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let http = HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: String::new(),
            peer: "gateway".to_owned(),
        };
        self.say(there, Arrival::Ask(request, http));
    }

    /// Pulls the kill switch.
    pub(crate) fn kill(&mut self) {
        let kill = Kill { by: "the bench".to_owned(), ..Kill::default() };
        self.gateway_input(Input::Kill(kill));
    }

    /// The gateway dies, and another starts from its journal. What it was told on the way is lost with it.
    pub(crate) fn restart(&mut self) {
        self.mail.retain(|_, arrival| {
            matches!(arrival, Arrival::ToExchange(..) | Arrival::ExchangeLost(_) | Arrival::Ask(..))
        });
        for wire in std::mem::take(&mut self.wires).into_values() {
            self.say(wire.out.max(self.now), Arrival::ExchangeLost(wire.conn));
        }
        self.asked.clear();
        self.disk.clear();
        let mut out = Vec::new();
        self.gateway = gateway(self.seed, self.kept.clone(), &self.journal, self.now, &mut out);
        self.perform_gateway(out);
        self.conn = None;
        self.client_input(ClientInput::Lost(None, "the gateway died"));
    }

    // === the exchange

    fn exchange_input(&mut self, input: SimInput) {
        let mut out = Vec::new();
        self.sim.handle(self.now, input, &mut out);
        self.perform_exchange(out);
    }

    /// A request of the simulator's control interface.
    pub(crate) fn control(&mut self, method: &str, what: &str, body: &Value) {
        self.conns += 1;
        let http = HttpRequest {
            method: method.to_owned(),
            path: format!("/control/{what}"),
            body: if body.is_null() { String::new() } else { body.to_string() },
            peer: "operator".to_owned(),
            ..HttpRequest::default()
        };
        let mut out = Vec::new();
        self.sim.handle(self.now, SimInput::Http(Request(self.conns), http), &mut out);
        for output in &out {
            if let SimOutput::Reply(_, reply) = output {
                assert_eq!(reply.status, 200, "seed {}: {what} {body}: {}", self.seed, reply.body);
            }
        }
        self.perform_exchange(out);
    }

    /// Faults from now on.
    pub(crate) fn faults(&mut self, rules: &Value) {
        self.control("POST", "faults", rules);
    }

    /// No more faults.
    pub(crate) fn calm(&mut self) {
        self.control("DELETE", "faults", &Value::Null);
    }

    /// All links are cut, and nobody gets through until the dark is over.
    pub(crate) fn dark(&mut self, dark: bool) {
        self.dark = dark;
        let links: Vec<LinkId> = if dark { self.wires.keys().copied().collect() } else { Vec::new() };
        for link in links {
            self.cut(link);
        }
    }

    /// All websockets are cut.
    pub(crate) fn cut_all(&mut self) {
        let links: Vec<LinkId> = self.wires.keys().copied().collect();
        links.into_iter().for_each(|link| self.cut(link));
    }

    fn cut(&mut self, link: LinkId) {
        let Some(wire) = self.wires.get(&link) else { return };
        let (conn, out, back) = (wire.conn, wire.out.max(self.now), wire.back.max(self.now));
        self.say(out, Arrival::ExchangeLost(conn));
        self.say(back, Arrival::Link(link, Word::Down("reset")));
    }

    fn dial(&mut self, link: LinkId, conn: Conn, request: HttpRequest) {
        if self.dark || self.sockets == Road::Refused {
            return self.say(self.now, Arrival::Link(link, Word::Down("unreachable")));
        }
        if !self.sockets.takes() {
            return;
        }
        let mut out = Vec::new();
        self.sim.handle(self.now, SimInput::Opened { conn, request }, &mut out);
        let refused = out.iter().any(|output| matches!(output, SimOutput::Refuse(..)));
        let at = self.now + self.lag();
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.back = at;
        }
        self.say(at, Arrival::Link(link, if refused { Word::Down("refused") } else { Word::Up }));
        self.perform_exchange(out);
    }

    fn perform_exchange(&mut self, out: Vec<SimOutput>) {
        for output in out {
            match output {
                SimOutput::Append(journal, line) => self.witness(journal, &line),
                SimOutput::Send(conn, frame) => self.to_gateway(conn, frame),
                SimOutput::Reply(request, reply) => self.replied(request, Some(reply)),
                SimOutput::Drop(request) => self.replied(request, None),
                SimOutput::Ping(conn, payload) => {
                    if let Some(link) = self.link_of(conn).filter(|_| self.sockets == Road::Open) {
                        let at = self.now + self.lag();
                        self.say(at, Arrival::Link(link, Word::Alive));
                        self.answer_ping(at, conn, payload);
                    }
                }
                SimOutput::Close(conn, ..) | SimOutput::Abort(conn) => {
                    self.exchange_input(SimInput::Closed(conn));
                    if let Some(link) = self.link_of(conn) {
                        let at = (self.now + self.lag()).max(self.wires[&link].back);
                        self.say(at, Arrival::Link(link, Word::Down("cut by the exchange")));
                    }
                }
                _ => {}
            }
        }
    }

    fn replied(&mut self, request: Request, reply: Option<HttpReply>) {
        let Some(link) = self.asked.remove(&request) else { return };
        if self.requests_road.gives() {
            let at = self.now + self.lag();
            self.say(at, Arrival::Answer(link, reply));
        }
    }

    fn witness(&mut self, journal: Journal, line: &str) {
        let line: Value = serde_json::from_str(line).expect("journals are JSON");
        if line["account"] != ACCOUNT {
            return;
        }
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| line[name].as_u64().expect("a number");
        match journal {
            Journal::Orders => {
                let at = (text("symbol"), number("order_id"));
                let name = self.names.entry(at).or_insert_with(|| text("client_order_id")).clone();
                let status = text("status");
                let open = matches!(status.as_str(), "NEW" | "PARTIALLY_FILLED");
                let life = self.lives.entry(name.clone()).or_insert((self.now, None));
                life.1 = if open { None } else { life.1.or(Some(self.now)) };
                self.truth.insert(name, Truth { status, filled: text("filled") });
            }
            Journal::Trades => {
                self.trades.insert((text("symbol"), number("trade_id")));
            }
            _ => {}
        }
    }

    fn link_of(&self, conn: Conn) -> Option<LinkId> {
        self.wires.iter().find(|(_, wire)| wire.conn == conn).map(|(link, _)| *link)
    }

    #[allow(clippy::wrong_self_convention, reason = "a direction, not a conversion")]
    fn to_gateway(&mut self, conn: Conn, frame: bytes::Bytes) {
        let text = std::str::from_utf8(&frame).expect("the simulator sends text");
        if ["\"status\":429", "\"status\":418"].iter().any(|word| text.contains(word)) {
            self.over_limit += 1;
        }
        let Some(link) = self.link_of(conn).filter(|_| self.sockets.gives()) else { return };
        let lag = self.lag();
        let Some(wire) = self.wires.get_mut(&link) else { return };
        wire.back = (self.now + lag).max(wire.back);
        let at = wire.back;
        self.say(at, Arrival::Link(link, Word::Text(frame)));
    }

    // === the gateway

    fn link(&mut self, link: LinkId, word: &Word) {
        let input = match word {
            Word::Up => {
                self.links_up.push(self.now);
                LinkInput::Up
            }
            Word::Alive => LinkInput::Alive,
            Word::Down(reason) => {
                if self.wires.remove(&link).is_none() {
                    return;
                }
                LinkInput::Down(reason)
            }
            Word::Text(frame) => {
                LinkInput::Text(std::str::from_utf8(frame).expect("the simulator sends text"))
            }
        };
        self.gateway_input(Input::Link(link, input));
    }

    fn gateway_input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.gateway.handle(self.now, input, &mut out);
        self.perform_gateway(out);
    }

    fn perform_gateway(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Link(action) => self.act(action),
                Output::Ready(conn) => self.read(conn),
                Output::Keep(number, kept) => {
                    // A file of its own: a full disk has room for its name.
                    self.kept = kept;
                    let result = if self.disk_full { Err("no space left".to_owned()) } else { Ok(()) };
                    self.gateway_input(Input::Kept(number, result));
                }
                Output::Commit(batch) if self.disk_full => {
                    drop(batch);
                    self.gateway_input(Input::StoreFailed("no space left".to_owned()));
                }
                Output::Commit(batch) => {
                    self.say(self.now + DISK, Arrival::Committed(batch.id));
                    self.disk.push_back(batch);
                }
                Output::Log(log) => self.logs.push((self.now, format!("{} {}", log.event, log.fields))),
                Output::Project(_) => {}
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
    }

    fn read(&mut self, conn: ConnId) {
        while let Some(frame) = self.gateway.pull(self.now, conn) {
            self.say(self.now + LOCAL, Arrival::ToStrategy(conn, frame));
        }
    }

    fn act(&mut self, action: LinkAction) {
        let lag = self.lag();
        match action {
            LinkAction::Open { link, url, .. } => {
                self.conns += 1;
                let (conn, at) = (Conn(self.conns), self.now + lag);
                let target = url.strip_prefix("ws://sim").unwrap_or(&url);
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let request = HttpRequest {
                    method: "GET".to_owned(),
                    path: path.to_owned(),
                    query: query.to_owned(),
                    peer: "gateway".to_owned(),
                    ..HttpRequest::default()
                };
                self.wires.insert(link, Wire { conn, out: at, back: at });
                self.say(at, Arrival::Dial(link, conn, request));
            }
            LinkAction::Send { link, text } => {
                let takes = self.sockets.takes();
                let Some(wire) = self.wires.get_mut(&link).filter(|_| takes) else { return };
                wire.out = (self.now + lag).max(wire.out);
                let text = String::from_utf8(text.to_vec()).expect("the gateway sends text");
                let (at, conn) = (wire.out, wire.conn);
                self.say(at, Arrival::ToExchange(conn, text));
            }
            LinkAction::Close { link } => self.cut(link),
            LinkAction::Request { link, method, url, headers, .. } => self.ask(link, method, &url, headers),
        }
    }

    // === the strategy

    fn client_input(&mut self, input: ClientInput<'_>) {
        let mut out = Vec::new();
        self.client.handle(self.now, input, &mut out);
        while let Some((_, market)) = self.client.next_market() {
            self.market.push((self.now, market));
        }
        while let Some(placed) = self.client.next_private() {
            match &placed.event {
                Event::Order(change) => self.told.push((self.now, change.order.clone())),
                Event::Notice { code, .. } => self.notices.push((self.now, code.clone())),
                _ => {}
            }
            self.client.handled(&placed);
        }
        self.client.acknowledge(&mut out);
        self.perform_client(out);
    }

    fn perform_client(&mut self, out: Vec<ClientOutput>) {
        let at = self.now + LOCAL;
        for output in out {
            match output {
                ClientOutput::Connect => {
                    self.conns += 1;
                    let conn = ConnId(self.conns);
                    self.conn = Some(conn);
                    self.say(at, Arrival::Knock(conn));
                }
                ClientOutput::Send(text) => {
                    let conn = self.conn.expect("it is connected");
                    self.say(at, Arrival::ToGateway(conn, text));
                }
                ClientOutput::Disconnect(code, reason) => panic!("seed {}: {code} {reason}", self.seed),
            }
        }
    }

    /// May orders be sent?
    pub(crate) fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    /// Sends an order; its client id.
    pub(crate) fn order(&mut self, symbol: &Symbol, side: Side, price: Option<&str>, qty: i64) -> String {
        let order_type = if price.is_some() { OrderType::Limit } else { OrderType::Market };
        let wish = Wish {
            symbol: symbol.clone(),
            side,
            order_type,
            tif: price.map(|_| Tif::Gtc),
            price: price.map(|text| text.parse::<Price>().expect("a price")),
            stop_price: None,
            qty: Some(Qty::whole(qty)),
            quote_amount: None,
            instructions: Instructions::default(),
        };
        let mut out = Vec::new();
        let sent: Result<OrderKey, _> = self.client.order(self.now, wish, &mut out);
        let key = sent.unwrap_or_else(|error| panic!("seed {}: {error:?}", self.seed));
        let id = self.client.orders().get(key).expect("it was just made").order.order_id.to_string();
        self.perform_client(out);
        id
    }

    /// What the strategy was told last of an order, and when for the first time in this state.
    pub(crate) fn last_told(&self, id: &str) -> Option<(Time, &OrderView)> {
        let of_it: Vec<_> = self.told.iter().filter(|(_, order)| order.order_id.as_str() == id).collect();
        let (_, last) = of_it.last()?;
        let same = |order: &OrderView| (order.state, order.filled) == (last.state, last.filled);
        let since = of_it.iter().rev().take_while(|(_, order)| same(order)).last()?;
        Some((since.0, last))
    }

    /// Brings a symbol into use: the first order of it only has its past read.
    pub(crate) fn bring_into_use(&mut self, symbol: &Symbol) {
        for _ in 0..120 {
            assert!(
                self.run_until(self.now + Span::from_secs(30), Self::is_ready),
                "seed {}: never ready",
                self.seed
            );
            let id = self.order(symbol, Side::Buy, Some("0.1"), 100);
            self.pass(Span::from_millis(500));
            match self.last_told(&id).map(|(_, order)| order.state.as_str()) {
                Some("REJECTED") => self.pass(Span::from_secs(1)),
                Some("NEW") => return,
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
        panic!("seed {}: {symbol} never came into use", self.seed);
    }
}
