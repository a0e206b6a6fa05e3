//! What open orders of a session may still do in a symbol: kept along with every change of an order, so that judging
//! the next one costs the same however many are open. Orders in doubt count like any other that is not over.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};

use super::state::Order;
use crate::ids::{SessionId, Symbol};
use crate::market::Side;
use crate::num::{Cash, Price, Qty};

/// Orders by quote amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    /// How many.
    pub orders: u64,
    /// What is left of their amounts.
    pub amount: Cash,
}

impl Add for Blind {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { orders: self.orders + other.orders, amount: self.amount + other.amount }
    }
}

impl Sub for Blind {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { orders: self.orders.saturating_sub(other.orders), amount: self.amount - other.amount }
    }
}

/// The sum of open orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// How many.
    pub orders: u64,
    /// What they may still buy.
    pub buys: Qty,
    /// What they may still sell.
    pub sells: Qty,
    /// Buys by quote amount: how much they may buy is not known.
    pub blind_buys: Blind,
    /// Sells by quote amount.
    pub blind_sells: Blind,
    /// What is left of those with a price is worth, at their limit price or else their stop price; of those by quote
    /// amount, the amount.
    pub priced: Cash,
    /// What is left of those without.
    pub unpriced: Qty,
}

impl Exposure {
    /// What they are worth, where those without a price fill at this one.
    pub fn worth(&self, at: Price) -> Cash {
        self.priced + at.times(self.unpriced)
    }

    /// Of one order; nothing once it is over.
    pub fn of(order: &Order) -> Self {
        if order.session.is_none() || order.state.is_over() {
            return Self::default();
        }
        let mut exposure = Self { orders: 1, ..Self::default() };
        if let Some(amount) = order.quote_amount {
            let amount = (amount - order.filled_quote).max(Cash::ZERO);
            let blind = Blind { orders: 1, amount };
            exposure.priced = amount;
            match order.side {
                Side::Buy => exposure.blind_buys = blind,
                Side::Sell => exposure.blind_sells = blind,
            }
            return exposure;
        }
        let left = order.left().max(Qty::ZERO);
        match order.side {
            Side::Buy => exposure.buys = left,
            Side::Sell => exposure.sells = left,
        }
        match order.price.or(order.stop) {
            Some(price) => {
                // An amend on its way may make it dearer.
                let asked = order.amending.map_or(price, |amending| amending.price.max(price));
                exposure.priced = asked.times(left);
            }
            None => exposure.unpriced = left,
        }
        exposure
    }
}

impl Add for Exposure {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            orders: self.orders + other.orders,
            buys: self.buys + other.buys,
            sells: self.sells + other.sells,
            blind_buys: self.blind_buys + other.blind_buys,
            blind_sells: self.blind_sells + other.blind_sells,
            priced: self.priced + other.priced,
            unpriced: self.unpriced + other.unpriced,
        }
    }
}

impl Sub for Exposure {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            orders: self.orders.saturating_sub(other.orders),
            buys: self.buys - other.buys,
            sells: self.sells - other.sells,
            blind_buys: self.blind_buys - other.blind_buys,
            blind_sells: self.blind_sells - other.blind_sells,
            priced: self.priced - other.priced,
            unpriced: self.unpriced - other.unpriced,
        }
    }
}

/// All of them by session and symbol.
#[derive(Debug, Default)]
pub struct Exposures(BTreeMap<SessionId, BTreeMap<Symbol, Exposure>>);

impl Exposures {
    /// All there are.
    pub fn all(&self) -> impl Iterator<Item = (SessionId, &Symbol, &Exposure)> {
        self.0.iter().flat_map(|(session, symbols)| symbols.iter().map(|(symbol, e)| (*session, symbol, e)))
    }

    /// An order's share was this, and is now that.
    pub(super) fn change(&mut self, order: &Order, before: Exposure, after: Exposure) {
        let Some(session) = order.session.filter(|_| before != after) else { return };
        let symbols = self.0.entry(session).or_default();
        match symbols.get_mut(&order.symbol) {
            Some(sum) => {
                *sum = *sum - before + after;
                if *sum == Exposure::default() {
                    symbols.remove(&order.symbol);
                }
            }
            None => {
                symbols.insert(order.symbol.clone(), after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientOrderId;
    use crate::journal::OrderRecord;
    use crate::market::{Instructions, OrderStatus};
    use crate::order::state::State;
    use crate::order::table::Orders;
    use crate::time::{Span, Time};

    fn record(rng: &mut fastrand::Rng, n: u32) -> OrderRecord {
        let priced = |rng: &mut fastrand::Rng| rng.bool().then(|| Price::whole(rng.i64(1..9)));
        let by_amount = rng.u8(..10) == 0;
        OrderRecord {
            id: ClientOrderId::foreign(&n.to_string()),
            session: (rng.u8(..5) > 0).then(|| SessionId(rng.u16(1..4))),
            symbol: Symbol::new(["a", "b"][rng.usize(..2)]),
            side: if rng.bool() { Side::Buy } else { Side::Sell },
            order_type: None,
            tif: None,
            price: priced(rng),
            stop: priced(rng),
            qty: if by_amount { Qty::ZERO } else { Qty::whole(rng.i64(1..50)) },
            quote_amount: by_amount.then(|| Cash::whole(100)),
            forced: None,
            instructions: Instructions::default(),
            conditional: false,
            time: Time::default(),
        }
    }

    /// By looking at every order there is.
    fn naive(orders: &Orders, session: SessionId, symbol: &Symbol) -> Exposure {
        let mut sum = Exposure::default();
        for order in orders.open().filter(|o| o.session == Some(session) && o.symbol == *symbol) {
            let asked = order.amending.unwrap_or_default();
            let left = order.qty.max(asked.qty) - order.filled;
            sum.orders += 1;
            match (order.quote_amount, order.side) {
                (Some(amount), side) => {
                    let blind = if side == Side::Buy { &mut sum.blind_buys } else { &mut sum.blind_sells };
                    blind.orders += 1;
                    blind.amount += amount - order.filled_quote;
                }
                (None, Side::Buy) => sum.buys += left,
                (None, Side::Sell) => sum.sells += left,
            }
            match (order.quote_amount, order.price.or(order.stop)) {
                (Some(amount), _) => sum.priced += amount - order.filled_quote,
                (None, Some(price)) => sum.priced += price.max(asked.price).times(left),
                (None, None) => sum.unpriced += left,
            }
        }
        sum
    }

    #[test]
    fn r61_what_is_kept_along_is_the_sum_of_the_open_orders() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut orders = Orders::default();
            for n in 0..60 {
                if rng.u8(..3) == 0 {
                    orders.insert(&record(&mut rng, n));
                }
                let id = ClientOrderId::foreign(&rng.u32(..=n).to_string());
                let ends = [State::Done(OrderStatus::Canceled), State::NotPlaced];
                let lives = [State::Sent, State::Working, State::Canceling, State::Unknown];
                let now = Time::from_millis(n.into());
                orders.update(&id, |order| match rng.u8(..9) {
                    6 => order.amend_sent(
                        order.qty + Qty::whole(rng.i64(1..9)),
                        order.price.map(|_| Price::whole(5)),
                    ),
                    7 => order.amend_replied(now, rng.bool()),
                    8 => order.amend_found(now, Span::from_millis(2)),
                    0 if order.quote_amount.is_none() => order.qty += Qty::whole(1),
                    1 => order.price = order.price.map(|_| Price::whole(rng.i64(1..9))),
                    2 if order.left().is_positive() => order.filled += Qty::whole(1),
                    3 if order.quote_amount.is_some() => order.filled_quote = Cash::whole(rng.i64(1..99)),
                    4 => order.state = ends[rng.usize(..2)],
                    _ => order.state = lives[rng.usize(..4)],
                });
                for (session, symbol) in (1..4).flat_map(|s| ["a", "b"].map(|name| (s, Symbol::new(name)))) {
                    let (session, symbol) = (SessionId(session), &symbol);
                    let kept = orders.exposures().all().find(|(s, of, _)| *s == session && *of == symbol);
                    let kept = kept.map(|(.., exposure)| *exposure).unwrap_or_default();
                    assert_eq!(kept, naive(&orders, session, symbol), "seed {seed}, step {n}");
                }
            }
            for (_, symbol, kept) in orders.exposures().all() {
                assert_ne!(*kept, Exposure::default(), "seed {seed}: {symbol} is kept for nothing");
            }
        }
    }
}
