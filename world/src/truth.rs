//! What really happened: the exchange's own journals, read as text. Nothing here uses the code under test.

use std::collections::{BTreeMap, BTreeSet};

use binance_sim::Journal;
use serde::Deserialize;
use serde_json::Value;

use tradingsys::num::Price;

use crate::interest::Wallet;
use crate::product::Product;

/// A line of `trades.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Trade {
    /// Trade number.
    pub trade_id: u64,
    /// Upper case.
    pub symbol: String,
    /// Order number.
    pub order_id: u64,
    /// Client id at that moment.
    pub client_order_id: String,
    /// Account.
    pub account: String,
    /// `BUY` or `SELL`.
    pub side: String,
    /// Decimal text.
    pub qty: String,
    /// Decimal text.
    pub price: String,
    /// Decimal text.
    pub quote: String,
    /// Decimal text.
    pub commission: String,
    /// In which asset.
    pub commission_asset: String,
    /// `CLIENT`, or why the exchange made it; absent on spot.
    #[serde(default)]
    pub origin: String,
}

impl Trade {
    /// Signed quantity, in units of 10⁻¹⁰.
    pub fn signed(&self) -> i128 {
        if self.side == "BUY" { raw(&self.qty) } else { -raw(&self.qty) }
    }

    /// What was paid for it; negative: received.
    pub fn paid(&self) -> i128 {
        if self.side == "BUY" { raw(&self.quote) } else { -raw(&self.quote) }
    }

    /// Its fee, if that was charged in this asset.
    pub fn fee_in(&self, asset: &str) -> i128 {
        if self.commission_asset == asset { raw(&self.commission) } else { 0 }
    }

    /// Did the exchange make it by itself?
    pub fn is_forced(&self) -> bool {
        matches!(self.origin.as_str(), "LIQUIDATION" | "ADL" | "SETTLEMENT")
    }

    /// The session in its client id.
    pub fn session(&self) -> Option<u16> {
        if self.is_forced() { None } else { session_in(&self.client_order_id) }
    }
}

/// The session in a client id, read naively: sessions of the world have one digit.
fn session_in(client_id: &str) -> Option<u16> {
    if client_id.starts_with("web_") { None } else { client_id.get(15..16)?.parse().ok() }
}

/// A line of `orders.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Line {
    event: String,
    symbol: String,
    order_id: u64,
    client_order_id: String,
    account: String,
    filled: String,
    status: String,
    #[serde(default)]
    origin: String,
}

/// An order as the exchange has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The client id it was placed with.
    pub placed_as: String,
    /// The session in it.
    pub session: Option<u16>,
    /// Status word.
    pub status: String,
    /// Filled quantity.
    pub filled: String,
    /// Cancelled by somebody else, and named anew by that: a question by the name it was placed with does not find it.
    pub by_hand: bool,
    /// In which run of the gateway the exchange took it.
    pub run: u32,
}

impl Order {
    /// Is this how it ended?
    pub fn ended_as(&self, status: &str, filled: i128) -> bool {
        !self.is_open() && self.status == status && raw(&self.filled) == filled
    }

    /// Is it on the book?
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "NEW" | "PARTIALLY_FILLED")
    }
}

/// The account's trades and orders.
#[derive(Debug, Default)]
pub struct Truth {
    /// All trades, by (symbol, trade, order).
    pub trades: BTreeMap<(String, u64, u64), Trade>,
    /// All orders, by (symbol, number).
    pub orders: BTreeMap<(String, u64), Order>,
    /// How often an order was placed under each client id.
    pub placed: BTreeMap<String, u32>,
    /// The first order entered under each client id.
    names: BTreeMap<String, (String, u64)>,
    /// Orders on the book.
    open: BTreeSet<(String, u64)>,
    /// Bookings in the account's futures wallet, in units of 10⁻¹⁰.
    pub income: i128,
    /// What the margin wallet has of each asset, less what it owes, in units of 10⁻¹⁰.
    pub wallet: BTreeMap<String, i128>,
    pub(crate) margin: Wallet,
    /// The present run of the gateway.
    pub(crate) run: u32,
}

/// A decimal text in units of 10⁻¹⁰, read naively.
pub(crate) fn raw(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let digits = format!("{}{fraction:0<10}", whole.trim_start_matches('-'));
    let size: i128 = digits.parse().expect("the simulator writes decimals");
    if negative { -size } else { size }
}

/// The account the gateway trades on.
pub const ACCOUNT: &str = "gateway";

/// Its margin wallet. A schedule trades on one of the two.
pub(crate) const WALLET: &str = "gateway/margin";

/// Is it the account's?
pub(crate) fn is_ours(account: &str) -> bool {
    matches!(account, ACCOUNT | WALLET)
}

/// A line of `futures_income.jsonl`.
#[derive(Clone, Debug, Deserialize)]
struct Booking {
    account: String,
    amount: String,
}

/// One lot, in units of 10⁻¹⁰.
const LOT: i128 = 10_000_000_000;

/// How much of `qty` is whose; `None` has what nobody held.
fn parts(qty: i128, mut held: Vec<(Option<u16>, i128)>) -> Vec<(Option<u16>, i128)> {
    // Sessions come before what is nobody's where they hold the same.
    held.sort_by_key(|(owner, amount)| (-amount, owner.is_none(), *owner));
    let all: i128 = held.iter().map(|(_, amount)| amount).sum();
    let given = qty.min(all);
    let mut parts: Vec<(Option<u16>, i128)> =
        held.iter().map(|(owner, amount)| (*owner, given * amount / all / LOT * LOT)).collect();
    let mut rest = given - parts.iter().map(|(_, part)| part).sum::<i128>();
    for ((_, part), (_, amount)) in parts.iter_mut().zip(&held) {
        let more = rest.min(amount - *part);
        *part += more;
        rest -= more;
    }
    parts.push((None, qty - given));
    parts
}

impl Truth {
    /// What a line of one of the exchange's journals did to the margin wallet. A loan is owed as soon as it is there,
    /// so it moves nothing.
    fn moved(&mut self, journal: Journal, line: &str) {
        let line: Value = serde_json::from_str(line).expect("the simulator writes JSON");
        if line["account"] != WALLET {
            return;
        }
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let amount = |name: &str| raw(&text(name));
        let mut session = None;
        let moves = match journal {
            Journal::Transfers => vec![(text("asset"), amount("delta"))],
            Journal::Liabilities => {
                self.margin.owes(&line);
                let charged = if line["kind"] == "INTEREST" { amount("interest") } else { 0 };
                vec![(text("asset"), -charged)]
            }
            Journal::Trades => {
                session = session_in(&text("client_order_id"));
                let sign = if line["side"] == "BUY" { 1 } else { -1 };
                vec![
                    ("DOGE".to_owned(), sign * amount("qty")),
                    ("USDT".to_owned(), -sign * amount("quote")),
                    (text("commission_asset"), -amount("commission")),
                ]
            }
            _ => Vec::new(),
        };
        for (asset, delta) in moves {
            if journal != Journal::Liabilities {
                self.margin.moves(&line, &asset, delta, session);
            }
            *self.wallet.entry(asset).or_default() += delta;
        }
    }

    /// A line of one of the exchange's journals.
    pub fn heard(&mut self, product: Product, journal: Journal, line: &str) {
        if product == Product::Margin {
            self.moved(journal, line);
        }
        match (product, journal) {
            (Product::Spot | Product::Margin, Journal::Trades) | (Product::Usdt, Journal::FuturesTrades) => {
                self.trade(line)
            }
            (Product::Spot | Product::Margin, Journal::Orders) | (Product::Usdt, Journal::FuturesOrders) => {
                self.order(line)
            }
            (Product::Usdt, Journal::FuturesIncome) => {
                let booking: Booking =
                    serde_json::from_str(line).expect("the simulator writes its bookings in this form");
                if booking.account == ACCOUNT {
                    self.income += raw(&booking.amount);
                }
            }
            _ => {}
        }
    }

    /// A line of the trade journal.
    pub fn trade(&mut self, line: &str) {
        let trade: Trade = serde_json::from_str(line).expect("the simulator writes its trades in this form");
        if is_ours(&trade.account) {
            self.trades.insert((trade.symbol.clone(), trade.trade_id, trade.order_id), trade);
        }
    }

    /// A line of the order journal.
    pub fn order(&mut self, line: &str) {
        let line: Line = serde_json::from_str(line).expect("the simulator writes its orders in this form");
        if !is_ours(&line.account) {
            return;
        }
        let key = (line.symbol.clone(), line.order_id);
        // What the exchange makes by itself it may name alike.
        let commanded = line.origin.is_empty() || line.origin == "CLIENT";
        if line.event == "NEW" && commanded && !self.orders.contains_key(&key) {
            *self.placed.entry(line.client_order_id.clone()).or_default() += 1;
        }
        if !self.orders.contains_key(&key) {
            self.names.entry(line.client_order_id.clone()).or_insert_with(|| key.clone());
        }
        let order = self.orders.entry(key.clone()).or_insert_with(|| Order {
            session: if commanded { session_in(&line.client_order_id) } else { None },
            placed_as: line.client_order_id.clone(),
            status: String::new(),
            filled: String::new(),
            by_hand: false,
            run: self.run,
        });
        order.by_hand = line.event == "CANCELED" && line.client_order_id.starts_with("web_");
        order.status = line.status;
        order.filled = line.filled;
        if order.is_open() {
            self.open.insert(key);
        } else {
            self.open.remove(&key);
        }
    }

    /// What each session (`None`: nobody's) holds by the exchange's trades in their order, and by the rule for what
    /// the exchange ends (docs/ledger.md): in proportion to what was held of that side, in whole lots, the rest at the
    /// largest.
    pub fn holdings(&self) -> BTreeMap<Option<u16>, i128> {
        let mut held: BTreeMap<Option<u16>, i128> = BTreeMap::new();
        for trade in self.trades.values() {
            let signed = trade.signed();
            if !trade.is_forced() {
                *held.entry(trade.session()).or_default() += signed;
                continue;
            }
            let of_side: Vec<(Option<u16>, i128)> = (held.iter())
                .filter(|(_, amount)| (signed < 0) == (**amount > 0) && **amount != 0)
                .map(|(owner, amount)| (*owner, amount.abs()))
                .collect();
            for (owner, part) in parts(signed.abs(), of_side) {
                *held.entry(owner).or_default() += part * signed.signum();
            }
        }
        held
    }

    /// The price of the account's last trade; before any, near which the market begins.
    pub fn last_price(&self) -> Price {
        Price::from_raw(self.trades.values().next_back().map_or(2_000_000_000, |trade| raw(&trade.price)))
    }

    /// The order placed under a client id.
    pub fn by_id(&self, client_id: &str) -> Option<&Order> {
        self.names.get(client_id).and_then(|key| self.orders.get(key))
    }

    /// Numbers of all open orders.
    pub fn open_numbers(&self) -> impl Iterator<Item = u64> {
        self.open.iter().map(|(_, number)| *number)
    }

    /// Client ids of all open orders.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.open.iter().filter_map(|key| self.orders.get(key)).map(|order| order.placed_as.as_str())
    }
}
