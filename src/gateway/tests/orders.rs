//! Orders: what is told of them, in whatever order the facts come.

use super::*;

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
fn r58_a_store_that_cannot_write_stops_orders_not_cancels() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.input(Input::StoreFailed("disk full".to_owned()));
    let refused = bench.call(&json!({"id": 9, "method": "order", "params": {"n": 2, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
    assert_eq!(refused["error"]["name"], "store_failed");
    bench.hold_commits = true;
    for _ in 0..100 {
        let again = bench.call(&doge_order(2, &json!({})));
        assert_eq!(again["error"], refused["error"], "as long as this run lasts");
    }
    for n in 3..100 {
        assert_eq!(bench.call(&doge_order(n, &json!({})))["error"]["name"], "store_failed");
    }
    assert!(bench.waiting.is_empty(), "refusals do not pile up behind a disk that takes nothing");
    bench.hold_commits = false;
    let cancel =
        bench.call(&json!({"id": 10, "method": "cancel", "params": {"n": 100, "order_id": id.as_str()}}));
    assert_eq!(cancel["result"]["order_id"], id.as_str());
    bench.input(Input::StoreRecovered);
    bench.order(101);
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
    let outcome = PlaceOutcome::Rejected { code: -2010, message, for_now: false };
    bench.says(vec![VenueEvent::Placed { id, outcome }]);
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
fn row_004_18_a_watching_session_sends_nothing() {
    let mut bench = Bench::ready();
    (bench.trading, bench.take_over) = (false, true);
    bench.login(None);
    assert_eq!(bench.call(&doge_order(1, &json!({})))["error"]["name"], "non_trading");
    assert!(bench.script.0.borrow().placed.is_empty());
}

#[test]
fn a_reply_that_overtakes_its_events_asks_for_nothing() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let outcome = PlaceOutcome::Accepted(Box::new(report(&id, VenueStatus::Filled, 10, None)));
    bench.says(vec![VenueEvent::Placed { id: id.clone(), outcome: outcome.clone() }]);
    assert_eq!(bench.events(), ["snapshot", "NEW 0"], "the end waits for its fill");
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(2, 6))))]);
    bench.wait(Span::from_secs(1));
    assert_eq!(bench.events().last().unwrap(), "FILLED 10");
    assert!(bench.script.0.borrow().queries.is_empty());
    let warned = |bench: &Bench| bench.logs.iter().any(|line| line.starts_with("fills are missing"));
    assert!(!warned(&bench), "{:?}", bench.logs);
    // And if the events never come, it is asked for.
    let id = bench.order(2);
    let mut lost = report(&id, VenueStatus::Filled, 10, None);
    lost.venue_id = 78;
    bench.says(vec![VenueEvent::Placed { id, outcome: PlaceOutcome::Accepted(Box::new(lost)) }]);
    bench.wait(Span::from_secs(1));
    let asked: Vec<Query> = bench.script.0.borrow().queries.iter().map(|(_, q)| q.clone()).collect();
    assert_eq!(asked, [Query::TradesOfOrder { symbol: Symbol::new("dogeusdt"), venue_id: 78 }]);
    assert!(!warned(&bench), "the events may yet come");
    bench.answer(|_| Answer::Trades(vec![Fill { venue_id: 78, ..fill(3, 10) }]));
    assert_eq!(bench.events().last().unwrap(), "FILLED 10");
    assert!(warned(&bench));
}

#[test]
fn r17_an_event_that_counts_more_than_was_told_is_looked_into_at_once_also_behind_a_reply() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let outcome = PlaceOutcome::Accepted(Box::new(report(&id, VenueStatus::Filled, 10, None)));
    bench.says(vec![VenueEvent::Placed { id: id.clone(), outcome }]);
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(2, 6))))]);
    let asked: Vec<Query> = bench.script.0.borrow().queries.iter().map(|(_, q)| q.clone()).collect();
    assert_eq!(asked, [Query::TradesOfOrder { symbol: Symbol::new("dogeusdt"), venue_id: 77 }]);
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
fn r72_a_command_number_beyond_reason_is_refused() {
    let mut bench = Bench::ready();
    for n in [0, 1 << 53, u64::MAX] {
        let reply = bench.call(&json!({"id": 7, "method": "order", "params": {"n": n, "symbol": "dogeusdt",
            "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}));
        assert!(reply["error"].is_object(), "{n}: {reply}");
    }
    bench.order(1);
    bench.input(Input::ClientClosed(bench.conn));
    bench.pending = json!([{"epoch": 1, "method": "order", "params": {"n": u64::MAX, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}},
        {"epoch": bench.gateway.epoch, "method": "cancel", "params": {"n": u64::MAX, "order_id": "x"}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["next_command"], 2, "{reply}");
    assert!(reply["result"]["answers"][0]["error"].is_object(), "{reply}");
    bench.order(2);
}

#[test]
fn an_order_may_be_amended_any_number_of_times() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    for n in 2..302 {
        let amend =
            json!({"id": n, "method": "amend", "params": {"n": n, "order_id": id.as_str(), "qty": "6"}});
        assert_eq!(bench.call(&amend)["result"]["order_id"], id.as_str());
    }
}

#[test]
fn r47_a_second_order_under_one_of_our_ids_is_another_gateways() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let mut other = report(&id, VenueStatus::Filled, 10, Some(fill(9, 10)));
    other.venue_id = 78;
    if let Some(fill) = &mut other.fill {
        fill.venue_id = 78;
    }
    bench.says(vec![event(other)]);
    assert_eq!(bench.net(), Qty::ZERO, "not this order's fill");
    assert_eq!(bench.events().last().unwrap(), "NEW 0", "nor its end");
    let external = bench.gateway.books().asset(crate::journal::Owner::External, &Asset::new("DOGE"));
    assert_eq!(external, Cash::whole(10));
    assert_eq!(bench.call(&doge_order(2, &json!({})))["error"]["name"], "foreign_gateway");
}

#[test]
fn r12_two_cancels_refused_before_the_order_is_answered_end_nothing() {
    for second in [
        CancelOutcome::Rejected { code: -1021, message: "timestamp".to_owned() },
        CancelOutcome::UnknownOrder,
        CancelOutcome::Unknown("-1007".to_owned()),
    ] {
        let mut bench = Bench::ready();
        let id = bench.order(1);
        for n in [2, 3] {
            bench.call(&json!({"id": n, "method": "cancel", "params": {"n": n, "order_id": id.as_str()}}));
        }
        let refused = CancelOutcome::Rejected { code: -1021, message: "timestamp".to_owned() };
        bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: refused }]);
        bench.says(vec![VenueEvent::CancelReply { id: id.clone(), outcome: second }]);
        assert!(bench.gateway.orders().get(&id).is_some_and(|o| !o.state.is_over()));
        bench.says(vec![accepted(&id)]);
        assert_eq!(bench.events().last().unwrap(), "NEW 0");
    }
}

#[test]
fn nothing_is_told_twice_when_the_reply_comes_before_the_first_report() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    let filled = report(&id, VenueStatus::Filled, 10, None);
    bench
        .says(vec![VenueEvent::Placed { id: id.clone(), outcome: PlaceOutcome::Accepted(Box::new(filled)) }]);
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    bench.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    assert_eq!(bench.events(), ["snapshot", "NEW 0", "FILLED 10"]);
    let words: Vec<&str> = bench
        .journal
        .iter()
        .filter_map(|r| if let Record::OrderState(state) = r { Some(state.state.as_str()) } else { None })
        .collect();
    assert_eq!(words, ["NEW", "FILLED"]);
}

#[test]
fn a_refusal_says_what_was_found_in_its_unit_and_what_to_do() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let amend = json!({"id": 5, "method": "amend", "params": {"n": 2, "order_id": id.as_str(), "qty": "20"}});
    let all_of =
        |symbol: &str| json!({"id": 6, "method": "cancel_all", "params": {"n": 6, "symbol": symbol}});
    for (call, name, words) in [
        (doge_order(3, &json!({"qty": "4"})), "notional", "0.8 USDT; dogeusdt takes 1 USDT at least"),
        (doge_order(4, &json!({"qty": "0"})), "qty_range", "below one lot (1) is rounded down to 0"),
        (doge_order(5, &json!({"qty": "-1"})), "qty_range", "1000000 of dogeusdt"),
        (all_of("foousdt"), "invalid_symbol", "foousdt"),
        (
            json!({"id": 7, "method": "history", "params": {"symbol": "dogeusdt", "interval": "1m", "count": 5000}}),
            "bad_request",
            "1000 bars at most",
        ),
    ] {
        let error = bench.call(&call)["error"].clone();
        assert_eq!(error["name"], name, "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    let mut amend = amend;
    amend["params"]["n"] = json!(8);
    let error = bench.call(&amend)["error"].clone();
    assert!(
        error["message"].as_str().unwrap().contains("above 10: an order of dogeusdt can only be reduced"),
        "{error}"
    );
    let mut all = all_of("dogeusdt");
    all["params"]["n"] = json!(9);
    assert_eq!(bench.call(&all)["result"]["order_ids"], json!([id.as_str()]));
}

#[test]
fn an_order_worth_more_than_any_amount_kept_is_refused() {
    let mut bench = Bench::ready();
    let open = Grid { min: Default::default(), max: Default::default(), step: Default::default() };
    let lots = Grid { min: Qty::ZERO, max: Qty::ZERO, step: Qty::ZERO };
    bench.says(vec![VenueEvent::Instruments(vec![Instrument { price: open, qty: lots, ..doge() }])]);
    for (n, price, qty) in [(1, "1000000000000000", "2"), (2, "1000000000000000", "1000000000000000")] {
        let reply = bench.call(&doge_order(n, &json!({"price": price, "qty": qty})));
        assert!(reply["error"]["message"].as_str().unwrap().contains("10^15 at most"), "{reply}");
    }
    let reply = bench.call(&doge_order(3, &json!({"price": "1000000000000000", "qty": "1"})));
    assert!(reply["result"].is_object(), "{reply}");
}

#[test]
fn r73_a_session_reaches_no_order_of_another() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let owner = bench.conn;
    bench.login_as(2, None);
    let calls = [
        json!({"id": 21, "method": "cancel", "params": {"n": 1, "order_id": id}}),
        json!({"id": 22, "method": "amend", "params": {"n": 2, "order_id": id, "qty": "5"}}),
    ];
    for call in calls {
        assert_eq!(bench.call(&call)["error"]["name"], "unknown_order", "{call}");
    }
    let all = bench.call(&json!({"id": 23, "method": "cancel_all", "params": {"n": 3}}));
    assert_eq!(all["result"]["order_ids"], json!([]));
    let orders = bench.call(&json!({"id": 24, "method": "orders", "params": {}}));
    assert_eq!(orders["result"]["orders"], json!([]), "nor does it see it");
    let asked = |bench: &Bench| {
        let script = bench.script.0.borrow();
        (script.canceled.len(), script.amended.len())
    };
    assert_eq!(asked(&bench), (0, 0));
    bench.conn = owner;
    bench.call(&json!({"id": 25, "method": "cancel", "params": {"n": 2, "order_id": id}}));
    assert_eq!(asked(&bench), (1, 0), "its own session does");
}

#[test]
fn r17_missing_fills_are_asked_for_by_one_question_at_a_time_however_many_fills_follow() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let asked = |bench: &Bench| {
        let script = bench.script.0.borrow();
        script.queries.iter().filter(|(_, q)| matches!(q, Query::TradesOfOrder { .. })).count()
    };
    // The first fill is lost; each further one tells so.
    for n in 2..10 {
        let filled = report(&id, VenueStatus::PartiallyFilled, n, Some(fill(n as u64, 1)));
        bench.says(vec![event(filled)]);
        assert_eq!(asked(&bench), 1, "fill {n}");
        if n % 2 == 0 {
            bench.answer(|query| Bench::exchange(&[], &[], query));
            assert_eq!(asked(&bench), 0);
        }
    }
    bench.answer(|query| Bench::exchange(&[], &[], query));
    bench.wait(Span::from_secs(2));
    assert_eq!(asked(&bench), 1, "and it is asked on");
    bench.answer(|query| Bench::exchange(&[], &[fill(1, 1)], query));
    assert_eq!(bench.net(), Qty::whole(9));
    bench.wait(Span::from_secs(2));
    assert_eq!(asked(&bench), 0);
}

#[test]
fn r11_cancel_all_beyond_the_budget_says_what_was_sent_and_goes_on_where_it_stopped() {
    let mut bench = Bench::ready();
    let ids: Vec<ClientOrderId> = (1..=3).map(|n| bench.order(n)).collect();
    bench.says(ids.iter().map(accepted).collect());
    let all = |n: u64| json!({"id": n, "method": "cancel_all", "params": {"n": n}});
    let retry_at = bench.now + Span::from_millis(850);
    let short = NotSent::RateLimited { retry_at };
    bench.script.0.borrow_mut().refuse_cancels = Some((0, short.clone()));
    let none = bench.call(&all(10))["error"].clone();
    assert_eq!((&none["name"], &none["retry_after_ms"]), (&json!("rate_limited"), &json!(851)), "{none}");
    bench.script.0.borrow_mut().refuse_cancels = Some((2, short));
    let part = bench.call(&all(11))["result"].clone();
    assert_eq!(part["order_ids"], json!([ids[0].as_str(), ids[1].as_str()]), "{part}");
    let why = &part["stopped_by"];
    assert_eq!((&why["name"], &why["retry_after_ms"]), (&json!("rate_limited"), &json!(851)), "{part}");
    assert!(why["message"].as_str().unwrap().contains("2 of 3 cancels were sent"), "{part}");
    bench.script.0.borrow_mut().refuse_cancels = None;
    let rest = bench.call(&all(12))["result"].clone();
    assert!(rest["stopped_by"].is_null() && rest["order_ids"].as_array().unwrap().len() == 3, "{rest}");
    let canceled: Vec<_> = bench.script.0.borrow().canceled.iter().map(|cancel| cancel.id.clone()).collect();
    assert_eq!(canceled, ids, "each was asked for once");
}
