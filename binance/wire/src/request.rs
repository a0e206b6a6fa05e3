//! Requests of the websocket API: one JSON text frame each, written straight into its buffer.

use std::fmt::{Display, Write as _};

use crate::sign::{SecretKey, ws_payload};

/// A request being written. Numbers that are decimals go as text, as the venue wants them.
#[derive(Debug)]
pub struct Request {
    text: String,
    empty: bool,
}

impl Request {
    /// Starts a request with a numeric id.
    pub fn new(id: u64, method: &str) -> Self {
        let mut text = String::with_capacity(320);
        let _ = write!(text, r#"{{"id":{id},"method":"{method}","params":{{"#);
        Self { text, empty: true }
    }

    /// Adds a parameter as a JSON string: words, names, decimals.
    #[must_use]
    pub fn text(mut self, name: &str, value: impl Display) -> Self {
        self.name(name);
        self.text.push('"');
        let _ = write!(Escaped(&mut self.text), "{value}");
        self.text.push('"');
        self
    }

    /// Adds a parameter as a JSON number.
    #[must_use]
    pub fn int(mut self, name: &str, value: i64) -> Self {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a parameter as a JSON truth value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// The finished frame.
    pub fn finish(mut self) -> String {
        self.text.push_str("}}");
        self.text
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.text.push(',');
        }
        self.empty = false;
        let _ = write!(self.text, r#""{name}":"#);
    }
}

/// The frame of `session.logon`, signed. `timestamp` is the venue's time in milliseconds.
pub fn logon(id: u64, apikey: &str, key: &SecretKey, timestamp: i64, recv_window: i64) -> String {
    let (timestamp_text, window_text) = (timestamp.to_string(), recv_window.to_string());
    let payload = ws_payload([
        ("apiKey", apikey),
        ("recvWindow", window_text.as_str()),
        ("timestamp", timestamp_text.as_str()),
    ]);
    Request::new(id, "session.logon")
        .text("apiKey", apikey)
        .int("recvWindow", recv_window)
        .int("timestamp", timestamp)
        .text("signature", key.sign(payload.as_bytes()))
        .finish()
}

/// The frame that subscribes to, or leaves, streams of the market-data host; without names, one that asks for a list.
pub fn stream_control<'a>(id: u64, method: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = format!(r#"{{"method":"{method}","#);
    let mut open = false;
    for name in names {
        text.push_str(if open { ",\"" } else { "\"params\":[\"" });
        open = true;
        let _ = Escaped(&mut text).write_str(name);
        text.push('"');
    }
    let _ = write!(text, r#"{}"id":{id}}}"#, if open { "]," } else { "" });
    text
}

/// Writes text as the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c < ' ' => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_as_documented() {
        let frame =
            Request::new(7, "order.place").text("symbol", "BTCUSDT").int("timestamp", 5).flag("x", true);
        assert_eq!(
            frame.finish(),
            r#"{"id":7,"method":"order.place","params":{"symbol":"BTCUSDT","timestamp":5,"x":true}}"#
        );
        assert_eq!(Request::new(1, "time").finish(), r#"{"id":1,"method":"time","params":{}}"#);
        assert_eq!(
            stream_control(3, "SUBSCRIBE", ["btcusdt@trade", "a\"b"]),
            r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","a\"b"],"id":3}"#
        );
        let list = stream_control(4, "LIST_SUBSCRIPTIONS", []);
        assert_eq!(list, r#"{"method":"LIST_SUBSCRIPTIONS","id":4}"#);
    }

    #[test]
    fn odd_characters_stay_one_json_string() {
        let id = "a\"b\\c\u{1}é";
        let frame = Request::new(1, "order.cancel").text("origClientOrderId", id).finish();
        let value: serde_json::Value = serde_json::from_str(&frame).unwrap();
        assert_eq!(value["params"]["origClientOrderId"], id);
    }

    #[test]
    fn the_logon_is_signed_over_its_own_parameters() {
        let key = SecretKey::from_seed(&[7; 32]);
        let value: serde_json::Value =
            serde_json::from_str(&logon(1, "the-key", &key, 1_700_000_000_123, 5_000)).unwrap();
        let params = &value["params"];
        assert_eq!(value["method"], "session.logon");
        assert_eq!(params["timestamp"], 1_700_000_000_123_i64);
        let signed = "apiKey=the-key&recvWindow=5000&timestamp=1700000000123";
        assert!(key.checker().verify(signed.as_bytes(), params["signature"].as_str().unwrap()));
    }
}
