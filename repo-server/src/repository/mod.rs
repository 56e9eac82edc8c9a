//! The apt repository: suites, their packages, and what readers see of them.

mod blobs;
mod error;
mod generation;
mod incoming;
mod indexes;
mod pool;
mod publish;
mod schedule;
mod snapshot;
mod source_list;
mod store;

pub(crate) use error::PublishError;
pub(crate) use incoming::Piece;
pub(crate) use snapshot::{ServedFile, SuiteSnapshot};
pub(crate) use store::StoreError;

use crate::data_dir::DataDir;
use blobs::Blobs;
use bytes::Bytes;
use debian_formats::Architecture;
use debian_formats::limits::Limits;
use debian_formats::names::{NameError, SuiteName};
use debian_formats::openpgp::{Keyring, OpenPgpError, SigningKey};
use durable_files::DurableError;
use generation::Generation;
use jiff::Timestamp;
use sqlx::AnyPool;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::{Mutex, watch};

/// How often releases are looked at for renewal, and unneeded index files are removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);

/// Tells the time; tests pass their own.
pub(crate) type Clock = fn() -> Timestamp;

type Suites = Arc<BTreeMap<SuiteName, Arc<SuiteSnapshot>>>;

/// A repository that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key file is missing or damaged.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OpenPgpError,
    },
    /// A file could not be read.
    #[error("could not read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The names of the default architectures.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The database or the disk failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A file of the pool, to be streamed.
#[derive(Debug)]
pub(crate) struct PoolFile {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
}

/// The repository of one data folder, which no other process uses.
pub(crate) struct Repository {
    dir: DataDir,
    store: Store,
    blobs: Blobs,
    key: Arc<SigningKey>,
    keyring: Bytes,
    armored_key: String,
    package_keys: Keyring,
    default_architectures: Vec<Architecture>,
    limits: Limits,
    clock: Clock,
    /// Held while a suite is published.
    publishing: Mutex<()>,
    suites: watch::Sender<Suites>,
}

impl Repository {
    /// Opens it, removes what a crash left behind, and makes every suite ready to be served.
    pub(crate) async fn open(dir: &DataDir, database: AnyPool, clock: Clock) -> Result<Self, OpenError> {
        let key_path = dir.repository_key();
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Key { path, source }
        };
        let armor = String::from_utf8_lossy(&read(&key_path)?).into_owned();
        let key = SigningKey::from_armor(&armor).map_err(wrong(&key_path))?;
        let keyring = key.public_keyring();
        let ring_path = dir.package_keyring();
        let package_keys = Keyring::from_bytes(&read(&ring_path)?).map_err(wrong(&ring_path))?;
        let repository = Self {
            dir: dir.clone(),
            store: Store::new(database),
            blobs: Blobs::new(dir.indexes()),
            keyring: keyring.to_bytes().map_err(wrong(&key_path))?.into(),
            armored_key: keyring.to_armor().map_err(wrong(&key_path))?,
            key: Arc::new(key),
            package_keys,
            default_architectures: indexes::DEFAULT_ARCHITECTURES
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, _>>()?,
            limits: Limits::DEFAULT,
            clock,
            publishing: Mutex::new(()),
            suites: watch::Sender::new(Suites::default()),
        };
        repository.clear_incoming()?;
        repository.remove_abandoned_pool_files().await?;
        for suite in repository.store.suites().await? {
            repository.load_suite(&suite).await?;
        }
        repository.sweep_blobs().await;
        Ok(repository)
    }

    /// Makes an empty suite and publishes it.
    pub(crate) async fn create_suite(&self, suite: &SuiteName) -> Result<(), PublishError> {
        let _turn = self.publishing.lock().await;
        self.store.create_suite(suite, (self.clock)()).await?;
        self.publish_generation(suite, None).await
    }

    /// The suite as it is now.
    pub(crate) fn suite(&self, suite: &SuiteName) -> Option<Arc<SuiteSnapshot>> {
        self.suites.borrow().get(suite).cloned()
    }

    /// The largest upload that is taken, in bytes.
    pub(crate) fn max_upload(&self) -> u64 {
        self.limits.deb_bytes
    }

    /// The public half of the repository key, as a binary keyring.
    pub(crate) fn keyring(&self) -> Bytes {
        self.keyring.clone()
    }

    /// The apt source of a suite, for a repository that the reader finds at `base`.
    pub(crate) fn source_list(&self, suite: &SuiteName, base: &str) -> Option<String> {
        self.suite(suite)?;
        Some(source_list::render(base, suite, &self.armored_key))
    }

    /// A file of the pool. What no package in the database names is not there, whatever lies in the folder.
    pub(crate) async fn pool_file(&self, filename: &str) -> Result<Option<PoolFile>, StoreError> {
        let sha256 = self.store.pool_file(filename).await?;
        Ok(sha256.map(|sha256| PoolFile { path: self.dir.pool_file(filename), sha256 }))
    }

    /// Keeps every suite's Release valid and removes what is no longer needed, for ever.
    pub(crate) async fn maintain(&self) {
        loop {
            self.renew_releases((self.clock)()).await;
            self.sweep_blobs().await;
            tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        }
    }

    fn suites(&self) -> Vec<(SuiteName, Arc<SuiteSnapshot>)> {
        self.suites.borrow().iter().map(|(suite, snapshot)| (suite.clone(), snapshot.clone())).collect()
    }

    /// Exchanges what readers see of a suite.
    fn show(&self, suite: &SuiteName, snapshot: SuiteSnapshot) {
        self.suites.send_modify(|suites| {
            Arc::make_mut(suites).insert(suite.clone(), Arc::new(snapshot));
        });
    }

    /// Shows a suite as the database has it. Should index files be lost or damaged, they are built again from the
    /// packages' stanzas, under a new Release.
    async fn load_suite(&self, suite: &SuiteName) -> Result<(), OpenError> {
        let snapshot = self.read_suite(suite).await?;
        let complete = snapshot.is_complete();
        self.show(suite, snapshot);
        if !complete {
            tracing::warn!(%suite, "building the suite's indexes again");
            self.publish_generation(suite, None).await?;
        }
        Ok(())
    }

    /// A suite as the database and the index files have it.
    async fn read_suite(&self, suite: &SuiteName) -> Result<SuiteSnapshot, PublishError> {
        let generations = self.store.generations(suite).await?;
        let hashes = generations.iter().flat_map(Generation::files).map(|file| file.sha256.clone());
        let mut blobs = BTreeMap::new();
        for sha256 in hashes.collect::<BTreeSet<_>>() {
            let path = self.dir.indexes().join(&sha256);
            match self.blobs.read(&sha256) {
                Ok(Some(content)) => {
                    blobs.insert(sha256, content);
                }
                Ok(None) => {
                    tracing::warn!(%suite, path = %path.display(), "an index file is missing or damaged");
                    self.blobs.discard(&sha256)?;
                }
                Err(source) => return Err(DurableError::Io { action: "read", path, cause: source }.into()),
            }
        }
        Ok(SuiteSnapshot::new(generations, blobs))
    }

    fn clear_incoming(&self) -> Result<(), OpenError> {
        let folder = self.dir.incoming();
        let fail = |source| OpenError::Read { path: folder.clone(), source };
        for entry in folder.read_dir().map_err(fail)? {
            durable_files::remove(&entry.map_err(fail)?.path()).map_err(PublishError::from)?;
        }
        Ok(())
    }

    /// Removes index files that no kept generation names.
    async fn sweep_blobs(&self) {
        let _turn = self.publishing.lock().await;
        let needed = match self.store.needed_blobs().await {
            Ok(needed) => needed,
            Err(error) => return tracing::warn!(%error, "could not look for unneeded index files"),
        };
        let blobs = self.blobs.clone();
        match tokio::task::spawn_blocking(move || blobs.sweep(&needed)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::debug!(removed, "removed unneeded index files"),
            Ok(Err(error)) => tracing::warn!(%error, "could not remove unneeded index files"),
            Err(error) => tracing::warn!(%error, "could not remove unneeded index files"),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Read { path: path.to_owned(), source })
}
