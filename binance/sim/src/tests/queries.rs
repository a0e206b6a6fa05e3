//! Public and account queries over both transports.

use serde_json::{Value, json};

use super::{bench, code, text};

#[test]
fn exchange_info_describes_the_reference_symbol() {
    let mut bench = bench();
    let reply = bench.http("GET", "/api/v3/exchangeInfo?symbol=DOGEUSDT", None, "").unwrap();
    let info: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(info["rateLimits"][3]["rateLimitType"], "RAW_REQUESTS");
    let symbol = &info["symbols"][0];
    let filter = |name: &str| -> Value {
        let filters = symbol["filters"].as_array().unwrap();
        filters.iter().find(|filter| filter["filterType"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(
        filter("PRICE_FILTER"),
        json!({"filterType": "PRICE_FILTER", "minPrice": "0.00001000", "maxPrice": "1000.00000000",
            "tickSize": "0.00001000"})
    );
    assert_eq!(
        filter("LOT_SIZE"),
        json!({"filterType": "LOT_SIZE", "minQty": "1.00000000", "maxQty": "9000000.00000000",
            "stepSize": "1.00000000"})
    );
    assert_eq!(
        filter("NOTIONAL"),
        json!({"filterType": "NOTIONAL", "minNotional": "1.00000000", "applyMinToMarket": true,
            "maxNotional": "9000000.00000000", "applyMaxToMarket": false, "avgPriceMins": 0})
    );
    let names: Vec<&String> = symbol.as_object().unwrap().keys().collect();
    for wanted in [
        "symbol",
        "status",
        "baseAsset",
        "baseAssetPrecision",
        "quoteAsset",
        "quotePrecision",
        "quoteAssetPrecision",
        "baseCommissionPrecision",
        "quoteCommissionPrecision",
        "orderTypes",
        "icebergAllowed",
        "ocoAllowed",
        "otoAllowed",
        "opoAllowed",
        "quoteOrderQtyMarketAllowed",
        "allowTrailingStop",
        "cancelReplaceAllowed",
        "amendAllowed",
        "pegInstructionsAllowed",
        "isSpotTradingAllowed",
        "isMarginTradingAllowed",
        "filters",
        "permissions",
        "permissionSets",
        "defaultSelfTradePreventionMode",
        "allowedSelfTradePreventionModes",
    ] {
        assert!(names.iter().any(|name| *name == wanted), "{wanted}");
    }
    let conn = bench.open("/ws-api/v3");
    let all = bench.call(conn, "exchangeInfo", json!({}));
    assert_eq!(all["result"]["symbols"].as_array().unwrap().len(), 5);
    assert_eq!(all["result"]["rateLimits"][3]["rateLimitType"], "CONNECTIONS");
    let some = bench.call(conn, "exchangeInfo", json!({"symbols": ["BTCUSDT", "ETHUSDT"]}));
    assert_eq!(some["result"]["symbols"].as_array().unwrap().len(), 2);
    assert_eq!(code(&bench.call(conn, "exchangeInfo", json!({"symbols": ["BTCUSDT", "BTCUSDT"]}))), -1151);
    assert_eq!(code(&bench.call(conn, "exchangeInfo", json!({"symbol": "A", "symbols": ["B"]}))), -1128);
}

#[test]
fn every_public_query_answers() {
    let mut bench = bench();
    bench.control("trade", &json!({"symbol": "BTCUSDT", "side": "BUY", "qty": "0.01"}));
    for (target, check) in [
        ("time", "serverTime"),
        ("depth?symbol=BTCUSDT&limit=5", "lastUpdateId"),
        ("trades?symbol=BTCUSDT", "isBuyerMaker"),
        ("historicalTrades?symbol=BTCUSDT&fromId=1", "isBestMatch"),
        ("aggTrades?symbol=BTCUSDT", "\"a\":1"),
        ("klines?symbol=BTCUSDT&interval=1m", "[["),
        ("uiKlines?symbol=BTCUSDT&interval=1M", "[["),
        ("avgPrice?symbol=BTCUSDT", "\"mins\":5"),
        ("ticker/24hr?symbol=BTCUSDT", "weightedAvgPrice"),
        ("ticker/24hr?symbols=%5B%22BTCUSDT%22%5D&type=MINI", "quoteVolume"),
        ("ticker/price", "DOGEUSDT"),
        ("ticker/bookTicker?symbol=ETHUSDT", "askQty"),
        ("executionRules?symbol=BTCUSDT", "symbolRules"),
    ] {
        let reply = bench.http("GET", &format!("/api/v3/{target}"), None, "").unwrap();
        assert!(reply.status == 200 && reply.body.contains(check), "{target}: {}", reply.body);
    }
    let reply = bench.http("GET", "/api/v3/referencePrice?symbol=BTCUSDT", None, "").unwrap();
    assert!(reply.body.contains("-2043"), "{}", reply.body);
    for (target, expected) in [
        ("klines?symbol=BTCUSDT&interval=2m", "-1120"),
        ("depth", "-1102"),
        ("ping?x=1", "-1101"),
        ("depth?symbol=BTCUSDT&deep=1", "-1104"),
        ("depth?symbol=BTCUSDT&symbol=BTCUSDT", "-1101"),
    ] {
        let reply = bench.http("GET", &format!("/api/v3/{target}"), None, "").unwrap();
        assert!(reply.status == 400 && reply.body.contains(expected), "{target}: {}", reply.body);
    }
}

#[test]
fn every_account_query_answers() {
    let mut bench = bench();
    let conn = bench.logged_on("alice");
    bench.limit(conn, "BUY", "0.1", "a");
    for (path, params, check) in [
        ("/api/v3/account", "omitZeroBalances=true", "commissionRates"),
        ("/api/v3/openOrders", "", "\"a\""),
        ("/api/v3/allOrders", "symbol=DOGEUSDT", "isWorking"),
        ("/api/v3/account/commission", "symbol=DOGEUSDT", "standardCommission"),
        ("/api/v3/rateLimit/order", "", "ORDERS"),
        ("/api/v3/myFilters", "symbol=DOGEUSDT", "symbolFilters"),
        ("/sapi/v1/capital/config/getall", "", "networkList"),
    ] {
        let (status, body) = bench.rest("alice", "GET", path, params);
        assert!(status == 200 && body.to_string().contains(check), "{path}: {body}");
    }
    let reply = bench.http("GET", "/sapi/v1/margin/isolated/allPairs", Some("key-alice"), "").unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "[]"));
    let (status, body) =
        bench.rest("alice", "GET", "/api/v3/myTrades", "symbol=DOGEUSDT&startTime=1&endTime=90000000");
    assert_eq!((status, &body["code"]), (400, &json!(-1127)));
    let (_, body) = bench.rest("alice", "POST", "/api/v3/orderList/oco", "symbol=DOGEUSDT&side=BUY");
    assert_eq!(
        (&body["code"], text(&body["msg"])),
        (&json!(-2010), "OCO orders are not supported for this symbol")
    );
    let (_, body) = bench.rest(
        "alice",
        "POST",
        "/api/v3/order/test",
        "symbol=DOGEUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0.1&quantity=10",
    );
    assert_eq!(body, json!({}));
    assert_eq!(bench.executions(conn), ["NEW/NEW"], "a test order is no order");
}
