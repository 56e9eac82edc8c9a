//! The repository's tables.

use super::change::{Change, Placed};
use super::generation::{Generation, GenerationRow};
use super::index::PartKey;
use super::retention::Held;
use crate::database;
use debian_formats::names::SuiteName;
use debian_formats::release::IndexFile;
use debian_formats::{PackageName, Version};
use fleet_protocol::suites::Retention;
use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Connection as _, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A read or write of the tables that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("repository database: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that this program cannot have written.
    #[error("repository database: {what} {value:?} cannot be read")]
    Row {
        /// Which column.
        what: &'static str,
        /// What stands in it.
        value: String,
    },
    /// What a change is about is not in the suite.
    #[error("the suite does not hold the package with SHA-256 {0} (any more)")]
    NotHeld(String),
    /// Somebody else published to the suite in the meantime.
    #[error("suite {0} was published by another process at the same time")]
    Raced(SuiteName),
    /// Somebody took the place of a file in the pool for abandoned.
    #[error("putting {0} into the pool took so long that its place was cleared")]
    NoteLost(String),
}

/// Whoever puts a file into the pool has its place for themselves for so long. Clocks of processes that share a database
/// may differ by less than that.
pub(super) const POOL_WRITE_LEASE: SignedDuration = SignedDuration::from_mins(15);

impl StoreError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Database(error) if database::is_full(error))
    }
}

/// A package in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) sha256: String,
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) architecture: String,
    pub(crate) filename: String,
    pub(crate) size: u64,
    pub(crate) stanza: String,
    pub(crate) signed_by: String,
    /// Of the files and links it installs, one on each line.
    pub(super) paths: String,
}

impl Package {
    /// What names it in an index block.
    pub(super) fn id(&self) -> Arc<str> {
        self.sha256.as_str().into()
    }
}

/// A note that a file is being put into the pool. Its time tells one writer from the next, because a note is taken over
/// only with a later one; a publication whose note was taken over does not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolWrite {
    pub(super) filename: String,
    begun_at: i64,
}

/// A package that no suite holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnlistedPackage {
    pub(super) sha256: String,
    pub(super) filename: String,
}

/// A file of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolFile {
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

/// What a publication does to what the tables say a suite holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// Changes it.
    Changes(&'a [Change]),
    /// Makes the suite, frozen, as another one is in its generation of this number.
    Snapshot { of: &'a SuiteName, number: i64 },
    /// Has it hold what a snapshot does in its generation of this number.
    ReturnTo { snapshot: &'a SuiteName, number: i64 },
}

/// What the pool holds, by what may stand in a package's way.
#[derive(Debug, Default)]
pub(super) struct PoolNames {
    by_name: BTreeMap<(String, String), Vec<(Version, String)>>,
    by_filename: BTreeMap<String, String>,
}

impl PoolNames {
    pub(super) fn add(
        &mut self,
        name: String,
        architecture: String,
        version: Version,
        sha256: String,
        filename: String,
    ) {
        self.by_name.entry((name, architecture)).or_default().push((version, sha256.clone()));
        self.by_filename.insert(filename, sha256);
    }

    /// The SHA-256 of the package that has its name, architecture and version, as dpkg compares them, or its file name.
    pub(super) fn rival(&self, package: &Package) -> Option<&String> {
        let named = self.by_name.get(&(package.name.clone(), package.architecture.clone()));
        let equal = named.into_iter().flatten().find(|(version, _)| *version == package.version);
        equal.map(|(_, sha256)| sha256).or_else(|| self.by_filename.get(&package.filename))
    }
}

/// A generation as the tables have it.
pub(super) struct StoredGeneration {
    pub(super) row: GenerationRow,
    pub(super) listed: Vec<IndexFile>,
    /// The names of each part's blocks, in their order.
    pub(super) blocks: BTreeMap<PartKey, Vec<String>>,
}

#[derive(Debug, Clone)]
pub(super) struct Store {
    database: AnyPool,
}

impl Store {
    pub(super) fn new(database: AnyPool) -> Self {
        Self { database }
    }

    /// False if there is one of this name.
    pub(super) async fn create_suite(&self, suite: &SuiteName, now: Timestamp) -> Result<bool, StoreError> {
        let created = sqlx::query(
            "INSERT INTO suites (name, generation, created_at) VALUES ($1, 0, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(suite.as_str())
        .bind(now.as_second())
        .execute(&self.database)
        .await?;
        Ok(created.rows_affected() == 1)
    }

    pub(super) async fn suites(&self) -> Result<Vec<SuiteName>, StoreError> {
        let rows = sqlx::query("SELECT name FROM suites ORDER BY name").fetch_all(&self.database).await?;
        rows.iter().map(|row| parsed(row, 0, "suite")).collect()
    }

    /// The pool's package of the same name and architecture whose version is equal as dpkg compares (`1.0` and
    /// `1.00` are), or whose file has the same name.
    pub(super) async fn rival(&self, wanted: &Package) -> Result<Option<Package>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             COALESCE(c.paths, '') FROM packages p LEFT JOIN package_contents c ON c.sha256 = p.sha256 \
             WHERE (p.name = $1 AND p.architecture = $2) OR p.filename = $3",
        )
        .bind(&wanted.name)
        .bind(&wanted.architecture)
        .bind(&wanted.filename)
        .fetch_all(&self.database)
        .await?;
        let packages = rows.iter().map(package_of_row).collect::<Result<Vec<_>, _>>()?;
        Ok(packages.into_iter().find(|p| p.version == wanted.version || p.filename == wanted.filename))
    }

    /// What the pool holds, by name and architecture.
    pub(super) async fn pool_names(&self) -> Result<PoolNames, StoreError> {
        let rows = sqlx::query("SELECT name, architecture, version, sha256, filename FROM packages")
            .fetch_all(&self.database)
            .await?;
        let mut names = PoolNames::default();
        for row in &rows {
            let (name, architecture) = (row.try_get(0)?, row.try_get(1)?);
            names.add(name, architecture, parsed(row, 2, "version")?, row.try_get(3)?, row.try_get(4)?);
        }
        Ok(names)
    }

    /// The packages of these SHA-256.
    pub(super) async fn packages(&self, wanted: &BTreeSet<String>) -> Result<Vec<Package>, StoreError> {
        let mut packages = Vec::new();
        for sha256 in wanted {
            let row = sqlx::query(
                "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
                 COALESCE(c.paths, '') FROM packages p LEFT JOIN package_contents c ON c.sha256 = p.sha256 \
                 WHERE p.sha256 = $1",
            )
            .bind(sha256)
            .fetch_one(&self.database)
            .await?;
            packages.push(package_of_row(&row)?);
        }
        Ok(packages)
    }

    /// The SHA-256 of all that a suite holds.
    pub(super) async fn suite_hashes(&self, suite: &SuiteName) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT sha256 FROM suite_packages WHERE suite = $1")
            .bind(suite.as_str())
            .fetch_all(&self.database)
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    pub(super) async fn suite_holds(&self, suite: &SuiteName, sha256: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM suite_packages WHERE suite = $1 AND sha256 = $2")
            .bind(suite.as_str())
            .bind(sha256)
            .fetch_optional(&self.database)
            .await?;
        Ok(row.is_some())
    }

    /// Everything in a suite.
    pub(super) async fn suite_packages(&self, suite: &SuiteName) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             COALESCE(c.paths, ''), s.component, s.phased FROM suite_packages s \
             JOIN packages p ON p.sha256 = s.sha256 LEFT JOIN package_contents c ON c.sha256 = s.sha256 \
             WHERE s.suite = $1 ORDER BY p.name, p.sha256",
        )
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(placed_of_row).collect()
    }

    /// What a suite holds under a name.
    pub(super) async fn suite_packages_named(
        &self,
        suite: &SuiteName,
        name: &PackageName,
    ) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             COALESCE(c.paths, ''), s.component, s.phased FROM packages p \
             JOIN suite_packages s ON s.sha256 = p.sha256 LEFT JOIN package_contents c ON c.sha256 = p.sha256 \
             WHERE p.name = $1 AND s.suite = $2 ORDER BY p.version, p.sha256",
        )
        .bind(name.as_str())
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(placed_of_row).collect()
    }

    /// See [`super::Repository::page`].
    pub(super) async fn suite_page(
        &self,
        suite: &SuiteName,
        after: &str,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             '' AS paths, s.component, s.phased FROM suite_packages s JOIN packages p ON p.sha256 = s.sha256 \
             WHERE s.suite = $1 AND p.filename > $2 ORDER BY p.filename LIMIT $3",
        )
        .bind(suite.as_str())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(placed_of_row).collect()
    }

    /// What a suite keeps; none if it is not there.
    pub(super) async fn retention(&self, suite: &SuiteName) -> Result<Option<Retention>, StoreError> {
        let row = sqlx::query("SELECT keep_versions, keep_days FROM suites WHERE name = $1")
            .bind(suite.as_str())
            .fetch_optional(&self.database)
            .await?;
        let number = |row: &AnyRow, column| {
            let value: i64 = row.try_get(column)?;
            u32::try_from(value).map_err(|_| StoreError::Row { what: "retention", value: value.to_string() })
        };
        row.map(|row| Ok(Retention { versions: number(&row, 0)?, days: number(&row, 1)? })).transpose()
    }

    pub(super) async fn set_retention(&self, suite: &SuiteName, retention: Retention) -> Result<(), StoreError> {
        sqlx::query("UPDATE suites SET keep_versions = $1, keep_days = $2 WHERE name = $3")
            .bind(i64::from(retention.versions))
            .bind(i64::from(retention.days))
            .bind(suite.as_str())
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// What a suite holds, as far as retention goes.
    pub(super) async fn held(&self, suite: &SuiteName) -> Result<Vec<Held>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.architecture, p.version, s.added_at FROM suite_packages s \
             JOIN packages p ON p.sha256 = s.sha256 WHERE s.suite = $1",
        )
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        let held = |row: &AnyRow| {
            let sha256: String = row.try_get(0)?;
            Ok(Held {
                sha256: sha256.into(),
                name: row.try_get(1)?,
                architecture: row.try_get(2)?,
                version: parsed(row, 3, "version")?,
                added_at: time(row, 4)?,
            })
        };
        rows.iter().map(held).collect()
    }

    /// Notes of every package whether a suite holds it.
    pub(super) async fn note_unlisted(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE packages SET unlisted_at = 0 WHERE unlisted_at > 0 \
             AND EXISTS (SELECT 1 FROM suite_packages s WHERE s.sha256 = packages.sha256)",
        )
        .execute(&self.database)
        .await?;
        sqlx::query(
            "UPDATE packages SET unlisted_at = $1 WHERE unlisted_at = 0 \
             AND NOT EXISTS (SELECT 1 FROM suite_packages s WHERE s.sha256 = packages.sha256)",
        )
        .bind(now.as_second())
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Packages that were unlisted before this time.
    pub(super) async fn unlisted_before(&self, time: Timestamp) -> Result<Vec<UnlistedPackage>, StoreError> {
        let rows = sqlx::query("SELECT sha256, filename FROM packages WHERE unlisted_at > 0 AND unlisted_at < $1")
            .bind(time.as_second())
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(|row| Ok(UnlistedPackage { sha256: row.try_get(0)?, filename: row.try_get(1)? })).collect()
    }

    /// Forgets a package that no suite holds; gives the note that its file is to be removed. None if a suite holds it
    /// again, or somebody else removes it.
    pub(super) async fn forget_package(
        &self,
        package: &UnlistedPackage,
        owner: &str,
        now: Timestamp,
    ) -> Result<Option<PoolWrite>, StoreError> {
        let mut transaction = self.database.begin().await?;
        // From here on nobody uploads that file.
        let Some(write) = begin_pool_write(&mut transaction, &package.filename, owner, now).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        sqlx::query("DELETE FROM package_contents WHERE sha256 = $1")
            .bind(&package.sha256)
            .execute(&mut *transaction)
            .await?;
        let forgotten = sqlx::query(
            "DELETE FROM packages WHERE sha256 = $1 \
             AND NOT EXISTS (SELECT 1 FROM suite_packages s WHERE s.sha256 = packages.sha256)",
        )
        .bind(&package.sha256)
        .execute(&mut *transaction)
        .await?;
        if forgotten.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(write))
    }

    /// Whether a suite is a snapshot.
    pub(super) async fn is_frozen(&self, suite: &SuiteName) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM suites WHERE name = $1 AND frozen_at > 0")
            .bind(suite.as_str())
            .fetch_optional(&self.database)
            .await?;
        Ok(row.is_some())
    }

    /// The number of a suite's newest generation; none for a suite that is not there or was never published.
    pub(super) async fn newest_generation(&self, suite: &SuiteName) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT MAX(number) FROM generations WHERE suite = $1")
            .bind(suite.as_str())
            .fetch_one(&self.database)
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The numbers of all suites' newest generations.
    pub(super) async fn newest_generations(&self) -> Result<Vec<(SuiteName, i64)>, StoreError> {
        let rows =
            sqlx::query("SELECT name, generation FROM suites WHERE generation > 0").fetch_all(&self.database).await?;
        rows.iter().map(|row| Ok((parsed(row, 0, "suite")?, row.try_get(1)?))).collect()
    }

    /// A file of the pool, if it has it.
    pub(super) async fn pool_file(&self, filename: &str) -> Result<Option<PoolFile>, StoreError> {
        let row = sqlx::query("SELECT sha256, size FROM packages WHERE filename = $1")
            .bind(filename)
            .fetch_optional(&self.database)
            .await?;
        row.map(|row| Ok(PoolFile { sha256: row.try_get(0)?, size: unsigned(row.try_get(1)?, "size")? })).transpose()
    }

    /// Notes that a file is about to be put into the pool; none if another upload of it is on its way. A note whose
    /// lease has ended is taken over.
    pub(super) async fn begin_pool_write(
        &self,
        filename: &str,
        owner: &str,
        now: Timestamp,
    ) -> Result<Option<PoolWrite>, StoreError> {
        let mut connection = self.database.acquire().await?;
        begin_pool_write(&mut connection, filename, owner, now).await
    }

    /// The same for many files at once: all are noted, or none is.
    pub(super) async fn begin_pool_writes(
        &self,
        filenames: &[&str],
        owner: &str,
        now: Timestamp,
    ) -> Result<Option<Vec<PoolWrite>>, StoreError> {
        let (mut transaction, mut writes) = (self.database.begin().await?, Vec::with_capacity(filenames.len()));
        for filename in filenames {
            match begin_pool_write(&mut transaction, filename, owner, now).await? {
                Some(write) => writes.push(write),
                None => {
                    transaction.rollback().await?;
                    return Ok(None);
                }
            }
        }
        transaction.commit().await?;
        Ok(Some(writes))
    }

    /// Notes that were made before this time.
    pub(super) async fn pool_writes_before(&self, time: Timestamp) -> Result<Vec<PoolWrite>, StoreError> {
        let rows = sqlx::query("SELECT filename, begun_at FROM pool_writes WHERE begun_at < $1")
            .bind(time.as_second())
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(pool_write_of_row).collect()
    }

    /// Notes that a process of this name made.
    pub(super) async fn pool_writes_of(&self, owner: &str) -> Result<Vec<PoolWrite>, StoreError> {
        let rows = sqlx::query("SELECT filename, begun_at FROM pool_writes WHERE owner = $1")
            .bind(owner)
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(pool_write_of_row).collect()
    }

    /// Takes a note over, from a writer that is gone or whose publication failed. None if it is not there any more: its
    /// file was published, or somebody else has it.
    pub(super) async fn take_over(&self, write: PoolWrite, now: Timestamp) -> Result<Option<PoolWrite>, StoreError> {
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
    pub(super) async fn end_lease(&self, write: &PoolWrite) -> Result<(), StoreError> {
        sqlx::query("UPDATE pool_writes SET begun_at = 0 WHERE filename = $1 AND begun_at = $2")
            .bind(&write.filename)
            .bind(write.begun_at)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// Forgets a note, after its file was removed.
    pub(super) async fn forget_pool_write(&self, write: &PoolWrite) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM pool_writes WHERE filename = $1 AND begun_at = $2")
            .bind(&write.filename)
            .bind(write.begun_at)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// The kept generations of a suite, newest first.
    pub(super) async fn generations(&self, suite: &SuiteName) -> Result<Vec<StoredGeneration>, StoreError> {
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
    pub(super) async fn needed_blocks(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT block FROM generation_blocks").fetch_all(&self.database).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Publishes: the generation and what it adds become visible together, or not at all. Whoever finds the suite at
    /// another generation than the one before has lost a race, and nothing is changed. Generations before `keep_from`
    /// are forgotten.
    pub(super) async fn publish(
        &self,
        suite: &SuiteName,
        generation: &Generation,
        keep_from: i64,
        step: Step<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.acquire().await?;
        let outcome = publish_in_transaction(&mut connection, suite, generation, keep_from, step, now).await;
        if outcome.is_err() {
            // On a full disk SQLite may end a transaction by itself, and the pool would not know: such a connection
            // is not used again. Closing it is all that is wanted, so how it closes does not matter.
            let _ = connection.close().await;
        }
        match outcome {
            // Another process put the same package in meanwhile, or removed it from the pool.
            Err(StoreError::Database(sqlx::Error::Database(error)))
                if error.is_unique_violation() || error.is_foreign_key_violation() =>
            {
                Err(StoreError::Raced(suite.clone()))
            }
            outcome => outcome,
        }
    }
}

async fn publish_in_transaction(
    connection: &mut AnyConnection,
    suite: &SuiteName,
    generation: &Generation,
    keep_from: i64,
    step: Step<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    let (name, number) = (suite.as_str(), generation.number());
    if let Step::Snapshot { of, .. } = step {
        // Who may read the one may read the other.
        sqlx::query(
            "INSERT INTO suites (name, generation, created_at, frozen_at, access) \
             SELECT $1, 0, $2, $3, access FROM suites WHERE name = $4",
        )
        .bind(name)
        .bind(now.as_second())
        .bind(now.as_second())
        .bind(of.as_str())
        .execute(&mut *transaction)
        .await?;
    }
    let raised = sqlx::query("UPDATE suites SET generation = $1 WHERE name = $2 AND generation = $3")
        .bind(number)
        .bind(name)
        .bind(number - 1)
        .execute(&mut *transaction)
        .await?;
    if raised.rows_affected() != 1 {
        return Err(StoreError::Raced(suite.clone()));
    }
    match step {
        Step::Changes(changes) => {
            for change in changes {
                change_in_transaction(&mut transaction, name, change, now).await?;
            }
        }
        Step::Snapshot { of, number } | Step::ReturnTo { snapshot: of, number } => {
            copy_in_transaction(&mut transaction, name, of, number).await?;
        }
    }
    let [(_, release), (_, inrelease), (_, release_gpg)] = generation.signed_files();
    sqlx::query(
        "INSERT INTO generations (suite, number, date, valid_until, release, inrelease, release_gpg) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(name)
    .bind(number)
    .bind(generation.date().as_second())
    .bind(generation.valid_until().as_second())
    .bind(release)
    .bind(inrelease)
    .bind(release_gpg)
    .execute(&mut *transaction)
    .await?;
    for file in &generation.files().listed {
        sqlx::query("INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ($1, $2, $3, $4, $5)")
            .bind(name)
            .bind(number)
            .bind(&file.path)
            .bind(&file.sha256)
            .bind(signed(file.size))
            .execute(&mut *transaction)
            .await?;
    }
    for (key, part) in generation.parts() {
        for (position, block) in (0i64..).zip(&part.blocks) {
            sqlx::query(
                "INSERT INTO generation_blocks (suite, number, kind, component, architecture, position, block) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(name)
            .bind(number)
            .bind(key.kind.as_str())
            .bind(key.component.as_str())
            .bind(key.architecture.as_str())
            .bind(position)
            .bind(&block.id)
            .execute(&mut *transaction)
            .await?;
        }
    }
    for sql in [
        "DELETE FROM generation_blocks WHERE suite = $1 AND number < $2",
        "DELETE FROM generation_files WHERE suite = $1 AND number < $2",
        "DELETE FROM generations WHERE suite = $1 AND number < $2",
    ] {
        sqlx::query(sql).bind(name).bind(keep_from).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Has a suite hold what another one holds, whose newest generation must be of this number.
async fn copy_in_transaction(
    transaction: &mut AnyConnection,
    suite: &str,
    from: &SuiteName,
    number: i64,
) -> Result<(), StoreError> {
    // Whoever changes the other one meanwhile waits for this, or this for them.
    let unchanged = sqlx::query("UPDATE suites SET generation = generation WHERE name = $1 AND generation = $2")
        .bind(from.as_str())
        .bind(number)
        .execute(&mut *transaction)
        .await?;
    if unchanged.rows_affected() != 1 {
        return Err(StoreError::Raced(from.clone()));
    }
    sqlx::query("DELETE FROM suite_packages WHERE suite = $1").bind(suite).execute(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO suite_packages (suite, sha256, added_at, component, phased) \
         SELECT $1, sha256, added_at, component, phased FROM suite_packages WHERE suite = $2",
    )
    .bind(suite)
    .bind(from.as_str())
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

async fn begin_pool_write(
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

async fn change_in_transaction(
    transaction: &mut AnyConnection,
    suite: &str,
    change: &Change,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Change::AddNew(Placed { package, .. }, write) = change {
        sqlx::query(
            "INSERT INTO packages \
                 (sha256, name, version, architecture, filename, size, stanza, signed_by, uploaded_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&package.sha256)
        .bind(&package.name)
        .bind(package.version.as_str())
        .bind(&package.architecture)
        .bind(&package.filename)
        .bind(signed(package.size))
        .bind(&package.stanza)
        .bind(&package.signed_by)
        .bind(now.as_second())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO package_contents (sha256, paths) VALUES ($1, $2)")
            .bind(&package.sha256)
            .bind(&package.paths)
            .execute(&mut *transaction)
            .await?;
        let noted = sqlx::query("DELETE FROM pool_writes WHERE filename = $1 AND begun_at = $2")
            .bind(&write.filename)
            .bind(write.begun_at)
            .execute(&mut *transaction)
            .await?;
        // Whoever took the note over may have removed the file.
        if noted.rows_affected() != 1 {
            return Err(StoreError::NoteLost(write.filename.clone()));
        }
    }
    let done =
        match change {
            Change::AddNew(placed, _) | Change::Add(placed) => sqlx::query(
                "INSERT INTO suite_packages (suite, sha256, added_at, component, phased) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(suite)
            .bind(&placed.package.sha256)
            .bind(now.as_second())
            .bind(placed.component.as_str())
            .bind(phase(placed.phased))
            .execute(&mut *transaction)
            .await?,
            Change::Remove { package } => {
                sqlx::query("DELETE FROM suite_packages WHERE suite = $1 AND sha256 = $2")
                    .bind(suite)
                    .bind(&**package)
                    .execute(&mut *transaction)
                    .await?
            }
            Change::Phase(placed) => {
                sqlx::query("UPDATE suite_packages SET phased = $1 WHERE suite = $2 AND sha256 = $3")
                    .bind(phase(placed.phased))
                    .bind(suite)
                    .bind(&placed.package.sha256)
                    .execute(&mut *transaction)
                    .await?
            }
        };
    // The suite does not hold what should go or stay: somebody took it out meanwhile.
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotHeld(change.package().to_owned())) }
}

/// The column's value: 100 is for everybody.
fn phase(phased: Option<u8>) -> i64 {
    phased.map_or(100, i64::from)
}

fn placed_of_row(row: &AnyRow) -> Result<Placed, StoreError> {
    let phased: i64 = row.try_get(10)?;
    let phased = u8::try_from(phased).ok().filter(|percentage| *percentage < 100);
    Ok(Placed { package: Arc::new(package_of_row(row)?), component: parsed(row, 9, "component")?, phased })
}

fn pool_write_of_row(row: &AnyRow) -> Result<PoolWrite, StoreError> {
    Ok(PoolWrite { filename: row.try_get(0)?, begun_at: row.try_get(1)? })
}

fn package_of_row(row: &AnyRow) -> Result<Package, StoreError> {
    Ok(Package {
        sha256: row.try_get(0)?,
        name: row.try_get(1)?,
        version: parsed(row, 2, "version")?,
        architecture: row.try_get(3)?,
        filename: row.try_get(4)?,
        size: unsigned(row.try_get(5)?, "size")?,
        stanza: row.try_get(6)?,
        signed_by: row.try_get(7)?,
        paths: row.try_get(8)?,
    })
}

fn parsed<T: std::str::FromStr>(row: &AnyRow, column: usize, what: &'static str) -> Result<T, StoreError> {
    let value: String = row.try_get(column)?;
    value.parse().map_err(|_| StoreError::Row { what, value })
}

fn time(row: &AnyRow, column: usize) -> Result<Timestamp, StoreError> {
    let seconds: i64 = row.try_get(column)?;
    Timestamp::from_second(seconds).map_err(|_| StoreError::Row { what: "time", value: seconds.to_string() })
}

fn unsigned(value: i64, what: &'static str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Row { what, value: value.to_string() })
}

/// Sizes are bounded far below the end of BIGINT.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
