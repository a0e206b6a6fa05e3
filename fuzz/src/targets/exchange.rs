//! What the exchange sends.

use std::fmt::Debug;

use binance_wire::reply::Malformed;
use binance_wire::stream::StreamFrame;
use binance_wire::{account, book, exchange_info, futures, margin, reply, rest, rights, sbe, stream};
use tradingsys::market::Interval;
use tradingsys::time::Time;

use super::{Verdict, law, shown, text};
use crate::corpus::Corpus;
use crate::json::is_json;

const NOW: Time = Time::from_millis(1_795_000_000_000);

/// What was made of one input: which readers took it, and what the others said.
#[derive(Default)]
struct Readings(String);

impl Readings {
    /// A reader takes nothing that is not JSON.
    fn note<T: Debug>(&mut self, name: &str, text: &str, read: &Result<T, Malformed>) -> Result<(), String> {
        match read {
            Ok(_) => {
                self.0.push_str(name);
                law(is_json(text.as_bytes()), || format!("{name} takes what is no JSON: {}", shown(text)))?;
            }
            Err(error) => self.0.extend(error.why.chars().take(24)),
        }
        self.0.push(';');
        Ok(())
    }

    /// The same of a reader with a short way for the usual spelling: with a blank before it the long way is taken, and
    /// both come to the same.
    fn both<T: Debug + PartialEq>(
        &mut self,
        name: &str,
        text: &str,
        read: impl Fn(&str) -> Result<T, Malformed>,
    ) -> Result<(), String> {
        let (short, long) = (read(text), read(&format!(" {text}")));
        self.note(name, text, &short)?;
        let same = match (&short, &long) {
            (Ok(short), Ok(long)) => short == long,
            (short, long) => short.is_ok() == long.is_ok(),
        };
        law(same, || format!("{name} reads {short:?} or, with a blank before it, {long:?}: {}", shown(text)))
    }
}

fn market_data(readings: &mut Readings, data: &str) -> Result<(), String> {
    readings.both("depth", data, |text| stream::depth(text, NOW))?;
    readings.both("futures depth", data, |text| futures::stream::depth(text, NOW))?;
    readings.both("book ticker", data, |text| stream::book_ticker(text, NOW))?;
    readings.note("trade", data, &stream::trade(data))?;
    readings.note("kline", data, &stream::kline(data))?;
    readings.note("difference", data, &book::difference(data))?;
    readings.note("mark", data, &book::mark(data))
}

/// A frame of a market-data host, or the data of one.
pub fn market(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut readings = Readings::default();
    let frame = stream::stream_frame(text);
    if let Ok(StreamFrame::Data { data, .. }) = &frame {
        let mut inner = Readings::default();
        market_data(&mut inner, data)?;
        readings.0 = inner.0;
        // The short way may cut what is no JSON as a whole, but then nothing is read from it.
        let taken = stream::depth(data, NOW).is_ok() || stream::trade(data).is_ok();
        law(!taken || is_json(text.as_bytes()), || {
            format!("data is taken of what is no JSON: {}", shown(text))
        })?;
    }
    if is_json(text.as_bytes()) {
        let long = stream::whole_frame(text);
        // What is cut wrong cannot be read: then the whole frame is.
        let unread = matches!(&frame, Ok(StreamFrame::Data { data, .. }) if !is_json(data.as_bytes()));
        law(frame == long || unread, || format!("cut as {frame:?} or, as a whole, as {long:?}"))?;
    }
    market_data(&mut readings, text)?;
    Ok(readings.0)
}

/// Its corpus.
pub fn market_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.market_frames()
}

/// A frame of the market-data host that speaks binary.
pub fn binary(input: &[u8]) -> Verdict {
    let event = match sbe::event(input) {
        Ok(event) => event,
        Err(why) => return Ok(format!("{why}{}", if why.is_foreign() { " foreign" } else { "" })),
    };
    // A level takes sixteen bytes: no more of them are made than there is room for.
    let (word, bids, asks) = match &event.told {
        sbe::Told::Best(best) => ("best", best.bids.len(), best.asks.len()),
        sbe::Told::Depth(depth) => ("depth", depth.bids.len(), depth.asks.len()),
        sbe::Told::Difference(change) => ("difference", change.bids.len(), change.asks.len()),
    };
    law((bids + asks) * 16 <= input.len(), || format!("{bids} and {asks} levels in {} bytes", input.len()))?;
    // What is appended is of a later version, and changes nothing.
    let longer = [input, &[0]].concat();
    law(sbe::event(&longer).as_ref() == Ok(&event), || "a byte behind the end is read".to_owned())?;
    let mut name = String::new();
    event.write_name(&mut name);
    law(name.contains('@'), || format!("no name of a stream: {name:?}"))?;
    Ok(format!("{word} {} {}", bids.min(2), asks.min(2)))
}

/// A frame of each kind, byte by byte.
pub fn binary_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    let frame = |template: u16, ids: &[i64], groups: &[&[[i64; 2]]], levels: &[i64]| {
        let numbers: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let levels: Vec<u8> = levels.iter().flat_map(|number| number.to_le_bytes()).collect();
        let block = [numbers, vec![0xf8, 0xf8], levels].concat();
        let length = u16::try_from(block.len()).unwrap_or_default();
        let mut bytes = [length, template, 1, 0].map(u16::to_le_bytes).concat();
        bytes.extend(block);
        for group in groups {
            bytes.extend([16, 0, u8::try_from(group.len()).unwrap_or_default(), 0]);
            bytes.extend(group.iter().flatten().flat_map(|number| number.to_le_bytes()));
        }
        bytes.extend(b"\x07BTCUSDT");
        bytes
    };
    let time = NOW.nanos() / 1_000;
    let side: &[[i64; 2]] = &[[6_173_763_000_000, 120_000_000], [6_173_762_000_000, 0]];
    vec![
        frame(10_001, &[time, 7], &[], &[6_173_763_000_000, 1, 6_173_764_000_000, 0]),
        frame(10_002, &[time, 7], &[side, &[]], &[]),
        frame(10_003, &[time, 7, 9], &[side, side], &[]),
    ]
}

/// A frame of the websocket API.
pub fn api(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut readings = Readings::default();
    let frame = reply::frame(text);
    readings.note("frame", text, &frame)?;
    if let Ok(reply::Frame::Reply(found)) = &frame {
        match &found.result {
            Ok(result) => {
                law(is_json(result.as_bytes()), || format!("the result is no JSON: {}", shown(result)))?;
                readings.note("time", result, &reply::server_time(result))?;
                readings.note("limits", result, &reply::order_limits(result))?;
            }
            Err(error) => readings.0.push_str(&format!("{} {}", error.status, error.code)),
        }
    }
    Ok(readings.0)
}

/// Its corpus.
pub fn api_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.api_frames()
}

/// An event of the account.
pub fn private(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let inner = match reply::frame(text) {
        Ok(reply::Frame::Event(event)) => event,
        _ => text,
    };
    let mut readings = Readings::default();
    readings.note("spot", inner, &account::private_event(inner))?;
    readings.note("futures", inner, &futures::account::user_event(inner))?;
    readings.note("order", inner, &futures::order::order_update(inner))?;
    readings.note("conditional", inner, &futures::order::conditional_update(inner))?;
    readings.note("risk", inner, &margin::risk_event(inner))?;
    if margin::event_name(inner).is_some() {
        law(is_json(inner.as_bytes()), || format!("no JSON has an event's name: {}", shown(inner)))?;
    }
    Ok(readings.0)
}

/// The result of a question.
pub fn answers(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut seen = Readings::default();
    seen.note("order", text, &account::order(text))?;
    seen.note("margin order", text, &account::margin_order(text))?;
    seen.note("amended", text, &account::amended_order(text))?;
    seen.note("orders", text, &account::orders(text))?;
    seen.note("trades", text, &account::trades(text))?;
    seen.note("account", text, &account::account(text))?;
    seen.note("bars", text, &stream::klines(text, Interval::ALL[0], NOW))?;
    seen.note("snapshot", text, &book::snapshot(text, NOW))?;
    seen.note("rights", text, &rights::key_rights(text))?;
    seen.note("futures order", text, &futures::order::order(text))?;
    seen.note("futures orders", text, &futures::order::orders(text))?;
    seen.note("futures trades", text, &futures::order::trades(text))?;
    seen.note("futures account", text, &futures::account::account(text))?;
    seen.note("settings", text, &futures::account::account_config(text))?;
    seen.note("isolated", text, &futures::account::isolated_symbols(text))?;
    seen.note("listen key", text, &futures::account::listen_key(text))?;
    seen.note("income", text, &futures::account::income(text))?;
    seen.note("funding", text, &futures::account::funding_rates(text))?;
    seen.note("wallet", text, &margin::wallet(text))?;
    seen.note("interest", text, &margin::interest(text))?;
    seen.note("listen token", text, &margin::listen_token(text))?;
    seen.note("subscribed", text, &margin::subscribed_until(text))?;
    seen.note("time", text, &reply::server_time(text))?;
    Ok(seen.0)
}

/// Its corpus.
pub fn answer_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.answers()
}

/// What is listed.
pub fn listings(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut seen = Readings::default();
    let found = [
        ("spot", exchange_info::exchange_info(text)),
        ("margin", exchange_info::margin_exchange_info(text)),
        ("futures", futures::info::exchange_info(text)),
    ];
    for (name, info) in found {
        seen.note(name, text, &info)?;
        let Ok(info) = info else { continue };
        seen.0.push_str(if info.instruments.is_empty() { "none" } else { "some" });
        for instrument in &info.instruments {
            let (tick, lot) = (instrument.tick(), instrument.lot());
            law(!tick.is_negative() && !lot.is_negative(), || {
                format!("{} has a negative grid", instrument.symbol)
            })?;
        }
    }
    Ok(seen.0)
}

/// Its corpus.
pub fn listing_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.listings()
}

/// An answer of REST: a status, lines of header fields, and a body as the last line.
pub fn rest(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or(200);
    let fields = lines.clone().filter_map(|line| line.split_once(": "));
    let fields: Vec<(String, String)> =
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let body = lines.next_back().unwrap_or_default();
    let counted = rest::used(&fields).count();
    match rest::rest_reply(NOW, status, &fields, body) {
        Ok(_) => law((200..300).contains(&status), || format!("status {status} is taken for good"))?,
        Err(error) => {
            law(error.message.len() <= body.len().max(400), || "words out of nothing".to_owned())?;
            let later = error.retry_after.is_none_or(|at| at >= NOW);
            law(later, || format!("to be tried again before now: {:?}", error.retry_after))?;
            return Ok(format!("{} {} {counted}", error.status, error.code));
        }
    }
    Ok(format!("good {counted}"))
}

/// Its corpus.
pub fn rest_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    [
        "200\nx-mbx-used-weight-1m: 12\nx-mbx-order-count-10s: 3\nx-mbx-order-count-1d: 7\n{}",
        "200\nx-sapi-used-uid-weight-1m: 180\nx-sapi-used-ip-weight-1m: 5\n[]",
        "429\nretry-after: 3\n{\"code\":-1003,\"msg\":\"Too much request weight used\"}",
        "418\nretry-after: 120\n{\"code\":-1003,\"msg\":\"Way too much\"}",
        "400\n{\"code\":-2013,\"msg\":\"Order does not exist.\"}",
        "403\nserver: cloud\n<html><body>403 Forbidden</body></html>",
        "503\n{\"code\":-1008,\"msg\":\"Server is currently overloaded\",\"data\":{\"serverTime\":1,\"retryAfter\":2}}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
