//! When a difference of balances is believed, and what waits to explain it.

use super::*;
use crate::journal::Owner;

fn account(usdt: i64, doge: i64) -> Answer {
    let balance = |asset: &str, free: i64| Balance::new(Asset::new(asset), Cash::whole(free), Cash::ZERO);
    Answer::Account(Account { balances: vec![balance("USDT", usdt), balance("DOGE", doge)], can_trade: true })
}

/// A sweep now, in which the account holds so many USDT.
fn shows(bench: &mut Bench, usdt: i64) {
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    for _ in 0..3 {
        bench.answer(|query| match query {
            Query::Account => account(usdt, 0),
            query => Bench::exchange(&[], &[], query),
        });
    }
}

fn held(bench: &Bench, owner: Owner, asset: &str) -> String {
    bench.gateway.books().asset(owner, &Asset::new(asset)).to_string()
}

fn unattributed(bench: &Bench) -> (String, String) {
    (held(bench, Owner::Unattributed, "USDT"), held(bench, Owner::Unattributed, "DOGE"))
}

fn nothing() -> (String, String) {
    ("0".to_owned(), "0".to_owned())
}

#[test]
fn i11_a_difference_is_believed_when_it_has_stood_unchanged_for_five_seconds() {
    let mut bench = Bench::ready();
    bench.settle();
    shows(&mut bench, 990);
    bench.wait(Span::from_millis(4_900));
    shows(&mut bench, 990);
    assert_eq!(unattributed(&bench), nothing());
    // Another one begins anew.
    shows(&mut bench, 980);
    bench.wait(Span::from_millis(4_900));
    shows(&mut bench, 980);
    assert_eq!(unattributed(&bench), nothing());
    bench.wait(Span::from_millis(100));
    shows(&mut bench, 980);
    assert_eq!(unattributed(&bench).0, "-20");
    // One that went away in between was none.
    shows(&mut bench, 970);
    bench.wait(Span::from_secs(3));
    shows(&mut bench, 980);
    bench.wait(Span::from_secs(3));
    shows(&mut bench, 970);
    assert_eq!(unattributed(&bench).0, "-20");
    bench.wait(Span::from_secs(5));
    shows(&mut bench, 970);
    assert_eq!(unattributed(&bench).0, "-30");
}

#[test]
fn i11_a_difference_seen_before_a_lost_link_is_seen_anew_before_it_is_believed() {
    let mut bench = Bench::ready();
    bench.settle();
    shows(&mut bench, 990);
    bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
    bench.wait(Span::from_secs(30));
    bench.script.0.borrow_mut().queries.clear();
    bench.says(vec![VenueEvent::EntryUp]);
    let first = |query: &Query| match query {
        Query::Account => account(990, 0),
        query => Bench::exchange(&[], &[], query),
    };
    bench.answer(first);
    assert_eq!(unattributed(&bench), nothing(), "events may have been missed");
    bench.wait(Span::from_secs(5));
    bench.answer(first);
    assert_eq!(unattributed(&bench).0, "-10");
}

#[test]
fn i11_what_differs_before_the_books_have_agreed_for_once_is_the_openings() {
    // They were opened just now, with 1000.
    let mut bench = Bench::ready();
    bench.wait(Span::from_secs(1));
    shows(&mut bench, 1_000);
    shows(&mut bench, 990);
    bench.wait(Span::from_secs(5));
    shows(&mut bench, 990);
    assert_eq!((unattributed(&bench), held(&bench, Owner::External, "USDT").as_str()), (nothing(), "990"));
    bench.wait(Span::from_secs(5));
    shows(&mut bench, 990);
    shows(&mut bench, 980);
    bench.wait(Span::from_secs(5));
    shows(&mut bench, 980);
    assert_eq!(unattributed(&bench).0, "-10", "they have agreed since");
}

#[test]
fn i11_after_a_lost_link_what_differs_is_the_openings_for_three_minutes_and_then_no_more() {
    for (pause, external, unexplained) in [(0, "990", "0"), (120, "990", "0"), (180, "1000", "-10")] {
        let mut bench = Bench::ready();
        bench.says(vec![VenueEvent::EntryDown("cut".to_owned())]);
        bench.wait(Span::from_secs(pause));
        compared_anew(&mut bench);
        let rows = (held(&bench, Owner::External, "USDT"), unattributed(&bench).0);
        assert_eq!((rows.0.as_str(), rows.1.as_str()), (external, unexplained), "{pause} s");
    }
}

/// Killed just when its books were opened with what was read a moment before: the account held less already.
#[test]
fn i11_what_an_opening_missed_is_its_own_after_a_start_too() {
    for (pause, external, unexplained) in [(1, "990", "0"), (120, "990", "0"), (240, "1000", "-10")] {
        let first = Bench::ready();
        let mut bench = Bench::new(first.journal.clone(), Vec::new(), first.now + Span::from_secs(pause));
        bench.says(vec![VenueEvent::Instruments(vec![doge()])]);
        compared_anew(&mut bench);
        let rows = (held(&bench, Owner::External, "USDT"), unattributed(&bench).0);
        assert_eq!((rows.0.as_str(), rows.1.as_str()), (external, unexplained), "{pause} s");
    }
}

/// The link is there, and the account holds 990 USDT.
fn compared_anew(bench: &mut Bench) {
    bench.says(vec![VenueEvent::EntryUp]);
    for _ in 0..4 {
        for _ in 0..3 {
            bench.answer(|query| match query {
                Query::Account => account(990, 0),
                query => Bench::exchange(&[], &[], query),
            });
        }
        bench.wait(Span::from_secs(5));
    }
}

/// An order that is over, so that its symbol is in use.
fn used() -> Bench {
    let mut bench = Bench::ready();
    bench.settle();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
    bench
}

#[test]
fn i11_no_difference_is_believed_while_the_order_of_a_fill_is_asked_for() {
    let mut bench = used();
    let manual = OrderReport {
        venue_id: 99,
        ..report(&ClientOrderId::foreign("web_1"), VenueStatus::Filled, 5, None)
    };
    let bought = Fill { venue_id: 99, time: bench.now, ..fill(5, 5) };
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    for second in 0..40 {
        bench.wait(Span::from_secs(1));
        bench.answer(|query| match query {
            Query::Account => account(999, 5),
            Query::OrderByVenueId { .. } if second < 30 => Answer::Failed("busy".to_owned()),
            Query::OrderByVenueId { .. } => Answer::Order(Box::new(manual.clone())),
            query => Bench::exchange(&[], std::slice::from_ref(&bought), query),
        });
        assert_eq!(unattributed(&bench), nothing(), "{second}");
    }
    assert_eq!(held(&bench, Owner::External, "DOGE"), "5");
}

#[test]
fn i11_no_difference_is_believed_while_fills_of_an_order_are_missing() {
    let mut bench = Bench::ready();
    bench.settle();
    let id = bench.order(1);
    let partly = report(&id, VenueStatus::PartiallyFilled, 5, None);
    bench.says(vec![accepted(&id), event(partly.clone())]);
    let bought = Fill { time: bench.now, ..fill(5, 5) };
    for second in 0..60 {
        bench.wait(Span::from_secs(1));
        bench.answer(|query| match query {
            Query::Account => account(999, 5),
            Query::TradesOfOrder { .. } if second < 30 => Answer::Failed("busy".to_owned()),
            Query::TradesOfOrder { .. } => Answer::Trades(vec![bought.clone()]),
            query => Bench::exchange(std::slice::from_ref(&partly), &[], query),
        });
        assert_eq!(unattributed(&bench), nothing(), "{second}");
    }
    assert_eq!(bench.net(), Qty::whole(5));
}

fn shiba() -> Instrument {
    let (symbol, base) = (Symbol::new("shibusdt"), Asset::new("SHIB"));
    Instrument { symbol, holding: base.clone(), base, ..doge() }
}

/// How often the past of an unused symbol is read, while the account shows this.
fn looked_through(bench: &mut Bench, shown: &[(&str, i64)], seconds: u32) -> usize {
    let mut begun = 0;
    for _ in 0..seconds {
        for _ in 0..3 {
            let queries = bench.script.0.borrow().queries.clone();
            let first = |q: &Query| matches!(q, Query::OrdersFrom { symbol, from: 1, .. } if symbol == &shiba().symbol);
            begun += queries.iter().filter(|(_, query)| first(query)).count();
            bench.answer(|query| match query {
                Query::Account => {
                    let of = |(asset, free): &(&str, i64)| {
                        Balance::new(Asset::new(asset), Cash::whole(*free), Cash::ZERO)
                    };
                    Answer::Account(Account { balances: shown.iter().map(of).collect(), can_trade: true })
                }
                query => Bench::exchange(&[], &[], query),
            });
        }
        bench.wait(Span::from_secs(1));
    }
    begun
}

#[test]
fn i11_a_symbol_is_looked_through_for_a_difference_it_could_make_and_once_in_an_hour() {
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    bench.says(vec![VenueEvent::Instruments(vec![doge(), shiba()]), VenueEvent::EntryUp]);
    assert_eq!(looked_through(&mut bench, &[("USDT", 1_000)], 80), 0);
    assert_eq!(looked_through(&mut bench, &[("USDT", 1_000), ("SHIB", 1)], 80), 0, "nothing was paid for it");
    assert_eq!(looked_through(&mut bench, &[("USDT", 900), ("SHIB", 1)], 80), 0, "nothing was bought");
    assert_eq!(looked_through(&mut bench, &[("USDT", 800), ("SHIB", 2)], 80), 1);
    assert_eq!(looked_through(&mut bench, &[("USDT", 700), ("SHIB", 3)], 80), 0, "just now it was");
    looked_through(&mut bench, &[("USDT", 700), ("SHIB", 3)], 3_400);
    assert_eq!(looked_through(&mut bench, &[("USDT", 600), ("SHIB", 4)], 80), 0);
    looked_through(&mut bench, &[("USDT", 600), ("SHIB", 4)], 120);
    assert_eq!(looked_through(&mut bench, &[("USDT", 500), ("SHIB", 5)], 80), 1);
}

/// A contract is listed, and nobody holds any.
fn of_contracts() -> Bench {
    let mut bench = Bench::perpetual();
    let id = bench.send(1, &json!({}));
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
    bench.settle();
    bench
}

#[test]
fn i11_of_a_contracts_money_no_difference_is_believed_before_the_payments_since_are_read() {
    let mut bench = of_contracts();
    let is_income = |query: &Query| matches!(query, Query::Income { .. });
    let serve = |bench: &mut Bench, seconds: u32, read: bool| {
        for _ in 0..seconds {
            bench.wait(Span::from_secs(1));
            bench.answer_all_but(
                |query| !read && is_income(query),
                |query| match query {
                    Query::Account => account(990, 0),
                    query => Bench::exchange(&[], &[], query),
                },
            );
        }
    };
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    serve(&mut bench, 30, false);
    assert!(bench.script.0.borrow().queries.iter().any(|(_, query)| is_income(query)), "it is asked");
    assert_eq!(unattributed(&bench), nothing());
    serve(&mut bench, 30, true);
    assert_eq!(unattributed(&bench).0, "-10");
}

#[test]
fn r41_payments_are_looked_for_since_the_money_last_agreed() {
    let mut bench = of_contracts();
    let agreed = bench.now;
    // One sweep is due, and hours go by.
    bench.wait(Span::from_secs(7_200));
    shows(&mut bench, 990);
    bench.wait(Span::from_millis(1));
    let asked = bench.script.0.borrow().queries.iter().find_map(|(_, query)| match query {
        Query::Income { since } => Some(*since),
        _ => None,
    });
    assert_eq!(asked, Some(agreed - Span::from_secs(60)));
}

#[test]
fn i11_only_who_has_a_row_in_what_differs_is_told_of_a_difference() {
    let mut bench = Bench::ready();
    bench.settle();
    let bnb = Asset::new("BNB");
    for session in [1, 2] {
        if session == 2 {
            bench.login_as(session, None);
        }
        let id = bench.order(1);
        let number = u64::from(session);
        // Session 1 alone paid a fee in BNB.
        let fee = if session == 1 { Cash::whole(1) } else { Cash::ZERO };
        let fee_asset = (session == 1).then(|| bnb.clone());
        let fill = Fill { venue_id: number, time: bench.now, fee, fee_asset, ..fill(number, 10) };
        let filled = report(&id, VenueStatus::Filled, 10, Some(fill));
        bench.says(vec![event(OrderReport { venue_id: number, ..filled })]);
    }
    for _ in 0..3 {
        bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
        for _ in 0..3 {
            bench.answer(|query| match query {
                Query::Account => account(996, 20),
                query => Bench::exchange(&[], &[], query),
            });
        }
        bench.wait(Span::from_secs(5));
    }
    assert_eq!((unattributed(&bench), held(&bench, Owner::Unattributed, "BNB").as_str()), (nothing(), "1"));
    let told: Vec<SessionId> = (bench.journal.iter())
        .filter_map(|record| match record {
            Record::Event { session, frame, .. } if frame.contains("booked as unattributed") => {
                Some(*session)
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [SessionId(1)]);
}

#[test]
fn i11_the_books_are_opened_by_the_exchanges_clock() {
    let ahead = Span::from_secs(3);
    let mut bench = Bench::new(vec![doge_is_read()], Vec::new(), START);
    let (offset_nanos, round_trip) = (ahead.nanos(), Span::from_millis(1));
    bench.says(vec![VenueEvent::Clock { offset_nanos, round_trip }]);
    bench.recover(&[], &[]);
    let opened = bench.journal.iter().find_map(|record| match record {
        Record::Cash(cash) if cash.reason == "opening" => Some(cash.time),
        _ => None,
    });
    assert_eq!(opened, Some(bench.now + ahead));
}

#[test]
fn i11_what_explains_a_difference_after_a_start_takes_it_back_and_is_not_the_openings() {
    let mut bench = Bench::ready();
    // It agrees, and its time is not over.
    shows(&mut bench, 1_000);
    bench.wait(Span::from_secs(5));
    shows(&mut bench, 1_000);
    for _ in 0..2 {
        shows(&mut bench, 990);
        bench.wait(Span::from_secs(5));
    }
    assert_eq!(unattributed(&bench).0, "-10");
    let config = bench.gateway.config.clone();
    let mut again = Bench::of(config, bench.journal.clone(), Vec::new(), bench.now + Span::from_secs(1));
    again.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    for _ in 0..4 {
        shows(&mut again, 1_000);
        again.wait(Span::from_secs(5));
    }
    assert_eq!((unattributed(&again).0, held(&again, Owner::External, "USDT")), ("0".into(), "1000".into()));
}
