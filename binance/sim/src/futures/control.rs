//! The control interface of futures: what an operator, or another client of the account, would do.

use binance_wire::render::{Object, array};
use serde::Deserialize;
use tradingsys::exchange::futures::{ChildName, ContractStatus, NewOrder, Reject};
use tradingsys::exchange::{AccountId, OrderRef, PositionSide, PositionTerms};
use tradingsys::ids::Symbol;
use tradingsys::num::{Cash, Price, Qty, Rate};
use tradingsys::time::{Span, Time};

use super::order_json;
use super::streams::Unrouted;
use crate::control::{CancelOrder, Outcome, SetPrice, SetRules, SetStatus, Trade, read};
use crate::sim::Sim;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    account: String,
    amount: Cash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Serves {
    serves: Unrouted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMark {
    symbol: String,
    /// Without it: back to the rule.
    mark: Option<Price>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFunding {
    symbol: String,
    /// Without it: back to the rule.
    rate: Option<Rate>,
    /// Time between two payments.
    interval_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deleverage {
    account: String,
    symbol: String,
    qty: Qty,
    position_side: Option<PositionSide>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Liquidate {
    account: String,
    /// Without it: all of the account.
    symbol: Option<String>,
    /// Without it: the whole position.
    qty: Option<Qty>,
    position_side: Option<PositionSide>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    account: String,
    hedge: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLeverage {
    account: String,
    symbol: String,
    leverage: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Children {
    names: ChildName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAccount {
    account: String,
}

fn words(reject: impl std::fmt::Display) -> String {
    reject.to_string()
}

impl Sim {
    /// A request of the control interface about futures; `what` is the path after `/control/futures/`.
    pub(crate) fn futures_control(&mut self, now: Time, what: &str, body: &str) -> Outcome {
        match what {
            "transfer" => self.futures_transfer(now, body),
            "trade" => self.futures_hand(now, body),
            "cancel" => self.futures_cancel_by_hand(now, body),
            "price" => self.futures_set_price(now, body),
            "status" => self.futures_set_status(body),
            "filters" => {
                let wanted: SetRules = read(body)?;
                let symbol = self.perpetual_symbol(&wanted.symbol)?;
                let set = self.futures.core.set_rules(&symbol, wanted.tick, wanted.lot, wanted.min_notional);
                set.map_err(words)?;
                Ok("{}".into())
            }
            "unrouted" => {
                self.futures.unrouted = read::<Serves>(body)?.serves;
                Ok("{}".into())
            }
            "mark" => self.futures_set_mark(now, body),
            "funding" => self.futures_set_funding(now, body),
            "mode" => self.futures_set_mode(now, body),
            "leverage" => {
                let wanted: SetLeverage = read(body)?;
                let account = self.account_named(&wanted.account)?;
                let symbol = self.perpetual_symbol(&wanted.symbol)?;
                self.futures.core.set_leverage(now, account, &symbol, wanted.leverage).map_err(words)?;
                Ok("{}".into())
            }
            "liquidate" => self.futures_liquidate(now, body),
            "deleverage" => self.futures_deleverage(now, body),
            "settle" => {
                let wanted: SetPrice = read(body)?;
                let symbol = self.perpetual_symbol(&wanted.symbol)?;
                self.futures.core.settle_contract(now, &symbol, wanted.price).map_err(words)?;
                Ok("{}".into())
            }
            "children" => {
                self.futures.core.name_children(read::<Children>(body)?.names);
                Ok("{}".into())
            }
            "listen_key" => {
                let account = self.account_named(&read::<OfAccount>(body)?.account)?;
                self.listen_key_expire(now, account);
                Ok("{}".into())
            }
            _ => Err(format!("there is no POST /control/futures/{what}")),
        }
    }

    pub(crate) fn perpetual_named(&self, name: &str) -> Result<usize, String> {
        let place = self.futures.places.get(&Symbol::new(name)).copied().map(usize::from);
        place.ok_or_else(|| format!("there is no perpetual {name:?}"))
    }

    fn perpetual_symbol(&self, name: &str) -> Result<Symbol, String> {
        self.perpetual_named(name).map(|place| self.futures.markets[place].data.symbol.clone())
    }

    /// Fixes a mark price, or lets it follow the rule again; at once.
    fn futures_set_mark(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: SetMark = read(body)?;
        let symbol = self.perpetual_symbol(&wanted.symbol)?;
        self.futures.core.fix_mark(&symbol, wanted.mark).map_err(words)?;
        self.follow_index(now, false);
        Ok("{}".into())
    }

    /// Fixes the funding rate, and how often it is paid: at whole multiples of the interval.
    fn futures_set_funding(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: SetFunding = read(body)?;
        let symbol = self.perpetual_symbol(&wanted.symbol)?;
        self.futures.core.fix_funding_rate(&symbol, wanted.rate).map_err(words)?;
        if let Some(millis) = wanted.interval_ms {
            if millis < 1 {
                return Err("\"interval_ms\" must be above zero".into());
            }
            let every = Span::from_millis(millis);
            self.futures.core.set_funding_interval(now, &symbol, every).map_err(words)?;
        }
        self.follow_index(now, false);
        Ok("{}".into())
    }

    /// Hedge mode or one-way mode, as the account's owner would set it on the venue's pages: not while there are open
    /// orders or positions. To be in that mode already is no mistake.
    fn futures_set_mode(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: SetMode = read(body)?;
        let account = self.account_named(&wanted.account)?;
        match self.futures.core.set_hedge_mode(now, account, wanted.hedge) {
            Ok(()) | Err(Reject::NoChange) => Ok("{}".into()),
            Err(reject) => Err(words(reject)),
        }
    }

    fn futures_liquidate(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: Liquidate = read(body)?;
        // It happens now, not when something was due last.
        self.futures.core.timer(now);
        let account = self.account_named(&wanted.account)?;
        let Some(symbol) = &wanted.symbol else {
            self.futures.core.liquidate(account).map_err(words)?;
            return Ok("{}".into());
        };
        let symbol = self.perpetual_symbol(symbol)?;
        let side = wanted.position_side.unwrap_or(PositionSide::Both);
        self.futures.core.liquidate_part(account, &symbol, side, wanted.qty).map_err(words)?;
        Ok("{}".into())
    }

    fn futures_deleverage(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: Deleverage = read(body)?;
        self.futures.core.timer(now);
        let account = self.account_named(&wanted.account)?;
        let symbol = self.perpetual_symbol(&wanted.symbol)?;
        let side = wanted.position_side.unwrap_or(PositionSide::Both);
        self.futures.core.force_deleveraging(account, &symbol, side, wanted.qty).map_err(words)?;
        Ok("{}".into())
    }

    fn futures_transfer(&mut self, now: Time, body: &str) -> Outcome {
        let transfer: Transfer = read(body)?;
        let account = self.account_named(&transfer.account)?;
        self.futures.core.transfer(now, account, transfer.amount).map_err(words)?;
        Ok("{}".into())
    }

    fn futures_hand(&mut self, now: Time, body: &str) -> Outcome {
        let trade: Trade = read(body)?;
        let place = self.perpetual_named(&trade.symbol)?;
        let symbol = self.futures.markets[place].data.symbol.clone();
        let (account, request) = self.by_hand(symbol, &trade)?;
        let side = trade.position_side.unwrap_or(PositionSide::Both);
        let position = PositionTerms { side, reduce_only: trade.reduce_only, ..PositionTerms::default() };
        let placed = self.futures.core.place(now, account, &NewOrder { request, position }).map_err(words)?;
        let style = &self.futures.markets[place].style;
        Ok(order_json::queried(style, &placed.order, order_json::Label::default()))
    }

    fn futures_cancel_by_hand(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: CancelOrder = read(body)?;
        let account = self.account_named(&wanted.account)?;
        let place = self.perpetual_named(&wanted.symbol)?;
        let symbol = self.futures.markets[place].data.symbol.clone();
        let order = OrderRef::Id(wanted.order_id);
        let canceled = self.futures.core.cancel(now, account, &symbol, &order).map_err(words)?;
        let style = &self.futures.markets[place].style;
        Ok(order_json::queried(style, &canceled.order, order_json::Label::default()))
    }

    /// Moves a synthetic perpetual to another price; the index stays where it is.
    fn futures_set_price(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: SetPrice = read(body)?;
        let place = self.perpetual_named(&wanted.symbol)?;
        if !wanted.price.is_positive() {
            return Err("the price must be above zero".into());
        }
        if !self.futures.markets[place].feed.move_to(now, wanted.price, &mut self.futures.core) {
            return Err("a recorded market goes its own way".into());
        }
        Ok("{}".into())
    }

    fn futures_set_status(&mut self, body: &str) -> Outcome {
        let wanted: SetStatus = read(body)?;
        let place = self.perpetual_named(&wanted.symbol)?;
        let status = ContractStatus::from_word(&wanted.status).ok_or_else(|| {
            let known: Vec<&str> = ContractStatus::ALL.iter().map(|status| status.as_str()).collect();
            format!("there is no status {:?}: {}", wanted.status, known.join(", "))
        })?;
        let symbol = self.futures.markets[place].data.symbol.clone();
        self.futures.core.set_contract_status(&symbol, status).map_err(words)?;
        Ok("{}".into())
    }

    /// What an account has on futures, for the whole state.
    pub(crate) fn futures_state(&self, account: AccountId) -> Outcome {
        let view = self.futures.core.account_view(account).map_err(words)?;
        let positions = self.futures.core.positions(account, None).map_err(words)?;
        let positions = positions.iter().map(|position| {
            Object::new()
                .text("symbol", &position.symbol.upper())
                .text("side", position.side.as_str())
                .text("qty", &position.qty.to_string())
                .text("entry", &position.entry.to_string())
                .end()
        });
        let open: Vec<_> =
            self.futures.core.open_orders(account, None).map_err(words)?.into_iter().cloned().collect();
        Ok(Object::new()
            .text("wallet", &view.margin.wallet.to_string())
            .raw("positions", &array(positions))
            .raw("orders", &self.futures_rows(&open))
            .end())
    }
}
