//! Orders and fills as replies and private events show them.

use binance_wire::render::{Object, TimeUnit, array};
use tradingsys::exchange::{Amended, Canceled, Placed};
use tradingsys::exchange::{Balance, Change, OrderEvent};
use tradingsys::exchange::{Fill, Order, OrderStatus};
use tradingsys::market::{OrderType, Tif};
use tradingsys::num::Qty;
use tradingsys::order::request::Terms;
use tradingsys::time::Time;

/// How much a reply to a new order says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The ids.
    Ack,
    /// And the state.
    Result,
    /// And the fills.
    Full,
}

/// What a request said of an order that the matching core does not keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Label {
    /// `strategyId`.
    pub(crate) strategy_id: Option<i64>,
    /// `strategyType`.
    pub(crate) strategy_type: Option<i64>,
}

/// Time in force as shown: types without one show `GTC`.
fn tif(order: &Order) -> Tif {
    match order.terms {
        Terms::Limit { tif, .. } | Terms::Stop { limit: Some((_, tif)), .. } => tif,
        _ => Tif::Gtc,
    }
}

fn price_raw(order: &Order) -> i128 {
    order.terms.price().map_or(0, |price| price.raw())
}

fn stop_raw(order: &Order) -> i128 {
    order.terms.stop().map_or(0, |price| price.raw())
}

fn quote_raw(order: &Order) -> i128 {
    if let Terms::MarketQuote { amount } = order.terms { amount.raw() } else { 0 }
}

fn order_type(order: &Order) -> OrderType {
    order.terms.order_type()
}

/// Reply to a new order.
pub(crate) fn placed(placed: &Placed, label: Label, detail: Detail, unit: TimeUnit) -> String {
    let order = &placed.order;
    let head = Object::new()
        .text("symbol", &order.symbol.upper())
        .int("orderId", order.id)
        .int("orderListId", -1)
        .text("clientOrderId", order.client_id.as_str())
        .int("transactTime", unit.of(order.updated));
    if detail == Detail::Ack {
        return head.end();
    }
    let body = state(head, order, unit);
    let body = conditional(body, order, label);
    if detail == Detail::Result {
        return body.end();
    }
    let fills = placed.fills.iter().map(|fill| {
        Object::new()
            .fixed("price", fill.price.raw())
            .fixed("qty", fill.qty.raw())
            .fixed("commission", fill.fee.raw())
            .text("commissionAsset", fill.fee_asset.as_str())
            .int("tradeId", fill.trade_id)
            .end()
    });
    body.raw("fills", &array(fills)).end()
}

/// Reply to a cancel.
pub(crate) fn canceled(canceled: &Canceled, label: Label, unit: TimeUnit) -> String {
    let order = &canceled.order;
    let head = Object::new()
        .text("symbol", &order.symbol.upper())
        .text("origClientOrderId", canceled.previous_id.as_str())
        .int("orderId", order.id)
        .int("orderListId", -1)
        .text("clientOrderId", order.client_id.as_str())
        .int("transactTime", unit.of(order.updated));
    let body = Object::new()
        .and(head)
        .fixed("price", price_raw(order))
        .fixed("origQty", order.qty.raw())
        .fixed("executedQty", order.filled.raw())
        .fixed("origQuoteOrderQty", quote_raw(order))
        .fixed("cummulativeQuoteQty", order.filled_quote.raw())
        .text("status", order.status.as_str())
        .text("timeInForce", tif(order).as_str())
        .text("type", order_type(order).as_str())
        .text("side", order.side.as_str());
    let body = match order.terms.stop() {
        Some(stop) => body.fixed("stopPrice", stop.raw()),
        None => body,
    };
    labelled(body, label).text("selfTradePreventionMode", order.stp.as_str()).end()
}

/// Reply to an amend.
pub(crate) fn amended(amended: &Amended, unit: TimeUnit) -> String {
    let order = &amended.order;
    let row = Object::new()
        .text("symbol", &order.symbol.upper())
        .int("orderId", order.id)
        .int("orderListId", -1)
        .text("origClientOrderId", amended.previous_id.as_str())
        .text("clientOrderId", order.client_id.as_str())
        .fixed("price", price_raw(order))
        .fixed("qty", order.qty.raw())
        .fixed("executedQty", order.filled.raw())
        .fixed("preventedQty", order.prevented.raw())
        .fixed("quoteOrderQty", quote_raw(order))
        .fixed("cumulativeQuoteQty", order.filled_quote.raw())
        .text("status", order.status.as_str())
        .text("timeInForce", tif(order).as_str())
        .text("type", order_type(order).as_str())
        .text("side", order.side.as_str());
    let row = match order.working_since {
        Some(since) => row.int("workingTime", unit.of(since)),
        None => row,
    };
    let row = row.text("selfTradePreventionMode", order.stp.as_str());
    Object::new()
        .int("transactTime", unit.of(order.updated))
        .int("executionId", amended.execution_id)
        .raw("amendedOrder", &row.end())
        .end()
}

/// An order as queries show it.
pub(crate) fn queried(order: &Order, label: Label, unit: TimeUnit) -> String {
    let row = Object::new()
        .text("symbol", &order.symbol.upper())
        .int("orderId", order.id)
        .int("orderListId", -1)
        .text("clientOrderId", order.client_id.as_str())
        .fixed("price", price_raw(order))
        .fixed("origQty", order.qty.raw())
        .fixed("executedQty", order.filled.raw())
        .fixed("cummulativeQuoteQty", order.filled_quote.raw())
        .text("status", order.status.as_str())
        .text("timeInForce", tif(order).as_str())
        .text("type", order_type(order).as_str())
        .text("side", order.side.as_str())
        .fixed("stopPrice", stop_raw(order))
        .fixed("icebergQty", 0)
        .int("time", unit.of(order.created))
        .int("updateTime", unit.of(order.updated))
        .flag("isWorking", order.working_since.is_some());
    let row = match order.working_since {
        Some(since) => row.int("workingTime", unit.of(since)),
        None => row.int("workingTime", -1),
    };
    let row =
        row.fixed("origQuoteOrderQty", quote_raw(order)).text("selfTradePreventionMode", order.stp.as_str());
    expiry(prevented(labelled(row, label), order), order).end()
}

fn state(head: Object, order: &Order, unit: TimeUnit) -> Object {
    let body = head
        .fixed("price", price_raw(order))
        .fixed("origQty", order.qty.raw())
        .fixed("executedQty", order.filled.raw())
        .fixed("origQuoteOrderQty", quote_raw(order))
        .fixed("cummulativeQuoteQty", order.filled_quote.raw())
        .text("status", order.status.as_str())
        .text("timeInForce", tif(order).as_str())
        .text("type", order_type(order).as_str())
        .text("side", order.side.as_str());
    let body = match order.working_since {
        Some(since) => body.int("workingTime", unit.of(since)),
        None => body.int("workingTime", -1),
    };
    body.text("selfTradePreventionMode", order.stp.as_str())
}

fn conditional(body: Object, order: &Order, label: Label) -> Object {
    let body = match order.terms.stop() {
        Some(stop) => body.fixed("stopPrice", stop.raw()),
        None => body,
    };
    expiry(prevented(labelled(body, label), order), order)
}

fn labelled(body: Object, label: Label) -> Object {
    let body = match label.strategy_id {
        Some(id) => body.int("strategyId", id),
        None => body,
    };
    match label.strategy_type {
        Some(kind) => body.int("strategyType", kind),
        None => body,
    }
}

fn prevented(body: Object, order: &Order) -> Object {
    match order.prevented_match {
        Some(id) => body.int("preventedMatchId", id).fixed("preventedQuantity", order.prevented.raw()),
        None => body,
    }
}

fn expiry(body: Object, order: &Order) -> Object {
    match order.expiry {
        Some(why) => body.text("expiryReason", why.as_str()),
        None => body,
    }
}

/// A row of `myTrades`.
pub(crate) fn trade(fill: &Fill, unit: TimeUnit) -> String {
    Object::new()
        .text("symbol", &fill.symbol.upper())
        .int("id", fill.trade_id)
        .int("orderId", fill.order_id)
        .int("orderListId", -1)
        .fixed("price", fill.price.raw())
        .fixed("qty", fill.qty.raw())
        .fixed("quoteQty", fill.quote.raw())
        .fixed("commission", fill.fee.raw())
        .text("commissionAsset", fill.fee_asset.as_str())
        .int("time", unit.of(fill.time))
        .flag("isBuyer", fill.side == tradingsys::market::Side::Buy)
        .flag("isMaker", fill.maker)
        .flag("isBestMatch", true)
        .end()
}

/// The execution type of a change.
pub(crate) const fn execution_type(change: &Change) -> &'static str {
    match change {
        Change::New => "NEW",
        Change::Trade(_) => "TRADE",
        Change::Canceled { .. } => "CANCELED",
        Change::Replaced { .. } => "REPLACED",
        Change::Expired => "EXPIRED",
        Change::Prevented(_) => "TRADE_PREVENTION",
    }
}

/// `executionReport`, without its envelope.
pub(crate) fn execution_report(event: &OrderEvent, label: Label, now: Time, unit: TimeUnit) -> String {
    let order = &event.order;
    let fill = match &event.change {
        Change::Trade(fill) => Some(fill),
        _ => None,
    };
    let previous = match &event.change {
        Change::Canceled { previous_id } | Change::Replaced { previous_id } => previous_id.as_str(),
        _ => "",
    };
    let working = order.status.is_open() && order.working_since.is_some();
    let head = Object::new()
        .text("e", "executionReport")
        .int("E", unit.of(now))
        .text("s", &order.symbol.upper())
        .text("c", order.client_id.as_str())
        .text("S", order.side.as_str())
        .text("o", order_type(order).as_str())
        .text("f", tif(order).as_str())
        .fixed("q", order.qty.raw())
        .fixed("p", price_raw(order))
        .fixed("P", stop_raw(order))
        .fixed("F", 0)
        .int("g", -1)
        .text("C", previous)
        .text("x", execution_type(&event.change))
        .text("X", order.status.as_str())
        .text("r", "NONE")
        .int("i", order.id)
        .fixed("l", fill.map_or(0, |fill| fill.qty.raw()))
        .fixed("z", order.filled.raw())
        .fixed("L", fill.map_or(0, |fill| fill.price.raw()));
    let paid = match fill {
        Some(fill) => head.fixed("n", fill.fee.raw()).text("N", fill.fee_asset.as_str()),
        None => head.text("n", "0").raw("N", "null"),
    };
    let paid = paid.int("T", unit.of(event.time));
    let numbered = match fill {
        Some(fill) => paid.int("t", fill.trade_id),
        None => paid.int("t", -1),
    };
    let numbered = match order.prevented_match {
        Some(id) => numbered.int("v", id),
        None => numbered,
    };
    let tail = numbered
        .int("I", event.execution_id)
        .flag("w", working)
        .flag("m", fill.is_some_and(|fill| fill.maker))
        .flag("M", false)
        .int("O", unit.of(order.created))
        .fixed("Z", order.filled_quote.raw())
        .fixed("Y", fill.map_or(0, |fill| fill.quote.raw()))
        .fixed("Q", quote_raw(order));
    let tail = match order.working_since {
        Some(since) => tail.int("W", unit.of(since)),
        None => tail,
    };
    report_conditions(tail.text("V", order.stp.as_str()), event, label).end()
}

fn report_conditions(report: Object, event: &OrderEvent, label: Label) -> Object {
    let order = &event.order;
    let report = match label.strategy_id {
        Some(id) => report.int("j", id),
        None => report,
    };
    let report = match label.strategy_type {
        Some(kind) => report.int("J", kind),
        None => report,
    };
    let report = if order.prevented == Qty::ZERO { report } else { report.fixed("A", order.prevented.raw()) };
    let report = match &event.change {
        Change::Prevented(match_) => report
            .fixed("B", match_.prevented.raw())
            .int("u", 1)
            .int("U", match_.counter_order)
            .text("Cs", &order.symbol.upper())
            .fixed("pl", match_.qty.raw())
            .fixed("pL", match_.price.raw())
            .fixed("pY", match_.quote.raw()),
        _ => report,
    };
    match (order.status, order.expiry) {
        (OrderStatus::Expired, Some(why)) => report.text("eR", why.as_str()),
        _ => report,
    }
}

/// `outboundAccountPosition`, without its envelope.
pub(crate) fn account_position(balances: &[Balance], changed: Time, now: Time, unit: TimeUnit) -> String {
    let rows = balances.iter().map(|balance| {
        Object::new()
            .text("a", balance.asset.as_str())
            .fixed("f", balance.free.raw())
            .fixed("l", balance.locked.raw())
            .end()
    });
    Object::new()
        .text("e", "outboundAccountPosition")
        .int("E", unit.of(now))
        .int("u", unit.of(changed))
        .raw("B", &array(rows))
        .end()
}

/// The envelope of a private event.
pub(crate) fn envelope(subscription: u32, event: &str) -> String {
    Object::new().int("subscriptionId", subscription).raw("event", event).end()
}
