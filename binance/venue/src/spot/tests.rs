//! Both machines against the simulated exchange's machine, in virtual time: every byte between them is real, only the
//! sockets are missing.

use std::collections::BTreeMap;

use binance_sim::config::{AccountConfig, Config, USUAL_FEE, usual_balances};
use binance_sim::{Conn, HttpRequest, Request, Sim, SimInput, SimOutput};
use binance_wire::sign::SecretKey;
use bytes::Bytes;
use tradingsys::ids::{ClientOrderId, LinkId, Symbol};
use tradingsys::market::{Channel, Interval, Side, Stp, Stream, Tif, WorkingType};
use tradingsys::num::{Cash, Qty};
use tradingsys::order::request::{NewOrder, Terms};
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::{
    Answer, Cancel, CancelOutcome, Fill, LinkAction, LinkInput, MarketFeed, NotSent, OrderEntry, OrderReport,
    Outbox, PlaceOutcome, Query, Urgent, VenueEvent, VenueStatus, Way,
};

use super::{Entry, Feed, SpotConfig, ports};

const START: i64 = 1_760_000_000_000;
/// One way.
const LATENCY: Span = Span::from_millis(2);

/// Something on its way.
enum Step {
    ToVenue(SimInput),
    Up(LinkId),
    Down(LinkId),
    Text(LinkId, Bytes),
    Alive(LinkId),
}

type Sabotage = Box<dyn FnMut(&mut Vec<Bytes>)>;

struct World {
    now: Time,
    /// The venue's clock less ours.
    skew: Span,
    sim: Sim,
    feed: Feed,
    entry: Entry,
    conns: BTreeMap<LinkId, Conn>,
    steps: BTreeMap<(Time, u64), Step>,
    count: u64,
    dials: usize,
    events: Vec<(Time, VenueEvent)>,
    /// What becomes of a text frame on its way to us.
    sabotage: Sabotage,
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[3; 32])
}

fn venue() -> Config {
    let account = AccountConfig {
        name: "us".to_owned(),
        api_key: "the-key".to_owned(),
        checker: key().checker(),
        may_trade: true,
        balances: usual_balances().collect(),
        maker_fee: USUAL_FEE,
        taker_fee: USUAL_FEE,
        pays_in_bnb: false,
        wallets: binance_sim::config::Wallets::default(),
    };
    Config { accounts: vec![account], ..Config::default() }
}

fn ours() -> SpotConfig {
    SpotConfig::new("ws://sim/ws-api/v3", "ws://sim", "the-key", key(), 11)
}

impl World {
    fn new(venue: Config, ours: &SpotConfig, skew: Span) -> Self {
        let now = Time::from_millis(START);
        let (feed, entry) = ports(ours);
        let sim = Sim::new(venue, now + skew).unwrap();
        let (conns, steps) = (BTreeMap::new(), BTreeMap::new());
        let sabotage: Sabotage = Box::new(|_| ());
        let mut world = Self {
            now,
            skew,
            sim,
            feed,
            entry,
            conns,
            steps,
            count: 0,
            dials: 0,
            events: Vec::new(),
            sabotage,
        };
        let mut out = Outbox::default();
        world.feed.start(now, &mut out);
        world.entry.start(now, &mut out);
        world.perform(out);
        world
    }

    /// Up, with nothing left to read.
    fn up() -> Self {
        let mut world = Self::new(venue(), &ours(), Span::ZERO);
        world.run_until(|event| matches!(event, VenueEvent::EntryUp));
        world.run(Span::from_secs(1));
        world
    }

    fn later(&mut self, span: Span, step: Step) {
        self.count += 1;
        self.steps.insert((self.now + span, self.count), step);
    }

    fn perform(&mut self, out: Outbox) {
        let now = self.now;
        self.events.extend(out.events.into_iter().map(|event| (now, event)));
        for action in out.actions {
            match action {
                LinkAction::Open { link, url, .. } => {
                    self.dials += 1;
                    let conn = Conn(u64::from(link.0));
                    let path = url.strip_prefix("ws://sim").unwrap().to_owned();
                    let request =
                        HttpRequest { path, peer: "127.0.0.1".to_owned(), ..HttpRequest::default() };
                    self.conns.insert(link, conn);
                    self.later(LATENCY, Step::ToVenue(SimInput::Opened { conn, request }));
                    self.later(LATENCY * 2, Step::Up(link));
                }
                LinkAction::Send { link, text } => {
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    let conn = Conn(u64::from(link.0));
                    self.later(LATENCY, Step::ToVenue(SimInput::Text(conn, text)));
                }
                LinkAction::Close { link } => {
                    let conn = Conn(u64::from(link.0));
                    self.later(LATENCY, Step::ToVenue(SimInput::Closed(conn)));
                    self.later(LATENCY, Step::Down(link));
                }
                LinkAction::Request { url, .. } => panic!("spot asks nothing over HTTP, but {url}"),
            }
        }
    }

    fn perform_venue(&mut self, outputs: Vec<SimOutput>) {
        for output in outputs {
            match output {
                SimOutput::Send(conn, text) => {
                    let mut texts = vec![text];
                    (self.sabotage)(&mut texts);
                    for text in texts {
                        self.later(LATENCY, Step::Text(link(conn), text));
                    }
                }
                SimOutput::Ping(conn, payload) => {
                    self.later(LATENCY, Step::Alive(link(conn)));
                    self.later(LATENCY * 2, Step::ToVenue(SimInput::Pong(conn, payload)));
                }
                SimOutput::Refuse(conn, _) => {
                    let link = link(conn);
                    self.steps.retain(|_, step| !matches!(step, Step::Up(up) if *up == link));
                    self.later(LATENCY, Step::Down(link));
                }
                SimOutput::Close(conn, ..) | SimOutput::Abort(conn) => {
                    self.later(LATENCY, Step::Down(link(conn)));
                    self.later(LATENCY * 2, Step::ToVenue(SimInput::Closed(conn)));
                }
                _ => {}
            }
        }
    }

    fn link_input(&mut self, link: LinkId, input: LinkInput<'_>) {
        let mut out = Outbox::default();
        if !self.conns.contains_key(&link) {
            return;
        }
        if matches!(input, LinkInput::Down(_)) {
            self.conns.remove(&link);
        }
        if self.feed.owns(link) {
            self.feed.handle(self.now, link, input, &mut out);
        } else {
            self.entry.handle(self.now, link, input, &mut out);
        }
        self.perform(out);
    }

    /// The next thing to happen at or before `end`; false if there is none.
    fn step(&mut self, end: Time) -> bool {
        let wire = self.steps.first_key_value().map(|((at, _), _)| *at);
        let sim = self.sim.deadline().map(|at| at - self.skew);
        let due = [wire, sim, self.feed.deadline(), self.entry.deadline()];
        let Some(at) = due.into_iter().flatten().min().filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(at);
        if wire == Some(at) {
            let (_, step) = self.steps.pop_first().unwrap();
            match step {
                Step::ToVenue(input) => {
                    let mut outputs = Vec::new();
                    self.sim.handle(self.now + self.skew, input, &mut outputs);
                    self.perform_venue(outputs);
                }
                Step::Up(link) => self.link_input(link, LinkInput::Up),
                Step::Down(link) => self.link_input(link, LinkInput::Down("closed by the venue")),
                Step::Alive(link) => self.link_input(link, LinkInput::Alive),
                Step::Text(link, text) => {
                    self.link_input(link, LinkInput::Text(&String::from_utf8_lossy(&text)));
                }
            }
        } else if sim == Some(at) {
            let mut outputs = Vec::new();
            self.sim.timer(self.now + self.skew, &mut outputs);
            self.perform_venue(outputs);
        } else {
            let mut out = Outbox::default();
            if self.feed.deadline() == Some(at) {
                self.feed.timer(self.now, &mut out);
            } else {
                self.entry.timer(self.now, &mut out);
            }
            self.perform(out);
        }
        true
    }

    fn run(&mut self, span: Span) {
        let end = self.now + span;
        while self.step(end) {}
    }

    /// Runs until an event is picked, and gives it.
    fn run_for<T>(&mut self, mut pick: impl FnMut(&VenueEvent) -> Option<T>) -> T {
        let end = self.now + Span::from_secs(120);
        let mut seen = self.events.len();
        while self.step(end) {
            while let Some((_, event)) = self.events.get(seen) {
                if let Some(found) = pick(event) {
                    return found;
                }
                seen += 1;
            }
        }
        panic!(
            "it does not happen; last events: {:#?}",
            self.events.iter().rev().take(5).collect::<Vec<_>>()
        );
    }

    fn run_until(&mut self, is: impl Fn(&VenueEvent) -> bool) {
        self.run_for(|event| is(event).then_some(()));
    }

    fn place(&mut self, order: &NewOrder) -> Result<(), NotSent> {
        let mut out = Outbox::default();
        let result = self.entry.place(self.now, order, &mut out);
        self.perform(out);
        result
    }

    fn placed(&mut self, order: &NewOrder) -> PlaceOutcome {
        self.place(order).unwrap();
        self.run_for(|event| match event {
            VenueEvent::Placed { id, outcome } if *id == order.id => Some(outcome.clone()),
            _ => None,
        })
    }

    fn accepted(&mut self, order: &NewOrder) -> OrderReport {
        match self.placed(order) {
            PlaceOutcome::Accepted(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    fn canceled(&mut self, order: &NewOrder, cancel_id: &str) -> CancelOutcome {
        let cancel = Cancel {
            symbol: order.symbol.clone(),
            id: order.id.clone(),
            venue_id: None,
            conditional: false,
            conditional_id: None,
            known_as: order.id.clone(),
            cancel_id: Some(ClientOrderId::foreign(cancel_id)),
        };
        let mut out = Outbox::default();
        self.entry.cancel(self.now, &cancel, &mut out).unwrap();
        self.perform(out);
        self.run_for(|event| match event {
            VenueEvent::CancelReply { id, outcome } if *id == order.id => Some(outcome.clone()),
            _ => None,
        })
    }

    fn ask(&mut self, query: &Query) -> Answer {
        self.count += 1;
        let number = self.count;
        let mut out = Outbox::default();
        self.entry.query(self.now, number, query, &mut out);
        self.perform(out);
        self.run_for(|event| match event {
            VenueEvent::Answer { request, answer } if *request == number => Some(answer.clone()),
            _ => None,
        })
    }

    fn subscribe(&mut self, symbol: &str, word: &str) {
        let mut out = Outbox::default();
        self.feed.subscribe(self.now, &stream(symbol, word), &mut out);
        self.perform(out);
    }

    /// Puts a rule of the simulator's fault vocabulary in force.
    fn fault(&mut self, rule: &str) {
        self.control("/control/faults", &format!("[{rule}]"));
    }

    fn control(&mut self, path: &str, body: &str) {
        self.count += 1;
        let number = Request(self.count);
        let (method, path, body) = ("POST".to_owned(), path.to_owned(), body.to_owned());
        let http = HttpRequest { method, path, body, ..HttpRequest::default() };
        let mut outputs = Vec::new();
        self.sim.handle(self.now + self.skew, SimInput::Http(number, http), &mut outputs);
        for output in &outputs {
            if let SimOutput::Reply(_, reply) = output {
                assert_eq!(reply.status, 200, "{}", reply.body);
            }
        }
        self.perform_venue(outputs);
    }

    /// The venue cuts a connection.
    fn cut(&mut self, link: LinkId) {
        self.later(LATENCY, Step::ToVenue(SimInput::Closed(Conn(u64::from(link.0)))));
        self.later(LATENCY, Step::Down(link));
    }

    fn reports(&self) -> Vec<OrderReport> {
        self.pick(|event| match event {
            VenueEvent::Report(report) => Some((**report).clone()),
            _ => None,
        })
    }

    fn pick<T>(&self, pick: impl Fn(&VenueEvent) -> Option<T>) -> Vec<T> {
        self.events.iter().filter_map(|(_, event)| pick(event)).collect()
    }

    fn has(&self, is: impl Fn(&VenueEvent) -> bool) -> bool {
        self.events.iter().any(|(_, event)| is(event))
    }
}

fn link(conn: Conn) -> LinkId {
    LinkId(u32::try_from(conn.0).unwrap())
}

fn stream(symbol: &str, word: &str) -> Stream {
    Stream { symbol: Symbol::new(symbol), channel: Channel::from_word(word).unwrap() }
}

fn order(id: &str, side: Side, qty: i64, terms: Terms) -> NewOrder {
    NewOrder {
        id: ClientOrderId::foreign(id),
        symbol: Symbol::new("dogeusdt"),
        side,
        qty: Qty::whole(qty),
        terms,
        stp: Stp::ExpireTaker,
        good_till: None,
        working_type: WorkingType::Last,
        reduce_only: false,
    }
}

/// Far enough from the market to rest.
fn resting(id: &str) -> NewOrder {
    order(id, Side::Buy, 10, Terms::Limit { price: "0.15".parse().unwrap(), tif: Tif::Gtc })
}

fn is_down(event: &VenueEvent) -> bool {
    matches!(event, VenueEvent::EntryDown(_) | VenueEvent::FeedDown(_) | VenueEvent::PrivateGarbled(_))
}

#[test]
fn both_come_up_and_know_the_instruments() {
    let world = World::up();
    let all = world.pick(|event| match event {
        VenueEvent::Instruments(all) => Some(all.clone()),
        _ => None,
    });
    let names: Vec<&str> = all[0].iter().map(|instrument| instrument.symbol.as_str()).collect();
    assert_eq!(names, ["btcusdt", "ethusdt", "bnbusdt", "solusdt", "dogeusdt"]);
    let doge = &all[0][4];
    assert_eq!((doge.tick(), doge.lot()), ("0.00001".parse().unwrap(), Qty::whole(1)));
    assert_eq!(doge.min_notional, Cash::whole(1));
    assert!(world.has(|event| matches!(event, VenueEvent::FeedUp)));
    assert!(!world.has(is_down));
}

#[test]
fn an_order_lives_and_is_cancelled() {
    let mut world = World::up();
    let wish = resting("o1");
    let placed = world.accepted(&wish);
    assert_eq!((placed.status, placed.qty, placed.filled), (VenueStatus::New, Qty::whole(10), Qty::ZERO));
    world.run(Span::from_millis(50));
    let Answer::Orders(open) = world.ask(&Query::OpenOrders) else { panic!("open orders") };
    assert_eq!((open.len(), open[0].venue_id, open[0].client_id.as_str()), (1, placed.venue_id, "o1"));
    let CancelOutcome::Canceled(gone) = world.canceled(&wish, "c1") else { panic!("cancelled") };
    assert_eq!(gone.previous_id.as_ref().unwrap().as_str(), "o1");
    assert_eq!(world.canceled(&wish, "c1"), CancelOutcome::UnknownOrder);
    world.run(Span::from_millis(50));
    let told: Vec<_> = world
        .reports()
        .iter()
        .map(|r| (r.status, r.client_id.to_string(), r.previous_id.as_ref().map(ToString::to_string)))
        .collect();
    let expected = [
        (VenueStatus::New, "o1".to_owned(), None),
        (VenueStatus::Canceled, "c1".to_owned(), Some("o1".to_owned())),
    ];
    assert_eq!(told, expected);
    let found = |name: &str| Query::Order {
        symbol: wish.symbol.clone(),
        client_id: ClientOrderId::foreign(name),
        conditional: false,
    };
    assert!(matches!(world.ask(&found("c1")), Answer::Order(r) if r.status == VenueStatus::Canceled));
    assert_eq!(world.ask(&found("o9")), Answer::NotFound);
    let number = Query::OrderByVenueId { symbol: wish.symbol.clone(), venue_id: placed.venue_id };
    assert!(matches!(world.ask(&number), Answer::Order(r) if r.venue_id == placed.venue_id));
}

#[test]
fn fills_are_told_as_the_trade_query_tells_them() {
    let mut world = World::up();
    let Answer::Account(before) = world.ask(&Query::Account) else { panic!("account") };
    let report = world.accepted(&order("o1", Side::Buy, 50_000, Terms::Market));
    world.run(Span::from_secs(1));
    let reports = world.reports();
    let fills: Vec<Fill> = reports.iter().filter_map(|r| r.fill.clone()).collect();
    assert!(!fills.is_empty());
    assert_eq!(reports.last().unwrap().filled, fills.iter().map(|fill| fill.qty).sum());
    let symbol = Symbol::new("dogeusdt");
    for query in [
        Query::TradesOfOrder { symbol: symbol.clone(), venue_id: report.venue_id },
        Query::TradesFrom { symbol: symbol.clone(), from: fills[0].trade_id },
        Query::TradesSince { symbol, since: fills[0].time },
    ] {
        assert_eq!(world.ask(&query), Answer::Trades(fills.clone()), "{query:?}");
    }
    let spent: Cash = fills.iter().map(|fill| fill.quote).sum();
    let Answer::Account(after) = world.ask(&Query::Account) else { panic!("account") };
    let usdt = |account: &tradingsys::venue::port::Account| {
        account.balances.iter().find(|b| b.asset.as_str() == "USDT").unwrap().free
    };
    assert_eq!(usdt(&before) - usdt(&after), spent);
    assert!(world.has(|event| matches!(event, VenueEvent::Balances(_))));
}

#[test]
fn refusals_carry_the_venues_words() {
    let mut world = World::up();
    let crossing = Terms::PostOnly { price: "0.3".parse().unwrap() };
    let dear = Terms::Limit { price: "0.25".parse().unwrap(), tif: Tif::Gtc };
    for (wish, code, part) in [
        (order("o1", Side::Buy, 10, crossing), -2010, "immediately match"),
        (order("o2", Side::Sell, 300_000, dear), -2010, "insufficient balance"),
        (order("o3", Side::Buy, 1, Terms::Market), -1013, "NOTIONAL"),
    ] {
        match world.placed(&wish) {
            PlaceOutcome::Rejected { code: found, message, .. } => {
                assert!(found == code && message.contains(part), "{found} {message}");
            }
            other => panic!("{other:?}"),
        }
    }
    world.accepted(&resting("o4"));
    assert!(matches!(world.placed(&resting("o4")), PlaceOutcome::Unknown(_)), "r09: evidence that it lives");
}

#[test]
fn r33_connections_end_all_the_time_and_nobody_notices() {
    let mut venue = venue();
    venue.timing.life = Span::from_secs(60);
    let mut ours = ours();
    ours.access.timing.life = Span::from_secs(40);
    let mut world = World::new(venue, &ours, Span::ZERO);
    world.run_until(|event| matches!(event, VenueEvent::EntryUp));
    for word in ["trade", "bbo", "kline:1s"] {
        world.subscribe("btcusdt", word);
    }
    for at in 0..120 {
        let wish = resting(&format!("o{at}"));
        world.accepted(&wish);
        assert!(matches!(world.canceled(&wish, &format!("c{at}")), CancelOutcome::Canceled(_)), "{at}");
        world.run(Span::from_millis(2_500));
    }
    assert!(world.now.since(Time::from_millis(START)) > Span::from_secs(290));
    assert!(!world.has(is_down));
    let trades = world.pick(|event| match event {
        VenueEvent::Trade(_, trade) => Some(trade.id),
        _ => None,
    });
    assert!(trades.len() > 100, "{}", trades.len());
    assert!(trades.windows(2).all(|pair| pair[1] == pair[0] + 1), "no trade is missing or told twice");
    let closed = world.pick(|event| match event {
        VenueEvent::Bar(_, bar) if bar.closed => Some(bar.start),
        _ => None,
    });
    assert!(closed.windows(2).all(|pair| pair[1].since(pair[0]) == Span::from_secs(1)), "{closed:?}");
    let mut told: Vec<_> = world.reports().iter().map(|r| (r.venue_id, r.status as u8)).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 240, "both events of each order, now and then twice");
}

#[test]
fn all_channels_and_the_past() {
    let mut world = World::up();
    for word in ["depth", "depth:100ms", "bbo", "trade", "kline:1m"] {
        world.subscribe("btcusdt", word);
    }
    world.run(Span::from_secs(70));
    let depth = |channel: Channel| {
        world.pick(move |event| match event {
            VenueEvent::Depth(stream, depth) if stream.channel == channel => Some(depth.clone()),
            _ => None,
        })
    };
    let (slow, fast) = (depth(Channel::Depth), depth(Channel::DepthFast));
    assert!(slow.len() >= 55 && fast.len() >= 300, "{} {}", slow.len(), fast.len());
    for view in slow.iter().chain(&fast) {
        assert!(view.bids[0].price < view.asks[0].price && view.bids.len() <= 20);
        assert!(view.bids.windows(2).all(|pair| pair[0].price > pair[1].price));
        assert!(view.asks.windows(2).all(|pair| pair[0].price < pair[1].price));
    }
    assert!(world.has(|event| matches!(event, VenueEvent::Bbo(_, bbo) if bbo.bids.len() == 1)));
    assert!(world.has(|event| matches!(event, VenueEvent::Bar(_, bar) if bar.closed)));
    let mut out = Outbox::default();
    let btc = Symbol::new("btcusdt");
    world.feed.history(world.now, 5, &btc, Interval::M1, 1_200, &mut out);
    world.perform(out);
    let bars = world.run_for(|event| match event {
        VenueEvent::History { request: 5, bars } => Some(bars.clone().unwrap()),
        _ => None,
    });
    assert_eq!(bars.len(), 1_200);
    assert!(bars.windows(2).all(|pair| pair[1].start.since(pair[0].start) == Span::from_secs(60)));
    assert!(bars.iter().rev().skip(1).all(|bar| bar.closed) && !bars[1_199].closed);
}

#[test]
fn a_wrong_private_key_is_refused() {
    let mut config = ours();
    config.access.key = SecretKey::from_seed(&[4; 32]);
    let mut world = World::new(venue(), &config, Span::ZERO);
    let why = world.run_for(|event| match event {
        VenueEvent::KeyRefused(why) => Some(why.clone()),
        _ => None,
    });
    assert!(why.contains("-1022"), "{why}");
    let mut config = ours();
    config.access.apikey = "another".to_owned();
    World::new(venue(), &config, Span::ZERO).run_until(|event| matches!(event, VenueEvent::KeyRefused(_)));
}

#[test]
fn r38_skewed_clocks() {
    let mut world = World::new(venue(), &ours(), Span::from_millis(300));
    world.run_until(|event| matches!(event, VenueEvent::EntryUp));
    world.accepted(&resting("o1"));
    for skew in [-3_000, 3_000] {
        let skew = Span::from_millis(skew);
        let mut world = World::new(venue(), &ours(), skew);
        world.run_until(|event| matches!(event, VenueEvent::EntryUp));
        let Err(NotSent::ClockOff(off)) = world.place(&resting("o1")) else { panic!("clock off") };
        assert!((2_990..=3_010).contains(&off.millis()), "{off:?}");
    }
}

#[test]
fn r13_a_flood_makes_the_venue_refuse_nothing() {
    let mut venue = venue();
    venue.limits.orders_per_10s = 20;
    let mut world = World::new(venue, &ours(), Span::ZERO);
    world.run_until(|event| matches!(event, VenueEvent::EntryUp));
    let (mut sent, mut held) = (Vec::new(), 0);
    for at in 0..3_100 {
        let wish = resting(&format!("o{at}"));
        match world.place(&wish) {
            Ok(()) => sent.push(wish),
            Err(NotSent::RateLimited { retry_at }) => {
                assert!(retry_at > world.now);
                held += 1;
            }
            Err(other) => panic!("{other}"),
        }
        world.run(Span::from_millis(10));
        if at % 100 == 0
            && let Some(oldest) = sent.pop()
        {
            assert!(matches!(world.canceled(&oldest, &format!("c{at}")), CancelOutcome::Canceled(_)));
        }
    }
    world.run(Span::from_secs(1));
    assert!(held > 2_800 && sent.len() > 40, "{held} {}", sent.len());
    let refused = |event: &VenueEvent| match event {
        VenueEvent::Placed { outcome, .. } => !matches!(outcome, PlaceOutcome::Accepted(_)),
        _ => false,
    };
    assert!(!world.has(refused));
}

/// However often the stop looks for open orders, its cancels find room: a look is dear.
#[test]
fn r60_looks_leave_to_cancels_what_is_kept_for_them() {
    let mut world = World::up();
    let wish = resting("o1");
    world.accepted(&wish);
    let look = Urgent::OpenOrders { conditional: false };
    let mut looks = 0;
    let refused = loop {
        let mut out = Outbox::default();
        match world.entry.urgent(world.now, looks, &look, Way::Session, &mut out) {
            Ok(()) => looks += 1,
            Err(refused) => break refused,
        }
        world.perform(out);
        world.run(Span::from_millis(10));
    };
    assert!(looks > 10 && matches!(refused, NotSent::RateLimited { .. }), "{looks} {refused}");
    for at in 0..100 {
        world.canceled(&wish, &format!("c{at}"));
    }
}

mod faults;
mod sharing;
