//! Pings, ages and ends of connections.

use bytes::Bytes;
use serde_json::json;
use tradingsys::time::Span;

use super::{Bench, config};
use crate::io::{Conn, SimInput, SimOutput};

fn pings(bench: &mut Bench, conn: Conn) -> Vec<Bytes> {
    let others = std::mem::take(&mut bench.others);
    others
        .into_iter()
        .filter_map(|output| match output {
            SimOutput::Ping(to, payload) if to == conn => Some(payload),
            _ => None,
        })
        .collect()
}

#[test]
fn a_ping_every_20_seconds_and_an_end_after_60_without_pong() {
    let mut bench = super::bench();
    let conn = bench.open("/ws-api/v3");
    bench.pass(Span::from_secs(19));
    assert!(pings(&mut bench, conn).is_empty());
    bench.pass(Span::from_secs(1));
    let sent = pings(&mut bench, conn);
    assert_eq!(sent.len(), 1);
    bench.input(SimInput::Pong(conn, Bytes::new()));
    bench.pass(Span::from_secs(30));
    assert_eq!(pings(&mut bench, conn).len(), 1);
    bench.input(SimInput::Pong(conn, sent[0].clone()));
    bench.pass(Span::from_secs(69));
    assert!(!bench.others.iter().any(|o| matches!(o, SimOutput::Close(..))), "the pong counted");
    bench.pass(Span::from_secs(60));
    assert!(bench.others.iter().any(|o| matches!(o, SimOutput::Close(c, 1008, _) if *c == conn)));
}

#[test]
fn lengths_of_time_scale() {
    let mut config = config();
    config.timing = config.timing.faster(1_000);
    let mut bench = Bench::new(config);
    let conn = bench.open("/ws");
    for _ in 0..4_319 {
        bench.pass(Span::from_millis(20));
        for payload in pings(&mut bench, conn) {
            bench.input(SimInput::Pong(conn, payload));
        }
    }
    bench.pass(Span::from_millis(20));
    assert!(
        bench.others.iter().any(|o| matches!(o, SimOutput::Close(c, 1001, _) if *c == conn)),
        "24 hours are 86.4 seconds"
    );
}

#[test]
fn a_shutdown_is_announced_on_every_kind_of_connection() {
    let mut bench = super::bench();
    let api = bench.open("/ws-api/v3");
    let raw = bench.open("/ws");
    let combined = bench.open("/stream");
    bench.control("faults", &json!([{"fault": "shutdown", "ms": 500}]));
    assert_eq!(bench.taken(api), [r#"{"event":{"e":"serverShutdown","E":1700000000000}}"#]);
    assert_eq!(bench.taken(raw), [r#"{"e":"serverShutdown","E":1700000000000}"#]);
    assert_eq!(
        bench.taken(combined),
        [r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000000}}"#]
    );
    bench.pass(Span::from_millis(400));
    let fresh = bench.open("/ws-api/v3");
    bench.pass(Span::from_millis(200));
    let closed: Vec<Conn> = bench
        .others
        .iter()
        .filter_map(|output| match output {
            SimOutput::Close(conn, 1001, _) => Some(*conn),
            _ => None,
        })
        .collect();
    assert_eq!(closed, [api, raw, combined], "{fresh:?} is the new server's");
}
