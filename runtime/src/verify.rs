//! `verify`: the journal's chain, and the books as the journal's fold against what `pos.db` was given, and if asked
//! against the exchange; and a start from the snapshot against one from all records. The gateway must be stopped.

mod history;
mod online;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use tradingsys::gateway::Gateway;
use tradingsys::gateway::io::{Output, Projection};
use tradingsys::journal::Record;
use tradingsys::time::Time;

use crate::cli::show;
use crate::clock::Clock;
use crate::config::Config;
use crate::exit::Exit;
use crate::files::FolderLock;
use crate::key::passphrase::Source;
use crate::store::books::{self, Booked, Books};
use crate::store::chain::hex;
use crate::store::journal::{self, Journal};
use crate::store::snapshot as store;
use crate::{Connect, Product, VenueSetup, check, run};

/// Checks both stores and prints a line for each; with `online`, which opens the key, the exchange's word, too.
pub(crate) fn verify(
    product: &'static Product,
    connect: Connect,
    file: &Path,
    online: Option<&Source>,
) -> Result<(), Exit> {
    let config = run::configured(product, file)?;
    let lost = books::outlived_its_journal(&config.db, config.market)?;
    if !config.db.join(journal::FILE).exists() {
        let nothing = format!("no {} in {}; nothing to verify", journal::FILE, config.db.display());
        let advice = if lost { format!(". {}", books::JOURNAL_TO_BE_LOST) } else { String::new() };
        return Err(Exit::configuration(nothing + &advice));
    }
    let _lock = FolderLock::take(&config.db)?;
    let (journal, found) = Journal::look(&config.db)?;
    let compacted = match found.emptied {
        0 => String::new(),
        count => format!("; {count} of them without text, as \"compact\" leaves them"),
    };
    show(&format!("ok   journal: {} records, every checksum holds{compacted}", journal.last_seq()));
    if found.older {
        show(&format!("warn journal: {}", check::OLDER));
    }
    let now = Clock::new().now();
    let started = |records: &[Record]| {
        // The machines are never given a link, so a key made up here signs nothing.
        let key = SigningKey::from_bytes(&[1; 32]);
        let (feed, entry) = connect(VenueSetup { config: &config, key, seed: 0, only_looks: true });
        let made = run::gateway_config(&config, String::new(), 0);
        let mut out = Vec::new();
        Gateway::new(made, records, Vec::new(), Vec::new(), feed, entry, now, &mut out)
            .map(|gateway| (gateway, out))
            .map_err(|error| Exit::configuration(error.to_string()))
    };
    let (mut gateway, out) = started(&found.records)?;
    let recalled = snapshot(&config, now, (&gateway, &out), started);
    let folded = projected(&mut gateway, now, out);
    let booked = books::booked(&found.records);
    let shown = window(&config, &journal, &booked, &gateway, &folded);
    let told = online.map_or(Ok(()), |passphrase| {
        online::compare(connect, &config, &gateway, (&found.records, now), passphrase)
    });
    recalled.and(shown).and(told)
}

/// A start from the snapshot, if there is one that would be used, against the start from all records.
fn snapshot(
    config: &Config,
    now: Time,
    all: (&Gateway, &Vec<Output>),
    started: impl Fn(&[Record]) -> Result<(Gateway, Vec<Output>), Exit>,
) -> Result<(), Exit> {
    if config.snapshot_rows == 0 || !config.db.join(store::FILE).exists() {
        return Ok(());
    }
    let (_, found) = Journal::look_from_snapshot(&config.db, config.retention, now)?;
    if let Some(reason) = found.passed_over {
        show(&format!("warn snapshot: {reason}; the next start reads every record instead"));
        return Ok(());
    }
    let (row, records) = found.taken;
    let (gateway, out) = started(&found.records)?;
    if sum(all.0, all.1) == sum(&gateway, &out) {
        show(&format!("ok   snapshot: of record {row}, {records} records; a start from it is one from all"));
        return Ok(());
    }
    let advice = format!("delete {}, and report it", store::FILE);
    show(&format!("fail snapshot: of record {row}; a start from it is not one from all records; {advice}"));
    Err(Exit::configuration(format!("{} is not what the journal makes", store::FILE)))
}

/// A checksum over all that a gateway knows and does.
fn sum(gateway: &Gateway, out: &[Output]) -> String {
    struct Sum(Sha256);
    impl Write for Sum {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }
    let mut sum = Sum(Sha256::new());
    let _ = write!(sum, "{gateway:?} {out:?}");
    hex(&sum.0.finalize())
}

/// What `pos.db` shows, against the fold.
fn window(
    config: &Config,
    journal: &Journal,
    booked: &Booked,
    gateway: &Gateway,
    folded: &Projection,
) -> Result<(), Exit> {
    if !config.db.join(books::FILE).exists() {
        show(&format!("ok   books: no {}; the next start makes it", books::FILE));
        return Ok(());
    }
    let (shown, findings) = Books::look(&config.db, config.market, journal.id(), booked)?;
    for edit in &findings.edits {
        let known = gateway.books().listing(&edit.symbol).is_some();
        let when =
            if known { "taken at the next start" } else { "taken at the next start if the exchange has it" };
        show(&format!(
            "ok   edit: session {} {}: {} was shown, {} found; {when}",
            edit.session, edit.symbol, edit.shown, edit.found
        ));
    }
    for edit in &findings.taken_back {
        show(&format!(
            "ok   edit: session {} {}: one that was booked and never shown is taken back at the next start, {} found",
            edit.session, edit.symbol, edit.found
        ));
    }
    let readable = findings.bad.iter().all(|bad| bad.symbol.is_some());
    let mut wrong: Vec<String> = findings.bad.into_iter().map(|bad| bad.reason).collect();
    let behind = findings.applied.is_none_or(|applied| applied.seq < journal.last_seq());
    let differing = if readable { differences(folded, &shown) } else { Vec::new() };
    let state = match (behind, differing.len()) {
        (_, 0) => "as folded".to_owned(),
        // The latest records had not been shown when the gateway ended.
        (true, count) => {
            format!(
                "{count} of them older in pos.db than in the journal; the next start brings them up to date"
            )
        }
        (false, _) => {
            wrong.extend(differing);
            String::new()
        }
    };
    if wrong.is_empty() {
        show(&format!("ok   books: {} positions, {state}", folded.positions.len()));
        return Ok(());
    }
    for reason in &wrong {
        show(&format!("fail books: {reason}"));
    }
    Err(Exit::configuration(format!("{} differences between journal.db and pos.db", wrong.len())))
}

/// What the gateway shows once its first batch counts as committed. Nothing is written.
fn projected(gateway: &mut Gateway, now: Time, mut out: Vec<Output>) -> Projection {
    let mut rows = Projection::default();
    while !out.is_empty() {
        for output in std::mem::take(&mut out) {
            match output {
                Output::Project(more) => rows = more,
                Output::Commit(batch) => {
                    let committed = tradingsys::gateway::io::Input::Committed(batch.id);
                    gateway.handle(now, committed, &mut out);
                }
                _ => {}
            }
        }
    }
    rows
}

fn differences(folded: &Projection, shown: &Books) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left: BTreeMap<_, _> = shown.shown_quantities();
    for row in &folded.positions {
        let key = (row.session, row.symbol.clone());
        let here = left.remove(&key).unwrap_or_else(|| "0".into());
        if here != row.qty.to_string() {
            wrong.push(format!(
                "session {} {}: the journal makes {}, pos.db was given {here}",
                row.session, row.symbol, row.qty
            ));
        }
    }
    for ((session, symbol), qty) in left {
        if qty != "0" {
            wrong.push(format!("session {session} {symbol}: not in the journal, pos.db was given {qty}"));
        }
    }
    wrong
}
