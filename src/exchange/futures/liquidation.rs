//! Accounts whose margin runs out.
//!
//! An account is called when the margin its positions must keep is four fifths of its margin balance, and liquidated
//! when it is all of it: its orders end, then each position is closed by an order of the exchange (`autoclose-…`),
//! which takes from the book down to the price at which nothing would be left of the account and the insurance fund.
//! It costs a fee that goes to the fund, as far as there is margin left. What the book does not take is closed against
//! those who hold the other side (`adl_autoclose`), the most profitable at the highest leverage first, the house last,
//! at the price at which nothing is left of the account. A debt that remains is the fund's, which may itself owe.

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::event::Change;
use crate::exchange::futures::account::{GRAIN, WALLET_DECIMALS};
use crate::exchange::futures::clearing::{Booking, Clearing};
use crate::exchange::futures::conditional::ConditionalStatus;
use crate::exchange::futures::contract::ContractStatus;
use crate::exchange::futures::event::{Event, IncomeKind, MarginCall, Reason};
use crate::exchange::market::{Slot, Want, next};
use crate::exchange::matching::Match;
use crate::exchange::order::{Expiry, Order, Origin, PositionSide, PositionTerms};
use crate::exchange::request::{Reject, Request};
use crate::exchange::transaction::Transaction;
use crate::ids::{ClientOrderId, Symbol};
use crate::market::{Side, Stp, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;

/// One side of a trade that the exchange makes without the book.
pub(super) struct Leg {
    pub(super) account: AccountId,
    pub(super) position: PositionSide,
    pub(super) side: Side,
    pub(super) origin: Origin,
    pub(super) name: String,
}

impl Exchange<Clearing> {
    /// Calls and liquidates whoever has a position in this symbol and too little margin.
    pub(super) fn check_margins(&mut self, symbol: &Symbol) {
        let accounts = self.settlement.accounts.iter().filter(|(id, _)| !id.is_internal());
        let holds = |side: &PositionSide, account: &crate::exchange::futures::account::Account| {
            !account.position(symbol, *side).qty.is_zero()
        };
        let holders =
            accounts.filter(|(_, account)| PositionSide::ALL.iter().any(|side| holds(side, account)));
        let holders: Vec<AccountId> = holders.map(|(id, _)| *id).collect();
        for id in holders {
            self.check_margin(id);
        }
    }

    fn check_margin(&mut self, id: AccountId) {
        let Ok(margin) = self.settlement.margin(id) else { return };
        if margin.maintenance.is_positive() && margin.balance() <= margin.maintenance {
            let _ = self.liquidate(id);
            return;
        }
        let near = margin.maintenance.raw() * 5 >= margin.balance().raw() * 4;
        if !near || !margin.maintenance.is_positive() {
            self.settlement.called.remove(&id);
        } else if self.settlement.called.insert(id) {
            let positions = self.open_positions(id).into_iter();
            let kept = |(symbol, side): (Symbol, PositionSide)| {
                let account = self.settlement.account(id).ok()?;
                let notional = self.settlement.notional(account, &symbol, side);
                let contract = &self.settlement.contract(&symbol).ok()?.contract;
                let view = self.settlement.view(&symbol, side, &account.position(&symbol, side));
                Some((view, contract.maintenance(notional)))
            };
            let positions = positions.filter_map(kept).collect();
            let call = MarginCall { account: id, time: self.now(), margin, positions };
            self.events.push(Event::MarginCall(call));
        }
    }

    pub(super) fn open_positions(&self, id: AccountId) -> Vec<(Symbol, PositionSide)> {
        let Some(account) = self.settlement.accounts.get(&id) else { return Vec::new() };
        let open = account.positions.iter().filter(|(_, position)| !position.qty.is_zero());
        open.map(|(key, _)| key.clone()).collect()
    }

    /// Liquidates an account, as if its margin had run out. Positions of symbols that are not trading stay.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn liquidate(&mut self, id: AccountId) -> Result<(), Reject> {
        self.settlement.account(id)?;
        self.end_orders(id, None, Expiry::Liquidation);
        for (symbol, side) in self.open_positions(id) {
            let trading = self.contract(&symbol).is_some_and(|c| c.status == ContractStatus::Trading);
            if trading {
                self.close_out(id, &symbol, side, None);
            }
        }
        self.settle_ruin(id)?;
        self.tell_accounts();
        Ok(())
    }

    /// Liquidates so much of one position, or all of it, as the exchange does where that is enough.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`], [`Reject::UnknownSymbol`]; [`Reject::UnknownOrder`] if there is nothing to close.
    pub fn liquidate_part(
        &mut self,
        id: AccountId,
        symbol: &Symbol,
        side: PositionSide,
        qty: Option<Qty>,
    ) -> Result<(), Reject> {
        let held = self.settlement.account(id)?.position(symbol, side).qty.abs();
        let market = self.markets.get(symbol).ok_or(Reject::UnknownSymbol)?;
        let part = qty.unwrap_or(held).min(held).floor_to(market.listing.instrument.lot());
        if !part.is_positive() {
            return Err(Reject::UnknownOrder);
        }
        self.end_orders(id, Some(symbol), Expiry::Liquidation);
        self.close_out(id, symbol, side, Some(part));
        self.settle_ruin(id)?;
        self.tell_accounts();
        Ok(())
    }

    /// Of an account without any position left, the fund bears the debt.
    fn settle_ruin(&mut self, id: AccountId) -> Result<(), Reject> {
        if self.open_positions(id).is_empty() {
            let wallet = self.settlement.account(id)?.wallet;
            self.settle_debt(id, (-wallet).max(Cash::ZERO));
        }
        Ok(())
    }

    /// Ends the orders of an account, the conditional ones too, in one symbol or in all.
    pub(super) fn end_orders(&mut self, id: AccountId, symbol: Option<&Symbol>, expiry: Expiry) {
        let waiting = self.open_conditionals(id, symbol).unwrap_or_default();
        for one in waiting.iter().map(|one| one.id).collect::<Vec<_>>() {
            self.end_conditional(one, ConditionalStatus::Expired);
        }
        let open = self.open_orders(id, symbol).unwrap_or_default().into_iter();
        let open: Vec<(Symbol, u64)> = open.map(|order| (order.symbol.clone(), order.id)).collect();
        for (symbol, order) in open {
            let now = self.now();
            if let Some(mut transaction) = self.begin(now, &symbol) {
                transaction.end(order, expiry);
                transaction.finish();
            }
        }
        self.run_conditionals();
    }

    /// The fund pays an account so much, or is paid by it.
    fn settle_debt(&mut self, id: AccountId, amount: Cash) {
        let now = self.now();
        let booking =
            |amount| Booking { kind: IncomeKind::InsuranceClear, symbol: None, trade_id: None, amount };
        self.settlement.book(now, id, Reason::InsuranceClear, &booking(amount));
        self.settlement.book(now, AccountId::INSURANCE, Reason::InsuranceClear, &booking(-amount));
    }

    /// Closes one position, or at most so much of it: from the book, then against the other side.
    fn close_out(&mut self, id: AccountId, symbol: &Symbol, position_side: PositionSide, most: Option<Qty>) {
        let held = |exchange: &Self| {
            let account = exchange.settlement.accounts.get(&id);
            account.map_or(Qty::ZERO, |account| account.position(symbol, position_side).qty)
        };
        let whole = held(self);
        let side = if whole.is_positive() { Side::Sell } else { Side::Buy };
        let size = most.unwrap_or(whole.abs()).min(whole.abs());
        let qty = side.opposite().signed(size);
        let kept = whole - qty;
        let fund = self.settlement.accounts.get(&AccountId::INSURANCE).map_or(Cash::ZERO, |fund| fund.wallet);
        let limit = self.bankruptcy(id, symbol, qty, fund.max(Cash::ZERO));
        let name = format!("autoclose-{}", self.now().millis());
        let request = Request {
            symbol: symbol.clone(),
            client_id: ClientOrderId::foreign(&name),
            side,
            terms: Terms::Limit { price: limit, tif: Tif::Ioc },
            qty: qty.abs(),
            stp: None,
        };
        let position = PositionTerms {
            side: position_side,
            reduce_only: position_side == PositionSide::Both,
            origin: Origin::Liquidation,
            ..PositionTerms::default()
        };
        let now = self.now();
        let placed = self.transact(now, id, symbol, |t| t.place_checked(id, &request, &position));
        let quote = placed.map_or(Cash::ZERO, |placed| placed.order.filled_quote);
        self.charge_liquidation(id, symbol, quote);
        let left = held(self) - kept;
        if !left.is_zero() {
            let price = self.bankruptcy(id, symbol, left, Cash::ZERO);
            self.deleverage(id, symbol, position_side, price, left);
        }
    }

    fn charge_liquidation(&mut self, id: AccountId, symbol: &Symbol, quote: Cash) {
        let Ok(listed) = self.settlement.contract(symbol) else { return };
        let rate = i128::from(listed.contract.liquidation_fee.raw());
        let left = self.settlement.margin(id).map_or(Cash::ZERO, |margin| margin.balance());
        let fee = quote.at_rate(rate, WALLET_DECIMALS).min(left.max(Cash::ZERO));
        self.settle_debt(id, Cash::from_raw(-fee.raw() / GRAIN * GRAIN));
    }

    /// The price of a position at which nothing would be left of its account and so much besides, on the grid.
    fn bankruptcy(&self, id: AccountId, symbol: &Symbol, qty: Qty, besides: Cash) -> Price {
        let margin = self.settlement.margin(id).unwrap_or_default();
        let Some(market) = self.markets.get(symbol) else { return Price::ZERO };
        let mark = self.settlement.mark(symbol).or(market.last.map(|ticks| market.price(ticks)));
        let cushion = (margin.balance() + besides).per(qty).unwrap_or_default();
        let grid = &market.listing.instrument.price;
        let exact = mark.unwrap_or_default() - cushion;
        let price = if qty.is_positive() { exact.ceil_to(grid.step) } else { exact.floor_to(grid.step) };
        price.max(grid.min.max(grid.step)).min(grid.max)
    }

    /// Closes so much of a position at a price against those who hold the other side: the most profitable at the
    /// highest leverage first, the house last.
    fn deleverage(
        &mut self,
        id: AccountId,
        symbol: &Symbol,
        side: PositionSide,
        price: Price,
        mut left: Qty,
    ) {
        for (other, other_side) in self.ranking(symbol, id, side) {
            let Some(counter) = self.settlement.accounts.get(&other) else { return };
            let offered = counter.position(symbol, other_side).qty;
            let qty = left.abs().min(offered.abs());
            if qty.is_zero() {
                continue;
            }
            let closes = if left.is_positive() { Side::Sell } else { Side::Buy };
            left += closes.signed(qty);
            let name = format!("autoclose-{}", self.now().millis());
            let legs = [
                Leg { account: id, position: side, side: closes, origin: Origin::Liquidation, name },
                Leg {
                    account: other,
                    position: other_side,
                    side: closes.opposite(),
                    origin: Origin::Deleveraging,
                    name: "adl_autoclose".to_owned(),
                },
            ];
            self.cross(symbol, &legs, price, qty);
        }
    }

    /// Who holds the other side of a position, by profit × leverage.
    fn ranking(&self, symbol: &Symbol, id: AccountId, side: PositionSide) -> Vec<(AccountId, PositionSide)> {
        let clearing = &self.settlement;
        let Some(account) = clearing.accounts.get(&id) else { return Vec::new() };
        let long = account.position(symbol, side).qty.is_positive();
        let mut ranked = Vec::new();
        for (other, account) in clearing.accounts.iter().filter(|(other, _)| **other != id) {
            for side in PositionSide::ALL {
                let position = account.position(symbol, *side);
                if position.qty.is_zero() || position.qty.is_positive() == long {
                    continue;
                }
                let profit = clearing.notional(account, symbol, *side) - position.cost;
                let leverage = i128::from(account.leverage(symbol));
                let score = profit.raw() * leverage * 1_000 / position.cost.raw().abs().max(1);
                ranked.push((other.is_internal(), -score, *other, *side));
            }
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, other, side)| (other, side)).collect()
    }

    /// A trade that the exchange makes without the book.
    pub(super) fn cross(&mut self, symbol: &Symbol, legs: &[Leg; 2], price: Price, qty: Qty) {
        let now = self.now();
        if let Some(mut transaction) = self.begin(now, symbol) {
            transaction.cross(legs, price, qty);
            transaction.finish();
        }
        self.run_conditionals();
    }

    /// Closes so much of an account's position at the mark price against those who hold the other side, as if one of
    /// them had been liquidated: the account is the one that is deleveraged.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`], [`Reject::UnknownSymbol`]; [`Reject::UnknownOrder`] if it has no such position.
    pub fn force_deleveraging(
        &mut self,
        account: AccountId,
        symbol: &Symbol,
        side: PositionSide,
        qty: Qty,
    ) -> Result<(), Reject> {
        let held = self.settlement.account(account)?.position(symbol, side).qty;
        let market = self.markets.get(symbol).ok_or(Reject::UnknownSymbol)?;
        let mark = self.settlement.mark(symbol).or(market.last.map(|ticks| market.price(ticks)));
        let price = mark.unwrap_or_default().floor_to(market.listing.instrument.tick());
        let mut left = qty.min(held.abs()).floor_to(market.listing.instrument.lot());
        if left.is_zero() || !price.is_positive() {
            return Err(Reject::UnknownOrder);
        }
        let closes = if held.is_positive() { Side::Sell } else { Side::Buy };
        for (other, other_side) in self.ranking(symbol, account, side).into_iter().rev() {
            let offered = self.settlement.account(other)?.position(symbol, other_side).qty.abs();
            let part = left.min(offered);
            left -= part;
            let leg = |account, position, side, origin, name: &str| Leg {
                account,
                position,
                side,
                origin,
                name: name.to_owned(),
            };
            let name = format!("autoclose-{}", self.now().millis());
            let legs = [
                leg(other, other_side, closes.opposite(), Origin::Liquidation, &name),
                leg(account, side, closes, Origin::Deleveraging, "adl_autoclose"),
            ];
            if part.is_positive() {
                self.cross(symbol, &legs, price, part);
            }
        }
        Ok(())
    }
}

impl Transaction<'_, Clearing> {
    /// Makes an order for each leg and fills them with each other.
    fn cross(&mut self, legs: &[Leg; 2], price: Price, qty: Qty) {
        let (ticks, lots) = (self.market.ticks(price), self.market.lots(qty));
        let slots = legs.each_ref().map(|leg| self.accept_leg(leg, qty, lots));
        let trade_id = next(&mut self.market.counters.trade);
        for mut slot in slots {
            self.fill(&mut slot, Match { trade_id, ticks, lots, next: None }, false);
            self.close(slot);
        }
        for leg in legs {
            self.expire_idle(leg.account);
        }
    }

    fn accept_leg(&mut self, leg: &Leg, qty: Qty, lots: i64) -> Slot {
        let id = next(&mut self.market.counters.order);
        let request = Request {
            symbol: self.market.listing.instrument.symbol.clone(),
            client_id: ClientOrderId::foreign(&leg.name),
            side: leg.side,
            terms: Terms::Market,
            qty,
            stp: Some(Stp::None),
        };
        let position = PositionTerms {
            side: leg.position,
            reduce_only: leg.position == PositionSide::Both,
            origin: leg.origin,
            ..PositionTerms::default()
        };
        let order = Order { position, ..Order::new(id, leg.account, &request, Stp::None, self.now) };
        self.market.enroll(&order);
        self.tell(&order, Change::New);
        let arrival = next(&mut self.market.counters.arrival);
        Slot { order, want: Want::Lots(lots), held: Cash::ZERO, arrival }
    }
}
