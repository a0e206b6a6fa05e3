//! What goes wrong each second, and what the exchange itself gets wrong: rules of the simulator's own faults, and what
//! an operator of it can do.

use tradingsys::gateway::io::{Batch, Input};
use tradingsys::ids::LinkId;
use tradingsys::journal::Record;
use tradingsys::time::Span;

use crate::product::Product;
use crate::truth::ACCOUNT;
use crate::wire::Arrival;
use crate::world::{START, World};

/// Longest that a query may lag while the recovery's pause is to cover it.
const LAG: Span = Span::from_millis(900);
/// How long the exchange denies what it has: longer than the proof of an order's absence takes.
const DENIAL: Span = Span::from_secs(24);

/// Something that strikes at one moment, drawn each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    KillGateway,
    KillStrategy(usize),
    CutStrategy(usize),
    TradeByHand,
    CancelByHand,
    ForceEnd,
    EditRow,
    Cut(LinkId),
    Freeze(LinkId),
    Outage,
    SlowDown,
    Ban,
    ShutDown,
    ExpireKey,
    ChangeRules,
    StepClock,
    Deny,
}

/// Requests that place and cancel, by the names of fault rules.
fn commands(product: Product) -> &'static str {
    match product {
        Product::Spot | Product::Usdt => r#"["order.place","order.cancel"]"#,
        Product::Margin => r#"["/sapi/v1/margin/order"]"#,
    }
}

/// Questions about the account.
fn questions(product: Product) -> &'static str {
    match product {
        Product::Spot => r#"["order.status","openOrders.status","myTrades","allOrders","account.status"]"#,
        Product::Usdt => {
            r#"["order.status","/fapi/v1/openOrders","/fapi/v1/userTrades","/fapi/v1/allOrders","/fapi/v3/account",
                "/fapi/v1/income","/fapi/v1/fundingRate"]"#
        }
        Product::Margin => {
            r#"["/sapi/v1/margin/openOrders","/sapi/v1/margin/myTrades","/sapi/v1/margin/allOrders",
                "/sapi/v1/margin/account","/sapi/v1/margin/interestHistory"]"#
        }
    }
}

impl World {
    /// Puts the simulator's own faults in force.
    pub(crate) fn begin_trouble(&mut self) {
        let (faults, product) = (self.faults, self.plan.product);
        let mut rules = Vec::new();
        let mut rule = |fault: &str, methods: &str, rate: u32, more: &str| {
            let chance = f64::from(rate) / 1e6;
            if rate > 0 {
                rules.push(format!(
                    r#"{{"fault":"{fault}","method":{methods},"probability":{chance}{more}}}"#
                ));
            }
        };
        let (commands, questions) = (commands(product), questions(product));
        for millis in [400, 1_500, 4_000] {
            rule("request.delay", commands, faults.late_request / 3, &format!(r#","ms":{millis}"#));
        }
        for (code, executed) in [(-1007, true), (-1007, false), (-1006, true)] {
            let more = format!(r#","code":{code},"executed":{executed}"#);
            rule("reply.error", commands, faults.doubt_reply / 3, &more);
        }
        rule("reply.error", questions, faults.fail_query, r#","code":-1001"#);
        rule("query.lag", questions, faults.lag_query, &format!(r#","ms":{}"#, LAG.millis()));
        if !rules.is_empty() {
            self.operate("faults", &format!("[{}]", rules.join(",")));
        }
    }

    /// The exchange is well again.
    pub(crate) fn end_trouble(&mut self) {
        self.operate_by("DELETE", "faults", "");
        match self.plan.product {
            Product::Usdt => self.operate("futures/filters", r#"{"symbol":"DOGEUSDT","tick":"0.00001"}"#),
            Product::Spot | Product::Margin => {
                self.operate("filters", r#"{"symbol":"DOGEUSDT","tick":"0.00001"}"#);
                self.operate("status", r#"{"symbol":"DOGEUSDT","status":"TRADING"}"#);
            }
        }
    }

    /// A fault of the simulator's own has struck.
    pub(crate) fn struck(&mut self, line: &str) {
        let is = |name: &str| line.contains(&format!(r#""fault":"{name}""#));
        let placing = line.contains("order.place") || line.contains("order.cancel");
        let name = if is("request.delay") {
            "request held up"
        } else if is("reply.error") {
            if placing || line.contains("margin/order\"") { "outcome in doubt" } else { "query failed" }
        } else if is("query.lag") {
            "query answered from the past"
        } else if is("rate.429") {
            "told to slow down"
        } else if is("rate.418") {
            "banned"
        } else {
            return;
        };
        self.strike(name);
    }

    /// A second has passed.
    pub(crate) fn second(&mut self) {
        self.mail.send(self.now + Span::from_secs(1), 0, Arrival::Second);
        if self.now >= self.quiet_from() {
            return;
        }
        // A symbol nobody uses is nobody's concern.
        if self.journal.iter().any(|record| matches!(record, Record::Listing { .. })) {
            self.account_second();
            self.exchange_second();
        }
        self.links_second();
        if self.gateway.is_some() && self.chance(self.faults.kill_gateway) {
            self.lurk(Blow::KillGateway);
        }
        self.strategies_second();
    }

    /// Strikes at once, or lies in wait until an order is under way: it is so for moments only, and seldom just when a
    /// second has passed.
    fn lurk(&mut self, blow: Blow) {
        if self.rng.bool() { self.hit(blow) } else { self.ambush.push(blow) }
    }

    /// A batch is on its way to the disk; what lies in wait may strike now, or a moment later.
    pub(crate) fn notice_batch(&mut self, batch: &Batch) {
        if self.ambush.is_empty() {
            return;
        }
        let moves = |record: &Record| match record {
            Record::Order(_) => true,
            Record::OrderState(state) => state.state == "UNKNOWN",
            _ => false,
        };
        let moves = batch.records.iter().any(moves);
        let books = |r: &Record| matches!(r, Record::Fill(_) | Record::Adjust(_));
        let books = batch.records.iter().any(books);
        self.spring(|blow| moves || (books && blow == Blow::KillGateway));
    }

    /// A cancel is on its way to the exchange.
    pub(crate) fn notice_cancel(&mut self) {
        self.spring(|_| true);
    }

    fn spring(&mut self, is_ripe: impl Fn(Blow) -> bool) {
        let (ripe, waiting): (Vec<Blow>, Vec<Blow>) =
            std::mem::take(&mut self.ambush).into_iter().partition(|blow| is_ripe(*blow));
        self.ambush = waiting;
        for blow in ripe {
            let at = self.now + Span::from_nanos(self.rng.i64(0..9_000_000));
            self.mail.send(at, 0, Arrival::Blow(blow));
        }
    }

    /// What was drawn strikes.
    pub(crate) fn hit(&mut self, blow: Blow) {
        if self.now >= self.quiet_from() {
            return;
        }
        match blow {
            Blow::KillGateway => self.strike_dead(),
            Blow::KillStrategy(k) => self.kill_strategy(k),
            Blow::CutStrategy(k) => self.cut_strategy(k),
            Blow::TradeByHand => self.trade_by_hand(),
            Blow::CancelByHand => self.cancel_by_hand(),
            Blow::ForceEnd => self.force_end(),
            Blow::EditRow => self.edit_row(),
            Blow::Cut(link) if self.wires.contains_key(&link) => {
                self.strike("link cut");
                self.cut(link, "reset");
            }
            Blow::Freeze(link) => {
                if self.wires.get(&link).is_some_and(|wire| !wire.frozen) {
                    self.strike("link half open");
                }
                if let Some(wire) = self.wires.get_mut(&link) {
                    wire.frozen = true;
                }
            }
            Blow::Outage if !self.is_dark() => self.outage(),
            Blow::Cut(_) | Blow::Outage => {}
            Blow::SlowDown => self.operate("faults", r#"[{"fault":"rate.429","times":1}]"#),
            Blow::Ban => {
                let millis = self.rng.u32(500..5_000);
                self.operate("faults", &format!(r#"[{{"fault":"rate.418","times":1,"ms":{millis}}}]"#));
            }
            Blow::ShutDown => {
                self.strike("exchange shut down");
                let millis = self.rng.u32(0..2_000);
                self.operate("faults", &format!(r#"[{{"fault":"shutdown","ms":{millis}}}]"#));
            }
            Blow::ExpireKey => {
                self.strike("key of the private events over");
                let futures = self.plan.product == Product::Usdt;
                let what = if futures { "futures/listen_key" } else { "margin/listen_token" };
                self.operate(what, &format!(r#"{{"account":"{ACCOUNT}"}}"#));
            }
            Blow::ChangeRules => self.change_rules(),
            Blow::StepClock => {
                self.strike("clock stepped");
                self.ahead = self.ahead + Span::from_millis(self.rng.i64(100..2_500));
                let millis = self.ahead.millis();
                self.operate("faults", &format!(r#"[{{"fault":"clock.skew","ms":{millis}}}]"#));
            }
            Blow::Deny if self.now >= self.denied_until => self.deny(),
            Blow::Deny => {}
        }
    }

    /// The gateway's process ends without a word.
    pub(crate) fn strike_dead(&mut self) {
        if self.gateway.is_some() && self.now < self.quiet_from() {
            self.strike("gateway killed");
            self.count_kill();
            self.kill_gateway();
        }
    }

    fn kill_strategy(&mut self, k: usize) {
        if self.strategies[k].runs() {
            self.strike("strategy killed");
            self.leave(k);
            self.strategies[k].kill();
            let at = self.now + Span::from_millis(self.rng.i64(50..3_000));
            self.mail.send(at, 0, Arrival::StartStrategy(k));
        }
    }

    fn cut_strategy(&mut self, k: usize) {
        if let Some(conn) = self.strategies[k].conn {
            self.strike("strategy cut");
            self.leave(k);
            self.strategies[k].conn = Some(conn);
            let at = self.now + Span::from_nanos(60_000);
            self.mail.send(at, self.run, Arrival::StrategyLost(k, conn, None));
        }
    }

    /// What others do to the account, and users to the books.
    fn account_second(&mut self) {
        let (product, faults) = (self.plan.product, self.faults);
        let futures = product == Product::Usdt;
        self.draw(faults.trade_by_hand, Blow::TradeByHand);
        self.draw(faults.cancel_by_hand, Blow::CancelByHand);
        self.draw(if futures { faults.force_end } else { 0 }, Blow::ForceEnd);
        self.draw(if product == Product::Spot { faults.edit_row } else { 0 }, Blow::EditRow);
    }

    fn draw(&mut self, rate: u32, blow: Blow) {
        if self.chance(rate) {
            self.lurk(blow);
        }
    }

    fn exchange_second(&mut self) {
        let faults = self.faults;
        // On spot private events come under the connection's own login.
        let keyed = self.plan.product != Product::Spot;
        self.draw(if self.is_dark() { 0 } else { faults.outage }, Blow::Outage);
        self.draw(faults.slow_down, Blow::SlowDown);
        self.draw(faults.ban, Blow::Ban);
        self.draw(faults.shut_down, Blow::ShutDown);
        self.draw(if keyed { faults.expire_key } else { 0 }, Blow::ExpireKey);
        self.draw(faults.change_rules, Blow::ChangeRules);
        self.draw(faults.step_clock, Blow::StepClock);
        // Not while the opening of the books may still be corrected by what cannot be seen.
        let opened = self.now.since(START) > Span::from_secs(22) && self.now >= self.denied_until;
        self.draw(if opened { faults.deny } else { 0 }, Blow::Deny);
    }

    /// The exchange forgets for a while: beyond all that it documents.
    fn deny(&mut self) {
        self.strike("orders denied");
        self.denied_until = self.now + DENIAL;
        let (commands, millis) = (r#"["order.place"]"#, DENIAL.millis());
        let rules = [
            format!(r#"{{"fault":"query.lag","ms":90000,"for_ms":{millis}}}"#),
            format!(r#"{{"fault":"event.drop","for_ms":{millis}}}"#),
            format!(r#"{{"fault":"reply.drop","method":{commands},"for_ms":9000}}"#),
            format!(
                r#"{{"fault":"reply.error","method":["order.cancel"],"code":-2011,"status":400,
                    "message":"Unknown order sent.","for_ms":{millis}}}"#
            ),
        ];
        self.operate("faults", &format!("[{}]", rules.join(",")));
    }

    /// A cancel that reaches an exchange which denies finds nothing, whatever is there.
    pub(crate) fn note_denial(&mut self, frame: &str) {
        const NAME: &str = "\"origClientOrderId\":\"";
        if self.now < self.denied_until && frame.contains("\"order.cancel\"") {
            let name = frame.split_once(NAME).and_then(|(_, rest)| rest.split_once('"'));
            self.denied.extend(name.map(|(name, _)| name.to_owned()));
        }
    }

    fn change_rules(&mut self) {
        self.strike("rules changed");
        let tick = if self.rng.bool() { "0.00001" } else { "0.0001" };
        let filters = format!(r#"{{"symbol":"DOGEUSDT","tick":"{tick}"}}"#);
        if self.plan.product == Product::Usdt {
            return self.operate("futures/filters", &filters);
        }
        if self.rng.bool() {
            return self.operate("filters", &filters);
        }
        let status = ["TRADING", "CANCEL_ONLY", "HALT"][self.rng.usize(0..3)];
        self.operate("status", &format!(r#"{{"symbol":"DOGEUSDT","status":"{status}"}}"#));
    }

    fn links_second(&mut self) {
        let links: Vec<LinkId> = self.wires.keys().copied().collect();
        for link in links {
            self.draw(self.faults.cut_link, Blow::Cut(link));
            self.draw(self.faults.freeze_link, Blow::Freeze(link));
        }
    }

    fn strategies_second(&mut self) {
        for k in 0..self.strategies.len() {
            self.draw(self.faults.kill_strategy, Blow::KillStrategy(k));
            self.draw(self.faults.cut_strategy, Blow::CutStrategy(k));
        }
    }

    /// The disk has a batch.
    pub(crate) fn committed(&mut self, batch: u64) {
        let Some(done) = self.disk.pop_front() else { return };
        debug_assert_eq!(done.id, batch, "batches commit in order");
        let begins = done.records.iter().any(|record| matches!(record, Record::Start(_)));
        self.store.write(&mut self.journal, done);
        if begins {
            self.store.note(&self.journal);
        }
        self.gateway_input(Input::Committed(batch));
    }
}
