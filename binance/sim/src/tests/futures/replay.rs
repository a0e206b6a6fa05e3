//! A recorded perpetual: differences follow each other by `pu`, not by their ids.

use std::sync::Arc;

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::super::{Bench, config, text};
use crate::recording::Recording;

const RECORDED: &str = concat!(
    "1000000000 {\"lastUpdateId\":100,\"E\":5000,\"T\":5000,\"bids\":[[\"60000.00\",\"1.000\"],\
     [\"59990.00\",\"2.000\"]],\"asks\":[[\"60010.00\",\"3.000\"]]}\n",
    "1100000000 {\"stream\":\"s\",\"data\":{\"e\":\"depthUpdate\",\"E\":5100,\"T\":5099,\"s\":\"BTCUSDT\",\
     \"U\":95,\"u\":105,\"pu\":90,\"b\":[[\"60000.00\",\"0.000\"]],\"a\":[]}}\n",
    "1200000000 {\"stream\":\"s\",\"data\":{\"e\":\"depthUpdate\",\"E\":5200,\"T\":5199,\"s\":\"BTCUSDT\",\
     \"U\":111,\"u\":120,\"pu\":105,\"b\":[],\"a\":[[\"60020.00\",\"4.000\"]]}}\n",
    "1250000000 {\"stream\":\"s\",\"data\":{\"e\":\"trade\",\"E\":5250,\"T\":5249,\"s\":\"BTCUSDT\",\"t\":900,\
     \"p\":\"60010.00\",\"q\":\"0.500\",\"X\":\"MARKET\",\"m\":false}}\n",
);

#[test]
fn differences_keep_their_ids() {
    let mut config = config();
    config.replay = Some(Arc::new(Recording::parse(RECORDED).unwrap()));
    let mut bench = Bench::new(config);
    let names = "btcusdt@depth@100ms/btcusdt@depth5@100ms/btcusdt@trade";
    let conn = bench.open(&format!("/public/stream?streams={names}"));
    bench.pass(Span::from_secs(1));
    let frames = bench.values(conn);
    let of = |name: &str| -> Vec<Value> {
        frames.iter().filter(|f| text(&f["stream"]) == name).map(|f| f["data"].clone()).collect()
    };
    let ids: Vec<[&Value; 3]> = frames
        .iter()
        .filter(|f| text(&f["stream"]) == "btcusdt@depth@100ms")
        .map(|f| [&f["data"]["U"], &f["data"]["u"], &f["data"]["pu"]])
        .collect();
    assert_eq!(ids, [[&json!(95), &json!(105), &json!(100)], [&json!(111), &json!(120), &json!(105)]]);
    let books = of("btcusdt@depth5@100ms");
    assert_eq!(books[0]["b"], json!([["59990.00", "2.000"]]));
    // Beyond the snapshot nothing is known.
    assert_eq!(books[1]["a"], json!([["60010.00", "3.000"]]));
    assert_eq!(of("btcusdt@trade")[0]["t"], 900);
    let spot = bench.http("GET", "/api/v3/ticker/price?symbol=BTCUSDT", None, "").unwrap();
    assert_eq!(spot.status, 200, "spot has its own market");
}

#[test]
fn a_missing_difference_is_found() {
    let broken = RECORDED.replace("\"pu\":105", "\"pu\":106");
    let error = Recording::parse(&broken).unwrap_err().to_string();
    assert!(error.contains("update 105 is followed by 106"), "{error}");
}
