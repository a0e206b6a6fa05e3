//! Bad weather: rules that are in force from the start, read from a script or from the recording of an earlier run.
//!
//! A script is a list of rules. A recording is what the simulator wrote of the strikes, line by line: what happened by
//! itself happens again at its time, and of requests and frames the same ones are struck, found by their kind and their
//! number among those of that kind.

use serde::Deserialize;
use serde_json::Value;
use tradingsys::time::Span;

use crate::faults::{Exactly, Fault, Rule};
use crate::io::SimOutput;
use crate::sim::{Sim, Task};

/// The rules that are in force from the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weather {
    rules: Vec<(Rule, Option<Exactly>)>,
}

/// A line of `faults.jsonl`.
#[derive(Deserialize)]
struct Line {
    after: i64,
    of: Option<String>,
    n: Option<u64>,
    span_ns: Option<i64>,
    /// Absent where the weather could not do what was said.
    rule: Option<Value>,
}

/// What says when and what a rule strikes: of a strike that was recorded, the recording says it.
const WHEN: [&str; 7] = ["at", "from", "until", "every", "for_ms", "probability", "nth"];

impl Weather {
    /// Reads a script (`[{"fault": …}, …]`) or a recording (a line for each strike), as plain JSON.
    ///
    /// # Errors
    /// What cannot be used, in words, with the rule or the line it is in.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules =
            if text.trim_start().starts_with('[') { Self::script(text) } else { Self::recording(text) };
        Ok(Self { rules: rules? })
    }

    /// Is there nothing that will go wrong?
    pub fn is_fair(&self) -> bool {
        self.rules.is_empty()
    }

    fn script(text: &str) -> Result<Vec<(Rule, Option<Exactly>)>, String> {
        let rules: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let read = |(at, rule): (usize, &Value)| match Rule::read(rule) {
            Ok(rule) => Ok((rule, None)),
            Err(problem) => Err(format!("rule {} of {}: {problem}", at + 1, rules.len())),
        };
        rules.iter().enumerate().map(read).collect()
    }

    fn recording(text: &str) -> Result<Vec<(Rule, Option<Exactly>)>, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(at, line): (usize, &str)| {
            recorded(line).map_err(|problem| format!("line {}: {problem}", at + 1)).transpose()
        };
        lines.filter_map(read).collect()
    }
}

fn recorded(line: &str) -> Result<Option<(Rule, Option<Exactly>)>, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        format!("{error}: a script is a list of rules, a recording has the lines of faults.jsonl")
    })?;
    let Some(mut rule) = line.rule else { return Ok(None) };
    if let Some(object) = rule.as_object_mut() {
        object.retain(|key, _| !WHEN.contains(&key.as_str()));
        if line.of.is_none() {
            object.insert("at".to_owned(), line.after.into());
        }
        object.insert("times".to_owned(), 1.into());
    }
    let rule = Rule::read(&rule)?;
    let exactly = line.of.map(|of| {
        let span = Span::from_nanos(line.span_ns.unwrap_or_default());
        Exactly { of, n: line.n.unwrap_or_default(), span }
    });
    Ok(Some((rule, exactly)))
}

impl Sim {
    /// Puts the rules of the start in force.
    pub(crate) fn begin_weather(&mut self) {
        for (rule, exactly) in self.config.weather.rules.clone() {
            self.enforce(rule, exactly);
        }
    }

    /// Puts a rule in force, or plans what happens by itself; its number.
    pub(crate) fn enforce(&mut self, rule: Rule, exactly: Option<Exactly>) -> u64 {
        let (elapsed, by_itself) = (self.elapsed(), rule.happens_by_itself());
        let at = rule.at.map_or(elapsed, Span::from_millis).max(elapsed);
        let number = self.faults.add(elapsed, rule, exactly);
        if by_itself {
            self.later(Span::from_nanos(at.nanos() - elapsed.nanos()), Task::Weather(number));
        }
        number
    }

    /// What a rule does by itself is due.
    pub(crate) fn weather_due(&mut self, number: u64, out: &mut Vec<SimOutput>) {
        let Some((rule, strikes)) = self.faults.due(self.elapsed(), number) else { return };
        if let Some(every) = rule.every {
            self.later(Span::from_millis(every), Task::Weather(number));
        }
        if strikes && let Err(problem) = self.happen(&rule, number, out) {
            self.record_problem(&rule, number, &problem);
            self.flush(None, out);
        }
    }

    /// Does what a rule does by itself.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub(crate) fn happen(
        &mut self,
        rule: &Rule,
        number: u64,
        out: &mut Vec<SimOutput>,
    ) -> Result<(), String> {
        let now = self.venue_time();
        let key = rule.apikey.as_deref().unwrap_or_default();
        let what = rule.path.as_deref().or(rule.apikey.as_deref()).unwrap_or("all");
        self.record_happening(rule, number, what);
        self.flush(None, out);
        match rule.fault {
            fault if fault.is_cut() => self.cut_all(fault, (rule.side, rule.product), out),
            Fault::ClockSkew => self.set_skew(rule.span()),
            Fault::Shutdown => {
                let notice = rule.ms.map_or(self.config.timing.shutdown_notice, Span::from_millis);
                self.announce_shutdown(now, notice, out);
            }
            Fault::KeyRevoke if !self.revoke(now, key) => return Err(format!("there is no key {key:?}")),
            Fault::KeyRestore if !self.keys.revoke(key, false) => {
                return Err(format!("there is no key {key:?}"));
            }
            Fault::Control => {
                let body = rule.body.as_ref().map_or_else(String::new, Value::to_string);
                self.operate(now, rule.path.as_deref().unwrap_or_default(), &body)?;
            }
            _ => {}
        }
        self.absorb(now);
        self.flush(None, out);
        Ok(())
    }
}
