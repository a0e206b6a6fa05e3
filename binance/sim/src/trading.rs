//! New orders, cancels, amends: from parameters to the matching core, and back in the venue's words.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::array;
use tradingsys::exchange::{Cancel, CancelRestriction, Order, OrderRef, Page, Reject, Request};
use tradingsys::ids::{ClientOrderId, Symbol};
use tradingsys::market::{OrderType, Side, Stp, Tif};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::order::request::Terms;
use tradingsys::time::{Span, Time};

use crate::methods::{Answer, Call};
use crate::order_json::{self, Detail, Label};
use crate::params::Params;
use crate::sim::Sim;

/// Least `strategyType`.
const LEAST_STRATEGY_TYPE: i64 = 1_000_000;

/// A new order as a request describes it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    /// For the matching core; the client id is empty where the client gave none.
    pub(crate) request: Request,
    /// What the core does not keep.
    pub(crate) label: Label,
    /// How much the reply says.
    pub(crate) detail: Detail,
}

impl Sim {
    /// A listed symbol.
    pub(crate) fn symbol(&self, params: &Params, name: &str) -> Result<Symbol, ErrorReply> {
        let text = params.need(name)?;
        let fits =
            |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_.".contains(c) || !c.is_ascii();
        if text.chars().count() > 20 || !text.chars().all(fits) {
            return Err(ErrorReply::illegal(name, "^[A-Z0-9-_.]{1,20}$"));
        }
        let symbol = Symbol::new(text);
        if self.places.contains_key(&symbol) { Ok(symbol) } else { Err(ErrorReply::symbol()) }
    }

    /// Reads a new order.
    pub(crate) fn ticket(&self, params: &Params) -> Result<Ticket, ErrorReply> {
        let symbol = self.symbol(params, "symbol")?;
        let side = Side::from_word(params.need("side")?)
            .ok_or_else(|| ErrorReply::bad(code::INVALID_SIDE, "Invalid side."))?;
        let order_type = OrderType::from_word(params.need("type")?)
            .filter(|order_type| *order_type != OrderType::TrailingStop)
            .ok_or_else(|| ErrorReply::bad(code::INVALID_ORDER_TYPE, "Invalid orderType."))?;
        refuse_unsupported(params)?;
        let (terms, qty) = terms(params, order_type)?;
        let stp = match params.text("selfTradePreventionMode")? {
            None => None,
            Some("TRANSFER") => return Err(stp_not_supported()),
            Some(word) => {
                Some(Stp::from_word(word).ok_or_else(|| ErrorReply::invalid("selfTradePreventionMode"))?)
            }
        };
        let detail = match params.text("newOrderRespType")? {
            None if matches!(order_type, OrderType::Limit | OrderType::Market) => Detail::Full,
            None | Some("ACK") => Detail::Ack,
            Some("RESULT") => Detail::Result,
            Some("FULL") => Detail::Full,
            Some(_) => return Err(ErrorReply::invalid("newOrderRespType")),
        };
        let client_id = ClientOrderId::foreign(params.client_id("newClientOrderId")?.unwrap_or_default());
        let request = Request { symbol, client_id, side, terms, qty, stp };
        Ok(Ticket { request, label: label(params)?, detail })
    }

    /// `order.place`.
    pub(crate) fn order_place(&mut self, call: &Call<'_>) -> Answer {
        let mut ticket = self.ticket(call.params)?;
        self.name(&mut ticket.request);
        self.exchange.check(call.account, &ticket.request).map_err(refusal)?;
        self.rates.order_room(call.now, call.account)?;
        let placed = self.exchange.place(call.now, call.account, &ticket.request).map_err(refusal)?;
        self.rates.count_order(call.now, call.account);
        self.keep_label(&placed.order.symbol, placed.order.id, ticket.label);
        Ok(order_json::placed(&placed, ticket.label, ticket.detail, call.unit))
    }

    /// `order.test`: checked as far as before the engine.
    pub(crate) fn order_test(&mut self, call: &Call<'_>) -> Answer {
        let mut ticket = self.ticket(call.params)?;
        let wants_rates = call.params.flag("computeCommissionRates")?.unwrap_or(false);
        self.name(&mut ticket.request);
        self.exchange.check(call.account, &ticket.request).map_err(refusal)?;
        if wants_rates { Ok(self.order_rates(call)) } else { Ok("{}".into()) }
    }

    /// Order lists, which no symbol allows.
    pub(crate) fn no_lists(&mut self, _: &Call<'_>) -> Answer {
        Err(ErrorReply::order("OCO orders are not supported for this symbol"))
    }

    /// Smart order routing, which no symbol has.
    pub(crate) fn no_routing(&mut self, _: &Call<'_>) -> Answer {
        Err(ErrorReply::bad(code::UNSUPPORTED_OPERATION, "This operation is not supported."))
    }

    /// Gives an order a name if its client gave none.
    pub(crate) fn name(&mut self, request: &mut Request) {
        if request.client_id.as_str().is_empty() {
            request.client_id = ClientOrderId::foreign(&self.random_id());
        }
    }

    pub(crate) fn keep_label(&mut self, symbol: &Symbol, id: u64, label: Label) {
        if label != Label::default() {
            self.labels.insert((symbol.clone(), id), label);
        }
    }

    pub(crate) fn label_of(&self, symbol: &Symbol, id: u64) -> Label {
        self.labels.get(&(symbol.clone(), id)).copied().unwrap_or_default()
    }

    /// `order.cancel`.
    pub(crate) fn order_cancel(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let order = order_ref(call.params, "orderId", "origClientOrderId")?;
        let restriction = restriction(call.params)?;
        let cancel_id = self.given_or_random(call.params.client_id("newClientOrderId")?);
        let cancel = Cancel { symbol, order, cancel_id, restriction };
        let canceled = self.exchange.cancel(call.now, call.account, &cancel).map_err(cancel_refusal)?;
        Ok(self.canceled_json(&canceled, call))
    }

    /// `openOrders.cancelAll`.
    pub(crate) fn cancel_all(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let open = self.exchange.open_orders(call.account, Some(&symbol)).map_err(cancel_refusal)?;
        let ids: Vec<u64> = open.iter().map(|order| order.id).collect();
        if ids.is_empty() {
            return Err(cancel_refusal(Reject::UnknownOrder));
        }
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let cancel_id = ClientOrderId::foreign(&self.random_id());
            let cancel =
                Cancel { symbol: symbol.clone(), order: OrderRef::Id(id), cancel_id, restriction: None };
            let canceled = self.exchange.cancel(call.now, call.account, &cancel).map_err(cancel_refusal)?;
            rows.push(self.canceled_json(&canceled, call));
        }
        Ok(array(rows))
    }

    /// `order.status`.
    pub(crate) fn order_status(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let wanted = order_ref(call.params, "orderId", "origClientOrderId")?;
        let order = match self.cutoff(call) {
            None => self.exchange.order(call.account, &symbol, &wanted).cloned(),
            Some(then) => self.find_then(call.account, &symbol, &wanted, then),
        };
        let order = order.map_err(query_refusal)?;
        if is_gone(&order, call.now, self.config.retention.spot_unfilled) {
            return Err(ErrorReply::bad(code::ORDER_ARCHIVED, ARCHIVED));
        }
        Ok(order_json::queried(&order, self.label_of(&symbol, order.id), call.unit))
    }

    /// `openOrders.status`.
    pub(crate) fn open_orders(&mut self, call: &Call<'_>) -> Answer {
        let symbol = match call.params.has("symbol") {
            true => Some(self.symbol(call.params, "symbol")?),
            false => None,
        };
        let open = match self.cutoff(call) {
            None => {
                let open = self.exchange.open_orders(call.account, symbol.as_ref()).map_err(query_refusal)?;
                open.into_iter().cloned().collect()
            }
            Some(then) => self.open_then(call.account, symbol.as_ref(), then),
        };
        Ok(array(
            open.iter()
                .map(|order| order_json::queried(order, self.label_of(&order.symbol, order.id), call.unit)),
        ))
    }

    /// `allOrders`.
    pub(crate) fn all_orders(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let page = page(call.params, "orderId", 500)?;
        let orders = self.exchange.all_orders(call.account, &symbol, &page).map_err(query_refusal)?;
        Ok(array(
            orders
                .into_iter()
                .map(|order| order_json::queried(order, self.label_of(&symbol, order.id), call.unit)),
        ))
    }

    /// `myTrades`.
    pub(crate) fn my_trades(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let order = call.params.integer("orderId")?.map(i64::unsigned_abs);
        let mut page = page(call.params, "fromId", 500)?;
        if let Some(then) = self.cutoff(call) {
            page.end = Some(page.end.map_or(then, |end| end.min(then)));
        }
        let fills = self.exchange.fills(call.account, &symbol, order, &page).map_err(query_refusal)?;
        Ok(array(fills.into_iter().map(|fill| order_json::trade(fill, call.unit))))
    }
}

/// What is answered of an order that is kept no longer.
const ARCHIVED: &str =
    "Order was canceled or expired with no executed qty over 90 days ago and has been archived.";

/// Did it end without a fill longer ago than that?
pub(crate) fn is_gone(order: &Order, now: Time, kept: Span) -> bool {
    !order.status.is_open() && order.filled.is_zero() && now.since(order.updated) > kept
}

/// What the venue has and the simulator refuses: lists, icebergs, trailing stops and pegs.
fn refuse_unsupported(params: &Params) -> Result<(), ErrorReply> {
    if let Some(raw) = params.decimal("icebergQty")?
        && raw != 0
    {
        return Err(ErrorReply::order("Iceberg orders are not supported for this symbol."));
    }
    if params.integer("trailingDelta")?.is_some() {
        return Err(ErrorReply::order("Trailing stop orders are not supported for this symbol."));
    }
    for name in ["pegPriceType", "pegOffsetType", "pegOffsetValue"] {
        if params.text(name)?.is_some() {
            return Err(ErrorReply::order("Pegged orders are not supported for this symbol."));
        }
    }
    Ok(())
}

/// Which parameters belong to which type, and their values.
fn terms(params: &Params, order_type: OrderType) -> Result<(Terms, Qty), ErrorReply> {
    if params.has("timeInForce") && !order_type.has_tif() {
        let error = ErrorReply::bad(code::TIF_NOT_REQUIRED, "TimeInForce parameter sent when not required.");
        return Err(error);
    }
    for (name, belongs) in [
        ("price", order_type.has_price()),
        ("stopPrice", order_type.has_stop()),
        ("quoteOrderQty", order_type == OrderType::Market),
    ] {
        if params.has(name) && !belongs {
            return Err(ErrorReply::not_required(name));
        }
    }
    let tif = match params.text("timeInForce")? {
        Some(word) => Tif::from_word(word)
            .filter(|tif| *tif != Tif::Gtd)
            .ok_or_else(|| ErrorReply::bad(code::INVALID_TIF, "Invalid timeInForce."))?,
        None if order_type.has_tif() => return Err(ErrorReply::missing("timeInForce")),
        None => Tif::Gtc,
    };
    let quote = params.decimal("quoteOrderQty")?.map(Cash::from_raw);
    let qty = params.decimal("quantity")?.map(Qty::from_raw);
    let needed = |name: &str| -> Result<Price, ErrorReply> {
        params.decimal(name)?.map(Price::from_raw).ok_or_else(|| ErrorReply::missing(name))
    };
    if order_type == OrderType::Market {
        return match (qty, quote) {
            (Some(_), Some(_)) => Err(ErrorReply::not_required("quoteOrderQty")),
            (None, None) => Err(ErrorReply::missing_both("quantity", "quoteOrderQty")),
            (Some(qty), None) => Ok((Terms::Market, qty)),
            (None, Some(amount)) => Ok((Terms::MarketQuote { amount }, Qty::ZERO)),
        };
    }
    let qty = qty.ok_or_else(|| ErrorReply::missing("quantity"))?;
    let limit = if order_type.has_price() { Some((needed("price")?, tif)) } else { None };
    let terms = match (order_type, limit) {
        (OrderType::Limit, Some((price, tif))) => Terms::Limit { price, tif },
        (OrderType::LimitMaker, Some((price, _))) => Terms::PostOnly { price },
        _ => Terms::Stop { order_type, stop: needed("stopPrice")?, limit },
    };
    Ok((terms, qty))
}

fn label(params: &Params) -> Result<Label, ErrorReply> {
    let strategy_type = params.integer("strategyType")?;
    if strategy_type.is_some_and(|kind| kind < LEAST_STRATEGY_TYPE) {
        return Err(ErrorReply::bad(code::BAD_STRATEGY_TYPE, "`strategyType` was less than 1000000."));
    }
    Ok(Label { strategy_id: params.integer("strategyId")?, strategy_type })
}

/// Which order is meant, by number, by name, or by both.
pub(crate) fn order_ref(params: &Params, id: &str, name: &str) -> Result<OrderRef, ErrorReply> {
    let number = params.integer(id)?.map(i64::unsigned_abs);
    let client = params.text(name)?.map(ClientOrderId::foreign);
    match (number, client) {
        (Some(number), Some(client)) => Ok(OrderRef::Both(number, client)),
        (Some(number), None) => Ok(OrderRef::Id(number)),
        (None, Some(client)) => Ok(OrderRef::ClientId(client)),
        (None, None) => Err(ErrorReply::missing_both(name, id)),
    }
}

/// `cancelRestrictions`.
pub(crate) fn restriction(params: &Params) -> Result<Option<CancelRestriction>, ErrorReply> {
    let Some(word) = params.text("cancelRestrictions")? else { return Ok(None) };
    let words = "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.";
    let found = CancelRestriction::from_word(word);
    found.map(Some).ok_or_else(|| ErrorReply::bad(code::INVALID_CANCEL_RESTRICTIONS, words))
}

/// Which part of a history is wanted. A window may not be longer than 24 hours.
pub(crate) fn page(params: &Params, from: &str, usual: usize) -> Result<Page, ErrorReply> {
    let page = Page {
        from_id: params.integer(from)?.map(i64::unsigned_abs),
        start: params.time("startTime")?,
        end: params.time("endTime")?,
        limit: params.limit(usual, 1_000)?,
    };
    if let (Some(start), Some(end)) = (page.start, page.end)
        && end - start > tradingsys::time::Span::from_secs(86_400)
    {
        let words = "More than 24 hours between startTime and endTime.";
        return Err(ErrorReply::bad(code::INTERVAL_TOO_BIG, words));
    }
    Ok(page)
}

fn stp_not_supported() -> ErrorReply {
    ErrorReply::bad(
        code::UNKNOWN_ORDER_COMPOSITION,
        "This symbol does not allow the specified self-trade prevention mode.",
    )
}

/// A refused order in the venue's words.
pub(crate) fn refusal(reject: Reject) -> ErrorReply {
    match reject {
        Reject::Filter(filter) => ErrorReply::filter(filter),
        Reject::UnknownSymbol => ErrorReply::symbol(),
        Reject::UnknownAccount => ErrorReply::key(),
        Reject::StpNotSupported(_) => stp_not_supported(),
        Reject::IdMismatch => {
            ErrorReply::bad(code::CLIENT_ID_MISMATCH, "Client order ID is not correct for this order ID.")
        }
        other => ErrorReply::order(&engine_words(other)),
    }
}

/// A refused cancel in the venue's words.
pub(crate) fn cancel_refusal(reject: Reject) -> ErrorReply {
    match reject {
        Reject::UnknownOrder | Reject::CancelRestricted | Reject::MarketClosed | Reject::AccountBlocked => {
            ErrorReply::cancel(&engine_words(reject))
        }
        other => refusal(other),
    }
}

/// A query that found nothing, in the venue's words.
pub(crate) fn query_refusal(reject: Reject) -> ErrorReply {
    match reject {
        Reject::UnknownOrder => ErrorReply::bad(code::NO_SUCH_ORDER, "Order does not exist."),
        other => refusal(other),
    }
}

/// Words of the matching engine (errors.md, "Messages for -1010, -2010, -2011, and -2038").
pub(crate) fn engine_words(reject: Reject) -> String {
    let words = match reject {
        Reject::AccountBlocked => "This account may not place or cancel orders.",
        Reject::TypeNotSupported(OrderType::Market) => "Market orders are not supported for this symbol.",
        Reject::TypeNotSupported(OrderType::StopLoss) => {
            "Stop loss orders are not supported for this symbol."
        }
        Reject::TypeNotSupported(OrderType::StopLossLimit) => {
            "Stop loss limit orders are not supported for this symbol."
        }
        Reject::TypeNotSupported(OrderType::TakeProfit) => {
            "Take profit orders are not supported for this symbol."
        }
        Reject::TypeNotSupported(OrderType::TakeProfitLimit) => {
            "Take profit limit orders are not supported for this symbol."
        }
        Reject::TypeNotSupported(_) => "Unsupported order combination",
        Reject::QuoteAmountNotSupported => "Quote order qty market orders are not support for this symbol.",
        Reject::AmendNotSupported => "Order amend is not supported for this symbol.",
        Reject::MarketClosed => "Market is closed.",
        Reject::UnknownOrder => "Unknown order sent.",
        Reject::CancelRestricted => "Order was not canceled due to cancel restrictions.",
        Reject::Duplicate => "Duplicate order sent.",
        Reject::AmendIncrease => "Order amend (quantity increase) is not supported.",
        Reject::AmendNoChange => "The requested action would change no state; rejecting",
        Reject::WouldMatch => "Order would immediately match and take.",
        Reject::WouldTrigger => "Order would trigger immediately.",
        Reject::InsufficientBalance => "Account has insufficient balance for requested action.",
        other => return other.to_string(),
    };
    words.to_owned()
}
