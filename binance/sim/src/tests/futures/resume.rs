//! Futures that go on from their journals.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::super::resume::journaled;
use super::super::{Bench, bench, config};
use crate::sim::Sim;

#[test]
fn wallets_positions_orders_and_settings_go_on() {
    let mut before = bench();
    let (alice, bob) = (before.futures_api("alice"), before.futures_api("bob"));
    before.rest("alice", "POST", "/fapi/v1/leverage", "symbol=DOGEUSDT&leverage=10");
    before.rest_perpetual(bob, "SELL", "0.2", "600", "bob-1");
    before.rest_perpetual(alice, "BUY", "0.2", "600", "alice-1");
    before.rest_perpetual(alice, "BUY", "0.17", "100", "alice-2");
    let params = "algoType=CONDITIONAL&symbol=DOGEUSDT&side=SELL&type=STOP&quantity=100&triggerPrice=0.17\
                  &price=0.169&clientAlgoId=stop-1";
    assert_eq!(before.rest("alice", "POST", "/fapi/v1/algoOrder", params).0, 200);
    before.control("futures/funding", &json!({"symbol": "DOGEUSDT", "rate": "0.001", "interval_ms": 10_000}));
    before.pass(Span::from_secs(11));
    let mut after = Bench::new(config());
    after.sim = Sim::resume(config(), before.now, &journaled(&before)).unwrap();
    after.now = before.now;
    for (path, params) in [
        ("/fapi/v1/userTrades", "symbol=DOGEUSDT"),
        ("/fapi/v1/allOrders", "symbol=DOGEUSDT"),
        ("/fapi/v1/openOrders", ""),
        ("/fapi/v1/openAlgoOrders", ""),
        ("/fapi/v1/income", ""),
        ("/fapi/v1/symbolConfig", "symbol=DOGEUSDT"),
    ] {
        for name in ["alice", "bob"] {
            let (was, is) = (before.rest(name, "GET", path, params), after.rest(name, "GET", path, params));
            assert_eq!(is, was, "{path} {name}");
        }
    }
    let held = |bench: &mut Bench, name: &str| -> (Value, Value, Value) {
        let positions = bench.rest(name, "GET", "/fapi/v3/positionRisk", "").1;
        let balance = bench.rest(name, "GET", "/fapi/v3/balance", "").1;
        (
            positions[0]["positionAmt"].clone(),
            positions[0]["entryPrice"].clone(),
            balance[0]["balance"].clone(),
        )
    };
    for name in ["alice", "bob"] {
        assert_eq!(held(&mut after, name), held(&mut before, name), "{name}");
    }
    let conn = after.futures_api("alice");
    let last = before.rest("alice", "GET", "/fapi/v1/allOrders", "symbol=DOGEUSDT").1;
    let last = last.as_array().unwrap().last().unwrap()["orderId"].as_u64().unwrap();
    assert!(after.rest_perpetual(conn, "BUY", "0.17", "100", "next") > last, "numbers go on");
}
