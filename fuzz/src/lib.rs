//! Fuzz targets for every parser that reads the network or a file: [`targets::ALL`] is the list.
//!
//! A target takes bytes and says what became of them, or which law they break; a panic breaks one by itself. Inputs are
//! made by [`mutate`] from a corpus ([`corpus`]): golden frames of `docs/golden`, what the simulator, a gateway and a
//! client say to each other ([`house`]), recordings where there are any, and minimised cases of the past (`cases/`). No
//! coverage is measured: an input whose outcome is new stays in the corpus of the run ([`drive`]).
//!
//! The corpus and a short seeded run are plain tests; `./dev soak fuzz --minutes 30` runs the program for long.

pub mod corpus;
pub mod drive;
pub mod house;
pub mod json;
pub mod mutate;
pub mod script;
pub mod targets;
#[cfg(test)]
mod tests;
