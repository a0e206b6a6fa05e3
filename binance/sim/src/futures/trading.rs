//! New orders, cancels, changes and queries of orders for perpetuals.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, array};
use tradingsys::exchange::futures::Reject;
use tradingsys::exchange::{AccountId, Order, OrderRef, Page, Reject as MarketReject, Request};
use tradingsys::ids::ClientOrderId;
use tradingsys::market::{Level, Side, Tif};
use tradingsys::num::Qty;
use tradingsys::order::request::Terms;
use tradingsys::time::{Span, Time};

use super::order_json::{self, Label};
use super::read::order_ref;
use super::refusals::{query_refusal, refusal};
use crate::methods::{Answer, Call};
use crate::params::Params;
use crate::sim::Sim;
use crate::trading::is_gone;

/// Longest window of a history.
const LONGEST_WINDOW: Span = Span::from_secs(7 * 86_400);

/// Refuses windows that are longer than seven days.
fn page(params: &Params, from: &str, then: Option<Time>) -> Result<Page, ErrorReply> {
    let (start, mut end) = (params.time("startTime")?, params.time("endTime")?);
    if let (Some(start), Some(end)) = (start, end)
        && end - start > LONGEST_WINDOW
    {
        return Err(ErrorReply::bad(-4165, "Invalid time interval"));
    }
    if let Some(then) = then {
        end = Some(end.map_or(then, |end| end.min(then)));
    }
    let from_id = params.integer(from)?.map(i64::unsigned_abs);
    Ok(Page { from_id, start, end, limit: params.limit(500, 1_000)? })
}

impl Sim {
    /// What the core does not keep of an order.
    pub(crate) fn futures_label(&self, order: &Order) -> Label {
        let label = self.futures.labels.get(&(order.symbol.clone(), order.id)).copied();
        Label { original_type: self.futures.original_type(order), ..label.unwrap_or_default() }
    }

    /// `order.place`.
    pub(crate) fn futures_place(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        self.futures.rates.order_room(call.now, call.account)?;
        self.futures.rates.count_order(call.now, call.account);
        self.futures_enter(call.now, call.account, call.params, place)
    }

    /// Takes a new order whose room was checked.
    pub(crate) fn futures_enter(
        &mut self,
        now: Time,
        account: AccountId,
        params: &Params,
        place: usize,
    ) -> Answer {
        let mut ticket = self.futures.ticket(params, place, now)?;
        self.name(&mut ticket.order.request);
        self.futures.check_fok(&ticket.order.request)?;
        let placed = self.futures.core.place(now, account, &ticket.order).map_err(refusal)?;
        let label = Label { price_match: ticket.price_match, ..Label::default() };
        self.futures.keep_label(&placed.order, label);
        let mut order = placed.order;
        if !ticket.result {
            as_accepted(&mut order);
        }
        Ok(order_json::placed(&self.futures.markets[place].style, &order, label))
    }

    /// `POST /fapi/v1/order/test`: checked as far as before the engine.
    pub(crate) fn futures_test(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        self.futures.ticket(call.params, place, call.now).map(|_| "{}".to_owned())
    }

    /// `order.cancel`.
    pub(crate) fn futures_cancel(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let order = order_ref(call.params)?;
        self.futures_cancel_one(call.now, call.account, place, &order)
    }

    fn futures_cancel_one(
        &mut self,
        now: Time,
        account: AccountId,
        place: usize,
        order: &OrderRef,
    ) -> Answer {
        let symbol = self.futures.markets[place].data.symbol.clone();
        let canceled = self.futures.core.cancel(now, account, &symbol, order).map_err(refusal)?;
        let label = self.futures_label(&canceled.order);
        Ok(order_json::canceled(&self.futures.markets[place].style, &canceled.order, label))
    }

    /// `DELETE /fapi/v1/allOpenOrders`.
    pub(crate) fn futures_cancel_all(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let symbol = self.futures.markets[place].data.symbol.clone();
        self.futures.core.cancel_all(call.now, call.account, &symbol).map_err(refusal)?;
        Ok(Object::new()
            .int("code", 200)
            .text("msg", "The operation of cancel all open order is done.")
            .end())
    }

    /// `order.modify`.
    pub(crate) fn futures_modify(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        self.futures.rates.order_room(call.now, call.account)?;
        self.futures.rates.count_order(call.now, call.account);
        self.futures_modify_one(call.now, call.account, call.params, place)
    }

    fn futures_modify_one(&mut self, now: Time, account: AccountId, params: &Params, place: usize) -> Answer {
        let (modify, id) = self.futures.modification(params, place)?;
        let modified = self.futures.core.modify(now, account, &modify).map_err(|reject| match reject {
            Reject::Market(MarketReject::UnknownOrder) => query_refusal(MarketReject::UnknownOrder),
            other => refusal(other),
        })?;
        if let Some(id) = id {
            self.futures.modify_ids.insert(modified.execution_id, id);
        }
        let label = self.futures_label(&modified.order);
        Ok(order_json::modified(&self.futures.markets[place].style, &modified.order, label, id))
    }

    /// `POST /fapi/v1/batchOrders`: each is answered for itself.
    pub(crate) fn futures_batch(&mut self, call: &Call<'_>) -> Answer {
        let orders = members(call.params)?;
        self.futures.rates.order_room(call.now, call.account)?;
        self.futures.rates.count_orders(call.now, call.account, 5, 1);
        Ok(array(orders.iter().map(|params| {
            let answer = params
                .only(super::methods::ORDER)
                .and_then(|()| self.perpetual(params, "symbol"))
                .and_then(|place| self.futures_enter(call.now, call.account, params, place));
            answer.unwrap_or_else(|error| error.body())
        })))
    }

    /// `PUT /fapi/v1/batchOrders`.
    pub(crate) fn futures_batch_modify(&mut self, call: &Call<'_>) -> Answer {
        let orders = members(call.params)?;
        self.futures.rates.order_room(call.now, call.account)?;
        self.futures.rates.count_orders(call.now, call.account, 5, 1);
        Ok(array(orders.iter().map(|params| {
            let answer = params
                .only(super::methods::MODIFY)
                .and_then(|()| self.perpetual(params, "symbol"))
                .and_then(|place| self.futures_modify_one(call.now, call.account, params, place));
            answer.unwrap_or_else(|error| error.body())
        })))
    }

    /// `DELETE /fapi/v1/batchOrders`.
    pub(crate) fn futures_batch_cancel(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let wanted: Vec<OrderRef> =
            match (list(call.params, "orderIdList")?, list(call.params, "origClientOrderIdList")?) {
                (Some(ids), _) => {
                    let number = |id: &String| id.parse().map(OrderRef::Id);
                    let ids: Result<_, _> = ids.iter().map(number).collect();
                    ids.map_err(|_| ErrorReply::invalid("orderIdList"))?
                }
                (None, Some(names)) => {
                    names.iter().map(|name| OrderRef::ClientId(ClientOrderId::foreign(name))).collect()
                }
                (None, None) => return Err(ErrorReply::missing_both("orderIdList", "origClientOrderIdList")),
            };
        if wanted.is_empty() || wanted.len() > 10 {
            return Err(ErrorReply::bad(-4082, "Invalid number of batch orders."));
        }
        Ok(array(wanted.iter().map(|order| {
            let answer = self.futures_cancel_one(call.now, call.account, place, order);
            answer.unwrap_or_else(|error| error.body())
        })))
    }

    /// `order.status`.
    pub(crate) fn futures_order(&mut self, call: &Call<'_>) -> Answer {
        let (order, style) = self.futures_found(call)?;
        Ok(order_json::queried(&style, &order, self.futures_label(&order)))
    }

    /// `GET /fapi/v1/openOrder`.
    pub(crate) fn futures_open_order(&mut self, call: &Call<'_>) -> Answer {
        let (order, style) = self.futures_found(call)?;
        if !order.status.is_open() {
            return Err(query_refusal(MarketReject::UnknownOrder));
        }
        Ok(order_json::queried(&style, &order, self.futures_label(&order)))
    }

    fn futures_found(&self, call: &Call<'_>) -> Result<(Order, super::frames::Style), ErrorReply> {
        let place = self.perpetual(call.params, "symbol")?;
        let wanted = order_ref(call.params)?;
        let market = &self.futures.markets[place];
        let order = self.futures.core.order(call.account, &market.data.symbol, &wanted);
        let order = order.map_err(query_refusal)?.clone();
        let order = match self.cutoff(call) {
            None => Some(order),
            Some(then) => self.futures.order_then(&order, then),
        };
        let order = order.filter(|order| self.futures_keeps(order, call.now));
        let order = order.ok_or_else(|| query_refusal(MarketReject::UnknownOrder))?;
        Ok((order, market.style.clone()))
    }

    /// Can an order still be asked for?
    fn futures_keeps(&self, order: &Order, now: Time) -> bool {
        let kept = self.config.retention;
        let old = !order.status.is_open() && now.since(order.updated) > kept.futures_orders;
        !old && !is_gone(order, now, kept.futures_unfilled)
    }

    /// `GET /fapi/v1/openOrders`.
    pub(crate) fn futures_open_orders(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let symbol = place.map(|place| self.futures.markets[place].data.symbol.clone());
        let open = match self.cutoff(call) {
            None => {
                let open = self.futures.core.open_orders(call.account, symbol.as_ref());
                open.map_err(query_refusal)?.into_iter().cloned().collect()
            }
            Some(then) => self.futures.open_then(call.account, symbol.as_ref(), then),
        };
        Ok(self.futures_rows(&open))
    }

    /// `GET /fapi/v1/allOrders`.
    pub(crate) fn futures_all_orders(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let page = page(call.params, "orderId", None)?;
        let mut orders: Vec<Order> = Vec::new();
        for market in self.futures.markets.iter().enumerate().filter(|(at, _)| place.is_none_or(|p| p == *at))
        {
            let found = self.futures.core.all_orders(call.account, &market.1.data.symbol, &page);
            orders.extend(found.map_err(query_refusal)?.into_iter().cloned());
        }
        orders.retain(|order| self.futures_keeps(order, call.now));
        Ok(self.futures_rows(&orders))
    }

    pub(crate) fn futures_rows(&self, orders: &[Order]) -> String {
        array(orders.iter().map(|order| {
            let style = &self.futures.markets[self.futures.place(&order.symbol)].style;
            order_json::queried(style, order, self.futures_label(order))
        }))
    }

    /// `GET /fapi/v1/userTrades`.
    pub(crate) fn futures_trades(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let order = call.params.integer("orderId")?.map(i64::unsigned_abs);
        let mut page = page(call.params, "fromId", self.cutoff(call))?;
        if page.from_id.is_some() {
            // Counted before the page is cut: what is kept no longer fills no page.
            page.start = page.start.max(Some(call.now - self.config.retention.futures_trades));
        }
        let market = &self.futures.markets[place];
        let fills = self.futures.core.fills(call.account, &market.data.symbol, order, &page);
        let oldest = call.now - self.config.retention.futures_trades;
        let fills = fills.map_err(query_refusal)?.into_iter().filter(|fill| fill.time >= oldest);
        Ok(array(fills.map(|fill| order_json::trade(&market.style, fill))))
    }

    /// `POST /fapi/v1/countdownCancelAll`: cancels all of a symbol unless it is called again in time.
    pub(crate) fn countdown_cancel(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let needed = || ErrorReply::missing("countdownTime");
        let millis = call.params.integer("countdownTime")?.ok_or_else(needed)?;
        let market = &self.futures.markets[place];
        let (symbol, after) = (market.data.symbol.clone(), Span::from_millis(millis));
        let core = &mut self.futures.core;
        core.countdown_cancel_all(call.now, call.account, &symbol, after).map_err(refusal)?;
        self.plan_core();
        let market = &self.futures.markets[place];
        Ok(Object::new()
            .text("symbol", &market.style.symbol)
            .text("countdownTime", &millis.to_string())
            .end())
    }
}

impl super::Futures {
    /// An order that is to be filled whole or not at all is refused if the book has too little for it.
    fn check_fok(&self, request: &Request) -> Result<(), ErrorReply> {
        let Terms::Limit { price, tif: Tif::Fok } = request.terms else { return Ok(()) };
        let depth = self.core.depth(&request.symbol, usize::MAX).ok_or_else(ErrorReply::symbol)?;
        let (levels, buys) = match request.side {
            Side::Buy => (&depth.asks, true),
            Side::Sell => (&depth.bids, false),
        };
        let within = |level: &&Level| if buys { level.price <= price } else { level.price >= price };
        if levels.iter().filter(within).map(|level| level.qty).sum::<Qty>() >= request.qty {
            return Ok(());
        }
        let words = "Due to the order could not be filled immediately, the FOK order has been rejected. The order \
                     will not be recorded in the order history";
        Err(ErrorReply::bad(-5021, words))
    }
}

/// An order as it stood before it was matched.
fn as_accepted(order: &mut Order) {
    order.status = tradingsys::exchange::OrderStatus::New;
    order.filled = tradingsys::num::Qty::ZERO;
    order.filled_quote = tradingsys::num::Cash::ZERO;
}

/// The orders of a batch.
fn members(params: &Params) -> Result<Vec<Params>, ErrorReply> {
    let text = params.need("batchOrders")?;
    let list: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(text).map_err(|_| ErrorReply::invalid("batchOrders"))?;
    if list.is_empty() || list.len() > 5 {
        return Err(ErrorReply::bad(-4082, "Invalid number of batch place orders."));
    }
    list.into_iter().map(Params::from_json).collect()
}

/// A JSON array of numbers or strings.
fn list(params: &Params, name: &str) -> Result<Option<Vec<String>>, ErrorReply> {
    let Some(text) = params.text(name)? else { return Ok(None) };
    let invalid = || {
        ErrorReply::bad(code::INVALID_PARAMETER, format!("Data sent for parameter '{name}' is not valid."))
    };
    let values: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| invalid())?;
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    values.iter().map(word).collect::<Option<Vec<_>>>().map(Some).ok_or_else(invalid)
}
