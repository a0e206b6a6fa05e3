//! What contracts are valued at: index, mark price, premium and funding.
//!
//! The caller gives the index, usually the spot price. The mark price is the median of the index, the middle of best
//! bid and offer, and the last trade; so neither a thin book nor a single trade moves it. The premium,
//! (middle − index) ÷ index, is averaged over the calls since the last funding; the rate is
//! `premium + clamp(interest − premium, ±0.05 %)`, at most the contract's cap either way, at eight decimals.
//!
//! At each funding time, a whole multiple of the interval since the epoch, every account pays
//! `net quantity × mark × rate`, cut off towards zero at eight decimals (received, if negative). What the cutting
//! leaves over goes to or comes from the insurance fund.

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::futures::account::{GRAIN, WALLET_DECIMALS};
use crate::exchange::futures::clearing::{Booking, Clearing, Listed};
use crate::exchange::futures::contract::FundingRate;
use crate::exchange::futures::event::{Event, IncomeKind, Reason};
use crate::exchange::request::{Page, Reject};
use crate::ids::Symbol;
use crate::market::{Side, WorkingType};
use crate::num::{Cash, ONE, Price, Qty, Rate};
use crate::time::{Span, Time};

/// How far interest and premium may be apart before the rate leaves the interest: 0.05 %.
const DAMPER: i128 = ONE / 2_000;

impl Exchange<Clearing> {
    /// Sets the index price; values everything anew, triggers what the mark price reaches, liquidates who has too
    /// little margin.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn set_index(&mut self, now: Time, symbol: &Symbol, index: Price) -> Result<(), Reject> {
        let now = self.advance(now);
        let market = self.markets.get(symbol).ok_or(Reject::UnknownSymbol)?;
        let best = |side| market.best_offer(side).map(|ticks| market.price(ticks).raw());
        let middle = best(Side::Buy).zip(best(Side::Sell)).map(|(bid, ask)| (bid + ask) / 2);
        let last = market.last.map(|ticks| market.price(ticks).raw());
        let listed = self.settlement.contracts.get_mut(symbol).ok_or(Reject::UnknownSymbol)?;
        if let Some(middle) = middle.filter(|_| index.is_positive()) {
            listed.premium.0 += (middle - index.raw()) * ONE / index.raw();
            listed.premium.1 += 1;
        }
        listed.value(now, index, middle, last);
        let (marks, mark) = (listed.marks, listed.marks.mark);
        self.events.push(Event::Marks { symbol: symbol.clone(), time: now, marks });
        let gap = last.map(|last| (Price::from_raw(last) - mark).abs());
        let wild = self.settlement.is_wild(symbol, gap);
        self.settlement.conditionals.watch(symbol, WorkingType::Mark, mark, wild);
        self.run_conditionals();
        self.check_margins(symbol);
        Ok(())
    }

    /// Fixes the mark price from the next index on; `None` goes back to the rule.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn fix_mark(&mut self, symbol: &Symbol, mark: Option<Price>) -> Result<(), Reject> {
        self.settlement.contracts.get_mut(symbol).ok_or(Reject::UnknownSymbol)?.fixed.0 = mark;
        Ok(())
    }

    /// Fixes the funding rate from the next index on, cut off at eight decimals; `None` goes back to the rule.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn fix_funding_rate(&mut self, symbol: &Symbol, rate: Option<Rate>) -> Result<(), Reject> {
        let rate = rate.map(|rate| Rate::from_raw(rate.raw() / GRAIN * GRAIN));
        self.settlement.contracts.get_mut(symbol).ok_or(Reject::UnknownSymbol)?.fixed.1 = rate;
        Ok(())
    }

    /// Sets the time between two fundings; the next one is at its next multiple.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn set_funding_interval(&mut self, now: Time, symbol: &Symbol, every: Span) -> Result<(), Reject> {
        let now = self.advance(now);
        let listed = self.settlement.contracts.get_mut(symbol).ok_or(Reject::UnknownSymbol)?;
        listed.contract.funding_interval = every;
        if listed.marks.next_funding != Time::default() {
            listed.marks.next_funding = next_multiple(now, every);
        }
        Ok(())
    }

    /// When the next funding is.
    pub(super) fn funding_deadline(&self) -> Option<Time> {
        let listed = self.settlement.contracts.values();
        listed.map(|listed| listed.marks.next_funding).filter(|at| *at != Time::default()).min()
    }

    /// Settles the funding that is due, oldest first.
    pub(super) fn run_funding(&mut self, now: Time) {
        while let Some(at) = self.funding_deadline().filter(|at| *at <= now) {
            let due = self.settlement.contracts.iter().filter(|(_, listed)| listed.marks.next_funding == at);
            let due: Vec<Symbol> = due.map(|(symbol, _)| symbol.clone()).collect();
            for symbol in due {
                self.pay_funding(&symbol, at);
            }
        }
    }

    fn pay_funding(&mut self, symbol: &Symbol, at: Time) {
        let now = self.advance(at);
        let Some(listed) = self.settlement.contracts.get_mut(symbol) else { return };
        let (mark, rate) = (listed.marks.mark, listed.marks.rate);
        let funding = FundingRate { time: at, rate, mark };
        listed.funding.push(funding);
        listed.premium = (0, 0);
        listed.marks.next_funding = next_multiple(at, listed.contract.funding_interval);
        let accounts: Vec<AccountId> = self.settlement.accounts.keys().copied().collect();
        let mut left = Cash::ZERO;
        for id in accounts {
            let amount = self.settlement.funding_of(id, symbol, &funding);
            left += amount;
            let booking =
                Booking { kind: IncomeKind::FundingFee, symbol: Some(symbol), trade_id: None, amount };
            self.settlement.book(now, id, Reason::FundingFee, &booking);
        }
        let fund =
            Booking { kind: IncomeKind::FundingFee, symbol: Some(symbol), trade_id: None, amount: -left };
        self.settlement.book(now, AccountId::INSURANCE, Reason::FundingFee, &fund);
        self.events.push(Event::Funding { symbol: symbol.clone(), funding });
        self.tell_accounts();
        self.check_margins(symbol);
    }

    /// Part of a symbol's funding history, oldest first; `page.from_id` means nothing here.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn funding(&self, symbol: &Symbol, page: &Page) -> Result<Vec<FundingRate>, Reject> {
        let all = self.settlement.contract(symbol)?.funding.iter().copied();
        Ok(page.cut(all.filter(|funding| page.covers(funding.time)).collect()))
    }
}

impl Clearing {
    /// What an account receives (pays, if negative) at a funding.
    fn funding_of(&self, id: AccountId, symbol: &Symbol, funding: &FundingRate) -> Cash {
        let Ok(account) = self.account(id) else { return Cash::ZERO };
        let held = account.positions.iter().filter(|((of, _), _)| of == symbol);
        let net: Qty = held.map(|(_, position)| position.qty).sum();
        -funding.mark.times(net).at_rate(funding.rate.raw(), WALLET_DECIMALS)
    }
}

impl Listed {
    /// Values the contract by the index, the book and the last trade.
    fn value(&mut self, now: Time, index: Price, middle: Option<i128>, last: Option<i128>) {
        let mut prices: Vec<i128> = [Some(index.raw()), middle, last].into_iter().flatten().collect();
        prices.sort_unstable();
        let median = match prices.as_slice() {
            [low, high] => (low + high) / 2,
            [_, middle, _] => *middle,
            _ => index.raw(),
        };
        self.marks.index = index;
        self.marks.mark = self.fixed.0.unwrap_or(Price::from_raw(median / GRAIN * GRAIN));
        self.marks.rate = self.fixed.1.unwrap_or_else(|| self.rate());
        if self.marks.next_funding == Time::default() {
            self.marks.next_funding = next_multiple(now, self.contract.funding_interval);
        }
    }

    fn rate(&self) -> Rate {
        let (sum, count) = self.premium;
        let premium = sum / count.max(1);
        let (interest, cap) =
            (i128::from(self.contract.interest.raw()), i128::from(self.contract.funding_cap.raw()));
        let rate = premium + (interest - premium).clamp(-DAMPER, DAMPER);
        Rate::from_raw(rate.clamp(-cap, cap) / GRAIN * GRAIN)
    }
}

/// The first whole multiple of an interval after a time.
fn next_multiple(now: Time, every: Span) -> Time {
    let every = every.nanos().max(1);
    Time::from_nanos((now.nanos().div_euclid(every) + 1).saturating_mul(every))
}
