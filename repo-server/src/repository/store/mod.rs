//! The repository's tables.

mod additions;
mod generations;
mod pool;
mod pool_writes;
mod publish;
mod suites;

pub(in crate::repository) use generations::StoredGeneration;
pub(crate) use pool::PoolFile;
pub(in crate::repository) use pool::{PoolName, PoolNames};
pub(in crate::repository) use pool_writes::{POOL_WRITE_LEASE, PoolWrite};
pub(in crate::repository) use publish::Step;

use crate::database;
use crate::shadows::ShadowError;
use debian_formats::Version;
use debian_formats::names::SuiteName;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};
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
    /// What devices have installed could not be read.
    #[error("what devices have installed is not known: {0}")]
    Installed(String),
    /// What a change is about is not in the suite.
    #[error("the suite does not hold the package with SHA-256 {0} (any more)")]
    NotHeld(String),
    /// Somebody else published to the suite in the meantime.
    #[error("suite {0} was published by another process at the same time")]
    Raced(SuiteName),
    /// The same file is on its way in from somebody else.
    #[error("{0} is being uploaded by somebody else at the same time; try again in a while")]
    Busy(String),
    /// Somebody took the place of a file in the pool for abandoned.
    #[error("putting {0} into the pool took so long that its place was cleared")]
    NoteLost(String),
}

impl From<ShadowError> for StoreError {
    fn from(error: ShadowError) -> Self {
        match error {
            ShadowError::Database(error) => Self::Database(error),
            error => Self::Installed(error.to_string()),
        }
    }
}

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
    pub(in crate::repository) paths: String,
}

impl Package {
    /// What names it in an index block.
    pub(in crate::repository) fn id(&self) -> Arc<str> {
        self.sha256.as_str().into()
    }
}

#[derive(Debug, Clone)]
pub(in crate::repository) struct Store {
    database: AnyPool,
}

impl Store {
    pub(in crate::repository) fn new(database: AnyPool) -> Self {
        Self { database }
    }
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

/// The column's value: 100 is for everybody.
fn phase(phased: Option<u8>) -> i64 {
    phased.map_or(100, i64::from)
}
