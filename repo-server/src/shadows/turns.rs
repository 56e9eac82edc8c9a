//! Whose turn it is to change a shadow. Within one process nobody loses a race, and nobody has to try again.

use fleet_protocol::shadow::ShadowId;
use std::hash::{BuildHasher, RandomState};
use tokio::sync::{Mutex, MutexGuard};

/// Changes that go on at the same time; two shadows may have to wait for each other.
const TURNS: usize = 64;

#[derive(Debug)]
pub(super) struct Turns {
    turns: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turns: (0..TURNS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the turn. None: there are no turns to wait for.
    pub(super) async fn take(&self, shadow: &ShadowId) -> Option<MutexGuard<'_, ()>> {
        let hash = usize::try_from(self.hasher.hash_one(shadow) % TURNS as u64).ok()?;
        Some(self.turns.get(hash)?.lock().await)
    }
}
