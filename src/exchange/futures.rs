//! The simulated futures exchange: USDT-margined linear perpetuals over the same engine as spot.
//!
//! [`Futures`] is an [`Exchange`](crate::exchange::Exchange) that settles positions instead of assets. An account has
//! one wallet in the margin asset, and per symbol one position (one-way mode) or a long and a short one (hedge mode),
//! all of them on cross margin.
//!
//! Laws, checked after every step of the tests:
//! - the sum over all accounts, the internal ones included, of wallet − cost of open positions changes by deposits and
//!   withdrawals only, so equity is never created, whatever the mark price;
//! - the sum of all positions of a symbol is zero;
//! - an order that may only reduce never opens a position.
//!
//! ```text
//!   order ─▶ filters ─▶ engine checks ─▶ margin ─▶ New ─▶ match ─▶ rest | end ─▶ book, income, account
//!            Reject ◀──────┴───────────────┘                │
//!                                    fill: position, realised profit, fee ─▶ reduce-only orders without one end
//! ```

mod account;
mod admission;
mod clearing;
mod conditional;
mod contract;
mod delivery;
mod engine;
mod event;
mod liquidation;
mod margin;
mod modify;
mod price;
mod request;
mod restore;
mod timer;

pub use account::{AccountView, Margin, PositionView};
pub use conditional::{ChildName, Conditional, ConditionalStatus, NewConditional};
pub use contract::{Bracket, Contract, ContractStatus, FundingRate, Marks};
pub use engine::Futures;
pub use event::{
    AccountChange, Event, Income, IncomeKind, MarginCall, Reason, Setting, SettingChange, WalletChange,
};
pub use request::{Modified, Modify, NewOrder, Reject};
pub use restore::{AccountPast, Past};

#[cfg(test)]
mod tests;
