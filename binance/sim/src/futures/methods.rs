//! Every request of futures, once: its websocket name, its REST path, who may send it, its weight, its
//! parameters.
//!
//! New orders cost no weight: they count as orders. Names are the websocket's without their version.

use crate::auth::Security::{Key, Open, Signed, Trade};
use crate::methods::Weight::{self, By, Of};
use crate::methods::{Answer, Call, Method, NONE, method};
use crate::params::Params;
use crate::sim::Sim;

/// A request without a websocket name.
const fn rest(
    verb: &'static str,
    path: &'static str,
    security: crate::auth::Security,
    weight: Weight,
    params: &'static [&'static str],
    run: fn(&mut Sim, &Call<'_>) -> Answer,
) -> Method {
    method("", (verb, path), security, weight, params, run)
}

/// Parameters of a new order.
pub(crate) const ORDER: &[&str] = &[
    "symbol",
    "side",
    "positionSide",
    "type",
    "timeInForce",
    "quantity",
    "reduceOnly",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "priceMatch",
    "selfTradePreventionMode",
    "goodTillDate",
];
/// Parameters of a changed order.
pub(crate) const MODIFY: &[&str] = &[
    "symbol",
    "orderId",
    "origClientOrderId",
    "side",
    "quantity",
    "price",
    "priceMatch",
    "modifyId",
    "reduceOnly",
];
/// Parameters of a conditional order.
const ALGO: &[&str] = &[
    "algoType",
    "symbol",
    "side",
    "positionSide",
    "type",
    "timeInForce",
    "quantity",
    "price",
    "triggerPrice",
    "workingType",
    "priceMatch",
    "closePosition",
    "priceProtect",
    "reduceOnly",
    "activatePrice",
    "callbackRate",
    "clientAlgoId",
    "selfTradePreventionMode",
    "goodTillDate",
    "newOrderRespType",
];
/// Parameters of bars.
const KLINES: &[&str] = &["symbol", "interval", "startTime", "endTime", "limit"];
const CONTINUOUS: &[&str] = &["pair", "contractType", "interval", "startTime", "endTime", "limit"];
const ALGO_ONE: &[&str] = &["algoId", "clientAlgoId", "symbol"];
const ONE: &[&str] = &["symbol", "orderId", "origClientOrderId"];

/// All of them.
pub(crate) const METHODS: &[Method] = &[
    rest("GET", "/fapi/v1/ping", Open, Of(1), &[], Sim::ping_request),
    method("time", ("GET", "/fapi/v1/time"), Open, Of(1), &[], Sim::time_request),
    rest("GET", "/fapi/v1/exchangeInfo", Open, Of(1), &[], Sim::futures_info),
    method(
        "depth",
        ("GET", "/fapi/v1/depth"),
        Open,
        By(depth_weight),
        &["symbol", "limit"],
        Sim::futures_depth,
    ),
    method("session.logon", NONE, Open, Of(2), &[], Sim::logon),
    method("session.status", NONE, Open, Of(2), &[], Sim::session_status),
    method("session.logout", NONE, Open, Of(2), &[], Sim::logout),
    method("userDataStream.start", ("POST", "/fapi/v1/listenKey"), Key, Of(1), &[], Sim::listen_key_start),
    method(
        "userDataStream.ping",
        ("PUT", "/fapi/v1/listenKey"),
        Key,
        Of(1),
        &["listenKey"],
        Sim::listen_key_extend,
    ),
    method(
        "userDataStream.stop",
        ("DELETE", "/fapi/v1/listenKey"),
        Key,
        Of(1),
        &["listenKey"],
        Sim::listen_key_close,
    ),
    method("order.place", ("POST", "/fapi/v1/order"), Trade, Of(0), ORDER, Sim::futures_place),
    method("order.cancel", ("DELETE", "/fapi/v1/order"), Trade, Of(1), ONE, Sim::futures_cancel),
    method("order.status", ("GET", "/fapi/v1/order"), Signed, Of(1), ONE, Sim::futures_order),
    rest("GET", "/fapi/v1/openOrder", Signed, Of(1), ONE, Sim::futures_open_order),
    rest("GET", "/fapi/v1/openOrders", Signed, By(all_symbols_weight), &["symbol"], Sim::futures_open_orders),
    rest(
        "GET",
        "/fapi/v1/allOrders",
        Signed,
        Of(5),
        &["symbol", "orderId", "startTime", "endTime", "limit"],
        Sim::futures_all_orders,
    ),
    rest("DELETE", "/fapi/v1/allOpenOrders", Trade, Of(1), &["symbol"], Sim::futures_cancel_all),
    rest(
        "GET",
        "/fapi/v1/userTrades",
        Signed,
        Of(5),
        &["symbol", "orderId", "startTime", "endTime", "fromId", "limit"],
        Sim::futures_trades,
    ),
    method("account.status", ("GET", "/fapi/v3/account"), Signed, Of(5), &[], Sim::futures_account),
    method("account.balance", ("GET", "/fapi/v3/balance"), Signed, Of(5), &[], Sim::futures_balance),
    method(
        "account.position",
        ("GET", "/fapi/v3/positionRisk"),
        Signed,
        Of(5),
        &["symbol"],
        Sim::futures_positions,
    ),
    rest("GET", "/fapi/v1/positionSide/dual", Signed, Of(30), &[], Sim::position_mode),
    method("order.modify", ("PUT", "/fapi/v1/order"), Trade, Of(0), MODIFY, Sim::futures_modify),
    rest("POST", "/fapi/v1/order/test", Trade, Of(0), ORDER, Sim::futures_test),
    rest("POST", "/fapi/v1/batchOrders", Trade, Of(5), &["batchOrders"], Sim::futures_batch),
    rest("PUT", "/fapi/v1/batchOrders", Trade, Of(5), &["batchOrders"], Sim::futures_batch_modify),
    rest(
        "DELETE",
        "/fapi/v1/batchOrders",
        Trade,
        Of(1),
        &["symbol", "orderIdList", "origClientOrderIdList"],
        Sim::futures_batch_cancel,
    ),
    rest(
        "POST",
        "/fapi/v1/countdownCancelAll",
        Trade,
        Of(10),
        &["symbol", "countdownTime"],
        Sim::countdown_cancel,
    ),
    rest("GET", "/fapi/v2/account", Signed, Of(5), &[], Sim::futures_account),
    rest("GET", "/fapi/v2/balance", Signed, Of(5), &[], Sim::futures_balance),
    rest("GET", "/fapi/v2/positionRisk", Signed, Of(5), &["symbol"], Sim::futures_positions),
    rest("POST", "/fapi/v1/positionSide/dual", Trade, Of(1), &["dualSidePosition"], Sim::set_position_mode),
    rest("GET", "/fapi/v1/multiAssetsMargin", Signed, Of(30), &[], Sim::multi_assets),
    rest("POST", "/fapi/v1/multiAssetsMargin", Trade, Of(1), &["multiAssetsMargin"], Sim::set_multi_assets),
    rest("POST", "/fapi/v1/leverage", Trade, Of(1), &["symbol", "leverage"], Sim::set_leverage),
    rest("POST", "/fapi/v1/marginType", Trade, Of(1), &["symbol", "marginType"], Sim::set_margin_type),
    rest("GET", "/fapi/v1/symbolConfig", Signed, Of(5), &["symbol"], Sim::symbol_config),
    rest("GET", "/fapi/v1/accountConfig", Signed, Of(5), &[], Sim::account_config),
    rest("GET", "/fapi/v1/commissionRate", Signed, Of(20), &["symbol"], Sim::futures_commission),
    rest("GET", "/fapi/v1/rateLimit/order", Signed, Of(1), &[], Sim::futures_order_limits),
    rest("GET", "/fapi/v1/leverageBracket", Signed, Of(1), &["symbol"], Sim::leverage_brackets),
    rest(
        "GET",
        "/fapi/v1/income",
        Signed,
        Of(30),
        &["symbol", "incomeType", "startTime", "endTime", "page", "limit"],
        Sim::futures_income,
    ),
    rest("GET", "/fapi/v1/klines", Open, By(bars_weight), KLINES, Sim::futures_bars),
    rest("GET", "/fapi/v1/continuousKlines", Open, By(bars_weight), CONTINUOUS, Sim::futures_bars),
    rest("GET", "/fapi/v1/trades", Open, Of(5), &["symbol", "limit"], Sim::futures_recent_trades),
    rest(
        "GET",
        "/fapi/v1/historicalTrades",
        Key,
        Of(200),
        &["symbol", "limit", "fromId"],
        Sim::futures_recent_trades,
    ),
    rest(
        "GET",
        "/fapi/v1/aggTrades",
        Open,
        Of(20),
        &["symbol", "fromId", "startTime", "endTime", "limit"],
        Sim::futures_aggregates,
    ),
    rest("GET", "/fapi/v1/premiumIndex", Open, By(premium_weight), &["symbol"], Sim::premium_index),
    method("algoOrder.place", ("POST", "/fapi/v1/algoOrder"), Trade, Of(0), ALGO, Sim::algo_place),
    method("algoOrder.cancel", ("DELETE", "/fapi/v1/algoOrder"), Trade, Of(1), ALGO_ONE, Sim::algo_cancel),
    rest("GET", "/fapi/v1/algoOrder", Signed, Of(1), ALGO_ONE, Sim::algo_order),
    rest("DELETE", "/fapi/v1/algoOpenOrders", Trade, Of(1), &["symbol"], Sim::algo_cancel_all),
    rest(
        "GET",
        "/fapi/v1/openAlgoOrders",
        Signed,
        By(all_symbols_weight),
        &["algoType", "symbol", "algoId"],
        Sim::algo_open_orders,
    ),
    rest(
        "GET",
        "/fapi/v1/allAlgoOrders",
        Signed,
        Of(5),
        &["symbol", "algoId", "startTime", "endTime", "page", "limit"],
        Sim::algo_all_orders,
    ),
    rest(
        "GET",
        "/fapi/v1/fundingRate",
        Open,
        Of(0),
        &["symbol", "startTime", "endTime", "limit"],
        Sim::funding_rates,
    ),
    rest("GET", "/fapi/v1/fundingInfo", Open, Of(0), &[], Sim::funding_info),
    rest("GET", "/fapi/v1/ticker/24hr", Open, By(all_symbols_weight), &["symbol"], Sim::futures_day_ticker),
    rest("GET", "/fapi/v1/ticker/price", Open, By(price_weight), &["symbol"], Sim::futures_price_ticker),
    method(
        "ticker.price",
        ("GET", "/fapi/v2/ticker/price"),
        Open,
        By(price_weight),
        &["symbol"],
        Sim::futures_price_ticker,
    ),
    method(
        "ticker.book",
        ("GET", "/fapi/v1/ticker/bookTicker"),
        Open,
        By(best_weight),
        &["symbol"],
        Sim::futures_book_ticker,
    ),
];

fn depth_weight(params: &Params) -> u32 {
    match params.integer("limit") {
        Ok(Some(limit)) if limit <= 50 => 2,
        Ok(Some(limit)) if limit <= 100 => 5,
        Ok(Some(limit)) if limit > 500 => 20,
        _ => 10,
    }
}

fn all_symbols_weight(params: &Params) -> u32 {
    if params.has("symbol") { 1 } else { 40 }
}

fn bars_weight(params: &Params) -> u32 {
    match params.integer("limit") {
        Ok(Some(limit)) if limit < 100 => 1,
        Ok(Some(limit)) if limit > 1_000 => 10,
        Ok(Some(limit)) if limit >= 500 => 5,
        Ok(None) => 5,
        _ => 2,
    }
}

fn premium_weight(params: &Params) -> u32 {
    if params.has("symbol") { 1 } else { 10 }
}

fn price_weight(params: &Params) -> u32 {
    if params.has("symbol") { 1 } else { 2 }
}

fn best_weight(params: &Params) -> u32 {
    if params.has("symbol") { 2 } else { 5 }
}
