//! `exchangeInfo` of this market. Quarterly contracts, and contracts margined in another asset than they are quoted
//! in, share the list and are left out.

use std::borrow::Cow;

use serde::Deserialize;
use tradingsys::ids::{Asset, Symbol};
use tradingsys::instrument::{Grid, Instrument, InstrumentKind, InstrumentStatus, OrderRules};
use tradingsys::market::{OrderType, Tif, WorkingType};
use tradingsys::num::{Cash, Percent};
use tradingsys::time::Span;

use super::order::type_from_word;
use crate::exchange_info::{ExchangeInfo, RawFilter, apply_filters, symbols};
use crate::reply::{Malformed, read};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContract<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    contract_type: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    base_asset: Cow<'a, str>,
    #[serde(borrow)]
    quote_asset: Cow<'a, str>,
    #[serde(borrow)]
    margin_asset: Cow<'a, str>,
    #[serde(default)]
    order_types: Vec<String>,
    #[serde(default)]
    time_in_force: Vec<String>,
    #[serde(borrow)]
    filters: Vec<RawFilter<'a>>,
}

/// Reads the answer to `exchangeInfo`.
///
/// # Errors
/// [`Malformed`] if it is not an exchangeInfo at all.
pub fn exchange_info(result: &str) -> Result<ExchangeInfo, Malformed> {
    symbols(result, |symbol| {
        let raw: RawContract<'_> = read("a symbol of exchangeInfo", symbol)?;
        let ours = raw.contract_type == "PERPETUAL" && raw.margin_asset == raw.quote_asset;
        ours.then(|| contract(&raw)).transpose()
    })
}

fn contract(raw: &RawContract<'_>) -> Result<Instrument, Malformed> {
    let mut instrument = Instrument {
        symbol: Symbol::new(&raw.symbol),
        kind: InstrumentKind::Perpetual,
        base: Asset::new(&raw.base_asset),
        quote: Asset::new(&raw.quote_asset),
        holding: Asset::new(&raw.symbol),
        status: match raw.status.as_ref() {
            "TRADING" => InstrumentStatus::Trading,
            // On its way to settlement: what rests there may still be taken back.
            "CANCEL_ONLY" | "PRE_SETTLE" | "PRE_DELIVERING" => InstrumentStatus::CancelOnly,
            _ => InstrumentStatus::Halted,
        },
        price: Grid::default(),
        qty: Grid::default(),
        market_qty: Grid::default(),
        min_notional: Cash::ZERO,
        max_notional: Cash::ZERO,
        notional_applies_to_market: true,
        order_types: order_types(raw),
        rules: rules(raw),
        amend_allowed: true,
        quote_qty_market_allowed: false,
    };
    apply_filters(&mut instrument, &raw.filters)?;
    Ok(instrument)
}

/// In our words; post-only is a type of its own there.
fn order_types(raw: &RawContract<'_>) -> Vec<String> {
    let ours = |word: &String| match type_from_word(word) {
        Some(order_type) => order_type.as_str().to_owned(),
        None => word.clone(),
    };
    let mut types: Vec<String> = raw.order_types.iter().map(ours).collect();
    if raw.time_in_force.iter().any(|word| word == "GTX") {
        types.push(OrderType::LimitMaker.as_str().to_owned());
    }
    types
}

fn rules(raw: &RawContract<'_>) -> OrderRules {
    let percent = |tenths: i128| Percent::from_raw(tenths * Percent::whole(1).raw() / 10);
    OrderRules {
        tifs: raw.time_in_force.iter().filter_map(|word| Tif::from_word(word)).collect(),
        good_till_least: Span::from_secs(601),
        working_types: WorkingType::ALL.to_vec(),
        callback_rate: Grid { min: percent(1), max: percent(200), step: percent(1) },
        amend_price: true,
        conditionals_apart: true,
        reduce_only: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BTC: &str = r#"{"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,
        "onboardDate":1569398400000,"status":"TRADING","maintMarginPercent":"2.5000","baseAsset":"BTC",
        "quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":2,"quantityPrecision":3,"triggerProtect":"0.0500",
        "liquidationFee":"0.012500","marketTakeBound":"0.05","filters":[
        {"filterType":"PRICE_FILTER","tickSize":"0.10","minPrice":"556.80","maxPrice":"4529764"},
        {"filterType":"LOT_SIZE","stepSize":"0.001","minQty":"0.001","maxQty":"1000"},
        {"filterType":"MARKET_LOT_SIZE","stepSize":"0.001","minQty":"0.001","maxQty":"120"},
        {"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"50"},
        {"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":"4"},
        {"filterType":"POSITION_RISK_CONTROL","positionControlSide":"NONE"}],
        "orderTypes":["LIMIT","MARKET","STOP","STOP_MARKET","TAKE_PROFIT","TAKE_PROFIT_MARKET","TRAILING_STOP_MARKET"],
        "timeInForce":["GTC","IOC","FOK","GTX","GTD","RPI"]}"#;

    fn info(symbols: &str) -> ExchangeInfo {
        let text = format!(
            r#"{{"timezone":"UTC","serverTime":5,"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE",
            "intervalNum":1,"limit":2400}},{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,
            "limit":300}}],"exchangeFilters":[],"assets":[],"symbols":[{symbols}]}}"#
        );
        exchange_info(&text).unwrap()
    }

    #[test]
    fn a_contract_field_by_field() {
        let info = info(BTC);
        assert_eq!(info.limits.iter().map(|row| row.limit).collect::<Vec<_>>(), [2400, 300]);
        let btc = &info.instruments[0];
        assert_eq!(
            (btc.symbol.as_str(), btc.holding.as_str(), btc.quote.as_str()),
            ("btcusdt", "BTCUSDT", "USDT")
        );
        assert_eq!((btc.kind, btc.status), (InstrumentKind::Perpetual, InstrumentStatus::Trading));
        assert_eq!((btc.tick(), btc.lot()), ("0.1".parse().unwrap(), "0.001".parse().unwrap()));
        assert_eq!((btc.min_notional, btc.market_qty.max), (Cash::whole(50), "120".parse().unwrap()));
        assert_eq!(btc.rules.tifs, [Tif::Gtc, Tif::Ioc, Tif::Fok, Tif::Gtd]);
        let types = "LIMIT MARKET STOP_LOSS_LIMIT STOP_LOSS TAKE_PROFIT_LIMIT TAKE_PROFIT TRAILING_STOP_MARKET LIMIT_MAKER";
        assert_eq!(btc.order_types.join(" "), types);
        let rate = btc.rules.callback_rate;
        assert_eq!((rate.min, rate.max), ("0.1".parse().unwrap(), Percent::whole(20)));
    }

    #[test]
    fn only_known_good_statuses_trade_and_only_linear_perpetuals_are_listed() {
        for (status, expected) in [
            ("PRE_SETTLE", InstrumentStatus::CancelOnly),
            ("CANCEL_ONLY", InstrumentStatus::CancelOnly),
            ("SETTLING", InstrumentStatus::Halted),
            ("PENDING_TRADING", InstrumentStatus::Halted),
            ("CLOSE", InstrumentStatus::Halted),
            ("SOMETHING_NEW", InstrumentStatus::Halted),
        ] {
            let text = BTC.replace("\"TRADING\"", &format!("\"{status}\""));
            assert_eq!(info(&text).instruments[0].status, expected, "{status}");
        }
        let quarter = BTC.replace("\"PERPETUAL\"", "\"CURRENT_QUARTER\"");
        let inverse = BTC.replace("\"marginAsset\":\"USDT\"", "\"marginAsset\":\"BTC\"");
        let odd = BTC.replace("\"0.10\"", "\"1e-1\"");
        let info = info(&[quarter.as_str(), &inverse, &odd].join(","));
        assert!(info.instruments.is_empty());
        assert_eq!(info.unreadable.len(), 1);
    }
}
