//! The simulated exchange: what it is asked, and the files it reads.

use std::collections::BTreeMap;

use binance_sim::config::{Config, parse_accounts};
use binance_sim::{
    Conn, HttpRequest, Journal, Journaled, Recording, Request, Sim, SimInput, SimOutput, Weather,
};
use binance_wire::sign::{percent_encode, rest_payload, ws_payload};
use bytes::Bytes;
use serde_json::Value;
use tradingsys::time::Span;
use tradingsys_world::product::Product;

use super::{Verdict, law, shown, text};
use crate::corpus::Corpus;
use crate::house::{self, START};
use crate::json::is_json;
use crate::script::{Step, steps};

/// Bytes it may send after one input: each of ten thousand rows of a question has some hundred.
const BYTES_MAX: usize = 16 << 20;

/// Requests of spot.
pub fn spot(input: &[u8]) -> Verdict {
    asked(Product::Spot, input)
}

/// Of futures.
pub fn usdt(input: &[u8]) -> Verdict {
    asked(Product::Usdt, input)
}

/// Of cross margin.
pub fn margin(input: &[u8]) -> Verdict {
    asked(Product::Margin, input)
}

/// Its corpus.
pub fn spot_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.spot.sim.text().as_bytes().to_vec(), OPERATOR.as_bytes().to_vec()]
}

/// See there.
pub fn usdt_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.usdt.sim.text().as_bytes().to_vec(), OPERATOR.as_bytes().to_vec()]
}

/// See there.
pub fn margin_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    vec![corpus.margin.sim.text().as_bytes().to_vec(), OPERATOR.as_bytes().to_vec()]
}

/// What an operator and other people's clients ask.
const OPERATOR: &str = include_str!("../../scripts/operator.txt");

fn asked(product: Product, input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut sim = house::sim(product);
    let mut now = START;
    let mut pings = BTreeMap::<Conn, Bytes>::new();
    let mut words = BTreeMap::<String, usize>::new();
    // A fault may deform what is answered; without one it is JSON.
    let fair = !text.contains("/control/faults");
    for step in steps(text) {
        let end = now + step.after;
        let mut out = Vec::new();
        while let Some(due) = sim.deadline().filter(|due| *due <= end) {
            // A clock that was set forward is due at once: what is due is done in one call.
            now = now.max(due);
            sim.timer(now, &mut out);
            if sim.deadline().is_some_and(|next| next <= due && due < now) {
                break;
            }
        }
        now = end;
        if let Some(input) = read(&step, &pings) {
            sim.handle(now, input, &mut out);
        }
        heard(out, fair, &mut pings, &mut words)?;
    }
    Ok(words.iter().map(|(what, count)| format!("{what}{}", count.ilog2())).collect::<Vec<_>>().join(" "))
}

fn heard(
    out: Vec<SimOutput>,
    fair: bool,
    pings: &mut BTreeMap<Conn, Bytes>,
    words: &mut BTreeMap<String, usize>,
) -> Result<(), String> {
    let mut bytes = 0;
    for output in out {
        let what = match output {
            SimOutput::Send(_, frame) => {
                bytes += frame.len();
                law(std::str::from_utf8(&frame).is_ok(), || "a text frame is no UTF-8".to_owned())?;
                let code = std::str::from_utf8(&frame).ok().and_then(|text| text.split_once("\"code\":"));
                let code: String = code
                    .map_or("", |(_, rest)| rest)
                    .chars()
                    .take_while(|c| *c == '-' || c.is_ascii_digit())
                    .collect();
                format!("send {code}")
            }
            SimOutput::Reply(_, reply) => {
                bytes += reply.body.len();
                let json = reply.body.is_empty()
                    || is_json(reply.body.as_bytes())
                    || !reply.body.starts_with(['{', '[']);
                law(json || !fair || reply.status >= 500, || {
                    format!("{}: no JSON: {}", reply.status, shown(&reply.body))
                })?;
                format!("reply {}", reply.status)
            }
            SimOutput::Append(journal, line) => {
                law(is_json(line.as_bytes()), || format!("{journal:?}: no JSON: {}", shown(&line)))?;
                format!("{journal:?}")
            }
            SimOutput::Ping(conn, payload) => {
                pings.insert(conn, payload);
                "ping".to_owned()
            }
            SimOutput::Close(_, code, _) => format!("close {code}"),
            SimOutput::Refuse(_, status) => format!("refuse {status}"),
            _ => "other".to_owned(),
        };
        *words.entry(what).or_default() += 1;
    }
    law(bytes <= BYTES_MAX, || format!("{bytes} bytes are sent after one input"))
}

fn read(step: &Step<'_>, pings: &BTreeMap<Conn, Bytes>) -> Option<SimInput> {
    let conn = Conn(step.number.into());
    Some(match step.kind {
        'O' => {
            let (path, query) = step.rest.split_once('?').unwrap_or((step.rest, ""));
            let request = HttpRequest {
                method: "GET".to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                peer: "gateway".to_owned(),
                ..HttpRequest::default()
            };
            SimInput::Opened { conn, request }
        }
        'T' => SimInput::Text(conn, signed_frame(step.rest)),
        'I' => SimInput::Ping(conn),
        'P' => SimInput::Pong(conn, pings.get(&conn).cloned().unwrap_or_default()),
        'C' => SimInput::Closed(conn),
        'H' => SimInput::Http(Request(step.number.into()), http(step.rest)?),
        _ => return None,
    })
}

/// `POST /path?query body`.
fn http(line: &str) -> Option<HttpRequest> {
    let mut parts = line.splitn(3, ' ');
    let method = parts.next()?.to_owned();
    let (path, query) = parts.next()?.split_once('?')?;
    let body = parts.next().unwrap_or_default().to_owned();
    let query = match query.split_once("&signature=") {
        // What was changed is signed anew: or nothing would get past the signature.
        Some((signed, _)) => {
            let signature = house::key().sign(rest_payload(signed, &body).as_bytes());
            format!("{signed}&signature={}", percent_encode(&signature))
        }
        None => query.to_owned(),
    };
    Some(HttpRequest {
        method,
        path: path.to_owned(),
        query,
        headers: vec![("x-mbx-apikey".to_owned(), "world".to_owned())],
        body,
        peer: "gateway".to_owned(),
    })
}

/// A frame whose parameters carry a signature gets the right one.
fn signed_frame(text: &str) -> String {
    let Ok(mut frame) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let Some(params) = frame.get_mut("params").and_then(Value::as_object_mut) else { return text.to_owned() };
    if params.remove("signature").is_none() {
        return text.to_owned();
    }
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let payload = ws_payload(params.iter().map(|(name, value)| (name.clone(), plain(value))));
    params.insert("signature".to_owned(), house::key().sign(payload.as_bytes()).into());
    frame.to_string()
}

/// A recorded market.
pub fn recording(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    match Recording::parse(text) {
        Ok(found) => {
            // What is read can be shown.
            let config = Config { replay: Some(std::sync::Arc::new(found)), ..Config::default() };
            let mut sim = match Sim::new(config, START) {
                Ok(sim) => sim,
                Err(error) => return Ok(format!("not listed: {error}").chars().take(60).collect()),
            };
            let mut out = Vec::new();
            sim.timer(START + Span::from_secs(2), &mut out);
            Ok(format!("shown {}", out.len().min(1)))
        }
        Err(error) => Ok(error.to_string().chars().filter(|c| !c.is_ascii_digit()).take(80).collect()),
    }
}

/// Its corpus.
pub fn recording_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    let small = "1723075200000000000 {\"lastUpdateId\":100,\"bids\":[[\"0.2\",\"5\"]],\"asks\":[[\"0.21\",\"5\"]]}
1723075200100000000 {\"stream\":\"dogeusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1723075200100,\"s\":\"DOGEUSDT\",\"U\":101,\"u\":103,\"b\":[[\"0.2\",\"7\"]],\"a\":[]}}
1723075200200000000 {\"stream\":\"dogeusdt@bookTicker\",\"data\":{\"u\":103,\"s\":\"DOGEUSDT\",\"b\":\"0.2\",\"B\":\"7\",\"a\":\"0.21\",\"A\":\"5\"}}
1723075200300000000 {\"stream\":\"dogeusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1723075200300,\"s\":\"DOGEUSDT\",\"t\":5,\"p\":\"0.21\",\"q\":\"1\",\"T\":1723075200299,\"m\":false}}
1723075200400000000 {\"stream\":\"dogeusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1723075200400,\"s\":\"DOGEUSDT\",\"U\":104,\"u\":104,\"b\":[],\"a\":[[\"0.21\",\"4\"]]}}";
    let recorded = corpus.recording.iter().map(|text| text.as_bytes().to_vec());
    recorded.chain([small.as_bytes().to_vec()]).collect()
}

/// A script or a recording of faults.
pub fn weather(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    match Weather::parse(&tradingsys::jsonc::plain(text)) {
        Ok(found) => Ok(format!("taken {}", found.is_fair())),
        Err(error) => Ok(error.chars().filter(|c| !c.is_ascii_digit()).take(80).collect()),
    }
}

/// Its corpus.
pub fn weather_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    let recorded = "{\"after\":5,\"fault\":\"reply.drop\",\"of\":\"spot/order.place\",\"n\":3,\"span_ns\":5,\"rule\":{\"fault\":\"reply.drop\"}}\n";
    vec![include_bytes!("../../../examples/weather.json").to_vec(), recorded.as_bytes().to_vec()]
}

/// The files of an earlier run, a line each: `trades.jsonl {…}`.
pub fn files(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let mut journaled = Journaled::default();
    for line in text.lines() {
        let Some((file, line)) = line.split_once(' ') else { continue };
        let Some(journal) = Journal::ALL.into_iter().find(|journal| journal.file_name() == file) else {
            continue;
        };
        let all = journaled.texts.entry(journal).or_default();
        all.push_str(line);
        all.push('\n');
    }
    let accounts = r#"[{"name":"gateway","apikey":"world","hmac_secret":"secret"}]"#;
    let accounts = parse_accounts(accounts).map_err(|error| error.to_string())?;
    let config = Config { accounts, ..Config::default() };
    match Sim::resume(config, START + Span::from_secs(60), &journaled) {
        Ok(mut sim) => {
            let mut out = Vec::new();
            sim.timer(START + Span::from_secs(61), &mut out);
            Ok("resumed".to_owned())
        }
        Err(error) => Ok(error.to_string().chars().filter(|c| !c.is_ascii_digit()).take(80).collect()),
    }
}

/// Its corpus.
pub fn file_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    let of = |heard: &house::Heard| {
        let lines = heard.journal.iter().map(|(journal, line)| format!("{} {line}", journal.file_name()));
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    };
    vec![of(&corpus.spot), of(&corpus.usdt), of(&corpus.margin)]
}
