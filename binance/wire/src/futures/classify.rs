//! What an error reply to an order says about the order, in this market's codes. What no row knows is
//! [`Verdict::Unknown`]: a rejection needs positive evidence.

use crate::classify::{ANY, BUS, CLIENT, FRONT, Row, Verdict, first, row};

use Verdict::{NotExecuted, Rejected, Unknown};

/// The id is taken: evidence that the first order of this id lives, hence no evidence against this one.
const DUPLICATE: &[Row] = &[row(ANY, -4116..=-4116, "", Unknown)];

/// One text of a status says more than the status does.
const UNAVAILABLE: &[Row] = &[row(503..=503, i64::MIN..=i64::MAX, "Service Unavailable.", NotExecuted)];

const OWN: &[Row] = &[
    // Not found, not authorised: refused by the API's front.
    row(CLIENT, -1099..=-1099, "", Rejected),
    // The engine's refusals: margin, trigger, reduce-only, number of orders, limits of position and leverage, keys.
    row(CLIENT, -2028..=-2010, "", Rejected),
    // The callback rate of a trailing stop.
    row(CLIENT, -2007..=-2007, "", Rejected),
    // Filters, modes, the conditional service, rules of the account.
    row(CLIENT, -4999..=-4000, "", Rejected),
    // Fill-or-kill, post-only, modifications, price matching, dates.
    row(CLIENT, -5099..=-5000, "", Rejected),
];

/// What an error reply to a placement, a cancel or an amend says.
pub fn order_verdict(status: u16, code: i64, message: &str) -> Verdict {
    first(&[DUPLICATE, BUS, UNAVAILABLE, FRONT, OWN], status, code, message)
}

/// The answer to a cancel whose order is not open in the engine.
pub fn is_unknown_order(code: i64) -> bool {
    matches!(code, -2011 | -2013)
}

/// Is the account in another position mode than the order?
pub fn is_position_mode(code: i64) -> bool {
    code == -4061
}

/// Nothing had to be changed: the mode asked for is the one there is.
pub fn is_no_change(code: i64) -> bool {
    code == -4059
}

/// The listen key is not known any more.
pub fn is_unknown_listen_key(code: i64) -> bool {
    code == -1125
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by row from the specification's list of errors, not from the table above.
    #[test]
    fn every_documented_answer_has_its_class() {
        let cases: &[(u16, i64, &str, Verdict)] = &[
            (400, -1021, "Timestamp for this request is outside of the recvWindow.", Rejected),
            (400, -1102, "Mandatory parameter 'side' was not sent.", Rejected),
            (400, -1104, "Not all sent parameters were read.", Rejected),
            (400, -1111, "Precision is over the maximum defined for this asset.", Rejected),
            (400, -1121, "Invalid symbol.", Rejected),
            (401, -2015, "Invalid API-key, IP, or permissions for action.", Rejected),
            (401, -1099, "Not found, unauthenticated, or unauthorized.", Rejected),
            (400, -2007, "Invalid callBack rate", Rejected),
            (400, -2011, "Unknown order sent.", Rejected),
            (400, -2013, "Order does not exist.", Rejected),
            (400, -2018, "Balance is insufficient.", Rejected),
            (400, -2019, "Margin is insufficient.", Rejected),
            (400, -2020, "Unable to fill.", Rejected),
            (400, -2021, "Order would immediately trigger.", Rejected),
            (400, -2022, "ReduceOnly Order is rejected.", Rejected),
            (400, -2025, "Reach max open order limit.", Rejected),
            (400, -2027, "Exceeded the maximum allowable position at current leverage.", Rejected),
            (400, -2028, "Leverage is smaller than permitted.", Rejected),
            (400, -4005, "Quantity greater than max quantity.", Rejected),
            (400, -4045, "Reach max stop order limit.", Rejected),
            (400, -4061, "Order's position side does not match user's setting.", Rejected),
            (400, -4116, "ClientOrderId is duplicated.", Unknown),
            (400, -4118, "ReduceOnly order failed.", Rejected),
            (400, -4120, "Order type not supported for this endpoint.", Rejected),
            (
                400,
                -4131,
                "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
                Rejected,
            ),
            (400, -4140, "Invalid symbol status for opening position.", Rejected),
            (400, -4164, "Order's notional must be no smaller than 5.", Rejected),
            (400, -4192, "Trade forbidden due to Cooling-off Period.", Rejected),
            (
                400,
                -5021,
                "Due to the order could not be filled immediately, the FOK order has been rejected.",
                Rejected,
            ),
            (
                400,
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected.",
                Rejected,
            ),
            (400, -5027, "No need to modify the order.", Rejected),
            (400, -5028, "Timestamp for this request is outside of the ME recvWindow.", Rejected),
            (429, -1003, "Too many requests.", NotExecuted),
            (429, -1015, "Too many new orders.", NotExecuted),
            (418, -1003, "Way too many requests; IP banned until 1.", NotExecuted),
            (503, -1008, "Request throttled by system-level protection.", NotExecuted),
            (503, 0, "Service Unavailable.", NotExecuted),
            (503, 0, "Unknown error, please check your request or try again later.", Unknown),
            (400, -1006, "An unexpected response was received from the message bus.", Unknown),
            (408, -1007, "Timeout waiting for response from backend server.", Unknown),
            (400, -1007, "Timeout waiting for response from backend server.", Unknown),
            (500, -1000, "An unknown error occurred while processing the request.", Unknown),
            (502, 0, "", Unknown),
            (403, 0, "<html>", Unknown),
            (400, -9999, "a code of the future", Unknown),
            (200, -2019, "an error with a good status makes no sense", Unknown),
        ];
        for (status, code, message, verdict) in cases {
            assert_eq!(order_verdict(*status, *code, message), *verdict, "{status} {code} {message}");
        }
    }
}
