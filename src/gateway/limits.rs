//! Limits of sessions and the account, held to every order before it is sent: [`crate::limits`] judges, here are the
//! numbers it judges by.
//!
//! * Where sessions stand is what the books and the open orders say, so a restart changes nothing of it; the account is
//!   all sessions together. What was counted over a second or a minute begins anew.
//! * The middle of a book is that of the venue's best prices, watched for every symbol that needs it. A judgement of
//!   *price* wants it fresh; an open position is valued at the last that was seen.
//! * An amend is judged as the order it would make, in place of the one it changes. One that leaves less of the order
//!   at the same price is like a cancel: it passes.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::io::LogLevel;
use crate::ids::{SessionId, Symbol};
use crate::instrument::Instrument;
use crate::limits::pace::Pace;
use crate::limits::{Asked, Breach, Judge, Limit, Limits, Quote, Scope, Standing};
use crate::market::{Channel, Depth, Stream};
use crate::num::{Price, Qty};
use crate::order::exposure::Exposure;
use crate::order::request::{NewOrder, Terms};
use crate::order::state::Order;
use crate::time::{Span, Time};
use crate::wire::error::{ErrorBody, ErrorCode};

/// A refusal of the same kind is logged no more often.
const LOG_EVERY: Span = Span::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    rules: Limits,
    none: bool,
    books: bool,
    account: Pace,
    sessions: BTreeMap<SessionId, Pace>,
    quotes: BTreeMap<Symbol, Option<Quote>>,
    logged: BTreeMap<(SessionId, Limit), Time>,
}

impl Guard {
    pub(super) fn new(rules: Limits) -> Self {
        Self {
            none: rules.is_empty(),
            books: rules.need_books(),
            rules,
            account: Pace::default(),
            sessions: BTreeMap::new(),
            quotes: BTreeMap::new(),
            logged: BTreeMap::new(),
        }
    }

    /// Is an order not sent that would trade with another of the account?
    pub(super) fn refuses_self_trade(&self) -> bool {
        self.rules.refuse_self_trade
    }

    /// The last middle of a book there was.
    fn last_middle(&self, symbol: &Symbol) -> Option<Price> {
        self.quotes.get(symbol).copied().flatten().map(|quote| quote.middle())
    }

    /// An order of the session was sent, or changed into one that is to be counted.
    pub(super) fn sent(&mut self, now: Time, session: SessionId) {
        if !self.none {
            self.account.sent(now);
            self.sessions.entry(session).or_default().sent(now);
        }
    }

    /// The exchange rejected one.
    pub(super) fn rejected(&mut self, now: Time, session: Option<SessionId>) {
        if let (Some(session), false) = (session, self.none) {
            self.account.rejected(now);
            self.sessions.entry(session).or_default().rejected(now);
        }
    }

    /// What holds of a watched book is not certain any more.
    pub(super) fn stale(&mut self, stream: &Stream) {
        if stream.channel == Channel::Bbo
            && let Some(Some(quote)) = self.quotes.get_mut(&stream.symbol)
        {
            quote.fresh = false;
        }
    }

    /// New best prices. Is that a book that limits watch?
    pub(super) fn take(&mut self, symbol: &Symbol, depth: &Depth) -> bool {
        let Some(quote) = self.quotes.get_mut(symbol) else { return false };
        let best = depth.bids.first().zip(depth.asks.first());
        *quote = best.map(|(bid, ask)| Quote { bid: bid.price, ask: ask.price, fresh: true });
        true
    }
}

/// A new order as limits see it.
pub(super) fn asked<'a>(instrument: &'a Instrument, order: &NewOrder) -> Asked<'a> {
    let amount = match order.terms {
        Terms::MarketQuote { amount } => Some(amount),
        _ => None,
    };
    Asked {
        symbol: &instrument.symbol,
        quote: &instrument.quote,
        side: order.side,
        qty: amount.is_none().then_some(order.qty),
        amount,
        price: order.terms.price(),
        stop: order.terms.stop(),
    }
}

/// What an amend would make of an order; `None` if that can only be less of the same.
pub(super) fn asked_by_amend<'a>(
    instrument: &'a Instrument,
    order: &Order,
    qty: Qty,
    price: Option<Price>,
) -> Option<Asked<'a>> {
    let less = qty <= order.qty && price.is_none_or(|price| Some(price) == order.price);
    (!less).then(|| Asked {
        symbol: &instrument.symbol,
        quote: &instrument.quote,
        side: order.side,
        qty: Some(qty - order.filled),
        amount: None,
        price: price.or(order.price),
        stop: order.stop,
    })
}

impl Gateway {
    /// Is the order within all limits of its session and of the account, in place of the one it would change?
    pub(super) fn judge_limits(
        &mut self,
        now: Time,
        session: SessionId,
        asked: &Asked<'_>,
        replaced: Exposure,
    ) -> Result<(), ErrorBody> {
        if self.guard.none {
            return Ok(());
        }
        if self.guard.books {
            self.watch_book(now, asked.symbol);
        }
        self.judge_self_trade(asked)?;
        self.within(now, session, asked, replaced).map_err(|breach| {
            self.log_breach(now, session, &breach);
            refused(now, &breach)
        })
    }

    fn within(
        &self,
        now: Time,
        session: SessionId,
        asked: &Asked<'_>,
        replaced: Exposure,
    ) -> Result<(), Breach> {
        let guard = &self.guard;
        let book = guard.quotes.get(asked.symbol).copied().flatten();
        let scopes = [
            (Scope::Session(session), guard.rules.of(session), guard.sessions.get(&session)),
            (Scope::Account, &guard.rules.account, Some(&guard.account)),
        ];
        let mut reduces = false;
        for (scope, bounds, pace) in scopes {
            let wants_loss = bounds.loss_per_day.is_some();
            let standing = &self.standing(now, scope, asked, replaced, wants_loss);
            if scope != Scope::Account {
                reduces = standing.only_reduces(asked.side, asked.qty);
            }
            let judge = Judge { scope, bounds, standing, book };
            judge.every(asked)?;
            if !reduces {
                judge.growing(asked)?;
                pace.map_or(Ok(()), |pace| pace.judge(now, &judge))?;
            }
        }
        Ok(())
    }

    /// Where a session, or the account, stands without the order that is to be changed.
    fn standing(
        &self,
        now: Time,
        scope: Scope,
        asked: &Asked<'_>,
        replaced: Exposure,
        wants_loss: bool,
    ) -> Standing {
        let among = |session: SessionId| scope == Scope::Account || scope == Scope::Session(session);
        let mut standing = Standing::default();
        let mut here = Exposure::default();
        for (session, symbol, exposure) in self.orders.exposures().all() {
            if !among(session) {
                continue;
            }
            standing.open_orders += exposure.orders;
            if symbol == asked.symbol {
                here = here + *exposure;
            }
            let listing = self.books.listing(symbol);
            if listing.is_some_and(|listing| listing.quote == *asked.quote) {
                standing.open_notional += exposure.worth(self.guard.last_middle(symbol).unwrap_or_default());
            }
        }
        let here = here - replaced;
        (standing.buys, standing.sells, standing.blind) = (here.buys, here.sells, here.blind);
        standing.open_orders -= replaced.orders;
        standing.open_notional -= replaced.priced;
        standing.position = match scope {
            Scope::Session(session) => self.books.position(session, asked.symbol).qty,
            Scope::Account => self.books.net_of_sessions(asked.symbol),
        };
        if wants_loss {
            let middle = |symbol: &Symbol| self.guard.last_middle(symbol);
            let loss = |session| self.books.loss_since(session, asked.quote, now.day(), middle);
            standing.loss = match scope {
                Scope::Session(session) => loss(session),
                Scope::Account => self.books.sessions().into_iter().map(loss).sum(),
            };
        }
        standing
    }

    fn log_breach(&mut self, now: Time, session: SessionId, breach: &Breach) {
        let last = self.guard.logged.insert((session, breach.limit), now);
        if last.is_some_and(|at| now.since(at) < LOG_EVERY) {
            // The time of the line that was written stays, so that a flood is told of once a minute.
            self.guard.logged.insert((session, breach.limit), last.unwrap_or(now));
            return;
        }
        let fields =
            format!("session={session} limit={} reason={:?}", breach.limit.key(), breach.to_string());
        self.log(LogLevel::Warn, "order refused by a limit", fields);
    }

    /// Best prices of a symbol, for limits: from now on, whether a client wants them or not.
    pub(super) fn watch_book(&mut self, now: Time, symbol: &Symbol) {
        if self.guard.books && !self.guard.quotes.contains_key(symbol) {
            self.guard.quotes.insert(symbol.clone(), None);
            self.want_best(now, symbol);
        }
    }

    /// The books of symbols that sessions hold something in: their loss is reckoned by them.
    pub(super) fn watch_held(&mut self, now: Time) {
        let held = self.books.positions().filter(|(_, _, totals)| !totals.qty.is_zero());
        let symbols: BTreeSet<Symbol> = held.map(|(_, symbol, _)| symbol.clone()).collect();
        for symbol in symbols {
            if self.instrument(&symbol).is_ok() {
                self.watch_book(now, &symbol);
            }
        }
    }
}

fn refused(now: Time, breach: &Breach) -> ErrorBody {
    let code = match breach.limit {
        _ if breach.wants_book => ErrorCode::LimitBook,
        Limit::Symbols => ErrorCode::LimitSymbols,
        Limit::OrderQty | Limit::OrderNotional => ErrorCode::LimitOrderSize,
        Limit::PriceBand => ErrorCode::LimitPriceBand,
        Limit::OpenOrders | Limit::OpenNotional => ErrorCode::LimitOpenOrders,
        Limit::PositionQty | Limit::PositionNotional => ErrorCode::LimitPosition,
        Limit::LossPerDay => ErrorCode::LimitLoss,
        Limit::OrdersPerSecond => ErrorCode::LimitRate,
        Limit::RejectsPerMinute => ErrorCode::LimitRejects,
    };
    let body = ErrorBody::new(code, breach.to_string());
    breach.retry_at.map_or(body.clone(), |at| body.after(at.since(now)))
}
