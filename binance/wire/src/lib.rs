//! Binance's protocol, both directions, as pure functions: signatures, requests, frames, filters, limits, error
//! classes.
//!
//! The gateway's side writes requests and reads frames; the simulator's side reads requests and writes frames. Neither
//! side's tests use the other's half as an oracle.

pub mod account;
pub mod book;
pub mod classify;
pub mod errors;
pub mod exchange_info;
pub mod futures;
pub mod margin;
pub mod render;
pub mod reply;
pub mod request;
pub mod rest;
pub mod rights;
pub mod sbe;
mod scan;
pub mod sign;
pub mod stream;
