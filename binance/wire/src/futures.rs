//! USDT-M futures: what differs from spot in the spelling of orders, events, instruments, streams and errors.
//!
//! Sources: the venue's futures specification as its own clients carry it, and its change log (entries through
//! 2026-10-23).

pub mod account;
pub mod classify;
pub mod info;
mod loose;
pub mod order;
pub mod stream;
