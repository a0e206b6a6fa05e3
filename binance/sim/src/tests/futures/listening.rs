//! Listen keys, routes, faults of private events.

use serde_json::json;
use tradingsys::time::Span;

use super::super::{Bench, bench, config};
use crate::config::Unrouted;
use crate::io::SimOutput;

#[test]
fn a_listen_key_lives_for_an_hour_after_it_was_last_extended() {
    let mut bench = bench();
    let key = bench.listen_key("alice");
    assert_eq!(key.len(), 64);
    assert_eq!(bench.listen_key("alice"), key, "an account has one key");
    bench.pass(Span::from_secs(59 * 60));
    let extended = bench.http("PUT", "/fapi/v1/listenKey", Some("key-alice"), "").unwrap();
    assert_eq!((extended.status, extended.body), (200, format!("{{\"listenKey\":\"{key}\"}}")));
    bench.pass(Span::from_secs(59 * 60));
    let conn = bench.open(&format!("/private/ws?listenKey={key}"));
    bench.pass(Span::from_secs(59));
    assert!(bench.taken(conn).is_empty());
    bench.pass(Span::from_secs(2));
    let expired = format!(
        "{{\"e\":\"listenKeyExpired\",\"E\":{},\"listenKey\":\"{key}\"}}",
        1_700_000_000_000_i64 + (59 + 60) * 60_000
    );
    assert_eq!(bench.taken(conn), [expired]);
    let refused = bench.http("PUT", "/fapi/v1/listenKey", Some("key-alice"), "").unwrap();
    assert_eq!(refused.body, r#"{"code":-1125,"msg":"This listenKey does not exist."}"#);
    bench.futures_api("alice");
    let fresh = bench.listen_key("alice");
    assert_ne!(fresh, key);
    bench.http("DELETE", "/fapi/v1/listenKey", Some("key-alice"), "").unwrap();
    assert_ne!(bench.listen_key("alice"), fresh);
}

/// Raw on `/private/ws`, wrapped with the key on `/private/stream`; `events` chooses.
#[test]
fn private_events_come_by_every_way_there_is() {
    let mut bench = bench();
    let api = bench.futures_api("alice");
    let key = bench.listen_key("alice");
    let by_path = bench.open(&format!("/private/ws/{key}"));
    let wrapped = bench.open(&format!("/private/stream?listenKey={key}"));
    let chosen = bench.open(&format!("/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/MARGIN_CALL"));
    let subscribed = bench.open("/private/stream");
    bench.text(subscribed, &json!({"method": "SUBSCRIBE", "params": [key], "id": 1}).to_string());
    let wrong = bench.open(&format!("/market/ws/{key}"));
    bench.taken(subscribed);
    bench.rest_perpetual(api, "BUY", "0.19", "100", "mine");
    assert_eq!(bench.values(by_path)[0]["e"], "ORDER_TRADE_UPDATE");
    for conn in [wrapped, subscribed] {
        let frame = &bench.values(conn)[0];
        assert_eq!((&frame["stream"], &frame["data"]["e"]), (&json!(key), &json!("ORDER_TRADE_UPDATE")));
    }
    assert!(bench.taken(chosen).is_empty() && bench.taken(wrong).is_empty());
}

#[test]
fn a_wrong_route_is_acknowledged_and_silent() {
    for (unrouted, books, trades) in
        [(Unrouted::Public, true, false), (Unrouted::All, true, true), (Unrouted::None, false, false)]
    {
        let mut config = config();
        config.unrouted = unrouted;
        let mut bench = Bench::new(config);
        let mut heard = |path: &str| {
            let conn = bench.open(path);
            bench.text(
                conn,
                r#"{"method":"SUBSCRIBE","params":["dogeusdt@bookTicker","dogeusdt@aggTrade"],"id":1}"#,
            );
            assert_eq!(bench.taken(conn), [r#"{"result":null,"id":1}"#]);
            bench.control("futures/trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "1000000"}));
            bench.pass(Span::from_millis(200));
            let frames = bench.values(conn);
            bench.price("DOGEUSDT", "0.3");
            bench.price("DOGEUSDT", "0.2");
            (
                frames.iter().any(|frame| frame["e"] == "bookTicker"),
                frames.iter().any(|frame| frame["e"] == "aggTrade"),
            )
        };
        assert_eq!(heard("/public/ws"), (true, false));
        assert_eq!(heard("/market/ws"), (false, true));
        assert_eq!(heard("/private/ws"), (false, false));
        assert_eq!(heard("/fstream/ws"), (books, trades), "{unrouted:?}");
    }
}

#[test]
fn faults_strike_one_product_and_its_events() {
    let mut bench = bench();
    let (api, private) = (bench.futures_api("alice"), bench.private("alice"));
    bench.control(
        "faults",
        &json!([{"fault": "event.drop", "event": "ORDER_TRADE_UPDATE", "product": "futures", "times": 1},
            {"fault": "reply.error", "code": -1007, "method": "order.cancel", "product": "spot"}]),
    );
    let id = bench.rest_perpetual(api, "BUY", "0.19", "100", "mine");
    assert!(bench.taken(private).is_empty());
    let now = bench.now.millis();
    let reply =
        bench.call(api, "order.cancel", json!({"symbol": "DOGEUSDT", "orderId": id, "timestamp": now}));
    assert_eq!(reply["status"], 200, "{reply}");
    assert_eq!(bench.values(private)[0]["o"]["x"], "CANCELED");
    bench.control("faults", &json!([{"fault": "connection.abort", "product": "futures"}]));
    let cut = bench.others.iter().filter(|output| matches!(output, SimOutput::Abort(_))).count();
    assert_eq!(cut, 2);
}

#[test]
fn futures_are_pinged_every_three_minutes() {
    let mut bench = bench();
    let conn = bench.open("/public/ws");
    bench.others.clear();
    bench.pass(Span::from_secs(181));
    let pings = bench.others.iter().filter(|output| matches!(output, SimOutput::Ping(to, _) if *to == conn));
    assert_eq!(pings.count(), 1);
    bench.pass(Span::from_secs(601));
    let closed =
        bench.others.iter().any(|output| matches!(output, SimOutput::Close(to, 1008, _) if *to == conn));
    assert!(closed, "no pong within ten minutes");
}
