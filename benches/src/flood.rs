//! Orders as fast as a gateway takes them: sessions that each keep so many commands under way.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control::{number, word};
use crate::frame::of_client;
use crate::now;
use crate::seat::Seat;

/// Events between two acknowledgements.
const ACKNOWLEDGED_EACH: u64 = 500;

/// The session that sends the first order.
const OPENER: u16 = 400;

/// How often it tries.
const TRIES: u64 = 600;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What a session has seen.
#[derive(Default)]
struct Seen {
    accepted: u64,
    refused: u64,
    events: u64,
    refusal: String,
}

/// Waits until the gateway takes orders for the symbol: before the first one of a journal's life it reads the past.
pub(crate) fn open(wish: &Value) -> io::Result<Value> {
    let mut seat = Seat::take(word(wish, "address")?, word(wish, "token")?, OPENER, true)?;
    patiently(|_| seat.call("subscribe", json!({"streams": ["dogeusdt@trade"]})))?;
    let first = seat.next;
    patiently(|attempt| seat.call("order", params(first + attempt)))
}

/// Tries again and again.
fn patiently(mut attempt: impl FnMut(u64) -> io::Result<Value>) -> io::Result<Value> {
    for number in 0..TRIES {
        if attempt(number).is_ok() {
            return Ok(json!({}));
        }
        thread::sleep(PAUSE);
    }
    attempt(TRIES)
}

fn params(number: u64) -> Value {
    json!({"n": number, "symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "tif": "IOC", "qty": "100", "price": "0.19"})
}

/// Floods for so many seconds. `arrived` says how many orders have come to the exchange.
pub(crate) fn run(wish: &Value, arrived: impl Fn() -> usize) -> io::Result<Value> {
    let (address, token) = (word(wish, "address")?.to_owned(), word(wish, "token")?.to_owned());
    let (sessions, window) = (number(wish, "sessions")?, number(wish, "window")?);
    let nanos = number(wish, "seconds")? * 1_000_000_000;
    let seats: Vec<Seat> = (0..sessions)
        .map(|session| {
            let mut seat = Seat::take(&address, &token, 500 + session as u16, true)?;
            seat.call("subscribe", json!({"streams": ["dogeusdt@trade"]}))?;
            Ok(seat)
        })
        .collect::<io::Result<_>>()?;
    let (began, before) = (now(), arrived());
    let threads: Vec<_> =
        seats.into_iter().map(|seat| thread::spawn(move || session(seat, window, began + nanos))).collect();
    let mut all = Seen::default();
    for thread in threads {
        let seen = thread.join().map_err(|_| io::Error::other("a session's thread panicked"))??;
        all.accepted += seen.accepted;
        all.refused += seen.refused;
        all.events += seen.events;
        all.refusal = seen.refusal;
    }
    let took = now() - began;
    Ok(json!({
        "arrived": arrived() - before, "accepted": all.accepted, "refused": all.refused, "events": all.events,
        "refusal": all.refusal, "nanos": took,
    }))
}

fn session(mut seat: Seat, window: u64, until: u64) -> io::Result<Seen> {
    let (mut seen, mut under_way, mut told) = (Seen::default(), 0, 0);
    loop {
        let open = now() < until;
        if !open && under_way == 0 {
            return Ok(seen);
        }
        while open && under_way < window {
            let number = seat.next;
            seat.stream.write_all(&of_client(&order(number)))?;
            (seat.next, under_way) = (number + 1, under_way + 1);
        }
        if !seat.frames.fill(&mut seat.stream)? {
            return Err(io::Error::other("the gateway closed a session"));
        }
        let mut last = None;
        while let Some(frame) = seat.frames.take() {
            let text = std::str::from_utf8(frame.text).unwrap_or_default();
            if text.starts_with(r#"{"id":"#) {
                under_way -= 1;
                if text.contains(r#""error""#) {
                    seen.refused += 1;
                    seen.refusal = text.to_owned();
                } else {
                    seen.accepted += 1;
                }
            } else if text.contains(r#""seq":"#) {
                seen.events += 1;
                last = Some(text.to_owned());
            }
        }
        if let Some(text) = last.filter(|_| seen.events >= told + ACKNOWLEDGED_EACH) {
            told = seen.events;
            let event: Value = serde_json::from_str(&text)?;
            let ack = json!({"method": "ack", "params": {"gen": event["gen"], "seq": event["seq"]}});
            seat.stream.write_all(&of_client(&ack.to_string()))?;
        }
    }
}

fn order(number: u64) -> String {
    // Ids of calls beside those of the login.
    json!({"id": 1_000_000 + number, "method": "order", "params": params(number)}).to_string()
}
