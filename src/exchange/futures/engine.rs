//! The futures exchange as its users see it.

use std::collections::BTreeMap;

use crate::exchange::config::{AccountId, AccountSettings, ListingError};
use crate::exchange::engine::Exchange;
use crate::exchange::futures::account::{Account, AccountView, GRAIN, PositionView};
use crate::exchange::futures::admission;
use crate::exchange::futures::clearing::{Booking, Clearing, Listed};
use crate::exchange::futures::contract::{Contract, ContractStatus, Marks};
use crate::exchange::futures::event::{Event, Income, IncomeKind, Reason, Setting, SettingChange};
use crate::exchange::futures::request::{Modified, Modify, NewOrder, Reject};
use crate::exchange::order::{Order, PositionSide};
use crate::exchange::request::{Cancel, Canceled, OrderRef, Page, Placed, Reject as MarketReject};
use crate::ids::{Asset, Symbol};
use crate::num::Cash;
use crate::time::{Span, Time};

/// A good-till date must be later than this from now.
const GOOD_TILL_AHEAD: Span = Span::from_secs(600);

/// An exchange of USDT-margined perpetuals. Placing, cancelling and what follows is told here; reading orders, fills
/// and the book, and replaying recordings, is the same as on spot.
pub type Futures = Exchange<Clearing>;

impl Exchange<Clearing> {
    /// A futures exchange with this margin asset; no accounts but the internal ones.
    ///
    /// # Errors
    /// [`ListingError`] for the first contract that cannot be listed.
    pub fn futures(asset: Asset, contracts: Vec<Contract>) -> Result<Self, ListingError> {
        let mut listed = BTreeMap::new();
        let mut listings = Vec::new();
        for mut contract in contracts {
            let instrument = &mut contract.listing.instrument;
            instrument.status = contract.status.instrument();
            let symbol = instrument.symbol.clone();
            if instrument.tick().times(instrument.lot()).raw() % GRAIN != 0 {
                return Err(ListingError::GridTooFine(symbol));
            }
            listings.push(contract.listing.clone());
            listed.insert(symbol, Listed::new(contract));
        }
        Self::list(listings, Clearing::new(asset, listed))
    }

    /// Opens an account without money; of one that is open, changes the settings. The internal ones cannot be changed.
    pub fn open_account(&mut self, id: AccountId, settings: AccountSettings) {
        match self.settlement.accounts.get_mut(&id) {
            Some(_) if id.is_internal() => {}
            Some(account) => account.settings = settings,
            None => drop(self.settlement.accounts.insert(id, Account::new(settings))),
        }
    }

    /// Money comes into the wallet, or, if negative, goes out.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`]; [`Reject::Withdraw`] if so much is not free.
    pub fn transfer(&mut self, now: Time, account: AccountId, amount: Cash) -> Result<(), Reject> {
        let now = self.advance(now);
        let free = self.settlement.margin(account)?.withdrawable();
        if !account.is_internal() && amount + free < Cash::ZERO {
            return Err(Reject::Withdraw(free));
        }
        let reason = if amount.is_negative() { Reason::Withdraw } else { Reason::Deposit };
        let booking = Booking { kind: IncomeKind::Transfer, symbol: None, trade_id: None, amount };
        self.settlement.book(now, account, reason, &booking);
        self.tell_accounts();
        Ok(())
    }

    /// Tells what has changed for accounts outside a transaction.
    pub(super) fn tell_accounts(&mut self) {
        let now = self.now();
        crate::exchange::settlement::Settlement::tell(&mut self.settlement, now, &mut self.events);
    }

    /// Takes an order.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn place(&mut self, now: Time, account: AccountId, order: &NewOrder) -> Result<Placed, Reject> {
        let least = self.advance(now) + GOOD_TILL_AHEAD;
        admission::check_good_till(&order.request, &order.position, least)?;
        self.place_dated(now, account, order)
    }

    /// Takes an order whose good-till date was looked at before.
    pub(super) fn place_dated(
        &mut self,
        now: Time,
        account: AccountId,
        order: &NewOrder,
    ) -> Result<Placed, Reject> {
        let (symbol, position) = (&order.request.symbol, &order.position);
        let placed = self.transact(now, account, symbol, |t| t.place(account, &order.request, position))?;
        if let Some(at) = position.good_till.filter(|_| placed.order.status.is_open()) {
            self.settlement.good_tills.insert((at, symbol.clone(), placed.order.id));
        }
        Ok(placed)
    }

    /// Cancels an open order; it keeps its client id.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn cancel(
        &mut self,
        now: Time,
        account: AccountId,
        symbol: &Symbol,
        order: &OrderRef,
    ) -> Result<Canceled, Reject> {
        self.transact(now, account, symbol, |t| {
            let id = t.market.find_open(account, order)?;
            let slot = t.market.orders.get(&id).ok_or(MarketReject::UnknownOrder)?;
            let cancel_id = slot.order.client_id.clone();
            let (symbol, order) = (symbol.clone(), OrderRef::Id(id));
            let cancel = Cancel { symbol, order, cancel_id, restriction: None };
            Ok(t.cancel(account, &cancel)?)
        })
    }

    /// Cancels all open orders of an account in a symbol, oldest first; none is no error.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn cancel_all(
        &mut self,
        now: Time,
        account: AccountId,
        symbol: &Symbol,
    ) -> Result<Vec<Order>, Reject> {
        let open: Vec<u64> = self.open_orders(account, Some(symbol))?.iter().map(|order| order.id).collect();
        let mut canceled = Vec::new();
        for id in open {
            canceled.push(self.cancel(now, account, symbol, &OrderRef::Id(id))?.order);
        }
        Ok(canceled)
    }

    /// Changes an open limit order, which loses its place in the queue.
    ///
    /// # Errors
    /// [`Reject`]; the order is as it was then.
    pub fn modify(&mut self, now: Time, account: AccountId, modify: &Modify) -> Result<Modified, Reject> {
        self.transact(now, account, &modify.symbol, |t| t.modify(account, modify))
    }

    /// Opens or closes a contract.
    ///
    /// # Errors
    /// [`MarketReject::UnknownSymbol`].
    pub fn set_contract_status(
        &mut self,
        symbol: &Symbol,
        status: ContractStatus,
    ) -> Result<(), MarketReject> {
        let market = self.markets.get_mut(symbol).ok_or(MarketReject::UnknownSymbol)?;
        let listed = self.settlement.contracts.get_mut(symbol).ok_or(MarketReject::UnknownSymbol)?;
        market.listing.instrument.status = status.instrument();
        if std::mem::replace(&mut listed.contract.status, status) != status {
            self.events.push(Event::Status { symbol: symbol.clone(), status });
        }
        Ok(())
    }

    /// Sets an account's leverage in a symbol.
    ///
    /// # Errors
    /// [`Reject::Leverage`]; [`Reject::LeveragePosition`] if its position or orders are too large for it;
    /// [`Reject::InsufficientMargin`] if it would need more margin than there is.
    pub fn set_leverage(
        &mut self,
        now: Time,
        account: AccountId,
        symbol: &Symbol,
        leverage: u32,
    ) -> Result<(), Reject> {
        let now = self.advance(now);
        let contract = &self.settlement.contract(symbol)?.contract;
        let (highest, most) = (contract.max_leverage(), contract.max_notional(leverage));
        if leverage == 0 || leverage > highest {
            return Err(Reject::Leverage(leverage, highest));
        }
        let before = self.settlement.account(account)?.leverage(symbol);
        let owner = self.settlement.account(account)?;
        let sides = PositionSide::ALL.iter();
        let sizes = sides.map(|side| self.settlement.worst_of(owner, symbol, *side));
        if sizes.max().is_some_and(|size| size > most) {
            return Err(Reject::LeveragePosition(most));
        }
        self.settlement.account_mut(account)?.leverage.insert(symbol.clone(), leverage);
        let margin = self.settlement.margin(account)?;
        if leverage < before && margin.balance() < margin.initial() {
            self.settlement.account_mut(account)?.leverage.insert(symbol.clone(), before);
            return Err(Reject::InsufficientMargin);
        }
        self.tell_setting(now, account, Setting::Leverage(symbol.clone(), leverage));
        Ok(())
    }

    /// Switches between one-way and hedge mode.
    ///
    /// # Errors
    /// [`Reject::NoChange`], [`Reject::OpenOrders`], [`Reject::OpenPositions`].
    pub fn set_hedge_mode(&mut self, now: Time, account: AccountId, hedge: bool) -> Result<(), Reject> {
        let now = self.advance(now);
        let open = !self.open_orders(account, None)?.is_empty();
        let owner = self.settlement.account_mut(account)?;
        if owner.hedge == hedge {
            return Err(Reject::NoChange);
        }
        if open {
            return Err(Reject::OpenOrders);
        }
        if owner.positions.values().any(|position| !position.qty.is_zero()) {
            return Err(Reject::OpenPositions);
        }
        owner.hedge = hedge;
        self.tell_setting(now, account, Setting::Hedge(hedge));
        Ok(())
    }

    /// Sets the multi-assets flag. With one margin asset it changes nothing else.
    ///
    /// # Errors
    /// [`Reject::NoChange`].
    pub fn set_multi_assets(&mut self, now: Time, account: AccountId, on: bool) -> Result<(), Reject> {
        let now = self.advance(now);
        let owner = self.settlement.account_mut(account)?;
        if std::mem::replace(&mut owner.multi_assets, on) == on {
            return Err(Reject::NoChange);
        }
        self.tell_setting(now, account, Setting::MultiAssets(on));
        Ok(())
    }

    fn tell_setting(&mut self, time: Time, account: AccountId, setting: Setting) {
        self.events.push(Event::Setting(SettingChange { account, time, setting }));
    }

    /// A listed contract.
    pub fn contract(&self, symbol: &Symbol) -> Option<&Contract> {
        self.settlement.contracts.get(symbol).map(|listed| &listed.contract)
    }

    /// A contract's mark price, index and funding rate.
    pub fn marks(&self, symbol: &Symbol) -> Option<Marks> {
        self.settlement.contracts.get(symbol).map(|listed| listed.marks)
    }

    /// An account's figures.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn account_view(&self, account: AccountId) -> Result<AccountView, MarketReject> {
        let (owner, margin) = (self.settlement.account(account)?, self.settlement.margin(account)?);
        Ok(AccountView {
            account,
            settings: owner.settings,
            asset: self.settlement.asset.clone(),
            hedge: owner.hedge,
            multi_assets: owner.multi_assets,
            margin,
            updated: owner.updated,
        })
    }

    /// The positions of an account in one symbol or in all, by symbol; those that were closed, too. In one-way mode a
    /// symbol has `BOTH`, in hedge mode `LONG` and `SHORT`.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`], [`MarketReject::UnknownSymbol`].
    pub fn positions(
        &self,
        account: AccountId,
        symbol: Option<&Symbol>,
    ) -> Result<Vec<PositionView>, MarketReject> {
        let owner = self.settlement.account(account)?;
        if let Some(symbol) = symbol {
            self.settlement.contract(symbol)?;
        }
        let wanted = owner.positions.iter().filter(|((s, _), _)| symbol.is_none_or(|symbol| s == symbol));
        Ok(wanted.map(|((symbol, side), p)| self.settlement.view(symbol, *side, p)).collect())
    }

    /// The margin an account needs in one symbol.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn margin_in(
        &self,
        account: AccountId,
        symbol: &Symbol,
    ) -> Result<crate::exchange::futures::Margin, MarketReject> {
        Ok(self.settlement.margin_of(self.settlement.account(account)?, symbol))
    }

    /// An account's leverage in a symbol.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn leverage(&self, account: AccountId, symbol: &Symbol) -> Result<u32, MarketReject> {
        Ok(self.settlement.account(account)?.leverage(symbol))
    }

    /// Part of the bookings of an account, oldest first; `page.from_id` is a booking's number.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn income(&self, account: AccountId, page: &Page) -> Result<Vec<&Income>, MarketReject> {
        let rows = &self.settlement.account(account)?.income;
        let first = rows.partition_point(|row| row.id < page.from_id.unwrap_or(0));
        Ok(page.cut(rows[first..].iter().filter(|row| page.covers(row.time)).collect()))
    }
}
