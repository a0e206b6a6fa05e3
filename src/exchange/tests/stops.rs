//! Stops: where they must lie, when they fire and in which order.

use super::dsl::check;

/// A trade at 100.
const LAST_100: &str = "
        A sell 0.1 @ 100 as l1
            A.l1 new: NEW 0/0.1
        C buy 0.1 @ 100 as l2
            C.l2 new: NEW 0/0.1
            C.l2 taker 0.1@100: FILLED 0.1/0.1
            A.l1 maker 0.1@100: FILLED 0.1/0.1
            trade 1 0.1@100 buy
";

fn check_after_100(script: &str) {
    check(&format!("{LAST_100}{script}"));
}

#[test]
fn a_stop_lies_on_its_side_of_the_last_trade() {
    check_after_100(
        "
        B buy 1 stop 100
            refused: order would trigger immediately
        B sell 1 stop 100
            refused: order would trigger immediately
        B buy 1 profit 100
            refused: order would trigger immediately
        B sell 1 profit 100 limit 101
            refused: order would trigger immediately
        B buy 1 stop 100.01 limit 101 as s1
            B.s1 new: NEW 0/1
        B sell 1 stop 99.99 as s2
            B.s2 new: NEW 0/1
        B buy 1 profit 99.99 as s3
            B.s3 new: NEW 0/1
        B sell 1 profit 100.01 limit 101 as s4
            B.s4 new: NEW 0/1
        book
            |
        B balance
            BNB 10+0, BTC 8+2, USDT 799.01+200.99
        ",
    );
}

#[test]
fn a_triggered_limit_stop_takes_what_it_can_and_rests() {
    check_after_100(
        "
        B buy 1 stop 102 limit 103 as s
            B.s new: NEW 0/1
        A sell 0.5 @ 102 as a1
            A.a1 new: NEW 0/0.5
        A sell 0.3 @ 103 as a2
            A.a2 new: NEW 0/0.3
        C buy 0.2 @ 102 as c
            C.c new: NEW 0/0.2
            C.c taker 0.2@102: FILLED 0.2/0.2
            A.a1 maker 0.2@102: PARTIALLY_FILLED 0.2/0.5
            trade 2 0.2@102 buy
            B.s triggered: NEW 0/1
            B.s taker 0.3@102: PARTIALLY_FILLED 0.3/1
            A.a1 maker 0.3@102: FILLED 0.5/0.5
            trade 3 0.3@102 buy
            B.s taker 0.3@103: PARTIALLY_FILLED 0.6/1
            A.a2 maker 0.3@103: FILLED 0.3/0.3
            trade 4 0.3@103 buy
        book
            103x0.4 |
        B balance
            BNB 10+0, BTC 10.6+0, USDT 897.3+41.2
        ",
    );
}

#[test]
fn one_stop_can_fire_the_next() {
    check_after_100(
        "
        B sell 1 stop 99 as s1
            B.s1 new: NEW 0/1
        B sell 1 stop 98 as s2
            B.s2 new: NEW 0/1
        C buy 1 @ 99 as c1
            C.c1 new: NEW 0/1
        C buy 1 @ 98 as c2
            C.c2 new: NEW 0/1
        C buy 1 @ 97 as c3
            C.c3 new: NEW 0/1
        A sell 1 @ 99 as a
            A.a new: NEW 0/1
            A.a taker 1@99: FILLED 1/1
            C.c1 maker 1@99: FILLED 1/1
            trade 2 1@99 sell
            B.s1 triggered: NEW 0/1
            B.s1 taker 1@98: FILLED 1/1
            C.c2 maker 1@98: FILLED 1/1
            trade 3 1@98 sell
            B.s2 triggered: NEW 0/1
            B.s2 taker 1@97: FILLED 1/1
            C.c3 maker 1@97: FILLED 1/1
            trade 4 1@97 sell
        ",
    );
}

#[test]
fn stops_of_one_trade_fire_in_the_order_they_were_placed() {
    check_after_100(
        "
        B sell 1 stop 98 as s1
            B.s1 new: NEW 0/1
        C sell 1 stop 99 as s2
            C.s2 new: NEW 0/1
        A buy 1 @ 97 as a1
            A.a1 new: NEW 0/1
        C sell 0.5 @ 97 as c
            C.c new: NEW 0/0.5
            C.c taker 0.5@97: FILLED 0.5/0.5
            A.a1 maker 0.5@97: PARTIALLY_FILLED 0.5/1
            trade 2 0.5@97 sell
            B.s1 triggered: NEW 0/1
            B.s1 taker 0.5@97: PARTIALLY_FILLED 0.5/1
            A.a1 maker 0.5@97: FILLED 1/1
            trade 3 0.5@97 sell
            B.s1 INSUFFICIENT_LIQUIDITY: EXPIRED 0.5/1
            C.s2 triggered: NEW 0/1
            C.s2 INSUFFICIENT_LIQUIDITY: EXPIRED 0/1
        ",
    );
}

#[test]
fn a_market_stop_that_became_too_dear_is_refused_when_it_fires() {
    check_after_100(
        "
        B buy 9 stop 110 as s
            B.s new: NEW 0/9
        A sell 0.1 @ 110 as a1
            A.a1 new: NEW 0/0.1
        A sell 9 @ 200 as a2
            A.a2 new: NEW 0/9
        C buy 0.1 @ 110 as c
            C.c new: NEW 0/0.1
            C.c taker 0.1@110: FILLED 0.1/0.1
            A.a1 maker 0.1@110: FILLED 0.1/0.1
            trade 2 0.1@110 buy
            B.s triggered: NEW 0/9
            B.s REJECTED: EXPIRED 0/9
        B balance
            BNB 10+0, BTC 10+0, USDT 1000+0
        ",
    );
}

#[test]
fn a_waiting_stop_can_be_cancelled_and_amended() {
    check_after_100(
        "
        B sell 2 stop 90 limit 89 as s
            B.s new: NEW 0/2
        B amend s 0.5 as s2
            B.s2 amended, was s: NEW 0/0.5
        B balance
            BNB 10+0, BTC 9.5+0.5, USDT 1000+0
        B cancel s2 as s3
            B.s3 canceled, was s2: CANCELED 0/0.5
        B balance
            BNB 10+0, BTC 10+0, USDT 1000+0
        ",
    );
}
