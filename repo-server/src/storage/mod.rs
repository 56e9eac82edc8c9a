//! Where the bytes of packages and index pieces lie: in the data folder, or in a bucket of an S3-compatible store.
//!
//! Index blocks go to `indexes/sha256/<hex of their SHA-256>`, before the database transaction that names them. Several
//! processes may share a bucket. So a block is put again even if one found it there ([`Storage::keeps`]), and whoever
//! removes what [`Storage::list`] shows and the database does not name leaves alone what is younger than an hour: another
//! process may be about to name it.

mod bucket;
mod folder;
mod key;
mod settings;

pub(crate) use key::Key;
pub use settings::{BucketSettings, Credentials};

use crate::data_dir::DataDir;
use bucket::Bucket;
use bytes::Bytes;
use durable_files::{DurableError, Unplaced};
use folder::Folder;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A bucket answers many at once about as fast as one.
const PUTS_AT_ONCE: usize = 16;

/// Stored files. A put is durable and atomic: once it has returned the file is there whole, and never in part.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder(Arc<Folder>),
    Bucket(Arc<Bucket>),
}

/// Where what a stored file holds is read.
pub(crate) enum Content {
    /// In this file, if it is there.
    File(PathBuf),
    /// In a bucket, part by part.
    Remote(Remote),
}

/// A stored file in a bucket.
pub(crate) struct Remote {
    bucket: Arc<Bucket>,
    key: Key,
}

impl Remote {
    /// A part of it, if it is there.
    pub(crate) async fn fetch(&self, part: Range<u64>) -> Result<Option<Vec<u8>>, StorageError> {
        self.bucket.fetch(&self.key, part).await
    }
}

/// A stored file as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: Key,
    /// When it was put there last.
    pub(crate) modified: Timestamp,
}

/// Stored files that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A name that could lead elsewhere.
    #[error("{0:?} cannot be the name of a stored file")]
    Key(String),
    /// The folder failed.
    #[error(transparent)]
    Disk(#[from] DurableError),
    /// The bucket's settings cannot be used.
    #[error("storage {place}: {source}")]
    Settings {
        /// The bucket.
        place: String,
        /// What is wrong.
        source: object_store::Error,
    },
    /// The bucket failed.
    #[error("could not {action} {place}: {source}")]
    Bucket {
        /// Such as `write`.
        action: &'static str,
        /// On what.
        place: String,
        /// Why.
        source: object_store::Error,
    },
    /// The bucket cannot be used at all.
    #[error(
        "the storage {place} cannot be used; check its endpoint, its name and the credentials (AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or the settings): {source}"
    )]
    Unusable {
        /// The bucket.
        place: String,
        /// Why.
        source: object_store::Error,
    },
    /// A file that is larger than anything that was put there.
    #[error("{place} is larger than {limit} bytes")]
    TooLarge {
        /// Which.
        place: String,
        /// The bound in bytes.
        limit: u64,
    },
    /// A file that ends before the part that was asked for.
    #[error("{place} is shorter than what was put there; put it back from a backup")]
    Short {
        /// Which.
        place: String,
    },
    /// A background thread ended early.
    #[error("the work was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

impl StorageError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_full())
    }
}

impl Storage {
    /// In the data folder, or in a bucket if one is given.
    pub(crate) fn new(dir: &DataDir, bucket: Option<&BucketSettings>) -> Result<Self, StorageError> {
        match bucket {
            Some(settings) => Ok(Self { kind: Kind::Bucket(Arc::new(Bucket::new(settings)?)) }),
            None => Ok(Self::folder(dir.root())),
        }
    }

    /// In a folder, which no other process uses.
    pub(crate) fn folder(root: &Path) -> Self {
        Self { kind: Kind::Folder(Arc::new(Folder::new(root))) }
    }

    /// Stores a content.
    pub(crate) async fn put(&self, key: &Key, content: Bytes) -> Result<(), StorageError> {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.put(key, content).await,
            Kind::Folder(folder) => blocking(folder, key, move |folder, key| folder.put(key, &content)).await,
        }
    }

    /// Stores files that were written whole. A folder takes them over, so they must lie on the folder's file system.
    pub(crate) async fn put_files(&self, files: Vec<(Key, Unplaced)>) -> Result<(), StorageError> {
        match &self.kind {
            Kind::Bucket(bucket) => {
                for some in files.chunks(PUTS_AT_ONCE) {
                    let put = |(key, file): &(Key, Unplaced)| {
                        let (bucket, key, path) = (bucket.clone(), key.clone(), file.path().to_owned());
                        async move { bucket.put_file(&key, &path).await }
                    };
                    try_join_all(some.iter().map(put).collect::<Vec<_>>()).await?;
                }
                Ok(())
            }
            Kind::Folder(folder) => match files.first().map(|(key, _)| key.clone()) {
                Some(key) => blocking(folder, &key, move |folder, _| folder.put_files(files)).await,
                None => Ok(()),
            },
        }
    }

    /// A whole content of at most `limit` bytes, if it is there.
    pub(crate) async fn get(&self, key: &Key, limit: u64) -> Result<Option<Bytes>, StorageError> {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.get(key, limit).await,
            Kind::Folder(folder) => blocking(folder, key, move |folder, key| folder.get(key, limit)).await,
        }
    }

    /// Where a content is read that may be large. It is not looked for yet.
    pub(crate) fn content(&self, key: Key) -> Content {
        match &self.kind {
            Kind::Bucket(bucket) => Content::Remote(Remote { bucket: bucket.clone(), key }),
            Kind::Folder(folder) => Content::File(folder.path(&key)),
        }
    }

    /// Deletes a content; that it is not there is no error.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.delete(key).await,
            Kind::Folder(folder) => blocking(folder, key, |folder, key| folder.delete(key)).await,
        }
    }

    /// Everything below `prefix`, which ends where a part of the keys ends.
    pub(crate) async fn list(&self, prefix: &Key) -> Result<Vec<Listed>, StorageError> {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.list(prefix).await,
            Kind::Folder(folder) => blocking(folder, prefix, |folder, prefix| folder.list(prefix)).await,
        }
    }

    /// Whether there is any package. A bucket that cannot be reached, or not with our credentials, is found out by it.
    pub(crate) async fn holds_packages(&self) -> Result<bool, StorageError> {
        let pool = "pool".parse()?;
        match &self.kind {
            Kind::Bucket(bucket) => Ok(!bucket.is_empty(&pool).await?),
            Kind::Folder(_) => Ok(!self.list(&pool).await?.is_empty()),
        }
    }

    /// A URL by which anybody may read the content for so long. A folder has none.
    pub(crate) async fn presigned(&self, key: &Key, lifetime: Duration) -> Result<Option<String>, StorageError> {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.presigned(key, lifetime).await.map(Some),
            Kind::Folder(_) => Ok(None),
        }
    }

    /// Whether a file is there and only we could take it away, so that it need not be put again.
    pub(crate) fn keeps(&self, key: &Key) -> bool {
        matches!(&self.kind, Kind::Folder(folder) if folder.path(key).exists())
    }

    /// Whether it is a bucket, which other processes may use, too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(&self.kind, Kind::Bucket(_))
    }
}

/// Runs `act` where it may block.
async fn blocking<T: Send + 'static>(
    folder: &Arc<Folder>,
    key: &Key,
    act: impl FnOnce(&Folder, &Key) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let (folder, key) = (folder.clone(), key.clone());
    tokio::task::spawn_blocking(move || act(&folder, &key)).await?
}
