use super::*;
use crate::fixtures::doge_listing;
use crate::market::Side;

#[test]
fn charges_are_found_by_their_time_and_the_numbers_told_of_them() {
    let usdt = Asset::new("USDT");
    let mut books = Books::default();
    let record = |symbol: Option<&str>, second, id| ChargeRecord {
        charge: ChargeKind::Interest,
        symbol: symbol.map(Symbol::new),
        asset: usdt.clone(),
        owner: Owner::External,
        delta: Cash::whole(-1),
        id,
        time: Time::from_nanos(0) + Span::from_secs(second),
        loan: None,
        nth: 0,
    };
    for (symbol, second, id) in
        [(None, 1, None), (Some("b"), 2, Some(7)), (None, 3, None), (Some("a"), 2, None), (None, 4, None)]
    {
        books.fold(&Record::Charge(record(symbol, second, id)));
    }
    let other = ChargeRecord { charge: ChargeKind::Other, ..record(None, 2, Some(8)) };
    books.fold(&Record::Charge(other));
    let at = |second| Time::from_nanos(0) + Span::from_secs(second);
    let found: Vec<(i64, bool)> = (books.charges_between(ChargeKind::Interest, &usdt, at(2), at(4)))
        .map(|(key, _)| (key.time.since(at(0)).nanos() / 1_000_000_000, books.is_identified(key)))
        .collect();
    assert_eq!(found, [(2, false), (2, true), (3, false)]);
    assert_eq!(books.charges_between(ChargeKind::Interest, &usdt, at(4), at(2)).count(), 0);
    assert!(books.knows_charge(ChargeKind::Other, 8) && !books.knows_charge(ChargeKind::Interest, 8));
}

fn fill(
    trade_id: u64,
    venue_id: u64,
    session: Option<u16>,
    side: Side,
    fee: &str,
    fee_asset: &str,
) -> Record {
    Record::Fill(FillRecord {
        symbol: Symbol::new("dogeusdt"),
        trade_id,
        venue_id,
        order: None,
        session: session.map(SessionId),
        side,
        price: "0.2".parse().unwrap(),
        qty: Qty::whole(10),
        quote: Cash::whole(2),
        realised: None,
        fee: fee.parse().unwrap(),
        fee_asset: Some(Asset::new(fee_asset)),
        maker: false,
        time: Time::from_millis(trade_id as i64),
    })
}

fn fold(records: &[Record]) -> Books {
    let mut books = Books::default();
    books.fold(&doge_listing());
    for record in records {
        books.fold(record);
    }
    books
}

fn view(books: &Books) -> String {
    books.assets().map(|(o, a, v)| format!("{o:?} {a} {v}; ")).collect()
}

#[test]
fn row_004_65_the_first_fill_of_a_new_symbol_is_booked() {
    let books = fold(&[fill(1, 7, Some(1), Side::Buy, "0", "USDT")]);
    assert_eq!(books.position(SessionId(1), &Symbol::new("dogeusdt")).qty, Qty::whole(10));
}

#[test]
fn row_004_69_fees_are_booked_in_their_own_asset() {
    let doge = Symbol::new("dogeusdt");
    for (side, fee_asset, net) in [
        (Side::Buy, "BNB", "10"),
        (Side::Buy, "DOGE", "9.99"),
        (Side::Buy, "USDT", "10"),
        (Side::Sell, "USDT", "-10"),
    ] {
        let books = fold(&[fill(1, 7, Some(1), side, "0.01", fee_asset)]);
        assert_eq!(books.position(SessionId(1), &doge).qty.to_string(), net, "{side} {fee_asset}");
    }
    let books = fold(&[fill(1, 7, Some(1), Side::Buy, "0.01", "BNB")]);
    assert_eq!(view(&books), "Session(1) BNB -0.01; Session(1) DOGE 10; Session(1) USDT -2; ");
}

#[test]
fn r24_a_self_trade_is_two_fills() {
    let books =
        fold(&[fill(1, 7, Some(1), Side::Buy, "0", "USDT"), fill(1, 8, Some(2), Side::Sell, "0", "USDT")]);
    assert_eq!(books.position(SessionId(1), &Symbol::new("dogeusdt")).qty, Qty::whole(10));
    assert_eq!(books.position(SessionId(2), &Symbol::new("dogeusdt")).qty, -Qty::whole(10));
    assert_eq!(books.total(&Asset::new("DOGE")), Cash::ZERO);
}

#[test]
fn r15_i1_shuffled_and_doubled_fills_come_out_the_same() {
    let facts: Vec<_> = (1..=8)
        .map(|i| {
            let side = if i % 3 == 0 { Side::Sell } else { Side::Buy };
            fill(i, i / 2, (i % 4 > 0).then_some((i % 4) as u16), side, "0.01", "BNB")
        })
        .collect();
    let wanted = view(&fold(&facts));
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut doubled: Vec<_> = facts.iter().chain(&facts).cloned().collect();
        rng.shuffle(&mut doubled);
        assert_eq!(view(&fold(&doubled)), wanted, "seed {seed}");
    }
}

#[test]
fn r52_what_lies_between_two_booked_trades_is_read_again() {
    let symbol = Symbol::new("dogeusdt");
    let cursor = |trade_id, secs: i64| Record::Cursor {
        symbol: symbol.clone(),
        trade_id,
        time: Time::from_millis(secs * 1000),
    };
    let at = |id, secs: i64| {
        let Record::Fill(mut fill) = fill(id, 7, Some(1), Side::Buy, "0", "USDT") else { unreachable!() };
        fill.time = Time::from_millis(secs * 1000);
        Record::Fill(fill)
    };
    let minute = Span::from_secs(60);
    let facts = [at(100, 0), at(105, 65), cursor(105, 65)];
    assert_eq!(fold(&facts).reread_from(&symbol, minute), Some(101), "103 may have been shown late");
    let facts = [at(5, 10), at(9, 20), cursor(9, 20)];
    assert_eq!(fold(&facts).reread_from(&symbol, minute), Some(5));
    let facts = [at(5, 10), at(9, 200), cursor(9, 200), at(20, 210)];
    assert_eq!(fold(&facts).reread_from(&symbol, minute), Some(6));
    let facts = [at(100, 5), at(105, 65), cursor(105, 65)];
    assert_eq!(fold(&facts).reread_from(&symbol, minute), Some(100), "as old as the overlap is long");
    assert_eq!(fold(&[cursor(9, 20)]).reread_from(&symbol, minute), Some(9));
    assert_eq!(fold(&[cursor(0, 20)]).reread_from(&symbol, minute), None);
}

#[test]
fn i3_fills_of_unknown_owner_go_to_external() {
    let books = fold(&[fill(1, 7, None, Side::Buy, "0", "USDT")]);
    assert_eq!(books.positions().count(), 0);
    assert_eq!(books.asset(Owner::External, &Asset::new("DOGE")), Cash::whole(10));
}

fn contract() -> Record {
    Record::Listing {
        symbol: Symbol::new("btcusdt"),
        base: Asset::new("BTC"),
        quote: Asset::new("USDT"),
        holding: Some(Asset::new("BTCUSDT")),
        lot: None,
        unread: false,
    }
}

#[test]
fn the_symbols_of_an_asset_are_those_that_trade_it() {
    let books = fold(&[contract()]);
    let of = |asset: &str| -> Vec<String> {
        books.symbols_of(&Asset::new(asset)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(of("DOGE"), ["dogeusdt"]);
    assert_eq!(of("BTCUSDT"), ["btcusdt"]);
    assert_eq!(of("USDT"), ["btcusdt", "dogeusdt"]);
    assert_eq!(of("BTC"), [""; 0], "a contract is on it, and moves none");
}

/// A part of a liquidation's fill.
fn part(qty: i64, fee: &str) -> Record {
    Record::Allocation(AllocationRecord {
        forced: crate::journal::Forced::Liquidation,
        session: SessionId(1),
        symbol: Symbol::new("btcusdt"),
        trade_id: 4,
        venue_id: 9,
        side: Side::Sell,
        price: Price::whole(3),
        qty: Qty::whole(qty),
        quote: Cash::whole(3 * qty),
        fee: fee.parse().unwrap(),
        fee_asset: Some(Asset::new("BNB")),
        time: Time::from_millis(4),
    })
}

#[test]
fn r44_a_part_of_what_was_ended_moves_contracts_money_and_fees_and_is_corrected_by_another() {
    let bnb = Asset::new("BNB");
    let mut books = fold(&[contract(), part(2, "0.5")]);
    let parted = "External BNB 0.5; External BTCUSDT 2; External USDT -6; \
                  Session(1) BNB -0.5; Session(1) BTCUSDT -2; Session(1) USDT 6; ";
    let sorted = |books: &Books| {
        let mut rows: Vec<String> =
            view(books).split_terminator("; ").map(|row| format!("{row}; ")).collect();
        rows.sort();
        rows.concat()
    };
    assert_eq!(sorted(&books), parted);
    assert_eq!(books.fee(SessionId(1), &bnb).to_string(), "0.5");
    books.fold(&part(2, "0.5"));
    assert_eq!(sorted(&books), parted, "told twice");
    for (qty, fee) in [(5, "1.25"), (2, "0.5")] {
        books.fold(&part(qty, fee));
        assert_eq!(books.fee(SessionId(1), &bnb).to_string(), fee);
        assert_eq!(books.position(SessionId(1), &Symbol::new("btcusdt")).qty, Qty::whole(-qty));
    }
    assert_eq!(sorted(&books), parted);
}

#[test]
fn what_was_held_counts_what_came_before_and_no_unexplained_difference() {
    let cash = |owner, units, at| {
        let (asset, delta, time) = (Asset::new("BTCUSDT"), Cash::whole(units), Time::from_millis(at));
        Record::Cash(CashRecord { owner, asset, delta, reason: "difference".to_owned(), time })
    };
    let facts = [
        contract(),
        cash(Owner::External, 5, 10),
        cash(Owner::Unattributed, 7, 10),
        cash(Owner::External, 1, 20),
        cash(Owner::External, 2, 30),
    ];
    let books = fold(&facts);
    let symbol = Symbol::new("btcusdt");
    let held = |at, inclusive| books.held(&symbol, Time::from_millis(at), inclusive);
    assert_eq!(held(20, false), BTreeMap::from([(Owner::External, Cash::whole(5))]));
    assert_eq!(held(20, true), BTreeMap::from([(Owner::External, Cash::whole(6))]));
    assert_eq!(held(10, false), BTreeMap::new());
    let span = books.held_between(&symbol);
    assert_eq!(span, Some((Time::from_millis(10), Time::from_millis(30))));
}

#[test]
fn an_edit_has_its_counter_entry() {
    let adjust = Record::Adjust(AdjustRecord {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 3,
        shown: Qty::whole(5),
        qty: Qty::whole(3),
        delta: -Qty::whole(2),
        avg_price: None,
        time: Time::from_millis(9),
    });
    let books = fold(&[adjust]);
    assert_eq!(books.total(&Asset::new("DOGE")), Cash::ZERO);
    assert_eq!(books.asset(Owner::Unattributed, &Asset::new("DOGE")), Cash::whole(2));
    let accepted = Accepted { qty: Qty::whole(3), avg_price: None };
    assert_eq!(books.accepted(SessionId(1), &Symbol::new("dogeusdt"), 3), Some(accepted));
}
