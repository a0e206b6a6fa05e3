//! Faults: what goes wrong, when, and how often.
//!
//! A rule names a fault, what it may strike (a method, an event, a kind of connection, an account) and when: with a
//! probability, at exactly the n-th match, from and until a time since the start. Whether a match is struck follows
//! from the simulator's seed, the rule and the match's number, whatever else happens meanwhile. What may be struck is
//! counted from the start, by its kind: a recorded strike names kind and number, and so strikes the same again.

mod rule;

use std::collections::BTreeMap;

use binance_wire::render::Object;
use tradingsys::time::Span;

pub(crate) use self::rule::{Rule, Side, Stage};
use crate::history::mix;
use crate::product::Product;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A request never arrives.
    RequestDrop,
    /// A request arrives late.
    RequestDelay,
    /// A request is served, its reply is lost.
    ReplyDrop,
    /// A reply comes late.
    ReplyDelay,
    /// A reply is replaced by an error; `executed` says whether the request was served.
    ReplyError,
    /// A private event is lost.
    EventDrop,
    /// A private event is sent twice.
    EventDuplicate,
    /// A private event is overtaken by later ones.
    EventReorder,
    /// A private event is late, and so are those after it.
    EventDelay,
    /// A frame of a public stream is lost: of a book's changes, a gap.
    StreamDrop,
    /// The changes of a book leave out the best of each side, as if nothing were missing.
    StreamPoison,
    /// Connections are closed with a close frame.
    ConnectionClose,
    /// Connections are cut.
    ConnectionAbort,
    /// Connections stay open and fall silent.
    ConnectionHalfOpen,
    /// New connections are turned away.
    ConnectionRefuse,
    /// Queries answer from the past.
    QueryLag,
    /// Time jumps ahead (or back) and stays so.
    ClockSkew,
    /// The venue shuts down: `serverShutdown`, then all connections end.
    Shutdown,
    /// The weight is used up (429), or the address banned (418).
    Rate429,
    /// The address is banned.
    Rate418,
    /// A key is deleted.
    KeyRevoke,
    /// A deleted key works again.
    KeyRestore,
    /// A frame of a public stream comes twice.
    StreamDuplicate,
    /// A frame of a public stream is late, after others.
    StreamDelay,
    /// The changes of a book bring a bid above the best offer.
    StreamCross,
    /// Queries answer as things stood when the rule came into force.
    QueryStale,
    /// Queries find nothing.
    QueryNotFound,
    /// The request is blocked by the firewall, with a page instead of JSON.
    Rate403,
    /// A frame comes that is no JSON.
    FrameGarbage,
    /// A frame is broken off in its middle.
    FrameCut,
    /// A frame is as long as a book.
    FrameGiant,
    /// A frame has fields nobody knows.
    FrameField,
    /// A frame has a word nobody knows where there are few.
    FrameEnum,
    /// A frame is sent as binary.
    FrameBinary,
    /// A frame is sent in pieces, as the websocket protocol allows.
    FrameFragment,
    /// A frame is no UTF-8.
    FrameUtf8,
    /// Whatever the control interface does.
    Control,
}

impl Fault {
    /// All, with their words in rules and in the journal.
    pub(crate) const ALL: [(Self, &'static str); 37] = [
        (Self::RequestDrop, "request.drop"),
        (Self::RequestDelay, "request.delay"),
        (Self::ReplyDrop, "reply.drop"),
        (Self::ReplyDelay, "reply.delay"),
        (Self::ReplyError, "reply.error"),
        (Self::EventDrop, "event.drop"),
        (Self::EventDuplicate, "event.duplicate"),
        (Self::EventReorder, "event.reorder"),
        (Self::EventDelay, "event.delay"),
        (Self::StreamDrop, "stream.drop"),
        (Self::StreamPoison, "stream.poison"),
        (Self::ConnectionClose, "connection.close"),
        (Self::ConnectionAbort, "connection.abort"),
        (Self::ConnectionHalfOpen, "connection.half_open"),
        (Self::ConnectionRefuse, "connection.refuse"),
        (Self::QueryLag, "query.lag"),
        (Self::ClockSkew, "clock.skew"),
        (Self::Shutdown, "shutdown"),
        (Self::Rate429, "rate.429"),
        (Self::Rate418, "rate.418"),
        (Self::KeyRevoke, "key.revoke"),
        (Self::KeyRestore, "key.restore"),
        (Self::StreamDuplicate, "stream.duplicate"),
        (Self::StreamDelay, "stream.delay"),
        (Self::StreamCross, "stream.cross"),
        (Self::QueryStale, "query.stale"),
        (Self::QueryNotFound, "query.not_found"),
        (Self::Rate403, "rate.403"),
        (Self::FrameGarbage, "frame.garbage"),
        (Self::FrameCut, "frame.cut"),
        (Self::FrameGiant, "frame.giant"),
        (Self::FrameField, "frame.field"),
        (Self::FrameEnum, "frame.enum"),
        (Self::FrameBinary, "frame.binary"),
        (Self::FrameFragment, "frame.fragment"),
        (Self::FrameUtf8, "frame.utf8"),
        (Self::Control, "control"),
    ];

    /// Its name in rules and in the journal.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(fault, _)| *fault == self).map_or("", |(_, word)| word)
    }

    /// The one of a name.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(fault, _)| *fault)
    }

    /// Done when its time comes; nothing is waited for.
    pub(crate) const fn is_immediate(self) -> bool {
        matches!(self, Self::ClockSkew | Self::Shutdown | Self::KeyRevoke | Self::KeyRestore | Self::Control)
    }

    /// Does it cut connections?
    pub(crate) const fn is_cut(self) -> bool {
        matches!(self, Self::ConnectionClose | Self::ConnectionAbort | Self::ConnectionHalfOpen)
    }
}

/// What a rule may be held against.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'a> {
    /// The request's method.
    pub(crate) method: Option<&'a str>,
    /// The event, and its execution type.
    pub(crate) event: Option<(&'a str, &'a str)>,
    /// The public stream.
    pub(crate) stream: Option<&'a str>,
    /// The account.
    pub(crate) account: Option<&'a str>,
    /// The connection.
    pub(crate) side: Option<Side>,
    /// The product.
    pub(crate) product: Option<Product>,
}

impl Subject<'_> {
    /// Its kind on this occasion: what is counted together.
    fn kind(&self, occasion: &str) -> String {
        let product = self.product.map_or("", Product::word);
        let (event, execution) = self.event.unwrap_or_default();
        let what = self.method.or(self.stream).unwrap_or(event);
        let side = self.side.map_or("", Side::word);
        let words = [occasion, product, side, self.account.unwrap_or_default(), what, execution];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// A match that is struck, and by what.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    /// Number of the rule.
    pub(crate) number: u64,
    /// The rule.
    pub(crate) rule: Rule,
    /// Kind of what is struck, and its number among those.
    pub(crate) of: String,
    /// From 1.
    pub(crate) n: u64,
    /// How late it is, or from how long ago.
    pub(crate) span: Span,
}

/// What exactly a recorded strike struck.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exactly {
    pub(crate) of: String,
    pub(crate) n: u64,
    pub(crate) span: Span,
}

/// A rule in force.
#[derive(Clone, Debug)]
struct Active {
    number: u64,
    rule: Rule,
    exactly: Option<Exactly>,
    began: Span,
    until: Option<Span>,
    matched: u64,
    struck: u64,
    /// The span of `every` in which it struck last.
    round: Option<i64>,
}

/// All rules in force. Times are since the start of the simulator.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    active: Vec<Active>,
    numbered: u64,
    seen: BTreeMap<String, u64>,
}

impl Faults {
    /// No rules.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, active: Vec::new(), numbered: 0, seen: BTreeMap::new() }
    }

    /// Puts a rule in force; its number.
    pub(crate) fn add(&mut self, now: Span, rule: Rule, exactly: Option<Exactly>) -> u64 {
        self.numbered += 1;
        let number = self.numbered;
        let ends = [rule.for_ms.map(|ms| now + Span::from_millis(ms)), rule.until.map(Span::from_millis)];
        let until = ends.into_iter().flatten().min();
        let began = rule.from.map_or(now, Span::from_millis);
        self.active.push(Active { number, rule, exactly, began, until, matched: 0, struck: 0, round: None });
        number
    }

    /// Takes a rule, or all, out of force.
    pub(crate) fn remove(&mut self, number: Option<u64>) {
        self.active.retain(|active| number.is_some_and(|number| number != active.number));
    }

    /// The first rule of one of these faults that strikes; every rule that matches counts the match.
    pub(crate) fn strike(
        &mut self,
        now: Span,
        occasion: &str,
        faults: &[Fault],
        subject: Subject<'_>,
    ) -> Option<Strike> {
        let of = subject.kind(occasion);
        let n = *self.seen.entry(of.clone()).and_modify(|n| *n += 1).or_insert(1);
        let mut found = None;
        for active in &mut self.active {
            if !faults.contains(&active.rule.fault) || !active.matches(now, subject) {
                continue;
            }
            active.matched += 1;
            if active.is_drawn(self.seed, now, (&of, n)) && found.is_none() {
                active.struck += 1;
                active.round = active.round_of(now);
                let (number, rule, span) = (active.number, active.rule.clone(), active.span(self.seed, now));
                found = Some(Strike { number, rule, of: of.clone(), n, span });
            }
        }
        found
    }

    /// What happens by itself is due: the rule, if it is still in force and strikes this time.
    pub(crate) fn due(&mut self, now: Span, number: u64) -> Option<(Rule, bool)> {
        let seed = self.seed;
        let active = self.active.iter_mut().find(|active| active.number == number)?;
        if active.until.is_some_and(|until| until <= now) {
            return None;
        }
        active.matched += 1;
        let chance = active.rule.probability.is_none_or(|chance| active.draw(seed) < chance);
        let left = active.rule.times.is_none_or(|times| active.struck < times);
        if chance && left {
            active.struck += 1;
        }
        left.then(|| (active.rule.clone(), chance))
    }

    /// The rules as JSON, with their counts.
    pub(crate) fn list(&self) -> Vec<String> {
        let row = |active: &Active| {
            Object::new()
                .int("id", active.number)
                .text("fault", active.rule.fault.name())
                .text("note", active.rule.note.as_deref().unwrap_or_default())
                .int("matched", active.matched)
                .int("struck", active.struck)
                .end()
        };
        self.active.iter().map(row).collect()
    }
}

impl Active {
    /// From 0 to 1, by the seed, the rule and how often it matched.
    fn draw(&self, seed: u64) -> f64 {
        let drawn = mix(mix(seed ^ mix(self.number)) ^ self.matched);
        (drawn >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn is_drawn(&self, seed: u64, now: Span, (of, n): (&str, u64)) -> bool {
        let drawn = match (&self.exactly, self.rule.nth, self.rule.probability) {
            (Some(exactly), ..) => exactly.of == of && exactly.n == n,
            (None, Some(nth), _) => self.matched == nth,
            (None, None, Some(chance)) => self.draw(seed) < chance,
            (None, None, None) => true,
        };
        let left = self.rule.times.is_none_or(|times| self.struck < times);
        let again = self.rule.every.is_none() || self.round != self.round_of(now);
        drawn && left && again
    }

    fn round_of(&self, now: Span) -> Option<i64> {
        let since = now.nanos() - self.began.nanos();
        self.rule.every.map(|every| since / Span::from_millis(every.max(1)).nanos())
    }

    /// How late what it strikes is, or from how long ago.
    fn span(&self, seed: u64, now: Span) -> Span {
        if let Some(exactly) = &self.exactly {
            return exactly.span;
        }
        match self.rule.fault {
            Fault::EventReorder => {
                let most = self.rule.span().nanos().max(1);
                let drawn = mix(mix(seed ^ mix(!self.number)) ^ self.matched) % most.unsigned_abs();
                Span::from_nanos(1 + i64::try_from(drawn).unwrap_or(0))
            }
            Fault::QueryStale => Span::from_nanos(now.nanos() - self.began.nanos()),
            _ => self.rule.span(),
        }
    }

    fn matches(&self, now: Span, subject: Subject<'_>) -> bool {
        let rule = &self.rule;
        let account = rule.account.as_ref().is_none_or(|account| subject.account == Some(account.as_str()));
        let side = rule.side.is_none_or(|side| subject.side == Some(side));
        let product = rule.product.is_none_or(|product| subject.product == Some(product));
        let method = rule.method.as_ref().is_none_or(|names| subject.method.is_some_and(|m| names.holds(m)));
        let event = rule.event.as_ref().is_none_or(|names| {
            subject.event.is_some_and(|(event, execution)| names.holds(event) || names.holds(execution))
        });
        let alive = self.began <= now && self.until.is_none_or(|until| now < until);
        let stream = rule.stream.as_ref().is_none_or(|names| subject.stream.is_some_and(|s| names.holds(s)));
        account && side && product && method && event && stream && alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Rule {
        Rule::read(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn subject(method: &str) -> Subject<'_> {
        Subject { method: Some(method), ..Subject::default() }
    }

    #[test]
    fn the_nth_match_is_struck_and_no_other() {
        let mut faults = Faults::new(1);
        let now = Span::ZERO;
        faults.add(now, rule(r#"{"fault":"reply.drop","method":"order.place","nth":2}"#), None);
        let mut struck = |method| faults.strike(now, "reply", &[Fault::ReplyDrop], subject(method)).is_some();
        assert!(!struck("order.place"));
        assert!(!struck("order.cancel"));
        assert!(struck("order.place"));
        assert!(!struck("order.place"));
    }

    #[test]
    fn chances_repeat_under_a_seed_and_end_in_time() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(
                Span::ZERO,
                rule(r#"{"fault":"event.drop","event":"TRADE","probability":0.3,"for_ms":1000}"#),
                None,
            );
            let at = |ms| Span::from_millis(ms);
            let event = Subject { event: Some(("executionReport", "TRADE")), ..Subject::default() };
            (0..2_000)
                .map(|ms| faults.strike(at(ms), "event", &[Fault::EventDrop], event).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
        let struck = run(5).iter().filter(|s| **s).count();
        assert!((200..400).contains(&struck), "{struck}");
        assert!(run(5)[1_000..].iter().all(|s| !s), "the rule has ended");
    }

    #[test]
    fn a_rule_strikes_from_a_time_until_a_time_and_once_in_each_span() {
        let mut faults = Faults::new(1);
        faults.add(Span::ZERO, rule(r#"{"fault":"reply.drop","from":1000,"until":4000,"every":1000}"#), None);
        let mut struck = |ms| {
            faults.strike(Span::from_millis(ms), "reply", &[Fault::ReplyDrop], subject("ping")).is_some()
        };
        let times: Vec<i64> = (0..50).map(|tenth| tenth * 100).filter(|ms| struck(*ms)).collect();
        assert_eq!(times, [1000, 2000, 3000]);
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for (json, part) in [
            (r#"{"fault":"reply.delay"}"#, "ms"),
            (r#"{"fault":"reply.error"}"#, "code"),
            (r#"{"fault":"key.revoke"}"#, "apikey"),
            (r#"{"fault":"event.drop","probability":1.5}"#, "probability"),
            (r#"{"fault":"event.drop","nth":0}"#, "nth"),
            (r#"{"fault":"event.lose"}"#, "there is no fault \"event.lose\""),
            (r#"{"fault":"event.dorp"}"#, "did you mean \"event.drop\"?"),
            (r#"{"fault":"event.drop","probabilty":0.5}"#, "did you mean \"probability\"?"),
            (r#"{"fault":"event.drop","colour":1}"#, "a rule has no \"colour\""),
            (r#"{"fault":"event.drop","at":5}"#, "from"),
            (r#"{"fault":"shutdown","from":5}"#, "at"),
            (r#"{"fault":"control"}"#, "path"),
            (r#"["event.drop"]"#, "a rule is an object"),
        ] {
            let problem = Rule::read(&serde_json::from_str(json).unwrap()).unwrap_err();
            assert!(problem.contains(part), "{json}: {problem}");
        }
    }

    #[test]
    fn every_fault_has_a_word_of_its_own() {
        for (fault, word) in Fault::ALL {
            assert_eq!((Fault::of_word(word), fault.name()), (Some(fault), word));
        }
    }
}
