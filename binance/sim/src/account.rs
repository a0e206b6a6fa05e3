//! Queries about the account.

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, array};
use tradingsys::exchange::Rate;
use tradingsys::ids::Asset;

use crate::info::filters;
use crate::methods::{Answer, Call};
use crate::sim::Sim;
use crate::trading::query_refusal;

/// A fee rate in hundredths of a percent, as `makerCommission` shows it.
fn points(rate: Rate) -> i64 {
    rate.raw() / Rate::basis_points(1).raw()
}

fn rates(maker: i64, taker: i64) -> String {
    Object::new()
        .fixed("maker", i128::from(maker))
        .fixed("taker", i128::from(taker))
        .fixed("buyer", 0)
        .fixed("seller", 0)
        .end()
}

impl Sim {
    /// `account.status`.
    pub(crate) fn account_status(&mut self, call: &Call<'_>) -> Answer {
        let omit = call.params.flag("omitZeroBalances")?.unwrap_or(false);
        let (settings, updated) = self.exchange.settings(call.account).map_err(query_refusal)?;
        let balances = self.exchange.balances(call.account).map_err(query_refusal)?;
        let rows = balances
            .iter()
            .filter(|balance| !omit || !balance.free.is_zero() || !balance.locked.is_zero())
            .map(|balance| {
                Object::new()
                    .text("asset", balance.asset.as_str())
                    .fixed("free", balance.free.raw())
                    .fixed("locked", balance.locked.raw())
                    .end()
            });
        let may_trade = call.key.is_some_and(|key| self.keys.at(key).may_trade) && settings.can_trade;
        Ok(Object::new()
            .int("makerCommission", points(settings.maker_fee))
            .int("takerCommission", points(settings.taker_fee))
            .int("buyerCommission", 0)
            .int("sellerCommission", 0)
            .raw("commissionRates", &rates(settings.maker_fee.raw(), settings.taker_fee.raw()))
            .flag("canTrade", may_trade)
            .flag("canWithdraw", true)
            .flag("canDeposit", true)
            .flag("brokered", false)
            .flag("requireSelfTradePrevention", false)
            .flag("preventSor", false)
            .int("updateTime", call.unit.of(updated))
            .text("accountType", "SPOT")
            .raw("balances", &array(rows))
            .raw("permissions", "[\"SPOT\"]")
            .int("uid", 100_000_000 + u64::from(call.account.0))
            .end())
    }

    /// `GET /sapi/v1/account/apiRestrictions`: what the key may do.
    pub(crate) fn key_restrictions(&mut self, call: &Call<'_>) -> Answer {
        let key = call.key.map(|key| self.keys.at(key));
        let may = |right: fn(&crate::auth::Key) -> bool| key.is_some_and(right);
        let trade = may(|key| key.may_trade);
        Ok(Object::new()
            .flag("ipRestrict", may(|key| key.ip_restricted))
            .int("createTime", 1_698_645_219_000_i64)
            .flag("enableReading", true)
            .flag("enableSpotAndMarginTrading", trade)
            .flag("enableWithdrawals", may(|key| key.may_withdraw))
            .flag("enableInternalTransfer", false)
            .flag("permitsUniversalTransfer", false)
            .flag("enableVanillaOptions", false)
            .flag("enableMargin", trade)
            .flag("enableFutures", trade)
            .flag("enableFixApiTrade", false)
            .flag("enableFixReadOnly", false)
            .flag("enablePortfolioMarginTrading", false)
            .end())
    }

    /// `account.commission`.
    pub(crate) fn commission(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let (settings, _) = self.exchange.settings(call.account).map_err(query_refusal)?;
        Ok(Object::new()
            .text("symbol", &symbol.upper())
            .raw("standardCommission", &rates(settings.maker_fee.raw(), settings.taker_fee.raw()))
            .raw("specialCommission", &rates(0, 0))
            .raw("taxCommission", &rates(0, 0))
            .raw("discount", &discount(settings.pay_in_fee_asset))
            .end())
    }

    /// `account.rateLimits.orders`.
    pub(crate) fn order_limits(&mut self, call: &Call<'_>) -> Answer {
        Ok(array(self.rates.order_rows(call.now, call.account)))
    }

    /// `myFilters`.
    pub(crate) fn my_filters(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let listing = self.exchange.listing(&symbol).ok_or_else(ErrorReply::symbol)?;
        Ok(Object::new()
            .raw("exchangeFilters", "[]")
            .raw("symbolFilters", &array(filters(listing)))
            .raw("assetFilters", "[]")
            .end())
    }

    /// `GET /sapi/v1/capital/config/getall`: the assets, and what the account has of them. Money moves by
    /// the control interface only, so there are no networks.
    pub(crate) fn coins(&mut self, call: &Call<'_>) -> Answer {
        let mut assets: Vec<Asset> = Vec::new();
        for listing in self.exchange.listings() {
            for asset in [&listing.instrument.base, &listing.instrument.quote] {
                if !assets.contains(asset) {
                    assets.push(asset.clone());
                }
            }
        }
        let mut rows = Vec::new();
        for asset in &assets {
            let balance = self.exchange.balance(call.account, asset).map_err(query_refusal)?;
            let row = Object::new()
                .text("coin", asset.as_str())
                .text("name", asset.as_str())
                .flag("trading", true)
                .flag("isLegalMoney", false)
                .flag("depositAllEnable", false)
                .flag("withdrawAllEnable", false)
                .fixed("free", balance.free.raw())
                .fixed("locked", balance.locked.raw())
                .text("freeze", "0")
                .text("withdrawing", "0")
                .text("ipoing", "0")
                .text("ipoable", "0")
                .text("storage", "0")
                .raw("networkList", "[]");
            rows.push(row.end());
        }
        Ok(array(rows))
    }

    /// Lists of margin pairs: there are none.
    pub(crate) fn no_pairs(&mut self, _: &Call<'_>) -> Answer {
        Ok("[]".into())
    }

    /// Commission rates of an order, as `order.test` shows them.
    pub(crate) fn order_rates(&self, call: &Call<'_>) -> String {
        let fees = self.exchange.settings(call.account).map(|(settings, _)| settings).unwrap_or_default();
        let pair = |maker: i64, taker: i64| {
            Object::new().fixed("maker", i128::from(maker)).fixed("taker", i128::from(taker)).end()
        };
        Object::new()
            .raw("standardCommissionForOrder", &pair(fees.maker_fee.raw(), fees.taker_fee.raw()))
            .raw("specialCommissionForOrder", &pair(0, 0))
            .raw("taxCommissionForOrder", &pair(0, 0))
            .raw("discount", &discount(fees.pay_in_fee_asset))
            .end()
    }
}

/// The discount for fees paid in BNB: a quarter off.
pub(crate) fn discount(enabled: bool) -> String {
    Object::new()
        .flag("enabledForAccount", enabled)
        .flag("enabledForSymbol", true)
        .text("discountAsset", "BNB")
        .text("discount", "0.75000000")
        .end()
}
