//! Orders of own sessions that would trade with each other.

use super::*;

/// Session 1 sells 10 at 0.2, which rests; session 2 is logged in then.
fn resting(config: GatewayConfig) -> (Bench, ClientOrderId) {
    let mut bench = Bench::of(config, vec![doge_is_read()], Vec::new(), START);
    bench.recover(&[], &[]);
    bench.login(None);
    bench.call(&doge_order(1, &json!({"side": "SELL"})));
    let rests = bench.script.0.borrow().placed[0].id.clone();
    let working = OrderReport { side: Side::Sell, ..report(&rests, VenueStatus::New, 0, None) };
    bench.says(vec![event(working)]);
    bench.login_as(2, None);
    (bench, rests)
}

fn guarded() -> GatewayConfig {
    GatewayConfig { limits: Limits { refuse_self_trade: true, ..Limits::default() }, ..config() }
}

#[test]
fn r24_both_sessions_are_told_when_prevention_ends_the_incoming_order() {
    let (mut bench, rests) = resting(config());
    let reply = bench.call(&doge_order(1, &json!({"price": "0.21"})));
    let mine = reply["result"]["order_id"].as_str().unwrap().to_owned();
    let id = ClientOrderId::foreign(&mine);
    bench.sent.clear();
    let price = "0.21".parse().unwrap();
    let ended = OrderReport { venue_id: 78, price, ..report(&id, VenueStatus::ExpiredInMatch, 0, None) };
    for _ in 0..2 {
        bench.says(vec![event(ended.clone())]);
    }
    assert_eq!(bench.events(), ["notice self_trade", "EXPIRED_IN_MATCH 0"], "each is told once");
    let reason = format!("self-trade prevention: it would have traded with order {rests} of session 1");
    let told = |word: &str| bench.sent.iter().find(|frame| frame["event"] == word).unwrap();
    assert_eq!(told("order")["order"]["reason"], reason.as_str());
    let words = told("notice")["message"].as_str().unwrap();
    assert!(words.contains(&format!("order {mine} of session 2 expired")), "{words}");
    assert_eq!(told("notice")["order_id"], rests.as_str());
    assert_eq!(bench.gateway.orders().get(&id).unwrap().reason.as_deref(), Some(reason.as_str()));
}

#[test]
fn r24_where_nobody_rests_any_more_the_order_still_says_why_it_ended() {
    let (mut bench, rests) = resting(config());
    let gone = OrderReport { side: Side::Sell, ..report(&rests, VenueStatus::Canceled, 0, None) };
    bench.says(vec![event(gone)]);
    let reply = bench.call(&doge_order(1, &json!({})));
    let id = ClientOrderId::foreign(reply["result"]["order_id"].as_str().unwrap());
    bench.sent.clear();
    bench
        .says(vec![event(OrderReport { venue_id: 78, ..report(&id, VenueStatus::ExpiredInMatch, 0, None) })]);
    assert_eq!(bench.events(), ["EXPIRED_IN_MATCH 0"]);
    let reason = &bench.sent.last().unwrap()["order"]["reason"];
    assert_eq!(reason, "self-trade prevention: it would have traded with another order of this account");
}

#[test]
fn r24_where_it_is_wanted_an_order_that_would_meet_an_own_one_is_not_sent() {
    for (changes, name) in [
        (json!({"price": "0.2"}), "self_trade"),
        (json!({"type": "MARKET", "price": null}), "self_trade"),
        (json!({"price": "0.19999"}), ""),
        (json!({"side": "SELL", "price": "0.1"}), ""),
    ] {
        let (mut bench, rests) = resting(guarded());
        let reply = bench.call(&doge_order(1, &changes));
        assert_eq!(reply["error"]["name"].as_str().unwrap_or_default(), name, "{changes}: {reply}");
        if !name.is_empty() {
            let said = reply["error"]["message"].as_str().unwrap();
            assert!(said.contains(&format!("order {rests} of session 1, a SELL at 0.2")), "{said}");
        }
        assert_eq!(bench.script.0.borrow().placed.len(), if name.is_empty() { 2 } else { 1 });
    }
    let (mut bench, _) = resting(config());
    assert!(bench.call(&doge_order(1, &json!({})))["error"].is_null(), "not unless it is wanted");
}
