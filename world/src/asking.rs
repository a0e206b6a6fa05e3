//! HTTP requests of the gateway, with their faults: lost on the way, lost on the way back, cut off.

use binance_sim::{HttpReply, HttpRequest, Request, SimInput};
use tradingsys::gateway::io::Input;
use tradingsys::ids::LinkId;
use tradingsys::time::Span;
use tradingsys::venue::port::LinkInput;

use crate::product::Product;
use crate::truth::{ACCOUNT, WALLET};
use crate::wire::Arrival;
use crate::world::World;

/// How long a client waits for an answer.
const PATIENCE: Span = Span::from_secs(12);

impl World {
    /// A request sets out.
    pub(crate) fn ask(
        &mut self,
        link: LinkId,
        method: &str,
        url: &str,
        headers: Vec<(&'static str, String)>,
        body: &[u8],
    ) {
        self.conns += 1;
        let request = Request(self.conns);
        self.asked.insert(request, link);
        self.told(|| format!("asked by {link:?}: {method} {url}"));
        if self.chance(self.faults.drop_request) {
            self.strike("http request dropped");
            let late = Arrival::NoAnswer(link, "no answer within 12 s");
            return self.mail.send(self.now + PATIENCE, self.run, late);
        }
        if self.is_dark() {
            let lost = Arrival::NoAnswer(link, "unreachable");
            let at = self.now + self.lag();
            return self.mail.send(at, self.run, lost);
        }
        let target = url.strip_prefix("http://sim").unwrap_or(url);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let http = HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: String::from_utf8(body.to_vec()).expect("the gateway sends text"),
            peer: "gateway".to_owned(),
        };
        let at = self.now + self.lag();
        self.mail.send(at, 0, Arrival::Ask(request, http));
        if self.chance(self.faults.cut_link / 10) {
            self.strike("http connection cut");
            let at = self.now + self.lag();
            self.mail.send(at, self.run, Arrival::NoAnswer(link, "the connection broke"));
        }
    }

    /// What an operator of the exchange does; whoever else trades on the account does it here, too.
    pub(crate) fn operate(&mut self, what: &str, body: &str) {
        self.operate_by("POST", what, body);
    }

    /// The same by another verb.
    pub(crate) fn operate_by(&mut self, verb: &str, what: &str, body: &str) {
        self.conns += 1;
        let http = HttpRequest {
            method: verb.to_owned(),
            path: format!("/control/{what}"),
            body: body.to_owned(),
            peer: "operator".to_owned(),
            ..HttpRequest::default()
        };
        self.exchange_input(SimInput::Http(Request(self.conns), http));
    }

    /// On futures there is funding every few seconds, until the schedule comes to rest.
    pub(crate) fn fund_every(&mut self, interval: Span) {
        let millis = interval.millis();
        let funding = format!(r#"{{"symbol":"DOGEUSDT","rate":"0.00012345","interval_ms":{millis}}}"#);
        self.operate("futures/funding", &funding);
    }

    /// On margin interest is charged every few seconds, until the schedule comes to rest.
    pub(crate) fn charge_every(&mut self, interval: Span) {
        for asset in ["USDT", "DOGE"] {
            let millis = interval.millis();
            let charge = format!(r#"{{"asset":"{asset}","rate":"0.00012345","interval_ms":{millis}}}"#);
            self.operate("margin/interest", &charge);
        }
    }

    /// Somebody trades on the account by hand.
    pub(crate) fn trade_by_hand(&mut self) {
        // A large one goes through orders that rest, a session's among them: both sides of a trade are the account's.
        let most = if self.rng.bool() { 500 } else { 40_000 };
        let (side, qty) = (if self.rng.bool() { "BUY" } else { "SELL" }, self.rng.u32(30..most));
        let (what, account) = match self.plan.product {
            Product::Spot => ("trade", ACCOUNT),
            Product::Usdt => ("futures/trade", ACCOUNT),
            Product::Margin => ("trade", WALLET),
        };
        let trade = format!(
            r#"{{"account":"{account}","symbol":"DOGEUSDT","side":"{side}","qty":"{qty}",
                "self_trade":true}}"#
        );
        self.strike("trade by hand");
        self.operate(what, &trade);
    }

    /// Somebody cancels an order of a strategy by hand.
    pub(crate) fn cancel_by_hand(&mut self) {
        let open: Vec<u64> = self.truth.open_numbers().collect();
        if open.is_empty() {
            return;
        }
        let (what, account) = match self.plan.product {
            Product::Spot => ("cancel", ACCOUNT),
            Product::Usdt => ("futures/cancel", ACCOUNT),
            Product::Margin => ("cancel", WALLET),
        };
        let order = open[self.rng.usize(0..open.len())];
        self.strike("cancel by hand");
        self.operate(what, &format!(r#"{{"account":"{account}","symbol":"DOGEUSDT","order_id":{order}}}"#));
    }

    /// The exchange has answered, or has cut the connection.
    pub(crate) fn replied(&mut self, request: Request, reply: Option<HttpReply>) {
        // A gateway killed meanwhile waits for nothing any more.
        let Some(link) = self.asked.get(&request).copied() else { return };
        let at = self.now + self.lag();
        let (at, arrival) = match reply {
            None => (at, Arrival::NoAnswer(link, "the connection broke")),
            Some(_) if self.is_dark() => (at, Arrival::NoAnswer(link, "the connection broke")),
            Some(_) if self.chance(self.faults.drop_reply) => {
                self.strike("http answer dropped");
                (self.now + PATIENCE, Arrival::NoAnswer(link, "no answer within 12 s"))
            }
            Some(reply) => (at, Arrival::Answer(link, reply)),
        };
        self.mail.send(at, self.run, arrival);
    }

    /// An answer arrives; of two endings the first counts.
    pub(crate) fn answer(&mut self, link: LinkId, reply: &HttpReply) {
        if self.end_request(link) {
            self.told(|| format!("answer to {link:?}: {} {}", reply.status, reply.body));
            self.compare_answer(link, reply.status);
            let headers: Vec<(String, String)> = reply
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect();
            let input = LinkInput::Response { status: reply.status, headers: &headers, body: &reply.body };
            self.gateway_input(Input::Link(link, input));
        }
    }

    /// There will be no answer.
    pub(crate) fn no_answer(&mut self, link: LinkId, reason: &str) {
        if self.end_request(link) {
            self.gateway_input(Input::Link(link, LinkInput::Down(reason)));
        }
    }

    fn end_request(&mut self, link: LinkId) -> bool {
        let waiting = self.asked.iter().find(|(_, waits)| **waits == link).map(|(request, _)| *request);
        waiting.is_some_and(|request| self.asked.remove(&request).is_some())
    }
}
