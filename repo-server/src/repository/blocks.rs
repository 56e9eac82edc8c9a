//! Stored blocks, named by the SHA-256 of what is stored. All of it blocks.

use super::index::Block;
use crate::storage::{Key, Storage, StorageError};
use durable_files::DurableError;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use tokio::runtime::Handle;

const FOLDER: &str = "indexes/sha256";
/// No block is as large as this.
const MAX_SIZE: u64 = 1 << 30;
/// A block that no generation names may belong to one that is just being published.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Clone)]
pub(super) struct Blocks {
    storage: Storage,
    runtime: Handle,
}

impl Blocks {
    /// Within the runtime that the storage works with.
    pub(super) fn new(storage: Storage) -> Self {
        Self { storage, runtime: Handle::current() }
    }

    fn key(id: &str) -> Result<Key, StorageError> {
        format!("{FOLDER}/{id}").parse()
    }

    /// Writes one durably.
    pub(super) fn write(&self, block: &Block) -> Result<(), StorageError> {
        let key = Self::key(&block.id)?;
        if self.storage.keeps(&key) {
            return Ok(());
        }
        let unwritable = |cause| DurableError::Io { action: "write", path: key.as_str().into(), cause };
        let stored = block.to_stored().map_err(unwritable)?;
        self.runtime.block_on(self.storage.put(&key, stored.into()))
    }

    /// The block, if it is there and undamaged. A damaged one is removed, so that it is written again.
    pub(super) fn read(&self, id: &str) -> Result<Option<Block>, StorageError> {
        let key = Self::key(id)?;
        let Some(stored) = self.runtime.block_on(self.storage.get(&key, MAX_SIZE))? else { return Ok(None) };
        let block = Block::from_stored(id, &stored);
        if block.is_none() && self.storage.keeps(&key) {
            self.runtime.block_on(self.storage.delete(&key))?;
        }
        Ok(block)
    }

    /// Removes what no generation needs. Says how many files went.
    pub(super) fn sweep(&self, needed: &BTreeSet<String>, now: Timestamp) -> Result<usize, StorageError> {
        let mut removed = 0;
        for listed in self.runtime.block_on(self.storage.list(&FOLDER.parse()?))? {
            let is_needed = listed.key.as_str().rsplit('/').next().is_some_and(|name| needed.contains(name));
            if !is_needed && now.duration_since(listed.modified) > ABANDONED_AFTER {
                self.runtime.block_on(self.storage.delete(&listed.key))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::{Effort, Kind, packages_entry};
    use super::*;

    #[test]
    fn a_damaged_block_is_not_given_and_an_old_unneeded_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let blocks = Blocks::new(Storage::folder(folder.path()));
        let block =
            Block::new(Kind::Packages, &[packages_entry("aa".into(), "Package: a", None)], Effort::Full).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), None);
        blocks.write(&block).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), Some(block.clone()));
        durable_files::replace(&folder.path().join(FOLDER).join(&block.id), b"torn", 0o644).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), None);
        blocks.write(&block).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), Some(block.clone()));
        let later = Timestamp::now() + ABANDONED_AFTER * 2;
        assert_eq!(blocks.sweep(&BTreeSet::from([block.id]), later).unwrap(), 0);
        assert_eq!(blocks.sweep(&BTreeSet::new(), Timestamp::now()).unwrap(), 0, "it may be in use");
        assert_eq!(blocks.sweep(&BTreeSet::new(), later).unwrap(), 1);
    }
}
