//! Price-time matching and self-trade prevention.

use std::collections::BTreeMap;

use crate::exchange::book::{Resting, crosses};
use crate::exchange::config::AccountId;
use crate::exchange::event::{Change, MarketEvent};
use crate::exchange::market::{Market, Offer, Plan, Slot, Want, next};
use crate::exchange::order::{Expiry, Fill, Order, OrderStatus, PositionSide, PreventedMatch, Prevention};
use crate::exchange::request::Placed;
use crate::exchange::settlement::{Amounts, Settlement};
use crate::exchange::transaction::Transaction;
use crate::ids::{TradeId, VenueOrderId};
use crate::market::{PublicTrade, Side, Stp, Tif};
use crate::num::Qty;

/// One match about to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) trade_id: TradeId,
    pub(super) ticks: i64,
    pub(super) lots: i64,
    /// Price at which the taker would go on.
    pub(super) next: Option<i64>,
}

impl<S: Settlement> Transaction<'_, S> {
    /// What a taker would get now: own orders met on the way do what self-trade prevention makes of them.
    pub(super) fn plan(&self, taker: &Slot) -> Plan {
        let market = &self.market;
        let Order { account, side, stp, .. } = taker.order;
        let limit = taker.limit().map(|price| market.ticks(price));
        let (mut plan, mut want, mut bought) = (Plan::default(), taker.want, Bought::default());
        for Offer { ticks, lots, resting } in market.offers(side.opposite()) {
            if limit.is_some_and(|limit| !crosses(side, limit, ticks)) {
                break;
            }
            let wanted = market.wanted(want, ticks);
            if wanted == 0 {
                break;
            }
            let own = resting.is_some_and(|maker| maker.account == account);
            if own && matches!(stp, Stp::ExpireTaker | Stp::ExpireBoth) {
                break;
            }
            if own && stp == Stp::ExpireMaker {
                continue;
            }
            let lots = match resting.filter(|_| S::REDUCES) {
                Some(maker) => bought.trade(self, &taker.order, maker, wanted),
                None => wanted.min(lots),
            };
            if !own || stp != Stp::Decrement {
                plan.lots += lots;
                plan.quote += market.notional(ticks, lots);
            }
            want = market.wanted_after(want, ticks, lots);
        }
        plan
    }

    /// Works a new or triggered order: takes what it can, then rests or ends it.
    pub(super) fn execute(&mut self, mut slot: Slot) -> Placed {
        let mut placed = Placed { order: slot.order.clone(), fills: Vec::new(), prevented: Vec::new() };
        let limit = slot.limit().map(|price| self.market.ticks(price));
        let tif = slot.order.terms.tif();
        let killed = tif == Some(Tif::Fok) && { self.plan(&slot).lots < slot.lots() };
        if !killed {
            self.take(&mut slot, limit, &mut placed);
        }
        if slot.order.status.is_open() {
            let expiry = match (limit, tif) {
                (None, _) => Some(Expiry::InsufficientLiquidity),
                (Some(_), Some(Tif::Ioc)) => Some(Expiry::UnfilledIoc),
                (Some(_), Some(Tif::Fok)) => Some(Expiry::UnfilledFok),
                (Some(_), Some(Tif::Gtc | Tif::Gtd) | None) => None,
            };
            if let Some(expiry) = expiry {
                self.expire(&mut slot, expiry);
            }
        }
        placed.order = slot.order.clone();
        if slot.order.status.is_open() {
            self.rest(slot);
        } else {
            self.close(slot);
        }
        placed
    }

    pub(super) fn expire(&mut self, slot: &mut Slot, expiry: Expiry) {
        slot.order.status = OrderStatus::Expired;
        slot.order.expiry = Some(expiry);
        slot.order.updated = self.now;
        self.tell(&slot.order, Change::Expired);
    }

    /// Trades against the book until the order is done, its limit is reached or the book is empty.
    fn take(&mut self, taker: &mut Slot, limit: Option<i64>, placed: &mut Placed) {
        if self.market.shown.is_some() {
            return self.take_shown(taker, limit, placed);
        }
        let side = taker.order.side;
        while taker.order.status.is_open() {
            let Some((ticks, resting)) = self.market.book.first(side.opposite()) else { break };
            if limit.is_some_and(|limit| !crosses(side, limit, ticks)) {
                break;
            }
            let lots = self.market.wanted(taker.want, ticks).min(resting.lots).min(self.cap(&resting));
            if lots == 0 {
                break;
            }
            if resting.account == taker.order.account && taker.order.stp != Stp::None {
                placed.prevented.push(self.prevent(taker, resting, ticks, lots));
            } else {
                placed.fills.push(self.trade(taker, resting, ticks, lots));
            }
        }
    }

    /// One trade between the taker and a resting order. Gives the taker's fill.
    fn trade(&mut self, taker: &mut Slot, resting: Resting, ticks: i64, lots: i64) -> Fill {
        let mut maker = self.resting(resting.id);
        self.market.book.reduce(self.market.place_of(&maker), lots);
        self.market.touch(maker.order.side, ticks);
        let trade_id = next(&mut self.market.counters.trade);
        let next = self.market.book.first(maker.order.side).map(|(ticks, _)| ticks);
        let one = Match { trade_id, ticks, lots, next };
        let fill = self.fill(taker, one, false);
        self.fill(&mut maker, one, true);
        let buyer_is_maker = maker.order.side == Side::Buy;
        let (price, qty) = (fill.price, fill.qty);
        let accounts = [taker.order.account, maker.order.account];
        self.put_back(maker);
        let trade = PublicTrade { id: trade_id, time: self.now, price, qty, buyer_is_maker };
        self.settlement.traded(self.market, price);
        let symbol = self.market.listing.instrument.symbol.clone();
        self.events.push(MarketEvent::Trade(symbol, trade).into());
        self.market.last = Some(ticks);
        self.market.stops.on_trade(ticks);
        for account in accounts {
            self.expire_idle(account);
        }
        fill
    }

    /// How many lots a resting order may still trade.
    pub(super) fn cap(&self, resting: &Resting) -> i64 {
        if !resting.reduces {
            return i64::MAX;
        }
        let maker = self.market.orders.get(&resting.id);
        maker.map_or(0, |slot| self.settlement.cap(self.market, &slot.order, 0))
    }

    /// Ends the orders of an account that have nothing to reduce any more.
    pub(super) fn expire_idle(&mut self, account: AccountId) {
        for id in self.settlement.idle(self.market, account) {
            self.end(id, Expiry::PositionClosed);
        }
    }

    /// Ends an open order for a reason of the exchange.
    pub(super) fn end(&mut self, id: VenueOrderId, expiry: Expiry) {
        if let Some(mut slot) = self.withdraw(id) {
            self.expire(&mut slot, expiry);
            self.close(slot);
        }
    }

    /// Takes an order of the book in hand, to be put back or closed.
    pub(super) fn resting(&mut self, id: VenueOrderId) -> Slot {
        self.market.orders.remove(&id).expect("every order on the book is known")
    }

    /// A resting order after a match: back among the open ones, or closed.
    pub(super) fn put_back(&mut self, slot: Slot) {
        if slot.order.status.is_open() {
            self.market.orders.insert(slot.order.id, slot);
        } else {
            self.close(slot);
        }
    }

    /// One side of a trade: quantities, money, fee, event.
    pub(super) fn fill(&mut self, slot: &mut Slot, one: Match, maker: bool) -> Fill {
        let Match { trade_id, ticks, lots, next } = one;
        let (price, qty) = (self.market.price(ticks), self.market.qty(lots));
        let quote = self.market.notional(ticks, lots);
        slot.want = self.market.wanted_after(slot.want, ticks, lots);
        let order = &mut slot.order;
        order.filled += qty;
        order.filled_quote += quote;
        order.updated = self.now;
        if matches!(slot.want, Want::Quote(_)) {
            order.qty = order.filled + order.prevented;
        }
        let done = self.market.is_done(slot.want, next);
        order.status = if done { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        let account = order.account;
        let settled = self.settlement.settle(self.market, slot, Amounts { price, qty, quote }, maker);
        let fill = Fill::new(&slot.order, (trade_id, price, qty), settled.fee, settled.realised, maker);
        if !account.is_internal() {
            self.market.owners.entry(account).or_default().fills.push(fill.clone());
            self.tell(&slot.order, Change::Trade(fill.clone()));
        }
        fill
    }

    /// Two orders of one account met: the taker's mode decides who loses what.
    fn prevent(&mut self, taker: &mut Slot, resting: Resting, ticks: i64, overlap: i64) -> PreventedMatch {
        let mut maker = self.resting(resting.id);
        let all = self.market.wanted(taker.want, ticks);
        let (maker_loses, taker_loses) = match taker.order.stp {
            Stp::None => (0, 0),
            Stp::ExpireMaker => (resting.lots, 0),
            Stp::ExpireTaker => (0, all),
            Stp::ExpireBoth => (resting.lots, all),
            Stp::Decrement => (overlap, overlap),
        };
        let id = next(&mut self.market.counters.prevention);
        let prevention = |counter_order: VenueOrderId, lost: Qty, market: &Market| Prevention {
            id,
            counter_order,
            price: market.price(ticks),
            qty: market.qty(overlap),
            quote: market.notional(ticks, overlap),
            prevented: lost,
        };
        let (maker_lost, taker_lost) = (self.market.qty(maker_loses), self.market.qty(taker_loses));
        let to_maker = prevention(taker.order.id, maker_lost, self.market);
        let to_taker = prevention(maker.order.id, taker_lost, self.market);
        if maker_loses > 0 {
            self.market.book.reduce(self.market.place_of(&maker), maker_loses);
            self.market.touch(maker.order.side, ticks);
            let ends = maker_loses == resting.lots;
            self.lose(&mut maker, to_maker, (ticks, maker_loses), ends);
        }
        self.put_back(maker);
        if taker_loses > 0 {
            let left = self.market.wanted_after(taker.want, ticks, taker_loses);
            let next = self.market.book.first(taker.order.side.opposite()).map(|(ticks, _)| ticks);
            let ends = taker.order.stp != Stp::Decrement || self.market.is_done(left, next);
            self.lose(taker, to_taker, (ticks, taker_loses), ends);
        }
        PreventedMatch {
            id,
            maker_order: resting.id,
            price: self.market.price(ticks),
            maker_prevented: maker_lost,
            taker_prevented: taker_lost,
        }
    }

    /// One side of a prevented match.
    fn lose(&mut self, slot: &mut Slot, prevention: Prevention, (ticks, lots): (i64, i64), ends: bool) {
        slot.want = self.market.wanted_after(slot.want, ticks, lots);
        let order = &mut slot.order;
        order.prevented += prevention.prevented;
        order.prevented_match = Some(prevention.id);
        order.updated = self.now;
        if matches!(slot.want, Want::Quote(_)) {
            order.qty = order.filled + order.prevented;
        }
        if ends {
            order.status = OrderStatus::ExpiredInMatch;
        }
        self.settlement.release(self.market, slot);
        self.tell(&slot.order, Change::Prevented(prevention));
    }

    /// Works the stops that fired, in order; their trades may fire more.
    pub(super) fn run_stops(&mut self) {
        while let Some(id) = self.market.stops.next_fired() {
            let Some(mut slot) = self.market.orders.remove(&id) else { continue };
            slot.order.working_since = Some(self.now);
            slot.order.updated = self.now;
            slot.arrival = next(&mut self.market.counters.arrival);
            self.tell(&slot.order, Change::New);
            let plan = self.plan_unpriced(&slot);
            if self.settlement.reserve(self.market, &mut slot, &plan).is_ok() {
                self.execute(slot);
            } else {
                self.expire(&mut slot, Expiry::Rejected);
                self.close(slot);
            }
        }
    }
}

/// What accounts would have bought (sold: negative) by a plan, by position.
#[derive(Debug, Default)]
struct Bought(BTreeMap<(AccountId, PositionSide), i64>);

impl Bought {
    /// How many of the lots wanted a resting order would trade, after what its account traded before.
    fn trade<S: Settlement>(
        &mut self,
        transaction: &Transaction<'_, S>,
        taker: &Order,
        resting: Resting,
        wanted: i64,
    ) -> i64 {
        let Some(maker) = transaction.market.orders.get(&resting.id).map(|slot| &slot.order) else {
            return 0;
        };
        let bought = self.0.entry((maker.account, maker.position.side)).or_default();
        let cap = match resting.reduces {
            true => transaction.settlement.cap(transaction.market, maker, *bought),
            false => i64::MAX,
        };
        let lots = wanted.min(resting.lots).min(cap);
        for order in [maker, taker] {
            let signed = if order.side == Side::Buy { lots } else { -lots };
            *self.0.entry((order.account, order.position.side)).or_default() += signed;
        }
        lots
    }
}
