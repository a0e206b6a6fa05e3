//! Tests of the exchange: [`dsl`] reads scripts, the modules below hold their tables.

mod dsl;
mod filters;
mod laws;
mod lending;
mod life;
mod matching;
mod prevention;
mod replay;
mod restore;
mod stops;
mod synthetic;
mod twin;

use crate::ids::{Asset, Symbol};
use crate::instrument::{Grid, Instrument, InstrumentKind, InstrumentStatus, OrderRules};
use crate::market::OrderType;
use crate::num::Cash;

/// An instrument with tick 0.01, lot 0.001 and a least notional of 1.
pub(in crate::exchange) fn instrument(base: &str, quote: &str) -> Instrument {
    let n = |text: &str| text.parse().unwrap();
    let q = |text: &str| text.parse().unwrap();
    Instrument {
        symbol: Symbol::new(&format!("{base}{quote}")),
        kind: InstrumentKind::Spot,
        base: Asset::new(base),
        quote: Asset::new(quote),
        holding: Asset::new(base),
        status: InstrumentStatus::Trading,
        price: Grid { min: n("0.01"), max: n("1000000"), step: n("0.01") },
        qty: Grid { min: q("0.001"), max: q("9000"), step: q("0.001") },
        market_qty: Grid { min: q("0"), max: q("100"), step: q("0") },
        min_notional: Cash::whole(1),
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
    }
}
