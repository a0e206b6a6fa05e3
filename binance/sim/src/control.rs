//! The control interface, `/control/…` over HTTP: faults, the whole state, and what an operator or another
//! client of the account would do. No venue has it; it is for tests and demonstrations.

use binance_wire::render::{Object, array};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tradingsys::exchange::{AccountId, Cancel, OrderRef, Page, PositionSide, Request as Order};
use tradingsys::ids::{Asset, ClientOrderId, Symbol};
use tradingsys::instrument::InstrumentStatus;
use tradingsys::market::{OrderType, Side, Stp, Tif};
use tradingsys::num::{Cash, Price, Qty};
use tradingsys::order::request::Terms;
use tradingsys::time::Time;

use crate::faults::Rule;
use crate::io::{HttpRequest, Request, SimOutput};
use crate::order_json;
use crate::params::Params;
use crate::product::Product;
use crate::rest::reply;
use crate::sim::Sim;

/// JSON of a result, or what is wrong in words.
pub(crate) type Outcome = Result<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    account: String,
    asset: String,
    amount: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trade {
    /// Without it: the house takes from the book.
    account: Option<String>,
    pub(crate) symbol: String,
    side: Side,
    qty: Qty,
    /// Without it: a market order.
    price: Option<Price>,
    client_id: Option<String>,
    /// May it trade with other orders of the account?
    #[serde(default)]
    self_trade: bool,
    /// Of futures only.
    #[serde(default)]
    pub(crate) reduce_only: bool,
    /// Of futures only.
    pub(crate) position_side: Option<PositionSide>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelOrder {
    pub(crate) account: String,
    pub(crate) symbol: String,
    pub(crate) order_id: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPrice {
    pub(crate) symbol: String,
    pub(crate) price: Price,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetStatus {
    pub(crate) symbol: String,
    pub(crate) status: String,
}

/// What a key may do; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRights {
    apikey: String,
    withdrawals: Option<bool>,
    ip_restricted: Option<bool>,
}

/// In which asset an account pays what it owes for trades.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayFees {
    account: String,
    pays_in_bnb: bool,
}

/// What orders are held to; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetRules {
    pub(crate) symbol: String,
    /// Price step; a multiple of the first one.
    pub(crate) tick: Option<Price>,
    /// Quantity step; a multiple of the first one.
    pub(crate) lot: Option<Qty>,
    pub(crate) min_notional: Option<Cash>,
}

/// The body of a request.
pub(crate) fn read<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("the body is not as it should be: {error}"))
}

impl Sim {
    /// A request of the control interface. Faults do not touch it.
    pub(crate) fn control(
        &mut self,
        now: Time,
        request: Request,
        http: &HttpRequest,
        out: &mut Vec<SimOutput>,
    ) {
        let path = http.path.trim_end_matches('/');
        let outcome = match (http.method.as_str(), path) {
            ("POST", "/control/faults") => self.add_faults(&http.body, out),
            ("GET", "/control/faults") => Ok(array(self.faults.list())),
            ("DELETE", "/control/faults") => self.remove_faults(http),
            ("GET", "/control/state") => self.state(now, http),
            ("POST", path) => {
                self.operate(now, path.strip_prefix("/control/").unwrap_or_default(), &http.body)
            }
            _ => Err(format!("there is no {} {path}", http.method)),
        };
        self.absorb(now);
        self.flush(None, out);
        match outcome {
            Ok(body) => reply(request, 200, body, out),
            Err(problem) => reply(request, 400, Object::new().text("error", &problem).end(), out),
        }
    }

    /// What an operator does; `what` is the path after `/control/`.
    pub(crate) fn operate(&mut self, now: Time, what: &str, body: &str) -> Outcome {
        match what {
            "transfer" => self.transfer(now, body),
            "trade" => self.trade(now, body),
            "cancel" => self.cancel_order(now, body),
            "price" => self.set_price(now, body),
            "status" => self.set_status(body),
            "filters" => self.set_rules(body),
            "key" => self.permit(body),
            "fees" => self.pay_fees(body),
            _ => match what.split_once('/') {
                Some(("futures", what)) => self.futures_control(now, what, body),
                Some(("margin", what)) => self.margin_control(now, what, body),
                _ => Err(format!("there is no POST /control/{what}")),
            },
        }
    }

    /// What an API key may do.
    fn permit(&mut self, body: &str) -> Outcome {
        let KeyRights { apikey, withdrawals, ip_restricted } = read(body)?;
        if !self.keys.permit(&apikey, withdrawals, ip_restricted) {
            return Err("there is no such apikey".to_owned());
        }
        Ok("{}".to_owned())
    }

    /// Whether an account pays its fees in BNB from now on, on spot and out of its margin wallet.
    fn pay_fees(&mut self, body: &str) -> Outcome {
        let PayFees { account, pays_in_bnb } = read(body)?;
        let account = self.account_named(&account)?;
        for wallet in [account, self.margin_of(account)] {
            let (mut settings, _) = self.exchange.settings(wallet).map_err(|error| error.to_string())?;
            settings.pay_in_fee_asset = pays_in_bnb;
            self.exchange.open_account(wallet, settings);
        }
        Ok("{}".to_owned())
    }

    pub(crate) fn account_named(&self, name: &str) -> Result<AccountId, String> {
        let place = self.names.iter().position(|known| known == name);
        let place = place.ok_or_else(|| format!("there is no account {name:?}"))?;
        Ok(AccountId(u32::try_from(place).unwrap_or(u32::MAX)))
    }

    fn symbol_named(&self, name: &str) -> Result<Symbol, String> {
        let symbol = Symbol::new(name);
        if self.places.contains_key(&symbol) {
            Ok(symbol)
        } else {
            Err(format!("there is no symbol {name:?}"))
        }
    }

    fn add_faults(&mut self, body: &str, out: &mut Vec<SimOutput>) -> Outcome {
        let rules: Vec<serde_json::Value> = read(body)?;
        let read = |(at, rule): (usize, &serde_json::Value)| {
            Rule::read(rule).map_err(|problem| format!("rule {at}: {problem}"))
        };
        let rules: Vec<Rule> = rules.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let mut numbers = Vec::new();
        for rule in rules {
            let now = rule.happens_by_itself() && rule.at.is_none() && rule.every.is_none();
            let number = if now { self.happen(&rule, 0, out).map(|()| 0)? } else { self.enforce(rule, None) };
            numbers.push(number.to_string());
        }
        Ok(Object::new().raw("ids", &array(numbers)).end())
    }

    fn remove_faults(&mut self, http: &HttpRequest) -> Outcome {
        let params = Params::from_rest(&http.query, "").map_err(|error| error.message)?;
        let number = params.integer("id").map_err(|error| error.message)?;
        self.faults.remove(number.map(i64::unsigned_abs));
        Ok("{}".into())
    }

    /// What each product has refused for its limits: the oracle of whoever claims to keep them.
    fn turned_away(&mut self) -> String {
        let products = [("spot", Product::Spot), ("margin", Product::Margin), ("futures", Product::Futures)];
        let count = |counts: Object, (name, product)| counts.int(name, self.pool(product).turned_away());
        products.into_iter().fold(Object::new(), count).end()
    }

    /// Balances and open orders of all accounts, and what was refused; all orders with `?orders=all`.
    fn state(&mut self, now: Time, http: &HttpRequest) -> Outcome {
        let all = http.query.split('&').any(|pair| pair == "orders=all");
        let mut accounts = Vec::new();
        for (id, account) in (0..).map(AccountId).zip(&self.config.accounts) {
            let balances = self.exchange.balances(id).map_err(|error| error.to_string())?;
            let balances = balances.iter().map(|balance| {
                Object::new()
                    .text("asset", balance.asset.as_str())
                    .text("free", &balance.free.to_string())
                    .text("locked", &balance.locked.to_string())
                    .end()
            });
            accounts.push(
                Object::new()
                    .text("name", &account.name)
                    .raw("balances", &array(balances))
                    .raw("orders", &self.orders_of(id, all)?)
                    .raw("futures", &self.futures_state(id)?)
                    .raw("margin", &self.margin_state(id)?)
                    .end(),
            );
        }
        let body = Object::new()
            .int("time", now.millis())
            .int("connections", self.connections.len())
            .raw("accounts", &array(accounts))
            .raw("refused", &self.turned_away())
            .raw("faults", &array(self.faults.list()));
        Ok(body.end())
    }

    fn orders_of(&self, account: AccountId, all: bool) -> Outcome {
        let words = |error: tradingsys::exchange::Reject| error.to_string();
        let mut orders = Vec::new();
        if all {
            let page = Page { limit: usize::MAX, ..Page::default() };
            for symbol in self.places.keys() {
                orders.extend(self.exchange.all_orders(account, symbol, &page).map_err(words)?);
            }
        } else {
            orders = self.exchange.open_orders(account, None).map_err(words)?;
        }
        Ok(array(orders.into_iter().map(|order| {
            let label = self.label_of(&order.symbol, order.id);
            order_json::queried(order, label, binance_wire::render::TimeUnit::Millis)
        })))
    }

    fn transfer(&mut self, now: Time, body: &str) -> Outcome {
        let transfer: Transfer = read(body)?;
        let account = self.account_named(&transfer.account)?;
        let amount: Cash = transfer.amount.parse().map_err(|error| format!("amount: {error}"))?;
        let asset = Asset::new(&transfer.asset);
        let moved = if amount.is_negative() {
            self.exchange.withdraw(now, account, &asset, -amount)
        } else {
            self.exchange.deposit(now, account, &asset, amount)
        };
        moved.map(|()| "{}".to_owned()).map_err(|error| error.to_string())
    }

    /// An order by hand: of an account, as its owner would enter it elsewhere, or of the house.
    pub(crate) fn by_hand(&mut self, symbol: Symbol, trade: &Trade) -> Result<(AccountId, Order), String> {
        let account = match &trade.account {
            Some(name) => self.account_named(name)?,
            None => AccountId::HOUSE,
        };
        let terms = match trade.price {
            Some(price) => Terms::Limit { price, tif: Tif::Gtc },
            None => Terms::Market,
        };
        let client_id = match &trade.client_id {
            Some(id) => ClientOrderId::foreign(id),
            None => ClientOrderId::foreign(&format!("web_{}", self.random_id())),
        };
        let stp = (account == AccountId::HOUSE || trade.self_trade).then_some(Stp::None);
        Ok((account, Order { symbol, client_id, side: trade.side, terms, qty: trade.qty, stp }))
    }

    fn trade(&mut self, now: Time, body: &str) -> Outcome {
        let trade: Trade = read(body)?;
        if trade.reduce_only || trade.position_side.is_some() {
            return Err("\"reduce_only\" and \"position_side\" belong to /control/futures/trade".into());
        }
        let symbol = self.symbol_named(&trade.symbol)?;
        let (account, request) = self.by_hand(symbol, &trade)?;
        let placed = self.exchange.place(now, account, &request).map_err(|error| error.to_string())?;
        debug_assert!(matches!(placed.order.terms.order_type(), OrderType::Limit | OrderType::Market));
        let detail = order_json::Detail::Full;
        let unit = binance_wire::render::TimeUnit::Millis;
        Ok(order_json::placed(&placed, order_json::Label::default(), detail, unit))
    }

    fn cancel_order(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: CancelOrder = read(body)?;
        let account = self.account_named(&wanted.account)?;
        let cancel_id = ClientOrderId::foreign(&format!("web_{}", self.random_id()));
        let symbol = self.symbol_named(&wanted.symbol)?;
        let cancel = Cancel { symbol, order: OrderRef::Id(wanted.order_id), cancel_id, restriction: None };
        let canceled = self.exchange.cancel(now, account, &cancel).map_err(|error| error.to_string())?;
        let label = self.label_of(&canceled.order.symbol, canceled.order.id);
        Ok(order_json::canceled(&canceled, label, binance_wire::render::TimeUnit::Millis))
    }

    /// Moves a synthetic market to another price.
    fn set_price(&mut self, now: Time, body: &str) -> Outcome {
        let wanted: SetPrice = read(body)?;
        let symbol = self.symbol_named(&wanted.symbol)?;
        if !wanted.price.is_positive() {
            return Err("the price must be above zero".into());
        }
        let place = self.place(&symbol);
        if !self.markets[place].feed.move_to(now, wanted.price, &mut self.exchange) {
            return Err("a recorded market goes its own way".into());
        }
        let base = self.exchange.listing(&symbol).map(|listing| listing.instrument.base.clone());
        if let Some(base) = base {
            self.exchange.set_margin_price(&base, wanted.price);
        }
        self.absorb(now);
        self.follow_index(now, true);
        Ok("{}".into())
    }

    fn set_status(&mut self, body: &str) -> Outcome {
        let wanted: SetStatus = read(body)?;
        let symbol = self.symbol_named(&wanted.symbol)?;
        let status = match wanted.status.as_str() {
            "TRADING" => InstrumentStatus::Trading,
            "CANCEL_ONLY" => InstrumentStatus::CancelOnly,
            "HALT" => InstrumentStatus::Halted,
            other => return Err(format!("there is no status {other:?}: TRADING, CANCEL_ONLY or HALT")),
        };
        self.exchange.set_status(&symbol, status).map_err(|error| error.to_string())?;
        Ok("{}".into())
    }

    fn set_rules(&mut self, body: &str) -> Outcome {
        let wanted: SetRules = read(body)?;
        let symbol = self.symbol_named(&wanted.symbol)?;
        let set = self.exchange.set_rules(&symbol, wanted.tick, wanted.lot, wanted.min_notional);
        set.map(|()| "{}".to_owned()).map_err(|error| error.to_string())
    }
}
