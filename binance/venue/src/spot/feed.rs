//! Market data in, over kinds of connections that share one pace of dialling: [streams](crate::common::streams) to the
//! market-data host, and an anonymous one to the websocket API for instruments, bars and snapshots of books
//! ([`api`](api)). Where the venue tells best prices and books in binary too, those streams have connections of their
//! own, and go back to JSON by themselves.

use binance_wire::exchange_info::{ExchangeInfo, exchange_info, margin_exchange_info};
use binance_wire::reply::Malformed;
use binance_wire::sbe;
use binance_wire::sign::SecretKey;
use binance_wire::stream::{depth, stream_name};
use tradingsys::book::Continuity;
use tradingsys::ids::{LinkId, Symbol};
use tradingsys::market::{Channel, Depth, Interval, Stream};
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::dial::Dialer;
use tradingsys::venue::port::{LinkInput, MarketFeed, Outbox};

use super::SpotConfig;
use crate::common::books::BookTerms;
use crate::common::streams::several::Several;
use crate::common::streams::swift::Swift;
use crate::common::streams::{Spelling, Streams};

mod api;

use api::Api;

const SPELLING: Spelling = Spelling {
    name: stream_name,
    depth,
    books: BookTerms { continuity: Continuity::Sequence, levels: api::LEVELS },
};

/// First number of the connections of binary streams, and what the others leave when divided by eight.
const SWIFT: u32 = 6;

/// The market-data machine of the spot market.
#[derive(Debug)]
pub struct Feed {
    streams: Streams,
    /// Those that come in binary, where they can.
    swift: Option<Streams>,
    several: Several,
    api: Api,
    dialer: Dialer,
}

impl Feed {
    /// A machine that has not started.
    pub fn new(config: SpotConfig) -> Self {
        Self::of(config, exchange_info)
    }

    /// The same for cross margin, which trades the same books by rules of its own.
    pub(crate) fn of_margin(config: SpotConfig) -> Self {
        Self::of(config, margin_exchange_info)
    }

    fn of(config: SpotConfig, instruments: fn(&str) -> Result<ExchangeInfo, Malformed>) -> Self {
        // Another seed than order entry's: the two must not dial in step.
        let SpotConfig { streams, sbe, access } = config;
        let dialer = Dialer::new(access.timing.backoff, access.timing.backoff_cap, !access.seed);
        let json =
            |first, step| Streams::new(format!("{streams}/stream"), SPELLING, access.timing, first, step);
        // The binary host takes no other keys.
        let (streams, swift) = if sbe.is_empty() || !matches!(access.key, SecretKey::Ed25519(_)) {
            (json(2, 4), None)
        } else {
            let swift = Swift::new(format!("{sbe}/stream"), access.apikey.clone(), access.timing.refused);
            (json(2, 8).one_of_several(), Some(json(SWIFT, 8).swift(swift).one_of_several()))
        };
        Self { streams, swift, several: Several::default(), api: Api::new(&access, instruments), dialer }
    }

    /// The exchange has just shown that it is there: the other connection need not wait out its backoff.
    fn hasten(&mut self, now: Time) {
        let soon = now + Span::from_secs(2);
        let swift = self.swift.as_mut().map(|swift| &mut swift.dial_at);
        for dial_at in [&mut self.streams.dial_at, &mut self.api.dial_at].into_iter().chain(swift) {
            if self.dialer.is_calm() && dial_at.is_some_and(|at| at > soon) {
                *dial_at = Some(soon);
            }
        }
    }

    /// Carries wishes for snapshots one way and snapshots the other, until there are none, and says whether data comes.
    fn carry(&mut self, now: Time, out: &mut Outbox) {
        let streams = self.swift.as_mut().unwrap_or(&mut self.streams);
        while streams.exchange(now, &mut self.api.questions, out) {
            self.api.flush(now, out);
        }
        if let Some(swift) = &self.swift {
            self.several.settle(&[&self.streams, swift], out);
        }
    }

    /// The machine that brings this channel. Best prices and books are with one, which compares them.
    fn of_channel(&mut self, channel: Channel) -> &mut Streams {
        match &mut self.swift {
            Some(swift) if sbe::serves(channel) => swift,
            _ => &mut self.streams,
        }
    }

    fn is_api(link: LinkId) -> bool {
        link.0.is_multiple_of(4)
    }
}

impl MarketFeed for Feed {
    fn start(&mut self, now: Time, out: &mut Outbox) {
        self.api.dial(now, &mut self.dialer, out);
        self.streams.dial(now, &mut self.dialer, out);
        if let Some(swift) = &mut self.swift {
            swift.dial(now, &mut self.dialer, out);
        }
    }

    fn subscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        self.of_channel(stream.channel).subscribe(now, stream, out);
    }

    fn unsubscribe(&mut self, now: Time, stream: &Stream, out: &mut Outbox) {
        self.of_channel(stream.channel).unsubscribe(now, stream, out);
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
        self.api.questions.history(now, request, symbol, interval, count, out);
        self.api.flush(now, out);
    }

    fn book(&self, stream: &Stream) -> Option<Depth> {
        self.swift.as_ref().unwrap_or(&self.streams).book(&stream.symbol)
    }

    fn refuses(&self, channel: Channel) -> Option<String> {
        match channel {
            Channel::Mark => Some("mark prices are of perpetuals; this gateway trades spot".to_owned()),
            _ => None,
        }
    }

    fn instruments(&mut self, now: Time, out: &mut Outbox) {
        self.api.questions.instruments(now);
        self.api.flush(now, out);
    }

    fn reached(&mut self, now: Time) {
        let swift = self.swift.as_mut().map(|swift| &mut swift.dial_at);
        for dial_at in [&mut self.streams.dial_at, &mut self.api.dial_at].into_iter().chain(swift) {
            *dial_at = dial_at.map(|at| self.dialer.hastened(now, at));
        }
    }

    fn owns(&self, link: LinkId) -> bool {
        link.0.is_multiple_of(2)
    }

    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        if Self::is_api(link) {
            self.api.handle(now, link, input, &mut self.dialer, out);
        } else {
            let streams = match &mut self.swift {
                Some(swift) if link.0 % 8 == SWIFT => swift,
                _ => &mut self.streams,
            };
            streams.handle(now, link, input, &mut self.dialer, out);
        }
        self.carry(now, out);
        self.hasten(now);
    }

    fn deadline(&self) -> Option<Time> {
        let swift = self.swift.as_ref().and_then(Streams::deadline);
        earliest(swift, earliest(self.streams.deadline(), self.api.deadline()))
    }

    fn timer(&mut self, now: Time, out: &mut Outbox) {
        self.streams.timer(now, &mut self.dialer, out);
        if let Some(swift) = &mut self.swift {
            swift.timer(now, &mut self.dialer, out);
        }
        self.api.timer(now, &mut self.dialer, out);
        self.carry(now, out);
        self.hasten(now);
    }
}

#[cfg(test)]
mod tests;
