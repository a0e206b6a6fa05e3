//! Market data streams.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::{Bench, config, text};

fn lively() -> Bench {
    let mut config = config();
    config.ticks_per_second = 20;
    Bench::new(config)
}

#[test]
fn subscriptions_are_answered_listed_and_ended() {
    let mut bench = super::bench();
    let conn = bench.open("/ws");
    bench.text(conn, r#"{"method":"SUBSCRIBE","params":["dogeusdt@trade","nosuch@trade"],"id":1}"#);
    bench.text(conn, r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#);
    bench.text(conn, r#"{"method":"UNSUBSCRIBE","params":["dogeusdt@trade"],"id":3}"#);
    assert_eq!(
        bench.taken(conn),
        [
            r#"{"result":null,"id":1}"#,
            r#"{"result":["dogeusdt@trade","nosuch@trade"],"id":2}"#,
            r#"{"result":null,"id":3}"#
        ]
    );
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10"}));
    assert!(bench.taken(conn).is_empty());
}

#[test]
fn a_trade_is_seen_on_every_stream_it_changes() {
    let mut bench = super::bench();
    let raw = bench.open("/ws/dogeusdt@trade");
    let combined = bench.open("/stream?streams=dogeusdt@aggTrade/dogeusdt@bookTicker");
    let micros = bench.open("/stream?streams=dogeusdt@trade&timeUnit=MICROSECOND");
    let best = bench.sim.exchange.depth(&tradingsys::ids::Symbol::new("dogeusdt"), 1).unwrap();
    let (price, qty) = (best.asks[0].price, best.asks[0].qty);
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10", "price": price}));
    let frames = bench.taken(raw);
    assert_eq!(
        frames,
        [format!(
            "{{\"e\":\"trade\",\"E\":1700000000000,\"s\":\"DOGEUSDT\",\"t\":1,\"p\":\"{}\",\
            \"q\":\"10.00000000\",\
             \"T\":1700000000000,\"m\":false,\"M\":true}}",
            price.fixed(8)
        )]
    );
    let frames = bench.values(combined);
    let of = |name: &str| -> Value {
        frames
            .iter()
            .find(|frame| frame["stream"] == name)
            .map(|frame| frame["data"].clone())
            .unwrap_or_default()
    };
    let left = qty - "10".parse().unwrap();
    assert_eq!(
        (text(&of("dogeusdt@bookTicker")["a"]), text(&of("dogeusdt@bookTicker")["A"])),
        (price.fixed(8).as_str(), left.fixed(8).as_str())
    );
    assert_eq!(
        of("dogeusdt@aggTrade"),
        json!({"e": "aggTrade", "E": 1_700_000_000_000_i64, "s": "DOGEUSDT", "a": 1, "p": price.fixed(8),
            "q": "10.00000000", "f": 1, "l": 1, "T": 1_700_000_000_000_i64, "m": false, "M": true})
    );
    assert_eq!(bench.values(micros)[0]["data"]["T"], 1_700_000_000_000_000_i64);
}

/// The recipe of web-socket-streams.md, "How to manage a local order book correctly", ends at the book
/// itself.
#[test]
fn diffs_on_a_snapshot_rebuild_the_book() {
    let mut bench = lively();
    let conn = bench.open("/ws/btcusdt@depth@100ms");
    bench.pass(Span::from_millis(350));
    let reply = bench.http("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000", None, "").unwrap();
    let snapshot: Value = serde_json::from_str(&reply.body).unwrap();
    bench.pass(Span::from_secs(20));
    bench.sim.config.ticks_per_second = 0;
    bench.pass(Span::from_secs(1));
    let mut last = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut sides = [std::collections::BTreeMap::new(), std::collections::BTreeMap::new()];
    let apply = |sides: &mut [std::collections::BTreeMap<String, String>; 2], rows: [&Value; 2]| {
        for (side, rows) in sides.iter_mut().zip(rows) {
            for row in rows.as_array().unwrap() {
                let price = format!("{:>20}", text(&row[0]));
                if text(&row[1]) == "0.00000000" {
                    side.remove(&price);
                } else {
                    side.insert(price, text(&row[1]).to_owned());
                }
            }
        }
    };
    apply(&mut sides, [&snapshot["bids"], &snapshot["asks"]]);
    let mut applied = 0;
    for diff in bench.values(conn) {
        let (first, upto) = (diff["U"].as_u64().unwrap(), diff["u"].as_u64().unwrap());
        if upto <= last {
            continue;
        }
        assert!(first <= last + 1, "a gap before {first}");
        apply(&mut sides, [&diff["b"], &diff["a"]]);
        last = upto;
        applied += 1;
    }
    assert!(applied > 100, "{applied}");
    // The market has stood still for a while, so every change has been sent.
    let depth = bench.sim.exchange.depth(&tradingsys::ids::Symbol::new("btcusdt"), 5_000).unwrap();
    let book = |levels: &[tradingsys::market::Level]| {
        let row = |l: &tradingsys::market::Level| (format!("{:>20}", l.price.fixed(8)), l.qty.fixed(8));
        levels.iter().map(row).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(depth.update_id, last);
    assert_eq!(sides, [book(&depth.bids), book(&depth.asks)]);
}

#[test]
fn partial_depth_comes_when_the_book_changed() {
    let mut bench = super::bench();
    let conn = bench.open("/ws/dogeusdt@depth5@100ms");
    bench.pass(Span::from_millis(100));
    let first = bench.values(conn);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["bids"].as_array().unwrap().len(), 5);
    assert_eq!(first[0]["asks"].as_array().unwrap().len(), 5);
    bench.pass(Span::from_secs(1));
    assert!(bench.taken(conn).is_empty(), "nothing has changed");
    bench.control("trade", &json!({"symbol": "DOGEUSDT", "side": "BUY", "qty": "10"}));
    bench.pass(Span::from_millis(100));
    let next = bench.values(conn);
    assert!(next[0]["lastUpdateId"].as_u64() > first[0]["lastUpdateId"].as_u64());
}

#[test]
fn bars_close_on_time_and_agree_with_the_query() {
    let mut bench = lively();
    bench.pass(Span::from_millis(100));
    let conn = bench.open("/ws/dogeusdt@kline_1s");
    bench.pass(Span::from_secs(5));
    let closed: Vec<Value> =
        bench.values(conn).into_iter().map(|frame| frame["k"].clone()).filter(|k| k["x"] == true).collect();
    assert_eq!(closed.len(), 5);
    for pair in closed.windows(2) {
        assert_eq!(pair[0]["T"].as_i64().unwrap() + 1, pair[1]["t"].as_i64().unwrap());
    }
    let target = format!("/api/v3/klines?symbol=DOGEUSDT&interval=1s&startTime={}&limit=1", closed[2]["t"]);
    let rows: Value = serde_json::from_str(&bench.http("GET", &target, None, "").unwrap().body).unwrap();
    let wanted =
        ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B"].map(|name| closed[2][name].clone());
    assert_eq!(rows[0], json!(wanted));
    let rows = bench.http("GET", "/api/v3/klines?symbol=DOGEUSDT&interval=1d&limit=400", None, "").unwrap();
    let rows: Vec<Value> = serde_json::from_str(&rows.body).unwrap();
    assert_eq!(rows.len(), 400, "a market has a past");
    assert_eq!(rows[399][0], 1_699_920_000_000_i64, "the open bar is the last");
}

#[test]
fn tickers_come_once_a_second() {
    let mut bench = lively();
    let conn =
        bench.open("/stream?streams=dogeusdt@miniTicker/dogeusdt@ticker/dogeusdt@avgPrice/!miniTicker@arr");
    bench.pass(Span::from_secs(3));
    let frames = bench.values(conn);
    for (name, kind) in [
        ("dogeusdt@miniTicker", "24hrMiniTicker"),
        ("dogeusdt@ticker", "24hrTicker"),
        ("dogeusdt@avgPrice", "avgPrice"),
    ] {
        let mine: Vec<&Value> = frames.iter().filter(|frame| frame["stream"] == name).collect();
        assert_eq!((mine.len(), text(&mine[0]["data"]["e"])), (3, kind));
    }
    let all = frames.iter().find(|frame| frame["stream"] == "!miniTicker@arr").unwrap();
    assert_eq!(all["data"].as_array().unwrap().len(), 5);
}
