//! What has to be counted over time: orders sent, and orders the exchange rejected. It begins anew at every start.

use std::collections::VecDeque;

use super::{Breach, Judge, Limit};
use crate::time::{Span, Time};

/// Orders are counted over this.
const SECOND: Span = Span::from_secs(1);
/// Rejections are counted over this.
const MINUTE: Span = Span::from_secs(60);
/// The largest limit there can be, so the most that has to be remembered.
pub const MOST: u32 = 10_000;

/// The last times of something.
#[derive(Clone, Debug, Default)]
struct Times(VecDeque<Time>);

impl Times {
    /// When fewer than `cap` will lie within the last `span`; `None`: they do now.
    fn full_until(&self, now: Time, cap: u32, span: Span) -> Option<Time> {
        let over = self.0.len().checked_sub(cap as usize)?;
        // The newest `cap` alone matter: once the oldest of them has left the span, there is room. Of none at all there
        // never is.
        let until = self.0.get(over).map_or(now + span, |oldest| *oldest + span);
        (now < until).then_some(until)
    }

    fn push(&mut self, now: Time, span: Span) {
        while self.0.len() >= MOST as usize || self.0.front().is_some_and(|at| *at + span <= now) {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

/// What one session, or the account, has done of late.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    sent: Times,
    rejected: Times,
}

impl Pace {
    /// An order was sent.
    pub fn sent(&mut self, now: Time) {
        self.sent.push(now, SECOND);
    }

    /// The exchange rejected one.
    pub fn rejected(&mut self, now: Time) {
        self.rejected.push(now, MINUTE);
    }

    /// Orders sent in the last second, and rejected in the last minute.
    pub fn recent(&self, now: Time) -> (usize, usize) {
        let within = |times: &Times, span: Span| times.0.iter().filter(|at| **at + span > now).count();
        (within(&self.sent, SECOND), within(&self.rejected, MINUTE))
    }

    /// May another order be sent now?
    ///
    /// # Errors
    /// The limit it breaks, and until when.
    pub fn judge(&self, now: Time, judge: &Judge<'_>) -> Result<(), Breach> {
        let bounds = judge.bounds;
        if let Some(cap) = bounds.orders_per_second
            && let Some(until) = self.sent.full_until(now, cap, SECOND)
        {
            let what = "so many were sent in the last second";
            return Err(judge.too_often(Limit::OrdersPerSecond, cap, what, now, until));
        }
        if let Some(cap) = bounds.rejects_per_minute
            && let Some(until) = self.rejected.full_until(now, cap, MINUTE)
        {
            let what = "the exchange has rejected so many in the last minute";
            return Err(judge.too_often(Limit::RejectsPerMinute, cap, what, now, until));
        }
        Ok(())
    }
}
