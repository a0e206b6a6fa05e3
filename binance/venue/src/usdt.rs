//! USDT-M futures: [`Feed`] brings market data in, [`Entry`] takes orders out and brings private facts in.

use binance_wire::sign::SecretKey;
use tradingsys::time::Span;
use tradingsys::venue::limit::{LimitKind, LimitRow};

use crate::common::Access;

mod entry;
mod feed;
mod words;

pub use entry::Entry;
pub use feed::Feed;

/// What both machines of this market are told once.
#[derive(Clone, Debug)]
pub struct UsdtConfig {
    /// The request interfaces, and as whom.
    pub access: Access,
    /// Base address of the route of books and trades, e.g. `wss://fstream.binance.com/public`; `/stream` is added.
    pub public: String,
    /// Base address of the route of bars and mark prices; `/stream` is added.
    pub market: String,
    /// Base address of the route of private events; `/ws/<listen key>` is added.
    pub private: String,
    /// What becomes of an account in hedge mode.
    pub hedged: Hedged,
    /// How long a listen key lives without being renewed.
    pub key_life: Span,
}

/// What becomes of an account in hedge mode, which keeps two positions a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedged {
    /// It is refused.
    Refuse,
    /// It is switched to one-way mode, and that is told.
    Switch,
    /// It is told that it would be switched. Nothing is changed.
    Announce,
}

/// Where this market's interfaces are.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints<'a> {
    /// REST, e.g. `https://fapi.binance.com`.
    pub rest: &'a str,
    /// Websocket API, e.g. `wss://ws-fapi.binance.com/ws-fapi/v1`.
    pub ws_api: &'a str,
    /// Route of books and trades.
    pub public: &'a str,
    /// Route of bars and mark prices.
    pub market: &'a str,
    /// Route of private events.
    pub private: &'a str,
}

impl UsdtConfig {
    /// With the venue's documented times and limits.
    pub fn new(at: Endpoints<'_>, apikey: &str, key: SecretKey, seed: u64) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        let mut access = Access::new(at.ws_api, apikey, key, seed, documented_limits());
        access.rest = base(at.rest);
        // The venue pings every three minutes only; what is silent longer than this is asked.
        access.timing.silence = Span::from_secs(60);
        Self {
            access,
            public: base(at.public),
            market: base(at.market),
            private: base(at.private),
            hedged: Hedged::Refuse,
            key_life: Span::from_secs(3_600),
        }
    }
}

/// exchangeInfo's rows of 2026-09.
fn documented_limits() -> Vec<LimitRow> {
    let row = |kind, secs, limit| LimitRow { kind, window: Span::from_secs(secs), limit, count: None };
    vec![
        row(LimitKind::Weight, 60, 2_400),
        row(LimitKind::Orders, 10, 300),
        row(LimitKind::Orders, 60, 1_200),
    ]
}

/// Both ports of this market.
pub fn ports(config: &UsdtConfig) -> (Feed, Entry) {
    (Feed::new(config), Entry::new(config.clone()))
}
