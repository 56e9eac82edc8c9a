//! Why an upload was not published.

use super::selection::Selection;
use super::store::StoreError;
use crate::storage::StorageError;
use debian_formats::deb::DebProblem;
use debian_formats::names::{NameError, SuiteName};
use debian_formats::openpgp::OpenPgpError;
use durable_files::DurableError;
use std::io;

/// An upload that was not published. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no such suite.
    #[error("there is no suite {0} on this server")]
    UnknownSuite(SuiteName),
    /// The suite is a snapshot.
    #[error("{0} is a snapshot, which never changes; publish in the suite that it was made of")]
    Frozen(SuiteName),
    /// The suite's name is too long for one more.
    #[error("the snapshot's name would not be one: {0}")]
    SnapshotName(NameError),
    /// Not a snapshot.
    #[error("{0} is no snapshot; `debfleet suite snapshot` makes one")]
    NoSnapshot(SuiteName),
    /// The suite holds no such package.
    #[error("the suite {suite} holds no {selection}")]
    NotInSuite {
        /// Which suite.
        suite: SuiteName,
        /// What was looked for.
        selection: Selection,
    },
    /// The upload is larger than allowed.
    #[error("the package is larger than {limit} bytes, which is this server's limit")]
    TooLarge {
        /// The bound in bytes.
        limit: u64,
    },
    /// The sender went away.
    #[error("the upload broke off before its end: {0}")]
    BrokenOff(String),
    /// Not a package, or not signed by a known key.
    #[error("{0}")]
    Refused(DebProblem),
    /// The field Source holds no package name.
    #[error("control file: Source: {0}")]
    SourceName(NameError),
    /// Another package has its name, version and architecture, or its file name.
    #[error(
        "the repository already holds {name} {version} ({architecture}) as {filename} with other content; \
         published versions never change: raise the version and publish again"
    )]
    Conflict {
        /// Of the package that is there.
        name: String,
        /// Its version.
        version: String,
        /// Its architecture.
        architecture: String,
        /// Where it lies.
        filename: String,
    },
    /// The body of an import is no tar.
    #[error("the import is not a whole tar of packages: {0}")]
    ImportTar(io::Error),
    /// An import of too many packages.
    #[error("the import holds more than {limit} packages; import them in several runs")]
    TooManyPackages {
        /// The bound.
        limit: usize,
    },
    /// A file could not be written or read.
    #[error(transparent)]
    Disk(#[from] DurableError),
    /// A stored file could not be written or read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The storage takes a file too slowly.
    #[error("putting {0} into the pool took too long; look at the way to the storage")]
    TooSlow(String),
    /// The database failed, or another process was faster.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The indexes could not be compressed.
    #[error("could not build the indexes: {0}")]
    Indexes(io::Error),
    /// The Release could not be signed.
    #[error("could not sign the Release: {0}")]
    Signing(OpenPgpError),
    /// A background thread ended early.
    #[error("the work was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

impl PublishError {
    /// Whether another publication was faster: what this one was decided on may no longer hold.
    pub(super) fn is_raced(&self) -> bool {
        matches!(self, Self::Store(StoreError::Raced(_) | StoreError::NotHeld(_) | StoreError::Busy(_)))
    }

    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_full(),
            Self::Storage(error) => error.is_full(),
            Self::Store(error) => error.is_full(),
            _ => false,
        }
    }
}
