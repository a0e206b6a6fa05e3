//! The gateway of Binance's USDT-M futures: the shell, with the machines of [`binance_venue::usdt`] plugged in.

use std::process::ExitCode;

use binance_venue::Guarded;
use binance_venue::usdt::{Endpoints, Hedged, UsdtConfig, ports};
use tradingsys_runtime::{Endpoint, Ports, Product, VenueSetup};

/// Addresses of 2026-10. Testnet and demo are two names of one backend.
const USDT: Product = Product {
    exe: "usdt",
    market: "usdt",
    environments: &["live", "testnet", "demo"],
    keys: &["set_one_way_mode"],
    endpoints: &[
        Endpoint {
            name: "rest",
            needed: true,
            urls: &[
                "https://fapi.binance.com",
                "https://testnet.binancefuture.com",
                "https://demo-fapi.binance.com",
            ],
        },
        Endpoint {
            name: "ws_api",
            needed: true,
            urls: &[
                "wss://ws-fapi.binance.com/ws-fapi/v1",
                "wss://testnet.binancefuture.com/ws-fapi/v1",
                "wss://testnet.binancefuture.com/ws-fapi/v1",
            ],
        },
        Endpoint {
            name: "public",
            needed: true,
            urls: &[
                "wss://fstream.binance.com/public",
                "wss://fstream.binancefuture.com/public",
                "wss://demo-fstream.binance.com/public",
            ],
        },
        Endpoint {
            name: "market",
            needed: true,
            urls: &[
                "wss://fstream.binance.com/market",
                "wss://fstream.binancefuture.com/market",
                "wss://demo-fstream.binance.com/market",
            ],
        },
        Endpoint {
            name: "private",
            needed: true,
            urls: &[
                "wss://fstream.binance.com/private",
                "wss://fstream.binancefuture.com/private",
                "wss://demo-fstream.binance.com/private",
            ],
        },
        // What the key may do is asked at the spot host; neither testnet nor demo have it.
        Endpoint { name: "sapi", needed: false, urls: &["https://api.binance.com"] },
    ],
};

fn connect(setup: VenueSetup<'_>) -> Ports {
    let at = Endpoints {
        rest: setup.endpoint("rest"),
        ws_api: setup.endpoint("ws_api"),
        public: setup.endpoint("public"),
        market: setup.endpoint("market"),
        private: setup.endpoint("private"),
    };
    let mut config = UsdtConfig::new(at, &setup.config.apikey, setup.key.clone().into(), setup.seed);
    config.access.recv_window = setup.config.recv_window;
    config.hedged = match (setup.config.set_one_way_mode, setup.only_looks) {
        (false, _) => Hedged::Refuse,
        (true, false) => Hedged::Switch,
        (true, true) => Hedged::Announce,
    };
    let (feed, entry) = ports(&config);
    (Box::new(feed), Box::new(Guarded::new(entry, &config.access, setup.endpoint("sapi"))))
}

fn main() -> ExitCode {
    tradingsys_runtime::main(&USDT, connect)
}
