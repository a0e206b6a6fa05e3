//! Do the books add up? Per asset: opening + sessions + external + unattributed = what the exchange says.
//!
//! A difference seen twice at least five seconds apart, unchanged, is booked to UNATTRIBUTED and told: a visible row
//! with an alarm, never an invented fill. When its explanation arrives later (a late fill), the next comparison takes
//! it back.
//!
//! Books that add up may still promise too much: what one session holds, another may have spent, on a fee in that asset
//! for example. Where sessions hold more of an asset than there is, those who hold it are told.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::io::LogLevel;
use crate::ids::{Asset, SessionId};
use crate::journal::{CashRecord, DebtRecord, Owner, Record};
use crate::num::Cash;
use crate::time::{Span, Time, earliest};
use crate::venue::port::{Account, Balance};

/// How long a difference must stand unchanged before it is believed.
const BELIEVE_AFTER: Span = Span::from_secs(5);
/// How long after the opening of the books a difference may still be its own though the link was lost meanwhile: a
/// minute for the rate budget to be renewed, which the first look at the account may wait for, and time to look twice.
const PROVISIONAL: Span = Span::from_secs(180);

/// How long a difference waits for the row of the interest history that may explain it.
const INTEREST_WITHIN: Span = Span::from_secs(60);

/// Reason of a cash row for what the account held when the books were opened.
const OPENING: &str = "opening";
/// Reason of a cash row for money that came or went by another way than trading.
pub(super) const TRANSFER: &str = "transfer";
const TRANSFERS_KEPT: usize = 1_000;

/// Balances as the exchange shows them, and differences seen.
#[derive(Debug, Default)]
pub(super) struct TieOut {
    balances: BTreeMap<Asset, Balance>,
    seen: BTreeMap<Asset, (Cash, Time)>,
    /// When the books were opened with what the account held, by the venue's clock.
    opened: Option<Time>,
    /// When that was first done; what is corrected of it later was so then.
    first_opened: Option<Time>,
    /// Nothing has agreed with the opening yet: a difference is still the opening's, which was read while something
    /// moved; for a while only, where the link has not held since.
    provisional: bool,
    interrupted: bool,
    /// How far the venue's clock is ahead.
    pub(super) offset: Span,
    /// What is owed of each asset, and the owners' sum, as last recorded.
    debts: BTreeMap<Asset, (Cash, Cash)>,
    /// Assets that a look at the account in this run has shown as owed since they last agreed with the books: interest
    /// on it may be still to be told, also where it was paid back by now.
    indebted: BTreeSet<Asset>,
    /// Assets of which sessions hold more than there is: what was lacking when it was told last.
    overdrawn: BTreeMap<Asset, Cash>,
    /// When each asset last agreed with the books.
    agreed: BTreeMap<Asset, Time>,
    /// Up to when the income history was read.
    pub(super) income_read: Option<Time>,
    /// Transfers booked lately: while connections are replaced the venue tells each on both.
    transfers: BTreeSet<(Time, Asset, Cash)>,
}

impl TieOut {
    pub(super) fn fold(&mut self, cash: &CashRecord) {
        if cash.reason == OPENING {
            self.opened = self.opened.max(Some(cash.time));
            self.first_opened = earliest(self.first_opened, Some(cash.time));
            (self.provisional, self.interrupted) = (true, true);
        }
        if cash.owner == Owner::Unattributed {
            // The opening had been agreed with by then: what explains this later takes this back.
            self.provisional = false;
        }
        if cash.reason == TRANSFER {
            self.transfers.insert((cash.time, cash.asset.clone(), cash.delta));
            if self.transfers.len() > TRANSFERS_KEPT {
                self.transfers.pop_first();
            }
        }
    }

    /// Is this transfer booked?
    pub(super) fn has_transfer(&self, asset: &Asset, delta: Cash, time: Time) -> bool {
        self.transfers.contains(&(time, asset.clone(), delta))
    }

    pub(super) fn fold_debt(&mut self, debt: &DebtRecord) {
        self.debts.insert(debt.asset.clone(), (debt.owed, debt.liabilities));
    }

    /// Are the books open?
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Since when something may be missing that explains a difference.
    pub(super) fn disputed_since(&self) -> Option<Time> {
        let agreed = |asset: &Asset| self.agreed.get(asset).copied().or(self.opened);
        self.seen.keys().filter_map(agreed).min()
    }

    /// Was something of that time in the account when the books were opened?
    pub(super) fn covers(&self, time: Time) -> bool {
        self.opened.is_none_or(|opened| time <= opened)
    }

    pub(super) fn set(&mut self, balance: Balance) {
        if balance.owed.is_positive() {
            self.indebted.insert(balance.asset.clone());
        }
        self.balances.insert(balance.asset.clone(), balance);
    }

    pub(super) fn balances(&self) -> impl Iterator<Item = &Balance> {
        self.balances.values()
    }

    /// When the books were opened with what the account held.
    pub(super) const fn opened(&self) -> Option<Time> {
        self.opened
    }

    /// When that was first done.
    pub(super) const fn first_opened(&self) -> Option<Time> {
        self.first_opened
    }

    /// Events may be missed from here on: they explain differences first, so one has to be seen anew before it is
    /// believed.
    pub(super) fn interrupted(&mut self) {
        self.seen.clear();
        self.interrupted = true;
    }

    /// It is in the books what the account has of an asset.
    fn agreed(&mut self, now: Time, asset: &Asset) {
        self.seen.remove(asset);
        self.agreed.insert(asset.clone(), now);
        if !self.owed(asset).is_positive() {
            self.indebted.remove(asset);
        }
    }

    /// Something was booked that may explain what was seen of an asset, and another of the same size may follow.
    pub(super) fn explained(&mut self, asset: &Asset) {
        self.seen.remove(asset);
    }

    fn is_provisional(&self, venue_time: Time) -> bool {
        let fresh = self.opened.is_some_and(|at| venue_time < at + PROVISIONAL);
        self.provisional && (fresh || !self.interrupted)
    }

    /// What the account has of an asset, as the exchange showed it last.
    pub(super) fn net(&self, asset: &Asset) -> Cash {
        self.balances.get(asset).map(Balance::net).unwrap_or_default()
    }

    /// Assets of which a difference was seen that is not believed yet.
    pub(super) fn differing(&self) -> usize {
        self.seen.len()
    }

    /// What is owed of an asset, as the exchange showed it last.
    pub(super) fn owed(&self, asset: &Asset) -> Cash {
        self.balances.get(asset).map_or(Cash::ZERO, |balance| balance.owed)
    }

    /// Free and locked.
    pub(super) fn balance(&self, asset: &Asset) -> (Cash, Cash) {
        self.balances.get(asset).map(|b| (b.free, b.locked)).unwrap_or_default()
    }
}

impl Gateway {
    /// Compares a fresh answer of the exchange with the books.
    pub(super) fn compare_account(&mut self, now: Time, account: Account) {
        let zeroed: Vec<Asset> = self.tie_out.balances.keys().cloned().collect();
        for asset in zeroed {
            self.tie_out.set(Balance::new(asset, Cash::ZERO, Cash::ZERO));
        }
        for balance in account.balances {
            self.tie_out.set(balance);
        }
        self.meet_positions(now);
        if self.scans.may_explain() {
            self.scans.judge_after = true;
            return self.tie_out.seen.clear();
        }
        let gaps = self.orders.open().any(|o| o.has_gap());
        if gaps || !self.orphans.is_empty() || !self.strays.is_empty() {
            // Fills the balances count are still being asked for.
            self.recovery.fault(now);
            return self.tie_out.seen.clear();
        }
        if self.fundings.unsettled(now) {
            return self.tie_out.seen.clear();
        }
        if self.tie_out.opened.is_none() {
            return self.open_books(now);
        }
        let mut assets: BTreeSet<Asset> = self.tie_out.balances.keys().cloned().collect();
        assets.extend(self.books.assets().map(|(_, asset, _)| asset.clone()));
        let differing: BTreeSet<Asset> =
            assets.iter().filter(|asset| !self.difference(asset).is_zero()).cloned().collect();
        if self.look_through(now, &differing) {
            return self.tie_out.seen.clear();
        }
        let settled = self.tie_out.opened.is_some_and(|at| self.venue_time(now) >= at + BELIEVE_AFTER);
        if differing.is_empty() && settled {
            self.tie_out.provisional = false;
        }
        for asset in assets {
            self.compare_asset(now, &asset);
            if self.config.margin {
                self.compare_debt(now, &asset);
            }
        }
        self.compare_claims(now);
    }

    /// Is there what sessions hold? A row below zero is what its session has spent of others'. On margin and of
    /// contracts such rows are debts and shorts, which the account has as well as the session.
    fn compare_claims(&mut self, now: Time) {
        if self.config.margin || self.books.contracts().next().is_some() {
            return;
        }
        let mut claims: BTreeMap<Asset, (Cash, Vec<SessionId>)> =
            self.tie_out.overdrawn.keys().map(|asset| (asset.clone(), Default::default())).collect();
        for (owner, asset, amount) in self.books.assets() {
            if let (Owner::Session(session), true) = (owner, amount.is_positive()) {
                let (claimed, holders) = claims.entry(asset.clone()).or_default();
                *claimed += amount;
                holders.push(session);
            }
        }
        for (asset, (claimed, holders)) in claims {
            // Until a difference is booked something may explain it.
            if self.difference(&asset).is_zero() {
                self.compare_claim(now, asset, claimed, &holders);
            }
        }
    }

    fn compare_claim(&mut self, now: Time, asset: Asset, claimed: Cash, holders: &[SessionId]) {
        let there = self.tie_out.net(&asset);
        let lacking = claimed - there;
        let told = self.tie_out.overdrawn.get(&asset).copied();
        if !lacking.is_positive() {
            if self.tie_out.overdrawn.remove(&asset).is_some() {
                self.log(LogLevel::Info, "there is what sessions hold again", format!("asset={asset}"));
            }
            return;
        }
        // Every fee makes it a little more: that is no news.
        if told.is_some_and(|told| lacking <= told + told) {
            return;
        }
        let fields = format!("asset={asset} sessions={claimed} account={there} lacking={lacking}");
        self.log(LogLevel::Warn, "sessions hold more of an asset than there is", fields);
        for session in holders {
            let message = format!(
                "sessions together hold {claimed} {asset}, and the account has {there}: others' fees or trades were paid \
                 with it, and {lacking} {asset} cannot be sold or spent"
            );
            self.notice(now, *session, "overdrawn", message, None);
        }
        self.tie_out.overdrawn.insert(asset, lacking);
    }

    /// What the account owes against what its owners owe: they differ where one owner's money serves another's debt.
    fn compare_debt(&mut self, now: Time, asset: &Asset) {
        let owed = self.tie_out.owed(asset);
        let liabilities: Cash = self.books.liabilities_now(asset).values().copied().sum();
        let seen = self.tie_out.debts.get(asset).copied().unwrap_or_default();
        if seen == (owed, liabilities) {
            return;
        }
        let difference = owed - liabilities;
        let fields = format!("asset={asset} owed={owed} liabilities={liabilities} difference={difference}");
        self.log(LogLevel::Info, "debts compared", fields);
        let record = DebtRecord { asset: asset.clone(), owed, liabilities, difference, time: now };
        self.tie_out.fold_debt(&record);
        self.emit(Record::Debt(record));
    }

    fn difference(&self, asset: &Asset) -> Cash {
        self.tie_out.net(asset) - self.books.total(asset)
    }

    /// The very first comparison: what the account holds beyond our sessions' trading is EXTERNAL's opening row.
    fn open_books(&mut self, now: Time) {
        let at = self.venue_time(now);
        let mut assets: BTreeSet<Asset> = self.tie_out.balances.keys().cloned().collect();
        assets.extend(self.books.assets().map(|(_, asset, _)| asset.clone()));
        let mut held: Vec<(Asset, Cash)> = (assets.iter())
            .map(|asset| (asset.clone(), self.difference(asset)))
            .filter(|(_, delta)| !delta.is_zero())
            .collect();
        if held.is_empty() {
            // A row of nothing: that the books are open must outlive this run.
            let quotes = self.instruments.iter().flat_map(BTreeMap::values).map(|i| i.quote.clone());
            held.extend(assets.into_iter().chain(quotes).next().map(|asset| (asset, Cash::ZERO)));
        }
        for (asset, delta) in held {
            self.book_cash(at, Owner::External, asset, delta, OPENING);
        }
        self.tie_out.opened = Some(at);
        (self.tie_out.provisional, self.tie_out.interrupted) = (true, false);
    }

    fn venue_time(&self, now: Time) -> Time {
        now + self.tie_out.offset
    }

    /// The account was read while something moved it: the first comparison that lasts is what it held, from the first:
    /// fundings since then are shared by that. What is found later of the time until now is in it.
    fn correct_opening(&mut self, now: Time, asset: &Asset, delta: Cash) {
        self.log(LogLevel::Info, "opening corrected", format!("asset={asset} by={delta}"));
        let at = self.venue_time(now);
        let first = self.tie_out.first_opened.unwrap_or(at);
        self.book_cash(first, Owner::External, asset.clone(), delta, OPENING);
        self.book_cash(at, Owner::External, asset.clone(), Cash::ZERO, OPENING);
    }

    fn compare_asset(&mut self, now: Time, asset: &Asset) {
        let delta = self.difference(asset);
        if delta.is_zero() {
            return self.tie_out.agreed(now, asset);
        }
        let interest = self.config.margin && delta.is_negative() && self.tie_out.indebted.contains(asset);
        let believe_after = if interest { INTEREST_WITHIN } else { BELIEVE_AFTER };
        match self.tie_out.seen.get(asset) {
            Some((seen, since))
                if *seen == delta && now.since(*since) >= believe_after && self.income_known(*since) =>
            {
                self.tie_out.seen.remove(asset);
                if self.tie_out.is_provisional(self.venue_time(now)) {
                    return self.correct_opening(now, asset, delta);
                }
                self.book_cash(now, Owner::Unattributed, asset.clone(), delta, "difference");
                let fields = format!("asset={asset} difference={delta}");
                self.log(LogLevel::Error, "the exchange's balance differs from the books", fields);
                let holders = self.books.assets().filter(|(_, a, _)| *a == asset);
                let sessions: Vec<_> = holders
                    .filter_map(
                        |(owner, ..)| if let Owner::Session(session) = owner { Some(session) } else { None },
                    )
                    .collect();
                for session in sessions {
                    let message = format!(
                        "the exchange has {delta} {asset} more than the books; booked as unattributed"
                    );
                    self.notice(now, session, "difference", message, None);
                }
            }
            Some((seen, _)) if *seen == delta => {}
            _ => {
                self.tie_out.seen.insert(asset.clone(), (delta, now));
                self.suspect_funding(now, asset);
                // Look again soon rather than at the next regular sweep, and among the trades that could explain it.
                self.recovery.fault(now);
                for symbol in self.books.symbols_of(asset) {
                    self.recovery.saw(&symbol);
                }
            }
        }
    }

    /// Has the income history been read since then, where contracts or loans are paid and charged by it?
    fn income_known(&self, since: Time) -> bool {
        let charged = self.config.margin || self.books.contracts().next().is_some();
        !charged || self.tie_out.income_read >= Some(since)
    }

    fn book_cash(&mut self, time: Time, owner: Owner, asset: Asset, delta: Cash, reason: &str) {
        let reason = reason.to_owned();
        self.emit(Record::Cash(CashRecord { owner, asset, delta, reason, time }));
    }
}
