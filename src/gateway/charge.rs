//! What the account is paid or charged besides trades and funding, and what the venue ends by force.
//!
//! Liquidation, auto-deleveraging and settlement are fills of the account that no session ordered. Their rule: the
//! fill is EXTERNAL's; of its quantity each owner that held the side it closes takes a part in proportion to what it
//! held, in whole lots, the rest of the division going to the largest; nobody is closed beyond what it held, and what
//! nobody held stays with EXTERNAL. So the sum stays the account's position, and no session keeps one that is gone.
//! What it held is reckoned by the exchange's order, so a fill learnt later, of before, changes the parts.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::funding::NEAR;
use super::io::LogLevel;
use super::recovery::Purpose;
use crate::ids::{Asset, SessionId, Symbol, TradeId, VenueOrderId};
use crate::journal::{AllocationRecord, ChargeKind, ChargeRecord, FillRecord, Forced, Loan, Owner, Record};
use crate::ledger::books::{ChargeKey, JUST_LENT};
use crate::ledger::funding::WALLET_UNIT;
use crate::ledger::split::{close, split};
use crate::num::{Cash, Qty};
use crate::time::{Span, Time};
use crate::venue::port::{Income, Query};
use crate::wire::event::{FillView, Private};

/// How late a row of the interest history may be shown.
const SHOWN_WITHIN: Span = Span::from_secs(2 * 3_600);

/// A fill's place in the venue's order, and that of the fill's order.
type Place = (Time, TradeId, VenueOrderId);

/// Fills by which the venue ended positions, in its order.
#[derive(Debug, Default)]
pub(super) struct ForcedFills {
    fills: BTreeMap<Symbol, BTreeMap<Place, (FillRecord, Forced)>>,
}

impl ForcedFills {
    pub(super) fn add(&mut self, fill: &FillRecord, forced: Forced) {
        let at = (fill.time, fill.trade_id, fill.venue_id);
        self.fills.entry(fill.symbol.clone()).or_default().insert(at, (fill.clone(), forced));
    }

    /// All fills until then of the order that ended a position last, in that symbol or in any.
    fn last_order(&self, symbol: Option<&Symbol>, until: Time) -> Vec<&FillRecord> {
        let end = (until, TradeId::MAX, VenueOrderId::MAX);
        let fits = |of: &Symbol| symbol.is_none_or(|symbol| symbol == of);
        let all = (self.fills.iter()).filter(|(of, _)| fits(of));
        let last = all.filter_map(|(_, fills)| fills.range(..=end).next_back()).max_by_key(|(at, _)| at.0);
        let Some(((_, _, order), (last, _))) = last else { return Vec::new() };
        let fills = self.fills.get(&last.symbol).into_iter().flat_map(|fills| fills.range(..=end));
        fills.filter(|(at, _)| at.2 == *order).map(|(_, (fill, _))| fill).collect()
    }

    fn since(&self, symbol: &Symbol, from: Time) -> Vec<(FillRecord, Forced)> {
        let of_it = self.fills.get(symbol).into_iter();
        of_it.flat_map(|fills| fills.range((from, 0, 0)..).map(|(_, fill)| fill.clone())).collect()
    }
}

impl Gateway {
    /// The account was paid or charged, as a private event or a row of the income history says.
    pub(super) fn income(&mut self, now: Time, income: &Income) {
        if self.tie_out.covers(income.time) {
            return;
        }
        match income.kind {
            ChargeKind::Funding | ChargeKind::SpecialFunding => self.funding_paid(now, income),
            ChargeKind::Insurance => {
                let weights = self.ended(income.symbol.as_ref(), income.time);
                self.charge_once(now, income, &weights);
            }
            ChargeKind::Trade => {}
            ChargeKind::Interest => {
                let weights = self.owing(&income.asset, income.loan.as_ref(), income.time);
                self.charge_once(now, income, &weights);
            }
            ChargeKind::Transfer | ChargeKind::Other => {
                self.charge_once(now, income, &BTreeMap::new());
            }
        }
    }

    /// Who owed what interest in an asset was charged on. The first charge on a loan comes with the loan, a moment
    /// before the fill it was taken up for.
    fn owing(&self, asset: &Asset, loan: Option<&Loan>, instant: Time) -> BTreeMap<Owner, Cash> {
        match loan {
            Some(loan) if loan.on_borrow => self.books.debtors(&loan.asset, instant),
            Some(loan) => self.books.liabilities(&loan.asset, instant),
            None => self.books.liabilities(asset, instant),
        }
    }

    /// The question for interest that may not be booked yet: from before the last row known, as rows may be shown late.
    pub(super) fn interest_query(&self, now: Time) -> (Query, Purpose) {
        let of_interest = self.books.charges().filter(|(key, _)| key.kind == ChargeKind::Interest);
        let booked = of_interest.map(|(key, _)| key.time).max();
        let known = booked.max(self.tie_out.income_read).map(|time| time - SHOWN_WITHIN);
        let since = known.max(self.tie_out.opened()).unwrap_or(now);
        let query = Query::Income { since };
        (query.clone(), Purpose::Income { query, asked: now })
    }

    /// Rows have changed, perhaps before funding or interest that is booked.
    pub(super) fn settle_changed(&mut self, now: Time) {
        // A correction changes later rows only, so this ends.
        loop {
            let changed = self.books.take_changed();
            if changed.is_empty() {
                return;
            }
            self.settle_forced(now, &changed);
            self.settle_insurance(now, &changed);
            self.settle_moved(now, &changed);
            if self.config.margin {
                self.settle_interest(now, &changed);
            }
        }
    }

    /// Splits interest booked anew where what was owed then has changed.
    fn settle_interest(&mut self, now: Time, changed: &BTreeMap<Asset, Time>) {
        let after = |key: &ChargeKey| {
            let (owed, until) = match &key.loan {
                Some(loan) if loan.on_borrow => (&loan.asset, key.time + JUST_LENT),
                Some(loan) => (&loan.asset, key.time),
                None => (&key.asset, key.time),
            };
            key.kind == ChargeKind::Interest && changed.get(owed).is_some_and(|from| until > *from)
        };
        self.split_anew(now, after, |gateway, key| gateway.owing(&key.asset, key.loan.as_ref(), key.time));
    }

    /// Splits charges by the weights of today, and books what differs.
    fn split_anew(
        &mut self,
        now: Time,
        which: impl Fn(&ChargeKey) -> bool,
        weights: impl Fn(&Self, &ChargeKey) -> BTreeMap<Owner, Cash>,
    ) {
        let booked: Vec<_> = (self.books.charges())
            .filter(|(key, _)| which(key))
            .map(|(key, shares)| (key.clone(), shares.clone()))
            .collect();
        for (key, shares) in booked {
            let target = weighed(shares.values().copied().sum(), &weights(self, &key));
            let owners: BTreeSet<Owner> = target.keys().chain(shares.keys()).copied().collect();
            for owner in owners {
                let of = |shares: &BTreeMap<Owner, Cash>| shares.get(&owner).copied().unwrap_or_default();
                let delta = of(&target) - of(&shares);
                if delta.is_zero() {
                    continue;
                }
                let first = of(&shares).is_zero();
                self.book_share(now, share_of(key.clone(), owner, delta, None), first);
            }
        }
    }

    /// Books an owner's share, or what differs from the one it was told of, and tells it.
    fn book_share(&mut self, now: Time, record: ChargeRecord, first: bool) {
        let ChargeRecord { charge, ref asset, owner, delta, time, .. } = record;
        let fields = format!("kind={charge:?} owner={owner:?} asset={asset} delta={delta}");
        self.log(LogLevel::Info, "charge booked", fields);
        let word = word(charge);
        let share = if first { "your share is" } else { "your share is corrected by" };
        let message = format!("{word} of the account at {}: {share} {delta} {asset}", time.utc());
        let symbol = record.symbol.clone();
        self.tie_out.explained(asset);
        self.emit(Record::Charge(record));
        if let Owner::Session(session) = owner {
            self.notice_of(now, session, word, message, symbol);
        }
    }

    /// By what the last order that ended a position, in that symbol or in any, took from each owner until then.
    fn ended(&self, symbol: Option<&Symbol>, until: Time) -> BTreeMap<Owner, Cash> {
        let mut weights: BTreeMap<Owner, Cash> = BTreeMap::new();
        for fill in self.forced.last_order(symbol, until) {
            let key = (fill.symbol.clone(), fill.trade_id, fill.venue_id);
            let mut rest = fill.qty.as_cash();
            for part in self.books.allocated(&key) {
                rest -= part.qty.as_cash();
                *weights.entry(Owner::Session(part.session)).or_default() += part.qty.as_cash();
            }
            *weights.entry(Owner::External).or_default() += rest.max(Cash::ZERO);
        }
        weights
    }

    /// Splits what the insurance fund took or gave anew where other parts were ended than was thought.
    fn settle_insurance(&mut self, now: Time, changed: &BTreeMap<Asset, Time>) {
        let moved = self.books.contracts().filter_map(|(_, listing)| changed.get(&listing.holding)).min();
        let Some(from) = moved.copied() else { return };
        self.split_anew(
            now,
            |key| key.kind == ChargeKind::Insurance && key.time >= from,
            |gateway, key| gateway.ended(key.symbol.as_ref(), key.time),
        );
    }

    /// Books a payment or charge, by weights; EXTERNAL's where nobody has one. An event and a row of the history that
    /// tell of the same are one fact.
    fn charge_once(&mut self, now: Time, income: &Income, weights: &BTreeMap<Owner, Cash>) {
        let Income { id, kind, symbol, asset, amount, time, loan } = income.clone();
        if id.is_some_and(|id| self.books.knows_charge(kind, id)) {
            return;
        }
        let own = ChargeKey { kind, asset, time, symbol, loan, nth: 0 };
        let twin = self.twin(&own, id, amount).cloned();
        match (twin, id) {
            (Some(key), Some(_)) => {
                self.emit(Record::Charge(share_of(key, Owner::External, Cash::ZERO, id)));
            }
            (Some(_), None) => {}
            (None, _) => {
                // Two of one millisecond stay apart: each has a row of its own to come.
                let own = self.books.next_charge(own);
                for (owner, delta) in weighed(amount, weights) {
                    self.book_share(now, share_of(own.clone(), owner, delta, id), true);
                }
            }
        }
    }

    /// What is booked already of the same payment, told by the other of the event and the row.
    fn twin(&self, own: &ChargeKey, id: Option<u64>, amount: Cash) -> Option<&ChargeKey> {
        // The range ends before its end.
        let (from, until) = (own.time - NEAR, own.time + NEAR + Span::from_nanos(1));
        let same = |(key, shares): &(&ChargeKey, &BTreeMap<Owner, Cash>)| {
            // The event may not say which symbol it was for.
            let of_it = key.symbol == own.symbol || key.symbol.is_none() || own.symbol.is_none();
            let told = || match id {
                Some(_) => !self.books.is_identified(key),
                None => self.books.is_identified(key) || key.time == own.time,
            };
            let sum = || shares.values().copied().sum::<Cash>();
            of_it && key.loan == own.loan && told() && sum() == amount
        };
        self.books.charges_between(own.kind, &own.asset, from, until).find(same).map(|(key, _)| key)
    }

    /// Positions have changed, perhaps before fills by which the venue ended some.
    fn settle_forced(&mut self, now: Time, changed: &BTreeMap<Asset, Time>) {
        let moved = self.books.contracts().filter_map(|(symbol, listing)| {
            changed.get(&listing.holding).map(|from| self.forced.since(symbol, *from))
        });
        for (fill, forced) in moved.flatten().collect::<Vec<_>>() {
            self.allocate(now, &fill, forced);
        }
    }

    /// The parts of those who held what a fill has ended, by the rule.
    fn forced_parts(&self, fill: &FillRecord, forced: Forced) -> BTreeMap<SessionId, AllocationRecord> {
        let closes_longs = fill.side.signed(fill.qty).is_negative();
        let rows = self.books.held_before(fill).into_iter().filter(|(owner, amount)| {
            let holder = matches!(owner, Owner::Session(_) | Owner::External);
            holder && amount.is_positive() == closes_longs
        });
        let held: BTreeMap<Owner, Cash> = rows.map(|(owner, amount)| (owner, amount.abs())).collect();
        // The journal's: after a start it is there before the venue's rules are, and is the same for ever.
        let listing = self.books.listing(&fill.symbol);
        let lot = listing.and_then(|listing| listing.lot).map_or(Cash::from_raw(1), Qty::as_cash);
        let mut quantities = close(fill.qty.as_cash(), &held, lot);
        let taken: Cash = quantities.values().copied().sum();
        *quantities.entry(Owner::External).or_default() += fill.qty.as_cash() - taken;
        let quotes = split(fill.quote, &quantities, Cash::from_raw(1));
        let fees = split(fill.fee, &quantities, WALLET_UNIT);
        let of = |shares: &BTreeMap<Owner, Cash>, owner| shares.get(&owner).copied().unwrap_or_default();
        let part = |(owner, qty): (&Owner, &Cash)| match owner {
            Owner::Session(session) if qty.is_positive() => {
                let (quote, fee) = (of(&quotes, *owner), of(&fees, *owner));
                let part =
                    AllocationRecord { qty: qty.as_qty(), quote, fee, ..no_part(fill, forced, *session) };
                Some((*session, part))
            }
            _ => None,
        };
        quantities.iter().filter_map(part).collect()
    }

    /// Books the parts of a forced fill, or what has changed in them, and tells each session of its own.
    pub(super) fn allocate(&mut self, now: Time, fill: &FillRecord, forced: Forced) {
        let key = (fill.symbol.clone(), fill.trade_id, fill.venue_id);
        let booked: BTreeMap<SessionId, AllocationRecord> =
            self.books.allocated(&key).map(|part| (part.session, part.clone())).collect();
        let mut parts = self.forced_parts(fill, forced);
        for session in booked.keys() {
            parts.entry(*session).or_insert_with(|| no_part(fill, forced, *session));
        }
        for part in parts.into_values() {
            let before = booked.get(&part.session);
            if before != Some(&part) {
                self.book_part(now, &part, before.map(|before| before.qty));
            }
        }
    }

    fn book_part(&mut self, now: Time, part: &AllocationRecord, before: Option<Qty>) {
        let session = part.session;
        let fields = format!(
            "why={:?} session={session} symbol={} side={} qty={} price={}",
            part.forced, part.symbol, part.side, part.qty, part.price
        );
        self.emit(Record::Allocation(part.clone()));
        if self.tie_out.covers(part.time) {
            // Of a time before the books: told with the position that is found.
            return self.tell_found(now, session, &part.symbol);
        }
        match before {
            None => {
                self.log(LogLevel::Error, "the exchange ended a position", fields);
                let message = format!(
                    "the exchange ended {} of {} at {} by {}; the position is as this event says",
                    part.qty,
                    part.symbol,
                    part.price,
                    why(part)
                );
                let fill = FillView {
                    trade_id: part.trade_id,
                    price: part.price,
                    qty: part.qty,
                    quote: part.quote,
                    fee: part.fee,
                    fee_asset: part.fee_asset.clone(),
                    maker: false,
                    time: part.time,
                };
                self.tell_ended(now, part, message, Some(fill));
            }
            Some(before) => {
                self.log(LogLevel::Warn, "the part of an ended position is corrected", fields);
                let message = format!(
                    "of what the exchange ended of {} at {} by {}, {} instead of {before} were this session's, as a \
                     fill of before has shown; the position is as this event says",
                    part.symbol,
                    part.price,
                    why(part),
                    part.qty
                );
                self.tell_ended(now, part, message, None);
            }
        }
    }

    fn tell_ended(&mut self, now: Time, part: &AllocationRecord, message: String, fill: Option<FillView>) {
        let position = self.position_view(part.session, &part.symbol);
        self.tell(now, part.session, Private::Position { position, reason: why(part).to_owned(), fill });
        self.notice_of(now, part.session, why(part), message, Some(part.symbol.clone()));
    }
}

fn why(part: &AllocationRecord) -> &'static str {
    match part.forced {
        Forced::Liquidation => "liquidation",
        Forced::Adl => "adl",
        Forced::Settlement => "settlement",
    }
}

/// Nothing of a fill is the session's.
fn no_part(fill: &FillRecord, forced: Forced, session: SessionId) -> AllocationRecord {
    AllocationRecord {
        forced,
        session,
        symbol: fill.symbol.clone(),
        trade_id: fill.trade_id,
        venue_id: fill.venue_id,
        side: fill.side,
        price: fill.price,
        qty: Qty::ZERO,
        quote: Cash::ZERO,
        fee: Cash::ZERO,
        fee_asset: fill.fee_asset.clone(),
        time: fill.time,
    }
}

fn share_of(key: ChargeKey, owner: Owner, delta: Cash, id: Option<u64>) -> ChargeRecord {
    let ChargeKey { kind: charge, asset, time, symbol, loan, nth } = key;
    ChargeRecord { charge, symbol, asset, owner, delta, id, time, loan, nth }
}

/// By weights; EXTERNAL's where nobody has one.
fn weighed(amount: Cash, weights: &BTreeMap<Owner, Cash>) -> BTreeMap<Owner, Cash> {
    let shares = split(amount, weights, WALLET_UNIT);
    if shares.is_empty() { BTreeMap::from([(Owner::External, amount)]) } else { shares }
}

fn word(kind: ChargeKind) -> &'static str {
    match kind {
        ChargeKind::Funding | ChargeKind::SpecialFunding => "funding",
        ChargeKind::Interest => "interest",
        ChargeKind::Insurance => "insurance",
        ChargeKind::Transfer => "transfer",
        ChargeKind::Trade | ChargeKind::Other => "payment",
    }
}
