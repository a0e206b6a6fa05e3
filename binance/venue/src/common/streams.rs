//! Streams of market data over combined connections of the market-data host.
//!
//! ```text
//! (dial_at) → Dialing ─open→ Subscribing ─all wanted confirmed→ Complete ─lost→ (dial_at)
//! ```
//!
//! Without a connection in use the new one is used at once and `FeedUp` follows when it is complete. When the one in
//! use is to be replaced (23 h, `serverShutdown`) the new one subscribes beside it. What it brings of trades and bars
//! is held back for a moment, then the old one is closed and what it had not yet delivered follows from what was
//! held: no trade, no closing bar and no change of a whole book is lost or told twice. Views of the book need no such
//! care; the next one replaces the last. Each stream is watched for its first data and by its own rate.
//!
//! Where the venue tells the same in binary on another host, a connection there [takes over](swift) once it has shown
//! that it brings the same, and one to this host takes its place at once when it is lost.

use std::collections::BTreeMap;

use binance_wire::book::{difference, mark};
use binance_wire::reply::Malformed;
use binance_wire::sbe;
use binance_wire::stream::{StreamFrame, book_ticker, kline, stream_frame, trade, whole_frame};
use indexmap::IndexMap;
use tradingsys::book::{BookInput, Difference};
use tradingsys::ids::{LinkId, Symbol};
use tradingsys::market::{Channel, Depth, Stream};
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::port::{LinkAction, LinkInput, Outbox, VenueEvent};
use tradingsys::venue::watch::Silence;

use super::Timing;
use super::books::{BookTerms, Books};
use super::questions::Questions;

mod link;
pub(crate) mod several;
pub(crate) mod swift;
mod watch;

use link::{Link, Phase};
use swift::{Swift, Trial, Verdict};
use watch::StreamWatch;

/// A new connection brings data for this long before the old one is closed.
const OVERLAP: Span = Span::from_secs(1);
/// A quiet market gives no first data to wait for.
const OVERLAP_MAX: Span = Span::from_secs(10);
/// Most events held back; beyond it the old connection is closed early.
const HELD: usize = 4_096;

/// How far a stream of trades or bars has been told.
pub(crate) type Mark = (i64, u64);

/// What a market calls its streams, and how it spells their data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spelling {
    /// The venue's name of a stream.
    pub(crate) name: fn(&Stream) -> String,
    /// Reads a view of the book; the time of receipt stands in where the venue sends none.
    pub(crate) depth: fn(&str, Time) -> Result<Depth, Malformed>,
    /// How its whole books are kept.
    pub(crate) books: BookTerms,
}

/// What a frame of data is.
#[derive(Debug)]
enum Data {
    Event(VenueEvent),
    /// A change of a whole book.
    Difference(Symbol, Difference),
}

impl Spelling {
    /// Reads a frame of data; what cannot be read is no data.
    fn read(self, stream: &Stream, data: &str, now: Time) -> Option<(Option<Mark>, Data)> {
        let name = || stream.clone();
        let (mark, event) = match stream.channel {
            Channel::Depth | Channel::DepthFast => {
                (None, VenueEvent::Depth(name(), (self.depth)(data, now).ok()?))
            }
            Channel::Bbo => (None, VenueEvent::Bbo(name(), book_ticker(data, now).ok()?)),
            Channel::Mark => (None, VenueEvent::Mark(name(), mark(data).ok()?)),
            Channel::Trade => {
                let trade = trade(data).ok()?;
                (Some((0, trade.id.saturating_add(1))), VenueEvent::Trade(name(), trade))
            }
            Channel::Kline(_) => {
                let bar = kline(data).ok()?;
                // Within a bar the count of trades grows, and the closing message comes last.
                let mark = (
                    bar.start.nanos(),
                    bar.trades.saturating_mul(2).saturating_add(u64::from(bar.closed) + 1),
                );
                (Some(mark), VenueEvent::Bar(name(), bar))
            }
            Channel::Book => {
                let difference = difference(data).ok()?;
                let mark = Some((0, difference.last));
                return Some((mark, Data::Difference(stream.symbol.clone(), difference)));
            }
        };
        Some((mark, Data::Event(event)))
    }
}

#[derive(Debug)]
struct Wanted {
    stream: Stream,
    told: Mark,
    watch: StreamWatch,
}

#[derive(Debug)]
pub(crate) struct Streams {
    url: String,
    spelling: Spelling,
    timing: Timing,
    wanted: IndexMap<String, Wanted>,
    links: BTreeMap<LinkId, Link>,
    active: Option<LinkId>,
    coming: Option<LinkId>,
    pub(crate) dial_at: Option<Time>,
    /// Trades, bars and changes of books of the coming connection.
    held: Vec<(String, Mark, Data)>,
    up: bool,
    /// Why it is not, once it has been tried.
    down: Option<String>,
    books: Books,
    /// When the watches are looked at next; not later than any of them is due.
    watch_at: Option<Time>,
    /// Other streams of the market come over other connections.
    one_of_several: bool,
    swift: Option<Swift>,
    /// The coming connection is on trial.
    trial: Option<Trial>,
    next_link: u32,
    step: u32,
}

impl Streams {
    /// Over connections to `url`, numbered `first`, `first + step`, ….
    pub(crate) fn new(url: String, spelling: Spelling, timing: Timing, first: u32, step: u32) -> Self {
        Self {
            url,
            spelling,
            timing,
            wanted: IndexMap::new(),
            links: BTreeMap::new(),
            active: None,
            coming: None,
            dial_at: None,
            held: Vec::new(),
            up: false,
            down: None,
            books: Books::new(spelling.books),
            watch_at: None,
            one_of_several: false,
            swift: None,
            trial: None,
            next_link: first,
            step,
        }
    }

    /// Its loss concerns its own streams alone.
    pub(crate) fn one_of_several(mut self) -> Self {
        self.one_of_several = true;
        self
    }

    /// In binary from another host, for as long as that works.
    pub(crate) fn swift(mut self, swift: Swift) -> Self {
        self.swift = Some(swift);
        self
    }

    /// One of the binary kind is followed by its like; without a connection in use there is no time for trials.
    pub(crate) fn dial(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        self.dial_at = None;
        let like = self.active.and_then(|id| self.links.get(&id)).is_some_and(|link| link.swift);
        let due = self.swift.as_ref().is_some_and(|swift| swift.due() <= now);
        self.open(now, like && due, dialer, out);
    }

    fn open(&mut self, now: Time, swift: bool, dialer: &mut Dialer, out: &mut Outbox) {
        let id = LinkId(self.next_link);
        self.next_link += self.step;
        dialer.dialled(now);
        let mut link = Link::new(now, &self.timing, dialer);
        link.swift = swift;
        self.links.insert(id, link);
        if self.active.is_none() {
            self.active = Some(id);
        } else {
            self.coming = Some(id);
        }
        self.trial = swift.then(Trial::default);
        let (url, headers) = match self.swift.as_ref().filter(|_| swift) {
            Some(swift) => swift.door(),
            None => (self.url.clone(), Vec::new()),
        };
        out.actions.push(LinkAction::Open { link: id, url, headers });
    }

    /// When the binary host is to be tried beside the connection in use.
    fn trial_at(&self) -> Option<Time> {
        let swift = self.swift.as_ref()?;
        let link = self.links.get(&self.active?)?;
        let free = self.coming.is_none() && self.dial_at.is_none() && !self.wanted.is_empty();
        (free && !link.swift && link.phase == Phase::Complete).then(|| swift.due())
    }

    fn try_swift(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        if self.trial_at().is_none_or(|at| at > now) {
            return;
        }
        let soon = dialer.soon(now);
        if soon <= now {
            self.open(now, true, dialer, out);
        } else if let Some(swift) = &mut self.swift {
            swift.rest(soon);
        }
    }

    pub(crate) fn subscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        let name = (self.spelling.name)(stream);
        if !self.wanted.contains_key(&name) {
            let watch = StreamWatch::new(now, stream.channel);
            self.wanted.insert(name, Wanted { stream: stream.clone(), told: Mark::default(), watch });
            if stream.channel == Channel::Book {
                self.books.want(now, stream);
            }
            if let Some(why) = self.down.as_ref().filter(|_| self.one_of_several) {
                out.events.push(VenueEvent::Stale(stream.clone(), why.clone()));
            }
            self.changed(now, out);
        }
    }

    pub(crate) fn unsubscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        let name = (self.spelling.name)(stream);
        if self.wanted.swap_remove(&name).is_some() {
            if let Some(trial) = &mut self.trial {
                trial.leave(&name);
            }
            match stream.channel {
                Channel::Book => self.books.leave(now, stream, out),
                Channel::Bbo => self.books.input(now, &stream.symbol, BookInput::BestLost, out),
                _ => {}
            }
            self.changed(now, out);
        }
    }

    /// The whole book of a symbol, while it is good.
    pub(crate) fn book(&self, symbol: &Symbol) -> Option<Depth> {
        self.books.depth(symbol)
    }

    /// Hands over wishes for snapshots of books, and takes what came of earlier ones. Was there any?
    pub(crate) fn exchange(&mut self, now: Time, questions: &mut Questions, out: &mut Outbox) -> bool {
        let (asks, found) = (self.books.take_asks(), questions.take_snapshots());
        let any = !asks.is_empty() || !found.is_empty();
        asks.into_iter().for_each(|symbol| questions.book(symbol));
        for (symbol, depth) in found {
            self.books.snapshot(now, &symbol, depth, out);
            self.renew_books(now, out);
        }
        any
    }

    fn renew_books(&mut self, now: Time, out: &mut Outbox) {
        for stream in self.books.take_renewals() {
            let name = (self.spelling.name)(&stream);
            self.renew(now, &name, out);
        }
    }

    fn renew(&mut self, now: Time, name: &str, out: &mut Outbox) {
        if let Some((id, link)) = self.active.and_then(|id| Some((id, self.links.get_mut(&id)?))) {
            link.renew(name);
            link.pump(now, id, &self.wanted, out);
        }
    }

    fn changed(&mut self, now: Time, out: &mut Outbox) {
        for (id, link) in &mut self.links {
            link.changed();
            link.pump(now, *id, &self.wanted, out);
        }
    }

    pub(crate) fn handle(
        &mut self,
        now: Time,
        id: LinkId,
        input: LinkInput<'_>,
        dialer: &mut Dialer,
        out: &mut Outbox,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.watch.heard(now);
        match input {
            LinkInput::Up => {
                link.opened(now);
                self.pump(now, id, out);
            }
            LinkInput::Down(why) => self.lost(now, id, why, dialer, out),
            LinkInput::Text(text) => match stream_frame(text) {
                Ok(StreamFrame::Data { name, data }) => {
                    let read = self.data(now, id, (name, data), dialer, out);
                    // The venue may add members behind the data.
                    if !read && let Ok(StreamFrame::Data { name, data }) = whole_frame(text) {
                        self.data(now, id, (name, data), dialer, out);
                    }
                }
                Ok(StreamFrame::Answer { id: request, result }) => {
                    let names = link.answered(now, request, result.is_ok());
                    if self.active == Some(id) {
                        names.iter().for_each(|name| self.confirmed(now, name, out));
                    }
                    self.pump(now, id, out);
                    self.refused(now, id, dialer, out);
                }
                Ok(StreamFrame::Shutdown) => self.shutdown(now, id, dialer, out),
                // Not counted as data: a host that sends only such frames is found stale.
                Ok(StreamFrame::Other) | Err(_) => {}
            },
            LinkInput::Binary(frame) if link.swift => self.binary(now, id, frame, dialer, out),
            LinkInput::Binary(_) | LinkInput::Alive | LinkInput::Response { .. } => {}
        }
    }

    /// The binary host in use refuses a stream that was asked for later: back to JSON, which may have it.
    fn refused(&mut self, now: Time, id: LinkId, dialer: &mut Dialer, out: &mut Outbox) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.swift && self.active == Some(id)) else {
            return;
        };
        let Some(name) = link.refused().map(str::to_owned).filter(|_| !link.leaving) else { return };
        if let Some(swift) = &mut self.swift {
            swift.failed(now, &format!("it refuses {name}"), out);
        }
        self.leave(now, id, dialer);
    }

    /// The connection in use is to be replaced, as soon as that may be.
    fn leave(&mut self, now: Time, id: LinkId, dialer: &Dialer) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.leaving = true;
        if self.coming.is_none() {
            let soon = dialer.soon(now);
            self.dial_at = Some(self.dial_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// Sends what is still to be subscribed, and sees whether all is.
    fn pump(&mut self, now: Time, id: LinkId, out: &mut Outbox) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.pump(now, id, &self.wanted, out);
        if link.phase == Phase::Complete && self.active == Some(id) && !self.up {
            (self.up, self.down) = (true, None);
            if !self.one_of_several {
                out.events.push(VenueEvent::FeedUp);
            }
        }
    }

    /// The connection in use brings this stream from now on.
    fn confirmed(&mut self, now: Time, name: &str, out: &mut Outbox) {
        let Some(wanted) = self.wanted.get_mut(name) else { return };
        wanted.watch.confirmed(now);
        self.watch_at = earliest(self.watch_at, wanted.watch.deadline());
        if wanted.stream.channel == Channel::Book {
            let symbol = wanted.stream.symbol.clone();
            self.books.input(now, &symbol, BookInput::Opened, out);
        }
    }

    /// Another connection is in use, or none: only what it confirmed comes.
    fn active_changed(&mut self, now: Time) {
        let link = self.active.and_then(|id| self.links.get(&id));
        for (name, wanted) in &mut self.wanted {
            if link.is_some_and(|link| link.is_confirmed(name)) {
                wanted.watch.confirmed(now);
                self.watch_at = earliest(self.watch_at, wanted.watch.deadline());
            } else {
                wanted.watch.off();
            }
        }
    }

    /// The hot path: a frame of data. One lookup by name, one parse, one event. `false`: it cannot be read.
    fn data(
        &mut self,
        now: Time,
        id: LinkId,
        (name, data): (&str, &str),
        dialer: &mut Dialer,
        out: &mut Outbox,
    ) -> bool {
        let Some((place, _, wanted)) = self.wanted.get_full(name) else { return true };
        let Some(read) = self.spelling.read(&wanted.stream, data, now) else { return false };
        self.take(now, id, (place, read), dialer, out);
        true
    }

    /// A binary frame: the same with another reader.
    fn binary(&mut self, now: Time, id: LinkId, frame: &[u8], dialer: &mut Dialer, out: &mut Outbox) {
        match sbe::event(frame) {
            Ok(event) => {
                let Some(mut name) = self.swift.as_mut().map(Swift::lend_name) else { return };
                event.write_name(&mut name);
                let found = self.wanted.get_full(name.as_str());
                let read = found.map(|(at, _, wanted)| (at, swift::data(&wanted.stream, event.told)));
                if let Some(swift) = &mut self.swift {
                    swift.give_back(name);
                }
                if let Some(read) = read {
                    self.take(now, id, read, dialer, out);
                }
            }
            Err(why) if why.is_foreign() => self.drop_link(now, id, &why.to_string(), dialer, out),
            // Not counted as data, as a frame of JSON that cannot be read.
            Err(_) => {}
        }
    }

    /// Data that was read, of the stream at that place.
    fn take(
        &mut self,
        now: Time,
        id: LinkId,
        (place, (mark, data)): (usize, (Option<Mark>, Data)),
        dialer: &mut Dialer,
        out: &mut Outbox,
    ) {
        let Some((name, wanted)) = self.wanted.get_index_mut(place) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.data_at.replace(now).is_none() {
            dialer.proven();
        }
        if self.active == Some(id) {
            if let Some(trial) = &mut self.trial
                && let Some(beside) = self.coming.and_then(|id| self.links.get(&id))
            {
                trial.here(now, beside, name);
            }
            if let Some(mark) = mark {
                wanted.told = mark;
            }
            wanted.watch.heard(now);
            self.watch_at = earliest(self.watch_at, wanted.watch.deadline());
            self.tell(now, data, out);
            return;
        }
        if let Some(trial) = &mut self.trial {
            trial.there(name);
        }
        if let Some(mark) = mark {
            self.held.push((name.clone(), mark, data));
            if self.held.len() >= HELD {
                self.thin(now, id, dialer, out);
            }
        }
    }

    /// Too much is held: what the connection in use has told itself goes.
    fn thin(&mut self, now: Time, id: LinkId, dialer: &mut Dialer, out: &mut Outbox) {
        let wanted = &self.wanted;
        self.held.retain(|(name, mark, _)| wanted.get(name).is_some_and(|wanted| *mark > wanted.told));
        if self.held.len() < HELD / 2 {
            return;
        }
        if self.trial.is_some() {
            self.drop_link(now, id, "it is too far ahead of the other host", dialer, out);
        } else {
            self.switch(now, out);
        }
    }

    fn tell(&mut self, now: Time, data: Data, out: &mut Outbox) {
        match data {
            Data::Event(event) => {
                if let VenueEvent::Bbo(stream, depth) = &event
                    && self.books.keeps(&stream.symbol)
                {
                    let best = (depth.bids.first().copied(), depth.asks.first().copied());
                    let active = self.active.and_then(|id| self.links.get(&id));
                    // The binary host leaves out what was overtaken (sbe-market-data-streams.md, auto-culling).
                    let input = if active.is_some_and(|link| link.swift) {
                        BookInput::BestAt(depth.update_id, best)
                    } else {
                        BookInput::Best(depth.update_id, best)
                    };
                    self.books.input(now, &stream.symbol, input, out);
                    self.renew_books(now, out);
                }
                out.events.push(event);
            }
            Data::Difference(symbol, difference) => {
                self.books.input(now, &symbol, BookInput::Diff(difference), out);
                self.renew_books(now, out);
            }
        }
    }

    fn shutdown(&mut self, now: Time, id: LinkId, dialer: &mut Dialer, out: &mut Outbox) {
        if self.active == Some(id) {
            self.leave(now, id, dialer);
            if self.dial_at.is_some_and(|at| at <= now) {
                self.dial(now, dialer, out);
            }
        } else if self.coming == Some(id) {
            self.drop_link(now, id, "the exchange is shutting down", dialer, out);
        }
    }

    /// The coming connection takes over.
    fn switch(&mut self, now: Time, out: &mut Outbox) {
        let Some(next) = self.coming.take() else { return };
        self.trial = None;
        if self.links.get(&next).is_some_and(|link| link.swift)
            && let Some(swift) = &self.swift
        {
            swift.in_use(out);
        }
        if let Some(old) = self.active.replace(next)
            && let Some(link) = self.links.remove(&old)
        {
            out.actions.push(LinkAction::Close { link: old });
            let good = |swift: &&mut Swift| link.swift && link.lasted(now) && swift.due() <= now;
            if let Some(swift) = self.swift.as_mut().filter(good) {
                swift.proven();
            }
        }
        self.active_changed(now);
        self.books.input_all(now, &BookInput::Switched, out);
        self.books.input_all(now, &BookInput::BestLost, out);
        for (name, mark, data) in std::mem::take(&mut self.held) {
            if let Some(wanted) = self.wanted.get_mut(&name).filter(|wanted| mark > wanted.told) {
                wanted.told = mark;
                wanted.watch.heard(now);
                self.watch_at = earliest(self.watch_at, wanted.watch.deadline());
                self.tell(now, data, out);
            }
        }
    }

    fn drop_link(&mut self, now: Time, id: LinkId, why: &str, dialer: &mut Dialer, out: &mut Outbox) {
        out.actions.push(LinkAction::Close { link: id });
        self.lost(now, id, why, dialer, out);
    }

    fn lost(&mut self, now: Time, id: LinkId, why: &str, dialer: &mut Dialer, out: &mut Outbox) {
        let Some(link) = self.links.remove(&id) else { return };
        if link.lasted(now) {
            dialer.proven();
        }
        if let Some(swift) = self.swift.as_mut().filter(|_| link.swift && !link.leaving) {
            // One on trial has yet to do any work.
            if link.lasted(now) && self.active == Some(id) {
                swift.proven();
            } else {
                swift.failed(now, why, out);
            }
        }
        if self.coming == Some(id) {
            self.coming_lost(now, dialer);
        } else if let Some(next) = self.coming_of_use() {
            let complete = self.links.get(&next).is_some_and(|link| link.phase == Phase::Complete);
            self.switch(now, out);
            if !complete {
                self.down(now, why, out);
            }
        } else {
            self.active = None;
            if let Some(next) = self.coming.take().filter(|next| self.links.remove(next).is_some()) {
                out.actions.push(LinkAction::Close { link: next });
                self.held.clear();
            }
            self.trial = None;
            self.down(now, why, out);
            // The other host is another matter.
            self.dial_at = Some(if link.swift { dialer.soon(now) } else { dialer.retry_at(now) });
        }
    }

    /// The coming connection, if it may take over unplanned: one on trial only where it brings data.
    fn coming_of_use(&self) -> Option<LinkId> {
        let next = self.coming?;
        let link = self.links.get(&next)?;
        let brings = link.phase == Phase::Complete && link.data_at.is_some();
        (self.trial.is_none() || brings).then_some(next)
    }

    /// A replacement follows, unless this one was but a trial.
    fn coming_lost(&mut self, now: Time, dialer: &mut Dialer) {
        self.coming = None;
        self.held.clear();
        let leaving = self.active.and_then(|id| self.links.get(&id)).is_some_and(|active| active.leaving);
        self.dial_at = match self.trial.take() {
            None => Some(dialer.retry_at(now)),
            Some(_) if leaving => Some(dialer.soon(now)),
            Some(_) => None,
        };
    }

    fn down(&mut self, now: Time, why: &str, out: &mut Outbox) {
        (self.up, self.down) = (false, Some(why.to_owned()));
        self.active_changed(now);
        self.books.input_all(now, &BookInput::Closed(why.to_owned()), out);
        self.books.input_all(now, &BookInput::BestLost, out);
        let link = self.active.and_then(|id| self.links.get(&id));
        let open = self.wanted.iter().filter(|(name, wanted)| {
            wanted.stream.channel == Channel::Book && link.is_some_and(|link| link.is_confirmed(name))
        });
        let open: Vec<Symbol> = open.map(|(_, wanted)| wanted.stream.symbol.clone()).collect();
        for symbol in open {
            self.books.input(now, &symbol, BookInput::Opened, out);
        }
        if self.one_of_several {
            // A whole book has said so itself, if it was good.
            let others = self.wanted.values().filter(|wanted| wanted.stream.channel != Channel::Book);
            let stale = |wanted: &Wanted| VenueEvent::Stale(wanted.stream.clone(), why.to_owned());
            out.events.extend(others.map(stale));
        } else {
            out.events.push(VenueEvent::FeedDown(why.to_owned()));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let lively = self.is_lively();
        let links = self.links.iter().flat_map(|(id, link)| {
            let active = self.active == Some(*id);
            let stale = (active && lively).then(|| link.stale_at(&self.timing)).flatten();
            let switch = (!active && self.trial.is_none()).then(|| link.switch_at()).flatten();
            link.deadline().into_iter().chain(stale).chain(switch)
        });
        links
            .chain(self.dial_at)
            .chain(self.trial_at())
            .chain(self.verdict_at())
            .chain(self.watch_at)
            .chain(self.books.deadline())
            .min()
    }

    pub(crate) fn timer(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        if self.dial_at.is_some_and(|at| at <= now) {
            self.dial(now, dialer, out);
        }
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            self.check_link(now, id, dialer, out);
        }
        if self.watch_at.is_some_and(|at| at <= now) {
            self.check_streams(now, out);
        }
        self.judge(now, dialer, out);
        self.try_swift(now, dialer, out);
        self.books.timer(now, out);
        self.renew_books(now, out);
    }

    fn check_streams(&mut self, now: Time, out: &mut Outbox) {
        let mut renewals = Vec::new();
        for (name, wanted) in &mut self.wanted {
            let Some(finding) = wanted.watch.check(now) else { continue };
            if let Some(why) = finding.stale {
                out.events.push(VenueEvent::Stale(wanted.stream.clone(), why));
            }
            if finding.renew {
                if wanted.stream.channel == Channel::Bbo {
                    self.books.input(now, &wanted.stream.symbol, BookInput::BestLost, out);
                }
                renewals.push(name.clone());
            }
        }
        self.watch_at = self.wanted.values().filter_map(|wanted| wanted.watch.deadline()).min();
        for name in renewals {
            self.renew(now, &name, out);
        }
    }

    fn check_link(&mut self, now: Time, id: LinkId, dialer: &mut Dialer, out: &mut Outbox) {
        let lively = self.is_lively();
        let active = self.active == Some(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let over = link.until <= now;
        let trouble = match link.watch.check(now) {
            Silence::Dead => Some("the market-data host fell silent"),
            Silence::Ask => {
                link.probe(now, id, out);
                None
            }
            Silence::Fine if link.unanswered(now) => Some("the market-data host does not answer"),
            Silence::Fine if over && link.phase == Phase::Dialing => {
                Some("the market-data host took too long to answer")
            }
            Silence::Fine if active && lively && link.stale_at(&self.timing).is_some_and(|at| at <= now) => {
                Some("the market-data host sends no data")
            }
            Silence::Fine => None,
        };
        if let Some(why) = trouble {
            self.drop_link(now, id, why, dialer, out);
            return;
        }
        if over {
            link.until = now + self.timing.life;
        }
        let switches = !active && self.trial.is_none() && link.switch_at().is_some_and(|at| at <= now);
        if over && active {
            self.leave(now, id, dialer);
        }
        if switches {
            self.switch(now, out);
        }
        self.pump(now, id, out);
    }

    fn verdict_at(&self) -> Option<Time> {
        self.trial.as_ref()?.deadline(self.links.get(&self.coming?)?)
    }

    /// Ends a trial that has come to something.
    fn judge(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        if self.verdict_at().is_none_or(|at| at > now) {
            return;
        }
        let (Some(id), Some(trial)) = (self.coming, &self.trial) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        match trial.verdict(now, link) {
            Verdict::Open => {}
            Verdict::Good => self.switch(now, out),
            Verdict::Lacking(why) => self.drop_link(now, id, &why, dialer, out),
            Verdict::Undecided => {
                // No failure of its own.
                link.leaving = true;
                if let Some(swift) = &mut self.swift {
                    swift.undecided(now);
                }
                self.drop_link(now, id, "neither host brings anything", dialer, out);
            }
        }
    }

    /// Is anything wanted that changes every few seconds on any market worth trading?
    fn is_lively(&self) -> bool {
        let lively = |channel| {
            matches!(
                channel,
                Channel::Depth | Channel::DepthFast | Channel::Bbo | Channel::Book | Channel::Mark
            )
        };
        self.wanted.values().any(|wanted| lively(wanted.stream.channel))
    }
}
