//! What the operator asks and is answered. Whoever has his token sees all sessions and owns none of them.
//!
//! Amounts are texts, times nanoseconds since the epoch.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{GatewayState, Stopped};
use crate::ids::{Asset, ClientOrderId, SessionId, Symbol, VenueOrderId};
use crate::jsonc::Single;
use crate::market::{OrderStatus, OrderType, Side, Tif};
use crate::num::{Cash, Price, Qty};
use crate::time::Time;

/// Params of `operate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operate {
    /// Name shown in the log.
    #[serde(default)]
    pub name: String,
    /// See [`super::proof::of_operator`].
    pub proof: String,
}

/// Params that name a session, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfSession {
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Params of `operator.set_limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLimits {
    /// All limits, written as in the configuration; `null`: those of the configuration.
    pub limits: Single,
    /// Refuse, if the limits are not those of this revision any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// Params of `operator.kill`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillAll {
    /// Close what sessions hold, too.
    #[serde(default)]
    pub flatten: bool,
    /// Told to whom it stops.
    #[serde(default)]
    pub reason: String,
}

/// Params of `operator.pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseTrading {
    /// Of this session alone; all, if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Told to whom it stops.
    #[serde(default)]
    pub reason: String,
}

/// Reply to `operate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operating {
    /// Install part of order ids.
    pub install: String,
    /// Epoch of this run.
    pub epoch: u32,
    /// The gateway's time.
    pub time: Time,
}

/// How everything stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Product and version.
    pub gateway: String,
    /// Market word.
    pub market: String,
    /// Install part of order ids.
    pub install: String,
    /// Epoch of this run.
    pub epoch: u32,
    /// When this run began.
    pub started: Time,
    /// The gateway's time.
    pub time: Time,
    /// Are orders taken?
    pub state: GatewayState,
    /// Why not, where there is something to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is in the way of orders, as `/healthz` says it.
    pub problems: Vec<ProblemView>,
    /// How far comparing with the exchange has come: `down`, `waiting`, `first_pass`, `lag`,
    /// `second_pass`, `ready`.
    pub recovery: String,
    /// When the last look at the exchange began that was answered in whole.
    pub looked: Option<Time>,
    /// Symbols that take no orders although the state is `ready`, and those that are still being compared.
    pub not_ready: Vec<NotReady>,
    /// The link that carries orders and private events.
    pub entry: LinkView,
    /// The links that carry market data.
    pub feed: LinkView,
    /// The exchange's clock against ours.
    pub clock: Option<ClockView>,
    /// Sessions, connected and known.
    pub sessions: Counts,
    /// Orders that are not over.
    pub orders: OrderCounts,
    /// What the exchange still has to count in its windows, as far as it is known here.
    pub budget: Vec<BudgetView>,
    /// What has yet to reach the disk.
    pub journal: JournalView,
    /// An order that another gateway with this key has made: no new ones are taken.
    pub foreign_gateway: Option<String>,
    /// Assets whose books and balance differ now.
    pub differences: u64,
    /// Are the limits those of the configuration, or the operator's?
    pub limits: LimitSource,
    /// Kill switch, pauses, and sessions that are lost: as `operator.kill` and its like are answered.
    pub stop: Value,
}

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// Which kind: docs/monitoring.md lists them.
    pub kind: String,
    /// In words.
    pub reason: String,
}

/// Why a symbol takes no orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReady {
    /// Symbol.
    pub symbol: Symbol,
    /// In words.
    pub reason: String,
}

/// A link to the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Is it up?
    pub up: bool,
    /// Since when.
    pub since: Time,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The exchange's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockView {
    /// How far it is ahead of ours, in nanoseconds.
    pub offset_ns: i64,
    /// Round trip it was measured with, in nanoseconds.
    pub round_trip_ns: i64,
    /// When.
    pub measured: Time,
}

/// Sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// With an owner.
    pub connected: u64,
    /// All that have ever been here.
    pub known: u64,
}

/// Orders that are not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCounts {
    /// All of them.
    pub open: u64,
    /// Those of no session.
    pub external: u64,
    /// Those that may or may not be at the exchange.
    pub unknown: u64,
}

/// A window in which the exchange counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// What: `weight`, `orders` or `order_weight`.
    pub kind: String,
    /// Length, in milliseconds.
    pub window_ms: i64,
    /// Used in the present window.
    pub used: u64,
    /// Most.
    pub limit: u64,
}

/// The journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalView {
    /// Why it cannot be written, if it cannot.
    pub failed: Option<String>,
    /// Batches of records on their way to it.
    pub waiting: u64,
}

/// Where the limits in force come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// There are none.
    None,
    /// The configuration.
    Configuration,
    /// The operator has set them while the gateway ran.
    Operator,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Which.
    pub session_id: SessionId,
    /// Name of its present or last owner.
    pub name: String,
    /// Has it an owner?
    pub connected: bool,
    /// May that send orders?
    pub trading: bool,
    /// Since when it is connected.
    pub since: Option<Time>,
    /// Orders that are not over.
    pub open_orders: u64,
    /// Those in doubt among them.
    pub unknown_orders: u64,
    /// Symbols it holds something in.
    pub positions: u64,
    /// Number of its last event.
    pub last_event: u64,
    /// Events it has not acknowledged.
    pub unacknowledged: u64,
    /// Has it limits of its own?
    pub own_limits: bool,
    /// Why it may not open anything, whatever the state.
    pub stopped: Option<Stopped>,
}

/// An order that is not over, of whatever owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Whose; `null`: of no session.
    pub session_id: Option<SessionId>,
    /// Its id.
    pub order_id: ClientOrderId,
    /// Symbol.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Type; `null`: one this version does not know.
    #[serde(rename = "type")]
    pub order_type: Option<OrderType>,
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
    /// Filled quantity.
    pub filled: Qty,
    /// State.
    pub state: OrderStatus,
    /// A cancel is under way.
    pub canceling: bool,
    /// Why it is in that state, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The venue's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// Its number among the venue's conditional orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional_id: Option<u64>,
    /// When it was taken, or adopted.
    pub created: Time,
    /// When it got into that state.
    pub time: Time,
}

/// What everybody holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Positions of sessions, those that are flat left out.
    pub positions: Vec<Holding>,
    /// What adds up: each asset, and each contract.
    pub assets: Vec<AssetView>,
    /// Have the books been compared with an account yet?
    pub compared: bool,
}

/// A position of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Whose.
    pub session_id: SessionId,
    /// Symbol.
    pub symbol: Symbol,
    /// Signed quantity.
    pub net: Qty,
    /// Average entry price.
    pub avg_price: Price,
    /// Realised profit in the quote asset, fees not deducted.
    pub realised: Cash,
}

/// An asset, or a contract, by owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetView {
    /// Which.
    pub asset: Asset,
    /// What sessions hold of it, rows of nothing left out.
    pub sessions: Vec<SessionAsset>,
    /// What is no session's.
    pub external: Cash,
    /// Counter-entries of edits, and differences nobody has explained.
    pub unattributed: Cash,
    /// What open contracts cost, as the exchange counts it.
    pub clearing: Cash,
    /// The sum of all that.
    pub books: Cash,
    /// What the exchange says; `null`: not asked yet.
    pub exchange: Option<Cash>,
    /// That less the books.
    pub difference: Option<Cash>,
}

/// What a session holds of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAsset {
    /// Whose.
    pub session_id: SessionId,
    /// How much.
    pub amount: Cash,
}

/// Limits, and what is used of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsView {
    /// How often they were set, over the journal's life.
    pub revision: u64,
    /// Where they come from.
    pub source: LimitSource,
    /// When they were set.
    pub set: Option<Time>,
    /// As they are written in a configuration.
    pub limits: Value,
    /// Each value in force, and what is used of it.
    pub in_force: Vec<LimitView>,
    /// Names in them that the exchange does not have.
    pub misnamed: Vec<String>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// Whose; `null`: of the account.
    pub session_id: Option<SessionId>,
    /// Key of the configuration.
    pub limit: String,
    /// Of which symbol or quote asset, where it is of one; `*` for all others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// The value.
    pub value: String,
    /// What is used; `null` where an order alone is held to it, or it cannot be said.
    pub used: Option<String>,
}
