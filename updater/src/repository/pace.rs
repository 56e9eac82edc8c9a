//! How fast a body may and must come: pure decisions; the time is passed in.

use std::time::Duration;

/// A body that brings less than this, in bytes a second over a stretch, is given up.
const SLOWEST_RATE: u64 = 1024;

/// The stretch over which slowness is judged.
const STRETCH: Duration = Duration::from_secs(60);

/// The largest buffer for one read.
const BUFFER: usize = 128 << 10;

/// Bounds on the speed of one body.
#[derive(Debug)]
pub(super) struct Pace {
    rate_limit: Option<u64>,
    bytes: u64,
    stretch_began: Duration,
    stretch_bytes: u64,
}

/// What to do after a piece of the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    /// It came faster than it may.
    Pause(Duration),
    /// It comes so slowly that it holds everything up.
    GiveUp,
}

impl Pace {
    /// `rate_limit` is in bytes a second.
    pub(super) fn new(rate_limit: Option<u64>) -> Self {
        Self { rate_limit, bytes: 0, stretch_began: Duration::ZERO, stretch_bytes: 0 }
    }

    /// The slowest rate that is waited for: below the limit, so that our own pauses are not taken for slowness.
    fn slowest(&self) -> u64 {
        self.rate_limit.map_or(SLOWEST_RATE, |limit| SLOWEST_RATE.min(limit / 2)).max(1)
    }

    /// How long a body of this size may take at most.
    pub(super) fn longest(&self, bytes: u64) -> Duration {
        STRETCH + Duration::from_secs(bytes / self.slowest())
    }

    /// How much to read at once: at most what may come in a second.
    pub(super) fn buffer(&self) -> usize {
        let limit = self.rate_limit.and_then(|limit| usize::try_from(limit).ok());
        limit.map_or(BUFFER, |limit| limit.clamp(1, BUFFER))
    }

    /// Counts a piece that came at this time after the body began.
    pub(super) fn after(&mut self, bytes: usize, at: Duration) -> Next {
        self.bytes += bytes as u64;
        self.stretch_bytes += bytes as u64;
        let stretch = at.saturating_sub(self.stretch_began);
        if stretch >= STRETCH {
            if self.stretch_bytes < self.slowest().saturating_mul(stretch.as_secs()) {
                return Next::GiveUp;
            }
            (self.stretch_began, self.stretch_bytes) = (at, 0);
        }
        let due = self.rate_limit.map(|limit| Duration::from_secs_f64(self.bytes as f64 / limit.max(1) as f64));
        match due.and_then(|due| due.checked_sub(at)).filter(|pause| !pause.is_zero()) {
            Some(pause) => Next::Pause(pause),
            None => Next::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_limited_body_waits_until_its_bytes_are_due() {
        let mut pace = Pace::new(Some(1000));
        assert_eq!(pace.after(3000, SECOND), Next::Pause(2 * SECOND));
        assert_eq!(pace.after(500, 4 * SECOND), Next::GoOn);
        assert_eq!(Pace::new(None).after(1 << 30, SECOND), Next::GoOn);
    }

    #[test]
    fn a_body_that_drips_is_given_up_and_a_slow_one_is_not() {
        let give_up = |bytes: usize| {
            let mut pace = Pace::new(None);
            (1..=10).any(|n| pace.after(bytes, n * 29 * SECOND) == Next::GiveUp)
        };
        assert!(give_up(1));
        assert!(give_up(29_000));
        assert!(!give_up(30_000));
    }

    #[test]
    fn a_low_limit_of_our_own_is_not_taken_for_slowness() {
        let mut pace = Pace::new(Some(1000));
        let mut at = Duration::ZERO;
        for _ in 0..600 {
            at += SECOND;
            match pace.after(1000, at) {
                Next::GiveUp => panic!("given up after {at:?}"),
                Next::Pause(pause) => at += pause,
                Next::GoOn => {}
            }
        }
    }
}
