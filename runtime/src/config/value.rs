//! The file's values, checked against the table of keys.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use tradingsys::jsonc::{Single, nearest, shown};

use super::keys::{Key, Kind, known_elsewhere};

/// The values of the keys that are there, each of the kind its key asks for.
pub(super) struct Table(BTreeMap<String, Value>);

/// An object in the order of the file, repetitions kept.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, {\"apikey\": …}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, Single(value))) = map.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The message for a name that this program does not know.
pub(super) fn unknown(name: &str, exe: &str, near: Option<&str>, known: &[&str]) -> String {
    if let Some(words) = known_elsewhere(name, exe) {
        return words;
    }
    match near {
        Some(near) => format!("unknown key {name:?}; did you mean {near:?}?"),
        None => format!("unknown key {name:?}; known are {}", known.join(", ")),
    }
}

impl Table {
    pub(super) fn read(text: &str, keys: &[Key], exe: &str) -> Result<Self, String> {
        let Pairs(pairs) = serde_json::from_str(text).map_err(|error| format!("not readable: {error}"))?;
        let mut table = BTreeMap::new();
        for (name, value) in pairs {
            let Some(key) = keys.iter().find(|key| key.name == name) else {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                return Err(unknown(&name, exe, nearest(&name, known.iter().copied()), &known));
            };
            if let Some(found) = mismatch(key.kind, &value) {
                return Err(format!("{name:?} must be {}, found {found}", key.kind.words()));
            }
            if table.insert(name.clone(), value).is_some() {
                return Err(format!("{name:?} is there twice; keep one"));
            }
        }
        let missing = keys.iter().find(|key| key.required && !table.contains_key(key.name));
        match missing {
            Some(key) => Err(format!("{:?} is missing; it must be {}", key.name, key.kind.words())),
            None => Ok(Self(table)),
        }
    }

    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn take_flag(&mut self, name: &str) -> bool {
        matches!(self.0.remove(name), Some(Value::Bool(true)))
    }

    /// Whatever is there.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A flag, if it is there.
    pub(super) fn take_choice(&mut self, name: &str) -> Option<bool> {
        self.0.remove(name)?.as_bool()
    }

    pub(super) fn take_whole(&mut self, name: &str, default: i64) -> i64 {
        self.0.remove(name).and_then(|value| value.as_i64()).unwrap_or(default)
    }

    pub(super) fn take_texts(&mut self, name: &str) -> Vec<String> {
        match self.0.remove(name) {
            Some(Value::Array(items)) => {
                items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn take_addresses(&mut self, name: &str) -> Option<BTreeMap<String, String>> {
        match self.0.remove(name) {
            Some(Value::Object(map)) => Some(
                map.into_iter()
                    .filter_map(|(name, value)| value.as_str().map(|text| (name, text.to_owned())))
                    .collect(),
            ),
            _ => None,
        }
    }
}

/// What was found instead, if the value is not of that kind.
fn mismatch(kind: Kind, value: &Value) -> Option<String> {
    let fits = match (kind, value) {
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => true,
        (Kind::Whole(least, most), Value::Number(number)) => {
            number.as_u64().is_some_and(|whole| (least..=most).contains(&whole))
        }
        (Kind::Word(words), Value::String(text)) => words.contains(&text.as_str()),
        (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
        (Kind::Addresses, Value::Object(map)) => map.values().all(Value::is_string),
        (Kind::Object, Value::Object(_)) => true,
        _ => false,
    };
    (!fits).then(|| match (kind, value) {
        // A choice of words is no secret.
        (Kind::Word(_), Value::String(text)) => format!("{:?}", text.chars().take(40).collect::<String>()),
        _ => shown(value),
    })
}
