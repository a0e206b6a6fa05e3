//! The spot market: [`Feed`] brings market data in, [`Entry`] takes orders out and brings private facts in.

use binance_wire::sign::SecretKey;
use tradingsys::time::Span;
use tradingsys::venue::limit::{LimitKind, LimitRow};

use crate::common::Access;

mod entry;
mod feed;
pub(crate) mod frames;

pub use entry::Entry;
pub use feed::Feed;

/// What both machines of the spot market are told once.
#[derive(Clone, Debug)]
pub struct SpotConfig {
    /// Base address of the market-data host, e.g. `wss://stream.binance.com:9443`; `/stream` is added.
    pub streams: String,
    /// Base address of the host that tells best prices and books in binary, e.g.
    /// `wss://stream-sbe.binance.com:9443`; `/stream` is added. Empty: all comes as JSON.
    pub sbe: String,
    /// The websocket API, and as whom.
    pub access: Access,
}

impl SpotConfig {
    /// With the venue's documented times and limits.
    pub fn new(ws_api: &str, streams: &str, apikey: &str, key: SecretKey, seed: u64) -> Self {
        Self {
            streams: streams.trim_end_matches('/').to_owned(),
            sbe: String::new(),
            access: Access::new(ws_api, apikey, key, seed, documented_limits()),
        }
    }
}

/// exchangeInfo's example rows (rest-api.md, 2026-07-21).
fn documented_limits() -> Vec<LimitRow> {
    let row = |kind, secs, limit| LimitRow { kind, window: Span::from_secs(secs), limit, count: None };
    vec![
        row(LimitKind::Weight, 60, 6_000),
        row(LimitKind::Orders, 10, 50),
        row(LimitKind::Orders, 86_400, 160_000),
    ]
}

/// Both ports of the spot market.
pub fn ports(config: &SpotConfig) -> (Feed, Entry) {
    (Feed::new(config.clone()), Entry::new(config.access.clone()))
}

#[cfg(test)]
mod tests;
