//! Limits of sessions and the account, held to every order before it is sent: [`crate::limits`] judges, here are the
//! numbers it judges by.
//!
//! * Where sessions stand is what the books and the open orders say, so a restart changes nothing of it; the account is
//!   all sessions together. What was counted over a second or a minute begins anew.
//! * The middle of a book is that of the venue's best prices, watched for every symbol that needs it. A judgement of
//!   *price* wants it fresh; an open position is valued at the last that was seen. It is watched for every symbol that
//!   sessions hold something in, from the moment they do. What is held in a symbol the exchange does not list any more
//!   is valued at what it cost.
//! * An amend is judged as the order it would make, in place of the one it changes. One that leaves less of the order
//!   at the same price is like a cancel: it passes.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::io::LogLevel;
use crate::ids::{Asset, SessionId, Symbol};
use crate::instrument::Instrument;
use crate::limits::pace::Pace;
use crate::limits::{Asked, Breach, Judge, Limit, Limits, Quote, Scope, Standing};
use crate::market::{Channel, Depth, Stream};
use crate::num::{Cash, Price, Qty};
use crate::order::exposure::Exposure;
use crate::order::request::{NewOrder, Terms};
use crate::order::state::Order;
use crate::time::{Span, Time};
use crate::wire::error::{ErrorBody, ErrorCode};

/// A refusal of the same kind is logged no more often.
const LOG_EVERY: Span = Span::from_secs(60);

/// A book that is watched.
#[derive(Debug, Default)]
struct Book {
    /// Its best prices, if it has both.
    quote: Option<Quote>,
    /// The last middle there was.
    middle: Option<Price>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    rules: Limits,
    none: bool,
    books: bool,
    account: Pace,
    sessions: BTreeMap<SessionId, Pace>,
    books_of: BTreeMap<Symbol, Book>,
    /// What limits name and the exchange does not have, as it was told last.
    misnamed: Vec<String>,
    /// Symbols in which something is held and that the exchange does not list.
    unlisted: BTreeSet<Symbol>,
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
            books_of: BTreeMap::new(),
            misnamed: Vec::new(),
            unlisted: BTreeSet::new(),
            logged: BTreeMap::new(),
        }
    }

    /// Those in force.
    pub(super) fn rules(&self) -> &Limits {
        &self.rules
    }

    /// Other limits from now on. What was counted and seen so far stays.
    pub(super) fn replace(&mut self, rules: Limits) {
        (self.none, self.books) = (rules.is_empty(), rules.need_books());
        self.rules = rules;
        self.logged.clear();
    }

    /// Orders sent in the last second, and rejected in the last minute.
    pub(super) fn recent(&self, now: Time, scope: Scope) -> (usize, usize) {
        let pace = match scope {
            Scope::Session(session) => self.sessions.get(&session),
            Scope::Account => Some(&self.account),
        };
        pace.map(|pace| pace.recent(now)).unwrap_or_default()
    }

    /// Is an order not sent that would trade with another of the account?
    pub(super) fn refuses_self_trade(&self) -> bool {
        self.rules.refuse_self_trade
    }

    /// The last middle of a book there was.
    pub(super) fn last_middle(&self, symbol: &Symbol) -> Option<Price> {
        self.books_of.get(symbol).and_then(|book| book.middle)
    }

    /// The best prices of a book that is watched, as they were seen last.
    pub(super) fn quote(&self, symbol: &Symbol) -> Option<Quote> {
        self.books_of.get(symbol).and_then(|book| book.quote)
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
            && let Some(quote) = self.books_of.get_mut(&stream.symbol).and_then(|book| book.quote.as_mut())
        {
            quote.fresh = false;
        }
    }

    /// New best prices, which count where limits watch the book.
    pub(super) fn take(&mut self, symbol: &Symbol, depth: &Depth) {
        let Some(book) = self.books_of.get_mut(symbol) else { return };
        let best = depth.bids.first().zip(depth.asks.first());
        book.quote = best.map(|(bid, ask)| Quote { bid: bid.price, ask: ask.price, fresh: true });
        let both = book.quote.filter(|quote| quote.bid.is_positive() && quote.ask.is_positive());
        // A side that is empty for a moment does not make a position worth nothing.
        book.middle = both.map(|quote| quote.middle()).or(book.middle);
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
        total: amount.is_none().then_some(order.qty),
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
        total: Some(qty),
        amount: None,
        price: price.or(order.price),
        // What was triggered is an order like any other.
        stop: order.stop.filter(|_| order.is_untriggered_stop()),
    })
}

impl Gateway {
    /// Is the order within all limits of its session and of the account, in place of the one it would change? True: it
    /// counts for their rates, as it may do more than reduce.
    pub(super) fn judge_limits(
        &mut self,
        now: Time,
        session: SessionId,
        asked: &Asked<'_>,
        replaced: Exposure,
    ) -> Result<bool, ErrorBody> {
        if self.guard.none {
            return Ok(true);
        }
        if self.guard.books {
            self.watch_book(now, asked.symbol);
        }
        self.judge_self_trade(asked)?;
        self.within(now, session, asked, replaced).map_err(|breach| {
            if breach.wants_book {
                self.watch_held(now);
            }
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
    ) -> Result<bool, Breach> {
        let guard = &self.guard;
        let book = guard.quote(asked.symbol);
        let scopes = [
            (Scope::Session(session), guard.rules.of(session), guard.sessions.get(&session)),
            (Scope::Account, &guard.rules.account, Some(&guard.account)),
        ];
        let mut reduces = false;
        for (scope, bounds, pace) in scopes {
            let wants_loss = bounds.loss_per_day.is_some();
            let (standing, unpriced_open) = &self.standing(scope, asked, replaced);
            let loss = if wants_loss { self.loss(now, scope, asked.quote) } else { Ok(Cash::ZERO) };
            let standing = &Standing { loss: loss.as_ref().ok().copied(), ..*standing };
            if scope != Scope::Account {
                reduces = standing.only_reduces(asked.side, asked.qty);
            }
            let unpriced_held = loss.as_ref().err();
            let unpriced_open = unpriced_open.as_ref();
            let judge = Judge { scope, bounds, standing, book, unpriced_held, unpriced_open };
            judge.every(asked)?;
            if !reduces {
                judge.growing(asked)?;
                pace.map_or(Ok(()), |pace| pace.judge(now, &judge))?;
            }
        }
        Ok(!reduces)
    }

    /// Can the order only bring the session's position nearer zero, in place of the one it would change?
    pub(super) fn only_reduces(&self, session: SessionId, asked: &Asked<'_>, replaced: Exposure) -> bool {
        let (standing, _) = self.standing(Scope::Session(session), asked, replaced);
        standing.only_reduces(asked.side, asked.qty)
    }

    /// Where a session, or the account, stands without the order that is to be changed; its loss apart. With a symbol
    /// in which orders are open whose worth cannot be said, if there is one.
    fn standing(&self, scope: Scope, asked: &Asked<'_>, replaced: Exposure) -> (Standing, Option<Symbol>) {
        let mut unpriced = None;
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
                let middle = self.guard.last_middle(symbol);
                if middle.is_none() && !exposure.unpriced.is_zero() {
                    unpriced = Some(symbol.clone());
                }
                standing.open_notional += exposure.worth(middle.unwrap_or_default());
            }
        }
        let here = here - replaced;
        (standing.buys, standing.sells) = (here.buys, here.sells);
        (standing.blind_buys, standing.blind_sells) = (here.blind_buys, here.blind_sells);
        standing.open_orders -= replaced.orders;
        standing.open_notional -= replaced.priced;
        standing.position = match scope {
            Scope::Session(session) => self.books.position(session, asked.symbol).qty,
            Scope::Account => self.books.net_of_sessions(asked.symbol),
        };
        (standing, unpriced)
    }

    /// The loss of the day in a quote asset; else a symbol that is held and has no price.
    pub(super) fn loss(&self, now: Time, scope: Scope, quote: &Asset) -> Result<Cash, Symbol> {
        let middle = |symbol: &Symbol| match self.guard.last_middle(symbol) {
            None if self.guard.unlisted.contains(symbol) => Ok(None),
            middle => middle.map(Some).ok_or_else(|| symbol.clone()),
        };
        let loss = |session| self.books.loss_since(session, quote, now.day(), middle);
        match scope {
            Scope::Session(session) => loss(session),
            Scope::Account => self.books.sessions().into_iter().map(loss).sum(),
        }
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
        if self.guard.books && !self.guard.books_of.contains_key(symbol) {
            self.guard.books_of.insert(symbol.clone(), Book::default());
            self.want_best(now, symbol);
        }
    }

    /// The books of symbols that sessions hold something in, or have orders open in: loss and worth are reckoned by
    /// them.
    pub(super) fn watch_held(&mut self, now: Time) {
        let held = self.books.positions().filter(|(_, _, totals)| !totals.qty.is_zero());
        let mut symbols: BTreeSet<Symbol> = held.map(|(_, symbol, _)| symbol.clone()).collect();
        symbols.extend(self.orders.exposures().all().map(|(_, symbol, _)| symbol.clone()));
        self.watch_books(now, symbols);
    }

    /// Names of limits that the exchange does not have, as far as its symbols are known.
    pub(super) fn misnamed(&self) -> Vec<String> {
        let known = self.instruments.as_ref();
        known.map(|known| self.guard.rules.misnamed(known.values())).unwrap_or_default()
    }

    /// Says which names of limits the exchange does not have: beside one for all others they bound nothing.
    pub(super) fn doubt_limit_names(&mut self) {
        let misnamed = self.misnamed();
        if !misnamed.is_empty() && misnamed != self.guard.misnamed {
            let fields = format!(
                "names={} advice={:?}",
                misnamed.join(","),
                "correct \"limits\" and restart, or pyalgo limits"
            );
            self.log(LogLevel::Error, "limits name what the exchange does not have", fields);
        }
        self.guard.misnamed = misnamed;
    }

    /// The books of positions that have just come to be.
    pub(super) fn watch_touched(&mut self, now: Time) {
        if !self.guard.books || self.instruments.is_none() {
            return;
        }
        let unknown = |symbol: &Symbol| {
            !self.guard.books_of.contains_key(symbol) && !self.guard.unlisted.contains(symbol)
        };
        let touched = self.books.touched_positions().iter().filter(|(_, symbol)| unknown(symbol));
        let held = touched.filter(|(session, symbol)| !self.books.position(*session, symbol).qty.is_zero());
        let symbols: BTreeSet<Symbol> = held.map(|(_, symbol)| symbol.clone()).collect();
        self.watch_books(now, symbols);
    }

    fn watch_books(&mut self, now: Time, symbols: BTreeSet<Symbol>) {
        if !self.guard.books {
            return;
        }
        let Some(known) = &self.instruments else { return };
        self.guard.unlisted.retain(|symbol| !known.contains_key(symbol));
        let (listed, unlisted): (Vec<Symbol>, Vec<Symbol>) =
            symbols.into_iter().partition(|symbol| known.contains_key(symbol));
        listed.iter().for_each(|symbol| self.watch_book(now, symbol));
        for symbol in unlisted {
            if self.guard.unlisted.insert(symbol.clone()) {
                let advice = "the loss of the day takes it at what it cost";
                let fields = format!("symbol={symbol} advice={advice:?}");
                self.log(LogLevel::Error, "the exchange lists no such symbol, and sessions use it", fields);
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
