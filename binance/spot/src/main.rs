//! The gateway of Binance's spot market: the shell, with the machines of [`binance_venue::spot`] plugged in, or those
//! of [`binance_venue::margin`] for the cross-margin account.

use std::process::ExitCode;

use binance_venue::Guarded;
use binance_venue::margin::{self, MarginConfig};
use binance_venue::spot::{self, SpotConfig};
use tradingsys_runtime::{Endpoint, Ports, Product, VenueSetup};

/// Addresses: binance-spot-api-docs, 2026-07.
const SPOT: Product = Product {
    exe: "spot",
    market: "spot",
    environments: &["live", "testnet", "demo"],
    keys: &["margin", "side_effect", "auto_repay_at_cancel"],
    endpoints: &[
        Endpoint {
            name: "ws_api",
            needed: true,
            urls: &[
                "wss://ws-api.binance.com:443/ws-api/v3",
                "wss://ws-api.testnet.binance.vision/ws-api/v3",
                "wss://demo-ws-api.binance.com/ws-api/v3",
            ],
        },
        Endpoint {
            name: "streams",
            needed: true,
            urls: &[
                "wss://stream.binance.com:9443",
                "wss://stream.testnet.binance.vision",
                "wss://demo-stream.binance.com",
            ],
        },
        // Orders of cross margin, and what the key may do; neither testnet nor demo have it.
        Endpoint { name: "rest", needed: false, urls: &["https://api.binance.com"] },
        Endpoint { name: "margin_stream", needed: false, urls: &["wss://margin-stream.binance.com"] },
        // Best prices and books in binary, for keys that may.
        Endpoint {
            name: "sbe",
            needed: false,
            urls: &[
                "wss://stream-sbe.binance.com:9443",
                "wss://stream-sbe.testnet.binance.vision",
                "wss://demo-stream-sbe.binance.com",
            ],
        },
    ],
};

fn connect(setup: VenueSetup<'_>) -> Ports {
    let (ws_api, streams) = (setup.endpoint("ws_api"), setup.endpoint("streams"));
    let mut config =
        SpotConfig::new(ws_api, streams, &setup.config.apikey, setup.key.clone().into(), setup.seed);
    config.access.recv_window = setup.config.recv_window;
    // Who only looks compares no market data.
    if !setup.only_looks {
        setup.endpoint("sbe").trim_end_matches('/').clone_into(&mut config.sbe);
    }
    match setup.config.margin {
        None => {
            setup.endpoint("rest").trim_end_matches('/').clone_into(&mut config.access.rest);
            let (feed, entry) = spot::ports(&config);
            (Box::new(feed), Box::new(Guarded::new(entry, &config.access, setup.endpoint("rest"))))
        }
        Some(terms) => {
            let mut config = MarginConfig::new(config, setup.endpoint("rest"));
            config.side_effect = terms.side_effect;
            config.auto_repay_at_cancel = terms.auto_repay_at_cancel;
            let stream = setup.endpoint("margin_stream").trim_end_matches('/');
            config.risk_stream = (!stream.is_empty()).then(|| stream.to_owned());
            let (feed, entry) = margin::ports(&config);
            (Box::new(feed), Box::new(Guarded::new(entry, &config.spot.access, setup.endpoint("rest"))))
        }
    }
}

fn main() -> ExitCode {
    tradingsys_runtime::main(&SPOT, connect)
}
