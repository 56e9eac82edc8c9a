//! The repository's tables.

use super::generation::{Generation, GenerationRow};
use super::indexes::IndexedPackage;
use debian_formats::Version;
use debian_formats::names::SuiteName;
use debian_formats::release::IndexFile;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Connection as _, Row as _};
use std::collections::BTreeSet;

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
    /// Somebody else published to the suite in the meantime.
    #[error("suite {0} was published by another process at the same time")]
    Raced(SuiteName),
}

/// SQLite's result code for a full disk.
const SQLITE_FULL: &str = "13";

impl StoreError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(error)) => durable_files::is_full(error),
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| code == SQLITE_FULL),
            _ => false,
        }
    }
}

/// A package in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) sha256: String,
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) architecture: String,
    pub(super) filename: String,
    pub(super) size: u64,
    pub(super) stanza: String,
    pub(super) signed_by: String,
}

/// What a publication adds to a suite.
#[derive(Debug, Clone, Copy)]
pub(super) enum Addition<'a> {
    /// A package that was not in the pool before.
    New(&'a Package),
    /// One that another suite holds already.
    Known(&'a Package),
}

impl<'a> Addition<'a> {
    pub(super) fn package(&self) -> &'a Package {
        match self {
            Self::New(package) | Self::Known(package) => package,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Store {
    database: AnyPool,
}

impl Store {
    pub(super) fn new(database: AnyPool) -> Self {
        Self { database }
    }

    pub(super) async fn create_suite(&self, suite: &SuiteName, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO suites (name, generation, created_at) VALUES ($1, 0, $2)")
            .bind(suite.as_str())
            .bind(now.as_second())
            .execute(&self.database)
            .await?;
        Ok(())
    }

    pub(super) async fn suites(&self) -> Result<Vec<SuiteName>, StoreError> {
        let rows = sqlx::query("SELECT name FROM suites ORDER BY name").fetch_all(&self.database).await?;
        rows.iter().map(|row| parsed(row, 0, "suite")).collect()
    }

    /// The pool's package of the same name and architecture whose version is equal as dpkg compares (`1.0` and
    /// `1.00` are), or whose file has the same name.
    pub(super) async fn rival(&self, wanted: &Package) -> Result<Option<Package>, StoreError> {
        let rows = sqlx::query(
            "SELECT sha256, name, version, architecture, filename, size, stanza, signed_by FROM packages \
             WHERE (name = $1 AND architecture = $2) OR filename = $3",
        )
        .bind(&wanted.name)
        .bind(&wanted.architecture)
        .bind(&wanted.filename)
        .fetch_all(&self.database)
        .await?;
        let packages = rows.iter().map(package_of_row).collect::<Result<Vec<_>, _>>()?;
        Ok(packages.into_iter().find(|p| p.version == wanted.version || p.filename == wanted.filename))
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
    pub(super) async fn suite_packages(&self, suite: &SuiteName) -> Result<Vec<IndexedPackage>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.name, p.version, p.architecture, p.stanza FROM packages p \
             JOIN suite_packages s ON s.sha256 = p.sha256 WHERE s.suite = $1",
        )
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        let indexed = |row: &AnyRow| {
            Ok(IndexedPackage {
                name: parsed(row, 0, "package")?,
                version: parsed(row, 1, "version")?,
                architecture: parsed(row, 2, "architecture")?,
                stanza: row.try_get(3)?,
            })
        };
        rows.iter().map(indexed).collect()
    }

    /// The SHA-256 of a pool file, if the pool has it.
    pub(super) async fn pool_file(&self, filename: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT sha256 FROM packages WHERE filename = $1")
            .bind(filename)
            .fetch_optional(&self.database)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Notes that a file is about to be put into the pool.
    pub(super) async fn begin_pool_write(&self, filename: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO pool_writes (filename, begun_at) VALUES ($1, $2) ON CONFLICT (filename) DO NOTHING")
            .bind(filename)
            .bind(now.as_second())
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// Files that were begun and that no package names.
    pub(super) async fn abandoned_pool_writes(&self) -> Result<Vec<String>, StoreError> {
        let rows =
            sqlx::query("SELECT filename FROM pool_writes WHERE filename NOT IN (SELECT filename FROM packages)")
                .fetch_all(&self.database)
                .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Forgets a note of [`Self::begin_pool_write`], after its file was removed.
    pub(super) async fn forget_pool_write(&self, filename: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM pool_writes WHERE filename = $1").bind(filename).execute(&self.database).await?;
        Ok(())
    }

    /// The kept generations of a suite, newest first.
    pub(super) async fn generations(&self, suite: &SuiteName) -> Result<Vec<Generation>, StoreError> {
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
            let files = self.generation_files(suite, row.number).await?;
            generations.push(Generation::stored(row, files));
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

    /// The hashes of all index files that a kept generation names.
    pub(super) async fn needed_blobs(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT sha256 FROM generation_files").fetch_all(&self.database).await?;
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
        addition: Option<Addition<'_>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.acquire().await?;
        let outcome = publish_in_transaction(&mut connection, suite, generation, keep_from, addition, now).await;
        if outcome.is_err() {
            // On a full disk SQLite may end a transaction by itself, and the pool would not know: such a connection
            // is not used again. Closing it is all that is wanted, so how it closes does not matter.
            let _ = connection.close().await;
        }
        outcome
    }
}

async fn publish_in_transaction(
    connection: &mut AnyConnection,
    suite: &SuiteName,
    generation: &Generation,
    keep_from: i64,
    addition: Option<Addition<'_>>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    let (name, number) = (suite.as_str(), generation.number());
    let raised = sqlx::query("UPDATE suites SET generation = $1 WHERE name = $2 AND generation = $3")
        .bind(number)
        .bind(name)
        .bind(number - 1)
        .execute(&mut *transaction)
        .await?;
    if raised.rows_affected() != 1 {
        return Err(StoreError::Raced(suite.clone()));
    }
    if let Some(Addition::New(package)) = addition {
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
        sqlx::query("DELETE FROM pool_writes WHERE filename = $1")
            .bind(&package.filename)
            .execute(&mut *transaction)
            .await?;
    }
    if let Some(addition) = addition {
        sqlx::query("INSERT INTO suite_packages (suite, sha256, added_at) VALUES ($1, $2, $3)")
            .bind(name)
            .bind(&addition.package().sha256)
            .bind(now.as_second())
            .execute(&mut *transaction)
            .await?;
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
    for file in generation.files() {
        sqlx::query("INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ($1, $2, $3, $4, $5)")
            .bind(name)
            .bind(number)
            .bind(&file.path)
            .bind(&file.sha256)
            .bind(signed(file.size))
            .execute(&mut *transaction)
            .await?;
    }
    for sql in [
        "DELETE FROM generation_files WHERE suite = $1 AND number < $2",
        "DELETE FROM generations WHERE suite = $1 AND number < $2",
    ] {
        sqlx::query(sql).bind(name).bind(keep_from).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
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
