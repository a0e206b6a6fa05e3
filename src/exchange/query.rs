//! What can be asked of an [`Exchange`]: orders, fills, the book. Nothing here changes anything.

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::market::{Market, Owned};
use crate::exchange::order::{Fill, Order};
use crate::exchange::request::{OrderRef, Page, Reject};
use crate::exchange::settlement::Settlement;
use crate::ids::{Symbol, VenueOrderId};
use crate::market::{Depth, Side};
use crate::num::Price;
use crate::time::Time;

impl<S: Settlement> Exchange<S> {
    fn market(&self, symbol: &Symbol) -> Result<&Market, Reject> {
        self.markets.get(symbol).ok_or(Reject::UnknownSymbol)
    }

    fn owned(&self, account: AccountId, symbol: &Symbol) -> Result<(&Market, Option<&Owned>), Reject> {
        self.open_here(account)?;
        let market = self.market(symbol)?;
        Ok((market, market.owners.get(&account)))
    }

    /// One order, open or not. By client id: the open one that has it now, else the youngest that has it.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`], [`Reject::UnknownSymbol`], [`Reject::UnknownOrder`], [`Reject::IdMismatch`].
    pub fn order(&self, account: AccountId, symbol: &Symbol, order: &OrderRef) -> Result<&Order, Reject> {
        self.open_here(account)?;
        self.market(symbol)?.find(account, order).map(|slot| &slot.order)
    }

    /// Open orders of an account in one symbol or in all, by symbol and rising id.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`], [`Reject::UnknownSymbol`].
    pub fn open_orders(&self, account: AccountId, symbol: Option<&Symbol>) -> Result<Vec<&Order>, Reject> {
        self.open_here(account)?;
        match symbol {
            Some(symbol) => Ok(self.market(symbol)?.open_orders(account).collect()),
            None => Ok(self.markets.values().flat_map(|market| market.open_orders(account)).collect()),
        }
    }

    /// Part of the orders of an account in a symbol, whatever their status; `page.from_id` is an order id.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`], [`Reject::UnknownSymbol`].
    pub fn all_orders(
        &self,
        account: AccountId,
        symbol: &Symbol,
        page: &Page,
    ) -> Result<Vec<&Order>, Reject> {
        let (market, owned) = self.owned(account, symbol)?;
        let ids = owned.map_or(&[][..], |owned| &owned.ids);
        let first = ids.partition_point(|id| *id < page.from_id.unwrap_or(0));
        let orders = ids[first..].iter().filter_map(|id| market.orders.get(id)).map(|slot| &slot.order);
        Ok(page.cut(orders.filter(|order| page.covers(order.created)).collect()))
    }

    /// Part of the fills of an account in a symbol, of one order or of all; `page.from_id` is a trade id.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`], [`Reject::UnknownSymbol`].
    pub fn fills(
        &self,
        account: AccountId,
        symbol: &Symbol,
        order: Option<VenueOrderId>,
        page: &Page,
    ) -> Result<Vec<&Fill>, Reject> {
        let (_, owned) = self.owned(account, symbol)?;
        let fills = owned.map_or(&[][..], |owned| &owned.fills);
        let first = fills.partition_point(|fill| fill.trade_id < page.from_id.unwrap_or(0));
        let wanted = |fill: &&Fill| page.covers(fill.time) && order.is_none_or(|id| fill.order_id == id);
        Ok(page.cut(fills[first..].iter().filter(wanted).collect()))
    }

    /// The public book, at most `levels` a side.
    pub fn depth(&self, symbol: &Symbol, levels: usize) -> Option<Depth> {
        let market = self.markets.get(symbol)?;
        let side = |side| market.levels(side, levels);
        let update_id = market.counters.update;
        Some(Depth { update_id, time: self.now(), bids: side(Side::Buy), asks: side(Side::Sell) })
    }

    /// Price of the last public trade.
    pub fn last_price(&self, symbol: &Symbol) -> Option<Price> {
        let market = self.markets.get(symbol)?;
        market.last.map(|ticks| market.price(ticks))
    }
}

impl Page {
    pub(super) fn covers(&self, time: Time) -> bool {
        self.start.is_none_or(|start| time >= start) && self.end.is_none_or(|end| time <= end)
    }

    /// At most so many rows as wanted: the first, or the last ones.
    pub(super) fn cut<T>(&self, mut rows: Vec<T>) -> Vec<T> {
        if self.from_id.is_some() || self.start.is_some() {
            rows.truncate(self.limit);
        } else {
            rows.drain(..rows.len().saturating_sub(self.limit));
        }
        rows
    }
}
