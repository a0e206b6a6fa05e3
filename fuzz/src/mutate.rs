//! Makes inputs from inputs: by bytes, and by the tokens of JSON where there are any.

use fastrand::Rng;

/// How inputs of a target are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any bytes.
    Bytes,
    /// A JSON text, or a text much like it.
    Json,
    /// A short text.
    Text,
    /// Lines, most of which end in a JSON text.
    Lines,
}

/// Longest input made.
const LENGTH_MAX: usize = 1 << 20;

/// Numbers at the edges of what types hold, and texts that only look like numbers.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "9",
    "10",
    "99",
    "255",
    "256",
    "1000",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740993",
    "1795000000000",
    "1795000000000000000",
    "9223372036854",
    "9223372036855",
    "-9223372036855",
    "340282366920938463463374607431768211456",
    "170141183460469231731687303715884105727",
    "0.1",
    "0.0000000001",
    "0.00000000001",
    "1.0",
    "1.5",
    "1e5",
    "1e308",
    "1e-400",
    "1E400",
    "-1e-5",
    "1000000000000000",
    "1000000000000000.0000000001",
    "999999999999999.9999999999",
    "100000",
    "NaN",
    "Infinity",
    "-Infinity",
    "+1",
    "1.",
    ".5",
    "-",
    ".",
    "00",
    "01",
    "0x10",
    "1_000",
    "1,5",
    "\u{663}",
    "",
];

/// Words of the protocols and files, and texts that are awkward anywhere.
const WORDS: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "\n",
    "\r\n",
    "\t",
    "\\",
    "\"",
    "'",
    "';DROP TABLE record;--",
    "%00",
    "%s%n",
    "../../etc/passwd",
    "\u{202e}abc",
    "\u{feff}",
    "\u{1f600}",
    "null",
    "true",
    "false",
    "dogeusdt",
    "DOGEUSDT",
    "btcusdt",
    "BTCUSDT",
    "USDT",
    "DOGE",
    "BNB",
    "BUY",
    "SELL",
    "LIMIT",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "LIMIT_MAKER",
    "TRAILING_STOP_MARKET",
    "GTC",
    "IOC",
    "FOK",
    "GTD",
    "GTX",
    "NEW",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "REJECTED",
    "EXPIRED",
    "EXPIRED_IN_MATCH",
    "PENDING_NEW",
    "executionReport",
    "outboundAccountPosition",
    "balanceUpdate",
    "listStatus",
    "listenKeyExpired",
    "eventStreamTerminated",
    "serverShutdown",
    "!serverShutdown",
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
    "ALGO_UPDATE",
    "TRADE_LITE",
    "MARGIN_CALL",
    "ACCOUNT_CONFIG_UPDATE",
    "depthUpdate",
    "bookTicker",
    "markPriceUpdate",
    "kline",
    "id",
    "status",
    "error",
    "result",
    "event",
    "stream",
    "data",
    "method",
    "params",
    "hello",
    "login",
    "order",
    "cancel",
    "cancel_all",
    "amend",
    "ack",
    "subscribe",
    "dogeusdt@depth20@100ms",
    "dogeusdt@bbo",
    "dogeusdt@kline:1m",
    "REQUEST_WEIGHT",
    "ORDERS",
    "MINUTE",
    "SECOND",
    "TRADE",
    "TRADE_PREVENTION",
    "CALCULATED",
    "TRANSFER",
    "FUNDING_FEE",
    "LOT_SIZE",
    "PRICE_FILTER",
    "NOTIONAL",
    "Infinity",
    "on",
    "of",
];

/// What may stand where a value does.
const VALUES: &[&str] =
    &["null", "true", "false", "0", "-1", "\"\"", "[]", "{}", "[[]]", "[null]", "{\"\":null}", "\"x\""];

/// Makes an input of that form from one of the corpus; `other` is one more of it.
pub fn mutated(rng: &mut Rng, form: Form, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut made = input.to_vec();
    // One change mostly, sometimes many.
    let changes = 1 + (rng.u32(1..).leading_zeros() as usize).min(6);
    for _ in 0..changes {
        made = match form {
            Form::Bytes => bytes(rng, &made, other),
            Form::Text => {
                if rng.bool() {
                    word(rng, &made)
                } else {
                    bytes(rng, &made, other)
                }
            }
            Form::Json => json(rng, &made, other),
            Form::Lines => lines(rng, &made, other),
        };
        if made.len() > LENGTH_MAX {
            made.truncate(LENGTH_MAX);
        }
    }
    made
}

fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.usize(0..list.len())]
}

/// Puts something in the place of a range.
fn spliced(input: &[u8], range: std::ops::Range<usize>, with: &[u8]) -> Vec<u8> {
    [&input[..range.start], with, &input[range.end..]].concat()
}

/// A range within, short ones more often.
fn range(rng: &mut Rng, length: usize) -> std::ops::Range<usize> {
    let start = rng.usize(0..=length);
    let most = if rng.u8(0..4) == 0 { length - start } else { (length - start).min(8) };
    start..start + rng.usize(0..=most)
}

fn bytes(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let at = range(rng, input.len());
    match rng.u8(0..8) {
        0 if !input.is_empty() => {
            let mut made = input.to_vec();
            let place = rng.usize(0..made.len());
            made[place] ^= 1 << rng.u8(0..8);
            made
        }
        1 => spliced(input, at.start..at.start, &[rng.u8(..)]),
        2 => spliced(input, at, b""),
        3 => spliced(input, at.end..at.end, &input[at.clone()].repeat(rng.usize(1..4))),
        4 => input[..at.start].to_vec(),
        5 => {
            let from = range(rng, other.len());
            spliced(input, at, &other[from])
        }
        6 => spliced(input, at, pick(rng, WORDS).as_bytes()),
        _ => spliced(input, at, pick(rng, NUMBERS).as_bytes()),
    }
}

/// Of a short text: another word or number in the place of a part.
fn word(rng: &mut Rng, input: &[u8]) -> Vec<u8> {
    let at = range(rng, input.len());
    let with: &str = if rng.bool() { pick::<&str>(rng, NUMBERS) } else { pick::<&str>(rng, WORDS) };
    match rng.u8(0..4) {
        0 => with.as_bytes().to_vec(),
        1 => input.to_ascii_uppercase(),
        _ => spliced(input, at, with.as_bytes()),
    }
}

fn lines(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let made: Vec<u8>;
    let mut all: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let place = rng.usize(0..all.len());
    let theirs: Vec<&[u8]> = other.split(|byte| *byte == b'\n').collect();
    match rng.u8(0..12) {
        0 if all.len() > 1 => {
            all.remove(place);
        }
        1 => all.insert(place, all[place]),
        2 => all.insert(rng.usize(0..=all.len()), all[place]),
        3 => {
            let with = rng.usize(0..all.len());
            all.swap(place, with);
        }
        4 => all.insert(place, *pick(rng, &theirs)),
        5 => {
            let copies = rng.usize(2..40);
            let line = all[place];
            all.splice(place..place, std::iter::repeat_n(line, copies));
        }
        6 if rng.bool() => all.truncate(place + 1),
        _ => {
            // What a line ends in, if it is JSON; else any part of it.
            let start = all[place].iter().position(|byte| matches!(byte, b'{' | b'['));
            let (head, body) = all[place].split_at(start.filter(|_| rng.u8(0..10) > 0).unwrap_or(0));
            let from = *pick(rng, &theirs);
            let whole = [head, &json(rng, body, from)].concat();
            made = whole.into_iter().filter(|byte| *byte != b'\n').collect();
            all[place] = &made;
        }
    }
    all.join(&b'\n')
}

/// Of a text: where strings, numbers, words, and all that is between brackets begin and end.
fn values(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut open, mut at) = (Vec::new(), Vec::new(), 0);
    while at < text.len() {
        match text[at] {
            b'"' => {
                let start = at;
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(text.len());
                found.push(start..at);
            }
            b'{' | b'[' => {
                open.push(at);
                at += 1;
            }
            b'}' | b']' => {
                at += 1;
                if let Some(start) = open.pop() {
                    found.push(start..at);
                }
            }
            b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                let start = at;
                while at < text.len()
                    && matches!(text[at], b'-' | b'+' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
                {
                    at += 1;
                }
                found.push(start..at);
            }
            _ => at += 1,
        }
    }
    found
}

/// A value in the place of this one.
fn instead(rng: &mut Rng, old: &[u8], theirs: &[u8]) -> Vec<u8> {
    let quoted = old.first() == Some(&b'"');
    let number = |rng: &mut Rng| pick(rng, NUMBERS).to_owned();
    match rng.u8(0..10) {
        0..=2 if quoted => format!("\"{}\"", number(rng)).into_bytes(),
        0..=2 => number(rng).as_bytes().to_vec(),
        3 if quoted => serde_json::to_vec(pick(rng, WORDS)).unwrap_or_default(),
        4 => pick(rng, VALUES).as_bytes().to_vec(),
        5 => match values(theirs) {
            found if found.is_empty() => Vec::new(),
            found => theirs[pick(rng, &found).clone()].to_vec(),
        },
        6 => [b"[", old, b"]"].concat(),
        7 if quoted => old[1..old.len().max(2) - 1].to_vec(),
        7 => [b"\"", old, b"\""].concat(),
        8 => {
            let deep = 1 << rng.u32(1..12);
            let (before, after) = if rng.bool() { ("[", "]") } else { ("{\"a\":", "}") };
            [before.repeat(deep).as_bytes(), old, after.repeat(deep).as_bytes()].concat()
        }
        _ => bytes(rng, old, theirs),
    }
}

fn json(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let found = values(input);
    if found.is_empty() || rng.u8(0..6) == 0 {
        return bytes(rng, input, other);
    }
    let at = pick(rng, &found).clone();
    match rng.u8(0..8) {
        // With its comma, if it has one: most often that leaves JSON.
        0 => {
            let comma = usize::from(input.get(at.end) == Some(&b','));
            spliced(input, at.start..at.end + comma, b"")
        }
        1 => {
            let twice = [&input[at.clone()], b",", &input[at.clone()]].concat();
            spliced(input, at, &twice)
        }
        2 => {
            let with = input[pick(rng, &found).clone()].to_vec();
            spliced(input, at, &with)
        }
        _ => {
            let with = instead(rng, &input[at.clone()], other);
            spliced(input, at, &with)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::is_json;

    #[test]
    fn the_same_seed_makes_the_same_and_much_of_it_is_json() {
        let input =
            br#"{"id":7,"method":"order","params":{"n":17,"symbol":"dogeusdt","list":[1,{"a":"0.2"}]}}"#;
        let made = |seed: u64| mutated(&mut Rng::with_seed(seed), Form::Json, input, b"[\"x\"]");
        let json = (0..1_000).filter(|seed| is_json(&made(*seed))).count();
        assert!((200..900).contains(&json), "{json}");
        assert!((0..1_000).all(|seed| made(seed) == made(seed)));
        let different: std::collections::BTreeSet<_> = (0..1_000).map(made).collect();
        assert!(different.len() > 800, "{}", different.len());
    }

    #[test]
    fn every_form_takes_any_input() {
        for form in [Form::Bytes, Form::Json, Form::Text, Form::Lines] {
            for seed in 0..2_000 {
                let mut rng = Rng::with_seed(seed);
                let mut input = Vec::new();
                for _ in 0..8 {
                    input = mutated(&mut rng, form, &input, b"\"\\\n{\"a\":[");
                }
            }
        }
    }
}
