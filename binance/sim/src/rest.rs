//! Requests over HTTP: the same methods as the websocket API's, found by verb and path.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::TimeUnit;
use bytes::Bytes;
use tradingsys::time::Time;

use crate::api::{Asker, Served, nothing_found};
use crate::chaos::{Arrival, Plan};
use crate::faults::{Fault, Stage, Subject};
use crate::io::{HttpReply, HttpRequest, Request, SimOutput};
use crate::malformed::{Deformed, deform};
use crate::margin::methods::{IP, uid};
use crate::methods::{Method, by_path, path_known};
use crate::params::Params;
use crate::product::Product;
use crate::sim::{Sim, Task};

/// What the firewall answers.
const PAGE: &str = "<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>";
/// Paths that were removed: 410.
const REMOVED: [&str; 3] =
    ["/api/v3/userDataStream", "/sapi/v1/userDataStream", "/sapi/v1/userDataStream/isolated"];

impl Sim {
    /// An HTTP request: faults may lose it or hold it back.
    pub(crate) fn http(&mut self, now: Time, request: Request, http: HttpRequest, out: &mut Vec<SimOutput>) {
        if http.path.starts_with("/control/") {
            return self.control(now, request, &http, out);
        }
        let name = by_path(&http.method, path(&http)).map_or("", Method::label);
        let product = Product::of_path(&http.path);
        let account = self.account_of_header(&http);
        match self.arrival(subject(product, name, &account)) {
            Arrival::Now => self.serve_http(now, request, &http, out),
            // The client waits until it gives up.
            Arrival::Never => self.flush(None, out),
            Arrival::Late(after) => {
                self.later(after, Task::ArriveHttp(request, Box::new(http)));
                self.flush(None, out);
            }
        }
    }

    fn account_of_header(&self, http: &HttpRequest) -> String {
        let key = http.header("x-mbx-apikey").and_then(|key| self.keys.find(key).ok());
        key.map_or(String::new(), |key| self.account_name(self.keys.at(key).account).to_owned())
    }

    /// A request that has arrived.
    pub(crate) fn serve_http(
        &mut self,
        now: Time,
        request: Request,
        http: &HttpRequest,
        out: &mut Vec<SimOutput>,
    ) {
        let path = path(http);
        if REMOVED.contains(&path) {
            let error = ErrorReply::new(410, code::SHUTTING_DOWN, "This service is no longer available.");
            return reply(request, 410, error.body(), out);
        }
        let Some(method) = by_path(&http.method, path) else {
            let status = if path_known(path) { 405 } else { 404 };
            return reply(request, status, String::new(), out);
        };
        let account = self.account_of_header(http);
        let product = Product::of_path(path);
        let plan = self.plan(now, subject(product, method.label(), &account), &http.peer);
        if let Some((fault, Stage::Before)) = plan.cut {
            self.flush(None, out);
            return cut(request, fault, out);
        }
        let served = self.rest_serve(now, method, http, &plan);
        let mut answer = self.rest_reply(now, http, method, served);
        if plan.blocked {
            answer.body = PAGE.to_owned();
        }
        if let Some((fault, Stage::After)) = plan.cut {
            self.flush(None, out);
            return cut(request, fault, out);
        }
        if let Some(Deformed::Text(text)) =
            plan.deform.as_ref().map(|strike| deform(&strike.rule, &Bytes::from(answer.body.clone())))
        {
            answer.body = String::from_utf8_lossy(&text).into_owned();
        }
        match plan.delay {
            _ if plan.lost => self.flush(None, out),
            Some(after) => {
                self.later(after, Task::Reply(request, answer));
                self.flush(None, out);
            }
            // Over another connection than the events', so the order between them is the network's.
            None => self.flush(Some((SimOutput::Reply(request, answer), true)), out),
        }
        self.close_banned(now, product, &http.peer, out);
    }

    fn rest_serve(&mut self, now: Time, method: &Method, http: &HttpRequest, plan: &Plan) -> Served {
        let params = match Params::from_rest(&http.query, &http.body) {
            Ok(params) => params,
            Err(error) => return error.into(),
        };
        let product = Product::of_path(&http.path);
        let unit = match http.header("x-mbx-time-unit").map(TimeUnit::from_word) {
            _ if product == Product::Futures => TimeUnit::Millis,
            None => TimeUnit::Millis,
            Some(Some(unit)) => unit,
            Some(None) => {
                let words = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.";
                return ErrorReply::bad(code::INVALID_TIME_UNIT, words).into();
            }
        };
        let (weight, free) = method.weight.charge(&params);
        let payer = payer(method, http);
        if let Err(error) = self.pool(product).charge(now, &payer, weight) {
            return error.into();
        }
        if let Some(error) = &plan.unserved {
            return error.clone().into();
        }
        let key = match self.keys.of_rest(now, method.security, http, &params) {
            Ok(key) => key,
            Err(error) => return error.into(),
        };
        let answer = self.serve(now, method, &params, Asker { conn: None, key, unit, lag: plan.lag });
        let answer = if plan.finds_nothing { nothing_found(method, answer) } else { answer };
        if free && answer.is_ok() {
            self.pool(product).refund(now, &payer, weight);
        }
        let answer = plan.replaced.clone().map_or(answer, Err);
        Served { answer, account: key.map(|key| self.keys.at(key).account) }
    }

    fn rest_reply(&mut self, now: Time, http: &HttpRequest, method: &Method, served: Served) -> HttpReply {
        let product = Product::of_path(&http.path);
        let pool = self.pool(product);
        let used = pool.weight_used(now, &payer(method, http));
        let mut headers = match product {
            Product::Margin if uid(method) => vec![("x-sapi-used-uid-weight-1m", used.to_string())],
            Product::Margin => vec![("x-sapi-used-ip-weight-1m", (used / IP).to_string())],
            _ => vec![("x-mbx-used-weight", used.to_string()), ("x-mbx-used-weight-1m", used.to_string())],
        };
        if let (Ok(_), Some(account), "POST") = (&served.answer, served.account, method.verb) {
            let (short, long) = pool.order_counts(now, account);
            let [of_short, of_long] = pool.order_headers();
            headers.extend([(of_short, short.to_string()), (of_long, long.to_string())]);
        }
        match served.answer {
            Ok(body) => HttpReply { status: 200, headers, body },
            Err(mut error) => {
                if matches!(error.status, 418 | 429) {
                    headers.push(("retry-after", retry_after(&error, now).to_string()));
                    error.data = None;
                }
                HttpReply { status: error.status, headers, body: error.body() }
            }
        }
    }
}

/// Who pays for a request: the address; on margin every endpoint has a pool of its own, of the address or of the key.
fn payer(method: &Method, http: &HttpRequest) -> String {
    if Product::of_path(method.path) != Product::Margin {
        return http.peer.clone();
    }
    let who = if uid(method) { http.header("x-mbx-apikey").unwrap_or_default() } else { http.peer.as_str() };
    format!("{} {} {who}", method.verb, method.path)
}

fn path(http: &HttpRequest) -> &str {
    http.path.trim_end_matches('/')
}

fn subject<'a>(product: Product, method: &'a str, account: &'a str) -> Subject<'a> {
    let product = Some(product);
    Subject { method: Some(method), account: Some(account), side: None, product, ..Subject::default() }
}

/// Cuts the connection of a request; a half-open one never answers.
fn cut(request: Request, fault: Fault, out: &mut Vec<SimOutput>) {
    if fault != Fault::ConnectionHalfOpen {
        out.push(SimOutput::Drop(request));
    }
}

/// Answers without headers.
pub(crate) fn reply(request: Request, status: u16, body: String, out: &mut Vec<SimOutput>) {
    out.push(SimOutput::Reply(request, HttpReply { status, headers: Vec::new(), body }));
}

/// Seconds until the time the refusal names, at least one.
fn retry_after(error: &ErrorReply, now: Time) -> i64 {
    #[derive(serde::Deserialize)]
    struct Data {
        #[serde(rename = "retryAfter")]
        retry_after: i64,
    }
    let data: Option<Data> = error.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
    let until = data.map_or(now.millis() + 1_000, |data| data.retry_after);
    ((until - now.millis() + 999) / 1_000).max(1)
}
