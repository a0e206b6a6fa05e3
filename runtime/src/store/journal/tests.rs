use tradingsys::ids::{Asset, Symbol};
use tradingsys::time::Time;

use super::*;
use crate::files::scratch::Scratch;

fn batch(id: u64, records: Vec<Record>) -> Batch {
    Batch { id, records, sync: false }
}

fn end(seconds: i64) -> Record {
    Record::End { time: Time::from_millis(seconds * 1000) }
}

fn filled(folder: &Path, count: i64) {
    let (mut journal, _) = Journal::open(folder).unwrap();
    let records = (1..=count).map(end).collect();
    journal.append(&[batch(1, records)], true).unwrap();
}

fn damage(folder: &Path, sql: &str) -> StoreError {
    Connection::open(folder.join(FILE)).unwrap().execute_batch(sql).unwrap();
    Journal::open(folder).unwrap_err()
}

#[test]
fn what_was_appended_is_read_back_in_order() {
    let dir = Scratch::new("journal");
    let (mut journal, found) = Journal::open(&dir.0).unwrap();
    assert!(found.new && found.records.is_empty());
    let listing = Record::Listing {
        symbol: Symbol::new("ünï'\"--"),
        base: Asset::new("A"),
        quote: Asset::new("B"),
        holding: None,
        lot: None,
        unread: true,
    };
    journal.append(&[batch(1, vec![end(1), listing.clone()]), batch(2, vec![end(2)])], false).unwrap();
    journal.append(&[batch(3, vec![end(3)])], true).unwrap();
    let id = journal.id().to_owned();
    drop(journal);
    let (journal, found) = Journal::open(&dir.0).unwrap();
    assert!(!found.new);
    assert_eq!(found.records, [end(1), listing, end(2), end(3)]);
    assert_eq!((journal.id(), journal.last_seq()), (id.as_str(), 4));
}

#[cfg(unix)]
#[test]
fn the_journal_and_the_files_beside_it_are_private() {
    let dir = Scratch::new("journal-mode");
    let (mut journal, _) = Journal::open(&dir.0).unwrap();
    journal.append(&[batch(1, vec![end(1)])], false).unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert_eq!(crate::files::mode_open_to_others(&dir.path(name)).unwrap(), None, "{name}");
    }
}

#[test]
fn r59_a_changed_dropped_or_exchanged_record_is_refused_by_number() {
    for (sql, record, words) in [
        ("UPDATE record SET body = replace(body, '2000000000', '2000000001') WHERE seq = 2", 2, "checksum"),
        ("DELETE FROM record WHERE seq = 2", 2, "it is missing, number 3 follows"),
        ("DELETE FROM record WHERE seq = 1", 1, "it is missing, number 2 follows"),
        ("UPDATE record SET kind = 'fill' WHERE seq = 3", 3, "kind"),
        (
            "UPDATE record SET body = (SELECT body FROM record WHERE seq = 3) WHERE seq = 2;
             UPDATE record SET seq = -1 WHERE seq = 3",
            1,
            "number -1 follows",
        ),
    ] {
        let dir = Scratch::new("damaged");
        filled(&dir.0, 4);
        let error = damage(&dir.0, sql);
        assert!(matches!(&error, StoreError::Damaged { record: at, .. } if *at == record), "{sql}: {error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("Restore it from a backup"), "{sql}: {text}");
    }
}

#[test]
fn r59_a_flipped_bit_anywhere_in_the_file_is_refused_or_harmless() {
    let dir = Scratch::new("bitflip");
    filled(&dir.0, 40);
    let path = dir.path(FILE);
    Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let good = std::fs::read(&path).unwrap();
    let expected = Journal::open(&dir.0).unwrap().1.records;
    let mut refused = 0;
    for at in (0..good.len()).step_by(97) {
        for name in ["journal.db-wal", "journal.db-shm"] {
            let _ = std::fs::remove_file(dir.path(name));
        }
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bad).unwrap();
        match Journal::open(&dir.0) {
            Err(_) => refused += 1,
            Ok((_, found)) => assert_eq!(found.records, expected, "byte {at} changed what is read"),
        }
    }
    assert!(refused > 50, "only {refused} flips were found");
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let dir = Scratch::new("foreign");
    Connection::open(dir.path(FILE)).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    let error = Journal::open(&dir.0).unwrap_err().to_string();
    assert!(error.contains("is not a journal of tradingsys"), "{error}");
    std::fs::write(dir.path(FILE), "some text that is no database at all, longer than a header").unwrap();
    let error = Journal::open(&dir.0).unwrap_err().to_string();
    assert!(error.contains("not a database"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = Scratch::new("newer");
    filled(&dir.0, 1);
    let error = damage(&dir.0, "PRAGMA user_version = 9");
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error}");
}

/// The text of a journal as schema 1 wrote it: never change it. A later schema must read what is in it.
const SCHEMA_1: &str = include_str!("fixtures/schema1.sql");

#[test]
fn a_journal_of_schema_1_is_read() {
    let dir = Scratch::new("schema1");
    let connection = Connection::open(dir.path(FILE)).unwrap();
    connection.execute_batch(SCHEMA_1).unwrap();
    drop(connection);
    let (journal, found) = Journal::open(&dir.0).unwrap();
    assert!(found.migrated.is_some(), "and is kept beside as it was");
    assert_eq!(journal.last_seq(), 3);
    assert_eq!(journal.id(), "00112233445566778899aabbccddeeff");
    let kinds: Vec<&str> = found
        .records
        .iter()
        .map(|record| match record {
            Record::Start(_) => "start",
            Record::Fill(_) => "fill",
            Record::End { .. } => "end",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["start", "fill", "end"]);
}

#[test]
fn a_journal_that_is_looked_at_stays_as_it_is() {
    for (name, killed) in [("ended", false), ("killed", true)] {
        let dir = Scratch::new(&format!("look-100%25?#-{name}"));
        let writer = Connection::open(dir.path(FILE)).unwrap();
        writer.execute_batch(SCHEMA_1).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("UPDATE meta SET value = value").unwrap();
        // As long as this one is open the log stays, as after a kill.
        let writer = killed.then_some(writer);
        let files = || -> std::collections::BTreeMap<String, Vec<u8>> {
            let entries = std::fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().path());
            let named = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
            // The index of the log holds locks, no content.
            named
                .filter(|(name, _)| !name.ends_with("-shm"))
                .map(|(n, p)| (n, std::fs::read(p).unwrap()))
                .collect()
        };
        let before = files();
        assert_eq!(before.contains_key("journal.db-wal"), killed, "{name}");
        let (journal, found) = Journal::look(&dir.0).unwrap();
        assert!(found.older && !found.new && found.migrated.is_none(), "{name}");
        assert_eq!((journal.last_seq(), found.records.len()), (3, 3));
        assert_eq!(journal.id(), "00112233445566778899aabbccddeeff");
        drop(journal);
        assert!(files() == before, "{name}: {:?}", files().keys());
        drop(writer);
        assert!(Journal::open(&dir.0).unwrap().1.migrated.is_some(), "{name}: the next start does");
        assert!(!Journal::look(&dir.0).unwrap().1.older);
    }
}

#[test]
fn an_empty_file_looked_at_is_not_filled() {
    let dir = Scratch::new("look-empty");
    std::fs::write(dir.path(FILE), b"").unwrap();
    let (journal, found) = Journal::look(&dir.0).unwrap();
    assert!(found.new && found.records.is_empty() && journal.last_seq() == 0);
    drop(journal);
    assert_eq!(std::fs::read(dir.path(FILE)).unwrap(), b"");
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 1);
}

#[test]
fn an_older_journal_is_backed_up_before_it_is_migrated() {
    let dir = Scratch::new("older");
    filled(&dir.0, 2);
    let older = "PRAGMA user_version = 1; DROP INDEX record_funding; DROP INDEX record_charge; \
                 DROP INDEX record_allocation";
    Connection::open(dir.path(FILE)).unwrap().execute_batch(older).unwrap();
    let (_, found) = Journal::open(&dir.0).unwrap();
    let backup = found.migrated.expect("an older schema was migrated");
    assert_eq!(found.records.len(), 2);
    let copied: i64 = Connection::open(backup)
        .unwrap()
        .query_row("SELECT count(*) FROM record", [], |row| row.get(0))
        .unwrap();
    assert_eq!(copied, 2);
}

#[test]
fn readers_see_the_records_as_tables() {
    let dir = Scratch::new("views");
    let connection = Connection::open(dir.path(FILE)).unwrap();
    connection.execute_batch(SCHEMA_1).unwrap();
    drop(connection);
    let (_journal, _) = Journal::open(&dir.0).unwrap();
    let reader = Connection::open(dir.path(FILE)).unwrap();
    let row: (i64, String, String, String) = reader
        .query_row("SELECT session, symbol, qty, fee_asset FROM fill", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(row, (1, "dogeusdt".into(), "4".into(), "DOGE".into()));
    for view in
        ["orders", "order_state", "cash", "adjustment", "debt", "funding", "charge", "allocation", "event"]
    {
        let count: i64 =
            reader.query_row(&format!("SELECT count(*) FROM {view}"), [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{view}");
    }
}

#[test]
fn after_a_failed_commit_the_file_itself_says_what_is_in_it() {
    let dir = Scratch::new("reopen");
    let (mut journal, _) = Journal::open(&dir.0).unwrap();
    journal.append(&[batch(1, vec![end(1)])], false).unwrap();
    let second = [batch(2, vec![end(2)])];
    assert!(!journal.reopen(&second).unwrap());
    let known = journal.last.clone();
    journal.append(&second, false).unwrap();
    journal.last = known;
    assert!(journal.reopen(&second).unwrap());
    journal.append(&[batch(3, vec![end(3)])], true).unwrap();
    drop(journal);
    assert_eq!(Journal::open(&dir.0).unwrap().1.records, [end(1), end(2), end(3)]);
}

#[test]
fn a_journal_that_is_gone_or_another_one_has_committed_nothing() {
    let next = [batch(2, vec![end(2)])];
    for replaced in [false, true] {
        let dir = Scratch::new("reopen-gone");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        journal.append(&[batch(1, vec![end(1)])], true).unwrap();
        let away = Scratch::new("reopen-away");
        for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
            std::fs::rename(dir.path(name), away.path(name)).unwrap();
        }
        if replaced {
            filled(&dir.0, 2);
        }
        let error = journal.reopen(&next).unwrap_err();
        assert!(matches!(error, StoreError::Gone { .. }), "{replaced}: {error}");
        assert_eq!(dir.path(FILE).exists(), replaced, "no new one is made in its place");
    }
}

#[test]
fn row_004_09_the_sqlite_built_in_is_new_enough() {
    super::super::check_library().unwrap();
    assert!(rusqlite::version_number() >= 3_041_002);
}
