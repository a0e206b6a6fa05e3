//! What the markets of this venue share: the logged-on desk, connections of market data, questions about the market,
//! and how to reach the venue.

use std::fmt;

use binance_wire::sign::SecretKey;
use tradingsys::time::Span;
use tradingsys::venue::limit::LimitRow;

pub(crate) mod books;
pub(crate) mod desk;
pub(crate) mod private;
pub(crate) mod questions;
#[cfg(test)]
pub(crate) mod rebuild;
pub(crate) mod streams;

/// How to reach the venue's request interfaces, as whom, and with how much patience.
#[derive(Clone)]
pub struct Access {
    /// Address of the websocket API, e.g. `wss://ws-api.binance.com:443/ws-api/v3`.
    pub ws_api: String,
    /// Base address of the REST interface, without a path; empty where a market needs none.
    pub rest: String,
    /// API key.
    pub apikey: String,
    /// The private key that belongs to it. Only Ed25519 can log on.
    pub key: SecretKey,
    /// How long after its timestamp a request may still be accepted, in whole milliseconds, at most 60 s.
    pub recv_window: Span,
    /// Seed of all jitter.
    pub seed: u64,
    /// Orders are refused when the clocks differ by more, or may differ by more. Requests carry the venue's time
    /// anyway.
    pub clock_tolerance: Span,
    /// Limits assumed until the venue has stated its own.
    pub limits: Vec<LimitRow>,
    /// Times of the machines.
    pub timing: Timing,
}

impl Access {
    /// With the venue's documented times.
    pub fn new(ws_api: &str, apikey: &str, key: SecretKey, seed: u64, limits: Vec<LimitRow>) -> Self {
        Self {
            ws_api: ws_api.to_owned(),
            rest: String::new(),
            apikey: apikey.to_owned(),
            key,
            recv_window: Span::from_secs(5),
            seed,
            clock_tolerance: Span::from_millis(500),
            limits,
            timing: Timing::default(),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("ws_api", &self.ws_api)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

/// Times of the machines; a simulation shortens them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A connection that is not ready this long after the dial is given up.
    pub handshake: Span,
    /// A request without a reply for this long is given up. The venue's own limit is 10 s.
    pub request: Span,
    /// A link silent for this long is dead; after half of it, it is asked. The venue pings every 20 s.
    pub silence: Span,
    /// Age at which a connection is replaced. The venue closes it at 24 h.
    pub life: Span,
    /// First wait after a lost connection.
    pub backoff: Span,
    /// Longest wait after lost connections.
    pub backoff_cap: Span,
    /// Wait after the venue refused the key.
    pub refused: Span,
    /// How often the clocks are compared.
    pub clock: Span,
    /// How often all instruments are read anew.
    pub instruments: Span,
    /// How long a feed with lively streams may bring no data before it is replaced.
    pub stale: Span,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Span::from_secs(15),
            request: Span::from_secs(12),
            silence: Span::from_secs(25),
            life: Span::from_secs(23 * 3_600),
            backoff: Span::from_secs(1),
            backoff_cap: Span::from_secs(30),
            refused: Span::from_secs(300),
            clock: Span::from_secs(30),
            instruments: Span::from_secs(3_600),
            stale: Span::from_secs(60),
        }
    }
}
