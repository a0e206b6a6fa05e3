//! Limits as people write them: the key `limits` of a configuration, and what the operator sends while a gateway runs.
//! One reading serves both, so what one takes the other takes.
//!
//! Amounts are texts, as everywhere on the wire: a number of JSON would pass through binary fractions.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::pace::MOST;
use super::{Bounds, Caps, Limit, Limits};
use crate::ids::{Asset, SessionId, Symbol};
use crate::jsonc::{nearest, shown};
use crate::num::{Percent, Qty};

/// What stands for all that is not named.
pub const OTHERS: &str = "*";
/// Most orders that may be allowed to be open: what a limit counts has an end.
const OPEN_MOST: u64 = 100_000;
/// Scopes.
const SCOPES: [&str; 4] = ["account", "session", "sessions", SELF_TRADE];
/// The one limit that is of no scope.
const SELF_TRADE: &str = "refuse_self_trade";

/// One limit: its key, what its value must be, where it goes, and how it is written.
struct Rule {
    limit: Limit,
    words: &'static str,
    set: fn(&mut Bounds, &Value) -> Option<()>,
    get: fn(&Bounds) -> Option<Value>,
}

const BY_SYMBOL: &str = "an object of amounts in quotes by symbol, e.g. {\"btcusdt\": \"0.5\"}";
const BY_ASSET: &str = "an object of amounts in quotes by quote asset, e.g. {\"USDT\": \"1000\"}";
const SYMBOLS: &str = "a list of symbols, e.g. [\"btcusdt\"]";
const BAND: &str = "a percentage in quotes above 0 and up to 100, e.g. \"5\"";
const OPEN: &str = "a whole number from 0 to 100000";
const OFTEN: &str = "a whole number from 0 to 10000";

/// All of them, in the order of the documentation.
const RULES: [Rule; 11] = [
    Rule {
        limit: Limit::Symbols,
        words: SYMBOLS,
        set: |to, value| put(&mut to.symbols, symbols(value)),
        get: |of| of.symbols.as_ref().map(|names| names.iter().map(Symbol::as_str).collect()),
    },
    Rule {
        limit: Limit::OrderQty,
        words: BY_SYMBOL,
        set: |to, value| put(&mut to.order_qty, caps(value, Symbol::new)),
        get: |of| written(of.order_qty.as_ref()),
    },
    Rule {
        limit: Limit::OrderNotional,
        words: BY_ASSET,
        set: |to, value| put(&mut to.order_notional, caps(value, Asset::new)),
        get: |of| written(of.order_notional.as_ref()),
    },
    Rule {
        limit: Limit::PriceBand,
        words: BAND,
        set: |to, value| put(&mut to.price_band, band(value)),
        get: |of| of.price_band.map(|band| band.to_string().into()),
    },
    Rule {
        limit: Limit::OpenOrders,
        words: OPEN,
        set: |to, value| put(&mut to.open_orders, whole(value, OPEN_MOST)),
        get: |of| of.open_orders.map(Value::from),
    },
    Rule {
        limit: Limit::OpenNotional,
        words: BY_ASSET,
        set: |to, value| put(&mut to.open_notional, caps(value, Asset::new)),
        get: |of| written(of.open_notional.as_ref()),
    },
    Rule {
        limit: Limit::PositionQty,
        words: BY_SYMBOL,
        set: |to, value| put(&mut to.position_qty, caps(value, Symbol::new)),
        get: |of| written(of.position_qty.as_ref()),
    },
    Rule {
        limit: Limit::PositionNotional,
        words: BY_ASSET,
        set: |to, value| put(&mut to.position_notional, caps(value, Asset::new)),
        get: |of| written(of.position_notional.as_ref()),
    },
    Rule {
        limit: Limit::LossPerDay,
        words: BY_ASSET,
        set: |to, value| put(&mut to.loss_per_day, caps(value, Asset::new)),
        get: |of| written(of.loss_per_day.as_ref()),
    },
    Rule {
        limit: Limit::OrdersPerSecond,
        words: OFTEN,
        set: |to, value| put(&mut to.orders_per_second, often(value)),
        get: |of| of.orders_per_second.map(Value::from),
    },
    Rule {
        limit: Limit::RejectsPerMinute,
        words: OFTEN,
        set: |to, value| put(&mut to.rejects_per_minute, often(value)),
        get: |of| of.rejects_per_minute.map(Value::from),
    },
];

/// Reads limits.
///
/// # Errors
/// Which key is wrong, what it must be and what was found.
pub fn read(value: &Value) -> Result<Limits, String> {
    let mut limits = Limits::default();
    let scopes = object("limits", value)?;
    if let Some(name) = scopes.keys().find(|name| !SCOPES.contains(&name.as_str())) {
        return Err(unknown(&format!("limits.{name}"), name, &SCOPES));
    }
    let part = |name: &str| {
        let path = format!("limits.{name}");
        scopes.get(name).map(|value| object(&path, value)).transpose()
    };
    if let Some(account) = part("account")? {
        bounds(&mut limits.account, "limits.account", account)?;
    }
    if let Some(session) = part("session")? {
        bounds(&mut limits.session, "limits.session", session)?;
    }
    for (number, value) in part("sessions")?.into_iter().flatten() {
        let path = format!("limits.sessions.{number}");
        let session = number
            .parse::<u16>()
            .ok()
            // "07" and "+7" would be second entries of session 7.
            .filter(|session| session.to_string() == *number)
            .ok_or_else(|| format!("{path:?}: {number:?} is no session number from 0 to {}", u16::MAX))?;
        let mut own = Bounds::default();
        bounds(&mut own, &path, object(&path, value)?)?;
        limits.own.insert(SessionId(session), own);
        // What a session has none of its own of is that of all.
        let mut all = limits.session.clone();
        bounds(&mut all, &path, object(&path, value)?)?;
        limits.sessions.insert(SessionId(session), all);
    }
    if let Some(value) = scopes.get(SELF_TRADE) {
        let wrong = || format!("\"limits.{SELF_TRADE}\" must be true or false, found {}", shown(value));
        limits.refuse_self_trade = value.as_bool().ok_or_else(wrong)?;
    }
    Ok(limits)
}

/// Writes them so that they are read as they are.
pub fn write(limits: &Limits) -> Value {
    let mut scopes = Map::new();
    for (name, bounds) in [("account", &limits.account), ("session", &limits.session)] {
        if *bounds != Bounds::default() {
            scopes.insert(name.to_owned(), of_scope(bounds));
        }
    }
    if !limits.own.is_empty() {
        let own = limits.own.iter().map(|(session, bounds)| (session.to_string(), of_scope(bounds)));
        scopes.insert("sessions".to_owned(), own.collect());
    }
    if limits.refuse_self_trade {
        scopes.insert(SELF_TRADE.to_owned(), true.into());
    }
    scopes.into()
}

fn of_scope(bounds: &Bounds) -> Value {
    RULES.iter().filter_map(|rule| Some((rule.limit.key().to_owned(), (rule.get)(bounds)?))).collect()
}

/// The limits of one scope as `(which, of what, value)`; of what: a symbol, a quote asset, [`OTHERS`], or nothing.
pub fn rows(bounds: &Bounds) -> Vec<(Limit, String, String)> {
    let mut rows = Vec::new();
    for rule in &RULES {
        match (rule.get)(bounds) {
            Some(Value::Object(caps)) => {
                let each = caps.into_iter().map(|(of, cap)| (rule.limit, of, text(&cap)));
                rows.extend(each);
            }
            Some(value) => rows.push((rule.limit, String::new(), text(&value))),
            None => {}
        }
    }
    rows
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// What limits there are, for people.
pub fn words(limits: &Limits) -> String {
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

fn unknown(path: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown key {path:?}; did you mean {near:?}?"),
        None => format!("unknown key {path:?}; known are {}", known.join(", ")),
    }
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{path:?} must be an object, found {}", shown(value)))
}

fn bounds(to: &mut Bounds, path: &str, from: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in from {
        let Some(rule) = RULES.iter().find(|rule| rule.limit.key() == key) else {
            let known: Vec<&str> = RULES.iter().map(|rule| rule.limit.key()).collect();
            return Err(unknown(&format!("{path}.{key}"), key, &known));
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

fn symbols(value: &Value) -> Option<std::collections::BTreeSet<Symbol>> {
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

fn written<K: Ord + fmt::Display, V: fmt::Display>(caps: Option<&Caps<K, V>>) -> Option<Value> {
    let caps = caps?;
    let named = caps.named.iter().map(|(key, amount)| (key.to_string(), Value::from(amount.to_string())));
    let others = caps.others.iter().map(|amount| (OTHERS.to_owned(), Value::from(amount.to_string())));
    Some(named.chain(others).collect())
}

#[cfg(test)]
mod tests;
