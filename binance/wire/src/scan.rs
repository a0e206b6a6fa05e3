//! A reader for the two hottest payloads as the venue always spells them: fixed order of fields, no blanks, no escapes.
//!
//! It answers `None` to any other spelling, and the general reader takes over; so it may be strict, and never guesses.

use tradingsys::market::Level;
use tradingsys::num::{Price, Qty, parse_raw};

/// What is left of a payload.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    fn literal(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn integer(&mut self) -> Option<u64> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        // No number of JSON.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        digits.parse().ok()
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let rest = self.0.strip_prefix('"')?;
        let end = rest.bytes().position(|byte| byte == b'"')?;
        let (text, rest) = rest.split_at(end);
        self.0 = &rest[1..];
        text.bytes().all(|byte| byte >= b' ' && byte != b'\\').then_some(text)
    }

    fn price(&mut self) -> Option<Price> {
        parse_raw(self.quoted()?).ok().map(Price::from_raw)
    }

    fn qty(&mut self) -> Option<Qty> {
        parse_raw(self.quoted()?).ok().map(Qty::from_raw)
    }

    /// `[["price","qty"],…]`
    fn levels(&mut self) -> Option<Vec<Level>> {
        self.literal("[")?;
        let mut levels = Vec::with_capacity(20);
        while self.literal("]").is_none() {
            self.literal(if levels.is_empty() { "[" } else { ",[" })?;
            let price = self.price()?;
            self.literal(",")?;
            let qty = self.qty()?;
            self.literal("]")?;
            levels.push(Level { price, qty });
        }
        Some(levels)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// `{"lastUpdateId":1,"bids":[…],"asks":[…]}`
pub(crate) fn depth(data: &str) -> Option<(u64, Vec<Level>, Vec<Level>)> {
    let mut scan = Scan(data);
    scan.literal(r#"{"lastUpdateId":"#)?;
    let update_id = scan.integer()?;
    scan.literal(r#","bids":"#)?;
    let bids = scan.levels()?;
    scan.literal(r#","asks":"#)?;
    let asks = scan.levels()?;
    scan.literal("}")?;
    scan.end()?;
    Some((update_id, bids, asks))
}

/// `{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}`: update id, best bid, best ask.
pub(crate) fn book_ticker(data: &str) -> Option<(u64, Level, Level)> {
    let mut scan = Scan(data);
    scan.literal(r#"{"u":"#)?;
    let update_id = scan.integer()?;
    scan.literal(r#","s":"#)?;
    scan.quoted()?;
    let mut level = |price: &str, qty: &str| {
        scan.literal(price)?;
        let price = scan.price()?;
        scan.literal(qty)?;
        Some(Level { price, qty: scan.qty()? })
    };
    let bid = level(r#","b":"#, r#","B":"#)?;
    let ask = level(r#","a":"#, r#","A":"#)?;
    scan.literal("}")?;
    scan.end()?;
    Some((update_id, bid, ask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_left_to_the_general_reader() {
        let ticker = r#"{"u":7,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}"#;
        assert!(book_ticker(ticker).is_some());
        for (from, to) in
            [("7", "07"), ("7", "-7"), ("7", ""), ("BTC", "B\nC"), ("BTC", "B\\C"), ("BTC", "B\0")]
        {
            assert!(book_ticker(&ticker.replace(from, to)).is_none(), "{from} {to:?}");
        }
        let partial = r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}"#;
        assert!(depth(partial).is_some());
        for (from, to) in
            [("160", "0160"), ("\"0.0024\"", "\"0.0\n024\""), ("]],", "],],"), ("[[", "[,["), ("}", "}}")]
        {
            assert!(depth(&partial.replace(from, to)).is_none(), "{from} {to:?}");
        }
    }
}
