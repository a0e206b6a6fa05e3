//! A strategy's seat: who owns it, what it has been told, what it has asked.
//!
//! ```text
//!   vacant ──login──▶ owned by one connection ──closed──▶ vacant
//!                          │ login with take_over: the old owner is fenced off
//!                          ▼
//!                     owned by the new connection
//! ```

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::{CommandNumber, ConnId};
use crate::time::{Span, Time};
use crate::wire::request::Ack;

/// Events kept of one session whatever its acknowledgements say.
pub const EVENTS_MAX: usize = 100_000;
/// Answers kept of one session.
pub const ANSWERS_MAX: usize = 10_000;

/// One session.
#[derive(Debug, Default)]
pub struct Session {
    /// The connection that owns it now.
    pub owner: Option<ConnId>,
    /// Name of its last owner.
    pub name: String,
    /// Its numbered events.
    pub log: EventLog,
    /// Highest command number seen in this epoch.
    pub last_command: CommandNumber,
    answers: BTreeMap<(u32, CommandNumber), String>,
}

impl Session {
    /// The answer given to that command.
    pub fn answer(&self, epoch: u32, command: CommandNumber) -> Option<&str> {
        self.answers.get(&(epoch, command)).map(String::as_str)
    }

    /// Keeps the answer given to a command; the oldest are forgotten beyond [`ANSWERS_MAX`].
    pub fn keep_answer(&mut self, epoch: u32, command: CommandNumber, reply: String) {
        self.answers.insert((epoch, command), reply);
        while self.answers.len() > ANSWERS_MAX {
            self.answers.pop_first();
        }
    }
}

/// The numbered events of a session: dense from 1 within a generation.
#[derive(Debug, Default)]
pub struct EventLog {
    kept: VecDeque<Kept>,
    last: u64,
    published: u64,
    acked: u64,
}

#[derive(Debug)]
struct Kept {
    sequence: u64,
    time: Time,
    frame: Bytes,
}

impl EventLog {
    /// Number of the last event made.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of the last event that is committed, and so may be seen.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Number of the last event the session has handled.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Adds the event `last + 1`.
    pub fn push(&mut self, time: Time, frame: Bytes) -> u64 {
        self.last += 1;
        self.kept.push_back(Kept { sequence: self.last, time, frame });
        if self.kept.len() > EVENTS_MAX {
            self.kept.pop_front();
        }
        self.last
    }

    /// Takes in an event from the journal. Those before it that are missing there were acknowledged long ago.
    pub fn fold_event(&mut self, sequence: u64, time: Time, frame: Bytes) {
        if sequence > self.last + 1 {
            self.kept.clear();
            self.last = sequence - 1;
        }
        self.push(time, frame);
        self.publish(sequence);
    }

    /// The event is committed. Returns its frame.
    pub fn publish(&mut self, sequence: u64) -> Option<Bytes> {
        self.published = self.published.max(sequence);
        let front = self.kept.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(front)?).ok()?;
        self.kept.get(at).map(|k| k.frame.clone())
    }

    /// The session has handled everything up to there.
    pub fn ack(&mut self, sequence: u64) -> bool {
        let forward = sequence > self.acked && sequence <= self.published;
        if forward {
            self.acked = sequence;
        }
        forward
    }

    /// Takes in an acknowledgement from the journal.
    pub fn fold_ack(&mut self, sequence: u64) {
        self.acked = self.acked.max(sequence);
    }

    /// Forgets acknowledged events older than `keep`.
    pub fn prune(&mut self, now: Time, keep: Span) {
        while self.kept.front().is_some_and(|k| k.sequence <= self.acked && now.since(k.time) > keep) {
            self.kept.pop_front();
        }
    }

    /// Frames of the committed events after `sequence`; `None` if the cursor is ahead of the log or older than what
    /// is kept.
    pub fn after(&self, sequence: u64) -> Option<Vec<Bytes>> {
        if sequence > self.published {
            return None;
        }
        let first = self.kept.front().map_or(self.last + 1, |k| k.sequence);
        if sequence + 1 < first {
            return None;
        }
        let wanted = |k: &&Kept| k.sequence > sequence && k.sequence <= self.published;
        Some(self.kept.iter().filter(wanted).map(|k| k.frame.clone()).collect())
    }

    /// A new generation began: numbering starts anew.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Where a login goes on: after its cursor, else after the last acknowledged event.
    pub fn resume_from(&self, generation: u64, cursor: Option<Ack>) -> Option<Vec<Bytes>> {
        match cursor {
            Some(cursor) if cursor.generation != generation => None,
            Some(cursor) => self.after(cursor.sequence),
            None if self.last == 0 => None,
            None => self.after(self.acked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(made: u64, committed: u64) -> EventLog {
        let mut log = EventLog::default();
        for n in 1..=made {
            log.push(Time::from_millis(n as i64), Bytes::from(n.to_string()));
        }
        for n in 1..=committed {
            log.publish(n);
        }
        log
    }

    fn resumed(log: &EventLog, cursor: Option<(u64, u64)>) -> String {
        let cursor = cursor.map(|(generation, sequence)| Ack { generation, sequence });
        match log.resume_from(1, cursor) {
            None => "snapshot".to_owned(),
            Some(frames) => {
                frames.iter().map(|f| String::from_utf8(f.to_vec()).unwrap()).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn r56_a_cursor_gets_what_it_missed_and_no_more() {
        let mut log = log(5, 4);
        assert_eq!(resumed(&log, Some((1, 2))), "3 4", "5 is not committed yet");
        assert_eq!(resumed(&log, Some((1, 4))), "");
        assert_eq!(resumed(&log, Some((1, 5))), "snapshot", "ahead of what is committed: the tail was lost");
        assert_eq!(resumed(&log, Some((2, 3))), "snapshot", "another generation");
        assert_eq!(resumed(&log, None), "1 2 3 4");
        assert!(log.ack(3));
        assert!(!log.ack(2), "an acknowledgement never goes back");
        assert!(!log.ack(5), "nor beyond what was published");
        assert_eq!(resumed(&log, None), "4");
        log.prune(Time::from_millis(1000), Span::from_millis(10));
        assert_eq!(resumed(&log, Some((1, 2))), "snapshot", "2 < what is kept");
        assert_eq!(resumed(&log, Some((1, 3))), "4");
        assert_eq!(resumed(&EventLog::default(), None), "snapshot", "a new session");
    }

    #[test]
    fn unacknowledged_events_stay_however_old() {
        let mut log = log(3, 3);
        log.prune(Time::from_millis(10_000_000), Span::ZERO);
        assert_eq!(resumed(&log, Some((1, 0))), "1 2 3");
    }
}
