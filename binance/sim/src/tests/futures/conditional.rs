//! The algo service: conditional orders, from acceptance to the order they become.

use serde_json::{Value, json};

use super::super::{Bench, bench, code, text};
use crate::io::{Conn, Journal};

/// The perpetual has traded at 0.2, and the house quotes a tick to either side.
fn traded() -> (Bench, Conn, Conn) {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    bench.control("futures/trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "50"}));
    let private = bench.private("alice");
    (bench, conn, private)
}

fn ask(bench: &mut Bench, conn: Conn, change: Value) -> Value {
    let mut order = json!({"algoType": "CONDITIONAL", "symbol": "DOGEUSDT", "side": "SELL",
        "type": "STOP_MARKET", "quantity": "100", "triggerPrice": "0.195", "clientAlgoId": "stop-1",
        "timestamp": bench.now.millis()});
    for (name, value) in change.as_object().unwrap() {
        order[name] = value.clone();
    }
    bench.call(conn, "algoOrder.place", order)
}

/// New Algo Order, and the event that goes with it.
#[test]
fn a_waiting_order_in_reply_event_and_query() {
    let (mut bench, conn, private) = traded();
    let reply = ask(&mut bench, conn, json!({}));
    let id = reply["result"]["algoId"].clone();
    assert_eq!(
        reply["result"],
        json!({"algoId": id, "clientAlgoId": "stop-1", "algoType": "CONDITIONAL",
            "orderType": "STOP_MARKET", "symbol": "DOGEUSDT", "side": "SELL", "positionSide": "BOTH",
            "timeInForce": "GTC", "quantity": "100", "algoStatus": "NEW", "triggerPrice": "0.195000",
            "price": "0.000000", "icebergQuantity": null, "selfTradePreventionMode": "NONE",
            "workingType": "CONTRACT_PRICE", "priceMatch": "NONE", "closePosition": false,
            "priceProtect": false, "reduceOnly": false, "activatePrice": null, "callbackRate": null,
            "createTime": 1_700_000_000_000_i64, "updateTime": 1_700_000_000_000_i64, "triggerTime": 0,
            "goodTillDate": 0})
    );
    assert_eq!(
        bench.values(private),
        [json!({"e": "ALGO_UPDATE", "T": 1_700_000_000_000_i64, "E": 1_700_000_000_000_i64, "o": {
            "caid": "stop-1", "aid": id, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "DOGEUSDT",
            "S": "SELL", "ps": "BOTH", "f": "GTC", "q": "100", "X": "NEW", "ai": "", "ap": "0", "aq": "0",
            "act": "0", "tp": "0.195", "p": "0", "V": "NONE", "wt": "CONTRACT_PRICE", "pm": "NONE",
            "cp": false, "pP": false, "R": false, "tt": 0, "gtd": 0, "rm": ""}})]
    );
    let (_, open) = bench.rest("alice", "GET", "/fapi/v1/openAlgoOrders", "symbol=DOGEUSDT");
    assert_eq!((&open[0]["algoId"], &open[0]["actualOrderId"]), (&id, &json!("")));
    let (_, plain) = bench.rest("alice", "GET", "/fapi/v1/openOrders", "symbol=DOGEUSDT");
    assert_eq!(plain, json!([]), "it is no order yet");
    let now = bench.now.millis();
    let canceled = bench.call(conn, "algoOrder.cancel", json!({"algoId": id, "timestamp": now}));
    assert_eq!(
        canceled["result"],
        json!({"algoId": id, "clientAlgoId": "stop-1", "code": "200", "msg": "success"})
    );
    assert_eq!(bench.values(private)[0]["o"]["X"], "CANCELED");
    assert_eq!(code(&bench.call(conn, "algoOrder.cancel", json!({"algoId": id, "timestamp": now}))), -2011);
}

/// Its own number leads to the order it becomes.
#[test]
fn a_triggered_order_is_followed_to_what_it_becomes() {
    let (mut bench, conn, private) = traded();
    let id = ask(&mut bench, conn, json!({}))["result"]["algoId"].clone();
    bench.taken(private);
    bench.control("futures/price", &json!({"symbol": "DOGEUSDT", "price": "0.194"}));
    bench.control("futures/trade", &json!({"symbol": "DOGEUSDT", "side": "SELL", "qty": "50"}));
    let frames = bench.values(private);
    let states: Vec<&str> = frames
        .iter()
        .filter(|frame| frame["e"] == "ALGO_UPDATE")
        .map(|frame| text(&frame["o"]["X"]))
        .collect();
    assert_eq!(states, ["TRIGGERING", "TRIGGERED", "FINISHED"]);
    let order = frames.iter().find(|frame| frame["e"] == "ORDER_TRADE_UPDATE").unwrap();
    assert_eq!((&order["o"]["o"], &order["o"]["ot"]), (&json!("MARKET"), &json!("STOP_MARKET")));
    let params = format!("algoId={id}");
    let (_, found) = bench.rest("alice", "GET", "/fapi/v1/algoOrder", &params);
    assert_eq!(
        (&found["algoStatus"], text(&found["actualOrderId"]), &found["actualQty"], &found["actualType"]),
        (&json!("FINISHED"), order["o"]["i"].to_string().as_str(), &json!("100"), &json!("MARKET"))
    );
    let journal: Vec<&String> =
        bench.lines.iter().filter(|(j, _)| *j == Journal::FuturesAlgos).map(|(_, line)| line).collect();
    assert_eq!(journal.len(), 4, "{journal:?}");
}

#[test]
fn each_bad_conditional_order_is_refused_with_its_code() {
    let (mut bench, conn, _) = traded();
    for (change, expected) in [
        (json!({"algoType": "VP"}), -1130),
        (json!({"type": "LIMIT"}), -1116),
        (json!({"triggerPrice": null}), -1102),
        (json!({"stopPrice": "0.1"}), -1104),
        (json!({"triggerPrice": "0.21"}), -2021),
        (json!({"quantity": null}), -1102),
        (json!({"closePosition": "true"}), -4137),
        (json!({"closePosition": "true", "quantity": null, "reduceOnly": "true"}), -1106),
        (json!({"type": "STOP"}), -1102),
        (json!({"price": "0.19"}), -1106),
        (json!({"callbackRate": "1"}), -1106),
        (json!({"type": "TRAILING_STOP_MARKET", "triggerPrice": null}), -1102),
        (json!({"type": "TRAILING_STOP_MARKET", "triggerPrice": null, "callbackRate": "21"}), -2007),
        (
            json!({"type": "TRAILING_STOP_MARKET", "triggerPrice": null, "callbackRate": "1",
                "activatePrice": "0.19"}),
            -4135,
        ),
        (json!({"clientAlgoId": "a b"}), -4015),
        (json!({"workingType": "INDEX"}), -1130),
    ] {
        let reply = ask(&mut bench, conn, change.clone());
        assert_eq!(code(&reply), expected, "{change}: {reply}");
    }
    for number in 0..200 {
        let params = format!(
            "algoType=CONDITIONAL&symbol=DOGEUSDT&side=SELL&type=STOP_MARKET&quantity=100&triggerPrice=0.19\
             &clientAlgoId=n{number}"
        );
        assert_eq!(bench.rest("bob", "POST", "/fapi/v1/algoOrder", &params).0, 200);
    }
    let params =
        "algoType=CONDITIONAL&symbol=DOGEUSDT&side=SELL&type=STOP_MARKET&quantity=100&triggerPrice=0.19";
    assert_eq!(bench.rest("bob", "POST", "/fapi/v1/algoOrder", params).1["code"], -4045);
    assert_eq!(bench.rest("bob", "DELETE", "/fapi/v1/algoOpenOrders", "symbol=DOGEUSDT").1["code"], 200);
    assert_eq!(bench.rest("bob", "GET", "/fapi/v1/openAlgoOrders", "symbol=DOGEUSDT").1, json!([]));
}
