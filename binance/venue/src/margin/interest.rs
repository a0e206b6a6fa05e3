//! The interest history, read page by page: the newest first, thirty days at a time, until the present.

use binance_wire::margin::InterestPage;
use binance_wire::rest::RestRequest;
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::Income;

use crate::common::desk::Call;

/// Most rows in a page.
const PAGE: u64 = 100;
/// Longest window of a question.
const WINDOW: Span = Span::from_secs(30 * 86_400);

/// A reading under way.
#[derive(Debug)]
pub(super) struct Reading {
    rows: Vec<Income>,
    since: Time,
    page: u64,
}

impl Reading {
    pub(super) const fn new(since: Time) -> Self {
        Self { rows: Vec::new(), since, page: 1 }
    }

    fn until(&self) -> Time {
        self.since + WINDOW
    }

    /// The question for the page that is next.
    pub(super) fn call(&self) -> Call {
        let request = RestRequest::new("GET", "/sapi/v1/margin/interestHistory")
            .with("startTime", self.since.millis())
            .with("endTime", self.until().millis())
            .with("current", self.page)
            .with("size", PAGE);
        Call::Signed(request)
    }

    /// Takes a page; true if another one must be asked for. `now` is the venue's time.
    pub(super) fn take(&mut self, now: Time, page: InterestPage) -> bool {
        self.rows.extend(page.rows);
        if self.page * PAGE < page.total {
            self.page += 1;
            return true;
        }
        let until = self.until();
        if until < now {
            (self.since, self.page) = (until, 1);
        }
        until < now
    }

    /// All rows, oldest first. One that two windows or a page turned meanwhile have shown twice is there once.
    pub(super) fn finish(mut self) -> Vec<Income> {
        self.rows.sort_by_key(|row| (row.time, row.id));
        self.rows.dedup_by_key(|row| row.id);
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use tradingsys::ids::Asset;
    use tradingsys::journal::ChargeKind;
    use tradingsys::num::Cash;

    use super::*;

    fn row(id: u64, time: Time) -> Income {
        let (asset, amount) = (Asset::new("USDT"), Cash::whole(-1));
        Income { id: Some(id), kind: ChargeKind::Interest, symbol: None, asset, amount, time, loan: None }
    }

    fn asked(reading: &Reading) -> String {
        let Call::Signed(request) = reading.call() else { panic!("signed") };
        request.url("")
    }

    #[test]
    fn pages_and_windows_until_the_present() {
        let day = Span::from_secs(86_400);
        let start = Time::from_millis(1_000_000);
        let now = start + day * 40;
        let mut reading = Reading::new(start);
        let newest_first: Vec<Income> = (1..=100).rev().map(|id| row(id + 1, start)).collect();
        assert!(reading.take(now, InterestPage { rows: newest_first, total: 101 }));
        assert!(asked(&reading).ends_with("startTime=1000000&endTime=2593000000&current=2&size=100"));
        // A row came meanwhile, so the page begins with one already seen.
        assert!(reading.take(now, InterestPage { rows: vec![row(2, start), row(1, start)], total: 102 }));
        assert!(asked(&reading).ends_with("startTime=2593000000&endTime=5185000000&current=1&size=100"));
        assert!(!reading.take(now, InterestPage { rows: vec![row(200, start + day * 31)], total: 1 }));
        let ids: Vec<u64> = reading.finish().iter().filter_map(|row| row.id).collect();
        assert_eq!(ids, (1..=101).chain([200]).collect::<Vec<_>>());
    }
}
