//! USDT-margined futures: the venue's protocol over the perpetuals of the matching core.
//!
//! Paths, pools, methods, streams and private events of their own; keys, sessions, parameters, faults and
//! journals are those of spot.

pub(crate) mod listen_keys;
pub(crate) mod methods;
pub(crate) mod streams;

use std::collections::BTreeMap;

use tradingsys::ids::Symbol;

use crate::config::Config;
use crate::limits::RateLimits;
use crate::market_data::Diff;
use crate::product::{Product, Route};
use crate::streams::MarketIndex;
use listen_keys::ListenKeys;
use streams::{Name, Unrouted};

/// All that is of futures alone.
#[derive(Debug)]
pub(crate) struct Futures {
    pub(crate) rates: RateLimits,
    pub(crate) listen_keys: ListenKeys,
    pub(crate) unrouted: Unrouted,
    pub(crate) places: BTreeMap<Symbol, MarketIndex>,
}

impl Futures {
    /// Nothing has happened yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            rates: RateLimits::new(Product::Futures, &config.limits, &config.timing),
            listen_keys: ListenKeys::default(),
            unrouted: config.unrouted,
            places: BTreeMap::new(),
        }
    }

    /// The stream of a name, if the route carries it.
    pub(crate) fn stream_named(&self, route: Route, text: &str) -> Option<Name> {
        let place = |symbol: &str| self.places.get(&Symbol::new(symbol)).copied();
        Name::parse(text, place).filter(|name| name.is_on(route, self.unrouted))
    }

    /// Where the changes for a diff stream are gathered.
    pub(crate) fn diff_of(&mut self, _: Name) -> Option<&mut Option<Diff>> {
        None
    }

    /// Does a route carry the events of accounts?
    pub(crate) fn carries_accounts(&self, route: Route) -> bool {
        listen_keys::carries_accounts(route, self.unrouted)
    }

    /// Could a name on this route be a listen key?
    pub(crate) fn may_be_listen_key(&self, route: Route, text: &str) -> bool {
        self.carries_accounts(route) && listen_keys::looks_like_key(text)
    }
}
