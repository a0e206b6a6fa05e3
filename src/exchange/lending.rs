//! Cross margin: accounts of the spot exchange that may owe.
//!
//! A margin wallet is an account like any other, opened for it by [`Exchange::open_margin`]; it trades on the same
//! books. What it borrows comes from the house. Interest is charged on the principal at every whole multiple of the
//! interval since the epoch, rounded up to eight decimals, and is owed until it is repaid; repaying pays interest
//! first.
//!
//! The margin level is what the wallet holds ÷ what it owes, both valued in the valuation asset at the last trades (or
//! at prices set by hand; what has no price is worth nothing). Borrowing needs a level of 1.5 afterwards (three times
//! the equity), taking out 2.
//!
//! ```text
//!   NORMAL ──≤1.3──▶ MARGIN_CALL ──≤1.15──▶ PRE_LIQUIDATION ──≤1.1──▶ FORCE_LIQUIDATION     and back as it rises
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::account::Bank;
use crate::exchange::config::{AccountId, Rate};
use crate::exchange::engine::Exchange;
use crate::exchange::event::Event;
use crate::exchange::market::{Slot, next};
use crate::exchange::order::PositionTerms;
use crate::exchange::request::{Cancel, Canceled, Placed, Reject, Request};
use crate::ids::{Asset, Symbol, VenueOrderId};
use crate::market::{SideEffect, words};
use crate::num::{Cash, ONE, Price};
use crate::time::{Span, Time};

/// Interest per hour of assets whose rate is not set: 0.0005 %.
const INTEREST: Rate = Rate::hundredths_of_basis_point(5);
/// Eight decimals.
const GRAIN: i128 = 100;

words! {
    /// What happened to a liability.
    LiabilityKind {
        /// It grew by a loan.
        Borrow = "BORROW",
        /// It was repaid, wholly or in part.
        Repay = "REPAY",
        /// Interest was charged.
        Interest = "INTEREST",
    }
}

words! {
    /// How near a margin wallet is to its end.
    LevelStatus {
        /// Far.
        Normal = "NORMAL",
        /// More margin is wanted.
        MarginCall = "MARGIN_CALL",
        /// Nearly there.
        PreLiquidation = "PRE_LIQUIDATION",
        /// There.
        ForceLiquidation = "FORCE_LIQUIDATION",
    }
}

/// What a wallet owes of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Loan {
    /// Borrowed and not repaid.
    pub borrowed: Cash,
    /// Charged and not repaid.
    pub interest: Cash,
}

impl Loan {
    /// All that is owed.
    pub fn owed(&self) -> Cash {
        self.borrowed + self.interest
    }
}

/// A liability changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiabilityChange {
    /// Number of the booking; unique and rising.
    pub id: u64,
    /// Whose.
    pub account: AccountId,
    /// When.
    pub time: Time,
    /// Of which asset.
    pub asset: Asset,
    /// What happened.
    pub kind: LiabilityKind,
    /// Change of the principal.
    pub principal: Cash,
    /// Change of the interest owed.
    pub interest: Cash,
    /// What is owed now.
    pub loan: Loan,
}

/// What is told of margin wallets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarginEvent {
    /// Private: a liability changed.
    Liability(LiabilityChange),
    /// Private: the status of the margin level changed.
    Level {
        /// Whose.
        account: AccountId,
        /// When.
        time: Time,
        /// The level; `None` if nothing is owed.
        level: Option<Price>,
        /// Its status.
        status: LevelStatus,
    },
}

/// Reply to an order of a margin wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginPlaced {
    /// The order.
    pub placed: Placed,
    /// What was borrowed for it.
    pub borrowed: Option<(Asset, Cash)>,
}

/// Why something is refused to a margin wallet. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarginReject {
    /// As on spot.
    #[error(transparent)]
    Spot(#[from] Reject),
    /// It is not a margin wallet.
    #[error("the account is not a margin wallet")]
    NotMargin,
    /// Zero or less, or not a multiple of 10⁻⁸.
    #[error("the amount must be above zero and have at most eight decimals")]
    Amount,
    /// More than its equity allows.
    #[error("the loan would exceed what the equity allows")]
    BorrowLimit,
    /// Nothing of the asset is owed.
    #[error("nothing of the asset is owed")]
    NothingOwed,
    /// The margin level would be too low afterwards.
    #[error("the margin level would be below 2 after the transfer")]
    LevelTooLow,
}

/// Margin wallets.
#[derive(Debug, Default)]
pub(super) struct Lending {
    pub(super) loans: BTreeMap<AccountId, BTreeMap<Asset, Loan>>,
    pub(super) prices: BTreeMap<Asset, Price>,
    pub(super) valued_in: Option<Asset>,
    rates: BTreeMap<Asset, Rate>,
    every: Option<Span>,
    charged: Time,
    bookings: u64,
    status: BTreeMap<AccountId, LevelStatus>,
    /// Open orders that repay with what they receive.
    repaying: BTreeSet<(Symbol, VenueOrderId)>,
    /// What was borrowed for an order that repays it when it is cancelled.
    advanced: BTreeMap<(Symbol, VenueOrderId), (Asset, Cash)>,
    /// What such orders have received since.
    pub(super) received: Vec<(AccountId, Asset, Cash)>,
    /// The account whose order may borrow just now, and what it did.
    borrowing: Option<(AccountId, Option<(Asset, Cash)>)>,
    told: Vec<LiabilityChange>,
}

impl Lending {
    fn loan(&self, id: AccountId, asset: &Asset) -> Loan {
        self.loans.get(&id).and_then(|loans| loans.get(asset)).copied().unwrap_or_default()
    }

    /// Does any wallet owe anything that bears interest?
    fn is_owed(&self) -> bool {
        self.loans.values().flatten().any(|(_, loan)| !loan.borrowed.is_zero())
    }

    /// Remembers what a fill received, if its order repays with it.
    pub(super) fn receive(&mut self, slot: &Slot, asset: &Asset, amount: Cash) {
        let order = &slot.order;
        if !self.repaying.is_empty() && self.repaying.contains(&(order.symbol.clone(), order.id)) {
            self.received.push((order.account, asset.clone(), amount));
        }
    }

    pub(super) fn take_told(&mut self) -> Vec<LiabilityChange> {
        std::mem::take(&mut self.told)
    }
}

impl Bank {
    fn worth(&self, asset: &Asset, amount: Cash) -> Cash {
        if self.lending.valued_in.as_ref() == Some(asset) {
            return amount;
        }
        let price = self.lending.prices.get(asset).copied().unwrap_or_default();
        price.times(amount.as_qty())
    }

    /// What a margin wallet holds and what it owes, in the valuation asset.
    fn weigh(&self, id: AccountId) -> (Cash, Cash) {
        let holdings = self.accounts.get(&id).into_iter().flat_map(|account| &account.holdings);
        let held = holdings.map(|(asset, held)| self.worth(asset, held.free + held.locked)).sum();
        let loans = self.lending.loans.get(&id).into_iter().flatten();
        (held, loans.map(|(asset, loan)| self.worth(asset, loan.owed())).sum())
    }

    /// How much more of an asset a wallet may borrow: three times its equity in all.
    fn borrowable(&self, id: AccountId, asset: &Asset) -> Cash {
        let (held, owed) = self.weigh(id);
        let room = (held - owed - owed + held - owed).max(Cash::ZERO);
        let one = self.worth(asset, Cash::whole(1)).raw();
        if one <= 0 {
            return Cash::ZERO;
        }
        Cash::from_raw(room.raw() / GRAIN * ONE / one * GRAIN)
    }

    fn change_loan(&mut self, now: Time, id: AccountId, asset: &Asset, kind: LiabilityKind, by: Loan) {
        let lending = &mut self.lending;
        let loans = lending.loans.entry(id).or_default();
        let loan = loans.entry(asset.clone()).or_default();
        loan.borrowed += by.borrowed;
        loan.interest += by.interest;
        lending.told.push(LiabilityChange {
            id: next(&mut lending.bookings),
            account: id,
            time: now,
            asset: asset.clone(),
            kind,
            principal: by.borrowed,
            interest: by.interest,
            loan: *loan,
        });
    }

    fn lend(&mut self, now: Time, id: AccountId, asset: &Asset, amount: Cash) {
        self.credit(AccountId::HOUSE, asset, -amount);
        self.credit(id, asset, amount);
        if !self.lending.is_owed() {
            // Nobody has asked for the time since the last loan was repaid.
            self.lending.charged = self.lending.charged.max(now);
        }
        let by = Loan { borrowed: amount, interest: Cash::ZERO };
        self.change_loan(now, id, asset, LiabilityKind::Borrow, by);
    }

    /// Pays back as much as is owed and free, interest first.
    fn pay_back(&mut self, now: Time, id: AccountId, asset: &Asset, most: Cash) -> Cash {
        let loan = self.lending.loan(id, asset);
        let free = self.holding(id, asset).free.max(Cash::ZERO);
        let amount = most.min(free).min(loan.owed());
        if !amount.is_positive() {
            return Cash::ZERO;
        }
        let interest = amount.min(loan.interest);
        self.charge(id, asset, interest);
        let borrowed = amount - interest;
        self.credit(id, asset, -borrowed);
        self.credit(AccountId::HOUSE, asset, borrowed);
        let by = Loan { borrowed: -borrowed, interest: -interest };
        self.change_loan(now, id, asset, LiabilityKind::Repay, by);
        amount
    }

    /// Borrows what an order lacks, if its side effect says so and the wallet's equity allows.
    pub(super) fn borrow_for(&mut self, now: Time, id: AccountId, asset: &Asset, needed: Cash) {
        let missing = needed - self.holding(id, asset).free;
        let missing = Cash::from_raw((missing.raw() + GRAIN - 1).div_euclid(GRAIN) * GRAIN);
        let allowed = matches!(self.lending.borrowing, Some((of, None)) if of == id);
        if allowed && missing.is_positive() && missing <= self.borrowable(id, asset) {
            self.lend(now, id, asset, missing);
            self.lending.borrowing = Some((id, Some((asset.clone(), missing))));
        }
    }
}

impl Exchange<Bank> {
    /// Makes an open account a margin wallet.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn open_margin(&mut self, account: AccountId) -> Result<(), Reject> {
        self.account(account)?;
        self.settlement.lending.loans.entry(account).or_default();
        Ok(())
    }

    /// In which asset margin wallets are valued. Its trades set the prices of what is traded against it.
    pub fn value_margin_in(&mut self, asset: Asset) {
        self.settlement.lending.valued_in = Some(asset);
    }

    /// Sets an asset's price in the valuation asset, until its next trade.
    pub fn set_margin_price(&mut self, asset: &Asset, price: Price) {
        self.settlement.lending.prices.insert(asset.clone(), price);
    }

    /// Sets the interest of an asset, per interval.
    pub fn set_interest(&mut self, asset: &Asset, rate: Rate) {
        self.settlement.lending.rates.insert(asset.clone(), rate);
    }

    /// Sets the time between two charges of interest; an hour at first.
    pub fn set_interest_interval(&mut self, now: Time, every: Span) {
        let now = self.advance(now);
        self.settlement.lending.every = Some(every);
        self.settlement.lending.charged = now;
    }

    fn margin_wallet(&self, account: AccountId) -> Result<(), MarginReject> {
        self.account(account)?;
        let known = self.settlement.lending.loans.contains_key(&account);
        if known { Ok(()) } else { Err(MarginReject::NotMargin) }
    }

    /// Borrows; gives the booking's number.
    ///
    /// # Errors
    /// [`MarginReject`]; nothing has happened then.
    pub fn borrow(
        &mut self,
        now: Time,
        account: AccountId,
        asset: &Asset,
        amount: Cash,
    ) -> Result<u64, MarginReject> {
        let now = self.advance(now);
        self.margin_wallet(account)?;
        check_amount(amount)?;
        if amount > self.settlement.borrowable(account, asset) {
            return Err(MarginReject::BorrowLimit);
        }
        self.settlement.lend(now, account, asset, amount);
        self.tell_margin();
        Ok(self.settlement.lending.bookings)
    }

    /// Repays, interest first, at most what is owed and free; gives the booking's number and the amount.
    ///
    /// # Errors
    /// [`MarginReject::NothingOwed`]; [`Reject::InsufficientBalance`] if nothing is free.
    pub fn repay(
        &mut self,
        now: Time,
        account: AccountId,
        asset: &Asset,
        amount: Cash,
    ) -> Result<(u64, Cash), MarginReject> {
        let now = self.advance(now);
        self.margin_wallet(account)?;
        check_amount(amount)?;
        if self.settlement.lending.loan(account, asset).owed().is_zero() {
            return Err(MarginReject::NothingOwed);
        }
        let paid = self.settlement.pay_back(now, account, asset, amount);
        if paid.is_zero() {
            return Err(Reject::InsufficientBalance.into());
        }
        self.tell_margin();
        Ok((self.settlement.lending.bookings, paid))
    }

    /// Moves money between two wallets.
    ///
    /// # Errors
    /// [`Reject::InsufficientBalance`]; [`MarginReject::LevelTooLow`] if it leaves a margin wallet that owes.
    pub fn move_between(
        &mut self,
        now: Time,
        (from, to): (AccountId, AccountId),
        asset: &Asset,
        amount: Cash,
    ) -> Result<(), MarginReject> {
        self.account(to)?;
        check_amount(amount)?;
        if self.margin_wallet(from).is_ok() {
            let (held, owed) = self.settlement.weigh(from);
            let left = held - self.settlement.worth(asset, amount);
            if owed.is_positive() && left.raw() < 2 * owed.raw() {
                return Err(MarginReject::LevelTooLow);
            }
        }
        self.withdraw(now, from, asset, amount)?;
        Ok(self.deposit(now, to, asset, amount)?)
    }

    /// Takes an order of a margin wallet. With `repay_at_cancel`, what was borrowed for it is repaid as far as possible
    /// when it is cancelled.
    ///
    /// # Errors
    /// [`MarginReject`]; nothing has happened then. [`MarginReject::BorrowLimit`] if the loan it needs is too large.
    pub fn place_margin(
        &mut self,
        now: Time,
        account: AccountId,
        request: &Request,
        effect: SideEffect,
        repay_at_cancel: bool,
    ) -> Result<MarginPlaced, MarginReject> {
        self.margin_wallet(account)?;
        if effect.borrows() {
            self.settlement.lending.borrowing = Some((account, None));
        }
        let symbol = request.symbol.clone();
        let number = self.markets.get(&symbol).map_or(0, |market| market.counters.order + 1);
        let key = (symbol, number);
        if effect.repays() {
            self.settlement.lending.repaying.insert(key.clone());
        }
        let terms = PositionTerms::default();
        let placed = self.transact(now, account, &request.symbol, |t| t.place(account, request, &terms));
        let borrowed = self.settlement.lending.borrowing.take().and_then(|(_, borrowed)| borrowed);
        if let Some(loan) = borrowed.clone().filter(|_| repay_at_cancel && placed.is_ok()) {
            self.settlement.lending.advanced.insert(key.clone(), loan);
        }
        match placed {
            Ok(placed) => Ok(MarginPlaced { placed, borrowed }),
            Err(reject) => {
                self.settlement.lending.repaying.remove(&key);
                let limited = effect.borrows() && reject == Reject::InsufficientBalance;
                Err(if limited { MarginReject::BorrowLimit } else { reject.into() })
            }
        }
    }

    /// Cancels an order of a margin wallet.
    ///
    /// # Errors
    /// [`MarginReject`]; nothing has happened then.
    pub fn cancel_margin(
        &mut self,
        now: Time,
        account: AccountId,
        cancel: &Cancel,
    ) -> Result<Canceled, MarginReject> {
        self.margin_wallet(account)?;
        let canceled = self.cancel(now, account, cancel)?;
        let key = (canceled.order.symbol.clone(), canceled.order.id);
        if let Some((asset, amount)) = self.settlement.lending.advanced.remove(&key) {
            let now = self.now();
            self.settlement.pay_back(now, account, &asset, amount);
            self.tell_margin();
        }
        Ok(canceled)
    }

    /// What a margin wallet owes, by asset.
    ///
    /// # Errors
    /// [`MarginReject::NotMargin`], [`Reject::UnknownAccount`].
    pub fn loans(&self, account: AccountId) -> Result<Vec<(Asset, Loan)>, MarginReject> {
        self.margin_wallet(account)?;
        let loans = self.settlement.lending.loans.get(&account).into_iter().flatten();
        Ok(loans.map(|(asset, loan)| (asset.clone(), *loan)).collect())
    }

    /// How much more of an asset a margin wallet may borrow.
    ///
    /// # Errors
    /// [`MarginReject::NotMargin`], [`Reject::UnknownAccount`].
    pub fn max_borrowable(&self, account: AccountId, asset: &Asset) -> Result<Cash, MarginReject> {
        self.margin_wallet(account)?;
        Ok(self.settlement.borrowable(account, asset))
    }

    /// What a margin wallet holds and what it owes, in the valuation asset.
    ///
    /// # Errors
    /// [`MarginReject::NotMargin`], [`Reject::UnknownAccount`].
    pub fn margin_worth(&self, account: AccountId) -> Result<(Cash, Cash), MarginReject> {
        self.margin_wallet(account)?;
        Ok(self.settlement.weigh(account))
    }

    /// The margin level, cut off at eight decimals; `None` if nothing is owed.
    ///
    /// # Errors
    /// [`MarginReject::NotMargin`], [`Reject::UnknownAccount`].
    pub fn margin_level(&self, account: AccountId) -> Result<Option<Price>, MarginReject> {
        let (held, owed) = self.margin_worth(account)?;
        let level = |owed: i128| Price::from_raw(held.raw() / GRAIN * ONE / owed * GRAIN);
        Ok(owed.is_positive().then(|| level(owed.raw())))
    }

    /// When it wants to be called next by [`Exchange::margin_timer`]: when the next interest is due.
    pub fn margin_deadline(&self) -> Option<Time> {
        let lending = &self.settlement.lending;
        let every = lending.every.unwrap_or(Span::from_secs(3_600)).nanos().max(1);
        lending.is_owed().then(|| Time::from_nanos((lending.charged.nanos().div_euclid(every) + 1) * every))
    }

    /// Charges the interest that is due and tells whose margin level changed its status.
    pub fn margin_timer(&mut self, now: Time) {
        while let Some(at) = self.margin_deadline().filter(|at| *at <= now) {
            let at_or_later = self.advance(at);
            self.settlement.lending.charged = at;
            self.charge_interest(at_or_later);
        }
        self.advance(now);
        if self.margin_deadline().is_none() {
            self.settlement.lending.charged = self.now();
        }
        self.tell_levels();
    }

    fn charge_interest(&mut self, now: Time) {
        let lending = &self.settlement.lending;
        let all = lending.loans.iter().flat_map(|(id, loans)| loans.iter().map(move |loan| (*id, loan)));
        let due: Vec<(AccountId, Asset, Cash)> = all
            .map(|(id, (asset, loan))| {
                let rate = i128::from(lending.rates.get(asset).copied().unwrap_or(INTEREST).raw());
                let exact = loan.borrowed.raw() * rate;
                let step = ONE * GRAIN;
                (id, asset.clone(), Cash::from_raw((exact + step - 1) / step * GRAIN))
            })
            .collect();
        for (id, asset, interest) in due.into_iter().filter(|(_, _, interest)| interest.is_positive()) {
            let by = Loan { borrowed: Cash::ZERO, interest };
            self.settlement.change_loan(now, id, &asset, LiabilityKind::Interest, by);
        }
        self.tell_margin();
    }

    fn tell_levels(&mut self) {
        let wallets: Vec<AccountId> = self.settlement.lending.loans.keys().copied().collect();
        for account in wallets {
            let level = self.margin_level(account).ok().flatten();
            let status = status_of(level);
            let before = self.settlement.lending.status.insert(account, status);
            if before.unwrap_or(LevelStatus::Normal) != status {
                let time = self.now();
                self.events.push(Event::Margin(MarginEvent::Level { account, time, level, status }));
            }
        }
    }

    fn tell_margin(&mut self) {
        let now = self.now();
        crate::exchange::settlement::Settlement::tell(&mut self.settlement, now, &mut self.events);
    }

    /// Repays with what orders that repay have received since the last call, and forgets the ended ones.
    pub(super) fn run_repayments(&mut self) {
        if self.settlement.lending.repaying.is_empty() && self.settlement.lending.advanced.is_empty() {
            return;
        }
        let now = self.now();
        for (account, asset, amount) in std::mem::take(&mut self.settlement.lending.received) {
            self.settlement.pay_back(now, account, &asset, amount);
        }
        let markets = &self.markets;
        let open = |(symbol, id): &(Symbol, VenueOrderId)| {
            let slot = markets.get(symbol).and_then(|market| market.orders.get(id));
            slot.is_some_and(|slot| slot.order.status.is_open())
        };
        let filled = |(symbol, id): &(Symbol, VenueOrderId)| {
            let slot = markets.get(symbol).and_then(|market| market.orders.get(id));
            slot.is_some_and(|slot| slot.order.status == crate::exchange::OrderStatus::Filled)
        };
        self.settlement.lending.repaying.retain(open);
        self.settlement.lending.advanced.retain(|key, _| !filled(key));
        self.tell_margin();
    }

    /// Takes over what margin wallets owed before, the number of the last booking, and which open orders repay with
    /// what they receive.
    ///
    /// # Errors
    /// [`MarginReject::NotMargin`], [`Reject::UnknownAccount`].
    pub fn restore_margin(
        &mut self,
        now: Time,
        loans: &[(AccountId, Asset, Loan)],
        bookings: u64,
        repaying: &[(Symbol, VenueOrderId)],
    ) -> Result<(), MarginReject> {
        self.settlement.lending.charged = self.advance(now);
        for (account, asset, loan) in loans {
            self.margin_wallet(*account)?;
            let of = self.settlement.lending.loans.entry(*account).or_default();
            of.insert(asset.clone(), *loan);
            self.settlement.credit(AccountId::HOUSE, asset, -loan.borrowed);
        }
        self.settlement.lending.bookings = bookings;
        self.settlement.lending.repaying.extend(repaying.iter().cloned());
        Ok(())
    }
}

fn check_amount(amount: Cash) -> Result<(), MarginReject> {
    let fine = amount.is_positive() && amount.raw() % GRAIN == 0;
    if fine { Ok(()) } else { Err(MarginReject::Amount) }
}

fn status_of(level: Option<Price>) -> LevelStatus {
    let Some(level) = level.map(|level| level.raw() * 100 / ONE) else { return LevelStatus::Normal };
    match level {
        ..=110 => LevelStatus::ForceLiquidation,
        111..=115 => LevelStatus::PreLiquidation,
        116..=130 => LevelStatus::MarginCall,
        _ => LevelStatus::Normal,
    }
}
