//! Wills: what a client has the server publish when its connection breaks, at once or after a delay.

use super::ids::ClientId;
use super::wire::Will;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Wills that wait for their time, by the clients that left them.
pub(super) struct Wills(Mutex<HashMap<ClientId, WaitingWill>>);

/// A will that waits. It is kept in the database, too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WaitingWill {
    pub(super) client: ClientId,
    /// In milliseconds.
    pub(super) due: i64,
    pub(super) will: Will,
}

/// When a will is published.
#[derive(Debug, PartialEq)]
pub(super) enum Published {
    Now(Will),
    Later(WaitingWill),
}

impl Wills {
    /// Those that were waiting when the server ended.
    pub(super) fn new(kept: Vec<WaitingWill>) -> Self {
        Self(Mutex::new(kept.into_iter().map(|waiting| (waiting.client.clone(), waiting)).collect()))
    }

    /// A client has gone whose session lasts for so many seconds.
    pub(super) fn leave(&self, client: &ClientId, will: Will, session_expiry: i64, now: i64) -> Published {
        // MQTT 5 §3.1.3.2.2: when its delay is over or its session ends, whichever comes first.
        let delay = i64::from(will.delay).min(session_expiry);
        if delay <= 0 {
            return Published::Now(will);
        }
        let waiting = WaitingWill { client: client.clone(), due: now + delay * 1000, will };
        self.lock().insert(client.clone(), waiting.clone());
        Published::Later(waiting)
    }

    /// A client is back: the will that it had left, if it is not published yet.
    pub(super) fn take_back(&self, client: &str) -> Option<WaitingWill> {
        self.lock().remove(client)
    }

    /// Those whose time has come.
    pub(super) fn due(&self, now: i64) -> Vec<WaitingWill> {
        self.lock().extract_if(|_, waiting| waiting.due <= now).map(|(_, waiting)| waiting).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, WaitingWill>> {
        // A map is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::example;

    #[test]
    fn a_will_waits_for_its_delay_or_the_end_of_the_session_unless_the_client_is_back() {
        let wills = Wills::new(Vec::new());
        let lamp: ClientId = "lamp".into();
        let will = |delay| Will { publish: example(1, "a").publish, delay };
        assert!(matches!(wills.leave(&lamp, will(0), 3600, 0), Published::Now(_)));
        assert!(matches!(wills.leave(&lamp, will(10), 0, 0), Published::Now(_)), "its session has ended");
        assert!(matches!(wills.leave(&lamp, will(10), 3600, 0), Published::Later(_)));
        assert!(wills.due(9_999).is_empty());
        assert!(wills.take_back("lamp").is_some() && wills.due(10_000).is_empty(), "it is back");
        assert!(matches!(wills.leave(&lamp, will(10), 3600, 0), Published::Later(_)));
        let kept = wills.take_back("lamp").unwrap();
        let after_a_restart = Wills::new(vec![kept.clone()]);
        assert!(after_a_restart.due(9_999).is_empty());
        assert_eq!(after_a_restart.due(10_000), [kept]);
        assert!(matches!(wills.leave(&lamp, will(10), 5, 0), Published::Later(_)));
        assert_eq!(wills.due(5_000).len(), 1, "its session ends first");
    }
}
