//! Numbers as people write them, brought onto a grid; and exact numbers as the nearest `f64`.
//!
//! A strategy may give a price as `0.1 + 0.2`, as a `Decimal`, as text. [`Given`] keeps such a number in units of
//! 10⁻²⁰, fine enough to tell on which side of a grid point it lies, and remembers how far a binary fraction may be
//! off: a float within that slack of a grid point (and nearer to it than a quarter of a step) is that grid point, so
//! `0.1 + 0.2` is three tenths and not one tick more.

use crate::num::{DECIMALS, ONE};

/// Units of [`Given`] in one raw unit of the exact numbers.
const FINE: i128 = 10_i128.pow(20 - DECIMALS);
/// Largest size taken, in whole units, as for all exact numbers.
const MAX_WHOLE: i128 = 10_i128.pow(15);
/// Largest size taken, in raw units.
const MAX_RAW: i128 = MAX_WHOLE * ONE;

/// Why something given is not a number that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// NaN or infinite.
    #[error("{0} is not a finite number")]
    NotFinite(String),
    /// No number at all.
    #[error("{0:?} is not a decimal number")]
    Malformed(String),
    /// Beyond ±10^15.
    #[error("{0} is out of range (beyond 10^15)")]
    OutOfRange(String),
    /// Below zero where only sizes make sense.
    #[error("{0} is negative")]
    Negative(String),
}

/// A number as given: the units of 10⁻²⁰ next to it on both sides, and the slack of its notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    below: i128,
    above: i128,
    slack: i128,
}

impl Given {
    /// From a binary fraction: its shortest decimal notation, give or take four units in its last binary place.
    ///
    /// # Errors
    /// NaN, infinities, and sizes beyond 10^15.
    pub fn from_f64(value: f64) -> Result<Self, NumberError> {
        if !value.is_finite() {
            return Err(NumberError::NotFinite(value.to_string()));
        }
        // Rust prints the shortest decimal that reads back as the same number, without an exponent.
        let exact = Self::from_text(&value.to_string())?;
        Ok(Self { slack: exact.below.abs() >> 50, ..exact })
    }

    /// From a decimal text, an exponent allowed (`0.00010`, `1E-4`).
    ///
    /// # Errors
    /// Anything that is not a finite decimal number of a size up to 10^15.
    pub fn from_text(text: &str) -> Result<Self, NumberError> {
        let malformed = || NumberError::Malformed(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let unsigned = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
        if ["nan", "snan", "inf", "infinity"].contains(&unsigned) {
            return Err(NumberError::NotFinite(text.to_owned()));
        }
        let (mantissa, exponent) = match unsigned.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| malformed())?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(malformed());
        }
        // Position of the decimal point counted from the first digit.
        let point = i64::try_from(whole.len()).map_err(|_| malformed())? + i64::from(exponent);
        let (near, far) = scale(&digits, point).ok_or_else(|| NumberError::OutOfRange(text.to_owned()))?;
        let (below, above) = if lower.starts_with('-') { (-far, -near) } else { (near, far) };
        Ok(Self { below, above, slack: 0 })
    }

    /// The same, if it is not below zero.
    ///
    /// # Errors
    /// [`NumberError::Negative`].
    pub fn not_negative(self) -> Result<Self, NumberError> {
        if self.below < 0 { Err(NumberError::Negative(self.to_f64().to_string())) } else { Ok(self) }
    }

    /// Raw units of the largest grid point not above it. A zero step is the finest grid there is.
    pub fn floor(self, step: i128) -> i128 {
        let step = step.max(1) * FINE;
        (self.below + self.slack.min(step / 4)).div_euclid(step) * (step / FINE)
    }

    /// Raw units of the smallest grid point not below it.
    pub fn ceil(self, step: i128) -> i128 {
        let step = step.max(1) * FINE;
        -((self.slack.min(step / 4) - self.above).div_euclid(step)) * (step / FINE)
    }

    /// Raw units of the nearest grid point; the upper of two equally near.
    pub fn nearest(self, step: i128) -> i128 {
        let step = step.max(1) * FINE;
        (self.below + step / 2).div_euclid(step) * (step / FINE)
    }

    /// Raw units of the `count`-th grid point above it, below it for a negative count.
    pub fn stepped(self, step: i128, count: i64) -> i128 {
        let step_raw = step.max(1);
        let from = if count >= 0 { self.floor(step_raw) } else { self.ceil(step_raw) };
        from.saturating_add(step_raw.saturating_mul(i128::from(count)))
    }

    fn to_f64(self) -> f64 {
        to_f64(self.below / FINE)
    }
}

/// Digits with the decimal point after the first `point` of them, in units of 10⁻²⁰: the one next to the number towards
/// zero, and the one away from it; the same if nothing is finer.
fn scale(digits: &[u8], point: i64) -> Option<(i128, i128)> {
    let Some(first) = digits.iter().position(|d| *d != b'0') else { return Some((0, 0)) };
    let digits = &digits[first..];
    let point = point - i64::try_from(first).ok()?;
    if point > 16 {
        return None;
    }
    let wanted = point + 20;
    let mut units: i128 = 0;
    let mut finer = false;
    for (at, digit) in (0_i64..).zip(digits) {
        if at < wanted {
            units = units * 10 + i128::from(digit - b'0');
        } else {
            finer |= *digit != b'0';
        }
    }
    let missing = wanted - i64::try_from(digits.len()).ok()?;
    if missing > 0 {
        units *= 10_i128.pow(u32::try_from(missing).ok()?);
    }
    (units <= MAX_RAW * FINE).then_some((units, units + i128::from(finer)))
}

/// The `f64` nearest to a number of raw units: the one its shortest text reads as.
pub fn to_f64(raw: i128) -> f64 {
    const EXACT: u128 = 1 << 53;
    let (mut digits, mut scale) = (raw.unsigned_abs(), ONE.unsigned_abs());
    while digits >= EXACT && scale > 1 && digits.is_multiple_of(10) {
        (digits, scale) = (digits / 10, scale / 10);
    }
    // Both sides are exact below 2^53, so the one division rounds correctly; beyond it the text is read.
    let size = if digits < EXACT {
        digits as f64 / scale as f64
    } else {
        format!("{}.{:010}", raw.unsigned_abs() / ONE.unsigned_abs(), raw.unsigned_abs() % ONE.unsigned_abs())
            .parse()
            .expect("digits, a point and ten digits are a number")
    };
    if raw < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Price;

    fn shown(raw: i128) -> String {
        Price::from_raw(raw).to_string()
    }
    fn raw(text: &str) -> i128 {
        text.parse::<Price>().unwrap().raw()
    }

    #[test]
    fn row_004_46_a_number_goes_onto_the_grid_on_the_side_asked_for() {
        for (text, step, floor, ceil, nearest) in [
            ("0.123456", "0.00001", "0.12345", "0.12346", "0.12346"),
            ("10.9", "1", "10", "11", "11"),
            ("0.1", "0.1", "0.1", "0.1", "0.1"),
            ("1E-4", "0.0001", "0.0001", "0.0001", "0.0001"),
            ("1e+2", "0.01", "100", "100", "100"),
            ("0", "0.01", "0", "0", "0"),
            ("0.79999999999999999", "0.01", "0.79", "0.8", "0.8"),
            ("0.3000000000000000000000001", "0.1", "0.3", "0.4", "0.3"),
            ("0.2999999999999999999999999", "0.1", "0.2", "0.3", "0.3"),
            ("-0.2999999999999999999999999", "0.1", "-0.3", "-0.2", "-0.3"),
            ("-0.15", "0.1", "-0.2", "-0.1", "-0.1"),
            ("999999999999999.99", "0.01", "999999999999999.99", "999999999999999.99", "999999999999999.99"),
        ] {
            let (given, step) = (Given::from_text(text).unwrap(), raw(step));
            let found = (given.floor(step), given.ceil(step), given.nearest(step));
            assert_eq!((raw(floor), raw(ceil), raw(nearest)), found, "{text}");
        }
    }

    #[test]
    fn binary_noise_is_no_tick() {
        let tenth = raw("0.1");
        for value in [0.1 + 0.2, 0.3, 0.1 * 3.0, 1.1 - 0.8, 0.9 / 3.0] {
            let given = Given::from_f64(value).unwrap();
            assert_eq!((shown(given.floor(tenth)), shown(given.ceil(tenth))), ("0.3".into(), "0.3".into()));
        }
        let eighth = Given::from_f64(12_345_678.123_456_78).unwrap();
        assert_eq!(shown(eighth.floor(raw("0.00000001"))), "12345678.12345678");
        assert_eq!(shown(Given::from_f64(0.299_999).unwrap().floor(tenth)), "0.2");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(Given::from_f64(value), Err(NumberError::NotFinite(_))), "{value}");
        }
        for text in ["NaN", "sNaN", "-Infinity", "inf"] {
            assert!(matches!(Given::from_text(text), Err(NumberError::NotFinite(_))), "{text}");
        }
        for text in ["", "-", ".", "1x", "e5", "1e", "1e5.0", "٣", "1_0", "--1", "0x1"] {
            assert!(matches!(Given::from_text(text), Err(NumberError::Malformed(_))), "{text}");
        }
        for text in ["1e16", "1000000000000001", "1e999999999"] {
            assert!(matches!(Given::from_text(text), Err(NumberError::OutOfRange(_))), "{text}");
        }
        assert!(Given::from_text("-1").unwrap().not_negative().is_err());
        assert!(Given::from_text("-0").unwrap().not_negative().is_ok());
    }

    #[test]
    fn row_004_56_steps_are_exact() {
        let cent = raw("0.01");
        assert_eq!(shown(Given::from_f64(1.0).unwrap().stepped(cent, 3)), "1.03");
        assert_eq!(shown(Given::from_f64(1.0).unwrap().stepped(cent, -3)), "0.97");
        assert_eq!(shown(Given::from_f64(1.005).unwrap().stepped(cent, 1)), "1.01");
        assert_eq!(shown(Given::from_f64(1.005).unwrap().stepped(cent, -1)), "1");
    }

    #[test]
    fn an_exact_number_shows_as_the_float_its_text_reads_as() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let size =
                random.i128(0..=MAX_RAW) / 10_i128.pow(random.u32(0..20)) * 10_i128.pow(random.u32(0..8));
            let size = size.min(MAX_RAW);
            assert_eq!(to_f64(-size), Price::from_raw(-size).to_string().parse::<f64>().unwrap(), "{size}");
        }
    }
}
