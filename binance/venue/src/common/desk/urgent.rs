//! Requests of the stop: by the logged-on connection, or each as a signed request of its own, which needs none.

use binance_wire::reply::ApiError;
use binance_wire::rest::RestRequest;
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::limit::{Cost, Purpose};
use tradingsys::venue::port::{
    Answer, CancelOutcome, NotSent, Outbox, Query, Urgent, UrgentReply, VenueEvent, Way,
};

use super::{Ask, Call, Desk, Dialect};

/// Longest the reply to such a request is waited for: its place is for the next.
const WITHIN: Span = Span::from_secs(3);

impl<D: Dialect> Desk<D> {
    pub(super) fn send_urgent(
        &mut self,
        now: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        let link = match way {
            Way::Session if D::ORDERS_ON_SESSION => self.active,
            Way::Request if !self.config.rest.is_empty() => Some(LinkId(0)),
            Way::Session | Way::Request => None,
        };
        let link = link.ok_or(NotSent::Disconnected)?;
        if let (Urgent::OpenOrders { conditional: true }, false) = (urgent, D::CONDITIONALS_APART) {
            out.events.push(VenueEvent::Urgent { number, reply: UrgentReply::Open(Vec::new()) });
            return Ok(());
        }
        let cost = match urgent {
            Urgent::Cancel(_) => self.dialect.cancel_cost(),
            Urgent::OpenOrders { conditional } => {
                // Dear, and repeated: it leaves to cancels what is kept for them.
                Cost { purpose: Purpose::Doubt, ..self.dialect.query_cost(&open_query(*conditional)) }
            }
        };
        let taken = self.budget.take(self.clock.venue_time(now), cost);
        taken.map_err(|until| NotSent::RateLimited { retry_at: self.clock.own_time(until) })?;
        let link = match urgent {
            // Behind its order, should that be on its way.
            Urgent::Cancel(cancel) if way == Way::Session => self.follow(&cancel.id, link),
            _ => link,
        };
        let write = |desk: &Self, id| desk.urgent_call(now, id, urgent, way);
        self.send(now, link, Ask::Urgent(number, urgent.clone()), Some(cost), write, out);
        if let Some(flight) = self.flights.get_mut(&(self.next_request - 1)) {
            flight.until = now + WITHIN.min(self.config.timing.request);
        }
        Ok(())
    }

    fn urgent_call(&self, now: Time, id: u64, urgent: &Urgent, way: Way) -> Call {
        match (urgent, way) {
            (Urgent::Cancel(cancel), Way::Session) => self.dialect.cancel(id, cancel, self.stamp(now)),
            (Urgent::Cancel(cancel), Way::Request) => Call::Signed(self.dialect.cancel_request(cancel)),
            (Urgent::OpenOrders { conditional }, Way::Session) => {
                self.dialect.query(id, &open_query(*conditional), self.stamp(now))
            }
            (Urgent::OpenOrders { conditional }, Way::Request) => {
                Call::Signed(self.dialect.open_request(*conditional))
            }
        }
    }

    pub(super) fn urgent_replied(
        &self,
        number: u64,
        urgent: &Urgent,
        result: Result<&str, ApiError>,
        out: &mut Outbox,
    ) {
        let unreached = result.as_ref().err().filter(|error| error.status == 0 && error.code == 0);
        let reply = match (unreached, urgent) {
            (Some(error), _) => UrgentReply::Lost(error.message.clone()),
            (None, Urgent::Cancel(_)) => match self.canceled(result) {
                Some(CancelOutcome::Unknown(why)) => UrgentReply::Failed(why),
                Some(outcome) => UrgentReply::Cancel(outcome),
                None => UrgentReply::Gone,
            },
            (None, Urgent::OpenOrders { conditional }) => {
                match self.answer(&open_query(*conditional), result) {
                    Answer::Orders(orders) => UrgentReply::Open(orders),
                    other => UrgentReply::Failed(format!("{other:?}")),
                }
            }
        };
        out.events.push(VenueEvent::Urgent { number, reply });
    }

    /// The venue's time without a connection: a request was refused for its stamp.
    pub(super) fn ask_time_by_request(&mut self, now: Time, out: &mut Outbox) {
        if self.config.rest.is_empty() || self.flights.values().any(|flight| matches!(flight.ask, Ask::Time))
        {
            return;
        }
        let cost = Cost { purpose: Purpose::Cancel, weight: 1 };
        let counted = self.budget.take(self.clock.venue_time(now), cost).is_ok();
        let call = Call::Plain(RestRequest::new("GET", D::TIME_PATH));
        self.send(now, LinkId(0), Ask::Time, counted.then_some(cost), |_, _| call, out);
    }
}

fn open_query(conditional: bool) -> Query {
    if conditional { Query::OpenConditionals } else { Query::OpenOrders }
}
