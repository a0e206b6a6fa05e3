//! Numbers as this market spells them: as a text, bare, as an empty text or not at all, for the same field.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

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
