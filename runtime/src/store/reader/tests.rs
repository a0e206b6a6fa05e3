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
    let journal = journal_id(dir);
    let work = Work {
        folder: dir.0.clone(),
        path: dir.path(journal::FILE),
        journal,
        plan,
        clock: Clock::new(),
        checked: plan.taken.0 == 0,
        next: plan.taken.0 + plan.every,
        due: None,
        pause: LOOK_EVERY,
        ending,
    };
    (work, alive)
}

fn now() -> Time {
    Clock::new().now()
}

/// Files in the folder that were put aside for that reason.
fn put_aside(dir: &Scratch, why: &str) -> Vec<PathBuf> {
    let names = std::fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_string_lossy().contains(&format!("{}.{why}-", snapshot::FILE))).collect()
}

fn unfinished(dir: &Scratch) -> bool {
    dir.path("journal.snapshot.new").exists()
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
    Journal::open_from_snapshot(&dir.0, KEEP, now()).unwrap().1
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
    let left = kept::of(&all[..100], now(), KEEP);
    assert!(left.len() < 20, "{left:?}");
    let (journal, found) = Journal::open_from_snapshot(&dir.0, KEEP, now()).unwrap();
    assert_eq!((journal.last_seq(), found.taken), (107, (100, left.len() as u64)));
    assert_eq!(found.records, [&left[..], &all[100..]].concat());
    drop(journal);
    let looked = Journal::look_from_snapshot(&dir.0, KEEP, now()).unwrap().1;
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
    let mut next = 50;
    for (more, row) in [(0, 0), (1, 50), (49, 50), (1, 100), (60, 160)] {
        append(&dir, records(next, more));
        next += more;
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

/// Lines are exchanged, and the checksum is made to fit them.
#[test]
fn a_snapshot_with_events_out_of_order_is_passed_over() {
    let dir = taken("snapshot-order");
    append(&dir, vec![event(10), event(11)]);
    let (mut work, _alive) = work(&dir, Plan { every: 1, keep: KEEP, taken: (100, 10) });
    assert!(work.look().is_ok());
    let text = std::fs::read_to_string(dir.path(snapshot::FILE)).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.pop();
    let events: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains("\"event\"")).collect();
    let [.., first, second] = events[..] else { panic!("{text}") };
    lines.swap(first, second);
    let body = lines.join("\n") + "\n";
    std::fs::write(dir.path(snapshot::FILE), format!("{body}{}\n", chain::genesis(&body))).unwrap();
    passed_over(&dir, "event 10 of session 1 comes after event 11");
}

#[test]
fn a_snapshot_that_does_not_fit_the_journal_is_passed_over() {
    let dir = taken("snapshot-fits");
    let text = std::fs::read_to_string(dir.path(snapshot::FILE)).unwrap();
    let later = text.replacen("\"format\":1", "\"format\":2", 1);
    std::fs::write(dir.path(snapshot::FILE), later).unwrap();
    passed_over(&dir, "of format 2, this program knows 1");
    std::fs::write(dir.path(snapshot::FILE), &text).unwrap();
    let longer = Journal::open_from_snapshot(&dir.0, KEEP + KEEP, now()).unwrap().1;
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
        ("INSERT INTO record VALUES(-1, 'end', '{}', '')", 1, "it is missing, number -1 follows"),
    ] {
        let dir = taken("snapshot-damage");
        let good = std::fs::read(dir.path(snapshot::FILE)).unwrap();
        sql(&dir, text);
        assert_eq!(started(&dir).taken.0, 100, "{text}: not looked at");
        let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (100, 10) });
        let found = damage(work.look());
        assert!(found.contains(words), "{text}: {found}");
        // Runs until it has found it.
        work.run();
        assert!(!dir.path(snapshot::FILE).exists(), "{text}: the next start shall read all");
        let kept = put_aside(&dir, "damaged");
        assert_eq!(kept.len(), 1, "it may have the only sound copy");
        assert_eq!(std::fs::read(&kept[0]).unwrap(), good);
        let error = Journal::open_from_snapshot(&dir.0, KEEP, now()).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { record: at, .. } if *at == record), "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

/// The damage a look found, in words.
fn damage(outcome: Result<(), Failed>) -> String {
    match outcome {
        Err(Failed::Damaged(error)) => error.to_string(),
        Err(Failed::For(reason)) => panic!("no damage: {reason}"),
        Err(Failed::Ending) => panic!("ending"),
        Ok(()) => panic!("nothing found"),
    }
}

/// Only the end of a walk tells that: each row by itself may be without text.
#[test]
fn r59_an_unacknowledged_event_without_text_is_found_by_the_reader() {
    for every in [50, 1_000] {
        let dir = Scratch::new("snapshot-emptied");
        append(&dir, records(1, 100));
        append(&dir, vec![event(10), event(11), cursor(1), cursor(2)]);
        let (mut first, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
        assert!(first.look().is_ok());
        sql(&dir, "UPDATE record SET body = '' WHERE seq = 101");
        assert_eq!(started(&dir).taken.0, 104, "not looked at");
        let (mut work, _alive) = work(&dir, Plan { every, keep: KEEP, taken: (50, 10) });
        let found = damage(work.look());
        assert!(found.contains("event 10 of session 1") && found.contains("not acknowledged"), "{found}");
        assert!(!work.checked, "every {every}: it is not said that all is well");
    }
}

/// Between its first reading and its second a row may have changed.
#[test]
fn r59_what_is_written_to_a_snapshot_is_held_against_the_chain_once_more() {
    for (text, words) in [
        ("UPDATE record SET body = replace(body, 's13', 's14') WHERE seq = 13", "checksum"),
        ("UPDATE record SET sum = substr(sum, 2) || substr(sum, 1, 1) WHERE seq = 12", "checksum"),
        ("UPDATE record SET kind = 'fill' WHERE seq = 13", "its kind does not match"),
        ("UPDATE record SET body = '' WHERE seq = 13", "checksum"),
        ("DELETE FROM record WHERE seq = 13", "it is missing"),
    ] {
        let dir = Scratch::new("snapshot-twice");
        append(&dir, records(1, 100));
        let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
        let connection = work.connect().ok().unwrap();
        let mut snapshot = Snapshot::new(now(), KEEP);
        let walk = work.read(&connection, 100, |seq, record| snapshot.take(&record, seq)).ok().unwrap();
        sql(&dir, text);
        let (at, _) = walk.end().unwrap();
        let found = damage(work.write(&connection, at, now(), &snapshot.finish()));
        assert!(found.contains("record 13") && found.contains(words), "{text}: {found}");
        assert!(!dir.path(snapshot::FILE).exists() && !unfinished(&dir));
    }
}

/// An emptied row has a sum, and that is what the next one follows.
#[test]
fn a_row_behind_one_without_text_is_written() {
    let dir = taken("snapshot-behind-emptied");
    compact(&dir.0, now()).unwrap();
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    assert!(work.look().is_ok());
    assert_eq!(started(&dir).taken.0, 100);
}

#[test]
fn a_snapshot_that_cannot_be_put_in_place_leaves_nothing_and_is_tried_after_as_many_rows() {
    let dir = Scratch::new("snapshot-full");
    append(&dir, records(1, 100));
    std::fs::create_dir(dir.path(snapshot::FILE)).unwrap();
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    let Err(Failed::For(reason)) = work.look() else { panic!("a folder is in its place") };
    assert!(!unfinished(&dir));
    work.put_off(&reason);
    assert_eq!(work.next, 150);
    assert!(work.look().is_ok(), "not due");
    std::fs::remove_dir(dir.path(snapshot::FILE)).unwrap();
    append(&dir, records(1_001, 50));
    assert!(work.look().is_ok());
    assert_eq!(started(&dir).taken.0, 150);
}

#[test]
fn what_cannot_be_read_is_read_ever_less_often_and_puts_no_snapshot_off() {
    let dir = Scratch::new("snapshot-unread");
    append(&dir, records(1, 100));
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    let away = dir.path("away");
    std::fs::rename(dir.path(journal::FILE), &away).unwrap();
    for _ in 0..10 {
        let Err(Failed::For(reason)) = work.look() else { panic!("it is away") };
        work.put_off(&reason);
    }
    assert_eq!((work.next, work.pause), (50, LOOK_LEAST));
    std::fs::rename(&away, dir.path(journal::FILE)).unwrap();
    assert!(work.look().is_ok());
    assert_eq!(started(&dir).taken.0, 100);
}

#[test]
fn a_snapshot_of_another_journal_is_put_aside_not_overwritten() {
    let (one, other) = (taken("snapshot-own"), taken("snapshot-others"));
    let text = std::fs::read(other.path(snapshot::FILE)).unwrap();
    let foreign = || std::fs::write(one.path(snapshot::FILE), &text).unwrap();
    foreign();
    let (mut work, _alive) = work(&one, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    assert!(work.look().is_ok());
    assert_eq!(started(&one).taken.0, 100);
    foreign();
    compact(&one.0, now()).unwrap();
    let kept = put_aside(&one, "other");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|path| std::fs::read(path).unwrap() == text));
}

#[test]
fn a_snapshot_of_a_clock_that_was_ahead_is_passed_over() {
    let dir = taken("snapshot-clock");
    let earlier = now() - Span::from_secs(60);
    let found = Journal::open_from_snapshot(&dir.0, KEEP, earlier).unwrap().1;
    assert!(found.passed_over.unwrap().contains("made later than now"));
    assert_eq!(found.taken, (0, 0));
}

fn journal_id(dir: &Scratch) -> String {
    Journal::open_from_snapshot(&dir.0, KEEP, now()).unwrap().0.id().to_owned()
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
    std::fs::write(dir.path("journal.snapshot.new"), "{\"kind\":\"event\"").unwrap();
    assert!(compact(&dir.0, now()).unwrap().emptied > 0);
    assert!(!dir.path(snapshot::FILE).exists() && !unfinished(&dir));
    let (mut work, _alive) = work(&dir, Plan { every: 50, keep: KEEP, taken: (0, 0) });
    assert!(work.look().is_ok());
    let found = started(&dir);
    assert_eq!((found.taken.0, found.passed_over), (100, None));
    assert_eq!(found.records, before);
}

#[test]
fn the_reader_ends_with_the_gateway_whatever_it_is_at() {
    let dir = Scratch::new("snapshot-end");
    append(&dir, (1..=20_000).map(|n| Record::Scanned { symbol: Symbol::new(&format!("s{n}")) }).collect());
    let plan = Plan { every: 50, keep: KEEP, taken: (0, 0) };
    let (walking, alive) = work(&dir, plan);
    let connection = walking.connect().ok().unwrap();
    let (mut alive, mut taken) = (Some(alive), 0);
    let outcome = walking.read(&connection, 20_000, |_, _| {
        alive = None;
        taken += 1;
    });
    assert!(matches!(outcome, Err(Failed::Ending)));
    assert_eq!(taken, PIECE, "in the middle of a walk");

    let (mut writing, alive) = work(&dir, plan);
    let walk = writing.read(&connection, 20_000, |_, _| {}).ok().unwrap();
    let (at, _) = walk.end().unwrap();
    drop(alive);
    let kept: Vec<_> = (1..=20_000).map(Kept::Taken).collect();
    assert!(matches!(writing.write(&connection, at, now(), &kept), Err(Failed::Ending)));
    assert!(!dir.path(snapshot::FILE).exists() && !unfinished(&dir));
}

#[test]
fn a_started_reader_clears_what_a_death_left_and_ends_when_it_is_dropped() {
    let dir = taken("snapshot-start");
    std::fs::write(dir.path("journal.snapshot.new"), "{\"format\":1").unwrap();
    let plan = Plan { every: 50, keep: KEEP, taken: (100, 10) };
    let reader = Reader::start(&dir.0, &journal_id(&dir), plan, Clock::new()).unwrap();
    assert!(!unfinished(&dir));
    let began = Instant::now();
    drop(reader);
    assert!(began.elapsed() < Duration::from_secs(60));
}
