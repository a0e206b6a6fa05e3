//! Words of trading and market data: sides, order types, streams, depth, bars.

use crate::ids::Symbol;
use crate::num::{Cash, Percent, Price, Qty, Rate};
use crate::time::Time;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Its word on every wire.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
            /// From its word.
            pub fn from_word(text: &str) -> Option<Self> { match text { $($text => Some(Self::$variant),)* _ => None } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

pub(crate) use words;

words! {
    /// Which side of the book.
    Side {
        /// Buy.
        Buy = "BUY",
        /// Sell.
        Sell = "SELL",
    }
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
    /// `qty` with the sign it gives a position.
    pub fn signed(self, qty: Qty) -> Qty {
        match self {
            Self::Buy => qty,
            Self::Sell => -qty,
        }
    }
}

words! {
    /// What an order of a margin wallet does besides, where a venue lends for orders.
    SideEffect {
        /// Nothing.
        None = "NO_SIDE_EFFECT",
        /// Borrows what it lacks.
        MarginBuy = "MARGIN_BUY",
        /// Repays with what it receives.
        AutoRepay = "AUTO_REPAY",
        /// Both.
        AutoBorrowRepay = "AUTO_BORROW_REPAY",
    }
}

impl SideEffect {
    /// May such an order borrow?
    pub const fn borrows(self) -> bool {
        matches!(self, Self::MarginBuy | Self::AutoBorrowRepay)
    }
    /// May it repay?
    pub const fn repays(self) -> bool {
        matches!(self, Self::AutoRepay | Self::AutoBorrowRepay)
    }
}

words! {
    /// Order types of the vocabulary; which of them a venue has is the venue's matter.
    OrderType {
        /// Limit.
        Limit = "LIMIT",
        /// Limit that is refused if it would take.
        LimitMaker = "LIMIT_MAKER",
        /// Market, by quantity or by quote amount.
        Market = "MARKET",
        /// Market order when the price turns against the position.
        StopLoss = "STOP_LOSS",
        /// Limit order when the price turns against the position.
        StopLossLimit = "STOP_LOSS_LIMIT",
        /// Market order when the price reaches the target.
        TakeProfit = "TAKE_PROFIT",
        /// Limit order when the price reaches the target.
        TakeProfitLimit = "TAKE_PROFIT_LIMIT",
        /// Market order when the price turns back by a rate from the best it has reached.
        TrailingStop = "TRAILING_STOP_MARKET",
    }
}

impl OrderType {
    /// Does it carry a limit price?
    pub const fn has_price(self) -> bool {
        matches!(self, Self::Limit | Self::LimitMaker | Self::StopLossLimit | Self::TakeProfitLimit)
    }
    /// Does it wait for a stop price?
    pub const fn has_stop(self) -> bool {
        matches!(self, Self::StopLoss | Self::StopLossLimit | Self::TakeProfit | Self::TakeProfitLimit)
    }
    /// Does it wait for the market before it does anything?
    pub const fn is_conditional(self) -> bool {
        self.has_stop() || matches!(self, Self::TrailingStop)
    }
    /// Does the venue want a time in force with it?
    pub const fn has_tif(self) -> bool {
        matches!(self, Self::Limit | Self::StopLossLimit | Self::TakeProfitLimit)
    }
}

words! {
    /// Time in force.
    Tif {
        /// Good till cancelled.
        Gtc = "GTC",
        /// Immediate or cancel: what does not fill at once expires.
        Ioc = "IOC",
        /// Fill or kill: fills whole at once or expires.
        Fok = "FOK",
        /// Good till a date: what has not filled by then expires.
        Gtd = "GTD",
    }
}

words! {
    /// The price a conditional order watches.
    WorkingType {
        /// The last trade's.
        Last = "LAST",
        /// The mark price, which one trade cannot move.
        Mark = "MARK",
    }
}

/// What an order may carry beyond its type, its prices and its quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Instructions {
    /// Only as far as it reduces what its session holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reduce_only: bool,
    /// When a `GTD` order expires: a whole second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_till: Option<Time>,
    /// The price a conditional order watches; the last trade's if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_type: Option<WorkingType>,
    /// How far a trailing stop lets the price turn back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_rate: Option<Percent>,
    /// Price from which on a trailing stop follows the market; at once if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_price: Option<Price>,
}

words! {
    /// Self-trade prevention mode.
    Stp {
        /// Own orders may trade with each other.
        None = "NONE",
        /// The resting order expires.
        ExpireMaker = "EXPIRE_MAKER",
        /// The incoming order expires.
        ExpireTaker = "EXPIRE_TAKER",
        /// Both expire.
        ExpireBoth = "EXPIRE_BOTH",
        /// Both shrink by the overlap.
        Decrement = "DECREMENT",
    }
}

words! {
    /// An order's state, as strategies and the journal name it.
    OrderStatus {
        /// Sent, nothing heard yet.
        Pending = "PENDING",
        /// It may or may not be at the exchange; being found out.
        Unknown = "UNKNOWN",
        /// Working without a fill.
        New = "NEW",
        /// Working with fills.
        PartiallyFilled = "PARTIALLY_FILLED",
        /// Filled whole.
        Filled = "FILLED",
        /// Cancelled.
        Canceled = "CANCELED",
        /// Refused: no order exists.
        Rejected = "REJECTED",
        /// Ended by the exchange's rules.
        Expired = "EXPIRED",
        /// Ended by self-trade prevention.
        ExpiredInMatch = "EXPIRED_IN_MATCH",
    }
}

impl OrderStatus {
    /// Can nothing more happen to it?
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Unknown | Self::New | Self::PartiallyFilled)
    }
}

words! {
    /// Length of a bar.
    Interval {
        /// 1 second (spot only).
        S1 = "1s",
        /// 1 minute.
        M1 = "1m",
        /// 3 minutes.
        M3 = "3m",
        /// 5 minutes.
        M5 = "5m",
        /// 15 minutes.
        M15 = "15m",
        /// 30 minutes.
        M30 = "30m",
        /// 1 hour.
        H1 = "1h",
        /// 2 hours.
        H2 = "2h",
        /// 4 hours.
        H4 = "4h",
        /// 6 hours.
        H6 = "6h",
        /// 8 hours.
        H8 = "8h",
        /// 12 hours.
        H12 = "12h",
        /// 1 day (UTC).
        D1 = "1d",
        /// 3 days.
        D3 = "3d",
        /// 1 week, from Monday 00:00 UTC.
        W1 = "1w",
        /// 1 calendar month, UTC.
        Mo1 = "1M",
    }
}

/// One kind of market data of one symbol, as strategies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `depth`: the best 20 levels, about once a second.
    Depth,
    /// `depth:100ms`: the best 20 levels, every 100 ms.
    DepthFast,
    /// `bbo`: best bid and offer, real time.
    Bbo,
    /// `trade`: every public trade.
    Trade,
    /// `kline:<interval>`: bars.
    Kline(Interval),
    /// `book`: the whole known book, as a snapshot and its changes.
    Book,
    /// `mark`: mark price, index price and funding rate of a perpetual.
    Mark,
}

/// A stream a strategy can subscribe to: `btcusdt@kline:1m` on the local wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// Of which symbol.
    pub symbol: Symbol,
    /// Which data.
    pub channel: Channel,
}

impl Channel {
    /// From its word (`depth`, `depth:100ms`, `bbo`, `trade`, `kline:1m`, `book`, `mark`).
    pub fn from_word(text: &str) -> Option<Self> {
        match text {
            "depth" => Some(Self::Depth),
            "depth:100ms" => Some(Self::DepthFast),
            "bbo" => Some(Self::Bbo),
            "trade" => Some(Self::Trade),
            "book" => Some(Self::Book),
            "mark" => Some(Self::Mark),
            _ => Interval::from_word(text.strip_prefix("kline:")?).map(Self::Kline),
        }
    }

    /// The words of those channels, for a message: `depth, bbo, kline:1m, kline:3m`.
    pub fn words(wanted: impl Fn(Self) -> bool) -> String {
        let plain = [Self::Depth, Self::DepthFast, Self::Bbo, Self::Trade, Self::Book, Self::Mark];
        let bars = Interval::ALL.iter().copied().map(Self::Kline);
        let words: Vec<String> =
            plain.into_iter().chain(bars).filter(|c| wanted(*c)).map(|c| c.to_string()).collect();
        words.join(", ")
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Depth => f.write_str("depth"),
            Self::DepthFast => f.write_str("depth:100ms"),
            Self::Bbo => f.write_str("bbo"),
            Self::Trade => f.write_str("trade"),
            Self::Kline(interval) => write!(f, "kline:{interval}"),
            Self::Book => f.write_str("book"),
            Self::Mark => f.write_str("mark"),
        }
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.symbol, self.channel)
    }
}

/// One price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its price.
    pub price: Price,
    /// What rests there.
    pub qty: Qty,
}

/// A view of the book, best levels first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The venue's update number of this view.
    pub update_id: u64,
    /// When: the venue's event time where it sends one, else the time of receipt (Binance spot sends none).
    pub time: Time,
    /// Bids, falling.
    pub bids: Vec<Level>,
    /// Asks, rising.
    pub asks: Vec<Level>,
}

/// A public trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicTrade {
    /// Its number.
    pub id: u64,
    /// When it happened at the venue.
    pub time: Time,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Was the buyer the resting side (so the seller the aggressor)?
    pub buyer_is_maker: bool,
}

/// What a perpetual is valued at, and what holding it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The venue's event time.
    pub time: Time,
    /// Mark price: what positions are valued and liquidated at.
    pub mark: Price,
    /// Price of the index it follows.
    pub index: Price,
    /// Rate of the next funding as it stands; positive: the long side pays. `None` where there is no funding.
    pub funding_rate: Option<Rate>,
    /// When that funding is due.
    pub next_funding: Option<Time>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its length.
    pub interval: Interval,
    /// First instant.
    pub start: Time,
    /// Last instant (start of the next less one millisecond).
    pub end: Time,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Base quantity.
    pub volume: Qty,
    /// Quote amount.
    pub amount: Cash,
    /// Number of trades.
    pub trades: u64,
    /// Base quantity bought by takers.
    pub buy_volume: Qty,
    /// Quote amount bought by takers.
    pub buy_amount: Cash,
    /// Has it ended?
    pub closed: bool,
}
