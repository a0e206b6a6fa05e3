//! What people write as JSON: comments and trailing commas, names mistyped or given twice.
//!
//! [`plain`] blanks out what is no JSON: every byte keeps its place, so an error's line and column are those of the
//! file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The same text with comments and trailing commas replaced by blanks. Line breaks and byte offsets stay.
pub fn plain(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut comma: Option<usize> = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = end_of_string(&bytes, at);
                comma = None;
                continue;
            }
            b'/' if matches!(bytes.get(at + 1), Some(b'/' | b'*')) => {
                let end = end_of_comment(&bytes, at);
                blank(&mut bytes[at..end]);
                at = end;
                continue;
            }
            b',' => comma = Some(at),
            b'}' | b']' => {
                if let Some(trailing) = comma.take() {
                    bytes[trailing] = b' ';
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        at += 1;
    }
    // Only ASCII bytes and whole comments were replaced, each by an ASCII blank.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// The place after the string's closing quote, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_comment(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 2..];
    let length = if bytes[start + 1] == b'/' {
        rest.iter().position(|b| *b == b'\n')
    } else {
        rest.windows(2).position(|pair| pair == b"*/").map(|at| at + 2)
    };
    length.map_or(bytes.len(), |length| start + 2 + length)
}

/// A value in which no name of an object is there twice: of two limits, none is known to be meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Single(pub Value);

impl Serialize for Single {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Single {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Single;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Single, E> {
                Ok(Single(Value::Null))
            }
            fn visit_bool<E>(self, found: bool) -> Result<Single, E> {
                Ok(Single(found.into()))
            }
            fn visit_i64<E>(self, found: i64) -> Result<Single, E> {
                Ok(Single(found.into()))
            }
            fn visit_u64<E>(self, found: u64) -> Result<Single, E> {
                Ok(Single(found.into()))
            }
            fn visit_f64<E>(self, found: f64) -> Result<Single, E> {
                Ok(Single(found.into()))
            }
            fn visit_str<E>(self, found: &str) -> Result<Single, E> {
                Ok(Single(found.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Single, A::Error> {
                let mut all = Vec::new();
                while let Some(Single(item)) = items.next_element()? {
                    all.push(item);
                }
                Ok(Single(all.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Single, A::Error> {
                let mut all = Map::new();
                while let Some((name, Single(value))) = map.next_entry::<String, _>()? {
                    if all.insert(name.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{name:?} is there twice; keep one")));
                    }
                }
                Ok(Single(all.into()))
            }
        }
        deserializer.deserialize_any(Collect)
    }
}

/// Long or secret values are not repeated in messages: texts are called a string.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(_) => "a string".into(),
        Value::Array(items) if items.iter().all(Value::is_string) => "a list of strings".into(),
        Value::Array(_) => "a list with other things in it".into(),
        Value::Object(map) => map
            .iter()
            .find(|(_, value)| !value.is_string())
            .map_or_else(|| "an object".into(), |(name, value)| format!("{} at {name:?}", shown(value))),
        other => other.to_string(),
    }
}

/// The known name nearest to a mistyped one, if it is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let close = (name.chars().count() / 2).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= close)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements between the two.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_blanked_in_place() {
        for (text, expected) in [
            ("{\"a\":1, // x\n}", "{\"a\":1}"),
            ("[1,/* , */]", "[1]"),
            ("{\"u\":\"ws://h\",}", "{\"u\":\"ws://h\"}"),
            ("{\"q\":\"\\\"//\",\n\n}", "{\"q\":\"\\\"//\"}"),
            ("/* é\n */{}", "{}"),
            ("{} // end", "{}"),
            ("{} /* open", "{}"),
            ("\"open", "\"open"),
            ("\"open\\", "\"open\\"),
            ("[1,,2]", "[1,,2]"),
            ("[,]", "[]"),
            ("/", "/"),
        ] {
            let out = plain(text);
            let breaks = |text: &str| -> Vec<usize> { text.match_indices('\n').map(|(at, _)| at).collect() };
            assert_eq!(out.split_whitespace().collect::<String>(), expected, "{text:?}");
            assert_eq!((out.len(), breaks(&out)), (text.len(), breaks(text)), "{text:?}");
        }
    }

    #[test]
    fn an_error_is_where_it_is_in_the_file() {
        let text = "{\n  // comment\n  \"a\": 1,\n  \"b\": oops,\n}";
        let error = serde_json::from_str::<serde_json::Value>(&plain(text)).unwrap_err();
        assert_eq!((error.line(), error.column()), (4, 8));
    }
}
