//! Notes of files that are on their way into the pool, or out of it.

use super::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

/// Whoever puts a file into the pool has its place for themselves for so long. Clocks of processes that share a database
/// may differ by less than that.
pub(in crate::repository) const POOL_WRITE_LEASE: SignedDuration = SignedDuration::from_mins(15);

/// A note that a file is being put into the pool. Its time tells one writer from the next, because a note is taken over
/// only with a later one; a publication whose note was taken over does not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repository) struct PoolWrite {
    pub(in crate::repository) filename: String,
    pub(super) begun_at: i64,
}

impl Store {
    /// Notes that files are about to be put into the pool: all are noted, or none is. A note whose lease has ended is
    /// taken over. [`StoreError::Busy`]: another upload of one of them is on its way, or has just put it there.
    pub(in crate::repository) async fn begin_pool_writes(
        &self,
        filenames: &[&str],
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<PoolWrite>, StoreError> {
        let (mut transaction, mut writes) = (self.database.begin().await?, Vec::with_capacity(filenames.len()));
        for filename in filenames {
            let write = begin_pool_write(&mut transaction, filename, owner, now).await?;
            // Only from here on can nobody else put it there.
            let there = sqlx::query("SELECT 1 FROM packages WHERE filename = $1")
                .bind(filename)
                .fetch_optional(&mut *transaction)
                .await?;
            match write {
                Some(write) if there.is_none() => writes.push(write),
                _ => {
                    transaction.rollback().await?;
                    return Err(StoreError::Busy((*filename).to_owned()));
                }
            }
        }
        transaction.commit().await?;
        Ok(writes)
    }

    /// Notes that were made before this time.
    pub(in crate::repository) async fn pool_writes_before(
        &self,
        time: Timestamp,
    ) -> Result<Vec<PoolWrite>, StoreError> {
        let rows = sqlx::query("SELECT filename, begun_at FROM pool_writes WHERE begun_at < $1")
            .bind(time.as_second())
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(pool_write_of_row).collect()
    }

    /// Notes that a process of this name made.
    pub(in crate::repository) async fn pool_writes_of(&self, owner: &str) -> Result<Vec<PoolWrite>, StoreError> {
        let rows = sqlx::query("SELECT filename, begun_at FROM pool_writes WHERE owner = $1")
            .bind(owner)
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(pool_write_of_row).collect()
    }

    /// Takes a note over, from a writer that is gone or whose publication failed. None if it is not there any more: its
    /// file was published, or somebody else has it.
    pub(in crate::repository) async fn take_over(
        &self,
        write: PoolWrite,
        now: Timestamp,
    ) -> Result<Option<PoolWrite>, StoreError> {
        let begun_at = now.as_second().max(write.begun_at + 1);
        let taken = sqlx::query("UPDATE pool_writes SET begun_at = $1 WHERE filename = $2 AND begun_at = $3")
            .bind(begun_at)
            .bind(&write.filename)
            .bind(write.begun_at)
            .execute(&self.database)
            .await?;
        Ok((taken.rows_affected() == 1).then_some(PoolWrite { begun_at, ..write }))
    }

    /// Lets others take a note over at once.
    pub(in crate::repository) async fn end_lease(&self, write: &PoolWrite) -> Result<(), StoreError> {
        sqlx::query("UPDATE pool_writes SET begun_at = 0 WHERE filename = $1 AND begun_at = $2")
            .bind(&write.filename)
            .bind(write.begun_at)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// Forgets a note, after its file was removed.
    pub(in crate::repository) async fn forget_pool_write(&self, write: &PoolWrite) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM pool_writes WHERE filename = $1 AND begun_at = $2")
            .bind(&write.filename)
            .bind(write.begun_at)
            .execute(&self.database)
            .await?;
        Ok(())
    }
}

fn pool_write_of_row(row: &AnyRow) -> Result<PoolWrite, StoreError> {
    Ok(PoolWrite { filename: row.try_get(0)?, begun_at: row.try_get(1)? })
}

pub(super) async fn begin_pool_write(
    connection: &mut AnyConnection,
    filename: &str,
    owner: &str,
    now: Timestamp,
) -> Result<Option<PoolWrite>, StoreError> {
    let noted = sqlx::query(
        "INSERT INTO pool_writes (filename, begun_at, owner) VALUES ($1, $2, $3) ON CONFLICT (filename) \
         DO UPDATE SET begun_at = excluded.begun_at, owner = excluded.owner WHERE pool_writes.begun_at < $4",
    )
    .bind(filename)
    .bind(now.as_second())
    .bind(owner)
    .bind((now - POOL_WRITE_LEASE).as_second())
    .execute(connection)
    .await?;
    let write = PoolWrite { filename: filename.to_owned(), begun_at: now.as_second() };
    Ok((noted.rows_affected() == 1).then_some(write))
}
