//! Price-time matching, order types and what they hold.

use super::dsl::{check, stage};

#[test]
fn better_prices_trade_first_and_equal_prices_by_arrival() {
    check(
        "
        A sell 1 @ 101 as a1
            A.a1 new: NEW 0/1
        A sell 1 @ 100 as a2
            A.a2 new: NEW 0/1
        B sell 1 @ 100 as b1
            B.b1 new: NEW 0/1
        C buy 2.5 @ 101 as c1
            C.c1 new: NEW 0/2.5
            C.c1 taker 1@100: PARTIALLY_FILLED 1/2.5
            A.a2 maker 1@100: FILLED 1/1
            trade 1 1@100 buy
            C.c1 taker 1@100: PARTIALLY_FILLED 2/2.5
            B.b1 maker 1@100: FILLED 1/1
            trade 2 1@100 buy
            C.c1 taker 0.5@101: FILLED 2.5/2.5
            A.a1 maker 0.5@101: PARTIALLY_FILLED 0.5/1
            trade 3 0.5@101 buy
        book
            | 101x0.5
        C balance
            BNB 10+0, BTC 12.5+0, USDT 749.5+0
        ",
    );
}

#[test]
fn a_better_price_than_the_limit_is_given_back_at_once() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        A balance
            BNB 10+0, BTC 9+1, USDT 1000+0
        B buy 3 @ 110 as b1
            B.b1 new: NEW 0/3
            B.b1 taker 1@100: PARTIALLY_FILLED 1/3
            A.a1 maker 1@100: FILLED 1/1
            trade 1 1@100 buy
        B balance
            BNB 10+0, BTC 11+0, USDT 680+220
        B cancel b1 as b2
            B.b2 canceled, was b1: CANCELED 1/3
        B balance
            BNB 10+0, BTC 11+0, USDT 900+0
        ",
    );
}

#[test]
fn immediate_or_cancel_takes_what_there_is() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        B buy 2 @ 100 ioc as b1
            B.b1 new: NEW 0/2
            B.b1 taker 1@100: PARTIALLY_FILLED 1/2
            A.a1 maker 1@100: FILLED 1/1
            trade 1 1@100 buy
            B.b1 UNFILLED_IOC_QUANTITY_EXPIRED: EXPIRED 1/2
        B buy 2 @ 100 ioc as b1
            B.b1 new: NEW 0/2
            B.b1 UNFILLED_IOC_QUANTITY_EXPIRED: EXPIRED 0/2
        B balance
            BNB 10+0, BTC 11+0, USDT 900+0
        ",
    );
}

#[test]
fn fill_or_kill_takes_all_or_nothing() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        C sell 1 @ 101 as c1
            C.c1 new: NEW 0/1
        B buy 2 @ 100 fok as b1
            B.b1 new: NEW 0/2
            B.b1 UNFILLED_FOK_ORDER_EXPIRED: EXPIRED 0/2
        B buy 2 @ 101 fok as b2
            B.b2 new: NEW 0/2
            B.b2 taker 1@100: PARTIALLY_FILLED 1/2
            A.a1 maker 1@100: FILLED 1/1
            trade 1 1@100 buy
            B.b2 taker 1@101: FILLED 2/2
            C.c1 maker 1@101: FILLED 1/1
            trade 2 1@101 buy
        ",
    );
}

#[test]
fn post_only_never_takes() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        B buy 1 @ 100 post as b1
            refused: order would immediately match and take
        B buy 1 @ 99.99 post as b1
            B.b1 new: NEW 0/1
        B balance
            BNB 10+0, BTC 10+0, USDT 900.01+99.99
        ",
    );
}

#[test]
fn a_market_order_that_empties_the_book_expires() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        B buy 2 market as b1
            B.b1 new: NEW 0/2
            B.b1 taker 1@100: PARTIALLY_FILLED 1/2
            A.a1 maker 1@100: FILLED 1/1
            trade 1 1@100 buy
            B.b1 INSUFFICIENT_LIQUIDITY: EXPIRED 1/2
        B sell 2 market as b2
            B.b2 new: NEW 0/2
            B.b2 INSUFFICIENT_LIQUIDITY: EXPIRED 0/2
        B balance
            BNB 10+0, BTC 11+0, USDT 900+0
        ",
    );
}

#[test]
fn a_quote_amount_buys_whole_lots_and_ends_filled() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        A sell 1 @ 333 as a2
            A.a2 new: NEW 0/1
        B buy $200 market as b1
            B.b1 new: NEW 0/0
            B.b1 taker 1@100: PARTIALLY_FILLED 1/1
            A.a1 maker 1@100: FILLED 1/1
            trade 1 1@100 buy
            B.b1 taker 0.3@333: FILLED 1.3/1.3
            A.a2 maker 0.3@333: PARTIALLY_FILLED 0.3/1
            trade 2 0.3@333 buy
        B balance
            BNB 10+0, BTC 11.3+0, USDT 800.1+0
        B buy $500 market as b2
            B.b2 new: NEW 0/0
            B.b2 taker 0.7@333: PARTIALLY_FILLED 0.7/0.7
            A.a2 maker 0.7@333: FILLED 1/1
            trade 3 0.7@333 buy
            B.b2 INSUFFICIENT_LIQUIDITY: EXPIRED 0.7/0.7
        C buy 1 @ 100 as c1
            C.c1 new: NEW 0/1
        B sell $55.55 market as b3
            B.b3 new: NEW 0/0
            B.b3 taker 0.555@100: FILLED 0.555/0.555
            C.c1 maker 0.555@100: PARTIALLY_FILLED 0.555/1
            trade 4 0.555@100 sell
        ",
    );
}

#[test]
fn an_amount_too_small_for_a_lot_is_refused() {
    check(
        "
        A sell 0.01 @ 5000 as a1
            A.a1 new: NEW 0/0.01
        B buy $4.99 market
            refused: filter failure: LOT_SIZE
        B buy $5 market as b1
            B.b1 new: NEW 0/0
            B.b1 taker 0.001@5000: FILLED 0.001/0.001
            A.a1 maker 0.001@5000: PARTIALLY_FILLED 0.001/0.01
            trade 1 0.001@5000 buy
        ",
    );
}

#[test]
fn nothing_is_bought_or_sold_beyond_what_is_free() {
    check(
        "
        A sell 10.001 @ 100
            refused: account has insufficient balance
        A sell 6 @ 100 as a1
            A.a1 new: NEW 0/6
        A sell 5 @ 100
            refused: account has insufficient balance
        A sell 5 market
            refused: account has insufficient balance
        A sell 4 @ 120 as a2
            A.a2 new: NEW 0/4
        B buy 10 market
            refused: account has insufficient balance
        B buy $1000.01 market
            refused: account has insufficient balance
        B buy 10.01 @ 100
            refused: account has insufficient balance
        B buy 8 market as b1
            B.b1 new: NEW 0/8
            B.b1 taker 6@100: PARTIALLY_FILLED 6/8
            A.a1 maker 6@100: FILLED 6/6
            trade 1 6@100 buy
            B.b1 taker 2@120: FILLED 8/8
            A.a2 maker 2@120: PARTIALLY_FILLED 2/4
            trade 2 2@120 buy
        ",
    );
}

#[test]
fn a_closed_symbol_takes_no_orders_and_a_halted_one_no_cancels() {
    check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        A sell 1 @ 100 as a2
            A.a2 new: NEW 0/1
        cancel-only
            CancelOnly
        B buy 1 @ 100
            refused: market is closed
        A cancel a1 as a3
            A.a3 canceled, was a1: CANCELED 0/1
        halt
            Halted
        A cancel a2
            refused: market is closed
        A amend a2 0.5
            refused: market is closed
        open
            Trading
        A cancel a2 as a4
            A.a4 canceled, was a2: CANCELED 0/1
        ",
    );
}

#[test]
fn fees_come_out_of_what_is_received_or_out_of_the_fee_asset() {
    use super::dsl::account;
    use crate::exchange::{AccountSettings, Rate};
    use crate::ids::Asset;
    let mut stage = stage(|_| {});
    for (name, pay_in_fee_asset) in [("A", false), ("B", true)] {
        let settings = AccountSettings {
            maker_fee: Rate::basis_points(10),
            taker_fee: Rate::basis_points(20),
            pay_in_fee_asset,
            can_trade: true,
        };
        stage.exchange.open_account(account(name), settings);
    }
    // The fee asset has no price yet: B pays in what it receives.
    stage.check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        B buy 1 @ 100 as b1
            B.b1 new: NEW 0/1
            B.b1 taker 1@100 fee 0.002 BTC: FILLED 1/1
            A.a1 maker 1@100 fee 0.1 USDT: FILLED 1/1
            trade 1 1@100 buy
        ",
    );
    // 0.2 % less a quarter of 99 USDT, at 600 USDT each: 0.0002475, eight decimals.
    let usdt = Asset::new("USDT");
    stage.exchange.set_fee_asset_price(&usdt, Some("600".parse().unwrap()));
    stage.check(
        "
        A buy 1 @ 99 as a2
            A.a2 new: NEW 0/1
        B sell 1 @ 99 as b2
            B.b2 new: NEW 0/1
            B.b2 taker 1@99 fee 0.0002475 BNB: FILLED 1/1
            A.a2 maker 1@99 fee 0.001 BTC: FILLED 1/1
            trade 2 1@99 sell
        B balance
            BNB 9.9997525+0, BTC 9.998+0, USDT 999+0
        A balance
            BNB 10+0, BTC 9.999+0, USDT 1000.9+0
        ",
    );
    // Too little of the fee asset: back to what is received, without the discount.
    let bnb = Asset::new("BNB");
    let left = stage.exchange.balance(account("B"), &bnb).unwrap().free;
    stage.exchange.withdraw(stage.exchange.now(), account("B"), &bnb, left).unwrap();
    stage.exchange.drain_events(&mut Vec::new());
    stage.check(
        "
        A buy 1 @ 99 as a3
            A.a3 new: NEW 0/1
        B sell 1 @ 99 as b3
            B.b3 new: NEW 0/1
            B.b3 taker 1@99 fee 0.198 USDT: FILLED 1/1
            A.a3 maker 1@99 fee 0.001 BTC: FILLED 1/1
            trade 3 1@99 sell
        ",
    );
    let collected = |asset: &Asset| stage.exchange.balance(crate::exchange::AccountId::FEES, asset).unwrap();
    assert_eq!(collected(&usdt).free, "0.298".parse().unwrap());
    assert_eq!(collected(&bnb).free, "0.0002475".parse().unwrap());
    assert_eq!(collected(&Asset::new("BTC")).free, "0.004".parse().unwrap());
}
