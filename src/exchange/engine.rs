//! The exchange as its users see it: [`Exchange`].

use std::collections::BTreeMap;

use crate::exchange::account::{Account, Bank};
use crate::exchange::admission;
use crate::exchange::config::{AccountId, AccountSettings, Coarser, Config, Listing, ListingError};
use crate::exchange::event::{Balance, Event, Transfer};
use crate::exchange::fees::FeeAsset;
use crate::exchange::market::Market;
use crate::exchange::order::PositionTerms;
use crate::exchange::request::{
    Amend, Amended, Cancel, CancelReplaceMode, CancelReplaced, Canceled, Filter, Placed, Reject, Request,
};
use crate::exchange::settlement::Settlement;
use crate::exchange::transaction::Transaction;
use crate::ids::{Asset, Symbol};
use crate::instrument::InstrumentStatus;
use crate::num::{Cash, Price, Qty};
use crate::time::Time;

/// An exchange: listed symbols, accounts, orders, and all that happened to them.
///
/// Every call that can change something takes the time. Time never runs backwards here: an earlier one counts as the
/// latest seen. What a call made happen waits in [`Exchange::drain_events`].
///
/// The parameter is what it settles: nothing said, spot; [`crate::exchange::futures::Futures`] is the other one.
#[derive(Debug)]
pub struct Exchange<S: Settlement = Bank> {
    pub(super) markets: BTreeMap<Symbol, Market>,
    pub(super) settlement: S,
    pub(super) events: Vec<S::Told>,
    now: Time,
}

impl Exchange<Bank> {
    /// An exchange without accounts (but for the internal ones), orders and trades.
    ///
    /// # Errors
    /// [`ListingError`] for the first instrument that cannot be listed.
    pub fn new(config: Config) -> Result<Self, ListingError> {
        let fee_asset =
            FeeAsset { asset: config.fee_asset, discount: config.fee_asset_discount, ..FeeAsset::default() };
        Self::list(config.listings, Bank::new(fee_asset))
    }

    /// Opens an account without money; of one that is open, changes the settings. The internal ones cannot be changed.
    pub fn open_account(&mut self, id: AccountId, settings: AccountSettings) {
        match self.settlement.accounts.get_mut(&id) {
            Some(_) if id.is_internal() => {}
            Some(account) => account.settings = settings,
            None => self.settlement.open(id, settings),
        }
    }

    /// Money comes in; tells of a [`Transfer`] and the new balance.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn deposit(
        &mut self,
        now: Time,
        account: AccountId,
        asset: &Asset,
        amount: Cash,
    ) -> Result<(), Reject> {
        self.account(account)?;
        self.transfer(now, account, asset, amount);
        Ok(())
    }

    /// Money goes out; tells of a [`Transfer`] and the new balance.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`]; [`Reject::InsufficientBalance`] if so much is not free.
    pub fn withdraw(
        &mut self,
        now: Time,
        account: AccountId,
        asset: &Asset,
        amount: Cash,
    ) -> Result<(), Reject> {
        self.account(account)?;
        if !self.settlement.can_take(account, asset, amount) {
            return Err(Reject::InsufficientBalance);
        }
        self.transfer(now, account, asset, -amount);
        Ok(())
    }

    fn transfer(&mut self, now: Time, account: AccountId, asset: &Asset, delta: Cash) {
        let time = self.advance(now);
        self.settlement.credit(account, asset, delta);
        if !account.is_internal() {
            self.events.push(Event::Transfer(Transfer { account, time, asset: asset.clone(), delta }));
        }
        self.events.extend(self.settlement.take_changes(time).into_iter().map(Event::Balances));
    }

    /// Sets the fee asset's price in a quote asset, which then wins over its last trade; `None` goes back to that.
    pub fn set_fee_asset_price(&mut self, quote: &Asset, price: Option<Price>) {
        match price {
            Some(price) => self.settlement.fee_asset.fixed.insert(quote.clone(), price),
            None => self.settlement.fee_asset.fixed.remove(quote),
        };
    }

    /// Opens, halts or reduces a symbol to cancels.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn set_status(&mut self, symbol: &Symbol, status: InstrumentStatus) -> Result<(), Reject> {
        let market = self.markets.get_mut(symbol).ok_or(Reject::UnknownSymbol)?;
        if std::mem::replace(&mut market.listing.instrument.status, status) != status {
            self.events.push(Event::Status { symbol: symbol.clone(), status });
        }
        Ok(())
    }

    /// Takes an order.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn place(&mut self, now: Time, account: AccountId, request: &Request) -> Result<Placed, Reject> {
        self.transact(now, account, &request.symbol, |t| t.place(account, request, &PositionTerms::default()))
    }

    /// Checks an order as far as it is checked before the engine: types, modes, filters. Nothing happens.
    ///
    /// # Errors
    /// [`Reject`] as [`Exchange::place`] would give it.
    pub fn check(&self, account: AccountId, request: &Request) -> Result<(), Reject> {
        self.account(account)?;
        let market = self.markets.get(&request.symbol).ok_or(Reject::UnknownSymbol)?;
        admission::check(market, &self.settlement, account, request)
    }

    /// Cancels an open order.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn cancel(&mut self, now: Time, account: AccountId, cancel: &Cancel) -> Result<Canceled, Reject> {
        self.transact(now, account, &cancel.symbol, |t| t.cancel(account, cancel))
    }

    /// Cancels an order, then places another. The new one passes the filters before anything is cancelled; it may reuse
    /// the client id of the cancelled one. Not atomic: each leg has its own result.
    ///
    /// # Errors
    /// [`Reject`] if neither leg was attempted.
    pub fn cancel_replace(
        &mut self,
        now: Time,
        account: AccountId,
        mode: CancelReplaceMode,
        cancel: &Cancel,
        request: &Request,
    ) -> Result<CancelReplaced, Reject> {
        if cancel.symbol != request.symbol {
            return Err(Reject::UnknownSymbol);
        }
        self.transact(now, account, &request.symbol, |t| t.cancel_replace(account, mode, cancel, request))
    }

    /// Reduces an open order, which keeps its place in the queue. One that has nothing left then expires.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn amend_keep_priority(
        &mut self,
        now: Time,
        account: AccountId,
        amend: &Amend,
    ) -> Result<Amended, Reject> {
        self.transact(now, account, &amend.symbol, |t| t.amend(account, amend))
    }

    pub(super) fn account(&self, id: AccountId) -> Result<&Account, Reject> {
        self.settlement.accounts.get(&id).ok_or(Reject::UnknownAccount)
    }

    /// What an account has of an asset; nothing if it never had any.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn balance(&self, account: AccountId, asset: &Asset) -> Result<Balance, Reject> {
        self.account(account)?;
        Ok(self.settlement.holding(account, asset).balance(asset))
    }

    /// All assets an account ever had, by name.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn balances(&self, account: AccountId) -> Result<Vec<Balance>, Reject> {
        let holdings = self.account(account)?.holdings.iter();
        Ok(holdings.map(|(asset, holding)| holding.balance(asset)).collect())
    }

    /// An account's settings, and when its balances last changed (zero: never).
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn settings(&self, account: AccountId) -> Result<(AccountSettings, Time), Reject> {
        self.account(account).map(|a| (a.settings, a.updated))
    }
}

impl<S: Settlement> Exchange<S> {
    /// An exchange that lists these, without orders and trades.
    pub(super) fn list(listings: Vec<Listing>, settlement: S) -> Result<Self, ListingError> {
        let mut exchange =
            Self { markets: BTreeMap::new(), settlement, events: Vec::new(), now: Time::default() };
        for listing in listings {
            let symbol = listing.instrument.symbol.clone();
            if exchange.markets.insert(symbol.clone(), Market::new(listing)?).is_some() {
                return Err(ListingError::Twice(symbol));
            }
        }
        Ok(exchange)
    }

    /// Appends all events since the last call, oldest first.
    pub fn drain_events(&mut self, out: &mut Vec<S::Told>) {
        out.append(&mut self.events);
    }

    /// The latest time seen.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Runs one transaction on a symbol.
    pub(super) fn transact<T>(
        &mut self,
        now: Time,
        account: AccountId,
        symbol: &Symbol,
        act: impl FnOnce(&mut Transaction<'_, S>) -> Result<T, S::Refusal>,
    ) -> Result<T, S::Refusal> {
        self.open_here(account)?;
        let mut transaction = self.begin(now, symbol).ok_or(Reject::UnknownSymbol)?;
        let result = act(&mut transaction);
        transaction.finish();
        S::follow_up(self);
        result
    }

    pub(super) fn begin(&mut self, now: Time, symbol: &Symbol) -> Option<Transaction<'_, S>> {
        let now = self.advance(now);
        let market = self.markets.get_mut(symbol)?;
        Some(Transaction { market, settlement: &mut self.settlement, events: &mut self.events, now })
    }

    pub(super) fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    /// Refuses an account that is not open.
    pub(super) fn open_here(&self, id: AccountId) -> Result<(), Reject> {
        self.settlement.settings(id).map(drop).ok_or(Reject::UnknownAccount)
    }

    /// Changes what orders of accounts are held to: a coarser grid, the least notional; `None` leaves it. Open orders
    /// stay as they are, and the house goes on trading on the engine's own grid.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`]; [`Reject::Filter`] of a step that is no multiple of the engine's own.
    pub fn set_rules(
        &mut self,
        symbol: &Symbol,
        tick: Option<Price>,
        lot: Option<Qty>,
        min_notional: Option<Cash>,
    ) -> Result<(), Reject> {
        let listing = &mut self.markets.get_mut(symbol).ok_or(Reject::UnknownSymbol)?.listing;
        let own = &listing.instrument;
        let before = listing.coarser.unwrap_or(Coarser { tick: own.tick(), lot: own.lot() });
        let (tick, lot) = (tick.unwrap_or(before.tick), lot.unwrap_or(before.lot));
        if !tick.is_positive() || !tick.is_multiple_of(own.tick()) {
            return Err(Reject::Filter(Filter::PriceFilter));
        }
        if !lot.is_positive() || !lot.is_multiple_of(own.lot()) {
            return Err(Reject::Filter(Filter::LotSize));
        }
        listing.coarser = Some(Coarser { tick, lot });
        if let Some(least) = min_notional {
            listing.instrument.min_notional = least;
        }
        Ok(())
    }

    /// A listed symbol.
    pub fn listing(&self, symbol: &Symbol) -> Option<&Listing> {
        self.markets.get(symbol).map(|market| &market.listing)
    }

    /// All listed symbols, by name.
    pub fn listings(&self) -> impl Iterator<Item = &Listing> {
        self.markets.values().map(|market| &market.listing)
    }
}
