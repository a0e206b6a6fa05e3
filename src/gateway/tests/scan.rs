//! What comes back of a journal that is lost, and when orders may follow.

use super::*;
use crate::journal::Owner;

/// An exchange that remembers.
#[derive(Clone, Default)]
struct Past {
    orders: Vec<OrderReport>,
    fills: Vec<Fill>,
    balances: Vec<(&'static str, i64)>,
}

fn id(epoch: u32, session: u16, command: u64) -> ClientOrderId {
    let install = Install::from_hash(5);
    let session = SessionId(session);
    ClientOrderId::mint(IdParts { kind: IdKind::Order, install, epoch, session, command })
}

impl Past {
    /// An order for some DOGE at 0.2 that was filled, by as many fills.
    fn filled(mut self, id: &ClientOrderId, side: Side, fills: &[i64]) -> Self {
        let venue_id = 100 + self.orders.len() as u64;
        let sum: i64 = fills.iter().sum();
        let mut order = report(id, VenueStatus::Filled, sum, None);
        order = OrderReport { venue_id, side, qty: Qty::whole(sum), time: START, ..order };
        order.time = START - Span::from_secs(7_200);
        self.orders.push(order);
        for qty in fills {
            let trade_id = 5_000 + self.fills.len() as u64;
            let time = START - Span::from_secs(7_200) + Span::from_millis(trade_id as i64);
            self.fills.push(Fill { trade_id, venue_id, side, time, ..fill(1, *qty) });
        }
        self
    }

    fn canceled(mut self, client_id: &ClientOrderId, filled: i64) -> Self {
        let ids = self.orders.len();
        if filled > 0 {
            self = self.filled(client_id, Side::Buy, &[filled]);
        } else {
            let order = report(client_id, VenueStatus::Canceled, 0, None);
            self.orders.push(OrderReport { venue_id: 100 + ids as u64, ..order });
        }
        self.orders[ids].status = VenueStatus::Canceled;
        self.orders[ids].qty = Qty::whole(filled + 5);
        self.orders[ids].time = START - Span::from_secs(7_200);
        self
    }

    /// The last order, and its fills, are of now.
    fn lately(mut self, now: Time) -> Self {
        let order = self.orders.last_mut().unwrap();
        order.time = now;
        let venue_id = order.venue_id;
        self.fills.iter_mut().filter(|f| f.venue_id == venue_id).for_each(|f| f.time = now);
        self
    }

    fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::OrdersFrom { from, conditional: false, symbol } if symbol.as_str() == "dogeusdt" => {
                let page = self.orders.iter().filter(|o| o.venue_id >= *from).take(1_000);
                Answer::Orders(page.cloned().collect())
            }
            Query::TradesFrom { from, symbol } if symbol.as_str() == "dogeusdt" => Answer::Trades(
                self.fills.iter().filter(|f| f.trade_id >= *from).take(1_000).cloned().collect(),
            ),
            Query::OpenOrders => {
                let open = self.orders.iter().filter(|o| !o.status.is_terminal());
                Answer::Orders(open.cloned().collect())
            }
            Query::Account => {
                let of = |(asset, free): &(&str, i64)| {
                    Balance::new(Asset::new(asset), Cash::whole(*free), Cash::ZERO)
                };
                let balances = self.balances.iter().map(of).collect();
                Answer::Account(Account { balances, can_trade: true })
            }
            Query::TradesSince { since, symbol } if symbol.as_str() == "dogeusdt" => {
                Answer::Trades(self.fills.iter().filter(|f| f.time >= *since).cloned().collect())
            }
            Query::TradesSince { .. } | Query::TradesOfOrder { .. } => Answer::Trades(Vec::new()),
            Query::OrderByVenueId { venue_id, .. } => {
                let found = self.orders.iter().find(|o| o.venue_id == *venue_id);
                found.map_or(Answer::NotFound, |o| Answer::Order(Box::new(o.clone())))
            }
            query => Bench::exchange(&[], &[], query),
        }
    }

    /// Lets the gateway come up at this exchange.
    fn meet(&self, bench: &mut Bench) {
        bench.says(vec![VenueEvent::Instruments(vec![doge(), shiba()]), VenueEvent::EntryUp]);
        self.serve(bench, 10);
    }

    fn serve(&self, bench: &mut Bench, seconds: u32) {
        for _ in 0..seconds * 4 {
            for _ in 0..8 {
                bench.answer(|query| self.answer(query));
            }
            bench.wait(Span::from_millis(250));
        }
    }
}

fn shiba() -> Instrument {
    let (symbol, base) = (Symbol::new("shibusdt"), Asset::new("SHIB"));
    Instrument { symbol, holding: base.clone(), base, ..doge() }
}

fn subscribe(bench: &mut Bench) -> Value {
    bench.call(&json!({"id": 50, "method": "subscribe", "params": {"streams": ["dogeusdt@bbo"]}}))
}

fn unattributed(bench: &Bench) -> Vec<String> {
    let rows = bench.gateway.books().assets();
    rows.filter(|(owner, _, amount)| *owner == Owner::Unattributed && !amount.is_zero())
        .map(|(_, asset, amount)| format!("{asset} {amount}"))
        .collect()
}

fn position(bench: &Bench, session: u16) -> String {
    let totals = bench.gateway.books().position(SessionId(session), &Symbol::new("dogeusdt"));
    format!("{} at {} realised {}", totals.qty, totals.avg_price(), totals.realised)
}

fn past() -> Past {
    let mut past = Past::default()
        .filled(&id(7, 1, 1), Side::Buy, &[4, 6])
        .filled(&id(7, 2, 1), Side::Buy, &[3])
        .filled(&ClientOrderId::foreign("web_1"), Side::Buy, &[50])
        .filled(&id(8, 1, 2), Side::Sell, &[5]);
    past.fills[4].price = "0.3".parse().unwrap();
    past.fills[4].quote = "1.5".parse().unwrap();
    past.fills[0].fee = "1".parse().unwrap();
    past.fills[0].fee_asset = Some(Asset::new("BNB"));
    past.balances = vec![("USDT", 900), ("DOGE", 58), ("BNB", 7)];
    past
}

#[test]
fn lost_journal_positions_come_back_from_the_exchange() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    assert!(subscribe(&mut bench).is_null(), "the reply waits for the past");
    past.serve(&mut bench, 1);
    assert!(bench.sent.iter().any(|frame| frame["id"] == 50), "{:?}", bench.sent);
    assert_eq!(position(&bench, 1), "5 at 0.2 realised 0.5");
    assert_eq!(position(&bench, 2), "3 at 0.2 realised 0");
    let books = bench.gateway.books();
    assert_eq!(books.fee(SessionId(1), &Asset::new("BNB")), Cash::whole(1));
    let row = |owner, asset: &str| books.asset(owner, &Asset::new(asset)).to_string();
    assert_eq!(row(Owner::Session(SessionId(1)), "USDT"), "-0.5");
    for (asset, sum) in [("DOGE", 58), ("USDT", 900), ("BNB", 7)] {
        assert_eq!(books.total(&Asset::new(asset)), Cash::whole(sum), "{asset}");
    }
    assert_eq!(unattributed(&bench), [""; 0]);
    let told: Vec<_> = bench.events().into_iter().filter(|event| event.starts_with("position")).collect();
    assert_eq!(told.len(), 1, "one event, not one for each fill: {:?}", bench.sent);
    assert!(bench.events().iter().all(|event| !event.starts_with("notice")), "{:?}", bench.events());
    bench.order(1);
    let again = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    assert_eq!(position(&again, 1), "5 at 0.2 realised 0.5");
}

#[test]
fn no_order_is_sent_before_the_past_of_its_symbol_is_in_the_journal() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    bench.hold_commits = true;
    let refused = bench.call(&doge_order(1, &json!({})));
    assert_eq!(refused["error"]["name"], "not_ready", "{refused}");
    let state = bench.sent.iter().rev().find(|frame| frame["event"] == "state").unwrap();
    assert_eq!(state["not_ready"], json!(["dogeusdt"]));
    past.serve(&mut bench, 1);
    let refused = bench.call(&doge_order(2, &json!({})));
    assert_eq!(refused["error"]["name"], "not_ready", "a crash now would forget what was read: {refused}");
    bench.commit();
    let state = bench.sent.iter().rev().find(|frame| frame["event"] == "state").unwrap();
    assert_eq!((&state["state"], state.get("not_ready")), (&json!("ready"), None));
    bench.order(3);
    assert_eq!(bench.script.0.borrow().placed.len(), 1);
}

#[test]
fn an_order_somebody_else_has_cancelled_is_external_in_what_is_rebuilt() {
    let mut past = Past::default()
        .canceled(&ClientOrderId::foreign("web_9"), 5)
        .canceled(&id(7, 1, 3).renamed(IdKind::Cancel).unwrap(), 2)
        .canceled(&id(7, 1, 4), 0);
    past.balances = vec![("USDT", 900), ("DOGE", 7)];
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    assert_eq!(position(&bench, 1), "2 at 0.2 realised 0", "what our own cancel has renamed is ours");
    assert_eq!(bench.gateway.books().asset(Owner::External, &Asset::new("DOGE")), Cash::whole(5));
    assert_eq!(bench.gateway.orders().open().count(), 0);
}

#[test]
fn a_kill_at_any_moment_of_the_reading_changes_nothing() {
    let past = past();
    for lost in 0..20 {
        let mut bench = Bench::new(Vec::new(), Vec::new(), START);
        past.meet(&mut bench);
        bench.login(None);
        subscribe(&mut bench);
        past.serve(&mut bench, 1);
        // Killed when the last batches had not reached the disk.
        let Some(kept) = bench.batches.iter().rev().nth(lost) else { return assert!(lost > 3, "{lost}") };
        bench.journal.truncate(*kept);
        let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(90));
        past.meet(&mut after);
        after.login(None);
        subscribe(&mut after);
        past.serve(&mut after, 2);
        assert_eq!(position(&after, 1), "5 at 0.2 realised 0.5", "{lost} batches lost");
        assert_eq!(unattributed(&after), [""; 0], "{lost} batches lost");
        assert_eq!(after.gateway.books().total(&Asset::new("DOGE")), Cash::whole(58), "{lost} batches lost");
    }
}

#[test]
fn c6_a_kill_amid_the_reading_leaves_nobody_untold() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    let generation = bench.gateway.generation;
    let end = |record: &Record| matches!(record, Record::Scanned { .. });
    let read = bench.journal.iter().position(end).unwrap();
    let fill = |record: &Record| matches!(record, Record::Fill(_));
    let booked = bench.journal[..read].iter().rposition(fill).unwrap();
    // All fills are on the disk, and the word that all is read is not.
    bench.journal.truncate(booked + 1);
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(90));
    let reply = after.login(Some((generation, 0)));
    assert_eq!(reply["result"]["resume"], "events", "{reply}");
    past.meet(&mut after);
    past.serve(&mut after, 2);
    let told = |f: &&Value| f["event"] == "position" && f["position"]["net"] == "5";
    assert_eq!(after.sent.iter().filter(told).count(), 1, "{:?}", after.sent);
    let again = Bench::new(after.journal.clone(), Vec::new(), START + Span::from_secs(180));
    let mut again = again;
    again.login(Some((generation, 1)));
    past.meet(&mut again);
    past.serve(&mut again, 2);
    assert_eq!(again.sent.iter().filter(told).count(), 0, "it was told");
}

/// A loss of power takes what is not on the disk. Of an order whose symbol it took, too, nobody would ever ask.
#[test]
fn r51_that_a_symbol_is_used_outlives_a_loss_of_power() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    bench.hold_commits = true;
    past.serve(&mut bench, 1);
    let end = |record: &Record| matches!(record, Record::Scanned { .. });
    let batch = bench.waiting.iter().find(|batch| batch.records.iter().any(end)).expect("it is read");
    assert!(batch.sync);
}

#[test]
fn a_lost_link_begins_the_reading_again() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    // The orders are read, then the link breaks.
    bench.answer(|query| past.answer(query));
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    bench.script.0.borrow_mut().queries.clear();
    bench.says(vec![VenueEvent::EntryUp]);
    past.serve(&mut bench, 10);
    assert_eq!(position(&bench, 1), "5 at 0.2 realised 0.5");
    bench.order(1);
}

#[test]
fn a_past_of_many_pages_is_read_to_its_end() {
    let mut past = Past::default();
    for n in 1..=1_500 {
        past = past.filled(&id(7, 1, n), Side::Buy, &[1]);
    }
    past.balances = vec![("USDT", 900), ("DOGE", 1_500)];
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 2);
    assert_eq!(position(&bench, 1), "1500 at 0.2 realised 0");
    assert_eq!(unattributed(&bench), [""; 0]);
}

#[test]
fn i7_an_epoch_that_ran_ahead_of_the_clock_is_not_used_again() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    let ahead = bench.gateway.epoch + 4;
    let mut past = Past::default().filled(&id(ahead, 1, 1), Side::Buy, &[4]);
    past.balances = vec![("USDT", 900), ("DOGE", 4)];
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    assert_eq!(bench.closed, [(ConnId(1), 1012)], "the session must learn the new prefix");
    assert!(bench.gateway.epoch > ahead);
    let login = bench.login(None);
    assert_eq!(login["result"]["epoch"], json!(ahead + AHEAD));
    let made = bench.order(1);
    assert_eq!(made.parts().unwrap().epoch, ahead + AHEAD);
    let after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    assert!(after.gateway.epoch > ahead + AHEAD);
}

#[test]
fn i7_an_epoch_that_no_run_comes_to_raises_none() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    let ours = bench.gateway.epoch;
    let mut past = Past::default().filled(&id(ours + 1_000_000, 1, 1), Side::Buy, &[4]);
    past.balances = vec![("USDT", 900), ("DOGE", 4)];
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    assert_eq!((bench.gateway.epoch, &bench.closed[..]), (ours, &[][..]));
    assert!(bench.logs.iter().any(|log| log.starts_with("an order bears an epoch far ahead")));
    assert_eq!(position(&bench, 1), "4 at 0.2 realised 0", "it is the session's all the same");
}

#[test]
fn what_the_lost_journals_pos_db_names_is_read_without_anyone_asking() {
    let past = past();
    let row = |session, qty: i64| io::LostPosition {
        session: SessionId(session),
        symbol: Symbol::new("dogeusdt"),
        qty: Qty::whole(qty),
        avg_price: "0.2".parse().unwrap(),
    };
    let config = GatewayConfig { lost_positions: vec![row(1, 5), row(2, 30)], ..config() };
    let mut bench = Bench::of(config, Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    assert_eq!(position(&bench, 1), "5 at 0.2 realised 0.5");
    let logged = |word: &str| bench.logs.iter().filter(|log| log.contains(word)).count();
    assert_eq!(logged("position found again"), 1, "{:?}", bench.logs);
    assert_eq!(logged("VALUES (2, 'dogeusdt', 30, 0.2);"), 1, "{:?}", bench.logs);
}

#[test]
fn i11_a_difference_is_looked_for_in_symbols_nobody_has_used() {
    let mut bench = Bench::ready_with(Vec::new());
    let known = Past { balances: vec![("USDT", 1_000)], ..Past::default() };
    known.serve(&mut bench, 10);
    // The first order of a symbol, of which a crash left no record at all; it was filled after the books were opened.
    let mut past = known.filled(&id(bench.gateway.epoch, 1, 1), Side::Buy, &[10]);
    past.fills[0].time = bench.now;
    past.orders[0].time = bench.now;
    past.balances = vec![("USDT", 998), ("DOGE", 10)];
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), bench.now + Span::from_secs(30));
    past.meet(&mut after);
    past.serve(&mut after, 90);
    assert_eq!(position(&after, 1), "10 at 0.2 realised 0");
    assert_eq!(unattributed(&after), [""; 0]);
}

#[test]
fn r51_the_first_order_of_a_symbol_that_a_kill_kept_from_the_journal_is_told() {
    let known = Past { balances: vec![("USDT", 1_000)], ..Past::default() };
    let mut bench = Bench::ready_with(vec![doge_is_read()]);
    known.serve(&mut bench, 10);
    bench.hold_commits = true;
    let id = bench.order(1);
    let mut past = known.filled(&id, Side::Buy, &[4, 6]).lately(bench.now);
    past.balances = vec![("USDT", 998), ("DOGE", 10)];
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), bench.now + Span::from_secs(30));
    past.meet(&mut after);
    past.serve(&mut after, 10);
    // Its strategy was told that the order is taken, and of nothing else.
    after.pending = json!([{"epoch": bench.gateway.epoch, "method": "order", "params": {"n": 1,
        "symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}]);
    let reply = after.login(None);
    assert_eq!(reply["result"]["answers"][0]["result"]["order_id"], json!(id));
    let told = after.events();
    let ends = told.iter().filter(|event| *event == "FILLED 10").count();
    let orders = told.iter().filter(|event| event.contains("FILLED")).count();
    assert_eq!((ends, orders), (1, 2), "{told:?}");
    assert_eq!(position(&after, 1), "10 at 0.2 realised 0");
    assert_eq!(unattributed(&after), [""; 0]);
}

/// The pages of one symbol's past cannot be had.
fn failing(query: &Query) -> Option<Answer> {
    let fails = matches!(query, Query::OrdersFrom { symbol, .. } if symbol.as_str() == "shibusdt");
    fails.then(|| Answer::Failed("-1003".to_owned()))
}

#[test]
fn i11_a_fill_that_a_crash_kept_from_the_journal_is_found_while_the_books_are_not_open() {
    let known = Past { balances: vec![("USDT", 1_000)], ..Past::default() };
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    bench.login(None);
    bench.says(vec![VenueEvent::Instruments(vec![doge(), shiba()])]);
    bench.call(&json!({"id": 51, "method": "subscribe", "params": {"streams": ["shibusdt@bbo"]}}));
    bench.says(vec![VenueEvent::EntryUp]);
    for _ in 0..32 {
        bench.answer(|query| failing(query).unwrap_or_else(|| known.answer(query)));
        bench.wait(Span::from_millis(250));
    }
    // The symbol is in use; of the next order nothing reaches the disk.
    bench.order(1);
    bench.hold_commits = true;
    let id = bench.order(2);
    let opening = |r: &Record| matches!(r, Record::Cash(cash) if cash.reason == "opening");
    assert!(!bench.journal.iter().any(opening), "the books wait for the other symbol");
    let mut past = known.filled(&id, Side::Buy, &[10]).lately(bench.now);
    past.balances = vec![("USDT", 998), ("DOGE", 10)];
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), bench.now + Span::from_secs(300));
    past.meet(&mut after);
    past.serve(&mut after, 120);
    assert_eq!(position(&after, 1), "10 at 0.2 realised 0");
    assert_eq!(unattributed(&after), [""; 0]);
    assert_eq!(after.gateway.books().total(&Asset::new("DOGE")), Cash::whole(10));
}

#[test]
fn i11_the_books_of_an_empty_account_stay_open() {
    let mut past = Past::default();
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    past.meet(&mut bench);
    past.serve(&mut bench, 120);
    bench.login(None);
    bench.order(1);
    bench.hold_commits = true;
    let id = bench.order(2);
    past = past.filled(&id, Side::Buy, &[10]).lately(bench.now);
    past.balances = vec![("DOGE", 10), ("BNB", 5)];
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), bench.now + Span::from_secs(300));
    past.meet(&mut after);
    past.serve(&mut after, 120);
    assert_eq!(position(&after, 1), "10 at 0.2 realised 0");
    // What came meanwhile is a difference, not an opening.
    assert_eq!(unattributed(&after), ["BNB 5", "USDT 2"]);
}

#[test]
fn a_fill_of_somebody_else_before_the_opening_is_not_asked_about() {
    let known = Past { balances: vec![("USDT", 1_000)], ..Past::default() };
    let mut bench = Bench::ready();
    bench.order(1);
    known.serve(&mut bench, 10);
    let mut past = known.filled(&ClientOrderId::foreign("web_1"), Side::Buy, &[50]);
    past.fills[0].time = START - Span::from_millis(500);
    let read_back: Vec<Record> = (bench.journal.iter())
        .map(|record| match record {
            // Found again by the overlap of the reading.
            Record::Cursor { symbol, trade_id, time } => {
                let time = *time - Span::from_secs(120);
                Record::Cursor { symbol: symbol.clone(), trade_id: *trade_id, time }
            }
            record => record.clone(),
        })
        .map(|record| match record {
            Record::Cash(cash) => {
                Record::Cash(crate::journal::CashRecord { time: cash.time + Span::from_secs(120), ..cash })
            }
            record => record,
        })
        .collect();
    let mut after = Bench::new(read_back, Vec::new(), bench.now + Span::from_secs(180));
    past.meet(&mut after);
    let fills = after.journal.iter().filter(|r| matches!(r, Record::Fill(_))).count();
    assert_eq!(fills, 0, "the opening holds it");
    assert_eq!(unattributed(&after), [""; 0]);
}

#[test]
fn symbols_whose_past_cannot_be_had_hold_up_no_other() {
    let past = past();
    let other = |name: &str| Instrument { symbol: Symbol::new(name), ..shiba() };
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    bench.login(None);
    bench.says(vec![VenueEvent::Instruments(vec![doge(), shiba(), other("pepeusdt")])]);
    for streams in [["shibusdt@bbo"], ["pepeusdt@bbo"], ["dogeusdt@bbo"]] {
        bench.call(&json!({"id": 51, "method": "subscribe", "params": {"streams": streams}}));
    }
    bench.says(vec![VenueEvent::EntryUp]);
    for _ in 0..240 {
        bench.answer(|query| match query {
            Query::OrdersFrom { symbol, .. } if symbol.as_str() != "dogeusdt" => {
                Answer::Failed("-1003".to_owned())
            }
            query => past.answer(query),
        });
        bench.wait(Span::from_millis(250));
    }
    assert_eq!(position(&bench, 1), "5 at 0.2 realised 0.5");
    let given_up = bench.logs.iter().filter(|log| log.contains("cannot be had")).count();
    assert_eq!(given_up, 2, "once each: {:?}", bench.logs);
    assert_eq!(bench.gateway.books().total(&Asset::new("USDT")), Cash::whole(900), "the books are open");
    bench.order(1);
}

#[test]
fn i11_both_sides_of_a_self_trade_at_the_edge_of_a_page_are_booked() {
    let mut past = Past::default();
    for n in 1..=1_001 {
        past = past.filled(&id(7, 1, n), Side::Buy, &[1]);
    }
    // The last of the first page, and the first of the next.
    past.fills[1_000].trade_id = past.fills[999].trade_id;
    past.orders[1_000].side = Side::Sell;
    past.fills[1_000].side = Side::Sell;
    past.balances = vec![("USDT", 900), ("DOGE", 999)];
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 2);
    assert!(position(&bench, 1).starts_with("999 at"), "{}", position(&bench, 1));
    assert!(!bench.logs.iter().any(|log| log.contains("not shown")), "{:?}", bench.logs);
}

#[test]
fn fills_that_the_exchange_does_not_show_any_more_are_told() {
    let mut past = past();
    past.fills.remove(2);
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    let told: Vec<_> = bench.logs.iter().filter(|log| log.contains("not shown")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("counted=3 booked=0"), "{told:?}");
}

#[test]
fn a_past_on_its_way_to_the_disk_is_not_read_again() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    bench.hold_commits = true;
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    bench.script.0.borrow_mut().queries.clear();
    bench.call(&doge_order(1, &json!({})));
    let asked = bench.script.0.borrow().queries.len();
    assert_eq!(asked, 0, "{:?}", bench.script.0.borrow().queries);
}

#[test]
fn i7_a_new_journal_begins_its_epochs_nowhere_near_a_lost_one() {
    let epochs: std::collections::BTreeSet<u32> = (0..50)
        .map(|seed| {
            let config = GatewayConfig { seed: seed * 7, ..config() };
            Bench::of(config, Vec::new(), Vec::new(), START).gateway.epoch
        })
        .collect();
    assert_eq!(epochs.len(), 50, "started in the same minute");
}

#[test]
fn r47_an_order_of_a_lost_life_that_fills_now_is_no_second_gateways() {
    let mut bench = Bench::ready();
    let ahead = bench.gateway.epoch + 4_000;
    let partly = report(&id(ahead, 1, 3), VenueStatus::PartiallyFilled, 4, Some(fill(1, 4)));
    bench.says(vec![event(OrderReport { time: START + Span::from_secs(60), ..partly })]);
    assert_eq!(bench.net(), Qty::whole(4));
    assert_eq!(bench.closed, [(ConnId(1), 1012)], "the session must learn the new prefix");
    bench.login(None);
    assert_eq!(bench.order(4).parts().unwrap().epoch, ahead + AHEAD);
}

#[test]
fn a_pending_order_of_a_lost_life_is_never_called_a_failure() {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    let ahead = bench.gateway.epoch + 9;
    bench.pending = json!([{"epoch": ahead, "method": "order", "params": {"n": 7, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["answers"], json!([null]), "being found out");
    let id = bench.gateway.order_id(ahead, SessionId(1), 7);
    assert_eq!(bench.gateway.orders().get(&id).unwrap().status().as_str(), "UNKNOWN");
}

/// Where the exchange keeps a stop is said by its symbol's rules: until they are there a stop that nobody here knows is
/// not taken for an ordinary order.
#[test]
fn a_stop_of_a_lost_life_waits_until_the_symbols_are_loaded() {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    assert!(bench.gateway.instruments.is_none());
    bench.pending = json!([{"epoch": 1, "method": "order", "params": {"n": 7, "symbol": "dogeusdt", "side": "BUY",
        "type": "STOP_LOSS", "stop_price": "0.3", "qty": "10"}}]);
    assert_eq!(bench.login(None), Value::Null);
    assert_eq!(bench.closed, [(bench.conn, 1012)]);
    assert!(bench.gateway.orders().open().next().is_none());
}

/// Its first command of that epoch has no answer yet.
fn pending(epoch: u32) -> Value {
    json!([{"epoch": epoch, "method": "order", "params": {"n": 1, "symbol": "dogeusdt",
        "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"}}])
}

#[test]
fn i7_no_id_that_a_strategy_names_is_given_again() {
    // The lost life's may be above this one's, or the same.
    for more in [0, 9] {
        let mut bench = Bench::ready();
        let (began, seated) = (bench.gateway.epoch, bench.conn);
        bench.pending = pending(began + more);
        let reply = bench.login_as(2, None);
        assert_eq!(reply["result"]["answers"], json!([null]), "being found out");
        assert_eq!(bench.closed, [(seated, 1012)], "session 1 must learn the new prefix");
        assert!(bench.gateway.epoch > began + more, "{more}");
        assert_eq!(reply["result"]["epoch"], json!(bench.gateway.epoch));
        // Once it is on the disk and recovered, the numbers begin anew, and each makes an order of its own.
        bench.recover(&[], &[]);
        let next = reply["result"]["next_command"].as_u64().unwrap();
        let made = bench.order(next);
        assert_eq!(made, bench.gateway.order_id(bench.gateway.epoch, SessionId(2), next));
        // Who is told so much is not told it again.
        let risen = bench.gateway.epoch;
        bench.take_over = true;
        bench.login_as(2, None);
        assert_eq!(bench.gateway.epoch, risen);
        bench.pending = pending(risen);
        bench.login_as(2, None);
        assert_eq!(bench.gateway.epoch, risen, "it was given that one here");
    }
    let mut bench = Bench::ready();
    let began = bench.gateway.epoch;
    bench.input(Input::ClientClosed(bench.conn));
    bench.pending = pending(u32::MAX - 7);
    bench.login(None);
    assert_eq!(bench.gateway.epoch, began, "no gateway gave that");
}

/// One that was lost had risen beyond all beginnings, too, and went on from there.
#[test]
fn i7_no_id_that_a_strategy_names_is_given_again_beyond_all_beginnings() {
    let minutes = START.since(EPOCH_ZERO).millis() / 60_000;
    let furthest = u32::try_from(minutes).unwrap() + 2 * (AHEAD + BEGINNINGS as u32);
    let mut copy = Bench::ready().journal;
    for record in &mut copy {
        if let Record::Start(start) = record {
            start.epoch = furthest + 100;
        }
    }
    for more in [0, 9] {
        let mut bench = Bench::new(copy.clone(), Vec::new(), START + Span::from_secs(1));
        let began = bench.gateway.epoch;
        assert!(began > furthest);
        bench.pending = pending(began + more);
        bench.login_as(2, None);
        assert!(bench.gateway.epoch > began + more, "{more}");
    }
}

#[test]
fn i7_a_session_raises_the_epoch_once_a_run() {
    let mut bench = Bench::ready();
    let began = bench.gateway.epoch;
    let seen_off = |bench: &Bench| bench.closed.iter().filter(|(_, code)| *code == 1012).count();
    bench.take_over = true;
    for _ in 0..5 {
        bench.pending = pending(bench.gateway.epoch + 1);
        bench.login_as(2, None);
    }
    assert_eq!((bench.gateway.epoch, seen_off(&bench)), (began + 1 + AHEAD, 1));
    let passed_over = |log: &&String| log.starts_with("a session names a lost epoch again");
    assert_eq!(bench.logs.iter().filter(passed_over).count(), 4);
    // What another has to tell is heeded, and in the next run what this one has.
    bench.pending = pending(bench.gateway.epoch);
    bench.login_as(3, None);
    assert_eq!((bench.gateway.epoch, seen_off(&bench)), (began + 1 + 2 * AHEAD, 2));
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    let began = after.gateway.epoch;
    after.pending = pending(began);
    after.login_as(2, None);
    assert_eq!(after.gateway.epoch, began + AHEAD);
}

#[test]
fn a_pending_order_that_a_lost_life_saw_filled_is_told_so() {
    let ended = id(7, 1, 7);
    let mut past = Past::default().filled(&ended, Side::Buy, &[10]);
    past.balances = vec![("USDT", 900), ("DOGE", 10)];
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    let ends = |bench: &Bench| bench.events().iter().filter(|event| *event == "FILLED 10").count();
    assert_eq!(ends(&bench), 0, "found in the past, it is told by the position alone");
    bench.take_over = true;
    bench.pending = json!([{"epoch": 7, "method": "order", "params": {"n": 7}}]);
    let reply = bench.login(None);
    assert_eq!(reply["result"]["answers"], json!([{"result": {"n": 7, "order_id": ended}}]));
    assert_eq!(ends(&bench), 1, "its strategy waits for its end");
    bench.login(None);
    assert_eq!(ends(&bench), 1, "told once");
}

#[test]
fn a_journal_from_before_lots_were_kept_learns_them() {
    let mut bench = Bench::ready();
    bench.order(1);
    let without = |record: &Record| match record.clone() {
        Record::Listing { symbol, base, quote, holding, unread, .. } => {
            Record::Listing { symbol, base, quote, holding, unread, lot: None }
        }
        record => record,
    };
    let before: Vec<Record> = bench.journal.iter().map(without).collect();
    let mut after = Bench::new(before.clone(), Vec::new(), START + Span::from_secs(60));
    after.recover(&[], &[]);
    let lots = |bench: &Bench, from: usize| -> Vec<(Option<Qty>, bool)> {
        let of = |record: &Record| match record {
            Record::Listing { lot, unread, .. } => Some((*lot, *unread)),
            _ => None,
        };
        bench.journal[from..].iter().filter_map(of).collect()
    };
    assert_eq!(lots(&after, before.len()), [(Some(Qty::whole(1)), false)]);
    let mut again = Bench::new(after.journal.clone(), Vec::new(), START + Span::from_secs(120));
    again.recover(&[], &[]);
    assert_eq!(lots(&again, after.journal.len()), []);
}

#[test]
fn what_others_traded_after_our_last_fill_is_not_read_in_every_round() {
    let mut past = past();
    for _ in 0..3_000 {
        past = past.filled(&ClientOrderId::foreign("web_2"), Side::Buy, &[1]);
    }
    for (seconds, fill) in past.fills.iter_mut().enumerate() {
        fill.time = START - Span::from_secs(7_200 - 2 * seconds as i64);
    }
    past.balances = vec![("USDT", 900), ("DOGE", 3_058), ("BNB", 7)];
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 2);
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let mut pages = 0;
    for round in 0..3 {
        bench.gateway.recovery.saw(&Symbol::new("dogeusdt"));
        bench.wait(Span::from_secs(60));
        pages = 0;
        for _ in 0..20 {
            let asked = bench.script.0.borrow().queries.clone();
            pages += asked.iter().filter(|(_, q)| matches!(q, Query::TradesFrom { .. })).count();
            bench.answer(|query| past.answer(query));
        }
        assert!(pages > 0, "round {round}");
    }
    assert_eq!(pages, 1, "in the last round");
}

#[test]
fn c6_a_kill_before_the_fills_of_a_past_are_on_the_disk_tells_none_of_its_orders() {
    let past = past();
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    past.meet(&mut bench);
    bench.login(None);
    subscribe(&mut bench);
    past.serve(&mut bench, 1);
    let first = bench.journal.iter().position(|record| matches!(record, Record::Fill(_))).unwrap();
    let orders =
        bench.journal[..first].iter().filter(|record| matches!(record, Record::OrderState(_))).count();
    assert!(orders > 0, "they are on the disk, and their fills are not");
    bench.journal.truncate(first);
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(90));
    after.login(None);
    past.meet(&mut after);
    past.serve(&mut after, 2);
    assert_eq!(position(&after, 1), "5 at 0.2 realised 0.5");
    assert_eq!(unattributed(&after), [""; 0]);
    assert!(!after.events().iter().any(|event| event.contains("FILLED")), "{:?}", after.events());
}
