//! Replayed symbols: the public book and trades are recorded ones, the exchange's clients trade beside them.
//!
//! The caller feeds the recording in its order: a snapshot first, then differences, best prices and trades, with
//! the recorded update and trade ids. They are passed on as public events. Against them
//! - a taker fills at the levels shown, which are not changed by it; a best price newer than the last difference
//!   counts;
//! - a resting order is not published. It fills at its own price when a recorded trade reaches it: up to the trade's
//!   quantity at that price, in order of arrival; whole if the trade was at a worse price, for then the market went
//!   through it. A book that moves through it without a trade does nothing;
//! - clients do not meet each other, so nothing is ever prevented.
//!
//! The other side of all fills is the house. Their trade ids are of a count of their own, since one recorded trade
//! can fill several orders; they are not published.

use std::collections::BTreeMap;

use crate::exchange::book::{best_first, crosses};
use crate::exchange::engine::Exchange;
use crate::exchange::event::{BestChange, BookChange, MarketEvent};
use crate::exchange::market::{Market, Slot, next};
use crate::exchange::matching::Match;
use crate::exchange::order::Fill;
use crate::exchange::request::Placed;
use crate::exchange::settlement::Settlement;
use crate::exchange::transaction::Transaction;
use crate::ids::Symbol;
use crate::instrument::{Instrument, InstrumentStatus};
use crate::market::{Depth, Level, PublicTrade, Side};
use crate::time::Time;

/// A piece of a recording cannot be shown. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Not listed, or listed with a matching book.
    #[error("{0} is not listed as a replayed symbol")]
    NotReplayed(Symbol),
    /// A price or quantity of it does not lie on the listed grid.
    #[error("a recorded price or quantity of {0} is off its grid; list it with the grid of its time")]
    OffGrid(Symbol),
    /// Differences are missing before this one.
    #[error(
        "the recording of {symbol} has a gap: update {shown} is followed by {found}; start it anew by a snapshot"
    )]
    Gap {
        /// Of which symbol.
        symbol: Symbol,
        /// Update id of the book.
        shown: u64,
        /// First update id found.
        found: u64,
    },
}

/// A recorded book. Prices are keyed so that the best comes first.
#[derive(Debug, Default)]
pub(super) struct Shown {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    newer: Option<Newer>,
}

/// Best bid and ask newer than the book: ticks and lots.
#[derive(Clone, Copy, Debug)]
struct Newer {
    update_id: u64,
    bid: Option<(i64, i64)>,
    ask: Option<(i64, i64)>,
}

impl Shown {
    fn side(&mut self, side: Side) -> &mut BTreeMap<i64, i64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The levels of a side, best first: ticks and lots.
    pub(super) fn levels(&self, side: Side) -> impl Iterator<Item = (i64, i64)> + '_ {
        let levels = match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        };
        levels.iter().map(move |(key, lots)| (best_first(side, *key), *lots))
    }

    /// What a taker finds on a side: the levels, corrected by a newer best price.
    pub(super) fn offers(&self, side: Side) -> impl Iterator<Item = (i64, i64)> + '_ {
        let newer = self.newer.map(|newer| if side == Side::Buy { newer.bid } else { newer.ask });
        let best = newer.flatten();
        let behind = move |(ticks, _): &(i64, i64)| match newer {
            None => true,
            Some(None) => false,
            Some(Some((first, _))) => best_first(side, *ticks) > best_first(side, first),
        };
        best.into_iter().chain(self.levels(side).filter(behind))
    }

    fn set(&mut self, side: Side, (ticks, lots): (i64, i64)) {
        let key = best_first(side, ticks);
        if lots == 0 {
            self.side(side).remove(&key);
        } else {
            self.side(side).insert(key, lots);
        }
    }
}

/// Ticks and lots of recorded levels, if they are on the grid.
fn on_grid(instrument: &Instrument, levels: &[Level]) -> Option<Vec<(i64, i64)>> {
    let level = |level: &Level| Some((instrument.ticks(level.price)?, instrument.lots(level.qty)?));
    levels.iter().map(level).collect()
}

impl Market {
    fn shown_mut(&mut self) -> Option<&mut Shown> {
        self.shown.as_mut()
    }

    /// Makes changes of the recorded book.
    fn show(&mut self, update_id: u64, bids: Vec<(i64, i64)>, asks: Vec<(i64, i64)>) {
        self.counters.update = update_id;
        let Some(shown) = self.shown_mut() else { return };
        bids.into_iter().for_each(|level| shown.set(Side::Buy, level));
        asks.into_iter().for_each(|level| shown.set(Side::Sell, level));
        shown.newer = shown.newer.filter(|newer| newer.update_id > update_id);
    }
}

impl<S: Settlement> Exchange<S> {
    fn replayed(&mut self, now: Time, symbol: &Symbol) -> Result<Transaction<'_, S>, ReplayError> {
        let transaction = self.begin(now, symbol).filter(|t| t.market.shown.is_some());
        transaction.ok_or_else(|| ReplayError::NotReplayed(symbol.clone()))
    }

    /// Begins the recorded book of a replayed symbol, or begins it anew. Told as a change with all its levels.
    ///
    /// # Errors
    /// [`ReplayError::NotReplayed`], [`ReplayError::OffGrid`].
    pub fn replay_snapshot(&mut self, now: Time, symbol: &Symbol, book: &Depth) -> Result<(), ReplayError> {
        let transaction = self.replayed(now, symbol)?;
        let instrument = &transaction.market.listing.instrument;
        let levels = on_grid(instrument, &book.bids).zip(on_grid(instrument, &book.asks));
        let (bids, asks) = levels.ok_or_else(|| ReplayError::OffGrid(symbol.clone()))?;
        transaction.market.shown = Some(Shown::default());
        transaction.market.show(book.update_id, bids, asks);
        transaction.publish_shown(BookChange {
            symbol: symbol.clone(),
            time: book.time,
            first_update_id: book.update_id,
            last_update_id: book.update_id,
            bids: book.bids.clone(),
            asks: book.asks.clone(),
        });
        Ok(())
    }

    /// A recorded difference. One that is older than the book does nothing; one that overlaps it counts whole.
    ///
    /// # Errors
    /// [`ReplayError`]; [`ReplayError::Gap`] if it does not join the book.
    pub fn replay_diff(&mut self, now: Time, change: &BookChange) -> Result<(), ReplayError> {
        let transaction = self.replayed(now, &change.symbol)?;
        let shown = transaction.market.counters.update;
        if change.last_update_id <= shown {
            return Ok(());
        }
        if change.first_update_id > shown + 1 {
            let (symbol, found) = (change.symbol.clone(), change.first_update_id);
            return Err(ReplayError::Gap { symbol, shown, found });
        }
        let instrument = &transaction.market.listing.instrument;
        let levels = on_grid(instrument, &change.bids).zip(on_grid(instrument, &change.asks));
        let (bids, asks) = levels.ok_or_else(|| ReplayError::OffGrid(change.symbol.clone()))?;
        transaction.market.show(change.last_update_id, bids, asks);
        transaction.publish_shown(change.clone());
        Ok(())
    }

    /// A recorded best bid and offer. Older than the book, it is passed on and else does nothing.
    ///
    /// # Errors
    /// [`ReplayError::NotReplayed`], [`ReplayError::OffGrid`].
    pub fn replay_best(&mut self, now: Time, best: &BestChange) -> Result<(), ReplayError> {
        let transaction = self.replayed(now, &best.symbol)?;
        let instrument = &transaction.market.listing.instrument;
        let ends = [best.bid, best.ask].map(|level| on_grid(instrument, level.as_slice()));
        let [Some(bid), Some(ask)] = ends else { return Err(ReplayError::OffGrid(best.symbol.clone())) };
        let update = transaction.market.counters.update;
        let (bid, ask) = (bid.first().copied(), ask.first().copied());
        transaction.market.best = [best.bid, best.ask];
        if let Some(shown) = transaction.market.shown_mut().filter(|_| best.update_id > update) {
            shown.newer = Some(Newer { update_id: best.update_id, bid, ask });
        }
        transaction.events.push(MarketEvent::Best(best.clone()).into());
        Ok(())
    }

    /// A recorded trade: passed on; fills the resting orders it reaches, then runs the stops it reaches. While the
    /// symbol is not trading it is only passed on.
    ///
    /// # Errors
    /// [`ReplayError::NotReplayed`], [`ReplayError::OffGrid`].
    pub fn replay_trade(
        &mut self,
        now: Time,
        symbol: &Symbol,
        trade: &PublicTrade,
    ) -> Result<(), ReplayError> {
        let mut transaction = self.replayed(now, symbol)?;
        let instrument = &transaction.market.listing.instrument;
        let (ticks, lots) = instrument
            .ticks(trade.price)
            .zip(instrument.lots(trade.qty))
            .ok_or_else(|| ReplayError::OffGrid(symbol.clone()))?;
        let trading = instrument.status == InstrumentStatus::Trading;
        transaction.settlement.traded(transaction.market, trade.price);
        transaction.events.push(MarketEvent::Trade(symbol.clone(), trade.clone()).into());
        transaction.market.last = Some(ticks);
        if trading {
            let side = if trade.buyer_is_maker { Side::Buy } else { Side::Sell };
            transaction.reach(side, ticks, lots);
            transaction.market.stops.on_trade(ticks);
        }
        transaction.finish();
        S::follow_up(self);
        Ok(())
    }
}

impl<S: Settlement> Transaction<'_, S> {
    /// Passes a change of the recorded book on, and the best prices if nothing newer told them.
    fn publish_shown(self, change: BookChange) {
        self.events.push(MarketEvent::Book(change).into());
        if self.market.shown.as_ref().is_some_and(|shown| shown.newer.is_none()) {
            self.events.extend(self.market.take_best(self.now).map(|best| MarketEvent::Best(best).into()));
        }
    }

    /// A taker trades with the recorded book, which stays as it is.
    pub(super) fn take_shown(&mut self, taker: &mut Slot, limit: Option<i64>, placed: &mut Placed) {
        let side = taker.order.side;
        let within = |ticks: i64| limit.is_none_or(|limit| crosses(side, limit, ticks));
        let offers = self.market.offers(side.opposite()).take_while(|offer| within(offer.ticks));
        let offers: Vec<(i64, i64)> = offers.map(|offer| (offer.ticks, offer.lots)).collect();
        for (index, (ticks, offered)) in offers.iter().copied().enumerate() {
            let lots = self.market.wanted(taker.want, ticks).min(offered);
            if lots == 0 || !taker.order.status.is_open() {
                break;
            }
            let behind = offers.get(index + 1).map(|(ticks, _)| *ticks);
            let next = if lots < offered { Some(ticks) } else { behind };
            placed.fills.push(self.fill_outside(taker, (ticks, lots), next, false));
            self.expire_idle(taker.order.account);
        }
    }

    /// A recorded trade at `ticks` hit this side of the book: its resting orders fill.
    fn reach(&mut self, side: Side, ticks: i64, mut lots: i64) {
        while let Some((price, resting)) = self.market.book.first(side) {
            if !crosses(side.opposite(), ticks, price) {
                break;
            }
            let through = price != ticks;
            let wanted = if through { resting.lots } else { resting.lots.min(lots) };
            let filled = wanted.min(self.cap(&resting));
            if filled == 0 {
                break;
            }
            lots -= if through { 0 } else { filled };
            let mut maker = self.resting(resting.id);
            self.market.book.reduce(self.market.place_of(&maker), filled);
            self.fill_outside(&mut maker, (price, filled), None, true);
            self.put_back(maker);
            self.expire_idle(resting.account);
        }
    }

    /// An order trades with the recorded market; the house stands in for it.
    fn fill_outside(
        &mut self,
        slot: &mut Slot,
        (ticks, lots): (i64, i64),
        next_price: Option<i64>,
        maker: bool,
    ) -> Fill {
        let trade_id = next(&mut self.market.counters.trade);
        let fill = self.fill(slot, Match { trade_id, ticks, lots, next: next_price }, maker);
        self.settlement.stand_in(self.market, &fill);
        fill
    }
}
