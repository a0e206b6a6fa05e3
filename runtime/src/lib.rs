//! The shell around the core: sockets, TLS, SQLite, signals, files and the clock.
//!
//! A gateway's binary is [`main`] with a [`Product`] and a function that makes the two machines of its venue.
//! Everything that decides is in the core; here is only what touches the world.
//!
//! One thread owns the gateway and all sockets ([`drive`]). One writes the journal, one keeps `pos.db`
//! ([`store`]), one writes the log. Every queue between them is bounded.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` is for tests: a release has none of them");

mod check;
mod cli;
pub mod clock;
mod compact;
pub mod config;
pub mod drive;
pub mod exit;
mod failpoint;
pub mod files;
pub mod key;
pub mod links;
pub mod metrics;
pub mod notify;
mod run;
mod secrecy;
pub mod server;
pub mod stop;
pub mod store;
mod tls;
mod tokens;
mod verify;

use ed25519_dalek::SigningKey;
use tradingsys::venue::port::{MarketFeed, OrderEntry};

pub use cli::main;

/// What distinguishes one gateway program from another.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Name of the program; the log files are named after it.
    pub exe: &'static str,
    /// Market word, part of every key of the books.
    pub market: &'static str,
    /// Words of `env`; the first is the default.
    pub environments: &'static [&'static str],
    /// Keys of the configuration that not every program knows.
    pub keys: &'static [&'static str],
    /// Names allowed in `endpoints`.
    pub endpoints: &'static [Endpoint],
}

/// An address of the exchange.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Its name in `endpoints`.
    pub name: &'static str,
    /// Can nothing work without it?
    pub needed: bool,
    /// Its address in each environment, in the order of [`Product::environments`]; shorter where there is
    /// none.
    pub urls: &'static [&'static str],
}

/// What the machines of a venue are made from.
pub struct VenueSetup<'a> {
    /// The configuration; its `endpoints` hold all that are needed.
    pub config: &'a config::Config,
    /// The private key.
    pub key: SigningKey,
    /// Seed of jitter.
    pub seed: u64,
    /// Nothing may be changed at the exchange, not even what the configuration says: what would be is told.
    pub only_looks: bool,
}

impl VenueSetup<'_> {
    /// The address of that name; empty for one that is not needed and not given.
    pub fn endpoint(&self, name: &str) -> &str {
        self.config.endpoints.get(name).map_or("", String::as_str)
    }
}

/// The two machines of a venue.
pub type Ports = (Box<dyn MarketFeed>, Box<dyn OrderEntry>);

/// Makes the machines of a venue.
pub type Connect = fn(VenueSetup<'_>) -> Ports;
