//! [`Sim`]: the machine. It takes what happens outside, one thing at a time, and says what is to be done.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tradingsys::exchange::{
    AccountId, AccountSettings, Config as ExchangeConfig, Event, Exchange, ListingError, OrderEvent, Rate,
};
use tradingsys::ids::{Asset, Symbol, VenueOrderId};
use tradingsys::time::{Span, Time, earliest};

use crate::agenda::Agenda;
use crate::auth::Keys;
use crate::bars::Bars;
use crate::config::Config;
use crate::connection::{Connection, Kind, Listeners, Session, Streams};
use crate::io::{Conn, HttpReply, HttpRequest, Journal, Request, SimInput, SimOutput};
use crate::limits::RateLimits;
use crate::listings::Spec;
use crate::market_data::MarketData;
use crate::order_json::Label;
use crate::streams::{MarketIndex, StreamName, names_of_path};
use crate::synthetic::Synthetic;

/// Between two looks at what the timed streams have to say.
pub(crate) const BEAT: Span = Span::from_millis(100);
/// Events of orders kept for queries that lag.
const RECENT: usize = 20_000;
/// Streams a connection may have.
pub(crate) const MOST_STREAMS: usize = 1_024;

/// Something to do later.
#[derive(Debug)]
pub(crate) enum Task {
    /// Send a ping.
    Ping(Conn),
    /// The ping sent at that time must have been answered.
    PongDue(Conn, Time),
    /// The connection is too old.
    LifeOver(Conn),
    /// Timed streams.
    Beat,
    /// A change of a synthetic market.
    Step(MarketIndex),
}

/// One market.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) spec: &'static Spec,
    pub(crate) data: MarketData,
    pub(crate) house: Synthetic,
}

/// What is to be sent once a request is done: journals go first, then the reply and the private events, then the rest.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) lines: Vec<(Journal, String)>,
    pub(crate) private: Vec<(Conn, Bytes)>,
    pub(crate) public: Vec<(Conn, Bytes)>,
}

/// A Binance-compatible exchange, spot, as a pure machine.
#[derive(Debug)]
pub struct Sim {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) exchange: Exchange,
    pub(crate) markets: Vec<Market>,
    pub(crate) places: BTreeMap<Symbol, MarketIndex>,
    pub(crate) connections: BTreeMap<Conn, Connection>,
    pub(crate) listeners: Listeners,
    pub(crate) rates: RateLimits,
    pub(crate) random: fastrand::Rng,
    pub(crate) labels: BTreeMap<(Symbol, VenueOrderId), Label>,
    pub(crate) recent: VecDeque<OrderEvent>,
    pub(crate) staged: Staged,
    pub(crate) agenda: Agenda<Task>,
    events: Vec<Event>,
}

impl Sim {
    /// A simulator that begins at `now`.
    ///
    /// # Errors
    /// A symbol cannot be listed.
    pub fn new(config: Config, now: Time) -> Result<Self, ListingError> {
        let specs = Spec::all();
        let mut exchange = Exchange::new(ExchangeConfig {
            listings: specs.iter().map(Spec::listing).collect(),
            fee_asset: Some(Asset::new("BNB")),
            fee_asset_discount: Rate::basis_points(2_500),
        })?;
        for (id, account) in (0..).map(AccountId).zip(&config.accounts) {
            exchange.open_account(id, settings(account));
            for (asset, amount) in &account.balances {
                exchange.deposit(now, id, asset, *amount).expect("the account was just opened");
            }
        }
        let mut sim = Self {
            keys: Keys::new(&config.accounts),
            exchange,
            markets: Vec::new(),
            places: BTreeMap::new(),
            connections: BTreeMap::new(),
            listeners: Listeners::default(),
            rates: RateLimits::new(config.limits, &config.timing),
            random: fastrand::Rng::with_seed(config.seed),
            labels: BTreeMap::new(),
            recent: VecDeque::new(),
            staged: Staged::default(),
            agenda: Agenda::default(),
            events: Vec::new(),
            config,
        };
        // Money there from the start is no event.
        sim.exchange.drain_events(&mut sim.events);
        sim.events.clear();
        for (place, spec) in (0..).zip(specs) {
            sim.open_market(now, place, spec);
        }
        sim.absorb(now);
        sim.staged = Staged::default();
        sim.agenda.enter(next_beat(now), Task::Beat);
        Ok(sim)
    }

    fn open_market(&mut self, now: Time, place: MarketIndex, spec: &'static Spec) {
        let symbol = Symbol::new(spec.symbol);
        let house = Synthetic::new(self.config.seed, spec, now);
        let price = spec.price(house.ticks());
        let bars = Bars::new(now, price, Some(house.past().clone()));
        self.places.insert(symbol.clone(), place);
        self.markets.push(Market { spec, data: MarketData::new(symbol, bars), house });
        let market = self.markets.last_mut().expect("one was just pushed");
        market.house.open(now, &mut self.exchange);
        if let Some(step) = self.step_length() {
            self.agenda.enter(now + step, Task::Step(place));
        }
    }

    /// Time between two changes of a synthetic market; `None` if it stands still.
    fn step_length(&self) -> Option<Span> {
        let rate = i64::from(self.config.ticks_per_second);
        (rate > 0).then(|| Span::from_nanos(1_000_000_000 / rate))
    }

    /// Takes one thing that happened. Outputs are to be done in order.
    pub fn handle(&mut self, now: Time, input: SimInput, out: &mut Vec<SimOutput>) {
        self.run_due(now, out);
        match input {
            SimInput::Opened { conn, request } => self.opened(now, conn, &request, out),
            SimInput::Text(conn, text) => self.text(now, conn, &text, out),
            SimInput::Ping(conn) => {
                self.count_frame(now, conn, out);
            }
            SimInput::Pong(conn, payload) => self.pong(now, conn, &payload, out),
            SimInput::Closed(conn) => self.forget(conn),
            SimInput::Http(request, http) => self.http(now, request, &http, out),
        }
    }

    /// When [`Sim::timer`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        earliest(self.agenda.first(), None)
    }

    /// The deadline has passed.
    pub fn timer(&mut self, now: Time, out: &mut Vec<SimOutput>) {
        self.run_due(now, out);
    }

    fn run_due(&mut self, now: Time, out: &mut Vec<SimOutput>) {
        while let Some((due, task)) = self.agenda.due(now) {
            match task {
                Task::Ping(conn) => self.ping(due, now, conn, out),
                Task::PongDue(conn, sent) => self.pong_due(conn, sent, out),
                Task::LifeOver(conn) => self.close(conn, 1001, "connection is 24 hours old", out),
                Task::Beat => {
                    self.beat(now);
                    self.agenda.enter(next_beat(now), Task::Beat);
                }
                Task::Step(place) => {
                    self.markets[usize::from(place)].house.step(now, &mut self.exchange);
                    self.absorb(now);
                    if let Some(step) = self.step_length() {
                        // After a pause of the process the market goes on from here; it does not catch up.
                        self.agenda.enter((due + step).max(now), Task::Step(place));
                    }
                }
            }
            self.flush(out);
        }
    }

    /// Takes the events of the matching core: journals, private and public frames, bars.
    pub(crate) fn absorb(&mut self, now: Time) {
        let mut events = std::mem::take(&mut self.events);
        self.exchange.drain_events(&mut events);
        for event in events.drain(..) {
            self.absorb_one(now, event);
        }
        self.events = events;
        for place in 0..self.markets.len() {
            if let Some(ended) = self.markets[place].data.end_aggregate() {
                self.publish_aggregate(now, place, &ended);
            }
        }
    }

    fn absorb_one(&mut self, now: Time, event: Event) {
        match event {
            Event::Order(event) => {
                self.tell_order(now, &event);
                self.recent.push_back(*event);
                if self.recent.len() > RECENT {
                    self.recent.pop_front();
                }
            }
            Event::Balances(change) => self.tell_balances(now, &change),
            Event::Transfer(transfer) => self.tell_transfer(now, &transfer),
            Event::Trade { symbol, trade } => {
                let place = self.place(&symbol);
                self.publish_trade(now, place, &trade);
            }
            Event::Book(change) => {
                let place = self.place(&change.symbol);
                self.markets[place].data.book(&change);
            }
            Event::Best(best) => {
                let place = self.place(&best.symbol);
                self.publish_best(place, best);
            }
            Event::Status { .. } => {}
        }
    }

    pub(crate) fn place(&self, symbol: &Symbol) -> usize {
        usize::from(*self.places.get(symbol).expect("the core tells of listed symbols only"))
    }

    /// Puts out what is staged: journals, private frames, public frames.
    pub(crate) fn flush(&mut self, out: &mut Vec<SimOutput>) {
        self.flush_around(None, out);
    }

    /// The same with a reply, which comes before or after the private frames.
    pub(crate) fn flush_around(&mut self, reply: Option<(SimOutput, bool)>, out: &mut Vec<SimOutput>) {
        let staged = std::mem::take(&mut self.staged);
        out.extend(staged.lines.into_iter().map(|(journal, line)| SimOutput::Append(journal, line)));
        let (before, after) = match reply {
            Some((reply, true)) => (Some(reply), None),
            Some((reply, false)) => (None, Some(reply)),
            None => (None, None),
        };
        out.extend(before);
        out.extend(staged.private.into_iter().map(|(conn, text)| SimOutput::Send(conn, text)));
        out.extend(after);
        out.extend(staged.public.into_iter().map(|(conn, text)| SimOutput::Send(conn, text)));
    }

    fn opened(&mut self, now: Time, conn: Conn, request: &HttpRequest, out: &mut Vec<SimOutput>) {
        let path = request.path.trim_end_matches('/');
        let api = path == "/ws-api/v3";
        if !api && !path.starts_with("/ws") && !path.starts_with("/stream") {
            out.push(SimOutput::Refuse(conn, 404));
            return;
        }
        if !self.rates.connect(now, &request.peer) {
            out.push(SimOutput::Refuse(conn, 429));
            return;
        }
        let unit = match unit_of_query(&request.query) {
            Ok(unit) => unit,
            Err(status) => return out.push(SimOutput::Refuse(conn, status)),
        };
        let kind = if api {
            let quiet = request.query.split('&').any(|pair| pair == "returnRateLimits=false");
            Kind::Api(Session { return_limits: !quiet, ..Session::default() })
        } else {
            Kind::Streams(Streams::default())
        };
        let peer = request.peer.clone();
        let connection = Connection {
            kind,
            unit,
            peer,
            since: now,
            ping: None,
            frozen: false,
            closing: false,
            frames: (0, 0),
        };
        self.connections.insert(conn, connection);
        if !api {
            let (combined, names) = names_of_path(path, &request.query);
            self.set_combined(conn, combined);
            self.subscribe(conn, &names);
        }
        let timing = self.config.timing;
        self.agenda.enter(now + timing.ping, Task::Ping(conn));
        self.agenda.enter(now + timing.life, Task::LifeOver(conn));
    }

    fn text(&mut self, now: Time, conn: Conn, text: &str, out: &mut Vec<SimOutput>) {
        if !self.count_frame(now, conn, out) {
            return;
        }
        match self.connections.get(&conn).map(|connection| &connection.kind) {
            Some(Kind::Api(_)) => self.api_frame(now, conn, text, out),
            Some(Kind::Streams(_)) => self.stream_frame(conn, text, out),
            None => {}
        }
    }

    /// Counts a frame; false if the connection hears nothing (any more).
    fn count_frame(&mut self, now: Time, conn: Conn, out: &mut Vec<SimOutput>) -> bool {
        let most = self.config.limits.stream_frames_per_second;
        let Some(connection) = self.connections.get_mut(&conn) else { return false };
        if !connection.is_live() {
            return false;
        }
        if connection.count_frame(now) > most && matches!(connection.kind, Kind::Streams(_)) {
            self.close(conn, 1008, "Too many requests", out);
            return false;
        }
        true
    }

    fn ping(&mut self, due: Time, now: Time, conn: Conn, out: &mut Vec<SimOutput>) {
        let timing = self.config.timing;
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !connection.closing {
            let payload = Bytes::from(now.millis().to_string());
            if connection.ping.is_none() {
                connection.ping = Some((payload.clone(), now));
                self.agenda.enter(now + timing.pong, Task::PongDue(conn, now));
            }
            if !self.connections[&conn].frozen {
                out.push(SimOutput::Ping(conn, payload));
            }
        }
        self.agenda.enter((due + timing.ping).max(now), Task::Ping(conn));
    }

    fn pong(&mut self, now: Time, conn: Conn, payload: &Bytes, out: &mut Vec<SimOutput>) {
        if !self.count_frame(now, conn, out) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(&conn) {
            // A pong nobody asked for is allowed, and counts for nothing: its payload must be a ping's of ours. Pings
            // later than the first open one count as well.
            let sent = std::str::from_utf8(payload).ok().and_then(|text| text.parse::<i64>().ok());
            let open = connection.ping.as_ref().map(|(_, sent)| sent.millis());
            if let (Some(sent), Some(open)) = (sent, open)
                && sent >= open
            {
                connection.ping = None;
            }
        }
    }

    fn pong_due(&mut self, conn: Conn, sent: Time, out: &mut Vec<SimOutput>) {
        let open = self.connections.get(&conn).and_then(|c| c.ping.as_ref()).map(|(_, sent)| *sent);
        if open == Some(sent) {
            self.close(conn, 1008, "Pong timeout", out);
        }
    }

    /// Closes a connection; nothing more is sent on it.
    pub(crate) fn close(&mut self, conn: Conn, code: u16, why: &'static str, out: &mut Vec<SimOutput>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !std::mem::replace(&mut connection.closing, true) {
            let end =
                if connection.frozen { SimOutput::Abort(conn) } else { SimOutput::Close(conn, code, why) };
            out.push(end);
        }
    }

    fn forget(&mut self, conn: Conn) {
        if let Some(Connection { kind: Kind::Streams(streams), .. }) = self.connections.remove(&conn) {
            for name in streams.names.into_values().flatten() {
                self.unlisten(name, conn);
            }
        }
    }

    /// No longer sends a stream to a connection; a diff nobody listens to is not gathered.
    pub(crate) fn unlisten(&mut self, name: StreamName, conn: Conn) {
        self.listeners.remove(name, conn);
        if let StreamName::Of(place, crate::streams::Kind::DepthDiff { fast }) = name
            && !self.listeners.any(name)
        {
            self.markets[usize::from(place)].data.diffs[usize::from(fast)] = None;
        }
    }

    /// A name for an order whose client gave none.
    pub(crate) fn random_id(&mut self) -> String {
        (0..22).map(|_| self.random.alphanumeric()).collect()
    }

    pub(crate) fn reply(&self, request: Request, status: u16, body: String, out: &mut Vec<SimOutput>) {
        out.push(SimOutput::Reply(request, HttpReply { status, headers: Vec::new(), body }));
    }
}

fn settings(account: &crate::config::AccountConfig) -> AccountSettings {
    AccountSettings {
        maker_fee: account.maker_fee,
        taker_fee: account.taker_fee,
        pay_in_fee_asset: account.pays_in_bnb,
        can_trade: true,
    }
}

/// `timeUnit` of a query.
fn unit_of_query(query: &str) -> Result<binance_wire::render::TimeUnit, u16> {
    match query.split('&').find_map(|pair| pair.strip_prefix("timeUnit=")) {
        None => Ok(binance_wire::render::TimeUnit::Millis),
        Some(word) => binance_wire::render::TimeUnit::from_word(word).ok_or(400),
    }
}

fn next_beat(now: Time) -> Time {
    Time::from_nanos((now.nanos().div_euclid(BEAT.nanos()) + 1) * BEAT.nanos())
}
