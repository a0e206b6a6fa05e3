//! Runs schedules for as long as told, on all cores, and says what they went through.

#![allow(clippy::disallowed_methods, reason = "a shell: how long it runs is told by the machine's clock")]

use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tradingsys_world::many::{Totals, run_whole, soak, threads};
use tradingsys_world::plan::Plan;
use tradingsys_world::python::Program;
use tradingsys_world::shrink::shrink;
use tradingsys_world::world::{Violation, run_seated, run_told};

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
    /// Journals are lost, or older copies put in their place, in all of them.
    #[arg(long, requires = "seeds")]
    losing: bool,
    /// What all of them have in common, in the words of a plan: `edit_row=200000 kill_gateway=300000`.
    #[arg(long = "with", value_name = "WORDS", requires = "seeds", default_value = "", value_parser = words)]
    common: String,
    /// Only says which is the first seed that violates something, and what.
    #[arg(long, requires = "seeds")]
    first: bool,
    /// One schedule to run instead, as a failure prints it.
    #[arg(long, conflicts_with_all = ["minutes", "seeds"])]
    plan: Option<Plan>,
    /// Tells all that happens in that schedule.
    #[arg(long, requires = "plan")]
    tell: bool,
    /// A program that takes the place of the first strategy, in one thread: a command to which the address of a
    /// gateway, a session, a file and a seed are added (world/src/python.rs).
    #[arg(long, value_name = "COMMAND", conflicts_with = "minutes")]
    program: Option<String>,
    /// Threads.
    #[arg(long)]
    threads: Option<usize>,
}

fn words(text: &str) -> Result<String, String> {
    Plan::of_seed(0).with(text).map(|_| text.to_owned())
}

fn told(plan: Plan, violation: Violation) -> ExitCode {
    println!("{plan}\n{violation:?}\nmaking it smaller ...");
    let (plan, violation) = shrink(plan, violation, |plan| run_whole(plan).err());
    println!("{violation:?}\nreplay: ./dev soak world --plan '{plan}'");
    ExitCode::FAILURE
}

/// The seeds to run: those named, or others in each run, from a number that the time gives.
fn seeds(named: Option<&str>) -> Option<Range<u64>> {
    let Some(range) = named else {
        let from = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() * 1_000);
        return Some(from..u64::MAX);
    };
    let (from, to) = range.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

fn bad_range() -> ExitCode {
    eprintln!("--seeds wants a range like 1000..1200");
    ExitCode::from(2)
}

/// The schedules of these numbers, one after the other, with that program in them.
fn seated(command: &str, plans: impl Iterator<Item = Plan>, tell: Option<fn(&str)>) -> ExitCode {
    let folder = std::env::temp_dir().join(format!("tradingsys-world-{}", std::process::id()));
    let program = Program { command: command.split_whitespace().map(ToOwned::to_owned).collect(), folder };
    let mut totals = Totals::default();
    for plan in plans {
        let outcome = run_seated(plan, &program, tell);
        if let Err(violation) = &outcome {
            println!("{violation:?}\nwhat the program left is in {:?}", program.folder);
            println!("replay: ./dev soak world --program '{command}' --plan '{plan}'");
            return ExitCode::FAILURE;
        }
        totals.add(plan.seed, plan, outcome);
    }
    println!("{} schedules, {} orders, {} trades", totals.schedules, totals.orders, totals.trades);
    for (name, times) in &totals.struck {
        println!("{name:<48} {times:>9}");
    }
    // Nothing in it is of use to anyone now.
    let _removed = std::fs::remove_dir_all(&program.folder);
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let options = Options::parse();
    let tell: Option<fn(&str)> = options.tell.then_some(|line| println!("{line}"));
    if let Some(command) = &options.program {
        return match (options.plan, seeds(options.seeds.as_deref())) {
            (Some(plan), _) => seated(command, std::iter::once(plan), tell),
            (None, Some(seeds)) => {
                seated(command, seeds.map(|n| Plan::of_number(n, "").expect("no word is wrong")), tell)
            }
            (None, None) => bad_range(),
        };
    }
    if let Some(plan) = options.plan {
        return match run_told(plan, tell) {
            Ok(report) => {
                println!("{report:#?}");
                ExitCode::SUCCESS
            }
            Err(violation) => told(plan, violation),
        };
    }
    let threads = options.threads.unwrap_or_else(threads);
    let begun = Instant::now();
    let Some(seeds) = seeds(options.seeds.as_deref()) else {
        return bad_range();
    };
    let from = seeds.start;
    let length = Duration::from_secs_f64(options.minutes.max(0.0) * 60.0);
    let timed = options.seeds.is_none();
    let numbered = if options.losing { Plan::of_losing_number } else { Plan::of_number };
    let plan_of = |number| numbered(number, &options.common).expect("the words were read once already");
    let totals = soak(seeds, threads, plan_of, || !timed || begun.elapsed() < length);
    if options.first {
        let Some((seed, plan, violation)) = totals.violated else {
            println!("no violation in {} schedules", totals.schedules);
            return ExitCode::SUCCESS;
        };
        println!("seed {seed} violates: {}", violation.law);
        println!("{plan}\n{violation:?}");
        return ExitCode::FAILURE;
    }
    for line in totals.lines(from, begun.elapsed(), threads) {
        println!("{line}");
    }
    let missed = totals.missed();
    if let Some((_, plan, violation)) = totals.violated {
        return told(plan, violation);
    }
    if !missed.is_empty() {
        println!("never met: {}", missed.join("; "));
        return ExitCode::FAILURE;
    }
    println!("no invariant was violated");
    ExitCode::SUCCESS
}
