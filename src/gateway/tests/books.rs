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
    let usdt = Asset::new("USDT");
    assert_eq!(bench.gateway.books().total(&usdt), Cash::whole(1000));
    let poorer = |q: &Query| match q {
        Query::Account => Answer::Account(Account {
            balances: vec![Balance::new(Asset::new("USDT"), Cash::whole(990), Cash::ZERO)],
            can_trade: true,
            updated: Time::default(),
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
