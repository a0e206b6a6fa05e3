//! A gateway whose journal was lost, or is another: the strategy runs on, and what it knew is asked for anew.

use super::*;

const POSITIONS: &str = r#"[{"symbol":"dogeusdt","net":"4","avg_price":"0.2","realised":"0"}]"#;

/// A login's reply has come: the orders and positions it asks for are these.
fn restore(desk: &mut Desk, orders: &str, positions: &str) {
    for (id, call) in desk.calls() {
        let id = id.unwrap();
        match call {
            Call::Orders(_) => {
                desk.frame(&format!(r#"{{"id":{id},"result":{{"session_id":1,"orders":{orders}}}}}"#))
            }
            Call::Positions(_) => {
                desk.frame(&format!(r#"{{"id":{id},"result":{{"session_id":1,"positions":{positions}}}}}"#))
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(desk.client.is_logged_in());
    desk.client.begin();
    desk.told();
}

fn view(id: &str, state: &str, filled: &str) -> String {
    format!(
        r#"{{"order_id":"{id}","n":9,"symbol":"dogeusdt","side":"BUY","type":"LIMIT","tif":"GTC","price":"0.2","qty":"10","state":"{state}","filled":"{filled}","filled_quote":"0","time":2}}"#
    )
}

/// A process without a cursor has been resumed, and knows of an order and of 4 DOGE by its login alone.
fn resumed() -> (Desk, String) {
    let mut desk = Desk::new(config());
    desk.generation = Some(1);
    desk.log_in(r#"{"gen":1,"seq":5}"#, "events", "[]", 1000);
    let id = named(1000, 9);
    let orders = format!("[{}]", view(&id, "PENDING", "0"));
    restore(&mut desk, &orders, POSITIONS);
    (desk, id)
}

fn snapshot(desk: &mut Desk, orders: &str, positions: &str) {
    desk.frame(&format!(
        r#"{{"event":"snapshot","gen":2,"seq":0,"time":1,"orders":[{orders}],"positions":{positions}}}"#
    ));
}

fn of_another(frame: &str) -> String {
    frame.replace(r#""gen":1"#, r#""gen":2"#)
}

fn net(desk: &Desk) -> Option<String> {
    desk.client.positions().get(&Symbol::new("dogeusdt")).map(|position| position.net.to_string())
}

#[test]
fn r56_a_journal_lost_under_a_running_strategy_costs_it_no_order_and_no_position() {
    let (mut desk, id) = resumed();
    let key = desk.client.orders().key(&ClientOrderId::foreign(&id)).unwrap();
    assert_eq!(net(&desk).as_deref(), Some("4"));
    reconnect(&mut desk);
    desk.generation = Some(2);
    let login = desk.log_in(r#"{"gen":2,"seq":3}"#, "snapshot", "[null]", 1001);
    assert_eq!(login.cursor, Some(Ack { generation: 1, sequence: 0 }), "never resumed among other events");
    let [listed] = &login.pending[..] else { panic!("{:?}", login.pending) };
    assert_eq!((listed.epoch, listed.method.as_str()), (1000, "order"));
    assert_eq!((&listed.params["n"], &listed.params["qty"]), (&9.into(), &"10".into()));
    snapshot(&mut desk, "", r#"[{"symbol":"dogeusdt","net":"7","avg_price":"0.2","realised":"0"}]"#);
    assert_eq!(desk.told(), ["state Down", "state Ready", "notice snapshot", "UNKNOWN again"]);
    assert_eq!((desk.state(key), net(&desk).as_deref()), (OrderStatus::Unknown, Some("7")));
    assert_eq!(desk.client.waiting(), 1);
    desk.frame(&of_another(&order_frame(1, &id, "REJECTED", "0", "7", false)));
    assert_eq!((desk.told(), desk.client.waiting()), (vec!["REJECTED now".to_owned()], 0));
    reconnect(&mut desk);
    let login = desk.log_in(r#"{"gen":2,"seq":3}"#, "events", "[]", 1001);
    assert_eq!((login.cursor.unwrap().generation, login.pending.len()), (2, 0), "asked for once");
}

#[test]
fn what_another_journal_knows_of_an_order_is_taken_from_it() {
    for (answer, orders, frame, told) in [
        (r#"[{"result":{}}]"#, view(&named(1000, 9), "NEW", "0"), None, "NEW again"),
        (r#"[{"result":{}}]"#, String::new(), Some("FILLED"), "UNKNOWN again"),
        (r#"[{"error":{"code":-30003,"name":"x","message":"x"}}]"#, String::new(), None, "REJECTED now"),
    ] {
        let (mut desk, id) = resumed();
        reconnect(&mut desk);
        desk.generation = Some(2);
        desk.log_in(r#"{"gen":2,"seq":1}"#, "snapshot", answer, 1001);
        snapshot(&mut desk, &orders, "[]");
        let words = desk.told();
        assert!(words.contains(&told.to_owned()), "{answer}: {words:?}");
        assert_eq!(net(&desk), None, "a position that is not in it is none");
        if let Some(end) = frame {
            desk.frame(&of_another(&order_frame(1, &id, end, "10", "10", true)));
            assert_eq!(desk.told(), [format!("{end} again")]);
            assert_eq!(desk.client.orders().open().count(), 0, "its end counts, though the snapshot had it");
        }
    }
}

#[test]
fn an_order_that_an_event_which_waits_tells_to_be_over_is_not_asked_for() {
    let mut desk = Desk::live();
    let (over, open) = (desk.send(), desk.send());
    let (over, open) = (desk.id(over), desk.id(open));
    desk.order_event(1, &over, "NEW", "0", "0");
    desk.order_event(2, &open, "NEW", "0", "0");
    desk.told();
    desk.order_event(3, &over, "FILLED", "10", "10");
    reconnect(&mut desk);
    desk.generation = Some(2);
    let login = desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[null]", 1001);
    assert_eq!(login.cursor, Some(Ack { generation: 1, sequence: 2 }));
    let listed: Vec<_> = login.pending.iter().map(|p| p.params["n"].as_u64().unwrap()).collect();
    assert_eq!(listed, [2]);
    snapshot(&mut desk, "", "[]");
    let told = ["FILLED now", "state Down", "state Ready", "notice snapshot", "UNKNOWN again"];
    assert_eq!(desk.told(), told);
}

#[test]
fn an_order_resolved_before_the_snapshot_is_handled_is_not_called_ended_by_it() {
    let (mut desk, id) = resumed();
    reconnect(&mut desk);
    desk.generation = Some(2);
    desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[null]", 1001);
    snapshot(&mut desk, "", "[]");
    desk.frame(&of_another(&order_frame(1, &id, "NEW", "0", "0", false)));
    let told = ["state Down", "state Ready", "notice snapshot", "UNKNOWN again", "NEW now"];
    assert_eq!(desk.told(), told);
}

#[test]
fn an_order_sent_before_the_snapshot_is_handled_is_not_judged_by_it() {
    let (mut desk, _) = resumed();
    reconnect(&mut desk);
    desk.generation = Some(2);
    desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[null]", 1001);
    snapshot(&mut desk, "", "[]");
    for _ in ["state Down", "state Ready"] {
        let placed = desk.client.next_private().unwrap();
        desk.client.handled(&placed);
    }
    assert!(desk.client.is_ready());
    let key = desk.send();
    assert_eq!(desk.told(), ["notice snapshot", "UNKNOWN again"]);
    assert_eq!(desk.state(key), OrderStatus::Pending);
}

#[test]
fn a_cancel_that_a_lost_journal_knew_of_is_asked_for_again() {
    let (mut desk, id) = resumed();
    let key = desk.client.orders().key(&ClientOrderId::foreign(&id)).unwrap();
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true));
    let [(Some(call), Call::Cancel(_))] = &desk.calls()[..] else { panic!("no cancel") };
    desk.frame(&format!(r#"{{"id":{call},"result":{{"n":1,"order_id":"{id}"}}}}"#));
    reconnect(&mut desk);
    desk.generation = Some(2);
    desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[null]", 1001);
    desk.out.clear();
    snapshot(&mut desk, "", "[]");
    assert_eq!(desk.calls(), []);
    desk.frame(&of_another(&order_frame(1, &id, "NEW", "0", "0", false)));
    assert!(matches!(&desk.calls()[..], [(Some(_), Call::Cancel(cancel))] if cancel.order_id.as_str() == id));
}

#[test]
fn a_login_stays_within_its_frame_however_many_orders_are_open() {
    let mut desk = Desk::live();
    for batch in 0..3 {
        let keys: Vec<OrderKey> = (0..200).map(|_| desk.send()).collect();
        for ((call, _), key) in desk.calls().into_iter().zip(&keys) {
            let (call, id) = (call.unwrap(), desk.id(*key));
            desk.frame(&format!(r#"{{"id":{call},"result":{{"n":1,"order_id":"{id}"}}}}"#));
        }
        for (seq, key) in (batch * 200 + 1..).zip(keys) {
            let id = desk.id(key);
            desk.order_event(seq, &id, "NEW", "0", "0");
        }
    }
    desk.told();
    reconnect(&mut desk);
    desk.generation = Some(2);
    let login = desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[]", 1001);
    let size: usize = login.pending.iter().map(|p| p.params.to_string().len() + 64).sum();
    assert!(login.pending.len() > 200 && size < 64 * 1024, "{} orders, {size} bytes", login.pending.len());
    // Those beyond may live at the exchange as well: a snapshot that lacks them says nothing of them.
    snapshot(&mut desk, "", "[]");
    desk.told();
    assert_eq!(desk.client.orders().open().count(), 600);
}

#[test]
fn a_gateway_that_does_not_say_its_numbering_is_believed_to_have_kept_it() {
    let (mut desk, id) = resumed();
    desk.order_event(6, &id, "NEW", "0", "0");
    desk.told();
    reconnect(&mut desk);
    desk.generation = None;
    let login = desk.log_in(r#"{"gen":1,"seq":6}"#, "events", "[]", 1000);
    assert_eq!((login.cursor, login.pending.len()), (Some(Ack { generation: 1, sequence: 6 }), 0));
}

#[test]
fn a_numbering_that_begins_anew_between_welcome_and_login_is_met_by_another_login() {
    let (mut desk, id) = resumed();
    desk.order_event(6, &id, "NEW", "0", "0");
    desk.told();
    desk.input(Input::Lost(None, "reset"));
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    desk.out.clear();
    // By the welcome nothing was lost, so nothing is listed; by the login's reply something is.
    let login = desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[]", 1001);
    assert!(login.pending.is_empty());
    assert!(matches!(desk.out[..], [Output::Disconnect(1000, _)]), "{:?}", desk.out);
    assert!(!desk.client.is_logged_in() && desk.client.failure().is_none());
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    assert_eq!(desk.out.pop(), Some(Output::Connect));
    desk.generation = Some(2);
    let login = desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", "[null]", 1001);
    assert_eq!((login.pending.len(), login.pending[0].epoch), (1, 1000), "{id} is asked for");
}

#[test]
fn a_stream_may_be_wanted_before_the_gateway_has_reached_its_exchange() {
    let mut desk = Desk::live();
    let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Bbo };
    let question = desk.client.subscribe(stream.clone(), &mut desk.out).unwrap();
    let [(Some(id), Call::Subscribe(_))] = desk.calls()[..] else { panic!("not asked") };
    let code = ErrorCode::NotReady.code();
    let frame = |message: &str| {
        format!(r#"{{"id":{id},"error":{{"code":{code},"name":"not_ready","message":"{message}"}}}}"#)
    };
    desk.frame(&frame("no route"));
    assert!(desk.client.take_reply(question).unwrap().is_ok());
    let slot = desk.client.slot(&stream).expect("kept");
    let (found, market) = desk.client.next_market().expect("told of");
    assert!(found == slot && matches!(&market, Market::Stale(reason) if reason == "no route"));
    assert!(desk.client.products().is_empty());

    desk.frame(r#"{"event":"state","state":"recovering"}"#);
    let [(Some(id), Call::Subscribe(streams))] = &desk.calls()[..] else { panic!("not asked again") };
    assert_eq!(streams.streams, ["dogeusdt@bbo"]);
    desk.frame(&format!(
        r#"{{"id":{id},"error":{{"code":-10003,"name":"invalid_symbol","message":"the exchange has no such symbol"}}}}"#
    ));
    let told = desk.told();
    assert!(told.contains(&"error -10003".to_owned()), "{told:?}");
    assert!(desk.client.next_market().is_some_and(|(_, market)| matches!(market, Market::Stale(_))));
}

/// An older copy of the same run's journal is put back: it is numbered as before, and its login would not tell.
#[test]
fn r56_what_was_only_listed_is_asked_for_at_each_login_until_an_event_tells_of_it() {
    let (mut desk, id) = resumed();
    let key = desk.client.orders().key(&ClientOrderId::foreign(&id)).unwrap();
    assert_eq!(desk.client.waiting(), 1);
    for _ in 0..2 {
        reconnect(&mut desk);
        let login = desk.log_in(r#"{"gen":1,"seq":5}"#, "events", r#"[{"result":{}}]"#, 1000);
        let listed: Vec<_> = login.pending.iter().map(|p| (p.epoch, &p.params["n"])).collect();
        assert_eq!(listed, [(1000, &9.into())]);
        desk.told();
    }
    reconnect(&mut desk);
    let unknown = r#"[{"error":{"code":-30003,"name":"x","message":"x"}}]"#;
    desk.log_in(r#"{"gen":1,"seq":5}"#, "events", unknown, 1000);
    desk.told();
    assert_eq!(desk.state(key), OrderStatus::Rejected);
    assert_eq!(desk.client.waiting(), 0);
}

#[test]
fn an_event_that_came_before_a_snapshot_was_handled_tells_of_what_it_showed() {
    for end in ["NEW", "FILLED"] {
        let (mut desk, _) = resumed();
        reconnect(&mut desk);
        desk.generation = Some(2);
        desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", r#"[{"result":{}}]"#, 1001);
        let (shown, other) = (named(1000, 11), named(1000, 9));
        let orders = [view(&shown, "PENDING", "0"), view(&other, "NEW", "0")].join(",");
        snapshot(&mut desk, &orders, "[]");
        desk.frame(&of_another(&order_frame(1, &shown, end, "0", "0", false)));
        desk.told();
        assert_eq!(desk.client.waiting(), 0, "{end}");
        reconnect(&mut desk);
        let login = desk.log_in(r#"{"gen":2,"seq":1}"#, "events", "[]", 1001);
        assert_eq!(login.pending.len(), 0, "{end}");
    }
}

/// A gateway that started anew does not know yet of an order that was called taken: a cancel of it would be refused.
#[test]
fn a_cancel_waits_until_the_gateway_tells_of_its_order() {
    let (mut desk, id) = resumed();
    let key = desk.client.orders().key(&ClientOrderId::foreign(&id)).unwrap();
    assert_eq!(desk.client.kill(key, &mut desk.out), Ok(true));
    let [(Some(call), Call::Cancel(_))] = &desk.calls()[..] else { panic!("no cancel") };
    desk.frame(&format!(r#"{{"id":{call},"result":{{"n":1,"order_id":"{id}"}}}}"#));
    reconnect(&mut desk);
    desk.log_in(r#"{"gen":1,"seq":5}"#, "events", "[null]", 1001);
    let calls = desk.calls();
    assert!(!calls.iter().any(|(_, call)| matches!(call, Call::Cancel(_))), "{calls:?}");
    desk.order_event(6, &id, "UNKNOWN", "0", "0");
    let calls = desk.calls();
    assert!(calls.iter().any(|(_, call)| matches!(call, Call::Cancel(_))), "{calls:?}");
}

/// A snapshot shows an order as pending, its end waits behind it, and between the two the connection is lost.
#[test]
fn an_order_that_ended_while_the_connection_was_lost_is_listed_no_more() {
    let (mut desk, _) = resumed();
    reconnect(&mut desk);
    desk.generation = Some(2);
    desk.log_in(r#"{"gen":2,"seq":0}"#, "snapshot", r#"[{"result":{}}]"#, 1001);
    let shown = named(1000, 11);
    snapshot(&mut desk, &view(&shown, "PENDING", "0"), "[]");
    desk.frame(&of_another(&order_frame(1, &shown, "FILLED", "10", "10", false)));
    while let Some(placed) = desk.client.next_private() {
        let end = matches!(&placed.event, Event::Notice { code, .. } if code == "snapshot");
        desk.client.handled(&placed);
        if end {
            break;
        }
    }
    desk.input(Input::Lost(None, "reset"));
    desk.told();
    assert!(!desk.client.orders().open().any(|(_, tracked)| tracked.order.order_id.as_str() == shown));
    desk.now = desk.client.deadline().unwrap();
    desk.input(Input::Timer);
    desk.out.clear();
    let login = desk.log_in(r#"{"gen":2,"seq":1}"#, "events", "[null]", 1001);
    let listed: Vec<_> = login.pending.iter().map(|p| p.params["n"].as_u64().unwrap()).collect();
    assert!(!listed.contains(&11), "{listed:?}");
}
