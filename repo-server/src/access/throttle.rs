//! How many failures a remote party may cause in a time: a bucket of tokens each, refilled steadily. The clock is
//! passed in, and the memory is bounded.

use super::origin::Origin;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Failures in a row.
    pub(crate) burst: u32,
    /// One more is allowed after each of these.
    pub(crate) refill: Duration,
    /// Parties that are remembered.
    pub(crate) parties: usize,
}

/// Buckets, each kept as the one instant at which it will be full again (the generic cell rate algorithm).
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Rate,
    full_again: HashMap<Origin, Instant>,
}

impl Throttle {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_again: HashMap::new() }
    }

    /// How long this party has to wait, if it caused too many failures.
    pub(crate) fn wait(&self, origin: Origin, now: Instant) -> Option<Duration> {
        let missing = self.full_again.get(&origin)?.saturating_duration_since(now);
        let wait = missing.saturating_sub(self.rate.refill * self.rate.burst.saturating_sub(1));
        (!wait.is_zero()).then_some(wait)
    }

    /// Notes a failure.
    pub(crate) fn failed(&mut self, origin: Origin, now: Instant) {
        if !self.full_again.contains_key(&origin) {
            self.make_room(now);
        }
        let full_again = self.full_again.entry(origin).or_insert(now);
        *full_again = (*full_again).max(now) + self.rate.refill;
    }

    /// Takes back a failure that was noted before it was known to be none.
    pub(crate) fn forgive(&mut self, origin: Origin) {
        if let Some(full_again) = self.full_again.get_mut(&origin) {
            *full_again = full_again.checked_sub(self.rate.refill).unwrap_or(*full_again);
        }
    }

    /// Forgets those whose bucket is full again, and if that is not enough, the one nearest to it.
    fn make_room(&mut self, now: Instant) {
        if self.full_again.len() < self.rate.parties {
            return;
        }
        self.full_again.retain(|_, full_again| *full_again > now);
        if self.full_again.len() >= self.rate.parties
            && let Some(nearest) = self.full_again.iter().min_by_key(|(_, at)| **at).map(|(origin, _)| *origin)
        {
            self.full_again.remove(&nearest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: Duration::from_secs(6), parties: 2 };

    fn origin(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    fn seconds(wait: Option<Duration>) -> Option<u64> {
        wait.map(|wait| wait.as_secs())
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_in_each_interval() {
        let (mut throttle, start) = (Throttle::new(RATE), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            assert_eq!(throttle.wait(origin(1), at(0)), None);
            throttle.failed(origin(1), at(0));
        }
        assert_eq!(seconds(throttle.wait(origin(1), at(0))), Some(6));
        assert_eq!(seconds(throttle.wait(origin(1), at(5))), Some(1));
        assert_eq!(throttle.wait(origin(2), at(5)), None, "another party is not concerned");
        assert_eq!(throttle.wait(origin(1), at(6)), None);
        throttle.failed(origin(1), at(6));
        assert_eq!(seconds(throttle.wait(origin(1), at(6))), Some(6));
        // All forgiven.
        assert_eq!(throttle.wait(origin(1), at(60)), None);
        for _ in 0..3 {
            assert_eq!(throttle.wait(origin(1), at(60)), None);
            throttle.failed(origin(1), at(60));
        }
        assert!(throttle.wait(origin(1), at(60)).is_some());
    }

    #[test]
    fn what_was_no_failure_is_taken_back() {
        let (mut throttle, now) = (Throttle::new(RATE), Instant::now());
        for _ in 0..9 {
            throttle.failed(origin(1), now);
            throttle.forgive(origin(1));
        }
        assert_eq!(throttle.wait(origin(1), now), None);
        for _ in 0..3 {
            throttle.failed(origin(1), now);
        }
        assert!(throttle.wait(origin(1), now).is_some());
        throttle.forgive(origin(2));
    }

    #[test]
    fn it_remembers_a_bounded_number_of_parties_and_the_worst_of_them() {
        let (mut throttle, now) = (Throttle::new(RATE), Instant::now());
        for _ in 0..9 {
            throttle.failed(origin(1), now);
        }
        for last in 2..200 {
            throttle.failed(origin(last), now);
        }
        assert_eq!(throttle.full_again.len(), 2);
        assert!(throttle.wait(origin(1), now).is_some(), "newcomers do not push out who failed most");
    }
}
