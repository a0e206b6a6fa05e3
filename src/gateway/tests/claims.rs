//! What sessions hold together, against what the account has.

use super::*;
use crate::journal::Owner;

/// BNB, bought like any other asset.
fn bnb() -> Instrument {
    let (base, holding) = (Asset::new("BNB"), Asset::new("BNB"));
    Instrument { symbol: Symbol::new("bnbusdt"), base, holding, ..doge() }
}

fn cash(text: &str) -> Cash {
    text.parse().unwrap()
}

/// Session 1 has bought ten BNB; session 2 is the one that is logged in.
fn ten_bnb(config: GatewayConfig) -> Bench {
    let mut bench = Bench::of(config, vec![doge_is_read()], Vec::new(), START);
    bench.recover(&[], &[]);
    bench.login(None);
    bench.says(vec![VenueEvent::Instruments(vec![doge(), bnb()])]);
    bench.settle();
    let mut buys = (1..).map(|n| {
        let reply = bench.call(&doge_order(n, &json!({"symbol": "bnbusdt"})));
        // Its past is read first.
        bench.wait(Span::from_secs(5));
        bench.answer(|query| Bench::exchange(&[], &[], query));
        reply["result"]["order_id"].as_str().map(ClientOrderId::foreign)
    });
    let id = buys.by_ref().take(9).flatten().next().expect("its past is read");
    drop(buys);
    let symbol = Symbol::new("bnbusdt");
    let bought = Fill { symbol: symbol.clone(), ..fill(1, 10) };
    bench.says(vec![event(OrderReport { symbol, ..report(&id, VenueStatus::Filled, 10, Some(bought)) })]);
    bench.login_as(2, None);
    bench
}

/// Session 2 buys ten DOGE with its n-th order, and so much of a fee in BNB is taken.
fn buys(bench: &mut Bench, n: u64, fee: &str) {
    let id = bench.order(n);
    let venue_id = 200 + n;
    let paid = Fill { venue_id, fee: cash(fee), fee_asset: Some(Asset::new("BNB")), ..fill(200 + n, 10) };
    bench.says(vec![event(OrderReport { venue_id, ..report(&id, VenueStatus::Filled, 10, Some(paid)) })]);
}

/// A sweep, in which the account has what the books say, but for that much more BNB.
fn sweeps(bench: &mut Bench, more: &str) {
    bench.says(vec![VenueEvent::PrivateGarbled("{".to_owned())]);
    for _ in 0..3 {
        let has = |asset: &str| bench.gateway.books().total(&Asset::new(asset));
        let balance =
            |asset: &str, more: Cash| Balance::new(Asset::new(asset), has(asset) + more, Cash::ZERO);
        let balances =
            vec![balance("USDT", Cash::ZERO), balance("DOGE", Cash::ZERO), balance("BNB", cash(more))];
        bench.answer(|query| match query {
            Query::Account => Answer::Account(Account { balances: balances.clone(), can_trade: true }),
            query => Bench::exchange(&[], &[], query),
        });
    }
}

fn notices(bench: &Bench) -> Vec<String> {
    let told = bench.sent.iter().filter(|frame| frame["event"] == "notice" && frame["code"] == "overdrawn");
    told.map(|frame| frame["message"].as_str().unwrap().to_owned()).collect()
}

fn warnings(bench: &Bench) -> Vec<&String> {
    bench.logs.iter().filter(|line| line.starts_with("sessions hold more")).collect()
}

#[test]
fn r23_a_session_is_told_when_others_fees_have_drawn_on_what_it_holds() {
    let mut bench = ten_bnb(config());
    sweeps(&mut bench, "0");
    assert!(notices(&bench).is_empty(), "all is there");
    buys(&mut bench, 1, "0.5");
    sweeps(&mut bench, "0");
    let words = "sessions together hold 10 BNB, and the account has 9.5: others' fees or trades were paid with it, and \
        0.5 BNB cannot be sold or spent";
    assert_eq!(notices(&bench), [words], "the one that holds it alone");
    let line = "sessions hold more of an asset than there is asset=BNB sessions=10 account=9.5 lacking=0.5";
    assert_eq!(warnings(&bench), [line]);
    // No debit in silence: the row of the one who paid is below zero, the other's is as it was.
    let held = |session| bench.gateway.books().asset(Owner::Session(SessionId(session)), &Asset::new("BNB"));
    assert_eq!((held(1), held(2)), (cash("10"), cash("-0.5")));
}

#[test]
fn r23_it_is_told_once_and_again_when_twice_as_much_is_lacking_or_it_came_back() {
    let mut bench = ten_bnb(config());
    let mut lacking = Vec::new();
    for (n, fee) in (1..).zip(["0.5", "0", "0.5", "0.01", "0"]) {
        buys(&mut bench, n, fee);
        sweeps(&mut bench, "0");
        lacking.push(warnings(&bench).len());
    }
    assert_eq!(lacking, [1, 1, 1, 2, 2]);
    let moved = |bench: &mut Bench, delta: &str, time: i64| {
        let (asset, delta, time) = (Asset::new("BNB"), cash(delta), START + Span::from_secs(time));
        bench.says(vec![VenueEvent::Transfer { asset, delta, time }]);
        sweeps(bench, "0");
    };
    moved(&mut bench, "5", 100);
    let over = |line: &&String| *line == "there is what sessions hold again asset=BNB";
    assert_eq!((warnings(&bench).len(), bench.logs.iter().filter(over).count()), (2, 1));
    // Taken out of the account, which is nobody's session either.
    moved(&mut bench, "-4.5", 101);
    assert_eq!((warnings(&bench).len(), notices(&bench).len()), (3, 3));
}

#[test]
fn r23_what_may_still_be_explained_is_not_told() {
    let mut bench = ten_bnb(config());
    sweeps(&mut bench, "0");
    sweeps(&mut bench, "-1");
    assert!(warnings(&bench).is_empty(), "a fill may be on its way");
    bench.wait(Span::from_secs(5));
    sweeps(&mut bench, "-1");
    assert_eq!(bench.gateway.books().asset(Owner::Unattributed, &Asset::new("BNB")), cash("-1"));
    let line = "sessions hold more of an asset than there is asset=BNB sessions=10 account=9 lacking=1";
    assert_eq!(warnings(&bench), [line], "{:?}", bench.logs);
}

#[test]
fn r23_on_margin_a_row_below_zero_is_a_debt() {
    let mut bench = ten_bnb(GatewayConfig { margin: true, ..config() });
    buys(&mut bench, 1, "0.5");
    sweeps(&mut bench, "0");
    assert!(warnings(&bench).is_empty());
}
