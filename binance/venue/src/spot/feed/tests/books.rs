//! Whole books over the scripted venue: join, gap, loss, planned change of connection, weight.

use tradingsys::book::BookUpdate;

use super::*;

fn difference(symbol: &str, first: u64, last: u64, bids: &Value) -> Value {
    let name = format!("{symbol}@depth@100ms");
    let upper = symbol.to_uppercase();
    json!({"stream": name, "data": {"e": "depthUpdate", "E": START, "s": upper, "U": first, "u": last, "b": bids, "a": []}})
}

fn change(first: u64, last: u64) -> Value {
    difference("btcusdt", first, last, &json!([["10", last.to_string()]]))
}

fn snapshot(update_id: u64) -> Value {
    json!({"lastUpdateId": update_id, "bids": [["10", "1"], ["9", "2"]], "asks": [["11", "1"]]})
}

fn depths(sent: &[Value]) -> Vec<Value> {
    sent.iter().filter(|request| request["method"] == "depth").cloned().collect()
}

/// What was told of books: update numbers of changes, 0 for a fresh book, the reason of a stale one.
fn told(bench: &mut Bench) -> Vec<Result<u64, String>> {
    let book = |event: VenueEvent| match event {
        VenueEvent::Book(_, BookUpdate::Fresh) => Some(Ok(0)),
        VenueEvent::Book(_, BookUpdate::Diff(diff)) => Some(Ok(diff.update_id)),
        VenueEvent::Book(_, BookUpdate::Stale(why)) => Some(Err(why)),
        _ => None,
    };
    bench.events().into_iter().filter_map(book).collect()
}

/// Subscribed, joined at update 105.
fn joined() -> Bench {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "book");
    let names = bench.confirm(STREAMS)[0]["params"].clone();
    assert_eq!(names, json!(["btcusdt@depth@100ms"]));
    bench.sent(API);
    bench.text(STREAMS, &change(101, 103));
    let asked = depths(&bench.sent(API));
    assert_eq!(asked[0]["params"], json!({"symbol": "BTCUSDT", "limit": 5000}));
    bench.text(STREAMS, &change(104, 105));
    bench.reply(&asked[0], &snapshot(102));
    assert_eq!(told(&mut bench), [Ok(0)]);
    bench
}

fn best_bid(bench: &Bench) -> Option<(u64, String)> {
    let depth = bench.feed.book(&stream("btcusdt", "book"))?;
    Some((depth.update_id, depth.bids[0].qty.to_string()))
}

#[test]
fn r27_a_dropped_difference_is_stale_in_the_same_step_and_the_book_resyncs() {
    let mut bench = joined();
    assert_eq!(best_bid(&bench), Some((105, "105".to_owned())));
    bench.text(STREAMS, &change(106, 110));
    assert_eq!((told(&mut bench), best_bid(&bench)), (vec![Ok(110)], Some((110, "110".to_owned()))));
    bench.text(STREAMS, &change(115, 116));
    let stale = told(&mut bench);
    assert!(matches!(&stale[..], [Err(why)] if why.contains("missing after update 110")), "{stale:?}");
    assert_eq!(best_bid(&bench), None);
    let asked = depths(&bench.sent(API));
    bench.text(STREAMS, &change(117, 118));
    bench.reply(&asked[0], &snapshot(116));
    assert_eq!((told(&mut bench), best_bid(&bench)), (vec![Ok(0)], Some((118, "118".to_owned()))));
}

#[test]
fn r33_a_planned_change_of_connection_loses_no_change_of_a_book() {
    let mut bench = joined();
    bench.text(STREAMS, &json!({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}}));
    let next = LinkId(6);
    bench.input(next, LinkInput::Up);
    bench.confirm(next);
    bench.events();
    for (first, last) in [(106, 107), (108, 112), (113, 114)] {
        bench.text(next, &change(first, last));
    }
    bench.text(STREAMS, &change(106, 110));
    assert_eq!(told(&mut bench), [Ok(110)], "the old one still serves");
    bench.pass(Span::from_secs(1));
    bench.text(next, &change(115, 115));
    assert_eq!(told(&mut bench), [Ok(112), Ok(114), Ok(115)]);
    assert_eq!(bench.closed(), [STREAMS]);
}

#[test]
fn a_lost_connection_makes_every_book_stale_and_the_next_mends_it() {
    let mut bench = joined();
    bench.input(STREAMS, LinkInput::Down("reset"));
    assert_eq!((told(&mut bench), best_bid(&bench)), (vec![Err("reset".to_owned())], None));
    bench.pass(Span::from_secs(1));
    let next = LinkId(6);
    bench.input(next, LinkInput::Up);
    bench.confirm(next);
    bench.sent(API);
    // A quiet market: no difference comes, so the snapshot is asked for without one, after a while.
    bench.pass(Span::from_secs(3));
    let asked = depths(&bench.sent(API));
    bench.reply(&asked[0], &snapshot(200));
    assert_eq!((told(&mut bench), best_bid(&bench)), (vec![Ok(0)], Some((200, "1".to_owned()))));
}

#[test]
fn r30_a_frozen_book_is_compared_and_its_stream_asked_for_anew() {
    let mut bench = joined();
    for id in 106..=126 {
        bench.pass(Span::from_millis(100));
        bench.text(STREAMS, &change(id, id));
    }
    told(&mut bench);
    bench.sent(API);
    bench.pass(Span::from_millis(1_500));
    assert_eq!(told(&mut bench), [Err("no change of the book for 1500 ms".to_owned())]);
    let asked = depths(&bench.sent(API));
    bench.sent(STREAMS);
    bench.reply(&asked[0], &snapshot(140));
    let methods: Vec<Value> =
        bench.confirm(STREAMS).iter().map(|request| request["method"].clone()).collect();
    assert_eq!((methods, best_bid(&bench)), (vec![json!("UNSUBSCRIBE"), json!("SUBSCRIBE")], None));
    bench.text(STREAMS, &change(150, 151));
    let asked = depths(&bench.sent(API));
    bench.reply(&asked[0], &snapshot(150));
    assert_eq!(best_bid(&bench), Some((151, "151".to_owned())));
}

#[test]
fn r28_snapshots_are_few_at_a_time_and_refusals_are_asked_again() {
    let mut bench = Bench::up();
    for at in 0..10 {
        bench.subscribe(&format!("s{at}usdt"), "book");
    }
    bench.confirm(STREAMS);
    let time_and_instruments = bench.sent(API);
    bench.reply(&time_and_instruments[0], &json!({"serverTime": START}));
    let info = json!({"serverTime": START, "rateLimits": [], "symbols": []});
    bench.reply(&time_and_instruments[1], &info);
    for at in 0..10 {
        bench.text(STREAMS, &difference(&format!("s{at}usdt"), 5, 6, &json!([])));
    }
    let mut flying = depths(&bench.sent(API));
    assert_eq!(flying.len(), 3);
    let refused = flying.remove(0);
    bench.text(API, &json!({"id": refused["id"], "status": 500, "error": {"code": -1000, "msg": "x"}}));
    let mut fresh = 0;
    for _ in 0..400 {
        for asked in std::mem::take(&mut flying) {
            bench.reply(&asked, &snapshot(6));
        }
        flying = depths(&bench.sent(API));
        assert!(flying.len() <= 3, "{}", flying.len());
        fresh += told(&mut bench).iter().filter(|update| **update == Ok(0)).count();
        bench.pass(Span::from_millis(100));
    }
    assert!(fresh >= 10, "{fresh}");
}

#[test]
fn r43_symbols_that_cannot_be_read_are_named_in_one_warning() {
    let mut bench = Bench::up();
    let asked = bench.sent(API);
    let symbol = |name: &str, tick: &str| {
        json!({"symbol": name, "status": "TRADING", "baseAsset": "A", "quoteAsset": "B", "orderTypes": [],
            "filters": [{"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "2", "tickSize": tick}]})
    };
    let all = json!({"serverTime": START, "rateLimits": [],
        "symbols": [symbol("ONEUSDT", "1e5"), symbol("GOODUSDT", "1"), symbol("TWOUSDT", "x")]});
    bench.reply(&asked[1], &all);
    let events = bench.events();
    let [VenueEvent::Warning { words: text, .. }, VenueEvent::Instruments(read)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(text.starts_with("2 symbols") && text.contains("ONEUSDT") && text.contains("TWOUSDT"), "{text}");
    assert_eq!(read.len(), 1);
    bench.feed.instruments(bench.now, &mut bench.out);
    assert_eq!(bench.sent(API).len(), 0, "they have just been read");
    bench.pass(Span::from_secs(11));
    let again = bench.sent(API).into_iter().find(|request| request["method"] == "exchangeInfo").unwrap();
    bench.reply(&again, &all);
    assert!(matches!(bench.events()[..], [VenueEvent::Instruments(_)]), "said once");
}

fn best(update_id: u64, bid_qty: u64) -> Value {
    let data =
        json!({"u": update_id, "s": "BTCUSDT", "b": "10", "B": bid_qty.to_string(), "a": "11", "A": "1"});
    json!({"stream": "btcusdt@bookTicker", "data": data})
}

#[test]
fn r30_a_book_without_its_first_change_is_fetched_and_judged_by_its_silence() {
    let mut bench = Bench::up();
    bench.subscribe("btcusdt", "book");
    bench.confirm(STREAMS);
    bench.sent(API);
    bench.pass(Span::from_secs(3));
    let asked = depths(&bench.sent(API));
    bench.reply(&asked[0], &snapshot(102));
    assert_eq!(told(&mut bench), [Ok(0)]);
    bench.pass(Span::from_secs(10));
    assert_eq!(told(&mut bench), [Err("no change of the book for 10000 ms".to_owned())]);
    assert_eq!(depths(&bench.sent(API)).len(), 1, "is it merely quiet?");
}

#[test]
fn r30_a_book_that_leaves_out_a_level_is_found_by_the_best_prices() {
    let mut bench = joined();
    bench.subscribe("btcusdt", "bbo");
    bench.confirm(STREAMS);
    bench.text(STREAMS, &best(105, 105));
    // From here on the best bid of the venue is not what the changes say, though none is missing.
    for id in 106..=108 {
        bench.text(STREAMS, &best(id, 7));
        bench.text(STREAMS, &change(id, id));
        assert!(best_bid(&bench).is_some(), "not yet proven");
    }
    told(&mut bench);
    bench.text(STREAMS, &best(109, 7));
    let stale = told(&mut bench);
    assert!(matches!(&stale[..], [Err(why)] if why.contains("best prices: at update 108")), "{stale:?}");
    assert_eq!(best_bid(&bench), None);
    let asked = depths(&bench.sent(API));
    bench.reply(&asked[0], &json!({"lastUpdateId": 109, "bids": [["10", "7"]], "asks": [["11", "1"]]}));
    assert_eq!((told(&mut bench), best_bid(&bench)), (vec![Ok(0)], Some((109, "7".to_owned()))));
    // Without the other stream nothing is compared.
    let wanted = stream("btcusdt", "bbo");
    bench.feed.unsubscribe(bench.now, &wanted, &mut bench.out);
    for id in 110..=120 {
        bench.text(STREAMS, &change(id, id));
    }
    assert_eq!(told(&mut bench).len(), 11);
}
