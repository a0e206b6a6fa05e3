//! A second exchange, to check the first one: vectors, decimals, whole scans. What is locked it works out from the open
//! orders, what a market order will cost by trying on a copy. It shares types with the real one, and no logic.

use crate::exchange::OrderStatus::{Expired, ExpiredInMatch, Filled, New, PartiallyFilled};
use crate::exchange::*;
use crate::ids::Asset;
use crate::market::{OrderType, PublicTrade, Side, Stp, Tif};
use crate::num::{Cash, ONE, Price, Qty};
use crate::order::request::Terms;
use crate::time::Time;
use std::collections::BTreeMap;

#[derive(Clone)]
struct Live {
    order: Order,
    amount: Option<Cash>, // what is left of an amount given in the quote asset
    hold: Option<Cash>,   // what an order without a limit holds
}

#[derive(Clone)]
pub(super) struct Sym {
    pub(super) listing: Listing,
    live: Vec<Live>,
    last: Option<Price>,
    counters: [u64; 4], // orders, trades, executions, preventions
    fired: Vec<u64>,
}

#[derive(Clone)]
pub(super) struct Naive {
    pub(super) syms: Vec<Sym>,
    pub(super) accounts: BTreeMap<AccountId, AccountSettings>,
    pub(super) totals: BTreeMap<(AccountId, Asset), Cash>,
    pub(super) fee_asset: (Asset, Rate),
    pub(super) now: Time,
    pub(super) events: Vec<Event>,
}

impl Naive {
    pub(super) fn list(&mut self, listing: Listing) {
        self.syms.push(Sym { listing, live: vec![], last: None, counters: [0; 4], fired: vec![] });
    }

    pub(super) fn add(&mut self, id: AccountId, asset: &Asset, delta: Cash) {
        *self.totals.entry((id, asset.clone())).or_default() += delta;
    }

    pub(super) fn free_and_locked(&self, id: AccountId, asset: &Asset) -> (Cash, Cash) {
        let total = self.totals.get(&(id, asset.clone())).copied().unwrap_or_default();
        let lives = self.syms.iter().flat_map(|s| s.live.iter().map(|l| (&s.listing.instrument, l)));
        let own = lives.filter(|(i, l)| l.order.account == id && i.paid_in(l.order.side) == asset);
        let locked = own.map(|(_, l)| must_hold(l)).sum();
        (total - locked, locked)
    }

    pub(super) fn in_turn(&self, s: usize, side: Side) -> Vec<Order> {
        let rests = |o: &&Order| o.side == side && o.status.is_open() && o.working_since.is_some();
        let mut queue: Vec<_> = self.syms[s].live.iter().map(|l| &l.order).filter(rests).cloned().collect();
        queue.sort_by_key(|o| o.terms.price().unwrap().raw() * if side == Side::Buy { -1 } else { 1 });
        queue
    }

    pub(super) fn open(&self, id: AccountId, s: usize) -> Vec<&Order> {
        self.syms[s].live.iter().map(|l| &l.order).filter(|o| o.account == id && o.status.is_open()).collect()
    }

    fn get(&mut self, s: usize, id: u64) -> &mut Live {
        self.syms[s].live.iter_mut().find(|l| l.order.id == id).unwrap()
    }

    fn count(&mut self, s: usize, which: usize) -> u64 {
        self.syms[s].counters[which] += 1;
        self.syms[s].counters[which]
    }

    fn tell(&mut self, s: usize, id: u64, change: Change) -> Order {
        let (execution_id, time, live) = (self.count(s, 2), self.now, self.get(s, id));
        live.order.updated = time;
        live.order.qty = live.amount.map_or(live.order.qty, |_| live.order.filled + live.order.prevented);
        let order = live.order.clone();
        self.events.push(Event::Order(Box::new(OrderEvent { execution_id, time, change, order })));
        self.get(s, id).order.clone()
    }

    pub(super) fn place(&mut self, s: usize, id: AccountId, r: &Request) -> Result<Order, Reject> {
        let (i, stp) = (self.syms[s].listing.instrument.clone(), self.syms[s].listing.default_stp);
        let order = Order::new(self.syms[s].counters[0] + 1, id, r, stp, self.now);
        let best = self.in_turn(s, r.side.opposite()).first().map(|o| o.terms.price().unwrap());
        let amount = if let Terms::MarketQuote { amount } = r.terms { Some(amount) } else { None };
        let post_only = matches!(r.terms, Terms::PostOnly { .. });
        refuse(&[
            (i.status != crate::instrument::InstrumentStatus::Trading, Reject::MarketClosed),
            (self.open(id, s).iter().any(|o| o.client_id == r.client_id), Reject::Duplicate),
            (self.syms[s].last.is_some_and(|last| triggers(&order, last)), Reject::WouldTrigger),
            (post_only && best.is_some_and(|best| crosses(&order, best)), Reject::WouldMatch),
            (best.zip(amount).is_some_and(|(b, a)| b.times(i.lot()) > a), Reject::Filter(Filter::LotSize)),
        ])?;
        let mut live = Live { order, amount, hold: None };
        let by_book = amount.is_some() || (r.side == Side::Buy && r.terms == Terms::Market);
        let cost = amount.filter(|_| r.side == Side::Buy);
        live.hold = by_book.then(|| cost.unwrap_or_else(|| self.rehearse(s, &live).0));
        refuse(&[(
            must_hold(&live) > self.free_and_locked(id, i.paid_in(r.side)).0,
            Reject::InsufficientBalance,
        )])?;
        self.syms[s].live.push(live);
        let order_id = self.count(s, 0);
        let order = self.tell(s, order_id, Change::New);
        Ok(if order.working_since.is_none() { order } else { self.work(s, order_id) })
    }

    /// Lets a copy trade on credit: what the order would pay, and whether it would be filled whole.
    fn rehearse(&self, s: usize, live: &Live) -> (Cash, bool) {
        let mut copy = Self { events: vec![], ..self.clone() };
        copy.syms[s].live.retain(|l| l.order.id != live.order.id);
        copy.syms[s].live.push(Live { hold: Some(Cash::ZERO), ..live.clone() });
        copy.take(s, live.order.id);
        let order = &copy.get(s, live.order.id).order;
        let paid = if order.side == Side::Buy { order.filled_quote } else { order.filled.as_cash() };
        (paid, order.filled == order.qty)
    }

    fn expire(&mut self, s: usize, id: u64, expiry: Option<Expiry>) -> Order {
        let order = &mut self.get(s, id).order;
        (order.status, order.expiry) = (Expired, expiry);
        self.tell(s, id, Change::Expired)
    }

    fn work(&mut self, s: usize, id: u64) -> Order {
        let live = self.get(s, id).clone();
        if live.order.terms.tif() != Some(Tif::Fok) || self.rehearse(s, &live).1 {
            self.take(s, id);
        }
        let order = self.get(s, id).order.clone();
        match (order.terms.price(), order.terms.tif()) {
            _ if !order.status.is_open() => order,
            (None, _) => self.expire(s, id, Some(Expiry::InsufficientLiquidity)),
            (_, Some(Tif::Ioc)) => self.expire(s, id, Some(Expiry::UnfilledIoc)),
            (_, Some(Tif::Fok)) => self.expire(s, id, Some(Expiry::UnfilledFok)),
            _ => order,
        }
    }

    fn take(&mut self, s: usize, id: u64) {
        while self.get(s, id).order.status.is_open() {
            let Live { order: t, amount, .. } = self.get(s, id).clone();
            let queue = self.in_turn(s, t.side.opposite());
            let Some(m) = queue.first() else { return };
            let (price, lot) = (m.terms.price().unwrap(), self.syms[s].listing.instrument.lot());
            let wanted =
                amount.map_or(t.left(), |a| Qty::from_raw(a.raw() / price.times(lot).raw() * lot.raw()));
            if wanted.is_zero() || !crosses(&t, price) {
                return;
            }
            let (qty, own) = (wanted.min(m.left()), m.account == t.account && t.stp != Stp::None);
            let (m_cut, t_cut) = match t.stp {
                Stp::ExpireMaker if own => (m.left(), Qty::ZERO),
                Stp::ExpireTaker if own => (Qty::ZERO, wanted),
                Stp::ExpireBoth if own => (m.left(), wanted),
                _ => (qty, qty),
            };
            let next = queue.get(usize::from(m_cut == m.left())).map(|o| o.terms.price().unwrap().times(lot));
            let used_up = |a: Cash| next.is_some_and(|cost| cost > a - price.times(t_cut));
            let (m_done, t_done) = (m_cut == m.left(), amount.map_or(t.left() == t_cut, used_up));
            if own {
                let (id, quote, whole) = (self.count(s, 3), price.times(qty), t.stp != Stp::Decrement);
                let both = [(m.id, t.id, m_cut, m_done), (t.id, m.id, t_cut, t_done || whole)];
                for (own, counter_order, prevented, ends) in both.into_iter().filter(|l| !l.2.is_zero()) {
                    let Live { order, amount, .. } = self.get(s, own);
                    *amount = amount.map(|a| a - price.times(prevented));
                    (order.prevented, order.prevented_match) = (order.prevented + prevented, Some(id));
                    order.status = if ends { ExpiredInMatch } else { order.status };
                    let prevention = Prevention { id, counter_order, price, qty, quote, prevented };
                    self.tell(s, own, Change::Prevented(prevention));
                }
                continue;
            }
            let (id, time, buyer_is_maker) = (self.count(s, 1), self.now, m.side == Side::Buy);
            self.fill(s, t.id, (id, price, qty), t_done, false);
            self.fill(s, m.id, (id, price, qty), m_done, true);
            let trade = PublicTrade { id, time, price, qty, buyer_is_maker };
            self.events.push(Event::Trade { symbol: t.symbol.clone(), trade });
            let Sym { live, fired, last, .. } = &mut self.syms[s];
            *last = Some(price);
            fired.extend(live.iter().map(|l| &l.order).filter(|o| triggers(o, price)).map(|o| o.id));
        }
    }

    fn fill(&mut self, s: usize, id: u64, trade: (u64, Price, Qty), done: bool, maker: bool) {
        let (i, base, quote) =
            (self.syms[s].listing.instrument.clone(), trade.2.as_cash(), trade.1.times(trade.2));
        let (now, Live { order, amount, hold }) = (self.now, self.get(s, id));
        let (paid, got) = if order.side == Side::Buy { (quote, base) } else { (base, quote) };
        (order.filled, order.filled_quote) = (order.filled + trade.2, order.filled_quote + quote);
        (order.status, order.updated) = (if done { Filled } else { PartiallyFilled }, now);
        (*amount, *hold) = (amount.map(|amount| amount - quote), hold.map(|hold| hold - paid));
        let (order, received) = (order.clone(), i.paid_in(order.side.opposite()));
        self.add(order.account, i.paid_in(order.side), -paid);
        self.add(order.account, received, got);
        let (settings, (bnb, discount)) = (self.accounts[&order.account], self.fee_asset.clone());
        let rate = i128::from(if maker { settings.maker_fee } else { settings.taker_fee }.raw());
        let cheap = rate * (ONE - i128::from(discount.raw())) / ONE;
        let priced = |s: &&Sym| s.listing.instrument.base == bnb && s.listing.instrument.quote == i.quote;
        let in_bnb = match self.syms.iter().find(priced).and_then(|s| s.last) {
            _ if i.base == bnb => Some(base.raw() * cheap / ONE),
            _ if i.quote == bnb => Some(quote.raw() * cheap / ONE),
            price => price.map(|price| quote.raw() * cheap / ONE * ONE / price.raw()),
        };
        let cut = |raw: i128| Cash::from_raw(raw / 100 * 100);
        let enough =
            |fee: &Cash| settings.pay_in_fee_asset && self.free_and_locked(order.account, &bnb).0 >= *fee;
        let fee = in_bnb.map(cut).filter(enough).map(|fee| (bnb.clone(), fee));
        let fee = fee.unwrap_or_else(|| (received.clone(), cut(got.raw() * rate / ONE)));
        self.add(order.account, &fee.0, -fee.1);
        self.add(AccountId::FEES, &fee.0, fee.1);
        self.tell(s, id, Change::Trade(Fill::new(&order, trade, fee, Cash::ZERO, maker)));
    }

    pub(super) fn finish(&mut self, s: usize) {
        while let Some(id) = self.syms[s].fired.first().copied() {
            self.syms[s].fired.retain(|fired| *fired != id);
            let at = self.syms[s].live.iter().position(|l| l.order.id == id).unwrap();
            let mut live = self.syms[s].live.remove(at);
            let (held, quote) = (must_hold(&live), self.syms[s].listing.instrument.quote.clone());
            live.order.working_since = Some(self.now);
            let by_book = live.order.side == Side::Buy && live.order.terms.price().is_none();
            live.hold = by_book.then(|| self.rehearse(s, &live).0.max(held));
            let short = live.hold > Some(self.free_and_locked(live.order.account, &quote).0);
            self.syms[s].live.push(live);
            self.tell(s, id, Change::New);
            let _ = if short { self.expire(s, id, Some(Expiry::Rejected)) } else { self.work(s, id) };
        }
        self.syms[s].live.retain(|l| l.order.status.is_open());
    }

    fn find(&self, s: usize, id: AccountId, which: &OrderRef) -> Result<Order, Reject> {
        let halted = self.syms[s].listing.instrument.status == crate::instrument::InstrumentStatus::Halted;
        refuse(&[(!self.accounts[&id].can_trade, Reject::AccountBlocked), (halted, Reject::MarketClosed)])?;
        let order = self.open(id, s).into_iter().find(|o| match which {
            OrderRef::Id(id) | OrderRef::Both(id, _) => o.id == *id,
            OrderRef::ClientId(name) => o.client_id == *name,
        });
        let order = order.ok_or(Reject::UnknownOrder)?.clone();
        let other = matches!(which, OrderRef::Both(_, name) if *name != order.client_id);
        refuse(&[(other, Reject::IdMismatch)]).map(|()| order)
    }

    pub(super) fn cancel(&mut self, s: usize, id: AccountId, c: &Cancel) -> Result<Order, Reject> {
        let order = self.find(s, id, &c.order)?;
        let only = |r| if r == CancelRestriction::OnlyNew { New } else { PartiallyFilled };
        let only = c.restriction.map_or(order.status, only);
        refuse(&[(only != order.status, Reject::CancelRestricted)])?;
        let live = &mut self.get(s, order.id).order;
        (live.client_id, live.status) = (c.cancel_id.clone(), OrderStatus::Canceled);
        Ok(self.tell(s, order.id, Change::Canceled { previous_id: order.client_id }))
    }

    pub(super) fn amend(&mut self, s: usize, id: AccountId, a: &Amend) -> Result<Order, Reject> {
        let (order, listing) = (self.find(s, id, &a.order)?, &self.syms[s].listing);
        let taken = self.open(id, s).iter().any(|o| o.id != order.id && o.client_id == a.amend_id);
        let small = |price: Price| price.times(a.qty) < listing.instrument.min_notional;
        refuse(&[
            (a.qty > order.qty, Reject::AmendIncrease),
            (a.qty == order.qty, Reject::AmendNoChange),
            (order.amends >= listing.limits.max_amends, Reject::Filter(Filter::MaxNumOrderAmends)),
            (order.terms.price().is_some_and(small), Reject::Filter(Filter::Notional)),
            (taken, Reject::Duplicate),
        ])?;
        let (done, live) = (order.filled + order.prevented, &mut self.get(s, order.id).order);
        (live.client_id, live.amends, live.qty) = (a.amend_id.clone(), order.amends + 1, a.qty.max(done));
        let replaced = Change::Replaced { previous_id: order.client_id };
        Ok(if a.qty <= done { self.expire(s, order.id, None) } else { self.tell(s, order.id, replaced) })
    }
}

fn refuse(checks: &[(bool, Reject)]) -> Result<(), Reject> {
    checks.iter().find(|check| check.0).map_or(Ok(()), |check| Err(check.1))
}

fn must_hold(live: &Live) -> Cash {
    let order = &live.order;
    match (live.hold, order.side) {
        _ if !order.status.is_open() => Cash::ZERO,
        (Some(hold), _) => hold,
        (None, Side::Sell) => order.left().as_cash(),
        (None, Side::Buy) => order.terms.price().or(order.terms.stop()).unwrap().times(order.left()),
    }
}

fn triggers(order: &Order, last: Price) -> bool {
    let Terms::Stop { order_type, stop, .. } = order.terms else { return false };
    let loss = matches!(order_type, OrderType::StopLoss | OrderType::StopLossLimit);
    let waits = order.working_since.is_none() && order.status.is_open();
    waits && if loss == (order.side == Side::Buy) { last >= stop } else { last <= stop }
}

fn crosses(order: &Order, price: Price) -> bool {
    order.terms.price().is_none_or(|limit| price == limit || (price < limit) == (order.side == Side::Buy))
}
