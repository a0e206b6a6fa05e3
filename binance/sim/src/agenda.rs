//! What is to be done later, in order of time and then of entry.

use std::collections::BTreeMap;

use tradingsys::time::Time;

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
