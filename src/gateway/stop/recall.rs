//! Cancels that are repeated until the exchange itself has said that the order is gone.
//!
//! ```text
//!   due ──sent by one way──▶ flying ──cancelled, or the engine knows none──▶ gone
//!    ▲                         │ no word for HEDGE: by the other way, too
//!    └── refused, lost ◀───────┘
//! ```
//!
//! Gone is an order of which the engine said that it is cancelled, or that it has none open of that id: if it was ever
//! placed, or no request of ours can be accepted any more. Until then "unknown" may mean that the order is still on its
//! way, and the cancel is repeated. Cancelling twice cancels once, so both ways may carry one.
//!
//! The way by requests is closed when one of them was lost; from then on single ones try whether it is open again.

use std::collections::BTreeMap;

use super::super::Gateway;
use super::super::io::LogLevel;
use super::LiveOrder;
use crate::ids::{ClientOrderId, IdKind, SessionId};
use crate::order::state::{Event, Order, State};
use crate::time::{Span, Time};
use crate::venue::port::{Cancel, CancelOutcome, NotSent, OrderReport, Urgent, UrgentReply, Way};

/// Without a word for so long a cancel goes by the other way, too.
const HEDGE: Span = Span::from_millis(300);
/// By the same way it goes again without a word for so long.
const AGAIN: Span = Span::from_secs(1);
/// Between two tries whether a way is open.
const WAY_AGAIN: Span = Span::from_millis(250);
/// Longest pause after a cancel that did nothing.
const PAUSE_MAX: Span = Span::from_millis(500);
/// Cancels on their way at one time: so many as neither a socket's queue nor the row of requests lets wait.
const FRAMES_MAX: usize = 100;
const REQUESTS_MAX: usize = 8;
/// The venue's own time-out behind its receive window.
const ENGINE_WITHIN: Span = Span::from_secs(10);

/// An order to be cancelled.
#[derive(Debug)]
struct Recall {
    cancel: Cancel,
    session: Option<SessionId>,
    /// When something is to be done next.
    at: Time,
    /// On their way: number, way, since when.
    flying: Vec<(u64, Way, Time)>,
    /// The way the last one went.
    last_way: Option<Way>,
    /// Replies that did not help.
    vain: u32,
    /// No request of ours about it can be accepted any more after this.
    final_after: Time,
    gone: bool,
    /// No way was open for it, or had room.
    waits: bool,
    words: String,
}

/// How many cancels are on their way by each.
#[derive(Clone, Copy, Default)]
struct Flying {
    session: usize,
    requests: usize,
}

impl Flying {
    fn by(&mut self, way: Way) -> &mut usize {
        match way {
            Way::Session => &mut self.session,
            Way::Request => &mut self.requests,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    orders: BTreeMap<ClientOrderId, Recall>,
    /// Which order each request is about.
    asked: BTreeMap<u64, (ClientOrderId, Way)>,
    /// Number of the last request of the stop.
    last: u64,
    /// Requests were lost: tried again then.
    shut_until: Option<Time>,
}

impl Recalls {
    pub(super) fn is_empty(&self) -> bool {
        self.orders.values().all(|recall| recall.gone)
    }

    pub(super) fn holds(&self, id: &ClientOrderId) -> bool {
        self.orders.contains_key(id)
    }

    pub(super) fn is_flying(&self, id: &ClientOrderId) -> bool {
        self.orders.get(id).is_some_and(|recall| !recall.flying.is_empty())
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.orders.values().filter(|recall| !recall.gone).map(|recall| recall.at).min()
    }

    /// A number for a request.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A way may be open that was not: what waits for one need not wait any longer.
    pub(super) fn way_opened(&mut self, now: Time) {
        for recall in self.orders.values_mut().filter(|recall| recall.waits) {
            recall.at = recall.at.min(now);
        }
    }

    /// There is room for one more.
    fn wake_next(&mut self, now: Time) {
        if let Some(recall) = self.orders.values_mut().find(|recall| recall.waits && !recall.gone) {
            (recall.at, recall.waits) = (now, false);
        }
    }

    /// On their way, but for those that are late: a lost one takes no other's place.
    fn flying(&self, now: Time) -> Flying {
        let mut flying = Flying::default();
        for (_, way, sent) in self.orders.values().flat_map(|recall| &recall.flying) {
            if now.since(*sent) < AGAIN {
                *flying.by(*way) += 1;
            }
        }
        flying
    }

    /// May a cancel go that way now?
    fn may_go(&self, now: Time, way: Way, recall: &Recall, mut flying: Flying) -> bool {
        let shut = self.shut_until.filter(|_| way == Way::Request);
        let again = if shut.is_some() { WAY_AGAIN } else { AGAIN };
        let lately = |(_, of, sent): &(u64, Way, Time)| *of == way && now.since(*sent) < again;
        if recall.flying.iter().any(lately) {
            return false;
        }
        match (way, shut) {
            (Way::Session, _) => *flying.by(way) < FRAMES_MAX,
            // One after the other tries whether requests get through again.
            (Way::Request, Some(until)) => until <= now,
            (Way::Request, None) => *flying.by(way) < REQUESTS_MAX,
        }
    }

    /// What became of a request says whether requests get through. True: they do again.
    fn learn_way(&mut self, now: Time, way: Way, lost: bool) -> bool {
        if way != Way::Request {
            return false;
        }
        let shut = self.shut_until.is_some();
        self.shut_until = lost.then(|| now + WAY_AGAIN);
        shut && !lost
    }
}

impl Gateway {
    /// The cancel of an order as it is known now.
    fn cancel_of(order: &Order) -> Cancel {
        Cancel {
            symbol: order.symbol.clone(),
            id: order.id.clone(),
            venue_id: order.venue_id,
            conditional: order.waits(),
            conditional_id: order.conditional_id,
            known_as: order.known_as.clone(),
            cancel_id: order.id.renamed(IdKind::Cancel),
        }
    }

    /// Cancels that order until it is gone.
    pub(super) fn recall(&mut self, now: Time, id: &ClientOrderId) {
        let Some(order) = self.orders.get(id) else { return };
        // An order of an earlier run is stamped by a clock that may have been set since.
        let sent = order.created.max(self.started).min(now);
        let (cancel, session) = (Self::cancel_of(order), order.session);
        self.take_recall(now, cancel, session, sent);
    }

    /// The same for one that the exchange lists and nobody here can take in yet.
    pub(super) fn recall_listed(&mut self, now: Time, report: &OrderReport, id: ClientOrderId) {
        if self.stop.recalls.orders.get(&id).is_some_and(|recall| !recall.gone) {
            return;
        }
        let conditional = report.conditional_id.is_some() && report.venue_id == 0;
        let session = id.parts().map(|parts| parts.session);
        let cancel = Cancel {
            symbol: report.symbol.clone(),
            cancel_id: id.renamed(IdKind::Cancel),
            id,
            venue_id: Some(report.venue_id).filter(|number| *number != 0),
            conditional,
            conditional_id: report.conditional_id,
            known_as: report.client_id.clone(),
        };
        self.take_recall(now, cancel, session, self.started);
    }

    fn take_recall(&mut self, now: Time, cancel: Cancel, session: Option<SessionId>, sent: Time) {
        let recall = Recall {
            session,
            at: now,
            flying: Vec::new(),
            last_way: None,
            vain: 0,
            final_after: sent + self.entry.receive_window() + ENGINE_WITHIN,
            gone: false,
            waits: false,
            words: "not sent yet".to_owned(),
            cancel,
        };
        self.stop.look.doubted(now);
        self.stop.recalls.orders.insert(recall.cancel.id.clone(), recall);
    }

    /// Sends every cancel that is due, and forgets orders that are over.
    pub(super) fn recall_due(&mut self, now: Time) {
        if self.stop.recalls.orders.is_empty() {
            return;
        }
        let over = |id: &ClientOrderId| self.orders.get(id).is_some_and(|order| order.state.is_over());
        let over: Vec<ClientOrderId> =
            self.stop.recalls.orders.keys().filter(|id| over(id)).cloned().collect();
        for id in over {
            self.stop.recalls.orders.remove(&id);
        }
        let due = |recall: &&Recall| !recall.gone && recall.at <= now;
        let mut due: Vec<&Recall> = self.stop.recalls.orders.values().filter(due).collect();
        // Those that have not had their turn go first.
        due.sort_by_key(|recall| (recall.last_way.is_some(), recall.at));
        let due: Vec<ClientOrderId> = due.iter().map(|recall| recall.cancel.id.clone()).collect();
        // Counted once: there may be thousands of orders.
        let mut flying = self.stop.recalls.flying(now);
        for id in due {
            if let Some(way) = self.recall_once(now, &id, flying) {
                *flying.by(way) += 1;
            }
        }
    }

    /// The way it went, if it could.
    fn recall_once(&mut self, now: Time, id: &ClientOrderId, mut flying: Flying) -> Option<Way> {
        let recall = self.stop.recalls.orders.get_mut(id)?;
        if let Some(order) = self.orders.get(id) {
            recall.cancel = Self::cancel_of(order);
        }
        if self.doubts.is_probe(id) {
            // A cancel of its own is under way, and its answer must not be taken for another's.
            recall.at = now + WAY_AGAIN;
            return None;
        }
        let ways = match recall.last_way {
            Some(Way::Session) => [Way::Request, Way::Session],
            _ => [Way::Session, Way::Request],
        };
        let cancel = recall.cancel.clone();
        for way in ways {
            let recalls = &self.stop.recalls;
            if !recalls.orders.get(id).is_some_and(|recall| recalls.may_go(now, way, recall, flying)) {
                continue;
            }
            let number = self.stop.recalls.number();
            match self.entry.urgent(now, number, &Urgent::Cancel(cancel.clone()), way, &mut self.venue) {
                Ok(()) => {
                    self.recall_sent(now, id, number, way);
                    return Some(way);
                }
                Err(NotSent::RateLimited { retry_at }) => {
                    self.recall_waits(id, retry_at.max(now + WAY_AGAIN), "the rate budget is used up");
                    return None;
                }
                Err(NotSent::Disconnected | NotSent::ClockOff(_)) => {}
            }
        }
        let full = *flying.by(Way::Session) >= FRAMES_MAX;
        let words = if full { "waits for its turn" } else { "no way to the exchange is open" };
        let lately = |(.., sent): &(u64, Way, Time)| *sent + AGAIN;
        let again =
            self.stop.recalls.orders.get(id).and_then(|recall| recall.flying.iter().map(lately).min());
        let until = again.filter(|at| *at > now).unwrap_or(now + WAY_AGAIN).min(now + WAY_AGAIN);
        self.recall_waits(id, until, words);
        None
    }

    fn recall_waits(&mut self, id: &ClientOrderId, until: Time, words: &str) {
        if let Some(recall) = self.stop.recalls.orders.get_mut(id) {
            (recall.at, recall.waits) = (until, true);
            if recall.flying.is_empty() {
                words.clone_into(&mut recall.words);
            }
        }
    }

    fn recall_sent(&mut self, now: Time, id: &ClientOrderId, number: u64, way: Way) {
        let recalls = &mut self.stop.recalls;
        recalls.asked.insert(number, (id.clone(), way));
        if way == Way::Request && recalls.shut_until.is_some() {
            // One alone tries whether requests get through again.
            recalls.shut_until = Some(now + WAY_AGAIN);
        }
        let Some(recall) = recalls.orders.get_mut(id) else { return };
        recall.flying.push((number, way, now));
        recall.waits = false;
        recall.last_way = Some(way);
        recall.at = now + HEDGE;
        "on its way".clone_into(&mut recall.words);
        self.counts.cancels += 1;
        self.orders.update(id, |order| order.cancel_wanted = true);
        let live = |order: &Order| matches!(order.state, State::Sent | State::Working);
        if self.orders.get(id).is_some_and(live) {
            self.step(id, Event::CancelSend);
        }
    }

    /// A request of the stop was answered, or never will be.
    pub(in super::super) fn urgent_replied(&mut self, now: Time, number: u64, reply: UrgentReply) {
        let Some((id, way)) = self.stop.recalls.asked.remove(&number) else {
            return self.look_replied(now, number, reply);
        };
        let lost = matches!(reply, UrgentReply::Lost(_));
        if self.stop.recalls.learn_way(now, way, lost) {
            self.stop.recalls.way_opened(now);
        }
        if let Some(recall) = self.stop.recalls.orders.get_mut(&id) {
            recall.flying.retain(|(flying, ..)| *flying != number);
        }
        self.stop.recalls.wake_next(now);
        match reply {
            UrgentReply::Cancel(CancelOutcome::Canceled(report)) => {
                self.recall_gone(now, &id, "cancelled");
                self.report(now, &report, super::super::fact::Source::Reply);
            }
            UrgentReply::Gone => {
                self.recall_gone(now, &id, "cancelled");
                self.ask_how_it_ended(now, &id, "cancelled; how much of it was filled is being asked");
            }
            UrgentReply::Cancel(CancelOutcome::UnknownOrder) => self.recall_unknown(now, &id),
            UrgentReply::Cancel(CancelOutcome::Rejected { code, message }) => {
                self.recall_vain(now, &id, &format!("{code} {message}"));
            }
            UrgentReply::Cancel(CancelOutcome::Unknown(why))
            | UrgentReply::Failed(why)
            | UrgentReply::Lost(why) => {
                self.doubts.begin_anew(&id);
                self.recall_vain(now, &id, &why);
            }
            UrgentReply::Open(_) => {}
        }
    }

    fn recall_gone(&mut self, now: Time, id: &ClientOrderId, words: &str) {
        let Some(recall) = self.stop.recalls.orders.get_mut(id) else { return };
        recall.gone = true;
        words.clone_into(&mut recall.words);
        self.stop.look.quiet_since(now);
    }

    /// The engine has no such order open.
    fn recall_unknown(&mut self, now: Time, id: &ClientOrderId) {
        let Some(recall) = self.stop.recalls.orders.get_mut(id) else { return };
        let known = self.orders.get(id);
        let lives = known.is_none_or(Order::lives);
        if known.is_some_and(Order::waits) && lives {
            // It may have been triggered, and something else come of it.
            recall.at = now + PAUSE_MAX;
            "not among the conditional orders; being asked for".clone_into(&mut recall.words);
        } else if lives || now >= recall.final_after {
            self.recall_gone(now, id, "the exchange has no such order open");
        } else {
            recall.at = now + PAUSE_MAX;
            "the exchange does not have it yet; it may be on its way".clone_into(&mut recall.words);
        }
        if lives {
            self.ask_how_it_ended(now, id, "the exchange no longer has it open");
        }
    }

    /// The order's own end is found out like that of any other in doubt.
    fn ask_how_it_ended(&mut self, now: Time, id: &ClientOrderId, reason: &str) {
        let open = |order: &Order| !order.state.is_over() && order.lives();
        if self.orders.get(id).is_some_and(open) && !self.doubts.holds(id) {
            self.step(id, Event::CancelLose);
            self.enter_doubt(now, id, reason);
        }
    }

    /// It did not help: at once by the other way, later after a pause.
    fn recall_vain(&mut self, now: Time, id: &ClientOrderId, why: &str) {
        let Some(recall) = self.stop.recalls.orders.get_mut(id) else { return };
        why.clone_into(&mut recall.words);
        recall.vain += 1;
        let first = recall.vain == 1;
        recall.at = if first { now } else { now + WAY_AGAIN };
        if first {
            let fields = format!("order={id} reason={why:?}");
            self.log(LogLevel::Warn, "cancel of the stop did not succeed; repeating it", fields);
        }
    }

    pub(super) fn live_orders(&self) -> Vec<LiveOrder> {
        let live = self.stop.recalls.orders.values().filter(|recall| !recall.gone);
        live.map(|recall| LiveOrder {
            order_id: recall.cancel.id.clone(),
            session: recall.session,
            symbol: recall.cancel.symbol.clone(),
            last: recall.words.clone(),
        })
        .collect()
    }
}
