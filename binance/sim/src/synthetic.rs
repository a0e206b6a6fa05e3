//! A seeded market maker and the takers around it: what makes a synthetic market move.
//!
//! The house keeps a ladder of orders on both sides of a price that follows the same waves as the market's past, with
//! noise. Its orders are ordinary orders of the matching core: they trade with clients' orders by price and time.

use std::collections::BTreeMap;

use tradingsys::exchange::{AccountId, Cancel, Exchange, OrderRef, Request};
use tradingsys::ids::{ClientOrderId, Symbol};
use tradingsys::market::{Side, Stp, Tif};
use tradingsys::order::request::Terms;
use tradingsys::time::Time;

use crate::history::{History, mix};
use crate::listings::Spec;

/// Levels the house keeps on each side.
const LEVELS: i64 = 30;
/// Levels whose orders are looked after at every step.
const TENDED: i64 = 5;

/// The house in one market.
#[derive(Debug)]
pub(crate) struct Synthetic {
    spec: &'static Spec,
    symbol: Symbol,
    random: fastrand::Rng,
    waves: History,
    /// The best bid's level; the best ask is the next one. A level is `level_ticks` wide.
    level: i64,
    /// Set by hand: the price stays there.
    held: bool,
    bids: BTreeMap<i64, ClientOrderId>,
    asks: BTreeMap<i64, ClientOrderId>,
    named: u64,
}

impl Synthetic {
    /// The house of a market, without orders yet.
    pub(crate) fn new(seed: u64, spec: &'static Spec, now: Time) -> Self {
        let waves = History::new(seed, spec.clone());
        let level = waves.ticks(now) / spec.level_ticks;
        Self {
            symbol: Symbol::new(spec.symbol),
            random: fastrand::Rng::with_seed(mix(seed ^ spec.start_ticks() as u64)),
            waves,
            level,
            held: false,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            named: 0,
            spec,
        }
    }

    /// The past of this market.
    pub(crate) fn past(&self) -> &History {
        &self.waves
    }

    /// The middle of the ladder, in ticks.
    pub(crate) fn ticks(&self) -> i64 {
        self.level * self.spec.level_ticks
    }

    /// Puts up the whole ladder.
    pub(crate) fn open(&mut self, now: Time, exchange: &mut Exchange) {
        self.tend(now, exchange, LEVELS);
    }

    /// One change of the market: a trade, an order changed, or the price moved.
    pub(crate) fn step(&mut self, now: Time, exchange: &mut Exchange) {
        match self.random.u32(0..100) {
            0..30 => {
                let side = if self.random.bool() { Side::Buy } else { Side::Sell };
                let lots = self.random.i64(1..=self.spec.level_lots / 8);
                self.take(now, exchange, side, lots);
            }
            30..75 => self.requote(now, exchange),
            _ if self.held => self.requote(now, exchange),
            _ => {
                let goal = self.waves.ticks(now) / self.spec.level_ticks;
                let noise = self.random.i64(-1..=1);
                let way = ((goal - self.level) / 2).clamp(-4, 4);
                self.shift(now, exchange, self.level + if way == 0 { noise } else { way });
            }
        }
        self.tend(now, exchange, TENDED);
    }

    /// Moves the price to these ticks and holds it there.
    pub(crate) fn hold(&mut self, now: Time, exchange: &mut Exchange, ticks: i64) {
        self.held = true;
        self.shift(now, exchange, ticks / self.spec.level_ticks);
        self.tend(now, exchange, LEVELS);
    }

    /// Lets the price follow its waves again.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// Takes from the book at any price.
    pub(crate) fn take(&mut self, now: Time, exchange: &mut Exchange, side: Side, lots: i64) {
        let request = self.request(side, Terms::Market, lots);
        // The house is refused only what a market without orders refuses anybody.
        let _ = exchange.place(now, AccountId::HOUSE, &request);
    }

    fn request(&mut self, side: Side, terms: Terms, lots: i64) -> Request {
        self.named += 1;
        Request {
            symbol: self.symbol.clone(),
            client_id: ClientOrderId::foreign(&format!("house{}", self.named)),
            side,
            terms,
            qty: self.spec.qty(lots),
            stp: Some(Stp::None),
        }
    }

    fn ladder(&mut self, side: Side) -> &mut BTreeMap<i64, ClientOrderId> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The level `depth` steps behind the best of a side.
    fn at(&self, side: Side, depth: i64) -> i64 {
        match side {
            Side::Buy => self.level - depth,
            Side::Sell => self.level + 1 + depth,
        }
    }

    fn quote(&mut self, now: Time, exchange: &mut Exchange, side: Side, level: i64) {
        if level < 1 {
            return;
        }
        let lots = self.random.i64(self.spec.level_lots / 4..=self.spec.level_lots);
        let price = self.spec.price(level * self.spec.level_ticks);
        let request = self.request(side, Terms::Limit { price, tif: Tif::Gtc }, lots);
        if let Ok(placed) = exchange.place(now, AccountId::HOUSE, &request)
            && placed.order.status.is_open()
        {
            self.ladder(side).insert(level, request.client_id);
        }
    }

    fn withdraw(&mut self, now: Time, exchange: &mut Exchange, side: Side, level: i64) {
        if let Some(id) = self.ladder(side).remove(&level) {
            let cancel = Cancel {
                symbol: self.symbol.clone(),
                order: OrderRef::ClientId(id.clone()),
                cancel_id: id,
                restriction: None,
            };
            // Refused if it was filled meanwhile.
            let _ = exchange.cancel(now, AccountId::HOUSE, &cancel);
        }
    }

    fn requote(&mut self, now: Time, exchange: &mut Exchange) {
        let side = if self.random.bool() { Side::Buy } else { Side::Sell };
        let depth = self.random.i64(0..LEVELS).min(self.random.i64(0..LEVELS));
        let level = self.at(side, depth);
        self.withdraw(now, exchange, side, level);
        self.quote(now, exchange, side, level);
    }

    /// Makes `level` the best bid's level.
    fn shift(&mut self, now: Time, exchange: &mut Exchange, level: i64) {
        self.level = level.max(LEVELS + 1);
        for side in [Side::Buy, Side::Sell] {
            let (first, last) = (self.at(side, 0), self.at(side, LEVELS - 1));
            let kept = first.min(last)..=first.max(last);
            let gone: Vec<i64> =
                self.ladder(side).keys().copied().filter(|level| !kept.contains(level)).collect();
            for level in gone {
                self.withdraw(now, exchange, side, level);
            }
        }
        self.tend(now, exchange, LEVELS);
    }

    /// Replaces the house's missing orders on the first `depth` levels of both sides.
    fn tend(&mut self, now: Time, exchange: &mut Exchange, depth: i64) {
        for side in [Side::Buy, Side::Sell] {
            for depth in 0..depth {
                let level = self.at(side, depth);
                let alive = self.ladder(side).get(&level).cloned().is_some_and(|id| {
                    let order = exchange.order(AccountId::HOUSE, &self.symbol, &OrderRef::ClientId(id));
                    order.is_ok_and(|order| order.status.is_open())
                });
                if !alive {
                    self.quote(now, exchange, side, level);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradingsys::exchange::{Config, Event};
    use tradingsys::time::Span;

    fn run(seed: u64) -> Vec<Event> {
        let spec = Spec::find("DOGEUSDT").unwrap();
        let mut exchange =
            Exchange::new(Config { listings: vec![spec.listing()], ..Config::default() }).unwrap();
        let mut now = Time::from_millis(1_700_000_000_000);
        let mut market = Synthetic::new(seed, spec, now);
        market.open(now, &mut exchange);
        for _ in 0..2_000 {
            now += Span::from_millis(100);
            market.step(now, &mut exchange);
            let depth = exchange.depth(&Symbol::new("dogeusdt"), 40).unwrap();
            assert!(depth.bids.len() >= 20 && depth.asks.len() >= 20, "a full book at {now:?}");
            assert!(depth.bids[0].price < depth.asks[0].price);
        }
        let mut events = Vec::new();
        exchange.drain_events(&mut events);
        events
    }

    #[test]
    fn the_market_moves_trades_and_repeats_itself_under_a_seed() {
        let events = run(3);
        let trades: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Trade { trade, .. } => Some(trade.price),
                _ => None,
            })
            .collect();
        assert!(trades.len() > 200, "{}", trades.len());
        assert!(trades.iter().min() < trades.iter().max());
        assert_eq!(events, run(3));
        assert_ne!(events, run(4));
    }
}
