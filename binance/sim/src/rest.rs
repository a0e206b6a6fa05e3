//! Requests over HTTP: the same methods as the websocket API's, found by verb and path.

use binance_wire::errors::{ErrorReply, code};
use binance_wire::render::TimeUnit;
use tradingsys::exchange::AccountId;
use tradingsys::time::Time;

use crate::io::{HttpReply, HttpRequest, Request, SimOutput};
use crate::methods::{Answer, Method, by_path, path_known};
use crate::params::Params;
use crate::sim::Sim;

/// Paths that were removed: 410.
const REMOVED: [&str; 3] =
    ["/api/v3/userDataStream", "/sapi/v1/userDataStream", "/sapi/v1/userDataStream/isolated"];

impl Sim {
    /// An HTTP request.
    pub(crate) fn http(&mut self, now: Time, request: Request, http: &HttpRequest, out: &mut Vec<SimOutput>) {
        let path = http.path.trim_end_matches('/');
        if REMOVED.contains(&path) {
            let error = ErrorReply::new(410, code::SHUTTING_DOWN, "This service is no longer available.");
            return self.reply(request, 410, error.body(), out);
        }
        let Some(method) = by_path(&http.method, path) else {
            let status = if path_known(path) { 405 } else { 404 };
            return self.reply(request, status, String::new(), out);
        };
        let (answer, account) = self.rest_run(now, method, http);
        let reply = self.rest_reply(now, http, method, answer, account);
        // Over another connection than the events', so the order between them is the network's.
        self.flush_around(Some((SimOutput::Reply(request, reply), true)), out);
    }

    fn rest_run(&mut self, now: Time, method: &Method, http: &HttpRequest) -> (Answer, Option<AccountId>) {
        let params = match Params::from_rest(&http.query, &http.body) {
            Ok(params) => params,
            Err(error) => return (Err(error), None),
        };
        let unit = match http.header("x-mbx-time-unit").map(TimeUnit::from_word) {
            None => TimeUnit::Millis,
            Some(Some(unit)) => unit,
            Some(None) => {
                let words = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.";
                return (Err(ErrorReply::bad(code::INVALID_TIME_UNIT, words)), None);
            }
        };
        let (weight, free) = method.weight.charge(&params);
        if let Err(error) = self.rates.charge(now, &http.peer, weight) {
            return (Err(error), None);
        }
        let key = match self.keys.of_rest(now, method.security, http, &params) {
            Ok(key) => key,
            Err(error) => return (Err(error), None),
        };
        let answer = self.serve(now, method, &params, None, key, unit);
        if free && answer.is_ok() {
            self.rates.refund(now, &http.peer, weight);
        }
        (answer, key.map(|key| self.keys.at(key).account))
    }

    fn rest_reply(
        &mut self,
        now: Time,
        http: &HttpRequest,
        method: &Method,
        answer: Answer,
        account: Option<AccountId>,
    ) -> HttpReply {
        let used = self.rates.weight_used(now, &http.peer).to_string();
        let mut headers = vec![("x-mbx-used-weight", used.clone()), ("x-mbx-used-weight-1m", used)];
        if let (Ok(_), Some(account), "POST") = (&answer, account, method.verb) {
            let (short, day) = self.rates.order_counts(now, account);
            headers.push(("x-mbx-order-count-10s", short.to_string()));
            headers.push(("x-mbx-order-count-1d", day.to_string()));
        }
        match answer {
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
