//! One rule as it is written: in a file of weather, or to the control interface.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tradingsys::time::Span;

use super::Fault;
use crate::product::Product;

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
    pub(crate) fn holds(&self, name: &str) -> bool {
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

impl Side {
    /// As rules name it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Streams => "streams",
        }
    }
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// What goes wrong.
    #[serde(deserialize_with = "fault")]
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
    /// When it happens, for what happens by itself: milliseconds since the simulator was started. In these too:
    #[serde(default)]
    pub(crate) at: Option<i64>,
    /// Strikes from then on.
    #[serde(default)]
    pub(crate) from: Option<i64>,
    /// Ends then.
    #[serde(default)]
    pub(crate) until: Option<i64>,
    /// Happens again after so long; or strikes once in each such span of time.
    #[serde(default)]
    pub(crate) every: Option<i64>,
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
    /// Length of `frame.giant` in bytes.
    #[serde(default)]
    pub(crate) bytes: Option<usize>,
    /// Path of `control`, after `/control/`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Body of `control`.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// What the user calls it.
    #[serde(default)]
    pub(crate) note: Option<String>,
    /// The rule as it was given.
    #[serde(skip)]
    pub(crate) source: String,
}

/// All that a rule may have.
const KEYS: [&str; 26] = [
    "fault",
    "method",
    "event",
    "stream",
    "account",
    "side",
    "product",
    "probability",
    "nth",
    "times",
    "for_ms",
    "at",
    "from",
    "until",
    "every",
    "ms",
    "code",
    "status",
    "message",
    "executed",
    "stage",
    "apikey",
    "bytes",
    "path",
    "body",
    "note",
];

fn fault<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fault, D::Error> {
    let word = String::deserialize(deserializer)?;
    Fault::of_word(&word).ok_or_else(|| {
        let known = Fault::ALL.iter().map(|(_, word)| *word);
        D::Error::custom(format!("there is no fault {word:?}{}", meant(&word, known)))
    })
}

/// `; "…" is meant?` where something known is near.
fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.map(|known| (distance(word, known), known)).min();
    nearest
        .filter(|(far, known)| *far <= known.len() / 2)
        .map_or(String::new(), |(_, known)| format!("; did you mean {known:?}?"))
}

/// How many letters have to be put in, left out or changed to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (place, wanted) in other.chars().enumerate() {
            let changed = corner + usize::from(letter != wanted);
            corner = row[place + 1];
            row[place + 1] = changed.min(corner + 1).min(row[place] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or_else(|| format!("{value} is no rule: a rule is an object"))?;
        if let Some(unknown) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("a rule has no {unknown:?}{}", meant(unknown, KEYS.into_iter())));
        }
        let mut rule: Self = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        rule.source = value.to_string();
        rule.problem().map_or(Ok(rule), |problem| Err(problem.to_owned()))
    }

    /// Does it happen by itself, with no request or frame to strike?
    pub(crate) fn happens_by_itself(&self) -> bool {
        self.fault.is_immediate() || (self.fault.is_cut() && self.method.is_none())
    }

    /// What is wrong with it, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let by_itself = self.happens_by_itself();
        if !by_itself && self.at.is_some() {
            return Some("\"at\" is for what happens by itself; of what strikes, say \"from\"");
        }
        if by_itself && (self.from.is_some() || self.nth.is_some() || self.for_ms.is_some()) {
            return Some("this fault happens by itself: say \"at\", \"every\", \"until\" and \"times\"");
        }
        if self.fault == Fault::Control && self.path.is_none() {
            return Some("this fault needs \"path\"");
        }
        if [self.at, self.from, self.until].into_iter().flatten().any(|ms| ms < 0) {
            return Some("times count from the start, in milliseconds, and are not negative");
        }
        if self.every.is_some_and(|every| every < 1) {
            return Some("\"every\" must be above zero");
        }
        let needs_ms = matches!(
            self.fault,
            Fault::RequestDelay
                | Fault::ReplyDelay
                | Fault::EventDelay
                | Fault::EventReorder
                | Fault::StreamDelay
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
