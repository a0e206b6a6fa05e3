//! Connections: opening, pings, frame counts, and every way they end.

use binance_wire::render::{Object, TimeUnit};
use bytes::Bytes;
use tradingsys::time::Time;

use crate::connection::{Connection, Kind, Session, Streams};
use crate::faults::{Fault, Side, Subject};
use crate::io::{Conn, HttpRequest, SimOutput};
use crate::sim::{Sim, Task};
use crate::streams::{Kind as Stream, StreamName, names_of_path};

impl Sim {
    pub(crate) fn opened(&mut self, now: Time, conn: Conn, request: &HttpRequest, out: &mut Vec<SimOutput>) {
        let path = request.path.trim_end_matches('/');
        let api = path == "/ws-api/v3";
        if !api && !path.starts_with("/ws") && !path.starts_with("/stream") {
            return out.push(SimOutput::Refuse(conn, 404));
        }
        let side = if api { Side::Api } else { Side::Streams };
        let subject = Subject { side: Some(side), ..Subject::default() };
        if let Some((number, rule)) = self.faults.strike(now, &[Fault::ConnectionRefuse], subject) {
            self.record_fault(now, number, Fault::ConnectionRefuse, "");
            self.flush(None, out);
            return out.push(SimOutput::Refuse(conn, rule.status.unwrap_or(503)));
        }
        if !self.rates.connect(now, &request.peer) {
            return out.push(SimOutput::Refuse(conn, 429));
        }
        let Some(unit) = unit_of_query(&request.query) else {
            return out.push(SimOutput::Refuse(conn, 400));
        };
        let kind = if api {
            let quiet = request.query.split('&').any(|pair| pair == "returnRateLimits=false");
            Kind::Api(Session { return_limits: !quiet, ..Session::default() })
        } else {
            Kind::Streams(Streams::default())
        };
        self.connections.insert(conn, Connection::new(kind, unit, request.peer.clone(), now));
        if !api {
            let (combined, names) = names_of_path(path, &request.query);
            self.set_combined(conn, combined);
            self.subscribe(conn, &names);
        }
        let timing = self.config.timing;
        self.later(timing.ping, Task::Ping(conn));
        self.later(timing.life, Task::LifeOver(conn));
    }

    pub(crate) fn text(&mut self, now: Time, conn: Conn, text: String, out: &mut Vec<SimOutput>) {
        if !self.count_frame(now, conn, out) {
            return;
        }
        match self.connections.get(&conn).map(|connection| &connection.kind) {
            Some(Kind::Api(_)) => self.api_arrival(now, conn, text, out),
            Some(Kind::Streams(_)) => self.stream_frame(conn, &text, out),
            None => {}
        }
    }

    /// Counts a frame; false if the connection hears nothing (any more).
    pub(crate) fn count_frame(&mut self, now: Time, conn: Conn, out: &mut Vec<SimOutput>) -> bool {
        let most = self.config.limits.stream_frames_per_second;
        let Some(connection) = self.connections.get_mut(&conn) else { return false };
        if !connection.is_live() {
            return false;
        }
        if connection.count_frame(now) > most && matches!(connection.kind, Kind::Streams(_)) {
            self.close(conn, 1008, "Too many requests", out);
            return false;
        }
        true
    }

    pub(crate) fn ping(&mut self, now: Time, conn: Conn, out: &mut Vec<SimOutput>) {
        let timing = self.config.timing;
        let Some(connection) = self.connections.get_mut(&conn).filter(|c| !c.closing) else { return };
        let payload = Bytes::from(now.millis().to_string());
        let first = connection.ping.is_none();
        if first {
            connection.ping = Some((payload.clone(), now));
        }
        if !connection.frozen {
            out.push(SimOutput::Ping(conn, payload));
        }
        if first {
            self.later(timing.pong, Task::PongDue(conn, now));
        }
        self.later(timing.ping, Task::Ping(conn));
    }

    /// A pong. It answers a ping if its payload is that of the first open ping or of a later one; any other
    /// is allowed, answers nothing, and counts as a frame.
    pub(crate) fn pong(&mut self, now: Time, conn: Conn, payload: &Bytes, out: &mut Vec<SimOutput>) {
        let connection = self.connections.get_mut(&conn).filter(|connection| connection.is_live());
        let sent = std::str::from_utf8(payload).ok().and_then(|text| text.parse::<i64>().ok());
        if let (Some(connection), Some(sent)) = (connection, sent)
            && connection.ping.as_ref().is_some_and(|(_, open)| sent >= open.millis())
        {
            connection.ping = None;
            return;
        }
        self.count_frame(now, conn, out);
    }

    pub(crate) fn pong_due(&mut self, conn: Conn, sent: Time, out: &mut Vec<SimOutput>) {
        let open = self.connections.get(&conn).and_then(|c| c.ping.as_ref()).map(|(_, sent)| *sent);
        if open == Some(sent) {
            self.close(conn, 1008, "Pong timeout", out);
        }
    }

    /// Closes a connection; nothing more is sent on it.
    pub(crate) fn close(&mut self, conn: Conn, code: u16, why: &'static str, out: &mut Vec<SimOutput>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !std::mem::replace(&mut connection.closing, true) {
            let end =
                if connection.frozen { SimOutput::Abort(conn) } else { SimOutput::Close(conn, code, why) };
            out.push(end);
        }
    }

    /// Cuts a connection without a word.
    pub(crate) fn abort(&mut self, conn: Conn, out: &mut Vec<SimOutput>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !std::mem::replace(&mut connection.closing, true) {
            out.push(SimOutput::Abort(conn));
        }
    }

    /// Lets a connection fall silent: what it sends is not read, nothing is sent to it.
    pub(crate) fn freeze(&mut self, conn: Conn, out: &mut Vec<SimOutput>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.is_live() {
            connection.frozen = true;
            out.push(SimOutput::Freeze(conn));
        }
    }

    pub(crate) fn forget(&mut self, conn: Conn) {
        if let Some(Connection { kind: Kind::Streams(streams), .. }) = self.connections.remove(&conn) {
            for name in streams.names.into_values().flatten() {
                self.unlisten(name, conn);
            }
        }
    }

    /// No longer sends a stream to a connection; a diff nobody listens to is not gathered.
    pub(crate) fn unlisten(&mut self, name: StreamName, conn: Conn) {
        self.listeners.remove(name, conn);
        if let StreamName::Of(place, Stream::DepthDiff { fast }) = name
            && !self.listeners.any(name)
        {
            self.markets[usize::from(place)].data.diffs[usize::from(fast)] = None;
        }
    }

    /// The venue is about to shut down: everybody is told; after the notice every connection ends.
    pub(crate) fn announce_shutdown(
        &mut self,
        now: Time,
        notice: tradingsys::time::Span,
        out: &mut Vec<SimOutput>,
    ) {
        let mut frames = Vec::new();
        for (conn, connection) in &self.connections {
            let event = Object::new().text("e", "serverShutdown").int("E", connection.unit.of(now)).end();
            let text = match &connection.kind {
                Kind::Api(_) => Object::new().raw("event", &event).end(),
                Kind::Streams(streams) if streams.combined => {
                    Object::new().text("stream", "!serverShutdown").raw("data", &event).end()
                }
                Kind::Streams(_) => event,
            };
            frames.push((*conn, Bytes::from(text)));
        }
        for (conn, text) in frames {
            self.send(conn, text, out);
        }
        self.later(notice, Task::Down(now));
    }

    /// The notice is over. Those that connected after it was given are the new server's.
    pub(crate) fn down(&mut self, announced: Time, out: &mut Vec<SimOutput>) {
        let old: Vec<Conn> =
            self.connections.iter().filter(|(_, c)| c.since <= announced).map(|(conn, _)| *conn).collect();
        for conn in old {
            self.close(conn, 1001, "server shutdown", out);
        }
    }
}

/// `timeUnit` of a query; `None` for one that does not exist.
fn unit_of_query(query: &str) -> Option<TimeUnit> {
    match query.split('&').find_map(|pair| pair.strip_prefix("timeUnit=")) {
        None => Some(TimeUnit::Millis),
        Some(word) => TimeUnit::from_word(word),
    }
}
