//! When the exchange is asked: passes, sweeps, what could not be answered, and how far back own trades are read.

use super::*;
use crate::ids::TradeId;
use crate::journal::ChargeKind;

const DAY: Span = Span::from_secs(86_400);

/// Milliseconds from now on at which such a question is asked, for so long; all is answered at once.
fn moments(
    bench: &mut Bench,
    span: Span,
    is: impl Fn(&Query) -> bool,
    answer: impl Fn(&Query) -> Answer,
) -> Vec<i64> {
    let (since, mut asked) = (bench.now, Vec::new());
    while bench.now.since(since) <= span {
        for _ in 0..3 {
            let queries = bench.script.0.borrow().queries.clone();
            let such = queries.iter().filter(|(_, query)| is(query));
            asked.extend(such.map(|_| bench.now.since(since).millis()));
            bench.answer(&answer);
        }
        bench.wait(Span::from_millis(500));
    }
    asked
}

fn asked(bench: &Bench) -> Vec<Query> {
    bench.script.0.borrow().queries.iter().map(|(_, query)| query.clone()).collect()
}

fn comes_up(bench: &mut Bench) {
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
}

fn is_account(query: &Query) -> bool {
    *query == Query::Account
}

fn garbled() -> VenueEvent {
    VenueEvent::PrivateGarbled("{".to_owned())
}

#[test]
fn sweeps_come_every_five_seconds_for_a_minute_after_a_fault_and_else_every_minute() {
    let mut bench = Bench::ready();
    bench.settle();
    bench.says(vec![garbled()]);
    let swept = moments(&mut bench, Span::from_secs(200), is_account, |q| Bench::exchange(&[], &[], q));
    let seconds: Vec<i64> = (0..=12).map(|fifth| 5 * fifth).chain([120, 180]).collect();
    assert_eq!(swept, seconds.iter().map(|second| second * 1_000).collect::<Vec<_>>());
}

#[test]
fn r13_a_fault_within_the_pace_of_the_rate_budget_is_looked_into_when_that_is_over() {
    let mut bench = Bench::ready();
    bench.settle();
    bench.script.0.borrow_mut().pace = Span::from_secs(4);
    bench.says(vec![garbled()]);
    assert!(asked(&bench).contains(&Query::Account), "at once");
    // While a round is under way none begins.
    bench.wait(Span::from_secs(3));
    bench.says(vec![garbled()]);
    assert_eq!(asked(&bench).iter().filter(|query| is_account(query)).count(), 1);
    bench.answer(|q| Bench::exchange(&[], &[], q));
    bench.script.0.borrow_mut().queries.clear();
    bench.says(vec![garbled()]);
    assert_eq!(asked(&bench), [], "the rate budget allows none yet");
    bench.wait(Span::from_millis(900));
    assert_eq!(asked(&bench), []);
    bench.wait(Span::from_millis(100));
    assert!(asked(&bench).contains(&Query::Account));
}

#[test]
fn r13_a_fault_in_a_round_that_waits_to_ask_again_begins_no_other_beside_it() {
    let mut bench = Bench::ready();
    bench.settle();
    bench.script.0.borrow_mut().pace = Span::from_secs(4);
    bench.says(vec![garbled()]);
    bench.wait(Span::from_secs(1));
    bench.says(vec![garbled()]);
    bench.wait(Span::from_millis(2_500));
    bench.answer(|query| match query {
        Query::Account => Answer::Failed("-1003".to_owned()),
        query => Bench::exchange(&[], &[], query),
    });
    // The rate budget allows another from here on.
    bench.wait(Span::from_millis(500));
    assert_eq!(asked(&bench), []);
    bench.wait(Span::from_millis(500));
    assert_eq!(asked(&bench), [Query::Account]);
}

#[test]
fn a_question_that_is_not_answered_is_asked_again_after_a_second_and_the_pass_waits() {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    comes_up(&mut bench);
    for _ in 0..4 {
        bench.answer(|query| match query {
            Query::Account => Answer::Failed("-1003".to_owned()),
            query => Bench::exchange(&[], &[], query),
        });
    }
    bench.wait(Span::from_millis(900));
    assert_eq!((asked(&bench), bench.gateway.recovery.word()), (vec![], "first_pass"));
    bench.wait(Span::from_millis(100));
    assert_eq!(asked(&bench), [Query::Account]);
    bench.answer(|q| Bench::exchange(&[], &[], q));
    // What answers may lag by goes by between the passes.
    assert_eq!(bench.gateway.recovery.word(), "lag");
    bench.wait(Span::from_millis(4_900));
    bench.says(vec![garbled()]);
    assert_eq!((asked(&bench), bench.gateway.recovery.word()), (vec![], "lag"), "the second pass is near");
    bench.wait(Span::from_millis(100));
    assert_eq!(bench.gateway.recovery.word(), "second_pass");
    assert!(asked(&bench).contains(&Query::Account));
    for _ in 0..4 {
        bench.answer(|q| Bench::exchange(&[], &[], q));
    }
    assert_eq!(bench.gateway.recovery.word(), "ready");
}

#[test]
fn r52_own_trades_of_a_symbol_never_traded_are_read_by_days_and_then_from_half_a_day_ago() {
    let mut bench = Bench::ready();
    let (id, first_used) = (bench.order(1), bench.now);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
    let windows = |journal: &[Record], now: Time| {
        let mut after = Bench::new(journal.to_vec(), Vec::new(), now);
        comes_up(&mut after);
        let mut read = Vec::new();
        for _ in 0..10 {
            read.extend(asked(&after).into_iter().filter_map(|query| match query {
                Query::TradesSince { since, .. } => Some(since),
                _ => None,
            }));
            after.answer(|q| Bench::exchange(&[], &[], q));
        }
        (read, after.journal)
    };
    let second = Span::from_secs(1);
    let now = first_used + DAY * 3 + Span::from_secs(3_600);
    let (read, journal) = windows(&bench.journal, now);
    let from = first_used - second;
    assert_eq!(read, [from, from + DAY, from + DAY * 2, from + DAY * 3]);
    let (read, journal) = windows(&journal, now + Span::from_secs(60));
    let half = Span::from_secs(12 * 3_600);
    assert_eq!(read, [now - half - second]);
    let (read, _) = windows(&journal, now + DAY);
    assert_eq!(read, [now - half - second, now + half - second], "a day later that day too");
}

#[test]
fn r52_trades_are_read_on_by_number_after_the_first_of_a_window() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.wait(Span::from_secs(61));
    let mut read = Vec::new();
    let all = [fill(7, 1), fill(9, 2)];
    for _ in 0..5 {
        read.extend(
            asked(&bench)
                .into_iter()
                .filter(|query| matches!(query, Query::TradesSince { .. } | Query::TradesFrom { .. })),
        );
        bench.answer(|query| match query {
            Query::TradesSince { .. } => Answer::Trades(all[..1].to_vec()),
            Query::TradesFrom { from, .. } => {
                Answer::Trades(all.iter().filter(|fill| fill.trade_id >= *from).cloned().collect())
            }
            query => Bench::exchange(&[report(&id, VenueStatus::New, 0, None)], &[], query),
        });
    }
    let from = |from| Query::TradesFrom { symbol: Symbol::new("dogeusdt"), from };
    assert_eq!(read[1..], [from(7)], "a window of time may have ended between two trades: {read:?}");
    assert_eq!(bench.net(), Qty::whole(3));
}

#[test]
fn an_order_that_may_be_younger_than_the_list_is_not_missed_in_it() {
    let mut bench = Bench::ready();
    bench.says(vec![garbled()]);
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    bench.answer(|q| Bench::exchange(&[], &[], q));
    assert!(!bench.gateway.doubts.holds(&id), "it was asked in the same moment");
    bench.says(vec![garbled()]);
    bench.wait(Span::from_secs(1));
    bench.answer(|q| Bench::exchange(&[], &[], q));
    assert!(!bench.gateway.doubts.holds(&id), "and again");
    bench.wait(Span::from_secs(5));
    bench.answer(|q| Bench::exchange(&[], &[], q));
    assert!(bench.gateway.doubts.holds(&id), "older than the question");
}

#[test]
fn an_order_whose_reply_is_awaited_is_not_missed_in_the_list() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.wait(Span::from_secs(1));
    bench.says(vec![garbled()]);
    bench.answer(|q| Bench::exchange(&[], &[], q));
    assert!(!bench.gateway.doubts.holds(&id));
    assert_eq!(bench.events(), ["snapshot"]);
}

#[test]
fn in_the_second_pass_orders_follow_the_reading_symbol_by_symbol() {
    let (symbol, base) = (Symbol::new("shibusdt"), Asset::new("SHIB"));
    let shiba = Instrument { symbol: symbol.clone(), holding: base.clone(), base, ..doge() };
    let up = || vec![VenueEvent::Instruments(vec![doge(), shiba.clone()]), VenueEvent::EntryUp];
    let pass = |bench: &mut Bench| (0..4).for_each(|_| bench.answer(|q| Bench::exchange(&[], &[], q)));
    let other = |n| doge_order(n, &json!({"symbol": "shibusdt"}));
    let mut first = Bench::new(vec![doge_is_read(), Record::Scanned { symbol }], Vec::new(), START);
    first.says(up());
    pass(&mut first);
    first.wait(Span::from_secs(5));
    pass(&mut first);
    first.login(None);
    // One is held, the other only known.
    let held = first.order(1);
    first.says(vec![event(report(&held, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let reply = first.call(&other(2));
    let gone = ClientOrderId::foreign(reply["result"]["order_id"].as_str().unwrap());
    let gone = OrderReport { symbol: shiba.symbol.clone(), ..report(&gone, VenueStatus::Canceled, 0, None) };
    first.says(vec![event(OrderReport { venue_id: 78, ..gone })]);
    let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
    bench.login(None);
    bench.says(up());
    let pass = |bench: &mut Bench| {
        let balance = |asset: &str, free| Balance::new(Asset::new(asset), Cash::whole(free), Cash::ZERO);
        let balances = vec![balance("USDT", 998), balance("DOGE", 10)];
        let account = Answer::Account(Account { balances, can_trade: true });
        for _ in 0..4 {
            bench.answer(|q| if is_account(q) { account.clone() } else { Bench::exchange(&[], &[], q) });
        }
    };
    pass(&mut bench);
    let tries = |bench: &mut Bench, n: u64| {
        let name = |reply: Value| reply["error"]["name"].as_str().map(str::to_owned);
        let doge = bench.call(&doge_order(n, &json!({})));
        (name(doge), name(bench.call(&other(n + 1))))
    };
    let not_ready = Some("not_ready".to_owned());
    assert_eq!(bench.gateway.recovery.word(), "lag");
    assert_eq!(tries(&mut bench, 3), (not_ready.clone(), not_ready.clone()));
    bench.wait(Span::from_secs(5));
    assert_eq!(bench.gateway.recovery.word(), "second_pass");
    assert_eq!(tries(&mut bench, 5), (not_ready, None), "what is held is read first");
    let is_trades = |q: &Query| matches!(q, Query::TradesFrom { .. } | Query::TradesSince { .. });
    (0..2).for_each(|_| bench.answer_all_but(|q| !is_trades(q), |q| Bench::exchange(&[], &[], q)));
    assert_eq!(bench.gateway.recovery.word(), "second_pass");
    assert_eq!(tries(&mut bench, 7), (None, None), "though the account is not read yet");
    pass(&mut bench);
    assert_eq!(bench.gateway.recovery.word(), "ready");
    assert_eq!(tries(&mut bench, 9), (None, None));
}

#[test]
fn what_the_exchange_lists_no_more_stops_nothing_else() {
    let (symbol, base) = (Symbol::new("shibusdt"), Asset::new("SHIB"));
    let shiba = Instrument { symbol: symbol.clone(), holding: base.clone(), base, ..doge() };
    let read = vec![doge_is_read(), Record::Scanned { symbol: symbol.clone() }];
    let mut first = Bench::new(read, Vec::new(), START);
    first.says(vec![VenueEvent::Instruments(vec![doge(), shiba]), VenueEvent::EntryUp]);
    let pass = |bench: &mut Bench| (0..4).for_each(|_| bench.answer(|q| Bench::exchange(&[], &[], q)));
    pass(&mut first);
    first.wait(Span::from_secs(5));
    pass(&mut first);
    first.login(None);
    let reply = first.call(&doge_order(1, &json!({"symbol": "shibusdt"})));
    let id = ClientOrderId::foreign(reply["result"]["order_id"].as_str().unwrap());
    let bought = Fill { symbol: symbol.clone(), ..fill(1, 10) };
    let filled = report(&id, VenueStatus::Filled, 10, Some(bought));
    first.says(vec![event(OrderReport { symbol: symbol.clone(), ..filled })]);
    assert!(first.journal.iter().any(|record| matches!(record, Record::Fill(_))));

    // The symbol is gone, and the exchange refuses whoever asks for its trades.
    let mut bench = Bench::new(first.journal.clone(), Vec::new(), START + Span::from_secs(60));
    comes_up(&mut bench);
    bench.login(None);
    let (mut refused, mut word) = (0, "");
    for _ in 0..20 {
        for _ in 0..4 {
            bench.answer(|query| match query {
                Query::TradesFrom { symbol: of, .. } | Query::TradesSince { symbol: of, .. }
                    if *of == symbol =>
                {
                    Answer::Failed("-1121 Invalid symbol.".to_owned())
                }
                query => Bench::exchange(&[], &[], query),
            });
        }
        let line = "question about a symbol the exchange lists no more not answered";
        refused = bench.logs.iter().filter(|log| log.starts_with(line)).count();
        word = bench.gateway.recovery.word();
        bench.wait(Span::from_millis(500));
    }
    assert_eq!(word, "ready");
    assert_eq!(refused, 2, "once in each pass");
    let reply = bench.call(&doge_order(9, &json!({})));
    assert_eq!(reply["error"], Value::Null, "{reply}");
}

#[test]
fn the_next_page_of_trades_begins_with_the_last_number_unless_that_fills_a_whole_page() {
    let next = crate::gateway::recovery::next_trade;
    let page = |len: usize| vec![fill(7, 1); len];
    assert_eq!(next(&[]), None);
    assert_eq!(next(&[fill(9, 1), fill(7, 1)]), Some(9));
    assert_eq!(next(&page(999)), Some(7), "its other side may follow");
    assert_eq!(next(&page(1_000)), Some(8), "or it would be read for ever");
    let mut mixed = page(1_000);
    mixed[0].trade_id = 6;
    assert_eq!(next(&mixed), Some(7));
}

fn trades_from(bench: &Bench) -> Vec<TradeId> {
    let from = |query: Query| if let Query::TradesFrom { from, .. } = query { Some(from) } else { None };
    asked(bench).into_iter().filter_map(from).collect()
}

#[test]
fn r52_a_full_page_of_trades_is_followed_by_the_next_and_the_last_minute_is_read_again() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), garbled()]);
    bench.wait(Span::from_secs(5));
    let all: Vec<Fill> = (5..=1_504).map(|n| Fill { qty: Qty::ZERO, ..fill(n, 1) }).collect();
    let mut read = Vec::new();
    for round in 0..2 {
        for _ in 0..5 {
            read.extend(trades_from(&bench));
            bench.answer(|query| match query {
                Query::TradesSince { .. } => Answer::Trades(all[..1].to_vec()),
                Query::TradesFrom { from, .. } => {
                    let page = all.iter().filter(|fill| fill.trade_id >= *from).take(1_000);
                    Answer::Trades(page.cloned().collect())
                }
                query => Bench::exchange(&[report(&id, VenueStatus::New, 0, None)], &[], query),
            });
        }
        if round == 0 {
            assert_eq!(read, [5, 1_004]);
            read.clear();
            bench.says(vec![garbled()]);
        }
    }
    assert_eq!(read, [5, 1_004], "one of them may have been shown late");
}

#[test]
fn nothing_is_asked_before_the_symbols_are_loaded_and_orders_are_refused_with_the_reason() {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    bench.says(vec![VenueEvent::EntryUp]);
    assert_eq!((asked(&bench), bench.gateway.recovery.word()), (vec![], "waiting"));
    comes_up(&mut bench);
    assert!(asked(&bench).contains(&Query::Account));
    let mut bench = Bench::ready();
    bench.says(vec![VenueEvent::EntryDown("cut by hand".to_owned())]);
    let refused = bench.call(&doge_order(1, &json!({})));
    assert!(refused["error"]["message"].as_str().unwrap().contains("cut by hand"), "{refused}");
}

#[test]
fn r41_payments_missed_while_away_are_read_in_the_passes() {
    let mut bench = Bench::perpetual();
    let id = bench.send(1, &json!({}));
    bench.says(vec![accepted(&id), VenueEvent::EntryDown("cut".to_owned())]);
    bench.script.0.borrow_mut().queries.clear();
    bench.says(vec![VenueEvent::EntryUp]);
    assert!(asked(&bench).iter().any(|query| matches!(query, Query::Income { .. })), "{:?}", asked(&bench));
}

/// A contract is held, and the gateway has just come back to its exchange.
fn back_with_a_contract() -> Bench {
    let mut before = Bench::perpetual();
    let id = before.send(1, &json!({}));
    before.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let mut bench = Bench::new(before.journal.clone(), Vec::new(), START + Span::from_secs(120));
    bench.says(vec![VenueEvent::Instruments(vec![super::perpetual::perpetual()]), VenueEvent::EntryUp]);
    bench
}

/// As many fundings and payments as fit a page, of before the contract was held and the books were opened.
fn full_page(query: &Query) -> Answer {
    let time = |number: i64| START - Span::from_secs(3_600) + Span::from_secs(number);
    let symbol = Symbol::new("dogeusdt");
    let rate = |number: i64| FundingRate {
        symbol: symbol.clone(),
        time: time(number),
        kind: ChargeKind::Funding,
        rate: Default::default(),
        mark: Price::ZERO,
    };
    let row = |number: i64| Income {
        id: Some(number as u64),
        kind: ChargeKind::Other,
        symbol: None,
        asset: Asset::new("USDT"),
        amount: Cash::whole(1),
        time: time(number),
        loan: None,
    };
    match query {
        Query::Funding { .. } => Answer::Funding((1..=1_000).map(rate).collect()),
        Query::Income { .. } => Answer::Income((1..=1_000).map(row).collect()),
        query => Bench::exchange(&[], &[], query),
    }
}

fn is_of_payments(query: &Query) -> bool {
    matches!(query, Query::Funding { .. } | Query::Income { .. })
}

fn payments(bench: &Bench) -> Vec<Query> {
    asked(bench).into_iter().filter(is_of_payments).collect()
}

#[test]
fn r41_a_full_page_of_fundings_or_payments_is_followed_by_the_next_and_the_pass_waits_for_it() {
    let mut bench = back_with_a_contract();
    assert_eq!(payments(&bench).len(), 2, "{:?}", asked(&bench));
    bench.answer(full_page);
    let last = START - Span::from_secs(3_600) + Span::from_secs(1_000);
    let (symbol, since) = (Symbol::new("dogeusdt"), last + Span::from_millis(1));
    let next = [Query::Funding { symbol, since }, Query::Income { since: last }];
    let mut found = payments(&bench);
    found.sort_by_key(|query| matches!(query, Query::Income { .. }));
    assert_eq!(found, next);
    for _ in 0..6 {
        bench.answer_all_but(is_of_payments, |query| Bench::exchange(&[], &[], query));
    }
    assert_eq!((asked(&bench).len(), bench.gateway.recovery.word()), (2, "first_pass"));
    bench.answer(|query| Bench::exchange(&[], &[], query));
    assert_eq!(bench.gateway.recovery.word(), "lag");
}

#[test]
fn r41_the_next_page_of_what_was_asked_in_no_round_holds_up_none() {
    let mut bench = back_with_a_contract();
    for _ in 0..8 {
        for _ in 0..6 {
            bench.answer(|query| Bench::exchange(&[], &[], query));
        }
        bench.wait(Span::from_secs(1));
    }
    assert_eq!(bench.gateway.recovery.word(), "ready");
    // Rates are asked for by their own clock.
    for _ in 0..120 {
        bench.answer_all_but(is_of_payments, |query| Bench::exchange(&[], &[], query));
        bench.wait(Span::from_secs(1));
    }
    for _ in 0..6 {
        bench.answer_all_but(is_of_payments, |query| Bench::exchange(&[], &[], query));
    }
    assert!(matches!(asked(&bench)[..], [Query::Funding { .. }]), "{:?}", asked(&bench));
    bench.answer(full_page);
    assert!(matches!(asked(&bench)[..], [Query::Funding { .. }]), "the next page: {:?}", asked(&bench));
    bench.says(vec![garbled()]);
    assert!(asked(&bench).contains(&Query::Account), "{:?}", asked(&bench));
}
