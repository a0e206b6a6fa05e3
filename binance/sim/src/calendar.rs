//! Where bars begin and end. All of it is UTC.

use tradingsys::market::Interval;
use tradingsys::time::{Span, Time};

const DAY: i64 = 86_400;

/// Length in seconds, for intervals that have a fixed one.
const fn seconds(interval: Interval) -> Option<i64> {
    Some(match interval {
        Interval::S1 => 1,
        Interval::M1 => 60,
        Interval::M3 => 180,
        Interval::M5 => 300,
        Interval::M15 => 900,
        Interval::M30 => 1_800,
        Interval::H1 => 3_600,
        Interval::H2 => 7_200,
        Interval::H4 => 14_400,
        Interval::H6 => 21_600,
        Interval::H8 => 28_800,
        Interval::H12 => 43_200,
        Interval::D1 => DAY,
        Interval::D3 => 3 * DAY,
        Interval::W1 => 7 * DAY,
        Interval::Mo1 => return None,
    })
}

/// First instant of the bar a time lies in.
pub(crate) fn bar_start(interval: Interval, time: Time) -> Time {
    let second = time.nanos().div_euclid(1_000_000_000);
    let start = match seconds(interval) {
        // 1970-01-01 was a Thursday: weeks begin three days before it.
        Some(length) if interval == Interval::W1 => (second + 3 * DAY).div_euclid(length) * length - 3 * DAY,
        Some(length) => second.div_euclid(length) * length,
        None => {
            let (year, month) = month_of(second.div_euclid(DAY));
            first_day(year, month) * DAY
        }
    };
    Time::from_millis(start * 1_000)
}

/// First instant of the bar after the one that begins at `start`.
pub(crate) fn bar_end(interval: Interval, start: Time) -> Time {
    match seconds(interval) {
        Some(length) => start + Span::from_secs(length),
        None => {
            let (year, month) = month_of(start.millis().div_euclid(DAY * 1_000));
            let next = if month == 12 { first_day(year + 1, 1) } else { first_day(year, month + 1) };
            Time::from_millis(next * DAY * 1_000)
        }
    }
}

/// Year and month of a day counted from 1970-01-01 (proleptic Gregorian, after Howard Hinnant's published
/// algorithm).
fn month_of(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year + era * 400 + i64::from(month <= 2), month)
}

/// The first day of a month, counted from 1970-01-01.
fn first_day(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_where_the_calendar_says() {
        // 2024-02-29T13:37:45.5Z, a Thursday.
        let time = Time::from_millis(1_709_213_865_500);
        for (interval, start, end) in [
            (Interval::S1, 1_709_213_865, 1_709_213_866),
            (Interval::M15, 1_709_213_400, 1_709_214_300),
            (Interval::D1, 1_709_164_800, 1_709_251_200),
            (Interval::W1, 1_708_905_600, 1_709_510_400),
            (Interval::Mo1, 1_706_745_600, 1_709_251_200),
        ] {
            let found = bar_start(interval, time);
            assert_eq!(found, Time::from_millis(start * 1_000), "{interval}");
            assert_eq!(bar_end(interval, found), Time::from_millis(end * 1_000), "{interval}");
            assert_eq!(bar_start(interval, found), found, "{interval}");
        }
    }
}
