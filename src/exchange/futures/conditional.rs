//! Conditional orders: they wait for a price beside the book, with numbers of their own, and become an order then.
//!
//! ```text
//!   place ─▶ NEW ─▶ TRIGGERING ─▶ TRIGGERED ─▶ FINISHED      the order it became is placed, then over
//!             │          └──▶ REJECTED                       that order was refused; `reason` says why
//!             └──▶ CANCELED | EXPIRED
//! ```
//! Margin is looked at when it triggers, not before. A trailing one is inactive until the price reaches its activation
//! price, then follows the best price seen and triggers when the price turns back by its callback rate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::futures::admission;
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::contract::ContractStatus;
use crate::exchange::futures::event::Event;
use crate::exchange::futures::request::{NewOrder, Reject};
use crate::exchange::market::next;
use crate::exchange::order::{Order, PositionSide, PositionTerms};
use crate::exchange::request::{OrderRef, Reject as MarketReject, Request};
use crate::exchange::stop::Direction;
use crate::ids::{ClientOrderId, Symbol, VenueOrderId};
use crate::market::{OrderType, Side, Stp, WorkingType, words};
use crate::num::{ONE, Percent, Price, Qty};
use crate::order::request::Terms;
use crate::time::Time;

/// Untriggered ones an account may have.
const MOST: usize = 200;

words! {
    /// Where a conditional order stands.
    ConditionalStatus {
        /// Waiting.
        New = "NEW",
        /// Its price was reached.
        Triggering = "TRIGGERING",
        /// It became an order.
        Triggered = "TRIGGERED",
        /// That order is over.
        Finished = "FINISHED",
        /// Cancelled while it waited.
        Canceled = "CANCELED",
        /// Its order was refused.
        Rejected = "REJECTED",
        /// Its time was over, or its symbol ended.
        Expired = "EXPIRED",
    }
}

words! {
    /// Which client id the order has that a conditional order becomes.
    ChildName {
        /// The conditional order's.
        Same = "SAME",
        /// One made up.
        Fresh = "FRESH",
    }
}

/// A conditional order as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConditional {
    /// Symbol, name, side, quantity; terms are [`Terms::Stop`] or [`Terms::Trailing`]. The quantity is not looked at
    /// with [`PositionTerms::close_position`].
    pub request: Request,
    /// Position side, reduce-only, close-position, good-till date.
    pub position: PositionTerms,
    /// Which price it watches.
    pub working_type: WorkingType,
    /// Does it wait while last and mark price are far apart?
    pub price_protect: bool,
}

/// A conditional order, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditional {
    /// Its number; unique and rising over the exchange, apart from those of orders.
    pub id: u64,
    /// Whose.
    pub account: AccountId,
    /// What was asked for.
    pub asked: NewConditional,
    /// Status.
    pub status: ConditionalStatus,
    /// Does a trailing one follow the price already? Always true of others.
    pub active: bool,
    /// The best price a trailing one has seen since.
    pub best: Option<Price>,
    /// The order it became.
    pub order: Option<VenueOrderId>,
    /// Why that was refused.
    pub reason: Option<Reject>,
    /// When it was accepted.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// When its price was reached.
    pub triggered: Option<Time>,
}

/// All conditional orders.
#[derive(Debug, Default)]
pub(super) struct Conditionals {
    pub(super) last: u64,
    pub(super) all: BTreeMap<u64, Conditional>,
    /// Those that wait, by symbol.
    pub(super) waiting: BTreeMap<Symbol, BTreeSet<u64>>,
    pub(super) of: BTreeMap<AccountId, BTreeSet<u64>>,
    /// Those whose order is open.
    running: BTreeSet<u64>,
    fired: VecDeque<u64>,
    /// Trailing ones that have just become active.
    woken: Vec<u64>,
    /// Are they being run just now?
    busy: bool,
    pub(super) naming: Option<ChildName>,
}

impl Conditional {
    /// Sees a price; has it triggered?
    fn sees(&mut self, price: Price) -> bool {
        let side = self.asked.request.side;
        match self.asked.request.terms {
            Terms::Stop { order_type, stop, .. } => reached(side, order_type, stop, price),
            Terms::Trailing { callback_rate, activation_price } => {
                let begins = activation_price.is_none_or(|at| match side {
                    Side::Buy => price <= at,
                    Side::Sell => price >= at,
                });
                self.active |= begins;
                self.active && self.turned(callback_rate, price)
            }
            _ => false,
        }
    }

    /// Follows a price; has it turned back far enough?
    fn turned(&mut self, rate: Percent, price: Price) -> bool {
        let seen = self.best.unwrap_or(price);
        let side = self.asked.request.side;
        let best = if side == Side::Buy { seen.min(price) } else { seen.max(price) };
        self.best = Some(best);
        let back = Price::from_raw(best.raw() * rate.raw() / (100 * ONE));
        match side {
            Side::Buy => price >= best + back,
            Side::Sell => price <= best - back,
        }
    }

    fn waits(&self) -> bool {
        self.status == ConditionalStatus::New
    }
}

fn reached(side: Side, order_type: OrderType, stop: Price, price: Price) -> bool {
    match Direction::of(side, order_type) {
        Direction::Rising => price >= stop,
        Direction::Falling => price <= stop,
    }
}

impl Conditionals {
    /// Shows a price to those that wait for it; the ones that trigger stand in line.
    pub(super) fn watch(&mut self, symbol: &Symbol, working: WorkingType, price: Price, wild: bool) {
        let Some(ids) = self.waiting.get_mut(symbol) else { return };
        let mut fired = Vec::new();
        for id in ids.iter() {
            let Some(one) = self.all.get_mut(id).filter(|one| one.asked.working_type == working) else {
                continue;
            };
            let active = one.active;
            if one.sees(price) && !(wild && one.asked.price_protect) {
                fired.push(*id);
            } else if one.active != active {
                self.woken.push(*id);
            }
        }
        for id in fired {
            ids.remove(&id);
            self.fired.push_back(id);
        }
    }

    fn add(&mut self, one: Conditional) {
        self.waiting.entry(one.asked.request.symbol.clone()).or_default().insert(one.id);
        self.of.entry(one.account).or_default().insert(one.id);
        self.all.insert(one.id, one);
    }

    /// Puts one back that existed before.
    pub(super) fn restore(&mut self, one: Conditional) {
        self.last = self.last.max(one.id);
        match one.status {
            ConditionalStatus::New => return self.add(one),
            ConditionalStatus::Triggering | ConditionalStatus::Triggered => self.running.insert(one.id),
            _ => false,
        };
        self.of.entry(one.account).or_default().insert(one.id);
        self.all.insert(one.id, one);
    }

    fn owned(&self, account: AccountId) -> impl Iterator<Item = &Conditional> {
        self.of.get(&account).into_iter().flatten().filter_map(|id| self.all.get(id))
    }

    fn find(&self, account: AccountId, reference: &OrderRef) -> Option<&Conditional> {
        let mut own = self.owned(account);
        match reference {
            OrderRef::Id(id) | OrderRef::Both(id, _) => own.find(|one| one.id == *id),
            OrderRef::ClientId(name) => {
                let named: Vec<_> = own.filter(|one| one.asked.request.client_id == *name).collect();
                named.iter().find(|one| one.waits()).or(named.last()).copied()
            }
        }
    }
}

impl Exchange<Clearing> {
    /// Takes a conditional order.
    ///
    /// # Errors
    /// [`Reject`]; nothing has happened then.
    pub fn place_conditional(
        &mut self,
        now: Time,
        account: AccountId,
        asked: &NewConditional,
    ) -> Result<Conditional, Reject> {
        let now = self.advance(now);
        self.check_conditional(account, asked)?;
        let one = Conditional {
            id: next(&mut self.settlement.conditionals.last),
            account,
            asked: asked.clone(),
            status: ConditionalStatus::New,
            active: !matches!(asked.request.terms, Terms::Trailing { activation_price: Some(_), .. }),
            best: None,
            order: None,
            reason: None,
            created: now,
            updated: now,
            triggered: None,
        };
        let mut one = one;
        if let (Terms::Trailing { .. }, true) = (asked.request.terms, one.active) {
            one.best = self.working_price(&asked.request.symbol, asked.working_type);
        }
        self.settlement.conditionals.add(one.clone());
        self.events.push(Event::Conditional(Box::new(one.clone())));
        Ok(one)
    }

    /// The price a conditional order would see now.
    fn working_price(&self, symbol: &Symbol, working: WorkingType) -> Option<Price> {
        match working {
            WorkingType::Last => self.last_price(symbol),
            WorkingType::Mark => self.settlement.mark(symbol),
        }
    }

    fn check_conditional(&self, account: AccountId, asked: &NewConditional) -> Result<(), Reject> {
        let NewConditional { request, position, .. } = asked;
        let owner = self.settlement.account(account)?;
        let contract = &self.settlement.contract(&request.symbol)?.contract;
        let market = self.markets.get(&request.symbol).ok_or(MarketReject::UnknownSymbol)?;
        let instrument = &market.listing.offered();
        if !owner.settings.can_trade {
            return Err(MarketReject::AccountBlocked.into());
        }
        if contract.status != ContractStatus::Trading {
            return Err(Reject::NotOpen(contract.status));
        }
        if let Some(stp) = request.stp.filter(|stp| !market.listing.allowed_stp.contains(stp)) {
            return Err(MarketReject::StpNotSupported(stp).into());
        }
        admission::check_mode(owner.hedge, position)?;
        let seen = self.working_price(&request.symbol, asked.working_type);
        check_trigger(request, seen)?;
        let activation = match request.terms {
            Terms::Trailing { activation_price, .. } => activation_price,
            _ => None,
        };
        let prices = [request.terms.stop(), request.terms.price(), activation];
        prices.into_iter().flatten().try_for_each(|price| admission::check_price(instrument, price))?;
        if !position.close_position {
            admission::check_qty(instrument, request.qty, request.terms.price().is_none())?;
        } else if request.terms.price().is_some() || position.reduce_only {
            return Err(Reject::ClosePosition);
        }
        let waiting: Vec<_> = self.settlement.conditionals.owned(account).filter(|one| one.waits()).collect();
        if waiting.iter().any(|one| one.asked.request.client_id == request.client_id) {
            return Err(MarketReject::Duplicate.into());
        }
        if waiting.len() >= MOST { Err(Reject::TooManyConditionals(MOST)) } else { Ok(()) }
    }

    /// Cancels a conditional order that waits.
    ///
    /// # Errors
    /// [`MarketReject::UnknownOrder`] if none of that reference waits.
    pub fn cancel_conditional(
        &mut self,
        now: Time,
        account: AccountId,
        order: &OrderRef,
    ) -> Result<Conditional, Reject> {
        self.advance(now);
        self.settlement.account(account)?;
        let found = self.settlement.conditionals.find(account, order).filter(|one| one.waits());
        let id = found.ok_or(MarketReject::UnknownOrder)?.id;
        self.end_conditional(id, ConditionalStatus::Canceled);
        self.conditional(account, &OrderRef::Id(id)).cloned()
    }

    /// Cancels all conditional orders of an account that wait, in one symbol or in all; gives how many.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn cancel_all_conditionals(
        &mut self,
        now: Time,
        account: AccountId,
        symbol: Option<&Symbol>,
    ) -> Result<usize, Reject> {
        self.advance(now);
        let waiting = self.open_conditionals(account, symbol)?.iter().map(|one| one.id).collect::<Vec<_>>();
        for id in &waiting {
            self.end_conditional(*id, ConditionalStatus::Canceled);
        }
        Ok(waiting.len())
    }

    /// A conditional order, whatever its status. By client id: the one that waits, else the youngest.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`], [`MarketReject::UnknownOrder`].
    pub fn conditional(&self, account: AccountId, order: &OrderRef) -> Result<&Conditional, Reject> {
        self.settlement.account(account)?;
        Ok(self.settlement.conditionals.find(account, order).ok_or(MarketReject::UnknownOrder)?)
    }

    /// Conditional orders that wait, rising.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn open_conditionals(
        &self,
        account: AccountId,
        symbol: Option<&Symbol>,
    ) -> Result<Vec<&Conditional>, Reject> {
        let mut all = self.conditionals(account, symbol)?;
        all.retain(|one| one.waits());
        Ok(all)
    }

    /// All conditional orders of an account, rising.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub fn conditionals(
        &self,
        account: AccountId,
        symbol: Option<&Symbol>,
    ) -> Result<Vec<&Conditional>, Reject> {
        self.settlement.account(account)?;
        let wanted = |one: &&Conditional| symbol.is_none_or(|symbol| one.asked.request.symbol == *symbol);
        Ok(self.settlement.conditionals.owned(account).filter(wanted).collect())
    }

    /// Which client id the orders have that conditional orders become; at first, the same.
    pub fn name_children(&mut self, naming: ChildName) {
        self.settlement.conditionals.naming = Some(naming);
    }

    /// Changes a conditional order and tells it.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Conditional)) {
        let now = self.now();
        let Some(one) = self.settlement.conditionals.all.get_mut(&id) else { return };
        change(one);
        one.updated = now;
        self.events.push(Event::Conditional(Box::new(one.clone())));
    }

    /// Ends one that waits.
    pub(super) fn end_conditional(&mut self, id: u64, status: ConditionalStatus) {
        let Some(one) = self.settlement.conditionals.all.get(&id) else { return };
        let symbol = one.asked.request.symbol.clone();
        if let Some(waiting) = self.settlement.conditionals.waiting.get_mut(&symbol) {
            waiting.remove(&id);
        }
        self.change(id, |one| one.status = status);
    }

    /// Those whose good-till date is over, and when the next one's is.
    pub(super) fn expire_conditionals(&mut self, now: Time) {
        let all = &self.settlement.conditionals;
        let waiting = all.waiting.values().flatten().filter_map(|id| all.all.get(id));
        let due = waiting.filter(|one| one.asked.position.good_till.is_some_and(|at| at <= now));
        let due: Vec<u64> = due.map(|one| one.id).collect();
        for id in due {
            self.end_conditional(id, ConditionalStatus::Expired);
        }
    }

    pub(super) fn conditional_deadline(&self) -> Option<Time> {
        let all = &self.settlement.conditionals;
        let waiting = all.waiting.values().flatten().filter_map(|id| all.all.get(id));
        waiting.filter_map(|one| one.asked.position.good_till).min()
    }

    /// Turns those that triggered into orders, in order; their trades may trigger more. Then looks which of the orders
    /// are over.
    pub(super) fn run_conditionals(&mut self) {
        if std::mem::replace(&mut self.settlement.conditionals.busy, true) {
            return;
        }
        loop {
            for id in std::mem::take(&mut self.settlement.conditionals.woken) {
                self.change(id, |_| {});
            }
            let Some(id) = self.settlement.conditionals.fired.pop_front() else { break };
            self.trigger(id);
        }
        let running = self.settlement.conditionals.running.iter();
        let over: Vec<u64> = running.copied().filter(|id| self.is_over(*id)).collect();
        for id in over {
            self.settlement.conditionals.running.remove(&id);
            self.change(id, |one| one.status = ConditionalStatus::Finished);
        }
        self.settlement.conditionals.busy = false;
    }

    fn is_over(&self, id: u64) -> bool {
        let Some(one) = self.settlement.conditionals.all.get(&id) else { return true };
        let market = self.markets.get(&one.asked.request.symbol);
        let slot = one.order.and_then(|order| market?.orders.get(&order));
        slot.is_none_or(|slot| !slot.order.status.is_open())
    }

    fn trigger(&mut self, id: u64) {
        let now = self.now();
        self.change(id, |one| {
            one.status = ConditionalStatus::Triggering;
            one.triggered = Some(now);
        });
        let Some(one) = self.settlement.conditionals.all.get(&id).cloned() else { return };
        let placed = self.child_of(&one).and_then(|child| self.place_dated(now, one.account, &child));
        match placed {
            Ok(placed) => {
                self.settlement.conditionals.running.insert(id);
                self.change(id, |one| {
                    one.status = ConditionalStatus::Triggered;
                    one.order = Some(placed.order.id);
                });
            }
            Err(reason) => self.change(id, |one| {
                one.status = ConditionalStatus::Rejected;
                one.reason = Some(reason);
            }),
        }
    }

    /// The order a conditional one becomes.
    fn child_of(&self, one: &Conditional) -> Result<NewOrder, Reject> {
        let asked = &one.asked;
        let terms = match asked.request.terms {
            Terms::Stop { limit: Some((price, tif)), .. } => Terms::Limit { price, tif },
            _ => Terms::Market,
        };
        let name = match self.settlement.conditionals.naming {
            Some(ChildName::Fresh) => ClientOrderId::foreign(&format!("algo-{}", one.id)),
            _ => asked.request.client_id.clone(),
        };
        let stp = asked.request.stp.or(Some(Stp::None)).filter(|stp| self.takes(asked, *stp));
        let mut request = Request { client_id: name, terms, stp, ..asked.request.clone() };
        let mut position = PositionTerms { conditional: Some(one.id), ..asked.position };
        if position.close_position {
            position.reduce_only = position.side == PositionSide::Both;
            request.qty = self.closable(one, &request, position)?;
        }
        Ok(NewOrder { request, position })
    }

    fn takes(&self, asked: &NewConditional, stp: Stp) -> bool {
        let listing = self.listing(&asked.request.symbol);
        listing.is_some_and(|listing| listing.allowed_stp.contains(&stp))
    }

    fn closable(&self, one: &Conditional, request: &Request, position: PositionTerms) -> Result<Qty, Reject> {
        let order = Order::new(0, one.account, request, Stp::None, one.created);
        let qty = self.settlement.closable(&Order { position, ..order }, Qty::ZERO);
        if qty.is_zero() { Err(Reject::ReduceOnly) } else { Ok(qty) }
    }
}

/// Is it of a conditional type, and on the right side of the market?
fn check_trigger(request: &Request, seen: Option<Price>) -> Result<(), Reject> {
    match request.terms {
        Terms::Stop { order_type, stop, .. } => {
            let at_once = seen.is_some_and(|seen| reached(request.side, order_type, stop, seen));
            if at_once { Err(MarketReject::WouldTrigger.into()) } else { Ok(()) }
        }
        Terms::Trailing { callback_rate, activation_price } => {
            let (least, most) = (Percent::from_raw(ONE / 10), Percent::whole(20));
            if callback_rate < least || callback_rate > most {
                return Err(Reject::CallbackRate(callback_rate));
            }
            let wrong = |at: Price| match request.side {
                Side::Buy => seen.is_some_and(|seen| at >= seen),
                Side::Sell => seen.is_some_and(|seen| at <= seen),
            };
            match activation_price.filter(|at| wrong(*at)) {
                Some(at) => Err(Reject::ActivationPrice(at)),
                None => Ok(()),
            }
        }
        terms => Err(MarketReject::TypeNotSupported(terms.order_type()).into()),
    }
}
