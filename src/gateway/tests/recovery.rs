//! What was missed while away, and whose it is.

use super::*;

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
fn r59_after_a_loss_of_power_events_are_numbered_anew_and_the_session_is_told() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let generation = bench.gateway.generation;
    let sent = bench.journal.iter().rposition(|record| matches!(record, Record::Event { .. })).unwrap();
    bench.says(vec![event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    let seen = |bench: &Bench| bench.sent.last().unwrap()["seq"].as_u64();
    assert_eq!(seen(&bench), Some(2), "the strategy has seen what the disk is going to lose");
    // The tail is gone, and the run did not end in order.
    let kept = bench.journal[..=sent].to_vec();
    for (boot_id, lost) in [("another boot", true), ("boot", false)] {
        let config = GatewayConfig { boot_id: boot_id.to_owned(), ..config() };
        let mut after = Bench::of(config, kept.clone(), Vec::new(), START + Span::from_secs(60));
        assert_eq!(after.gateway.generation > generation, lost, "{boot_id}");
        let partly = report(&id, VenueStatus::PartiallyFilled, 4, None);
        after.recover(&[partly], &[fill(1, 4)]);
        assert_eq!(after.net(), Qty::whole(4));
        let reply = after.login(None);
        let snapshot = after.sent.iter().find(|frame| frame["event"] == "snapshot");
        assert_eq!(snapshot.is_some_and(|frame| frame["missed"] == true), lost, "{reply}");
        let events = after.events();
        assert!(events.iter().any(|told| told == "PARTIALLY_FILLED 4"), "told after it: {events:?}");
        // What says so may never have arrived: it is said until something new is acknowledged.
        for (acked, resume) in [(false, if lost { "snapshot" } else { "events" }), (true, "events")] {
            if acked {
                let last = after.sent.iter().rev().find_map(|frame| frame["seq"].as_u64());
                let params = json!({"gen": after.gateway.generation, "seq": last.unwrap()});
                after.call(&json!({"method": "ack", "params": params}));
            }
            after.input(Input::ClientClosed(after.conn));
            assert_eq!(after.login(None)["result"]["resume"], resume, "acknowledged: {acked}");
            assert_eq!(after.sent.iter().any(|frame| frame["missed"] == true), lost && !acked);
        }
    }
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
    let reply = after.login(Some((after.gateway.generation, 1)));
    assert_eq!(reply["result"]["resume"], "events");
    assert_eq!(after.events(), ["FILLED 10"]);
    assert_eq!(after.sent.last().unwrap()["replayed"], true);
    let ahead = after.login(Some((after.gateway.generation, 99)));
    assert_eq!(ahead["error"]["name"], "duplicate_login");
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
fn the_cursor_never_passes_a_fill_whose_order_is_still_asked_for() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let mut orphan = fill(500, 1);
    orphan.venue_id = 99;
    let page: Vec<Fill> = (1..=1000)
        .map(|n| if n == 500 { orphan.clone() } else { Fill { qty: Qty::ZERO, ..fill(n, 1) } })
        .collect();
    bench.wait(Span::from_secs(61));
    for _ in 0..3 {
        bench.answer(|q| match q {
            Query::TradesSince { .. } => Answer::Trades(page.clone()),
            Query::TradesFrom { from: 1001, .. } => Answer::Trades(vec![fill(1001, 1)]),
            Query::OpenOrders => Answer::Orders(vec![report(&id, VenueStatus::New, 0, None)]),
            Query::OrderByVenueId { venue_id: 99, .. } => Answer::Failed("busy".to_owned()),
            q => Bench::exchange(&[], &[], q),
        });
    }
    let cursor = bench.gateway.books().cursors()[&Symbol::new("dogeusdt")];
    assert!(cursor.trade_id < 500, "a crash now would lose trade 500: {cursor:?}");
}

/// Questions asked until both passes are through.
fn recovery_of(bench: &mut Bench, open: &[OrderReport]) -> Vec<Query> {
    let mut asked = Vec::new();
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    for _ in 0..8 {
        for _ in 0..60 {
            let queries = bench.script.0.borrow().queries.clone();
            asked.extend(queries.into_iter().map(|(_, q)| q));
            bench.answer(|q| Bench::exchange(open, &[], q));
        }
        bench.wait(Span::from_secs(1));
    }
    assert!(bench.gateway.recovery.may_trade(&Symbol::new("dogeusdt")));
    asked
}

#[test]
fn a_symbol_never_traded_costs_no_more_with_every_day() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
    let day = Span::from_secs(86_400);
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + day * 50);
    recovery_of(&mut after, &[]);
    let mut again = Bench::new(after.journal.clone(), Vec::new(), START + day * 50 + Span::from_secs(60));
    let asked = recovery_of(&mut again, &[]);
    let windows = asked.iter().filter(|q| matches!(q, Query::TradesSince { .. })).count();
    assert!(windows <= 2, "{windows} windows of a day were read again");
}

#[test]
fn orders_the_exchange_lists_are_not_asked_for_one_by_one() {
    let mut bench = Bench::ready();
    let mut open = Vec::new();
    for n in 1..=50 {
        let id = bench.order(n);
        let mut listed = report(&id, VenueStatus::New, 0, None);
        listed.venue_id = 1000 + n;
        bench.says(vec![event(listed.clone())]);
        open.push(listed);
    }
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    let asked = recovery_of(&mut after, &open[1..]);
    let single = asked.iter().filter(|q| matches!(q, Query::OrderByVenueId { .. })).count();
    let missing = asked.iter().any(|q| matches!(q, Query::OrderByVenueId { venue_id: 1001, .. }));
    assert!(missing && single < 20, "{single} questions for single orders, {missing}");
}

#[test]
fn r13_sweeps_keep_to_the_pace_of_the_rate_budget() {
    let mut bench = Bench::ready();
    let mut rounds = 0;
    for tenth in 0..200 {
        bench.script.0.borrow_mut().pace = Span::from_secs(4);
        if tenth % 3 == 0 {
            bench.says(vec![VenueEvent::PrivateGarbled("?".to_owned())]);
        }
        let queries = bench.script.0.borrow().queries.clone();
        rounds += queries.iter().filter(|(_, q)| *q == Query::Account).count();
        bench.answer(|q| Bench::exchange(&[], &[], q));
        bench.wait(Span::from_millis(100));
    }
    assert!((4..=6).contains(&rounds), "{rounds} rounds in 20 s at a pace of 4 s");
}

#[test]
fn open_orders_are_asked_by_symbol_where_that_is_cheaper() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    bench.script.0.borrow_mut().whole_weight = 39;
    let id = bench.gateway.order_id(900_000, SessionId(1), 1);
    let open = report(&id, VenueStatus::New, 0, None);
    let asked = |bench: &mut Bench, open: &[OrderReport]| {
        let mut asked = Vec::new();
        for _ in 0..4 {
            let queries = bench.script.0.borrow().queries.clone();
            asked.extend(queries.into_iter().filter_map(|(_, query)| match query {
                Query::OpenOrders => Some("all".to_owned()),
                Query::OpenOrdersOf { symbol, .. } => Some(symbol.to_string()),
                _ => None,
            }));
            bench.answer(|q| Bench::exchange(open, &[], q));
        }
        asked
    };
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    assert_eq!(
        asked(&mut bench, std::slice::from_ref(&open)),
        ["all"],
        "the first look finds what nobody knew"
    );
    bench.wait(Span::from_secs(5));
    assert_eq!(asked(&mut bench, std::slice::from_ref(&open)), ["dogeusdt"], "the second pass");
    // A fault: sweeps are sooner. What a part of the list lacks is asked about as what the whole lacks.
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    assert_eq!(asked(&mut bench, &[]), ["dogeusdt"]);
    assert!(bench.gateway.doubts.holds(&id));
    bench.wait(Span::from_secs(60));
    assert_eq!(asked(&mut bench, &[]), ["all"], "once in a sweep's time all of them");
    bench.script.0.borrow_mut().whole_weight = 0;
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    assert_eq!(asked(&mut bench, &[]), ["all"], "one symbol costs as much");
}

#[test]
fn fills_that_are_not_found_are_asked_for_ever_less_often() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 4, None))]);
    let hour = |bench: &mut Bench, fills: &[Fill]| {
        let mut asked = 0;
        for _ in 0..3_600 {
            let queries = bench.script.0.borrow().queries.clone();
            asked += queries.iter().filter(|(_, q)| matches!(q, Query::TradesOfOrder { .. })).count();
            bench.answer(|q| match q {
                Query::TradesOfOrder { .. } => Answer::Trades(fills.to_vec()),
                q => Bench::exchange(&[], &[], q),
            });
            bench.wait(Span::from_secs(1));
        }
        asked
    };
    let first = hour(&mut bench, &[]);
    assert!((20..40).contains(&first), "{first}");
    let later = hour(&mut bench, &[]);
    assert!((1..=2).contains(&later), "{later}");
    assert_eq!(hour(&mut bench, &[fill(1, 4)]), 1, "found at last");
    assert_eq!((bench.net(), bench.gateway.orders().open().count()), (Qty::whole(4), 0));
}

#[test]
fn a_fill_the_exchange_no_longer_gives_holds_up_neither_the_end_nor_the_books() {
    let mut bench = Bench::ready();
    bench.settle();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 4, None))]);
    let serve = |bench: &mut Bench, seconds: u32| {
        for _ in 0..seconds {
            bench.wait(Span::from_secs(1));
            bench.answer(|query| match query {
                Query::Account => Answer::Account(Account {
                    balances: vec![Balance::new(Asset::new("USDT"), Cash::whole(999), Cash::ZERO)],
                    can_trade: true,
                }),
                query => Bench::exchange(&[], &[], query),
            });
        }
    };
    serve(&mut bench, 300);
    assert!(!bench.gateway.orders().get(&id).unwrap().state.is_over(), "it may only be late");
    serve(&mut bench, 900);
    let order = bench.gateway.orders().get(&id).unwrap();
    assert_eq!((order.status().as_str(), order.filled), ("CANCELED", Qty::ZERO));
    assert_eq!(bench.events().last().map(String::as_str), Some("CANCELED 0"), "{:?}", bench.events());
    let told = bench.logs.iter().filter(|log| log.contains("counted=4 booked=0")).count();
    assert!(told > 0, "{:?}", bench.logs);
    let missing = bench.gateway.books().asset(crate::journal::Owner::Unattributed, &Asset::new("USDT"));
    assert_eq!(missing, Cash::whole(-1), "the shortfall is a difference");
    // Should it come after all, it is booked, and the difference taken back.
    bench.says(vec![event(report(&id, VenueStatus::Canceled, 4, Some(fill(1, 4))))]);
    assert_eq!(bench.net(), Qty::whole(4));
    assert!(!bench.gateway.orders().get(&id).unwrap().has_gap());
}
