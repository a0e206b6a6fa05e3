//! What a simulator is told at its start.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use binance_wire::sign::{SecretKey, SignatureChecker};
use serde::Deserialize;
use tradingsys::exchange::Rate;
use tradingsys::ids::{Asset, Symbol};
use tradingsys::num::Cash;
use tradingsys::time::Span;

pub use crate::futures::streams::Unrouted;
use crate::listings::Spec;
use crate::recording::Recording;
use crate::weather::Weather;

/// Everything the machine is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seed of the market, the random ids, the order of replies and events, and the faults.
    pub seed: u64,
    /// Accounts and their keys.
    pub accounts: Vec<AccountConfig>,
    /// Lengths of time of the protocol.
    pub timing: Timing,
    /// Rate limits.
    pub limits: Limits,
    /// Whether a reply comes before the private events it caused.
    pub reply_order: ReplyOrder,
    /// Changes of the synthetic market per second and symbol; 0 stands still.
    pub ticks_per_second: u32,
    /// A recorded market that is shown instead of the synthetic one of its symbol.
    pub replay: Option<Arc<Recording>>,
    /// Recorded time passes so many times faster than time does.
    pub replay_speed: i64,
    /// What streams of futures without a route carry.
    pub unrouted: Unrouted,
    /// The symbols that are listed. A perpetual wants its underlying on spot: that is its index.
    pub listed: Listed,
    /// What goes wrong from the start on.
    pub weather: Weather,
    /// How far back the venue answers.
    pub retention: Retention,
}

/// How long after its end an order, and after it was made a trade, can still be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// An order of spot without a fill: -2026 afterwards.
    pub spot_unfilled: Span,
    /// An order of futures without a fill: -2013 afterwards.
    pub futures_unfilled: Span,
    /// Any order of futures.
    pub futures_orders: Span,
    /// A trade of futures.
    pub futures_trades: Span,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: i64| Span::from_secs(days * 86_400);
        Self {
            spot_unfilled: days(90),
            futures_unfilled: days(3),
            futures_orders: days(90),
            futures_trades: days(90),
        }
    }
}

impl Retention {
    /// All lengths divided by `times` (at least a millisecond each).
    #[must_use]
    pub fn shorter(self, times: i64) -> Self {
        let cut = |span: Span| Span::from_nanos((span.nanos() / times.max(1)).max(1_000_000));
        Self {
            spot_unfilled: cut(self.spot_unfilled),
            futures_unfilled: cut(self.futures_unfilled),
            futures_orders: cut(self.futures_orders),
            futures_trades: cut(self.futures_trades),
        }
    }
}

/// The symbols listed of each market; the usual five if `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// On spot, where there are `C00USDT` to `C99USDT` besides.
    pub spot: Option<BTreeSet<Symbol>>,
    /// On futures.
    pub futures: Option<BTreeSet<Symbol>>,
}

impl Listed {
    /// The usual symbols, and the first so many of the made-up ones on spot.
    #[must_use]
    pub fn with_more(more: u16) -> Self {
        let all = Spec::usual().iter().chain(Spec::made_up().iter().take(more.into()));
        Self { spot: (more > 0).then(|| all.map(Spec::symbol_name).collect()), futures: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: Vec::new(),
            timing: Timing::default(),
            limits: Limits::default(),
            reply_order: ReplyOrder::Random,
            ticks_per_second: 10,
            replay: None,
            replay_speed: 1,
            unrouted: Unrouted::default(),
            listed: Listed::default(),
            weather: Weather::default(),
            retention: Retention::default(),
        }
    }
}

/// Which comes first on a connection: the reply to an order, or the events of it. The venue promises neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyOrder {
    /// Drawn anew for each request.
    #[default]
    Random,
    /// Always the reply.
    ReplyFirst,
    /// Always the events.
    EventsFirst,
}

/// Lengths of time of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two pings.
    pub ping: Span,
    /// In which a ping must be answered.
    pub pong: Span,
    /// Life of a connection.
    pub life: Span,
    /// Between `serverShutdown` and the end of the connections.
    pub shutdown_notice: Span,
    /// Length of the first ban.
    pub ban: Span,
    /// Between two pings on futures.
    pub futures_ping: Span,
    /// In which a ping on futures must be answered.
    pub futures_pong: Span,
    /// Life of a listen key after it was last extended.
    pub listen_key: Span,
    /// Longest life of a listen token.
    pub listen_token: Span,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping: Span::from_secs(20),
            pong: Span::from_secs(60),
            life: Span::from_secs(24 * 3600),
            shutdown_notice: Span::from_secs(10),
            ban: Span::from_secs(120),
            futures_ping: Span::from_secs(180),
            futures_pong: Span::from_secs(600),
            listen_key: Span::from_secs(3_600),
            listen_token: Span::from_secs(24 * 3_600),
        }
    }
}

impl Timing {
    /// All lengths divided by `times` (at least a millisecond each).
    #[must_use]
    pub fn faster(self, times: i64) -> Self {
        let cut = |span: Span| Span::from_nanos((span.nanos() / times.max(1)).max(1_000_000));
        Self {
            ping: cut(self.ping),
            pong: cut(self.pong),
            life: cut(self.life),
            shutdown_notice: cut(self.shutdown_notice),
            ban: cut(self.ban),
            futures_ping: cut(self.futures_ping),
            futures_pong: cut(self.futures_pong),
            listen_key: cut(self.listen_key),
            listen_token: cut(self.listen_token),
        }
    }
}

/// Rate limits. The windows are the venue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request weight per address and minute.
    pub weight_per_minute: u32,
    /// Requests per address and five minutes.
    pub requests_per_5m: u32,
    /// Unfilled orders per account and ten seconds.
    pub orders_per_10s: u32,
    /// Unfilled orders per account and day.
    pub orders_per_day: u32,
    /// New connections per address and five minutes.
    pub connections_per_5m: u32,
    /// Frames per second a client may send on a stream connection.
    pub stream_frames_per_second: u32,
    /// Refused requests within a window after which the address is banned.
    pub ban_after: u32,
    /// Weight of margin per endpoint, account and minute; an address has a fifteenth of it.
    pub margin_weight: u32,
    /// Those of futures; connections and bans are limited as on spot.
    pub futures: FuturesLimits,
}

/// Rate limits of futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuturesLimits {
    /// Request weight per address and minute.
    pub weight_per_minute: u32,
    /// Orders per account and ten seconds.
    pub orders_per_10s: u32,
    /// Orders per account and minute.
    pub orders_per_minute: u32,
    /// Frames per second a client may send on a stream connection.
    pub stream_frames_per_second: u32,
}

impl Default for FuturesLimits {
    fn default() -> Self {
        Self {
            weight_per_minute: 2_400,
            orders_per_10s: 300,
            orders_per_minute: 1_200,
            stream_frames_per_second: 10,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weight_per_minute: 6_000,
            requests_per_5m: 300_000,
            orders_per_10s: 100,
            orders_per_day: 200_000,
            connections_per_5m: 300,
            stream_frames_per_second: 5,
            ban_after: 100,
            margin_weight: 180_000,
            futures: FuturesLimits::default(),
        }
    }
}

/// One account and its key.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Its name in the journals and the control interface.
    pub name: String,
    /// The API key.
    pub api_key: String,
    /// Checks the key's signatures.
    pub checker: SignatureChecker,
    /// May the key place and cancel orders?
    pub may_trade: bool,
    /// What it owns at the start.
    pub balances: Vec<(Asset, Cash)>,
    /// Fee rate of fills that rested, charged in what is received.
    pub maker_fee: Rate,
    /// Fee rate of fills that took.
    pub taker_fee: Rate,
    /// Fees are paid in BNB, with the venue's discount, while there is enough of it.
    pub pays_in_bnb: bool,
    /// Its wallets beside the spot one.
    pub wallets: Wallets,
}

/// What an account has beside its spot wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallets {
    /// USDT in the futures wallet at the start.
    pub futures: Cash,
    /// Fee rate on futures of fills that rested.
    pub futures_maker_fee: Rate,
    /// Fee rate on futures of fills that took.
    pub futures_taker_fee: Rate,
}

impl Default for Wallets {
    fn default() -> Self {
        Self {
            futures: Cash::whole(100_000),
            futures_maker_fee: Rate::basis_points(2),
            futures_taker_fee: Rate::basis_points(5),
        }
    }
}

/// An entry of the accounts file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountEntry {
    name: String,
    apikey: String,
    public_key_pem: Option<String>,
    hmac_secret: Option<String>,
    balances: Option<std::collections::BTreeMap<String, String>>,
    permissions: Option<Vec<String>>,
    maker_fee: Option<String>,
    taker_fee: Option<String>,
    pays_in_bnb: Option<bool>,
    futures_balance: Option<String>,
    futures_maker_fee: Option<String>,
    futures_taker_fee: Option<String>,
}

/// Why accounts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAccounts {
    /// Not the expected JSON.
    #[error(
        "the accounts are not a JSON list of {{name, apikey, public_key_pem | hmac_secret, balances, …}}: {0}"
    )]
    Json(#[from] serde_json::Error),
    /// A field cannot be used.
    #[error("account {name}: {problem}")]
    Field {
        /// Which account.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// What an account owns unless its entry says otherwise.
pub const USUAL_BALANCES: [(&str, &str); 6] =
    [("USDT", "100000"), ("BTC", "2"), ("ETH", "30"), ("BNB", "100"), ("SOL", "500"), ("DOGE", "200000")];

/// Fee of both sides unless an entry says otherwise: 0.1 %.
pub const USUAL_FEE: Rate = Rate::basis_points(10);

/// Reads the accounts file.
///
/// # Errors
/// [`BadAccounts`] names the account and the field.
pub fn parse_accounts(json: &str) -> Result<Vec<AccountConfig>, BadAccounts> {
    let entries: Vec<AccountEntry> = serde_json::from_str(json)?;
    entries.into_iter().map(account).collect()
}

fn account(entry: AccountEntry) -> Result<AccountConfig, BadAccounts> {
    let name = entry.name;
    let wrong = |problem: String| BadAccounts::Field { name: name.clone(), problem };
    let checker = match (&entry.public_key_pem, &entry.hmac_secret) {
        (Some(pem), None) => checker_of_pem(pem).map_err(wrong)?,
        (None, Some(secret)) => SecretKey::from_secret(secret).checker(),
        _ => return Err(wrong("give either public_key_pem or hmac_secret".into())),
    };
    let fee = |text: &Option<String>, usual: Rate| match text {
        None => Ok(usual),
        Some(text) => text.parse::<Rate>().map_err(|e| wrong(format!("fee {text:?}: {e}"))),
    };
    let mut balances = Vec::new();
    match &entry.balances {
        None => balances.extend(usual_balances()),
        Some(map) => {
            for (asset, amount) in map {
                let amount =
                    amount.parse().map_err(|e| wrong(format!("balance of {asset}: {amount:?}: {e}")))?;
                balances.push((Asset::new(asset), amount));
            }
        }
    }
    let usual = Wallets::default();
    let futures = match &entry.futures_balance {
        None => usual.futures,
        Some(text) => text.parse().map_err(|e| wrong(format!("futures_balance {text:?}: {e}")))?,
    };
    let wallets = Wallets {
        futures,
        futures_maker_fee: fee(&entry.futures_maker_fee, usual.futures_maker_fee)?,
        futures_taker_fee: fee(&entry.futures_taker_fee, usual.futures_taker_fee)?,
    };
    Ok(AccountConfig {
        checker,
        may_trade: entry.permissions.as_ref().is_none_or(|list| list.iter().any(|p| p == "TRADE")),
        balances,
        maker_fee: fee(&entry.maker_fee, USUAL_FEE)?,
        taker_fee: fee(&entry.taker_fee, USUAL_FEE)?,
        wallets,
        pays_in_bnb: entry.pays_in_bnb.unwrap_or(false),
        api_key: entry.apikey,
        name: name.clone(),
    })
}

/// The usual balances as exact numbers.
pub fn usual_balances() -> impl Iterator<Item = (Asset, Cash)> {
    USUAL_BALANCES
        .iter()
        .map(|(asset, amount)| (Asset::new(asset), amount.parse().expect("the constants are plain decimals")))
}

/// The checker of an Ed25519 public key in PEM (`BEGIN PUBLIC KEY`).
///
/// # Errors
/// What is wrong with it, in words.
pub fn checker_of_pem(pem: &str) -> Result<SignatureChecker, String> {
    const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64.decode(body).map_err(|_| "the public key is not PEM".to_owned())?;
    let key = der.strip_prefix(&PREFIX).and_then(|key| <&[u8; 32]>::try_from(key).ok());
    key.and_then(SignatureChecker::from_public)
        .ok_or_else(|| "the public key is not an Ed25519 key".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10.1.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn accounts_are_read() {
        let json = serde_json::json!([
            {"name": "a", "apikey": "k1", "public_key_pem": PEM, "balances": {"USDT": "10000"}},
            {"name": "b", "apikey": "k2", "hmac_secret": "s", "permissions": ["USER_DATA"],
                "taker_fee": "0.002"},
        ]);
        let accounts = parse_accounts(&json.to_string()).unwrap();
        assert_eq!(accounts[0].balances, [(Asset::new("USDT"), Cash::whole(10_000))]);
        assert!(accounts[0].may_trade && !accounts[1].may_trade);
        assert_eq!(accounts[1].taker_fee, Rate::basis_points(20));
        assert_eq!(accounts[1].maker_fee, Rate::basis_points(10));
        assert_eq!(accounts[1].balances.len(), USUAL_BALANCES.len());
    }

    #[test]
    fn bad_accounts_say_what_is_wrong() {
        for (json, part) in [
            ("{", "JSON list"),
            (r#"[{"name":"a","apikey":"k"}]"#, "account a: give either"),
            (r#"[{"name":"a","apikey":"k","public_key_pem":"xx!"}]"#, "not PEM"),
            (r#"[{"name":"a","apikey":"k","public_key_pem":"AAAA"}]"#, "not an Ed25519"),
            (r#"[{"name":"a","apikey":"k","hmac_secret":"s","balances":{"USDT":"1e5"}}]"#, "balance of USDT"),
            (r#"[{"name":"a","apikey":"k","hmac_secret":"s","colour":1}]"#, "colour"),
        ] {
            let text = parse_accounts(json).unwrap_err().to_string();
            assert!(text.contains(part), "{json}: {text}");
        }
    }

    #[test]
    fn faster_divides_every_length() {
        let fast = Timing::default().faster(1000);
        assert_eq!((fast.ping, fast.life), (Span::from_millis(20), Span::from_millis(86_400)));
    }
}
