//! Records that only serve to resume sessions lose their text once they are acknowledged and old.
//!
//! The row stays, with its number, kind and sum: the sum of a record without text cannot be reckoned any more, but
//! the next record's sum covers it, so the chain holds from end to end. Only [`KINDS`] may be without text, never
//! the last record, and of a session's events never one that it has not acknowledged: what breaks that is damage.
//!
//! What the future needs is left: of each session the newest event and the newest acknowledgement, so that numbers
//! go on where they were.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use tradingsys::ids::SessionId;
use tradingsys::journal::{Record, event_time};
use tradingsys::time::Time;

use super::journal::{FILE, Journal};
use super::{StoreError, snapshot};

/// Kinds of records that may be without text.
pub const KINDS: [&str; 3] = ["event", "answer", "ack"];

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Records that lost their text now.
    pub emptied: u64,
    /// Records that have none, with those.
    pub without_text: u64,
    /// Records in all.
    pub records: u64,
    /// Bytes of the files before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

/// Takes the text of what is acknowledged and was told before that time, in one transaction, and gives the room back.
///
/// # Errors
/// [`StoreError`]: foreign, newer, damaged, in use, or the disk refuses. The journal is whole then, before or after.
pub fn compact(folder: &Path, told_before: Time) -> Result<Done, StoreError> {
    let path = folder.join(FILE);
    let (journal, found) = Journal::open(folder)?;
    let (records, id) = (journal.last_seq(), journal.id().to_owned());
    drop(journal);
    // It would remember what is to be forgotten.
    snapshot::remove(folder, &id)?;
    let wrong = StoreError::sqlite(&path);
    let before = size(folder);
    let mut connection = Connection::open(&path).map_err(&wrong)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(&wrong)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&wrong)?;
    let gone = choose(&transaction, told_before).map_err(&wrong)?;
    {
        let mut update = transaction.prepare("UPDATE record SET body = '' WHERE seq = ?1").map_err(&wrong)?;
        for seq in &gone {
            update.execute([*seq as i64]).map_err(&wrong)?;
        }
    }
    transaction.commit().map_err(&wrong)?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM").map_err(&wrong)?;
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map_err(&wrong)?;
    drop(connection);
    let emptied = gone.len() as u64;
    Ok(Done { emptied, without_text: found.emptied + emptied, records, before, after: size(folder) })
}

/// Bytes of the journal and the log beside it.
fn size(folder: &Path) -> u64 {
    let length = |name: String| std::fs::metadata(folder.join(name)).map_or(0, |found| found.len());
    length(FILE.to_owned()) + length(format!("{FILE}-wal"))
}

/// What decides which texts may go.
#[derive(Default)]
struct Plan {
    /// Number of the last record known to be old, and whether one was met that is not.
    old: u64,
    young: bool,
    last: u64,
    generation: u64,
    /// By session and generation.
    acked: BTreeMap<(SessionId, u64), u64>,
    newest_ack: BTreeMap<(SessionId, u64), u64>,
    newest_event: BTreeMap<(SessionId, u64), u64>,
    events: Vec<(u64, (SessionId, u64), u64)>,
    /// Answers and acknowledgements.
    others: Vec<u64>,
}

impl Plan {
    fn take(&mut self, seq: u64, record: &Record, told_before: Time) {
        let time = match record {
            Record::Start(start) => Some(start.time),
            Record::End { time } => Some(*time),
            Record::Event { frame, .. } => event_time(frame),
            Record::Answer { time, .. } | Record::Ack { time, .. } => *time,
            _ => None,
        };
        match time {
            Some(time) if time >= told_before => self.young = true,
            Some(_) if !self.young => self.old = seq,
            _ => {}
        }
        match record {
            Record::Generation { generation, .. } => self.generation = *generation,
            Record::Event { session, generation, sequence, .. } => {
                let key = (*session, *generation);
                self.newest_event.insert(key, seq);
                self.events.push((seq, key, *sequence));
            }
            Record::Answer { .. } => self.others.push(seq),
            Record::Ack { session, generation, sequence, .. } => {
                let key = (*session, *generation);
                let acked = self.acked.entry(key).or_default();
                *acked = (*sequence).max(*acked);
                self.newest_ack.insert(key, seq);
                self.others.push(seq);
            }
            _ => {}
        }
    }

    fn gone(self) -> BTreeSet<u64> {
        let acked = |key, sequence: u64| self.acked.get(key).is_some_and(|acked| sequence <= *acked);
        let events = self.events.iter().filter(|(_, key, sequence)| acked(key, *sequence));
        let mut gone: BTreeSet<u64> =
            events.map(|(seq, ..)| *seq).chain(self.others.iter().copied()).collect();
        let going_on = self.newest_event.iter().filter(|((_, generation), _)| *generation == self.generation);
        for seq in going_on.map(|(_, seq)| seq).chain(self.newest_ack.values()).chain([&self.last]) {
            gone.remove(seq);
        }
        gone.split_off(&(self.old + 1));
        gone
    }
}

fn choose(connection: &Connection, told_before: Time) -> rusqlite::Result<BTreeSet<u64>> {
    let mut plan = Plan::default();
    let mut select = connection.prepare(
        "SELECT seq, body FROM record WHERE body <> '' \
         AND kind IN ('start', 'end', 'generation', 'event', 'answer', 'ack') ORDER BY seq",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        let record = serde_json::from_str(&body).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
        })?;
        plan.take(row.get::<_, i64>(0)? as u64, &record, told_before);
    }
    plan.last = connection
        .query_row("SELECT coalesce(max(seq), 0) FROM record", [], |row| row.get::<_, i64>(0))?
        as u64;
    Ok(plan.gone())
}

/// How the events of each session stand in a journal of which texts are gone.
#[derive(Debug, Default)]
pub(super) struct Whole {
    logs: BTreeMap<SessionId, Log>,
}

#[derive(Debug, Default)]
struct Log {
    last: u64,
    acked: u64,
    /// Last event whose text is gone, and the record that shows it.
    gone: Option<(u64, u64)>,
}

impl Whole {
    /// The next record; why it cannot be that, if it cannot.
    pub(super) fn take(&mut self, seq: u64, record: &Record) -> Result<(), String> {
        match record {
            Record::Generation { .. } => self.logs.clear(),
            Record::Event { session, sequence, .. } => {
                let log = self.logs.entry(*session).or_default();
                if *sequence <= log.last {
                    let last = log.last;
                    return Err(format!("event {sequence} of session {session} comes after event {last}"));
                }
                if *sequence > log.last + 1 {
                    log.gone = Some((*sequence - 1, seq));
                }
                log.last = *sequence;
            }
            Record::Ack { session, sequence, .. } => {
                let log = self.logs.entry(*session).or_default();
                log.acked = log.acked.max(*sequence);
            }
            _ => {}
        }
        Ok(())
    }

    /// The first record at which an event is missing that nobody has acknowledged, and why that is wrong.
    pub(super) fn check(&self) -> Result<(), (u64, String)> {
        for (session, log) in &self.logs {
            if let Some((event, seq)) = log.gone.filter(|(event, _)| *event > log.acked) {
                let reason = format!(
                    "event {event} of session {session}, before it, is missing and was not acknowledged"
                );
                return Err((seq, reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tradingsys::gateway::io::Batch;
    use tradingsys::time::Span;

    use super::*;
    use crate::files::scratch::Scratch;

    const DAY: Span = Span::from_secs(86_400);

    fn day(n: i64) -> Time {
        Time::from_millis(0) + DAY * n
    }
    fn event(session: u16, sequence: u64, at: Time) -> Record {
        let frame = format!(
            r#"{{"gen":7,"seq":{sequence},"time":{},"event":"notice","code":"c","message":"m"}}"#,
            at.nanos()
        );
        Record::Event { session: SessionId(session), generation: 7, sequence, frame }
    }
    fn ack(session: u16, sequence: u64) -> Record {
        Record::Ack { session: SessionId(session), generation: 7, sequence, time: None }
    }
    fn answer(command: u64) -> Record {
        Record::Answer { session: SessionId(1), epoch: 1, command, reply: "{}".into(), time: None }
    }
    #[test]
    fn r59_an_event_that_does_not_rise_is_damage() {
        let dir = Scratch::new("events-rise");
        let generation = Record::Generation { generation: 7, reason: "lost".into() };
        written(&dir, vec![event(1, 1, day(1)), event(2, 1, day(1)), generation, event(1, 1, day(2))]);
        assert!(Journal::open(&dir.0).is_ok(), "each session's own, and anew with a generation");
        written(&dir, vec![event(1, 1, day(2))]);
        let error = Journal::open(&dir.0).unwrap_err().to_string();
        assert!(error.contains("event 1 of session 1 comes after event 1"), "{error}");
    }
    fn written(dir: &Scratch, records: Vec<Record>) {
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        journal.append(&[Batch { id: 1, records, sync: true }], true).unwrap();
    }
    /// Numbers of the records without text.
    fn emptied(dir: &Scratch) -> Vec<i64> {
        let connection = Connection::open(dir.path(FILE)).unwrap();
        let mut select = connection.prepare("SELECT seq FROM record WHERE body = '' ORDER BY seq").unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
    fn history() -> Vec<Record> {
        vec![
            Record::Generation { generation: 7, reason: "first start".into() }, // 1
            event(1, 1, day(1)),
            event(1, 2, day(1)),
            event(2, 1, day(1)), // 4, never acknowledged
            answer(1),
            ack(1, 1),
            ack(1, 2), // 7
            event(1, 3, day(2)),
            answer(2),
            event(1, 4, day(9)), // 10
            answer(3),
            ack(1, 4),
        ]
    }

    #[test]
    fn what_is_acknowledged_and_old_loses_its_text_and_the_chain_holds() {
        let dir = Scratch::new("compact");
        written(&dir, history());
        let whole = Journal::open(&dir.0).unwrap().1.records;
        let done = compact(&dir.0, day(8)).unwrap();
        assert_eq!(emptied(&dir), [2, 3, 5, 6, 7, 8], "9 may be as young as 10");
        assert_eq!((done.emptied, done.without_text, done.records), (6, 6, 12));
        let (journal, found) = Journal::open(&dir.0).unwrap();
        assert_eq!((journal.last_seq(), found.emptied), (12, 6));
        let left: Vec<Record> = [1, 4, 9, 10, 11, 12].into_iter().map(|seq| whole[seq - 1].clone()).collect();
        assert_eq!(found.records, left);
        drop(journal);
        assert_eq!(compact(&dir.0, day(8)).unwrap().emptied, 0);
        let done = compact(&dir.0, day(99)).unwrap();
        assert_eq!(
            (done.emptied, done.without_text),
            (1, 7),
            "the newest event, ack and the last record stay"
        );
        assert_eq!(emptied(&dir), [2, 3, 5, 6, 7, 8, 9]);
        written(&dir, vec![event(1, 5, day(10))]);
        let done = compact(&dir.0, day(99)).unwrap();
        assert_eq!(done.emptied, 2, "answer 3 and event 4, now that something old follows them");
    }

    #[test]
    fn an_answer_is_as_old_as_it_says() {
        let dir = Scratch::new("compact-answers");
        let answered = |command, at| match answer(command) {
            Record::Answer { session, epoch, command, reply, .. } => {
                Record::Answer { session, epoch, command, reply, time: Some(at) }
            }
            other => other,
        };
        written(&dir, vec![answered(1, day(1)), answered(2, day(7)), answered(3, day(9)), answer(4)]);
        compact(&dir.0, day(8)).unwrap();
        assert_eq!(emptied(&dir), [1, 2]);
    }

    #[test]
    fn r59_a_text_that_is_missing_where_none_may_be_is_damage() {
        for (sql, record, words) in [
            ("UPDATE record SET body = '' WHERE seq = 1", 1, "checksum"),
            ("UPDATE record SET body = '' WHERE seq >= 11", 12, "no later record covers"),
            ("DELETE FROM record WHERE seq = 12", 10, "event 3 of session 1, before it, is missing"),
            ("UPDATE record SET sum = 'x' WHERE seq = 8", 9, "checksum"),
            ("UPDATE record SET body = '{}' WHERE seq = 5", 5, "checksum"),
        ] {
            let dir = Scratch::new("compact-damage");
            written(&dir, history());
            compact(&dir.0, day(8)).unwrap();
            Connection::open(dir.path(FILE)).unwrap().execute_batch(sql).unwrap();
            let error = Journal::open(&dir.0).unwrap_err();
            assert!(
                matches!(&error, StoreError::Damaged { record: at, .. } if *at == record),
                "{sql}: {error}"
            );
            assert!(error.to_string().contains(words), "{sql}: {error}");
        }
        let dir = Scratch::new("compact-unacked");
        written(&dir, vec![event(2, 1, day(1)), event(2, 2, day(1)), ack(2, 1), event(2, 3, day(1))]);
        let sql = "UPDATE record SET body = '' WHERE seq = 2";
        Connection::open(dir.path(FILE)).unwrap().execute_batch(sql).unwrap();
        let error = Journal::open(&dir.0).unwrap_err().to_string();
        assert!(
            error.contains("record 4: event 2 of session 2") && error.contains("not acknowledged"),
            "{error}"
        );
    }

    #[test]
    fn old_generations_go_as_far_as_they_were_acknowledged() {
        let dir = Scratch::new("compact-generations");
        let mut records = history();
        records.push(Record::Generation { generation: 8, reason: "another".into() });
        records.push(Record::End { time: day(10) });
        written(&dir, records);
        compact(&dir.0, day(99)).unwrap();
        assert_eq!(emptied(&dir), [2, 3, 5, 6, 7, 8, 9, 10, 11]);
        Journal::open(&dir.0).unwrap();
    }
}
