//! The end of a contract: its orders end, its positions are closed at the settlement price.

use crate::exchange::config::AccountId;
use crate::exchange::engine::Exchange;
use crate::exchange::futures::clearing::Clearing;
use crate::exchange::futures::contract::ContractStatus;
use crate::exchange::futures::liquidation::Leg;
use crate::exchange::order::{Expiry, Origin, PositionSide};
use crate::exchange::request::Reject;
use crate::ids::Symbol;
use crate::market::Side;
use crate::num::Price;
use crate::time::Time;

impl Exchange<Clearing> {
    /// Ends a contract: it is `SETTLING` while all its orders end and every position is closed against the house
    /// (`settlement_autoclose-…`), without fees, at this price, cut down to the grid; then it is `CLOSE`.
    ///
    /// # Errors
    /// [`Reject::UnknownSymbol`].
    pub fn settle_contract(&mut self, now: Time, symbol: &Symbol, price: Price) -> Result<(), Reject> {
        let now = self.advance(now);
        self.set_contract_status(symbol, ContractStatus::Settling)?;
        let market = self.markets.get(symbol).ok_or(Reject::UnknownSymbol)?;
        let tick = market.listing.instrument.tick();
        let price = price.floor_to(tick).max(tick);
        let accounts: Vec<AccountId> = self.settlement.accounts.keys().copied().collect();
        for id in &accounts {
            self.end_orders(*id, Some(symbol), Expiry::Settlement);
        }
        for id in accounts.into_iter().filter(|id| !id.is_internal()) {
            for (_, side) in self.open_positions(id).into_iter().filter(|(of, _)| of == symbol) {
                let qty = self.settlement.account(id)?.position(symbol, side).qty;
                let closes = if qty.is_positive() { Side::Sell } else { Side::Buy };
                let name = format!("settlement_autoclose-{}", now.millis());
                let leg = |account, position, side| Leg {
                    account,
                    position,
                    side,
                    origin: Origin::Settlement,
                    name: name.clone(),
                };
                let house = leg(AccountId::HOUSE, PositionSide::Both, closes.opposite());
                self.cross(symbol, &[leg(id, side, closes), house], price, qty.abs());
            }
        }
        self.set_contract_status(symbol, ContractStatus::Close)
    }
}
