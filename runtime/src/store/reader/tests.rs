use std::sync::mpsc::Sender;

use tradingsys::gateway::io::Batch;
use tradingsys::gateway::snapshot as kept;
use tradingsys::ids::{SessionId, Symbol};
use tradingsys::time::Time;

use super::*;
use crate::files::scratch::Scratch;
use crate::store::compact::compact;
use crate::store::journal::{Found, Journal};

const KEEP: Span = Span::from_secs(3600);

fn cursor(trade_id: u64) -> Record {
    Record::Cursor { symbol: Symbol::new("ünï'\"--"), trade_id, time: Time::from_millis(trade_id as i64) }
}

fn event(sequence: u64) -> Record {
    let frame = format!(
        r#"{{"gen":7,"seq":{sequence},"time":{sequence},"event":"notice","code":"c","message":"\n"}}"#
    );
    Record::Event { session: SessionId(1), generation: 7, sequence, frame }
}

/// So many records: of each ten the cursor is void by the next, and the event by its acknowledgement.
fn records(from: u64, count: u64) -> Vec<Record> {
    (from..from + count)
        .map(|n| match n % 10 {
            1 if n == 1 => Record::Generation { generation: 7, reason: "first start".into() },
            1 => event(n / 10),
            2 => Record::Ack { session: SessionId(1), generation: 7, sequence: n / 10, time: None },
            3 => Record::Scanned { symbol: Symbol::new(&format!("s{n}")) },
            _ => cursor(n),
        })
        .collect()
}

fn append(dir: &Scratch, records: Vec<Record>) {
    let (mut journal, _) = Journal::open(&dir.0).unwrap();
    journal.append(&[Batch { id: 1, records, sync: true }], true).unwrap();
}

fn work(dir: &Scratch, plan: Plan) -> (Work, Sender<()>) {
    let (alive, ending) = channel();
    let journal = Journal::open(&dir.0).unwrap().0.id().to_owned();
    let next = plan.taken.0 + plan.every;
    let path = dir.path(journal::FILE);
    let checked = plan.taken.0 == 0;
    (Work { folder: dir.0.clone(), path, journal, plan, checked, next, ending }, alive)
}

/// A journal of 100 records and the snapshot of it.
fn taken(name: &str) -> Scratch {
    let dir = Scratch::new(name);
    append(&dir, records(1, 100));
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    assert!(work.look().is_ok());
    dir
}

fn started(dir: &Scratch) -> Found {
    Journal::open_from_snapshot(&dir.0, KEEP).unwrap().1
}

/// It is not used, for that reason, and nothing is lost.
fn passed_over(dir: &Scratch, words: &str) {
    let found = started(dir);
    let reason = found.passed_over.unwrap_or_default();
    assert!(reason.contains(words), "{reason:?} does not say {words:?}");
    assert_eq!(found.taken, (0, 0));
    assert_eq!(found.records, Journal::open(&dir.0).unwrap().1.records);
}

fn sql(dir: &Scratch, text: &str) {
    Connection::open(dir.path(journal::FILE)).unwrap().execute_batch(text).unwrap();
}

#[test]
fn a_start_reads_the_snapshot_and_the_records_after_it() {
    let dir = taken("snapshot");
    append(&dir, records(101, 7));
    let all = Journal::open(&dir.0).unwrap().1.records;
    let left = kept::of(&all[..100], Clock::new().now(), KEEP);
    assert!(left.len() < 20, "{left:?}");
    let (journal, found) = Journal::open_from_snapshot(&dir.0, KEEP).unwrap();
    assert_eq!((journal.last_seq(), found.taken), (107, (100, left.len() as u64)));
    assert_eq!(found.records, [&left[..], &all[100..]].concat());
    drop(journal);
    let looked = Journal::look_from_snapshot(&dir.0, KEEP).unwrap().1;
    assert_eq!(looked.records, found.records);
    append(&dir, records(108, 1));
    assert_eq!(started(&dir).records.len(), found.records.len() + 1, "the chain goes on");
}

#[test]
fn a_snapshot_is_made_when_so_many_rows_have_come() {
    let dir = Scratch::new("snapshot-due");
    append(&dir, records(1, 49));
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    let of = |dir: &Scratch| started(dir).taken.0;
    for (more, row) in [(0, 0), (1, 50), (49, 50), (1, 100), (60, 160)] {
        append(&dir, records(1_001, more));
        assert!(work.look().is_ok());
        assert_eq!(of(&dir), row);
    }
    std::fs::remove_file(dir.path(snapshot::FILE)).unwrap();
    let (mut never, _alive) = self::work(&dir, Plan { every: 0, keep: KEEP, taken: (0, 0) });
    assert!(never.look().is_ok());
    assert_eq!(of(&dir), 0);
}

#[test]
fn r59_a_flipped_bit_anywhere_in_a_snapshot_is_found_and_costs_nothing() {
    let dir = taken("snapshot-bitflip");
    let good = std::fs::read(dir.path(snapshot::FILE)).unwrap();
    for at in (0..good.len()).step_by(7).chain([good.len() - 2, good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(dir.path(snapshot::FILE), bad).unwrap();
        passed_over(&dir, "");
        assert!(started(&dir).passed_over.is_some(), "byte {at}");
    }
    for length in [0, 10, good.len() / 2, good.len() - 1] {
        std::fs::write(dir.path(snapshot::FILE), &good[..length]).unwrap();
        passed_over(&dir, "it ends in its line");
    }
    std::fs::write(dir.path(snapshot::FILE), good).unwrap();
    assert_eq!(started(&dir).taken.0, 100);
}

#[test]
fn a_snapshot_that_does_not_fit_the_journal_is_passed_over() {
    let dir = taken("snapshot-fits");
    let text = std::fs::read_to_string(dir.path(snapshot::FILE)).unwrap();
    let later = text.replacen("\"format\":1", "\"format\":2", 1);
    std::fs::write(dir.path(snapshot::FILE), later).unwrap();
    passed_over(&dir, "of format 2, this program knows 1");
    std::fs::write(dir.path(snapshot::FILE), &text).unwrap();
    let longer = Journal::open_from_snapshot(&dir.0, KEEP + KEEP).unwrap().1;
    assert!(longer.passed_over.unwrap().contains("kept for longer"));

    let another = Scratch::new("snapshot-another");
    append(&another, records(1, 100));
    std::fs::write(another.path(snapshot::FILE), &text).unwrap();
    passed_over(&another, "of another journal");

    sql(&dir, "DELETE FROM record WHERE seq > 90");
    passed_over(&dir, "it is of record 100, which the journal does not have");
    append(&dir, records(1_001, 10));
    passed_over(&dir, "record 100 of the journal is not the one it is of");
}

/// What a start from a snapshot does not read is read while the gateway runs.
#[test]
fn r59_damage_behind_a_snapshot_is_found_while_the_gateway_runs_and_at_the_next_start() {
    for (text, record, words) in [
        ("UPDATE record SET body = replace(body, '16', '17') WHERE seq = 16", 16, "checksum"),
        ("DELETE FROM record WHERE seq = 16", 16, "it is missing, number 17 follows"),
        ("DELETE FROM record WHERE seq < 16", 1, "it is missing, number 16 follows"),
    ] {
        let dir = taken("snapshot-damage");
        sql(&dir, text);
        assert_eq!(started(&dir).taken.0, 100, "{text}: not looked at");
        let (alive, ending) = channel();
        let journal = journal_id(&dir);
        let plan = Plan { every: 50, keep: KEEP, taken: (100, 10) };
        let (folder, path) = (dir.0.clone(), dir.path(journal::FILE));
        // Runs until it has found it.
        Work { folder, path, journal, plan, checked: false, next: 150, ending }.run();
        drop(alive);
        assert!(!dir.path(snapshot::FILE).exists(), "{text}: the next start shall read all");
        let error = Journal::open_from_snapshot(&dir.0, KEEP).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { record: at, .. } if *at == record), "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

fn journal_id(dir: &Scratch) -> String {
    Journal::open_from_snapshot(&dir.0, KEEP).unwrap().0.id().to_owned()
}

#[test]
fn what_a_death_left_half_written_is_not_read_and_not_in_the_way() {
    let dir = taken("snapshot-half");
    std::fs::write(dir.path("journal.snapshot.new"), "{\"format\":1").unwrap();
    assert_eq!(started(&dir).taken.0, 100);
    append(&dir, records(101, 100));
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (100, 10) });
    assert!(work.look().is_ok());
    assert_eq!(started(&dir).taken.0, 200);
    assert!(!dir.path("journal.snapshot.new").exists());
    #[cfg(unix)]
    assert_eq!(crate::files::mode_open_to_others(&dir.path(snapshot::FILE)).unwrap(), None);
}

#[test]
fn a_compacted_journal_begins_without_a_snapshot_and_gets_a_new_one() {
    let dir = taken("snapshot-compact");
    let before = started(&dir).records;
    assert!(compact(&dir.0, Clock::new().now()).unwrap().emptied > 0);
    assert!(!dir.path(snapshot::FILE).exists());
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    assert!(work.look().is_ok());
    let found = started(&dir);
    assert_eq!((found.taken.0, found.passed_over), (100, None));
    assert_eq!(found.records, before);
}

#[test]
fn the_reader_ends_with_the_gateway_whatever_it_is_at() {
    let dir = Scratch::new("snapshot-end");
    append(&dir, records(1, 20_000));
    let journal = Journal::open(&dir.0).unwrap().0.id().to_owned();
    let reader = Reader::start(&dir.0, &journal, Plan { every: 50, keep: KEEP, taken: (0, 0) }).unwrap();
    let began = Instant::now();
    drop(reader);
    assert!(began.elapsed() < LOOK_EVERY * 10);
}
