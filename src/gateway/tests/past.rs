//! How the past of a symbol is paged, paced and waited for.

use super::*;

fn named(name: &str) -> Instrument {
    let base = Asset::new(name.trim_end_matches("usdt"));
    Instrument { symbol: Symbol::new(name), holding: base.clone(), base, ..doge() }
}

fn comes_up(bench: &mut Bench, others: &[Instrument]) {
    let all = [&[doge()], others].concat();
    bench.says(vec![VenueEvent::Instruments(all), VenueEvent::EntryUp]);
}

/// Ready, at an exchange with these symbols besides.
fn ready(others: &[Instrument]) -> Bench {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    comes_up(&mut bench, others);
    for _ in 0..2 {
        for _ in 0..6 {
            bench.answer(|query| Bench::exchange(&[], &[], query));
        }
        bench.wait(Span::from_secs(5));
    }
    bench.login(None);
    bench.script.0.borrow_mut().queries.clear();
    bench
}

fn subscribe(bench: &mut Bench, names: &[&str]) {
    let streams: Vec<String> = names.iter().map(|name| format!("{name}@bbo")).collect();
    bench.call(&json!({"id": 50, "method": "subscribe", "params": {"streams": streams}}));
}

fn is_answered(bench: &Bench) -> bool {
    bench.sent.iter().any(|frame| frame["id"] == 50)
}

/// Pages of orders that were asked for: symbol, first number, among the conditional ones?
fn pages(bench: &Bench) -> Vec<(String, u64, bool)> {
    let page = |query: &Query| match query {
        Query::OrdersFrom { symbol, from, conditional } => Some((symbol.to_string(), *from, *conditional)),
        _ => None,
    };
    bench.script.0.borrow().queries.iter().filter_map(|(_, query)| page(query)).collect()
}

fn page(name: &str, from: u64) -> (String, u64, bool) {
    (name.to_owned(), from, false)
}

#[test]
fn a_subscription_is_answered_within_three_seconds_where_the_past_is_not_had() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["shibusdt"]);
    bench.wait(Span::from_millis(2_900));
    assert!(!is_answered(&bench));
    assert_eq!(bench.gateway.deadline(), Some(bench.now + Span::from_millis(100)));
    bench.wait(Span::from_millis(100));
    assert!(is_answered(&bench));
}

#[test]
fn a_subscription_to_what_is_read_or_cannot_be_is_answered_at_once() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["dogeusdt"]);
    assert!(is_answered(&bench), "it is read");
    bench.sent.clear();
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    subscribe(&mut bench, &["shibusdt"]);
    assert!(is_answered(&bench), "the exchange is away");
    bench.sent.clear();
    bench.says(vec![VenueEvent::EntryUp]);
    subscribe(&mut bench, &["shibusdt"]);
    assert!(is_answered(&bench), "answers may lag yet");
}

#[test]
fn a_page_of_the_past_that_is_not_had_is_asked_for_again_after_five_seconds() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["shibusdt"]);
    assert_eq!(pages(&bench), [page("shibusdt", 1)]);
    bench.answer(|_| Answer::Failed("-1003".to_owned()));
    bench.wait(Span::from_millis(4_900));
    assert_eq!(pages(&bench), []);
    bench.wait(Span::from_millis(100));
    assert_eq!(pages(&bench), [page("shibusdt", 1)]);
}

/// All pages of that symbol's past are answered, and nothing else.
fn read_through(bench: &mut Bench, name: &str) {
    let is_of_it = |query: &Query| match query {
        Query::OrdersFrom { symbol, .. } | Query::TradesFrom { symbol, .. } => symbol.as_str() == name,
        _ => false,
    };
    for _ in 0..3 {
        bench.answer_all_but(|query| !is_of_it(query), |query| Bench::exchange(&[], &[], query));
    }
}

#[test]
fn two_symbols_are_read_at_once_and_the_next_when_one_is_through() {
    let names = ["aausdt", "bbusdt", "ccusdt"];
    let mut bench = ready(&names.map(named));
    subscribe(&mut bench, &names);
    assert_eq!(pages(&bench), [page("aausdt", 1), page("bbusdt", 1)]);
    read_through(&mut bench, names[0]);
    assert_eq!(pages(&bench), [page("bbusdt", 1), page("ccusdt", 1)]);
}

#[test]
fn an_order_brings_the_past_of_its_symbol_forward() {
    let names = ["aausdt", "bbusdt", "ccusdt", "ddusdt"];
    let mut bench = ready(&names.map(named));
    subscribe(&mut bench, &names);
    let refused = bench.call(&doge_order(1, &json!({"symbol": "ddusdt"})));
    assert_eq!(refused["error"]["name"], "not_ready", "{refused}");
    read_through(&mut bench, names[0]);
    assert_eq!(pages(&bench), [page("bbusdt", 1), page("ddusdt", 1)]);
}

#[test]
fn pasts_that_only_wait_for_the_lag_to_be_over_hold_up_no_other() {
    let names = ["aausdt", "bbusdt", "ccusdt"];
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    bench.login(None);
    bench.says(vec![VenueEvent::Instruments([&[doge()], names.map(named).as_slice()].concat())]);
    subscribe(&mut bench, &names[..2]);
    bench.says(vec![VenueEvent::EntryUp]);
    assert_eq!(pages(&bench), [page("aausdt", 1), page("bbusdt", 1)]);
    for _ in 0..6 {
        bench.answer(|query| Bench::exchange(&[], &[], query));
    }
    assert_eq!(bench.gateway.recovery.word(), "lag");
    subscribe(&mut bench, &names[2..]);
    assert!(pages(&bench).contains(&page("ccusdt", 1)));
    // What was read before the lag was over is read on from where it ended.
    bench.wait(Span::from_secs(5));
    let again = pages(&bench);
    assert!(names[..2].iter().all(|name| again.contains(&page(name, 1))), "{again:?}");
}

#[test]
fn the_next_page_begins_behind_the_last_number_and_orders_begin_anew_behind_conditional_ones() {
    let mut apart = named("shibusdt");
    apart.rules.conditionals_apart = true;
    let mut bench = ready(&[apart.clone()]);
    subscribe(&mut bench, &["shibusdt"]);
    let foreign = |number: u64, conditional: bool| OrderReport {
        symbol: apart.symbol.clone(),
        venue_id: if conditional { 0 } else { number },
        conditional_id: conditional.then_some(number),
        ..report(&ClientOrderId::foreign(&format!("web_{number}")), VenueStatus::Canceled, 0, None)
    };
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.extend(pages(&bench).into_iter().map(|(_, from, conditional)| (from, conditional)));
        bench.answer(|query| match query {
            Query::OrdersFrom { from, conditional, .. } => {
                let page = (*from..=1_700).take(1_000).map(|number| foreign(number, *conditional));
                Answer::Orders(page.collect())
            }
            query => Bench::exchange(&[], &[], query),
        });
    }
    assert_eq!(asked, [(1, true), (1_001, true), (1, false), (1_001, false)]);
    assert!(bench.gateway.scans.has(&apart.symbol));
}

/// The order of a lost life, under its own name, and its fill.
fn ended(symbol: &Symbol, client_id: &ClientOrderId, venue_id: u64) -> (OrderReport, Fill) {
    let time = START - Span::from_secs(7_200);
    let order = report(client_id, VenueStatus::Filled, 10, None);
    let order = OrderReport { symbol: symbol.clone(), venue_id, time, ..order };
    (order, Fill { symbol: symbol.clone(), venue_id, time, ..fill(venue_id, 10) })
}

fn of_a_lost_life(session: u16, command: u64) -> ClientOrderId {
    let session = SessionId(session);
    ClientOrderId::mint(crate::ids::IdParts {
        kind: IdKind::Order,
        install: Install::from_hash(5),
        epoch: 7,
        session,
        command,
    })
}

#[test]
fn what_a_stop_of_a_lost_life_has_triggered_is_its_sessions() {
    let mut apart = named("shibusdt");
    apart.rules.conditionals_apart = true;
    let symbol = apart.symbol.clone();
    let mut bench = ready(&[apart]);
    subscribe(&mut bench, &["shibusdt"]);
    // Ours has triggered 500, another's 501; one of ours triggered nothing.
    let stop = |client_id: &ClientOrderId, number: u64, venue_id: u64| OrderReport {
        conditional_id: Some(number),
        filled: Qty::ZERO,
        status: VenueStatus::Canceled,
        ..ended(&symbol, client_id, venue_id).0
    };
    let foreign = |name: &str| ClientOrderId::foreign(name);
    let stops = [
        stop(&of_a_lost_life(1, 1), 5, 500),
        stop(&foreign("web_1"), 6, 501),
        stop(&of_a_lost_life(1, 2), 7, 0),
    ];
    let triggered = [ended(&symbol, &foreign("made_500"), 500), ended(&symbol, &foreign("made_501"), 501)];
    for _ in 0..6 {
        bench.answer(|query| match query {
            Query::OrdersFrom { conditional: true, .. } => Answer::Orders(stops.to_vec()),
            Query::OrdersFrom { .. } => {
                Answer::Orders(triggered.iter().map(|(order, _)| order.clone()).collect())
            }
            Query::TradesFrom { .. } => {
                Answer::Trades(triggered.iter().map(|(_, fill)| fill.clone()).collect())
            }
            query => Bench::exchange(&[], &[], query),
        });
    }
    let held = bench.gateway.books().position(SessionId(1), &symbol).qty;
    assert_eq!(held, Qty::whole(10), "{:?}", bench.logs);
    assert!(is_answered(&bench));
}

#[test]
fn the_end_of_a_pending_order_found_in_the_past_is_told_when_its_fills_are_read() {
    let shiba = named("shibusdt");
    let mut bench = ready(std::slice::from_ref(&shiba));
    subscribe(&mut bench, &["shibusdt"]);
    let id = of_a_lost_life(2, 7);
    let (order, fill) = ended(&shiba.symbol, &id, 500);
    bench.answer(|_| Answer::Orders(vec![order.clone()]));
    bench.pending = json!([{"epoch": 7, "method": "order", "params": {"n": 7}}]);
    let reply = bench.login_as(2, None);
    assert_eq!(reply["result"]["answers"][0]["result"]["order_id"], json!(id));
    let ends = |bench: &Bench| bench.events().iter().filter(|event| event.starts_with("FILLED")).count();
    assert_eq!(ends(&bench), 0, "its fills are not read yet");
    bench.answer(|_| Answer::Trades(vec![fill.clone()]));
    assert_eq!(ends(&bench), 1, "{:?}", bench.sent);
    assert!(bench.events().contains(&"FILLED 10".to_owned()));
}

/// An order of session 1 of a lost life, which lives at the exchange.
fn alive(symbol: &Symbol) -> OrderReport {
    let order = report(&of_a_lost_life(1, 9), VenueStatus::New, 0, None);
    OrderReport { symbol: symbol.clone(), venue_id: 500, ..order }
}

fn open(bench: &Bench) -> Vec<ClientOrderId> {
    bench.gateway.orders().open().map(|order| order.id.clone()).collect()
}

#[test]
fn an_order_that_the_past_shows_alive_is_one_like_any_other() {
    let shiba = named("shibusdt");
    let mut bench = ready(std::slice::from_ref(&shiba));
    subscribe(&mut bench, &["shibusdt"]);
    bench.answer(|_| Answer::Orders(vec![alive(&shiba.symbol)]));
    assert_eq!(open(&bench), [of_a_lost_life(1, 9)]);
    assert!(bench.events().contains(&"NEW 0".to_owned()), "{:?}", bench.events());
}

#[test]
fn an_order_that_lives_here_and_is_over_in_the_past_is_over() {
    let shiba = named("shibusdt");
    let mut bench = ready(std::slice::from_ref(&shiba));
    bench.says(vec![event(alive(&shiba.symbol))]);
    assert_eq!((open(&bench).len(), pages(&bench)), (1, vec![page("shibusdt", 1)]));
    let over = OrderReport { status: VenueStatus::Canceled, ..alive(&shiba.symbol) };
    bench.answer(|_| Answer::Orders(vec![over.clone()]));
    assert_eq!(open(&bench), []);
    assert!(bench.events().contains(&"CANCELED 0".to_owned()), "{:?}", bench.events());
}

#[test]
fn a_past_that_no_balance_waits_for_asks_for_none() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["shibusdt"]);
    for _ in 0..4 {
        let account = bench.script.0.borrow().queries.iter().any(|(_, query)| *query == Query::Account);
        assert!(!account, "{:?}", bench.script.0.borrow().queries);
        bench.answer(|query| Bench::exchange(&[], &[], query));
    }
    assert!(is_answered(&bench), "it is read");
}

#[test]
fn a_page_that_is_asked_for_again_holds_up_no_sweep() {
    let mut bench = ready(&[named("shibusdt")]);
    subscribe(&mut bench, &["shibusdt"]);
    bench.answer(|_| Answer::Failed("-1003".to_owned()));
    bench.wait(Span::from_secs(5));
    assert_eq!(pages(&bench), [page("shibusdt", 1)]);
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    let queries = bench.script.0.borrow().queries.clone();
    assert!(queries.iter().any(|(_, query)| *query == Query::Account), "{queries:?}");
}

#[test]
fn own_trades_of_a_symbol_whose_past_is_being_read_are_left_to_that_reading() {
    let shiba = named("shibusdt");
    let mut bench = ready(std::slice::from_ref(&shiba));
    bench.says(vec![event(alive(&shiba.symbol)), VenueEvent::PrivateGarbled("{".to_owned())]);
    let queries = bench.script.0.borrow().queries.clone();
    assert!(queries.iter().any(|(_, query)| *query == Query::Account), "a sweep: {queries:?}");
    let trades = |query: &Query| matches!(query, Query::TradesSince { .. } | Query::TradesFrom { .. });
    assert!(!queries.iter().any(|(_, query)| trades(query)), "{queries:?}");
}

#[test]
fn the_end_of_a_pending_order_whose_fills_the_past_did_not_show_is_told_at_once() {
    let shiba = named("shibusdt");
    let mut bench = ready(std::slice::from_ref(&shiba));
    subscribe(&mut bench, &["shibusdt"]);
    let (order, _) = ended(&shiba.symbol, &of_a_lost_life(2, 7), 500);
    for _ in 0..3 {
        bench.answer(|query| match query {
            Query::OrdersFrom { .. } => Answer::Orders(vec![order.clone()]),
            query => Bench::exchange(&[], &[], query),
        });
    }
    assert!(bench.gateway.scans.has(&shiba.symbol));
    bench.pending = json!([{"epoch": 7, "method": "order", "params": {"n": 7}}]);
    bench.login_as(2, None);
    let ends = bench.events().iter().filter(|event| event.starts_with("FILLED")).count();
    assert_eq!(ends, 1, "{:?}", bench.sent);
}

/// What a journal says of a symbol in use.
fn in_use(instrument: &Instrument, unread: bool) -> Vec<Record> {
    let listing = Record::Listing {
        symbol: instrument.symbol.clone(),
        base: instrument.base.clone(),
        quote: instrument.quote.clone(),
        holding: None,
        lot: Some(instrument.lot()),
        unread,
    };
    vec![listing, Record::Cursor { symbol: instrument.symbol.clone(), trade_id: 0, time: START }]
}

#[test]
fn a_symbol_is_read_again_where_the_journal_lists_it_as_unread_and_not_elsewhere() {
    let shiba = named("shibusdt");
    let scanned = || vec![Record::Scanned { symbol: shiba.symbol.clone() }];
    // A symbol read by a run that never used it may be met by the next one before it is read again.
    for (journal, wanted) in [
        (in_use(&shiba, false), false),
        (in_use(&shiba, true), true),
        ([scanned(), in_use(&shiba, false)].concat(), false),
        ([scanned(), in_use(&shiba, true)].concat(), true),
        ([in_use(&shiba, true), scanned()].concat(), false),
    ] {
        let mut bench = Bench::new(journal.clone(), Vec::new(), START + Span::from_secs(60));
        comes_up(&mut bench, std::slice::from_ref(&shiba));
        assert_eq!(pages(&bench).contains(&page("shibusdt", 1)), wanted, "{journal:?}");
    }
}

#[test]
fn c6_who_lost_a_position_in_a_reading_cut_short_is_told_when_it_is_over() {
    let shiba = named("shibusdt");
    let part = crate::journal::AllocationRecord {
        forced: crate::journal::Forced::Liquidation,
        session: SessionId(1),
        symbol: shiba.symbol.clone(),
        trade_id: 9,
        venue_id: 500,
        side: Side::Sell,
        price: "0.2".parse().unwrap(),
        qty: Qty::whole(4),
        quote: "0.8".parse().unwrap(),
        fee: Cash::ZERO,
        fee_asset: None,
        time: START - Span::from_secs(7_200),
    };
    let journal = [in_use(&shiba, true), vec![Record::Allocation(part)]].concat();
    let mut bench = Bench::new(journal, Vec::new(), START + Span::from_secs(60));
    bench.login(None);
    comes_up(&mut bench, std::slice::from_ref(&shiba));
    for _ in 0..2 {
        for _ in 0..6 {
            bench.answer(|query| Bench::exchange(&[], &[], query));
        }
        bench.wait(Span::from_secs(5));
    }
    let told = bench.sent.iter().filter(|frame| frame["event"] == "position").count();
    assert_eq!(told, 1, "{:?}", bench.sent);
}

#[test]
fn the_past_of_a_contract_that_the_account_holds_is_read_without_anyone_asking() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    bench.says(vec![VenueEvent::Instruments(vec![super::perpetual::perpetual()]), VenueEvent::EntryUp]);
    assert_eq!(pages(&bench), []);
    bench.answer(|query| match query {
        Query::Account => {
            let of = |asset: &str, free| Balance::new(Asset::new(asset), Cash::whole(free), Cash::ZERO);
            Answer::Account(Account { balances: vec![of("USDT", 1_000), of("DOGEUSDT", 5)], can_trade: true })
        }
        query => Bench::exchange(&[], &[], query),
    });
    assert_eq!(pages(&bench), [("dogeusdt".to_owned(), 1, true)]);
}

#[test]
fn r45_fundings_are_asked_for_when_all_of_a_contracts_past_is_read() {
    let contract = super::perpetual::perpetual();
    let (order, fill) = ended(&contract.symbol, &of_a_lost_life(1, 1), 500);
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    bench.login(None);
    bench.says(vec![VenueEvent::Instruments(vec![contract.clone()])]);
    subscribe(&mut bench, &["dogeusdt"]);
    bench.says(vec![VenueEvent::EntryUp]);
    let serve = |bench: &mut Bench| {
        let is_funding = |query: &Query| matches!(query, Query::Funding { .. });
        let mut asked = false;
        for _ in 0..6 {
            asked |= bench.script.0.borrow().queries.iter().any(|(_, query)| is_funding(query));
            bench.answer(|query| match query {
                Query::OrdersFrom { conditional: false, .. } => Answer::Orders(vec![order.clone()]),
                Query::TradesFrom { .. } => Answer::Trades(vec![fill.clone()]),
                query => Bench::exchange(&[], &[], query),
            });
        }
        asked
    };
    for _ in 0..4 {
        assert!(!serve(&mut bench), "more of it may come to light");
        assert_eq!(bench.gateway.recovery.word(), "lag");
        bench.wait(Span::from_secs(1));
    }
    assert_eq!(bench.net(), Qty::whole(10), "it is booked");
    bench.wait(Span::from_secs(1));
    assert!(serve(&mut bench));
}
