//! Calls of a client: `{"id":7,"method":"order","params":{…}}`. Times are nanoseconds since the epoch.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{ErrorBody, ErrorCode};
use super::operator::{KillAll, OfSession, Operate, PauseTrading, SetLimits};
use crate::ids::{ClientOrderId, CommandNumber, Symbol};
use crate::market::{Instructions, OrderType, Side, Tif, WorkingType};
use crate::num::{Cash, Percent, Price, Qty};
use crate::time::Time;

/// The protocol version spoken here.
pub const VERSION: u32 = 1;

/// How deep objects and arrays of a frame may lie within each other. A login with pending orders has five.
pub const NESTING_MAX: usize = 16;

/// One call. `id` is absent only for `ack` and `beat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Number the reply repeats.
    pub id: Option<u64>,
    /// What is asked.
    pub call: Call,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident($params:ty) = $word:literal,)*) => {
        /// What is asked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Call { $($(#[$doc])* $variant($params),)* }
        impl Call {
            /// Its method word.
            pub const fn method(&self) -> &'static str { match self { $(Self::$variant(_) => $word,)* } }
            /// All method words.
            pub const METHODS: &'static [&'static str] = &[$($word,)*];
            fn parse(method: &str, params: &str) -> Result<Self, ErrorBody> {
                match method {
                    $($word => serde_json::from_str(params)
                        .map(Self::$variant)
                        .map_err(|e| bad_params(method, params, &e)),)*
                    _ => Err(ErrorBody::new(
                        ErrorCode::UnknownMethod,
                        format!("no method {method:?}; there are: {}", Self::METHODS.join(", ")),
                    )),
                }
            }
            fn params(&self) -> Result<Box<RawValue>, serde_json::Error> {
                match self { $(Self::$variant(params) => serde_json::value::to_raw_value(params),)* }
            }
        }
    };
}

calls! {
    /// First of all: versions, nonces, the gateway's proof.
    Hello(Hello) = "hello",
    /// The client's proof, and the session it wants.
    Login(Login) = "login",
    /// Wants streams.
    Subscribe(Streams) = "subscribe",
    /// Wants them no longer.
    Unsubscribe(Streams) = "unsubscribe",
    /// Facts of symbols.
    Products(Symbols) = "products",
    /// The session's positions.
    Positions(Symbols) = "positions",
    /// The session's open orders.
    Orders(Symbols) = "orders",
    /// The account's balances and the session's own rows.
    Balances(Nothing) = "balances",
    /// Past bars.
    History(History) = "history",
    /// A new order.
    Order(Order) = "order",
    /// Cancel one order.
    Cancel(CancelOrder) = "cancel",
    /// Cancel all open orders of the session, or those of one symbol.
    CancelAll(CancelAll) = "cancel_all",
    /// Change an order's quantity or price.
    Amend(AmendOrder) = "amend",
    /// All events up to here are handled. No reply.
    Ack(Ack) = "ack",
    /// The loop runs. No reply.
    Beat(Nothing) = "beat",
    /// The gateway's time.
    Time(Nothing) = "time",
    /// The operator's proof, in place of a login.
    Operate(Operate) = "operate",
    /// How everything stands.
    Status(Nothing) = "operator.status",
    /// All sessions.
    Sessions(Nothing) = "operator.sessions",
    /// Open orders of whatever owner.
    AllOrders(OfSession) = "operator.orders",
    /// Positions of whatever owner, and what adds up with them.
    AllPositions(OfSession) = "operator.positions",
    /// Limits, and what is used of them.
    Limits(Nothing) = "operator.limits",
    /// Other limits, from now on.
    SetLimits(SetLimits) = "operator.set_limits",
    /// Pulls the kill switch.
    Kill(KillAll) = "operator.kill",
    /// Clears it.
    Clear(Nothing) = "operator.clear",
    /// Pauses the trading of a session, or of all.
    Pause(PauseTrading) = "operator.pause",
    /// Ends such a pause.
    Resume(OfSession) = "operator.resume",
}

/// Params of `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Protocol version.
    pub version: u32,
    /// 16 to 64 random bytes, as hex.
    pub nonce: String,
    /// The session that will log in: with a token of its own, the gateway's proof is made with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<u16>,
    /// The operator will prove himself, with `operate`: the gateway's proof is made with his token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator: bool,
}

/// Params of `login`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Wanted session, 0 to 65535.
    pub session_id: i64,
    /// Name shown in logs and refusals.
    #[serde(default)]
    pub name: String,
    /// May it send orders?
    pub trading: bool,
    /// See [`super::proof::of_client`].
    #[serde(default)]
    pub proof: String,
    /// Last event handled; absent: resume after the last acknowledged one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Ack>,
    /// Epoch that its last login was told; absent: it is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Commands sent and not yet answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Pending>,
    /// Fence the present owner off instead of being refused.
    #[serde(default)]
    pub take_over: bool,
    /// The session counts as lost when it has not beaten for so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// What becomes of the session's open orders when it is lost; `keep` if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_lost: Option<OnLost>,
    /// How many milliseconds after the loss that is done; at once if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// What becomes of the open orders of a session that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// They stay.
    Keep,
    /// They are cancelled.
    Cancel,
}

/// A command without an answer, listed at login. It is answered from the journal or resolved; it is never sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Epoch of the login under which it was sent.
    pub epoch: u32,
    /// `order`, `cancel`, `cancel_all` or `amend`.
    pub method: String,
    /// Its params, as they were sent.
    pub params: serde_json::Value,
}

/// Params naming streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// `symbol@channel`.
    pub streams: Vec<String>,
}

/// Params naming symbols; none means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symbols {
    /// Symbols, any case.
    #[serde(default)]
    pub symbols: Vec<Symbol>,
}

/// No params.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Params of `history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Symbol.
    pub symbol: Symbol,
    /// `1s` … `1M`.
    pub interval: String,
    /// How many of the newest bars, 1 to 1000.
    pub count: u32,
}

/// Params of `order`. Prices and quantities are strings on the grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Command number.
    pub n: CommandNumber,
    /// Symbol.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Type.
    #[serde(rename = "type")]
    pub order_type: OrderType,
    /// Time in force; GTC where the type needs one and none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tif: Option<Tif>,
    /// Limit price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Qty>,
    /// Quote amount, instead of a quantity, of a market order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_amount: Option<Cash>,
    /// Stop price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_price: Option<Price>,
    /// Only as far as it reduces what the session holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reduce_only: bool,
    /// When an order with time in force `GTD` expires: a whole second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_till: Option<Time>,
    /// The price a conditional order watches; `LAST` if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_type: Option<WorkingType>,
    /// How far a trailing stop lets the price turn back, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_rate: Option<Percent>,
    /// Price from which on a trailing stop follows the market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_price: Option<Price>,
}

impl Order {
    /// What it carries beyond type, prices and quantity.
    pub const fn instructions(&self) -> Instructions {
        Instructions {
            reduce_only: self.reduce_only,
            good_till: self.good_till,
            working_type: self.working_type,
            callback_rate: self.callback_rate,
            activation_price: self.activation_price,
        }
    }
}

/// Params of `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    /// Command number.
    pub n: CommandNumber,
    /// The order's id.
    pub order_id: ClientOrderId,
}

/// Params of `cancel_all`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelAll {
    /// Command number.
    pub n: CommandNumber,
    /// Only of this symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
}

/// Params of `amend`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmendOrder {
    /// Command number.
    pub n: CommandNumber,
    /// The order's id.
    pub order_id: ClientOrderId,
    /// New total quantity; as it is if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Qty>,
    /// New limit price; as it is if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// A place in a session's event log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Generation.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// Number.
    #[serde(rename = "seq")]
    pub sequence: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow)]
    method: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: Box<RawValue>,
}

fn bad_params(method: &str, params: &str, error: &serde_json::Error) -> ErrorBody {
    let message = match member_at(params, error) {
        Some((name, value)) => format!("params of {method}: {name:?} is {value}: {error}"),
        None => format!("params of {method}: {error}"),
    };
    ErrorBody::new(ErrorCode::BadRequest, message)
}

/// The member in whose value reading came to an end, and that value's text, cut off where it is long.
fn member_at(params: &str, error: &serde_json::Error) -> Option<(String, String)> {
    const SHOWN: usize = 60;
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(params).ok()?;
    let line_start: usize =
        params.split_inclusive('\n').take(error.line().checked_sub(1)?).map(str::len).sum();
    let at = line_start + error.column();
    members.into_iter().find_map(|(name, value)| {
        let start = (value.get().as_ptr() as usize).checked_sub(params.as_ptr() as usize)?;
        let within = start < at && at <= start + value.get().len() + 1;
        within.then(|| (name, value.get().chars().take(SHOWN).collect()))
    })
}

/// The deepest nesting of objects and arrays. It counts brackets outside of strings, whether they fit or not.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads a frame.
///
/// # Errors
/// The request's id, if that much could be read, and what is wrong with it.
pub fn parse(text: &str) -> Result<Request, (Option<u64>, ErrorBody)> {
    let deepest = nesting(text);
    if deepest > NESTING_MAX {
        let message = format!("not a request: nested {deepest} deep, {NESTING_MAX} is the most");
        return Err((None, ErrorBody::new(ErrorCode::BadRequest, message)));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text)
        .map_err(|e| (None, ErrorBody::new(ErrorCode::BadRequest, format!("not a request: {e}"))))?;
    let params = envelope.params.map_or("{}", RawValue::get);
    let call = Call::parse(&envelope.method, params).map_err(|e| (envelope.id, e))?;
    if envelope.id.is_none() && !matches!(call, Call::Ack(_) | Call::Beat(_)) {
        let message = format!("{} needs an \"id\" for its reply", envelope.method);
        return Err((None, ErrorBody::new(ErrorCode::BadRequest, message)));
    }
    Ok(Request { id: envelope.id, call })
}

/// Writes a frame.
pub fn encode(request: &Request) -> String {
    let params = request.call.params().expect("requests are made of strings, numbers and plain structs");
    let out = EnvelopeOut { id: request.id, method: request.call.method(), params };
    serde_json::to_string(&out).expect("requests are made of strings, numbers and plain structs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_it_was_written() {
        let text = r#"{"id":7,"method":"order","params":{"n":17,"symbol":"dogeusdt","side":"BUY","type":"LIMIT","tif":"GTC","price":"0.2","qty":"10"}}"#;
        let request = parse(text).unwrap();
        assert_eq!(encode(&request), text);
        let Call::Order(order) = request.call else { panic!("not an order") };
        assert_eq!((order.n, order.price), (17, Some("0.2".parse().unwrap())));
    }

    #[test]
    fn r66_a_frame_is_nested_only_so_deep() {
        let pending = |inside: &str| {
            format!(
                r#"{{"id":1,"method":"login","params":{{"session_id":1,"trading":true,"pending":[{{"epoch":1,"method":"order","params":{inside}}}]}}}}"#
            )
        };
        // Outside of the pending order's params there are four.
        let within = NESTING_MAX - 4;
        let nested = |deep: usize| pending(&format!("{}{}", "[".repeat(deep), "]".repeat(deep)));
        assert!(parse(&nested(within)).is_ok());
        let (id, error) = parse(&nested(within + 1)).unwrap_err();
        assert_eq!((id, error.code), (None, ErrorCode::BadRequest.code()));
        assert!(error.message.contains("nested 17 deep, 16 is the most"), "{}", error.message);
        // Brackets in strings are none, however their quotes are written.
        let brackets = "[{".repeat(50);
        for quoted in
            [format!(r#""{brackets}""#), format!(r#""\"{brackets}""#), format!(r#"["\\","{brackets}"]"#)]
        {
            assert!(parse(&pending(&quoted)).is_ok(), "{quoted}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, id, code, word) in [
            ("{", None, -10008, "EOF"),
            (r#"{"id":3,"method":"nonsense"}"#, Some(3), -10009, "nonsense"),
            (r#"{"id":3,"method":"cancel","params":{"n":1}}"#, Some(3), -10008, "order_id"),
            (r#"{"id":3,"method":"time","params":{"x":1}}"#, Some(3), -10008, "unknown field `x`"),
            (r#"{"method":"time"}"#, None, -10008, "needs an"),
            (
                r#"{"id":1,"method":"order","params":{"n":1,"symbol":"a","side":"UP","type":"LIMIT"}}"#,
                Some(1),
                -10008,
                "\"side\" is \"UP\"",
            ),
            (
                r#"{"id":1,"method":"order","params":{"n":1,"symbol":"a","side":"BUY","type":"LIMIT","price":"NaN"}}"#,
                Some(1),
                -10008,
                "\"price\" is \"NaN\": not a plain decimal",
            ),
            (
                r#"{"id":1,"method":"order","params":{ "qty" : true, "n":1,"symbol":"a","side":"BUY","type":"LIMIT"}}"#,
                Some(1),
                -10008,
                "\"qty\" is true",
            ),
        ] {
            let (found_id, error) = parse(text).unwrap_err();
            assert_eq!((found_id, error.code), (id, code), "{text}");
            assert!(error.message.contains(word), "{text}: {}", error.message);
        }
    }
}
