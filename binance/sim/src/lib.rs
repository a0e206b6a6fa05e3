//! A Binance-compatible exchange, spot, as a pure machine: [`Sim`].
//!
//! It speaks the venue's protocol over the matching core of `tradingsys::exchange`. It opens no socket,
//! reads no clock and writes no file: [`SimInput`]s are what happens outside, [`SimOutput`]s what a shell
//! has to do, in order. The binary `binance-sim` is one shell; tests that run in virtual time are another.
//!
//! ```text
//!  frame | request ─▶ weight ─▶ key, signature, window ─▶ parameters ─▶ matching core ─▶ journal, reply, events
//!  timer ─▶ synthetic market | timed streams | pings
//! ```

mod account;
mod agenda;
mod api;
mod auth;
mod bars;
mod calendar;
mod chaos;
pub mod config;
mod connection;
mod control;
mod faults;
mod feed;
mod futures;
mod history;
mod info;
mod io;
mod journal;
mod life;
mod limits;
mod listings;
mod malformed;
mod margin;
mod market_data;
mod market_queries;
mod methods;
mod order_json;
mod params;
mod past;
mod private;
mod product;
mod public;
mod publish;
mod recording;
mod replace;
mod rest;
mod sbe;
mod session;
mod sim;
mod streams;
#[cfg(test)]
mod tests;
mod tickers;
mod trading;
mod weather;

pub use io::{Conn, HttpReply, HttpRequest, Journal, Oddity, Request, SimInput, SimOutput};
pub use journal::{BadJournal, Journaled};
pub use recording::{BadRecording, Recording};
pub use sim::{BadStart, Sim};
pub use weather::Weather;
