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
/// From this many events on that a session has not acknowledged it is warned, at nine tenths of what is kept.
pub const EVENTS_WARN: u64 = EVENTS_MAX as u64 / 10 * 9;
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
    /// The epoch its last login in this run of the gateway was given.
    pub seated_in: Option<u32>,
    /// It has named an epoch of a lost journal in this run, and ours was raised.
    pub has_raised: bool,
    /// Highest command number seen in this epoch.
    pub last_command: CommandNumber,
    answers: BTreeMap<(u32, CommandNumber), String>,
}

impl Session {
    /// The answer given to that command.
    pub fn answer(&self, epoch: u32, command: CommandNumber) -> Option<&str> {
        self.answers.get(&(epoch, command)).map(String::as_str)
    }

    /// Has nobody ever been here?
    pub fn is_blank(&self) -> bool {
        let told = self.log.last() > 0 || !self.answers.is_empty();
        self.owner.is_none() && self.name.is_empty() && !told
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
    lost: bool,
    /// The last event that an earlier run made.
    folded: u64,
}

/// How a login goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Resumption {
    /// With these events, all that it missed.
    Events(Vec<Bytes>),
    /// Some of what it missed is not kept any more: with a snapshot, and then the kept ones above this number.
    Snapshot(u64),
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
        self.folded = sequence;
    }

    /// The last event the session can have been told by an earlier run.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// The event is committed. Returns its frame.
    pub fn publish(&mut self, sequence: u64) -> Option<Bytes> {
        self.published = self.published.max(sequence);
        let front = self.kept.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(front)?).ok()?;
        self.kept.get(at).map(|k| k.frame.clone())
    }

    /// Events made that the session has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.last - self.acked
    }

    /// The session has handled everything up to there.
    pub fn ack(&mut self, sequence: u64) -> bool {
        let forward = sequence > self.acked && sequence <= self.published;
        if forward {
            self.fold_ack(sequence);
        }
        forward
    }

    /// Takes in an acknowledgement from the journal.
    pub fn fold_ack(&mut self, sequence: u64) {
        self.acked = self.acked.max(sequence);
        self.lost = false;
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
        if sequence < self.gone() {
            return None;
        }
        Some(self.kept_after(sequence))
    }

    /// Frames of the committed events after `sequence` that are kept.
    pub fn kept_after(&self, sequence: u64) -> Vec<Bytes> {
        let wanted = |k: &&Kept| k.sequence > sequence && k.sequence <= self.published;
        self.kept.iter().filter(wanted).map(|k| k.frame.clone()).collect()
    }

    /// Does an event that is kept, committed or not, have this in it?
    pub fn tells_of(&self, word: &str) -> bool {
        let has = |k: &Kept| std::str::from_utf8(&k.frame).is_ok_and(|frame| frame.contains(word));
        // Who asks waits for a word of late.
        self.kept.iter().rev().any(has)
    }

    /// Number of the last event that is not kept any more.
    fn gone(&self) -> u64 {
        self.kept.front().map_or(self.last, |k| k.sequence - 1)
    }

    /// A new generation began: numbering starts anew. What was not acknowledged is lost with the old one.
    pub fn restart(&mut self) {
        let lost = self.lost || self.last > self.acked;
        *self = Self { lost, ..Self::default() };
    }

    /// Did the session lose events with an old generation that it never acknowledged? True until it acknowledges one of
    /// the new: what tells it may never arrive.
    pub fn has_lost(&self) -> bool {
        self.lost
    }

    /// Where a login goes on: after its cursor, else after the last acknowledged event. Where some of that is missing,
    /// with the oldest that is kept: what was never acknowledged is not passed over.
    pub fn resume_from(&self, generation: u64, cursor: Option<Ack>) -> Resumption {
        let from = match cursor {
            Some(cursor) if cursor.generation == generation => Some(cursor.sequence),
            None if self.last > 0 && !self.lost => Some(self.acked),
            _ => None,
        };
        if let Some(frames) = from.and_then(|sequence| self.after(sequence)) {
            return Resumption::Events(frames);
        }
        Resumption::Snapshot(match cursor {
            Some(cursor) if cursor.generation == generation && cursor.sequence > self.published => self.last,
            Some(cursor) if cursor.generation <= generation => self.gone(),
            _ => self.gone().max(self.acked),
        })
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
            Resumption::Snapshot(above) => format!("snapshot {above}: {}", words(log.kept_after(above))),
            Resumption::Events(frames) => words(frames),
        }
    }

    fn words(frames: Vec<Bytes>) -> String {
        frames.iter().map(|f| String::from_utf8(f.to_vec()).unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn r56_a_cursor_gets_what_it_missed_and_no_more() {
        let mut log = log(5, 4);
        assert_eq!(resumed(&log, Some((1, 2))), "3 4", "5 is not committed yet");
        assert_eq!(resumed(&log, Some((1, 4))), "");
        let ahead = "ahead of what is committed: the tail was lost";
        assert_eq!(resumed(&log, Some((1, 5))), "snapshot 5: ", "{ahead}");
        assert_eq!(resumed(&log, Some((0, 3))), "snapshot 0: 1 2 3 4", "another generation");
        assert_eq!(resumed(&log, None), "1 2 3 4");
        assert!(log.ack(3));
        assert!(!log.ack(2), "an acknowledgement never goes back");
        assert!(!log.ack(5), "nor beyond what was published");
        assert_eq!(resumed(&log, None), "4");
        log.prune(Time::from_millis(1000), Span::from_millis(10));
        assert_eq!(resumed(&log, Some((1, 2))), "snapshot 3: 4", "2 < what is kept");
        assert_eq!(resumed(&log, Some((1, 3))), "4");
        assert_eq!(resumed(&log, Some((2, 9))), "snapshot 3: 4", "of a gateway that is lost");
        assert_eq!(resumed(&EventLog::default(), None), "snapshot 0: ", "a new session");
    }

    #[test]
    fn c6_what_is_kept_is_told_again_from_the_last_one_acknowledged_or_to_another_generation_all() {
        let mut log = log(5, 4);
        assert!(log.ack(3));
        assert!(!log.ack(3), "no news");
        assert_eq!((log.last(), log.published(), log.acked(), log.unacknowledged()), (5, 4, 3, 2));
        assert_eq!(
            resumed(&log, Some((0, 3))),
            "snapshot 0: 1 2 3 4",
            "of before: nothing counts as handled"
        );
        assert_eq!(resumed(&log, Some((2, 9))), "snapshot 3: 4", "of a gateway that is lost");
        log.prune(Time::from_millis(12), Span::from_millis(10));
        assert_eq!(words(log.kept_after(0)), "2 3 4", "2 is as old as may be, 1 is older");
    }

    #[test]
    fn events_missing_in_the_journal_were_acknowledged_long_ago() {
        let mut log = log(2, 2);
        log.fold_event(3, Time::default(), Bytes::from("3"));
        assert_eq!(words(log.kept_after(0)), "1 2 3");
        log.fold_event(9, Time::default(), Bytes::from("9"));
        assert_eq!((log.last(), log.published()), (9, 9));
        assert_eq!(words(log.kept_after(0)), "9");
    }

    #[test]
    fn so_many_answers_are_kept_and_the_oldest_go_first() {
        let mut session = Session::default();
        for command in 1..=ANSWERS_MAX as u64 {
            session.keep_answer(7, command, command.to_string());
        }
        assert_eq!(session.answer(7, 1), Some("1"));
        session.keep_answer(7, ANSWERS_MAX as u64 + 1, "new".to_owned());
        assert_eq!((session.answer(7, 1), session.answer(7, 2)), (None, Some("2")));
        assert_eq!(session.answer(6, 2), None, "of another run");
    }

    #[test]
    fn c6_what_was_never_acknowledged_is_not_passed_over_however_old_the_cursor() {
        let mut log = log(12, 12);
        log.ack(11);
        log.prune(Time::from_millis(10_000_000), Span::ZERO);
        assert_eq!(resumed(&log, Some((1, 10))), "snapshot 11: 12", "11 was acknowledged, 12 was not");
        assert_eq!(resumed(&log, None), "12");
    }

    #[test]
    fn c6_a_new_numbering_says_that_unacknowledged_events_are_lost() {
        for (acked, lost) in [(2, true), (3, false)] {
            let mut log = log(3, 3);
            log.ack(acked);
            log.restart();
            log.fold_event(1, Time::default(), Bytes::from("new"));
            let word = if lost { "snapshot 0: new" } else { "new" };
            assert_eq!(resumed(&log, None), word, "{acked} of 3 acknowledged");
            assert_eq!((log.has_lost(), log.has_lost()), (lost, lost), "told until it is acknowledged");
            assert!(log.ack(1));
            assert_eq!((log.has_lost(), resumed(&log, None)), (false, String::new()));
        }
    }

    #[test]
    fn beyond_the_bound_the_oldest_go_even_if_never_acknowledged() {
        let most = EVENTS_MAX as u64;
        let log = log(most + 2, most + 2);
        assert!(resumed(&log, None).starts_with("snapshot 2: 3 4 "));
    }

    #[test]
    fn unacknowledged_events_stay_however_old() {
        let mut log = log(3, 3);
        log.prune(Time::from_millis(10_000_000), Span::ZERO);
        assert_eq!(resumed(&log, Some((1, 0))), "1 2 3");
    }
}
