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

/// Faults that strike at any time.
pub const FAULTS: [&str; 34] = [
    "banned",
    "cancel by hand",
    "clock stepped",
    "connection refused",
    "connection replaced",
    "event doubled",
    "event dropped",
    "event held back",
    "exchange shut down",
    "gateway killed",
    "http answer dropped",
    "http connection cut",
    "http request dropped",
    "journal lost",
    "key of the private events over",
    "link cut",
    "link half open",
    "note outlived the journal",
    "older copy of the journal",
    "orders denied",
    "outage",
    "outcome in doubt",
    "power lost",
    "query answered from the past",
    "query failed",
    "reply dropped",
    "request dropped",
    "request held up",
    "row edited",
    "rules changed",
    "strategy cut",
    "strategy killed",
    "told to slow down",
    "trade by hand",
];
/// What follows from faults or strikes in certain states only.
pub const MOMENTS: [&str; 15] = [
    "connection due for replacement in an outage",
    "deleveraging",
    "deleveraging in an outage",
    "fill in an outage",
    "funding in an outage",
    "interest in an outage",
    "killed with a fill not on disk",
    "killed with an order not acknowledged",
    "killed with an order not on disk",
    "liquidation",
    "liquidation in an outage",
    "order resurrected",
    "settlement",
    "settlement in an outage",
    "start from a snapshot",
];
/// States an order can be in between two steps.
const STATES: [State; 4] = [State::Sent, State::Working, State::Canceling, State::Unknown];

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
    /// How many milliseconds after the last fault each of [`crate::heal::Healing`] was so for the last time, and in how
    /// many schedules.
    pub healing: BTreeMap<&'static str, BTreeMap<i64, u64>>,
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

/// The smallest number that so many of a hundred do not exceed.
fn share(times: &BTreeMap<i64, u64>, of_hundred: u64) -> i64 {
    let all: u64 = times.values().sum();
    let mut seen = 0;
    let reached = times.iter().find(|(_, count)| {
        seen += *count;
        seen * 100 >= all * of_hundred
    });
    reached.map_or(0, |(millis, _)| *millis)
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
        for (what, took, _) in report.healing.parts() {
            *self.healing.entry(what).or_default().entry(took.millis()).or_default() += 1;
        }
    }

    /// What should have happened and never did: a fault that met no order in one of the states an order can be in
    /// between two steps, a moment that never was; and what happened and is not listed here.
    pub fn missed(&self) -> Vec<String> {
        let never = MOMENTS.into_iter().filter(|name| !self.struck.contains_key(name));
        let listed = |name: &&&str| FAULTS.contains(name) || MOMENTS.contains(name);
        let unlisted = self.struck.keys().filter(|name| !listed(name));
        (self.unmet(&FAULTS).into_iter())
            .chain(never.map(str::to_owned))
            .chain(unlisted.map(|name| format!("{name:?} in the list of faults")))
            .collect()
    }

    /// Which of these faults met no order in which state.
    pub fn unmet(&self, faults: &[&'static str]) -> Vec<String> {
        let all = faults.iter().flat_map(|name| STATES.map(|state| (*name, state)));
        let unmet = all.filter(|hit| !self.hits.contains_key(hit));
        unmet.map(|(name, state)| format!("{name} x {state:?}")).collect()
    }

    /// What was gone through by others is added.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.schedules += others.schedules;
        self.steps += others.steps;
        self.orders += others.orders;
        self.trades += others.trades;
        self.events += others.events;
        for (name, count) in others.struck {
            *self.struck.entry(name).or_default() += count;
        }
        for (hit, count) in others.hits {
            *self.hits.entry(hit).or_default() += count;
        }
        for (what, more) in others.healing {
            let times = self.healing.entry(what).or_default();
            for (millis, count) in more {
                *times.entry(millis).or_default() += count;
            }
        }
        self.violated = self.violated.or(others.violated);
        self
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
        lines.push(
            "seconds from the last fault until there was no more: median, 99 of 100, longest".to_owned(),
        );
        for (what, times) in &self.healing {
            let [median, most, longest] = [50, 99, 100].map(|part| share(times, part) as f64 / 1e3);
            lines.push(format!("{what:<52} {median:.1}, {most:.1}, {longest:.1}"));
        }
        lines
    }
}
