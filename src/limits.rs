//! Limits outside the strategy: how much one session, and all of them together, may order, hold and lose.
//!
//! [`Bounds::judge`] decides about one order by numbers it is told: what the order is, where its owner stands, what the
//! book is. It holds no state; what has to be counted over time is in [`pace`]. Nothing here rounds, and a value that
//! equals its limit is within it.
//!
//! ```text
//!   order ──order size, price band──▶ may it only reduce? ──yes──────────────────────────▶ within
//!               │ refused                   │ no
//!               ▼                           └─symbols, open, position, loss, rate─▶ within
//!             breach ◀────────────────────refused───────────────┘
//! ```
//!
//! Whether an order may only reduce is judged by its session's own position less all that its open orders of that side
//! may still fill, those in doubt included ([`Standing::only_reduces`]).

pub mod form;
pub mod pace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::{Asset, SessionId, Symbol};
use crate::instrument::Instrument;
use crate::market::Side;
use crate::num::{Cash, ONE, Percent, Price, Qty};
use crate::order::exposure::Blind;
use crate::time::Time;

/// A limit for each symbol or asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps<K: Ord, V> {
    /// Those named.
    pub named: BTreeMap<K, V>,
    /// Of all others; `None`: nothing.
    pub others: Option<V>,
}

impl<K: Ord, V: Copy + Default> Caps<K, V> {
    /// The limit of one: what is neither named nor among the others has none of it.
    pub fn of(&self, key: &K) -> V {
        self.named.get(key).copied().or(self.others).unwrap_or_default()
    }
}

/// The limits of one scope; `None`: there is no such limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Symbols that may be traded.
    pub symbols: Option<BTreeSet<Symbol>>,
    /// Quantity of one order.
    pub order_qty: Option<Caps<Symbol, Qty>>,
    /// Worth of one order, in its quote asset.
    pub order_notional: Option<Caps<Asset, Cash>>,
    /// Size of a position, long or short, with all open orders of a side filled.
    pub position_qty: Option<Caps<Symbol, Qty>>,
    /// Worth of such a position, in its quote asset.
    pub position_notional: Option<Caps<Asset, Cash>>,
    /// Orders open at a time.
    pub open_orders: Option<u64>,
    /// Worth of all open orders of a quote asset.
    pub open_notional: Option<Caps<Asset, Cash>>,
    /// How far a price may be from the middle of the book.
    pub price_band: Option<Percent>,
    /// Orders sent within any second.
    pub orders_per_second: Option<u32>,
    /// Loss of the UTC day in a quote asset.
    pub loss_per_day: Option<Caps<Asset, Cash>>,
    /// Orders that the exchange rejects within any minute.
    pub rejects_per_minute: Option<u32>,
}

/// All limits of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of all sessions together.
    pub account: Bounds,
    /// Of each session that has none of its own.
    pub session: Bounds,
    /// Of sessions that have.
    pub sessions: BTreeMap<SessionId, Bounds>,
    /// What those say themselves: the rest of theirs is as [`Limits::session`] has it.
    pub own: BTreeMap<SessionId, Bounds>,
    /// No order is sent that would trade with a resting one of the account.
    pub refuse_self_trade: bool,
}

impl Limits {
    /// The limits of one session.
    pub fn of(&self, session: SessionId) -> &Bounds {
        self.sessions.get(&session).unwrap_or(&self.session)
    }

    /// Are there none at all?
    pub fn is_empty(&self) -> bool {
        !self.refuse_self_trade && self.all().all(|bounds| *bounds == Bounds::default())
    }

    /// Symbols and assets they name.
    pub fn names(&self) -> (BTreeSet<&Symbol>, BTreeSet<&Asset>) {
        let symbols = self.all().flat_map(|bounds| {
            let sized = [&bounds.order_qty, &bounds.position_qty].into_iter().flatten();
            sized.flat_map(|caps| caps.named.keys()).chain(bounds.symbols.iter().flatten())
        });
        let assets = self.all().flat_map(|bounds| {
            let worth = [&bounds.order_notional, &bounds.position_notional, &bounds.open_notional];
            worth.into_iter().chain([&bounds.loss_per_day]).flatten().flat_map(|caps| caps.named.keys())
        });
        (symbols.collect(), assets.collect())
    }

    /// Names among them that none of these instruments has: beside a limit for all others they bound nothing.
    pub fn misnamed<'a>(&self, instruments: impl Iterator<Item = &'a Instrument> + Clone) -> Vec<String> {
        let (symbols, assets) = self.names();
        let unknown = |symbol: &&Symbol| !instruments.clone().any(|instrument| instrument.symbol == **symbol);
        let unquoted = |asset: &&Asset| !instruments.clone().any(|instrument| instrument.quote == **asset);
        let symbols = symbols.into_iter().filter(unknown).map(Symbol::to_string);
        symbols.chain(assets.into_iter().filter(unquoted).map(Asset::to_string)).collect()
    }

    /// Does any of them need the middle of a book?
    pub fn need_books(&self) -> bool {
        self.all().any(|bounds| {
            bounds.price_band.is_some()
                || bounds.order_notional.is_some()
                || bounds.position_notional.is_some()
                || bounds.open_notional.is_some()
                || bounds.loss_per_day.is_some()
        })
    }

    /// Of whatever scope.
    pub fn all(&self) -> impl Iterator<Item = &Bounds> {
        [&self.account, &self.session].into_iter().chain(self.sessions.values())
    }
}

/// Whose limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Of one session.
    Session(SessionId),
    /// Of all sessions together.
    Account,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(session) => write!(f, "session {session}"),
            Self::Account => f.write_str("the account"),
        }
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// [`Bounds::symbols`].
    Symbols,
    /// [`Bounds::order_qty`].
    OrderQty,
    /// [`Bounds::order_notional`].
    OrderNotional,
    /// [`Bounds::price_band`].
    PriceBand,
    /// [`Bounds::open_orders`].
    OpenOrders,
    /// [`Bounds::open_notional`].
    OpenNotional,
    /// [`Bounds::position_qty`].
    PositionQty,
    /// [`Bounds::position_notional`].
    PositionNotional,
    /// [`Bounds::loss_per_day`].
    LossPerDay,
    /// [`Bounds::orders_per_second`].
    OrdersPerSecond,
    /// [`Bounds::rejects_per_minute`].
    RejectsPerMinute,
}

impl Limit {
    /// Its key in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::OrderQty => "order_qty",
            Self::OrderNotional => "order_notional",
            Self::PriceBand => "price_band",
            Self::OpenOrders => "open_orders",
            Self::OpenNotional => "open_notional",
            Self::PositionQty => "position_qty",
            Self::PositionNotional => "position_notional",
            Self::LossPerDay => "loss_per_day",
            Self::OrdersPerSecond => "orders_per_second",
            Self::RejectsPerMinute => "rejects_per_minute",
        }
    }
}

/// Best prices of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Best bid.
    pub bid: Price,
    /// Best ask.
    pub ask: Price,
    /// Has nothing been said against it since?
    pub fresh: bool,
}

impl Quote {
    /// The middle between the two, cut off at 10⁻¹⁰.
    pub fn middle(&self) -> Price {
        Price::from_raw((self.bid.raw() + self.ask.raw()) / 2)
    }
}

/// An order as it is to be judged; of one that is to be changed, what it would become.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of what.
    pub symbol: &'a Symbol,
    /// What it is paid in.
    pub quote: &'a Asset,
    /// Which side.
    pub side: Side,
    /// What of it may still fill; `None` for one by quote amount.
    pub qty: Option<Qty>,
    /// All of it, with what is filled already.
    pub total: Option<Qty>,
    /// Quote amount of such an order.
    pub amount: Option<Cash>,
    /// Limit price.
    pub price: Option<Price>,
    /// Stop price: it waits for that.
    pub stop: Option<Price>,
}

/// Where the owner of an order stands, without the order itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Signed position in the order's symbol.
    pub position: Qty,
    /// What open orders may still buy of it, those in doubt included.
    pub buys: Qty,
    /// What they may still sell.
    pub sells: Qty,
    /// Open buys of it whose quantity nobody knows, as they are by quote amount.
    pub blind_buys: Blind,
    /// Such sells.
    pub blind_sells: Blind,
    /// Open orders for whatever symbol.
    pub open_orders: u64,
    /// What open orders of the order's quote asset are worth.
    pub open_notional: Cash,
    /// Loss of the day in that asset; `None` if it cannot be said.
    pub loss: Option<Cash>,
}

impl Standing {
    /// Can an order do nothing but bring the position nearer zero, whichever of the open ones fill?
    pub fn only_reduces(&self, side: Side, qty: Option<Qty>) -> bool {
        let (held, ahead) = match side {
            Side::Sell => (self.position, self.sells),
            Side::Buy => (-self.position, self.buys),
        };
        self.blind(side).orders == 0 && qty.is_some_and(|qty| ahead + qty <= held)
    }

    /// Open orders of that side by quote amount.
    const fn blind(&self, side: Side) -> Blind {
        match side {
            Side::Buy => self.blind_buys,
            Side::Sell => self.blind_sells,
        }
    }

    /// The position after all open orders of that side and these, signed as the side is.
    fn worst(&self, side: Side, qty: Qty) -> Qty {
        match side {
            Side::Buy => self.position + self.buys + qty,
            Side::Sell => self.sells + qty - self.position,
        }
    }
}

/// Why an order is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}; nothing was sent")]
pub struct Breach {
    /// Which limit.
    pub limit: Limit,
    /// Whose.
    pub scope: Scope,
    /// Is it only that no fresh book is there to judge by?
    pub wants_book: bool,
    /// When it would pass, where time alone helps.
    pub retry_at: Option<Time>,
    words: String,
}

/// Whom an order is judged for, and by what.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Whose limits.
    pub scope: Scope,
    /// The limits.
    pub bounds: &'a Bounds,
    /// Where their owner stands.
    pub standing: &'a Standing,
    /// The book of the order's symbol.
    pub book: Option<Quote>,
    /// A symbol of the quote asset whose price is wanted and is not known: [`Standing::loss`] cannot be said.
    pub unpriced_held: Option<&'a Symbol>,
    /// Such a one for [`Standing::open_notional`], which is too low then.
    pub unpriced_open: Option<&'a Symbol>,
}

impl Judge<'_> {
    /// Is the order within what holds for every order? In this order: size, price.
    ///
    /// # Errors
    /// The first limit it breaks.
    pub fn every(&self, asked: &Asked<'_>) -> Result<(), Breach> {
        let bounds = self.bounds;
        if let Some(caps) = &bounds.order_qty {
            let cap = caps.of(asked.symbol);
            let of = asked.symbol.as_str();
            let Some(qty) = asked.total else { return Err(self.no_quantity(Limit::OrderQty, of, cap)) };
            if qty > cap {
                return Err(self.breach(Limit::OrderQty, of, cap, format!("the order is for {qty}")));
            }
        }
        if let Some(caps) = &bounds.order_notional {
            let cap = caps.of(asked.quote);
            let worth = self.worth(Limit::OrderNotional, asked, asked.total)?;
            if worth > cap {
                let found = format!("the order is worth {worth}");
                return Err(self.breach(Limit::OrderNotional, asked.quote.as_str(), cap, found));
            }
        }
        self.banded(asked)
    }

    /// Is it within what holds for orders that may do more than reduce? In this order: symbol, open orders, position,
    /// loss.
    ///
    /// # Errors
    /// The first limit it breaks.
    pub fn growing(&self, asked: &Asked<'_>) -> Result<(), Breach> {
        let (bounds, standing) = (self.bounds, self.standing);
        if let Some(symbols) = bounds.symbols.as_ref().filter(|symbols| !symbols.contains(asked.symbol)) {
            let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
            let found = format!("the order is for {}", asked.symbol);
            return Err(self.breach(Limit::Symbols, "", names.join(", "), found));
        }
        if let Some(cap) = bounds.open_orders {
            let open = standing.open_orders + 1;
            if open > cap {
                let found = format!("this order would be the {open}. open at a time");
                return Err(self.breach(Limit::OpenOrders, "", cap, found));
            }
        }
        if let Some(caps) = &bounds.open_notional {
            let cap = caps.of(asked.quote);
            let open = standing.open_notional + self.worth(Limit::OpenNotional, asked, asked.qty)?;
            if let Some(symbol) = self.unpriced_open {
                let found = format!("open orders for {symbol} have no price to reckon their worth by");
                return Err(self.wants_book(Limit::OpenNotional, asked.quote.as_str(), cap, &found));
            }
            if open > cap {
                let found = format!("with this order the open ones would be worth {open}");
                return Err(self.breach(Limit::OpenNotional, asked.quote.as_str(), cap, found));
            }
        }
        self.position(asked)?;
        self.loss(asked)
    }

    fn position(&self, asked: &Asked<'_>) -> Result<(), Breach> {
        let (bounds, standing) = (self.bounds, self.standing);
        let blind = standing.blind(asked.side);
        let would =
            |size: String| format!("with this and all open orders filled the position would be {size}");
        if let Some(caps) = &bounds.position_qty {
            let (of, cap) = (asked.symbol.as_str(), caps.of(asked.symbol));
            let Some(qty) = asked.qty else { return Err(self.no_quantity(Limit::PositionQty, of, cap)) };
            if blind.orders > 0 {
                let found = format!(
                    "nobody knows how much of it an open {} order by quote amount, of {}, will fill: wait for its end",
                    asked.side, blind.amount
                );
                return Err(self.breach(Limit::PositionQty, of, cap, found));
            }
            let worst = standing.worst(asked.side, qty);
            if worst > cap {
                let found = would(asked.side.signed(worst).to_string());
                return Err(self.breach(Limit::PositionQty, of, cap, found));
            }
        }
        if let Some(caps) = &bounds.position_notional {
            let (of, cap) = (asked.quote.as_str(), caps.of(asked.quote));
            let middle = self.middle(Limit::PositionNotional, asked.symbol)?;
            let worst = standing.worst(asked.side, asked.qty.unwrap_or_default());
            // What is bought for an amount is worth that.
            let worth = middle.times(worst) + asked.amount.unwrap_or_default() + blind.amount;
            if worth > cap {
                let found = format!("{}, worth {worth}", would(asked.side.signed(worst).to_string()));
                return Err(self.breach(Limit::PositionNotional, of, cap, found));
            }
        }
        Ok(())
    }

    fn loss(&self, asked: &Asked<'_>) -> Result<(), Breach> {
        let Some(caps) = &self.bounds.loss_per_day else { return Ok(()) };
        let (of, cap) = (asked.quote.as_str(), caps.of(asked.quote));
        match self.standing.loss {
            Some(loss) if loss <= cap => Ok(()),
            Some(loss) => {
                let found = format!("the loss of the UTC day is {loss}");
                Err(self.breach(Limit::LossPerDay, of, cap, found))
            }
            None => {
                let held = self.unpriced_held.map_or("something", Symbol::as_str);
                let found = format!("what is held of {held} has no price to reckon its loss by");
                Err(self.wants_book(Limit::LossPerDay, of, cap, &found))
            }
        }
    }

    /// Is its price near enough to the middle of the book, or, if it waits for another price, to that?
    fn banded(&self, asked: &Asked<'_>) -> Result<(), Breach> {
        let Some(band) = self.bounds.price_band else { return Ok(()) };
        let (near, what) = match asked.stop {
            Some(stop) => (stop, "its stop price"),
            None => (self.middle(Limit::PriceBand, asked.symbol)?, "the middle of the book"),
        };
        let Some(price) = asked.price else { return Ok(()) };
        let off = (price - near).abs();
        // All prices are below 10^15, so both products fit into 128 bits with room.
        if off.raw() * 100 * ONE <= band.raw() * near.raw() {
            return Ok(());
        }
        let percent = Percent::from_raw(off.raw() * 100 * ONE / near.raw().max(1));
        let found = format!("the price {price} is {} % from {what}, {near}", percent.fixed(2));
        Err(self.breach(Limit::PriceBand, "", format!("{band} %"), found))
    }

    /// What the order is worth: a buy with a price no more than that, all else at the higher of its own price and the
    /// middle of the book.
    fn worth(&self, limit: Limit, asked: &Asked<'_>, qty: Option<Qty>) -> Result<Cash, Breach> {
        if let Some(amount) = asked.amount {
            return Ok(amount);
        }
        let own = asked.price.or(asked.stop);
        let price = match (asked.side, asked.price) {
            (Side::Buy, Some(price)) => price,
            _ => self.middle(limit, asked.symbol)?.max(own.unwrap_or_default()),
        };
        Ok(price.times(qty.unwrap_or_default()))
    }

    fn middle(&self, limit: Limit, symbol: &Symbol) -> Result<Price, Breach> {
        let good =
            self.book.filter(|quote| quote.fresh && quote.bid.is_positive() && quote.ask.is_positive());
        good.map(|quote| quote.middle()).ok_or_else(|| {
            let (key, scope) = (limit.key(), self.scope);
            let words = format!(
                "{key} of {scope} is judged by the book of {symbol}, and there is no fresh one; try again in a moment"
            );
            Breach { limit, scope, wants_book: true, retry_at: None, words }
        })
    }

    fn wants_book(&self, limit: Limit, of: &str, cap: impl fmt::Display, found: &str) -> Breach {
        let breach = self.breach(limit, of, cap, format!("{found}; try again in a moment"));
        Breach { wants_book: true, ..breach }
    }

    fn no_quantity(&self, limit: Limit, of: &str, cap: impl fmt::Display) -> Breach {
        let found = "an order by quote amount has no quantity to hold against it: send a quantity".to_owned();
        self.breach(limit, of, cap, found)
    }

    fn breach(&self, limit: Limit, of: &str, cap: impl fmt::Display, found: String) -> Breach {
        let (key, scope) = (limit.key(), self.scope);
        let what = if of.is_empty() { String::new() } else { format!(" in {of}") };
        let words = format!("{key}{what} of {scope} is {cap}, and {found}");
        Breach { limit, scope, wants_book: false, retry_at: None, words }
    }

    /// Too many within a time.
    fn too_often(&self, limit: Limit, cap: u32, what: &str, now: Time, retry_at: Time) -> Breach {
        let wait = retry_at.since(now).millis() + 1;
        let found = format!("{what}; try again in {wait} ms");
        Breach { retry_at: Some(retry_at), ..self.breach(limit, "", cap, found) }
    }
}

#[cfg(test)]
mod tests;
