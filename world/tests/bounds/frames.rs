//! Events that cannot be read, or not in full: what they would have told is found out all the same.

use serde_json::json;
use tradingsys::ids::Symbol;
use tradingsys::market::Side;
use tradingsys::time::Span;

use crate::bench::Bench;

#[test]
fn r43_r66_deformed_events_and_replies_lose_nothing() {
    for (seed, fault) in
        (0_u64..).zip(["frame.garbage", "frame.cut", "frame.giant", "frame.field", "frame.enum"])
    {
        for (what, rule) in [
            ("events", json!({"fault": fault, "event": "executionReport", "probability": 0.5})),
            ("replies", json!({"fault": fault, "method": "order.place"})),
        ] {
            let symbol = Symbol::new("dogeusdt");
            let mut bench = Bench::new(seed, std::slice::from_ref(&symbol), (5, 25));
            bench.bring_into_use(&symbol);
            bench.faults(&json!([rule]));
            let mut ids = Vec::new();
            for n in 0..12 {
                ids.push(bench.order(&symbol, Side::Buy, (n % 3 == 0).then_some("0.1"), 50 + n));
                bench.pass(Span::from_millis(700));
            }
            bench.pass(Span::from_secs(90));
            let mut booked = bench.booked.clone();
            booked.sort();
            let real: Vec<_> = bench.trades.iter().cloned().collect();
            assert!(!real.is_empty());
            assert_eq!(booked, real, "{fault} of {what}: every fill once");
            for id in ids {
                let told = bench.last_told(&id).map(|(_, order)| order.state.as_str().to_owned());
                assert_eq!(
                    told,
                    bench.truth.get(&id).map(|real| real.status.clone()),
                    "{fault} of {what}: {id}"
                );
            }
        }
    }
}
