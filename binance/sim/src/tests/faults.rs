//! Faults: each strikes where it should, is written down, and repeats under its seed.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::{Bench, bench, code, text};
use crate::io::{Journal, SimOutput};

fn order(id: &str) -> Value {
    json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "0.1",
        "quantity": "10", "newClientOrderId": id, "timestamp": 1_700_000_000_000_i64})
}

fn send(bench: &mut Bench, conn: crate::io::Conn, number: u64, method: &str, params: &Value) {
    bench.text(conn, &json!({"id": number, "method": method, "params": params}).to_string());
}

fn open_orders(bench: &Bench) -> usize {
    bench.sim.exchange.open_orders(tradingsys::exchange::AccountId(0), None).unwrap().len()
}

#[test]
fn a_lost_reply_leaves_the_order_alive_and_its_events() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.control("faults", &json!([{"fault": "reply.drop", "method": "order.place", "nth": 1}]));
    send(&mut bench, conn, 900, "order.place", &order("a"));
    assert_eq!(bench.reply_to(conn, 900), None);
    assert_eq!(bench.executions(conn), ["NEW/NEW"]);
    assert_eq!(open_orders(&bench), 1);
    bench.limit(conn, "BUY", "0.1", "b");
    let faults: Vec<_> = bench.lines.iter().filter(|(journal, _)| *journal == Journal::Faults).collect();
    assert_eq!(faults.len(), 1);
    assert_eq!(
        faults[0].1,
        concat!(
            r#"{"time":1700000000000,"after":0,"id":1,"fault":"reply.drop","at":"order.place","#,
            r#""of":"reply spot api alice order.place","n":1,"span_ns":0,"#,
            r#""rule":{"fault":"reply.drop","method":"order.place","nth":1}}"#
        )
    );
}

#[test]
fn minus_1007_with_the_order_live_and_dead() {
    for (executed, orders) in [(true, 1), (false, 0)] {
        let mut bench = bench();
        let conn = bench.logged_on("alice");
        bench.control(
            "faults",
            &json!([{"fault": "reply.error", "code": -1007, "executed": executed, "method": "order.place"}]),
        );
        let reply = bench.place(conn, order("a"));
        assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(504), -1007));
        assert_eq!(
            text(&reply["error"]["msg"]),
            "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
        );
        assert_eq!(open_orders(&bench), orders, "executed: {executed}");
    }
}

#[test]
fn requests_are_lost_or_late() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.control("faults", &json!([{"fault": "request.drop", "method": "order.place", "nth": 1}]));
    send(&mut bench, conn, 900, "order.place", &order("a"));
    assert_eq!((bench.reply_to(conn, 900), open_orders(&bench)), (None, 0));
    bench.control(
        "faults",
        &json!([{"fault": "request.delay", "ms": 6000, "method": "order.place", "nth": 1}]),
    );
    send(&mut bench, conn, 901, "order.place", &order("b"));
    bench.pass(Span::from_millis(6_000));
    let late = bench.reply_to(conn, 901).unwrap();
    assert_eq!((code(&late), open_orders(&bench)), (-1021, 0), "outside the receive window when it arrives");
}

#[test]
fn replies_are_late() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.control("faults", &json!([{"fault": "reply.delay", "ms": 300, "method": "ping"}]));
    send(&mut bench, conn, 900, "ping", &json!({}));
    assert_eq!(bench.reply_to(conn, 900), None);
    bench.pass(Span::from_millis(300));
    assert!(bench.reply_to(conn, 900).is_some());
}

#[test]
fn events_are_dropped_doubled_overtaken_and_late() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let fault = |bench: &mut Bench, rule: Value| {
        bench.http("DELETE", "/control/faults", None, "").unwrap();
        bench.control("faults", &json!([rule]));
    };
    fault(&mut bench, json!({"fault": "event.drop", "event": "NEW", "account": "alice", "nth": 1}));
    bench.limit(conn, "BUY", "0.1", "a");
    assert!(bench.executions(conn).is_empty());
    fault(&mut bench, json!({"fault": "event.duplicate", "event": "executionReport", "nth": 1}));
    bench.limit(conn, "BUY", "0.1", "b");
    assert_eq!(bench.executions(conn), ["NEW/NEW", "NEW/NEW"]);
    fault(&mut bench, json!({"fault": "event.reorder", "ms": 50, "event": "executionReport", "nth": 1}));
    bench.limit(conn, "BUY", "0.1", "c");
    assert_eq!(text(&bench.events(conn)[0]["e"]), "outboundAccountPosition");
    bench.pass(Span::from_millis(50));
    assert_eq!(bench.executions(conn), ["NEW/NEW"]);
    fault(&mut bench, json!({"fault": "event.delay", "ms": 200, "event": "executionReport", "nth": 1}));
    bench.limit(conn, "BUY", "0.1", "d");
    assert!(bench.events(conn).is_empty());
    bench.limit(conn, "BUY", "0.1", "e");
    assert!(bench.events(conn).is_empty(), "those after it wait");
    bench.pass(Span::from_millis(200));
    let names: Vec<String> = bench.events(conn).iter().map(|event| text(&event["c"]).to_owned()).collect();
    assert_eq!(names, ["d", "", "e", ""], "in order");
}

#[test]
fn connections_are_cut_before_and_after_a_request() {
    for (stage, fault, orders) in [("before", "connection.abort", 0), ("after", "connection.close", 1)] {
        let mut bench = bench();
        let conn = bench.logged_on("alice");
        bench.taken(conn);
        bench.control("faults", &json!([{"fault": fault, "stage": stage, "method": "order.place"}]));
        send(&mut bench, conn, 900, "order.place", &order("a"));
        assert!(bench.taken(conn).is_empty(), "{stage}");
        assert_eq!(open_orders(&bench), orders, "{stage}");
        let cut = bench
            .others
            .iter()
            .any(|o| matches!(o, SimOutput::Abort(c) | SimOutput::Close(c, ..) if *c == conn));
        assert!(cut, "{stage}");
    }
}

#[test]
fn a_half_open_connection_is_silent_until_its_ping_is_overdue() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let feed = bench.open("/ws/dogeusdt@trade");
    bench.taken(conn);
    bench.control("faults", &json!([{"fault": "connection.half_open", "side": "api"}]));
    assert!(bench.others.contains(&SimOutput::Freeze(conn)));
    send(&mut bench, conn, 900, "order.place", &order("a"));
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10"}));
    assert!(bench.taken(conn).is_empty());
    assert_eq!((bench.taken(feed).len(), open_orders(&bench)), (1, 0), "the other side goes on");
    bench.pass(Span::from_secs(80));
    assert!(bench.others.contains(&SimOutput::Abort(conn)));
}

#[test]
fn connections_are_refused_for_a_time() {
    let mut bench = bench();
    bench.control("faults", &json!([{"fault": "connection.refuse", "side": "api", "for_ms": 1000}]));
    bench.open("/ws-api/v3");
    assert!(matches!(bench.others.pop(), Some(SimOutput::Refuse(_, 503))));
    bench.open("/ws");
    assert!(bench.others.is_empty());
    bench.pass(Span::from_secs(1));
    bench.open("/ws-api/v3");
    assert!(!bench.others.iter().any(|o| matches!(o, SimOutput::Refuse(..))));
}

#[test]
fn queries_lag() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "old");
    bench.pass(Span::from_millis(2_000));
    let lagging = ["order.status", "openOrders.status", "myTrades"];
    bench.control("faults", &json!([{"fault": "query.lag", "ms": 1500, "method": lagging}]));
    let ask = |bench: &mut Bench, id: &str| {
        let params = json!({"symbol": "DOGEUSDT", "origClientOrderId": id, "timestamp": bench.now.millis()});
        bench.call(conn, "order.status", params)
    };
    bench.limit(conn, "BUY", "0.25", "young");
    assert_eq!(code(&ask(&mut bench, "young")), -2013);
    let cancel = json!({"symbol": "DOGEUSDT", "origClientOrderId": "old", "newClientOrderId": "gone",
        "timestamp": bench.now.millis()});
    assert_eq!(bench.call(conn, "order.cancel", cancel)["status"], 200);
    assert_eq!(text(&ask(&mut bench, "old")["result"]["status"]), "NEW", "the replica has not heard yet");
    assert_eq!(code(&ask(&mut bench, "gone")), -2013);
    let open = bench.call(conn, "openOrders.status", json!({"timestamp": bench.now.millis()}));
    assert_eq!(open["result"].as_array().unwrap().len(), 1);
    assert_eq!(text(&open["result"][0]["clientOrderId"]), "old");
    let trades = json!({"symbol": "DOGEUSDT", "timestamp": bench.now.millis()});
    assert_eq!(bench.call(conn, "myTrades", trades)["result"], json!([]));
    bench.pass(Span::from_millis(1_500));
    assert_eq!(text(&ask(&mut bench, "young")["result"]["status"]), "FILLED");
    assert_eq!(text(&ask(&mut bench, "gone")["result"]["status"]), "CANCELED");
    let trades = json!({"symbol": "DOGEUSDT", "timestamp": bench.now.millis()});
    assert_eq!(bench.call(conn, "myTrades", trades)["result"].as_array().unwrap().len(), 1);
}

#[test]
fn rate_faults_look_like_the_real_thing() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.control("faults", &json!([{"fault": "rate.429", "method": "order.place", "nth": 1}]));
    let reply = bench.place(conn, order("a"));
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(429), -1003));
    bench.control("faults", &json!([{"fault": "rate.418", "method": "ping", "nth": 1, "ms": 60000}]));
    assert_eq!(bench.call(conn, "ping", json!({}))["status"], 418);
    assert!(bench.others.iter().any(|o| matches!(o, SimOutput::Close(..))));
}

#[test]
fn http_replies_are_lost_cut_and_late() {
    let mut bench = bench();
    bench.control("faults", &json!([{"fault": "reply.drop", "method": "ping", "nth": 1}]));
    assert_eq!(bench.http("GET", "/api/v3/ping", None, ""), None);
    bench.control("faults", &json!([{"fault": "connection.abort", "method": "ping", "nth": 1}]));
    assert_eq!(bench.http("GET", "/api/v3/ping", None, ""), None);
    assert!(bench.others.iter().any(|o| matches!(o, SimOutput::Drop(_))));
    bench.control("faults", &json!([{"fault": "reply.delay", "method": "ping", "nth": 1, "ms": 100}]));
    assert_eq!(bench.http("GET", "/api/v3/ping", None, ""), None);
    bench.pass(Span::from_millis(100));
    assert!(bench.others.iter().any(|o| matches!(o, SimOutput::Reply(..))));
}

#[test]
fn the_state_shows_all_balances_and_orders() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "a");
    bench.limit(conn, "BUY", "0.25", "b");
    let state = |bench: &mut Bench, target: &str| -> Value {
        serde_json::from_str(&bench.http("GET", target, None, "").unwrap().body).unwrap()
    };
    let open = state(&mut bench, "/control/state");
    assert_eq!(text(&open["accounts"][0]["name"]), "alice");
    assert_eq!(open["accounts"][0]["orders"].as_array().unwrap().len(), 1);
    let all = state(&mut bench, "/control/state?orders=all");
    assert_eq!(all["accounts"][0]["orders"].as_array().unwrap().len(), 2);
    let usdt = |value: &Value| {
        let rows = value["accounts"][0]["balances"].as_array().unwrap();
        rows.iter().find(|row| row["asset"] == "USDT").cloned().unwrap()
    };
    assert_eq!(text(&usdt(&open)["locked"]), "1");
    let reply =
        bench.http("POST", "/control/transfer", None, r#"{"account":"zoe","asset":"USDT","amount":"1"}"#);
    assert_eq!(reply.unwrap().status, 400);
}

#[test]
fn a_manual_order_is_seen_by_the_account_as_a_foreign_one() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let placed = bench.control(
        "trade",
        &json!({"account": "alice", "symbol": "DOGEUSDT", "side": "BUY", "qty": "10", "price": "0.1"}),
    );
    let events = bench.events(conn);
    assert!(text(&events[0]["c"]).starts_with("web_"), "{events:?}");
    bench
        .control("cancel", &json!({"account": "alice", "symbol": "DOGEUSDT", "order_id": placed["orderId"]}));
    assert_eq!(bench.executions(conn), ["CANCELED/CANCELED"]);
}
