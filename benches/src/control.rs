//! Orders from Python: a line of JSON in, a line of JSON out.

use std::io::{self, BufRead as _, Write as _};

use serde_json::{Value, json};

/// One line on the standard output.
pub(crate) fn say(value: &Value) {
    let mut out = io::stdout().lock();
    // Whoever started us is gone: so are we, soon.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// Performs orders until the input ends, each answered with a line: what was found, or `{"error": …}`.
pub(crate) fn serve(mut perform: impl FnMut(&Value) -> io::Result<Value>) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let wish: Value = serde_json::from_str(&line?)?;
        say(&perform(&wish).unwrap_or_else(|error| json!({"error": error.to_string()})));
    }
    Ok(())
}

/// A number of an order.
pub(crate) fn number(wish: &Value, name: &str) -> io::Result<u64> {
    wish[name].as_u64().ok_or_else(|| io::Error::other(format!("{name} is missing in {wish}")))
}

/// A word of an order.
pub(crate) fn word<'a>(wish: &'a Value, name: &str) -> io::Result<&'a str> {
    wish[name].as_str().ok_or_else(|| io::Error::other(format!("{name} is missing in {wish}")))
}
