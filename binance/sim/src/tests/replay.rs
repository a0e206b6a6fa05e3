//! A recorded market: its own ids, its own times but for a constant, clients beside it.

use std::sync::Arc;

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::{Bench, config, text};
use crate::recording::Recording;

const RECORDED: &str = concat!(
    "1000000000 {\"lastUpdateId\":100,\"bids\":[[\"60000\",\"1\"],[\"59990\",\"2\"]],",
    "\"asks\":[[\"60010\",\"3\"],[\"60020\",\"4\"]]}\n",
    "1050000000 {\"stream\":\"s\",\"data\":{\"e\":\"trade\",\"E\":5050,\"s\":\"BTCUSDT\",\"t\":900,",
    "\"p\":\"60010\",\"q\":\"0.5\",\"T\":5049,\"m\":false,\"M\":true}}\n",
    "1100000000 {\"stream\":\"s\",\"data\":{\"e\":\"depthUpdate\",\"E\":5100,\"s\":\"BTCUSDT\",\
    \"U\":99,\"u\":105,",
    "\"b\":[[\"60000\",\"0\"],[\"59980\",\"7\"]],\"a\":[[\"60030\",\"9\"]]}}\n",
    "1100000000 {\"stream\":\"s\",\"data\":{\"e\":\"depthUpdate\",\"E\":5100,\"s\":\"BTCUSDT\",\
    \"U\":106,\"u\":107,",
    "\"b\":[],\"a\":[[\"60010\",\"1.5\"]]}}\n",
    "1200000000 {\"stream\":\"s\",\"data\":{\"u\":108,\"s\":\"BTCUSDT\",\"b\":\"59990\",\"B\":\"2\",",
    "\"a\":\"60010\",\"A\":\"1.25\"}}\n",
    "1300000000 {\"stream\":\"s\",\"data\":{\"e\":\"trade\",\"E\":5300,\"s\":\"BTCUSDT\",\"t\":901,",
    "\"p\":\"59985\",\"q\":\"0.5\",\"T\":5299,\"m\":true,\"M\":true}}\n",
);

fn replaying() -> Bench {
    let mut config = config();
    config.replay = Some(Arc::new(Recording::parse(RECORDED).unwrap()));
    Bench::new(config)
}

#[test]
fn frames_keep_their_ids_and_are_shifted_to_now() {
    let mut bench = replaying();
    let names = "btcusdt@depth20@100ms/btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
    let conn = bench.open(&format!("/stream?streams={names}"));
    bench.pass(Span::from_secs(1));
    let frames = bench.values(conn);
    let of = |name: &str| -> Vec<Value> {
        frames.iter().filter(|f| text(&f["stream"]) == name).map(|f| f["data"].clone()).collect()
    };
    let trades = of("btcusdt@trade");
    assert_eq!((&trades[0]["t"], &trades[0]["T"]), (&json!(900), &json!(1_700_000_000_049_i64)));
    assert_eq!((&trades[1]["t"], &trades[1]["T"]), (&json!(901), &json!(1_700_000_000_299_i64)));
    assert_eq!(
        of("btcusdt@depth@100ms"),
        [
            json!({"e": "depthUpdate", "E": 1_700_000_000_100_i64, "s": "BTCUSDT", "U": 99, "u": 105,
                "b": [["60000.00000000", "0.00000000"], ["59980.00000000", "7.00000000"]],
                "a": [["60030.00000000", "9.00000000"]]}),
            json!({"e": "depthUpdate", "E": 1_700_000_000_100_i64, "s": "BTCUSDT", "U": 106, "u": 107,
                "b": [], "a": [["60010.00000000", "1.50000000"]]}),
        ]
    );
    assert_eq!(
        of("btcusdt@depth20@100ms"),
        [
            json!({"lastUpdateId": 105, "bids": [["59990.00000000", "2.00000000"]],
                "asks": [["60010.00000000", "3.00000000"], ["60020.00000000", "4.00000000"]]}),
            json!({"lastUpdateId": 107, "bids": [["59990.00000000", "2.00000000"]],
                "asks": [["60010.00000000", "1.50000000"], ["60020.00000000", "4.00000000"]]}),
        ],
        "one at each difference; levels the snapshot does not cover are not shown"
    );
    let best = of("btcusdt@bookTicker");
    assert_eq!((&best.last().unwrap()["u"], text(&best.last().unwrap()["A"])), (&json!(108), "1.25000000"));
}

#[test]
fn clients_take_what_is_shown_and_are_filled_when_the_recording_reaches_them() {
    let mut bench = replaying();
    let conn = bench.logged_on("alice");
    let order = |side: &str, kind: &str, price: Option<&str>| {
        let mut order = json!({"symbol": "BTCUSDT", "side": side, "type": kind, "quantity": "0.2"});
        if let Some(price) = price {
            order["price"] = json!(price);
            order["timeInForce"] = json!("GTC");
        }
        order
    };
    let taken = bench.place(conn, order("BUY", "MARKET", None));
    assert_eq!(text(&taken["result"]["fills"][0]["price"]), "60010.00000000", "{taken}");
    bench.place(conn, order("BUY", "LIMIT", Some("59985")));
    bench.executions(conn);
    let depth = bench.http("GET", "/api/v3/depth?symbol=BTCUSDT", None, "").unwrap().body;
    assert!(!depth.contains("59985"), "a client's order is not in the shown book: {depth}");
    bench.pass(Span::from_secs(1));
    assert_eq!(bench.executions(conn), ["TRADE/FILLED"], "the trade at 59985 reached it");
}

#[test]
fn recorded_time_can_pass_faster() {
    let mut config = config();
    config.replay = Some(Arc::new(Recording::parse(RECORDED).unwrap()));
    config.replay_speed = 10;
    let mut bench = Bench::new(config);
    let conn = bench.open("/ws/btcusdt@trade");
    bench.pass(Span::from_millis(30));
    assert_eq!(bench.values(conn).len(), 2);
}
