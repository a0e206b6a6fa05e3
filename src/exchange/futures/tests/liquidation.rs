//! Liquidation, deleveraging, settlement.

use super::*;
use crate::exchange::{Change, Origin};

/// Values BTCUSDT at this price.
fn mark(stage: &mut Stage, at: &str) {
    stage.futures.fix_mark(&btc(), Some(price(at))).unwrap();
    stage.futures.set_index(stage.now, &btc(), price(at)).unwrap();
    stage.check_laws();
}

/// A is long 40 at 100 with 1000 USDT, against B.
fn long_of_40() -> Stage {
    let mut stage = Stage::new();
    stage.go(B, "sell 40 @ 100");
    stage.go(A, "buy 40 @ 100");
    stage
}

fn orders(stage: &mut Stage) -> Vec<String> {
    let events = stage.events();
    let words = events.iter().filter_map(|event| match event {
        Event::Order(event) => match &event.change {
            Change::Trade(fill) => Some(format!(
                "{} {} {} {}@{}",
                event.order.account.0,
                event.order.client_id,
                event.order.position.origin,
                fill.qty,
                fill.price
            )),
            _ => None,
        },
        _ => None,
    });
    words.collect()
}

#[test]
fn a_margin_call_comes_once_before_the_liquidation() {
    let mut stage = long_of_40();
    mark(&mut stage, "80");
    assert!(!stage.events().iter().any(|event| matches!(event, Event::MarginCall(_))));
    // 1000 - 40 × 24.6 = 16; maintenance 40 × 75.4 × 0.4 % = 12.064 is below four fifths, 13 would not be.
    mark(&mut stage, "75.37");
    mark(&mut stage, "75.36");
    let events = stage.events();
    let calls: Vec<&MarginCall> = events
        .iter()
        .filter_map(|e| if let Event::MarginCall(call) = e { Some(call) } else { None })
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].account, calls[0].positions[0].1), (A, cash("12.0592")));
}

#[test]
fn r44_a_liquidation_closes_by_the_book_and_pays_the_fund() {
    let mut stage = long_of_40();
    stage.go(A, "buy 1 @ 60");
    stage.go(C, "buy 50 @ 75.3");
    stage.events();
    mark(&mut stage, "75.3");
    assert_eq!(orders(&mut stage), ["0 autoclose-1004 LIQUIDATION 40@75.3", "2 #4 CLIENT 40@75.3"]);
    assert_eq!(stage.position(A), "0@0 -988");
    assert!(stage.futures.open_orders(A, None).unwrap().is_empty());
    // 12 were left, less than 1.25 % of 3012.
    assert_eq!(stage.wallet(A), Cash::ZERO);
    assert_eq!(stage.futures.settlement.accounts[&AccountId::INSURANCE].wallet, cash("12"));
}

#[test]
fn r44_without_a_market_the_other_side_is_deleveraged() {
    let mut stage = long_of_40();
    stage.go(C, "buy 10 @ 75.2");
    stage.events();
    mark(&mut stage, "75.3");
    // Nothing is left of A at 75; the book takes 10 at 75.2, B the rest at 75 and what that left.
    let told = orders(&mut stage);
    assert_eq!(told[0], "0 autoclose-1003 LIQUIDATION 10@75.2");
    assert!(told.iter().any(|line| line.starts_with("1 adl_autoclose ADL 30@")), "{told:?}");
    assert_eq!(stage.position(A).split('@').next(), Some("0"));
    assert_eq!(stage.position(B).split('@').next(), Some("-10"));
    assert!(stage.wallet(A) >= Cash::ZERO);
    stage.check_laws();
}

#[test]
fn r44_a_gap_leaves_a_debt_that_the_fund_pays() {
    let mut stage = long_of_40();
    stage.fund(Cash::whole(5_000));
    let fund = |stage: &Stage| stage.futures.settlement.accounts[&AccountId::INSURANCE].wallet;
    stage.go(C, "buy 40 @ 70");
    stage.futures.fix_mark(&btc(), Some(price("70"))).unwrap();
    stage.futures.set_index(stage.now, &btc(), price("70")).unwrap();
    assert_eq!((stage.wallet(A), stage.position(A)), (Cash::ZERO, "0@0 -1200".to_owned()));
    assert_eq!(fund(&stage), Cash::whole(4_800));
}

#[test]
fn a_position_can_be_deleveraged_on_purpose() {
    let mut stage = long_of_40();
    mark(&mut stage, "99.5");
    stage.futures.force_deleveraging(A, &btc(), PositionSide::Both, qty("15")).unwrap();
    assert_eq!((stage.position(A), stage.position(B)), ("25@100 -7.5".into(), "-25@100 7.5".into()));
    stage.check_laws();
}

#[test]
fn r41_a_contract_that_ends_closes_every_position_at_one_price() {
    let mut stage = long_of_40();
    stage.go(C, "sell 5 @ 101");
    stage.go(A, "buy 5 @ 101");
    stage.events();
    stage.futures.settle_contract(stage.now, &btc(), price("102.509")).unwrap();
    let name = format!("settlement_autoclose-{}", stage.now.millis());
    let expected = [
        format!("0 {name} {} 45@102.5", Origin::Settlement),
        format!("1 {name} {} 40@102.5", Origin::Settlement),
        format!("2 {name} {} 5@102.5", Origin::Settlement),
    ];
    assert_eq!(orders(&mut stage), expected);
    let wallets = [A, B, C].map(|id| stage.wallet(id));
    assert_eq!(wallets, ["1107.5", "900", "992.5"].map(cash));
    assert_eq!(stage.futures.contract(&btc()).unwrap().status, ContractStatus::Close);
    assert!(stage.futures.settlement.accounts[&AccountId::HOUSE].wallet.is_zero());
    stage.check_laws();
}

#[test]
fn r44_a_part_of_a_position_can_be_liquidated() {
    let mut stage = long_of_40();
    stage.go(A, "buy 1 @ 60");
    stage.go(C, "buy 10 @ 99");
    stage.events();
    stage.futures.liquidate_part(A, &btc(), PositionSide::Both, Some(qty("15"))).unwrap();
    // The book takes 10, of whom holds the other side 5 are deleveraged; 25 are left.
    let told = orders(&mut stage);
    assert!(told[0].starts_with("0 autoclose-") && told[0].ends_with("LIQUIDATION 10@99"), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("1 adl_autoclose ADL 5@")), "{told:?}");
    assert_eq!(stage.position(A).split('@').next(), Some("25"));
    assert!(stage.futures.open_orders(A, None).unwrap().is_empty());
    stage.check_laws();
    assert!(stage.futures.liquidate_part(C, &btc(), PositionSide::Both, Some(qty("0.0001"))).is_err());
}
