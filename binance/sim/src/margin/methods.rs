//! Every request of cross margin, once. Each has a pool of its own: 12,000 a minute and address, or 180,000 a minute
//! and account, which is told by [`uid`].

use crate::auth::Security::{Key, Signed, Trade};
use crate::methods::Weight::{self, By, Of};
use crate::methods::{Answer, Call, Method, method};
use crate::params::Params;
use crate::sim::Sim;

/// So many units of an account's weight one unit of an address's weight is worth.
pub(crate) const IP: u32 = 15;

const fn rest(
    (verb, path): (&'static str, &'static str),
    security: crate::auth::Security,
    weight: Weight,
    params: &'static [&'static str],
    run: fn(&mut Sim, &Call<'_>) -> Answer,
) -> Method {
    method("", (verb, path), security, weight, params, run)
}

/// Does a request count by account instead of by address?
pub(crate) fn uid(method: &Method) -> bool {
    let by_account =
        ["/borrow-repay", "/maxBorrowable", "/userListenToken", "/listen-key", "/asset/transfer"];
    by_account.iter().any(|path| method.path.ends_with(path))
        || (method.verb == "POST" && method.path == "/sapi/v1/margin/order")
}

/// Parameters of a new order.
const ORDER: &[&str] = &[
    "symbol",
    "isIsolated",
    "side",
    "type",
    "timeInForce",
    "price",
    "quantity",
    "quoteOrderQty",
    "newClientOrderId",
    "newOrderRespType",
    "stopPrice",
    "trailingDelta",
    "icebergQty",
    "sideEffectType",
    "autoRepayAtCancel",
    "selfTradePreventionMode",
];
const ONE: &[&str] = &["symbol", "isIsolated", "orderId", "origClientOrderId", "newClientOrderId"];
const HISTORY: &[&str] = &["symbol", "isIsolated", "orderId", "fromId", "startTime", "endTime", "limit"];

/// All of them.
pub(crate) const METHODS: &[Method] = &[
    rest(("POST", "/sapi/v1/margin/order"), Trade, By(order_weight), ORDER, Sim::margin_place),
    rest(("DELETE", "/sapi/v1/margin/order"), Trade, Of(10 * IP), ONE, Sim::margin_cancel),
    rest(("GET", "/sapi/v1/margin/order"), Signed, Of(10 * IP), ONE, Sim::margin_order),
    rest(
        ("GET", "/sapi/v1/margin/openOrders"),
        Signed,
        Of(10 * IP),
        &["symbol", "isIsolated"],
        Sim::margin_open_orders,
    ),
    rest(
        ("DELETE", "/sapi/v1/margin/openOrders"),
        Trade,
        Of(IP),
        &["symbol", "isIsolated"],
        Sim::margin_cancel_all,
    ),
    rest(("GET", "/sapi/v1/margin/allOrders"), Signed, Of(200 * IP), HISTORY, Sim::margin_all_orders),
    rest(("GET", "/sapi/v1/margin/myTrades"), Signed, Of(10 * IP), HISTORY, Sim::margin_trades),
    rest(("GET", "/sapi/v1/margin/account"), Signed, Of(10 * IP), &[], Sim::margin_account),
    rest(
        ("GET", "/sapi/v1/margin/interestHistory"),
        Signed,
        Of(IP),
        &["asset", "isolatedSymbol", "startTime", "endTime", "current", "size", "archived"],
        Sim::interest_history,
    ),
    rest(
        ("POST", "/sapi/v1/margin/borrow-repay"),
        Trade,
        Of(1_500),
        &["asset", "isIsolated", "symbol", "amount", "type"],
        Sim::borrow_repay,
    ),
    rest(
        ("GET", "/sapi/v1/margin/maxBorrowable"),
        Signed,
        Of(750),
        &["asset", "isolatedSymbol"],
        Sim::max_borrowable,
    ),
    rest(
        ("GET", "/sapi/v1/margin/rateLimit/order"),
        Signed,
        Of(20 * IP),
        &["isIsolated", "symbol"],
        Sim::margin_order_limits,
    ),
    rest(("GET", "/sapi/v1/margin/allPairs"), Key, Of(IP), &["symbol"], Sim::margin_pairs),
    rest(("GET", "/sapi/v1/margin/isolated/allPairs"), Key, Of(10 * IP), &["symbol"], Sim::no_pairs),
    rest(("GET", "/sapi/v1/margin/priceIndex"), Key, Of(10 * IP), &["symbol"], Sim::margin_price),
    rest(
        ("POST", "/sapi/v1/userListenToken"),
        Key,
        Of(1),
        &["isIsolated", "symbol", "validity"],
        Sim::listen_token,
    ),
    rest(("POST", "/sapi/v1/margin/listen-key"), Key, Of(1), &[], Sim::margin_listen_start),
    rest(("PUT", "/sapi/v1/margin/listen-key"), Key, Of(1), &["listenKey"], Sim::margin_listen_extend),
    rest(("DELETE", "/sapi/v1/margin/listen-key"), Key, Of(3_000), &["listenKey"], Sim::margin_listen_close),
    rest(("POST", "/sapi/v1/asset/transfer"), Signed, Of(900), &["type", "asset", "amount"], Sim::move_money),
    rest(("GET", "/sapi/v1/account/apiRestrictions"), Signed, Of(IP), &[], Sim::key_restrictions),
    rest(("GET", "/sapi/v1/capital/config/getall"), Signed, Of(10 * IP), &[], Sim::coins),
];

/// Borrowing makes an order dear.
fn order_weight(params: &Params) -> u32 {
    match params.text("sideEffectType") {
        Ok(Some("MARGIN_BUY" | "AUTO_BORROW_REPAY")) => 1_500,
        _ => 6,
    }
}
