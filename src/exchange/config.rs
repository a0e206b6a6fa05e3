//! What an exchange lists and how its accounts are set: given once, by whoever runs it.

use std::borrow::Cow;

use crate::ids::{Asset, Symbol};
use crate::instrument::Instrument;
use crate::market::Stp;
use crate::num::{ONE, ParseNumberError, Price, Qty, parse_raw};

/// A share of an amount, such as a fee rate: `0.001` is ten basis points. Counted in 10⁻¹⁰.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Rate(i64);

impl Rate {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// From hundredths of a percent: `basis_points(10)` is 0.1 %.
    pub const fn basis_points(points: i64) -> Self {
        Self(points * 1_000_000)
    }
    /// From millionths: `hundredths_of_basis_point(20)` is 0.002 %.
    pub const fn hundredths_of_basis_point(hundredths: i64) -> Self {
        Self(hundredths * 10_000)
    }
    /// In raw units of 10⁻¹⁰.
    pub const fn raw(self) -> i64 {
        self.0
    }
    /// Is it nothing?
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// What is left of it after a discount: `self × (1 − discount)`.
    pub const fn less(self, discount: Self) -> Self {
        Self((self.0 as i128 * (ONE - discount.0 as i128) / ONE) as i64)
    }
}

impl std::str::FromStr for Rate {
    type Err = ParseNumberError;
    fn from_str(text: &str) -> Result<Self, ParseNumberError> {
        let raw = parse_raw(text)?;
        if !(0..=ONE).contains(&raw) {
            return Err(ParseNumberError::OutOfRange);
        }
        i64::try_from(raw).map(Self).map_err(|_| ParseNumberError::OutOfRange)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Price::from_raw(i128::from(self.0)))
    }
}

/// How far from the reference price (the last trade) an order's price may lie; factors of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentPrice {
    /// A bid may be at most `reference × bid_up`.
    pub bid_up: Price,
    /// A bid must be at least `reference × bid_down`.
    pub bid_down: Price,
    /// An ask may be at most `reference × ask_up`.
    pub ask_up: Price,
    /// An ask must be at least `reference × ask_down`.
    pub ask_down: Price,
}

/// Limits of a symbol beyond those its [`Instrument`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open orders an account may have in the symbol, stops included.
    pub max_orders: usize,
    /// Untriggered stops an account may have in the symbol.
    pub max_stops: usize,
    /// Times one order may be amended.
    pub max_amends: u32,
    /// Price band around the last trade, if there is one.
    pub percent_price: Option<PercentPrice>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_orders: 200, max_stops: 5, max_amends: 10, percent_price: None }
    }
}

/// Where a symbol's public book and trades come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BookSource {
    /// From the orders placed here, which match each other.
    #[default]
    Matching,
    /// From a recording, given by the `replay_…` calls.
    Replayed,
}

/// One symbol as the exchange offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Names, grid, limits, status, order types.
    pub instrument: Instrument,
    /// Further limits.
    pub limits: Limits,
    /// Self-trade prevention of an order that names none.
    pub default_stp: Stp,
    /// Self-trade prevention modes an order may name.
    pub allowed_stp: Vec<Stp>,
    /// Where its public book and trades come from.
    pub source: BookSource,
    /// What orders of accounts are held to instead of the grid the engine counts in, which never changes.
    pub coarser: Option<Coarser>,
}

/// A grid that is a multiple of the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coarser {
    /// Price step.
    pub tick: Price,
    /// Quantity step, and least quantity.
    pub lot: Qty,
}

impl Listing {
    /// The instrument as it is offered to accounts.
    pub fn offered(&self) -> Cow<'_, Instrument> {
        let Some(Coarser { tick, lot }) = self.coarser else { return Cow::Borrowed(&self.instrument) };
        let mut offered = self.instrument.clone();
        (offered.price.step, offered.price.min) = (tick, offered.price.min.max(tick));
        (offered.qty.step, offered.qty.min) = (lot, offered.qty.min.max(lot));
        Cow::Owned(offered)
    }

    /// The instrument with usual limits, and every self-trade prevention mode allowed, `NONE` the default,
    /// with a matching book.
    pub fn new(instrument: Instrument) -> Self {
        Self {
            instrument,
            limits: Limits::default(),
            default_stp: Stp::None,
            allowed_stp: Stp::ALL.to_vec(),
            source: BookSource::Matching,
            coarser: None,
        }
    }
}

/// The whole exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What it lists.
    pub listings: Vec<Listing>,
    /// The asset in which accounts may choose to pay their fees (`BNB`), if there is one.
    pub fee_asset: Option<Asset>,
    /// What is taken off the fee rate when it is paid in `fee_asset`.
    pub fee_asset_discount: Rate,
}

/// An instrument cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// Listed before.
    #[error("{0} is listed twice")]
    Twice(Symbol),
    /// Tick or lot is missing.
    #[error("{0} needs a tick and a lot above zero")]
    NoGrid(Symbol),
    /// One tick times one lot has more decimals than an amount can have.
    #[error("one tick times one lot of {0} has more than 10 decimals; use a coarser grid")]
    GridTooFine(Symbol),
    /// A bound is missing, or so large that amounts would not fit.
    #[error("{0} needs a largest price and a largest quantity, with a product of at most 10^18")]
    Unbounded(Symbol),
}

/// One account of the exchange; numbered by whoever opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The exchange's own market maker: unlimited balances, no fees, no private events, no
    /// history, and of the filters only those of the grids.
    /// It is the other side of synthetic and replayed markets.
    pub const HOUSE: Self = Self(u32::MAX - 1);
    /// Where fees are collected.
    pub const FEES: Self = Self(u32::MAX);
    /// The insurance fund of the futures exchange: what liquidations leave over, and what pays for those that leave
    /// a debt.
    pub const INSURANCE: Self = Self(u32::MAX - 2);
    /// Does the exchange itself own it?
    pub const fn is_internal(self) -> bool {
        self.0 >= Self::INSURANCE.0
    }
}

/// What may differ from account to account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AccountSettings {
    /// Fee rate of fills that rested.
    pub maker_fee: Rate,
    /// Fee rate of fills that took.
    pub taker_fee: Rate,
    /// Pay fees in the exchange's fee asset while there is enough of it?
    pub pay_in_fee_asset: bool,
    /// May it place and cancel orders?
    pub can_trade: bool,
}

impl Default for AccountSettings {
    /// Ten basis points either way, paid in what is received.
    fn default() -> Self {
        Self {
            maker_fee: Rate::basis_points(10),
            taker_fee: Rate::basis_points(10),
            pay_in_fee_asset: false,
            can_trade: true,
        }
    }
}
