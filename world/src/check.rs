//! The invariants of docs/reliability.md, against what really happened.

use std::collections::{BTreeMap, BTreeSet};

use tradingsys::ids::{Asset, SessionId, Symbol};
use tradingsys::journal::{Owner, Record};
use tradingsys::ledger::books::Books;
use tradingsys::market::OrderStatus;
use tradingsys::num::{Cash, Qty};
use tradingsys::wire::error::ErrorCode;
use tradingsys::wire::event::OrderView;
use tradingsys::wire::request::Ack;

use crate::interest::UNIT;
use crate::product::Product;
use crate::strategy::says_over;
use crate::truth::{Order, Trade, raw};
use crate::world::World;

/// Is it called refused by the gateway itself, and not after the exchange denied it?
fn refused_here(order: &OrderView) -> bool {
    order.state == OrderStatus::Rejected && order.code != Some(ErrorCode::NotPlaced.code())
}

impl World {
    /// After every step: what strategies were told since the last one.
    pub(crate) fn check_step(&mut self) {
        for k in 0..self.strategies.len() {
            while self.checked[k] < self.strategies[k].file.len() && self.violation.is_none() {
                self.check_line(k, self.checked[k]);
                self.checked[k] += 1;
            }
            for order in std::mem::take(&mut self.strategies[k].unnumbered) {
                self.check_told(&order);
            }
        }
        while self.booked < self.journal.len() && self.violation.is_none() {
            self.check_record(self.booked);
            self.booked += 1;
        }
    }

    fn check_line(&mut self, k: usize, at: usize) {
        let file = &self.strategies[k].file;
        let line = &file[at];
        let before = at.checked_sub(1).map(|i| file[i].at);
        let follows = |b: Ack| b.generation == line.at.generation && b.sequence + 1 == line.at.sequence;
        // After a journal was lost a snapshot stands for all that came before it.
        let anew = |b: Ack| (self.lost || self.power_lost) && line.at.generation > b.generation;
        // A program is not told of an event by a callback where nothing but a position has changed.
        let shown = |b: Ack| (b.generation, b.sequence) < (line.at.generation, line.at.sequence);
        let told = |b: Ack| follows(b) || self.strategies[k].seat.is_some() && shown(b);
        let dense = before.is_none_or(|b| told(b) || anew(b));
        if !dense {
            let session = self.strategies[k].session;
            let found = format!("session {session}: {before:?} then {:?}", line.at);
            return self.violate("I14 events are dense and in order", found);
        }
        if let (Some("resurrected"), Some(id)) = (line.notice.as_deref(), &line.about) {
            let id = id.clone();
            if !self.unplaced.remove(&id) {
                return self.violate("I8 nothing is resurrected that was not declared not placed", id);
            }
            self.resurrected.insert(id);
            return self.strike("order resurrected");
        }
        if let Some(order) = line.order.clone() {
            self.check_told(&order);
        }
    }

    /// An order that its strategy was told of, with a number or without.
    fn check_told(&mut self, order: &OrderView) {
        let id = order.order_id.as_str();
        let real = self.truth.by_id(id);
        if order.code == Some(ErrorCode::NotPlaced.code()) && real.is_some() && self.denied.contains(id) {
            // Even the engine has denied it. It must be taken in, loudly, when it is shown after all.
            self.unplaced.insert(id.to_owned());
            return;
        }
        let wrong = match real {
            // How it ended is not known, is what is said.
            Some(real) if order.code == Some(ErrorCode::Undefined.code()) => real.is_open(),
            None if order.code == Some(ErrorCode::Undefined.code()) => false,
            // That an earlier run gave the id, nobody may know until the past has been read. It names no other order
            // (I4): this run refused one, as it must until then.
            Some(real) if self.note_lost && refused_here(order) && real.run < self.run => false,
            // Cancelled by hand and not filled before anything was heard of it: nothing tells it from one never placed.
            Some(real) if real.by_hand && raw(&real.filled) == 0 && !real.is_open() => {
                !matches!(order.state.as_str(), "CANCELED" | "REJECTED") && says_over(order.state)
            }
            Some(real) if says_over(order.state) => !real.ended_as(order.state.as_str(), order.filled.raw()),
            None => says_over(order.state) && order.state.as_str() != "REJECTED",
            _ => false,
        };
        if wrong {
            let found = format!("{id} told as {} ({:?}), really {real:?}", order.state, order.reason);
            self.violate("I8 nothing is told over that lives, nothing rejected that was placed", found);
        }
    }

    fn check_record(&mut self, at: usize) {
        let Record::Fill(fill) = &self.journal[at] else { return };
        let key = (fill.symbol.upper(), fill.trade_id, fill.venue_id);
        let session = fill.session.map(|s| s.0);
        match self.truth.trades.get(&key) {
            None => self.violate("I1 every fill booked is the exchange's", format!("{key:?}")),
            Some(trade) if trade.session() != session || raw(&trade.qty) != fill.qty.raw() => {
                let found = format!("{trade:?} booked for {session:?}, {}", fill.qty);
                self.violate("I1 every fill is booked for its session", found);
            }
            Some(_) => {}
        }
    }

    /// Has every order come to its end, and been told of?
    pub(crate) fn at_rest(&self) -> bool {
        // The cheap questions first: this is asked after every step.
        self.gateway.as_ref().is_some_and(|gateway| gateway.orders().open().next().is_none())
            && self.strategies.iter().all(|s| s.unrest().is_none())
            && self.truth.open().next().is_none()
    }

    /// Has the past of every symbol been read that is traded, and that a new journal knows nothing of?
    pub(crate) fn pasts_are_read(&self) -> bool {
        let mut unread = BTreeSet::new();
        for record in &self.journal {
            match record {
                Record::Listing { symbol, unread: true, .. } => unread.insert(symbol),
                Record::Scanned { symbol } => unread.remove(symbol),
                _ => false,
            };
        }
        unread.is_empty()
    }

    /// What has not.
    pub(crate) fn unrest(&self) -> String {
        let mut found = Vec::new();
        match &self.gateway {
            None => found.push("no gateway".to_owned()),
            Some(gateway) => {
                found.extend(
                    gateway.orders().open().map(|o| format!("{} {:?} {:?}", o.id, o.state, o.status())),
                );
            }
        }
        for s in &self.strategies {
            if !s.is_ready() {
                found.push(format!("session {} not ready", s.session));
            }
            found.extend(s.unrest().map(|waits| format!("session {} waits: {waits}", s.session)));
        }
        found.extend(self.truth.open().map(|id| format!("{id} open at the exchange")));
        found.join("; ")
    }

    /// At the end: the books, the exchange and the strategies agree to the last unit.
    pub(crate) fn check_at_rest(&mut self) {
        let mut books = Books::default();
        let mut booked = BTreeMap::new();
        for record in &self.journal {
            books.fold(record);
            if let Record::Fill(fill) = record {
                *booked.entry((fill.symbol.upper(), fill.trade_id, fill.venue_id)).or_insert(0) += 1;
            }
        }
        // What is nobody's and older than the opening of the books is in that opening.
        let owned = |trade: &Trade| !(self.lost || self.power_lost) || trade.session().is_some();
        let real: BTreeSet<_> =
            self.truth.trades.iter().filter(|(_, trade)| owned(trade)).map(|(key, _)| key.clone()).collect();
        let ours: BTreeSet<_> = booked.keys().cloned().collect();
        if let Some(lost) = real.difference(&ours).next() {
            return self.violate("I1 every fill of the exchange is booked", format!("{lost:?} is missing"));
        }
        if let Some((twice, _)) = booked.iter().find(|(_, n)| **n != 1) {
            return self.violate("I1 every fill is booked once", format!("{twice:?}"));
        }
        if let Some((id, n)) = self.truth.placed.iter().find(|(_, n)| **n != 1) {
            return self.violate("I4 one order per command", format!("{id} was placed {n} times"));
        }
        // One that ended without a fill and is shown nowhere is as good as never placed.
        let matters = |id: &&String| self.truth.by_id(id).is_some_and(|o| o.is_open() || raw(&o.filled) != 0);
        if let Some(id) = self.unplaced.iter().find(matters).cloned() {
            return self.violate("I8 what was declared not placed and lives is taken in, loudly", id);
        }
        self.check_positions(&books);
        if !self.lost {
            self.check_files();
        }
        self.check_fold(&books);
        self.check_shown(&books);
    }

    /// I15: what users see in `pos.db` is what the books hold.
    fn check_shown(&mut self, books: &Books) {
        let wrong = self.store.wrong(books);
        if !wrong.is_empty() {
            self.violate("I15 pos.db shows what the books hold", wrong.join(", "));
        }
    }

    fn trades_of(&self, session: u16) -> Vec<&Trade> {
        self.truth.trades.values().filter(|t| t.session() == Some(session)).collect()
    }

    /// I2, I11: positions are the exchange's trades by session, and all rows add up to the account.
    fn check_positions(&mut self, books: &Books) {
        let held = self.truth.holdings();
        for k in 0..self.strategies.len() {
            let session = self.strategies[k].session;
            let bought = held.get(&Some(session)).copied().unwrap_or_default();
            let symbol = Symbol::new("dogeusdt");
            let net = books.position(SessionId(session), &symbol).qty;
            let fees: i128 = self.trades_of(session).iter().map(|trade| trade.fee_in("DOGE")).sum();
            let edits = self.store.edited.get(&session).copied().unwrap_or_default();
            let wanted = Qty::from_raw(bought - fees + edits);
            if net != wanted {
                let found = format!("session {session}: {net}, by the exchange's trades {wanted}");
                return self.violate(
                    "I2 a position is the sum of its fills and of its parts of what was ended",
                    found,
                );
            }
            if let Some(client) = &self.strategies[k].client {
                let shown = client.positions().get(&symbol).map_or(Qty::ZERO, |position| position.net);
                if shown != net {
                    let found = format!("session {session}: {net}, shown {shown}");
                    return self.violate("I5 a strategy is shown its position as it is", found);
                }
            }
            let told = match &self.strategies[k].seat {
                Some(seat) => seat.net(),
                None => self.strategies[k].file.iter().rev().find_map(|line| line.net),
            };
            if !(self.lost || self.power_lost) && told.is_some_and(|told| told != net) {
                let found = format!("session {session}: {net}, last told {told:?}");
                return self.violate("I5 the last event tells of the position as it is", found);
            }
        }
        if self.plan.product == Product::Spot {
            self.check_rows(books);
        }
        if self.plan.product == Product::Usdt {
            self.check_contracts(books);
        }
        if self.plan.product == Product::Margin {
            self.check_wallet(books);
            self.check_interest(books);
        }
        // What users have added to sessions is nobody's loss but this row's.
        let edits: i128 = self.store.edited.values().sum();
        let edited = |asset: &Asset| Cash::from_raw(if *asset == Asset::new("DOGE") { -edits } else { 0 });
        let differences: Vec<String> = (books.assets())
            .filter(|(owner, asset, amount)| *owner == Owner::Unattributed && *amount != edited(asset))
            .map(|(_, asset, amount)| format!("{asset} {amount}"))
            .collect();
        if !differences.is_empty() {
            self.violate("I11 the books add up to the account", differences.join(", "));
        }
    }

    /// I2: a session's rows are what its trades have moved, fees in their own asset.
    fn check_rows(&mut self, books: &Books) {
        for k in 0..self.strategies.len() {
            let session = self.strategies[k].session;
            let edits = self.store.edited.get(&session).copied().unwrap_or_default();
            let trades = self.trades_of(session);
            let coins: i128 = trades.iter().map(|trade| trade.signed()).sum();
            let paid: i128 = trades.iter().map(|trade| trade.paid()).sum();
            for (asset, moved) in [("DOGE", coins + edits), ("USDT", -paid)] {
                let fees: i128 = trades.iter().map(|trade| trade.fee_in(asset)).sum();
                let found = books.asset(Owner::Session(SessionId(session)), &Asset::new(asset)).raw();
                if found != moved - fees {
                    let found = format!("session {session}: {asset} {found}, by its trades {}", moved - fees);
                    return self.violate("I2 a row is the sum of what its trades moved", found);
                }
            }
        }
    }

    /// I10: all rows of the contract add up to the account's position, all rows of the wallet's asset to the wallet.
    fn check_contracts(&mut self, books: &Books) {
        let position: i128 = self.truth.trades.values().map(Trade::signed).sum();
        // What was in the wallet at the start is a booking, too.
        for (asset, real) in [("DOGEUSDT", position), ("USDT", self.truth.income)] {
            let found = books.total(&Asset::new(asset)).raw();
            if found != real {
                let found = format!("{asset}: {found} by the books, {real} by the exchange");
                return self.violate("I10 the rows add up to the exchange's", found);
            }
        }
    }

    /// I11: all rows of an asset add up to what the margin wallet has of it, less what it owes.
    fn check_wallet(&mut self, books: &Books) {
        for (asset, real) in self.truth.wallet.clone() {
            let found = books.total(&Asset::new(&asset)).raw();
            if found != real {
                let found = format!("{asset}: {found} by the books, {real} by the exchange");
                return self.violate("I11 the rows add up to the margin wallet", found);
            }
        }
    }

    /// I2: a session's rows of the margin wallet are what its trades have moved, less its part of the interest.
    fn check_interest(&mut self, books: &Books) {
        let opening = |record: &Record| match record {
            Record::Cash(cash) if cash.reason == "opening" => Some(cash.time.millis()),
            _ => None,
        };
        let Some(opened) = self.journal.iter().filter_map(opening).max() else { return };
        let sessions: Vec<u16> = self.strategies.iter().map(|strategy| strategy.session).collect();
        let booked = |record: &Record| match record {
            Record::Charge(charge) => charge.id,
            _ => None,
        };
        // A corrected opening has in it what is found later, not what was booked before.
        let last = self.journal.iter().rposition(|record| opening(record).is_some()).unwrap_or(0);
        let booked: BTreeSet<u64> = self.journal[..last].iter().filter_map(booked).collect();
        for asset in ["DOGE", "USDT"] {
            let (charged, charges) = self.truth.interest(&sessions, asset, opened, &booked);
            for (session, charged) in sessions.iter().zip(charged) {
                let trades = self.trades_of(*session);
                let moved = |trade: &Trade| if asset == "DOGE" { trade.signed() } else { -trade.paid() };
                let wanted = trades.iter().map(|t| moved(t) - t.fee_in(asset)).sum::<i128>() - charged;
                let found = books.asset(Owner::Session(SessionId(*session)), &Asset::new(asset)).raw();
                // The last digit of a part may be rounded otherwise.
                if (found - wanted).abs() > UNIT * charges as i128 {
                    let found =
                        format!("session {session}: {asset} {found}, by trades and interest {wanted}");
                    return self
                        .violate("I2 a row is what its trades moved, less its part of the interest", found);
                }
            }
        }
    }

    /// I5: each strategy has been told each of its fills and each end once.
    fn check_files(&mut self) {
        for k in 0..self.strategies.len() {
            self.check_callbacks(k);
            let session = self.strategies[k].session;
            let mut told: Vec<u64> =
                self.strategies[k].file.iter().filter_map(|l| l.fill.map(|f| f.0)).collect();
            let mut real: Vec<u64> = self.trades_of(session).iter().map(|t| t.trade_id).collect();
            told.sort_unstable();
            if self.power_lost {
                // Told again under new numbers, or with the position alone; never what is not real.
                told.dedup();
                real.retain(|trade| told.contains(trade));
            }
            real.sort_unstable();
            if told != real {
                let found = format!("session {session}: told {told:?}, really {real:?}");
                return self.violate("I5 every fill is told once", found);
            }
            let ended: Vec<u64> = self.strategies[k].file.iter().filter_map(|l| l.ended).collect();
            let twice = ended.iter().collect::<BTreeSet<_>>().len() != ended.len();
            if twice && !self.power_lost {
                let found = format!("session {session}: {ended:?}");
                return self.violate("I5 every part of what was ended is told once", found);
            }
            let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
            for order in self.strategies[k].file.iter().filter_map(|l| l.order.as_ref()) {
                if says_over(order.state) {
                    *ends.entry(order.order_id.as_str()).or_default() += 1;
                }
            }
            let often = |id: &str| if self.resurrected.contains(id) { 2 } else { 1 };
            // One that did nothing may be gone with both its gateway and its strategy.
            let matters = |order: &&Order| order.session == Some(session) && raw(&order.filled) != 0;
            for order in self.truth.orders.values().filter(matters) {
                ends.entry(order.placed_as.as_str()).or_default();
            }
            let wrong = ends.into_iter().find(|(id, n)| *n != often(id) && !self.power_lost);
            let found =
                wrong.map(|(id, n)| format!("session {session}: {id} was told to have ended {n} times"));
            if let Some(found) = found {
                return self.violate("I5 every end is told once", found);
            }
        }
    }

    /// I14: a program was called back for each event of an order, in their order, each once.
    fn check_callbacks(&mut self, k: usize) {
        let strategy = &self.strategies[k];
        if strategy.seat.is_none() || self.lost || self.power_lost {
            return;
        }
        let told = strategy.file.iter().filter(|line| line.order.is_some());
        let told: Vec<_> = told.map(|line| (line.at.generation, line.at.sequence)).collect();
        let of_orders = |record: &Record| match record {
            Record::Event { session, generation, sequence, frame } => {
                let this = session.0 == strategy.session && frame.contains("\"event\":\"order\"");
                this.then_some((*generation, *sequence))
            }
            _ => None,
        };
        let made: Vec<_> = self.journal.iter().filter_map(of_orders).collect();
        if told != made {
            let found = format!("session {}: called back for {told:?}, of {made:?}", strategy.session);
            self.violate("I14 each event of an order is called back for once", found);
        }
    }

    /// I15: what the gateway holds in memory is what its journal folds to.
    fn check_fold(&mut self, books: &Books) {
        let rows = |b: &Books| b.assets().map(|(o, a, v)| format!("{o:?} {a} {v}")).collect::<Vec<_>>();
        let live = self.gateway.as_ref().map(|g| rows(g.books()));
        if live.as_ref() != Some(&rows(books)) {
            self.violate("I15 the journal folds to the books", format!("{live:?} against {:?}", rows(books)));
        }
    }
}
