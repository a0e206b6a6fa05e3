//! The rate budget: how much may still be sent in the venue's counting windows.
//!
//! Venues count in fixed windows aligned to the clock (every 10 s, minute, day). We count along: what is *used* is
//! the venue's own figure from its last reply, what is *flying* are our requests it has not answered yet. Queries may
//! use only a part of the weight, those that trading waits for and those about an order in doubt more of it, and new
//! orders leave a rest, so that a cancel always finds room (reliability.md R13). Sessions that may trade share what
//! there is, see `share`. All times here are the venue's.

use std::collections::BTreeSet;

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
    used: u64,
    /// The highest count the venue has told of this window.
    told: u64,
    flying: u64,
    /// What requests of sessions have taken of what orders share.
    shared: u64,
    shares: Shares,
}

/// The window's number since the epoch.
fn number(at: Time, span: Span) -> i64 {
    at.nanos().div_euclid(span.nanos())
}

/// The venue's rows in the reply to a request sent then: counts of windows that have ended meanwhile say nothing of the
/// present ones.
pub fn current(sent: Time, now: Time, rows: &[LimitRow]) -> Vec<LimitRow> {
    let mut rows = rows.to_vec();
    for row in rows.iter_mut().filter(|row| row.window > Span::ZERO) {
        row.count = row.count.filter(|_| number(sent, row.window) == number(now, row.window));
    }
    rows
}

impl Window {
    fn roll(&mut self, now: Time) {
        let start = Time::from_nanos(number(now, self.span) * self.span.nanos());
        if start > self.start {
            self.start = start;
            (self.used, self.told, self.shared) = (0, 0, 0);
            self.shares.clear();
        }
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
        self.used.saturating_add(self.flying)
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
        let left = self.end().since(now);
        let room = i128::from(self.allowed(cost.purpose).saturating_sub(self.taken()));
        let weight = i128::from(cost.of(self.kind, apart));
        if room < weight * 3 {
            return left;
        }
        let share = i128::from(left.nanos()) * 3 * weight / (room * 2).max(1);
        Span::from_nanos(i64::try_from(share).unwrap_or(i64::MAX)).min(left)
    }

    fn end(&self) -> Time {
        self.start + self.span
    }

    /// What sessions share of the window, for a request that takes so much. What questions use, and cancels of what is
    /// kept for them, is nobody's part of what orders may use.
    fn room(&self, kind: Pool, more: u64) -> Room {
        let (orders, taken) = (self.allowed(Purpose::Order), self.taken());
        let (pool, most) = match kind {
            Pool::Orders => (orders.saturating_sub(taken.saturating_sub(self.shared)), orders),
            Pool::Cancels => (self.limit - orders, self.limit),
        };
        Room { kind, pool, most, taken, more, end: self.end(), span: self.span }
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
}

impl RateBudget {
    /// From the limits known at the start; the venue's own rows replace them as they arrive.
    pub fn new(rows: &[LimitRow]) -> Self {
        let mut budget = Self::default();
        budget.learn(Time::default(), rows);
        budget
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
            window.roll(now);
            if !window.has_room(cost, apart) {
                until = until.max(Some(window.end()));
            }
        }
        until
    }

    /// How long to leave between requests of this cost that are repeated for ever: spread so, they leave room for
    /// others until the window ends.
    pub fn pace(&mut self, now: Time, cost: Cost) -> Span {
        let apart = self.apart();
        for window in &mut self.windows {
            window.roll(now);
        }
        self.windows.iter().map(|window| window.pace(now, cost, apart)).max().unwrap_or_default()
    }

    /// A request was answered, or will never be: its cost is used, unless the venue's rows know better.
    pub fn settle(&mut self, now: Time, cost: Cost, rows: &[LimitRow]) {
        let apart = self.apart();
        for window in &mut self.windows {
            window.roll(now);
            let part = cost.of(window.kind, apart);
            window.flying = window.flying.saturating_sub(part);
            window.used = window.used.saturating_add(part);
        }
        self.learn(now, rows);
    }

    /// Takes over the venue's own rows.
    pub fn learn(&mut self, now: Time, rows: &[LimitRow]) {
        for row in rows.iter().filter(|row| row.window > Span::ZERO) {
            let known = self.windows.iter_mut().find(|w| w.kind == row.kind && w.span == row.window);
            let window = match known {
                Some(window) => window,
                None => {
                    let (kind, span) = (row.kind, row.window);
                    self.windows.push(Window {
                        kind,
                        span,
                        limit: 0,
                        start: now,
                        used: 0,
                        told: 0,
                        flying: 0,
                        shared: 0,
                        shares: Shares::default(),
                    });
                    self.windows.last_mut().expect("it was just pushed")
                }
            };
            window.roll(now);
            window.limit = row.limit;
            if let Some(count) = row.count {
                (window.used, window.told) = (count, count);
            }
        }
    }

    /// Takes over a count the venue gave without its limit, in the reply to a request sent then. One of a window not
    /// known is passed over, and so is one of a window that has ended meanwhile. Replies may come in another order than
    /// they were written: the highest count is the newest.
    pub fn observe(&mut self, sent: Time, now: Time, kind: LimitKind, window: Span, count: u64) {
        let known = self.windows.iter_mut().find(|w| w.kind == kind && w.span == window);
        if let Some(window) = known.filter(|w| number(sent, w.span) == number(now, w.span)) {
            window.roll(now);
            window.told = window.told.max(count);
            window.used = window.told;
        }
    }

    /// The venue said stop (429, 418): nothing at all is sent before this.
    pub fn stop_until(&mut self, now: Time, until: Time) {
        self.stopped_until = self.stopped_until.max(until.min(now + LONGEST_STOP));
    }

    /// Each window as it stands, for whoever watches.
    pub fn windows(&self, now: Time) -> Vec<WindowGauge> {
        let gauge = |window: &Window| {
            let over = window.end() <= now;
            WindowGauge {
                kind: window.kind,
                window: window.span,
                limit: window.limit,
                used: if over { window.flying } else { window.taken() },
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
        Time::from_nanos((now.nanos().div_euclid(span.nanos()) + 1) * span.nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Cost = Cost { purpose: Purpose::Order, weight: 1 };
    const CANCEL: Cost = Cost { purpose: Purpose::Cancel, weight: 1 };
    const QUERY: Cost = Cost { purpose: Purpose::Query, weight: 20 };

    fn row(kind: LimitKind, secs: i64, limit: u64, count: Option<u64>) -> LimitRow {
        LimitRow { kind, window: Span::from_secs(secs), limit, count }
    }
    fn at(secs: i64) -> Time {
        Time::default() + Span::from_secs(secs)
    }

    #[test]
    fn what_is_shown_of_a_window_is_what_is_used_and_flying_in_it() {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 100, None)]);
        budget.take(at(61), QUERY).unwrap();
        budget.settle(at(62), QUERY, &[]);
        budget.take(at(63), CANCEL).unwrap();
        let used = |budget: &RateBudget, secs| budget.windows(at(secs)).first().map(|w| (w.used, w.limit));
        assert_eq!(used(&budget, 119), Some((21, 100)));
        // Nothing rolls by being looked at, and what is on its way is counted anew.
        assert_eq!(used(&budget, 120), Some((1, 100)));
        assert_eq!(used(&budget, 119), Some((21, 100)));
    }

    #[test]
    fn r13_orders_over_the_count_wait_for_the_window_and_cancels_do_not() {
        let mut budget = RateBudget::new(&[
            row(LimitKind::Orders, 10, 3, None),
            row(LimitKind::Orders, 86_400, 5, None),
            row(LimitKind::Weight, 60, 100, None),
        ]);
        for _ in 0..3 {
            assert_eq!(budget.take(at(1_004), ORDER), Ok(()));
        }
        assert_eq!(budget.take(at(1_004), ORDER), Err(at(1_010)));
        assert_eq!(budget.take(at(1_004), CANCEL), Ok(()));
        for _ in 0..3 {
            budget.settle(at(1_005), ORDER, &[]);
        }
        assert_eq!(budget.take(at(1_009), ORDER), Err(at(1_010)));
        assert_eq!(budget.take(at(1_010), ORDER), Ok(()));
        assert_eq!(budget.take(at(1_010), ORDER), Ok(()));
        assert_eq!(budget.take(at(1_010), ORDER), Err(at(86_400)));
    }

    #[test]
    fn r13_a_share_of_the_weight_is_kept_for_cancels() {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 100, None)]);
        for _ in 0..3 {
            assert_eq!(budget.take(at(61), QUERY), Ok(()));
        }
        assert_eq!(budget.take(at(61), QUERY), Err(at(120)));
        for _ in 0..30 {
            assert_eq!(budget.take(at(61), ORDER), Ok(()));
        }
        assert_eq!(budget.take(at(61), ORDER), Err(at(120)));
        for _ in 0..10 {
            assert_eq!(budget.take(at(61), CANCEL), Ok(()));
        }
        assert_eq!(budget.take(at(61), CANCEL), Err(at(120)));
    }

    #[test]
    fn r02_what_trading_waits_for_and_an_order_in_doubt_have_more_than_other_questions() {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 100, None)]);
        let cost = |purpose| Cost { purpose, weight: 5 };
        for (purpose, times) in [(Purpose::Query, 12), (Purpose::Comparison, 4), (Purpose::Doubt, 1)] {
            for _ in 0..times {
                assert_eq!(budget.take(at(61), cost(purpose)), Ok(()), "{purpose:?}");
            }
            assert_eq!(budget.take(at(61), cost(purpose)), Err(at(120)), "{purpose:?}");
        }
        assert_eq!((budget.take(at(61), ORDER), budget.take(at(61), CANCEL)), (Ok(()), Ok(())));
    }

    #[test]
    fn r13_the_weight_of_orders_is_counted_apart_where_it_has_a_window() {
        let row = |kind, limit| row(kind, 60, limit, None);
        let mut budget =
            RateBudget::new(&[row(LimitKind::Weight, 100), row(LimitKind::OrderWeight, 180_000)]);
        let borrowing = Cost { purpose: Purpose::Order, weight: 1_500 };
        for _ in 0..120 {
            assert_eq!(budget.take(at(61), borrowing), Ok(()));
        }
        assert_eq!(budget.take(at(61), borrowing), Err(at(120)));
        assert_eq!((budget.take(at(61), CANCEL), budget.take(at(61), QUERY)), (Ok(()), Ok(())));
        budget.settle(at(62), borrowing, &[]);
        budget.observe(at(62), at(62), LimitKind::OrderWeight, Span::from_secs(60), 0);
        assert_eq!(budget.take(at(62), borrowing), Ok(()), "119 are on their way, and one fits");
        assert_eq!(budget.take(at(119), borrowing), Err(at(120)));
    }

    #[test]
    fn r13_what_is_repeated_at_its_pace_never_uses_up_the_room() {
        for (weight, limit) in [(100, 6_000), (700, 6_000), (200, 1_200), (0, 100), (u64::MAX, 6_000)] {
            let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, limit, None)]);
            let cost = Cost { purpose: Purpose::Query, weight };
            let (mut now, end, mut rounds) = (at(60), at(120), 0);
            while now < end && rounds < 1_000 {
                let pace = budget.pace(now, cost);
                if budget.take(now, cost).is_ok() {
                    budget.settle(now, cost, &[]);
                }
                let other = budget.clone().take(now, Cost { purpose: Purpose::Query, weight: 5 });
                assert!(
                    other.is_ok() || weight == u64::MAX,
                    "{weight} of {limit} at {now:?}: round {rounds}"
                );
                rounds += 1;
                now += pace.max(Span::from_millis(500));
            }
            assert!(rounds > 1 || weight == u64::MAX, "{weight} of {limit}: {rounds} rounds");
        }
    }

    fn shared(limit: u64, sessions: u16) -> RateBudget {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, limit, None)]);
        budget.share_among(&(1..=sessions).map(SessionId).collect());
        budget
    }

    #[test]
    fn r13_what_questions_used_is_nobodys_part() {
        let mut budget = shared(6_000, 2);
        let comparison = Cost { purpose: Purpose::Comparison, weight: 100 };
        for _ in 0..48 {
            assert_eq!(budget.take(at(60), comparison), Ok(()));
        }
        for session in [SessionId(1), SessionId(2)] {
            let sent = (0..).take_while(|_| budget.take_for(at(60), ORDER, Some(session)).is_ok());
            assert_eq!(sent.count(), 300, "half of the 600 that are left");
        }
    }

    #[test]
    fn r13_a_flood_of_cancels_leaves_the_others_their_orders_and_their_cancels() {
        let mut budget = shared(1_000, 2);
        let mut take = |cost, session| budget.take_for(at(60), cost, Some(SessionId(session))).is_ok();
        assert_eq!((0..).take_while(|_| take(CANCEL, 1)).count(), 475, "its part of both, at once");
        assert!(!take(ORDER, 1), "it has spent the room of its orders, too");
        assert_eq!((0..).take_while(|_| take(ORDER, 2)).count(), 425, "all but the tenth for cancels");
        assert_eq!((0..).take_while(|_| take(CANCEL, 2)).count(), 100);
    }

    #[test]
    fn r13_who_has_sent_nothing_is_refused_only_where_nobody_finds_room() {
        for seed in 0..500 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let count = rng.u16(2..6);
            let mut budget = shared(rng.u64(20..400), count);
            let weight = rng.u64(1..5);
            for millis in 0..rng.u64(1..2_000) {
                let now = at(60) + Span::from_millis(millis as i64 * 29);
                let purpose = [Purpose::Order, Purpose::Cancel, Purpose::Comparison][rng.usize(..3)];
                let session = (purpose != Purpose::Comparison).then(|| SessionId(rng.u16(2..=count)));
                let cost = Cost { purpose, weight };
                if budget.take_for(now, cost, session).is_ok() && rng.bool() {
                    budget.settle(now, cost, &[]);
                }
                for purpose in [Purpose::Order, Purpose::Cancel] {
                    let cost = Cost { purpose, weight };
                    let anybody = budget.clone().take(now, cost);
                    let first = budget.clone().take_for(now, cost, Some(SessionId(1)));
                    assert_eq!(first, anybody, "seed {seed}, {millis}, {purpose:?}");
                }
            }
        }
    }

    #[test]
    fn the_venues_own_figures_win() {
        let mut budget = RateBudget::new(&[row(LimitKind::Orders, 10, 50, None)]);
        assert_eq!(budget.take(at(11), ORDER), Ok(()));
        budget.settle(at(12), ORDER, &[row(LimitKind::Orders, 10, 10, Some(10))]);
        assert_eq!(budget.take(at(12), ORDER), Err(at(20)));
        budget.learn(at(12), &[row(LimitKind::Orders, 10, 10, Some(4))]);
        assert_eq!(budget.take(at(12), ORDER), Ok(()));
        budget.observe(at(11), at(12), LimitKind::Orders, Span::from_secs(10), 10);
        budget.observe(at(11), at(12), LimitKind::Orders, Span::from_secs(60), 99);
        assert_eq!(budget.take(at(12), ORDER), Err(at(20)));
    }

    #[test]
    fn r13_a_count_of_the_window_before_says_nothing_of_this_one() {
        let limit = row(LimitKind::Weight, 60, 100, None);
        let mut budget = RateBudget::new(&[limit]);
        assert_eq!(budget.take(at(119), QUERY), Ok(()));
        assert_eq!(budget.take(at(119), QUERY), Ok(()));
        budget.settle(at(121), QUERY, &[]);
        budget.observe(at(119), at(121), LimitKind::Weight, Span::from_secs(60), 99);
        assert_eq!(budget.take(at(121), QUERY), Ok(()), "over HTTP");
        let told = row(LimitKind::Weight, 60, 100, Some(99));
        budget.settle(at(121), QUERY, &current(at(119), at(121), &[told]));
        assert!(current(at(120), at(121), &[told])[0].count.is_some());
        assert_eq!(budget.take(at(121), CANCEL), Ok(()), "and as a frame");
    }

    #[test]
    fn r13_replies_that_overtake_each_other_do_not_lower_the_count() {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 100, None)]);
        assert_eq!((budget.take(at(61), QUERY), budget.take(at(61), QUERY)), (Ok(()), Ok(())));
        for count in [60, 40] {
            budget.settle(at(62), QUERY, &[]);
            budget.observe(at(61), at(62), LimitKind::Weight, Span::from_secs(60), count);
        }
        assert_eq!(budget.take(at(62), QUERY), Err(at(120)));
        budget.observe(at(120), at(120), LimitKind::Weight, Span::from_secs(60), 20);
        assert_eq!(budget.take(at(120), QUERY), Ok(()), "the next window begins anew");
    }

    #[test]
    fn r39_after_a_stop_nothing_is_sent_and_after_a_hold_no_orders() {
        let mut budget = RateBudget::new(&[row(LimitKind::Orders, 10, 50, None)]);
        budget.hold_orders_until(at(11), at(30));
        assert_eq!((budget.take(at(11), ORDER), budget.take(at(11), CANCEL)), (Err(at(30)), Ok(())));
        budget.stop_until(at(11), at(20));
        assert_eq!((budget.take(at(11), QUERY), budget.take(at(11), CANCEL)), (Err(at(20)), Err(at(20))));
        assert_eq!(budget.take(at(30), ORDER), Ok(()));
    }

    #[test]
    fn absurd_figures_neither_panic_nor_silence_us_for_good() {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, i64::MAX, u64::MAX, Some(u64::MAX))]);
        assert!(budget.take(at(61), QUERY).is_err());
        budget.settle(at(61), QUERY, &[row(LimitKind::Weight, i64::MAX, u64::MAX, Some(0))]);
        assert_eq!(budget.take(at(61), QUERY), Ok(()));
        budget.stop_until(at(61), Time::from_millis(i64::MAX));
        assert_eq!(budget.take(at(61), QUERY), Err(at(61 + 3 * 86_400)));
    }

    #[test]
    fn a_limit_smaller_than_a_query_does_not_starve_it() {
        let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 10, None)]);
        assert_eq!(budget.take(at(61), QUERY), Ok(()));
        assert_eq!(budget.take(at(61), QUERY), Err(at(120)));
        budget.settle(at(61), QUERY, &[]);
        assert_eq!(budget.take(at(120), QUERY), Ok(()));
    }
}
