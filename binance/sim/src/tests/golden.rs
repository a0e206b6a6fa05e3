//! Whole frames, field by field, in the documented order.

use serde_json::json;

use super::bench;
use crate::io::Journal;

/// web-socket-api.md, "Place new order", and user-data-stream.md, "Order Update" and "Account Update".
#[test]
fn a_resting_order_its_event_and_its_balances() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.text(
        conn,
        r#"{"id":"e2a85d9f","method":"order.place","params":{"symbol":"DOGEUSDT","side":"BUY","type":"LIMIT",
            "timeInForce":"GTC","price":"0.10","quantity":"10",
            "newClientOrderId":"gw-1","timestamp":1700000000000}}"#,
    );
    let frames = bench.taken(conn);
    let id = bench.sim.exchange.open_orders(tradingsys::exchange::AccountId(0), None).unwrap()[0].id;
    assert_eq!(
        frames[0],
        format!(
            "{{\"id\":\"e2a85d9f\",\"status\":200,\"result\":{{\"symbol\":\"DOGEUSDT\",\"orderId\":{id},\
             \"orderListId\":-1,\"clientOrderId\":\"gw-1\",\"transactTime\":1700000000000,\
             \"price\":\"0.10000000\",\
             \"origQty\":\"10.00000000\",\"executedQty\":\"0.00000000\",\"origQuoteOrderQty\":\"0.00000000\",\
             \"cummulativeQuoteQty\":\"0.00000000\",\"status\":\"NEW\",\"timeInForce\":\"GTC\",\
             \"type\":\"LIMIT\",\
             \"side\":\"BUY\",\"workingTime\":1700000000000,\"selfTradePreventionMode\":\"EXPIRE_MAKER\",\
             \"fills\":[]}},\"rateLimits\":[{{\"rateLimitType\":\"ORDERS\",\"interval\":\"SECOND\",\
             \"intervalNum\":10,\
             \"limit\":100,\"count\":1}},{{\"rateLimitType\":\"ORDERS\",\"interval\":\"DAY\",\
             \"intervalNum\":1,\
             \"limit\":200000,\"count\":1}},{{\"rateLimitType\":\"REQUEST_WEIGHT\",\"interval\":\"MINUTE\",\
             \"intervalNum\":1,\"limit\":6000,\"count\":4}}]}}"
        )
    );
    assert_eq!(
        frames[1],
        format!(
            "{{\"subscriptionId\":0,\"event\":{{\"e\":\"executionReport\",\"E\":1700000000000,\
            \"s\":\"DOGEUSDT\",\
             \"c\":\"gw-1\",\"S\":\"BUY\",\"o\":\"LIMIT\",\"f\":\"GTC\",\"q\":\"10.00000000\",\
             \"p\":\"0.10000000\",\
             \"P\":\"0.00000000\",\"F\":\"0.00000000\",\"g\":-1,\"C\":\"\",\"x\":\"NEW\",\
             \"X\":\"NEW\",\"r\":\"NONE\",\
             \"i\":{id},\"l\":\"0.00000000\",\"z\":\"0.00000000\",\"L\":\"0.00000000\",\"n\":\"0\",\
             \"N\":null,\
             \"T\":1700000000000,\"t\":-1,\"I\":1,\"w\":true,\"m\":false,\"M\":false,\"O\":1700000000000,\
             \"Z\":\"0.00000000\",\"Y\":\"0.00000000\",\"Q\":\"0.00000000\",\"W\":1700000000000,\
             \"V\":\"EXPIRE_MAKER\"}}}}"
        )
    );
    assert_eq!(
        frames[2],
        "{\"subscriptionId\":0,\"event\":{\"e\":\"outboundAccountPosition\",\"E\":1700000000000,\
         \"u\":1700000000000,\"B\":[{\"a\":\"USDT\",\"f\":\"99999.00000000\",\"l\":\"1.00000000\"}]}}"
    );
    assert_eq!(frames.len(), 3);
}

/// A fill by hand: 10 DOGE at 0.3 is 3 USDT; a tenth of a percent of 10 DOGE is 0.01 DOGE.
#[test]
fn a_fill_in_reply_event_query_and_journal() {
    let mut bench = bench();
    let alice = bench.logged_on("alice");
    let bob = bench.logged_on("bob");
    // The house quotes a tick to either side.
    bench.price("DOGEUSDT", "0.3");
    bench.limit(bob, "SELL", "0.3", "bob-1");
    bench.taken(bob);
    bench.lines.clear();
    let reply = bench.place(
        alice,
        json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "MARKET", "quantity": "10",
            "newClientOrderId": "al-1"}),
    );
    let result = &reply["result"];
    let (order, trade) = (result["orderId"].clone(), result["fills"][0]["tradeId"].clone());
    assert_eq!(
        result["fills"],
        json!([{"price": "0.30000000", "qty": "10.00000000", "commission": "0.01000000",
            "commissionAsset": "DOGE", "tradeId": trade}])
    );
    assert_eq!(result["cummulativeQuoteQty"], "3.00000000");
    assert_eq!(result["status"], "FILLED");
    let events = bench.events(alice);
    assert_eq!(
        events[1],
        json!({"e": "executionReport", "E": 1_700_000_000_000_i64, "s": "DOGEUSDT", "c": "al-1", "S": "BUY",
            "o": "MARKET", "f": "GTC", "q": "10.00000000", "p": "0.00000000", "P": "0.00000000",
                "F": "0.00000000",
            "g": -1, "C": "", "x": "TRADE", "X": "FILLED", "r": "NONE", "i": order, "l": "10.00000000",
            "z": "10.00000000", "L": "0.30000000", "n": "0.01000000", "N": "DOGE", "T": 1_700_000_000_000_i64,
            "t": trade, "I": events[1]["I"], "w": false, "m": false, "M": false, "O": 1_700_000_000_000_i64,
            "Z": "3.00000000", "Y": "3.00000000", "Q": "0.00000000", "W": 1_700_000_000_000_i64,
            "V": "EXPIRE_MAKER"})
    );
    let maker = bench.events(bob);
    assert_eq!(
        (&maker[0]["x"], &maker[0]["m"], &maker[0]["n"], &maker[0]["N"]),
        (&json!("TRADE"), &json!(true), &json!("0.00300000"), &json!("USDT"))
    );
    let (status, trades) = bench.rest("alice", "GET", "/api/v3/myTrades", "symbol=DOGEUSDT");
    assert_eq!(
        (status, trades),
        (
            200,
            json!([{"symbol": "DOGEUSDT", "id": trade, "orderId": order, "orderListId": -1,
                "price": "0.30000000",
                "qty": "10.00000000", "quoteQty": "3.00000000", "commission": "0.01000000",
                "commissionAsset": "DOGE", "time": 1_700_000_000_000_i64, "isBuyer": true, "isMaker": false,
                "isBestMatch": true}])
        )
    );
    let journal: Vec<&String> =
        bench.lines.iter().filter(|(journal, _)| *journal == Journal::Trades).map(|(_, line)| line).collect();
    assert_eq!(journal.len(), 2, "one line per order");
    assert!(
        journal.contains(&&format!(
            "{{\"trade_id\":{trade},\"symbol\":\"DOGEUSDT\",\"order_id\":{order},\
            \"client_order_id\":\"al-1\",\
             \"account\":\"alice\",\"side\":\"BUY\",\"price\":\"0.3\",\"qty\":\"10\",\"quote\":\"3\",\
             \"commission\":\"0.01\",\"commission_asset\":\"DOGE\",\"time\":1700000000000,\"maker\":false,\
             \"time_ns\":1700000000000000000}}"
        )),
        "{journal:?}"
    );
}

/// web-socket-api.md, "Cancel order"; user-data-stream.md: `c` is the cancel's id, `C` the order's.
#[test]
fn a_cancel_renames_the_order() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let id = bench.limit(conn, "BUY", "0.1", "gw-1")["result"]["orderId"].clone();
    bench.taken(conn);
    let reply = bench.call(
        conn,
        "order.cancel",
        json!({"symbol": "DOGEUSDT", "origClientOrderId": "gw-1", "newClientOrderId": "gw-1-gone",
            "timestamp": bench.now.millis()}),
    );
    assert_eq!(
        reply["result"],
        json!({"symbol": "DOGEUSDT", "origClientOrderId": "gw-1", "orderId": id, "orderListId": -1,
            "clientOrderId": "gw-1-gone", "transactTime": 1_700_000_000_000_i64, "price": "0.10000000",
            "origQty": "10.00000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
            "cummulativeQuoteQty": "0.00000000", "status": "CANCELED", "timeInForce": "GTC", "type": "LIMIT",
            "side": "BUY", "selfTradePreventionMode": "EXPIRE_MAKER"})
    );
    let events = bench.events(conn);
    let event = &events[0];
    assert_eq!(
        (&event["c"], &event["C"], &event["x"], &event["X"], &event["w"]),
        (&json!("gw-1-gone"), &json!("gw-1"), &json!("CANCELED"), &json!("CANCELED"), &json!(false))
    );
    assert!(event.get("W").is_some(), "it was on the book: {event}");
    let (status, found) =
        bench.rest("alice", "GET", "/api/v3/order", "symbol=DOGEUSDT&origClientOrderId=gw-1-gone");
    assert_eq!((status, &found["status"]), (200, &json!("CANCELED")));
    let (status, lost) =
        bench.rest("alice", "GET", "/api/v3/order", "symbol=DOGEUSDT&origClientOrderId=gw-1");
    assert_eq!((status, &lost["code"]), (400, &json!(-2013)));
}

/// web-socket-api.md, "Query order".
#[test]
fn a_queried_order_has_every_field() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let reply = bench.place(
        conn,
        json!({"symbol": "DOGEUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC",
            "price": "0.15", "stopPrice": "0.16", "quantity": "20", "newClientOrderId": "st-1",
            "strategyId": 7, "strategyType": 1_000_000, "newOrderRespType": "RESULT"}),
    );
    assert_eq!(reply["result"]["stopPrice"], "0.16000000", "{reply}");
    assert_eq!(reply["result"]["strategyId"], 7);
    let (_, order) = bench.rest("alice", "GET", "/api/v3/order", "symbol=DOGEUSDT&origClientOrderId=st-1");
    assert_eq!(
        order,
        json!({"symbol": "DOGEUSDT", "orderId": reply["result"]["orderId"], "orderListId": -1,
            "clientOrderId": "st-1", "price": "0.15000000", "origQty": "20.00000000",
                "executedQty": "0.00000000",
            "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC",
                "type": "STOP_LOSS_LIMIT",
            "side": "SELL", "stopPrice": "0.16000000", "icebergQty": "0.00000000",
                "time": 1_700_000_000_000_i64,
            "updateTime": 1_700_000_000_000_i64, "isWorking": false, "workingTime": -1,
            "origQuoteOrderQty": "0.00000000", "selfTradePreventionMode": "EXPIRE_MAKER", "strategyId": 7,
            "strategyType": 1_000_000})
    );
}

/// web-socket-api.md, "Log in with API key" and "Query session status".
#[test]
fn a_session_shows_its_key() {
    let mut bench = bench();
    let conn = bench.open("/ws-api/v3?returnRateLimits=false");
    bench.text(conn, r#"{"id":1,"method":"session.status"}"#);
    assert_eq!(
        bench.taken(conn),
        ["{\"id\":1,\"status\":200,\"result\":{\"apiKey\":null,\"authorizedSince\":null,\
          \"connectedSince\":1700000000000,\"returnRateLimits\":false,\"serverTime\":1700000000000,\
          \"userDataStream\":false}}"]
    );
    let params = bench.signed("alice", json!({"apiKey": "key-alice"}));
    let reply = bench.call(conn, "session.logon", params);
    assert_eq!(
        reply["result"],
        json!({"apiKey": "key-alice", "authorizedSince": 1_700_000_000_000_i64,
            "connectedSince": 1_700_000_000_000_i64, "returnRateLimits": false,
            "serverTime": 1_700_000_000_000_i64, "userDataStream": false})
    );
}
