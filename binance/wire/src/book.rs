//! Books and marks: the differences of a book, its snapshot, and the mark price of a perpetual.

use serde::Deserialize;
use tradingsys::book::Difference;
use tradingsys::market::{Depth, Level, Mark};
use tradingsys::num::{Price, Qty};
use tradingsys::time::Time;

use crate::reply::{Malformed, read};

type Rows = Vec<(Price, Qty)>;

fn levels(rows: Rows) -> Vec<Level> {
    rows.into_iter().map(|(price, qty)| Level { price, qty }).collect()
}

/// Reads a difference of a book (`depthUpdate`). Its time is that of the change where the venue says it (`T`), else of
/// the message.
///
/// # Errors
/// [`Malformed`] if it is no difference.
pub fn difference(data: &str) -> Result<Difference, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "E")]
        event: i64,
        #[serde(rename = "T")]
        changed: Option<i64>,
        #[serde(rename = "U")]
        first: u64,
        u: u64,
        pu: Option<u64>,
        b: Rows,
        a: Rows,
    }
    let raw: Raw = read("a difference of a book", data)?;
    Ok(Difference {
        first: raw.first,
        last: raw.u,
        previous: raw.pu,
        time: Time::from_millis(raw.changed.unwrap_or(raw.event)),
        bids: levels(raw.b),
        asks: levels(raw.a),
    })
}

/// Reads a snapshot of a book. Where the venue sends no time with it `received` is written in.
///
/// # Errors
/// [`Malformed`] if it is no snapshot.
pub fn snapshot(result: &str, received: Time) -> Result<Depth, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "lastUpdateId")]
        update_id: u64,
        #[serde(rename = "T")]
        changed: Option<i64>,
        bids: Rows,
        asks: Rows,
    }
    let raw: Raw = read("a snapshot of a book", result)?;
    let time = raw.changed.map_or(received, Time::from_millis);
    Ok(Depth { update_id: raw.update_id, time, bids: levels(raw.bids), asks: levels(raw.asks) })
}

/// Reads a mark price (`markPriceUpdate`). Contracts without funding have an empty or zero rate and no next time.
///
/// # Errors
/// [`Malformed`] if it is no mark price.
pub fn mark(data: &str) -> Result<Mark, Malformed> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(rename = "E")]
        event: i64,
        p: Price,
        i: Price,
        r: &'a str,
        #[serde(rename = "T")]
        next: i64,
    }
    const WHAT: &str = "a mark price";
    let raw: Raw<'_> = read(WHAT, data)?;
    let next_funding = (raw.next > 0).then(|| Time::from_millis(raw.next));
    let funding_rate = match next_funding {
        Some(_) if !raw.r.is_empty() => Some(raw.r.parse().map_err(|error| Malformed::new(WHAT, error))?),
        _ => None,
    };
    Ok(Mark { time: Time::from_millis(raw.event), mark: raw.p, index: raw.i, funding_rate, next_funding })
}

#[cfg(test)]
mod tests {
    //! Frames written field by field from web-socket-streams.md (2026-07-21) and the futures pages of the same time.

    use super::*;

    fn level(price: &str, qty: &str) -> Level {
        Level { price: price.parse().unwrap(), qty: qty.parse().unwrap() }
    }

    #[test]
    fn differences_of_both_markets() {
        let spot = r#"{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[["0.0024","10"]],
            "a":[["0.0026","100"],["0.0027","0.00000000"]]}"#;
        let expected = Difference {
            first: 157,
            last: 160,
            previous: None,
            time: Time::from_millis(1_672_515_782_136),
            bids: vec![level("0.0024", "10")],
            asks: vec![level("0.0026", "100"), level("0.0027", "0")],
        };
        assert_eq!(difference(spot).unwrap(), expected);
        let futures = r#"{"e":"depthUpdate","E":123456789,"T":123456788,"s":"BTCUSDT","ps":"BTCUSDT","U":157,"u":160,
            "pu":149,"st":1,"b":[],"a":[]}"#;
        let read = difference(futures).unwrap();
        assert_eq!((read.previous, read.time), (Some(149), Time::from_millis(123_456_788)));
        for bad in ["", "{}", r#"{"E":1,"U":1,"u":2,"b":[["x","1"]],"a":[]}"#, &spot.replace("157", "-1")] {
            assert!(difference(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn snapshots_of_both_markets() {
        let now = Time::from_millis(5);
        let spot = r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.2","12"]]}"#;
        let read = snapshot(spot, now).unwrap();
        assert_eq!((read.update_id, read.time, read.bids), (1_027_024, now, vec![level("4", "431")]));
        let futures = r#"{"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,"bids":[],"asks":[]}"#;
        assert_eq!(snapshot(futures, now).unwrap().time, Time::from_millis(1_589_436_922_959));
        assert!(snapshot(r#"{"bids":[],"asks":[]}"#, now).is_err());
    }

    #[test]
    fn marks_with_and_without_funding() {
        let text = r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.1",
            "i":"11784.62659091","P":"11784.25641265","r":"-0.00038167","T":1562306400000,"st":1}"#;
        let read = mark(text).unwrap();
        assert_eq!(read.time, Time::from_millis(1_562_305_380_000));
        assert_eq!((read.mark, read.index), ("11794.15".parse().unwrap(), "11784.62659091".parse().unwrap()));
        assert_eq!(read.funding_rate, Some("-0.00038167".parse().unwrap()));
        assert_eq!(read.next_funding, Some(Time::from_millis(1_562_306_400_000)));
        let delivery = text.replace("-0.00038167", "").replace("1562306400000", "0");
        let read = mark(&delivery).unwrap();
        assert_eq!((read.funding_rate, read.next_funding), (None, None));
        assert!(mark(&text.replace("-0.00038167", "x")).is_err());
    }
}
