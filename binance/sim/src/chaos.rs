//! Where faults strike: requests, replies, private events, connections.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::Object;
use tradingsys::time::{Span, Time};

use crate::connection::Connection;
use crate::faults::{Fault, Rule, Side, Stage, Subject};
use crate::io::{Conn, Journal, SimOutput};
use crate::limits::{banned, refused_for_weight};
use crate::product::Product;
use crate::sim::{PrivateFrame, Sim, Task};

/// Faults that cut a connection.
const CUTS: [Fault; 3] = [Fault::ConnectionClose, Fault::ConnectionAbort, Fault::ConnectionHalfOpen];

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
    /// Writes down a strike.
    pub(crate) fn record_fault(&mut self, now: Time, number: u64, fault: Fault, what: &str) {
        let line = Object::new()
            .int("time", now.millis())
            .int("id", number)
            .text("fault", fault.name())
            .text("at", what)
            .end();
        self.staged.lines.push((Journal::Faults, line));
    }

    fn struck(&mut self, now: Time, faults: &[Fault], subject: Subject<'_>) -> Option<Rule> {
        let (number, rule) = self.faults.strike(now, faults, subject)?;
        self.record_fault(now, number, rule.fault, subject.method.unwrap_or_default());
        Some(rule)
    }

    /// Does a request arrive?
    pub(crate) fn arrival(&mut self, now: Time, subject: Subject<'_>) -> Arrival {
        match self.struck(now, &[Fault::RequestDrop, Fault::RequestDelay], subject) {
            None => Arrival::Now,
            Some(rule) if rule.fault == Fault::RequestDrop => Arrival::Never,
            Some(rule) => Arrival::Late(rule.span()),
        }
    }

    /// What is in store for a request that has arrived.
    pub(crate) fn plan(&mut self, now: Time, subject: Subject<'_>, peer: &str) -> Plan {
        let mut plan = Plan::default();
        let product = subject.product.unwrap_or(Product::Spot);
        if self.faults.is_empty() {
            return plan;
        }
        plan.cut = self.struck(now, &CUTS, subject).map(|rule| (rule.fault, rule.stage));
        if let Some(rule) = self.struck(now, &[Fault::Rate429, Fault::Rate418], subject) {
            plan.unserved = Some(if rule.fault == Fault::Rate418 {
                let length = rule.ms.map_or(self.config.timing.ban, Span::from_millis);
                self.pool(product).ban(now, peer, length);
                banned(now, now + length)
            } else {
                refused_for_weight(now, self.pool(product).weight_limit())
            });
        }
        if let Some(rule) = self.struck(now, &[Fault::ReplyError], subject) {
            let error = error_of(&rule);
            if rule.executed {
                plan.replaced = Some(error);
            } else {
                plan.unserved = Some(error);
            }
        }
        if let Some(rule) = self.struck(now, &[Fault::QueryLag], subject) {
            plan.lag = rule.span();
        }
        plan.lost = self.struck(now, &[Fault::ReplyDrop], subject).is_some();
        plan.delay = self.struck(now, &[Fault::ReplyDelay], subject).map(|rule| rule.span());
        plan
    }

    /// Does a fault strike a frame of a public stream?
    pub(crate) fn strikes_stream(&mut self, fault: Fault, stream: &str) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let (now, subject) = (self.venue_time(), Subject { stream: Some(stream), ..Subject::default() });
        let struck = self.faults.strike(now, &[fault], subject);
        if let Some((number, rule)) = &struck {
            self.record_fault(now, *number, rule.fault, stream);
        }
        struck.is_some()
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
        let struck = if self.faults.is_empty() {
            None
        } else {
            let account = self.account_name(frame.account).to_owned();
            let subject = Subject {
                event: Some(frame.event),
                account: Some(&account),
                side: connection.map(Connection::side),
                product: connection.map(|connection| connection.product),
                ..Subject::default()
            };
            self.faults.strike(now, &EVENTS, subject)
        };
        let fault = struck.as_ref().map(|(number, rule)| {
            self.append_strike(now, *number, rule.fault, frame.event, out);
            (rule.fault, rule.span())
        });
        match (fault, held.filter(|until| *until > now)) {
            (Some((Fault::EventDrop, _)), _) => {}
            (Some((Fault::EventReorder, most)), _) => {
                let after = Span::from_nanos(1 + self.faults.draw(most.nanos()));
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

    /// Keeps a private event back until a time; those after it wait behind it.
    fn hold(&mut self, frame: PrivateFrame, until: Time, now: Time) {
        if let Some(connection) = self.connections.get_mut(&frame.conn) {
            connection.held_until = Some(until);
        }
        self.later(until - now, Task::Send(frame.conn, frame.text));
    }

    fn append_strike(
        &mut self,
        now: Time,
        number: u64,
        fault: Fault,
        (event, execution): (&str, &str),
        out: &mut Vec<SimOutput>,
    ) {
        self.record_fault(now, number, fault, &format!("{event} {execution}"));
        let lines = std::mem::take(&mut self.staged.lines);
        out.extend(lines.into_iter().map(|(journal, line)| SimOutput::Append(journal, line)));
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
        code::NO_SUCH_ORDER => (400, "Order does not exist.".to_owned()),
        _ => (400, "An unknown error occurred while processing the request.".to_owned()),
    };
    ErrorReply::new(rule.status.unwrap_or(status), code, rule.message.clone().unwrap_or(words))
}
