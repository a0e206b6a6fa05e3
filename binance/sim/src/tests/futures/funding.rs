//! Mark price, funding, liquidation and the end of a contract.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::super::{Bench, bench, text};
use crate::io::{Conn, Journal};

/// Alice is long, Bob short, 1000 DOGE at 0.2.
fn held() -> (Bench, Conn, Conn) {
    let mut bench = bench();
    let (alice, bob) = (bench.futures_api("alice"), bench.futures_api("bob"));
    bench.rest_perpetual(bob, "SELL", "0.2", "1000", "bob-1");
    bench.rest_perpetual(alice, "BUY", "0.2", "1000", "alice-1");
    let private = [bench.private("alice"), bench.private("bob")];
    (bench, private[0], private[1])
}

/// By hand: 1000 × 0.2 × 0.001 is 0.2, which longs pay.
#[test]
fn funding_is_paid_by_rate_and_mark_and_said_once() {
    let (mut bench, alice, bob) = held();
    bench.control("futures/mark", &json!({"symbol": "DOGEUSDT", "mark": "0.2"}));
    bench.control("futures/funding", &json!({"symbol": "DOGEUSDT", "rate": "0.001", "interval_ms": 10_000}));
    let index = bench.http("GET", "/fapi/v1/premiumIndex?symbol=DOGEUSDT", None, "").unwrap();
    let index: Value = serde_json::from_str(&index.body).unwrap();
    assert_eq!(
        (&index["markPrice"], &index["lastFundingRate"], &index["nextFundingTime"]),
        (&json!("0.20000000"), &json!("0.00100000"), &json!(1_700_000_010_000_i64))
    );
    let (_, before) = bench.rest("alice", "GET", "/fapi/v3/balance", "");
    bench.taken(alice);
    bench.taken(bob);
    bench.pass(Span::from_secs(11));
    let paid = bench.values(alice);
    assert_eq!(
        paid[0]["a"],
        json!({"m": "FUNDING_FEE", "B": [{"a": "USDT", "wb": paid[0]["a"]["B"][0]["wb"],
            "cw": paid[0]["a"]["B"][0]["cw"], "bc": "-0.2"}], "P": [], "S": "DOGEUSDT"})
    );
    assert_eq!(paid.len(), 1);
    assert_eq!(bench.values(bob)[0]["a"]["B"][0]["bc"], "0.2");
    let (_, after) = bench.rest("alice", "GET", "/fapi/v3/balance", "");
    let amount = |row: &Value| row[0]["balance"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((amount(&before) - amount(&after) - 0.2).abs() < 1e-9);
    let (_, income) = bench.rest("alice", "GET", "/fapi/v1/income", "incomeType=FUNDING_FEE");
    assert_eq!((&income[0]["income"], &income[0]["symbol"]), (&json!("-0.20000000"), &json!("DOGEUSDT")));
    let rates = bench.http("GET", "/fapi/v1/fundingRate?symbol=DOGEUSDT", None, "").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&rates.body).unwrap(),
        json!([{"symbol": "DOGEUSDT", "fundingRate": "0.00100000", "fundingTime": 1_700_000_010_000_i64,
            "markPrice": "0.20000000", "rateType": "Regular"}])
    );
    let lines = bench.lines.iter().filter(|(j, l)| *j == Journal::Funding && l.contains("DOGEUSDT"));
    assert_eq!(lines.count(), 1);
}

#[test]
fn a_liquidated_position_leaves_nothing_behind() {
    let (mut bench, alice, _) = held();
    let forced = bench.open("/market/ws/!forceOrder@arr");
    bench.taken(alice);
    bench.control("futures/liquidate", &json!({"account": "alice"}));
    let frames = bench.values(alice);
    let fill = frames.iter().find(|frame| frame["e"] == "ORDER_TRADE_UPDATE" && frame["o"]["l"] != "0");
    let fill = &fill.unwrap()["o"];
    assert!(text(&fill["c"]).starts_with("autoclose-"), "{fill}");
    assert_eq!((&fill["x"], &fill["S"]), (&json!("CALCULATED"), &json!("SELL")));
    assert!(!frames.iter().any(|frame| frame["e"] == "TRADE_LITE"));
    let (_, positions) = bench.rest("alice", "GET", "/fapi/v3/positionRisk", "");
    assert_eq!(positions, json!([]));
    bench.pass(Span::from_secs(1));
    let told = bench.values(forced);
    assert_eq!((&told[0]["e"], &told[0]["o"]["s"]), (&json!("forceOrder"), &json!("DOGEUSDT")));
}

#[test]
fn a_settled_contract_closes_every_position_at_its_price() {
    let (mut bench, alice, _) = held();
    bench.taken(alice);
    bench.control("futures/settle", &json!({"symbol": "DOGEUSDT", "price": "0.21"}));
    let frames = bench.values(alice);
    let fill = frames.iter().find(|frame| frame["o"]["l"] == "1000").unwrap();
    assert!(text(&fill["o"]["c"]).starts_with("settlement_autoclose-"), "{fill}");
    assert_eq!((&fill["o"]["L"], &fill["o"]["rp"]), (&json!("0.21"), &json!("10")));
    let reply = bench.http("GET", "/fapi/v1/exchangeInfo", None, "").unwrap();
    let info: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(info["symbols"][4]["status"], "CLOSE");
}

/// A mark price so low that the margin nearly runs out.
#[test]
fn a_margin_call_comes_before_the_end() {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    bench.rest("alice", "POST", "/fapi/v1/leverage", "symbol=DOGEUSDT&leverage=50");
    bench.control("futures/transfer", &json!({"account": "alice", "amount": "-99000"}));
    let private = bench.private("alice");
    bench.rest_perpetual(conn, "BUY", "0.20002", "200000", "all-in");
    bench.taken(private);
    for mark in ["0.199", "0.198", "0.197", "0.1965", "0.196"] {
        bench.control("futures/mark", &json!({"symbol": "DOGEUSDT", "mark": mark}));
    }
    let frames = bench.values(private);
    let call = frames.iter().find(|frame| frame["e"] == "MARGIN_CALL").expect("a margin call");
    assert_eq!((&call["p"][0]["s"], &call["p"][0]["mt"]), (&json!("DOGEUSDT"), &json!("CROSSED")));
}
