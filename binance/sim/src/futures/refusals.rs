//! Refusals of the futures core in the venue's codes and words. Each filter has its own code.

use binance_wire::errors::{ErrorReply, code};
use tradingsys::exchange::Reject as MarketReject;
use tradingsys::exchange::futures::Reject;

/// A refused request.
pub(crate) fn refusal(reject: Reject) -> ErrorReply {
    let (code, words) = match reject {
        Reject::Market(reject) => return of_market(reject),
        Reject::NotOpen(_) => (-4140, "Invalid symbol status for opening position.".to_owned()),
        Reject::PriceNotPositive => (-4001, "Price less than 0.".to_owned()),
        Reject::PriceTooHigh(_) => (-4002, "Price greater than max price.".to_owned()),
        Reject::QtyNotPositive => (-4003, "Quantity less than or equal to zero.".to_owned()),
        Reject::QtyTooSmall(_) => (-4004, "Quantity less than min quantity.".to_owned()),
        Reject::QtyTooLarge(_) => (-4005, "Quantity greater than max quantity.".to_owned()),
        Reject::PriceTooLow(_) => (-4013, "Price less than min price.".to_owned()),
        Reject::PriceOffTick(_) => (-4014, "Price not increased by tick size.".to_owned()),
        Reject::PriceFarAbove(most) => (-4016, format!("Limit price can't be higher than {most}.")),
        Reject::QtyOffStep(_) => (-4023, "Quantity not increased by step size.".to_owned()),
        Reject::PriceFarBelow(least) => (-4024, format!("Limit price can't be lower than {least}.")),
        Reject::MarketTooFar => {
            (-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.".to_owned())
        }
        Reject::NotionalTooSmall(least) => (
            -4164,
            format!("Order's notional must be no smaller than {least} (unless you choose reduce only)."),
        ),
        Reject::TooManyOrders(_) => (-2025, "Reach max open order limit.".to_owned()),
        Reject::InsufficientMargin => (-2019, "Margin is insufficient.".to_owned()),
        Reject::PositionTooLarge(_) => {
            (-2027, "Exceeded the maximum allowable position at current leverage.".to_owned())
        }
        Reject::ReduceOnly => (-2022, "ReduceOnly Order is rejected.".to_owned()),
        Reject::PositionSide(_) => (-4061, "Order's position side does not match user's setting.".to_owned()),
        Reject::ReduceOnlyInHedgeMode => return ErrorReply::not_required("reduceonly"),
        Reject::GoodTillDate(_) => (
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller \
             than 253402300799000."
                .to_owned(),
        ),
        other => return of_settings(other),
    };
    ErrorReply::bad(code, words)
}

/// Refusals of changes.
fn of_settings(reject: Reject) -> ErrorReply {
    let (code, words) = match reject {
        Reject::ModifyNotLimit => (-5025, "Only limit order is supported.".to_owned()),
        Reject::ModifySide(_) => return ErrorReply::bad(code::INVALID_SIDE, "Invalid side."),
        Reject::ModifyNoChange => (-5027, "No need to modify the order.".to_owned()),
        Reject::ModifiedTooOften(_) => (-5026, "Exceed maximum modify order limit.".to_owned()),
        Reject::ModifyReduceOnly => {
            (-5047, "The reduceOnly parameter does not match the original order.".to_owned())
        }
        Reject::Leverage(leverage, _) => (-4028, format!("Leverage {leverage} is not valid")),
        Reject::LeveragePosition(_) => {
            (-2027, "Exceeded the maximum allowable position at current leverage.".to_owned())
        }
        Reject::OpenOrders => {
            (-4067, "Position side cannot be changed if there exists open orders.".to_owned())
        }
        Reject::OpenPositions => {
            (-4068, "Position side cannot be changed if there exists position.".to_owned())
        }
        Reject::Withdraw(_) => (-2018, "Balance is insufficient.".to_owned()),
        other => (code::UNKNOWN, other.to_string()),
    };
    ErrorReply::bad(code, words)
}

fn of_market(reject: MarketReject) -> ErrorReply {
    let (code, words) = match reject {
        MarketReject::UnknownSymbol => return ErrorReply::symbol(),
        MarketReject::UnknownAccount => return ErrorReply::key(),
        MarketReject::UnknownOrder => return ErrorReply::cancel("Unknown order sent."),
        MarketReject::IdMismatch => return ErrorReply::cancel("Unknown order sent."),
        MarketReject::Duplicate => (-4116, "ClientOrderId is duplicated."),
        MarketReject::WouldMatch => (
            -5022,
            "Due to the order could not be executed as maker, the Post Only order will be rejected. The order \
             will not be recorded in the order history",
        ),
        MarketReject::StpNotSupported(_) => (-5039, "Invalid self trade prevention mode"),
        MarketReject::TypeNotSupported(_) => (
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        ),
        MarketReject::MarketClosed => (-4140, "Invalid symbol status for opening position."),
        MarketReject::AccountBlocked => return ErrorReply::key(),
        other => return ErrorReply::order(&other.to_string()),
    };
    ErrorReply::bad(code, words)
}

/// A query that found nothing.
pub(crate) fn query_refusal(reject: MarketReject) -> ErrorReply {
    match reject {
        MarketReject::UnknownOrder | MarketReject::IdMismatch => {
            ErrorReply::bad(code::NO_SUCH_ORDER, "Order does not exist.")
        }
        other => of_market(other),
    }
}
