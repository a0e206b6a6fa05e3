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
        // A symbol nobody uses is nobody's concern.
        let used = self.journal.iter().any(|record| matches!(record, Record::Listing { .. }));
        if used && self.now < self.quiet_from() {
            self.account_second();
            self.exchange_second();
        }
        self.links_second();
        if self.gateway.is_some() && self.chance(self.faults.kill_gateway) {
            if self.rng.bool() {
                self.strike_dead();
            } else {
                // At the next record that matters, or a moment after it.
                self.armed = true;
            }
        }
        self.strategies_second();
    }

    /// The gateway's process ends without a word.
    pub(crate) fn strike_dead(&mut self) {
        if self.gateway.is_some() && self.now < self.quiet_from() {
            self.strike("gateway killed");
            self.count_kill();
            self.kill_gateway();
        }
    }

    /// A batch is on its way to the disk.
    pub(crate) fn notice_batch(&mut self, batch: &Batch) {
        let matters = |r: &Record| matches!(r, Record::Order(_) | Record::Fill(_) | Record::Adjust(_));
        if self.armed && batch.records.iter().any(matters) {
            self.armed = false;
            let at = self.now + Span::from_nanos(self.rng.i64(0..6_000_000));
            self.mail.send(at, self.run, Arrival::Kill);
        }
    }

    /// What others do to the account, and users to the books.
    fn account_second(&mut self) {
        let product = self.plan.product;
        if self.chance(self.faults.trade_by_hand) {
            self.trade_by_hand();
        }
        if product == Product::Usdt && self.chance(self.faults.force_end) {
            self.force_end();
        }
        if product == Product::Spot && self.chance(self.faults.edit_row) {
            self.edit_row();
        }
    }

    fn exchange_second(&mut self) {
        let product = self.plan.product;
        if !self.is_dark() && self.chance(self.faults.outage) {
            self.outage();
        }
        if self.chance(self.faults.slow_down) {
            self.operate("faults", r#"[{"fault":"rate.429","times":1}]"#);
        }
        if self.chance(self.faults.ban) {
            let millis = self.rng.u32(500..5_000);
            self.operate("faults", &format!(r#"[{{"fault":"rate.418","times":1,"ms":{millis}}}]"#));
        }
        if self.chance(self.faults.shut_down) {
            self.strike("exchange shut down");
            let millis = self.rng.u32(0..2_000);
            self.operate("faults", &format!(r#"[{{"fault":"shutdown","ms":{millis}}}]"#));
        }
        if product != Product::Spot && self.chance(self.faults.expire_key) {
            self.strike("key of the private events over");
            let what = if product == Product::Usdt { "futures/listen_key" } else { "margin/listen_token" };
            self.operate(what, &format!(r#"{{"account":"{ACCOUNT}"}}"#));
        }
        if self.chance(self.faults.change_rules) {
            self.change_rules();
        }
        if self.chance(self.faults.step_clock) {
            self.strike("clock stepped");
            self.ahead = self.ahead + Span::from_millis(self.rng.i64(100..2_500));
            let millis = self.ahead.millis();
            self.operate("faults", &format!(r#"[{{"fault":"clock.skew","ms":{millis}}}]"#));
        }
        // Not while the opening of the books may still be corrected by what cannot be seen.
        let opened = self.now.since(START) > Span::from_secs(22);
        if opened && self.now >= self.denied_until && self.chance(self.faults.deny) {
            self.deny();
        }
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
            if self.chance(self.faults.cut_link) {
                self.strike("link cut");
                self.cut(link, "reset");
            }
            if self.chance(self.faults.freeze_link) {
                self.strike("link half open");
                if let Some(wire) = self.wires.get_mut(&link) {
                    wire.frozen = true;
                }
            }
        }
    }

    fn strategies_second(&mut self) {
        for k in 0..self.strategies.len() {
            if self.strategies[k].runs() && self.chance(self.faults.kill_strategy) {
                self.strike("strategy killed");
                self.leave(k);
                self.strategies[k].kill();
                let at = self.now + Span::from_millis(self.rng.i64(50..3_000));
                self.mail.send(at, 0, Arrival::StartStrategy(k));
            }
            if self.strategies[k].conn.is_some() && self.chance(self.faults.cut_strategy) {
                self.strike("strategy cut");
                let conn = self.strategies[k].conn;
                self.leave(k);
                self.strategies[k].conn = conn;
                if let Some(conn) = conn {
                    let at = self.now + Span::from_nanos(60_000);
                    self.mail.send(at, self.run, Arrival::StrategyLost(k, conn, None));
                }
            }
        }
    }

    /// The disk has a batch.
    pub(crate) fn committed(&mut self, batch: u64) {
        let Some(done) = self.disk.pop_front() else { return };
        debug_assert_eq!(done.id, batch, "batches commit in order");
        self.store.write(&mut self.journal, done);
        self.gateway_input(Input::Committed(batch));
    }
}
