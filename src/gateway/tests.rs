//! The gateway against a scripted venue: what the exchange says is laid into its mouth, what it is asked is read back.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::ids::{Asset, Install, LinkId};
use crate::instrument::{Grid, InstrumentKind, InstrumentStatus};
use crate::market::{Interval, OrderType, Side, Stream, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::NewOrder;
use crate::venue::port::*;
use crate::wire::error::ErrorCode;
use crate::wire::proof;

#[derive(Default)]
struct Script {
    events: Vec<VenueEvent>,
    placed: Vec<NewOrder>,
    canceled: Vec<Cancel>,
    queries: Vec<(u64, Query)>,
    refuse: Option<NotSent>,
}

#[derive(Clone, Default)]
struct Scripted(Rc<RefCell<Script>>);

impl MarketFeed for Scripted {
    fn start(&mut self, _: Time, _: &mut Outbox) {}
    fn subscribe(&mut self, _: Time, _: &Stream, _: &mut Outbox) {}
    fn unsubscribe(&mut self, _: Time, _: &Stream, _: &mut Outbox) {}
    fn history(&mut self, _: Time, _: u64, _: &Symbol, _: Interval, _: u32, _: &mut Outbox) {}
    fn instruments(&mut self, _: Time, _: &mut Outbox) {}
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
        self.0.borrow_mut().canceled.push(cancel.clone());
        Ok(())
    }
    fn amend(&mut self, _: Time, _: &Amend, _: &mut Outbox) -> Result<(), NotSent> {
        Ok(())
    }
    fn query(&mut self, _: Time, request: u64, query: &Query, _: &mut Outbox) {
        self.0.borrow_mut().queries.push((request, query.clone()));
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
    fn stop(&mut self, _: Time, _: &mut Outbox) {}
}

/// A gateway, its store and one client, under a virtual clock.
struct Bench {
    gateway: Gateway,
    script: Scripted,
    journal: Vec<Record>,
    /// Batches are committed at once unless this is set.
    hold_commits: bool,
    waiting: Vec<io::Batch>,
    now: Time,
    sent: Vec<Value>,
    projected: Vec<io::PositionRow>,
    conn: ConnId,
    take_over: bool,
    pending: Value,
    closed: Vec<(ConnId, u16)>,
}

fn doge() -> Instrument {
    let number = |text: &str| text.parse().unwrap();
    Instrument {
        symbol: Symbol::new("dogeusdt"),
        kind: InstrumentKind::Spot,
        base: Asset::new("DOGE"),
        quote: Asset::new("USDT"),
        holding: Asset::new("DOGE"),
        status: InstrumentStatus::Trading,
        price: Grid { min: number("0.00001"), max: number("1000"), step: number("0.00001") },
        qty: Grid { min: Qty::whole(1), max: Qty::whole(1_000_000), step: Qty::whole(1) },
        market_qty: Grid::default(),
        min_notional: Cash::whole(1),
        max_notional: Cash::ZERO,
        notional_applies_to_market: true,
        order_types: vec!["LIMIT".to_owned(), "MARKET".to_owned()],
        amend_allowed: true,
        quote_qty_market_allowed: true,
    }
}

fn config() -> GatewayConfig {
    GatewayConfig {
        market: "spot",
        product: "test".to_owned(),
        install: Install::from_hash(5),
        boot_id: "boot".to_owned(),
        token: Some("secret".to_owned()),
        seed: 1,
        recovery_lag: Span::from_secs(5),
        sweep_every: Span::from_secs(60),
        retention: Span::from_secs(3600),
        journal_rebuilt: None,
    }
}

const START: Time = Time::from_millis(1_795_000_000_000);

impl Bench {
    fn new(journal: Vec<Record>, edits: Vec<Edit>, now: Time) -> Self {
        let script = Scripted::default();
        let mut out = Vec::new();
        let (feed, entry) = (Box::new(script.clone()), Box::new(script.clone()));
        let gateway =
            Gateway::new(config(), &journal, edits, Vec::new(), feed, entry, now, &mut out).unwrap();
        let mut bench = Self {
            gateway,
            script,
            journal,
            hold_commits: false,
            waiting: Vec::new(),
            now,
            sent: Vec::new(),
            projected: Vec::new(),
            conn: ConnId(0),
            take_over: false,
            pending: json!([]),
            closed: Vec::new(),
        };
        bench.perform(out);
        bench
    }

    /// Started, compared with an exchange that holds 1000 USDT and no orders, ready, and session 1 logged in.
    fn ready() -> Self {
        let mut bench = Self::new(Vec::new(), Vec::new(), START);
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
                    committed.push(batch.id);
                }
                Output::CloseClient(conn, code, _) => self.closed.push((conn, code)),
                Output::Project(rows) => self.projected.extend(rows.positions),
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
        self.now += span;
        self.input(Input::Timer);
    }

    /// Answers all questions asked so far.
    fn answer(&mut self, reply: impl Fn(&Query) -> Answer) {
        let queries = std::mem::take(&mut self.script.0.borrow_mut().queries);
        for (request, query) in queries {
            self.says(vec![VenueEvent::Answer { request, answer: reply(&query) }]);
        }
    }

    fn exchange(open: &[OrderReport], fills: &[Fill], query: &Query) -> Answer {
        let usdt = Balance::new(Asset::new("USDT"), Cash::whole(1000), Cash::ZERO);
        match query {
            Query::OpenOrders => Answer::Orders(open.to_vec()),
            Query::Account => {
                Answer::Account(Account { balances: vec![usdt], can_trade: true, updated: Time::default() })
            }
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

    fn call(&mut self, frame: &Value) -> Value {
        let before = self.sent.len();
        let text = frame.to_string();
        self.input(Input::ClientFrame(self.conn, &text));
        let reply = self.sent[before..].iter().find(|f| f["id"] == frame["id"]);
        reply.cloned().unwrap_or(Value::Null)
    }

    fn login(&mut self, cursor: Option<(u64, u64)>) -> Value {
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
        let mut params = json!({"session_id": 1, "name": "t", "trading": true, "take_over": self.take_over,
            "pending": self.pending,
            "proof": proof::of_client("secret", &nonce, &gateway_nonce, 1)});
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
        client_id: id.clone(),
        previous_id: None,
        side: Side::Buy,
        order_type: Some(OrderType::Limit),
        tif: Some(Tif::Gtc),
        price: "0.2".parse().unwrap(),
        stop: Price::ZERO,
        qty: Qty::whole(10),
        filled: Qty::whole(filled),
        filled_quote: Cash::ZERO,
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
        client_id: None,
        side: Side::Buy,
        price: "0.2".parse().unwrap(),
        qty: Qty::whole(qty),
        quote: Price::from_raw(2_000_000_000).times(Qty::whole(qty)),
        realised: None,
        fee: Cash::ZERO,
        fee_asset: None,
        maker: true,
        time: START + Span::from_millis(trade_id as i64),
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

#[test]
fn an_order_its_fill_and_its_row() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    assert_eq!(id, bench.gateway.order_id(bench.gateway.epoch, SessionId(1), 1), "both sides name it alike");
    bench.says(vec![accepted(&id)]);
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    assert_eq!(bench.events(), ["snapshot", "NEW 0", "FILLED 10"]);
    assert_eq!(bench.sent.last().unwrap()["position"]["net"], "10");
    assert_eq!(bench.projected.last().unwrap().qty, Qty::whole(10));
}

#[test]
fn r52_nothing_private_is_shown_before_it_is_committed() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.hold_commits = true;
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let positions = bench.call(&json!({"id": 9, "method": "positions", "params": {}}));
    assert_eq!((bench.events(), positions), (vec!["snapshot".to_owned()], Value::Null));
    bench.commit();
    assert_eq!(bench.events(), ["snapshot", "NEW 0", "FILLED 10"]);
    assert_eq!(bench.sent.last().unwrap()["result"]["positions"][0]["net"], "10");
}

#[test]
fn r10_r15_r16_facts_in_any_order_and_twice_come_out_the_same() {
    let id_of = |bench: &mut Bench| bench.order(1);
    for seed in 0..200 {
        let mut bench = Bench::ready();
        let id = id_of(&mut bench);
        let mut facts = vec![
            accepted(&id),
            event(report(&id, VenueStatus::New, 0, None)),
            event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4)))),
            event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4)))),
            event(report(&id, VenueStatus::Filled, 10, Some(fill(2, 6)))),
        ];
        fastrand::Rng::with_seed(seed).shuffle(&mut facts);
        for fact in facts {
            bench.says(vec![fact]);
        }
        assert_eq!(bench.net(), Qty::whole(10), "seed {seed}");
        let order = bench.gateway.orders().get(&id).unwrap();
        assert_eq!(order.status().as_str(), "FILLED", "seed {seed}");
        assert_eq!(bench.events().last().unwrap(), "FILLED 10", "seed {seed}");
    }
}

#[test]
fn r17_r18_an_end_waits_for_the_fills_it_counts() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 4, None))]);
    assert_eq!(bench.events(), ["snapshot", "NEW 0"], "4 are counted, none booked");
    let asked: Vec<Query> = bench.script.0.borrow().queries.iter().map(|(_, q)| q.clone()).collect();
    assert_eq!(asked, [Query::TradesOfOrder { symbol: Symbol::new("dogeusdt"), venue_id: 77 }]);
    bench.answer(|_| Answer::Trades(vec![fill(1, 4)]));
    assert_eq!(bench.events(), ["snapshot", "NEW 0", "CANCELED 4"]);
}

#[test]
fn row_004_64_r03_an_unknown_outcome_is_never_a_rejection() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0"]);
    bench.answer(|_| Answer::NotFound);
    bench.wait(Span::from_secs(1));
    bench.answer(|_| Answer::Order(Box::new(report(&id, VenueStatus::New, 0, None))));
    assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0", "NEW 0"]);
    assert_eq!(bench.script.0.borrow().placed.len(), 1, "never sent again");
}

#[test]
fn r07_absence_needs_proof() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![lost(&id)]);
    let mut probe_at = None;
    for second in 0..60 {
        bench.answer(|_| Answer::NotFound);
        if probe_at.is_none() && !bench.script.0.borrow().canceled.is_empty() {
            probe_at = Some(second);
            assert!(second >= 13, "not before receive window, ten seconds and two rounds: {second}");
            assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0"]);
            bench
                .says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: CancelOutcome::UnknownOrder }]);
        }
        bench.wait(Span::from_secs(1));
    }
    assert!(probe_at.is_some(), "the engine was asked");
    assert_eq!(bench.events(), ["snapshot", "UNKNOWN 0", "REJECTED 0"]);
    assert_eq!(bench.sent.last().unwrap()["order"]["code"], -30007);
    // And if it lives after all, it is adopted, loudly.
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    assert_eq!(bench.net(), Qty::whole(4));
    assert!(bench.events().contains(&"notice resurrected".to_owned()), "{:?}", bench.events());
}

#[test]
fn r09_a_command_number_is_carried_out_once() {
    let mut bench = Bench::ready();
    let first = bench.order(1);
    let again = bench.order(1);
    assert_eq!(first, again);
    assert_eq!(bench.script.0.borrow().placed.len(), 1);
    bench.order(5);
    let stale = bench.call(&json!({"id": 9, "method": "order", "params": {"n": 3, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
    assert_eq!(stale["error"]["name"], "stale_command");
}

#[test]
fn r51_an_order_the_journal_lost_is_adopted_by_its_session() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    // The crash: nothing after the login was kept.
    let kept: Vec<Record> =
        bench.journal.iter().filter(|r| !matches!(r, Record::Order(_))).cloned().collect();
    let mut after = Bench::new(kept, Vec::new(), START + Span::from_secs(60));
    let partly = report(&id, VenueStatus::PartiallyFilled, 4, None);
    after.recover(&[partly], &[fill(1, 4)]);
    assert_eq!(after.net(), Qty::whole(4));
    let order = after.gateway.orders().get(&id).unwrap();
    assert_eq!((order.session, order.status().as_str()), (Some(SessionId(1)), "PARTIALLY_FILLED"));
    assert!(after.gateway.foreign_gateway.is_none());
}

#[test]
fn r21_an_order_renamed_by_its_cancel_keeps_its_owner() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    let id = bench.gateway.order_id(900_000, SessionId(1), 1);
    let renamed = id.renamed(IdKind::Cancel).unwrap();
    bench.recover(&[], &[]);
    let mut canceled = report(&renamed, VenueStatus::Canceled, 4, Some(fill(1, 4)));
    canceled.previous_id = Some(id.clone());
    bench.says(vec![event(canceled)]);
    assert_eq!(bench.net(), Qty::whole(4));
    assert_eq!(bench.gateway.orders().get(&id).unwrap().session, Some(SessionId(1)));
}

#[test]
fn r68_row_004_68_fills_missed_while_away_are_booked_once() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), VenueEvent::EntryDown("cut".to_owned())]);
    let refused = bench.call(&json!({"id": 9, "method": "order", "params": {"n": 2, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
    assert_eq!(refused["error"]["code"], -30002, "row 004-62");
    bench.says(vec![VenueEvent::EntryUp]);
    for _ in 0..12 {
        bench.answer(|q| match q {
            Query::OrderByVenueId { .. } => {
                Answer::Order(Box::new(report(&id, VenueStatus::Filled, 10, None)))
            }
            Query::Account => Answer::Account(Account {
                balances: vec![
                    Balance::new(Asset::new("USDT"), Cash::whole(998), Cash::ZERO),
                    Balance::new(Asset::new("DOGE"), Cash::whole(10), Cash::ZERO),
                ],
                can_trade: true,
                updated: Time::default(),
            }),
            q => Bench::exchange(&[], &[fill(1, 4), fill(2, 6)], q),
        });
        bench.wait(Span::from_secs(1));
    }
    assert_eq!(bench.net(), Qty::whole(10));
    assert_eq!(bench.events().last().unwrap(), "FILLED 10");
    bench.order(3);
}

#[test]
fn i14_i15_a_restart_folds_to_the_same_books_and_resumes() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(120));
    assert_eq!(after.net(), Qty::whole(10));
    assert!(after.gateway.epoch > bench.gateway.epoch);
    let reply = after.login(Some((1, 1)));
    assert_eq!(reply["result"]["resume"], "events");
    assert_eq!(after.events(), ["FILLED 10"]);
    assert_eq!(after.sent.last().unwrap()["replayed"], true);
    let ahead = after.login(Some((1, 99)));
    assert_eq!(ahead["error"]["name"], "duplicate_login");
}

#[test]
fn i21_an_edit_is_applied_once_relative_to_what_was_shown() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let edit = Edit {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 4,
        shown: Qty::whole(5),
        found: Qty::whole(3),
        shown_avg: None,
        found_avg: None,
    };
    let mut once = Bench::new(bench.journal.clone(), vec![edit.clone()], START + Span::from_secs(60));
    assert_eq!(once.net(), Qty::whole(8), "shown 5, set to 3, five more filled meanwhile");
    assert_eq!(once.projected.last().unwrap().qty, Qty::whole(8));
    once.login(None);
    assert!(once.events().contains(&"position".to_owned()));
    let twice = Bench::new(once.journal.clone(), vec![edit], START + Span::from_secs(120));
    assert_eq!(twice.net(), Qty::whole(8), "a crash before the row was shown again applies nothing twice");
}

#[test]
fn i11_a_difference_is_a_visible_row() {
    let mut bench = Bench::ready();
    let usdt = Asset::new("USDT");
    assert_eq!(bench.gateway.books().total(&usdt), Cash::whole(1000));
    let poorer = |q: &Query| match q {
        Query::Account => Answer::Account(Account {
            balances: vec![Balance::new(Asset::new("USDT"), Cash::whole(990), Cash::ZERO)],
            can_trade: true,
            updated: Time::default(),
        }),
        q => Bench::exchange(&[], &[], q),
    };
    for _ in 0..20 {
        bench.wait(Span::from_secs(5));
        bench.answer(poorer);
    }
    assert_eq!(bench.gateway.books().total(&usdt), Cash::whole(990));
    let owner = crate::journal::Owner::Unattributed;
    assert_eq!(bench.gateway.books().asset(owner, &usdt), -Cash::whole(10));
}

#[test]
fn row_004_14_r55_a_session_has_one_owner() {
    let mut bench = Bench::ready();
    let first = bench.conn;
    let refused = bench.login(None);
    assert_eq!(refused["error"]["code"], -10002);
    bench.input(Input::ClientClosed(first));
    assert_eq!(bench.login(None)["result"]["session_id"], 1);
}

#[test]
fn r47_an_order_of_this_epoch_that_we_never_sent_means_a_second_gateway() {
    let mut bench = Bench::ready();
    let alien = bench.gateway.order_id(bench.gateway.epoch, SessionId(1), 4000);
    bench.says(vec![event(report(&alien, VenueStatus::New, 0, None))]);
    let refused = bench.call(&json!({"id": 9, "method": "order", "params": {"n": 1, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
    assert_eq!(refused["error"]["name"], "foreign_gateway");
}

#[test]
fn r58_a_store_that_cannot_write_stops_orders_not_cancels() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.input(Input::StoreFailed("disk full".to_owned()));
    let refused = bench.call(&json!({"id": 9, "method": "order", "params": {"n": 2, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
    assert_eq!(refused["error"]["name"], "store_failed");
    let cancel =
        bench.call(&json!({"id": 10, "method": "cancel", "params": {"n": 3, "order_id": id.as_str()}}));
    assert_eq!(cancel["result"]["order_id"], id.as_str());
    bench.input(Input::StoreRecovered);
    bench.order(4);
}

#[test]
fn r17_a_lost_event_is_found_by_the_sweep() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    // Filled, but nobody says so. The regular sweep reads the trades of symbols with open orders.
    bench.wait(Span::from_secs(61));
    for _ in 0..3 {
        bench.answer(|q| match q {
            Query::OpenOrders => Answer::Orders(vec![report(&id, VenueStatus::New, 0, None)]),
            Query::Account => Answer::Failed("busy".to_owned()),
            q => Bench::exchange(&[], &[fill(1, 4)], q),
        });
    }
    assert_eq!(bench.net(), Qty::whole(4));
    assert_eq!(bench.events().last().unwrap(), "PARTIALLY_FILLED 4");
}

#[test]
fn r52_trades_shown_late_behind_the_cursor_are_read_again() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.wait(Span::from_secs(61));
    bench.answer(|q| match q {
        Query::OpenOrders => Answer::Orders(vec![report(&id, VenueStatus::New, 0, None)]),
        q => Bench::exchange(&[], &[fill(5, 1), fill(9, 1)], q),
    });
    let from = bench.gateway.books().reread_from(&Symbol::new("dogeusdt"), Span::from_secs(60));
    assert_eq!(from, Some(5), "the last minute of own trades is read again, not only what is new");
}

#[test]
fn r21_an_order_cancelled_by_hand_keeps_its_owner() {
    let mut bench = Bench::ready();
    let id = bench.gateway.order_id(900_000, SessionId(1), 1);
    // Cancelled on the exchange's page: the order now bears a name we never gave.
    let mut canceled =
        report(&ClientOrderId::foreign("web_4711"), VenueStatus::Canceled, 4, Some(fill(1, 4)));
    canceled.previous_id = Some(id.clone());
    bench.says(vec![event(canceled)]);
    assert_eq!(bench.net(), Qty::whole(4));
}

#[test]
fn i7_two_starts_within_a_minute_have_two_epochs() {
    let bench = Bench::ready();
    let after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(1));
    assert!(after.gateway.epoch > bench.gateway.epoch, "or ids would be used twice");
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

#[test]
fn row_004_79_every_refusal_of_an_order_has_its_name() {
    let mut bench = Bench::ready();
    for (n, changes, name) in [
        (1, json!({"symbol": "nosuch"}), "invalid_symbol"),
        (2, json!({"type": "LIMIT_MAKER"}), "type_not_supported"),
        (3, json!({"stop_price": "0.1"}), "bad_shape"),
        (4, json!({"price": "2000"}), "price_range"),
        (5, json!({"price": "0"}), "price_range"),
        (6, json!({"price": "0.2000001"}), "off_tick"),
        (7, json!({"qty": "0"}), "qty_range"),
        (8, json!({"qty": "10.5"}), "off_lot"),
        (9, json!({"qty": "4"}), "notional"),
        (10, json!({"qty": "-10"}), "qty_range"),
        (11, json!({"price": "NaN"}), "bad_request"),
    ] {
        let reply = bench.call(&doge_order(n, &changes));
        assert_eq!(reply["error"]["name"], name, "{changes} {reply}");
    }
    for (n, refusal, name) in [
        (20, NotSent::RateLimited { retry_at: START }, "rate_limited"),
        (21, NotSent::ClockOff(Span::from_secs(3)), "clock_off"),
        (22, NotSent::Disconnected, "disconnected"),
    ] {
        bench.script.0.borrow_mut().refuse = Some(refusal);
        assert_eq!(bench.call(&doge_order(n, &json!({})))["error"]["name"], name);
    }
    assert_eq!(bench.gateway.orders().open().count(), 0, "nothing was sent, so nothing exists");
    bench.script.0.borrow_mut().refuse = None;
    let mut halted = doge();
    halted.status = InstrumentStatus::Halted;
    halted.amend_allowed = false;
    let id = bench.order(30);
    bench.says(vec![accepted(&id), VenueEvent::Instruments(vec![halted])]);
    assert_eq!(bench.call(&doge_order(31, &json!({})))["error"]["name"], "not_trading");
    let amend = json!({"id": 9, "method": "amend", "params": {"n": 32, "order_id": id.as_str(), "qty": "5"}});
    assert_eq!(bench.call(&amend)["error"]["name"], "amend_not_allowed");
}

#[test]
fn row_004_63_a_refusal_by_the_exchange_ends_the_order_with_its_words() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let message = "Account has insufficient balance for requested action.".to_owned();
    bench.says(vec![VenueEvent::Placed { id, outcome: PlaceOutcome::Rejected { code: -2010, message } }]);
    assert_eq!(bench.events(), ["snapshot", "REJECTED 0"]);
    let order = &bench.sent.last().unwrap()["order"];
    let words = "-2010 Account has insufficient balance for requested action.";
    assert_eq!(
        (&order["code"], &order["reason"]),
        (&json!(ErrorCode::Rejected.code()), &json!(words)),
        "rejected"
    );
}

#[test]
fn the_door_says_why_it_stays_shut() {
    let mut bench = Bench::ready();
    bench.conn = ConnId(90);
    bench.input(Input::ClientOpened(ConnId(90)));
    let call = |bench: &mut Bench, id: u64, method: &str, params: Value| {
        let reply = bench.call(&json!({"id": id, "method": method, "params": params}));
        reply["error"]["name"].as_str().unwrap_or("none").to_owned()
    };
    let nonce = "cd".repeat(16);
    assert_eq!(call(&mut bench, 1, "time", json!({})), "not_logged_in");
    assert_eq!(call(&mut bench, 2, "hello", json!({"version": 9, "nonce": nonce})), "version_mismatch");
    assert_eq!(call(&mut bench, 3, "hello", json!({"version": 1, "nonce": "short"})), "bad_request");
    assert_eq!(call(&mut bench, 4, "hello", json!({"version": 1, "nonce": nonce})), "none");
    let login = |session: i64, proof: &str| json!({"session_id": session, "trading": true, "proof": proof});
    assert_eq!(call(&mut bench, 5, "login", login(65_536, "")), "invalid_session", "row 004-52");
    assert_eq!(call(&mut bench, 6, "login", login(-1, "")), "invalid_session", "row 004-52");
    assert_eq!(call(&mut bench, 7, "login", login(7, "00")), "bad_proof");
}

#[test]
fn row_004_18_a_watching_session_sends_nothing() {
    let mut bench = Bench::ready();
    let seat = bench.gateway.clients.get_mut(&bench.conn).unwrap();
    seat.watch_only();
    assert_eq!(bench.call(&doge_order(1, &json!({})))["error"]["name"], "non_trading");
    assert!(bench.script.0.borrow().placed.is_empty());
}

#[test]
fn streams_and_histories_are_checked() {
    let mut bench = Bench::ready();
    let subscribe = |bench: &mut Bench, streams: Vec<String>| {
        bench.call(&json!({"id": 5, "method": "subscribe", "params": {"streams": streams}}))["error"]["name"]
            .clone()
    };
    for bad in ["dogeusdt@kline:7m", "dogeusdt@depth:50ms", "dogeusdt", "dogeusdt@"] {
        assert_eq!(
            subscribe(&mut bench, vec![bad.to_owned()]),
            "invalid_stream",
            "row 004-20, 004-55: {bad}"
        );
    }
    for interval in Interval::ALL {
        assert_eq!(
            subscribe(&mut bench, vec![format!("dogeusdt@kline:{interval}")]),
            Value::Null,
            "row 004-20"
        );
    }
    let many = vec!["dogeusdt@bbo".to_owned(); 1025];
    assert_eq!(subscribe(&mut bench, many), "too_many_streams");
    let ask =
        json!({"id": 6, "method": "history", "params": {"symbol": "dogeusdt", "interval": "1m", "count": 3}});
    assert_eq!(bench.call(&ask), Value::Null, "the answer comes with the exchange's");
    bench.says(vec![VenueEvent::History { request: 1, bars: Err("503 busy".to_owned()) }]);
    assert_eq!(bench.sent.last().unwrap()["error"]["name"], "query_failed");
}

#[test]
fn a_row_that_cannot_be_understood_stops_its_symbol() {
    let mut bench = Bench::ready();
    bench
        .gateway
        .bad_edits
        .push(BadEdit { symbol: Some(Symbol::new("dogeusdt")), reason: "qty 'ten'".to_owned() });
    let refused = bench.call(&doge_order(1, &json!({})));
    assert_eq!(refused["error"]["name"], "bad_position");
    assert!(refused["error"]["message"].as_str().unwrap().contains("qty 'ten'"));
}

#[test]
fn r55_a_take_over_fences_the_old_owner_off() {
    let mut bench = Bench::ready();
    let old = bench.conn;
    bench.take_over = true;
    assert_eq!(bench.login(None)["result"]["session_id"], 1);
    assert_eq!(bench.closed, [(old, 4001)], "told taken_over by the closing code");
    let now = bench.conn;
    bench.conn = old;
    assert_eq!(bench.call(&doge_order(1, &json!({}))), Value::Null, "a fenced connection is not heard");
    bench.conn = now;
    bench.order(1);
}

#[test]
fn a_lost_exchange_is_told_once_however_often_it_cannot_be_reached() {
    let mut bench = Bench::ready();
    bench.sent.clear();
    for _ in 0..3 {
        bench.says(vec![VenueEvent::EntryDown("refused".to_owned())]);
    }
    let states: Vec<_> = bench.sent.iter().map(|f| f["state"].as_str().unwrap_or_default()).collect();
    assert_eq!(states, ["down"]);
}

#[test]
fn a_reply_that_overtakes_its_events_asks_for_nothing() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let outcome = PlaceOutcome::Accepted(Box::new(report(&id, VenueStatus::Filled, 10, None)));
    bench.says(vec![VenueEvent::Placed { id: id.clone(), outcome: outcome.clone() }]);
    assert_eq!(bench.events(), ["snapshot", "NEW 0"], "the end waits for its fill");
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    bench.wait(Span::from_secs(1));
    assert_eq!(bench.events().last().unwrap(), "FILLED 10");
    assert!(bench.script.0.borrow().queries.is_empty());
    // And if the events never come, it is asked for.
    let id = bench.order(2);
    let mut lost = report(&id, VenueStatus::Filled, 10, None);
    lost.venue_id = 78;
    bench.says(vec![VenueEvent::Placed { id, outcome: PlaceOutcome::Accepted(Box::new(lost)) }]);
    bench.wait(Span::from_secs(1));
    let asked: Vec<Query> = bench.script.0.borrow().queries.iter().map(|(_, q)| q.clone()).collect();
    assert_eq!(asked, [Query::TradesOfOrder { symbol: Symbol::new("dogeusdt"), venue_id: 78 }]);
}

#[test]
fn an_amended_order_is_told_with_its_new_quantity() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let amend = json!({"id": 9, "method": "amend", "params": {"n": 2, "order_id": id.as_str(), "qty": "6"}});
    assert_eq!(bench.call(&amend)["result"]["order_id"], id.as_str());
    let mut amended = report(&id.renamed(IdKind::Amend(0)).unwrap(), VenueStatus::New, 0, None);
    amended.qty = Qty::whole(6);
    bench.says(vec![VenueEvent::AmendReply { id, outcome: AmendOutcome::Amended(Box::new(amended)) }]);
    assert_eq!(bench.sent.last().unwrap()["order"]["qty"], "6");
}

#[test]
fn r56_a_strategy_away_for_long_gets_everything_it_missed() {
    let mut bench = Bench::ready();
    bench.input(Input::ClientClosed(bench.conn));
    let many = super::queue::PRIVATE_MAX as u64 + 500;
    for n in 0..many {
        bench.gateway.notice(bench.now, SessionId(1), "n", n.to_string(), None);
    }
    bench.input(Input::Timer);
    let reply = bench.login(Some((1, 0)));
    assert_eq!(reply["result"]["resume"], "events");
    let seqs: Vec<u64> = bench.sent.iter().filter_map(|f| f["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=many).collect::<Vec<_>>());
    assert!(bench.closed.is_empty(), "{:?}", bench.closed);
}

#[test]
fn a_pending_order_of_an_earlier_run_is_never_called_a_failure() {
    let first = Bench::ready();
    // The next run has not reached the exchange yet: it does not even know the symbols.
    let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
    bench.pending = json!([{"epoch": first.gateway.epoch, "method": "order", "params": {"n": 7, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["answers"], json!([null]), "being found out");
    let id = first.gateway.order_id(first.gateway.epoch, SessionId(1), 7);
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status().as_str(), "UNKNOWN");
    bench.recover(&[report(&id, VenueStatus::PartiallyFilled, 4, None)], &[fill(1, 4)]);
    assert_eq!(bench.net(), Qty::whole(4));
}
