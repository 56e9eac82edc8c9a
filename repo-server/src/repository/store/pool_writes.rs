//! Notes of files that are on their way into the pool, or out of it.

use super::{Store, StoreError};
use crate::sql::{AT_ONCE, Sql, Value};
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
        let mut transaction = self.database.begin().await?;
        for some in filenames.chunks(AT_ONCE) {
            let noted = note(&mut transaction, some, owner, now).await?;
            // Only from here on can nobody else put it there.
            let mut there = Sql::new("SELECT filename FROM packages WHERE filename IN ");
            let there = there.list(some.iter().copied()).query().fetch_optional(&mut *transaction).await?;
            let busy = match there {
                Some(row) => Some(row.try_get(0)?),
                None if noted != some.len() as u64 => Some(one_of(some)),
                None => None,
            };
            if let Some(busy) = busy {
                transaction.rollback().await?;
                return Err(StoreError::Busy(busy));
            }
        }
        transaction.commit().await?;
        let begun_at = now.as_second();
        Ok(filenames.iter().map(|filename| PoolWrite { filename: (*filename).to_owned(), begun_at }).collect())
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
    let noted = note(connection, &[filename], owner, now).await?;
    let write = PoolWrite { filename: filename.to_owned(), begun_at: now.as_second() };
    Ok((noted == 1).then_some(write))
}

/// Notes files, but those that somebody else has noted within the lease; gives how many it noted.
async fn note(
    connection: &mut AnyConnection,
    filenames: &[&str],
    owner: &str,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut sql = Sql::new("INSERT INTO pool_writes (filename, begun_at, owner) VALUES ");
    for (position, filename) in filenames.iter().enumerate() {
        let row: [Value; 3] = [(*filename).into(), now.as_second().into(), owner.into()];
        sql.push(if position == 0 { "" } else { ", " }).list(row);
    }
    sql.push(
        " ON CONFLICT (filename) DO UPDATE SET begun_at = excluded.begun_at, owner = excluded.owner \
         WHERE pool_writes.begun_at < ",
    );
    sql.bind((now - POOL_WRITE_LEASE).as_second());
    Ok(sql.query().execute(connection).await?.rows_affected())
}

/// One of some files for all of them, where it is not known which it is.
pub(super) fn one_of(filenames: &[&str]) -> String {
    match filenames {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, others @ ..] => format!("{first}, or one of {} files that came with it,", others.len()),
    }
}
