use super::*;
use crate::num::Cash;

fn read(text: &str) -> Result<Limits, String> {
    super::read(&serde_json::from_str(text).unwrap())
}

#[test]
fn row_r61_limits_are_read_by_scope_and_a_session_of_its_own_keeps_the_rest() {
    let text = r#"{
        "account": {"open_orders": 50, "loss_per_day": {"USDT": "500", "*": "0"}},
        "session": {"symbols": ["BTCUSDT"], "order_qty": {"BtcUsdt": "0.5"}, "price_band": "2.5"},
        "sessions": {"7": {"order_qty": {"*": "3"}, "orders_per_second": 0}},
        "refuse_self_trade": true
    }"#;
    let limits = read(text).unwrap();
    let (btc, doge) = (Symbol::new("btcusdt"), Symbol::new("dogeusdt"));
    let loss = limits.account.loss_per_day.unwrap();
    assert_eq!((loss.of(&Asset::new("USDT")), loss.of(&Asset::new("BTC"))), (Cash::whole(500), Cash::ZERO));
    let (all, seven) = (&limits.session, &limits.sessions[&SessionId(7)]);
    assert_eq!(all.order_qty.as_ref().unwrap().of(&btc), "0.5".parse().unwrap());
    assert_eq!(all.order_qty.as_ref().unwrap().of(&doge), Qty::ZERO, "what is not named has none");
    assert_eq!(seven.order_qty.as_ref().unwrap().of(&doge), Qty::whole(3));
    assert_eq!((seven.orders_per_second, all.orders_per_second), (Some(0), None));
    assert_eq!((seven.price_band, &seven.symbols), (all.price_band, &all.symbols));
    assert_eq!((limits.account.open_orders, limits.refuse_self_trade), (Some(50), true));
}

#[test]
fn r61_every_wrong_limit_is_refused_with_words_that_help() {
    for (text, words) in [
        (r#"{"acount": {}}"#, "unknown key \"limits.acount\"; did you mean \"account\"?"),
        (r#"{"refuse_self_trade": 1}"#, "\"limits.refuse_self_trade\" must be true or false, found 1"),
        (r#"{"account": 5}"#, "\"limits.account\" must be an object, found 5"),
        (
            r#"{"session": {"order_quantity": {}}}"#,
            "unknown key \"limits.session.order_quantity\"; did you mean \"order_qty\"?",
        ),
        (
            r#"{"session": {"order_qty": {"btcusdt": 5}}}"#,
            "\"limits.session.order_qty\" must be an object of amounts in quotes by symbol, e.g. \
             {\"btcusdt\": \"0.5\"}, found {\"btcusdt\":5}",
        ),
        (r#"{"session": {"order_qty": {"btcusdt": "-5"}}}"#, "found {\"btcusdt\":\"-5\"}"),
        (r#"{"session": {"order_qty": {"btcusdt": "NaN"}}}"#, "found {\"btcusdt\":\"NaN\"}"),
        (r#"{"session": {"order_qty": {"btcusdt": "1", "BTCUSDT": "2"}}}"#, "must be an object of amounts"),
        (r#"{"session": {"order_notional": "5"}}"#, "by quote asset, e.g. {\"USDT\": \"1000\"}, found \"5\""),
        (r#"{"account": {"price_band": "0"}}"#, "a percentage in quotes above 0 and up to 100"),
        (r#"{"account": {"price_band": "100.1"}}"#, "a percentage in quotes above 0 and up to 100"),
        (r#"{"account": {"open_orders": 100001}}"#, "a whole number from 0 to 100000, found 100001"),
        (r#"{"account": {"orders_per_second": -1}}"#, "a whole number from 0 to 10000, found -1"),
        (r#"{"account": {"rejects_per_minute": 10001}}"#, "a whole number from 0 to 10000, found 10001"),
        (r#"{"account": {"symbols": "btcusdt"}}"#, "a list of symbols, e.g. [\"btcusdt\"]"),
        (r#"{"sessions": {"65536": {}}}"#, "\"65536\" is no session number from 0 to 65535"),
        (r#"{"sessions": {"7": {}, "07": {}}}"#, "\"07\" is no session number from 0 to 65535"),
        (r#"{"sessions": {"1": {"orders": 1}}}"#, "unknown key \"limits.sessions.1.orders\""),
    ] {
        let error = read(text).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn r61_the_page_of_limits_lists_exactly_those_of_the_code_and_its_example_is_one() {
    let page = include_str!("../../../docs/limits.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let known: Vec<&str> = RULES.iter().map(|rule| rule.limit.key()).collect();
    assert_eq!(documented, known, "docs/limits.md and the table of limits differ");
    let (_, rest) = page.split_once("\"limits\": ").unwrap();
    let (example, _) = rest.split_once("\n```").unwrap();
    assert!(!read(&crate::jsonc::plain(example)).unwrap().is_empty());
}

#[test]
fn what_is_written_is_read_as_it_was_and_a_session_keeps_what_it_says_itself() {
    let page = include_str!("../../../docs/limits.md");
    let (_, rest) = page.split_once("\"limits\": ").unwrap();
    let (example, _) = rest.split_once("\n```").unwrap();
    for text in [
        crate::jsonc::plain(example),
        "{}".to_owned(),
        r#"{"session": {"price_band": "5"}, "sessions": {"7": {"price_band": "5"}, "8": {}}}"#.to_owned(),
        r#"{"account": {"symbols": [], "order_qty": {"*": "0.10"}, "open_notional": {"USDT": "1"}, "open_orders": 0,
            "position_qty": {}, "rejects_per_minute": 3, "orders_per_second": 7, "position_notional": {"BTC": "2"}}}"#
            .to_owned(),
    ] {
        let limits = read(&text).unwrap();
        let written = write(&limits);
        assert_eq!(super::read(&written).unwrap(), limits, "{text}: {written}");
        assert_eq!(write(&super::read(&written).unwrap()), written);
    }
    let seven =
        write(&read(r#"{"session": {"price_band": "5"}, "sessions": {"7": {"open_orders": 1}}}"#).unwrap());
    assert_eq!(
        seven["sessions"]["7"],
        serde_json::json!({"open_orders": 1}),
        "the rest goes on as `session` does"
    );
}

#[test]
fn rows_tell_each_value_apart() {
    let text = r#"{"account": {"symbols": ["btcusdt", "dogeusdt"], "order_qty": {"dogeusdt": "5", "*": "1"}, "price_band": "2"}}"#;
    let rows = rows(&read(text).unwrap().account);
    let mut told: Vec<String> =
        rows.iter().map(|(limit, of, value)| format!("{} {of} {value}", limit.key())).collect();
    told.sort();
    assert_eq!(told, ["order_qty * 1", "order_qty dogeusdt 5", "price_band  2", "symbols  btcusdt,dogeusdt"]);
}
