//! This market's requests and replies. Orders and questions go over REST.

use binance_wire::account::{margin_order, orders, trades};
use binance_wire::classify::{Verdict, is_unknown_order};
use binance_wire::margin::{is_no_wallet, order_verdict, wallet};
use binance_wire::reply::ApiError;
use binance_wire::rest::RestRequest;
use tradingsys::ids::{LinkId, Symbol};
use tradingsys::market::SideEffect;
use tradingsys::order::request::NewOrder;
use tradingsys::time::Time;
use tradingsys::venue::limit::{Cost, Purpose};
use tradingsys::venue::port::{Answer, Cancel, Query};

use crate::common::desk::{Call, Dialect, Readers, Stamp, nothing};
use crate::spot::frames::{LONGEST_WINDOW, PAGE, cancel_params, order_params};

/// What the machine asks on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// A listen token for this connection.
    Token(LinkId),
    /// That the subscription of this connection goes on, with a token that ends then (the venue's time).
    Renewal(LinkId, Time),
    /// A page of the interest history, for the reading of this number.
    Interest(u64),
    /// A listen key for what the wallet owes.
    RiskKey,
    /// More life for that key, which is told by its text.
    RiskRenewal,
}

/// Weight of a listen token, by account and in a pool of its own.
pub(super) const TOKEN_WEIGHT: u64 = 1;
/// Weight of a page of the interest history.
pub(super) const INTEREST_WEIGHT: u64 = 1;

const NO_WALLET: &str = "the account has no cross-margin wallet: open it at the exchange and move money into it, or set \
    \"margin\": false to trade spot";

/// Most orders in one answer: fewer than on spot.
pub(super) const ORDERS_PAGE: usize = 500;

/// The request for a listen token.
pub(super) fn token() -> Call {
    Call::Plain(RestRequest::new("POST", "/sapi/v1/userListenToken"))
}

/// The request for a listen key of the stream of what the wallet owes.
pub(super) fn risk_key() -> Call {
    Call::Plain(RestRequest::new("POST", "/sapi/v1/margin/listen-key"))
}

/// The request for more life of such a key.
pub(super) fn risk_renewal(key: &str) -> Call {
    Call::Plain(RestRequest::new("PUT", "/sapi/v1/margin/listen-key").with("listenKey", key))
}

/// This market's requests and replies. `isIsolated` is never sent: its absence means cross.
#[derive(Debug)]
pub(super) struct Margin {
    pub(super) side_effect: SideEffect,
    pub(super) auto_repay_at_cancel: bool,
}

impl Dialect for Margin {
    type Own = Own;
    const PRIVATE_ON_SESSION: bool = true;
    const BY_TOKEN: bool = true;
    const SESSION_LIMITS: bool = false;
    const ORDERS_ON_SESSION: bool = false;
    const TIME_PATH: &str = "/api/v3/time";
    const READERS: Readers =
        Readers { order: margin_order, orders, trades, account: wallet, funding: nothing, income: nothing };

    /// Since 2026-05-07 an order that may borrow is dear.
    fn order_cost(&self, _order: &NewOrder) -> Cost {
        let weight = if self.side_effect.borrows() { 1_500 } else { 6 };
        Cost { purpose: Purpose::Order, weight }
    }

    fn place(&self, _id: u64, order: &NewOrder, _stamp: Stamp) -> Call {
        let request = order_params(RestRequest::new("POST", "/sapi/v1/margin/order"), order)
            .with("sideEffectType", self.side_effect);
        Call::Signed(if self.side_effect.borrows() {
            request.with("autoRepayAtCancel", if self.auto_repay_at_cancel { "TRUE" } else { "FALSE" })
        } else {
            request
        })
    }

    fn cancel_cost(&self) -> Cost {
        Cost { purpose: Purpose::Cancel, weight: 10 }
    }

    fn cancel(&self, _id: u64, cancel: &Cancel, _stamp: Stamp) -> Call {
        Call::Signed(self.cancel_request(cancel))
    }

    fn cancel_request(&self, cancel: &Cancel) -> RestRequest {
        cancel_params(RestRequest::new("DELETE", "/sapi/v1/margin/order"), cancel)
    }

    fn open_request(&self, _conditional: bool) -> RestRequest {
        RestRequest::new("GET", "/sapi/v1/margin/openOrders")
    }

    fn known(&self, query: &Query) -> Option<Answer> {
        matches!(query, Query::Funding { .. }).then(|| Answer::Funding(Vec::new()))
    }

    fn query_cost(&self, query: &Query) -> Cost {
        let weight = match query {
            Query::Income { .. } => INTEREST_WEIGHT,
            Query::OrdersFrom { .. } => 200,
            Query::Funding { .. } => 0,
            _ => 10,
        };
        Cost { purpose: Purpose::Query, weight }
    }

    fn query(&self, _id: u64, query: &Query, _stamp: Stamp) -> Call {
        let get = |path| RestRequest::new("GET", path);
        let order = |symbol: &Symbol| get("/sapi/v1/margin/order").with("symbol", symbol.upper());
        let trades = |symbol: &Symbol| {
            get("/sapi/v1/margin/myTrades").with("symbol", symbol.upper()).with("limit", PAGE)
        };
        Call::Signed(match query {
            Query::OpenOrders | Query::OpenConditionals => get("/sapi/v1/margin/openOrders"),
            Query::OpenOrdersOf { symbol, .. } => {
                get("/sapi/v1/margin/openOrders").with("symbol", symbol.upper())
            }
            Query::Order { symbol, client_id, .. } => order(symbol).with("origClientOrderId", client_id),
            Query::OrderByVenueId { symbol, venue_id } => order(symbol).with("orderId", venue_id),
            Query::TradesFrom { symbol, from } => trades(symbol).with("fromId", from),
            Query::TradesSince { symbol, since } => {
                let end = *since + LONGEST_WINDOW;
                trades(symbol).with("startTime", since.millis()).with("endTime", end.millis())
            }
            Query::TradesOfOrder { symbol, venue_id } => trades(symbol).with("orderId", venue_id),
            Query::OrdersFrom { symbol, from, .. } => get("/sapi/v1/margin/allOrders")
                .with("symbol", symbol.upper())
                .with("orderId", from)
                .with("limit", ORDERS_PAGE),
            // Funding is answered without asking, interest is read in pages: see `Interest`.
            Query::Account | Query::Funding { .. } | Query::Income { .. } => get("/sapi/v1/margin/account"),
        })
    }

    fn order_limits(&self, _id: u64, _stamp: Stamp) -> (Call, Cost) {
        let request = RestRequest::new("GET", "/sapi/v1/margin/rateLimit/order");
        (Call::Signed(request), Cost { purpose: Purpose::Query, weight: 20 })
    }

    fn unfit(&self, error: &ApiError) -> Option<&'static str> {
        is_no_wallet(error.code).then_some(NO_WALLET)
    }

    fn verdict(&self, error: &ApiError) -> Verdict {
        order_verdict(error.status, error.code, &error.message)
    }

    fn is_unknown_order(&self, error: &ApiError) -> bool {
        is_unknown_order(error.code, &error.message)
    }
}
