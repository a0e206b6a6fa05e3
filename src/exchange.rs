//! The simulated exchange: a pure, deterministic core that a server, a backtest or a test puts its own protocol on.
//!
//! [`Exchange`] takes calls (`place`, `cancel`, `cancel_replace`, `amend_keep_priority`, `deposit`, …), answers each
//! at once with a reply or a [`Reject`], and queues [`Event`]s, private per account and public per symbol, which the
//! caller takes by [`Exchange::drain_events`]. Queries read it without changing it.
//!
//! Laws, checked after every step of the tests:
//! - matching is by price, then by time, in whole ticks and lots; money is exact;
//! - the sum of each asset over all accounts, the internal ones included, changes by deposits and withdrawals only;
//! - no client's balance is ever negative, and what is locked is what its open orders need;
//! - the events alone rebuild orders, balances and book.
//!
//! Order, trade and execution ids count per symbol, as on the venues it stands for: an id means nothing without its
//! symbol.
//!
//! ```text
//!   request ─▶ filters ─▶ engine checks ─▶ lock ─▶ New ─▶ match ─▶ rest | end ─▶ fired stops ─▶ book, best, balances
//!              Reject ◀──────┴──────────────┘
//! ```

mod account;
mod admission;
mod book;
mod config;
mod engine;
mod event;
mod fees;
pub mod filters;
pub mod futures;
mod house;
mod lending;
mod market;
mod matching;
mod order;
mod query;
mod replay;
mod request;
mod restore;
mod settlement;
mod spot;
mod stop;
mod synthetic;
mod transaction;

pub use config::{
    AccountId, AccountSettings, BookSource, Coarser, Config, Limits, Listing, ListingError, PercentPrice,
    Rate,
};
pub use engine::Exchange;
pub use event::{
    Balance, BalanceChange, BestChange, BookChange, Change, Event, MarketEvent, OrderEvent, Transfer,
};
pub use house::House;
pub use lending::{
    LevelStatus, LiabilityChange, LiabilityKind, Loan, MarginEvent, MarginPlaced, MarginReject,
};
pub use order::{
    Expiry, Fill, Order, OrderStatus, Origin, PositionSide, PositionTerms, PreventedMatch, Prevention,
};
pub use replay::ReplayError;
pub use request::{
    Amend, Amended, Cancel, CancelReplaceMode, CancelReplaced, CancelRestriction, Canceled, Filter, OrderRef,
    Page, Placed, Reject, Request,
};
pub use restore::{LastNumbers, Past, RestoreError};
pub use synthetic::{Synthetic, SyntheticConfig};

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
