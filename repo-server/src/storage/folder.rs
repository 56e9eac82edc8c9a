//! Stored files in a folder of this machine.

use super::{Key, Listed, StorageError};
use bytes::Bytes;
use durable_files::{DurableError, Nameless, Unplaced, sync_files_of};
use jiff::Timestamp;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Flushing the whole file system also waits for what others wrote to it.
const FEW: usize = 8;

/// All of it blocks.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    pub(super) fn put(&self, key: &Key, content: &[u8]) -> Result<(), StorageError> {
        let target = self.prepared(key)?;
        let file = Nameless::new(&target)?;
        file.file().write_all(content).map_err(|cause| DurableError::Io { action: "write", path: target, cause })?;
        Ok(file.commit(0o644)?)
    }

    /// Puts files in place: a few are flushed one by one, many together.
    pub(super) fn put_files(&self, files: Vec<(Key, Unplaced)>) -> Result<(), StorageError> {
        if files.len() <= FEW {
            for (key, file) in files {
                let target = self.prepared(&key)?;
                file.with_target(&target).commit(0o644)?;
            }
            return Ok(());
        }
        for (key, file) in files {
            let target = self.path(&key);
            if let Some(folder) = target.parent() {
                let failed = |cause| DurableError::Io { action: "create", path: folder.to_owned(), cause };
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            file.with_target(&target).place(0o644)?;
        }
        Ok(sync_files_of(&self.root)?)
    }

    /// The path of a key whose folder is there.
    fn prepared(&self, key: &Key) -> Result<PathBuf, StorageError> {
        let target = self.path(key);
        if let Some(folder) = target.parent() {
            durable_files::create_dir(folder, 0o755)?;
        }
        Ok(target)
    }

    pub(super) fn get(&self, key: &Key, limit: u64) -> Result<Option<Bytes>, StorageError> {
        let path = self.path(key);
        let mut content = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| {
            // No more than it needs: what is read is kept for long.
            let size = file.metadata()?.len().min(limit);
            content.reserve_exact(usize::try_from(size).unwrap_or_default() + 1);
            file.take(limit + 1).read_to_end(&mut content)
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(DurableError::Io { action: "read", path, cause }.into()),
            Ok(length) if length as u64 > limit => Err(StorageError::TooLarge { place: key.to_string(), limit }),
            Ok(_) => Ok(Some(content.into_boxed_slice().into())),
        }
    }

    pub(super) fn delete(&self, key: &Key) -> Result<(), StorageError> {
        let path = self.path(key);
        // Without its folder there is nothing to make durable, either.
        if path.parent().is_some_and(|folder| !folder.exists()) {
            return Ok(());
        }
        Ok(durable_files::remove(&path)?)
    }

    pub(super) fn list(&self, prefix: &Key) -> Result<Vec<Listed>, StorageError> {
        let mut found = Vec::new();
        let mut folders = vec![prefix.as_str().to_owned()];
        while let Some(folder) = folders.pop() {
            let path = self.root.join(&folder);
            let fail = |cause| DurableError::Io { action: "look into", path: path.clone(), cause };
            let entries = match path.read_dir() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(fail)?,
            };
            for entry in entries {
                let entry = entry.map_err(fail)?;
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                let metadata = match entry.metadata() {
                    // Removed in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.map_err(fail)?,
                };
                if metadata.is_dir() {
                    folders.push(name);
                } else if let Ok(key) = name.parse() {
                    let modified = metadata.modified().map_err(fail)?;
                    found.push(Listed { key, modified: Timestamp::try_from(modified).unwrap_or(Timestamp::MAX) });
                }
            }
        }
        Ok(found)
    }
}
