//! Conditional orders.

use super::*;
use crate::exchange::{Expiry, OrderRef};
use crate::market::{OrderType, WorkingType};

/// A conditional order in words: `sell 1 stop 95`, `buy 1 profit 95 limit 96 mark`, `sell close stop 90`,
/// `sell 1 trail 1 from 110`.
fn conditional(stage: &mut Stage, account: AccountId, words: &str) -> Result<Conditional, Reject> {
    let NewOrder { mut request, mut position } = stage.order(&words.replace("close", "0"));
    let words: Vec<&str> = words.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|w| *w == word).map(|at| words[at + 1]);
    let limit = after("limit").map(|at| (price(at), Tif::Gtc));
    let stop = |word| after(word).map(price);
    let stop_type = if limit.is_some() { OrderType::StopLossLimit } else { OrderType::StopLoss };
    let profit_type = if limit.is_some() { OrderType::TakeProfitLimit } else { OrderType::TakeProfit };
    request.terms = match (stop("stop"), stop("profit"), after("trail")) {
        (Some(stop), _, _) => Terms::Stop { order_type: stop_type, stop, limit },
        (_, Some(stop), _) => Terms::Stop { order_type: profit_type, stop, limit },
        (_, _, rate) => Terms::Trailing {
            callback_rate: rate.unwrap().parse().unwrap(),
            activation_price: after("from").map(price),
        },
    };
    position.close_position = words.contains(&"close");
    let mark = words.contains(&"mark");
    let working_type = if mark { WorkingType::Mark } else { WorkingType::Last };
    let price_protect = words.contains(&"protect");
    let asked = NewConditional { request, position, working_type, price_protect };
    let now = stage.now;
    stage.futures.place_conditional(now, account, &asked)
}

/// A trade of 1 at this price, between B and C.
fn trade(stage: &mut Stage, at: &str) {
    stage.go(C, &format!("sell 1 @ {at}"));
    stage.go(B, &format!("buy 1 @ {at}"));
}

fn statuses(stage: &mut Stage) -> Vec<String> {
    let events = stage.events();
    let words = events.iter().filter_map(|event| match event {
        Event::Conditional(one) => Some(one.status.to_string()),
        Event::Order(event) if event.order.account == A => Some(format!("order {}", event.order.status)),
        _ => None,
    });
    words.collect()
}

#[test]
fn a_stop_becomes_an_order_with_a_number_of_its_own() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    let one = conditional(&mut stage, A, "sell 1 stop 95 as s").unwrap();
    assert!(stage.futures.open_orders(A, None).unwrap().is_empty());
    stage.go(B, "buy 1 @ 94");
    trade(&mut stage, "95.01");
    assert_eq!(stage.futures.open_conditionals(A, None).unwrap().len(), 1);
    stage.events();
    trade(&mut stage, "95");
    let told = ["TRIGGERING", "order NEW", "order FILLED", "TRIGGERED", "FINISHED"];
    assert_eq!(statuses(&mut stage), told);
    let one = stage.futures.conditional(A, &OrderRef::Id(one.id)).unwrap();
    let order = stage.futures.order(A, &btc(), &OrderRef::Id(one.order.unwrap())).unwrap();
    assert_eq!((order.client_id.as_str(), order.position.conditional), ("s", Some(one.id)));
    assert_eq!(stage.position(A), "-1@94 0");
}

#[test]
fn each_type_waits_on_its_side_and_the_wrong_side_is_refused() {
    for (right, wrong, price) in [
        ("sell 1 stop 95", "sell 1 stop 100", "95"),
        ("buy 1 stop 105", "buy 1 stop 100", "105"),
        ("sell 1 profit 105", "sell 1 profit 100", "105"),
        ("buy 1 profit 95", "buy 1 profit 100", "95"),
    ] {
        let mut stage = Stage::new();
        trade(&mut stage, "100");
        let refused = conditional(&mut stage, A, wrong);
        assert_eq!(refused.err(), Some(Reject::Market(crate::exchange::Reject::WouldTrigger)), "{wrong}");
        conditional(&mut stage, A, right).unwrap();
        trade(&mut stage, price);
        assert!(stage.futures.open_conditionals(A, None).unwrap().is_empty(), "{right}");
    }
}

#[test]
fn the_mark_price_triggers_what_watches_it_and_protection_waits() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    stage.futures.fix_mark(&btc(), Some(price("99"))).unwrap();
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    conditional(&mut stage, A, "sell 1 stop 95 mark limit 90").unwrap();
    conditional(&mut stage, A, "sell 1 stop 95 mark limit 90 protect").unwrap();
    trade(&mut stage, "94.9");
    assert_eq!(stage.futures.open_conditionals(A, None).unwrap().len(), 2, "the last price is not watched");
    stage.futures.fix_mark(&btc(), Some(price("88"))).unwrap();
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert_eq!(stage.futures.open_conditionals(A, None).unwrap().len(), 1, "6.9 apart is too wild for one");
    stage.futures.fix_mark(&btc(), Some(price("94"))).unwrap();
    stage.futures.set_index(stage.now, &btc(), price("100")).unwrap();
    assert!(stage.futures.open_conditionals(A, None).unwrap().is_empty());
}

#[test]
fn a_trailing_one_wakes_follows_and_turns() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    let low = Reject::ActivationPrice(price("100"));
    assert_eq!(conditional(&mut stage, A, "sell 1 trail 1 from 100").err(), Some(low));
    let rate = Reject::CallbackRate("0.05".parse().unwrap());
    assert_eq!(conditional(&mut stage, A, "sell 1 trail 0.05").err(), Some(rate));
    let one = conditional(&mut stage, A, "sell 1 trail 1 from 102").unwrap();
    assert!(!one.active);
    trade(&mut stage, "98");
    stage.events();
    trade(&mut stage, "102");
    assert_eq!(statuses(&mut stage), ["NEW"], "told a second time when it wakes");
    trade(&mut stage, "104");
    trade(&mut stage, "102.97");
    assert_eq!(stage.futures.open_conditionals(A, None).unwrap().len(), 1);
    stage.go(B, "buy 1 @ 99");
    trade(&mut stage, "102.96");
    assert_eq!(stage.position(A), "-1@99 0");
}

#[test]
fn margin_is_looked_at_when_it_triggers() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    let one = conditional(&mut stage, A, "sell 5000 stop 95 limit 94").unwrap();
    trade(&mut stage, "95");
    let one = stage.futures.conditional(A, &OrderRef::Id(one.id)).unwrap();
    assert_eq!((one.status, one.order), (ConditionalStatus::Rejected, None));
    assert_eq!(one.reason, Some(Reject::InsufficientMargin));
}

#[test]
fn close_position_closes_whatever_there_is() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    let empty = conditional(&mut stage, A, "sell close stop 95").unwrap();
    stage.go(B, "buy 10 @ 90");
    trade(&mut stage, "95");
    let empty = stage.futures.conditional(A, &OrderRef::Id(empty.id)).unwrap();
    assert_eq!((empty.status, empty.reason), (ConditionalStatus::Rejected, Some(Reject::ReduceOnly)));
    stage.go(C, "sell 2 @ 100");
    stage.go(A, "buy 2 @ 100");
    conditional(&mut stage, A, "sell close stop 92").unwrap();
    stage.go(C, "sell 1.5 @ 92");
    stage.go(A, "buy 1.5 @ 92");
    assert_eq!(stage.position(A), "0@0 -23");
    let both = conditional(&mut stage, A, "sell close stop 80 limit 79");
    assert_eq!(both.err(), Some(Reject::ClosePosition));
}

#[test]
fn two_hundred_may_wait_and_they_can_be_cancelled_and_expire() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    for _ in 0..200 {
        conditional(&mut stage, A, "sell 1 stop 95").unwrap();
    }
    let one_more = conditional(&mut stage, A, "sell 1 stop 95 eth");
    assert_eq!(one_more.err(), Some(Reject::TooManyConditionals(200)));
    assert_eq!(stage.futures.cancel_all_conditionals(stage.now, A, Some(&btc())), Ok(200));
    conditional(&mut stage, A, "sell 1 stop 95 as twin").unwrap();
    let twin = conditional(&mut stage, A, "sell 1 stop 95 as twin");
    assert_eq!(twin.err(), Some(Reject::Market(crate::exchange::Reject::Duplicate)));
    let name = OrderRef::ClientId(ClientOrderId::foreign("twin"));
    stage.futures.cancel_conditional(stage.now, A, &name).unwrap();
    let gone = stage.futures.cancel_conditional(stage.now, A, &name);
    assert_eq!(gone.err(), Some(Reject::Market(crate::exchange::Reject::UnknownOrder)));
    let dated = conditional(&mut stage, A, "sell 1 stop 95 till 700000").unwrap();
    assert_eq!(stage.futures.deadline(), Some(Time::from_millis(700_000)));
    stage.futures.timer(Time::from_millis(700_000));
    let dated = stage.futures.conditional(A, &OrderRef::Id(dated.id)).unwrap();
    assert_eq!(dated.status, ConditionalStatus::Expired);
}

#[test]
fn a_contract_that_ends_ends_what_waits() {
    let mut stage = Stage::new();
    trade(&mut stage, "100");
    let one = conditional(&mut stage, A, "sell 1 stop 95").unwrap();
    let order = stage.go(A, "buy 1 @ 90").order.id;
    stage.futures.settle_contract(stage.now, &btc(), price("100")).unwrap();
    let one = stage.futures.conditional(A, &OrderRef::Id(one.id)).unwrap();
    assert_eq!(one.status, ConditionalStatus::Expired);
    let order = stage.futures.order(A, &btc(), &OrderRef::Id(order)).unwrap();
    assert_eq!(order.expiry, Some(Expiry::Settlement));
}
