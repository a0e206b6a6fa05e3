//! How long things take at most, in virtual time: what is measured here is the protocol, not a
//! machine. `TRADINGSYS_SEED=n cargo test -p tradingsys-world --test bounds one_doubt -- --nocapture` replays one case.

#![allow(clippy::disallowed_methods, reason = "a test's seed may come from the environment")]

mod bench;
mod burst;
mod doubt;
mod frames;
mod standstill;
mod stop;
