//! The chain of checksums through the journal: each row's sum covers its text, its number and the sum before
//! it, so a row changed, dropped or exchanged anywhere is found at the next start.

use sha2::{Digest as _, Sha256};

/// Lower-case hex of SHA-256 over the previous sum, the number in decimal, a line break, and the body.
pub fn next(previous: &str, seq: u64, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(seq.to_string().as_bytes());
    hash.update(b"\n");
    hash.update(body.as_bytes());
    hex(&hash.finalize())
}

/// What the first row follows: the journal's own id.
pub fn genesis(journal_id: &str) -> String {
    hex(&Sha256::digest(journal_id.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_covers_number_text_and_past() {
        // Computed with `printf '%s' "${prev}1
        // {}" | sha256sum`, prev = sha256("j").
        let start = genesis("j");
        assert_eq!(start, "189f40034be7a199f1fa9891668ee3ab6049f82d38c68be70f596eab2e1857b7");
        let one = next(&start, 1, "{}");
        assert_ne!(one, next(&start, 2, "{}"));
        assert_ne!(one, next(&start, 1, "{ }"));
        assert_ne!(one, next(&one, 1, "{}"));
    }
}
