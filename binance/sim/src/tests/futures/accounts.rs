//! Accounts, positions, settings, pools.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::super::{Bench, bench, code, config};

#[test]
fn every_account_query_answers() {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    bench.rest_perpetual(conn, "BUY", "0.21", "100", "taker");
    let (_, account) = bench.rest("alice", "GET", "/fapi/v3/account", "");
    assert_eq!(account["assets"][0]["asset"], "USDT");
    assert_eq!(account["positions"][0]["positionAmt"], "100");
    let (_, balance) = bench.rest("alice", "GET", "/fapi/v3/balance", "");
    // 100 at the house's offer of 0.20001 cost 20.001, and 0.05 % of that.
    assert_eq!((&balance[0]["asset"], &balance[0]["balance"]), (&json!("USDT"), &json!("99999.98999950")));
    let (_, positions) = bench.rest("alice", "GET", "/fapi/v3/positionRisk", "");
    assert_eq!(
        (&positions[0]["symbol"], &positions[0]["entryPrice"], &positions[0]["marginAsset"]),
        (&json!("DOGEUSDT"), &json!("0.20001000"), &json!("USDT"))
    );
    assert_eq!(positions.as_array().unwrap().len(), 1, "only symbols with a position or an order");
    let now = bench.now.millis();
    for method in ["account.status", "v2/account.status", "account.balance", "v2/account.position"] {
        assert_eq!(bench.call(conn, method, json!({"timestamp": now}))["status"], 200, "{method}");
    }
    for method in ["openOrders.status", "klines", "exchangeInfo", "myTrades"] {
        assert_eq!(code(&bench.call(conn, method, json!({"timestamp": now}))), -1020, "{method}");
    }
}

#[test]
fn settings_change_once_and_say_so() {
    let mut bench = bench();
    let private = bench.private("alice");
    let set = |bench: &mut Bench, path: &str, params: &str| bench.rest("alice", "POST", path, params).1;
    let dual = set(&mut bench, "/fapi/v1/positionSide/dual", "dualSidePosition=true");
    assert_eq!(dual, json!({"code": 200, "msg": "success"}));
    assert_eq!(set(&mut bench, "/fapi/v1/positionSide/dual", "dualSidePosition=true")["code"], -4059);
    let (_, mode) = bench.rest("alice", "GET", "/fapi/v1/positionSide/dual", "");
    assert_eq!(mode, json!({"dualSidePosition": true}));
    let leverage = set(&mut bench, "/fapi/v1/leverage", "symbol=DOGEUSDT&leverage=10");
    assert_eq!((&leverage["symbol"], &leverage["leverage"]), (&json!("DOGEUSDT"), &json!(10)));
    assert_eq!(set(&mut bench, "/fapi/v1/leverage", "symbol=DOGEUSDT&leverage=200")["code"], -4028);
    let many = set(&mut bench, "/fapi/v1/multiAssetsMargin", "multiAssetsMargin=true");
    assert_eq!(many["code"], 200);
    assert_eq!(set(&mut bench, "/fapi/v1/multiAssetsMargin", "multiAssetsMargin=true")["code"], -4171);
    assert_eq!(set(&mut bench, "/fapi/v1/marginType", "symbol=DOGEUSDT&marginType=CROSSED")["code"], -4046);
    assert_eq!(set(&mut bench, "/fapi/v1/marginType", "symbol=DOGEUSDT&marginType=ISOLATED")["code"], 200);
    let (_, symbols) = bench.rest("alice", "GET", "/fapi/v1/symbolConfig", "symbol=DOGEUSDT");
    assert_eq!(
        (&symbols[0]["marginType"], &symbols[0]["leverage"], &symbols[0]["isAutoAddMargin"]),
        (&json!("ISOLATED"), &json!(10), &json!(false))
    );
    let frames = bench.values(private);
    assert_eq!(
        frames,
        [
            json!({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1_700_000_000_000_i64, "T": 1_700_000_000_000_i64,
                "ac": {"s": "DOGEUSDT", "l": 10}}),
            json!({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1_700_000_000_000_i64, "T": 1_700_000_000_000_i64,
                "ai": {"j": true}}),
        ]
    );
    let (_, config) = bench.rest("alice", "GET", "/fapi/v1/accountConfig", "");
    assert_eq!(
        (&config["dualSidePosition"], &config["multiAssetsMargin"], &config["canTrade"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let (_, fees) = bench.rest("alice", "GET", "/fapi/v1/commissionRate", "symbol=DOGEUSDT");
    assert_eq!(
        (&fees["makerCommissionRate"], &fees["takerCommissionRate"]),
        (&json!("0.0002"), &json!("0.0005"))
    );
}

/// In hedge mode a symbol has a long and a short position.
#[test]
fn long_and_short_are_kept_apart_in_hedge_mode() {
    let mut bench = bench();
    bench.rest("alice", "POST", "/fapi/v1/positionSide/dual", "dualSidePosition=true");
    let order = |side: &str, position: &str| {
        format!("symbol=DOGEUSDT&type=MARKET&quantity=100&side={side}&positionSide={position}")
    };
    for (side, position) in [("BUY", "LONG"), ("SELL", "SHORT")] {
        let (status, reply) = bench.rest("alice", "POST", "/fapi/v1/order", &order(side, position));
        assert_eq!(status, 200, "{reply}");
    }
    let (_, rows) = bench.rest("alice", "GET", "/fapi/v3/positionRisk", "symbol=DOGEUSDT");
    let amounts: Vec<(&Value, &Value)> =
        rows.as_array().unwrap().iter().map(|row| (&row["positionSide"], &row["positionAmt"])).collect();
    assert_eq!(amounts, [(&json!("LONG"), &json!("100")), (&json!("SHORT"), &json!("-100"))]);
    let (_, refused) = bench.rest("alice", "POST", "/fapi/v1/order", &order("BUY", "BOTH"));
    assert_eq!(refused["code"], -4061);
}

/// Somebody changes the mode on the venue's pages, at a time of the script's: the next order is refused for it.
#[test]
fn r49_the_position_mode_changes_by_itself_when_nothing_is_open() {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    let mode = |at: i64, hedge: bool| {
        let body = json!({"account": "alice", "hedge": hedge});
        json!({"fault": "control", "path": "futures/mode", "at": at, "body": body})
    };
    bench.control("faults", &json!([mode(1_000, true), mode(2_000, true), mode(4_000, false)]));
    let id = bench.rest_perpetual(conn, "BUY", "0.19", "100", "mine");
    let shown = |bench: &mut Bench| bench.rest("alice", "GET", "/fapi/v1/positionSide/dual", "").1;
    bench.pass(Span::from_millis(1_500));
    assert_eq!(shown(&mut bench)["dualSidePosition"], false, "not while an order is open");
    let problems =
        |bench: &Bench| bench.lines.iter().filter(|(_, line)| line.contains("\"problem\"")).count();
    assert_eq!(problems(&bench), 1, "{:?}", bench.lines.last());
    bench.rest("alice", "DELETE", "/fapi/v1/order", &format!("symbol=DOGEUSDT&orderId={id}"));
    bench.pass(Span::from_secs(1));
    assert_eq!(shown(&mut bench)["dualSidePosition"], true);
    let order = "symbol=DOGEUSDT&type=MARKET&side=BUY&quantity=100";
    let (_, refused) = bench.rest("alice", "POST", "/fapi/v1/order", order);
    assert_eq!(refused["code"], -4061);
    bench.control("futures/mode", &json!({"account": "alice", "hedge": true}));
    let (_, bob) = bench.rest("bob", "GET", "/fapi/v1/positionSide/dual", "");
    assert_eq!(bob["dualSidePosition"], false, "the other account's mode is its own");
    bench.pass(Span::from_secs(2));
    assert_eq!(bench.rest("alice", "POST", "/fapi/v1/order", order).0, 200);
    let body = json!({"account": "alice", "hedge": true}).to_string();
    let held = bench.http("POST", "/control/futures/mode", None, &body).unwrap();
    assert_eq!(held.status, 400, "not with a position: {}", held.body);
}

#[test]
fn leverage_changes_by_itself_and_is_told() {
    let mut bench = bench();
    let private = bench.private("alice");
    let body = json!({"account": "alice", "symbol": "DOGEUSDT", "leverage": 7});
    bench.control(
        "faults",
        &json!([{"fault": "control", "path": "futures/leverage", "at": 500, "body": body}]),
    );
    bench.pass(Span::from_secs(1));
    let told = bench.values(private).remove(0);
    assert_eq!(
        (&told["e"], &told["ac"]),
        (&json!("ACCOUNT_CONFIG_UPDATE"), &json!({"s": "DOGEUSDT", "l": 7}))
    );
    let (_, shown) = bench.rest("alice", "GET", "/fapi/v1/symbolConfig", "symbol=DOGEUSDT");
    assert_eq!(shown[0]["leverage"], 7);
    let (_, others) = bench.rest("alice", "GET", "/fapi/v1/symbolConfig", "symbol=BTCUSDT");
    assert_ne!(others[0]["leverage"], 7);
    let body = json!({"account": "alice", "symbol": "DOGEUSDT", "leverage": 500}).to_string();
    let refused = bench.http("POST", "/control/futures/leverage", None, &body).unwrap();
    assert!(refused.status == 400 && refused.body.contains("500"), "{}", refused.body);
}

#[test]
fn futures_have_pools_of_their_own() {
    let mut config = config();
    config.limits.futures.weight_per_minute = 30;
    config.limits.futures.orders_per_10s = 2;
    let mut bench = Bench::new(config);
    let first = bench.http("GET", "/fapi/v1/depth?symbol=DOGEUSDT&limit=1000", None, "").unwrap();
    assert_eq!(first.status, 200);
    let used = first.headers.iter().find(|(name, _)| *name == "x-mbx-used-weight-1m").unwrap();
    assert_eq!(used.1, "20");
    assert_eq!(bench.http("GET", "/fapi/v1/depth?symbol=DOGEUSDT&limit=1000", None, "").unwrap().status, 429);
    assert_eq!(bench.http("GET", "/api/v3/time", None, "").unwrap().status, 200, "spot goes on");
    bench.pass(Span::from_secs(60));
    let order = "symbol=DOGEUSDT&type=MARKET&side=BUY&quantity=100";
    for expected in [200, 200, 429] {
        assert_eq!(bench.rest("alice", "POST", "/fapi/v1/order", order).0, expected);
    }
}

#[test]
fn exchange_info_describes_perpetuals() {
    let mut bench = bench();
    let reply = bench.http("GET", "/fapi/v1/exchangeInfo", None, "").unwrap();
    let info: Value = serde_json::from_str(&reply.body).unwrap();
    let limits = json!([
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    ]);
    assert_eq!(info["rateLimits"], limits);
    let names: Vec<&Value> = info["symbols"].as_array().unwrap().iter().map(|row| &row["symbol"]).collect();
    assert_eq!(names, ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "DOGEUSDT"]);
    let btc = &info["symbols"][0];
    for (name, value) in [
        ("contractType", json!("PERPETUAL")),
        ("status", json!("TRADING")),
        ("marginAsset", json!("USDT")),
        ("pricePrecision", json!(2)),
        ("quantityPrecision", json!(3)),
        ("timeInForce", json!(["GTC", "IOC", "FOK", "GTX", "GTD"])),
    ] {
        assert_eq!(btc[name], value, "{name}");
    }
    assert_eq!(
        btc["filters"],
        json!([
            {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "50"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500",
                "multiplierDecimal": "4"},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ])
    );
}

/// The codes a gateway sees when a contract is about to end.
#[test]
fn a_contract_that_ends_takes_cancels_only() {
    let mut bench = bench();
    let conn = bench.futures_api("alice");
    let market = bench.open("/market/ws/!contractInfo");
    let id = bench.rest_perpetual(conn, "BUY", "0.19", "100", "mine");
    bench.control("futures/status", &json!({"symbol": "DOGEUSDT", "status": "PRE_SETTLE"}));
    let told = &bench.values(market)[0];
    assert_eq!((&told["e"], &told["cs"]), (&json!("contractInfo"), &json!("PRE_SETTLE")));
    let (_, refused) =
        bench.rest("alice", "POST", "/fapi/v1/order", "symbol=DOGEUSDT&type=MARKET&side=BUY&quantity=100");
    assert_eq!(refused["code"], -4140);
    let (status, _) =
        bench.rest("alice", "DELETE", "/fapi/v1/order", &format!("symbol=DOGEUSDT&orderId={id}"));
    assert_eq!(status, 200);
}
