//! The published states of suites.

use super::super::generation::GenerationRow;
use super::super::index::PartKey;
use super::{Store, StoreError, parsed, time, unsigned};
use debian_formats::names::SuiteName;
use debian_formats::release::IndexFile;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, BTreeSet};

/// A generation as the tables have it.
pub(in crate::repository) struct StoredGeneration {
    pub(in crate::repository) row: GenerationRow,
    pub(in crate::repository) listed: Vec<IndexFile>,
    /// The names of each part's blocks, in their order.
    pub(in crate::repository) blocks: BTreeMap<PartKey, Vec<String>>,
}

impl Store {
    /// The number of a suite's newest generation; none for a suite that is not there or was never published.
    pub(in crate::repository) async fn newest_generation(&self, suite: &SuiteName) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT MAX(number) FROM generations WHERE suite = $1")
            .bind(suite.as_str())
            .fetch_one(&self.database)
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The numbers of all suites' newest generations.
    pub(in crate::repository) async fn newest_generations(&self) -> Result<Vec<(SuiteName, i64)>, StoreError> {
        let rows =
            sqlx::query("SELECT name, generation FROM suites WHERE generation > 0").fetch_all(&self.database).await?;
        rows.iter().map(|row| Ok((parsed(row, 0, "suite")?, row.try_get(1)?))).collect()
    }

    /// The kept generations of a suite, newest first.
    pub(in crate::repository) async fn generations(
        &self,
        suite: &SuiteName,
    ) -> Result<Vec<StoredGeneration>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, date, valid_until, release, inrelease, release_gpg FROM generations \
             WHERE suite = $1 ORDER BY number DESC",
        )
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        let mut generations = Vec::new();
        for row in &rows {
            let row = GenerationRow {
                number: row.try_get(0)?,
                date: time(row, 1)?,
                valid_until: time(row, 2)?,
                release: row.try_get(3)?,
                inrelease: row.try_get(4)?,
                release_gpg: row.try_get(5)?,
            };
            let listed = self.generation_files(suite, row.number).await?;
            let blocks = self.generation_blocks(suite, row.number).await?;
            generations.push(StoredGeneration { row, listed, blocks });
        }
        Ok(generations)
    }

    async fn generation_files(&self, suite: &SuiteName, number: i64) -> Result<Vec<IndexFile>, StoreError> {
        let rows = sqlx::query(
            "SELECT path, size, sha256 FROM generation_files WHERE suite = $1 AND number = $2 ORDER BY path",
        )
        .bind(suite.as_str())
        .bind(number)
        .fetch_all(&self.database)
        .await?;
        let file = |row: &AnyRow| {
            Ok(IndexFile { path: row.try_get(0)?, size: unsigned(row.try_get(1)?, "size")?, sha256: row.try_get(2)? })
        };
        rows.iter().map(file).collect()
    }

    async fn generation_blocks(
        &self,
        suite: &SuiteName,
        number: i64,
    ) -> Result<BTreeMap<PartKey, Vec<String>>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, component, architecture, block FROM generation_blocks \
             WHERE suite = $1 AND number = $2 ORDER BY kind, component, architecture, position",
        )
        .bind(suite.as_str())
        .bind(number)
        .fetch_all(&self.database)
        .await?;
        let mut blocks: BTreeMap<PartKey, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let (kind, component) = (parsed(row, 0, "kind of index")?, parsed(row, 1, "component")?);
            let key = PartKey { kind, component, architecture: parsed(row, 2, "architecture")? };
            blocks.entry(key).or_default().push(row.try_get(3)?);
        }
        Ok(blocks)
    }

    /// The names of all blocks that a kept generation is made of.
    pub(in crate::repository) async fn needed_blocks(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT block FROM generation_blocks").fetch_all(&self.database).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }
}
