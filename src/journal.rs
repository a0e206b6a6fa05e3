//! The journal: what happened, as rows that are only ever appended.
//!
//! The gateway's state is the fold of these records. The store writes them in order, in batches, each batch in one
//! transaction; what a record causes for others to see is released only after its batch has been committed.

use serde::{Deserialize, Serialize};

use crate::ids::{Asset, ClientOrderId, CommandNumber, SessionId, Symbol, TradeId, VenueOrderId};
use crate::market::{Instructions, OrderType, Side, Tif};
use crate::num::{Cash, Price, Qty, Rate};
use crate::time::Time;

/// One fact. Serialised as `{"kind":"fill", …}`; a field is never renamed or removed, only added with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A gateway started.
    Start(Start),
    /// Event numbering began anew: `(generation, 1)` is the first event of every session.
    Generation {
        /// Its number.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// A symbol was first used; its assets.
    Listing {
        /// Symbol.
        symbol: Symbol,
        /// Base asset.
        base: Asset,
        /// Quote asset.
        quote: Asset,
        /// What a position of it is kept in, where that is not the base asset: of a perpetual the contract itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holding: Option<Asset>,
        /// Quantities were multiples of this then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lot: Option<Qty>,
        /// Its past has yet to be read from the exchange, see [`Record::Scanned`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unread: bool,
    },
    /// The symbol's past was read from the exchange: what sessions did in it before this journal is in the books.
    Scanned {
        /// Symbol.
        symbol: Symbol,
    },
    /// An order is about to be sent, or was adopted from the exchange.
    Order(OrderRecord),
    /// An order's state changed.
    OrderState(OrderStateRecord),
    /// A fill.
    Fill(FillRecord),
    /// Money of nobody's session: opening balance, deposits, withdrawals, corrections.
    Cash(CashRecord),
    /// An accepted edit of `pos.db`.
    Adjust(AdjustRecord),
    /// Funding as it was published and paid; a later record of the same key replaces it.
    Funding(FundingRecord),
    /// An owner's share of a payment or charge, or a correction of it.
    Charge(ChargeRecord),
    /// What the account owes, against what the books say its owners owe.
    Debt(DebtRecord),
    /// A session's part of a fill by which the venue itself ended a position.
    Allocation(AllocationRecord),
    /// A private event of a session, as it will be sent.
    Event {
        /// Owner.
        session: SessionId,
        /// Generation.
        generation: u64,
        /// Number, dense from 1.
        sequence: u64,
        /// The frame's JSON text, without the `replayed` mark.
        frame: String,
    },
    /// The answer given to a command.
    Answer {
        /// Owner.
        session: SessionId,
        /// Epoch of the command.
        epoch: u32,
        /// Its number.
        command: CommandNumber,
        /// `result` or `error` member of the reply, as JSON text `{"result":…}` or `{"error":…}`.
        reply: String,
        /// When it was given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Time>,
    },
    /// The operator has set other limits, or gone back to those of the configuration.
    Limits(LimitsRecord),
    /// The session has handled all events up to here.
    Ack {
        /// Owner.
        session: SessionId,
        /// Generation.
        generation: u64,
        /// Number.
        sequence: u64,
        /// When it was heard.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Time>,
    },
    /// The user has looked: the books of that symbol are right, though nobody watched for longer than the exchange
    /// shows trades.
    Trusted {
        /// Symbol.
        symbol: Symbol,
        /// When that was said.
        time: Time,
    },
    /// All own trades of the symbol up to this id have been read from the exchange.
    Cursor {
        /// Symbol.
        symbol: Symbol,
        /// Last trade id read.
        trade_id: TradeId,
        /// Venue time of that trade.
        time: Time,
    },
    /// A gateway ended in order.
    End {
        /// When.
        time: Time,
    },
}

impl Record {
    /// Does it tell of an account at the exchange? From the first such record on a journal is that account's. Starts,
    /// symbols, edits and what sessions did here are of none: a start whose key was refused leaves nothing else.
    pub const fn is_of_an_account(&self) -> bool {
        match self {
            Self::Order(_)
            | Self::OrderState(_)
            | Self::Fill(_)
            | Self::Cash(_)
            | Self::Funding(_)
            | Self::Charge(_)
            | Self::Debt(_)
            | Self::Allocation(_)
            | Self::Cursor { .. }
            | Self::Scanned { .. } => true,
            Self::Start(_)
            | Self::Generation { .. }
            | Self::Listing { .. }
            | Self::Adjust(_)
            | Self::Trusted { .. }
            | Self::Event { .. }
            | Self::Answer { .. }
            | Self::Limits(_)
            | Self::Ack { .. }
            | Self::End { .. } => false,
        }
    }
}

/// When an event was made, by its frame's text: the gateway writes `gen`, `seq` and `time` first.
pub fn event_time(frame: &str) -> Option<Time> {
    let (_, rest) = frame.split_once("\"time\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok().map(Time::from_nanos)
}

/// See [`Record::Start`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its epoch.
    pub epoch: u32,
    /// Its install name.
    pub install: String,
    /// Market (`spot`).
    pub market: String,
    /// The machine's boot id, so that a power loss can be told from a crash.
    pub boot_id: String,
    /// When.
    pub time: Time,
}

/// See [`Record::Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsRecord {
    /// How often limits were set, over the journal's life.
    pub revision: u64,
    /// As they are written in a configuration; `null`: those of the configuration.
    pub limits: Option<serde_json::Value>,
    /// Those of the configuration then.
    pub configured: serde_json::Value,
    /// Who has set them, in his own words.
    pub by: String,
    /// When.
    pub time: Time,
}

/// See [`Record::Order`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// The order's own id.
    pub id: ClientOrderId,
    /// Owner; `None` for EXTERNAL.
    pub session: Option<SessionId>,
    /// Symbol.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Type; `None` for a foreign order of a type this version does not know.
    pub order_type: Option<OrderType>,
    /// Time in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tif: Option<Tif>,
    /// Limit price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Stop price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Price>,
    /// Quantity; zero for an order given as a quote amount.
    pub qty: Qty,
    /// Quote amount of such an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_amount: Option<Cash>,
    /// The venue itself made it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// What else it carries.
    #[serde(flatten)]
    pub instructions: Instructions,
    /// Does it live among the venue's conditional orders until it is triggered?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditional: bool,
    /// When it was taken from the session, or adopted.
    pub time: Time,
}

/// See [`Record::OrderState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStateRecord {
    /// The order's own id.
    pub id: ClientOrderId,
    /// State word, as on the local wire (`NEW`, `CANCELED`, `UNKNOWN`, …).
    pub state: String,
    /// The venue's number, once known; of a conditional order that of the order it has triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_id: Option<VenueOrderId>,
    /// The venue's number among its conditional orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional_id: Option<u64>,
    /// Client id the venue shows for it now, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<ClientOrderId>,
    /// Total quantity, where an amend changed it or the venue told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Qty>,
    /// Limit price, where there is one: an amend may have changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Filled quantity in the venue's count.
    pub filled: Qty,
    /// Reason code and words, for refusals and ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When (venue time where it came from the venue).
    pub time: Time,
}

/// See [`Record::Fill`]. Key: (symbol, trade id, venue id).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillRecord {
    /// Symbol.
    pub symbol: Symbol,
    /// The venue's trade number.
    pub trade_id: TradeId,
    /// The venue's order number.
    pub venue_id: VenueOrderId,
    /// The order's own id, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<ClientOrderId>,
    /// Owner; `None` for EXTERNAL.
    pub session: Option<SessionId>,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Quote amount.
    pub quote: Cash,
    /// Profit the venue realised with it on the account's position; none on spot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realised: Option<Cash>,
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

/// Who a cash row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A session.
    Session(SessionId),
    /// Orders and money of the account that are no session's.
    External,
    /// Counter-entries of edits and differences nobody has explained yet.
    Unattributed,
    /// What the account's open contracts cost, as the venue counts it: a fill of a perpetual moves no money there but
    /// its realised profit, while the books move the whole price.
    Clearing,
}

/// Why the venue itself ended a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forced {
    /// The account's margin no longer bore it.
    Liquidation,
    /// Auto-deleveraging: it was the other side of somebody's liquidation.
    Adl,
    /// The contract was settled or delisted.
    Settlement,
}

/// What a payment or charge other than a trade is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    /// Funding of a perpetual at a funding time.
    Funding,
    /// Funding outside the usual times.
    SpecialFunding,
    /// Interest on what is borrowed.
    Interest,
    /// What a liquidation left, taken or covered by the insurance fund.
    Insurance,
    /// Money moved to or from another account of the same owner.
    Transfer,
    /// Profit or fee of a trade: booked with its fill.
    Trade,
    /// Anything else: rewards, rebates, conversions.
    Other,
}

/// See [`Record::Cash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashRecord {
    /// Whose.
    pub owner: Owner,
    /// Asset.
    pub asset: Asset,
    /// Signed change.
    pub delta: Cash,
    /// `opening`, `transfer`, `difference`; `past` for the other side of a fill older than the opening.
    pub reason: String,
    /// When.
    pub time: Time,
}

/// See [`Record::Funding`]. Key: (symbol, charge, time).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingRecord {
    /// Symbol.
    pub symbol: Symbol,
    /// Regular or special.
    pub charge: ChargeKind,
    /// The funding time.
    pub time: Time,
    /// In which asset it is paid.
    pub asset: Asset,
    /// Rate; a long position pays a positive one.
    pub rate: Rate,
    /// Mark price it was reckoned with.
    pub mark: Price,
    /// What the account was paid, where the venue has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Cash>,
}

/// Which loan interest was charged on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Loan {
    /// What is owed. The interest may be charged in another asset.
    pub asset: Asset,
    /// Charged as it was taken up, not for the time that has passed.
    pub on_borrow: bool,
}

/// See [`Record::Charge`]. Deltas of one key (charge, symbol, asset, time, loan, nth, owner) add up to a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRecord {
    /// What for.
    pub charge: ChargeKind,
    /// Of which symbol, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    /// Asset.
    pub asset: Asset,
    /// Whose share.
    pub owner: Owner,
    /// Signed change.
    pub delta: Cash,
    /// The venue's number of the payment, where it has one and no other key tells it from the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Venue time: the funding time, the hour of the interest.
    pub time: Time,
    /// On which loan, where it is not interest of the time that has passed on one of `asset` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loan: Option<Loan>,
    /// Which of several that are alike in all of that but the amount; 0 is the first.
    #[serde(default, skip_serializing_if = "is_first")]
    pub nth: u32,
}

fn is_first(nth: &u32) -> bool {
    *nth == 0
}

/// See [`Record::Debt`]. The latest of an asset counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebtRecord {
    /// Asset.
    pub asset: Asset,
    /// Borrowed by the account, with the interest owed.
    pub owed: Cash,
    /// Sum of the negative rows of sessions and EXTERNAL.
    pub liabilities: Cash,
    /// `owed` less `liabilities`: negative where one owner's money serves another's debt.
    pub difference: Cash,
    /// When it was seen.
    pub time: Time,
}

/// See [`Record::Allocation`]. Key: (symbol, trade id, venue id, session), of which the latest counts. The fill itself
/// is EXTERNAL's; this moves a part of it to the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationRecord {
    /// Why the venue did it.
    pub forced: Forced,
    /// Whose position it ended.
    pub session: SessionId,
    /// Symbol.
    pub symbol: Symbol,
    /// The venue's trade number.
    pub trade_id: TradeId,
    /// The venue's order number.
    pub venue_id: VenueOrderId,
    /// Side of the fill.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// The session's part of the quantity.
    pub qty: Qty,
    /// Of the quote amount.
    pub quote: Cash,
    /// Of the fee.
    pub fee: Cash,
    /// The fee's asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_asset: Option<Asset>,
    /// Venue time of the fill.
    pub time: Time,
}

/// See [`Record::Adjust`]. Key: (session, symbol, revision, qty, avg_price).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdjustRecord {
    /// Whose position.
    pub session: SessionId,
    /// Of which symbol.
    pub symbol: Symbol,
    /// Revision of the row the user saw.
    pub revision: u64,
    /// Quantity the user saw.
    pub shown: Qty,
    /// Quantity the user wrote.
    pub qty: Qty,
    /// Change booked: `qty` less what was accepted of that revision before.
    pub delta: Qty,
    /// Average price the user wrote, if it differs from what was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_price: Option<Price>,
    /// When it was accepted.
    pub time: Time,
}
