//! A checker of JSON texts (RFC 8259) that shares nothing with the parsers under test.

/// Is it one JSON value, and nothing else? Of any depth; strings must be UTF-8 and may hold lone surrogates escaped.
pub fn is_json(text: &[u8]) -> bool {
    let mut rest = blank(text);
    // What is open, outermost first: true for an object.
    let mut open: Vec<bool> = Vec::new();
    if std::str::from_utf8(text).is_err() {
        return false;
    }
    loop {
        // A value begins here.
        match rest.first() {
            Some(b'{') => {
                rest = blank(&rest[1..]);
                if rest.first() != Some(&b'}') {
                    open.push(true);
                    let Some(after) = name(rest) else { return false };
                    rest = after;
                    continue;
                }
                rest = &rest[1..];
            }
            Some(b'[') => {
                rest = blank(&rest[1..]);
                if rest.first() != Some(&b']') {
                    open.push(false);
                    continue;
                }
                rest = &rest[1..];
            }
            _ => match scalar(rest) {
                Some(after) => rest = after,
                None => return false,
            },
        }
        // A value ended here.
        loop {
            rest = blank(rest);
            let Some(object) = open.last() else { return rest.is_empty() };
            let end = if *object { b'}' } else { b']' };
            match rest.first() {
                Some(byte) if *byte == end => {
                    open.pop();
                    rest = &rest[1..];
                }
                Some(b',') => {
                    rest = blank(&rest[1..]);
                    if *object {
                        let Some(after) = name(rest) else { return false };
                        rest = after;
                    }
                    break;
                }
                _ => return false,
            }
        }
    }
}

fn blank(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    &text[end.unwrap_or(text.len())..]
}

/// Behind a member's name and its colon.
fn name(text: &[u8]) -> Option<&[u8]> {
    let rest = blank(string(text)?);
    Some(blank(rest.strip_prefix(b":")?))
}

fn scalar(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'"' => string(text),
        b't' => text.strip_prefix(b"true"),
        b'f' => text.strip_prefix(b"false"),
        b'n' => text.strip_prefix(b"null"),
        _ => number(text),
    }
}

fn string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = match byte {
            b'"' => return Some(after),
            b'\\' => {
                let (escape, after) = after.split_first()?;
                match escape {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => after,
                    b'u' => {
                        let digits = after.get(..4)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        &after[4..]
                    }
                    _ => return None,
                }
            }
            0..=0x1f => return None,
            _ => after,
        };
    }
}

fn number(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let rest = match rest.first()? {
        b'0' => &rest[1..],
        _ => digits(rest)?,
    };
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => digits(fraction)?,
        None => rest,
    };
    match rest.first() {
        Some(b'e' | b'E') => {
            let rest = &rest[1..];
            digits(rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-")).unwrap_or(rest))
        }
        _ => Some(rest),
    }
}

/// Behind at least one digit.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_told_from_what_only_looks_like_it() {
        for good in [
            "0",
            "-0",
            "1.5e-7",
            "1E+2",
            "\"\"",
            "\"\\u00ff\\n\"",
            "true",
            "null",
            "[]",
            "{}",
            " [1 , 2] ",
            "{\"a\":{\"b\":[{}]},\"a\":1}",
            "\"é\"",
            "[[],[[]]]",
            "\"\\ud800\"",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "NaN",
            "tru",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "[",
            "]",
            "[1,]",
            "[,]",
            "[1 2]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{,}",
            "1 2",
            "[1}",
            "{\"a\":1]",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
        assert!(!is_json(b"\"\xff\""));
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert!(is_json(&deep) && !is_json(&deep[1..]));
    }
}
