//! Files: configuration, keys, and what a gateway keeps.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rusqlite::Connection;
use tradingsys::gateway::io::{Batch, PositionRow, Projection};
use tradingsys::gateway::stop::Kept;
use tradingsys::ids::{Asset, IdParts, SessionId, Symbol};
use tradingsys::journal::Record;
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::time::Span;
use tradingsys_runtime::config;
use tradingsys_runtime::key::{self, passphrase::Source};
use tradingsys_runtime::stop::{self, crashes};
use tradingsys_runtime::store::books::{self, Applied, Booked, Books};
use tradingsys_runtime::store::journal::{self, Journal};
use tradingsys_runtime::store::{chain, note, snapshot};
use tradingsys_runtime::{Endpoint, Product};
use tradingsys_world::product::Product as Market;

use super::{Verdict, law, shown, text};
use crate::corpus::Corpus;
use crate::house::{self, START};
use crate::json::is_json;

const PREFIX: &str = "tradingsys-fuzz-";

/// The folder of this process. Those of processes that are gone are removed first: most of them had no time for it.
fn own() -> &'static Path {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    OWN.get_or_init(|| {
        let all = std::env::temp_dir();
        let running = |pid: &str| Path::new("/proc").join(pid).exists();
        let entries = std::fs::read_dir(&all).into_iter().flatten().flatten();
        for entry in entries.filter(|_| running("self")) {
            let name = entry.file_name();
            let gone = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).filter(|pid| !running(pid));
            if gone.is_some() {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        all.join(format!("{PREFIX}{}", std::process::id()))
    })
}

/// Removes what this process has put into files.
pub fn clear_up() {
    let _ = std::fs::remove_dir_all(own());
}

/// A folder in that of this process, made anew.
fn folder(name: &str) -> PathBuf {
    let folder = own().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the system's folder for temporary files can be written");
    folder
}

fn put(file: &Path, bytes: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .expect("a file of our own folder");
    std::io::Write::write_all(&mut opened, bytes).expect("there is room for a small file");
}

/// Words of an error without what differs from run to run.
fn outcome(error: &str) -> String {
    error.chars().filter(|c| !c.is_ascii_digit()).skip_while(|c| *c != ':').take(80).collect()
}

/// JSON with comments.
pub fn jsonc(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let plain = tradingsys::jsonc::plain(text);
    law(plain.len() == text.len(), || format!("{} bytes are made of {}", plain.len(), text.len()))?;
    let breaks = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
    law(breaks(&plain) == breaks(text), || "line breaks were lost".to_owned())?;
    // What is JSON has no comments.
    if is_json(text.as_bytes()) {
        law(plain == text, || format!("JSON was changed: {} to {}", shown(text), shown(&plain)))?;
        return Ok("json".to_owned());
    }
    let twice = tradingsys::jsonc::plain(&plain);
    Ok(format!("{} {}", is_json(plain.as_bytes()), twice == plain))
}

/// Its corpus.
pub fn jsonc_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    let mut seeds = config_seeds(corpus);
    seeds.push(include_bytes!("../../../examples/weather.json").to_vec());
    seeds
}

const SPOT: Product = Product {
    exe: "spot",
    market: "spot",
    environments: &["live", "testnet", "demo"],
    keys: &["margin", "side_effect", "auto_repay_at_cancel"],
    endpoints: &[
        Endpoint { name: "ws_api", needed: true, urls: &["wss://a", "wss://b", "wss://c"] },
        Endpoint { name: "streams", needed: true, urls: &["wss://a", "wss://b", "wss://c"] },
        Endpoint { name: "rest", needed: false, urls: &["https://a"] },
    ],
};
const USDT: Product = Product {
    exe: "usdt",
    market: "usdt",
    environments: &["live", "testnet"],
    keys: &["set_one_way_mode"],
    endpoints: &[
        Endpoint { name: "rest", needed: true, urls: &["https://a", "https://b"] },
        Endpoint { name: "public", needed: true, urls: &["wss://a", "wss://b"] },
    ],
};

/// A configuration, read by both gateways.
pub fn configuration(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let file = FOLDER.get_or_init(|| folder("configuration")).join("spot.json");
    put(&file, input);
    let mut words = String::new();
    for product in [&SPOT, &USDT] {
        match config::load(&file, product) {
            Ok(config) => {
                words.push_str("taken ");
                let asked = config.apikey.bytes().all(|byte| byte.is_ascii_graphic());
                law(asked && !config.apikey.is_empty(), || format!("an API key {:?}", config.apikey))?;
                let windows = config.recv_window > Span::ZERO && config.retention > Span::ZERO;
                law(windows, || format!("no time at all: {:?} {:?}", config.recv_window, config.retention))?;
            }
            Err(error) => {
                let told = error.to_string();
                law(told.len() < 4_000, || format!("an error of {} bytes", told.len()))?;
                words.push_str(&outcome(&told));
            }
        }
    }
    Ok(words)
}

/// Its corpus.
pub fn config_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    let limits = r#"{"apikey":"k","pem":"p","limits":{"account":{"open_orders":100,"loss_per_day":{"USDT":"500"},
        "orders_per_second":20},"session":{"symbols":["btcusdt"],"order_qty":{"btcusdt":"0.1","*":"10000"},"price_band":"5",
        "position_notional":{"USDT":"10000"},"rejects_per_minute":20},"sessions":{"7":{"order_notional":{"USDT":"50"}}},
        "refuse_self_trade":true}}"#;
    let door = r#"{"apikey":"k","pem":"p","local":"wss://0.0.0.0:8111","tls":{"cert":"c","key":"k"},"token_file":"t",
        "session_tokens":{"7":"a"},"allowed_origins":["https://desk.example"],"unix_socket":"s","recv_window_ms":5000,
        "recovery_lag_ms":1,"retention_days":7,"snapshot_rows":0,"env":"testnet","install":"7cz1k","margin":true,
        "pause_after_crashes":3,"side_effect":"MARGIN_BUY","auto_repay_at_cancel":false,"ca_file":"x","log_dir":"log",
        "db":"."}"#;
    vec![
        include_bytes!("../../../spot.json").to_vec(),
        include_bytes!("../../../usdt.json").to_vec(),
        limits.as_bytes().to_vec(),
        door.as_bytes().to_vec(),
    ]
}

/// Keys that nobody uses, written by OpenSSL: as they are, and under the passphrase `fuzz` at the least cost.
const KEYS: [&str; 4] = [
    include_str!("../../keys/plain.pem"),
    include_str!("../../keys/pbkdf2.pem"),
    include_str!("../../keys/scrypt.pem"),
    include_str!("../../keys/public.pem"),
];

fn load_key(file: &Path) -> Verdict {
    static PASSPHRASE: OnceLock<PathBuf> = OnceLock::new();
    let passphrase = PASSPHRASE.get_or_init(|| {
        let file = folder("passphrase").join("passphrase");
        put(&file, b"fuzz\n");
        file
    });
    let opened = std::fs::File::open(passphrase).map_err(|error| error.to_string())?;
    let source = Source { descriptor: u32::try_from(opened.as_raw_fd()).ok() };
    match key::load(file, &source) {
        Ok(_) => Ok("opened".to_owned()),
        Err(error) => {
            let told = error.to_string();
            law(told.len() < 2_000 && !told.contains('\n'), || {
                format!("an error of {} bytes: {told:?}", told.len())
            })?;
            Ok(outcome(&told))
        }
    }
}

/// A key file.
pub fn key_file(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let file = FOLDER.get_or_init(|| folder("key")).join("private_key.pem");
    put(&file, input);
    load_key(&file)
}

/// Its corpus.
pub fn key_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    KEYS.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// The inside of a key file: put into a PEM with the label that fits its beginning.
pub fn key_structure(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let file = FOLDER.get_or_init(|| folder("structure")).join("private_key.pem");
    // A plain one begins with its version.
    let label = if input.get(2..5) == Some(&[2, 1, 0]) { "PRIVATE KEY" } else { "ENCRYPTED PRIVATE KEY" };
    let pem = pkcs8::der::pem::encode_string(label, pkcs8::LineEnding::LF, input)
        .map_err(|error| error.to_string())?;
    put(&file, pem.as_bytes());
    load_key(&file)
}

/// Its corpus.
pub fn der_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    let inside = |text: &&str| pkcs8::der::pem::decode_vec(text.as_bytes()).map(|(_, bytes)| bytes).ok();
    KEYS.iter().filter_map(inside).collect()
}

/// One record.
pub fn records(input: &[u8]) -> Verdict {
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    match serde_json::from_str::<Record>(text) {
        Ok(record) => {
            law(is_json(text.as_bytes()), || format!("no JSON is taken: {}", shown(text)))?;
            let written = serde_json::to_string(&record).map_err(|error| error.to_string())?;
            let again = serde_json::from_str::<Record>(&written);
            let same = again.as_ref().is_ok_and(|again| *again == record);
            law(same, || format!("read as {record:?}, written as {written}, read as {again:?}"))?;
            Ok(written.chars().take(24).collect())
        }
        Err(error) => Ok(error.to_string().chars().filter(|c| !c.is_ascii_digit()).take(60).collect()),
    }
}

/// Its corpus.
pub fn record_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    corpus.records()
}

/// A start on these records: it must come to a gateway or to words.
fn started(records: &[Record]) -> Result<&'static str, String> {
    let market = records.iter().find_map(|record| match record {
        Record::Start(start) => Market::of_market(&start.market),
        _ => None,
    });
    let mut out = Vec::new();
    let gateway = house::gateway(market.unwrap_or_default(), records, &mut out);
    law(out.len() < 100_000, || format!("{} outputs of a start", out.len()))?;
    Ok(if gateway.is_some() { "started" } else { "refused" })
}

/// An empty journal as it lies on the disk, and its name.
fn empty_journal() -> &'static (Vec<u8>, String) {
    static EMPTY: OnceLock<(Vec<u8>, String)> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let folder = folder("empty");
        let id = {
            let (mut journal, _) = Journal::open(&folder).expect("a new journal can be made");
            journal
                .append(&[Batch { id: 1, records: Vec::new(), sync: true }], true)
                .expect("nothing is appended");
            journal.id().to_owned()
        };
        let bytes = std::fs::read(folder.join(journal::FILE)).expect("it was just made");
        (bytes, id)
    })
}

/// A journal with these texts as its rows, under a right chain.
fn journal_of(folder: &Path, texts: &[&str]) -> Option<String> {
    let (bytes, id) = empty_journal();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("{}{end}", journal::FILE)));
    }
    put(&folder.join(journal::FILE), bytes);
    let mut file = Connection::open(folder.join(journal::FILE)).ok()?;
    let transaction = file.transaction().ok()?;
    let mut sum = chain::genesis(id);
    for (seq, text) in (1_u64..).zip(texts) {
        sum = chain::next(&sum, seq, text);
        let kind =
            text.strip_prefix("{\"kind\":\"").and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let row = (seq as i64, kind, *text, &sum);
        transaction.execute("INSERT INTO record VALUES(?1, ?2, ?3, ?4)", row).ok()?;
    }
    transaction.commit().ok()?;
    Some(sum)
}

/// Rows of a journal, a line each.
pub fn rows(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let folder = FOLDER.get_or_init(|| folder("rows"));
    let lines: Vec<&str> = text.lines().take(400).collect();
    if journal_of(folder, &lines).is_none() {
        return Ok("sqlite".to_owned());
    }
    match Journal::look(folder) {
        Ok((_, mut found)) => {
            let all = found.records.len() as u64 + found.emptied;
            law(all == lines.len() as u64, || format!("{all} records of {} rows", lines.len()))?;
            // A right chain is made by a gateway alone, and none writes a number twice.
            let mut last = std::collections::BTreeMap::new();
            found.records.retain(|record| match record {
                Record::Generation { .. } => {
                    last.clear();
                    true
                }
                Record::Event { session, sequence, .. } => {
                    let highest = last.entry(*session).or_insert(0);
                    let rises = *sequence > *highest;
                    *highest = (*highest).max(*sequence);
                    rises
                }
                _ => true,
            });
            Ok(format!("read {}", started(&found.records)?))
        }
        Err(error) => Ok(outcome(&error.to_string())),
    }
}

/// Its corpus.
pub fn row_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    [&corpus.spot, &corpus.usdt, &corpus.margin].map(|heard| heard.records.join("\n").into_bytes()).to_vec()
}

/// `journal.db`, byte by byte.
pub fn journal_file(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder("journal"));
    let mut words = String::new();
    for writes in [false, true] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        put(&folder.join(journal::FILE), input);
        let opened = if writes { Journal::open(folder) } else { Journal::look(folder) };
        match opened {
            Ok((_, found)) => words.push_str(&format!("{} {}", started(&found.records)?, found.new)),
            Err(error) => words.push_str(&outcome(&error.to_string())),
        }
    }
    Ok(words)
}

/// Its corpus.
pub fn journal_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    let folder = folder("made");
    let few: Vec<&str> = corpus.spot.records.iter().take(40).map(String::as_str).collect();
    let made = journal_of(&folder, &few).and_then(|_| std::fs::read(folder.join(journal::FILE)).ok());
    made.into_iter().chain([empty_journal().0.clone()]).collect()
}

/// What stands in a script of a snapshot for the journal's name and the sum of its last row, which differ from run to
/// run; and for the sum over all lines before.
const NAMES: [&str; 3] = ["JOURNAL", "ROWSUM", "SUM"];

/// `journal.snapshot` beside a journal of a few rows.
pub fn snapshot(input: &[u8]) -> Verdict {
    static PLACE: OnceLock<(PathBuf, String)> = OnceLock::new();
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let (folder, sum) = PLACE.get_or_init(|| {
        let folder = folder("snapshot");
        let sum = journal_of(&folder, &SNAPSHOT_ROWS).expect("rows of our own");
        (folder, sum)
    });
    let [journal, row_sum, own_sum] = NAMES;
    let named = text.replace(journal, &empty_journal().1).replace(row_sum, sum);
    // A sum that fits lets what is wrong with the lines come to light.
    let whole = match named.strip_suffix(&format!("{own_sum}\n")) {
        Some(body) => format!("{body}{}\n", chain::genesis(body)),
        None => named,
    };
    put(&folder.join(snapshot::FILE), whole.as_bytes());
    match Journal::look_from_snapshot(folder, Span::from_secs(3_600), START) {
        Ok((_, found)) => {
            let used = found.taken.0 > 0;
            law(used || found.passed_over.is_some(), || {
                "a snapshot is neither used nor passed over".to_owned()
            })?;
            started(&found.records)?;
            let why: String = found.passed_over.unwrap_or_default();
            Ok(format!("{used} {}", why.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>()))
        }
        Err(error) => Err(format!("the journal itself is refused: {error}")),
    }
}

const SNAPSHOT_ROWS: [&str; 3] = [
    r#"{"kind":"start","epoch":989123,"install":"00007","market":"spot","boot_id":"b","time":1732196585000000000}"#,
    r#"{"kind":"generation","generation":1732196585000,"reason":"first start"}"#,
    r#"{"kind":"listing","symbol":"dogeusdt","base":"DOGE","quote":"USDT"}"#,
];

/// Its corpus.
pub fn snapshot_seeds(corpus: &Corpus) -> Vec<Vec<u8>> {
    let made = |records: &[&str]| {
        let keep = Span::from_secs(7 * 86_400).nanos();
        let head = format!(
            r#"{{"format":1,"journal":"JOURNAL","seq":3,"sum":"ROWSUM","made":{},"keep":{keep},"records":{}}}"#,
            (START - Span::from_secs(60)).nanos(),
            records.len()
        );
        format!("{head}\n{}\nSUM\n", records.join("\n")).into_bytes()
    };
    let more: Vec<&str> = corpus.spot.records.iter().take(60).map(String::as_str).collect();
    vec![made(&SNAPSHOT_ROWS), made(&more)]
}

/// `stop.json`, and the same bytes as `KILL`, as the count of crashes, and as the note of the last epoch.
pub fn stop(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder("stop"));
    clear(folder);
    put(&folder.join("stop.json"), input);
    let kept = stop::read(folder);
    // What cannot be read stops more rather than less.
    law(is_json(input) || kept.paused_all.is_some(), || "no JSON lets trading go on".to_owned())?;
    law(kept.kill.is_none(), || "there is no KILL".to_owned())?;
    let written = serde_json::to_string(&kept).map_err(|error| error.to_string())?;
    let again = serde_json::from_str::<Kept>(&written);
    let same = again.as_ref().is_ok_and(|again| *again == kept);
    law(same, || format!("read as {kept:?}, written as {written}, read as {again:?}"))?;
    put(&folder.join(stop::KILL), input);
    let killed = stop::read(folder).kill;
    law(killed.is_some(), || "KILL is there and does not count".to_owned())?;
    put(&folder.join(crashes::COUNT), input);
    let crashes = crashes::read(folder);
    law(is_json(input) || crashes.is_err(), || format!("no JSON is a count: {crashes:?}"))?;
    put(&folder.join(note::FILE), input);
    let noted = note::read(folder);
    law(is_json(input) || noted.is_err(), || format!("no JSON is a note: {noted:?}"))?;
    let fits =
        noted.as_ref().is_ok_and(|given| given.as_ref().is_none_or(|given| given.epoch < IdParts::EPOCHS));
    law(noted.is_err() || fits, || format!("an epoch that no id can bear: {noted:?}"))?;
    let paused = (kept.paused_all.is_some(), kept.paused.len(), kept.policies.len());
    Ok(format!("{paused:?} {} {}", killed.is_some_and(|kill| kill.flatten), crashes.is_ok() || noted.is_ok()))
}

/// Its corpus.
pub fn stop_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    let pause = r#"{"by":"operator","reason":"lunch","since":1795000000000000000}"#;
    vec![
        format!(r#"{{"paused_all":{pause},"paused":{{"7":{pause}}},"policies":{{}}}}"#).into_bytes(),
        b"flatten".to_vec(),
        br#"{"fast_crashes":3}"#.to_vec(),
        br#"{"market":"spot","install":"7cz1k","epoch":989123}"#.to_vec(),
        b"{}".to_vec(),
    ]
}

/// A `pos.db` with a row of a session, as it lies on the disk.
fn made_books() -> &'static Vec<u8> {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = folder("books-made");
        {
            let (mut books, _) =
                Books::open(&folder, "spot", "journal", &Booked::new()).expect("new books can be made");
            let row = |session: u16| PositionRow {
                session: SessionId(session),
                symbol: Symbol::new("dogeusdt"),
                qty: Qty::whole(100),
                avg_price: "0.2".parse::<Price>().expect("written here"),
                realised: Cash::ZERO,
                quote: Asset::new("USDT"),
                time: START,
            };
            let rows = Projection { positions: vec![row(1), row(2)], ..Projection::default() };
            let applied = Applied { journal: "journal".to_owned(), seq: 7, generation: 1 };
            books.project(&rows, &applied).expect("rows can be shown");
        }
        std::fs::read(folder.join(books::FILE)).expect("it was just made")
    })
}

fn look_at_books(folder: &Path) -> Result<String, String> {
    let mut words = String::new();
    let looked = Books::look(folder, "spot", "journal", &Booked::new());
    let opened = Books::open(folder, "spot", "journal", &Booked::new());
    for outcome_of in [looked, opened] {
        match outcome_of {
            Ok((_, findings)) => {
                let reasons = findings.bad.iter().map(|bad| bad.reason.as_str());
                let reasons: String =
                    reasons.collect::<String>().chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
                words.push_str(&format!("{} edits, bad: {reasons}", findings.edits.len()));
            }
            Err(error) => words.push_str(&outcome(&error.to_string())),
        }
    }
    Ok(words)
}

fn clear(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
}

/// `pos.db`, byte by byte.
pub fn books_file(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder("books"));
    clear(folder);
    put(&folder.join(books::FILE), input);
    look_at_books(folder)
}

/// Its corpus.
pub fn books_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    vec![made_books().clone()]
}

/// What a user writes into `pos.db`: a line each, `session symbol side qty avg_price`.
pub fn book_rows(input: &[u8]) -> Verdict {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let text = match text(input) {
        Ok(text) => text,
        Err(verdict) => return verdict,
    };
    let folder = FOLDER.get_or_init(|| folder("cells"));
    clear(folder);
    put(&folder.join(books::FILE), made_books());
    {
        let file = Connection::open(folder.join(books::FILE)).map_err(|error| error.to_string())?;
        for line in text.lines().take(40) {
            let cells: Vec<&str> = line.split('|').collect();
            let [session, symbol, side, qty, price] = cells[..] else { continue };
            // What SQLite does not take cannot stand there.
            let _ = file.execute(
                "INSERT OR REPLACE INTO position(session_id, symbol, side, qty, avg_price) VALUES(?1, ?2, ?3, ?4, ?5)",
                (session, symbol, side, qty, price),
            );
        }
    }
    let words = look_at_books(folder)?;
    let (_, findings) =
        Books::look(folder, "spot", "journal", &Booked::new()).map_err(|error| error.to_string())?;
    for edit in &findings.edits {
        // What is taken for an edit is a number a user could have meant.
        let fits = edit.found.abs() <= Qty::whole(1_000_000_000_000_000);
        law(fits, || format!("an edit to {} is taken", edit.found))?;
    }
    Ok(words)
}

/// Its corpus.
pub fn cell_seeds(_: &Corpus) -> Vec<Vec<u8>> {
    [
        "1|dogeusdt|BOTH|60|0.2",
        "2|dogeusdt|BOTH|-5.5|0.19\n3|btcusdt|BOTH|0|0",
        "1|DOGEUSDT|BOTH|1e5|\n65535|ethusdt|BOTH|1|1",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
