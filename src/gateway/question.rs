//! Questions of clients, and the writing of replies.

use bytes::Bytes;
use serde::Serialize;

use super::Gateway;
use super::commits::{FRAMES_MAX, Held};
use super::door::Seat;
use crate::ids::{Asset, ConnId, SessionId, Symbol};
use crate::instrument::{Instrument, InstrumentKind, InstrumentStatus};
use crate::journal::Owner;
use crate::market::{Channel, Interval, Stream};
use crate::num::Qty;
use crate::order::state::Order;
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::event::{BalanceView, OrderView, PositionView, Product};
use crate::wire::request::{Call, History};

#[derive(Serialize)]
struct Reply<'a, T: Serialize> {
    id: u64,
    result: &'a T,
}

#[derive(Serialize)]
struct Failure<'a> {
    id: Option<u64>,
    error: &'a ErrorBody,
}

/// A reply as it goes over the wire.
pub(super) fn reply_frame<T: Serialize>(id: u64, result: &T) -> Bytes {
    Bytes::from(text(&Reply { id, result }))
}

fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("replies are made of strings, numbers and plain structs")
}

impl Gateway {
    pub(super) fn seated_call(&mut self, now: Time, seat: Seat, id: u64, call: Call) {
        match call {
            Call::Ack(ack) => self.ack(now, seat.session, ack),
            Call::Status(_)
            | Call::Sessions(_)
            | Call::AllOrders(_)
            | Call::AllPositions(_)
            | Call::Limits(_)
            | Call::SetLimits(_)
            | Call::Kill(_)
            | Call::Clear(_)
            | Call::Pause(_)
            | Call::Resume(_) => {
                let message = "a session sees and changes what is its own alone";
                self.fail(seat.conn, Some(id), ErrorBody::new(ErrorCode::NotOperator, message));
            }
            Call::Order(_) | Call::Cancel(_) | Call::CancelAll(_) | Call::Amend(_) => {
                self.command(now, seat, id, &call);
            }
            Call::Subscribe(streams) => self.subscribe(now, seat.conn, id, &streams.streams),
            Call::Unsubscribe(streams) => self.unsubscribe(now, seat.conn, id, &streams.streams),
            Call::Products(wanted) => match self.products(&wanted.symbols) {
                Ok(products) => self.reply(seat.conn, id, &products),
                Err(error) => self.fail(seat.conn, Some(id), error),
            },
            Call::Positions(wanted) => {
                let positions = self.positions_of(seat.session, &wanted.symbols);
                let result = serde_json::json!({ "session_id": seat.session, "positions": positions });
                self.reply_when_committed(seat.conn, id, &result);
            }
            Call::Orders(wanted) => {
                let asked = |s: &Symbol| wanted.symbols.is_empty() || wanted.symbols.contains(s);
                let open = self.orders.open_of(seat.session).filter(|o| asked(&o.symbol));
                let orders: Vec<_> = open.filter_map(order_view).collect();
                let result = serde_json::json!({ "session_id": seat.session, "orders": orders });
                self.reply_when_committed(seat.conn, id, &result);
            }
            Call::Balances(_) => {
                let balances = self.balances_of(seat.session);
                self.reply_when_committed(seat.conn, id, &balances);
            }
            Call::History(history) => self.history(now, seat.conn, id, &history),
            Call::Time(_) => self.reply(seat.conn, id, &serde_json::json!({ "time": now })),
            Call::Beat(_) => self.beat(now, seat.session),
            Call::Hello(_) | Call::Login(_) | Call::Operate(_) => {}
        }
    }

    pub(super) fn reply<T: Serialize>(&mut self, conn: ConnId, id: u64, result: &T) {
        self.send(conn, reply_frame(id, result));
    }

    /// A reply that shows private state: it waits for that state's commit.
    pub(super) fn reply_when_committed<T: Serialize>(&mut self, conn: ConnId, id: u64, result: &T) {
        if self.commits.are_full(conn) {
            let reason = format!("{FRAMES_MAX} replies wait for the disk: ask less, or come back later");
            return self.close_client(conn, 4002, &reason);
        }
        self.commits.hold(Held::Frame(conn, reply_frame(id, result)));
    }

    /// A stored answer `{"result":…}` or `{"error":…}` under a new id.
    pub(super) fn reply_stored(&mut self, conn: ConnId, id: u64, answer: &str) {
        let frame = format!("{{\"id\":{id},{}", &answer[1..]);
        self.send(conn, Bytes::from(frame));
    }

    pub(super) fn fail(&mut self, conn: ConnId, id: Option<u64>, error: ErrorBody) {
        self.counts.refused(error.code);
        self.send(conn, Bytes::from(text(&Failure { id, error: &error })));
    }

    pub(super) fn positions_of(&self, session: SessionId, symbols: &[Symbol]) -> Vec<PositionView> {
        if !symbols.is_empty() {
            return symbols.iter().map(|symbol| self.position_view(session, symbol)).collect();
        }
        let own = self.books.positions().filter(|(owner, ..)| *owner == session);
        own.map(|(_, symbol, _)| self.position_view(session, symbol)).collect()
    }

    fn balances_of(&self, session: SessionId) -> Vec<BalanceView> {
        let mut assets: std::collections::BTreeSet<Asset> =
            self.tie_out.balances().map(|b| b.asset.clone()).collect();
        let own = self.books.assets().filter(|(owner, ..)| *owner == Owner::Session(session));
        assets.extend(own.map(|(_, asset, _)| asset.clone()));
        let view = |asset: Asset| {
            let (free, locked) = self.tie_out.balance(&asset);
            let session = self.books.asset(Owner::Session(session), &asset);
            BalanceView { asset, free, locked, session }
        };
        // Positions of contracts are kept beside the money; here money is asked for.
        let contracts: std::collections::BTreeSet<&Asset> = (self.instruments.iter().flatten())
            .filter(|(_, instrument)| instrument.kind == InstrumentKind::Perpetual)
            .map(|(_, instrument)| &instrument.holding)
            .collect();
        assets.into_iter().filter(|asset| !contracts.contains(asset)).map(view).collect()
    }

    pub(super) fn products(&self, symbols: &[Symbol]) -> Result<Vec<Product>, ErrorBody> {
        if symbols.is_empty() {
            let all = self.instruments.as_ref().ok_or_else(|| self.no_symbols_yet())?;
            return Ok(all.values().map(product).collect());
        }
        symbols.iter().map(|symbol| self.instrument(symbol).map(product)).collect()
    }

    fn history(&mut self, now: Time, conn: ConnId, id: u64, history: &History) {
        let request = match self.check_history(history) {
            Ok(interval) => {
                let stream = Stream { symbol: history.symbol.clone(), channel: Channel::Kline(interval) };
                let request = self.streams.history_asked(conn, id, stream);
                self.feed.history(now, request, &history.symbol, interval, history.count, &mut self.venue);
                return;
            }
            Err(error) => error,
        };
        self.fail(conn, Some(id), request);
    }

    fn check_history(&self, history: &History) -> Result<Interval, ErrorBody> {
        self.instrument(&history.symbol)?;
        let bad = |message: String| ErrorBody::new(ErrorCode::InvalidStream, message);
        if !(1..=1000).contains(&history.count) {
            let message = format!("count {} is not from 1 to 1000: ask for 1000 bars at most", history.count);
            return Err(ErrorBody::new(ErrorCode::BadRequest, message));
        }
        let interval = Interval::from_word(&history.interval).ok_or_else(|| {
            let known: Vec<_> = Interval::ALL.iter().map(|i| i.as_str()).collect();
            bad(format!("no interval {:?}; there are: {}", history.interval, known.join(" ")))
        })?;
        match self.feed.refuses(Channel::Kline(interval)) {
            Some(why) => Err(bad(why)),
            None => Ok(interval),
        }
    }

    pub(super) fn history_arrived(
        &mut self,
        now: Time,
        request: u64,
        bars: Result<Vec<crate::market::Bar>, String>,
    ) {
        if self.bars_between(now, request, &bars) {
            return;
        }
        let Some((conn, id, stream)) = self.streams.history_done(request) else { return };
        match bars {
            Ok(bars) => {
                let wanted = self.clients.values().any(|client| client.streams.contains(&stream));
                if let Some(last) = bars.iter().rfind(|bar| bar.closed).filter(|_| wanted) {
                    self.bars.begins_after(&stream, last.end);
                }
                let rows: Vec<_> = bars.iter().map(super::stream::bar_data).collect();
                self.reply(conn, id, &rows);
            }
            Err(reason) => self.fail(conn, Some(id), ErrorBody::new(ErrorCode::QueryFailed, reason)),
        }
    }
}

pub(super) fn product(instrument: &Instrument) -> Product {
    let status = match instrument.status {
        InstrumentStatus::Trading => "TRADING",
        InstrumentStatus::CancelOnly => "CANCEL_ONLY",
        InstrumentStatus::Halted => "HALTED",
    };
    let rules = &instrument.rules;
    Product {
        symbol: instrument.symbol.clone(),
        kind: match instrument.kind {
            InstrumentKind::Spot => "SPOT".to_owned(),
            InstrumentKind::Perpetual => "PERPETUAL".to_owned(),
        },
        base: instrument.base.clone(),
        quote: instrument.quote.clone(),
        holding: Some(instrument.holding.clone()),
        // All contracts served are linear, with quantities in units of the base asset.
        contract_size: Qty::whole(1),
        status: status.to_owned(),
        tick_size: instrument.tick(),
        lot: instrument.lot(),
        min_price: instrument.price.min,
        max_price: instrument.price.max,
        min_qty: instrument.qty.min,
        max_qty: instrument.qty.max,
        min_notional: instrument.min_notional,
        max_notional: instrument.max_notional,
        order_types: instrument.order_types.clone(),
        tifs: rules.tifs.clone(),
        working_types: rules.working_types.clone(),
        callback_rates: (rules.callback_rate.max.is_positive())
            .then_some((rules.callback_rate.min, rules.callback_rate.max)),
        amend_allowed: instrument.amend_allowed,
        amend_price: rules.amend_price,
    }
}

/// An order as clients see it; `None` for one of a type this version does not know (never a session's).
pub(super) fn order_view(order: &Order) -> Option<OrderView> {
    Some(OrderView {
        order_id: order.id.clone(),
        n: order.id.parts().map_or(0, |p| p.command),
        symbol: order.symbol.clone(),
        side: order.side,
        order_type: order.order_type?,
        tif: order.tif,
        price: order.price,
        stop_price: order.stop,
        qty: order.qty,
        quote_amount: order.quote_amount,
        instructions: order.instructions,
        state: order.status(),
        canceling: order.is_canceling(),
        filled: order.filled,
        filled_quote: order.filled_quote,
        venue_order_id: order.venue_id,
        conditional_id: order.conditional_id,
        code: order.code,
        reason: order.reason.clone(),
        retry_after_ms: None,
        time: order.changed,
    })
}
