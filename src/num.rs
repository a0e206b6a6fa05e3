//! Exact numbers: [`Price`], [`Qty`], [`Cash`], [`Percent`] and [`Rate`].
//!
//! All are integers counting 10⁻¹⁰ of a unit, so that sums commute and never round. Ten decimals hold every
//! price, quantity and quote amount Binance prints (eight) with room for venues that print ten. Products are taken in
//! 256-bit-safe steps by [`Price::times`]; only averages round, and say so.
//!
//! At the edges nothing beyond ±10^15 is let in: no number that is read, and no worth of an order, a fill or an edit
//! ([`Price::worth`]). So it takes more than 10^13 facts of the largest size to bring a sum to the end of 128 bits.
//! Results stop there all the same, at the largest number there is: bad input never ends the program.

use std::fmt;
use std::str::FromStr;

/// Decimal places every number keeps.
pub const DECIMALS: u32 = 10;
/// Raw units in one whole.
pub const ONE: i128 = 10_i128.pow(DECIMALS);

/// Why a text is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseNumberError {
    /// Not of the form `-?digits(.digits)?`.
    #[error("not a plain decimal number")]
    Malformed,
    /// More than ten significant decimals.
    #[error("more than 10 decimal places")]
    TooPrecise,
    /// Outside ±10^15.
    #[error("number out of range (beyond 10^15)")]
    OutOfRange,
}

const MAX_RAW: i128 = 10_i128.pow(15) * ONE;

/// Parses a plain decimal text into raw units of 10⁻¹⁰.
///
/// # Errors
/// [`ParseNumberError`] for anything that is not an exact plain decimal in range (exponents, blanks, NaN included).
pub fn parse_raw(text: &str) -> Result<i128, ParseNumberError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(raw) = parse_short(digits) {
        return Ok(if negative { -raw } else { raw });
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let dangling = digits.ends_with('.') || (whole.is_empty() && fraction.is_empty());
    if dangling || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(ParseNumberError::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > DECIMALS as usize {
        return Err(ParseNumberError::TooPrecise);
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > 16 {
        return Err(ParseNumberError::OutOfRange);
    }
    let mut raw: i128 = 0;
    for b in whole.bytes().chain(fraction.bytes()) {
        raw = raw * 10 + i128::from(b - b'0');
    }
    raw *= 10_i128.pow(DECIMALS - fraction.len() as u32);
    if raw > MAX_RAW {
        return Err(ParseNumberError::OutOfRange);
    }
    Ok(if negative { -raw } else { raw })
}

/// The numbers of market data, all in one 64-bit pass: at most 18 digits, ten of them decimals. `None` says nothing.
fn parse_short(digits: &str) -> Option<i128> {
    const SCALES: [i128; 11] = {
        let mut scales = [ONE; 11];
        let mut places = 1;
        while places < 11 {
            scales[places] = scales[places - 1] / 10;
            places += 1;
        }
        scales
    };
    if digits.len() > 19 {
        return None;
    }
    let (mut value, mut count, mut point) = (0_u64, 0, None);
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    let places = point.map_or(0, |point| count - point);
    let whole = (1..=18).contains(&count) && (point.is_none() || places > 0);
    let raw = i128::from(value) * SCALES.get(places).filter(|_| whole)?;
    (raw <= MAX_RAW).then_some(raw)
}

/// Raw units of 10⁻¹⁰ of `mantissa` × 10^`exponent`, as binary protocols write a decimal.
///
/// # Errors
/// [`ParseNumberError`] for one that is out of range, or finer than ten decimals.
pub fn scaled_raw(mantissa: i64, exponent: i8) -> Result<i128, ParseNumberError> {
    let (mantissa, places) = (i128::from(mantissa), i32::from(exponent) + DECIMALS as i32);
    if mantissa == 0 {
        return Ok(0);
    }
    let factor = 10_i128.checked_pow(places.unsigned_abs());
    let raw = if places < 0 {
        let exact = factor.filter(|factor| mantissa % factor == 0);
        mantissa / exact.ok_or(ParseNumberError::TooPrecise)?
    } else {
        let raw = factor.and_then(|factor| mantissa.checked_mul(factor));
        raw.ok_or(ParseNumberError::OutOfRange)?
    };
    if raw.abs() > MAX_RAW { Err(ParseNumberError::OutOfRange) } else { Ok(raw) }
}

/// Writes raw units as the shortest plain decimal (`-0.5`, `10`, `0.00000001`).
fn write_raw(raw: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if raw < 0 { "-" } else { "" };
    let abs = raw.unsigned_abs();
    let one = ONE.unsigned_abs();
    let (whole, fraction) = (abs / one, abs % one);
    if fraction == 0 {
        return write!(f, "{sign}{whole}");
    }
    let digits = format!("{fraction:010}");
    write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
}

/// Writes raw units with exactly `places` decimals, cutting the rest off towards zero (Binance prints eight).
pub fn write_fixed(raw: i128, places: u32) -> String {
    debug_assert!((1..=DECIMALS).contains(&places));
    let sign = if raw < 0 { "-" } else { "" };
    let abs = raw.unsigned_abs();
    let one = ONE.unsigned_abs();
    let fraction = (abs % one) / 10_u128.pow(DECIMALS - places);
    format!("{sign}{}.{fraction:0width$}", abs / one, width = places as usize)
}

macro_rules! exact_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i128);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// From raw units of 10⁻¹⁰.
            pub const fn from_raw(raw: i128) -> Self { Self(raw) }
            /// A whole number.
            pub const fn whole(units: i64) -> Self { Self(units as i128 * ONE) }
            /// Raw units of 10⁻¹⁰.
            pub const fn raw(self) -> i128 { self.0 }
            /// Is it exactly nothing?
            pub const fn is_zero(self) -> bool { self.0 == 0 }
            /// More than nothing?
            pub const fn is_positive(self) -> bool { self.0 > 0 }
            /// Less than nothing?
            pub const fn is_negative(self) -> bool { self.0 < 0 }
            /// Its size without the sign.
            pub const fn abs(self) -> Self { Self(self.0.saturating_abs()) }
            /// Is it a whole multiple of `step`? A zero step divides everything (Binance's "disabled").
            pub const fn is_multiple_of(self, step: Self) -> bool { step.0 == 0 || self.0 % step.0 == 0 }
            /// The largest multiple of `step` not above it (towards minus infinity); a zero step changes nothing.
            pub const fn floor_to(self, step: Self) -> Self {
                if step.0 == 0 { self } else { Self(self.0.div_euclid(step.0) * step.0) }
            }
            /// The smallest multiple of `step` not below it; a zero step changes nothing.
            pub const fn ceil_to(self, step: Self) -> Self {
                if step.0 == 0 { self } else { Self(-((-self.0).div_euclid(step.0) * step.0)) }
            }
            /// With exactly `places` decimals, the rest cut off, as venues print numbers.
            pub fn fixed(self, places: u32) -> String { write_fixed(self.0, places) }
            /// For reports and the Python edge only; rounds.
            pub fn to_f64(self) -> f64 { self.0 as f64 / ONE as f64 }
        }

        impl FromStr for $name {
            type Err = ParseNumberError;
            fn from_str(text: &str) -> Result<Self, ParseNumberError> { parse_raw(text).map(Self) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write_raw(self.0, f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write_raw(self.0, f) }
        }
        impl std::ops::Add for $name {
            type Output = Self;
            fn add(self, o: Self) -> Self { Self(self.0.saturating_add(o.0)) }
        }
        impl std::ops::Sub for $name {
            type Output = Self;
            fn sub(self, o: Self) -> Self { Self(self.0.saturating_sub(o.0)) }
        }
        impl std::ops::Neg for $name { type Output = Self; fn neg(self) -> Self { Self(self.0.saturating_neg()) } }
        impl std::ops::AddAssign for $name { fn add_assign(&mut self, o: Self) { *self = *self + o; } }
        impl std::ops::SubAssign for $name { fn sub_assign(&mut self, o: Self) { *self = *self - o; } }
        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self { items.fold(Self::ZERO, |a, b| a + b) }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                // A visitor reads the text where it lies; going through `Cow` would copy every price of every tick.
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a decimal number as text")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                d.deserialize_str(Text)
            }
        }
    };
}

exact_number! {
    /// Quote units per base unit. Never negative on the venues served; the sign exists for differences.
    Price
}
exact_number! {
    /// A quantity of the traded instrument (on spot: of the base asset). Signed where it is a position.
    Qty
}
exact_number! {
    /// An amount of some asset: a balance, a notional, a fee.
    Cash
}
exact_number! {
    /// Hundredths of something: `1` is one per cent.
    Percent
}

exact_number! {
    /// A part of one: 0.0001 is a basis point.
    Rate
}

impl Price {
    /// [`Price::times`], for numbers from outside: `None` beyond ±10^15.
    pub fn worth(self, qty: Qty) -> Option<Cash> {
        Some(self.times(qty)).filter(|amount| amount.abs().raw() <= MAX_RAW)
    }

    /// `self × qty`, cut off at 10⁻¹⁰ towards zero; exact on every grid whose tick × lot has at most ten decimals.
    pub fn times(self, qty: Qty) -> Cash {
        let (whole, rest) = (qty.raw() / ONE, qty.raw() % ONE);
        Cash(self.0.saturating_mul(whole).saturating_add(self.0.saturating_mul(rest) / ONE))
    }
}

impl Cash {
    /// `self ÷ qty` as a price, rounded half away from zero at 10⁻¹⁰; `None` for a zero quantity.
    pub fn per(self, qty: Qty) -> Option<Price> {
        (!qty.is_zero()).then(|| Price(mul_div_round(self.0, ONE, qty.raw())))
    }

    /// `self × part ÷ whole`, rounded half away from zero at 10⁻¹⁰; `None` when `whole` is zero.
    pub fn share(self, part: Qty, whole: Qty) -> Option<Cash> {
        (!whole.is_zero()).then(|| Cash(mul_div_round(self.0, part.raw(), whole.raw())))
    }

    /// `self × rate`, a rate in raw units (10⁻¹⁰), cut off at `places` decimals towards zero, as venues charge fees.
    pub fn at_rate(self, rate_raw: i128, places: u32) -> Cash {
        let grain = 10_i128.pow(DECIMALS - places);
        let whole = (self.0 / ONE).saturating_mul(rate_raw);
        let raw = whole.saturating_add((self.0 % ONE).saturating_mul(rate_raw) / ONE);
        Cash(raw / grain * grain)
    }

    /// The same number as a quantity (an asset amount that is a position).
    pub const fn as_qty(self) -> Qty {
        Qty(self.0)
    }
}

impl Qty {
    /// The same number as an amount of its asset.
    pub const fn as_cash(self) -> Cash {
        Cash(self.0)
    }
}

/// `a × b ÷ c` rounded half away from zero, without overflow of the product for amounts up to 10^15.
fn mul_div_round(a: i128, b: i128, c: i128) -> i128 {
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    let (a, b, c) = (a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs());
    // Split a = q·c + r, so that the large product stays r·b with r < c; halve both if even that is too big.
    let (quotient, rest) = (a / c, a % c);
    let tail = match rest.checked_mul(b) {
        Some(product) => product.saturating_add(c / 2) / c,
        None => {
            let shift = 128 - rest.leading_zeros() + (128 - b.leading_zeros()) - 126;
            ((rest >> shift) * b + (c >> shift) / 2) / (c >> shift).max(1)
        }
    };
    let size = quotient.saturating_mul(b).saturating_add(tail);
    let size = i128::try_from(size).unwrap_or(i128::MAX);
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }
    fn qty(text: &str) -> Qty {
        text.parse().unwrap()
    }

    #[test]
    fn a_mantissa_and_an_exponent_are_the_same_number_as_its_text() {
        for (mantissa, exponent, text) in [
            (2_535_190_000, -8, "25.3519"),
            (-5, -1, "-0.5"),
            (1, -10, "0.0000000001"),
            (1, 15, "1000000000000000"),
            (70, -11, "0.0000000007"),
            (0, -128, "0"),
            (0, 127, "0"),
        ] {
            assert_eq!(scaled_raw(mantissa, exponent), parse_raw(text), "{mantissa}e{exponent}");
        }
        for (mantissa, exponent, error) in [
            (7, -11, ParseNumberError::TooPrecise),
            (i64::MAX, -128, ParseNumberError::TooPrecise),
            (1, 16, ParseNumberError::OutOfRange),
            (1, 127, ParseNumberError::OutOfRange),
            (i64::MIN, 0, ParseNumberError::OutOfRange),
            (i64::MAX, 20, ParseNumberError::OutOfRange),
        ] {
            assert_eq!(scaled_raw(mantissa, exponent), Err(error), "{mantissa}e{exponent}");
        }
    }

    #[test]
    fn texts_round_trip_exactly() {
        for (text, shown) in [
            ("0", "0"),
            ("-0.5", "-0.5"),
            ("10.00", "10"),
            ("0.00000001", "0.00000001"),
            ("000.1", "0.1"),
            (".5", "0.5"),
        ] {
            assert_eq!(price(text).to_string(), shown, "{text}");
        }
        assert_eq!(price("61737.63").fixed(8), "61737.63000000");
        assert_eq!(qty("-0.123456789").fixed(8), "-0.12345678");
    }

    /// The short way is only a faster one: both agree on whatever either accepts.
    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let text: String =
                (0..random.usize(0..22)).map(|_| char::from(b"00123456789."[random.usize(0..12)])).collect();
            let long = format!(
                "{text}{}",
                if text.contains('.') { "0".repeat(20) } else { format!(".{}", "0".repeat(20)) }
            );
            if let Some(raw) = parse_short(&text) {
                assert_eq!(parse_raw(&long), Ok(raw), "{text}");
            }
        }
        assert_eq!(parse_short("61737.35190000"), Some(617_373_519_000_000));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "-", ".", "1.", "1e5", "NaN", "inf", " 1", "1 ", "+1", "0x10", "1_000", "١", "--1", "1.2.3"]
        {
            assert_eq!(text.parse::<Price>(), Err(ParseNumberError::Malformed), "{text:?}");
        }
        assert_eq!("0.00000000001".parse::<Qty>(), Err(ParseNumberError::TooPrecise));
        assert_eq!("1000000000000001".parse::<Qty>(), Err(ParseNumberError::OutOfRange));
        assert_eq!(
            "99999999999999999999999999999999999999999".parse::<Qty>(),
            Err(ParseNumberError::OutOfRange)
        );
    }

    #[test]
    fn row_004_70_ten_thousand_tenths_are_a_thousand() {
        let sum: Qty = std::iter::repeat_n(qty("0.1"), 10_000).sum();
        assert_eq!(sum, Qty::whole(1000));
    }

    #[test]
    fn products_and_averages() {
        assert_eq!(price("61837.64").times(qty("0.00015")), "9.275646".parse().unwrap());
        assert_eq!(price("100000").times(qty("1000000000")), Cash::whole(100_000_000_000_000));
        assert_eq!(Cash::whole(1).per(qty("3")).unwrap(), price("0.3333333333"));
        assert_eq!((-Cash::whole(2)).per(qty("3")).unwrap(), -price("0.6666666667"));
        assert_eq!(Cash::whole(1).per(Qty::ZERO), None);
        assert_eq!(
            Cash::whole(900_000_000).share(qty("333333333"), qty("999999999")).unwrap(),
            Cash::whole(300_000_000)
        );
        let rate = "0.001".parse::<Price>().unwrap().raw();
        assert_eq!("0.123456789".parse::<Cash>().unwrap().at_rate(rate, 8), "0.00012345".parse().unwrap());
    }

    #[test]
    fn absurd_amounts_end_at_the_largest_number_and_end_nothing_else() {
        let huge = "999999999999999".parse::<Price>().unwrap();
        let much = "999999999999999.9999999999".parse::<Qty>().unwrap();
        let least = Qty::from_raw(1);
        let most = huge.times(much);
        assert_eq!((most, most + most, -most - most), (Cash(i128::MAX), Cash(i128::MAX), Cash(i128::MIN)));
        assert_eq!((Cash(i128::MIN).abs(), -Cash(i128::MIN)), (Cash(i128::MAX), Cash(i128::MAX)));
        for amount in [most, -most, Cash(i128::MIN), huge.times(least)] {
            for qty in [least, -least, much, -much] {
                let _any = (amount.per(qty), amount.share(qty, least), amount.share(qty, much));
            }
        }
        assert_eq!(most.per(least), Some(Price(i128::MAX)));
        assert!(most.at_rate(huge.raw(), 8) > Cash::whole(1) && (-most).at_rate(huge.raw(), 8).is_negative());
    }

    #[test]
    fn what_comes_from_outside_cannot_bring_a_sum_to_its_end() {
        let (large, one) = (price("1000000000000000"), Qty::whole(1));
        assert_eq!(large.worth(one), Some(Cash::whole(10_i64.pow(15))));
        assert_eq!(large.worth(-one), Some(-Cash::whole(10_i64.pow(15))));
        assert_eq!((large.worth(Qty::whole(2)), large.worth(qty("1.0000000001"))), (None, None));
        assert_eq!(large.worth(qty("999999999999999")), None, "where times() has stopped already");
        let facts = 10_i128.pow(13);
        assert!(MAX_RAW.checked_mul(facts).is_some_and(|sum| sum < i128::MAX));
    }

    #[test]
    fn grids() {
        assert_eq!(price("0.123456").floor_to(price("0.00001")), price("0.12345"));
        assert_eq!(price("0.123456").ceil_to(price("0.00001")), price("0.12346"));
        assert_eq!(price("-0.15").floor_to(price("0.1")), price("-0.2"));
        assert!(price("0.3").is_multiple_of(price("0.1")));
        assert!(!price("0.35").is_multiple_of(price("0.1")));
        assert!(price("0.35").is_multiple_of(Price::ZERO));
    }
}
