//! All targets. One reads an input as one parser or machine of the product does, and holds what follows to laws.

pub mod exchange;
pub mod files;
pub mod local;
pub mod machines;
pub mod simulator;

use crate::corpus::Corpus;
use crate::mutate::Form;

/// What became of an input, in words of which digits do not count; or the law it breaks.
pub type Verdict = Result<String, String>;

/// One of [`ALL`].
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line, and of its folder of cases.
    pub name: &'static str,
    /// What it reads.
    pub reads: &'static str,
    /// How its inputs are built.
    pub form: Form,
    /// How often it runs in the tests: what takes longer is run less.
    pub in_tests: u32,
    /// Where its inputs begin.
    pub seeds: fn(&Corpus) -> Vec<Vec<u8>>,
    /// Runs it.
    pub run: fn(&[u8]) -> Verdict,
}

macro_rules! targets {
    ($($name:literal $form:ident $in_tests:literal $seeds:path => $run:path, $reads:literal;)*) => {
        /// The list.
        pub const ALL: &[Target] = &[$(Target {
            name: $name, reads: $reads, form: Form::$form, in_tests: $in_tests, seeds: $seeds, run: $run,
        },)*];
    };
}

targets! {
    "market-frames" Json 2_000 exchange::market_seeds => exchange::market, "frames of the market-data hosts and what is in them";
    "binary-frames" Bytes 2_000 exchange::binary_seeds => exchange::binary, "frames of the market-data host that speaks binary";
    "api-frames" Json 2_000 exchange::api_seeds => exchange::api, "frames of the websocket API: replies, events, errors";
    "private-events" Json 2_000 exchange::api_seeds => exchange::private, "events of the account, of spot, futures and margin";
    "answers" Json 2_000 exchange::answer_seeds => exchange::answers, "results of questions, over websocket API and REST alike";
    "listings" Json 200 exchange::listing_seeds => exchange::listings, "symbols, filters and limits (exchangeInfo)";
    "rest-replies" Lines 1_000 exchange::rest_seeds => exchange::rest, "status, header fields and errors of REST";
    "calls" Json 2_000 local::call_seeds => local::calls, "frames of a client, as a gateway reads them";
    "local-frames" Json 2_000 local::frame_seeds => local::frames, "frames of a gateway, as a client reads them";
    "operator" Lines 1_000 local::operator_seeds => local::operator, "frames of a gateway, as an operator's client reads them";
    "ids" Text 2_000 local::id_seeds => local::ids, "order ids, install names, proofs";
    "numbers" Text 2_000 local::number_seeds => local::numbers, "prices, quantities, amounts, rates, words of the vocabulary";
    "jsonc" Json 2_000 files::jsonc_seeds => files::jsonc, "JSON with comments";
    "configuration" Json 400 files::config_seeds => files::configuration, "spot.json and usdt.json";
    "key-file" Bytes 400 files::key_seeds => files::key_file, "private_key.pem, encrypted or not";
    "key-structure" Bytes 400 files::der_seeds => files::key_structure, "what is inside of a PEM: PKCS#8, PBES2";
    "records" Json 2_000 files::record_seeds => files::records, "a record of the journal";
    "journal-rows" Lines 30 files::row_seeds => files::rows, "journal.db: rows under a right chain of checksums, and what a start makes of them";
    "journal-file" Bytes 30 files::journal_seeds => files::journal_file, "journal.db, byte by byte";
    "snapshot-file" Lines 30 files::snapshot_seeds => files::snapshot, "journal.snapshot";
    "books-file" Bytes 20 files::books_seeds => files::books_file, "pos.db, byte by byte";
    "book-rows" Lines 20 files::cell_seeds => files::book_rows, "pos.db: what a user writes into its rows";
    "stop-files" Json 400 files::stop_seeds => files::stop, "stop.json, KILL, crashes.json and epoch.json, which a restart must not forget";
    "recording" Lines 200 simulator::recording_seeds => simulator::recording, "a recorded market";
    "weather" Json 1_000 simulator::weather_seeds => simulator::weather, "scripts and recordings of faults";
    "exchange-files" Lines 20 simulator::file_seeds => simulator::files, "the files a simulated exchange goes on from";
    "sim-spot" Lines 4 simulator::spot_seeds => simulator::spot, "requests to the simulated exchange: spot";
    "sim-usdt" Lines 4 simulator::usdt_seeds => simulator::usdt, "requests to the simulated exchange: futures";
    "sim-margin" Lines 4 simulator::margin_seeds => simulator::margin, "requests to the simulated exchange: margin";
    "gateway-spot" Lines 6 machines::spot_seeds => machines::spot, "all that a gateway of spot hears, of the exchange and of its clients";
    "gateway-usdt" Lines 6 machines::usdt_seeds => machines::usdt, "the same of futures";
    "gateway-margin" Lines 6 machines::margin_seeds => machines::margin, "the same of cross margin";
    "client" Lines 30 machines::client_seeds => machines::client, "all that the SDK's machine hears of a gateway";
}

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// An input as text, or the outcome of one that is none.
pub(crate) fn text(input: &[u8]) -> Result<&str, Verdict> {
    std::str::from_utf8(input).map_err(|_| Ok("no UTF-8".to_owned()))
}

/// A law.
pub(crate) fn law(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}

/// The beginning of a text, for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}
