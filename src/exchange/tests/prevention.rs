//! Self-trade prevention: the taker's mode decides. Cases as in the venue's FAQ where it has them.

use super::dsl::{check, stage};
use crate::market::Stp;

#[test]
fn expire_maker_clears_the_way() {
    check(
        "
        A buy 1 @ 20 as m1
            A.m1 new: NEW 0/1
        A buy 1 @ 19 as m2
            A.m2 new: NEW 0/1
        B buy 1 @ 18 as b
            B.b new: NEW 0/1
        A sell 3 market stp=EXPIRE_MAKER as t
            A.t new: NEW 0/3
            A.m1 prevented 1 of 1 at 20: EXPIRED_IN_MATCH 0/1-1
            A.m2 prevented 1 of 1 at 19: EXPIRED_IN_MATCH 0/1-1
            A.t taker 1@18: PARTIALLY_FILLED 1/3
            B.b maker 1@18: FILLED 1/1
            trade 1 1@18 sell
            A.t INSUFFICIENT_LIQUIDITY: EXPIRED 1/3
        A balance
            BNB 10+0, BTC 9+0, USDT 1018+0
        ",
    );
}

#[test]
fn expire_taker_ends_the_incoming_order() {
    check(
        "
        B buy 1 @ 20 as b
            B.b new: NEW 0/1
        A buy 1 @ 19 as m
            A.m new: NEW 0/1
        A sell 3 @ 18 stp=EXPIRE_TAKER as t
            A.t new: NEW 0/3
            A.t taker 1@20: PARTIALLY_FILLED 1/3
            B.b maker 1@20: FILLED 1/1
            trade 1 1@20 sell
            A.t prevented 2 of 1 at 19: EXPIRED_IN_MATCH 1/3-2
        A balance
            BNB 10+0, BTC 9+0, USDT 1001+19
        ",
    );
}

#[test]
fn expire_both_ends_both() {
    check(
        "
        A buy 1 @ 20 as m
            A.m new: NEW 0/1
        A sell 3 @ 20 stp=EXPIRE_BOTH as t
            A.t new: NEW 0/3
            A.m prevented 1 of 1 at 20: EXPIRED_IN_MATCH 0/1-1
            A.t prevented 3 of 1 at 20: EXPIRED_IN_MATCH 0/3-3
        A balance
            BNB 10+0, BTC 10+0, USDT 1000+0
        ",
    );
}

#[test]
fn decrement_takes_the_overlap_from_both() {
    check(
        "
        A buy 6 @ 20 as m1
            A.m1 new: NEW 0/6
        A buy 2 @ 20 as m2
            A.m2 new: NEW 0/2
        A sell 5 @ 20 stp=DECREMENT as t1
            A.t1 new: NEW 0/5
            A.m1 prevented 5 of 5 at 20: NEW 0/6-5
            A.t1 prevented 5 of 5 at 20: EXPIRED_IN_MATCH 0/5-5
        A balance
            BNB 10+0, BTC 10+0, USDT 940+60
        A sell 1 @ 20 stp=DECREMENT as t2
            A.t2 new: NEW 0/1
            A.m1 prevented 1 of 1 at 20: EXPIRED_IN_MATCH 0/6-6
            A.t2 prevented 1 of 1 at 20: EXPIRED_IN_MATCH 0/1-1
        A sell 3 @ 20 stp=DECREMENT as t3
            A.t3 new: NEW 0/3
            A.m2 prevented 2 of 2 at 20: EXPIRED_IN_MATCH 0/2-2
            A.t3 prevented 2 of 2 at 20: NEW 0/3-2
        book
            | 20x1
        ",
    );
}

#[test]
fn the_makers_mode_does_not_matter_and_none_lets_both_trade() {
    check(
        "
        A buy 1 @ 20 stp=EXPIRE_BOTH as m
            A.m new: NEW 0/1
        A sell 1 @ 20 stp=NONE as t
            A.t new: NEW 0/1
            A.t taker 1@20: FILLED 1/1
            A.m maker 1@20: FILLED 1/1
            trade 1 1@20 sell
        ",
    );
}

#[test]
fn an_order_that_names_no_mode_takes_the_symbols() {
    let mut stage = stage(|config| config.listings[0].default_stp = Stp::ExpireMaker);
    stage.check(
        "
        A buy 1 @ 20 as m
            A.m new: NEW 0/1
        A sell 1 @ 20 as t
            A.t new: NEW 0/1
            A.m prevented 1 of 1 at 20: EXPIRED_IN_MATCH 0/1-1
        ",
    );
    let mut limited = super::dsl::stage(|config| config.listings[0].allowed_stp = vec![Stp::None]);
    limited.check(
        "
        A buy 1 @ 20 stp=DECREMENT
            refused: self-trade prevention DECREMENT is not supported for this symbol
        ",
    );
}

#[test]
fn fill_or_kill_does_not_count_own_orders() {
    check(
        "
        A buy 1 @ 20 as m
            A.m new: NEW 0/1
        B buy 1 @ 20 as b
            B.b new: NEW 0/1
        A sell 2 @ 20 fok stp=EXPIRE_MAKER as t
            A.t new: NEW 0/2
            A.t UNFILLED_FOK_ORDER_EXPIRED: EXPIRED 0/2
        ",
    );
}
