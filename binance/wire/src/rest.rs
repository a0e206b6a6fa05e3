//! REST: requests with all parameters in the query, signed over exactly what is sent; replies with what their headers
//! say of the limits.

use tradingsys::time::{Span, Time};
use tradingsys::venue::limit::LimitKind;

use crate::reply::{ApiError, RawError};
use crate::sign::{SecretKey, percent_encode, query, rest_payload};

/// A request being written.
#[derive(Clone, Debug)]
pub struct RestRequest {
    method: &'static str,
    path: &'static str,
    params: Vec<(&'static str, String)>,
}

impl RestRequest {
    /// Starts a request.
    pub const fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path, params: Vec::new() }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.params.push((name, value.to_string()));
        self
    }

    /// Its method.
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// The address on this host, unsigned.
    pub fn url(&self, host: &str) -> String {
        let query = query(self.params.iter().map(|(name, value)| (*name, value.as_str())));
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{host}{}{mark}{query}", self.path)
    }

    /// The address on this host, stamped and signed. `timestamp` is the venue's time in milliseconds.
    pub fn signed_url(self, host: &str, key: &SecretKey, timestamp: i64, recv_window: i64) -> String {
        let stamped = self.with("recvWindow", recv_window).with("timestamp", timestamp);
        let query = query(stamped.params.iter().map(|(name, value)| (*name, value.as_str())));
        let signature = percent_encode(&key.sign(rest_payload(&query, "").as_bytes()));
        format!("{host}{}?{query}&signature={signature}", stamped.path)
    }
}

/// The reply to a request: the body, or the venue's error. `now` is the venue's time.
///
/// # Errors
/// [`ApiError`] for any status but 2xx; a body that is no error of the API's gives its beginning as the words.
pub fn rest_reply<'a>(
    now: Time,
    status: u16,
    headers: &[(String, String)],
    body: &'a str,
) -> Result<&'a str, ApiError> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let error: Option<RawError<'_>> = serde_json::from_str(body).ok();
    let (code, message) = match error {
        Some(error) => (error.code, error.msg),
        None => (0, body.chars().take(100).collect()),
    };
    let seconds = header(headers, "retry-after").and_then(|text| text.parse().ok());
    let retry_after = seconds.filter(|s| *s > 0).map(|seconds| now + Span::from_secs(seconds));
    Err(ApiError { status, code, message, retry_after })
}

/// Header fields that count, and what. On margin each endpoint counts by itself: what an account's weight is used for
/// there, only the reply to an order says of orders; the weight of an address says nothing of other endpoints.
const COUNTERS: [(&str, LimitKind); 3] = [
    ("x-mbx-used-weight-", LimitKind::Weight),
    ("x-mbx-order-count-", LimitKind::Orders),
    ("x-sapi-used-uid-weight-", LimitKind::OrderWeight),
];

/// What the headers of a reply say has been used: kind, length of the window, count.
pub fn used(headers: &[(String, String)]) -> impl Iterator<Item = (LimitKind, Span, u64)> {
    headers.iter().filter_map(|(name, value)| {
        let named = |(prefix, kind): &(&str, LimitKind)| Some((*kind, name.strip_prefix(prefix)?));
        let (kind, window) = COUNTERS.iter().find_map(named)?;
        let unit = match window.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let number: i64 = window[..window.len() - 1].parse().ok()?;
        Some((kind, Span::from_secs(number.checked_mul(unit)?), value.trim().parse().ok()?))
    })
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_signature_covers_what_is_sent() {
        let key = SecretKey::from_seed(&[7; 32]);
        let request = RestRequest::new("GET", "/fapi/v1/order").with("symbol", "币USDT").with("orderId", 5);
        assert_eq!(request.url("http://x"), "http://x/fapi/v1/order?symbol=%E5%B8%81USDT&orderId=5");
        let url = request.signed_url("http://x", &key, 1_700_000_000_123, 5_000);
        let (sent, signature) = url.split_once("&signature=").unwrap();
        let query = sent.strip_prefix("http://x/fapi/v1/order?").unwrap();
        assert_eq!(query, "symbol=%E5%B8%81USDT&orderId=5&recvWindow=5000&timestamp=1700000000123");
        let signature = crate::sign::percent_decode(signature).unwrap();
        assert!(key.checker().verify(query.as_bytes(), &signature));
        assert_eq!(
            RestRequest::new("POST", "/fapi/v1/listenKey").url("http://x"),
            "http://x/fapi/v1/listenKey"
        );
    }

    #[test]
    fn replies_and_their_headers() {
        let now = Time::from_millis(1_000);
        assert_eq!(rest_reply(now, 200, &[], "{\"code\":200}"), Ok("{\"code\":200}"));
        let rows = headers(&[
            ("retry-after", "7"),
            ("x-mbx-used-weight-1m", "2400"),
            ("x-mbx-order-count-10s", "3"),
            ("x-sapi-used-uid-weight-1m", "1506"),
            ("x-sapi-used-ip-weight-1m", "10"),
        ]);
        let error = rest_reply(now, 429, &rows, r#"{"code":-1003,"msg":"Too many requests."}"#).unwrap_err();
        assert_eq!((error.code, error.retry_after), (-1003, Some(Time::from_millis(8_000))));
        let page = rest_reply(now, 502, &[], "<html>").unwrap_err();
        assert_eq!((page.status, page.code, page.message.as_str()), (502, 0, "<html>"));
        let counted: Vec<_> = used(&rows).collect();
        assert_eq!(
            counted,
            [
                (LimitKind::Weight, Span::from_secs(60), 2400),
                (LimitKind::Orders, Span::from_secs(10), 3),
                (LimitKind::OrderWeight, Span::from_secs(60), 1506),
            ]
        );
    }
}
