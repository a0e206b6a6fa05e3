//! What sessions are told: numbered events, kept in the journal before they are shown.

use bytes::Bytes;

use super::Gateway;
use super::commits::Held;
use super::question::order_view;
use crate::ids::{ClientOrderId, SessionId, Symbol};
use crate::journal::Record;
use crate::order::table::state_record;
use crate::session::EVENTS_WARN;
use crate::time::Time;
use crate::wire::event::{FillView, Numbered, PositionView, Private};

impl Gateway {
    /// Makes the session's next numbered event; it is sent once committed.
    pub(super) fn tell(&mut self, now: Time, session: SessionId, event: Private) {
        let generation = self.generation;
        let log = &mut self.session_mut(session).log;
        let sequence = log.last() + 1;
        let numbered = Numbered { generation, sequence, time: now, event };
        let frame =
            serde_json::to_string(&numbered).expect("events are made of strings, numbers and plain structs");
        log.push(now, Bytes::from(frame.clone()));
        let waiting = log.unacknowledged();
        self.commits.push(Record::Event { session, generation, sequence, frame });
        self.commits.hold(Held::Event(session, sequence));
        if waiting == EVENTS_WARN {
            self.warn_unacknowledged(now, session, waiting);
        }
    }

    /// Tells an order's owner how it stands; EXTERNAL has nobody to tell.
    pub(super) fn tell_order(&mut self, now: Time, id: &ClientOrderId, fill: Option<FillView>) {
        let Some(order) = self.orders.get(id) else { return };
        let Some(session) = order.session else { return };
        let Some(view) = order_view(order) else { return };
        let position = self.position_view(session, &order.symbol.clone());
        self.tell(now, session, Private::Order { order: view, fill, position });
    }

    /// Records and tells an order's new state.
    pub(super) fn order_changed(&mut self, now: Time, id: &ClientOrderId, fill: Option<FillView>) {
        if let Some(order) = self.orders.get(id) {
            let record = state_record(order, order.changed);
            self.commits.push(Record::OrderState(record));
        }
        self.tell_order(now, id, fill);
    }

    pub(super) fn notice(
        &mut self,
        now: Time,
        session: SessionId,
        code: &str,
        message: String,
        about: Option<&ClientOrderId>,
    ) {
        let symbol = about.and_then(|id| self.orders.get(id)).map(|o| o.symbol.clone());
        let order_id = about.cloned();
        self.tell(now, session, Private::Notice { code: code.to_owned(), message, symbol, order_id });
    }

    pub(super) fn notice_of(
        &mut self,
        now: Time,
        session: SessionId,
        code: &str,
        message: String,
        symbol: Option<Symbol>,
    ) {
        self.tell(now, session, Private::Notice { code: code.to_owned(), message, symbol, order_id: None });
    }

    pub(super) fn position_view(&self, session: SessionId, symbol: &Symbol) -> PositionView {
        let totals = self.books.position(session, symbol);
        PositionView {
            symbol: symbol.clone(),
            net: totals.qty,
            avg_price: totals.avg_price(),
            realised: totals.realised,
        }
    }
}
