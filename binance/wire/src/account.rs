//! Private facts: orders, fills and balances, in the four spellings the venue has for them — the event
//! `executionReport`, the replies to `order.place` and `order.cancel`, the reply to an amend, and the answers to
//! queries.

use std::borrow::Cow;

use serde::Deserialize;
use tradingsys::ids::{Asset, ClientOrderId, Symbol};
use tradingsys::market::{Instructions, OrderType, Side, Tif};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::time::Time;
use tradingsys::venue::port::{Account, Balance, Fill, OrderReport, VenueStatus};

use crate::reply::{Malformed, read};

/// An event of the logged-on connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateEvent {
    /// An order changed.
    Report(Box<OrderReport>),
    /// Balances changed.
    Balances(Vec<Balance>),
    /// Money moved by another way than trading.
    Transfer {
        /// Asset.
        asset: Asset,
        /// Signed amount.
        delta: Cash,
        /// Venue time.
        time: Time,
    },
    /// No more events will come on this connection.
    Terminated,
    /// The venue is about to close this connection.
    Shutdown,
    /// An event this system has no use for: order lists, locks by other products (the balance event tells of them), and
    /// events of the future.
    Other,
}

/// Reads one event.
///
/// # Errors
/// [`Malformed`] if it is a known event in an unknown shape; something may have been missed then.
pub fn private_event(text: &str) -> Result<PrivateEvent, Malformed> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        e: Cow<'a, str>,
    }
    let kind: Kind<'_> = read("an event", text)?;
    Ok(match kind.e.as_ref() {
        "executionReport" => PrivateEvent::Report(Box::new(execution_report(text)?)),
        "outboundAccountPosition" => PrivateEvent::Balances(account_position(text)?),
        "balanceUpdate" => balance_update(text)?,
        "eventStreamTerminated" => PrivateEvent::Terminated,
        "serverShutdown" => PrivateEvent::Shutdown,
        _ => PrivateEvent::Other,
    })
}

#[derive(Deserialize)]
struct RawExecution<'a> {
    #[serde(rename = "s", borrow)]
    symbol: Cow<'a, str>,
    #[serde(rename = "c", borrow)]
    client_id: Cow<'a, str>,
    #[serde(rename = "S", borrow)]
    side: Cow<'a, str>,
    #[serde(rename = "o", borrow)]
    order_type: Cow<'a, str>,
    #[serde(rename = "f", borrow, default)]
    tif: Cow<'a, str>,
    #[serde(rename = "q")]
    qty: Qty,
    #[serde(rename = "p")]
    price: Price,
    #[serde(rename = "P", default)]
    stop: Price,
    #[serde(rename = "C", borrow, default)]
    previous_id: Cow<'a, str>,
    #[serde(rename = "x", borrow)]
    execution: Cow<'a, str>,
    #[serde(rename = "X", borrow)]
    status: Cow<'a, str>,
    #[serde(rename = "r", borrow, default)]
    reject_reason: Cow<'a, str>,
    #[serde(rename = "eR", borrow, default)]
    expiry_reason: Option<Cow<'a, str>>,
    #[serde(rename = "i")]
    venue_id: u64,
    #[serde(rename = "l")]
    last_qty: Qty,
    #[serde(rename = "z")]
    filled: Qty,
    #[serde(rename = "L")]
    last_price: Price,
    #[serde(rename = "n")]
    fee: Cash,
    #[serde(rename = "N", borrow)]
    fee_asset: Option<Cow<'a, str>>,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "t")]
    trade_id: i64,
    #[serde(rename = "m")]
    maker: bool,
    #[serde(rename = "Y")]
    last_quote: Cash,
}

fn execution_report(text: &str) -> Result<OrderReport, Malformed> {
    const WHAT: &str = "an executionReport";
    let raw: RawExecution<'_> = read(WHAT, text)?;
    let symbol = Symbol::new(&raw.symbol);
    let client_id = ClientOrderId::foreign(&raw.client_id);
    let side = side(WHAT, &raw.side)?;
    let time = Time::from_millis(raw.time);
    let fill = (raw.execution == "TRADE").then(|| {
        let trade_id = u64::try_from(raw.trade_id)
            .map_err(|_| Malformed::new(WHAT, "execution type TRADE without a trade id"))?;
        Ok(Fill {
            symbol: symbol.clone(),
            trade_id,
            venue_id: raw.venue_id,
            side,
            price: raw.last_price,
            qty: raw.last_qty,
            quote: raw.last_quote,
            realised: None,
            fee: raw.fee,
            fee_asset: raw.fee_asset.as_deref().filter(|_| !raw.fee.is_zero()).map(Asset::new),
            maker: raw.maker,
            time,
        })
    });
    let reason = raw.expiry_reason.unwrap_or(raw.reject_reason);
    Ok(OrderReport {
        symbol,
        venue_id: raw.venue_id,
        conditional_id: None,
        client_id,
        // Only a cancel or an amend renames; other events leave `C` empty.
        previous_id: some_id(&raw.previous_id),
        side,
        order_type: OrderType::from_word(&raw.order_type),
        tif: Tif::from_word(&raw.tif),
        price: raw.price,
        stop: raw.stop,
        instructions: Instructions::default(),
        qty: raw.qty,
        filled: raw.filled,
        status: status(WHAT, &raw.status)?,
        reason: (!matches!(reason.as_ref(), "" | "NONE")).then(|| reason.into_owned()),
        time,
        fill: fill.transpose()?,
        forced: None,
    })
}

#[derive(Deserialize)]
struct RawPosition<'a> {
    #[serde(rename = "B", borrow)]
    balances: Vec<RawPositionRow<'a>>,
}

#[derive(Deserialize)]
struct RawPositionRow<'a> {
    #[serde(rename = "a", borrow)]
    asset: Cow<'a, str>,
    #[serde(rename = "f")]
    free: Cash,
    #[serde(rename = "l")]
    locked: Cash,
}

fn account_position(text: &str) -> Result<Vec<Balance>, Malformed> {
    let raw: RawPosition<'_> = read("an outboundAccountPosition", text)?;
    let balance = |row: &RawPositionRow<'_>| Balance::new(Asset::new(&row.asset), row.free, row.locked);
    Ok(raw.balances.iter().map(balance).collect())
}

fn balance_update(text: &str) -> Result<PrivateEvent, Malformed> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        a: Cow<'a, str>,
        d: Cash,
        #[serde(rename = "T")]
        time: i64,
    }
    let raw: Raw<'_> = read("a balanceUpdate", text)?;
    Ok(PrivateEvent::Transfer { asset: Asset::new(&raw.a), delta: raw.d, time: Time::from_millis(raw.time) })
}

/// An order as replies and queries show it. Amend replies spell three fields their own way.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    order_id: u64,
    #[serde(borrow)]
    client_order_id: Cow<'a, str>,
    #[serde(borrow, default)]
    orig_client_order_id: Cow<'a, str>,
    price: Price,
    #[serde(alias = "qty")]
    orig_qty: Qty,
    executed_qty: Qty,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    time_in_force: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    order_type: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(default)]
    stop_price: Price,
    #[serde(borrow, default)]
    expiry_reason: Option<Cow<'a, str>>,
    transact_time: Option<i64>,
    update_time: Option<i64>,
}

impl RawOrder<'_> {
    fn time(&self, time: Option<i64>) -> Option<i64> {
        time.or(self.transact_time).or(self.update_time)
    }

    fn report(self, what: &'static str, time: Option<i64>) -> Result<OrderReport, Malformed> {
        let time =
            self.time(time).ok_or_else(|| Malformed::new(what, "neither transactTime nor updateTime"))?;
        Ok(OrderReport {
            symbol: Symbol::new(&self.symbol),
            venue_id: self.order_id,
            conditional_id: None,
            client_id: ClientOrderId::foreign(&self.client_order_id),
            previous_id: some_id(&self.orig_client_order_id).filter(|id| id.as_str() != self.client_order_id),
            side: side(what, &self.side)?,
            order_type: OrderType::from_word(&self.order_type),
            tif: Tif::from_word(&self.time_in_force),
            price: self.price,
            stop: self.stop_price,
            instructions: Instructions::default(),
            qty: self.orig_qty,
            filled: self.executed_qty,
            status: status(what, &self.status)?,
            reason: self.expiry_reason.map(Cow::into_owned),
            time: Time::from_millis(time),
            fill: None,
            forced: None,
        })
    }
}

/// Reads the reply to `order.place` (RESULT or FULL; its `fills` are left to the private stream), to `order.cancel`,
/// or the answer to `order.status`.
///
/// # Errors
/// [`Malformed`] if it is no order.
pub fn order(result: &str) -> Result<OrderReport, Malformed> {
    const WHAT: &str = "an order";
    read::<RawOrder<'_>>(WHAT, result)?.report(WHAT, None)
}

/// Reads an order of a margin wallet. The reply to a cancel does not say when: its time is then zero.
///
/// # Errors
/// [`Malformed`] if it is no order.
pub fn margin_order(result: &str) -> Result<OrderReport, Malformed> {
    const WHAT: &str = "an order";
    let raw = read::<RawOrder<'_>>(WHAT, result)?;
    let time = raw.time(None).unwrap_or_default();
    raw.report(WHAT, Some(time))
}

/// Reads the reply to `order.amend.keepPriority`.
///
/// # Errors
/// [`Malformed`] if it holds no amended order.
pub fn amended_order(result: &str) -> Result<OrderReport, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        transact_time: i64,
        #[serde(borrow)]
        amended_order: RawOrder<'a>,
    }
    const WHAT: &str = "an amended order";
    let raw: Raw<'_> = read(WHAT, result)?;
    raw.amended_order.report(WHAT, Some(raw.transact_time))
}

/// Reads the answer to `openOrders.status`.
///
/// # Errors
/// [`Malformed`] if any of them is no order.
pub fn orders(result: &str) -> Result<Vec<OrderReport>, Malformed> {
    const WHAT: &str = "open orders";
    let raw: Vec<RawOrder<'_>> = read(WHAT, result)?;
    raw.into_iter().map(|order| order.report(WHAT, None)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTrade<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    id: u64,
    order_id: u64,
    price: Price,
    qty: Qty,
    /// Margin does not say it.
    quote_qty: Option<Cash>,
    commission: Cash,
    #[serde(borrow)]
    commission_asset: Option<Cow<'a, str>>,
    time: i64,
    is_buyer: bool,
    is_maker: bool,
}

/// Reads the answer to `myTrades`.
///
/// # Errors
/// [`Malformed`] if any of them is no trade.
pub fn trades(result: &str) -> Result<Vec<Fill>, Malformed> {
    let raw: Vec<RawTrade<'_>> = read("own trades", result)?;
    let fill = |trade: RawTrade<'_>| Fill {
        symbol: Symbol::new(&trade.symbol),
        trade_id: trade.id,
        venue_id: trade.order_id,
        side: if trade.is_buyer { Side::Buy } else { Side::Sell },
        price: trade.price,
        qty: trade.qty,
        quote: trade.quote_qty.unwrap_or_else(|| cut(trade.price.times(trade.qty))),
        realised: None,
        fee: trade.commission,
        // The event of a trade without a fee names no asset.
        fee_asset: trade
            .commission_asset
            .filter(|name| !name.is_empty() && !trade.commission.is_zero())
            .map(|name| Asset::new(&name)),
        maker: trade.is_maker,
        time: Time::from_millis(trade.time),
    };
    Ok(raw.into_iter().map(fill).collect())
}

/// Reads the answer to `account.status`, leaving out empty balances.
///
/// # Errors
/// [`Malformed`] if it is no account.
pub fn account(result: &str) -> Result<Account, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        can_trade: bool,
        #[serde(borrow)]
        balances: Vec<RawBalance<'a>>,
    }
    #[derive(Deserialize)]
    struct RawBalance<'a> {
        #[serde(borrow)]
        asset: Cow<'a, str>,
        free: Cash,
        locked: Cash,
    }
    let raw: Raw<'_> = read("an account", result)?;
    let balances = raw
        .balances
        .iter()
        .filter(|row| !(row.free.is_zero() && row.locked.is_zero()))
        .map(|row| Balance::new(Asset::new(&row.asset), row.free, row.locked))
        .collect();
    Ok(Account { balances, can_trade: raw.can_trade })
}

/// To the eight decimals in which the venue books amounts.
fn cut(amount: Cash) -> Cash {
    const GRAIN: i128 = 100;
    Cash::from_raw(amount.raw() / GRAIN * GRAIN)
}

fn some_id(text: &str) -> Option<ClientOrderId> {
    (!text.is_empty()).then(|| ClientOrderId::foreign(text))
}

fn side(what: &'static str, word: &str) -> Result<Side, Malformed> {
    Side::from_word(word).ok_or_else(|| Malformed::new(what, format!("unknown side {word}")))
}

/// A status of the future is not guessed at: the caller asks the venue what became of the order.
fn status(what: &'static str, word: &str) -> Result<VenueStatus, Malformed> {
    Ok(match word {
        "NEW" | "PENDING_NEW" => VenueStatus::New,
        "PARTIALLY_FILLED" => VenueStatus::PartiallyFilled,
        "FILLED" => VenueStatus::Filled,
        "CANCELED" => VenueStatus::Canceled,
        "REJECTED" => VenueStatus::Rejected,
        "EXPIRED" => VenueStatus::Expired,
        "EXPIRED_IN_MATCH" => VenueStatus::ExpiredInMatch,
        // Unused by the venue for years, but still in its list: the order can still fill.
        "PENDING_CANCEL" => VenueStatus::New,
        other => return Err(Malformed::new(what, format!("unknown order status {other}"))),
    })
}

#[cfg(test)]
mod tests;
