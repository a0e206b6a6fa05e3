//! Interest: what wallets were charged, and the control interface of cross margin.

use binance_wire::errors::ErrorReply;
use binance_wire::render::{Object, array};
use serde::Deserialize;
use tradingsys::exchange::{LiabilityChange, LiabilityKind, Rate};
use tradingsys::ids::Asset;
use tradingsys::num::Cash;
use tradingsys::time::{Span, Time};

use super::cross_only;
use crate::control::{Outcome, read};
use crate::io::Conn;
use crate::methods::{Answer, Call};
use crate::sim::Sim;

/// Longest window of one question.
const LONGEST: Span = Span::from_secs(30 * 86_400);
/// What is shown where no window is given.
const RECENT: Span = Span::from_secs(7 * 86_400);
/// Rows of a page, at most and usually.
const PAGE_MAX: i64 = 100;
const PAGE: i64 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetInterest {
    /// Whose rate changes; without it only the interval does.
    asset: Option<String>,
    /// Rate per interval.
    rate: Option<String>,
    /// Time between two charges.
    interval_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    account: String,
    asset: String,
    amount: Cash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenToken {
    /// Its subscription ends at once.
    account: Option<String>,
    /// How long tokens live from now on.
    life_ms: Option<i64>,
}

impl Sim {
    /// Remembers what a wallet was charged.
    pub(super) fn remember_interest(&mut self, change: &LiabilityChange) {
        if change.kind == LiabilityKind::Interest {
            self.margin.interest.push(change.clone());
        }
    }

    /// `GET /sapi/v1/margin/interestHistory`: the newest first.
    pub(crate) fn interest_history(&mut self, call: &Call<'_>) -> Answer {
        cross_only(call.params)?;
        let wallet = self.margin_of(call.account);
        let asset = call.params.text("asset")?.map(Asset::new);
        let number = |name| -> Result<Option<i64>, ErrorReply> { call.params.integer(name) };
        let end = number("endTime")?.map(Time::from_millis);
        let start = number("startTime")?.map(Time::from_millis);
        let start = start.unwrap_or_else(|| end.unwrap_or(call.now) - RECENT);
        let end = end.unwrap_or(start + LONGEST);
        if end - start > LONGEST {
            return Err(ErrorReply::bad(-1127, "More than 30 days between startTime and endTime."));
        }
        let size = number("size")?.unwrap_or(PAGE).clamp(1, PAGE_MAX);
        let current = number("current")?.unwrap_or(1).max(1);
        let shown = |change: &&LiabilityChange| {
            let of_asset = asset.as_ref().is_none_or(|asset| *asset == change.asset);
            change.account == wallet && of_asset && change.time >= start && change.time <= end
        };
        let all: Vec<&LiabilityChange> = self.margin.interest.iter().rev().filter(shown).collect();
        let skip = usize::try_from((current - 1).saturating_mul(size)).unwrap_or(usize::MAX);
        let rows = all.iter().skip(skip).take(usize::try_from(size).unwrap_or(0)).map(|change| {
            let rate = change.interest.per(change.loan.borrowed.as_qty()).unwrap_or_default();
            Object::new()
                .int("txId", change.id)
                .int("interestAccuredTime", change.time.millis())
                .text("asset", change.asset.as_str())
                .text("rawAsset", change.asset.as_str())
                .fixed("principal", change.loan.borrowed.raw())
                .fixed("interest", change.interest.raw())
                .fixed("interestRate", rate.raw())
                .text("type", "PERIODIC")
                .end()
        });
        Ok(Object::new().raw("rows", &array(rows)).int("total", all.len()).end())
    }

    /// A request of the control interface about cross margin; `what` is the path after `/control/margin/`.
    pub(crate) fn margin_control(&mut self, now: Time, what: &str, body: &str) -> Outcome {
        match what {
            "interest" => self.set_interest(now, &read(body)?),
            "transfer" => self.fund_wallet(now, &read(body)?),
            "loan" => self.lend_by_hand(now, &read(body)?),
            "listen_token" => self.set_listen_token(now, &read(body)?),
            _ => Err(format!("there is no POST /control/margin/{what}")),
        }
    }

    fn set_interest(&mut self, now: Time, wanted: &SetInterest) -> Outcome {
        if let (Some(asset), Some(rate)) = (&wanted.asset, &wanted.rate) {
            let rate: Rate = rate.parse().map_err(|error| format!("rate: {error}"))?;
            self.exchange.set_interest(&Asset::new(asset), rate);
        }
        if let Some(interval) = wanted.interval_ms {
            if interval < 1 {
                return Err("interval_ms must be above zero".into());
            }
            self.exchange.set_interest_interval(now, Span::from_millis(interval));
            self.margin.planned = None;
        }
        Ok("{}".into())
    }

    fn fund_wallet(&mut self, now: Time, wanted: &Transfer) -> Outcome {
        let account = self.account_named(&wanted.account)?;
        let wallet = self.margin_of(account);
        let way = if wanted.amount.is_negative() { (wallet, account) } else { (account, wallet) };
        let moved = self.exchange.move_between(now, way, &Asset::new(&wanted.asset), wanted.amount.abs());
        moved.map(|()| "{}".to_owned()).map_err(|error| error.to_string())
    }

    /// A loan its owner takes up, or pays back, on the venue's pages.
    fn lend_by_hand(&mut self, now: Time, wanted: &Transfer) -> Outcome {
        let wallet = self.margin_of(self.account_named(&wanted.account)?);
        let asset = Asset::new(&wanted.asset);
        let done = if wanted.amount.is_negative() {
            self.exchange.repay(now, wallet, &asset, -wanted.amount).map(drop)
        } else {
            self.exchange.borrow(now, wallet, &asset, wanted.amount).map(drop)
        };
        done.map(|()| "{}".to_owned()).map_err(|error| error.to_string())
    }

    fn set_listen_token(&mut self, now: Time, wanted: &ListenToken) -> Outcome {
        if let Some(life) = wanted.life_ms {
            self.config.timing.listen_token = Span::from_millis(life.max(1));
        }
        let Some(name) = &wanted.account else { return Ok("{}".into()) };
        let wallet = self.margin_of(self.account_named(name)?);
        self.margin.tokens.retain(|_, (of, _)| *of != wallet);
        let of_wallet: Vec<(Conn, u32)> = (self.connections.iter())
            .filter_map(|(conn, connection)| Some((*conn, connection.session()?)))
            .flat_map(|(conn, session)| {
                let ours = session.subscriptions.iter().filter(|(_, known)| known.account == wallet);
                ours.map(move |(number, _)| (conn, *number)).collect::<Vec<_>>()
            })
            .collect();
        for (conn, number) in of_wallet {
            self.end_subscription(now, conn, number);
        }
        Ok("{}".into())
    }
}
