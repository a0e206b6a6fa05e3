//! What the futures core tells: journals, events of accounts, public streams.

use binance_wire::render::{Object, array};
use tradingsys::exchange::futures::{
    AccountChange, ContractStatus, Event, Income, MarginCall, Setting, SettingChange,
};
use tradingsys::exchange::{Change, OrderEvent, Origin};
use tradingsys::ids::Symbol;
use tradingsys::time::Time;

use super::journal::{funding_line, income_line, order_line, setting_line, trade_line};
use super::order_json::{self, Beside, execution_type};
use super::streams::Speed;
use crate::io::Journal;
use crate::sim::Sim;

/// Events of orders kept for queries that lag.
const RECENT: usize = 20_000;

impl Sim {
    /// Takes the events of the futures core.
    pub(crate) fn futures_absorb(&mut self, now: Time) {
        let mut events = std::mem::take(&mut self.futures.events);
        self.futures.core.drain_events(&mut events);
        for event in events.drain(..) {
            self.futures_absorb_one(now, event);
        }
        self.futures.events = events;
        self.futures.modify_ids.clear();
    }

    fn futures_absorb_one(&mut self, now: Time, event: Event) {
        match event {
            Event::Order(event) => {
                self.tell_futures_order(now, &event);
                self.futures.recent.push_back(*event);
                if self.futures.recent.len() > RECENT {
                    self.futures.recent.pop_front();
                }
            }
            Event::Account(change) => self.tell_account_update(now, &change),
            Event::Income(income) => self.tell_income(&income),
            Event::Setting(change) => self.tell_setting(now, &change),
            Event::Trade { symbol, trade } => {
                let place = self.futures.place(&symbol);
                self.futures_trade(now, place, &trade);
            }
            Event::Book(mut change) => {
                let place = self.futures.place(&change.symbol);
                let recorded = self.futures.markets[place].feed.recorded_first(change.last_update_id);
                change.first_update_id = recorded.unwrap_or(change.first_update_id);
                self.futures.markets[place].data.book(&change);
                if self.futures.markets[place].tells_changes() {
                    self.futures_depth_frames(change.time, change.time, place, Speed::Fast);
                }
            }
            Event::Best(best) => {
                let place = self.futures.place(&best.symbol);
                self.futures_best(now, place, best);
            }
            Event::Status { symbol, status } => self.tell_contract(now, &symbol, status),
            Event::Conditional(one) => self.tell_conditional(now, &one),
            Event::MarginCall(call) => self.tell_margin_call(now, &call),
            // Told in time, with what it is then.
            Event::Marks { .. } => {}
            Event::Funding { symbol, funding } => {
                self.staged.lines.push((Journal::Funding, funding_line(&symbol, &funding)));
            }
        }
    }

    fn tell_futures_order(&mut self, now: Time, event: &OrderEvent) {
        let order = &event.order;
        let name = self.account_name(order.account).to_owned();
        let style = self.futures.markets[self.futures.place(&order.symbol)].style.clone();
        let millis = now.millis();
        if let Change::Trade(fill) = &event.change {
            self.staged.lines.push((Journal::FuturesTrades, trade_line(&style, event, fill, &name)));
            if order.position.origin != Origin::Client {
                let place = self.futures.place(&order.symbol);
                self.futures.markets[place].force(event);
            }
            if order.position.origin == Origin::Client {
                self.tell_futures(order.account, ("TRADE_LITE", ""), || {
                    order_json::trade_lite(millis, &style, event, fill)
                });
            }
        }
        self.staged.lines.push((Journal::FuturesOrders, order_line(&style, event, &name)));
        let label = self.futures_label(order);
        let beside = Beside {
            exposure: self.futures.exposure(order.account, &order.symbol),
            modify_id: self.futures.modify_ids.get(&event.execution_id).copied(),
            label,
        };
        self.tell_futures(order.account, ("ORDER_TRADE_UPDATE", execution_type(event)), || {
            order_json::order_update(millis, &style, event, &beside)
        });
    }

    fn tell_account_update(&mut self, now: Time, change: &AccountChange) {
        let balances = change.wallet.iter().map(|wallet| {
            Object::new()
                .text("a", wallet.asset.as_str())
                .text("wb", &wallet.balance.fixed(8))
                .text("cw", &wallet.balance.fixed(8))
                .text("bc", &wallet.change.to_string())
                .end()
        });
        let positions = change.positions.iter().map(|position| {
            Object::new()
                .text("s", &position.symbol.upper())
                .text("pa", &position.qty.to_string())
                .text("ep", &position.entry.to_string())
                .text("bep", &position.entry.to_string())
                .text("cr", &position.realised.to_string())
                .text("up", &position.unrealised.to_string())
                .text("mt", "cross")
                .text("iw", "0")
                .text("ps", position.side.as_str())
                .end()
        });
        let inner = Object::new()
            .text("m", change.reason.as_str())
            .raw("B", &array(balances))
            .raw("P", &array(positions));
        let inner = match &change.symbol {
            Some(symbol) => inner.text("S", &symbol.upper()),
            None => inner,
        };
        let inner = inner.end();
        self.tell_futures(change.account, ("ACCOUNT_UPDATE", change.reason.as_str()), || {
            Object::new()
                .text("e", "ACCOUNT_UPDATE")
                .int("E", now.millis())
                .int("T", change.time.millis())
                .raw("a", &inner)
                .end()
        });
    }

    /// `MARGIN_CALL`.
    fn tell_margin_call(&mut self, now: Time, call: &MarginCall) {
        let rows = call.positions.iter().map(|(position, kept)| {
            Object::new()
                .text("s", &position.symbol.upper())
                .text("ps", position.side.as_str())
                .text("pa", &position.qty.to_string())
                .text("mt", "CROSSED")
                .text("iw", "0")
                .text("mp", &position.mark.to_string())
                .text("up", &position.unrealised.to_string())
                .text("mm", &kept.to_string())
                .end()
        });
        let text = Object::new()
            .text("e", "MARGIN_CALL")
            .int("E", now.millis())
            .text("cw", &call.margin.wallet.to_string())
            .raw("p", &array(rows))
            .end();
        self.tell_futures(call.account, ("MARGIN_CALL", ""), || text.clone());
    }

    fn tell_income(&mut self, income: &Income) {
        let name = self.account_name(income.account).to_owned();
        self.staged.lines.push((Journal::FuturesIncome, income_line(income, &name)));
    }

    fn tell_setting(&mut self, now: Time, change: &SettingChange) {
        let name = self.account_name(change.account).to_owned();
        self.staged.lines.push((Journal::FuturesSettings, setting_line(change, &name)));
        let (name, inner) = match &change.setting {
            Setting::Leverage(symbol, leverage) => {
                ("ac", Object::new().text("s", &symbol.upper()).int("l", leverage).end())
            }
            Setting::MultiAssets(on) => ("ai", Object::new().flag("j", *on).end()),
            // The venue has no event for the position mode.
            Setting::Hedge(_) => return,
        };
        self.tell_futures(change.account, ("ACCOUNT_CONFIG_UPDATE", ""), || {
            Object::new()
                .text("e", "ACCOUNT_CONFIG_UPDATE")
                .int("E", now.millis())
                .int("T", change.time.millis())
                .raw(name, &inner)
                .end()
        });
    }

    /// `contractInfo`.
    fn tell_contract(&mut self, now: Time, symbol: &Symbol, status: ContractStatus) {
        let listed = self.futures.markets[self.futures.place(symbol)].listed;
        let text = Object::new()
            .text("e", "contractInfo")
            .int("E", now.millis())
            .text("s", &symbol.upper())
            .text("ps", &symbol.upper())
            .text("ct", "PERPETUAL")
            .int("dt", 4_133_404_800_000_i64)
            .int("ot", listed)
            .text("cs", status.as_str())
            .int("st", 1)
            .end();
        let name = super::streams::Name::All(super::streams::Kind::ContractInfo);
        self.publish(crate::streams::StreamName::Futures(name), "!contractInfo", |_| text.clone());
    }
}
