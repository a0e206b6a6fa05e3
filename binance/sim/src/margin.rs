//! Cross margin: `/sapi/v1/margin`, on the spot books. Every account has a margin wallet; isolated margin is refused.
//!
//! A margin wallet is an account of the matching core of its own, numbered after all spot accounts, and named
//! `<account>/margin` in the journals and the control interface.

mod account;
mod interest;
pub(crate) mod methods;
mod orders;
mod tokens;

use std::collections::BTreeMap;

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, TimeUnit};
use tradingsys::exchange::{AccountId, LiabilityChange, MarginEvent, MarginReject};
use tradingsys::ids::Asset;
use tradingsys::time::Time;

use crate::io::Journal;
use crate::limits::RateLimits;
use crate::methods::Call;
use crate::params::Params;
use crate::sim::Sim;
use crate::trading::refusal;

/// All that is of margin alone.
#[derive(Debug)]
pub(crate) struct Margin {
    /// Every endpoint's pool. One unit of an address's weight counts as fifteen.
    pub(crate) rates: RateLimits,
    /// Listen tokens: whose, and until when.
    pub(crate) tokens: BTreeMap<String, (AccountId, Time)>,
    /// When the core wants to be called next, as planned.
    pub(crate) planned: Option<Time>,
    /// Number of the last transfer.
    pub(crate) transfers: u64,
    /// What wallets were charged, oldest first.
    pub(crate) interest: Vec<LiabilityChange>,
}

impl Margin {
    /// Nothing has happened yet.
    pub(crate) fn new(rates: RateLimits, interest: Vec<LiabilityChange>) -> Self {
        Self { rates, tokens: BTreeMap::new(), planned: None, transfers: 0, interest }
    }
}

/// A refusal in the venue's words.
fn margin_refusal(reject: MarginReject) -> ErrorReply {
    let (code, words) = match reject {
        MarginReject::Spot(reject) => return refusal(reject),
        MarginReject::NotMargin => (-3003, "Margin account does not exist."),
        MarginReject::Amount => (-3026, "The amount must be positive and have at most eight decimals."),
        MarginReject::BorrowLimit => (-3006, "Your borrow amount has exceed maximum borrow amount."),
        MarginReject::NothingOwed => (-3015, "Repay amount exceeds borrow amount."),
        MarginReject::LevelTooLow => (-3020, "Transfer out amount exceeds max amount."),
    };
    ErrorReply::bad(code, words)
}

/// Refuses what is meant for an isolated account.
///
/// # Errors
/// -11001: there is none.
fn cross_only(params: &Params) -> Result<(), ErrorReply> {
    match params.text("isIsolated")?.map(str::to_ascii_uppercase).as_deref() {
        None | Some("FALSE") => Ok(()),
        Some("TRUE") => Err(ErrorReply::bad(-11001, "Isolated margin account doesn't exist.")),
        Some(_) => Err(ErrorReply::invalid("isIsolated")),
    }
}

impl Sim {
    /// The margin wallet of an account.
    pub(crate) fn margin_of(&self, account: AccountId) -> AccountId {
        AccountId(account.0 + u32::try_from(self.config.accounts.len()).expect("accounts are few"))
    }

    fn wallet(&self, call: &Call<'_>) -> AccountId {
        self.margin_of(call.account)
    }

    fn asset(&self, params: &Params) -> Result<Asset, ErrorReply> {
        let asset = Asset::new(params.need("asset")?);
        let listed = self
            .exchange
            .listings()
            .any(|listing| listing.instrument.base == asset || listing.instrument.quote == asset);
        if listed { Ok(asset) } else { Err(ErrorReply::bad(-3027, "Not a valid margin asset.")) }
    }

    /// What a margin wallet owes changed, or how near it is to its end.
    pub(crate) fn tell_margin(&mut self, now: Time, event: &MarginEvent) {
        match event {
            MarginEvent::Liability(change) => self.tell_liability(now, change),
            MarginEvent::Level { account, level, status, .. } => {
                let level = level.map_or("999".to_owned(), |level| level.to_string());
                self.tell_futures(*account, ("MARGIN_LEVEL_STATUS_CHANGE", status.as_str()), || {
                    Object::new()
                        .text("e", "MARGIN_LEVEL_STATUS_CHANGE")
                        .int("E", now.millis())
                        .text("l", &level)
                        .text("s", status.as_str())
                        .end()
                });
            }
        }
    }

    fn tell_liability(&mut self, now: Time, change: &LiabilityChange) {
        self.remember_interest(change);
        let name = self.account_name(change.account).to_owned();
        let line = Object::new()
            .int("id", change.id)
            .text("account", &name)
            .text("asset", change.asset.as_str())
            .text("kind", change.kind.as_str())
            .text("principal", &change.principal.to_string())
            .text("interest", &change.interest.to_string())
            .text("borrowed", &change.loan.borrowed.to_string())
            .text("interest_owed", &change.loan.interest.to_string())
            .int("time", change.time.millis());
        self.staged.lines.push((Journal::Liabilities, line.end()));
        self.tell_futures(change.account, ("USER_LIABILITY_CHANGE", change.kind.as_str()), || {
            Object::new()
                .text("e", "USER_LIABILITY_CHANGE")
                .int("E", TimeUnit::Millis.of(now))
                .text("a", change.asset.as_str())
                .text("t", change.kind.as_str())
                .text("p", &change.loan.borrowed.to_string())
                .text("i", &change.loan.interest.to_string())
                .end()
        });
    }

    /// Plans the next interest.
    pub(crate) fn plan_interest(&mut self) {
        let next = self.exchange.margin_deadline();
        if let Some(next) = next.filter(|next| self.margin.planned.is_none_or(|planned| *next < planned)) {
            self.margin.planned = Some(next);
            let now = self.venue_time();
            self.later(next.since(now), crate::sim::Task::Interest);
        }
    }
}
