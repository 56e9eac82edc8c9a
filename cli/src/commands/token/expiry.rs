//! When a token or a claim ends, as it is typed.

use anyhow::{Context, Result};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use std::str::FromStr;

/// A time from now, or a point in time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expiry {
    In(Span),
    At(Timestamp),
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse::<Span>() {
            return if span.is_positive() { Ok(Self::In(span)) } else { Err("the end cannot be in the past".into()) };
        }
        if let Ok(date) = text.parse::<Date>()
            && text.len() == "2030-01-31".len()
            && let Ok(midnight) = date.to_zoned(TimeZone::UTC)
        {
            return Ok(Self::At(midnight.timestamp()));
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "give a time such as 12h, 90d or 1y, or a date such as 2030-01-31".into())
    }
}

impl Expiry {
    /// The point in time, in whole seconds.
    pub(crate) fn after(self, now: Timestamp) -> Result<Timestamp> {
        let at = match self {
            Self::At(at) => at,
            Self::In(span) => {
                let end = now.to_zoned(TimeZone::UTC).checked_add(span);
                end.context("--expires is too far away")?.timestamp()
            }
        };
        Ok(Timestamp::from_second(at.as_second())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_dates_are_understood() {
        let now: Timestamp = "2028-02-01T10:00:00Z".parse().unwrap();
        let end = |text: &str| text.parse::<Expiry>().unwrap().after(now).unwrap().to_string();
        assert_eq!(end("12h"), "2028-02-01T22:00:00Z");
        assert_eq!(end("90d"), "2028-05-01T10:00:00Z");
        assert_eq!(end("1y"), "2029-02-01T10:00:00Z");
        assert_eq!(end("2030-01-31"), "2030-01-31T00:00:00Z");
        assert_eq!(end("2030-01-31T08:30:00+02:00"), "2030-01-31T06:30:00Z");
        for bad in ["", "soon", "-3d", "0s", "3", "2030-13-01", "90 d d"] {
            assert!(bad.parse::<Expiry>().is_err(), "{bad:?}");
        }
        assert!("19000y".parse::<Expiry>().unwrap().after(now).is_err());
    }
}
