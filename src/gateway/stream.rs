//! Market data: who wants which stream, and each frame written once for all of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;

use super::Gateway;
use super::question::{product, reply_frame};
use super::queue::{BARS_MAX, Next, Queue, Thinning};
use crate::book::{BookDiff, BookUpdate};
use crate::ids::{ConnId, Symbol};
use crate::instrument::Instrument;
use crate::market::{Bar, Channel, Depth, Level, Mark, PublicTrade, Stream};
use crate::num::{Price, Qty};
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{BarData, BookData, DepthData, MarkData, ProductsEvent, TradeData};

/// Streams one client may have.
const STREAMS_MAX: usize = 1024;
/// Subscriptions of all clients, and questions for bars on their way.
#[derive(Debug, Default)]
pub(super) struct Streams {
    wanted: BTreeMap<Stream, Wanted>,
    next_request: u64,
    histories: BTreeMap<u64, (ConnId, u64, Stream)>,
    /// Why there is no market data at all.
    down: Option<String>,
}

#[derive(Debug, Default)]
struct Wanted {
    by: BTreeSet<ConnId>,
    /// Limits are judged by it: it stays, whoever wants it.
    watched: bool,
    /// What was told of it last is that it is old.
    stale: bool,
    /// The newest frame of a stream that replaces itself: what a new subscriber sees first. Of a book: the whole of
    /// it, as long as it has not changed.
    newest: Option<Bytes>,
}

impl Streams {
    /// A number for a question about bars.
    pub(super) fn number(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    pub(super) fn history_asked(&mut self, conn: ConnId, id: u64, stream: Stream) -> u64 {
        let request = self.number();
        self.histories.insert(request, (conn, id, stream));
        request
    }

    /// Why there is no market data, where that is known.
    pub(super) fn down(&self) -> Option<&str> {
        self.down.as_deref()
    }

    /// All that are wanted, and whether what was told last is that they are old.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&Stream, bool)> {
        self.wanted.iter().map(|(stream, wanted)| (stream, wanted.stale))
    }

    pub(super) fn history_done(&mut self, request: u64) -> Option<(ConnId, u64, Stream)> {
        self.histories.remove(&request)
    }
}

#[derive(Serialize)]
struct Frame<'a, T: Serialize> {
    stream: String,
    data: &'a T,
}

impl Gateway {
    pub(super) fn take_instruments(&mut self, now: Time, list: Vec<Instrument>) {
        let all: BTreeMap<Symbol, Instrument> = list.into_iter().map(|i| (i.symbol.clone(), i)).collect();
        self.log(super::LogLevel::Info, "instruments loaded", format!("count={}", all.len()));
        let before = self.instruments.replace(all);
        self.watch_held(now);
        self.doubt_limit_names();
        self.recovery_begin(now);
        match before {
            Some(before) => self.tell_changed(now, &before),
            // Streams that were refused for want of the symbols can be had now, also without order entry.
            None if !self.recovery.compares() => self.tell_state(),
            None => {}
        }
    }

    /// Tells clients what has changed of the instruments whose streams they have: orders are held to the new rules.
    fn tell_changed(&mut self, now: Time, before: &BTreeMap<Symbol, Instrument>) {
        let Some(known) = &self.instruments else { return };
        let changed: Vec<&Instrument> =
            known.values().filter(|i| before.get(&i.symbol).is_some_and(|was| was != *i)).collect();
        let mut told: Vec<(ConnId, Bytes)> = Vec::new();
        for (conn, client) in self.clients.iter().filter(|_| !changed.is_empty()) {
            let has = |i: &&&Instrument| client.streams.iter().any(|stream| stream.symbol == i.symbol);
            let products: Vec<_> = changed.iter().filter(has).map(|i| product(i)).collect();
            if !products.is_empty() {
                let event = ProductsEvent { event: "products".to_owned(), time: now, products };
                let text = serde_json::to_string(&event);
                told.push((*conn, Bytes::from(text.expect("facts are made of strings and plain structs"))));
            }
        }
        let names: Vec<String> = changed.iter().map(|i| i.symbol.to_string()).collect();
        if !names.is_empty() {
            self.log(super::LogLevel::Info, "instruments changed", format!("symbols={}", names.join(",")));
        }
        for (conn, frame) in told {
            self.send(conn, frame);
        }
    }

    fn parse_stream(&self, text: &str) -> Result<Stream, ErrorBody> {
        let bad = || {
            let known = Channel::words(|channel| self.feed.refuses(channel).is_none());
            let message = format!("no stream {text:?}; it is a symbol, @, and one of {known}");
            ErrorBody::new(ErrorCode::InvalidStream, message)
        };
        let (symbol, channel) = text.split_once('@').ok_or_else(bad)?;
        let channel = Channel::from_word(channel).ok_or_else(bad)?;
        if let Some(why) = self.feed.refuses(channel) {
            return Err(ErrorBody::new(ErrorCode::InvalidStream, format!("no stream {text:?}: {why}")));
        }
        let symbol = self.instrument(&Symbol::new(symbol))?.symbol.clone();
        Ok(Stream { symbol, channel })
    }

    pub(super) fn subscribe(&mut self, now: Time, conn: ConnId, id: u64, streams: &[String]) {
        let parsed: Result<Vec<Stream>, ErrorBody> =
            streams.iter().map(|text| self.parse_stream(text)).collect();
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.fail(conn, Some(id), error),
        };
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.streams.len() + parsed.len() > STREAMS_MAX {
            let message = format!("a session may hold {STREAMS_MAX} streams");
            return self.fail(conn, Some(id), ErrorBody::new(ErrorCode::TooManyStreams, message));
        }
        client.streams.extend(parsed.iter().cloned());
        let symbols: Vec<Symbol> = parsed.iter().map(|s| s.symbol.clone()).collect();
        let products = self.products(&symbols).unwrap_or_default();
        let names: Vec<String> = parsed.iter().map(Stream::to_string).collect();
        let reply = reply_frame(id, &serde_json::json!({ "streams": names, "products": products }));
        if self.may_trade(conn) {
            symbols.iter().for_each(|symbol| self.watch_book(now, symbol));
            self.reply_with_past(now, conn, reply, &symbols);
        } else {
            self.send(conn, reply);
        }
        let down = self.no_data_because();
        for stream in parsed {
            let wanted = self.streams.wanted.entry(stream.clone()).or_default();
            if wanted.by.is_empty() {
                self.feed.subscribe(now, &stream, &mut self.venue);
            }
            let newest = if wanted.by.insert(conn) { wanted.newest.clone() } else { continue };
            let Some(client) = self.clients.get_mut(&conn) else { continue };
            let fits = match (newest, &down) {
                (_, Some(reason)) => client.queue.push_stale(&stream, stale_frame(&stream, reason)),
                _ if stream.channel == Channel::Book => {
                    client.queue.push_book(&stream);
                    true
                }
                (Some(frame), None) => client.queue.push_market(&stream, frame, Thinning::Newest),
                (None, None) => continue,
            };
            if !fits {
                return self.too_slow(conn, BARS_MAX, "closing bars");
            }
            self.ready.insert(conn);
        }
    }

    pub(super) fn unsubscribe(&mut self, now: Time, conn: ConnId, id: u64, streams: &[String]) {
        let parsed: Result<Vec<Stream>, ErrorBody> =
            streams.iter().map(|text| self.parse_stream(text)).collect();
        match parsed {
            Ok(parsed) => {
                for stream in &parsed {
                    if let Some(client) = self.clients.get_mut(&conn) {
                        client.streams.remove(stream);
                        client.queue.forget(stream);
                    }
                    self.leave_stream(now, conn, stream);
                }
                let names: Vec<String> = parsed.iter().map(Stream::to_string).collect();
                self.reply(conn, id, &serde_json::json!({ "streams": names }));
            }
            Err(error) => self.fail(conn, Some(id), error),
        }
    }

    /// A client no longer wants a stream; the last one to leave ends it.
    pub(super) fn leave_stream(&mut self, now: Time, conn: ConnId, stream: &Stream) {
        let Some(wanted) = self.streams.wanted.get_mut(stream) else { return };
        wanted.by.remove(&conn);
        if wanted.by.is_empty() && !wanted.watched {
            self.streams.wanted.remove(stream);
            self.bars.leave(stream);
            self.feed.unsubscribe(now, stream, &mut self.venue);
        }
    }

    pub(super) fn publish_depth(&mut self, stream: &Stream, depth: &Depth) {
        let data = DepthData {
            time: depth.time,
            update_id: depth.update_id,
            bids: pairs(&depth.bids),
            asks: pairs(&depth.asks),
        };
        self.spread(stream, &data, Thinning::Newest);
    }

    /// Best prices: also what limits are judged by.
    pub(super) fn publish_best(&mut self, stream: &Stream, depth: &Depth) {
        self.guard.take(&stream.symbol, depth);
        // Also where nobody but the limits wants them: who asks for them next is shown the newest.
        self.publish_depth(stream, depth);
    }

    /// Best prices that the gateway itself wants.
    pub(super) fn want_best(&mut self, now: Time, symbol: &Symbol) {
        let stream = Stream { symbol: symbol.clone(), channel: Channel::Bbo };
        let wanted = self.streams.wanted.entry(stream.clone()).or_default();
        wanted.watched = true;
        if wanted.by.is_empty() {
            self.feed.subscribe(now, &stream, &mut self.venue);
        }
    }

    pub(super) fn publish_trade(&mut self, stream: &Stream, trade: &PublicTrade) {
        let data = TradeData {
            id: trade.id,
            time: trade.time,
            price: trade.price,
            qty: trade.qty,
            buyer_is_maker: trade.buyer_is_maker,
        };
        self.spread(stream, &data, Thinning::Keep);
    }

    pub(super) fn publish_mark(&mut self, stream: &Stream, mark: &Mark) {
        let data = MarkData {
            time: mark.time,
            mark: mark.mark,
            index: mark.index,
            funding_rate: mark.funding_rate,
            next_funding: mark.next_funding,
        };
        self.spread(stream, &data, Thinning::Newest);
    }

    pub(super) fn publish_book(&mut self, stream: &Stream, update: BookUpdate) {
        match update {
            BookUpdate::Diff(diff) => self.spread(stream, &change_data(&diff), Thinning::Change),
            BookUpdate::Stale(reason) => self.publish_stale(stream, &reason),
            BookUpdate::Fresh => {
                let Some(wanted) = self.streams.wanted.get_mut(stream) else { return };
                (wanted.newest, wanted.stale) = (None, false);
                self.give(stream, |queue| {
                    queue.push_book(stream);
                    true
                });
            }
        }
    }

    /// What clients hold of a stream is old from now on, and they are told so.
    pub(super) fn publish_stale(&mut self, stream: &Stream, reason: &str) {
        self.guard.stale(stream);
        let Some(wanted) = self.streams.wanted.get_mut(stream) else { return };
        self.counts.stale += u64::from(!wanted.stale);
        (wanted.newest, wanted.stale) = (None, true);
        let frame = stale_frame(stream, reason);
        self.give(stream, |queue| queue.push_stale(stream, frame.clone()));
    }

    /// Adds to the queues of all who want the stream; who lets too much wait is closed.
    fn give(&mut self, stream: &Stream, mut push: impl FnMut(&mut Queue) -> bool) {
        let Some(wanted) = self.streams.wanted.get(stream) else { return };
        let mut slow = Vec::new();
        for conn in &wanted.by {
            let Some(client) = self.clients.get_mut(conn) else { continue };
            if push(&mut client.queue) {
                self.ready.insert(*conn);
            } else {
                slow.push(*conn);
            }
        }
        for conn in slow {
            self.too_slow(conn, BARS_MAX, "closing bars");
        }
    }

    /// The next frame for a client. A whole book is written when it is taken, and once for all who take it unchanged.
    pub(super) fn next_frame(&mut self, conn: ConnId) -> Option<Bytes> {
        loop {
            match self.clients.get_mut(&conn)?.queue.pull()? {
                Next::Frame(frame) => return Some(frame),
                Next::Book(stream) => {
                    if let Some(frame) = self.whole_book(&stream) {
                        return Some(frame);
                    }
                }
            }
        }
    }

    fn whole_book(&mut self, stream: &Stream) -> Option<Bytes> {
        let wanted = self.streams.wanted.get_mut(stream)?;
        if wanted.newest.is_none() {
            let depth = self.feed.book(stream)?;
            wanted.newest = Some(frame_of(stream, &book_data(&depth)));
        }
        wanted.newest.clone()
    }

    pub(super) fn spread<T: Serialize>(&mut self, stream: &Stream, data: &T, thinning: Thinning) {
        let Some(wanted) = self.streams.wanted.get_mut(stream) else { return };
        let frame = frame_of(stream, data);
        wanted.stale = false;
        match thinning {
            Thinning::Newest => wanted.newest = Some(frame.clone()),
            // A view of a bar that is closed by now, or of a book that has changed.
            Thinning::Keep | Thinning::Change => wanted.newest = None,
        }
        self.give(stream, |queue| queue.push_market(stream, frame.clone(), thinning));
    }

    pub(super) fn feed_up(&mut self) {
        self.log(super::LogLevel::Info, "market data up", String::new());
        self.counts.market_up = true;
        self.streams.down = None;
    }

    /// Why a stream asked for now has nothing to show yet, if it has not.
    fn no_data_because(&self) -> Option<String> {
        let unconnected = || format!("the exchange is not connected: {}", self.recovery.reason());
        self.streams.down.clone().or_else(|| (!self.recovery.connected()).then(unconnected))
    }

    /// What clients hold is old from now on, and they are told so.
    pub(super) fn feed_down(&mut self, reason: &str) {
        self.log(super::LogLevel::Warn, "market data down", format!("reason={reason:?}"));
        self.counts.market_losses += u64::from(std::mem::take(&mut self.counts.market_up));
        self.streams.down = Some(reason.to_owned());
        let streams: Vec<Stream> = self.streams.wanted.keys().cloned().collect();
        for stream in streams {
            self.publish_stale(&stream, reason);
        }
    }
}

fn stale_frame(stream: &Stream, reason: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "stream": stream.to_string(), "stale": reason }).to_string())
}

fn frame_of<T: Serialize>(stream: &Stream, data: &T) -> Bytes {
    let text = serde_json::to_string(&Frame { stream: stream.to_string(), data });
    Bytes::from(text.expect("market data is made of strings, numbers and plain structs"))
}

fn pairs(levels: &[Level]) -> Vec<(Price, Qty)> {
    levels.iter().map(|level| (level.price, level.qty)).collect()
}

fn book_data(depth: &Depth) -> BookData {
    BookData {
        time: depth.time,
        update_id: depth.update_id,
        previous_id: None,
        bids: pairs(&depth.bids),
        asks: pairs(&depth.asks),
    }
}

fn change_data(diff: &BookDiff) -> BookData {
    BookData {
        time: diff.time,
        update_id: diff.update_id,
        previous_id: Some(diff.previous),
        bids: pairs(&diff.bids),
        asks: pairs(&diff.asks),
    }
}

pub(super) fn bar_data(bar: &Bar) -> BarData {
    BarData {
        interval: bar.interval,
        start: bar.start,
        end: bar.end,
        open: bar.open,
        high: bar.high,
        low: bar.low,
        close: bar.close,
        volume: bar.volume,
        amount: bar.amount,
        trades: bar.trades,
        buy_volume: bar.buy_volume,
        buy_amount: bar.buy_amount,
        closed: bar.closed,
    }
}
