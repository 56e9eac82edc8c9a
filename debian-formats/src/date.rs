//! The two date notations of Debian's files.

use jiff::Timestamp;
use jiff::fmt::strtime;

/// A date that does not read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a date such as `Sat, 21 Nov 2026 10:00:00 UTC`")]
pub struct DateError {
    text: String,
}

/// As in a Release file: `Sat, 21 Nov 2026 10:00:00 UTC`.
#[must_use]
pub fn format_release_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

/// As in a Debian changelog (Policy 4.4): `Sat, 21 Nov 2026 10:00:00 +0000`.
#[must_use]
pub fn format_changelog_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Reads a Release file's date; like apt it takes UTC only, under each of its names.
pub fn parse_release_date(text: &str) -> Result<Timestamp, DateError> {
    let fail = || DateError { text: text.chars().take(60).collect() };
    let utc = text.trim().rsplit_once(' ').filter(|(_, zone)| ["UTC", "GMT", "Z", "+0000"].contains(zone));
    let (date, _) = utc.ok_or_else(fail)?;
    let parsed = strtime::parse("%a, %d %b %Y %H:%M:%S %z", format!("{date} +0000")).map_err(|_| fail())?;
    parsed.to_timestamp().map_err(|_| fail())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_date_survives_the_round_trip() {
        let time: Timestamp = "2026-11-01T09:05:03Z".parse().unwrap();
        assert_eq!(format_release_date(time), "Sun, 01 Nov 2026 09:05:03 UTC");
        assert_eq!(parse_release_date("Sun, 01 Nov 2026 09:05:03 UTC").unwrap(), time);
        assert_eq!(parse_release_date("Sun, 1 Nov 2026 09:05:03 +0000").unwrap(), time);
        assert!(parse_release_date("Sun, 01 Nov 2026 09:05:03 PST").is_err());
        assert!(parse_release_date("tomorrow UTC").is_err());
    }
}
