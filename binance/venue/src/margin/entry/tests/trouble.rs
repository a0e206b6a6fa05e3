//! What the venue refuses, forbids, says late, or says in words not known.

use super::*;

#[test]
fn what_the_margin_stream_says_and_is_not_understood_is_told_once() {
    let mut bench = Bench::up();
    let cases = [
        (
            json!({"e": "MARGIN_LEVEL_STATUS_CHANGE", "l": ["1.25"], "s": "MARGIN_CALL"}).to_string(),
            "MARGIN_LEVEL",
        ),
        (json!({"e": "LIQUIDATION_NEAR"}).to_string(), "LIQUIDATION_NEAR"),
        ("garbage".to_owned(), "\"\""),
    ];
    for (text, name) in cases {
        bench.input(bench.risk, LinkInput::Text(&text));
        bench.input(bench.risk, LinkInput::Text(&text));
        let warnings = bench.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(name), "{text}: {warnings:?}");
    }
}

#[test]
fn r39_while_the_address_is_banned_nothing_is_asked() {
    let mut bench = Bench::up();
    let query = Query::Income { since: Time::from_millis(START - HOUR) };
    let path = "/sapi/v1/margin/interestHistory";
    bench.entry.query(bench.now, 7, &query, &mut bench.out);
    let asked = bench.asked(path);
    let (headers, body) =
        ([("retry-after".to_owned(), "600".to_owned())], r#"{"code":-1003,"msg":"banned"}"#);
    bench.input(asked.link, LinkInput::Response { status: 418, headers: &headers, body });
    let events = bench.events();
    assert!(
        matches!(events.as_slice(), [VenueEvent::Answer { answer: Answer::Failed(_), .. }]),
        "{events:?}"
    );
    // Asked again, it waits for the end; so does the key that is needed now.
    bench.entry.query(bench.now, 8, &query, &mut bench.out);
    let expired = json!({"e": "listenKeyExpired", "E": START}).to_string();
    bench.input(bench.risk, LinkInput::Text(&expired));
    bench.take(|action| matches!(action, LinkAction::Close { .. }).then_some(()));
    bench.pass(Span::from_secs(599));
    assert!(bench.all_asked(path).is_empty() && bench.out.actions.is_empty(), "{:?}", bench.out.actions);
    assert_eq!(bench.warnings().len(), 1, "the key's end, and no answer");
    bench.now += Span::from_secs(1);
    bench.entry.timer(bench.now, &mut bench.out);
    let asked = bench.asked(path);
    bench.answer(&asked, &json!({"rows": [], "total": 0}).to_string());
    let events = bench.events();
    assert!(matches!(events.as_slice(), [VenueEvent::Answer { request: 8, answer: Answer::Income(_) }]));
    let keys = bench.all_asked(RISK_KEY).len();
    bench.now += Span::from_secs(30);
    bench.entry.timer(bench.now, &mut bench.out);
    assert_eq!(keys + bench.all_asked(RISK_KEY).len(), 1, "and the key");
}

#[test]
fn r39_a_token_waits_for_the_end_of_a_stop() {
    let mut bench = Bench::up();
    bench.entry.query(bench.now, 7, &Query::Account, &mut bench.out);
    let asked = bench.asked("/sapi/v1/margin/account");
    let (headers, body) =
        ([("retry-after".to_owned(), "20".to_owned())], r#"{"code":-1003,"msg":"slow down"}"#);
    bench.input(asked.link, LinkInput::Response { status: 429, headers: &headers, body });
    assert_eq!(bench.events(), [], "asked again later");
    let stop = bench.now + Span::from_secs(20);
    bench.text(&json!({"event": {"e": "serverShutdown", "E": START}}));
    bench.log_on();
    assert!(bench.all_asked(TOKEN).is_empty());
    while bench.now < stop {
        assert!(bench.all_asked(TOKEN).is_empty(), "{} s too early", stop.since(bench.now).millis() / 1_000);
        let due = bench.entry.deadline().unwrap();
        bench.pass(due.since(bench.now));
    }
    bench.token("token-2", 24 * HOUR);
    bench.subscribe("token-2");
    assert!(!bench.events().iter().any(|event| matches!(event, VenueEvent::EntryDown(_))));
}

#[test]
fn a_cancel_of_an_order_that_an_event_has_shown_does_not_wait_for_its_reply() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    bench.place("o-2").unwrap();
    bench.all_asked(ORDER);
    // One cancelled after its event, one before.
    let known = Cancel { venue_id: Some(27), ..cancel("o-1") };
    bench.entry.cancel(bench.now, &known, &mut bench.out).unwrap();
    assert_eq!(bench.asked(ORDER).params["orderId"], "27");
    bench.entry.cancel(bench.now, &cancel("o-2"), &mut bench.out).unwrap();
    assert!(bench.all_asked(ORDER).is_empty());
    let event = json!({"e": "executionReport", "E": START, "s": "DOGEUSDT", "c": "o-2", "S": "SELL",
        "o": "LIMIT", "f": "GTC", "q": "1000", "p": "0.2", "P": "0", "F": "0", "g": -1, "C": "", "x": "NEW",
        "X": "NEW", "r": "NONE", "i": 28, "l": "0", "z": "0", "L": "0", "n": "0", "N": null, "T": START, "t": -1,
        "I": 1, "w": true, "m": false, "M": false, "O": START, "Z": "0", "Y": "0", "Q": "0", "W": START,
        "V": "NONE"});
    bench.text(&json!({"subscriptionId": 0, "event": event}));
    let asked = bench.asked(ORDER);
    assert_eq!((asked.method, asked.params["origClientOrderId"].as_str()), ("DELETE", "o-2"));
    assert!(matches!(bench.events().as_slice(), [VenueEvent::Report(_)]));
}

#[test]
fn an_account_without_a_wallet_is_refused_whatever_was_asked() {
    let mut bench = Bench::up();
    let since = Time::from_millis(START - HOUR);
    let cases = [
        (Query::Account, "/sapi/v1/margin/account"),
        (Query::Income { since }, "/sapi/v1/margin/interestHistory"),
    ];
    for (query, path) in cases {
        bench.entry.query(bench.now, 7, &query, &mut bench.out);
        let asked = bench.asked(path);
        bench.refuse(&asked, 400, -3003, "Margin account does not exist.");
        let events = bench.events();
        let [VenueEvent::Refused(words), VenueEvent::Answer { .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert!(words.contains("no cross-margin wallet"), "{words}");
    }
}

#[test]
fn r02_a_refusal_that_comes_late_is_a_refusal() {
    let mut bench = Bench::up();
    let closed = |action: &LinkAction| matches!(action, LinkAction::Close { .. }).then_some(());
    let refusal = "Account has insufficient balance for requested action.";
    bench.place("o-1").unwrap();
    let asked = bench.asked(ORDER);
    bench.pass(Span::from_secs(13));
    assert!(matches!(bench.outcome(), PlaceOutcome::Unknown(_)));
    assert_eq!(bench.take(closed), []);
    bench.refuse(&asked, 400, -2010, refusal);
    assert!(matches!(bench.outcome(), PlaceOutcome::Rejected { code: -2010, .. }), "after the time was over");
    bench.place("o-2").unwrap();
    bench.place("o-3").unwrap();
    let asked = bench.all_asked(ORDER);
    bench.input(bench.session, LinkInput::Down("gone"));
    let events = bench.events();
    assert!(matches!(
        events.as_slice(),
        [
            VenueEvent::Placed { outcome: PlaceOutcome::Unknown(_), .. },
            VenueEvent::Placed { outcome: PlaceOutcome::Unknown(_), .. },
            VenueEvent::EntryDown(_)
        ]
    ));
    bench.refuse(&asked[0], 400, -2010, refusal);
    assert!(matches!(bench.outcome(), PlaceOutcome::Rejected { code: -2010, .. }), "after the loss");
    bench.refuse(&asked[1], 504, -1007, "Timeout waiting for response from backend server.");
    assert_eq!(bench.events(), [], "nothing new");
    assert_eq!(bench.take(closed), []);
}

#[test]
fn r39_too_many_orders_hold_orders_and_no_cancels() {
    let mut bench = Bench::up();
    bench.place("o-1").unwrap();
    let asked = bench.asked(ORDER);
    bench.refuse(&asked, 429, -1003, "Too many requests; current limit is 180000 weight per MINUTE by UID.");
    assert!(matches!(bench.outcome(), PlaceOutcome::Rejected { .. } | PlaceOutcome::Unknown(_)));
    let minute = Time::from_millis(1_700_000_040_030);
    assert_eq!(bench.place("o-2"), Err(NotSent::RateLimited { retry_at: minute }));
    bench.entry.cancel(bench.now, &cancel("o-0"), &mut bench.out).unwrap();
    assert_eq!(bench.asked(ORDER).method, "DELETE");
    bench.now = minute;
    bench.place("o-2").unwrap();
}
