//! A key that may take money out is refused, whatever the market. The venue says what a key may do over REST, on its
//! spot host alone; so this machine stands around any market's entry and asks once, after the first logon, when the
//! venue's clock is known:
//!
//! ```text
//!   EntryUp ──▶ asked ──▶ withdrawals: refused, the gateway ends
//!                 │  └──▶ no bound addresses: a warning; else nothing
//!                 └ no answer: asked again, three times in all; then a warning, and trading goes on
//! ```
//!
//! Orders do not wait for the answer. It is there long before the second pass of a recovery, which they do wait for,
//! unless the venue is slow to give it: then a key that may withdraw is refused after orders were sent.

use std::collections::BTreeSet;

use binance_wire::rest::rest_reply;
use binance_wire::rights::{KeyRights, key_rights, request};
use bytes::Bytes;
use tradingsys::ids::{LinkId, SessionId};
use tradingsys::order::request::NewOrder;
use tradingsys::time::{Span, Time, earliest};
use tradingsys::venue::port::{
    Amend, Cancel, EntryGauges, LinkAction, LinkInput, NotSent, OrderEntry, Outbox, Query, Urgent,
    VenueEvent, Way,
};

use crate::common::Access;

/// Tries before it is given up.
const TRIES: u32 = 3;

/// Between two of them.
const PAUSE: Span = Span::from_secs(2);

/// Numbers of links from the top down; odd, as all of an entry.
const LAST_LINK: u32 = u32::MAX;

/// How the question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Not before the first logon.
    Waits,
    /// On its way.
    Asked { link: LinkId, until: Time },
    /// Failed; asked again then.
    Again(Time),
    /// Answered, given up, or without an address to ask at.
    Over,
}

/// An entry whose key is looked at.
pub struct Guarded<E> {
    pub(crate) entry: E,
    access: Access,
    question: Question,
    tries: u32,
    offset: Span,
}

impl<E: OrderEntry> Guarded<E> {
    /// `host`: base address of the venue's spot REST interface; empty: nothing is asked. `access` is the entry's own.
    pub fn new(entry: E, access: &Access, host: &str) -> Self {
        let mut access = access.clone();
        host.trim_end_matches('/').clone_into(&mut access.rest);
        let question = if access.rest.is_empty() { Question::Over } else { Question::Waits };
        Self { entry, access, question, tries: 0, offset: Span::default() }
    }

    fn ask(&mut self, now: Time, out: &mut Outbox) {
        let link = LinkId(LAST_LINK - 2 * self.tries);
        self.tries += 1;
        let (host, key, window) = (&self.access.rest, &self.access.key, self.access.recv_window.millis());
        let request = request();
        let method = request.method();
        let url = request.signed_url(host, key, (now + self.offset).millis(), window);
        let headers = vec![("x-mbx-apikey", self.access.apikey.clone())];
        out.actions.push(LinkAction::Request { link, method, url, headers, body: Bytes::new() });
        self.question = Question::Asked { link, until: now + self.access.timing.request };
    }

    /// What the entry has said from there on: the clock, and that it is up.
    fn listen(&mut self, now: Time, from: usize, out: &mut Outbox) {
        let mut up = false;
        for event in &out.events[from..] {
            match event {
                VenueEvent::Clock { offset_nanos, .. } => self.offset = Span::from_nanos(*offset_nanos),
                VenueEvent::EntryUp => up = true,
                _ => {}
            }
        }
        if up && self.question == Question::Waits {
            self.ask(now, out);
        }
    }

    fn answered(&mut self, now: Time, answer: Result<KeyRights, String>, out: &mut Outbox) {
        match answer {
            Err(_) if self.tries < TRIES => self.question = Question::Again(now + PAUSE),
            Err(why) => {
                self.question = Question::Over;
                let words = format!(
                    "what the API key may do could not be read ({why}): see at the exchange that it may not withdraw, \
                     and is bound to this machine's address"
                );
                out.events.push(VenueEvent::Warning { event: "key rights not read", words });
            }
            Ok(rights) => {
                self.question = Question::Over;
                if rights.enable_withdrawals {
                    out.events.push(VenueEvent::Refused(
                        "the API key may withdraw: whoever gets hold of it can take the money away. Switch withdrawals off \
                         for it at the exchange's API management, or make another key for trading alone"
                            .to_owned(),
                    ));
                } else if !rights.ip_restrict {
                    let words = "the API key is taken from every address: bind it to this machine's at the exchange's \
                        API management"
                        .to_owned();
                    out.events.push(VenueEvent::Warning { event: "key without IP restriction", words });
                }
            }
        }
    }

    fn is_mine(&self, link: LinkId) -> bool {
        link.0 > LAST_LINK - 2 * TRIES
    }

    fn heard(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        if !matches!(self.question, Question::Asked { link: asked, .. } if asked == link) {
            return;
        }
        match input {
            LinkInput::Response { status, headers, body } => {
                let reply = rest_reply(now + self.offset, status, headers, body);
                let read = reply.map_err(|error| error.to_string());
                let read = read.and_then(|text| key_rights(text).map_err(|error| error.to_string()));
                self.answered(now, read, out);
            }
            LinkInput::Down(why) => self.answered(now, Err(why.to_owned()), out),
            LinkInput::Up | LinkInput::Text(_) | LinkInput::Binary(_) | LinkInput::Alive => {}
        }
    }

    fn due(&self) -> Option<Time> {
        match self.question {
            Question::Asked { until, .. } | Question::Again(until) => Some(until),
            Question::Waits | Question::Over => None,
        }
    }
}

impl<E: OrderEntry> OrderEntry for Guarded<E> {
    fn start(&mut self, now: Time, out: &mut Outbox) {
        let from = out.events.len();
        self.entry.start(now, out);
        self.listen(now, from, out);
    }
    fn place(&mut self, now: Time, order: &NewOrder, out: &mut Outbox) -> Result<(), NotSent> {
        self.entry.place(now, order, out)
    }
    fn cancel(&mut self, now: Time, cancel: &Cancel, out: &mut Outbox) -> Result<(), NotSent> {
        self.entry.cancel(now, cancel, out)
    }
    fn share_among(&mut self, sessions: &BTreeSet<SessionId>) {
        self.entry.share_among(sessions);
    }
    fn urgent(
        &mut self,
        now: Time,
        number: u64,
        urgent: &Urgent,
        way: Way,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        self.entry.urgent(now, number, urgent, way, out)
    }
    fn amend(&mut self, now: Time, amend: &Amend, out: &mut Outbox) -> Result<(), NotSent> {
        self.entry.amend(now, amend, out)
    }
    fn query(&mut self, now: Time, request: u64, query: &Query, out: &mut Outbox) {
        self.entry.query(now, request, query, out);
    }
    fn comparing(&mut self, under_way: bool) {
        self.entry.comparing(under_way);
    }
    fn pace(&mut self, now: Time, queries: &[Query]) -> Span {
        self.entry.pace(now, queries)
    }
    fn weight(&self, queries: &[Query]) -> u64 {
        self.entry.weight(queries)
    }
    fn owns(&self, link: LinkId) -> bool {
        self.is_mine(link) || self.entry.owns(link)
    }
    fn handle(&mut self, now: Time, link: LinkId, input: LinkInput<'_>, out: &mut Outbox) {
        if self.is_mine(link) {
            return self.heard(now, link, input, out);
        }
        let from = out.events.len();
        self.entry.handle(now, link, input, out);
        self.listen(now, from, out);
    }
    fn deadline(&self) -> Option<Time> {
        earliest(self.due(), self.entry.deadline())
    }
    fn timer(&mut self, now: Time, out: &mut Outbox) {
        match self.question {
            Question::Asked { link, until } if until <= now => {
                out.actions.push(LinkAction::Close { link });
                self.answered(now, Err("no answer in time".to_owned()), out);
            }
            Question::Again(at) if at <= now => self.ask(now, out),
            _ => {}
        }
        if self.entry.deadline().is_some_and(|due| due <= now) {
            let from = out.events.len();
            self.entry.timer(now, out);
            self.listen(now, from, out);
        }
    }
    fn shows_trades_of(&self) -> Option<Span> {
        self.entry.shows_trades_of()
    }
    fn inquires(&self) -> bool {
        matches!(self.question, Question::Asked { .. } | Question::Again(_)) || self.entry.inquires()
    }
    fn gauges(&self, now: Time) -> EntryGauges {
        self.entry.gauges(now)
    }
    fn receive_window(&self) -> Span {
        self.entry.receive_window()
    }
    fn stop(&mut self, now: Time, out: &mut Outbox) {
        if let Question::Asked { link, .. } = self.question {
            out.actions.push(LinkAction::Close { link });
        }
        self.question = Question::Over;
        self.entry.stop(now, out);
    }
}

#[cfg(test)]
mod tests {
    use binance_wire::sign::SecretKey;

    use super::*;
    use crate::spot::{self, SpotConfig};

    const START: Time = Time::from_millis(1_700_000_000_000);

    struct Bench {
        guarded: Guarded<spot::Entry>,
        now: Time,
        out: Outbox,
    }

    impl Bench {
        fn new(host: &str) -> Self {
            let key = SecretKey::from_seed(&[7; 32]);
            let config = SpotConfig::new("wss://api", "wss://streams", "the-key", key, 1);
            let guarded = Guarded::new(spot::ports(&config).1, &config.access, host);
            Self { guarded, now: START, out: Outbox::default() }
        }

        fn up(&mut self) {
            let clock = VenueEvent::Clock { offset_nanos: 2_000_000_000, round_trip: Span::ZERO };
            self.out.events.extend([clock, VenueEvent::EntryUp]);
            self.guarded.listen(self.now, 0, &mut self.out);
            self.out.events.clear();
        }

        fn asked(&mut self) -> Vec<(LinkId, String)> {
            let requests = self.out.actions.drain(..).filter_map(|action| match action {
                LinkAction::Request { link, url, .. } => Some((link, url)),
                _ => None,
            });
            requests.collect()
        }

        fn hears(&mut self, link: LinkId, input: LinkInput<'_>) -> Vec<VenueEvent> {
            self.guarded.handle(self.now, link, input, &mut self.out);
            std::mem::take(&mut self.out.events)
        }

        fn hears_of(&mut self, ip_restrict: bool, withdrawals: bool) -> Vec<VenueEvent> {
            self.up();
            let link = self.asked()[0].0;
            let body = format!(r#"{{"ipRestrict":{ip_restrict},"enableWithdrawals":{withdrawals}}}"#);
            self.hears(link, LinkInput::Response { status: 200, headers: &[], body: &body })
        }
    }

    /// An entry that keeps what it is told of sessions.
    #[derive(Default)]
    struct Inner {
        sharers: BTreeSet<SessionId>,
    }

    impl OrderEntry for Inner {
        fn start(&mut self, _: Time, _: &mut Outbox) {}
        fn place(&mut self, _: Time, _: &NewOrder, _: &mut Outbox) -> Result<(), NotSent> {
            Err(NotSent::Disconnected)
        }
        fn cancel(&mut self, _: Time, _: &Cancel, _: &mut Outbox) -> Result<(), NotSent> {
            Err(NotSent::Disconnected)
        }
        fn amend(&mut self, _: Time, _: &Amend, _: &mut Outbox) -> Result<(), NotSent> {
            Err(NotSent::Disconnected)
        }
        fn share_among(&mut self, sessions: &BTreeSet<SessionId>) {
            self.sharers.clone_from(sessions);
        }
        fn query(&mut self, _: Time, _: u64, _: &Query, _: &mut Outbox) {}
        fn comparing(&mut self, _: bool) {}
        fn pace(&mut self, _: Time, _: &[Query]) -> Span {
            Span::ZERO
        }
        fn weight(&self, _: &[Query]) -> u64 {
            0
        }
        fn owns(&self, _: LinkId) -> bool {
            false
        }
        fn handle(&mut self, _: Time, _: LinkId, _: LinkInput<'_>, _: &mut Outbox) {}
        fn deadline(&self) -> Option<Time> {
            None
        }
        fn timer(&mut self, _: Time, _: &mut Outbox) {}
        fn urgent(&mut self, _: Time, _: u64, _: &Urgent, _: Way, _: &mut Outbox) -> Result<(), NotSent> {
            Err(NotSent::Disconnected)
        }
        fn shows_trades_of(&self) -> Option<Span> {
            None
        }
        fn inquires(&self) -> bool {
            false
        }
        fn gauges(&self, _: Time) -> EntryGauges {
            EntryGauges { connected: true, ..EntryGauges::default() }
        }
        fn receive_window(&self) -> Span {
            Span::ZERO
        }
        fn stop(&mut self, _: Time, _: &mut Outbox) {}
    }

    #[test]
    fn r13_what_a_gateway_tells_and_asks_reaches_the_entry_inside() {
        let key = SecretKey::from_seed(&[7; 32]);
        let access = SpotConfig::new("wss://api", "wss://streams", "the-key", key, 1).access;
        let mut guarded = Guarded::new(Inner::default(), &access, "https://host");
        let sessions = BTreeSet::from([SessionId(1), SessionId(2)]);
        guarded.share_among(&sessions);
        assert_eq!(guarded.entry.sharers, sessions);
        assert!(guarded.gauges(START).connected);
    }

    #[test]
    fn r71_it_is_asked_once_by_the_exchanges_clock_and_of_nobody_else() {
        let mut bench = Bench::new("https://host/");
        assert!(!bench.guarded.inquires());
        bench.up();
        let asked = bench.asked();
        let begins =
            "https://host/sapi/v1/account/apiRestrictions?recvWindow=5000&timestamp=1700000002000&signature=";
        assert!(asked.len() == 1 && asked[0].1.starts_with(begins), "{asked:?}");
        assert!(bench.guarded.inquires() && bench.guarded.owns(asked[0].0));
        bench.up();
        assert!(bench.asked().is_empty(), "after a lost connection, not again");
        let mut silent = Bench::new("");
        silent.up();
        assert!(silent.asked().is_empty() && !silent.guarded.inquires());
    }

    #[test]
    fn r71_what_the_key_may_do_decides() {
        assert_eq!(Bench::new("https://host").hears_of(true, false), []);
        for bound in [true, false] {
            let told = Bench::new("https://host").hears_of(bound, true);
            assert!(
                matches!(&told[..], [VenueEvent::Refused(words)] if words.contains("may withdraw")),
                "{told:?}"
            );
        }
        let told = Bench::new("https://host").hears_of(false, false);
        let [VenueEvent::Warning { event: "key without IP restriction", .. }] = &told[..] else {
            panic!("{told:?}");
        };
    }

    #[test]
    fn r71_an_answer_that_comes_late_ends_it_all_the_same() {
        let body = r#"{"ipRestrict":true,"enableWithdrawals":true}"#;
        let refusal = LinkInput::Response { status: 200, headers: &[], body };
        // At the last moment, and by the last try: orders may have been sent meanwhile.
        for lost in 0..TRIES {
            let mut bench = Bench::new("https://host");
            bench.up();
            for _ in 0..lost {
                let link = bench.asked()[0].0;
                assert_eq!(bench.hears(link, LinkInput::Down("reset")), []);
                bench.now = bench.guarded.deadline().unwrap();
                bench.guarded.timer(bench.now, &mut bench.out);
            }
            let link = bench.asked()[0].0;
            bench.now = bench.guarded.due().unwrap() - Span::from_nanos(1);
            bench.guarded.timer(bench.now, &mut bench.out);
            let told = bench.hears(link, refusal.clone());
            assert!(matches!(&told[..], [VenueEvent::Refused(_)]), "after {lost} lost: {told:?}");
        }
    }

    #[test]
    fn r71_no_answer_is_no_refusal_and_is_told_after_three() {
        let mut bench = Bench::new("https://host");
        bench.up();
        let first = bench.asked()[0].0;
        assert_eq!(bench.hears(first, LinkInput::Down("reset")), []);
        bench.now = START + PAUSE;
        assert_eq!(bench.guarded.deadline(), Some(bench.now));
        bench.guarded.timer(bench.now, &mut bench.out);
        let second = bench.asked()[0].0;
        assert_ne!(first, second);
        let response = LinkInput::Response { status: 503, headers: &[], body: "<html>" };
        assert_eq!(bench.hears(first, response), [], "of one that is over");
        bench.now = bench.guarded.deadline().unwrap();
        bench.guarded.timer(bench.now, &mut bench.out);
        bench.now = bench.guarded.deadline().unwrap();
        bench.guarded.timer(bench.now, &mut bench.out);
        let third = bench.asked()[0].0;
        assert!(bench.guarded.inquires());
        let told = bench.hears(third, LinkInput::Response { status: 200, headers: &[], body: "{}" });
        assert!(matches!(&told[..], [VenueEvent::Warning { event: "key rights not read", .. }]), "{told:?}");
        assert!(!bench.guarded.inquires() && bench.guarded.due().is_none());
    }
}
