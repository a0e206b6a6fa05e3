//! Market data in: [streams](crate::common::streams) over one connection for each of the venue's two routes, and
//! questions for instruments and bars over HTTP.

use binance_wire::futures::info::exchange_info;
use binance_wire::futures::stream::{Route, depth, route, stream_name};
use binance_wire::reply::ApiError;
use binance_wire::rest::{RestRequest, rest_reply, used};
use bytes::Bytes;
use tradingsys::book::Continuity;
use tradingsys::ids::{LinkId, Symbol};
use tradingsys::market::{Channel, Depth, Interval, Stream};
use tradingsys::time::{Time, earliest};
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::limit::Told;
use tradingsys::venue::port::{LinkAction, LinkInput, MarketFeed, Outbox, VenueEvent};

use super::UsdtConfig;
use crate::common::books::BookTerms;
use crate::common::questions::{Job, Questions, Terms};
use crate::common::streams::several::Several;
use crate::common::streams::{Spelling, Streams};

const SPELLING: Spelling =
    Spelling { name: stream_name, depth, books: BookTerms { continuity: Continuity::Chain, levels: LEVELS } };
/// Most levels a side of a snapshot.
const LEVELS: usize = 1_000;
const TERMS: Terms = Terms { weight, instruments: exchange_info };
/// What a request that was not answered counts as: asked again a little later.
const UNANSWERED: u16 = 503;

/// The market-data machine of this market.
#[derive(Debug)]
pub struct Feed {
    public: Streams,
    market: Streams,
    several: Several,
    api: Api,
    dialer: Dialer,
}

impl Feed {
    /// A machine that has not started.
    pub fn new(config: &UsdtConfig) -> Self {
        let (access, timing) = (&config.access, config.access.timing);
        let streams = |base: &str, first| Streams::new(format!("{base}/stream"), SPELLING, timing, first, 8);
        Self {
            public: streams(&config.public, 2).one_of_several(),
            market: streams(&config.market, 6).one_of_several(),
            several: Several::default(),
            api: Api {
                rest: access.rest.clone(),
                questions: Questions::new(TERMS, timing, &access.limits),
                next_link: 4,
            },
            // Another seed than order entry's: the two must not dial in step.
            dialer: Dialer::new(timing.backoff, timing.backoff_cap, !access.seed),
        }
    }

    /// Carries wishes for snapshots one way and snapshots the other, until there are none, and says whether data comes.
    fn carry(&mut self, now: Time, out: &mut Outbox) {
        while self.public.exchange(now, &mut self.api.questions, out) {
            self.api.flush(now, out);
        }
        self.several.settle(&[&self.public, &self.market], out);
    }

    fn of(&mut self, stream: &Stream) -> &mut Streams {
        match route(stream.channel) {
            Route::Public => &mut self.public,
            Route::Market => &mut self.market,
        }
    }
}

impl MarketFeed for Feed {
    fn start(&mut self, now: Time, out: &mut Outbox) {
        self.api.flush(now, out);
        self.public.dial(now, &mut self.dialer, out);
        self.market.dial(now, &mut self.dialer, out);
    }

    fn subscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        self.of(stream).subscribe(now, stream, out);
    }

    fn unsubscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        self.of(stream).unsubscribe(now, stream, out);
    }

    fn history(
        &mut self,
        now: Time,
        request: u64,
        symbol: &Symbol,
        interval: Interval,
        count: u32,
        out: &mut Outbox,
    ) {
        if let Some(why) = self.refuses(Channel::Kline(interval)) {
            out.events.push(VenueEvent::History { request, bars: Err(why) });
            return;
        }
        self.api.questions.history(now, request, symbol, interval, count, out);
        self.api.flush(now, out);
    }

    fn book(&self, stream: &Stream) -> Option<Depth> {
        self.public.book(&stream.symbol)
    }

    fn refuses(&self, channel: Channel) -> Option<String> {
        match channel {
            Channel::Kline(Interval::S1) => {
                Some("perpetuals have no bars of one second; the shortest is kline:1m".to_owned())
            }
            _ => None,
        }
    }

    fn instruments(&mut self, now: Time, out: &mut Outbox) {
        self.api.questions.instruments(now);
        self.api.flush(now, out);
    }

    fn reached(&mut self, now: Time) {
        for dial_at in [&mut self.public.dial_at, &mut self.market.dial_at] {
            *dial_at = dial_at.map(|at| self.dialer.hastened(now, at));
        }
    }

    fn owns(&self, link: LinkId) -> bool {
        link.0.is_multiple_of(2)
    }

    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        match link.0 % 8 {
            2 => self.public.handle(now, link, input, &mut self.dialer, out),
            6 => self.market.handle(now, link, input, &mut self.dialer, out),
            _ => self.api.handle(now, link, input, out),
        }
        self.carry(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let streams = earliest(self.public.deadline(), self.market.deadline());
        earliest(streams, self.api.questions.deadline())
    }

    fn timer(&mut self, now: Time, out: &mut Outbox) {
        self.public.timer(now, &mut self.dialer, out);
        self.market.timer(now, &mut self.dialer, out);
        self.api.questions.timer(now, out);
        self.api.flush(now, out);
        self.carry(now, out);
    }
}

/// Questions over HTTP; the number of a request's link is the number of its question.
#[derive(Debug)]
struct Api {
    rest: String,
    questions: Questions,
    next_link: u32,
}

impl Api {
    fn flush(&mut self, now: Time, out: &mut Outbox) {
        while let Some(job) = self.questions.next(now) {
            let link = LinkId(self.next_link);
            self.next_link += 4;
            let request = request(&job);
            let (method, url) = (request.method(), request.url(&self.rest));
            out.actions.push(LinkAction::Request {
                link,
                method,
                url,
                headers: Vec::new(),
                body: Bytes::new(),
            });
            self.questions.sent(now, u64::from(link.0), job);
        }
    }

    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        let id = u64::from(link.0);
        match input {
            LinkInput::Response { status, headers, body } => {
                let result = rest_reply(now, status, headers, body);
                let counts: Vec<_> = used(headers).collect();
                self.questions.replied(now, id, result, Told::Counts(&counts), out);
            }
            LinkInput::Down(why) => {
                let message = why.to_owned();
                let error = ApiError { status: UNANSWERED, code: 0, message, retry_after: None };
                self.questions.replied(now, id, Err(error), Told::Nothing, out);
            }
            LinkInput::Up | LinkInput::Text(_) | LinkInput::Binary(_) | LinkInput::Alive => {}
        }
        self.flush(now, out);
    }
}

/// Weights of 2026-09.
fn weight(job: &Job) -> u64 {
    match job {
        Job::Time | Job::Instruments => 1,
        Job::History(history) => match history.page() {
            ..100 => 1,
            100..500 => 2,
            _ => 5,
        },
        Job::Book(_) => 20,
    }
}

fn request(job: &Job) -> RestRequest {
    match job {
        Job::Time => RestRequest::new("GET", "/fapi/v1/time"),
        Job::Instruments => RestRequest::new("GET", "/fapi/v1/exchangeInfo"),
        Job::Book(symbol) => {
            RestRequest::new("GET", "/fapi/v1/depth").with("symbol", symbol.upper()).with("limit", LEVELS)
        }
        Job::History(history) => {
            let request = RestRequest::new("GET", "/fapi/v1/klines")
                .with("symbol", history.symbol.upper())
                .with("interval", history.interval)
                .with("limit", history.page());
            match history.before() {
                Some(end) => request.with("endTime", end),
                None => request,
            }
        }
    }
}

#[cfg(test)]
mod tests;
