//! Runs schedules for as long as told, on all cores, and says what they went through.

#![allow(clippy::disallowed_methods, reason = "a shell: how long it runs is told by the machine's clock")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tradingsys::order::state::State;
use tradingsys_world::plan::Plan;
use tradingsys_world::product::Product;
use tradingsys_world::shrink::shrink;
use tradingsys_world::world::{Report, Violation, run, run_told};

/// Orders of strategies through the gateway on the simulated exchange, in virtual time, under seeded faults.
#[derive(Debug, Parser)]
#[command(name = "./dev soak world")]
struct Options {
    /// How long.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The seeds to run instead: `from..to`, without `to`.
    #[arg(long, value_name = "FROM..TO", conflicts_with = "minutes")]
    seeds: Option<String>,
    /// One schedule to run instead, as a failure prints it.
    #[arg(long, conflicts_with_all = ["minutes", "seeds"])]
    plan: Option<Plan>,
    /// Tells all that happens in that schedule.
    #[arg(long, requires = "plan")]
    tell: bool,
    /// Threads.
    #[arg(long)]
    threads: Option<usize>,
}

/// What all schedules together went through.
#[derive(Default)]
struct Totals {
    schedules: u64,
    steps: u64,
    orders: usize,
    trades: usize,
    events: usize,
    struck: BTreeMap<&'static str, u64>,
    hits: BTreeMap<(&'static str, State), u64>,
    violated: Option<(Plan, Violation)>,
}

impl Totals {
    fn add(&mut self, report: Report) {
        self.schedules += 1;
        self.steps += report.steps;
        self.orders += report.orders;
        self.trades += report.trades;
        self.events += report.events;
        for (name, count) in report.struck {
            *self.struck.entry(name).or_default() += u64::from(count);
        }
        for (hit, count) in report.hits {
            *self.hits.entry(hit).or_default() += u64::from(count);
        }
    }

    /// Faults that never met an order in one of the states an order can be in between two steps.
    fn missed(&self) -> Vec<String> {
        let states = [State::Sent, State::Working, State::Canceling, State::Unknown];
        // A moment is counted for what it was in, and not every state can be met there.
        let moment = |name: &str| name.ends_with("in an outage") || name.starts_with("killed with");
        let faults = self.struck.keys().filter(|name| !moment(name));
        let all = faults.flat_map(|name| states.map(|state| (*name, state)));
        let missed = all.filter(|hit| !self.hits.contains_key(hit));
        missed.map(|(name, state)| format!("{name} x {state:?}")).collect()
    }

    fn print(&self, seeds: &str, took: Duration, threads: usize) {
        let Self { schedules, steps, orders, trades, events, .. } = self;
        let rate = *schedules as f64 / took.as_secs_f64() / threads as f64;
        println!("seeds {seeds}: {schedules} schedules in {:.0} s on {threads} threads", took.as_secs_f64());
        println!("{rate:.0} schedules a second and thread; {steps} steps");
        println!("{orders} orders, {trades} trades, {events} private events");
        println!("{:<48} {:>9}   of orders sent / working / canceling / unknown", "fault", "times");
        for (name, times) in &self.struck {
            let hits = |state| self.hits.get(&(*name, state)).copied().unwrap_or_default();
            let [sent, working] = [hits(State::Sent), hits(State::Working)];
            let [canceling, unknown] = [hits(State::Canceling), hits(State::Unknown)];
            println!("{name:<48} {times:>9}   {sent} / {working} / {canceling} / {unknown}");
        }
    }
}

/// The schedule of a number: spot, futures and margin take turns.
fn plan_of(seed: u64) -> Plan {
    let product = match seed % 3 {
        0 => Product::Spot,
        1 => Product::Usdt,
        _ => Product::Margin,
    };
    Plan::of_seed(seed).of(product)
}

/// Runs schedules until the seeds or the time are at their end, or one violates something.
fn soak(seeds: std::ops::Range<u64>, until: Option<Instant>, threads: usize) -> (Totals, u64) {
    let (next, over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let mut totals = Totals::default();
    let (done, outcomes) = mpsc::channel();
    std::thread::scope(|scope| {
        for done in vec![done; threads.max(1)] {
            let (next, over) = (&next, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || done.send((plan_of(seed), run(plan_of(seed)))).is_err() {
                        break;
                    }
                }
            });
        }
        for (plan, outcome) in outcomes {
            match outcome {
                Ok(report) => totals.add(report),
                Err(violation) => {
                    over.store(true, Ordering::Relaxed);
                    totals.violated.get_or_insert((plan, violation));
                }
            }
        }
    });
    (totals, next.load(Ordering::Relaxed).min(seeds.end))
}

fn told(plan: Plan, violation: Violation) -> ExitCode {
    println!("{plan}\n{violation:?}\nmaking it smaller ...");
    let (plan, violation) = shrink(plan, violation, |plan| run(plan).err());
    println!("{violation:?}\nreplay: ./dev soak world --plan '{plan}'");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(plan) = options.plan {
        let tell: Option<fn(&str)> = options.tell.then_some(|line| println!("{line}"));
        return match run_told(plan, tell) {
            Ok(report) => {
                println!("{report:#?}");
                ExitCode::SUCCESS
            }
            Err(violation) => told(plan, violation),
        };
    }
    let threads = options.threads.or(std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let begun = Instant::now();
    let (seeds, until) = match options.seeds.as_deref().map(|range| range.split_once("..")) {
        None => {
            // Another run, other seeds; the range printed repeats it.
            let from = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() * 1_000);
            (from..u64::MAX, Some(begun + Duration::from_secs_f64(options.minutes.max(0.0) * 60.0)))
        }
        Some(range) => match range.map(|(from, to)| (from.parse(), to.parse())) {
            Some((Ok(from), Ok(to))) => (from..to, None),
            _ => {
                eprintln!("--seeds wants a range like 1000..1200");
                return ExitCode::from(2);
            }
        },
    };
    let from = seeds.start;
    let (totals, last) = soak(seeds, until, threads);
    totals.print(&format!("{from}..{last}"), begun.elapsed(), threads);
    if let Some((plan, violation)) = totals.violated {
        return told(plan, violation);
    }
    let missed = totals.missed();
    if !missed.is_empty() {
        println!("never met: {}", missed.join("; "));
        return ExitCode::FAILURE;
    }
    println!("no invariant was violated");
    ExitCode::SUCCESS
}
