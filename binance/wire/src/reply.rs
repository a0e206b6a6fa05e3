//! Frames the websocket API sends: replies to requests, and events of the account.

use serde::Deserialize;
use serde_json::value::RawValue;
use tradingsys::time::{Span, Time};
use tradingsys::venue::limit::{LimitKind, LimitRow};

/// A frame that is not what the venue documents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {what}: {why}")]
pub struct Malformed {
    /// What was expected.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Malformed {
    /// Nothing of the frame itself is kept: it may hold what must not be logged.
    pub fn new(what: &'static str, why: impl ToString) -> Self {
        Self { what, why: why.to_string() }
    }
}

/// Reads JSON into a type.
///
/// # Errors
/// [`Malformed`], naming `what`.
pub(crate) fn read<'a, T: Deserialize<'a>>(what: &'static str, text: &'a str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed::new(what, error))
}

/// A frame of the websocket API.
#[derive(Debug)]
pub enum Frame<'a> {
    /// The answer to a request of ours.
    Reply(Reply<'a>),
    /// An event of the account or of the connection, still unread.
    Event(&'a str),
    /// An error that answers no request: the key was revoked, the frame before was not understood.
    Unasked(ApiError),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Id of the request.
    pub id: u64,
    /// The result, still unread, or the error.
    pub result: Result<&'a str, ApiError>,
    /// The rate limits it reports.
    pub limits: Vec<LimitRow>,
}

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP-like status.
    pub status: u16,
    /// The venue's code; 0 where it gave none.
    pub code: i64,
    /// The venue's words.
    pub message: String,
    /// Venue time before which nothing may be sent, where it says so.
    pub retry_after: Option<Time>,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.status, self.code, self.message)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFrame<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    status: Option<u16>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<RawError<'a>>,
    #[serde(default, borrow)]
    rate_limits: Vec<RawLimit<'a>>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(crate) struct RawError<'a> {
    #[serde(default)]
    pub(crate) code: i64,
    #[serde(default)]
    pub(crate) msg: String,
    /// Its shape depends on the error; only some carry a time.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawErrorData {
    retry_after: Option<i64>,
}

/// A row of `rateLimits`, in replies and in `exchangeInfo` alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawLimit<'a> {
    rate_limit_type: &'a str,
    interval: &'a str,
    interval_num: i64,
    limit: u64,
    count: Option<u64>,
}

/// Rows of kinds we count; others (raw requests, connections, future kinds) are left to the venue.
pub(crate) fn limit_rows(rows: &[RawLimit<'_>]) -> Vec<LimitRow> {
    let row = |raw: &RawLimit<'_>| {
        let kind = match raw.rate_limit_type {
            "REQUEST_WEIGHT" => LimitKind::Weight,
            "ORDERS" => LimitKind::Orders,
            _ => return None,
        };
        let unit = match raw.interval {
            "SECOND" => 1,
            "MINUTE" => 60,
            "HOUR" => 3_600,
            "DAY" => 86_400,
            _ => return None,
        };
        let window = Span::from_secs(raw.interval_num.checked_mul(unit)?);
        Some(LimitRow { kind, window, limit: raw.limit, count: raw.count })
    };
    rows.iter().filter_map(row).collect()
}

/// Reads one frame.
///
/// # Errors
/// [`Malformed`] if it is neither a reply nor an event.
pub fn frame(text: &str) -> Result<Frame<'_>, Malformed> {
    let raw: RawFrame<'_> = read("a frame of the websocket API", text)?;
    if let Some(event) = raw.event {
        return Ok(Frame::Event(event.get()));
    }
    let status = raw.status.unwrap_or_default();
    let error = raw.error.map(|error| ApiError {
        status,
        code: error.code,
        message: error.msg,
        retry_after: error
            .data
            .and_then(|data| serde_json::from_str::<RawErrorData>(data.get()).ok()?.retry_after)
            .map(Time::from_millis),
    });
    let id: Option<u64> = raw.id.and_then(|id| id.get().parse().ok());
    match (id, error, raw.result) {
        (Some(id), None, Some(result)) if status == 200 => {
            Ok(Frame::Reply(Reply { id, result: Ok(result.get()), limits: limit_rows(&raw.rate_limits) }))
        }
        (Some(id), error, _) => {
            let error = error.unwrap_or_else(|| ApiError {
                status,
                code: 0,
                message: "neither result nor error".to_owned(),
                retry_after: None,
            });
            Ok(Frame::Reply(Reply { id, result: Err(error), limits: limit_rows(&raw.rate_limits) }))
        }
        (None, Some(error), _) => Ok(Frame::Unasked(error)),
        (None, None, _) => Err(Malformed::new("a frame of the websocket API", "no id, event or error")),
    }
}

/// Reads the answer to `time`, and to any request that shows `serverTime`.
///
/// # Errors
/// [`Malformed`] if it has no server time.
pub fn server_time(result: &str) -> Result<Time, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        server_time: i64,
    }
    read::<Raw>("the server time", result).map(|raw| Time::from_millis(raw.server_time))
}

/// Reads the answer to `account.rateLimits.orders`.
///
/// # Errors
/// [`Malformed`] if it is not an array of limits.
pub fn order_limits(result: &str) -> Result<Vec<LimitRow>, Malformed> {
    read::<Vec<RawLimit<'_>>>("the order limits", result).map(|rows| limit_rows(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_reply() {
        let text = r#"{"id":12,"status":200,"result":{"serverTime":1656400526260},"rateLimits":[
            {"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50,"count":12},
            {"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000,"count":1},
            {"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":70}],"new":1}"#;
        let Frame::Reply(reply) = frame(text).unwrap() else { panic!("a reply") };
        assert_eq!(reply.id, 12);
        assert_eq!(server_time(reply.result.unwrap()).unwrap(), Time::from_millis(1_656_400_526_260));
        let rows = [
            LimitRow { kind: LimitKind::Orders, window: Span::from_secs(10), limit: 50, count: Some(12) },
            LimitRow { kind: LimitKind::Weight, window: Span::from_secs(60), limit: 6000, count: Some(70) },
        ];
        assert_eq!(reply.limits, rows);
    }

    #[test]
    fn errors_with_and_without_a_request() {
        let text = r#"{"id":3,"status":429,"error":{"code":-1003,"msg":"Too much","data":{"serverTime":1,"retryAfter":5}}}"#;
        let Frame::Reply(reply) = frame(text).unwrap() else { panic!("a reply") };
        let error = reply.result.unwrap_err();
        assert_eq!((error.status, error.code, error.retry_after), (429, -1003, Some(Time::from_millis(5))));
        let revoked = r#"{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key"}}"#;
        assert!(matches!(frame(revoked), Ok(Frame::Unasked(ApiError { status: 401, code: -2015, .. }))));
        let odd = frame(r#"{"id":3,"status":200}"#).unwrap();
        assert!(matches!(odd, Frame::Reply(Reply { id: 3, result: Err(_), .. })));
        for bad in ["", "null", "[]", "{}", r#"{"id":"x","status":200,"result":{}}"#, "{\"id\":1", "<html>"] {
            assert!(frame(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event() {
        let text = r#"{"subscriptionId":0,"event":{"e":"x"}}"#;
        assert!(matches!(frame(text), Ok(Frame::Event(r#"{"e":"x"}"#))));
    }
}
