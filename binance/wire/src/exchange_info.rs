//! `exchangeInfo`: what can be traded, on which grid, under which limits.
//!
//! The venue adds fields, filters and statuses without notice. Unknown ones are passed over: the venue itself still
//! checks every order. A symbol that cannot be read is left out and named; it never hides the others.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tradingsys::ids::{Asset, Symbol};
use tradingsys::instrument::{Grid, Instrument, InstrumentKind, InstrumentStatus, OrderRules};
use tradingsys::num::{Cash, ParseNumberError, Price, Qty, parse_raw};
use tradingsys::venue::limit::LimitRow;

use crate::reply::{Malformed, RawLimit, limit_rows, read};

/// What `exchangeInfo` says.
#[derive(Debug)]
pub struct ExchangeInfo {
    /// The rate limits.
    pub limits: Vec<LimitRow>,
    /// All symbols that could be read, in the venue's order.
    pub instruments: Vec<Instrument>,
    /// Symbols that could not be read, with the reason.
    pub unreadable: Vec<Malformed>,
}

const WHAT: &str = "a symbol of exchangeInfo";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInfo<'a> {
    #[serde(default, borrow)]
    rate_limits: Vec<RawLimit<'a>>,
    #[serde(borrow)]
    symbols: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSymbol<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    base_asset: Cow<'a, str>,
    #[serde(borrow)]
    quote_asset: Cow<'a, str>,
    #[serde(default)]
    order_types: Vec<String>,
    #[serde(default = "yes")]
    is_spot_trading_allowed: bool,
    #[serde(default)]
    is_margin_trading_allowed: bool,
    #[serde(default)]
    quote_order_qty_market_allowed: bool,
    #[serde(default)]
    amend_allowed: bool,
    #[serde(borrow)]
    filters: Vec<RawFilter<'a>>,
}

const fn yes() -> bool {
    true
}

/// All fields of all filters we read; each filter has some of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawFilter<'a> {
    #[serde(borrow)]
    filter_type: Cow<'a, str>,
    #[serde(borrow)]
    min_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    max_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tick_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    min_qty: Option<Cow<'a, str>>,
    #[serde(borrow)]
    max_qty: Option<Cow<'a, str>>,
    #[serde(borrow)]
    step_size: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "notional")]
    min_notional: Option<Cow<'a, str>>,
    #[serde(borrow)]
    max_notional: Option<Cow<'a, str>>,
    apply_to_market: Option<bool>,
    apply_min_to_market: Option<bool>,
}

/// Reads the result of `exchangeInfo`.
///
/// # Errors
/// [`Malformed`] if it is not an exchangeInfo at all.
pub fn exchange_info(result: &str) -> Result<ExchangeInfo, Malformed> {
    symbols(result, |symbol| {
        let raw = read::<RawSymbol<'_>>("a symbol of exchangeInfo", symbol)?;
        instrument(&raw, raw.is_spot_trading_allowed).map(Some)
    })
}

/// Reads the result of `exchangeInfo` for a margin wallet: what margin does not trade takes no new orders, and no order
/// can be changed.
///
/// # Errors
/// [`Malformed`] if it is not an exchangeInfo at all.
pub fn margin_exchange_info(result: &str) -> Result<ExchangeInfo, Malformed> {
    symbols(result, |symbol| {
        let raw = read::<RawSymbol<'_>>("a symbol of exchangeInfo", symbol)?;
        let instrument = instrument(&raw, raw.is_margin_trading_allowed)?;
        Ok(Some(Instrument { amend_allowed: false, ..instrument }))
    })
}

/// Reads all symbols, each by `instrument`, which leaves out those that are none of the market's.
pub(crate) fn symbols(
    result: &str,
    instrument: impl Fn(&str) -> Result<Option<Instrument>, Malformed>,
) -> Result<ExchangeInfo, Malformed> {
    let raw: RawInfo<'_> = read("an exchangeInfo", result)?;
    let mut info = ExchangeInfo {
        limits: limit_rows(&raw.rate_limits),
        instruments: Vec::with_capacity(raw.symbols.len()),
        unreadable: Vec::new(),
    };
    for symbol in raw.symbols {
        match instrument(symbol.get()) {
            Ok(instrument) => info.instruments.extend(instrument),
            Err(error) => info.unreadable.push(Malformed::new(WHAT, named(symbol.get(), &error.why))),
        }
    }
    Ok(info)
}

/// What is wrong, with the symbol's name where even that can be read.
fn named(symbol: &str, why: &str) -> String {
    #[derive(Deserialize)]
    struct Name {
        symbol: String,
    }
    serde_json::from_str::<Name>(symbol)
        .map_or_else(|_| why.to_owned(), |name| format!("{}: {why}", name.symbol))
}

fn instrument(raw: &RawSymbol<'_>, allowed: bool) -> Result<Instrument, Malformed> {
    let status = match raw.status.as_ref() {
        "TRADING" if allowed => InstrumentStatus::Trading,
        "TRADING" | "CANCEL_ONLY" => InstrumentStatus::CancelOnly,
        _ => InstrumentStatus::Halted,
    };
    let mut instrument = Instrument {
        symbol: Symbol::new(&raw.symbol),
        kind: InstrumentKind::Spot,
        base: Asset::new(&raw.base_asset),
        quote: Asset::new(&raw.quote_asset),
        holding: Asset::new(&raw.base_asset),
        status,
        price: Grid::default(),
        qty: Grid::default(),
        market_qty: Grid::default(),
        min_notional: Cash::ZERO,
        max_notional: Cash::ZERO,
        notional_applies_to_market: false,
        order_types: raw.order_types.clone(),
        rules: OrderRules::default(),
        amend_allowed: raw.amend_allowed,
        quote_qty_market_allowed: raw.quote_order_qty_market_allowed,
    };
    apply_filters(&mut instrument, &raw.filters)?;
    Ok(instrument)
}

/// Writes what the filters say into the instrument.
pub(crate) fn apply_filters(instrument: &mut Instrument, filters: &[RawFilter<'_>]) -> Result<(), Malformed> {
    for filter in filters {
        apply(instrument, filter)
            .map_err(|error| Malformed::new(WHAT, format!("{}: {error}", filter.filter_type)))?;
    }
    Ok(())
}

fn apply(instrument: &mut Instrument, filter: &RawFilter<'_>) -> Result<(), ParseNumberError> {
    match filter.filter_type.as_ref() {
        "PRICE_FILTER" => instrument.price = grid(filter, Price::from_raw)?,
        "LOT_SIZE" => instrument.qty = grid(filter, Qty::from_raw)?,
        "MARKET_LOT_SIZE" => instrument.market_qty = grid(filter, Qty::from_raw)?,
        "MIN_NOTIONAL" | "NOTIONAL" => {
            // A symbol may carry both: the tighter bound of each kind holds.
            let min = Cash::from_raw(bound(filter.min_notional.as_deref())?);
            let max = Cash::from_raw(bound(filter.max_notional.as_deref())?);
            instrument.min_notional = instrument.min_notional.max(min);
            if instrument.max_notional.is_zero() || (!max.is_zero() && max < instrument.max_notional) {
                instrument.max_notional = max;
            }
            let market = filter.apply_to_market.or(filter.apply_min_to_market).unwrap_or_default();
            instrument.notional_applies_to_market |= market;
        }
        _ => {}
    }
    Ok(())
}

fn grid<T>(filter: &RawFilter<'_>, make: fn(i128) -> T) -> Result<Grid<T>, ParseNumberError> {
    let either = |price: &Option<Cow<'_, str>>, qty: &Option<Cow<'_, str>>| {
        bound(price.as_deref().or(qty.as_deref())).map(make)
    };
    Ok(Grid {
        min: either(&filter.min_price, &filter.min_qty)?,
        max: either(&filter.max_price, &filter.max_qty)?,
        step: either(&filter.tick_size, &filter.step_size)?,
    })
}

/// A bound beyond every amount we handle is none, as is an absent one.
fn bound(text: Option<&str>) -> Result<i128, ParseNumberError> {
    match text.map_or(Ok(0), parse_raw) {
        Err(ParseNumberError::OutOfRange) => Ok(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SYMBOL: &str = r#"{"symbol":"DOGEUSDT","status":"TRADING","baseAsset":"DOGE","quoteAsset":"USDT",
        "orderTypes":["LIMIT","LIMIT_MAKER","MARKET","A_NEW_TYPE"],"quoteOrderQtyMarketAllowed":true,"amendAllowed":true,
        "isSpotTradingAllowed":true,"permissionSets":[["SPOT"]],"filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.00001000","maxPrice":"1000.00000000","tickSize":"0.00001000"},
        {"filterType":"LOT_SIZE","minQty":"1.00000000","maxQty":"9000000.00000000","stepSize":"1.00000000"},
        {"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"3000.5","stepSize":"0.00000000"},
        {"filterType":"MIN_NOTIONAL","minNotional":"0.5","applyToMarket":false,"avgPriceMins":5},
        {"filterType":"NOTIONAL","minNotional":"1.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000",
         "applyMaxToMarket":false,"avgPriceMins":5},
        {"filterType":"OF_THE_FUTURE","x":[1]}]}"#;

    fn info(symbols: &str) -> ExchangeInfo {
        exchange_info(&format!(
            r#"{{"timezone":"UTC","serverTime":5,"rateLimits":[{{"rateLimitType":"ORDERS","interval":"DAY",
            "intervalNum":1,"limit":160000}}],"exchangeFilters":[],"symbols":[{symbols}],"sors":[]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_symbol_field_by_field() {
        let info = info(SYMBOL);
        assert_eq!(info.limits[0].limit, 160_000);
        let doge = &info.instruments[0];
        assert_eq!(
            (doge.symbol.as_str(), doge.base.as_str(), doge.quote.as_str()),
            ("dogeusdt", "DOGE", "USDT")
        );
        assert_eq!(doge.status, InstrumentStatus::Trading);
        assert_eq!((doge.tick(), doge.lot()), ("0.00001".parse().unwrap(), Qty::whole(1)));
        assert_eq!((doge.price.min, doge.price.max), ("0.00001".parse().unwrap(), Price::whole(1000)));
        assert_eq!((doge.qty.min, doge.qty.max), (Qty::whole(1), Qty::whole(9_000_000)));
        assert_eq!((doge.market_qty.step, doge.market_qty.max), (Qty::ZERO, "3000.5".parse().unwrap()));
        assert_eq!((doge.min_notional, doge.max_notional), (Cash::whole(1), Cash::whole(9_000_000)));
        assert!(doge.notional_applies_to_market && doge.amend_allowed && doge.quote_qty_market_allowed);
        assert_eq!(doge.order_types, ["LIMIT", "LIMIT_MAKER", "MARKET", "A_NEW_TYPE"]);
    }

    #[test]
    fn r40_only_known_good_statuses_trade() {
        for (status, expected) in [
            ("CANCEL_ONLY", InstrumentStatus::CancelOnly),
            ("HALT", InstrumentStatus::Halted),
            ("BREAK", InstrumentStatus::Halted),
            ("END_OF_DAY", InstrumentStatus::Halted),
            ("SOMETHING_NEW", InstrumentStatus::Halted),
        ] {
            let info = info(&SYMBOL.replace("\"TRADING\"", &format!("\"{status}\"")));
            assert_eq!(info.instruments[0].status, expected, "{status}");
        }
        let closed = SYMBOL.replace("\"isSpotTradingAllowed\":true", "\"isSpotTradingAllowed\":false");
        assert_eq!(info(&closed).instruments[0].status, InstrumentStatus::CancelOnly);
    }

    #[test]
    fn margin_trades_what_it_is_allowed_to_and_changes_no_order() {
        let of = |symbol: &str| {
            let text = format!(r#"{{"serverTime":5,"symbols":[{symbol}]}}"#);
            let doge = margin_exchange_info(&text).unwrap().instruments.remove(0);
            (doge.status, doge.amend_allowed)
        };
        let traded = SYMBOL.replace("\"isSpotTradingAllowed\":true", "\"isMarginTradingAllowed\":true");
        assert_eq!(of(&traded), (InstrumentStatus::Trading, false));
        assert_eq!(of(SYMBOL), (InstrumentStatus::CancelOnly, false));
    }

    #[test]
    fn r43_an_unreadable_symbol_does_not_hide_the_others() {
        let bad = SYMBOL.replace("DOGE", "BAD").replace("1000.00000000", "1e3");
        let odd = r#"{"symbol":5}"#;
        let huge = SYMBOL.replace("DOGE", "PEPE").replace("9000000.00000000", "92141578000000000.0");
        let bare = r#"{"symbol":"BARE","status":"TRADING"}"#;
        let info = info(&[bad.as_str(), odd, SYMBOL, &huge, bare].join(","));
        let names: Vec<&str> = info.instruments.iter().map(|i| i.symbol.as_str()).collect();
        assert_eq!(names, ["dogeusdt", "pepeusdt"]);
        assert_eq!(info.instruments[1].qty.max, Qty::ZERO);
        assert_eq!(info.unreadable.len(), 3);
        for (at, words) in [(0, "BADUSDT: PRICE_FILTER"), (2, "BARE: missing field")] {
            assert!(info.unreadable[at].to_string().contains(words), "{}", info.unreadable[at]);
        }
    }

    /// The venue's own answer of 2021-10-12, if the recordings are at hand.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test finds the recordings by the environment")]
    fn r43_every_symbol_of_a_recorded_answer_is_read() {
        let name = "spot_exchange_info_20211012.json.gz";
        let Some(folder) = std::env::var_os("TRADINGSYS_RECORDINGS") else {
            // Not by a macro: what those print of a test that passes is not shown.
            let _shown = writeln!(std::io::stderr(), "not run without TRADINGSYS_RECORDINGS: {name}");
            return;
        };
        let file = std::path::Path::new(&folder).join(name);
        let unpacked = std::process::Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
        let text = String::from_utf8(unpacked.stdout).unwrap();
        let info = exchange_info(&text).unwrap();
        assert_eq!(info.unreadable, []);
        assert_eq!(info.instruments.len(), text.matches("\"baseAsset\":").count());
        assert!(info.instruments.len() > 1_000, "{}", info.instruments.len());
        for instrument in info.instruments.iter().filter(|i| i.status == InstrumentStatus::Trading) {
            assert!(
                instrument.tick().is_positive() && instrument.lot().is_positive(),
                "{}",
                instrument.symbol
            );
            assert!(instrument.min_notional.is_positive(), "{}", instrument.symbol);
        }
        let spans: Vec<i64> = info.limits.iter().map(|row| row.window.millis() / 1_000).collect();
        assert_eq!(spans, [60, 10, 86_400]);
    }
}
