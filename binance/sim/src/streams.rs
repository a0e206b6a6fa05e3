//! Names of market data streams, and the requests that subscribe to them.

use binance_wire::render::{Object, array, quoted};
use serde_json::Value;
use serde_json::value::RawValue;
use tradingsys::market::Interval;

/// A symbol's place in the list of markets.
pub(crate) type MarketIndex = u16;

/// A stream the simulator knows. Streams of the same data in other units or wrappings are the same stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StreamName {
    /// A stream of one symbol.
    Of(MarketIndex, Kind),
    /// `!miniTicker@arr`.
    AllMiniTickers,
    /// A stream of futures.
    Futures(crate::futures::streams::Name),
}

/// Data of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `@trade`.
    Trade,
    /// `@aggTrade`.
    AggTrade,
    /// `@bookTicker`.
    BookTicker,
    /// `@depth<levels>[@100ms]`.
    Depth {
        /// 5, 10 or 20.
        levels: u8,
        /// Every 100 ms instead of every second.
        fast: bool,
    },
    /// `@depth[@100ms]`.
    DepthDiff {
        /// Every 100 ms instead of every second.
        fast: bool,
    },
    /// `@kline_<interval>`.
    Kline(Interval),
    /// `@miniTicker`.
    MiniTicker,
    /// `@ticker`.
    Ticker,
    /// `@avgPrice`.
    AvgPrice,
    /// `@referencePrice`.
    ReferencePrice,
    /// A stream in binary.
    Sbe(Sbe),
}

/// Streams of the host that speaks binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sbe {
    /// `@bestBidAsk`.
    Best,
    /// `@depth20`.
    View,
    /// `@depth`.
    Difference,
}

impl StreamName {
    /// From its name, the symbol in lower case; `None` for one nobody serves. `market` finds a symbol's
    /// place.
    pub(crate) fn parse(name: &str, market: impl Fn(&str) -> Option<MarketIndex>) -> Option<Self> {
        if name == "!miniTicker@arr" {
            return Some(Self::AllMiniTickers);
        }
        let (symbol, kind) = name.split_once('@')?;
        if symbol.chars().any(char::is_uppercase) {
            return None;
        }
        Some(Self::Of(market(symbol)?, Kind::parse(kind)?))
    }

    /// The same for names of the host that speaks binary.
    pub(crate) fn parse_sbe(name: &str, market: impl Fn(&str) -> Option<MarketIndex>) -> Option<Self> {
        let (symbol, kind) = name.split_once('@')?;
        let kind = match kind {
            "bestBidAsk" => Sbe::Best,
            "depth20" => Sbe::View,
            "depth" => Sbe::Difference,
            _ => return None,
        };
        let lower = !symbol.chars().any(char::is_uppercase);
        lower.then(|| Some(Self::Of(market(symbol)?, Kind::Sbe(kind))))?
    }
}

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "trade" => Self::Trade,
            "aggTrade" => Self::AggTrade,
            "bookTicker" => Self::BookTicker,
            "miniTicker" => Self::MiniTicker,
            "ticker" => Self::Ticker,
            "avgPrice" => Self::AvgPrice,
            "referencePrice" => Self::ReferencePrice,
            _ => return Self::parse_graded(word),
        })
    }

    fn parse_graded(word: &str) -> Option<Self> {
        if let Some(interval) = word.strip_prefix("kline_") {
            return Interval::from_word(interval).map(Self::Kline);
        }
        let (levels, fast) = match word.strip_prefix("depth")?.split_once('@') {
            None => (&word["depth".len()..], false),
            Some((levels, "100ms")) => (levels, true),
            Some((levels, "1000ms")) => (levels, false),
            Some(_) => return None,
        };
        match levels {
            "" => Some(Self::DepthDiff { fast }),
            "5" => Some(Self::Depth { levels: 5, fast }),
            "10" => Some(Self::Depth { levels: 10, fast }),
            "20" => Some(Self::Depth { levels: 20, fast }),
            _ => None,
        }
    }
}

/// A request on a stream connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Subscribes.
    Subscribe(Vec<String>),
    /// Unsubscribes.
    Unsubscribe(Vec<String>),
    /// Asks for all names.
    List,
    /// Sets `combined`.
    SetCombined(bool),
    /// Asks for `combined`.
    GetCombined,
}

/// A request of a stream connection and its id as sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What is wanted.
    pub(crate) control: Control,
    /// JSON of the id.
    pub(crate) id: String,
}

#[derive(serde::Deserialize)]
struct Frame<'a> {
    method: Option<Value>,
    #[serde(default)]
    params: Option<Value>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Reads a request; the error is the frame to answer with.
///
/// # Errors
/// The venue's error frame.
pub(crate) fn read_control(text: &str) -> Result<Asked, String> {
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|error| {
        let place = format!("at line {} column {}", error.line(), error.column());
        if error.is_data() {
            failure(2, &format!("Invalid request: {error}"), None)
        } else {
            failure(3, &format!("Invalid JSON: expected value {place}"), None)
        }
    })?;
    let id = match frame.id.map(RawValue::get) {
        None => "null".to_owned(),
        Some(raw) if id_is_legal(raw) => raw.to_owned(),
        Some(_) => {
            return Err(failure(2, "Invalid request: request ID must be an unsigned integer", None));
        }
    };
    let fail = |code: u8, words: &str| failure(code, words, Some(&id));
    let Some(method) = frame.method else {
        return Err(fail(
            2,
            &format!("Invalid request: missing field `method` at line 1 column {}", text.len()),
        ));
    };
    let params = match frame.params {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(fail(2, "Invalid request: params must be an array")),
    };
    let control = match method.as_str().unwrap_or_default() {
        "SUBSCRIBE" => Control::Subscribe(names(&params).ok_or_else(|| fail(2, STREAMS_NEEDED))?),
        "UNSUBSCRIBE" => Control::Unsubscribe(names(&params).ok_or_else(|| fail(2, STREAMS_NEEDED))?),
        "LIST_SUBSCRIPTIONS" if params.is_empty() => Control::List,
        "LIST_SUBSCRIPTIONS" => return Err(fail(2, "Invalid request: too many parameters")),
        "SET_PROPERTY" => match (property(&params, &fail)?, params.get(1)) {
            ((), Some(Value::Bool(combined))) => Control::SetCombined(*combined),
            _ => return Err(fail(1, "Invalid value type: expected Boolean")),
        },
        "GET_PROPERTY" => {
            property(&params, &fail)?;
            Control::GetCombined
        }
        other => {
            let words = format!(
                "Invalid request: unknown variant `{other}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, \
                 `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column {}",
                text.len()
            );
            return Err(fail(2, &words));
        }
    };
    Ok(Asked { control, id })
}

const STREAMS_NEEDED: &str = "Invalid request: params must be an array of stream names";

fn names(params: &[Value]) -> Option<Vec<String>> {
    let names: Option<Vec<String>> = params.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
    names.filter(|names| !names.is_empty())
}

fn property(params: &[Value], fail: &dyn Fn(u8, &str) -> String) -> Result<(), String> {
    match params.first() {
        Some(Value::String(name)) if name == "combined" => Ok(()),
        Some(Value::String(_)) => Err(fail(0, "Unknown property")),
        _ => Err(fail(2, "Invalid request: property name must be a string")),
    }
}

/// A signed 64-bit integer, a string of at most 36 characters, or null. (UUIDs with dashes are 36 long and
/// accepted.)
fn id_is_legal(raw: &str) -> bool {
    if raw == "null" || raw.parse::<i64>().is_ok() {
        return true;
    }
    let text: Option<String> = serde_json::from_str(raw).ok();
    text.is_some_and(|text| text.len() <= 36 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn failure(code: u8, words: &str, id: Option<&str>) -> String {
    let object = Object::new().int("code", code).text("msg", words);
    match id {
        Some(id) => object.raw("id", id).end(),
        None => object.end(),
    }
}

/// `{"result":…,"id":…}`.
pub(crate) fn answer(result: &str, id: &str) -> String {
    Object::new().raw("result", result).raw("id", id).end()
}

/// The list of names as the answer to LIST_SUBSCRIPTIONS.
pub(crate) fn name_list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    array(names.map(|name| quoted(name)))
}

/// Names of a path: `/ws/<a>/<b>` raw, `/stream?streams=<a>/<b>` combined. A number in their place is the
/// index of a connection that some clients append (ccxt: `/stream/ws/0`), not a stream.
pub(crate) fn names_of_path(path: &str, query: &str) -> (bool, Vec<String>) {
    let listed = |text: &str| -> Vec<String> {
        let named = |name: &&str| !name.is_empty() && !name.bytes().all(|b| b.is_ascii_digit());
        text.split('/').filter(named).map(str::to_owned).collect()
    };
    if let Some(rest) = path.strip_prefix("/stream/ws") {
        return (false, listed(rest));
    }
    if let Some(rest) = path.strip_prefix("/ws") {
        return (false, listed(rest));
    }
    let of_query = query.split('&').find_map(|pair| pair.strip_prefix("streams="));
    let decoded = of_query.and_then(binance_wire::sign::percent_decode).unwrap_or_default();
    (true, listed(&decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<StreamName> {
        StreamName::parse(name, |symbol| (symbol == "btcusdt").then_some(3))
    }

    #[test]
    fn names_are_read() {
        let of = |kind| Some(StreamName::Of(3, kind));
        assert_eq!(parse("btcusdt@depth20@100ms"), of(Kind::Depth { levels: 20, fast: true }));
        assert_eq!(parse("btcusdt@depth5"), of(Kind::Depth { levels: 5, fast: false }));
        assert_eq!(parse("btcusdt@depth@100ms"), of(Kind::DepthDiff { fast: true }));
        assert_eq!(parse("btcusdt@depth"), of(Kind::DepthDiff { fast: false }));
        assert_eq!(parse("btcusdt@kline_1M"), of(Kind::Kline(Interval::Mo1)));
        assert_eq!(parse("!miniTicker@arr"), Some(StreamName::AllMiniTickers));
        for unknown in
            ["BTCUSDT@trade", "ethusdt@trade", "btcusdt@depth7", "btcusdt@kline_2m", "btcusdt", "", "@trade"]
        {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn names_in_binary_are_a_list_of_their_own() {
        let parse = |name| StreamName::parse_sbe(name, |symbol| (symbol == "btcusdt").then_some(3));
        let of = |kind| Some(StreamName::Of(3, Kind::Sbe(kind)));
        assert_eq!(parse("btcusdt@bestBidAsk"), of(Sbe::Best));
        assert_eq!(parse("btcusdt@depth20"), of(Sbe::View));
        assert_eq!(parse("btcusdt@depth"), of(Sbe::Difference));
        for unknown in ["btcusdt@depth@100ms", "btcusdt@bookTicker", "BTCUSDT@depth", "ethusdt@depth"] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn requests_are_read_and_errors_are_the_documented_ones() {
        let asked = read_control(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#).unwrap();
        assert_eq!(
            (asked.control, asked.id.as_str()),
            (Control::Subscribe(vec!["btcusdt@trade".into()]), "1")
        );
        let asked =
            read_control(r#"{"method":"SET_PROPERTY","params":["combined",true],"id":"a1"}"#).unwrap();
        assert_eq!((asked.control, asked.id.as_str()), (Control::SetCombined(true), "\"a1\""));
        for (text, answer) in [
            (
                r#"{"method":"GET_PROPERTY","params":["x"],"id":7}"#,
                r#"{"code":0,"msg":"Unknown property","id":7}"#,
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined",1],"id":7}"#,
                r#"{"code":1,"msg":"Invalid value type: expected Boolean","id":7}"#,
            ),
            (
                r#"{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":7}"#,
                r#"{"code":2,"msg":"Invalid request: too many parameters","id":7}"#,
            ),
            (
                r#"{"method":"LIST_SUBSCRIPTIONS","id":1.5}"#,
                r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
            ),
            ("{\"method\":", r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 10"}"#),
        ] {
            assert_eq!(read_control(text).unwrap_err(), answer, "{text}");
        }
    }

    #[test]
    fn paths_of_all_clients_are_understood() {
        let names = |path: &str, query: &str| names_of_path(path, query);
        assert_eq!(names("/ws/btcusdt@trade", ""), (false, vec!["btcusdt@trade".into()]));
        assert_eq!(names("/ws", ""), (false, vec![]));
        assert_eq!(names("/ws/0", ""), (false, vec![]));
        assert_eq!(names("/stream/ws/0", ""), (false, vec![]));
        assert_eq!(
            names("/stream", "streams=a@trade/b@depth&timeUnit=MICROSECOND"),
            (true, vec!["a@trade".into(), "b@depth".into()])
        );
        assert_eq!(names("/stream", "streams=a%40trade"), (true, vec!["a@trade".into()]));
        assert_eq!(names("/stream/1", ""), (true, vec![]));
    }
}
