//! The machine against a scripted venue: replies and events are written by hand, after the venue's margin pages.

use std::collections::BTreeMap;

use binance_wire::sign::{SecretKey, percent_decode};
use serde_json::{Value, json};
use tradingsys::ids::{Asset, Symbol};
use tradingsys::journal::ChargeKind;
use tradingsys::market::{Side, SideEffect, Stp, Tif, WorkingType};
use tradingsys::num::Qty;
use tradingsys::order::request::Terms;
use tradingsys::venue::port::{AmendOutcome, LinkAction, PlaceOutcome, VenueStatus};

use super::*;
use crate::spot::SpotConfig;

mod trouble;

const START: i64 = 1_700_000_000_000;
const TOKEN: &str = "/sapi/v1/userListenToken";
const ORDER: &str = "/sapi/v1/margin/order";
const RISK_KEY: &str = "/sapi/v1/margin/listen-key";
const HOUR: i64 = 3_600_000;
const NONE: LinkId = LinkId(0);

/// A request over HTTP.
#[derive(Debug)]
struct Asked {
    link: LinkId,
    method: &'static str,
    params: BTreeMap<String, String>,
}

struct Bench {
    entry: Entry,
    now: Time,
    out: Outbox,
    session: LinkId,
    risk: LinkId,
}

fn config(side_effect: SideEffect) -> MarginConfig {
    let key = SecretKey::from_seed(&[9; 32]);
    let mut spot = SpotConfig::new("ws://venue/ws-api/v3", "ws://venue", "the-key", key, 5);
    // Longer than any token: what happens here happens to tokens.
    spot.access.timing.life = Span::from_secs(100 * 3_600);
    let risk_stream = Some("ws://venue/margin-stream".to_owned());
    MarginConfig { side_effect, risk_stream, ..MarginConfig::new(spot, "http://venue/") }
}

impl Bench {
    fn with(side_effect: SideEffect) -> Self {
        let entry = Entry::new(&config(side_effect));
        let mut bench =
            Self { entry, now: Time::from_millis(START), out: Outbox::default(), session: NONE, risk: NONE };
        bench.entry.start(bench.now, &mut bench.out);
        bench.log_on();
        bench
    }

    /// Up, with a token of a day.
    fn up() -> Self {
        Self::up_with(SideEffect::None)
    }

    fn up_with(side_effect: SideEffect) -> Self {
        let mut bench = Self::with(side_effect);
        bench.token("token-1", 24 * HOUR);
        bench.subscribe("token-1");
        assert_eq!(bench.events(), [VenueEvent::EntryUp]);
        let limits = bench.asked("/sapi/v1/margin/rateLimit/order");
        bench.answer(&limits, "[]");
        let key = bench.asked(RISK_KEY);
        assert_eq!((key.method, key.params.len()), ("POST", 0));
        bench.answer(&key, r#"{"listenKey":"risk-1"}"#);
        bench.risk = bench.opened_at("ws://venue/margin-stream/ws/risk-1");
        bench.input(bench.risk, LinkInput::Up);
        bench
    }

    /// The connection comes up on the link just opened, and is logged on.
    fn log_on(&mut self) {
        self.session = self.opened();
        self.input(self.session, LinkInput::Up);
        let time = self.frame("time");
        self.reply(&time, json!({"serverTime": self.now.millis()}));
        let logon = self.frame("session.logon");
        self.reply(&logon, json!({}));
    }

    /// A token is asked for, and given for so many milliseconds.
    fn token(&mut self, text: &str, life: i64) {
        let asked = self.asked(TOKEN);
        assert_eq!((asked.method, asked.params.len()), ("POST", 0), "only the key's header");
        let until = self.now.millis() + life;
        self.answer(&asked, &format!(r#"{{"token":"{text}","expirationTime":{until}}}"#));
    }

    /// The subscription by that token is asked for and confirmed.
    fn subscribe(&mut self, token: &str) {
        let frame = self.frame("userDataStream.subscribe.listenToken");
        assert_eq!(frame["params"], json!({"listenToken": token}));
        let micros = (self.now.millis() + 24 * HOUR) * 1_000;
        self.reply(&frame, json!({"subscriptionId": 0, "expirationTime": micros}));
    }

    fn take<T>(&mut self, pick: impl Fn(&LinkAction) -> Option<T>) -> Vec<T> {
        let picked = self.out.actions.iter().filter_map(&pick).collect();
        self.out.actions.retain(|action| pick(action).is_none());
        picked
    }

    fn opened(&mut self) -> LinkId {
        self.opened_at("ws://venue/ws-api/v3")
    }

    fn opened_at(&mut self, address: &str) -> LinkId {
        let links = self.take(|action| match action {
            LinkAction::Open { link, url, .. } if url == address => Some(*link),
            _ => None,
        });
        assert_eq!(links.len(), 1, "{:?}", self.out.actions);
        links[0]
    }

    /// All requests of that path since the last call.
    fn all_asked(&mut self, path: &str) -> Vec<Asked> {
        self.take(|action| {
            let LinkAction::Request { link, method, url, headers, body } = action else { return None };
            assert_eq!(headers, &[("x-mbx-apikey", "the-key".to_owned())]);
            assert!(body.is_empty());
            let rest = url.strip_prefix("http://venue").unwrap();
            let (found, query) = rest.split_once('?').unwrap_or((rest, ""));
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let params: BTreeMap<String, String> =
                pairs.map(|(name, value)| (name.to_owned(), percent_decode(value).unwrap())).collect();
            assert!(!params.contains_key("isIsolated"), "{url}");
            (found == path).then_some(Asked { link: *link, method, params })
        })
    }

    fn asked(&mut self, path: &str) -> Asked {
        let mut found = self.all_asked(path);
        assert_eq!(found.len(), 1, "{path}: {:?}", self.out.actions);
        found.remove(0)
    }

    /// The only frame of that method sent since the last call.
    fn frame(&mut self, method: &str) -> Value {
        let found = self.take(|action| match action {
            LinkAction::Send { text, .. } => {
                let value: Value = serde_json::from_slice(text).unwrap();
                (value["method"] == method).then_some(value)
            }
            _ => None,
        });
        assert_eq!(found.len(), 1, "{method}: {:?}", self.out.actions);
        found[0].clone()
    }

    fn events(&mut self) -> Vec<VenueEvent> {
        let mut events = std::mem::take(&mut self.out.events);
        events.retain(|event| !matches!(event, VenueEvent::Clock { .. } | VenueEvent::RulesDoubted));
        events
    }

    fn warnings(&mut self) -> Vec<String> {
        let text = |event| match event {
            VenueEvent::Warning { words, .. } => Some(words),
            _ => None,
        };
        self.events().into_iter().filter_map(text).collect()
    }

    fn input(&mut self, link: LinkId, input: LinkInput<'_>) {
        self.entry.handle(self.now, link, input, &mut self.out);
    }

    fn text(&mut self, value: &Value) {
        let text = value.to_string();
        self.input(self.session, LinkInput::Text(&text));
    }

    fn reply(&mut self, frame: &Value, result: Value) {
        let limits = json!([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
            "limit": 1, "count": 1}]);
        self.text(&json!({"id": frame["id"], "status": 200, "result": result, "rateLimits": limits}));
    }

    fn answer(&mut self, asked: &Asked, body: &str) {
        self.input(asked.link, LinkInput::Response { status: 200, headers: &[], body });
    }

    fn refuse(&mut self, asked: &Asked, status: u16, code: i64, words: &str) {
        let body = json!({"code": code, "msg": words}).to_string();
        self.input(asked.link, LinkInput::Response { status, headers: &[], body: &body });
    }

    /// Lets time pass; connections are alive, questions about the time are answered, and the other key is renewed.
    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(due) = self.entry.deadline().filter(|due| *due <= end) {
            assert!(due >= self.now, "a deadline lies in the past: {:?}", self.entry);
            self.now = due;
            self.entry.timer(self.now, &mut self.out);
            self.input(self.session, LinkInput::Alive);
            self.input(self.risk, LinkInput::Alive);
            for asked in self.all_asked(RISK_KEY) {
                assert_eq!((asked.method, asked.params["listenKey"].as_str()), ("PUT", "risk-1"));
                self.answer(&asked, "{}");
            }
            let times = self.take(|action| match action {
                LinkAction::Send { text, .. } => {
                    let value: Value = serde_json::from_slice(text).unwrap();
                    (value["method"] == "time").then_some(value)
                }
                _ => None,
            });
            for time in times {
                self.reply(&time, json!({"serverTime": self.now.millis()}));
            }
            // The other stream is asked whether it lives.
            self.take(|action| matches!(action, LinkAction::Send { .. }).then_some(()));
        }
        self.now = end;
    }

    fn place(&mut self, id: &str) -> Result<(), NotSent> {
        self.entry.place(self.now, &order(id), &mut self.out)
    }

    /// How the placement ended that is the only event since the last call.
    fn outcome(&mut self) -> PlaceOutcome {
        match self.events().as_slice() {
            [VenueEvent::Placed { outcome, .. }] => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn id(text: &str) -> ClientOrderId {
    ClientOrderId::foreign(text)
}

fn order(name: &str) -> NewOrder {
    NewOrder {
        id: id(name),
        symbol: Symbol::new("dogeusdt"),
        side: Side::Sell,
        qty: Qty::whole(1_000),
        terms: Terms::Limit { price: "0.2".parse().unwrap(), tif: Tif::Gtc },
        stp: Stp::ExpireTaker,
        good_till: None,
        working_type: WorkingType::Last,
        reduce_only: false,
    }
}

fn cancel(name: &str) -> Cancel {
    Cancel {
        symbol: Symbol::new("dogeusdt"),
        id: id(name),
        venue_id: None,
        conditional: false,
        conditional_id: None,
        known_as: id(name),
        cancel_id: Some(id("the-cancel")),
    }
}

/// RESULT, as the specification shows it.
fn placed(name: &str) -> String {
    json!({"symbol": "DOGEUSDT", "orderId": 28, "clientOrderId": name, "transactTime": START + 5,
        "price": "0.2", "origQty": "1000", "executedQty": "0", "cummulativeQuoteQty": "0", "status": "NEW",
        "timeInForce": "GTC", "type": "LIMIT", "isIsolated": false, "side": "SELL",
        "selfTradePreventionMode": "NONE", "marginBuyBorrowAmount": "1000", "marginBuyBorrowAsset": "DOGE"})
    .to_string()
}

#[test]
fn row_004_30_an_order_goes_to_the_margin_account_with_its_side_effect() {
    let mut bench = Bench::up_with(SideEffect::AutoBorrowRepay);
    bench.place("o-1").unwrap();
    let asked = bench.asked(ORDER);
    assert_eq!(asked.method, "POST");
    let expected = [
        ("symbol", "DOGEUSDT"),
        ("side", "SELL"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("price", "0.2"),
        ("quantity", "1000"),
        ("newClientOrderId", "o-1"),
        ("newOrderRespType", "RESULT"),
        ("selfTradePreventionMode", "EXPIRE_TAKER"),
        ("sideEffectType", "AUTO_BORROW_REPAY"),
        ("autoRepayAtCancel", "TRUE"),
        ("recvWindow", "5000"),
        ("timestamp", "1700000000000"),
    ];
    for (name, value) in expected {
        assert_eq!(asked.params.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(asked.params.len(), expected.len() + 1, "and the signature: {:?}", asked.params);
    bench.answer(&asked, &placed("o-1"));
    let PlaceOutcome::Accepted(report) = bench.outcome() else { panic!("accepted") };
    assert_eq!((report.venue_id, report.status), (28, VenueStatus::New));
}

#[test]
fn an_order_that_borrows_nothing_says_nothing_of_repaying() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    let asked = bench.asked(ORDER);
    assert_eq!(asked.params["sideEffectType"], "NO_SIDE_EFFECT");
    assert!(!asked.params.contains_key("autoRepayAtCancel"));
}

#[test]
fn a_refusal_needs_the_wallets_word_and_everything_else_is_unknown() {
    let mut bench = Bench::up_with(SideEffect::MarginBuy);
    let cases = [
        (400, -2010, "Account has insufficient balance for requested action.", true),
        (400, -3006, "Your borrow amount has exceed maximum borrow amount.", true),
        (400, -3045, "The system doesn't have enough asset now.", true),
        (400, -1007, "Timeout waiting for response from backend server.", false),
        (504, 0, "<html>", false),
        (400, -3044, "System busy, please try again later.", false),
    ];
    for (status, code, words, refused) in cases {
        bench.place("o-1").unwrap();
        let asked = bench.asked(ORDER);
        bench.refuse(&asked, status, code, words);
        match bench.outcome() {
            PlaceOutcome::Rejected { code: found, message, .. } if refused => {
                assert_eq!((found, message.as_str()), (code, words));
            }
            PlaceOutcome::Unknown(_) if !refused => {}
            other => panic!("{status} {code}: {other:?}"),
        }
    }
}

#[test]
fn r02_no_answer_is_unknown_and_a_late_one_is_still_heard() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    let lost = bench.asked(ORDER);
    bench.input(lost.link, LinkInput::Down("the connection broke"));
    assert!(matches!(bench.outcome(), PlaceOutcome::Unknown(_)));
    bench.place("o-2").unwrap();
    let late = bench.asked(ORDER);
    bench.pass(Span::from_secs(13));
    assert!(matches!(bench.outcome(), PlaceOutcome::Unknown(_)));
    let closed = |action: &LinkAction| matches!(action, LinkAction::Close { .. }).then_some(());
    assert_eq!(bench.take(closed), [], "its answer may still come");
    bench.answer(&late, &placed("o-2"));
    assert!(matches!(bench.events().as_slice(), [VenueEvent::Report(report)] if report.venue_id == 28));
    assert!(bench.all_asked(ORDER).is_empty(), "an order is sent once");
}

#[test]
fn a_cancel_does_not_overtake_its_order() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    let asked = bench.asked(ORDER);
    bench.entry.cancel(bench.now, &cancel("o-1"), &mut bench.out).unwrap();
    assert!(bench.all_asked(ORDER).is_empty(), "it waits for the reply");
    bench.answer(&asked, &placed("o-1"));
    let asked = bench.asked(ORDER);
    assert_eq!(asked.method, "DELETE");
    let named = ["symbol", "origClientOrderId", "newClientOrderId"].map(|name| asked.params[name].as_str());
    assert_eq!(named, ["DOGEUSDT", "o-1", "the-cancel"]);
    bench.events();
    bench.now += Span::from_millis(40);
    // No transactTime: the specification shows none.
    let body = json!({"symbol": "DOGEUSDT", "isIsolated": true, "orderId": 28, "origClientOrderId": "o-1",
        "clientOrderId": "the-cancel", "price": "0.2", "origQty": "1000", "executedQty": "0",
        "cummulativeQuoteQty": "0", "status": "CANCELED", "timeInForce": "GTC", "type": "LIMIT",
        "side": "SELL"});
    bench.answer(&asked, &body.to_string());
    let events = bench.events();
    let [VenueEvent::CancelReply { outcome: CancelOutcome::Canceled(report), .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((report.time, report.status), (bench.now, VenueStatus::Canceled));
}

#[test]
fn a_cancel_that_waits_is_answered_before_the_loss_is_told() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    bench.entry.cancel(bench.now, &cancel("o-1"), &mut bench.out).unwrap();
    bench.input(bench.session, LinkInput::Down("gone"));
    let words = |event: &VenueEvent| match event {
        VenueEvent::Placed { outcome: PlaceOutcome::Unknown(_), .. } => "order unknown",
        VenueEvent::CancelReply { outcome: CancelOutcome::Unknown(_), .. } => "cancel unknown",
        VenueEvent::EntryDown(_) => "down",
        _ => "?",
    };
    let told: Vec<&str> = bench.events().iter().map(words).collect();
    assert_eq!(told, ["order unknown", "cancel unknown", "down"]);
    assert_eq!(bench.place("o-2"), Err(NotSent::Disconnected));
}

#[test]
fn r13_the_121st_order_that_borrows_waits_for_the_next_minute() {
    let mut bench = Bench::up_with(SideEffect::AutoBorrowRepay);
    let minute = Time::from_millis(1_700_000_040_030);
    for n in 0..120 {
        // The limit of orders in ten seconds is another one.
        bench.pass(Span::from_millis(300));
        bench.place(&format!("o-{n}")).unwrap();
        let asked = bench.asked(ORDER);
        bench.answer(&asked, &placed("o"));
    }
    assert!(bench.now < minute);
    assert_eq!(bench.place("o-121"), Err(NotSent::RateLimited { retry_at: minute }));
    assert!(bench.all_asked(ORDER).is_empty());
    bench.entry.cancel(bench.now, &cancel("o-1"), &mut bench.out).unwrap();
    assert_eq!(bench.asked(ORDER).method, "DELETE", "a cancel has a pool of its own");
    bench.pass(minute.since(bench.now));
    bench.place("o-121").unwrap();
}

#[test]
fn what_the_account_has_used_before_us_is_counted() {
    let mut bench = Bench::up_with(SideEffect::MarginBuy);
    bench.place("o-1").unwrap();
    let asked = bench.asked(ORDER);
    let headers = [("x-sapi-used-uid-weight-1m".to_owned(), "179000".to_owned())];
    let body = placed("o-1");
    bench.input(asked.link, LinkInput::Response { status: 200, headers: &headers, body: &body });
    assert!(matches!(bench.place("o-2"), Err(NotSent::RateLimited { .. })));
}

#[test]
fn orders_cannot_be_changed() {
    let mut bench = Bench::up();
    let amend = Amend {
        symbol: Symbol::new("dogeusdt"),
        id: id("o-1"),
        venue_id: Some(28),
        known_as: id("o-1"),
        amend_id: id("o-1"),
        side: Side::Sell,
        qty: Qty::whole(5),
        price: None,
    };
    bench.entry.amend(bench.now, &amend, &mut bench.out).unwrap();
    let events = bench.events();
    let [VenueEvent::AmendReply { outcome: AmendOutcome::Rejected { message, .. }, .. }] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(message.contains("cancel and send anew"), "{message}");
    assert!(bench.out.actions.is_empty());
}

#[test]
fn r35_a_token_is_renewed_at_half_of_its_life_and_nothing_pauses() {
    let mut bench = Bench::up();
    bench.pass(Span::from_secs(12 * 3_600 - 1));
    assert!(bench.all_asked(TOKEN).is_empty());
    bench.pass(Span::from_secs(1));
    bench.token("token-2", 24 * HOUR);
    bench.subscribe("token-2");
    assert_eq!(bench.events(), []);
    // The first token's life ends without a word.
    bench.pass(Span::from_secs(12 * 3_600 - 1));
    assert_eq!(bench.events(), []);
    bench.place("o-1").unwrap();
}

#[test]
fn a_connection_that_is_replaced_brings_its_own_token() {
    let mut bench = Bench::up();
    let old = bench.session;
    bench.text(&json!({"event": {"e": "serverShutdown", "E": START}}));
    bench.log_on();
    assert_ne!(bench.session, old);
    bench.token("token-2", 24 * HOUR);
    bench.subscribe("token-2");
    assert_eq!(bench.events(), [], "made before the old one is left");
    bench.pass(Span::from_secs(12 * 3_600));
    bench.token("token-3", 24 * HOUR);
    bench.subscribe("token-3");
    assert_eq!(bench.events(), []);
}

#[test]
fn r35_a_token_that_cannot_be_renewed_is_told_tried_again_and_then_a_loss() {
    let mut bench = Bench::up();
    bench.pass(Span::from_secs(12 * 3_600));
    let asked = bench.asked(TOKEN);
    bench.refuse(&asked, 500, -1000, "no");
    let warnings = bench.warnings();
    assert!(warnings[0].contains("private events end in 43200 s"), "{warnings:?}");
    bench.pass(Span::from_secs(12 * 3_600 / 20));
    // The token came, its subscription did not.
    bench.token("token-2", 24 * HOUR);
    let frame = bench.frame("userDataStream.subscribe.listenToken");
    bench.text(&json!({"id": frame["id"], "status": 400, "error": {"code": -1209, "msg": "invalid"}}));
    assert!(bench.warnings()[0].contains("-1209"));
    let mut tries = 0;
    let mut down = None;
    while down.is_none() && tries < 30 {
        bench.pass(Span::from_secs(12 * 3_600 / 20));
        for asked in bench.all_asked(TOKEN) {
            tries += 1;
            bench.refuse(&asked, 500, -1000, "no");
        }
        down = bench.events().into_iter().find(|event| matches!(event, VenueEvent::EntryDown(_)));
    }
    let Some(VenueEvent::EntryDown(why)) = down else { panic!("no loss after {tries} tries") };
    assert!(why.contains("could not be renewed") && why.contains("-1000"), "{why}");
    assert_eq!(bench.place("o-1"), Err(NotSent::Disconnected));
    bench.pass(Span::from_secs(5));
    bench.log_on();
    bench.token("token-3", 24 * HOUR);
    bench.subscribe("token-3");
    assert!(bench.events().contains(&VenueEvent::EntryUp), "and back: all that was missed is asked for");
}

#[test]
fn r35_a_terminated_stream_is_a_loss() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    bench.text(&json!({"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": START}}));
    let events = bench.events();
    assert!(
        matches!(events.as_slice(), [VenueEvent::Placed { outcome: PlaceOutcome::Unknown(_), .. },
            VenueEvent::EntryDown(why)] if why.contains("ended the stream of private events")),
        "{events:?}"
    );
}

#[test]
fn no_token_at_the_start_is_no_start() {
    let mut bench = Bench::with(SideEffect::None);
    let asked = bench.asked(TOKEN);
    bench.refuse(&asked, 401, -2015, "Invalid API-key, IP, or permissions for action.");
    let events = bench.events();
    assert!(matches!(events.as_slice(), [VenueEvent::EntryDown(_), VenueEvent::KeyRefused(_)]), "{events:?}");
    let mut bench = Bench::with(SideEffect::None);
    let asked = bench.asked(TOKEN);
    bench.refuse(&asked, 400, -3003, "Margin account does not exist.");
    let events = bench.events();
    let [VenueEvent::Refused(words), VenueEvent::EntryDown(_)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(words.contains("no cross-margin wallet"), "{words}");
    let mut bench = Bench::with(SideEffect::None);
    let asked = bench.asked(TOKEN);
    bench.answer(&asked, "{}");
    assert!(
        matches!(bench.events().as_slice(), [VenueEvent::EntryDown(why)] if why.contains("listen token"))
    );
}

#[test]
fn interest_is_read_page_by_page() {
    let mut bench = Bench::up();
    let since = Time::from_millis(START - HOUR);
    bench.entry.query(bench.now, 7, &Query::Income { since }, &mut bench.out);
    let path = "/sapi/v1/margin/interestHistory";
    let asked = bench.asked(path);
    assert_eq!(
        (asked.params["startTime"].as_str(), asked.params["current"].as_str(), asked.params["size"].as_str()),
        ("1699996400000", "1", "100")
    );
    let row = |id: u64, interest: &str| {
        json!({"txId": id, "interestAccuredTime": START, "asset": "DOGE", "principal": "1000",
            "interest": interest, "interestRate": "0.0000005", "type": "PERIODIC"})
    };
    bench.answer(&asked, &json!({"rows": [row(2, "0.02")], "total": 101}).to_string());
    let asked = bench.asked(path);
    assert_eq!(asked.params["current"], "2");
    bench.answer(&asked, &json!({"rows": [row(1, "0.01")], "total": 101}).to_string());
    let events = bench.events();
    let [VenueEvent::Answer { request: 7, answer: Answer::Income(rows) }] = events.as_slice() else {
        panic!("{events:?}")
    };
    let told: Vec<_> = rows.iter().map(|row| (row.id, row.amount.to_string())).collect();
    assert_eq!(told, [(Some(1), "-0.01".to_owned()), (Some(2), "-0.02".to_owned())]);
    assert!(rows.iter().all(|row| row.kind == ChargeKind::Interest && row.asset == Asset::new("DOGE")));
    // One that is under way when the connection is lost has no answer.
    bench.entry.query(bench.now, 8, &Query::Income { since }, &mut bench.out);
    let asked = bench.asked(path);
    bench.input(bench.session, LinkInput::Down("gone"));
    bench.events();
    bench.answer(&asked, &json!({"rows": [], "total": 0}).to_string());
    assert_eq!(bench.events(), []);
}

#[test]
fn long_lists_of_orders_are_two_pages() {
    let mut bench = Bench::up();
    let symbol = Symbol::new("dogeusdt");
    let query = Query::OrdersFrom { symbol, from: 1, conditional: false };
    bench.entry.query(bench.now, 9, &query, &mut bench.out);
    let page = |numbers: std::ops::Range<u64>| {
        let order: Value = serde_json::from_str(&placed("o")).unwrap();
        let row = |number: u64| {
            let mut row = order.clone();
            row["orderId"] = json!(number);
            row
        };
        Value::from(numbers.map(row).collect::<Vec<_>>()).to_string()
    };
    let path = "/sapi/v1/margin/allOrders";
    let first = bench.asked(path);
    assert_eq!((first.params["orderId"].as_str(), first.params["limit"].as_str()), ("1", "500"));
    bench.answer(&first, &page(1..501));
    assert_eq!(bench.events(), []);
    let second = bench.asked(path);
    assert_eq!(second.params["orderId"], "501");
    bench.answer(&second, &page(501..601));
    let events = bench.events();
    let [VenueEvent::Answer { request: 9, answer: Answer::Orders(rows) }] = events.as_slice() else {
        panic!("{events:?}")
    };
    let numbers: Vec<u64> = rows.iter().map(|row| row.venue_id).collect();
    assert_eq!(numbers, (1..601).collect::<Vec<_>>());
}

#[test]
fn margin_calls_are_told_and_nothing_hangs_on_their_stream() {
    let mut bench = Bench::up();
    let level = json!({"e": "MARGIN_LEVEL_STATUS_CHANGE", "E": START, "l": "1.25", "s": "MARGIN_CALL"});
    let text = level.to_string();
    bench.input(bench.risk, LinkInput::Text(&text));
    assert!(bench.warnings()[0].contains("the margin level is 1.25: MARGIN_CALL; move money"));
    bench.input(bench.risk, LinkInput::Text(r#"{"id":1,"result":[]}"#));
    assert_eq!(bench.events(), []);
    bench.input(bench.risk, LinkInput::Down("gone"));
    let events = bench.events();
    assert!(
        matches!(events.as_slice(), [VenueEvent::Warning { words, .. }] if words.contains("gone")),
        "{events:?}"
    );
    bench.place("o-1").unwrap();
    bench.pass(Span::from_secs(5));
    let again = bench.opened_at("ws://venue/margin-stream/ws/risk-1");
    bench.input(again, LinkInput::Up);
    let expired = json!({"e": "listenKeyExpired", "E": START}).to_string();
    bench.input(again, LinkInput::Text(&expired));
    let asked = bench.asked(RISK_KEY);
    bench.refuse(&asked, 500, -1000, "no");
    assert_eq!(bench.warnings().len(), 1, "its absence is told once");
}
