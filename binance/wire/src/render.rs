//! Writing JSON in the venue's field order, and its spelling of numbers and times.
//!
//! The venue prints amounts as strings with eight decimals and times as integers in milliseconds, or in microseconds
//! where a connection or request asks for them.

use std::fmt::{Display, Write as _};

use tradingsys::market::Level;
use tradingsys::num::write_fixed;
use tradingsys::time::Time;

/// Decimals of prices, quantities and amounts on spot.
pub const PLACES: u32 = 8;

/// In which unit a reader wants times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeUnit {
    /// Milliseconds since the epoch.
    #[default]
    Millis,
    /// Microseconds since the epoch.
    Micros,
}

impl TimeUnit {
    /// From the word of a URL or header: `MICROSECOND`, `MILLISECOND`, or both in lower case.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "MICROSECOND" | "microsecond" => Some(Self::Micros),
            "MILLISECOND" | "millisecond" => Some(Self::Millis),
            _ => None,
        }
    }

    /// A time as this unit's integer.
    pub const fn of(self, time: Time) -> i64 {
        match self {
            Self::Millis => time.millis(),
            Self::Micros => time.nanos().div_euclid(1_000),
        }
    }
}

/// Eight decimals, without quotes.
pub fn fixed(raw: i128) -> String {
    write_fixed(raw, PLACES)
}

/// A JSON object under construction; fields appear in the order they are added.
#[derive(Debug, Default)]
pub struct Object {
    text: String,
}

impl Object {
    /// An object without fields.
    pub fn new() -> Self {
        Self { text: String::with_capacity(256) }
    }

    fn name(&mut self, name: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// A string, escaped.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.text.push_str(&quoted(value));
        self
    }

    /// An integer.
    #[must_use]
    pub fn int(mut self, name: &str, value: impl Display) -> Self {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.text.push_str(if value { "true" } else { "false" });
        self
    }

    /// A number of raw units as a string of eight decimals.
    #[must_use]
    pub fn fixed(mut self, name: &str, raw: i128) -> Self {
        self.name(name);
        let _ = write!(self.text, "\"{}\"", fixed(raw));
        self
    }

    /// Any JSON value, written already.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.text.push_str(json);
        self
    }

    /// The fields of `more` after the ones so far.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        if !more.text.is_empty() {
            self.text.push(if self.text.is_empty() { '{' } else { ',' });
            self.text.push_str(&more.text[1..]);
        }
        self
    }

    /// The object's text.
    pub fn end(mut self) -> String {
        if self.text.is_empty() {
            self.text.push('{');
        }
        self.text.push('}');
        self.text
    }
}

/// A JSON array of values written already.
pub fn array<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::from("[");
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(item.as_ref());
    }
    text.push(']');
    text
}

/// A JSON string.
pub fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// `[["price","qty"],…]` as depth frames have it.
pub fn levels<'a>(levels: impl IntoIterator<Item = &'a Level>) -> String {
    let mut text = String::from("[");
    for (at, level) in levels.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        let _ = write!(text, "[\"{}\",\"{}\"]", fixed(level.price.raw()), fixed(level.qty.raw()));
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_the_order_and_escape() {
        let object = Object::new().int("u", 7).text("s", "a\"b\n").fixed("p", 12_345_000_000).flag("m", true);
        assert_eq!(object.end(), r#"{"u":7,"s":"a\"b\n","p":"1.23450000","m":true}"#);
        assert_eq!(Object::new().end(), "{}");
        assert_eq!(Object::new().and(Object::new().int("a", 1)).int("b", 2).end(), r#"{"a":1,"b":2}"#);
        assert_eq!(array(["1", "\"x\""]), r#"[1,"x"]"#);
        assert_eq!(array::<&str>([]), "[]");
    }

    #[test]
    fn times_in_both_units() {
        let time = Time::from_nanos(1_499_405_658_657_123_456);
        assert_eq!(TimeUnit::Millis.of(time), 1_499_405_658_657);
        assert_eq!(TimeUnit::Micros.of(time), 1_499_405_658_657_123);
        assert_eq!(TimeUnit::from_word("microsecond"), Some(TimeUnit::Micros));
        assert_eq!(TimeUnit::from_word("SECOND"), None);
    }
}
