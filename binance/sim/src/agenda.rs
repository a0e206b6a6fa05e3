//! What is to be done later, in order of time and then of entry; and what comes again and again.

use std::collections::BTreeMap;

use tradingsys::time::{Span, Time};

/// Tasks by time.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    tasks: BTreeMap<(Time, u64), T>,
    entered: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { tasks: BTreeMap::new(), entered: 0 }
    }
}

impl<T> Agenda<T> {
    /// Enters a task.
    pub(crate) fn enter(&mut self, at: Time, task: T) {
        self.tasks.insert((at, self.entered), task);
        self.entered += 1;
    }
    /// When the first is due.
    pub(crate) fn first(&self) -> Option<Time> {
        self.tasks.first_key_value().map(|((at, _), _)| *at)
    }
    /// Takes the first if it is due.
    pub(crate) fn due(&mut self, now: Time) -> Option<T> {
        if self.first()? > now {
            return None;
        }
        self.tasks.pop_first().map(|(_, task)| task)
    }
}

/// A look at what timed streams have to say: the time that has passed since the last one. A look may come late, and may
/// stand for several that were missed; what was due meanwhile is due now, once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    last: Time,
    now: Time,
}

impl Beat {
    /// A first look.
    pub(crate) const fn first(now: Time) -> Self {
        Self { last: now, now }
    }
    /// The look after this one.
    pub(crate) const fn next(self, now: Time) -> Self {
        Self { last: self.now, now }
    }
    /// Has a whole multiple of this length passed?
    pub(crate) fn passes(self, every: Span) -> bool {
        let count = |time: Time| time.nanos().div_euclid(every.nanos());
        count(self.last) < count(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_not_missed_by_a_look_that_comes_late() {
        let at = Time::from_millis;
        let every = Span::from_millis;
        let beat = Beat::first(at(870)).next(at(903));
        assert!(beat.passes(every(100)) && !beat.passes(every(250)) && !beat.passes(every(1_000)));
        let late = beat.next(at(2_105));
        assert!(late.passes(every(100)) && late.passes(every(250)) && late.passes(every(1_000)));
        assert!(!late.next(at(2_106)).passes(every(100)));
    }
}
