//! What is asked of the repository and changes nothing.

use super::store::{PoolFile, StoreError};
use super::{Placed, Repository, SuiteSnapshot, source_list};
use crate::storage::{Content, StorageError};
use bytes::Bytes;
use debian_formats::names::SuiteName;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How long a client that is sent to the storage may take to begin there.
const POOL_URL_LIFETIME: Duration = Duration::from_secs(600);

impl Repository {
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
}
