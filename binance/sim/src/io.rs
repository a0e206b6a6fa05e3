//! What goes into the machine and what comes out of it.

use std::fmt;

use bytes::Bytes;

/// A websocket connection, numbered by the shell, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn {}", self.0)
    }
}

/// An HTTP request waiting for its reply, numbered by the shell, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub u64);

/// An HTTP request as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query as sent (percent-encoded), without the `?`.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as sent.
    pub body: String,
    /// Address of the peer, without its port: rate limits count by it.
    pub peer: String,
}

impl HttpRequest {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// One thing that happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimInput {
    /// A websocket handshake arrived. [`SimOutput::Refuse`] turns it away; otherwise it is open.
    Opened {
        /// Number of the connection.
        conn: Conn,
        /// Its request (path, query, headers, peer).
        request: HttpRequest,
    },
    /// A text frame.
    Text(Conn, String),
    /// A ping frame (the shell answers it).
    Ping(Conn),
    /// A pong frame with its payload.
    Pong(Conn, Bytes),
    /// The connection is gone, whoever closed it.
    Closed(Conn),
    /// An HTTP request.
    Http(Request, HttpRequest),
}

/// A file the machine writes lines to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Journal {
    /// `trades.jsonl`: every trade of every account, one line per order that took part.
    Trades,
    /// `orders.jsonl`: every change of an order of an account.
    Orders,
    /// `transfers.jsonl`: every change of a balance by another way than trading.
    Transfers,
    /// `faults.jsonl`: every fault that struck.
    Faults,
    /// `futures_trades.jsonl`: every fill of a perpetual, one line per order that took part.
    FuturesTrades,
    /// `futures_orders.jsonl`: every change of an order for a perpetual.
    FuturesOrders,
    /// `futures_income.jsonl`: every booking in a futures wallet.
    FuturesIncome,
    /// `futures_settings.jsonl`: every change of leverage, position mode and multi-assets mode.
    FuturesSettings,
    /// `futures_algos.jsonl`: every change of a conditional order.
    FuturesAlgos,
    /// `liabilities.jsonl`: every change of what a margin wallet owes.
    Liabilities,
    /// `funding.jsonl`: every funding of a perpetual, with its rate and mark price.
    Funding,
}

impl Journal {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Trades,
        Self::Orders,
        Self::Transfers,
        Self::Faults,
        Self::FuturesTrades,
        Self::FuturesOrders,
        Self::FuturesIncome,
        Self::FuturesSettings,
        Self::FuturesAlgos,
        Self::Liabilities,
        Self::Funding,
    ];

    /// Its file's name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Trades => "trades.jsonl",
            Self::Orders => "orders.jsonl",
            Self::Transfers => "transfers.jsonl",
            Self::Faults => "faults.jsonl",
            Self::FuturesTrades => "futures_trades.jsonl",
            Self::FuturesOrders => "futures_orders.jsonl",
            Self::FuturesIncome => "futures_income.jsonl",
            Self::FuturesSettings => "futures_settings.jsonl",
            Self::FuturesAlgos => "futures_algos.jsonl",
            Self::Liabilities => "liabilities.jsonl",
            Self::Funding => "funding.jsonl",
        }
    }
}

/// One thing for the shell to do. They are to be done in order: a line of a journal comes before the frames
/// that tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimOutput {
    /// Turns a handshake away with this HTTP status.
    Refuse(Conn, u16),
    /// Sends a text frame (valid UTF-8).
    Send(Conn, Bytes),
    /// Sends a binary frame.
    SendData(Conn, Bytes),
    /// Sends a text frame in another way than clients are used to.
    SendOdd(Conn, Bytes, Oddity),
    /// Sends a ping with this payload.
    Ping(Conn, Bytes),
    /// Sends a close frame, then closes.
    Close(Conn, u16, &'static str),
    /// Cuts the connection without a close frame.
    Abort(Conn),
    /// Neither reads nor writes it any more, and keeps it open.
    Freeze(Conn),
    /// Answers an HTTP request.
    Reply(Request, HttpReply),
    /// Cuts the connection of an HTTP request without an answer.
    Drop(Request),
    /// Appends a line (without its end) to a journal.
    Append(Journal, String),
}

/// How a frame is sent that is not sent as a text frame in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// As a binary frame.
    Binary,
    /// In two pieces, as the websocket protocol allows.
    Fragments,
    /// With a byte that is no UTF-8 at its end, which the websocket protocol forbids.
    BadUtf8,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// Status.
    pub status: u16,
    /// Headers besides content type and length.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub body: String,
}
