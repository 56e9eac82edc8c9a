//! Compressing for good what was compressed quickly, in the background. What comes of it goes out with the next
//! publication: every new Release has the whole fleet fetch its indexes again. Only where much would be saved is the
//! suite published for that alone.

use super::Repository;
use super::error::PublishError;
use super::index::{Block, Compacted, Kind, PartKey, Parts};
use debian_formats::names::SuiteName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Compacted blocks that wait for a publication.
#[derive(Debug, Default)]
pub(super) struct Compactions(Mutex<BTreeMap<(SuiteName, PartKey), Compacted>>);

impl Compactions {
    /// The parts with what waits for them.
    pub(super) fn fold_in(&self, suite: &SuiteName, mut parts: Parts) -> Parts {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, part) in &mut parts {
            if let Some(better) = waiting.remove(&(suite.clone(), key.clone())).and_then(|it| part.with(&it)) {
                *part = better;
            }
        }
        parts
    }

    fn add(&self, suite: SuiteName, key: PartKey, compacted: Compacted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((suite, key), compacted);
    }
}

impl Repository {
    /// Compacts whenever something was published, for ever.
    pub(super) async fn compact(self: &Arc<Self>) {
        loop {
            // Suites share blocks with their snapshots.
            let mut done = Vec::new();
            for (suite, snapshot) in self.suites() {
                let parts = snapshot.newest().map(|newest| newest.parts().clone()).unwrap_or_default();
                if let Err(error) = self.compact_suite(&suite, &parts, &mut done).await {
                    tracing::warn!(%suite, %error, "could not compact the suite's indexes; they work as they are");
                }
            }
            drop(done);
            self.published.notified().await;
        }
    }

    async fn compact_suite(
        self: &Arc<Self>,
        suite: &SuiteName,
        parts: &Parts,
        done: &mut Vec<Compacted>,
    ) -> Result<(), PublishError> {
        for (key, part) in parts {
            let Some(from) = part.compaction() else { continue };
            let compacted = match done.iter().find(|done| done.is_of(from)) {
                Some(compacted) => compacted.clone(),
                None => {
                    let compacted = self.compact_blocks(key.kind, from.to_vec()).await?;
                    done.push(compacted.clone());
                    compacted
                }
            };
            self.compactions.add(suite.clone(), key.clone(), compacted);
        }
        if parts.values().any(super::index::Part::is_loose) {
            self.submit(suite, vec![]).await?;
        }
        Ok(())
    }

    async fn compact_blocks(&self, kind: Kind, from: Vec<Arc<Block>>) -> Result<Compacted, PublishError> {
        let blocks = self.blocks.clone();
        let compacting = tokio::task::spawn_blocking(move || {
            let compacted = Compacted::of(kind, &from).map_err(PublishError::Indexes)?;
            compacted.to.iter().try_for_each(|block| blocks.write(block))?;
            Ok(compacted)
        });
        compacting.await?
    }
}
