//! The apt repository: suites, their packages, and what readers see of them.

mod abandoned;
mod attempts;
mod blocks;
mod bulk;
mod change;
mod compaction;
mod error;
mod freeze;
mod generation;
mod incoming;
mod index;
mod intake;
mod keys;
mod pool;
mod publish;
mod queue;
mod retention;
mod schedule;
mod snapshot;
mod source_list;
mod store;
mod suites;
mod upload_set;

pub(crate) use change::Placed;
pub(crate) use error::PublishError;
pub(crate) use incoming::{Piece, Pieces};
pub(crate) use index::Rope;
pub(crate) use snapshot::SuiteSnapshot;
pub(crate) use store::{PoolFile, StoreError};
pub(crate) use suites::Selection;
pub(crate) use upload_set::{UploadSetError, Uploader};

use crate::data_dir::DataDir;
use crate::database;
use crate::storage::{Content, Storage, StorageError};
use blocks::Blocks;
use bytes::Bytes;
use change::Change;
use compaction::Compactions;
use debian_formats::Architecture;
use debian_formats::limits::Limits;
use debian_formats::names::{ComponentName, NameError, SuiteName};
use debian_formats::openpgp::{Fingerprint, Keyring, OpenPgpError};
use generation::Generation;
use index::{Block, Part, Parts};
use jiff::Timestamp;
use keys::RepositoryKeys;
use queue::Queues;
use sqlx::AnyPool;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{POOL_WRITE_LEASE, Store, StoredGeneration};
use tokio::sync::{Notify, watch};
use upload_set::UploadSets;

/// How often releases are looked at for renewal, and unneeded index files are removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);
/// How soon readers see what another process published.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// While that cannot be asked.
const FOLLOW_PAUSE: Duration = Duration::from_secs(30);
/// How long a client that is sent to the storage may take to begin there.
const POOL_URL_LIFETIME: Duration = Duration::from_secs(600);

/// Tells the time; tests pass their own.
pub(crate) type Clock = fn() -> Timestamp;

/// Architectures that every suite has an index for, so that a device finds one before the first package is there.
const DEFAULT_ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "armhf"];

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

/// The repository. Its data folder is used by no other process; its database and its storage may be.
pub(crate) struct Repository {
    dir: DataDir,
    store: Store,
    /// Of this process, among those that publish: its machine and its data folder.
    name: String,
    /// Whether other processes publish, too.
    is_shared: bool,
    storage: Storage,
    blocks: Blocks,
    /// What signs; may be exchanged at any time.
    keys: watch::Sender<Arc<RepositoryKeys>>,
    /// Whose packages are taken in; may be exchanged at any time.
    package_keys: watch::Sender<Arc<Keyring>>,
    default_architectures: Vec<Architecture>,
    limits: Limits,
    clock: Clock,
    queues: Queues,
    upload_sets: UploadSets,
    compactions: Compactions,
    /// Told after every publication.
    published: Notify,
    suites: watch::Sender<Suites>,
}

impl Repository {
    /// Opens it, removes what a crash left behind, and makes every suite ready to be served.
    pub(crate) async fn open(
        dir: &DataDir,
        database: AnyPool,
        storage: Storage,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let is_shared = database::is_shared(&database);
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let folder =
            dir.root().canonicalize().map_err(|source| OpenError::Read { path: dir.root().to_owned(), source })?;
        let name = format!("{machine}:{}", folder.display());
        let keys = RepositoryKeys::read(dir)?;
        let (package_keys, _) = read_package_keys(dir)?;
        let repository = Self {
            dir: dir.clone(),
            store: Store::new(database),
            name,
            is_shared,
            blocks: Blocks::new(storage.clone()),
            storage,
            keys: watch::Sender::new(Arc::new(keys)),
            package_keys: watch::Sender::new(Arc::new(package_keys)),
            default_architectures: DEFAULT_ARCHITECTURES.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
            limits: Limits::DEFAULT,
            clock,
            queues: Queues::default(),
            upload_sets: UploadSets::default(),
            compactions: Compactions::default(),
            published: Notify::new(),
            suites: watch::Sender::new(Suites::default()),
        };
        repository.clear_incoming()?;
        repository.remove_cut_off_pool_files().await?;
        for suite in repository.store.suites().await? {
            repository.load_suite(&suite).await?;
        }
        repository.sweep_blocks().await;
        Ok(repository)
    }

    /// The same with another bound on uploads, in bytes.
    #[must_use]
    pub(crate) fn with_max_upload(mut self, bytes: u64) -> Self {
        self.limits.deb_bytes = bytes;
        self
    }

    /// Makes an empty suite and publishes it; false if it is there already.
    pub(crate) async fn create_suite(self: &Arc<Self>, suite: &SuiteName) -> Result<bool, PublishError> {
        if !self.store.create_suite(suite, (self.clock)()).await? && self.suite(suite).is_some() {
            return Ok(false);
        }
        self.submit(suite, vec![]).await?;
        Ok(true)
    }

    /// All suites, by name.
    pub(crate) fn suite_names(&self) -> Vec<SuiteName> {
        self.suites.borrow().keys().cloned().collect()
    }

    /// So many packages of a suite, by file name, behind the one of this file name.
    pub(crate) async fn page(&self, suite: &SuiteName, after: &str, limit: u16) -> Result<Vec<Placed>, StoreError> {
        self.store.suite_page(suite, after, limit).await
    }

    /// The suite as it is now.
    pub(crate) fn suite(&self, suite: &SuiteName) -> Option<Arc<SuiteSnapshot>> {
        self.suites.borrow().get(suite).cloned()
    }

    /// This process, among those on the database.
    pub(crate) fn process(&self) -> &str {
        &self.name
    }

    /// The largest upload that is taken, in bytes.
    pub(crate) fn max_upload(&self) -> u64 {
        self.limits.deb_bytes
    }

    /// Reads anew whose packages are taken in, and gives the keys. After an error those of before count. Blocks.
    pub(crate) fn reload_package_keys(&self) -> Result<Vec<Fingerprint>, OpenError> {
        let (keyring, fingerprints) = read_package_keys(&self.dir)?;
        self.package_keys.send_replace(Arc::new(keyring));
        Ok(fingerprints)
    }

    /// Reads the keys anew that sign, and gives them if they are other ones than before: then every Release is to be
    /// [signed anew](Self::sign_anew). After an error those of before sign. Blocks.
    pub(crate) fn reload_keys(&self) -> Result<Option<Vec<Fingerprint>>, OpenError> {
        let keys = RepositoryKeys::read(&self.dir)?;
        if keys.fingerprints() == self.keys().fingerprints() {
            return Ok(None);
        }
        let fingerprints = keys.fingerprints().to_vec();
        self.keys.send_replace(Arc::new(keys));
        Ok(Some(fingerprints))
    }

    fn keys(&self) -> Arc<RepositoryKeys> {
        self.keys.borrow().clone()
    }

    fn package_keys(&self) -> Arc<Keyring> {
        self.package_keys.borrow().clone()
    }

    /// Whether the database answers and every suite that it knows is served.
    pub(crate) async fn serves_every_suite(&self) -> Result<bool, StoreError> {
        Ok(self.store.suites().await?.iter().all(|suite| self.suite(suite).is_some()))
    }

    /// Until when each suite's Release is valid.
    pub(crate) fn validity(&self) -> Vec<(SuiteName, Timestamp)> {
        let suites = self.suites().into_iter();
        suites.filter_map(|(suite, snapshot)| Some((suite, snapshot.newest()?.valid_until()))).collect()
    }

    /// The public halves of the keys that sign, as a binary keyring.
    pub(crate) fn keyring(&self) -> Bytes {
        self.keys().keyring.clone()
    }

    /// The apt source of a suite, for a repository that the reader finds at `base`.
    pub(crate) fn source_list(&self, suite: &SuiteName, base: &str) -> Option<String> {
        let shown = self.suite(suite)?;
        let components = shown.newest().map_or(&[][..], |newest| &newest.files().components);
        Some(source_list::render(base, suite, components, &self.keys().armored))
    }

    /// A file of the pool. What no package in the database names is not there, whatever lies in the folder.
    pub(crate) async fn pool_file(&self, filename: &str) -> Result<Option<PoolFile>, StoreError> {
        self.store.pool_file(filename).await
    }

    /// Where the content of a file of the pool is read.
    pub(crate) fn pool_content(&self, filename: &str) -> Result<Content, StorageError> {
        Ok(self.storage.content(filename.parse()?))
    }

    /// A URL by which a file of the pool can be fetched from where it is stored, if that gives such.
    pub(crate) async fn pool_url(&self, filename: &str) -> Result<Option<String>, StorageError> {
        self.storage.presigned(&filename.parse()?, POOL_URL_LIFETIME).await
    }

    /// Keeps every suite's Release valid and removes what is no longer needed, for ever.
    pub(crate) async fn maintain(self: &Arc<Self>) {
        let renewing = async {
            loop {
                let now = (self.clock)();
                self.renew_releases().await;
                self.sweep_blocks().await;
                self.clear_out().await;
                self.upload_sets.forget_old(now);
                if let Err(error) = self.remove_abandoned_pool_files(now - POOL_WRITE_LEASE).await {
                    tracing::warn!(%error, "could not remove pool files that were not published");
                }
                tokio::time::sleep(MAINTENANCE_INTERVAL).await;
            }
        };
        tokio::join!(renewing, self.compact(), self.follow());
    }

    /// Shows what other processes publish, for ever.
    async fn follow(&self) {
        loop {
            tokio::time::sleep(FOLLOW_INTERVAL).await;
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "could not look for what other processes published; will try again");
                tokio::time::sleep(FOLLOW_PAUSE).await;
            }
        }
    }

    /// Shows what other processes published until now.
    pub(crate) async fn catch_up(&self) -> Result<(), PublishError> {
        if !self.is_shared {
            return Ok(());
        }
        for (suite, number) in self.store.newest_generations().await? {
            if self.shown_number(&suite) != Some(number) {
                // Whoever publishes here shows it, too, and not an older one after it.
                let queue = self.queues.of(&suite);
                let _turn = queue.turn.lock().await;
                self.refresh(&suite).await?;
            }
        }
        Ok(())
    }

    fn shown_number(&self, suite: &SuiteName) -> Option<i64> {
        self.suite(suite).and_then(|snapshot| snapshot.newest().map(Generation::number))
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

    /// Shows a suite as the database has it. Should index blocks be lost or damaged, they are built again from the
    /// packages' stanzas, under a new Release.
    async fn load_suite(&self, suite: &SuiteName) -> Result<(), OpenError> {
        let snapshot = self.read_suite(suite).await?;
        let is_complete = snapshot.is_complete();
        self.show(suite, snapshot);
        if !is_complete {
            tracing::warn!(%suite, "building the suite's indexes again");
            self.publish_generation(suite, vec![]).await?;
        }
        Ok(())
    }

    /// A suite as the database and the stored blocks have it.
    async fn read_suite(&self, suite: &SuiteName) -> Result<SuiteSnapshot, PublishError> {
        let stored = self.store.generations(suite).await?;
        let mut known: BTreeMap<String, Arc<Block>> = BTreeMap::new();
        if let Some(shown) = self.suite(suite).as_ref().and_then(|shown| shown.newest()) {
            let blocks = shown.parts().values().flat_map(|part| &part.blocks);
            known.extend(blocks.map(|block| (block.id.clone(), block.clone())));
        }
        let (blocks, architectures) = (self.blocks.clone(), self.default_architectures.clone());
        let suite = suite.clone();
        tokio::task::spawn_blocking(move || {
            let mut generations: Vec<Arc<Generation>> = Vec::new();
            for StoredGeneration { row, listed, blocks: names } in stored {
                let mut parts = Parts::new();
                for (key, names) in names {
                    let read = |id: &String| read_block(&blocks, &mut known, id);
                    let found = names.iter().map(read).collect::<Result<Option<Vec<_>>, _>>()?;
                    // Without one of its blocks a generation's files are not what its Release says.
                    parts.insert(key, Part { blocks: found.unwrap_or_default() });
                }
                let main = [ComponentName::main()];
                let before = generations.last().map(|newer| newer.files().clone()).unwrap_or_default();
                let files = index::build(&parts, (&main, &architectures), &before).map_err(PublishError::Indexes)?;
                let generation = Generation::stored(row, &listed, parts, files);
                if !generation.is_complete() {
                    tracing::warn!(%suite, number = generation.number(), "blocks of an index are missing or damaged");
                }
                generations.push(Arc::new(generation));
            }
            Ok(SuiteSnapshot::new(generations))
        })
        .await?
    }

    /// The indexes of a suite, made of its packages' stanzas.
    async fn rebuilt(&self, suite: &SuiteName) -> Result<Parts, PublishError> {
        let packages = self.store.suite_packages(suite).await?;
        let changes: Arc<[Change]> = packages.into_iter().map(Change::Add).collect();
        let parts = tokio::task::spawn_blocking(move || change::apply(&Parts::new(), &[changes]));
        parts.await?.map_err(PublishError::Indexes)
    }

    fn clear_incoming(&self) -> Result<(), OpenError> {
        let folder = self.dir.incoming();
        let fail = |source| OpenError::Read { path: folder.clone(), source };
        for entry in folder.read_dir().map_err(fail)? {
            durable_files::remove(&entry.map_err(fail)?.path()).map_err(PublishError::from)?;
        }
        Ok(())
    }

    /// Removes index blocks that no kept generation names.
    async fn sweep_blocks(&self) {
        let needed = match self.store.needed_blocks().await {
            Ok(needed) => needed,
            Err(error) => return tracing::warn!(%error, "could not look for unneeded index files"),
        };
        let (blocks, now) = (self.blocks.clone(), (self.clock)());
        match tokio::task::spawn_blocking(move || blocks.sweep(&needed, now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::debug!(removed, "removed unneeded index files"),
            Ok(Err(error)) => tracing::warn!(%error, "could not remove unneeded index files"),
            Err(error) => tracing::warn!(%error, "could not remove unneeded index files"),
        }
    }
}

fn read_block(
    blocks: &Blocks,
    known: &mut BTreeMap<String, Arc<Block>>,
    id: &str,
) -> Result<Option<Arc<Block>>, PublishError> {
    if let Some(block) = known.get(id) {
        return Ok(Some(block.clone()));
    }
    let Some(block) = blocks.read(id)?.map(Arc::new) else { return Ok(None) };
    known.insert(id.to_owned(), block.clone());
    Ok(Some(block))
}

fn read_package_keys(dir: &DataDir) -> Result<(Keyring, Vec<Fingerprint>), OpenError> {
    let path = dir.package_keyring();
    let bytes = read(&path)?;
    let wrong = |source| OpenError::Key { path: path.clone(), source };
    let keyring = Keyring::from_bytes(&bytes).map_err(wrong)?;
    let fingerprints = keyring.fingerprints().map_err(wrong)?;
    Ok((keyring, fingerprints))
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Read { path: path.to_owned(), source })
}
