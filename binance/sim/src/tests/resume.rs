//! A simulator that goes on from its own journals.

use serde_json::{Value, json};
use tradingsys::time::Span;

use super::{Bench, START, config, text};
use crate::journal::Journaled;
use crate::sim::{BadStart, Sim};

/// The journals as the shell would read them back.
pub(super) fn journaled(bench: &Bench) -> Journaled {
    let mut journaled = Journaled::default();
    for (journal, line) in &bench.lines {
        let text = journaled.texts.entry(*journal).or_default();
        text.push_str(line);
        text.push('\n');
    }
    journaled
}

fn state(bench: &mut Bench) -> Value {
    let reply = bench.http("GET", "/control/state?orders=all", None, "").unwrap();
    let mut state: Value = serde_json::from_str(&reply.body).unwrap();
    state.as_object_mut().unwrap().retain(|name, _| name == "accounts");
    state
}

/// A life with every kind of line: fills of all fee assets, cancels, amends, stops, amounts, prevention,
/// transfers.
fn lived() -> Bench {
    let mut config = config();
    config.accounts[1].pays_in_bnb = true;
    let mut bench = Bench::new(config);
    let alice = bench.logged_on("alice");
    let bob = bench.logged_on("bob");
    bench.control("trade", &json!({"symbol": "BNBUSDT", "side": "BUY", "qty": "0.01"}));
    bench.control("transfer", &json!({"account": "bob", "asset": "USDT", "amount": "-12.5"}));
    bench.limit(bob, "SELL", "0.2", "b1");
    bench.limit(alice, "BUY", "0.2", "a1");
    bench.limit(alice, "BUY", "0.15", "a2");
    bench.limit(alice, "SELL", "0.3", "a3");
    bench.limit(alice, "BUY", "0.3", "a4");
    let now = bench.now.millis();
    bench.call(
        alice,
        "order.cancel",
        json!({"symbol": "DOGEUSDT", "origClientOrderId": "a2", "timestamp": now}),
    );
    bench.limit(alice, "BUY", "0.16", "a5");
    let amend = json!({"symbol": "DOGEUSDT", "origClientOrderId": "a5", "newQty": "9", "timestamp": now});
    assert_eq!(bench.call(alice, "order.amend.keepPriority", amend)["status"], 200);
    let stop = json!({"symbol": "DOGEUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC",
        "quantity": "20", "price": "0.1", "stopPrice": "0.11", "strategyId": 5});
    assert_eq!(bench.place(alice, stop)["status"], 200);
    let amount = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "100"});
    assert_eq!(bench.place(bob, amount)["result"]["status"], "FILLED");
    bench.pass(Span::from_secs(1));
    bench
}

#[test]
fn accounts_orders_and_histories_go_on() {
    let mut before = lived();
    let mut after = Bench::new(config());
    let mut config = config();
    config.accounts[1].pays_in_bnb = true;
    after.sim = Sim::resume(config, before.now, &journaled(&before)).unwrap();
    after.now = before.now;
    after.lines.clear();
    assert_eq!(state(&mut after), state(&mut before));
    for (path, params) in [
        ("/api/v3/myTrades", "symbol=DOGEUSDT"),
        ("/api/v3/myTrades", "symbol=BTCUSDT"),
        ("/api/v3/allOrders", "symbol=DOGEUSDT"),
        ("/api/v3/openOrders", ""),
    ] {
        for name in ["alice", "bob"] {
            assert_eq!(
                after.rest(name, "GET", path, params),
                before.rest(name, "GET", path, params),
                "{path} {name}"
            );
        }
    }
    let conn = after.logged_on("alice");
    let last = before.rest("alice", "GET", "/api/v3/allOrders", "symbol=DOGEUSDT").1;
    let last = last.as_array().unwrap().last().unwrap()["orderId"].as_u64().unwrap();
    let next = after.limit(conn, "BUY", "0.1", "next")["result"]["orderId"].as_u64().unwrap();
    assert!(next > last, "numbers go on: {next} after {last}");
    let open = json!({"symbol": "DOGEUSDT", "orderId": last, "timestamp": after.now.millis()});
    assert_eq!(
        text(&after.call(conn, "order.cancel", open)["result"]["status"]),
        "CANCELED",
        "the stop is there"
    );
    let opened = |line: &String| line.contains("opening");
    assert!(!after.lines.iter().any(|(_, line)| opened(line)), "nobody is given money twice");
}

#[test]
fn journals_that_do_not_fit_are_named() {
    let before = lived();
    let journals = journaled(&before);
    let mut fewer = config();
    fewer.accounts.remove(1);
    let error = Sim::resume(fewer, START, &journals).unwrap_err();
    assert!(error.to_string().contains("account \"bob\""), "{error}");
    let mut torn = journals.clone();
    torn.texts.values_mut().for_each(|text| text.truncate(text.len() - 5));
    let error = Sim::resume(config(), START, &torn).unwrap_err();
    assert!(matches!(error, BadStart::Journal(_)) && error.to_string().contains(".jsonl"), "{error}");
}
