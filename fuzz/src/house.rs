//! The production simulator, gateway and client in one place under virtual time, without faults and without delay: what
//! they say to each other is where the corpus begins.

use std::collections::{BTreeSet, VecDeque};

use binance_sim::config::{
    AccountConfig, Config as SimConfig, Limits as SimLimits, ReplyOrder, USUAL_FEE, Wallets,
};
use binance_sim::{Conn, HttpRequest, Request, Sim, SimInput, SimOutput};
use binance_wire::sign::SecretKey;
use bytes::Bytes;
use tradingsys::client::machine::{
    Client, Config as ClientConfig, Input as ClientInput, Output as ClientOutput,
};
use tradingsys::client::trading::Wish;
use tradingsys::gateway::Gateway;
use tradingsys::gateway::io::{GatewayConfig, Input, Output};
use tradingsys::ids::{Asset, ConnId, Install, LinkId, Symbol};
use tradingsys::journal::Record;
use tradingsys::limits::Limits;
use tradingsys::market::{Channel, Instructions, Interval, OrderType, Side, Stream, Tif};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{LinkAction, LinkInput};
use tradingsys::wire::request::{Call, History, Nothing, Symbols};
use tradingsys_world::product::Product;

use crate::script::Tape;

/// When everything begins.
pub const START: Time = Time::from_millis(1_795_000_000_000);
/// The client's connection.
pub const CONN: ConnId = ConnId(1);
/// The client's nonce.
pub const NONCE: &str = "00112233445566778899aabbccddeeff";
/// The token of the door.
pub const TOKEN: &str = "token of the house";
/// The only key. The world's ports are made for it.
const APIKEY: &str = "world";

/// The key of the account.
pub fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

/// The exchange.
pub fn sim(product: Product) -> Sim {
    let account = AccountConfig {
        name: "gateway".to_owned(),
        api_key: APIKEY.to_owned(),
        checker: key().checker(),
        may_trade: true,
        balances: vec![
            (Asset::new("USDT"), Cash::whole(100_000)),
            (Asset::new("DOGE"), Cash::whole(500_000)),
        ],
        maker_fee: USUAL_FEE,
        taker_fee: USUAL_FEE,
        pays_in_bnb: false,
        wallets: Wallets::default(),
    };
    let config = SimConfig {
        seed: 7,
        accounts: vec![account],
        ticks_per_second: 5,
        listed: product.listed(),
        limits: SimLimits::default(),
        reply_order: ReplyOrder::Random,
        ..SimConfig::default()
    };
    Sim::new(config, START).expect("the simulator's own listings are sound")
}

/// The gateway on a journal.
pub fn gateway(product: Product, records: &[Record], out: &mut Vec<Output>) -> Option<Gateway> {
    let (feed, entry) = product.ports(key(), 7, None);
    let config = GatewayConfig {
        market: product.market(),
        product: "house".to_owned(),
        install: Install::from_hash(7),
        boot_id: "boot".to_owned(),
        token: TOKEN.to_owned(),
        operator_token: Some(TOKEN.to_owned()),
        session_tokens: Default::default(),
        seed: 7,
        recovery_lag: Span::from_millis(200),
        sweep_every: Span::from_secs(3),
        retention: Span::from_secs(3_600),
        limits: Limits::default(),
        margin: product == Product::Margin,
        trust_books: false,
        journal_rebuilt: None,
        noted_epoch: None,
        lost_positions: Vec::new(),
        kept: Default::default(),
        crashes: Default::default(),
        clear_advice: String::new(),
    };
    Gateway::new(config, records, Vec::new(), Vec::new(), feed, entry, START, out).ok()
}

/// The strategy's half.
pub fn client() -> Client {
    Client::new(ClientConfig {
        session_id: 1,
        name: "house".to_owned(),
        trading: true,
        take_over: true,
        cursor: None,
        autocommit: true,
        declared: Default::default(),
        seed: 7,
    })
}

fn wish(side: Side, order_type: OrderType, price: Option<&str>, stop: Option<&str>) -> Wish {
    let number = |text: &str| text.parse().expect("written here");
    Wish {
        symbol: Symbol::new("dogeusdt"),
        side,
        order_type,
        tif: price.map(|_| Tif::Gtc),
        price: price.map(number),
        stop_price: stop.map(number),
        qty: Some(Qty::whole(100)),
        quote_amount: None,
        instructions: Instructions::default(),
    }
}

/// Deeds of a strategy, by number.
pub const DEEDS: u32 = 22;

/// A strategy does something; what it may not is not done.
pub fn act(client: &mut Client, now: Time, deed: u32, out: &mut Vec<ClientOutput>) {
    let channels = [
        Channel::Depth,
        Channel::DepthFast,
        Channel::Bbo,
        Channel::Trade,
        Channel::Kline(Interval::ALL[0]),
        Channel::Book,
        Channel::Mark,
    ];
    let stream = |channel: &Channel| Stream { symbol: Symbol::new("dogeusdt"), channel: *channel };
    let open = client.orders().open().next().map(|(key, _)| key);
    let history = History { symbol: Symbol::new("dogeusdt"), interval: "1m".to_owned(), count: 5 };
    let price = |text: &str| text.parse::<Price>().ok();
    // Whether it may is for the machine to say.
    let _ = match deed {
        0..=6 => client.subscribe(stream(&channels[deed as usize]), out).map(|_| ()),
        7 => client.ask(Call::Products(Symbols::default()), out).map(|_| ()),
        8 => client.ask(Call::Positions(Symbols::default()), out).map(|_| ()),
        9 => client.ask(Call::Orders(Symbols::default()), out).map(|_| ()),
        10 => client.ask(Call::Balances(Nothing {}), out).map(|_| ()),
        11 => client.ask(Call::History(history), out).map(|_| ()),
        12 => client.ask(Call::Time(Nothing {}), out).map(|_| ()),
        13 => client.order(now, wish(Side::Buy, OrderType::Limit, Some("0.15"), None), out).map(|_| ()),
        14 => client.order(now, wish(Side::Buy, OrderType::Market, None, None), out).map(|_| ()),
        15 => client.order(now, wish(Side::Sell, OrderType::Market, None, None), out).map(|_| ()),
        16 => client.order(now, wish(Side::Sell, OrderType::StopLoss, None, Some("0.1")), out).map(|_| ()),
        17 => client
            .order(now, wish(Side::Sell, OrderType::StopLossLimit, Some("0.1"), Some("0.11")), out)
            .map(|_| ()),
        18 => {
            open.map_or(Ok(()), |key| client.amend(key, Some(Qty::whole(60)), price("0.14"), out).map(|_| ()))
        }
        19 => open.map_or(Ok(()), |key| client.kill(key, out).map(|_| ())),
        20 => client.cancel_all(None, out),
        _ => {
            client.unsubscribe(&stream(&channels[0]), out);
            Ok(())
        }
    };
}

/// A strategy takes all there is for it.
pub fn read_all(client: &mut Client, out: &mut Vec<ClientOutput>) {
    while let Some(placed) = client.next_private() {
        client.handled(&placed);
    }
    while client.next_market().is_some() {}
    client.acknowledge(out);
}

/// What they said to each other.
#[derive(Debug, Default)]
pub struct Heard {
    /// Frames of the exchange.
    pub frames: Vec<String>,
    /// Bodies of its HTTP answers.
    pub bodies: Vec<String>,
    /// Frames of the gateway to its client.
    pub local: Vec<String>,
    /// Frames of the client.
    pub calls: Vec<String>,
    /// What happened to the gateway, to the client, to the exchange: scripts.
    pub gateway: Tape,
    /// See there.
    pub client: Tape,
    /// See there.
    pub sim: Tape,
    /// Rows of the journal.
    pub records: Vec<String>,
    /// Lines of the exchange's files.
    pub journal: Vec<(binance_sim::Journal, String)>,
}

enum Mail {
    Sim(SimInput),
    Up(LinkId),
    Down(LinkId),
    Alive(LinkId),
    Text(LinkId, Bytes),
    Response(LinkId, binance_sim::HttpReply),
    Knock,
    FromClient(String),
    Committed(u64),
    Kept(u64),
    ToClient(Bytes),
}

struct House {
    now: Time,
    sim: Sim,
    gateway: Gateway,
    client: Client,
    open: BTreeSet<u32>,
    mail: VecDeque<Mail>,
    heard: Heard,
}

/// A strategy's short life on that market, from its first connection to its last cancel.
pub fn play(product: Product) -> Heard {
    let mut out = Vec::new();
    let gateway = gateway(product, &[], &mut out).expect("the journal is empty");
    let mut house = House {
        now: START,
        sim: sim(product),
        gateway,
        client: client(),
        open: BTreeSet::new(),
        mail: VecDeque::new(),
        heard: Heard::default(),
    };
    if product == Product::Margin {
        house.operate("margin/transfer", r#"{"account":"gateway","asset":"USDT","amount":"10000"}"#);
        house.operate("margin/interest", r#"{"asset":"USDT","rate":"0.00012345","interval_ms":4000}"#);
    }
    house.perform_gateway(out);
    let mut out = Vec::new();
    house.client.handle(START, ClientInput::Start, &mut out);
    house.perform_client(out);
    for _ in 0..300 {
        if house.client.is_ready() {
            break;
        }
        house.pass(Span::from_millis(100));
    }
    if product == Product::Usdt {
        house.operate("futures/funding", r#"{"symbol":"DOGEUSDT","rate":"0.00012345","interval_ms":5000}"#);
    }
    // The first use of a symbol has its past read first: so the deeds come twice.
    for deed in (0..DEEDS).chain(13..20).chain(20..DEEDS) {
        house.heard.client.note(house.now, 'a', deed, "");
        let mut out = Vec::new();
        act(&mut house.client, house.now, deed, &mut out);
        house.perform_client(out);
        house.pass(Span::from_millis(if deed == 6 { 2_500 } else { 250 }));
    }
    house.pass(Span::from_secs(4));
    house.heard
}

impl House {
    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            let timers = [self.gateway.deadline(), self.client.deadline(), self.sim.deadline()];
            let next = timers.into_iter().fold(None, earliest);
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let due = |at: Option<Time>| at.is_some_and(|at| at <= self.now);
            if due(self.gateway.deadline()) {
                let mut out = Vec::new();
                self.gateway.handle(self.now, Input::Timer, &mut out);
                self.perform_gateway(out);
            } else if due(self.client.deadline()) {
                let mut out = Vec::new();
                self.client.handle(self.now, ClientInput::Timer, &mut out);
                self.perform_client(out);
            } else {
                let mut out = Vec::new();
                self.sim.timer(self.now, &mut out);
                self.perform_sim(out);
            }
        }
        self.now = end;
    }

    fn operate(&mut self, what: &str, body: &str) {
        let http = HttpRequest {
            method: "POST".to_owned(),
            path: format!("/control/{what}"),
            body: body.to_owned(),
            peer: "operator".to_owned(),
            ..HttpRequest::default()
        };
        self.mail.push_back(Mail::Sim(SimInput::Http(Request(0), http)));
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some(mail) = self.mail.pop_front() {
            match mail {
                Mail::Sim(input) => self.tell_sim(input),
                Mail::Knock => {
                    self.heard.gateway.note(self.now, 'o', 1, "");
                    self.tell_gateway(Input::ClientOpened(CONN));
                    self.heard.client.note(self.now, 'K', 1, "");
                    self.tell_client(ClientInput::Opened { token: TOKEN, nonce: NONCE });
                }
                Mail::Up(link) => {
                    self.heard.gateway.note(self.now, 'U', link.0, "");
                    self.tell_gateway(Input::Link(link, LinkInput::Up));
                }
                Mail::Down(link) => {
                    self.heard.gateway.note(self.now, 'D', link.0, "");
                    self.tell_gateway(Input::Link(link, LinkInput::Down("closed")));
                }
                Mail::Alive(link) => {
                    self.heard.gateway.note(self.now, 'A', link.0, "");
                    self.tell_gateway(Input::Link(link, LinkInput::Alive));
                }
                Mail::Text(link, frame) => {
                    let text = String::from_utf8_lossy(&frame).into_owned();
                    self.heard.gateway.note(self.now, 'T', link.0, &text);
                    self.heard.frames.push(text.clone());
                    self.tell_gateway(Input::Link(link, LinkInput::Text(&text)));
                }
                Mail::Response(link, reply) => {
                    let fields: Vec<(String, String)> = reply
                        .headers
                        .iter()
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                        .collect();
                    let line = response_line(reply.status, &fields, &reply.body);
                    self.heard.gateway.note(self.now, 'H', link.0, &line);
                    self.heard.bodies.push(reply.body.clone());
                    let input =
                        LinkInput::Response { status: reply.status, headers: &fields, body: &reply.body };
                    self.tell_gateway(Input::Link(link, input));
                }
                Mail::FromClient(text) => {
                    self.heard.gateway.note(self.now, 'f', 1, &text);
                    self.heard.calls.push(text.clone());
                    self.tell_gateway(Input::ClientFrame(CONN, &text));
                }
                Mail::Committed(batch) => self.tell_gateway(Input::Committed(batch)),
                Mail::Kept(number) => self.tell_gateway(Input::Kept(number, Ok(()))),
                Mail::ToClient(frame) => {
                    let text = String::from_utf8_lossy(&frame).into_owned();
                    self.heard.client.note(self.now, 'F', 1, &text);
                    self.heard.local.push(text.clone());
                    self.tell_client(ClientInput::Frame(&text));
                }
            }
        }
    }

    fn tell_gateway(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.gateway.handle(self.now, input, &mut out);
        self.post_gateway(out);
    }

    fn tell_client(&mut self, input: ClientInput<'_>) {
        let mut out = Vec::new();
        self.client.handle(self.now, input, &mut out);
        self.client.begin();
        read_all(&mut self.client, &mut out);
        self.post_client(out);
    }

    fn tell_sim(&mut self, input: SimInput) {
        note_sim(&mut self.heard.sim, self.now, &input);
        let opened = if let SimInput::Opened { conn, .. } = &input { Some(*conn) } else { None };
        let mut out = Vec::new();
        self.sim.handle(self.now, input, &mut out);
        if let Some(conn) = opened {
            let refused = out.iter().any(|output| matches!(output, SimOutput::Refuse(..)));
            let link = link_of(conn);
            self.mail.push_back(if refused { Mail::Down(link) } else { Mail::Up(link) });
        }
        self.post_sim(out);
    }

    fn perform_gateway(&mut self, out: Vec<Output>) {
        self.post_gateway(out);
        self.deliver();
    }

    fn perform_client(&mut self, out: Vec<ClientOutput>) {
        self.post_client(out);
        self.deliver();
    }

    fn perform_sim(&mut self, out: Vec<SimOutput>) {
        self.post_sim(out);
        self.deliver();
    }

    fn post_gateway(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Link(LinkAction::Open { link, url, .. }) => {
                    self.open.insert(link.0);
                    let target = url.strip_prefix("ws://sim").unwrap_or(&url).to_owned();
                    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
                    let request = HttpRequest {
                        method: "GET".to_owned(),
                        path: path.to_owned(),
                        query: query.to_owned(),
                        peer: "gateway".to_owned(),
                        ..HttpRequest::default()
                    };
                    let conn = Conn(u64::from(link.0));
                    self.mail.push_back(Mail::Sim(SimInput::Opened { conn, request }));
                }
                Output::Link(LinkAction::Send { link, text }) => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    self.mail.push_back(Mail::Sim(SimInput::Text(Conn(u64::from(link.0)), text)));
                }
                Output::Link(LinkAction::Close { link }) => {
                    if self.open.remove(&link.0) {
                        self.mail.push_back(Mail::Sim(SimInput::Closed(Conn(u64::from(link.0)))));
                    }
                    self.mail.push_back(Mail::Down(link));
                }
                Output::Link(LinkAction::Request { link, method, url, headers, body }) => {
                    let target = url.strip_prefix("http://sim").unwrap_or(&url).to_owned();
                    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
                    let http = HttpRequest {
                        method: method.to_owned(),
                        path: path.to_owned(),
                        query: query.to_owned(),
                        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                        body: String::from_utf8_lossy(&body).into_owned(),
                        peer: "gateway".to_owned(),
                    };
                    self.mail.push_back(Mail::Sim(SimInput::Http(Request(u64::from(link.0)), http)));
                }
                Output::Ready(conn) => {
                    while let Some(frame) = self.gateway.pull(self.now, conn) {
                        self.mail.push_back(Mail::ToClient(frame));
                    }
                }
                Output::Commit(batch) => {
                    let text = |record: &Record| serde_json::to_string(record).expect("records are plain");
                    self.heard.records.extend(batch.records.iter().map(text));
                    self.mail.push_back(Mail::Committed(batch.id));
                }
                Output::Keep(number, _) => self.mail.push_back(Mail::Kept(number)),
                _ => {}
            }
        }
    }

    fn post_client(&mut self, out: Vec<ClientOutput>) {
        for output in out {
            match output {
                ClientOutput::Connect => self.mail.push_back(Mail::Knock),
                ClientOutput::Send(text) => self.mail.push_back(Mail::FromClient(text)),
                ClientOutput::Disconnect(..) => {}
            }
        }
    }

    fn post_sim(&mut self, out: Vec<SimOutput>) {
        for output in out {
            match output {
                SimOutput::Send(conn, frame) => self.mail.push_back(Mail::Text(link_of(conn), frame)),
                SimOutput::Reply(Request(0), _) | SimOutput::Refuse(..) => {}
                SimOutput::Reply(request, reply) => {
                    self.mail.push_back(Mail::Response(request_link(request), reply))
                }
                SimOutput::Drop(request) => self.mail.push_back(Mail::Down(request_link(request))),
                SimOutput::Ping(conn, payload) => {
                    self.mail.push_back(Mail::Alive(link_of(conn)));
                    self.mail.push_back(Mail::Sim(SimInput::Pong(conn, payload)));
                }
                SimOutput::Close(conn, ..) | SimOutput::Abort(conn) => {
                    self.open.remove(&link_of(conn).0);
                    self.mail.push_back(Mail::Sim(SimInput::Closed(conn)));
                    self.mail.push_back(Mail::Down(link_of(conn)));
                }
                SimOutput::Append(journal, line) => self.heard.journal.push((journal, line)),
                SimOutput::SendData(..) | SimOutput::SendOdd(..) | SimOutput::Freeze(_) => {}
            }
        }
    }
}

fn link_of(conn: Conn) -> LinkId {
    LinkId(u32::try_from(conn.0).unwrap_or(u32::MAX))
}

fn request_link(request: Request) -> LinkId {
    LinkId(u32::try_from(request.0).unwrap_or(u32::MAX))
}

/// An HTTP answer in a script: `200 name=value,name=value body`.
fn response_line(status: u16, fields: &[(String, String)], body: &str) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{status} {} {body}", if fields.is_empty() { "-".to_owned() } else { fields.join(",") })
}

/// Status, header fields and body.
pub type Response<'a> = (u16, Vec<(String, String)>, &'a str);

/// The same, read.
pub fn response(line: &str) -> Option<Response<'_>> {
    let mut parts = line.splitn(3, ' ');
    let status = parts.next()?.parse().ok()?;
    let fields = parts.next()?.split(',').filter_map(|field| field.split_once('='));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Some((status, fields, parts.next().unwrap_or_default()))
}

fn note_sim(tape: &mut Tape, now: Time, input: &SimInput) {
    let number = |conn: &Conn| link_of(*conn).0;
    match input {
        SimInput::Opened { conn, request } => {
            tape.note(now, 'O', number(conn), &format!("{}?{}", request.path, request.query));
        }
        SimInput::Text(conn, text) => tape.note(now, 'T', number(conn), text),
        SimInput::Ping(conn) => tape.note(now, 'I', number(conn), ""),
        SimInput::Pong(conn, _) => tape.note(now, 'P', number(conn), ""),
        SimInput::Closed(conn) => tape.note(now, 'C', number(conn), ""),
        SimInput::Http(request, http) => {
            let HttpRequest { method, path, query, body, .. } = http;
            tape.note(now, 'H', request_link(*request).0, &format!("{method} {path}?{query} {body}"));
        }
    }
}
