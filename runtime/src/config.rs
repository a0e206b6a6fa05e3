//! The configuration file: JSON with comments. Whatever is wrong with it is said with file, line and what to
//! do; nothing is guessed.

mod door;
pub mod keys;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tradingsys::ids::{Install, SessionId};
use tradingsys::jsonc::{self, nearest};
use tradingsys::limits::{Limits, form};
use tradingsys::market::SideEffect;
use tradingsys::time::Span;

use crate::Product;
use value::Table;

/// Where strategies connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// `localhost`, `127.0.0.1` or `[::1]`; with TLS any name or address of this machine, `0.0.0.0` among them.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
}

/// What the door shows to those who connect by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, those that vouch for it behind it.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// A configuration that has been read and checked. Paths are absolute or relative to the working directory.
#[derive(Clone)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// API key.
    pub apikey: String,
    /// Private key file.
    pub pem: PathBuf,
    /// Local address.
    pub local: LocalAddress,
    /// Addresses of the exchange, by name: those given, or those of the environment. Nothing else is
    /// contacted.
    pub endpoints: BTreeMap<String, String>,
    /// Directory of the stores.
    pub db: PathBuf,
    /// Install name in client order ids.
    pub install: Install,
    /// Unix socket beside the TCP port.
    pub unix_socket: Option<PathBuf>,
    /// Token of the local door, where not at its usual place.
    pub token_file: Option<PathBuf>,
    /// Sessions with a token of their own, and the files they lie in.
    pub session_tokens: BTreeMap<SessionId, PathBuf>,
    /// Token of the operator, where not beside that of the door.
    pub operator_token_file: Option<PathBuf>,
    /// Strategies connect by TLS alone.
    pub tls: Option<TlsFiles>,
    /// Web origins that may connect.
    pub allowed_origins: Vec<String>,
    /// Directory of the log files.
    pub log_dir: PathBuf,
    /// How much of the log is kept.
    pub log_bounds: tradingsys_logger::Bounds,
    /// Where monitors ask how things stand; `None`: nowhere.
    pub metrics: Option<LocalAddress>,
    /// The event loop never sleeps.
    pub spin: bool,
    /// How long the exchange may take to receive a request.
    pub recv_window: Span,
    /// How far the exchange's queries may lag behind its engine.
    pub recovery_lag: Span,
    /// How long acknowledged events are kept.
    pub retention: Span,
    /// After how many rows of the journal a snapshot of it is made; 0: never, and none is used.
    pub snapshot_rows: u64,
    /// After so many crashes in a row, each soon after its start, it starts paused; 0: never.
    pub pause_after_crashes: u32,
    /// Certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Switch an account in hedge mode to one-way mode instead of refusing it.
    pub set_one_way_mode: bool,
    /// What sessions and the account may order, hold and lose.
    pub limits: Limits,
    /// Name of the program.
    pub exe: &'static str,
    /// Market word, part of every key of the books.
    pub market: &'static str,
    /// Trade the cross-margin account, and how.
    pub margin: Option<MarginTerms>,
}

/// What orders of a margin wallet do besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginTerms {
    /// The side effect of every order.
    pub side_effect: SideEffect,
    /// Is what an order has borrowed repaid when it is cancelled?
    pub auto_repay_at_cancel: bool,
}

/// So many rows are read and folded in about a fifth of a second (`./dev bench start`).
const SNAPSHOT_ROWS: i64 = 20_000;

/// One crash may be anybody's, and a second one its echo.
const PAUSE_AFTER_CRASHES: i64 = 3;

/// A file of the log, and how many of them: two gigabytes at most.
const LOG_FILE_MB: i64 = 64;
const LOG_FILES: i64 = 32;

/// Market word of a program's margin account: another account than the program's own, with books of its own.
pub(crate) const MARGIN: &str = "margin";

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}", file = file.display())]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// What was found and what to do.
    pub problem: String,
}

/// Reads and checks a file.
///
/// # Errors
/// [`ConfigError`] names the file, the key and what to do.
pub fn load(path: &Path, product: &Product) -> Result<Config, ConfigError> {
    let wrong = |problem: String| ConfigError { file: path.to_owned(), problem };
    let text = std::fs::read_to_string(path).map_err(|error| {
        wrong(format!("cannot be read ({error}); name the configuration with -c, e.g. -c=spot.json"))
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    parse(&text, path, folder.unwrap_or(Path::new(".")), product).map_err(wrong)
}

fn parse(text: &str, file: &Path, folder: &Path, product: &Product) -> Result<Config, String> {
    let known = |key: &keys::Key| key.of.is_none() || product.keys.contains(&key.name);
    let known: Vec<keys::Key> = keys::KEYS.into_iter().filter(known).collect();
    let mut table = Table::read(&jsonc::plain(text), &known, product.exe)?;
    let apikey = api_key(&table.take_text("apikey"))?;
    let margin = margin(&mut table)?;
    let market = if margin.is_some() { MARGIN } else { product.market };
    let beside = |path: String| folder.join(path);
    let set_one_way_mode = table.take_flag("set_one_way_mode");
    let pem = table.take_text("pem").map(|name| beside_or_here(folder, &name)).unwrap_or_default();
    let install = install(table.take_text("install"), &apikey, market)?;
    let env = table.take_text("env");
    let given = table.take_addresses("endpoints");
    let own = given.is_some();
    let endpoints = endpoints(env.as_deref(), given, product)?;
    if margin.is_some() && !endpoints.contains_key("rest") {
        return Err(no_rest(env.as_deref().filter(|_| !own)));
    }
    let tls = door::tls(table.take_addresses("tls"), product.exe, folder)?;
    let token_file = table.take_text("token_file").map(beside);
    let operator_token_file = table.take_text("operator_token_file").map(beside);
    if tls.is_some() && token_file.is_none() {
        return Err(door::NO_TOKEN_FILE.to_owned());
    }
    let session_tokens = door::session_tokens(table.take_addresses("session_tokens"), folder)?;
    let others = token_file.iter().chain(session_tokens.values());
    door::operators_own(operator_token_file.as_deref(), others)?;
    Ok(Config {
        file: file.to_owned(),
        pem,
        local: door::local(&table.take_text("local").unwrap_or_default(), tls.is_some())?,
        session_tokens,
        operator_token_file,
        tls,
        endpoints,
        db: table.take_text("db").map_or_else(|| PathBuf::from("."), beside),
        install,
        unix_socket: table.take_text("unix_socket").map(beside),
        token_file,
        allowed_origins: door::origins(table.take_texts("allowed_origins"))?,
        log_dir: table.take_text("log_dir").map_or_else(|| PathBuf::from("log"), beside),
        log_bounds: log_bounds(&mut table),
        metrics: table.take_text("metrics").map(|text| door::metrics(&text)).transpose()?,
        spin: table.take_flag("spin"),
        recv_window: Span::from_millis(table.take_whole("recv_window_ms", 5_000)),
        recovery_lag: Span::from_millis(table.take_whole("recovery_lag_ms", 5_000)),
        retention: Span::from_secs(table.take_whole("retention_days", 7) * 86_400),
        snapshot_rows: table.take_whole("snapshot_rows", SNAPSHOT_ROWS).unsigned_abs(),
        pause_after_crashes: pause_after_crashes(&mut table),
        ca_file: table.take_text("ca_file").map(beside),
        set_one_way_mode,
        limits: table.take("limits").map_or_else(|| Ok(Limits::default()), |given| form::read(&given))?,
        exe: product.exe,
        market,
        margin,
        apikey,
    })
}

/// The margin account's terms, if it is to be traded.
fn margin(table: &mut Table) -> Result<Option<MarginTerms>, String> {
    let margin = table.take_flag("margin");
    let side_effect = table.take_text("side_effect");
    let auto_repay_at_cancel = table.take_choice("auto_repay_at_cancel");
    if !margin {
        let given = [
            ("side_effect", side_effect.is_some()),
            ("auto_repay_at_cancel", auto_repay_at_cancel.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!(
                "{name:?} is of the cross-margin account alone: add \"margin\": true, or remove it"
            )),
            None => Ok(None),
        };
    }
    let word = side_effect.unwrap_or_default();
    let side_effect = SideEffect::from_word(&word).unwrap_or(SideEffect::None);
    if auto_repay_at_cancel.is_some() && !side_effect.borrows() {
        return Err(format!(
            "\"auto_repay_at_cancel\" is about what orders borrow, and with side effect {side_effect} they borrow nothing: \
             remove it, or choose {} or {}",
            SideEffect::MarginBuy,
            SideEffect::AutoBorrowRepay
        ));
    }
    Ok(Some(MarginTerms { side_effect, auto_repay_at_cancel: auto_repay_at_cancel.unwrap_or(true) }))
}

/// Cross margin is traded over REST, which not every environment has; no environment where endpoints are given.
fn no_rest(env: Option<&str>) -> String {
    match env {
        Some(env) => format!(
            "\"margin\": true: the exchange has no cross margin in env {env:?}; use \"live\", or give \"endpoints\" of \
             a simulated exchange, with \"rest\""
        ),
        None => "\"endpoints.rest\" is missing; with \"margin\": true orders go over it".to_owned(),
    }
}

fn log_bounds(table: &mut Table) -> tradingsys_logger::Bounds {
    let megabytes = table.take_whole("log_file_mb", LOG_FILE_MB).unsigned_abs();
    let files = table.take_whole("log_files", LOG_FILES).unsigned_abs();
    tradingsys_logger::Bounds { file_bytes: megabytes << 20, files: usize::try_from(files).unwrap_or(0) }
}

fn pause_after_crashes(table: &mut Table) -> u32 {
    u32::try_from(table.take_whole("pause_after_crashes", PAUSE_AFTER_CRASHES)).unwrap_or(0)
}

/// Beside the configuration, or, if it is not there, in the working directory.
fn beside_or_here(folder: &Path, name: &str) -> PathBuf {
    let beside = folder.join(name);
    if !beside.exists() && Path::new(name).exists() { PathBuf::from(name) } else { beside }
}

fn api_key(text: &Option<String>) -> Result<String, String> {
    let key = text.clone().unwrap_or_default();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "\"apikey\" must be the key's text as the exchange shows it, with no blanks in it".to_owned()
        );
    }
    Ok(key)
}

fn install(configured: Option<String>, apikey: &str, market: &str) -> Result<Install, String> {
    if let Some(text) = configured {
        return text.parse().map_err(|_| {
            format!(
                "\"install\": {text:?} is no install name: five characters of {}",
                "0123456789bcdfghjkmnpqrstvwxyz"
            )
        });
    }
    let digest = Sha256::digest(format!("{apikey}:{market}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Ok(Install::from_hash(u64::from_be_bytes(first)))
}

fn endpoints(
    env: Option<&str>,
    given: Option<BTreeMap<String, String>>,
    product: &Product,
) -> Result<BTreeMap<String, String>, String> {
    let env = env.unwrap_or(product.environments[0]);
    let Some(column) = product.environments.iter().position(|known| *known == env) else {
        return Err(format!("\"env\": {env:?} is none of {}", product.environments.join(", ")));
    };
    let Some(given) = given else {
        let known = product.endpoints.iter();
        return Ok(known
            .filter_map(|endpoint| endpoint.urls.get(column).map(|url| (endpoint, *url)))
            .map(|(endpoint, url)| (endpoint.name.to_owned(), url.to_owned()))
            .collect());
    };
    let names: Vec<&str> = product.endpoints.iter().map(|endpoint| endpoint.name).collect();
    for (name, url) in &given {
        if !names.contains(&name.as_str()) {
            let near = nearest(name, names.iter().copied());
            return Err(value::unknown(&format!("endpoints.{name}"), product.exe, near, &names));
        }
        let schemes: &[&str] = if matches!(name.as_str(), "rest" | "sapi") {
            &["http://", "https://"]
        } else {
            &["ws://", "wss://"]
        };
        if !schemes.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
            return Err(format!(
                "\"endpoints.{name}\": {url:?} does not begin with {}",
                schemes.join(" or ")
            ));
        }
    }
    match product.endpoints.iter().find(|endpoint| endpoint.needed && !given.contains_key(endpoint.name)) {
        Some(missing) => Err(format!("\"endpoints.{}\" is missing; without it nothing works", missing.name)),
        None => Ok(given),
    }
}

#[cfg(test)]
mod tests;
