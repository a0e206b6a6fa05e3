//! Funding in the books: at each funding time of a contract, by what each owner held at that instant.
//!
//! ```text
//!   funding time due ─┐                                  ┌─ a fill learnt later ─▶ corrected
//!   payment heard of ─┼─▶ rates asked ─▶ shares booked ──┼─ the payment's amount ─▶ corrected
//!   recovery ─────────┘                                  └─ nothing heard of one ─▶ income asked
//! ```
//!
//! Shares come from the published rate and mark price, also when sessions offset each other and the exchange pays
//! nothing. What the exchange paid is the check: a private event and a row of the income history are one fact, and
//! what they say beyond rounding is UNATTRIBUTED, visibly. Everything is reckoned anew from facts whenever one is
//! learnt, and only what differs from the books is booked.

use std::collections::BTreeMap;

use super::Gateway;
use super::io::LogLevel;
use super::recovery::{PAGE, Purpose};
use crate::ids::{Asset, Symbol};
use crate::journal::{ChargeKind, ChargeRecord, FundingRecord, Owner, Record};
use crate::ledger::books::{ChargeKey, Listing};
use crate::ledger::funding::{due, shares, unexplained};
use crate::num::{Cash, Price, Rate};
use crate::time::{Span, Time, earliest};
use crate::venue::port::{FundingRate, Income, Query};

/// How far before the first holding rates are read: two of them tell the interval.
const BEFORE: Span = Span::from_secs(24 * 3_600);
/// Rates are published a moment after the funding time.
const PUBLISHED_AFTER: Span = Span::from_secs(2);
/// Pause before a rate that should be there is asked for again; doubled each time.
const AGAIN: Span = Span::from_secs(2);
/// Longest pause between two looks at a contract in use: the venue may shorten the interval.
const LOOK_EVERY: Span = Span::from_secs(3_600);
/// Pause where the interval is not known yet.
const LEARN_EVERY: Span = Span::from_secs(60);
/// How far a payment's time may be from its funding time, where the interval does not say less.
pub(super) const NEAR: Span = Span::from_secs(60);
/// How long a payment is waited for before the income history is asked.
const PAID_WITHIN: Span = Span::from_secs(10);
/// How often it is asked for the same payments.
const INCOME_TRIES: u32 = 5;
/// Before and after any time there is.
const BEGINNING: Time = Time::from_nanos(i64::MIN);
const END: Time = Time::from_nanos(i64::MAX);
/// How long balances are not judged while a payment waits for its rate.
const UNJUDGED: Span = Span::from_secs(60);

/// What is known of all contracts.
#[derive(Debug, Default)]
pub(super) struct Fundings {
    contracts: BTreeMap<Symbol, Contract>,
    income_at: Option<Time>,
    income_tries: u32,
    /// The venue's time of the latest payment heard of.
    latest: Option<Time>,
}

#[derive(Debug, Default)]
struct Contract {
    rates: BTreeMap<(ChargeKind, Time), Terms>,
    /// By the time the venue gives; a row of the income history has a number.
    payments: BTreeMap<(ChargeKind, Time, Option<u64>), Payment>,
    ask_at: Option<Time>,
    /// A question is on its way.
    asking: bool,
    /// When the newest question that was answered had been asked.
    asked: Option<Time>,
    tries: u32,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    rate: Rate,
    mark: Price,
    /// In the journal, with that payment.
    recorded: Option<Option<Cash>>,
}

#[derive(Clone, Copy, Debug)]
struct Payment {
    kind: ChargeKind,
    id: Option<u64>,
    amount: Cash,
    time: Time,
    heard: Time,
}

impl Contract {
    fn times(&self, kind: ChargeKind) -> impl DoubleEndedIterator<Item = Time> {
        self.rates.range((kind, BEGINNING)..=(kind, END)).map(|(key, _)| key.1)
    }

    /// The funding time nearest to that one; of two as near the earlier.
    fn nearest(&self, kind: ChargeKind, to: Time) -> Option<Time> {
        let before = self.rates.range((kind, BEGINNING)..=(kind, to)).next_back();
        let after = self.rates.range((kind, to)..=(kind, END)).next();
        let both = before.into_iter().chain(after).map(|(key, _)| key.1);
        both.min_by_key(|time| (to.nanos() - time.nanos()).abs())
    }

    /// The last funding time known.
    fn last(&self) -> Option<Time> {
        self.times(ChargeKind::Funding).next_back()
    }

    /// Time between the last two fundings.
    fn interval(&self) -> Option<Span> {
        let mut back = self.times(ChargeKind::Funding).rev();
        let (last, before) = (back.next()?, back.next()?);
        Some(last - before)
    }

    /// How far a payment may be from its funding.
    fn near(&self) -> Span {
        let half = self.interval().map(|interval| Span::from_nanos(interval.nanos() / 2));
        half.map_or(NEAR, |half| half.min(NEAR))
    }

    /// To which funding a payment belongs; `None` while that is not known.
    fn funding_of(&self, payment: &Payment) -> Option<Time> {
        let nearest = self.nearest(payment.kind, payment.time)?;
        let distance = (payment.time.nanos() - nearest.nanos()).abs();
        // The nearest may be the one before, as long as nobody has looked for a newer one.
        let looked = self.asked.is_some_and(|asked| asked >= payment.time + PUBLISHED_AFTER);
        let settled = looked || payment.time <= nearest + PUBLISHED_AFTER;
        (settled && distance <= self.near().nanos()).then_some(nearest)
    }

    /// What was paid for a funding: the rows of the income history, else what the private event said, else what the
    /// journal knows.
    fn paid(&self, kind: ChargeKind, time: Time) -> Option<Cash> {
        let near = (kind, time - NEAR, None)..=(kind, time + NEAR, Some(u64::MAX));
        let mut rows = BTreeMap::new();
        let mut event = None;
        for (_, payment) in self.payments.range(near).filter(|(_, p)| self.funding_of(p) == Some(time)) {
            match payment.id {
                Some(id) => drop(rows.insert(id, payment.amount)),
                None => event = Some(payment.amount),
            }
        }
        let row = (!rows.is_empty()).then(|| rows.values().copied().sum());
        row.or(event).or_else(|| self.rates.get(&(kind, time)).and_then(|terms| terms.recorded).flatten())
    }

    fn waiting(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values().filter(|payment| self.funding_of(payment).is_none())
    }
}

impl Fundings {
    pub(super) fn fold(&mut self, record: &FundingRecord) {
        let contract = self.contracts.entry(record.symbol.clone()).or_default();
        let terms = Terms { rate: record.rate, mark: record.mark, recorded: Some(record.paid) };
        contract.rates.insert((record.charge, record.time), terms);
        self.latest = self.latest.max(Some(record.time));
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let asks = self.contracts.values().filter(|c| !c.asking).filter_map(|c| c.ask_at).min();
        earliest(asks, self.income_at)
    }

    /// The link is lost, and questions with it. Recovery asks them all again.
    pub(super) fn forget_questions(&mut self) {
        for contract in self.contracts.values_mut() {
            contract.asking = false;
        }
        self.income_at = None;
        self.income_tries = 0;
    }

    /// Is a payment waiting that explains why a balance differs from the books?
    pub(super) fn unsettled(&self, now: Time) -> bool {
        let fresh = |payment: &Payment| now.since(payment.heard) < UNJUDGED;
        self.contracts.values().any(|contract| contract.waiting().any(fresh))
    }
}

impl Gateway {
    /// Contracts somebody holds, or has held since the last funding that is known.
    pub(super) fn contracts_in_use(&self) -> Vec<Symbol> {
        let used = |symbol: &Symbol| self.is_in_use(symbol);
        self.books.contracts().map(|(symbol, _)| symbol.clone()).filter(used).collect()
    }

    fn is_in_use(&self, symbol: &Symbol) -> bool {
        let Some((_, last_change)) = self.books.held_between(symbol) else { return false };
        let known = self.fundings.contracts.get(symbol);
        let changed = known.and_then(Contract::last).is_none_or(|last| last_change >= last);
        let waits = known.is_some_and(|contract| contract.waiting().next().is_some());
        changed || waits || !self.books.held(symbol, last_change, true).is_empty()
    }

    /// The question for a contract's rates that are not known yet.
    pub(super) fn funding_query(&mut self, now: Time, symbol: &Symbol) -> (Query, Purpose) {
        let first = self.books.held_between(symbol).map_or(now, |(first, _)| first) - BEFORE;
        let contract = self.fundings.contracts.entry(symbol.clone()).or_default();
        // Of an earlier run only those are known that were booked: all since the first holding are read once.
        let last = contract.asked.and(contract.last());
        let since = last.map_or(first, |last| last + Span::from_millis(1));
        contract.asking = true;
        contract.ask_at = None;
        let query = Query::Funding { symbol: symbol.clone(), since };
        (query.clone(), Purpose::Funding { query, asked: now })
    }

    /// The question for payments that may have been missed.
    pub(super) fn income_query(&self, now: Time) -> (Query, Purpose) {
        let unpaid = self.unpaid().into_iter().map(|(_, _, time)| time).min();
        let known = earliest(earliest(unpaid, self.fundings.latest), self.tie_out.disputed_since());
        let since = known.unwrap_or_else(|| {
            let firsts = self.books.contracts().filter_map(|(symbol, _)| self.books.held_between(symbol));
            firsts.map(|(first, _)| first).min().unwrap_or(now)
        });
        let query = Query::Income { since: since - NEAR };
        (query.clone(), Purpose::Income { query, asked: now })
    }

    pub(super) fn funding_timer(&mut self, now: Time) {
        if !self.recovery.connected() {
            return;
        }
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let contracts = self.fundings.contracts.iter().filter(|(_, c)| due(c.ask_at) && !c.asking);
        let symbols: Vec<Symbol> = contracts.map(|(symbol, _)| symbol.clone()).collect();
        for symbol in symbols {
            let (query, purpose) = self.funding_query(now, &symbol);
            self.ask(now, &query, purpose);
        }
        if due(self.fundings.income_at) {
            self.fundings.income_at = None;
            self.fundings.income_tries += 1;
            let (query, purpose) = self.income_query(now);
            self.ask(now, &query, purpose);
        }
    }

    /// Rates as they were published. Gives the question for the next page, if this one was full.
    pub(super) fn funding_answered(
        &mut self,
        now: Time,
        symbol: &Symbol,
        asked: Time,
        rates: &[FundingRate],
    ) -> Option<(Query, Purpose)> {
        let contract = self.fundings.contracts.entry(symbol.clone()).or_default();
        let mut news = Vec::new();
        for rate in rates.iter().filter(|rate| rate.symbol == *symbol) {
            let key = (rate.kind, rate.time);
            let recorded = contract.rates.get(&key).and_then(|terms| terms.recorded);
            news.push(key);
            contract.rates.insert(key, Terms { rate: rate.rate, mark: rate.mark, recorded });
        }
        contract.asking = false;
        contract.asked = contract.asked.max(Some(asked));
        news.extend(contract.payments.values().filter_map(|p| Some((p.kind, contract.funding_of(p)?))));
        news.sort_unstable();
        news.dedup();
        for (kind, time) in news {
            self.settle_funding(now, symbol, kind, time);
        }
        if rates.len() >= PAGE {
            return Some(self.funding_query(now, symbol));
        }
        self.schedule_funding(now, symbol);
        None
    }

    /// When to look next.
    fn schedule_funding(&mut self, now: Time, symbol: &Symbol) {
        let in_use = self.is_in_use(symbol);
        let Some(contract) = self.fundings.contracts.get_mut(symbol) else { return };
        let next = contract.last().zip(contract.interval()).map(|(last, interval)| last + interval);
        let overdue = in_use && next.is_some_and(|next| next + PUBLISHED_AFTER <= now);
        let late = overdue || contract.waiting().next().is_some();
        contract.tries = if late { contract.tries + 1 } else { 0 };
        contract.ask_at = if late {
            Some(now + AGAIN * (1 << contract.tries.min(5)))
        } else {
            let at = next.map_or(now + LEARN_EVERY, |next| (next + PUBLISHED_AFTER).min(now + LOOK_EVERY));
            in_use.then_some(at)
        };
        if contract.tries == 5 && contract.waiting().next().is_some() {
            let fields = format!("symbol={symbol}");
            self.log(LogLevel::Error, "a funding payment has no published rate", fields);
        }
    }

    /// The account was paid, as an event or a row of the income history says.
    pub(super) fn funding_paid(&mut self, now: Time, income: &Income) {
        let Some(symbol) = income.symbol.clone() else {
            let fields = format!("amount={} time={:?}", income.amount, income.time);
            return self.log(LogLevel::Error, "a funding payment names no symbol", fields);
        };
        if self.list_reported(now, &symbol).is_none() {
            return;
        }
        self.fundings.latest = self.fundings.latest.max(Some(income.time));
        let contract = self.fundings.contracts.entry(symbol.clone()).or_default();
        let Income { id, kind, amount, time, .. } = *income;
        if contract.payments.contains_key(&(kind, time, id)) {
            return;
        }
        let payment = Payment { kind, id, amount, time, heard: now };
        let funding = contract.funding_of(&payment);
        contract.payments.insert((kind, time, id), payment);
        match funding {
            Some(time) => self.settle_funding(now, &symbol, kind, time),
            None => contract.ask_at = earliest(contract.ask_at, Some(now)),
        }
    }

    /// All of a contract's past is in the books: its fundings are reckoned from the first holding on.
    pub(super) fn read_fundings(&mut self, now: Time, symbol: &Symbol) {
        if self.books.listing(symbol).is_some_and(Listing::is_contract) {
            let contract = self.fundings.contracts.entry(symbol.clone()).or_default();
            (contract.asked, contract.ask_at) = (None, Some(now));
        }
    }

    /// Positions have changed, perhaps before fundings that are booked.
    pub(super) fn settle_moved(&mut self, now: Time, changed: &BTreeMap<Asset, Time>) {
        let moved = |(symbol, listing): (&Symbol, &Listing)| {
            changed.get(&listing.holding).map(|from| (symbol.clone(), *from))
        };
        // Those whose past is being read are reckoned once it is known.
        let known = |(symbol, _): &(Symbol, Time)| !self.scans.is_under_way(symbol);
        let moved: Vec<(Symbol, Time)> = self.books.contracts().filter_map(moved).filter(known).collect();
        for (symbol, from) in moved {
            let contract = self.fundings.contracts.entry(symbol.clone()).or_default();
            let after: Vec<_> = contract.rates.keys().filter(|(_, time)| *time >= from).copied().collect();
            if contract.ask_at.is_none() && !contract.asking {
                contract.ask_at = Some(now);
            }
            if contract.rates.keys().next().is_none_or(|(_, first)| *first > from) {
                // Earlier than anything known: the rates since then have to be read.
                contract.asked = None;
            }
            for (kind, time) in after {
                self.settle_funding(now, &symbol, kind, time);
            }
        }
    }

    /// Books what is missing of a funding's shares.
    fn settle_funding(&mut self, now: Time, symbol: &Symbol, kind: ChargeKind, time: Time) {
        let Some(asset) = self.books.listing(symbol).map(|listing| listing.quote.clone()) else { return };
        let Some(contract) = self.fundings.contracts.get(symbol) else { return };
        let Some(terms) = contract.rates.get(&(kind, time)).copied() else { return };
        let paid = contract.paid(kind, time);
        let (rate, mark) = (terms.rate, terms.mark);
        let mut held = self.books.held(symbol, time, false);
        if !unexplained(&held, rate, mark, paid).is_zero() {
            // What was filled in the very millisecond counts if that is what the payment says.
            let with = self.books.held(symbol, time, true);
            if unexplained(&with, rate, mark, paid).is_zero() {
                held = with;
            }
        }
        let key =
            ChargeKey { kind, asset: asset.clone(), time, symbol: Some(symbol.clone()), loan: None, nth: 0 };
        let booked = self.books.charged(&key);
        if held.is_empty() && booked.is_empty() && paid.is_none_or(Cash::is_zero) {
            return;
        }
        if terms.recorded != Some(paid) {
            let record = FundingRecord {
                symbol: symbol.clone(),
                charge: kind,
                time,
                asset: asset.clone(),
                rate,
                mark,
                paid,
            };
            self.fundings.fold(&record);
            self.emit(Record::Funding(record));
        }
        let target = shares(&held, rate, mark, paid);
        let first = booked.is_empty();
        let owners: std::collections::BTreeSet<Owner> = target.keys().chain(booked.keys()).copied().collect();
        for owner in owners {
            let of = |shares: &BTreeMap<Owner, Cash>| shares.get(&owner).copied().unwrap_or_default();
            let delta = of(&target) - of(&booked);
            if !delta.is_zero() {
                let what = ChargeRecord {
                    charge: kind,
                    symbol: Some(symbol.clone()),
                    asset: asset.clone(),
                    owner,
                    delta,
                    id: None,
                    time,
                    loan: None,
                    nth: 0,
                };
                self.book_funding(now, what, first, &format!("rate {rate}, mark price {mark}"));
            }
        }
        if paid.is_none() && !due(held.values().copied().sum(), rate, mark).is_zero() {
            self.await_payment(now);
        }
    }

    fn book_funding(&mut self, now: Time, charge: ChargeRecord, first: bool, terms: &str) {
        let ChargeRecord { owner, delta, ref asset, time, .. } = charge;
        let symbol = charge.symbol.clone().map_or_else(String::new, |symbol| symbol.to_string());
        let fields = format!("symbol={symbol} time={time:?} owner={owner:?} delta={delta} asset={asset}");
        let (level, event) = match (owner, first) {
            (Owner::Unattributed, _) => (LogLevel::Error, "funding that the books cannot explain"),
            (_, true) => (LogLevel::Info, "funding booked"),
            (_, false) => (LogLevel::Warn, "funding corrected"),
        };
        if self.tie_out.covers(time) && owner != Owner::Unattributed {
            // Of a time before the books, reckoned anew: told with the position that was found.
            return self.emit(Record::Charge(charge));
        }
        self.log(level, event, fields);
        let message = if first {
            format!("funding of {symbol} at {}: {delta} {asset} ({terms})", time.utc())
        } else {
            format!("funding of {symbol} at {} is corrected by {delta} {asset} ({terms})", time.utc())
        };
        let about = charge.symbol.clone();
        self.emit(Record::Charge(charge));
        if let Owner::Session(session) = owner {
            self.notice_of(now, session, "funding", message, about);
        }
    }

    fn await_payment(&mut self, now: Time) {
        if self.fundings.income_tries < INCOME_TRIES {
            let wait = PAID_WITHIN * (1 << self.fundings.income_tries);
            self.fundings.income_at = earliest(self.fundings.income_at, Some(now + wait));
        }
    }

    /// Fundings that should have been paid and of which no payment is known.
    fn unpaid(&self) -> Vec<(Symbol, ChargeKind, Time)> {
        let mut unpaid = Vec::new();
        for (symbol, contract) in &self.fundings.contracts {
            for ((kind, time), terms) in &contract.rates {
                // What is recorded with a payment has one.
                if terms.recorded != Some(None) || contract.paid(*kind, *time).is_some() {
                    continue;
                }
                let net: Cash = self.books.held(symbol, *time, false).values().copied().sum();
                if !due(net, terms.rate, terms.mark).is_zero() {
                    unpaid.push((symbol.clone(), *kind, *time));
                }
            }
        }
        unpaid
    }

    /// Rows of the income history. Gives the question for the next page, if this one was full.
    pub(super) fn income_answered(
        &mut self,
        now: Time,
        asked: Time,
        rows: &[Income],
    ) -> Option<(Query, Purpose)> {
        for row in rows {
            self.income(now, row);
        }
        if rows.len() >= PAGE {
            let (first, last) =
                (rows.iter().map(|row| row.time).min()?, rows.iter().map(|row| row.time).max()?);
            // More rows in one millisecond than a page holds: asked for again they would be the same for ever.
            let stuck = first == last;
            if stuck {
                let fields = format!("time={last:?} rows={}", rows.len());
                self.log(
                    LogLevel::Error,
                    "income of one millisecond does not fit a page; going on without",
                    fields,
                );
            }
            let since = if stuck { last + Span::from_millis(1) } else { last };
            let query = Query::Income { since };
            return Some((query.clone(), Purpose::Income { query, asked }));
        }
        self.tie_out.income_read = self.tie_out.income_read.max(Some(asked));
        if self.unpaid().is_empty() {
            self.fundings.income_tries = 0;
        } else {
            self.await_payment(now);
        }
        None
    }

    /// Something in the wallet differs from the books: a funding or a charge nobody has told of may be why.
    pub(super) fn suspect_funding(&mut self, now: Time, asset: &Asset) {
        let settled_in = |symbol: &Symbol| self.books.listing(symbol).is_some_and(|l| l.quote == *asset);
        let symbols: Vec<Symbol> = self.contracts_in_use().into_iter().filter(settled_in).collect();
        for symbol in symbols {
            let contract = self.fundings.contracts.entry(symbol).or_default();
            contract.ask_at = earliest(contract.ask_at, Some(now));
        }
        if self.books.contracts().next().is_some() {
            // Or another payment: what a liquidation left, for one. No difference at all is believed before.
            self.fundings.income_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Time {
        Time::from_millis(hours * 3_600_000)
    }

    fn terms(recorded: Option<Option<Cash>>) -> Terms {
        Terms { rate: Rate::default(), mark: Price::ZERO, recorded }
    }

    fn payment(time: Time, id: Option<u64>) -> Payment {
        Payment { kind: ChargeKind::Funding, id, amount: Cash::whole(1), time, heard: time }
    }

    #[test]
    fn a_payment_belongs_to_the_nearest_funding_and_of_two_as_near_to_the_earlier() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut contract = Contract::default();
        for _ in 0..200 {
            let key = (ChargeKind::Funding, Time::from_millis(rng.i64(0..2_000)));
            contract.rates.insert(key, terms(None));
        }
        for millis in -10..2_010 {
            let to = Time::from_millis(millis);
            let naive =
                contract.times(ChargeKind::Funding).min_by_key(|time| (time.nanos() - to.nanos()).abs());
            assert_eq!(contract.nearest(ChargeKind::Funding, to), naive, "{millis}");
        }
        assert_eq!(contract.nearest(ChargeKind::SpecialFunding, at(0)), None);
    }

    /// Three years of a contract that pays every hour: what each payment is for is found without a look at all others.
    #[test]
    fn r45_years_of_payments_are_matched_in_a_moment() {
        const HOURS: i64 = 26_000;
        let mut contract = Contract { asked: Some(at(HOURS + 1)), ..Contract::default() };
        for hour in 0..HOURS {
            contract.rates.insert((ChargeKind::Funding, at(hour)), terms(Some(None)));
            for id in [None, Some(hour as u64)] {
                let time = at(hour) + Span::from_millis(500);
                contract.payments.insert((ChargeKind::Funding, time, id), payment(time, id));
            }
        }
        assert!((0..HOURS).all(|hour| contract.paid(ChargeKind::Funding, at(hour)) == Some(Cash::whole(1))));
        assert_eq!(contract.waiting().count(), 0);
        assert_eq!(contract.paid(ChargeKind::Funding, at(HOURS)), None);
    }
}
