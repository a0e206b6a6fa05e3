//! How the gateway stands, for whoever watches it: numbers for a monitor, and in words what keeps it from its work.
//!
//! Looking changes nothing. Where something is counted as it happens, that is one addition; all else is read off when
//! somebody looks, and costs what is open then: orders, clients, streams.

use std::collections::BTreeMap;
use std::fmt;

use super::Gateway;
pub use super::commits::Written;
pub use super::queue::Thinned;
use crate::ids::Symbol;
use crate::journal::Owner;
use crate::market::{Channel, OrderStatus};
use crate::time::{Span, Time};
use crate::venue::port::EntryGauges;
use crate::wire::error::ErrorCode;

/// Counted since the gateway began.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Orders sent.
    pub(super) orders: u64,
    /// Cancels sent.
    pub(super) cancels: u64,
    /// Amends sent.
    pub(super) amends: u64,
    /// Streams that became old.
    pub(super) stale: u64,
    /// What clients that are gone were not given.
    pub(super) thinned: Thinned,
    /// Is there market data?
    pub(super) market_up: bool,
    /// How often there was none any more.
    pub(super) market_losses: u64,
    refused: BTreeMap<i64, u64>,
    ended: BTreeMap<&'static str, u64>,
    losses: u64,
    lost_at: Option<Time>,
    recoveries: u64,
    recovered_in: Option<Span>,
}

impl Counts {
    /// A call was answered with that error.
    pub(super) fn refused(&mut self, code: i64) {
        *self.refused.entry(code).or_default() += 1;
    }

    /// An order ended, if it did.
    pub(super) fn ended(&mut self, end: Option<OrderStatus>) {
        if let Some(end) = end {
            *self.ended.entry(end.as_str()).or_default() += 1;
        }
    }

    /// Orders cannot be sent; `news` if they could be before.
    pub(super) fn lost(&mut self, now: Time, news: bool) {
        if news {
            self.losses += 1;
            self.lost_at = self.lost_at.or(Some(now));
        }
    }

    /// All is compared with the exchange after a loss, or after the start.
    pub(super) fn recovered(&mut self, now: Time, started: Time) {
        let first = self.recoveries == 0;
        let since = self.lost_at.take().filter(|_| !first).unwrap_or(started);
        self.recoveries += 1;
        self.recovered_in = Some(now.since(since));
    }
}

/// Comparing with the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryGauges {
    /// `down`, `waiting`, `first_pass`, `lag`, `second_pass` or `ready`.
    pub phase: &'static str,
    /// For how long orders have been waiting for it; zero when ready.
    pub under_way_for: Span,
    /// How long the last one took, from the loss, or from the start, until it was ready.
    pub last: Option<Span>,
    /// How many were completed.
    pub completed: u64,
    /// How often the connection for orders was lost.
    pub losses: u64,
}

/// Streams of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamGauges {
    /// That somebody wants.
    pub wanted: u64,
    /// Of these, those that are old.
    pub stale: u64,
}

/// All numbers of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// Market word.
    pub market: &'static str,
    /// How it stands.
    pub condition: Condition,
    /// The connection for orders.
    pub entry: EntryGauges,
    /// Is there market data?
    pub market_up: bool,
    /// How often market data was lost as a whole.
    pub market_losses: u64,
    /// Comparing with the exchange.
    pub recovery: RecoveryGauges,
    /// Open orders by state, every state among them.
    pub open: BTreeMap<&'static str, u64>,
    /// Since when the oldest of the unknown orders has been asked about.
    pub unknown_for: Span,
    /// Orders, cancels and amends sent.
    pub sent: [u64; 3],
    /// Orders that ended, by how.
    pub ended: BTreeMap<&'static str, u64>,
    /// Calls answered with an error, by its name.
    pub refused: BTreeMap<&'static str, u64>,
    /// Records made.
    pub written: Written,
    /// Batches on their way to the disk.
    pub batches_under_way: u64,
    /// Sessions with an owner.
    pub sessions: u64,
    /// Of these, those that may trade.
    pub sessions_trading: u64,
    /// Connections without a login.
    pub strangers: u64,
    /// Most events that one session has not acknowledged.
    pub unacknowledged: u64,
    /// Frames that wait for clients: private ones, and of market data.
    pub waiting: (u64, u64),
    /// What clients were not given.
    pub thinned: Thinned,
    /// Streams by kind.
    pub streams: BTreeMap<&'static str, StreamGauges>,
    /// How often a stream became old.
    pub stale: u64,
    /// Assets and contracts of which the books cannot explain all that the exchange shows.
    pub unattributed: u64,
    /// Orders that were to be cancelled by a stop and may still be open.
    pub live: u64,
    /// Sessions that are paused.
    pub sessions_paused: u64,
    /// Sessions that count as lost.
    pub sessions_lost: u64,
}

/// Something that keeps the gateway from its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A word for programs.
    pub kind: &'static str,
    /// What it is, for people.
    pub reason: String,
}

/// How the gateway stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// All that keeps it from taking orders of every symbol, or from showing data; none: it is ready.
    pub problems: Vec<Problem>,
    /// Symbols that take no orders, whatever else there is.
    pub not_ready: Vec<Symbol>,
}

impl Condition {
    /// Can it do all its work?
    pub fn is_ready(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ready() {
            return f.write_str("ready");
        }
        for (number, problem) in self.problems.iter().enumerate() {
            let comma = if number == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", problem.kind, problem.reason)?;
        }
        Ok(())
    }
}

/// The states an open order can be in, for its session.
const OPEN: [OrderStatus; 4] =
    [OrderStatus::Pending, OrderStatus::New, OrderStatus::PartiallyFilled, OrderStatus::Unknown];

const fn kind(channel: Channel) -> &'static str {
    match channel {
        Channel::Depth | Channel::DepthFast => "depth",
        Channel::Bbo => "bbo",
        Channel::Trade => "trade",
        Channel::Kline(_) => "kline",
        Channel::Book => "book",
        Channel::Mark => "mark",
    }
}

fn count(number: usize) -> u64 {
    number as u64
}

impl Gateway {
    /// How it stands.
    pub fn condition(&self, now: Time) -> Condition {
        let mut problems = Vec::new();
        let mut add = |kind, reason: String| problems.push(Problem { kind, reason });
        if self.stopping {
            add("stopping", "the gateway is ending".to_owned());
        }
        let kept = &self.stop.kept;
        if let Some(kill) = &kept.kill {
            add("killed", format!("the kill switch is on, by {}: {}", kill.by, kill.reason));
        }
        if let Some(pause) = &kept.paused_all {
            add("paused", format!("all trading is paused, by {}: {}", pause.by, pause.reason));
        }
        if let Some(reason) = &self.store_failed {
            add("disk_failing", reason.clone());
        }
        if let Some(order) = &self.foreign_gateway {
            add("foreign_gateway", format!("order {order} was made by another gateway with this key"));
        }
        if let Some(bad) = self.bad_edits.iter().find(|bad| bad.symbol.is_none()) {
            add("bad_position", bad.reason.clone());
        }
        if !self.recovery.connected() {
            add("link_down", self.recovery.reason().to_owned());
        } else if self.recovery.word() != "ready" {
            add("recovering", format!("comparing with the exchange: {}", self.recovery.word()));
        }
        if !self.counts.market_up {
            let reason = self.streams.down().unwrap_or("not connected yet");
            add("market_data_down", reason.to_owned());
        }
        let entry = self.entry.gauges(now);
        if let Some(off) = entry.clock_off.filter(|_| entry.connected) {
            add("clock_off", format!("the clocks of this machine and the exchange are {off:?} apart"));
        }
        if let Some(span) = entry.stopped_for {
            add("rate_stopped", format!("the exchange wants no requests for {span:?}"));
        }
        Condition { problems, not_ready: self.not_ready() }
    }

    /// All numbers of this moment.
    pub fn gauges(&self, now: Time) -> Gauges {
        let counts = &self.counts;
        let (sessions, sessions_trading) = self.seated();
        let mut thinned = counts.thinned;
        let mut waiting = (0, 0);
        for client in self.clients.values() {
            thinned += client.queue.thinned();
            let (private, market) = client.queue.lengths();
            waiting = (waiting.0 + count(private), waiting.1 + count(market));
        }
        let name = |(code, number): (&i64, &u64)| Some((ErrorCode::from_code(*code)?.name(), *number));
        let stop = self.stop_view();
        let differences = self.books.assets();
        let unattributed =
            differences.filter(|(owner, _, amount)| *owner == Owner::Unattributed && !amount.is_zero());
        Gauges {
            market: self.config.market,
            condition: self.condition(now),
            entry: self.entry.gauges(now),
            market_up: counts.market_up,
            market_losses: counts.market_losses,
            recovery: self.recovery_gauges(now),
            open: self.open_by_state(),
            unknown_for: self.unknown_for(now),
            sent: [counts.orders, counts.cancels, counts.amends],
            ended: counts.ended.clone(),
            refused: counts.refused.iter().filter_map(name).collect(),
            written: self.commits.written(),
            batches_under_way: self.commits.under_way(),
            sessions: count(sessions),
            sessions_trading: count(sessions_trading),
            strangers: count(self.strangers()),
            unacknowledged: self.sessions.values().map(|s| s.log.unacknowledged()).max().unwrap_or(0),
            waiting,
            thinned,
            streams: self.streams_by_kind(),
            stale: counts.stale,
            unattributed: count(unattributed.count()),
            live: count(stop.live.len()),
            sessions_paused: count(stop.paused.len()),
            sessions_lost: count(stop.lost.len()),
        }
    }

    fn recovery_gauges(&self, now: Time) -> RecoveryGauges {
        let counts = &self.counts;
        let phase = self.recovery.word();
        let first = counts.recoveries == 0;
        let since = if first { Some(self.started) } else { counts.lost_at };
        RecoveryGauges {
            phase,
            under_way_for: since.map_or(Span::ZERO, |since| now.since(since)),
            last: counts.recovered_in,
            completed: counts.recoveries,
            losses: counts.losses,
        }
    }

    fn open_by_state(&self) -> BTreeMap<&'static str, u64> {
        let mut open: BTreeMap<&'static str, u64> = OPEN.iter().map(|state| (state.as_str(), 0)).collect();
        for order in self.orders.open() {
            *open.entry(order.status().as_str()).or_default() += 1;
        }
        open
    }

    fn unknown_for(&self, now: Time) -> Span {
        let unknown = self.orders.open().filter(|order| order.status() == OrderStatus::Unknown);
        let since = unknown.filter_map(|order| self.doubts.since(&order.id)).min();
        since.map_or(Span::ZERO, |since| now.since(since))
    }

    fn streams_by_kind(&self) -> BTreeMap<&'static str, StreamGauges> {
        let mut streams: BTreeMap<&'static str, StreamGauges> = BTreeMap::new();
        for (stream, stale) in self.streams.wanted() {
            let gauges = streams.entry(kind(stream.channel)).or_default();
            gauges.wanted += 1;
            gauges.stale += u64::from(stale);
        }
        streams
    }
}
