//! One book of a venue, kept from a snapshot and the differences that follow it.
//!
//! ```text
//!          opened, or a difference             a snapshot that joins
//!   Empty ────────────────────────► Buffering ──────────────────────► Synced
//!     ▲                              │  ▲   ▲                            │
//!     │ closed                       └──┘   │ a difference               │ gap, crossed, out of range, frozen
//!     └──────── (from any) ◄──     too old  └────────────── Stale ◄──────┘
//! ```
//!
//! * A gap or a crossed book is stale in the same step, and the difference that showed it is the first of the next
//!   attempt. Only a synced book is shown.
//! * A snapshot tells only so many levels. What lies beyond them is unknown and is never shown; when the market has
//!   moved so far that little is left of the known range, another snapshot is asked for beside the running book.
//! * A silence too long for the book's own rate makes it stale. A snapshot with the same update id shows that the
//!   market is merely quiet; with another one, that the stream is dead.
//! * Where best prices are told by a stream of their own, a book that disagrees with them, or stands still behind
//!   them, is stale too.
//!
//! Every [`BookOutput::AskSnapshot`] is answered by one [`BookInput::Snapshot`] or [`BookInput::NoSnapshot`].

use std::collections::VecDeque;

use self::cross::{Best, Cross, Told};
use self::levels::Levels;
use self::pace::Pace;
use crate::market::{Depth, Level};
use crate::time::{Span, Time, earliest};

pub mod cross;
pub mod levels;
pub mod pace;

/// Most differences kept for a snapshot that does not come; the oldest go first, a later snapshot has them.
const BUFFER: usize = 4_096;
/// A book that followed so many differences is settled: a failure is then the first of its kind.
const SETTLED: u32 = 50;
/// A range of which only one part in this many is left is refreshed.
const THIN: usize = 4;

/// How the venue numbers the differences of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// Without a hole: each begins at the last number of the one before, plus one.
    Sequence,
    /// Each names the last number of the one before.
    Chain,
}

/// Changes of a book as the venue sends them; quantities are absolute, zero removes the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// First update number in it.
    pub first: u64,
    /// Last update number in it.
    pub last: u64,
    /// Last update number of the difference before it, where the venue says it.
    pub previous: Option<u64>,
    /// The venue's event time.
    pub time: Time,
    /// Changed bids.
    pub bids: Vec<Level>,
    /// Changed asks.
    pub asks: Vec<Level>,
}

/// A whole book up to a number of levels a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The book.
    pub depth: Depth,
    /// How many levels a side were asked for: a side with fewer is complete.
    pub limit: usize,
}

/// What a book tells those who follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookUpdate {
    /// It is good from here on, and is to be taken whole (again): see [`Book::depth`].
    Fresh,
    /// It changed; within the known range.
    Diff(BookDiff),
    /// It is not good, for this reason, until the next `Fresh`.
    Stale(String),
}

/// A change of a good book. Quantities are absolute, zero removes the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookDiff {
    /// Update number of the book it changes.
    pub previous: u64,
    /// Update number of the book it makes.
    pub update_id: u64,
    /// The venue's event time.
    pub time: Time,
    /// Changed bids.
    pub bids: Vec<Level>,
    /// Changed asks.
    pub asks: Vec<Level>,
}

/// What happens to a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookInput {
    /// The venue confirmed the stream of differences: all from now on will come.
    Opened,
    /// The stream ended, for this reason.
    Closed(String),
    /// From the next difference on they come over another connection, which may cut them elsewhere.
    Switched,
    /// A difference.
    Diff(Difference),
    /// The snapshot asked for.
    Snapshot(Snapshot),
    /// The snapshot asked for cannot be had now.
    NoSnapshot,
    /// Best prices as another stream told them, by the same numbers: the update, the best bid and ask.
    Best(u64, Best),
    /// The same by a stream that may leave out what was overtaken: they held at that update, and nothing is said of the
    /// ones between.
    BestAt(u64, Best),
    /// That stream may have a hole here.
    BestLost,
    /// The deadline has passed.
    Timer,
}

/// What a book wants done and known, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookOutput {
    /// For those who follow it.
    Update(BookUpdate),
    /// Ask the venue for a snapshot.
    AskSnapshot,
    /// The stream brings nothing although the book changes: subscribe to it anew.
    Resubscribe,
}

/// Where a book stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookState {
    /// No stream.
    Empty,
    /// Differences are kept until a snapshot joins them.
    Buffering,
    /// Good.
    Synced,
    /// It was good; nothing has come since that could mend it.
    Stale,
}

/// What a book is told once.
#[derive(Clone, Copy, Debug)]
pub struct BookConfig {
    /// The venue's rule.
    pub continuity: Continuity,
    /// A silence shorter than this is never too long.
    pub frozen: Span,
    /// How long the first difference may take before a snapshot is asked for without one; longer than any replica of
    /// the venue lags.
    pub settle: Span,
    /// Wait before a second snapshot; doubles.
    pub retry: Span,
    /// Longest wait before another snapshot.
    pub retry_cap: Span,
}

impl BookConfig {
    /// With a venue's rule and the usual times.
    pub const fn new(continuity: Continuity) -> Self {
        Self {
            continuity,
            frozen: Span::from_millis(1_500),
            settle: Span::from_secs(3),
            retry: Span::from_millis(250),
            retry_cap: Span::from_secs(30),
        }
    }
}

/// Whether a snapshot is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
    /// It was asked for before the present stream was there, so it proves nothing.
    Void,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Book {
    config: BookConfig,
    state: BookState,
    levels: Levels,
    update_id: u64,
    time: Time,
    /// The next difference joins as after a snapshot.
    rejoin: bool,
    /// While buffering, and while a synced book awaits a fresher snapshot: all differences since.
    buffer: VecDeque<Difference>,
    refreshing: bool,
    asked: Asked,
    ask_at: Option<Time>,
    failures: u32,
    followed: u32,
    pace: Pace,
    cross: Cross,
}

impl Book {
    /// An empty book.
    pub const fn new(now: Time, config: BookConfig) -> Self {
        Self {
            config,
            state: BookState::Empty,
            levels: Levels::new(),
            update_id: 0,
            time: now,
            rejoin: false,
            buffer: VecDeque::new(),
            refreshing: false,
            asked: Asked::No,
            ask_at: None,
            failures: 0,
            followed: 0,
            pace: Pace::new(now, config.frozen, Span::from_secs(10)),
            cross: Cross::new(),
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> BookState {
        self.state
    }

    /// Is a snapshot on its way that was asked for?
    pub fn is_asking(&self) -> bool {
        self.asked != Asked::No
    }

    /// The whole known book; `None` unless it is good.
    pub fn depth(&self) -> Option<Depth> {
        (self.state == BookState::Synced).then(|| self.levels.depth(self.update_id, self.time))
    }

    /// Takes one input and leaves what follows in `out`.
    pub fn handle(&mut self, now: Time, input: BookInput, out: &mut Vec<BookOutput>) {
        match input {
            BookInput::Opened => self.opened(now),
            BookInput::Closed(why) => self.closed(why, out),
            BookInput::Switched => self.rejoin = true,
            BookInput::Best(update_id, best) => self.best(now, (update_id, Told::Until(best)), out),
            BookInput::BestAt(update_id, best) => self.best(now, (update_id, Told::At(best)), out),
            BookInput::BestLost => self.cross.forget(),
            BookInput::Diff(difference) => self.difference(now, difference, out),
            BookInput::Snapshot(snapshot) => self.snapshot(now, snapshot, out),
            BookInput::NoSnapshot => self.unanswered(now),
            BookInput::Timer => self.timer(now, out),
        }
        self.ask(now, out);
    }

    /// When [`BookInput::Timer`] is due.
    pub fn deadline(&self) -> Option<Time> {
        let ask = self.ask_at.filter(|_| self.asked == Asked::No);
        let synced = self.state == BookState::Synced;
        let frozen = synced.then(|| self.pace.deadline());
        let behind = self.cross.deadline(self.config.frozen).filter(|_| synced);
        earliest(ask, earliest(frozen, behind))
    }

    fn opened(&mut self, now: Time) {
        if matches!(self.state, BookState::Empty | BookState::Stale) {
            self.begin(now + self.config.settle);
            // What was asked for before the stream was there may be older than its first difference.
            if self.asked == Asked::Yes {
                self.asked = Asked::Void;
            }
        }
    }

    /// A new attempt; a snapshot is asked for at that time, or at the first difference.
    fn begin(&mut self, ask_at: Time) {
        self.state = BookState::Buffering;
        self.buffer.clear();
        self.rejoin = false;
        self.ask_at = Some(ask_at);
    }

    fn closed(&mut self, why: String, out: &mut Vec<BookOutput>) {
        self.spoil(why, out);
        self.state = BookState::Empty;
        self.buffer.clear();
        self.ask_at = None;
        if self.asked == Asked::Yes {
            self.asked = Asked::Void;
        }
    }

    /// The book is not good from here on; those who follow it hear so once.
    fn spoil(&mut self, why: String, out: &mut Vec<BookOutput>) {
        if self.state == BookState::Synced {
            self.state = BookState::Stale;
            self.buffer.clear();
            self.refreshing = false;
            self.ask_at = None;
            self.cross.begin();
            out.push(BookOutput::Update(BookUpdate::Stale(why)));
        }
    }

    fn difference(&mut self, now: Time, difference: Difference, out: &mut Vec<BookOutput>) {
        match self.state {
            BookState::Empty | BookState::Stale => {
                self.begin(now);
                self.keep(difference);
            }
            BookState::Buffering => {
                if self.buffer.is_empty() {
                    self.ask_at = self.ask_at.map(|at| at.min(now + self.wait()));
                }
                self.keep(difference);
            }
            BookState::Synced => self.follow(now, difference, out),
        }
    }

    fn keep(&mut self, difference: Difference) {
        if self.buffer.len() >= BUFFER {
            self.buffer.pop_front();
        }
        self.buffer.push_back(difference);
    }

    fn follow(&mut self, now: Time, difference: Difference, out: &mut Vec<BookOutput>) {
        let (previous, time) = (self.update_id, difference.time);
        if difference.last <= previous {
            return;
        }
        if !self.continues(&difference) {
            let why = format!("a change of the book is missing after update {previous}");
            return self.restart(now, why, difference, out);
        }
        let shown = self.levels.apply(&difference.bids, &difference.asks);
        if let Some(why) = self.levels.fault() {
            return self.restart(now, why, difference, out);
        }
        self.pace.heard(now);
        (self.update_id, self.time, self.rejoin) = (difference.last, time, false);
        self.followed = self.followed.saturating_add(1);
        if self.followed >= SETTLED {
            self.failures = 0;
        }
        let (bids, asks) = shown;
        let levels = &self.levels;
        let reached =
            self.cross.reached(now, self.update_id, || (levels.bids().next(), levels.asks().next()));
        if let Some(why) = reached {
            return self.restart(now, why, difference, out);
        }
        let diff = BookDiff { previous, update_id: difference.last, time, bids, asks };
        out.push(BookOutput::Update(BookUpdate::Diff(diff)));
        if self.refreshing {
            self.keep(difference);
        } else if self.levels.is_thin(THIN) {
            self.refreshing = true;
            self.ask_at = Some(now + self.wait());
        }
    }

    fn continues(&self, difference: &Difference) -> bool {
        if self.rejoin {
            return self.joins(difference, self.update_id);
        }
        match self.config.continuity {
            Continuity::Sequence => difference.first <= self.update_id.saturating_add(1),
            Continuity::Chain => difference.previous == Some(self.update_id),
        }
    }

    /// May this be the first difference after a book of that update number?
    fn joins(&self, difference: &Difference, update_id: u64) -> bool {
        match self.config.continuity {
            Continuity::Sequence => difference.first <= update_id.saturating_add(1),
            Continuity::Chain => {
                difference.previous == Some(update_id)
                    || (difference.first <= update_id && update_id <= difference.last)
            }
        }
    }

    /// The running book is of no use; the difference that showed it begins the next one.
    fn restart(&mut self, now: Time, why: String, difference: Difference, out: &mut Vec<BookOutput>) {
        self.spoil(why, out);
        self.failures = self.failures.saturating_add(1);
        self.begin(now + self.wait());
        self.keep(difference);
    }

    /// The first failure is mended at once, further ones at growing intervals.
    fn wait(&self) -> Span {
        match self.failures.checked_sub(2) {
            None => Span::ZERO,
            Some(doublings) => (self.config.retry * (1_i64 << doublings.min(20))).min(self.config.retry_cap),
        }
    }

    fn ask(&mut self, now: Time, out: &mut Vec<BookOutput>) {
        if self.asked == Asked::No && self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = None;
            self.asked = Asked::Yes;
            out.push(BookOutput::AskSnapshot);
        }
    }

    fn unanswered(&mut self, now: Time) {
        let void = self.asked == Asked::Void;
        self.asked = Asked::No;
        match self.state {
            BookState::Empty => {}
            // The present attempt has its own time to ask.
            BookState::Buffering if void && self.ask_at.is_some() => {}
            BookState::Synced if !self.refreshing => {}
            _ => self.again(now),
        }
    }

    fn again(&mut self, now: Time) {
        self.failures = self.failures.max(1).saturating_add(1);
        self.ask_at = Some(now + self.wait());
    }

    fn snapshot(&mut self, now: Time, snapshot: Snapshot, out: &mut Vec<BookOutput>) {
        if self.asked != Asked::Yes {
            return self.unanswered(now);
        }
        self.asked = Asked::No;
        match self.state {
            BookState::Empty => {}
            BookState::Stale if snapshot.depth.update_id == self.update_id => {
                self.pace.excused(now);
                self.take(now, snapshot, out);
            }
            BookState::Stale => out.push(BookOutput::Resubscribe),
            BookState::Buffering => self.take(now, snapshot, out),
            BookState::Synced if self.refreshing => self.take(now, snapshot, out),
            BookState::Synced => {}
        }
    }

    /// Makes the snapshot and what was kept since into the book, if they join.
    fn take(&mut self, now: Time, snapshot: Snapshot, out: &mut Vec<BookOutput>) {
        let mut next = Self {
            state: BookState::Synced,
            levels: Levels::from_snapshot(&snapshot.depth, snapshot.limit),
            update_id: snapshot.depth.update_id,
            time: snapshot.depth.time,
            rejoin: true,
            buffer: VecDeque::new(),
            refreshing: false,
            ask_at: None,
            followed: 0,
            ..Self::new(now, self.config)
        };
        let behind = |kept: &Difference| kept.last > snapshot.depth.update_id;
        let good = next.levels.fault().is_none()
            && self.buffer.iter().filter(|kept| behind(kept)).all(|kept| next.absorb(kept));
        if !good {
            // A snapshot older than the first difference, or a hole in what was kept: the newest can still be joined.
            return self.again(now);
        }
        next.failures = self.failures;
        next.pace = self.pace.clone();
        next.cross = std::mem::take(&mut self.cross);
        next.cross.begin();
        if self.state != BookState::Stale {
            next.pace.begin(now);
        }
        *self = next;
        out.push(BookOutput::Update(BookUpdate::Fresh));
    }

    fn absorb(&mut self, kept: &Difference) -> bool {
        if kept.last <= self.update_id {
            return true;
        }
        if !self.continues(kept) {
            return false;
        }
        self.levels.apply(&kept.bids, &kept.asks);
        (self.update_id, self.time, self.rejoin) = (kept.last, kept.time, false);
        self.levels.fault().is_none()
    }

    /// Best prices were told by the other stream.
    fn best(&mut self, now: Time, told: (u64, Told), out: &mut Vec<BookOutput>) {
        let reached = (self.state == BookState::Synced).then_some(self.update_id);
        if let Some(why) = self.cross.told(now, told, reached) {
            self.spoil(why, out);
            self.failures = self.failures.saturating_add(1);
            self.begin(now + self.wait());
        }
    }

    fn timer(&mut self, now: Time, out: &mut Vec<BookOutput>) {
        let behind = self.cross.deadline(self.config.frozen).is_some_and(|at| at <= now);
        if self.state == BookState::Synced && behind {
            let (own, told) = (self.update_id, self.cross.last().unwrap_or_default());
            self.spoil(format!("the book stands at update {own}, the best prices at {told}"), out);
            self.ask_at = Some(now);
        }
        if self.state == BookState::Synced && self.pace.deadline() <= now {
            let why = format!("no change of the book for {} ms", self.pace.age(now).millis());
            self.spoil(why, out);
            self.ask_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
