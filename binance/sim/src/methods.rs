//! Every request the simulator serves, once: its websocket name, its REST path, who may send it, its
//! weight, its parameters.

use binance_wire::errors::ErrorReply;
use binance_wire::render::TimeUnit;
use tradingsys::exchange::AccountId;
use tradingsys::time::{Span, Time};

use crate::auth::Security;
use crate::connection::KeyIndex;
use crate::futures::methods as futures;
use crate::io::Conn;
use crate::margin::methods as margin;
use crate::params::Params;
use crate::product::Product;
use crate::sim::Sim;

/// A request on its way through the machine.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The time.
    pub(crate) now: Time,
    /// Its parameters.
    pub(crate) params: &'a Params,
    /// The websocket it came by; `None` over REST.
    pub(crate) conn: Option<Conn>,
    /// The key that let it in.
    pub(crate) key: Option<KeyIndex>,
    /// Whose key that is.
    pub(crate) account: AccountId,
    /// In which unit times are wanted.
    pub(crate) unit: TimeUnit,
    /// How old the state is that a query is answered from.
    pub(crate) lag: Span,
}

/// JSON of a result, or a refusal.
pub(crate) type Answer = Result<String, ErrorReply>;

/// What a request costs.
#[derive(Clone, Copy)]
pub(crate) enum Weight {
    /// Always the same.
    Of(u32),
    /// This if it fails, nothing if it succeeds.
    IfRefused(u32),
    /// By its parameters.
    By(fn(&Params) -> u32),
}

impl Weight {
    /// Its weight, and whether success gives it back.
    pub(crate) fn charge(self, params: &Params) -> (u32, bool) {
        match self {
            Self::Of(weight) => (weight, false),
            Self::IfRefused(weight) => (weight, true),
            Self::By(weight) => (weight(params), false),
        }
    }
}

/// One request the simulator serves.
pub(crate) struct Method {
    /// Its name on the websocket API; empty if it has none.
    pub(crate) name: &'static str,
    /// Its verb and path over REST; empty if it has none.
    pub(crate) verb: &'static str,
    /// Its path.
    pub(crate) path: &'static str,
    /// Who may send it.
    pub(crate) security: Security,
    /// What it costs.
    pub(crate) weight: Weight,
    /// Parameters it reads besides those every request may carry.
    pub(crate) params: &'static [&'static str],
    /// Serves it.
    pub(crate) run: fn(&mut Sim, &Call<'_>) -> Answer,
}

impl Method {
    /// Its name in fault rules: the websocket's, or its path if it has none.
    pub(crate) const fn label(&self) -> &'static str {
        if self.name.is_empty() { self.path } else { self.name }
    }
}

pub(crate) const fn method(
    name: &'static str,
    (verb, path): (&'static str, &'static str),
    security: Security,
    weight: Weight,
    params: &'static [&'static str],
    run: fn(&mut Sim, &Call<'_>) -> Answer,
) -> Method {
    Method { name, verb, path, security, weight, params, run }
}

/// Neither verb nor path.
pub(crate) const NONE: (&str, &str) = ("", "");
/// Parameters of a new order.
pub(crate) const ORDER: &[&str] = &[
    "symbol",
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
    "strategyId",
    "strategyType",
    "selfTradePreventionMode",
    "pegPriceType",
    "pegOffsetValue",
    "pegOffsetType",
    "computeCommissionRates",
];

/// Parameters of a cancel-and-replace.
const CANCEL_REPLACE: &[&str] = &[
    "symbol",
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
    "strategyId",
    "strategyType",
    "selfTradePreventionMode",
    "pegPriceType",
    "pegOffsetValue",
    "pegOffsetType",
    "cancelReplaceMode",
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelNewClientOrderId",
    "cancelRestrictions",
    "orderRateLimitExceededMode",
];
/// Parameters of bars.
const KLINES: &[&str] = &["symbol", "interval", "startTime", "endTime", "timeZone", "limit"];
/// Every parameter is let through.
const ANY: &[&str] = &["*"];

use Security::{Open, Signed, Trade};
use Weight::{By, IfRefused, Of};

/// All of them.
pub(crate) const METHODS: &[Method] = &[
    method("ping", ("GET", "/api/v3/ping"), Open, Of(1), &[], Sim::ping_request),
    method("time", ("GET", "/api/v3/time"), Open, Of(1), &[], Sim::time_request),
    method(
        "exchangeInfo",
        ("GET", "/api/v3/exchangeInfo"),
        Open,
        Of(20),
        &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"],
        Sim::exchange_info,
    ),
    method(
        "depth",
        ("GET", "/api/v3/depth"),
        Open,
        By(depth_weight),
        &["symbol", "limit", "symbolStatus"],
        Sim::depth,
    ),
    method("klines", ("GET", "/api/v3/klines"), Open, Of(2), KLINES, Sim::klines),
    method("session.logon", NONE, Open, Of(2), &[], Sim::logon),
    method("session.status", NONE, Open, Of(2), &[], Sim::session_status),
    method("session.logout", NONE, Open, Of(2), &[], Sim::logout),
    method("session.subscriptions", NONE, Open, Of(2), &[], Sim::subscriptions),
    method("userDataStream.subscribe", NONE, Open, Of(2), &[], Sim::subscribe_logged_on),
    method("userDataStream.subscribe.signature", NONE, Signed, Of(2), &[], Sim::subscribe_signed),
    method("userDataStream.subscribe.listenToken", NONE, Open, Of(2), &["listenToken"], Sim::subscribe_token),
    method("userDataStream.unsubscribe", NONE, Open, Of(2), &["subscriptionId"], Sim::unsubscribe_private),
    method("order.place", ("POST", "/api/v3/order"), Trade, IfRefused(1), ORDER, Sim::order_place),
    method("order.test", ("POST", "/api/v3/order/test"), Trade, By(test_weight), ORDER, Sim::order_test),
    method(
        "order.cancel",
        ("DELETE", "/api/v3/order"),
        Trade,
        IfRefused(1),
        &["symbol", "orderId", "origClientOrderId", "newClientOrderId", "cancelRestrictions"],
        Sim::order_cancel,
    ),
    method(
        "order.status",
        ("GET", "/api/v3/order"),
        Signed,
        Of(4),
        &["symbol", "orderId", "origClientOrderId"],
        Sim::order_status,
    ),
    method(
        "openOrders.status",
        ("GET", "/api/v3/openOrders"),
        Signed,
        By(open_orders_weight),
        &["symbol"],
        Sim::open_orders,
    ),
    method(
        "openOrders.cancelAll",
        ("DELETE", "/api/v3/openOrders"),
        Trade,
        IfRefused(1),
        &["symbol"],
        Sim::cancel_all,
    ),
    method(
        "allOrders",
        ("GET", "/api/v3/allOrders"),
        Signed,
        Of(20),
        &["symbol", "orderId", "startTime", "endTime", "limit"],
        Sim::all_orders,
    ),
    method(
        "myTrades",
        ("GET", "/api/v3/myTrades"),
        Signed,
        By(my_trades_weight),
        &["symbol", "orderId", "startTime", "endTime", "fromId", "limit"],
        Sim::my_trades,
    ),
    method(
        "account.status",
        ("GET", "/api/v3/account"),
        Signed,
        Of(20),
        &["omitZeroBalances"],
        Sim::account_status,
    ),
    method(
        "order.cancelReplace",
        ("POST", "/api/v3/order/cancelReplace"),
        Trade,
        IfRefused(1),
        CANCEL_REPLACE,
        Sim::cancel_replace,
    ),
    method(
        "order.amend.keepPriority",
        ("PUT", "/api/v3/order/amend/keepPriority"),
        Trade,
        Of(4),
        &["symbol", "orderId", "origClientOrderId", "newClientOrderId", "newQty"],
        Sim::amend,
    ),
    method(
        "account.commission",
        ("GET", "/api/v3/account/commission"),
        Signed,
        Of(20),
        &["symbol"],
        Sim::commission,
    ),
    method(
        "account.rateLimits.orders",
        ("GET", "/api/v3/rateLimit/order"),
        Signed,
        Of(40),
        &[],
        Sim::order_limits,
    ),
    method("myFilters", ("GET", "/api/v3/myFilters"), Signed, Of(40), &["symbol"], Sim::my_filters),
    method("uiKlines", ("GET", "/api/v3/uiKlines"), Open, Of(2), KLINES, Sim::klines),
    method(
        "trades.recent",
        ("GET", "/api/v3/trades"),
        Open,
        Of(25),
        &["symbol", "limit"],
        Sim::recent_trades,
    ),
    method(
        "trades.historical",
        ("GET", "/api/v3/historicalTrades"),
        Open,
        Of(25),
        &["symbol", "limit", "fromId"],
        Sim::historical_trades,
    ),
    method(
        "trades.aggregate",
        ("GET", "/api/v3/aggTrades"),
        Open,
        Of(4),
        &["symbol", "fromId", "startTime", "endTime", "limit"],
        Sim::aggregate_trades,
    ),
    method("avgPrice", ("GET", "/api/v3/avgPrice"), Open, Of(2), &["symbol"], Sim::average_price),
    method(
        "ticker.24hr",
        ("GET", "/api/v3/ticker/24hr"),
        Open,
        By(day_ticker_weight),
        &["symbol", "symbols", "type", "symbolStatus"],
        Sim::day_ticker,
    ),
    method(
        "ticker.price",
        ("GET", "/api/v3/ticker/price"),
        Open,
        By(ticker_weight),
        &["symbol", "symbols", "symbolStatus"],
        Sim::price_ticker,
    ),
    method(
        "ticker.book",
        ("GET", "/api/v3/ticker/bookTicker"),
        Open,
        By(ticker_weight),
        &["symbol", "symbols", "symbolStatus"],
        Sim::book_ticker,
    ),
    method(
        "executionRules",
        ("GET", "/api/v3/executionRules"),
        Open,
        By(rules_weight),
        &["symbol", "symbols", "symbolStatus"],
        Sim::execution_rules,
    ),
    method(
        "referencePrice",
        ("GET", "/api/v3/referencePrice"),
        Open,
        Of(2),
        &["symbol"],
        Sim::reference_price,
    ),
    // Order lists and smart order routing are refused, whatever their parameters.
    method("orderList.place", ("POST", "/api/v3/order/oco"), Trade, IfRefused(1), ANY, Sim::no_lists),
    method("orderList.place.oco", ("POST", "/api/v3/orderList/oco"), Trade, IfRefused(1), ANY, Sim::no_lists),
    method("orderList.place.oto", ("POST", "/api/v3/orderList/oto"), Trade, IfRefused(1), ANY, Sim::no_lists),
    method(
        "orderList.place.otoco",
        ("POST", "/api/v3/orderList/otoco"),
        Trade,
        IfRefused(1),
        ANY,
        Sim::no_lists,
    ),
    method("orderList.place.opo", ("POST", "/api/v3/orderList/opo"), Trade, IfRefused(1), ANY, Sim::no_lists),
    method(
        "orderList.place.opoco",
        ("POST", "/api/v3/orderList/opoco"),
        Trade,
        IfRefused(1),
        ANY,
        Sim::no_lists,
    ),
    method("sor.order.place", ("POST", "/api/v3/sor/order"), Trade, IfRefused(1), ANY, Sim::no_routing),
    method("sor.order.test", ("POST", "/api/v3/sor/order/test"), Trade, Of(1), ANY, Sim::no_routing),
];

/// The requests of a product.
fn table(product: Product) -> &'static [Method] {
    match product {
        Product::Spot => METHODS,
        Product::Margin => margin::METHODS,
        Product::Futures => futures::METHODS,
    }
}

/// A websocket name without the version that may stand before it.
pub(crate) fn method_name(product: Product, name: &str) -> &str {
    let versions: &[&str] = match product {
        Product::Spot | Product::Margin => &["v3/"],
        Product::Futures => &["v1/", "v2/"],
    };
    versions.iter().find_map(|version| name.strip_prefix(version)).unwrap_or(name)
}

/// Finds a request by its websocket name, with or without the version before it.
pub(crate) fn by_name(product: Product, name: &str) -> Option<&'static Method> {
    let name = method_name(product, name);
    table(product).iter().find(|method| method.name == name && !name.is_empty())
}

/// Finds a request by verb and path.
pub(crate) fn by_path(verb: &str, path: &str) -> Option<&'static Method> {
    table(Product::of_path(path)).iter().find(|method| method.path == path && method.verb == verb)
}

/// Is there a request of this path, whatever its verb?
pub(crate) fn path_known(path: &str) -> bool {
    table(Product::of_path(path)).iter().any(|method| method.path == path)
}

fn depth_weight(params: &Params) -> u32 {
    match params.integer("limit") {
        Ok(Some(limit)) if limit > 1_000 => 250,
        Ok(Some(limit)) if limit > 500 => 50,
        Ok(Some(limit)) if limit > 100 => 25,
        _ => 5,
    }
}

/// How many symbols are named; `None` if all are meant.
fn named(params: &Params) -> Option<usize> {
    if params.has("symbol") {
        return Some(1);
    }
    params.words("symbols").ok().flatten().map(|list| list.len())
}

fn day_ticker_weight(params: &Params) -> u32 {
    match named(params) {
        Some(0..=20) => 2,
        Some(21..=100) => 40,
        _ => 80,
    }
}

fn ticker_weight(params: &Params) -> u32 {
    if named(params) == Some(1) { 2 } else { 4 }
}

fn rules_weight(params: &Params) -> u32 {
    named(params).map_or(40, |count| u32::try_from(count * 2).unwrap_or(40).min(40))
}

fn test_weight(params: &Params) -> u32 {
    if params.flag("computeCommissionRates").ok().flatten().unwrap_or(false) { 20 } else { 1 }
}

fn open_orders_weight(params: &Params) -> u32 {
    if params.has("symbol") { 6 } else { 80 }
}

fn my_trades_weight(params: &Params) -> u32 {
    if params.has("orderId") { 5 } else { 20 }
}
