//! Weather by script and by recording, and the faults that deform frames, falsify books and blind queries.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::{Bench, bench, code, config, text};
use crate::config::{Config, Retention};
use crate::io::{Journal, Oddity, SimOutput};
use crate::weather::Weather;

fn only(bench: &mut Bench, rule: Value) {
    bench.http("DELETE", "/control/faults", None, "").unwrap();
    bench.control("faults", &json!([rule]));
}

fn a_trade(bench: &mut Bench) {
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10"}));
}

#[test]
fn frames_of_streams_come_twice_and_late() {
    let mut bench = bench();
    let feed = bench.open("/ws/dogeusdt@trade");
    only(&mut bench, json!({"fault": "stream.duplicate", "stream": "dogeusdt@trade", "nth": 1}));
    a_trade(&mut bench);
    let frames = bench.taken(feed);
    assert_eq!((frames.len(), &frames[0]), (2, &frames[1]));
    only(&mut bench, json!({"fault": "stream.delay", "ms": 300, "nth": 1}));
    a_trade(&mut bench);
    a_trade(&mut bench);
    let numbers = |bench: &mut Bench| -> Vec<u64> {
        bench.values(feed).iter().map(|frame| frame["t"].as_u64().unwrap()).collect()
    };
    let second = numbers(&mut bench);
    bench.pass(Span::from_millis(300));
    let first = numbers(&mut bench);
    assert_eq!((second.len(), first.len()), (1, 1));
    assert!(first[0] < second[0], "the later one has overtaken it");
}

#[test]
fn a_book_is_crossed_by_its_changes() {
    let mut bench = bench();
    let feed = bench.open("/ws/dogeusdt@depth@100ms");
    only(&mut bench, json!({"fault": "stream.cross", "stream": "dogeusdt@depth@100ms", "nth": 1}));
    a_trade(&mut bench);
    bench.pass(Span::from_millis(100));
    let change = bench.values(feed).remove(0);
    let price = |side: &str| text(&change[side][0][0]).parse::<f64>().unwrap();
    assert!(price("b") > price("a"), "{change}");
}

#[test]
fn queries_are_stale_or_find_nothing() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "old");
    bench.pass(Span::from_secs(1));
    let ask = |bench: &mut Bench, method: &str, id: &str| {
        let now = bench.now.millis();
        let params = match id {
            "" => json!({"symbol": "DOGEUSDT", "timestamp": now}),
            id => json!({"symbol": "DOGEUSDT", "origClientOrderId": id, "timestamp": now}),
        };
        bench.call(conn, method, params)
    };
    only(&mut bench, json!({"fault": "query.stale"}));
    bench.pass(Span::from_secs(1));
    bench.limit(conn, "BUY", "0.1", "young");
    bench.pass(Span::from_secs(60));
    assert_eq!(code(&ask(&mut bench, "order.status", "young")), -2013, "a minute later still");
    assert_eq!(text(&ask(&mut bench, "order.status", "old")["result"]["status"]), "NEW");
    only(&mut bench, json!({"fault": "query.not_found"}));
    assert_eq!(code(&ask(&mut bench, "order.status", "old")), -2013);
    assert_eq!(ask(&mut bench, "openOrders.status", "")["result"], json!([]));
    let (status, found) =
        bench.rest("alice", "GET", "/api/v3/order", "symbol=DOGEUSDT&origClientOrderId=old");
    assert_eq!((status, found["code"].as_i64()), (400, Some(-2013)));
    bench.http("DELETE", "/control/faults", None, "").unwrap();
    assert_eq!(ask(&mut bench, "openOrders.status", "")["result"].as_array().unwrap().len(), 2);
}

#[test]
fn the_firewall_answers_with_a_page() {
    let mut bench = bench();
    only(&mut bench, json!({"fault": "rate.403", "method": "ping"}));
    let reply = bench.http("GET", "/api/v3/ping", None, "").unwrap();
    assert!(reply.status == 403 && reply.body.starts_with("<html>"), "{reply:?}");
    let conn = bench.open("/ws-api/v3");
    assert_eq!(bench.call(conn, "ping", json!({}))["status"], 403);
}

/// The frame of the event of an order just placed, under a fault.
fn event_under(rule: Value) -> (Vec<String>, Vec<SimOutput>) {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    only(&mut bench, rule);
    bench.limit(conn, "BUY", "0.1", "a");
    let frames = bench.taken(conn).into_iter().filter(|text| !text.contains("outboundAccount")).collect();
    (frames, bench.others)
}

#[test]
fn events_are_deformed() {
    let (fair, _) = event_under(json!({"fault": "event.drop", "event": "TRADE"}));
    let fair: Value = serde_json::from_str(&fair[0]).unwrap();
    let struck = |fault: &str| {
        let (frames, _) = event_under(json!({"fault": fault, "event": "NEW"}));
        frames.into_iter().next().unwrap()
    };
    assert!(struck("frame.garbage").starts_with('<'));
    let cut = struck("frame.cut");
    assert!(cut.starts_with("{\"subscriptionId\"") && serde_json::from_str::<Value>(&cut).is_err(), "{cut}");
    let giant = struck("frame.giant");
    assert_eq!((giant.len(), serde_json::from_str::<Value>(&giant).unwrap()), (4 << 20, fair.clone()));
    let mut fielded: Value = serde_json::from_str(&struck("frame.field")).unwrap();
    assert!(fielded["event"]["novelty"].is_object(), "{fielded}");
    fielded.as_object_mut().unwrap().remove("novelty");
    fielded["event"].as_object_mut().unwrap().remove("novelty");
    assert_eq!(fielded, fair, "the rest is as it was");
    let worded: Value = serde_json::from_str(&struck("frame.enum")).unwrap();
    assert_eq!((&worded["event"]["X"], &worded["event"]["x"]), (&json!("NOVEL"), &json!("NEW")));
    for (fault, oddity) in [
        ("frame.binary", Oddity::Binary),
        ("frame.fragment", Oddity::Fragments),
        ("frame.utf8", Oddity::BadUtf8),
    ] {
        let (frames, others) = event_under(json!({"fault": fault, "event": "NEW"}));
        let odd: Vec<_> = others
            .iter()
            .filter_map(|output| match output {
                SimOutput::SendOdd(_, text, way) => Some((serde_json::from_slice(text).unwrap(), *way)),
                _ => None,
            })
            .collect();
        assert_eq!((frames.len(), odd), (0, vec![(fair.clone(), oddity)]));
    }
}

#[test]
fn replies_and_frames_of_streams_are_deformed_too() {
    let mut bench = bench();
    let conn = bench.open("/ws-api/v3");
    let feed = bench.open("/ws/dogeusdt@trade");
    only(&mut bench, json!({"fault": "frame.garbage", "method": "ping", "nth": 1}));
    bench.text(conn, r#"{"id":1,"method":"ping"}"#);
    assert!(bench.taken(conn)[0].starts_with('<'));
    only(&mut bench, json!({"fault": "frame.cut", "stream": "dogeusdt@trade", "nth": 1}));
    a_trade(&mut bench);
    assert!(serde_json::from_str::<Value>(&bench.taken(feed)[0]).is_err());
    only(&mut bench, json!({"fault": "frame.binary", "stream": "dogeusdt@trade", "nth": 1}));
    a_trade(&mut bench);
    assert!(bench.taken(feed).is_empty());
    let odd = |output: &SimOutput| matches!(output, SimOutput::SendOdd(to, _, Oddity::Binary) if *to == feed);
    assert!(bench.others.iter().any(odd));
}

const SCRIPT: &str = r#"[
    {"fault": "reply.drop", "method": "order.place", "probability": 0.3, "note": "lossy"},
    {"fault": "event.duplicate", "event": "NEW", "every": 2000},
    {"fault": "event.reorder", "ms": 400, "event": "executionReport", "from": 3000, "until": 7000, "probability": 0.5},
    {"fault": "reply.error", "code": -1007, "executed": true, "method": "order.place", "nth": 5},
    {"fault": "request.delay", "ms": 700, "method": "order.place", "probability": 0.1},
    {"fault": "query.stale", "from": 5000, "until": 9000},
    {"fault": "control", "path": "trade", "body": {"symbol": "DOGEUSDT", "side": "BUY", "qty": "7"},
     "at": 1000, "every": 1500, "until": 8000, "probability": 0.7},
    {"fault": "clock.skew", "ms": 250, "at": 4000},
    {"fault": "control", "path": "status", "body": {"symbol": "DOGEUSDT", "status": "NAPPING"}, "at": 4500}
]"#;

/// What was struck of a session of ten seconds, and the whole recording.
fn session(seed: u64, weather: &str) -> (Vec<Value>, String) {
    let weather = Weather::parse(weather).unwrap();
    let mut bench = Bench::new(Config { seed, weather, ..config() });
    let conn = bench.logged_on("alice");
    for n in 0..40_u64 {
        let now = bench.now.millis();
        let order = json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "0.1",
            "quantity": "10", "newClientOrderId": format!("n{n}"), "timestamp": now});
        bench.text(conn, &json!({"id": n, "method": "order.place", "params": order}).to_string());
        let asked = json!({"symbol": "DOGEUSDT", "origClientOrderId": format!("n{n}"), "timestamp": now});
        bench.text(conn, &json!({"id": 100 + n, "method": "order.status", "params": asked}).to_string());
        bench.pass(Span::from_millis(250));
    }
    let lines: Vec<&String> =
        bench.lines.iter().filter(|(journal, _)| *journal == Journal::Faults).map(|(_, line)| line).collect();
    let strikes = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shown = |strike: Value| {
        json!([strike["after"], strike["fault"], strike["at"], strike["of"], strike["n"], strike["span_ns"]])
    };
    let strikes = strikes.filter(|strike| strike.get("problem").is_none()).map(shown).collect();
    (strikes, lines.into_iter().fold(String::new(), |all, line| all + line + "\n"))
}

#[test]
fn a_script_strikes_the_same_under_its_seed_and_a_recording_the_same_again() {
    let (first, recording) = session(7, SCRIPT);
    assert_eq!(session(7, SCRIPT).0, first);
    assert_ne!(session(8, SCRIPT).0, first);
    let count = |fault: &str| first.iter().filter(|strike| strike[1] == fault).count();
    for fault in ["reply.drop", "event.duplicate", "event.reorder", "request.delay", "query.stale", "control"]
    {
        assert!(count(fault) > 0, "{fault}: {first:#?}");
    }
    assert_eq!((count("reply.error"), count("clock.skew")), (1, 1));
    assert!((3..=6).contains(&count("event.duplicate")), "once in two seconds");
    assert!(
        recording.contains("there is no status \\\"NAPPING\\\""),
        "what cannot be done is said: {recording}"
    );
    // A stale answer is told again as an answer from so long ago, and nothing depends on the seed.
    for seed in [7, 8] {
        let (again, _) = session(seed, &recording);
        let events = |strikes: &[Value]| {
            let mut strikes = strikes.to_vec();
            strikes.sort_by_key(ToString::to_string);
            strikes
        };
        assert_eq!(events(&again), events(&first), "seed {seed}");
    }
}

#[test]
fn weather_that_makes_no_sense_is_refused_with_its_place() {
    for (script, part) in [
        (r#"[{"fault": "event.drop"}, {"fault": "event.dorp"}]"#, "rule 2 of 2: there is no fault"),
        (
            r#"[{"fault": "event.drop", "evnt": "NEW"}]"#,
            "rule 1 of 1: a rule has no \"evnt\"; did you mean \"event\"?",
        ),
        (r#"{"fault": "event.drop"}"#, "line 1"),
        ("[", "EOF"),
    ] {
        let problem = Weather::parse(script).unwrap_err();
        assert!(problem.contains(part), "{script}: {problem}");
    }
    assert!(Weather::parse("").unwrap().is_fair());
}

#[test]
fn r26_what_is_kept_no_longer_is_not_found() {
    let retention = Retention::default().shorter(86_400);
    let mut bench = Bench::new(Config { retention, ..config() });
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "canceled");
    bench.limit(conn, "BUY", "0.25", "filled");
    let now = bench.now.millis();
    let cancel = json!({"symbol": "DOGEUSDT", "origClientOrderId": "canceled", "newClientOrderId": "c",
        "timestamp": now});
    assert_eq!(bench.call(conn, "order.cancel", cancel)["status"], 200);
    let spot = |bench: &mut Bench, id: &str| {
        let asked = format!("symbol=DOGEUSDT&origClientOrderId={id}");
        bench.rest("alice", "GET", "/api/v3/order", &asked).1["code"].as_i64()
    };
    let order =
        "symbol=DOGEUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0.1&quantity=100&newClientOrderId=f";
    assert_eq!(bench.rest("alice", "POST", "/fapi/v1/order", order).0, 200);
    let futures = |bench: &mut Bench, verb: &str| {
        bench.rest("alice", verb, "/fapi/v1/order", "symbol=DOGEUSDT&origClientOrderId=f")
    };
    assert_eq!(futures(&mut bench, "DELETE").0, 200);
    let market = "symbol=DOGEUSDT&side=BUY&type=MARKET&quantity=100";
    assert_eq!(bench.rest("alice", "POST", "/fapi/v1/order", market).0, 200);
    let trades = |bench: &mut Bench, more: &str| {
        let (_, rows) = bench.rest("alice", "GET", "/fapi/v1/userTrades", &format!("symbol=DOGEUSDT{more}"));
        rows.as_array().unwrap().len()
    };
    // A second stands for a day.
    bench.pass(Span::from_secs(2));
    assert_eq!(futures(&mut bench, "GET").0, 200);
    bench.pass(Span::from_secs(2));
    assert_eq!(futures(&mut bench, "GET").1["code"], -2013);
    assert_eq!(spot(&mut bench, "c"), None);
    assert!(trades(&mut bench, "") > 0 && trades(&mut bench, "&fromId=0") > 0);
    bench.pass(Span::from_secs(87));
    assert_eq!((spot(&mut bench, "c"), spot(&mut bench, "filled")), (Some(-2026), None));
    assert_eq!((trades(&mut bench, ""), trades(&mut bench, "&fromId=0")), (0, 0));
}
