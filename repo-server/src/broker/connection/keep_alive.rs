//! How long a client may be silent. The time is passed in.

use std::time::Duration;
use tokio::time::Instant;

/// AWS: no client may be silent for longer, in seconds.
const LONGEST: u16 = 1200;
/// When nothing has to be looked at.
const SOME_TIME: Duration = Duration::from_secs(24 * 3600);

/// When a client has been silent for too long.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepAlive {
    /// None: it may be silent.
    limit: Option<Duration>,
    heard: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It is in time; to be looked at then.
    Again(Instant),
    Over,
}

/// What the server has a client of MQTT 5 keep to in place of what it wants.
pub(super) fn imposed(wanted: u16, version5: bool) -> Option<u16> {
    (version5 && !(1..=LONGEST).contains(&wanted)).then_some(LONGEST)
}

impl KeepAlive {
    /// MQTT 5 §3.1.2.10: one and a half times what the client says, in seconds.
    pub(super) fn new(seconds: u16, now: Instant) -> Self {
        let limit = (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1500));
        Self { limit, heard: now }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn look_at(&self, now: Instant) -> Instant {
        self.limit.map_or(now + SOME_TIME, |limit| self.heard + limit)
    }

    pub(super) fn look(&self, now: Instant) -> Look {
        match self.look_at(now) {
            at if at > now => Look::Again(at),
            _ => Look::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_gone_after_one_and_a_half_times_what_it_said() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut keep_alive = KeepAlive::new(10, begin);
        assert_eq!(keep_alive.look(at(14_999)), Look::Again(at(15_000)));
        assert_eq!(keep_alive.look(at(15_000)), Look::Over);
        keep_alive.heard(at(14_000));
        assert_eq!(keep_alive.look(at(15_000)), Look::Again(at(29_000)));
        assert_eq!(keep_alive.look(at(29_000)), Look::Over);
        assert!(matches!(KeepAlive::new(0, begin).look(at(1_000_000_000)), Look::Again(_)));
    }

    #[test]
    fn nobody_who_can_be_told_is_silent_for_ever() {
        assert_eq!((imposed(0, true), imposed(1201, true), imposed(1200, true)), (Some(1200), Some(1200), None));
        assert_eq!((imposed(0, false), imposed(u16::MAX, false)), (None, None));
    }
}
