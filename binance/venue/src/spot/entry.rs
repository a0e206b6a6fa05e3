//! Orders out, private facts in: the [desk](crate::common::desk) in the words of the spot market.

use binance_wire::account::{account, amended_order, order, orders, trades};
use binance_wire::classify::{Verdict, is_unknown_order, order_verdict};
use binance_wire::reply::{ApiError, Malformed};
use binance_wire::request::Request;
use binance_wire::rest::RestRequest;
use tradingsys::order::request::NewOrder;
use tradingsys::venue::limit::{Cost, Purpose};
use tradingsys::venue::port::{Amend, Answer, Cancel, OrderReport, Query};

use super::frames;
use crate::common::Access;
use crate::common::desk::{Call, Desk, Dialect, Readers, Stamp, nothing};

/// The spot market's requests and replies.
#[derive(Debug)]
pub struct Spot;

impl Dialect for Spot {
    type Own = ();
    const PRIVATE_ON_SESSION: bool = true;
    const TIME_PATH: &str = "/api/v3/time";
    /// The reply for a leg of an order list, which cancels the whole list, has a shape of its own and is no order.
    const READERS: Readers = Readers { order, orders, trades, account, funding: nothing, income: nothing };

    fn order_cost(&self, _order: &NewOrder) -> Cost {
        frames::ORDER_COST
    }

    fn place(&self, id: u64, order: &NewOrder, stamp: Stamp) -> Call {
        Call::Frame(frames::place(id, order, stamp))
    }

    fn cancel_cost(&self) -> Cost {
        frames::CANCEL_COST
    }

    fn cancel(&self, id: u64, cancel: &Cancel, stamp: Stamp) -> Call {
        Call::Frame(frames::cancel(id, cancel, stamp))
    }

    fn cancel_request(&self, cancel: &Cancel) -> RestRequest {
        frames::cancel_params(RestRequest::new("DELETE", "/api/v3/order"), cancel)
    }

    fn open_request(&self, _conditional: bool) -> RestRequest {
        RestRequest::new("GET", "/api/v3/openOrders")
    }

    fn amend_cost(&self) -> Cost {
        frames::AMEND_COST
    }

    fn amend(&self, id: u64, amend: &Amend, stamp: Stamp) -> Option<Call> {
        Some(Call::Frame(frames::amend(id, amend, stamp)))
    }

    fn known(&self, query: &Query) -> Option<Answer> {
        match query {
            Query::Funding { .. } => Some(Answer::Funding(Vec::new())),
            Query::Income { .. } => Some(Answer::Income(Vec::new())),
            _ => None,
        }
    }

    fn query_cost(&self, query: &Query) -> Cost {
        frames::query_cost(query)
    }

    fn query(&self, id: u64, query: &Query, stamp: Stamp) -> Call {
        Call::Frame(frames::query(id, query, stamp))
    }

    fn order_limits(&self, id: u64, stamp: Stamp) -> (Call, Cost) {
        let request = Request::new(id, "account.rateLimits.orders");
        (Call::Frame(stamp.finish(request)), Cost { purpose: Purpose::Query, weight: 40 })
    }

    fn verdict(&self, error: &ApiError) -> Verdict {
        order_verdict(error.status, error.code, &error.message)
    }

    fn is_unknown_order(&self, error: &ApiError) -> bool {
        is_unknown_order(error.code, &error.message)
    }

    fn amended_order(&self, text: &str) -> Result<OrderReport, Malformed> {
        amended_order(text)
    }
}

/// The order-entry machine of the spot market.
pub type Entry = Desk<Spot>;

impl Entry {
    /// A machine that has not started.
    pub fn new(access: Access) -> Self {
        Self::with(Spot, access)
    }
}

#[cfg(test)]
mod tests;
