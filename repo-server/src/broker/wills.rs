//! Wills: what a client has the server publish when its connection breaks, at once or after a delay.

use super::ids::ClientId;
use super::wire::Will;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Wills that wait for their time, by the clients that left them.
#[derive(Default)]
pub(super) struct Wills(Mutex<HashMap<ClientId, Waiting>>);

struct Waiting {
    /// In milliseconds.
    due: i64,
    will: Will,
}

impl Wills {
    /// A client has gone whose session lasts for so many seconds. Gives the will if it is due at once.
    pub(super) fn leave(&self, client: &ClientId, will: Will, session_expiry: i64, now: i64) -> Option<Will> {
        // MQTT 5 §3.1.3.2.2: when its delay is over or its session ends, whichever comes first.
        let delay = i64::from(will.delay).min(session_expiry);
        if delay <= 0 {
            return Some(will);
        }
        self.lock().insert(client.clone(), Waiting { due: now + delay * 1000, will });
        None
    }

    /// A client is back. Its will is not published if it goes on with its session; given is one that is.
    pub(super) fn take_back(&self, client: &str, goes_on: bool) -> Option<Will> {
        let taken = self.lock().remove(client)?;
        (!goes_on).then_some(taken.will)
    }

    /// Those whose time has come.
    pub(super) fn due(&self, now: i64) -> Vec<(ClientId, Will)> {
        let due = self.lock().extract_if(|_, waiting| waiting.due <= now).collect::<Vec<_>>();
        due.into_iter().map(|(client, waiting)| (client, waiting.will)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Waiting>> {
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
        let wills = Wills::default();
        let lamp: ClientId = "lamp".into();
        let will = |delay| Will { publish: example(1, "a").publish, delay };
        assert!(wills.leave(&lamp, will(0), 3600, 0).is_some());
        assert!(wills.leave(&lamp, will(10), 0, 0).is_some(), "its session has ended");
        assert!(wills.leave(&lamp, will(10), 3600, 0).is_none());
        assert!(wills.due(9_999).is_empty());
        assert!(wills.take_back("lamp", true).is_none() && wills.due(10_000).is_empty(), "it is back");
        assert!(wills.leave(&lamp, will(10), 3600, 0).is_none());
        assert!(wills.take_back("lamp", false).is_some(), "it is back and its session is not");
        assert!(wills.leave(&lamp, will(10), 5, 0).is_none());
        assert_eq!(wills.due(5_000).len(), 1, "its session ends first");
    }
}
