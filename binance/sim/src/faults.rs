//! Faults: what goes wrong, when, and how often.
//!
//! A rule names a fault, what it may strike (a method, an event, a kind of connection, an account) and
//! when: with a probability, or at exactly the n-th match. The draws come from the simulator's seed, every
//! strike is recorded, so a run can be repeated.

use binance_wire::render::Object;
use serde::Deserialize;
use tradingsys::time::{Span, Time};

use crate::product::Product;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Fault {
    /// A request never arrives.
    #[serde(rename = "request.drop")]
    RequestDrop,
    /// A request arrives late.
    #[serde(rename = "request.delay")]
    RequestDelay,
    /// A request is served, its reply is lost.
    #[serde(rename = "reply.drop")]
    ReplyDrop,
    /// A reply comes late.
    #[serde(rename = "reply.delay")]
    ReplyDelay,
    /// A reply is replaced by an error; `executed` says whether the request was served.
    #[serde(rename = "reply.error")]
    ReplyError,
    /// A private event is lost.
    #[serde(rename = "event.drop")]
    EventDrop,
    /// A private event is sent twice.
    #[serde(rename = "event.duplicate")]
    EventDuplicate,
    /// A private event is overtaken by later ones.
    #[serde(rename = "event.reorder")]
    EventReorder,
    /// A private event is late, and so are those after it.
    #[serde(rename = "event.delay")]
    EventDelay,
    /// A frame of a public stream is lost: of a book's changes, a gap.
    #[serde(rename = "stream.drop")]
    StreamDrop,
    /// The changes of a book leave out the best of each side, as if nothing were missing.
    #[serde(rename = "stream.poison")]
    StreamPoison,
    /// Connections are closed with a close frame.
    #[serde(rename = "connection.close")]
    ConnectionClose,
    /// Connections are cut.
    #[serde(rename = "connection.abort")]
    ConnectionAbort,
    /// Connections stay open and fall silent.
    #[serde(rename = "connection.half_open")]
    ConnectionHalfOpen,
    /// New connections are turned away.
    #[serde(rename = "connection.refuse")]
    ConnectionRefuse,
    /// Queries answer from the past.
    #[serde(rename = "query.lag")]
    QueryLag,
    /// Time jumps ahead (or back) and stays so.
    #[serde(rename = "clock.skew")]
    ClockSkew,
    /// The venue shuts down: `serverShutdown`, then all connections end.
    #[serde(rename = "shutdown")]
    Shutdown,
    /// The weight is used up (429), or the address banned (418).
    #[serde(rename = "rate.429")]
    Rate429,
    /// The address is banned.
    #[serde(rename = "rate.418")]
    Rate418,
    /// A key is deleted.
    #[serde(rename = "key.revoke")]
    KeyRevoke,
    /// A deleted key works again.
    #[serde(rename = "key.restore")]
    KeyRestore,
}

impl Fault {
    /// Its name in rules and in the journal.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RequestDrop => "request.drop",
            Self::RequestDelay => "request.delay",
            Self::ReplyDrop => "reply.drop",
            Self::ReplyDelay => "reply.delay",
            Self::ReplyError => "reply.error",
            Self::EventDrop => "event.drop",
            Self::EventDuplicate => "event.duplicate",
            Self::EventReorder => "event.reorder",
            Self::EventDelay => "event.delay",
            Self::StreamDrop => "stream.drop",
            Self::StreamPoison => "stream.poison",
            Self::ConnectionClose => "connection.close",
            Self::ConnectionAbort => "connection.abort",
            Self::ConnectionHalfOpen => "connection.half_open",
            Self::ConnectionRefuse => "connection.refuse",
            Self::QueryLag => "query.lag",
            Self::ClockSkew => "clock.skew",
            Self::Shutdown => "shutdown",
            Self::Rate429 => "rate.429",
            Self::Rate418 => "rate.418",
            Self::KeyRevoke => "key.revoke",
            Self::KeyRestore => "key.restore",
        }
    }

    /// Done at once when the rule arrives; nothing is waited for.
    pub(crate) const fn is_immediate(self) -> bool {
        matches!(self, Self::ClockSkew | Self::Shutdown | Self::KeyRevoke | Self::KeyRestore)
    }
}

/// A method's name, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Names {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

/// Which connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// Of the websocket API.
    Api,
    /// Of market data streams.
    Streams,
}

/// When a connection fault that waits for a request strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Before the request is served.
    #[default]
    Before,
    /// After it was served, before its reply.
    After,
}

/// A rule as it is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// What goes wrong.
    pub(crate) fault: Fault,
    /// Only these methods (by their websocket names, over REST as well).
    #[serde(default)]
    pub(crate) method: Option<Names>,
    /// Only this event: `executionReport`, `outboundAccountPosition`, …; or an execution type, such as
    /// `TRADE`.
    #[serde(default)]
    pub(crate) event: Option<Names>,
    /// Only this public stream, as its frames name it: `dogeusdt@depth@100ms`.
    #[serde(default)]
    pub(crate) stream: Option<Names>,
    /// Only this account.
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// Only these connections.
    #[serde(default)]
    pub(crate) side: Option<Side>,
    /// Only this product.
    #[serde(default)]
    pub(crate) product: Option<Product>,
    /// Chance of each match, 0 to 1. Without it and `nth`: every match.
    #[serde(default)]
    pub(crate) probability: Option<f64>,
    /// Exactly the n-th match, from 1.
    #[serde(default)]
    pub(crate) nth: Option<u64>,
    /// Strikes at most so often.
    #[serde(default)]
    pub(crate) times: Option<u64>,
    /// Ends after so many milliseconds.
    #[serde(default)]
    pub(crate) for_ms: Option<i64>,
    /// Delay, lag or skew in milliseconds.
    #[serde(default)]
    pub(crate) ms: Option<i64>,
    /// Code of `reply.error`.
    #[serde(default)]
    pub(crate) code: Option<i64>,
    /// Status of `reply.error`, or of a refused connection.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// Words of `reply.error`.
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// Was the request of `reply.error` served?
    #[serde(default)]
    pub(crate) executed: bool,
    /// When a connection fault strikes.
    #[serde(default)]
    pub(crate) stage: Stage,
    /// Key of `key.revoke`.
    #[serde(default)]
    pub(crate) apikey: Option<String>,
}

impl Rule {
    /// What is wrong with it, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let needs_ms = matches!(
            self.fault,
            Fault::RequestDelay
                | Fault::ReplyDelay
                | Fault::EventDelay
                | Fault::EventReorder
                | Fault::QueryLag
                | Fault::ClockSkew
        );
        if needs_ms && self.ms.is_none() {
            return Some("this fault needs \"ms\"");
        }
        if self.fault != Fault::ClockSkew && self.ms.is_some_and(|ms| ms < 0) {
            return Some("\"ms\" must not be negative");
        }
        if matches!(self.fault, Fault::KeyRevoke | Fault::KeyRestore) && self.apikey.is_none() {
            return Some("this fault needs \"apikey\"");
        }
        if self.fault == Fault::ReplyError && self.code.is_none() {
            return Some("this fault needs \"code\"");
        }
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Some("\"probability\" must lie between 0 and 1");
        }
        if self.nth == Some(0) {
            return Some("\"nth\" counts from 1");
        }
        None
    }

    /// Its length of time.
    pub(crate) fn span(&self) -> Span {
        Span::from_millis(self.ms.unwrap_or(0))
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

/// A rule in force.
#[derive(Clone, Debug)]
struct Active {
    number: u64,
    rule: Rule,
    until: Option<Time>,
    matched: u64,
    struck: u64,
}

/// All rules in force.
#[derive(Debug)]
pub(crate) struct Faults {
    random: fastrand::Rng,
    active: Vec<Active>,
    numbered: u64,
}

impl Faults {
    /// No rules.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), active: Vec::new(), numbered: 0 }
    }

    /// Puts a rule in force; its number.
    pub(crate) fn add(&mut self, now: Time, rule: Rule) -> u64 {
        self.numbered += 1;
        let until = rule.for_ms.map(|ms| now + Span::from_millis(ms));
        self.active.push(Active { number: self.numbered, rule, until, matched: 0, struck: 0 });
        self.numbered
    }

    /// Takes a rule, or all, out of force.
    pub(crate) fn remove(&mut self, number: Option<u64>) {
        self.active.retain(|active| number.is_some_and(|number| number != active.number));
    }

    /// Is there any rule?
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// A number below a bound, from the faults' own seed.
    pub(crate) fn draw(&mut self, below: i64) -> i64 {
        self.random.i64(0..below.max(1))
    }

    /// The first rule of one of these faults that strikes; every rule that matches counts the match.
    pub(crate) fn strike(
        &mut self,
        now: Time,
        faults: &[Fault],
        subject: Subject<'_>,
    ) -> Option<(u64, Rule)> {
        let mut found = None;
        for active in &mut self.active {
            if !faults.contains(&active.rule.fault) || !active.matches(now, subject) {
                continue;
            }
            active.matched += 1;
            let drawn = match (active.rule.nth, active.rule.probability) {
                (Some(nth), _) => active.matched == nth,
                (None, Some(chance)) => self.random.f64() < chance,
                (None, None) => true,
            };
            let left = active.rule.times.is_none_or(|times| active.struck < times);
            if drawn && left && found.is_none() {
                active.struck += 1;
                found = Some((active.number, active.rule.clone()));
            }
        }
        found
    }

    /// The rules as JSON, with their counts.
    pub(crate) fn list(&self) -> Vec<String> {
        let row = |active: &Active| {
            Object::new()
                .int("id", active.number)
                .text("fault", active.rule.fault.name())
                .int("matched", active.matched)
                .int("struck", active.struck)
                .end()
        };
        self.active.iter().map(row).collect()
    }
}

impl Active {
    fn matches(&self, now: Time, subject: Subject<'_>) -> bool {
        let rule = &self.rule;
        let account = rule.account.as_ref().is_none_or(|account| subject.account == Some(account.as_str()));
        let side = rule.side.is_none_or(|side| subject.side == Some(side));
        let product = rule.product.is_none_or(|product| subject.product == Some(product));
        let method = rule.method.as_ref().is_none_or(|names| subject.method.is_some_and(|m| names.holds(m)));
        let event = rule.event.as_ref().is_none_or(|names| {
            subject.event.is_some_and(|(event, execution)| names.holds(event) || names.holds(execution))
        });
        let alive = self.until.is_none_or(|until| now < until);
        let stream = rule.stream.as_ref().is_none_or(|names| subject.stream.is_some_and(|s| names.holds(s)));
        account && side && product && method && event && stream && alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Rule {
        serde_json::from_str(json).unwrap()
    }

    fn subject(method: &str) -> Subject<'_> {
        Subject { method: Some(method), ..Subject::default() }
    }

    #[test]
    fn the_nth_match_is_struck_and_no_other() {
        let mut faults = Faults::new(1);
        let now = Time::from_millis(0);
        faults.add(now, rule(r#"{"fault":"reply.drop","method":"order.place","nth":2}"#));
        let mut struck = |method| faults.strike(now, &[Fault::ReplyDrop], subject(method)).is_some();
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
                Time::from_millis(0),
                rule(r#"{"fault":"event.drop","event":"TRADE","probability":0.3,"for_ms":1000}"#),
            );
            let at = |ms| Time::from_millis(ms);
            let event = Subject { event: Some(("executionReport", "TRADE")), ..Subject::default() };
            (0..2_000)
                .map(|ms| faults.strike(at(ms), &[Fault::EventDrop], event).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
        let struck = run(5).iter().filter(|s| **s).count();
        assert!((200..400).contains(&struck), "{struck}");
        assert!(run(5)[1_000..].iter().all(|s| !s), "the rule has ended");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for (json, part) in [
            (r#"{"fault":"reply.delay"}"#, "ms"),
            (r#"{"fault":"reply.error"}"#, "code"),
            (r#"{"fault":"key.revoke"}"#, "apikey"),
            (r#"{"fault":"event.drop","probability":1.5}"#, "probability"),
            (r#"{"fault":"event.drop","nth":0}"#, "nth"),
        ] {
            assert!(rule(json).problem().unwrap().contains(part), "{json}");
        }
        assert!(serde_json::from_str::<Rule>(r#"{"fault":"event.lose"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"fault":"event.drop","colour":1}"#).is_err());
    }
}
