//! What a reply says of the order, or the question, it answers.

use binance_wire::classify::{Verdict, is_archived, is_not_found};
use tradingsys::venue::port::{AmendOutcome, Answer, CancelOutcome, PlaceOutcome, Query};

use super::{Desk, Dialect, Reply};

impl<D: Dialect> Desk<D> {
    pub(super) fn placed(&self, result: Reply<'_>) -> PlaceOutcome {
        match result.map(|text| (D::READERS.order)(text)) {
            Ok(Ok(report)) => PlaceOutcome::Accepted(Box::new(report)),
            Ok(Err(malformed)) => PlaceOutcome::Unknown(malformed.to_string()),
            Err(error) => match self.dialect.verdict(&error) {
                verdict @ (Verdict::Rejected | Verdict::NotExecuted) => PlaceOutcome::Rejected {
                    code: error.code,
                    message: explained(error.message),
                    for_now: verdict == Verdict::NotExecuted,
                },
                Verdict::Unknown => PlaceOutcome::Unknown(error.to_string()),
            },
        }
    }

    /// `None` if it worked and the order itself must be asked for.
    pub(super) fn canceled(&self, result: Reply<'_>) -> Option<CancelOutcome> {
        Some(match result {
            Ok(text) => match (D::READERS.order)(text) {
                Ok(report) => CancelOutcome::Canceled(Box::new(report)),
                Err(_) if self.dialect.is_bare_cancel(text) => return None,
                Err(malformed) => CancelOutcome::Unknown(malformed.to_string()),
            },
            Err(error) => match self.dialect.verdict(&error) {
                Verdict::Rejected if self.dialect.is_unknown_order(&error) => CancelOutcome::UnknownOrder,
                Verdict::Rejected | Verdict::NotExecuted => {
                    CancelOutcome::Rejected { code: error.code, message: error.message }
                }
                Verdict::Unknown => CancelOutcome::Unknown(error.to_string()),
            },
        })
    }

    pub(super) fn amended(&self, result: Reply<'_>) -> AmendOutcome {
        match result.map(|text| self.dialect.amended_order(text)) {
            Ok(Ok(report)) => AmendOutcome::Amended(Box::new(report)),
            Ok(Err(malformed)) => AmendOutcome::Unknown(malformed.to_string()),
            Err(error) => match self.dialect.verdict(&error) {
                Verdict::Rejected | Verdict::NotExecuted => {
                    AmendOutcome::Rejected { code: error.code, message: error.message }
                }
                Verdict::Unknown => AmendOutcome::Unknown(error.to_string()),
            },
        }
    }

    pub(super) fn answer(&self, query: &Query, result: Reply<'_>) -> Answer {
        match result {
            Ok(text) => match self.dialect.read(query, text) {
                Ok(answer) => answer,
                Err(malformed) => Answer::Failed(malformed.to_string()),
            },
            Err(error) if is_not_found(error.code) => Answer::NotFound,
            Err(error) if is_archived(error.code) && names_an_order(query) => Answer::Archived,
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

fn names_an_order(query: &Query) -> bool {
    matches!(query, Query::Order { .. } | Query::OrderByVenueId { .. })
}

/// The venue's words, and what they mean where they name a filter that only the venue can judge.
fn explained(message: String) -> String {
    if message.starts_with("Filter failure: PERCENT_PRICE") {
        return format!(
            "{message} (the price is too far from the market's average of the last minutes; choose one nearer to it)"
        );
    }
    message
}
