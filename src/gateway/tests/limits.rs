//! Limits, held to real orders: what the gateway counts, what it lets through, what it says.

use std::collections::{BTreeMap, BTreeSet};

use super::perpetual::perpetual;
use super::*;
use crate::limits::{Bounds, Caps};
use crate::market::Level;

fn of_doge(qty: i64) -> Option<Caps<Symbol, Qty>> {
    Some(Caps { named: BTreeMap::from([(Symbol::new("dogeusdt"), Qty::whole(qty))]), others: None })
}
fn of_usdt(amount: &str) -> Option<Caps<Asset, Cash>> {
    Some(Caps { named: BTreeMap::from([(Asset::new("USDT"), amount.parse().unwrap())]), others: None })
}

fn limited(account: Bounds, session: Bounds) -> GatewayConfig {
    GatewayConfig { limits: Limits { account, session, ..Limits::default() }, ..config() }
}

fn session(bounds: Bounds) -> GatewayConfig {
    limited(Bounds::default(), bounds)
}

pub(super) fn book(bid: &str, ask: &str) -> VenueEvent {
    let level = |price: &str| Level { price: price.parse().unwrap(), qty: Qty::whole(5) };
    let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Bbo };
    let (bids, asks) = (vec![level(bid)], vec![level(ask)]);
    VenueEvent::Bbo(stream, crate::market::Depth { time: START, update_id: 1, bids, asks })
}

impl Bench {
    fn limited(config: GatewayConfig) -> Self {
        Self::limited_from(config, vec![doge_is_read()], START)
    }

    fn limited_from(config: GatewayConfig, journal: Vec<Record>, now: Time) -> Self {
        let mut bench = Self::of(config, journal, Vec::new(), now);
        bench.recover(&[], &[]);
        bench.login(None);
        bench
    }

    /// What becomes of an order: nothing if it is sent, else the name of the refusal.
    fn tries(&mut self, n: u64, changes: &Value) -> String {
        let before = self.script.0.borrow().placed.len();
        let reply = self.call(&doge_order(n, changes));
        let sent = self.script.0.borrow().placed.len() - before;
        let name = reply["error"]["name"].as_str().unwrap_or_default().to_owned();
        assert_eq!(sent, usize::from(name.is_empty()), "{reply}");
        name
    }

    fn placed_id(&self) -> ClientOrderId {
        self.script.0.borrow().placed.last().unwrap().id.clone()
    }

    /// The order sent last is filled whole, at a price.
    fn fills_at(&mut self, number: u64, side: Side, qty: i64, price: &str) {
        let (id, price): (_, Price) = (self.placed_id(), price.parse().unwrap());
        let (venue_id, time) = (number, self.now);
        let quote = price.times(Qty::whole(qty));
        let fill = Fill { venue_id, side, price, quote, time, ..fill(number, qty) };
        let done = report(&id, VenueStatus::Filled, qty, Some(fill));
        self.says(vec![event(OrderReport { venue_id, side, qty: Qty::whole(qty), ..done })]);
    }
}

#[test]
fn r61_every_refusal_by_a_limit_has_its_name() {
    let none = Bounds::default;
    let cheap = json!({"price": "0.1"});
    for (bounds, changes, name) in [
        (Bounds { symbols: Some(BTreeSet::new()), ..none() }, json!({}), "limit_symbols"),
        (Bounds { order_qty: of_doge(9), ..none() }, json!({}), "limit_order_size"),
        (Bounds { order_notional: of_usdt("1.99"), ..none() }, json!({}), "limit_order_size"),
        (Bounds { price_band: Some("10".parse().unwrap()), ..none() }, cheap, "limit_price_band"),
        (Bounds { open_orders: Some(0), ..none() }, json!({}), "limit_open_orders"),
        (Bounds { open_notional: of_usdt("1.99"), ..none() }, json!({}), "limit_open_orders"),
        (Bounds { position_qty: of_doge(9), ..none() }, json!({}), "limit_position"),
        (Bounds { position_notional: of_usdt("1.99"), ..none() }, json!({}), "limit_position"),
        (Bounds { orders_per_second: Some(0), ..none() }, json!({}), "limit_rate"),
        (Bounds { rejects_per_minute: Some(0), ..none() }, json!({}), "limit_rejects"),
    ] {
        for config in [session(bounds.clone()), limited(bounds.clone(), none())] {
            let mut bench = Bench::limited(config);
            if bench.tries(1, &changes) == "limit_book" {
                bench.says(vec![book("0.19", "0.21")]);
            }
            assert_eq!(bench.tries(2, &changes), name, "{bounds:?}");
            let logged = bench.logs.iter().filter(|line| line.starts_with("order refused by a limit"));
            assert!(logged.count() >= 1, "{:?}", bench.logs);
        }
    }
}

#[test]
fn r61_open_and_unknown_orders_count_as_if_they_filled() {
    let mut bench = Bench::limited(session(Bounds { position_qty: of_doge(25), ..Bounds::default() }));
    assert_eq!(bench.tries(1, &json!({})), "");
    let first = bench.placed_id();
    assert_eq!(bench.tries(2, &json!({})), "", "10 and 10");
    assert_eq!(bench.tries(3, &json!({})), "limit_position", "and 10 would be 30");
    bench.says(vec![lost(&first)]);
    assert_eq!(bench.gateway.orders().get(&first).unwrap().status().as_str(), "UNKNOWN");
    assert_eq!(bench.tries(4, &json!({"qty": "6"})), "limit_position", "one in doubt may live");
    assert_eq!(bench.tries(5, &json!({"qty": "5"})), "");
    let outcome = PlaceOutcome::Rejected { code: -2010, message: "no".to_owned(), for_now: false };
    bench.says(vec![VenueEvent::Placed { id: first, outcome }]);
    assert_eq!(bench.tries(6, &json!({})), "", "it is known not to live");
    assert_eq!(bench.tries(7, &json!({"side": "SELL", "qty": "25"})), "", "the other side counts for itself");
    assert_eq!(bench.tries(8, &json!({"side": "SELL", "qty": "5"})), "limit_position");
}

#[test]
fn r61_a_restart_forgets_neither_the_position_nor_what_is_open() {
    let bounds = Bounds { position_qty: of_doge(25), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds.clone()));
    assert_eq!(bench.tries(1, &json!({})), "");
    bench.fills_at(70, Side::Buy, 10, "0.2");
    assert_eq!(bench.tries(2, &json!({})), "");
    let open = bench.placed_id();
    let working = report(&open, VenueStatus::New, 0, None);
    let mut again = Bench::of(session(bounds), bench.journal, Vec::new(), START + Span::from_secs(100));
    again.recover(&[working], &[]);
    again.login(None);
    assert_eq!(again.tries(1, &json!({"qty": "6"})), "limit_position", "10 held, 10 open");
    assert_eq!(again.tries(2, &json!({"qty": "5"})), "");
}

#[test]
fn r61_the_loss_of_the_day_is_realised_open_and_fees_and_outlives_a_restart() {
    let bounds = Bounds { loss_per_day: of_usdt("1.5"), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds.clone()));
    bench.says(vec![book("0.2", "0.2")]);
    assert_eq!(bench.tries(1, &json!({})), "");
    bench.fills_at(70, Side::Buy, 10, "0.2");
    assert_eq!(bench.tries(2, &json!({"side": "SELL", "qty": "5"})), "");
    bench.fills_at(71, Side::Sell, 5, "0.1");
    // 0.5 is realised; 5 are held at 0.2 and open at 0: 0.2 less each makes 1 more.
    bench.says(vec![book("0.00001", "0.00001")]);
    assert_eq!(bench.tries(3, &json!({"price": "0.19", "qty": "11"})), "", "1.49995 is within 1.5");
    let open = bench.placed_id();
    bench.says(vec![accepted(&open)]);
    bench.call(&json!({"id": 50, "method": "cancel", "params": {"n": 4, "order_id": open.as_str()}}));
    bench.says(vec![event(report(&open, VenueStatus::Canceled, 0, None))]);
    assert_eq!(bench.tries(5, &json!({"side": "SELL", "qty": "5", "price": "0.5"})), "", "it only reduces");
    bench.fills_at(72, Side::Sell, 5, "0.00001");
    assert_eq!(bench.tries(6, &json!({})), "", "all realised, the same");
    bench.fills_at(73, Side::Buy, 10, "0.2");
    assert_eq!(bench.tries(7, &json!({})), "limit_loss");

    let mut again =
        Bench::limited_from(session(bounds.clone()), bench.journal.clone(), START + Span::from_secs(60));
    assert_eq!(again.tries(1, &json!({})), "limit_book", "what is held has no price yet");
    again.says(vec![book("0.2", "0.2")]);
    assert_eq!(again.tries(2, &json!({})), "", "the position is worth what it cost again");
    again.says(vec![book("0.1999", "0.1999")]);
    assert_eq!(again.tries(3, &json!({})), "limit_loss", "1.49995 of the books and 0.001 open");
    let tomorrow = START + Span::from_secs(86_400);
    let mut next = Bench::limited_from(session(bounds), bench.journal, tomorrow);
    next.says(vec![book("0.1", "0.1")]);
    assert_eq!(next.tries(1, &json!({})), "", "yesterday's is past; 1 is open");
    next.says(vec![book("0.04", "0.04")]);
    assert_eq!(next.tries(2, &json!({})), "limit_loss", "1.6 is open");
}

#[test]
fn r61_a_stale_book_refuses_until_there_is_a_fresh_one() {
    let bounds = Bounds { price_band: Some("10".parse().unwrap()), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds));
    assert_eq!(bench.tries(1, &json!({})), "limit_book", "nobody has looked yet");
    bench.says(vec![book("0.2", "0.2")]);
    assert_eq!(bench.tries(2, &json!({})), "");
    let stream = Stream { symbol: Symbol::new("dogeusdt"), channel: Channel::Bbo };
    bench.says(vec![VenueEvent::Stale(stream, "silent".to_owned())]);
    assert_eq!(bench.tries(3, &json!({})), "limit_book");
    bench.says(vec![book("0.2", "0.2")]);
    assert_eq!(bench.tries(4, &json!({})), "");
    bench.says(vec![VenueEvent::FeedDown("gone".to_owned())]);
    assert_eq!(bench.tries(5, &json!({})), "limit_book");
    let cancel =
        json!({"id": 50, "method": "cancel", "params": {"n": 6, "order_id": bench.placed_id().as_str()}});
    assert!(bench.call(&cancel)["error"].is_null(), "a cancel passes everything");
}

#[test]
fn r61_rates_are_of_the_session_and_of_all_and_say_when_to_try_again() {
    let often = |cap| Bounds { orders_per_second: Some(cap), ..Bounds::default() };
    let mut bench = Bench::limited(limited(often(3), often(2)));
    assert_eq!((bench.tries(1, &json!({})), bench.tries(2, &json!({}))), (String::new(), String::new()));
    let reply = bench.call(&doge_order(3, &json!({})));
    assert_eq!(reply["error"]["name"], "limit_rate");
    assert_eq!(reply["error"]["retry_after_ms"], 1_001, "{reply}");
    bench.login_as(2, None);
    assert_eq!(bench.tries(1, &json!({})), "", "another session has its own two");
    assert_eq!(bench.tries(2, &json!({})), "limit_rate", "and all together three");
    bench.now += Span::from_secs(1);
    assert_eq!(bench.tries(3, &json!({})), "");
}

#[test]
fn r14_r61_a_session_whose_orders_the_exchange_keeps_rejecting_is_paused() {
    let bounds = Bounds { rejects_per_minute: Some(2), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds));
    for n in 1..=2 {
        assert_eq!(bench.tries(n, &json!({})), "");
        let outcome = PlaceOutcome::Rejected { code: -2010, message: "no".to_owned(), for_now: false };
        bench.says(vec![VenueEvent::Placed { id: bench.placed_id(), outcome }]);
    }
    assert_eq!(bench.tries(3, &json!({})), "limit_rejects");
    bench.login_as(2, None);
    assert_eq!(bench.tries(1, &json!({})), "", "others go on");
    bench.take_over = true;
    bench.login_as(1, None);
    bench.now += Span::from_secs(60);
    assert_eq!(bench.tries(4, &json!({})), "");
}

#[test]
fn r61_an_amend_is_judged_as_the_order_it_would_make() {
    let bounds = Bounds { position_qty: of_doge(25), order_qty: of_doge(20), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds));
    bench.says(vec![VenueEvent::Instruments(vec![perpetual()])]);
    assert_eq!((bench.tries(1, &json!({})), bench.tries(2, &json!({}))), (String::new(), String::new()));
    let id = bench.placed_id();
    bench.says(vec![accepted(&id)]);
    let mut amend = |n: u64, qty: &str| {
        let params = json!({"n": n, "order_id": id.as_str(), "qty": qty});
        bench.call(&json!({"id": 200 + n, "method": "amend", "params": params}))["error"]["name"].clone()
    };
    assert_eq!(amend(3, "16"), "limit_position", "10 and 16");
    assert_eq!(amend(4, "21"), "limit_order_size");
    assert_eq!(amend(5, "15"), Value::Null);
    assert_eq!(amend(6, "5"), Value::Null, "less is never refused");
}

#[test]
fn r61_the_account_is_all_sessions_together() {
    let account = Bounds { position_qty: of_doge(15), open_orders: Some(2), ..Bounds::default() };
    let mut bench = Bench::limited(limited(account, Bounds::default()));
    assert_eq!(bench.tries(1, &json!({})), "");
    bench.login_as(2, None);
    assert_eq!(bench.tries(1, &json!({})), "limit_position", "10 of another session are open");
    assert_eq!(bench.tries(2, &json!({"side": "SELL"})), "");
    assert_eq!(bench.tries(3, &json!({"side": "SELL", "qty": "5"})), "limit_open_orders");
}

#[test]
fn r61_a_flood_of_refusals_is_logged_once_a_minute() {
    let mut bench = Bench::limited(session(Bounds { order_qty: of_doge(9), ..Bounds::default() }));
    for n in 1..=120 {
        bench.now += Span::from_secs(1);
        assert_eq!(bench.tries(n, &json!({})), "limit_order_size");
    }
    let lines = bench.logs.iter().filter(|line| line.starts_with("order refused by a limit")).count();
    assert_eq!(lines, 2);
}

impl Bench {
    /// A perpetual; amends are sent with numbers of their own.
    fn amends(config: GatewayConfig) -> Self {
        let mut bench = Self::limited(config);
        bench.says(vec![VenueEvent::Instruments(vec![perpetual()])]);
        bench
    }

    fn amend(&mut self, n: u64, id: &ClientOrderId, changes: &Value) -> Value {
        let mut params = json!({"n": n, "order_id": id.as_str()});
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.call(&json!({"id": 200 + n, "method": "amend", "params": params}))["error"]["name"].clone()
    }

    fn amend_replied(&mut self, id: &ClientOrderId, outcome: AmendOutcome) {
        self.says(vec![VenueEvent::AmendReply { id: id.clone(), outcome }]);
    }
}

#[test]
fn r61_an_amend_on_its_way_counts_as_what_it_asks_for() {
    let bounds = Bounds { position_qty: of_doge(25), ..Bounds::default() };
    let mut bench = Bench::amends(session(bounds));
    assert_eq!(bench.tries(1, &json!({})), "");
    let id = bench.placed_id();
    bench.says(vec![accepted(&id)]);
    assert_eq!(bench.amend(2, &id, &json!({"qty": "25"})), Value::Null);
    assert_eq!(bench.tries(3, &json!({})), "limit_position", "25 may be open, and 10");
    bench.amend_replied(&id, AmendOutcome::Rejected { code: -1, message: "no".to_owned() });
    assert_eq!(bench.tries(4, &json!({"qty": "11", "price": "0.1"})), "", "10 are open");
    assert_eq!(bench.amend(5, &id, &json!({"qty": "14"})), Value::Null);
    bench.amend_replied(&id, AmendOutcome::Unknown("lost".to_owned()));
    assert_eq!(bench.tries(6, &json!({"qty": "5"})), "limit_position", "it may have been carried out");
    bench.answer(|query| match query {
        Query::OrderByVenueId { .. } => Answer::Order(Box::new(report(&id, VenueStatus::New, 0, None))),
        other => Bench::exchange(&[], &[], other),
    });
    assert_eq!(bench.tries(7, &json!({"qty": "5"})), "limit_position", "a replica may lag");
    bench.now += Span::from_secs(5);
    let mut working = report(&id, VenueStatus::New, 0, None);
    working.time = bench.now;
    bench.gateway.report(bench.now, &working, crate::gateway::fact::Source::Query);
    assert_eq!(bench.tries(8, &json!({"qty": "4", "price": "0.3"})), "", "10, 11 and 4");
    let amended = |qty| OrderReport { qty: Qty::whole(qty), ..working.clone() };
    assert_eq!(bench.amend(9, &id, &json!({"qty": "5"})), Value::Null);
    assert_eq!(bench.amend(10, &id, &json!({"qty": "8"})), Value::Null);
    bench.amend_replied(&id, AmendOutcome::Amended(Box::new(amended(5))));
    assert_eq!(
        bench.tries(11, &json!({"qty": "3", "price": "0.4"})),
        "limit_position",
        "one is still on its way"
    );
    bench.amend_replied(&id, AmendOutcome::Amended(Box::new(amended(8))));
    assert_eq!(bench.tries(12, &json!({"qty": "2", "price": "0.5"})), "");
}

#[test]
fn r61_an_amend_to_a_higher_price_counts_at_that_at_once() {
    let mut bench = Bench::amends(session(Bounds { open_notional: of_usdt("5"), ..Bounds::default() }));
    assert_eq!(bench.tries(1, &json!({})), "");
    let id = bench.placed_id();
    bench.says(vec![accepted(&id)]);
    assert_eq!(bench.amend(2, &id, &json!({"price": "0.4"})), Value::Null);
    assert_eq!(bench.tries(3, &json!({})), "limit_open_orders", "4 and 2");
}

#[test]
fn r61_resting_orders_cannot_each_be_amended_to_the_whole_position() {
    for flags in [json!({}), json!({"reduce_only": true})] {
        let mut bench = Bench::amends(session(Bounds { position_qty: of_doge(20), ..Bounds::default() }));
        assert_eq!(bench.tries(1, &json!({"qty": "20"})), "");
        bench.fills_at(70, Side::Buy, 20, "0.2");
        let mut sold = Vec::new();
        for n in 2..12 {
            let mut changes = json!({"side": "SELL", "qty": "1", "price": "10"});
            changes.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
            assert_eq!(bench.tries(n, &changes), "", "{flags}");
            let id = bench.placed_id();
            let number = 100 + n;
            let working = OrderReport {
                venue_id: number,
                side: Side::Sell,
                price: Price::whole(10),
                qty: Qty::whole(1),
                ..report(&id, VenueStatus::New, 0, None)
            };
            bench.says(vec![event(working)]);
            sold.push(id);
        }
        let names: Vec<Value> =
            (12..).zip(&sold).map(|(n, id)| bench.amend(n, id, &json!({"qty": "11"}))).collect();
        assert_eq!(names[0], Value::Null, "{flags}");
        let name = if flags == json!({}) { Value::Null } else { json!("reduce_only") };
        assert_eq!(names[1], name, "10 more would sell 30: {flags}");
        let open = bench.gateway.orders().exposures().all().map(|(.., open)| open.sells).sum::<Qty>();
        assert!(open <= Qty::whole(if flags == json!({}) { 40 } else { 20 }), "{open}: {flags}");
    }
}

#[test]
fn r61_a_cancel_that_waits_for_its_reply_is_not_sent_again() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let cancel =
        |n: u64| json!({"id": 50 + n, "method": "cancel", "params": {"n": n, "order_id": id.as_str()}});
    let sent = |bench: &Bench| bench.script.0.borrow().canceled.len();
    for n in 2..10 {
        assert!(bench.call(&cancel(n))["error"].is_null());
    }
    assert_eq!(sent(&bench), 1);
    let refused = CancelOutcome::Rejected { code: -1, message: "no".to_owned() };
    bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: refused }]);
    bench.call(&cancel(10));
    assert_eq!(sent(&bench), 2, "it was answered");
    bench.now += Span::from_secs(5);
    bench.call(&cancel(11));
    assert_eq!(sent(&bench), 3, "a reply that never comes stops nobody");
}

#[test]
fn r61_what_only_reduces_takes_no_rate_from_others() {
    let bounds = Bounds { orders_per_second: Some(1), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds));
    assert_eq!(bench.tries(1, &json!({})), "");
    bench.fills_at(70, Side::Buy, 10, "0.2");
    bench.now += Span::from_secs(1);
    assert_eq!(bench.tries(2, &json!({"side": "SELL", "qty": "5", "price": "0.3"})), "");
    assert_eq!(bench.tries(3, &json!({})), "");
    assert_eq!(bench.tries(4, &json!({})), "limit_rate");
}

#[test]
fn r14_r61_rejected_amends_and_rejections_told_by_reports_count() {
    let mut bench = Bench::amends(session(Bounds { rejects_per_minute: Some(2), ..Bounds::default() }));
    assert_eq!(bench.tries(1, &json!({})), "");
    let id = bench.placed_id();
    bench.says(vec![accepted(&id)]);
    assert_eq!(bench.amend(2, &id, &json!({"qty": "12"})), Value::Null);
    bench.amend_replied(&id, AmendOutcome::Rejected { code: -1, message: "no".to_owned() });
    assert_eq!(bench.tries(3, &json!({})), "", "one");
    let rejected = report(&bench.placed_id(), VenueStatus::Rejected, 0, None);
    for _ in 0..2 {
        bench.says(vec![event(OrderReport { venue_id: 78, ..rejected.clone() })]);
    }
    assert_eq!(bench.tries(4, &json!({})), "limit_rejects");
}

#[test]
fn r61_a_later_subscriber_sees_the_newest_prices_of_a_book_that_limits_watch() {
    let bounds = Bounds { price_band: Some("10".parse().unwrap()), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds));
    let ask = |method: &str| json!({"id": 90, "method": method, "params": {"streams": ["dogeusdt@bbo"]}});
    bench.call(&ask("subscribe"));
    bench.says(vec![book("0.2", "0.2")]);
    bench.call(&ask("unsubscribe"));
    bench.says(vec![book("0.3", "0.3")]);
    bench.sent.clear();
    bench.call(&ask("subscribe"));
    let shown = bench.sent.iter().find(|frame| frame["stream"] == "dogeusdt@bbo").unwrap();
    assert_eq!(shown["data"]["bids"][0][0], "0.3", "{shown}");
}

#[test]
fn r61_names_that_the_exchange_does_not_have_are_told() {
    let named =
        |name: &str| Some(Caps { named: BTreeMap::from([(Symbol::new(name), Qty::whole(1))]), others: None });
    let assets = Some(Caps { named: BTreeMap::from([(Asset::new("UDST"), Cash::whole(1))]), others: None });
    let bounds = Bounds { order_qty: named("dogusdt"), loss_per_day: assets, ..Bounds::default() };
    let bench = Bench::limited(session(bounds));
    let told: Vec<_> = bench.logs.iter().filter(|line| line.starts_with("limits name what")).collect();
    assert_eq!(told.len(), 1, "{:?}", bench.logs);
    assert!(told[0].contains("names=dogusdt,UDST"), "{told:?}");
    let bench = Bench::limited(session(Bounds { order_qty: of_doge(1), ..Bounds::default() }));
    assert!(!bench.logs.iter().any(|line| line.starts_with("limits name what")));
}

fn eth() -> Instrument {
    Instrument {
        symbol: Symbol::new("ethusdt"),
        base: Asset::new("ETH"),
        holding: Asset::new("ETH"),
        ..doge()
    }
}

/// An order of session 2, of an earlier run, that the journal does not know: it filled.
fn found_filled(bench: &Bench) -> VenueEvent {
    let id = bench.gateway.order_id(bench.gateway.epoch - 1, SessionId(2), 1);
    let symbol = Symbol::new("ethusdt");
    let fill = Fill { symbol: symbol.clone(), venue_id: 500, ..fill(500, 10) };
    let seen = report(&id, VenueStatus::Filled, 10, Some(fill));
    event(OrderReport { symbol, venue_id: 500, ..seen })
}

fn eth_book(price: &str) -> VenueEvent {
    let VenueEvent::Bbo(stream, depth) = book(price, price) else { panic!("no best prices") };
    VenueEvent::Bbo(Stream { symbol: Symbol::new("ethusdt"), ..stream }, depth)
}

#[test]
fn r61_whatever_comes_to_be_held_is_watched_so_that_the_loss_can_be_said() {
    let account = Bounds { loss_per_day: of_usdt("1.5"), ..Bounds::default() };
    let mut bench = Bench::limited(limited(account, Bounds::default()));
    bench.says(vec![VenueEvent::Instruments(vec![doge(), eth()])]);
    bench.says(vec![book("0.2", "0.2")]);
    assert_eq!(bench.tries(1, &json!({})), "");
    bench.says(vec![found_filled(&bench)]);
    let reply = bench.call(&doge_order(2, &json!({})));
    let words = reply["error"]["message"].as_str().unwrap_or_default();
    assert!(words.contains("what is held of ethusdt has no price"), "{reply}");
    bench.says(vec![eth_book("0.2")]);
    assert_eq!(bench.tries(3, &json!({})), "", "10 at what they cost");
    bench.says(vec![eth_book("0.04")]);
    assert_eq!(bench.tries(4, &json!({})), "limit_loss", "1.6 is lost");

    // After a restart the exchange does not list it any more.
    let mut again =
        Bench::limited_from(bench.gateway.config.clone(), bench.journal, START + Span::from_secs(60));
    again.says(vec![book("0.2", "0.2")]);
    assert_eq!(again.tries(1, &json!({})), "", "at what it cost");
    let told = again.logs.iter().filter(|line| line.starts_with("the exchange lists no such symbol"));
    assert_eq!(told.count(), 1, "{:?}", again.logs);
}

#[test]
fn r61_a_side_of_the_book_that_is_empty_for_a_moment_takes_no_price_from_what_is_held() {
    let mut bench = Bench::limited(session(Bounds { loss_per_day: of_usdt("1.5"), ..Bounds::default() }));
    assert_eq!(bench.tries(1, &json!({})), "");
    bench.says(vec![book("0.2", "0.2")]);
    bench.fills_at(70, Side::Buy, 10, "0.2");
    let VenueEvent::Bbo(stream, depth) = book("0.2", "0.2") else { panic!("no best prices") };
    bench.says(vec![VenueEvent::Bbo(stream, crate::market::Depth { asks: Vec::new(), ..depth })]);
    assert_eq!(bench.tries(2, &json!({})), "");
}

#[test]
fn r61_open_orders_without_a_price_are_not_worth_nothing() {
    let bounds = Bounds { open_notional: of_usdt("5"), ..Bounds::default() };
    let mut bench = Bench::limited(session(bounds.clone()));
    bench.says(vec![VenueEvent::Instruments(vec![doge(), eth()]), book("0.2", "0.2")]);
    assert_eq!(bench.tries(1, &json!({"qty": "5"})), "");
    bench.says(vec![book("0.2", "0.2")]);
    assert_eq!(bench.tries(2, &json!({"type": "MARKET", "price": null})), "");
    let open = report(&bench.placed_id(), VenueStatus::New, 0, None);
    let mut again = Bench::of(session(bounds), bench.journal, Vec::new(), START + Span::from_secs(100));
    again.recover(&[open], &[]);
    again.login(None);
    assert_eq!(again.tries(1, &json!({})), "limit_book", "10 without a price are open");
    again.says(vec![book("0.2", "0.2")]);
    assert_eq!(again.tries(2, &json!({})), "", "1, 2 and 2");
    assert_eq!(again.tries(3, &json!({})), "limit_open_orders");
}

#[test]
fn r61_what_was_triggered_is_judged_like_any_order_and_a_size_with_what_is_filled() {
    let record = crate::journal::OrderRecord {
        id: ClientOrderId::foreign("x"),
        session: Some(SessionId(1)),
        symbol: Symbol::new("dogeusdt"),
        side: Side::Sell,
        order_type: Some(OrderType::StopLossLimit),
        tif: Some(Tif::Gtc),
        price: Some("0.19".parse().unwrap()),
        stop: Some("0.2".parse().unwrap()),
        qty: Qty::whole(10),
        quote_amount: None,
        forced: None,
        instructions: Instructions::default(),
        conditional: true,
        time: START,
    };
    let mut orders = crate::order::table::Orders::default();
    orders.insert(&record);
    orders.update(&record.id, |order| (order.venue_id, order.filled) = (Some(7), Qty::whole(4)));
    let (doge, order) = (perpetual(), orders.get(&record.id).unwrap());
    let asked = crate::gateway::limits::asked_by_amend(&doge, order, Qty::whole(12), None).unwrap();
    assert_eq!(asked.stop, None);
    assert_eq!((asked.qty, asked.total), (Some(Qty::whole(8)), Some(Qty::whole(12))));
}

/// An order as the exchange of the property below has it.
struct Live {
    id: ClientOrderId,
    side: Side,
    qty: i64,
    filled: i64,
    number: u64,
}

impl Live {
    fn says(&self, status: VenueStatus, fill: Option<Fill>) -> VenueEvent {
        let seen = report(&self.id, status, self.filled, fill);
        event(OrderReport { venue_id: self.number, side: self.side, qty: Qty::whole(self.qty), ..seen })
    }

    /// Fills so much more of it.
    fn fills(&mut self, trade_id: u64, qty: i64, now: Time) -> VenueEvent {
        self.filled += qty;
        let over = self.filled == self.qty;
        let status = if over { VenueStatus::Filled } else { VenueStatus::PartiallyFilled };
        let fill = Fill { venue_id: self.number, side: self.side, time: now, ..fill(trade_id, qty) };
        self.says(status, Some(fill))
    }
}

/// What the exchange alone knows: what was filled, and what it has open, whatever the gateway was told of that.
#[derive(Default)]
struct Naive {
    live: Vec<Live>,
    net: i64,
}

impl Naive {
    /// The position after all open orders of a side.
    fn worst(&self, side: Side) -> i64 {
        let open = self.live.iter().filter(|order| order.side == side).map(|order| order.qty - order.filled);
        open.sum::<i64>() + if side == Side::Buy { self.net } else { -self.net }
    }

    /// Something happens to an order: told, filled, ended, or its reply is lost. What is said of it.
    fn happens(&mut self, rng: &mut fastrand::Rng, trade_id: u64, now: Time) -> Option<VenueEvent> {
        let at = rng.usize(..self.live.len().max(1));
        let order = self.live.get_mut(at)?;
        match rng.u8(..6) {
            0 => Some(order.says(VenueStatus::New, None)).filter(|_| order.filled == 0),
            1 => Some(lost(&order.id)),
            2 => Some(self.live.swap_remove(at).says(VenueStatus::Canceled, None)),
            _ => {
                let qty = rng.i64(1..=order.qty - order.filled);
                let said = order.fills(trade_id, qty, now);
                self.net += if order.side == Side::Buy { qty } else { -qty };
                self.live.retain(|order| order.filled < order.qty);
                Some(said)
            }
        }
    }
}

/// Whatever is filled, ends or is in doubt, in whatever order: the exchange never has enough open to take the position
/// beyond its limit, and nothing is refused that would not do so.
#[test]
fn r61_no_fill_takes_a_position_beyond_its_limit_and_no_order_is_refused_in_vain() {
    let (mut sent, mut refused) = (0, 0);
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let cap = rng.i64(8..60);
        let mut bench = Bench::limited(session(Bounds { position_qty: of_doge(cap), ..Bounds::default() }));
        let mut naive = Naive::default();
        for n in 1..80 {
            bench.now += Span::from_millis(1);
            if rng.bool() {
                let said = naive.happens(&mut rng, n, bench.now + Span::from_secs(40));
                bench.says(said.into_iter().collect());
            } else {
                let (side, qty) = (if rng.bool() { Side::Buy } else { Side::Sell }, rng.i64(5..25));
                let within = naive.worst(side) + qty <= cap;
                let name = bench.tries(n, &json!({"side": side.as_str(), "qty": qty.to_string()}));
                assert_eq!(name, if within { "" } else { "limit_position" }, "seed {seed}, step {n}");
                if within {
                    let id = bench.placed_id();
                    naive.live.push(Live { id, side, qty, filled: 0, number: 1_000 + n });
                }
                *if within { &mut sent } else { &mut refused } += 1;
            }
            assert!(naive.worst(Side::Buy) <= cap && naive.worst(Side::Sell) <= cap, "seed {seed}, step {n}");
            assert_eq!(bench.net(), Qty::whole(naive.net), "seed {seed}, step {n}");
        }
    }
    assert!(sent > 1_000 && refused > 1_000, "{sent} sent, {refused} refused");
}
