//! The budget against what venues count.

use std::collections::BTreeMap;

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
    budget.lost(at(62), QUERY);
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
        budget.lost(at(1_005), ORDER);
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
    let mut budget = RateBudget::new(&[row(LimitKind::Weight, 100), row(LimitKind::OrderWeight, 180_000)]);
    let borrowing = Cost { purpose: Purpose::Order, weight: 1_500 };
    for _ in 0..120 {
        assert_eq!(budget.take(at(61), borrowing), Ok(()));
    }
    assert_eq!(budget.take(at(61), borrowing), Err(at(120)));
    assert_eq!((budget.take(at(61), CANCEL), budget.take(at(61), QUERY)), (Ok(()), Ok(())));
    budget.answered(
        at(62),
        at(62),
        Some(borrowing),
        Told::Counts(&[(LimitKind::OrderWeight, Span::from_secs(60), 0)]),
    );
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
                budget.lost(now, cost);
            }
            let other = budget.clone().take(now, Cost { purpose: Purpose::Query, weight: 5 });
            assert!(other.is_ok() || weight == u64::MAX, "{weight} of {limit} at {now:?}: round {rounds}");
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
                budget.lost(now, cost);
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
    budget.answered(at(11), at(12), Some(ORDER), Told::Rows(&[row(LimitKind::Orders, 10, 10, Some(10))]));
    assert_eq!(budget.take(at(12), ORDER), Err(at(20)));
    budget.answered(at(11), at(12), None, Told::Rows(&[row(LimitKind::Orders, 10, 10, Some(4))]));
    assert_eq!(budget.take(at(12), ORDER), Ok(()));
    budget.answered(at(11), at(12), None, Told::Counts(&[(LimitKind::Orders, Span::from_secs(10), 10)]));
    budget.answered(at(11), at(12), None, Told::Counts(&[(LimitKind::Orders, Span::from_secs(60), 99)]));
    assert_eq!(budget.take(at(12), ORDER), Err(at(20)));
}

#[test]
fn r13_a_count_of_the_window_before_says_nothing_of_this_one() {
    let limit = row(LimitKind::Weight, 60, 100, None);
    let mut budget = RateBudget::new(&[limit]);
    assert_eq!(budget.take(at(119), QUERY), Ok(()));
    assert_eq!(budget.take(at(119), QUERY), Ok(()));
    budget.answered(
        at(119),
        at(121),
        Some(QUERY),
        Told::Counts(&[(LimitKind::Weight, Span::from_secs(60), 99)]),
    );
    assert_eq!(budget.take(at(121), QUERY), Ok(()), "over HTTP");
    let told = row(LimitKind::Weight, 60, 100, Some(99));
    budget.answered(at(119), at(121), Some(QUERY), Told::Rows(&[told]));
    assert_eq!(budget.take(at(121), CANCEL), Ok(()), "and as a frame");
    budget.answered(at(120), at(121), None, Told::Rows(&[told]));
    assert_eq!(budget.take(at(121), ORDER), Err(at(180)));
}

#[test]
fn r13_replies_that_overtake_each_other_do_not_lower_the_count() {
    let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 100, None)]);
    assert_eq!((budget.take(at(61), QUERY), budget.take(at(61), QUERY)), (Ok(()), Ok(())));
    for count in [60, 40] {
        budget.answered(
            at(61),
            at(62),
            Some(QUERY),
            Told::Counts(&[(LimitKind::Weight, Span::from_secs(60), count)]),
        );
    }
    assert_eq!(budget.take(at(62), QUERY), Err(at(120)));
    budget.answered(at(120), at(120), None, Told::Counts(&[(LimitKind::Weight, Span::from_secs(60), 20)]));
    assert_eq!(budget.take(at(120), QUERY), Ok(()), "the next window begins anew");
}

/// A venue that counts by its own clock, told from afar; `skew` is what ours is ahead of it.
struct Venue {
    rng: fastrand::Rng,
    skew: Span,
    counts: BTreeMap<i64, u64>,
    /// One connection, whose replies come in order and bear rows; else each request has a way of its own.
    in_order: bool,
    /// When requests arrive, and replies with their counts; each with when it was sent, by our clock.
    arriving: Vec<(Time, Time)>,
    coming: Vec<(Time, u64, Time)>,
}

impl Venue {
    const LIMIT: u64 = 10;
    const WINDOW: Span = Span::from_secs(10);

    /// Everything until then.
    fn run(&mut self, until: Time, budget: &mut RateBudget) -> Result<(), String> {
        self.arriving.sort_unstable();
        let arrived: Vec<_> = self.arriving.extract_if(.., |(at, _)| *at <= until).collect();
        for (at, sent) in arrived {
            let count = self.counts.entry(number(at, Self::WINDOW)).or_default();
            *count += 1;
            if *count > Self::LIMIT {
                return Err(format!("{count} requests at {at:?}"));
            }
            let last = self.coming.iter().map(|(at, ..)| *at).max().filter(|_| self.in_order);
            let back = (at + Span::from_millis(self.rng.i64(0..60))).max(last.unwrap_or(at));
            self.coming.push((back, *count, sent));
        }
        self.coming.sort_unstable();
        for (at, count, sent) in self.coming.extract_if(.., |(at, ..)| *at <= until).collect::<Vec<_>>() {
            let now = at + self.skew;
            if self.in_order {
                budget.answered(
                    sent,
                    now,
                    Some(ORDER),
                    Told::Rows(&[row(LimitKind::Orders, 10, Self::LIMIT, Some(count))]),
                );
            } else {
                budget.answered(
                    sent,
                    now,
                    Some(ORDER),
                    Told::Counts(&[(LimitKind::Orders, Self::WINDOW, count)]),
                );
            }
        }
        Ok(())
    }
}

/// However the clocks differ within what is known of them, whatever the ways take, and whenever floods begin.
#[test]
fn r13_no_window_of_the_venue_sees_more_than_its_limit() {
    for seed in 0..3_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let known = rng.i64(0..300);
        let skew = Span::from_millis(rng.i64(-known..=known));
        let mut venue = Venue {
            skew,
            rng: rng.fork(),
            counts: BTreeMap::new(),
            in_order: seed % 2 == 0,
            arriving: Vec::new(),
            coming: Vec::new(),
        };
        let mut budget = RateBudget::new(&[row(LimitKind::Orders, 10, Venue::LIMIT, None)]);
        budget.doubt_clock(Span::from_millis(known));
        let mut at = at(1_000);
        for _ in 0..200 {
            // Most of it happens near an edge.
            let near = number(at, Venue::WINDOW) * 10_000 + 10_000 - at.millis();
            let far = near > 700 && near < 9_500 && rng.u8(..3) == 0;
            at += Span::from_millis(if far { near - 650 } else { rng.i64(0..90) });
            if let Err(wrong) = venue.run(at, &mut budget) {
                panic!("seed {seed}, known to {known} ms, off by {skew:?}: {wrong}");
            }
            for _ in 0..rng.u8(0..8) {
                let now = at + skew;
                if budget.take(now, ORDER).is_ok() {
                    venue.arriving.push((at + Span::from_millis(rng.i64(0..60)), now));
                }
            }
        }
    }
}

/// What was answered near the edge may count in both windows: until the venue tells.
#[test]
fn r13_what_an_edge_leaves_in_doubt_is_settled_by_the_next_reply() {
    let counts = |count| [(LimitKind::Orders, Span::from_secs(10), count)];
    let mut budget = RateBudget::new(&[row(LimitKind::Orders, 10, 10, None)]);
    budget.doubt_clock(Span::from_millis(20));
    let near = at(20) - Span::from_millis(30);
    for n in 1..=6 {
        assert_eq!(budget.take(near, ORDER), Ok(()));
        budget.answered(near, near, Some(ORDER), Told::Counts(&counts(n)));
    }
    let used = |budget: &RateBudget, now| budget.windows(now)[0].used;
    let begun = at(20) + Span::from_millis(50);
    assert_eq!((used(&budget, begun - Span::from_millis(1)), used(&budget, begun)), (6, 6));
    for _ in 0..4 {
        assert_eq!(budget.take(begun, ORDER), Ok(()));
    }
    assert_eq!(budget.take(begun, ORDER), Err(at(30) + Span::from_millis(50)));
    for n in 1..=3 {
        budget.answered(begun, begun, Some(ORDER), Told::Counts(&counts(n)));
    }
    assert_eq!(used(&budget, begun), 10, "sent in the very moment: that may not be in its count");
    let sent = begun + Span::from_millis(50);
    budget.answered(sent, sent, Some(ORDER), Told::Counts(&counts(4)));
    assert_eq!(used(&budget, sent), 4, "they were in the window before");
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
    budget.answered(
        at(61),
        at(61),
        Some(QUERY),
        Told::Rows(&[row(LimitKind::Weight, i64::MAX, u64::MAX, Some(0))]),
    );
    assert_eq!(budget.take(at(61), QUERY), Ok(()));
    budget.stop_until(at(61), Time::from_millis(i64::MAX));
    assert_eq!(budget.take(at(61), QUERY), Err(at(61 + 3 * 86_400)));
}

#[test]
fn a_limit_smaller_than_a_query_does_not_starve_it() {
    let mut budget = RateBudget::new(&[row(LimitKind::Weight, 60, 10, None)]);
    assert_eq!(budget.take(at(61), QUERY), Ok(()));
    assert_eq!(budget.take(at(61), QUERY), Err(at(120)));
    budget.lost(at(61), QUERY);
    assert_eq!(budget.take(at(120), QUERY), Ok(()));
}
