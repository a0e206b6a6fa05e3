//! A gateway whose process stands still while everything else goes on: a machine that sleeps, a debugger, a signal.

use std::collections::VecDeque;

use bytes::Bytes;
use tradingsys::gateway::io::Input;
use tradingsys::ids::{ClientOrderId, LinkId};
use tradingsys::market::Stream;
use tradingsys::time::Time;

use super::{Arrival, Bench, Conn};

/// What a process finds that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All that came meanwhile; so many words of it are heard before the clock is looked at.
    Words(usize),
    /// Nothing of its links: something in between has forgotten them, and tells nobody.
    Nothing,
}

impl Bench {
    /// The gateway's process does nothing until it is let go on.
    pub(crate) fn stand_still(&mut self) {
        self.still = Some(VecDeque::new());
    }

    /// It goes on, at once and with the time that it is.
    pub(crate) fn go_on(&mut self, found: Found) {
        let mut waiting = self.still.take().expect("it stands still");
        let before_clock = match found {
            Found::Words(words) => words.min(waiting.len()),
            Found::Nothing => {
                waiting.retain(|arrival| !matches!(arrival, Arrival::Link(..) | Arrival::Pong(..)));
                0
            }
        };
        let later = waiting.split_off(before_clock);
        waiting.into_iter().for_each(|arrival| self.take_up(arrival));
        self.gateway_input(Input::Timer);
        later.into_iter().for_each(|arrival| self.take_up(arrival));
    }

    fn take_up(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Pong(..) => {
                let at = self.now + self.lag();
                self.say(at, arrival);
            }
            arrival => self.arrive(arrival),
        }
    }

    /// When the gateway wants to be called; never while it stands still.
    pub(super) fn gateway_due(&self) -> Option<Time> {
        self.gateway.deadline().filter(|_| self.still.is_none())
    }

    /// What is heard now. What is for a process that stands still waits at its doors.
    pub(super) fn heard(&mut self, arrival: Arrival) -> Option<Arrival> {
        let ours = matches!(
            arrival,
            Arrival::Link(..)
                | Arrival::Answer(..)
                | Arrival::Committed(_)
                | Arrival::Knock(_)
                | Arrival::ToGateway(..)
        );
        match &mut self.still {
            Some(waiting) if ours => waiting.push_back(arrival),
            _ => return Some(arrival),
        }
        None
    }

    /// Answered by the gateway's process, as soon as it does anything.
    pub(super) fn answer_ping(&mut self, at: Time, conn: Conn, payload: Bytes) {
        match &mut self.still {
            Some(waiting) => waiting.push_back(Arrival::Pong(conn, payload)),
            None => self.say(at, Arrival::Pong(conn, payload)),
        }
    }

    /// Its connections to the exchange, as it knows them.
    pub(crate) fn links(&self) -> Vec<LinkId> {
        self.wires.keys().copied().collect()
    }

    /// The strategy takes a stream.
    pub(crate) fn subscribe(&mut self, stream: Stream) {
        let mut out = Vec::new();
        let asked = self.client.subscribe(stream, &mut out);
        assert!(asked.is_ok(), "seed {}: {asked:?}", self.seed);
        self.perform_client(out);
    }

    /// The strategy cancels an order.
    pub(crate) fn cancel(&mut self, id: &str) {
        let mut out = Vec::new();
        let asked = self.client.cancel(ClientOrderId::foreign(id), &mut out);
        assert!(asked.is_ok(), "seed {}: {asked:?}", self.seed);
        self.perform_client(out);
    }
}
