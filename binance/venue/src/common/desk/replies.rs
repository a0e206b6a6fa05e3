//! Frames that come in: events of the account, replies to requests.

use binance_wire::account::{PrivateEvent, private_event};
use binance_wire::classify::{doubts_rules, is_clock, refuses_key};
use binance_wire::reply::{ApiError, Frame, Reply, frame, order_limits, server_time};
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::limit::{LimitKind, Told};
use tradingsys::venue::port::{
    AmendOutcome, Answer, Cancel, CancelOutcome, OrderReport, Outbox, PlaceOutcome, Query, VenueEvent,
};

use super::{Ask, Desk, Dialect, Flight, Phase, QUERY_ATTEMPTS, Question};

/// A ban (418) lasts two minutes at least.
const BAN: Span = Span::from_secs(120);
/// The firewall's anger passes.
const FIREWALL: Span = Span::from_secs(60);
/// Wait before a question refused for no fault of its own is asked again.
const AGAIN: Span = Span::from_millis(250);
/// Code of the reply to a second subscription of one account on one connection.
const ALREADY_SUBSCRIBED: i64 = -2035;
const TOO_MANY_ORDERS: i64 = -1015;

impl<D: Dialect> Desk<D> {
    pub(super) fn frame(&mut self, now: Time, link: LinkId, text: &str, out: &mut Outbox) {
        match frame(text) {
            Ok(Frame::Reply(reply)) => self.reply(now, reply, out),
            Ok(Frame::Event(event)) => self.event(now, link, event, out),
            Ok(Frame::Unasked(error)) if refuses_key(error.status, error.code) => {
                self.key_refused(now, link, &error.to_string(), out);
            }
            // The venue did not understand a frame of ours: its request runs into its time-out.
            Ok(Frame::Unasked(_)) => {}
            Err(malformed) => out.events.push(VenueEvent::PrivateGarbled(malformed.to_string())),
        }
    }

    fn event(&mut self, now: Time, link: LinkId, text: &str, out: &mut Outbox) {
        match private_event(text) {
            Ok(PrivateEvent::Report(report)) => out.events.push(VenueEvent::Report(report)),
            Ok(PrivateEvent::Balances(balances)) => out.events.push(VenueEvent::Balances(balances)),
            Ok(PrivateEvent::Transfer { asset, delta, time }) => {
                out.events.push(VenueEvent::Transfer { asset, delta, time });
            }
            Ok(PrivateEvent::Terminated) => {
                self.drop_link(now, link, "the exchange ended the stream of private events", out);
            }
            Ok(PrivateEvent::Shutdown) => self.shutdown(now, link, out),
            Ok(PrivateEvent::Other) => {}
            Err(malformed) => out.events.push(VenueEvent::PrivateGarbled(malformed.to_string())),
        }
    }

    /// The venue will close this connection soon; it does not say when.
    fn shutdown(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        if self.active == Some(link) {
            self.replace(now);
            if self.dial_at.is_some_and(|at| at <= now) {
                self.dial(now, out);
            }
        } else if self.coming == Some(link) {
            self.drop_link(now, link, "the exchange is shutting down", out);
        }
    }

    fn reply(&mut self, now: Time, reply: Reply<'_>, out: &mut Outbox) {
        let Some(flight) = self.flights.remove(&reply.id) else { return };
        let venue_now = self.clock.venue_time(now);
        let told = if D::SESSION_LIMITS { reply.limits.as_slice() } else { &[] };
        let sent = self.clock.venue_time(flight.sent);
        self.budget.answered(sent, venue_now, flight.cost, Told::Rows(told));
        self.replied(now, flight, reply.result, out);
    }

    /// A request was answered, over whatever way it went.
    pub(super) fn replied(
        &mut self,
        now: Time,
        flight: Flight<D::Own>,
        result: Result<&str, ApiError>,
        out: &mut Outbox,
    ) {
        if let Err(error) = &result {
            self.heed(now, matches!(flight.ask, Ask::Place(_)), error, out);
            let words = self.dialect.unfit(error).filter(|_| !flight.is_order());
            out.events.extend(words.map(|words| VenueEvent::Refused(words.to_owned())));
            if matches!(flight.ask, Ask::Place(_) | Ask::Amend(_)) && doubts_rules(error.code, &error.message)
            {
                out.events.push(VenueEvent::RulesDoubted);
            }
        }
        if flight.given_up {
            self.late(&flight, result, out);
            return;
        }
        match flight.ask {
            Ask::Place(id) => {
                out.events.push(VenueEvent::Placed { id, outcome: self.placed(result) });
            }
            Ask::Cancel(cancel) => self.cancel_replied(now, cancel, result, out),
            Ask::Canceled(id, query) => {
                let outcome = match self.answer(&query, result) {
                    Answer::Order(report) if report.status.is_terminal() => CancelOutcome::Canceled(report),
                    _ => CancelOutcome::Unknown("cancelled, but not shown as such yet".to_owned()),
                };
                out.events.push(VenueEvent::CancelReply { id, outcome });
            }
            Ask::Amend(id) => {
                out.events.push(VenueEvent::AmendReply { id, outcome: self.amended(result) });
            }
            Ask::Query(question) => self.answered(now, question, result, out),
            Ask::Urgent(number, urgent) => self.urgent_replied(number, &urgent, result, out),
            Ask::OrderLimits => {
                if let Some(rows) = result.ok().and_then(|text| order_limits(text).ok()) {
                    let (sent, venue_now) = (self.clock.venue_time(flight.sent), self.clock.venue_time(now));
                    self.budget.answered(sent, venue_now, None, Told::Rows(&rows));
                }
            }
            Ask::Own(own) => self.own.push((own, result.map(str::to_owned))),
            Ask::Time | Ask::Logon | Ask::Subscribe => self.handshake(now, flight, result, out),
        }
    }

    fn cancel_replied(
        &mut self,
        now: Time,
        cancel: Cancel,
        result: Result<&str, ApiError>,
        out: &mut Outbox,
    ) {
        if let Some(outcome) = self.canceled(result) {
            out.events.push(VenueEvent::CancelReply { id: cancel.id, outcome });
            return;
        }
        let Cancel { symbol, id, known_as, conditional, .. } = cancel;
        let query = Query::Order { symbol, client_id: known_as, conditional };
        let cost = self.dialect.query_cost(&query);
        let counted = self.budget.take(self.clock.venue_time(now), cost).is_ok();
        let session = self.active.unwrap_or(LinkId(0));
        let asked = query.clone();
        let write = |desk: &Self, id| desk.dialect.query(id, &asked, desk.stamp(now));
        self.send(now, session, Ask::Canceled(id, query), counted.then_some(cost), write, out);
    }

    fn handshake(
        &mut self,
        now: Time,
        flight: Flight<D::Own>,
        result: Result<&str, ApiError>,
        out: &mut Outbox,
    ) {
        let link = flight.link;
        match (flight.ask, result) {
            (Ask::Time, Ok(text)) => match server_time(text) {
                Ok(venue) => self.timed(now, link, flight.sent, venue, out),
                Err(malformed) => self.handshake_failed(now, link, &malformed.to_string(), out),
            },
            (Ask::Logon, Ok(_)) => self.logged_on(now, link, out),
            (Ask::Subscribe, Ok(_)) => self.subscribed(now, link, out),
            (Ask::Subscribe, Err(error)) if error.code == ALREADY_SUBSCRIBED => {
                self.subscribed(now, link, out);
            }
            (Ask::Logon | Ask::Subscribe, Err(error)) if refuses_key(error.status, error.code) => {
                self.key_refused(now, link, &error.to_string(), out);
            }
            (_, Err(error)) => self.handshake_failed(now, link, &error.to_string(), out),
            (_, Ok(_)) => {}
        }
    }

    /// A connection that is up survives a failed comparison of clocks; one still to come does not.
    fn handshake_failed(&mut self, now: Time, link: LinkId, why: &str, out: &mut Outbox) {
        let up = |phase| matches!(phase, Phase::Ready | Phase::Leaving);
        if self.sessions.get(&link).is_some_and(|session| !up(session.phase)) {
            self.drop_link(now, link, why, out);
        }
    }

    fn answered(
        &mut self,
        now: Time,
        mut question: Question,
        result: Result<&str, ApiError>,
        out: &mut Outbox,
    ) {
        question.attempts += 1;
        let again = |error: &ApiError| matches!(error.status, 418 | 429) || is_clock(error.code);
        if result.as_ref().is_err_and(again) && question.attempts < QUERY_ATTEMPTS {
            // Not at once: the clock must be compared first.
            self.questions.push_front(question);
            self.questions_at = Some(now + AGAIN);
            return;
        }
        let answer = self.answer(&question.query, result);
        out.events.push(VenueEvent::Answer { request: question.request, answer });
        self.flush(now, out);
    }

    /// What an error says beyond the request it answers, which may be an order.
    fn heed(&mut self, now: Time, order: bool, error: &ApiError, out: &mut Outbox) {
        let venue_now = self.clock.venue_time(now);
        let end = |kind| error.retry_after.unwrap_or_else(|| self.budget.window_end(venue_now, kind));
        if error.code == TOO_MANY_ORDERS {
            let until = end(LimitKind::Orders);
            self.budget.hold_orders_until(venue_now, until);
        } else if error.status == 418 {
            self.budget.stop_until(venue_now, error.retry_after.unwrap_or(venue_now + BAN));
        } else if error.status == 429 && order && self.budget.counts_orders_apart() {
            // Orders have a pool of their own; a cancel must go on.
            let until = end(LimitKind::OrderWeight);
            self.budget.hold_orders_until(venue_now, until);
        } else if error.status == 429 {
            let until = end(LimitKind::Weight);
            self.budget.stop_until(venue_now, until);
        } else if error.status == 403 {
            // Orders only: a cancel that is let through is worth more than the firewall's mood.
            self.budget.hold_orders_until(venue_now, venue_now + FIREWALL);
        }
        if is_clock(error.code) {
            self.clock.distrust();
            match self.active {
                Some(link) => self.ask_time(now, link, out),
                None => self.ask_time_by_request(now, out),
            }
        }
    }

    /// A reply to a request already reported as unknown: that it worked, or that the order was refused, is a fact worth
    /// passing on.
    fn late(&self, flight: &Flight<D::Own>, result: Result<&str, ApiError>, out: &mut Outbox) {
        let report: Option<Box<OrderReport>> = match &flight.ask {
            Ask::Place(id) => match self.placed(result) {
                PlaceOutcome::Accepted(report) => Some(report),
                // Over HTTP it may have waited long for its turn; frames are answered soon or never.
                outcome @ PlaceOutcome::Rejected { .. } if flight.http => {
                    out.events.push(VenueEvent::Placed { id: id.clone(), outcome });
                    None
                }
                _ => None,
            },
            Ask::Cancel(_) => match self.canceled(result) {
                Some(CancelOutcome::Canceled(report)) => Some(report),
                _ => None,
            },
            Ask::Amend(_) => match self.amended(result) {
                AmendOutcome::Amended(report) => Some(report),
                _ => None,
            },
            _ => None,
        };
        out.events.extend(report.map(VenueEvent::Report));
    }
}
