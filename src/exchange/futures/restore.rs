//! Going on after a restart: accounts take over their bookings, fills, orders and settings.
//!
//! Wallets are the sums of their bookings, positions are what their fills, played again in order, leave. The other side
//! of all that, fees and the insurance fund apart, is the house's: it holds what makes positions and costs sum up to
//! zero, and the money that is missing to what was deposited.

use std::collections::BTreeMap;

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::conditional::Conditional;
use crate::exchange::futures::contract::FundingRate;
use crate::exchange::futures::event::{Income, IncomeKind};
use crate::exchange::market::Market;
use crate::exchange::order::{Fill, Order, PositionSide};
use crate::exchange::restore::{LastNumbers, RestoreError};
use crate::exchange::settlement::Settlement;
use crate::ids::Symbol;
use crate::num::{Cash, Qty};

/// An account's settings beyond those it is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPast {
    /// Whose.
    pub account: AccountId,
    /// Were long and short positions kept apart?
    pub hedge: bool,
    /// Did several assets serve as margin together?
    pub multi_assets: bool,
    /// Leverage, where it was set.
    pub leverage: Vec<(Symbol, u32)>,
}

/// What happened before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Settings.
    pub accounts: Vec<AccountPast>,
    /// Every booking.
    pub income: Vec<Income>,
    /// Every fill.
    pub fills: Vec<Fill>,
    /// Every order, as it was last.
    pub orders: Vec<Order>,
    /// Every conditional order, as it was last.
    pub conditionals: Vec<Conditional>,
    /// Every funding, by symbol.
    pub funding: Vec<(Symbol, FundingRate)>,
    /// Numbers given before.
    pub numbers: BTreeMap<Symbol, LastNumbers>,
}

impl Exchange<Clearing> {
    /// Takes over a past; called once, on an exchange whose accounts were opened without money and where nothing was
    /// placed yet. Nothing matches and nothing is told. Funding times that passed meanwhile are not settled.
    ///
    /// # Errors
    /// [`RestoreError`] for the first thing that does not fit.
    pub fn restore(&mut self, past: &Past) -> Result<(), RestoreError> {
        for settings in &past.accounts {
            let unknown = RestoreError::UnknownAccount(settings.account);
            let account = self.settlement.accounts.get_mut(&settings.account).ok_or(unknown)?;
            (account.hedge, account.multi_assets) = (settings.hedge, settings.multi_assets);
            account.leverage.extend(settings.leverage.iter().cloned());
        }
        for (symbol, numbers) in &past.numbers {
            self.past_market(symbol)?.count_from(*numbers);
        }
        self.restore_income(&past.income)?;
        self.restore_fills(&past.fills)?;
        let mut orders: Vec<&Order> = past.orders.iter().collect();
        orders.sort_by_key(|order| order.id);
        for order in orders {
            self.restore_order(order)?;
        }
        for one in &past.conditionals {
            self.past_market(&one.asked.request.symbol)?;
            self.settlement.conditionals.restore(one.clone());
        }
        for (symbol, funding) in &past.funding {
            let unknown = || RestoreError::UnknownSymbol(symbol.clone());
            self.settlement.contracts.get_mut(symbol).ok_or_else(unknown)?.funding.push(*funding);
        }
        self.balance_house(&past.income);
        Ok(())
    }

    fn past_market(&mut self, symbol: &Symbol) -> Result<&mut Market, RestoreError> {
        self.markets.get_mut(symbol).ok_or_else(|| RestoreError::UnknownSymbol(symbol.clone()))
    }

    fn restore_income(&mut self, income: &[Income]) -> Result<(), RestoreError> {
        let mut rows: Vec<&Income> = income.iter().collect();
        rows.sort_by_key(|row| row.id);
        let clearing = &mut self.settlement;
        for row in rows {
            let unknown = RestoreError::UnknownAccount(row.account);
            let account = clearing.accounts.get_mut(&row.account).ok_or(unknown)?;
            account.wallet += row.amount;
            account.updated = row.time;
            account.income.push(row.clone());
            clearing.incomes = clearing.incomes.max(row.id);
            let other = match row.kind {
                IncomeKind::Commission => AccountId::FEES,
                IncomeKind::InsuranceClear => AccountId::INSURANCE,
                _ => continue,
            };
            if let Some(other) = clearing.accounts.get_mut(&other) {
                other.wallet -= row.amount;
            }
        }
        Ok(())
    }

    fn restore_fills(&mut self, fills: &[Fill]) -> Result<(), RestoreError> {
        let mut fills: Vec<&Fill> = fills.iter().collect();
        fills.sort_by_key(|fill| fill.trade_id);
        for fill in fills {
            let market = self.past_market(&fill.symbol)?;
            market.counters.trade = market.counters.trade.max(fill.trade_id);
            market.owners.entry(fill.account).or_default().fills.push(fill.clone());
            let unknown = RestoreError::UnknownAccount(fill.account);
            let account = self.settlement.accounts.get_mut(&fill.account).ok_or(unknown)?;
            let position = account.positions.entry((fill.symbol.clone(), fill.position_side)).or_default();
            position.trade(fill.side, fill.price, fill.qty);
            position.updated = fill.time;
        }
        Ok(())
    }

    fn restore_order(&mut self, order: &Order) -> Result<(), RestoreError> {
        self.settlement.account(order.account).map_err(|_| RestoreError::UnknownAccount(order.account))?;
        let market = self.past_market(&order.symbol)?;
        let misfit = || RestoreError::Order(order.id, order.symbol.clone());
        let mut slot = market.slot_of(order).ok_or_else(misfit)?;
        slot.held = Cash::ZERO;
        let (open, good_till) = (order.status.is_open(), order.position.good_till);
        let market = self.markets.get_mut(&order.symbol).ok_or_else(misfit)?;
        self.settlement.release(market, &mut slot);
        market.take_over(slot);
        if let Some(at) = good_till.filter(|_| open) {
            self.settlement.good_tills.insert((at, order.symbol.clone(), order.id));
        }
        Ok(())
    }

    /// The house holds the other side of everything.
    fn balance_house(&mut self, income: &[Income]) {
        let accounts = &mut self.settlement.accounts;
        let deposited = income.iter().filter(|row| row.kind == IncomeKind::Transfer);
        let deposited: Cash = deposited.map(|row| row.amount).sum();
        let mut held: BTreeMap<Symbol, (Qty, Cash)> = BTreeMap::new();
        for ((symbol, _), position) in accounts.values().flat_map(|account| &account.positions) {
            let sum = held.entry(symbol.clone()).or_default();
            (sum.0, sum.1) = (sum.0 + position.qty, sum.1 + position.cost);
        }
        let wallets: Cash = accounts.values().map(|account| account.wallet).sum();
        let Some(house) = accounts.get_mut(&AccountId::HOUSE) else { return };
        house.wallet += deposited - wallets;
        for (symbol, (qty, cost)) in held {
            let position = house.positions.entry((symbol, PositionSide::Both)).or_default();
            (position.qty, position.cost) = (position.qty - qty, position.cost - cost);
        }
    }
}
