//! The perpetuals of the synthetic exchange, on the underlying of the spot symbols of the same names.

use tradingsys::exchange::futures::Contract;
use tradingsys::exchange::{BookSource, Limits, Listing};
use tradingsys::ids::{Asset, Symbol};
use tradingsys::instrument::{Grid, Instrument, InstrumentKind, InstrumentStatus, OrderRules};
use tradingsys::market::{OrderType, Stp};
use tradingsys::num::{Cash, Qty};

use crate::config::Config;
use crate::product::Product;

/// One perpetual: its grid, filters and margin terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// `BTCUSDT`; the spot symbol of this name is its index.
    pub(crate) symbol: &'static str,
    /// `BTC`.
    pub(crate) base: &'static str,
    /// Price step.
    pub(crate) tick: &'static str,
    /// Least price.
    pub(crate) min_price: &'static str,
    /// Largest price.
    pub(crate) max_price: &'static str,
    /// Quantity step, and least quantity.
    pub(crate) lot: &'static str,
    /// Largest quantity.
    pub(crate) max_qty: &'static str,
    /// Largest quantity of a market order.
    pub(crate) max_market_qty: &'static str,
    /// Least price × quantity.
    pub(crate) min_notional: &'static str,
    /// Decimals prices are written with. Not the tick's.
    pub(crate) price_places: u32,
    /// Decimals quantities are written with.
    pub(crate) qty_places: u32,
    /// Highest leverage.
    pub(crate) max_leverage: u32,
    /// When it was listed, in milliseconds.
    pub(crate) listed: i64,
}

/// All perpetuals.
pub(crate) const SPECS: [Spec; 5] = [
    Spec {
        symbol: "BTCUSDT",
        base: "BTC",
        tick: "0.10",
        min_price: "556.80",
        max_price: "4529764",
        lot: "0.001",
        max_qty: "1000",
        max_market_qty: "120",
        min_notional: "50",
        price_places: 2,
        qty_places: 3,
        max_leverage: 125,
        listed: 1_569_398_400_000,
    },
    Spec {
        symbol: "ETHUSDT",
        base: "ETH",
        tick: "0.01",
        min_price: "39.86",
        max_price: "306177",
        lot: "0.001",
        max_qty: "10000",
        max_market_qty: "2000",
        min_notional: "20",
        price_places: 2,
        qty_places: 3,
        max_leverage: 100,
        listed: 1_574_841_600_000,
    },
    Spec {
        symbol: "BNBUSDT",
        base: "BNB",
        tick: "0.010",
        min_price: "6.600",
        max_price: "100000",
        lot: "0.01",
        max_qty: "100000",
        max_market_qty: "2000",
        min_notional: "5",
        price_places: 3,
        qty_places: 2,
        max_leverage: 75,
        listed: 1_581_321_600_000,
    },
    Spec {
        symbol: "SOLUSDT",
        base: "SOL",
        tick: "0.0100",
        min_price: "0.4200",
        max_price: "6857",
        lot: "0.01",
        max_qty: "1000000",
        max_market_qty: "80000",
        min_notional: "5",
        price_places: 4,
        qty_places: 2,
        max_leverage: 75,
        listed: 1_600_070_400_000,
    },
    Spec {
        symbol: "DOGEUSDT",
        base: "DOGE",
        tick: "0.000010",
        min_price: "0.002440",
        max_price: "30",
        lot: "1",
        max_qty: "50000000",
        max_market_qty: "30000000",
        min_notional: "5",
        price_places: 6,
        qty_places: 0,
        max_leverage: 75,
        listed: 1_594_353_600_000,
    },
];

fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("the constants are plain decimals")
}

impl Spec {
    /// As the core lists it under this configuration.
    pub(crate) fn contract(&self, config: &Config) -> Contract {
        let symbol = Symbol::new(self.symbol);
        let mut instrument = Instrument {
            kind: InstrumentKind::Perpetual,
            base: Asset::new(self.base),
            quote: Asset::new("USDT"),
            holding: Asset::new(self.symbol),
            symbol,
            status: InstrumentStatus::Trading,
            price: Grid { min: number(self.min_price), max: number(self.max_price), step: number(self.tick) },
            qty: Grid { min: number(self.lot), max: number(self.max_qty), step: number(self.lot) },
            market_qty: Grid { min: Qty::ZERO, max: number(self.max_market_qty), step: Qty::ZERO },
            min_notional: number(self.min_notional),
            max_notional: Cash::ZERO,
            notional_applies_to_market: true,
            order_types: OrderType::ALL.iter().map(|kind| kind.as_str().to_owned()).collect(),
            rules: OrderRules::default(),
            amend_allowed: true,
            quote_qty_market_allowed: false,
        };
        let mut source = BookSource::Matching;
        let recording = config.replay.as_ref();
        let of_this = recording.filter(|r| r.product == Product::Futures && r.symbol == instrument.symbol);
        if let Some(recording) = of_this {
            (instrument.price.step, instrument.qty.step) =
                recording.grid(instrument.tick(), instrument.lot());
            source = BookSource::Replayed;
        }
        let listing = Listing {
            limits: Limits { max_orders: 200, max_amends: 10_000, ..Limits::default() },
            allowed_stp: vec![Stp::None, Stp::ExpireTaker, Stp::ExpireMaker, Stp::ExpireBoth],
            source,
            ..Listing::new(instrument)
        };
        let mut contract = Contract::new(listing);
        // A smaller contract has the same ladder from its own highest leverage on.
        for bracket in &mut contract.brackets {
            bracket.max_leverage = bracket.max_leverage.min(self.max_leverage);
        }
        contract
    }
}
