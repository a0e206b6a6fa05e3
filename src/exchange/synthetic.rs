//! A seeded market: makers and takers around a price that wanders and comes back.
//!
//! [`Synthetic`] is a customer of the exchange like any other: it trades as
//! [`AccountId::HOUSE`](crate::exchange::AccountId::HOUSE), by ordinary orders that the book matches by
//! price and time, so a client's better price is hit first and a client's order that the price reaches is filled. The
//! same seed, start and calls give the same market.
//!
//! Each step moves the fair price, takes back quotes on the wrong side of it, fills the ladder up again, and sometimes
//! lets a taker in or changes a level's size. While the symbol is not trading, steps do nothing.

use std::collections::BTreeMap;

use crate::exchange::config::Rate;
use crate::exchange::house::House;
use crate::exchange::request::{Cancel, OrderRef, Request};
use crate::ids::{ClientOrderId, Symbol, VenueOrderId};
use crate::instrument::{Instrument, InstrumentStatus};
use crate::market::{Side, Stp, Tif};
use crate::num::{Cash, ONE, Price};
use crate::order::request::Terms;
use crate::time::{Span, Time};

/// The fair price is kept in thousandths of a tick, so that small moves add up.
const FINE: i64 = 1_000;
/// Steps one call of [`Synthetic::timer`] makes at most.
const MAX_STEPS: u32 = 1_000;

/// What a synthetic market is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticConfig {
    /// In which symbol.
    pub symbol: Symbol,
    /// The price it keeps coming back to, and starts at unless the symbol has traded before.
    pub anchor: Price,
    /// Steps per second, on average; each moves the best bid or offer or some level. Zero counts as one.
    pub steps_per_second: u32,
    /// Of a hundred steps so many bring a taker.
    pub takers_percent: u8,
    /// How far the fair price moves per step, typically, as a share of the anchor.
    pub move_per_step: Rate,
    /// How far it strays from the anchor, typically, as a share of it.
    pub swing: Rate,
    /// Distance between best bid and best offer, as a share of the anchor; at least two ticks.
    pub spread: Rate,
    /// Mean distance between levels, as a share of the anchor; at least one tick.
    pub gap: Rate,
    /// Levels a side.
    pub levels: usize,
    /// What rests at a level, typically, in the quote asset.
    pub level_amount: Cash,
    /// What a taker takes, typically, in the quote asset.
    pub taker_amount: Cash,
}

impl SyntheticConfig {
    /// A lively market: twenty steps and about five trades a second, thirty levels a side.
    pub fn around(symbol: Symbol, anchor: Price) -> Self {
        Self {
            symbol,
            anchor,
            steps_per_second: 20,
            takers_percent: 25,
            move_per_step: Rate::hundredths_of_basis_point(20),
            swing: Rate::basis_points(50),
            spread: Rate::hundredths_of_basis_point(20),
            gap: Rate::hundredths_of_basis_point(20),
            levels: 30,
            level_amount: Cash::whole(20_000),
            taker_amount: Cash::whole(500),
        }
    }
}

/// A synthetic market at work.
#[derive(Debug)]
pub struct Synthetic {
    config: SyntheticConfig,
    random: fastrand::Rng,
    orders: u64,
    /// Thousandths of a tick.
    anchor: i64,
    fair: i64,
    /// Ticks.
    spread: i64,
    gap: i64,
    bids: BTreeMap<i64, VenueOrderId>,
    asks: BTreeMap<i64, VenueOrderId>,
    next: Option<Time>,
}

impl Synthetic {
    /// A market that begins with [`Synthetic::start`].
    pub fn new(config: SyntheticConfig, seed: u64) -> Self {
        Self {
            config,
            random: fastrand::Rng::with_seed(seed),
            orders: 0,
            anchor: 0,
            fair: 0,
            spread: 2,
            gap: 1,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            next: None,
        }
    }

    /// Sets up the ladder. Nothing happens if the exchange does not list the symbol.
    pub fn start(&mut self, now: Time, exchange: &mut impl House) {
        let Some(instrument) = exchange.listed(&self.config.symbol).map(|l| l.instrument.clone()) else {
            return;
        };
        let fine = |price: Price| price.raw() * i128::from(FINE) / instrument.tick().raw();
        let anchor = fine(self.config.anchor);
        let ticks = |rate: Rate| (anchor * i128::from(rate.raw()) / ONE) as i64 / FINE;
        (self.spread, self.gap) = (ticks(self.config.spread).max(2), ticks(self.config.gap).max(1));
        self.anchor = anchor as i64;
        self.fair = exchange.last_traded(&self.config.symbol).map_or(anchor, fine) as i64;
        self.refill(now, exchange, &instrument);
        self.schedule(now);
    }

    /// Takes the ladder down and sets it up around another price, to which it keeps coming back from now on.
    pub fn move_to(&mut self, now: Time, anchor: Price, exchange: &mut impl House) {
        for side in [Side::Buy, Side::Sell] {
            while let Some((ticks, id)) = self.best(side) {
                self.withdraw(now, exchange, side, ticks, id);
            }
        }
        let Some(instrument) = exchange.listed(&self.config.symbol).map(|l| l.instrument.clone()) else {
            return;
        };
        self.config.anchor = anchor;
        self.anchor = (anchor.raw() * i128::from(FINE) / instrument.tick().raw()) as i64;
        self.fair = self.anchor.max((self.spread + 2) * FINE);
        self.refill(now, exchange, &instrument);
    }

    /// Goes along with a price it depends on: what it comes back to and its fair price move as far as that did. The
    /// ladder follows by the next steps.
    pub fn follow(&mut self, anchor: Price, instrument: &Instrument) {
        let to = (anchor.raw() * i128::from(FINE) / instrument.tick().raw()) as i64;
        self.config.anchor = anchor;
        self.fair = (self.fair + to - std::mem::replace(&mut self.anchor, to)).max((self.spread + 2) * FINE);
    }

    /// When it wants to be called next by [`Synthetic::timer`].
    pub fn deadline(&self) -> Option<Time> {
        self.next
    }

    /// Makes the steps that are due, each at its own time; at most a thousand, then the deadline stays in the past.
    pub fn timer(&mut self, now: Time, exchange: &mut impl House) {
        for _ in 0..MAX_STEPS {
            let Some(at) = self.next.filter(|at| *at <= now) else { return };
            self.step(at, exchange);
            self.schedule(at);
        }
    }

    fn schedule(&mut self, at: Time) {
        let mean = 1_000_000_000 / i64::from(self.config.steps_per_second.max(1));
        self.next = Some(at + Span::from_nanos(self.random.i64(1..=2 * mean)));
    }

    fn step(&mut self, at: Time, exchange: &mut impl House) {
        let Some(listing) = exchange.listed(&self.config.symbol) else { return };
        if listing.instrument.status != InstrumentStatus::Trading {
            return;
        }
        let instrument = listing.instrument.clone();
        self.move_fair();
        self.forget_filled(exchange);
        self.retreat(at, exchange);
        self.refill(at, exchange, &instrument);
        match self.random.u8(0..100) {
            dice if dice < self.config.takers_percent => self.take(at, exchange, &instrument),
            dice if dice % 2 == 0 => self.resize(at, exchange, &instrument),
            _ => {}
        }
    }

    /// A random step, and a pull back to the anchor so strong that `swing` is its standard deviation.
    fn move_fair(&mut self) {
        let of_anchor = |rate: Rate| i128::from(self.anchor) * i128::from(rate.raw()) / ONE;
        let (step, swing) = (of_anchor(self.config.move_per_step), of_anchor(self.config.swing).max(1));
        let pull = i128::from(self.anchor - self.fair) * step * step / (2 * swing * swing);
        // Uniform noise of standard deviation `step` reaches √3 of it.
        let reach = (step * 1_732 / 1_000) as i64;
        self.fair += self.random.i64(-reach..=reach) + pull as i64;
        self.fair = self.fair.max((self.spread + 2) * FINE);
    }

    /// The best price it would quote on a side.
    fn touch(&self, side: Side) -> i64 {
        let half = self.spread / 2;
        match side {
            Side::Buy => self.fair.div_euclid(FINE) - half,
            Side::Sell => self.fair.div_euclid(FINE) + self.spread - half,
        }
    }

    fn ladder(&mut self, side: Side) -> &mut BTreeMap<i64, VenueOrderId> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn best(&self, side: Side) -> Option<(i64, VenueOrderId)> {
        let entry = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        entry.map(|(ticks, id)| (*ticks, *id))
    }

    fn worst(&self, side: Side) -> Option<(i64, VenueOrderId)> {
        let entry = match side {
            Side::Buy => self.bids.first_key_value(),
            Side::Sell => self.asks.last_key_value(),
        };
        entry.map(|(ticks, id)| (*ticks, *id))
    }

    /// Drops quotes that were filled; they go from the best on.
    fn forget_filled(&mut self, exchange: &impl House) {
        for side in [Side::Buy, Side::Sell] {
            while let Some((ticks, id)) = self.best(side) {
                if exchange.house_has(&self.config.symbol, id) {
                    break;
                }
                self.ladder(side).remove(&ticks);
            }
        }
    }

    /// Takes back quotes better than the fair price allows.
    fn retreat(&mut self, at: Time, exchange: &mut impl House) {
        for side in [Side::Buy, Side::Sell] {
            let touch = self.touch(side);
            while let Some((ticks, id)) = self.best(side) {
                if away(side, touch, ticks) >= 0 {
                    break;
                }
                self.withdraw(at, exchange, side, ticks, id);
            }
        }
    }

    /// Quotes at the touch again when the ladder begins too far from it, and keeps its length.
    fn refill(&mut self, at: Time, exchange: &mut impl House, instrument: &Instrument) {
        for side in [Side::Buy, Side::Sell] {
            let touch = self.touch(side);
            let best = self.best(side).map_or(i64::MAX, |(ticks, _)| away(side, touch, ticks));
            if best > 2 * self.gap || (best > 0 && self.random.bool()) {
                self.quote(at, exchange, instrument, side, touch);
            }
            while self.ladder(side).len() < self.config.levels {
                let Some((worst, _)) = self.worst(side) else { break };
                let ticks = worst - side_sign(side) * self.random.i64(1..=2 * self.gap);
                if ticks < 1 || !self.quote(at, exchange, instrument, side, ticks) {
                    break;
                }
            }
            while self.ladder(side).len() > self.config.levels + self.config.levels / 4 {
                let Some((ticks, id)) = self.worst(side) else { break };
                self.withdraw(at, exchange, side, ticks, id);
            }
        }
    }

    /// A taker: more often a buyer while the book is under the fair price, and the other way round.
    fn take(&mut self, at: Time, exchange: &mut impl House, instrument: &Instrument) {
        let Some(depth) = exchange.shown(&self.config.symbol, 1) else { return };
        let (Some(bid), Some(ask)) = (depth.bids.first(), depth.asks.first()) else { return };
        let middle = (bid.price.raw() + ask.price.raw()) * i128::from(FINE) / instrument.tick().raw() / 2;
        let rich = i128::from(self.fair) >= middle;
        let buys = if self.random.u8(0..10) < 6 { rich } else { !rich };
        let side = if buys { Side::Buy } else { Side::Sell };
        let reach = side_sign(side) * 4 * self.gap;
        let Some(best) = instrument.ticks(if buys { ask.price } else { bid.price }) else { return };
        let ticks = (best + reach).max(1);
        let lots = self.lots(instrument, ticks, self.config.taker_amount);
        self.place(at, exchange, instrument, (side, ticks, lots), Tif::Ioc);
    }

    /// A level gets another size.
    fn resize(&mut self, at: Time, exchange: &mut impl House, instrument: &Instrument) {
        let side = if self.random.bool() { Side::Buy } else { Side::Sell };
        let index = self.random.usize(0..self.config.levels.max(1));
        let level = match side {
            Side::Buy => self.bids.iter().rev().nth(index),
            Side::Sell => self.asks.iter().nth(index),
        };
        if let Some((ticks, id)) = level.map(|(ticks, id)| (*ticks, *id)) {
            self.withdraw(at, exchange, side, ticks, id);
            self.quote(at, exchange, instrument, side, ticks);
        }
    }

    fn withdraw(&mut self, at: Time, exchange: &mut impl House, side: Side, ticks: i64, id: VenueOrderId) {
        self.ladder(side).remove(&ticks);
        let cancel = Cancel {
            symbol: self.config.symbol.clone(),
            order: OrderRef::Id(id),
            cancel_id: self.name(),
            restriction: None,
        };
        exchange.house_cancel(at, &cancel);
    }

    /// Adds a level; false if the exchange would not have it.
    fn quote(
        &mut self,
        at: Time,
        exchange: &mut impl House,
        instrument: &Instrument,
        side: Side,
        ticks: i64,
    ) -> bool {
        let lots = self.lots(instrument, ticks, self.config.level_amount);
        match self.place(at, exchange, instrument, (side, ticks, lots), Tif::Gtc) {
            Some((id, true)) => {
                self.ladder(side).insert(ticks, id);
                true
            }
            Some((_, false)) => true,
            None => false,
        }
    }

    /// Sends an order; its number, and whether it is still open.
    fn place(
        &mut self,
        at: Time,
        exchange: &mut impl House,
        instrument: &Instrument,
        (side, ticks, lots): (Side, i64, i64),
        tif: Tif,
    ) -> Option<(VenueOrderId, bool)> {
        let request = Request {
            symbol: self.config.symbol.clone(),
            client_id: self.name(),
            side,
            terms: Terms::Limit { price: instrument.price_of(ticks), tif },
            qty: instrument.qty_of(lots),
            stp: Some(Stp::None),
        };
        let placed = exchange.house_place(at, &request)?;
        Some((placed.order.id, placed.order.status.is_open()))
    }

    fn name(&mut self) -> ClientOrderId {
        self.orders += 1;
        ClientOrderId::foreign(&format!("house-{}", self.orders))
    }

    /// Lots worth about so much at this price: a fifth to twice of it, and more than the least the symbol takes.
    fn lots(&mut self, instrument: &Instrument, ticks: i64, amount: Cash) -> i64 {
        let one = instrument.price_of(ticks).times(instrument.lot()).raw().max(1);
        let least = instrument.qty.min.raw() / instrument.lot().raw();
        let most = instrument.qty.max.raw() / instrument.lot().raw();
        let lots = amount.raw() * i128::from(self.random.i64(200..=2_000)) / 1_000 / one;
        lots.clamp(least.max(1), most.max(1)) as i64
    }
}

/// How many ticks a price is behind the touch of its side; negative if it is better.
fn away(side: Side, touch: i64, ticks: i64) -> i64 {
    side_sign(side) * (touch - ticks)
}

/// Bids get better upwards, asks downwards.
fn side_sign(side: Side) -> i64 {
    match side {
        Side::Buy => 1,
        Side::Sell => -1,
    }
}
