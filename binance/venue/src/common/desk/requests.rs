//! Requests over HTTP: each is a link of its own, answered once.

use binance_wire::reply::ApiError;
use binance_wire::rest::{rest_reply, used};
use tradingsys::ids::LinkId;
use tradingsys::time::Time;
use tradingsys::venue::limit::{LimitKind, Told};
use tradingsys::venue::port::{LinkAction, LinkInput, Outbox};

use super::{Ask, Desk, Dialect};

impl<D: Dialect> Desk<D> {
    /// Something happened on a link that is no connection of ours.
    pub(super) fn requested(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        let Some(id) = self.flights.iter().find(|(_, flight)| flight.link == link).map(|(id, _)| *id) else {
            return;
        };
        match input {
            LinkInput::Response { status, headers, body } => {
                let venue_now = self.clock.venue_time(now);
                self.over(now, id, rest_reply(venue_now, status, headers, body), headers, out);
            }
            LinkInput::Down(why) => {
                let error = ApiError { status: 0, code: 0, message: why.to_owned(), retry_after: None };
                self.over(now, id, Err(error), &[], out);
            }
            LinkInput::Up | LinkInput::Text(_) | LinkInput::Binary(_) | LinkInput::Alive => {}
        }
    }

    fn over(
        &mut self,
        now: Time,
        id: u64,
        result: Result<&str, ApiError>,
        headers: &[(String, String)],
        out: &mut Outbox,
    ) {
        let Some(flight) = self.flights.remove(&id) else { return };
        let venue_now = self.clock.venue_time(now);
        let sent = self.clock.venue_time(flight.sent);
        // Each endpoint counts for itself: only an order's reply tells of the weight of orders.
        let of_orders = matches!(flight.ask, Ask::Place(_));
        let counts: Vec<_> =
            (used(headers)).filter(|(kind, ..)| of_orders || *kind != LimitKind::OrderWeight).collect();
        self.budget.answered(sent, venue_now, flight.cost, Told::Counts(&counts));
        self.replied(now, flight, result, out);
    }

    /// Gives up a request that took too long, if it is one over HTTP.
    pub(super) fn hang_up(&self, link: LinkId, out: &mut Outbox) {
        if !self.sessions.contains_key(&link) {
            out.actions.push(LinkAction::Close { link });
        }
    }
}
