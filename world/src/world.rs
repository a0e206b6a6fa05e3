//! The loop, the network and the faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use binance_sim::config::{AccountConfig, Config as SimConfig, Timing, USUAL_FEE, Wallets};
use binance_sim::{Conn, HttpRequest, Journal, Request, Sim, SimInput, SimOutput};
use binance_wire::sign::SecretKey;
use bytes::Bytes;
use fastrand::Rng;
use tradingsys::client::machine::Input as ClientInput;
use tradingsys::gateway::Gateway;
use tradingsys::gateway::io::{Batch, GatewayConfig, Input, LostPosition, Output};
use tradingsys::ids::{Asset, ConnId, Install, LinkId, SessionId, Symbol};
use tradingsys::journal::Record;
use tradingsys::limits::Limits;
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::order::state::State;
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{LinkAction, LinkInput};

use crate::compared::Compared;
use crate::heal::Healing;
use crate::plan::{Faults, Plan};
use crate::product::Product;
use crate::python::{Program, Seat};
use crate::store::Store;
use crate::strategy::Strategy;
use crate::trouble::Blow;
use crate::truth::{ACCOUNT, Truth};
use crate::wire::{Arrival, Mail, Wire};

/// When every schedule begins.
pub(crate) const START: Time = Time::from_millis(1_795_000_000_000);
/// How long after the last fault one more look at the exchange has found nothing new.
const LOOKED_WITHIN: Span = Span::from_secs(180);
/// Steps after which a schedule counts as hung.
const STEPS_MAX: u64 = 100_000;
const TOKEN: &str = "token of the world";

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub law: &'static str,
    /// What was found.
    pub found: String,
    /// When, since the start.
    pub after: Span,
}

/// What a schedule went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps of the loop.
    pub steps: u64,
    /// Commands sent.
    pub commands: u32,
    /// Orders at the exchange.
    pub orders: usize,
    /// Trades of the account.
    pub trades: usize,
    /// Private events handled.
    pub events: usize,
    /// Faults that struck, and what happened beyond orders and trades, by name.
    pub struck: BTreeMap<&'static str, u32>,
    /// How many open orders were in which state when a fault struck.
    pub hits: BTreeMap<(&'static str, State), u32>,
    /// How soon all was well again.
    pub healing: Healing,
}

/// See the module.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) faults: Faults,
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    steps: u64,
    pub(crate) mail: Mail,
    sim: Sim,
    pub(crate) truth: Truth,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) run: u32,
    pub(crate) journal: Vec<Record>,
    pub(crate) store: Store,
    /// The journal was lost at least once; the end of it, with the machine's power.
    pub(crate) lost: bool,
    /// So was, at least once, the note of the last epoch with it.
    pub(crate) note_lost: bool,
    pub(crate) power_lost: bool,
    /// How often the machine has started.
    pub(crate) boots: u32,
    pub(crate) shown_at: Time,
    /// How far the exchange's clock is ahead of ours.
    pub(crate) ahead: Span,
    /// What lies in wait until an order is under way.
    pub(crate) ambush: Vec<Blow>,
    /// Until then the exchange denies what it has.
    pub(crate) denied_until: Time,
    /// Orders it has that were declared not placed, and those of them that were taken in after all.
    pub(crate) unplaced: BTreeSet<String>,
    pub(crate) resurrected: BTreeSet<String>,
    /// Orders of which the exchange denied to a cancel that it has them.
    pub(crate) denied: BTreeSet<String>,
    pub(crate) disk: VecDeque<Batch>,
    disk_at: Time,
    pub(crate) wires: BTreeMap<LinkId, Wire>,
    /// Until then the exchange cannot be reached.
    pub(crate) dark_until: Time,
    pub(crate) compared: Compared,
    /// HTTP requests under way.
    pub(crate) asked: BTreeMap<Request, LinkId>,
    pub(crate) doors: BTreeMap<ConnId, usize>,
    pub(crate) conns: u64,
    pub(crate) strategies: Vec<Strategy>,
    /// Lines of each strategy's file that have been checked.
    pub(crate) checked: Vec<usize>,
    pub(crate) booked: usize,
    report: Report,
    pub(crate) healing: Healing,
    pub(crate) violation: Option<Violation>,
    tell: Option<fn(&str)>,
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn account() -> AccountConfig {
    AccountConfig {
        name: ACCOUNT.to_owned(),
        api_key: "world".to_owned(),
        checker: key().checker(),
        may_trade: true,
        balances: vec![
            (Asset::new("USDT"), Cash::whole(100_000)),
            (Asset::new("DOGE"), Cash::whole(500_000)),
        ],
        maker_fee: USUAL_FEE,
        taker_fee: USUAL_FEE,
        pays_in_bnb: false,
        wallets: Wallets::default(),
    }
}

/// Is it an event of the account?
fn is_private(frame: &str) -> bool {
    let words = ["ORDER_TRADE_UPDATE\"", "ACCOUNT_UPDATE\"", "TRADE_LITE\"", "ALGO_UPDATE\""];
    let named =
        frame.split_once("\"e\":\"").is_some_and(|(_, rest)| words.iter().any(|w| rest.starts_with(w)));
    named || (frame.contains("\"subscriptionId\"") && frame.contains("\"event\""))
}

/// Runs a schedule to its end.
///
/// # Errors
/// The first [`Violation`].
pub fn run(plan: Plan) -> Result<Report, Violation> {
    run_told(plan, None)
}

/// Runs a schedule to its end with a program in the place of its first strategy.
///
/// # Errors
/// The first [`Violation`]; that the program's place cannot be made is one.
pub fn run_seated(plan: Plan, program: &Program, tell: Option<fn(&str)>) -> Result<Report, Violation> {
    let mut world = World::new(plan);
    world.tell = tell;
    let strategy = &mut world.strategies[0];
    match Seat::new(program, strategy.session, TOKEN) {
        Ok(seat) => strategy.seat = Some(seat),
        Err(error) => world.violate("place", format!("{:?}: {error}", program.folder)),
    }
    world.go();
    match world.violation.take() {
        Some(violation) => Err(violation),
        None => Ok(world.report),
    }
}

/// Runs a schedule to its end, and tells each step of the gateway: its log, what it journals, what the exchange writes
/// down, and the faults that strike.
///
/// # Errors
/// The first [`Violation`].
pub fn run_told(plan: Plan, tell: Option<fn(&str)>) -> Result<Report, Violation> {
    let mut world = World::new(plan);
    world.tell = tell;
    world.go();
    match world.violation.take() {
        Some(violation) => Err(violation),
        None => Ok(world.report),
    }
}

impl World {
    fn new(plan: Plan) -> Self {
        let sim = SimConfig {
            seed: plan.seed,
            accounts: vec![account()],
            timing: Timing::default(),
            ticks_per_second: 5,
            listed: plan.product.listed(),
            ..SimConfig::default()
        };
        let mut world = Self {
            plan,
            faults: plan.faults,
            rng: Rng::with_seed(plan.seed),
            now: START,
            steps: 0,
            mail: Mail::default(),
            sim: Sim::new(sim, START).expect("the simulator's own listings are sound"),
            truth: Truth::default(),
            gateway: None,
            run: 0,
            journal: Vec::new(),
            store: Store::default(),
            lost: false,
            note_lost: false,
            power_lost: false,
            boots: 1,
            shown_at: START,
            ahead: Span::ZERO,
            ambush: Vec::new(),
            denied_until: START,
            unplaced: BTreeSet::new(),
            resurrected: BTreeSet::new(),
            denied: BTreeSet::new(),
            disk: VecDeque::new(),
            disk_at: START,
            wires: BTreeMap::new(),
            dark_until: START,
            compared: Compared::default(),
            asked: BTreeMap::new(),
            doors: BTreeMap::new(),
            conns: 0,
            strategies: (1..=plan.strategies).map(Strategy::new).collect(),
            checked: vec![0; usize::from(plan.strategies)],
            booked: 0,
            report: Report::default(),
            healing: Healing::default(),
            violation: None,
            tell: None,
        };
        match plan.product {
            Product::Spot => {}
            Product::Usdt => world.fund_every(Span::from_secs(7)),
            Product::Margin => {
                world.operate("margin/transfer", r#"{"account":"gateway","asset":"USDT","amount":"10000"}"#);
                world.charge_every(Span::from_secs(7));
            }
        }
        world.begin_trouble();
        world.start_gateway();
        for k in 0..world.strategies.len() {
            let at = START + Span::from_millis(world.rng.i64(100..3_000));
            world.mail.send(at, 0, Arrival::StartStrategy(k));
            world.mail.send(at + Span::from_secs(8), 0, Arrival::Act(k));
        }
        world.mail.send(START + Span::from_secs(1), 0, Arrival::Second);
        world
    }

    /// When faults end. The gateway compares with the exchange first; strategies begin to trade after that.
    pub(crate) fn quiet_from(&self) -> Time {
        START + Span::from_secs(8) + self.plan.length
    }

    fn go(&mut self) {
        let quiet = self.quiet_from();
        while self.violation.is_none() && self.now < quiet {
            self.step();
        }
        self.faults = Faults::default();
        self.end_trouble();
        if self.store.has_news() && self.gateway.is_some() {
            // Edits are taken at a start.
            self.kill_gateway();
        }
        if self.plan.product == Product::Margin {
            self.charge_every(Span::from_secs(86_400));
        }
        if self.plan.product == Product::Usdt {
            self.fund_every(Span::from_secs(86_400));
            if self.plan.settles {
                self.operate("futures/settle", r#"{"symbol":"DOGEUSDT","price":"0.19"}"#);
            }
        }
        for wire in self.wires.values_mut() {
            // Half-open links stay so: the gateway has to notice by itself.
            wire.held = None;
        }
        let (begun, mut calm_since) = (self.now, None);
        while self.violation.is_none() {
            self.step();
            if self.heal(self.now.since(begun)) {
                let since = *calm_since.get_or_insert(self.now);
                // One more look at the exchange must find nothing new, after the one that may find something.
                let looked = self.gateway.as_ref().and_then(Gateway::looked);
                // What it has found is on the disk, too: that is what is compared.
                let done = looked.is_some_and(|looked| looked.since(since) > Span::from_secs(15));
                let suspects = self.gateway.as_ref().is_some_and(Gateway::suspects);
                if done && !suspects && self.disk.is_empty() {
                    if self.pasts_are_read() {
                        break;
                    }
                    // What is found there has to come to rest as well.
                    calm_since = None;
                }
            } else {
                calm_since = None;
            }
            if self.now.since(begun) > LOOKED_WITHIN {
                let found = format!("no look at the exchange in {LOOKED_WITHIN:?} after the last fault");
                self.violate("liveness", found);
            }
        }
        self.report.healing = self.healing;
        if self.violation.is_none() {
            self.check_at_rest();
        }
        self.report.steps = self.steps;
        self.report.commands = self.strategies.iter().map(|s| s.sent).sum();
        self.report.orders = self.truth.orders.len();
        self.report.trades = self.truth.trades.len();
        self.report.events = self.strategies.iter().map(|s| s.file.len()).sum();
    }

    pub(crate) fn violate(&mut self, law: &'static str, found: String) {
        let after = self.now.since(START);
        self.violation.get_or_insert(Violation { law, found, after });
    }

    /// Tells what happens, if anyone listens.
    pub(crate) fn told(&self, words: impl FnOnce() -> String) {
        if let Some(tell) = self.tell {
            tell(&format!("{:>12} {}", self.now.since(START).nanos() / 1_000, words()));
        }
    }

    pub(crate) fn strike(&mut self, name: &'static str) {
        self.told(|| format!("fault: {name}"));
        *self.report.struck.entry(name).or_default() += 1;
        let orders = self.gateway.iter().flat_map(|gateway| gateway.orders().open());
        for state in orders.map(|order| order.state) {
            *self.report.hits.entry((name, state)).or_default() += 1;
        }
    }

    pub(crate) fn chance(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.rng.u32(0..1_000_000) < millionths
    }

    pub(crate) fn lag(&mut self) -> Span {
        Span::from_nanos(self.rng.i64(50_000..8_000_000))
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return self.violate("liveness", format!("{STEPS_MAX} steps: something goes round in circles"));
        }
        let gateway = self.gateway.as_ref().and_then(Gateway::deadline);
        let client = |s: &Strategy| s.client.as_ref().and_then(|c| c.deadline());
        let clients = self.strategies.iter().filter_map(client).min();
        let timers = earliest(self.sim.deadline(), earliest(gateway, clients));
        let mail = self.mail.first();
        if mail.is_some_and(|at| timers.is_none_or(|timer| at <= timer)) {
            if let Some((at, run, arrival)) = self.mail.take() {
                self.now = self.now.max(at);
                self.arrive(run, arrival);
            }
        } else if let Some(at) = timers {
            self.now = self.now.max(at);
            self.timers();
        }
        self.check_step();
    }

    fn timers(&mut self) {
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.sim.deadline()) {
            let mut out = Vec::new();
            self.sim.timer(now, &mut out);
            self.perform_exchange(out);
        }
        if due(self.gateway.as_ref().and_then(Gateway::deadline)) {
            self.gateway_input(Input::Timer);
        }
        for k in 0..self.strategies.len() {
            if due(self.strategies[k].client.as_ref().and_then(|c| c.deadline())) {
                self.strategy_input(k, ClientInput::Timer);
            }
        }
    }

    fn arrive(&mut self, run: u32, arrival: Arrival) {
        let current = run == self.run;
        match arrival {
            Arrival::Dial(link, conn, request) if current => self.dial(link, conn, request),
            Arrival::Ask(request, http) => self.exchange_input(SimInput::Http(request, http)),
            Arrival::Answer(link, reply) if current => self.answer(link, &reply),
            Arrival::NoAnswer(link, reason) if current => self.no_answer(link, reason),
            Arrival::ToExchange(conn, text) => {
                self.note_denial(&text);
                self.exchange_input(SimInput::Text(conn, text));
            }
            Arrival::Pong(conn, payload) => self.exchange_input(SimInput::Pong(conn, payload)),
            Arrival::ExchangeLost(conn) => self.exchange_input(SimInput::Closed(conn)),
            Arrival::LinkUp(link) if current => self.link_input(link, LinkInput::Up),
            Arrival::LinkAlive(link) if current => self.link_input(link, LinkInput::Alive),
            Arrival::LinkLost(link, reason) if current => self.link_input(link, LinkInput::Down(reason)),
            Arrival::ToGateway(link, frame) if current => {
                let text = std::str::from_utf8(&frame).expect("the simulator sends text");
                self.compare_reply(text);
                self.link_input(link, LinkInput::Text(text));
            }
            Arrival::Committed(batch) if current => self.committed(batch),
            Arrival::Knock(k, conn) if current => self.knock(k, conn),
            Arrival::FromStrategy(conn, text) if current => {
                self.gateway_input(Input::ClientFrame(conn, &text))
            }
            Arrival::StrategyGone(conn) if current => self.gateway_input(Input::ClientClosed(conn)),
            Arrival::ToStrategy(k, conn, frame) if self.strategies[k].conn == Some(conn) => {
                let text = std::str::from_utf8(&frame).expect("the gateway sends text");
                self.strategy_input(k, ClientInput::Frame(text));
            }
            Arrival::StrategyIn(k, conn) if self.strategies[k].conn == Some(conn) => {
                let nonce = format!("{:016x}{:016x}", self.rng.u64(..), self.rng.u64(..));
                self.strategy_input(k, ClientInput::Opened { token: TOKEN, nonce: &nonce });
            }
            Arrival::StrategyLost(k, conn, code) if self.strategies[k].conn == Some(conn) => {
                self.strategies[k].conn = None;
                self.strategy_input(k, ClientInput::Lost(code, "connection lost"));
            }
            Arrival::Act(k) => self.act(k),
            Arrival::Call(k) => self.call(k),
            Arrival::StartStrategy(k) => self.start_strategy(k),
            Arrival::StartGateway if self.gateway.is_none() => self.start_gateway(),
            Arrival::Second => self.second(),
            Arrival::ForceEnd => self.force_end(),
            Arrival::Sweep => self.sweep(),
            Arrival::Blow(blow) => self.hit(blow),
            Arrival::Shown(rows) if current => self.store.show(&rows),
            _ => {}
        }
    }

    // === the exchange's side

    pub(crate) fn exchange_input(&mut self, input: SimInput) {
        let mut out = Vec::new();
        self.sim.handle(self.now, input, &mut out);
        self.perform_exchange(out);
    }

    fn dial(&mut self, link: LinkId, conn: Conn, request: HttpRequest) {
        if self.chance(self.faults.refuse_link) {
            self.strike("connection refused");
            let at = self.now + self.lag();
            return self.mail.send(at, self.run, Arrival::LinkLost(link, "refused"));
        }
        if self.is_dark() {
            let lost = Arrival::LinkLost(link, "unreachable");
            let at = self.now + self.lag();
            return self.mail.send(at, self.run, lost);
        }
        let mut out = Vec::new();
        self.sim.handle(self.now, SimInput::Opened { conn, request }, &mut out);
        let refused = out.iter().any(|o| matches!(o, SimOutput::Refuse(..)));
        let at = self.now + self.lag();
        let arrival = if refused { Arrival::LinkLost(link, "refused") } else { Arrival::LinkUp(link) };
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.back = at;
        }
        self.mail.send(at, self.run, arrival);
        self.perform_exchange(out);
    }

    fn perform_exchange(&mut self, out: Vec<SimOutput>) {
        for output in out {
            match output {
                SimOutput::Append(journal, line) => {
                    self.told(|| format!("exchange: {journal:?} {line}"));
                    self.truth.heard(self.plan.product, journal, &line);
                    self.witness(journal, &line);
                    if journal == Journal::Faults {
                        self.struck(&line);
                    }
                }
                SimOutput::Send(conn, frame) => self.to_gateway(conn, frame),
                SimOutput::Reply(request, reply) => self.replied(request, Some(reply)),
                SimOutput::Drop(request) => self.replied(request, None),
                SimOutput::Ping(conn, payload) => {
                    let alive = self.link_of(conn).filter(|link| !self.wires[link].frozen);
                    if let Some(link) = alive {
                        let at = self.now + self.lag();
                        self.mail.send(at, self.run, Arrival::LinkAlive(link));
                        self.mail.send(at, self.run, Arrival::Pong(conn, payload));
                    }
                }
                SimOutput::Close(conn, ..) | SimOutput::Abort(conn) => {
                    self.exchange_input(SimInput::Closed(conn));
                    let frozen = self.link_of(conn).is_some_and(|link| self.wires[&link].frozen);
                    if let (Some(link), false) = (self.link_of(conn), frozen) {
                        let at = (self.now + self.lag()).max(self.wires[&link].back);
                        self.mail.send(at, self.run, Arrival::LinkLost(link, "closed by the exchange"));
                    }
                }
                _ => {}
            }
        }
    }

    fn link_of(&self, conn: Conn) -> Option<LinkId> {
        self.wires.iter().find(|(_, wire)| wire.conn == conn).map(|(link, _)| *link)
    }

    /// A frame of the exchange sets out; faults may take, double or hold it.
    #[allow(clippy::wrong_self_convention, reason = "a direction, not a conversion")]
    fn to_gateway(&mut self, conn: Conn, frame: Bytes) {
        let Some(link) = self.link_of(conn) else { return };
        if self.wires[&link].frozen {
            return;
        }
        let text = std::str::from_utf8(&frame).unwrap_or_default();
        let private = is_private(text);
        let reply = !private && text.contains("\"status\"");
        if private && self.chance(self.faults.drop_event) {
            return self.strike("event dropped");
        }
        if reply && self.chance(self.faults.drop_reply) {
            return self.strike("reply dropped");
        }
        if private && self.wires[&link].held.is_none() && self.chance(self.faults.delay_event) {
            self.strike("event held back");
            if let Some(wire) = self.wires.get_mut(&link) {
                wire.held = Some(frame);
            }
            return;
        }
        self.deliver(link, frame.clone());
        if private && self.chance(self.faults.double_event) {
            self.strike("event doubled");
            self.deliver(link, frame);
        }
        let late = self.wires.get_mut(&link).and_then(|wire| wire.held.take());
        if let Some(late) = late {
            self.deliver(link, late);
        }
    }

    fn deliver(&mut self, link: LinkId, frame: Bytes) {
        let lag = self.lag();
        let Some(wire) = self.wires.get_mut(&link) else { return };
        wire.back = (self.now + lag).max(wire.back);
        self.mail.send(wire.back, self.run, Arrival::ToGateway(link, frame));
    }

    // === the gateway's side

    fn start_gateway(&mut self) {
        self.run += 1;
        self.truth.run = self.run;
        self.compared = Compared::default();
        let seed = self.plan.seed + u64::from(self.run);
        let (feed, entry) = self.plan.product.ports(key(), seed, self.plan.life);
        let config = GatewayConfig {
            market: self.plan.product.market(),
            product: "world".to_owned(),
            install: Install::from_hash(self.plan.seed),
            boot_id: format!("boot {}", self.boots),
            token: TOKEN.to_owned(),
            session_tokens: Default::default(),
            operator_token: None,
            seed: self.rng.u64(..),
            recovery_lag: Span::from_secs(1),
            sweep_every: Span::from_secs(12),
            retention: Span::from_secs(3_600),
            limits: Limits::default(),
            margin: self.plan.product == Product::Margin,
            trust_books: false,
            journal_rebuilt: self.journal_rebuilt(),
            noted_epoch: self.store.noted,
            lost_positions: self.lost_positions(),
            kept: Default::default(),
            crashes: Default::default(),
            clear_advice: String::new(),
        };
        let mut out = Vec::new();
        let edits = self.store.edits();
        if !edits.is_empty() && self.faults.kill_gateway > 0 && self.rng.bool() {
            // It is booked in a moment, and shown some moments after that.
            let at = self.now + Span::from_millis(self.rng.i64(1..300));
            self.mail.send(at, 0, Arrival::Blow(Blow::KillGateway));
        }
        let records = self.recalled(&config, &edits);
        let made = Gateway::new(config, &records, edits, Vec::new(), feed, entry, self.now, &mut out);
        match made {
            Ok(gateway) => self.gateway = Some(gateway),
            Err(error) => self.violate("start", error.to_string()),
        }
        self.perform_gateway(out);
        for k in (0..self.strategies.len()).filter(|k| self.strategies[*k].seat.is_some()).collect::<Vec<_>>()
        {
            self.call_later(k);
        }
    }

    /// What `pos.db` says of a journal that lacks what it has seen. Every other time it was put away as well.
    fn journal_rebuilt(&self) -> Option<String> {
        let told = self.lost && !self.journal.is_empty() && self.run.is_multiple_of(2);
        told.then(|| "an older copy".to_owned())
    }

    /// What `pos.db` would tell of a journal that is gone: its symbol, at least. Strategies here subscribe to nothing,
    /// and one that sends no order any more would otherwise leave its past unread.
    fn lost_positions(&self) -> Vec<LostPosition> {
        let row = LostPosition {
            session: SessionId(1),
            symbol: Symbol::new("dogeusdt"),
            qty: Qty::ZERO,
            avg_price: Price::ZERO,
        };
        let listed = self.journal.iter().any(|record| matches!(record, Record::Listing { .. }));
        if self.lost && !listed { vec![row] } else { Vec::new() }
    }

    pub(crate) fn kill_gateway(&mut self) {
        self.lose_tail();
        self.gateway = None;
        for wire in std::mem::take(&mut self.wires).into_values() {
            let at = (self.now + self.lag()).max(wire.out);
            if !wire.frozen {
                self.mail.send(at, self.run, Arrival::ExchangeLost(wire.conn));
            }
        }
        self.asked.clear();
        for (conn, k) in std::mem::take(&mut self.doors) {
            let at = self.now + self.lag();
            self.mail.send(at, self.run, Arrival::StrategyLost(k, conn, None));
        }
        let at = self.now + Span::from_millis(self.rng.i64(50..3_000));
        self.mail.send(at, self.run, Arrival::StartGateway);
    }

    fn link_input(&mut self, link: LinkId, input: LinkInput<'_>) {
        if matches!(input, LinkInput::Down(_)) && self.wires.remove(&link).is_none() {
            return;
        }
        self.gateway_input(Input::Link(link, input));
    }

    pub(crate) fn gateway_input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        let Some(gateway) = &mut self.gateway else { return };
        gateway.handle(self.now, input, &mut out);
        self.perform_gateway(out);
    }

    fn perform_gateway(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Link(action) => self.link_action(action),
                Output::Ready(conn) => self.read_gateway(conn),
                Output::CloseClient(conn, code, _) => {
                    self.read_gateway(conn);
                    if let Some(k) = self.doors.remove(&conn) {
                        let at = self.now + self.lag();
                        self.mail.send(at, self.run, Arrival::StrategyLost(k, conn, Some(code)));
                        self.mail.send(at, self.run, Arrival::StrategyGone(conn));
                    }
                }
                Output::Commit(batch) => {
                    self.notice_batch(&batch);
                    for record in &batch.records {
                        self.told(|| format!("journal: {record:?}"));
                    }
                    let at = (self.now + Span::from_nanos(self.rng.i64(20_000..4_000_000))).max(self.disk_at);
                    self.disk_at = at;
                    self.mail.send(at, self.run, Arrival::Committed(batch.id));
                    self.disk.push_back(batch);
                }
                Output::KeyRefused(reason) => self.violate("key", reason),
                Output::Refused(reason) => self.violate("account", reason),
                Output::Log(log) => {
                    self.told(|| format!("log: {:?} {} {}", log.level, log.event, log.fields));
                    if log.event == "impossible order event" {
                        self.violate("order lives follow their table", log.fields);
                    }
                }
                Output::Keep(..) => {}
                Output::Project(rows) => self.project(rows),
                Output::Stopped => {}
            }
        }
    }

    fn read_gateway(&mut self, conn: ConnId) {
        let Some(k) = self.doors.get(&conn).copied() else { return };
        // One way, one order: frames of one reading arrive together.
        let at = self.now + Span::from_nanos(60_000);
        while let Some(frame) = self.gateway.as_mut().and_then(|g| g.pull(self.now, conn)) {
            self.mail.send(at, self.run, Arrival::ToStrategy(k, conn, frame));
        }
    }

    fn link_action(&mut self, action: LinkAction) {
        let lag = self.lag();
        match action {
            LinkAction::Open { link, url, .. } => {
                self.conns += 1;
                let conn = Conn(self.conns);
                let target = url.strip_prefix("ws://sim").unwrap_or(&url);
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let request = HttpRequest {
                    method: "GET".to_owned(),
                    path: path.to_owned(),
                    query: query.to_owned(),
                    peer: "gateway".to_owned(),
                    ..HttpRequest::default()
                };
                let at = self.now + lag;
                self.count_rollover(path);
                let (opened, path) = (self.now, path.to_owned());
                let wire = Wire { conn, out: at, back: at, frozen: false, held: None, opened, path };
                self.wires.insert(link, wire);
                self.mail.send(at, self.run, Arrival::Dial(link, conn, request));
            }
            LinkAction::Send { link, text } => {
                if !self.ambush.is_empty() && text.windows(14).any(|word| word == b"\"order.cancel\"") {
                    self.notice_cancel();
                }
                if self.chance(self.faults.drop_request) {
                    return self.strike("request dropped");
                }
                let Some(wire) = self.wires.get_mut(&link).filter(|wire| !wire.frozen) else { return };
                wire.out = (self.now + lag).max(wire.out);
                let (at, conn) = (wire.out, wire.conn);
                let text = String::from_utf8(text.to_vec()).expect("the gateway sends text");
                self.compare_frame(&text);
                self.mail.send(at, self.run, Arrival::ToExchange(conn, text));
            }
            LinkAction::Close { link } if self.wires.contains_key(&link) => self.cut(link, "closed"),
            LinkAction::Close { link } => self.no_answer(link, "given up"),
            LinkAction::Request { link, method, url, headers, body } => {
                if method == "DELETE" {
                    self.notice_cancel();
                }
                self.compare_request(link, method, &url);
                self.ask(link, method, &url, headers, &body);
            }
        }
    }

    pub(crate) fn cut(&mut self, link: LinkId, reason: &'static str) {
        let lag = self.lag();
        let Some(wire) = self.wires.get(&link) else { return };
        self.mail.send((self.now + lag).max(wire.out), self.run, Arrival::ExchangeLost(wire.conn));
        self.mail.send((self.now + lag).max(wire.back), self.run, Arrival::LinkLost(link, reason));
    }
}
