//! A journal that slept for longer than the exchange shows own trades: what happened meanwhile to its positions
//! and open orders is in no record any more. Such a symbol takes no orders until the user has looked, and said so by
//! an edit of its row or for all of them at once.
//!
//! ```text
//!   known ──a start later than trades are shown for, exposed──▶ doubted ──edit, trusted──▶ known
//! ```
//!
//! All of it is the fold of the journal, so that another start changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::io::LogLevel;
use crate::ids::Symbol;
use crate::journal::{AdjustRecord, Record, event_time};
use crate::time::{Span, Time};

/// What to do about it.
const ADVICE: &str = "compare pos.db with the positions and orders at the exchange; then stop the gateway and correct the \
    row in pos.db, or, if all rows are right, start it once with --trust-books";

/// When nobody watched.
#[derive(Clone, Copy, Debug)]
struct Absence {
    from: Time,
    to: Time,
    shown: Span,
}

impl Absence {
    fn words(&self, symbol: &Symbol) -> String {
        let days = |span: Span| span.millis() / 86_400_000;
        format!(
            "{symbol} had a position or open orders when the gateway was away for {} days, and the exchange shows trades \
             of the last {} only: fills may be missing in the books; {ADVICE}",
            days(self.to.since(self.from)),
            days(self.shown)
        )
    }
}

/// When a gateway ran, as a record tells.
pub(super) fn sign_of_life(record: &Record) -> Option<Time> {
    match record {
        Record::Start(start) => Some(start.time),
        Record::End { time } => Some(*time),
        Record::Order(order) => Some(order.time),
        Record::Fill(fill) => Some(fill.time),
        Record::Funding(funding) => Some(funding.time),
        Record::Event { frame, .. } => event_time(frame),
        _ => None,
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// The last sign of a gateway that ran.
    alive: Option<Time>,
    doubted: BTreeMap<Symbol, Absence>,
}

impl Absences {
    pub(super) fn fold(&mut self, record: &Record) {
        match record {
            Record::Adjust(AdjustRecord { symbol, .. }) | Record::Trusted { symbol, .. } => {
                self.doubted.remove(symbol);
            }
            _ => {}
        }
        self.alive = self.alive.max(sign_of_life(record));
    }

    /// Symbols that take no orders.
    pub(super) fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.doubted.keys()
    }

    /// Why the symbol takes no orders, if it does not.
    pub(super) fn refusal(&self, symbol: &Symbol) -> Option<String> {
        self.doubted.get(symbol).map(|absence| absence.words(symbol))
    }
}

impl Gateway {
    /// A gateway began to run at that time.
    pub(super) fn came_back(&mut self, now: Time) {
        let (Some(shown), Some(from)) = (self.entry.shows_trades_of(), self.absences.alive) else { return };
        if now.since(from) <= shown {
            return;
        }
        let held = self.books.positions().filter(|(.., totals)| !totals.qty.is_zero());
        let mut symbols: BTreeSet<Symbol> = held.map(|(_, symbol, _)| symbol.clone()).collect();
        let open = self.orders.open().filter(|order| order.session.is_some());
        symbols.extend(open.map(|order| order.symbol.clone()));
        for symbol in symbols {
            self.absences.doubted.entry(symbol).or_insert(Absence { from, to: now, shown });
        }
    }

    /// Tells of what takes no orders, or takes the user's word that all is right.
    pub(super) fn tell_absences(&mut self, now: Time) {
        for (symbol, absence) in self.absences.doubted.clone() {
            if self.config.trust_books {
                self.log(LogLevel::Warn, "books trusted after an absence", format!("symbol={symbol}"));
                self.emit(Record::Trusted { symbol, time: now });
            } else {
                let fields = format!("reason={:?}", absence.words(&symbol));
                self.log(LogLevel::Error, "away for longer than the exchange shows trades", fields);
            }
        }
    }
}
