//! Splitting an amount among owners, in whole grains, to the last one.

use std::collections::BTreeMap;

use crate::num::Cash;

/// Splits `total` in proportion to `weights` (none negative) into multiples of `grain`; what is left over goes to the
/// largest weight, of equal ones to the first. The shares always add up to `total`. Empty if no weight is positive.
pub fn split<K: Ord + Clone>(total: Cash, weights: &BTreeMap<K, Cash>, grain: Cash) -> BTreeMap<K, Cash> {
    let whole: Cash = weights.values().copied().sum();
    let share = |weight: Cash| cut(total.share(weight.as_qty(), whole.as_qty()).unwrap_or_default(), grain);
    let mut shares: BTreeMap<K, Cash> = (weights.iter())
        .filter(|(_, weight)| weight.is_positive())
        .map(|(key, weight)| (key.clone(), share(*weight)))
        .collect();
    let rest = total - shares.values().copied().sum();
    if let Some(share) = largest(weights).and_then(|key| shares.get_mut(&key)) {
        *share += rest;
    }
    shares
}

/// As [`split`], but nobody gets more than its weight, and at most all weights together are given: for closing
/// positions. What the largest cannot take of the rest goes to the next.
pub fn close<K: Ord + Clone>(total: Cash, held: &BTreeMap<K, Cash>, grain: Cash) -> BTreeMap<K, Cash> {
    let all: Cash = held.values().copied().sum();
    let mut shares = split(total.min(all), held, grain);
    let mut rest = Cash::ZERO;
    let mut by_size: Vec<(&K, Cash)> = held.iter().map(|(key, size)| (key, *size)).collect();
    by_size.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    for (key, size) in by_size {
        if let Some(share) = shares.get_mut(key) {
            let wanted = *share + rest;
            *share = wanted.min(size);
            rest = wanted - *share;
        }
    }
    shares
}

/// The key of the largest value; of equal ones the first.
pub fn largest<K: Clone>(weights: &BTreeMap<K, Cash>) -> Option<K> {
    let first_largest = weights.iter().rev().max_by_key(|(_, weight)| weight.abs())?;
    Some(first_largest.0.clone())
}

/// The multiple of `grain` next to it towards zero.
pub fn cut(amount: Cash, grain: Cash) -> Cash {
    Cash::from_raw(amount.raw() / grain.raw().max(1) * grain.raw().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(of: &[i64]) -> BTreeMap<usize, Cash> {
        of.iter().enumerate().map(|(k, units)| (k, Cash::whole(*units))).collect()
    }

    fn units(shares: &BTreeMap<usize, Cash>) -> Vec<i128> {
        shares.values().map(|share| share.raw() / Cash::whole(1).raw()).collect()
    }

    #[test]
    fn the_rest_goes_to_the_largest() {
        let one = Cash::whole(1);
        for (total, weights, shares) in [
            (10, &[1, 1, 1][..], &[4, 3, 3][..]),
            (-10, &[1, 1, 1], &[-4, -3, -3]),
            (10, &[1, 5, 3], &[1, 6, 3]),
            (2, &[7, 7, 7], &[2, 0, 0]),
            (5, &[3], &[5]),
            (0, &[3, 4], &[0, 0]),
        ] {
            assert_eq!(
                units(&split(Cash::whole(total), &amounts(weights), one)),
                shares,
                "{total} {weights:?}"
            );
        }
        assert!(split(Cash::whole(5), &amounts(&[0]), one).is_empty());
    }

    #[test]
    fn nobody_is_closed_beyond_what_it_holds() {
        let one = Cash::whole(1);
        for (total, held, shares) in [
            (8, &[3, 3, 3][..], &[3, 3, 2][..]),
            (9, &[3, 3, 3], &[3, 3, 3]),
            (20, &[3, 4], &[3, 4]),
            (3, &[2, 2], &[2, 1]),
        ] {
            assert_eq!(units(&close(Cash::whole(total), &amounts(held), one)), shares, "{total} {held:?}");
        }
    }

    #[test]
    fn shares_add_up_whatever_the_numbers() {
        for seed in 0..2_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let grain = Cash::from_raw(10_i128.pow(rng.u32(0..10)));
            let total =
                Cash::from_raw(rng.i128(-10_i128.pow(22)..10_i128.pow(22)) / grain.raw() * grain.raw());
            let weights: BTreeMap<u8, Cash> =
                (0..rng.u8(1..6)).map(|k| (k, Cash::from_raw(rng.i128(1..10_i128.pow(22))))).collect();
            let shares = split(total, &weights, grain);
            assert_eq!(shares.values().copied().sum::<Cash>(), total, "seed {seed}");
            let closed = close(total.abs(), &weights, grain);
            let all: Cash = weights.values().copied().sum();
            assert_eq!(closed.values().copied().sum::<Cash>(), total.abs().min(all), "seed {seed}");
            assert!(closed.iter().all(|(key, share)| *share <= weights[key]), "seed {seed}");
        }
    }
}
