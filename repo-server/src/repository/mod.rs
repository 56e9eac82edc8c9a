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
mod maintenance;
mod opening;
mod pool;
mod publish;
mod queue;
mod reading;
mod retention;
mod schedule;
mod selection;
mod snapshot;
mod source_list;
mod store;
mod suites;
mod upload_set;

pub(crate) use change::Placed;
pub(crate) use error::PublishError;
pub(crate) use incoming::{Piece, Pieces};
pub(crate) use index::Rope;
pub(crate) use opening::OpenError;
pub(crate) use selection::Selection;
pub(crate) use snapshot::SuiteSnapshot;
pub(crate) use store::StoreError;
pub(crate) use upload_set::{UploadSetError, Uploader};

use crate::data_dir::DataDir;
use crate::storage::Storage;
use blocks::Blocks;
use compaction::Compactions;
use debian_formats::Architecture;
use debian_formats::limits::Limits;
use debian_formats::names::SuiteName;
use debian_formats::openpgp::Keyring;
use generation::Generation;
use jiff::Timestamp;
use keys::RepositoryKeys;
use queue::Queues;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;
use tokio::sync::{Notify, watch};
use upload_set::UploadSets;

/// Tells the time; tests pass their own.
pub(crate) type Clock = fn() -> Timestamp;

type Suites = Arc<BTreeMap<SuiteName, Arc<SuiteSnapshot>>>;

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
    /// This process, among those on the database.
    pub(crate) fn process(&self) -> &str {
        &self.name
    }

    /// The largest upload that is taken, in bytes.
    pub(crate) fn max_upload(&self) -> u64 {
        self.limits.deb_bytes
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
}
