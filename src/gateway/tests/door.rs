//! Letting clients in, and what they missed.

use super::*;
use crate::session::EVENTS_WARN;

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
    let mut long = login(7, "00");
    long["name"] = json!("x".repeat(257));
    assert_eq!(call(&mut bench, 8, "login", long), "bad_request");
}

#[test]
fn r73_a_session_with_a_token_of_its_own_is_let_in_by_that_alone() {
    let mut bench = Bench::ready();
    bench.gateway.config.session_tokens.insert(SessionId(7), "own".repeat(20));
    let main = bench.gateway.config.token.clone();
    let mut conn = 200;
    let mut attempt = |hello_as: Option<u16>, login_as: u16, token: &str| {
        conn += 1;
        bench.conn = ConnId(conn);
        bench.input(Input::ClientOpened(bench.conn));
        let nonce = "cd".repeat(16);
        let mut params = json!({"version": 1, "nonce": nonce});
        if let Some(session) = hello_as {
            params["session_id"] = json!(session);
        }
        let hello = bench.call(&json!({"id": 1, "method": "hello", "params": params}))["result"].clone();
        let theirs = hello["nonce"].as_str().unwrap();
        let known = proof::is_gateway(token, &nonce, theirs, hello["proof"].as_str().unwrap());
        let proof = proof::of_client(token, &nonce, theirs, login_as);
        let params = json!({"session_id": login_as, "trading": false, "proof": proof});
        let reply = bench.call(&json!({"id": 2, "method": "login", "params": params}));
        (known, reply["error"]["name"].as_str().unwrap_or("in").to_owned())
    };
    let own = "own".repeat(20);
    let told = |known: bool, name: &str| (known, name.to_owned());
    assert_eq!(attempt(Some(7), 7, &own), told(true, "in"));
    assert_eq!(attempt(Some(7), 7, &main), told(false, "bad_proof"), "not by the token of all");
    assert_eq!(attempt(Some(8), 8, &main), told(true, "in"));
    assert_eq!(attempt(Some(9), 9, &own), told(false, "bad_proof"), "no other session by it");
    assert_eq!(attempt(Some(7), 9, &own), told(true, "bad_proof"), "whatever hello said");
    assert_eq!(attempt(None, 10, &main), told(true, "in"), "a client that does not say");
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
fn r56_a_strategy_away_for_long_gets_everything_it_missed() {
    let mut bench = Bench::ready();
    bench.input(Input::ClientClosed(bench.conn));
    let many = crate::gateway::queue::PRIVATE_MAX as u64 + 500;
    for n in 0..many {
        bench.gateway.notice(bench.now, SessionId(1), "n", n.to_string(), None);
    }
    bench.input(Input::Timer);
    let reply = bench.login(Some((bench.gateway.generation, 0)));
    assert_eq!(reply["result"]["resume"], "events");
    let seqs: Vec<u64> = bench.sent.iter().filter_map(|f| f["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=many).collect::<Vec<_>>());
    assert!(bench.closed.is_empty(), "{:?}", bench.closed);
}

#[test]
fn a_cursor_ahead_of_the_journal_shows_that_it_is_an_older_copy() {
    let mut first = Bench::ready();
    let notices = |bench: &mut Bench, count: u32| {
        for n in 0..count {
            bench.gateway.notice(bench.now, SessionId(1), "n", n.to_string(), None);
        }
        bench.input(Input::Timer);
    };
    notices(&mut first, 2);
    let (generation, copy) = (first.gateway.generation, first.journal.len());
    notices(&mut first, 7);
    assert_eq!(first.events().iter().filter(|event| event.starts_with("notice")).count(), 9);
    // The same machine, the same boot: nothing but the strategy knows.
    let mut bench = Bench::new(first.journal[..copy].to_vec(), Vec::new(), START + Span::from_secs(60));
    assert_eq!(bench.gateway.generation, generation);
    bench.login_as(2, Some((generation, 0)));
    let other = bench.conn;
    // What this run makes was told to nobody yet.
    notices(&mut bench, 20);
    let reply = bench.login(Some((generation, 9)));
    let anew = reply["result"]["last"]["gen"].as_u64().unwrap();
    assert!(anew > generation, "{reply}");
    assert_eq!(reply["result"]["resume"], "snapshot");
    assert_eq!(bench.closed, [(other, 1012)], "its numbers, too, would mean other events");
    let error = bench.logs.iter().find(|log| log.contains("it lacks events that were told")).unwrap();
    assert!(error.contains("session=1 told=9 last=2"), "{error}");
    // A number that nobody was told costs the others nothing.
    bench.take_over = true;
    bench.login_as(2, Some((anew, 0)));
    let reply = bench.login(Some((anew, 1_000)));
    assert_eq!(
        (&reply["result"]["last"]["gen"], &reply["result"]["resume"]),
        (&json!(anew), &json!("snapshot"))
    );
    assert!(
        !bench.closed.contains(&(other, 4001)) && bench.closed.iter().filter(|c| c.1 == 1012).count() == 1
    );
}

#[test]
fn c6_acknowledged_events_are_kept_as_long_as_retention_says_over_restarts_too() {
    let mut bench = Bench::ready();
    let (generation, told) = (bench.gateway.generation, bench.now);
    for n in 0..5 {
        bench.gateway.notice(bench.now, SessionId(1), "n", n.to_string(), None);
    }
    bench.input(Input::Timer);
    let ack = format!(r#"{{"method":"ack","params":{{"gen":{generation},"seq":3}}}}"#);
    bench.input(Input::ClientFrame(bench.conn, &ack));
    bench.wait(Span::from_millis(20));
    let retention = config().retention;
    let (soon, late) = (retention + Span::from_secs(-1), retention + Span::from_secs(1));
    for (later, resume) in [(soon, "events"), (late, "snapshot")] {
        let mut bench = Bench::new(bench.journal.clone(), Vec::new(), told + later);
        bench.input(Input::Timer);
        let reply = bench.login(Some((generation, 1)));
        assert_eq!(reply["result"]["resume"], resume, "{later:?} after they were told");
        let told: Vec<u64> = bench.sent.iter().filter_map(|f| f["seq"].as_u64()).collect();
        let all = if resume == "events" { vec![2, 3, 4, 5] } else { vec![3, 4, 5] };
        assert_eq!(told, all, "a snapshot stands for what was acknowledged, never for the others");
        let mut bench = Bench::new(bench.journal, Vec::new(), START + retention * 100);
        bench.input(Input::Timer);
        bench.login(Some((generation, 3)));
        let seqs: Vec<u64> = bench.sent.iter().filter_map(|f| f["seq"].as_u64()).collect();
        assert_eq!(seqs, [4, 5], "the others stay however old");
    }
}

#[test]
fn c6_an_acknowledgement_is_written_with_what_follows_or_soon_by_itself() {
    let mut bench = Bench::ready();
    let generation = bench.gateway.generation;
    let tell = |bench: &mut Bench| {
        bench.gateway.notice(bench.now, SessionId(1), "n", String::new(), None);
        bench.input(Input::Timer);
    };
    let ack = |bench: &mut Bench, seq: u64| {
        let frame = format!(r#"{{"method":"ack","params":{{"gen":{generation},"seq":{seq}}}}}"#);
        bench.input(Input::ClientFrame(bench.conn, &frame));
    };
    let written = |bench: &Bench| {
        let acks = bench.journal.iter().filter(|record| matches!(record, Record::Ack { .. }));
        (acks.count(), bench.batches.len())
    };
    tell(&mut bench);
    tell(&mut bench);
    let (acks, batches) = written(&bench);
    ack(&mut bench, 1);
    assert_eq!(written(&bench), (acks, batches), "nothing waits for it");
    tell(&mut bench);
    assert_eq!(written(&bench), (acks + 1, batches + 1));
    ack(&mut bench, 2);
    ack(&mut bench, 3);
    assert_eq!(written(&bench), (acks + 1, batches + 1));
    bench.wait(Span::from_millis(20));
    assert_eq!(written(&bench), (acks + 3, batches + 2), "and it is not left for ever");
}

#[test]
fn c6_a_snapshot_and_what_follows_it_come_in_order() {
    let mut bench = Bench::ready();
    for n in 0..3 {
        bench.gateway.notice(bench.now, SessionId(1), "n", n.to_string(), None);
    }
    bench.input(Input::Timer);
    bench.input(Input::ClientClosed(bench.conn));
    bench.hold_commits = true;
    bench.gateway.notice(bench.now, SessionId(1), "n", "not committed yet".to_owned(), None);
    bench.login(Some((1, 1)));
    bench.gateway.notice(bench.now, SessionId(1), "n", "after the login".to_owned(), None);
    bench.input(Input::Timer);
    assert_eq!(
        bench.sent.iter().filter(|f| f["event"] == "notice").count(),
        0,
        "nothing before the snapshot"
    );
    bench.commit();
    assert_eq!(bench.events(), ["snapshot", "notice n", "notice n", "notice n", "notice n", "notice n"]);
    let seqs: Vec<u64> = bench.sent.iter().filter_map(|f| f["seq"].as_u64()).collect();
    assert_eq!(seqs, [0, 1, 2, 3, 4, 5], "of the numbering in force none was handled");
}

#[test]
fn c6_a_session_that_acknowledges_nothing_is_warned_before_events_are_dropped() {
    let mut bench = Bench::ready();
    bench.input(Input::ClientClosed(bench.conn));
    let warned = |bench: &Bench| bench.logs.iter().filter(|log| log.contains("not acknowledged")).count();
    for n in 1..EVENTS_WARN {
        bench.gateway.notice(bench.now, SessionId(1), "n", n.to_string(), None);
    }
    bench.input(Input::Timer);
    assert_eq!(warned(&bench), 0);
    bench.gateway.notice(bench.now, SessionId(1), "n", "one more".to_owned(), None);
    bench.input(Input::Timer);
    assert_eq!(warned(&bench), 1);
    bench.login(None);
    assert_eq!(bench.events().last().unwrap(), "notice unacknowledged");
}

#[test]
fn an_order_that_comes_while_stopping_is_refused() {
    let mut bench = Bench::ready();
    // The end waits for the journal; a client may still speak meanwhile.
    bench.hold_commits = true;
    bench.input(Input::Stop);
    assert_eq!(bench.closed, [(bench.conn, 1001)]);
    bench.call(&doge_order(1, &json!({})));
    bench.commit();
    let reply =
        bench.sent.iter().find(|frame| frame["error"].is_object()).expect("every command is answered");
    assert_eq!(reply["error"]["code"], ErrorCode::Stopping.code(), "{reply}");
    assert!(bench.script.0.borrow().placed.is_empty());
}

#[test]
fn r58_a_client_that_asks_on_while_nothing_is_committed_is_closed_and_costs_no_more() {
    let mut bench = Bench::ready();
    bench.hold_commits = true;
    bench.order(1);
    let ask = |bench: &mut Bench, id: u64| {
        bench.call(&json!({"id": id, "method": "orders", "params": {}}));
    };
    for id in 0..crate::gateway::commits::FRAMES_MAX as u64 {
        ask(&mut bench, 1_000 + id);
    }
    assert_eq!(bench.closed, []);
    let quiet = bench.sent.len();
    ask(&mut bench, 9_000);
    assert_eq!(bench.closed, [(bench.conn, 4002)]);
    let first = bench.conn;
    // Those who come back one after the other leave nothing behind either.
    for _ in 0..3 {
        bench.login(None);
        bench.input(Input::ClientClosed(bench.conn));
    }
    assert!(!bench.gateway.commits.are_full(first));
    let sent = bench.sent.len().max(quiet);
    bench.commit();
    assert!(bench.sent.len() <= sent, "nobody is there to be told");
    bench.login(None);
    assert_eq!(bench.events()[0], "snapshot");
}
