//! The life of connections: dial, shake hands, replace, lose.

use binance_wire::request::{Request, logon};
use tradingsys::ids::LinkId;
use tradingsys::time::{Span, Time};
use tradingsys::venue::limit::{Cost, Purpose};
use tradingsys::venue::port::{LinkAction, Outbox, VenueEvent};
use tradingsys::venue::watch::{Silence, SilenceWatch};

use super::{Ask, Call, Desk, Dialect, Flight, LATE, Phase, Session};

/// A replaced connection stays at least this long for the events already on their way.
const LINGER: Span = Span::from_secs(1);
/// Planned replacements are spread over the last part of a connection's life (one part in this many).
const SPREAD: i64 = 92;

const TIME_COST: Cost = Cost { purpose: Purpose::Cancel, weight: 1 };
const SESSION_COST: Cost = Cost { purpose: Purpose::Cancel, weight: 2 };

/// The frame that subscribes to private events with a token, or goes on with a subscription.
pub(crate) fn token_subscription(id: u64, token: &str) -> String {
    Request::new(id, "userDataStream.subscribe.listenToken").text("listenToken", token).finish()
}

impl<D: Dialect> Desk<D> {
    /// Opens the connection to come.
    pub(super) fn dial(&mut self, now: Time, out: &mut Outbox) {
        self.dial_at = None;
        if self.coming.is_some() {
            return;
        }
        let link = self.new_link();
        self.dialer.dialled(now);
        let watch = SilenceWatch::new(now, self.config.timing.silence);
        let until = now + self.config.timing.handshake;
        self.sessions.insert(link, Session { phase: Phase::Dialing, watch, until });
        self.coming = Some(link);
        out.actions.push(LinkAction::Open { link, url: self.config.ws_api.clone(), headers: Vec::new() });
    }

    pub(super) fn opened(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        if self.enter(link, Phase::Dialing, Phase::Timing) {
            self.ask_time(now, link, out);
        }
    }

    /// Asks the venue for its time; the answer is also a sign of life.
    pub(super) fn ask_time(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        if self.active == Some(link) {
            self.clock_at = Some(now + self.config.timing.clock);
        }
        self.ask(
            now,
            link,
            Ask::Time,
            TIME_COST,
            |_, id| Call::Frame(Request::new(id, "time").finish()),
            out,
        );
    }

    /// The venue told its time: the clock is compared, and the handshake goes on.
    pub(super) fn timed(&mut self, now: Time, link: LinkId, sent: Time, venue: Time, out: &mut Outbox) {
        let best = self.clock.learn(sent, now, venue);
        self.budget.doubt_clock(best.uncertainty());
        out.events.push(VenueEvent::Clock { offset_nanos: best.offset_nanos, round_trip: best.round_trip });
        if self.enter(link, Phase::Timing, Phase::LoggingOn) {
            let write = |desk: &Self, id| {
                let stamp = desk.stamp(now);
                let (apikey, key) = (&desk.config.apikey, &desk.config.key);
                Call::Frame(logon(id, apikey, key, stamp.at.millis(), stamp.recv_window.millis()))
            };
            self.ask(now, link, Ask::Logon, SESSION_COST, write, out);
        }
    }

    pub(super) fn logged_on(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        if !self.enter(link, Phase::LoggingOn, Phase::Subscribing) {
            return;
        }
        if D::PRIVATE_ON_SESSION && !D::BY_TOKEN {
            let write = |_: &Self, id| Call::Frame(Request::new(id, "userDataStream.subscribe").finish());
            self.ask(now, link, Ask::Subscribe, SESSION_COST, write, out);
        } else if !D::BY_TOKEN {
            self.subscribed(now, link, out);
        }
    }

    /// The connection that needs a token to go on, if it is this one, or any (`None`).
    pub(crate) fn awaits_token(&self, link: Option<LinkId>) -> Option<LinkId> {
        let coming = self.coming.filter(|coming| link.is_none_or(|link| link == *coming))?;
        let subscribing = self.sessions.get(&coming).is_some_and(|s| s.phase == Phase::Subscribing);
        let asked = |flight: &Flight<D::Own>| flight.link == coming && matches!(flight.ask, Ask::Subscribe);
        (D::BY_TOKEN && subscribing && !self.flights.values().any(asked)).then_some(coming)
    }

    /// The connection that needs a token does not get it yet: its handshake may take until then.
    pub(super) fn await_token(&mut self, until: Time) {
        let waiting = self.awaits_token(None).and_then(|link| self.sessions.get_mut(&link));
        if let Some(session) = waiting {
            session.until = session.until.max(until);
        }
    }

    /// Subscribes to private events with a token.
    pub(crate) fn subscribe(&mut self, now: Time, link: LinkId, token: &str, out: &mut Outbox) {
        let write = |_: &Self, id| Call::Frame(token_subscription(id, token));
        self.ask(now, link, Ask::Subscribe, SESSION_COST, write, out);
    }

    /// Private events arrive on this connection: it becomes the active one.
    pub(super) fn subscribed(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        if !self.enter(link, Phase::Subscribing, Phase::Ready) {
            return;
        }
        let life = self.config.timing.life;
        let early = self.dialer.spread(Span::from_nanos(life.nanos() / SPREAD));
        if let Some(session) = self.sessions.get_mut(&link) {
            session.until = now + Span::from_nanos(life.nanos() - early.nanos());
        }
        self.dialer.proven();
        self.coming = None;
        match self.active.replace(link).and_then(|old| self.sessions.get_mut(&old)) {
            Some(old) => (old.phase, old.until) = (Phase::Leaving, now + LINGER),
            None if D::PRIVATE_ON_SESSION => out.events.push(VenueEvent::EntryUp),
            None => {}
        }
        self.clock_at = Some(now + self.config.timing.clock);
        // The count of unfilled orders belongs to the account and outlives us: start from the venue's figure.
        let (_, cost) = self.dialect.order_limits(0, self.stamp(now));
        let write = |desk: &Self, id| desk.dialect.order_limits(id, desk.stamp(now)).0;
        self.ask(now, link, Ask::OrderLimits, cost, write, out);
        self.flush(now, out);
    }

    /// The venue will not let this key in. Retried seldom: a human must act first.
    pub(crate) fn key_refused(&mut self, now: Time, link: LinkId, why: &str, out: &mut Outbox) {
        self.drop_link(now, link, why, out);
        out.events.push(VenueEvent::KeyRefused(why.to_owned()));
        if self.coming.is_none() {
            self.dial_at = Some(now + self.config.timing.refused);
        }
    }

    /// Closes a connection that is of no use any more.
    pub(crate) fn drop_link(&mut self, now: Time, link: LinkId, why: &str, out: &mut Outbox) {
        out.actions.push(LinkAction::Close { link });
        self.lost(now, link, why, out);
    }

    /// A connection is gone.
    pub(super) fn lost(&mut self, now: Time, link: LinkId, why: &str, out: &mut Outbox) {
        if self.sessions.remove(&link).is_none() {
            return;
        }
        if self.active == Some(link) {
            self.down(now, why, out);
        } else {
            self.abandon(now, Some(link), why, out);
            if self.coming == Some(link) {
                self.coming = None;
                self.dial_at = Some(self.dialer.retry_at(now));
                if self.active.is_none() {
                    self.tell_down(why, out);
                }
            }
        }
    }

    /// The active connection is gone: all that is in flight is answered, then the gateway is told.
    fn down(&mut self, now: Time, why: &str, out: &mut Outbox) {
        self.active = None;
        let leaving: Vec<LinkId> =
            self.sessions.iter().filter(|(_, s)| s.phase == Phase::Leaving).map(|(link, _)| *link).collect();
        for link in leaving {
            self.sessions.remove(&link);
            out.actions.push(LinkAction::Close { link });
        }
        self.abandon(now, None, why, out);
        self.questions.clear();
        (self.clock_at, self.questions_at) = (None, None);
        self.tell_down(why, out);
        if self.coming.is_none() {
            self.dial_at = Some(self.dialer.retry_at(now));
        }
    }

    fn tell_down(&mut self, why: &str, out: &mut Outbox) {
        if D::PRIVATE_ON_SESSION {
            out.events.push(VenueEvent::EntryDown(why.to_owned()));
        } else {
            self.lost = Some(why.to_owned());
        }
    }

    /// Private events are lost though the connection lives: all that is in flight is answered, late replies are still
    /// heard.
    pub(crate) fn interrupt(&mut self, now: Time, why: &str, out: &mut Outbox) {
        self.questions.clear();
        self.questions_at = None;
        let ids: Vec<u64> = self.flights.iter().filter(|(_, f)| f.is_awaited()).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(flight) = self.flights.get_mut(&id) else { continue };
            flight.given_up = true;
            flight.until = flight.until.max(now + LATE);
            if flight.is_order() {
                let ask = flight.ask.clone();
                self.give_up(ask, why, out);
            }
        }
    }

    /// Gives up what is in flight: on one link, or (`None`) on all but the one to come, questions without an answer.
    /// Replies over HTTP do not hang on that connection, and late ones are still heard.
    fn abandon(&mut self, now: Time, link: Option<LinkId>, why: &str, out: &mut Outbox) {
        let venue_now = self.clock.venue_time(now);
        let coming = self.coming;
        let gone = |flight: &Flight<D::Own>| match link {
            Some(link) => flight.link == link,
            // What the market asks on its own account does not hang on this connection.
            None => Some(flight.link) != coming && !matches!(flight.ask, Ask::Own(_)),
        };
        let flights = std::mem::take(&mut self.flights);
        for (id, mut flight) in flights {
            if flight.http && link.is_none() && flight.is_awaited() {
                if flight.is_order() {
                    self.give_up(flight.ask.clone(), why, out);
                }
                flight.given_up = true;
                flight.until = flight.until.max(now + LATE);
            }
            if flight.http || !gone(&flight) {
                self.flights.insert(id, flight);
                continue;
            }
            if let Some(cost) = flight.cost {
                self.budget.lost(venue_now, cost);
            }
            match flight.ask {
                Ask::Query(question) if link.is_some() => self.questions.push_front(question),
                Ask::Query(_) => {}
                ask if !flight.given_up => self.give_up(ask, why, out),
                _ => {}
            }
        }
        if link.is_some() {
            self.flush(now, out);
        }
    }

    /// Looks after silence, handshakes that take too long, lives that end, and connections that may leave.
    pub(super) fn check_sessions(&mut self, now: Time, out: &mut Outbox) {
        let links: Vec<LinkId> = self.sessions.keys().copied().collect();
        for link in links {
            let Some(session) = self.sessions.get_mut(&link) else { continue };
            match session.watch.check(now) {
                Silence::Dead => {
                    self.drop_link(now, link, "the exchange fell silent", out);
                    continue;
                }
                Silence::Ask if session.phase != Phase::Dialing => self.ask_time(now, link, out),
                _ => {}
            }
            self.check_phase(now, link, out);
        }
    }

    fn check_phase(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(&link).filter(|session| session.until <= now) else {
            return;
        };
        match session.phase {
            Phase::Ready => {
                // Replaced long before the venue would close it; asked again only if even that fails.
                session.until = now + self.config.timing.life;
                self.replace(now);
            }
            Phase::Leaving if self.flights.values().any(|f| f.link == link && f.is_awaited()) => {
                session.until = now + LINGER;
            }
            Phase::Leaving => self.drop_link(now, link, "replaced", out),
            _ => self.drop_link(now, link, "the exchange took too long to answer", out),
        }
    }

    /// Makes the next connection before this one ends.
    pub(super) fn replace(&mut self, now: Time) {
        if self.coming.is_none() && self.dial_at.is_none() {
            self.dial_at = Some(self.dialer.soon(now));
        }
    }

    fn enter(&mut self, link: LinkId, from: Phase, to: Phase) -> bool {
        match self.sessions.get_mut(&link) {
            Some(session) if session.phase == from => {
                session.phase = to;
                true
            }
            _ => false,
        }
    }

    /// Sends a request of the machine's own. It is counted, and never held back: without it there is no connection.
    fn ask(
        &mut self,
        now: Time,
        link: LinkId,
        ask: Ask<D::Own>,
        cost: Cost,
        write: impl FnOnce(&Self, u64) -> Call,
        out: &mut Outbox,
    ) {
        let counted = self.budget.take(self.clock.venue_time(now), cost).is_ok();
        self.send(now, link, ask, counted.then_some(cost), write, out);
    }
}
