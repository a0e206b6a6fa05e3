//! Edits, and whether the books add up.

use super::*;

#[test]
fn i21_an_edit_is_applied_once_relative_to_what_was_shown() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let edit = Edit {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 4,
        shown: Qty::whole(5),
        found: Qty::whole(3),
        shown_avg: Some("0.2".parse().unwrap()),
        found_avg: Some("0.3".parse().unwrap()),
    };
    let mut once = Bench::new(bench.journal.clone(), vec![edit.clone()], START + Span::from_secs(60));
    assert_eq!(once.net(), Qty::whole(8), "shown 5, set to 3, five more filled meanwhile");
    assert_eq!(once.projected.last().unwrap().qty, Qty::whole(8));
    once.login(None);
    assert!(once.events().contains(&"position".to_owned()));
    let twice = Bench::new(once.journal.clone(), vec![edit], START + Span::from_secs(120));
    assert_eq!(twice.net(), Qty::whole(8), "a crash before the row was shown again applies nothing twice");
    let adjustments = twice.journal.iter().filter(|record| matches!(record, Record::Adjust(_)));
    assert_eq!(adjustments.count(), 1, "neither the quantity nor the average price");
}

#[test]
fn i11_a_difference_is_a_visible_row() {
    let mut bench = Bench::ready();
    bench.settle();
    let usdt = Asset::new("USDT");
    assert_eq!(bench.gateway.books().total(&usdt), Cash::whole(1000));
    let poorer = |q: &Query| match q {
        Query::Account => Answer::Account(Account {
            balances: vec![Balance::new(Asset::new("USDT"), Cash::whole(990), Cash::ZERO)],
            can_trade: true,
        }),
        q => Bench::exchange(&[], &[], q),
    };
    for _ in 0..20 {
        bench.wait(Span::from_secs(5));
        bench.answer(poorer);
    }
    assert_eq!(bench.gateway.books().total(&usdt), Cash::whole(990));
    let owner = crate::journal::Owner::Unattributed;
    assert_eq!(bench.gateway.books().asset(owner, &usdt), -Cash::whole(10));
}

#[test]
fn a_row_that_cannot_be_understood_stops_its_symbol() {
    let mut bench = Bench::ready();
    bench
        .gateway
        .bad_edits
        .push(BadEdit { symbol: Some(Symbol::new("dogeusdt")), reason: "qty 'ten'".to_owned() });
    let refused = bench.call(&doge_order(1, &json!({})));
    assert_eq!(refused["error"]["name"], "bad_position");
    assert!(refused["error"]["message"].as_str().unwrap().contains("qty 'ten'"));
}

#[test]
fn i21_an_edit_taken_back_before_it_was_shown_is_taken_back() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let row = |found| Edit {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 4,
        shown: Qty::whole(10),
        found: Qty::whole(found),
        shown_avg: Some("0.2".parse().unwrap()),
        found_avg: Some("0.2".parse().unwrap()),
    };
    let later = |seconds| START + Span::from_secs(seconds);
    let untouched = Bench::new(bench.journal.clone(), vec![row(10)], later(30));
    assert_eq!(untouched.net(), Qty::whole(10));
    let booked = Bench::new(untouched.journal.clone(), vec![row(3)], later(60));
    assert_eq!(booked.net(), Qty::whole(3));
    let back = Bench::new(booked.journal.clone(), vec![row(10)], later(120));
    assert_eq!(back.net(), Qty::whole(10));
    let told = |bench: &Bench| bench.logs.iter().filter(|line| line.starts_with("edit taken back ")).count();
    assert_eq!((told(&booked), told(&back)), (0, 1));
    let again = Bench::new(back.journal.clone(), vec![row(10)], later(180));
    assert_eq!(again.net(), Qty::whole(10));
    let adjustments = again.journal.iter().filter(|record| matches!(record, Record::Adjust(_)));
    assert_eq!(adjustments.count(), 2);
    assert_eq!(average(&again), "0.2");
    // From zero it comes back with the average it had: no average is kept where nothing is held.
    let none = Bench::new(again.journal.clone(), vec![row(0)], later(240));
    assert_eq!((none.net(), average(&none).as_str()), (Qty::ZERO, "0"));
    let back = Bench::new(none.journal.clone(), vec![row(10)], later(300));
    assert_eq!((back.net(), average(&back).as_str()), (Qty::whole(10), "0.2"));
    let again = Bench::new(back.journal.clone(), vec![row(10)], later(360));
    assert_eq!((again.net(), average(&again).as_str()), (Qty::whole(10), "0.2"));
}

#[test]
fn i21_a_row_inserted_deleted_and_inserted_again_before_it_was_shown_has_its_average() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Filled, 10, Some(fill(1, 10))))]);
    let row = |found, avg: Option<&str>| Edit {
        session: SessionId(2),
        symbol: Symbol::new("dogeusdt"),
        revision: 1 << 48,
        shown: Qty::ZERO,
        found: Qty::whole(found),
        shown_avg: None,
        found_avg: avg.map(|avg| avg.parse().unwrap()),
    };
    let mut journal = bench.journal.clone();
    let steps =
        [(7, Some("0.3"), "7 0.3"), (0, None, "0 0"), (7, Some("0.3"), "7 0.3"), (7, Some("0.3"), "7 0.3")];
    for (at, (found, avg, wanted)) in steps.into_iter().enumerate() {
        let start = START + Span::from_secs(60 * (at as i64 + 1));
        let bench = Bench::new(journal, vec![row(found, avg)], start);
        let totals = bench.gateway.books().position(SessionId(2), &Symbol::new("dogeusdt"));
        assert_eq!(format!("{} {}", totals.qty, totals.avg_price()), wanted, "start {at}");
        journal = bench.journal.clone();
    }
}

fn average(bench: &Bench) -> String {
    bench.gateway.books().position(SessionId(1), &Symbol::new("dogeusdt")).avg_price().to_string()
}

#[test]
fn i21_an_edit_of_the_average_is_applied_once() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::PartiallyFilled, 4, Some(fill(1, 4))))]);
    let price = |text: &str| Some(text.parse::<Price>().unwrap());
    let edit = Edit {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 4,
        shown: Qty::whole(4),
        found: Qty::whole(4),
        shown_avg: price("0.2"),
        found_avg: price("0.5"),
    };
    let mut once = Bench::new(bench.journal.clone(), vec![edit.clone()], START + Span::from_secs(60));
    assert_eq!(average(&once), "0.5");
    let mut late = fill(2, 6);
    late.time = START + Span::from_secs(70);
    once.recover(&[report(&id, VenueStatus::PartiallyFilled, 4, None)], &[]);
    once.says(vec![event(report(&id, VenueStatus::Filled, 10, Some(late)))]);
    assert_eq!(average(&once), "0.32", "four at 0.5, six at 0.2");
    // It ended before the row could be shown again: the same edit is found once more.
    let twice = Bench::new(once.journal.clone(), vec![edit], START + Span::from_secs(120));
    assert_eq!(average(&twice), "0.32");
}

fn account(usdt: i64, doge: i64) -> Answer {
    let balance = |asset: &str, free: i64| Balance::new(Asset::new(asset), Cash::whole(free), Cash::ZERO);
    Answer::Account(Account { balances: vec![balance("USDT", usdt), balance("DOGE", doge)], can_trade: true })
}

fn unattributed(bench: &Bench) -> Vec<String> {
    let rows = bench.gateway.books().assets();
    rows.filter(|(owner, _, amount)| *owner == crate::journal::Owner::Unattributed && !amount.is_zero())
        .map(|(_, asset, amount)| format!("{asset} {amount}"))
        .collect()
}

#[test]
fn i11_the_opening_balance_counts_no_fill_twice() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START);
    // A manual order, partly filled before our first start: what it bought is in the balance already.
    let manual = report(&ClientOrderId::foreign("web_1"), VenueStatus::PartiallyFilled, 5, None);
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    for _ in 0..40 {
        bench.answer(|q| match q {
            Query::Account => account(999, 5),
            q => Bench::exchange(std::slice::from_ref(&manual), &[fill(1, 5)], q),
        });
        bench.wait(Span::from_secs(1));
    }
    assert_eq!(unattributed(&bench), [""; 0]);
    assert_eq!(bench.gateway.books().total(&Asset::new("DOGE")), Cash::whole(5));
    assert_eq!(bench.gateway.books().total(&Asset::new("USDT")), Cash::whole(999));
}

#[test]
fn i11_a_fill_older_than_the_books_is_in_their_opening() {
    let mut bench = Bench::new(Vec::new(), Vec::new(), START + Span::from_secs(3_600));
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    let old = [Fill { time: START, venue_id: 99, ..fill(1, 5) }];
    let ours = ClientOrderId::mint(crate::ids::IdParts {
        kind: IdKind::Order,
        install: Install::from_hash(5),
        epoch: 1,
        session: SessionId(1),
        command: 1,
    });
    let of_a_life_before = OrderReport { venue_id: 99, ..report(&ours, VenueStatus::Filled, 5, None) };
    for round in 0..80 {
        if round == 20 {
            bench.login(None);
            let refused = bench.call(&doge_order(1, &json!({})));
            assert_eq!(refused["error"]["name"], "not_ready", "{refused}");
        }
        if round == 25 {
            let id = bench.order(2);
            bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
        }
        bench.answer(|q| match q {
            Query::Account => account(999, 5),
            Query::OrderByVenueId { .. } => Answer::Order(Box::new(of_a_life_before.clone())),
            q => Bench::exchange(&[], &old, q),
        });
        bench.wait(Span::from_secs(1));
    }
    assert_eq!(unattributed(&bench), [""; 0]);
    assert_eq!(bench.net(), Qty::whole(5), "its session has it, and EXTERNAL the other side");
    assert_eq!(bench.gateway.books().total(&Asset::new("DOGE")), Cash::whole(5));
}

#[test]
fn i11_a_difference_is_looked_for_in_the_trades_before_it_is_booked() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id), event(report(&id, VenueStatus::Canceled, 0, None))]);
    // A manual market order, of which no event reached us.
    let mut manual = report(&ClientOrderId::foreign("web_1"), VenueStatus::Filled, 5, None);
    manual.venue_id = 99;
    let mut bought = fill(5, 5);
    bought.venue_id = 99;
    // The sweep that follows the cancelled order is over before the trade happens.
    bench.wait(Span::from_secs(61));
    for _ in 0..3 {
        bench.answer(|q| Bench::exchange(&[], &[], q));
    }
    for _ in 0..80 {
        bench.wait(Span::from_secs(5));
        bench.answer(|q| match q {
            Query::Account => account(999, 5),
            Query::OrderByVenueId { venue_id: 99, .. } => Answer::Order(Box::new(manual.clone())),
            q => Bench::exchange(&[], std::slice::from_ref(&bought), q),
        });
        assert_eq!(unattributed(&bench), [""; 0]);
    }
    let external = bench.gateway.books().asset(crate::journal::Owner::External, &Asset::new("DOGE"));
    assert_eq!(external, Cash::whole(5));
}

#[test]
fn i11_a_transfer_told_on_two_connections_is_booked_once() {
    let mut bench = Bench::ready();
    let transfer = |millis| VenueEvent::Transfer {
        asset: Asset::new("USDT"),
        delta: Cash::whole(50),
        time: START + Span::from_millis(millis),
    };
    bench.says(vec![transfer(1), transfer(1), transfer(2)]);
    assert_eq!(bench.gateway.books().total(&Asset::new("USDT")), Cash::whole(1100));
    let mut after = Bench::new(bench.journal.clone(), Vec::new(), START + Span::from_secs(60));
    after.says(vec![transfer(2)]);
    assert_eq!(after.gateway.books().total(&Asset::new("USDT")), Cash::whole(1100));
}

#[test]
fn a_journal_without_anything_of_an_account_takes_the_next_install() {
    let wrong = GatewayConfig { install: Install::from_hash(6), ..config() };
    let bench = Bench::of(wrong, Vec::new(), Vec::new(), START);
    assert!(bench.journal.iter().any(|record| matches!(record, Record::Start(_))));
    let right = config().install;
    assert_eq!(belongs(&bench.journal, config().market, &right), Ok(()), "its key was never taken");
    assert!(belongs(&bench.journal, "margin", &right).is_err(), "the market is another matter");
    assert!(belongs(&Bench::ready().journal, config().market, &Install::from_hash(6)).is_err());
}

#[test]
fn a_journal_of_another_install_is_refused_with_both_ways_out() {
    let journal = Bench::ready().journal;
    let other = GatewayConfig { install: Install::from_hash(6), ..config() };
    let (script, mut out) = (Scripted::default(), Vec::new());
    let (feed, entry) = (Box::new(script.clone()), Box::new(script));
    let made = Gateway::new(other, &journal, Vec::new(), Vec::new(), feed, entry, START, &mut out);
    let message = made.expect_err("books of another account are not taken for ours").to_string();
    let (theirs, ours) = (Install::from_hash(5), Install::from_hash(6));
    for word in [&format!("{:?}", theirs.as_str()), &format!("not {:?}", ours.as_str()), "another \"db\""] {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert!(message.ends_with(&format!("set \"install\": {:?}", theirs.as_str())), "{message}");
    assert!(out.is_empty(), "nothing is written");
}
