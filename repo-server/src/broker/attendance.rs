//! Who is connected, for the registry: things are searched and grouped by it. Whoever comes and goes meanwhile is noted in
//! one transaction.

use crate::things::{Presence, Registry};
use fleet_protocol::names::ThingName;
use fleet_protocol::presence::DisconnectReason;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Changes that wait, and that go into one transaction.
const MOST_WAITING: usize = 4096;
const MOST_AT_ONCE: usize = 500;

/// A thing came or went.
pub(super) struct Change {
    pub(super) thing: ThingName,
    /// Of the connection; a later one has a higher number.
    pub(super) number: i64,
    pub(super) at: Timestamp,
    /// Why it went; none: it came.
    pub(super) gone: Option<DisconnectReason>,
}

/// The way to whoever notes it.
#[derive(Clone)]
pub(super) struct Attendance(mpsc::Sender<Change>);

impl Attendance {
    /// Nothing is noted before what is returned too is handed to [`note_all`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Change>) {
        let (sender, waiting) = mpsc::channel(MOST_WAITING);
        (Self(sender), waiting)
    }

    pub(super) async fn note(&self, change: Change) {
        // It fails only when the server ends, and the next start forgets who was connected.
        let _ = self.0.send(change).await;
    }
}

/// Notes what comes. `is_alone`: no other server process has clients, so that nobody is connected when this one starts.
pub(super) async fn note_all(registry: Arc<Registry>, mut waiting: mpsc::Receiver<Change>, is_alone: bool) {
    if is_alone && let Err(error) = registry.forget_connections(Timestamp::now()).await {
        tracing::error!(%error, "who was connected before the server ended could not be forgotten");
    }
    let (mut connected, mut changes) = (HashMap::new(), Vec::new());
    while waiting.recv_many(&mut changes, MOST_AT_ONCE).await > 0 {
        let notable: Vec<_> = changes.drain(..).filter_map(|change| notable(&mut connected, change)).collect();
        if let Err(error) = registry.note_presence(&notable).await {
            tracing::error!(%error, "who came and went could not be noted");
        }
    }
}

/// A thing that connects anew is told to have come before the connection that it replaces is told to have gone.
fn notable(connected: &mut HashMap<ThingName, i64>, change: Change) -> Option<Presence> {
    let Change { thing, number, at, gone } = change;
    let current = connected.get(&thing).copied();
    if current.is_some_and(|current| current > number) {
        return None;
    }
    match gone {
        None => drop(connected.insert(thing.clone(), number)),
        Some(_) => drop(connected.remove(&thing)),
    }
    Some(Presence { thing, connected: gone.is_none(), at, disconnect_reason: gone.map(|reason| reason.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_was_replaced_takes_nobody_along() {
        let change = |number, gone| Change { thing: "lamp".parse().unwrap(), number, at: Timestamp::now(), gone };
        let lost = || Some(DisconnectReason::DuplicateClientid);
        let mut connected = HashMap::new();
        let mut tell = |change| notable(&mut connected, change).map(|presence| presence.connected);
        assert_eq!(tell(change(1, None)), Some(true));
        assert_eq!(tell(change(2, None)), Some(true));
        assert_eq!(tell(change(1, lost())), None, "it was replaced");
        assert_eq!(tell(change(2, lost())), Some(false));
    }
}
