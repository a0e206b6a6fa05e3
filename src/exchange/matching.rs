//! Price-time matching, settlement and self-trade prevention.

use crate::exchange::account::Bank;
use crate::exchange::book::{Resting, crosses};
use crate::exchange::config::AccountId;
use crate::exchange::event::{Change, Event};
use crate::exchange::fees::{Traded, plain_fee};
use crate::exchange::market::{Market, Offer, Slot, Want, next};
use crate::exchange::order::{Expiry, Fill, OrderStatus, PreventedMatch, Prevention};
use crate::exchange::request::Placed;
use crate::exchange::transaction::Transaction;
use crate::ids::{Asset, TradeId, VenueOrderId};
use crate::market::{PublicTrade, Side, Stp, Tif};
use crate::num::{Cash, Qty};
use crate::order::request::Terms;

/// What a taker would get from the book as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    lots: i64,
    quote: Cash,
}

impl Plan {
    /// What a taker of this side would pay for it.
    pub(super) fn paid(&self, market: &Market, side: Side) -> Cash {
        match side {
            Side::Buy => self.quote,
            Side::Sell => market.qty(self.lots).as_cash(),
        }
    }
}

/// One match about to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) trade_id: TradeId,
    pub(super) ticks: i64,
    pub(super) lots: i64,
    /// Price at which the taker would go on.
    pub(super) next: Option<i64>,
}

impl Transaction<'_> {
    /// What a taker would get now: own orders met on the way do what self-trade prevention makes of them.
    pub(super) fn plan(
        &self,
        account: AccountId,
        side: Side,
        stp: Stp,
        limit: Option<i64>,
        mut want: Want,
    ) -> Plan {
        let market = &self.market;
        let mut plan = Plan::default();
        for Offer { ticks, lots, account: owner } in market.offers(side.opposite()) {
            if limit.is_some_and(|limit| !crosses(side, limit, ticks)) {
                break;
            }
            let wanted = market.wanted(want, ticks);
            if wanted == 0 {
                break;
            }
            let lots = wanted.min(lots);
            let own = owner == Some(account);
            match stp {
                Stp::ExpireMaker if own => continue,
                Stp::ExpireTaker | Stp::ExpireBoth if own => break,
                Stp::Decrement if own => {}
                _ => {
                    plan.lots += lots;
                    plan.quote += market.notional(ticks, lots);
                }
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
        let killed = tif == Some(Tif::Fok) && {
            let plan = self.plan(slot.order.account, slot.order.side, slot.order.stp, limit, slot.want);
            plan.lots < slot.lots()
        };
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

    fn expire(&mut self, slot: &mut Slot, expiry: Expiry) {
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
            let lots = self.market.wanted(taker.want, ticks).min(resting.lots);
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
        self.put_back(maker);
        let trade = PublicTrade { id: trade_id, time: self.now, price, qty, buyer_is_maker };
        let instrument = &self.market.listing.instrument;
        self.bank.fee_asset.on_trade(&instrument.base, &instrument.quote, price);
        self.events.push(Event::Trade { symbol: instrument.symbol.clone(), trade });
        self.market.last = Some(ticks);
        self.market.stops.on_trade(ticks);
        fill
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
        let fee = self.settle(slot, qty, quote, maker);
        let fill = Fill::new(&slot.order, (trade_id, price, qty), fee, maker);
        if !account.is_internal() {
            self.market.owners.entry(account).or_default().fills.push(fill.clone());
            self.tell(&slot.order, Change::Trade(fill.clone()));
        }
        fill
    }

    /// The money of one side of a trade: it pays from what it holds, receives, and pays its fee. Gives the fee.
    fn settle(&mut self, slot: &mut Slot, qty: Qty, quote: Cash, maker: bool) -> (Asset, Cash) {
        let instrument = &self.market.listing.instrument;
        let (base, quote_asset) = (instrument.base.clone(), instrument.quote.clone());
        let account = slot.order.account;
        let (paid, received) = match slot.order.side {
            Side::Buy => ((&quote_asset, quote), (&base, qty.as_cash())),
            Side::Sell => ((&base, qty.as_cash()), (&quote_asset, quote)),
        };
        self.bank.pay(account, paid.0, paid.1);
        slot.held -= paid.1;
        self.bank.credit(account, received.0, received.1);
        self.release_surplus(slot);
        let traded = Traded { base: &base, quote_asset: &quote_asset, qty, quote };
        charge_fee(self.bank, account, &traded, received, maker)
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
        self.release_surplus(slot);
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
            if self.cover(&mut slot) {
                self.execute(slot);
            } else {
                self.expire(&mut slot, Expiry::Rejected);
                self.close(slot);
            }
        }
    }

    /// A triggered market buy held its stop price; what it will pay stands in the book now. Locks the difference.
    fn cover(&mut self, slot: &mut Slot) -> bool {
        let order = &slot.order;
        if !matches!(order.terms, Terms::Stop { limit: None, .. }) || order.side == Side::Sell {
            return true;
        }
        let plan = self.plan(order.account, order.side, order.stp, None, slot.want);
        let missing = plan.quote - slot.held;
        if !missing.is_positive() {
            return true;
        }
        let covered = self.bank.lock(order.account, &self.market.listing.instrument.quote, missing);
        if covered {
            slot.held += missing;
        }
        covered
    }
}

/// Charges the fee of one side of a trade, and says what it was.
fn charge_fee(
    bank: &mut Bank,
    account: AccountId,
    traded: &Traded<'_>,
    received: (&Asset, Cash),
    maker: bool,
) -> (Asset, Cash) {
    let Some(settings) = bank.accounts.get(&account).map(|a| a.settings) else {
        return (received.0.clone(), Cash::ZERO);
    };
    let rate = if maker { settings.maker_fee } else { settings.taker_fee };
    let in_fee_asset = if settings.pay_in_fee_asset { bank.fee_asset.fee(traded, rate) } else { None };
    let affordable = in_fee_asset.filter(|(asset, fee)| bank.holding(account, asset).free >= *fee);
    let (asset, fee) = affordable.unwrap_or_else(|| (received.0.clone(), plain_fee(received.1, rate)));
    bank.charge(account, &asset, fee);
    (asset, fee)
}
