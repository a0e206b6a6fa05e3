//! What the futures exchange tells.

use crate::exchange::config::AccountId;
use crate::exchange::event::{BestChange, BookChange, MarketEvent, OrderEvent};
use crate::exchange::futures::account::{Margin, PositionView};
use crate::exchange::futures::conditional::Conditional;
use crate::exchange::futures::contract::{ContractStatus, FundingRate, Marks};
use crate::ids::{Asset, Symbol, TradeId};
use crate::market::{PublicTrade, words};
use crate::num::Cash;
use crate::time::Time;

/// Anything the futures exchange tells. One call makes one transaction, or several that follow from each other; at
/// the end of each come its book changes and, per account touched, one [`AccountChange`]. The internal accounts get
/// no private events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Private: an order changed.
    Order(Box<OrderEvent>),
    /// Private: the wallet or positions changed.
    Account(AccountChange),
    /// Private: a booking in the wallet.
    Income(Income),
    /// Private: a conditional order changed.
    Conditional(Box<Conditional>),
    /// Private: a setting changed.
    Setting(SettingChange),
    /// Private: the margin is running out.
    MarginCall(MarginCall),
    /// Public: a trade.
    Trade {
        /// Of which symbol.
        symbol: Symbol,
        /// The trade.
        trade: PublicTrade,
    },
    /// Public: levels of the book changed.
    Book(BookChange),
    /// Public: the best bid or offer changed.
    Best(BestChange),
    /// Public: mark price, index or funding rate changed.
    Marks {
        /// Of which symbol.
        symbol: Symbol,
        /// When.
        time: Time,
        /// As they are now.
        marks: Marks,
    },
    /// Public: funding was settled.
    Funding {
        /// Of which symbol.
        symbol: Symbol,
        /// When, and at which rate and price.
        funding: FundingRate,
    },
    /// Public: a contract's status changed.
    Status {
        /// Of which symbol.
        symbol: Symbol,
        /// Its status now.
        status: ContractStatus,
    },
}

impl From<MarketEvent> for Event {
    fn from(event: MarketEvent) -> Self {
        match event {
            MarketEvent::Order(event) => Self::Order(event),
            MarketEvent::Trade(symbol, trade) => Self::Trade { symbol, trade },
            MarketEvent::Book(change) => Self::Book(change),
            MarketEvent::Best(change) => Self::Best(change),
        }
    }
}

words! {
    /// Why a wallet or a position changed.
    Reason {
        /// Money came in from outside.
        Deposit = "DEPOSIT",
        /// Money went out.
        Withdraw = "WITHDRAW",
        /// Orders traded.
        Order = "ORDER",
        /// Funding was paid or received.
        FundingFee = "FUNDING_FEE",
        /// The insurance fund paid or was paid.
        InsuranceClear = "INSURANCE_CLEAR",
    }
}

/// A wallet's new balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletChange {
    /// Of which asset.
    pub asset: Asset,
    /// What is in it now.
    pub balance: Cash,
    /// What came in or went out other than by profit and fees.
    pub change: Cash,
}

/// Absolute values of what a transaction touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// Whose.
    pub account: AccountId,
    /// When.
    pub time: Time,
    /// Why.
    pub reason: Reason,
    /// The wallet, if it changed.
    pub wallet: Option<WalletChange>,
    /// Positions that changed; a closed one has no quantity.
    pub positions: Vec<PositionView>,
    /// Which symbol's funding it is.
    pub symbol: Option<Symbol>,
}

words! {
    /// What a booking is.
    IncomeKind {
        /// Money moved between wallets.
        Transfer = "TRANSFER",
        /// Profit realised by closing a position.
        RealizedPnl = "REALIZED_PNL",
        /// A fee.
        Commission = "COMMISSION",
        /// Funding.
        FundingFee = "FUNDING_FEE",
        /// To or from the insurance fund.
        InsuranceClear = "INSURANCE_CLEAR",
    }
}

/// A booking in a wallet. The sum of all of an account is its balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Income {
    /// Its number; unique and rising over the exchange.
    pub id: u64,
    /// Whose.
    pub account: AccountId,
    /// What it is.
    pub kind: IncomeKind,
    /// Of which symbol, if of one.
    pub symbol: Option<Symbol>,
    /// In which asset.
    pub asset: Asset,
    /// How much; negative if paid.
    pub amount: Cash,
    /// When.
    pub time: Time,
    /// By which trade, if by one.
    pub trade_id: Option<TradeId>,
}

/// A setting's new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Whose.
    pub account: AccountId,
    /// When.
    pub time: Time,
    /// Which, and its value.
    pub setting: Setting,
}

/// A setting of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The leverage of a symbol.
    Leverage(Symbol, u32),
    /// May several assets serve as margin together?
    MultiAssets(bool),
    /// Are long and short positions kept apart?
    Hedge(bool),
}

/// An account's margin is nearly what its positions must keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginCall {
    /// Whose.
    pub account: AccountId,
    /// When.
    pub time: Time,
    /// Its margin over all symbols.
    pub margin: Margin,
    /// Its open positions, each with the margin it must keep.
    pub positions: Vec<(PositionView, Cash)>,
}
