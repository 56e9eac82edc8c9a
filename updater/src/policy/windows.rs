//! Maintenance windows: times of the week, by the clock on the device's wall.
//!
//! A window is open while the local clock shows a time within it. So where a summer time begins, a window that lies in
//! the skipped hour does not open that day; where it ends, one in the repeated hour opens twice.

use jiff::civil::{DateTime, Weekday};
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use serde::Deserialize;
use std::str::FromStr;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Every window of a week opens within it, also one that a summer time skips once.
const HORIZON_MINUTES: i64 = 15 * DAY as i64;

/// One window, such as `Mon-Fri 02:00-04:30` or `Sat,Sun 22:00-06:00`, or `02:00-04:00` on every day. The days are
/// those on which it opens; it may last past midnight.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Window {
    /// By days since Monday.
    days: [bool; 7],
    /// Minutes after midnight.
    start: u16,
    /// Minutes after the midnight before `start`: up to two days.
    end: u16,
}

/// A window that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no maintenance window ({problem}); write it as \"Mon-Fri 02:00-04:30\" or \"Sat,Sun 22:00-06:00\""
)]
pub(crate) struct WindowError {
    text: String,
    problem: &'static str,
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        parse(text).map_err(|problem| WindowError { text: text.chars().take(80).collect(), problem })
    }
}

impl TryFrom<String> for Window {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

fn parse(text: &str) -> Result<Window, &'static str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, times) = match words[..] {
        [times] => ([true; 7], times),
        [days, times] => (parse_days(days)?, times),
        _ => return Err("it must be days and times, with one space between them"),
    };
    let (start, end) = times.split_once('-').ok_or("the times must be as 02:00-04:30")?;
    let (start, end) = (parse_time(start)?, parse_time(end)?);
    if start == end || start == DAY {
        return Err("it must begin and end at different times; a whole day is 00:00-24:00");
    }
    Ok(Window { days, start, end: if end < start { end + DAY } else { end } })
}

fn parse_days(text: &str) -> Result<[bool; 7], &'static str> {
    let day = |name: &str| {
        let found = DAYS.iter().position(|(day, _)| day.eq_ignore_ascii_case(name));
        found.ok_or("the days are Mon, Tue, Wed, Thu, Fri, Sat and Sun")
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // `Sat-Mon` goes over the end of the week.
        let count = (last + 7 - first) % 7;
        (0..=count).for_each(|after| days[(first + after) % 7] = true);
    }
    Ok(days)
}

fn parse_time(text: &str) -> Result<u16, &'static str> {
    let problem = "a time is written as 02:00, up to 24:00";
    let (hours, minutes) = text.split_once(':').ok_or(problem)?;
    let number = |text: &str| -> Result<u16, &'static str> {
        let is_number = matches!(text.len(), 1..=2) && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().map_err(|_| problem) } else { Err(problem) }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let time = hours * 60 + minutes;
    if minutes < 60 && time <= DAY { Ok(time) } else { Err(problem) }
}

impl Window {
    /// Whether it is open when the clock on the wall shows this.
    fn is_open(&self, wall: DateTime) -> bool {
        let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap_or_default();
        let today = usize::try_from(wall.weekday().to_monday_zero_offset()).unwrap_or_default();
        let is_within = |minute: u16| (self.start..self.end).contains(&minute);
        (self.days[today] && is_within(minute)) || (self.days[(today + 6) % 7] && is_within(minute + DAY))
    }
}

/// All windows; without any it is always time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// Whether there are none.
    pub(crate) fn are_always_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an update may begin.
    pub(crate) fn are_open(&self, now: &Zoned) -> bool {
        self.0.is_empty() || self.0.iter().any(|window| window.is_open(now.datetime()))
    }

    /// When the next window opens, or when the open one opened; none if no window opens in the coming two weeks.
    pub(crate) fn next_opening(&self, now: &Zoned) -> Option<Timestamp> {
        if self.are_open(now) {
            return Some(now.timestamp());
        }
        // Minute by minute, so that no summer time needs a case of its own.
        let into_minute = i64::from(now.second());
        let minute = now.timestamp().checked_sub(SignedDuration::new(into_minute, now.subsec_nanosecond())).ok()?;
        let at = |minutes: i64| minute.checked_add(Span::new().try_minutes(minutes).ok()?).ok();
        let opens = |at: &Timestamp| self.are_open(&at.to_zoned(now.time_zone().clone()));
        (1..=HORIZON_MINUTES).filter_map(at).find(opens)
    }

    /// How long it then stays open, counted up to a day.
    pub(crate) fn open_for(&self, opening: &Zoned) -> SignedDuration {
        let is_open = |minutes: i64| {
            let later = opening.checked_add(SignedDuration::from_mins(minutes));
            later.is_ok_and(|later| self.are_open(&later))
        };
        SignedDuration::from_mins((0..i64::from(DAY)).take_while(|minutes| is_open(*minutes)).count() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn windows(texts: &[&str]) -> Windows {
        Windows(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn berlin(text: &str) -> Zoned {
        text.parse::<DateTime>().unwrap().to_zoned(TimeZone::get("Europe/Berlin").unwrap()).unwrap()
    }

    #[track_caller]
    fn assert_opens(texts: &[&str], now: &str, opening: &str) {
        let found = windows(texts).next_opening(&berlin(now)).unwrap();
        assert_eq!(found.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).datetime().to_string(), opening);
    }

    #[test]
    fn a_window_opens_on_its_days_and_lasts_past_midnight() {
        let nights = windows(&["Mon-Fri 02:00-04:30", "Sat,Sun 22:00-06:00"]);
        for (open, time) in [
            (true, "2026-11-20T02:00"), // Friday
            (true, "2026-11-20T04:29:59"),
            (false, "2026-11-20T04:30"),
            (false, "2026-11-21T02:00"), // Saturday
            (true, "2026-11-21T23:00"),
            (true, "2026-11-22T05:59"), // still Saturday's
            (false, "2026-11-22T06:00"),
            (true, "2026-11-23T05:00"), // Sunday's, on Monday
            (false, "2026-11-24T05:00"),
        ] {
            assert_eq!(nights.are_open(&berlin(time)), open, "{time}");
        }
        assert_opens(&["Mon-Fri 02:00-04:30"], "2026-11-20T04:30:07.5", "2026-11-23T02:00:00");
        assert_opens(&["Sat-Mon 10:00-11:00"], "2026-11-23T11:00", "2026-11-28T10:00:00");
        assert_eq!(windows(&["00:00-24:00"]).open_for(&berlin("2026-11-20T00:00")), SignedDuration::from_hours(24));
        assert_eq!(nights.open_for(&berlin("2026-11-20T02:30")), SignedDuration::from_hours(2));
    }

    /// In Berlin 2026-03-29 02:00 is followed by 03:00, and 2026-10-25 02:59 by 02:00.
    #[test]
    fn a_window_in_the_skipped_hour_waits_a_day_and_one_in_the_repeated_hour_opens_twice() {
        assert_opens(&["02:00-02:30"], "2026-03-28T12:00", "2026-03-30T02:00:00");
        assert_opens(&["Sun 02:00-02:30"], "2026-03-28T12:00", "2026-04-05T02:00:00");
        assert_opens(&["02:30-04:00"], "2026-03-28T12:00", "2026-03-29T03:00:00");
        let early = windows(&["02:00-02:30"]);
        let first = early.next_opening(&berlin("2026-10-25T00:00")).unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let behind = (first + SignedDuration::from_mins(30)).to_zoned(zone);
        assert_eq!(early.next_opening(&behind), Some(first + SignedDuration::from_hours(1)));
    }

    #[test]
    fn without_windows_it_is_always_time() {
        let now = berlin("2026-11-20T12:00");
        assert_eq!(windows(&[]).next_opening(&now), Some(now.timestamp()));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in [
            "",
            "Mon",
            "Mon 2-4",
            "Mon 02:00-24:01",
            "Mon 02:60-03:00",
            "Mon 02:00-02:00",
            "Mon 24:00-02:00",
            "Mo 02:00-03:00",
            "Mon Tue 02:00-03:00",
            "Mon-Fri-Sat 02:00-03:00",
            "Mon 02:00-+3:00",
            "Mon 002:00-3:00",
        ] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,30}") {
            let _ = text.parse::<Window>();
        }

        /// Wherever and whenever: before the next opening all is closed, and then it is open.
        #[test]
        fn the_next_opening_is_the_first_open_minute(
            day in 0usize..7, start in 0u16..DAY, length in 1u16..DAY, at in 1_700_000_000i64..1_900_000_000,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
        ) {
            let end = (start + length) % DAY;
            let text = format!("{} {:02}:{:02}-{:02}:{:02}", DAYS[day].0, start / 60, start % 60, end / 60, end % 60);
            let one = windows(&[&text]);
            let zone = TimeZone::get(zone).unwrap();
            let now = Timestamp::from_second(at).unwrap().to_zoned(zone.clone());
            let opening = one.next_opening(&now).unwrap().to_zoned(zone);
            prop_assert!(one.are_open(&opening));
            prop_assert!(opening.timestamp() >= now.timestamp());
            prop_assert!(opening.timestamp().duration_since(now.timestamp()) <= SignedDuration::from_hours(15 * 24));
            if opening != now {
                prop_assert!(!one.are_open(&opening.checked_sub(SignedDuration::from_secs(1)).unwrap()));
                let between = now.timestamp().as_second().midpoint(opening.timestamp().as_second());
                let between = Timestamp::from_second(between).unwrap().to_zoned(opening.time_zone().clone());
                prop_assert!(!one.are_open(&between));
            }
            prop_assert!(one.open_for(&opening) > SignedDuration::ZERO);
        }
    }
}
