//! The bank: every account's balances, and the moves between them.
//!
//! Each move keeps the sum of an asset over all accounts (the internal ones included) as it is; only deposits and
//! withdrawals change it.

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::config::{AccountId, AccountSettings, Rate};
use crate::exchange::event::{Balance, BalanceChange};
use crate::exchange::fees::FeeAsset;
use crate::exchange::lending::Lending;
use crate::ids::Asset;
use crate::num::Cash;
use crate::time::Time;

/// What an account has of one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) free: Cash,
    pub(super) locked: Cash,
}

impl Holding {
    pub(super) fn balance(self, asset: &Asset) -> Balance {
        Balance { asset: asset.clone(), free: self.free, locked: self.locked }
    }
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: AccountSettings,
    pub(super) holdings: BTreeMap<Asset, Holding>,
    pub(super) updated: Time,
}

/// All accounts.
#[derive(Debug)]
pub struct Bank {
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) fee_asset: FeeAsset,
    pub(super) lending: Lending,
    touched: BTreeMap<AccountId, BTreeSet<Asset>>,
}

impl Bank {
    /// A bank with the two internal accounts.
    pub(super) fn new(fee_asset: FeeAsset) -> Self {
        let mut bank = Self {
            accounts: BTreeMap::new(),
            fee_asset,
            lending: Lending::default(),
            touched: BTreeMap::new(),
        };
        let free =
            AccountSettings { maker_fee: Rate::ZERO, taker_fee: Rate::ZERO, ..AccountSettings::default() };
        bank.open(AccountId::HOUSE, free);
        bank.open(AccountId::FEES, free);
        bank
    }

    pub(super) fn open(&mut self, id: AccountId, settings: AccountSettings) {
        let account = Account { settings, holdings: BTreeMap::new(), updated: Time::default() };
        self.accounts.insert(id, account);
    }

    pub(super) fn holding(&self, id: AccountId, asset: &Asset) -> Holding {
        self.accounts.get(&id).and_then(|a| a.holdings.get(asset)).copied().unwrap_or_default()
    }

    /// Changes a holding, and remembers that it did.
    fn change(&mut self, id: AccountId, asset: &Asset, free: Cash, locked: Cash) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        if !account.holdings.contains_key(asset) {
            account.holdings.insert(asset.clone(), Holding::default());
        }
        if let Some(holding) = account.holdings.get_mut(asset) {
            holding.free += free;
            holding.locked += locked;
            debug_assert!(id == AccountId::HOUSE || !holding.free.is_negative(), "{id:?} {asset}");
            debug_assert!(!holding.locked.is_negative(), "{id:?} {asset}");
        }
        if !id.is_internal() {
            let touched = self.touched.entry(id).or_default();
            if !touched.contains(asset) {
                touched.insert(asset.clone());
            }
        }
    }

    /// May so much be taken from what is free? The house may always.
    pub(super) fn can_take(&self, id: AccountId, asset: &Asset, amount: Cash) -> bool {
        id == AccountId::HOUSE || self.holding(id, asset).free >= amount
    }

    /// Free becomes locked; false, and nothing happens, if there is not enough.
    pub(super) fn lock(&mut self, id: AccountId, asset: &Asset, amount: Cash) -> bool {
        if !self.can_take(id, asset, amount) {
            return false;
        }
        self.change(id, asset, -amount, amount);
        true
    }

    /// Locked becomes free.
    pub(super) fn unlock(&mut self, id: AccountId, asset: &Asset, amount: Cash) {
        if !amount.is_zero() {
            self.change(id, asset, amount, -amount);
        }
    }

    /// Locked is paid to the other side of a trade.
    pub(super) fn pay(&mut self, id: AccountId, asset: &Asset, amount: Cash) {
        self.change(id, asset, Cash::ZERO, -amount);
    }

    /// Something comes in: from the other side of a trade or from outside.
    pub(super) fn credit(&mut self, id: AccountId, asset: &Asset, amount: Cash) {
        self.change(id, asset, amount, Cash::ZERO);
    }

    /// Free goes to the exchange.
    pub(super) fn charge(&mut self, id: AccountId, asset: &Asset, fee: Cash) {
        if !fee.is_zero() {
            self.change(id, asset, -fee, Cash::ZERO);
            self.change(AccountId::FEES, asset, fee, Cash::ZERO);
        }
    }

    /// The balance changes since the last call, by account.
    pub(super) fn take_changes(&mut self, now: Time) -> Vec<BalanceChange> {
        let mut changes = Vec::with_capacity(self.touched.len());
        for (id, assets) in std::mem::take(&mut self.touched) {
            let Some(account) = self.accounts.get_mut(&id) else { continue };
            account.updated = now;
            let holding = |asset| account.holdings.get(asset).copied().unwrap_or_default();
            let balances = assets.iter().map(|asset| holding(asset).balance(asset)).collect();
            changes.push(BalanceChange { account: id, time: now, balances });
        }
        changes
    }
}
