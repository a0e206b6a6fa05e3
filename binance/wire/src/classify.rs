//! What an error reply to an order says about the order.
//!
//! The table is the law: first row that fits wins, and what no row knows is [`Verdict::Unknown`]. A rejection needs
//! positive evidence, for a wrong one makes the strategy send a second order. Sources: errors.md and rest-api.md of
//! binance-spot-api-docs (2026-07-21).

use std::ops::RangeInclusive;

/// What an error says about the order it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The order does not exist (or: the cancel, the amend changed nothing).
    Rejected,
    /// It was not executed because the venue is short of capacity; another order may pass later.
    NotExecuted,
    /// It may have been executed.
    Unknown,
}

pub(crate) struct Row {
    statuses: RangeInclusive<u16>,
    codes: RangeInclusive<i64>,
    /// Only for this message; empty fits all.
    message: &'static str,
    verdict: Verdict,
}

pub(crate) const ANY: RangeInclusive<u16> = 0..=u16::MAX;
pub(crate) const CLIENT: RangeInclusive<u16> = 400..=499;

pub(crate) const fn row(
    statuses: RangeInclusive<u16>,
    codes: RangeInclusive<i64>,
    message: &'static str,
    verdict: Verdict,
) -> Row {
    Row { statuses, codes, message, verdict }
}

use Verdict::{NotExecuted, Rejected, Unknown};

/// The execution status is unknown: unexpected answer, time-out, internal disconnect. Or the venue is overloaded:
/// refused before execution, whatever the status.
pub(crate) const BUS: &[Row] = &[
    row(ANY, -1007..=-1006, "", Unknown),
    row(ANY, -1001..=-1001, "", Unknown),
    row(ANY, -1008..=-1008, "", NotExecuted),
];

/// What the status says, and the refusals of the API's front: such requests go no further.
pub(crate) const FRONT: &[Row] = &[
    // "5xx: it is important NOT to treat this as a failure; the execution status is UNKNOWN."
    row(500..=599, i64::MIN..=i64::MAX, "", Unknown),
    // The firewall answers before the API does, with no word on what it let through; 408 is a time-out.
    row(403..=403, i64::MIN..=i64::MAX, "", Unknown),
    row(408..=408, i64::MIN..=i64::MAX, "", Unknown),
    // Request weight and unfilled orders; the ban.
    row(CLIENT, -1003..=-1003, "", NotExecuted),
    row(CLIENT, -1015..=-1015, "", NotExecuted),
    row(418..=418, i64::MIN..=i64::MAX, "", NotExecuted),
    row(429..=429, i64::MIN..=i64::MAX, "", NotExecuted),
    // Unknown error with a client's status; not authorised; filter; unsupported combination; shutting down; unsupported
    // operation; timestamp; signature; malformed.
    row(CLIENT, -1000..=-1000, "", Rejected),
    row(CLIENT, -1002..=-1002, "", Rejected),
    row(CLIENT, -1014..=-1013, "", Rejected),
    row(CLIENT, -1016..=-1016, "", Rejected),
    row(CLIENT, -1022..=-1020, "", Rejected),
    row(CLIENT, -1299..=-1100, "", Rejected),
];

/// Evidence that the first order of this id lives, hence no evidence against this one.
const DUPLICATE: &[Row] = &[row(ANY, -2010..=-2010, "Duplicate order sent.", Unknown)];

const OWN: &[Row] = &[
    // Too many connections.
    row(CLIENT, -1034..=-1034, "", Rejected),
    // The engine's own refusals of an order, of a cancel, of an amend; key refused; no trading window; ids that
    // disagree.
    row(CLIENT, -2011..=-2010, "", Rejected),
    row(CLIENT, -2016..=-2014, "", Rejected),
    row(CLIENT, -2039..=-2038, "", Rejected),
];

/// Does this refusal of an order suggest that the symbol's rules have changed? Filters and precision: -1013 and -1111,
/// and the codes of the single filters of futures; on spot also the words for a symbol that takes no orders now.
pub fn doubts_rules(code: i64, message: &str) -> bool {
    let closed = code == -2010 && message == "Market is closed.";
    closed || matches!(code, -1013 | -1111 | -4005..=-4001 | -4014..=-4013 | -4023 | -4141..=-4140 | -4164)
}

/// What an error reply to a placement, a cancel or an amend says.
pub fn order_verdict(status: u16, code: i64, message: &str) -> Verdict {
    first(&[DUPLICATE, BUS, FRONT, OWN], status, code, message)
}

/// The verdict of the first row that fits.
pub(crate) fn first(tables: &[&[Row]], status: u16, code: i64, message: &str) -> Verdict {
    tables
        .iter()
        .flat_map(|table| table.iter())
        .find(|row| {
            row.statuses.contains(&status)
                && row.codes.contains(&code)
                && (row.message.is_empty() || row.message == message)
        })
        .map_or(Unknown, |row| row.verdict)
}

/// Does this refuse the key itself, so that retrying is useless until a human acts?
///
/// On a logon a bad signature (-1022) is one of them: the private key is not the one of this API key.
pub fn refuses_key(status: u16, code: i64) -> bool {
    status == 401 || matches!(code, -1002 | -1022 | -2014 | -2015)
}

/// The answer to a cancel whose order is not open in the engine.
pub fn is_unknown_order(code: i64, message: &str) -> bool {
    code == -2011 && message == "Unknown order sent."
}

/// The answer to a query about an order the venue does not show: it never existed, a replica lags, or the venue keeps
/// it no longer.
pub fn is_not_found(code: i64) -> bool {
    code == -2013
}

/// The answer to a query about an order that ended without a fill over ninety days ago and was put away: evidence that
/// it existed, and that it is over. Only a query says so; to an order the code may mean another thing.
pub fn is_archived(code: i64) -> bool {
    code == -2026
}

/// The timestamp was outside the window: clocks must be compared anew.
pub fn is_clock(code: i64) -> bool {
    code == -1021
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by row from errors.md and rest-api.md, not from the table above.
    #[test]
    fn every_documented_answer_has_its_class() {
        let cases: &[(u16, i64, &str, Verdict)] = &[
            (400, -1013, "Filter failure: LOT_SIZE", Rejected),
            (400, -1021, "Timestamp for this request is outside of the recvWindow.", Rejected),
            (400, -1022, "Signature for this request is not valid.", Rejected),
            (400, -1100, "Illegal characters found in parameter 'price'.", Rejected),
            (400, -1102, "Mandatory parameter 'side' was not sent, was empty/null, or malformed.", Rejected),
            (400, -1106, "Parameter 'timeInForce' sent when not required.", Rejected),
            (400, -1111, "Parameter 'quantity' has too much precision.", Rejected),
            (400, -1121, "Invalid symbol.", Rejected),
            (400, -1220, "The symbol's status does not match the requested symbolStatus.", Rejected),
            (400, -2010, "Account has insufficient balance for requested action.", Rejected),
            (400, -2010, "Order would immediately match and take.", Rejected),
            (400, -2010, "Duplicate order sent.", Unknown),
            (400, -2011, "Unknown order sent.", Rejected),
            (400, -2038, "Order amend is not supported for this symbol.", Rejected),
            (401, -2015, "Invalid API-key, IP, or permissions for action.", Rejected),
            (401, -1002, "You are not authorized to execute this request.", Rejected),
            (429, -1003, "Too much request weight used.", NotExecuted),
            (429, -1015, "Too many new orders.", NotExecuted),
            (418, -1003, "Way too much request weight used; IP banned until 1.", NotExecuted),
            (503, -1008, "Server is currently overloaded with other requests.", NotExecuted),
            (400, -1006, "An unexpected response was received from the message bus.", Unknown),
            (504, -1007, "Timeout waiting for response from backend server.", Unknown),
            (400, -1007, "Timeout waiting for response from backend server.", Unknown),
            (500, -1001, "Internal error; unable to process your request. Please try again.", Unknown),
            (400, -1001, "Internal error; unable to process your request. Please try again.", Unknown),
            (500, -1000, "An unknown error occurred while processing the request.", Unknown),
            (503, -1013, "anything with 5xx", Unknown),
            (403, 0, "<html>", Unknown),
            (408, -1007, "", Unknown),
            (409, -2021, "cancel replace partially failed", Unknown),
            (400, -9999, "a code of the future", Unknown),
            (200, -2010, "an error with a good status makes no sense", Unknown),
            (0, 0, "", Unknown),
        ];
        for (status, code, message, verdict) in cases {
            assert_eq!(order_verdict(*status, *code, message), *verdict, "{status} {code} {message}");
        }
    }

    #[test]
    fn a_refused_key_is_told_from_a_refused_request() {
        assert!(refuses_key(401, -2015) && refuses_key(400, -2014) && refuses_key(400, -1022));
        assert!(!refuses_key(400, -1021) && !refuses_key(429, -1003) && !refuses_key(503, -1001));
        assert!(is_unknown_order(-2011, "Unknown order sent."));
        assert!(!is_unknown_order(-2011, "Order was not canceled due to cancel restrictions."));
        assert!(!is_unknown_order(-2013, "Order does not exist."));
        assert!(is_not_found(-2013) && !is_archived(-2013));
        // "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
        assert!(is_archived(-2026) && !is_not_found(-2026));
    }
}
