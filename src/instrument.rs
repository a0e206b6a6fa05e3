//! What can be traded, and on which grid.

use crate::ids::{Asset, Symbol};
use crate::market::{Side, Tif, WorkingType};
use crate::num::{Cash, Percent, Price, Qty};
use crate::time::Span;

/// May orders for it be sent?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentStatus {
    /// New orders and cancels.
    Trading,
    /// Cancels only.
    CancelOnly,
    /// Neither (halted, in a break, or a status this version does not know).
    Halted,
}

/// What kind of thing is traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentKind {
    /// The base asset itself changes hands.
    Spot,
    /// A linear contract without an end, margined and settled in the quote asset.
    Perpetual,
}

/// Bounds and steps of a price or a quantity; a zero field disables that part, as venues write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grid<T> {
    /// Smallest value allowed.
    pub min: T,
    /// Largest value allowed.
    pub max: T,
    /// Values are whole multiples of it.
    pub step: T,
}

/// One instrument of a venue: its names, its grid and its limits. It knows nothing of orders or sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Lower-case name, as strategies use it (`btcusdt`).
    pub symbol: Symbol,
    /// Kind.
    pub kind: InstrumentKind,
    /// What is bought; of a contract, what it is on.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// What a position of it is kept in: the base asset on spot, of a contract the contract itself (`BTCUSDT`).
    pub holding: Asset,
    /// Trading status.
    pub status: InstrumentStatus,
    /// Price grid; `step` is the tick.
    pub price: Grid<Price>,
    /// Quantity grid; `step` is the lot.
    pub qty: Grid<Qty>,
    /// Quantity grid of market orders where it differs (a zero `step` or `max` falls back to `qty`).
    pub market_qty: Grid<Qty>,
    /// Least price × quantity.
    pub min_notional: Cash,
    /// Largest price × quantity; zero if unlimited.
    pub max_notional: Cash,
    /// Does the minimum notional hold for market orders too?
    pub notional_applies_to_market: bool,
    /// Order types the venue accepts for it, by their words here (`LIMIT`, `LIMIT_MAKER`, …); one this version does not
    /// know keeps the venue's word.
    pub order_types: Vec<String>,
    /// What else the venue takes of an order for it.
    pub rules: OrderRules,
    /// May an order's quantity be reduced in place?
    pub amend_allowed: bool,
    /// May a market order be given as an amount of the quote asset?
    pub quote_qty_market_allowed: bool,
}

/// What a venue takes of an order beyond its type. The default is a plain spot market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRules {
    /// Times in force.
    pub tifs: Vec<Tif>,
    /// How long a `GTD` order has to be good for at least.
    pub good_till_least: Span,
    /// Prices a conditional order can watch.
    pub working_types: Vec<WorkingType>,
    /// Callback rates of trailing stops.
    pub callback_rate: Grid<Percent>,
    /// May an amend change the price, and raise the quantity, too? The order then keeps its client id.
    pub amend_price: bool,
    /// Do conditional orders live under ids of their own until they are triggered?
    pub conditionals_apart: bool,
    /// Has the venue a flag for orders that only reduce the account's position?
    pub reduce_only: bool,
}

impl Default for OrderRules {
    fn default() -> Self {
        Self {
            tifs: vec![Tif::Gtc, Tif::Ioc, Tif::Fok],
            good_till_least: Span::ZERO,
            working_types: vec![WorkingType::Last],
            callback_rate: Grid::default(),
            amend_price: false,
            conditionals_apart: false,
            reduce_only: false,
        }
    }
}

impl Instrument {
    /// The tick: one step of the price grid.
    pub fn tick(&self) -> Price {
        self.price.step
    }
    /// The lot: one step of the quantity grid.
    pub fn lot(&self) -> Qty {
        self.qty.step
    }
    /// The asset an order of this side pays with; the other side's is the one it receives.
    pub fn paid_in(&self, side: Side) -> &Asset {
        match side {
            Side::Buy => &self.quote,
            Side::Sell => &self.base,
        }
    }
    /// The price in whole ticks, if it lies on the grid.
    pub fn ticks(&self, price: Price) -> Option<i64> {
        on_grid(price.raw(), self.price.step.raw())
    }
    /// The quantity in whole lots, if it lies on the grid.
    pub fn lots(&self, qty: Qty) -> Option<i64> {
        on_grid(qty.raw(), self.qty.step.raw())
    }
    /// The price of a number of ticks.
    pub fn price_of(&self, ticks: i64) -> Price {
        Price::from_raw(i128::from(ticks) * self.price.step.raw())
    }
    /// The quantity of a number of lots.
    pub fn qty_of(&self, lots: i64) -> Qty {
        Qty::from_raw(i128::from(lots) * self.qty.step.raw())
    }
}

fn on_grid(raw: i128, step: i128) -> Option<i64> {
    (step > 0 && raw % step == 0).then(|| i64::try_from(raw / step).ok()).flatten()
}
