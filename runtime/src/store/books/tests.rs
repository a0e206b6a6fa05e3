use tradingsys::gateway::io::{AssetRow, FeeRow};
use tradingsys::ids::Asset;
use tradingsys::journal::Owner;
use tradingsys::num::{Cash, Price, Qty};

use super::*;
use crate::files::scratch::Scratch;

const JOURNAL: &str = "j1";

fn open(dir: &Scratch) -> (Books, Findings) {
    Books::open(&dir.0, "spot", JOURNAL, &Booked::new()).unwrap()
}

fn applied(seq: u64) -> Applied {
    Applied { journal: JOURNAL.into(), seq, generation: 1 }
}

fn position(session: u16, symbol: &str, qty: &str, avg: &str) -> PositionRow {
    PositionRow {
        session: SessionId(session),
        symbol: Symbol::new(symbol),
        qty: qty.parse().unwrap(),
        avg_price: avg.parse().unwrap(),
        realised: Cash::ZERO,
        quote: Asset::new("USDT"),
        time: Time::from_millis(1_732_196_585_000),
    }
}

fn rows(positions: &[PositionRow]) -> Projection {
    Projection { positions: positions.to_vec(), ..Projection::default() }
}

fn show(books: &mut Books, seq: u64, positions: &[PositionRow]) -> Projected {
    books.project(&rows(positions), &applied(seq)).unwrap()
}

/// A folder in which 10 doge are shown for session 1 and 0.5 btc for session 2.
fn shown(name: &str) -> Scratch {
    let dir = Scratch::new(name);
    let (mut books, _) = open(&dir);
    show(&mut books, 7, &[position(1, "dogeusdt", "10", "0.2"), position(2, "btcusdt", "0.5", "60000")]);
    dir
}

fn user(dir: &Scratch, sql: &str) {
    Connection::open(dir.path(FILE)).unwrap().execute_batch(sql).unwrap();
}

fn qty(dir: &Scratch, session: u16, symbol: &str) -> Option<String> {
    Connection::open(dir.path(FILE))
        .unwrap()
        .query_row(
            "SELECT qty FROM position WHERE session_id = ?1 AND symbol = ?2",
            params![session, symbol],
            |row| row.get(0),
        )
        .optional()
        .unwrap()
}

fn number(text: &str) -> Qty {
    text.parse().unwrap()
}

#[test]
fn row_004_33_34_the_first_row_of_a_symbol_is_shown_in_a_private_file() {
    let dir = shown("books-first");
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("10"));
    assert_eq!(crate::files::mode_open_to_others(&dir.path(FILE)).unwrap(), None);
    let connection = Connection::open(dir.path(FILE)).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    let row: (String, String, String) = connection
        .query_row("SELECT market, side, updated_at FROM position WHERE session_id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(row, ("spot".into(), "BOTH".into(), "2024-11-21T13:43:05.000000Z".into()));
}

#[test]
fn assets_fees_and_profit_are_shown_beside() {
    let dir = Scratch::new("books-assets");
    let (mut books, _) = open(&dir);
    let asset =
        |owner, amount: &str| AssetRow { owner, asset: Asset::new("USDT"), amount: amount.parse().unwrap() };
    let fee = |amount: &str| FeeRow {
        session: SessionId(1),
        asset: Asset::new("BNB"),
        amount: amount.parse().unwrap(),
    };
    let mut row = position(1, "dogeusdt", "1", "0.2");
    row.realised = "-0.25".parse().unwrap();
    for amount in ["1", "2.5"] {
        let owners = [Owner::Session(SessionId(1)), Owner::External, Owner::Unattributed];
        let projection = Projection {
            positions: vec![row.clone()],
            assets: owners.iter().map(|owner| asset(*owner, amount)).collect(),
            fees: vec![fee(amount)],
        };
        books.project(&projection, &applied(1)).unwrap();
    }
    drop(books);
    let connection = Connection::open(dir.path(FILE)).unwrap();
    let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(text("SELECT group_concat(owner || amount) FROM _asset"), "12.5,external2.5,unattributed2.5");
    assert_eq!(text("SELECT session_id || asset || amount FROM _fee"), "1BNB2.5");
    assert_eq!(text("SELECT symbol || realised || quote FROM _profit"), "dogeusdt-0.25USDT");
    let (_, findings) = open(&dir);
    assert!(findings.bad.is_empty() && findings.edits.is_empty());
}

#[test]
fn row_004_35_an_edit_is_told_relative_to_what_was_shown() {
    let dir = shown("books-edit");
    user(&dir, "UPDATE position SET qty = 5, avg_price = 0.25 WHERE symbol = 'DOGEUSDT'");
    let (_, findings) = open(&dir);
    let edit = Edit {
        session: SessionId(1),
        symbol: Symbol::new("dogeusdt"),
        revision: 7,
        shown: number("10"),
        found: number("5"),
        shown_avg: Some("0.2".parse().unwrap()),
        found_avg: Some("0.25".parse().unwrap()),
    };
    assert_eq!(findings.edits, [edit]);
    assert!(findings.bad.is_empty());
}

#[test]
fn inserted_and_deleted_rows_are_edits_from_and_to_nothing() {
    let dir = shown("books-insert");
    user(
        &dir,
        "INSERT INTO position(session_id, symbol, qty) VALUES(3, 'ETHUSDT', '-1.5e0');
         DELETE FROM position WHERE session_id = 2",
    );
    let (mut books, findings) = open(&dir);
    let inserts = mirror::inserts(&Connection::open(dir.path(FILE)).unwrap()).unwrap();
    let told: Vec<_> = findings
        .edits
        .iter()
        .map(|e| (e.session.0, e.symbol.as_str(), e.revision, e.shown.to_string(), e.found.to_string()))
        .collect();
    assert_eq!(
        told,
        [(2, "btcusdt", 7, "0.5".into(), "0".into()), (3, "ethusdt", inserts, "0".into(), "-1.5".into())]
    );
    assert_eq!(findings.edits[1].found_avg, None);
    assert!(inserts > 1 << 47, "no record's number, and no other file's");
    // Accepted, they are shown anew in the gateway's own spelling.
    let done = show(&mut books, 9, &[position(2, "btcusdt", "0", "0"), position(3, "ethusdt", "-1.5", "0")]);
    assert_eq!(done, Projected::default());
    drop(books);
    assert_eq!(qty(&dir, 2, "btcusdt").as_deref(), Some("0"));
    assert_eq!(qty(&dir, 3, "ethusdt").as_deref(), Some("-1.5"));
    assert!(open(&dir).1.edits.is_empty());
}

#[test]
fn another_spelling_of_the_same_number_is_no_edit() {
    let dir = shown("books-spelling");
    user(
        &dir,
        "UPDATE position SET qty = '10.000' WHERE session_id = 1; DELETE FROM position WHERE qty = 'x'",
    );
    let (mut books, findings) = open(&dir);
    assert!(findings.edits.is_empty() && findings.bad.is_empty());
    assert_eq!(show(&mut books, 8, &[position(1, "dogeusdt", "11", "0.2")]), Projected::default());
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("11"));
}

#[test]
fn a_row_edited_while_the_gateway_runs_is_never_overwritten() {
    let dir = shown("books-running");
    let (mut books, _) = open(&dir);
    user(&dir, "UPDATE position SET qty = 3 WHERE session_id = 1");
    let more = [position(1, "dogeusdt", "11", "0.2"), position(2, "btcusdt", "0.6", "60000")];
    let done = show(&mut books, 8, &more);
    assert_eq!(done.edit_pending, [(SessionId(1), Symbol::new("dogeusdt"))]);
    assert!(
        show(&mut books, 9, &[position(1, "dogeusdt", "12", "0.2")]).edit_pending.is_empty(),
        "told once"
    );
    drop(books);
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("3"));
    assert_eq!(qty(&dir, 2, "btcusdt").as_deref(), Some("0.6"), "other rows go on");
    let (mut books, findings) = open(&dir);
    assert_eq!((findings.edits[0].shown, findings.edits[0].found), (number("10"), number("3")));
    // 3 as typed, and the two bought since it was shown.
    show(&mut books, 10, &[position(1, "dogeusdt", "5", "0.2")]);
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("5"));
}

#[test]
fn a_row_inserted_or_deleted_while_the_gateway_runs_is_left_too() {
    let dir = shown("books-running2");
    let (mut books, _) = open(&dir);
    user(
        &dir,
        "DELETE FROM position WHERE session_id = 1; INSERT INTO position(session_id, symbol, qty) VALUES(1, 'x', 1)",
    );
    let done = show(&mut books, 8, &[position(1, "dogeusdt", "11", "0.2"), position(1, "x", "2", "1")]);
    assert_eq!(done.edit_pending.len(), 2);
    assert_eq!(qty(&dir, 1, "dogeusdt"), None);
    assert_eq!(qty(&dir, 1, "x").as_deref(), Some("1"));
}

#[test]
fn a_crash_between_accepting_and_showing_tells_the_same_edit_again() {
    let dir = shown("books-crash");
    user(&dir, "UPDATE position SET qty = 5 WHERE session_id = 1");
    let first = open(&dir).1.edits;
    let second = open(&dir).1.edits;
    assert_eq!(first, second);
    assert_eq!(first[0].revision, 7);
}

#[test]
fn revisions_rise_over_a_lost_file() {
    let dir = shown("books-revision");
    std::fs::remove_file(dir.path(FILE)).unwrap();
    let (mut books, _) = open(&dir);
    show(&mut books, 9, &[position(1, "dogeusdt", "10", "0.2")]);
    drop(books);
    user(&dir, "UPDATE position SET qty = 5 WHERE session_id = 1");
    assert_eq!(open(&dir).1.edits[0].revision, 9, "never again the 7 of the lost file");
}

#[test]
fn the_file_is_backed_up_before_an_edit_is_taken() {
    let dir = shown("books-backup");
    user(&dir, "UPDATE position SET qty = 5 WHERE session_id = 1");
    let (_, findings) = open(&dir);
    assert_eq!(findings.notes[0].0, "pos_db_backed_up");
    let backup = std::fs::read_dir(&dir.0)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("pos.db.bak-"))
        .unwrap();
    assert_eq!(crate::files::mode_open_to_others(&backup).unwrap(), None);
    let kept: String = Connection::open(backup)
        .unwrap()
        .query_row("SELECT qty FROM position WHERE session_id = 1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, "5");
}

#[test]
fn a_row_that_cannot_be_understood_names_itself_and_its_symbol() {
    for (sql, symbol, words) in [
        ("UPDATE position SET qty = 'ten' WHERE session_id = 1", "dogeusdt", "qty \"ten\" is not a plain"),
        ("UPDATE position SET qty = 0.1 + 0.2 WHERE session_id = 1", "dogeusdt", "decimal places"),
        ("UPDATE position SET avg_price = '' WHERE session_id = 1", "dogeusdt", "avg_price"),
        ("UPDATE position SET avg_price = -1 WHERE session_id = 1", "dogeusdt", "avg_price is negative"),
        (
            "UPDATE position SET qty = '1000000', avg_price = '1000000001' WHERE session_id = 1",
            "dogeusdt",
            "qty times avg_price is over 10^15",
        ),
        ("INSERT INTO position(session_id, symbol, qty) VALUES(70000, 'x', 1)", "x", "between 0 and 65535"),
        ("INSERT INTO position(session_id, symbol, qty) VALUES(-1, 'x', 1)", "x", "between 0 and 65535"),
        (
            "INSERT INTO position(session_id, symbol, qty, market) VALUES(1, 'x', 1, 'usdt')",
            "x",
            "not this gateway's",
        ),
        (
            "INSERT INTO position(session_id, symbol, qty, side) VALUES(1, 'x', 1, 'LONG')",
            "x",
            "must be 'BOTH'",
        ),
    ] {
        let dir = shown("books-bad");
        user(&dir, sql);
        let (mut books, findings) = open(&dir);
        assert_eq!(findings.bad.len(), 1, "{sql}");
        let bad = &findings.bad[0];
        assert_eq!(bad.symbol, Some(Symbol::new(symbol)), "{sql}");
        assert!(bad.reason.contains(words), "{sql}: {}", bad.reason);
        // The row stays as the user left it.
        let before: Option<String> = qty(&dir, 1, "dogeusdt");
        show(&mut books, 9, &[position(1, "dogeusdt", "77", "0.2")]);
        if symbol == "dogeusdt" {
            assert_eq!(qty(&dir, 1, "dogeusdt"), before, "{sql}");
        }
    }
}

#[test]
fn a_row_whose_key_was_spoiled_is_not_taken_for_a_deleted_one() {
    for sql in [
        "UPDATE position SET market = 'usdt' WHERE session_id = 1",
        "UPDATE position SET side = 'LONG' WHERE session_id = 1",
        "UPDATE position SET session_id = 70000 WHERE session_id = 1",
        "UPDATE position SET symbol = 'doge usdt' WHERE session_id = 1",
    ] {
        let dir = shown("books-spoiled");
        user(&dir, sql);
        let (mut books, findings) = open(&dir);
        assert_eq!(findings.edits, [], "{sql}: nobody set 10 to 0");
        let stopped: Vec<_> = findings.bad.iter().filter_map(|bad| bad.symbol.as_ref()).collect();
        assert!(stopped.contains(&&Symbol::new("dogeusdt")), "{sql}: {stopped:?}");
        show(&mut books, 9, &[position(1, "dogeusdt", "11", "0.2")]);
        drop(books);
        user(
            &dir,
            "UPDATE position SET market = 'spot', side = 'BOTH', session_id = 1, symbol = 'dogeusdt' WHERE qty = '10'",
        );
        let (_, findings) = open(&dir);
        assert!(findings.edits.is_empty() && findings.bad.is_empty(), "{sql}: mended, it is as it was");
    }
}

#[test]
fn a_booked_row_whose_key_was_spoiled_before_it_was_shown_is_not_taken_for_a_deleted_one() {
    for sql in
        ["SET symbol = 'eth usdt'", "SET side = 'LONG'", "SET session_id = 70000", "SET market = 'usdt'"]
    {
        let dir = shown("books-spoiled-insert");
        user(&dir, "INSERT INTO position(session_id, symbol, qty, avg_price) VALUES(3, 'ethusdt', 2, 2000)");
        let booked = booked(&open(&dir).1.edits);
        user(&dir, &format!("UPDATE position {sql} WHERE session_id = 3"));
        let (mut books, findings) = Books::open(&dir.0, "spot", JOURNAL, &booked).unwrap();
        assert_eq!((findings.edits, findings.taken_back), (vec![], vec![]), "{sql}: nobody set 2 to 0");
        let stopped: Vec<_> = findings.bad.iter().filter_map(|bad| bad.symbol.as_ref()).collect();
        assert!(stopped.contains(&&Symbol::new("ethusdt")), "{sql}: {stopped:?}");
        show(&mut books, 9, &[position(3, "ethusdt", "2", "2000")]);
        drop(books);
        let count =
            "SELECT count(*) FROM position WHERE session_id = 3 AND market = 'spot' AND side = 'BOTH'";
        let file = Connection::open(dir.path(FILE)).unwrap();
        let placed: i64 =
            file.query_row(&format!("{count} AND symbol = 'ethusdt'"), [], |row| row.get(0)).unwrap();
        assert_eq!(placed, 0, "{sql}: its place is kept free for the mended row");
        user(
            &dir,
            "UPDATE position SET market = 'spot', side = 'BOTH', session_id = 3, symbol = 'ethusdt' WHERE qty = '2'",
        );
        let (_, findings) = Books::open(&dir.0, "spot", JOURNAL, &booked).unwrap();
        assert!(findings.bad.is_empty() && findings.taken_back.is_empty(), "{sql}: mended, it is as it was");
        user(&dir, "DELETE FROM position WHERE session_id = 3");
        let (_, findings) = Books::open(&dir.0, "spot", JOURNAL, &booked).unwrap();
        assert_eq!(findings.taken_back.len(), 1, "{sql}: deleted, and nothing else is odd");
    }
}

#[test]
fn somebody_elses_writing_in_the_gateways_tables_stops_all_trading() {
    for sql in [
        "UPDATE _shadow SET qty = '5' WHERE session_id = 1",
        "UPDATE _shadow SET rev = 1",
        "DELETE FROM _shadow",
        "INSERT INTO _shadow VALUES(9, 'usdt', 'x', 'LONG', '1', '1', 1)",
        "UPDATE _shadow SET session_id = 99999 WHERE session_id = 1",
        "INSERT INTO _asset VALUES('1', 'spot', 'USDT', '5')",
        "INSERT INTO _fee VALUES(1, 'spot', 'USDT', '5')",
        "UPDATE _profit SET realised = '9' WHERE session_id = 1",
        "UPDATE _meta SET value = '1' WHERE key = 'applied'",
        "DROP TABLE _shadow",
        "DROP TABLE position",
    ] {
        let dir = shown("books-touched");
        user(&dir, sql);
        let bytes = std::fs::read(dir.path(FILE)).unwrap();
        let (mut books, findings) = open(&dir);
        assert_eq!(findings.bad.len(), 1, "{sql}");
        assert_eq!(findings.bad[0].symbol, None, "{sql}");
        assert!(findings.bad[0].reason.contains("move the file away"), "{sql}: {}", findings.bad[0].reason);
        assert!(findings.edits.is_empty());
        show(&mut books, 9, &[position(1, "dogeusdt", "77", "0.2")]);
        assert_eq!(std::fs::read(dir.path(FILE)).unwrap(), bytes, "{sql}: the file is evidence");
    }
}

#[test]
fn a_users_own_tables_and_views_are_welcome() {
    let dir = shown("books-views");
    user(
        &dir,
        "CREATE VIEW mine AS SELECT * FROM position; CREATE TABLE notes(a); INSERT INTO notes VALUES(1)",
    );
    let (_, findings) = open(&dir);
    assert!(findings.bad.is_empty() && findings.edits.is_empty());
}

#[test]
fn r59_a_corrupt_file_is_put_aside_and_made_anew() {
    for damage in [b"this is no database, but longer than a hundred bytes: ".repeat(4), vec![0xff; 4096]] {
        let dir = shown("books-corrupt");
        let mut bytes = std::fs::read(dir.path(FILE)).unwrap();
        bytes[..damage.len()].copy_from_slice(&damage);
        std::fs::write(dir.path(FILE), bytes).unwrap();
        let (mut books, findings) = open(&dir);
        assert_eq!(findings.notes[0].0, "pos_db_corrupt");
        assert!(findings.edits.is_empty() && findings.bad.is_empty());
        show(&mut books, 9, &[position(1, "dogeusdt", "10", "0.2")]);
        assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("10"));
        let aside = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().to_str().unwrap().starts_with("pos.db.corrupt-")
        };
        assert!(std::fs::read_dir(&dir.0).unwrap().any(aside));
    }
}

#[test]
fn a_file_lost_while_the_gateway_runs_comes_back_whole() {
    let dir = shown("books-lost");
    let (mut books, _) = open(&dir);
    std::fs::remove_file(dir.path(FILE)).unwrap();
    let done = show(&mut books, 8, &[position(1, "dogeusdt", "11", "0.2")]);
    assert!(done.rebuilt.is_some() && done.edit_pending.is_empty());
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("11"));
    assert_eq!(qty(&dir, 2, "btcusdt").as_deref(), Some("0.5"), "rows that did not change are there too");
    drop(books);
    let (_, findings) = open(&dir);
    assert!(findings.edits.is_empty() && findings.bad.is_empty());
}

#[test]
fn a_lost_file_that_cannot_be_made_at_once_is_made_whole_later() {
    let dir = shown("books-lost-full");
    let (mut books, _) = open(&dir);
    std::fs::remove_file(dir.path(FILE)).unwrap();
    // SQLite cannot write: where its own journals would be are folders.
    let in_the_way = ["pos.db-journal", "pos.db.new-journal"].map(|name| dir.path(name));
    for path in &in_the_way {
        std::fs::create_dir(path).unwrap();
    }
    let more = rows(&[position(1, "dogeusdt", "11", "0.2")]);
    books.project(&more, &applied(8)).unwrap_err();
    for path in &in_the_way {
        std::fs::remove_dir(path).unwrap();
    }
    let done = books.project(&more, &applied(8)).unwrap();
    assert!(done.rebuilt.is_some() && done.edit_pending.is_empty(), "{done:?}");
    drop(books);
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("11"));
    assert_eq!(qty(&dir, 2, "btcusdt").as_deref(), Some("0.5"));
    let (_, findings) = open(&dir);
    assert!(findings.edits.is_empty() && findings.bad.is_empty(), "{findings:?}");
}

#[test]
fn a_file_put_in_its_place_is_read_at_the_next_start() {
    let dir = shown("books-replaced");
    let (mut books, _) = open(&dir);
    let copy = dir.path("copy.db");
    std::fs::copy(dir.path(FILE), &copy).unwrap();
    Connection::open(&copy)
        .unwrap()
        .execute_batch("UPDATE position SET qty = 3 WHERE session_id = 1")
        .unwrap();
    std::fs::rename(&copy, dir.path(FILE)).unwrap();
    let more = [position(1, "dogeusdt", "11", "0.2"), position(2, "btcusdt", "0.6", "60000")];
    assert!(show(&mut books, 8, &more).replaced);
    assert_eq!(show(&mut books, 9, &more), Projected::default(), "told once");
    drop(books);
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("3"));
    let (mut books, findings) = open(&dir);
    assert_eq!((findings.edits[0].shown, findings.edits[0].found), (number("10"), number("3")));
    show(&mut books, 10, &[position(1, "dogeusdt", "4", "0.2"), position(2, "btcusdt", "0.6", "60000")]);
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("4"));
    assert_eq!(qty(&dir, 2, "btcusdt").as_deref(), Some("0.6"));
}

#[test]
fn rows_of_another_journal_are_reported_and_never_taken() {
    let dir = shown("books-other");
    user(&dir, "UPDATE position SET qty = 5 WHERE session_id = 1");
    let (_, findings) = Books::open(&dir.0, "spot", "j2", &Booked::new()).unwrap();
    assert!(findings.other_journal && findings.edits.is_empty() && findings.bad.is_empty());
    let told: Vec<&str> = findings.notes.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["pos_db_of_another_journal", "pos_db_row_not_taken", "pos_db_row_not_taken"]);
    assert!(findings.notes[1].1.contains("symbol=\"dogeusdt\" qty=\"5\""), "{}", findings.notes[1].1);
    assert_eq!(qty(&dir, 1, "dogeusdt"), None, "a new file");
}

#[test]
fn r57_a_locked_file_costs_nothing_but_a_later_try() {
    let dir = shown("books-locked");
    let (mut books, _) = open(&dir);
    let editor = Connection::open(dir.path(FILE)).unwrap();
    editor.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let more = rows(&[position(1, "dogeusdt", "11", "0.2")]);
    let error = books.project(&more, &applied(8)).unwrap_err();
    assert!(is_busy(&error), "{error}");
    assert!(Books::open(&dir.0, "spot", JOURNAL, &Booked::new()).unwrap_err().is_busy());
    editor.execute_batch("COMMIT").unwrap();
    books.project(&more, &applied(8)).unwrap();
    assert_eq!(qty(&dir, 1, "dogeusdt").as_deref(), Some("11"));
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let dir = Scratch::new("books-foreign");
    user(&dir, "CREATE TABLE t(a)");
    let error = Books::open(&dir.0, "spot", JOURNAL, &Booked::new()).unwrap_err().to_string();
    assert!(error.contains("is not a position file of tradingsys"), "{error}");
    let dir = shown("books-newer");
    user(&dir, "PRAGMA user_version = 9");
    let error = Books::open(&dir.0, "spot", JOURNAL, &Booked::new()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error}");
}

/// As the journal has them once these edits were booked.
fn booked(edits: &[Edit]) -> Booked {
    let entry =
        |edit: &Edit| ((edit.session, edit.symbol.clone(), edit.revision), (edit.found, edit.found_avg));
    edits.iter().map(entry).collect()
}

#[test]
fn a_row_set_back_to_what_was_shown_is_told_as_taken_back() {
    let dir = shown("books-back");
    user(&dir, "UPDATE position SET qty = 5 WHERE session_id = 1");
    let booked = booked(&open(&dir).1.edits);
    assert_eq!(booked.len(), 1, "booked, and the gateway is killed before it is shown");
    user(&dir, "UPDATE position SET qty = 10 WHERE session_id = 1");
    assert!(open(&dir).1.taken_back.is_empty(), "nothing was booked of it");
    let (_, findings) = Books::open(&dir.0, "spot", JOURNAL, &booked).unwrap();
    assert!(findings.edits.is_empty());
    let [row] = findings.taken_back.as_slice() else { panic!("{:?}", findings.taken_back) };
    assert!(row.is_as_shown() && row.revision == 7 && row.found == number("10"));
}

#[test]
fn an_older_copy_of_the_file_takes_edits_back_and_is_backed_up_before() {
    let dir = shown("books-copy");
    let copy = std::fs::read(dir.path(FILE)).unwrap();
    user(&dir, "UPDATE position SET qty = 5 WHERE session_id = 1");
    let (mut books, findings) = open(&dir);
    let booked = booked(&findings.edits);
    show(&mut books, 9, &[position(1, "dogeusdt", "5", "0.2")]);
    drop(books);
    let (_, shown) = Books::open(&dir.0, "spot", JOURNAL, &booked).unwrap();
    assert!(shown.taken_back.is_empty() && shown.notes.is_empty(), "{shown:?}");
    std::fs::write(dir.path(FILE), copy).unwrap();
    let (_, findings) = Books::open(&dir.0, "spot", JOURNAL, &booked).unwrap();
    assert_eq!(findings.taken_back.len(), 1);
    let told: Vec<_> = findings.notes.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["pos_db_backed_up"]);
}

#[test]
fn average_prices_are_shown_exactly() {
    let dir = Scratch::new("books-exact");
    let (mut books, _) = open(&dir);
    show(&mut books, 1, &[position(1, "x", "0.0000000001", "99999999.0000000001")]);
    drop(books);
    let (_, findings) = open(&dir);
    assert!(findings.edits.is_empty());
    let price: Price = "99999999.0000000001".parse().unwrap();
    user(&dir, "UPDATE position SET qty = '1'");
    assert_eq!(open(&dir).1.edits[0].shown_avg, Some(price));
}
