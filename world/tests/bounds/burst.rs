//! A hundred symbols in use, and the private stream lost: how long until all of them are compared, and for what weight.

use std::collections::BTreeSet;

use serde_json::json;
use tradingsys::ids::Symbol;
use tradingsys::market::Side;
use tradingsys::time::{Span, Time};

use crate::bench::{Bench, RECV_WINDOW};

const SYMBOLS: usize = 100;
/// Ten to twenty milliseconds each way.
const WAY: (i64, i64) = (10, 20);
/// From the new link to the end of the first pass.
const FIRST_PASS: Span = Span::from_secs(2);

/// In every symbol a position, and an order that rests.
fn in_use(seed: u64) -> (Bench, Vec<Symbol>) {
    let symbols: Vec<Symbol> = (0..SYMBOLS).map(|n| Symbol::new(&format!("c{n:02}usdt"))).collect();
    let mut bench = Bench::new(seed, &symbols, WAY);
    for symbol in &symbols {
        bench.bring_into_use(symbol);
        move_to(&mut bench, symbol, "0.09");
        bench.order(symbol, Side::Buy, Some("0.05"), 300);
        bench.pass(Span::from_millis(300));
    }
    bench.pass(Span::from_secs(150));
    assert_eq!((bench.booked.len(), bench.over_limit), (SYMBOLS, 0), "seed {seed}");
    (bench, symbols)
}

/// The market falls, and what rests above that is hit.
fn move_to(bench: &mut Bench, symbol: &Symbol, price: &str) {
    bench.control("POST", "price", &json!({"symbol": symbol.upper(), "price": price}));
}

/// The connection is lost, and every third order is filled before there is a new one.
fn lose_the_stream(bench: &mut Bench, symbols: &[Symbol]) -> Time {
    bench.links_up.clear();
    bench.faults(&json!([{"fault": "connection.abort", "side": "api"}]));
    let cut = bench.now;
    for symbol in symbols.iter().step_by(3) {
        move_to(bench, symbol, "0.04");
    }
    cut
}

fn check_nothing_missed(bench: &Bench) {
    let booked: BTreeSet<_> = bench.booked.iter().cloned().collect();
    assert_eq!(booked.len(), bench.booked.len(), "each fill is booked once");
    assert_eq!(booked, bench.trades, "and each is booked");
    assert_eq!(bench.over_limit, 0, "the exchange never said that too much was asked");
}

/// What is simulated: ten to twenty milliseconds each way between gateway and exchange, two for the disk; the exchange
/// itself takes none. Of the weight, the regular sweep of this minute may have taken its part already.
#[test]
fn r02_a_hundred_symbols_are_compared_within_two_seconds_and_within_the_budget() {
    // Early, in the middle and late in the minute in which weight is counted.
    for (seed, wait) in [(1, 1), (2, 29), (3, 55)] {
        let (mut bench, symbols) = in_use(seed);
        let second = bench.now.millis().rem_euclid(60_000);
        bench.pass(Span::from_millis(60_000 - second + wait * 1_000));
        let cut = lose_the_stream(&mut bench, &symbols);
        let looked = |bench: &Bench| bench.gateway.looked().is_some_and(|at| at > cut);
        assert!(bench.run_until(cut + Span::from_secs(30), looked), "seed {seed}");
        let up = *bench.links_up.first().expect("there is a new link");
        let (pass, all) = (bench.now.since(up), bench.now.since(cut));
        println!("seed {seed}: first pass {pass:?} after the link was up, {all:?} after the cut");
        assert!(pass <= FIRST_PASS, "seed {seed}: {pass:?}");
        // The fills of the outage are known by then.
        bench.pass(Span::from_millis(100));
        check_nothing_missed(&bench);
        assert!(
            bench.run_until(cut + Span::from_secs(65), Bench::is_ready),
            "seed {seed}: within a minute all may trade"
        );
        println!("seed {seed}: all symbols may trade {:?} after the cut", bench.now.since(cut));
        bench.pass(Span::from_secs(180));
        check_nothing_missed(&bench);
        assert!(bench.booked.len() >= SYMBOLS + SYMBOLS / 3, "seed {seed}: {}", bench.booked.len());
    }
}

/// Comparing a hundred symbols twice takes more than a minute's share of the weight. An order in doubt meanwhile does
/// not wait for the next minute.
#[test]
fn r02_an_order_in_doubt_is_found_out_while_a_hundred_symbols_use_up_the_budget() {
    let (mut bench, symbols) = in_use(4);
    let second = bench.now.millis().rem_euclid(60_000);
    bench.pass(Span::from_millis(60_000 - second + 29_000));
    let cut = lose_the_stream(&mut bench, &symbols);
    let looked = |bench: &Bench| bench.gateway.looked().is_some_and(|at| at > cut);
    assert!(bench.run_until(cut + Span::from_secs(30), looked));
    // The second pass has begun, and some symbols are released.
    bench.pass(Span::from_secs(4));
    bench.faults(&json!([
        {"fault": "request.drop", "method": "order.place", "nth": 1},
        {"fault": "reply.drop", "method": "order.place", "nth": 1},
        {"fault": "event.drop", "event": "executionReport", "nth": 1},
    ]));
    let sent = bench.now;
    let [lost, taken] = [0, 1].map(|_| bench.order(&symbols[0], Side::Buy, Some("0.03"), 400));
    bench.pass(Span::from_secs(40));
    for (id, wanted) in [(&lost, "REJECTED"), (&taken, "NEW")] {
        let (since, last) = bench.last_told(id).expect("something was told");
        assert_eq!(last.state.as_str(), wanted, "{last:?} {:#?}", bench.logs);
        assert_ne!(last.code, Some(-30009), "{last:?}");
        let took = since.since(sent);
        println!("{wanted} after {took:?}");
        assert!(took <= RECV_WINDOW + Span::from_secs(12), "{took:?}");
    }
    bench.pass(Span::from_secs(120));
    check_nothing_missed(&bench);
}
