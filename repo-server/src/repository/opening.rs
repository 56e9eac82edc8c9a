//! From the data folder, the database and the storage to a repository that is ready to be served.

use super::blocks::Blocks;
use super::change::{self, Change};
use super::compaction::Compactions;
use super::error::PublishError;
use super::generation::Generation;
use super::index::{self, Block, Part, Parts};
use super::keys::{RepositoryKeys, read_package_keys};
use super::queue::Queues;
use super::snapshot::SuiteSnapshot;
use super::store::{Store, StoreError, StoredGeneration};
use super::upload_set::UploadSets;
use super::{Clock, Repository, Suites};
use crate::data_dir::DataDir;
use crate::database;
use crate::storage::Storage;
use debian_formats::limits::Limits;
use debian_formats::names::{ComponentName, NameError, SuiteName};
use debian_formats::openpgp::OpenPgpError;
use sqlx::AnyPool;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Architectures that every suite has an index for, so that a device finds one before the first package is there.
const DEFAULT_ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "armhf"];

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
    pub(super) async fn read_suite(&self, suite: &SuiteName) -> Result<SuiteSnapshot, PublishError> {
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
    pub(super) async fn rebuilt(&self, suite: &SuiteName) -> Result<Parts, PublishError> {
        let packages = self.store.suite_packages(suite).await?;
        let changes: Arc<[Change]> = packages.into_iter().map(Change::Add).collect();
        let parts = tokio::task::spawn_blocking(move || change::apply(&Parts::new(), &[changes]));
        parts.await?.map_err(PublishError::Indexes)
    }

    fn clear_incoming(&self) -> Result<(), OpenError> {
        let folder = self.dir.incoming();
        // A process beside others has only a copy of the keys.
        durable_files::create_dir(&folder, 0o700).map_err(PublishError::from)?;
        let fail = |source| OpenError::Read { path: folder.clone(), source };
        for entry in folder.read_dir().map_err(fail)? {
            durable_files::remove(&entry.map_err(fail)?.path()).map_err(PublishError::from)?;
        }
        Ok(())
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
    let Some(block) = blocks.read(id)? else { return Ok(None) };
    let block = Arc::new(block.sharing_text(known.values()));
    known.insert(id.to_owned(), block.clone());
    Ok(Some(block))
}
