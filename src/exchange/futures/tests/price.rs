//! Mark price, premium, funding.

use super::*;
use crate::exchange::Page;
use crate::num::Rate as Share;

fn marks(stage: &Stage) -> Marks {
    stage.futures.marks(&btc()).unwrap()
}

#[test]
fn the_mark_price_is_the_median_of_index_middle_and_last() {
    let mut stage = Stage::new();
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert_eq!(marks(&stage).mark, price("100"));
    stage.go(A, "sell 1 @ 101");
    stage.go(B, "buy 1 @ 101");
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert_eq!(marks(&stage).mark, price("100.5"), "of two, the middle");
    stage.go(A, "sell 1 @ 100.4");
    stage.go(B, "buy 1 @ 100.2");
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert_eq!(marks(&stage).mark, price("100.3"));
    stage.futures.fix_mark(&btc(), Some(price("98"))).unwrap();
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert_eq!(marks(&stage).mark, price("98"));
}

#[test]
fn the_rate_is_the_interest_while_the_premium_is_small_and_follows_it_then() {
    let mut stage = Stage::new();
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert_eq!(marks(&stage).rate.to_string(), "0.0001");
    stage.go(A, "sell 1 @ 101.1");
    stage.go(B, "buy 1 @ 100.9");
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    // A premium of 1 %: 0.01 + (0.0001 - 0.01 → -0.0005).
    assert_eq!(marks(&stage).rate.to_string(), "0.0095");
}

#[test]
fn r45_funding_is_paid_at_each_multiple_of_the_interval_and_its_remainder_is_the_funds() {
    let mut stage = Stage::new();
    let now = Time::from_millis(10_500);
    stage.futures.set_funding_interval(now, &btc(), Span::from_secs(10)).unwrap();
    stage.go(A, "sell 0.333 @ 100");
    stage.go(C, "sell 0.335 @ 100");
    stage.go(B, "buy 0.668 @ 100");
    stage.futures.fix_mark(&btc(), Some(price("100.01"))).unwrap();
    stage.futures.fix_funding_rate(&btc(), Some("0.00012345".parse::<Share>().unwrap())).unwrap();
    stage.futures.set_index(now, &btc(), price("100")).unwrap();
    assert_eq!(stage.futures.deadline(), Some(Time::from_millis(20_000)));
    stage.events();
    stage.futures.timer(Time::from_millis(20_001));
    // 66.80668 × 0.00012345, and its two parts, each cut off at eight decimals.
    let paid = [A, B, C].map(|id| stage.wallet(id) - Cash::whole(1_000));
    assert_eq!(paid, ["0.00411129", "-0.00824728", "0.00413598"].map(cash));
    let fund = stage.futures.settlement.accounts[&AccountId::INSURANCE].wallet;
    assert_eq!(fund, cash("0.00000001"));
    stage.check_laws();
    let told: Vec<AccountChange> = stage
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Account(change) = event { Some(change) } else { None })
        .collect();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|change| change.reason == Reason::FundingFee && change.positions.is_empty()));
    assert_eq!(told[1].wallet.as_ref().unwrap().change, cash("-0.00824728"));
    assert_eq!((told[1].symbol.clone(), told[1].time), (Some(btc()), Time::from_millis(20_000)));
    stage.futures.timer(Time::from_millis(45_000));
    let history = stage.futures.funding(&btc(), &Page::default()).unwrap();
    let times: Vec<i64> = history.iter().map(|funding| funding.time.millis()).collect();
    assert_eq!(times, [20_000, 30_000, 40_000]);
    assert_eq!(stage.wallet(B), Cash::whole(1_000) - cash("0.02474184"));
}
