//! The machine against a scripted gateway: frames as `docs/protocol.md` has them, written out by hand.

mod acknowledged;
mod anew;
mod kill;

use super::event::{Event, LocalError, Market, OrderKey, Placed};
use super::machine::{Client, Config, Declared, Input, Output};
use super::orders::Kill;
use super::trading::Wish;
use crate::ids::{ClientOrderId, IdKind, IdParts, SessionId, Symbol};
use crate::market::{Channel, Instructions, OrderStatus, OrderType, Side, Stream, Tif};
use crate::time::{Span, Time};
use crate::wire::error::ErrorCode;
use crate::wire::event::GatewayState;
use crate::wire::proof;
use crate::wire::request::{self, Ack, Call, Nothing};

const TOKEN: &str = "5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f5e0f";
const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

/// A client and what it sent, read back as calls.
struct Desk {
    client: Client,
    out: Vec<Output>,
    now: Time,
    /// What its gateway says to be the numbering in force.
    generation: Option<u64>,
}

fn config() -> Config {
    let name = "test".into();
    Config {
        session_id: 1,
        name,
        trading: true,
        take_over: false,
        cursor: None,
        autocommit: true,
        declared: Declared::default(),
        seed: 1,
    }
}

impl Desk {
    fn new(config: Config) -> Self {
        let (client, now) = (Client::new(config), Time::from_millis(1_000));
        let mut desk = Self { client, out: Vec::new(), now, generation: None };
        desk.input(Input::Start);
        assert_eq!(desk.out.pop(), Some(Output::Connect));
        desk
    }
    /// Logged in as a new session: a snapshot without orders.
    fn live() -> Self {
        let mut desk = Self::new(config());
        desk.log_in(r#"{"gen":1,"seq":0}"#, "snapshot", "[]", 1000);
        desk.frame(r#"{"event":"snapshot","gen":1,"seq":0,"time":1,"orders":[],"positions":[]}"#);
        assert!(desk.client.is_logged_in());
        desk.client.begin();
        desk.out.clear();
        desk
    }
    fn input(&mut self, input: Input<'_>) {
        self.client.handle(self.now, input, &mut self.out);
    }
    fn frame(&mut self, text: &str) {
        self.input(Input::Frame(text));
    }
    /// The calls sent since the last look, with their ids.
    fn calls(&mut self) -> Vec<(Option<u64>, Call)> {
        let sent = std::mem::take(&mut self.out).into_iter().filter_map(|output| match output {
            Output::Send(text) => Some(request::parse(&text).unwrap()),
            _ => None,
        });
        sent.map(|request| (request.id, request.call)).collect()
    }
    fn log_in(&mut self, last: &str, resume: &str, answers: &str, epoch: u32) -> request::Login {
        self.input(Input::Opened { token: TOKEN, nonce: NONCE });
        let [(Some(id), Call::Hello(hello))] = &self.calls()[..] else { panic!("no hello") };
        let proof = proof::of_gateway(TOKEN, &hello.nonce, "bb");
        let numbering = self.generation.map(|number| format!(r#","gen":{number}"#)).unwrap_or_default();
        self.frame(&format!(
            r#"{{"id":{id},"result":{{"version":1,"market":"spot","gateway":"t 0","nonce":"bb","proof":"{proof}"{numbering}}}}}"#
        ));
        let [(Some(id), Call::Login(login))] = &self.calls()[..] else { panic!("no login") };
        assert!(proof::is_client(TOKEN, NONCE, "bb", 1, &login.proof));
        self.frame(&format!(
            r#"{{"id":{id},"result":{{"session_id":1,"name":"test","trading":true,"install":"7cz1k","epoch":{epoch},"prefix":"o","next_command":1,"last":{last},"resume":"{resume}","answers":{answers},"state":{{"event":"state","state":"ready"}},"time":5}}}}"#
        ));
        login.clone()
    }
    fn events(&mut self) -> Vec<Event> {
        let mut found = Vec::new();
        while let Some(placed) = self.client.next_private() {
            self.client.handled(&placed);
            found.push(placed.event);
        }
        found
    }
    /// The events in short words.
    fn told(&mut self) -> Vec<String> {
        let short = |event: Event| match event {
            Event::Order(change) => {
                format!("{} {}", change.order.state.as_str(), if change.replayed { "again" } else { "now" })
            }
            Event::Position { position, .. } => format!("position {}", position.net),
            Event::OrderError { error, .. } => format!("order error {}", error.code),
            Event::Notice { code, .. } => format!("notice {code}"),
            Event::State(state) => format!("state {:?}", state.state),
            Event::Error(error) => format!("error {}", error.code),
            Event::Unread => "unread".to_owned(),
        };
        self.events().into_iter().map(short).collect()
    }
    fn send(&mut self) -> OrderKey {
        self.client.order(self.now, wish(), &mut self.out).unwrap()
    }
    fn id(&self, key: OrderKey) -> String {
        self.client.orders().get(key).unwrap().order.order_id.to_string()
    }
    fn order_event(&mut self, seq: u64, id: &str, state: &str, filled: &str, net: &str) {
        self.frame(&order_frame(seq, id, state, filled, net, false));
    }
    fn state(&self, key: OrderKey) -> OrderStatus {
        self.client.orders().get(key).unwrap().order.state
    }
}

fn order_frame(seq: u64, id: &str, state: &str, filled: &str, net: &str, replayed: bool) -> String {
    let mark = if replayed { r#""replayed":true,"# } else { "" };
    format!(
        r#"{{{mark}"gen":1,"seq":{seq},"time":2,"event":"order","order":{{"order_id":"{id}","n":1,"symbol":"dogeusdt","side":"BUY","type":"LIMIT","tif":"GTC","price":"0.2","qty":"10","state":"{state}","filled":"{filled}","filled_quote":"0","time":2}},"position":{{"symbol":"dogeusdt","net":"{net}","avg_price":"0.2","realised":"0"}}}}"#
    )
}

fn wish() -> Wish {
    Wish {
        symbol: Symbol::new("dogeusdt"),
        side: Side::Buy,
        order_type: OrderType::Limit,
        tif: Some(Tif::Gtc),
        price: Some("0.2".parse().unwrap()),
        stop_price: None,
        qty: Some("10".parse().unwrap()),
        quote_amount: None,
        instructions: Instructions::default(),
    }
}

fn named(epoch: u32, command: u64) -> String {
    let install = "7cz1k".parse().unwrap();
    let parts = IdParts { kind: IdKind::Order, install, epoch, session: SessionId(1), command };
    ClientOrderId::mint(parts).to_string()
}

#[test]
fn an_order_is_named_before_it_is_sent_and_told_in_order() {
    let mut desk = Desk::live();
    let key = desk.send();
    assert_eq!((desk.id(key), desk.state(key)), (named(1000, 1), OrderStatus::Pending));
    let [(Some(id), Call::Order(order))] = &desk.calls()[..] else { panic!("no order") };
    assert_eq!((order.n, order.qty.unwrap().to_string()), (1, "10".to_owned()));
    let order_id = desk.id(key);
    desk.frame(&format!(r#"{{"id":{id},"result":{{"n":1,"order_id":"{order_id}"}}}}"#));
    desk.order_event(1, &order_id, "NEW", "0", "0");
    desk.order_event(2, &order_id, "PARTIALLY_FILLED", "4", "4");
    assert_eq!(desk.state(key), OrderStatus::Pending, "nothing changes before it is handled");
    assert_eq!(desk.told(), ["NEW now", "PARTIALLY_FILLED now"]);
    assert_eq!(desk.client.positions()[&Symbol::new("dogeusdt")].net.to_string(), "4");
    desk.order_event(2, &order_id, "PARTIALLY_FILLED", "4", "4");
    assert_eq!(desk.told(), [""; 0], "a number seen before is passed over");
    desk.client.acknowledge(&mut desk.out);
    desk.client.acknowledge(&mut desk.out);
    assert_eq!(desk.calls(), [(None, Call::Ack(Ack { generation: 1, sequence: 2 }))]);
}

#[test]
fn row_004_47_a_kill_waits_for_the_acceptance_and_is_sent_once() {
    let mut desk = Desk::live();
    let key = desk.send();
    let [(Some(id), _)] = &desk.calls()[..] else { panic!("no order") };
    let id = *id;
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true));
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(false));
    assert_eq!(desk.calls(), []);
    let order_id = desk.id(key);
    desk.frame(&format!(r#"{{"id":{id},"result":{{"n":1,"order_id":"{order_id}"}}}}"#));
    let [(Some(cancel_id), Call::Cancel(cancel))] = &desk.calls()[..] else { panic!("no cancel") };
    assert_eq!((cancel.n, cancel.order_id.to_string()), (2, order_id.clone()));
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(false));
    desk.frame(&format!(
        r#"{{"id":{cancel_id},"error":{{"code":-30002,"name":"disconnected","message":"x"}}}}"#
    ));
    assert_eq!(desk.told(), ["order error -30002"]);
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true), "a refused cancel may be asked for again");
    desk.order_event(1, &order_id, "CANCELED", "0", "0");
    assert_eq!(desk.told(), ["CANCELED now"]);
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(false));
}

#[test]
fn a_cancel_refused_at_every_tick_is_told_once_until_something_changes() {
    let mut desk = Desk::live();
    let key = desk.send();
    let order_id = desk.id(key);
    desk.order_event(1, &order_id, "NEW", "0", "0");
    desk.told();
    desk.calls();
    let ticks = |desk: &mut Desk, code: i64| -> Vec<String> {
        (0..3)
            .flat_map(|_| {
                assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true));
                let [(Some(id), Call::Cancel(_))] = &desk.calls()[..] else { panic!("no cancel") };
                desk.frame(&format!(r#"{{"id":{id},"error":{{"code":{code},"name":"x","message":"x"}}}}"#));
                desk.told()
            })
            .collect()
    };
    assert_eq!(ticks(&mut desk, -30002), ["order error -30002"]);
    assert_eq!(ticks(&mut desk, -30004), ["order error -30004"], "another reason");
    desk.frame(r#"{"event":"state","state":"recovering"}"#);
    desk.told();
    assert_eq!(ticks(&mut desk, -30004), ["order error -30004"], "another state");
    desk.order_event(2, &order_id, "PARTIALLY_FILLED", "4", "4");
    desk.told();
    assert_eq!(ticks(&mut desk, -30004), ["order error -30004"], "another filling");
}

#[test]
fn a_refused_order_ends_rejected_with_its_code() {
    let mut desk = Desk::live();
    let key = desk.send();
    let [(Some(id), _)] = &desk.calls()[..] else { panic!("no order") };
    desk.frame(&format!(r#"{{"id":{id},"error":{{"code":-20010,"name":"not_ready","message":"wait"}}}}"#));
    assert_eq!(desk.told(), ["REJECTED now"]);
    let order = &desk.client.orders().get(key).unwrap().order;
    assert_eq!((order.code, order.reason.as_deref()), (Some(-20010), Some("wait")));
}

/// Loses the connection and opens a new one; the wait is jittered and over soon.
fn reconnect(desk: &mut Desk) {
    desk.input(Input::Lost(Some(1006), "reset"));
    let wait = desk.client.deadline().unwrap().since(desk.now);
    assert!(wait > Span::ZERO && wait <= Span::from_millis(50), "{wait:?}");
    desk.now += wait;
    desk.out.clear();
    desk.input(Input::Timer);
    assert_eq!(desk.out.pop(), Some(Output::Connect));
}

#[test]
fn a_lost_connection_leaves_orders_in_doubt_and_asks_for_them() {
    let mut desk = Desk::live();
    let first = desk.send();
    let [(Some(id), _)] = &desk.calls()[..] else { panic!("no order") };
    let order_id = desk.id(first);
    desk.frame(&format!(r#"{{"id":{id},"result":{{"n":1,"order_id":"{order_id}"}}}}"#));
    desk.order_event(1, &order_id, "NEW", "0", "0");
    let (accepted, refused, doubtful) = (desk.send(), desk.send(), desk.send());
    desk.calls();
    desk.input(Input::Lost(None, "reset"));
    assert_eq!(desk.told(), ["NEW now", "UNKNOWN now", "UNKNOWN now", "UNKNOWN now", "state Down"]);
    assert_eq!(desk.client.order(desk.now, wish(), &mut desk.out).unwrap_err().code, -30002);
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    desk.out.clear();
    let answers = r#"[{"result":{"n":2,"order_id":"x"}},{"error":{"code":-30007,"name":"not_placed","message":"no"}},null]"#;
    let login = desk.log_in(r#"{"gen":1,"seq":3}"#, "events", answers, 1001);
    assert_eq!((login.cursor, login.epoch), (Some(Ack { generation: 1, sequence: 1 }), Some(1000)));
    let listed: Vec<_> = login.pending.iter().map(|p| (p.epoch, p.params["n"].as_u64().unwrap())).collect();
    assert_eq!(listed, [(1000, 2), (1000, 3), (1000, 4)]);
    assert!(desk.client.is_logged_in());
    assert_eq!(desk.told(), ["state Ready", "REJECTED now"]);
    assert_eq!(desk.state(refused), OrderStatus::Rejected);
    let (second, fourth) = (desk.id(accepted), desk.id(doubtful));
    desk.frame(&order_frame(2, &second, "NEW", "0", "0", true));
    desk.frame(&order_frame(3, &fourth, "FILLED", "10", "10", false));
    assert_eq!(desk.told(), ["NEW again", "FILLED now"]);
    let next = desk.send();
    assert_eq!(desk.id(next), named(1001, 1), "a new run of the gateway names orders anew");
    desk.calls();
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":1,"seq":3}"#, "events", "[null]", 1001);
    assert_eq!(login.pending.len(), 1, "what an event resolved is not asked again");
}

#[test]
fn r51_an_order_called_taken_is_asked_for_until_an_event_told_of_it() {
    let mut desk = Desk::live();
    let (silent, heard) = (desk.send(), desk.send());
    assert_eq!(desk.client.waiting(), 2);
    let calls = desk.calls();
    for ((id, _), key) in calls.iter().zip([silent, heard]) {
        let (id, n, order_id) = (id.unwrap(), if key == silent { 1 } else { 2 }, desk.id(key));
        desk.frame(&format!(r#"{{"id":{id},"result":{{"n":{n},"order_id":"{order_id}"}}}}"#));
    }
    let second = desk.id(heard);
    desk.order_event(1, &second, "NEW", "0", "0");
    assert_eq!(desk.client.waiting(), 1, "the other was called taken, and not told of");
    // The gateway was killed before what it called taken was in its journal: the next one knows nothing of it.
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":1,"seq":1}"#, "events", "[null]", 1001);
    let listed: Vec<_> = login.pending.iter().map(|p| (p.epoch, p.params["n"].as_u64().unwrap())).collect();
    assert_eq!(listed, [(1000, 1)]);
    // Killed again while it finds out.
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":1,"seq":1}"#, "events", "[null]", 1002);
    assert_eq!(login.pending.len(), 1);
    let first = desk.id(silent);
    desk.told();
    desk.frame(&order_frame(2, &first, "REJECTED", "0", "0", false));
    assert_eq!(desk.told(), ["REJECTED now"]);
    assert_eq!(desk.client.waiting(), 0);
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":1,"seq":2}"#, "events", "[]", 1003);
    assert_eq!(login.pending, []);
}

#[test]
fn a_kill_in_doubt_is_sent_when_the_order_turns_up() {
    let mut desk = Desk::live();
    let key = desk.send();
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true));
    desk.input(Input::Lost(Some(1006), "reset"));
    assert_eq!(desk.told(), ["UNKNOWN now", "state Down"], "the strategy has heard of the doubt");
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    desk.out.clear();
    desk.log_in(r#"{"gen":1,"seq":0}"#, "events", "[null]", 1000);
    assert_eq!(desk.calls(), [], "the gateway may not have it");
    let order_id = desk.id(key);
    desk.order_event(1, &order_id, "NEW", "0", "0");
    assert!(matches!(&desk.calls()[..], [(_, Call::Cancel(cancel))] if cancel.order_id.as_str() == order_id));
    assert_eq!(desk.client.orders().get(key).unwrap().kill, Kill::Asked);
}

#[test]
fn a_kill_wanted_while_in_doubt_is_not_refused() {
    let mut desk = Desk::live();
    let key = desk.send();
    desk.input(Input::Lost(None, "reset"));
    desk.told();
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true), "sent as soon as the gateway has the order");
}

#[test]
fn row_004_67_a_new_process_knows_its_open_orders_and_gets_what_it_missed() {
    let mut desk = Desk::new(config());
    desk.log_in(r#"{"gen":1,"seq":7}"#, "events", "[]", 1002);
    let order_id = named(1000, 5);
    let calls = desk.calls();
    let [(Some(orders), Call::Orders(_)), (Some(positions), Call::Positions(_))] = &calls[..] else {
        panic!("{calls:?}")
    };
    desk.frame(&order_frame(6, &order_id, "NEW", "0", "0", true));
    desk.frame(&order_frame(7, &order_id, "PARTIALLY_FILLED", "4", "4", true));
    assert!(!desk.client.is_logged_in());
    desk.frame(&format!(
        r#"{{"id":{orders},"result":{{"session_id":1,"orders":[{{"order_id":"{order_id}","n":5,"symbol":"dogeusdt","side":"BUY","type":"LIMIT","price":"0.2","qty":"10","state":"PARTIALLY_FILLED","filled":"6","filled_quote":"1.2","time":2}}]}}}}"#
    ));
    desk.frame(&format!(
        r#"{{"id":{positions},"result":{{"session_id":1,"positions":[{{"symbol":"dogeusdt","net":"6","avg_price":"0.2","realised":"0"}}]}}}}"#
    ));
    assert!(desk.client.is_logged_in());
    let key = desk.client.orders().unheld(&Symbol::new("DOGEUSDT")).unwrap();
    desk.client.orders_mut().hold(key);
    assert_eq!(desk.client.orders().unheld(&Symbol::new("DOGEUSDT")), None);
    assert_eq!(desk.told(), ["NEW again", "PARTIALLY_FILLED again"]);
    let net = |desk: &Desk| desk.client.positions()[&Symbol::new("dogeusdt")].net.to_string();
    assert_eq!((desk.state(key), net(&desk)), (OrderStatus::PartiallyFilled, "6".to_owned()));
    desk.order_event(8, &order_id, "FILLED", "10", "10");
    assert_eq!(desk.told(), ["FILLED now"]);
    assert_eq!(net(&desk), "10");
}

#[test]
fn a_snapshot_replaces_and_tells_what_changed() {
    let mut desk = Desk::live();
    let (stays, goes) = (desk.send(), desk.send());
    for (seq, key) in [(1, stays), (2, goes)] {
        let order_id = desk.id(key);
        desk.order_event(seq, &order_id, "NEW", "0", "0");
    }
    let order_id = desk.id(stays);
    desk.told();
    desk.calls();
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":2,"seq":40}"#, "snapshot", "[]", 1001);
    desk.frame(&format!(
        r#"{{"event":"snapshot","gen":2,"seq":40,"time":1,"orders":[{{"order_id":"{order_id}","n":1,"symbol":"dogeusdt","side":"BUY","type":"LIMIT","price":"0.2","qty":"10","state":"PARTIALLY_FILLED","filled":"4","filled_quote":"0.8","time":2}}],"positions":[{{"symbol":"dogeusdt","net":"14","avg_price":"0.2","realised":"0"}}]}}"#
    ));
    let told = ["state Down", "state Ready", "notice snapshot", "PARTIALLY_FILLED again", "EXPIRED again"];
    assert_eq!(desk.told(), told);
    assert_eq!(desk.state(stays), OrderStatus::PartiallyFilled);
    let gone = desk.client.orders().get(goes).map(|tracked| tracked.order.code);
    assert!(gone.is_none_or(|code| code == Some(-30003)), "undefined: how it ended is not known");
    let frame = order_frame(41, &order_id, "FILLED", "10", "20", false).replace(r#""gen":1"#, r#""gen":2"#);
    desk.frame(&frame);
    assert_eq!(desk.told(), ["FILLED now"]);
    assert_eq!(desk.client.cursor(), Some(Ack { generation: 2, sequence: 41 }));
}

#[test]
fn a_gap_in_the_numbers_makes_it_log_in_again_from_its_cursor() {
    let mut desk = Desk::live();
    desk.order_event(1, &named(1000, 9), "NEW", "0", "0");
    desk.order_event(3, &named(1000, 9), "FILLED", "10", "10");
    assert!(matches!(desk.out.pop(), Some(Output::Disconnect(..))));
    assert_eq!(desk.told(), ["NEW now", "error -40004", "state Down"]);
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    desk.out.clear();
    let login = desk.log_in(r#"{"gen":1,"seq":3}"#, "events", "[]", 1000);
    assert_eq!(login.cursor, Some(Ack { generation: 1, sequence: 1 }));
}

#[test]
fn an_event_of_a_later_version_counts() {
    let mut desk = Desk::live();
    desk.frame(r#"{"gen":1,"seq":1,"time":2,"event":"horoscope","stars":3}"#);
    desk.frame(r#"{"event":"weather","sun":true}"#);
    desk.order_event(2, &named(1000, 9), "NEW", "0", "0");
    assert_eq!(desk.told(), ["unread", "NEW now"]);
    assert_eq!(desk.client.cursor(), Some(Ack { generation: 1, sequence: 2 }));
}

#[test]
fn the_first_login_fails_with_the_reason() {
    let mut desk = Desk::new(config());
    desk.input(Input::Opened { token: TOKEN, nonce: NONCE });
    desk.frame(
        r#"{"id":1,"result":{"version":1,"market":"spot","gateway":"t 0","nonce":"bb","proof":"00"}}"#,
    );
    assert_eq!(desk.client.failure().unwrap().code, ErrorCode::BadProof.code());
    assert!(desk.client.is_closed() && matches!(desk.out.last(), Some(Output::Disconnect(..))));

    let mut desk = Desk::new(config());
    desk.input(Input::Lost(None, "connection refused"));
    assert_eq!(desk.client.failure().unwrap().code, LocalError::Connect.code());

    let mut desk = Desk::new(config());
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    assert!(desk.client.is_closed());
}

#[test]
fn a_taken_over_session_stays_away() {
    let mut desk = Desk::live();
    desk.input(Input::Lost(Some(4001), "by somebody"));
    assert_eq!(desk.told(), ["state Down", "error -10011"]);
    assert_eq!((desk.client.deadline(), desk.client.is_closed()), (None, true));
    assert_eq!(desk.client.order(desk.now, wish(), &mut desk.out).unwrap_err().code, -40006);
}

#[test]
fn r55_what_waits_when_a_session_is_taken_over_is_the_new_owners() {
    let mut desk = Desk::live();
    for seq in 1..=3 {
        desk.order_event(seq, &named(1000, 9), "NEW", "0", "0");
    }
    let first = desk.client.next_private().unwrap();
    desk.client.handled(&first);
    desk.input(Input::Lost(Some(4001), "by somebody"));
    assert_eq!(desk.told(), ["state Down", "error -10011"]);
    assert_eq!(desk.client.cursor(), Some(Ack { generation: 1, sequence: 1 }));
}

#[test]
fn bad_frames_end_in_a_new_login_and_never_in_a_panic() {
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "7",
        r#"{"gen":1,"seq":1,"event":"order"}"#,
        r#"{"gen":1,"seq":1,"time":1,"event":"order","order":{"order_id":7}}"#,
        r#"{"gen":-1,"seq":1,"event":"order"}"#,
        r#"{"event":"state","state":"sleeping"}"#,
        r#"{"event":"snapshot"}"#,
        r#"{"id":"x","result":{}}"#,
        r#"{"stream":"dogeusdt@trade","data":{"id":"x"}}"#,
    ] {
        let mut desk = Desk::live();
        let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Trade };
        subscribe(&mut desk, &stream);
        desk.frame(bad);
        let told = desk.told();
        assert_eq!(told, ["error -40004", "state Down"], "{bad}");
        assert!(desk.client.deadline().is_some(), "{bad}");
    }
}

fn subscribe(desk: &mut Desk, stream: &Stream) {
    let question = desk.client.subscribe(stream.clone(), &mut desk.out).unwrap();
    let calls = desk.calls();
    let [(Some(id), Call::Subscribe(_))] = &calls[..] else { panic!("{calls:?}") };
    desk.frame(&format!(
        r#"{{"id":{id},"result":{{"streams":["{stream}"],"products":[{{"symbol":"dogeusdt","base":"DOGE","quote":"USDT","status":"TRADING","tick_size":"0.00001","lot":"1","min_price":"0.00001","max_price":"1000","min_qty":"1","max_qty":"9000000","min_notional":"1","max_notional":"9000000","order_types":["LIMIT"],"tifs":["GTC","IOC","FOK"],"amend_allowed":true}}]}}}}"#
    ));
    assert!(desk.client.take_reply(question).unwrap().is_ok());
}

#[test]
fn streams_come_back_after_a_reconnect_and_one_bad_one_costs_only_itself() {
    let mut desk = Desk::live();
    let symbol = Symbol::new("DogeUSDT");
    let [depth, trade] =
        [Channel::Depth, Channel::Trade].map(|channel| Stream { symbol: symbol.clone(), channel });
    subscribe(&mut desk, &depth);
    subscribe(&mut desk, &trade);
    assert_eq!(desk.client.products()[&symbol].tick_size.to_string(), "0.00001");
    let book = |id: u64| {
        format!(r#"{{"stream":"dogeusdt@depth","data":{{"time":1,"update_id":{id},"bids":[],"asks":[]}}}}"#)
    };
    desk.frame(&book(1));
    desk.frame(&book(2));
    let (slot, Market::Depth(found)) = desk.client.next_market().unwrap() else { panic!("no depth") };
    assert_eq!((Some(slot), found.update_id), (desk.client.slot(&depth), 2));
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":0}"#, "events", "[]", 1000);
    let calls = desk.calls();
    let [(Some(id), Call::Subscribe(streams))] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(streams.streams, ["dogeusdt@depth", "dogeusdt@trade"]);
    desk.frame(&format!(
        r#"{{"id":{id},"error":{{"code":-10003,"name":"invalid_symbol","message":"gone"}}}}"#
    ));
    let calls = desk.calls();
    let [(Some(id), Call::Subscribe(_)), (Some(_), Call::Subscribe(_))] = &calls[..] else {
        panic!("{calls:?}")
    };
    desk.frame(&format!(
        r#"{{"id":{id},"error":{{"code":-10003,"name":"invalid_symbol","message":"gone"}}}}"#
    ));
    assert_eq!(desk.told(), ["state Down", "state Ready", "error -10003"]);
    assert!(matches!(desk.client.next_market(), Some((_, Market::Stale(_)))));
    desk.frame(&book(3));
    assert!(desk.client.next_market().is_some());
    desk.client.unsubscribe(&depth, &mut desk.out);
    desk.frame(&book(4));
    assert_eq!(desk.client.next_market(), None);
}

#[test]
fn a_question_lost_on_the_way_fails() {
    let mut desk = Desk::live();
    let question = desk.client.ask(Call::Balances(Nothing {}), &mut desk.out).unwrap();
    assert!(desk.client.take_reply(question).is_none());
    desk.input(Input::Lost(None, "reset"));
    assert_eq!(desk.client.take_reply(question).unwrap().unwrap_err().code, -30002);
    assert_eq!(desk.client.ask(Call::Balances(Nothing {}), &mut desk.out).unwrap_err().code, -30002);
}

#[test]
fn row_004_18_a_watching_session_refuses_here() {
    let mut desk = Desk::new(Config { trading: false, ..config() });
    desk.log_in(r#"{"gen":1,"seq":0}"#, "snapshot", "[]", 1000);
    desk.frame(r#"{"event":"snapshot","gen":1,"seq":0,"time":1,"orders":[],"positions":[]}"#);
    desk.calls();
    assert_eq!(desk.client.order(desk.now, wish(), &mut desk.out).unwrap_err().code, -10005);
    assert_eq!(desk.client.cancel_all(None, &mut desk.out).unwrap_err().code, -10005);
    assert_eq!(desk.calls(), []);
}

#[test]
fn c6_the_cursor_is_that_of_the_event_being_handled() {
    let mut desk = Desk::live();
    let at = |sequence| Some(Ack { generation: 1, sequence });
    for seq in 1..=3 {
        desk.order_event(seq, &named(1000, 9), "NEW", "0", "0");
    }
    assert_eq!(desk.client.cursor(), at(0));
    let first = desk.client.next_private().unwrap();
    assert_eq!(desk.client.cursor(), at(1), "what a callback saves together with its own data");
    desk.client.handled(&first);
    assert_eq!(desk.client.cursor(), at(1));
    let second = desk.client.next_private().unwrap();
    desk.client.failed(second);
    assert_eq!(desk.client.cursor(), at(1), "a callback that failed has handled nothing");
    desk.input(Input::Lost(None, "reset"));
    while let Some(placed) = desk.client.next_private() {
        if matches!(placed.event, Event::State(_)) {
            assert_eq!(desk.client.cursor(), at(3), "what arises on this side has no number");
        }
        desk.client.handled(&placed);
    }
}

#[test]
fn c6_with_autocommit_off_only_a_commit_acknowledges() {
    let mut desk = Desk::new(Config { autocommit: false, ..config() });
    desk.log_in(r#"{"gen":1,"seq":0}"#, "snapshot", "[]", 1000);
    desk.frame(r#"{"event":"snapshot","gen":1,"seq":0,"time":1,"orders":[],"positions":[]}"#);
    let at = |sequence| Ack { generation: 1, sequence };
    let commit = |desk: &mut Desk, upto: Option<Ack>| {
        desk.calls();
        let done = desk.client.commit(upto).map_err(|error| error.code);
        desk.client.acknowledge(&mut desk.out);
        (done, desk.calls().into_iter().map(|(_, call)| call).collect::<Vec<_>>())
    };
    for seq in 1..=4 {
        desk.order_event(seq, &named(1000, 9), "NEW", "0", "0");
    }
    for _ in 1..=3 {
        let placed = desk.client.next_private().unwrap();
        desk.client.handled(&placed);
    }
    desk.client.acknowledge(&mut desk.out);
    assert_eq!(desk.calls(), [], "handled, but not committed");
    assert_eq!(commit(&mut desk, Some(at(2))), (Ok(()), vec![Call::Ack(at(2))]));
    assert_eq!(commit(&mut desk, Some(at(1))), (Ok(()), vec![]), "never back");
    assert_eq!(commit(&mut desk, Some(at(4))), (Err(-40008), vec![]), "not told yet");
    assert_eq!(commit(&mut desk, Some(Ack { generation: 0, sequence: 9 })), (Ok(()), vec![]));
    let fourth = desk.client.next_private().unwrap();
    assert_eq!(commit(&mut desk, None), (Ok(()), vec![Call::Ack(at(4))]), "the one being handled");
    desk.client.failed(fourth);
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":1,"seq":4}"#, "events", "[]", 1000);
    assert_eq!(login.cursor, Some(at(3)), "this process goes on where it was");
    desk.client.acknowledge(&mut desk.out);
    assert_eq!(desk.calls(), [(None, Call::Ack(at(4)))], "the word may have been lost with the connection");
    desk.input(Input::Close);
    assert_eq!(desk.client.commit(None).unwrap_err().code, -40006);
}

#[test]
fn c6_a_cursor_that_cannot_be_gone_on_from_is_told() {
    for (cursor, seq, told) in [
        (None, 0, false),
        (None, 9, true),
        (Some(Ack { generation: 1, sequence: 7 }), 0, true),
        (Some(Ack { generation: 2, sequence: 12 }), 9, true),
    ] {
        let mut desk = Desk::new(Config { cursor, ..config() });
        desk.log_in(&format!(r#"{{"gen":2,"seq":{seq}}}"#), "snapshot", "[]", 1000);
        desk.frame(&format!(
            r#"{{"event":"snapshot","gen":2,"seq":{seq},"time":1,"orders":[],"positions":[]}}"#
        ));
        assert!(desk.client.is_logged_in());
        if told {
            assert_eq!(desk.client.cursor(), cursor, "not before the strategy has heard of it");
            let notice = desk.client.next_private().unwrap();
            assert!(matches!(&notice.event, Event::Notice { code, .. } if code == "snapshot"), "{notice:?}");
            desk.client.handled(&notice);
        }
        assert_eq!(desk.told(), [""; 0], "{cursor:?}");
        assert_eq!(desk.client.cursor(), Some(Ack { generation: 2, sequence: seq }));
    }
}

#[test]
fn the_unhandled_is_not_acknowledged() {
    let mut desk = Desk::live();
    for seq in 1..=3 {
        desk.order_event(seq, &named(1000, 9), "NEW", "0", "0");
    }
    let first: Placed = desk.client.next_private().unwrap();
    desk.client.handled(&first);
    desk.client.next_private().unwrap();
    desk.input(Input::Close);
    assert_eq!(desk.out.last(), Some(&Output::Disconnect(1000, "the strategy ended".into())));
    assert_eq!(desk.calls(), [(None, Call::Ack(Ack { generation: 1, sequence: 1 }))]);
    assert_eq!(desk.client.state().state, GatewayState::Down);
}

#[test]
fn a_stream_a_fresh_gateway_cannot_give_yet_is_asked_for_again_at_its_next_state() {
    let mut desk = Desk::live();
    let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Bbo };
    subscribe(&mut desk, &stream);
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":0}"#, "events", "[]", 1001);
    let asked = |desk: &mut Desk| -> Option<u64> {
        let wanted = |(id, call): &(Option<u64>, Call)| matches!(call, Call::Subscribe(_)).then_some(*id);
        desk.calls().iter().find_map(wanted).flatten()
    };
    let id = asked(&mut desk).expect("asked at the login");
    let not_ready = ErrorCode::NotReady.code();
    desk.frame(&format!(r#"{{"id":{id},"error":{{"code":{not_ready},"name":"not_ready","message":"x"}}}}"#));
    assert_eq!(asked(&mut desk), None);
    assert!(
        !desk.told().iter().any(|told| told.contains("error")),
        "nothing the strategy should do about it"
    );
    desk.frame(r#"{"event":"state","state":"recovering"}"#);
    assert!(asked(&mut desk).is_some());
    desk.frame(r#"{"event":"state","state":"ready"}"#);
    assert_eq!(asked(&mut desk), None, "it was not refused again");
}

#[test]
fn a_stream_given_up_while_it_waits_is_not_asked_for_again() {
    let mut desk = Desk::live();
    let [bbo, trade] =
        [Channel::Bbo, Channel::Trade].map(|channel| Stream { symbol: Symbol::new("dogeusdt"), channel });
    let refused = |id: u64| {
        let code = ErrorCode::NotReady.code();
        format!(r#"{{"id":{id},"error":{{"code":{code},"name":"not_ready","message":"x"}}}}"#)
    };
    subscribe(&mut desk, &bbo);
    subscribe(&mut desk, &trade);
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":0}"#, "events", "[]", 1001);
    let [(Some(both), Call::Subscribe(_))] = &desk.calls()[..] else { panic!("not asked at the login") };
    desk.frame(&refused(*both));
    let [(Some(first), Call::Subscribe(_)), (Some(second), Call::Subscribe(_))] = &desk.calls()[..] else {
        panic!("not asked one by one")
    };
    desk.frame(&refused(*first));
    desk.client.unsubscribe(&bbo, &mut desk.out);
    desk.client.unsubscribe(&trade, &mut desk.out);
    desk.frame(&refused(*second));
    desk.calls();
    desk.frame(r#"{"event":"state","state":"ready"}"#);
    assert_eq!(desk.calls(), [], "neither that waited nor that was on its way");
}

#[test]
fn c6_an_event_whose_callback_failed_is_the_next_again() {
    let mut desk = Desk::live();
    for seq in 1..=2 {
        desk.order_event(seq, &named(1000, 9), "NEW", "0", "0");
    }
    let first = desk.client.next_private().unwrap();
    desk.client.failed(first.clone());
    desk.client.acknowledge(&mut desk.out);
    assert_eq!(desk.calls(), []);
    assert_eq!(desk.client.next_private(), Some(first.clone()));
    desk.client.handled(&first);
    assert_eq!(desk.told(), ["NEW now"]);
    desk.client.acknowledge(&mut desk.out);
    assert_eq!(desk.calls(), [(None, Call::Ack(Ack { generation: 1, sequence: 2 }))]);
    desk.input(Input::Lost(None, "reset"));
    let state = desk.client.next_private().unwrap();
    desk.client.failed(state);
    assert_eq!(desk.client.next_private(), None, "what arose here is told once");
}

#[test]
fn c6_a_cursor_that_was_not_taken_is_not_compared_with_and_not_acknowledged() {
    for (of, cursor) in [("a lost gateway's", (5, 100)), ("ahead of the log", (2, 41))] {
        let cursor = Some(Ack { generation: cursor.0, sequence: cursor.1 });
        let mut desk = Desk::new(Config { cursor, autocommit: false, ..config() });
        desk.log_in(r#"{"gen":2,"seq":7}"#, "snapshot", "[]", 1000);
        desk.frame(r#"{"event":"snapshot","gen":2,"seq":7,"time":1,"orders":[],"positions":[]}"#);
        desk.out.clear();
        desk.client.acknowledge(&mut desk.out);
        assert_eq!(desk.calls(), [], "{of}");
        assert_eq!(desk.told(), ["notice snapshot"]);
        let frame = order_frame(8, &named(1000, 9), "NEW", "0", "0", false);
        desk.frame(&frame.replace(r#""gen":1"#, r#""gen":2"#));
        desk.told();
        desk.client.commit(None).unwrap();
        desk.client.acknowledge(&mut desk.out);
        assert_eq!(desk.calls(), [(None, Call::Ack(Ack { generation: 2, sequence: 8 }))], "{of}");
    }
}

#[test]
fn c6_events_kept_after_a_snapshot_are_told_and_change_nothing_it_holds() {
    let mut desk = Desk::new(Config { cursor: Some(Ack { generation: 1, sequence: 10 }), ..config() });
    desk.log_in(r#"{"gen":1,"seq":12}"#, "snapshot", "[]", 1000);
    desk.frame(
        r#"{"event":"snapshot","gen":1,"seq":11,"time":1,"orders":[],"positions":[{"symbol":"dogeusdt","net":"9","avg_price":"0.2","realised":"0"}]}"#,
    );
    desk.frame(&order_frame(12, &named(1000, 9), "FILLED", "10", "4", true));
    assert_eq!(desk.told(), ["notice snapshot", "FILLED again"]);
    let net = |desk: &Desk| desk.client.positions()[&Symbol::new("dogeusdt")].net.to_string();
    assert_eq!(net(&desk), "9", "all events there were at the login are in the snapshot");
    desk.order_event(13, &named(1000, 10), "FILLED", "10", "19");
    assert_eq!((desk.told(), net(&desk)), (vec!["FILLED now".to_owned()], "19".to_owned()));
}

#[test]
fn c6_a_session_without_a_cursor_is_told_what_a_new_numbering_has_cost_it() {
    let mut desk = Desk::new(config());
    desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[]", 1000);
    desk.frame(r#"{"event":"snapshot","gen":2,"seq":0,"missed":true,"time":1,"orders":[],"positions":[]}"#);
    assert_eq!(desk.told(), ["notice snapshot"]);
}
