//! Cross margin: what the wallet has and owes, what interest it was charged, listen tokens, and events of what it owes.
//! Orders, fills and balances are spelt as on spot, see [`account`](crate::account).
//!
//! Sources: the venue's margin specification (SDK 8.2.0) and its change log, 2026-07.

use std::borrow::Cow;

use serde::Deserialize;
use tradingsys::ids::Asset;
use tradingsys::journal::{ChargeKind, Loan};
use tradingsys::num::Cash;
use tradingsys::time::Time;
use tradingsys::venue::port::{Account, Balance, Income};

use crate::classify::{CLIENT, Row, Verdict, first, row};
use crate::reply::{Malformed, read};

use Verdict::Rejected;

/// What spot does not know: the wallet's refusals. Loans (-3006 to -3016), pairs and assets that are not lent on or
/// traded (-3021, -3027, -3028), a level that is too low (-3022, -3023), balance (-3041), the pool of the asset is
/// empty (-3045), no such wallet (-3003), isolated margin (-11001).
const TABLE: &[Row] = &[
    row(CLIENT, -3003..=-3003, "", Rejected),
    row(CLIENT, -3006..=-3006, "", Rejected),
    row(CLIENT, -3016..=-3008, "", Rejected),
    row(CLIENT, -3028..=-3021, "", Rejected),
    row(CLIENT, -3041..=-3041, "", Rejected),
    row(CLIENT, -3045..=-3045, "", Rejected),
    row(CLIENT, -11001..=-11001, "", Rejected),
];

/// What an error reply to a placement or a cancel says. What no row knows is [`Verdict::Unknown`].
pub fn order_verdict(status: u16, code: i64, message: &str) -> Verdict {
    match crate::classify::order_verdict(status, code, message) {
        Verdict::Unknown => first(&[TABLE], status, code, message),
        verdict => verdict,
    }
}

/// Has the account no cross-margin wallet?
pub fn is_no_wallet(code: i64) -> bool {
    code == -3003
}

/// Reads the answer to `GET /sapi/v1/margin/account`: balances with what is owed, empty ones left out.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn wallet(text: &str) -> Result<Account, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        trade_enabled: bool,
        #[serde(borrow)]
        user_assets: Vec<RawAsset<'a>>,
    }
    #[derive(Deserialize)]
    struct RawAsset<'a> {
        #[serde(borrow)]
        asset: Cow<'a, str>,
        borrowed: Cash,
        free: Cash,
        interest: Cash,
        locked: Cash,
    }
    let raw: Raw<'_> = read("a margin account", text)?;
    let balance = |row: &RawAsset<'_>| Balance {
        owed: row.borrowed + row.interest,
        ..Balance::new(Asset::new(&row.asset), row.free, row.locked)
    };
    let empty = |b: &Balance| b.free.is_zero() && b.locked.is_zero() && b.owed.is_zero();
    let balances = raw.user_assets.iter().map(balance).filter(|balance| !empty(balance)).collect();
    Ok(Account { balances, can_trade: raw.trade_enabled })
}

/// A page of the interest history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterestPage {
    /// Its rows, as the venue orders them.
    pub rows: Vec<Income>,
    /// How many rows there are on all pages.
    pub total: u64,
}

/// Reads the answer to `GET /sapi/v1/margin/interestHistory`.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn interest(text: &str) -> Result<InterestPage, Malformed> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        rows: Vec<RawRow<'a>>,
        total: u64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RawRow<'a> {
        tx_id: u64,
        /// Spelt so by the venue.
        interest_accured_time: i64,
        #[serde(borrow)]
        asset: Cow<'a, str>,
        /// What is owed, where the interest is converted.
        #[serde(borrow, default)]
        raw_asset: Option<Cow<'a, str>>,
        /// `ON_BORROW`, `PERIODIC`, and both with `_CONVERTED` where it is charged in BNB.
        #[serde(borrow, default, rename = "type")]
        kind: Option<Cow<'a, str>>,
        interest: Cash,
        #[serde(borrow, default)]
        isolated_symbol: Option<Cow<'a, str>>,
    }
    let raw: Raw<'_> = read("an interest history", text)?;
    let cross = raw.rows.into_iter().filter(|row| row.isolated_symbol.as_deref().is_none_or(str::is_empty));
    let rows = cross.map(|row| {
        let owed = row.raw_asset.as_deref().filter(|name| !name.is_empty()).unwrap_or(&row.asset);
        let (asset, owed) = (Asset::new(&row.asset), Asset::new(owed));
        let on_borrow = row.kind.as_deref().is_some_and(|kind| kind.starts_with("ON_BORROW"));
        let loan = (on_borrow || owed != asset).then_some(Loan { asset: owed, on_borrow });
        Income {
            id: Some(row.tx_id),
            kind: ChargeKind::Interest,
            symbol: None,
            asset,
            amount: -row.interest,
            time: Time::from_millis(row.interest_accured_time),
            loan,
        }
    });
    Ok(InterestPage { rows: rows.collect(), total: raw.total })
}

/// A listen token.
#[derive(Clone, PartialEq, Eq)]
pub struct ListenToken {
    /// Its text, which must not be logged.
    pub text: String,
    /// When it ends, in the venue's time.
    pub until: Time,
}

impl std::fmt::Debug for ListenToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenToken").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Reads the answer to `POST /sapi/v1/userListenToken`.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn listen_token(text: &str) -> Result<ListenToken, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        token: String,
        expiration_time: i64,
    }
    let raw: Raw = read("a listen token", text)?;
    Ok(ListenToken { text: raw.token, until: moment(raw.expiration_time) })
}

/// When the subscription ends that `userDataStream.subscribe.listenToken` tells of.
///
/// # Errors
/// [`Malformed`] if it tells of none.
pub fn subscribed_until(text: &str) -> Result<Time, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        expiration_time: i64,
    }
    read::<Raw>("a subscription by listen token", text).map(|raw| moment(raw.expiration_time))
}

/// The documents show milliseconds in one place and microseconds in another: the magnitude tells.
fn moment(number: i64) -> Time {
    const LAST_MILLISECOND: u64 = 10_000_000_000_000;
    if number.unsigned_abs() < LAST_MILLISECOND {
        Time::from_millis(number)
    } else {
        Time::from_nanos(number.saturating_mul(1_000))
    }
}

/// An event of the stream of what a wallet owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RiskEvent {
    /// What is owed of an asset changed: a loan, a repayment, interest.
    Liability,
    /// The margin level's status changed.
    Level {
        /// The level, in the venue's words.
        level: String,
        /// Its status.
        status: String,
    },
    /// The listen key ended: no more events come.
    KeyExpired,
    /// An event this system does not know, by its name.
    Other(String),
}

/// Reads an event of `margin-stream`. Its names are those of the specification's models.
///
/// # Errors
/// [`Malformed`] if it is no event.
pub fn risk_event(text: &str) -> Result<RiskEvent, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        e: String,
        #[serde(default)]
        l: Level,
        #[serde(default)]
        s: String,
    }
    /// The documents do not say which.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Level {
        Text(String),
        Number(serde_json::Number),
    }
    impl Default for Level {
        fn default() -> Self {
            Self::Text(String::new())
        }
    }
    let raw: Raw = read("an event of the margin stream", text)?;
    Ok(match raw.e.as_str() {
        "USER_LIABILITY_CHANGE" => RiskEvent::Liability,
        "MARGIN_LEVEL_STATUS_CHANGE" => {
            let level = match raw.l {
                Level::Text(text) => text,
                Level::Number(number) => number.to_string(),
            };
            RiskEvent::Level { level, status: raw.s }
        }
        "listenKeyExpired" => RiskEvent::KeyExpired,
        _ => RiskEvent::Other(raw.e),
    })
}

/// The name of an event of which nothing else can be read; `None` if it has none.
pub fn event_name(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Raw {
        e: String,
    }
    read::<Raw>("an event", text).ok().map(|raw| raw.e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{margin_order, trades};
    use crate::classify::Verdict::{NotExecuted, Unknown};

    /// Texts of the venue's own documentation.
    #[test]
    fn the_wallet_row_by_row() {
        let text = r#"{"created":true,"borrowEnabled":true,"marginLevel":"11.64405625",
            "collateralMarginLevel":"3.2","totalAssetOfBtc":"6.82728457","totalLiabilityOfBtc":"0.58633215",
            "totalNetAssetOfBtc":"6.24095242","TotalCollateralValueInUSDT":"5.82728457",
            "totalOpenOrderLossInUSDT":"582.728457","tradeEnabled":true,"transferInEnabled":true,
            "transferOutEnabled":true,"accountType":"MARGIN_1","userAssets":[
            {"asset":"BTC","borrowed":"0.00000000","free":"0.00499500","interest":"0.00000000",
             "locked":"0.00000000","netAsset":"0.00499500"},
            {"asset":"BNB","borrowed":"201.66666672","free":"2346.50000000","interest":"1.5",
             "locked":"3.00000000","netAsset":"2144.83333328"},
            {"asset":"ETH","borrowed":"0","free":"0","interest":"0","locked":"0","netAsset":"0"}]}"#;
        let wallet = wallet(text).unwrap();
        assert!(wallet.can_trade);
        let rows: Vec<String> = (wallet.balances.iter())
            .map(|b| format!("{} {} {} {} {}", b.asset, b.free, b.locked, b.owed, b.net()))
            .collect();
        assert_eq!(rows, ["BTC 0.004995 0 0 0.004995", "BNB 2346.5 3 203.16666672 2146.33333328"]);
        for bad in ["", "{}", "[]", r#"{"tradeEnabled":true,"userAssets":[{"asset":"BTC"}]}"#] {
            assert!(super::wallet(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn interest_is_a_charge_with_the_venues_number() {
        let text = r#"{"rows":[{"txId":1352286576452864727,"interestAccuredTime":1672160400000,"asset":"USDT",
            "rawAsset":"USDT","principal":"45.3313","interest":"0.00024995","interestRate":"0.00013233",
            "type":"ON_BORROW"},{"txId":7,"interestAccuredTime":1672160400000,"asset":"USDT","principal":"1",
            "interest":"1","interestRate":"1","type":"PERIODIC","isolatedSymbol":"BNBUSDT"}],"total":2}"#;
        let page = interest(text).unwrap();
        assert_eq!(page.total, 2);
        let row = &page.rows[0];
        assert_eq!(
            (row.id, row.kind, row.asset.as_str()),
            (Some(1_352_286_576_452_864_727), ChargeKind::Interest, "USDT")
        );
        assert_eq!((row.amount.to_string().as_str(), row.time.millis()), ("-0.00024995", 1_672_160_400_000));
        assert_eq!(page.rows.len(), 1, "an isolated account's interest is none of ours");
    }

    #[test]
    fn interest_names_the_loan_where_it_is_new_or_another_asset() {
        for (raw_asset, kind, wanted) in [
            (r#""rawAsset":"USDT","#, r#","type":"PERIODIC""#, None),
            ("", "", None),
            (r#""rawAsset":"","#, r#","type":"PERIODIC""#, None),
            (r#""rawAsset":"USDT","#, r#","type":"ON_BORROW""#, Some(("USDT", true))),
            (r#""rawAsset":"BTC","#, r#","type":"PERIODIC_CONVERTED""#, Some(("BTC", false))),
            (r#""rawAsset":"BTC","#, r#","type":"ON_BORROW_CONVERTED""#, Some(("BTC", true))),
        ] {
            let text = format!(
                r#"{{"rows":[{{"txId":7,"interestAccuredTime":1672160400000,"asset":"USDT",{raw_asset}"principal":"1",
                "interest":"1","interestRate":"1"{kind}}}],"total":1}}"#
            );
            let page = interest(&text).unwrap();
            let wanted = wanted.map(|(asset, on_borrow)| Loan { asset: Asset::new(asset), on_borrow });
            assert_eq!((page.rows[0].asset.as_str(), &page.rows[0].loan), ("USDT", &wanted), "{text}");
        }
    }

    #[test]
    fn times_of_tokens_are_told_by_their_magnitude() {
        let token = listen_token(r#"{"token":"abc","expirationTime":1758792204196}"#).unwrap();
        assert_eq!((token.text.as_str(), token.until.millis()), ("abc", 1_758_792_204_196));
        assert!(!format!("{token:?}").contains("abc"));
        let until = subscribed_until(r#"{"subscriptionId":1,"expirationTime":1749094553955907}"#).unwrap();
        assert_eq!(until.millis(), 1_749_094_553_955);
        assert!(subscribed_until("null").is_err());
        // No time is too far away to be read.
        for far in [i64::MIN, i64::MAX] {
            let text = format!(r#"{{"subscriptionId":1,"expirationTime":{far}}}"#);
            assert!(subscribed_until(&text).is_ok(), "{far}");
        }
    }

    #[test]
    fn replies_to_orders_lack_what_spot_says() {
        let canceled = r#"{"symbol":"LTCBTC","isIsolated":false,"orderId":28,"origClientOrderId":"myOrder1",
            "clientOrderId":"cancelMyOrder1","price":"1.00000000","origQty":"10.00000000",
            "executedQty":"8.00000000","cummulativeQuoteQty":"8.00000000","status":"CANCELED",
            "timeInForce":"GTC","type":"LIMIT","side":"SELL"}"#;
        let report = margin_order(canceled).unwrap();
        assert_eq!((report.venue_id, report.time), (28, Time::default()));
        assert_eq!(report.previous_id.unwrap().as_str(), "myOrder1");
        assert!(crate::account::order(canceled).is_err(), "on spot that would be a gap");
        let rows = r#"[{"commission":"0.00006000","commissionAsset":"BTC","id":34,"isBestMatch":true,
            "isBuyer":false,"isMaker":false,"orderId":39324,"price":"0.02000001","qty":"3.00000003",
            "symbol":"BNBBTC","isIsolated":false,"time":1561973357171}]"#;
        let fills = trades(rows).unwrap();
        assert_eq!(fills[0].quote.to_string(), "0.06000003");
    }

    /// Row by row from the margin specification's list of errors, not from the table above.
    #[test]
    fn every_documented_answer_has_its_class() {
        let cases: &[(u16, i64, &str, Verdict)] = &[
            (400, -2010, "Account has insufficient balance for requested action.", Rejected),
            (400, -3003, "Margin account does not exist.", Rejected),
            (400, -3006, "Your borrow amount has exceed maximum borrow amount.", Rejected),
            (400, -3012, "Borrow is banned for this asset.", Rejected),
            (400, -3021, "Margin account are not allowed to trade this trading pair.", Rejected),
            (400, -3022, "You account's trading is banned.", Rejected),
            (400, -3027, "Not a valid margin asset.", Rejected),
            (400, -3041, "Balance is not enough", Rejected),
            (400, -3045, "The system doesn't have enough asset now.", Rejected),
            (400, -11001, "Isolated margin account doesn't exist.", Rejected),
            (400, -3000, "Inner error, please try again later.", Unknown),
            (400, -3007, "You have pending transaction, please try again later.", Unknown),
            (400, -3044, "System busy, please try again later.", Unknown),
            (500, -3006, "anything with 5xx", Unknown),
            (429, -1003, "Too many requests.", NotExecuted),
            (504, -1007, "Timeout waiting for response from backend server.", Unknown),
        ];
        for (status, code, message, verdict) in cases {
            assert_eq!(order_verdict(*status, *code, message), *verdict, "{status} {code} {message}");
        }
    }

    #[test]
    fn events_of_what_is_owed() {
        let change =
            r#"{"e":"USER_LIABILITY_CHANGE","E":1701949801133,"a":"BTC","t":"BORROW","p":"1","i":"0"}"#;
        assert_eq!(risk_event(change), Ok(RiskEvent::Liability));
        let level = r#"{"e":"MARGIN_LEVEL_STATUS_CHANGE","E":1701949763462,"l":"1.1","s":"MARGIN_CALL"}"#;
        let expected = RiskEvent::Level { level: "1.1".into(), status: "MARGIN_CALL".into() };
        assert_eq!(risk_event(level), Ok(expected));
        assert_eq!(risk_event(r#"{"result":null,"id":1}"#), Ok(RiskEvent::Other(String::new())));
        for (level, told) in [(r#""1.25""#, "1.25"), ("1.25", "1.25"), ("2", "2")] {
            let text = format!(r#"{{"e":"MARGIN_LEVEL_STATUS_CHANGE","E":1,"l":{level},"s":"NORMAL"}}"#);
            let expected = RiskEvent::Level { level: told.to_owned(), status: "NORMAL".to_owned() };
            assert_eq!(risk_event(&text), Ok(expected));
        }
        let unread = r#"{"e":"MARGIN_LEVEL_STATUS_CHANGE","l":[],"s":"NORMAL"}"#;
        assert!(risk_event(unread).is_err());
        assert_eq!(event_name(unread).as_deref(), Some("MARGIN_LEVEL_STATUS_CHANGE"));
        assert!(risk_event("x").is_err());
    }
}
