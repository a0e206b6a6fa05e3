//! Orders whose reply is lost: how long until the strategy is told the truth.

use serde_json::{Value, json};
use tradingsys::ids::Symbol;
use tradingsys::market::Side;
use tradingsys::time::{Span, Time};

use crate::bench::{Bench, RECV_WINDOW};

/// The bound of R02 (docs/reliability.md), from the sending of the order.
const WITHIN: Span = Span::from_secs(12);
/// Milliseconds from gateway to exchange, or back.
const WAY: (i64, i64) = (5, 25);

/// What happens to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Taken; the reply is lost.
    Taken,
    /// Taken, and an error of unknown outcome comes instead of the reply.
    TakenErrorTold,
    /// Not taken, and the same.
    LeftErrorTold,
    /// Refused; the reply is lost.
    Refused,
    /// The request is lost.
    Lost,
    /// The request is late, and so is its reply lost.
    Late,
    /// The connection is cut before the request is served.
    CutBefore,
    /// Or after.
    CutAfter,
}

const FATES: [Fate; 8] = [
    Fate::Taken,
    Fate::TakenErrorTold,
    Fate::LeftErrorTold,
    Fate::Refused,
    Fate::Lost,
    Fate::Late,
    Fate::CutBefore,
    Fate::CutAfter,
];

/// One case: everything follows from its seed.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    fate: Fate,
    /// The order takes from the book.
    takes: bool,
    /// The private events of the order are lost as well.
    deaf: bool,
    /// Milliseconds by which the request is late, and by which queries lag.
    late: i64,
    lag: i64,
}

impl Case {
    fn of(seed: u64, most_lag: i64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x646f_7562);
        let fate = FATES[(seed % 8) as usize];
        Self {
            seed,
            fate,
            takes: rng.bool(),
            deaf: rng.bool(),
            late: rng.i64(500..4_000),
            lag: if most_lag > 0 { rng.i64(0..=most_lag) } else { 0 },
        }
    }

    fn rules(&self) -> Value {
        let on = |rule: Value| {
            let mut rule = rule;
            rule["method"] = json!("order.place");
            rule["nth"] = json!(1);
            rule
        };
        let error = |executed: bool| on(json!({"fault": "reply.error", "code": -1007, "executed": executed}));
        let mut rules = match self.fate {
            Fate::Taken | Fate::Refused => vec![on(json!({"fault": "reply.drop"}))],
            Fate::TakenErrorTold => vec![error(true)],
            Fate::LeftErrorTold => vec![error(false)],
            Fate::Lost => vec![on(json!({"fault": "request.drop"}))],
            Fate::Late => vec![
                on(json!({"fault": "request.delay", "ms": self.late})),
                on(json!({"fault": "reply.drop"})),
            ],
            Fate::CutBefore => vec![on(json!({"fault": "connection.abort", "stage": "before"}))],
            Fate::CutAfter => vec![on(json!({"fault": "connection.abort", "stage": "after"}))],
        };
        if self.deaf {
            rules.push(json!({"fault": "event.drop", "for_ms": 5_000}));
        }
        if self.lag > 0 {
            rules.push(json!({"fault": "query.lag", "ms": self.lag}));
        }
        Value::Array(rules)
    }
}

/// How a case went.
struct Outcome {
    /// From the sending to the truth, and from the word that it is not known, if there was one.
    after_sending: Span,
    after_unknown: Option<Span>,
    placed: bool,
}

/// Runs a case and sees that what was told is so.
fn run(case: &Case) -> Outcome {
    let symbol = Symbol::new("dogeusdt");
    let mut bench = Bench::new(case.seed, std::slice::from_ref(&symbol), WAY);
    bench.bring_into_use(&symbol);
    bench.pass(Span::from_millis(i64::try_from(case.seed % 97).expect("small") * 31));
    bench.faults(&case.rules());
    let sent = bench.now;
    let id = match case.fate {
        // More than the account can pay.
        Fate::Refused => bench.order(&symbol, Side::Buy, Some("0.15"), 900_000),
        _ if case.takes => bench.order(&symbol, Side::Buy, None, 500),
        _ => bench.order(&symbol, Side::Buy, Some("0.1"), 300),
    };
    bench.pass(Span::from_secs(40));
    let (since, last) = bench.last_told(&id).unwrap_or_else(|| panic!("{case:?}: nothing was told of {id}"));
    let real = bench.truth.get(&id);
    let expected = real.map_or("REJECTED", |real| real.status.as_str());
    assert_eq!(last.state.as_str(), expected, "{case:?}: {:#?}", bench.logs);
    if let Some(real) = real {
        let rejected =
            bench.told.iter().any(|(_, o)| o.order_id.as_str() == id && o.state.as_str() == "REJECTED");
        assert!(!rejected, "{case:?}: told as rejected, really {real:?}");
        assert_eq!(last.filled.to_string().parse::<f64>(), real.filled.parse::<f64>(), "{case:?}");
    }
    let unknown = bench.told.iter().find(|(_, o)| o.order_id.as_str() == id && o.state.as_str() == "UNKNOWN");
    let span = |from: Time| if since > from { since.since(from) } else { Span::ZERO };
    Outcome {
        after_sending: span(sent),
        after_unknown: unknown.map(|(at, _)| span(*at)),
        placed: real.is_some(),
    }
}

fn run_all(seeds: std::ops::Range<u64>, most_lag: i64) -> Vec<(Case, Outcome)> {
    seeds
        .map(|seed| {
            let case = Case::of(seed, most_lag);
            let outcome = run(&case);
            (case, outcome)
        })
        .collect()
}

fn longest(all: &[(Case, Outcome)]) -> &(Case, Outcome) {
    all.iter().max_by_key(|(_, outcome)| outcome.after_sending).expect("there are cases")
}

fn median(mut spans: Vec<Span>) -> Span {
    spans.sort_unstable();
    spans[spans.len() / 2]
}

#[test]
fn one_doubt() {
    let seed = std::env::var("TRADINGSYS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    for lag in [0, 2_000] {
        let case = Case::of(seed, lag);
        let outcome = run(&case);
        println!("{case:?}: {:?}, {:?}", outcome.after_sending, outcome.after_unknown);
    }
}

#[test]
fn r02_r03_r06_a_lost_reply_becomes_the_truth_in_time_while_queries_lag_two_seconds() {
    let all = run_all(0..320, 2_000);
    let (case, worst) = longest(&all);
    println!("{} cases, the longest: {:?} of {case:?}", all.len(), worst.after_sending);
    assert!(worst.after_sending <= RECV_WINDOW + WITHIN, "{case:?}: {:?}", worst.after_sending);
    for fate in FATES {
        let of_it = all.iter().filter(|(case, _)| case.fate == fate);
        assert!(of_it.count() >= 30, "{fate:?}");
    }
    let late = |placed| all.iter().any(|(case, o)| case.fate == Fate::Late && o.placed == placed);
    assert!(late(true) && late(false), "some late requests are taken, and some are too late");
}

/// Of orders the exchange has: that it never had one is known only when the receive window is over.
#[test]
fn r02_on_a_healthy_link_an_order_that_lives_is_found_at_once() {
    let all = run_all(1_000..1_240, 0);
    let (case, worst) = longest(&all);
    assert!(worst.after_sending <= RECV_WINDOW + WITHIN, "{case:?}: {:?}", worst.after_sending);
    let found = all.iter().filter(|(_, outcome)| outcome.placed);
    let spans: Vec<Span> = found.filter_map(|(_, outcome)| outcome.after_unknown).collect();
    let (count, median) = (spans.len(), median(spans));
    println!("{count} orders in doubt that lived, half of them for less than {median:?}");
    assert!(count >= 50 && median <= Span::from_millis(700), "{count}: {median:?}");
}

#[test]
fn r07_under_longer_lag_nothing_that_lives_is_called_rejected() {
    for (case, outcome) in run_all(2_000..2_080, 9_000) {
        assert!(outcome.after_sending <= Span::from_secs(30), "{case:?}: {:?}", outcome.after_sending);
    }
}

#[test]
fn r02_in_an_outage_an_order_stays_unknown_and_is_found_after_it() {
    for seed in 3_000..3_020 {
        let symbol = Symbol::new("dogeusdt");
        let mut bench = Bench::new(seed, std::slice::from_ref(&symbol), WAY);
        bench.bring_into_use(&symbol);
        bench.faults(&json!([{"fault": "reply.drop"}, {"fault": "event.drop"}]));
        let takes = seed % 2 == 0;
        let id = bench.order(&symbol, Side::Buy, (!takes).then_some("0.1"), 300);
        bench.pass(Span::from_millis(200));
        bench.dark(true);
        bench.calm();
        bench.pass(Span::from_secs(90));
        let state = |bench: &Bench| bench.last_told(&id).map(|(_, order)| order.state.as_str().to_owned());
        assert_eq!(state(&bench).as_deref(), Some("UNKNOWN"), "seed {seed}: {:#?}", bench.logs);
        bench.dark(false);
        let truth = bench.truth[&id].status.clone();
        let told = |bench: &Bench| state(bench).as_deref() == Some(&truth);
        let end = bench.now + Span::from_secs(45);
        assert!(bench.run_until(end, told), "seed {seed}: {:?}, really {truth}", state(&bench));
    }
}

/// Queries are wrong for minutes, and the engine's own word as well: then, and only then, is an order that lives called
/// not placed. It is adopted when it shows up, and the strategy is warned.
#[test]
fn r08_an_order_declared_not_placed_that_appears_is_adopted_and_told() {
    let symbol = Symbol::new("dogeusdt");
    let mut bench = Bench::new(8, std::slice::from_ref(&symbol), WAY);
    bench.bring_into_use(&symbol);
    bench.faults(&json!([
        {"fault": "reply.drop", "method": "order.place", "nth": 1},
        {"fault": "event.drop"},
        {"fault": "query.lag", "ms": 3_600_000},
        {"fault": "reply.error", "method": "order.cancel", "code": -2011, "message": "Unknown order sent.",
         "nth": 1}
    ]));
    let id = bench.order(&symbol, Side::Buy, Some("0.1"), 300);
    bench.pass(Span::from_secs(30));
    let state = |bench: &Bench| bench.last_told(&id).map(|(_, order)| order.state.as_str().to_owned());
    assert_eq!(state(&bench).as_deref(), Some("REJECTED"), "{:#?}", bench.logs);
    assert_eq!(bench.truth[&id].status, "NEW");
    bench.calm();
    let adopted = |bench: &Bench| state(bench).as_deref() == Some("NEW");
    let end = bench.now + Span::from_secs(70);
    assert!(bench.run_until(end, adopted), "{:?}", state(&bench));
    assert!(bench.notices.iter().any(|(_, code)| code == "resurrected"), "{:?}", bench.notices);
}
