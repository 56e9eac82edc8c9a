//! When to poll next: spread evenly over a fleet, and less often while it fails.

use super::phasing::MachineId;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The wait after a first failure.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait, where polls are not further apart anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A server that asks for more is not obeyed.
const LONGEST_REQUESTED: Duration = Duration::from_secs(24 * 3600);

/// A device's own place in every stretch of time, so that a fleet's polls lie evenly in it, whenever the devices, the
/// server or the network were started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slot {
    /// From 0 up to, but without, 1.
    place: f64,
}

impl Slot {
    /// The place of a device; one without an id gets it from chance, as long as it runs.
    pub(crate) fn of(machine: Option<&MachineId>, chance: u64) -> Self {
        let number = machine.map_or(chance, |machine| {
            let hash = Sha256::digest(format!("debfleet poll slot {}", machine.as_str()));
            hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
        });
        Self { place: fraction(number) }
    }

    /// This device's place in a stretch that begins somewhere.
    pub(crate) fn within(self, stretch: Duration) -> Duration {
        stretch.mul_f64(self.place)
    }

    /// How long until its next place in the grid of intervals. At most an interval, and more than none.
    pub(crate) fn next(self, now: Timestamp, interval: Duration) -> Duration {
        let interval_ns = interval.as_nanos().max(1);
        let into = u128::try_from(now.as_nanosecond()).unwrap_or_default() % interval_ns;
        let place = self.within(interval).as_nanos();
        let wait = if place > into { place - into } else { place + interval_ns - into };
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)).min(interval)
    }
}

/// How long to wait after so many failures in a row: doubling, between half and the whole by chance, and not less than
/// the server asked for.
pub(crate) fn after_failures(failures: u32, interval: Duration, requested: Option<Duration>, chance: u64) -> Duration {
    let wait = doubling(failures.saturating_sub(1), FIRST_WAIT.min(interval), LONGEST_WAIT.max(interval), chance);
    let requested = requested.unwrap_or_default().min(LONGEST_REQUESTED);
    // Also those who were all told the same time come one after the other.
    wait.max(requested.mul_f64(1.0 + fraction(chance) / 4.0))
}

/// A wait that doubles up to a longest one, between half and the whole of it by chance.
pub(crate) fn doubling(doublings: u32, first: Duration, longest: Duration, chance: u64) -> Duration {
    let wait = first.saturating_mul(1 << doublings.min(20)).min(longest);
    wait.mul_f64(0.5 + fraction(chance) / 2.0)
}

/// Evenly from 0 up to, but without, 1.
fn fraction(number: u64) -> f64 {
    // As many bits as the type holds exactly.
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn slot(number: u32) -> Slot {
        Slot::of(MachineId::parse(&format!("{number:032x}")).as_ref(), 0)
    }

    #[test]
    fn a_fleet_that_starts_at_once_polls_evenly() {
        let now = Timestamp::from_second(1_800_000_123).unwrap();
        let mut minutes = [0; 60];
        for number in 0..6000 {
            let wait = slot(number).next(now, HOUR);
            minutes[usize::try_from(wait.as_secs() / 60).unwrap()] += 1;
        }
        // A hundred to a minute; chance makes some of it.
        assert!(minutes.iter().all(|count| (50..150).contains(count)), "{minutes:?}");
    }

    #[test]
    fn a_server_that_was_down_meets_no_clump_either() {
        let mut waits: Vec<Duration> =
            (0..1000_u64).map(|n| after_failures(3, HOUR, None, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        waits.sort();
        assert!(waits[0] < Duration::from_secs(125) && waits[999] > Duration::from_secs(235));
        let steps = waits.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.max().unwrap() < Duration::from_secs(2));
    }

    #[test]
    fn failures_back_off_up_to_a_bound() {
        let waits =
            |interval| (1..40).map(move |failures| after_failures(failures, interval, None, u64::MAX).as_secs_f64());
        let short: Vec<f64> = waits(Duration::from_secs(10)).collect();
        assert!((9.9..=10.0).contains(&short[0]) && (19.9..=20.0).contains(&short[1]), "{short:?}");
        assert!(short.iter().all(|wait| *wait <= 3600.0));
        assert!(waits(24 * HOUR).next_back().unwrap() > 86_399.0);
    }

    #[test]
    fn a_server_may_ask_for_more_time_but_not_for_ever() {
        let asked = |seconds| after_failures(1, HOUR, Some(Duration::from_secs(seconds)), 0);
        assert_eq!(asked(600), Duration::from_secs(600));
        assert_eq!(asked(u64::MAX), LONGEST_REQUESTED);
        assert_eq!(asked(0), Duration::from_secs(30));
    }

    proptest! {
        #[test]
        fn the_next_place_is_the_devices_own(number: u32, at in 0i64..4_000_000_000, interval in 1u64..1_000_000) {
            let (now, interval) = (Timestamp::from_second(at).unwrap(), Duration::from_secs(interval));
            let wait = slot(number).next(now, interval);
            prop_assert!(wait > Duration::ZERO && wait <= interval);
            let again = slot(number).next(now + wait, interval);
            prop_assert!(again.abs_diff(interval) < Duration::from_millis(1), "{again:?}");
        }
    }
}
