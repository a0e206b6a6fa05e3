//! What a margin wallet has and owes, loans, and transfers between wallets.

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, array};
use tradingsys::exchange::{AccountId, Loan};
use tradingsys::ids::{Asset, Symbol};
use tradingsys::num::{Cash, Price, Qty};

use super::{cross_only, margin_refusal};
use crate::methods::{Answer, Call};
use crate::params::Params;
use crate::sim::Sim;
use crate::trading::{query_refusal, refusal};

/// The level shown of a wallet that owes nothing.
const FREE_OF_DEBT: i64 = 999;

fn amount(params: &Params) -> Result<Cash, ErrorReply> {
    params.decimal("amount")?.map(Cash::from_raw).ok_or_else(|| ErrorReply::missing("amount"))
}

impl Sim {
    fn in_bitcoin(&self, amount: Cash) -> Cash {
        let price = self.exchange.last_price(&Symbol::new("BTCUSDT")).unwrap_or(Price::ZERO);
        amount.per(Qty::from_raw(price.raw())).map_or(Cash::ZERO, |share| Cash::from_raw(share.raw()))
    }

    /// `GET /sapi/v1/margin/account`.
    pub(crate) fn margin_account(&mut self, call: &Call<'_>) -> Answer {
        let wallet = self.margin_of(call.account);
        let (held, owed) = self.exchange.margin_worth(wallet).map_err(margin_refusal)?;
        let level = self.exchange.margin_level(wallet).map_err(margin_refusal)?;
        let level = level.unwrap_or(Price::whole(FREE_OF_DEBT));
        let loans = self.exchange.loans(wallet).map_err(margin_refusal)?;
        let balances = self.exchange.balances(wallet).map_err(query_refusal)?;
        let mut assets: Vec<Asset> = balances.iter().map(|balance| balance.asset.clone()).collect();
        assets.extend(loans.iter().map(|(asset, _)| asset.clone()));
        assets.sort();
        assets.dedup();
        let rows = assets.iter().map(|asset| {
            let of = |loans: &[(Asset, Loan)]| loans.iter().find(|(a, _)| a == asset).map(|(_, loan)| *loan);
            let loan = of(&loans).unwrap_or_default();
            let balance = balances.iter().find(|balance| balance.asset == *asset);
            let (free, locked) =
                balance.map_or((Cash::ZERO, Cash::ZERO), |balance| (balance.free, balance.locked));
            Object::new()
                .text("asset", asset.as_str())
                .fixed("borrowed", loan.borrowed.raw())
                .fixed("free", free.raw())
                .fixed("interest", loan.interest.raw())
                .fixed("locked", locked.raw())
                .fixed("netAsset", (free + locked - loan.owed()).raw())
                .end()
        });
        Ok(Object::new()
            .flag("created", true)
            .flag("borrowEnabled", true)
            .fixed("marginLevel", level.raw())
            .fixed("collateralMarginLevel", level.raw())
            .fixed("totalAssetOfBtc", self.in_bitcoin(held).raw())
            .fixed("totalLiabilityOfBtc", self.in_bitcoin(owed).raw())
            .fixed("totalNetAssetOfBtc", self.in_bitcoin(held - owed).raw())
            .fixed("TotalCollateralValueInUSDT", held.raw())
            .fixed("totalOpenOrderLossInUSDT", 0)
            .flag("tradeEnabled", true)
            .flag("transferInEnabled", true)
            .flag("transferOutEnabled", true)
            .text("accountType", "MARGIN_1")
            .raw("userAssets", &array(rows))
            .end())
    }

    /// What a margin wallet has and owes, for the whole state.
    pub(crate) fn margin_state(&self, account: AccountId) -> Result<String, String> {
        let wallet = self.margin_of(account);
        let words = |reject: tradingsys::exchange::Reject| reject.to_string();
        let balances = self.exchange.balances(wallet).map_err(words)?;
        let balances = balances.iter().map(|balance| {
            Object::new()
                .text("asset", balance.asset.as_str())
                .text("free", &balance.free.to_string())
                .text("locked", &balance.locked.to_string())
                .end()
        });
        let loans = self.exchange.loans(wallet).map_err(|reject| reject.to_string())?;
        let loans = loans.iter().map(|(asset, loan)| {
            Object::new()
                .text("asset", asset.as_str())
                .text("borrowed", &loan.borrowed.to_string())
                .text("interest", &loan.interest.to_string())
                .end()
        });
        Ok(Object::new().raw("balances", &array(balances)).raw("loans", &array(loans)).end())
    }

    /// `POST /sapi/v1/margin/borrow-repay`.
    pub(crate) fn borrow_repay(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let (asset, amount) = (self.asset(call.params)?, amount(call.params)?);
        let wallet = self.wallet(call);
        let done = match call.params.need("type")? {
            "BORROW" => self.exchange.borrow(call.now, wallet, &asset, amount),
            "REPAY" => self.exchange.repay(call.now, wallet, &asset, amount).map(|(id, _)| id),
            _ => return Err(ErrorReply::invalid("type")),
        };
        Ok(Object::new().int("tranId", done.map_err(margin_refusal)?).end())
    }

    /// `GET /sapi/v1/margin/maxBorrowable`.
    pub(crate) fn max_borrowable(&mut self, call: &Call<'_>) -> Answer {
        let asset = self.asset(call.params)?;
        let most = self.exchange.max_borrowable(self.wallet(call), &asset).map_err(margin_refusal)?;
        Ok(Object::new().fixed("amount", most.raw()).fixed("borrowLimit", most.raw()).end())
    }

    /// `GET /sapi/v1/margin/allPairs`.
    pub(crate) fn margin_pairs(&mut self, _: &Call<'_>) -> Answer {
        Ok(array(self.exchange.listings().zip(1_000..).map(|(listing, id)| {
            Object::new()
                .int("id", id)
                .text("symbol", &listing.instrument.symbol.upper())
                .text("base", listing.instrument.base.as_str())
                .text("quote", listing.instrument.quote.as_str())
                .flag("isMarginTrade", true)
                .flag("isBuyAllowed", true)
                .flag("isSellAllowed", true)
                .end()
        })))
    }

    /// `GET /sapi/v1/margin/priceIndex`.
    pub(crate) fn margin_price(&mut self, call: &Call<'_>) -> Answer {
        let symbol = self.symbol(call.params, "symbol")?;
        let place = self.place(&symbol);
        Ok(Object::new()
            .int("calcTime", call.now.millis())
            .fixed("price", self.markets[place].data.last_price().raw())
            .text("symbol", &symbol.upper())
            .end())
    }

    /// `GET /sapi/v1/margin/rateLimit/order`.
    pub(crate) fn margin_order_limits(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let wallet = self.wallet(call);
        Ok(array(self.margin.rates.order_rows(call.now, wallet)))
    }

    /// `POST /sapi/v1/asset/transfer`.
    pub(crate) fn move_money(&mut self, call: &Call<'_>) -> Answer {
        let (asset, amount) = (self.asset(call.params)?, amount(call.params)?);
        let (main, margin) = (call.account, self.wallet(call));
        let dollars = || {
            let refused = ErrorReply::bad(-3027, "Not a valid margin asset.");
            if asset == Asset::new("USDT") { Ok(()) } else { Err(refused) }
        };
        let moved = match call.params.need("type")? {
            "MAIN_MARGIN" => self.exchange.move_between(call.now, (main, margin), &asset, amount),
            "MARGIN_MAIN" => self.exchange.move_between(call.now, (margin, main), &asset, amount),
            "MAIN_UMFUTURE" => {
                dollars()?;
                self.exchange.withdraw(call.now, main, &asset, amount).map_err(refusal)?;
                let done = self.futures.core.transfer(call.now, main, amount);
                done.map_err(|_| ErrorReply::bad(-5013, "Asset transfer failed: insufficient balance"))?;
                Ok(())
            }
            "UMFUTURE_MAIN" => {
                dollars()?;
                let done = self.futures.core.transfer(call.now, main, -amount);
                done.map_err(|_| ErrorReply::bad(-5013, "Asset transfer failed: insufficient balance"))?;
                self.exchange.deposit(call.now, main, &asset, amount).map_err(refusal)?;
                Ok(())
            }
            _ => return Err(ErrorReply::invalid("type")),
        };
        moved.map_err(margin_refusal)?;
        self.margin.transfers += 1;
        Ok(Object::new().int("tranId", self.margin.transfers).end())
    }
}
