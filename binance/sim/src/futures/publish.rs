//! Public streams of perpetuals: what is told at once, and what is told in time.

use binance_wire::render::array;
use tradingsys::exchange::BestChange;
use tradingsys::market::{Depth, Interval, PublicTrade, Side};
use tradingsys::num::Price;
use tradingsys::time::{Span, Time};

use super::frames::{self, BookFrame};
use super::streams::{Kind, Name, Speed};
use crate::agenda::Beat;
use crate::bars::Candle;
use crate::market_data::{AggTrade, cut};
use crate::sim::Sim;
use crate::streams::{MarketIndex, StreamName};

fn index(place: usize) -> MarketIndex {
    MarketIndex::try_from(place).expect("markets are few")
}

impl Sim {
    fn futures_heard(&self, name: Name) -> bool {
        self.listeners.any(StreamName::Futures(name))
    }

    /// Publishes a stream of one perpetual; `word` is what follows its symbol.
    fn futures_publish(&mut self, place: usize, kind: Kind, word: &str, payload: impl Fn(&Self) -> String) {
        let name = Name::Of(index(place), kind);
        if self.futures_heard(name) {
            let shown = format!("{}@{word}", self.futures.markets[place].data.symbol);
            let text = payload(self);
            self.publish(StreamName::Futures(name), shown, |_| text.clone());
        }
    }

    /// Publishes a stream of all perpetuals.
    fn futures_publish_all(&mut self, kind: Kind, shown: &str, payload: impl Fn(&Self) -> String) {
        let name = Name::All(kind);
        if self.futures_heard(name) {
            let text = payload(self);
            self.publish(StreamName::Futures(name), shown, |_| text.clone());
        }
    }

    /// A trade happened.
    pub(crate) fn futures_trade(&mut self, now: Time, place: usize, trade: &PublicTrade) {
        self.futures_roll(now, place);
        let ended = self.futures.markets[place].data.trade(trade);
        self.futures_publish(place, Kind::Trade, "trade", |sim| {
            frames::trade(now, &sim.futures.markets[place].style, trade)
        });
        if let Some(ended) = ended {
            self.futures_aggregate(now, place, &ended);
        }
    }

    fn futures_aggregate(&mut self, now: Time, place: usize, trade: &AggTrade) {
        self.futures_publish(place, Kind::AggTrade, "aggTrade", |sim| {
            frames::aggregate(now, &sim.futures.markets[place].style, trade)
        });
    }

    /// The best bid or offer changed.
    pub(crate) fn futures_best(&mut self, now: Time, place: usize, best: BestChange) {
        self.futures.markets[place].data.best = Some(best);
        self.futures_publish(place, Kind::BookTicker, "bookTicker", |sim| sim.futures_best_frame(now, place));
    }

    fn futures_best_frame(&self, now: Time, place: usize) -> String {
        let market = &self.futures.markets[place];
        let (at, update) = market.data.best.as_ref().map_or((now, 0), |best| (best.time, best.update_id));
        let sides = (market.data.best_of(Side::Buy), market.data.best_of(Side::Sell));
        frames::book_ticker(now, at, &market.style, update, sides)
    }

    /// Perpetuals go along with the spot price, which is their index. While the synthetic markets stand still, they
    /// are moved there at once.
    pub(crate) fn follow_index(&mut self, now: Time, at_once: bool) {
        for place in 0..self.futures.markets.len() {
            let Some(index) = self.index_price(place) else { continue };
            let market = &mut self.futures.markets[place];
            let (symbol, core) = (market.data.symbol.clone(), &mut self.futures.core);
            if std::mem::replace(&mut market.index, index) != index {
                if at_once {
                    market.feed.move_to(now, index, core);
                } else {
                    if let Some(listing) = core.listing(&symbol) {
                        market.feed.follow(index, &listing.instrument);
                    }
                }
            }
            core.set_index(now, &symbol, index).expect("every perpetual is listed");
        }
        self.absorb(now);
    }

    /// The spot price of a perpetual's underlying: the middle of its best prices.
    fn index_price(&self, place: usize) -> Option<Price> {
        let market = &self.futures.markets[place];
        // The underlying of a recorded perpetual is not recorded: its own price has to do.
        let spot = match market.tells_changes() {
            true => &market.data,
            false => &self.markets[usize::from(*self.places.get(&market.data.symbol)?)].data,
        };
        let (bid, ask) = (spot.best_of(Side::Buy).price, spot.best_of(Side::Sell).price);
        let both = bid.is_positive() && ask.is_positive();
        Some(if both { Price::from_raw((bid.raw() + ask.raw()) / 2) } else { spot.last_price() })
    }

    /// Timed streams of perpetuals.
    pub(crate) fn futures_beat(&mut self, now: Time, beat: Beat) {
        self.follow_index(now, false);
        let due = |every: i64| beat.passes(Span::from_millis(every));
        for place in 0..self.futures.markets.len() {
            self.futures_roll(now, place);
            if due(100)
                && let Some(ended) = self.futures.markets[place].data.end_aggregate()
            {
                self.futures_aggregate(now, place, &ended);
            }
            for speed in Speed::ALL.into_iter().filter(|speed| due(speed.millis())) {
                if speed != Speed::Fast || !self.futures.markets[place].tells_changes() {
                    self.futures_depth_frames(now, now, place, speed);
                }
            }
            if due(250) {
                self.futures_open_bars(now, place);
            }
        }
        if due(1_000) {
            self.futures_second(now, beat);
        }
        if due(5_000) {
            self.futures_publish_all(Kind::BookTicker, "!bookTicker", |sim| {
                let places = 0..sim.futures.markets.len();
                array(places.map(|place| sim.futures_best_frame(now, place)))
            });
        }
    }

    /// What is told every second or slower.
    fn futures_second(&mut self, now: Time, beat: Beat) {
        let due = |seconds: i64| beat.passes(Span::from_secs(seconds));
        for place in 0..self.futures.markets.len() {
            if let Some(event) = self.futures.markets[place].forced.take() {
                let text = frames::force_order(now, &self.futures.markets[place].style, &event);
                self.futures_publish(place, Kind::ForceOrder, "forceOrder", |_| text.clone());
                self.futures_publish_all(Kind::ForceOrder, "!forceOrder@arr", |_| text.clone());
            }
            self.futures_publish(place, Kind::MarkPrice { fast: true }, "markPrice@1s", |sim| {
                sim.mark_frame(now, place)
            });
            if due(3) {
                self.futures_publish(place, Kind::MarkPrice { fast: false }, "markPrice", |sim| {
                    sim.mark_frame(now, place)
                });
            }
            if due(2) {
                self.futures_publish(place, Kind::MiniTicker, "miniTicker", |sim| sim.mini_frame(now, place));
                self.futures_publish(place, Kind::Ticker, "ticker", |sim| sim.ticker_frame(now, place));
            }
        }
        let all = |write: fn(&Self, Time, usize) -> String| {
            move |sim: &Self| array((0..sim.futures.markets.len()).map(|place| write(sim, now, place)))
        };
        self.futures_publish_all(Kind::MarkPrice { fast: true }, "!markPrice@arr@1s", all(Self::mark_frame));
        if due(3) {
            self.futures_publish_all(
                Kind::MarkPrice { fast: false },
                "!markPrice@arr",
                all(Self::mark_frame),
            );
        }
        if due(2) {
            self.futures_publish_all(Kind::MiniTicker, "!miniTicker@arr", all(Self::mini_frame));
            self.futures_publish_all(Kind::Ticker, "!ticker@arr", all(Self::ticker_frame));
        }
    }

    fn mini_frame(&self, now: Time, place: usize) -> String {
        let market = &self.futures.markets[place];
        frames::mini_ticker(now, &market.style, &market.data.day(now))
    }

    fn ticker_frame(&self, now: Time, place: usize) -> String {
        let market = &self.futures.markets[place];
        frames::ticker(now, &market.style, &market.data.day(now), market.data.last_trade.as_ref())
    }

    /// The changes and the books of one speed, as they stood at a time.
    pub(crate) fn futures_depth_frames(&mut self, now: Time, at: Time, place: usize, speed: Speed) {
        let which = speed.index();
        let market = &mut self.futures.markets[place];
        let gathered = market.data.diffs[which].as_mut().filter(|ready| ready.ids.is_some());
        if let Some(mut gathered) = gathered.map(std::mem::take)
            && let Some((first, last)) = gathered.ids
        {
            let before = std::mem::replace(&mut market.told[which], last);
            let word = format!("depth{}", speed.suffix());
            let shown = format!("{}@{word}", market.data.symbol);
            self.falsify(&shown, &mut gathered);
            let (bids, asks) = gathered.sides();
            let frame = BookFrame { ids: (first, last, before), bids: &bids, asks: &asks };
            let text = frames::depth(now, at, &self.futures.markets[place].style, &frame);
            self.futures_publish(place, Kind::DepthDiff { speed }, &word, |_| text.clone());
        }
        self.futures_partial_depth(now, at, place, speed);
    }

    fn futures_partial_depth(&mut self, now: Time, at: Time, place: usize, speed: Speed) {
        let of = |levels| Name::Of(index(place), Kind::Depth { levels, speed });
        let wanted: Vec<u8> = [5, 10, 20].into_iter().filter(|n| self.futures_heard(of(*n))).collect();
        if wanted.is_empty() {
            return;
        }
        let Some(depth) = self.futures_book(place, 20) else { return };
        let Depth { update_id, .. } = depth;
        let shown = &mut self.futures.markets[place].data.shown[speed.index()];
        let before = std::mem::replace(shown, update_id);
        if before == update_id {
            return;
        }
        for levels in wanted {
            let (bids, asks) = cut(&depth, usize::from(levels));
            let frame = BookFrame { ids: (before.min(update_id) + 1, update_id, before), bids, asks };
            let text = frames::depth(now, at, &self.futures.markets[place].style, &frame);
            let word = format!("depth{levels}{}", speed.suffix());
            self.futures_publish(place, Kind::Depth { levels, speed }, &word, |_| text.clone());
        }
    }

    /// Closes the bars that have ended, and tells of each close.
    pub(crate) fn futures_roll(&mut self, now: Time, place: usize) {
        let mut closed = Vec::new();
        self.futures.markets[place].data.bars.roll(now, |candle| closed.push(candle.clone()));
        for candle in closed {
            self.futures_bar(now, place, &candle);
        }
    }

    fn futures_open_bars(&mut self, now: Time, place: usize) {
        for interval in Interval::ALL.iter().copied().filter(|interval| *interval != Interval::S1) {
            let kinds = [Kind::Kline(interval), Kind::ContinuousKline(interval)];
            if !kinds.iter().any(|kind| self.futures_heard(Name::Of(index(place), *kind))) {
                continue;
            }
            let candle = self.futures.markets[place].data.bars.open(interval).clone();
            if candle.first >= 0 {
                self.futures_bar(now, place, &candle);
            }
        }
    }

    fn futures_bar(&mut self, now: Time, place: usize, candle: &Candle) {
        let interval = candle.bar.interval;
        self.futures_publish(place, Kind::Kline(interval), &format!("kline_{interval}"), |sim| {
            frames::bar(now, &sim.futures.markets[place].style, candle)
        });
        let name = Name::Of(index(place), Kind::ContinuousKline(interval));
        if self.futures_heard(name) {
            let market = &self.futures.markets[place];
            let shown = format!("{}_perpetual@continuousKline_{interval}", market.data.symbol);
            let text = frames::continuous_bar(now, &market.style, candle);
            self.publish(StreamName::Futures(name), shown, |_| text.clone());
        }
    }
}
