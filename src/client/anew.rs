//! A gateway that counts events under another numbering than before: its journal was lost, or is an older copy, or
//! lacks its end. What it knows of this session's orders may be less than what is known here.
//!
//! So every order that is believed open is listed at the login like a command without an answer: the gateway tells what
//! it knows of it, and finds out at the exchange what it does not. Until then it is in doubt, and never called refused
//! or ended because it was not found in a journal. Positions come with the snapshot that such a login asks for.
//!
//! A copy of the same run's journal counts as before until its next event. What it may lack without that being seen are
//! orders of which there was no event: those are listed at every login.

use std::collections::BTreeSet;

use super::event::OrderKey;
use super::machine::{Aim, Client, InFlight, KEPT_FOR_CANCELS};
use super::orders::Kill;
use super::trading::value;
use crate::ids::CommandNumber;
use crate::market::OrderStatus;
use crate::num::Qty;
use crate::wire::event::OrderView;
use crate::wire::request::{Ack, Order};

/// Bytes around the parameters of an order in a login.
const AROUND: usize = 64;

impl Client {
    /// Was what is known here told under another numbering than the gateway's? Then by this event at the earliest: it
    /// makes the gateway begin with a snapshot.
    pub(super) fn known_by_another(&self, generation: Option<u64>) -> Option<Ack> {
        let known = self.known_in.filter(|known| generation.is_some_and(|theirs| theirs != *known))?;
        Some(Ack { generation: known, sequence: 0 })
    }

    /// The gateway may know nothing of the orders that are open here: it is asked for each.
    pub(super) fn list_open_orders(&mut self) {
        if !self.config.trading {
            return;
        }
        let listed: Vec<Aim> = self.unanswered.iter().map(|command| command.aim.clone()).collect();
        // What an event that waits tells to be over is no longer in doubt.
        let over: BTreeSet<_> = self.inbox.ending().collect();
        let open = self.orders.open().map(|(key, tracked)| (key, &tracked.order));
        let open = open.filter(|(_, order)| !over.contains(&order.order_id));
        let doubted: Vec<_> = open.filter_map(|(key, order)| Some((key, in_flight(key, order)?))).collect();
        for (key, command) in doubted {
            if !listed.contains(&command.aim) {
                // Those beyond are in doubt until an event tells of them.
                if !self.can_list(KEPT_FOR_CANCELS) {
                    self.unlisted = true;
                    continue;
                }
                self.unanswered.push(command);
            }
            if let Some(tracked) = self.orders.get_mut(key) {
                tracked.accepted = false;
                if tracked.kill == Kill::Asked {
                    // Of that, too, nothing may be known.
                    tracked.kill = Kill::Wanted;
                    self.kills_wanted = true;
                }
            }
        }
    }

    /// The gateway showed an order that no event has told of yet. A journal put back to before it is numbered like the
    /// one it takes the place of: only what a login lists tells that gateway of the order.
    pub(super) fn shown(&mut self, key: OrderKey) {
        let Some(tracked) = self.orders.get(key) else { return };
        if tracked.order.state != OrderStatus::Pending {
            return self.told_of(key);
        }
        let mut listed = self.unanswered.iter().chain(&self.untold);
        if listed.any(|command| command.aim == Aim::Order(key)) || !self.config.trading {
            return;
        }
        // Those beyond are not asked for.
        let command = in_flight(key, &tracked.order).filter(|_| self.can_list(KEPT_FOR_CANCELS));
        self.untold.extend(command);
    }
}

/// It as a command without an answer. `None`: no id of ours, so no command either.
fn in_flight(key: OrderKey, order: &OrderView) -> Option<InFlight> {
    let parts = order.order_id.parts()?;
    let params = value(&as_sent(order, parts.command));
    let size = AROUND + params.to_string().len();
    Some(InFlight { epoch: parts.epoch, aim: Aim::Order(key), method: "order", params, size })
}

/// An order as it would be sent, with what it has become since.
fn as_sent(order: &OrderView, n: CommandNumber) -> Order {
    let instructions = &order.instructions;
    Order {
        n,
        symbol: order.symbol.clone(),
        side: order.side,
        order_type: order.order_type,
        tif: order.tif,
        price: order.price,
        qty: Some(order.qty).filter(|qty| *qty != Qty::ZERO),
        quote_amount: order.quote_amount,
        stop_price: order.stop_price,
        reduce_only: instructions.reduce_only,
        good_till: instructions.good_till,
        working_type: instructions.working_type,
        callback_rate: instructions.callback_rate,
        activation_price: instructions.activation_price,
    }
}
