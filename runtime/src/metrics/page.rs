//! The page of all numbers, in Prometheus' text format 0.0.4. `docs/monitoring.md` says what each means.

use std::fmt::{Display, Write as _};

use tradingsys::gateway::gauges::Gauges;
use tradingsys::time::Span;
use tradingsys::venue::limit::LimitKind;

use super::meters::Histogram;
use super::{Facts, Reading};

/// Files whose sizes are shown.
const FILES: [&str; 4] = ["journal.db", "journal.db-wal", "journal.snapshot", "pos.db"];

/// Writes the page. Without a reading the loop does not answer: what others count is shown all the same.
pub(super) fn page(facts: &Facts, reading: Option<&Reading>) -> String {
    let mut page = Page::default();
    process(&mut page, facts);
    page.gauge("tradingsys_loop_answers", "Does the gateway's loop answer?", u8::from(reading.is_some()));
    if let Some(reading) = reading {
        state(&mut page, &reading.gauges);
        links(&mut page, reading);
        budget(&mut page, &reading.gauges);
        orders(&mut page, &reading.gauges);
        clients(&mut page, reading);
        market_data(&mut page, &reading.gauges);
        journal(&mut page, facts, reading);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (number, (label, word)) in labels.iter().enumerate() {
            let begin = if number == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{begin}{label}=\"{}\"", escaped(word));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Gauges, one for each word of a label.
    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.family(name, "gauge", help);
        samples.into_iter().for_each(|(word, value)| self.sample(name, &[(label, word)], value));
    }

    /// Counters, one for each word of a label.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.family(name, "counter", help);
        samples.into_iter().for_each(|(word, value)| self.sample(name, &[(label, word)], value));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let mut all = 0;
        for (bound, count) in histogram.cumulated() {
            self.sample(&format!("{name}_bucket"), &[("le", bound)], count);
            all = count;
        }
        self.sample(&format!("{name}_sum"), &[], seconds(histogram.nanos()));
        self.sample(&format!("{name}_count"), &[], all);
    }
}

fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

fn length(span: Span) -> String {
    seconds(span.nanos().unsigned_abs())
}

fn process(page: &mut Page, facts: &Facts) {
    page.family("tradingsys_build_info", "gauge", "The program and its version; always 1.");
    let version = env!("CARGO_PKG_VERSION");
    page.sample("tradingsys_build_info", &[("program", facts.exe), ("version", version)], 1);
    let started = format!("{:.3}", facts.started);
    page.gauge("process_start_time_seconds", "When the process began, since 1970.", started);
    if let Some(bytes) = resident_bytes() {
        page.gauge("process_resident_memory_bytes", "Memory in use.", bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open file descriptors.", open.count());
    }
    let log = tradingsys_logger::counts();
    let help = "Lines that found the log's queue full.";
    page.counter("tradingsys_log_lines_dropped_total", help, log.dropped);
    page.counter("tradingsys_log_lines_lost_total", "Lines the log's file did not take.", log.lost);
    let help = "Failed writes and openings of the log's file.";
    page.counter("tradingsys_log_failures_total", help, log.failures);
}

/// As Linux tells it; elsewhere nothing is shown.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn state(page: &mut Page, gauges: &Gauges) {
    let condition = &gauges.condition;
    let help = "Is nothing in the way? What /healthz says.";
    page.gauge("tradingsys_ready", help, u8::from(condition.is_ready()));
    let help = "What keeps the gateway from its work: 1 for each that does.";
    let problems = condition.problems.iter().map(|problem| (problem.kind, 1));
    page.gauges("tradingsys_problem", help, "kind", problems);
    let held = condition.not_ready.len();
    let help = "Symbols that take no orders, whatever else there is.";
    page.gauge("tradingsys_symbols_not_ready", help, held);
    let recovery = &gauges.recovery;
    let help = "How far the comparison with the exchange is: 1 at its phase.";
    let phases = ["down", "waiting", "first_pass", "lag", "second_pass", "ready"];
    let at = phases.map(|phase| (phase, u64::from(phase == recovery.phase)));
    page.gauges("tradingsys_recovery_phase", help, "phase", at);
    let help = "For how long orders have waited for exchange and comparison; 0 when they do not.";
    page.gauge("tradingsys_recovery_under_way_seconds", help, length(recovery.under_way_for));
    let help = "How long the last recovery took, from the loss or the start until ready.";
    page.gauge("tradingsys_recovery_last_seconds", help, length(recovery.last.unwrap_or_default()));
    let help = "Recoveries completed, that of the start among them.";
    page.counter("tradingsys_recoveries_total", help, recovery.completed);
    let help = "Assets and contracts of which the books do not explain all that the exchange shows.";
    page.gauge("tradingsys_unattributed_assets", help, gauges.unattributed);
}

fn links(page: &mut Page, reading: &Reading) {
    let Reading { gauges, links, .. } = reading;
    let help = "Is there a connection for orders, and one for market data?";
    let up = [("orders", u64::from(gauges.entry.connected)), ("market_data", u64::from(gauges.market_up))];
    page.gauges("tradingsys_link_up", help, "link", up);
    let help = "How often orders, or market data as a whole, were lost.";
    let losses = [("orders", gauges.recovery.losses), ("market_data", gauges.market_losses)];
    page.counters("tradingsys_link_losses_total", help, "link", losses);
    page.counter("tradingsys_socket_dials_total", "Websockets to the exchange begun.", links.dials);
    let help = "Websockets to the exchange that ended, and requests that failed.";
    page.counter("tradingsys_link_downs_total", help, links.downs);
    page.counter("tradingsys_frames_received_total", "Text frames from the exchange.", links.received);
    page.counter("tradingsys_frames_sent_total", "Frames to the exchange.", links.sent);
    page.counter("tradingsys_http_requests_total", "HTTP requests to the exchange.", links.requests);
    page.counter("tradingsys_http_responses_total", "Answers to these.", links.responses);
    if let Some(since) = links.quiet_for {
        page.gauge("tradingsys_quiet_seconds", "Since the last frame from the exchange.", length(since));
    }
    if let Some(clock) = gauges.entry.clock {
        let sign = if clock.offset_nanos < 0 { "-" } else { "" };
        let offset = format!("{sign}{}", seconds(clock.offset_nanos.unsigned_abs()));
        let help = "How far the exchange's clock is ahead of ours.";
        page.gauge("tradingsys_clock_offset_seconds", help, offset);
        let help = "Round trip of that measurement; the offset is at most half of it wrong.";
        page.gauge("tradingsys_clock_round_trip_seconds", help, length(clock.round_trip));
    }
}

fn budget(page: &mut Page, gauges: &Gauges) {
    let word = |kind| match kind {
        LimitKind::Weight => "weight",
        LimitKind::Orders => "orders",
        LimitKind::OrderWeight => "order_weight",
    };
    let entry = &gauges.entry;
    for (name, help, shows_used) in [
        ("tradingsys_budget_used", "What of the exchange's limit is used or on its way.", true),
        ("tradingsys_budget_left", "What of the exchange's limit is left.", false),
    ] {
        page.family(name, "gauge", help);
        for window in &entry.windows {
            let length = (window.window.millis() / 1_000).to_string();
            let labels = [("kind", word(window.kind)), ("window_seconds", length.as_str())];
            let left = window.limit.saturating_sub(window.used);
            page.sample(name, &labels, if shows_used { window.used } else { left });
        }
    }
    let stopped = length(entry.stopped_for.unwrap_or_default());
    page.gauge("tradingsys_rate_stopped_seconds", "For how long the exchange wants no requests.", stopped);
    page.gauge("tradingsys_requests_in_flight", "Requests without an answer yet.", entry.requests);
    page.gauge("tradingsys_questions_waiting", "Questions that wait for the rate budget.", entry.questions);
}

fn orders(page: &mut Page, gauges: &Gauges) {
    let [orders, cancels, amends] = gauges.sent;
    let sent = [("order", orders), ("cancel", cancels), ("amend", amends)];
    page.counters("tradingsys_commands_sent_total", "Commands sent to the exchange.", "kind", sent);
    let help = "Open orders by state, those that are no session's among them.";
    let open = gauges.open.iter().map(|(state, count)| (*state, *count));
    page.gauges("tradingsys_open_orders", help, "state", open);
    let help = "Since when the oldest UNKNOWN order has been asked about; 0 without one.";
    page.gauge("tradingsys_unknown_order_age_seconds", help, length(gauges.unknown_for));
    let help = "Orders that ended in this run, by how.";
    let ended = gauges.ended.iter().map(|(state, count)| (*state, *count));
    page.counters("tradingsys_orders_ended_total", help, "state", ended);
    let help = "Calls of clients answered with an error, by its name (docs/errors.md).";
    let refused = gauges.refused.iter().map(|(name, count)| (*name, *count));
    page.counters("tradingsys_calls_refused_total", help, "error", refused);
    let help = "Fills booked in this run, those of before it that it found among them.";
    let fills = [("session", gauges.written.fills), ("external", gauges.written.fills_external)];
    page.counters("tradingsys_fills_total", help, "owner", fills);
    let help = "Numbered private events made in this run.";
    page.counter("tradingsys_events_total", help, gauges.written.events);
}

fn clients(page: &mut Page, reading: &Reading) {
    let gauges = &reading.gauges;
    page.gauge("tradingsys_sessions", "Sessions that are connected.", gauges.sessions);
    page.gauge("tradingsys_sessions_trading", "Of these, those that may trade.", gauges.sessions_trading);
    page.gauge("tradingsys_strangers", "Connections without a login.", gauges.strangers);
    let help = "Handshakes refused at the door.";
    page.counter("tradingsys_handshakes_refused_total", help, reading.handshakes_refused);
    let (private, market) = gauges.waiting;
    let help = "Frames that wait for clients to read.";
    let waiting = [("private", private), ("market_data", market)];
    page.gauges("tradingsys_client_frames_waiting", help, "kind", waiting);
    page.gauge("tradingsys_sessions_paused", "Sessions whose trading is paused.", gauges.sessions_paused);
    page.gauge("tradingsys_sessions_lost", "Sessions that count as lost.", gauges.sessions_lost);
    let help = "Orders that were to be cancelled by a stop and may still be open.";
    page.gauge("tradingsys_stop_live_orders", help, gauges.live);
    let help = "Most events that one session has not acknowledged.";
    page.gauge("tradingsys_unacknowledged_events", help, gauges.unacknowledged);
    let help = "Clients closed for reading too slowly.";
    page.counter("tradingsys_clients_too_slow_total", help, gauges.thinned.too_slow);
}

fn market_data(page: &mut Page, gauges: &Gauges) {
    let streams = &gauges.streams;
    let wanted = streams.iter().map(|(kind, gauges)| (*kind, gauges.wanted));
    page.gauges("tradingsys_streams", "Streams of market data that are wanted.", "channel", wanted);
    let stale = streams.iter().map(|(kind, gauges)| (*kind, gauges.stale));
    page.gauges("tradingsys_streams_stale", "Of these, those whose data is old.", "channel", stale);
    page.counter("tradingsys_streams_lapsed_total", "How often a stream's data became old.", gauges.stale);
    let help = "Views of a book or bar that a newer one replaced before the client read them.";
    page.counter("tradingsys_views_conflated_total", help, gauges.thinned.conflated);
    let help = "Public trades left out for clients that read too slowly.";
    page.counter("tradingsys_trades_dropped_total", help, gauges.thinned.trades);
}

fn journal(page: &mut Page, facts: &Facts, reading: &Reading) {
    let Reading { gauges, meters, .. } = reading;
    let help = "Number of the journal's last record.";
    page.gauge("tradingsys_journal_records", help, reading.journal_records);
    let size = |name: &'static str| {
        let found = std::fs::metadata(facts.db.join(name));
        found.ok().map(|meta| (name, meta.len()))
    };
    let sizes = FILES.into_iter().filter_map(size);
    page.gauges("tradingsys_store_bytes", "Sizes of the stores' files.", "file", sizes);
    page.counter("tradingsys_records_total", "Records made in this run.", gauges.written.records);
    let help = "From handing records to the journal until they are committed.";
    page.histogram("tradingsys_commit_seconds", help, &meters.commits);
    let help = "Batches of records that are not committed.";
    page.gauge("tradingsys_commits_under_way", help, gauges.batches_under_way);
    let help = "Of these, those the journal's queue has not taken: nothing is taken in meanwhile.";
    page.gauge("tradingsys_commits_held_back", help, meters.batches_waiting);
    let help = "How often the disk began to refuse the journal.";
    page.counter("tradingsys_store_failures_total", help, meters.store_failures);
    page.counter("tradingsys_inputs_total", "Inputs the gateway has taken.", meters.inputs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_labels_cannot_break_the_format() {
        let mut page = Page::default();
        page.sample("a", &[("b", "x\"y\\z\nw"), ("c", "")], 1);
        assert_eq!(page.text, "a{b=\"x\\\"y\\\\z\\nw\",c=\"\"} 1\n");
    }

    #[test]
    fn lengths_are_written_to_the_nanosecond() {
        assert_eq!(seconds(1), "0.000000001");
        assert_eq!(length(Span::from_nanos(61_000_000_001)), "61.000000001");
    }

    #[test]
    fn a_loop_that_does_not_answer_leaves_what_others_count() {
        let facts = Facts { exe: "spot", db: ".".into(), started: 1.5 };
        let text = page(&facts, None);
        assert!(text.contains("\ntradingsys_loop_answers 0\n"), "{text}");
        assert!(text.contains("\ntradingsys_log_lines_dropped_total "), "{text}");
        assert!(!text.contains("tradingsys_ready"), "{text}");
    }
}
