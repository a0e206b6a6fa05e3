//! Futures accounts: a wallet, positions, settings.
//!
//! A position keeps what it cost: the signed sum of quantity × price of its open part, exact. Closing a part takes that
//! part of the cost out, rounded half away from zero to eight decimals; closing all of it takes all of it. What comes
//! in less what it cost is the realised profit, so wallet − cost changes by each fill's signed quote amount and by
//! nothing else, and no rounding is ever lost.

use std::collections::BTreeMap;

use crate::exchange::config::{AccountId, AccountSettings};
use crate::exchange::futures::event::Income;
use crate::exchange::order::PositionSide;
use crate::ids::{Asset, Symbol};
use crate::market::Side;
use crate::num::{Cash, DECIMALS, Price, Qty};
use crate::time::Time;

/// Decimals wallets are kept in.
pub(super) const WALLET_DECIMALS: u32 = 8;
/// The smallest amount a wallet changes by, raw.
pub(super) const GRAIN: i128 = 10_i128.pow(DECIMALS - WALLET_DECIMALS);

/// An open position, or what is left of the memory of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Signed: long is positive.
    pub(super) qty: Qty,
    /// What it cost; negative for a short one.
    pub(super) cost: Cash,
    /// Realised by all that was ever closed of it, before fees.
    pub(super) realised: Cash,
    pub(super) updated: Time,
}

impl Position {
    /// Average price of the open part, rounded; zero if there is none.
    pub(super) fn entry(&self) -> Price {
        self.cost.per(self.qty).unwrap_or_default()
    }

    /// Profit or loss of the open part at this price.
    pub(super) fn unrealised(&self, price: Price) -> Cash {
        price.times(self.qty) - self.cost
    }

    /// Buys or sells; gives the profit realised.
    pub(super) fn trade(&mut self, side: Side, price: Price, qty: Qty) -> Cash {
        let closing = match (self.qty.is_positive(), side) {
            (true, Side::Sell) => qty.min(self.qty),
            (false, Side::Buy) => qty.min(-self.qty),
            _ => Qty::ZERO,
        };
        let opening = side.signed(qty - closing);
        let part = if closing == self.qty.abs() { self.cost } else { self.cost_of(closing) };
        let profit = -(part + price.times(side.signed(closing)));
        self.qty = self.qty + side.signed(closing) + opening;
        self.cost = self.cost - part + price.times(opening);
        self.realised += profit;
        profit
    }

    /// The part's share of the cost; counted in the wallet's grain, so that it is rounded once.
    fn cost_of(&self, part: Qty) -> Cash {
        let grains = Cash::from_raw(self.cost.raw() / GRAIN);
        let share = grains.share(part, self.qty.abs()).unwrap_or_default();
        Cash::from_raw(share.raw() * GRAIN)
    }
}

/// A position as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionView {
    /// Of which symbol.
    pub symbol: Symbol,
    /// Which of its positions.
    pub side: PositionSide,
    /// Signed: long is positive.
    pub qty: Qty,
    /// Average price of the open part; zero if there is none.
    pub entry: Price,
    /// Realised by all that was ever closed of it, before fees.
    pub realised: Cash,
    /// Profit or loss of the open part at the mark price.
    pub unrealised: Cash,
    /// The mark price.
    pub mark: Price,
    /// When it last changed.
    pub updated: Time,
}

/// Quote amounts of an account's open orders that could make a position of a symbol larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exposure {
    pub(super) bids: Cash,
    pub(super) asks: Cash,
}

impl Exposure {
    pub(super) fn side(&mut self, side: Side) -> &mut Cash {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

/// The largest leverage an account starts with.
const LEVERAGE: u32 = 20;

/// One account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: AccountSettings,
    pub(super) wallet: Cash,
    /// Are long and short positions kept apart?
    pub(super) hedge: bool,
    pub(super) multi_assets: bool,
    pub(super) leverage: BTreeMap<Symbol, u32>,
    pub(super) positions: BTreeMap<(Symbol, PositionSide), Position>,
    pub(super) exposures: BTreeMap<(Symbol, PositionSide), Exposure>,
    pub(super) income: Vec<Income>,
    pub(super) updated: Time,
}

impl Account {
    pub(super) fn new(settings: AccountSettings) -> Self {
        Self {
            settings,
            wallet: Cash::ZERO,
            hedge: false,
            multi_assets: false,
            leverage: BTreeMap::new(),
            positions: BTreeMap::new(),
            exposures: BTreeMap::new(),
            income: Vec::new(),
            updated: Time::default(),
        }
    }

    pub(super) fn position(&self, symbol: &Symbol, side: PositionSide) -> Position {
        self.positions.get(&(symbol.clone(), side)).copied().unwrap_or_default()
    }

    pub(super) fn exposure(&self, symbol: &Symbol, side: PositionSide) -> Exposure {
        self.exposures.get(&(symbol.clone(), side)).copied().unwrap_or_default()
    }

    pub(super) fn leverage(&self, symbol: &Symbol) -> u32 {
        self.leverage.get(symbol).copied().unwrap_or(LEVERAGE)
    }

    /// Symbols in which it has a position or an order.
    pub(super) fn symbols(&self) -> Vec<Symbol> {
        let held = self.positions.iter().filter(|(_, p)| !p.qty.is_zero()).map(|((symbol, _), _)| symbol);
        let asked = self.exposures.iter().filter(|(_, e)| **e != Exposure::default());
        let mut symbols: Vec<Symbol> = held.chain(asked.map(|((symbol, _), _)| symbol)).cloned().collect();
        symbols.sort();
        symbols.dedup();
        symbols
    }
}

/// What an account's margin looks like: all its positions at the mark price, all in the margin asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margin {
    /// What is in the wallet.
    pub wallet: Cash,
    /// Profit or loss of the open positions.
    pub unrealised: Cash,
    /// Margin its positions need at their leverage.
    pub position_initial: Cash,
    /// Margin its open orders need beyond that.
    pub order_initial: Cash,
    /// Margin its positions must keep, or they are liquidated.
    pub maintenance: Cash,
}

impl Margin {
    /// Wallet and unrealised profit.
    pub fn balance(&self) -> Cash {
        self.wallet + self.unrealised
    }
    /// Margin in use.
    pub fn initial(&self) -> Cash {
        self.position_initial + self.order_initial
    }
    /// What new orders may use; never negative.
    pub fn available(&self) -> Cash {
        (self.balance() - self.initial()).max(Cash::ZERO)
    }
    /// What may be taken out: like [`Margin::available`], but unrealised profit stays in.
    pub fn withdrawable(&self) -> Cash {
        (self.wallet + self.unrealised.min(Cash::ZERO) - self.initial()).max(Cash::ZERO)
    }
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Whose.
    pub account: AccountId,
    /// Fees and permissions.
    pub settings: AccountSettings,
    /// The margin asset.
    pub asset: Asset,
    /// Are long and short positions kept apart?
    pub hedge: bool,
    /// May several assets serve as margin together?
    pub multi_assets: bool,
    /// Its margin over all symbols.
    pub margin: Margin,
    /// When its wallet last changed; zero: never.
    pub updated: Time,
}
