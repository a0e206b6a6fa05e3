//! The mutual proof of the local door: both sides know the token, neither ever sends it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn tag(token: &str, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("hmac takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn matches(token: &str, text: &str, proof: &str) -> bool {
    let decoded: Option<Vec<u8>> = (0..proof.len())
        .step_by(2)
        .map(|i| proof.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    // `verify_slice` compares in constant time.
    decoded.is_some_and(|bytes| tag(token, text).verify_slice(&bytes).is_ok())
}

fn gateway_text(client_nonce: &str, gateway_nonce: &str) -> String {
    format!("gateway:{client_nonce}:{gateway_nonce}")
}

fn client_text(client_nonce: &str, gateway_nonce: &str, session: u16) -> String {
    format!("client:{gateway_nonce}:{client_nonce}:{session}")
}

fn operator_text(client_nonce: &str, gateway_nonce: &str) -> String {
    format!("operator:{gateway_nonce}:{client_nonce}")
}

/// What the gateway shows in its reply to `hello`: hex of HMAC-SHA256(token, `gateway:<client nonce>:<gateway nonce>`).
pub fn of_gateway(token: &str, client_nonce: &str, gateway_nonce: &str) -> String {
    hex(&tag(token, &gateway_text(client_nonce, gateway_nonce)).finalize().into_bytes())
}

/// What a client shows at `login`: hex of HMAC-SHA256(token, `client:<gateway nonce>:<client nonce>:<session id>`).
pub fn of_client(token: &str, client_nonce: &str, gateway_nonce: &str, session: u16) -> String {
    hex(&tag(token, &client_text(client_nonce, gateway_nonce, session)).finalize().into_bytes())
}

/// Is this the gateway's proof?
pub fn is_gateway(token: &str, client_nonce: &str, gateway_nonce: &str, proof: &str) -> bool {
    matches(token, &gateway_text(client_nonce, gateway_nonce), proof)
}

/// Is this the client's proof for that session?
pub fn is_client(token: &str, client_nonce: &str, gateway_nonce: &str, session: u16, proof: &str) -> bool {
    matches(token, &client_text(client_nonce, gateway_nonce, session), proof)
}

/// What the operator shows at `operate`: hex of HMAC-SHA256(token, `operator:<gateway nonce>:<client nonce>`).
pub fn of_operator(token: &str, client_nonce: &str, gateway_nonce: &str) -> String {
    hex(&tag(token, &operator_text(client_nonce, gateway_nonce)).finalize().into_bytes())
}

/// Is this the operator's proof?
pub fn is_operator(token: &str, client_nonce: &str, gateway_nonce: &str, proof: &str) -> bool {
    matches(token, &operator_text(client_nonce, gateway_nonce), proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_hold_only_for_their_side_nonces_and_session() {
        let proof = of_client("secret", "aa", "bb", 7);
        assert!(is_client("secret", "aa", "bb", 7, &proof));
        assert!(!is_client("secret", "aa", "bb", 8, &proof));
        assert!(!is_client("other", "aa", "bb", 7, &proof));
        assert!(!is_client("secret", "ab", "bb", 7, &proof));
        assert!(!is_gateway("secret", "aa", "bb", &proof));
        assert!(is_gateway("secret", "aa", "bb", &of_gateway("secret", "aa", "bb")));
        let operator = of_operator("secret", "aa", "bb");
        assert!(is_operator("secret", "aa", "bb", &operator));
        assert!(!is_operator("other", "aa", "bb", &operator));
        assert!(!is_operator("secret", "aa", "bb", &proof), "a session's is none of an operator");
        assert!(!is_operator("secret", "aa", "bb", &of_gateway("secret", "aa", "bb")));
        assert!(!is_client("secret", "aa", "bb", 7, &operator));
        for bad in ["", "zz", "0", "é", &proof[1..]] {
            assert!(!is_client("secret", "aa", "bb", 7, bad), "{bad:?}");
        }
    }
}
