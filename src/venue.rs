//! The ports a venue fills, and the machinery venues share: dialling, silence, clocks, rate budgets.

pub mod clock;
pub mod dial;
pub mod limit;
pub mod port;
mod share;
pub mod watch;
