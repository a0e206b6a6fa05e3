//! Request weights, request and connection counts per address, unfilled-order counts per account.
//!
//! Windows are fixed and aligned to the clock, as the venue's are: what is used falls to zero at :00, never
//! slides. An address that goes on after a 429 is banned (418) until a time. Each product has pools of its own;
//! orders of futures are plain counts, which fills do not give back.

use std::collections::BTreeMap;

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::{Object, array};
use tradingsys::exchange::AccountId;
use tradingsys::time::{Span, Time};

use crate::config::{Limits, Timing};
use crate::product::Product;

/// Usage within one aligned window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: Time,
    used: u32,
}

impl Window {
    fn at(&mut self, now: Time, length: Span) -> &mut u32 {
        let start = Time::from_nanos(now.nanos() - now.nanos().rem_euclid(length.nanos()));
        if self.start != start {
            *self = Self { start, used: 0 };
        }
        &mut self.used
    }
}

const MINUTE: Span = Span::from_secs(60);
const FIVE_MINUTES: Span = Span::from_secs(300);
const TEN_SECONDS: Span = Span::from_secs(10);
const DAY: Span = Span::from_secs(86_400);

/// What one address used.
#[derive(Clone, Debug, Default)]
struct Address {
    weight: Window,
    requests: Window,
    connections: Window,
    refused: Window,
    banned_until: Option<Time>,
    bans: u32,
}

/// Counts of one account's unfilled orders.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    ten_seconds: Window,
    long: Window,
}

/// The limits of one product.
#[derive(Clone, Copy, Debug)]
struct Pool {
    product: Product,
    weight_per_minute: u32,
    requests_per_5m: u32,
    orders_per_10s: u32,
    /// Orders in the long window.
    orders: u32,
    /// The long window, and its words.
    window: (Span, &'static str),
    connections_per_5m: u32,
    ban_after: u32,
}

impl Pool {
    const fn of(product: Product, limits: &Limits) -> Self {
        let &Limits { weight_per_minute, requests_per_5m, orders_per_10s, orders_per_day, .. } = limits;
        let &Limits { connections_per_5m, ban_after, futures, .. } = limits;
        let spot = Self {
            product,
            weight_per_minute,
            requests_per_5m,
            orders_per_10s,
            orders: orders_per_day,
            window: (DAY, "DAY"),
            connections_per_5m,
            ban_after,
        };
        match product {
            Product::Spot => spot,
            Product::Margin => {
                Self { weight_per_minute: limits.margin_weight, requests_per_5m: u32::MAX, ..spot }
            }
            Product::Futures => Self {
                weight_per_minute: futures.weight_per_minute,
                requests_per_5m: u32::MAX,
                orders_per_10s: futures.orders_per_10s,
                orders: futures.orders_per_minute,
                window: (MINUTE, "MINUTE"),
                ..spot
            },
        }
    }
}

/// All counts of one product.
#[derive(Clone, Debug)]
pub(crate) struct RateLimits {
    limits: Pool,
    ban: Span,
    addresses: BTreeMap<String, Address>,
    orders: BTreeMap<AccountId, Orders>,
    turned_away: u64,
}

impl RateLimits {
    /// No usage yet.
    pub(crate) fn new(product: Product, limits: &Limits, timing: &Timing) -> Self {
        let limits = Pool::of(product, limits);
        let (addresses, orders) = (BTreeMap::new(), BTreeMap::new());
        Self { limits, ban: timing.ban, addresses, orders, turned_away: 0 }
    }

    fn address(&mut self, peer: &str) -> &mut Address {
        self.addresses.entry(peer.to_owned()).or_default()
    }

    /// Charges a request.
    ///
    /// # Errors
    /// 429 over the limit, 418 while banned.
    pub(crate) fn charge(&mut self, now: Time, peer: &str, weight: u32) -> Result<(), ErrorReply> {
        let admitted = self.admit(now, peer, weight);
        self.turned_away += u64::from(admitted.is_err());
        admitted
    }

    /// Requests, orders and connections refused over a limit or under a ban so far, in this run.
    pub(crate) const fn turned_away(&self) -> u64 {
        self.turned_away
    }

    fn admit(&mut self, now: Time, peer: &str, weight: u32) -> Result<(), ErrorReply> {
        let (limits, ban) = (self.limits, self.ban);
        let address = self.address(peer);
        if let Some(until) = address.banned_until.filter(|until| now < *until) {
            return Err(banned(now, until));
        }
        *address.requests.at(now, FIVE_MINUTES) += 1;
        *address.weight.at(now, MINUTE) += weight;
        let over_weight = *address.weight.at(now, MINUTE) > limits.weight_per_minute;
        let over_requests = *address.requests.at(now, FIVE_MINUTES) > limits.requests_per_5m;
        if !over_weight && !over_requests {
            return Ok(());
        }
        let refused = address.refused.at(now, MINUTE);
        *refused += 1;
        if *refused > limits.ban_after {
            address.bans += 1;
            let until = now + ban * i64::from(address.bans);
            address.banned_until = Some(until);
            return Err(banned(now, until));
        }
        if over_weight {
            return Err(refused_for_weight(now, limits.weight_per_minute));
        }
        let message =
            format!("Too many requests; current limit is {} requests per 5 MINUTE.", limits.requests_per_5m);
        let error = ErrorReply::new(429, code::TOO_MANY_REQUESTS, message);
        Err(retry(error, now, end_of(now, FIVE_MINUTES)))
    }

    /// Gives back the weight of an order request that succeeded (free since 2026-04-02).
    pub(crate) fn refund(&mut self, now: Time, peer: &str, weight: u32) {
        let used = self.address(peer).weight.at(now, MINUTE);
        *used = used.saturating_sub(weight);
    }

    /// Counts a new connection; false if the address has opened too many or is banned.
    pub(crate) fn connect(&mut self, now: Time, peer: &str) -> bool {
        let most = self.limits.connections_per_5m;
        let address = self.address(peer);
        let banned = address.banned_until.is_some_and(|until| now < until);
        let used = address.connections.at(now, FIVE_MINUTES);
        *used += u32::from(!banned);
        let welcome = !banned && *used <= most;
        self.turned_away += u64::from(!welcome);
        welcome
    }

    /// Bans an address from now on, whatever it did.
    pub(crate) fn ban(&mut self, now: Time, peer: &str, length: Span) {
        self.address(peer).banned_until = Some(now + length);
    }

    /// Is the address banned, and until when?
    pub(crate) fn banned(&self, now: Time, peer: &str) -> Option<Time> {
        self.addresses.get(peer)?.banned_until.filter(|until| now < *until)
    }

    /// May the account place another order?
    ///
    /// # Errors
    /// 429 with -1015 when one of the windows is full.
    pub(crate) fn order_room(&mut self, now: Time, account: AccountId) -> Result<(), ErrorReply> {
        let (short, long) = self.order_counts(now, account);
        let full = if short >= self.limits.orders_per_10s {
            Some((self.limits.orders_per_10s, 10, "SECOND", TEN_SECONDS))
        } else if long >= self.limits.orders {
            let (length, word) = self.limits.window;
            Some((self.limits.orders, 1, word, length))
        } else {
            None
        };
        let Some((limit, number, window, length)) = full else { return Ok(()) };
        self.turned_away += 1;
        let message = format!("Too many new orders; current limit is {limit} orders per {number} {window}.");
        let error = ErrorReply::new(429, code::TOO_MANY_ORDERS, message);
        Err(retry(error, now, end_of(now, length)))
    }

    /// Counts a new order of an account.
    pub(crate) fn count_order(&mut self, now: Time, account: AccountId) {
        self.count_orders(now, account, 1, 1);
    }

    /// Counts so many orders in ten seconds and in the long window.
    pub(crate) fn count_orders(&mut self, now: Time, account: AccountId, short: u32, long: u32) {
        let length = self.limits.window.0;
        let orders = self.orders.entry(account).or_default();
        *orders.ten_seconds.at(now, TEN_SECONDS) += short;
        *orders.long.at(now, length) += long;
    }

    /// The first fill of an order takes it out of every window; one that rested counts for more.
    pub(crate) fn order_filled(&mut self, now: Time, account: AccountId, maker: bool) {
        let length = self.limits.window.0;
        let orders = self.orders.entry(account).or_default();
        let given_back = if maker { 5 } else { 1 };
        for used in [orders.ten_seconds.at(now, TEN_SECONDS), orders.long.at(now, length)] {
            *used = used.saturating_sub(given_back);
        }
    }

    /// `rateLimits` rows of a reply: the ORDERS rows where an account is named, then the weight.
    pub(crate) fn rows(&mut self, now: Time, peer: &str, account: Option<AccountId>) -> String {
        let limit = self.limits.weight_per_minute;
        let used = *self.address(peer).weight.at(now, MINUTE);
        let mut rows = account.map_or_else(Vec::new, |account| self.order_rows(now, account));
        rows.push(row("REQUEST_WEIGHT", "MINUTE", 1, limit).int("count", used).end());
        array(rows)
    }

    /// The two ORDERS rows of an account.
    pub(crate) fn order_rows(&mut self, now: Time, account: AccountId) -> Vec<String> {
        let (short, long) = self.order_counts(now, account);
        vec![
            row("ORDERS", "SECOND", 10, self.limits.orders_per_10s).int("count", short).end(),
            row("ORDERS", self.limits.window.1, 1, self.limits.orders).int("count", long).end(),
        ]
    }

    /// Orders of an account that count in ten seconds and in the long window.
    pub(crate) fn order_counts(&mut self, now: Time, account: AccountId) -> (u32, u32) {
        let length = self.limits.window.0;
        let orders = self.orders.entry(account).or_default();
        (*orders.ten_seconds.at(now, TEN_SECONDS), *orders.long.at(now, length))
    }

    /// Weight an address used in this minute.
    pub(crate) fn weight_used(&mut self, now: Time, peer: &str) -> u32 {
        *self.address(peer).weight.at(now, MINUTE)
    }

    /// The order limits of an account, as futures answer them.
    pub(crate) fn order_limit_rows(&self) -> String {
        array([
            row("ORDERS", "SECOND", 10, self.limits.orders_per_10s).end(),
            row("ORDERS", self.limits.window.1, 1, self.limits.orders).end(),
        ])
    }

    /// Names of the headers that count orders.
    pub(crate) const fn order_headers(&self) -> [&'static str; 2] {
        match self.limits.product {
            Product::Spot | Product::Margin => ["x-mbx-order-count-10s", "x-mbx-order-count-1d"],
            Product::Futures => ["x-mbx-order-count-10s", "x-mbx-order-count-1m"],
        }
    }

    /// The limit of request weight per minute.
    pub(crate) const fn weight_limit(&self) -> u32 {
        self.limits.weight_per_minute
    }

    /// `rateLimits` of exchangeInfo: on spot over REST with the request count, over the websocket API with the
    /// connections; on futures with neither.
    pub(crate) fn info_rows(&self, websocket: bool) -> String {
        if self.limits.product == Product::Futures {
            return array([
                row("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_per_minute).end(),
                row("ORDERS", "MINUTE", 1, self.limits.orders).end(),
                row("ORDERS", "SECOND", 10, self.limits.orders_per_10s).end(),
            ]);
        }
        let last = if websocket {
            row("CONNECTIONS", "MINUTE", 5, self.limits.connections_per_5m)
        } else {
            row("RAW_REQUESTS", "MINUTE", 5, self.limits.requests_per_5m)
        };
        array([
            row("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_per_minute).end(),
            row("ORDERS", "SECOND", 10, self.limits.orders_per_10s).end(),
            row("ORDERS", "DAY", 1, self.limits.orders).end(),
            last.end(),
        ])
    }
}

fn row(kind: &str, interval: &str, number: u32, limit: u32) -> Object {
    Object::new()
        .text("rateLimitType", kind)
        .text("interval", interval)
        .int("intervalNum", number)
        .int("limit", limit)
}

fn end_of(now: Time, length: Span) -> Time {
    Time::from_nanos(now.nanos() - now.nanos().rem_euclid(length.nanos())) + length
}

/// `data` of a refusal: the server's time, and when to come back, both in milliseconds.
fn retry(error: ErrorReply, now: Time, until: Time) -> ErrorReply {
    let data = Object::new().int("serverTime", now.millis()).int("retryAfter", until.millis());
    error.with_data(data.end())
}

/// The refusal of a request over the weight limit.
pub(crate) fn refused_for_weight(now: Time, limit: u32) -> ErrorReply {
    let message = format!(
        "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. Please use \
         WebSocket Streams for live updates to avoid polling the API."
    );
    retry(ErrorReply::new(429, code::TOO_MANY_REQUESTS, message), now, end_of(now, MINUTE))
}

/// The refusal of a banned address.
pub(crate) fn banned(now: Time, until: Time) -> ErrorReply {
    let message = format!(
        "Way too much request weight used; IP banned until {}. Please use WebSocket Streams for live \
         updates to avoid bans.",
        until.millis()
    );
    retry(ErrorReply::new(418, code::TOO_MANY_REQUESTS, message), now, until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(change: impl Fn(&mut Limits)) -> RateLimits {
        let mut limits = Limits::default();
        change(&mut limits);
        RateLimits::new(Product::Spot, &limits, &Timing::default())
    }

    #[test]
    fn weight_runs_out_then_the_address_is_banned_then_forgiven() {
        let mut rates = limits(|l| {
            l.weight_per_minute = 10;
            l.ban_after = 2;
        });
        let start = Time::from_millis(1_700_000_040_000);
        assert!(rates.charge(start, "a", 10).is_ok());
        let refusal = rates.charge(start, "a", 1).unwrap_err();
        assert_eq!((refusal.status, refusal.code), (429, -1003));
        assert_eq!(
            refusal.data.unwrap(),
            r#"{"serverTime":1700000040000,"retryAfter":1700000100000}"#,
            "the window ends at the full minute"
        );
        assert!(rates.charge(start, "b", 10).is_ok(), "another address has its own");
        assert_eq!(rates.charge(start, "a", 1).unwrap_err().status, 429);
        let ban = rates.charge(start, "a", 1).unwrap_err();
        assert_eq!(ban.status, 418);
        assert!(ban.message.contains("IP banned until 1700000160000"), "{}", ban.message);
        assert!(!rates.connect(start, "a"));
        let later = Time::from_millis(1_700_000_160_000);
        assert!(rates.charge(later, "a", 1).is_ok());
    }

    #[test]
    fn successful_orders_cost_no_weight() {
        let mut rates = limits(|l| l.weight_per_minute = 1);
        for _ in 0..3 {
            rates.charge(Time::from_millis(0), "a", 1).unwrap();
            rates.refund(Time::from_millis(0), "a", 1);
        }
    }

    #[test]
    fn unfilled_orders_fill_the_window_and_fills_empty_it() {
        let mut rates = limits(|l| l.orders_per_10s = 2);
        let start = Time::from_millis(1_700_000_003_000);
        let first = AccountId(0);
        rates.count_order(start, first);
        rates.count_order(start, first);
        let refusal = rates.order_room(start, first).unwrap_err();
        assert_eq!((refusal.status, refusal.code), (429, -1015));
        assert_eq!(refusal.message, "Too many new orders; current limit is 2 orders per 10 SECOND.");
        assert!(rates.order_room(start, AccountId(1)).is_ok(), "another account has its own");
        rates.order_filled(start, first, false);
        assert!(rates.order_room(start, first).is_ok());
        rates.order_filled(start, first, true);
        assert_eq!(rates.order_counts(start, first), (0, 0), "never below zero");
        rates.count_order(start, first);
        let next = Time::from_millis(1_700_000_010_000);
        assert_eq!(rates.order_counts(next, AccountId(0)), (0, 1));
    }
}
