//! No secret in any output: known secrets are masked wherever they appear, and so is the value of anything
//! named like one.

use std::sync::RwLock;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Names whose values are never shown. Compared without case; the name must end here (`token_file` is none of
/// them).
const NAMES: [&str; 12] = [
    "signature",
    "apikey",
    "api_key",
    "x-mbx-apikey",
    "token",
    "listentoken",
    "listenkey",
    "secret",
    "proof",
    "private_key",
    "passphrase",
    "password",
];

/// Shorter texts would mask ordinary words.
const SECRET_MIN: usize = 6;

static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on this text is masked wherever it appears in a line. Texts under six characters are ignored.
pub fn add_secret(secret: &str) {
    if secret.len() < SECRET_MIN {
        return;
    }
    let mut secrets = SECRETS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !secrets.iter().any(|known| known == secret) {
        secrets.push(secret.to_owned());
    }
}

/// The text without its secrets.
pub fn text(line: &str) -> String {
    let mut out = named(line);
    let secrets = SECRETS.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    for secret in secrets.iter() {
        if out.contains(secret.as_str()) {
            out = out.replace(secret.as_str(), MASK);
        }
    }
    out
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Masks the values of `name=value`, `"name":"value"` and `name: value`, also with the quotes escaped.
fn named(line: &str) -> String {
    let bytes = line.as_bytes();
    let mut out = String::with_capacity(line.len());
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        let word = &line[start..at];
        if !NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)) {
            continue;
        }
        if let Some((from, to)) = value_after(bytes, at) {
            out.push_str(&line[copied..from]);
            out.push_str(MASK);
            copied = to;
            at = to;
        }
    }
    out.push_str(&line[copied..]);
    out
}

/// Where the value of the name ending at `at` begins and ends, if a value follows.
fn value_after(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let quote = |b: u8| matches!(b, b'"' | b'\\' | b'\'');
    while at < bytes.len() && quote(bytes[at]) {
        at += 1;
    }
    if !matches!(bytes.get(at)?, b'=' | b':') {
        return None;
    }
    at += 1;
    while at < bytes.len() && (quote(bytes[at]) || bytes[at] == b' ') {
        at += 1;
    }
    let from = at;
    let ends = |b: u8| matches!(b, b'"' | b'\\' | b'\'' | b' ' | b'&' | b',' | b'}' | b')' | b']' | b';');
    while at < bytes.len() && !ends(bytes[at]) {
        at += 1;
    }
    (at > from).then_some((from, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i20_values_of_secret_names_are_masked_in_every_notation() {
        for (line, masked) in [
            ("send signature=abc/+= x=1", "send signature=*** x=1"),
            (r#"{"apiKey":"k1","signature":"s","id":1}"#, r#"{"apiKey":"***","signature":"***","id":1}"#),
            (r#"frame="{\"signature\":\"s+/\",\"a\":1}""#, r#"frame="{\"signature\":\"***\",\"a\":1}""#),
            ("url=/x?timestamp=1&signature=ff&a=2", "url=/x?timestamp=1&signature=***&a=2"),
            ("X-MBX-APIKEY: abc", "X-MBX-APIKEY: ***"),
            ("token_file=/run/x token=1 tokens=2", "token_file=/run/x token=*** tokens=2"),
            ("the token is refused", "the token is refused"),
            ("signature", "signature"),
            ("é signature=é", "é signature=***"),
        ] {
            assert_eq!(text(line), masked);
        }
    }

    #[test]
    fn i20_known_secrets_are_masked_anywhere() {
        add_secret("canary-7a6b5c");
        add_secret("abc");
        assert_eq!(text("xcanary-7a6b5cy abc"), "x***y abc");
    }
}
