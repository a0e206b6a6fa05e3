//! All the exchange knows of one symbol: its listing, its book, its stops, its orders and whose they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::book::{Book, Place, Resting};
use crate::exchange::config::{AccountId, BookSource, Listing, ListingError};
use crate::exchange::event::{BestChange, BookChange};
use crate::exchange::order::{Fill, Order};
use crate::exchange::replay::Shown;
use crate::exchange::request::{OrderRef, Reject};
use crate::exchange::stop::{Direction, Stops};
use crate::ids::{Asset, ClientOrderId, VenueOrderId};
use crate::market::{Level, Side};
use crate::num::{Cash, ONE, Price, Qty};
use crate::order::request::Terms;
use crate::time::Time;

/// Price × quantity may reach 10^18.
const MAX_NOTIONAL_RAW: i128 = 10_i128.pow(18) * ONE;
/// So that a level's lots, the sum over many orders, fit 64 bits.
const MAX_LOTS: i64 = 10_i64.pow(13);

/// What an order still wants: lots, or for an order given as a quote amount, as many lots as that amount buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Lots(i64),
    Quote(Cash),
}

/// Something a taker can have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) ticks: i64,
    pub(super) lots: i64,
    /// Which order; `None` if it is of a recorded book.
    pub(super) resting: Option<Resting>,
}

/// What a taker would get from the book as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub(super) lots: i64,
    pub(super) quote: Cash,
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

/// An order at work, with what the engine needs besides what it shows.
#[derive(Clone, Debug)]
pub struct Slot {
    pub(super) order: Order,
    pub(super) want: Want,
    /// How much of the account's balance it holds, in [`Market::paid_in`] its side.
    pub(super) held: Cash,
    /// Its place in its price's queue.
    pub(super) arrival: u64,
}

impl Slot {
    /// Lots it still wants; none for an order given as a quote amount, which never rests.
    pub(super) fn lots(&self) -> i64 {
        match self.want {
            Want::Lots(lots) => lots,
            Want::Quote(_) => 0,
        }
    }

    /// The limit it works with.
    pub(super) fn limit(&self) -> Option<Price> {
        self.order.terms.price()
    }
}

/// An account's part of a symbol.
#[derive(Debug, Default)]
pub(super) struct Owned {
    /// All its orders, rising; none of an internal account, whose orders are forgotten when they end.
    pub(super) ids: Vec<VenueOrderId>,
    /// The open ones.
    pub(super) open: BTreeSet<VenueOrderId>,
    /// Its orders by the client id they have now: all of a client, the open ones of an internal account.
    pub(super) names: BTreeSet<(ClientOrderId, VenueOrderId)>,
    /// Its fills, by trade id.
    pub(super) fills: Vec<Fill>,
}

/// One symbol.
#[derive(Debug)]
pub struct Market {
    pub(super) listing: Listing,
    /// One tick × one lot, raw.
    unit: i128,
    /// The orders of this exchange. They are the public book, unless there is a recorded one.
    pub(super) book: Book,
    /// The recorded book of a replayed symbol.
    pub(super) shown: Option<Shown>,
    pub(super) stops: Stops,
    /// Open orders of everybody, and all orders of client accounts.
    pub(super) orders: BTreeMap<VenueOrderId, Slot>,
    pub(super) owners: BTreeMap<AccountId, Owned>,
    /// Ticks of the last trade.
    pub(super) last: Option<i64>,
    pub(super) counters: Counters,
    changed: BTreeSet<(Side, i64)>,
    /// The best levels as last published.
    pub(super) best: [Option<Level>; 2],
}

/// The numbers given last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) order: u64,
    pub(super) trade: u64,
    pub(super) execution: u64,
    pub(super) prevention: u64,
    pub(super) arrival: u64,
    pub(super) update: u64,
}

/// The next number of a counter.
pub(super) fn next(counter: &mut u64) -> u64 {
    *counter += 1;
    *counter
}

impl Market {
    pub(super) fn new(listing: Listing) -> Result<Self, ListingError> {
        let instrument = &listing.instrument;
        let symbol = || instrument.symbol.clone();
        let (tick, lot) = (instrument.tick(), instrument.lot());
        if !tick.is_positive() || !lot.is_positive() {
            return Err(ListingError::NoGrid(symbol()));
        }
        let product = tick.raw().checked_mul(lot.raw()).ok_or_else(|| ListingError::Unbounded(symbol()))?;
        if product % ONE != 0 {
            return Err(ListingError::GridTooFine(symbol()));
        }
        let unit = product / ONE;
        let ticks = instrument.price.max.raw() / tick.raw();
        let lots = instrument.qty.max.raw() / lot.raw();
        let notional = ticks.checked_mul(lots).and_then(|n| n.checked_mul(unit));
        let bounded = notional.is_some_and(|n| (1..=MAX_NOTIONAL_RAW).contains(&n));
        if !bounded || lots > i128::from(MAX_LOTS) || i64::try_from(ticks).is_err() {
            return Err(ListingError::Unbounded(symbol()));
        }
        Ok(Self {
            shown: (listing.source == BookSource::Replayed).then(Shown::default),
            listing,
            unit,
            book: Book::default(),
            stops: Stops::default(),
            orders: BTreeMap::new(),
            owners: BTreeMap::new(),
            last: None,
            counters: Counters::default(),
            changed: BTreeSet::new(),
            best: [None, None],
        })
    }

    pub(super) fn notional(&self, ticks: i64, lots: i64) -> Cash {
        Cash::from_raw(i128::from(ticks) * i128::from(lots) * self.unit)
    }

    pub(super) fn price(&self, ticks: i64) -> Price {
        self.listing.instrument.price_of(ticks)
    }

    pub(super) fn qty(&self, lots: i64) -> Qty {
        self.listing.instrument.qty_of(lots)
    }

    /// The asset an order of this side pays with.
    pub(super) fn paid_in(&self, side: Side) -> &Asset {
        self.listing.instrument.paid_in(side)
    }

    /// Ticks of a price that passed the filters.
    pub(super) fn ticks(&self, price: Price) -> i64 {
        self.listing.instrument.ticks(price).expect("admitted prices lie on the grid")
    }

    /// Lots of a quantity that passed the filters, or of a sum of such.
    pub(super) fn lots(&self, qty: Qty) -> i64 {
        self.listing.instrument.lots(qty).expect("admitted quantities lie on the grid")
    }

    /// How many lots are wanted at a price.
    pub(super) fn wanted(&self, want: Want, ticks: i64) -> i64 {
        match want {
            Want::Lots(lots) => lots,
            Want::Quote(left) => {
                let lots = left.raw() / self.notional(ticks, 1).raw();
                i64::try_from(lots).unwrap_or(MAX_LOTS).min(MAX_LOTS)
            }
        }
    }

    /// What is wanted after so many lots at a price.
    pub(super) fn wanted_after(&self, want: Want, ticks: i64, lots: i64) -> Want {
        match want {
            Want::Lots(left) => Want::Lots(left - lots),
            Want::Quote(left) => Want::Quote(left - self.notional(ticks, lots)),
        }
    }

    /// Is nothing more wanted? An amount is used up when it does not buy a lot at the next price offered; if nothing
    /// more is offered, it is not used up.
    pub(super) fn is_done(&self, want: Want, next: Option<i64>) -> bool {
        match want {
            Want::Lots(left) => left == 0,
            Want::Quote(_) => next.is_some_and(|ticks| self.wanted(want, ticks) == 0),
        }
    }

    /// What a taker finds on a side, best first: the book's orders, or the levels of the recorded book.
    pub(super) fn offers(&self, side: Side) -> Box<dyn Iterator<Item = Offer> + '_> {
        match &self.shown {
            None => Box::new(self.book.orders(side).map(|(ticks, resting)| Offer {
                ticks,
                lots: resting.lots,
                resting: Some(resting),
            })),
            Some(shown) => {
                Box::new(shown.offers(side).map(|(ticks, lots)| Offer { ticks, lots, resting: None }))
            }
        }
    }

    /// The price a taker finds first on a side.
    pub(super) fn best_offer(&self, side: Side) -> Option<i64> {
        match &self.shown {
            None => self.book.first(side).map(|(ticks, _)| ticks),
            Some(shown) => shown.offers(side).next().map(|(ticks, _)| ticks),
        }
    }

    /// What an order of this limit must hold for so many lots, in the asset its side pays with.
    pub(super) fn hold(&self, side: Side, limit: i64, lots: i64) -> Cash {
        match side {
            Side::Buy => self.notional(limit, lots),
            Side::Sell => self.qty(lots).as_cash(),
        }
    }

    /// Where the resting order of this slot is.
    pub(super) fn place_of(&self, slot: &Slot) -> Place {
        let ticks = slot.limit().map_or(0, |price| self.ticks(price));
        Place { side: slot.order.side, ticks, arrival: slot.arrival }
    }

    /// Ticks and direction of a stop that still waits.
    pub(super) fn waiting(&self, order: &Order) -> Option<(Direction, i64)> {
        match order.terms {
            Terms::Stop { order_type, stop, .. } if order.working_since.is_none() => {
                Some((Direction::of(order.side, order_type), self.ticks(stop)))
            }
            _ => None,
        }
    }

    /// Remembers that a level changed.
    pub(super) fn touch(&mut self, side: Side, ticks: i64) {
        self.changed.insert((side, ticks));
    }

    /// Finds an open order of the account.
    pub(super) fn find_open(&self, account: AccountId, reference: &OrderRef) -> Result<VenueOrderId, Reject> {
        let slot = match reference {
            OrderRef::Both(id, _) => self.find(account, &OrderRef::Id(*id)),
            OrderRef::Id(_) | OrderRef::ClientId(_) => self.find(account, reference),
        };
        let order = &slot?.order;
        match reference {
            _ if !order.status.is_open() => Err(Reject::UnknownOrder),
            OrderRef::Both(_, name) if *name != order.client_id => Err(Reject::IdMismatch),
            _ => Ok(order.id),
        }
    }

    /// Finds an order of the account. Of several with the same client id the open one, else the youngest.
    pub(super) fn find(&self, account: AccountId, reference: &OrderRef) -> Result<&Slot, Reject> {
        let by_id = |id: &VenueOrderId| {
            self.orders.get(id).filter(|s| s.order.account == account).ok_or(Reject::UnknownOrder)
        };
        match reference {
            OrderRef::Id(id) => by_id(id),
            OrderRef::ClientId(name) => self.find_by_name(account, name).ok_or(Reject::UnknownOrder),
            OrderRef::Both(id, name) => match by_id(id)? {
                slot if slot.order.client_id == *name => Ok(slot),
                _ => Err(Reject::IdMismatch),
            },
        }
    }

    fn find_by_name(&self, account: AccountId, name: &ClientOrderId) -> Option<&Slot> {
        let owned = self.owners.get(&account)?;
        let named = owned.names.range((name.clone(), 0)..=(name.clone(), VenueOrderId::MAX));
        let mut slots = named.rev().filter_map(|(_, id)| self.orders.get(id)).peekable();
        let youngest = slots.peek().copied();
        slots.find(|slot| slot.order.status.is_open()).or(youngest)
    }

    /// Does an open order of the account have this client id?
    pub(super) fn is_taken(&self, account: AccountId, name: &ClientOrderId) -> bool {
        self.find_by_name(account, name).is_some_and(|slot| slot.order.status.is_open())
    }

    /// Remembers a new order as its account's.
    pub(super) fn enroll(&mut self, order: &Order) {
        let owned = self.owners.entry(order.account).or_default();
        owned.open.insert(order.id);
        owned.names.insert((order.client_id.clone(), order.id));
        if !order.account.is_internal() {
            owned.ids.push(order.id);
        }
    }

    /// Gives an order a new client id.
    pub(super) fn rename(&mut self, order: &mut Order, name: &ClientOrderId) -> ClientOrderId {
        let previous = std::mem::replace(&mut order.client_id, name.clone());
        let names = &mut self.owners.entry(order.account).or_default().names;
        names.remove(&(previous.clone(), order.id));
        names.insert((name.clone(), order.id));
        previous
    }

    /// Open orders of an account, rising by id.
    pub(super) fn open_orders(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        let ids = self.owners.get(&account).into_iter().flat_map(|owned| &owned.open);
        ids.filter_map(|id| self.orders.get(id)).map(|slot| &slot.order)
    }

    /// The first levels of a side as published, best first.
    pub(super) fn levels(&self, side: Side, count: usize) -> Vec<Level> {
        let level = |(ticks, lots)| Level { price: self.price(ticks), qty: self.qty(lots) };
        match &self.shown {
            None => self.book.levels(side).take(count).map(level).collect(),
            Some(shown) => shown.levels(side).take(count).map(level).collect(),
        }
    }

    fn best_level(&self, side: Side) -> Option<Level> {
        let (ticks, lots) = match &self.shown {
            None => self.book.levels(side).next()?,
            Some(shown) => shown.levels(side).next()?,
        };
        Some(Level { price: self.price(ticks), qty: self.qty(lots) })
    }

    /// The book's changes since the last call.
    pub(super) fn take_changes(&mut self, now: Time) -> (Option<BookChange>, Option<BestChange>) {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() || self.shown.is_some() {
            return (None, None);
        }
        let level =
            |side, ticks| Level { price: self.price(ticks), qty: self.qty(self.book.lots_at(side, ticks)) };
        let of = |side| changed.iter().filter(move |(s, _)| *s == side).map(move |(s, t)| level(*s, *t));
        let (bids, asks) = (of(Side::Buy).rev().collect(), of(Side::Sell).collect());
        let symbol = self.listing.instrument.symbol.clone();
        let first_update_id = self.counters.update + 1;
        self.counters.update += changed.len() as u64;
        let book = BookChange {
            symbol,
            time: now,
            first_update_id,
            last_update_id: self.counters.update,
            bids,
            asks,
        };
        (Some(book), self.take_best(now))
    }

    /// The best levels, if they are others than at the last call.
    pub(super) fn take_best(&mut self, now: Time) -> Option<BestChange> {
        let best = [Side::Buy, Side::Sell].map(|side| self.best_level(side));
        if std::mem::replace(&mut self.best, best) == best {
            return None;
        }
        let [bid, ask] = best;
        let symbol = self.listing.instrument.symbol.clone();
        Some(BestChange { symbol, time: now, update_id: self.counters.update, bid, ask })
    }
}
