//! What goes into the gateway and what comes out of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::stop::crashes::Crashes;
use super::stop::{Kept, Kill};
use crate::ids::{Asset, ConnId, Install, LinkId, SessionId, Symbol};
use crate::journal::{Owner, Record};
use crate::limits::Limits;
use crate::num::{Cash, Price, Qty};
use crate::time::{Span, Time};
use crate::venue::port::{LinkAction, LinkInput};

/// What a gateway is told once, at its making.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Market word, part of every key (`spot`).
    pub market: &'static str,
    /// Name and version shown to clients.
    pub product: String,
    /// Install name in client order ids.
    pub install: Install,
    /// The machine's boot id.
    pub boot_id: String,
    /// Token of the local door; its text is the key of both proofs.
    pub token: String,
    /// Sessions with a token of their own, which then is the only one that lets them in.
    pub session_tokens: BTreeMap<SessionId, String>,
    /// Token of the operator; `None`: there is no such door.
    pub operator_token: Option<String>,
    /// Seed of nonces and jitter.
    pub seed: u64,
    /// How far queries of the venue may lag behind its engine.
    pub recovery_lag: Span,
    /// How often own trades are swept while all is well.
    pub sweep_every: Span,
    /// How long acknowledged events are kept.
    pub retention: Span,
    /// What sessions and the account may order, hold and lose.
    pub limits: Limits,
    /// Can the account borrow?
    pub margin: bool,
    /// Journal was rebuilt or replaced since the last start, with the reason.
    pub journal_rebuilt: Option<String>,
    /// Highest epoch given in this folder, as noted beside the journal.
    pub noted_epoch: Option<u32>,
    /// The user has looked: the books are right, though nobody watched for longer than the exchange shows trades.
    pub trust_books: bool,
    /// The kill switch, pauses and policies as the last run left them.
    pub kept: Kept,
    /// How often in a row it crashed soon after its start, and how often is too often.
    pub crashes: Crashes,
    /// What to tell those whom the kill switch refuses, on how to clear it.
    pub clear_advice: String,
    /// Positions that `pos.db` showed of a journal that is gone: to be compared with what is found at the exchange.
    pub lost_positions: Vec<LostPosition>,
}

/// A row of a `pos.db` whose journal is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPosition {
    /// Whose.
    pub session: SessionId,
    /// Of which symbol.
    pub symbol: Symbol,
    /// Quantity.
    pub qty: Qty,
    /// Average price.
    pub avg_price: Price,
}

/// A row of `pos.db` against what the gateway wrote there last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Whose row.
    pub session: SessionId,
    /// Of which symbol.
    pub symbol: Symbol,
    /// Revision of the row the user saw; of one the user inserted, the number of the file.
    pub revision: u64,
    /// Quantity the gateway had shown; zero for an inserted row.
    pub shown: Qty,
    /// Quantity found; zero for a deleted row.
    pub found: Qty,
    /// Average price the gateway had shown.
    pub shown_avg: Option<Price>,
    /// Average price found.
    pub found_avg: Option<Price>,
}

impl Edit {
    /// Does the row stand as it was shown? Then it says something only of an edit that was booked and never shown:
    /// the user has taken it back.
    pub fn is_as_shown(&self) -> bool {
        self.found == self.shown && self.found_avg == self.shown_avg
    }
}

/// A row of `pos.db` that could not be understood: its symbol (or all, if even that is unclear) does not trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEdit {
    /// Symbol, if it could be read.
    pub symbol: Option<Symbol>,
    /// The row and what is wrong with it.
    pub reason: String,
}

/// One input. After each, the caller performs all outputs before the next.
#[derive(Debug)]
pub enum Input<'a> {
    /// Something happened on a link to the venue.
    Link(LinkId, LinkInput<'a>),
    /// A local client passed the door's handshake.
    ClientOpened(ConnId),
    /// It sent a text frame.
    ClientFrame(ConnId, &'a str),
    /// It is gone.
    ClientClosed(ConnId),
    /// A batch is committed.
    Committed(u64),
    /// The store cannot write (disk full, I/O error); the text says why. No new orders until `StoreRecovered`.
    StoreFailed(String),
    /// The store writes again; nothing was lost, batches still pending are being retried.
    StoreRecovered,
    /// The kill switch is pulled, not by its file.
    Kill(Kill),
    /// The kill switch's file was made or changed, for the so-manieth time, and says this.
    KillFile(Kill, u64),
    /// The kill switch's file was removed: the so-manieth change of it.
    KillFileGone {
        /// By whom, in words.
        by: String,
        /// The number of the change.
        change: u64,
        /// What it stood for: [`Kept::pulls`] when it was written last.
        pulls: u64,
    },
    /// What [`Output::Keep`] gave under this number is on the disk, or why it is not (it is tried again).
    Kept(u64, Result<(), String>),
    /// A deadline has passed.
    Timer,
    /// End in order: nothing new is taken, `Output::Stopped` follows once all is committed.
    Stop,
}

/// One output, to be performed in order.
#[derive(Debug)]
pub enum Output {
    /// For a link to the venue.
    Link(LinkAction),
    /// There is something for this client: call `pull` while its socket takes frames.
    Ready(ConnId),
    /// Close a client's connection with this websocket code and reason, after what `pull` still gives.
    CloseClient(ConnId, u16, String),
    /// Append these records in one transaction, then answer `Input::Committed(batch)`. Batches commit in order.
    Commit(Batch),
    /// Keep this beside the journal, without it: what a restart must not forget. The newest counts. Answered by
    /// `Input::Kept` of its number, or of a newer one.
    Keep(u64, Kept),
    /// Show these rows in `pos.db`, when convenient; they replace earlier rows of the same key.
    Project(Projection),
    /// A line for the log.
    Log(Log),
    /// The key was refused: exit with 77 and these words, unless told to keep trying.
    KeyRefused(String),
    /// The account is not set up as it must be: exit with 78 and these words.
    Refused(String),
    /// All is committed after `Input::Stop`; the shell may end.
    Stopped,
}

/// Records to be committed together.
#[derive(Debug)]
pub struct Batch {
    /// Its number, dense from 1.
    pub id: u64,
    /// Rows, in order.
    pub records: Vec<Record>,
    /// Must be on the disk (full sync) before it counts as committed.
    pub sync: bool,
}

/// Rows of `pos.db`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// Positions that changed.
    pub positions: Vec<PositionRow>,
    /// Asset rows that changed.
    pub assets: Vec<AssetRow>,
    /// Fee totals that changed.
    pub fees: Vec<FeeRow>,
}

/// A position of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionRow {
    /// Whose.
    pub session: SessionId,
    /// Of which symbol.
    pub symbol: Symbol,
    /// Signed quantity in the base asset.
    pub qty: Qty,
    /// Average entry price in the quote asset; zero when flat.
    pub avg_price: Price,
    /// Profit realised so far, in the quote asset, fees not deducted.
    pub realised: Cash,
    /// The quote asset.
    pub quote: Asset,
    /// Time of the last change.
    pub time: Time,
}

/// What an owner holds of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRow {
    /// Whose.
    pub owner: Owner,
    /// Asset.
    pub asset: Asset,
    /// Signed amount.
    pub amount: Cash,
}

/// What a session has paid in fees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeeRow {
    /// Whose.
    pub session: SessionId,
    /// In which asset.
    pub asset: Asset,
    /// Sum of all fees.
    pub amount: Cash,
}

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// State changed.
    Info,
    /// Unexpected but recovered.
    Warn,
    /// A human must look.
    Error,
}

/// A log line: an event and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How loud.
    pub level: LogLevel,
    /// What happened, lower case.
    pub event: &'static str,
    /// `key=value` fields.
    pub fields: String,
}

/// A frame for a local client.
pub type Frame = Bytes;
