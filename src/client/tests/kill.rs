//! Cancels that were asked for, over the death of the gateway that took them; and how much may wait at such a time.

use super::*;
use crate::market::WorkingType;
use crate::wire::request::Request;

/// A working order whose cancel the gateway has called taken.
fn canceling() -> (Desk, OrderKey, String) {
    let mut desk = Desk::live();
    let key = desk.send();
    let id = desk.id(key);
    desk.order_event(1, &id, "NEW", "0", "0");
    desk.told();
    desk.calls();
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true));
    let [(Some(call), Call::Cancel(_))] = &desk.calls()[..] else { panic!("no cancel") };
    desk.frame(&format!(r#"{{"id":{call},"result":{{"n":2,"order_id":"{id}"}}}}"#));
    (desk, key, id)
}

#[test]
fn r51_a_cancel_taken_by_a_gateway_that_was_killed_is_asked_for_again() {
    let (mut desk, key, id) = canceling();
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":1}"#, "events", "[]", 1001);
    let [(Some(call), Call::Cancel(cancel))] = &desk.calls()[..] else { panic!("no cancel") };
    assert_eq!((cancel.n, cancel.order_id.as_str()), (1, id.as_str()));
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(false), "it is under way");
    // The new gateway has not reached the exchange yet.
    desk.frame(&format!(r#"{{"id":{call},"error":{{"code":-30002,"name":"disconnected","message":"x"}}}}"#));
    assert!(desk.told().contains(&"order error -30002".to_owned()));
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true), "and it may be asked for once more");
}

#[test]
fn a_cancel_taken_by_a_gateway_that_lives_is_not_sent_again() {
    let (mut desk, key, _) = canceling();
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":1}"#, "events", "[]", 1000);
    assert_eq!(desk.calls(), []);
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(false));
}

#[test]
fn a_cancel_of_an_order_that_is_over_is_not_asked_for_again() {
    let (mut desk, _, id) = canceling();
    desk.order_event(2, &id, "CANCELED", "0", "0");
    desk.told();
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":2}"#, "events", "[]", 1001);
    assert_eq!(desk.calls(), []);
}

/// An order with as long a text as there is.
fn long_wish() -> Wish {
    let price = Some("1234567.12345678".parse().unwrap());
    Wish {
        symbol: Symbol::new("1000000babydogeusdt_261225"),
        order_type: OrderType::TakeProfitLimit,
        tif: Some(Tif::Gtd),
        price,
        stop_price: price,
        qty: Some("123456789.12345678".parse().unwrap()),
        instructions: Instructions {
            reduce_only: true,
            good_till: Some(Time::from_millis(1_795_000_000_000)),
            working_type: Some(WorkingType::Mark),
            callback_rate: Some("10.1".parse().unwrap()),
            activation_price: price,
        },
        ..wish()
    }
}

/// Answers all commands sent; gives the orders that were taken.
fn answer_all(desk: &mut Desk) {
    for (id, call) in desk.calls() {
        let id = id.unwrap();
        match call {
            Call::Order(order) => {
                let (n, name) = (order.n, named(1000, order.n));
                desk.frame(&format!(r#"{{"id":{id},"result":{{"n":{n},"order_id":"{name}"}}}}"#));
            }
            Call::Cancel(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_waits_always_fits_the_frame_of_a_login_and_cancels_find_room() {
    let mut desk = Desk::live();
    let mut keys = Vec::new();
    // A disk that stands still: orders are taken, and no event tells of them.
    let refused = loop {
        match desk.client.order(desk.now, long_wish(), &mut desk.out) {
            Ok(key) => keys.push(key),
            Err(error) => break error,
        }
        answer_all(&mut desk);
    };
    assert!(refused.code == LocalError::Busy.code() && keys.len() > 80, "{} {refused:?}", keys.len());
    let canceled = keys.iter().filter(|key| desk.client.kill(**key, &mut desk.out).is_ok()).count();
    assert!(canceled >= 60, "{canceled}");
    reconnect(&mut desk);
    let answers = format!("[{}]", vec!["null"; keys.len() + canceled].join(","));
    let login = desk.log_in(r#"{"gen":1,"seq":0}"#, "events", &answers, 1000);
    assert_eq!(login.pending.len(), keys.len() + canceled);
    let frame = request::encode(&Request { id: Some(u64::MAX), call: Call::Login(login) });
    assert!(frame.len() <= 64 * 1024, "{}", frame.len());
    // So do cancels that waited for their orders.
    let mut desk = Desk::live();
    let keys: Vec<_> =
        (0..250).map_while(|_| desk.client.order(desk.now, long_wish(), &mut desk.out).ok()).collect();
    for key in &keys {
        assert_eq!(desk.client.kill(*key, &mut desk.out), Ok(true));
    }
    answer_all(&mut desk);
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":1,"seq":0}"#, "events", "[]", 1000);
    assert!(login.pending.len() > keys.len());
    let frame = request::encode(&Request { id: Some(u64::MAX), call: Call::Login(login) });
    assert!(frame.len() <= 64 * 1024, "{}", frame.len());
}

#[test]
fn r11_cancel_all_that_stopped_midway_is_told_as_an_error() {
    let stopped = r#"{"n":1,"order_ids":["a"],"stopped_by":{"code":-30004,"name":"rate_limited","message":"1 of 2","retry_after_ms":850}}"#;
    let mut desk = Desk::live();
    let asked = |desk: &mut Desk| {
        desk.client.cancel_all(None, &mut desk.out).unwrap();
        let calls = desk.calls();
        let [(Some(id), Call::CancelAll(_))] = &calls[..] else { panic!("{calls:?}") };
        *id
    };
    let id = asked(&mut desk);
    desk.frame(&format!(r#"{{"id":{id},"result":{stopped}}}"#));
    let [Event::Error(error)] = &desk.events()[..] else { panic!("not told") };
    assert_eq!((error.name.as_str(), error.retry_after_ms), ("rate_limited", Some(850)));
    let id = asked(&mut desk);
    desk.frame(&format!(r#"{{"id":{id},"result":{{"n":2,"order_ids":["a","b"]}}}}"#));
    assert!(desk.events().is_empty(), "all were asked for");
    // Its answer was lost, and comes with the next login.
    asked(&mut desk);
    reconnect(&mut desk);
    let pending =
        desk.log_in(r#"{"gen":1,"seq":0}"#, "events", &format!(r#"[{{"result":{stopped}}}]"#), 1000);
    assert_eq!(pending.pending.len(), 1);
    assert_eq!(desk.told(), ["state Down", "state Ready", "error -30004"]);
}
