//! Dates and times of text cells as Unix seconds; UTC throughout.

/// Unix seconds of a time as text: Unix seconds or milliseconds (from 10¹¹), RFC 3339, `YYYY-MM-DD`, or
/// `YYYY-MM-DD HH:MM:SS` with or without a fraction, ` UTC`, `Z` or an offset. Fractions of a second are cut off.
pub fn instant(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<f64>() {
        let scale = if number.abs() >= 1e11 { 1e-3 } else { 1.0 };
        return number.is_finite().then_some((number * scale).floor() as i64);
    }
    let bytes = text.as_bytes();
    let part = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let date = || {
        (bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-').then_some(())?;
        let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
        let days = days_from_civil(year, month, day);
        (civil_from_days(days) == (year, month, day)).then_some(days * 86_400)
    };
    let date = date()?;
    if bytes.len() == 10 {
        return Some(date);
    }
    if bytes.len() < 19
        || !matches!(bytes[10], b' ' | b'T' | b't')
        || bytes[13] != b':'
        || bytes[16] != b':'
    {
        return None;
    }
    let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let offset = match rest {
        "" | " UTC" | "Z" | "z" => 0,
        _ => {
            let sign = match rest.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = rest[1..].split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 {
                return None;
            }
            sign * (i64::from(hours.parse::<u8>().ok()?) * 3600
                + i64::from(minutes.parse::<u8>().ok()?) * 60)
        }
    };
    Some(date + hour * 3600 + minute * 60 + second - offset)
}

/// The same of a time as a whole number.
pub(crate) fn instant_of(number: i64) -> i64 {
    if number.abs() >= 100_000_000_000 { number.div_euclid(1000) } else { number }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day number; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Midnight, UTC, at the start of the day of `seconds`, as RFC 3339.
pub(crate) fn midnight(seconds: i64) -> String {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
}

/// A Unix time as RFC 3339, UTC: `2026-11-24T10:00:00Z`.
pub fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc_seconds() {
        for (text, expected) in [
            ("1970-01-01 00:00:00", 0),
            ("2018-03-01 00:00:06", 1_519_862_406),
            ("2019-10-01 00:00:01 UTC", 1_569_888_001),
            ("2000-02-29T23:59:59.75Z", 951_868_799),
            ("2000-03-01T01:59:59+02:00", 951_868_799),
            ("1970-01-02", 86_400),
            ("1541548800", 1_541_548_800),
            ("1541548800999", 1_541_548_800),
            ("-1.5", -2),
        ] {
            assert_eq!(instant(text), Some(expected), "{text}");
        }
        for bad in [
            "2019-02-29 00:00:00",
            "2019-10-01T00:00",
            "2019-13-01 00:00:00",
            "+019-10-01 00:00:00",
            "2019-10-01 24:00:00",
            "2019-10-01 00:00:00 CET",
            "2019-10-01 00:00:00+2:00",
            "20年1-10-01",
            "NaN",
            "",
        ] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_and_day_numbers_are_inverse() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(midnight(1_541_721_582), "2018-11-08T00:00:00Z");
    }
}
