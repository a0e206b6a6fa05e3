//! What a gateway sends: replies, private events, states, market data. The same types read and write.

use serde::{Deserialize, Serialize};

use super::request::Ack;
use crate::ids::{Asset, ClientOrderId, CommandNumber, SessionId, Symbol, TradeId, VenueOrderId};
use crate::market::{Instructions, OrderStatus, OrderType, Side, Tif, WorkingType};
use crate::num::{Cash, Percent, Price, Qty, Rate};
use crate::time::Time;

/// Reply to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Protocol version.
    pub version: u32,
    /// Market word.
    pub market: String,
    /// Product and version of the gateway.
    pub gateway: String,
    /// The gateway's nonce, hex.
    pub nonce: String,
    /// See [`super::proof::of_gateway`].
    pub proof: String,
    /// The numbering of events in force, as in [`LoggedIn::last`]: who knew orders under another one lists them at its
    /// login.
    #[serde(rename = "gen", default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// Reply to `login`. Replayed events or a snapshot follow, then live events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// As asked.
    pub session_id: SessionId,
    /// As asked.
    pub name: String,
    /// As asked.
    pub trading: bool,
    /// Install part of order ids.
    pub install: String,
    /// Epoch of this run of the gateway; part of order ids.
    pub epoch: u32,
    /// What all order ids of this session in this epoch begin with.
    pub prefix: String,
    /// Number for the next command.
    pub next_command: CommandNumber,
    /// The event numbering in force, and the last event there is.
    pub last: Ack,
    /// `events`: those after the cursor follow; `snapshot`: a snapshot follows.
    pub resume: Resume,
    /// Answers to the pending commands, in the order they were listed; `null`: being resolved, an event will tell.
    pub answers: Vec<serde_json::Value>,
    /// Connection state.
    pub state: StateEvent,
    /// The gateway's time.
    pub time: Time,
}

/// How a login goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// All events after the cursor.
    Events,
    /// A snapshot.
    Snapshot,
}

/// A private, numbered event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Generation.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// Number, dense from 1 within the generation.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// The gateway's time when it was made.
    pub time: Time,
    /// What happened.
    #[serde(flatten)]
    pub event: Private,
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Private {
    /// An order changed; with the fill, if there was one, and the resulting position.
    Order {
        /// All there is to know of the order now.
        order: OrderView,
        /// The fill that caused it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<FillView>,
        /// The position in that symbol now.
        position: PositionView,
    },
    /// A position changed without an order of the session: an edit of `pos.db`, or the exchange ended it.
    Position {
        /// The position now.
        position: PositionView,
        /// Why: `edit of pos.db`, `liquidation`, `adl`, `settlement`, `the exchange's records`.
        reason: String,
        /// The session's part of the fill that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<FillView>,
    },
    /// A cancel or amend did not do what it should.
    CancelReject {
        /// Of which order.
        order_id: ClientOrderId,
        /// Code of the catalogue.
        code: i64,
        /// Name of the catalogue.
        name: String,
        /// What was found.
        message: String,
    },
    /// Something a human should read.
    Notice {
        /// Short name (`resurrected`, `difference`, …).
        code: String,
        /// In words.
        message: String,
        /// About which symbol.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        symbol: Option<Symbol>,
        /// About which order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<ClientOrderId>,
    },
}

/// All there is to know of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Its id.
    pub order_id: ClientOrderId,
    /// The command that made it.
    pub n: CommandNumber,
    /// Symbol.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Type.
    #[serde(rename = "type")]
    pub order_type: OrderType,
    /// Time in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tif: Option<Tif>,
    /// Limit price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Stop price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_price: Option<Price>,
    /// Quantity.
    pub qty: Qty,
    /// Quote amount, of an order given as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_amount: Option<Cash>,
    /// What else it carries.
    #[serde(flatten)]
    pub instructions: Instructions,
    /// State.
    pub state: OrderStatus,
    /// A cancel is under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceling: bool,
    /// Filled quantity: the sum of the fills told so far.
    pub filled: Qty,
    /// Filled quote amount.
    pub filled_quote: Cash,
    /// The venue's number, once known; of a conditional order that of the order it has triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// The venue's number among its conditional orders, where those have numbers of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional_id: Option<u64>,
    /// Code of the catalogue, for `REJECTED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// Why it is in that state, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Milliseconds after which the same order may pass, of one refused for what time alone heals. Only a client knows:
    /// it is in the reply to its command.
    #[serde(skip)]
    pub retry_after_ms: Option<u64>,
    /// When it got there.
    pub time: Time,
}

/// A fill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillView {
    /// The venue's trade number.
    pub trade_id: TradeId,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Quote amount.
    pub quote: Cash,
    /// Fee.
    pub fee: Cash,
    /// Its asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_asset: Option<Asset>,
    /// Did it rest?
    pub maker: bool,
    /// Venue time.
    pub time: Time,
}

/// A position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// Symbol.
    pub symbol: Symbol,
    /// Signed quantity.
    pub net: Qty,
    /// Average entry price; zero when flat.
    pub avg_price: Price,
    /// Realised profit in the quote asset, fees not deducted.
    pub realised: Cash,
}

/// All a session needs to go on from here: sent instead of events that are no longer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Always `snapshot`.
    pub event: String,
    /// The event it replaces everything up to: those that are kept follow, also if it holds what they did.
    #[serde(flatten)]
    pub last: Ack,
    /// The session had events it never acknowledged, under a numbering that is over. They will not come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// The gateway's time.
    pub time: Time,
    /// Open orders.
    pub orders: Vec<OrderView>,
    /// Positions.
    pub positions: Vec<PositionView>,
}

/// How the gateway stands with the exchange. Not numbered; sent at every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEvent {
    /// Always `state`.
    pub event: String,
    /// State.
    pub state: GatewayState,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Symbols that cannot trade although the state is `ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<Symbol>,
    /// Why the session may not open anything now whatever the state: `killed` or `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// Why a session may not open anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The kill switch is on.
    Killed,
    /// Its trading, or that of all sessions, is paused.
    Paused,
}

impl Stopped {
    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Paused => "paused",
        }
    }
}

/// See [`StateEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// No connection to the exchange: orders and cancels are refused.
    Down,
    /// Connected; comparing the books. Cancels are taken.
    Recovering,
    /// Orders are taken.
    Ready,
}

fn spot_word() -> String {
    "SPOT".to_owned()
}

fn one() -> Qty {
    Qty::whole(1)
}

/// One symbol's facts, in the reply to `products` and `subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Symbol.
    pub symbol: Symbol,
    /// `SPOT` or `PERPETUAL`.
    #[serde(default = "spot_word")]
    pub kind: String,
    /// Base asset; of a contract, what it is on.
    pub base: Asset,
    /// Quote asset.
    pub quote: Asset,
    /// What a position of it is kept in: the base asset, or the contract itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<Asset>,
    /// Units of the base asset in one unit of quantity.
    #[serde(default = "one")]
    pub contract_size: Qty,
    /// `TRADING`, `CANCEL_ONLY` or `HALTED`.
    pub status: String,
    /// Price step.
    pub tick_size: Price,
    /// Quantity step.
    pub lot: Qty,
    /// Least price.
    pub min_price: Price,
    /// Most; zero: unlimited.
    pub max_price: Price,
    /// Least quantity.
    pub min_qty: Qty,
    /// Most.
    pub max_qty: Qty,
    /// Least price × quantity.
    pub min_notional: Cash,
    /// Most; zero: unlimited.
    pub max_notional: Cash,
    /// Order types taken.
    pub order_types: Vec<String>,
    /// Times in force taken.
    pub tifs: Vec<Tif>,
    /// Prices conditional orders can watch.
    #[serde(default)]
    pub working_types: Vec<WorkingType>,
    /// Callback rates of trailing stops, in per cent: least and most; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_rates: Option<(Percent, Percent)>,
    /// May an order's quantity be reduced in place?
    pub amend_allowed: bool,
    /// May its price be changed and its quantity raised, too?
    #[serde(default)]
    pub amend_price: bool,
}

/// Facts that changed, of symbols a client has streams of. Not numbered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductsEvent {
    /// Always `products`.
    pub event: String,
    /// The gateway's time.
    pub time: Time,
    /// The facts as they are now.
    pub products: Vec<Product>,
}

/// One asset, in the reply to `balances`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceView {
    /// Asset.
    pub asset: Asset,
    /// Free on the account.
    pub free: Cash,
    /// Held by open orders of the account.
    pub locked: Cash,
    /// What of it the session's own trading made: bought less sold less fees.
    pub session: Cash,
}

/// `data` of a `depth` or `bbo` stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthData {
    /// Event time, or time of receipt where the venue sends none (Binance spot).
    pub time: Time,
    /// The venue's update number.
    pub update_id: u64,
    /// `[price, quantity]`, falling.
    pub bids: Vec<(Price, Qty)>,
    /// `[price, quantity]`, rising.
    pub asks: Vec<(Price, Qty)>,
}

/// `data` of a `book` stream: the whole known book, or a change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookData {
    /// Event time, or time of receipt where the venue sends none.
    pub time: Time,
    /// The venue's update number of the book this makes.
    pub update_id: u64,
    /// Update number of the book this changes; absent: it is the whole book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_id: Option<u64>,
    /// `[price, quantity]`, absolute; in a change `"0"` removes the level.
    pub bids: Vec<(Price, Qty)>,
    /// As `bids`.
    pub asks: Vec<(Price, Qty)>,
}

/// `data` of a `mark` stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkData {
    /// Event time.
    pub time: Time,
    /// Mark price.
    pub mark: Price,
    /// Index price.
    pub index: Price,
    /// Rate of the next funding as it stands; positive: the long side pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_rate: Option<Rate>,
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_funding: Option<Time>,
}

/// `data` of a `trade` stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeData {
    /// Trade number.
    pub id: u64,
    /// Venue time.
    pub time: Time,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Was the buyer the resting side?
    pub buyer_is_maker: bool,
}

/// `data` of a `kline` stream, and a row of `history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarData {
    /// `1m`.
    pub interval: crate::market::Interval,
    /// First instant.
    pub start: Time,
    /// Last instant.
    pub end: Time,
    /// First price.
    pub open: Price,
    /// Highest.
    pub high: Price,
    /// Lowest.
    pub low: Price,
    /// Last.
    pub close: Price,
    /// Base quantity.
    pub volume: Qty,
    /// Quote amount.
    pub amount: Cash,
    /// Trades.
    pub trades: u64,
    /// Base quantity bought by takers.
    pub buy_volume: Qty,
    /// Quote amount bought by takers.
    pub buy_amount: Cash,
    /// Has it ended?
    pub closed: bool,
}
