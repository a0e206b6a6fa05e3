//! Margin: what positions and open orders need, and whether an account can afford another order.
//!
//! Amounts of margin are rounded up to eight decimals. Of a symbol in one-way mode the larger of two cases counts: all
//! its bids filled, or all its asks; in hedge mode the long and the short side count each for itself. Orders that only
//! reduce count nothing.

use crate::exchange::config::AccountId;
use crate::exchange::futures::account::{Account, Exposure, GRAIN, Margin};
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::request::Reject;
use crate::exchange::order::{Order, PositionSide};
use crate::exchange::request::Reject as MarketReject;
use crate::ids::Symbol;
use crate::market::Side;
use crate::num::{Cash, Qty};

/// Margin for a notional at a leverage.
fn initial(notional: Cash, leverage: u32) -> Cash {
    let divisor = i128::from(leverage.max(1)) * GRAIN;
    Cash::from_raw((notional.abs().raw() + divisor - 1) / divisor * GRAIN)
}

/// The notional that counts when all orders of one side are filled.
fn worst(side: PositionSide, notional: Cash, exposure: Exposure) -> Cash {
    match side {
        PositionSide::Both => (notional + exposure.bids).abs().max((notional - exposure.asks).abs()),
        PositionSide::Long => notional.abs() + exposure.bids,
        PositionSide::Short => notional.abs() + exposure.asks,
    }
}

impl Clearing {
    /// The signed notional of a position at the mark price; at its cost while that is not known.
    pub(super) fn notional(&self, account: &Account, symbol: &Symbol, side: PositionSide) -> Cash {
        let position = account.position(symbol, side);
        self.mark(symbol).map_or(position.cost, |mark| mark.times(position.qty))
    }

    /// The largest notional a position could have with its open orders.
    pub(super) fn worst_of(&self, account: &Account, symbol: &Symbol, side: PositionSide) -> Cash {
        let notional = self.notional(account, symbol, side);
        worst(side, notional, account.exposure(symbol, side)).max(notional.abs())
    }

    /// Margin of one symbol: of its positions, of its orders beyond that, and the least.
    pub(super) fn margin_of(&self, account: &Account, symbol: &Symbol) -> Margin {
        let leverage = account.leverage(symbol);
        let mut margin = Margin::default();
        for side in PositionSide::ALL.iter().copied() {
            let position = account.position(symbol, side);
            let notional = self.notional(account, symbol, side);
            let of_position = initial(notional, leverage);
            margin.position_initial += of_position;
            let worst = worst(side, notional, account.exposure(symbol, side));
            margin.order_initial += (initial(worst, leverage) - of_position).max(Cash::ZERO);
            margin.unrealised += notional - position.cost;
            if let Ok(listed) = self.contract(symbol) {
                margin.maintenance += listed.contract.maintenance(notional);
            }
        }
        margin
    }

    /// Margin of an account over all symbols.
    ///
    /// # Errors
    /// [`MarketReject::UnknownAccount`].
    pub(super) fn margin(&self, id: AccountId) -> Result<Margin, MarketReject> {
        let account = self.account(id)?;
        let mut sum = Margin { wallet: account.wallet, ..Margin::default() };
        for symbol in account.symbols() {
            let one = self.margin_of(account, &symbol);
            sum.unrealised += one.unrealised;
            sum.position_initial += one.position_initial;
            sum.order_initial += one.order_initial;
            sum.maintenance += one.maintenance;
        }
        Ok(sum)
    }
}

/// Can the account afford this order at this cost for so much quantity? It has `counted` with so much so far.
pub(super) fn check(
    clearing: &Clearing,
    order: &Order,
    (counted, cost): (Cash, Cash),
    qty: Qty,
) -> Result<(), Reject> {
    let (symbol, side) = (&order.symbol, order.position.side);
    let account = clearing.account(order.account)?;
    let leverage = account.leverage(symbol);
    let notional = clearing.notional(account, symbol, side);
    let mut exposure = account.exposure(symbol, side);
    let before = worst(side, notional, exposure).max(notional.abs());
    *exposure.side(order.side) += cost - counted;
    let after = worst(side, notional, exposure).max(notional.abs());
    if after <= before {
        return Ok(());
    }
    let most = clearing.contract(symbol)?.contract.max_notional(leverage);
    if after > most {
        return Err(Reject::PositionTooLarge(most));
    }
    let worth = clearing.mark(symbol).map_or(cost, |mark| mark.times(qty));
    let loss = match order.side {
        Side::Buy => cost - worth,
        Side::Sell => worth - cost,
    };
    let margin = clearing.margin(order.account)?;
    let needed = initial(after, leverage) - initial(before, leverage) + loss.max(Cash::ZERO);
    if needed > margin.balance() - margin.initial() {
        return Err(Reject::InsufficientMargin);
    }
    Ok(())
}
