//! The program `fuzz`: runs one target for long. `./dev soak fuzz` runs all of them with it.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, setrlimit};
use tradingsys_fuzz::corpus::{Corpus, RECORDINGS};
use tradingsys_fuzz::drive::{Failure, Run, one, shrunk};
use tradingsys_fuzz::targets::files::clear_up;
use tradingsys_fuzz::targets::{ALL, Target, named};

/// Longest one input may run, not counted what a busy machine lets it wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same by the clock, for an input that waits for ever.
const STANDSTILL: Duration = Duration::from_secs(600);
/// Memory of the whole process: what an input needs beyond it ends the program.
const MEMORY_BYTES: u64 = 3 << 30;
/// How much larger the process may be at the end than after its first inputs.
const GROWTH_BYTES: u64 = 512 << 20;
/// Programs that are started to make an input smaller.
const TRIES: u32 = 600;
/// Different failures of a target that are looked into.
const FAILURES_MAX: usize = 8;
/// Exit code of an input that takes too long.
const HANGS: i32 = 3;

/// Runs one fuzz target.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Names all targets.
    List,
    /// Runs a target on what is made of its corpus.
    Run {
        /// Its name.
        target: String,
        /// Seed of what is made.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// For so long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Where inputs that fail are put, and the last one tried.
        #[arg(long)]
        out: PathBuf,
        /// Minimised inputs of the past.
        #[arg(long)]
        cases: PathBuf,
    },
    /// Runs a target on one file.
    One {
        /// Its name.
        target: String,
        /// The input.
        file: PathBuf,
    },
    /// Makes an input that fails smaller, and writes it beside as `.min`.
    Shrink {
        /// The target's name.
        target: String,
        /// The input.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    // Inputs are read as the user runs it: nothing else of this process is as large.
    let _ = setrlimit(Resource::As, Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) });
    let code = perform(Options::parse().task);
    clear_up();
    code
}

fn perform(task: Task) -> ExitCode {
    match task {
        Task::List => {
            for target in ALL {
                println!("{:<16} {}", target.name, target.reads);
            }
            ExitCode::SUCCESS
        }
        Task::Run { target, seed, seconds, out, cases } => match named(&target) {
            Some(target) => run(target, seed, Duration::from_secs(seconds), &out, &cases),
            None => unknown(&target),
        },
        Task::One { target, file } => match (named(&target), std::fs::read(&file)) {
            (Some(target), Ok(input)) => alone(target, &input),
            (None, _) => unknown(&target),
            (_, Err(error)) => usage(&format!("{}: {error}", file.display())),
        },
        Task::Shrink { target, file } => match (named(&target), std::fs::read(&file)) {
            (Some(target), Ok(input)) => {
                let smaller = smaller(target, &input, &file);
                println!("{} of {} bytes: {}", smaller.1, input.len(), smaller.0.display());
                ExitCode::SUCCESS
            }
            (None, _) => unknown(&target),
            (_, Err(error)) => usage(&format!("{}: {error}", file.display())),
        },
    }
}

fn usage(words: &str) -> ExitCode {
    eprintln!("fuzz: {words}");
    ExitCode::from(2)
}

fn unknown(name: &str) -> ExitCode {
    usage(&format!("no target {name:?}; `fuzz list` names them"))
}

/// Ends the process when one input takes too long. The number says which input is being run; 0 is none.
fn watch(current: &Arc<AtomicU64>) {
    let current = Arc::clone(current);
    std::thread::spawn(move || {
        let (mut last, mut since, mut had) = (0, Instant::now(), worked());
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = current.load(Ordering::Relaxed);
            if now != last || now == 0 {
                (last, since, had) = (now, Instant::now(), worked());
            } else if worked().saturating_sub(had) > PATIENCE || since.elapsed() > STANDSTILL {
                eprintln!("fuzz: one input takes longer than {PATIENCE:?}");
                std::process::exit(HANGS);
            }
        }
    });
}

/// How long the first thread of this process, which runs the inputs, has had a core; where the system tells.
fn worked() -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn alone(target: &Target, input: &[u8]) -> ExitCode {
    watch(&Arc::new(AtomicU64::new(1)));
    match one(target, input) {
        Ok(outcome) => {
            println!("{}: {outcome}", target.name);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}: {}", target.name, failure.words);
            ExitCode::FAILURE
        }
    }
}

/// Bytes of this process in memory, where the system tells.
fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    told.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn run(target: &'static Target, seed: u64, length: Duration, out: &Path, cases: &Path) -> ExitCode {
    let recordings = std::env::var_os(RECORDINGS).map(PathBuf::from);
    let corpus = Corpus::new(recordings.as_deref());
    let mut run = Run::new(target, &corpus, cases_of(cases, target), seed);
    drop(corpus);
    if let Err(error) = std::fs::create_dir_all(out) {
        return usage(&format!("{}: {error}", out.display()));
    }
    let last = out.join(format!("{}-{seed}.last", target.name));
    let mut file = match std::fs::File::create(&last) {
        Ok(file) => file,
        Err(error) => return usage(&format!("{}: {error}", last.display())),
    };
    let current = Arc::new(AtomicU64::new(0));
    watch(&current);
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    let (mut kinds, mut small) = (Vec::new(), 0);
    while begun.elapsed() < length && kinds.len() < FAILURES_MAX {
        let input = run.make();
        // Where the process does not outlive it, this is how it is known.
        let noted = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&input));
        if let Err(error) = noted.and_then(|()| file.set_len(input.len() as u64)) {
            return usage(&format!("{}: {error}", last.display()));
        }
        let started = Instant::now();
        current.store(run.execs + 1, Ordering::Relaxed);
        let taken = run.take(input);
        current.store(0, Ordering::Relaxed);
        slowest = slowest.max(started.elapsed());
        if let Err(failure) = taken
            && !kinds.contains(&failure.kind())
        {
            kinds.push(failure.kind());
            tell(target, seed, &failure, out, kinds.len());
        }
        if run.execs == 2_000 {
            small = resident();
        }
    }
    let grown = if small == 0 { 0 } else { resident().saturating_sub(small) };
    println!(
        "{:<16} {:>9} inputs in {:>4} s, {:>5} outcomes of a corpus of {:>4}, slowest {:>5} ms, {} MiB grown, seed {seed}{}",
        target.name,
        run.execs,
        begun.elapsed().as_secs(),
        run.outcomes(),
        run.corpus(),
        slowest.as_millis(),
        grown >> 20,
        if kinds.is_empty() { String::new() } else { format!(": {} FAILURES", kinds.len()) },
    );
    let _ = std::fs::remove_file(&last);
    if grown > GROWTH_BYTES {
        println!("{}: memory grows without end", target.name);
        return ExitCode::FAILURE;
    }
    if kinds.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(target: &Target, seed: u64, failure: &Failure, out: &Path, number: usize) {
    let file = out.join(format!("{}-{seed}-{number}.input", target.name));
    if let Err(error) = std::fs::write(&file, &failure.input) {
        eprintln!("fuzz: {}: {error}", file.display());
    }
    let (smaller, length) = smaller(target, &failure.input, &file);
    println!("{}: {}", target.name, failure.words.chars().take(2_000).collect::<String>());
    println!("  {length} bytes; replay: target/debug/fuzz one {} {}", target.name, smaller.display());
}

/// A smaller input that fails, by programs of their own: some inputs end the one they run in.
fn smaller(target: &Target, input: &[u8], beside: &Path) -> (PathBuf, usize) {
    let trial = beside.with_extension("try");
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("fuzz"));
    let mut fails = |input: &[u8]| {
        let written = std::fs::write(&trial, input).is_ok();
        let ran = Command::new(&program).args(["one", target.name]).arg(&trial).output();
        written && ran.is_ok_and(|ran| !ran.status.success())
    };
    let best = if fails(input) { shrunk(input, TRIES, &mut fails) } else { input.to_vec() };
    let _ = std::fs::remove_file(&trial);
    let file = beside.with_extension("min");
    let _ = std::fs::write(&file, &best);
    (file, best.len())
}

/// Files of the target's folder, by name.
fn cases_of(folder: &Path, target: &Target) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder.join(target.name)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}
