//! Orders and fills of perpetuals as replies, queries and private events show them.
//!
//! Replies to place, modify and cancel have no average price and no quote amount; queries have them. Private
//! events write numbers without trailing zeros.

use binance_wire::render::Object;
use tradingsys::exchange::{Change, Fill, Order, OrderEvent, OrderStatus, Origin};
use tradingsys::market::{Side, Tif};
use tradingsys::num::{Cash, Price};
use tradingsys::order::request::Terms;

use super::frames::Style;

/// Decimals of average prices.
const AVERAGE_PLACES: u32 = 5;

/// What the core does not keep of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// `priceMatch`.
    pub(crate) price_match: &'static str,
    /// Type of the conditional order it comes from, else its own.
    pub(crate) original_type: Option<&'static str>,
}

impl Default for Label {
    fn default() -> Self {
        Self { price_match: "NONE", original_type: None }
    }
}

/// Type as shown.
pub(crate) fn kind(order: &Order) -> &'static str {
    match order.terms {
        Terms::Limit { .. } | Terms::PostOnly { .. } => "LIMIT",
        _ => "MARKET",
    }
}

/// Time in force as shown.
pub(crate) fn tif(order: &Order) -> &'static str {
    match order.terms {
        _ if order.position.good_till.is_some() => "GTD",
        Terms::PostOnly { .. } => "GTX",
        Terms::Limit { tif, .. } => tif.as_str(),
        _ => Tif::Gtc.as_str(),
    }
}

fn price(order: &Order) -> Price {
    order.terms.price().unwrap_or_default()
}

fn good_till(order: &Order) -> i64 {
    order.position.good_till.map_or(0, tradingsys::time::Time::millis)
}

fn reduces(order: &Order) -> bool {
    order.position.reduces(order.side)
}

/// The average price of what is filled.
pub(crate) fn average(order: &Order) -> Price {
    order.filled_quote.per(order.filled).unwrap_or_default()
}

fn average_text(style: &Style, order: &Order) -> String {
    average(order).fixed(AVERAGE_PLACES.max(style.price + 1))
}

/// `0` for nothing, as replies write what is absent.
fn or_zero(style: &Style, price: Price) -> String {
    if price.is_zero() { "0".to_owned() } else { style.price(price) }
}

/// The fields between the client id and the update time that replies share.
fn reply_body(style: &Style, order: &Order, label: Label) -> Object {
    Object::new()
        .text("clientOrderId", order.client_id.as_str())
        .text("cumQty", &style.qty(order.filled))
        .text("executedQty", &style.qty(order.filled))
        .int("orderId", order.id)
        .text("origQty", &style.qty(order.qty))
        .text("price", &or_zero(style, price(order)))
        .flag("reduceOnly", reduces(order))
        .text("side", order.side.as_str())
        .text("positionSide", order.position.side.as_str())
        .text("status", order.status.as_str())
        .text("stopPrice", "0")
        .flag("closePosition", order.position.close_position)
        .text("symbol", &style.symbol)
        .text("timeInForce", tif(order))
        .text("type", kind(order))
        .text("origType", label.original_type.unwrap_or_else(|| kind(order)))
}

fn reply_end(object: Object, order: &Order, label: Label) -> Object {
    object
        .int("updateTime", order.updated.millis())
        .text("workingType", "CONTRACT_PRICE")
        .flag("priceProtect", false)
        .text("priceMatch", label.price_match)
        .text("selfTradePreventionMode", order.stp.as_str())
        .int("goodTillDate", good_till(order))
}

/// Reply to a new order.
pub(crate) fn placed(style: &Style, order: &Order, label: Label) -> String {
    reply_end(reply_body(style, order, label), order, label).end()
}

/// Reply to a cancel.
pub(crate) fn canceled(style: &Style, order: &Order, label: Label) -> String {
    let object = reply_body(style, order, label).text("activatePrice", "0").text("priceRate", "0");
    reply_end(object, order, label).end()
}

/// Reply to a modify; `id` is the client's number of the change.
pub(crate) fn modified(style: &Style, order: &Order, label: Label, id: Option<i64>) -> String {
    let object = reply_body(style, order, label).text("pair", &style.symbol);
    let object = match id {
        Some(id) => object.int("modifyId", id),
        None => object,
    };
    reply_end(object, order, label).end()
}

/// An order as queries show it.
pub(crate) fn queried(style: &Style, order: &Order, label: Label) -> String {
    let object = Object::new()
        .text("avgPrice", &average_text(style, order))
        .text("clientOrderId", order.client_id.as_str())
        .text("cumQuote", &order.filled_quote.to_string())
        .text("executedQty", &style.qty(order.filled))
        .int("orderId", order.id)
        .text("origQty", &style.qty(order.qty))
        .text("origType", label.original_type.unwrap_or_else(|| kind(order)))
        .text("price", &or_zero(style, price(order)))
        .flag("reduceOnly", reduces(order))
        .text("side", order.side.as_str())
        .text("positionSide", order.position.side.as_str())
        .text("status", order.status.as_str())
        .text("stopPrice", "0")
        .flag("closePosition", order.position.close_position)
        .text("symbol", &style.symbol)
        .int("time", order.created.millis())
        .text("timeInForce", tif(order))
        .text("type", kind(order));
    reply_end(object, order, label).end()
}

/// A row of `userTrades`.
pub(crate) fn trade(style: &Style, fill: &Fill) -> String {
    Object::new()
        .text("symbol", &style.symbol)
        .text("pair", &style.symbol)
        .int("id", fill.trade_id)
        .int("orderId", fill.order_id)
        .text("side", fill.side.as_str())
        .text("positionSide", fill.position_side.as_str())
        .text("price", &style.price(fill.price))
        .text("qty", &style.qty(fill.qty))
        .text("baseQty", &style.qty(fill.qty))
        .text("quoteQty", &fill.quote.to_string())
        .text("realizedPnl", &fill.realised.fixed(8))
        .text("marginAsset", fill.fee_asset.as_str())
        .text("commission", &fill.fee.fixed(8))
        .text("commissionAsset", fill.fee_asset.as_str())
        .int("time", fill.time.millis())
        .flag("buyer", fill.side == Side::Buy)
        .flag("maker", fill.maker)
        .end()
}

/// The execution type of a change. Fills the exchange makes to close a position are `CALCULATED`.
pub(crate) fn execution_type(event: &OrderEvent) -> &'static str {
    match &event.change {
        Change::New => "NEW",
        Change::Trade(_)
            if matches!(event.order.position.origin, Origin::Liquidation | Origin::Deleveraging) =>
        {
            "CALCULATED"
        }
        Change::Trade(_) => "TRADE",
        Change::Canceled { .. } => "CANCELED",
        Change::Replaced { .. } => "AMENDMENT",
        Change::Expired | Change::Prevented(_) => "EXPIRED",
    }
}

/// What an event shows beside the order itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    /// Notional of the account's open bids and asks in the symbol.
    pub(crate) exposure: (Cash, Cash),
    /// The client's number of a modify.
    pub(crate) modify_id: Option<i64>,
    /// What the core does not keep.
    pub(crate) label: Label,
}

/// `ORDER_TRADE_UPDATE`.
pub(crate) fn order_update(now: i64, style: &Style, event: &OrderEvent, beside: &Beside) -> String {
    let order = &event.order;
    let fill = match &event.change {
        Change::Trade(fill) => Some(fill),
        _ => None,
    };
    let head = Object::new()
        .text("s", &style.symbol)
        .text("c", order.client_id.as_str())
        .text("S", order.side.as_str())
        .text("o", kind(order))
        .text("f", tif(order))
        .text("q", &order.qty.to_string())
        .text("p", &price(order).to_string())
        .text("ap", &average(order).to_string())
        .text("sp", "0")
        .text("x", execution_type(event))
        .text("X", order.status.as_str())
        .int("i", order.id);
    let head = match beside.modify_id {
        Some(id) => head.text("M", &id.to_string()),
        None => head,
    };
    let filled = head
        .text("l", &fill.map_or("0".into(), |fill| fill.qty.to_string()))
        .text("z", &order.filled.to_string())
        .text("L", &fill.map_or("0".into(), |fill| fill.price.to_string()));
    let paid = match fill {
        Some(fill) => filled.text("N", fill.fee_asset.as_str()).text("n", &fill.fee.to_string()),
        None => filled,
    };
    let inner = paid
        .int("T", event.time.millis())
        .int("t", fill.map_or(0, |fill| fill.trade_id))
        .text("b", &beside.exposure.0.to_string())
        .text("a", &beside.exposure.1.to_string())
        .flag("m", fill.is_some_and(|fill| fill.maker))
        .flag("R", reduces(order))
        .text("wt", "CONTRACT_PRICE")
        .text("ot", beside.label.original_type.unwrap_or_else(|| kind(order)))
        .text("ps", order.position.side.as_str())
        .flag("cp", order.position.close_position)
        .flag("pP", false)
        .int("si", 0)
        .int("ss", 0)
        .text("rp", &fill.map_or("0".into(), |fill| fill.realised.to_string()))
        .text("V", order.stp.as_str())
        .text("pm", beside.label.price_match)
        .int("gtd", good_till(order))
        .text("er", expiry(order));
    Object::new()
        .text("e", "ORDER_TRADE_UPDATE")
        .int("E", now)
        .int("T", event.time.millis())
        .raw("o", &inner.end())
        .end()
}

/// The venue does not say what its numbers mean; here 1 stands for self-trade prevention, 2 for everything else.
fn expiry(order: &Order) -> &'static str {
    match order.status {
        OrderStatus::Expired => "2",
        OrderStatus::ExpiredInMatch => "1",
        _ => "0",
    }
}

/// `TRADE_LITE`.
pub(crate) fn trade_lite(now: i64, style: &Style, event: &OrderEvent, fill: &Fill) -> String {
    let order = &event.order;
    Object::new()
        .text("e", "TRADE_LITE")
        .int("E", now)
        .int("T", event.time.millis())
        .text("s", &style.symbol)
        .text("q", &order.qty.to_string())
        .text("p", &price(order).to_string())
        .flag("m", fill.maker)
        .text("c", order.client_id.as_str())
        .text("S", order.side.as_str())
        .text("L", &fill.price.to_string())
        .text("l", &fill.qty.to_string())
        .int("t", fill.trade_id)
        .int("i", order.id)
        .end()
}
