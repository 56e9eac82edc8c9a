//! Stored blocks, named by the SHA-256 of what is stored. A file that is there is whole.

use super::index::Block;
use bytes::Bytes;
use durable_files::DurableError;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A block that no generation names may belong to one that is just being published.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
pub(super) struct Blocks {
    folder: PathBuf,
}

impl Blocks {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes one durably, unless it is there.
    pub(super) fn write(&self, block: &Block) -> Result<(), DurableError> {
        let path = self.folder.join(&block.id);
        if path.exists() {
            return Ok(());
        }
        let stored =
            block.to_stored().map_err(|cause| DurableError::Io { action: "write", path: path.clone(), cause })?;
        durable_files::replace(&path, &stored, 0o644)
    }

    /// The block, if it is there and undamaged.
    pub(super) fn read(&self, id: &str) -> Result<Option<Block>, DurableError> {
        let path = self.folder.join(id);
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(DurableError::Io { action: "read", path, cause }),
            Ok(stored) => Ok(Block::from_stored(id, &Bytes::from(stored))),
        }
    }

    /// Removes one that was found damaged, so that it is written again.
    pub(super) fn discard(&self, id: &str) -> Result<(), DurableError> {
        durable_files::remove(&self.folder.join(id))
    }

    /// Removes what no generation needs, and what a crash left unfinished. Says how many files went.
    pub(super) fn sweep(&self, needed: &BTreeSet<String>, now: SystemTime) -> io::Result<usize> {
        let mut removed = 0;
        for entry in self.folder.read_dir()? {
            let entry = entry?;
            let is_old = now.duration_since(entry.metadata()?.modified()?).is_ok_and(|age| age > ABANDONED_AFTER);
            if is_old && !entry.file_name().to_str().is_some_and(|name| needed.contains(name)) {
                std::fs::remove_file(entry.path())?;
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
        let blocks = Blocks::new(folder.path().to_owned());
        let block =
            Block::new(Kind::Packages, &[packages_entry("aa".into(), "Package: a", None)], Effort::Full).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), None);
        blocks.write(&block).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), Some(block.clone()));
        durable_files::replace(&folder.path().join(&block.id), b"torn", 0o644).unwrap();
        assert_eq!(blocks.read(&block.id).unwrap(), None);
        let later = SystemTime::now() + ABANDONED_AFTER * 2;
        assert_eq!(blocks.sweep(&BTreeSet::from([block.id]), later).unwrap(), 0);
        assert_eq!(blocks.sweep(&BTreeSet::new(), SystemTime::now()).unwrap(), 0, "it may be in use");
        assert_eq!(blocks.sweep(&BTreeSet::new(), later).unwrap(), 1);
    }
}
