//! Counting up to all.

use anyhow::{Result, bail};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A step that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// So many of something, and who waits for all of them.
pub(crate) struct Count {
    what: &'static str,
    all: usize,
    so_far: AtomicUsize,
    reached: Notify,
}

impl Count {
    pub(crate) fn of(what: &'static str, all: usize) -> Self {
        Self { what, all, so_far: AtomicUsize::new(0), reached: Notify::new() }
    }

    /// One more.
    pub(crate) fn add(&self) {
        if self.so_far.fetch_add(1, Ordering::AcqRel) + 1 == self.all {
            self.reached.notify_one();
        }
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.so_far.load(Ordering::Acquire) >= self.all
    }

    /// Waits for the last one.
    pub(crate) async fn wait(&self) -> Result<()> {
        if !self.is_reached() && tokio::time::timeout(PATIENCE, self.reached.notified()).await.is_err() {
            let so_far = self.so_far.load(Ordering::Acquire);
            bail!("{}: {so_far} of {}, after {} s", self.what, self.all, PATIENCE.as_secs());
        }
        Ok(())
    }
}
