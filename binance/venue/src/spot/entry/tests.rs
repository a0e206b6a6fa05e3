//! The machine against a scripted venue: replies and events are written by hand, after web-socket-api.md and
//! user-data-stream.md (2026-07-21).

use binance_wire::sign::{SecretKey, ws_payload};
use serde_json::{Value, json};
use tradingsys::ids::{ClientOrderId, IdKind, IdParts, Install, LinkId, SessionId, Symbol};
use tradingsys::market::{Side, Stp, Tif, WorkingType};
use tradingsys::num::Qty;
use tradingsys::order::request::{NewOrder, Terms};
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::{
    Amend, AmendOutcome, Answer, Cancel, CancelOutcome, LinkAction, LinkInput, NotSent, OrderEntry, Outbox,
    PlaceOutcome, Query, VenueEvent, VenueStatus,
};

use super::*;
use crate::common::Access;
use crate::rights::Guarded;
use crate::spot::SpotConfig;

const START: i64 = 1_700_000_000_000;

/// The venue's clock is this far ahead of ours.
const AHEAD: i64 = 120;

/// As a gateway is made of it: see `Guarded`.
struct Bench {
    entry: Guarded<Entry>,
    now: Time,
    out: Outbox,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Access)) -> Self {
        let key = SecretKey::from_seed(&[9; 32]);
        let mut config = SpotConfig::new("ws://venue/ws-api/v3", "ws://venue", "the-key", key, 5).access;
        change(&mut config);
        let entry = Guarded::new(Entry::new(config.clone()), &config, "");
        Self { entry, now: Time::from_millis(START), out: Outbox::default() }
    }

    /// Started, and up on the first link.
    fn up() -> Self {
        Self::up_with(|_| ())
    }

    fn up_with(change: impl FnOnce(&mut Access)) -> Self {
        let mut bench = Self::with(change);
        bench.entry.start(bench.now, &mut bench.out);
        let link = bench.opened();
        bench.shake_hands(link);
        assert_eq!(bench.events().last(), Some(&VenueEvent::EntryUp));
        bench
    }

    /// The link just opened.
    fn opened(&mut self) -> LinkId {
        let opens = self.take_actions(|action| match action {
            LinkAction::Open { link, url, .. } => {
                assert_eq!(url, "ws://venue/ws-api/v3");
                Some(*link)
            }
            _ => None,
        });
        assert_eq!(opens.len(), 1);
        opens[0]
    }

    fn closed(&mut self) -> Vec<LinkId> {
        self.take_actions(|action| match action {
            LinkAction::Close { link } => Some(*link),
            _ => None,
        })
    }

    fn take_actions<T>(&mut self, pick: impl Fn(&LinkAction) -> Option<T>) -> Vec<T> {
        let picked = self.out.actions.iter().filter_map(&pick).collect();
        self.out.actions.retain(|action| pick(action).is_none());
        picked
    }

    /// The requests sent since the last call, with their links.
    fn requests(&mut self) -> Vec<(LinkId, Value)> {
        self.take_actions(|action| match action {
            LinkAction::Send { link, text } => Some((*link, serde_json::from_slice(text).unwrap())),
            _ => None,
        })
    }

    /// The only request of this method sent since the last call.
    fn request(&mut self, method: &str) -> (LinkId, Value) {
        let mut found: Vec<_> = self.requests().into_iter().filter(|(_, r)| r["method"] == method).collect();
        assert_eq!(found.len(), 1, "{method}");
        found.remove(0)
    }

    fn events(&mut self) -> Vec<VenueEvent> {
        std::mem::take(&mut self.out.events)
    }

    /// Events without the measurements of the clock, and without doubts of the rules.
    fn news(&mut self) -> Vec<VenueEvent> {
        let mut events = self.events();
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

    fn ok(&mut self, link: LinkId, request: &Value, result: Value) {
        self.text(link, &json!({"id": request["id"], "status": 200, "result": result, "rateLimits": []}));
    }

    fn fail(&mut self, link: LinkId, request: &Value, status: u16, code: i64, message: &str) {
        let error = json!({"code": code, "msg": message});
        self.text(link, &json!({"id": request["id"], "status": status, "error": error}));
    }

    fn event(&mut self, link: LinkId, event: Value) {
        self.text(link, &json!({"subscriptionId": 0, "event": event}));
    }

    /// Lets time pass, calling the timer at each deadline, with the venue pinging all links.
    fn pass(&mut self, span: Span) {
        self.pass_with(span, true);
    }

    fn pass_with(&mut self, span: Span, pings: bool) {
        let end = self.now + span;
        let mut ping = self.now + Span::from_secs(10);
        loop {
            let due = self.entry.deadline().unwrap_or(end).max(self.now);
            if pings && ping <= due.min(end) {
                self.now = ping;
                ping += Span::from_secs(10);
                let links: Vec<LinkId> = self.entry.entry.sessions.keys().copied().collect();
                for link in links {
                    self.input(link, LinkInput::Alive);
                }
            } else if due <= end {
                self.now = due;
                self.entry.timer(due, &mut self.out);
            } else {
                self.now = end;
                return;
            }
        }
    }

    fn shake_hands(&mut self, link: LinkId) {
        self.input(link, LinkInput::Up);
        let (_, time) = self.request("time");
        self.ok(link, &time, json!({"serverTime": self.now.millis() + AHEAD}));
        let (on, logon) = self.request("session.logon");
        assert_eq!(on, link);
        self.ok(link, &logon, json!({"apiKey": "the-key", "authorizedSince": 1, "userDataStream": false}));
        let (_, subscribe) = self.request("userDataStream.subscribe");
        self.ok(link, &subscribe, json!({"subscriptionId": 0}));
        let (_, limits) = self.request("account.rateLimits.orders");
        self.ok(
            link,
            &limits,
            json!([
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50, "count": 0},
                {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160000, "count": 0}
            ]),
        );
    }

    fn place(&mut self, id: &str) -> Result<(), NotSent> {
        self.entry.place(self.now, &order(id), &mut self.out)
    }

    fn placed(&mut self, id: &str) -> (LinkId, Value) {
        self.place(id).unwrap();
        self.request("order.place")
    }

    fn cancel(&mut self, id: &str) -> Result<(), NotSent> {
        let cancel = Cancel {
            symbol: Symbol::new("dogeusdt"),
            id: name(id),
            venue_id: None,
            conditional: false,
            conditional_id: None,
            known_as: name(id),
            cancel_id: Some(name("the-cancel")),
        };
        self.entry.cancel(self.now, &cancel, &mut self.out)
    }

    fn ask(&mut self, request: u64, query: &Query) {
        self.entry.query(self.now, request, query, &mut self.out);
    }
}

fn name(id: &str) -> ClientOrderId {
    ClientOrderId::foreign(id)
}

fn order(id: &str) -> NewOrder {
    NewOrder {
        id: name(id),
        symbol: Symbol::new("dogeusdt"),
        side: Side::Buy,
        qty: Qty::whole(10),
        terms: Terms::Limit { price: "0.2".parse().unwrap(), tif: Tif::Gtc },
        stp: Stp::ExpireTaker,
        good_till: None,
        working_type: WorkingType::Last,
        reduce_only: false,
    }
}

fn result(id: &str, status: &str) -> Value {
    json!({"symbol": "DOGEUSDT", "orderId": 28, "orderListId": -1, "clientOrderId": id,
        "transactTime": 1_700_000_000_500_i64, "price": "0.20000000", "origQty": "10.00000000",
        "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "0.00000000",
        "status": status, "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
        "workingTime": 1_700_000_000_500_i64, "selfTradePreventionMode": "EXPIRE_TAKER"})
}

fn unknown(event: &VenueEvent) -> Option<&str> {
    match event {
        VenueEvent::Placed { id, outcome: PlaceOutcome::Unknown(_) }
        | VenueEvent::CancelReply { id, outcome: CancelOutcome::Unknown(_) }
        | VenueEvent::AmendReply { id, outcome: AmendOutcome::Unknown(_) } => Some(id.as_str()),
        _ => None,
    }
}

#[test]
fn row_004_61_75_the_logon_is_signed_with_the_venues_time() {
    let mut bench = Bench::new();
    bench.entry.start(bench.now, &mut bench.out);
    let link = bench.opened();
    assert!(bench.entry.owns(link));
    assert_eq!(bench.place("o1"), Err(NotSent::Disconnected));
    bench.input(link, LinkInput::Up);
    let (_, time) = bench.request("time");
    bench.now += Span::from_millis(40);
    bench.ok(link, &time, json!({"serverTime": START + 20 + AHEAD}));
    let clock = VenueEvent::Clock { offset_nanos: AHEAD * 1_000_000, round_trip: Span::from_millis(40) };
    assert_eq!(bench.events(), [clock]);
    let (_, logon) = bench.request("session.logon");
    let params = &logon["params"];
    assert_eq!(params["timestamp"], START + 40 + AHEAD);
    let (stamp, window) = (params["timestamp"].to_string(), params["recvWindow"].to_string());
    let payload = ws_payload([("apiKey", "the-key"), ("timestamp", &stamp), ("recvWindow", &window)]);
    let checker = SecretKey::from_seed(&[9; 32]).checker();
    assert!(checker.verify(payload.as_bytes(), params["signature"].as_str().unwrap()));
    assert_eq!(bench.place("o1"), Err(NotSent::Disconnected));
}

#[test]
fn a_placement_is_answered_once() {
    let mut bench = Bench::up();
    let (link, request) = bench.placed("o1");
    assert_eq!(request["params"]["newClientOrderId"], "o1");
    assert_eq!(request["params"]["timestamp"], START + AHEAD);
    bench.ok(link, &request, result("o1", "NEW"));
    let events = bench.news();
    let [VenueEvent::Placed { id, outcome: PlaceOutcome::Accepted(report) }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((id.as_str(), report.venue_id, report.status), ("o1", 28, VenueStatus::New));
    bench.ok(link, &request, result("o1", "NEW"));
    assert_eq!(bench.news(), []);
}

#[test]
fn a_refusal_by_the_price_band_says_what_it_means() {
    let mut bench = Bench::up();
    let (link, request) = bench.placed("o1");
    bench.news();
    bench.fail(link, &request, 400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE");
    let events = bench.news();
    let [VenueEvent::Placed { outcome: PlaceOutcome::Rejected { code: -1013, message, .. }, .. }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(message.starts_with("Filter failure: PERCENT_PRICE_BY_SIDE (the price is too far"), "{message}");
}

#[test]
fn a_refused_order_is_rejected_only_on_evidence() {
    let mut bench = Bench::up();
    for (status, code, message, rejected) in [
        (400, -2010, "Account has insufficient balance for requested action.", true),
        (400, -1013, "Filter failure: NOTIONAL", true),
        (429, -1015, "Too many new orders; current limit is 50 orders per TEN_SECONDS.", true),
        (400, -2010, "Duplicate order sent.", false),
        (504, -1007, "Timeout waiting for response from backend server.", false),
        (500, -1000, "An unknown error occurred while processing the request.", false),
        (400, -4321, "a code of the future", false),
    ] {
        bench.pass(Span::from_secs(20));
        bench.requests();
        let (link, request) = bench.placed("o1");
        bench.news();
        bench.fail(link, &request, status, code, message);
        let events = bench.news();
        let [VenueEvent::Placed { outcome, .. }] = events.as_slice() else { panic!("{events:?}") };
        match outcome {
            PlaceOutcome::Rejected { code: c, message: m, for_now } => {
                assert!(rejected && *c == code && m == message, "{code} {message}");
                assert_eq!(*for_now, status == 429, "{code} {message}");
            }
            PlaceOutcome::Unknown(_) => assert!(!rejected, "{code} {message}"),
            PlaceOutcome::Accepted(_) => panic!("{outcome:?}"),
        }
    }
    let (link, request) = bench.placed("o2");
    bench.ok(link, &request, json!({"orderId": 28}));
    assert_eq!(unknown(&bench.news()[0]), Some("o2"));
}

#[test]
fn r19_a_cancel_of_an_order_that_is_not_open() {
    let mut bench = Bench::up();
    for (code, message, expected) in [
        (-2011, "Unknown order sent.", CancelOutcome::UnknownOrder),
        (
            -2011,
            "Order was not canceled due to cancel restrictions.",
            CancelOutcome::Rejected {
                code: -2011,
                message: "Order was not canceled due to cancel restrictions.".to_owned(),
            },
        ),
        (-1007, "Timeout", CancelOutcome::Unknown("400 -1007 Timeout".to_owned())),
    ] {
        bench.cancel("o1").unwrap();
        let (link, request) = bench.request("order.cancel");
        assert_eq!(request["params"]["newClientOrderId"], "the-cancel");
        bench.fail(link, &request, 400, code, message);
        assert_eq!(bench.news(), [VenueEvent::CancelReply { id: name("o1"), outcome: expected }]);
    }
    bench.cancel("o1").unwrap();
    let (link, request) = bench.request("order.cancel");
    let mut done = result("the-cancel", "CANCELED");
    done["origClientOrderId"] = json!("o1");
    bench.ok(link, &request, done);
    let events = bench.news();
    let [VenueEvent::CancelReply { outcome: CancelOutcome::Canceled(report), .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(report.previous_id, Some(name("o1")));
}

#[test]
fn r02_a_lost_link_answers_everything_before_it_is_down() {
    let mut bench = Bench::up();
    let (link, _) = bench.placed("o1");
    bench.cancel("o0").unwrap();
    let amend = Amend {
        symbol: Symbol::new("dogeusdt"),
        id: name("o2"),
        known_as: name("o2"),
        amend_id: name("a2"),
        venue_id: None,
        side: Side::Buy,
        qty: Qty::whole(5),
        price: None,
    };
    bench.entry.amend(bench.now, &amend, &mut bench.out).unwrap();
    bench.ask(77, &Query::OpenOrders);
    bench.news();
    bench.input(link, LinkInput::Down("reset by peer"));
    let events = bench.news();
    let lost: Vec<_> = events[..3].iter().map(|event| unknown(event).unwrap()).collect();
    assert_eq!(lost, ["o1", "o0", "o2"]);
    assert_eq!(events[3..], [VenueEvent::EntryDown("reset by peer".to_owned())]);
    assert_eq!(bench.place("o3"), Err(NotSent::Disconnected));
    bench.ask(78, &Query::Account);
    assert!(matches!(bench.news()[..], [VenueEvent::Answer { request: 78, answer: Answer::Failed(_) }]));

    bench.requests();
    bench.pass(Span::from_secs(2));
    let next = bench.opened();
    bench.shake_hands(next);
    assert_eq!(bench.news(), [VenueEvent::EntryUp]);
    assert_eq!(bench.requests(), [], "nothing is ever sent again");
}

#[test]
fn r02_no_reply_in_time_is_unknown_and_a_late_one_still_counts() {
    let mut bench = Bench::up();
    let (link, first) = bench.placed("o1");
    let (_, second) = bench.placed("o2");
    bench.pass(Span::from_secs(13));
    let unknowns: Vec<_> = bench.news().iter().map(|event| unknown(event).unwrap().to_owned()).collect();
    assert_eq!(unknowns, ["o1", "o2"]);
    bench.ok(link, &first, result("o1", "NEW"));
    let events = bench.news();
    let [VenueEvent::Report(report)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(report.client_id, name("o1"));
    bench.fail(link, &second, 400, -2010, "Account has insufficient balance for requested action.");
    assert_eq!(bench.news(), []);
    bench.ask(7, &Query::Account);
    bench.pass(Span::from_secs(13));
    assert!(matches!(bench.news()[..], [VenueEvent::Answer { request: 7, answer: Answer::Failed(_) }]));
}

#[test]
fn r33_a_connection_is_replaced_before_it_ends() {
    let mut bench = Bench::up();
    let old = LinkId(1);
    bench.pass(Span::from_secs(22 * 3_600));
    bench.requests();
    assert_eq!(bench.out.actions, []);
    while !bench.out.actions.iter().any(|action| matches!(action, LinkAction::Open { .. })) {
        bench.pass(Span::from_secs(10));
        assert!(bench.now < Time::from_millis(START) + Span::from_secs(23 * 3_600 + 10), "too late");
    }
    let next = bench.opened();
    let (on, request) = bench.placed_on_any("o1");
    assert_eq!(on, old);
    bench.news();
    bench.shake_hands(next);
    assert_eq!(bench.news(), [], "nobody notices");
    let (on, _) = bench.placed("o2");
    assert_eq!(on, next);
    bench.pass(Span::from_secs(3));
    assert_eq!(bench.closed(), [], "its request is still open");
    bench.cancel("o1").unwrap();
    let (on, cancel) = bench.request("order.cancel");
    assert_eq!(on, old, "a cancel does not overtake its order");
    bench.fail(old, &cancel, 400, -2011, "Unknown order sent.");
    bench.news();
    bench.event(old, json!({"e": "outboundAccountPosition", "E": 1, "u": 1, "B": []}));
    assert_eq!(bench.news(), [VenueEvent::Balances(vec![])]);
    bench.ok(old, &request, result("o1", "NEW"));
    assert!(matches!(bench.news()[..], [VenueEvent::Placed { .. }]));
    bench.pass(Span::from_secs(2));
    assert_eq!(bench.closed(), [old]);
    bench.input(old, LinkInput::Down("closed"));
    assert_eq!(bench.news(), []);
}

impl Bench {
    fn placed_on_any(&mut self, id: &str) -> (LinkId, Value) {
        self.requests();
        self.placed(id)
    }
}

#[test]
fn r34_a_shutdown_notice_replaces_the_connection_at_once() {
    let mut bench = Bench::up();
    let (old, _) = bench.placed("o1");
    bench.text(old, &json!({"event": {"e": "serverShutdown", "E": 1_770_123_456_789_i64}}));
    let next = bench.opened();
    bench.text(old, &json!({"event": {"e": "serverShutdown", "E": 1_770_123_456_790_i64}}));
    assert_eq!(bench.out.actions, []);
    bench.input(next, LinkInput::Down("refused"));
    assert_eq!(bench.news(), [], "the old one still serves");
    bench.pass(Span::from_secs(2));
    let next = bench.opened();
    bench.shake_hands(next);
    assert_eq!(bench.news(), []);
    bench.input(next, LinkInput::Down("reset"));
    let events = bench.news();
    assert_eq!(unknown(&events[0]), Some("o1"), "also what was in flight on the one leaving");
    assert_eq!(events[1..], [VenueEvent::EntryDown("reset".to_owned())]);
    assert_eq!(bench.closed(), [old]);
}

#[test]
fn r34_the_old_connection_ends_before_the_new_one_is_ready() {
    let mut bench = Bench::up();
    bench.text(LinkId(1), &json!({"event": {"e": "serverShutdown", "E": 1}}));
    let next = bench.opened();
    bench.input(next, LinkInput::Up);
    let (_, time) = bench.request("time");
    bench.news();
    bench.input(LinkId(1), LinkInput::Down("closed by the venue"));
    assert_eq!(bench.news(), [VenueEvent::EntryDown("closed by the venue".to_owned())]);
    bench.ok(next, &time, json!({"serverTime": START}));
    let (_, logon) = bench.request("session.logon");
    bench.ok(next, &logon, json!({}));
    let (_, subscribe) = bench.request("userDataStream.subscribe");
    bench.ok(next, &subscribe, json!({"subscriptionId": 0}));
    assert_eq!(bench.news(), [VenueEvent::EntryUp]);
}

#[test]
fn a_refused_key_is_said_and_retried_seldom() {
    let mut bench = Bench::new();
    bench.entry.start(bench.now, &mut bench.out);
    let link = bench.opened();
    bench.input(link, LinkInput::Up);
    let (_, time) = bench.request("time");
    bench.ok(link, &time, json!({"serverTime": START}));
    let (_, logon) = bench.request("session.logon");
    bench.fail(link, &logon, 401, -2015, "Invalid API-key, IP, or permissions for action.");
    let events = bench.news();
    assert!(
        matches!(&events[..], [VenueEvent::EntryDown(_), VenueEvent::KeyRefused(why)] if why.contains("-2015"))
    );
    assert_eq!(bench.closed(), [link]);
    bench.pass(Span::from_secs(299));
    assert_eq!(bench.out.actions, []);
    bench.pass(Span::from_secs(2));
    bench.opened();
}

#[test]
fn a_key_revoked_later_ends_the_connection() {
    let mut bench = Bench::up();
    bench.placed("o1");
    bench.text(
        LinkId(1),
        &json!({"id": null, "status": 401, "error": {"code": -2015, "msg": "Invalid API-key"}}),
    );
    let events = bench.news();
    assert_eq!(unknown(&events[0]), Some("o1"));
    assert!(matches!(&events[1..], [VenueEvent::EntryDown(_), VenueEvent::KeyRefused(_)]));
}

#[test]
fn r38_a_clock_beyond_the_tolerance_stops_orders_but_not_cancels() {
    let mut bench = Bench::up();
    let (link, request) = bench.placed("o1");
    bench.fail(link, &request, 400, -1021, "Timestamp for this request is outside of the recvWindow.");
    assert!(matches!(
        bench.news()[..],
        [VenueEvent::Placed { outcome: PlaceOutcome::Rejected { code: -1021, .. }, .. }]
    ));
    assert!(matches!(bench.place("o2"), Err(NotSent::ClockOff(_))));
    let (_, time) = bench.request("time");
    bench.ok(link, &time, json!({"serverTime": START + 3_000}));
    assert_eq!(bench.place("o2"), Err(NotSent::ClockOff(Span::from_secs(3))));
    bench.cancel("o0").unwrap();
    let (_, cancel) = bench.request("order.cancel");
    assert_eq!(cancel["params"]["timestamp"], START + 3_000, "in the venue's time all the same");
    bench.pass(Span::from_secs(31));
    let (_, time) = bench.request("time");
    bench.ok(link, &time, json!({"serverTime": bench.now.millis()}));
    bench.news();
    bench.place("o3").unwrap();
}

#[test]
fn r13_orders_over_the_budget_are_refused_at_once_and_cancels_are_not() {
    let mut bench = Bench::up();
    for at in 0..50 {
        let id = format!("o{at}");
        let (link, request) = bench.placed(&id);
        bench.ok(link, &request, result(&id, "NEW"));
    }
    // Thirty milliseconds may lie between the exchange's clock and what we take for it.
    let window_end = Time::from_millis(START + 10_000 - AHEAD + 30);
    assert_eq!(bench.place("o50"), Err(NotSent::RateLimited { retry_at: window_end }));
    bench.cancel("o1").unwrap();
    bench.now = window_end;
    bench.place("o50").unwrap();
}

#[test]
fn r39_after_a_429_nothing_is_sent_until_the_venue_says() {
    let mut bench = Bench::up();
    bench.ask(1, &Query::Account);
    let (link, request) = bench.request("account.status");
    let error = json!({"code": -1003, "msg": "Too much request weight used.",
        "data": {"serverTime": START, "retryAfter": START + 30_000 + AHEAD}});
    bench.text(link, &json!({"id": request["id"], "status": 429, "error": error}));
    let until = Time::from_millis(START + 30_000);
    assert_eq!(bench.place("o1"), Err(NotSent::RateLimited { retry_at: until }));
    assert_eq!(bench.cancel("o1"), Err(NotSent::RateLimited { retry_at: until }));
    bench.pass(Span::from_millis(29_999));
    assert!(bench.requests().iter().all(|(_, r)| r["method"] == "time"));
    assert_eq!(bench.news(), []);
    bench.pass(Span::from_millis(1));
    let (_, request) = bench.request("account.status");
    bench.ok(link, &request, json!({"canTrade": true, "updateTime": 5, "balances": []}));
    assert!(matches!(bench.news()[..], [VenueEvent::Answer { request: 1, answer: Answer::Account(_) }]));
}

#[test]
fn questions_wait_for_their_share_of_the_weight() {
    let mut bench = Bench::up_with(|config| config.limits[0].limit = 200);
    for request in 0..4 {
        bench.ask(request, &Query::Account);
    }
    assert_eq!(bench.requests().len(), 3, "60 of 120, beside 47 of the handshake");
    bench.place("o1").unwrap();
    bench.pass(Span::from_secs(60));
    assert!(bench.requests().iter().any(|(_, r)| r["method"] == "account.status"));
}

/// The `n`-th order of a session.
fn of(session: u16, n: u64) -> ClientOrderId {
    let (kind, install, session) = (IdKind::Order, Install::from_hash(1), SessionId(session));
    ClientOrderId::mint(IdParts { kind, install, epoch: 1, session, command: n })
}

#[test]
fn r13_a_session_that_floods_leaves_the_others_their_part() {
    let flood = |bench: &mut Bench, session| {
        let place = |n| bench.place(of(session, n).as_str());
        (1..100).map(place).take_while(Result::is_ok).count()
    };
    let mut bench = Bench::up();
    assert_eq!(flood(&mut bench, 1), 50, "alone it has all that the venue counts");
    let mut bench = Bench::up();
    bench.entry.share_among(&[1, 2].map(SessionId).into());
    let sent = [1, 2].map(|session| flood(&mut bench, session));
    assert!(sent.iter().sum::<usize>() == 50 && sent[1] >= 24, "{sent:?}");
    for (session, n) in [(1, 101), (2, 102)] {
        bench.cancel(of(session, n).as_str()).unwrap();
    }
}

#[test]
fn questions_go_on_after_others_were_never_answered() {
    let mut bench = Bench::up_with(|config| config.limits[0].limit = 100_000);
    for request in 0..20 {
        bench.ask(request, &Query::Account);
    }
    assert_eq!(bench.requests().len(), 16);
    bench.pass(Span::from_secs(12));
    assert_eq!(bench.news().len(), 16);
    assert_eq!(bench.requests().iter().filter(|(_, r)| r["method"] == "account.status").count(), 4);
}

#[test]
fn answers() {
    let mut bench = Bench::up();
    let symbol = Symbol::new("dogeusdt");
    bench.ask(1, &Query::Order { symbol: symbol.clone(), client_id: name("o1"), conditional: false });
    bench.ask(2, &Query::Order { symbol: symbol.clone(), client_id: name("o2"), conditional: false });
    bench.ask(3, &Query::OpenOrders);
    bench.ask(4, &Query::TradesFrom { symbol, from: 5 });
    let requests = bench.requests();
    let link = LinkId(1);
    let mut found = result("o1", "NEW");
    found["updateTime"] = json!(1);
    bench.ok(link, &requests[0].1, found.clone());
    bench.fail(link, &requests[1].1, 400, -2013, "Order does not exist.");
    bench.ok(link, &requests[2].1, json!([found]));
    bench.fail(link, &requests[3].1, 503, -1001, "Internal error");
    let answers: Vec<_> = bench
        .news()
        .into_iter()
        .map(|event| match event {
            VenueEvent::Answer { request, answer } => (request, answer),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(matches!(&answers[0], (1, Answer::Order(report)) if report.client_id == name("o1")));
    assert!(matches!(&answers[1], (2, Answer::NotFound)));
    assert!(matches!(&answers[2], (3, Answer::Orders(orders)) if orders.len() == 1));
    assert!(matches!(&answers[3], (4, Answer::Failed(_))));
}

#[test]
fn r36_silence_is_asked_about_and_then_ends_the_connection() {
    let mut bench = Bench::up();
    bench.pass_with(Span::from_secs(13), false);
    bench.request("time");
    bench.pass_with(Span::from_secs(11), false);
    assert_eq!(bench.news(), []);
    bench.pass_with(Span::from_secs(1), false);
    assert_eq!(bench.closed(), [LinkId(1)]);
    assert!(matches!(bench.news()[..], [VenueEvent::EntryDown(_)]));
}

#[test]
fn an_ended_event_stream_is_a_lost_connection() {
    let mut bench = Bench::up();
    bench.event(LinkId(1), json!({"e": "eventStreamTerminated", "E": 1}));
    assert!(matches!(bench.news()[..], [VenueEvent::EntryDown(_)]));
    assert_eq!(bench.closed(), [LinkId(1)]);
    bench.pass(Span::from_secs(2));
    let next = bench.opened();
    bench.shake_hands(next);
    assert_eq!(bench.news(), [VenueEvent::EntryUp]);
}

#[test]
fn r43_what_cannot_be_read_is_said() {
    let mut bench = Bench::up();
    let link = LinkId(1);
    bench.event(link, json!({"e": "somethingNew", "x": 1}));
    bench.event(link, json!({"e": "balanceUpdate", "E": 1, "a": "BTC", "d": "-1.5", "T": 7}));
    bench.event(link, json!({"e": "executionReport", "E": 1}));
    bench.input(link, LinkInput::Text("{\"subscriptionId\":0,\"ev"));
    let events = bench.news();
    assert!(matches!(
        &events[..],
        [VenueEvent::Transfer { .. }, VenueEvent::PrivateGarbled(_), VenueEvent::PrivateGarbled(_)]
    ));
}

#[test]
fn a_handshake_that_hangs_or_fails_is_tried_again() {
    let mut bench = Bench::new();
    bench.entry.start(bench.now, &mut bench.out);
    let link = bench.opened();
    bench.pass(Span::from_secs(15));
    assert_eq!(bench.closed(), [link]);
    bench.pass(Span::from_secs(3));
    let link = bench.opened();
    bench.input(link, LinkInput::Up);
    let (_, time) = bench.request("time");
    bench.fail(link, &time, 503, -1008, "overloaded");
    assert_eq!(bench.closed(), [link]);
    bench.pass(Span::from_secs(5));
    let link = bench.opened();
    bench.shake_hands(link);
    assert_eq!(bench.news().last(), Some(&VenueEvent::EntryUp));
}

#[test]
fn stop_closes_everything_and_is_quiet() {
    let mut bench = Bench::up();
    bench.placed("o1");
    bench.entry.stop(bench.now, &mut bench.out);
    assert_eq!(bench.closed(), [LinkId(1)]);
    bench.input(LinkId(1), LinkInput::Down("closed"));
    assert_eq!((bench.news(), bench.entry.deadline()), (vec![], None));
}
