//! The venue's error codes, its words for them, and the status each travels with.
//!
//! Words and codes are those of binance-spot-api-docs, errors.md, 2026-07-21.

use std::fmt::Display;

use crate::render::Object;

/// Codes as the venue numbers them.
pub mod code {
    /// Unknown error.
    pub const UNKNOWN: i64 = -1000;
    /// Internal error; on orders the outcome is unknown.
    pub const DISCONNECTED: i64 = -1001;
    /// The key may not do this.
    pub const UNAUTHORIZED: i64 = -1002;
    /// Request weight used up, or banned.
    pub const TOO_MANY_REQUESTS: i64 = -1003;
    /// Execution status unknown.
    pub const UNEXPECTED_RESPONSE: i64 = -1006;
    /// Time-out inside the venue; execution status unknown.
    pub const TIMEOUT: i64 = -1007;
    /// Overloaded; not executed.
    pub const SERVER_BUSY: i64 = -1008;
    /// Refused before the engine (filters).
    pub const INVALID_MESSAGE: i64 = -1013;
    /// Combination not supported.
    pub const UNKNOWN_ORDER_COMPOSITION: i64 = -1014;
    /// Unfilled-order limit.
    pub const TOO_MANY_ORDERS: i64 = -1015;
    /// Service gone.
    pub const SHUTTING_DOWN: i64 = -1016;
    /// Operation not supported.
    pub const UNSUPPORTED_OPERATION: i64 = -1020;
    /// Timestamp outside the receive window.
    pub const INVALID_TIMESTAMP: i64 = -1021;
    /// Wrong signature.
    pub const INVALID_SIGNATURE: i64 = -1022;
    /// Too many connections.
    pub const TOO_MANY_CONNECTIONS: i64 = -1034;
    /// Illegal characters.
    pub const ILLEGAL_CHARACTERS: i64 = -1100;
    /// Too many parameters, or one twice.
    pub const TOO_MANY_PARAMETERS: i64 = -1101;
    /// A mandatory parameter is missing or malformed.
    pub const MANDATORY_MISSING: i64 = -1102;
    /// A parameter nobody reads.
    pub const UNREAD_PARAMETERS: i64 = -1104;
    /// A parameter without value.
    pub const EMPTY_PARAMETER: i64 = -1105;
    /// A parameter that does not belong here.
    pub const NOT_REQUIRED: i64 = -1106;
    /// Too many decimals.
    pub const BAD_PRECISION: i64 = -1111;
    /// Time in force does not belong here.
    pub const TIF_NOT_REQUIRED: i64 = -1114;
    /// No such time in force.
    pub const INVALID_TIF: i64 = -1115;
    /// No such order type.
    pub const INVALID_ORDER_TYPE: i64 = -1116;
    /// No such side.
    pub const INVALID_SIDE: i64 = -1117;
    /// No such bar length.
    pub const INVALID_INTERVAL: i64 = -1120;
    /// No such symbol.
    pub const INVALID_SYMBOL: i64 = -1121;
    /// More than 24 hours asked for.
    pub const INTERVAL_TOO_BIG: i64 = -1127;
    /// Optional parameters that exclude each other.
    pub const BAD_COMBINATION: i64 = -1128;
    /// A value that is not valid.
    pub const INVALID_PARAMETER: i64 = -1130;
    /// Strategy types start at a million.
    pub const BAD_STRATEGY_TYPE: i64 = -1134;
    /// Not JSON.
    pub const INVALID_JSON: i64 = -1135;
    /// No such cancel restriction.
    pub const INVALID_CANCEL_RESTRICTIONS: i64 = -1145;
    /// A symbol named twice.
    pub const DUPLICATE_SYMBOLS: i64 = -1151;
    /// No such time unit.
    pub const INVALID_TIME_UNIT: i64 = -1194;
    /// The symbol is in another status.
    pub const STATUS_MISMATCH: i64 = -1220;
    /// The engine refused the order.
    pub const NEW_ORDER_REJECTED: i64 = -2010;
    /// The engine refused the cancel.
    pub const CANCEL_REJECTED: i64 = -2011;
    /// A query found no such order.
    pub const NO_SUCH_ORDER: i64 = -2013;
    /// The key is not formed like a key.
    pub const BAD_KEY_FORMAT: i64 = -2014;
    /// Unknown key, wrong address or missing permission.
    pub const REJECTED_KEY: i64 = -2015;
    /// cancelReplace: one half failed.
    pub const CANCEL_REPLACE_PARTIALLY_FAILED: i64 = -2021;
    /// cancelReplace: both halves failed.
    pub const CANCEL_REPLACE_FAILED: i64 = -2022;
    /// The order is archived.
    pub const ORDER_ARCHIVED: i64 = -2026;
    /// A private subscription of this account is active on the connection.
    pub const SUBSCRIPTION_ACTIVE: i64 = -2035;
    /// No such private subscription.
    pub const SUBSCRIPTION_INACTIVE: i64 = -2036;
    /// The engine refused the amend.
    pub const AMEND_REJECTED: i64 = -2038;
    /// The client id is not that order's.
    pub const CLIENT_ID_MISMATCH: i64 = -2039;
    /// Subscription numbers are used up.
    pub const SUBSCRIPTIONS_EXHAUSTED: i64 = -2042;
    /// No reference price.
    pub const NO_REFERENCE_PRICE: i64 = -2043;
}

/// An error as the venue sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// HTTP status, or the `status` field of a websocket reply.
    pub status: u16,
    /// Its code.
    pub code: i64,
    /// Its words.
    pub message: String,
    /// More of it, a JSON value (`data`).
    pub data: Option<String>,
}

impl ErrorReply {
    /// An error of any status.
    pub fn new(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), data: None }
    }

    /// A request that is at fault (400).
    pub fn bad(code: i64, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// The same with a `data` value.
    #[must_use]
    pub fn with_data(mut self, json: String) -> Self {
        self.data = Some(json);
        self
    }

    /// A mandatory parameter is missing.
    pub fn missing(name: &str) -> Self {
        Self::bad(
            code::MANDATORY_MISSING,
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
        )
    }

    /// One of two parameters is needed.
    pub fn missing_both(first: &str, second: &str) -> Self {
        Self::bad(
            code::MANDATORY_MISSING,
            format!("Param '{first}' or '{second}' must be sent, but both were empty/null!"),
        )
    }

    /// A parameter has characters outside its range.
    pub fn illegal(name: &str, range: &str) -> Self {
        Self::bad(
            code::ILLEGAL_CHARACTERS,
            format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."),
        )
    }

    /// A parameter is empty.
    pub fn empty(name: &str) -> Self {
        Self::bad(code::EMPTY_PARAMETER, format!("Parameter '{name}' was empty."))
    }

    /// A parameter does not belong to the request.
    pub fn not_required(name: &str) -> Self {
        Self::bad(code::NOT_REQUIRED, format!("Parameter '{name}' sent when not required."))
    }

    /// A number has too many decimals.
    pub fn precision(name: &str) -> Self {
        Self::bad(code::BAD_PRECISION, format!("Parameter '{name}' has too much precision."))
    }

    /// A value is not valid.
    pub fn invalid(name: &str) -> Self {
        Self::bad(code::INVALID_PARAMETER, format!("Data sent for parameter '{name}' is not valid."))
    }

    /// Some parameters were not read.
    pub fn unread(read: usize, sent: usize) -> Self {
        Self::bad(
            code::UNREAD_PARAMETERS,
            format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."),
        )
    }

    /// A filter of the symbol or the exchange is violated.
    pub fn filter(name: impl Display) -> Self {
        Self::bad(code::INVALID_MESSAGE, format!("Filter failure: {name}"))
    }

    /// No such symbol.
    pub fn symbol() -> Self {
        Self::bad(code::INVALID_SYMBOL, "Invalid symbol.")
    }

    /// The signature does not hold.
    pub fn signature() -> Self {
        Self::bad(code::INVALID_SIGNATURE, "Signature for this request is not valid.")
    }

    /// Key unknown, revoked, or without the permission (401).
    pub fn key() -> Self {
        Self::new(401, code::REJECTED_KEY, "Invalid API-key, IP, or permissions for action.")
    }

    /// The key is not formed like one (401).
    pub fn key_format() -> Self {
        Self::new(401, code::BAD_KEY_FORMAT, "API-key format invalid.")
    }

    /// The engine refuses a new order in these words.
    pub fn order(message: &str) -> Self {
        Self::bad(code::NEW_ORDER_REJECTED, message)
    }

    /// The engine refuses a cancel in these words.
    pub fn cancel(message: &str) -> Self {
        Self::bad(code::CANCEL_REJECTED, message)
    }

    /// The time-out whose outcome nobody knows (408 would be the proxy's; the venue sends 500-class).
    pub fn timeout() -> Self {
        Self::new(
            504,
            code::TIMEOUT,
            "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        )
    }

    /// `{"code":…,"msg":…}` and `data` if there is any: the body of REST, and `error` of the websocket API.
    pub fn body(&self) -> String {
        let object = Object::new().int("code", self.code).text("msg", &self.message);
        match &self.data {
            Some(data) => object.raw("data", data).end(),
            None => object.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_the_documented_ones() {
        assert_eq!(ErrorReply::symbol().body(), r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        assert_eq!(
            ErrorReply::missing("side").body(),
            r#"{"code":-1102,"msg":"Mandatory parameter 'side' was not sent, was empty/null, or malformed."}"#
        );
        let partly = ErrorReply::new(
            409,
            code::CANCEL_REPLACE_PARTIALLY_FAILED,
            "Order cancel-replace partially failed.",
        );
        assert_eq!(
            partly.with_data("{\"cancelResult\":\"SUCCESS\"}".into()).body(),
            r#"{"code":-2021,"msg":"Order cancel-replace partially failed.","data":{"cancelResult":"SUCCESS"}}"#
        );
    }
}
