//! The command line.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use binance_sim::config::{
    self, AccountConfig, Config, FuturesLimits, Limits, ReplyOrder, Timing, USUAL_FEE, checker_of_pem,
    parse_accounts, usual_balances,
};
use binance_sim::{Recording, Weather};
use binance_wire::sign::SecretKey;
use clap::{Parser, ValueEnum};
use flate2::read::MultiGzDecoder;
use tradingsys::jsonc;

/// A Binance-compatible simulated exchange on loopback: REST, websocket API and streams on one port.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port to listen on; 0 takes a free one, named on the standard output.
    #[arg(long, default_value_t = 9080)]
    pub(crate) port: u16,
    /// An account: `name:apikey:public-key.pem`, or `name:apikey::hmac-secret`. May be given several times.
    #[arg(long = "account", value_name = "NAME:KEY:PEM[:SECRET]")]
    pub(crate) accounts: Vec<String>,
    /// A JSON file of accounts: `[{"name", "apikey", "public_key_pem" | "hmac_secret", "balances", …}]`.
    #[arg(long = "accounts", value_name = "FILE")]
    pub(crate) accounts_file: Option<PathBuf>,
    /// Seed of the market and of everything random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Directory of the journals (`trades.jsonl`, `orders.jsonl`, …).
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Changes of the synthetic market per second and symbol; 0 stands still.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) ticks_per_second: u32,
    /// A recorded market to show, one frame a line, plain or gzip.
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// What goes wrong: a script of rules (JSON, comments allowed), or the `faults.jsonl` of an earlier run, whose
    /// strikes are struck again.
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Write every strike of this run there, to be given to `--faults`.
    #[arg(long, value_name = "FILE")]
    pub(crate) record_faults: Option<PathBuf>,
    /// List so many made-up spot symbols besides, C00USDT to C99USDT.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) more_symbols: u16,
    /// Divides how far back ended orders and trades can be asked for (days to months).
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) retention_scale: i64,
    /// Recorded time passes so many times faster than time does.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) replay_speed: i64,
    /// Divides the lengths of pings, connection lives, notices and bans.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) time_scale: i64,
    /// Request weight per minute and address, on spot and futures.
    #[arg(long, value_name = "N")]
    pub(crate) weight_limit: Option<u32>,
    /// Unfilled orders on spot, orders on futures, per ten seconds and account.
    #[arg(long, value_name = "N")]
    pub(crate) order_limit: Option<u32>,
    /// New connections per five minutes and address.
    #[arg(long, value_name = "N")]
    pub(crate) connection_limit: Option<u32>,
    /// Which comes first: the reply to an order or its private events.
    #[arg(long, value_enum, default_value_t = Order::Random)]
    pub(crate) reply_order: Order,
    /// What streams of futures without a route carry.
    #[arg(long, value_enum, default_value_t = Unrouted::Public)]
    pub(crate) unrouted: Unrouted,
}

/// What streams of futures without a route carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unrouted {
    /// Everything.
    All,
    /// What the public route carries.
    Public,
    /// Nothing.
    None,
}

/// Order of a reply and the events it caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Drawn anew for each request.
    Random,
    /// The reply first.
    Reply,
    /// The events first.
    Events,
}

impl Options {
    fn futures_limits(&self, usual: FuturesLimits) -> FuturesLimits {
        // Of a minute's orders the venue takes four times ten seconds'.
        let minute = self.order_limit.map(|limit| limit.saturating_mul(4));
        FuturesLimits {
            weight_per_minute: self.weight_limit.unwrap_or(usual.weight_per_minute),
            orders_per_10s: self.order_limit.unwrap_or(usual.orders_per_10s),
            orders_per_minute: minute.unwrap_or(usual.orders_per_minute),
            ..usual
        }
    }

    /// The machine's configuration.
    ///
    /// # Errors
    /// What cannot be used, in words.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let mut accounts = Vec::new();
        if let Some(path) = &self.accounts_file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read the accounts file {}: {error}", path.display()))?;
            accounts = parse_accounts(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        for text in &self.accounts {
            accounts.push(account(text)?);
        }
        let usual = Limits::default();
        let limits = Limits {
            weight_per_minute: self.weight_limit.unwrap_or(usual.weight_per_minute),
            orders_per_10s: self.order_limit.unwrap_or(usual.orders_per_10s),
            connections_per_5m: self.connection_limit.unwrap_or(usual.connections_per_5m),
            futures: self.futures_limits(usual.futures),
            ..usual
        };
        Ok(Config {
            seed: self.seed,
            accounts,
            timing: Timing::default().faster(self.time_scale),
            limits,
            reply_order: match self.reply_order {
                Order::Random => ReplyOrder::Random,
                Order::Reply => ReplyOrder::ReplyFirst,
                Order::Events => ReplyOrder::EventsFirst,
            },
            ticks_per_second: self.ticks_per_second,
            replay: self.replay.as_deref().map(recording).transpose()?,
            replay_speed: self.replay_speed,
            unrouted: match self.unrouted {
                Unrouted::All => config::Unrouted::All,
                Unrouted::Public => config::Unrouted::Public,
                Unrouted::None => config::Unrouted::None,
            },
            retention: config::Retention::default().shorter(self.retention_scale),
            listed: config::Listed::with_more(self.more_symbols),
            weather: self.faults.as_deref().map(weather).transpose()?.unwrap_or_default(),
        })
    }
}

/// Reads what goes wrong.
fn weather(path: &Path) -> Result<Weather, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Weather::parse(&jsonc::plain(&text)).map_err(|error| wrong(&error))
}

/// Reads a recording.
fn recording(path: &Path) -> Result<Arc<Recording>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)
    } else {
        bytes.as_slice().read_to_string(&mut text)
    };
    read.map_err(|error| wrong(&error))?;
    Recording::parse(&text).map(Arc::new).map_err(|error| wrong(&error))
}

fn account(text: &str) -> Result<AccountConfig, String> {
    let mut parts = text.splitn(4, ':');
    let (Some(name), Some(key), Some(pem)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("--account {text:?} is not of the form name:apikey:public-key.pem[:secret]"));
    };
    if name.is_empty() || key.is_empty() {
        return Err(format!(
            "--account {text:?} lacks the name or the API key; the form is name:apikey:public-key.pem"
        ));
    }
    let checker = match (pem, parts.next()) {
        ("", Some(secret)) => SecretKey::from_secret(secret).checker(),
        (path, None) if !path.is_empty() => {
            let pem = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read the public key {path} of account {name}: {error}"))?;
            checker_of_pem(&pem).map_err(|problem| format!("account {name}: {problem}"))?
        }
        _ => return Err(format!("account {name} needs a public key file or a secret, not both")),
    };
    Ok(AccountConfig {
        name: name.to_owned(),
        api_key: key.to_owned(),
        checker,
        may_trade: true,
        balances: usual_balances().collect(),
        maker_fee: USUAL_FEE,
        taker_fee: USUAL_FEE,
        pays_in_bnb: false,
        wallets: binance_sim::config::Wallets::default(),
    })
}
