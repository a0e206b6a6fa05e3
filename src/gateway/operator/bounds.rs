//! Limits while the gateway runs: what is in force, what is used of it, and other ones.
//!
//! What the operator sets holds at once and over restarts, until he sets others, goes back to those of the
//! configuration, or those are changed: whoever edits the file means what it says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::Gateway;
use super::super::io::LogLevel;
use crate::ids::{Asset, SessionId, Symbol};
use crate::journal::{LimitsRecord, Record};
use crate::limits::form::{self, OTHERS};
use crate::limits::{Bounds, Caps, Limit, Limits, Scope};
use crate::num::Qty;
use crate::order::exposure::Exposure;
use crate::time::Time;
use crate::wire::error::{ErrorBody, ErrorCode};
use crate::wire::operator::{LimitSource, LimitView, LimitsView, SetLimits};

/// What somebody may use limits for.
struct Use {
    symbols: BTreeSet<Symbol>,
    quotes: BTreeSet<Asset>,
}

impl Gateway {
    /// Where the limits in force come from.
    pub(super) fn limit_source(&self) -> LimitSource {
        match &self.operator.limits {
            Some(LimitsRecord { limits: Some(_), .. }) => LimitSource::Operator,
            _ if self.guard.rules().is_empty() => LimitSource::None,
            _ => LimitSource::Configuration,
        }
    }

    pub(super) fn limits_view(&self, now: Time) -> LimitsView {
        let rules = self.guard.rules();
        let mut sessions = self.known_sessions();
        sessions.extend(rules.own.keys());
        let mut in_force = self.in_force(now, Scope::Account, &rules.account);
        for session in sessions {
            in_force.extend(self.in_force(now, Scope::Session(session), rules.of(session)));
        }
        let set = self.operator.limits.as_ref();
        LimitsView {
            revision: set.map_or(0, |set| set.revision),
            source: self.limit_source(),
            set: set.map(|set| set.time),
            limits: form::write(rules),
            in_force,
            misnamed: self.misnamed(),
        }
    }

    /// The limits of a scope, each of its symbols and assets for itself.
    fn in_force(&self, now: Time, scope: Scope, bounds: &Bounds) -> Vec<LimitView> {
        let used = self.used_by(scope);
        let mut rows = form::rows(bounds);
        // What is not named falls under all others, or has none.
        let symbols =
            |caps: &Option<Caps<Symbol, Qty>>| caps.as_ref().map(|caps| unnamed(&used.symbols, caps));
        let sized = [(Limit::OrderQty, &bounds.order_qty), (Limit::PositionQty, &bounds.position_qty)];
        for (limit, caps) in sized {
            let more = symbols(caps).into_iter().flatten();
            rows.extend(more.map(|(of, value)| (limit, of, value)));
        }
        let worth = [
            (Limit::OrderNotional, &bounds.order_notional),
            (Limit::OpenNotional, &bounds.open_notional),
            (Limit::PositionNotional, &bounds.position_notional),
            (Limit::LossPerDay, &bounds.loss_per_day),
        ];
        for (limit, caps) in worth {
            let more = caps.as_ref().map(|caps| unnamed(&used.quotes, caps)).into_iter().flatten();
            rows.extend(more.map(|(of, value)| (limit, of, value)));
        }
        let session_id = match scope {
            Scope::Session(session) => Some(session),
            Scope::Account => None,
        };
        let view = |(limit, of, value): (Limit, String, String)| {
            let used = if of == OTHERS { None } else { self.used(now, scope, limit, &of) };
            LimitView { session_id, limit: limit.key().to_owned(), of, value, used }
        };
        rows.sort();
        rows.into_iter().map(view).collect()
    }

    /// Symbols in which somebody holds something or has orders open, and what they are paid in.
    fn used_by(&self, scope: Scope) -> Use {
        let among = |session: SessionId| scope == Scope::Account || scope == Scope::Session(session);
        let held = self.books.positions().filter(|(of, _, totals)| among(*of) && !totals.qty.is_zero());
        let mut symbols: BTreeSet<Symbol> = held.map(|(_, symbol, _)| symbol.clone()).collect();
        let open = self.orders.exposures().all().filter(|(of, ..)| among(*of));
        symbols.extend(open.map(|(_, symbol, _)| symbol.clone()));
        let quotes = symbols.iter().filter_map(|symbol| self.books.listing(symbol));
        let quotes = quotes.map(|listing| listing.quote.clone()).collect();
        Use { symbols, quotes }
    }

    /// What is used of a limit; `None` where it holds for single orders, or a price is missing.
    fn used(&self, now: Time, scope: Scope, limit: Limit, of: &str) -> Option<String> {
        let pace = || self.guard.recent(now, scope);
        match limit {
            Limit::Symbols | Limit::OrderQty | Limit::OrderNotional | Limit::PriceBand => None,
            Limit::OpenOrders => Some(self.exposures(scope).map(|(_, e)| e.orders).sum::<u64>().to_string()),
            Limit::OpenNotional => {
                let quote = Asset::new(of);
                let worth = |(symbol, exposure): (&Symbol, &Exposure)| {
                    let listing = self.books.listing(symbol)?;
                    let middle = self.guard.last_middle(symbol);
                    match middle {
                        _ if listing.quote != quote => Some(Default::default()),
                        None if !exposure.unpriced.is_zero() => None,
                        middle => Some(exposure.worth(middle.unwrap_or_default())),
                    }
                };
                let worth: Option<crate::num::Cash> = self.exposures(scope).map(worth).sum();
                worth.map(|worth| worth.to_string())
            }
            Limit::PositionQty => Some(self.worst(scope, &Symbol::new(of)).to_string()),
            Limit::PositionNotional => {
                let quote = Asset::new(of);
                let here = |symbol: &&Symbol| self.books.listing(symbol).is_some_and(|l| l.quote == quote);
                let used = self.used_by(scope).symbols;
                let worth =
                    |symbol: &Symbol| Some(self.guard.last_middle(symbol)?.times(self.worst(scope, symbol)));
                let worth: Option<Vec<_>> = used.iter().filter(here).map(worth).collect();
                Some(worth?.into_iter().max().unwrap_or_default().to_string())
            }
            Limit::LossPerDay => self.loss(now, scope, &Asset::new(of)).ok().map(|loss| loss.to_string()),
            Limit::OrdersPerSecond => Some(pace().0.to_string()),
            Limit::RejectsPerMinute => Some(pace().1.to_string()),
        }
    }

    fn exposures(&self, scope: Scope) -> impl Iterator<Item = (&Symbol, &Exposure)> {
        let among = move |session: SessionId| scope == Scope::Account || scope == Scope::Session(session);
        let all = self.orders.exposures().all();
        all.filter(move |(of, ..)| among(*of)).map(|(_, symbol, exposure)| (symbol, exposure))
    }

    /// The size of a position with all open orders of a side filled, on the worse side.
    fn worst(&self, scope: Scope, symbol: &Symbol) -> Qty {
        let position = match scope {
            Scope::Session(session) => self.books.position(session, symbol).qty,
            Scope::Account => self.books.net_of_sessions(symbol),
        };
        let here = self.exposures(scope).filter(|(of, _)| *of == symbol);
        let (buys, sells) = here.fold((Qty::ZERO, Qty::ZERO), |(buys, sells), (_, exposure)| {
            (buys + exposure.buys, sells + exposure.sells)
        });
        (position + buys).max(sells - position)
    }

    /// Puts other limits in force.
    pub(super) fn set_limits(&mut self, now: Time, by: &str, set: &SetLimits) -> Result<(), ErrorBody> {
        let before = self.operator.limits.as_ref().map_or(0, |set| set.revision);
        if set.revision.is_some_and(|revision| revision != before) {
            let message = format!("the limits are those of revision {before} now; nothing was changed");
            return Err(ErrorBody::new(ErrorCode::StaleLimits, message));
        }
        let (limits, rules) = match &set.limits.0 {
            Value::Null => (None, self.config.limits.clone()),
            given => {
                let rules =
                    form::read(given).map_err(|words| ErrorBody::new(ErrorCode::BadRequest, words))?;
                (Some(form::write(&rules)), rules)
            }
        };
        let from = form::write(self.guard.rules());
        let fields = format!("by={by:?} revision={} from={from} to={}", before + 1, form::write(&rules));
        self.log(LogLevel::Warn, "limits set by the operator", fields);
        self.record_limits(now, before + 1, limits, by);
        self.hold_to(now, rules);
        Ok(())
    }

    fn record_limits(&mut self, now: Time, revision: u64, limits: Option<Value>, by: &str) {
        let configured = form::write(&self.config.limits);
        let record = LimitsRecord { revision, limits, configured, by: by.to_owned(), time: now };
        self.operator.limits = Some(record.clone());
        self.commits.push(Record::Limits(record));
        // The loss of power must not loosen what was tightened in an emergency.
        self.commits.sync();
    }

    /// From here on orders are held to these; what they are judged by is watched.
    fn hold_to(&mut self, now: Time, rules: Limits) {
        self.guard.replace(rules);
        self.doubt_limit_names();
        self.watch_held(now);
        let trading = self.clients.iter().filter(|(conn, _)| self.may_trade(**conn));
        let streams = trading.flat_map(|(_, client)| client.streams.iter());
        let symbols: BTreeSet<Symbol> = streams.map(|stream| stream.symbol.clone()).collect();
        for symbol in symbols {
            self.watch_book(now, &symbol);
        }
    }

    /// Limits the operator set in an earlier run hold on, unless the configuration's are others than they were then.
    pub(in crate::gateway) fn restore_limits(&mut self, now: Time) {
        let Some(LimitsRecord { revision, limits: Some(limits), configured, .. }) =
            self.operator.limits.clone()
        else {
            return;
        };
        let advice = "\"limits\" of the configuration hold from now on: set others with pyalgo limits";
        let reason = match form::read(&limits) {
            Ok(_) if form::write(&self.config.limits) != configured => {
                "the configuration has changed".to_owned()
            }
            Ok(rules) => {
                self.log(LogLevel::Warn, "limits of the operator hold", format!("limits={limits}"));
                return self.guard.replace(rules);
            }
            Err(words) => words,
        };
        let fields = format!("reason={reason:?} limits={limits} advice={advice:?}");
        self.log(LogLevel::Warn, "limits of the operator hold no more", fields);
        self.record_limits(now, revision + 1, None, "start");
    }
}

/// Those in use that are not named, with what they fall under.
fn unnamed<K: Ord + std::fmt::Display, V: Copy + Default + std::fmt::Display>(
    used: &BTreeSet<K>,
    caps: &Caps<K, V>,
) -> Vec<(String, String)> {
    let unnamed = used.iter().filter(|key| !caps.named.contains_key(key));
    unnamed.map(|key| (key.to_string(), caps.of(key).to_string())).collect()
}
