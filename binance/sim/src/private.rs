//! What happens to accounts: lines for the journals, frames for their subscriptions.

use binance_wire::render::Object;
use tradingsys::exchange::{AccountId, BalanceChange, Change, Fill, OrderEvent, Transfer};
use tradingsys::time::Time;

use crate::io::Journal;
use crate::order_json::{account_position, execution_report, execution_type};
use crate::sim::Sim;

impl Sim {
    /// The name of an account in the journals.
    pub(crate) fn account_name(&self, account: AccountId) -> &str {
        self.config.accounts.get(account.0 as usize).map_or("", |account| account.name.as_str())
    }

    /// A change of an order.
    pub(crate) fn tell_order(&mut self, now: Time, event: &OrderEvent) {
        let order = &event.order;
        if let Change::Trade(fill) = &event.change {
            let line = self.trade_line(event, fill);
            self.staged.lines.push((Journal::Trades, line));
            if order.filled == fill.qty {
                self.rates.order_filled(now, order.account, fill.maker);
            }
        }
        let line = self.order_line(event);
        self.staged.lines.push((Journal::Orders, line));
        let label = self.labels.get(&(order.symbol.clone(), order.id)).copied().unwrap_or_default();
        let name = ("executionReport", execution_type(&event.change));
        self.tell(order.account, name, |_, unit| execution_report(event, label, now, unit));
    }

    /// A line of `trades.jsonl`: exact decimals as strings, the time in milliseconds.
    fn trade_line(&self, event: &OrderEvent, fill: &Fill) -> String {
        Object::new()
            .int("trade_id", fill.trade_id)
            .text("symbol", &fill.symbol.upper())
            .int("order_id", fill.order_id)
            .text("client_order_id", event.order.client_id.as_str())
            .text("account", self.account_name(fill.account))
            .text("side", fill.side.as_str())
            .text("price", &fill.price.to_string())
            .text("qty", &fill.qty.to_string())
            .text("quote", &fill.quote.to_string())
            .text("commission", &fill.fee.to_string())
            .text("commission_asset", fill.fee_asset.as_str())
            .int("time", fill.time.millis())
            .flag("maker", fill.maker)
            .end()
    }

    /// A line of `orders.jsonl`.
    fn order_line(&self, event: &OrderEvent) -> String {
        let order = &event.order;
        let previous = match &event.change {
            Change::Canceled { previous_id } | Change::Replaced { previous_id } => Some(previous_id),
            _ => None,
        };
        let line = Object::new()
            .text("event", execution_type(&event.change))
            .int("execution_id", event.execution_id)
            .text("symbol", &order.symbol.upper())
            .int("order_id", order.id)
            .text("client_order_id", order.client_id.as_str());
        let line = match previous {
            Some(previous) => line.text("previous_client_order_id", previous.as_str()),
            None => line,
        };
        line.text("account", self.account_name(order.account))
            .text("side", order.side.as_str())
            .text("type", order.terms.order_type().as_str())
            .text("price", &order.terms.price().unwrap_or_default().to_string())
            .text("stop_price", &order.terms.stop().unwrap_or_default().to_string())
            .text("qty", &order.qty.to_string())
            .text("filled", &order.filled.to_string())
            .text("filled_quote", &order.filled_quote.to_string())
            .text("status", order.status.as_str())
            .int("time", event.time.millis())
            .end()
    }

    /// Balances changed.
    pub(crate) fn tell_balances(&mut self, now: Time, change: &BalanceChange) {
        let name = ("outboundAccountPosition", "");
        self.tell(change.account, name, |_, unit| account_position(&change.balances, change.time, now, unit));
    }

    /// Money came in or went out.
    pub(crate) fn tell_transfer(&mut self, now: Time, transfer: &Transfer) {
        let line = Object::new()
            .text("account", self.account_name(transfer.account))
            .text("asset", transfer.asset.as_str())
            .text("delta", &transfer.delta.to_string())
            .int("time", transfer.time.millis())
            .end();
        self.staged.lines.push((Journal::Transfers, line));
        self.tell(transfer.account, ("balanceUpdate", ""), |_, unit| {
            Object::new()
                .text("e", "balanceUpdate")
                .int("E", unit.of(now))
                .text("a", transfer.asset.as_str())
                .fixed("d", transfer.delta.raw())
                .int("T", unit.of(transfer.time))
                .end()
        });
    }
}
