//! Parameters of a request, whatever they came in: a query, a form body, or the `params` of a websocket
//! frame.
//!
//! Values stay the texts that were sent, since signatures are over them; typed readers refuse in the
//! venue's words.

use std::borrow::Cow;

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::PLACES;
use binance_wire::sign::percent_decode;
use serde_json::value::RawValue;
use tradingsys::num::{ParseNumberError, parse_raw};
use tradingsys::time::Time;

/// Legal range the venue names for decimals.
const DECIMAL_RANGE: &str = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
/// Legal range the venue names for integers.
const INTEGER_RANGE: &str = "^[0-9]{1,20}$";
/// Legal range the venue names for client order ids.
pub(crate) const CLIENT_ID_RANGE: &str = "^[a-zA-Z0-9-_]{1,36}$";

/// Names that any request may carry besides its own.
const COMMON: [&str; 5] = ["apiKey", "signature", "timestamp", "recvWindow", "returnRateLimits"];

/// The parameters of one request, in the order sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    list: Vec<(String, String)>,
}

impl Params {
    /// From a query and a form body, both percent-encoded. A name in both counts as in the query.
    ///
    /// # Errors
    /// A name twice in one of them, or a broken escape.
    pub(crate) fn from_rest(query: &str, body: &str) -> Result<Self, ErrorReply> {
        let mut params = Self::default();
        params.take_form(query, false)?;
        params.take_form(body, true)?;
        Ok(params)
    }

    fn take_form(&mut self, form: &str, known_wins: bool) -> Result<(), ErrorReply> {
        let before = self.list.len();
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(ErrorReply::bad(
                    code::ILLEGAL_CHARACTERS,
                    "Illegal characters found in a parameter.",
                ));
            };
            match self.list.iter().position(|(n, _)| *n == name) {
                Some(at) if known_wins && at < before => {}
                Some(_) => return Err(duplicate()),
                None => self.list.push((name, value)),
            }
        }
        Ok(())
    }

    /// From the `params` object of a websocket frame. Strings lose their quotes; all else keeps its text.
    ///
    /// # Errors
    /// Not an object, or a name twice.
    pub(crate) fn from_json(params: &RawValue) -> Result<Self, ErrorReply> {
        let fields: Fields<'_> = serde_json::from_str(params.get()).map_err(|_| {
            ErrorReply::bad(code::INVALID_JSON, "JSON sent for parameter 'params' is not valid")
        })?;
        let mut list: Vec<(String, String)> = Vec::with_capacity(fields.0.len());
        for (name, value) in fields.0 {
            if list.iter().any(|(n, _)| *n == name) {
                return Err(duplicate());
            }
            let raw = value.get();
            let text = if raw.starts_with('"') {
                serde_json::from_str(raw).map_err(|_| ErrorReply::invalid(&name))?
            } else if raw == "null" {
                continue;
            } else {
                raw.to_owned()
            };
            list.push((name.into_owned(), text));
        }
        Ok(Self { list })
    }

    /// Names and values, as signed by the websocket API.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses parameters that nobody reads: the request knows `names`, and those every request may carry.
    ///
    /// # Errors
    /// -1101 if it takes none at all, else -1104.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), ErrorReply> {
        let known = |name: &str| names.contains(&name) || COMMON.contains(&name) || names == ["*"];
        let read = self.list.iter().filter(|(name, _)| known(name)).count();
        let sent = self.list.len();
        if read == sent {
            return Ok(());
        }
        if names.is_empty() {
            return Err(ErrorReply::bad(
                code::TOO_MANY_PARAMETERS,
                format!("Too many parameters; expected '0' and received '{sent}'."),
            ));
        }
        Err(ErrorReply::unread(read, sent))
    }

    /// Was it sent?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(n, _)| n == name)
    }

    /// A text.
    ///
    /// # Errors
    /// It is there and empty (-1105).
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ErrorReply> {
        match self.list.iter().find(|(n, _)| n == name) {
            Some((_, value)) if value.is_empty() => Err(ErrorReply::empty(name)),
            found => Ok(found.map(|(_, value)| value.as_str())),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// Missing or empty (-1102, -1105).
    pub(crate) fn need(&self, name: &str) -> Result<&str, ErrorReply> {
        self.text(name)?.ok_or_else(|| ErrorReply::missing(name))
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// Anything else (-1100, -1105).
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ErrorReply> {
        self.text(name)?
            .map(|text| {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                text.parse().ok().filter(|_| digits).ok_or_else(|| ErrorReply::illegal(name, INTEGER_RANGE))
            })
            .transpose()
    }

    /// A decimal of at most eight places, in raw units of 10⁻¹⁰.
    ///
    /// # Errors
    /// Malformed (-1100), too precise (-1111), empty (-1105).
    pub(crate) fn decimal(&self, name: &str) -> Result<Option<i128>, ErrorReply> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let raw = match parse_raw(text) {
            Ok(raw) if !text.starts_with('-') => raw,
            Err(ParseNumberError::TooPrecise) => return Err(ErrorReply::precision(name)),
            _ => return Err(ErrorReply::illegal(name, DECIMAL_RANGE)),
        };
        let places = text.split_once('.').map_or(0, |(_, f)| f.trim_end_matches('0').len());
        if places > PLACES as usize {
            return Err(ErrorReply::precision(name));
        }
        Ok(Some(raw))
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// Anything else (-1130).
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ErrorReply> {
        self.text(name)?
            .map(|text| match text.to_ascii_lowercase().as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(ErrorReply::invalid(name)),
            })
            .transpose()
    }

    /// A point in time, in milliseconds or (by its size) microseconds.
    ///
    /// # Errors
    /// Not a whole number (-1100).
    pub(crate) fn time(&self, name: &str) -> Result<Option<Time>, ErrorReply> {
        Ok(self.integer(name)?.map(time_of))
    }

    /// A list: a JSON array of strings, or one plain word.
    ///
    /// # Errors
    /// Neither (-1100).
    pub(crate) fn words(&self, name: &str) -> Result<Option<Vec<String>>, ErrorReply> {
        self.text(name)?
            .map(|text| {
                if !text.starts_with('[') {
                    return Ok(vec![text.to_owned()]);
                }
                serde_json::from_str(text).map_err(|_| {
                    ErrorReply::illegal(
                        name,
                        "^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$",
                    )
                })
            })
            .transpose()
    }

    /// A client order id.
    ///
    /// # Errors
    /// Outside the legal range (-1100), empty (-1105).
    pub(crate) fn client_id(&self, name: &str) -> Result<Option<&str>, ErrorReply> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let fits =
            text.len() <= 36 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(Some(text)) } else { Err(ErrorReply::illegal(name, CLIENT_ID_RANGE)) }
    }

    /// How many rows are wanted: `usual` if it does not say, `most` at most.
    ///
    /// # Errors
    /// Not a whole number, or zero (-1100, -1130).
    pub(crate) fn limit(&self, usual: usize, most: usize) -> Result<usize, ErrorReply> {
        match self.integer("limit")? {
            None => Ok(usual),
            Some(0) => Err(ErrorReply::invalid("limit")),
            Some(wanted) => Ok(usize::try_from(wanted).map_or(most, |wanted| wanted.min(most))),
        }
    }
}

/// A timestamp by its size: from 10¹⁴ on it is in microseconds.
pub(crate) fn time_of(number: i64) -> Time {
    if number >= 100_000_000_000_000 {
        Time::from_nanos(number.saturating_mul(1_000))
    } else {
        Time::from_nanos(number.saturating_mul(1_000_000))
    }
}

fn duplicate() -> ErrorReply {
    ErrorReply::bad(code::TOO_MANY_PARAMETERS, "Duplicate values for a parameter detected.")
}

/// A JSON object whose values keep their text and whose names may repeat.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<&'de RawValue>()? {
                    let name: String = serde_json::from_str(name.get()).map_err(serde::de::Error::custom)?;
                    fields.push((Cow::Owned(name), map.next_value()?));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Visitor).map(Fields)
    }
}
