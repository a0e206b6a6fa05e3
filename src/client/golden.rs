//! The golden frames of `docs/golden`, written by hand from `docs/protocol.md`: what a client writes and reads.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::operator::{Heard, Operator};
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{
    BalanceView, BarData, BookData, DepthData, LoggedIn, MarkData, Numbered, OrderView, PositionView,
    Product, ProductsEvent, Snapshot, StateEvent, TradeData, Welcome,
};
use crate::wire::operator::{Holdings, LimitsView, OpenOrder, Operating, SessionView, Status};
use crate::wire::{proof, request};

#[derive(serde::Deserialize)]
struct Golden {
    from: String,
    means: String,
    frame: Value,
}

fn frames(text: &str, from: &str) -> Vec<(String, Value)> {
    let all: Vec<Golden> = serde_json::from_str(text).unwrap();
    all.into_iter().filter(|golden| golden.from == from).map(|golden| (golden.means, golden.frame)).collect()
}

const LOGIN: &str = include_str!("../../docs/golden/login.json");
const COMMANDS: &str = include_str!("../../docs/golden/commands.json");
const EVENTS: &str = include_str!("../../docs/golden/events.json");
const QUESTIONS: &str = include_str!("../../docs/golden/questions.json");
const MARKET: &str = include_str!("../../docs/golden/market.json");
const OPERATOR: &str = include_str!("../../docs/golden/operator.json");

/// Reads a value and writes it again: nothing may be lost or added.
fn both_ways<T: DeserializeOwned + Serialize>(means: &str, value: &Value) {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{means}: {error}"));
    assert_eq!(serde_json::to_value(read).unwrap(), *value, "{means}");
}

#[test]
fn the_client_writes_the_golden_frames() {
    let mut count = 0;
    for file in [LOGIN, COMMANDS, EVENTS, QUESTIONS, MARKET] {
        for (means, frame) in frames(file, "client") {
            let request =
                request::parse(&frame.to_string()).unwrap_or_else(|error| panic!("{means}: {error:?}"));
            let written: Value = serde_json::from_str(&request::encode(&request)).unwrap();
            assert_eq!(written, frame, "{means}");
            count += 1;
        }
    }
    assert_eq!(count, 27);
}

#[test]
fn the_proofs_of_the_golden_login_hold() {
    let token = "a".repeat(64);
    let all = [frames(LOGIN, "client"), frames(LOGIN, "gateway")];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ours = text(&all[0][0].1["params"]["nonce"]);
    let welcome = &all[1][0].1["result"];
    let theirs = text(&welcome["nonce"]);
    assert_eq!(proof::of_gateway(&token, &ours, &theirs), text(&welcome["proof"]));
    assert_eq!(proof::of_client(&token, &ours, &theirs, 1), text(&all[0][1].1["params"]["proof"]));
}

#[test]
fn the_operator_is_welcomed_by_the_golden_frames_and_reads_what_he_is_told() {
    let token = "0".repeat(64);
    let (asked, told) = (frames(OPERATOR, "client"), frames(OPERATOR, "gateway"));
    let mut operator = Operator::new("pyalgo");
    let nonce = asked[0].1["params"]["nonce"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&operator.opened(&token, nonce)).unwrap(), asked[0].1);
    let Ok(Heard::Say(proof)) = operator.take(&told[0].1.to_string()) else { panic!("not welcomed") };
    assert_eq!(serde_json::from_str::<Value>(&proof).unwrap(), asked[1].1);
    assert!(matches!(operator.take(&told[1].1.to_string()), Ok(Heard::In(_))));
    for (means, frame) in &asked {
        let request = request::parse(&frame.to_string()).unwrap_or_else(|error| panic!("{means}: {error:?}"));
        let written: Value = serde_json::from_str(&request::encode(&request)).unwrap();
        assert_eq!(written, *frame, "{means}");
    }
    let mut read = 0;
    for (means, frame) in &told {
        let result = &frame["result"];
        if result.get("killed").is_some() {
            read += 1;
            continue;
        }
        match frame["id"].as_u64().unwrap() {
            _ if result.is_null() => both_ways::<ErrorBody>(means, &frame["error"]),
            1 => both_ways::<Welcome>(means, result),
            2 => both_ways::<Operating>(means, result),
            3 => both_ways::<Status>(means, result),
            4 => both_ways::<Vec<SessionView>>(means, result),
            5 => both_ways::<Vec<OpenOrder>>(means, result),
            6 => both_ways::<Holdings>(means, result),
            7 => both_ways::<LimitsView>(means, result),
            other => panic!("{means}: a reply {other} that nobody reads"),
        }
        read += 1;
    }
    assert_eq!((read, asked.len()), (told.len(), 13));
}

#[test]
fn the_client_reads_the_golden_events() {
    for (means, mut frame) in frames(EVENTS, "gateway") {
        match frame["event"].as_str().unwrap() {
            "state" => both_ways::<StateEvent>(&means, &frame),
            "products" => both_ways::<ProductsEvent>(&means, &frame),
            "snapshot" => both_ways::<Snapshot>(&means, &frame),
            _ => {
                frame.as_object_mut().unwrap().remove("replayed");
                both_ways::<Numbered>(&means, &frame);
            }
        }
    }
}

#[test]
fn the_client_reads_the_golden_market_data() {
    for (means, frame) in frames(MARKET, "gateway") {
        let stream = frame["stream"].as_str().unwrap();
        match (&frame["data"], stream.split_once('@').unwrap().1) {
            (Value::Null, _) => assert!(frame["gap"].is_u64() || frame["stale"].is_string(), "{means}"),
            (data, "trade") => both_ways::<TradeData>(&means, data),
            (data, "book") => both_ways::<BookData>(&means, data),
            (data, "mark") => both_ways::<MarkData>(&means, data),
            (data, "kline:1m") => both_ways::<BarData>(&means, data),
            (data, _) => both_ways::<DepthData>(&means, data),
        }
    }
}

#[test]
fn the_client_reads_the_golden_replies() {
    let mut errors = 0;
    for file in [LOGIN, COMMANDS, QUESTIONS] {
        for (means, frame) in frames(file, "gateway") {
            if let Some(error) = frame.get("error") {
                both_ways::<ErrorBody>(&means, error);
                let code = ErrorCode::from_code(error["code"].as_i64().unwrap()).unwrap();
                assert_eq!(code.name(), error["name"].as_str().unwrap(), "{means}");
                errors += 1;
                continue;
            }
            reply(&means, &frame["result"]);
        }
    }
    assert_eq!(errors, 4);
}

fn reply(means: &str, result: &Value) {
    let list = |name: &str| match result.get(name).unwrap_or(result) {
        Value::Array(items) => items.clone(),
        _ => Vec::new(),
    };
    if result.get("proof").is_some() {
        return both_ways::<Welcome>(means, result);
    }
    if result.get("install").is_some() {
        return both_ways::<LoggedIn>(means, result);
    }
    for item in list("products") {
        if item.get("tick_size").is_some() {
            both_ways::<Product>(means, &item);
        } else if item.get("asset").is_some() {
            both_ways::<BalanceView>(means, &item);
        } else {
            both_ways::<BarData>(means, &item);
        }
    }
    list("orders")
        .iter()
        .filter(|item| item.get("order_id").is_some())
        .for_each(|item| both_ways::<OrderView>(means, item));
    list("positions")
        .iter()
        .filter(|item| item.get("net").is_some())
        .for_each(|item| both_ways::<PositionView>(means, item));
}
