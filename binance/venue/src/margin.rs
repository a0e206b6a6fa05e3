//! Cross margin: market data and instruments are spot's, orders go to the margin wallet over REST, its private events
//! come over the websocket API of spot, by a listen token.

use tradingsys::market::SideEffect;
use tradingsys::time::Span;
use tradingsys::venue::limit::{LimitKind, LimitRow};

use crate::spot::{Feed, SpotConfig};

mod entry;
mod interest;
mod risk;
mod words;

pub use entry::Entry;

/// What both machines of this market are told once.
#[derive(Clone, Debug)]
pub struct MarginConfig {
    /// As on spot; its `access.rest` is the host of `/sapi`.
    pub spot: SpotConfig,
    /// What every order does besides.
    pub side_effect: SideEffect,
    /// Is what an order has borrowed repaid when it is cancelled?
    pub auto_repay_at_cancel: bool,
    /// Base address of the stream of what the wallet owes, e.g. `wss://margin-stream.binance.com`; `/ws/<listen key>`
    /// is added. Without it margin calls are not told.
    pub risk_stream: Option<String>,
}

impl MarginConfig {
    /// With the venue's documented times and limits.
    pub fn new(mut spot: SpotConfig, rest: &str) -> Self {
        rest.trim_end_matches('/').clone_into(&mut spot.access.rest);
        // Market data has the limits of spot, the machine of orders its own.
        Self { spot, side_effect: SideEffect::None, auto_repay_at_cancel: true, risk_stream: None }
    }
}

/// The pools of 2026-07, per endpoint. Orders have one of their own here too; all the rest shares one, which is more
/// cautious than the venue.
fn documented_limits() -> Vec<LimitRow> {
    let row = |kind, secs, limit| LimitRow { kind, window: Span::from_secs(secs), limit, count: None };
    vec![
        row(LimitKind::Weight, 60, 12_000),
        row(LimitKind::OrderWeight, 60, 180_000),
        row(LimitKind::Orders, 10, 50),
        row(LimitKind::Orders, 86_400, 160_000),
    ]
}

/// Both ports of this market.
pub fn ports(config: &MarginConfig) -> (Feed, Entry) {
    (Feed::of_margin(config.spot.clone()), Entry::new(config))
}
