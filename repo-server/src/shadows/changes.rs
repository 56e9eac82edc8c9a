//! Which things' shadows changed, for whoever keeps something that rests on them.

use fleet_protocol::names::ThingName;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The things whose shadows changed and that nobody has looked at since. A thing stands in it once, however often its
/// shadows change meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    things: Mutex<BTreeSet<ThingName>>,
    more: Notify,
}

impl Changes {
    pub(super) fn add(&self, thing: &ThingName) {
        if self.things().insert(thing.clone()) {
            self.more.notify_one();
        }
    }

    #[allow(dead_code, reason = "for dynamic groups, which follow")]
    /// Takes the next thing, once there is one. For one caller at a time.
    pub(crate) async fn next(&self) -> ThingName {
        loop {
            let next = self.things().pop_first();
            match next {
                Some(thing) => return thing,
                None => self.more.notified().await,
            }
        }
    }

    fn things(&self) -> MutexGuard<'_, BTreeSet<ThingName>> {
        // A set is whole at any time.
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_changed_thing_comes_once_and_again_after_it_was_taken() {
        let changes = Changes::default();
        let (lamp, fan): (ThingName, ThingName) = ("lamp".parse().unwrap(), "fan".parse().unwrap());
        for thing in [&lamp, &fan, &lamp] {
            changes.add(thing);
        }
        assert_eq!([changes.next().await, changes.next().await], [fan.clone(), lamp]);
        let (next, ()) = tokio::join!(changes.next(), async { changes.add(&fan) });
        assert_eq!(next, fan);
    }
}
