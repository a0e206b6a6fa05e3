//! What differs between the products of the one engine: what an order sets aside, and what a trade moves.
//!
//! Matching, the book and the life of an order are the same for all of them. A spot order locks what it pays with, and
//! a trade swaps two assets ([`crate::exchange::spot`]); an order for a perpetual takes up margin, and a trade moves
//! positions ([`crate::exchange::futures`]).

use crate::exchange::config::{AccountId, AccountSettings};
use crate::exchange::engine::Exchange;
use crate::exchange::event::MarketEvent;
use crate::exchange::market::{Market, Plan, Slot};
use crate::exchange::order::{Fill, Order, PositionTerms};
use crate::exchange::request::{Reject, Request};
use crate::ids::{Asset, VenueOrderId};
use crate::num::{Cash, Price, Qty};
use crate::time::Time;

/// What changed hands in one fill.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    pub(super) price: Price,
    pub(super) qty: Qty,
    pub(super) quote: Cash,
}

/// What settling a fill came to.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The fee, and its asset (one that could have been charged if there is none).
    pub(super) fee: (Asset, Cash),
    /// Profit realised by closing a position; nothing on spot.
    pub(super) realised: Cash,
}

/// The money side of the engine.
pub trait Settlement: std::fmt::Debug + Sized {
    /// What the exchange tells of it.
    type Told: From<MarketEvent>;
    /// Why it refuses an order.
    type Refusal: From<Reject>;
    /// May resting orders be worth less than their lots, because they only reduce a position?
    const REDUCES: bool;

    /// How an account is set; `None` if it is not open.
    fn settings(&self, account: AccountId) -> Option<AccountSettings>;

    /// Refuses what must not reach the engine.
    fn admit(
        &self,
        market: &Market,
        account: AccountId,
        request: &Request,
        position: &PositionTerms,
    ) -> Result<(), Self::Refusal>;

    /// Sets aside what a new or triggered order needs and has not yet. Refuses, and does nothing, if the account has
    /// not so much. `plan` is what the book would give the order now.
    fn reserve(&mut self, market: &Market, slot: &mut Slot, plan: &Plan) -> Result<(), Self::Refusal>;

    /// Gives back what an order holds beyond its need; everything once it has ended.
    fn release(&mut self, market: &Market, slot: &mut Slot);

    /// Moves what one side of a trade moves.
    fn settle(&mut self, market: &Market, slot: &mut Slot, amounts: Amounts, maker: bool) -> Settled;

    /// The house takes the other side of a fill that has no other order.
    fn stand_in(&mut self, market: &Market, fill: &Fill);

    /// The market traded at a price.
    fn traded(&mut self, market: &Market, price: Price);

    /// How many lots an order may trade at most, after its account bought so many (sold: negative) by other orders.
    fn cap(&self, market: &Market, order: &Order, bought: i64) -> i64;

    /// Resting orders of an account that have nothing to do any more.
    fn idle(&self, market: &Market, account: AccountId) -> Vec<VenueOrderId>;

    /// Does what a transaction entails beyond its own symbol and account.
    fn follow_up(_: &mut Exchange<Self>) {}

    /// What has changed for accounts since the last call.
    fn tell(&mut self, now: Time, out: &mut Vec<Self::Told>);
}
