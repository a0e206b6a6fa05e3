//! Signatures: which bytes are signed, and by which key.
//!
//! Two payload rules exist and mixing them up is the classic mistake (-1022): the websocket API signs the *plain*
//! parameters sorted by name ([`ws_payload`]), REST signs the *percent-encoded* query and body exactly as sent
//! ([`rest_payload`]). Source: binance-spot-api-docs, rest-api.md and web-socket-api.md, 2026-01-15.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A secret that signs requests. Its `Debug` shows the kind only.
#[derive(Clone)]
pub enum SecretKey {
    /// Ed25519: needed for a logged-on websocket session.
    Ed25519(Box<SigningKey>),
    /// HMAC-SHA256: per-request signatures only.
    Hmac(Vec<u8>),
}

impl SecretKey {
    /// The Ed25519 key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::Ed25519(Box::new(SigningKey::from_bytes(seed)))
    }

    /// The HMAC key of a secret text, as the venue hands it out.
    pub fn from_secret(secret: &str) -> Self {
        Self::Hmac(secret.as_bytes().to_vec())
    }

    /// The signature of a payload as text: base64 for Ed25519, lower-case hex for HMAC. Not percent-encoded.
    pub fn sign(&self, payload: &[u8]) -> String {
        match self {
            Self::Ed25519(key) => BASE64.encode(key.sign(payload).to_bytes()),
            Self::Hmac(secret) => hex(&mac(secret, payload).finalize().into_bytes()),
        }
    }

    /// What the venue needs to check the signatures of this key.
    pub fn checker(&self) -> SignatureChecker {
        match self {
            Self::Ed25519(key) => SignatureChecker::Ed25519(Box::new(key.verifying_key())),
            Self::Hmac(secret) => SignatureChecker::Hmac(secret.clone()),
        }
    }
}

impl From<SigningKey> for SecretKey {
    fn from(key: SigningKey) -> Self {
        Self::Ed25519(Box::new(key))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "SecretKey(ed25519)",
            Self::Hmac(_) => "SecretKey(hmac)",
        })
    }
}

/// The venue's half of a key: it checks signatures. Its `Debug` shows the kind only.
#[derive(Clone)]
pub enum SignatureChecker {
    /// The public key.
    Ed25519(Box<VerifyingKey>),
    /// The shared secret.
    Hmac(Vec<u8>),
}

impl SignatureChecker {
    /// The checker of a 32-byte Ed25519 public key; `None` if the bytes are no point of the curve.
    pub fn from_public(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().map(|key| Self::Ed25519(Box::new(key)))
    }

    /// Is this the signature of that payload? `signature` is base64 (Ed25519) or hex of either case (HMAC), already
    /// percent-decoded. Anything malformed is not.
    pub fn verify(&self, payload: &[u8], signature: &str) -> bool {
        match self {
            Self::Ed25519(key) => BASE64
                .decode(signature)
                .ok()
                .and_then(|bytes| Signature::from_slice(&bytes).ok())
                .is_some_and(|signature| key.verify_strict(payload, &signature).is_ok()),
            Self::Hmac(secret) => {
                unhex(signature).is_some_and(|bytes| mac(secret, payload).verify_slice(&bytes).is_ok())
            }
        }
    }
}

impl fmt::Debug for SignatureChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "SignatureChecker(ed25519)",
            Self::Hmac(_) => "SignatureChecker(hmac)",
        })
    }
}

/// What the websocket API signs: all parameters except `signature`, sorted by name in byte order, `name=value` joined
/// by `&`, not encoded. Values are the texts as they stand in the frame, without the quotes of strings.
pub fn ws_payload<N: AsRef<str>, V: AsRef<str>>(params: impl IntoIterator<Item = (N, V)>) -> String {
    let mut sorted: Vec<(N, V)> =
        params.into_iter().filter(|(name, _)| name.as_ref() != "signature").collect();
    sorted.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
    let mut payload = String::new();
    for (name, value) in &sorted {
        if !payload.is_empty() {
            payload.push('&');
        }
        payload.push_str(name.as_ref());
        payload.push('=');
        payload.push_str(value.as_ref());
    }
    payload
}

/// A query or form body: names and values percent-encoded, joined by `&` in the order given.
pub fn query<N: AsRef<str>, V: AsRef<str>>(params: impl IntoIterator<Item = (N, V)>) -> String {
    let mut text = String::new();
    for (name, value) in params {
        if !text.is_empty() {
            text.push('&');
        }
        percent_encode_into(name.as_ref(), &mut text);
        text.push('=');
        percent_encode_into(value.as_ref(), &mut text);
    }
    text
}

/// What REST signs: the query string as sent (without `signature`), at once followed by the body as sent; nothing
/// between.
pub fn rest_payload(query: &str, body: &str) -> String {
    format!("{query}{body}")
}

/// Percent-encodes all but `A-Za-z0-9-_.~`, byte by byte of the UTF-8.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    percent_encode_into(text, &mut out);
    out
}

/// Undoes [`percent_encode`] (`+` stays a plus sign); `None` for a broken escape or bytes that are not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => nibble(bytes.next()?)? << 4 | nibble(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

fn percent_encode_into(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4).to_ascii_uppercase());
            out.push(digit(byte & 15).to_ascii_uppercase());
        }
    }
}

fn mac(secret: &[u8], payload: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("an HMAC key may have any length");
    mac.update(payload);
    mac
}

fn digit(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble & 15)])
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the venue's futures documentation, recomputed.
    const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
    const QUERY: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&\
        timestamp=1591702613943";
    const SIGNED: &str = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9";

    #[test]
    fn row_004_75_hmac_matches_the_published_vector() {
        let key = SecretKey::from_secret(SECRET);
        assert_eq!(key.sign(QUERY.as_bytes()), SIGNED);
        let checker = key.checker();
        assert!(checker.verify(QUERY.as_bytes(), SIGNED));
        assert!(checker.verify(QUERY.as_bytes(), &SIGNED.to_uppercase()));
        for bad in ["", "3c", "zz", &SIGNED[1..], &SIGNED.replace('3', "4")] {
            assert!(!checker.verify(QUERY.as_bytes(), bad), "{bad}");
        }
        assert!(!checker.verify(&QUERY.as_bytes()[1..], SIGNED));
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn ed25519_matches_the_rfc() {
        let bytes = |text: &str| -> Vec<u8> { unhex(text).unwrap() };
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let expected = bytes(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd2\
             5bf5f0595bbe24655141438e7a100b",
        );
        let key = SecretKey::from_seed(&seed.try_into().unwrap());
        let signature = key.sign(b"");
        assert_eq!(signature, BASE64.encode(&expected));
        assert_eq!(signature.len(), 88);
        let checker = SignatureChecker::from_public(&public.try_into().unwrap()).unwrap();
        assert!(checker.verify(b"", &signature));
        assert!(!checker.verify(b"x", &signature));
        assert!(!checker.verify(b"", &signature.to_lowercase()));
        assert!(!checker.verify(b"", "AAAA"));
    }

    #[test]
    fn ws_payload_is_sorted_and_plain() {
        let params = [
            ("timestamp", "1"),
            ("symbol", "币安USDT"),
            ("apiKey", "k/+="),
            ("signature", "x"),
            ("recvWindow", "5"),
        ];
        assert_eq!(ws_payload(params), "apiKey=k/+=&recvWindow=5&symbol=币安USDT&timestamp=1");
        assert_eq!(ws_payload([("b", "1"), ("B", "2"), ("a", "3")]), "B=2&a=3&b=1");
    }

    #[test]
    fn rest_payload_is_encoded_and_joined_with_nothing() {
        let text = query([("symbols", "[\"BTCUSDT\"]"), ("id", "a-b_c.d~e f/+="), ("s", "币")]);
        assert_eq!(text, "symbols=%5B%22BTCUSDT%22%5D&id=a-b_c.d~e%20f%2F%2B%3D&s=%E5%B8%81");
        assert_eq!(rest_payload("a=1", "b=2"), "a=1b=2");
        assert_eq!(percent_decode("%E5%B8%81%20+").as_deref(), Some("币 +"));
        for broken in ["%", "%2", "%zz", "%FF"] {
            assert_eq!(percent_decode(broken), None);
        }
    }

    #[test]
    fn no_secret_in_debug() {
        let key = SecretKey::from_secret(SECRET);
        assert_eq!(format!("{key:?} {:?}", key.checker()), "SecretKey(hmac) SignatureChecker(hmac)");
    }
}
