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
                Answer::Account(Account { balances, can_trade: true, updated: Time::default() })
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
    assert_eq!(login["result"]["epoch"], json!(ahead + 1));
    let made = bench.order(1);
    assert_eq!(made.parts().unwrap().epoch, ahead + 1);
    let after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    assert!(after.gateway.epoch > ahead + 1);
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
