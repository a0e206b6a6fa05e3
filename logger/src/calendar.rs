//! Dates of the proleptic Gregorian calendar, UTC, so that no time-zone library is needed.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-07-30T09:12:33.104518Z`.
pub fn timestamp(at: SystemTime) -> String {
    let (seconds, micros) = since_epoch(at);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `20260730`.
pub fn date(at: SystemTime) -> String {
    let (year, month, day) = civil(since_epoch(at).0.div_euclid(86_400));
    format!("{year:04}{month:02}{day:02}")
}

fn since_epoch(at: SystemTime) -> (i64, u32) {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_micros()),
        // A clock before 1970 is shown as 1970: a log line must come out whatever the clock says.
        Err(_) => (0, 0),
    }
}

/// Year, month and day of a number of days since 1970-01-01. Years are counted from March, so that the leap
/// day is the last one.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, micros, text) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, 999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000Z"),
            (1_709_164_800, 5, "2024-02-29T00:00:00.000005Z"),
            (1_732_196_585, 0, "2024-11-21T13:43:05.000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
            assert_eq!(timestamp(at), text);
            assert_eq!(date(at), text[..10].replace('-', ""));
        }
    }
}
