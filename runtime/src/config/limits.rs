//! The key `limits`: what sessions and the account may order, hold and lose. Amounts are texts, as everywhere on the
//! wire: a number of JSON would pass through binary fractions.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Map, Value};
use tradingsys::ids::{Asset, SessionId, Symbol};
use tradingsys::limits::pace::MOST;
use tradingsys::limits::{Bounds, Caps, Limits};
use tradingsys::num::{Percent, Qty};

use super::keys::nearest;
use super::value::{shown, unknown};

/// What stands for all that is not named.
const OTHERS: &str = "*";
/// Most orders that may be allowed to be open: what a limit counts has an end.
const OPEN_MOST: u64 = 100_000;
/// Scopes.
const SCOPES: [&str; 4] = ["account", "session", "sessions", SELF_TRADE];
/// The one limit that is of no scope.
const SELF_TRADE: &str = "refuse_self_trade";

/// One limit: its key, what its value must be, and where it goes.
struct Rule {
    key: &'static str,
    words: &'static str,
    set: fn(&mut Bounds, &Value) -> Option<()>,
}

const BY_SYMBOL: &str = "an object of amounts in quotes by symbol, e.g. {\"btcusdt\": \"0.5\"}";
const BY_ASSET: &str = "an object of amounts in quotes by quote asset, e.g. {\"USDT\": \"1000\"}";
const SYMBOLS: &str = "a list of symbols, e.g. [\"btcusdt\"]";
const BAND: &str = "a percentage in quotes above 0 and up to 100, e.g. \"5\"";
const OPEN: &str = "a whole number from 0 to 100000";
const OFTEN: &str = "a whole number from 0 to 10000";

/// All of them, in the order of the documentation.
const RULES: [Rule; 11] = [
    Rule { key: "symbols", words: SYMBOLS, set: |to, value| put(&mut to.symbols, symbols(value)) },
    Rule {
        key: "order_qty",
        words: BY_SYMBOL,
        set: |to, value| put(&mut to.order_qty, caps(value, Symbol::new)),
    },
    Rule {
        key: "order_notional",
        words: BY_ASSET,
        set: |to, value| put(&mut to.order_notional, caps(value, Asset::new)),
    },
    Rule { key: "price_band", words: BAND, set: |to, value| put(&mut to.price_band, band(value)) },
    Rule {
        key: "open_orders",
        words: OPEN,
        set: |to, value| put(&mut to.open_orders, whole(value, OPEN_MOST)),
    },
    Rule {
        key: "open_notional",
        words: BY_ASSET,
        set: |to, value| put(&mut to.open_notional, caps(value, Asset::new)),
    },
    Rule {
        key: "position_qty",
        words: BY_SYMBOL,
        set: |to, value| put(&mut to.position_qty, caps(value, Symbol::new)),
    },
    Rule {
        key: "position_notional",
        words: BY_ASSET,
        set: |to, value| put(&mut to.position_notional, caps(value, Asset::new)),
    },
    Rule {
        key: "loss_per_day",
        words: BY_ASSET,
        set: |to, value| put(&mut to.loss_per_day, caps(value, Asset::new)),
    },
    Rule {
        key: "orders_per_second",
        words: OFTEN,
        set: |to, value| put(&mut to.orders_per_second, often(value)),
    },
    Rule {
        key: "rejects_per_minute",
        words: OFTEN,
        set: |to, value| put(&mut to.rejects_per_minute, often(value)),
    },
];

/// The limits of a configuration.
pub(super) fn limits(value: Option<Value>, exe: &str) -> Result<Limits, String> {
    let mut limits = Limits::default();
    let Some(Value::Object(scopes)) = value else { return Ok(limits) };
    if let Some(name) = scopes.keys().find(|name| !SCOPES.contains(&name.as_str())) {
        let near = nearest(name, SCOPES);
        return Err(unknown(&format!("limits.{name}"), exe, near, &SCOPES));
    }
    let part = |name: &str| {
        let path = format!("limits.{name}");
        scopes.get(name).map(|value| object(&path, value)).transpose()
    };
    if let Some(account) = part("account")? {
        bounds(&mut limits.account, "limits.account", account, exe)?;
    }
    if let Some(session) = part("session")? {
        bounds(&mut limits.session, "limits.session", session, exe)?;
    }
    for (number, value) in part("sessions")?.into_iter().flatten() {
        let path = format!("limits.sessions.{number}");
        let session = number
            .parse::<u16>()
            .ok()
            // "07" and "+7" would be second entries of session 7.
            .filter(|session| session.to_string() == *number)
            .ok_or_else(|| format!("{path:?}: {number:?} is no session number from 0 to {}", u16::MAX))?;
        // What a session has none of its own of is that of all.
        let mut own = limits.session.clone();
        bounds(&mut own, &path, object(&path, value)?, exe)?;
        limits.sessions.insert(SessionId(session), own);
    }
    if let Some(value) = scopes.get(SELF_TRADE) {
        let wrong = || format!("\"limits.{SELF_TRADE}\" must be true or false, found {}", shown(value));
        limits.refuse_self_trade = value.as_bool().ok_or_else(wrong)?;
    }
    Ok(limits)
}

/// What limits there are, for people.
pub(crate) fn words(limits: &Limits) -> String {
    if limits.is_empty() {
        return "none: a strategy may order whatever the account bears; see docs/limits.md".to_owned();
    }
    let none = Bounds::default();
    let mut scopes = Vec::new();
    if limits.account != none {
        scopes.push("of the account".to_owned());
    }
    if limits.session != none {
        scopes.push("of each session".to_owned());
    }
    if limits.refuse_self_trade {
        scopes.push("on trades with oneself".to_owned());
    }
    scopes.extend(limits.sessions.keys().map(|session| format!("of session {session}")));
    scopes.join(", ")
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{path:?} must be an object, found {}", shown(value)))
}

fn bounds(to: &mut Bounds, path: &str, from: &Map<String, Value>, exe: &str) -> Result<(), String> {
    for (key, value) in from {
        let Some(rule) = RULES.iter().find(|rule| rule.key == key) else {
            let known: Vec<&str> = RULES.iter().map(|rule| rule.key).collect();
            return Err(unknown(&format!("{path}.{key}"), exe, nearest(key, known.iter().copied()), &known));
        };
        (rule.set)(to, value)
            .ok_or_else(|| format!("\"{path}.{key}\" must be {}, found {value}", rule.words))?;
    }
    Ok(())
}

/// A value that was understood goes where it belongs.
fn put<T>(to: &mut Option<T>, value: Option<T>) -> Option<()> {
    *to = Some(value?);
    Some(())
}

fn symbols(value: &Value) -> Option<BTreeSet<Symbol>> {
    value.as_array()?.iter().map(|name| name.as_str().map(Symbol::new)).collect()
}

fn whole(value: &Value, most: u64) -> Option<u64> {
    value.as_u64().filter(|whole| *whole <= most)
}

fn often(value: &Value) -> Option<u32> {
    whole(value, u64::from(MOST)).and_then(|whole| u32::try_from(whole).ok())
}

fn band(value: &Value) -> Option<Percent> {
    let band: Percent = value.as_str()?.parse().ok()?;
    (band.is_positive() && band <= Percent::whole(100)).then_some(band)
}

fn caps<K: Ord, V: FromStr + Copy>(value: &Value, name: fn(&str) -> K) -> Option<Caps<K, V>> {
    let mut caps = Caps { named: BTreeMap::new(), others: None };
    for (key, amount) in value.as_object()? {
        let text = amount.as_str()?;
        // One reading serves all kinds of amounts: none is negative.
        text.parse::<Qty>().ok().filter(|amount| !amount.is_negative())?;
        let amount = text.parse().ok()?;
        if key == OTHERS {
            caps.others = Some(amount);
        } else if caps.named.insert(name(key), amount).is_some() {
            // The same name in another case.
            return None;
        }
    }
    Some(caps)
}

#[cfg(test)]
mod tests {
    use tradingsys::num::Cash;

    use super::*;

    fn read(text: &str) -> Result<Limits, String> {
        limits(Some(serde_json::from_str(text).unwrap()), "spot")
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
        assert_eq!(
            (loss.of(&Asset::new("USDT")), loss.of(&Asset::new("BTC"))),
            (Cash::whole(500), Cash::ZERO)
        );
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
            (
                r#"{"session": {"order_qty": {"btcusdt": "1", "BTCUSDT": "2"}}}"#,
                "must be an object of amounts",
            ),
            (
                r#"{"session": {"order_notional": "5"}}"#,
                "by quote asset, e.g. {\"USDT\": \"1000\"}, found \"5\"",
            ),
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
        let known: Vec<&str> = RULES.iter().map(|rule| rule.key).collect();
        assert_eq!(documented, known, "docs/limits.md and the table of limits differ");
        let (_, rest) = page.split_once("\"limits\": ").unwrap();
        let (example, _) = rest.split_once("\n```").unwrap();
        assert!(!read(&tradingsys::jsonc::plain(example)).unwrap().is_empty());
    }
}
