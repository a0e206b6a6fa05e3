//! What happens to a machine, as lines: `<nanoseconds later> <kind> <number> <rest>`. A line that is none is passed
//! over, so that any text is a script.

use tradingsys::time::{Span, Time};

/// Longest time between two lines: a machine that ticks on is to come to its end.
const PAUSE_MAX: i64 = 60_000_000_000;
/// Lines of a script that are looked at.
const LINES_MAX: usize = 2_000;

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// How long after the one before.
    pub after: Span,
    /// What.
    pub kind: char,
    /// Of which link, connection or thing.
    pub number: u32,
    /// The rest of the line.
    pub rest: &'a str,
}

/// The lines of a script.
pub fn steps(text: &str) -> impl Iterator<Item = Step<'_>> {
    text.split('\n').take(LINES_MAX).filter_map(step)
}

fn step(line: &str) -> Option<Step<'_>> {
    let mut parts = line.splitn(4, ' ');
    let after = Span::from_nanos(parts.next()?.parse::<i64>().ok()?.clamp(0, PAUSE_MAX));
    let mut kind = parts.next()?.chars();
    let (kind, None) = (kind.next()?, kind.next()) else { return None };
    let number = parts.next()?.parse().ok()?;
    Some(Step { after, kind, number, rest: parts.next().unwrap_or_default() })
}

/// A script being written.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    text: String,
    last: Option<Time>,
}

impl Tape {
    /// Writes a line.
    pub fn note(&mut self, now: Time, kind: char, number: u32, rest: &str) {
        let after = now.since(self.last.unwrap_or(now)).nanos();
        self.last = Some(now);
        self.text.push_str(&format!("{after} {kind} {number} {}\n", rest.replace('\n', " ")));
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_as_it_was_written_and_passes_over_the_rest() {
        let mut tape = Tape::default();
        let start = Time::from_millis(5);
        tape.note(start, 'U', 3, "");
        tape.note(start + Span::from_millis(1), 'T', 3, "{\"a\": 1}");
        let text = format!("nonsense\n{}\n1 TT 2 x\n1 T x y\n-5 D 1\n", tape.text());
        let read: Vec<Step<'_>> = steps(&text).collect();
        let step = |nanos, kind, number, rest| Step { after: Span::from_nanos(nanos), kind, number, rest };
        assert_eq!(read, [step(0, 'U', 3, ""), step(1_000_000, 'T', 3, "{\"a\": 1}"), step(0, 'D', 1, "")]);
    }
}
