//! The whole system in one thread under virtual time: the production gateway and venue machines, the production
//! simulator, strategies on the production client machine, over real frames; a network that delays, drops, cuts and
//! freezes; a store that loses what was not committed; processes killed at any moment. Everything follows from a
//! seed.
//!
//! The oracle is the exchange's own trade and order journal, read as text ([`truth`]), and each strategy's own file
//! of events.

mod asking;
mod check;
mod compared;
pub mod heal;
mod interest;
pub mod many;
mod outage;
pub mod plan;
pub mod product;
pub mod python;
mod recall;
mod seats;
pub mod shrink;
mod store;
pub mod strategy;
#[cfg(test)]
mod tests;
mod trouble;
pub mod truth;
mod wire;
pub mod world;
