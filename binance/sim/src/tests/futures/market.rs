//! Public streams and queries.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::super::{Bench, bench, config};

/// The house quotes a tick to either side of 0.2.
#[test]
fn best_prices_and_books_as_documented() {
    let mut bench = bench();
    let best = bench.open("/public/ws/dogeusdt@bookTicker");
    let book = bench.open("/public/stream?streams=dogeusdt@depth5@100ms");
    let api = bench.futures_api("alice");
    bench.rest_perpetual(api, "BUY", "0.2", "100", "mine");
    let frame = &bench.values(best)[0];
    assert_eq!(
        frame,
        &json!({"e": "bookTicker", "u": frame["u"], "E": 1_700_000_000_000_i64, "T": 1_700_000_000_000_i64,
            "s": "DOGEUSDT", "ps": "DOGEUSDT", "b": "0.200000", "B": "100", "a": "0.200010", "A": frame["A"],
            "st": 1})
    );
    bench.pass(Span::from_millis(100));
    let frame = &bench.values(book)[0];
    assert_eq!(frame["stream"], "dogeusdt@depth5@100ms");
    let data = &frame["data"];
    let names: Vec<&String> = data.as_object().unwrap().keys().collect();
    assert_eq!(names, ["E", "T", "U", "a", "b", "e", "ps", "pu", "s", "st", "u"]);
    assert_eq!((&data["e"], &data["b"][0]), (&json!("depthUpdate"), &json!(["0.200000", "100"])));
    assert_eq!(data["a"].as_array().unwrap().len(), 5);
}

/// The recipe of the documentation: drop `u < lastUpdateId`, start with `U <= lastUpdateId <= u`, then `pu` is the
/// previous `u`.
#[test]
fn differences_chain_by_pu_and_rebuild_the_book() {
    let mut config = config();
    config.ticks_per_second = 20;
    let mut bench = Bench::new(config);
    let conn = bench.open("/public/ws/btcusdt@depth@100ms");
    bench.pass(Span::from_millis(1_050));
    let reply = bench.http("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", None, "").unwrap();
    let snapshot: Value = serde_json::from_str(&reply.body).unwrap();
    // The last beat is just then, and tells the book as it is.
    bench.pass(Span::from_millis(4_950));
    let last = snapshot["lastUpdateId"].as_u64().unwrap();
    let number = |frame: &Value, name: &str| frame[name].as_u64().unwrap();
    let frames: Vec<Value> =
        bench.values(conn).into_iter().filter(|frame| number(frame, "u") >= last).collect();
    assert!(frames.len() > 20);
    let mut sides: [std::collections::BTreeMap<String, String>; 2] = Default::default();
    let mut add = |rows: &Value, side: usize| {
        for row in rows.as_array().unwrap() {
            let (price, qty) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
            if qty == "0.000" {
                sides[side].remove(price);
            } else {
                sides[side].insert(price.into(), qty.into());
            }
        }
    };
    add(&snapshot["bids"], 0);
    add(&snapshot["asks"], 1);
    let mut before = None;
    for frame in &frames {
        match before {
            None => assert!(number(frame, "U") <= last + 1, "{frame}"),
            Some(before) => assert_eq!(number(frame, "pu"), before),
        }
        before = Some(number(frame, "u"));
        add(&frame["b"], 0);
        add(&frame["a"], 1);
    }
    let symbol = tradingsys::ids::Symbol::new("btcusdt");
    let depth = bench.sim.futures.core.depth(&symbol, 10_000).unwrap();
    assert_eq!(Some(depth.update_id), before);
    assert_eq!((sides[0].len(), sides[1].len()), (depth.bids.len(), depth.asks.len()));
    for level in &depth.bids {
        assert_eq!(sides[0].get(&level.price.fixed(2)), Some(&level.qty.fixed(3)));
    }
}

#[test]
fn every_public_stream_of_the_market_route_speaks() {
    let mut config = config();
    config.ticks_per_second = 20;
    let mut bench = Bench::new(config);
    let names = [
        "btcusdt@aggTrade",
        "btcusdt@kline_1m",
        "btcusdt_perpetual@continuousKline_1m",
        "btcusdt@markPrice@1s",
        "!markPrice@arr",
        "btcusdt@miniTicker",
        "!ticker@arr",
        "btcusdt@ticker",
    ];
    let conn = bench.open(&format!("/market/stream?streams={}", names.join("/")));
    bench.pass(Span::from_secs(7));
    let frames = bench.values(conn);
    for name in names {
        assert!(frames.iter().any(|frame| frame["stream"] == name), "{name}");
    }
    let silent = bench.open("/market/ws/btcusdt@kline_1s");
    bench.pass(Span::from_secs(3));
    assert!(bench.taken(silent).is_empty());
}

#[test]
fn every_public_query_answers() {
    let mut bench = bench();
    bench.control("futures/trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "50"}));
    let mut get = |path: &str| {
        let reply = bench.http("GET", &format!("/fapi/v1/{path}"), Some("key-alice"), "").unwrap();
        (reply.status, serde_json::from_str::<Value>(&reply.body).unwrap())
    };
    for path in [
        "ping",
        "time",
        "exchangeInfo",
        "depth?symbol=DOGEUSDT",
        "klines?symbol=DOGEUSDT&interval=1m&limit=1500",
        "continuousKlines?pair=DOGEUSDT&contractType=PERPETUAL&interval=5m",
        "aggTrades?symbol=DOGEUSDT",
        "historicalTrades?symbol=DOGEUSDT",
        "premiumIndex",
        "premiumIndex?symbol=DOGEUSDT",
        "fundingInfo",
        "ticker/24hr",
        "ticker/price?symbol=DOGEUSDT",
        "ticker/bookTicker",
    ] {
        let (status, body) = get(path);
        assert_eq!(status, 200, "{path}: {body}");
    }
    let (_, trades) = get("trades?symbol=DOGEUSDT");
    let last = trades.as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["price"], &last["qty"], &last["isBuyerMaker"]),
        (&json!("0.200010"), &json!("50"), &json!(false))
    );
    assert_eq!(get("klines?symbol=DOGEUSDT&interval=1s").1["code"], -1120);
    assert_eq!(get("klines?symbol=DOGEUSDT&interval=1m&limit=1500").1.as_array().unwrap().len(), 1_500);
}
