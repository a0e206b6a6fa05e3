//! Which gateway is put through a schedule, and what it is made of.

use std::collections::BTreeSet;

use binance_sim::config::Listed;
use binance_venue::Guarded;
use binance_venue::margin::{self, MarginConfig};
use binance_venue::spot::{self, SpotConfig};
use binance_venue::usdt::{self, Endpoints, UsdtConfig};
use binance_wire::sign::SecretKey;
use tradingsys::ids::Symbol;
use tradingsys::market::SideEffect;
use tradingsys::time::Span;
use tradingsys::venue::port::{MarketFeed, OrderEntry};

/// A gateway program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Product {
    /// The spot gateway.
    #[default]
    Spot,
    /// The gateway of USDT-margined perpetuals.
    Usdt,
    /// The spot gateway on the cross-margin account, whose orders borrow what they lack and repay.
    Margin,
}

/// Longest time after its stamp at which the exchange takes a request.
const RECV_WINDOW: Span = Span::from_secs(2);

/// Where it is asked what the key may do: nowhere, as by a gateway whose environment has no such host.
const RIGHTS: &str = "";

impl Product {
    /// Its market word.
    pub fn market(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Usdt => "usdt",
            Self::Margin => "margin",
        }
    }

    /// The product of a market word.
    pub fn of_market(word: &str) -> Option<Self> {
        [Self::Spot, Self::Usdt, Self::Margin].into_iter().find(|product| product.market() == word)
    }

    /// What is listed on the simulator: the strategies' symbol, and what its price depends on.
    pub fn listed(self) -> Listed {
        let only = |symbol: &str| Some(BTreeSet::from([Symbol::new(symbol)]));
        match self {
            Self::Spot | Self::Margin => Listed { spot: only("DOGEUSDT"), futures: Some(BTreeSet::new()) },
            Self::Usdt => Listed { spot: only("DOGEUSDT"), futures: only("DOGEUSDT") },
        }
    }

    /// The machines of its venue, on the simulator, put together as the binaries do; connections are replaced at that
    /// age.
    pub fn ports(
        self,
        key: SecretKey,
        seed: u64,
        life: Option<Span>,
    ) -> (Box<dyn MarketFeed>, Box<dyn OrderEntry>) {
        match self {
            Self::Spot => {
                let mut config = SpotConfig::new("ws://sim/ws-api/v3", "ws://sim", "world", key, seed);
                config.access.recv_window = RECV_WINDOW;
                config.access.timing.life = life.unwrap_or(config.access.timing.life);
                let (feed, entry) = spot::ports(&config);
                (Box::new(feed), Box::new(Guarded::new(entry, &config.access, RIGHTS)))
            }
            Self::Margin => {
                let mut spot = SpotConfig::new("ws://sim/ws-api/v3", "ws://sim", "world", key, seed);
                spot.access.recv_window = RECV_WINDOW;
                spot.access.timing.life = life.unwrap_or(spot.access.timing.life);
                let mut config = MarginConfig::new(spot, "http://sim");
                config.side_effect = SideEffect::AutoBorrowRepay;
                config.risk_stream = Some("ws://sim/margin-stream".to_owned());
                let (feed, entry) = margin::ports(&config);
                (Box::new(feed), Box::new(Guarded::new(entry, &config.spot.access, RIGHTS)))
            }
            Self::Usdt => {
                let at = Endpoints {
                    rest: "http://sim",
                    ws_api: "ws://sim/ws-fapi/v1",
                    public: "ws://sim/public",
                    market: "ws://sim/market",
                    private: "ws://sim/private",
                };
                let mut config = UsdtConfig::new(at, "world", key, seed);
                config.access.recv_window = RECV_WINDOW;
                config.access.timing.life = life.unwrap_or(config.access.timing.life);
                let (feed, entry) = usdt::ports(&config);
                (Box::new(feed), Box::new(Guarded::new(entry, &config.access, RIGHTS)))
            }
        }
    }
}
