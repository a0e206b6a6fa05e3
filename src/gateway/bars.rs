//! Bars without a hole: what closed while nothing arrived is asked for and told in its place.
//!
//! After a lost connection, and where the venue sends nothing for an interval without trades, the next live bar does
//! not follow the last one told, or the first one of all, or the last one of a history somebody has read. It waits
//! until the bars between have been asked for. A bar told before is not told again.

use std::collections::BTreeMap;

use super::Gateway;
use super::io::LogLevel;
use super::queue::Thinning;
use super::stream::bar_data;
use crate::market::{Bar, Channel, Stream};
use crate::time::{Span, Time};

/// Most bars asked for at once.
const PAGE: i64 = 1_000;
/// How often the bars of one hole are asked for before it stays one.
const TRIES: u32 = 3;
/// From the last instant of a bar to the first of the next.
const STEP: Span = Span::from_millis(1);

/// The streams of bars that somebody wants.
#[derive(Debug, Default)]
pub(super) struct Bars {
    lines: BTreeMap<Stream, Line>,
    asked: BTreeMap<u64, Stream>,
}

#[derive(Debug, Default)]
struct Line {
    /// Last instant of the last closed bar told, or of the one before the first that is told.
    told: Option<Time>,
    /// Live bars that wait for those before them.
    held: Vec<Bar>,
    tries: u32,
}

impl Line {
    /// Keeps a live bar; of an open one the newest view.
    fn hold(&mut self, bar: Bar) {
        self.held.retain(|held| held.start != bar.start || held.closed);
        if self.held.last().is_none_or(|last| last.start < bar.start) {
            self.held.push(bar);
        }
    }
}

impl Bars {
    /// A history of the stream was read up to there: live bars go on after it, though none has come yet.
    pub(super) fn begins_after(&mut self, stream: &Stream, end: Time) {
        self.lines.entry(stream.clone()).or_default().told.get_or_insert(end);
    }

    /// Nobody wants the stream any more.
    pub(super) fn leave(&mut self, stream: &Stream) {
        self.lines.remove(stream);
    }
}

impl Gateway {
    pub(super) fn publish_bar(&mut self, now: Time, stream: &Stream, bar: Bar) {
        let line = self.bars.lines.entry(stream.clone()).or_default();
        if line.told.is_some_and(|told| bar.end <= told) {
            return;
        }
        // Whoever was told of an open bar is owed its close, whatever is lost in between.
        line.told.get_or_insert(bar.start - STEP);
        if !line.held.is_empty() {
            return line.hold(bar);
        }
        if line.told.is_some_and(|told| bar.start > told + STEP) {
            line.hold(bar);
            line.tries = 0;
            return self.ask_between(now, stream);
        }
        self.tell_bar(stream, &bar);
    }

    fn tell_bar(&mut self, stream: &Stream, bar: &Bar) {
        if bar.closed
            && let Some(line) = self.bars.lines.get_mut(stream)
        {
            line.told = Some(bar.end);
        }
        let thinning = if bar.closed { Thinning::Keep } else { Thinning::Newest };
        self.spread(stream, &bar_data(bar), thinning);
    }

    /// Asks for the bars between the last one told and the first that waits.
    fn ask_between(&mut self, now: Time, stream: &Stream) {
        let Some(line) = self.bars.lines.get_mut(stream) else { return };
        let (Some(told), Some(first), Channel::Kline(interval)) =
            (line.told, line.held.first(), stream.channel)
        else {
            return;
        };
        line.tries += 1;
        let length = (first.end - first.start + STEP).nanos().max(1);
        // The newest of the answer may be some bars past the first that waits.
        let count = (now.max(first.start).since(told).nanos() / length + 2).min(PAGE);
        let request = self.streams.number();
        self.bars.asked.insert(request, stream.clone());
        let count = u32::try_from(count).unwrap_or(1);
        self.feed.history(now, request, &stream.symbol, interval, count, &mut self.venue);
    }

    /// Were these bars asked for to fill a hole? Then they are told, and what waited for them.
    pub(super) fn bars_between(&mut self, now: Time, request: u64, bars: &Result<Vec<Bar>, String>) -> bool {
        let Some(stream) = self.bars.asked.remove(&request) else { return false };
        let Some(line) = self.bars.lines.get_mut(&stream) else { return true };
        let Some(first) = line.held.first().map(|bar| bar.start) else { return true };
        let found: Vec<Bar> =
            bars.iter().flatten().filter(|bar| bar.closed && bar.start < first).cloned().collect();
        let reaches = found.last().is_some_and(|bar| bar.end + STEP >= first);
        if !reaches && line.tries < TRIES {
            self.ask_between(now, &stream);
            return true;
        }
        if !reaches {
            let fields = format!("stream={stream} reason={:?}", bars.as_ref().err());
            self.log(LogLevel::Warn, "bars are missing that the exchange does not give", fields);
        }
        let told = |bars: &Self| bars.bars.lines.get(&stream).and_then(|line| line.told);
        for bar in &found {
            if told(self).is_none_or(|told| bar.start > told) {
                self.tell_bar(&stream, bar);
            }
        }
        let held = self.bars.lines.get_mut(&stream).map(|line| {
            // What the exchange does not give is a hole that stays.
            line.told = Some(first - STEP);
            std::mem::take(&mut line.held)
        });
        for bar in held.into_iter().flatten() {
            self.publish_bar(now, &stream, bar);
        }
        true
    }
}
