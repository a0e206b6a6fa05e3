//! One combined connection: what was asked of it, what it confirmed, when it last brought data.

use std::collections::{BTreeMap, BTreeSet};

use binance_wire::request::stream_control;
use binance_wire::sbe;
use bytes::Bytes;
use indexmap::IndexMap;
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::port::{LinkAction, Outbox};
use tradingsys::venue::watch::SilenceWatch;

use super::{OVERLAP, OVERLAP_MAX, Timing, Wanted};

/// The venue takes five messages a second, pongs included, and closes the connection of who sends more.
const PACE: Span = Span::from_millis(300);
/// Names in one request.
const BATCH: usize = 100;
/// Streams the venue allows on one connection; what is wanted beyond waits until others are left.
const STREAMS: usize = 1_024;
/// A control request is answered in milliseconds or not at all.
const CONTROL: Span = Span::from_secs(10);
/// A connection that lived this long was no failure.
const LASTING: Span = Span::from_secs(60);
/// Planned replacements are spread over the last part of a connection's life (one part in this many).
const SPREAD: i64 = 92;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Dialing,
    Subscribing,
    Complete,
}

#[derive(Debug)]
struct Asked {
    names: Vec<String>,
    subscribe: bool,
    until: Time,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) phase: Phase,
    pub(super) watch: SilenceWatch,
    /// End of the handshake, then of the planned life.
    pub(super) until: Time,
    pub(super) data_at: Option<Time>,
    /// It goes to the binary host.
    pub(super) swift: bool,
    /// Another one is to take its place.
    pub(super) leaving: bool,
    complete_at: Time,
    life: Span,
    /// Names asked for and not refused.
    names: BTreeSet<String>,
    /// Names the venue confirmed.
    confirmed: BTreeSet<String>,
    /// Names to be left and asked for again.
    renewals: BTreeSet<String>,
    /// Names the venue refused; not asked for again on this connection.
    refused: BTreeSet<String>,
    /// Is there anything to ask for?
    changed: bool,
    /// After a refused batch: its names one by one.
    batch: usize,
    asked: BTreeMap<u64, Asked>,
    next_request: u64,
    next_control: Time,
}

impl Link {
    pub(super) fn new(now: Time, timing: &Timing, dialer: &mut Dialer) -> Self {
        let early = dialer.spread(Span::from_nanos(timing.life.nanos() / SPREAD));
        Self {
            phase: Phase::Dialing,
            watch: SilenceWatch::new(now, timing.silence),
            until: now + timing.handshake,
            data_at: None,
            swift: false,
            leaving: false,
            complete_at: now,
            life: Span::from_nanos(timing.life.nanos() - early.nanos()),
            names: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            renewals: BTreeSet::new(),
            refused: BTreeSet::new(),
            changed: true,
            batch: BATCH,
            asked: BTreeMap::new(),
            next_request: 1,
            next_control: now,
        }
    }

    pub(super) fn opened(&mut self, now: Time) {
        self.phase = Phase::Subscribing;
        self.until = now + self.life;
        self.next_control = now;
    }

    /// What is wanted has changed: a complete connection is so no more.
    pub(super) fn changed(&mut self) {
        self.changed = true;
        self.refused.clear();
        if self.phase == Phase::Complete {
            self.phase = Phase::Subscribing;
        }
    }

    /// Sends the next control request, if one is needed and allowed by now.
    pub(super) fn pump(
        &mut self,
        now: Time,
        id: LinkId,
        wanted: &IndexMap<String, Wanted>,
        out: &mut Outbox,
    ) {
        if self.phase == Phase::Dialing {
            return;
        }
        if self.changed && now >= self.next_control {
            self.ask_next(now, id, wanted, out);
        }
        let settled = !self.changed && self.asked.values().all(|asked| asked.names.is_empty());
        if settled && self.phase == Phase::Subscribing {
            self.phase = Phase::Complete;
            self.complete_at = now;
        }
    }

    fn ask_next(&mut self, now: Time, id: LinkId, wanted: &IndexMap<String, Wanted>, out: &mut Outbox) {
        let surplus = |name: &&String| !wanted.contains_key(*name) || self.renewals.contains(*name);
        let surplus: Vec<String> = self.names.iter().filter(surplus).take(self.batch).cloned().collect();
        if !surplus.is_empty() {
            for name in &surplus {
                self.names.remove(name);
                self.confirmed.remove(name);
                self.renewals.remove(name);
            }
            self.control(now, id, surplus, false, out);
            return;
        }
        let room = self.batch.min(STREAMS.saturating_sub(self.names.len()));
        let missing = |name: &&String| !self.names.contains(*name) && !self.refused.contains(*name);
        let missing: Vec<String> = wanted.keys().filter(missing).take(room).cloned().collect();
        if missing.is_empty() {
            self.changed = false;
            self.batch = BATCH;
            return;
        }
        self.names.extend(missing.iter().cloned());
        self.control(now, id, missing, true, out);
    }

    fn control(&mut self, now: Time, id: LinkId, names: Vec<String>, subscribe: bool, out: &mut Outbox) {
        let request = self.next_request;
        self.next_request += 1;
        let method = match (names.is_empty(), subscribe) {
            (true, _) => "LIST_SUBSCRIPTIONS",
            (_, true) => "SUBSCRIBE",
            (_, false) => "UNSUBSCRIBE",
        };
        let spelled: Vec<String> = names.iter().map(|name| self.spelled(name)).collect();
        let text = Bytes::from(stream_control(request, method, spelled.iter().map(String::as_str)));
        out.actions.push(LinkAction::Send { link: id, text });
        self.asked.insert(request, Asked { names, subscribe, until: now + CONTROL });
        self.next_control = now + PACE;
    }

    /// What the host of this connection calls a stream.
    fn spelled(&self, name: &str) -> String {
        if self.swift { sbe::stream_name(name) } else { name.to_owned() }
    }

    /// Asks something harmless: any answer shows that the host lives.
    pub(super) fn probe(&mut self, now: Time, id: LinkId, out: &mut Outbox) {
        if self.phase != Phase::Dialing && now >= self.next_control {
            self.control(now, id, Vec::new(), true, out);
        }
    }

    /// Leaves a stream and asks for it again.
    pub(super) fn renew(&mut self, name: &str) {
        if self.names.contains(name) {
            self.renewals.insert(name.to_owned());
            self.changed = true;
        }
    }

    pub(super) fn is_confirmed(&self, name: &str) -> bool {
        self.confirmed.contains(name)
    }

    /// A control request was answered. Returns the names that are subscribed now.
    pub(super) fn answered(&mut self, now: Time, request: u64, done: bool) -> Vec<String> {
        let Some(asked) = self.asked.remove(&request) else { return Vec::new() };
        if !asked.subscribe {
            return Vec::new();
        }
        if done {
            self.confirmed.extend(asked.names.iter().cloned());
            return asked.names;
        }
        // One bad name spoils a batch: the venue does not say which.
        for name in &asked.names {
            self.names.remove(name);
        }
        if let [name] = asked.names.as_slice() {
            self.refused.insert(name.clone());
        } else {
            self.batch = 1;
        }
        self.changed = true;
        self.next_control = self.next_control.max(now + PACE);
        Vec::new()
    }

    pub(super) fn unanswered(&self, now: Time) -> bool {
        self.asked.values().any(|asked| asked.until <= now)
    }

    /// Was it good for a while? Data proves a connection sooner, but not every market sends some.
    pub(super) fn lasted(&self, now: Time) -> bool {
        self.complete_at().is_some_and(|at| now.since(at) >= LASTING)
    }

    /// When this connection counts as bringing nothing.
    pub(super) fn stale_at(&self, timing: &Timing) -> Option<Time> {
        let since = self.data_at.map_or(self.complete_at, |at| at.max(self.complete_at));
        (self.phase == Phase::Complete).then_some(since + timing.stale)
    }

    /// When this connection, not yet in use, may replace the one in use.
    pub(super) fn switch_at(&self) -> Option<Time> {
        let wait = if self.data_at.is_some() { OVERLAP } else { OVERLAP_MAX };
        (self.phase == Phase::Complete).then(|| self.complete_at + wait)
    }

    /// Since when it has confirmed or refused all that is wanted.
    pub(super) fn complete_at(&self) -> Option<Time> {
        (self.phase == Phase::Complete).then_some(self.complete_at)
    }

    /// A name that it refused.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.iter().next().map(String::as_str)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let control = (self.changed && self.phase != Phase::Dialing).then_some(self.next_control);
        let asked = self.asked.values().map(|asked| asked.until);
        [self.until, self.watch.deadline()].into_iter().chain(control).chain(asked).min()
    }
}
