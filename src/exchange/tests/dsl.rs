//! Scripts: what accounts ask for, and under each request, indented, all that happened.
//!
//! ```text
//! A sell 1 @ 100 as x            an order; `as` names it; GTC unless ioc, fok or post follows the price
//! B buy 2 market                 by quantity; `buy $50 market` by quote amount; `stp=EXPIRE_MAKER` adds a mode
//! A sell 1 stop 95 limit 94      a stop; `profit` instead of `stop` for take-profits, no `limit` for market orders
//! A cancel x as y                cancels; `only new` or `only partial` adds a condition
//! A amend x 0.5 as y             reduces to 0.5
//! A replace x with buy 1 @ 99    cancels and places; `replace! x` places even if the cancel fails
//! A balance                      prints free+locked of what the account has
//! book                           prints the book, bids | asks
//! halt, cancel-only, open        sets the status
//! snapshot 5: 99x1 | 101x2       a recorded book; diff 6-7: …; best 8: …; trade 9 1@100 sell (the taker sold)
//! ```
//! Money: every account starts with 1000 USDT, 10 BTC and 10 BNB, and pays no fees unless the test sets them.

use crate::exchange::*;
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::instrument::InstrumentStatus;
use crate::market::{Depth, Level, OrderType, PublicTrade, Side, Stp, Tif};
use crate::num::Cash;
use crate::order::request::Terms;
use crate::time::{Span, Time};

pub(super) struct Stage {
    pub(super) exchange: Exchange,
    pub(super) symbol: Symbol,
    now: Time,
    named: u32,
    /// All events so far.
    pub(super) raw: Vec<Event>,
}

/// An account's letter as its id.
pub(super) fn account(letter: &str) -> AccountId {
    AccountId(u32::from(letter.bytes().next().unwrap_or(b'A') - b'A'))
}

fn letter(id: AccountId) -> char {
    char::from(b'A' + id.0 as u8)
}

/// Accounts A to C in BTCUSDT; BNBUSDT is listed, too, for fees.
pub(super) fn stage(adjust: impl FnOnce(&mut Config)) -> Stage {
    let listings = [("BTC", "USDT"), ("BNB", "USDT")];
    let listings = listings.map(|(base, quote)| Listing::new(super::instrument(base, quote))).into();
    let discount = "0.25".parse().unwrap();
    let fee_asset = Some(Asset::new("BNB"));
    let mut config = Config { listings, fee_asset, fee_asset_discount: discount };
    adjust(&mut config);
    let symbol = config.listings[0].instrument.symbol.clone();
    let mut stage = Stage {
        exchange: Exchange::new(config).unwrap(),
        symbol,
        now: Time::from_millis(1_000),
        named: 0,
        raw: Vec::new(),
    };
    for name in ["A", "B", "C"] {
        let settings =
            AccountSettings { maker_fee: Rate::ZERO, taker_fee: Rate::ZERO, ..AccountSettings::default() };
        stage.exchange.open_account(account(name), settings);
        for (asset, amount) in [("USDT", 1_000), ("BTC", 10), ("BNB", 10)] {
            let amount = Cash::whole(amount);
            stage.exchange.deposit(stage.now, account(name), &Asset::new(asset), amount).unwrap();
        }
    }
    stage.exchange.drain_events(&mut Vec::new());
    stage
}

/// Runs a script on a plain stage.
pub(super) fn check(script: &str) {
    stage(|_| {}).check(script);
}

impl Stage {
    /// Runs a script and compares what happened with what it says.
    pub(super) fn check(&mut self, script: &str) {
        let mut happened = Vec::new();
        let mut said = Vec::new();
        for line in script.lines().filter(|line| !line.trim().is_empty()) {
            let text = line.trim().to_owned();
            let indent = line.len() - line.trim_start().len();
            let first = script.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            said.push(text.clone());
            if indent == first.len() - first.trim_start().len() {
                let told = self.run(&text);
                happened.push(text);
                happened.extend(told);
            }
        }
        let (said, happened) = (said.join("\n"), happened.join("\n"));
        assert!(said == happened, "the script says\n{said}\n\nbut this happened\n{happened}\n");
    }

    /// Runs one line; gives what happened.
    pub(super) fn run(&mut self, line: &str) -> Vec<String> {
        self.now += Span::from_millis(1);
        let words: Vec<&str> = line.split_whitespace().collect();
        let refused = match words[0] {
            "book" => return vec![self.book()],
            "halt" => self.status(InstrumentStatus::Halted),
            "cancel-only" => self.status(InstrumentStatus::CancelOnly),
            "open" => self.status(InstrumentStatus::Trading),
            "snapshot" | "diff" | "best" | "trade" => self.recorded(&words),
            who => match words[1] {
                "balance" => return vec![self.balance(who)],
                _ => self.act(account(who), &words[1..]).err().map(|reject| reject.to_string()),
            },
        };
        let mut events = Vec::new();
        self.exchange.drain_events(&mut events);
        let told: Vec<String> = events.iter().filter_map(tell).collect();
        self.raw.append(&mut events);
        told.into_iter().chain(refused.map(|reason| format!("refused: {reason}"))).collect()
    }

    fn status(&mut self, status: InstrumentStatus) -> Option<String> {
        self.exchange.set_status(&self.symbol, status).unwrap();
        None
    }

    fn act(&mut self, who: AccountId, words: &[&str]) -> Result<(), Reject> {
        let now = self.now;
        match words[0] {
            "cancel" => {
                let cancel = self.cancel(words);
                self.exchange.cancel(now, who, &cancel).map(drop)
            }
            "amend" => {
                let (symbol, order) = (self.symbol.clone(), reference(words[1]));
                let amend =
                    Amend { symbol, order, qty: words[2].parse().unwrap(), amend_id: self.name(words) };
                self.exchange.amend_keep_priority(now, who, &amend).map(drop)
            }
            "replace" | "replace!" => {
                let at = words.iter().position(|word| *word == "with").unwrap();
                let (cancel, request) = (self.cancel(&words[..at]), self.request(&words[at + 1..]));
                let mode = match words[0] {
                    "replace" => CancelReplaceMode::StopOnFailure,
                    _ => CancelReplaceMode::AllowFailure,
                };
                let legs = self.exchange.cancel_replace(now, who, mode, &cancel, &request)?;
                legs.cancel.map(drop).and(legs.new.map_or(Ok(()), |new| new.map(drop)))
            }
            _ => {
                let request = self.request(words);
                self.exchange.place(now, who, &request).map(drop)
            }
        }
    }

    fn name(&mut self, words: &[&str]) -> ClientOrderId {
        self.named += 1;
        let given = words.iter().position(|word| *word == "as").map(|at| words[at + 1].to_owned());
        ClientOrderId::foreign(&given.unwrap_or_else(|| format!("#{}", self.named)))
    }

    fn cancel(&mut self, words: &[&str]) -> Cancel {
        let restriction = words.iter().position(|word| *word == "only").map(|at| match words[at + 1] {
            "new" => CancelRestriction::OnlyNew,
            _ => CancelRestriction::OnlyPartiallyFilled,
        });
        let (symbol, order) = (self.symbol.clone(), reference(words[1]));
        Cancel { symbol, order, cancel_id: self.name(words), restriction }
    }

    fn request(&mut self, words: &[&str]) -> Request {
        let after = |word: &str| words.iter().position(|w| *w == word).map(|at| words[at + 1]);
        let tif = match words {
            _ if words.contains(&"ioc") => Tif::Ioc,
            _ if words.contains(&"fok") => Tif::Fok,
            _ => Tif::Gtc,
        };
        let stop = after("stop").map(|stop| (stop, OrderType::StopLoss, OrderType::StopLossLimit));
        let profit = after("profit").map(|stop| (stop, OrderType::TakeProfit, OrderType::TakeProfitLimit));
        let terms = if let Some((stop, market, limited)) = stop.or(profit) {
            let limit = after("limit").map(|price| (price.parse().unwrap(), tif));
            let order_type = if limit.is_some() { limited } else { market };
            Terms::Stop { order_type, stop: stop.parse().unwrap(), limit }
        } else if let Some(price) = after("@") {
            let price = price.parse().unwrap();
            if words.contains(&"post") { Terms::PostOnly { price } } else { Terms::Limit { price, tif } }
        } else if let Some(amount) = words[1].strip_prefix('$') {
            Terms::MarketQuote { amount: amount.parse().unwrap() }
        } else {
            Terms::Market
        };
        let stp = words.iter().find_map(|word| word.strip_prefix("stp="));
        Request {
            symbol: self.symbol.clone(),
            client_id: self.name(words),
            side: if words[0] == "buy" { Side::Buy } else { Side::Sell },
            terms,
            qty: words[1].parse().unwrap_or_default(),
            stp: stp.and_then(Stp::from_word),
        }
    }

    fn balance(&self, who: &str) -> String {
        let balances = self.exchange.balances(account(who)).unwrap();
        let text = |b: &Balance| format!("{} {}+{}", b.asset, b.free, b.locked);
        balances.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    fn book(&self) -> String {
        let depth = self.exchange.depth(&self.symbol, 100).unwrap();
        format!("{} | {}", levels(&depth.bids), levels(&depth.asks)).trim().to_owned()
    }

    /// A piece of a recording; the reason if it was refused.
    fn recorded(&mut self, words: &[&str]) -> Option<String> {
        let (now, symbol) = (self.now, self.symbol.clone());
        if words[0] == "trade" {
            let (qty, price) = words[2].split_once('@').unwrap();
            let (price, qty) = (price.parse().unwrap(), qty.parse().unwrap());
            let (id, buyer_is_maker) = (words[1].parse().unwrap(), words[3] == "sell");
            let trade = PublicTrade { id, time: now, price, qty, buyer_is_maker };
            return self.exchange.replay_trade(now, &symbol, &trade).err().map(|error| error.to_string());
        }
        let ids = words[1].trim_end_matches(':');
        let (first, last) = ids.split_once('-').unwrap_or((ids, ids));
        let (first_update_id, last_update_id) = (first.parse().unwrap(), last.parse().unwrap());
        let mut sides = words[2..].split(|word| *word == "|").map(read_levels);
        let (bids, asks) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
        let result = match words[0] {
            "snapshot" => {
                let book = Depth { update_id: last_update_id, time: now, bids, asks };
                self.exchange.replay_snapshot(now, &symbol, &book)
            }
            "diff" => {
                let change = BookChange { symbol, time: now, first_update_id, last_update_id, bids, asks };
                self.exchange.replay_diff(now, &change)
            }
            _ => {
                let (bid, ask) = (bids.first().copied(), asks.first().copied());
                let best = BestChange { symbol, time: now, update_id: last_update_id, bid, ask };
                self.exchange.replay_best(now, &best)
            }
        };
        result.err().map(|error| error.to_string())
    }
}

/// `№3` is an order's number, anything else its client id, `№3/x` both.
fn reference(text: &str) -> OrderRef {
    match text.strip_prefix('№').map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((id, "")) => OrderRef::Id(id.parse().unwrap()),
        Some((id, name)) => OrderRef::Both(id.parse().unwrap(), ClientOrderId::foreign(name)),
        None => OrderRef::ClientId(ClientOrderId::foreign(text)),
    }
}

fn read_levels(words: &[&str]) -> Vec<Level> {
    let level = |word: &&str| {
        let (price, qty) = word.split_once('x').unwrap();
        Level { price: price.parse().unwrap(), qty: qty.parse().unwrap() }
    };
    words.iter().map(level).collect()
}

fn levels(levels: &[Level]) -> String {
    let text = |level: &Level| format!("{}x{}", level.price, level.qty);
    levels.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// An event in a line; balances and levels are checked elsewhere and not shown.
fn tell(event: &Event) -> Option<String> {
    match event {
        Event::Order(event) => Some(tell_order(event)),
        Event::Trade { trade, .. } => {
            let side = if trade.buyer_is_maker { "sell" } else { "buy" };
            Some(format!("trade {} {}@{} {side}", trade.id, trade.qty, trade.price))
        }
        Event::Status { status, .. } => Some(format!("{status:?}")),
        Event::Balances(_) | Event::Margin(_) | Event::Transfer(_) | Event::Book(_) | Event::Best(_) => None,
    }
}

fn tell_order(event: &OrderEvent) -> String {
    let order = &event.order;
    let change = match &event.change {
        Change::New if order.terms.stop().is_some() && order.working_since.is_some() => {
            "triggered".to_owned()
        }
        Change::New => "new".to_owned(),
        Change::Trade(fill) => {
            let role = if fill.maker { "maker" } else { "taker" };
            let fee = if fill.fee.is_zero() {
                String::new()
            } else {
                format!(" fee {} {}", fill.fee, fill.fee_asset)
            };
            format!("{role} {}@{}{fee}", fill.qty, fill.price)
        }
        Change::Canceled { previous_id } => format!("canceled, was {previous_id}"),
        Change::Replaced { previous_id } => format!("amended, was {previous_id}"),
        Change::Expired => order.expiry.map_or_else(|| "expired".to_owned(), |e| e.to_string()),
        Change::Prevented(p) => format!("prevented {} of {} at {}", p.prevented, p.qty, p.price),
    };
    let name = format!("{}.{}", letter(order.account), order.client_id);
    let prevented = if order.prevented.is_zero() { String::new() } else { format!("-{}", order.prevented) };
    format!("{name} {change}: {} {}/{}{prevented}", order.status, order.filled, order.qty)
}
