//! The strategy's half of the local protocol: what an SDK in any language wraps.
//!
//! [`Client`] is one session's machine. It logs in, keeps the session's orders and positions, numbers and names
//! commands, counts every private event once, conflates market data and comes back by itself after a lost connection.
//! The shell around it owns sockets, clock and randomness; it calls [`Client::handle`] and does what the outputs say.
//!
//! ```text
//! Idle ─connect─► Opening ─opened─► Greeting ─proof─► LoggingIn ─reply─► Restoring ─state known─► Live
//!                    ▲ │ lost          │ lost            │ lost             │ lost                  │ lost
//!                    │ ▼               ▼                 ▼                  ▼                       ▼
//!                  Waiting (backoff, jittered) ◄────────────────────────────────────────────────────┘
//! ```
//!
//! Everything leads to `Closed` by `close`, by a refusal that waiting cannot mend, and by any failure before the
//! first login.

mod anew;
pub mod backoff;
pub mod collector;
pub mod event;
#[cfg(test)]
mod golden;
pub mod inbox;
mod incoming;
mod link;
pub mod machine;
pub mod number;
pub mod operator;
pub mod orders;
#[cfg(test)]
mod tests;
pub mod trading;

pub use machine::{Client, Config, Input, Output};
