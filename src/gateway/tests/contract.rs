//! Contracts: a small exchange that keeps its own account, and what the books make of it.

use super::*;
use crate::journal::{ChargeKind, Forced, Owner};
use crate::ledger::books::ChargeKey;
use crate::num::Rate;

const HOUR: Span = Span::from_secs(3_600);
const UNIT: i128 = 100;

fn btc() -> Symbol {
    Symbol::new("btcusdt")
}

fn usdt() -> Asset {
    Asset::new("USDT")
}

fn holding() -> Asset {
    Asset::new("BTCUSDT")
}

fn perpetual() -> Instrument {
    let number = |text: &str| text.parse().unwrap();
    let lots = |text: &str| text.parse().unwrap();
    Instrument {
        symbol: btc(),
        kind: InstrumentKind::Perpetual,
        base: Asset::new("BTC"),
        quote: usdt(),
        holding: holding(),
        price: Grid { min: number("0.1"), max: number("1000000"), step: number("0.1") },
        qty: Grid { min: lots("0.001"), max: lots("1000"), step: lots("0.001") },
        ..doge()
    }
}

/// The exchange's account, reckoned its own way: average cost, profit booked at once, all in wallet units.
#[derive(Default)]
struct Exchange {
    wallet: i128,
    qty: i128,
    cost: i128,
    fills: Vec<Fill>,
    orders: Vec<OrderReport>,
    rates: Vec<FundingRate>,
    income: Vec<Income>,
    /// Questions for rates and income are not answered.
    mute: bool,
    /// Each fill by whom it is: (time, session or 0, signed raw quantity).
    moves: Vec<(Time, u16, i128)>,
}

impl Exchange {
    /// A trade of the account at a price, for a session or (0) by hand. Gives the report that tells of it.
    fn trade(&mut self, time: Time, session: u16, signed: &str, price: &str) -> OrderReport {
        let (signed, price): (Qty, Price) = (signed.parse().unwrap(), price.parse().unwrap());
        let (qty, quote) = (signed.raw(), price.times(signed).raw());
        let opens = self.qty == 0 || (self.qty > 0) == (qty > 0);
        let mut realised = 0;
        if opens {
            self.cost += quote;
        } else if qty.abs() <= self.qty.abs() {
            let cost = self.cost * qty.abs() / self.qty.abs() / UNIT * UNIT;
            realised = -(cost + quote);
            self.cost -= cost;
        } else {
            let value = quote * self.qty.abs() / qty.abs() / UNIT * UNIT;
            realised = -(self.cost + value);
            self.cost = quote - value;
        }
        self.qty += qty;
        let fee = price.times(signed.abs()).at_rate(5_000_000, 8);
        self.wallet += realised - fee.raw();
        self.moves.push((time, session, qty));
        let number = self.fills.len() as u64 + 1;
        let side = if qty > 0 { Side::Buy } else { Side::Sell };
        let id = match session {
            0 => ClientOrderId::foreign(&format!("web_{number}")),
            session => ClientOrderId::mint(crate::ids::IdParts {
                kind: IdKind::Order,
                install: Install::from_hash(5),
                epoch: 1,
                session: SessionId(session),
                command: number,
            }),
        };
        let fill = Fill {
            symbol: btc(),
            trade_id: number,
            venue_id: number,
            side,
            price,
            qty: signed.abs(),
            quote: price.times(signed.abs()),
            realised: Some(Cash::from_raw(realised)),
            fee,
            fee_asset: Some(usdt()),
            maker: false,
            time,
        };
        self.fills.push(fill.clone());
        let report = OrderReport {
            symbol: btc(),
            venue_id: number,
            qty: fill.qty,
            filled: fill.qty,
            price,
            side,
            time,
            ..report(&id, VenueStatus::Filled, 0, Some(fill))
        };
        self.orders.push(OrderReport { fill: None, ..report.clone() });
        report
    }

    /// Pays funding by what the account holds.
    fn fund(&mut self, time: Time, rate: &str, mark: &str) -> Option<Income> {
        let (rate, mark): (Rate, Price) = (rate.parse().unwrap(), mark.parse().unwrap());
        self.rates.push(FundingRate { symbol: btc(), time, kind: ChargeKind::Funding, rate, mark });
        let value = self.qty * mark.raw() / crate::num::ONE * rate.raw() / crate::num::ONE;
        let amount = -(value / UNIT * UNIT);
        self.wallet += amount;
        let id = Some(self.income.len() as u64 + 1);
        let paid = Income {
            id,
            kind: ChargeKind::Funding,
            symbol: Some(btc()),
            asset: usdt(),
            amount: Cash::from_raw(amount),
            time,
            loan: None,
        };
        (amount != 0).then(|| {
            self.income.push(paid.clone());
            Income { id: None, ..paid }
        })
    }

    fn balances(&self) -> Vec<Balance> {
        vec![
            Balance::new(usdt(), Cash::from_raw(self.wallet), Cash::ZERO),
            Balance::new(holding(), Cash::from_raw(self.qty), Cash::ZERO),
        ]
    }

    fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::OpenOrders => Answer::Orders(Vec::new()),
            Query::Account => Answer::Account(Account { balances: self.balances(), can_trade: true }),
            Query::TradesFrom { from, .. } => {
                Answer::Trades(self.fills.iter().filter(|f| f.trade_id >= *from).cloned().collect())
            }
            Query::TradesSince { since, .. } => {
                Answer::Trades(self.fills.iter().filter(|f| f.time >= *since).cloned().collect())
            }
            Query::TradesOfOrder { venue_id, .. } => {
                Answer::Trades(self.fills.iter().filter(|f| f.venue_id == *venue_id).cloned().collect())
            }
            Query::OrdersFrom { conditional: true, .. } => Answer::Orders(Vec::new()),
            Query::OrdersFrom { from, .. } => {
                Answer::Orders(self.orders.iter().filter(|o| o.venue_id >= *from).cloned().collect())
            }
            Query::OrderByVenueId { venue_id, .. } => {
                let order = self.orders.iter().find(|o| o.venue_id == *venue_id);
                order.map_or(Answer::NotFound, |o| Answer::Order(Box::new(o.clone())))
            }
            Query::Funding { .. } | Query::Income { .. } if self.mute => Answer::Failed("-1001".to_owned()),
            Query::Funding { since, .. } => {
                Answer::Funding(self.rates.iter().filter(|r| r.time >= *since).cloned().collect())
            }
            Query::Income { since } => {
                Answer::Income(self.income.iter().filter(|i| i.time >= *since).cloned().collect())
            }
            _ => Answer::NotFound,
        }
    }

    /// What a session (0: by hand) held at an instant, naively.
    fn held(&self, session: u16, at: Time) -> i128 {
        self.moves.iter().filter(|m| m.1 == session && m.0 < at).map(|m| m.2).sum()
    }
}

struct Trial {
    bench: Bench,
    exchange: Exchange,
}

impl Trial {
    /// Ready, with that much in the wallet and whatever the exchange holds already.
    fn new(exchange: Exchange) -> Self {
        let mut trial = Self { bench: Bench::new(Vec::new(), Vec::new(), START), exchange };
        trial.come_up();
        trial
    }

    fn come_up(&mut self) {
        self.bench.says(vec![VenueEvent::Instruments(vec![perpetual()]), VenueEvent::EntryUp]);
        self.answer();
        self.wait(Span::from_secs(5));
    }

    fn restart(&mut self) {
        let journal = self.bench.journal.clone();
        self.bench = Bench::new(journal, Vec::new(), self.bench.now + Span::from_secs(1));
        self.come_up();
    }

    fn answer(&mut self) {
        for _ in 0..20 {
            let Self { bench, exchange } = self;
            if bench.script.0.borrow().queries.is_empty() {
                break;
            }
            bench.answer(|query| exchange.answer(query));
        }
    }

    fn wait(&mut self, span: Span) {
        let until = self.bench.now + span;
        // As the shell does: from deadline to deadline.
        while let Some(due) = self.bench.gateway.deadline().filter(|due| *due < until) {
            self.bench.now = due.max(self.bench.now + Span::from_millis(1));
            self.bench.input(Input::Timer);
            self.answer();
        }
        self.bench.now = until;
        self.bench.input(Input::Timer);
        self.answer();
    }

    fn now(&self) -> Time {
        // The exchange knows milliseconds only.
        Time::from_millis(self.bench.now.millis())
    }

    /// A trade of which the private stream tells at once.
    fn trade(&mut self, session: u16, signed: &str, price: &str) {
        let now = self.now();
        let report = self.exchange.trade(now, session, signed, price);
        let balances = self.exchange.balances();
        self.bench.says(vec![event(report), VenueEvent::Balances(balances)]);
        self.answer();
    }

    fn fund(&mut self, rate: &str, mark: &str) -> Option<Income> {
        let now = self.now();
        self.exchange.fund(now, rate, mark)
    }

    fn hear(&mut self, paid: Option<Income>) {
        let balances = VenueEvent::Balances(self.exchange.balances());
        let paid = paid.map(VenueEvent::Income);
        self.bench.says(paid.into_iter().chain([balances]).collect());
        self.answer();
    }

    fn asset(&self, owner: Owner, asset: &Asset) -> i128 {
        self.bench.gateway.books().asset(owner, asset).raw()
    }

    /// I10 and the wallet: all rows add up to what the exchange says, nothing is unexplained.
    fn check(&self, context: &str) {
        let books = self.bench.gateway.books();
        assert_eq!(books.total(&usdt()).raw(), self.exchange.wallet, "wallet {context}");
        assert_eq!(books.total(&holding()).raw(), self.exchange.qty, "position {context}");
        for asset in [usdt(), holding()] {
            assert_eq!(self.asset(Owner::Unattributed, &asset), 0, "unattributed {asset} {context}");
        }
        let folded = {
            let mut books = crate::ledger::books::Books::default();
            self.bench.journal.iter().for_each(|record| books.fold(record));
            books.assets().map(|(o, a, v)| format!("{o:?} {a} {v}")).collect::<Vec<_>>()
        };
        let live: Vec<_> = books.assets().map(|(o, a, v)| format!("{o:?} {a} {v}")).collect();
        assert_eq!(folded, live, "the journal folds to the books {context}");
    }

    /// Shares of all fundings booked so far: to the unit what each held is due, the rest at the largest.
    fn check_shares(&self, owners: &[u16]) {
        for rate in &self.exchange.rates {
            let (kind, symbol, time) = (ChargeKind::Funding, Some(btc()), rate.time);
            let key = ChargeKey { kind, symbol, asset: usdt(), time, loan: None, nth: 0 };
            let shares = self.bench.gateway.books().charged(&key);
            let paid =
                self.exchange.income.iter().find(|i| i.time == rate.time).map_or(0, |i| i.amount.raw());
            assert_eq!(shares.values().map(|s| s.raw()).sum::<i128>(), paid, "{rate:?} {shares:?}");
            for session in owners {
                let owner = match session {
                    0 => Owner::External,
                    session => Owner::Session(SessionId(*session)),
                };
                let held = self.exchange.held(*session, rate.time);
                let exact = -(held * rate.mark.raw() / crate::num::ONE * rate.rate.raw()) / crate::num::ONE;
                let found = shares.get(&owner).map_or(0, |share| share.raw());
                let most = UNIT * owners.len() as i128;
                assert!((found - exact).abs() <= most, "{session} at {rate:?}: {found}, due {exact}");
            }
        }
    }
}

fn funded(wallet: i64) -> Exchange {
    Exchange { wallet: Cash::whole(wallet).raw(), ..Exchange::default() }
}

#[test]
fn i10_rows_add_up_to_the_account_after_every_trade() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut trial = Trial::new(funded(100_000));
        for step in 0..30 {
            let signed =
                format!("{}{}", if rng.bool() { "-" } else { "" }, f64::from(rng.u32(1..2_000)) / 1_000.0);
            let price = format!("{}.{}", rng.u32(49_000..51_000), rng.u8(0..10));
            trial.trade(rng.u16(0..4), &signed, &price);
            trial.bench.now += Span::from_millis(rng.i64(1..1_000));
            trial.check(&format!("seed {seed} step {step}"));
        }
    }
}

#[test]
fn i10_a_position_held_before_the_first_start_is_external() {
    let mut exchange = funded(1_000);
    exchange.trade(START - HOUR, 0, "-0.5", "50000");
    exchange.fills.clear();
    let mut trial = Trial::new(exchange);
    trial.check("at the start");
    assert_eq!(trial.asset(Owner::External, &holding()), Qty::from_raw(-5_000_000_000).raw());
    trial.trade(1, "1", "51000");
    trial.check("hedged by a session");
    assert_eq!(trial.bench.net(), Qty::ZERO, "of another symbol");
    assert_eq!(trial.asset(Owner::Session(SessionId(1)), &holding()), Qty::whole(1).raw());
}

#[test]
fn r45_a_day_of_funding_with_sessions_that_offset_each_other() {
    let mut trial = Trial::new(funded(100_000));
    trial.trade(1, "1", "50000");
    trial.trade(2, "-1", "50010.1");
    assert_eq!(trial.exchange.qty, 0, "the account is flat");
    trial.wait(HOUR * 8);
    let paid = trial.fund("0.00012345", "50123.45678901");
    assert_eq!(paid, None, "the exchange pays nothing");
    trial.wait(Span::from_secs(90));
    trial.check("after the first funding");
    // 50000, a fee of 25, and 50123.45678901 × 0.00012345 = 6.1877407…
    let row = Cash::from_raw(trial.asset(Owner::Session(SessionId(1)), &usdt()));
    assert_eq!(row.to_string(), "-50031.18774074");
    trial.check_shares(&[1, 2]);

    // A foreign position, a third session, and a fill of its that nobody tells of until after the payment.
    trial.trade(0, "-0.7", "50100");
    trial.trade(3, "0.3", "50100");
    trial.wait(Span::from_secs(8 * 3_600 - 91));
    let now = trial.now();
    let untold = trial.exchange.trade(now, 3, "0.123", "50099.9");
    trial.bench.now += Span::from_secs(1);
    let paid = trial.fund("-0.00010001", "50099.12345678");
    trial.hear(paid.clone());
    trial.bench.says(vec![event(untold)]);
    trial.hear(paid);
    trial.wait(Span::from_secs(90));
    trial.check("after the second funding");
    trial.check_shares(&[0, 1, 2, 3]);

    trial.wait(HOUR * 8);
    let paid = trial.fund("0.0003", "49000");
    trial.hear(paid);
    trial.wait(Span::from_secs(90));
    trial.check("after the third funding");
    trial.check_shares(&[0, 1, 2, 3]);
    let fundings = trial.bench.journal.iter().filter(|r| matches!(r, Record::Funding(_))).count();
    assert!(fundings >= 3, "{fundings}");
}

#[test]
fn r45_an_outage_across_a_funding_and_a_fill_is_caught_up() {
    let mut trial = Trial::new(funded(100_000));
    trial.trade(1, "1", "50000");
    trial.trade(2, "-0.4", "50010.1");
    trial.wait(HOUR);
    trial.bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    trial.bench.now += HOUR;
    let now = trial.now();
    trial.exchange.trade(now, 3, "0.25", "49990");
    trial.bench.now += HOUR;
    trial.fund("0.0001", "50000.00000001");
    trial.bench.now += HOUR;
    let now = trial.now();
    trial.exchange.trade(now, 3, "-0.25", "50500");
    trial.bench.now += HOUR * 6;
    trial.fund("0.0002", "50700");
    trial.bench.now += HOUR;
    trial.restart();
    trial.wait(Span::from_secs(90));
    trial.check("after the outage");
    trial.check_shares(&[1, 2, 3]);
    let journal = trial.bench.journal.len();
    trial.restart();
    trial.wait(Span::from_secs(90));
    trial.check("after another start");
    let charged = |r: &&Record| matches!(r, Record::Charge(_) | Record::Funding(_));
    assert_eq!(trial.bench.journal[journal..].iter().filter(charged).count(), 0, "nothing is booked twice");
}

#[test]
fn r45_what_the_opening_missed_has_its_part_of_a_funding_before_the_correction() {
    let mut trial = Trial { bench: Bench::new(Vec::new(), Vec::new(), START), exchange: funded(100_000) };
    trial.bench.says(vec![VenueEvent::Instruments(vec![perpetual()]), VenueEvent::EntryUp]);
    trial.answer();
    // Of the moment in which the books were opened, and not in what was read for them.
    let now = trial.now();
    trial.exchange.trade(now, 0, "-0.5", "50000");
    trial.exchange.fills.clear();
    trial.bench.now += Span::from_millis(500);
    trial.trade(1, "1", "50000");
    trial.bench.now += Span::from_millis(500);
    let paid = trial.fund("0.0001", "50000");
    assert!(paid.is_some());
    trial.hear(paid);
    trial.wait(Span::from_secs(90));
    trial.check("after the correction");
    trial.check_shares(&[0, 1]);
}

#[test]
fn r45_a_fill_that_the_opening_was_corrected_by_is_no_ones_before_it_happened() {
    let mut trial = Trial { bench: Bench::new(Vec::new(), Vec::new(), START), exchange: funded(100_000) };
    trial.bench.says(vec![VenueEvent::Instruments(vec![perpetual()]), VenueEvent::EntryUp]);
    trial.answer();
    trial.bench.now += Span::from_millis(100);
    trial.trade(1, "1", "50000");
    trial.bench.now += Span::from_millis(300);
    let paid = trial.fund("0.0001", "50000");
    trial.hear(paid);
    trial.bench.now += Span::from_millis(300);
    let now = trial.now();
    let filled = trial.exchange.trade(now, 2, "0.5", "50000");
    let open = OrderReport { status: VenueStatus::New, filled: Qty::ZERO, fill: None, ..filled };
    trial.bench.says(vec![event(open.clone())]);
    let fills = trial.exchange.fills.clone();
    trial.exchange.fills.pop();
    let filled = std::mem::replace(trial.exchange.orders.last_mut().unwrap(), open);
    trial.wait(Span::from_secs(90));
    assert_eq!(
        trial.asset(Owner::External, &holding()),
        Qty::from_raw(5_000_000_000).raw(),
        "corrected by it"
    );
    trial.exchange.fills = fills;
    *trial.exchange.orders.last_mut().unwrap() = filled;
    trial.wait(HOUR);
    trial.check("once it is learnt");
    trial.check_shares(&[1, 2]);
}

#[test]
fn r45_the_event_and_the_row_of_a_payment_are_one_fact() {
    for order in [["event", "rates", "row"], ["rates", "row", "event"], ["row", "event", "rates"]] {
        let mut trial = Trial::new(funded(100_000));
        trial.trade(1, "2", "50000");
        trial.wait(HOUR);
        let paid = trial.fund("0.0001", "50000").unwrap();
        // The event is stamped a little later than the row.
        let late = Income { time: paid.time + Span::from_millis(1_200), ..paid };
        for word in order {
            match word {
                "event" => trial.hear(Some(late.clone())),
                "row" => {
                    let row = trial.exchange.income[0].clone();
                    trial.hear(Some(row.clone()));
                    trial.hear(Some(row));
                }
                _ => trial.wait(Span::from_secs(70)),
            }
        }
        trial.wait(Span::from_secs(90));
        trial.check(&format!("{order:?}"));
        trial.check_shares(&[1]);
        let charges = trial.bench.journal.iter().filter(|r| matches!(r, Record::Charge(_))).count();
        assert_eq!(charges, 1, "{order:?}");
    }
}

#[test]
fn a_payment_the_books_cannot_explain_is_unattributed_until_they_can() {
    let mut trial = Trial::new(funded(100_000));
    trial.trade(1, "1", "50000");
    trial.wait(HOUR);
    // A fill of which nobody has told yet: the exchange pays by 3, the books know 1.
    let now = trial.now();
    let untold = trial.exchange.trade(now, 2, "2", "50000");
    trial.bench.now += Span::from_secs(1);
    let paid = trial.fund("0.0001", "50000").unwrap();
    trial.bench.says(vec![VenueEvent::Income(paid)]);
    trial.bench.input(Input::Timer);
    let Trial { bench, exchange } = &mut trial;
    bench.answer(|query| exchange.answer(query));
    assert_eq!(Cash::from_raw(trial.asset(Owner::Session(SessionId(1)), &usdt())).to_string(), "-50030");
    assert_eq!(Cash::from_raw(trial.asset(Owner::Unattributed, &usdt())).to_string(), "-10", "visible");
    trial.bench.says(vec![event(untold)]);
    assert_eq!(trial.asset(Owner::Unattributed, &usdt()), 0, "explained by the fill");
    assert_eq!(Cash::from_raw(trial.asset(Owner::Session(SessionId(2)), &usdt())).to_string(), "-100060");
    trial.wait(Span::from_secs(90));
    trial.check("in the end");
}

#[test]
fn a_payment_without_a_published_rate_waits_for_it() {
    let mut trial = Trial::new(funded(100_000));
    trial.trade(1, "1", "50000");
    trial.wait(HOUR);
    let paid = trial.fund("0.0001", "50000");
    let published = std::mem::take(&mut trial.exchange.rates);
    trial.hear(paid);
    trial.wait(Span::from_secs(20));
    assert_eq!(trial.asset(Owner::Unattributed, &usdt()), 0, "not judged while it waits");
    trial.exchange.rates = published;
    trial.wait(Span::from_secs(60));
    trial.check("once published");
    trial.check_shares(&[1]);
}

#[test]
fn sweeps_do_not_wait_for_a_payment_that_cannot_be_asked_about() {
    let mut trial = Trial::new(funded(100_000));
    trial.trade(1, "1", "50000");
    trial.wait(HOUR);
    trial.exchange.mute = true;
    let paid = trial.fund("0.0001", "50000");
    trial.hear(paid);
    let minutes = Span::from_secs(200);
    trial.wait(minutes);
    let refused = trial.bench.logs.iter().filter(|line| line.starts_with("question not answered")).count();
    assert!(refused > 100, "it is asked again every second: {refused}");
    let looked = trial.bench.gateway.looked().map(|at| trial.bench.now.since(at));
    assert!(looked.is_some_and(|ago| ago <= Span::from_secs(61)), "{looked:?}");
    trial.exchange.mute = false;
    trial.wait(Span::from_secs(60));
    trial.check("once answered");
    trial.check_shares(&[1]);
}

/// The exchange ends a part of the account's position.
fn end(trial: &mut Trial, signed: &str, price: &str, forced: Forced) {
    let now = trial.now();
    let mut report = trial.exchange.trade(now, 0, signed, price);
    report.client_id = ClientOrderId::foreign("autoclose-1234");
    report.forced = Some(forced);
    let last = trial.exchange.orders.len() - 1;
    trial.exchange.orders[last].forced = Some(forced);
    let balances = VenueEvent::Balances(trial.exchange.balances());
    trial.bench.says(vec![event(report.clone()), event(report), balances]);
    trial.answer();
}

fn net(trial: &Trial, session: u16) -> String {
    trial.bench.gateway.books().position(SessionId(session), &btc()).qty.to_string()
}

#[test]
fn r44_a_liquidation_ends_the_sessions_that_held_the_side() {
    let mut trial = Trial::new(funded(50_000));
    trial.bench.login(None);
    for (session, signed) in [(1, "1"), (2, "2"), (3, "-0.5"), (0, "0.5")] {
        trial.trade(session, signed, "50000");
    }
    // 3 of 3.5 are held long by 1, 2 and by hand; the account's net is 3.
    end(&mut trial, "-1", "40000", Forced::Adl);
    trial.check("after a part");
    assert_eq!([1, 2, 3].map(|session| net(&trial, session)), ["0.715", "1.427", "-0.5"]);
    assert_eq!(trial.asset(Owner::External, &holding()), Qty::from_raw(3_580_000_000).raw());
    end(&mut trial, "-2", "39000", Forced::Liquidation);
    trial.check("after the rest");
    assert_eq!(trial.exchange.qty, 0);
    let sum: Cash = [1, 2, 3]
        .iter()
        .map(|s| trial.bench.gateway.books().position(SessionId(*s), &btc()).qty.as_cash())
        .sum();
    assert_eq!(sum.raw() + trial.asset(Owner::External, &holding()), 0, "no ghost");
    let told: Vec<_> = trial.bench.sent.iter().filter(|f| f["event"] == "position").collect();
    assert_eq!(told.len(), 2, "the first of two equal reports counts");
    assert_eq!((&told[0]["reason"], &told[0]["fill"]["qty"]), (&json!("adl"), &json!("0.285")));
    assert_eq!(told[0]["position"]["net"], "0.715");
    assert!(trial.bench.events().contains(&"notice liquidation".to_owned()), "{:?}", trial.bench.events());
}

#[test]
fn r44_a_fill_learnt_after_a_liquidation_corrects_the_parts() {
    let mut trial = Trial::new(funded(50_000));
    trial.bench.login(None);
    trial.trade(1, "1", "50000");
    let now = trial.now();
    let untold = trial.exchange.trade(now, 2, "1", "50010");
    trial.bench.now += Span::from_secs(1);
    // All of 2 is ended; of the second one nobody knows yet.
    end(&mut trial, "-1.2", "40000", Forced::Liquidation);
    assert_eq!([1, 2].map(|session| net(&trial, session)), ["0", "0"]);
    trial.bench.says(vec![event(untold)]);
    trial.answer();
    trial.check("once the fill is known");
    assert_eq!([1, 2].map(|session| net(&trial, session)), ["0.4", "0.4"]);
    assert_eq!(trial.asset(Owner::External, &holding()), 0, "no ghost");
    let parts: Vec<_> = trial.bench.sent.iter().filter(|f| f["event"] == "position").collect();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!((&parts[0]["fill"]["qty"], &parts[0]["position"]["net"]), (&json!("1"), &json!("0")));
    assert_eq!((&parts[1]["fill"], &parts[1]["position"]["net"]), (&Value::Null, &json!("0.4")));
    // Average cost and profit are as if it had been known at once: 0.6 closed at 40000 of what cost 50000.
    let totals = trial.bench.gateway.books().position(SessionId(1), &btc());
    assert_eq!(
        (totals.avg_price().to_string(), totals.realised.to_string()),
        ("50000".into(), "-6000".into())
    );
    let booked = trial.bench.journal.len();
    trial.restart();
    trial.wait(Span::from_secs(90));
    trial.check("after another start");
    let again = |r: &&Record| matches!(r, Record::Allocation(_));
    assert_eq!(trial.bench.journal[booked..].iter().filter(again).count(), 0, "nothing is booked twice");
}

#[test]
fn r44_what_was_traded_after_a_liquidation_has_no_part_in_it() {
    let mut trial = Trial::new(funded(50_000));
    trial.trade(1, "1", "50000");
    trial.trade(2, "1", "50000");
    trial.bench.now += HOUR;
    let now = trial.now();
    let mut ended = trial.exchange.trade(now, 0, "-1", "48000");
    ended.client_id = ClientOrderId::foreign("autoclose-1234");
    ended.forced = Some(Forced::Liquidation);
    trial.exchange.orders.last_mut().unwrap().forced = ended.forced;
    trial.bench.now += Span::from_secs(1);
    let now = trial.now();
    let after = trial.exchange.trade(now, 1, "2", "48500");
    // The later one is heard of first.
    trial.bench.says(vec![event(after), event(ended)]);
    trial.answer();
    trial.check("out of order");
    assert_eq!([1, 2].map(|session| net(&trial, session)), ["2.5", "0.5"]);
}

#[test]
fn r41_r44_a_settlement_during_an_outage_leaves_no_ghost() {
    let mut trial = Trial::new(funded(50_000));
    trial.trade(1, "0.3", "50000");
    trial.trade(2, "0.6", "50000");
    trial.bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    trial.bench.now += HOUR;
    let now = trial.now();
    trial.exchange.trade(now, 0, "-0.9", "48000");
    let last = trial.exchange.orders.len() - 1;
    trial.exchange.orders[last].forced = Some(Forced::Settlement);
    trial.restart();
    trial.wait(Span::from_secs(90));
    trial.check("after the settlement");
    assert_eq!([1, 2].map(|session| net(&trial, session)), ["0", "0"]);
    assert_eq!(trial.asset(Owner::External, &holding()), 0);
}

#[test]
fn what_the_insurance_fund_takes_follows_the_liquidation() {
    let mut trial = Trial::new(funded(50_000));
    trial.trade(1, "1", "50000");
    trial.trade(2, "2", "50000");
    end(&mut trial, "-3", "40000", Forced::Liquidation);
    let before = [1, 2].map(|s| trial.asset(Owner::Session(SessionId(s)), &usdt()));
    trial.exchange.wallet -= Cash::whole(30).raw();
    let taken = Income {
        id: None,
        kind: ChargeKind::Insurance,
        symbol: Some(btc()),
        asset: usdt(),
        amount: -Cash::whole(30),
        time: trial.now(),
        loan: None,
    };
    trial.hear(Some(taken.clone()));
    trial.hear(Some(taken.clone()));
    trial.hear(Some(Income { id: Some(77), time: taken.time + Span::from_millis(3), ..taken.clone() }));
    trial.hear(Some(Income { id: Some(77), ..taken }));
    let after = [1, 2].map(|s| trial.asset(Owner::Session(SessionId(s)), &usdt()));
    assert_eq!([0, 1].map(|k| before[k] - after[k]), [10, 20].map(|units| Cash::whole(units).raw()));
    trial.check("once");
}

#[test]
fn two_payments_of_one_millisecond_are_two_however_they_are_told() {
    for amounts in [[30, 12], [30, 30]] {
        for order in 0..24 {
            let mut trial = Trial::new(funded(50_000));
            trial.exchange.wallet -= Cash::whole(amounts[0] + amounts[1]).raw();
            let taken = |which: usize, id: Option<u64>| Income {
                id,
                kind: ChargeKind::Insurance,
                symbol: id.map(|_| btc()),
                asset: usdt(),
                amount: -Cash::whole(amounts[which]),
                time: trial.now(),
                loan: None,
            };
            // Each by an event and by a row of the history, in any order.
            let mut left = vec![taken(0, None), taken(1, None), taken(0, Some(77)), taken(1, Some(78))];
            let mut choice = order;
            for rest in (1..=4).rev() {
                let told = left.remove(choice % rest);
                choice /= rest;
                trial.hear(Some(told.clone()));
                trial.hear(Some(told));
            }
            let paid = 50_000 - trial.asset(Owner::External, &usdt()) / Cash::whole(1).raw();
            assert_eq!(paid, i128::from(amounts[0] + amounts[1]), "{amounts:?} in order {order}");
            trial.check("told");
        }
    }
}

#[test]
fn r44_insurance_told_before_the_liquidation_and_without_its_symbol_follows_it_all_the_same() {
    let mut trial = Trial::new(funded(50_000));
    trial.trade(1, "1", "50000");
    let now = trial.now();
    let untold = trial.exchange.trade(now, 2, "2", "50000");
    trial.bench.now += Span::from_secs(1);
    trial.exchange.wallet -= Cash::whole(30).raw();
    let (symbol, time) = (Some(btc()), trial.now());
    let taken = Income {
        id: None,
        kind: ChargeKind::Insurance,
        symbol: None,
        asset: usdt(),
        amount: -Cash::whole(30),
        time,
        loan: None,
    };
    trial.hear(Some(taken.clone()));
    trial.hear(Some(Income { id: Some(77), symbol, ..taken }));
    assert_eq!(trial.asset(Owner::External, &usdt()), Cash::whole(50_000 - 30).raw());
    end(&mut trial, "-3", "40000", Forced::Liquidation);
    trial.bench.says(vec![event(untold)]);
    trial.answer();
    trial.check("in the end");
    // 50000 for each, a fee of 25 at the start, 40000 back, a fee of 20 at the end, and 10 for the fund.
    let rows = [1, 2].map(|s| Cash::from_raw(trial.asset(Owner::Session(SessionId(s)), &usdt())).to_string());
    assert_eq!(rows, ["-10055", "-20110"]);
}

#[test]
fn a_transfer_told_twice_is_booked_once_for_nobody() {
    let mut trial = Trial::new(funded(50_000));
    trial.exchange.wallet += Cash::whole(500).raw();
    let came = Income {
        id: None,
        kind: ChargeKind::Transfer,
        symbol: None,
        asset: usdt(),
        amount: Cash::whole(500),
        time: trial.now(),
        loan: None,
    };
    trial.hear(Some(came.clone()));
    trial.hear(Some(Income { id: Some(5), ..came }));
    trial.check("transferred");
    assert_eq!(trial.asset(Owner::External, &usdt()), Cash::whole(50_500).raw());
}

#[test]
fn i11_a_difference_in_a_position_is_told_though_nothing_else_reads_the_income() {
    let mut trial = Trial::new(funded(100_000));
    trial.trade(1, "1", "50000");
    trial.wait(Span::from_secs(200));
    trial.trade(1, "-1", "50000");
    trial.wait(HOUR);
    trial.check("before");
    trial.exchange.qty += Qty::whole(1).raw();
    trial.wait(Span::from_secs(200));
    assert_eq!(trial.asset(Owner::Unattributed, &holding()), Qty::whole(1).raw());
}

#[test]
fn r13_more_income_in_one_millisecond_than_a_page_holds_is_passed_over_loudly() {
    let mut trial = Trial::new(funded(1_000));
    let row = |id: u64, time: Time| Income {
        id: Some(id),
        kind: ChargeKind::Trade,
        symbol: None,
        asset: usdt(),
        amount: Cash::ZERO,
        time,
        loan: None,
    };
    let (now, then) = (trial.now(), trial.now() - Span::from_secs(5));
    let mut page: Vec<Income> = (0..1_000).map(|id| row(id, then)).collect();
    let next = |trial: &mut Trial, page: &[Income]| {
        let next = trial.bench.gateway.income_answered(now, now, page);
        trial.bench.input(Input::Timer);
        next.map(|(query, _)| query)
    };
    assert_eq!(next(&mut trial, &page), Some(Query::Income { since: then + Span::from_millis(1) }));
    let told =
        |trial: &Trial| trial.bench.logs.iter().any(|line| line.starts_with("income of one millisecond"));
    assert!(told(&trial));
    trial.bench.logs.clear();
    page[0].time = then - Span::from_millis(1);
    assert_eq!(
        next(&mut trial, &page),
        Some(Query::Income { since: then }),
        "some of it may be on the next page"
    );
    assert_eq!(next(&mut trial, &page[..999]), None);
    assert!(!told(&trial));
}
