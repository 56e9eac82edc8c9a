//! How many connections each remote party holds.

use crate::access::Origin;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the open connections of each remote party. There are never more entries than connections.
#[derive(Debug)]
pub(super) struct PerParty {
    most: usize,
    open: Mutex<HashMap<Origin, usize>>,
}

impl PerParty {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for one more connection, held until it is dropped; none if the party has all of its own.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let origin = Origin::of(address);
        let mut open = self.open();
        let count = open.entry(origin).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { counted: self.clone(), origin })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Origin, usize>> {
        // The numbers are right at any time.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place among those of its party.
#[derive(Debug)]
pub(super) struct Place {
    counted: Arc<PerParty>,
    origin: Origin,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.counted.open().entry(self.origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_party_has_its_own_places_and_gets_them_back() {
        let (counted, near, far) = (PerParty::new(2), IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        let first = counted.take(near).unwrap();
        let _second = counted.take(near).unwrap();
        assert!(counted.take(near).is_none());
        let other = counted.take(far).unwrap();
        drop(first);
        assert!(counted.take(near).is_some());
        drop(other);
        assert_eq!(counted.open().len(), 1, "who has none is not remembered");
    }
}
