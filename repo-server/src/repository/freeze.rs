//! Snapshots: a suite as it is now, frozen as a suite of its own, which shares its blocks and packages. So it costs
//! nothing to make one, devices can subscribe to it, and to return to it is one publication.

use super::Repository;
use super::error::PublishError;
use super::generation::Generation;
use super::store::Step;
use debian_formats::names::SuiteName;
use jiff::SignedDuration;
use std::sync::Arc;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Repository {
    /// Freezes a suite as it is now; gives the snapshot's name, which is the suite's with the time.
    pub(crate) async fn freeze(self: &Arc<Self>, suite: &SuiteName) -> Result<SuiteName, PublishError> {
        let (repository, suite) = (self.clone(), suite.clone());
        tokio::spawn(async move {
            let queue = repository.queues.of(&suite);
            let _turn = queue.turn.lock().await;
            let name = repository.free_snapshot_name(&suite)?;
            let parts = repository.parts_of(&suite).await?;
            let number = repository.number_of(&suite)?;
            repository.publish_parts(&name, parts, Step::Snapshot { of: &suite, number }).await?;
            tracing::info!(%suite, snapshot = %name, "froze a suite");
            Ok(name)
        })
        .await?
    }

    /// The suite's name with the time, or with the next second that no snapshot of it has.
    fn free_snapshot_name(&self, suite: &SuiteName) -> Result<SuiteName, PublishError> {
        let mut at = (self.clock)();
        loop {
            let name: SuiteName =
                format!("{suite}-{}", at.strftime("%Y%m%dt%H%M%Sz")).parse().map_err(PublishError::SnapshotName)?;
            if self.suite(&name).is_none() {
                return Ok(name);
            }
            at = at.saturating_add(SECOND).unwrap_or(at);
        }
    }

    /// Has a suite hold exactly what a snapshot holds.
    pub(crate) async fn return_to(
        self: &Arc<Self>,
        suite: &SuiteName,
        snapshot: &SuiteName,
    ) -> Result<(), PublishError> {
        if !self.store.is_frozen(snapshot).await? {
            return Err(PublishError::NoSnapshot(snapshot.clone()));
        }
        if self.store.is_frozen(suite).await? {
            return Err(PublishError::Frozen(suite.clone()));
        }
        let (repository, suite, snapshot) = (self.clone(), suite.clone(), snapshot.clone());
        tokio::spawn(async move {
            let queue = repository.queues.of(&suite);
            let _turn = queue.turn.lock().await;
            repository.wait_for_date(&suite).await;
            repository.refresh(&suite).await?;
            // Nobody else shows another state of the snapshot meanwhile. Nobody who has a snapshot's turn waits for another.
            let frozen = repository.queues.of(&snapshot);
            let _frozen_turn = frozen.turn.lock().await;
            let parts = repository.parts_of(&snapshot).await?;
            let number = repository.number_of(&snapshot)?;
            repository.publish_parts(&suite, parts, Step::ReturnTo { snapshot: &snapshot, number }).await?;
            tracing::info!(%suite, %snapshot, "returned to a snapshot");
            Ok(())
        })
        .await?
    }

    fn number_of(&self, suite: &SuiteName) -> Result<i64, PublishError> {
        let shown = self.suite(suite).ok_or_else(|| PublishError::UnknownSuite(suite.clone()))?;
        Ok(shown.newest().map_or(0, Generation::number))
    }
}
