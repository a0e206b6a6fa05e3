//! One order's life.
//!
//! ```text
//!              send            evidence it lives          cancel sent
//!   Intended ───────▶ Sent ───────────────────▶ Working ─────────────▶ Canceling
//!       │              │  ▲                        │ ▲  cancel refused     │
//!       │ lost         │  └── (never: no resend)   │ └────────────────────┤
//!       ▼              ▼ lost                      │                      │ cancel lost
//!    Unknown ◀─────────┴──────────────────────────┼──────────────────────┘
//!       │ evidence: back to Working or Canceling   │
//!       ▼ end, refusal or proof of absence         ▼ end
//!      Done ◀──────────────────────────────────────┘
//! ```
//!
//! Evidence can reopen two ends, loudly: "not placed", of an order that turns up after all, and "filled", of one that
//! the exchange shows with more left, as it was changed without our knowing.
//! Fills are facts and are booked whatever the state says.

use crate::ids::{ClientOrderId, IdKind, SessionId, Symbol, VenueOrderId};
use crate::journal::{Forced, OrderRecord};
use crate::market::{Instructions, OrderStatus, OrderType, Side, Tif};
use crate::num::{Cash, Price, Qty};
use crate::time::{Span, Time};

/// Where an order stands, for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Taken from the session, not sent.
    Intended,
    /// Written to the exchange's link, nothing heard.
    Sent,
    /// Known to live at the exchange.
    Working,
    /// A cancel is under way.
    Canceling,
    /// It may or may not live; being found out.
    Unknown,
    /// Over.
    Done(OrderStatus),
    /// Over because proof was found that the exchange never had it.
    NotPlaced,
}

/// What can happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Written to the link.
    Send,
    /// Positive evidence that no order exists.
    Refuse,
    /// The placement's outcome is not known.
    Lose,
    /// Positive evidence that it lives.
    Live,
    /// Positive evidence that it ended this way.
    End(OrderStatus),
    /// A cancel was written to the link.
    CancelSend,
    /// The cancel's outcome is not known, or the engine no longer has the order open.
    CancelLose,
    /// The cancel was refused; the order is as it was.
    CancelRefuse,
    /// Proof that the exchange never had it (see `gateway::doubt`).
    Absent,
    /// Positive evidence, newer than what it was called filled by, that more of it can fill.
    Reopen,
}

/// An event that cannot happen in that state: our own error, never the exchange's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {state:?} cannot {event:?}")]
pub struct Impossible {
    /// State.
    pub state: State,
    /// Event.
    pub event: Event,
}

impl State {
    /// The table of all lives. `lives` says whether there has ever been evidence that the order exists.
    ///
    /// # Errors
    /// [`Impossible`] for pairs only a mistake of ours can produce.
    pub fn next(self, event: Event, lives: bool) -> Result<Self, Impossible> {
        use Event as E;
        use State as S;
        Ok(match (self, event) {
            (S::Intended, E::Send) => S::Sent,
            // Intended in the journal of an earlier run: it may have been sent all the same.
            (S::Intended, E::Lose) => S::Unknown,
            (S::Intended | S::Sent, E::Refuse) => S::Done(OrderStatus::Rejected),
            (S::Intended | S::Sent, E::Live) => S::Working,
            // Of two cancels the first was refused, and now the second is answered.
            (S::Sent, E::CancelRefuse) => S::Sent,
            (S::Sent, E::Lose | E::CancelLose) => S::Unknown,
            (S::Sent | S::Working | S::Canceling, E::CancelSend) => S::Canceling,

            (S::Working, E::Live | E::Lose | E::Refuse | E::CancelLose | E::CancelRefuse) => S::Working,

            (S::Canceling, E::Refuse) if !lives => S::Done(OrderStatus::Rejected),
            (S::Canceling, E::Lose) if !lives => S::Unknown,
            (S::Canceling, E::Refuse | E::Lose | E::Live) => S::Canceling,
            (S::Canceling, E::CancelLose) => S::Unknown,
            (S::Canceling, E::CancelRefuse) => {
                if lives {
                    S::Working
                } else {
                    S::Sent
                }
            }

            (S::Unknown, E::Live) => S::Working,
            (S::Unknown, E::Refuse) if !lives => S::Done(OrderStatus::Rejected),
            (S::Unknown, E::Refuse | E::Lose | E::CancelSend | E::CancelLose | E::CancelRefuse) => S::Unknown,
            (S::Unknown, E::Absent) => S::NotPlaced,

            (S::NotPlaced, E::Live) => S::Working,
            (S::NotPlaced, E::Refuse | E::Lose | E::CancelLose | E::CancelRefuse | E::Absent) => S::NotPlaced,

            (S::Done(end), E::Refuse | E::Lose | E::Live | E::End(_) | E::CancelLose | E::CancelRefuse) => {
                S::Done(end)
            }
            (_, E::End(end)) => S::Done(end),

            (S::Done(OrderStatus::Filled), E::Reopen) => S::Working,

            // A replica's late "not found" after the engine's own word: the word stands.
            (S::Done(end), E::Absent) => S::Done(end),
            (S::Intended, E::CancelSend | E::CancelLose | E::CancelRefuse | E::Absent)
            | (S::Sent, E::Send | E::Absent)
            | (S::Working | S::Canceling, E::Send | E::Absent)
            | (S::Unknown, E::Send)
            | (S::NotPlaced | S::Done(_), E::Send | E::CancelSend)
            | (_, E::Reopen) => {
                return Err(Impossible { state: self, event });
            }
        })
    }

    /// Is it over?
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done(_) | Self::NotPlaced)
    }
}

/// Amends of an order of which it is not known yet what they have made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amending {
    /// The largest quantity asked for.
    pub qty: Qty,
    /// The highest price.
    pub price: Price,
    /// How many have had no reply.
    pub flying: u32,
    /// When the last one had a reply that does not say what became of it.
    pub lost: Option<Time>,
}

/// An order and all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its own id, through every renaming.
    pub id: ClientOrderId,
    /// Owner; `None` for EXTERNAL.
    pub session: Option<SessionId>,
    /// Symbol.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Type; `None` for a foreign one of an unknown type.
    pub order_type: Option<OrderType>,
    /// Time in force.
    pub tif: Option<Tif>,
    /// Limit price.
    pub price: Option<Price>,
    /// Stop price.
    pub stop: Option<Price>,
    /// Quantity; zero for one given as a quote amount.
    pub qty: Qty,
    /// As much of it may be filled: the quantity, or what was filled when it was lowered below that.
    allowed: Qty,
    /// Quote amount of such an order.
    pub quote_amount: Option<Cash>,
    /// The venue itself made it, and why.
    pub forced: Option<Forced>,
    /// What else it carries.
    pub instructions: Instructions,
    /// It lives among the venue's conditional orders until it is triggered.
    pub conditional: bool,
    /// When it was taken or adopted.
    pub created: Time,
    /// State.
    pub state: State,
    /// The venue's number; of a conditional order that of the order it has triggered. `Some` is evidence that it exists
    /// or existed.
    pub venue_id: Option<VenueOrderId>,
    /// The venue's number among its conditional orders: evidence of the same weight.
    pub conditional_id: Option<u64>,
    /// Client id the venue shows for it now.
    pub known_as: ClientOrderId,
    /// Amends sent so far.
    pub amends: u32,
    /// What amends on their way may make of it.
    pub amending: Option<Amending>,
    /// A cancel has been asked for.
    pub cancel_wanted: bool,
    /// When the last cancel was sent that nothing has answered yet.
    pub cancel_sent: Option<Time>,
    /// It was sent to where the order waited, among the venue's conditional orders.
    pub canceled_apart: bool,
    /// Venue time of the report that last set price and quantity.
    pub as_of: Time,
    /// Filled quantity in the venue's count.
    pub told: Qty,
    /// What the venue has counted and does not show any more: no longer waited for.
    pub lacking: Qty,
    /// Sum of the fills booked.
    pub filled: Qty,
    /// Sum of their quote amounts.
    pub filled_quote: Cash,
    /// End heard of while fills are still missing: told when they are booked.
    pub ending: Option<OrderStatus>,
    /// Catalogue code of a refusal.
    pub code: Option<i64>,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// When it got there.
    pub changed: Time,
}

impl Order {
    /// A new order as its record has it: not sent yet.
    pub fn intended(record: &OrderRecord) -> Self {
        Self {
            id: record.id.clone(),
            session: record.session,
            symbol: record.symbol.clone(),
            side: record.side,
            order_type: record.order_type,
            tif: record.tif,
            price: record.price,
            stop: record.stop,
            qty: record.qty,
            allowed: record.qty,
            quote_amount: record.quote_amount,
            forced: record.forced,
            instructions: record.instructions,
            conditional: record.conditional,
            created: record.time,
            state: State::Intended,
            venue_id: None,
            conditional_id: None,
            known_as: record.id.clone(),
            amends: 0,
            amending: None,
            cancel_wanted: false,
            cancel_sent: None,
            canceled_apart: false,
            as_of: Time::default(),
            told: Default::default(),
            lacking: Default::default(),
            filled: Default::default(),
            filled_quote: Default::default(),
            ending: None,
            code: None,
            reason: None,
            changed: record.time,
        }
    }

    /// Applies an event.
    ///
    /// # Errors
    /// [`Impossible`] if our own logic is wrong; the state is then unchanged.
    pub fn apply(&mut self, event: Event) -> Result<(), Impossible> {
        self.state = self.state.next(event, self.lives())?;
        Ok(())
    }

    /// Has there ever been evidence that it exists?
    pub const fn lives(&self) -> bool {
        self.venue_id.is_some() || self.conditional_id.is_some()
    }

    /// Is it, as far as is known, still among the venue's conditional orders, untriggered?
    pub const fn waits(&self) -> bool {
        self.conditional && self.venue_id.is_none()
    }

    /// Is it, as far as is known, a stop among the ordinary orders that has not been triggered?
    pub fn is_untriggered_stop(&self) -> bool {
        let stop = self.order_type.is_some_and(OrderType::is_conditional);
        stop && !self.conditional && self.filled.is_zero()
    }

    /// Has a cancel been asked for that has not ended it yet?
    pub const fn is_canceling(&self) -> bool {
        self.cancel_wanted && !self.state.is_over()
    }

    /// A report shows this quantity and counts so much of it filled; `newer` than the one before.
    pub fn take_qty(&mut self, qty: Qty, counted: Qty, newer: bool) {
        let lowered = newer && qty < self.qty;
        self.allowed = if lowered { qty.max(counted) } else { self.allowed.max(qty) };
        self.qty = qty;
    }

    /// What is filled of it is taken as it is: only more than that is too much.
    pub fn accept_fills(&mut self) {
        self.allowed = self.qty.max(self.told);
    }

    /// The most that may be filled of it by right, whichever amend on its way is carried out.
    pub fn may_fill(&self) -> Qty {
        self.amending.map_or(self.allowed, |amending| self.allowed.max(amending.qty))
    }

    /// Is more filled of a session's order than may be? Of one for a quote amount nobody has said how much.
    pub fn is_overfilled(&self) -> bool {
        let sized = self.qty.is_positive() && self.quote_amount.is_none();
        self.session.is_some() && sized && self.told > self.may_fill()
    }

    /// What can still fill, whichever amend on its way is carried out.
    pub fn left(&self) -> Qty {
        self.most() - self.filled
    }

    /// Its quantity, or what amends on their way may make of that.
    pub fn most(&self) -> Qty {
        self.amending.map_or(self.qty, |amending| self.qty.max(amending.qty))
    }

    /// An amend was sent: what was asked before it may still be carried out, too.
    pub fn amend_sent(&mut self, qty: Qty, price: Option<Price>) {
        let amending = self.amending.get_or_insert_default();
        amending.qty = amending.qty.max(qty);
        amending.price = amending.price.max(price.unwrap_or_default());
        amending.flying += 1;
    }

    /// One was answered; `known` says whether it is clear what became of it.
    pub fn amend_replied(&mut self, now: Time, known: bool) {
        let Some(amending) = &mut self.amending else { return };
        amending.flying = amending.flying.saturating_sub(1);
        if !known {
            amending.lost = Some(now);
        } else if amending.flying == 0 && amending.lost.is_none() {
            self.amending = None;
        }
    }

    /// An answer to a query shows it as it stands. One that was lost had to be carried out by then, if it ever was,
    /// and a replica to know: `lag` after its reply.
    pub fn amend_found(&mut self, now: Time, lag: Span) {
        let settled = |amending: &Amending| {
            amending.flying == 0 && amending.lost.is_some_and(|lost| now.since(lost) >= lag)
        };
        self.amending = self.amending.filter(|amending| !settled(amending));
    }

    /// Are fills missing that the venue has counted?
    pub fn lacks_fills(&self) -> bool {
        self.told > self.filled
    }

    /// Are such fills waited for?
    pub fn has_gap(&self) -> bool {
        self.told > self.filled + self.lacking
    }

    /// The word for it on the wire.
    pub fn status(&self) -> OrderStatus {
        match self.state {
            State::Done(end) => end,
            State::NotPlaced => OrderStatus::Rejected,
            State::Intended | State::Sent if !self.lives() => OrderStatus::Pending,
            State::Unknown | State::Canceling if !self.lives() => {
                if self.state == State::Unknown {
                    OrderStatus::Unknown
                } else {
                    OrderStatus::Pending
                }
            }
            _ if self.filled.is_positive() => OrderStatus::PartiallyFilled,
            _ => OrderStatus::New,
        }
    }

    /// Every client id the venue may know it by, its own first.
    pub fn names(&self) -> Vec<ClientOrderId> {
        let mut names = vec![self.id.clone()];
        // Whether a cancel was sent is not in the journal: a run before this one may have.
        names.extend(self.id.renamed(IdKind::Cancel));
        // Amends share ten names in turn; the venue allows an order its present name again.
        names.extend((0..self.amends.min(10)).filter_map(|n| self.id.renamed(IdKind::Amend(n as u8))));
        if !names.contains(&self.known_as) {
            names.push(self.known_as.clone());
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::doge_order;

    const EVENTS: [Event; 10] = [
        Event::Send,
        Event::Refuse,
        Event::Lose,
        Event::Live,
        Event::End(OrderStatus::Canceled),
        Event::CancelSend,
        Event::CancelLose,
        Event::CancelRefuse,
        Event::Absent,
        Event::Reopen,
    ];

    fn word(next: Result<State, Impossible>) -> &'static str {
        match next {
            Err(_) => "!",
            Ok(State::Intended) => "I",
            Ok(State::Sent) => "S",
            Ok(State::Working) => "W",
            Ok(State::Canceling) => "C",
            Ok(State::Unknown) => "U",
            Ok(State::Done(OrderStatus::Rejected)) => "R",
            Ok(State::Done(OrderStatus::Filled)) => "F",
            Ok(State::Done(_)) => "X",
            Ok(State::NotPlaced) => "N",
        }
    }

    /// Columns: send refuse lose live end cancel-send cancel-lose cancel-refuse absent reopen.
    #[test]
    fn every_pair_of_state_and_event_has_its_answer() {
        for (state, lives, row) in [
            (State::Intended, false, "S R U W X ! ! ! ! !"),
            (State::Sent, false, "! R U W X C U S ! !"),
            (State::Working, true, "! W W W X C W W ! !"),
            (State::Canceling, false, "! R U C X C U S ! !"),
            (State::Canceling, true, "! C C C X C U W ! !"),
            (State::Unknown, false, "! R U W X U U U N !"),
            (State::Unknown, true, "! U U W X U U U N !"),
            (State::NotPlaced, false, "! N N W X ! N N N !"),
            (State::Done(OrderStatus::Filled), true, "! F F F F ! F F F W"),
            (State::Done(OrderStatus::Canceled), true, "! X X X X ! X X X !"),
        ] {
            let found: Vec<_> = EVENTS.iter().map(|e| word(state.next(*e, lives))).collect();
            assert_eq!(found.join(" "), row, "{state:?} lives={lives}");
        }
    }

    /// An order that was sent and of which nothing has been heard.
    fn sent(order_type: OrderType) -> Order {
        Order { state: State::Sent, ..Order::intended(&doge_order(1, order_type, Time::default())) }
    }

    #[test]
    fn the_word_for_a_state_says_only_what_is_known() {
        use OrderStatus::{Canceled, New, PartiallyFilled, Pending, Rejected, Unknown};
        for (state, unseen, seen) in [
            (State::Intended, Pending, New),
            (State::Sent, Pending, New),
            (State::Canceling, Pending, New),
            (State::Unknown, Unknown, New),
            (State::Working, New, New),
            (State::NotPlaced, Rejected, Rejected),
            (State::Done(Canceled), Canceled, Canceled),
        ] {
            let mut order = Order { state, ..sent(OrderType::Limit) };
            assert_eq!(order.status(), unseen, "{state:?}");
            order.venue_id = Some(7);
            assert_eq!(order.status(), seen, "{state:?}, seen at the exchange");
            order.filled = Qty::whole(4);
            let filled = if state.is_over() { seen } else { PartiallyFilled };
            assert_eq!(order.status(), filled, "{state:?}, with a fill");
        }
    }

    #[test]
    fn what_is_left_what_is_missing_and_what_is_waited_for() {
        let mut order = Order { filled: Qty::whole(4), told: Qty::whole(4), ..sent(OrderType::Limit) };
        assert_eq!((order.left(), order.lacks_fills(), order.has_gap()), (Qty::whole(6), false, false));
        order.told = Qty::whole(5);
        assert_eq!((order.lacks_fills(), order.has_gap()), (true, true));
        order.lacking = Qty::whole(1);
        assert_eq!((order.lacks_fills(), order.has_gap()), (true, false), "no longer waited for");
        assert!(!order.is_canceling());
        order.cancel_wanted = true;
        assert!(order.is_canceling());
        order.state = State::Done(OrderStatus::Canceled);
        assert!(!order.is_canceling());
    }

    #[test]
    fn a_stop_waits_apart_or_untriggered_among_the_others_until_something_came_of_it() {
        let stop = sent(OrderType::StopLoss);
        assert!(stop.is_untriggered_stop() && !stop.waits());
        assert!(!sent(OrderType::Limit).is_untriggered_stop());
        assert!(!Order { filled: Qty::whole(1), ..stop.clone() }.is_untriggered_stop());
        let apart = Order { conditional: true, ..stop };
        assert!(apart.waits() && !apart.is_untriggered_stop());
        assert!(!Order { venue_id: Some(7), ..apart.clone() }.waits(), "it is known what it triggered");
        assert!(!apart.lives() && Order { conditional_id: Some(3), ..apart }.lives());
    }

    #[test]
    fn r21_an_order_is_looked_for_under_every_name_it_may_bear() {
        let mut order = sent(OrderType::Limit);
        assert_eq!(order.names(), [order.id.clone(), order.id.renamed(IdKind::Cancel).unwrap()]);
        order.amends = 12;
        assert_eq!(order.names().len(), 12, "amends share ten names");
        order.known_as = ClientOrderId::foreign("x");
        assert_eq!(order.names().last(), Some(&order.known_as));
    }

    #[test]
    fn nothing_but_evidence_rejects() {
        for state in [State::Intended, State::Sent, State::Working, State::Canceling, State::Unknown] {
            for event in [Event::Lose, Event::CancelLose, Event::CancelRefuse] {
                let next = state.next(event, false);
                assert_ne!(next, Ok(State::Done(OrderStatus::Rejected)), "{state:?} {event:?}");
            }
        }
    }
}
