//! The catalogue of errors a client can be given. Codes are stable: one is never reused or changed.

use serde::{Deserialize, Serialize};

use crate::time::Span;

macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $advice:literal;)*) => {
        /// One row of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }
        impl ErrorCode {
            /// Every row.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Its number.
            pub const fn code(self) -> i64 { match self { $(Self::$variant => $code,)* } }
            /// Its name.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// What to do about it.
            pub const fn advice(self) -> &'static str { match self { $(Self::$variant => $advice,)* } }
            /// From its number.
            pub fn from_code(code: i64) -> Option<Self> { Self::ALL.iter().copied().find(|c| c.code() == code) }
        }
    };
}

catalogue! {
    /// A call that needs a login came before it.
    NotLoggedIn = -10001, "not_logged_in", "log in first: hello, then login";
    /// The session has an owner.
    DuplicateLogin = -10002, "duplicate_login", "stop the other strategy, choose another session_id, or log in with take_over";
    /// No such symbol.
    InvalidSymbol = -10003, "invalid_symbol", "check the spelling; `products` lists what the exchange trades";
    /// No such stream.
    InvalidStream = -10004, "invalid_stream", "use symbol@depth, @depth:100ms, @bbo, @trade, @kline:<interval>, @book or @mark, as far as the market has it";
    /// A watching session cannot trade.
    NonTrading = -10005, "non_trading", "make the session with trading=True";
    /// The proof does not match the token.
    BadProof = -10006, "bad_proof", "client and gateway read different tokens: check the token file";
    /// The protocol version is not spoken here.
    VersionMismatch = -10007, "version_mismatch", "install matching versions of gateway and SDK";
    /// The frame is not understood.
    BadRequest = -10008, "bad_request", "the message says which member is wrong; docs/protocol.md has the shape";
    /// No such method.
    UnknownMethod = -10009, "unknown_method", "docs/protocol.md lists the methods";
    /// Session number out of range.
    InvalidSession = -10010, "invalid_session", "session_id is a whole number from 0 to 65535";
    /// Another login took the session over.
    TakenOver = -10011, "taken_over", "another login with take_over owns the session now";
    /// Command number not above all earlier ones.
    StaleCommand = -10012, "stale_command", "number commands upwards from next_command of the login reply";
    /// Too many streams.
    TooManyStreams = -10013, "too_many_streams", "unsubscribe some; a session may hold 1024";
    /// A request of the operator, from a session.
    NotOperator = -10014, "not_operator", "it is the operator's: docs/protocol.md says how to log in as one";
    /// A request of a session, from the operator.
    NoSession = -10015, "no_session", "an operator's connection owns no session: log in on another one";
    /// The limits were changed since they were looked at.
    StaleLimits = -10016, "stale_limits", "look at the limits again, and change those";
    /// The exchange does not trade the symbol now.
    NotTrading = -20001, "not_trading", "wait until the exchange reopens the symbol";
    /// Type not supported.
    TypeNotSupported = -20002, "type_not_supported", "choose one of the order types the message lists";
    /// Fields that do not go together.
    BadShape = -20003, "bad_shape", "the message says which field is missing or too many";
    /// Price outside its range.
    PriceRange = -20004, "price_range", "choose a price within the range the message gives";
    /// Price off the grid.
    OffTick = -20005, "off_tick", "round to the tick the message gives";
    /// Quantity outside its range.
    QtyRange = -20006, "qty_range", "choose a quantity within the range the message gives";
    /// Quantity off the grid.
    OffLot = -20007, "off_lot", "round to the lot the message gives";
    /// Too small or large.
    Notional = -20008, "notional", "change price or quantity so that their product lies within the limits";
    /// No such open order of this session.
    UnknownOrder = -20009, "unknown_order", "it has ended, or belongs to another session";
    /// Symbol is still being reconciled.
    NotReady = -20010, "not_ready", "wait for the ready state: the gateway is comparing its books with the exchange";
    /// A row of pos.db cannot be understood.
    BadPosition = -20011, "bad_position", "mend the row of pos.db the message names and restart the gateway";
    /// Amending is not possible.
    AmendNotAllowed = -20012, "amend_not_allowed", "change only what the message says can be changed; else cancel and send anew";
    /// Another gateway uses this key and install name.
    ForeignGateway = -20013, "foreign_gateway", "stop the other gateway, or give each its own \"install\" in the configuration";
    /// Time in force not supported.
    TifNotSupported = -20014, "tif_not_supported", "choose one of the times in force the message lists";
    /// Working type not supported.
    WorkingTypeNotSupported = -20015, "working_type_not_supported", "choose one of the prices to watch the message lists";
    /// A good-till date too near, or no whole second.
    GoodTill = -20016, "good_till", "choose a whole second from the time on the message gives";
    /// Callback rate off its grid or range.
    CallbackRate = -20017, "callback_rate", "choose a callback rate, in per cent, within the range the message gives";
    /// It would do more than reduce what the session holds.
    ReduceOnly = -20018, "reduce_only", "send no more than the session holds less what its open orders may fill";
    /// The symbol is not among those the session may trade.
    LimitSymbols = -21001, "limit_symbols", "trade one of the symbols the message lists; limits are in the gateway's configuration";
    /// The order is larger than its limit.
    LimitOrderSize = -21002, "limit_order_size", "send no more than the limit the message gives";
    /// The price is too far from the book.
    LimitPriceBand = -21003, "limit_price_band", "choose a price within the band the message gives";
    /// A limit is judged by a book, and there is no fresh one.
    LimitBook = -21004, "limit_book", "try again once the book is there: watch its data for stale";
    /// Too many or too large open orders.
    LimitOpenOrders = -21005, "limit_open_orders", "cancel some, or wait until they are filled";
    /// The position could become too large.
    LimitPosition = -21006, "limit_position", "send less, or cancel open orders of that side; what only reduces the position is let through";
    /// The loss of the day is above its limit.
    LimitLoss = -21007, "limit_loss", "nothing but what reduces positions until the next UTC day";
    /// Too many orders within a second.
    LimitRate = -21008, "limit_rate", "send fewer; try again after retry_after_ms";
    /// The exchange has rejected too many orders within a minute.
    LimitRejects = -21009, "limit_rejects", "see why the exchange rejects them; try again after retry_after_ms";
    /// It would trade with another order of the account.
    SelfTrade = -21010, "self_trade", "choose another price, or cancel the order the message names";
    /// The kill switch is on.
    Killed = -22001, "killed", "nothing is sent until an operator clears the kill switch: the message says how";
    /// Trading is paused.
    Paused = -22002, "paused", "wait until an operator resumes trading; cancels, and orders that only reduce, pass";
    /// The session has missed its heartbeat.
    NoHeartbeat = -22003, "no_heartbeat", "nothing was sent: the loop has not run for longer than the session's heartbeat allows; return from the callback first";
    /// The exchange said no.
    Rejected = -30001, "rejected", "the message has the exchange's code and words";
    /// Not connected.
    Disconnected = -30002, "disconnected", "nothing was sent; wait for the ready state";
    /// An order ended while nobody listened, and how is no longer known.
    Undefined = -30003, "undefined", "the order is over; the exchange's own history says how it ended";
    /// Rate limit.
    RateLimited = -30004, "rate_limited", "try again at the time the message gives; nothing was sent, but of `cancel_all` what `order_ids` of its result names";
    /// Clock off.
    ClockOff = -30005, "clock_off", "nothing was sent; synchronise the machine's clock";
    /// The store cannot write.
    StoreFailed = -30006, "store_failed", "nothing was sent; free disk space or mend the disk the message names";
    /// Declared not placed after proof.
    NotPlaced = -30007, "not_placed", "the exchange never had the order; it is safe to send a new one";
    /// The exchange could not answer a question.
    QueryFailed = -30008, "query_failed", "ask again later; the message has the exchange's words";
    /// The gateway is stopping.
    Stopping = -30009, "stopping", "the gateway is shutting down; connect again after its restart";
}

/// The `error` member of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable number.
    pub code: i64,
    /// Stable name.
    pub name: String,
    /// What was found, and what to do.
    pub message: String,
    /// Milliseconds after which the same may pass, where time alone helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorBody {
    /// From a row of the catalogue and what was found.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: code.code(),
            name: code.name().to_owned(),
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// The same, which time alone will heal.
    #[must_use]
    pub fn after(self, wait: Span) -> Self {
        // Not a millisecond too early.
        let millis = u64::try_from(wait.millis() + 1).unwrap_or_default();
        Self { retry_after_ms: Some(millis), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::ErrorCode;

    fn page() -> String {
        let mut page = String::from(
            "# Errors\n\nWhat a gateway answers when it refuses. Codes are stable: one is never reused or changed. \
             This page is made from the code\n(`src/wire/error.rs`); a test compares them.\n\n\
             | code | name | what to do |\n|---|---|---|\n",
        );
        for row in ErrorCode::ALL {
            writeln!(page, "| {} | `{}` | {} |", row.code(), row.name(), row.advice()).unwrap();
        }
        page
    }

    #[test]
    fn the_page_of_errors_says_what_the_code_says() {
        assert_eq!(
            include_str!("../../docs/errors.md"),
            page(),
            "docs/errors.md; the right-hand side is what it should be"
        );
    }

    #[test]
    fn codes_and_names_are_used_once() {
        let codes: BTreeSet<_> = ErrorCode::ALL.iter().map(|c| c.code()).collect();
        let names: BTreeSet<_> = ErrorCode::ALL.iter().map(|c| c.name()).collect();
        assert_eq!((codes.len(), names.len()), (ErrorCode::ALL.len(), ErrorCode::ALL.len()));
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
    }
}
