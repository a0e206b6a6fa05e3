//! From an event to a line: `[time target LEVEL] event key=value …`.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};

use crate::redact;

/// Name of the field whose text is `key=value …` already.
const READY: &str = "fields";

/// The finished line, with its end.
pub(crate) fn format(event: &tracing::Event<'_>, time: &str) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let target = event.metadata().target();
    let target = target.split("::").next().unwrap_or(target);
    let text = format!("[{time} {target} {}] {}{}", event.metadata().level(), fields.message, fields.rest);
    let mut line = redact::text(&escape(&text));
    line.push('\n');
    line
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn put(&mut self, name: &str, value: &str) {
        match name {
            "message" => self.message.push_str(value),
            READY if value.is_empty() => {}
            READY => {
                self.rest.push(' ');
                self.rest.push_str(value);
            }
            _ => {
                let plain = !value.is_empty() && !value.contains([' ', '"', '=']);
                let _ = if plain {
                    write!(self.rest, " {name}={value}")
                } else {
                    write!(self.rest, " {name}={value:?}")
                };
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

/// One event stays one line and cannot repaint a terminal: control characters and those that turn the reading
/// direction are shown by number.
fn escape(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let strange = |c: char| c.is_control() || turns(c) || matches!(c, '\u{2028}' | '\u{2029}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if strange(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    struct Keep(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Keep {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(super::format(event, "T"));
        }
    }

    fn lines(log: impl FnOnce()) -> Vec<String> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let layer = tracing_subscriber::registry().with(Keep(Arc::clone(&kept)));
        tracing::subscriber::with_default(layer, log);
        let lines = kept.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn row_004_58_an_event_is_one_line_of_fields() {
        let lines = lines(|| {
            tracing::info!(target: "gateway", fields = "a=1 b=2", "order_placed");
            tracing::warn!(target: "links", reason = "no route", port = 7, path = %"/x", empty = "", "link_down");
            tracing::error!(target: "a::b", text = "line\nbreak \u{202e}\u{1b}[31m", "x");
        });
        assert_eq!(
            lines,
            [
                "[T gateway INFO] order_placed a=1 b=2\n",
                "[T links WARN] link_down reason=\"no route\" port=7 path=/x empty=\"\"\n",
                "[T a ERROR] x text=\"line\\nbreak \\u{202e}\\u{1b}[31m\"\n",
            ]
        );
    }

    #[test]
    fn r74_a_name_can_neither_break_the_line_nor_turn_it() {
        assert_eq!(super::escape("a\nb\u{0}\u{202e}ü'; DROP"), "a\\u{a}b\\u{0}\\u{202e}ü'; DROP");
    }
}
