//! Connections: what the machine knows of each.
//!
//! ```text
//!  Opened ──▶ open ──(no pong in time, life over, too many frames, fault)──▶ closing ──Closed──▶ forgotten
//!              │ fault: half open
//!              └──▶ frozen: takes nothing in, sends nothing, until Closed
//! ```
//!
//! An *API* connection has a session: anonymous, or logged on with one key; beside it any number of private
//! subscriptions, at most one per account. A *stream* connection has a set of streams and the `combined`
//! property; those of futures came by a route, and may listen to accounts by their listen keys.

use std::collections::{BTreeMap, BTreeSet};

use binance_wire::render::TimeUnit;
use bytes::Bytes;
use tradingsys::exchange::AccountId;
use tradingsys::time::Time;

use crate::faults::Side;
use crate::product::{Product, Route};
use crate::streams::StreamName;

/// One open websocket.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What it serves.
    pub(crate) kind: Kind,
    /// Of which product.
    pub(crate) product: Product,
    /// In which unit its times are.
    pub(crate) unit: TimeUnit,
    /// Address of the peer.
    pub(crate) peer: String,
    /// When it was opened.
    pub(crate) since: Time,
    /// The ping not yet answered: payload and when it was sent.
    pub(crate) ping: Option<(Bytes, Time)>,
    /// It is half open: silent in both directions.
    pub(crate) frozen: bool,
    /// It is being closed: nothing more is sent.
    pub(crate) closing: bool,
    /// Private events are held back until then, in order.
    pub(crate) held_until: Option<Time>,
    /// The running second, and frames received in it.
    pub(crate) frames: (i64, u32),
}

/// What a connection serves.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The websocket API.
    Api(Session),
    /// Market data streams.
    Streams(Streams),
}

/// The session of an API connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Logged on with this key, since when.
    pub(crate) logon: Option<Logon>,
    /// `rateLimits` on replies unless a request says otherwise.
    pub(crate) return_limits: bool,
    /// Private subscriptions by number.
    pub(crate) subscriptions: BTreeMap<u32, Subscription>,
    /// Number of the next one.
    pub(crate) next_subscription: u32,
}

/// A key that is logged on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logon {
    /// Position of the key.
    pub(crate) key: KeyIndex,
    /// Since when.
    pub(crate) since: Time,
}

/// A key's place in the list of keys.
pub(crate) type KeyIndex = usize;

/// One private subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Whose events.
    pub(crate) account: AccountId,
    /// By plain subscribe: it ends with the logon.
    pub(crate) of_logon: bool,
    /// By a token: it ends then.
    pub(crate) until: Option<Time>,
}

/// Subscriptions of a stream connection.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Payloads are wrapped in `{"stream":…,"data":…}`.
    pub(crate) combined: bool,
    /// Names as subscribed, those nobody knows included.
    pub(crate) names: BTreeMap<String, Option<StreamName>>,
    /// By which way it came.
    pub(crate) route: Route,
    /// Listen keys, and which events of each are wanted; `None` wants all.
    pub(crate) listen_keys: BTreeMap<String, Option<Vec<String>>>,
}

impl Streams {
    /// No streams yet.
    pub(crate) fn by(route: Route) -> Self {
        Self { combined: false, names: BTreeMap::new(), route, listen_keys: BTreeMap::new() }
    }
}

impl Connection {
    /// A connection just opened.
    pub(crate) fn new(kind: Kind, product: Product, unit: TimeUnit, peer: String, since: Time) -> Self {
        Self {
            kind,
            product,
            unit,
            peer,
            since,
            ping: None,
            frozen: false,
            closing: false,
            held_until: None,
            frames: (0, 0),
        }
    }

    /// Counts a frame of a client; its number within the running second.
    pub(crate) fn count_frame(&mut self, now: Time) -> u32 {
        let second = now.millis().div_euclid(1_000);
        if self.frames.0 != second {
            self.frames = (second, 0);
        }
        self.frames.1 += 1;
        self.frames.1
    }

    /// Its API session, if it has one.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.kind {
            Kind::Api(session) => Some(session),
            Kind::Streams(_) => None,
        }
    }

    /// Its API session to be changed.
    pub(crate) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.kind {
            Kind::Api(session) => Some(session),
            Kind::Streams(_) => None,
        }
    }

    /// On which side it is, as faults tell them apart.
    pub(crate) fn side(&self) -> Side {
        match &self.kind {
            Kind::Api(_) => Side::Api,
            Kind::Streams(_) => Side::Streams,
        }
    }

    /// Does it hear anything?
    pub(crate) fn is_live(&self) -> bool {
        !self.frozen && !self.closing
    }
}

/// Who listens to which stream.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    by_name: BTreeMap<StreamName, BTreeSet<crate::io::Conn>>,
}

impl Listeners {
    /// From now on this connection listens.
    pub(crate) fn add(&mut self, name: StreamName, conn: crate::io::Conn) {
        self.by_name.entry(name).or_default().insert(conn);
    }
    /// No longer.
    pub(crate) fn remove(&mut self, name: StreamName, conn: crate::io::Conn) {
        if let Some(conns) = self.by_name.get_mut(&name) {
            conns.remove(&conn);
            if conns.is_empty() {
                self.by_name.remove(&name);
            }
        }
    }
    /// All that listen to a stream.
    pub(crate) fn of(&self, name: StreamName) -> impl Iterator<Item = crate::io::Conn> + '_ {
        self.by_name.get(&name).into_iter().flatten().copied()
    }
    /// All streams that somebody listens to.
    pub(crate) fn names(&self) -> impl Iterator<Item = &StreamName> {
        self.by_name.keys()
    }
    /// Does anybody?
    pub(crate) fn any(&self, name: StreamName) -> bool {
        self.by_name.contains_key(&name)
    }
}
