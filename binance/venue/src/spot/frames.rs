//! The frames of order entry: what is sent for an order, a cancel, an amend, a question.

use std::fmt::Display;

use binance_wire::request::Request;
use binance_wire::rest::RestRequest;
use tradingsys::order::request::{NewOrder, Terms};
use tradingsys::time::Span;
use tradingsys::venue::limit::{Cost, Purpose};
use tradingsys::venue::port::{Amend, Cancel, Query};

use crate::common::desk::Stamp;

pub(super) const ORDER_COST: Cost = Cost { purpose: Purpose::Order, weight: 1 };
pub(super) const CANCEL_COST: Cost = Cost { purpose: Purpose::Cancel, weight: 1 };
pub(super) const AMEND_COST: Cost = Cost { purpose: Purpose::Cancel, weight: 4 };

pub(super) fn place(id: u64, order: &NewOrder, stamp: Stamp) -> String {
    stamp.finish(order_params(Request::new(id, "order.place"), order))
}

pub(super) fn cancel(id: u64, cancel: &Cancel, stamp: Stamp) -> String {
    stamp.finish(cancel_params(Request::new(id, "order.cancel"), cancel))
}

/// A request being written, by whatever way it goes: cross margin takes the same parameters over REST.
pub(crate) trait Params: Sized {
    /// Adds a word, a name, a decimal.
    fn text(self, name: &'static str, value: impl Display) -> Self;
    /// Adds a whole number.
    fn int(self, name: &'static str, value: i64) -> Self;
}

impl Params for Request {
    fn text(self, name: &'static str, value: impl Display) -> Self {
        Self::text(self, name, value)
    }
    fn int(self, name: &'static str, value: i64) -> Self {
        Self::int(self, name, value)
    }
}

impl Params for RestRequest {
    fn text(self, name: &'static str, value: impl Display) -> Self {
        self.with(name, value)
    }
    fn int(self, name: &'static str, value: i64) -> Self {
        self.with(name, value)
    }
}

/// The parameters of an order.
pub(crate) fn order_params<P: Params>(request: P, order: &NewOrder) -> P {
    let mut request = request
        .text("symbol", order.symbol.upper())
        .text("side", order.side)
        .text("type", order.terms.order_type());
    if let Some(tif) = order.terms.tif() {
        request = request.text("timeInForce", tif);
    }
    if let Some(price) = order.terms.price() {
        request = request.text("price", price);
    }
    request = match order.terms {
        Terms::MarketQuote { amount } => request.text("quoteOrderQty", amount),
        _ => request.text("quantity", order.qty),
    };
    if let Some(stop) = order.terms.stop() {
        request = request.text("stopPrice", stop);
    }
    // RESULT, not FULL: fills come from the private stream alone. A second source would have to be matched with the
    // first one on every order, and its trades carry neither a time nor the maker's flag.
    request
        .text("newClientOrderId", &order.id)
        .text("newOrderRespType", "RESULT")
        .text("selfTradePreventionMode", order.stp)
}

/// The parameters of a cancel.
pub(crate) fn cancel_params<P: Params>(request: P, cancel: &Cancel) -> P {
    let request = request.text("symbol", cancel.symbol.upper());
    // The number alone is the venue's fastest path; with both it would also check that they agree.
    let request = match cancel.venue_id {
        Some(number) => request.int("orderId", number.cast_signed()),
        None => request.text("origClientOrderId", &cancel.known_as),
    };
    match &cancel.cancel_id {
        Some(cancel_id) => request.text("newClientOrderId", cancel_id),
        None => request,
    }
}

pub(super) fn amend(id: u64, amend: &Amend, stamp: Stamp) -> String {
    let request = Request::new(id, "order.amend.keepPriority")
        .text("symbol", amend.symbol.upper())
        .text("origClientOrderId", &amend.known_as)
        .text("newClientOrderId", &amend.amend_id)
        .text("newQty", amend.qty);
    stamp.finish(request)
}

pub(super) fn query(id: u64, query: &Query, stamp: Stamp) -> String {
    let start = |method: &str| Request::new(id, method);
    let trades = |symbol: &tradingsys::ids::Symbol| start("myTrades").text("symbol", symbol.upper());
    let request = match query {
        Query::OpenOrders => start("openOrders.status"),
        // Spot keeps its conditional orders among all others.
        Query::OpenConditionals => start("openOrders.status"),
        Query::OpenOrdersOf { symbol, .. } => start("openOrders.status").text("symbol", symbol.upper()),
        Query::Order { symbol, client_id, .. } => {
            start("order.status").text("symbol", symbol.upper()).text("origClientOrderId", client_id)
        }
        Query::OrderByVenueId { symbol, venue_id } => {
            start("order.status").text("symbol", symbol.upper()).int("orderId", venue_id.cast_signed())
        }
        Query::TradesFrom { symbol, from } => {
            trades(symbol).int("fromId", from.cast_signed()).int("limit", PAGE)
        }
        Query::TradesSince { symbol, since } => {
            let end = *since + LONGEST_WINDOW;
            trades(symbol).int("startTime", since.millis()).int("endTime", end.millis()).int("limit", PAGE)
        }
        Query::TradesOfOrder { symbol, venue_id } => {
            trades(symbol).int("orderId", venue_id.cast_signed()).int("limit", PAGE)
        }
        Query::OrdersFrom { symbol, from, .. } => start("allOrders")
            .text("symbol", symbol.upper())
            .int("orderId", from.cast_signed())
            .int("limit", PAGE),
        // Spot has neither funding nor income: those are answered without asking (see `Dialect::known`).
        Query::Account | Query::Funding { .. } | Query::Income { .. } => {
            start("account.status").flag("omitZeroBalances", true)
        }
    };
    stamp.finish(request)
}

/// Most rows of own trades in one answer.
pub(crate) const PAGE: i64 = 1_000;
/// 24 h are allowed (-1127 beyond).
pub(crate) const LONGEST_WINDOW: Span = Span::from_millis(86_400_000 - 1);

/// Weights of web-socket-api.md, 2026-07-21.
pub(super) const fn query_cost(query: &Query) -> Cost {
    let weight = match query {
        Query::OpenOrders | Query::OpenConditionals => 80,
        Query::OpenOrdersOf { .. } => 6,
        Query::Order { .. } | Query::OrderByVenueId { .. } => 4,
        Query::TradesOfOrder { .. } => 5,
        Query::TradesFrom { .. } | Query::TradesSince { .. } | Query::OrdersFrom { .. } | Query::Account => {
            20
        }
        Query::Funding { .. } | Query::Income { .. } => 0,
    };
    Cost { purpose: Purpose::Query, weight }
}

#[cfg(test)]
mod tests {
    use tradingsys::ids::{ClientOrderId, Symbol};
    use tradingsys::market::{OrderType, Side, Stp, Tif, WorkingType};
    use tradingsys::num::{Cash, Price, Qty};
    use tradingsys::time::Time;

    use super::*;

    fn stamp() -> Stamp {
        Stamp { at: Time::from_millis(1_700_000_000_123), recv_window: Span::from_secs(5) }
    }
    fn order(terms: Terms) -> NewOrder {
        NewOrder {
            id: ClientOrderId::foreign("the-id"),
            symbol: Symbol::new("dogeusdt"),
            side: Side::Buy,
            qty: Qty::whole(10),
            terms,
            stp: Stp::ExpireTaker,
            good_till: None,
            working_type: WorkingType::Last,
            reduce_only: false,
        }
    }
    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    const HEAD: &str = r#"{"id":7,"method":"order.place","params":{"symbol":"DOGEUSDT","side":"BUY","type":"#;
    const TAIL: &str = r#","newClientOrderId":"the-id","newOrderRespType":"RESULT",
        "selfTradePreventionMode":"EXPIRE_TAKER","recvWindow":5000,"timestamp":1700000000123}}"#;

    /// Compared as JSON values: the order of parameters is free.
    fn check(frame: &str, expected: &str) {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(frame), read(expected));
    }

    #[test]
    fn each_type_sends_what_it_needs_and_no_more() {
        let limit = Terms::Limit { price: price("0.19999"), tif: Tif::Ioc };
        let stop_limit = Terms::Stop {
            order_type: OrderType::StopLossLimit,
            stop: price("0.3"),
            limit: Some((price("0.31"), Tif::Gtc)),
        };
        let stop = Terms::Stop { order_type: OrderType::TakeProfit, stop: price("0.3"), limit: None };
        let spend = Terms::MarketQuote { amount: Cash::whole(25) };
        for (terms, middle) in [
            (limit, r#""LIMIT","timeInForce":"IOC","price":"0.19999","quantity":"10""#),
            (Terms::PostOnly { price: price("0.2") }, r#""LIMIT_MAKER","price":"0.2","quantity":"10""#),
            (Terms::Market, r#""MARKET","quantity":"10""#),
            (spend, r#""MARKET","quoteOrderQty":"25""#),
            (
                stop_limit,
                r#""STOP_LOSS_LIMIT","timeInForce":"GTC","price":"0.31","quantity":"10","stopPrice":"0.3""#,
            ),
            (stop, r#""TAKE_PROFIT","quantity":"10","stopPrice":"0.3""#),
        ] {
            check(&place(7, &order(terms), stamp()), &format!("{HEAD}{middle}{TAIL}"));
        }
    }

    #[test]
    fn r21_cancels_and_amends_name_what_becomes_of_the_order() {
        let mut wish = Cancel {
            symbol: Symbol::new("dogeusdt"),
            id: ClientOrderId::foreign("the-id"),
            venue_id: Some(77),
            conditional: false,
            conditional_id: None,
            known_as: ClientOrderId::foreign("the-amended"),
            cancel_id: Some(ClientOrderId::foreign("the-cancel")),
        };
        let by_number = r#"{"id":8,"method":"order.cancel","params":{"symbol":"DOGEUSDT","orderId":77,
            "newClientOrderId":"the-cancel","recvWindow":5000,"timestamp":1700000000123}}"#;
        check(&cancel(8, &wish, stamp()), by_number);
        wish.venue_id = None;
        wish.cancel_id = None;
        let by_name = r#"{"id":8,"method":"order.cancel","params":{"symbol":"DOGEUSDT",
            "origClientOrderId":"the-amended","recvWindow":5000,"timestamp":1700000000123}}"#;
        check(&cancel(8, &wish, stamp()), by_name);
        let wish = Amend {
            symbol: Symbol::new("dogeusdt"),
            id: ClientOrderId::foreign("the-id"),
            known_as: ClientOrderId::foreign("the-id"),
            amend_id: ClientOrderId::foreign("the-amended"),
            venue_id: None,
            side: Side::Buy,
            qty: Qty::whole(5),
            price: None,
        };
        let expected = r#"{"id":9,"method":"order.amend.keepPriority","params":{"symbol":"DOGEUSDT",
            "origClientOrderId":"the-id","newClientOrderId":"the-amended","newQty":"5","recvWindow":5000,
            "timestamp":1700000000123}}"#;
        check(&amend(9, &wish, stamp()), expected);
    }

    #[test]
    fn questions() {
        let symbol = Symbol::new("btcusdt");
        let client_id = ClientOrderId::foreign("x");
        let since = Time::from_millis(1_000);
        for (wish, method, params, weight) in [
            (Query::OpenOrders, "openOrders.status", "", 80),
            (
                Query::OpenOrdersOf { symbol: symbol.clone(), conditional: false },
                "openOrders.status",
                r#""symbol":"BTCUSDT","#,
                6,
            ),
            (
                Query::Order { symbol: symbol.clone(), client_id, conditional: false },
                "order.status",
                r#""symbol":"BTCUSDT","origClientOrderId":"x","#,
                4,
            ),
            (
                Query::OrderByVenueId { symbol: symbol.clone(), venue_id: 5 },
                "order.status",
                r#""symbol":"BTCUSDT","orderId":5,"#,
                4,
            ),
            (
                Query::TradesFrom { symbol: symbol.clone(), from: 6 },
                "myTrades",
                r#""symbol":"BTCUSDT","fromId":6,"limit":1000,"#,
                20,
            ),
            (
                Query::TradesSince { symbol: symbol.clone(), since },
                "myTrades",
                r#""symbol":"BTCUSDT","startTime":1000,"endTime":86400999,"limit":1000,"#,
                20,
            ),
            (
                Query::OrdersFrom { symbol: symbol.clone(), from: 9, conditional: false },
                "allOrders",
                r#""symbol":"BTCUSDT","orderId":9,"limit":1000,"#,
                20,
            ),
            (
                Query::TradesOfOrder { symbol, venue_id: 5 },
                "myTrades",
                r#""symbol":"BTCUSDT","orderId":5,"limit":1000,"#,
                5,
            ),
            (Query::Account, "account.status", r#""omitZeroBalances":true,"#, 20),
        ] {
            let tail = r#""recvWindow":5000,"timestamp":1700000000123}}"#;
            let expected = format!(r#"{{"id":3,"method":"{method}","params":{{{params}{tail}"#);
            check(&query(3, &wish, stamp()), &expected);
            assert_eq!(query_cost(&wish), Cost { purpose: Purpose::Query, weight });
        }
    }
}
