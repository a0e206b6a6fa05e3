//! Who asks: keys, signatures over the exact bytes, and the receive window.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::sign::{SignatureChecker, percent_decode, rest_payload, ws_payload};
use tradingsys::exchange::AccountId;
use tradingsys::num::ONE;
use tradingsys::time::{Span, Time};

use crate::config::AccountConfig;
use crate::connection::KeyIndex;
use crate::io::HttpRequest;
use crate::params::Params;

/// What a request needs to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// Nothing.
    Open,
    /// A known key; no signature.
    Key,
    /// A key and its signature, or a logged-on session; and a timestamp.
    Signed,
    /// The same with a key that may trade.
    Trade,
}

/// One API key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The key itself.
    pub(crate) api_key: String,
    /// Checks its signatures.
    pub(crate) checker: SignatureChecker,
    /// Whose it is.
    pub(crate) account: AccountId,
    /// May it trade?
    pub(crate) may_trade: bool,
    /// May it take money out?
    pub(crate) may_withdraw: bool,
    /// Is it bound to addresses? The simulator lets every address in all the same.
    pub(crate) ip_restricted: bool,
    /// It was deleted at the venue.
    pub(crate) revoked: bool,
}

/// All keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    list: Vec<Key>,
}

/// Default receive window.
const USUAL_WINDOW: Span = Span::from_millis(5_000);
/// A timestamp may be ahead by less than this.
const AHEAD: Span = Span::from_millis(1_000);
/// Longest receive window in milliseconds.
const LONGEST_WINDOW: i128 = 60_000;

impl Keys {
    /// The keys of these accounts, numbered as they are.
    pub(crate) fn new(accounts: &[AccountConfig]) -> Self {
        let key = |(at, account): (usize, &AccountConfig)| Key {
            api_key: account.api_key.clone(),
            checker: account.checker.clone(),
            account: AccountId(u32::try_from(at).expect("accounts are few")),
            may_trade: account.may_trade,
            may_withdraw: false,
            ip_restricted: true,
            revoked: false,
        };
        Self { list: accounts.iter().enumerate().map(key).collect() }
    }

    /// A key by its place.
    pub(crate) fn at(&self, key: KeyIndex) -> &Key {
        &self.list[key]
    }

    /// Deletes a key, or puts it back; false if there is none of that text.
    pub(crate) fn revoke(&mut self, api_key: &str, revoked: bool) -> bool {
        let found = self.list.iter_mut().find(|key| key.api_key == api_key);
        found.map(|key| key.revoked = revoked).is_some()
    }

    /// Changes what a key may do; what is not named stays. False if there is none of that text.
    pub(crate) fn permit(
        &mut self,
        api_key: &str,
        withdraw: Option<bool>,
        ip_restricted: Option<bool>,
    ) -> bool {
        let found = self.list.iter_mut().find(|key| key.api_key == api_key);
        let changed = found.map(|key| {
            key.may_withdraw = withdraw.unwrap_or(key.may_withdraw);
            key.ip_restricted = ip_restricted.unwrap_or(key.ip_restricted);
        });
        changed.is_some()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.list.iter()
    }

    /// Finds a key.
    ///
    /// # Errors
    /// -2014 for one that cannot be a key, -2015 for one that is not known or was deleted.
    pub(crate) fn find(&self, api_key: &str) -> Result<KeyIndex, ErrorReply> {
        if api_key.is_empty() || !api_key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ErrorReply::key_format());
        }
        let found = self.list.iter().position(|key| key.api_key == api_key && !key.revoked);
        found.ok_or_else(ErrorReply::key)
    }

    /// Lets a REST request in: header, signature over query and body as sent, receive window.
    ///
    /// # Errors
    /// The venue's refusal.
    pub(crate) fn of_rest(
        &self,
        now: Time,
        security: Security,
        request: &HttpRequest,
        params: &Params,
    ) -> Result<Option<KeyIndex>, ErrorReply> {
        if security == Security::Open {
            return Ok(None);
        }
        let key = self.find(request.header("x-mbx-apikey").unwrap_or_default())?;
        if matches!(security, Security::Signed | Security::Trade) {
            let signature = params.need("signature")?;
            params.need("timestamp")?;
            let (query, _) = without_signature(&request.query);
            let (body, _) = without_signature(&request.body);
            if !self.list[key].checker.verify(rest_payload(&query, &body).as_bytes(), signature) {
                return Err(ErrorReply::signature());
            }
            in_window(now, params)?;
        }
        self.permitted(key, security)?;
        Ok(Some(key))
    }

    /// The status that refuses a handshake for streams in binary. A known Ed25519 key needs no signature.
    pub(crate) fn sbe_refusal(&self, request: &HttpRequest) -> Option<u16> {
        let Some(key) = request.header("x-mbx-apikey") else { return Some(400) };
        let ed25519 = |key: KeyIndex| matches!(self.list[key].checker, SignatureChecker::Ed25519(_));
        (!self.find(key).is_ok_and(ed25519)).then_some(401)
    }

    /// Lets a websocket request in: its own key and signature if it has them, else those of the session.
    ///
    /// # Errors
    /// The venue's refusal.
    pub(crate) fn of_socket(
        &self,
        now: Time,
        security: Security,
        session: Option<KeyIndex>,
        params: &Params,
    ) -> Result<Option<KeyIndex>, ErrorReply> {
        if security == Security::Open {
            return Ok(None);
        }
        let key = match (params.text("apiKey")?, session) {
            (None, Some(key)) if self.list[key].revoked => return Err(ErrorReply::key()),
            (None, Some(key)) => key,
            (None, None) => return Err(ErrorReply::missing("apiKey")),
            (Some(api_key), _) => {
                let key = self.find(api_key)?;
                let signed = security != Security::Key;
                if signed && (session != Some(key) || params.has("signature")) {
                    self.signed(key, params)?;
                }
                key
            }
        };
        if security != Security::Key {
            params.need("timestamp")?;
            in_window(now, params)?;
        }
        self.permitted(key, security)?;
        Ok(Some(key))
    }

    /// Checks the signature of a websocket request.
    ///
    /// # Errors
    /// Missing (-1102) or wrong (-1022).
    pub(crate) fn signed(&self, key: KeyIndex, params: &Params) -> Result<(), ErrorReply> {
        let signature = params.need("signature")?;
        params.need("timestamp")?;
        let payload = ws_payload(params.pairs());
        if self.list[key].checker.verify(payload.as_bytes(), signature) {
            Ok(())
        } else {
            Err(ErrorReply::signature())
        }
    }

    fn permitted(&self, key: KeyIndex, security: Security) -> Result<(), ErrorReply> {
        if security == Security::Trade && !self.list[key].may_trade {
            return Err(ErrorReply::key());
        }
        Ok(())
    }
}

/// Is the timestamp within the receive window of the server's time?
///
/// # Errors
/// -1021, or a malformed window.
pub(crate) fn in_window(now: Time, params: &Params) -> Result<(), ErrorReply> {
    let Some(timestamp) = params.time("timestamp")? else {
        return Err(ErrorReply::missing("timestamp"));
    };
    let window = match params.decimal("recvWindow")? {
        None => USUAL_WINDOW,
        Some(raw) if raw > LONGEST_WINDOW * ONE => {
            let words =
                format!("'recvWindow' contains unexpected value. Cannot be greater than {LONGEST_WINDOW}.");
            return Err(ErrorReply::bad(code::MANDATORY_MISSING, words));
        }
        Some(raw) if raw % (ONE / 1_000) != 0 => return Err(ErrorReply::precision("recvWindow")),
        // Raw counts 10⁻¹⁰ ms; a nanosecond is 10⁻⁶ ms.
        Some(raw) => Span::from_nanos(i64::try_from(raw / 10_000).unwrap_or(i64::MAX)),
    };
    let late = |words: &str| Err(ErrorReply::bad(code::INVALID_TIMESTAMP, words));
    if timestamp - now >= AHEAD {
        return late("Timestamp for this request was 1000ms ahead of the server's time.");
    }
    if now - timestamp > window {
        return late("Timestamp for this request is outside of the recvWindow.");
    }
    Ok(())
}

/// A query or body without its `signature`, the other bytes untouched; and the signature, decoded.
pub(crate) fn without_signature(form: &str) -> (String, Option<String>) {
    let mut signature = None;
    let mut rest = String::with_capacity(form.len());
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("signature=") {
            Some(value) => signature = percent_decode(value),
            None => {
                if !rest.is_empty() {
                    rest.push('&');
                }
                rest.push_str(pair);
            }
        }
    }
    (rest, signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use binance_wire::sign::SecretKey;

    const NOW: Time = Time::from_millis(1_700_000_000_000);

    fn keys() -> Keys {
        let account = |name: &str, secret: &SecretKey, may_trade| AccountConfig {
            name: name.into(),
            api_key: format!("key-{name}"),
            checker: secret.checker(),
            may_trade,
            balances: vec![],
            maker_fee: tradingsys::exchange::Rate::ZERO,
            taker_fee: tradingsys::exchange::Rate::ZERO,
            pays_in_bnb: false,
            wallets: crate::config::Wallets::default(),
        };
        let secret = SecretKey::from_secret("s");
        Keys::new(&[account("a", &secret, true), account("b", &secret, false)])
    }

    fn request(key: &str, payload: &str, signature: &str) -> (HttpRequest, Params) {
        let query = format!("{payload}&signature={signature}");
        let params = Params::from_rest(&query, "").unwrap();
        let headers = vec![("x-mbx-apikey".to_owned(), key.to_owned())];
        (HttpRequest { query, headers, ..HttpRequest::default() }, params)
    }

    #[test]
    fn rest_signatures_are_over_the_bytes_as_sent() {
        let secret = SecretKey::from_secret("s");
        let payload = "newClientOrderId=a%2Db&timestamp=1700000000000";
        let (http, params) = request("key-a", payload, &secret.sign(payload.as_bytes()));
        assert_eq!(keys().of_rest(NOW, Security::Trade, &http, &params).unwrap(), Some(0));
        let decoded = secret.sign(b"newClientOrderId=a-b&timestamp=1700000000000");
        let (http, params) = request("key-a", payload, &decoded);
        assert_eq!(keys().of_rest(NOW, Security::Trade, &http, &params).unwrap_err().code, -1022);
    }

    #[test]
    fn keys_are_refused_as_the_venue_does() {
        let secret = SecretKey::from_secret("s");
        let payload = "timestamp=1700000000000";
        let signature = secret.sign(payload.as_bytes());
        for (key, security, expected) in [
            ("", Security::Signed, -2014),
            ("nobody", Security::Signed, -2015),
            ("key-b", Security::Trade, -2015),
        ] {
            let (http, params) = request(key, payload, &signature);
            assert_eq!(keys().of_rest(NOW, security, &http, &params).unwrap_err().code, expected, "{key:?}");
        }
        let mut keys = keys();
        assert!(keys.revoke("key-b", true));
        let (http, params) = request("key-b", payload, &signature);
        let refusal = keys.of_rest(NOW, Security::Signed, &http, &params).unwrap_err();
        assert_eq!((refusal.code, refusal.status), (-2015, 401));
    }

    #[test]
    fn the_receive_window_has_sharp_edges() {
        let check = |query: &str| in_window(NOW, &Params::from_rest(query, "").unwrap()).map_err(|e| e.code);
        assert_eq!(check("timestamp=1700000000999"), Ok(()));
        assert_eq!(check("timestamp=1700000001000"), Err(-1021));
        assert_eq!(check("timestamp=1699999995000"), Ok(()));
        assert_eq!(check("timestamp=1699999994999"), Err(-1021));
        assert_eq!(check("timestamp=1699999994999999"), Err(-1021), "microseconds");
        assert_eq!(check("timestamp=1699999995000000"), Ok(()), "microseconds");
        assert_eq!(check("timestamp=1699999999998500&recvWindow=1.5"), Ok(()));
        assert_eq!(check("timestamp=1699999999998499&recvWindow=1.5"), Err(-1021));
        assert_eq!(check("timestamp=1700000000000&recvWindow=60001"), Err(-1102));
        assert_eq!(check("timestamp=1700000000000&recvWindow=1.2345"), Err(-1111));
        assert_eq!(check(""), Err(-1102));
    }
}
