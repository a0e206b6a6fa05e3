//! What a fill costs, and in which asset.
//!
//! Fees are charged in the asset received, cut off at eight decimals in the trader's favour. An account that pays in
//! the exchange's fee asset is charged that instead, at a discount, if the exchange knows its price and the account
//! has enough of it free; otherwise the fee falls back to the asset received, without discount.

use std::collections::BTreeMap;

use crate::exchange::config::Rate;
use crate::ids::Asset;
use crate::num::{Cash, DECIMALS, ONE, Price, Qty};

/// Decimals fees are charged in.
const FEE_DECIMALS: u32 = 8;

/// The fee asset and its prices.
#[derive(Debug, Default)]
pub(super) struct FeeAsset {
    pub(super) asset: Option<Asset>,
    pub(super) discount: Rate,
    /// Prices set by hand, by quote asset; they win over trades.
    pub(super) fixed: BTreeMap<Asset, Price>,
    /// Last trade prices of the fee asset, by quote asset.
    pub(super) traded: BTreeMap<Asset, Price>,
}

impl FeeAsset {
    /// A trade happened in a symbol of this base and quote.
    pub(super) fn on_trade(&mut self, base: &Asset, quote: &Asset, price: Price) {
        if self.asset.as_ref() == Some(base) {
            match self.traded.get_mut(quote) {
                Some(last) => *last = price,
                None => {
                    self.traded.insert(quote.clone(), price);
                }
            }
        }
    }

    /// The discounted fee of a fill in the fee asset; `None` if its price is not known.
    pub(super) fn fee(&self, trade: &Traded<'_>, rate: Rate) -> Option<(Asset, Cash)> {
        let asset = self.asset.as_ref()?;
        let rate = rate.less(self.discount);
        let fee = if asset == trade.base {
            plain_fee(trade.qty.as_cash(), rate)
        } else if asset == trade.quote_asset {
            plain_fee(trade.quote, rate)
        } else {
            let price = self.fixed.get(trade.quote_asset).or_else(|| self.traded.get(trade.quote_asset))?;
            let worth = trade.quote.at_rate(i128::from(rate.raw()), DECIMALS);
            if !price.is_positive() {
                return None;
            }
            cut(Cash::from_raw(worth.raw() * ONE / price.raw()))
        };
        Some((asset.clone(), fee))
    }
}

/// What changed hands.
#[derive(Debug)]
pub(super) struct Traded<'a> {
    pub(super) base: &'a Asset,
    pub(super) quote_asset: &'a Asset,
    pub(super) qty: Qty,
    pub(super) quote: Cash,
}

/// The fee on an amount in that amount's own asset.
pub(super) fn plain_fee(amount: Cash, rate: Rate) -> Cash {
    amount.at_rate(i128::from(rate.raw()), FEE_DECIMALS)
}

fn cut(amount: Cash) -> Cash {
    let grain = 10_i128.pow(DECIMALS - FEE_DECIMALS);
    Cash::from_raw(amount.raw() / grain * grain)
}
