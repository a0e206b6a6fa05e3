//! Orders out over REST, private facts in over the logged-on connection, by a listen token.
//!
//! The [desk](crate::common::desk) keeps the connection; this machine brings what it needs besides:
//!
//! ```text
//!   connection logged on ──▶ token asked ──▶ subscribed: private events arrive, orders can be sent
//!                               ▲                │ half of its life over: a new token, the same subscription goes on
//!                               └── refused ◀────┤ that fails: told, tried again until its life is over
//!                                                └ its life is over, or the exchange ends the stream: connection lost
//! ```
//!
//! A connection that is lost is recovered from as on spot, whatever lost it: nothing is taken for granted afterwards.
//!
//! Requests over HTTP may overtake each other. A cancel of an order that is still on its way therefore waits for the
//! order's reply, or for the event that shows it: the engine would not know the order yet, and say so.

use std::collections::{BTreeMap, BTreeSet};

use binance_wire::classify::refuses_key;
use binance_wire::margin::{InterestPage, ListenToken, interest, listen_token, subscribed_until};
use binance_wire::reply::{ApiError, Malformed};
use tradingsys::ids::{ClientOrderId, LinkId, SessionId};
use tradingsys::order::request::NewOrder;
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{
    Amend, Answer, Cancel, CancelOutcome, EntryGauges, LinkInput, NotSent, OrderEntry, OrderReport, Outbox,
    Query, Urgent, UrgentReply, VenueEvent, Way,
};

use super::interest::Reading;
use super::risk::Risk;
use super::words::{INTEREST_WEIGHT, Margin, ORDERS_PAGE, Own, TOKEN_WEIGHT, token};
use super::{MarginConfig, documented_limits};
use crate::common::desk::Desk;
use crate::common::desk::links::token_subscription;

const NO_RISK_STREAM: &str = "\"endpoints\" gives no \"margin_stream\", over which the exchange says how near the \
    account is to liquidation: margin calls are not told; all else works";

/// Failed renewals are repeated this many times before the token's life is over.
const RENEWALS: i64 = 20;

/// The subscription of the connection in use.
#[derive(Debug)]
struct Listening {
    link: LinkId,
    /// When its token is to be replaced.
    renew_at: Time,
    /// When its life is over.
    over_at: Time,
    /// Between two tries to renew it.
    pause: Span,
    /// How the last of them failed.
    trouble: Option<String>,
}

impl Listening {
    fn new(link: LinkId, now: Time, over_at: Time) -> Self {
        let half = Span::from_nanos(over_at.since(now).nanos() / 2);
        let pause = Span::from_nanos(half.nanos() / RENEWALS);
        Self { link, renew_at: now + half, over_at, pause, trouble: None }
    }
}

/// The order-entry machine of this market.
#[derive(Debug)]
pub struct Entry {
    desk: Desk<Margin>,
    /// The connection that has subscribed and is not in use yet, and until when, by our clock.
    coming: Option<(LinkId, Time)>,
    listening: Option<Listening>,
    /// Cancels of orders that are on their way.
    held: BTreeMap<ClientOrderId, Vec<Cancel>>,
    /// Interest histories being read, by the question they answer.
    readings: BTreeMap<u64, Reading>,
    /// When those may go on that the rate budget holds back.
    readings_at: Option<Time>,
    /// What is there of long lists of orders, by the question they answer.
    halves: BTreeMap<u64, Vec<OrderReport>>,
    risk: Option<Risk>,
}

impl Entry {
    /// A machine that has not started.
    pub fn new(config: &MarginConfig) -> Self {
        let mut access = config.spot.access.clone();
        access.limits = documented_limits();
        // Another seed than the session's: the two must not dial in step.
        let (timing, seed) = (access.timing, access.seed.rotate_left(32));
        let risk = config.risk_stream.as_ref().map(|base| Risk::new(base, timing, seed));
        let dialect =
            Margin { side_effect: config.side_effect, auto_repay_at_cancel: config.auto_repay_at_cancel };
        Self {
            desk: Desk::with(dialect, access),
            coming: None,
            listening: None,
            held: BTreeMap::new(),
            readings: BTreeMap::new(),
            readings_at: None,
            halves: BTreeMap::new(),
            risk,
        }
    }

    /// After every input: takes up what the desk has left, releases cancels, and asks for the tokens that are needed.
    fn settle(&mut self, now: Time, from: usize, out: &mut Outbox) {
        for (own, result) in std::mem::take(&mut self.desk.own) {
            self.answered(now, own, result, out);
        }
        if self.readings_at.is_some_and(|at| at <= now) {
            self.go_on_reading(now, out);
        }
        self.review(now, from, out);
        self.join_pages(now, from, out);
        self.release(now, from, out);
        if let Some(link) = self.desk.awaits_token(None) {
            self.ask_token(now, link, out);
        }
        self.follow_connection(now);
        self.follow_risk(now, out);
        let Some(listening) = &mut self.listening else { return };
        let link = listening.link;
        if listening.over_at <= now {
            let trouble = listening.trouble.take().unwrap_or_else(|| "no answer".to_owned());
            self.listening = None;
            let why = format!("the listen token could not be renewed: {trouble}");
            let from = out.events.len();
            self.desk.drop_link(now, link, &why, out);
            self.release(now, from, out);
        } else if listening.renew_at <= now {
            // Not wanted again while its answer may still come.
            listening.renew_at = now + self.desk.config.timing.request;
            self.ask_token(now, link, out);
        }
    }

    /// The desk may have changed connections.
    fn follow_connection(&mut self, now: Time) {
        let active = self.desk.active;
        if active.is_none() {
            self.readings.clear();
            self.readings_at = None;
            self.halves.clear();
        }
        if self.listening.as_ref().is_some_and(|listening| Some(listening.link) != active) {
            self.listening = None;
        }
        if let Some((link, over_at)) = self.coming
            && active == Some(link)
        {
            self.coming = None;
            self.listening = Some(Listening::new(link, now, over_at));
        }
    }

    fn follow_risk(&mut self, now: Time, out: &mut Outbox) {
        let Some(risk) = self.risk.as_mut().filter(|_| self.desk.active.is_some()) else { return };
        let desk = &mut self.desk;
        if let Some((own, call)) = risk.need(now) {
            desk.ask_own(now, own, call, TOKEN_WEIGHT, out);
        }
        risk.dial(now, || desk.new_link(), out);
    }

    fn ask_token(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        if !self.desk.is_asking(|own| *own == Own::Token(link)) {
            self.desk.ask_own(now, Own::Token(link), token(), TOKEN_WEIGHT, out);
        }
    }

    fn answered(&mut self, now: Time, own: Own, result: Result<String, ApiError>, out: &mut Outbox) {
        let unreadable =
            |error: Malformed| ApiError { status: 0, code: 0, message: error.to_string(), retry_after: None };
        match own {
            Own::Token(link) => match result.and_then(|text| listen_token(&text).map_err(unreadable)) {
                Ok(token) => self.tokened(now, link, &token, out),
                Err(error) => self.no_token(now, link, &error, out),
            },
            Own::Renewal(link, until) => match result {
                Ok(text) => self.renewed(now, link, subscribed_until(&text).unwrap_or(until)),
                Err(error) => self.no_token(now, link, &error, out),
            },
            Own::RiskKey | Own::RiskRenewal => {
                if let Some(risk) = &mut self.risk {
                    risk.answered(now, own, result, out);
                }
            }
            Own::Interest(request) => {
                let page = result.and_then(|text| interest(&text).map_err(unreadable));
                self.interest_read(now, request, page.map_err(|error| error.to_string()), out);
            }
        }
    }

    fn tokened(&mut self, now: Time, link: LinkId, token: &ListenToken, out: &mut Outbox) {
        if self.desk.awaits_token(Some(link)).is_some() {
            self.coming = Some((link, self.desk.clock.own_time(token.until)));
            self.desk.subscribe(now, link, &token.text, out);
        } else if self.desk.active == Some(link) {
            let own = Own::Renewal(link, token.until);
            self.desk.ask_own_over(now, link, own, |id| token_subscription(id, &token.text), out);
        }
    }

    fn renewed(&mut self, now: Time, link: LinkId, until: Time) {
        if self.listening.as_ref().is_some_and(|listening| listening.link == link) {
            self.listening = Some(Listening::new(link, now, self.desk.clock.own_time(until)));
        }
    }

    /// No token could be had, or the subscription could not go on with it.
    fn no_token(&mut self, now: Time, link: LinkId, error: &ApiError, out: &mut Outbox) {
        if self.desk.awaits_token(Some(link)).is_some() {
            let why = format!("no listen token: {error}");
            if refuses_key(error.status, error.code) {
                self.desk.key_refused(now, link, &why, out);
            } else {
                self.desk.drop_link(now, link, &why, out);
            }
            return;
        }
        let Some(listening) = self.listening.as_mut().filter(|listening| listening.link == link) else {
            return;
        };
        let left = listening.over_at.since(now).millis() / 1_000;
        listening.renew_at = now + listening.pause;
        listening.trouble = Some(error.to_string());
        let words = format!(
            "the listen token of the margin account could not be renewed ({error}); private events end in {left} s \
             unless the next try succeeds"
        );
        out.events.push(VenueEvent::Warning { event: "listen token not renewed", words });
    }

    fn read_interest(&mut self, now: Time, request: u64, out: &mut Outbox) {
        let Some(reading) = self.readings.get(&request) else { return };
        let call = reading.call();
        if let Err(until) = self.desk.query_own(now, Own::Interest(request), call, INTEREST_WEIGHT, out) {
            self.readings_at = Some(self.readings_at.map_or(until, |at| at.min(until)));
        }
    }

    fn go_on_reading(&mut self, now: Time, out: &mut Outbox) {
        self.readings_at = None;
        let requests: Vec<u64> = self.readings.keys().copied().collect();
        for request in requests {
            if !self.desk.is_asking(|own| *own == Own::Interest(request)) {
                self.read_interest(now, request, out);
            }
        }
    }

    fn interest_read(
        &mut self,
        now: Time,
        request: u64,
        page: Result<InterestPage, String>,
        out: &mut Outbox,
    ) {
        let Some(mut reading) = self.readings.remove(&request) else { return };
        match page.map(|page| reading.take(self.desk.clock.venue_time(now), page)) {
            Ok(true) => {
                self.readings.insert(request, reading);
                self.read_interest(now, request, out);
            }
            Ok(false) => {
                let answer = Answer::Income(reading.finish());
                out.events.push(VenueEvent::Answer { request, answer });
            }
            Err(why) => out.events.push(VenueEvent::Answer { request, answer: Answer::Failed(why) }),
        }
    }

    /// A page of orders is smaller here than the asker counts with: two of them make one.
    fn join_pages(&mut self, now: Time, from: usize, out: &mut Outbox) {
        if self.halves.is_empty() {
            return;
        }
        let mut more = Vec::new();
        for event in out.events.split_off(from) {
            match event {
                VenueEvent::Answer { request, answer: Answer::Orders(rows) }
                    if self.halves.contains_key(&request) =>
                {
                    let full = rows.len() >= ORDERS_PAGE;
                    let mut all = self.halves.remove(&request).unwrap_or_default();
                    all.extend(rows);
                    let last = all.last().map(|order| (order.symbol.clone(), order.venue_id + 1));
                    match last.filter(|_| full && all.len() < 2 * ORDERS_PAGE) {
                        Some((symbol, from)) => {
                            self.halves.insert(request, all);
                            more.push((request, Query::OrdersFrom { symbol, from, conditional: false }));
                        }
                        None => {
                            out.events.push(VenueEvent::Answer { request, answer: Answer::Orders(all) });
                        }
                    }
                }
                VenueEvent::Answer { request, answer } => {
                    self.halves.remove(&request);
                    out.events.push(VenueEvent::Answer { request, answer });
                }
                event => out.events.push(event),
            }
        }
        for (request, query) in more {
            self.desk.query(now, request, &query, out);
        }
    }

    /// The reply to a cancel does not say when: it has just happened.
    fn review(&self, now: Time, from: usize, out: &mut Outbox) {
        for event in &mut out.events[from..] {
            let report = match event {
                VenueEvent::CancelReply { outcome: CancelOutcome::Canceled(report), .. }
                | VenueEvent::Urgent {
                    reply: UrgentReply::Cancel(CancelOutcome::Canceled(report)), ..
                }
                | VenueEvent::Report(report) => report,
                _ => continue,
            };
            if report.time == Time::default() {
                report.time = self.desk.clock.venue_time(now);
            }
        }
    }

    /// Cancels go out whose orders have their replies, or have been shown by an event; where there is no way any more,
    /// that is their reply.
    fn release(&mut self, now: Time, from: usize, out: &mut Outbox) {
        if self.held.is_empty() {
            return;
        }
        let mut released = Vec::new();
        for event in &out.events[from..] {
            let known = match event {
                VenueEvent::Placed { id, .. } => [Some(id), None],
                VenueEvent::Report(report) => [Some(&report.client_id), report.previous_id.as_ref()],
                _ => continue,
            };
            for id in known.into_iter().flatten() {
                released.extend(self.held.remove(id).unwrap_or_default());
            }
        }
        for cancel in released {
            let Err(reason) = self.desk.cancel(now, &cancel, out) else { continue };
            let message = format!("{reason}; nothing was sent");
            let outcome = match reason {
                // The order itself is unknown now; so is what was to become of it.
                NotSent::Disconnected => CancelOutcome::Unknown(message),
                _ => CancelOutcome::Rejected { code: 0, message },
            };
            // All that was in flight is answered before the loss is told.
            let told = out.events[from..].iter().position(|event| matches!(event, VenueEvent::EntryDown(_)));
            let at = told.map_or(out.events.len(), |place| from + place);
            out.events.insert(at, VenueEvent::CancelReply { id: cancel.id, outcome });
        }
    }
}

impl OrderEntry for Entry {
    fn start(&mut self, now: Time, out: &mut Outbox) {
        if self.risk.is_none() {
            out.events.push(VenueEvent::Warning {
                event: "margin calls are off",
                words: NO_RISK_STREAM.to_owned(),
            });
        }
        self.desk.start(now, out);
    }

    fn place(&mut self, now: Time, order: &NewOrder, out: &mut Outbox) -> Result<(), NotSent> {
        self.desk.place(now, order, out)
    }

    fn share_among(&mut self, sessions: &BTreeSet<SessionId>) {
        self.desk.share_among(sessions);
    }

    fn cancel(&mut self, now: Time, cancel: &Cancel, out: &mut Outbox) -> Result<(), NotSent> {
        if cancel.venue_id.is_none() && self.desk.is_placing(&cancel.id) {
            self.held.entry(cancel.id.clone()).or_default().push(cancel.clone());
            return Ok(());
        }
        self.desk.cancel(now, cancel, out)
    }

    fn urgent(
        &mut self,
        now: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        self.desk.urgent(now, number, urgent, way, out)
    }

    fn amend(&mut self, now: Time, amend: &Amend, out: &mut Outbox) -> Result<(), NotSent> {
        self.desk.amend(now, amend, out)
    }

    fn query(&mut self, now: Time, request: u64, query: &Query, out: &mut Outbox) {
        match query {
            Query::Income { since } if self.desk.active.is_some() => {
                self.readings.insert(request, Reading::new(*since));
                self.read_interest(now, request, out);
            }
            Query::OrdersFrom { .. } if self.desk.active.is_some() => {
                self.halves.insert(request, Vec::new());
                self.desk.query(now, request, query, out);
            }
            _ => self.desk.query(now, request, query, out),
        }
    }

    fn comparing(&mut self, under_way: bool) {
        self.desk.comparing(under_way);
    }

    fn pace(&mut self, now: Time, queries: &[Query]) -> Span {
        self.desk.pace(now, queries)
    }

    fn weight(&self, queries: &[Query]) -> u64 {
        self.desk.weight(queries)
    }

    fn owns(&self, link: LinkId) -> bool {
        self.desk.owns(link)
    }

    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        let from = out.events.len();
        match self.risk.as_mut().filter(|risk| risk.owns(link)) {
            Some(risk) => risk.heard(now, link, input, out),
            None => self.desk.handle(now, link, input, out),
        }
        self.settle(now, from, out);
    }

    fn deadline(&self) -> Option<Time> {
        let listening = self.listening.as_ref().map(|listening| listening.renew_at.min(listening.over_at));
        // Without a connection no key can be asked for: what is due then waits for it.
        let risk = self.risk.as_ref().filter(|_| self.desk.active.is_some()).and_then(Risk::deadline);
        earliest(earliest(self.desk.deadline(), self.readings_at), earliest(listening, risk))
    }

    fn timer(&mut self, now: Time, out: &mut Outbox) {
        let from = out.events.len();
        self.desk.timer(now, out);
        if let Some(risk) = &mut self.risk {
            risk.timer(now, out);
        }
        self.settle(now, from, out);
    }

    fn gauges(&self, now: Time) -> EntryGauges {
        self.desk.gauges(now)
    }

    fn shows_trades_of(&self) -> Option<Span> {
        self.desk.shows_trades_of()
    }

    fn inquires(&self) -> bool {
        self.desk.inquires()
    }

    fn receive_window(&self) -> Span {
        self.desk.receive_window()
    }

    fn stop(&mut self, now: Time, out: &mut Outbox) {
        self.desk.stop(now, out);
        self.listening = None;
        self.coming = None;
        self.held.clear();
        self.readings.clear();
        self.readings_at = None;
        self.halves.clear();
        if let Some(risk) = &mut self.risk {
            risk.stop(out);
        }
    }
}

#[cfg(test)]
mod tests;
