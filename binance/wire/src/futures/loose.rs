//! Numbers as this market spells them: as a text, bare, as an empty text or not at all, for the same field.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;
use tradingsys::num::{DECIMALS, Price};

/// Reads a number in any of its spellings; one that is empty or `null` is the default.
pub(super) fn loose<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display> + Default,
{
    let raw: &RawValue = Deserialize::deserialize(deserializer)?;
    match raw.get().trim_matches('"') {
        "" | "null" => Ok(T::default()),
        text => text.parse().map_err(D::Error::custom),
    }
}

/// Reads an average price, of which the venue may print more decimals than we count; the rest is cut off.
pub(super) fn rough<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
    let raw: &RawValue = Deserialize::deserialize(deserializer)?;
    let text = raw.get().trim_matches('"');
    let end = text.find('.').map_or(text.len(), |point| text.len().min(point + 1 + DECIMALS as usize));
    match &text[..end] {
        "" | "null" => Ok(Price::ZERO),
        text => text.parse().map_err(D::Error::custom),
    }
}
