//! What each filter lets through, and which one is named when several fail.

use super::instrument;
use crate::exchange::filters::{Situation, check};
use crate::exchange::{Config, Exchange, Filter, Limits, Listing, ListingError, PercentPrice, Rate, Request};
use crate::ids::ClientOrderId;
use crate::market::{OrderType, Side, Tif};
use crate::num::{Price, Qty};
use crate::order::request::Terms;

fn listing() -> Listing {
    let n = |text: &str| text.parse().unwrap();
    let band = PercentPrice { bid_up: n("2"), bid_down: n("0.5"), ask_up: n("3"), ask_down: n("0.9") };
    let limits = Limits { max_orders: 5, max_stops: 2, percent_price: Some(band), ..Limits::default() };
    Listing { limits, ..Listing::new(instrument("BTC", "USDT")) }
}

fn situation(last: &str) -> Situation {
    Situation { last: last.parse().ok(), open_orders: 4, open_stops: 1 }
}

fn judge(side: Side, terms: Terms, qty: &str, situation: &Situation) -> Option<Filter> {
    let listing = listing();
    let request = Request {
        symbol: listing.instrument.symbol.clone(),
        client_id: ClientOrderId::foreign("x"),
        side,
        terms,
        qty: qty.parse().unwrap(),
        stp: None,
    };
    check(&listing, &request, situation).err()
}

#[test]
fn limit_orders() {
    let cases = [
        ("100", "1", None),
        ("0.01", "100", None),
        ("0", "1", Some(Filter::PriceFilter)),
        ("-1", "1", Some(Filter::PriceFilter)),
        ("100.001", "1", Some(Filter::PriceFilter)),
        ("1000000.01", "1", Some(Filter::PriceFilter)),
        ("100", "0", Some(Filter::LotSize)),
        ("100", "-1", Some(Filter::LotSize)),
        ("100", "0.0015", Some(Filter::LotSize)),
        ("1", "9000.001", Some(Filter::LotSize)),
        ("100", "0.009", Some(Filter::Notional)),
        ("100", "0.01", None),
        ("1000000", "9.001", Some(Filter::Notional)),
        ("1000000", "9", None),
        ("0", "0", Some(Filter::PriceFilter)),
        ("100000000000000", "100000000000000", Some(Filter::PriceFilter)),
    ];
    for (price, qty, expected) in cases {
        let terms = Terms::Limit { price: price.parse().unwrap(), tif: Tif::Gtc };
        assert_eq!(judge(Side::Buy, terms, qty, &situation("")), expected, "{qty} @ {price}");
    }
}

#[test]
fn market_orders() {
    let cases = [
        ("1", "100", None),
        ("100", "100", None),
        ("100.001", "100", Some(Filter::MarketLotSize)),
        ("0.009", "100", Some(Filter::Notional)),
        ("0.009", "", None),
        ("0.0001", "100", Some(Filter::LotSize)),
    ];
    for (qty, last, expected) in cases {
        assert_eq!(judge(Side::Sell, Terms::Market, qty, &situation(last)), expected, "{qty}, last {last}");
    }
    for (amount, expected) in [
        ("1", None),
        ("0.99", Some(Filter::Notional)),
        ("0", Some(Filter::LotSize)),
        ("-5", Some(Filter::LotSize)),
    ] {
        let terms = Terms::MarketQuote { amount: amount.parse().unwrap() };
        assert_eq!(judge(Side::Sell, terms, "0", &situation("100")), expected, "{amount}");
    }
}

#[test]
fn prices_keep_near_the_last_trade() {
    let cases = [
        (Side::Buy, "200", None),
        (Side::Buy, "200.01", Some(Filter::PercentPriceBySide)),
        (Side::Buy, "50", None),
        (Side::Buy, "49.99", Some(Filter::PercentPriceBySide)),
        (Side::Sell, "300", None),
        (Side::Sell, "300.01", Some(Filter::PercentPriceBySide)),
        (Side::Sell, "90", None),
        (Side::Sell, "89.99", Some(Filter::PercentPriceBySide)),
    ];
    for (side, price, expected) in cases {
        let terms = Terms::Limit { price: price.parse().unwrap(), tif: Tif::Gtc };
        assert_eq!(judge(side, terms, "1", &situation("100")), expected, "{side} {price}");
        assert_eq!(judge(side, terms, "1", &situation("")), None, "without a reference");
    }
}

#[test]
fn open_orders_and_stops_are_counted() {
    let limit = Terms::Limit { price: Price::whole(100), tif: Tif::Gtc };
    let stop = Terms::Stop { order_type: OrderType::StopLoss, stop: Price::whole(100), limit: None };
    let judge = |terms, open_orders, open_stops| {
        judge(Side::Buy, terms, "1", &Situation { last: None, open_orders, open_stops })
    };
    assert_eq!(judge(limit, 4, 2), None);
    assert_eq!(judge(limit, 5, 0), Some(Filter::MaxNumOrders));
    assert_eq!(judge(stop, 4, 1), None);
    assert_eq!(judge(stop, 4, 2), Some(Filter::MaxNumAlgoOrders));
}

#[test]
fn only_instruments_with_a_bounded_exact_grid_are_listed() {
    let try_it = |adjust: fn(&mut Listing)| {
        let mut listing = listing();
        adjust(&mut listing);
        let symbol = listing.instrument.symbol.clone();
        let error = Exchange::new(Config { listings: vec![listing], ..Config::default() }).err();
        (error, symbol)
    };
    let (error, symbol) = try_it(|_| {});
    assert_eq!(error, None);
    assert_eq!(
        try_it(|l| l.instrument.price.step = Price::ZERO).0,
        Some(ListingError::NoGrid(symbol.clone()))
    );
    assert_eq!(try_it(|l| l.instrument.qty.step = Qty::ZERO).0, Some(ListingError::NoGrid(symbol.clone())));
    let fine = |l: &mut Listing| l.instrument.qty.step = "0.000000001".parse().unwrap();
    assert_eq!(try_it(fine).0, Some(ListingError::GridTooFine(symbol.clone())));
    let unbounded = ListingError::Unbounded(symbol.clone());
    assert_eq!(try_it(|l| l.instrument.price.max = Price::ZERO).0, Some(unbounded.clone()));
    assert_eq!(try_it(|l| l.instrument.qty.max = Qty::whole(10_i64.pow(14))).0, Some(unbounded));
    let twice = Config { listings: vec![listing(), listing()], ..Config::default() };
    assert_eq!(Exchange::new(twice).err(), Some(ListingError::Twice(symbol)));
}

#[test]
fn a_rate_is_a_share() {
    assert_eq!("0.001".parse(), Ok(Rate::basis_points(10)));
    assert_eq!("0.00002".parse(), Ok(Rate::hundredths_of_basis_point(20)));
    assert_eq!(Rate::basis_points(10).less("0.25".parse().unwrap()).to_string(), "0.00075");
    assert!("1.1".parse::<Rate>().is_err() && "-0.1".parse::<Rate>().is_err());
}

#[test]
fn r42_a_coarser_grid_binds_from_then_on_and_the_engine_counts_as_before() {
    let n = |text: &str| text.parse().unwrap();
    let listing = listing();
    let symbol = listing.instrument.symbol.clone();
    let mut exchange = Exchange::new(Config { listings: vec![listing], ..Config::default() }).unwrap();
    let refused = exchange.set_rules(&symbol, Some(n("0.015")), None, None);
    assert!(refused.is_err(), "no multiple of the engine's own step");
    exchange
        .set_rules(&symbol, Some(n("0.5")), Some("0.01".parse().unwrap()), Some("5".parse().unwrap()))
        .unwrap();
    let listing = exchange.listing(&symbol).unwrap();
    let judge = |price: &str, qty: &str| {
        let request = Request {
            symbol: symbol.clone(),
            client_id: ClientOrderId::foreign("x"),
            side: Side::Buy,
            terms: Terms::Limit { price: price.parse().unwrap(), tif: Tif::Gtc },
            qty: qty.parse::<Qty>().unwrap(),
            stp: None,
        };
        check(listing, &request, &situation("")).err()
    };
    assert_eq!(judge("100.01", "1"), Some(Filter::PriceFilter));
    assert_eq!(judge("100.5", "0.015"), Some(Filter::LotSize));
    assert_eq!(judge("100.5", "0.04"), Some(Filter::Notional));
    assert_eq!(judge("100.5", "0.05"), None);
    assert_eq!(listing.instrument.tick(), n("0.01"));
}
