//! Market-data frames of the combined stream, and bars of queries.
//!
//! This is the hot way in: names and data are cut from the frame without a parse, prices go from text to exact numbers
//! without a copy.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tradingsys::market::{Bar, Channel, Depth, Interval, Level, PublicTrade, Stream};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::time::Time;

use crate::reply::{Malformed, read};
use crate::scan;

/// The venue's name of a stream.
pub fn stream_name(stream: &Stream) -> String {
    let symbol = &stream.symbol;
    match stream.channel {
        Channel::Depth => format!("{symbol}@depth20"),
        Channel::DepthFast => format!("{symbol}@depth20@100ms"),
        Channel::Bbo => format!("{symbol}@bookTicker"),
        Channel::Trade => format!("{symbol}@trade"),
        Channel::Kline(interval) => format!("{symbol}@kline_{interval}"),
        Channel::Book => format!("{symbol}@depth@100ms"),
        Channel::Mark => format!("{symbol}@markPrice@1s"),
    }
}

/// A frame of the market-data host.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamFrame<'a> {
    /// Data of a stream, still unread.
    Data {
        /// The venue's name of the stream.
        name: &'a str,
        /// Its JSON.
        data: &'a str,
    },
    /// The venue is about to close this connection.
    Shutdown,
    /// A control request was done, or refused with these words.
    Answer {
        /// Id of the request.
        id: u64,
        /// What is wrong with it.
        result: Result<(), String>,
    },
    /// A frame this system has no use for.
    Other,
}

#[derive(Deserialize)]
struct RawStreamFrame<'a> {
    stream: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<RawStreamError<'a>>,
    #[serde(borrow)]
    msg: Option<std::borrow::Cow<'a, str>>,
    e: Option<&'a str>,
}

/// A member that is there, though it be `null`: the short way takes that for data, too.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct RawStreamError<'a> {
    #[serde(borrow, default)]
    msg: std::borrow::Cow<'a, str>,
}

/// Reads the outside of a frame.
///
/// # Errors
/// [`Malformed`] if it is not JSON of the documented kind.
pub fn stream_frame(text: &str) -> Result<StreamFrame<'_>, Malformed> {
    match cut(text) {
        Some((name, data)) => Ok(StreamFrame::Data { name, data }),
        None => whole_frame(text),
    }
}

/// The same by a parse of the whole frame. What [`stream_frame`] has cut from one in which members follow the data
/// cannot be read; this cuts it right.
///
/// # Errors
/// As for [`stream_frame`].
pub fn whole_frame(text: &str) -> Result<StreamFrame<'_>, Malformed> {
    let raw: RawStreamFrame<'_> = read("a frame of the market-data host", text)?;
    if raw.stream == Some("!serverShutdown") || raw.e == Some("serverShutdown") {
        return Ok(StreamFrame::Shutdown);
    }
    if let (Some(name), Some(data)) = (raw.stream, raw.data) {
        return Ok(StreamFrame::Data { name, data: data.get() });
    }
    let refusal = raw.error.map(|error| error.msg).or(raw.msg);
    Ok(match raw.id.and_then(|id| id.get().parse().ok()) {
        Some(id) => StreamFrame::Answer { id, result: refusal.map_or(Ok(()), |why| Err(why.into_owned())) },
        None => StreamFrame::Other,
    })
}

/// The usual spelling of a combined frame, cut without parsing; what is left is checked when the data is read.
fn cut(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(r#"{"stream":""#)?;
    let (name, rest) = rest.split_once('"')?;
    let data = rest.strip_prefix(r#","data":"#)?.strip_suffix('}')?;
    let plain = name.bytes().all(|byte| byte >= b' ' && byte != b'\\');
    (plain && name != "!serverShutdown").then_some((name, data.trim_ascii()))
}

/// Reads a partial depth. The venue sends no time with it: `received` is written in.
///
/// # Errors
/// [`Malformed`] if it is no partial depth.
pub fn depth(data: &str, received: Time) -> Result<Depth, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        last_update_id: u64,
        bids: Vec<(Price, Qty)>,
        asks: Vec<(Price, Qty)>,
    }
    if let Some((update_id, bids, asks)) = scan::depth(data) {
        return Ok(Depth { update_id, time: received, bids, asks });
    }
    let raw: Raw = read("a partial depth", data)?;
    let levels =
        |pairs: Vec<(Price, Qty)>| pairs.into_iter().map(|(price, qty)| Level { price, qty }).collect();
    Ok(Depth {
        update_id: raw.last_update_id,
        time: received,
        bids: levels(raw.bids),
        asks: levels(raw.asks),
    })
}

/// Reads a book ticker. The venue sends no time with it: `received` is written in. An empty side has no level.
///
/// # Errors
/// [`Malformed`] if it is no book ticker.
pub fn book_ticker(data: &str, received: Time) -> Result<Depth, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        u: u64,
        b: Price,
        #[serde(rename = "B")]
        bid_qty: Qty,
        a: Price,
        #[serde(rename = "A")]
        ask_qty: Qty,
    }
    let (update_id, bid, ask) = match scan::book_ticker(data) {
        Some(best) => best,
        None => {
            let raw: Raw = read("a book ticker", data)?;
            (raw.u, Level { price: raw.b, qty: raw.bid_qty }, Level { price: raw.a, qty: raw.ask_qty })
        }
    };
    let side = |level: Level| if level.qty.is_zero() { Vec::new() } else { vec![level] };
    Ok(Depth { update_id, time: received, bids: side(bid), asks: side(ask) })
}

/// Reads a public trade.
///
/// # Errors
/// [`Malformed`] if it is no trade.
pub fn trade(data: &str) -> Result<PublicTrade, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        t: u64,
        p: Price,
        q: Qty,
        #[serde(rename = "T")]
        time: i64,
        m: bool,
    }
    let raw: Raw = read("a trade", data)?;
    Ok(PublicTrade {
        id: raw.t,
        time: Time::from_millis(raw.time),
        price: raw.p,
        qty: raw.q,
        buyer_is_maker: raw.m,
    })
}

/// Reads a kline event.
///
/// # Errors
/// [`Malformed`] if it is no kline event.
pub fn kline(data: &str) -> Result<Bar, Malformed> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        k: RawKline<'a>,
    }
    #[derive(Deserialize)]
    struct RawKline<'a> {
        t: i64,
        #[serde(rename = "T")]
        end: i64,
        i: &'a str,
        o: Price,
        c: Price,
        h: Price,
        l: Price,
        v: Qty,
        n: u64,
        x: bool,
        q: Cash,
        #[serde(rename = "V")]
        buy_volume: Qty,
        #[serde(rename = "Q")]
        buy_amount: Cash,
    }
    const WHAT: &str = "a kline";
    let k = read::<Raw<'_>>(WHAT, data)?.k;
    let interval =
        Interval::from_word(k.i).ok_or_else(|| Malformed::new(WHAT, format!("unknown interval {}", k.i)))?;
    Ok(Bar {
        interval,
        start: Time::from_millis(k.t),
        end: Time::from_millis(k.end),
        open: k.o,
        high: k.h,
        low: k.l,
        close: k.c,
        volume: k.v,
        amount: k.q,
        trades: k.n,
        buy_volume: k.buy_volume,
        buy_amount: k.buy_amount,
        closed: k.x,
    })
}

/// Reads the answer to `klines`; a bar is closed if its end is before `venue_now`.
///
/// # Errors
/// [`Malformed`] if a row is no bar.
pub fn klines(result: &str, interval: Interval, venue_now: Time) -> Result<Vec<Bar>, Malformed> {
    type Row = (i64, Price, Price, Price, Price, Qty, i64, Cash, u64, Qty, Cash, IgnoredAny);
    let rows: Vec<Row> = read("bars", result)?;
    let bar =
        |(start, open, high, low, close, volume, end, amount, trades, buy_volume, buy_amount, _): Row| {
            let end = Time::from_millis(end);
            Bar {
                interval,
                start: Time::from_millis(start),
                end,
                open,
                high,
                low,
                close,
                volume,
                amount,
                trades,
                buy_volume,
                buy_amount,
                closed: end < venue_now,
            }
        };
    Ok(rows.into_iter().map(bar).collect())
}

#[cfg(test)]
mod tests;
