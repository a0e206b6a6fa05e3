//! Orders out, private facts in, over logged-on connections of the websocket API.
//!
//! Each connection goes through
//!
//! ```text
//! Dialing ─open→ Timing ─time→ LoggingOn ─logon→ Subscribing ─subscribed→ Ready ─replaced→ Leaving → gone
//!    └────────────┴──────────────┴─ failed, refused, silent, too slow ─┴──────┴───────────────┴→ gone
//! ```
//!
//! At most one connection is *coming* (not ready yet), one is *active* (orders go over it), and those replaced are
//! *leaving*: they finish their requests and still bring events. A planned end (23 h, `serverShutdown`) makes the new
//! connection before it leaves the old one, so private events never pause; they may come twice, which the gateway's
//! fill keys absorb. Losing the active connection answers every request in flight with `Unknown`, voids every
//! question, and only then says `EntryDown`. A reply that comes in spite of that still counts: that an order lives, or
//! that it was refused.
//!
//! What the websocket API lacks goes over HTTP: each such request is a link of its own, used once.
//!
//! An order is written to a connection once. Nothing here ever writes it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use binance_wire::classify::Verdict;
use binance_wire::reply::{ApiError, Malformed};
use binance_wire::request::Request;
use binance_wire::rest::RestRequest;
use bytes::Bytes;
use tradingsys::ids::{ClientOrderId, LinkId, SessionId};
use tradingsys::order::request::NewOrder;
use tradingsys::time::{Span, Time};
use tradingsys::venue::clock::ClockOffset;
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::limit::{Cost, Purpose, RateBudget};
use tradingsys::venue::port::{
    Account, Amend, AmendOutcome, Answer, Cancel, CancelOutcome, EntryGauges, Fill, FundingRate, Income,
    LinkAction, LinkInput, NotSent, OrderEntry, OrderReport, Outbox, PlaceOutcome, Query, Urgent,
    UrgentReply, VenueEvent, Way,
};
use tradingsys::venue::watch::SilenceWatch;

use super::Access;

pub(crate) mod links;
mod outcome;
mod replies;
mod requests;
mod urgent;

/// When a request is sent, in the venue's time, and how long it may take to be accepted.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub(crate) at: Time,
    pub(crate) recv_window: Span,
}

impl Stamp {
    /// Ends a request that needs a time.
    pub(crate) fn finish(self, request: Request) -> String {
        request.int("recvWindow", self.recv_window.millis()).int("timestamp", self.at.millis()).finish()
    }
}

/// How a request goes out.
#[derive(Debug)]
pub enum Call {
    /// As a frame of the logged-on connection.
    Frame(String),
    /// Over HTTP, stamped and signed here.
    Signed(RestRequest),
    /// Over HTTP, with nothing but the API key.
    Plain(RestRequest),
}

/// Reads a result of that kind.
type Reader<T> = fn(&str) -> Result<T, Malformed>;

/// How a market's results are read.
#[derive(Clone, Copy, Debug)]
pub struct Readers {
    /// An order: of a reply, or asked for.
    pub(crate) order: Reader<OrderReport>,
    /// Orders, open or all.
    pub(crate) orders: Reader<Vec<OrderReport>>,
    /// Own trades.
    pub(crate) trades: Reader<Vec<Fill>>,
    /// The account.
    pub(crate) account: Reader<Account>,
    /// Funding as it was published.
    pub(crate) funding: Reader<Vec<FundingRate>>,
    /// Payments and charges.
    pub(crate) income: Reader<Vec<Income>>,
}

/// Where there is nothing of a kind, or another machine asks for it.
pub(crate) fn nothing<T>(_text: &str) -> Result<Vec<T>, Malformed> {
    Ok(Vec::new())
}

/// What a market's requests look like, and how its replies are read.
pub trait Dialect: fmt::Debug {
    /// What the market asks on its own account besides.
    type Own: Clone + fmt::Debug;
    /// Do private events come over the logged-on connection? Then its being up is all that is needed; otherwise the
    /// machine around the desk says when orders may be sent.
    const PRIVATE_ON_SESSION: bool;
    /// Do they need a token, which the machine around the desk brings by [`Desk::subscribe`]?
    const BY_TOKEN: bool = false;
    /// Do the limits that replies of the logged-on connection tell hold for this market's requests?
    const SESSION_LIMITS: bool = true;
    /// Do orders go over the logged-on connection?
    const ORDERS_ON_SESSION: bool = true;
    /// Are conditional orders kept apart?
    const CONDITIONALS_APART: bool = false;
    /// Where the venue tells its time over HTTP.
    const TIME_PATH: &str;
    /// How its results are read.
    const READERS: Readers;
    /// What an order costs.
    fn order_cost(&self, order: &NewOrder) -> Cost;
    /// The request of an order.
    fn place(&self, id: u64, order: &NewOrder, stamp: Stamp) -> Call;
    /// What a cancel costs.
    fn cancel_cost(&self) -> Cost;
    /// The request of a cancel.
    fn cancel(&self, id: u64, cancel: &Cancel, stamp: Stamp) -> Call;
    /// What an amend costs.
    fn amend_cost(&self) -> Cost {
        self.cancel_cost()
    }
    /// The request of an amend; `None` where orders cannot be changed.
    fn amend(&self, _id: u64, _amend: &Amend, _stamp: Stamp) -> Option<Call> {
        None
    }
    /// The answer to a question that need not be asked in this market.
    fn known(&self, _query: &Query) -> Option<Answer> {
        None
    }
    /// A cancel as a request of its own, over HTTP.
    fn cancel_request(&self, cancel: &Cancel) -> RestRequest;
    /// The question for all open orders as a request of its own, over HTTP.
    fn open_request(&self, conditional: bool) -> RestRequest;
    /// What a question costs.
    fn query_cost(&self, query: &Query) -> Cost;
    /// The request of a question.
    fn query(&self, id: u64, query: &Query, stamp: Stamp) -> Call;
    /// The request for the venue's count of orders, and its cost.
    fn order_limits(&self, id: u64, stamp: Stamp) -> (Call, Cost);
    /// What an error says of the account, if it is not set up as needed: for the user.
    fn unfit(&self, _error: &ApiError) -> Option<&'static str> {
        None
    }
    /// What an error says about the order it answers.
    fn verdict(&self, error: &ApiError) -> Verdict;
    /// Is it the answer to a cancel whose order is not open in the engine?
    fn is_unknown_order(&self, error: &ApiError) -> bool;
    /// Reads the order of the reply to an amend.
    ///
    /// # Errors
    /// [`Malformed`] if it is none.
    fn amended_order(&self, text: &str) -> Result<OrderReport, Malformed> {
        (Self::READERS.order)(text)
    }
    /// Does the reply to a cancel confirm it without showing the order?
    fn is_bare_cancel(&self, _text: &str) -> bool {
        false
    }
    /// Reads the answer to a question.
    ///
    /// # Errors
    /// [`Malformed`] if it is none.
    fn read(&self, query: &Query, text: &str) -> Result<Answer, Malformed> {
        let Readers { order, orders, trades, account, funding, income } = Self::READERS;
        match query {
            Query::OpenOrders
            | Query::OpenConditionals
            | Query::OpenOrdersOf { .. }
            | Query::OrdersFrom { .. } => orders(text).map(Answer::Orders),
            Query::Order { .. } | Query::OrderByVenueId { .. } => {
                order(text).map(|report| Answer::Order(Box::new(report)))
            }
            Query::TradesFrom { .. } | Query::TradesSince { .. } | Query::TradesOfOrder { .. } => {
                trades(text).map(Answer::Trades)
            }
            Query::Account => account(text).map(Answer::Account),
            Query::Funding { .. } => funding(text).map(Answer::Funding),
            Query::Income { .. } => income(text).map(Answer::Income),
        }
    }
}

/// A reply's result, or the venue's error.
pub(crate) type Reply<'a> = Result<&'a str, ApiError>;

/// Most questions in flight at once; the rest waits its turn, so that an order never stands behind a long row of them.
const QUERIES_IN_FLIGHT: usize = 16;
/// How often a question is asked again after a refusal that was not its own fault.
const QUERY_ATTEMPTS: u8 = 3;
/// How long the late reply to a request given up is still of use.
const LATE: Span = Span::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Dialing,
    Timing,
    LoggingOn,
    Subscribing,
    Ready,
    Leaving,
}

#[derive(Debug)]
pub(crate) struct Session {
    phase: Phase,
    watch: SilenceWatch,
    /// When the phase must have ended: the handshake, the active life, the leaving.
    until: Time,
}

/// What a request in flight is for.
#[derive(Clone, Debug)]
enum Ask<O> {
    Time,
    Logon,
    Subscribe,
    OrderLimits,
    Place(ClientOrderId),
    Cancel(Cancel),
    /// A cancel worked; this asks for the order.
    Canceled(ClientOrderId, Query),
    Amend(ClientOrderId),
    Query(Question),
    /// Of the stop, under its number.
    Urgent(u64, Urgent),
    Own(O),
}

#[derive(Clone, Debug)]
struct Question {
    request: u64,
    query: Query,
    attempts: u8,
}

#[derive(Debug)]
struct Flight<O> {
    link: LinkId,
    /// Over HTTP: the link is its own.
    http: bool,
    ask: Ask<O>,
    cost: Option<Cost>,
    sent: Time,
    until: Time,
    /// Its asker was told that nothing is known; only what is certain is still passed on.
    given_up: bool,
}

impl<O> Flight<O> {
    /// Is it an order, or does it change one?
    fn is_order(&self) -> bool {
        matches!(self.ask, Ask::Place(_) | Ask::Cancel(_) | Ask::Canceled(..) | Ask::Amend(_))
    }

    /// Does anyone outside this machine wait for its reply?
    fn is_awaited(&self) -> bool {
        (self.is_order() || matches!(self.ask, Ask::Query(_))) && !self.given_up
    }
}

/// The machine of order entry.
#[derive(Debug)]
pub struct Desk<D: Dialect> {
    pub(crate) dialect: D,
    pub(crate) config: Access,
    pub(crate) sessions: BTreeMap<LinkId, Session>,
    coming: Option<LinkId>,
    pub(crate) active: Option<LinkId>,
    dialer: Dialer,
    dial_at: Option<Time>,
    pub(crate) clock: ClockOffset,
    clock_at: Option<Time>,
    budget: RateBudget,
    flights: BTreeMap<u64, Flight<D::Own>>,
    questions: VecDeque<Question>,
    questions_at: Option<Time>,
    /// Trading waits for the questions.
    comparing: bool,
    /// When what the market asks on its own account may be asked again, after the venue said stop.
    own_at: Option<Time>,
    next_request: u64,
    next_link: u32,
    /// Answers to the market's own questions, for the machine around the desk.
    pub(crate) own: Vec<(D::Own, Result<String, ApiError>)>,
    /// Why the active connection was lost, until the machine around the desk has seen it.
    pub(crate) lost: Option<String>,
}

impl<D: Dialect> Desk<D> {
    /// A machine that has not started.
    pub(crate) fn with(dialect: D, config: Access) -> Self {
        let dialer = Dialer::new(config.timing.backoff, config.timing.backoff_cap, config.seed);
        let mut budget = RateBudget::new(&config.limits);
        budget.doubt_clock(Span::ZERO);
        Self {
            dialect,
            config,
            sessions: BTreeMap::new(),
            coming: None,
            active: None,
            dialer,
            dial_at: None,
            clock: ClockOffset::default(),
            clock_at: None,
            budget,
            flights: BTreeMap::new(),
            questions: VecDeque::new(),
            questions_at: None,
            comparing: false,
            own_at: None,
            next_request: 1,
            // Odd numbers are ours, even ones the feed's.
            next_link: 1,
            own: Vec::new(),
            lost: None,
        }
    }

    fn stamp(&self, now: Time) -> Stamp {
        Stamp { at: self.clock.venue_time(now), recv_window: self.config.recv_window }
    }

    /// The next number of a link. Odd numbers are ours, even ones the feed's.
    pub(crate) fn new_link(&mut self) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 2;
        link
    }

    /// Sends a request, over this connection if it is a frame, and puts it in flight. `write` gets its number.
    fn send(
        &mut self,
        now: Time,
        session: LinkId,
        ask: Ask<D::Own>,
        cost: Option<Cost>,
        write: impl FnOnce(&Self, u64) -> Call,
        out: &mut Outbox,
    ) {
        let id = self.next_request;
        self.next_request += 1;
        let call = write(self, id);
        let http = !matches!(call, Call::Frame(_));
        let link = match call {
            Call::Frame(text) => {
                out.actions.push(LinkAction::Send { link: session, text: Bytes::from(text) });
                session
            }
            Call::Signed(request) => self.request(request, Some(self.stamp(now)), out),
            Call::Plain(request) => self.request(request, None, out),
        };
        let until = now + self.config.timing.request;
        self.flights.insert(id, Flight { link, http, ask, cost, sent: now, until, given_up: false });
    }

    fn request(&mut self, request: RestRequest, stamp: Option<Stamp>, out: &mut Outbox) -> LinkId {
        let link = self.new_link();
        let method = request.method();
        let url = match stamp {
            Some(Stamp { at, recv_window }) => {
                let (host, key) = (&self.config.rest, &self.config.key);
                request.signed_url(host, key, at.millis(), recv_window.millis())
            }
            None => request.url(&self.config.rest),
        };
        let headers = vec![("x-mbx-apikey", self.config.apikey.clone())];
        out.actions.push(LinkAction::Request { link, method, url, headers, body: Bytes::new() });
        link
    }

    /// Asks something on the market's own account. It is counted, and held back only where the venue has said stop: it
    /// is not sent then, and the timer goes off when it may be.
    pub(crate) fn ask_own(&mut self, now: Time, own: D::Own, call: Call, weight: u64, out: &mut Outbox) {
        let venue_now = self.clock.venue_time(now);
        if let Some(until) = self.budget.stopped(venue_now) {
            let until = self.clock.own_time(until);
            self.own_at = Some(until);
            self.await_token(until + self.config.timing.handshake);
            return;
        }
        let cost = Cost { purpose: Purpose::Cancel, weight };
        let counted = self.budget.take(venue_now, cost).is_ok();
        self.send(now, LinkId(0), Ask::Own(own), counted.then_some(cost), |_, _| call, out);
    }

    /// The same for a question, which has no more of the budget than others.
    ///
    /// # Errors
    /// When to try again; nothing was sent.
    pub(crate) fn query_own(
        &mut self,
        now: Time,
        own: D::Own,
        call: Call,
        weight: u64,
        out: &mut Outbox,
    ) -> Result<(), Time> {
        let cost = Cost { purpose: Purpose::Query, weight };
        let taken = self.budget.take(self.clock.venue_time(now), cost);
        taken.map_err(|until| self.clock.own_time(until))?;
        self.send(now, LinkId(0), Ask::Own(own), Some(cost), |_, _| call, out);
        Ok(())
    }

    /// The same, as a frame of this connection; `write` gets its number. It costs none of the market's weight.
    pub(crate) fn ask_own_over(
        &mut self,
        now: Time,
        link: LinkId,
        own: D::Own,
        write: impl FnOnce(u64) -> String,
        out: &mut Outbox,
    ) {
        self.send(now, link, Ask::Own(own), None, |_, id| Call::Frame(write(id)), out);
    }

    /// Is such a question under way?
    pub(crate) fn is_asking(&self, which: impl Fn(&D::Own) -> bool) -> bool {
        self.flights.values().any(|flight| matches!(&flight.ask, Ask::Own(own) if which(own)))
    }

    /// Is this order on its way, its outcome not known?
    pub(crate) fn is_placing(&self, id: &ClientOrderId) -> bool {
        let placing = |flight: &Flight<D::Own>| matches!(&flight.ask, Ask::Place(order) if order == id);
        self.flights.values().any(|flight| !flight.given_up && placing(flight))
    }

    /// The link an order may use now, its cost reserved.
    fn admit(&mut self, now: Time, cost: Cost, id: &ClientOrderId) -> Result<LinkId, NotSent> {
        let link = self.active.ok_or(NotSent::Disconnected)?;
        let session = id.parts().map(|parts| parts.session);
        let taken = self.budget.take_for(self.clock.venue_time(now), cost, session);
        taken.map_err(|until| NotSent::RateLimited { retry_at: self.clock.own_time(until) })?;
        Ok(link)
    }

    /// The link for a cancel or an amend: the one its order is on its way on, lest it overtakes it while connections
    /// change.
    fn follow(&self, id: &ClientOrderId, link: LinkId) -> LinkId {
        let placing = |flight: &&Flight<D::Own>| matches!(&flight.ask, Ask::Place(order) if order == id);
        self.flights.values().find(placing).map_or(link, |flight| flight.link)
    }

    fn query_cost(&self, query: &Query) -> Cost {
        let cost = self.dialect.query_cost(query);
        if query.is_of_an_order() {
            Cost { purpose: Purpose::Doubt, ..cost }
        } else if self.comparing {
            Cost { purpose: Purpose::Comparison, ..cost }
        } else {
            cost
        }
    }

    /// A question about one order goes before the others: a comparison of a hundred symbols may wait for the next
    /// minute, an order in doubt should not.
    fn wait_in_line(&mut self, question: Question) {
        let others = |waiting: &Question| !waiting.query.is_of_an_order();
        let place = question.query.is_of_an_order().then(|| self.questions.iter().position(others));
        self.questions.insert(place.flatten().unwrap_or(self.questions.len()), question);
    }

    /// Asks as many waiting questions as budget and flight allow.
    fn flush(&mut self, now: Time, out: &mut Outbox) {
        self.questions_at = None;
        let Some(link) = self.active else { return };
        let flying = self.flights.values().filter(|f| matches!(f.ask, Ask::Query(_)) && !f.given_up).count();
        for _ in flying..QUERIES_IN_FLIGHT {
            let Some(question) = self.questions.front() else { return };
            let cost = self.query_cost(&question.query);
            if let Err(until) = self.budget.take(self.clock.venue_time(now), cost) {
                self.questions_at = Some(self.clock.own_time(until));
                return;
            }
            let Some(question) = self.questions.pop_front() else { return };
            let query = question.query.clone();
            let write = |desk: &Self, id| desk.dialect.query(id, &query, desk.stamp(now));
            self.send(now, link, Ask::Query(question), Some(cost), write, out);
        }
    }

    /// Tells the asker that a request will not be answered any more.
    fn give_up(&mut self, ask: Ask<D::Own>, why: &str, out: &mut Outbox) {
        let why = why.to_owned();
        out.events.push(match ask {
            Ask::Place(id) => VenueEvent::Placed { id, outcome: PlaceOutcome::Unknown(why) },
            Ask::Cancel(Cancel { id, .. }) | Ask::Canceled(id, _) => {
                VenueEvent::CancelReply { id, outcome: CancelOutcome::Unknown(why) }
            }
            Ask::Amend(id) => VenueEvent::AmendReply { id, outcome: AmendOutcome::Unknown(why) },
            Ask::Query(Question { request, .. }) => {
                VenueEvent::Answer { request, answer: Answer::Failed(why) }
            }
            Ask::Urgent(number, _) => VenueEvent::Urgent { number, reply: UrgentReply::Lost(why) },
            Ask::Own(own) => {
                let error = ApiError { status: 0, code: 0, message: why, retry_after: None };
                self.own.push((own, Err(error)));
                return;
            }
            Ask::Time | Ask::Logon | Ask::Subscribe | Ask::OrderLimits => return,
        });
    }

    fn expire_flights(&mut self, now: Time, out: &mut Outbox) {
        let venue_now = self.clock.venue_time(now);
        let due: Vec<u64> = self.flights.iter().filter(|(_, f)| f.until <= now).map(|(id, _)| *id).collect();
        for id in due {
            let Some(mut flight) = self.flights.remove(&id) else { continue };
            if let Some(cost) = flight.cost.take() {
                self.budget.lost(venue_now, cost);
            }
            // Closed, an order's request would have no answer even if the venue gives one.
            if flight.given_up || !flight.is_order() {
                self.hang_up(flight.link, out);
            }
            if !flight.given_up {
                let waited = self.config.timing.request.millis();
                self.give_up(flight.ask.clone(), &format!("no reply for {waited} ms"), out);
            }
            if flight.is_order() && !flight.given_up {
                flight.given_up = true;
                flight.until = now + LATE;
                self.flights.insert(id, flight);
            }
        }
    }
}

impl<D: Dialect> OrderEntry for Desk<D> {
    fn start(&mut self, now: Time, out: &mut Outbox) {
        self.dial(now, out);
    }

    fn place(&mut self, now: Time, order: &NewOrder, out: &mut Outbox) -> Result<(), NotSent> {
        if self.active.is_some()
            && let Some(off) = self.clock.off(self.config.clock_tolerance)
        {
            return Err(NotSent::ClockOff(off));
        }
        let cost = self.dialect.order_cost(order);
        let link = self.admit(now, cost, &order.id)?;
        let write = |desk: &Self, id| desk.dialect.place(id, order, desk.stamp(now));
        self.send(now, link, Ask::Place(order.id.clone()), Some(cost), write, out);
        Ok(())
    }

    fn share_among(&mut self, sessions: &BTreeSet<SessionId>) {
        self.budget.share_among(sessions);
    }

    fn cancel(&mut self, now: Time, cancel: &Cancel, out: &mut Outbox) -> Result<(), NotSent> {
        let cost = self.dialect.cancel_cost();
        let link = self.admit(now, cost, &cancel.id)?;
        let link = self.follow(&cancel.id, link);
        let write = |desk: &Self, id| desk.dialect.cancel(id, cancel, desk.stamp(now));
        self.send(now, link, Ask::Cancel(cancel.clone()), Some(cost), write, out);
        Ok(())
    }

    fn urgent(
        &mut self,
        now: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        self.send_urgent(now, number, urgent, way, out)
    }

    fn amend(&mut self, now: Time, amend: &Amend, out: &mut Outbox) -> Result<(), NotSent> {
        let Some(call) = self.dialect.amend(self.next_request, amend, self.stamp(now)) else {
            let message = "this account's orders cannot be changed; cancel and send anew".to_owned();
            let outcome = AmendOutcome::Rejected { code: 0, message };
            out.events.push(VenueEvent::AmendReply { id: amend.id.clone(), outcome });
            return Ok(());
        };
        let cost = self.dialect.amend_cost();
        let link = self.admit(now, cost, &amend.id)?;
        let link = self.follow(&amend.id, link);
        self.send(now, link, Ask::Amend(amend.id.clone()), Some(cost), |_, _| call, out);
        Ok(())
    }

    fn query(&mut self, now: Time, request: u64, query: &Query, out: &mut Outbox) {
        if self.active.is_none() {
            let answer = Answer::Failed("the exchange is not connected".to_owned());
            out.events.push(VenueEvent::Answer { request, answer });
            return;
        }
        if let Some(answer) = self.dialect.known(query) {
            out.events.push(VenueEvent::Answer { request, answer });
            return;
        }
        self.wait_in_line(Question { request, query: query.clone(), attempts: 0 });
        self.flush(now, out);
    }

    fn comparing(&mut self, under_way: bool) {
        self.comparing = under_way;
    }

    fn pace(&mut self, now: Time, queries: &[Query]) -> Span {
        let cost = Cost { purpose: Purpose::Query, weight: self.weight(queries) };
        self.budget.pace(self.clock.venue_time(now), cost)
    }

    fn weight(&self, queries: &[Query]) -> u64 {
        queries.iter().map(|query| self.dialect.query_cost(query).weight).sum()
    }

    fn owns(&self, link: LinkId) -> bool {
        link.0 % 2 == 1
    }

    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(&link) else {
            return self.requested(now, link, input, out);
        };
        session.watch.heard(now);
        match input {
            LinkInput::Up => self.opened(now, link, out),
            LinkInput::Down(why) => self.lost(now, link, why, out),
            LinkInput::Text(text) => self.frame(now, link, text, out),
            LinkInput::Binary(_) | LinkInput::Alive | LinkInput::Response { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let sessions = self.sessions.values().flat_map(|s| [s.until, s.watch.deadline()]);
        let flights = self.flights.values().map(|flight| flight.until);
        let fixed = [self.dial_at, self.clock_at, self.questions_at, self.own_at];
        sessions.chain(flights).chain(fixed.into_iter().flatten()).min()
    }

    fn timer(&mut self, now: Time, out: &mut Outbox) {
        if self.dial_at.is_some_and(|at| at <= now) {
            self.dial(now, out);
        }
        self.own_at = self.own_at.filter(|at| *at > now);
        self.check_sessions(now, out);
        self.expire_flights(now, out);
        if let (Some(at), Some(link)) = (self.clock_at, self.active)
            && at <= now
        {
            self.ask_time(now, link, out);
        }
        if self.questions_at.is_none_or(|at| at <= now) {
            self.flush(now, out);
        }
    }

    fn gauges(&self, now: Time) -> EntryGauges {
        let venue_now = self.clock.venue_time(now);
        EntryGauges {
            connected: self.active.is_some(),
            windows: self.budget.windows(venue_now),
            stopped_for: self.budget.stopped(venue_now).map(|until| until.since(venue_now)),
            clock: self.clock.best(),
            clock_off: self.clock.off(self.config.clock_tolerance),
            requests: self.flights.values().filter(|flight| flight.is_awaited()).count(),
            questions: self.questions.len(),
        }
    }

    fn shows_trades_of(&self) -> Option<Span> {
        None
    }

    fn inquires(&self) -> bool {
        false
    }

    fn receive_window(&self) -> Span {
        self.config.recv_window
    }

    fn stop(&mut self, _now: Time, out: &mut Outbox) {
        let links = std::mem::take(&mut self.sessions).into_keys();
        out.actions.extend(links.map(|link| LinkAction::Close { link }));
        (self.coming, self.active, self.dial_at) = (None, None, None);
        (self.clock_at, self.questions_at, self.own_at) = (None, None, None);
        self.flights.clear();
        self.questions.clear();
    }
}
