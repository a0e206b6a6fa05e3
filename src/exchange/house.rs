//! What the exchange's own market maker needs of it, whatever it settles: spot and futures alike.

use crate::exchange::config::{AccountId, Listing};
use crate::exchange::engine::Exchange;
use crate::exchange::event::{BestChange, BookChange};
use crate::exchange::order::PositionTerms;
use crate::exchange::replay::ReplayError;
use crate::exchange::request::{Cancel, OrderRef, Placed, Request};
use crate::exchange::settlement::Settlement;
use crate::ids::{Symbol, VenueOrderId};
use crate::market::{Depth, PublicTrade};
use crate::num::Price;
use crate::time::Time;

/// An exchange on which the house makes a synthetic market, or shows a recorded one.
pub trait House {
    /// A listed symbol.
    fn listed(&self, symbol: &Symbol) -> Option<&Listing>;
    /// The price traded last.
    fn last_traded(&self, symbol: &Symbol) -> Option<Price>;
    /// The best levels of the book.
    fn shown(&self, symbol: &Symbol, levels: usize) -> Option<Depth>;
    /// Does an order of the house still rest?
    fn house_has(&self, symbol: &Symbol, id: VenueOrderId) -> bool;
    /// Takes an order of the house; `None` if it is refused.
    fn house_place(&mut self, now: Time, request: &Request) -> Option<Placed>;
    /// Cancels an order of the house; one that is gone is just as gone.
    fn house_cancel(&mut self, now: Time, cancel: &Cancel);
    /// Shows a recorded book.
    ///
    /// # Errors
    /// [`ReplayError`]
    fn show_book(&mut self, now: Time, symbol: &Symbol, book: &Depth) -> Result<(), ReplayError>;
    /// Shows a recorded change of the book.
    ///
    /// # Errors
    /// [`ReplayError`]
    fn show_diff(&mut self, now: Time, change: &BookChange) -> Result<(), ReplayError>;
    /// Shows recorded best prices.
    ///
    /// # Errors
    /// [`ReplayError`]
    fn show_best(&mut self, now: Time, best: &BestChange) -> Result<(), ReplayError>;
    /// Shows a recorded trade.
    ///
    /// # Errors
    /// [`ReplayError`]
    fn show_trade(&mut self, now: Time, symbol: &Symbol, trade: &PublicTrade) -> Result<(), ReplayError>;
}

impl<S: Settlement> House for Exchange<S> {
    fn listed(&self, symbol: &Symbol) -> Option<&Listing> {
        self.listing(symbol)
    }

    fn last_traded(&self, symbol: &Symbol) -> Option<Price> {
        self.last_price(symbol)
    }

    fn shown(&self, symbol: &Symbol, levels: usize) -> Option<Depth> {
        self.depth(symbol, levels)
    }

    fn house_has(&self, symbol: &Symbol, id: VenueOrderId) -> bool {
        self.order(AccountId::HOUSE, symbol, &OrderRef::Id(id)).is_ok()
    }

    fn house_place(&mut self, now: Time, request: &Request) -> Option<Placed> {
        let terms = PositionTerms::default();
        let placed = self.transact(now, AccountId::HOUSE, &request.symbol, |transaction| {
            transaction.place(AccountId::HOUSE, request, &terms)
        });
        placed.ok()
    }

    fn house_cancel(&mut self, now: Time, cancel: &Cancel) {
        let _ = self.transact(now, AccountId::HOUSE, &cancel.symbol, |transaction| {
            Ok(transaction.cancel(AccountId::HOUSE, cancel)?)
        });
    }

    fn show_book(&mut self, now: Time, symbol: &Symbol, book: &Depth) -> Result<(), ReplayError> {
        self.replay_snapshot(now, symbol, book)
    }

    fn show_diff(&mut self, now: Time, change: &BookChange) -> Result<(), ReplayError> {
        self.replay_diff(now, change)
    }

    fn show_best(&mut self, now: Time, best: &BestChange) -> Result<(), ReplayError> {
        self.replay_best(now, best)
    }

    fn show_trade(&mut self, now: Time, symbol: &Symbol, trade: &PublicTrade) -> Result<(), ReplayError> {
        self.replay_trade(now, symbol, trade)
    }
}
