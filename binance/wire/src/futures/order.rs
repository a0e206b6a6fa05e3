//! Orders, in the five spellings the venue has for them: the event `ORDER_TRADE_UPDATE`, the event `ALGO_UPDATE` of
//! conditional orders, the replies and answers of either kind, and the account's own trades.
//!
//! A conditional order lives under a number of its own until it is triggered. Its reports carry that number, and the
//! number of the order it has triggered once there is one; from then on the triggered order's own reports say how it
//! goes on, so a report of the conditional order is then never terminal.

use std::borrow::Cow;

use serde::Deserialize;
use tradingsys::ids::{Asset, ClientOrderId, Symbol};
use tradingsys::journal::Forced;
use tradingsys::market::{Instructions, OrderType, Side, Tif, WorkingType};
use tradingsys::num::{Cash, Percent, Price, Qty};
use tradingsys::time::Time;
use tradingsys::venue::port::{Fill, OrderReport, VenueStatus};

use super::loose::loose;
use crate::reply::{Malformed, read};

/// The venue's word for a type of our vocabulary, and back; post-only is a limit order with `GTX`.
const TYPES: [(&str, OrderType); 7] = [
    ("LIMIT", OrderType::Limit),
    ("MARKET", OrderType::Market),
    ("STOP", OrderType::StopLossLimit),
    ("STOP_MARKET", OrderType::StopLoss),
    ("TAKE_PROFIT", OrderType::TakeProfitLimit),
    ("TAKE_PROFIT_MARKET", OrderType::TakeProfit),
    ("TRAILING_STOP_MARKET", OrderType::TrailingStop),
];

/// Our word for the venue's type; `None` for one this version does not know.
pub fn type_from_word(word: &str) -> Option<OrderType> {
    TYPES.iter().find(|(text, _)| *text == word).map(|(_, order_type)| *order_type)
}

/// The venue's word for a type.
pub fn type_word(order_type: OrderType) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == order_type).map_or("LIMIT", |(text, _)| text)
}

/// What the spellings have in common.
struct Common<'a> {
    what: &'static str,
    order_type: &'a str,
    tif: &'a str,
    side: &'a str,
    status: &'a str,
    working_type: &'a str,
    reduce_only: bool,
    good_till: i64,
    callback_rate: Percent,
    activation_price: Price,
}

/// Reads it from any of the spellings, whose members bear the same names.
macro_rules! common {
    ($what:expr, $raw:expr) => {
        Common {
            what: $what,
            order_type: &$raw.order_type,
            tif: &$raw.tif,
            side: &$raw.side,
            status: &$raw.status,
            working_type: &$raw.working_type,
            reduce_only: $raw.reduce_only,
            good_till: $raw.good_till,
            callback_rate: $raw.callback_rate,
            activation_price: $raw.activation_price,
        }
    };
}

impl Common<'_> {
    fn order_type(&self) -> Option<OrderType> {
        let known = type_from_word(self.order_type);
        if known == Some(OrderType::Limit) && self.tif == "GTX" { Some(OrderType::LimitMaker) } else { known }
    }

    fn side(&self) -> Result<Side, Malformed> {
        Side::from_word(self.side)
            .ok_or_else(|| Malformed::new(self.what, format!("unknown side {}", self.side)))
    }

    fn instructions(&self) -> Instructions {
        let conditional = self.order_type().is_some_and(OrderType::is_conditional);
        let trailing = self.order_type() == Some(OrderType::TrailingStop);
        let watched = match self.working_type {
            "MARK_PRICE" => WorkingType::Mark,
            _ => WorkingType::Last,
        };
        Instructions {
            reduce_only: self.reduce_only,
            good_till: (self.good_till > 0).then(|| Time::from_millis(self.good_till)),
            working_type: conditional.then_some(watched),
            callback_rate: trailing.then_some(self.callback_rate),
            activation_price: (trailing && self.activation_price.is_positive())
                .then_some(self.activation_price),
        }
    }

    /// A status of the future is not guessed at: the caller asks the venue what became of the order.
    fn status(&self) -> Result<VenueStatus, Malformed> {
        Ok(match self.status {
            // The two words of liquidations name what takes the order in, not where it stands.
            "NEW" | "NEW_INSURANCE" | "NEW_ADL" => VenueStatus::New,
            "PARTIALLY_FILLED" => VenueStatus::PartiallyFilled,
            "FILLED" => VenueStatus::Filled,
            "CANCELED" => VenueStatus::Canceled,
            "REJECTED" => VenueStatus::Rejected,
            "EXPIRED" => VenueStatus::Expired,
            "EXPIRED_IN_MATCH" => VenueStatus::ExpiredInMatch,
            other => return Err(Malformed::new(self.what, format!("unknown order status {other}"))),
        })
    }

    /// Of a conditional order; what was triggered is told by the order it became.
    fn conditional_status(&self, triggered: bool) -> Result<VenueStatus, Malformed> {
        Ok(match self.status {
            _ if triggered => VenueStatus::New,
            "NEW" | "TRIGGERING" | "TRIGGERED" | "FINISHED" => VenueStatus::New,
            "CANCELED" => VenueStatus::Canceled,
            "REJECTED" => VenueStatus::Rejected,
            "EXPIRED" => VenueStatus::Expired,
            other => return Err(Malformed::new(self.what, format!("unknown conditional status {other}"))),
        })
    }
}

/// Why the venue itself made an order of this client id.
fn forced(client_id: &str) -> Option<Forced> {
    if client_id.starts_with("autoclose-") {
        Some(Forced::Liquidation)
    } else if client_id.starts_with("adl_autoclose") {
        Some(Forced::Adl)
    } else if client_id.starts_with("settlement_autoclose-") || client_id.starts_with("delivery_autoclose-") {
        Some(Forced::Settlement)
    } else {
        None
    }
}

/// Quote amount of a fill; the venue tells none.
fn worth(what: &'static str, price: Price, qty: Qty) -> Result<Cash, Malformed> {
    price
        .worth(qty)
        .ok_or_else(|| Malformed::new(what, format!("a fill of {qty} at {price} is worth over 10^15")))
}

#[derive(Deserialize)]
struct RawUpdate<'a> {
    #[serde(borrow)]
    o: RawUpdateOrder<'a>,
}

#[derive(Deserialize)]
struct RawUpdateOrder<'a> {
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
    #[serde(rename = "sp", default, deserialize_with = "loose")]
    stop: Price,
    #[serde(rename = "x", borrow)]
    execution: Cow<'a, str>,
    #[serde(rename = "X", borrow)]
    status: Cow<'a, str>,
    #[serde(rename = "i")]
    venue_id: u64,
    #[serde(rename = "l")]
    last_qty: Qty,
    #[serde(rename = "z")]
    filled: Qty,
    #[serde(rename = "L")]
    last_price: Price,
    #[serde(rename = "n", default, deserialize_with = "loose")]
    fee: Cash,
    #[serde(rename = "N", borrow, default)]
    fee_asset: Option<Cow<'a, str>>,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "t")]
    trade_id: u64,
    #[serde(rename = "m")]
    maker: bool,
    #[serde(rename = "R", default)]
    reduce_only: bool,
    #[serde(rename = "wt", borrow, default)]
    working_type: Cow<'a, str>,
    #[serde(rename = "rp", default, deserialize_with = "loose")]
    realised: Cash,
    #[serde(rename = "gtd", default, deserialize_with = "loose")]
    good_till: i64,
    #[serde(rename = "AP", default, deserialize_with = "loose")]
    activation_price: Price,
    #[serde(rename = "cr", default, deserialize_with = "loose")]
    callback_rate: Percent,
    #[serde(rename = "er", borrow, default)]
    expiry: Cow<'a, str>,
}

/// Reads an `ORDER_TRADE_UPDATE`.
///
/// # Errors
/// [`Malformed`] if it is none, or says something this version does not know.
pub fn order_update(text: &str) -> Result<OrderReport, Malformed> {
    const WHAT: &str = "an ORDER_TRADE_UPDATE";
    let raw = read::<RawUpdate<'_>>(WHAT, text)?.o;
    let common = common!(WHAT, raw);
    let (symbol, side) = (Symbol::new(&raw.symbol), common.side()?);
    let client_id = ClientOrderId::foreign(&raw.client_id);
    let time = Time::from_millis(raw.time);
    // Liquidations are told as CALCULATED, with a fill or without.
    let fills = matches!(raw.execution.as_ref(), "TRADE" | "CALCULATED") && raw.last_qty.is_positive();
    let quote = worth(WHAT, raw.last_price, raw.last_qty)?;
    let fill = fills.then(|| Fill {
        symbol: symbol.clone(),
        trade_id: raw.trade_id,
        venue_id: raw.venue_id,
        side,
        price: raw.last_price,
        qty: raw.last_qty,
        quote,
        realised: Some(raw.realised),
        fee: raw.fee,
        fee_asset: raw.fee_asset.filter(|_| !raw.fee.is_zero()).map(|name| Asset::new(&name)),
        maker: raw.maker,
        time,
    });
    Ok(OrderReport {
        symbol,
        venue_id: raw.venue_id,
        conditional_id: None,
        client_id,
        // Neither a cancel nor a modification renames here.
        previous_id: None,
        side,
        order_type: common.order_type(),
        tif: Tif::from_word(&raw.tif),
        price: raw.price,
        stop: raw.stop,
        instructions: common.instructions(),
        qty: raw.qty,
        filled: raw.filled,
        status: common.status()?,
        reason: (!matches!(raw.expiry.as_ref(), "" | "0")).then(|| raw.expiry.into_owned()),
        time,
        fill,
        forced: forced(&raw.client_id),
    })
}

#[derive(Deserialize)]
struct RawAlgoUpdate<'a> {
    #[serde(rename = "T")]
    time: i64,
    #[serde(borrow)]
    o: RawAlgoUpdateOrder<'a>,
}

#[derive(Deserialize)]
struct RawAlgoUpdateOrder<'a> {
    #[serde(rename = "caid", borrow)]
    client_id: Cow<'a, str>,
    #[serde(rename = "aid")]
    conditional_id: u64,
    #[serde(rename = "o", borrow)]
    order_type: Cow<'a, str>,
    #[serde(rename = "s", borrow)]
    symbol: Cow<'a, str>,
    #[serde(rename = "S", borrow)]
    side: Cow<'a, str>,
    #[serde(rename = "f", borrow, default)]
    tif: Cow<'a, str>,
    #[serde(rename = "q", default, deserialize_with = "loose")]
    qty: Qty,
    #[serde(rename = "X", borrow)]
    status: Cow<'a, str>,
    #[serde(rename = "ai", default, deserialize_with = "loose")]
    venue_id: u64,
    #[serde(rename = "aq", default, deserialize_with = "loose")]
    filled: Qty,
    #[serde(rename = "tp", default, deserialize_with = "loose")]
    stop: Price,
    #[serde(rename = "p", default, deserialize_with = "loose")]
    price: Price,
    #[serde(rename = "wt", borrow, default)]
    working_type: Cow<'a, str>,
    #[serde(rename = "R", default)]
    reduce_only: bool,
    #[serde(rename = "gtd", default, deserialize_with = "loose")]
    good_till: i64,
    #[serde(rename = "rm", borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(rename = "AP", default, deserialize_with = "loose")]
    activation_price: Price,
    #[serde(rename = "cr", default, deserialize_with = "loose")]
    callback_rate: Percent,
}

/// Reads an `ALGO_UPDATE`.
///
/// # Errors
/// [`Malformed`] if it is none, or says something this version does not know.
pub fn conditional_update(text: &str) -> Result<OrderReport, Malformed> {
    const WHAT: &str = "an ALGO_UPDATE";
    let RawAlgoUpdate { time, o: raw } = read(WHAT, text)?;
    let common = common!(WHAT, raw);
    Ok(OrderReport {
        symbol: Symbol::new(&raw.symbol),
        venue_id: raw.venue_id,
        conditional_id: Some(raw.conditional_id),
        client_id: ClientOrderId::foreign(&raw.client_id),
        previous_id: None,
        side: common.side()?,
        order_type: common.order_type(),
        tif: Tif::from_word(&raw.tif),
        price: raw.price,
        stop: raw.stop,
        instructions: common.instructions(),
        qty: raw.qty,
        filled: raw.filled,
        status: common.conditional_status(raw.venue_id > 0)?,
        reason: raw.reason.filter(|words| !words.is_empty()).map(Cow::into_owned),
        time: Time::from_millis(time),
        fill: None,
        forced: None,
    })
}

/// An order or a conditional order as replies and answers show it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(alias = "actualOrderId", default, deserialize_with = "loose")]
    order_id: u64,
    algo_id: Option<u64>,
    #[serde(borrow, alias = "clientAlgoId")]
    client_order_id: Cow<'a, str>,
    #[serde(default, deserialize_with = "loose")]
    price: Price,
    #[serde(alias = "quantity", default, deserialize_with = "loose")]
    orig_qty: Qty,
    #[serde(alias = "actualQty", default, deserialize_with = "loose")]
    executed_qty: Qty,
    #[serde(borrow, alias = "algoStatus")]
    status: Cow<'a, str>,
    #[serde(rename = "timeInForce", borrow, default)]
    tif: Cow<'a, str>,
    #[serde(rename = "type", borrow, alias = "orderType")]
    order_type: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(alias = "triggerPrice", default, deserialize_with = "loose")]
    stop_price: Price,
    #[serde(default)]
    reduce_only: bool,
    #[serde(borrow, default)]
    working_type: Cow<'a, str>,
    #[serde(rename = "goodTillDate", default, deserialize_with = "loose")]
    good_till: i64,
    #[serde(rename = "activatePrice", default, deserialize_with = "loose")]
    activation_price: Price,
    #[serde(alias = "priceRate", default, deserialize_with = "loose")]
    callback_rate: Percent,
    update_time: i64,
}

impl RawOrder<'_> {
    fn report(self, what: &'static str) -> Result<OrderReport, Malformed> {
        let common = common!(what, self);
        if self.algo_id.is_none() && self.order_id == 0 {
            return Err(Malformed::new(what, "neither orderId nor algoId"));
        }
        let status = match self.algo_id {
            Some(_) => common.conditional_status(self.order_id > 0)?,
            None => common.status()?,
        };
        Ok(OrderReport {
            symbol: Symbol::new(&self.symbol),
            venue_id: self.order_id,
            conditional_id: self.algo_id,
            client_id: ClientOrderId::foreign(&self.client_order_id),
            previous_id: None,
            side: common.side()?,
            order_type: common.order_type(),
            tif: Tif::from_word(&self.tif),
            price: self.price,
            stop: self.stop_price,
            instructions: common.instructions(),
            qty: self.orig_qty,
            filled: self.executed_qty,
            status,
            reason: None,
            time: Time::from_millis(self.update_time),
            fill: None,
            forced: forced(&self.client_order_id),
        })
    }
}

/// Reads the reply to an order, a cancel or a modification, or the answer about one order, conditional or not.
///
/// # Errors
/// [`Malformed`] if it is no order.
pub fn order(result: &str) -> Result<OrderReport, Malformed> {
    const WHAT: &str = "an order";
    read::<RawOrder<'_>>(WHAT, result)?.report(WHAT)
}

/// Reads the open orders, or the open conditional orders.
///
/// # Errors
/// [`Malformed`] if any of them is no order.
pub fn orders(result: &str) -> Result<Vec<OrderReport>, Malformed> {
    const WHAT: &str = "open orders";
    let raw: Vec<RawOrder<'_>> = read(WHAT, result)?;
    raw.into_iter().map(|order| order.report(WHAT)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTrade<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    id: u64,
    order_id: u64,
    #[serde(borrow)]
    side: Cow<'a, str>,
    price: Price,
    qty: Qty,
    realized_pnl: Cash,
    commission: Cash,
    #[serde(borrow, default)]
    commission_asset: Option<Cow<'a, str>>,
    time: i64,
    maker: bool,
}

/// Reads the answer to `userTrades`.
///
/// # Errors
/// [`Malformed`] if any of them is no trade.
pub fn trades(result: &str) -> Result<Vec<Fill>, Malformed> {
    const WHAT: &str = "own trades";
    let raw: Vec<RawTrade<'_>> = read(WHAT, result)?;
    let fill = |trade: RawTrade<'_>| {
        let side = Side::from_word(&trade.side)
            .ok_or_else(|| Malformed::new(WHAT, format!("unknown side {}", trade.side)))?;
        Ok(Fill {
            symbol: Symbol::new(&trade.symbol),
            trade_id: trade.id,
            venue_id: trade.order_id,
            side,
            price: trade.price,
            qty: trade.qty,
            // Reckoned as the event's is: both sources must tell one fact alike.
            quote: worth(WHAT, trade.price, trade.qty)?,
            realised: Some(trade.realized_pnl),
            fee: trade.commission,
            fee_asset: trade
                .commission_asset
                .filter(|name| !name.is_empty() && !trade.commission.is_zero())
                .map(|name| Asset::new(&name)),
            maker: trade.maker,
            time: Time::from_millis(trade.time),
        })
    };
    raw.into_iter().map(fill).collect()
}

#[cfg(test)]
mod tests;
