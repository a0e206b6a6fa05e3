//! When what was handled is acknowledged.

use super::*;

#[test]
fn c6_what_was_handled_soon_after_an_acknowledgement_is_acknowledged_together() {
    let mut desk = Desk::live();
    let handle = |desk: &mut Desk, seq| {
        desk.order_event(seq, &named(1000, 9), "NEW", "0", "0");
        desk.told();
    };
    let at = |millis: i64| Time::from_millis(100_000 + millis);
    let told = |desk: &mut Desk, millis: i64| {
        desk.calls();
        desk.client.acknowledge_seldom(at(millis), &mut desk.out);
        desk.calls().into_iter().map(|(_, call)| call).collect::<Vec<_>>()
    };
    let ack = |sequence| vec![Call::Ack(Ack { generation: 1, sequence })];
    assert_eq!(desk.client.acknowledge_at(), None);
    handle(&mut desk, 1);
    assert_eq!(told(&mut desk, 0), ack(1), "the first at once");
    assert_eq!(desk.client.acknowledge_at(), None);
    for (seq, millis) in [(2, 1), (3, 4)] {
        handle(&mut desk, seq);
        assert_eq!(told(&mut desk, millis), []);
        assert_eq!(desk.client.acknowledge_at(), Some(at(5)), "the engine waits no longer than that");
    }
    assert_eq!(told(&mut desk, 5), ack(3));
    handle(&mut desk, 4);
    assert_eq!(told(&mut desk, 6), []);
    desk.input(Input::Close);
    assert_eq!(
        desk.calls().into_iter().map(|(_, call)| call).collect::<Vec<_>>(),
        ack(4),
        "the end waits for nothing"
    );
}
