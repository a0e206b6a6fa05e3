//! Client ids, cancels, replacements, amends, and what is found afterwards.

use super::dsl::{account, check, stage};
use crate::exchange::{OrderRef, Page, Reject};
use crate::ids::ClientOrderId;

#[test]
fn a_client_id_is_unique_among_open_orders_only() {
    check(
        "
        A buy 1 @ 50 as x
            A.x new: NEW 0/1
        A buy 1 @ 51 as x
            refused: duplicate order sent
        B buy 1 @ 49 as x
            B.x new: NEW 0/1
        A cancel x as y
            A.y canceled, was x: CANCELED 0/1
        A buy 1 @ 51 as x
            A.x new: NEW 0/1
        C sell 1 @ 51 as c
            C.c new: NEW 0/1
            C.c taker 1@51: FILLED 1/1
            A.x maker 1@51: FILLED 1/1
            trade 1 1@51 sell
        A buy 1 @ 51 as x
            A.x new: NEW 0/1
        ",
    );
}

#[test]
fn a_cancel_finds_open_orders_of_its_own_account_only() {
    check(
        "
        A buy 1 @ 50 as x
            A.x new: NEW 0/1
        B cancel x
            refused: unknown order
        B cancel №1
            refused: unknown order
        A cancel №1/z
            refused: the client id does not belong to the order id
        A cancel x only partial
            refused: order was not canceled due to cancel restrictions
        A cancel №1/x only new as y
            A.y canceled, was x: CANCELED 0/1
        A cancel y
            refused: unknown order
        A cancel №1/x
            refused: unknown order
        ",
    );
}

#[test]
fn a_replacement_stops_or_goes_on_when_the_cancel_fails() {
    check(
        "
        A buy 1 @ 50 as x
            A.x new: NEW 0/1
        A replace x with buy 1 @ 51 as x
            A.#2 canceled, was x: CANCELED 0/1
            A.x new: NEW 0/1
        A replace z with buy 1 @ 52 as y
            refused: unknown order
        A replace! z with buy 1 @ 52 as y
            A.y new: NEW 0/1
            refused: unknown order
        A replace x with buy 1 @ 52.001 as w
            refused: filter failure: PRICE_FILTER
        A replace x with buy 100 @ 52 as w
            A.#10 canceled, was x: CANCELED 0/1
            refused: account has insufficient balance
        book
            52x1 |
        ",
    );
}

#[test]
fn an_amend_reduces_in_place() {
    check(
        "
        A buy 3 @ 50 as x
            A.x new: NEW 0/3
        B buy 1 @ 50 as y
            B.y new: NEW 0/1
        A amend x 4
            refused: an amend may not increase the quantity
        A amend x 3
            refused: the amend would change nothing
        A amend x 0.0005
            refused: filter failure: LOT_SIZE
        A amend x 0.019
            refused: filter failure: NOTIONAL
        A amend x 2 as x2
            A.x2 amended, was x: NEW 0/2
        A balance
            BNB 10+0, BTC 10+0, USDT 900+100
        C sell 1 @ 50 as c
            C.c new: NEW 0/1
            C.c taker 1@50: FILLED 1/1
            A.x2 maker 1@50: PARTIALLY_FILLED 1/2
            trade 1 1@50 sell
        A amend x2 1 as x3
            A.x3 expired: EXPIRED 1/1
        A balance
            BNB 10+0, BTC 11+0, USDT 950+0
        ",
    );
}

#[test]
fn an_order_is_amended_ten_times_at_most() {
    let mut stage = stage(|_| {});
    stage.check("A buy 3 @ 50 as x\n  A.x new: NEW 0/3");
    for qty in ["2.9", "2.8", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2"] {
        stage.check(&format!("A amend x {qty} as x\n  A.x amended, was x: NEW 0/{qty}"));
    }
    stage.check("A amend x 1 as x\n  refused: filter failure: MAX_NUM_ORDER_AMENDS");
}

#[test]
fn queries_find_orders_by_what_they_are_called_now() {
    let mut stage = stage(|_| {});
    stage.check(
        "
        A buy 1 @ 50 as x
            A.x new: NEW 0/1
        A cancel x as y
            A.y canceled, was x: CANCELED 0/1
        A buy 1 @ 51 as x
            A.x new: NEW 0/1
        B sell 0.4 @ 51 as b
            B.b new: NEW 0/0.4
            B.b taker 0.4@51: FILLED 0.4/0.4
            A.x maker 0.4@51: PARTIALLY_FILLED 0.4/1
            trade 1 0.4@51 sell
        B sell 0.6 @ 51 as b
            B.b new: NEW 0/0.6
            B.b taker 0.6@51: FILLED 0.6/0.6
            A.x maker 0.6@51: FILLED 1/1
            trade 2 0.6@51 sell
        ",
    );
    let (exchange, symbol, a) = (&stage.exchange, &stage.symbol, account("A"));
    let named = |name: &str| OrderRef::ClientId(ClientOrderId::foreign(name));
    let find = |order: &OrderRef| exchange.order(a, symbol, order).map(|order| order.id);
    assert_eq!(find(&named("x")), Ok(2));
    assert_eq!(find(&named("y")), Ok(1));
    assert_eq!(find(&named("b")), Err(Reject::UnknownOrder), "another account's");
    assert_eq!(find(&OrderRef::Both(1, ClientOrderId::foreign("x"))), Err(Reject::IdMismatch));
    let b = account("B");
    assert_eq!(exchange.order(b, symbol, &named("b")).unwrap().id, 4, "the youngest of that name");
    let ids = |page: Page| -> Vec<u64> {
        exchange.all_orders(b, symbol, &page).unwrap().iter().map(|order| order.id).collect()
    };
    assert_eq!(ids(Page::default()), [3, 4]);
    assert_eq!(ids(Page { limit: 1, ..Page::default() }), [4], "the last ones");
    assert_eq!(ids(Page { limit: 1, from_id: Some(1), ..Page::default() }), [3], "the first ones");
    let at = exchange.order(b, symbol, &OrderRef::Id(4)).unwrap().created;
    assert_eq!(ids(Page { start: Some(at), ..Page::default() }), [4]);
    assert_eq!(ids(Page { end: Some(at), limit: 9, ..Page::default() }), [3, 4]);
    let trades = |order, page: Page| -> Vec<u64> {
        exchange.fills(b, symbol, order, &page).unwrap().iter().map(|fill| fill.trade_id).collect()
    };
    assert_eq!(trades(None, Page::default()), [1, 2]);
    assert_eq!(trades(None, Page { from_id: Some(2), ..Page::default() }), [2]);
    assert_eq!(trades(Some(3), Page::default()), [1]);
    assert!(exchange.open_orders(a, None).unwrap().is_empty());
}
