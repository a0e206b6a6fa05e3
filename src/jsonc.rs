//! JSON with comments and trailing commas, made plain JSON by blanking them out: every byte keeps its place,
//! so an error's line and column are those of the file.

/// The same text with comments and trailing commas replaced by blanks. Line breaks and byte offsets stay.
pub fn plain(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut comma: Option<usize> = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = end_of_string(&bytes, at);
                comma = None;
                continue;
            }
            b'/' if matches!(bytes.get(at + 1), Some(b'/' | b'*')) => {
                let end = end_of_comment(&bytes, at);
                blank(&mut bytes[at..end]);
                at = end;
                continue;
            }
            b',' => comma = Some(at),
            b'}' | b']' => {
                if let Some(trailing) = comma.take() {
                    bytes[trailing] = b' ';
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        at += 1;
    }
    // Only ASCII bytes and whole comments were replaced, each by an ASCII blank.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// The place after the string's closing quote, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_comment(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 2..];
    let length = if bytes[start + 1] == b'/' {
        rest.iter().position(|b| *b == b'\n')
    } else {
        rest.windows(2).position(|pair| pair == b"*/").map(|at| at + 2)
    };
    length.map_or(bytes.len(), |length| start + 2 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_blanked_in_place() {
        for (text, expected) in [
            ("{\"a\":1, // x\n}", "{\"a\":1}"),
            ("[1,/* , */]", "[1]"),
            ("{\"u\":\"ws://h\",}", "{\"u\":\"ws://h\"}"),
            ("{\"q\":\"\\\"//\",\n\n}", "{\"q\":\"\\\"//\"}"),
            ("/* é\n */{}", "{}"),
            ("{} // end", "{}"),
            ("{} /* open", "{}"),
            ("\"open", "\"open"),
            ("\"open\\", "\"open\\"),
            ("[1,,2]", "[1,,2]"),
            ("[,]", "[]"),
            ("/", "/"),
        ] {
            let out = plain(text);
            let breaks = |text: &str| -> Vec<usize> { text.match_indices('\n').map(|(at, _)| at).collect() };
            assert_eq!(out.split_whitespace().collect::<String>(), expected, "{text:?}");
            assert_eq!((out.len(), breaks(&out)), (text.len(), breaks(text)), "{text:?}");
        }
    }

    #[test]
    fn an_error_is_where_it_is_in_the_file() {
        let text = "{\n  // comment\n  \"a\": 1,\n  \"b\": oops,\n}";
        let error = serde_json::from_str::<serde_json::Value>(&plain(text)).unwrap_err();
        assert_eq!((error.line(), error.column()), (4, 8));
    }
}
