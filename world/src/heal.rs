//! How soon all is well again once faults have ended.

use tradingsys::market::OrderStatus;
use tradingsys::order::state::State;
use tradingsys::time::Span;

use crate::plan::Faults;
use crate::strategy::Strategy;
use crate::world::World;

/// Until everything can be traded again: an outage lasts for eight seconds beyond the last fault, after several in a
/// row a link is dialled again after thirty, an answer is waited for twelve, and everything is compared twice.
const READY_WITHIN: Span = Span::from_secs(55);
/// Until no order is in doubt any more.
const RESOLVED_WITHIN: Span = Span::from_secs(55);
/// Until every order has ended, too: strategies ask for that every five seconds.
const ENDED_WITHIN: Span = Span::from_secs(70);
/// So much later where a link was left half open: nothing but its silence tells of that.
const SILENCE: Span = Span::from_secs(60);
/// So much later where the exchange went on to deny what it has.
const DENIAL: Span = Span::from_secs(30);
/// So much later where the exchange said that too much was asked: its minute has to be over.
const MINUTE: Span = Span::from_secs(60);

/// Since the last fault: the last time at which something was still amiss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Healing {
    /// A session could not trade.
    pub ready: Span,
    /// The outcome of an order was not known, to the gateway or to its strategy.
    pub resolved: Span,
    /// An order that was over at the exchange was held open: for how long, without a moment between.
    pub over: Span,
    over_from: Option<Span>,
    /// The same, since strategies ask for all ends: an order had not ended, a command had no answer, or an event was
    /// not handled.
    pub ended: Span,
}

impl Healing {
    /// Its parts, with what is amiss until then and how long that may be so.
    pub fn parts(self) -> [(&'static str, Span, Span); 4] {
        [
            ("a session that cannot trade", self.ready, READY_WITHIN),
            ("an order in doubt", self.resolved, RESOLVED_WITHIN),
            ("an order that is over and held open", self.over, RESOLVED_WITHIN),
            ("an order that has not ended, or an open command", self.ended, ENDED_WITHIN),
        ]
    }
}

impl World {
    /// Faults have ended so long ago. Is everything at rest?
    pub(crate) fn heal(&mut self, since: Span) -> bool {
        let ready = self.all_ready();
        if !ready {
            self.healing.ready = since;
        }
        if self.in_doubt() {
            self.healing.resolved = since;
        }
        self.healing.over_from = self.holds_what_is_over().then(|| self.healing.over_from.unwrap_or(since));
        if let Some(from) = self.healing.over_from {
            self.healing.over = self.healing.over.max(Span::from_nanos(since.nanos() - from.nanos()));
        }
        let rests = ready && self.at_rest();
        if !rests {
            self.healing.ended = Span::from_nanos((since.nanos() - self.plan.patience().nanos()).max(0));
        }
        let Faults { freeze_link, deny, slow_down, .. } = self.plan.faults;
        let more = [(freeze_link, SILENCE), (deny, DENIAL), (slow_down, MINUTE)];
        let more =
            more.into_iter().filter(|(rate, _)| *rate > 0).fold(Span::ZERO, |sum, (_, span)| sum + span);
        let late = self.healing.parts().into_iter().find(|(_, took, bound)| *took > *bound + more);
        if let Some((what, took, _)) = late {
            let found = format!("{what}, {took:?} after the last fault: {}", self.unrest());
            self.violate("heal time", found);
        }
        rests
    }

    fn all_ready(&self) -> bool {
        self.strategies.iter().all(Strategy::is_ready)
    }

    fn holds_what_is_over(&self) -> bool {
        let mut held = self.gateway.iter().flat_map(|gateway| gateway.orders().open());
        held.any(|order| self.truth.by_id(order.id.as_str()).is_some_and(|real| !real.is_open()))
    }

    fn in_doubt(&self) -> bool {
        let gateway = self.gateway.iter().flat_map(|gateway| gateway.orders().open());
        let clients = self.strategies.iter().filter_map(|s| s.client.as_ref());
        gateway.into_iter().any(|order| order.state == State::Unknown)
            || clients
                .flat_map(|client| client.orders().open())
                .any(|(_, tracked)| tracked.order.state == OrderStatus::Unknown)
    }
}
