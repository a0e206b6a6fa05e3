//! A replayed symbol: clients trade beside a recorded market.

use super::dsl::{Stage, account, stage};
use crate::exchange::{BookSource, Event};
use crate::ids::Asset;

fn replayed() -> Stage {
    let mut stage = stage(|config| config.listings[0].source = BookSource::Replayed);
    stage.check(
        "
        snapshot 5: 99x1 98x2 | 101x1 102x2
        book
            99x1 98x2 | 101x1 102x2
        ",
    );
    stage
}

#[test]
fn a_taker_fills_against_the_shown_book_and_leaves_it_as_it_is() {
    let mut stage = replayed();
    stage.check(
        "
        A buy 2 market as a1
            A.a1 new: NEW 0/2
            A.a1 taker 1@101: PARTIALLY_FILLED 1/2
            A.a1 taker 1@102: FILLED 2/2
        B sell 5 @ 98 ioc as b1
            B.b1 new: NEW 0/5
            B.b1 taker 1@99: PARTIALLY_FILLED 1/5
            B.b1 taker 2@98: PARTIALLY_FILLED 3/5
            B.b1 UNFILLED_IOC_QUANTITY_EXPIRED: EXPIRED 3/5
        C buy $150 market as c1
            C.c1 new: NEW 0/0
            C.c1 taker 1@101: PARTIALLY_FILLED 1/1
            C.c1 taker 0.48@102: FILLED 1.48/1.48
        C buy 4 @ 102 fok as c2
            C.c2 new: NEW 0/4
            C.c2 UNFILLED_FOK_ORDER_EXPIRED: EXPIRED 0/4
        C buy 1 @ 101 post
            refused: order would immediately match and take
        book
            99x1 98x2 | 101x1 102x2
        A balance
            BNB 10+0, BTC 12+0, USDT 797+0
        ",
    );
    let sum = |asset: &str| {
        let accounts = [account("A"), account("B"), account("C"), crate::exchange::AccountId::HOUSE];
        let asset = Asset::new(asset);
        let total = accounts.map(|id| stage.exchange.balance(id, &asset).unwrap());
        total.iter().map(|b| b.free + b.locked).sum::<crate::num::Cash>().to_string()
    };
    assert_eq!([sum("USDT"), sum("BTC")], ["3000", "30"], "the house stands on the other side");
}

#[test]
fn a_resting_order_is_unseen_and_fills_when_a_trade_reaches_it() {
    replayed().check(
        "
        A buy 1 @ 100 as a1
            A.a1 new: NEW 0/1
        B buy 1 @ 100 as b1
            B.b1 new: NEW 0/1
        B buy 1 @ 99.5 as b2
            B.b2 new: NEW 0/1
        book
            99x1 98x2 | 101x1 102x2
        trade 70 5@100.5 sell
            trade 70 5@100.5 sell
        trade 71 3@100 buy
            trade 71 3@100 buy
        trade 72 1.5@100 sell
            trade 72 1.5@100 sell
            A.a1 maker 1@100: FILLED 1/1
            B.b1 maker 0.5@100: PARTIALLY_FILLED 0.5/1
        trade 73 0.001@99.4 sell
            trade 73 0.001@99.4 sell
            B.b1 maker 0.5@100: FILLED 1/1
            B.b2 maker 1@99.5: FILLED 1/1
        ",
    );
}

#[test]
fn what_the_market_went_through_takes_nothing_of_the_trade() {
    replayed().check(
        "
        A buy 0.5 @ 100.5 as a1
            A.a1 new: NEW 0/0.5
        B buy 1 @ 100 as b1
            B.b1 new: NEW 0/1
        trade 70 0.6@100 sell
            trade 70 0.6@100 sell
            A.a1 maker 0.5@100.5: FILLED 0.5/0.5
            B.b1 maker 0.6@100: PARTIALLY_FILLED 0.6/1
        ",
    );
}

#[test]
fn a_sell_resting_in_the_way_of_rising_trades_fills_too() {
    replayed().check(
        "
        A sell 1 @ 100 as a1
            A.a1 new: NEW 0/1
        trade 70 0.2@100 buy
            trade 70 0.2@100 buy
            A.a1 maker 0.2@100: PARTIALLY_FILLED 0.2/1
        A cancel a1 as a2
            A.a2 canceled, was a1: CANCELED 0.2/1
        trade 71 5@101 buy
            trade 71 5@101 buy
        ",
    );
}

#[test]
fn recorded_trades_fire_stops_but_not_while_the_symbol_is_halted() {
    replayed().check(
        "
        trade 70 1@100 buy
            trade 70 1@100 buy
        A sell 1 stop 99.5 as s
            A.s new: NEW 0/1
        halt
            Halted
        trade 71 1@99 sell
            trade 71 1@99 sell
        open
            Trading
        trade 72 1@99 sell
            trade 72 1@99 sell
            A.s triggered: NEW 0/1
            A.s taker 1@99: FILLED 1/1
        ",
    );
}

#[test]
fn differences_join_or_are_refused() {
    replayed().check(
        "
        diff 3-5: 99x9 |
        diff 4-7: 99x0 98.5x3 | 100.5x1
        book
            98.5x3 98x2 | 100.5x1 101x1 102x2
        diff 9-9: 97x1 |
            refused: the recording of btcusdt has a gap: update 7 is followed by 9; start it anew by a snapshot
        diff 8-8: 97.001x1 |
            refused: a recorded price or quantity of btcusdt is off its grid; list it with the grid of its time
        snapshot 20: 97x1 | 98x1
        book
            97x1 | 98x1
        ",
    );
}

#[test]
fn a_newer_best_price_counts_for_takers_until_the_book_catches_up() {
    replayed().check(
        "
        best 7: 98x1.5 | 102x1
        A buy 2 @ 102 ioc as a1
            A.a1 new: NEW 0/2
            A.a1 taker 1@102: PARTIALLY_FILLED 1/2
            A.a1 UNFILLED_IOC_QUANTITY_EXPIRED: EXPIRED 1/2
        A sell 2 @ 98 ioc as a2
            A.a2 new: NEW 0/2
            A.a2 taker 1.5@98: PARTIALLY_FILLED 1.5/2
            A.a2 UNFILLED_IOC_QUANTITY_EXPIRED: EXPIRED 1.5/2
        book
            99x1 98x2 | 101x1 102x2
        diff 6-8: 99x0 | 101x0 102x3
        A buy 3 @ 102 ioc as a3
            A.a3 new: NEW 0/3
            A.a3 taker 3@102: FILLED 3/3
        best 8: 98x2 | 102x3
        A sell 2 @ 98 ioc as a4
            A.a4 new: NEW 0/2
            A.a4 taker 2@98: FILLED 2/2
        ",
    );
}

#[test]
fn recorded_ids_are_passed_on_and_each_best_price_is_told_once() {
    let mut stage = stage(|config| config.listings[0].source = BookSource::Replayed);
    let mut told = |script: &str| {
        stage.run(script);
        stage
            .raw
            .drain(..)
            .filter_map(|event| match event {
                Event::Book(change) => {
                    Some(format!("book {}-{}", change.first_update_id, change.last_update_id))
                }
                Event::Best(best) => Some(format!("best {}", best.update_id)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(told("snapshot 5: 99x1 | 101x1"), ["book 5-5", "best 5"]);
    assert_eq!(told("best 6: 99x2 | 101x1"), ["best 6"]);
    assert_eq!(told("diff 6-7: 99x2 98x1 |"), ["book 6-7"], "nothing new for the best prices");
    assert_eq!(told("diff 8-8: 99x0 |"), ["book 8-8", "best 8"]);
    assert_eq!(told("best 10: 98x1 | 100x1"), ["best 10"]);
    assert_eq!(told("diff 9-9: 97x1 |"), ["book 9-9"], "the best price told is newer");
}

#[test]
fn a_matching_symbol_takes_no_recording() {
    stage(|_| {}).check(
        "
        snapshot 5: 99x1 | 101x1
            refused: btcusdt is not listed as a replayed symbol
        trade 7 1@100 buy
            refused: btcusdt is not listed as a replayed symbol
        ",
    );
}
