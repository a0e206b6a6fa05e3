//! Seeded schedules. `TRADINGSYS_SEED=n cargo test -p tradingsys-world one_seed` replays one.

#![allow(clippy::disallowed_methods, reason = "a test's seed may come from the environment")]

use crate::plan::Plan;
use crate::world::{Report, run};

fn check(plan: Plan) -> Report {
    match run(plan) {
        Ok(report) => report,
        Err(violation) => panic!(
            "seed {}: {violation:?}\nreplay: TRADINGSYS_SEED={} cargo test -p tradingsys-world one_seed",
            plan.seed, plan.seed
        ),
    }
}

#[test]
fn one_seed() {
    let seed = std::env::var("TRADINGSYS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    println!("{:?}\n{:?}", Plan::of_seed(seed), check(Plan::of_seed(seed)));
}

#[test]
fn calm_weather_trades_and_comes_to_rest() {
    let report = check(Plan::of_seed(1).calm());
    assert!(report.trades > 5 && report.orders > 20, "{report:?}");
    assert!(report.struck.is_empty(), "{report:?}");
}

#[test]
fn the_same_seed_runs_the_same() {
    assert_eq!(check(Plan::of_seed(3)), check(Plan::of_seed(3)));
}

/// The seeds of the regular run: `TRADINGSYS_SEEDS=from..to` chooses others.
#[test]
fn two_hundred_seeds_of_foul_weather() {
    let range = std::env::var("TRADINGSYS_SEEDS").unwrap_or_else(|_| "1000..1200".to_owned());
    let (from, to) = range.split_once("..").expect("a range like 1000..1200");
    let seeds = from.parse::<u64>().expect("a number")..to.parse().expect("a number");
    let mut struck = std::collections::BTreeMap::new();
    let (mut orders, mut trades) = (0, 0);
    let mut failed = Vec::new();
    for seed in seeds {
        match run(Plan::of_seed(seed)) {
            Ok(report) => {
                orders += report.orders;
                trades += report.trades;
                for (name, count) in report.struck {
                    *struck.entry(name).or_insert(0) += count;
                }
            }
            Err(violation) => failed.push((seed, violation)),
        }
    }
    println!("seeds {range}: {orders} orders, {trades} trades, faults {struck:#?}");
    for (seed, violation) in &failed {
        println!(
            "seed {seed}: {violation:?}\nreplay: TRADINGSYS_SEED={seed} cargo test -p tradingsys-world one_seed"
        );
    }
    assert!(failed.is_empty(), "{} of the seeds {range} violate an invariant", failed.len());
}
