//! Orders as the exchange answers them: at once, without an engine. `IOC` ends unfilled, everything else rests until
//! it is cancelled or filled by command.

use std::collections::BTreeMap;

use crate::frame::{member, of_server};
use crate::now;

/// Far above the numbers of the simulator behind.
const FIRST: u64 = 5_000_000_000;

#[derive(Clone)]
struct Order {
    number: u64,
    client_id: String,
    symbol: String,
    side: String,
    kind: String,
    tif: String,
    /// In 10⁻⁸.
    price: u64,
    /// In 10⁻⁸.
    qty: u64,
    filled: u64,
}

/// What happened to an order, as its report tells.
struct Change<'a> {
    execution: &'a str,
    status: &'a str,
    /// Of a cancel: its own id, which the order is renamed to.
    renamed: Option<&'a str>,
    /// Number and quantity of a trade.
    trade: Option<(u64, u64)>,
}

/// All orders placed here.
#[derive(Default)]
pub(crate) struct Desk {
    open: BTreeMap<u64, Order>,
    placed: u64,
    trades: u64,
}

/// Eight decimals.
fn fixed(raw: u64) -> String {
    format!("{}.{:08}", raw / 100_000_000, raw % 100_000_000)
}

fn raw(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: u64 = format!("{part:0<8}").parse().unwrap_or(0);
    whole.parse::<u64>().unwrap_or(0) * 100_000_000 + part
}

impl Desk {
    /// The frames that answer a request to place or cancel. `None`: it is none of these.
    pub(crate) fn answer(&mut self, text: &str) -> Option<Vec<u8>> {
        match member(text, "method")? {
            "order.place" => self.place(text),
            "order.cancel" => self.cancel(text),
            _ => None,
        }
    }

    fn place(&mut self, text: &str) -> Option<Vec<u8>> {
        let of = |name: &str| member(text, name).unwrap_or_default().to_owned();
        self.placed += 1;
        let order = Order {
            number: FIRST + self.placed,
            client_id: of("newClientOrderId"),
            symbol: of("symbol"),
            side: of("side"),
            kind: of("type"),
            tif: of("timeInForce"),
            price: raw(&of("price")),
            qty: raw(&of("quantity")),
            filled: 0,
        };
        let rests = order.tif != "IOC";
        let status = if rests { "NEW" } else { "EXPIRED" };
        let reply = reply(text, &order.as_reply(status, None))?;
        let new = Change { execution: "NEW", status: "NEW", renamed: None, trade: None };
        let mut frames = [reply, order.report(&new)].concat();
        if rests {
            self.open.insert(order.number, order);
        } else {
            let over = Change { execution: "EXPIRED", status: "EXPIRED", ..new };
            frames.extend(order.report(&over));
        }
        Some(frames)
    }

    fn cancel(&mut self, text: &str) -> Option<Vec<u8>> {
        let named = member(text, "orderId").and_then(|number| number.parse().ok());
        let by_name = || {
            let id = member(text, "origClientOrderId")?;
            self.open.values().find(|order| order.client_id == id).map(|order| order.number)
        };
        let order = self.open.remove(&named.or_else(by_name)?)?;
        let renamed = member(text, "newClientOrderId");
        let gone = Change { execution: "CANCELED", status: "CANCELED", renamed, trade: None };
        Some([reply(text, &order.as_reply("CANCELED", renamed))?, order.report(&gone)].concat())
    }

    /// One lot of the youngest order fills: the trade's number, and the frame that tells of it.
    pub(crate) fn fill(&mut self) -> Option<(u64, Vec<u8>)> {
        let mut last = self.open.last_entry()?;
        let order = last.get_mut();
        let lot = 100_000_000;
        if order.filled + lot >= order.qty {
            return None;
        }
        self.trades += 1;
        order.filled += lot;
        let trade = FIRST + self.trades;
        let change = Change {
            execution: "TRADE",
            status: "PARTIALLY_FILLED",
            renamed: None,
            trade: Some((trade, lot)),
        };
        Some((trade, order.report(&change)))
    }
}

/// The reply to a request with these members as its result.
fn reply(request: &str, result: &str) -> Option<Vec<u8>> {
    let id = member(request, "id")?;
    Some(of_server(&format!(r#"{{"id":{id},"status":200,"result":{{{result}}},"rateLimits":[]}}"#)))
}

impl Order {
    fn quote(&self, qty: u64) -> String {
        fixed((u128::from(self.price) * u128::from(qty) / 100_000_000) as u64)
    }

    /// As the reply to `order.place`, or to `order.cancel`, shows it.
    fn as_reply(&self, status: &str, renamed: Option<&str>) -> String {
        let Self { number, client_id, symbol, side, kind, tif, .. } = self;
        let (price, qty, filled) = (fixed(self.price), fixed(self.qty), fixed(self.filled));
        let (time, quote) = (now() / 1_000_000, self.quote(self.filled));
        let names = match renamed {
            Some(renamed) => format!(r#""origClientOrderId":"{client_id}","clientOrderId":"{renamed}""#),
            None => format!(r#""clientOrderId":"{client_id}""#),
        };
        format!(
            r#""symbol":"{symbol}","orderId":{number},"orderListId":-1,{names},"transactTime":{time},"price":"{price}","origQty":"{qty}","executedQty":"{filled}","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"{quote}","status":"{status}","timeInForce":"{tif}","type":"{kind}","side":"{side}","workingTime":{time},"selfTradePreventionMode":"EXPIRE_TAKER""#
        )
    }

    /// The event of a change.
    fn report(&self, change: &Change<'_>) -> Vec<u8> {
        let Self { number, client_id, symbol, side, kind, tif, .. } = self;
        let (price, qty, filled) = (fixed(self.price), fixed(self.qty), fixed(self.filled));
        let &Change { execution, status, renamed, trade } = change;
        let (id, original) =
            renamed.map_or((client_id.as_str(), ""), |renamed| (renamed, client_id.as_str()));
        let (trade_id, last) = trade.map_or((-1, 0), |(trade, qty)| (trade.cast_signed(), qty));
        let last_price = if trade.is_some() { price.as_str() } else { "0.00000000" };
        let (last_quote, all_quote) = (self.quote(last), self.quote(self.filled));
        let (last, maker, time) = (fixed(last), trade.is_some(), now() / 1_000_000);
        of_server(&format!(
            r#"{{"subscriptionId":0,"event":{{"e":"executionReport","E":{time},"s":"{symbol}","c":"{id}","S":"{side}","o":"{kind}","f":"{tif}","q":"{qty}","p":"{price}","P":"0.00000000","F":"0.00000000","g":-1,"C":"{original}","x":"{execution}","X":"{status}","r":"NONE","i":{number},"l":"{last}","z":"{filled}","L":"{last_price}","n":"0","N":null,"T":{time},"t":{trade_id},"I":{number},"w":true,"m":{maker},"M":false,"O":{time},"Z":"{all_quote}","Y":"{last_quote}","Q":"0.00000000","W":{time},"V":"EXPIRE_TAKER"}}}}"#
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frames;

    fn texts(bytes: &[u8]) -> Vec<String> {
        let (mut frames, mut rest, mut found) = (Frames::default(), bytes, Vec::new());
        while frames.fill(&mut rest).unwrap() {
            while let Some(frame) = frames.take() {
                found.push(String::from_utf8(frame.text.to_vec()).unwrap());
            }
        }
        found
    }

    fn place(tif: &str) -> String {
        format!(
            r#"{{"id":9,"method":"order.place","params":{{"symbol":"DOGEUSDT","side":"BUY","type":"LIMIT","timeInForce":"{tif}","price":"0.19","quantity":"100","newClientOrderId":"a"}}}}"#
        )
    }

    #[test]
    fn an_order_is_answered_the_way_the_venue_does() {
        let mut desk = Desk::default();
        let found = texts(&desk.answer(&place("IOC")).unwrap());
        let words: Vec<_> = found.iter().map(|text| member(text, "X").or(member(text, "status"))).collect();
        assert_eq!(words, [Some("200"), Some("NEW"), Some("EXPIRED")]);
        for text in found.iter().chain(&texts(&desk.answer(&place("GTC")).unwrap())) {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
        let (trade, frame) = desk.fill().unwrap();
        let told = texts(&frame);
        assert_eq!(
            (member(&told[0], "t"), member(&told[0], "Y")),
            (Some(trade.to_string().as_str()), Some("0.19000000"))
        );
        let wish = format!(
            r#"{{"id":"c","method":"order.cancel","params":{{"orderId":{},"newClientOrderId":"b"}}}}"#,
            FIRST + 2
        );
        let told = texts(&desk.answer(&wish).unwrap());
        assert_eq!((member(&told[1], "c"), member(&told[1], "C")), (Some("b"), Some("a")));
        assert!(desk.answer(&wish).is_none() && desk.fill().is_none());
        assert!(desk.answer(r#"{"id":1,"method":"time"}"#).is_none());
    }
}
