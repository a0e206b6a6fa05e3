//! What is on its way, and when it arrives.

use std::collections::BTreeMap;

use binance_sim::{Conn, HttpReply, HttpRequest, Request};
use bytes::Bytes;
use tradingsys::gateway::io::Projection;
use tradingsys::ids::{ConnId, LinkId};
use tradingsys::time::Time;

use crate::trouble::Blow;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// A websocket handshake of the gateway reaches the exchange.
    Dial(LinkId, Conn, HttpRequest),
    /// An HTTP request of the gateway reaches the exchange.
    Ask(Request, HttpRequest),
    /// Its answer reaches the gateway.
    Answer(LinkId, HttpReply),
    /// The gateway learns that a request will have no answer.
    NoAnswer(LinkId, &'static str),
    /// A frame reaches the exchange.
    ToExchange(Conn, String),
    /// A pong reaches the exchange.
    Pong(Conn, Bytes),
    /// The exchange learns that a connection is gone.
    ExchangeLost(Conn),
    /// A link of the gateway is open.
    LinkUp(LinkId),
    /// A frame reaches the gateway.
    ToGateway(LinkId, Bytes),
    /// A sign of life reaches the gateway.
    LinkAlive(LinkId),
    /// The gateway learns that a link is gone.
    LinkLost(LinkId, &'static str),
    /// The disk has a batch.
    Committed(u64),
    /// A strategy's connection reaches the gateway.
    Knock(usize, ConnId),
    /// A strategy's frame reaches the gateway.
    FromStrategy(ConnId, String),
    /// The gateway learns that a strategy's connection is gone.
    StrategyGone(ConnId),
    /// A frame reaches a strategy.
    ToStrategy(usize, ConnId, Bytes),
    /// A strategy learns that its connection is gone.
    StrategyLost(usize, ConnId, Option<u16>),
    /// A strategy's connection is open.
    StrategyIn(usize, ConnId),
    /// A strategy does something.
    Act(usize),
    /// A program in a strategy's place connects.
    Call(usize),
    /// A strategy's process starts.
    StartStrategy(usize),
    /// The gateway's process starts.
    StartGateway,
    /// A second has passed: faults are drawn.
    Second,
    /// The exchange ends a position.
    ForceEnd,
    /// The market moves.
    Sweep,
    /// Something that lay in wait strikes.
    Blow(Blow),
    /// Rows reach `pos.db`.
    Shown(Projection),
}

/// All that is on its way, in order of time; ties in order of sending. Arrivals of a killed gateway die with its
/// number.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    next: u64,
    waiting: BTreeMap<(Time, u64), (u32, Arrival)>,
}

impl Mail {
    /// Sends something that arrives at `at`, to or from the given run of the gateway.
    pub(crate) fn send(&mut self, at: Time, run: u32, arrival: Arrival) {
        self.next += 1;
        self.waiting.insert((at, self.next), (run, arrival));
    }

    /// When the first arrives.
    pub(crate) fn first(&self) -> Option<Time> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Takes the first.
    pub(crate) fn take(&mut self) -> Option<(Time, u32, Arrival)> {
        self.waiting.pop_first().map(|((at, _), (run, arrival))| (at, run, arrival))
    }
}

/// One connection between gateway and exchange.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) conn: Conn,
    /// Nothing overtakes: the last arrival on each way.
    pub(crate) out: Time,
    pub(crate) back: Time,
    /// Half open: everything sent vanishes.
    pub(crate) frozen: bool,
    /// Private frames held back.
    pub(crate) held: Option<Bytes>,
    /// When it was dialled, and where to.
    pub(crate) opened: Time,
    pub(crate) path: String,
}
