//! Cross margin: orders with side effects, loans, transfers, listen tokens.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::resume::journaled;
use super::{Bench, bench, code, text};
use crate::io::Journal;
use crate::sim::Sim;

fn funded() -> Bench {
    let mut bench = bench();
    let (status, reply) =
        bench.rest("alice", "POST", "/sapi/v1/asset/transfer", "type=MAIN_MARGIN&asset=USDT&amount=1000");
    assert_eq!((status, &reply["tranId"]), (200, &json!(1)));
    bench
}

fn row(account: &Value, asset: &str) -> Value {
    let rows = account["userAssets"].as_array().unwrap();
    rows.iter().find(|row| row["asset"] == asset).cloned().unwrap_or(Value::Null)
}

/// By hand: 10 DOGE at 0.2 are 2 USDT.
#[test]
fn an_order_goes_to_the_margin_wallet() {
    let mut bench = funded();
    let (status, placed) = bench.rest(
        "alice",
        "POST",
        "/sapi/v1/margin/order",
        "symbol=DOGEUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0.1&quantity=10&newClientOrderId=m-1",
    );
    assert_eq!(status, 200, "{placed}");
    assert_eq!(
        placed,
        json!({"symbol": "DOGEUSDT", "orderId": placed["orderId"], "clientOrderId": "m-1",
            "isIsolated": false, "transactTime": 1_700_000_000_000_i64, "price": "0.10000000",
            "origQty": "10.00000000", "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000",
            "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
            "selfTradePreventionMode": "EXPIRE_MAKER", "fills": []})
    );
    let (_, account) = bench.rest("alice", "GET", "/sapi/v1/margin/account", "");
    assert_eq!(
        row(&account, "USDT"),
        json!({"asset": "USDT", "borrowed": "0.00000000", "free": "999.00000000", "interest": "0.00000000",
            "locked": "1.00000000", "netAsset": "1000.00000000"})
    );
    assert_eq!(account["marginLevel"], "999.00000000");
    let (_, open) = bench.rest("alice", "GET", "/sapi/v1/margin/openOrders", "symbol=DOGEUSDT");
    assert_eq!((open.as_array().unwrap().len(), &open[0]["isIsolated"]), (1, &json!(false)));
    let (_, spot) = bench.rest("alice", "GET", "/api/v3/openOrders", "symbol=DOGEUSDT");
    assert_eq!(spot, json!([]), "the spot wallet has no order");
    let order = format!("symbol=DOGEUSDT&orderId={}", placed["orderId"]);
    let (_, canceled) = bench.rest("alice", "DELETE", "/sapi/v1/margin/order", &order);
    assert_eq!((&canceled["status"], &canceled["origClientOrderId"]), (&json!("CANCELED"), &json!("m-1")));
    assert_eq!(canceled.get("transactTime"), None);
    let line = bench.lines.iter().find(|(journal, _)| *journal == Journal::Orders).unwrap();
    assert!(line.1.contains("\"account\":\"alice/margin\""), "{}", line.1);
}

/// A short sale: what the wallet has not is borrowed, and repaid by buying back.
#[test]
fn side_effects_borrow_and_repay() {
    let mut bench = funded();
    let order = |side: &str, effect: &str| {
        format!("symbol=DOGEUSDT&side={side}&type=MARKET&quantity=1000&sideEffectType={effect}")
    };
    let (status, refused) =
        bench.rest("alice", "POST", "/sapi/v1/margin/order", &order("SELL", "NO_SIDE_EFFECT"));
    assert_eq!((status, &refused["code"]), (400, &json!(-2010)));
    let (status, sold) =
        bench.rest("alice", "POST", "/sapi/v1/margin/order", &order("SELL", "AUTO_BORROW_REPAY"));
    assert_eq!(status, 200, "{sold}");
    assert_eq!(
        (&sold["marginBuyBorrowAmount"], &sold["marginBuyBorrowAsset"]),
        (&json!("1000"), &json!("DOGE"))
    );
    let (_, account) = bench.rest("alice", "GET", "/sapi/v1/margin/account", "");
    assert_eq!(row(&account, "DOGE")["borrowed"], "1000.00000000");
    let kinds = |bench: &Bench| -> Vec<String> {
        let lines = bench.lines.iter().filter(|(journal, _)| *journal == Journal::Liabilities);
        lines
            .map(|(_, line)| {
                let value: Value = serde_json::from_str(line).unwrap();
                format!("{} {}", text(&value["kind"]), text(&value["asset"]))
            })
            .collect()
    };
    assert_eq!(kinds(&bench), ["BORROW DOGE"]);
    bench.pass(Span::from_secs(3_600));
    assert_eq!(kinds(&bench), ["BORROW DOGE", "INTEREST DOGE"], "hourly interest");
    let (_, bought) =
        bench.rest("alice", "POST", "/sapi/v1/margin/order", &order("BUY", "AUTO_BORROW_REPAY"));
    assert_eq!(bought["status"], "FILLED");
    assert_eq!(kinds(&bench).last().unwrap(), "REPAY DOGE");
}

/// By hand: 0.001 of 500 DOGE an hour, each hour.
#[test]
fn interest_is_shown_the_newest_first_and_outlives_a_restart() {
    let mut bench = funded();
    bench.control("margin/interest", &json!({"asset": "DOGE", "rate": "0.001"}));
    bench.rest("alice", "POST", "/sapi/v1/margin/borrow-repay", "asset=DOGE&amount=500&type=BORROW");
    bench.pass(Span::from_secs(3 * 3_600));
    let history =
        |bench: &mut Bench, query: &str| bench.rest("alice", "GET", "/sapi/v1/margin/interestHistory", query);
    let (_, all) = history(&mut bench, "");
    assert_eq!(all["total"], 3);
    let rows = all["rows"].as_array().unwrap().clone();
    let shown =
        |row: &Value| (text(&row["interest"]).to_owned(), row["interestAccuredTime"].as_i64().unwrap());
    let first = 1_700_002_800_000;
    let hours = [2, 1, 0].map(|hour| ("0.50000000".to_owned(), first + hour * 3_600_000));
    assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), hours);
    let (_, page) = history(&mut bench, "asset=DOGE&current=2&size=2");
    assert_eq!((&page["total"], &page["rows"]), (&json!(3), &json!([rows[2]])));
    let window = format!("startTime={first}&endTime={}", first + 3_600_000);
    assert_eq!(history(&mut bench, &window).1["total"], 2);
    assert_eq!(history(&mut bench, "asset=USDT").1["total"], 0);
    assert_eq!(history(&mut bench, "startTime=0&endTime=1700000000000").0, 400);
    let mut again = Bench::new(super::config());
    again.sim = Sim::resume(super::config(), bench.now, &journaled(&bench)).unwrap();
    again.now = bench.now;
    assert_eq!(history(&mut again, "").1["rows"], all["rows"]);
}

/// What its owner does on the venue's pages: told like any loan, charged like any loan.
#[test]
fn a_loan_is_taken_up_and_paid_back_by_hand() {
    let mut bench = funded();
    let lend = |at: i64, amount: &str| {
        json!({"fault": "control", "path": "margin/loan", "at": at,
            "body": {"account": "alice", "asset": "DOGE", "amount": amount}})
    };
    bench.control("faults", &json!([lend(1_000, "500"), lend(2_000, "-200"), lend(3_000, "9000000")]));
    let owed = |bench: &mut Bench| {
        let (_, account) = bench.rest("alice", "GET", "/sapi/v1/margin/account", "");
        row(&account, "DOGE")["borrowed"].clone()
    };
    bench.pass(Span::from_millis(1_500));
    assert_eq!(owed(&mut bench), "500.00000000");
    bench.pass(Span::from_secs(3));
    assert_eq!(owed(&mut bench), "300.00000000", "as much as nobody lends is not lent");
    let told: Vec<Value> = (bench.lines.iter().filter(|(journal, _)| *journal == Journal::Liabilities))
        .map(|(_, line)| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = told.iter().map(|line| (text(&line["kind"]), text(&line["borrowed"]))).collect();
    assert_eq!(told, [("BORROW", "500"), ("REPAY", "300")]);
    assert_eq!(bench.lines.iter().filter(|(_, line)| line.contains("\"problem\"")).count(), 1);
}

#[test]
fn loans_are_limited_by_the_equity() {
    let mut bench = funded();
    let (_, most) = bench.rest("alice", "GET", "/sapi/v1/margin/maxBorrowable", "asset=USDT");
    assert_eq!(most["amount"], "2000.00000000");
    let borrow =
        |amount: &str, kind: &str| format!("asset=USDT&amount={amount}&type={kind}&isIsolated=FALSE");
    let (_, lent) = bench.rest("alice", "POST", "/sapi/v1/margin/borrow-repay", &borrow("500", "BORROW"));
    assert!(lent["tranId"].as_u64().is_some(), "{lent}");
    let (_, refused) = bench.rest("alice", "POST", "/sapi/v1/margin/borrow-repay", &borrow("9000", "BORROW"));
    assert_eq!(refused["code"], -3006);
    let (status, _) = bench.rest("alice", "POST", "/sapi/v1/margin/borrow-repay", &borrow("500", "REPAY"));
    assert_eq!(status, 200);
    let (_, isolated) = bench.rest(
        "alice",
        "POST",
        "/sapi/v1/margin/borrow-repay",
        "asset=USDT&amount=1&type=BORROW&isIsolated=TRUE",
    );
    assert_eq!(isolated["code"], -11001);
}

/// The token's life, and its renewal without a gap.
#[test]
fn a_listen_token_is_renewed_or_ends() {
    let mut bench = funded();
    let token = |bench: &mut Bench| -> String {
        let reply =
            bench.http("POST", "/sapi/v1/userListenToken?validity=20000", Some("key-alice"), "").unwrap();
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["expirationTime"], bench.now.millis() + 20_000);
        text(&body["token"]).to_owned()
    };
    let first = token(&mut bench);
    let conn = bench.open("/ws-api/v3");
    let subscribe = |bench: &mut Bench, token: &str| {
        bench.call(conn, "userDataStream.subscribe.listenToken", json!({"listenToken": token}))
    };
    let reply = subscribe(&mut bench, &first);
    assert_eq!(
        reply["result"],
        json!({"subscriptionId": 0, "expirationTime": 1_700_000_020_000_000_i64}),
        "in microseconds"
    );
    let order = "symbol=DOGEUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0.1&quantity=10";
    bench.rest("alice", "POST", "/sapi/v1/margin/order", order);
    let frames = bench.values(conn);
    assert_eq!(
        (&frames[0]["subscriptionId"], &frames[0]["event"]["e"]),
        (&json!(0), &json!("executionReport"))
    );
    bench.pass(Span::from_secs(15));
    let second = token(&mut bench);
    assert_eq!(subscribe(&mut bench, &second)["result"]["subscriptionId"], 0, "the same subscription");
    bench.pass(Span::from_secs(6));
    assert!(bench.taken(conn).is_empty(), "it goes on");
    bench.pass(Span::from_secs(15));
    assert_eq!(bench.events(conn)[0]["e"], "eventStreamTerminated");
    assert_eq!(code(&subscribe(&mut bench, &first)), -1209);
}

/// Orders that borrow are dear, and only on their own endpoint.
#[test]
fn every_endpoint_has_its_pool() {
    let mut config = super::config();
    config.limits.margin_weight = 3_000;
    let mut bench = Bench::new(config);
    bench.rest("alice", "POST", "/sapi/v1/asset/transfer", "type=MAIN_MARGIN&asset=USDT&amount=1000");
    let order = "symbol=DOGEUSDT&side=BUY&type=MARKET&quantity=10&sideEffectType=AUTO_BORROW_REPAY";
    for expected in [200, 200, 429] {
        assert_eq!(bench.rest("alice", "POST", "/sapi/v1/margin/order", order).0, expected);
    }
    assert_eq!(bench.rest("alice", "GET", "/sapi/v1/margin/openOrders", "symbol=DOGEUSDT").0, 200);
}

#[test]
fn wallets_go_on_after_a_restart() {
    let mut bench = funded();
    let borrow = "asset=DOGE&amount=100&type=BORROW";
    bench.rest("alice", "POST", "/sapi/v1/margin/borrow-repay", borrow);
    let (_, before) = bench.rest("alice", "GET", "/sapi/v1/margin/account", "");
    let mut again = Bench::new(super::config());
    again.sim = Sim::resume(super::config(), bench.now, &journaled(&bench)).unwrap();
    let (_, after) = again.rest("alice", "GET", "/sapi/v1/margin/account", "");
    for asset in ["USDT", "DOGE"] {
        assert_eq!(row(&after, asset), row(&before, asset), "{asset}");
    }
}
