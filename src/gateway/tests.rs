//! The gateway against a scripted venue: what the exchange says is laid into its mouth, what it is asked is read back.

mod absence;
mod amend;
mod books;
mod claims;
mod conditional;
mod contract;
mod differences;
mod door;
mod doubt;
mod epoch;
mod facts;
mod gauges;
mod limits;
mod margin;
mod market;
mod operator;
mod orders;
mod orphans;
mod overfill;
mod pace;
mod past;
mod perpetual;
mod prevention;
mod recovery;
mod scan;
mod stop;
mod unanswered;

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::fixtures::doge;
use crate::ids::{Asset, Install, LinkId};
use crate::instrument::{Grid, InstrumentKind, InstrumentStatus, OrderRules};
use crate::limits::Limits;
use crate::market::{Channel, Instructions, Interval, OrderType, Side, Stream, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::NewOrder;
use crate::venue::limit::{LimitKind, WindowGauge};
use crate::venue::port::*;
use crate::wire::error::ErrorCode;
use crate::wire::proof;

#[derive(Default)]
struct Script {
    events: Vec<VenueEvent>,
    placed: Vec<NewOrder>,
    canceled: Vec<Cancel>,
    amended: Vec<Amend>,
    queries: Vec<(u64, Query)>,
    refuse: Option<NotSent>,
    /// How many cancels pass before one is refused, and why.
    refuse_cancels: Option<(usize, NotSent)>,
    histories: Vec<(u64, Interval, u32)>,
    book: Option<crate::market::Depth>,
    lacks: Option<Channel>,
    refreshed: u32,
    pace: Span,
    /// What a question for all open orders costs more than one for a symbol's.
    whole_weight: u64,
    trades_shown: Option<Span>,
    /// Ways that are open, and what was sent by them.
    ways: Vec<Way>,
    urgent: Vec<(u64, Urgent, Way)>,
}

#[derive(Clone, Default)]
struct Scripted(Rc<RefCell<Script>>);

impl MarketFeed for Scripted {
    fn start(&mut self, _: Time, _: &mut Outbox) {}
    fn subscribe(&mut self, _: Time, _: &Stream, _: &mut Outbox) {}
    fn unsubscribe(&mut self, _: Time, _: &Stream, _: &mut Outbox) {}
    fn history(&mut self, _: Time, id: u64, _: &Symbol, interval: Interval, count: u32, _: &mut Outbox) {
        self.0.borrow_mut().histories.push((id, interval, count));
    }
    fn refuses(&self, channel: Channel) -> Option<String> {
        (self.0.borrow().lacks == Some(channel)).then(|| format!("no {channel} here"))
    }
    fn book(&self, _: &Stream) -> Option<crate::market::Depth> {
        self.0.borrow().book.clone()
    }
    fn instruments(&mut self, _: Time, _: &mut Outbox) {
        self.0.borrow_mut().refreshed += 1;
    }
    fn owns(&self, link: LinkId) -> bool {
        link == LinkId(0)
    }
    fn handle(&mut self, _: Time, _: LinkId, _: LinkInput<'_>, _: &mut Outbox) {}
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn timer(&mut self, _: Time, _: &mut Outbox) {}
}

impl OrderEntry for Scripted {
    fn start(&mut self, _: Time, _: &mut Outbox) {}
    fn place(&mut self, _: Time, order: &NewOrder, _: &mut Outbox) -> Result<(), NotSent> {
        let mut script = self.0.borrow_mut();
        script.placed.push(order.clone());
        script.refuse.clone().map_or(Ok(()), Err)
    }
    fn cancel(&mut self, _: Time, cancel: &Cancel, _: &mut Outbox) -> Result<(), NotSent> {
        let mut script = self.0.borrow_mut();
        match &script.refuse_cancels {
            Some((passing, reason)) if script.canceled.len() >= *passing => return Err(reason.clone()),
            _ => {}
        }
        script.canceled.push(cancel.clone());
        Ok(())
    }
    fn amend(&mut self, _: Time, amend: &Amend, _: &mut Outbox) -> Result<(), NotSent> {
        self.0.borrow_mut().amended.push(amend.clone());
        Ok(())
    }
    fn query(&mut self, _: Time, request: u64, query: &Query, _: &mut Outbox) {
        self.0.borrow_mut().queries.push((request, query.clone()));
    }
    fn comparing(&mut self, _: bool) {}
    fn share_among(&mut self, _: &BTreeSet<SessionId>) {}
    fn urgent(
        &mut self,
        _: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        _: &mut Outbox,
    ) -> Result<(), NotSent> {
        let mut script = self.0.borrow_mut();
        if !script.ways.contains(&way) {
            return Err(NotSent::Disconnected);
        }
        script.urgent.push((number, urgent.clone(), way));
        Ok(())
    }
    fn pace(&mut self, _: Time, _: &[Query]) -> Span {
        self.0.borrow().pace
    }
    fn weight(&self, queries: &[Query]) -> u64 {
        let whole = |q: &&Query| matches!(q, Query::OpenOrders | Query::OpenConditionals);
        let dear = self.0.borrow().whole_weight;
        (queries.iter().filter(whole).count() as u64) * dear + queries.len() as u64
    }
    fn gauges(&self, _: Time) -> EntryGauges {
        let window =
            WindowGauge { kind: LimitKind::Weight, window: Span::from_secs(60), limit: 6000, used: 40 };
        EntryGauges { windows: vec![window], ..EntryGauges::default() }
    }
    fn owns(&self, link: LinkId) -> bool {
        link == LinkId(1)
    }
    fn handle(&mut self, _: Time, _: LinkId, _: LinkInput<'_>, out: &mut Outbox) {
        out.events.append(&mut self.0.borrow_mut().events);
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn timer(&mut self, _: Time, _: &mut Outbox) {}
    fn receive_window(&self) -> Span {
        Span::from_secs(2)
    }
    fn shows_trades_of(&self) -> Option<Span> {
        self.0.borrow().trades_shown
    }
    fn inquires(&self) -> bool {
        false
    }
    fn stop(&mut self, _: Time, _: &mut Outbox) {}
}

/// A gateway, its store and one client, under a virtual clock.
pub(super) struct Bench {
    gateway: Gateway,
    script: Scripted,
    journal: Vec<Record>,
    /// Batches are committed at once unless this is set.
    hold_commits: bool,
    waiting: Vec<io::Batch>,
    /// The client reads nothing while this is set.
    deaf: bool,
    now: Time,
    sent: Vec<Value>,
    projected: Vec<io::PositionRow>,
    conn: ConnId,
    take_over: bool,
    trading: bool,
    pending: Value,
    /// The epoch that the last login was told.
    told: Option<u32>,
    closed: Vec<(ConnId, u16)>,
    logs: Vec<String>,
    /// Lengths of the journal after each batch.
    batches: Vec<usize>,
}

fn doge_is_read() -> Record {
    Record::Scanned { symbol: Symbol::new("dogeusdt") }
}

fn config() -> GatewayConfig {
    GatewayConfig {
        market: "spot",
        product: "test".to_owned(),
        install: Install::from_hash(5),
        boot_id: "boot".to_owned(),
        token: "secret".to_owned(),
        session_tokens: Default::default(),
        operator_token: Some("the operator's".to_owned()),
        seed: 1,
        recovery_lag: Span::from_secs(5),
        sweep_every: Span::from_secs(60),
        retention: Span::from_secs(3600),
        limits: Limits::default(),
        margin: false,
        trust_books: false,
        journal_rebuilt: None,
        noted_epoch: None,
        lost_positions: Vec::new(),
        kept: Default::default(),
        crashes: Default::default(),
        clear_advice: String::new(),
    }
}

pub(super) const START: Time = Time::from_millis(1_795_000_000_000);

/// Is a start from these records the start from those? What differs, if not.
pub(super) fn same_start(
    config: GatewayConfig,
    trades_shown: Option<Span>,
    all: &[Record],
    fewer: &[Record],
    now: Time,
) -> Result<(), String> {
    let started = |records: &[Record]| {
        let script = Scripted::default();
        script.0.borrow_mut().trades_shown = trades_shown;
        let mut out = Vec::new();
        let (feed, entry) = (Box::new(script.clone()), Box::new(script));
        let made = Gateway::new(config.clone(), records, Vec::new(), Vec::new(), feed, entry, now, &mut out);
        format!("{made:?} {out:?}")
    };
    let (all, fewer) = (started(all), started(fewer));
    let Some(at) = all.bytes().zip(fewer.bytes()).position(|(a, b)| a != b) else {
        return if all.len() == fewer.len() { Ok(()) } else { Err("one ends early".to_owned()) };
    };
    let near = |text: &str| text.chars().skip(at.saturating_sub(200)).take(300).collect::<String>();
    Err(format!("all records make\n{}\nfewer make\n{}", near(&all), near(&fewer)))
}

impl Bench {
    pub(super) fn config() -> GatewayConfig {
        config()
    }

    /// A restart from a snapshot taken anywhere would be the restart from the whole journal.
    fn check_snapshot(&self) {
        let length = self.journal.len();
        if !length.is_multiple_of(7 + length / 8) {
            return;
        }
        let mut rng = fastrand::Rng::with_seed(length as u64);
        let keep = self.gateway.config.retention;
        let now = self.now + [Span::from_secs(1), keep * 2, Span::from_secs(100 * 86_400)][rng.usize(0..3)];
        let taken = if rng.bool() { self.now } else { now };
        let at = rng.usize(0..=length);
        let mut fewer = snapshot::of(&self.journal[..at], taken, keep);
        fewer.extend_from_slice(&self.journal[at..]);
        let shown = self.script.0.borrow().trades_shown;
        let config = self.gateway.config.clone();
        if let Err(found) = same_start(config, shown, &self.journal, &fewer, now) {
            panic!("a snapshot of {at} of {length} records: {found}");
        }
    }

    fn new(journal: Vec<Record>, edits: Vec<Edit>, now: Time) -> Self {
        Self::of(config(), journal, edits, now)
    }

    fn of(config: GatewayConfig, journal: Vec<Record>, edits: Vec<Edit>, now: Time) -> Self {
        Self::at(Scripted::default(), config, journal, edits, now)
    }

    fn at(
        script: Scripted,
        config: GatewayConfig,
        journal: Vec<Record>,
        edits: Vec<Edit>,
        now: Time,
    ) -> Self {
        let mut out = Vec::new();
        let (feed, entry) = (Box::new(script.clone()), Box::new(script.clone()));
        let gateway = Gateway::new(config, &journal, edits, Vec::new(), feed, entry, now, &mut out).unwrap();
        let mut bench = Self {
            gateway,
            script,
            journal,
            hold_commits: false,
            waiting: Vec::new(),
            deaf: false,
            now,
            sent: Vec::new(),
            projected: Vec::new(),
            conn: ConnId(0),
            take_over: false,
            trading: true,
            pending: json!([]),
            told: None,
            closed: Vec::new(),
            logs: Vec::new(),
            batches: Vec::new(),
        };
        bench.perform(out);
        bench
    }

    /// Started, compared with an exchange that holds 1000 USDT and no orders, ready, and session 1 logged in.
    fn ready() -> Self {
        Self::ready_with(vec![doge_is_read()])
    }

    fn ready_with(journal: Vec<Record>) -> Self {
        let mut bench = Self::new(journal, Vec::new(), START);
        bench.recover(&[], &[]);
        bench.login(None);
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.gateway.handle(self.now, input, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, out: Vec<Output>) {
        let mut committed = Vec::new();
        for output in out {
            match output {
                Output::Commit(batch) if self.hold_commits => self.waiting.push(batch),
                Output::Commit(batch) => {
                    self.journal.extend(batch.records);
                    self.batches.push(self.journal.len());
                    self.check_snapshot();
                    committed.push(batch.id);
                }
                Output::CloseClient(conn, code, _) => self.closed.push((conn, code)),
                Output::Log(log) => self.logs.push(format!("{} {}", log.event, log.fields)),
                Output::Project(rows) => self.projected.extend(rows.positions),
                Output::Ready(_) if self.deaf => {}
                Output::Ready(conn) => {
                    while let Some(frame) = self.gateway.pull(self.now, conn) {
                        self.sent.push(serde_json::from_slice(&frame).unwrap());
                    }
                }
                _ => {}
            }
        }
        for batch in committed {
            self.input(Input::Committed(batch));
        }
    }

    fn commit(&mut self) {
        self.hold_commits = false;
        for batch in std::mem::take(&mut self.waiting) {
            self.journal.extend(batch.records);
            self.input(Input::Committed(batch.id));
        }
    }

    fn says(&mut self, events: Vec<VenueEvent>) {
        self.script.0.borrow_mut().events = events;
        self.input(Input::Link(LinkId(1), LinkInput::Alive));
    }

    fn wait(&mut self, span: Span) {
        let (due, before) = (self.gateway.deadline(), self.done());
        self.now += span;
        self.input(Input::Timer);
        // What a test did to the gateway itself is performed by the next input, after a moment.
        let called = span <= Span::from_millis(1) || due.is_some_and(|at| at <= self.now);
        assert!(called || self.done() == before, "nothing would have called it for what it did: due {due:?}");
        let is_due = |bench: &Self| bench.gateway.deadline().is_some_and(|at| at <= bench.now);
        for _ in 0..3 {
            if is_due(self) {
                self.input(Input::Timer);
            }
        }
        assert!(!is_due(self), "due again and again: {:?}", self.gateway.deadline());
    }

    /// How much it has asked, sent, told and kept so far.
    fn done(&self) -> [usize; 6] {
        let script = self.script.0.borrow();
        let sent = [script.placed.len(), script.canceled.len(), script.urgent.len()];
        [script.queries.len(), sent[0], sent[1], sent[2], self.sent.len(), self.journal.len()]
    }

    /// Answers all questions asked so far.
    fn answer(&mut self, reply: impl Fn(&Query) -> Answer) {
        self.answer_all_but(|_| false, reply);
    }

    /// Answers the questions asked so far, and leaves some waiting.
    fn answer_all_but(&mut self, waits: impl Fn(&Query) -> bool, reply: impl Fn(&Query) -> Answer) {
        let queries = std::mem::take(&mut self.script.0.borrow_mut().queries);
        let (waiting, due) = queries.into_iter().partition(|(_, query)| waits(query));
        self.script.0.borrow_mut().queries = waiting;
        let due: Vec<(u64, Query)> = due;
        for (request, query) in due {
            self.says(vec![VenueEvent::Answer { request, answer: reply(&query) }]);
        }
    }

    fn exchange(open: &[OrderReport], fills: &[Fill], query: &Query) -> Answer {
        let usdt = Balance::new(Asset::new("USDT"), Cash::whole(1000), Cash::ZERO);
        match query {
            Query::OpenOrders => Answer::Orders(open.to_vec()),
            Query::OpenOrdersOf { symbol, conditional } => {
                Answer::Orders(open.iter().filter(|o| !conditional && o.symbol == *symbol).cloned().collect())
            }
            Query::OpenConditionals | Query::OrdersFrom { .. } => Answer::Orders(Vec::new()),
            Query::Account => Answer::Account(Account { balances: vec![usdt], can_trade: true }),
            Query::TradesFrom { .. } | Query::TradesSince { .. } | Query::TradesOfOrder { .. } => {
                Answer::Trades(fills.to_vec())
            }
            Query::Order { .. } | Query::OrderByVenueId { .. } => Answer::NotFound,
            Query::Funding { .. } => Answer::Funding(Vec::new()),
            Query::Income { .. } => Answer::Income(Vec::new()),
        }
    }

    /// The exchange comes up and both passes are answered.
    fn recover(&mut self, open: &[OrderReport], fills: &[Fill]) {
        self.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
        for _ in 0..4 {
            self.answer(|q| Self::exchange(open, fills, q));
        }
        self.wait(Span::from_secs(5));
        for _ in 0..4 {
            self.answer(|q| Self::exchange(open, fills, q));
        }
        self.script.0.borrow_mut().queries.clear();
    }

    /// Balances have agreed with the opening since: what differs from here on is a difference.
    fn settle(&mut self) {
        self.wait(Span::from_secs(60));
        for _ in 0..4 {
            self.answer(|q| Self::exchange(&[], &[], q));
        }
    }

    fn call(&mut self, frame: &Value) -> Value {
        let before = self.sent.len();
        let text = frame.to_string();
        self.input(Input::ClientFrame(self.conn, &text));
        let reply = self.sent[before..].iter().find(|f| f["id"] == frame["id"]);
        reply.cloned().unwrap_or(Value::Null)
    }

    fn login(&mut self, cursor: Option<(u64, u64)>) -> Value {
        self.login_as(1, cursor)
    }

    fn login_as(&mut self, session: u16, cursor: Option<(u64, u64)>) -> Value {
        self.conn = ConnId(self.conn.0 + 1);
        self.input(Input::ClientOpened(self.conn));
        let nonce = "ab".repeat(16);
        let hello = self.call(&json!({"id": 1, "method": "hello", "params": {"version": 1, "nonce": nonce}}));
        let gateway_nonce = hello["result"]["nonce"].as_str().unwrap().to_owned();
        assert!(proof::is_gateway(
            "secret",
            &nonce,
            &gateway_nonce,
            hello["result"]["proof"].as_str().unwrap()
        ));
        let mut params = json!({"session_id": session, "name": "t", "trading": self.trading, "take_over": self.take_over,
            "pending": self.pending, "epoch": self.told,
            "proof": proof::of_client("secret", &nonce, &gateway_nonce, session)});
        if let Some((generation, sequence)) = cursor {
            params["cursor"] = json!({"gen": generation, "seq": sequence});
        }
        self.sent.clear();
        self.call(&json!({"id": 2, "method": "login", "params": params}))
    }

    /// Sends the n-th command, an order for 10 DOGE at 0.2. Returns its id.
    fn order(&mut self, n: u64) -> ClientOrderId {
        let reply = self
            .call(&json!({"id": 100 + n, "method": "order", "params": {"n": n, "symbol": "DOGEUSDT",
            "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
        let id = reply["result"]["order_id"].as_str();
        ClientOrderId::foreign(id.unwrap_or_else(|| panic!("{reply}")))
    }

    fn events(&self) -> Vec<String> {
        let word = |f: &Value| match f["event"].as_str()? {
            "order" => Some(format!("{} {}", f["order"]["state"].as_str()?, f["order"]["filled"].as_str()?)),
            "state" => None,
            other => Some(format!("{other} {}", f["code"].as_str().unwrap_or_default()).trim().to_owned()),
        };
        self.sent.iter().filter_map(word).collect()
    }

    fn net(&self) -> Qty {
        self.gateway.books().position(SessionId(1), &Symbol::new("dogeusdt")).qty
    }
}

fn report(id: &ClientOrderId, status: VenueStatus, filled: i64, fill: Option<Fill>) -> OrderReport {
    OrderReport {
        symbol: Symbol::new("dogeusdt"),
        venue_id: 77,
        conditional_id: None,
        client_id: id.clone(),
        previous_id: None,
        side: Side::Buy,
        order_type: Some(OrderType::Limit),
        tif: Some(Tif::Gtc),
        price: "0.2".parse().unwrap(),
        stop: Price::ZERO,
        instructions: Instructions::default(),
        qty: Qty::whole(10),
        filled: Qty::whole(filled),
        status,
        reason: None,
        time: START,
        fill,
        forced: None,
    }
}

fn fill(trade_id: u64, qty: i64) -> Fill {
    Fill {
        symbol: Symbol::new("dogeusdt"),
        trade_id,
        venue_id: 77,
        side: Side::Buy,
        price: "0.2".parse().unwrap(),
        qty: Qty::whole(qty),
        quote: Price::from_raw(2_000_000_000).times(Qty::whole(qty)),
        realised: None,
        fee: Cash::ZERO,
        fee_asset: None,
        maker: true,
        // After the books were opened.
        time: START + Span::from_secs(30) + Span::from_millis(trade_id as i64),
    }
}

fn event(report: OrderReport) -> VenueEvent {
    VenueEvent::Report(Box::new(report))
}

fn accepted(id: &ClientOrderId) -> VenueEvent {
    let outcome = PlaceOutcome::Accepted(Box::new(report(id, VenueStatus::New, 0, None)));
    VenueEvent::Placed { id: id.clone(), outcome }
}

fn lost(id: &ClientOrderId) -> VenueEvent {
    VenueEvent::Placed { id: id.clone(), outcome: PlaceOutcome::Unknown("-1007".to_owned()) }
}

/// An order for DOGE with some members changed.
fn doge_order(n: u64, changes: &Value) -> Value {
    let mut params =
        json!({"n": n, "symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"});
    for (key, value) in changes.as_object().unwrap() {
        params[key] = value.clone();
    }
    json!({"id": 1000 + n, "method": "order", "params": params})
}
