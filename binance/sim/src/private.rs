//! What happens to accounts: lines for the journals, frames for their subscriptions.

use binance_wire::render::Object;
use tradingsys::exchange::{AccountId, BalanceChange, Change, OrderEvent, Transfer};
use tradingsys::time::Time;

use crate::io::Journal;
use crate::journal::{TransferKind, order_line, trade_line, transfer_line};
use crate::order_json::{account_position, execution_report, execution_type};
use crate::sim::Sim;

impl Sim {
    /// The name of an account in the journals.
    pub(crate) fn account_name(&self, account: AccountId) -> &str {
        self.names.get(account.0 as usize).map_or("", String::as_str)
    }

    /// A change of an order.
    pub(crate) fn tell_order(&mut self, now: Time, event: &OrderEvent) {
        let order = &event.order;
        if let Change::Trade(fill) = &event.change {
            let line = trade_line(event, fill, self.account_name(order.account));
            self.staged.lines.push((Journal::Trades, line));
            if order.filled == fill.qty {
                self.rates.order_filled(now, order.account, fill.maker);
            }
        }
        let label = self.label_of(&order.symbol, order.id);
        let line = order_line(event, label, self.account_name(order.account));
        self.staged.lines.push((Journal::Orders, line));
        let name = ("executionReport", execution_type(&event.change));
        self.tell(order.account, name, |_, unit| execution_report(event, label, now, unit));
    }

    /// Balances changed.
    pub(crate) fn tell_balances(&mut self, now: Time, change: &BalanceChange) {
        let name = ("outboundAccountPosition", "");
        self.tell(change.account, name, |_, unit| account_position(&change.balances, change.time, now, unit));
    }

    /// Money came in or went out.
    pub(crate) fn tell_transfer(&mut self, now: Time, transfer: &Transfer) {
        let line = transfer_line(transfer, TransferKind::Transfer, self.account_name(transfer.account));
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
