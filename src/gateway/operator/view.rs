//! How everything stands: links, sessions, orders, positions, and whether they add up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::Gateway;
use super::super::gauges::Problem;
use crate::ids::{Asset, SessionId, Symbol};
use crate::journal::Owner;
use crate::market::OrderStatus;
use crate::order::state::Order;
use crate::time::Time;
use crate::venue::limit::LimitKind;
use crate::wire::operator::{
    AssetView, BudgetView, Counts, Holding, Holdings, JournalView, NotReady, OpenOrder, OrderCounts,
    ProblemView, SessionAsset, SessionView, Status,
};

impl Gateway {
    pub(super) fn status(&self, now: Time) -> Status {
        let connected = self.sessions.values().filter(|session| session.owner.is_some()).count();
        let told = self.state_event(SessionId(0));
        Status {
            gateway: self.config.product.clone(),
            market: self.config.market.to_owned(),
            install: self.config.install.as_str().to_owned(),
            epoch: self.epoch,
            started: self.started,
            time: now,
            state: told.state,
            reason: told.reason,
            problems: self.condition(now).problems.into_iter().map(problem).collect(),
            recovery: self.recovery.word().to_owned(),
            looked: self.recovery.looked(),
            not_ready: self.symbols_not_ready(),
            entry: self.operator.entry.clone(),
            feed: self.operator.feed.clone(),
            clock: self.operator.clock.clone(),
            sessions: Counts { connected: count(connected), known: count(self.known_sessions().len()) },
            orders: self.order_counts(),
            budget: self.budget(now),
            journal: JournalView { failed: self.store_failed.clone(), waiting: self.commits.under_way() },
            foreign_gateway: self.foreign_gateway.clone(),
            differences: count(self.tie_out.differing()),
            limits: self.limit_source(),
            stop: self.stop_told(),
        }
    }

    /// Kill switch, pauses, and who is lost.
    pub(super) fn stop_told(&self) -> Value {
        serde_json::to_value(self.stop_view()).expect("it is made of strings, numbers and plain structs")
    }

    /// Symbols without orders, with the words an order would be refused with.
    fn symbols_not_ready(&self) -> Vec<NotReady> {
        let of_all = self.bad_edits.iter().filter(|bad| bad.symbol.is_none());
        let of_all = of_all.map(|bad| ("*".to_owned(), format!("pos.db: {}", bad.reason)));
        let mut unready: BTreeSet<Symbol> = self.not_ready().into_iter().collect();
        unready.extend(self.recovery.unread().iter().cloned());
        let each = unready.iter().map(|symbol| {
            let refused = self.may_place(symbol).err().map(|error| error.message);
            let reading = || format!("past orders and trades of {symbol} are still being read");
            (symbol.to_string(), refused.unwrap_or_else(reading))
        });
        of_all.chain(each).map(|(symbol, reason)| NotReady { symbol: Symbol::new(&symbol), reason }).collect()
    }

    fn order_counts(&self) -> OrderCounts {
        let mut counts = OrderCounts { open: 0, external: 0, unknown: 0 };
        for order in self.orders.open() {
            counts.open += 1;
            counts.external += u64::from(order.session.is_none());
            counts.unknown += u64::from(order.status() == OrderStatus::Unknown);
        }
        counts
    }

    fn budget(&self, now: Time) -> Vec<BudgetView> {
        let windows = self.entry.gauges(now).windows.into_iter().map(|row| BudgetView {
            kind: match row.kind {
                LimitKind::Weight => "weight",
                LimitKind::Orders => "orders",
                LimitKind::OrderWeight => "order_weight",
            }
            .to_owned(),
            window_ms: row.window.millis(),
            used: row.used,
            limit: row.limit,
        });
        windows.collect()
    }

    /// Sessions that somebody has logged in as, that have traded, or that have limits of their own.
    pub(super) fn known_sessions(&self) -> BTreeSet<SessionId> {
        let mut known = self.books.sessions();
        known.extend(self.sessions.iter().filter(|(_, session)| !session.is_blank()).map(|(id, _)| *id));
        known.extend(self.orders.exposures().all().map(|(session, ..)| session));
        known
    }

    pub(super) fn all_sessions(&self) -> Vec<SessionView> {
        let mut orders: BTreeMap<SessionId, (u64, u64)> = BTreeMap::new();
        for order in self.orders.open() {
            if let Some(session) = order.session {
                let (open, unknown) = orders.entry(session).or_default();
                *open += 1;
                *unknown += u64::from(order.status() == OrderStatus::Unknown);
            }
        }
        let mut held: BTreeMap<SessionId, u64> = BTreeMap::new();
        for (session, _, totals) in self.books.positions() {
            *held.entry(session).or_default() += u64::from(!totals.qty.is_zero());
        }
        let view = |id: SessionId| {
            let session = self.sessions.get(&id);
            let owner = session.and_then(|session| session.owner);
            let seat = owner.and_then(|conn| self.clients.get(&conn));
            let (open_orders, unknown_orders) = orders.get(&id).copied().unwrap_or_default();
            SessionView {
                session_id: id,
                name: session.map(|session| session.name.clone()).unwrap_or_default(),
                connected: owner.is_some(),
                trading: owner.is_some_and(|conn| self.may_trade(conn)),
                since: seat.map(|client| client.opened),
                open_orders,
                unknown_orders,
                positions: held.get(&id).copied().unwrap_or_default(),
                last_event: session.map_or(0, |session| session.log.last()),
                unacknowledged: session.map_or(0, |session| session.log.unacknowledged()),
                own_limits: self.guard.rules().own.contains_key(&id),
                stopped: self.stopped(id),
            }
        };
        self.known_sessions().into_iter().map(view).collect()
    }

    pub(super) fn all_orders(&self, of: Option<SessionId>) -> Vec<OpenOrder> {
        let wanted = |order: &&Order| of.is_none() || order.session == of;
        self.orders.open().filter(wanted).map(open_order).collect()
    }

    pub(super) fn holdings(&self, of: Option<SessionId>) -> Holdings {
        let wanted = |session: SessionId| of.is_none_or(|of| of == session);
        let held = self.books.positions().filter(|(session, _, totals)| {
            wanted(*session) && !(totals.qty.is_zero() && totals.realised.is_zero())
        });
        let positions = held.map(|(session_id, symbol, totals)| Holding {
            session_id,
            symbol: symbol.clone(),
            net: totals.qty,
            avg_price: totals.avg_price(),
            realised: totals.realised,
        });
        let compared = self.recovery.looked().is_some();
        let mut assets: BTreeMap<&Asset, Vec<SessionAsset>> =
            self.tie_out.balances().map(|balance| (&balance.asset, Vec::new())).collect();
        for (owner, asset, amount) in self.books.assets() {
            let sessions = assets.entry(asset).or_default();
            match owner {
                Owner::Session(session_id) if !amount.is_zero() && wanted(session_id) => {
                    sessions.push(SessionAsset { session_id, amount });
                }
                _ => {}
            }
        }
        let assets = assets.into_iter().map(|(asset, sessions)| self.asset_view(asset, sessions, compared));
        Holdings { positions: positions.collect(), assets: assets.collect(), compared }
    }

    fn asset_view(&self, asset: &Asset, sessions: Vec<SessionAsset>, compared: bool) -> AssetView {
        let books = self.books.total(asset);
        let exchange = compared.then(|| self.tie_out.net(asset));
        AssetView {
            asset: asset.clone(),
            sessions,
            external: self.books.asset(Owner::External, asset),
            unattributed: self.books.asset(Owner::Unattributed, asset),
            clearing: self.books.asset(Owner::Clearing, asset),
            books,
            exchange,
            difference: exchange.map(|exchange| exchange - books),
        }
    }
}

fn problem(of: Problem) -> ProblemView {
    ProblemView { kind: of.kind.to_owned(), reason: of.reason }
}

fn count(of: usize) -> u64 {
    of as u64
}

fn open_order(order: &Order) -> OpenOrder {
    OpenOrder {
        session_id: order.session,
        order_id: order.id.clone(),
        symbol: order.symbol.clone(),
        side: order.side,
        order_type: order.order_type,
        tif: order.tif,
        price: order.price,
        stop_price: order.stop,
        qty: order.qty,
        quote_amount: order.quote_amount,
        filled: order.filled,
        state: order.status(),
        canceling: order.is_canceling(),
        reason: order.reason.clone(),
        venue_order_id: order.venue_id,
        conditional_id: order.conditional_id,
        created: order.created,
        time: order.changed,
    }
}
