//! Ticks: frames of the market-data host, numbered by the quantity of their best bid, sent at a steady rate.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::exchange::{Shared, Socket};
use crate::frame::of_server;
use crate::{lock, now};

/// The first number: worth more than the least an order may be.
pub(crate) const FIRST: u64 = 1_000;

/// How many times of sending are remembered.
const KEPT: usize = 1 << 17;

/// Which frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// `bookTicker`.
    Bbo,
    /// `depth20`.
    Depth,
    /// `trade`.
    Trade,
}

impl View {
    /// By its word in the local protocol.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            "bbo" => Some(Self::Bbo),
            "depth" => Some(Self::Depth),
            "trade" => Some(Self::Trade),
            _ => None,
        }
    }

    /// The venue's name of its stream.
    pub(crate) const fn stream(self) -> &'static str {
        match self {
            Self::Bbo => "dogeusdt@bookTicker",
            Self::Depth => "dogeusdt@depth20",
            Self::Trade => "dogeusdt@trade",
        }
    }
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Which frames.
    pub(crate) view: View,
    /// How many a second.
    pub(crate) rate: u64,
    /// How many.
    pub(crate) count: u64,
}

/// When each tick was sent, for readers in this process.
pub(crate) struct Sent {
    times: Vec<AtomicU64>,
    newest: AtomicU64,
}

impl Default for Sent {
    fn default() -> Self {
        Self { times: (0..KEPT).map(|_| AtomicU64::new(0)).collect(), newest: AtomicU64::new(FIRST - 1) }
    }
}

impl Sent {
    fn slot(&self, number: u64) -> Option<&AtomicU64> {
        self.times.get(number as usize % KEPT)
    }

    /// When it was sent.
    pub(crate) fn at(&self, number: u64) -> u64 {
        self.slot(number).map_or(0, |slot| slot.load(Ordering::Acquire))
    }

    /// The newest there is.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    fn begin(&self) -> (u64, u64) {
        let (number, at) = (self.newest() + 1, now());
        if let Some(slot) = self.slot(number) {
            slot.store(at, Ordering::Release);
        }
        self.newest.store(number, Ordering::Release);
        (number, at)
    }
}

/// Sends them. Returns number and time of each, and by how much the sender was late, in nanoseconds: the times say
/// when a frame was really handed to the system, so lateness spoils the rate, not the figures.
pub(crate) fn push(shared: &Shared, socket: &Socket, plan: Plan) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let mut times = Vec::with_capacity(plan.count as usize);
    let (began, mut late) = (now(), 0);
    for place in 0..plan.count {
        let number = shared.sent.newest() + 1;
        let frame = of_server(&frame(plan.view, number, number));
        let due = began + place * 1_000_000_000 / plan.rate.max(1);
        let early = due.saturating_sub(now());
        if early > 0 {
            std::thread::sleep(Duration::from_nanos(early));
        }
        let (number, at) = shared.sent.begin();
        lock(socket).write_all(&frame)?;
        late = late.max(at.saturating_sub(due));
        times.push((number, at));
    }
    Ok((times, late))
}

/// Ticks that nobody measures: ten a second, until told to stop. Their number is zero.
pub(crate) fn hum(view: View, socket: &Socket, over: &AtomicBool) -> io::Result<()> {
    let mut update = 0;
    while !over.load(Ordering::Relaxed) {
        update += 1;
        lock(socket).write_all(&of_server(&frame(view, 0, update)))?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A frame with this number, as `binance-sim` and the venue write it.
pub(crate) fn frame(view: View, number: u64, update: u64) -> String {
    let (bid, ask) = if update.is_multiple_of(2) { (20_000, 20_001) } else { (19_999, 20_000) };
    let update = 1_000_000_000 + update;
    match view {
        View::Bbo => format!(
            r#"{{"stream":"dogeusdt@bookTicker","data":{{"u":{update},"s":"DOGEUSDT","b":"0.{bid}000","B":"{number}.00000000","a":"0.{ask}000","A":"3456.00000000"}}}}"#
        ),
        View::Depth => {
            let bids =
                levels((0..20).map(|level| (bid - level, if level == 0 { number } else { 4_321 + level })));
            let asks = levels((0..20).map(|level| (ask + level, 1_234 + level)));
            format!(
                r#"{{"stream":"dogeusdt@depth20","data":{{"lastUpdateId":{update},"bids":[{bids}],"asks":[{asks}]}}}}"#
            )
        }
        View::Trade => {
            let time = now() / 1_000_000;
            format!(
                r#"{{"stream":"dogeusdt@trade","data":{{"e":"trade","E":{time},"s":"DOGEUSDT","t":{update},"p":"0.{bid}000","q":"{number}.00000000","T":{time},"m":true,"M":true}}}}"#
            )
        }
    }
}

fn levels(rows: impl Iterator<Item = (u64, u64)>) -> String {
    let rows: Vec<String> =
        rows.map(|(price, qty)| format!(r#"["0.{price}000","{qty}.00000000"]"#)).collect();
    rows.join(",")
}

/// The number of a tick, of the venue's spelling or of the local protocol's.
pub(crate) fn number_of(text: &str) -> Option<u64> {
    let after = |mark: &str| text.find(mark).and_then(|at| text.get(at + mark.len()..));
    let rest = match after(r#""B":""#) {
        Some(rest) => rest,
        None => after(r#""bids":[[""#)?.split_once(r#"",""#)?.1,
    };
    rest.split(['.', '"']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_says_its_number_and_is_json() {
        for view in [View::Bbo, View::Depth] {
            let text = frame(view, 1_234_567, 5);
            assert_eq!(number_of(&text), Some(1_234_567), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(&frame(View::Trade, 7, 8)).is_ok());
        let local =
            r#"{"stream":"dogeusdt@bbo","data":{"time":1,"update_id":5,"bids":[["0.2","77"]],"asks":[]}}"#;
        assert_eq!(number_of(local), Some(77));
    }
}
