//! The rate budget: how much may still be sent in the venue's counting windows.
//!
//! Venues count in fixed windows aligned to the clock (every 10 s, minute, day). We count along: what is *used* is
//! the venue's own figure from its last reply, what is *flying* are our requests it has not answered yet. Queries may
//! use only a part of the weight, those that trading waits for and those about an order in doubt more of it, and new
//! orders leave a rest, so that a cancel always finds room (reliability.md R13). Sessions that may trade share what
//! there is, see `share`. All times here are the venue's, as far as its clock is known.
//!
//! ```text
//!   the venue's      N         │         N + 1
//!   ours             N         ┊ . . . ┊         N + 1
//!                              ╰─ in doubt: counted in both
//! ```
//!
//! Where its clock is known to within some milliseconds, a window of ours ends that much later than the venue's
//! should, and what was answered within as much of that on either side counts in the next one, too, until the first
//! reply to a request of that window tells. What is not answered then counts in the next one anyway. So a burst that
//! fills a window of orders at its very end may close the next one, too: only replies to orders tell of those.

use std::collections::{BTreeSet, VecDeque};

use super::share::{Pool, Room, Sharers, Shares};
use crate::ids::SessionId;
use crate::time::{Span, Time};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Weight of requests, per address.
    Weight,
    /// Orders without a fill, per account.
    Orders,
    /// Weight of new orders, per account: where it is counted, it is counted apart from all other weight.
    OrderWeight,
}

/// One limit as the venue states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRow {
    /// What it counts.
    pub kind: LimitKind,
    /// Length of its window.
    pub window: Span,
    /// Most allowed in one window.
    pub limit: u64,
    /// Used in the current window, where the venue says it.
    pub count: Option<u64>,
}

/// What a reply says of limits.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// Nothing.
    Nothing,
    /// Limits, and what of them is used, in a frame of a connection.
    Rows(&'a [LimitRow]),
    /// What is used of limits that are known, in the head of a reply over HTTP.
    Counts(&'a [(LimitKind, Span, u64)]),
}

/// What a request is for, which decides how much of the weight it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A question: waits when more than six tenths are used.
    Query,
    /// A question of a comparison for which trading waits: waits when more than eight tenths are used.
    Comparison,
    /// A question on which an order's fate hangs: waits when more than seventeen twentieths are used.
    Doubt,
    /// A new order: refused when more than nine tenths are used.
    Order,
    /// A cancel or an amend: may use all.
    Cancel,
}

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What for.
    pub purpose: Purpose,
    /// Its weight.
    pub weight: u64,
}

impl Cost {
    /// What of it a window of this kind counts; `apart` says that the weight of new orders has a window of its own.
    const fn of(self, kind: LimitKind, apart: bool) -> u64 {
        match (kind, self.purpose) {
            (LimitKind::Weight, Purpose::Order) if apart => 0,
            (LimitKind::Weight, _) | (LimitKind::OrderWeight, Purpose::Order) => self.weight,
            (LimitKind::Orders, Purpose::Order) => 1,
            (LimitKind::Orders | LimitKind::OrderWeight, _) => 0,
        }
    }
}

/// How far a window is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowGauge {
    /// What it counts.
    pub kind: LimitKind,
    /// Its length.
    pub window: Span,
    /// Most allowed in it.
    pub limit: u64,
    /// What of that is used or on its way.
    pub used: u64,
}

#[derive(Clone, Debug)]
struct Window {
    kind: LimitKind,
    span: Span,
    limit: u64,
    start: Time,
    end: Time,
    /// What the venue has counted in this window, as it told last.
    told: u64,
    /// When the newest request was sent whose reply told of it.
    told_of: Time,
    /// Answered without a count of this window: it may not be in what was told.
    untold: Untold,
    /// Answered so near the end that the venue may have counted it in its next window.
    late: u64,
    flying: u64,
    /// What requests of sessions have taken of what orders share.
    shared: u64,
    shares: Shares,
}

/// Venues round their time, and the best sample of it may be some minutes old: clocks drift.
const ROUNDED: Span = Span::from_millis(30);

/// The window's number since the epoch.
fn number(at: Time, span: Span) -> i64 {
    at.nanos().div_euclid(span.nanos())
}

/// Most parts told apart.
const PARTS: usize = 64;

/// What was answered when, oldest first.
#[derive(Clone, Debug, Default)]
struct Untold {
    parts: VecDeque<Part>,
    sum: u64,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    first: Time,
    last: Time,
    cost: u64,
}

impl Untold {
    /// What was answered within a moment is one part; the oldest become one where there are many.
    fn add(&mut self, now: Time, cost: u64, moment: Span) {
        if cost == 0 {
            return;
        }
        self.sum = self.sum.saturating_add(cost);
        match self.parts.back_mut() {
            Some(part) if now <= part.first + moment => {
                (part.last, part.cost) = (part.last.max(now), part.cost.saturating_add(cost));
            }
            _ => self.parts.push_back(Part { first: now, last: now, cost }),
        }
        if self.parts.len() > PARTS
            && let (Some(oldest), Some(next)) = (self.parts.pop_front(), self.parts.front_mut())
        {
            next.cost = next.cost.saturating_add(oldest.cost);
        }
    }

    fn forget(&mut self, until: Time) {
        while self.parts.front().is_some_and(|part| part.last <= until) {
            self.parts.pop_front();
        }
        self.sum = self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.cost));
    }
}

/// What the venue told of one window.
#[derive(Clone, Copy, Debug)]
enum Count {
    /// On a connection that keeps the order of replies.
    Newest(u64),
    /// On one of several: replies may come in another order than they were written, and of counts that only rise the
    /// highest is the newest.
    Rising(u64),
}

impl Window {
    fn new(row: &LimitRow) -> Self {
        Self {
            kind: row.kind,
            span: row.window,
            limit: row.limit,
            start: Time::default(),
            end: Time::default() + row.window,
            told: 0,
            told_of: Time::default(),
            untold: Untold::default(),
            late: 0,
            flying: 0,
            shared: 0,
            shares: Shares::default(),
        }
    }

    fn roll(&mut self, now: Time, doubt: Span) {
        let start = Time::from_nanos(number(now - doubt, self.span) * self.span.nanos());
        if start > self.start {
            let late = if start == self.start + self.span { self.late } else { 0 };
            self.start = start;
            self.untold = Untold::default();
            self.untold.add(now, late, doubt);
            (self.told, self.told_of) = (0, Time::default());
            (self.late, self.shared) = (0, 0);
            self.shares.clear();
        } else if start + self.span < self.start {
            // Its clock was misread, or stepped: how much of what is known belongs to this window nobody can tell.
            let used = self.told.saturating_add(self.untold.sum);
            self.start = start;
            self.untold = Untold::default();
            self.untold.add(now, used, doubt);
            (self.told, self.told_of, self.late) = (0, Time::default(), 0);
        }
        self.end = self.start + self.span + doubt;
    }

    /// A request sent then was answered, perhaps with a count.
    fn settle(&mut self, (sent, now): (Time, Time), cost: u64, count: Option<Count>, doubt: Span) {
        self.roll(now, doubt);
        self.flying = self.flying.saturating_sub(cost);
        if now >= self.end - doubt - doubt {
            self.late = self.late.saturating_add(cost);
        }
        match count.filter(|_| self.has_counted(sent, doubt)) {
            Some(count) => {
                self.told = match count {
                    // Another connection may have overtaken it.
                    Count::Newest(count) if sent >= self.told_of => count,
                    Count::Newest(count) | Count::Rising(count) => self.told.max(count),
                };
                self.told_of = self.told_of.max(sent);
                // What had been answered before it was sent is counted in it.
                self.untold.forget(sent - doubt);
            }
            None => self.untold.add(now, cost, doubt),
        }
    }

    /// Is what the reply to a request sent then tells of this window?
    fn has_counted(&self, sent: Time, doubt: Span) -> bool {
        number(sent - doubt, self.span) == number(self.start, self.span)
    }

    const fn allowed(&self, purpose: Purpose) -> u64 {
        match (self.kind, purpose) {
            (LimitKind::Weight, Purpose::Query) => self.limit / 10 * 6 + self.limit % 10 * 6 / 10,
            (LimitKind::Weight, Purpose::Comparison) => self.limit / 10 * 8 + self.limit % 10 * 8 / 10,
            (LimitKind::Weight, Purpose::Doubt) => self.limit / 20 * 17 + self.limit % 20 * 17 / 20,
            (LimitKind::Weight, Purpose::Order) => self.limit / 10 * 9 + self.limit % 10 * 9 / 10,
            _ => self.limit,
        }
    }

    const fn taken(&self) -> u64 {
        self.told.saturating_add(self.untold.sum).saturating_add(self.flying)
    }

    /// An untouched window takes one request of any size: a limit below the cost of a query must not starve it for
    /// ever.
    fn has_room(&self, cost: Cost, apart: bool) -> bool {
        let (taken, more) = (self.taken(), cost.of(self.kind, apart));
        more == 0 || taken == 0 || taken.saturating_add(more) <= self.allowed(cost.purpose)
    }

    /// The rest of the window shared out over requests of this cost, a third of its room kept back at any time. The
    /// next but one must find room too, else it is for the next window.
    fn pace(&self, now: Time, cost: Cost, apart: bool) -> Span {
        let left = self.end.since(now);
        let room = i128::from(self.allowed(cost.purpose).saturating_sub(self.taken()));
        let weight = i128::from(cost.of(self.kind, apart));
        if room < weight * 3 {
            return left;
        }
        let share = i128::from(left.nanos()) * 3 * weight / (room * 2).max(1);
        Span::from_nanos(i64::try_from(share).unwrap_or(i64::MAX)).min(left)
    }

    /// What sessions share of the window, for a request that takes so much. What questions use, and cancels of what is
    /// kept for them, is nobody's part of what orders may use.
    fn room(&self, kind: Pool, more: u64) -> Room {
        let (orders, taken) = (self.allowed(Purpose::Order), self.taken());
        let (pool, most) = match kind {
            Pool::Orders => (orders.saturating_sub(taken.saturating_sub(self.shared)), orders),
            Pool::Cancels => (self.limit - orders, self.limit),
        };
        Room { kind, pool, most, taken, more, end: self.end, span: self.span }
    }

    /// Until when a request of the session has to wait, so that the others' parts are kept.
    fn waits(
        &self,
        now: Time,
        session: SessionId,
        sharers: &Sharers,
        cost: Cost,
        apart: bool,
    ) -> Option<Time> {
        let more = cost.of(self.kind, apart);
        if more == 0 || self.taken() == 0 {
            return None;
        }
        let until = |kind| self.shares.blocked_until(now, session, sharers, self.room(kind, more));
        match cost.purpose {
            Purpose::Order => until(Pool::Orders),
            Purpose::Cancel if self.shares.has(now, session, sharers, self.room(Pool::Cancels, more)) => None,
            // Beyond its part of what is kept for cancels it takes the room of orders, as long as they have any.
            Purpose::Cancel if self.orders_use(apart) => until(Pool::Cancels).max(until(Pool::Orders)),
            Purpose::Cancel => until(Pool::Cancels),
            _ => None,
        }
    }

    /// May orders still take something of it?
    fn orders_use(&self, apart: bool) -> bool {
        !(apart && self.kind == LimitKind::Weight) && self.taken() < self.allowed(Purpose::Order)
    }

    /// A request of the session is sent.
    fn share(&mut self, now: Time, session: SessionId, sharers: &Sharers, cost: Cost, apart: bool) {
        let more = cost.of(self.kind, apart);
        let over = match cost.purpose {
            _ if more == 0 => 0,
            Purpose::Order => more,
            Purpose::Cancel => {
                let room = self.room(Pool::Cancels, more);
                self.shares.take(now, session, sharers, room)
            }
            _ => 0,
        };
        if over > 0 && (cost.purpose == Purpose::Order || self.orders_use(apart)) {
            let room = self.room(Pool::Orders, over);
            self.shares.take(now, session, sharers, room);
            self.shared = self.shared.saturating_add(over);
        }
    }
}

/// Bans last three days at most; a time beyond that is a misread one and must not silence us for good.
const LONGEST_STOP: Span = Span::from_secs(3 * 86_400);

/// The budget of one connection's owner.
#[derive(Clone, Debug, Default)]
pub struct RateBudget {
    windows: Vec<Window>,
    stopped_until: Time,
    orders_held_until: Time,
    sharers: Sharers,
    /// The venue's clock may be off that much from what it is taken for.
    doubt: Span,
}

impl RateBudget {
    /// From the limits known at the start; the venue's own rows replace them as they arrive.
    pub fn new(rows: &[LimitRow]) -> Self {
        let mut budget = Self::default();
        budget.answered(Time::default(), Time::default(), None, Told::Rows(rows));
        budget
    }

    /// The venue's clock is known that well.
    pub fn doubt_clock(&mut self, uncertainty: Span) {
        self.doubt = uncertainty + ROUNDED;
    }

    /// Reserves the cost of a request about to be sent.
    ///
    /// # Errors
    /// The venue time at which to try again; nothing is reserved then.
    pub fn take(&mut self, now: Time, cost: Cost) -> Result<(), Time> {
        self.take_for(now, cost, None)
    }

    /// The same for a request of a session, which has to leave the others their parts.
    ///
    /// # Errors
    /// As [`RateBudget::take`].
    pub fn take_for(&mut self, now: Time, cost: Cost, session: Option<SessionId>) -> Result<(), Time> {
        if let Some(until) = self.blocked_until(now, cost) {
            return Err(until);
        }
        let apart = self.apart();
        let waits = |session| {
            let until = |window: &Window| window.waits(now, session, &self.sharers, cost, apart);
            self.windows.iter().filter_map(until).max()
        };
        if let Some(until) = session.and_then(waits) {
            return Err(until);
        }
        for window in &mut self.windows {
            if let Some(session) = session {
                window.share(now, session, &self.sharers, cost, apart);
            }
            window.flying += cost.of(window.kind, apart);
        }
        Ok(())
    }

    /// Sessions that may trade from now on, and so share the budget.
    pub fn share_among(&mut self, sessions: &BTreeSet<SessionId>) {
        self.sharers.clone_from(sessions);
    }

    /// Has the weight of new orders a window of its own?
    pub fn counts_orders_apart(&self) -> bool {
        self.apart()
    }

    fn apart(&self) -> bool {
        self.windows.iter().any(|window| window.kind == LimitKind::OrderWeight)
    }

    fn blocked_until(&mut self, now: Time, cost: Cost) -> Option<Time> {
        let mut until = None;
        let held = if cost.purpose == Purpose::Order { self.orders_held_until } else { Time::default() };
        let stopped = self.stopped_until.max(held);
        if now < stopped {
            until = Some(stopped);
        }
        let apart = self.apart();
        for window in &mut self.windows {
            window.roll(now, self.doubt);
            if !window.has_room(cost, apart) {
                until = until.max(Some(window.end));
            }
        }
        until
    }

    /// How long to leave between requests of this cost that are repeated for ever: spread so, they leave room for
    /// others until the window ends.
    pub fn pace(&mut self, now: Time, cost: Cost) -> Span {
        let apart = self.apart();
        for window in &mut self.windows {
            window.roll(now, self.doubt);
        }
        self.windows.iter().map(|window| window.pace(now, cost, apart)).max().unwrap_or_default()
    }

    /// A request was answered that was sent then and cost so much, with what the venue says of its limits. Counts of a
    /// window that has ended meanwhile say nothing of the present one, and windows that are not known are passed over.
    pub fn answered(&mut self, sent: Time, now: Time, cost: Option<Cost>, told: Told<'_>) {
        if let Told::Rows(rows) = told {
            self.learn(rows);
        }
        let apart = self.apart();
        for window in &mut self.windows {
            let part = cost.map_or(0, |cost| cost.of(window.kind, apart));
            let is_of = |kind, span| window.kind == kind && window.span == span;
            let count = match told {
                Told::Nothing => None,
                Told::Rows(rows) => {
                    let row = rows.iter().find(|row| is_of(row.kind, row.window));
                    row.and_then(|row| row.count).map(Count::Newest)
                }
                Told::Counts(counts) => {
                    let count = counts.iter().find(|(kind, span, _)| is_of(*kind, *span));
                    count.map(|(.., count)| Count::Rising(*count))
                }
            };
            window.settle((sent, now), part, count, self.doubt);
        }
    }

    /// A request will never be answered: it may have been counted.
    pub fn lost(&mut self, now: Time, cost: Cost) {
        self.answered(now, now, Some(cost), Told::Nothing);
    }

    /// Takes over the venue's limits.
    fn learn(&mut self, rows: &[LimitRow]) {
        for row in rows.iter().filter(|row| row.window > Span::ZERO) {
            match self.windows.iter_mut().find(|window| window.kind == row.kind && window.span == row.window)
            {
                Some(window) => window.limit = row.limit,
                None => self.windows.push(Window::new(row)),
            }
        }
    }

    /// The venue said stop (429, 418): nothing at all is sent before this.
    pub fn stop_until(&mut self, now: Time, until: Time) {
        self.stopped_until = self.stopped_until.max(until.min(now + LONGEST_STOP));
    }

    /// Each window as it stands, for whoever watches.
    pub fn windows(&self, now: Time) -> Vec<WindowGauge> {
        let gauge = |window: &Window| {
            let (over, next) = (window.end <= now, now < window.end + window.span);
            let late = if next { window.late } else { 0 };
            WindowGauge {
                kind: window.kind,
                window: window.span,
                limit: window.limit,
                used: if over { window.flying.saturating_add(late) } else { window.taken() },
            }
        };
        self.windows.iter().map(gauge).collect()
    }

    /// When this stop is over, if there is one.
    pub fn stopped(&self, now: Time) -> Option<Time> {
        Some(self.stopped_until).filter(|until| now < *until)
    }

    /// The venue counts too many unfilled orders (-1015): no new order before this; the rest goes on.
    pub fn hold_orders_until(&mut self, now: Time, until: Time) {
        self.orders_held_until = self.orders_held_until.max(until.min(now + LONGEST_STOP));
    }

    /// The end of the shortest window of a kind, for a venue that says "too many" but not until when.
    pub fn window_end(&self, now: Time, kind: LimitKind) -> Time {
        let spans = self.windows.iter().filter(|w| w.kind == kind).map(|w| w.span);
        let span = spans.min().unwrap_or(Span::from_secs(60));
        Time::from_nanos((number(now - self.doubt, span) + 1) * span.nanos()) + self.doubt
    }
}

#[cfg(test)]
mod tests;
