//! This market's requests and replies. Orders, cancels and amends go over the websocket API; what it lacks goes over
//! HTTP.

use binance_wire::classify::Verdict;
use binance_wire::futures::account::{account, funding_rates, income};
use binance_wire::futures::classify::{is_unknown_order, order_verdict};
use binance_wire::futures::order::{order, orders, trades, type_word};
use binance_wire::reply::ApiError;
use binance_wire::request::Request;
use binance_wire::rest::RestRequest;
use tradingsys::ids::Symbol;
use tradingsys::market::WorkingType;
use tradingsys::order::request::{NewOrder, Terms};
use tradingsys::time::Span;
use tradingsys::venue::limit::{Cost, Purpose};
use tradingsys::venue::port::{Amend, Cancel, Query};

use crate::common::desk::{Call, Dialect, Readers, Stamp};

/// What the machine asks on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// How the account is set up.
    Account,
    /// Which symbols are on isolated margin.
    Symbols,
    /// To be in one-way mode.
    OneWay,
    /// A listen key: the one there is, its life extended, or a new one.
    Key,
    /// More life for the listen key.
    Renewal,
}

impl Own {
    /// Its request.
    pub(super) fn call(self) -> Call {
        match self {
            Self::Account => Call::Signed(RestRequest::new("GET", "/fapi/v1/accountConfig")),
            Self::Symbols => Call::Signed(RestRequest::new("GET", "/fapi/v1/symbolConfig")),
            Self::OneWay => Call::Signed(
                RestRequest::new("POST", "/fapi/v1/positionSide/dual").with("dualSidePosition", "false"),
            ),
            Self::Key => Call::Plain(RestRequest::new("POST", "/fapi/v1/listenKey")),
            Self::Renewal => Call::Plain(RestRequest::new("PUT", "/fapi/v1/listenKey")),
        }
    }

    /// Its weight.
    pub(super) const fn weight(self) -> u64 {
        match self {
            Self::Account | Self::Symbols => 5,
            Self::OneWay | Self::Key | Self::Renewal => 1,
        }
    }
}

/// This market's requests and replies.
#[derive(Debug)]
pub(super) struct Usdt;

impl Dialect for Usdt {
    type Own = Own;
    const PRIVATE_ON_SESSION: bool = false;
    const CONDITIONALS_APART: bool = true;
    const TIME_PATH: &str = "/fapi/v1/time";
    const READERS: Readers = Readers { order, orders, trades, account, funding: funding_rates, income };

    fn order_cost(&self, _order: &NewOrder) -> Cost {
        Cost { purpose: Purpose::Order, weight: 0 }
    }

    fn place(&self, id: u64, order: &NewOrder, stamp: Stamp) -> Call {
        let request = if order.terms.is_conditional() { conditional(id, order) } else { plain(id, order) };
        Call::Frame(stamp.finish(request))
    }

    fn cancel_cost(&self) -> Cost {
        Cost { purpose: Purpose::Cancel, weight: 1 }
    }

    fn cancel(&self, id: u64, cancel: &Cancel, stamp: Stamp) -> Call {
        let request = match (cancel.conditional, cancel.conditional_id, cancel.venue_id) {
            (true, Some(number), _) => {
                Request::new(id, "algoOrder.cancel").int("algoId", number.cast_signed())
            }
            (true, None, _) => Request::new(id, "algoOrder.cancel").text("clientAlgoId", &cancel.known_as),
            (false, _, number) => {
                let request = Request::new(id, "order.cancel").text("symbol", cancel.symbol.upper());
                match number {
                    Some(number) => request.int("orderId", number.cast_signed()),
                    None => request.text("origClientOrderId", &cancel.known_as),
                }
            }
        };
        Call::Frame(stamp.finish(request))
    }

    fn cancel_request(&self, cancel: &Cancel) -> RestRequest {
        match (cancel.conditional, cancel.conditional_id, cancel.venue_id) {
            (true, Some(number), _) => {
                RestRequest::new("DELETE", "/fapi/v1/algoOrder").with("algoId", number)
            }
            (true, None, _) => {
                RestRequest::new("DELETE", "/fapi/v1/algoOrder").with("clientAlgoId", &cancel.known_as)
            }
            (false, _, number) => {
                let request =
                    RestRequest::new("DELETE", "/fapi/v1/order").with("symbol", cancel.symbol.upper());
                match number {
                    Some(number) => request.with("orderId", number),
                    None => request.with("origClientOrderId", &cancel.known_as),
                }
            }
        }
    }

    fn open_request(&self, conditional: bool) -> RestRequest {
        RestRequest::new("GET", if conditional { "/fapi/v1/openAlgoOrders" } else { "/fapi/v1/openOrders" })
    }

    /// Counted like an order, and no heavier.
    fn amend_cost(&self) -> Cost {
        Cost { purpose: Purpose::Order, weight: 0 }
    }

    fn amend(&self, id: u64, amend: &Amend, stamp: Stamp) -> Option<Call> {
        let mut request = Request::new(id, "order.modify").text("symbol", amend.symbol.upper());
        request = match amend.venue_id {
            Some(number) => request.int("orderId", number.cast_signed()),
            None => request.text("origClientOrderId", &amend.known_as),
        };
        request = request.text("side", amend.side).text("quantity", amend.qty);
        if let Some(price) = amend.price {
            request = request.text("price", price);
        }
        Some(Call::Frame(stamp.finish(request)))
    }

    fn query_cost(&self, query: &Query) -> Cost {
        let weight = match query {
            Query::OpenOrders | Query::OpenConditionals => 40,
            Query::OpenOrdersOf { .. }
            | Query::Order { .. }
            | Query::OrderByVenueId { .. }
            | Query::Funding { .. } => 1,
            Query::TradesFrom { .. } | Query::TradesSince { .. } | Query::TradesOfOrder { .. } => 5,
            Query::OrdersFrom { .. } | Query::Account => 5,
            Query::Income { .. } => 30,
        };
        Cost { purpose: Purpose::Query, weight }
    }

    fn query(&self, id: u64, query: &Query, stamp: Stamp) -> Call {
        let get = |path| RestRequest::new("GET", path);
        let trades = |symbol: &Symbol| get("/fapi/v1/userTrades").with("symbol", symbol.upper());
        Call::Signed(match query {
            Query::Order { symbol, client_id, conditional: false } => {
                let request = Request::new(id, "order.status").text("symbol", symbol.upper());
                return Call::Frame(stamp.finish(request.text("origClientOrderId", client_id)));
            }
            Query::OrderByVenueId { symbol, venue_id } => {
                let request = Request::new(id, "order.status").text("symbol", symbol.upper());
                return Call::Frame(stamp.finish(request.int("orderId", venue_id.cast_signed())));
            }
            Query::Funding { symbol, since } => {
                let request = get("/fapi/v1/fundingRate").with("symbol", symbol.upper());
                return Call::Plain(request.with("startTime", since.millis()).with("limit", PAGE));
            }
            Query::Order { client_id, conditional: true, .. } => {
                get("/fapi/v1/algoOrder").with("clientAlgoId", client_id)
            }
            Query::OpenOrders => get("/fapi/v1/openOrders"),
            Query::OpenConditionals => get("/fapi/v1/openAlgoOrders"),
            Query::OpenOrdersOf { symbol, conditional } => {
                get(if *conditional { "/fapi/v1/openAlgoOrders" } else { "/fapi/v1/openOrders" })
                    .with("symbol", symbol.upper())
            }
            Query::TradesFrom { symbol, from } => trades(symbol).with("fromId", from).with("limit", PAGE),
            Query::TradesSince { symbol, since } => {
                let end = *since + LONGEST_WINDOW;
                let windowed = trades(symbol).with("startTime", since.millis()).with("endTime", end.millis());
                windowed.with("limit", PAGE)
            }
            Query::TradesOfOrder { symbol, venue_id } => {
                trades(symbol).with("orderId", venue_id).with("limit", PAGE)
            }
            Query::OrdersFrom { symbol, from, conditional } => {
                let (path, number) = if *conditional {
                    ("/fapi/v1/allAlgoOrders", "algoId")
                } else {
                    ("/fapi/v1/allOrders", "orderId")
                };
                get(path).with("symbol", symbol.upper()).with(number, from).with("limit", PAGE)
            }
            Query::Account => get("/fapi/v3/account"),
            Query::Income { since } => {
                get("/fapi/v1/income").with("startTime", since.millis()).with("limit", PAGE)
            }
        })
    }

    /// The limits of this account; their counts come with every reply.
    fn order_limits(&self, _id: u64, _stamp: Stamp) -> (Call, Cost) {
        let request = RestRequest::new("GET", "/fapi/v1/rateLimit/order");
        (Call::Signed(request), Cost { purpose: Purpose::Query, weight: 1 })
    }

    fn verdict(&self, error: &ApiError) -> Verdict {
        order_verdict(error.status, error.code, &error.message)
    }

    fn is_unknown_order(&self, error: &ApiError) -> bool {
        is_unknown_order(error.code)
    }

    /// A cancelled conditional order is only confirmed.
    fn is_bare_cancel(&self, text: &str) -> bool {
        text.contains("\"algoId\"")
    }
}

const PAGE: i64 = 1_000;
/// Seven days are allowed; the port asks for one.
const LONGEST_WINDOW: Span = Span::from_millis(86_400_000 - 1);

/// What both kinds of orders carry alike.
fn common(request: Request, order: &NewOrder) -> Request {
    let mut request = request.text("symbol", order.symbol.upper()).text("side", order.side);
    if let Some(price) = order.terms.price() {
        request = request.text("price", price);
    }
    if order.reduce_only {
        request = request.text("reduceOnly", true);
    }
    if let Some(until) = order.good_till {
        request = request.int("goodTillDate", until.millis());
    }
    let tif = match order.terms {
        Terms::PostOnly { .. } => Some("GTX"),
        terms => terms.tif().map(|tif| tif.as_str()),
    };
    if let Some(tif) = tif {
        request = request.text("timeInForce", tif);
    }
    request.text("quantity", order.qty).text("selfTradePreventionMode", order.stp)
}

fn plain(id: u64, order: &NewOrder) -> Request {
    let word = if order.terms.price().is_some() { "LIMIT" } else { "MARKET" };
    // ACK, not RESULT: fills come from the private stream alone, and a reply that counts them before they come would
    // have them asked for.
    common(Request::new(id, "order.place"), order)
        .text("type", word)
        .text("newClientOrderId", &order.id)
        .text("newOrderRespType", "ACK")
}

fn conditional(id: u64, order: &NewOrder) -> Request {
    let mut request = common(Request::new(id, "algoOrder.place"), order)
        .text("algoType", "CONDITIONAL")
        .text("type", type_word(order.terms.order_type()))
        .text("clientAlgoId", &order.id);
    request = match order.working_type {
        WorkingType::Last => request.text("workingType", "CONTRACT_PRICE"),
        WorkingType::Mark => request.text("workingType", "MARK_PRICE"),
    };
    if let Some(stop) = order.terms.stop() {
        request = request.text("triggerPrice", stop);
    }
    if let Terms::Trailing { callback_rate, activation_price } = order.terms {
        request = request.text("callbackRate", callback_rate);
        if let Some(price) = activation_price {
            request = request.text("activatePrice", price);
        }
    }
    request
}
