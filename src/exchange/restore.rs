//! Going on after a restart: accounts take over what they had, their orders and their fills.
//!
//! [`Exchange::restore`] is called once, on an exchange whose accounts were opened without money and where nothing was
//! placed yet. Open orders go back to their places in the order of their numbers; nothing matches and nothing is
//! told. The numbers of orders, trades and updates go on above those given.

use std::collections::BTreeMap;

use crate::exchange::account::Bank;
use crate::exchange::book::Resting;
use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::market::{Market, Slot, Want};
use crate::exchange::order::{Fill, Order};
use crate::ids::{Asset, Symbol, VenueOrderId};
use crate::market::Side;
use crate::num::Cash;

/// The numbers of a symbol given before; the next ones are higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastNumbers {
    /// Orders.
    pub order: u64,
    /// Trades.
    pub trade: u64,
    /// Executions.
    pub execution: u64,
    /// Prevented matches.
    pub prevention: u64,
    /// Updates of the book.
    pub update: u64,
}

/// What happened before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// What each account has of an asset, free and locked together.
    pub holdings: Vec<(AccountId, Asset, Cash)>,
    /// Every order, as it was last.
    pub orders: Vec<Order>,
    /// Every fill.
    pub fills: Vec<Fill>,
    /// Numbers given before.
    pub numbers: BTreeMap<Symbol, LastNumbers>,
}

/// Why a past cannot be taken over. Nothing may be done with that exchange then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// An account that is not open here.
    #[error("the past names account {}, which is not open", .0.0)]
    UnknownAccount(AccountId),
    /// A symbol that is not listed here.
    #[error("the past names {0}, which is not listed")]
    UnknownSymbol(Symbol),
    /// An open order off the grid, or of a kind that never stays open.
    #[error("order {0} of {1} cannot be open with these terms")]
    Order(VenueOrderId, Symbol),
    /// An account has less than nothing.
    #[error("account {} has less than no {asset}: lines that tell where it came from are missing", account.0)]
    Negative {
        /// Whose.
        account: AccountId,
        /// Of which asset.
        asset: Asset,
    },
    /// An account has less than its open orders need.
    #[error("account {} has less {asset} than its open orders hold", account.0)]
    TooLittle {
        /// Whose.
        account: AccountId,
        /// Of which asset.
        asset: Asset,
    },
}

impl Exchange<Bank> {
    /// Takes over a past.
    ///
    /// # Errors
    /// [`RestoreError`] for the first thing that does not fit.
    pub fn restore(&mut self, past: &Past) -> Result<(), RestoreError> {
        for (account, asset, amount) in &past.holdings {
            self.account(*account).map_err(|_| RestoreError::UnknownAccount(*account))?;
            if amount.is_negative() && *account != AccountId::HOUSE {
                return Err(RestoreError::Negative { account: *account, asset: asset.clone() });
            }
            self.settlement.credit(*account, asset, *amount);
        }
        for (symbol, numbers) in &past.numbers {
            self.restored(symbol)?.count_from(*numbers);
        }
        let mut orders: Vec<&Order> = past.orders.iter().collect();
        orders.sort_by_key(|order| order.id);
        for order in orders {
            self.restore_order(order)?;
        }
        let mut fills: Vec<&Fill> = past.fills.iter().collect();
        fills.sort_by_key(|fill| fill.trade_id);
        for fill in fills {
            let market = self.restored(&fill.symbol)?;
            market.counters.trade = market.counters.trade.max(fill.trade_id);
            market.owners.entry(fill.account).or_default().fills.push(fill.clone());
        }
        // A change that is part of the past is not told.
        self.settlement.take_changes(self.now());
        Ok(())
    }

    fn restored(&mut self, symbol: &Symbol) -> Result<&mut Market, RestoreError> {
        self.markets.get_mut(symbol).ok_or_else(|| RestoreError::UnknownSymbol(symbol.clone()))
    }

    fn restore_order(&mut self, order: &Order) -> Result<(), RestoreError> {
        let account = order.account;
        self.account(account).map_err(|_| RestoreError::UnknownAccount(account))?;
        let market = self.restored(&order.symbol)?;
        let slot =
            market.slot_of(order).ok_or_else(|| RestoreError::Order(order.id, order.symbol.clone()))?;
        let asset = market.paid_in(order.side).clone();
        let held = slot.held;
        market.take_over(slot);
        if !self.settlement.lock(account, &asset, held) {
            return Err(RestoreError::TooLittle { account, asset });
        }
        Ok(())
    }
}

impl Market {
    pub(super) fn count_from(&mut self, numbers: LastNumbers) {
        self.counters.order = self.counters.order.max(numbers.order);
        self.counters.trade = self.counters.trade.max(numbers.trade);
        self.counters.execution = self.counters.execution.max(numbers.execution);
        self.counters.prevention = self.counters.prevention.max(numbers.prevention);
        self.counters.update = self.counters.update.max(numbers.update);
    }

    /// An order with what the engine needs besides; `None` for an open one that could not be.
    pub(super) fn slot_of(&self, order: &Order) -> Option<Slot> {
        let instrument = &self.listing.instrument;
        let mut slot =
            Slot { order: order.clone(), want: Want::Lots(0), held: Cash::ZERO, arrival: order.id };
        if !order.status.is_open() {
            return Some(slot);
        }
        let lots = instrument.lots(order.left()).filter(|lots| *lots > 0)?;
        let waits = order.working_since.is_none();
        let limit = match order.terms.price() {
            Some(price) => Some(instrument.ticks(price)?),
            None if waits => order.terms.stop().map(|stop| instrument.ticks(stop)).unwrap_or(None),
            None => None,
        };
        let stays = order.terms.price().is_some() || (waits && order.terms.stop().is_some());
        if !stays || order.terms.stop().is_some_and(|stop| instrument.ticks(stop).is_none()) {
            return None;
        }
        slot.want = Want::Lots(lots);
        slot.held = match order.side {
            Side::Sell => self.hold(Side::Sell, 0, lots),
            Side::Buy => self.hold(Side::Buy, limit?, lots),
        };
        Some(slot)
    }

    /// Puts an order where it was: among the ended ones, the stops, or in the book.
    pub(super) fn take_over(&mut self, slot: Slot) {
        let (id, account) = (slot.order.id, slot.order.account);
        let open = slot.order.status.is_open();
        self.counters.order = self.counters.order.max(id);
        self.counters.arrival = self.counters.arrival.max(slot.arrival);
        let owned = self.owners.entry(account).or_default();
        owned.ids.push(id);
        owned.names.insert((slot.order.client_id.clone(), id));
        if open {
            owned.open.insert(id);
            if let Some((direction, stop)) = self.waiting(&slot.order) {
                self.stops.insert(direction, stop, id);
            } else {
                let place = self.place_of(&slot);
                let reduces = slot.order.position.reduces(slot.order.side);
                self.book.insert(place, Resting { id, account, lots: slot.lots(), reduces });
            }
        }
        self.orders.insert(id, slot);
    }
}
