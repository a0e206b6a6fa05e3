//! What the account is paid or charged besides trades and funding, and what the venue ends by force.
//!
//! Liquidation, auto-deleveraging and settlement are fills of the account that no session ordered. Their rule: the
//! fill is EXTERNAL's; of its quantity each owner that held the side it closes takes a part in proportion to what it
//! held, in whole lots, the rest of the division going to the largest; nobody is closed beyond what it held, and what
//! nobody held stays with EXTERNAL. So the sum stays the account's position, and no session keeps one that is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::funding::NEAR;
use super::io::LogLevel;
use crate::ids::{Asset, SessionId};
use crate::journal::{AllocationRecord, ChargeKind, ChargeRecord, FillRecord, Forced, Owner, Record};
use crate::ledger::books::ChargeKey;
use crate::ledger::funding::WALLET_UNIT;
use crate::ledger::split::{close, split};
use crate::num::Cash;
use crate::time::Time;
use crate::venue::port::Income;
use crate::wire::event::{FillView, Private};

impl Gateway {
    /// The account was paid or charged, as a private event or a row of the income history says.
    pub(super) fn income(&mut self, now: Time, income: &Income) {
        if self.tie_out.covers(income.time) {
            return;
        }
        match income.kind {
            ChargeKind::Funding | ChargeKind::SpecialFunding => self.funding_paid(now, income),
            ChargeKind::Insurance => {
                let weights = self.ended(income);
                self.charge_once(now, income, &weights);
            }
            ChargeKind::Trade => {}
            ChargeKind::Interest => {
                let weights = self.books.liabilities(&income.asset, income.time);
                self.charge_once(now, income, &weights);
            }
            ChargeKind::Transfer | ChargeKind::Other => {
                self.charge_once(now, income, &BTreeMap::new());
            }
        }
    }

    /// Rows have changed, perhaps before funding or interest that is booked.
    pub(super) fn settle_changed(&mut self, now: Time) {
        // A correction changes later rows only, so this ends.
        loop {
            let changed = self.books.take_changed();
            if changed.is_empty() {
                return;
            }
            self.settle_moved(now, &changed);
            if self.config.margin {
                self.settle_interest(now, &changed);
            }
        }
    }

    /// Splits interest booked anew where what was owed then has changed.
    fn settle_interest(&mut self, now: Time, changed: &BTreeMap<Asset, Time>) {
        let after = |key: &ChargeKey| {
            key.0 == ChargeKind::Interest && changed.get(&key.2).is_some_and(|from| key.3 > *from)
        };
        let booked: Vec<_> = (self.books.charges())
            .filter(|(key, _)| after(key))
            .map(|(key, shares)| (key.clone(), shares.clone()))
            .collect();
        for (key, shares) in booked {
            let weights = self.books.liabilities(&key.2, key.3);
            let target = weighed(shares.values().copied().sum(), &weights);
            let owners: BTreeSet<Owner> = target.keys().chain(shares.keys()).copied().collect();
            for owner in owners {
                let of = |shares: &BTreeMap<Owner, Cash>| shares.get(&owner).copied().unwrap_or_default();
                let delta = of(&target) - of(&shares);
                if delta.is_zero() {
                    continue;
                }
                let (charge, symbol, asset, time) = key.clone();
                self.book_share(now, ChargeRecord { charge, symbol, asset, owner, delta, id: None, time });
            }
        }
    }

    /// Books an owner's share, and tells it.
    fn book_share(&mut self, now: Time, record: ChargeRecord) {
        let ChargeRecord { charge, ref asset, owner, delta, time, .. } = record;
        let fields = format!("kind={charge:?} owner={owner:?} asset={asset} delta={delta}");
        self.log(LogLevel::Info, "charge booked", fields);
        let word = word(charge);
        let message = format!("{word} of the account at {}: your share is {delta} {asset}", time.millis());
        let symbol = record.symbol.clone();
        self.emit(Record::Charge(record));
        if let Owner::Session(session) = owner {
            self.notice_of(now, session, word, message, symbol);
        }
    }

    /// By what the last forced end in a symbol took from each owner.
    fn ended(&self, income: &Income) -> BTreeMap<Owner, Cash> {
        let Some(symbol) = &income.symbol else { return BTreeMap::new() };
        let Some((venue_id, parts)) = self.books.ended(symbol) else { return BTreeMap::new() };
        let whole = self.orders.by_venue(symbol, venue_id).map_or(Cash::ZERO, |o| o.filled.as_cash());
        let mut weights: BTreeMap<Owner, Cash> =
            parts.iter().map(|(session, qty)| (Owner::Session(*session), qty.as_cash())).collect();
        let rest = whole - weights.values().copied().sum();
        weights.insert(Owner::External, rest.max(Cash::ZERO));
        weights
    }

    /// Books a payment or charge, by weights; EXTERNAL's where nobody has one. An event and a row of the history that
    /// tell of the same are one fact.
    fn charge_once(&mut self, now: Time, income: &Income, weights: &BTreeMap<Owner, Cash>) {
        let Income { id, kind, ref symbol, ref asset, amount, time } = *income;
        if id.is_some_and(|id| self.books.knows_charge(kind, id)) {
            return;
        }
        let twin = self.books.charges().find_map(|(key, shares)| {
            let near = (key.3.nanos() - time.nanos()).abs() <= NEAR.nanos();
            let same = (&key.0, &key.1, &key.2) == (&kind, symbol, asset) && near;
            let told = match id {
                Some(_) => !self.books.is_identified(key),
                None => self.books.is_identified(key) || key.3 == time,
            };
            (same && told && shares.values().copied().sum::<Cash>() == amount).then_some(key.3)
        });
        let charge = |owner, delta, id, time| ChargeRecord {
            charge: kind,
            symbol: symbol.clone(),
            asset: asset.clone(),
            owner,
            delta,
            id,
            time,
        };
        if let Some(time) = twin {
            if id.is_some() {
                self.emit(Record::Charge(charge(Owner::External, Cash::ZERO, id, time)));
            }
            return;
        }
        for (owner, delta) in weighed(amount, weights) {
            self.book_share(now, charge(owner, delta, id, time));
        }
    }

    /// A fill by which the venue itself ended a position is shared among those who held it. To be called before the
    /// fill is booked; gives what is to be booked after it.
    pub(super) fn forced_parts(&self, fill: &FillRecord, forced: Forced) -> Vec<AllocationRecord> {
        let Some(listing) = self.books.listing(&fill.symbol) else { return Vec::new() };
        let closes_longs = fill.side.signed(fill.qty).is_negative();
        let rows = self.books.assets().filter(|(owner, asset, amount)| {
            let holder = matches!(owner, Owner::Session(_) | Owner::External);
            holder && **asset == listing.holding && !amount.is_zero() && amount.is_positive() == closes_longs
        });
        let held: BTreeMap<Owner, Cash> = rows.map(|(owner, _, amount)| (owner, amount.abs())).collect();
        let lot = self.instrument(&fill.symbol).map_or(Cash::from_raw(1), |i| i.lot().as_cash());
        let mut quantities = close(fill.qty.as_cash(), &held, lot);
        let taken: Cash = quantities.values().copied().sum();
        *quantities.entry(Owner::External).or_default() += fill.qty.as_cash() - taken;
        let quotes = split(fill.quote, &quantities, Cash::from_raw(1));
        let fees = split(fill.fee, &quantities, WALLET_UNIT);
        let of = |shares: &BTreeMap<Owner, Cash>, owner| shares.get(&owner).copied().unwrap_or_default();
        let part = |(owner, qty): (&Owner, &Cash)| match owner {
            Owner::Session(session) if qty.is_positive() => Some(AllocationRecord {
                forced,
                session: *session,
                symbol: fill.symbol.clone(),
                trade_id: fill.trade_id,
                venue_id: fill.venue_id,
                side: fill.side,
                price: fill.price,
                qty: qty.as_qty(),
                quote: of(&quotes, *owner),
                fee: of(&fees, *owner),
                fee_asset: fill.fee_asset.clone(),
                time: fill.time,
            }),
            _ => None,
        };
        quantities.iter().filter_map(part).collect()
    }

    /// Books the parts of a forced fill and tells each session of its own.
    pub(super) fn allocate(&mut self, now: Time, parts: Vec<AllocationRecord>) {
        for part in parts {
            let session = part.session;
            let fields = format!(
                "why={:?} session={session} symbol={} side={} qty={} price={}",
                part.forced, part.symbol, part.side, part.qty, part.price
            );
            self.log(LogLevel::Error, "the exchange ended a position", fields);
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
            self.emit(Record::Allocation(part.clone()));
            self.tell_ended(now, session, &part, fill);
        }
    }

    fn tell_ended(&mut self, now: Time, session: SessionId, part: &AllocationRecord, fill: FillView) {
        let why = match part.forced {
            Forced::Liquidation => "liquidation",
            Forced::Adl => "adl",
            Forced::Settlement => "settlement",
        };
        let message = format!(
            "the exchange ended {} of {} at {} by {why}; the position is as this event says",
            part.qty, part.symbol, part.price
        );
        let position = self.position_view(session, &part.symbol);
        self.tell(now, session, Private::Position { position, reason: why.to_owned(), fill: Some(fill) });
        self.notice_of(now, session, why, message, Some(part.symbol.clone()));
    }
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
