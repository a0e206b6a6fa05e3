//! Rate limits as clients see them.

use serde_json::json;

use super::{Bench, code, config, text};
use crate::io::SimOutput;

#[test]
fn too_much_weight_is_429_then_418_and_the_end_of_connections() {
    let mut config = config();
    config.limits.weight_per_minute = 50;
    config.limits.ban_after = 2;
    let mut bench = Bench::new(config);
    let conn = bench.open("/ws-api/v3");
    for _ in 0..2 {
        assert_eq!(bench.call(conn, "exchangeInfo", json!({}))["status"], 200);
    }
    let reply = bench.call(conn, "exchangeInfo", json!({}));
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(429), -1003));
    assert_eq!(
        reply["error"]["data"],
        json!({"serverTime": 1_700_000_000_000_i64, "retryAfter": 1_700_000_040_000_i64})
    );
    assert!(
        text(&reply["error"]["msg"])
            .starts_with("Too much request weight used; current limit is 50 request weight per 1 MINUTE.")
    );
    let reply = bench.http("GET", "/api/v3/ping", None, "").unwrap();
    assert_eq!(reply.status, 429);
    assert!(reply.headers.contains(&("retry-after", "40".to_owned())), "{:?}", reply.headers);
    assert_eq!(bench.call(conn, "ping", json!({}))["status"], 418);
    assert!(matches!(bench.others.last(), Some(SimOutput::Close(..))), "{:?}", bench.others);
    bench.open("/ws-api/v3");
    assert!(matches!(bench.others.last(), Some(SimOutput::Refuse(_, 429))));
}

/// What `/control/state` says was refused, of spot.
fn refused(bench: &mut Bench) -> Option<u64> {
    let reply = bench.http("GET", "/control/state", None, "").unwrap();
    let state: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((&state["refused"]["margin"], &state["refused"]["futures"]), (&json!(0), &json!(0)));
    state["refused"]["spot"].as_u64()
}

#[test]
fn what_is_refused_for_a_limit_is_counted_for_whoever_must_keep_it() {
    let mut config = config();
    (config.limits.weight_per_minute, config.limits.ban_after) = (50, 1);
    (config.limits.orders_per_10s, config.limits.connections_per_5m) = (1, 1);
    let mut bench = Bench::new(config);
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "a");
    assert_eq!(refused(&mut bench), Some(0));
    let order = json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "0.1", "quantity": "10"});
    assert_eq!(bench.place(conn, order)["status"], 429);
    assert_eq!(refused(&mut bench), Some(1), "an order over the count of orders");
    bench.open("/ws");
    assert_eq!(refused(&mut bench), Some(2), "a connection too many");
    let mut statuses = vec![];
    while statuses.last() != Some(&418) {
        statuses.push(bench.http("GET", "/api/v3/exchangeInfo", None, "").unwrap().status);
    }
    let over = statuses.iter().filter(|status| **status != 200).count() as u64;
    assert_eq!((refused(&mut bench), over), (Some(2 + over), 2), "weight, and the ban");
}

#[test]
fn unfilled_orders_are_limited_and_refused_ones_do_not_count() {
    let mut config = config();
    config.limits.orders_per_10s = 2;
    let mut bench = Bench::new(config);
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "a");
    let order = json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "0.1",
        "quantity": "10", "newClientOrderId": "a"});
    assert_eq!(code(&bench.place(conn, order.clone())), -2010);
    bench.limit(conn, "BUY", "0.1", "b");
    let reply = bench.place(conn, order);
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(429), -1015));
    let limits = bench.call(conn, "account.rateLimits.orders", json!({"timestamp": bench.now.millis()}));
    assert_eq!(limits["result"][0]["count"], 2);
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "SELL", "qty": "8000000", "price": "0.1"}));
    let limits = bench.call(conn, "account.rateLimits.orders", json!({"timestamp": bench.now.millis()}));
    assert_eq!(limits["result"][0]["count"], 0, "filled orders are taken out of the count");
}

#[test]
fn successful_orders_are_free_and_failed_ones_cost() {
    let mut bench = super::bench();
    let conn = bench.logged_on("alice");
    let used = |reply: &serde_json::Value| reply["rateLimits"][2]["count"].as_i64();
    let first = bench.limit(conn, "BUY", "0.1", "a");
    let second = bench.limit(conn, "BUY", "0.1", "b");
    assert_eq!(used(&first), used(&second));
    let bad = bench.place(conn, json!({"symbol": "DOGEUSDT"}));
    assert_eq!(used(&bad), used(&second).map(|used| used + 1));
}

#[test]
fn stream_clients_may_send_five_frames_a_second() {
    let mut bench = super::bench();
    let conn = bench.open("/ws");
    for id in 0..5 {
        bench.text(conn, &json!({"method": "LIST_SUBSCRIPTIONS", "id": id}).to_string());
    }
    assert_eq!(bench.taken(conn).len(), 5);
    bench.text(conn, r#"{"method":"LIST_SUBSCRIPTIONS","id":6}"#);
    assert!(bench.taken(conn).is_empty());
    assert!(matches!(bench.others.last(), Some(SimOutput::Close(c, 1008, _)) if *c == conn));
}

#[test]
fn connections_are_limited_per_address() {
    let mut config = config();
    config.limits.connections_per_5m = 2;
    let mut bench = Bench::new(config);
    bench.open("/ws");
    bench.open("/ws-api/v3");
    assert!(bench.others.is_empty());
    bench.open("/ws");
    assert!(matches!(bench.others.last(), Some(SimOutput::Refuse(_, 429))));
}
