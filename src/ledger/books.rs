//! All books of one market: a fold of the journal's facts.
//!
//! Law: whatever the order of the records, quantities, assets and fees come out the same; a fill booked twice is
//! booked once.

use std::collections::{BTreeMap, BTreeSet};

use super::costs::Costs;
use super::history::{History, Instant};
use super::position::{Change, Position, Step, Totals};
use crate::ids::{Asset, SessionId, Symbol, TradeId, VenueOrderId};
use crate::journal::{
    AdjustRecord, AllocationRecord, CashRecord, ChargeKind, ChargeRecord, FillRecord, Loan, Owner, Record,
};
use crate::num::{Cash, Price, Qty};
use crate::time::{Span, Time};

/// What tells one fill from another. The order is part of it: a self-trade puts one trade id on two orders.
pub type FillKey = (Symbol, TradeId, VenueOrderId);

/// Which views changed since they were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Positions.
    pub positions: BTreeSet<(SessionId, Symbol)>,
    /// Asset rows.
    pub assets: BTreeSet<(Owner, Asset)>,
    /// Fee sums.
    pub fees: BTreeSet<(SessionId, Asset)>,
}

/// How far own trades of a symbol have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Last trade id read; 0: none yet.
    pub trade_id: TradeId,
    /// Its venue time, or when the symbol was first used.
    pub time: Time,
}

/// What was last accepted from the user for one revision of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Quantity.
    pub qty: Qty,
    /// Average price, if the user gave one.
    pub avg_price: Option<Price>,
}

/// Assets of a symbol in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What is bought, or what a contract is on.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// What a position is kept in.
    pub holding: Asset,
    /// Quantities were multiples of this when it was first used.
    pub lot: Option<Qty>,
}

impl Listing {
    /// Is a position of it kept in the contract itself?
    pub fn is_contract(&self) -> bool {
        self.holding != self.base
    }
}

/// What tells one payment or charge from another. Those of a kind and an asset follow each other by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargeKey {
    /// What for.
    pub kind: ChargeKind,
    /// In which asset.
    pub asset: Asset,
    /// Venue time.
    pub time: Time,
    /// Of which symbol, where it is of one.
    pub symbol: Option<Symbol>,
    /// On which loan, see [`ChargeRecord::loan`].
    pub loan: Option<Loan>,
    /// See [`ChargeRecord::nth`].
    pub nth: u32,
}

impl ChargeKey {
    fn of(charge: &ChargeRecord) -> Self {
        let ChargeRecord { charge: kind, asset, time, symbol, loan, nth, .. } = charge.clone();
        Self { kind, asset, time, symbol, loan, nth }
    }

    /// The first that can be of that kind, asset and time.
    fn first(kind: ChargeKind, asset: &Asset, time: Time) -> Self {
        Self { kind, asset: asset.clone(), time, symbol: None, loan: None, nth: 0 }
    }
}

/// How long after a loan the fill may come that makes somebody its debtor.
pub const JUST_LENT: Span = Span::from_secs(1);

/// The books.
#[derive(Debug, Default)]
pub struct Books {
    listings: BTreeMap<Symbol, Listing>,
    /// What positions of contracts in use are kept in.
    holdings: BTreeSet<Asset>,
    fills: BTreeMap<FillKey, Time>,
    positions: BTreeMap<(SessionId, Symbol), Position>,
    assets: BTreeMap<(Owner, Asset), Cash>,
    fees: BTreeMap<(SessionId, Asset), Cash>,
    costs: Costs,
    accepted: BTreeMap<(SessionId, Symbol, u64), Accepted>,
    charges: BTreeMap<ChargeKey, BTreeMap<Owner, Cash>>,
    /// The venue's numbers of payments.
    charge_ids: BTreeSet<(ChargeKind, u64)>,
    identified: BTreeSet<ChargeKey>,
    allocations: BTreeMap<(FillKey, SessionId), AllocationRecord>,
    /// Changes of contracts, of money that is not trading's, and of every asset where anything can be borrowed.
    history: History,
    all_remembered: bool,
    cursors: BTreeMap<Symbol, Cursor>,
    touched: Touched,
}

impl Books {
    /// Folds one record; records that are no concern of the books change nothing.
    pub fn fold(&mut self, record: &Record) {
        match record {
            Record::Listing { symbol, base, quote, holding, lot, .. } => {
                let holding = holding.as_ref().unwrap_or(base).clone();
                let listing = Listing { base: base.clone(), quote: quote.clone(), holding, lot: *lot };
                if listing.is_contract() {
                    self.holdings.insert(listing.holding.clone());
                }
                self.listings.insert(symbol.clone(), listing);
            }
            Record::Fill(fill) => self.post(fill),
            Record::Cash(cash) => self.book(cash),
            Record::Adjust(adjust) => self.adjust(adjust),
            Record::Charge(charge) => self.charge(charge),
            Record::Allocation(allocation) => self.allocate(allocation),
            Record::Cursor { symbol, trade_id, time } => {
                self.cursors.insert(symbol.clone(), Cursor { trade_id: *trade_id, time: *time });
            }
            _ => {}
        }
    }

    /// Is this fill booked?
    pub fn has(&self, key: &FillKey) -> bool {
        self.fills.contains_key(key)
    }

    /// Assets of a symbol in use.
    pub fn listing(&self, symbol: &Symbol) -> Option<&Listing> {
        self.listings.get(symbol)
    }

    /// Symbols in use that trade this asset.
    pub fn symbols_of(&self, asset: &Asset) -> Vec<Symbol> {
        let trades = |listing: &Listing| listing.holding == *asset || listing.quote == *asset;
        self.listings
            .iter()
            .filter(|(_, listing)| trades(listing))
            .map(|(symbol, _)| symbol.clone())
            .collect()
    }

    /// Symbols in use and how far their trades have been read.
    pub fn cursors(&self) -> &BTreeMap<Symbol, Cursor> {
        &self.cursors
    }

    /// The first trade id to read so that all own trades of the last `overlap` before the cursor are read again, also
    /// those that were not shown before: whatever follows the last trade booked from before that time.
    pub fn reread_from(&self, symbol: &Symbol, overlap: Span) -> Option<TradeId> {
        let cursor = self.cursors.get(symbol)?;
        if cursor.trade_id == 0 {
            return None;
        }
        let since = cursor.time - overlap;
        let booked =
            self.fills.range((symbol.clone(), 0, 0)..=(symbol.clone(), cursor.trade_id, u64::MAX)).rev();
        let mut oldest = None;
        for ((_, id, _), time) in booked {
            if *time < since {
                return Some((*id + 1).min(cursor.trade_id));
            }
            oldest = Some(*id);
        }
        Some(oldest.unwrap_or(cursor.trade_id))
    }

    /// A session's position; flat if there never was one.
    pub fn position(&self, session: SessionId, symbol: &Symbol) -> Totals {
        self.positions.get(&(session, symbol.clone())).map(Position::totals).unwrap_or_default()
    }

    /// What a session has lost in a quote asset since the beginning of a UTC day: fees and charges in that asset, less
    /// the profit realised in its symbols, less the profit open in them now. `middle` is the price by which an open
    /// position is valued; without one it is worth what it cost.
    ///
    /// # Errors
    /// Those of `middle`.
    pub fn loss_since<E>(
        &self,
        session: SessionId,
        quote: &Asset,
        day: i64,
        middle: impl Fn(&Symbol) -> Result<Option<Price>, E>,
    ) -> Result<Cash, E> {
        let mut loss = self.costs.since(session, quote, day);
        let all = (session, Symbol::new(""))..;
        for ((_, symbol), position) in self.positions.range(all).take_while(|((of, _), _)| *of == session) {
            if self.listings.get(symbol).is_none_or(|listing| listing.quote != *quote) {
                continue;
            }
            let totals = position.totals();
            loss -= position.realised_since(day);
            if !totals.qty.is_zero()
                && let Some(middle) = middle(symbol)?
            {
                loss -= middle.times(totals.qty) - totals.cost;
            }
        }
        Ok(loss)
    }

    /// The sum of all sessions' positions in a symbol.
    pub fn net_of_sessions(&self, symbol: &Symbol) -> Qty {
        self.positions.iter().filter(|((_, of), _)| of == symbol).map(|(_, p)| p.totals().qty).sum()
    }

    /// Sessions that have traded, or been charged.
    pub fn sessions(&self) -> BTreeSet<SessionId> {
        self.positions.keys().map(|(session, _)| *session).chain(self.costs.sessions()).collect()
    }

    /// Which positions have changed since they were last taken.
    pub fn touched_positions(&self) -> &BTreeSet<(SessionId, Symbol)> {
        &self.touched.positions
    }

    /// All positions there ever were.
    pub fn positions(&self) -> impl Iterator<Item = (SessionId, &Symbol, Totals)> {
        self.positions.iter().map(|((session, symbol), p)| (*session, symbol, p.totals()))
    }

    /// What an owner holds of an asset.
    pub fn asset(&self, owner: Owner, asset: &Asset) -> Cash {
        self.assets.get(&(owner, asset.clone())).copied().unwrap_or_default()
    }

    /// All asset rows.
    pub fn assets(&self) -> impl Iterator<Item = (Owner, &Asset, Cash)> {
        self.assets.iter().map(|((owner, asset), amount)| (*owner, asset, *amount))
    }

    /// Sum of all owners' rows of an asset: what the exchange should say.
    pub fn total(&self, asset: &Asset) -> Cash {
        self.assets.iter().filter(|((_, a), _)| a == asset).map(|(_, amount)| *amount).sum()
    }

    /// What a session has paid in fees of an asset.
    pub fn fee(&self, session: SessionId, asset: &Asset) -> Cash {
        self.fees.get(&(session, asset.clone())).copied().unwrap_or_default()
    }

    /// All fee sums.
    pub fn fees(&self) -> impl Iterator<Item = (SessionId, &Asset, Cash)> {
        self.fees.iter().map(|((session, asset), amount)| (*session, asset, *amount))
    }

    /// What was last accepted from the user for that revision of the row.
    pub fn accepted(&self, session: SessionId, symbol: &Symbol, revision: u64) -> Option<Accepted> {
        self.accepted.get(&(session, symbol.clone(), revision)).copied()
    }

    /// Symbols in use of which positions are kept in contracts.
    pub fn contracts(&self) -> impl Iterator<Item = (&Symbol, &Listing)> {
        self.listings.iter().filter(|(_, listing)| listing.is_contract())
    }

    /// What each owner held of a contract at an instant by the exchange's time: what happened in the instant itself
    /// is counted where `inclusive`. A difference nobody has explained counts for nobody.
    pub fn held(&self, symbol: &Symbol, instant: Time, inclusive: bool) -> BTreeMap<Owner, Cash> {
        let listing = self.listings.get(symbol);
        listing.map(|listing| self.history.at(&listing.holding, instant, inclusive)).unwrap_or_default()
    }

    /// What each owner held of a contract before a fill, by the exchange's order.
    pub fn held_before(&self, fill: &FillRecord) -> BTreeMap<Owner, Cash> {
        let listing = self.listings.get(&fill.symbol);
        let at = (fill.time, fill.trade_id);
        listing.map(|listing| self.history.before(&listing.holding, at)).unwrap_or_default()
    }

    /// The parts of a fill that are booked for sessions.
    pub fn allocated(&self, key: &FillKey) -> impl Iterator<Item = &AllocationRecord> {
        let all = (key.clone(), SessionId(0))..=(key.clone(), SessionId(u16::MAX));
        self.allocations.range(all).map(|(_, part)| part)
    }

    /// Times of the first and the last change of a contract's positions.
    pub fn held_between(&self, symbol: &Symbol) -> Option<(Time, Time)> {
        self.history.span(&self.listings.get(symbol)?.holding)
    }

    /// Keeps the history of every asset, not only of contracts: where anything can be borrowed, what an owner owed at a
    /// past instant matters. To be called before anything is folded.
    pub fn remember_all(&mut self) {
        self.all_remembered = true;
    }

    /// What sessions and EXTERNAL owed of an asset at an instant by the exchange's time: their negative rows.
    pub fn liabilities(&self, asset: &Asset, instant: Time) -> BTreeMap<Owner, Cash> {
        owed(self.history.at(asset, instant, false).into_iter())
    }

    /// For whom a loan was taken up at an instant: who owes more of the asset when orders of that moment are filled,
    /// by so much; if nobody does, all who owe of it then. Interest charged meanwhile makes nobody a debtor.
    pub fn debtors(&self, asset: &Asset, instant: Time) -> BTreeMap<Owner, Cash> {
        let filled = instant + JUST_LENT;
        let mut rows = self.history.at(asset, filled, false);
        for (_, shares) in self.charges_between(ChargeKind::Interest, asset, instant, filled) {
            for (owner, share) in shares {
                *rows.entry(*owner).or_default() -= *share;
            }
        }
        let (before, after) = (self.liabilities(asset, instant), owed(rows.into_iter()));
        let more = |(owner, owes): (&Owner, &Cash)| {
            let more = *owes - before.get(owner).copied().unwrap_or_default();
            more.is_positive().then_some((*owner, more))
        };
        let grown: BTreeMap<Owner, Cash> = after.iter().filter_map(more).collect();
        if grown.is_empty() { after } else { grown }
    }

    /// What they owe of it now.
    pub fn liabilities_now(&self, asset: &Asset) -> BTreeMap<Owner, Cash> {
        let rows = self.assets.iter().filter(|((_, of), _)| of == asset);
        owed(rows.map(|((owner, _), amount)| (*owner, *amount)))
    }

    /// Assets whose remembered rows changed since the last call, each with the exchange's time of the earliest change.
    pub fn take_changed(&mut self) -> BTreeMap<Asset, Time> {
        self.history.take_fresh()
    }

    /// Shares of a payment or charge as they are booked.
    pub fn charged(&self, key: &ChargeKey) -> BTreeMap<Owner, Cash> {
        self.charges.get(key).cloned().unwrap_or_default()
    }

    /// Is the payment of that number booked?
    pub fn knows_charge(&self, kind: ChargeKind, id: u64) -> bool {
        self.charge_ids.contains(&(kind, id))
    }

    /// The key of one more payment that is alike.
    pub fn next_charge(&self, mut key: ChargeKey) -> ChargeKey {
        while self.charges.contains_key(&key) {
            key.nth += 1;
        }
        key
    }

    /// Has the venue's number of that payment been heard?
    pub fn is_identified(&self, key: &ChargeKey) -> bool {
        self.identified.contains(key)
    }

    /// All payments and charges booked, with their shares.
    pub fn charges(&self) -> impl Iterator<Item = (&ChargeKey, &BTreeMap<Owner, Cash>)> {
        self.charges.iter()
    }

    /// Those of a kind and an asset from a time on until before another, by time.
    pub fn charges_between(
        &self,
        kind: ChargeKind,
        asset: &Asset,
        from: Time,
        until: Time,
    ) -> impl Iterator<Item = (&ChargeKey, &BTreeMap<Owner, Cash>)> {
        self.charges
            .range(ChargeKey::first(kind, asset, from)..ChargeKey::first(kind, asset, until.max(from)))
    }

    /// Views changed since the last call.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    fn post(&mut self, fill: &FillRecord) {
        let key = (fill.symbol.clone(), fill.trade_id, fill.venue_id);
        if self.fills.insert(key, fill.time).is_some() {
            return;
        }
        let owner = fill.session.map_or(Owner::External, Owner::Session);
        let Some(Listing { quote, holding, .. }) = self.listings.get(&fill.symbol).cloned() else {
            return;
        };
        let at = (fill.time, fill.trade_id);
        let signed = fill.side.signed(fill.qty).as_cash();
        let paid = if signed.is_negative() { fill.quote } else { -fill.quote };
        self.credit(at, owner, &holding, signed);
        self.credit(at, owner, &quote, paid);
        if let Some(realised) = fill.realised {
            self.credit(at, Owner::Clearing, &quote, realised - paid);
        }
        let mut base_fee = Qty::ZERO;
        if let Some(asset) = &fill.fee_asset {
            self.credit(at, owner, asset, -fill.fee);
            if *asset == holding {
                base_fee = fill.fee.as_qty();
            }
            if let Some(session) = fill.session {
                self.costs.add(session, asset, fill.time, fill.fee);
                *self.fees.entry((session, asset.clone())).or_default() += fill.fee;
                self.touched.fees.insert((session, asset.clone()));
            }
        }
        if let Some(session) = fill.session {
            let change = Change::Fill { side: fill.side, qty: fill.qty, quote: fill.quote, base_fee };
            self.step(session, &fill.symbol, Step { time: fill.time, trade_id: fill.trade_id, change });
        }
    }

    fn book(&mut self, cash: &CashRecord) {
        self.add_to_row(cash.owner, &cash.asset, cash.delta);
        // A difference is booked when it is seen, not when it came about, and taken back when it is explained. All
        // else is remembered though nobody uses the asset yet: it may be a contract's that is listed later.
        if cash.owner != Owner::Unattributed {
            self.history.add((cash.time, 0), cash.owner, &cash.asset, cash.delta);
        }
    }

    fn charge(&mut self, charge: &ChargeRecord) {
        self.credit((charge.time, 0), charge.owner, &charge.asset, charge.delta);
        if let Owner::Session(session) = charge.owner {
            self.costs.add(session, &charge.asset, charge.time, -charge.delta);
        }
        let key = ChargeKey::of(charge);
        if let Some(id) = charge.id {
            self.charge_ids.insert((charge.charge, id));
            self.identified.insert(key.clone());
        }
        *self.charges.entry(key).or_default().entry(charge.owner).or_default() += charge.delta;
    }

    /// Moves a part of a fill from EXTERNAL to a session, in place of the part it was said to have before.
    fn allocate(&mut self, part: &AllocationRecord) {
        let key = (part.symbol.clone(), part.trade_id, part.venue_id);
        let Some(listing) = self.listings.get(&part.symbol).cloned() else { return };
        let before = self.allocations.insert((key, part.session), part.clone());
        if before.as_ref() == Some(part) {
            return;
        }
        if let Some(before) = before {
            self.move_part(&listing, &before, -1);
            if let Some(position) = self.positions.get_mut(&(before.session, before.symbol.clone())) {
                position.remove(&step_of(&before));
            }
        }
        self.move_part(&listing, part, 1);
        self.touched.positions.insert((part.session, part.symbol.clone()));
        if !part.qty.is_zero() {
            self.step(part.session, &part.symbol, step_of(part));
        }
    }

    fn move_part(&mut self, listing: &Listing, part: &AllocationRecord, sign: i128) {
        let signed = part.side.signed(part.qty).as_cash();
        let paid = if signed.is_negative() { part.quote } else { -part.quote };
        let at = (part.time, part.trade_id);
        for (owner, sign) in [(Owner::Session(part.session), sign), (Owner::External, -sign)] {
            let of = |amount: Cash| Cash::from_raw(amount.raw() * sign);
            self.credit(at, owner, &listing.holding, of(signed));
            self.credit(at, owner, &listing.quote, of(paid));
            if let Some(asset) = &part.fee_asset {
                self.credit(at, owner, asset, of(-part.fee));
            }
        }
        if let Some(asset) = &part.fee_asset {
            let fee = Cash::from_raw(part.fee.raw() * sign);
            self.costs.add(part.session, asset, part.time, fee);
            *self.fees.entry((part.session, asset.clone())).or_default() += fee;
            self.touched.fees.insert((part.session, asset.clone()));
        }
    }

    fn adjust(&mut self, adjust: &AdjustRecord) {
        let revision = (adjust.session, adjust.symbol.clone(), adjust.revision);
        let before = self.accepted.get(&revision).and_then(|accepted| accepted.avg_price);
        let accepted = Accepted { qty: adjust.qty, avg_price: adjust.avg_price.or(before) };
        self.accepted.insert(revision, accepted);
        if let Some(Listing { holding, .. }) = self.listings.get(&adjust.symbol).cloned() {
            let delta = adjust.delta.as_cash();
            let at = (adjust.time, 0);
            self.credit(at, Owner::Session(adjust.session), &holding, delta);
            self.credit(at, Owner::Unattributed, &holding, -delta);
        }
        let change = Change::Edit { delta: adjust.delta, avg_price: adjust.avg_price };
        self.step(adjust.session, &adjust.symbol, Step { time: adjust.time, trade_id: 0, change });
    }

    fn step(&mut self, session: SessionId, symbol: &Symbol, step: Step) {
        let key = (session, symbol.clone());
        self.positions.entry(key.clone()).or_default().add(step);
        self.touched.positions.insert(key);
    }

    /// Changes a row at an instant of the exchange's time.
    fn credit(&mut self, at: Instant, owner: Owner, asset: &Asset, delta: Cash) {
        self.add_to_row(owner, asset, delta);
        if self.all_remembered || self.holdings.contains(asset) {
            self.history.add(at, owner, asset, delta);
        }
    }

    fn add_to_row(&mut self, owner: Owner, asset: &Asset, delta: Cash) {
        let key = (owner, asset.clone());
        *self.assets.entry(key.clone()).or_default() += delta;
        self.touched.assets.insert(key);
    }
}

fn step_of(part: &AllocationRecord) -> Step {
    let change = Change::Fill { side: part.side, qty: part.qty, quote: part.quote, base_fee: Qty::ZERO };
    Step { time: part.time, trade_id: part.trade_id, change }
}

/// Negative rows of those who can owe, as positive amounts.
fn owed(rows: impl Iterator<Item = (Owner, Cash)>) -> BTreeMap<Owner, Cash> {
    let can_owe = |owner: &Owner| matches!(owner, Owner::Session(_) | Owner::External);
    rows.filter(|(owner, amount)| can_owe(owner) && amount.is_negative())
        .map(|(owner, amount)| (owner, -amount))
        .collect()
}

#[cfg(test)]
mod tests;
