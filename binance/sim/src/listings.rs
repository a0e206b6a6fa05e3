//! The symbols of the synthetic exchange: five after real ones, and a hundred made-up ones for accounts with many.

use tradingsys::exchange::{Limits, Listing, PercentPrice};
use tradingsys::ids::{Asset, Symbol};
use tradingsys::instrument::{Grid, Instrument, InstrumentKind, InstrumentStatus, OrderRules};
use tradingsys::market::{OrderType, Stp};
use tradingsys::num::{Cash, Price, Qty};

/// One symbol: its grid, and about where and how it trades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// `BTCUSDT`.
    pub(crate) symbol: &'static str,
    /// `BTC`.
    pub(crate) base: &'static str,
    /// `USDT`.
    pub(crate) quote: &'static str,
    /// About where it trades.
    pub(crate) price: &'static str,
    /// Price step.
    pub(crate) tick: &'static str,
    /// Largest price.
    pub(crate) max_price: &'static str,
    /// Quantity step.
    pub(crate) lot: &'static str,
    /// Largest quantity.
    pub(crate) max_qty: &'static str,
    /// Largest quantity of a market order.
    pub(crate) max_market_qty: &'static str,
    /// Least price × quantity.
    pub(crate) min_notional: &'static str,
    /// Lots traded per second, about.
    pub(crate) lots_per_second: i64,
}

const SPECS: [Spec; 5] = [
    Spec {
        symbol: "BTCUSDT",
        base: "BTC",
        quote: "USDT",
        price: "65000",
        tick: "0.01",
        max_price: "1000000",
        lot: "0.00001",
        max_qty: "9000",
        max_market_qty: "120",
        min_notional: "5",
        lots_per_second: 30_000,
    },
    Spec {
        symbol: "ETHUSDT",
        base: "ETH",
        quote: "USDT",
        price: "3200",
        tick: "0.01",
        max_price: "1000000",
        lot: "0.0001",
        max_qty: "9000",
        max_market_qty: "2400",
        min_notional: "5",
        lots_per_second: 50_000,
    },
    Spec {
        symbol: "BNBUSDT",
        base: "BNB",
        quote: "USDT",
        price: "600",
        tick: "0.01",
        max_price: "100000",
        lot: "0.001",
        max_qty: "900000",
        max_market_qty: "1800",
        min_notional: "5",
        lots_per_second: 4_000,
    },
    Spec {
        symbol: "SOLUSDT",
        base: "SOL",
        quote: "USDT",
        price: "150",
        tick: "0.01",
        max_price: "10000",
        lot: "0.001",
        max_qty: "90000",
        max_market_qty: "13000",
        min_notional: "5",
        lots_per_second: 60_000,
    },
    Spec {
        symbol: "DOGEUSDT",
        base: "DOGE",
        quote: "USDT",
        price: "0.20",
        tick: "0.00001",
        max_price: "1000",
        lot: "1",
        max_qty: "9000000",
        max_market_qty: "4000000",
        min_notional: "1",
        lots_per_second: 30_000,
    },
];

/// How many made-up symbols there are.
pub(crate) const MADE_UP: usize = 100;

/// `C00USDT` to `C99USDT`.
const NAMES: [[u8; 7]; MADE_UP] = {
    let mut names = [*b"C00USDT"; MADE_UP];
    let mut at = 0;
    while at < MADE_UP {
        names[at][1] += (at / 10) as u8;
        names[at][2] += (at % 10) as u8;
        at += 1;
    }
    names
};

/// All that trade as DOGEUSDT does.
static MADE: [Spec; MADE_UP] = {
    const BY_NAME: &[[u8; 7]; MADE_UP] = &NAMES;
    let mut specs = [const { made_up(&BY_NAME[0]) }; MADE_UP];
    let mut at = 0;
    while at < MADE_UP {
        specs[at] = made_up(&BY_NAME[at]);
        at += 1;
    }
    specs
};

const fn made_up(name: &'static [u8; 7]) -> Spec {
    let [.., doge] = SPECS;
    Spec { symbol: ascii(name), base: ascii(name.split_at(3).0), ..doge }
}

const fn ascii(name: &'static [u8]) -> &'static str {
    match std::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => panic!("names are plain letters and digits"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("the constants are plain decimals")
}

impl Spec {
    /// The symbols listed unless others are named.
    pub(crate) fn usual() -> &'static [Self] {
        &SPECS
    }

    /// Those made up.
    pub(crate) fn made_up() -> &'static [Self] {
        &MADE
    }

    /// All symbols there are.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        SPECS.iter().chain(&MADE)
    }

    /// The one of a symbol.
    pub(crate) fn of(symbol: &Symbol) -> Option<&'static Self> {
        Self::all().find(|spec| spec.symbol_name() == *symbol)
    }

    /// Its name as the core has it.
    pub(crate) fn symbol_name(&self) -> Symbol {
        Symbol::new(self.symbol)
    }

    /// About where it trades, in ticks.
    pub(crate) fn start_ticks(&self) -> i64 {
        let ticks = number::<Price>(self.price).raw() / number::<Price>(self.tick).raw();
        i64::try_from(ticks).expect("the constants are small")
    }

    /// The price of a number of ticks.
    pub(crate) fn price(&self, ticks: i64) -> Price {
        Price::from_raw(number::<Price>(self.tick).raw() * i128::from(ticks))
    }

    /// The quantity of a number of lots.
    pub(crate) fn qty(&self, lots: i64) -> Qty {
        Qty::from_raw(number::<Qty>(self.lot).raw() * i128::from(lots))
    }

    /// As the matching core lists it.
    pub(crate) fn listing(&self) -> Listing {
        let instrument = Instrument {
            symbol: Symbol::new(self.symbol),
            kind: InstrumentKind::Spot,
            base: Asset::new(self.base),
            quote: Asset::new(self.quote),
            holding: Asset::new(self.base),
            status: InstrumentStatus::Trading,
            price: Grid { min: number(self.tick), max: number(self.max_price), step: number(self.tick) },
            qty: Grid { min: number(self.lot), max: number(self.max_qty), step: number(self.lot) },
            market_qty: Grid { min: Qty::ZERO, max: number(self.max_market_qty), step: Qty::ZERO },
            min_notional: number(self.min_notional),
            max_notional: Cash::whole(9_000_000),
            notional_applies_to_market: true,
            order_types: OrderType::ALL
                .iter()
                .filter(|t| **t != OrderType::TrailingStop)
                .map(|t| t.as_str().to_owned())
                .collect(),
            rules: OrderRules::default(),
            amend_allowed: true,
            quote_qty_market_allowed: true,
        };
        let band = PercentPrice {
            bid_up: number("5"),
            bid_down: number("0.2"),
            ask_up: number("5"),
            ask_down: number("0.2"),
        };
        Listing {
            limits: Limits { percent_price: Some(band), ..Limits::default() },
            default_stp: Stp::ExpireMaker,
            ..Listing::new(instrument)
        }
    }
}
