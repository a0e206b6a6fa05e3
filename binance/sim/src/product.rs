//! The venue's products on one port, told apart by path: which pools, tables and timings apply.

use serde::Deserialize;
use tradingsys::time::Span;

use crate::config::Timing;

/// A product with rate pools, methods and streams of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Product {
    /// Spot: `/api`, `/ws-api/v3`, `/ws`, `/stream`, `/sbe`.
    Spot,
    /// Cross margin: `/sapi`, `/margin-stream`; its orders are on the books of spot.
    Margin,
    /// USDT-margined futures: `/fapi`, `/ws-fapi/v1`, `/public`, `/market`, `/private`, `/fstream`.
    Futures,
}

impl Product {
    /// As rules name it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Margin => "margin",
            Self::Futures => "futures",
        }
    }

    /// Of a REST path.
    pub(crate) fn of_path(path: &str) -> Self {
        if path.starts_with("/fapi/") {
            Self::Futures
        } else if path.starts_with("/sapi/") {
            Self::Margin
        } else {
            Self::Spot
        }
    }

    /// Between two pings, and in which time they are to be answered.
    pub(crate) const fn pings(self, timing: &Timing) -> (Span, Span) {
        match self {
            Self::Spot | Self::Margin => (timing.ping, timing.pong),
            Self::Futures => (timing.futures_ping, timing.futures_pong),
        }
    }
}

/// By which way market data streams are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Spot, as JSON.
    Spot,
    /// Spot, in binary.
    Sbe,
    /// Futures: books.
    Public,
    /// Futures: trades, bars, tickers, mark prices.
    Market,
    /// Futures: events of accounts.
    Private,
    /// Futures without a route, as it was before there were routes.
    Unrouted,
    /// What margin wallets owe.
    Margin,
}

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Requests.
    Api(Product),
    /// Streams.
    Streams(Route),
}

impl Door {
    /// From a path: the door, and for streams the rest of the path after the route.
    pub(crate) fn of_path(path: &str) -> Option<(Self, &str)> {
        match path {
            "/ws-api/v3" => return Some((Self::Api(Product::Spot), "")),
            "/ws-fapi/v1" => return Some((Self::Api(Product::Futures), "")),
            _ => {}
        }
        let routes = [
            ("/public", Route::Public),
            ("/market", Route::Market),
            ("/private", Route::Private),
            ("/fstream", Route::Unrouted),
            ("/margin-stream", Route::Margin),
            ("/sbe", Route::Sbe),
        ];
        let routed = routes.into_iter().find_map(|(prefix, route)| Some((path.strip_prefix(prefix)?, route)));
        let (rest, route) = routed.unwrap_or((path, Route::Spot));
        let known = rest.starts_with("/ws") || rest.starts_with("/stream");
        known.then_some((Self::Streams(route), rest))
    }

    /// The product behind it.
    pub(crate) const fn product(self) -> Product {
        match self {
            Self::Api(product) => product,
            Self::Streams(Route::Spot | Route::Sbe) => Product::Spot,
            Self::Streams(Route::Margin) => Product::Margin,
            Self::Streams(_) => Product::Futures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_products() {
        assert_eq!(Door::of_path("/ws-fapi/v1"), Some((Door::Api(Product::Futures), "")));
        assert_eq!(Door::of_path("/ws/a@trade"), Some((Door::Streams(Route::Spot), "/ws/a@trade")));
        assert_eq!(Door::of_path("/private/stream"), Some((Door::Streams(Route::Private), "/stream")));
        assert_eq!(Door::of_path("/fstream/ws"), Some((Door::Streams(Route::Unrouted), "/ws")));
        assert_eq!(Door::of_path("/sbe/stream"), Some((Door::Streams(Route::Sbe), "/stream")));
        assert_eq!(Door::of_path("/public"), None);
        assert_eq!(Door::of_path("/nowhere"), None);
    }
}
