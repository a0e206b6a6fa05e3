//! Parameters of orders for perpetuals.

use binance_wire::errors::{ErrorReply, code};
use tradingsys::exchange::futures::{Modify, NewOrder};
use tradingsys::exchange::{OrderRef, PositionSide, PositionTerms, Request};
use tradingsys::ids::{ClientOrderId, Symbol};
use tradingsys::market::{Depth, Side, Stp, Tif};
use tradingsys::num::{Price, Qty};
use tradingsys::order::request::Terms;
use tradingsys::time::{Span, Time};

use super::Futures;
use crate::params::Params;

/// A price that follows the book at the moment the order is placed.
const PRICE_MATCHES: [(&str, bool, usize); 6] = [
    ("OPPONENT", true, 1),
    ("OPPONENT_5", true, 5),
    ("QUEUE", false, 1),
    ("QUEUE_5", false, 5),
    ("QUEUE_10", false, 10),
    ("QUEUE_20", false, 20),
];

/// Types that the algo service takes, and the order endpoint does not.
const CONDITIONAL: [&str; 5] =
    ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"];

/// Nearest good-till date.
const NEAREST: Span = Span::from_secs(600);
/// Good-till dates are before the year 10000, in milliseconds.
const FARTHEST: i64 = 253_402_300_799_000;

/// A new order as a request describes it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    /// For the core; the client id is empty where the client gave none.
    pub(crate) order: NewOrder,
    /// The reply is to say how matching ended.
    pub(crate) result: bool,
    /// `priceMatch`, as shown.
    pub(crate) price_match: &'static str,
}

fn price_match(params: &Params) -> Result<Option<(&'static str, bool, usize)>, ErrorReply> {
    let Some(word) = params.text("priceMatch")?.filter(|word| *word != "NONE") else { return Ok(None) };
    let found = PRICE_MATCHES.into_iter().find(|(known, ..)| *known == word);
    let found = found.ok_or_else(|| ErrorReply::bad(-5037, "Invalid price match"))?;
    if params.has("price") {
        return Err(ErrorReply::bad(-5037, "Invalid price match"));
    }
    Ok(Some(found))
}

/// The price a match stands for now.
fn matched(
    depth: &Depth,
    side: Side,
    (_, opponent, level): (&str, bool, usize),
) -> Result<Price, ErrorReply> {
    let buys = side == Side::Buy;
    let levels = if buys == opponent { &depth.asks } else { &depth.bids };
    let found = levels.get(level - 1).or(levels.last());
    found.map(|level| level.price).ok_or_else(|| ErrorReply::bad(-5041, "No depth matches this BBO order"))
}

/// The client id of an order, if one is given.
///
/// # Errors
/// -4015 if it has characters or a length the venue does not take.
pub(crate) fn client_id<'a>(params: &'a Params, name: &str) -> Result<Option<&'a str>, ErrorReply> {
    let Some(text) = params.text(name)? else { return Ok(None) };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b".:/_-".contains(&b);
    if text.len() > 36 {
        return Err(ErrorReply::bad(-4015, "Client order id length should be less than 36 chars"));
    }
    if text.bytes().all(legal) {
        Ok(Some(text))
    } else {
        Err(ErrorReply::bad(-4015, "Client order id is not valid."))
    }
}

/// `side`.
pub(crate) fn side(params: &Params) -> Result<Side, ErrorReply> {
    let word = params.need("side")?;
    Side::from_word(word).ok_or_else(|| ErrorReply::bad(code::INVALID_SIDE, "Invalid side."))
}

/// `positionSide`, `BOTH` if it is not said.
pub(crate) fn position_side(params: &Params) -> Result<PositionSide, ErrorReply> {
    let Some(word) = params.text("positionSide")? else { return Ok(PositionSide::Both) };
    PositionSide::from_word(word).ok_or_else(|| ErrorReply::bad(-4060, "Invalid position side."))
}

/// `selfTradePreventionMode`.
pub(crate) fn stp(params: &Params) -> Result<Option<Stp>, ErrorReply> {
    let Some(word) = params.text("selfTradePreventionMode")? else { return Ok(None) };
    let known = Stp::from_word(word).filter(|stp| *stp != Stp::Decrement);
    known.map(Some).ok_or_else(|| ErrorReply::bad(-5039, "Invalid self trade prevention mode"))
}

/// `goodTillDate`, which belongs to GTD orders, in whole seconds.
pub(crate) fn good_till(params: &Params, now: Time, gtd: bool) -> Result<Option<Time>, ErrorReply> {
    let Some(millis) = params.integer("goodTillDate")?.filter(|millis| gtd || *millis != 0) else {
        return if gtd { Err(ErrorReply::missing("goodTillDate")) } else { Ok(None) };
    };
    if !gtd {
        return Err(ErrorReply::not_required("goodtilldate"));
    }
    let seconds = millis / 1_000;
    let near = (now + NEAREST).millis() >= seconds * 1_000;
    if near || millis >= FARTHEST {
        let words = "The goodTillDate timestamp must be greater than the current time plus 600 seconds and \
                     smaller than 253402300799000.";
        return Err(ErrorReply::bad(-5040, words));
    }
    Ok(Some(Time::from_millis(seconds * 1_000)))
}

/// Which order is meant: the number counts if both are given.
pub(crate) fn order_ref(params: &Params) -> Result<OrderRef, ErrorReply> {
    match (params.integer("orderId")?, params.text("origClientOrderId")?) {
        (Some(number), _) => Ok(OrderRef::Id(number.unsigned_abs())),
        (None, Some(client)) => Ok(OrderRef::ClientId(ClientOrderId::foreign(client))),
        (None, None) => Err(ErrorReply::missing_both("origClientOrderId", "orderId")),
    }
}

/// `newOrderRespType`: is the state after matching wanted?
fn wants_result(params: &Params) -> Result<bool, ErrorReply> {
    match params.text("newOrderRespType")? {
        None | Some("ACK") => Ok(false),
        Some("RESULT") => Ok(true),
        Some(_) => Err(ErrorReply::bad(-1130, "Invalid newOrderRespType.")),
    }
}

fn quantity(params: &Params) -> Result<Qty, ErrorReply> {
    params.decimal("quantity")?.map(Qty::from_raw).ok_or_else(|| ErrorReply::missing("quantity"))
}

/// Refuses numbers with more decimals than the symbol writes.
fn check_precision(params: &Params, names: &[&str], places: u32) -> Result<(), ErrorReply> {
    for name in names {
        let Some(text) = params.text(name)? else { continue };
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len());
        if decimals > places as usize {
            let words = "Precision is over the maximum defined for this asset.";
            return Err(ErrorReply::bad(code::BAD_PRECISION, words));
        }
    }
    Ok(())
}

impl Futures {
    /// Do a request's numbers fit what the symbol writes?
    pub(crate) fn check_numbers(
        &self,
        params: &Params,
        place: usize,
        prices: &[&str],
    ) -> Result<(), ErrorReply> {
        let style = &self.markets[place].style;
        check_precision(params, prices, style.price)?;
        check_precision(params, &["quantity"], style.qty)
    }

    fn book_of(&self, symbol: &Symbol) -> Result<Depth, ErrorReply> {
        self.core.depth(symbol, 20).ok_or_else(ErrorReply::symbol)
    }

    fn limit_price(
        &self,
        params: &Params,
        symbol: &Symbol,
        side: Side,
    ) -> Result<(Price, &'static str), ErrorReply> {
        match price_match(params)? {
            Some(word) => Ok((matched(&self.book_of(symbol)?, side, word)?, word.0)),
            None => {
                let price = params.decimal("price")?.map(Price::from_raw);
                Ok((price.ok_or_else(|| ErrorReply::missing("price"))?, "NONE"))
            }
        }
    }

    /// Reads a new order for the perpetual at a place.
    pub(crate) fn ticket(&self, params: &Params, place: usize, now: Time) -> Result<Ticket, ErrorReply> {
        let symbol = self.markets[place].data.symbol.clone();
        let (side, position_side) = (side(params)?, position_side(params)?);
        let kind = params.need("type")?;
        if CONDITIONAL.contains(&kind) {
            let words = "Order type not supported for this endpoint. Please use the Algo Order API endpoints \
                         instead.";
            return Err(ErrorReply::bad(-4120, words));
        }
        self.check_numbers(params, place, &["price"])?;
        let (terms, good_till, price_match) = match kind {
            "LIMIT" => self.limit_terms(params, &symbol, side, now)?,
            "MARKET" => (market_terms(params)?, None, "NONE"),
            _ => return Err(ErrorReply::bad(code::INVALID_ORDER_TYPE, "Invalid orderType.")),
        };
        let position = PositionTerms {
            side: position_side,
            reduce_only: params.flag("reduceOnly")?.unwrap_or(false),
            good_till,
            ..PositionTerms::default()
        };
        let client_id = ClientOrderId::foreign(client_id(params, "newClientOrderId")?.unwrap_or_default());
        let (qty, stp) = (quantity(params)?, stp(params)?);
        let request = Request { symbol, client_id, side, terms, qty, stp };
        let result = wants_result(params)?;
        Ok(Ticket { order: NewOrder { request, position }, result, price_match })
    }

    fn limit_terms(
        &self,
        params: &Params,
        symbol: &Symbol,
        side: Side,
        now: Time,
    ) -> Result<(Terms, Option<Time>, &'static str), ErrorReply> {
        let word = params.need("timeInForce")?;
        let (price, shown) = self.limit_price(params, symbol, side)?;
        let good_till = good_till(params, now, word == "GTD")?;
        let terms = match word {
            "GTX" => Terms::PostOnly { price },
            "GTD" => Terms::Limit { price, tif: Tif::Gtc },
            word => {
                let tif = Tif::from_word(word);
                let tif = tif.ok_or_else(|| ErrorReply::bad(code::INVALID_TIF, "Invalid timeInForce."))?;
                Terms::Limit { price, tif }
            }
        };
        Ok((terms, good_till, shown))
    }

    /// Reads a changed order, and the number the client gives the change.
    pub(crate) fn modification(
        &self,
        params: &Params,
        place: usize,
    ) -> Result<(Modify, Option<i64>), ErrorReply> {
        let symbol = self.markets[place].data.symbol.clone();
        let (order, side) = (order_ref(params)?, side(params)?);
        self.check_numbers(params, place, &["price"])?;
        let (price, _) = self.limit_price(params, &symbol, side)?;
        let (qty, reduce_only) = (quantity(params)?, params.flag("reduceOnly")?);
        Ok((Modify { symbol, order, side, price, qty, reduce_only }, params.integer("modifyId")?))
    }
}

fn market_terms(params: &Params) -> Result<Terms, ErrorReply> {
    for name in ["timeInForce", "price", "priceMatch", "goodTillDate"] {
        if params.has(name) {
            return Err(ErrorReply::not_required(&name.to_ascii_lowercase()));
        }
    }
    Ok(Terms::Market)
}
