//! Tests of the futures exchange.

mod basics;
mod conditional;
mod laws;
mod liquidation;
mod margin;
mod naive;
mod price;
mod twin;

use crate::exchange::futures::*;
use crate::exchange::{
    AccountId, AccountSettings, Listing, Placed, PositionSide, PositionTerms, Rate, Request,
};
use crate::ids::{Asset, ClientOrderId, Symbol};
use crate::market::{Side, Tif};
use crate::num::{Cash, Price, Qty};
use crate::order::request::Terms;
use crate::time::{Span, Time};

pub(super) const A: AccountId = AccountId(0);
pub(super) const B: AccountId = AccountId(1);
pub(super) const C: AccountId = AccountId(2);

pub(super) fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub(super) fn qty(text: &str) -> Qty {
    text.parse().unwrap()
}

pub(super) fn cash(text: &str) -> Cash {
    text.parse().unwrap()
}

pub(super) fn btc() -> Symbol {
    Symbol::new("btcusdt")
}

pub(super) fn eth() -> Symbol {
    Symbol::new("ethusdt")
}

/// BTCUSDT and ETHUSDT at tick 0.01 and lot 0.001; accounts A to C with 1000 USDT each, without fees.
pub(super) struct Stage {
    pub(super) futures: Futures,
    pub(super) now: Time,
    named: u32,
    funded: Cash,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(adjust: impl Fn(&mut Contract)) -> Self {
        let contract = |base: &str| {
            let mut contract = Contract::new(Listing::new(crate::exchange::tests::instrument(base, "USDT")));
            adjust(&mut contract);
            contract
        };
        let contracts = vec![contract("BTC"), contract("ETH")];
        let futures = Futures::futures(Asset::new("USDT"), contracts).unwrap();
        let mut stage = Self { futures, now: Time::from_millis(1_000), named: 0, funded: Cash::ZERO };
        for account in [A, B, C] {
            let free = AccountSettings { maker_fee: Rate::ZERO, taker_fee: Rate::ZERO, ..Default::default() };
            stage.futures.open_account(account, free);
            stage.futures.transfer(stage.now, account, Cash::whole(1_000)).unwrap();
        }
        stage.events();
        stage
    }

    /// Events since the last call.
    pub(super) fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.futures.drain_events(&mut events);
        events
    }

    /// An order in words: `buy 1 @ 100`, `sell 2 market reduce`, `buy 1 @ 99 ioc as x`, `sell 1 @ 9 long`.
    pub(super) fn order(&mut self, words: &str) -> NewOrder {
        let words: Vec<&str> = words.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|w| *w == word).map(|at| words[at + 1]);
        let has = |word: &str| words.contains(&word);
        let tif = if has("ioc") {
            Tif::Ioc
        } else if has("fok") {
            Tif::Fok
        } else {
            Tif::Gtc
        };
        let terms = match after("@").map(price) {
            Some(price) if has("post") => Terms::PostOnly { price },
            Some(price) => Terms::Limit { price, tif },
            None => Terms::Market,
        };
        let side = match () {
            () if has("long") => PositionSide::Long,
            () if has("short") => PositionSide::Short,
            () => PositionSide::Both,
        };
        self.named += 1;
        let name = after("as").map_or_else(|| format!("#{}", self.named), str::to_owned);
        let request = Request {
            symbol: if has("eth") { eth() } else { btc() },
            client_id: ClientOrderId::foreign(&name),
            side: if words[0] == "buy" { Side::Buy } else { Side::Sell },
            terms,
            qty: qty(words[1]),
            stp: None,
        };
        let good_till = after("till").map(|at| Time::from_millis(at.parse().unwrap()));
        let position =
            PositionTerms { side, reduce_only: has("reduce"), good_till, ..PositionTerms::default() };
        NewOrder { request, position }
    }

    pub(super) fn place(&mut self, account: AccountId, words: &str) -> Result<Placed, Reject> {
        self.now += Span::from_millis(1);
        let order = self.order(words);
        let result = self.futures.place(self.now, account, &order);
        self.check_laws();
        result
    }

    /// Places and expects it to be taken.
    pub(super) fn go(&mut self, account: AccountId, words: &str) -> Placed {
        self.place(account, words).unwrap_or_else(|reject| panic!("{words}: {reject}"))
    }

    /// `qty@entry realised` of the account's position in one-way mode.
    pub(super) fn position(&self, account: AccountId) -> String {
        self.side(account, PositionSide::Both)
    }

    pub(super) fn side(&self, account: AccountId, side: PositionSide) -> String {
        let positions = self.futures.positions(account, Some(&btc())).unwrap();
        let position = positions.iter().find(|position| position.side == side);
        position.map_or("none".to_owned(), |p| format!("{}@{} {}", p.qty, p.entry, p.realised))
    }

    pub(super) fn wallet(&self, account: AccountId) -> Cash {
        self.futures.account_view(account).unwrap().margin.wallet
    }

    /// Gives the insurance fund money.
    pub(super) fn fund(&mut self, amount: Cash) {
        self.futures.transfer(self.now, AccountId::INSURANCE, amount).unwrap();
        self.funded += amount;
    }

    /// What went in by `transfer`, all accounts together.
    pub(super) fn deposited(&self) -> Cash {
        let clearing = &self.futures.settlement;
        let transfers = clearing.accounts.values().flat_map(|account| &account.income);
        let transfers = transfers.filter(|row| row.kind == IncomeKind::Transfer).map(|row| row.amount);
        transfers.sum::<Cash>() + self.funded
    }

    /// Money and positions are conserved, wallets are the sums of their bookings.
    pub(super) fn check_laws(&self) {
        let accounts = &self.futures.settlement.accounts;
        let worth = |account: &account::Account| {
            account.wallet - account.positions.values().map(|position| position.cost).sum()
        };
        assert_eq!(accounts.values().map(worth).sum::<Cash>(), self.deposited(), "wallets less costs");
        for symbol in [btc(), eth()] {
            let all = accounts.values().flat_map(|account| &account.positions);
            let held = all.filter(|((of, _), _)| *of == symbol).map(|(_, position)| position.qty);
            assert_eq!(held.sum::<Qty>(), Qty::ZERO, "positions of {symbol}");
        }
        for (id, account) in accounts.iter().filter(|(id, _)| !id.is_internal()) {
            let booked: Cash = account.income.iter().map(|row| row.amount).sum();
            assert_eq!(account.wallet, booked, "wallet of {id:?}");
        }
    }
}
