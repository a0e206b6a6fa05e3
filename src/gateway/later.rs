//! Questions for later: those that were not answered, and those that are not due yet.

use super::Gateway;
use super::io::LogLevel;
use super::recovery::{Purpose, RETRY};
use crate::ids::{ClientOrderId, Symbol};
use crate::order::state::Order;
use crate::time::Time;
use crate::venue::port::{Answer, Query};

/// A question to be asked later.
#[derive(Debug)]
struct Later {
    at: Time,
    query: Query,
    purpose: Purpose,
    /// A round waits for it.
    of_round: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Postponed(Vec<Later>);

fn seeks(later: &Later, id: &ClientOrderId) -> bool {
    matches!(&later.purpose, Purpose::Missing { order, .. } if order == id)
}

impl Postponed {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().map(|later| later.at).min()
    }

    /// Asks that at `at`, in no round.
    pub(super) fn ask_at(&mut self, at: Time, query: Query, purpose: Purpose) {
        self.0.push(Later { at, query, purpose, of_round: false });
    }

    /// Does a round wait for one of them?
    pub(super) fn of_round(&self) -> bool {
        self.0.iter().any(|later| later.of_round)
    }

    /// Will that order's trades be asked for?
    pub(super) fn seeks(&self, id: &ClientOrderId) -> bool {
        self.0.iter().any(|later| seeks(later, id))
    }

    pub(super) fn seek_no_more(&mut self, id: &ClientOrderId) {
        self.0.retain(|later| !seeks(later, id));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Gateway {
    /// A question was not answered: asked again, and the round it is of waits for it.
    pub(super) fn ask_later(&mut self, now: Time, of_round: bool, purpose: Purpose, answer: &Answer) {
        let query = match &purpose {
            Purpose::OpenOrders { .. } => match purpose.open_orders_query() {
                Some(query) => query,
                None => return,
            },
            Purpose::Account => Query::Account,
            Purpose::Trades { query, .. }
            | Purpose::Missing { query, .. }
            | Purpose::Past { query, .. }
            | Purpose::Funding { query, .. }
            | Purpose::Income { query, .. } => query.clone(),
            Purpose::Doubt { .. }
            | Purpose::Overfill { .. }
            | Purpose::Orphan { .. }
            | Purpose::Parent { .. } => return,
        };
        let fields = format!("query={query:?} answer={answer:?}");
        if let Some(symbol) = self.gone(&purpose) {
            self.log(
                LogLevel::Warn,
                "question about a symbol the exchange lists no more not answered",
                fields,
            );
            self.recovery.passes(&symbol);
            return;
        }
        self.log(LogLevel::Warn, "question not answered; asking again", fields);
        self.recovery.postponed.0.push(Later { at: now + RETRY, query, purpose, of_round });
    }

    /// The symbol of a question of a round that the exchange lists no more: nothing of it can be traded, and nothing
    /// else need wait for it. The next round asks again.
    fn gone(&self, purpose: &Purpose) -> Option<Symbol> {
        let symbol = match purpose {
            Purpose::OpenOrders { of: Some(symbol), .. }
            | Purpose::Trades { symbol, .. }
            | Purpose::Funding { query: Query::Funding { symbol, .. }, .. } => symbol,
            _ => return None,
        };
        let gone = self.instruments.is_some() && self.instrument(symbol).is_err();
        gone.then(|| symbol.clone())
    }

    /// Asks what is due.
    pub(super) fn ask_postponed(&mut self, now: Time) {
        let due: Vec<Later> = self.recovery.postponed.0.extract_if(.., |later| later.at <= now).collect();
        for Later { query, purpose, of_round, .. } in due {
            let purpose = match purpose {
                Purpose::OpenOrders { conditional, of, .. } => {
                    Purpose::OpenOrders { asked: now, conditional, of }
                }
                purpose => purpose,
            };
            match &purpose {
                Purpose::Missing { order, .. } if !self.orders.get(order).is_some_and(Order::lacks_fills) => {
                }
                _ if of_round => self.round_ask(now, query, purpose),
                _ => drop(self.ask(now, &query, purpose)),
            }
        }
    }
}
