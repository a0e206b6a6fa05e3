//! Orders of margin wallets. No amend and no cancel-and-replace: the venue has neither.

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, array};
use tradingsys::exchange::{Cancel, Fill, MarginPlaced, Order, OrderRef};
use tradingsys::ids::ClientOrderId;
use tradingsys::market::{Side, SideEffect, Tif};
use tradingsys::order::request::Terms;

use super::{cross_only, margin_refusal};
use crate::methods::{Answer, Call};
use crate::order_json::Detail;
use crate::params::Params;
use crate::sim::Sim;
use crate::trading::{cancel_refusal, order_ref, page, query_refusal};

fn side_effect(params: &Params) -> Result<SideEffect, ErrorReply> {
    let Some(word) = params.text("sideEffectType")? else { return Ok(SideEffect::None) };
    SideEffect::from_word(word).ok_or_else(|| ErrorReply::invalid("sideEffectType"))
}

fn tif(order: &Order) -> Tif {
    order.terms.tif().unwrap_or(Tif::Gtc)
}

/// Fields all of them share.
fn body(order: &Order) -> Object {
    let price = order.terms.price().unwrap_or_default();
    Object::new()
        .fixed("price", price.raw())
        .fixed("origQty", order.qty.raw())
        .fixed("executedQty", order.filled.raw())
        .fixed("cummulativeQuoteQty", order.filled_quote.raw())
        .text("status", order.status.as_str())
        .text("timeInForce", tif(order).as_str())
        .text("type", order.terms.order_type().as_str())
        .text("side", order.side.as_str())
}

fn placed(done: &MarginPlaced, detail: Detail) -> String {
    let order = &done.placed.order;
    let head = Object::new()
        .text("symbol", &order.symbol.upper())
        .int("orderId", order.id)
        .text("clientOrderId", order.client_id.as_str())
        .flag("isIsolated", false)
        .int("transactTime", order.updated.millis());
    if detail == Detail::Ack {
        return head.end();
    }
    let object = head.and(body(order)).text("selfTradePreventionMode", order.stp.as_str());
    let object = match &done.borrowed {
        Some((asset, amount)) => object
            .text("marginBuyBorrowAmount", &amount.to_string())
            .text("marginBuyBorrowAsset", asset.as_str()),
        None => object,
    };
    if detail == Detail::Result {
        return object.end();
    }
    let fills = done.placed.fills.iter().map(|fill| {
        Object::new()
            .fixed("price", fill.price.raw())
            .fixed("qty", fill.qty.raw())
            .fixed("commission", fill.fee.raw())
            .text("commissionAsset", fill.fee_asset.as_str())
            .end()
    });
    object.raw("fills", &array(fills)).end()
}

fn queried(order: &Order) -> String {
    let stop = order.terms.stop().unwrap_or_default();
    Object::new()
        .text("symbol", &order.symbol.upper())
        .int("orderId", order.id)
        .text("clientOrderId", order.client_id.as_str())
        .and(body(order))
        .fixed("stopPrice", stop.raw())
        .fixed("icebergQty", 0)
        .int("time", order.created.millis())
        .int("updateTime", order.updated.millis())
        .flag("isWorking", order.working_since.is_some())
        .flag("isIsolated", false)
        .text("selfTradePreventionMode", order.stp.as_str())
        .end()
}

fn trade(fill: &Fill) -> String {
    Object::new()
        .text("symbol", &fill.symbol.upper())
        .int("id", fill.trade_id)
        .int("orderId", fill.order_id)
        .fixed("price", fill.price.raw())
        .fixed("qty", fill.qty.raw())
        .fixed("commission", fill.fee.raw())
        .text("commissionAsset", fill.fee_asset.as_str())
        .int("time", fill.time.millis())
        .flag("isBuyer", fill.side == Side::Buy)
        .flag("isMaker", fill.maker)
        .flag("isBestMatch", true)
        .flag("isIsolated", false)
        .end()
}

impl Sim {
    /// `POST /sapi/v1/margin/order`.
    pub(crate) fn margin_place(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let effect = side_effect(call.params)?;
        let repay = call.params.flag("autoRepayAtCancel")?.unwrap_or(true);
        let mut ticket = self.ticket(call.params)?;
        self.name(&mut ticket.request);
        let wallet = self.margin_of(call.account);
        self.margin.rates.order_room(call.now, wallet)?;
        let done = self.exchange.place_margin(call.now, wallet, &ticket.request, effect, repay);
        let done = done.map_err(margin_refusal)?;
        self.margin.rates.count_order(call.now, wallet);
        let default_ack = !call.params.has("newOrderRespType")
            && !matches!(
                ticket.request.terms,
                Terms::Limit { .. } | Terms::Market | Terms::MarketQuote { .. }
            );
        Ok(placed(&done, if default_ack { Detail::Ack } else { ticket.detail }))
    }

    /// `DELETE /sapi/v1/margin/order`.
    pub(crate) fn margin_cancel(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let symbol = self.symbol(call.params, "symbol")?;
        let order = order_ref(call.params, "orderId", "origClientOrderId")?;
        let cancel_id = self.given_or_random(call.params.client_id("newClientOrderId")?);
        let cancel = Cancel { symbol, order, cancel_id, restriction: None };
        self.margin_cancel_one(call, &cancel)
    }

    fn margin_cancel_one(&mut self, call: &Call<'_>, cancel: &Cancel) -> Answer {
        let wallet = self.margin_of(call.account);
        let canceled =
            self.exchange.cancel_margin(call.now, wallet, cancel).map_err(|reject| match reject {
                tradingsys::exchange::MarginReject::Spot(reject) => cancel_refusal(reject),
                other => margin_refusal(other),
            })?;
        let order = &canceled.order;
        Ok(Object::new()
            .text("symbol", &order.symbol.upper())
            .flag("isIsolated", false)
            .int("orderId", order.id)
            .text("origClientOrderId", canceled.previous_id.as_str())
            .text("clientOrderId", order.client_id.as_str())
            .and(body(order))
            .end())
    }

    /// `DELETE /sapi/v1/margin/openOrders`.
    pub(crate) fn margin_cancel_all(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let symbol = self.symbol(call.params, "symbol")?;
        let wallet = self.margin_of(call.account);
        let open = self.exchange.open_orders(wallet, Some(&symbol)).map_err(cancel_refusal)?;
        let ids: Vec<u64> = open.iter().map(|order| order.id).collect();
        if ids.is_empty() {
            return Err(cancel_refusal(tradingsys::exchange::Reject::UnknownOrder));
        }
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let cancel_id = ClientOrderId::foreign(&self.random_id());
            let order = OrderRef::Id(id);
            let cancel = Cancel { symbol: symbol.clone(), order, cancel_id, restriction: None };
            rows.push(self.margin_cancel_one(call, &cancel)?);
        }
        Ok(array(rows))
    }

    /// `GET /sapi/v1/margin/order`.
    pub(crate) fn margin_order(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let symbol = self.symbol(call.params, "symbol")?;
        let wanted = order_ref(call.params, "orderId", "origClientOrderId")?;
        let wallet = self.margin_of(call.account);
        let order = match self.cutoff(call) {
            None => self.exchange.order(wallet, &symbol, &wanted).cloned(),
            Some(then) => self.find_then(wallet, &symbol, &wanted, then),
        };
        Ok(queried(&order.map_err(query_refusal)?))
    }

    /// `GET /sapi/v1/margin/openOrders`.
    pub(crate) fn margin_open_orders(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let symbol = match call.params.has("symbol") {
            true => Some(self.symbol(call.params, "symbol")?),
            false => None,
        };
        let wallet = self.margin_of(call.account);
        let open = match self.cutoff(call) {
            None => {
                let open = self.exchange.open_orders(wallet, symbol.as_ref()).map_err(query_refusal)?;
                open.into_iter().cloned().collect()
            }
            Some(then) => self.open_then(wallet, symbol.as_ref(), then),
        };
        Ok(array(open.iter().map(queried)))
    }

    /// `GET /sapi/v1/margin/allOrders`.
    pub(crate) fn margin_all_orders(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let symbol = self.symbol(call.params, "symbol")?;
        let page = page(call.params, "orderId", 500)?;
        let orders = self.exchange.all_orders(self.margin_of(call.account), &symbol, &page);
        Ok(array(orders.map_err(query_refusal)?.into_iter().map(queried)))
    }

    /// `GET /sapi/v1/margin/myTrades`.
    pub(crate) fn margin_trades(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let symbol = self.symbol(call.params, "symbol")?;
        let order = call.params.integer("orderId")?.map(i64::unsigned_abs);
        let mut page = page(call.params, "fromId", 500)?;
        if let Some(then) = self.cutoff(call) {
            page.end = Some(page.end.map_or(then, |end| end.min(then)));
        }
        let fills = self.exchange.fills(self.margin_of(call.account), &symbol, order, &page);
        Ok(array(fills.map_err(query_refusal)?.into_iter().map(trade)))
    }
}
