//! Cross margin: who owes what, and who pays the interest.

use super::*;
use crate::journal::{ChargeKind, Loan, Owner};

fn usdt() -> Asset {
    Asset::new("USDT")
}

/// A purchase of DOGE at 0.2 by a session, as the private stream tells it.
fn bought(session: u16, qty: i64, time: Time) -> VenueEvent {
    bought_for(session, qty, time, "0")
}

/// The same, with a fee in BNB.
fn bought_for(session: u16, qty: i64, time: Time, fee: &str) -> VenueEvent {
    let number = u64::from(session);
    let id = ClientOrderId::mint(crate::ids::IdParts {
        kind: IdKind::Order,
        install: Install::from_hash(5),
        epoch: 1,
        session: SessionId(session),
        command: 1,
    });
    let (fee, fee_asset) = (fee.parse().unwrap(), Some(Asset::new("BNB")));
    let fill = Fill { venue_id: number, time, fee, fee_asset, ..fill(number, qty) };
    let filled = Qty::whole(qty);
    event(OrderReport {
        venue_id: number,
        qty: filled,
        filled,
        ..report(&id, VenueStatus::Filled, 0, Some(fill))
    })
}

fn interest(amount: &str, time: Time, id: Option<u64>) -> VenueEvent {
    charged("USDT", amount, time, id, None)
}

/// The first interest on a loan of USDT.
fn on_borrow(amount: &str, time: Time, id: u64) -> VenueEvent {
    charged("USDT", amount, time, Some(id), Some(Loan { asset: usdt(), on_borrow: true }))
}

fn charged(asset: &str, amount: &str, time: Time, id: Option<u64>, loan: Option<Loan>) -> VenueEvent {
    let (kind, asset, amount) = (ChargeKind::Interest, Asset::new(asset), amount.parse().unwrap());
    VenueEvent::Income(Income { id, kind, symbol: None, asset, amount, time, loan })
}

/// A margin account that held 1000 USDT at the start.
fn margin() -> Bench {
    let config = GatewayConfig { margin: true, ..config() };
    let mut bench = Bench::of(config, vec![doge_is_read()], Vec::new(), START);
    bench.recover(&[], &[]);
    bench
}

fn row(bench: &Bench, owner: Owner) -> String {
    bench.gateway.books().asset(owner, &usdt()).to_string()
}

fn of(session: u16) -> Owner {
    Owner::Session(SessionId(session))
}

#[test]
fn interest_is_split_by_what_each_owes() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now), bought(2, 5_000, now)]);
    let hour = now + Span::from_secs(3_600);
    bench.now = hour + Span::from_secs(2);
    bench.says(vec![interest("-0.03000001", hour, Some(7)), interest("-0.03000001", hour, Some(7))]);
    assert_eq!([row(&bench, of(1)), row(&bench, of(2))], ["-2000.02000001", "-1000.01"]);
    // The event and the row of the history are one fact.
    bench.says(vec![interest("-0.03000001", hour, None)]);
    assert_eq!(row(&bench, of(2)), "-1000.01");

    // Session 3 owed 300 at that hour, which nobody had told.
    bench.says(vec![bought(3, 1_500, now)]);
    let shares = [1, 2, 3].map(|session| row(&bench, of(session)));
    assert_eq!(shares, ["-2000.01818183", "-1000.00909091", "-300.00272727"]);
    assert_eq!(row(&bench, Owner::External), "1000", "who lends pays nothing");
    assert_eq!(bench.gateway.books().total(&usdt()).to_string(), "-2300.03000001");
    let folded = {
        let mut books = crate::ledger::books::Books::default();
        bench.journal.iter().for_each(|record| books.fold(record));
        books.asset(of(3), &usdt()).to_string()
    };
    assert_eq!(folded, "-300.00272727", "what is not told again is in the journal");
}

#[test]
fn a_share_of_interest_is_told_once_and_its_correction_as_one() {
    let mut bench = margin();
    bench.login(None);
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    let hour = now + Span::from_secs(3_600);
    bench.now = hour + Span::from_secs(2);
    bench.says(vec![interest("-0.03", hour, Some(7)), interest("-0.03", hour, None)]);
    bench.says(vec![bought(2, 5_000, now)]);
    let told: Vec<&str> = (bench.sent.iter())
        .filter(|frame| frame["event"] == "notice" && frame["code"] == "interest")
        .filter_map(|frame| frame["message"].as_str())
        .collect();
    let at = format!("interest of the account at {}", hour.utc());
    let wanted =
        [format!("{at}: your share is -0.03 USDT"), format!("{at}: your share is corrected by 0.01 USDT")];
    assert_eq!(told, wanted);
}

#[test]
fn interest_nobody_owes_for_is_external() {
    let mut bench = margin();
    bench.settle();
    bench.says(vec![interest("-0.5", bench.now, Some(1))]);
    assert_eq!(row(&bench, Owner::External), "999.5");
}

#[test]
fn what_is_borrowed_is_compared_with_what_is_owed() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    bench.wait(Span::from_secs(60));
    bench.answer(|query| match query {
        Query::Account => {
            let owed = Balance { owed: Cash::whole(1000), ..Balance::new(usdt(), Cash::ZERO, Cash::ZERO) };
            let doge = Balance::new(Asset::new("DOGE"), Cash::whole(10_000), Cash::ZERO);
            Answer::Account(Account { balances: vec![owed, doge], can_trade: true })
        }
        query => Bench::exchange(&[], &[], query),
    });
    let debts: Vec<String> = (bench.journal.iter())
        .filter_map(|record| match record {
            Record::Debt(debt) => {
                Some(format!("{} {} {} {}", debt.asset, debt.owed, debt.liabilities, debt.difference))
            }
            _ => None,
        })
        .collect();
    assert_eq!(debts, ["USDT 1000 2000 -1000"]);
    assert_eq!(row(&bench, Owner::Unattributed), "0", "a debt is no difference of the books");
}

/// The wallet after a purchase of 10,000 DOGE for 2,000 USDT, half of it lent, and so much interest.
fn after(interest: &str) -> Account {
    let owed = Cash::whole(1000) + interest.parse().unwrap();
    let usdt = Balance { owed, ..Balance::new(usdt(), Cash::ZERO, Cash::ZERO) };
    let doge = Balance::new(Asset::new("DOGE"), Cash::whole(10_000), Cash::ZERO);
    Account { balances: vec![usdt, doge], can_trade: true }
}

/// A row of the interest history.
fn hourly(amount: &str) -> Income {
    Income {
        id: None,
        kind: ChargeKind::Interest,
        symbol: None,
        asset: usdt(),
        amount: amount.parse().unwrap(),
        time: START,
        loan: None,
    }
}

#[test]
fn every_sweep_reads_interest_before_it_judges_the_account() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    bench.wait(Span::from_secs(60));
    let asked: Vec<Query> = bench.script.0.borrow().queries.iter().map(|(_, query)| query.clone()).collect();
    let income = asked.iter().position(|query| matches!(query, Query::Income { .. })).unwrap();
    let account = asked.iter().position(|query| *query == Query::Account).unwrap();
    assert!(income < account, "{asked:?}");
    let hour = now + Span::from_secs(30);
    let rows = vec![Income { id: Some(9), time: hour, ..hourly("-0.25") }];
    let reply = |query: &Query| match query {
        Query::Income { .. } => Answer::Income(rows.clone()),
        Query::Account => Answer::Account(after("0.25")),
        query => Bench::exchange(&[], &[], query),
    };
    bench.answer(reply);
    assert_eq!(row(&bench, of(1)), "-2000.25");
    // Read again with overlap, booked once.
    bench.wait(Span::from_secs(60));
    let since = bench.script.0.borrow().queries.iter().find_map(|(_, query)| match query {
        Query::Income { since } => Some(*since),
        _ => None,
    });
    assert!(since.is_some_and(|since| since <= hour), "{since:?}");
    bench.answer(reply);
    assert_eq!((row(&bench, of(1)).as_str(), row(&bench, Owner::Unattributed).as_str()), ("-2000.25", "0"));
}

#[test]
fn a_debt_short_of_the_books_waits_for_the_row_that_explains_it() {
    let mut bench = margin();
    bench.settle();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    let reply = |query: &Query| match query {
        Query::Account => Answer::Account(after("0.25")),
        query => Bench::exchange(&[], &[], query),
    };
    bench.wait(Span::from_secs(60));
    bench.answer(reply);
    for _ in 0..10 {
        bench.wait(Span::from_secs(5));
        bench.answer(reply);
    }
    assert_eq!(row(&bench, Owner::Unattributed), "0", "the history may lag");
    for _ in 0..4 {
        bench.wait(Span::from_secs(60));
        bench.answer(reply);
    }
    assert_eq!(row(&bench, Owner::Unattributed), "-0.25", "but not for ever");
}

/// The account is not read for more than an hour, and each hour's interest is as much as that before.
#[test]
fn the_interest_of_the_next_hour_is_not_taken_for_that_of_the_last() {
    let mut bench = margin();
    bench.settle();
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    bench.wait(Span::from_secs(60));
    let first = now + Span::from_secs(30);
    let shows = |bench: &mut Bench, owed: &str, known: bool| {
        let row = |id| Income { id: Some(id), time: first, ..hourly("-0.25") };
        bench.answer(|query| match query {
            Query::Income { .. } => Answer::Income(if known { vec![row(1)] } else { Vec::new() }),
            Query::Account if owed.is_empty() => Answer::Failed("-1003".to_owned()),
            Query::Account => Answer::Account(after(owed)),
            query => Bench::exchange(&[], &[], query),
        });
    };
    shows(&mut bench, "0.25", false);
    bench.wait(Span::from_secs(5));
    // Its row is there, and booked; the account is not to be had, until another hour has been charged.
    shows(&mut bench, "", true);
    assert_eq!(row(&bench, of(1)), "-2000.25");
    for _ in 0..3_700 {
        bench.wait(Span::from_secs(1));
        shows(&mut bench, "", true);
    }
    bench.wait(Span::from_secs(1));
    shows(&mut bench, "0.5", true);
    assert_eq!(row(&bench, Owner::Unattributed), "0", "the second may be in the history in a moment");
}

#[test]
fn the_first_interest_on_a_loan_is_its_debtors_though_the_fill_comes_after_it() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![on_borrow("-0.5", now, 1)]);
    assert_eq!(row(&bench, Owner::External), "999.5");
    bench.says(vec![bought(1, 10_000, now + Span::from_millis(20))]);
    assert_eq!((row(&bench, of(1)).as_str(), row(&bench, Owner::External).as_str()), ("-2000.5", "1000"));
}

#[test]
fn the_first_interest_on_a_loan_is_not_of_those_who_owed_before_it() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    let lent = now + Span::from_secs(30);
    // The hour's interest in the very moment of the loan makes session 1 no debtor of the loan.
    bench.says(vec![on_borrow("-0.5", lent, 1), interest("-0.25", lent, Some(2))]);
    bench.says(vec![bought(2, 5_000, lent + Span::from_millis(20))]);
    assert_eq!([row(&bench, of(1)), row(&bench, of(2))], ["-2000.25", "-1000.5"]);
    assert_eq!(row(&bench, Owner::External), "1000");
    // Nobody's fill: those who owe anyhow.
    bench.says(vec![on_borrow("-0.3", lent + Span::from_secs(60), 3)]);
    assert_eq!([row(&bench, of(1)), row(&bench, of(2))], ["-2000.44997501", "-1000.60002499"]);
}

#[test]
fn the_interest_of_an_hour_is_not_of_those_who_borrow_after_it() {
    for fill_first in [true, false] {
        let mut bench = margin();
        bench.now += Span::from_secs(60);
        let hour = Time::from_millis(bench.now.millis());
        let mut facts = [interest("-0.5", hour, Some(1)), bought(1, 10_000, hour + Span::from_millis(400))];
        if fill_first {
            facts.reverse();
        }
        for fact in facts {
            bench.says(vec![fact]);
        }
        let rows = (row(&bench, of(1)), row(&bench, Owner::External));
        assert_eq!((rows.0.as_str(), rows.1.as_str()), ("-2000", "999.5"), "fill first: {fill_first}");
    }
}

#[test]
fn interest_in_another_asset_is_of_those_who_owe_what_was_borrowed() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    // Session 1 alone owes BNB, as of fees.
    bench.says(vec![bought_for(1, 1_000, now, "0.05"), bought(2, 10_000, now)]);
    let hour = now + Span::from_secs(3_600);
    bench.now = hour + Span::from_secs(2);
    let of_usdt = Loan { asset: usdt(), on_borrow: false };
    bench.says(vec![charged("BNB", "-0.11", hour, Some(1), Some(of_usdt))]);
    let bnb =
        |bench: &Bench, session| bench.gateway.books().asset(of(session), &Asset::new("BNB")).to_string();
    assert_eq!([1, 2].map(|session| bnb(&bench, session)), ["-0.06", "-0.1"]);
    // Session 3 owed as much as session 1 at that hour, which nobody had told.
    bench.says(vec![bought(3, 1_000, now)]);
    assert_eq!([1, 2, 3].map(|session| bnb(&bench, session)), ["-0.05916666", "-0.09166668", "-0.00916666"]);
}

#[test]
fn an_event_of_balances_leaves_what_is_owed() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    bench.wait(Span::from_secs(60));
    bench.answer(|query| match query {
        Query::Account => Answer::Account(after("0")),
        query => Bench::exchange(&[], &[], query),
    });
    bench.says(vec![VenueEvent::Balances(vec![Balance::new(usdt(), Cash::whole(5), Cash::ZERO)])]);
    let shown = bench.gateway.tie_out.balances().find(|balance| balance.asset == usdt()).unwrap();
    assert_eq!((shown.free, shown.owed), (Cash::whole(5), Cash::whole(1000)));
}

fn debts(bench: &Bench) -> usize {
    bench.journal.iter().filter(|record| matches!(record, Record::Debt(_))).count()
}

#[test]
fn a_debt_that_stays_as_it_is_is_recorded_once() {
    let mut bench = margin();
    bench.now += Span::from_secs(60);
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    let serve = |bench: &mut Bench, minutes: u32| {
        for _ in 0..minutes * 12 {
            bench.wait(Span::from_secs(5));
            for _ in 0..4 {
                bench.answer(|query| match query {
                    Query::Account => Answer::Account(after("0")),
                    query => Bench::exchange(&[], &[], query),
                });
            }
        }
    };
    serve(&mut bench, 3);
    assert_eq!(debts(&bench), 1);
    let config = bench.gateway.config.clone();
    let mut again = Bench::of(config, bench.journal.clone(), Vec::new(), bench.now + Span::from_secs(1));
    again.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    serve(&mut again, 3);
    assert_eq!(debts(&again), 1);
}

#[test]
fn what_no_interest_can_explain_is_believed_after_five_seconds() {
    // Too little, and nothing is owed; too much, and something is.
    for (free, owed, wanted) in [(990, 0, "-10"), (1_100, 50, "50")] {
        let mut bench = margin();
        bench.settle();
        for _ in 0..2 {
            bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
            for _ in 0..3 {
                bench.answer(|query| match query {
                    Query::Account => {
                        let usdt = Balance::new(usdt(), Cash::whole(free), Cash::ZERO);
                        let balances = vec![Balance { owed: Cash::whole(owed), ..usdt }];
                        Answer::Account(Account { balances, can_trade: true })
                    }
                    query => Bench::exchange(&[], &[], query),
                });
            }
            bench.wait(Span::from_secs(5));
        }
        assert_eq!(row(&bench, Owner::Unattributed), wanted);
    }
}

/// The account has so much, owes nothing and holds what was bought; the history of interest has these rows, or cannot
/// be read.
fn look(bench: &mut Bench, free: &str, history: Option<&[Income]>) {
    let held = bench.gateway.books().asset(of(1), &Asset::new("DOGE"));
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    for _ in 0..3 {
        bench.answer(|query| match (query, history) {
            (Query::Income { .. }, None) => Answer::Failed("no reply".to_owned()),
            (Query::Income { .. }, Some(rows)) => Answer::Income(rows.to_vec()),
            (Query::Account, _) => {
                let doge = Balance::new(Asset::new("DOGE"), held, Cash::ZERO);
                let balances = vec![Balance::new(usdt(), free.parse().unwrap(), Cash::ZERO), doge];
                Answer::Account(Account { balances, can_trade: true })
            }
            (query, _) => Bench::exchange(&[], &[], query),
        });
    }
    bench.wait(Span::from_secs(6));
}

#[test]
fn the_interest_of_a_debt_that_was_paid_back_is_waited_for() {
    let mut bench = margin();
    bench.settle();
    let now = Time::from_millis(bench.now.millis());
    bench.says(vec![bought(1, 10_000, now)]);
    bench.wait(Span::from_secs(60));
    bench.answer(|query| match query {
        Query::Account => Answer::Account(after("0")),
        query => Bench::exchange(&[], &[], query),
    });
    let (asset, delta) = (usdt(), Cash::whole(1_001));
    bench.says(vec![VenueEvent::Transfer { asset, delta, time: Time::from_millis(bench.now.millis()) }]);
    for _ in 0..3 {
        look(&mut bench, "0.75", Some(&[]));
        assert_eq!((row(&bench, of(1)).as_str(), row(&bench, Owner::Unattributed).as_str()), ("-2000", "0"));
    }
    let charge = Income { id: Some(1), time: now + Span::from_secs(30), ..hourly("-0.25") };
    look(&mut bench, "0.75", Some(&[charge]));
    look(&mut bench, "0.75", Some(&[]));
    assert_eq!((row(&bench, of(1)).as_str(), row(&bench, Owner::Unattributed).as_str()), ("-2000.25", "0"));
}

#[test]
fn a_difference_is_not_believed_before_the_history_of_interest_was_read() {
    let mut bench = margin();
    bench.settle();
    for _ in 0..4 {
        look(&mut bench, "990", None);
    }
    assert_eq!(row(&bench, Owner::Unattributed), "0");
    for _ in 0..2 {
        look(&mut bench, "990", Some(&[]));
    }
    assert_eq!(row(&bench, Owner::Unattributed), "-10");
}

#[test]
fn interest_of_before_the_books_were_opened_is_not_asked_for() {
    let mut bench = margin();
    let opened = bench.journal.iter().find_map(|record| match record {
        Record::Cash(cash) if cash.reason == "opening" => Some(cash.time),
        _ => None,
    });
    bench.wait(Span::from_secs(60));
    let asked = bench.script.0.borrow().queries.iter().find_map(|(_, query)| match query {
        Query::Income { since } => Some(*since),
        _ => None,
    });
    assert_eq!((opened.is_some(), asked), (true, opened));
}
