//! What the repository does by itself, as long as it runs.

use super::Repository;
use super::error::PublishError;
use super::store::POOL_WRITE_LEASE;
use crate::audit::Audit;
use std::sync::Arc;
use std::time::Duration;

/// How often releases are looked at for renewal, and unneeded index files are removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);
/// How soon readers see what another process published.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// While that cannot be asked.
const FOLLOW_PAUSE: Duration = Duration::from_secs(30);

impl Repository {
    /// Keeps every suite's Release valid and removes what is no longer needed, for ever.
    pub(crate) async fn maintain(self: &Arc<Self>, audit: &Audit) {
        let renewing = async {
            loop {
                let now = (self.clock)();
                self.renew_releases().await;
                self.sweep_blocks().await;
                self.clear_out(audit).await;
                self.upload_sets.forget_old(now);
                if let Err(error) = self.remove_abandoned_pool_files(now - POOL_WRITE_LEASE).await {
                    tracing::warn!(%error, "could not remove pool files that were not published");
                }
                tokio::time::sleep(MAINTENANCE_INTERVAL).await;
            }
        };
        tokio::join!(renewing, self.compact(), self.follow());
    }

    /// Shows what other processes publish, for ever.
    async fn follow(&self) {
        loop {
            tokio::time::sleep(FOLLOW_INTERVAL).await;
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "could not look for what other processes published; will try again");
                tokio::time::sleep(FOLLOW_PAUSE).await;
            }
        }
    }

    /// Shows what other processes published until now.
    pub(crate) async fn catch_up(&self) -> Result<(), PublishError> {
        if !self.is_shared {
            return Ok(());
        }
        for (suite, number) in self.store.newest_generations().await? {
            if self.shown_number(&suite) != Some(number) {
                // Whoever publishes here shows it, too, and not an older one after it.
                let queue = self.queues.of(&suite);
                let _turn = queue.turn.lock().await;
                self.refresh(&suite).await?;
            }
        }
        Ok(())
    }

    /// Removes index blocks that no kept generation names.
    pub(super) async fn sweep_blocks(&self) {
        let needed = match self.store.needed_blocks().await {
            Ok(needed) => needed,
            Err(error) => return tracing::warn!(%error, "could not look for unneeded index files"),
        };
        let (blocks, now) = (self.blocks.clone(), (self.clock)());
        match tokio::task::spawn_blocking(move || blocks.sweep(&needed, now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::debug!(removed, "removed unneeded index files"),
            Ok(Err(error)) => tracing::warn!(%error, "could not remove unneeded index files"),
            Err(error) => tracing::warn!(%error, "could not remove unneeded index files"),
        }
    }
}
