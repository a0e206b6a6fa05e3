//! [`Sim`]: the machine. It takes what happens outside, one thing at a time, and says what is to be done.
//!
//! Two clocks: the caller's, by which it is called and plans, and the venue's, which every frame shows and
//! the matching core lives by. They differ by the skew a fault has set, usually by nothing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tradingsys::exchange::{
    AccountId, AccountSettings, BookSource, Config as ExchangeConfig, Event, Exchange, Listing, ListingError,
    OrderEvent, Rate, RestoreError, Transfer,
};
use tradingsys::ids::{Asset, Symbol, VenueOrderId};
use tradingsys::time::{Span, Time};

use crate::agenda::{Agenda, Beat};
use crate::auth::Keys;
use crate::bars::Bars;
use crate::config::Config;
use crate::connection::{Connection, Listeners};
use crate::faults::Faults;
use crate::feed::{Begun, Feed};
use crate::futures::Futures;
use crate::history::mix;
use crate::io::{Conn, HttpReply, HttpRequest, Journal, Oddity, Request, SimInput, SimOutput};
use crate::journal::{BadJournal, Journaled, Resumed, TransferKind, transfer_line};
use crate::limits::RateLimits;
use crate::listings::Spec;
use crate::margin::Margin;
use crate::market_data::MarketData;
use crate::order_json::Label;
use crate::product::Product;
use crate::streams::MarketIndex;

/// Between two looks at what the timed streams have to say.
pub(crate) const BEAT: Span = Span::from_millis(100);
/// The same for the slower streams of futures.
const FUTURES_BEAT: Span = Span::from_millis(250);
/// Events of orders kept for queries that lag.
const RECENT: usize = 20_000;

/// Something to do later.
#[derive(Debug)]
pub(crate) enum Task {
    /// Send a ping.
    Ping(Conn),
    /// The ping sent at that venue time must have been answered.
    PongDue(Conn, Time),
    /// The connection is too old.
    LifeOver(Conn),
    /// Timed streams.
    Beat,
    /// A change of a synthetic market.
    Step(MarketIndex),
    /// A frame that was held back arrives.
    Arrive(Conn, String),
    /// A request over HTTP that was held back arrives.
    ArriveHttp(Request, Box<HttpRequest>),
    /// A frame that was held back is sent.
    Send(Conn, Bytes),
    /// The same with a binary frame.
    SendData(Conn, Bytes),
    /// A reply over HTTP that was held back is sent.
    Reply(Request, HttpReply),
    /// The notice of a shutdown, given at that venue time, is over.
    Down(Time),
    /// A listen key may have run out.
    ListenKeyOver(AccountId),
    /// Something in the futures core is due.
    FuturesCore,
    /// What a rule of the weather does by itself is due.
    Weather(u64),
    /// Interest of margin wallets is due.
    Interest,
    /// The token of a private subscription may have run out.
    TokenOver(Conn, u32),
    /// A change of a synthetic perpetual.
    FuturesStep(MarketIndex),
}

/// One market.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) data: MarketData,
    pub(crate) feed: Feed,
}

/// A private event on its way to one subscription.
#[derive(Clone, Debug)]
pub(crate) struct PrivateFrame {
    pub(crate) conn: Conn,
    pub(crate) text: Bytes,
    /// Its event's name and execution type, by which faults find it.
    pub(crate) event: (&'static str, &'static str),
    pub(crate) account: AccountId,
}

/// What is to be sent once a request is done: journals go first, then the reply and the private events,
/// then the rest.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) lines: Vec<(Journal, String)>,
    pub(crate) private: Vec<PrivateFrame>,
    pub(crate) public: Vec<(Conn, Bytes)>,
    pub(crate) data: Vec<(Conn, Bytes)>,
    pub(crate) odd: Vec<(Conn, Bytes, Oddity)>,
}

/// The clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When the machine was called last.
    now: Time,
    /// How far the venue's clock is ahead.
    skew: Span,
    /// When the machine was started.
    started: Time,
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
    pub(crate) faults: Faults,
    pub(crate) futures: Futures,
    pub(crate) margin: Margin,
    /// Names of all wallets of the spot books: of the accounts, then of their margin wallets.
    pub(crate) names: Vec<String>,
    agenda: Agenda<Task>,
    beaten: Beat,
    clock: Clock,
    events: Vec<Event>,
}

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BadStart {
    /// A symbol cannot be listed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The journals of the earlier run cannot be read.
    #[error(transparent)]
    Journal(#[from] BadJournal),
    /// The journals of the earlier run do not fit.
    #[error("cannot go on from the journals: {0}")]
    Restore(#[from] RestoreError),
}

impl Sim {
    /// A simulator that begins at `now`.
    ///
    /// # Errors
    /// A symbol cannot be listed.
    pub fn new(config: Config, now: Time) -> Result<Self, BadStart> {
        Self::resume(config, now, &Journaled::default())
    }

    /// A simulator that goes on from the journals of an earlier run; accounts they do not know get their
    /// opening balances.
    ///
    /// # Errors
    /// [`BadStart`] says what does not fit.
    pub fn resume(config: Config, now: Time, journaled: &Journaled) -> Result<Self, BadStart> {
        let specs: Vec<&'static Spec> = match &config.listed.spot {
            None => Spec::usual().iter().collect(),
            Some(names) => Spec::all().filter(|spec| names.contains(&spec.symbol_name())).collect(),
        };
        let mut exchange = Exchange::new(ExchangeConfig {
            listings: specs.iter().map(|spec| listing(spec, &config)).collect(),
            fee_asset: Some(Asset::new("BNB")),
            fee_asset_discount: Rate::basis_points(2_500),
        })?;
        let own = config.accounts.iter().map(|account| account.name.clone());
        let names: Vec<String> = own.clone().chain(own.map(|name| format!("{name}/margin"))).collect();
        let resumed = Resumed::read(journaled, &names, now)?;
        for (id, account) in (0..).map(AccountId).zip(&config.accounts) {
            exchange.open_account(id, settings(account));
            let wallet = AccountId(id.0 + u32::try_from(config.accounts.len()).expect("accounts are few"));
            exchange.open_account(wallet, settings(account));
            exchange.open_margin(wallet).expect("the account was just opened");
        }
        exchange.value_margin_in(Asset::new("USDT"));
        exchange.restore(&resumed.past)?;
        let (loans, bookings) = &resumed.loans;
        exchange
            .restore_margin(now, loans, *bookings, &[])
            .map_err(|_| RestoreError::UnknownAccount(AccountId::HOUSE))?;
        let mut sim = Self {
            keys: Keys::new(&config.accounts),
            exchange,
            markets: Vec::new(),
            places: BTreeMap::new(),
            connections: BTreeMap::new(),
            listeners: Listeners::default(),
            rates: RateLimits::new(Product::Spot, &config.limits, &config.timing),
            futures: Futures::new(&config, journaled, &names, now)?,
            margin: Margin::new(
                RateLimits::new(Product::Margin, &config.limits, &config.timing),
                resumed.interest,
            ),
            names,
            random: fastrand::Rng::with_seed(config.seed ^ resumed.past.orders.len() as u64),
            labels: resumed.labels,
            recent: VecDeque::new(),
            staged: Staged::default(),
            faults: Faults::new(mix(config.seed)),
            agenda: Agenda::default(),
            beaten: Beat::first(now),
            clock: Clock { now, skew: Span::ZERO, started: now },
            events: Vec::new(),
            config,
        };
        sim.open_accounts(now, &resumed.known);
        for (place, spec) in (0..).zip(specs) {
            sim.open_market(now, place, spec);
        }
        for place in 0..sim.futures.markets.len() {
            sim.plan_futures_step(now, MarketIndex::try_from(place).expect("markets are few"));
        }
        sim.absorb(now);
        sim.plan_beat();
        sim.begin_weather();
        Ok(sim)
    }

    /// Gives accounts that had nothing before what they start with.
    fn open_accounts(&mut self, now: Time, known: &[AccountId]) {
        for (id, account) in (0..).map(AccountId).zip(&self.config.accounts) {
            if known.contains(&id) {
                continue;
            }
            for (asset, amount) in &account.balances {
                self.exchange.deposit(now, id, asset, *amount).expect("the account was just opened");
                let opening = Transfer { account: id, time: now, asset: asset.clone(), delta: *amount };
                let line = transfer_line(&opening, TransferKind::Opening, &account.name);
                self.staged.lines.push((Journal::Transfers, line));
            }
        }
        // Money there from the start is no event.
        self.exchange.drain_events(&mut self.events);
        self.events.clear();
    }

    fn open_market(&mut self, now: Time, place: MarketIndex, spec: &'static Spec) {
        let symbol = spec.symbol_name();
        let Config { seed, ticks_per_second, replay, replay_speed, .. } = &self.config;
        let begun = match replay.as_ref().filter(|r| r.product == Product::Spot && r.symbol == symbol) {
            Some(recording) => Feed::replay(now, recording.clone(), *replay_speed, &mut self.exchange),
            None => Feed::synthetic(now, spec, (*seed, 0), (*ticks_per_second, None), &mut self.exchange),
        };
        let Begun { feed, price, past } = begun;
        let data = MarketData::new(symbol.clone(), Bars::new(now, price, past));
        // Until the first trade there is no other price to value margin wallets by.
        self.exchange.set_margin_price(&Asset::new(spec.base), price);
        self.places.insert(symbol, place);
        self.markets.push(Market { data, feed });
        self.plan_step(now, place);
    }

    /// Takes one thing that happened. Outputs are to be done in order.
    pub fn handle(&mut self, now: Time, input: SimInput, out: &mut Vec<SimOutput>) {
        self.timer(now, out);
        let now = self.venue_time();
        match input {
            SimInput::Opened { conn, request } => self.opened(now, conn, &request, out),
            SimInput::Text(conn, text) => self.text(now, conn, text, out),
            SimInput::Ping(conn) => {
                self.count_frame(now, conn, out);
            }
            SimInput::Pong(conn, payload) => self.pong(now, conn, &payload, out),
            SimInput::Closed(conn) => self.forget(conn),
            SimInput::Http(request, http) => self.http(now, request, http, out),
        }
    }

    /// When [`Sim::timer`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        self.agenda.first()
    }

    /// The deadline has passed.
    pub fn timer(&mut self, now: Time, out: &mut Vec<SimOutput>) {
        self.clock.now = self.clock.now.max(now);
        while let Some(task) = self.agenda.due(self.clock.now) {
            self.run(task, out);
            self.flush(None, out);
        }
    }

    fn run(&mut self, task: Task, out: &mut Vec<SimOutput>) {
        let now = self.venue_time();
        match task {
            Task::Ping(conn) => self.ping(now, conn, out),
            Task::PongDue(conn, sent) => self.pong_due(conn, sent, out),
            Task::LifeOver(conn) => self.close(conn, 1001, "connection is 24 hours old", out),
            Task::Beat => {
                self.beaten = self.beaten.next(self.clock.now);
                self.beat(now, self.beaten);
                self.sbe_beat(now, self.beaten);
                self.futures_beat(now, self.beaten);
                self.plan_beat();
            }
            Task::Step(place) => {
                self.markets[usize::from(place)].feed.timer(now, &mut self.exchange);
                self.absorb(now);
                self.plan_step(now, place);
            }
            Task::Arrive(conn, text) => self.api_frame(now, conn, &text, out),
            Task::ArriveHttp(request, http) => self.serve_http(now, request, &http, out),
            Task::Send(conn, text) => self.send(conn, text, out),
            Task::SendData(conn, data) => self.send_data(conn, data, out),
            Task::Reply(request, reply) => out.push(SimOutput::Reply(request, reply)),
            Task::Down(announced) => self.down(announced, out),
            Task::ListenKeyOver(account) => self.listen_key_over(now, account),
            Task::Weather(number) => self.weather_due(number, out),
            Task::Interest => {
                self.margin.planned = None;
                self.exchange.margin_timer(now);
                self.absorb(now);
            }
            Task::TokenOver(conn, number) => self.token_over(now, conn, number),
            Task::FuturesCore => {
                self.futures.planned = None;
                self.futures.core.timer(now);
                self.absorb(now);
            }
            Task::FuturesStep(place) => {
                self.futures.markets[usize::from(place)].feed.timer(now, &mut self.futures.core);
                self.absorb(now);
                self.plan_futures_step(now, place);
            }
        }
    }

    /// The rate pools of a product.
    pub(crate) fn pool(&mut self, product: Product) -> &mut RateLimits {
        match product {
            Product::Spot => &mut self.rates,
            Product::Margin => &mut self.margin.rates,
            Product::Futures => &mut self.futures.rates,
        }
    }

    /// The time the venue shows.
    pub(crate) fn venue_time(&self) -> Time {
        self.clock.now + self.clock.skew
    }

    /// How long the machine has been running, by the caller's clock.
    pub(crate) fn elapsed(&self) -> Span {
        self.clock.now.since(self.clock.started)
    }

    /// The venue's clock jumps; by how much in all it is ahead afterwards.
    pub(crate) fn set_skew(&mut self, skew: Span) {
        self.clock.skew = skew;
        // What was planned by the old clock is due at another time.
        (self.futures.planned, self.margin.planned) = (None, None);
        self.plan_core();
        self.plan_interest();
    }

    /// Plans a task.
    pub(crate) fn later(&mut self, after: Span, task: Task) {
        self.agenda.enter(self.clock.now + after, task);
    }

    fn plan_beat(&mut self) {
        let now = self.clock.now.nanos();
        let next = |beat: Span| (now.div_euclid(beat.nanos()) + 1) * beat.nanos();
        let mut wait = Span::from_nanos(next(BEAT).min(next(FUTURES_BEAT)) - now);
        if self.has_sbe_listeners() {
            wait = wait.min(Self::next_sbe_beat(self.clock.now));
        }
        self.later(wait, Task::Beat);
    }

    /// Plans the next thing that happens by itself in the futures core, if it is sooner than what is planned.
    pub(crate) fn plan_core(&mut self) {
        let next = self.futures.core.deadline();
        if let Some(next) = next.filter(|next| self.futures.planned.is_none_or(|planned| *next < planned)) {
            self.futures.planned = Some(next);
            let now = self.venue_time();
            self.later(next.since(now), Task::FuturesCore);
        }
    }

    fn plan_futures_step(&mut self, now: Time, place: MarketIndex) {
        let feed = &self.futures.markets[usize::from(place)].feed;
        let still = self.config.ticks_per_second == 0 && !feed.tells_changes();
        if let Some(next) = feed.deadline().filter(|_| !still) {
            self.later(next.since(now), Task::FuturesStep(place));
        }
    }

    fn plan_step(&mut self, now: Time, place: MarketIndex) {
        let feed = &self.markets[usize::from(place)].feed;
        let still = self.config.ticks_per_second == 0 && !feed.tells_changes();
        if let Some(next) = feed.deadline().filter(|_| !still) {
            self.later(next.since(now), Task::Step(place));
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
        self.futures_absorb(now);
        self.plan_core();
        self.plan_interest();
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
            Event::Margin(event) => self.tell_margin(now, &event),
            Event::Transfer(transfer) => self.tell_transfer(now, &transfer),
            Event::Trade { symbol, trade } => {
                let place = self.place(&symbol);
                self.publish_trade(now, place, &trade);
            }
            Event::Book(change) => {
                let place = self.place(&change.symbol);
                self.markets[place].data.book(&change);
                if self.markets[place].feed.tells_changes() {
                    self.publish_depth(change.time, place, true);
                    self.publish_sbe_difference(change.time, place);
                    self.publish_sbe_view(change.time, place);
                }
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

    /// Puts out what is staged: journals, private frames, public frames; a reply before or after the
    /// private frames.
    pub(crate) fn flush(&mut self, reply: Option<(SimOutput, bool)>, out: &mut Vec<SimOutput>) {
        let staged = std::mem::take(&mut self.staged);
        out.extend(staged.lines.into_iter().map(|(journal, line)| SimOutput::Append(journal, line)));
        let (before, after) = match reply {
            Some((reply, true)) => (Some(reply), None),
            Some((reply, false)) => (None, Some(reply)),
            None => (None, None),
        };
        out.extend(before);
        for frame in staged.private {
            self.send_private(frame, out);
        }
        out.extend(after);
        for (conn, text) in staged.public {
            self.send(conn, text, out);
        }
        for (conn, data) in staged.data {
            self.send_data(conn, data, out);
        }
        for (conn, text, oddity) in staged.odd {
            self.send_odd(conn, text, oddity, out);
        }
    }

    /// Sends a frame unless the connection is silent.
    pub(crate) fn send(&self, conn: Conn, text: Bytes, out: &mut Vec<SimOutput>) {
        if self.connections.get(&conn).is_some_and(Connection::is_live) {
            out.push(SimOutput::Send(conn, text));
        }
    }

    /// Sends a binary frame unless the connection is silent.
    fn send_data(&self, conn: Conn, data: Bytes, out: &mut Vec<SimOutput>) {
        if self.connections.get(&conn).is_some_and(Connection::is_live) {
            out.push(SimOutput::SendData(conn, data));
        }
    }

    /// A name for an order whose client gave none.
    pub(crate) fn random_id(&mut self) -> String {
        (0..22).map(|_| self.random.alphanumeric()).collect()
    }
}

/// A symbol as the core lists it under this configuration.
fn listing(spec: &Spec, config: &Config) -> Listing {
    let mut listing = spec.listing();
    let instrument = &mut listing.instrument;
    if let Some(recording) =
        config.replay.as_ref().filter(|r| r.product == Product::Spot && r.symbol == instrument.symbol)
    {
        (instrument.price.step, instrument.qty.step) = recording.grid(instrument.tick(), instrument.lot());
        listing.source = BookSource::Replayed;
    }
    listing
}

/// Settings of an account in the matching core.
pub(crate) fn settings(account: &crate::config::AccountConfig) -> AccountSettings {
    AccountSettings {
        maker_fee: account.maker_fee,
        taker_fee: account.taker_fee,
        pay_in_fee_asset: account.pays_in_bnb,
        can_trade: true,
    }
}
