//! The operator: who gets in as one, what he sees, and limits he sets while orders are judged.

use super::*;
use crate::limits::{Bounds, Caps};

impl Bench {
    /// A connection that has greeted as an operator and shows a proof made with that token.
    fn operates_with(&mut self, token: &str) -> Value {
        self.operates_as("ops", token)
    }

    fn operates_as(&mut self, name: &str, token: &str) -> Value {
        self.conn = ConnId(self.conn.0 + 1000);
        self.input(Input::ClientOpened(self.conn));
        let nonce = "ef".repeat(16);
        let params = json!({"version": 1, "nonce": nonce, "operator": true});
        let hello = self.call(&json!({"id": 1, "method": "hello", "params": params}));
        let Some(theirs) = hello["result"]["nonce"].as_str() else { return hello };
        let shown = hello["result"]["proof"].as_str().unwrap();
        assert_eq!(proof::is_gateway(token, &nonce, theirs, shown), token == "the operator's");
        let proof = proof::of_operator(token, &nonce, theirs);
        self.call(&json!({"id": 2, "method": "operate", "params": {"name": name, "proof": proof}}))
    }

    fn operator(&mut self) -> ConnId {
        let reply = self.operates_with("the operator's");
        assert_eq!(reply["result"]["epoch"], self.gateway.epoch, "{reply}");
        self.conn
    }

    fn asks(&mut self, method: &str, params: &Value) -> Value {
        self.call(&json!({"id": 9, "method": method, "params": params}))
    }

    fn on<R>(&mut self, conn: ConnId, does: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.conn, conn);
        let done = does(self);
        self.conn = before;
        done
    }
}

fn name(reply: &Value) -> &str {
    reply["error"]["name"].as_str().unwrap_or("none")
}

const REQUESTS: [(&str, &str); 10] = [
    ("operator.status", "{}"),
    ("operator.sessions", "{}"),
    ("operator.orders", "{}"),
    ("operator.positions", "{}"),
    ("operator.limits", "{}"),
    ("operator.set_limits", r#"{"limits": null}"#),
    ("operator.kill", "{}"),
    ("operator.clear", "{}"),
    ("operator.pause", "{}"),
    ("operator.resume", "{}"),
];

#[test]
fn r64_the_operators_token_alone_makes_an_operator() {
    let mut bench = Bench::ready();
    bench.gateway.config.session_tokens.insert(SessionId(7), "seven's".to_owned());
    for token in ["secret", "seven's", "", "the operator"] {
        assert_eq!(name(&bench.operates_with(token)), "bad_proof", "{token:?}");
        assert_eq!(name(&bench.asks("operator.status", &json!({}))), "not_logged_in");
    }
    let told = |line: &&String| line.starts_with("a proof of the operator's token was wrong");
    assert_eq!(bench.logs.iter().filter(told).count(), 4, "who tries is seen");
    bench.operator();
    let status = bench.asks("operator.status", &json!({}))["result"].clone();
    assert_eq!((&status["state"], &status["market"]), (&json!("ready"), &json!("spot")));
    bench.gateway.config.operator_token = None;
    assert_eq!(name(&bench.operates_with("")), "bad_request", "there is none");
}

#[test]
fn r64_r73_neither_is_let_in_as_the_other() {
    let mut bench = Bench::ready();
    let own = "the operator's";
    let hello = |bench: &mut Bench, params: Value| {
        bench.conn = ConnId(bench.conn.0 + 1);
        bench.input(Input::ClientOpened(bench.conn));
        let hello = bench.call(&json!({"id": 1, "method": "hello", "params": params}));
        hello["result"]["nonce"].as_str().unwrap_or_default().to_owned()
    };
    let nonce = "ab".repeat(16);
    let login = |proof: String| json!({"session_id": 3, "trading": true, "proof": proof});
    // As a session with the operator's token, whichever way he greeted.
    let theirs = hello(&mut bench, json!({"version": 1, "nonce": nonce}));
    let proof = proof::of_client(own, &nonce, &theirs, 3);
    assert_eq!(name(&bench.asks("login", &login(proof))), "bad_proof");
    let operate = json!({"proof": proof::of_operator(own, &nonce, &theirs)});
    assert_eq!(name(&bench.asks("operate", &operate)), "not_logged_in", "he did not greet as one");
    let theirs = hello(&mut bench, json!({"version": 1, "nonce": nonce, "operator": true}));
    for token in [own, "secret"] {
        let proof = proof::of_client(token, &nonce, &theirs, 3);
        assert_eq!(name(&bench.asks("login", &login(proof))), "not_logged_in", "{token}");
    }
    // A proof of a session, or the gateway's own, shown as the operator's.
    for shown in [proof::of_client(own, &nonce, &theirs, 0), proof::of_gateway(own, &nonce, &theirs)] {
        assert_eq!(name(&bench.asks("operate", &json!({"proof": shown}))), "bad_proof");
    }
    let both = json!({"version": 1, "nonce": nonce, "operator": true, "session_id": 3});
    assert_eq!(hello(&mut bench, both), "", "an operator of a session is none");
}

#[test]
fn r73_a_session_has_none_of_the_operators_requests_and_he_has_none_of_a_sessions() {
    let mut bench = Bench::ready();
    let session = bench.conn;
    for (method, params) in REQUESTS {
        let params: Value = serde_json::from_str(params).unwrap();
        assert_eq!(name(&bench.asks(method, &params)), "not_operator", "{method}");
    }
    assert_eq!(name(&bench.asks("operate", &json!({"proof": "00"}))), "bad_request");
    bench.operator();
    let before = bench.script.0.borrow().placed.len();
    assert_eq!(name(&bench.call(&doge_order(1, &json!({})))), "no_session");
    assert_eq!(bench.script.0.borrow().placed.len(), before);
    for (method, params) in [
        ("cancel_all", json!({"n": 1})),
        ("subscribe", json!({"streams": ["dogeusdt@bbo"]})),
        ("balances", json!({})),
        ("orders", json!({})),
    ] {
        assert_eq!(name(&bench.asks(method, &params)), "no_session", "{method}");
    }
    assert_eq!(name(&bench.asks("login", &json!({"session_id": 1, "trading": true}))), "bad_request");
    assert_eq!(
        name(&bench.on(session, |b| b.call(&doge_order(1, &json!({}))))),
        "none",
        "he disturbs nobody"
    );
}

#[test]
fn he_sees_orders_positions_and_assets_of_all() {
    let mut bench = Bench::ready();
    assert_eq!(name(&bench.call(&doge_order(1, &json!({})))), "none");
    let id = bench.script.0.borrow().placed[0].id.clone();
    bench.says(vec![lost(&id)]);
    bench.login_as(2, None);
    bench.operator();
    let mut asks = |method: &str, params: Value| bench.asks(method, &params)["result"].clone();
    let orders = asks("operator.orders", json!({}));
    assert_eq!((&orders[0]["session_id"], &orders[0]["state"]), (&json!(1), &json!("UNKNOWN")));
    assert_eq!(asks("operator.orders", json!({"session_id": 2})), json!([]));
    let status = asks("operator.status", json!({}));
    assert_eq!(status["orders"], json!({"open": 1, "external": 0, "unknown": 1}));
    assert_eq!(status["sessions"], json!({"connected": 2, "known": 2}));
    assert_eq!(status["budget"][0]["used"], 40);
    let sessions = asks("operator.sessions", json!({}));
    assert_eq!((&sessions[0]["unknown_orders"], &sessions[1]["open_orders"]), (&json!(1), &json!(0)));
    let holdings = asks("operator.positions", json!({}));
    let usdt = &holdings["assets"].as_array().unwrap().iter().find(|a| a["asset"] == "USDT").unwrap();
    assert_eq!(
        (&usdt["external"], &usdt["exchange"], &usdt["difference"]),
        (&json!("1000"), &json!("1000"), &json!("0"))
    );
}

#[test]
fn a_link_that_is_down_and_a_disk_that_fails_hide_nothing() {
    let mut bench = Bench::ready();
    bench.call(&doge_order(1, &json!({})));
    bench.operator();
    let up = bench.asks("operator.status", &json!({}))["result"]["entry"].clone();
    assert_eq!(up["up"], true);
    bench.hold_commits = true;
    bench.now += Span::from_secs(5);
    let now = bench.now;
    bench.says(vec![VenueEvent::EntryDown("pulled".to_owned())]);
    bench.now += Span::from_secs(5);
    bench.says(vec![VenueEvent::EntryDown("still".to_owned())]);
    bench.input(Input::StoreFailed("disk full".to_owned()));
    let status = bench.asks("operator.status", &json!({}))["result"].clone();
    let entry = json!({"up": false, "since": now, "reason": "still"});
    assert_eq!((&status["entry"], &status["recovery"]), (&entry, &json!("down")));
    assert_eq!(status["journal"]["failed"], "disk full");
    let problems: Vec<&Value> = status["problems"].as_array().unwrap().iter().map(|p| &p["kind"]).collect();
    assert_eq!(problems[..2], [&json!("disk_failing"), &json!("link_down")], "as /healthz says it");
    assert_eq!(bench.asks("operator.orders", &json!({}))["result"].as_array().unwrap().len(), 1);
}

fn at_most(qty: &str) -> Value {
    json!({"limits": {"session": {"order_qty": {"dogeusdt": qty}}}})
}

#[test]
fn r61_limits_set_by_the_operator_judge_the_next_order() {
    let mut bench = Bench::ready();
    let session = bench.conn;
    let tries = |bench: &mut Bench, n: u64| {
        let reply = bench.on(session, |b| b.call(&doge_order(n, &json!({}))));
        name(&reply).to_owned()
    };
    assert_eq!(tries(&mut bench, 1), "none");
    let operator = bench.operator();
    bench.hold_commits = true;
    bench.asks("operator.set_limits", &at_most("9"));
    assert!(bench.waiting[0].sync, "the loss of power does not loosen them");
    bench.commit();
    let set = bench.asks("operator.set_limits", &at_most("9"))["result"].clone();
    assert_eq!((&set["revision"], &set["source"]), (&json!(2), &json!("operator")));
    assert_eq!(tries(&mut bench, 2), "limit_order_size");
    let line = bench.logs.iter().find(|line| line.starts_with("limits set by the operator")).unwrap();
    assert!(line.contains("by=\"ops\"") && line.contains("\"dogeusdt\":\"9\""), "{line}");
    let wrong = json!({"limits": {"session": {"order_quantity": {}}}});
    let refused = bench.on(operator, |b| b.asks("operator.set_limits", &wrong));
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("did you mean \"order_qty\""),
        "{refused}"
    );
    let twice = r#"{"id":9,"method":"operator.set_limits","params":{"limits":{"session":{"open_orders":1,"open_orders":2}}}}"#;
    bench.on(operator, |b| b.input(Input::ClientFrame(operator, twice)));
    assert!(bench.sent.last().unwrap()["error"]["message"].as_str().unwrap().contains("there twice"));
    assert_eq!(tries(&mut bench, 3), "limit_order_size", "what was refused changed nothing");
    let stale = json!({"limits": null, "revision": 0});
    assert_eq!(name(&bench.on(operator, |b| b.asks("operator.set_limits", &stale))), "stale_limits");
    bench.on(operator, |b| b.asks("operator.set_limits", &json!({"limits": null, "revision": 2})));
    assert_eq!(tries(&mut bench, 4), "none", "those of the configuration: none");
}

#[test]
fn r61_limits_set_by_the_operator_hold_over_a_restart_until_the_configuration_changes() {
    let mut bench = Bench::ready();
    bench.operator();
    bench.asks("operator.set_limits", &at_most("9"));
    let journal = bench.journal.clone();
    let restarted = |config: GatewayConfig| {
        let mut bench = Bench::of(config, journal.clone(), Vec::new(), START + Span::from_secs(60));
        bench.recover(&[], &[]);
        bench.login(None);
        let refused = name(&bench.call(&doge_order(1, &json!({})))).to_owned();
        bench.operator();
        let view = bench.asks("operator.limits", &json!({}))["result"].clone();
        (refused, view["source"].clone(), view["revision"].clone())
    };
    assert_eq!(restarted(config()), ("limit_order_size".to_owned(), json!("operator"), json!(1)));
    let session = Bounds { open_orders: Some(5), ..Bounds::default() };
    let changed = GatewayConfig { limits: Limits { session, ..Limits::default() }, ..config() };
    assert_eq!(restarted(changed), ("none".to_owned(), json!("configuration"), json!(2)));
}

#[test]
fn r61_what_is_used_of_each_limit_is_shown() {
    let symbol = Symbol::new("dogeusdt");
    let session = Bounds {
        open_orders: Some(5),
        position_qty: Some(Caps { named: BTreeMap::new(), others: Some(Qty::whole(100)) }),
        position_notional: Some(Caps { named: [(Asset::new("USDT"), Cash::whole(50))].into(), others: None }),
        orders_per_second: Some(3),
        ..Bounds::default()
    };
    let mut bench = Bench::of(
        GatewayConfig { limits: Limits { session, ..Limits::default() }, ..config() },
        vec![doge_is_read()],
        Vec::new(),
        START,
    );
    bench.recover(&[], &[]);
    bench.login(None);
    bench.gateway.watch_book(START, &symbol);
    let level = |price: &str| crate::market::Level { price: price.parse().unwrap(), qty: Qty::whole(5) };
    let stream = Stream { symbol, channel: Channel::Bbo };
    let (bids, asks) = (vec![level("0.19")], vec![level("0.21")]);
    bench.says(vec![VenueEvent::Bbo(stream, crate::market::Depth { time: START, update_id: 1, bids, asks })]);
    assert_eq!(name(&bench.call(&doge_order(1, &json!({})))), "none");
    bench.operator();
    let view = bench.asks("operator.limits", &json!({}))["result"].clone();
    let rows = view["in_force"].as_array().unwrap().iter().map(|row| {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} of {}", text("limit"), text("of"), text("used"), text("value"))
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            "open_orders - 1 of 5",
            "position_qty * - of 100",
            "position_qty dogeusdt 10 of 100",
            "position_notional USDT 2 of 50",
            "orders_per_second - 1 of 3",
        ]
    );
}

#[test]
fn r60_the_operator_kills_clears_pauses_and_resumes() {
    let mut bench = Bench::ready();
    let session = bench.conn;
    let tries = |bench: &mut Bench, n: u64| {
        let reply = bench.on(session, |b| b.call(&doge_order(n, &json!({}))));
        name(&reply).to_owned()
    };
    assert_eq!(tries(&mut bench, 1), "none");
    bench.operator();
    let asks = |bench: &mut Bench, method: &str, params: Value| bench.asks(method, &params)["result"].clone();
    let stop = asks(&mut bench, "operator.pause", json!({"session_id": 1, "reason": "at lunch"}));
    assert_eq!(
        (&stop["paused"]["1"]["reason"], &stop["paused"]["1"]["by"]),
        (&json!("at lunch"), &json!("operator \"ops\""))
    );
    assert_eq!(tries(&mut bench, 2), "paused");
    assert_eq!(asks(&mut bench, "operator.sessions", json!({}))[0]["stopped"], "paused");
    assert_eq!(
        asks(&mut bench, "operator.resume", json!({}))["paused"]["1"]["reason"],
        "at lunch",
        "that of all"
    );
    assert_eq!(asks(&mut bench, "operator.resume", json!({"session_id": 1}))["paused"], json!({}));
    assert_eq!(tries(&mut bench, 3), "none");
    let stop = asks(&mut bench, "operator.kill", json!({"reason": "too fast"}));
    assert_eq!((&stop["killed"]["reason"], &stop["killed"]["flatten"]), (&json!("too fast"), &json!(false)));
    assert_eq!(tries(&mut bench, 4), "killed");
    let stop = asks(&mut bench, "operator.status", json!({}))["stop"].clone();
    assert_eq!(stop["live"].as_array().unwrap().len(), 2, "{stop}");
    assert_eq!(asks(&mut bench, "operator.clear", json!({}))["killed"], Value::Null);
    assert_eq!(tries(&mut bench, 5), "none");
}

#[test]
fn r60_words_that_are_too_many_keep_nothing_from_being_stopped() {
    let mut bench = Bench::ready();
    // As long as they may be in a file that is read up to 4096 bytes.
    let long = "\u{1}".repeat(10_000);
    bench.operates_as(&"\u{1}".repeat(10_000), "the operator's");
    for (method, whose) in [("operator.kill", "killed"), ("operator.pause", "paused_all")] {
        let stop = bench.asks(method, &json!({"reason": long}));
        let told = &stop["result"][whose];
        assert_eq!(told["reason"].as_str().map(str::len), Some(200), "{method}: {stop}");
        let kept = serde_json::to_string(told).unwrap();
        assert!(kept.len() < 4_096, "{method}: {} bytes", kept.len());
    }
}

#[test]
fn differences_that_are_not_believed_yet_are_counted() {
    let mut bench = Bench::ready();
    bench.settle();
    bench.operator();
    let counted =
        |bench: &mut Bench| bench.asks("operator.status", &json!({}))["result"]["differences"].clone();
    assert_eq!(counted(&mut bench), 0);
    let shows = |bench: &mut Bench| {
        bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
        bench.answer(|query| match query {
            Query::Account => {
                let of = |asset: &str, free| Balance::new(Asset::new(asset), Cash::whole(free), Cash::ZERO);
                Answer::Account(Account { balances: vec![of("USDT", 990), of("BNB", 3)], can_trade: true })
            }
            query => Bench::exchange(&[], &[], query),
        });
    };
    shows(&mut bench);
    assert_eq!(counted(&mut bench), 2);
    bench.wait(Span::from_secs(5));
    shows(&mut bench);
    assert_eq!(counted(&mut bench), 0, "they are booked");
}
