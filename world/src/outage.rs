//! Outages: for some seconds the exchange cannot be reached, and goes on without us. And what it then does to the
//! account: fills, fundings, liquidations, deleveraging.

use binance_sim::Journal;
use tradingsys::ids::LinkId;
use tradingsys::journal::Record;
use tradingsys::time::Span;

use crate::product::Product;
use crate::truth::ACCOUNT;
use crate::wire::Arrival;
use crate::world::World;

impl World {
    /// Can the exchange not be reached?
    pub(crate) fn is_dark(&self) -> bool {
        self.now < self.dark_until
    }

    /// All links are cut, and no new one comes about, for some seconds. Meanwhile somebody trades, and perhaps the
    /// exchange ends positions.
    pub(crate) fn outage(&mut self) {
        self.strike("outage");
        let length = Span::from_millis(self.rng.i64(500..8_000));
        self.dark_until = self.now + length;
        let over = |opened, life: Option<Span>| {
            life.is_some_and(|life| opened + life > self.now && opened + life < self.dark_until)
        };
        let rolls = self.wires.values().filter(|wire| over(wire.opened, self.plan.life)).count();
        for _ in 0..rolls {
            self.strike("connection due for replacement in an outage");
        }
        let links: Vec<LinkId> = self.wires.keys().copied().collect();
        for link in links {
            self.cut(link, "outage");
        }
        let asked: Vec<LinkId> = self.asked.values().copied().collect();
        for link in asked {
            let at = self.now + self.lag();
            self.mail.send(at, self.run, Arrival::NoAnswer(link, "the connection broke"));
        }
        for _ in 0..self.rng.u8(0..3) {
            let at = self.within(length);
            self.mail.send(at, 0, Arrival::Sweep);
        }
        for _ in 0..self.rng.u8(0..3) {
            let at = self.within(length);
            self.mail.send(at, 0, Arrival::ForceEnd);
        }
    }

    fn within(&mut self, length: Span) -> tradingsys::time::Time {
        self.now + Span::from_nanos(self.rng.i64(0..length.nanos()))
    }

    /// The market moves, so that resting orders are hit.
    pub(crate) fn sweep(&mut self) {
        let price = format!(r#"{{"symbol":"DOGEUSDT","price":"0.{}"}}"#, self.rng.u32(19_700..20_300));
        let what = if self.plan.product == Product::Usdt { "futures/price" } else { "price" };
        self.operate(what, &price);
    }

    /// The exchange ends the account's position, or a part of it.
    pub(crate) fn force_end(&mut self) {
        if self.plan.product != Product::Usdt || self.now > self.quiet_from() {
            return;
        }
        let qty = self.rng.u32(1..1_500);
        let part = format!(r#"{{"account":"{ACCOUNT}","symbol":"DOGEUSDT","qty":"{qty}"}}"#);
        match self.rng.u8(0..8) {
            0 => self.operate("futures/liquidate", &format!(r#"{{"account":"{ACCOUNT}"}}"#)),
            1..=3 => self.operate("futures/liquidate", &part),
            _ => self.operate("futures/deleverage", &part),
        }
    }

    /// Counts what the exchange did to the account by itself, and what happened while nobody could see it.
    pub(crate) fn witness(&mut self, journal: Journal, line: &str) {
        let ours = |ending: &str| line.contains(&format!(r#""account":"{ACCOUNT}{ending}""#));
        if !ours("") && !ours("/margin") {
            return;
        }
        let origin = |word: &str| line.contains(&format!(r#""origin":"{word}""#));
        let (name, dark) = match journal {
            Journal::FuturesTrades if origin("LIQUIDATION") => ("liquidation", "liquidation in an outage"),
            Journal::FuturesTrades if origin("ADL") => ("deleveraging", "deleveraging in an outage"),
            Journal::FuturesTrades if origin("SETTLEMENT") => ("settlement", "settlement in an outage"),
            Journal::FuturesTrades | Journal::Trades => ("", "fill in an outage"),
            Journal::Liabilities if line.contains("INTEREST") => ("", "interest in an outage"),
            Journal::FuturesIncome if line.contains("FUNDING_FEE") => ("", "funding in an outage"),
            _ => return,
        };
        let name = if self.is_dark() { dark } else { name };
        if !name.is_empty() {
            self.strike(name);
        }
    }

    /// A connection is dialled beside one of the same place that has served most of its life.
    pub(crate) fn count_rollover(&mut self, path: &str) {
        let Some(life) = self.plan.life else { return };
        let old = Span::from_nanos(life.nanos() / 2);
        let rolls = (self.wires.values())
            .any(|wire| !wire.frozen && wire.path == path && self.now.since(wire.opened) > old);
        if rolls {
            self.strike("connection replaced");
        }
    }

    /// What the kill interrupts.
    pub(crate) fn count_kill(&mut self) {
        let waiting = |wanted: fn(&Record) -> bool| self.disk.iter().any(|b| b.records.iter().any(wanted));
        let intended = waiting(|r| matches!(r, Record::Order(_)));
        let filled = waiting(|r| matches!(r, Record::Fill(_)));
        let sent = self.gateway.as_ref().is_some_and(|g| g.orders().open().any(|o| o.venue_id.is_none()));
        for (hit, name) in [
            (intended, "killed with an order not on disk"),
            (filled, "killed with a fill not on disk"),
            (sent, "killed with an order not acknowledged"),
        ] {
            if hit {
                self.strike(name);
            }
        }
    }
}
