//! What a reply says of the order it answers.

use binance_wire::account::{account, amended_order, order, orders, trades};
use binance_wire::classify::{Verdict, is_not_found, is_unknown_order, order_verdict};
use binance_wire::reply::{ApiError, Malformed};
use tradingsys::venue::port::{AmendOutcome, Answer, CancelOutcome, PlaceOutcome, Query};

use crate::common::desk::Reply;

pub(super) fn placed(result: Reply<'_>) -> PlaceOutcome {
    match result.map(order) {
        Ok(Ok(report)) => PlaceOutcome::Accepted(Box::new(report)),
        Ok(Err(malformed)) => PlaceOutcome::Unknown(malformed.to_string()),
        Err(error) => match verdict(&error) {
            Verdict::Rejected | Verdict::NotExecuted => {
                PlaceOutcome::Rejected { code: error.code, message: explained(error.message) }
            }
            Verdict::Unknown => PlaceOutcome::Unknown(error.to_string()),
        },
    }
}

pub(super) fn canceled(result: Reply<'_>) -> CancelOutcome {
    match result.map(order) {
        Ok(Ok(report)) => CancelOutcome::Canceled(Box::new(report)),
        // Among others the reply for a leg of an order list, which cancels the whole list and has a shape of its own.
        Ok(Err(malformed)) => CancelOutcome::Unknown(malformed.to_string()),
        Err(error) => match verdict(&error) {
            Verdict::Rejected if is_unknown_order(error.code, &error.message) => CancelOutcome::UnknownOrder,
            Verdict::Rejected | Verdict::NotExecuted => {
                CancelOutcome::Rejected { code: error.code, message: error.message }
            }
            Verdict::Unknown => CancelOutcome::Unknown(error.to_string()),
        },
    }
}

pub(super) fn amended(result: Reply<'_>) -> AmendOutcome {
    match result.map(amended_order) {
        Ok(Ok(report)) => AmendOutcome::Amended(Box::new(report)),
        Ok(Err(malformed)) => AmendOutcome::Unknown(malformed.to_string()),
        Err(error) => match verdict(&error) {
            Verdict::Rejected | Verdict::NotExecuted => {
                AmendOutcome::Rejected { code: error.code, message: error.message }
            }
            Verdict::Unknown => AmendOutcome::Unknown(error.to_string()),
        },
    }
}

pub(super) fn answer(query: &Query, result: Reply<'_>) -> Answer {
    let text = match result {
        Ok(text) => text,
        Err(error) if is_not_found(error.code) => return Answer::NotFound,
        Err(error) => return Answer::Failed(error.to_string()),
    };
    let read: Result<Answer, Malformed> = match query {
        Query::OpenOrders | Query::OpenConditionals => orders(text).map(Answer::Orders),
        Query::Order { .. } | Query::OrderByVenueId { .. } => {
            order(text).map(|report| Answer::Order(Box::new(report)))
        }
        Query::TradesFrom { .. } | Query::TradesSince { .. } | Query::TradesOfOrder { .. } => {
            trades(text).map(Answer::Trades)
        }
        Query::Account => account(text).map(Answer::Account),
        Query::Funding { .. } => Ok(Answer::Funding(Vec::new())),
        Query::Income { .. } => Ok(Answer::Income(Vec::new())),
    };
    read.unwrap_or_else(|malformed| Answer::Failed(malformed.to_string()))
}

/// The venue's words, and what they mean where they name a filter that only the venue can judge.
fn explained(message: String) -> String {
    if message.contains("PERCENT_PRICE") {
        return format!(
            "{message} (the price is too far from the market's average of the last minutes; choose one nearer to it)"
        );
    }
    message
}

fn verdict(error: &ApiError) -> Verdict {
    order_verdict(error.status, error.code, &error.message)
}
