//! The other ends of `./dev bench`. Python starts these programs, gives them orders by lines of JSON, and reckons;
//! what has to be quick is here.
//!
//! ```text
//! bench-wire exchange SIM              an exchange that notes times (see `exchange`); SIM is binance-sim's host:port
//! bench-wire relay ADDRESS EXCHANGE    hands bytes on, both ways; `--spin`: without ever sleeping
//! bench-wire client ADDRESS EVERY      answers each EVERYth tick with an order
//! bench-wire gateway TOKEN             a gateway that only sends trades, as fast as they are read
//! ```
//!
//! ADDRESS is `tcp:host:port` or `unix:/path`. All times are nanoseconds of the system's clock, which every process
//! of the machine reads alike.

mod control;
mod desk;
mod exchange;
mod flood;
mod frame;
mod gateway;
mod relay;
mod seat;
mod stream;
mod swarm;
mod ticks;

use std::io;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// A thread that panicked has said so; the others' numbers are still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["exchange", sim] => exchange::run(sim),
        ["relay", address, exchange] => relay::run(address, exchange, false),
        ["relay", address, exchange, "--spin"] => relay::run(address, exchange, true),
        ["client", address, every] => match every.parse() {
            Ok(every) if every > 0 => relay::client(address, every),
            _ => Err(io::Error::other(format!("{every} is no number of ticks"))),
        },
        ["gateway", token] => gateway::run(token),
        _ => {
            eprintln!(
                "bench-wire: exchange SIM | relay ADDRESS EXCHANGE [--spin] | client ADDRESS EVERY | gateway TOKEN"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-wire: {error}");
            ExitCode::FAILURE
        }
    }
}
