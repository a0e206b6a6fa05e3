//! Who pays and gets what of a funding: each by what it held, to the last unit of what the exchange paid.

use std::collections::BTreeMap;

use super::split::largest;
use crate::journal::Owner;
use crate::num::{Cash, Price, Rate};

/// Decimals of a wallet.
pub const WALLET_DECIMALS: u32 = 8;

/// The last unit of a wallet. The exchange may have rounded its payment by less than that.
pub const WALLET_UNIT: Cash = Cash::from_raw(100);

/// What a position gets: its value by the rate, negative where it pays. A long position pays a positive rate.
pub fn due(held: Cash, rate: Rate, mark: Price) -> Cash {
    -mark.times(held.as_qty()).at_rate(rate.raw(), WALLET_DECIMALS)
}

/// What of a payment rounding cannot explain; zero where none was heard of.
pub fn unexplained(held: &BTreeMap<Owner, Cash>, rate: Rate, mark: Price, paid: Option<Cash>) -> Cash {
    let due = due(held.values().copied().sum(), rate, mark);
    let difference = paid.map_or(Cash::ZERO, |paid| paid - due);
    if difference.abs() <= WALLET_UNIT { Cash::ZERO } else { difference }
}

/// Each owner's share. They add up to `paid`, or to what the account's net position should be paid where nothing was
/// heard of a payment. The rest of rounding goes to the largest position; what `paid` differs by beyond that is
/// UNATTRIBUTED.
pub fn shares(
    held: &BTreeMap<Owner, Cash>,
    rate: Rate,
    mark: Price,
    paid: Option<Cash>,
) -> BTreeMap<Owner, Cash> {
    let mut shares: BTreeMap<Owner, Cash> =
        held.iter().map(|(owner, position)| (*owner, due(*position, rate, mark))).collect();
    let unexplained = unexplained(held, rate, mark, paid);
    let total = paid.unwrap_or_else(|| due(held.values().copied().sum(), rate, mark)) - unexplained;
    let rest = total - shares.values().copied().sum();
    let takes_rest = largest(held).unwrap_or(Owner::Unattributed);
    *shares.entry(takes_rest).or_default() += rest;
    *shares.entry(Owner::Unattributed).or_default() += unexplained;
    shares.retain(|_, share| !share.is_zero());
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    fn held(of: &[(u16, &str)]) -> BTreeMap<Owner, Cash> {
        let owner = |session| if session == 0 { Owner::External } else { Owner::Session(SessionId(session)) };
        of.iter().map(|(session, amount)| (owner(*session), amount.parse().unwrap())).collect()
    }

    fn view(shares: &BTreeMap<Owner, Cash>) -> String {
        shares.iter().map(|(owner, share)| format!("{owner:?} {share}; ")).collect()
    }

    fn check(of: &[(u16, &str)], paid: Option<&str>, wanted: &str) {
        let (rate, mark) = ("0.0001".parse().unwrap(), "50000.12345678".parse().unwrap());
        let shares = shares(&held(of), rate, mark, paid.map(|paid| paid.parse().unwrap()));
        assert_eq!(view(&shares), wanted, "{of:?} {paid:?}");
    }

    #[test]
    fn a_long_pays_a_short_even_if_the_exchange_pays_nothing() {
        check(&[(1, "1"), (2, "-1")], None, "Session(1) -5.00001234; Session(2) 5.00001234; ");
    }

    #[test]
    fn the_rest_of_rounding_goes_to_the_largest() {
        // 1.5 + 0.5 = 2: 7.50001851 and 2.50000617 by themselves, 10.00002469 together.
        check(&[(1, "1.5"), (2, "0.5")], None, "Session(1) -7.50001852; Session(2) -2.50000617; ");
        check(
            &[(1, "1.5"), (2, "0.5")],
            Some("-10.00002470"),
            "Session(1) -7.50001853; Session(2) -2.50000617; ",
        );
    }

    #[test]
    fn external_takes_its_own_share() {
        check(&[(0, "-2"), (1, "1")], Some("5.00001234"), "Session(1) -5.00001234; External 10.00002468; ");
    }

    #[test]
    fn what_nobody_can_explain_is_unattributed() {
        check(&[(1, "1")], Some("-10"), "Session(1) -5.00001234; Unattributed -4.99998766; ");
        check(&[], Some("-10"), "Unattributed -10; ");
        check(&[(1, "1")], Some("0"), "Session(1) -5.00001234; Unattributed 5.00001234; ");
    }

    #[test]
    fn shares_add_up_to_what_was_paid() {
        for seed in 0..2_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let held: BTreeMap<Owner, Cash> = (0..rng.u16(0..6))
                .map(|k| {
                    (
                        Owner::Session(SessionId(k)),
                        Cash::from_raw(rng.i128(-10_i128.pow(13)..10_i128.pow(13))),
                    )
                })
                .collect();
            let rate = Rate::from_raw(rng.i128(-30_000_000..30_000_000) / 100 * 100);
            let mark = Price::from_raw(rng.i128(1..10_i128.pow(15)));
            let due = due(held.values().copied().sum(), rate, mark);
            let paid = match rng.u8(0..4) {
                0 => None,
                1 => Some(due),
                2 => Some(due + Cash::from_raw(100)),
                _ => Some(Cash::from_raw(rng.i128(-10_i128.pow(13)..10_i128.pow(13)))),
            };
            let total: Cash = shares(&held, rate, mark, paid).values().copied().sum();
            assert_eq!(total, paid.unwrap_or(due), "seed {seed}");
        }
    }
}
