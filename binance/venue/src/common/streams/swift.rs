//! The host that tells the same in binary: when to go there, and when not.
//!
//! ```text
//!          ┌────────── data ──────────┐
//!          ▼                          │
//!   Preferred ─refused, silent, or of an unknown schema─► Resting ─wait over─► tried beside the connection in use
//!                                        ▲                                         │
//!                                        └─────────────── failed: wait twice as long
//! ```
//!
//! The first connection goes there. One that is not let in, or ends without having brought anything, is followed at
//! once by one to the JSON host: that the key is not allowed, that the host cannot be reached and that its schema is a
//! new one all come to the same, and none of them may cost market data. The way back stands beside the connection in
//! use until it is complete, as any replacement does.

use std::fmt;

use binance_wire::sbe::Told;
use tradingsys::market::Stream;
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::{Outbox, VenueEvent};

use super::{Data, Mark};

/// Longest wait before it is tried again.
const LONGEST: Span = Span::from_secs(3_600);

/// See the module.
pub(crate) struct Swift {
    url: String,
    apikey: String,
    /// The first wait after a failure.
    first: Span,
    wait: Span,
    rests_until: Time,
    told: bool,
    /// A text for names, lent to the hot path.
    name: String,
}

impl Swift {
    /// At `url`, as the owner of a key.
    pub(crate) const fn new(url: String, apikey: String, wait: Span) -> Self {
        let rests_until = Time::from_nanos(0);
        Self { url, apikey, first: wait, wait, rests_until, told: false, name: String::new() }
    }

    /// Where to connect, and the header that says as whom. It wants neither a time nor a signature.
    pub(super) fn door(&self) -> (String, Vec<(&'static str, String)>) {
        (self.url.clone(), vec![("x-mbx-apikey", self.apikey.clone())])
    }

    /// When to go there.
    pub(super) const fn due(&self) -> Time {
        self.rests_until
    }

    /// Is it time to go there?
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.rests_until <= now
    }

    /// Not before that time, for a reason that is not its own.
    pub(super) const fn rest(&mut self, until: Time) {
        self.rests_until = until;
    }

    /// It brings data.
    pub(super) const fn proven(&mut self) {
        (self.wait, self.told) = (self.first, false);
    }

    /// It is of no use for now, for this reason. A human hears so once, until it has worked again.
    pub(super) fn failed(&mut self, now: Time, why: &str, out: &mut Outbox) {
        self.rests_until = now + self.wait;
        self.wait = (self.wait * 2).min(LONGEST);
        if !std::mem::replace(&mut self.told, true) {
            let words = format!(
                "best prices and books come as JSON: the SBE host is of no use ({why}). It is tried again from time to \
                 time; without \"endpoints.sbe\" it is not"
            );
            out.events.push(VenueEvent::Warning { event: "sbe streams are off", words });
        }
    }

    pub(super) fn lend_name(&mut self) -> String {
        std::mem::take(&mut self.name)
    }

    pub(super) fn give_back(&mut self, name: String) {
        self.name = name;
    }
}

impl fmt::Debug for Swift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, rests_until, .. } = self;
        f.debug_struct("Swift").field("url", url).field("rests_until", rests_until).finish_non_exhaustive()
    }
}

/// What a binary frame tells, as a frame of the same stream in JSON would.
pub(super) fn data(stream: &Stream, told: Told) -> (Option<Mark>, Data) {
    match told {
        Told::Best(best) => (None, Data::Event(VenueEvent::Bbo(stream.clone(), best))),
        Told::Depth(depth) => (None, Data::Event(VenueEvent::Depth(stream.clone(), depth))),
        Told::Difference(difference) => {
            let mark = Some((0, difference.last));
            (mark, Data::Difference(stream.symbol.clone(), difference))
        }
    }
}
