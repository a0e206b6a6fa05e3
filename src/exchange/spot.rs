//! Spot settlement: an order locks what it will pay with; a trade swaps base and quote.

use crate::exchange::account::Bank;
use crate::exchange::admission;
use crate::exchange::config::{AccountId, AccountSettings};
use crate::exchange::engine::Exchange;
use crate::exchange::event::Event;
use crate::exchange::fees::{Traded, plain_fee};
use crate::exchange::lending::MarginEvent;
use crate::exchange::market::{Market, Plan, Slot, Want};
use crate::exchange::order::{Fill, Order, PositionTerms};
use crate::exchange::request::{Reject, Request};
use crate::exchange::settlement::{Amounts, Settled, Settlement};
use crate::ids::{Asset, VenueOrderId};
use crate::market::Side;
use crate::num::{Cash, Price};
use crate::time::Time;

impl Settlement for Bank {
    type Told = Event;
    type Refusal = Reject;
    const REDUCES: bool = false;

    fn settings(&self, account: AccountId) -> Option<AccountSettings> {
        self.accounts.get(&account).map(|account| account.settings)
    }

    fn admit(
        &self,
        market: &Market,
        account: AccountId,
        request: &Request,
        _: &PositionTerms,
    ) -> Result<(), Reject> {
        admission::check(market, self, account, request)
    }

    fn reserve(&mut self, market: &Market, slot: &mut Slot, plan: &Plan) -> Result<(), Reject> {
        let need = need(market, slot).unwrap_or_else(|| match (slot.want, slot.order.side) {
            (Want::Quote(amount), Side::Buy) => amount,
            (_, side) => plan.paid(market, side),
        });
        // A triggered market buy held its stop price; what it will pay stands in the book now.
        let missing = (need - slot.held).max(Cash::ZERO);
        let locks = slot.held.is_zero() || missing.is_positive();
        self.borrow_for(slot.order.updated, slot.order.account, market.paid_in(slot.order.side), missing);
        if locks && !self.lock(slot.order.account, market.paid_in(slot.order.side), missing) {
            return Err(Reject::InsufficientBalance);
        }
        slot.held += missing;
        Ok(())
    }

    fn release(&mut self, market: &Market, slot: &mut Slot) {
        let need = if slot.order.status.is_open() { need(market, slot) } else { Some(Cash::ZERO) };
        keep(self, market, slot, need);
    }

    fn settle(&mut self, market: &Market, slot: &mut Slot, amounts: Amounts, maker: bool) -> Settled {
        let instrument = &market.listing.instrument;
        let Amounts { qty, quote, .. } = amounts;
        let (base, quote_asset) = (&instrument.base, &instrument.quote);
        let account = slot.order.account;
        let (paid, received) = match slot.order.side {
            Side::Buy => ((quote_asset, quote), (base, qty.as_cash())),
            Side::Sell => ((base, qty.as_cash()), (quote_asset, quote)),
        };
        self.pay(account, paid.0, paid.1);
        slot.held -= paid.1;
        self.credit(account, received.0, received.1);
        // What a better price leaves over may pay the fee.
        let need = need(market, slot);
        keep(self, market, slot, need);
        let traded = Traded { base, quote_asset, qty, quote };
        let fee = charge_fee(self, account, &traded, received, maker);
        let net = if fee.0 == *received.0 { received.1 - fee.1 } else { received.1 };
        self.lending.receive(slot, received.0, net);
        Settled { fee, realised: Cash::ZERO }
    }

    fn stand_in(&mut self, market: &Market, fill: &Fill) {
        let (base, quote) = match fill.side {
            Side::Buy => (-fill.qty.as_cash(), fill.quote),
            Side::Sell => (fill.qty.as_cash(), -fill.quote),
        };
        let instrument = &market.listing.instrument;
        self.credit(AccountId::HOUSE, &instrument.base, base);
        self.credit(AccountId::HOUSE, &instrument.quote, quote);
    }

    fn traded(&mut self, market: &Market, price: Price) {
        let instrument = &market.listing.instrument;
        self.fee_asset.on_trade(&instrument.base, &instrument.quote, price);
        if self.lending.valued_in.as_ref() == Some(&instrument.quote) {
            match self.lending.prices.get_mut(&instrument.base) {
                Some(last) => *last = price,
                None => drop(self.lending.prices.insert(instrument.base.clone(), price)),
            }
        }
    }

    fn follow_up(exchange: &mut Exchange<Self>) {
        exchange.run_repayments();
    }

    fn cap(&self, _: &Market, _: &Order, _: i64) -> i64 {
        i64::MAX
    }

    fn idle(&self, _: &Market, _: AccountId) -> Vec<VenueOrderId> {
        Vec::new()
    }

    fn tell(&mut self, now: Time, out: &mut Vec<Event>) {
        let liabilities = self.lending.take_told().into_iter();
        out.extend(liabilities.map(|change| Event::Margin(MarginEvent::Liability(change))));
        out.extend(self.take_changes(now).into_iter().map(Event::Balances));
    }
}

/// Unlocks what an order holds beyond its need; nothing if that is not known.
fn keep(bank: &mut Bank, market: &Market, slot: &mut Slot, need: Option<Cash>) {
    let Some(need) = need else { return };
    let surplus = slot.held - need;
    slot.held = need;
    bank.unlock(slot.order.account, market.paid_in(slot.order.side), surplus);
}

/// What an order must hold by its limit, its stop price while it waits, or, of a sale, its lots; `None` if that
/// depends on the book.
fn need(market: &Market, slot: &Slot) -> Option<Cash> {
    let order = &slot.order;
    let at = order.terms.price().or(order.terms.stop().filter(|_| order.working_since.is_none()));
    match (at, order.side, slot.want) {
        (Some(price), side, Want::Lots(lots)) => Some(market.hold(side, market.ticks(price), lots)),
        (None, Side::Sell, Want::Lots(lots)) => Some(market.hold(Side::Sell, 0, lots)),
        _ => None,
    }
}

/// Charges the fee of one side of a trade, and says what it was.
fn charge_fee(
    bank: &mut Bank,
    account: AccountId,
    traded: &Traded<'_>,
    received: (&Asset, Cash),
    maker: bool,
) -> (Asset, Cash) {
    let Some(settings) = bank.accounts.get(&account).map(|a| a.settings) else {
        return (received.0.clone(), Cash::ZERO);
    };
    let rate = if maker { settings.maker_fee } else { settings.taker_fee };
    let in_fee_asset = if settings.pay_in_fee_asset { bank.fee_asset.fee(traded, rate) } else { None };
    let affordable = in_fee_asset.filter(|(asset, fee)| bank.holding(account, asset).free >= *fee);
    let (asset, fee) = affordable.unwrap_or_else(|| (received.0.clone(), plain_fee(received.1, rate)));
    bank.charge(account, &asset, fee);
    (asset, fee)
}
