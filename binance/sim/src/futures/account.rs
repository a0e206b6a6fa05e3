//! Accounts, positions and settings of futures.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, array};
use tradingsys::exchange::futures::{AccountView, Margin, PositionView, Reject};
use tradingsys::exchange::{AccountId, Page, PositionSide, Rate};
use tradingsys::ids::Symbol;
use tradingsys::market::Side;
use tradingsys::num::{Cash, Price};

use super::Market;
use super::refusals::{query_refusal, refusal};
use crate::methods::{Answer, Call};
use crate::sim::Sim;

/// Decimals of money.
const MONEY: u32 = 8;

fn money(amount: Cash) -> String {
    amount.fixed(MONEY)
}

/// A rate with four decimals or as many as it needs.
pub(crate) fn rate(rate: Rate) -> String {
    let text = rate.to_string();
    let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    Price::from_raw(i128::from(rate.raw())).fixed(u32::try_from(places.max(4)).unwrap_or(8))
}

/// Fields of margin in the order `account` has them after the wallet.
fn margin_fields(object: Object, margin: &Margin) -> Object {
    object
        .text("maintMargin", &money(margin.maintenance))
        .text("initialMargin", &money(margin.initial()))
        .text("positionInitialMargin", &money(margin.position_initial))
        .text("openOrderInitialMargin", &money(margin.order_initial))
}

impl Sim {
    fn futures_view(&self, account: AccountId) -> Result<AccountView, ErrorReply> {
        self.futures.core.account_view(account).map_err(query_refusal)
    }

    /// `account.status`: all versions; the third shows only symbols with a position or an order.
    pub(crate) fn futures_account(&mut self, call: &Call<'_>) -> Answer {
        let view = self.futures_view(call.account)?;
        let margin = &view.margin;
        let totals = Object::new()
            .text("totalInitialMargin", &money(margin.initial()))
            .text("totalMaintMargin", &money(margin.maintenance))
            .text("totalWalletBalance", &money(margin.wallet))
            .text("totalUnrealizedProfit", &money(margin.unrealised))
            .text("totalMarginBalance", &money(margin.balance()))
            .text("totalPositionInitialMargin", &money(margin.position_initial))
            .text("totalOpenOrderInitialMargin", &money(margin.order_initial))
            .text("totalCrossWalletBalance", &money(margin.wallet))
            .text("totalCrossUnPnl", &money(margin.unrealised))
            .text("availableBalance", &money(margin.available()))
            .text("maxWithdrawAmount", &money(margin.withdrawable()));
        let asset = Object::new()
            .text("asset", view.asset.as_str())
            .text("walletBalance", &money(margin.wallet))
            .text("unrealizedProfit", &money(margin.unrealised))
            .text("marginBalance", &money(margin.balance()));
        let asset = margin_fields(asset, margin)
            .text("crossWalletBalance", &money(margin.wallet))
            .text("crossUnPnl", &money(margin.unrealised))
            .text("availableBalance", &money(margin.available()))
            .text("maxWithdrawAmount", &money(margin.withdrawable()))
            .int("updateTime", view.updated.millis());
        let mut rows = Vec::new();
        for (place, position) in self.futures_held(call.account, None)? {
            rows.push(self.account_position(call.account, place, &position)?);
        }
        Ok(totals.raw("assets", &array([asset.end()])).raw("positions", &array(rows)).end())
    }

    /// Positions of symbols with a position or an order.
    fn futures_held(
        &self,
        account: AccountId,
        symbol: Option<&Symbol>,
    ) -> Result<Vec<(usize, PositionView)>, ErrorReply> {
        let view = self.futures_view(account)?;
        let mut rows = Vec::new();
        for (place, market) in self.futures.markets.iter().enumerate() {
            let of = &market.data.symbol;
            if symbol.is_some_and(|symbol| symbol != of) {
                continue;
            }
            let known = self.futures.core.positions(account, Some(of)).map_err(query_refusal)?;
            let asked = !self.futures.core.open_orders(account, Some(of)).map_err(query_refusal)?.is_empty();
            let sides: &[PositionSide] =
                if view.hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Both] };
            let held = known.iter().any(|position| !position.qty.is_zero());
            for side in sides.iter().filter(|_| held || asked) {
                let found = known.iter().find(|position| position.side == *side).cloned();
                rows.push((place, found.unwrap_or_else(|| self.no_position(market, *side))));
            }
        }
        Ok(rows)
    }

    fn no_position(&self, market: &Market, side: PositionSide) -> PositionView {
        let symbol = market.data.symbol.clone();
        let mark = self.futures.core.marks(&symbol).unwrap_or_default().mark;
        PositionView {
            symbol,
            side,
            qty: tradingsys::num::Qty::ZERO,
            entry: Price::ZERO,
            realised: Cash::ZERO,
            unrealised: Cash::ZERO,
            mark,
            updated: tradingsys::time::Time::default(),
        }
    }

    fn account_position(&self, account: AccountId, place: usize, position: &PositionView) -> Answer {
        let style = &self.futures.markets[place].style;
        let margin = self.futures.core.margin_in(account, &position.symbol).map_err(query_refusal)?;
        Ok(Object::new()
            .text("symbol", &style.symbol)
            .text("positionSide", position.side.as_str())
            .text("positionAmt", &style.qty(position.qty))
            .text("unrealizedProfit", &money(position.unrealised))
            .text("isolatedMargin", "0")
            .text("notional", &money(position.mark.times(position.qty)))
            .text("isolatedWallet", "0")
            .text("initialMargin", &money(margin.initial()))
            .text("maintMargin", &money(margin.maintenance))
            .int("updateTime", position.updated.millis())
            .end())
    }

    /// `account.balance`.
    pub(crate) fn futures_balance(&mut self, call: &Call<'_>) -> Answer {
        let view = self.futures_view(call.account)?;
        let margin = &view.margin;
        let row = Object::new()
            .text("accountAlias", &format!("SgsR{:04}", call.account.0))
            .text("asset", view.asset.as_str())
            .text("balance", &money(margin.wallet))
            .text("crossWalletBalance", &money(margin.wallet))
            .text("crossUnPnl", &money(margin.unrealised))
            .text("availableBalance", &money(margin.available()))
            .text("maxWithdrawAmount", &money(margin.withdrawable()))
            .flag("marginAvailable", true)
            .int("updateTime", view.updated.millis());
        Ok(array([row.end()]))
    }

    /// `account.position`: symbols with a position or an order.
    pub(crate) fn futures_positions(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let symbol = place.map(|place| self.futures.markets[place].data.symbol.clone());
        let mut rows = Vec::new();
        for (place, position) in self.futures_held(call.account, symbol.as_ref())? {
            rows.push(self.position_row(call.account, place, &position)?);
        }
        Ok(array(rows))
    }

    fn position_row(&self, account: AccountId, place: usize, position: &PositionView) -> Answer {
        let (style, core) = (&self.futures.markets[place].style, &self.futures.core);
        let margin = core.margin_in(account, &position.symbol).map_err(query_refusal)?;
        let liquidation = self.futures.liquidation_price(account, position);
        let (bids, asks) = self.futures.exposure(account, &position.symbol);
        Ok(Object::new()
            .text("symbol", &style.symbol)
            .text("positionSide", position.side.as_str())
            .text("positionAmt", &style.qty(position.qty))
            .text("entryPrice", &position.entry.fixed(MONEY))
            .text("breakEvenPrice", &position.entry.fixed(MONEY))
            .text("markPrice", &position.mark.fixed(MONEY))
            .text("unRealizedProfit", &money(position.unrealised))
            .text("liquidationPrice", &liquidation.map_or("0".into(), |price| price.fixed(MONEY)))
            .text("isolatedMargin", "0")
            .text("notional", &money(position.mark.times(position.qty)))
            .text("marginAsset", "USDT")
            .text("isolatedWallet", "0")
            .text("initialMargin", &money(margin.initial()))
            .text("maintMargin", &money(margin.maintenance))
            .text("positionInitialMargin", &money(margin.position_initial))
            .text("openOrderInitialMargin", &money(margin.order_initial))
            .int("adl", if position.qty.is_zero() { 0 } else { 1 })
            .text("bidNotional", &bids.to_string())
            .text("askNotional", &asks.to_string())
            .int("updateTime", position.updated.millis())
            .end())
    }

    /// `GET /fapi/v1/positionSide/dual`.
    pub(crate) fn position_mode(&mut self, call: &Call<'_>) -> Answer {
        Ok(Object::new().flag("dualSidePosition", self.futures_view(call.account)?.hedge).end())
    }

    /// `POST /fapi/v1/positionSide/dual`.
    pub(crate) fn set_position_mode(&mut self, call: &Call<'_>) -> Answer {
        let needed = || ErrorReply::missing("dualSidePosition");
        let dual = call.params.flag("dualSidePosition")?.ok_or_else(needed)?;
        self.futures.core.set_hedge_mode(call.now, call.account, dual).map_err(|reject| match reject {
            Reject::NoChange => ErrorReply::bad(-4059, "No need to change position side."),
            other => refusal(other),
        })?;
        Ok(success())
    }

    /// `GET /fapi/v1/multiAssetsMargin`.
    pub(crate) fn multi_assets(&mut self, call: &Call<'_>) -> Answer {
        Ok(Object::new().flag("multiAssetsMargin", self.futures_view(call.account)?.multi_assets).end())
    }

    /// `POST /fapi/v1/multiAssetsMargin`.
    pub(crate) fn set_multi_assets(&mut self, call: &Call<'_>) -> Answer {
        let needed = || ErrorReply::missing("multiAssetsMargin");
        let on = call.params.flag("multiAssetsMargin")?.ok_or_else(needed)?;
        self.futures.core.set_multi_assets(call.now, call.account, on).map_err(|reject| match reject {
            Reject::NoChange => ErrorReply::bad(-4171, "No need to change multi-assets mode."),
            other => refusal(other),
        })?;
        Ok(success())
    }

    /// `POST /fapi/v1/leverage`.
    pub(crate) fn set_leverage(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let wanted = call.params.integer("leverage")?.ok_or_else(|| ErrorReply::missing("leverage"))?;
        let leverage = u32::try_from(wanted).unwrap_or(u32::MAX);
        let market = &self.futures.markets[place];
        let symbol = market.data.symbol.clone();
        self.futures.core.set_leverage(call.now, call.account, &symbol, leverage).map_err(refusal)?;
        let most = self.futures.core.contract(&symbol).map_or(Cash::ZERO, |c| c.max_notional(leverage));
        Ok(Object::new()
            .text("symbol", &self.futures.markets[place].style.symbol)
            .int("leverage", leverage)
            .text("maxNotionalValue", &most.to_string())
            .end())
    }

    /// `POST /fapi/v1/marginType`: positions are on cross margin; isolated margin may be asked for, and then
    /// shows, while the symbol has neither orders nor positions.
    pub(crate) fn set_margin_type(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let isolated = match call.params.need("marginType")? {
            "ISOLATED" => true,
            "CROSSED" => false,
            _ => return Err(ErrorReply::bad(code::INVALID_PARAMETER, "Invalid margin type.")),
        };
        let symbol = self.futures.markets[place].data.symbol.clone();
        let key = (call.account, symbol.clone());
        if self.futures.isolated.contains(&key) == isolated {
            return Err(ErrorReply::bad(-4046, "No need to change margin type."));
        }
        if !self.futures.core.open_orders(call.account, Some(&symbol)).map_err(query_refusal)?.is_empty() {
            let words = "Margin type cannot be changed if there exists open orders.";
            return Err(ErrorReply::bad(-4047, words));
        }
        let positions = self.futures.core.positions(call.account, Some(&symbol)).map_err(query_refusal)?;
        if positions.iter().any(|position| !position.qty.is_zero()) {
            let words = "Margin type cannot be changed if there exists position.";
            return Err(ErrorReply::bad(-4048, words));
        }
        if isolated {
            self.futures.isolated.insert(key);
        } else {
            self.futures.isolated.remove(&key);
        }
        Ok(success())
    }

    /// `GET /fapi/v1/symbolConfig`.
    pub(crate) fn symbol_config(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let mut rows = Vec::new();
        for (at, market) in self.futures.markets.iter().enumerate() {
            if place.is_some_and(|place| place != at) {
                continue;
            }
            let symbol = &market.data.symbol;
            let leverage = self.futures.core.leverage(call.account, symbol).map_err(query_refusal)?;
            let most = self.futures.core.contract(symbol).map_or(Cash::ZERO, |c| c.max_notional(leverage));
            let isolated = self.futures.isolated.contains(&(call.account, symbol.clone()));
            let row = Object::new()
                .text("symbol", &market.style.symbol)
                .text("marginType", if isolated { "ISOLATED" } else { "CROSSED" })
                .flag("isAutoAddMargin", false)
                .int("leverage", leverage)
                .text("maxNotionalValue", &most.to_string());
            rows.push(row.end());
        }
        Ok(array(rows))
    }

    /// `GET /fapi/v1/accountConfig`.
    pub(crate) fn account_config(&mut self, call: &Call<'_>) -> Answer {
        let view = self.futures_view(call.account)?;
        let may_trade = call.key.is_some_and(|key| self.keys.at(key).may_trade) && view.settings.can_trade;
        Ok(Object::new()
            .int("feeTier", 0)
            .flag("canTrade", may_trade)
            .flag("canDeposit", true)
            .flag("canWithdraw", true)
            .flag("dualSidePosition", view.hedge)
            .int("updateTime", view.updated.millis())
            .flag("multiAssetsMargin", view.multi_assets)
            .int("tradeGroupId", -1)
            .end())
    }

    /// `GET /fapi/v1/commissionRate`.
    pub(crate) fn futures_commission(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual(call.params, "symbol")?;
        let settings = self.futures_view(call.account)?.settings;
        Ok(Object::new()
            .text("symbol", &self.futures.markets[place].style.symbol)
            .text("makerCommissionRate", &rate(settings.maker_fee))
            .text("takerCommissionRate", &rate(settings.taker_fee))
            .text("rpiCommissionRate", "0.00005")
            .end())
    }

    /// `GET /fapi/v1/rateLimit/order`.
    pub(crate) fn futures_order_limits(&mut self, _: &Call<'_>) -> Answer {
        Ok(self.futures.rates.order_limit_rows())
    }

    /// `GET /fapi/v1/leverageBracket`.
    pub(crate) fn leverage_brackets(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let markets = self.futures.markets.iter().enumerate();
        let wanted = markets.filter(|(at, _)| place.is_none_or(|place| place == *at));
        Ok(array(wanted.map(|(_, market)| self.futures.brackets(market))))
    }

    /// `GET /fapi/v1/income`.
    pub(crate) fn futures_income(&mut self, call: &Call<'_>) -> Answer {
        let place = self.perpetual_if_named(call.params)?;
        let symbol = place.map(|place| self.futures.markets[place].data.symbol.clone());
        let kind = call.params.text("incomeType")?;
        let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
        let limit = call.params.limit(100, 1_000)?;
        let page = Page { from_id: None, start, end, limit: usize::MAX };
        let mut rows = self.futures.core.income(call.account, &page).map_err(query_refusal)?;
        rows.retain(|row| symbol.is_none() || row.symbol == symbol);
        rows.retain(|row| kind.is_none_or(|kind| row.kind.as_str() == kind));
        // The first ones from a start on, the last ones without.
        if start.is_some() {
            rows.truncate(limit);
        } else {
            rows.drain(..rows.len().saturating_sub(limit));
        }
        Ok(array(rows.into_iter().map(|row| {
            Object::new()
                .text("symbol", &row.symbol.as_ref().map_or(String::new(), Symbol::upper))
                .text("incomeType", row.kind.as_str())
                .text("income", &money(row.amount))
                .text("asset", row.asset.as_str())
                .text("info", row.kind.as_str())
                .int("time", row.time.millis())
                .int("tranId", row.id)
                .text("tradeId", &row.trade_id.map_or(String::new(), |id| id.to_string()))
                .end()
        })))
    }
}

fn success() -> String {
    Object::new().int("code", 200).text("msg", "success").end()
}

impl super::Futures {
    /// Notional of an account's open bids and asks in a symbol.
    pub(crate) fn exposure(&self, account: AccountId, symbol: &Symbol) -> (Cash, Cash) {
        let (mut bids, mut asks) = (Cash::ZERO, Cash::ZERO);
        for order in self.core.open_orders(account, Some(symbol)).unwrap_or_default() {
            let Some(price) = order.terms.price() else { continue };
            match order.side {
                Side::Buy => bids += price.times(order.left()),
                Side::Sell => asks += price.times(order.left()),
            }
        }
        (bids, asks)
    }

    /// The mark price at which the account's margin would be its maintenance margin, if only this mark price moved;
    /// none if no price does that.
    pub(crate) fn liquidation_price(&self, account: AccountId, position: &PositionView) -> Option<Price> {
        if position.qty.is_zero() {
            return None;
        }
        let view = self.core.account_view(account).ok()?;
        let contract = self.core.contract(&position.symbol)?;
        let notional = position.mark.times(position.qty);
        let bracket = contract.bracket(notional)?;
        let kept = view.margin.maintenance - contract.maintenance(notional);
        // balance + q·(p − mark) = kept + |q|·p·rate − deduction, solved for p.
        let fixed = view.margin.balance() - notional - kept + bracket.deduction;
        let share = position.qty.abs().as_cash().at_rate(i128::from(bracket.maintenance.raw()), 8);
        let slope = share - position.qty.as_cash();
        let price = fixed.per(tradingsys::num::Qty::from_raw(slope.raw()))?;
        price.is_positive().then_some(price)
    }

    fn brackets(&self, market: &Market) -> String {
        let mut floor = Cash::ZERO;
        let mut rows = Vec::new();
        let ladder = self.core.contract(&market.data.symbol).map_or(&[][..], |contract| &contract.brackets);
        for (number, bracket) in (1..).zip(ladder) {
            let row = Object::new()
                .int("bracket", number)
                .int("initialLeverage", bracket.max_leverage)
                .raw("notionalCap", &bracket.cap.to_string())
                .raw("notionalFloor", &floor.to_string())
                .raw("maintMarginRatio", &bracket.maintenance.to_string())
                .raw("cum", &bracket.deduction.to_string());
            rows.push(row.end());
            floor = bracket.cap;
        }
        Object::new()
            .text("symbol", &market.style.symbol)
            .raw("notionalCoef", "1")
            .raw("brackets", &array(rows))
            .end()
    }
}
