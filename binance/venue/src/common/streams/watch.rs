//! One stream under watch: is there data at all, and does it keep coming?
//!
//! ```text
//! Off ─confirmed─► First ─data─► Flowing ─silent for too long─► Silent ─data─► Flowing
//!                    └─none in time─► Silent ─still none─► subscribed anew ─confirmed─► First
//! ```
//!
//! A venue accepts a name it does not serve, or serves elsewhere, and stays silent. Views are also judged by their own
//! rate; trades and bars may pause for as long as nobody trades. A whole book watches over itself.

use tradingsys::book::pace::Pace;
use tradingsys::market::Channel;
use tradingsys::time::{Span, Time};

/// The shortest silence of a view that is too long; with the time until it is looked at, a second and a half.
const LEAST: Span = Span::from_millis(1_250);
/// How long the first data of a view may take; of a trade or a bar six times as long. Doubles with every attempt.
const FIRST: Span = Span::from_secs(10);
/// How long a view whose rate is not known yet may pause.
const PAUSE: Span = Span::from_secs(30);
/// Most doublings.
const DOUBLINGS: u32 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    First { since: Time },
    Flowing,
    Silent { until: Time },
}

/// What a watch finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// To be told, if it was not before: what came is old.
    pub(super) stale: Option<String>,
    /// Subscribe to it anew.
    pub(super) renew: bool,
}

#[derive(Debug)]
pub(super) struct StreamWatch {
    is_view: bool,
    is_watched: bool,
    phase: Phase,
    pace: Pace,
    tries: u32,
    told: bool,
}

impl StreamWatch {
    pub(super) fn new(now: Time, channel: Channel) -> Self {
        let is_view = matches!(channel, Channel::Depth | Channel::DepthFast | Channel::Bbo | Channel::Mark);
        let is_watched = channel != Channel::Book;
        let pace = Pace::new(now, LEAST, PAUSE);
        Self { is_view, is_watched, phase: Phase::Off, pace, tries: 0, told: false }
    }

    /// The connection in use brings it from now on.
    pub(super) fn confirmed(&mut self, now: Time) {
        self.phase = Phase::First { since: now };
    }

    /// No connection brings it.
    pub(super) fn off(&mut self) {
        (self.phase, self.told) = (Phase::Off, false);
    }

    /// Data came.
    pub(super) fn heard(&mut self, now: Time) {
        match self.phase {
            Phase::Flowing => self.pace.heard(now),
            _ => self.pace.begin(now),
        }
        (self.phase, self.tries, self.told) = (Phase::Flowing, 0, false);
    }

    fn patience(&self) -> Span {
        FIRST * if self.is_view { 1 } else { 6 } * (1_i64 << self.tries.min(DOUBLINGS))
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let at = match self.phase {
            Phase::Off => None,
            Phase::First { since } => Some(since + self.patience()),
            Phase::Flowing => self.is_view.then(|| self.pace.deadline()),
            Phase::Silent { until } => Some(until),
        };
        at.filter(|_| self.is_watched)
    }

    pub(super) fn check(&mut self, now: Time) -> Option<Finding> {
        self.deadline().filter(|at| *at <= now)?;
        let renew = self.phase != Phase::Flowing;
        let why = match self.phase {
            Phase::First { since } => {
                format!("no data for {} s after it was subscribed", now.since(since).millis() / 1_000)
            }
            _ => format!("no data for {} ms", self.pace.age(now).millis()),
        };
        if renew {
            self.tries = self.tries.saturating_add(1);
        }
        self.phase = Phase::Silent { until: now + self.patience() };
        let stale = (!std::mem::replace(&mut self.told, true)).then_some(why);
        Some(Finding { stale, renew })
    }
}
