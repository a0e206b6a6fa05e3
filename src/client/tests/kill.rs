//! Cancels that were asked for, over the death of the gateway that took them.

use super::*;

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
