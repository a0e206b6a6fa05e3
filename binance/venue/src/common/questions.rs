//! Questions about the market: instruments, bars and snapshots of books. They need no key and are harmless to repeat:
//! what is in flight when a connection is lost, or is refused for no fault of its own, is asked again until its time is
//! over.
//!
//! How a question travels is the market's matter: it takes questions by [`Questions::next`], sends them under the
//! number it gets, and hands over what comes back.

use std::collections::{BTreeMap, VecDeque};

use binance_wire::book::snapshot;
use binance_wire::classify::is_clock;
use binance_wire::exchange_info::ExchangeInfo;
use binance_wire::reply::{ApiError, Malformed, server_time};
use binance_wire::stream::klines;
use tradingsys::ids::Symbol;
use tradingsys::market::{Bar, Depth, Interval};
use tradingsys::time::{Span, Time};
use tradingsys::venue::clock::ClockOffset;
use tradingsys::venue::limit::{Cost, LimitKind, LimitRow, Purpose, RateBudget, Told};
use tradingsys::venue::port::{Outbox, VenueEvent};

use super::Timing;

/// Most bars in one answer.
pub(crate) const PAGE: u32 = 1_000;
/// How long bars may be asked for before the asker hears that there are none.
const PATIENCE: Span = Span::from_secs(30);
/// Snapshots of books under way at once; each is heavy, and the newest are the most useful.
const SNAPSHOTS: usize = 3;
/// Shortest time between two readings of the instruments.
const FRESH: Span = Span::from_secs(10);
/// Wait before a refused question is asked again.
const AGAIN: Span = Span::from_secs(5);
const BAN: Span = Span::from_secs(120);

/// One question.
#[derive(Debug)]
pub(crate) enum Job {
    /// The venue's time.
    Time,
    /// All instruments.
    Instruments,
    /// Bars.
    History(History),
    /// A snapshot of a book.
    Book(Symbol),
}

/// Bars asked for.
#[derive(Debug)]
pub(crate) struct History {
    request: u64,
    /// Of which symbol.
    pub(crate) symbol: Symbol,
    /// Their length.
    pub(crate) interval: Interval,
    /// Bars still wanted, all before those already here.
    missing: u32,
    bars: VecDeque<Bar>,
    until: Time,
}

impl History {
    /// How many to ask for now.
    pub(crate) fn page(&self) -> i64 {
        i64::from(self.missing.min(PAGE))
    }

    /// Only bars that start no later than this, in milliseconds; `None` asks for the newest.
    pub(crate) fn before(&self) -> Option<i64> {
        self.bars.front().map(|first| first.start.millis() - 1)
    }
}

#[derive(Debug)]
struct Flight {
    job: Job,
    cost: Cost,
    sent: Time,
    until: Time,
}

/// What a market charges for questions, and how it spells its instruments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Weight of a question.
    pub(crate) weight: fn(&Job) -> u64,
    /// Reads the instruments.
    pub(crate) instruments: fn(&str) -> Result<ExchangeInfo, Malformed>,
}

impl Terms {
    fn cost(self, job: &Job) -> Cost {
        Cost { purpose: Purpose::Query, weight: (self.weight)(job) }
    }
}

#[derive(Debug)]
pub(crate) struct Questions {
    terms: Terms,
    timing: Timing,
    jobs: VecDeque<Job>,
    jobs_at: Option<Time>,
    /// Books of which a snapshot is wanted.
    books: VecDeque<Symbol>,
    /// What came of such wishes.
    snapshots: Vec<(Symbol, Option<Depth>)>,
    flights: BTreeMap<u64, Flight>,
    refresh_at: Option<Time>,
    read_at: Option<Time>,
    /// Symbols that could not be read, as they were told.
    unreadable: Vec<String>,
    clock: ClockOffset,
    budget: RateBudget,
}

impl Questions {
    /// With the instruments as the first question.
    pub(crate) fn new(terms: Terms, timing: Timing, limits: &[LimitRow]) -> Self {
        let mut budget = RateBudget::new(limits);
        budget.doubt_clock(Span::ZERO);
        Self {
            terms,
            timing,
            jobs: VecDeque::from([Job::Instruments]),
            jobs_at: None,
            books: VecDeque::new(),
            snapshots: Vec::new(),
            flights: BTreeMap::new(),
            refresh_at: None,
            read_at: None,
            unreadable: Vec::new(),
            clock: ClockOffset::default(),
            budget,
        }
    }

    /// Wants the instruments anew; at once, unless they have just been read.
    pub(crate) fn instruments(&mut self, now: Time) {
        let asked = |job: &Job| matches!(job, Job::Instruments);
        if let Some(at) = self.read_at.map(|at| at + FRESH).filter(|at| *at > now) {
            self.refresh_at = Some(self.refresh_at.map_or(at, |planned| planned.min(at)));
        } else if !self.jobs.iter().any(asked) && !self.flights.values().any(|flight| asked(&flight.job)) {
            self.jobs.push_back(Job::Instruments);
            self.jobs_at = None;
        }
    }

    /// Wants bars.
    pub(crate) fn history(
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
        } else {
            self.jobs.push_back(Job::History(history));
            self.jobs_at = None;
        }
    }

    /// Wants a snapshot of a book.
    pub(crate) fn book(&mut self, symbol: Symbol) {
        let flying =
            self.flights.values().any(|flight| matches!(&flight.job, Job::Book(of) if *of == symbol));
        if !flying && !self.books.contains(&symbol) {
            self.books.push_back(symbol);
            self.jobs_at = None;
        }
    }

    /// Snapshots that came since the last call; none where it cannot be had.
    pub(crate) fn take_snapshots(&mut self) -> Vec<(Symbol, Option<Depth>)> {
        std::mem::take(&mut self.snapshots)
    }

    /// The next question that may be sent now. It must be handed to [`Questions::sent`].
    pub(crate) fn next(&mut self, now: Time) -> Option<Job> {
        if self.jobs_at.is_some_and(|at| at > now) {
            return None;
        }
        self.jobs_at = None;
        // Books come last: a snapshot weighs as much as all other questions of a minute.
        let flying = self.flights.values().filter(|flight| matches!(flight.job, Job::Book(_))).count();
        if self.jobs.is_empty() && flying < SNAPSHOTS {
            self.jobs.extend(self.books.pop_front().map(Job::Book));
        }
        let cost = self.terms.cost(self.jobs.front()?);
        if let Err(until) = self.budget.take(self.clock.venue_time(now), cost) {
            self.jobs_at = Some(self.clock.own_time(until));
            return None;
        }
        self.jobs.pop_front()
    }

    /// Asks for the time now, if the budget allows.
    pub(crate) fn time(&mut self, now: Time) -> Option<Job> {
        let cost = self.terms.cost(&Job::Time);
        self.budget.take(self.clock.venue_time(now), cost).is_ok().then_some(Job::Time)
    }

    /// A question is on its way under this number.
    pub(crate) fn sent(&mut self, now: Time, id: u64, job: Job) {
        let cost = self.terms.cost(&job);
        self.flights.insert(id, Flight { job, cost, sent: now, until: now + self.timing.request });
    }

    /// Is anything under way?
    pub(crate) fn is_busy(&self) -> bool {
        !self.flights.is_empty()
    }

    /// The venue's answer, and what it says of its limits. Returns whether it was a good one.
    pub(crate) fn replied(
        &mut self,
        now: Time,
        id: u64,
        result: Result<&str, ApiError>,
        told: Told<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Some(flight) = self.flights.remove(&id) else { return false };
        let (sent, venue_now) = (self.clock.venue_time(flight.sent), self.clock.venue_time(now));
        self.budget.answered(sent, venue_now, Some(flight.cost), told);
        match result {
            Ok(result) => {
                self.answered(now, flight, result, out);
                true
            }
            Err(error) => {
                self.refused(now, flight.job, &error, out);
                false
            }
        }
    }

    /// All that was under way is lost with its connection, and waits for the next one.
    pub(crate) fn lost(&mut self, now: Time) {
        self.jobs_at = None;
        for flight in std::mem::take(&mut self.flights).into_values().rev() {
            self.budget.lost(self.clock.venue_time(now), flight.cost);
            if !matches!(flight.job, Job::Time) {
                self.jobs.push_front(flight.job);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let flights = self.flights.values().map(|flight| flight.until);
        let jobs = self.jobs.iter().filter_map(|job| match job {
            Job::History(history) => Some(history.until),
            _ => None,
        });
        flights.chain(jobs).chain(self.jobs_at).chain(self.refresh_at).min()
    }

    /// Ends what took too long.
    pub(crate) fn timer(&mut self, now: Time, out: &mut Outbox) {
        let due: Vec<u64> = self.flights.iter().filter(|(_, f)| f.until <= now).map(|(id, _)| *id).collect();
        for flight in due.iter().filter_map(|id| self.flights.remove(id)).collect::<Vec<_>>() {
            self.budget.lost(self.clock.venue_time(now), flight.cost);
            self.later(now, flight.job);
        }
        self.expire_histories(now, out);
        if self.refresh_at.is_some_and(|at| at <= now) {
            (self.refresh_at, self.read_at) = (None, None);
            self.instruments(now);
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

    /// A question that could not be answered is asked again a little later.
    fn later(&mut self, now: Time, job: Job) {
        if !matches!(job, Job::Time) {
            self.jobs.push_back(job);
            self.jobs_at = Some(now + AGAIN);
        }
    }

    fn answered(&mut self, now: Time, flight: Flight, result: &str, out: &mut Outbox) {
        // The answer may be as old as the question: a bar that has ended since may go on in it.
        let asked = self.clock.venue_time(flight.sent);
        match flight.job {
            Job::Time => {
                if let Ok(venue) = server_time(result) {
                    let best = self.clock.learn(flight.sent, now, venue);
                    self.budget.doubt_clock(best.uncertainty());
                }
            }
            Job::Instruments => match (self.terms.instruments)(result) {
                Ok(info) => {
                    let venue_now = self.clock.venue_time(now);
                    self.budget.answered(venue_now, venue_now, None, Told::Rows(&info.limits));
                    self.refresh_at = Some(now + self.timing.instruments);
                    self.read_at = Some(now);
                    self.warn(&info.unreadable, out);
                    out.events.push(VenueEvent::Instruments(info.instruments));
                }
                Err(_) => self.later(now, Job::Instruments),
            },
            Job::Book(symbol) => {
                let depth = snapshot(result, self.clock.venue_time(now)).ok();
                self.snapshots.push((symbol, depth));
            }
            Job::History(history) => match klines(result, history.interval, asked) {
                Ok(page) => self.paged(history, page, out),
                Err(malformed) => {
                    let bars = Err(malformed.to_string());
                    out.events.push(VenueEvent::History { request: history.request, bars });
                }
            },
        }
    }

    /// Names what cannot be read, once as long as it stays the same.
    fn warn(&mut self, unreadable: &[Malformed], out: &mut Outbox) {
        let found: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        if found != self.unreadable && !found.is_empty() {
            let words =
                format!("{} symbols cannot be read and are left out: {}", found.len(), found.join("; "));
            out.events.push(VenueEvent::Warning { event: "symbols left out", words });
        }
        self.unreadable = found;
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
            Job::Book(symbol) if !paced => self.snapshots.push((symbol, None)),
            job => self.later(now, job),
        }
    }
}

fn finish(history: History, out: &mut Outbox) {
    let bars = Ok(history.bars.into());
    out.events.push(VenueEvent::History { request: history.request, bars });
}
