//! Where faults strike: requests, replies, private events, connections.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::Object;
use bytes::Bytes;
use tradingsys::time::{Span, Time};

use crate::connection::Connection;
use crate::faults::{Fault, Rule, Side, Stage, Strike, Subject};
use crate::io::{Conn, Journal, Oddity, SimOutput};
use crate::limits::{banned, refused_for_weight};
use crate::malformed::{Deformed, FRAMES, deform};
use crate::product::Product;
use crate::sim::{PrivateFrame, Sim, Task};

/// Faults that cut a connection.
const CUTS: [Fault; 3] = [Fault::ConnectionClose, Fault::ConnectionAbort, Fault::ConnectionHalfOpen];

/// What a request hears that the firewall has blocked.
const BLOCKED: &str = "Forbidden";

/// What the faults have in store for one request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// It is answered with this, and not served.
    pub(crate) unserved: Option<ErrorReply>,
    /// It is served, and answered with this.
    pub(crate) replaced: Option<ErrorReply>,
    /// Its connection is cut.
    pub(crate) cut: Option<(Fault, Stage)>,
    /// Its reply is lost.
    pub(crate) lost: bool,
    /// Its reply is late.
    pub(crate) delay: Option<Span>,
    /// It is answered from the past.
    pub(crate) lag: Span,
    /// It finds no order and no trade.
    pub(crate) finds_nothing: bool,
    /// The firewall answers it, with a page.
    pub(crate) blocked: bool,
    /// Its reply is not as it should be.
    pub(crate) deform: Option<Strike>,
}

/// How a request is held back before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is not.
    Now,
    /// It is lost.
    Never,
    /// It comes later.
    Late(Span),
}

impl Sim {
    /// Writes down what happened by itself.
    pub(crate) fn record_happening(&mut self, rule: &Rule, number: u64, what: &str) {
        let line = self.strike_line(number, rule.fault, what).raw("rule", &rule.source).end();
        self.staged.lines.push((Journal::Faults, line));
    }

    /// Writes down what could not be done.
    pub(crate) fn record_problem(&mut self, rule: &Rule, number: u64, problem: &str) {
        let line = self.strike_line(number, rule.fault, "").text("problem", problem).end();
        self.staged.lines.push((Journal::Faults, line));
    }

    fn strike_line(&self, number: u64, fault: Fault, what: &str) -> Object {
        Object::new()
            .int("time", self.venue_time().millis())
            .int("after", self.elapsed().millis())
            .int("id", number)
            .text("fault", fault.name())
            .text("at", what)
    }

    /// Writes down a strike.
    fn record_strike(&mut self, strike: &Strike, what: &str) {
        let line = self
            .strike_line(strike.number, strike.rule.fault, what)
            .text("of", &strike.of)
            .int("n", strike.n)
            .int("span_ns", strike.span.nanos())
            .raw("rule", &strike.rule.source)
            .end();
        self.staged.lines.push((Journal::Faults, line));
    }

    /// What strikes on an occasion, if anything; it is written down.
    pub(crate) fn struck(
        &mut self,
        occasion: &str,
        faults: &[Fault],
        subject: Subject<'_>,
        what: &str,
    ) -> Option<Strike> {
        let strike = self.faults.strike(self.elapsed(), occasion, faults, subject)?;
        self.record_strike(&strike, what);
        Some(strike)
    }

    /// Does a request arrive?
    pub(crate) fn arrival(&mut self, subject: Subject<'_>) -> Arrival {
        let method = subject.method.unwrap_or_default();
        match self.struck("arrival", &[Fault::RequestDrop, Fault::RequestDelay], subject, method) {
            None => Arrival::Now,
            Some(strike) if strike.rule.fault == Fault::RequestDrop => Arrival::Never,
            Some(strike) => Arrival::Late(strike.span),
        }
    }

    /// What is in store for a request that has arrived.
    pub(crate) fn plan(&mut self, now: Time, subject: Subject<'_>, peer: &str) -> Plan {
        const RATES: [Fault; 3] = [Fault::Rate429, Fault::Rate418, Fault::Rate403];
        const QUERIES: [Fault; 3] = [Fault::QueryLag, Fault::QueryStale, Fault::QueryNotFound];
        let mut plan = Plan::default();
        let product = subject.product.unwrap_or(Product::Spot);
        let method = subject.method.unwrap_or_default();
        let strike = self.struck("connection", &CUTS, subject, method);
        plan.cut = strike.map(|strike| (strike.rule.fault, strike.rule.stage));
        if let Some(Strike { rule, .. }) = self.struck("rate", &RATES, subject, method) {
            plan.unserved = Some(match rule.fault {
                Fault::Rate418 => {
                    let length = rule.ms.map_or(self.config.timing.ban, Span::from_millis);
                    self.pool(product).ban(now, peer, length);
                    banned(now, now + length)
                }
                Fault::Rate403 => {
                    plan.blocked = true;
                    ErrorReply::new(403, code::UNKNOWN, BLOCKED)
                }
                _ => refused_for_weight(now, self.pool(product).weight_limit()),
            });
        }
        if let Some(Strike { rule, .. }) = self.struck("error", &[Fault::ReplyError], subject, method) {
            let error = error_of(&rule);
            if rule.executed {
                plan.replaced = Some(error);
            } else {
                plan.unserved = Some(error);
            }
        }
        if let Some(strike) = self.struck("query", &QUERIES, subject, method) {
            match strike.rule.fault {
                Fault::QueryNotFound => plan.finds_nothing = true,
                _ => plan.lag = strike.span,
            }
        }
        plan.lost = self.struck("reply", &[Fault::ReplyDrop], subject, method).is_some();
        plan.delay = self.struck("late", &[Fault::ReplyDelay], subject, method).map(|strike| strike.span);
        plan.deform = self.struck("frame", &FRAMES, subject, method);
        plan
    }

    /// What strikes a frame of a public stream.
    pub(crate) fn strikes_stream(
        &mut self,
        occasion: &str,
        faults: &[Fault],
        stream: &str,
    ) -> Option<Strike> {
        self.struck(occasion, faults, Subject { stream: Some(stream), ..Subject::default() }, stream)
    }

    /// Cuts one connection.
    pub(crate) fn cut(&mut self, conn: Conn, fault: Fault, out: &mut Vec<SimOutput>) {
        match fault {
            Fault::ConnectionHalfOpen => self.freeze(conn, out),
            Fault::ConnectionAbort => self.abort(conn, out),
            _ => self.close(conn, 1001, "going away", out),
        }
    }

    /// Cuts all connections of a kind.
    pub(crate) fn cut_all(
        &mut self,
        fault: Fault,
        (side, product): (Option<Side>, Option<Product>),
        out: &mut Vec<SimOutput>,
    ) {
        let fits = |connection: &Connection| {
            product.is_none_or(|product| product == connection.product)
                && side.is_none_or(|side| side == connection.side())
        };
        let all: Vec<Conn> =
            self.connections.iter().filter(|(_, c)| fits(c)).map(|(conn, _)| *conn).collect();
        for conn in all {
            self.cut(conn, fault, out);
        }
    }

    /// Sends a private event, or what the faults make of it.
    pub(crate) fn send_private(&mut self, frame: PrivateFrame, out: &mut Vec<SimOutput>) {
        const EVENTS: [Fault; 4] =
            [Fault::EventDrop, Fault::EventDuplicate, Fault::EventReorder, Fault::EventDelay];
        let now = self.venue_time();
        let connection = self.connections.get(&frame.conn);
        let held = connection.and_then(|connection| connection.held_until);
        let (side, product) =
            (connection.map(Connection::side), connection.map(|connection| connection.product));
        let account = self.account_name(frame.account).to_owned();
        let (event, execution) = frame.event;
        let subject = Subject {
            event: Some(frame.event),
            account: Some(&account),
            side,
            product,
            ..Subject::default()
        };
        let what = format!("{event} {execution}");
        let deformed = self.struck("frame", &FRAMES, subject, &what);
        let fault = self.struck("event", &EVENTS, subject, &what).map(|s| (s.rule.fault, s.span));
        // Written down before a frame that tells of it is sent.
        let lines = std::mem::take(&mut self.staged.lines);
        out.extend(lines.into_iter().map(|(journal, line)| SimOutput::Append(journal, line)));
        let frame = match deformed.map(|strike| deform(&strike.rule, &frame.text)) {
            None => frame,
            Some(Deformed::Text(text)) => PrivateFrame { text, ..frame },
            Some(Deformed::Odd(oddity)) => return self.send_odd(frame.conn, frame.text, oddity, out),
        };
        match (fault, held.filter(|until| *until > now)) {
            (Some((Fault::EventDrop, _)), _) => {}
            (Some((Fault::EventReorder, after)), _) => {
                self.later(after, Task::Send(frame.conn, frame.text));
            }
            (Some((Fault::EventDelay, after)), held) => {
                let until = (now + after).max(held.unwrap_or(now));
                self.hold(frame, until, now);
            }
            (fault, Some(until)) => {
                if fault.is_some() {
                    self.hold(frame.clone(), until, now);
                }
                self.hold(frame, until, now);
            }
            (fault, None) => {
                if fault.is_some() {
                    self.send(frame.conn, frame.text.clone(), out);
                }
                self.send(frame.conn, frame.text, out);
            }
        }
    }

    /// Sends a reply, or what the faults make of it.
    pub(crate) fn reply_frame(
        &self,
        conn: Conn,
        reply: Bytes,
        strike: Option<Strike>,
    ) -> Result<Bytes, SimOutput> {
        match strike.map(|strike| deform(&strike.rule, &reply)) {
            None => Ok(reply),
            Some(Deformed::Text(text)) => Ok(text),
            Some(Deformed::Odd(oddity)) => Err(SimOutput::SendOdd(conn, reply, oddity)),
        }
    }

    /// Sends a frame in another way than as text.
    pub(crate) fn send_odd(&self, conn: Conn, text: Bytes, oddity: Oddity, out: &mut Vec<SimOutput>) {
        if self.connections.get(&conn).is_some_and(Connection::is_live) {
            out.push(SimOutput::SendOdd(conn, text, oddity));
        }
    }

    /// Keeps a private event back until a time; those after it wait behind it.
    fn hold(&mut self, frame: PrivateFrame, until: Time, now: Time) {
        if let Some(connection) = self.connections.get_mut(&frame.conn) {
            connection.held_until = Some(until);
        }
        self.later(until - now, Task::Send(frame.conn, frame.text));
    }
}

/// The error a rule asks for; the venue's words for the codes whose outcome is unknown.
fn error_of(rule: &Rule) -> ErrorReply {
    let code = rule.code.unwrap_or(code::UNKNOWN);
    let (status, words) = match code {
        code::TIMEOUT => (504, ErrorReply::timeout().message),
        code::UNEXPECTED_RESPONSE => (
            500,
            "An unexpected response was received from the message bus. Execution status unknown.".to_owned(),
        ),
        code::DISCONNECTED => {
            (500, "Internal error; unable to process your request. Please try again.".to_owned())
        }
        code::SERVER_BUSY => (
            503,
            "Server is currently overloaded with other requests. Please try again in a few minutes."
                .to_owned(),
        ),
        code::SHUTTING_DOWN => (503, "This service is no longer available.".to_owned()),
        code::NO_SUCH_ORDER => (400, "Order does not exist.".to_owned()),
        _ => (400, "An unknown error occurred while processing the request.".to_owned()),
    };
    ErrorReply::new(rule.status.unwrap_or(status), code, rule.message.clone().unwrap_or(words))
}
