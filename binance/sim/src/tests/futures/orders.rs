//! Orders: replies, events, refusals.

use serde_json::{Value, json};

use super::super::{Bench, bench, code};
use crate::io::{Conn, Journal};

/// New Order, Order Update.
#[test]
fn a_resting_order_and_its_event() {
    let mut bench = bench();
    let (conn, private) = (bench.futures_api("alice"), bench.private("alice"));
    bench.text(
        conn,
        r#"{"id":7,"method":"order.place","params":{"symbol":"DOGEUSDT","side":"BUY","type":"LIMIT",
            "timeInForce":"GTC","price":"0.15","quantity":"100","newClientOrderId":"gw-1",
            "timestamp":1700000000000}}"#,
    );
    let frames = bench.taken(conn);
    let open = bench.sim.futures.core.open_orders(tradingsys::exchange::AccountId(0), None).unwrap();
    let id = open[0].id;
    assert_eq!(
        frames,
        [format!(
            "{{\"id\":7,\"status\":200,\"result\":{{\"clientOrderId\":\"gw-1\",\"cumQty\":\"0\",\
             \"executedQty\":\"0\",\"orderId\":{id},\"origQty\":\"100\",\"price\":\"0.150000\",\
             \"reduceOnly\":false,\"side\":\"BUY\",\"positionSide\":\"BOTH\",\"status\":\"NEW\",\
             \"stopPrice\":\"0\",\"closePosition\":false,\"symbol\":\"DOGEUSDT\",\"timeInForce\":\"GTC\",\
             \"type\":\"LIMIT\",\"origType\":\"LIMIT\",\"updateTime\":1700000000000,\
             \"workingType\":\"CONTRACT_PRICE\",\"priceProtect\":false,\"priceMatch\":\"NONE\",\
             \"selfTradePreventionMode\":\"EXPIRE_MAKER\",\"goodTillDate\":0}},\
             \"rateLimits\":[{{\"rateLimitType\":\"ORDERS\",\"interval\":\"SECOND\",\"intervalNum\":10,\
             \"limit\":300,\"count\":1}},{{\"rateLimitType\":\"ORDERS\",\"interval\":\"MINUTE\",\
             \"intervalNum\":1,\"limit\":1200,\"count\":1}},{{\"rateLimitType\":\"REQUEST_WEIGHT\",\
             \"interval\":\"MINUTE\",\"intervalNum\":1,\"limit\":2400,\"count\":3}}]}}"
        )]
    );
    assert_eq!(
        bench.taken(private),
        [format!(
            "{{\"e\":\"ORDER_TRADE_UPDATE\",\"E\":1700000000000,\"T\":1700000000000,\"o\":{{\
             \"s\":\"DOGEUSDT\",\"c\":\"gw-1\",\"S\":\"BUY\",\"o\":\"LIMIT\",\"f\":\"GTC\",\"q\":\"100\",\
             \"p\":\"0.15\",\"ap\":\"0\",\"sp\":\"0\",\"x\":\"NEW\",\"X\":\"NEW\",\"i\":{id},\"l\":\"0\",\
             \"z\":\"0\",\"L\":\"0\",\"T\":1700000000000,\"t\":0,\"b\":\"15\",\"a\":\"0\",\"m\":false,\
             \"R\":false,\"wt\":\"CONTRACT_PRICE\",\"ot\":\"LIMIT\",\"ps\":\"BOTH\",\"cp\":false,\
             \"pP\":false,\"si\":0,\"ss\":0,\"rp\":\"0\",\"V\":\"EXPIRE_MAKER\",\"pm\":\"NONE\",\"gtd\":0,\
             \"er\":\"0\"}}}}"
        )]
    );
}

fn market(bench: &mut Bench, conn: Conn, side: &str, qty: &str) -> Value {
    bench.futures_order(
        conn,
        json!({"symbol": "DOGEUSDT", "side": side, "type": "MARKET", "quantity": qty,
            "newOrderRespType": "RESULT"}),
    )
}

/// By hand: 100 DOGE at 0.2 are 20 USDT; 0.05 % of that is 0.01, 0.02 % is 0.004. Sold at 0.21 they bring 1 USDT,
/// less 0.0105.
#[test]
fn a_position_is_opened_and_closed_with_its_profit() {
    let mut bench = bench();
    let (alice, bob) = (bench.futures_api("alice"), bench.futures_api("bob"));
    let (events, makers) = (bench.private("alice"), bench.private("bob"));
    bench.rest_perpetual(bob, "SELL", "0.2", "100", "bob-1");
    bench.taken(makers);
    let placed = market(&mut bench, alice, "BUY", "100");
    assert_eq!(
        (&placed["result"]["status"], &placed["result"]["executedQty"]),
        (&json!("FILLED"), &json!("100"))
    );
    let order = placed["result"]["orderId"].clone();
    assert_eq!(placed["result"].get("avgPrice"), None);
    assert_eq!(placed["result"].get("cumQuote"), None);
    let frames = bench.values(events);
    let kinds: Vec<&Value> = frames.iter().map(|frame| &frame["e"]).collect();
    assert_eq!(kinds, ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]);
    let trade = frames[1]["t"].clone();
    assert_eq!(
        frames[1],
        json!({"e": "TRADE_LITE", "E": 1_700_000_000_000_i64, "T": 1_700_000_000_000_i64, "s": "DOGEUSDT",
            "q": "100", "p": "0", "m": false, "c": placed["result"]["clientOrderId"], "S": "BUY", "L": "0.2",
            "l": "100", "t": trade, "i": order})
    );
    let update = &frames[2]["o"];
    for (name, value) in [
        ("x", json!("TRADE")),
        ("X", json!("FILLED")),
        ("ap", json!("0.2")),
        ("l", json!("100")),
        ("z", json!("100")),
        ("L", json!("0.2")),
        ("N", json!("USDT")),
        ("n", json!("0.01")),
        ("t", trade.clone()),
        ("rp", json!("0")),
        ("m", json!(false)),
    ] {
        assert_eq!(update[name], value, "{name}");
    }
    let account = &frames[3]["a"];
    assert_eq!(account["m"], "ORDER");
    assert_eq!(
        account["B"],
        json!([{"a": "USDT", "wb": "99999.99000000", "cw": "99999.99000000", "bc": "0"}])
    );
    let position = &account["P"][0];
    for (name, value) in [("s", "DOGEUSDT"), ("pa", "100"), ("ep", "0.2"), ("mt", "cross"), ("ps", "BOTH")] {
        assert_eq!(position[name], value, "{name}");
    }
    let maker = bench.values(makers);
    assert_eq!((&maker[1]["o"]["n"], &maker[1]["o"]["m"]), (&json!("0.004"), &json!(true)));

    bench.price("DOGEUSDT", "0.21");
    bench.rest_perpetual(bob, "BUY", "0.21", "100", "bob-2");
    bench.taken(events);
    market(&mut bench, alice, "SELL", "100");
    let frames = bench.values(events);
    assert_eq!((&frames[2]["o"]["rp"], &frames[2]["o"]["n"]), (&json!("1"), &json!("0.0105")));
    assert_eq!(frames[3]["a"]["B"][0]["wb"], "100000.97950000");
    let closed = &frames[3]["a"]["P"][0];
    assert_eq!((&closed["pa"], &closed["cr"]), (&json!("0"), &json!("1")));

    queries_agree(&mut bench, &trade, &order);
}

/// What the trades, the order, the bookings and the journal say of it.
fn queries_agree(bench: &mut Bench, trade: &Value, order: &Value) {
    let (_, trades) = bench.rest("alice", "GET", "/fapi/v1/userTrades", "symbol=DOGEUSDT");
    let first = &trades[0];
    assert_eq!(
        first,
        &json!({"symbol": "DOGEUSDT", "pair": "DOGEUSDT", "id": trade, "orderId": order, "side": "BUY",
            "positionSide": "BOTH", "price": "0.200000", "qty": "100", "baseQty": "100", "quoteQty": "20",
            "realizedPnl": "0.00000000", "marginAsset": "USDT", "commission": "0.01000000",
            "commissionAsset": "USDT", "time": 1_700_000_000_000_i64, "buyer": true, "maker": false})
    );
    assert_eq!(trades[1]["realizedPnl"], "1.00000000");
    let (_, found) =
        bench.rest("alice", "GET", "/fapi/v1/order", &format!("symbol=DOGEUSDT&orderId={order}"));
    assert_eq!((&found["avgPrice"], &found["cumQuote"]), (&json!("0.2000000"), &json!("20")));
    let (_, income) = bench.rest("alice", "GET", "/fapi/v1/income", "");
    let sum: f64 = income
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["income"].as_str().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((sum - 100_000.979_5).abs() < 1e-9, "{income}");
    let lines = bench.lines.iter().filter(|(journal, _)| *journal == Journal::FuturesTrades).count();
    assert_eq!(lines, 4, "one per order and fill");
}

/// Error codes of futures; the market stands at 0.2.
#[test]
fn each_bad_order_is_refused_with_its_code() {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    let usual = json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "0.19", "quantity": "100"});
    for (change, expected) in [
        (json!({"symbol": "NOSUCH"}), -1121),
        (json!({"symbol": "dogeusdt"}), -1121),
        (json!({"side": "LONG"}), -1117),
        (json!({"type": "LIMIT_MAKER"}), -1116),
        (json!({"type": "STOP_MARKET"}), -4120),
        (json!({"type": "TRAILING_STOP_MARKET"}), -4120),
        (json!({"stopPrice": "0.1"}), -1104),
        (json!({"quoteOrderQty": "10"}), -1104),
        (json!({"timeInForce": "GTT"}), -1115),
        (json!({"timeInForce": null}), -1102),
        (json!({"price": null}), -1102),
        (json!({"quantity": null}), -1102),
        (json!({"price": "0.1900001"}), -1111),
        (json!({"quantity": "100.5"}), -1111),
        (json!({"price": "0.190001"}), -4014),
        (json!({"price": "0.000010"}), -4013),
        (json!({"price": "31"}), -4002),
        (json!({"quantity": "0"}), -4003),
        (json!({"quantity": "60000000"}), -4005),
        (json!({"quantity": "20"}), -4164),
        (json!({"quantity": "50000000"}), -2019),
        (json!({"newClientOrderId": "a b"}), -4015),
        (json!({"newClientOrderId": "a".repeat(37)}), -4015),
        (json!({"positionSide": "LONG"}), -4061),
        (json!({"positionSide": "UP"}), -4060),
        (json!({"reduceOnly": "true"}), -2022),
        (json!({"selfTradePreventionMode": "DECREMENT"}), -5039),
        (json!({"timeInForce": "GTX", "price": "0.205"}), -5022),
        (json!({"price": "0.22"}), -4016),
        (json!({"side": "SELL", "price": "0.18"}), -4024),
        (json!({"timeInForce": "FOK"}), -5021),
        (json!({"timeInForce": "GTD"}), -1102),
        (json!({"timeInForce": "GTD", "goodTillDate": 1_700_000_500_000_i64}), -5040),
        (json!({"goodTillDate": 1_700_100_000_000_i64}), -1106),
        (json!({"priceMatch": "QUEUE"}), -5037),
        (json!({"priceMatch": "OPPONENT_20", "price": null}), -5037),
        (json!({"newOrderRespType": "FULL"}), -1130),
    ] {
        let mut order = usual.clone();
        for (name, value) in change.as_object().unwrap() {
            order[name] = value.clone();
        }
        let reply = bench.futures_order(conn, order);
        assert_eq!(code(&reply), expected, "{change}: {reply}");
    }
    bench.rest_perpetual(conn, "BUY", "0.19", "100", "twice");
    let mut again = usual;
    again["newClientOrderId"] = json!("twice");
    assert_eq!(code(&bench.futures_order(conn, again)), -4116);
    let (_, open) = bench.rest("alice", "GET", "/fapi/v1/openOrders", "symbol=DOGEUSDT");
    assert_eq!(open.as_array().unwrap().len(), 1, "refused orders leave nothing");
}

#[test]
fn a_cancelled_order_keeps_its_client_id() {
    let mut bench = bench();
    let (conn, private) = (bench.futures_api("alice"), bench.private("alice"));
    let id = bench.rest_perpetual(conn, "BUY", "0.19", "100", "mine");
    let now = bench.now.millis();
    let reply =
        bench.call(conn, "order.cancel", json!({"symbol": "DOGEUSDT", "orderId": id, "timestamp": now}));
    assert_eq!(
        (&reply["result"]["clientOrderId"], &reply["result"]["status"]),
        (&json!("mine"), &json!("CANCELED"))
    );
    let frames = bench.values(private);
    assert_eq!((&frames[1]["o"]["x"], &frames[1]["o"]["c"]), (&json!("CANCELED"), &json!("mine")));
    let again = json!({"symbol": "DOGEUSDT", "origClientOrderId": "mine", "timestamp": now});
    assert_eq!(code(&bench.call(conn, "order.cancel", again.clone())), -2011);
    let found = bench.call(conn, "order.status", again);
    assert_eq!(found["result"]["status"], "CANCELED");
    let unknown = json!({"symbol": "DOGEUSDT", "orderId": 1, "timestamp": now});
    assert_eq!(code(&bench.call(conn, "order.status", unknown)), -2013);
}

#[test]
fn a_modified_order_keeps_its_name_and_says_so() {
    let mut bench = bench();
    let (conn, private) = (bench.futures_api("alice"), bench.private("alice"));
    let id = bench.rest_perpetual(conn, "BUY", "0.19", "100", "mine");
    bench.taken(private);
    let now = bench.now.millis();
    let change = json!({"symbol": "DOGEUSDT", "orderId": id, "side": "BUY", "quantity": "120", "price": "0.18",
        "modifyId": 5, "timestamp": now});
    let reply = bench.call(conn, "order.modify", change.clone());
    let result = &reply["result"];
    assert_eq!((&result["origQty"], &result["price"]), (&json!("120"), &json!("0.180000")), "{reply}");
    assert_eq!((&result["modifyId"], &result["clientOrderId"]), (&json!(5), &json!("mine")));
    let update = &bench.values(private)[0]["o"];
    assert_eq!(
        (&update["x"], &update["X"], &update["M"], &update["q"]),
        (&json!("AMENDMENT"), &json!("NEW"), &json!("5"), &json!("120"))
    );
    assert_eq!(code(&bench.call(conn, "order.modify", change.clone())), -5027);
    let mut reducing = change.clone();
    reducing["price"] = json!("0.17");
    reducing["reduceOnly"] = json!("true");
    assert_eq!(code(&bench.call(conn, "order.modify", reducing)), -5047);
    let mut unknown = change;
    unknown["orderId"] = json!(1);
    assert_eq!(code(&bench.call(conn, "order.modify", unknown)), -2013);
}

/// Every member is answered for itself, in the order asked.
#[test]
fn batches_mix_orders_and_refusals() {
    let mut bench = bench();
    let batch = json!([
        {"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "0.19",
            "quantity": "100", "newClientOrderId": "one"},
        {"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "0.19",
            "quantity": "1"},
    ]);
    let encoded = binance_wire::sign::percent_encode(&batch.to_string());
    let (status, rows) =
        bench.rest("alice", "POST", "/fapi/v1/batchOrders", &format!("batchOrders={encoded}"));
    assert_eq!((status, &rows[0]["clientOrderId"], &rows[1]["code"]), (200, &json!("one"), &json!(-4164)));
    let names = binance_wire::sign::percent_encode("[\"one\",\"two\"]");
    let params = format!("symbol=DOGEUSDT&origClientOrderIdList={names}");
    let (_, rows) = bench.rest("alice", "DELETE", "/fapi/v1/batchOrders", &params);
    assert_eq!((&rows[0]["status"], &rows[1]["code"]), (&json!("CANCELED"), &json!(-2011)));
}

#[test]
fn a_countdown_cancels_unless_it_is_called_again() {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    bench.rest_perpetual(conn, "BUY", "0.19", "100", "mine");
    let params = "symbol=DOGEUSDT&countdownTime=1000";
    let open = |bench: &mut Bench| {
        bench.rest("alice", "GET", "/fapi/v1/openOrders", "symbol=DOGEUSDT").1.as_array().unwrap().len()
    };
    bench.rest("alice", "POST", "/fapi/v1/countdownCancelAll", params);
    bench.pass(tradingsys::time::Span::from_millis(900));
    bench.rest("alice", "POST", "/fapi/v1/countdownCancelAll", params);
    bench.pass(tradingsys::time::Span::from_millis(900));
    assert_eq!(open(&mut bench), 1);
    bench.pass(tradingsys::time::Span::from_millis(200));
    assert_eq!(open(&mut bench), 0);
    let (status, reply) = bench.rest("alice", "DELETE", "/fapi/v1/allOpenOrders", "symbol=DOGEUSDT");
    assert_eq!((status, &reply["code"]), (200, &json!(200)), "none is no error");
}
