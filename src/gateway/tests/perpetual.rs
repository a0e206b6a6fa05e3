//! Orders for a perpetual: what may be asked, amends of the price, reduce-only by the session's own book.

use super::*;
use crate::market::WorkingType;
use crate::num::Percent;
use crate::order::request::Terms;

/// A perpetual on DOGE beside the spot pair of the other tests.
pub(super) fn perpetual() -> Instrument {
    let percent = |text: &str| text.parse::<Percent>().unwrap();
    let words = [
        OrderType::Limit,
        OrderType::LimitMaker,
        OrderType::Market,
        OrderType::StopLoss,
        OrderType::StopLossLimit,
        OrderType::TakeProfit,
        OrderType::TrailingStop,
    ];
    Instrument {
        symbol: Symbol::new("dogeusdt"),
        kind: InstrumentKind::Perpetual,
        holding: Asset::new("DOGEUSDT"),
        order_types: words.iter().map(|word| word.as_str().to_owned()).collect(),
        rules: OrderRules {
            tifs: vec![Tif::Gtc, Tif::Ioc, Tif::Fok, Tif::Gtd],
            good_till_least: Span::from_secs(600),
            working_types: vec![WorkingType::Last, WorkingType::Mark],
            callback_rate: Grid { min: percent("0.1"), max: percent("20"), step: percent("0.1") },
            amend_price: true,
            conditionals_apart: true,
            reduce_only: true,
        },
        quote_qty_market_allowed: false,
        ..doge()
    }
}

impl Bench {
    /// [`Bench::ready`], of a venue of perpetuals.
    pub(super) fn perpetual() -> Self {
        let mut bench = Self::ready();
        bench.says(vec![VenueEvent::Instruments(vec![perpetual()])]);
        bench
    }

    /// Sends an order with some members changed; its id.
    pub(super) fn send(&mut self, n: u64, changes: &Value) -> ClientOrderId {
        let reply = self.call(&order_frame(n, changes));
        let id = reply["result"]["order_id"].as_str();
        ClientOrderId::foreign(id.unwrap_or_else(|| panic!("{changes} {reply}")))
    }

    /// Sends an order that is to be refused; the refusal's name.
    fn refused(&mut self, n: u64, changes: &Value) -> String {
        let before = self.script.0.borrow().placed.len();
        let reply = self.call(&order_frame(n, changes));
        assert_eq!(self.script.0.borrow().placed.len(), before, "{changes}: nothing was sent");
        reply["error"]["name"].as_str().unwrap_or_else(|| panic!("{changes} {reply}")).to_owned()
    }

    /// The session buys or sells so much, at once.
    fn trades(&mut self, n: u64, side: Side, qty: i64) {
        let id = self.send(n, &json!({"side": side.as_str(), "qty": qty.to_string()}));
        self.fills(&id, side, 100 + n, qty);
    }

    /// An order of an own number is filled whole.
    fn fills(&mut self, id: &ClientOrderId, side: Side, number: u64, qty: i64) {
        let fill = Fill { venue_id: number, side, ..fill(number, qty) };
        let filled = OrderReport {
            venue_id: number,
            side,
            qty: Qty::whole(qty),
            ..report(id, VenueStatus::Filled, qty, Some(fill))
        };
        self.says(vec![event(filled)]);
    }
}

/// An order for 10 DOGE at 0.2 with some members changed; `null` takes one away.
fn order_frame(n: u64, changes: &Value) -> Value {
    let mut params =
        json!({"n": n, "symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": "0.2", "qty": "10"});
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(params.as_object_mut().unwrap().remove(key)),
            value => params[key] = value.clone(),
        }
    }
    json!({"id": 2000 + n, "method": "order", "params": params})
}

fn works(id: &ClientOrderId, number: u64) -> VenueEvent {
    event(OrderReport { venue_id: number, ..report(id, VenueStatus::New, 0, None) })
}

#[test]
fn row_004_74_every_instruction_reaches_the_venue() {
    let mut bench = Bench::perpetual();
    let till = (START.nanos() / 1_000_000_000 + 700) * 1_000_000_000;
    bench.send(1, &json!({"tif": "GTD", "good_till": till}));
    bench.send(2, &json!({"type": "LIMIT_MAKER"}));
    let stop = json!({"side": "SELL", "type": "STOP_LOSS", "price": null, "stop_price": "0.19",
        "working_type": "MARK"});
    bench.send(3, &stop);
    let trailing = json!({"side": "SELL", "type": "TRAILING_STOP_MARKET", "price": null, "callback_rate": "0.5",
        "activation_price": "0.21"});
    bench.send(4, &trailing);
    let script = bench.script.0.borrow();
    assert_eq!(script.placed[0].good_till, Some(Time::from_nanos(till)));
    let price: Price = "0.2".parse().unwrap();
    assert_eq!(script.placed[1].terms, Terms::PostOnly { price });
    assert_eq!(script.placed[2].working_type, WorkingType::Mark);
    let (callback_rate, activation_price) = ("0.5".parse().unwrap(), Some("0.21".parse().unwrap()));
    assert_eq!(script.placed[3].terms, Terms::Trailing { callback_rate, activation_price });
}

#[test]
fn row_004_79_every_instruction_that_cannot_be_followed_is_refused_by_name() {
    let mut bench = Bench::perpetual();
    let second = 1_000_000_000;
    let now = START.nanos() / second;
    let trailing = |more: &Value| {
        let mut changes = json!({"type": "TRAILING_STOP_MARKET", "price": null});
        changes.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        changes
    };
    for (n, changes, name) in [
        (1, json!({"tif": "GTD"}), "bad_shape"),
        (2, json!({"good_till": (now + 700) * second}), "bad_shape"),
        (3, json!({"tif": "GTD", "good_till": (now + 599) * second}), "good_till"),
        (4, json!({"tif": "GTD", "good_till": (now + 700) * second + 1}), "good_till"),
        (5, json!({"working_type": "MARK"}), "bad_shape"),
        (6, json!({"callback_rate": "1"}), "bad_shape"),
        (7, json!({"activation_price": "0.2"}), "bad_shape"),
        (8, trailing(&json!({})), "bad_shape"),
        (9, trailing(&json!({"callback_rate": "1", "stop_price": "0.2"})), "bad_shape"),
        (10, trailing(&json!({"callback_rate": "0.05"})), "callback_rate"),
        (11, trailing(&json!({"callback_rate": "20.1"})), "callback_rate"),
        (12, trailing(&json!({"callback_rate": "1.25"})), "callback_rate"),
        (13, trailing(&json!({"callback_rate": "1", "activation_price": "0.2000001"})), "off_tick"),
        (14, json!({"type": "MARKET", "price": null, "qty": null, "quote_amount": "10"}), "bad_shape"),
        (15, json!({"type": "STOP_LOSS", "price": null}), "bad_shape"),
        (16, json!({"reduce_only": true}), "reduce_only"),
    ] {
        assert_eq!(bench.refused(n, &changes), name, "{changes}");
    }
    let mut spot = Instrument { rules: OrderRules::default(), ..perpetual() };
    spot.order_types.retain(|word| word != "TRAILING_STOP_MARKET");
    bench.says(vec![VenueEvent::Instruments(vec![spot])]);
    for (n, changes, name) in [
        (21, trailing(&json!({"callback_rate": "1"})), "type_not_supported"),
        (22, json!({"tif": "GTD", "good_till": (now + 700) * second}), "tif_not_supported"),
        (
            23,
            json!({"type": "STOP_LOSS", "price": null, "stop_price": "0.2", "working_type": "MARK"}),
            "working_type_not_supported",
        ),
    ] {
        assert_eq!(bench.refused(n, &changes), name, "{changes}");
    }
}

#[test]
fn an_amend_changes_price_and_quantity_and_keeps_the_id() {
    let mut bench = Bench::perpetual();
    let id = bench.send(1, &json!({}));
    bench.says(vec![accepted(&id)]);
    let amend = |bench: &mut Bench, n: u64, changes: Value| {
        let mut params = json!({"n": n, "order_id": id.as_str()});
        params.as_object_mut().unwrap().append(&mut changes.as_object().unwrap().clone());
        let reply = bench.call(&json!({"id": 50 + n, "method": "amend", "params": params}));
        reply["error"]["message"].as_str().unwrap_or("sent").to_owned()
    };
    assert_eq!(amend(&mut bench, 2, json!({"qty": "20", "price": "0.19"})), "sent");
    let asked = bench.script.0.borrow().amended[0].clone();
    let price: Price = "0.19".parse().unwrap();
    assert_eq!((asked.qty, asked.price, asked.side), (Qty::whole(20), Some(price), Side::Buy));
    assert_eq!((asked.venue_id, &asked.amend_id), (Some(77), &asked.known_as));
    let later = START + Span::from_secs(1);
    let amended =
        OrderReport { price, qty: Qty::whole(20), time: later, ..report(&id, VenueStatus::New, 0, None) };
    bench.says(vec![VenueEvent::AmendReply {
        id: id.clone(),
        outcome: AmendOutcome::Amended(Box::new(amended)),
    }]);
    let told = bench.sent.last().unwrap()["order"].clone();
    assert_eq!((&told["price"], &told["qty"]), (&json!("0.19"), &json!("20")));
    // An answer from before the amend comes late.
    bench.says(vec![event(report(&id, VenueStatus::New, 0, None))]);
    assert_eq!(bench.gateway.orders().get(&id).unwrap().price, Some(price), "it undoes nothing");
    assert_eq!(amend(&mut bench, 3, json!({"price": "0.18"})), "sent");
    assert_eq!(bench.script.0.borrow().amended[1].qty, Qty::whole(20), "the rest stays as it is");
    for (n, changes, words) in [
        (4, json!({}), "nothing"),
        (5, json!({"qty": "20", "price": "0.19"}), "nothing"),
        (6, json!({"price": "0.1900001"}), "tick"),
        (7, json!({"qty": "4"}), "at least"),
        (8, json!({"qty": "0"}), "above 0"),
    ] {
        assert!(amend(&mut bench, n, changes.clone()).contains(words), "{changes}");
    }
    // An amend of a filled order is refused here; nothing is sent.
    bench.fills(&id, Side::Buy, 77, 20);
    assert!(amend(&mut bench, 9, json!({"qty": "30"})).contains("no open order"));
    assert_eq!(bench.script.0.borrow().amended.len(), 2);
}

#[test]
fn the_price_of_a_spot_order_cannot_be_amended() {
    let mut bench = Bench::ready();
    let id = bench.order(1);
    bench.says(vec![accepted(&id)]);
    let amend =
        json!({"id": 9, "method": "amend", "params": {"n": 2, "order_id": id.as_str(), "price": "0.19"}});
    assert_eq!(bench.call(&amend)["error"]["name"], "amend_not_allowed");
}

#[test]
fn reduce_only_is_judged_by_the_sessions_own_book() {
    let mut bench = Bench::perpetual();
    bench.trades(1, Side::Buy, 10);
    // Somebody else is short on the same account: the account's net is the other way.
    let alien = ClientOrderId::foreign("web_1");
    bench.fills(&alien, Side::Sell, 900, 25);
    assert_eq!(bench.net(), Qty::whole(10));
    let sell = json!({"side": "SELL", "reduce_only": true, "qty": "6"});
    let id = bench.send(2, &sell);
    assert!(!bench.script.0.borrow().placed[1].reduce_only, "the venue would refuse a legitimate close");
    let more = json!({"side": "SELL", "reduce_only": true, "qty": "5"});
    assert_eq!(bench.refused(3, &more), "reduce_only");
    bench.says(vec![lost(&id)]);
    assert_eq!(bench.refused(4, &more), "reduce_only", "what is in doubt counts in full");
    assert_eq!(bench.refused(5, &json!({"side": "BUY", "reduce_only": true})), "reduce_only");
    bench.send(6, &json!({"side": "SELL", "reduce_only": true, "qty": "4", "price": "0.3", "type": "LIMIT"}));
}

#[test]
fn the_venue_is_told_to_reduce_only_where_it_judges_alike() {
    let mut bench = Bench::perpetual();
    bench.trades(1, Side::Buy, 10);
    let close = json!({"side": "SELL", "type": "MARKET", "price": null, "reduce_only": true});
    bench.send(2, &close);
    assert!(bench.script.0.borrow().placed[1].reduce_only, "alone in the symbol, and at once");
    let mut bench = Bench::perpetual();
    bench.trades(1, Side::Buy, 10);
    bench.send(2, &json!({"side": "SELL", "reduce_only": true}));
    assert!(!bench.script.0.borrow().placed[1].reduce_only, "it may rest until another session trades");
}

#[test]
fn reduce_only_orders_without_room_left_are_cancelled() {
    let mut bench = Bench::perpetual();
    bench.trades(1, Side::Buy, 10);
    let target = bench.send(2, &json!({"side": "SELL", "reduce_only": true, "price": "0.3"}));
    bench.says(vec![works(&target, 202)]);
    let stop = json!({"side": "SELL", "type": "STOP_LOSS", "price": null, "stop_price": "0.19",
        "reduce_only": true});
    let stop = bench.send(3, &stop);
    let waiting = OrderReport {
        venue_id: 0,
        conditional_id: Some(5),
        side: Side::Sell,
        ..report(&stop, VenueStatus::New, 0, None)
    };
    bench.says(vec![event(waiting)]);
    assert!(bench.script.0.borrow().canceled.is_empty(), "both wait beside each other");
    // The session sells by hand: only 5 are left to reduce.
    bench.trades(4, Side::Sell, 5);
    let canceled = |bench: &Bench| -> Vec<ClientOrderId> {
        bench.script.0.borrow().canceled.iter().map(|cancel| cancel.id.clone()).collect()
    };
    assert_eq!(canceled(&bench), std::slice::from_ref(&target), "the stop still has something to protect");
    assert!(bench.events().contains(&"notice reduce_only".to_owned()));
    bench.trades(5, Side::Sell, 5);
    assert_eq!(canceled(&bench), [target, stop]);
    assert!(bench.script.0.borrow().canceled[1].conditional);
}
