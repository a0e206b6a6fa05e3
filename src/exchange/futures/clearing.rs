//! Clearing: the wallets and positions of all accounts, and what orders and trades do to them.
//!
//! The sum over all accounts, the internal ones included, of wallet − cost of open positions changes by deposits and
//! withdrawals only; the sum of each contract's positions is always zero.

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::config::{AccountId, AccountSettings, Rate};
use crate::exchange::engine::Exchange;
use crate::exchange::futures::account::{Account, Position, PositionView, WALLET_DECIMALS};
use crate::exchange::futures::conditional::Conditionals;
use crate::exchange::futures::contract::{Contract, FundingRate, Marks};
use crate::exchange::futures::event::{AccountChange, Event, Income, IncomeKind, Reason, WalletChange};
use crate::exchange::futures::request::Reject;
use crate::exchange::futures::{admission, margin};
use crate::exchange::market::{Market, Plan, Slot, Want, next};
use crate::exchange::order::{Fill, Order, Origin, PositionSide, PositionTerms};
use crate::exchange::request::{Reject as MarketReject, Request};
use crate::exchange::settlement::{Amounts, Settled, Settlement};
use crate::ids::{Asset, Symbol, TradeId, VenueOrderId};
use crate::market::{Side, WorkingType};
use crate::num::{Cash, ONE, Price, Qty};
use crate::time::Time;

/// A contract and how it is valued now.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) contract: Contract,
    pub(super) marks: Marks,
    /// A mark price and a funding rate given by hand, which win.
    pub(super) fixed: (Option<Price>, Option<crate::num::Rate>),
    /// Sum and number of the premiums seen since the last funding; raw shares of the index.
    pub(super) premium: (i128, i128),
    pub(super) funding: Vec<FundingRate>,
}

impl Listed {
    pub(super) fn new(contract: Contract) -> Self {
        let (marks, fixed, premium) = (Marks::default(), (None, None), (0, 0));
        Self { contract, marks, fixed, premium, funding: Vec::new() }
    }
}

/// What a transaction touched of an account.
#[derive(Debug, Default)]
struct Touched {
    wallet: bool,
    change: Cash,
    positions: BTreeSet<(Symbol, PositionSide)>,
    funding: Option<Symbol>,
}

/// The money side of the futures exchange.
#[derive(Debug)]
pub struct Clearing {
    /// The margin asset.
    pub(super) asset: Asset,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) contracts: BTreeMap<Symbol, Listed>,
    pub(super) incomes: u64,
    /// When orders expire.
    pub(super) good_tills: BTreeSet<(Time, Symbol, VenueOrderId)>,
    /// When all orders of an account in a symbol are cancelled.
    pub(super) countdowns: BTreeMap<(AccountId, Symbol), Time>,
    pub(super) conditionals: Conditionals,
    /// Accounts that were told that their margin is running out.
    pub(super) called: BTreeSet<AccountId>,
    touched: BTreeMap<(AccountId, Reason), Touched>,
    booked: Vec<Income>,
}

/// A booking in a wallet.
pub(super) struct Booking<'a> {
    pub(super) kind: IncomeKind,
    pub(super) symbol: Option<&'a Symbol>,
    pub(super) trade_id: Option<TradeId>,
    pub(super) amount: Cash,
}

impl Clearing {
    pub(super) fn new(asset: Asset, contracts: BTreeMap<Symbol, Listed>) -> Self {
        let mut clearing = Self {
            asset,
            accounts: BTreeMap::new(),
            contracts,
            incomes: 0,
            good_tills: BTreeSet::new(),
            countdowns: BTreeMap::new(),
            conditionals: Conditionals::default(),
            called: BTreeSet::new(),
            touched: BTreeMap::new(),
            booked: Vec::new(),
        };
        let free =
            AccountSettings { maker_fee: Rate::ZERO, taker_fee: Rate::ZERO, ..AccountSettings::default() };
        for id in [AccountId::HOUSE, AccountId::FEES, AccountId::INSURANCE] {
            clearing.accounts.insert(id, Account::new(free));
        }
        clearing
    }

    pub(super) fn account(&self, id: AccountId) -> Result<&Account, MarketReject> {
        self.accounts.get(&id).ok_or(MarketReject::UnknownAccount)
    }

    pub(super) fn account_mut(&mut self, id: AccountId) -> Result<&mut Account, MarketReject> {
        self.accounts.get_mut(&id).ok_or(MarketReject::UnknownAccount)
    }

    pub(super) fn contract(&self, symbol: &Symbol) -> Result<&Listed, MarketReject> {
        self.contracts.get(symbol).ok_or(MarketReject::UnknownSymbol)
    }

    /// The price positions of a symbol are valued at: mark, else `None`.
    pub(super) fn mark(&self, symbol: &Symbol) -> Option<Price> {
        self.contracts.get(symbol).map(|listed| listed.marks.mark).filter(|mark| mark.is_positive())
    }

    /// Are last and mark price so far apart that protected conditional orders wait?
    pub(super) fn is_wild(&self, symbol: &Symbol, gap: Option<Price>) -> bool {
        let (Some(listed), Some(gap)) = (self.contracts.get(symbol), gap) else { return false };
        gap.raw() > listed.marks.mark.raw() * i128::from(listed.contract.trigger_protect.raw()) / ONE
    }

    /// Books an amount in a wallet; nothing if it is zero.
    pub(super) fn book(&mut self, now: Time, id: AccountId, reason: Reason, booking: &Booking<'_>) {
        let Some(account) = self.accounts.get_mut(&id).filter(|_| !booking.amount.is_zero()) else { return };
        account.wallet += booking.amount;
        account.updated = now;
        if id.is_internal() {
            return;
        }
        let income = Income {
            id: next(&mut self.incomes),
            account: id,
            kind: booking.kind,
            symbol: booking.symbol.cloned(),
            asset: self.asset.clone(),
            amount: booking.amount,
            time: now,
            trade_id: booking.trade_id,
        };
        account.income.push(income.clone());
        self.booked.push(income);
        let touched = self.touched.entry((id, reason)).or_default();
        touched.wallet = true;
        if reason != Reason::Order {
            touched.change += booking.amount;
        }
        if reason == Reason::FundingFee {
            touched.funding = booking.symbol.cloned();
        }
    }

    /// Trades a position; gives the profit realised, not yet booked.
    fn move_position(&mut self, now: Time, order: &Order, price: Price, qty: Qty) -> Cash {
        let Some(account) = self.accounts.get_mut(&order.account) else { return Cash::ZERO };
        let key = (order.symbol.clone(), order.position.side);
        let position = account.positions.entry(key.clone()).or_default();
        position.updated = now;
        let realised = position.trade(order.side, price, qty);
        if !order.account.is_internal() {
            let touched = self.touched.entry((order.account, Reason::Order)).or_default();
            touched.positions.insert(key);
        }
        realised
    }

    /// Positions of a symbol as they are now.
    pub(super) fn view(&self, symbol: &Symbol, side: PositionSide, position: &Position) -> PositionView {
        let mark = self.mark(symbol).unwrap_or_else(|| position.entry());
        PositionView {
            symbol: symbol.clone(),
            side,
            qty: position.qty,
            entry: position.entry(),
            realised: position.realised,
            unrealised: position.unrealised(mark),
            mark,
            updated: position.updated,
        }
    }

    /// Sets how much of an account's exposure is an order's.
    fn expose(&mut self, slot: &mut Slot, held: Cash) {
        let order = &slot.order;
        let delta = held - slot.held;
        slot.held = held;
        if let Some(account) = self.accounts.get_mut(&order.account).filter(|_| !delta.is_zero()) {
            let key = (order.symbol.clone(), order.position.side);
            *account.exposures.entry(key).or_default().side(order.side) += delta;
        }
    }

    /// How much of a position an order could close after its account bought so much besides.
    pub(super) fn closable(&self, order: &Order, bought: Qty) -> Qty {
        let Some(account) = self.accounts.get(&order.account) else { return Qty::ZERO };
        let qty = account.position(&order.symbol, order.position.side).qty + bought;
        match order.side {
            Side::Sell => qty.max(Qty::ZERO),
            Side::Buy => (-qty).max(Qty::ZERO),
        }
    }

    /// Fits an order that may only reduce to its position.
    fn fit(&self, market: &Market, slot: &mut Slot) -> Result<(), Reject> {
        let closable = self.closable(&slot.order, Qty::ZERO);
        let lots = market.lots(closable);
        if lots == 0 || (slot.order.position.side != PositionSide::Both && slot.lots() > lots) {
            return Err(Reject::ReduceOnly);
        }
        if slot.lots() > lots {
            slot.want = Want::Lots(lots);
            slot.order.qty = slot.order.filled + slot.order.prevented + closable;
        }
        Ok(())
    }
}

impl Settlement for Clearing {
    type Told = Event;
    type Refusal = Reject;
    const REDUCES: bool = true;

    fn settings(&self, account: AccountId) -> Option<AccountSettings> {
        self.accounts.get(&account).map(|account| account.settings)
    }

    fn admit(
        &self,
        market: &Market,
        account: AccountId,
        request: &Request,
        position: &PositionTerms,
    ) -> Result<(), Reject> {
        admission::check(market, self, account, request, position)
    }

    fn reserve(&mut self, market: &Market, slot: &mut Slot, plan: &Plan) -> Result<(), Reject> {
        if slot.order.position.reduces(slot.order.side) && !slot.order.account.is_internal() {
            return self.fit(market, slot);
        }
        let held = match slot.limit() {
            Some(limit) => market.notional(market.ticks(limit), slot.lots()),
            None => plan.quote,
        };
        if !slot.order.account.is_internal() {
            let qty = if slot.limit().is_some() { market.qty(slot.lots()) } else { market.qty(plan.lots) };
            margin::check(self, &slot.order, (slot.held, held), qty)?;
        }
        self.expose(slot, held);
        Ok(())
    }

    fn release(&mut self, market: &Market, slot: &mut Slot) {
        let open = slot.order.status.is_open() && !slot.order.position.reduces(slot.order.side);
        let held = match slot.limit() {
            Some(limit) if open => market.notional(market.ticks(limit), slot.lots()),
            None if open => slot.held,
            _ => Cash::ZERO,
        };
        self.expose(slot, held);
    }

    fn settle(&mut self, market: &Market, slot: &mut Slot, amounts: Amounts, maker: bool) -> Settled {
        let Amounts { price, qty, quote } = amounts;
        let (now, id, trade_id) = (slot.order.updated, slot.order.account, market.counters.trade);
        let realised = self.move_position(now, &slot.order, price, qty);
        self.release(market, slot);
        let symbol = &slot.order.symbol;
        let settings = self.settings(id).unwrap_or_default();
        let rate = if maker { settings.maker_fee } else { settings.taker_fee };
        let pays = matches!(slot.order.position.origin, Origin::Client | Origin::Liquidation);
        let fee = match pays && !id.is_internal() {
            true => quote.at_rate(i128::from(rate.raw()), WALLET_DECIMALS),
            false => Cash::ZERO,
        };
        let (symbol, trade_id) = (Some(symbol), Some(trade_id));
        let profit = Booking { kind: IncomeKind::RealizedPnl, symbol, trade_id, amount: realised };
        self.book(now, id, Reason::Order, &profit);
        let paid = Booking { kind: IncomeKind::Commission, symbol, trade_id, amount: -fee };
        self.book(now, id, Reason::Order, &paid);
        self.book(now, AccountId::FEES, Reason::Order, &Booking { amount: fee, ..paid });
        Settled { fee: (self.asset.clone(), fee), realised }
    }

    fn stand_in(&mut self, _: &Market, fill: &Fill) {
        let Some(house) = self.accounts.get_mut(&AccountId::HOUSE) else { return };
        let key = (fill.symbol.clone(), PositionSide::Both);
        let position = house.positions.entry(key).or_default();
        house.wallet += position.trade(fill.side.opposite(), fill.price, fill.qty);
    }

    fn traded(&mut self, market: &Market, price: Price) {
        let symbol = &market.listing.instrument.symbol;
        let gap = self.mark(symbol).map(|mark| (price - mark).abs());
        let wild = self.is_wild(symbol, gap);
        self.conditionals.watch(symbol, WorkingType::Last, price, wild);
    }

    fn follow_up(exchange: &mut Exchange<Self>) {
        exchange.run_conditionals();
    }

    fn cap(&self, market: &Market, order: &Order, bought: i64) -> i64 {
        market.lots(self.closable(order, market.qty(bought)))
    }

    fn idle(&self, market: &Market, account: AccountId) -> Vec<VenueOrderId> {
        if account.is_internal() {
            return Vec::new();
        }
        let closed =
            |order: &&Order| order.position.reduces(order.side) && self.closable(order, Qty::ZERO).is_zero();
        market.open_orders(account).filter(closed).map(|order| order.id).collect()
    }

    fn tell(&mut self, now: Time, out: &mut Vec<Event>) {
        out.extend(std::mem::take(&mut self.booked).into_iter().map(Event::Income));
        for ((id, reason), touched) in std::mem::take(&mut self.touched) {
            let Some(account) = self.accounts.get(&id) else { continue };
            let wallet = touched.wallet.then(|| WalletChange {
                asset: self.asset.clone(),
                balance: account.wallet,
                change: touched.change,
            });
            let view = |(symbol, side): &(Symbol, PositionSide)| {
                self.view(symbol, *side, &account.position(symbol, *side))
            };
            let positions = touched.positions.iter().map(view).collect();
            let symbol = touched.funding;
            out.push(Event::Account(AccountChange {
                account: id,
                time: now,
                reason,
                wallet,
                positions,
                symbol,
            }));
        }
    }
}
