//! Orders: their life, their refusals in the venue's words, their names.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::{Bench, bench, code, text};

fn order(changes: &Value) -> Value {
    let mut order = json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "0.1", "quantity": "10"});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => order.as_object_mut().unwrap().remove(name),
            value => order.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    order
}

/// Orders whose parameters are wrong.
fn malformed() -> Vec<(Value, i64, &'static str)> {
    vec![
        (
            json!({"symbol": null}),
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        (json!({"symbol": ""}), -1105, "Parameter 'symbol' was empty."),
        (json!({"symbol": "XXXYYY"}), -1121, "Invalid symbol."),
        (
            json!({"symbol": "doge"}),
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ),
        (json!({"side": "HOLD"}), -1117, "Invalid side."),
        (json!({"type": "ICEBERG"}), -1116, "Invalid orderType."),
        (json!({"timeInForce": "GTX"}), -1115, "Invalid timeInForce."),
        (
            json!({"timeInForce": null}),
            -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (
            json!({"price": null}),
            -1102,
            "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
        ),
        (
            json!({"quantity": null}),
            -1102,
            "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed.",
        ),
        (
            json!({"quantity": "1e5"}),
            -1100,
            "Illegal characters found in parameter 'quantity'; legal range is \
             '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ),
        (
            json!({"quantity": "-10"}),
            -1100,
            "Illegal characters found in parameter 'quantity'; legal range is \
             '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ),
        (json!({"price": "0.123456789"}), -1111, "Parameter 'price' has too much precision."),
        (json!({"type": "MARKET"}), -1114, "TimeInForce parameter sent when not required."),
        (json!({"type": "MARKET", "timeInForce": null}), -1106, "Parameter 'price' sent when not required."),
        (
            json!({"type": "MARKET", "timeInForce": null, "price": null, "quantity": null}),
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        ),
        (json!({"stopPrice": "0.1"}), -1106, "Parameter 'stopPrice' sent when not required."),
        (
            json!({"newClientOrderId": "a b"}),
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is \
             '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
        (
            json!({"colour": "red"}),
            -1104,
            "Not all sent parameters were read; read '7' parameter(s) but was sent '8'.",
        ),
        (json!({"strategyType": 999_999}), -1134, "`strategyType` was less than 1000000."),
    ]
}

/// Orders that are well formed and refused.
fn refused() -> Vec<(Value, i64, &'static str)> {
    vec![
        (json!({"icebergQty": "1"}), -2010, "Iceberg orders are not supported for this symbol."),
        (json!({"trailingDelta": 10}), -2010, "Trailing stop orders are not supported for this symbol."),
        (json!({"pegPriceType": "PRIMARY_PEG"}), -2010, "Pegged orders are not supported for this symbol."),
        (json!({"price": "0.100001"}), -1013, "Filter failure: PRICE_FILTER"),
        (json!({"quantity": "10.5"}), -1013, "Filter failure: LOT_SIZE"),
        (json!({"quantity": "9"}), -1013, "Filter failure: NOTIONAL"),
        (json!({"price": "1.1"}), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (json!({"quantity": "5000000"}), -2010, "Account has insufficient balance for requested action."),
        (
            json!({"type": "LIMIT_MAKER", "timeInForce": null, "price": "0.25"}),
            -2010,
            "Order would immediately match and take.",
        ),
        (
            json!({"type": "STOP_LOSS", "timeInForce": null, "price": null, "stopPrice": "0.15"}),
            -2010,
            "Order would trigger immediately.",
        ),
    ]
}

#[test]
fn each_bad_order_is_refused_with_its_code_and_words() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10"}));
    for (changes, code_wanted, words) in malformed().into_iter().chain(refused()) {
        let reply = bench.place(conn, order(&changes));
        assert_eq!((code(&reply), text(&reply["error"]["msg"])), (code_wanted, words), "{changes}");
        assert_eq!(reply["status"], 400, "{changes}");
    }
    assert!(bench.executions(conn).is_empty(), "a refused order has no events");
    assert_eq!(
        bench
            .sim
            .exchange
            .all_orders(
                tradingsys::exchange::AccountId(0),
                &tradingsys::ids::Symbol::new("dogeusdt"),
                &tradingsys::exchange::Page { limit: 9, ..Default::default() }
            )
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_client_id_is_unique_among_open_orders_only() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "same");
    let reply = bench.place(conn, order(&json!({"newClientOrderId": "same"})));
    assert_eq!((code(&reply), text(&reply["error"]["msg"])), (-2010, "Duplicate order sent."));
    bench.call(
        conn,
        "order.cancel",
        json!({"symbol": "DOGEUSDT", "origClientOrderId": "same", "timestamp": bench.now.millis()}),
    );
    bench.limit(conn, "BUY", "0.1", "same");
}

#[test]
fn an_order_fills_in_parts_by_price_then_time() {
    let mut bench = bench();
    let alice = bench.logged_on("alice");
    let bob = bench.logged_on("bob");
    bench.limit(bob, "SELL", "0.2", "first");
    bench.limit(alice, "SELL", "0.2", "second");
    bench.taken(bob);
    bench.taken(alice);
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "15", "price": "0.2"}));
    assert_eq!(bench.executions(bob), ["TRADE/FILLED"]);
    assert_eq!(bench.executions(alice), ["TRADE/PARTIALLY_FILLED"]);
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "15", "price": "0.2"}));
    assert_eq!(bench.executions(alice), ["TRADE/FILLED"]);
}

#[test]
fn ioc_and_fok_expire_with_a_reason() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let reply = bench.place(conn, order(&json!({"timeInForce": "IOC"})));
    assert_eq!(
        (text(&reply["result"]["status"]), text(&reply["result"]["expiryReason"])),
        ("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED")
    );
    let events = bench.events(conn);
    assert_eq!(
        events.iter().filter(|e| e["x"] == "EXPIRED" && e["eR"] == "UNFILLED_IOC_QUANTITY_EXPIRED").count(),
        1
    );
    let reply = bench.place(conn, order(&json!({"timeInForce": "FOK"})));
    assert_eq!(text(&reply["result"]["expiryReason"]), "UNFILLED_FOK_ORDER_EXPIRED");
}

#[test]
fn self_trade_prevention_expires_the_maker_and_says_so() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.limit(conn, "SELL", "0.2", "maker");
    bench.taken(conn);
    bench.limit(conn, "BUY", "0.2", "taker");
    let events = bench.events(conn);
    let prevented = events.iter().find(|event| event["x"] == "TRADE_PREVENTION").unwrap();
    assert_eq!(
        (text(&prevented["c"]), text(&prevented["X"]), text(&prevented["B"])),
        ("maker", "EXPIRED_IN_MATCH", "10.00000000")
    );
    assert_eq!(
        (text(&prevented["pl"]), text(&prevented["pL"]), text(&prevented["Cs"])),
        ("10.00000000", "0.20000000", "DOGEUSDT")
    );
    for field in ["v", "u", "U", "A", "pY"] {
        assert!(prevented.get(field).is_some(), "{field}: {prevented}");
    }
}

#[test]
fn a_stop_waits_then_works() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.price("DOGEUSDT", "0.2");
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10"}));
    let reply = bench.place(
        conn,
        order(&json!({"type": "STOP_LOSS", "timeInForce": null,
        "price": null, "side": "SELL", "stopPrice": "0.19"})),
    );
    assert_eq!(reply["status"], 200, "{reply}");
    assert_eq!(reply["result"].get("status"), None, "ACK by default: {reply}");
    let events = bench.events(conn);
    assert_eq!((&events[0]["w"], events[0].get("W")), (&json!(false), None));
    bench.price("DOGEUSDT", "0.185");
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "SELL", "qty": "10"}));
    assert_eq!(bench.executions(conn), ["NEW/NEW", "TRADE/FILLED"]);
}

#[test]
fn amends_keep_the_order_and_rename_it_unless_told() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let id = bench.limit(conn, "BUY", "0.15", "am-1")["result"]["orderId"].clone();
    bench.taken(conn);
    let amend = |bench: &mut Bench, params: Value| {
        let mut params = params;
        params["symbol"] = json!("DOGEUSDT");
        params["timestamp"] = json!(bench.now.millis());
        bench.call(conn, "order.amend.keepPriority", params)
    };
    let reply = amend(&mut bench, json!({"orderId": id, "newQty": "8", "newClientOrderId": "am-2"}));
    assert_eq!(
        reply["result"]["amendedOrder"],
        json!({"symbol": "DOGEUSDT", "orderId": id, "orderListId": -1, "origClientOrderId": "am-1",
            "clientOrderId": "am-2", "price": "0.15000000", "qty": "8.00000000", "executedQty": "0.00000000",
            "preventedQty": "0.00000000", "quoteOrderQty": "0.00000000", "cumulativeQuoteQty": "0.00000000",
            "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
            "workingTime": 1_700_000_000_000_i64, "selfTradePreventionMode": "EXPIRE_MAKER"})
    );
    let events = bench.events(conn);
    assert_eq!(
        (text(&events[0]["x"]), text(&events[0]["c"]), text(&events[0]["C"])),
        ("REPLACED", "am-2", "am-1")
    );
    for (qty, words) in [
        ("9", "Order amend (quantity increase) is not supported."),
        ("8", "The requested action would change no state; rejecting"),
    ] {
        let reply = amend(&mut bench, json!({"orderId": id, "newQty": qty}));
        assert_eq!((code(&reply), text(&reply["error"]["msg"])), (-2038, words));
    }
    let reply = amend(&mut bench, json!({"orderId": id, "newQty": "7"}));
    let renamed = text(&reply["result"]["amendedOrder"]["clientOrderId"]);
    assert!(renamed.len() >= 20 && renamed != "am-2", "{renamed}");
}

#[test]
fn cancel_replace_reports_each_leg() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let replace = |bench: &mut Bench, changes: Value| {
        let mut params = order(&changes);
        params["timestamp"] = json!(bench.now.millis());
        bench.call(conn, "order.cancelReplace", params)
    };
    bench.limit(conn, "BUY", "0.1", "cr-1");
    let reply = replace(
        &mut bench,
        json!({"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "cr-1",
            "newClientOrderId": "cr-1"}),
    );
    let result = &reply["result"];
    assert_eq!(
        (text(&result["cancelResult"]), text(&result["newOrderResult"])),
        ("SUCCESS", "SUCCESS"),
        "{reply}"
    );
    assert_eq!(text(&result["cancelResponse"]["origClientOrderId"]), "cr-1");
    let reply = replace(
        &mut bench,
        json!({"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "none"}),
    );
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(400), -2022));
    assert_eq!(
        reply["error"]["data"],
        json!({"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
            "cancelResponse": {"code": -2011, "msg": "Unknown order sent."}, "newOrderResponse": null})
    );
    let reply =
        replace(&mut bench, json!({"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": "none"}));
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(409), -2021));
    assert_eq!(text(&reply["error"]["data"]["newOrderResult"]), "SUCCESS");
    let reply = replace(
        &mut bench,
        json!({"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": "none",
            "type": "LIMIT_MAKER", "timeInForce": null, "price": "0.25"}),
    );
    assert_eq!((reply["status"].as_i64(), code(&reply)), (Some(400), -2022));
    let (status, body) = bench.rest(
        "alice",
        "POST",
        "/api/v3/order/cancelReplace",
        "symbol=DOGEUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0.1&quantity=10\
         &cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId=999999",
    );
    assert_eq!(
        (status, &body["code"], &body["data"]["newOrderResult"]),
        (400, &json!(-2022), &json!("NOT_ATTEMPTED")),
        "over REST the data is at the top"
    );
}

#[test]
fn cancels_are_refused_in_the_venues_words() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    let id = bench.limit(conn, "BUY", "0.1", "c-1")["result"]["orderId"].clone();
    let cancel = |bench: &mut Bench, params: Value| {
        let mut params = params;
        params["symbol"] = json!("DOGEUSDT");
        params["timestamp"] = json!(bench.now.millis());
        bench.call(conn, "order.cancel", params)
    };
    for (params, wanted, words) in [
        (json!({"orderId": 999_999}), -2011, "Unknown order sent."),
        (json!({}), -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
        (
            json!({"orderId": id, "cancelRestrictions": "ONLY_OLD"}),
            -1145,
            "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.",
        ),
        (
            json!({"orderId": id, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}),
            -2011,
            "Order was not canceled due to cancel restrictions.",
        ),
    ] {
        let reply = cancel(&mut bench, params.clone());
        assert_eq!((code(&reply), text(&reply["error"]["msg"])), (wanted, words), "{params}");
    }
    let (status, body) = bench.rest("alice", "DELETE", "/api/v3/openOrders", "symbol=BTCUSDT");
    assert_eq!((status, &body["code"]), (400, &json!(-2011)));
    let (status, body) = bench.rest("alice", "DELETE", "/api/v3/openOrders", "symbol=DOGEUSDT");
    assert_eq!((status, &body[0]["status"]), (200, &json!("CANCELED")));
    let other = cancel(&mut bench, json!({"orderId": id}));
    assert_eq!(code(&other), -2011, "a second cancel finds nothing");
}

/// The switch on the venue's pages, turned by a script: the next fill is charged so, on spot and on margin.
#[test]
fn r23_fees_are_paid_in_bnb_from_one_fill_to_the_next() {
    let mut bench = bench();
    // What BNB is worth is known by its last trade.
    bench.control("trade", &json!({"symbol": "BNBUSDT", "side": "BUY", "qty": "0.01"}));
    bench.control("margin/transfer", &json!({"account": "alice", "asset": "BNB", "amount": "1"}));
    bench.control("margin/transfer", &json!({"account": "alice", "asset": "USDT", "amount": "1000"}));
    let pays = |at: i64, on: bool| {
        let body = json!({"account": "alice", "pays_in_bnb": on});
        json!({"fault": "control", "path": "fees", "at": at, "body": body})
    };
    bench.control("faults", &json!([pays(1_000, true), pays(2_000, false)]));
    let conn = bench.logged_on("alice");
    let other = bench.logged_on("bob");
    let buy = json!({"symbol": "DOGEUSDT", "side": "BUY", "type": "MARKET", "quantity": "100"});
    let mut paid = Vec::new();
    for _ in 0..3 {
        let placed = bench.place(conn, buy.clone());
        let margin = bench.rest(
            "alice",
            "POST",
            "/sapi/v1/margin/order",
            "symbol=DOGEUSDT&side=BUY&type=MARKET&quantity=100&newOrderRespType=FULL",
        );
        let theirs = bench.place(other, buy.clone());
        let of = |reply: &Value| text(&reply["fills"][0]["commissionAsset"]).to_owned();
        paid.push([of(&placed["result"]), of(&margin.1), of(&theirs["result"])]);
        bench.pass(Span::from_secs(1));
    }
    assert_eq!(paid, [["DOGE"; 3], ["BNB", "BNB", "DOGE"], ["DOGE"; 3]]);
    let now = bench.now.millis();
    let params =
        bench.signed("alice", json!({"symbol": "DOGEUSDT", "apiKey": "key-alice", "timestamp": now}));
    let shown = |bench: &mut Bench| {
        let reply = bench.call(conn, "account.commission", params.clone());
        reply["result"]["discount"]["enabledForAccount"].clone()
    };
    assert_eq!(shown(&mut bench), false);
    bench.control("fees", &json!({"account": "alice", "pays_in_bnb": true}));
    assert_eq!(shown(&mut bench), true);
}
