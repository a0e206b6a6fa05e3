//! Market data streams: who listens to what, and the frames.

use std::fmt::Display;

use binance_wire::render::{Object, TimeUnit, levels};
use bytes::Bytes;
use tradingsys::exchange::BestChange;
use tradingsys::market::{Interval, PublicTrade, Side};
use tradingsys::time::{Span, Time};

use crate::agenda::Beat;
use crate::bars::Candle;
use crate::connection::{Kind as Serves, Streams};
use crate::faults::{Fault, Strike};
use crate::feed::within;
use crate::io::{Conn, SimOutput};
use crate::malformed::{Deformed, FRAMES, deform};
use crate::market_data::{AggTrade, Diff, cut};
use crate::product::Route;
use crate::sim::{BEAT, Sim, Task};
use crate::streams::{Control, Kind, MarketIndex, Sbe, StreamName, answer, name_list, read_control};

/// Streams a connection may have.
const MOST_STREAMS: usize = 1_024;

impl Sim {
    fn streams_mut(&mut self, conn: Conn) -> Option<&mut Streams> {
        match &mut self.connections.get_mut(&conn)?.kind {
            Serves::Streams(streams) => Some(streams),
            Serves::Api(_) => None,
        }
    }

    /// Sets the wrapping of a connection's frames.
    pub(crate) fn set_combined(&mut self, conn: Conn, combined: bool) {
        if let Some(streams) = self.streams_mut(conn) {
            streams.combined = combined;
        }
    }

    /// Subscribes a connection; names nobody knows are kept and stay silent.
    pub(crate) fn subscribe(&mut self, conn: Conn, names: &[String]) {
        for text in names {
            let Some(route) = self.streams_mut(conn).map(|streams| streams.route) else { return };
            let name = self.stream_named(route, text);
            let Some(streams) = self.streams_mut(conn) else { return };
            if streams.names.len() >= MOST_STREAMS {
                return;
            }
            streams.names.insert(text.clone(), name);
            match name {
                Some(name) => {
                    self.listeners.add(name, conn);
                    if let Some(diff) = self.diff_of(name) {
                        diff.get_or_insert_default();
                    }
                }
                None if self.futures.may_be_listen_key(route, text) => {
                    self.listen(conn, text, None);
                }
                None => {}
            }
        }
    }

    /// The stream of a name on a route; a route does not know the streams of another.
    fn stream_named(&self, route: Route, text: &str) -> Option<StreamName> {
        let place = |symbol: &str| self.places.get(&tradingsys::ids::Symbol::new(symbol)).copied();
        match route {
            Route::Spot => StreamName::parse(text, place),
            Route::Sbe => StreamName::parse_sbe(text, place),
            _ => self.futures.stream_named(route, text).map(StreamName::Futures),
        }
    }

    /// Where the changes for a diff stream are gathered.
    pub(crate) fn diff_of(&mut self, name: StreamName) -> Option<&mut Option<Diff>> {
        match name {
            StreamName::Of(place, Kind::DepthDiff { fast }) => {
                Some(&mut self.markets[usize::from(place)].data.diffs[usize::from(fast)])
            }
            StreamName::Of(place, Kind::Sbe(Sbe::Difference)) => {
                self.markets[usize::from(place)].data.diffs.last_mut()
            }
            StreamName::Futures(name) => self.futures.diff_of(name),
            _ => None,
        }
    }

    /// A frame of a stream connection.
    pub(crate) fn stream_frame(&mut self, conn: Conn, text: &str, out: &mut Vec<SimOutput>) {
        let reply = match read_control(text) {
            Err(failure) => failure,
            Ok(asked) => {
                let result = match asked.control {
                    Control::Subscribe(names) => {
                        self.subscribe(conn, &names);
                        "null".to_owned()
                    }
                    Control::Unsubscribe(names) => {
                        self.unsubscribe(conn, &names);
                        "null".to_owned()
                    }
                    Control::SetCombined(combined) => {
                        self.set_combined(conn, combined);
                        "null".to_owned()
                    }
                    Control::GetCombined => {
                        self.streams_mut(conn).is_some_and(|streams| streams.combined).to_string()
                    }
                    Control::List => {
                        self.streams_mut(conn).map_or("[]".into(), |streams| name_list(streams.names.keys()))
                    }
                };
                answer(&result, &asked.id)
            }
        };
        out.push(SimOutput::Send(conn, Bytes::from(reply)));
    }

    fn unsubscribe(&mut self, conn: Conn, names: &[String]) {
        for text in names {
            let Some(streams) = self.streams_mut(conn) else { return };
            streams.listen_keys.remove(text);
            let removed = streams.names.remove(text).flatten();
            // Another spelling of the same stream may still be subscribed.
            let still = streams.names.values().any(|name| *name == removed);
            if let Some(name) = removed.filter(|_| !still) {
                self.unlisten(name, conn);
            }
        }
    }

    /// Sends one payload to all that listen; it is written once per time unit and wrapping.
    pub(crate) fn publish(
        &mut self,
        name: StreamName,
        shown: impl Display,
        payload: impl Fn(TimeUnit) -> String,
    ) {
        let shown = shown.to_string();
        const STREAMS: [Fault; 3] = [Fault::StreamDrop, Fault::StreamDuplicate, Fault::StreamDelay];
        let struck = self.strikes_stream("stream", &STREAMS, &shown);
        let deformed = self.strikes_stream("frame", &FRAMES, &shown);
        if struck.as_ref().is_some_and(|strike| strike.rule.fault == Fault::StreamDrop) {
            return;
        }
        let mut written: [[Option<Bytes>; 2]; 2] = Default::default();
        let mut frames = Vec::new();
        for conn in self.listeners.of(name) {
            let Some(connection) = self.connections.get(&conn).filter(|c| c.is_live()) else { continue };
            let Serves::Streams(streams) = &connection.kind else { continue };
            let micros = usize::from(connection.unit == TimeUnit::Micros);
            let text = written[micros][usize::from(streams.combined)].get_or_insert_with(|| {
                let data = payload(connection.unit);
                Bytes::from(if streams.combined {
                    Object::new().text("stream", &shown).raw("data", &data).end()
                } else {
                    data
                })
            });
            frames.push((conn, text.clone()));
        }
        self.stage_public(frames, struck, deformed);
    }

    fn stage_public(
        &mut self,
        mut frames: Vec<(Conn, Bytes)>,
        struck: Option<Strike>,
        deformed: Option<Strike>,
    ) {
        if let Some(strike) = deformed {
            for (conn, text) in std::mem::take(&mut frames) {
                match deform(&strike.rule, &text) {
                    Deformed::Text(text) => frames.push((conn, text)),
                    Deformed::Odd(oddity) => self.staged.odd.push((conn, text, oddity)),
                }
            }
        }
        match struck {
            Some(Strike { rule, span, .. }) if rule.fault == Fault::StreamDelay => {
                for (conn, text) in frames {
                    self.later(span, Task::Send(conn, text));
                }
            }
            Some(_) => {
                let again = frames.clone();
                self.staged.public.append(&mut frames);
                self.staged.public.extend(again);
            }
            None => self.staged.public.append(&mut frames),
        }
    }

    /// Falsifies the changes of a book, if a fault says so.
    pub(crate) fn falsify(&mut self, shown: &str, gathered: &mut Diff) {
        let struck = self.strikes_stream("book", &[Fault::StreamPoison, Fault::StreamCross], shown);
        match struck.map(|strike| strike.rule.fault) {
            Some(Fault::StreamPoison) => gathered.poison(),
            Some(_) => gathered.cross(),
            None => {}
        }
    }

    fn publish_of(&mut self, place: usize, kind: Kind, word: &str, payload: impl Fn(TimeUnit) -> String) {
        let name = StreamName::Of(index(place), kind);
        if self.listeners.any(name) {
            let shown = format!("{}@{word}", self.markets[place].data.symbol);
            self.publish(name, shown, payload);
        }
    }

    /// A trade happened.
    pub(crate) fn publish_trade(&mut self, now: Time, place: usize, trade: &PublicTrade) {
        self.roll(now, place);
        let ended = self.markets[place].data.trade(trade);
        let upper = self.markets[place].data.upper.clone();
        self.publish_of(place, Kind::Trade, "trade", |unit| {
            Object::new()
                .text("e", "trade")
                .int("E", unit.of(now))
                .text("s", &upper)
                .int("t", trade.id)
                .fixed("p", trade.price.raw())
                .fixed("q", trade.qty.raw())
                .int("T", unit.of(trade.time))
                .flag("m", trade.buyer_is_maker)
                .flag("M", true)
                .end()
        });
        if let Some(ended) = ended {
            self.publish_aggregate(now, place, &ended);
        }
    }

    /// An aggregated trade ended.
    pub(crate) fn publish_aggregate(&mut self, now: Time, place: usize, trade: &AggTrade) {
        let upper = self.markets[place].data.upper.clone();
        self.publish_of(place, Kind::AggTrade, "aggTrade", |unit| {
            Object::new()
                .text("e", "aggTrade")
                .int("E", unit.of(now))
                .text("s", &upper)
                .int("a", trade.id)
                .fixed("p", trade.price.raw())
                .fixed("q", trade.qty.raw())
                .int("f", trade.first)
                .int("l", trade.last)
                .int("T", unit.of(trade.time))
                .flag("m", trade.buyer_is_maker)
                .flag("M", true)
                .end()
        });
    }

    /// The best bid or offer changed.
    pub(crate) fn publish_best(&mut self, place: usize, best: BestChange) {
        let data = &mut self.markets[place].data;
        let (now, update) = (best.time, best.update_id);
        data.best = Some(best);
        let (upper, bid, ask) = (data.upper.clone(), data.best_of(Side::Buy), data.best_of(Side::Sell));
        self.publish_of(place, Kind::BookTicker, "bookTicker", |_| {
            Object::new()
                .int("u", update)
                .text("s", &upper)
                .fixed("b", bid.price.raw())
                .fixed("B", bid.qty.raw())
                .fixed("a", ask.price.raw())
                .fixed("A", ask.qty.raw())
                .end()
        });
        self.publish_sbe_best(now, place, update);
    }

    /// Timed streams: every 100 ms, and every second or two.
    pub(crate) fn beat(&mut self, now: Time, beat: Beat) {
        if !beat.passes(BEAT) {
            return;
        }
        let (second, two) = (beat.passes(Span::from_secs(1)), beat.passes(Span::from_secs(2)));
        for place in 0..self.markets.len() {
            self.roll(now, place);
            if !self.markets[place].feed.tells_changes() {
                self.publish_depth(now, place, true);
            }
            if second {
                self.publish_depth(now, place, false);
                self.publish_tickers(now, place);
                self.publish_bars(now, place, |interval| interval == Interval::S1);
            }
            if two {
                self.publish_bars(now, place, |interval| interval != Interval::S1);
            }
        }
    }

    pub(crate) fn publish_depth(&mut self, now: Time, place: usize, fast: bool) {
        let suffix = if fast { "@100ms" } else { "" };
        let at = index(place);
        let diff = StreamName::Of(at, Kind::DepthDiff { fast });
        let data = &mut self.markets[place].data;
        if let Some(ready) = &mut data.diffs[usize::from(fast)]
            && let Some(ids) = ready.ids
        {
            let mut gathered = std::mem::take(ready);
            let upper = data.upper.clone();
            let shown = format!("{}@depth{suffix}", data.symbol);
            self.falsify(&shown, &mut gathered);
            self.publish(diff, shown, |unit| diff_frame(now, &upper, ids, &gathered, unit));
        }
        let wanted: Vec<u8> = [5, 10, 20]
            .into_iter()
            .filter(|levels| self.listeners.any(StreamName::Of(at, Kind::Depth { levels: *levels, fast })))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let symbol = self.markets[place].data.symbol.clone();
        let Some(depth) = self.exchange.depth(&symbol, 20) else { return };
        let depth = match self.markets[place].feed.range() {
            Some(range) => within(depth, range),
            None => depth,
        };
        let shown = &mut self.markets[place].data.shown[usize::from(fast)];
        if std::mem::replace(shown, depth.update_id) == depth.update_id {
            return;
        }
        for count in wanted {
            let (bids, asks) = cut(&depth, usize::from(count));
            let payload = Object::new()
                .int("lastUpdateId", depth.update_id)
                .raw("bids", &levels(bids))
                .raw("asks", &levels(asks))
                .end();
            let name = StreamName::Of(at, Kind::Depth { levels: count, fast });
            self.publish(name, format!("{symbol}@depth{count}{suffix}"), |_| payload.clone());
        }
    }

    /// Closes the bars that have ended, and tells of each close.
    pub(crate) fn roll(&mut self, now: Time, place: usize) {
        let mut closed = Vec::new();
        self.markets[place].data.bars.roll(now, |candle| closed.push(candle.clone()));
        for candle in closed {
            self.publish_bar(now, place, &candle);
        }
    }

    fn publish_bars(&mut self, now: Time, place: usize, fits: impl Fn(Interval) -> bool) {
        for interval in Interval::ALL.iter().copied().filter(|interval| fits(*interval)) {
            let candle = self.markets[place].data.bars.open(interval).clone();
            if candle.first >= 0 {
                self.publish_bar(now, place, &candle);
            }
        }
    }

    fn publish_bar(&mut self, now: Time, place: usize, candle: &Candle) {
        let interval = candle.bar.interval;
        let upper = self.markets[place].data.upper.clone();
        let kind = Kind::Kline(interval);
        self.publish_of(place, kind, &format!("kline_{interval}"), |unit| {
            bar_frame(now, &upper, candle, unit)
        });
    }
}

pub(crate) fn index(place: usize) -> MarketIndex {
    MarketIndex::try_from(place).expect("markets are few")
}

fn diff_frame(now: Time, upper: &str, (first, last): (u64, u64), diff: &Diff, unit: TimeUnit) -> String {
    let (bids, asks) = diff.sides();
    Object::new()
        .text("e", "depthUpdate")
        .int("E", unit.of(now))
        .text("s", upper)
        .int("U", first)
        .int("u", last)
        .raw("b", &levels(&bids))
        .raw("a", &levels(&asks))
        .end()
}

fn bar_frame(now: Time, upper: &str, candle: &Candle, unit: TimeUnit) -> String {
    let bar = &candle.bar;
    let inner = Object::new()
        .int("t", unit.of(bar.start))
        .int("T", unit.of(bar.end))
        .text("s", upper)
        .text("i", bar.interval.as_str())
        .int("f", candle.first)
        .int("L", candle.last)
        .fixed("o", bar.open.raw())
        .fixed("c", bar.close.raw())
        .fixed("h", bar.high.raw())
        .fixed("l", bar.low.raw())
        .fixed("v", bar.volume.raw())
        .int("n", bar.trades)
        .flag("x", bar.closed)
        .fixed("q", bar.amount.raw())
        .fixed("V", bar.buy_volume.raw())
        .fixed("Q", bar.buy_amount.raw())
        .text("B", "0");
    Object::new().text("e", "kline").int("E", unit.of(now)).text("s", upper).raw("k", &inner.end()).end()
}
