//! The host that tells the same in binary: when to go there, and when not.
//!
//! ```text
//!            ┌──────────────────── lost after a good while ───────────────────┐
//!            ▼                                                                │
//!   JSON, ready ──due──► trial beside it ──brings all that JSON brings──► in use
//!            ▲                │                                               │
//!            └──── rests ◄────┴─ refused, lost, silent, of unknown schema ────┘
//! ```
//!
//! A connection in use is always followed by one to the JSON host: no market data ever waits for the binary one. That
//! is dialled only beside a connection that does its work, and takes over when it has brought every stream the other
//! one brings. So it does not matter why it cannot be used: a key that is not allowed, a host that is not reached, a
//! name it does not serve and a schema that is a new one all leave things as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use binance_wire::sbe::Told;
use tradingsys::market::Stream;
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::{Outbox, VenueEvent};

use super::link::Link;
use super::{Data, Mark, OVERLAP, OVERLAP_MAX};

/// Longest wait before it is tried again.
const LONGEST: Span = Span::from_secs(3_600);
/// What the connection in use brings so soon may have happened before the other one was asked for it.
const SETTLED: Span = OVERLAP;
/// The shortest trial.
const TRIAL: Span = Span::from_secs(3);
/// A trial in which neither connection brings anything says nothing, and ends.
const UNDECIDED: Span = Span::from_secs(30);

/// See the module.
pub(crate) struct Swift {
    url: String,
    apikey: String,
    /// The first wait after a failure.
    first: Span,
    wait: Span,
    due: Time,
    told: bool,
    /// A text for names, lent to the hot path.
    name: String,
}

impl Swift {
    /// At `url`, as the owner of a key.
    pub(crate) const fn new(url: String, apikey: String, wait: Span) -> Self {
        let due = Time::from_nanos(0);
        Self { url, apikey, first: wait, wait, due, told: false, name: String::new() }
    }

    /// Where to connect, and the header that says as whom. It wants neither a time nor a signature.
    pub(super) fn door(&self) -> (String, Vec<(&'static str, String)>) {
        (self.url.clone(), vec![("x-mbx-apikey", self.apikey.clone())])
    }

    /// When to go there.
    pub(super) const fn due(&self) -> Time {
        self.due
    }

    /// Not before that time, for a reason that is not its own.
    pub(super) const fn rest(&mut self, until: Time) {
        self.due = until;
    }

    /// A trial that decided nothing is made again later.
    pub(super) fn undecided(&mut self, now: Time) {
        self.due = now + self.first;
    }

    /// It did its work for a good while.
    pub(super) const fn proven(&mut self) {
        (self.wait, self.told) = (self.first, false);
    }

    /// It brings what is wanted from here on.
    pub(super) fn in_use(&self, out: &mut Outbox) {
        let words = format!("best prices and books come in binary, from {}", self.url);
        out.events.push(VenueEvent::Changed { event: "sbe streams are on", words });
    }

    /// It is of no use for now, for this reason. A human hears so once, until it has worked again.
    pub(super) fn failed(&mut self, now: Time, why: &str, out: &mut Outbox) {
        self.due = now + self.wait;
        self.wait = (self.wait * 2).min(LONGEST);
        if !std::mem::replace(&mut self.told, true) {
            let words = format!(
                "best prices and books come as JSON: the SBE host is of no use ({why}). It is tried again from time to \
                 time; without \"endpoints.sbe\" it is not"
            );
            out.events.push(VenueEvent::Warning { event: "sbe streams are off", words });
        }
    }

    pub(super) fn lend_name(&mut self) -> String {
        std::mem::take(&mut self.name)
    }

    pub(super) fn give_back(&mut self, name: String) {
        self.name = name;
    }
}

impl fmt::Debug for Swift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, due, .. } = self;
        f.debug_struct("Swift").field("url", url).field("due", due).finish_non_exhaustive()
    }
}

/// A connection to the binary host beside the one in use: does it bring the same streams?
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// What the one in use brought meanwhile, and when first.
    here: BTreeMap<String, Time>,
    there: BTreeSet<String>,
}

/// What a trial has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    /// It brings all.
    Good,
    /// It does not.
    Lacking(String),
    /// Nobody can say.
    Undecided,
}

impl Trial {
    /// The connection in use brought this stream, beside `link`.
    pub(super) fn here(&mut self, now: Time, link: &Link, name: &str) {
        let settled = link.complete_at().is_some_and(|at| now.since(at) >= SETTLED);
        if settled && !self.here.contains_key(name) {
            self.here.insert(name.to_owned(), now);
        }
    }

    /// Nobody wants this stream any more.
    pub(super) fn leave(&mut self, name: &str) {
        self.here.remove(name);
    }

    /// The one on trial did.
    pub(super) fn there(&mut self, name: &str) {
        if !self.there.contains(name) {
            self.there.insert(name.to_owned());
        }
    }

    fn missing(&self) -> impl Iterator<Item = (&String, &Time)> {
        self.here.iter().filter(|(name, _)| !self.there.contains(*name))
    }

    /// What it has come to, where the connection on trial is `link`.
    pub(super) fn verdict(&self, now: Time, link: &Link) -> Verdict {
        let Some(complete) = link.complete_at() else { return Verdict::Open };
        if let Some(name) = link.refused() {
            return Verdict::Lacking(format!("it refuses {name}"));
        }
        if let Some((name, _)) = self.missing().find(|(_, at)| now.since(**at) >= OVERLAP_MAX) {
            return Verdict::Lacking(format!("it does not bring {name}"));
        }
        let lasted = now.since(complete);
        if lasted >= TRIAL && self.brings_all() {
            return Verdict::Good;
        }
        if lasted >= UNDECIDED && self.here.is_empty() { Verdict::Undecided } else { Verdict::Open }
    }

    fn brings_all(&self) -> bool {
        !self.there.is_empty() && self.missing().next().is_none()
    }

    /// When to ask for the verdict, besides whenever something came.
    pub(super) fn deadline(&self, link: &Link) -> Option<Time> {
        let complete = link.complete_at()?;
        let refused = link.refused().map(|_| complete);
        let silent = self.missing().map(|(_, at)| *at + OVERLAP_MAX);
        let good = self.brings_all().then_some(complete + TRIAL);
        let undecided = self.here.is_empty().then_some(complete + UNDECIDED);
        silent.chain(refused).chain(good).chain(undecided).min()
    }
}

/// What a binary frame tells, as a frame of the same stream in JSON would.
pub(super) fn data(stream: &Stream, told: Told) -> (Option<Mark>, Data) {
    match told {
        Told::Best(best) => (None, Data::Event(VenueEvent::Bbo(stream.clone(), best))),
        Told::Depth(depth) => (None, Data::Event(VenueEvent::Depth(stream.clone(), depth))),
        Told::Difference(difference) => {
            let mark = Some((0, difference.last));
            (mark, Data::Difference(stream.symbol.clone(), difference))
        }
    }
}
