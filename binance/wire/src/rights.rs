//! What an API key may do: `GET /sapi/v1/account/apiRestrictions`, which is answered on the spot host alone, for keys
//! of every market (wallet API, 2026-07).

use serde::Deserialize;

use crate::reply::{Malformed, read};
use crate::rest::RestRequest;

/// What a key may do besides trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRights {
    /// Is it taken from certain addresses alone?
    pub ip_restrict: bool,
    /// May it take money out?
    pub enable_withdrawals: bool,
}

/// The question.
pub const fn request() -> RestRequest {
    RestRequest::new("GET", "/sapi/v1/account/apiRestrictions")
}

/// Reads the answer.
///
/// # Errors
/// [`Malformed`] if it is none: what is not said is not taken for a no.
pub fn key_rights(text: &str) -> Result<KeyRights, Malformed> {
    read("the rights of an API key", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r71_the_documented_answer_is_read() {
        let text = r#"{"ipRestrict":false,"createTime":1698645219000,"enableReading":true,
            "enableWithdrawals":true,"enableInternalTransfer":true,"enableMargin":false,"enableFutures":false,
            "permitsUniversalTransfer":true,"enableVanillaOptions":false,"enableFixApiTrade":false,
            "enableFixReadOnly":true,"enableSpotAndMarginTrading":false,"enablePortfolioMarginTrading":true}"#;
        assert_eq!(key_rights(text), Ok(KeyRights { ip_restrict: false, enable_withdrawals: true }));
        assert!(key_rights(r#"{"ipRestrict":true}"#).is_err());
        assert!(key_rights("<html>").is_err());
    }
}
