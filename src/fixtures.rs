//! What many tests of the core are about: one symbol, its listing, one order in it.

use crate::ids::{Asset, ClientOrderId, IdKind, IdParts, Install, SessionId, Symbol};
use crate::instrument::{Grid, Instrument, InstrumentKind, InstrumentStatus, OrderRules};
use crate::journal::{OrderRecord, Record};
use crate::market::{Instructions, OrderType, Side};
use crate::num::{Cash, Qty};
use crate::time::Time;

/// A spot symbol with a fine grid and hardly a bound.
pub(crate) fn doge() -> Instrument {
    let number = |text: &str| text.parse().unwrap();
    Instrument {
        symbol: Symbol::new("dogeusdt"),
        kind: InstrumentKind::Spot,
        base: Asset::new("DOGE"),
        quote: Asset::new("USDT"),
        holding: Asset::new("DOGE"),
        status: InstrumentStatus::Trading,
        price: Grid { min: number("0.00001"), max: number("1000"), step: number("0.00001") },
        qty: Grid { min: Qty::whole(1), max: Qty::whole(1_000_000), step: Qty::whole(1) },
        market_qty: Grid::default(),
        min_notional: Cash::whole(1),
        max_notional: Cash::ZERO,
        notional_applies_to_market: true,
        order_types: vec!["LIMIT".to_owned(), "MARKET".to_owned()],
        rules: OrderRules::default(),
        amend_allowed: true,
        quote_qty_market_allowed: true,
    }
}

/// The record that says what this symbol trades.
pub(crate) fn doge_listing() -> Record {
    Record::Listing {
        symbol: Symbol::new("dogeusdt"),
        base: Asset::new("DOGE"),
        quote: Asset::new("USDT"),
        holding: None,
        lot: None,
        unread: false,
    }
}

/// The id of that command of session 1, in the first run.
pub(crate) fn order_id(command: u64) -> ClientOrderId {
    let install = Install::from_hash(5);
    ClientOrderId::mint(IdParts { kind: IdKind::Order, install, epoch: 1, session: SessionId(1), command })
}

/// Session 1 buys ten, with that command.
pub(crate) fn doge_order(command: u64, order_type: OrderType, time: Time) -> OrderRecord {
    OrderRecord {
        id: order_id(command),
        session: Some(SessionId(1)),
        symbol: Symbol::new("dogeusdt"),
        side: Side::Buy,
        order_type: Some(order_type),
        tif: None,
        price: None,
        stop: None,
        qty: Qty::whole(10),
        quote_amount: None,
        forced: None,
        instructions: Instructions::default(),
        conditional: false,
        time,
    }
}
