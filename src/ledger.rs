//! The books: fills, positions, assets, fees. Append-only; every view is a fold of facts.

pub mod books;
mod costs;
pub mod funding;
mod history;
pub mod position;
pub mod split;
