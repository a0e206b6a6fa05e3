//! Whether a book and the best prices, told by another stream of the same venue, are of one mind (reliability.md R30).
//!
//! Both streams number what they tell alike, but nothing orders one against the other. The venue tells of every change
//! of a best level, so what the book's best levels were at update X was told by the latest number up to X, and which is
//! the latest is known once a later one came. Only then is compared; a book that is merely ahead or behind is never
//! blamed. A best price told long ago that the book has still not reached shows that the book stands still.
//!
//! A stream that leaves out what was overtaken says nothing of the updates between two that it tells of. Its best
//! prices are compared with the book only where the book came to a rest at the very same update.

use std::collections::VecDeque;

use crate::market::Level;
use crate::time::{Span, Time};

/// Disagreements, one after the other, that are no accident of a connection.
const DISAGREEMENTS: u32 = 3;
/// Most own updates, and most best prices told, kept until they can be compared.
const KEPT: usize = 1_024;

/// The best bid and the best ask; `None` where a side is empty.
pub type Best = (Option<Level>, Option<Level>);

/// Best prices as the other stream told them at an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// They hold until the next that are told.
    Until(Best),
    /// They held then. Others may have come and gone before the next that are told.
    At(Best),
}

/// What the other stream told, and what has yet to be compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Cross {
    own: VecDeque<(u64, Best)>,
    told: VecDeque<(u64, Told)>,
    disagreements: u32,
    /// Since when a best price is known that is later than the book.
    behind: Option<Time>,
}

impl Cross {
    pub(super) const fn new() -> Self {
        Self { own: VecDeque::new(), told: VecDeque::new(), disagreements: 0, behind: None }
    }

    /// The book begins anew.
    pub(super) fn begin(&mut self) {
        self.own.clear();
        self.disagreements = 0;
        self.behind = None;
    }

    /// Best prices may be missing from here on.
    pub(super) fn forget(&mut self) {
        self.told.clear();
        self.disagreements = 0;
        self.behind = None;
    }

    /// The book has reached an update. Gives what is wrong with it, in words.
    pub(super) fn reached(
        &mut self,
        now: Time,
        update_id: u64,
        best: impl FnOnce() -> Best,
    ) -> Option<String> {
        // Nobody follows the best prices: nothing to keep.
        let last = self.told.back()?.0;
        keep(&mut self.own, (update_id, best()));
        self.behind = (last > update_id).then_some(now);
        self.compare()
    }

    /// Best prices were told.
    pub(super) fn told(
        &mut self,
        now: Time,
        (update_id, best): (u64, Told),
        book: Option<u64>,
    ) -> Option<String> {
        if self.told.back().is_some_and(|(last, _)| *last >= update_id) {
            return None;
        }
        keep(&mut self.told, (update_id, best));
        if book.is_some_and(|reached| reached < update_id) {
            self.behind.get_or_insert(now);
        }
        self.compare()
    }

    fn compare(&mut self) -> Option<String> {
        while let Some((at, own)) = self.own.front().copied() {
            if self.told.back().is_none_or(|(last, _)| *last <= at) {
                return None;
            }
            while self.told.get(1).is_some_and(|(next, _)| *next <= at) {
                self.told.pop_front();
            }
            self.own.pop_front();
            let told = match self.told.front() {
                Some((first, Told::Until(told))) if *first <= at => *told,
                Some((first, Told::At(told))) if *first == at => *told,
                _ => continue,
            };
            if told == own {
                self.disagreements = 0;
                continue;
            }
            self.disagreements += 1;
            if self.disagreements >= DISAGREEMENTS {
                let (held, wanted) = (words(&own), words(&told));
                return Some(format!(
                    "the book does not agree with the best prices: at update {at} it has {held}, told was {wanted}"
                ));
            }
        }
        None
    }

    /// When it will have stood still for too long.
    pub(super) fn deadline(&self, patience: Span) -> Option<Time> {
        self.behind.map(|since| since + patience)
    }

    /// The last update told of.
    pub(super) fn last(&self) -> Option<u64> {
        self.told.back().map(|(last, _)| *last)
    }
}

fn keep<T>(kept: &mut VecDeque<T>, what: T) {
    if kept.len() >= KEPT {
        kept.pop_front();
    }
    kept.push_back(what);
}

fn words((bid, ask): &Best) -> String {
    let side = |level: &Option<Level>| {
        level.map_or_else(|| "nothing".to_owned(), |level| format!("{} × {}", level.price, level.qty))
    };
    format!("{} / {}", side(bid), side(ask))
}
