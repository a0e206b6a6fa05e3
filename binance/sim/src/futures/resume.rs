//! The journals of futures, read again at the next start.
//!
//! Wallets are the sums of their bookings, positions what their fills leave, orders and conditional orders as their
//! last line has them.

use std::collections::BTreeMap;

use serde::Deserialize;
use tradingsys::exchange::futures::{
    AccountPast, Conditional, ConditionalStatus, FundingRate, Income, IncomeKind, NewConditional, Past,
};
use tradingsys::exchange::{
    AccountId, Expiry, Fill, Order, OrderStatus, Origin, PositionSide, PositionTerms, Request,
};
use tradingsys::ids::{Asset, ClientOrderId, Symbol};
use tradingsys::market::{OrderType, Side, Stp, Tif, WorkingType};
use tradingsys::num::{Cash, Percent, Price, Qty, Rate};
use tradingsys::order::request::Terms;
use tradingsys::time::Time;

use crate::io::Journal;
use crate::journal::{BadJournal, Journaled, NUMBERS_APART, account_at, lines};

#[derive(Deserialize)]
struct IncomeLine {
    id: u64,
    account: String,
    kind: IncomeKind,
    symbol: String,
    asset: Asset,
    amount: Cash,
    time: i64,
    trade_id: Option<u64>,
}

#[derive(Deserialize)]
struct TradeLine {
    trade_id: u64,
    symbol: Symbol,
    order_id: u64,
    account: String,
    side: Side,
    position_side: PositionSide,
    price: Price,
    qty: Qty,
    quote: Cash,
    realized_pnl: Cash,
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
    position_side: PositionSide,
    #[serde(rename = "type")]
    kind: String,
    tif: String,
    price: Price,
    reduce_only: bool,
    close_position: bool,
    qty: Qty,
    filled: Qty,
    filled_quote: Cash,
    prevented: Qty,
    status: OrderStatus,
    expiry: Option<Expiry>,
    stp: Stp,
    amends: u32,
    origin: Origin,
    algo_id: Option<u64>,
    good_till_ns: Option<Time>,
    created_ns: Time,
    updated_ns: Time,
}

#[derive(Deserialize)]
struct ConditionalLine {
    algo_id: u64,
    client_algo_id: ClientOrderId,
    symbol: Symbol,
    account: String,
    side: Side,
    position_side: PositionSide,
    order_type: OrderType,
    tif: Option<Tif>,
    trigger_price: Price,
    price: Price,
    callback_rate: Option<Percent>,
    activate_price: Option<Price>,
    best: Option<Price>,
    active: bool,
    qty: Qty,
    reduce_only: bool,
    close_position: bool,
    working_type: WorkingType,
    price_protect: bool,
    stp: Option<Stp>,
    status: ConditionalStatus,
    order_id: Option<u64>,
    good_till_ns: Option<Time>,
    created_ns: Time,
    updated_ns: Time,
    triggered_ns: Option<Time>,
}

#[derive(Deserialize)]
struct SettingLine {
    account: String,
    symbol: Option<Symbol>,
    leverage: Option<u32>,
    multi_assets: Option<bool>,
    hedge: Option<bool>,
}

#[derive(Deserialize)]
struct FundingLine {
    symbol: Symbol,
    time: i64,
    rate: Rate,
    mark: Price,
}

/// What the journals of an earlier run amount to; `names` are the configured accounts, in order.
///
/// # Errors
/// [`BadJournal`] names the first line that cannot be read.
pub(super) fn past(journaled: &Journaled, names: &[String], now: Time) -> Result<Past, BadJournal> {
    let mut past = Past::default();
    for line in lines::<IncomeLine>(journaled, Journal::FuturesIncome)? {
        past.income.push(income_of(&line, account_at(names, &line.account)?));
    }
    for line in lines::<TradeLine>(journaled, Journal::FuturesTrades)? {
        let numbers = past.numbers.entry(line.symbol.clone()).or_default();
        numbers.trade = numbers.trade.max(line.trade_id);
        let account = account_at(names, &line.account)?;
        past.fills.push(fill_of(line, account));
    }
    let mut orders = BTreeMap::new();
    for line in lines::<OrderLine>(journaled, Journal::FuturesOrders)? {
        let numbers = past.numbers.entry(line.symbol.clone()).or_default();
        numbers.order = numbers.order.max(line.order_id);
        numbers.execution = numbers.execution.max(line.execution_id);
        let account = account_at(names, &line.account)?;
        orders.insert((line.symbol.clone(), line.order_id), order_of(line, account));
    }
    past.orders = orders.into_values().collect();
    let mut conditionals = BTreeMap::new();
    for line in lines::<ConditionalLine>(journaled, Journal::FuturesAlgos)? {
        let account = account_at(names, &line.account)?;
        conditionals.insert(line.algo_id, conditional_of(line, account));
    }
    past.conditionals = conditionals.into_values().collect();
    past.accounts = settings(journaled, names)?;
    for FundingLine { symbol, time, rate, mark } in lines(journaled, Journal::Funding)? {
        past.funding.push((symbol, FundingRate { time: Time::from_millis(time), rate, mark }));
    }
    for numbers in past.numbers.values_mut() {
        numbers.order += NUMBERS_APART;
        numbers.trade += NUMBERS_APART;
        // Books take far fewer than one update a millisecond over any length of time.
        numbers.update = u64::try_from(now.millis()).unwrap_or(0);
    }
    Ok(past)
}

fn settings(journaled: &Journaled, names: &[String]) -> Result<Vec<AccountPast>, BadJournal> {
    let mut found: BTreeMap<AccountId, AccountPast> = BTreeMap::new();
    for line in lines::<SettingLine>(journaled, Journal::FuturesSettings)? {
        let account = account_at(names, &line.account)?;
        let fresh = || AccountPast { account, hedge: false, multi_assets: false, leverage: Vec::new() };
        let of = found.entry(account).or_insert_with(fresh);
        of.hedge = line.hedge.unwrap_or(of.hedge);
        of.multi_assets = line.multi_assets.unwrap_or(of.multi_assets);
        if let (Some(symbol), Some(leverage)) = (line.symbol, line.leverage) {
            of.leverage.push((symbol, leverage));
        }
    }
    Ok(found.into_values().collect())
}

fn income_of(line: &IncomeLine, account: AccountId) -> Income {
    Income {
        id: line.id,
        account,
        kind: line.kind,
        symbol: (!line.symbol.is_empty()).then(|| Symbol::new(&line.symbol)),
        asset: line.asset.clone(),
        amount: line.amount,
        time: Time::from_millis(line.time),
        trade_id: line.trade_id,
    }
}

fn fill_of(line: TradeLine, account: AccountId) -> Fill {
    Fill {
        account,
        symbol: line.symbol,
        trade_id: line.trade_id,
        order_id: line.order_id,
        side: line.side,
        price: line.price,
        qty: line.qty,
        quote: line.quote,
        fee: line.commission,
        fee_asset: line.commission_asset,
        maker: line.maker,
        time: line.time_ns,
        realised: line.realized_pnl,
        position_side: line.position_side,
    }
}

fn order_of(line: OrderLine, account: AccountId) -> Order {
    let terms = match (line.kind.as_str(), line.tif.as_str()) {
        ("LIMIT", "GTX") => Terms::PostOnly { price: line.price },
        // Good-till-date orders are GTC ones with a date.
        ("LIMIT", "GTD") => Terms::Limit { price: line.price, tif: Tif::Gtc },
        ("LIMIT", tif) => Terms::Limit { price: line.price, tif: Tif::from_word(tif).unwrap_or(Tif::Gtc) },
        _ => Terms::Market,
    };
    Order {
        id: line.order_id,
        account,
        symbol: line.symbol,
        client_id: line.client_order_id,
        side: line.side,
        position: PositionTerms {
            side: line.position_side,
            reduce_only: line.reduce_only,
            close_position: line.close_position,
            good_till: line.good_till_ns,
            origin: line.origin,
            conditional: line.algo_id,
        },
        terms,
        stp: line.stp,
        qty: line.qty,
        filled: line.filled,
        filled_quote: line.filled_quote,
        prevented: line.prevented,
        prevented_match: None,
        status: line.status,
        expiry: line.expiry,
        amends: line.amends,
        created: line.created_ns,
        updated: line.updated_ns,
        working_since: Some(line.created_ns),
    }
}

fn conditional_of(line: ConditionalLine, account: AccountId) -> Conditional {
    let terms = match line.callback_rate {
        Some(callback_rate) => Terms::Trailing { callback_rate, activation_price: line.activate_price },
        None => Terms::Stop {
            order_type: line.order_type,
            stop: line.trigger_price,
            limit: line.tif.filter(|_| line.order_type.has_price()).map(|tif| (line.price, tif)),
        },
    };
    let request = Request {
        symbol: line.symbol,
        client_id: line.client_algo_id,
        side: line.side,
        terms,
        qty: line.qty,
        stp: line.stp,
    };
    let position = PositionTerms {
        side: line.position_side,
        reduce_only: line.reduce_only,
        close_position: line.close_position,
        good_till: line.good_till_ns,
        ..PositionTerms::default()
    };
    let (working_type, price_protect) = (line.working_type, line.price_protect);
    Conditional {
        id: line.algo_id,
        account,
        asked: NewConditional { request, position, working_type, price_protect },
        status: line.status,
        active: line.active,
        best: line.best,
        order: line.order_id,
        // Why an order was refused is told once.
        reason: None,
        created: line.created_ns,
        updated: line.updated_ns,
        triggered: line.triggered_ns,
    }
}
