//! Numbers as a user types them into SQL: `10`, `10.0`, `+5`, `1e-05`. Exact or refused.

use std::str::FromStr;

use tradingsys::num::ParseNumberError;

/// Most digits an exponent may shift by; beyond it no number is in range.
const SHIFT_MAX: i32 = 40;

/// The number in that text.
pub(super) fn number<N: FromStr<Err = ParseNumberError>>(text: &str) -> Result<N, String> {
    let shown: String = text.chars().take(40).collect();
    plain(text.trim())
        .ok_or(ParseNumberError::Malformed)
        .and_then(|plain| plain.parse())
        .map_err(|error| format!("{shown:?} is {error}"))
}

/// Without plus sign and exponent.
fn plain(text: &str) -> Option<String> {
    let text = match text.strip_prefix('+') {
        Some(signed) if signed.starts_with('-') => return None,
        Some(rest) => rest,
        None => text,
    };
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Some(text.to_owned()) };
    let shift: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    if shift.abs() > SHIFT_MAX {
        return None;
    }
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + shift;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = i32::try_from(digits.len()).ok()?;
    Some(if point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else if point >= length {
        format!("{sign}{digits}{}", zeros(point - length))
    } else {
        let (left, right) = digits.split_at(usize::try_from(point).ok()?);
        format!("{sign}{left}.{right}")
    })
}

#[cfg(test)]
mod tests {
    use tradingsys::num::Qty;

    use super::number;

    #[test]
    fn what_a_user_types_is_exact_or_refused() {
        for (typed, exact) in [
            ("10", "10"),
            (" 10.0 ", "10"),
            ("+5", "5"),
            ("-0.5", "-0.5"),
            ("1e-05", "0.00001"),
            ("-1.25E+2", "-125"),
            ("12.5e0", "12.5"),
            ("1.5e1", "15"),
            ("0", "0"),
        ] {
            assert_eq!(number::<Qty>(typed).unwrap().to_string(), exact, "{typed}");
        }
        for typed in ["", "ten", "1,5", "nan", "inf", "1e", "e5", "1e99", "--1", "+-1", "0x10", "1 000"] {
            let error = number::<Qty>(typed).unwrap_err();
            assert!(error.contains("not a plain decimal number"), "{typed}: {error}");
        }
        assert!(number::<Qty>("0.30000000000000004").unwrap_err().contains("decimal places"));
        assert!(number::<Qty>("1e30").unwrap_err().contains("out of range"));
    }
}
