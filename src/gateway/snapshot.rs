//! What of a journal a start needs: fewer records whose fold is the same.
//!
//! [`Snapshot`] takes the records of a journal from the first one on and leaves those that a later one has not made
//! void. They stay in their order, so there is no second form of the state and nothing that reads records has to know
//! of it. What is made void, and by what:
//!
//! * a state of an order, by a later one of the same run that says all it said. (Not by one of a later run: whether an
//!   order was open at a start is what an absence is judged by.)
//! * a cursor of a symbol, a debt of an asset, a funding of a key, limits of the operator: by the next of the same.
//! * an event: by an acknowledgement and its age, or by too many newer ones. The newest of a session stays, so that
//!   numbers go on. Of a generation that is over only that stays, and only if it was never acknowledged: the session
//!   has to be told that events are lost.
//! * an acknowledgement, by a later one of its session and generation; an answer, by so many newer ones that the
//!   session would forget it.
//! * the end of a run, by what follows it. When a gateway was last alive is what its next start asks: where that was
//!   known by a record left out, an end of that time takes its place before the start.
//!
//! Whatever else there is stays: orders, fills, money, edits, starts. The last record stays whatever it is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::Gateway;
use super::absence::sign_of_life;
use crate::ids::{Asset, ClientOrderId, CommandNumber, SessionId, Symbol, VenueOrderId};
use crate::journal::{ChargeKind, FillRecord, OrderStateRecord, Record, event_time};
use crate::num::Qty;
use crate::session::{ANSWERS_MAX, EVENTS_MAX, Session};
use crate::time::{Span, Time};

/// A record that is left, by what the caller knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<T> {
    /// One of those taken.
    Taken(T),
    /// In place of some that were left out: the gateway was alive then. It is a [`Record::End`].
    Alive(Time),
}

/// See the module.
#[derive(Debug)]
pub struct Snapshot<T> {
    now: Time,
    keep: Span,
    kept: BTreeMap<u64, Kept<T>>,
    next: u64,
    /// The last record, if it is void.
    last: Option<T>,
    generation: u64,
    run: u32,
    stands: BTreeMap<ClientOrderId, Stand>,
    newest: BTreeMap<Key, u64>,
    seats: BTreeMap<SessionId, Seat>,
    /// When a gateway was last alive: by all records, by all before the last, and by those that stay for certain.
    alive: Option<Time>,
    alive_before: Option<Time>,
    alive_kept: Option<Time>,
}

/// What only the newest record of counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Cursor(Symbol),
    Debt(Asset),
    Funding(Symbol, ChargeKind, Time),
    Limits,
}

/// An order as its newest state has it, as far as a later one may leave that unsaid.
#[derive(Debug, Default)]
struct Stand {
    /// Place of that state, and in which run it was.
    state: Option<(u64, u32)>,
    /// What it said itself.
    said: (Option<VenueOrderId>, Option<u64>),
    /// Did it say by which id it is known, its quantity, its price?
    says: [bool; 3],
    filled: Qty,
    /// The order's numbers with it.
    number: Option<VenueOrderId>,
    conditional: Option<u64>,
    /// A fill since bears another number.
    other_number: bool,
}

/// What of a session's records is left.
#[derive(Debug, Default)]
struct Seat {
    /// Events of this generation that are kept: number, place, time.
    events: VecDeque<(u64, u64, Option<Time>)>,
    last: u64,
    /// The newest acknowledgement of this generation.
    acked: u64,
    ack: Option<u64>,
    answers: BTreeMap<(u32, CommandNumber), u64>,
}

impl<T> Snapshot<T> {
    /// A snapshot made at that time, where acknowledged events are kept for so long.
    pub fn new(now: Time, keep: Span) -> Self {
        Self {
            now,
            keep,
            kept: BTreeMap::new(),
            next: 0,
            last: None,
            generation: 0,
            run: 0,
            stands: BTreeMap::new(),
            newest: BTreeMap::new(),
            seats: BTreeMap::new(),
            alive: None,
            alive_before: None,
            alive_kept: None,
        }
    }

    /// Takes the next record; `name` is what the caller knows it by.
    pub fn take(&mut self, record: &Record, name: T) {
        if matches!(record, Record::Start(_)) {
            self.keep_alive(self.alive);
            self.run += 1;
        }
        let sign = sign_of_life(record);
        self.alive_before = self.alive;
        self.alive = self.alive.max(sign);
        self.last = None;
        if !self.stays(self.next + 1, record) {
            self.last = Some(name);
            return;
        }
        if matches!(record, Record::Start(_) | Record::Order(_) | Record::Fill(_)) {
            self.alive_kept = self.alive_kept.max(sign);
        }
        self.next += 1;
        self.kept.insert(self.next, Kept::Taken(name));
    }

    /// What is left, in order.
    pub fn finish(mut self) -> Vec<Kept<T>> {
        for session in self.seats.keys().copied().collect::<Vec<_>>() {
            self.prune(session);
        }
        let last = match self.last.take() {
            Some(name) => Some(Kept::Taken(name)),
            None => self.kept.pop_last().map(|(_, kept)| kept),
        };
        self.keep_alive(self.alive_before);
        self.kept.into_values().chain(last).collect()
    }

    /// Is it, as of now, of any use? It makes void what it replaces.
    fn stays(&mut self, at: u64, record: &Record) -> bool {
        match record {
            Record::Generation { generation, .. } => self.end_generation(*generation),
            Record::Order(order) => drop(self.stands.insert(order.id.clone(), Stand::default())),
            Record::OrderState(state) => self.order_state(at, state),
            Record::Fill(fill) => self.fill(fill),
            Record::Funding(funding) => {
                self.replace(at, Key::Funding(funding.symbol.clone(), funding.charge, funding.time));
            }
            Record::Debt(debt) => self.replace(at, Key::Debt(debt.asset.clone())),
            Record::Limits(_) => self.replace(at, Key::Limits),
            Record::Cursor { symbol, .. } => self.replace(at, Key::Cursor(symbol.clone())),
            Record::Event { session, sequence, frame, .. } => {
                self.event(at, *session, *sequence, event_time(frame));
            }
            Record::Answer { session, epoch, command, .. } => {
                return self.answer(at, *session, (*epoch, *command));
            }
            Record::Ack { session, generation, sequence, .. } => {
                return *generation == self.generation && self.ack(at, *session, *sequence);
            }
            Record::End { .. } => return false,
            Record::Start(_)
            | Record::Listing { .. }
            | Record::Scanned { .. }
            | Record::Cash(_)
            | Record::Adjust(_)
            | Record::Charge(_)
            | Record::Allocation(_)
            | Record::Trusted { .. } => {}
        }
        true
    }

    fn order_state(&mut self, at: u64, state: &OrderStateRecord) {
        let stand = self.stands.entry(state.id.clone()).or_default();
        let next = stand.then(state, (at, self.run));
        if let Some((before, run)) = stand.state
            && run == self.run
            && stand.is_said_by(&next)
        {
            self.kept.remove(&before);
        }
        *stand = next;
    }

    fn fill(&mut self, fill: &FillRecord) {
        let Some(id) = &fill.order else { return };
        let stand = self.stands.entry(id.clone()).or_default();
        stand.other_number |= stand.number.is_some_and(|number| number != fill.venue_id);
        stand.number = stand.number.or(Some(fill.venue_id));
    }

    fn replace(&mut self, at: u64, key: Key) {
        if let Some(before) = self.newest.insert(key, at) {
            self.kept.remove(&before);
        }
    }

    fn event(&mut self, at: u64, session: SessionId, sequence: u64, time: Option<Time>) {
        let seat = self.seats.entry(session).or_default();
        if sequence > seat.last + 1 {
            seat.events.drain(..).for_each(|(_, place, _)| drop(self.kept.remove(&place)));
        }
        seat.last = sequence;
        seat.events.push_back((sequence, at, time));
        if seat.events.len() > EVENTS_MAX
            && let Some((_, place, _)) = seat.events.pop_front()
        {
            self.kept.remove(&place);
        }
    }

    fn answer(&mut self, at: u64, session: SessionId, command: (u32, CommandNumber)) -> bool {
        let answers = &mut self.seats.entry(session).or_default().answers;
        let before = answers.insert(command, at);
        let over = answers.len() > ANSWERS_MAX;
        let oldest = if over { answers.pop_first().map(|(_, place)| place) } else { None };
        for place in before.into_iter().chain(oldest) {
            self.kept.remove(&place);
        }
        oldest != Some(at)
    }

    fn ack(&mut self, at: u64, session: SessionId, sequence: u64) -> bool {
        let seat = self.seats.entry(session).or_default();
        if seat.ack.is_some() && sequence <= seat.acked {
            return false;
        }
        seat.acked = sequence;
        if let Some(before) = seat.ack.replace(at) {
            self.kept.remove(&before);
        }
        self.prune(session);
        true
    }

    /// Leaves out acknowledged events that are old, but for the newest.
    fn prune(&mut self, session: SessionId) {
        let Some(seat) = self.seats.get_mut(&session) else { return };
        let old = |time: Option<Time>| time.is_some_and(|time| self.now.since(time) > self.keep);
        while seat.events.len() > 1
            && let Some((sequence, place, time)) = seat.events.front().copied()
            && sequence <= seat.acked
            && old(time)
        {
            seat.events.pop_front();
            self.kept.remove(&place);
        }
    }

    /// Numbering began anew: of the events before, only that some were not acknowledged counts.
    fn end_generation(&mut self, next: u64) {
        self.generation = next;
        for seat in self.seats.values_mut() {
            let lost = seat.last > seat.acked;
            let kept = usize::from(lost).min(seat.events.len());
            let gone = seat.events.len() - kept;
            seat.events.drain(..gone).for_each(|(_, place, _)| drop(self.kept.remove(&place)));
            seat.events.clear();
            (seat.last, seat.acked, seat.ack) = (0, 0, None);
        }
    }

    fn keep_alive(&mut self, alive: Option<Time>) {
        if let Some(time) = alive.filter(|time| self.alive_kept < Some(*time)) {
            self.alive_kept = alive;
            self.next += 1;
            self.kept.insert(self.next, Kept::Alive(time));
        }
    }
}

impl Stand {
    /// After a later state.
    fn then(&self, state: &OrderStateRecord, place: (u64, u32)) -> Self {
        Self {
            state: Some(place),
            said: (state.venue_id, state.conditional_id),
            says: [state.known_as.is_some(), state.qty.is_some(), state.price.is_some()],
            filled: state.filled,
            number: state.venue_id.or(self.number),
            conditional: state.conditional_id.or(self.conditional),
            other_number: false,
        }
    }

    /// Is all that this state said said by that later one, and the order found by no number less?
    fn is_said_by(&self, later: &Self) -> bool {
        !self.other_number
            && (self.said.0.is_none() || self.said.0 == later.said.0)
            && (self.said.1.is_none() || self.said.1 == later.said.1)
            && (self.number.is_none() || self.number == later.number)
            && (self.conditional.is_none() || self.conditional == later.conditional)
            && self.says.iter().zip(later.says).all(|(said, says)| !said || says)
            && self.filled <= later.filled
    }
}

/// The snapshot of a journal made at that time, where acknowledged events are kept for so long.
pub fn of(records: &[Record], now: Time, keep: Span) -> Vec<Record> {
    let mut snapshot = Snapshot::new(now, keep);
    for record in records {
        snapshot.take(record, record);
    }
    let record = |kept: Kept<&Record>| match kept {
        Kept::Taken(record) => record.clone(),
        Kept::Alive(time) => Record::End { time },
    };
    snapshot.finish().into_iter().map(record).collect()
}

fn known(sessions: &BTreeMap<SessionId, Session>) -> BTreeMap<SessionId, String> {
    let nobody = format!("{:?}", Session::default());
    let shown = sessions.iter().map(|(id, session)| (*id, format!("{session:?}")));
    shown.filter(|(_, session)| *session != nobody).collect()
}

/// All that a gateway knows and is about to do, but for its configuration and the venue's machines: two that show the
/// same are in the same state. A session of which nothing is known is as good as none.
impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without "..": a field more has to be thought of.
        let Self {
            config: _,
            feed: _,
            entry: _,
            epoch,
            epoch_durable,
            epochs,
            first_start,
            generation,
            renumbered,
            started,
            venue,
            orders,
            books,
            sessions,
            clients,
            nonces,
            instruments,
            streams,
            bars,
            commits,
            recovery,
            scans,
            absences,
            lost_positions,
            guard,
            operator,
            doubts,
            orphans,
            overfills,
            strays,
            tie_out,
            fundings,
            forced,
            bad_edits,
            waiting_edits,
            store_failed,
            foreign_gateway,
            stopping,
            stopped,
            prune_at,
            ready,
            counts,
            out,
            stop,
        } = self;
        let run =
            (epoch, epoch_durable, epochs, first_start, generation, renumbered, started, stopping, stopped);
        let doors =
            (clients, nonces, streams, bars, ready, out, venue, prune_at, store_failed, foreign_gateway);
        let asked = (recovery, scans, doubts, orphans, overfills, strays, instruments, guard, waiting_edits);
        let stops = (bad_edits, lost_positions, stop, operator);
        (f.debug_struct("Gateway").field("run", &run).field("orders", orders).field("books", books))
            .field("sessions", &known(sessions))
            .field("commits", commits)
            .field("absences", absences)
            .field("tie_out", tie_out)
            .field("fundings", fundings)
            .field("forced", forced)
            .field("asked", &asked)
            .field("doors", &doors)
            .field("counts", counts)
            .field("stops", &stops)
            .finish()
    }
}

#[cfg(test)]
mod tests;
