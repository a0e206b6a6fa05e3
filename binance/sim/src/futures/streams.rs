//! Names of the streams of futures, and which route carries which.
//!
//! A stream asked for on a route that does not carry it is acknowledged and stays silent, as at the venue.

use serde::Deserialize;
use tradingsys::market::Interval;

use crate::product::Route;
use crate::streams::MarketIndex;

/// A stream of futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// Of one symbol.
    Of(MarketIndex, Kind),
    /// Of all symbols.
    All(Kind),
}

/// What a stream tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `@bookTicker`, `!bookTicker`.
    BookTicker,
    /// `@depth<levels>`.
    Depth {
        /// 5, 10 or 20.
        levels: u8,
        /// How often.
        speed: Speed,
    },
    /// `@depth`.
    DepthDiff {
        /// How often.
        speed: Speed,
    },
    /// `@trade`, which the venue does not document.
    Trade,
    /// `@aggTrade`.
    AggTrade,
    /// `@kline_<interval>`.
    Kline(Interval),
    /// `<pair>_perpetual@continuousKline_<interval>`.
    ContinuousKline(Interval),
    /// `@markPrice[@1s]`, `!markPrice@arr[@1s]`.
    MarkPrice {
        /// Every second instead of every three.
        fast: bool,
    },
    /// `@miniTicker`, `!miniTicker@arr`.
    MiniTicker,
    /// `@ticker`, `!ticker@arr`.
    Ticker,
    /// `@forceOrder`, `!forceOrder@arr`.
    ForceOrder,
    /// `!contractInfo`.
    ContractInfo,
}

/// How often books are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speed {
    /// Every 250 ms.
    Usual,
    /// Every 500 ms.
    Slow,
    /// Every 100 ms.
    Fast,
}

impl Speed {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Usual, Self::Slow, Self::Fast];

    /// Its milliseconds.
    pub(crate) const fn millis(self) -> i64 {
        match self {
            Self::Usual => 250,
            Self::Slow => 500,
            Self::Fast => 100,
        }
    }

    /// What stands for it at the end of a name.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::Slow => "@500ms",
            Self::Fast => "@100ms",
        }
    }

    /// Its place among what is gathered.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// What a connection without a route gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unrouted {
    /// Everything, as before the venue had routes.
    All,
    /// What the public route carries, as the venue has it.
    #[default]
    Public,
    /// Nothing.
    None,
}

impl Name {
    /// From its name; `None` for one nobody serves. `market` finds a symbol's place.
    pub(crate) fn parse(name: &str, market: impl Fn(&str) -> Option<MarketIndex>) -> Option<Self> {
        if let Some(all) = name.strip_prefix('!') {
            return Some(Self::All(match all {
                "bookTicker" => Kind::BookTicker,
                "markPrice@arr" => Kind::MarkPrice { fast: false },
                "markPrice@arr@1s" => Kind::MarkPrice { fast: true },
                "miniTicker@arr" => Kind::MiniTicker,
                "ticker@arr" => Kind::Ticker,
                "forceOrder@arr" => Kind::ForceOrder,
                "contractInfo" => Kind::ContractInfo,
                _ => return None,
            }));
        }
        let (symbol, kind) = name.split_once('@')?;
        if symbol.chars().any(char::is_uppercase) {
            return None;
        }
        match kind.strip_prefix("continuousKline_") {
            Some(interval) => {
                let place = market(symbol.strip_suffix("_perpetual")?)?;
                Some(Self::Of(place, Kind::ContinuousKline(bar_length(interval)?)))
            }
            None => Some(Self::Of(market(symbol)?, Kind::parse(kind)?)),
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Of(_, kind) | Self::All(kind) => kind,
        }
    }

    /// Does a route carry it?
    pub(crate) fn is_on(self, route: Route, unrouted: Unrouted) -> bool {
        let public = matches!(
            self.kind(),
            Kind::BookTicker | Kind::Depth { .. } | Kind::DepthDiff { .. } | Kind::Trade
        );
        match (route, unrouted) {
            (Route::Public, _) | (Route::Unrouted, Unrouted::Public) => public,
            (Route::Market, _) => !public,
            (Route::Unrouted, Unrouted::All) => true,
            (Route::Unrouted, Unrouted::None)
            | (Route::Private | Route::Margin | Route::Spot | Route::Sbe, _) => false,
        }
    }
}

/// A bar length of futures: there are none of a second.
pub(crate) fn bar_length(word: &str) -> Option<Interval> {
    Interval::from_word(word).filter(|interval| *interval != Interval::S1)
}

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "bookTicker" => Self::BookTicker,
            "trade" => Self::Trade,
            "aggTrade" => Self::AggTrade,
            "markPrice" => Self::MarkPrice { fast: false },
            "markPrice@1s" => Self::MarkPrice { fast: true },
            "miniTicker" => Self::MiniTicker,
            "ticker" => Self::Ticker,
            "forceOrder" => Self::ForceOrder,
            _ => return Self::parse_graded(word),
        })
    }

    fn parse_graded(word: &str) -> Option<Self> {
        if let Some(interval) = word.strip_prefix("kline_") {
            return bar_length(interval).map(Self::Kline);
        }
        let (levels, speed) = match word.strip_prefix("depth")?.split_once('@') {
            None => (&word["depth".len()..], Speed::Usual),
            Some((levels, "100ms")) => (levels, Speed::Fast),
            Some((levels, "250ms")) => (levels, Speed::Usual),
            Some((levels, "500ms")) => (levels, Speed::Slow),
            Some(_) => return None,
        };
        match levels {
            "" => Some(Self::DepthDiff { speed }),
            "5" => Some(Self::Depth { levels: 5, speed }),
            "10" => Some(Self::Depth { levels: 10, speed }),
            "20" => Some(Self::Depth { levels: 20, speed }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<Name> {
        Name::parse(name, |symbol| (symbol == "btcusdt").then_some(3))
    }

    #[test]
    fn names_are_read() {
        let of = |kind| Some(Name::Of(3, kind));
        assert_eq!(parse("btcusdt@depth20@100ms"), of(Kind::Depth { levels: 20, speed: Speed::Fast }));
        assert_eq!(parse("btcusdt@depth@500ms"), of(Kind::DepthDiff { speed: Speed::Slow }));
        assert_eq!(parse("btcusdt@depth"), of(Kind::DepthDiff { speed: Speed::Usual }));
        assert_eq!(parse("btcusdt@markPrice@1s"), of(Kind::MarkPrice { fast: true }));
        assert_eq!(parse("!markPrice@arr"), Some(Name::All(Kind::MarkPrice { fast: false })));
        assert_eq!(parse("btcusdt_perpetual@continuousKline_1m"), of(Kind::ContinuousKline(Interval::M1)));
        for unknown in ["btcusdt@kline_1s", "BTCUSDT@trade", "ethusdt@trade", "btcusdt@depth7", "!ticker", ""]
        {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_route_carries_its_own_streams_only() {
        let (book, bars) = (parse("btcusdt@bookTicker").unwrap(), parse("btcusdt@kline_1m").unwrap());
        let on = |name: Name, route| name.is_on(route, Unrouted::Public);
        assert!(on(book, Route::Public) && !on(book, Route::Market) && !on(book, Route::Private));
        assert!(!on(bars, Route::Public) && on(bars, Route::Market) && !on(bars, Route::Private));
        assert!(on(book, Route::Unrouted) && !on(bars, Route::Unrouted));
        assert!(bars.is_on(Route::Unrouted, Unrouted::All) && !book.is_on(Route::Unrouted, Unrouted::None));
    }
}
