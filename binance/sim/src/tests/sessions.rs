//! Who may do what: signatures, sessions, private subscriptions, revoked keys.

use serde_json::json;

use super::{bench, code, text};
use crate::io::SimOutput;

#[test]
fn signatures_are_over_sorted_plain_parameters() {
    let mut bench = bench();
    let conn = bench.open("/ws-api/v3");
    let params = bench.signed("bob", json!({"apiKey": "key-bob", "recvWindow": 5000}));
    assert_eq!(bench.call(conn, "account.status", params.clone())["status"], 200);
    let mut wrong = params.clone();
    wrong["recvWindow"] = json!(5001);
    assert_eq!(code(&bench.call(conn, "account.status", wrong)), -1022);
    let mut wrong = params;
    wrong["apiKey"] = json!("key-alice");
    assert_eq!(code(&bench.call(conn, "account.status", wrong)), -1022);
    let reply =
        bench.call(conn, "account.status", json!({"apiKey": "nobody", "timestamp": 1, "signature": "x"}));
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(401), -2015));
    let reply = bench.call(conn, "account.status", json!({"timestamp": bench.now.millis()}));
    assert_eq!(code(&reply), -1102);
}

#[test]
fn hmac_keys_sign_requests_but_do_not_log_on() {
    let mut bench = bench();
    let conn = bench.open("/ws-api/v3");
    let params = bench.signed("hmac", json!({"apiKey": "key-hmac"}));
    assert_eq!(bench.call(conn, "session.logon", params)["status"], 400);
    let params = bench.signed("hmac", json!({"apiKey": "key-hmac"}));
    let reply = bench.call(conn, "userDataStream.subscribe.signature", params);
    assert_eq!(reply["result"], json!({"subscriptionId": 0}));
    let (status, _) = bench.rest("hmac", "GET", "/api/v3/account", "");
    assert_eq!(status, 200);
}

#[test]
fn a_connection_carries_several_accounts_each_once() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let again = bench.call(conn, "userDataStream.subscribe", json!({}));
    assert_eq!(code(&again), -2035);
    let params = bench.signed("bob", json!({"apiKey": "key-bob"}));
    let second = bench.call(conn, "userDataStream.subscribe.signature", params);
    assert_eq!(second["result"], json!({"subscriptionId": 1}));
    let all = bench.call(conn, "session.subscriptions", json!({}));
    assert_eq!(all["result"], json!([{"subscriptionId": 0}, {"subscriptionId": 1}]));
    bench.control("transfer", &json!({"account": "bob", "asset": "USDT", "amount": "-5"}));
    let frames = bench.values(conn);
    assert_eq!(
        frames[0],
        json!({"subscriptionId": 1, "event": {"e": "balanceUpdate", "E": 1_700_000_000_000_i64, "a": "USDT",
            "d": "-5.00000000", "T": 1_700_000_000_000_i64}})
    );
    assert_eq!(text(&frames[1]["event"]["e"]), "outboundAccountPosition");
    let reply = bench.call(conn, "userDataStream.unsubscribe", json!({"subscriptionId": 1}));
    assert_eq!(reply["result"], json!({}));
    assert_eq!(
        bench.values(conn),
        [json!({"subscriptionId": 1, "event": {"e": "eventStreamTerminated", "E": 1_700_000_000_000_i64}})]
    );
    let gone = bench.call(conn, "userDataStream.unsubscribe", json!({"subscriptionId": 1}));
    assert_eq!(code(&gone), -2036);
}

#[test]
fn logout_ends_the_logons_subscription_only() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let params = bench.signed("bob", json!({"apiKey": "key-bob"}));
    bench.call(conn, "userDataStream.subscribe.signature", params);
    let reply = bench.call(conn, "session.logout", json!({}));
    assert_eq!(
        (&reply["result"]["apiKey"], &reply["result"]["userDataStream"]),
        (&json!(null), &json!(true))
    );
    let frames = bench.values(conn);
    assert_eq!((frames.len(), &frames[0]["subscriptionId"]), (1, &json!(0)));
    let reply = bench.call(conn, "userDataStream.subscribe", json!({}));
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(401), -1002));
}

#[test]
fn timestamps_are_held_against_the_venues_clock() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    for (timestamp, expected) in
        [(1_700_000_001_000_i64, -1021), (1_699_999_994_999, -1021), (1_699_999_995_000, 0)]
    {
        let reply = bench.call(conn, "openOrders.status", json!({"timestamp": timestamp}));
        assert_eq!(code(&reply), expected, "{timestamp}");
    }
    bench.control("faults", &json!([{"fault": "clock.skew", "ms": 3_000}]));
    let reply = bench.call(conn, "time", json!({}));
    assert_eq!(reply["result"]["serverTime"], 1_700_000_003_000_i64);
    let reply = bench.call(conn, "openOrders.status", json!({"timestamp": bench.now.millis() + 4_000}));
    assert_eq!(code(&reply), -1021);
    assert_eq!(
        text(&reply["error"]["msg"]),
        "Timestamp for this request was 1000ms ahead of the server's time."
    );
}

#[test]
fn a_revoked_key_is_told_and_locked_out() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.control("faults", &json!([{"fault": "key.revoke", "apikey": "key-alice"}]));
    let frames = bench.values(conn);
    assert_eq!(
        frames[0],
        json!({"id": null, "status": 401, "error": {"code": -2015,
            "msg": "Invalid API-key, IP, or permissions for action."}})
    );
    assert_eq!(text(&frames[1]["event"]["e"]), "eventStreamTerminated");
    let params = bench.signed("alice", json!({"apiKey": "key-alice"}));
    assert_eq!(code(&bench.call(conn, "session.logon", params)), -2015);
    bench.control("faults", &json!([{"fault": "key.restore", "apikey": "key-alice"}]));
    let params = bench.signed("alice", json!({"apiKey": "key-alice"}));
    assert_eq!(bench.call(conn, "session.logon", params)["status"], 200);
}

#[test]
fn removed_and_unknown_requests() {
    let mut bench = bench();
    let conn = bench.open("/ws-api/v3");
    assert_eq!(bench.call(conn, "userDataStream.start", json!({}))["status"], 410);
    assert_eq!(bench.call(conn, "v3/ping", json!({}))["result"], json!({}));
    assert_eq!(code(&bench.call(conn, "order.plaice", json!({}))), -1020);
    bench.text(conn, "{nonsense");
    let reply = bench.values(conn).remove(0);
    assert_eq!((&reply["id"], code(&reply)), (&json!(null), -1135));
    let reply = bench.http("POST", "/api/v3/userDataStream", Some("key-alice"), "").unwrap();
    assert_eq!(reply.status, 410);
    assert_eq!(bench.http("GET", "/api/v3/nothing", None, "").unwrap().status, 404);
    assert_eq!(bench.http("PATCH", "/api/v3/order", None, "").unwrap().status, 405);
    bench.open("/elsewhere");
    assert!(matches!(bench.others.pop(), Some(SimOutput::Refuse(_, 404))));
}

#[test]
fn rest_takes_parameters_from_query_and_body() {
    let mut bench = bench();
    let query = "symbol=DOGEUSDT&side=BUY&type=LIMIT";
    let body = format!("timeInForce=GTC&price=0.1&quantity=10&timestamp={}", bench.now.millis());
    let signature = super::secret("hmac").sign(format!("{query}{body}").as_bytes());
    let target = format!("/api/v3/order?{query}");
    let reply =
        bench.http("POST", &target, Some("key-hmac"), &format!("{body}&signature={signature}")).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let names: Vec<&str> = reply.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["x-mbx-used-weight", "x-mbx-used-weight-1m", "x-mbx-order-count-10s", "x-mbx-order-count-1d"]
    );
    let reply = bench
        .http("POST", &target, Some("key-hmac"), &format!("{body}&newClientOrderId=x&signature={signature}"))
        .unwrap();
    assert!(reply.body.contains("-1022"), "{}", reply.body);
}
