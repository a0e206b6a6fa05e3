//! All orders, found by any of their names.

use std::collections::{BTreeMap, BTreeSet};

use super::exposure::{Exposure, Exposures};
use super::state::{Order, State};
use crate::ids::{ClientOrderId, SessionId, Symbol, VenueOrderId};
use crate::journal::{OrderRecord, OrderStateRecord};
use crate::market::OrderStatus;
use crate::time::Time;

/// Orders by their own id, with indices. Ended orders stay: late fills must find their owner.
#[derive(Debug, Default)]
pub struct Orders {
    orders: BTreeMap<ClientOrderId, Order>,
    open: BTreeSet<ClientOrderId>,
    reducing: BTreeSet<ClientOrderId>,
    by_venue: BTreeMap<(Symbol, VenueOrderId), ClientOrderId>,
    by_conditional: BTreeMap<(Symbol, u64), ClientOrderId>,
    exposures: Exposures,
}

impl Orders {
    /// The order of that own id.
    pub fn get(&self, id: &ClientOrderId) -> Option<&Order> {
        self.orders.get(id)
    }

    /// The order of the venue's number.
    pub fn by_venue(&self, symbol: &Symbol, venue_id: VenueOrderId) -> Option<&Order> {
        self.by_venue.get(&(symbol.clone(), venue_id)).and_then(|id| self.orders.get(id))
    }

    /// The order of that number among the venue's conditional orders.
    pub fn by_conditional(&self, symbol: &Symbol, conditional_id: u64) -> Option<&Order> {
        self.by_conditional.get(&(symbol.clone(), conditional_id)).and_then(|id| self.orders.get(id))
    }

    /// Orders that are not over, of whatever owner, by id.
    pub fn open(&self) -> impl Iterator<Item = &Order> {
        self.open.iter().filter_map(|id| self.orders.get(id))
    }

    /// Orders of a session that are not over.
    pub fn open_of(&self, session: SessionId) -> impl Iterator<Item = &Order> {
        self.open().filter(move |o| o.session == Some(session))
    }

    /// Reduce-only orders that are not over.
    pub fn open_reducing(&self) -> impl Iterator<Item = &Order> {
        self.reducing.iter().filter_map(|id| self.orders.get(id))
    }

    /// What open orders may still do, by session and symbol.
    pub fn exposures(&self) -> &Exposures {
        &self.exposures
    }

    /// Takes in a new order; the record is the journal's.
    pub fn insert(&mut self, record: &OrderRecord) {
        let order = Order {
            id: record.id.clone(),
            session: record.session,
            symbol: record.symbol.clone(),
            side: record.side,
            order_type: record.order_type,
            tif: record.tif,
            price: record.price,
            stop: record.stop,
            qty: record.qty,
            quote_amount: record.quote_amount,
            forced: record.forced,
            instructions: record.instructions,
            conditional: record.conditional,
            created: record.time,
            state: State::Intended,
            venue_id: None,
            conditional_id: None,
            known_as: record.id.clone(),
            amends: 0,
            amending: None,
            cancel_wanted: false,
            cancel_sent: None,
            as_of: Time::default(),
            told: Default::default(),
            lacking: Default::default(),
            filled: Default::default(),
            filled_quote: Default::default(),
            ending: None,
            code: None,
            reason: None,
            changed: record.time,
        };
        self.open.insert(order.id.clone());
        if order.instructions.reduce_only {
            self.reducing.insert(order.id.clone());
        }
        let before = self.orders.get(&order.id).map(Exposure::of).unwrap_or_default();
        self.exposures.change(&order, before, Exposure::of(&order));
        self.orders.insert(order.id.clone(), order);
    }

    /// Changes an order and keeps the indices true.
    pub fn update<R>(&mut self, id: &ClientOrderId, change: impl FnOnce(&mut Order) -> R) -> Option<R> {
        let order = self.orders.get_mut(id)?;
        let before = Exposure::of(order);
        let result = change(order);
        self.exposures.change(order, before, Exposure::of(order));
        if let Some(venue_id) = order.venue_id {
            self.by_venue.insert((order.symbol.clone(), venue_id), id.clone());
        }
        if let Some(conditional_id) = order.conditional_id {
            self.by_conditional.insert((order.symbol.clone(), conditional_id), id.clone());
        }
        if order.state.is_over() {
            self.open.remove(id);
            self.reducing.remove(id);
        } else {
            self.open.insert(id.clone());
            if order.instructions.reduce_only {
                self.reducing.insert(id.clone());
            }
        }
        Some(result)
    }

    /// Folds a state record of the journal. An order that was open when the last run ended is in doubt until asked
    /// about.
    pub fn fold_state(&mut self, record: &OrderStateRecord) {
        self.update(&record.id, |order| {
            order.venue_id = record.venue_id.or(order.venue_id);
            order.conditional_id = record.conditional_id.or(order.conditional_id);
            order.state = state_from_word(&record.state, order.lives());
            if let Some(known_as) = &record.known_as {
                order.known_as = known_as.clone();
            }
            order.qty = record.qty.unwrap_or(order.qty);
            order.price = record.price.or(order.price);
            order.told = order.told.max(record.filled);
            order.reason.clone_from(&record.reason);
            order.changed = record.time;
        });
    }
}

fn state_from_word(word: &str, lives: bool) -> State {
    let over = [
        OrderStatus::Filled,
        OrderStatus::Canceled,
        OrderStatus::Rejected,
        OrderStatus::Expired,
        OrderStatus::ExpiredInMatch,
    ];
    match over.into_iter().find(|status| status.as_str() == word) {
        Some(end) => State::Done(end),
        None if word == "NOT_PLACED" => State::NotPlaced,
        None if lives => State::Working,
        None => State::Unknown,
    }
}

/// The word a state has in the journal.
pub fn journal_word(order: &Order) -> String {
    match order.state {
        State::NotPlaced => "NOT_PLACED".to_owned(),
        _ => order.status().as_str().to_owned(),
    }
}

/// The journal's record of an order's present state.
pub fn state_record(order: &Order, time: Time) -> OrderStateRecord {
    OrderStateRecord {
        id: order.id.clone(),
        state: journal_word(order),
        venue_id: order.venue_id,
        conditional_id: order.conditional_id,
        known_as: (order.known_as != order.id).then(|| order.known_as.clone()),
        qty: Some(order.qty),
        price: order.price,
        filled: order.told,
        reason: order.reason.clone(),
        time,
    }
}
