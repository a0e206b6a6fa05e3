//! The algo service: conditional orders, which have numbers of their own and become orders when their price is
//! reached.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, array};
use tradingsys::exchange::futures::{Conditional, NewConditional, Reject};
use tradingsys::exchange::{Order, OrderRef, PositionTerms, Reject as MarketReject, Request};
use tradingsys::ids::ClientOrderId;
use tradingsys::market::{OrderType, Stp, Tif, WorkingType};
use tradingsys::num::{Percent, Price, Qty};
use tradingsys::order::request::Terms;
use tradingsys::time::Time;

use super::frames::Style;
use super::read::{client_id, good_till, position_side, side, stp};
use super::refusals::{query_refusal, refusal};
use super::{Futures, order_json};
use crate::methods::{Answer, Call};
use crate::params::Params;
use crate::sim::Sim;

/// The venue's words for conditional types.
const TYPES: [(&str, OrderType); 5] = [
    ("STOP_MARKET", OrderType::StopLoss),
    ("STOP", OrderType::StopLossLimit),
    ("TAKE_PROFIT_MARKET", OrderType::TakeProfit),
    ("TAKE_PROFIT", OrderType::TakeProfitLimit),
    ("TRAILING_STOP_MARKET", OrderType::TrailingStop),
];

/// The venue's word for a type.
pub(crate) fn type_word(order_type: OrderType) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == order_type).map_or("", |(word, _)| word)
}

fn working_word(working: WorkingType) -> &'static str {
    match working {
        WorkingType::Last => "CONTRACT_PRICE",
        WorkingType::Mark => "MARK_PRICE",
    }
}

/// A refused conditional order.
fn algo_refusal(reject: Reject) -> ErrorReply {
    let (code, words) = match reject {
        Reject::Market(MarketReject::WouldTrigger) => (-2021, "Order would immediately trigger."),
        Reject::TooManyConditionals(_) => (-4045, "Reach max stop order limit."),
        Reject::ClosePosition => (-4138, "Reduce only must be true with closePosition equals true"),
        Reject::CallbackRate(_) => (-2007, "Invalid callBack rate"),
        Reject::ActivationPrice(_) => (-4135, "Invalid activation price"),
        other => return refusal(other),
    };
    ErrorReply::bad(code, words)
}

fn price(params: &Params, name: &str) -> Result<Price, ErrorReply> {
    params.decimal(name)?.map(Price::from_raw).ok_or_else(|| ErrorReply::missing(name))
}

/// Which conditional order is meant.
fn algo_ref(params: &Params) -> Result<OrderRef, ErrorReply> {
    match (params.integer("algoId")?, params.text("clientAlgoId")?) {
        (Some(number), _) => Ok(OrderRef::Id(number.unsigned_abs())),
        (None, Some(client)) => Ok(OrderRef::ClientId(ClientOrderId::foreign(client))),
        (None, None) => Err(ErrorReply::missing_both("clientAlgoId", "algoId")),
    }
}

impl Futures {
    /// Reads a new conditional order for the perpetual at a place.
    fn algo_ticket(&self, params: &Params, place: usize, now: Time) -> Result<NewConditional, ErrorReply> {
        if params.need("algoType")? != "CONDITIONAL" {
            return Err(ErrorReply::invalid("algoType"));
        }
        let (side, position_side) = (side(params)?, position_side(params)?);
        let word = params.need("type")?;
        let order_type = TYPES.iter().find(|(known, _)| *known == word).map(|(_, known)| *known);
        let order_type =
            order_type.ok_or_else(|| ErrorReply::bad(code::INVALID_ORDER_TYPE, "Invalid orderType."))?;
        self.check_numbers(params, place, &["price", "triggerPrice", "activatePrice"])?;
        if params.text("priceMatch")?.is_some_and(|word| word != "NONE") {
            return Err(ErrorReply::bad(-5037, "Invalid price match"));
        }
        let (terms, good_till) = conditional_terms(params, order_type, now)?;
        let close_position = params.flag("closePosition")?.unwrap_or(false);
        let qty = match params.decimal("quantity")?.map(Qty::from_raw) {
            Some(_) if close_position => {
                let words = "Quantity must be zero with closePosition equals true";
                return Err(ErrorReply::bad(-4137, words));
            }
            None if !close_position => return Err(ErrorReply::missing("quantity")),
            qty => qty.unwrap_or_default(),
        };
        if close_position && params.has("reduceOnly") {
            return Err(ErrorReply::not_required("reduceonly"));
        }
        let position = PositionTerms {
            side: position_side,
            reduce_only: params.flag("reduceOnly")?.unwrap_or(false),
            close_position,
            good_till,
            ..PositionTerms::default()
        };
        let request = Request {
            symbol: self.markets[place].data.symbol.clone(),
            client_id: ClientOrderId::foreign(client_id(params, "clientAlgoId")?.unwrap_or_default()),
            side,
            terms,
            qty,
            stp: stp(params)?.or(Some(Stp::None)),
        };
        let working_type = match params.text("workingType")? {
            None | Some("CONTRACT_PRICE") => WorkingType::Last,
            Some("MARK_PRICE") => WorkingType::Mark,
            Some(_) => return Err(ErrorReply::invalid("workingType")),
        };
        let price_protect = protect(params)?;
        Ok(NewConditional { request, position, working_type, price_protect })
    }

    /// The order a conditional one became.
    fn child(&self, one: &Conditional) -> Option<&Order> {
        let id = OrderRef::Id(one.order?);
        self.core.order(one.account, &one.asked.request.symbol, &id).ok()
    }

    /// The type of the conditional order an order comes from.
    pub(crate) fn original_type(&self, order: &Order) -> Option<&'static str> {
        let id = OrderRef::Id(order.position.conditional?);
        let one = self.core.conditional(order.account, &id).ok()?;
        Some(type_word(one.asked.request.terms.order_type()))
    }
}

/// `priceProtect`, in either case.
fn protect(params: &Params) -> Result<bool, ErrorReply> {
    Ok(params.flag("priceProtect")?.unwrap_or(false))
}

fn conditional_terms(
    params: &Params,
    order_type: OrderType,
    now: Time,
) -> Result<(Terms, Option<Time>), ErrorReply> {
    let word = params.text("timeInForce")?.unwrap_or("GTC");
    let good_till = good_till(params, now, word == "GTD")?;
    let tif = match word {
        "GTD" => Tif::Gtc,
        word => {
            Tif::from_word(word).ok_or_else(|| ErrorReply::bad(code::INVALID_TIF, "Invalid timeInForce."))?
        }
    };
    if order_type == OrderType::TrailingStop {
        let rate = params.decimal("callbackRate")?.map(Percent::from_raw);
        let callback_rate = rate.ok_or_else(|| ErrorReply::missing("callbackRate"))?;
        let activation_price = params.decimal("activatePrice")?.map(Price::from_raw);
        if params.has("triggerPrice") {
            return Err(ErrorReply::not_required("triggerprice"));
        }
        return Ok((Terms::Trailing { callback_rate, activation_price }, good_till));
    }
    for name in ["callbackRate", "activatePrice"] {
        if params.has(name) {
            return Err(ErrorReply::not_required(&name.to_ascii_lowercase()));
        }
    }
    let stop = price(params, "triggerPrice")?;
    let limit = match order_type.has_price() {
        true => Some((price(params, "price")?, tif)),
        false if params.has("price") => return Err(ErrorReply::not_required("price")),
        false => None,
    };
    Ok((Terms::Stop { order_type, stop, limit }, good_till))
}

/// Fields of a conditional order that replies and queries share, up to its status.
fn head(style: &Style, one: &Conditional) -> Object {
    let request = &one.asked.request;
    Object::new()
        .int("algoId", one.id)
        .text("clientAlgoId", request.client_id.as_str())
        .text("algoType", "CONDITIONAL")
        .text("orderType", type_word(request.terms.order_type()))
        .text("symbol", &style.symbol)
        .text("side", request.side.as_str())
        .text("positionSide", one.asked.position.side.as_str())
        .text("timeInForce", algo_tif(one))
        .text("quantity", &style.qty(request.qty))
        .text("algoStatus", one.status.as_str())
}

fn algo_tif(one: &Conditional) -> &'static str {
    if one.asked.position.good_till.is_some() {
        return "GTD";
    }
    one.asked.request.terms.tif().unwrap_or(Tif::Gtc).as_str()
}

fn prices(object: Object, style: &Style, one: &Conditional) -> Object {
    let terms = &one.asked.request.terms;
    object
        .text("triggerPrice", &style.price(terms.stop().unwrap_or_default()))
        .text("price", &style.price(terms.price().unwrap_or_default()))
        .raw("icebergQuantity", "null")
}

fn flags(object: Object, one: &Conditional) -> Object {
    let position = &one.asked.position;
    object
        .text("selfTradePreventionMode", one.asked.request.stp.unwrap_or(Stp::None).as_str())
        .text("workingType", working_word(one.asked.working_type))
        .text("priceMatch", "NONE")
        .flag("closePosition", position.close_position)
        .flag("priceProtect", one.asked.price_protect)
        .flag("reduceOnly", position.reduces(one.asked.request.side))
}

fn times(object: Object, one: &Conditional) -> Object {
    object
        .int("createTime", one.created.millis())
        .int("updateTime", one.updated.millis())
        .int("triggerTime", one.triggered.map_or(0, Time::millis))
        .int("goodTillDate", one.asked.position.good_till.map_or(0, Time::millis))
}

fn trailing(object: Object, style: &Style, one: &Conditional) -> Object {
    match one.asked.request.terms {
        Terms::Trailing { callback_rate, activation_price } => object
            .text("activatePrice", &activation_price.map_or(String::new(), |price| style.price(price)))
            .text("callbackRate", &callback_rate.to_string()),
        _ => object.raw("activatePrice", "null").raw("callbackRate", "null"),
    }
}

/// Reply to a new conditional order.
fn accepted(style: &Style, one: &Conditional) -> String {
    let object = flags(prices(head(style, one), style, one), one);
    times(trailing(object, style, one), one).end()
}

/// A conditional order as queries show it.
fn queried(style: &Style, one: &Conditional, child: Option<&Order>) -> String {
    let object = head(style, one)
        .text("actualOrderId", &one.order.map_or(String::new(), |id| id.to_string()))
        .text("actualPrice", &child.map_or("0.00000".into(), |order| order_json::average(order).fixed(8)))
        .text("actualType", child.map_or("", order_json::kind))
        .text("actualQty", &child.map_or("0".into(), |order| style.qty(order.filled)));
    let object = flags(prices(object, style, one).text("tpOrderType", ""), one);
    times(trailing(object, style, one), one).end()
}

/// `ALGO_UPDATE`.
fn update(now: Time, style: &Style, one: &Conditional, child: Option<&Order>) -> String {
    let (request, position) = (&one.asked.request, &one.asked.position);
    let filled = child.filter(|order| !order.filled.is_zero());
    let inner = Object::new()
        .text("caid", request.client_id.as_str())
        .int("aid", one.id)
        .text("at", "CONDITIONAL")
        .text("o", type_word(request.terms.order_type()))
        .text("s", &style.symbol)
        .text("S", request.side.as_str())
        .text("ps", position.side.as_str())
        .text("f", algo_tif(one))
        .text("q", &request.qty.to_string())
        .text("X", one.status.as_str())
        .text("ai", &one.order.map_or(String::new(), |id| id.to_string()))
        .text("ap", &filled.map_or("0".into(), |order| order_json::average(order).to_string()))
        .text("aq", &filled.map_or("0".into(), |order| order.filled.to_string()))
        .text("act", child.map_or("0", order_json::kind))
        .text("tp", &request.terms.stop().unwrap_or_default().to_string())
        .text("p", &request.terms.price().unwrap_or_default().to_string())
        .text("V", request.stp.unwrap_or(Stp::None).as_str())
        .text("wt", working_word(one.asked.working_type))
        .text("pm", "NONE")
        .flag("cp", position.close_position)
        .flag("pP", one.asked.price_protect)
        .flag("R", position.reduces(request.side))
        .int("tt", one.triggered.map_or(0, Time::millis))
        .int("gtd", position.good_till.map_or(0, Time::millis))
        .text("rm", &one.reason.map_or(String::new(), |reason| refusal(reason).message));
    let inner = match request.terms {
        Terms::Trailing { .. } => inner.flag("ia", one.active),
        _ => inner,
    };
    Object::new()
        .text("e", "ALGO_UPDATE")
        .int("T", one.updated.millis())
        .int("E", now.millis())
        .raw("o", &inner.end())
        .end()
}

impl Sim {
    /// `algoOrder.place`.
    pub(crate) fn algo_place(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        self.futures.rates.order_room(call.now, call.account)?;
        self.futures.rates.count_order(call.now, call.account);
        let mut asked = self.futures.algo_ticket(call.params, place, call.now)?;
        self.name(&mut asked.request);
        let one =
            self.futures.core.place_conditional(call.now, call.account, &asked).map_err(algo_refusal)?;
        Ok(accepted(&self.futures.markets[place].style, &one))
    }

    /// `algoOrder.cancel`.
    pub(crate) fn algo_cancel(&mut self, call: &Call<'_>) -> Answer {
        let order = algo_ref(call.params)?;
        let core = &mut self.futures.core;
        let one = core.cancel_conditional(call.now, call.account, &order).map_err(refusal)?;
        Ok(Object::new()
            .int("algoId", one.id)
            .text("clientAlgoId", one.asked.request.client_id.as_str())
            .text("code", "200")
            .text("msg", "success")
            .end())
    }

    /// `DELETE /fapi/v1/algoOpenOrders`.
    pub(crate) fn algo_cancel_all(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let symbol = self.futures.markets[place].data.symbol.clone();
        let core = &mut self.futures.core;
        core.cancel_all_conditionals(call.now, call.account, Some(&symbol)).map_err(refusal)?;
        Ok(Object::new()
            .int("code", 200)
            .text("msg", "The operation of cancel all open order is done.")
            .end())
    }

    /// `GET /fapi/v1/algoOrder`.
    pub(crate) fn algo_order(&mut self, call: &Call<'_>) -> Answer {
        let order = algo_ref(call.params)?;
        let one = self.futures.core.conditional(call.account, &order).map_err(|reject| match reject {
            Reject::Market(reject) => query_refusal(reject),
            other => refusal(other),
        })?;
        Ok(self.algo_row(one))
    }

    fn algo_row(&self, one: &Conditional) -> String {
        let style = &self.futures.markets[self.futures.place(&one.asked.request.symbol)].style;
        queried(style, one, self.futures.child(one))
    }

    /// `GET /fapi/v1/openAlgoOrders`.
    pub(crate) fn algo_open_orders(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let symbol = place.map(|place| self.futures.markets[place].data.symbol.clone());
        let id = call.params.integer("algoId")?.map(i64::unsigned_abs);
        let open = self.futures.core.open_conditionals(call.account, symbol.as_ref()).map_err(refusal)?;
        let wanted = open.into_iter().filter(|one| id.is_none_or(|id| one.id == id));
        Ok(array(wanted.map(|one| self.algo_row(one))))
    }

    /// `GET /fapi/v1/allAlgoOrders`.
    pub(crate) fn algo_all_orders(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let symbol = self.futures.markets[place].data.symbol.clone();
        let from = call.params.integer("algoId")?.map_or(0, i64::unsigned_abs);
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        let limit = call.params.limit(500, 1_000)?;
        let all = self.futures.core.conditionals(call.account, Some(&symbol)).map_err(refusal)?;
        let fits = |one: &&&Conditional| {
            one.id >= from
                && start.is_none_or(|start| one.created >= start)
                && end.is_none_or(|end| one.created <= end)
        };
        let found: Vec<&Conditional> = all.iter().filter(fits).copied().collect();
        Ok(array(found.into_iter().take(limit).map(|one| self.algo_row(one))))
    }

    /// A conditional order changed.
    pub(crate) fn tell_conditional(&mut self, now: Time, one: &Conditional) {
        let style = self.futures.markets[self.futures.place(&one.asked.request.symbol)].style.clone();
        let child = self.futures.child(one).cloned();
        let name = self.account_name(one.account).to_owned();
        let line = super::journal::conditional_line(&style, one, &name);
        self.staged.lines.push((crate::io::Journal::FuturesAlgos, line));
        self.tell_futures(one.account, ("ALGO_UPDATE", one.status.as_str()), || {
            update(now, &style, one, child.as_ref())
        });
    }
}
