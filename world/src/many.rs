//! Many schedules, on several threads: what they went through together, and the first that violates something.

#![allow(clippy::disallowed_methods, reason = "threads beside whole schedules: nothing inside one sees them")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tradingsys::order::state::State;
use tradingsys::time::Span;

use crate::plan::Plan;
use crate::world::{Report, Violation, run};

/// What all schedules together went through.
#[derive(Debug, Default)]
pub struct Totals {
    /// Schedules without a violation.
    pub schedules: u64,
    /// Steps of their loops.
    pub steps: u64,
    /// Orders at the exchange.
    pub orders: usize,
    /// Trades of the account.
    pub trades: usize,
    /// Private events handled.
    pub events: usize,
    /// Faults that struck, by name.
    pub struck: BTreeMap<&'static str, u64>,
    /// Open orders by their state, when a fault struck.
    pub hits: BTreeMap<(&'static str, State), u64>,
    /// The violation of the lowest number, and that number.
    pub violated: Option<(u64, Plan, Violation)>,
    /// The number after the last one begun.
    pub end: u64,
}

/// Runs a schedule to its end; a machine that panics has violated something, too.
///
/// # Errors
/// The first [`Violation`].
pub fn run_whole(plan: Plan) -> Result<Report, Violation> {
    let panicked = |_| {
        let found = "its message is above".to_owned();
        Err(Violation { law: "no machine panics", found, after: Span::ZERO })
    };
    std::panic::catch_unwind(|| run(plan)).unwrap_or_else(panicked)
}

/// Runs the schedules of these numbers until they or the time are at their end, or one violates something. Of several
/// that do the lowest is told: it is the same however many threads there are.
pub fn soak(
    numbers: Range<u64>,
    threads: usize,
    plan_of: impl Fn(u64) -> Plan + Sync,
    goes_on: impl Fn() -> bool + Sync,
) -> Totals {
    let (next, over) = (AtomicU64::new(numbers.start), AtomicBool::new(false));
    let mut totals = Totals::default();
    let (done, outcomes) = mpsc::channel();
    std::thread::scope(|scope| {
        for done in vec![done; threads.max(1)] {
            let (next, over, plan_of, goes_on) = (&next, &over, &plan_of, &goes_on);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) && goes_on() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    let plan = plan_of(number);
                    let outcome = run_whole(plan);
                    if outcome.is_err() {
                        over.store(true, Ordering::Relaxed);
                    }
                    if done.send((number, plan, outcome)).is_err() {
                        break;
                    }
                }
            });
        }
        for (number, plan, outcome) in outcomes {
            totals.add(number, plan, outcome);
        }
    });
    totals.end = next.load(Ordering::Relaxed).min(numbers.end);
    totals
}

/// How many threads this machine runs at once.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Totals {
    /// Takes in what a schedule went through.
    pub fn add(&mut self, number: u64, plan: Plan, outcome: Result<Report, Violation>) {
        let report = match outcome {
            Ok(report) => report,
            Err(violation) => {
                if self.violated.as_ref().is_none_or(|(first, ..)| number < *first) {
                    self.violated = Some((number, plan, violation));
                }
                return;
            }
        };
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
    pub fn missed(&self) -> Vec<String> {
        let states = [State::Sent, State::Working, State::Canceling, State::Unknown];
        // A moment is counted for what it was in, and not every state can be met there; none at a start.
        let begins = |name: &str| name.starts_with("killed with") || name.starts_with("start from");
        let moment = |name: &str| name.ends_with("in an outage") || begins(name);
        let faults = self.struck.keys().filter(|name| !moment(name));
        let all = faults.flat_map(|name| states.map(|state| (*name, state)));
        let missed = all.filter(|hit| !self.hits.contains_key(hit));
        missed.map(|(name, state)| format!("{name} x {state:?}")).collect()
    }

    /// What was gone through, line by line.
    pub fn lines(&self, from: u64, took: Duration, threads: usize) -> Vec<String> {
        let Self { schedules, steps, orders, trades, events, end, .. } = self;
        let rate = *schedules as f64 / took.as_secs_f64() / threads as f64;
        let mut lines = vec![
            format!(
                "seeds {from}..{end}: {schedules} schedules in {:.0} s on {threads} threads",
                took.as_secs_f64()
            ),
            format!("{rate:.0} schedules a second and thread; {steps} steps"),
            format!("{orders} orders, {trades} trades, {events} private events"),
            format!("{:<48} {:>9}   of orders sent / working / canceling / unknown", "fault", "times"),
        ];
        for (name, times) in &self.struck {
            let hits = |state| self.hits.get(&(*name, state)).copied().unwrap_or_default();
            let [sent, working] = [hits(State::Sent), hits(State::Working)];
            let [canceling, unknown] = [hits(State::Canceling), hits(State::Unknown)];
            lines.push(format!("{name:<48} {times:>9}   {sent} / {working} / {canceling} / {unknown}"));
        }
        lines
    }
}
