//! Questions about the market: instruments and bars, over one connection that needs no key.
//!
//! ```text
//! (dial_at) → Dialing ─open→ Open ─lost→ (dial_at)
//! ```
//!
//! All questions are harmless to repeat: what was in flight when the connection was lost is asked again on the next
//! one, until its time is over.

use std::collections::{BTreeMap, VecDeque};

use binance_wire::classify::is_clock;
use binance_wire::exchange_info::exchange_info;
use binance_wire::reply::{ApiError, Frame, frame, server_time};
use binance_wire::request::Request;
use binance_wire::stream::klines;
use bytes::Bytes;
use tradingsys::ids::{LinkId, Symbol};
use tradingsys::market::{Bar, Interval};
use tradingsys::time::{Span, Time};
use tradingsys::venue::clock::ClockOffset;
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::limit::{Cost, LimitKind, Purpose, RateBudget};
use tradingsys::venue::port::{LinkAction, LinkInput, Outbox, VenueEvent};
use tradingsys::venue::watch::{Silence, SilenceWatch};

use crate::spot::{SpotConfig, Timing};

/// Most bars in one answer.
const PAGE: u32 = 1_000;
/// How long bars may be asked for before the asker hears that there are none.
const PATIENCE: Span = Span::from_secs(30);
/// Wait before a refused question is asked again.
const AGAIN: Span = Span::from_secs(5);
const BAN: Span = Span::from_secs(120);
/// Wait before an old connection in use is looked at again.
const LINGER: Span = Span::from_secs(1);

#[derive(Debug)]
enum Job {
    Time,
    Instruments,
    History(History),
}

#[derive(Debug)]
struct History {
    request: u64,
    symbol: Symbol,
    interval: Interval,
    /// Bars still wanted, all before those already here.
    missing: u32,
    bars: VecDeque<Bar>,
    until: Time,
}

#[derive(Debug)]
struct Flight {
    job: Job,
    cost: Cost,
    sent: Time,
    until: Time,
}

#[derive(Debug)]
struct Link {
    id: LinkId,
    open: bool,
    watch: SilenceWatch,
    /// End of the handshake, then of the planned life.
    until: Time,
}

#[derive(Debug)]
pub(super) struct Api {
    url: String,
    timing: Timing,
    link: Option<Link>,
    pub(super) dial_at: Option<Time>,
    jobs: VecDeque<Job>,
    jobs_at: Option<Time>,
    flights: BTreeMap<u64, Flight>,
    refresh_at: Option<Time>,
    clock: ClockOffset,
    budget: RateBudget,
    next_request: u64,
    next_link: u32,
}

impl Api {
    pub(super) fn new(config: &SpotConfig) -> Self {
        Self {
            url: config.ws_api.clone(),
            timing: config.timing,
            link: None,
            dial_at: None,
            jobs: VecDeque::from([Job::Instruments]),
            jobs_at: None,
            flights: BTreeMap::new(),
            refresh_at: None,
            clock: ClockOffset::default(),
            budget: RateBudget::new(&config.limits),
            next_request: 1,
            next_link: 4,
        }
    }

    pub(super) fn dial(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        self.dial_at = None;
        let id = LinkId(self.next_link);
        self.next_link += 4;
        dialer.dialled(now);
        let watch = SilenceWatch::new(now, self.timing.silence);
        self.link = Some(Link { id, open: false, watch, until: now + self.timing.handshake });
        out.actions.push(LinkAction::Open { link: id, url: self.url.clone() });
    }

    pub(super) fn instruments(&mut self, now: Time, out: &mut Outbox) {
        let asked = |job: &Job| matches!(job, Job::Instruments);
        if !self.jobs.iter().any(asked) && !self.flights.values().any(|flight| asked(&flight.job)) {
            self.jobs.push_back(Job::Instruments);
            self.flush(now, out);
        }
    }

    pub(super) fn history(
        &mut self,
        now: Time,
        request: u64,
        symbol: &Symbol,
        interval: Interval,
        count: u32,
        out: &mut Outbox,
    ) {
        let (symbol, until) = (symbol.clone(), now + PATIENCE);
        let bars = VecDeque::new();
        let history = History { request, symbol, interval, missing: count, bars, until };
        if count == 0 {
            finish(history, out);
            return;
        }
        self.jobs.push_back(Job::History(history));
        self.flush(now, out);
    }

    pub(super) fn handle(
        &mut self,
        now: Time,
        link: LinkId,
        input: LinkInput<'_>,
        dialer: &mut Dialer,
        out: &mut Outbox,
    ) {
        let Some(current) = self.link.as_mut().filter(|current| current.id == link) else { return };
        current.watch.heard(now);
        match input {
            LinkInput::Up => {
                current.open = true;
                current.until = now + self.timing.life;
                // First the time: it tells which of the bars asked for next is still open.
                self.send(now, Job::Time, out);
                self.flush(now, out);
            }
            LinkInput::Down(_) => self.lost(now, dialer),
            LinkInput::Text(text) => self.frame(now, text, dialer, out),
            LinkInput::Alive | LinkInput::Response { .. } => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let link = self.link.iter().flat_map(|link| [link.until, link.watch.deadline()]);
        let flights = self.flights.values().map(|flight| flight.until);
        let jobs = self.jobs.iter().filter_map(|job| match job {
            Job::History(history) => Some(history.until),
            _ => None,
        });
        let fixed = [self.dial_at, self.jobs_at, self.refresh_at].into_iter().flatten();
        link.chain(flights).chain(jobs).chain(fixed).min()
    }

    pub(super) fn timer(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        if self.dial_at.is_some_and(|at| at <= now) {
            self.dial(now, dialer, out);
        }
        self.check_link(now, dialer, out);
        let due: Vec<u64> = self.flights.iter().filter(|(_, f)| f.until <= now).map(|(id, _)| *id).collect();
        for flight in due.iter().filter_map(|id| self.flights.remove(id)).collect::<Vec<_>>() {
            self.budget.settle(self.clock.venue_time(now), flight.cost, &[]);
            self.later(now, flight.job);
        }
        self.expire_histories(now, out);
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = None;
            self.instruments(now, out);
        }
        if self.jobs_at.is_some_and(|at| at <= now) {
            self.flush(now, out);
        }
    }

    fn check_link(&mut self, now: Time, dialer: &mut Dialer, out: &mut Outbox) {
        let Some(link) = &mut self.link else { return };
        let (id, open, over) = (link.id, link.open, link.until <= now);
        let silence = link.watch.check(now);
        let busy = over && open && !self.flights.is_empty();
        if busy {
            link.until = now + LINGER;
        }
        if silence == Silence::Dead {
            out.actions.push(LinkAction::Close { link: id });
            self.lost(now, dialer);
        } else if silence == Silence::Ask && open {
            self.send(now, Job::Time, out);
        } else if over && !busy {
            out.actions.push(LinkAction::Close { link: id });
            self.lost(now, dialer);
            if open {
                self.dial_at = Some(dialer.soon(now));
            }
        }
    }

    fn expire_histories(&mut self, now: Time, out: &mut Outbox) {
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::History(history) if history.until <= now => {
                    let bars = Err("the exchange did not answer in time".to_owned());
                    out.events.push(VenueEvent::History { request: history.request, bars });
                }
                job => self.jobs.push_back(job),
            }
        }
    }

    fn lost(&mut self, now: Time, dialer: &mut Dialer) {
        self.link = None;
        self.jobs_at = None;
        for flight in std::mem::take(&mut self.flights).into_values().rev() {
            self.budget.settle(self.clock.venue_time(now), flight.cost, &[]);
            if !matches!(flight.job, Job::Time) {
                self.jobs.push_front(flight.job);
            }
        }
        self.dial_at = Some(dialer.retry_at(now));
    }

    /// A question that could not be answered is asked again a little later.
    fn later(&mut self, now: Time, job: Job) {
        if !matches!(job, Job::Time) {
            self.jobs.push_back(job);
            self.jobs_at = Some(now + AGAIN);
        }
    }

    fn flush(&mut self, now: Time, out: &mut Outbox) {
        self.jobs_at = None;
        if !self.link.as_ref().is_some_and(|link| link.open) {
            return;
        }
        while let Some(job) = self.jobs.front() {
            if let Err(until) = self.budget.take(self.clock.venue_time(now), cost(job)) {
                self.jobs_at = Some(self.clock.own_time(until));
                return;
            }
            if let Some(job) = self.jobs.pop_front() {
                self.write(now, job, out);
            }
        }
    }

    fn send(&mut self, now: Time, job: Job, out: &mut Outbox) {
        if self.budget.take(self.clock.venue_time(now), cost(&job)).is_ok() {
            self.write(now, job, out);
        }
    }

    fn write(&mut self, now: Time, job: Job, out: &mut Outbox) {
        let Some(link) = &self.link else { return };
        let id = self.next_request;
        self.next_request += 1;
        let text = Bytes::from(request(id, &job));
        out.actions.push(LinkAction::Send { link: link.id, text });
        let cost = cost(&job);
        self.flights.insert(id, Flight { job, cost, sent: now, until: now + self.timing.request });
    }

    fn frame(&mut self, now: Time, text: &str, dialer: &mut Dialer, out: &mut Outbox) {
        // Events (`serverShutdown`) need no care here: a lost connection costs nothing but a moment.
        let Ok(Frame::Reply(reply)) = frame(text) else { return };
        let Some(flight) = self.flights.remove(&reply.id) else { return };
        let venue_now = self.clock.venue_time(now);
        self.budget.settle(venue_now, flight.cost, &reply.limits);
        match reply.result {
            Ok(result) => {
                dialer.proven();
                self.answered(now, flight, result, out);
            }
            Err(error) => self.refused(now, flight.job, &error, out),
        }
        self.flush_if_due(now, out);
    }

    fn flush_if_due(&mut self, now: Time, out: &mut Outbox) {
        if self.jobs_at.is_none_or(|at| at <= now) {
            self.flush(now, out);
        }
    }

    fn answered(&mut self, now: Time, flight: Flight, result: &str, out: &mut Outbox) {
        match flight.job {
            Job::Time => {
                if let Ok(venue) = server_time(result) {
                    self.clock.learn(flight.sent, now, venue);
                }
            }
            Job::Instruments => match exchange_info(result) {
                Ok(info) => {
                    self.budget.learn(self.clock.venue_time(now), &info.limits);
                    self.refresh_at = Some(now + self.timing.instruments);
                    out.events.push(VenueEvent::Instruments(info.instruments));
                }
                Err(_) => self.later(now, Job::Instruments),
            },
            Job::History(history) => match klines(result, history.interval, self.clock.venue_time(now)) {
                Ok(page) => self.paged(history, page, out),
                Err(malformed) => {
                    let bars = Err(malformed.to_string());
                    out.events.push(VenueEvent::History { request: history.request, bars });
                }
            },
        }
    }

    /// A page of bars came, oldest first: it goes before those already here, and the one before it is asked for.
    fn paged(&mut self, mut history: History, page: Vec<Bar>, out: &mut Outbox) {
        let full = page.len() >= history.missing.min(PAGE) as usize;
        history.missing = history.missing.saturating_sub(page.len() as u32);
        for bar in page.into_iter().rev() {
            history.bars.push_front(bar);
        }
        if full && history.missing > 0 {
            self.jobs.push_front(Job::History(history));
        } else {
            finish(history, out);
        }
    }

    fn refused(&mut self, now: Time, job: Job, error: &ApiError, out: &mut Outbox) {
        let venue_now = self.clock.venue_time(now);
        let paced = matches!(error.status, 418 | 429);
        if paced {
            let ban = if error.status == 418 { venue_now + BAN } else { Time::default() };
            let window = self.budget.window_end(venue_now, LimitKind::Weight);
            self.budget.stop_until(venue_now, error.retry_after.unwrap_or(ban.max(window)));
        }
        match job {
            Job::History(history) if !paced && error.status < 500 && !is_clock(error.code) => {
                let bars = Err(error.to_string());
                out.events.push(VenueEvent::History { request: history.request, bars });
            }
            job => self.later(now, job),
        }
    }
}

fn finish(history: History, out: &mut Outbox) {
    let bars = Ok(history.bars.into());
    out.events.push(VenueEvent::History { request: history.request, bars });
}

/// Weights of web-socket-api.md, 2026-07-21.
const fn cost(job: &Job) -> Cost {
    let weight = match job {
        Job::Time => 1,
        Job::Instruments => 20,
        Job::History(_) => 2,
    };
    Cost { purpose: Purpose::Query, weight }
}

fn request(id: u64, job: &Job) -> String {
    match job {
        Job::Time => Request::new(id, "time").finish(),
        // Permission sets are the larger part of the answer and of no use here.
        Job::Instruments => Request::new(id, "exchangeInfo").flag("showPermissionSets", false).finish(),
        Job::History(history) => {
            let request = Request::new(id, "klines")
                .text("symbol", history.symbol.upper())
                .text("interval", history.interval)
                .int("limit", i64::from(history.missing.min(PAGE)));
            match history.bars.front() {
                Some(first) => request.int("endTime", first.start.millis() - 1).finish(),
                None => request.finish(),
            }
        }
    }
}
