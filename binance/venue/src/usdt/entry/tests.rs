//! The machine against a scripted venue: replies and events are written by hand, after the venue's futures pages.

use binance_wire::sign::{SecretKey, percent_decode};
use serde_json::{Value, json};
use tradingsys::ids::ClientOrderId;
use tradingsys::market::{OrderType, Side, Stp, Tif, WorkingType};
use tradingsys::num::Qty;
use tradingsys::order::request::Terms;
use tradingsys::venue::port::{AmendOutcome, CancelOutcome, LinkAction, VenueStatus};

use super::*;
use crate::usdt::Endpoints;

const START: i64 = 1_700_000_000_000;

/// A request over HTTP.
#[derive(Debug)]
struct Asked {
    link: LinkId,
    method: &'static str,
    query: String,
}

struct Bench {
    entry: Entry,
    now: Time,
    out: Outbox,
    session: LinkId,
    stream: LinkId,
}

fn config() -> UsdtConfig {
    let at = Endpoints {
        rest: "http://venue",
        ws_api: "ws://venue/ws-fapi/v1",
        public: "ws://venue/public",
        market: "ws://venue/market",
        private: "ws://venue/private",
    };
    UsdtConfig::new(at, "the-key", SecretKey::from_seed(&[9; 32]), 5)
}

const FINE: &str = r#"{"canTrade":true,"dualSidePosition":false,"multiAssetsMargin":false}"#;
const HEDGED: &str = r#"{"canTrade":true,"dualSidePosition":true,"multiAssetsMargin":false}"#;

impl Bench {
    fn with(config: UsdtConfig) -> Self {
        let (now, none) = (Time::from_millis(START), LinkId(0));
        let mut bench =
            Self { entry: Entry::new(config), now, out: Outbox::default(), session: none, stream: none };
        bench.entry.start(bench.now, &mut bench.out);
        bench.log_on();
        bench
    }

    /// Up: session, account as needed, stream.
    fn up() -> Self {
        Self::up_with("[]")
    }

    fn up_with(symbols: &str) -> Self {
        let mut bench = Self::with(config());
        bench.checked(symbols);
        bench.listen("key-1");
        assert_eq!(bench.events().last(), Some(&VenueEvent::EntryUp));
        bench
    }

    /// The session comes up on the link just opened.
    fn log_on(&mut self) {
        self.session = self.opened("ws://venue/ws-fapi/v1");
        self.input(self.session, LinkInput::Up);
        let time = self.frame("time");
        self.reply(&time, json!({"serverTime": self.now.millis()}));
        let logon = self.frame("session.logon");
        self.reply(&logon, json!({}));
    }

    /// The account is found as it must be.
    fn checked(&mut self, symbols: &str) {
        let asked = self.asked("/fapi/v1/accountConfig");
        self.answer(&asked, FINE);
        let asked = self.asked("/fapi/v1/symbolConfig");
        self.answer(&asked, symbols);
    }

    /// The stream comes up under this key.
    fn listen(&mut self, key: &str) {
        let asked = self.asked("/fapi/v1/listenKey");
        assert_eq!(asked.method, "POST");
        self.answer(&asked, &format!(r#"{{"listenKey":"{key}"}}"#));
        self.stream = self.opened(&format!("ws://venue/private/ws/{key}"));
        self.input(self.stream, LinkInput::Up);
    }

    fn take<T>(&mut self, pick: impl Fn(&LinkAction) -> Option<T>) -> Vec<T> {
        let picked = self.out.actions.iter().filter_map(&pick).collect();
        self.out.actions.retain(|action| pick(action).is_none());
        picked
    }

    fn opened(&mut self, address: &str) -> LinkId {
        let links = self.take(|action| match action {
            LinkAction::Open { link, url, .. } if url == address => Some(*link),
            _ => None,
        });
        assert_eq!(links.len(), 1, "{address}: {:?}", self.out.actions);
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
            let asked = Asked { link: *link, method, query: query.to_owned() };
            (found == path).then_some(asked)
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
        assert_eq!(found.len(), 1, "{method}");
        found[0].clone()
    }

    fn events(&mut self) -> Vec<VenueEvent> {
        let mut events = std::mem::take(&mut self.out.events);
        events.retain(|event| !matches!(event, VenueEvent::Clock { .. } | VenueEvent::RulesDoubted));
        events
    }

    fn input(&mut self, link: LinkId, input: LinkInput<'_>) {
        self.entry.handle(self.now, link, input, &mut self.out);
    }

    fn text(&mut self, link: LinkId, value: &Value) {
        let text = value.to_string();
        self.input(link, LinkInput::Text(&text));
    }

    fn reply(&mut self, frame: &Value, result: Value) {
        self.text(
            self.session,
            &json!({"id": frame["id"], "status": 200, "result": result, "rateLimits": []}),
        );
    }

    fn fail(&mut self, frame: &Value, status: u16, code: i64, message: &str) {
        let error = json!({"code": code, "msg": message});
        self.text(self.session, &json!({"id": frame["id"], "status": status, "error": error}));
    }

    fn answer(&mut self, asked: &Asked, body: &str) {
        self.input(asked.link, LinkInput::Response { status: 200, headers: &[], body });
    }

    fn refuse(&mut self, asked: &Asked, code: i64) {
        let body = format!(r#"{{"code":{code},"msg":"no"}}"#);
        self.input(asked.link, LinkInput::Response { status: 400, headers: &[], body: &body });
    }

    /// Lets time pass; all connections are alive, and questions about the time are answered.
    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(due) = self.entry.deadline().filter(|due| *due <= end) {
            assert!(due >= self.now, "a deadline lies in the past: {:?}", self.entry);
            self.now = due;
            self.entry.timer(self.now, &mut self.out);
            for link in [self.session, self.stream] {
                self.input(link, LinkInput::Alive);
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
        }
        self.now = end;
    }

    fn place(&mut self, order: &NewOrder) -> Result<(), NotSent> {
        self.entry.place(self.now, order, &mut self.out)
    }
}

fn name(text: &str) -> ClientOrderId {
    ClientOrderId::foreign(text)
}

fn order(terms: Terms) -> NewOrder {
    NewOrder {
        id: name("o1"),
        symbol: Symbol::new("btcusdt"),
        side: Side::Buy,
        qty: "0.002".parse().unwrap(),
        terms,
        stp: Stp::ExpireTaker,
        good_till: None,
        working_type: WorkingType::Last,
        reduce_only: false,
    }
}

fn limit() -> NewOrder {
    order(Terms::Limit { price: "50000".parse().unwrap(), tif: Tif::Gtc })
}

fn cancel() -> Cancel {
    Cancel {
        symbol: Symbol::new("btcusdt"),
        id: name("o1"),
        venue_id: None,
        conditional: false,
        conditional_id: None,
        known_as: name("o1"),
        cancel_id: Some(name("c1")),
    }
}

fn shown(status: &str) -> Value {
    json!({"clientOrderId": "o1", "cumQty": "0", "executedQty": "0", "orderId": 7, "origQty": "0.002", "price": "50000",
        "reduceOnly": false, "side": "BUY", "positionSide": "BOTH", "status": status, "stopPrice": "0",
        "symbol": "BTCUSDT", "timeInForce": "GTC", "type": "LIMIT", "updateTime": START, "workingType": "CONTRACT_PRICE",
        "goodTillDate": 0})
}

#[test]
fn up_means_logged_on_as_needed_and_listening() {
    let mut bench = Bench::with(config());
    assert_eq!(bench.place(&limit()), Err(NotSent::Disconnected));
    let asked = bench.asked("/fapi/v1/accountConfig");
    let (signed, signature) = asked.query.split_once("&signature=").unwrap();
    let checker = SecretKey::from_seed(&[9; 32]).checker();
    assert!(checker.verify(signed.as_bytes(), &percent_decode(signature).unwrap()));
    bench.answer(&asked, FINE);
    bench.listen("key-1");
    assert_eq!(bench.events(), []);
    let asked = bench.asked("/fapi/v1/symbolConfig");
    bench.answer(&asked, "[]");
    assert_eq!(bench.events(), [VenueEvent::EntryUp]);
    assert_eq!(bench.place(&limit()), Ok(()));
}

#[test]
fn orders_of_each_kind_go_out_with_what_they_need_and_no_more() {
    let mut bench = Bench::up();
    let stamp = |mut value: Value| {
        value["recvWindow"] = json!(5000);
        value["timestamp"] = json!(START);
        value
    };
    let plain = json!({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.002", "newClientOrderId": "o1",
        "newOrderRespType": "ACK", "selfTradePreventionMode": "EXPIRE_TAKER"});
    let waits = json!({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.002", "clientAlgoId": "o1",
        "algoType": "CONDITIONAL", "workingType": "CONTRACT_PRICE", "selfTradePreventionMode": "EXPIRE_TAKER"});
    let price = || "50000".parse().unwrap();
    let stop = |order_type, limit| Terms::Stop { order_type, stop: "51000".parse().unwrap(), limit };
    let mut gtd = order(Terms::Limit { price: price(), tif: Tif::Gtd });
    gtd.good_till = Some(Time::from_millis(1_700_001_000_000));
    let mut reducing = order(Terms::Market);
    reducing.reduce_only = true;
    let mut marked = order(stop(OrderType::TakeProfitLimit, Some((price(), Tif::Ioc))));
    marked.working_type = WorkingType::Mark;
    let activation_price = Some("49000".parse().unwrap());
    let trailing = Terms::Trailing { callback_rate: "1.5".parse().unwrap(), activation_price };
    let cases = [
        (limit(), "order.place", json!({"type": "LIMIT", "timeInForce": "GTC", "price": "50000"})),
        (
            order(Terms::PostOnly { price: price() }),
            "order.place",
            json!({"type": "LIMIT", "timeInForce": "GTX", "price": "50000"}),
        ),
        (
            gtd,
            "order.place",
            json!({"type": "LIMIT", "timeInForce": "GTD", "price": "50000", "goodTillDate": 1_700_001_000_000_i64}),
        ),
        (reducing, "order.place", json!({"type": "MARKET", "reduceOnly": "true"})),
        (
            order(stop(OrderType::StopLoss, None)),
            "algoOrder.place",
            json!({"type": "STOP_MARKET", "triggerPrice": "51000"}),
        ),
        (
            marked,
            "algoOrder.place",
            json!({"type": "TAKE_PROFIT", "triggerPrice": "51000", "timeInForce": "IOC", "price": "50000",
                "workingType": "MARK_PRICE"}),
        ),
        (
            order(trailing),
            "algoOrder.place",
            json!({"type": "TRAILING_STOP_MARKET", "callbackRate": "1.5", "activatePrice": "49000"}),
        ),
    ];
    for (wish, method, more) in cases {
        bench.place(&wish).unwrap();
        let mut expected = stamp(if method == "order.place" { plain.clone() } else { waits.clone() });
        for (name, value) in more.as_object().unwrap() {
            expected[name] = value.clone();
        }
        assert_eq!(bench.frame(method)["params"], expected);
    }
}

#[test]
fn hedge_mode_is_refused_with_the_way_out_and_looked_at_again() {
    let mut bench = Bench::with(config());
    let asked = bench.asked("/fapi/v1/accountConfig");
    bench.answer(&asked, HEDGED);
    let events = bench.events();
    let [VenueEvent::Refused(why)] = events.as_slice() else { panic!("{events:?}") };
    assert!(why.contains("hedge mode") && why.contains("set_one_way_mode"), "{why}");
    bench.listen("key-1");
    assert_eq!(bench.place(&limit()), Err(NotSent::Disconnected));
    bench.pass(Span::from_secs(299));
    assert!(bench.all_asked("/fapi/v1/accountConfig").is_empty());
    bench.pass(Span::from_secs(2));
    bench.checked("[]");
    assert_eq!(bench.events(), [VenueEvent::EntryUp]);
}

#[test]
fn hedge_mode_is_changed_when_the_configuration_says_so() {
    for (code, done) in [(0, true), (-4059, true), (-4068, false)] {
        let mut bench = Bench::with(UsdtConfig { hedged: Hedged::Switch, ..config() });
        let asked = bench.asked("/fapi/v1/accountConfig");
        bench.answer(&asked, HEDGED);
        let asked = bench.asked("/fapi/v1/positionSide/dual");
        assert!(asked.method == "POST" && asked.query.starts_with("dualSidePosition=false&"));
        if code == 0 {
            bench.answer(&asked, r#"{"code":200,"msg":"success"}"#);
        } else {
            bench.refuse(&asked, code);
        }
        if done {
            bench.checked("[]");
            // Told with old and new, and only where it was changed.
            let told = |events: &[VenueEvent]| match events {
                [VenueEvent::Warning { event: "account changed", words }] => {
                    words.contains("was hedge mode and is one-way mode now")
                }
                _ => false,
            };
            let events = bench.events();
            assert!(if code == 0 { told(&events) } else { events.is_empty() }, "{events:?}");
        } else {
            assert!(matches!(bench.events().as_slice(), [VenueEvent::Refused(why)] if why.contains("-4068")));
        }
    }
}

#[test]
fn who_only_looks_is_told_of_the_change_and_changes_nothing() {
    let mut bench = Bench::with(UsdtConfig { hedged: Hedged::Announce, ..config() });
    let asked = bench.asked("/fapi/v1/accountConfig");
    bench.answer(&asked, HEDGED);
    let asked = bench.asked("/fapi/v1/symbolConfig");
    bench.answer(&asked, "[]");
    assert!(bench.all_asked("/fapi/v1/positionSide/dual").is_empty());
    let events = bench.events();
    let [VenueEvent::Warning { event: "account to be changed", words }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(words.contains("hedge mode") && words.contains("to one-way mode"), "{words}");
}

#[test]
fn multi_assets_mode_is_refused() {
    let mut bench = Bench::with(config());
    let asked = bench.asked("/fapi/v1/accountConfig");
    bench.answer(&asked, &FINE.replace("Margin\":false", "Margin\":true"));
    assert!(matches!(bench.events().as_slice(), [VenueEvent::Refused(why)] if why.contains("single-asset")));
}

#[test]
fn r49_the_mode_is_looked_at_again_when_an_order_is_refused_for_it() {
    let mut bench = Bench::up();
    bench.place(&limit()).unwrap();
    let sent = bench.frame("order.place");
    bench.fail(&sent, 400, -4061, "Order's position side does not match user's setting.");
    let asked = bench.asked("/fapi/v1/accountConfig");
    bench.answer(&asked, HEDGED);
    let events = bench.events();
    assert!(matches!(
        events.as_slice(),
        [
            VenueEvent::Placed { outcome: PlaceOutcome::Rejected { code: -4061, .. }, .. },
            VenueEvent::EntryDown(_),
            VenueEvent::Refused(_)
        ]
    ));
    assert_eq!(bench.place(&limit()), Err(NotSent::Disconnected));
}

#[test]
fn a_symbol_on_isolated_margin_takes_no_orders() {
    let mut bench = Bench::up_with(r#"[{"symbol":"BTCUSDT","marginType":"ISOLATED"}]"#);
    bench.place(&limit()).unwrap();
    let events = bench.events();
    let [VenueEvent::Placed { outcome: PlaceOutcome::Rejected { message, .. }, .. }] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(message.contains("isolated margin") && message.contains("nothing was sent"), "{message}");
    let change = json!({"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"m": "MARGIN_TYPE_CHANGE", "B": [],
        "P": [{"s": "BTCUSDT", "pa": "0", "mt": "cross", "ps": "BOTH"}]}});
    bench.text(bench.stream, &change);
    bench.place(&limit()).unwrap();
    bench.frame("order.place");
}

#[test]
fn i10_an_unknown_outcome_is_never_a_rejection_and_nothing_is_sent_twice() {
    for (status, code, message) in [
        (408, -1007, "Timeout waiting for response from backend server."),
        (503, 0, "Unknown error, please check your request or try again later."),
        (400, -4116, "ClientOrderId is duplicated."),
        (400, -9999, "a code of the future"),
    ] {
        let mut bench = Bench::up();
        bench.place(&limit()).unwrap();
        let sent = bench.frame("order.place");
        bench.fail(&sent, status, code, message);
        let events = bench.events();
        assert!(
            matches!(events.as_slice(), [VenueEvent::Placed { outcome: PlaceOutcome::Unknown(_), .. }]),
            "{code}: {events:?}"
        );
        bench.pass(Span::from_secs(40));
        let again = bench.take(|action| match action {
            LinkAction::Send { text, .. } => Some(text.clone()),
            _ => None,
        });
        assert!(again.is_empty(), "{again:?}");
    }
}

#[test]
fn definite_refusals_keep_the_venues_code() {
    for (code, message) in [
        (-2019, "Margin is insufficient."),
        (-2021, "Order would immediately trigger."),
        (-2027, "Exceeded the maximum allowable position at current leverage."),
        (-4045, "Reach max stop order limit."),
        (-4140, "Invalid symbol status for opening position."),
        (-5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."),
    ] {
        let mut bench = Bench::up();
        bench.place(&limit()).unwrap();
        let sent = bench.frame("order.place");
        bench.fail(&sent, 400, code, message);
        let outcome = PlaceOutcome::Rejected { code, message: message.to_owned(), for_now: false };
        assert_eq!(bench.events(), [VenueEvent::Placed { id: name("o1"), outcome }]);
    }
}

#[test]
fn a_cancel_keeps_the_orders_name_and_a_modification_too() {
    let mut bench = Bench::up();
    bench.entry.cancel(bench.now, &cancel(), &mut bench.out).unwrap();
    let sent = bench.frame("order.cancel");
    let expected =
        json!({"symbol": "BTCUSDT", "origClientOrderId": "o1", "recvWindow": 5000, "timestamp": START});
    assert_eq!(sent["params"], expected);
    bench.reply(&sent, shown("CANCELED"));
    let events = bench.events();
    let [VenueEvent::CancelReply { outcome: CancelOutcome::Canceled(report), .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((report.client_id.as_str(), report.previous_id.clone()), ("o1", None));
    let amend = Amend {
        symbol: Symbol::new("btcusdt"),
        id: name("o1"),
        venue_id: Some(7),
        known_as: name("o1"),
        amend_id: name("o1"),
        side: Side::Buy,
        qty: Qty::whole(1),
        price: Some("49000".parse().unwrap()),
    };
    bench.entry.amend(bench.now, &amend, &mut bench.out).unwrap();
    let sent = bench.frame("order.modify");
    let expected = json!({"symbol": "BTCUSDT", "orderId": 7, "side": "BUY", "quantity": "1", "price": "49000",
        "recvWindow": 5000, "timestamp": START});
    assert_eq!(sent["params"], expected);
    bench.fail(&sent, 400, -2013, "Order does not exist.");
    assert!(matches!(
        bench.events().as_slice(),
        [VenueEvent::AmendReply { outcome: AmendOutcome::Rejected { code: -2013, .. }, .. }]
    ));
}

#[test]
fn a_cancelled_conditional_order_is_asked_for() {
    let mut bench = Bench::up();
    let wish = Cancel { conditional: true, conditional_id: Some(55), ..cancel() };
    bench.entry.cancel(bench.now, &wish, &mut bench.out).unwrap();
    let sent = bench.frame("algoOrder.cancel");
    assert_eq!(sent["params"], json!({"algoId": 55, "recvWindow": 5000, "timestamp": START}));
    bench.reply(&sent, json!({"algoId": 55, "clientAlgoId": "o1", "code": "200", "msg": "success"}));
    assert_eq!(bench.events(), []);
    let asked = bench.asked("/fapi/v1/algoOrder");
    assert!(asked.query.starts_with("clientAlgoId=o1&"), "{asked:?}");
    let found = json!({"algoId": 55, "clientAlgoId": "o1", "algoType": "CONDITIONAL", "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT", "side": "BUY", "timeInForce": "GTC", "quantity": "0.002", "algoStatus": "CANCELED",
        "actualOrderId": "", "triggerPrice": "51000", "price": "0", "updateTime": START});
    bench.answer(&asked, &found.to_string());
    let events = bench.events();
    let [VenueEvent::CancelReply { outcome: CancelOutcome::Canceled(report), .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((report.conditional_id, report.status), (Some(55), VenueStatus::Canceled));
}

#[test]
fn row_004_61_the_key_is_renewed_at_half_its_life_and_the_stream_goes_on() {
    let mut bench = Bench::up();
    bench.pass(Span::from_secs(1_799));
    assert!(bench.all_asked("/fapi/v1/listenKey").is_empty());
    for _ in 0..3 {
        bench.pass(Span::from_secs(2));
        let asked = bench.asked("/fapi/v1/listenKey");
        assert_eq!((asked.method, asked.query.as_str()), ("PUT", ""));
        bench.answer(&asked, r#"{"listenKey":"key-1"}"#);
        bench.pass(Span::from_secs(1_798));
    }
    assert_eq!(bench.events(), []);
}

#[test]
fn a_forgotten_or_expired_key_is_replaced_and_what_was_missed_is_asked_for() {
    for expired in [false, true] {
        let mut bench = Bench::up();
        if expired {
            let text = json!({"e": "listenKeyExpired", "E": 1, "listenKey": "key-1"});
            bench.text(bench.stream, &text);
        } else {
            bench.pass(Span::from_secs(1_801));
            let asked = bench.asked("/fapi/v1/listenKey");
            bench.refuse(&asked, -1125);
        }
        assert!(
            matches!(bench.events().as_slice(), [VenueEvent::EntryDown(why)] if why.contains("listen key"))
        );
        assert_eq!(bench.place(&limit()), Err(NotSent::Disconnected));
        bench.listen("key-2");
        assert_eq!(bench.events(), [VenueEvent::EntryUp]);
    }
}

#[test]
fn a_key_that_cannot_be_renewed_is_given_up_with_the_reason_and_nothing_is_lost() {
    let mut bench = Bench::up();
    bench.pass(Span::from_secs(1_801));
    let mut tries = 0;
    let events = loop {
        for asked in bench.all_asked("/fapi/v1/listenKey") {
            tries += 1;
            let body = r#"{"code":-1000,"msg":"An unknown error occurred."}"#;
            bench.input(asked.link, LinkInput::Response { status: 500, headers: &[], body });
        }
        bench.pass(Span::from_secs(10));
        let events = bench.events();
        if !events.is_empty() {
            break events;
        }
    };
    assert!((10..=25).contains(&tries), "{tries}");
    let [VenueEvent::EntryDown(why)] = events.as_slice() else { panic!("{events:?}") };
    assert!(why.contains("could not be renewed") && why.contains("unknown error"), "{why}");
    bench.pass(Span::from_secs(1));
    bench.listen("key-2");
    assert_eq!(bench.events(), [VenueEvent::EntryUp]);
}

#[test]
fn r33_a_planned_end_of_the_stream_misses_no_event() {
    let mut short = config();
    short.access.timing.life = Span::from_secs(3 * 3_600);
    let mut bench = Bench::with(short);
    bench.checked("[]");
    bench.listen("key-1");
    assert_eq!(bench.events(), [VenueEvent::EntryUp]);
    let old = bench.stream;
    let mut renewals = 0;
    let next = loop {
        bench.pass(Span::from_secs(5));
        for asked in bench.all_asked("/fapi/v1/listenKey") {
            renewals += 1;
            bench.answer(&asked, r#"{"listenKey":"key-1"}"#);
        }
        let opened = bench.take(|action| match action {
            LinkAction::Open { link, url, .. } if url.contains("/private/") => Some(*link),
            _ => None,
        });
        if let [link] = opened.as_slice() {
            break *link;
        }
        // The session is replaced too; it may come back.
        let sessions = bench.take(|action| match action {
            LinkAction::Open { link, .. } => Some(*link),
            _ => None,
        });
        for link in sessions {
            bench.session = link;
            bench.input(link, LinkInput::Up);
            let time = bench.frame("time");
            bench.reply(&time, json!({"serverTime": bench.now.millis()}));
            let logon = bench.frame("session.logon");
            bench.reply(&logon, json!({}));
        }
    };
    assert!(renewals >= 5, "{renewals}");
    bench.input(next, LinkInput::Up);
    let update = |wb: &str| {
        json!({"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"m": "ORDER", "P": [],
            "B": [{"a": "USDT", "wb": wb, "cw": wb, "bc": "0"}]}})
    };
    bench.text(old, &update("1"));
    bench.text(next, &update("2"));
    let told = bench.events();
    assert_eq!(told.len(), 2, "{told:?}");
    bench.stream = next;
    bench.pass(Span::from_secs(2));
    let closed = bench.take(|action| match action {
        LinkAction::Close { link } => Some(*link),
        _ => None,
    });
    assert!(closed.contains(&old), "{closed:?}");
    assert_eq!(bench.events(), []);
}

#[test]
fn r02_losing_the_stream_answers_all_in_flight_before_it_is_told() {
    let mut bench = Bench::up();
    bench.place(&limit()).unwrap();
    let sent = bench.frame("order.place");
    bench.entry.query(bench.now, 9, &Query::Account, &mut bench.out);
    bench.input(bench.stream, LinkInput::Down("cut"));
    let events = bench.events();
    assert!(matches!(
        events.as_slice(),
        [VenueEvent::Placed { outcome: PlaceOutcome::Unknown(_), .. }, VenueEvent::EntryDown(why)] if why == "cut"
    ));
    // The reply still comes over the session, which lives: a fact worth passing on.
    bench.reply(&sent, shown("NEW"));
    assert!(matches!(bench.events().as_slice(), [VenueEvent::Report(report)] if report.venue_id == 7));
    bench.pass(Span::from_secs(1));
    bench.stream = bench.opened("ws://venue/private/ws/key-1");
    bench.input(bench.stream, LinkInput::Up);
    assert_eq!(bench.events(), [VenueEvent::EntryUp]);
}

#[test]
fn losing_the_session_keeps_the_stream_and_looks_at_the_account_again() {
    let mut bench = Bench::up();
    bench.input(bench.session, LinkInput::Down("cut"));
    assert_eq!(bench.events(), [VenueEvent::EntryDown("cut".to_owned())]);
    let report = json!({"e": "listenKeyExpired?", "E": 1});
    bench.text(bench.stream, &report);
    bench.pass(Span::from_secs(1));
    bench.log_on();
    bench.checked("[]");
    assert_eq!(bench.events(), [VenueEvent::EntryUp]);
}

#[test]
fn questions_go_the_way_that_has_them() {
    let mut bench = Bench::up();
    let symbol = Symbol::new("btcusdt");
    let since = Time::from_millis(1_000);
    let cases = [
        (Query::OpenOrders, "/fapi/v1/openOrders", ""),
        (Query::OpenConditionals, "/fapi/v1/openAlgoOrders", ""),
        (
            Query::OpenOrdersOf { symbol: symbol.clone(), conditional: false },
            "/fapi/v1/openOrders",
            "symbol=BTCUSDT&",
        ),
        (
            Query::OpenOrdersOf { symbol: symbol.clone(), conditional: true },
            "/fapi/v1/openAlgoOrders",
            "symbol=BTCUSDT&",
        ),
        (
            Query::TradesSince { symbol: symbol.clone(), since },
            "/fapi/v1/userTrades",
            "symbol=BTCUSDT&startTime=1000&endTime=86400999&limit=1000&",
        ),
        (
            Query::TradesFrom { symbol: symbol.clone(), from: 6 },
            "/fapi/v1/userTrades",
            "symbol=BTCUSDT&fromId=6&limit=1000&",
        ),
        (
            Query::OrdersFrom { symbol: symbol.clone(), from: 9, conditional: false },
            "/fapi/v1/allOrders",
            "symbol=BTCUSDT&orderId=9&limit=1000&",
        ),
        (
            Query::OrdersFrom { symbol: symbol.clone(), from: 9, conditional: true },
            "/fapi/v1/allAlgoOrders",
            "symbol=BTCUSDT&algoId=9&limit=1000&",
        ),
        (Query::Account, "/fapi/v3/account", ""),
        (Query::Income { since }, "/fapi/v1/income", "startTime=1000&limit=1000&"),
        (
            Query::Funding { symbol: symbol.clone(), since },
            "/fapi/v1/fundingRate",
            "symbol=BTCUSDT&startTime=1000&limit=1000",
        ),
    ];
    for (number, (query, path, params)) in cases.iter().enumerate() {
        bench.entry.query(bench.now, number as u64, query, &mut bench.out);
        let asked = bench.asked(path);
        assert!(asked.method == "GET" && asked.query.starts_with(params), "{asked:?}");
        bench.answer(
            &asked,
            if *path == "/fapi/v3/account" { r#"{"assets":[],"positions":[]}"# } else { "[]" },
        );
        let events = bench.events();
        assert!(
            matches!(events.as_slice(), [VenueEvent::Answer { request, .. }] if *request == number as u64),
            "{events:?}"
        );
    }
    let query = Query::Order { symbol, client_id: name("o1"), conditional: false };
    bench.entry.query(bench.now, 50, &query, &mut bench.out);
    let sent = bench.frame("order.status");
    bench.fail(&sent, 400, -2013, "Order does not exist.");
    assert_eq!(bench.events(), [VenueEvent::Answer { request: 50, answer: Answer::NotFound }]);
}

#[test]
fn r13_the_count_in_the_headers_holds_questions_back_and_never_a_cancel() {
    let mut bench = Bench::up();
    bench.entry.query(bench.now, 1, &Query::Account, &mut bench.out);
    let asked = bench.asked("/fapi/v3/account");
    let headers = [("x-mbx-used-weight-1m".to_owned(), "2300".to_owned())];
    let body = r#"{"assets":[],"positions":[]}"#;
    bench.input(asked.link, LinkInput::Response { status: 200, headers: &headers, body });
    bench.entry.query(bench.now, 2, &Query::Account, &mut bench.out);
    assert!(bench.all_asked("/fapi/v3/account").is_empty());
    bench.entry.cancel(bench.now, &cancel(), &mut bench.out).unwrap();
    bench.frame("order.cancel");
    bench.pass(Span::from_secs(60));
    bench.asked("/fapi/v3/account");
}

#[test]
fn r39_a_listen_key_waits_for_the_end_of_a_stop() {
    let mut bench = Bench::up();
    bench.entry.query(bench.now, 7, &Query::Account, &mut bench.out);
    let asked = bench.asked("/fapi/v3/account");
    let headers = [("retry-after".to_owned(), "20".to_owned())];
    let body = r#"{"code":-1003,"msg":"slow down"}"#;
    bench.input(asked.link, LinkInput::Response { status: 429, headers: &headers, body });
    let stop = bench.now + Span::from_secs(20);
    bench.text(bench.stream, &json!({"e": "listenKeyExpired", "E": START, "listenKey": "key-1"}));
    assert!(matches!(bench.events().as_slice(), [.., VenueEvent::EntryDown(_)]));
    let asks =
        |action: &LinkAction| matches!(action, LinkAction::Request { url, .. } if url.contains("/listenKey"));
    while !bench.out.actions.iter().any(asks) {
        let due = bench.entry.deadline().unwrap();
        bench.pass(due.since(bench.now));
    }
    let late = bench.now.since(stop);
    assert!(bench.now >= stop && late <= bench.entry.desk.config.timing.request, "{late:?}");
    bench.listen("key-2");
    assert_eq!(bench.events().last(), Some(&VenueEvent::EntryUp));
}
