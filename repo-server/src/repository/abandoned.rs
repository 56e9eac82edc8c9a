//! Pool files whose publication did not come about.

use super::Repository;
use super::error::PublishError;
use super::store::PoolWrite;
use jiff::Timestamp;

impl Repository {
    /// Removes pool files whose publication was begun before this time and did not come about, and then their notes.
    pub(super) async fn remove_abandoned_pool_files(&self, before: Timestamp) -> Result<(), PublishError> {
        let abandoned = self.store.pool_writes_before(before).await?;
        self.remove_pool_files(abandoned).await
    }

    /// The same for those that this process had begun before it started again. Where nobody else uses the database, that
    /// is all of them.
    pub(super) async fn remove_cut_off_pool_files(&self) -> Result<(), PublishError> {
        let cut_off = if self.is_shared {
            self.store.pool_writes_of(&self.name).await?
        } else {
            self.store.pool_writes_before(Timestamp::MAX).await?
        };
        self.remove_pool_files(cut_off).await
    }

    async fn remove_pool_files(&self, writes: Vec<PoolWrite>) -> Result<(), PublishError> {
        for write in writes {
            self.remove_abandoned_pool_file(write).await?;
        }
        Ok(())
    }

    /// A publication that is being committed right now holds its note in the database, so taking the note over waits for
    /// it, and then finds none.
    pub(super) async fn remove_abandoned_pool_file(&self, write: PoolWrite) -> Result<(), PublishError> {
        let Some(write) = self.store.take_over(write, (self.clock)()).await? else { return Ok(()) };
        if self.store.pool_file(&write.filename).await?.is_none()
            && let Err(error) = self.storage.delete(&write.filename.parse()?).await
        {
            // The file may stay until somebody uploads it again, or until the next maintenance; nobody has to wait for it.
            self.store.end_lease(&write).await?;
            return Err(error.into());
        }
        Ok(self.store.forget_pool_write(&write).await?)
    }
}
