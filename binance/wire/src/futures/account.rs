//! Private facts besides orders: balances, positions, payments, how the account is set up.

use std::borrow::Cow;

use serde::Deserialize;
use tradingsys::ids::{Asset, Symbol};
use tradingsys::journal::ChargeKind;
use tradingsys::num::{Cash, Price, Rate};
use tradingsys::time::Time;
use tradingsys::venue::port::{Account, Balance, FundingRate, Income, OrderReport};

use super::loose::loose;
use super::order::{conditional_update, order_update};
use crate::reply::{Malformed, read};

/// An event of the private stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEvent {
    /// An order or a conditional order changed.
    Report(Box<OrderReport>),
    /// Balances or positions changed.
    Account(Box<AccountUpdate>),
    /// Multi-assets mode was switched.
    MultiAssets(bool),
    /// Positions are close to being liquidated, in words.
    MarginCall(String),
    /// No more events will come under this listen key.
    KeyExpired,
    /// The venue is about to close this connection.
    Shutdown,
    /// An event this system has no use for: fills told early and without their fee (the order's own event follows),
    /// changes of leverage, and events of the future.
    Other,
}

/// What an `ACCOUNT_UPDATE` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountUpdate {
    /// Wallet balances, and signed positions under the contract's own name: those that changed, absolute.
    pub balances: Vec<Balance>,
    /// What was paid or charged other than by trading.
    pub income: Vec<Income>,
    /// Symbols named with a position, and whether it is on isolated margin.
    pub isolated: Vec<(Symbol, bool)>,
    /// A position of one side alone was named: the account is in hedge mode.
    pub hedged: bool,
}

/// Reads one event of the private stream.
///
/// # Errors
/// [`Malformed`] if it is a known event in an unknown shape; something may have been missed then.
pub fn user_event(text: &str) -> Result<UserEvent, Malformed> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        e: Option<Cow<'a, str>>,
    }
    let kind: Kind<'_> = read("a private event", text)?;
    Ok(match kind.e.as_deref() {
        Some("ORDER_TRADE_UPDATE") => UserEvent::Report(Box::new(order_update(text)?)),
        Some("ALGO_UPDATE") => UserEvent::Report(Box::new(conditional_update(text)?)),
        Some("ACCOUNT_UPDATE") => UserEvent::Account(Box::new(account_update(text)?)),
        Some("ACCOUNT_CONFIG_UPDATE") => account_config_update(text)?,
        Some("MARGIN_CALL") => margin_call(text)?,
        Some("listenKeyExpired") => UserEvent::KeyExpired,
        Some("serverShutdown") => UserEvent::Shutdown,
        // A frame without `e` answers a control request of ours.
        _ => UserEvent::Other,
    })
}

/// What kind of payment the venue's word names.
fn charge(word: &str) -> ChargeKind {
    match word {
        // A change of the margin type pays nothing.
        "ORDER" | "REALIZED_PNL" | "COMMISSION" | "MARGIN_TYPE_CHANGE" => ChargeKind::Trade,
        "FUNDING_FEE" => ChargeKind::Funding,
        "SPECIAL_FUNDING_FEE" => ChargeKind::SpecialFunding,
        "INSURANCE_CLEAR" => ChargeKind::Insurance,
        "DEPOSIT"
        | "WITHDRAW"
        | "WITHDRAW_REJECT"
        | "ADMIN_DEPOSIT"
        | "ADMIN_WITHDRAW"
        | "MARGIN_TRANSFER"
        | "ASSET_TRANSFER"
        | "COIN_SWAP_DEPOSIT"
        | "COIN_SWAP_WITHDRAW"
        | "TRANSFER"
        | "INTERNAL_TRANSFER"
        | "CROSS_COLLATERAL_TRANSFER"
        | "STRATEGY_UMFUTURES_TRANSFER" => ChargeKind::Transfer,
        _ => ChargeKind::Other,
    }
}

#[derive(Deserialize)]
struct RawAccountUpdate<'a> {
    #[serde(rename = "T")]
    time: i64,
    #[serde(borrow)]
    a: RawAccountChange<'a>,
}

#[derive(Deserialize)]
struct RawAccountChange<'a> {
    #[serde(rename = "m", borrow)]
    reason: Cow<'a, str>,
    #[serde(rename = "S", borrow, default)]
    symbol: Option<Cow<'a, str>>,
    #[serde(rename = "B", borrow, default)]
    wallets: Vec<RawWallet<'a>>,
    #[serde(rename = "P", borrow, default)]
    positions: Vec<RawPosition<'a>>,
}

#[derive(Deserialize)]
struct RawWallet<'a> {
    #[serde(rename = "a", borrow)]
    asset: Cow<'a, str>,
    #[serde(rename = "wb")]
    balance: Cash,
    #[serde(rename = "bc", default, deserialize_with = "loose")]
    change: Cash,
}

#[derive(Deserialize)]
struct RawPosition<'a> {
    #[serde(rename = "s", borrow)]
    symbol: Cow<'a, str>,
    #[serde(rename = "pa")]
    amount: Cash,
    #[serde(rename = "mt", borrow, default)]
    margin: Cow<'a, str>,
    #[serde(rename = "ps", borrow, default)]
    side: Cow<'a, str>,
}

fn account_update(text: &str) -> Result<AccountUpdate, Malformed> {
    let RawAccountUpdate { time, a } = read("an ACCOUNT_UPDATE", text)?;
    let mut update = AccountUpdate::default();
    let kind = charge(&a.reason);
    for wallet in a.wallets {
        let asset = Asset::new(&wallet.asset);
        if kind != ChargeKind::Trade && !wallet.change.is_zero() {
            update.income.push(Income {
                id: None,
                kind,
                symbol: a.symbol.as_deref().filter(|name| !name.is_empty()).map(Symbol::new),
                asset: asset.clone(),
                amount: wallet.change,
                time: Time::from_millis(time),
                loan: None,
            });
        }
        update.balances.push(Balance::new(asset, wallet.balance, Cash::ZERO));
    }
    for position in a.positions {
        let isolated = position.margin.eq_ignore_ascii_case("isolated");
        update.isolated.push((Symbol::new(&position.symbol), isolated));
        if matches!(position.side.as_ref(), "" | "BOTH") {
            update.balances.push(Balance::new(Asset::new(&position.symbol), position.amount, Cash::ZERO));
        } else {
            update.hedged = true;
        }
    }
    Ok(update)
}

fn account_config_update(text: &str) -> Result<UserEvent, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        ai: Option<RawMode>,
    }
    #[derive(Deserialize)]
    struct RawMode {
        j: bool,
    }
    let raw: Raw = read("an ACCOUNT_CONFIG_UPDATE", text)?;
    Ok(raw.ai.map_or(UserEvent::Other, |mode| UserEvent::MultiAssets(mode.j)))
}

fn margin_call(text: &str) -> Result<UserEvent, Malformed> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        p: Vec<RawCall<'a>>,
    }
    #[derive(Deserialize)]
    struct RawCall<'a> {
        #[serde(borrow)]
        s: Cow<'a, str>,
        #[serde(borrow)]
        pa: Cow<'a, str>,
        #[serde(borrow, default)]
        mp: Cow<'a, str>,
        #[serde(borrow, default)]
        mm: Cow<'a, str>,
    }
    let raw: Raw<'_> = read("a MARGIN_CALL", text)?;
    let row = |call: &RawCall<'_>| {
        format!("{} {} at mark {}, maintenance margin {}", call.pa, call.s, call.mp, call.mm)
    };
    Ok(UserEvent::MarginCall(raw.p.iter().map(row).collect::<Vec<_>>().join("; ")))
}

/// Reads the answer to `v3/account`: wallets, and positions under the contract's own name; empty ones are left out.
/// It does not say whether the account may trade, see [`account_config`].
///
/// # Errors
/// [`Malformed`] if it is no account, or one in hedge mode.
pub fn account(result: &str) -> Result<Account, Malformed> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        assets: Vec<RawAsset<'a>>,
        #[serde(borrow)]
        positions: Vec<RawHeld<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RawAsset<'a> {
        #[serde(borrow)]
        asset: Cow<'a, str>,
        wallet_balance: Cash,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RawHeld<'a> {
        #[serde(borrow)]
        symbol: Cow<'a, str>,
        #[serde(borrow)]
        position_side: Cow<'a, str>,
        position_amt: Cash,
    }
    const WHAT: &str = "an account";
    let raw: Raw<'_> = read(WHAT, result)?;
    if raw.positions.iter().any(|held| held.position_side != "BOTH" && !held.position_amt.is_zero()) {
        return Err(Malformed::new(WHAT, "positions of one side: the account is in hedge mode"));
    }
    let wallets = raw.assets.iter().map(|row| (Asset::new(&row.asset), row.wallet_balance));
    let held = raw.positions.iter().map(|row| (Asset::new(&row.symbol), row.position_amt));
    let rows = wallets.chain(held).filter(|(_, amount)| !amount.is_zero());
    Ok(Account {
        balances: rows.map(|(asset, free)| Balance::new(asset, free, Cash::ZERO)).collect(),
        can_trade: true,
    })
}

/// How the account is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountConfig {
    /// May it trade?
    pub can_trade: bool,
    /// Hedge mode: a long and a short position of one symbol beside each other.
    pub dual_side_position: bool,
    /// Does every asset of the account back every position?
    #[serde(default)]
    pub multi_assets_margin: bool,
}

/// Reads the answer to `accountConfig`.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn account_config(result: &str) -> Result<AccountConfig, Malformed> {
    read("an account configuration", result)
}

/// Reads the answer to `symbolConfig`: the symbols on isolated margin.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn isolated_symbols(result: &str) -> Result<Vec<Symbol>, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        #[serde(borrow)]
        symbol: Cow<'a, str>,
        #[serde(borrow)]
        margin_type: Cow<'a, str>,
    }
    let rows: Vec<Raw<'_>> = read("a symbol configuration", result)?;
    let isolated = rows.iter().filter(|row| row.margin_type.eq_ignore_ascii_case("isolated"));
    Ok(isolated.map(|row| Symbol::new(&row.symbol)).collect())
}

/// Reads the answer to `listenKey`. It becomes part of an address.
///
/// # Errors
/// [`Malformed`] if it holds none, or one of other characters.
pub fn listen_key(result: &str) -> Result<String, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        listen_key: String,
    }
    const WHAT: &str = "a listen key";
    let Raw { listen_key } = read(WHAT, result)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if listen_key.is_empty() || !listen_key.bytes().all(fits) {
        // What it holds instead is not told: it may be a key all the same.
        return Err(Malformed::new(WHAT, "it is not made of letters, digits, - and _"));
    }
    Ok(listen_key)
}

/// Reads the answer to `income`; what trades paid and cost is among it.
///
/// # Errors
/// [`Malformed`] if a row is none.
pub fn income(result: &str) -> Result<Vec<Income>, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        #[serde(borrow, default)]
        symbol: Cow<'a, str>,
        #[serde(borrow)]
        income_type: Cow<'a, str>,
        income: Cash,
        #[serde(borrow)]
        asset: Cow<'a, str>,
        time: i64,
        #[serde(default, deserialize_with = "loose")]
        tran_id: u64,
    }
    let rows: Vec<Raw<'_>> = read("an income", result)?;
    let row = |raw: &Raw<'_>| Income {
        id: (raw.tran_id > 0).then_some(raw.tran_id),
        kind: charge(&raw.income_type),
        symbol: (!raw.symbol.is_empty()).then(|| Symbol::new(&raw.symbol)),
        asset: Asset::new(&raw.asset),
        amount: raw.income,
        time: Time::from_millis(raw.time),
        loan: None,
    };
    Ok(rows.iter().map(row).collect())
}

/// Reads the answer to `fundingRate`.
///
/// # Errors
/// [`Malformed`] if a row is none.
pub fn funding_rates(result: &str) -> Result<Vec<FundingRate>, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        #[serde(borrow)]
        symbol: Cow<'a, str>,
        funding_rate: Rate,
        funding_time: i64,
        #[serde(default, deserialize_with = "loose")]
        mark_price: Price,
        #[serde(borrow, default)]
        rate_type: Cow<'a, str>,
    }
    let rows: Vec<Raw<'_>> = read("funding rates", result)?;
    let row = |raw: &Raw<'_>| FundingRate {
        symbol: Symbol::new(&raw.symbol),
        time: Time::from_millis(raw.funding_time),
        kind: if raw.rate_type == "Special" { ChargeKind::SpecialFunding } else { ChargeKind::Funding },
        rate: raw.funding_rate,
        mark: raw.mark_price,
    };
    Ok(rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests;
