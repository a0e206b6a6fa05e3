//! The journals: lines written, and lines read again at the next start.
//!
//! `trades.jsonl`, `orders.jsonl` and `transfers.jsonl` together are the state of all accounts: balances
//! are opening plus transfers plus fills, orders are as their last line has them. Amounts are exact
//! decimals as strings; `time` is in milliseconds, fields that end in `_ns` are in nanoseconds.

use std::collections::BTreeMap;

use binance_wire::render::Object;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tradingsys::exchange::{
    AccountId, Change, Expiry, Fill, LastNumbers, LiabilityChange, LiabilityKind, Loan, Order, OrderEvent,
    OrderStatus, Past, PositionSide, PositionTerms, Transfer,
};
use tradingsys::ids::{Asset, ClientOrderId, Symbol};
use tradingsys::market::{OrderType, Side, Stp, Tif};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::order::request::Terms;
use tradingsys::time::Time;

use crate::io::Journal;
use crate::order_json::{Label, execution_type};

/// How far numbers jump at a restart: past those the house used, which are in no journal.
pub(crate) const NUMBERS_APART: u64 = 1_000_000;

/// Why a balance changed by another way than trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransferKind {
    /// It was there from the start.
    Opening,
    /// It came in or went out.
    Transfer,
}

/// A line of `trades.jsonl`.
pub(crate) fn trade_line(event: &OrderEvent, fill: &Fill, account: &str) -> String {
    Object::new()
        .int("trade_id", fill.trade_id)
        .text("symbol", &fill.symbol.upper())
        .int("order_id", fill.order_id)
        .text("client_order_id", event.order.client_id.as_str())
        .text("account", account)
        .text("side", fill.side.as_str())
        .text("price", &fill.price.to_string())
        .text("qty", &fill.qty.to_string())
        .text("quote", &fill.quote.to_string())
        .text("commission", &fill.fee.to_string())
        .text("commission_asset", fill.fee_asset.as_str())
        .int("time", fill.time.millis())
        .flag("maker", fill.maker)
        .int("time_ns", fill.time.nanos())
        .end()
}

/// A line of `orders.jsonl`.
pub(crate) fn order_line(event: &OrderEvent, label: Label, account: &str) -> String {
    let order = &event.order;
    let line = Object::new()
        .text("event", execution_type(&event.change))
        .int("execution_id", event.execution_id)
        .text("symbol", &order.symbol.upper())
        .int("order_id", order.id)
        .text("client_order_id", order.client_id.as_str());
    let line = match &event.change {
        Change::Canceled { previous_id } | Change::Replaced { previous_id } => {
            line.text("previous_client_order_id", previous_id.as_str())
        }
        _ => line,
    };
    let line = line
        .text("account", account)
        .text("side", order.side.as_str())
        .text("type", order.terms.order_type().as_str())
        .and(terms_fields(&order.terms))
        .text("qty", &order.qty.to_string())
        .text("filled", &order.filled.to_string())
        .text("filled_quote", &order.filled_quote.to_string())
        .text("prevented", &order.prevented.to_string())
        .text("status", order.status.as_str())
        .text("stp", order.stp.as_str())
        .int("amends", order.amends)
        .int("time", event.time.millis())
        .int("created_ns", order.created.nanos())
        .int("updated_ns", order.updated.nanos());
    optional_fields(line, order, label).end()
}

fn optional_fields(line: Object, order: &Order, label: Label) -> Object {
    let mut line = line;
    if let Some(since) = order.working_since {
        line = line.int("working_ns", since.nanos());
    }
    if let Some(why) = order.expiry {
        line = line.text("expiry", why.as_str());
    }
    for (name, value) in [("strategy_id", label.strategy_id), ("strategy_type", label.strategy_type)] {
        if let Some(value) = value {
            line = line.int(name, value);
        }
    }
    match order.prevented_match {
        Some(id) => line.int("prevented_match", id),
        None => line,
    }
}

fn terms_fields(terms: &Terms) -> Object {
    let object = Object::new()
        .text("price", &terms.price().unwrap_or_default().to_string())
        .text("stop_price", &terms.stop().unwrap_or_default().to_string());
    match terms {
        Terms::Limit { tif, .. } | Terms::Stop { limit: Some((_, tif)), .. } => {
            object.text("tif", tif.as_str())
        }
        Terms::MarketQuote { amount } => object.text("quote_amount", &amount.to_string()),
        _ => object,
    }
}

/// A line of `transfers.jsonl`.
pub(crate) fn transfer_line(transfer: &Transfer, kind: TransferKind, account: &str) -> String {
    Object::new()
        .text("account", account)
        .text("asset", transfer.asset.as_str())
        .text("delta", &transfer.delta.to_string())
        .text("kind", if kind == TransferKind::Opening { "opening" } else { "transfer" })
        .int("time", transfer.time.millis())
        .end()
}

/// What the journals of an earlier run say, as text.
#[derive(Clone, Debug, Default)]
pub struct Journaled {
    /// Texts of the files; one that is missing is empty.
    pub texts: BTreeMap<Journal, String>,
}

/// Why the journals cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum BadJournal {
    /// A line is not as it was written.
    #[error("line {line} of {file}: {problem}")]
    Line {
        /// Of which file.
        file: &'static str,
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// An account of the journals is not configured.
    #[error(
        "the journals are of account {0:?}, which is not configured: give the accounts of the earlier start"
    )]
    Account(String),
}

#[derive(Deserialize)]
struct TradeLine {
    trade_id: u64,
    symbol: Symbol,
    order_id: u64,
    account: String,
    side: Side,
    price: Price,
    qty: Qty,
    quote: Cash,
    commission: Cash,
    commission_asset: Asset,
    maker: bool,
    time_ns: Time,
}

#[derive(Deserialize)]
struct OrderLine {
    execution_id: u64,
    symbol: Symbol,
    order_id: u64,
    client_order_id: ClientOrderId,
    account: String,
    side: Side,
    #[serde(rename = "type")]
    order_type: OrderType,
    price: Price,
    stop_price: Price,
    tif: Option<Tif>,
    quote_amount: Option<Cash>,
    qty: Qty,
    filled: Qty,
    filled_quote: Cash,
    prevented: Qty,
    status: OrderStatus,
    stp: Stp,
    amends: u32,
    created_ns: Time,
    updated_ns: Time,
    working_ns: Option<Time>,
    expiry: Option<Expiry>,
    strategy_id: Option<i64>,
    strategy_type: Option<i64>,
    prevented_match: Option<u64>,
}

#[derive(Deserialize)]
struct LiabilityLine {
    id: u64,
    account: String,
    asset: Asset,
    kind: LiabilityKind,
    principal: Cash,
    interest: Cash,
    borrowed: Cash,
    interest_owed: Cash,
    time: i64,
}

#[derive(Deserialize)]
struct TransferLine {
    account: String,
    asset: Asset,
    delta: Cash,
}

/// What the journals of an earlier run amount to.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    /// For the matching core.
    pub(crate) past: Past,
    /// What the core does not keep.
    pub(crate) labels: BTreeMap<(Symbol, u64), Label>,
    /// What margin wallets owe, and the number of the last booking.
    pub(crate) loans: (Vec<(AccountId, Asset, Loan)>, u64),
    /// What margin wallets were charged.
    pub(crate) interest: Vec<LiabilityChange>,
    /// Accounts that had money before.
    pub(crate) known: Vec<AccountId>,
}

/// The lines of a journal.
///
/// # Errors
/// The first one that is not as it was written.
pub(crate) fn lines<T: DeserializeOwned>(
    journaled: &Journaled,
    journal: Journal,
) -> Result<Vec<T>, BadJournal> {
    let text = journaled.texts.get(&journal).map_or("", String::as_str);
    let read = |(at, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| BadJournal::Line {
            file: journal.file_name(),
            line: at + 1,
            problem: error.to_string(),
        })
    };
    text.lines().enumerate().map(read).collect()
}

/// The account of a name.
///
/// # Errors
/// It is not configured.
pub(crate) fn account_at(names: &[String], name: &str) -> Result<AccountId, BadJournal> {
    let place = names.iter().position(|known| *known == name);
    let place = place.ok_or_else(|| BadJournal::Account(name.to_owned()))?;
    Ok(AccountId(u32::try_from(place).unwrap_or(u32::MAX)))
}

impl Resumed {
    /// Reads the journals; `names` are the configured accounts, in order.
    pub(crate) fn read(journaled: &Journaled, names: &[String], now: Time) -> Result<Self, BadJournal> {
        let account = |name: &str| account_at(names, name);
        let mut resumed = Self::default();
        let mut holdings: BTreeMap<(AccountId, Asset), Cash> = BTreeMap::new();
        for line in lines::<TransferLine>(journaled, Journal::Transfers)? {
            let account = account(&line.account)?;
            *holdings.entry((account, line.asset)).or_default() += line.delta;
            if !resumed.known.contains(&account) {
                resumed.known.push(account);
            }
        }
        for line in lines::<TradeLine>(journaled, Journal::Trades)? {
            let fill = fill_of(&line, account(&line.account)?);
            for (asset, delta) in moves(&fill) {
                *holdings.entry((fill.account, asset)).or_default() += delta;
            }
            let numbers = resumed.past.numbers.entry(fill.symbol.clone()).or_default();
            numbers.trade = numbers.trade.max(fill.trade_id);
            resumed.past.fills.push(fill);
        }
        let mut loans = BTreeMap::new();
        for line in lines::<LiabilityLine>(journaled, Journal::Liabilities)? {
            let account = account(&line.account)?;
            // Money lent came in, money repaid went out; interest charged is only owed.
            let paid = if line.kind == LiabilityKind::Interest {
                line.principal
            } else {
                line.principal + line.interest
            };
            *holdings.entry((account, line.asset.clone())).or_default() += paid;
            let loan = Loan { borrowed: line.borrowed, interest: line.interest_owed };
            resumed.loans.1 = resumed.loans.1.max(line.id);
            if line.kind == LiabilityKind::Interest {
                resumed.interest.push(LiabilityChange {
                    id: line.id,
                    account,
                    time: Time::from_millis(line.time),
                    asset: line.asset.clone(),
                    kind: line.kind,
                    principal: line.principal,
                    interest: line.interest,
                    loan,
                });
            }
            loans.insert((account, line.asset), loan);
        }
        resumed.loans.0 = loans.into_iter().map(|((id, asset), loan)| (id, asset, loan)).collect();
        let mut orders = BTreeMap::new();
        for line in lines::<OrderLine>(journaled, Journal::Orders)? {
            let key = (line.symbol.clone(), line.order_id);
            resumed.count(&line);
            let label = Label { strategy_id: line.strategy_id, strategy_type: line.strategy_type };
            if label != Label::default() {
                resumed.labels.insert(key.clone(), label);
            }
            let account = account(&line.account)?;
            orders.insert(key, order_of(line, account));
        }
        resumed.past.orders = orders.into_values().collect();
        resumed.past.holdings =
            holdings.into_iter().map(|((id, asset), amount)| (id, asset, amount)).collect();
        for numbers in resumed.past.numbers.values_mut() {
            numbers.order += NUMBERS_APART;
            numbers.trade += NUMBERS_APART;
            // Books take far fewer than one update a millisecond over any length of time.
            numbers.update = u64::try_from(now.millis()).unwrap_or(0);
        }
        Ok(resumed)
    }

    fn count(&mut self, line: &OrderLine) {
        let numbers: &mut LastNumbers = self.past.numbers.entry(line.symbol.clone()).or_default();
        numbers.order = numbers.order.max(line.order_id);
        numbers.execution = numbers.execution.max(line.execution_id);
        numbers.prevention = numbers.prevention.max(line.prevented_match.unwrap_or(0));
    }
}

/// What a fill did to its account's assets. Base and quote of a symbol are those of the listings.
fn moves(fill: &Fill) -> Vec<(Asset, Cash)> {
    let Some(spec) = crate::listings::Spec::of(&fill.symbol) else { return Vec::new() };
    let (base, quote) = (Asset::new(spec.base), Asset::new(spec.quote));
    let base_delta = fill.side.signed(fill.qty).as_cash();
    let quote_delta = if fill.side == Side::Buy { -fill.quote } else { fill.quote };
    vec![(base, base_delta), (quote, quote_delta), (fill.fee_asset.clone(), -fill.fee)]
}

fn fill_of(line: &TradeLine, account: AccountId) -> Fill {
    Fill {
        account,
        symbol: line.symbol.clone(),
        trade_id: line.trade_id,
        order_id: line.order_id,
        side: line.side,
        price: line.price,
        qty: line.qty,
        quote: line.quote,
        fee: line.commission,
        fee_asset: line.commission_asset.clone(),
        maker: line.maker,
        time: line.time_ns,
        realised: Cash::ZERO,
        position_side: PositionSide::Both,
    }
}

fn order_of(line: OrderLine, account: AccountId) -> Order {
    let tif = line.tif.unwrap_or(Tif::Gtc);
    let (price, stop) = (line.price, line.stop_price);
    let terms = match (line.order_type, line.quote_amount) {
        (OrderType::Limit, _) => Terms::Limit { price, tif },
        (OrderType::LimitMaker, _) => Terms::PostOnly { price },
        (OrderType::Market, Some(amount)) => Terms::MarketQuote { amount },
        (OrderType::Market, None) => Terms::Market,
        (order_type, _) => {
            Terms::Stop { order_type, stop, limit: order_type.has_price().then_some((price, tif)) }
        }
    };
    Order {
        id: line.order_id,
        account,
        symbol: line.symbol,
        client_id: line.client_order_id,
        side: line.side,
        terms,
        stp: line.stp,
        qty: line.qty,
        filled: line.filled,
        filled_quote: line.filled_quote,
        prevented: line.prevented,
        prevented_match: line.prevented_match,
        status: line.status,
        expiry: line.expiry,
        amends: line.amends,
        created: line.created_ns,
        updated: line.updated_ns,
        working_since: line.working_ns,
        position: PositionTerms::default(),
    }
}
