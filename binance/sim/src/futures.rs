//! USDT-margined futures: the venue's protocol over the perpetuals of the matching core.
//!
//! Paths, pools, methods, streams and private events of their own; keys, sessions, parameters, faults and
//! journals are those of spot. The spot price of the same simulator is the index.

mod account;
mod algo;
mod control;
mod frames;
mod info;
mod journal;
pub(crate) mod listen_keys;
mod listings;
mod market_queries;
pub(crate) mod methods;
mod order_json;
mod private;
mod publish;
mod read;
mod refusals;
mod resume;
pub(crate) mod streams;
mod trading;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tradingsys::exchange::futures::{Event, Futures as Core};
use tradingsys::exchange::{AccountId, AccountSettings, Order, OrderEvent, Rate};
use tradingsys::ids::{Asset, Symbol};
use tradingsys::num::Price;
use tradingsys::time::Time;

use crate::bars::Bars;
use crate::config::{AccountConfig, Config};
use crate::feed::{Begun, Feed};
use crate::journal::Journaled;
use crate::limits::RateLimits;
use crate::market_data::{Diff, MarketData};
use crate::product::{Product, Route};
use crate::sim::BadStart;
use crate::streams::MarketIndex;
use frames::Style;
use listen_keys::ListenKeys;
use order_json::Label;
use streams::{Kind, Name, Unrouted};

/// Makes a perpetual's random numbers others than its index's.
const APART: u64 = 0x7065_7270;
/// How far a perpetual strays from its index.
const SWING: Rate = Rate::basis_points(4);

/// One perpetual.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) data: MarketData,
    pub(crate) feed: Feed,
    pub(crate) style: Style,
    /// When it was listed, in milliseconds.
    pub(crate) listed: i64,
    /// The price of the underlying as it was last seen.
    index: Price,
    /// Last update id told by each diff stream.
    told: [u64; 3],
    /// The largest liquidation since they were last told.
    forced: Option<OrderEvent>,
}

impl Market {
    /// Are its books told at each of its changes?
    pub(crate) fn tells_changes(&self) -> bool {
        self.feed.tells_changes()
    }

    /// An order of the exchange's own traded; the largest one is told.
    fn force(&mut self, event: &OrderEvent) {
        if self.forced.as_ref().is_none_or(|known| known.order.qty < event.order.qty) {
            self.forced = Some(event.clone());
        }
    }
}

/// All that is of futures alone.
#[derive(Debug)]
pub(crate) struct Futures {
    pub(crate) core: Core,
    pub(crate) markets: Vec<Market>,
    pub(crate) places: BTreeMap<Symbol, MarketIndex>,
    pub(crate) rates: RateLimits,
    pub(crate) listen_keys: ListenKeys,
    pub(crate) unrouted: Unrouted,
    events: Vec<Event>,
    recent: VecDeque<OrderEvent>,
    labels: BTreeMap<(Symbol, u64), Label>,
    /// The client's numbers of changes, by execution, until the events are told.
    modify_ids: BTreeMap<u64, i64>,
    /// When the core wants to be called next, as planned.
    pub(crate) planned: Option<Time>,
    /// Symbols an account wants isolated margin for.
    isolated: BTreeSet<(AccountId, Symbol)>,
}

/// Fees and permissions of an account on futures.
fn settings(account: &AccountConfig) -> AccountSettings {
    AccountSettings {
        maker_fee: account.wallets.futures_maker_fee,
        taker_fee: account.wallets.futures_taker_fee,
        pay_in_fee_asset: false,
        can_trade: true,
    }
}

impl Futures {
    /// Begins with the perpetuals listed, goes on from the journals of an earlier run, and gives accounts they do not
    /// know their opening balances.
    ///
    /// # Errors
    /// [`BadStart`] says what does not fit.
    pub(crate) fn new(
        config: &Config,
        journaled: &Journaled,
        names: &[String],
        now: Time,
    ) -> Result<Self, BadStart> {
        let only = config.listed.futures.as_ref();
        let listed =
            |spec: &&listings::Spec| only.is_none_or(|names| names.contains(&Symbol::new(spec.symbol)));
        let specs: Vec<&listings::Spec> = listings::SPECS.iter().filter(listed).collect();
        let contracts = specs.iter().map(|spec| spec.contract(config)).collect();
        let mut core = Core::futures(Asset::new("USDT"), contracts)?;
        let past = resume::past(journaled, names, now)?;
        for (id, account) in (0..).map(AccountId).zip(&config.accounts) {
            core.open_account(id, settings(account));
        }
        core.restore(&past)?;
        for (id, account) in (0..).map(AccountId).zip(&config.accounts) {
            let (known, opening) = (past.income.iter().any(|row| row.account == id), account.wallets.futures);
            if !known && opening.is_positive() {
                core.transfer(now, id, opening).expect("money may always come in");
            }
        }
        let mut futures = Self {
            core,
            markets: Vec::new(),
            places: BTreeMap::new(),
            rates: RateLimits::new(Product::Futures, &config.limits, &config.timing),
            listen_keys: ListenKeys::default(),
            unrouted: config.unrouted,
            events: Vec::new(),
            recent: VecDeque::new(),
            labels: BTreeMap::new(),
            modify_ids: BTreeMap::new(),
            planned: None,
            isolated: BTreeSet::new(),
        };
        for (place, spec) in (0..).zip(specs) {
            futures.open_market(config, now, place, spec);
        }
        Ok(futures)
    }

    fn open_market(&mut self, config: &Config, now: Time, place: MarketIndex, spec: &listings::Spec) {
        let symbol = Symbol::new(spec.symbol);
        let index =
            crate::listings::Spec::of(&symbol).expect("every perpetual has a spot symbol of its name");
        let Config { seed, ticks_per_second, replay, replay_speed, .. } = config;
        let of_this = |recording: &&std::sync::Arc<crate::recording::Recording>| {
            recording.product == Product::Futures && recording.symbol == symbol
        };
        let begun = match replay.as_ref().filter(of_this) {
            Some(recording) => Feed::replay(now, recording.clone(), *replay_speed, &mut self.core),
            None => {
                Feed::synthetic(now, index, (*seed, APART), (*ticks_per_second, Some(SWING)), &mut self.core)
            }
        };
        let Begun { feed, price, past } = begun;
        let style = Style { symbol: symbol.upper(), price: spec.price_places, qty: spec.qty_places };
        let data = MarketData::new(symbol.clone(), Bars::new(now, price, past));
        self.places.insert(symbol, place);
        self.markets.push(Market {
            data,
            feed,
            style,
            listed: spec.listed,
            index: price,
            told: [0; 3],
            forced: None,
        });
    }

    /// The place of a listed perpetual.
    pub(crate) fn place(&self, symbol: &Symbol) -> usize {
        usize::from(*self.places.get(symbol).expect("the core tells of listed perpetuals only"))
    }

    /// The stream of a name, if the route carries it.
    pub(crate) fn stream_named(&self, route: Route, text: &str) -> Option<Name> {
        let place = |symbol: &str| self.places.get(&Symbol::new(symbol)).copied();
        Name::parse(text, place).filter(|name| name.is_on(route, self.unrouted))
    }

    /// Where the changes for a diff stream are gathered. What is told next follows the book as it is now.
    pub(crate) fn diff_of(&mut self, name: Name) -> Option<&mut Option<Diff>> {
        let Name::Of(place, Kind::DepthDiff { speed }) = name else { return None };
        let market = &mut self.markets[usize::from(place)];
        if market.data.diffs[speed.index()].is_none() {
            market.told[speed.index()] = self.core.depth(&market.data.symbol, 1).map_or(0, |d| d.update_id);
        }
        Some(&mut market.data.diffs[speed.index()])
    }

    /// Does a route carry the events of accounts?
    pub(crate) fn carries_accounts(&self, route: Route) -> bool {
        listen_keys::carries_accounts(route, self.unrouted)
    }

    /// Could a name on this route be a listen key?
    pub(crate) fn may_be_listen_key(&self, route: Route, text: &str) -> bool {
        self.carries_accounts(route) && listen_keys::looks_like_key(text)
    }

    fn keep_label(&mut self, order: &Order, label: Label) {
        if label != Label::default() {
            self.labels.insert((order.symbol.clone(), order.id), label);
        }
    }

    /// An order as it was; `None` if it did not exist yet.
    fn order_then(&self, order: &Order, then: Time) -> Option<Order> {
        if order.updated <= then {
            return Some(order.clone());
        }
        let same = |known: &Order| known.id == order.id && known.symbol == order.symbol;
        let mut events = self.recent.iter().rev().filter(|event| same(&event.order));
        events.find(|event| event.time <= then).map(|event| event.order.clone())
    }

    /// Open orders as they were.
    fn open_then(&self, account: AccountId, symbol: Option<&Symbol>, then: Time) -> Vec<Order> {
        let fits = |order: &&Order| order.account == account && symbol.is_none_or(|of| order.symbol == *of);
        let now = self.core.open_orders(account, symbol).unwrap_or_default();
        let changed = self.recent.iter().rev().take_while(|event| event.time > then).map(|e| &e.order);
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for order in now.into_iter().chain(changed.filter(fits)) {
            if seen.insert((order.symbol.clone(), order.id)) {
                found.extend(self.order_then(order, then).filter(|order| order.status.is_open()));
            }
        }
        found.sort_by(|a, b| (&a.symbol, a.id).cmp(&(&b.symbol, b.id)));
        found
    }
}
