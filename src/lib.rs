//! The core of tradingsys: pure state machines. No sockets, disk, clock, threads or environment are reachable from
//! here; bytes, time and randomness are arguments. `ARCHITECTURE.md` is the map.
//!
//! A module imports only from the layers to its left: `num, ids, time, jsonc → market → instrument → journal → book,
//! order, ledger → wire → session, venue, limits → exchange, client → gateway`.

pub mod book;
pub mod client;
pub mod exchange;
#[cfg(test)]
mod fixtures;
pub mod gateway;
pub mod ids;
pub mod instrument;
pub mod journal;
pub mod jsonc;
pub mod ledger;
pub mod limits;
pub mod market;
pub mod num;
pub mod order;
pub mod session;
pub mod time;
pub mod venue;
pub mod wire;
