//! Lines of the journals of futures. Like those of spot: exact decimals as strings, `time` in milliseconds.

use binance_wire::render::Object;
use tradingsys::exchange::futures::{Conditional, FundingRate, Income, Setting, SettingChange};
use tradingsys::exchange::{Fill, OrderEvent};
use tradingsys::ids::Symbol;
use tradingsys::order::request::Terms;

use super::frames::Style;
use super::order_json::{execution_type, kind, tif};

/// A line of `futures_trades.jsonl`.
pub(crate) fn trade_line(style: &Style, event: &OrderEvent, fill: &Fill, account: &str) -> String {
    Object::new()
        .int("trade_id", fill.trade_id)
        .text("symbol", &style.symbol)
        .int("order_id", fill.order_id)
        .text("client_order_id", event.order.client_id.as_str())
        .text("account", account)
        .text("side", fill.side.as_str())
        .text("position_side", fill.position_side.as_str())
        .text("price", &fill.price.to_string())
        .text("qty", &fill.qty.to_string())
        .text("quote", &fill.quote.to_string())
        .text("realized_pnl", &fill.realised.to_string())
        .text("commission", &fill.fee.to_string())
        .text("commission_asset", fill.fee_asset.as_str())
        .int("time", fill.time.millis())
        .flag("maker", fill.maker)
        .text("origin", event.order.position.origin.as_str())
        .int("time_ns", fill.time.nanos())
        .end()
}

/// A line of `futures_orders.jsonl`.
pub(crate) fn order_line(style: &Style, event: &OrderEvent, account: &str) -> String {
    let order = &event.order;
    let line = Object::new()
        .text("event", execution_type(event))
        .int("execution_id", event.execution_id)
        .text("symbol", &style.symbol)
        .int("order_id", order.id)
        .text("client_order_id", order.client_id.as_str())
        .text("account", account)
        .text("side", order.side.as_str())
        .text("position_side", order.position.side.as_str())
        .text("type", kind(order))
        .text("tif", tif(order))
        .text("price", &order.terms.price().unwrap_or_default().to_string())
        .flag("reduce_only", order.position.reduce_only)
        .text("qty", &order.qty.to_string())
        .text("filled", &order.filled.to_string())
        .text("filled_quote", &order.filled_quote.to_string())
        .text("prevented", &order.prevented.to_string())
        .text("status", order.status.as_str())
        .text("stp", order.stp.as_str())
        .flag("close_position", order.position.close_position)
        .text("origin", order.position.origin.as_str())
        .int("amends", order.amends)
        .int("time", event.time.millis())
        .int("created_ns", order.created.nanos())
        .int("updated_ns", order.updated.nanos());
    let line = match order.expiry {
        Some(why) => line.text("expiry", why.as_str()),
        None => line,
    };
    let line = match order.position.good_till {
        Some(at) => line.int("good_till_ns", at.nanos()),
        None => line,
    };
    match order.position.conditional {
        Some(id) => line.int("algo_id", id).end(),
        None => line.end(),
    }
}

/// A line of `futures_income.jsonl`: a booking in a wallet. Their sum is the balance.
pub(crate) fn income_line(income: &Income, account: &str) -> String {
    let line = Object::new()
        .int("id", income.id)
        .text("account", account)
        .text("kind", income.kind.as_str())
        .text("symbol", &income.symbol.as_ref().map_or(String::new(), Symbol::upper))
        .text("asset", income.asset.as_str())
        .text("amount", &income.amount.to_string())
        .int("time", income.time.millis());
    match income.trade_id {
        Some(id) => line.int("trade_id", id).end(),
        None => line.end(),
    }
}

/// A line of `futures_algos.jsonl`.
pub(crate) fn conditional_line(style: &Style, one: &Conditional, account: &str) -> String {
    let (request, position) = (&one.asked.request, &one.asked.position);
    let order_type = request.terms.order_type();
    let line = Object::new()
        .int("algo_id", one.id)
        .text("client_algo_id", request.client_id.as_str())
        .text("symbol", &style.symbol)
        .text("account", account)
        .text("side", request.side.as_str())
        .text("position_side", position.side.as_str())
        .text("type", super::algo::type_word(order_type))
        .text("order_type", order_type.as_str())
        .text("trigger_price", &request.terms.stop().unwrap_or_default().to_string())
        .text("price", &request.terms.price().unwrap_or_default().to_string())
        .text("qty", &request.qty.to_string())
        .flag("reduce_only", position.reduce_only)
        .flag("close_position", position.close_position)
        .text("working_type", one.asked.working_type.as_str())
        .flag("price_protect", one.asked.price_protect)
        .flag("active", one.active)
        .text("status", one.status.as_str())
        .int("time", one.updated.millis())
        .int("created_ns", one.created.nanos())
        .int("updated_ns", one.updated.nanos());
    optional_fields(line, one).end()
}

fn optional_fields(line: Object, one: &Conditional) -> Object {
    let (request, mut line) = (&one.asked.request, line);
    if let Some(tif) = request.terms.tif() {
        line = line.text("tif", tif.as_str());
    }
    if let Some(stp) = request.stp {
        line = line.text("stp", stp.as_str());
    }
    if let Terms::Trailing { callback_rate, activation_price } = request.terms {
        line = line.text("callback_rate", &callback_rate.to_string());
        if let Some(price) = activation_price {
            line = line.text("activate_price", &price.to_string());
        }
    }
    if let Some(price) = one.best {
        line = line.text("best", &price.to_string());
    }
    for (name, time) in [("good_till_ns", one.asked.position.good_till), ("triggered_ns", one.triggered)] {
        if let Some(time) = time {
            line = line.int(name, time.nanos());
        }
    }
    match one.order {
        Some(id) => line.int("order_id", id),
        None => line,
    }
}

/// A line of `futures_settings.jsonl`.
pub(crate) fn setting_line(change: &SettingChange, account: &str) -> String {
    let line = Object::new().text("account", account).int("time", change.time.millis());
    match &change.setting {
        Setting::Leverage(symbol, leverage) => {
            line.text("symbol", &symbol.upper()).int("leverage", leverage).end()
        }
        Setting::MultiAssets(on) => line.flag("multi_assets", *on).end(),
        Setting::Hedge(on) => line.flag("hedge", *on).end(),
    }
}

/// A line of `funding.jsonl`.
pub(crate) fn funding_line(symbol: &Symbol, funding: &FundingRate) -> String {
    Object::new()
        .text("symbol", &symbol.upper())
        .int("time", funding.time.millis())
        .text("rate", &funding.rate.to_string())
        .text("mark", &funding.mark.to_string())
        .end()
}
