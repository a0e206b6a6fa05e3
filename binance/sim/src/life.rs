//! Connections: opening, pings, frame counts, and every way they end.

use binance_wire::render::{Object, TimeUnit};
use bytes::Bytes;
use tradingsys::time::Time;

use crate::connection::{Connection, Kind, Session, Streams};
use crate::faults::{Fault, Side, Subject};
use crate::io::{Conn, HttpRequest, SimOutput};
use crate::product::{Door, Product, Route};
use crate::sim::{Sim, Task};
use crate::streams::{StreamName, names_of_path};

impl Sim {
    pub(crate) fn opened(&mut self, now: Time, conn: Conn, request: &HttpRequest, out: &mut Vec<SimOutput>) {
        let Some((door, path)) = Door::of_path(request.path.trim_end_matches('/')) else {
            return out.push(SimOutput::Refuse(conn, 404));
        };
        let product = door.product();
        let side = if matches!(door, Door::Api(_)) { Side::Api } else { Side::Streams };
        let subject = Subject { side: Some(side), product: Some(product), ..Subject::default() };
        if let Some(strike) = self.struck("door", &[Fault::ConnectionRefuse], subject, path) {
            self.flush(None, out);
            return out.push(SimOutput::Refuse(conn, strike.rule.status.unwrap_or(503)));
        }
        if !self.pool(product).connect(now, &request.peer) {
            return out.push(SimOutput::Refuse(conn, 429));
        }
        let refused = (door == Door::Streams(Route::Sbe)).then(|| self.keys.sbe_refusal(request)).flatten();
        if let Some(status) = refused {
            return out.push(SimOutput::Refuse(conn, status));
        }
        let Some(unit) = unit_of_query(product, &request.query) else {
            return out.push(SimOutput::Refuse(conn, 400));
        };
        let kind = match door {
            Door::Api(_) => {
                let quiet = request.query.split('&').any(|pair| pair == "returnRateLimits=false");
                Kind::Api(Session { return_limits: !quiet, ..Session::default() })
            }
            Door::Streams(route) => Kind::Streams(Streams::by(route)),
        };
        self.connections.insert(conn, Connection::new(kind, product, unit, request.peer.clone(), now));
        if side == Side::Streams {
            let (combined, names) = names_of_path(path, &request.query);
            self.set_combined(conn, combined);
            self.subscribe(conn, &names);
            self.listen_by_query(conn, &request.query);
        }
        let timing = self.config.timing;
        self.later(product.pings(&timing).0, Task::Ping(conn));
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
        let limits = self.config.limits;
        let Some(connection) = self.connections.get_mut(&conn) else { return false };
        let most = match connection.product {
            Product::Spot | Product::Margin => limits.stream_frames_per_second,
            Product::Futures => limits.futures.stream_frames_per_second,
        };
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
        let (between, within) = connection.product.pings(&timing);
        let first = connection.ping.is_none();
        if first {
            connection.ping = Some((payload.clone(), now));
        }
        if !connection.frozen {
            out.push(SimOutput::Ping(conn, payload));
        }
        if first {
            self.later(within, Task::PongDue(conn, now));
        }
        self.later(between, Task::Ping(conn));
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
        if !self.listeners.any(name)
            && let Some(diff) = self.diff_of(name)
        {
            *diff = None;
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
        // Futures have no such event.
        for (conn, connection) in self.connections.iter().filter(|(_, c)| c.product == Product::Spot) {
            let event = Object::new().text("e", "serverShutdown").int("E", connection.unit.of(now)).end();
            let text = match &connection.kind {
                Kind::Api(_) => Object::new().raw("event", &event).end(),
                // The host that speaks binary wraps nothing.
                Kind::Streams(streams) if streams.combined && streams.route != Route::Sbe => {
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
fn unit_of_query(product: Product, query: &str) -> Option<TimeUnit> {
    match query.split('&').find_map(|pair| pair.strip_prefix("timeUnit=")) {
        None => Some(TimeUnit::Millis),
        Some(_) if product == Product::Futures => Some(TimeUnit::Millis),
        Some(word) => TimeUnit::from_word(word),
    }
}
