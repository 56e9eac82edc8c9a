//! When a Release is dated, how long it holds, and when it is renewed. Pure: the time is passed in.

use jiff::{SignedDuration, Timestamp};

/// From a Release's Date to its Valid-Until.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A Release with less than this left is signed anew. A server that was off over a weekend still comes in time.
const RENEW_BELOW: SignedDuration = SignedDuration::from_hours(5 * 24);
/// apt refuses a Release dated more than 10 s ahead of its own clock (Acquire::Max-FutureTime).
const AHEAD: SignedDuration = SignedDuration::from_secs(4);
/// Dates further ahead than this come from a clock that was set back, and cannot be waited for.
const CLOCK_WAS_SET_BACK: SignedDuration = SignedDuration::from_secs(60);

/// How many generations are served by hash at least.
const GENERATIONS: usize = 3;
/// A client that has read an InRelease finds its indexes for so long after the next one came, however fast others
/// publish.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// How many of these generations stay readable by hash, given their Dates, newest first.
pub(super) fn kept(dates: &[Timestamp]) -> usize {
    let Some(newest) = dates.first() else { return 0 };
    // Each stays until its successor, the one before it here, is older than the grace.
    let replaced_lately = dates.iter().take_while(|successor| newest.duration_since(**successor) < GRACE).count();
    (replaced_lately + 1).max(GENERATIONS).min(dates.len())
}

/// The next Date, in whole seconds: now, or one second after the last one. Were two alike, a client that asks
/// `If-Modified-Since` would never see the second.
pub(super) fn next_date(now: Timestamp, last: Option<Timestamp>) -> Timestamp {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let after_last = last.and_then(|last| last.checked_add(SignedDuration::from_secs(1)).ok());
    after_last.map_or(now, |after_last| now.max(after_last))
}

/// How long to wait before publishing under this Date, so that clients do not meet one in their future.
pub(super) fn wait_for(date: Timestamp, now: Timestamp) -> SignedDuration {
    let ahead = date.duration_since(now);
    if ahead > CLOCK_WAS_SET_BACK { SignedDuration::ZERO } else { (ahead - AHEAD).max(SignedDuration::ZERO) }
}

/// When a Release of this Date ends.
pub(super) fn valid_until(date: Timestamp) -> Timestamp {
    date.saturating_add(LIFETIME).unwrap_or(date)
}

/// Whether it is time to sign anew.
pub(super) fn renewal_due(valid_until: Timestamp, now: Timestamp) -> bool {
    valid_until.duration_since(now) < RENEW_BELOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_date_moves_forward_even_when_the_clock_does_not() {
        assert_eq!(next_date(time(5), None), time(5));
        assert_eq!(next_date(time(5), Some(time(3))), time(5));
        assert_eq!(next_date(time(5), Some(time(5))), time(6));
        assert_eq!(next_date(time(5), Some(time(900))), time(901));
        assert_eq!(next_date(time(5) + SignedDuration::from_millis(700), None), time(5));
    }

    #[test]
    fn a_burst_waits_and_a_clock_set_back_does_not() {
        assert_eq!(wait_for(time(0), time(0)), SignedDuration::ZERO);
        assert_eq!(wait_for(time(4), time(0)), SignedDuration::ZERO);
        assert_eq!(wait_for(time(6), time(0)), SignedDuration::from_secs(2));
        assert_eq!(wait_for(time(9000), time(0)), SignedDuration::ZERO);
    }

    #[test]
    fn three_generations_stay_and_in_a_burst_all_of_the_last_minute() {
        let kept = |seconds: &[i64]| kept(&seconds.iter().map(|s| time(*s)).collect::<Vec<_>>());
        assert_eq!(kept(&[]), 0);
        assert_eq!(kept(&[0]), 1);
        assert_eq!(kept(&[9000, 8000, 7000, 6000]), 3);
        assert_eq!(kept(&[9003, 9002, 9001, 9000, 8000, 7000]), 5, "8000 was replaced at 9000, just now");
        assert_eq!(kept(&[9100, 9040, 9039, 9038]), 3);
    }

    #[test]
    fn a_release_is_renewed_days_before_it_ends() {
        let end = valid_until(time(0));
        assert_eq!(end, time(7 * 86400));
        assert!(!renewal_due(end, time(0)));
        assert!(!renewal_due(end, time(2 * 86400)));
        assert!(renewal_due(end, time(2 * 86400 + 1)));
        assert!(renewal_due(end, time(8 * 86400)), "also when it has ended");
        assert!(!renewal_due(end, time(-86400)), "a clock that was set back");
    }
}
