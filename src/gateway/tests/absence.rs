//! A gateway that was away for longer than the exchange shows own trades.

use super::*;
use crate::gateway::io::Edit;
use crate::ids::SessionId;

const DAY: Span = Span::from_secs(86_400);

fn shown(span: Option<Span>) -> Scripted {
    let script = Scripted::default();
    script.0.borrow_mut().trades_shown = span;
    script
}

/// A bench at an exchange that shows trades of so many days, on the journal of another.
fn back(days: Option<i64>, journal: Vec<Record>, edits: Vec<Edit>, now: Time, trust_books: bool) -> Bench {
    let config = GatewayConfig { trust_books, ..config() };
    let mut bench = Bench::at(shown(days.map(|days| DAY * days)), config, journal, edits, now);
    bench.says(vec![VenueEvent::Instruments(vec![doge()]), VenueEvent::EntryUp]);
    // Trades since the symbol was first used are asked for by days, twice.
    for _ in 0..2 {
        for _ in 0..110 {
            bench.answer(|q| Bench::exchange(&[], &[], q));
        }
        bench.wait(Span::from_secs(5));
    }
    bench.login(None);
    bench
}

/// The journal of a run with an open order.
fn with_an_order() -> Vec<Record> {
    let mut bench = Bench::ready();
    bench.call(&doge_order(1, &json!({})));
    assert_eq!(bench.script.0.borrow().placed.len(), 1);
    bench.journal
}

/// With which error an order is refused.
fn answer(bench: &mut Bench, n: u64) -> Option<i64> {
    bench.call(&doge_order(n, &json!({})))["error"]["code"].as_i64()
}

#[test]
fn r26_a_symbol_whose_fills_may_be_forgotten_takes_no_orders_until_the_user_has_looked() {
    let refused = Some(ErrorCode::BadPosition.code());
    let journal = with_an_order();
    for (days, away, expected) in [(Some(88), 87, None), (Some(88), 89, refused), (None, 100, None)] {
        let mut bench = back(days, journal.clone(), Vec::new(), START + DAY * away, false);
        assert_eq!(answer(&mut bench, 2), expected, "{days:?} {away}");
        assert_eq!(bench.logs.iter().any(|line| line.starts_with("away for longer")), expected.is_some());
    }
    let mut bench = back(Some(88), journal.clone(), Vec::new(), START + DAY * 89, false);
    let reply = bench.call(&doge_order(2, &json!({})));
    let words = reply["error"]["message"].as_str().unwrap();
    for part in ["dogeusdt had a position or open orders", "away for 8", "the last 88 only", "--trust-books"]
    {
        assert!(words.contains(part), "{words}");
    }
    // Another start, and another: nobody has looked yet.
    let mut bench = back(Some(88), bench.journal, Vec::new(), START + DAY * 90, false);
    assert_eq!(answer(&mut bench, 2), refused);
    let mut bench = back(Some(88), bench.journal, Vec::new(), START + DAY * 91, true);
    assert_eq!(answer(&mut bench, 2), None, "the user's word");
    let mut bench = back(Some(88), bench.journal, Vec::new(), START + DAY * 92, false);
    assert_eq!(answer(&mut bench, 3), None, "and it is remembered");
}

#[test]
fn r26_an_edit_of_the_row_is_a_word_too() {
    let edit = Edit {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 0,
        shown: Qty::ZERO,
        found: Qty::whole(7),
        shown_avg: None,
        found_avg: None,
    };
    let mut bench = back(Some(88), with_an_order(), vec![edit], START + DAY * 100, false);
    assert_eq!(answer(&mut bench, 2), None);
}

#[test]
fn r26_without_a_position_or_orders_nothing_can_be_missing() {
    let journal = Bench::ready().journal;
    let mut bench = back(Some(88), journal, Vec::new(), START + DAY * 100, false);
    assert_eq!(answer(&mut bench, 1), None);
}
