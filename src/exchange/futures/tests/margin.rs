//! What an account can afford, and the two position modes.

use super::*;
use crate::exchange::OrderRef;

#[test]
fn an_order_takes_up_margin_at_its_leverage_and_too_much_is_refused() {
    let mut stage = Stage::new();
    stage.futures.set_leverage(stage.now, A, &btc(), 10).unwrap();
    // 1000 USDT carry 10,000 of notional: 100 at 100.
    stage.go(A, "buy 60 @ 100");
    let margin = stage.futures.account_view(A).unwrap().margin;
    assert_eq!((margin.order_initial, margin.available()), (cash("600"), cash("400")));
    assert_eq!(stage.place(A, "buy 40.001 @ 100").err(), Some(Reject::InsufficientMargin));
    // The other side costs nothing while it is the smaller one.
    stage.go(A, "sell 60 @ 101");
    assert_eq!(stage.futures.account_view(A).unwrap().margin.order_initial, cash("606"));
    stage.go(B, "sell 60 @ 100");
    let margin = stage.futures.account_view(A).unwrap().margin;
    assert_eq!((margin.position_initial, margin.order_initial), (cash("600"), cash("0")));
    assert_eq!(stage.futures.transfer(stage.now, A, cash("-401")), Err(Reject::Withdraw(cash("400"))));
    stage.futures.transfer(stage.now, A, cash("-400")).unwrap();
    stage.check_laws();
}

#[test]
fn a_market_order_is_measured_by_what_the_book_gives() {
    let mut stage = Stage::new();
    stage.futures.set_leverage(stage.now, A, &btc(), 1).unwrap();
    stage.go(B, "sell 5 @ 100");
    stage.go(B, "sell 5 @ 120");
    assert_eq!(stage.place(A, "buy 10 market").err(), Some(Reject::InsufficientMargin));
    stage.go(A, "buy 9 market");
    assert_eq!(stage.position(A), "9@108.8888888889 0");
}

#[test]
fn leverage_limits_the_position_and_the_position_limits_leverage() {
    let mut stage = Stage::new();
    stage.futures.transfer(stage.now, A, Cash::whole(1_000_000)).unwrap();
    stage.futures.transfer(stage.now, B, Cash::whole(1_000_000)).unwrap();
    stage.futures.set_leverage(stage.now, A, &btc(), 125).unwrap();
    let most = Cash::whole(50_000);
    assert_eq!(stage.place(A, "buy 501 @ 100").err(), Some(Reject::PositionTooLarge(most)));
    stage.futures.set_leverage(stage.now, A, &btc(), 100).unwrap();
    stage.go(A, "buy 501 @ 100");
    let to_125 = stage.futures.set_leverage(stage.now, A, &btc(), 125);
    assert_eq!(to_125, Err(Reject::LeveragePosition(most)));
    assert_eq!(stage.futures.set_leverage(stage.now, A, &btc(), 126), Err(Reject::Leverage(126, 125)));
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    stage.go(B, "sell 501 @ 100");
    stage.futures.transfer(stage.now, A, cash("-1000000")).unwrap();
    // One time needs 50,100 of margin; the account has 1,000.
    assert_eq!(stage.futures.set_leverage(stage.now, A, &btc(), 1), Err(Reject::InsufficientMargin));
}

#[test]
fn r49_hedge_mode_keeps_long_and_short_apart_and_switches_only_when_flat() {
    let mut stage = Stage::new();
    let side = Reject::PositionSide(PositionSide::Long);
    assert_eq!(stage.place(A, "buy 1 @ 100 long").err(), Some(side));
    stage.go(A, "buy 1 @ 90");
    assert_eq!(stage.futures.set_hedge_mode(stage.now, A, true), Err(Reject::OpenOrders));
    stage.futures.cancel_all(stage.now, A, &btc()).unwrap();
    stage.futures.set_hedge_mode(stage.now, A, true).unwrap();
    assert_eq!(stage.futures.set_hedge_mode(stage.now, A, true), Err(Reject::NoChange));
    let both = Reject::PositionSide(PositionSide::Both);
    assert_eq!(stage.place(A, "buy 1 @ 100").err(), Some(both));
    let reduce = stage.place(A, "sell 1 @ 100 long reduce").err();
    assert_eq!(reduce, Some(Reject::ReduceOnlyInHedgeMode));
    stage.go(B, "sell 5 @ 100");
    stage.go(B, "buy 5 @ 99");
    stage.go(A, "buy 2 market long");
    stage.go(A, "sell 3 market short");
    assert_eq!(stage.side(A, PositionSide::Long), "2@100 0");
    assert_eq!(stage.side(A, PositionSide::Short), "-3@99 0");
    assert_eq!(stage.place(A, "sell 2.5 market long").err(), Some(Reject::ReduceOnly));
    stage.go(A, "sell 2 market long");
    assert_eq!(stage.side(A, PositionSide::Long), "0@0 -2");
    assert_eq!(stage.futures.set_hedge_mode(stage.now, A, false), Err(Reject::OpenPositions));
}

#[test]
fn each_filter_has_its_own_refusal() {
    let mut stage = Stage::with(|contract| contract.listing.limits.max_orders = 2);
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    let cases = [
        ("buy 1 @ 0", Reject::PriceNotPositive),
        ("buy 1 @ 1000001", Reject::PriceTooHigh(price("1000000"))),
        ("buy 1 @ 100.001", Reject::PriceOffTick(price("0.01"))),
        ("buy 0 @ 100", Reject::QtyNotPositive),
        ("buy 0.0001 @ 100", Reject::QtyTooSmall(qty("0.001"))),
        ("buy 9001 @ 100", Reject::QtyTooLarge(qty("9000"))),
        ("buy 101 market", Reject::QtyTooLarge(qty("100"))),
        ("buy 0.0015 @ 100", Reject::QtyOffStep(qty("0.001"))),
        ("buy 0.009 @ 100", Reject::NotionalTooSmall(cash("1"))),
        ("buy 0.009 market", Reject::NotionalTooSmall(cash("1"))),
        ("buy 1 @ 105.01", Reject::PriceFarAbove(price("105"))),
        ("sell 1 @ 94.99", Reject::PriceFarBelow(price("95"))),
    ];
    for (words, expected) in cases {
        assert_eq!(stage.place(A, words).err(), Some(expected), "{words}");
    }
    stage.go(A, "sell 1 @ 110");
    assert_eq!(stage.place(B, "buy 1 market").err(), Some(Reject::MarketTooFar));
    stage.go(A, "sell 1 @ 111");
    assert_eq!(stage.place(A, "sell 1 @ 112").err(), Some(Reject::TooManyOrders(2)));
}

#[test]
fn a_contract_that_is_not_trading_takes_cancels_at_most() {
    let mut stage = Stage::new();
    let order = stage.go(A, "buy 1 @ 90").order.id;
    for status in [ContractStatus::PreSettle, ContractStatus::CancelOnly, ContractStatus::PendingTrading] {
        stage.futures.set_contract_status(&btc(), status).unwrap();
        assert_eq!(stage.place(A, "buy 1 @ 90").err(), Some(Reject::NotOpen(status)));
    }
    let closed = stage.futures.cancel(stage.now, A, &btc(), &OrderRef::Id(order));
    assert_eq!(closed.err(), Some(Reject::Market(crate::exchange::Reject::MarketClosed)));
    stage.futures.set_contract_status(&btc(), ContractStatus::PreSettle).unwrap();
    stage.futures.cancel(stage.now, A, &btc(), &OrderRef::Id(order)).unwrap();
}

#[test]
fn a_fill_or_kill_order_knows_what_reduce_only_orders_can_give() {
    let mut stage = Stage::new();
    stage.go(B, "sell 3 @ 100");
    stage.go(A, "buy 3 @ 100");
    // Two reduce-only asks of three, of a position of three: the market can give three, not six.
    stage.go(A, "sell 3 @ 101 reduce");
    stage.go(A, "sell 3 @ 102 reduce");
    let killed = stage.go(B, "buy 4 @ 102 fok");
    assert_eq!(killed.order.filled, Qty::ZERO);
    let filled = stage.go(B, "buy 3 @ 102 fok");
    assert_eq!(filled.order.filled, qty("3"));
    assert_eq!(stage.position(A), "0@0 3");
    assert!(stage.futures.open_orders(A, None).unwrap().is_empty());
}
