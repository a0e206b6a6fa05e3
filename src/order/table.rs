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
        let order = Order::intended(record);
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
            // What an earlier run has seen it has told of.
            order.accept_fills();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Instructions, Side};
    use crate::num::{Price, Qty};

    fn record(name: &str, session: Option<u16>, reduce_only: bool) -> OrderRecord {
        OrderRecord {
            id: ClientOrderId::foreign(name),
            session: session.map(SessionId),
            symbol: Symbol::new("dogeusdt"),
            side: Side::Buy,
            order_type: None,
            tif: None,
            price: Some(Price::whole(2)),
            stop: None,
            qty: Qty::whole(10),
            quote_amount: None,
            forced: None,
            instructions: Instructions { reduce_only, ..Instructions::default() },
            conditional: false,
            time: Time::from_millis(5),
        }
    }

    fn names<'a>(orders: impl Iterator<Item = &'a Order>) -> Vec<&'a str> {
        orders.map(|order| order.id.as_str()).collect()
    }

    #[test]
    fn open_orders_are_those_that_are_not_over_by_owner_and_by_kind() {
        let mut orders = Orders::default();
        for (name, session, reduce_only) in [("a", Some(1), true), ("b", Some(2), false), ("c", None, false)]
        {
            orders.insert(&record(name, session, reduce_only));
        }
        assert_eq!(names(orders.open()), ["a", "b", "c"]);
        assert_eq!(names(orders.open_of(SessionId(1))), ["a"]);
        assert_eq!(names(orders.open_reducing()), ["a"]);
        let a = ClientOrderId::foreign("a");
        orders.update(&a, |order| order.state = State::Done(OrderStatus::Canceled));
        assert_eq!((names(orders.open()), names(orders.open_reducing())), (vec!["b", "c"], vec![]));
        orders.update(&a, |order| order.state = State::Working);
        assert_eq!((names(orders.open()), names(orders.open_reducing())), (vec!["a", "b", "c"], vec!["a"]));
    }

    #[test]
    fn what_the_journal_says_of_a_state_is_what_the_order_is_after_a_start() {
        let symbol = Symbol::new("dogeusdt");
        let id = ClientOrderId::foreign("a");
        for (word, venue_id, state) in [
            ("NEW", Some(7), State::Working),
            ("PARTIALLY_FILLED", Some(7), State::Working),
            ("NEW", None, State::Unknown),
            ("PENDING", None, State::Unknown),
            ("NOT_PLACED", None, State::NotPlaced),
            ("FILLED", Some(7), State::Done(OrderStatus::Filled)),
            ("EXPIRED_IN_MATCH", Some(7), State::Done(OrderStatus::ExpiredInMatch)),
        ] {
            let mut orders = Orders::default();
            orders.insert(&record("a", Some(1), false));
            let known_as = Some(ClientOrderId::foreign("renamed"));
            orders.fold_state(&OrderStateRecord {
                id: id.clone(),
                state: word.to_owned(),
                venue_id,
                conditional_id: Some(3),
                known_as: known_as.clone(),
                qty: Some(Qty::whole(8)),
                price: Some(Price::whole(3)),
                filled: Qty::whole(2),
                reason: Some("why".to_owned()),
                time: Time::from_millis(9),
            });
            let order = orders.by_conditional(&symbol, 3).expect("the number is known");
            // Evidence of either number is evidence that it exists.
            let wanted = if state == State::Unknown { State::Working } else { state };
            assert_eq!(order.state, wanted, "{word}");
            assert_eq!(
                (order.qty, order.price, order.told),
                (Qty::whole(8), Some(Price::whole(3)), Qty::whole(2))
            );
            assert_eq!(orders.by_venue(&symbol, 7).is_some(), venue_id.is_some());
            let back = state_record(order, order.changed);
            assert_eq!((back.known_as, back.venue_id, back.filled), (known_as, venue_id, Qty::whole(2)));
            assert_eq!(back.time, Time::from_millis(9));
        }
    }
}
