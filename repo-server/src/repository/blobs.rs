//! Index files on disk, named by their SHA-256. A file that is there is whole.

use bytes::Bytes;
use debian_formats::checksums::sha256_hex;
use durable_files::DurableError;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

#[derive(Debug, Clone)]
pub(super) struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes those that are not there yet, durably.
    pub(super) fn write(&self, blobs: &BTreeMap<String, Bytes>) -> Result<(), DurableError> {
        for (sha256, content) in blobs {
            let path = self.folder.join(sha256);
            if !path.exists() {
                durable_files::replace(&path, content, 0o644)?;
            }
        }
        Ok(())
    }

    /// The content, if it is there and undamaged.
    pub(super) fn read(&self, sha256: &str) -> io::Result<Option<Bytes>> {
        match std::fs::read(self.folder.join(sha256)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(content) => Ok((sha256_hex(&content) == sha256).then(|| content.into())),
        }
    }

    /// Removes one that was found damaged, so that it is written again.
    pub(super) fn discard(&self, sha256: &str) -> Result<(), DurableError> {
        durable_files::remove(&self.folder.join(sha256))
    }

    /// Removes what no generation needs, and what a crash left unfinished. Says how many files went.
    pub(super) fn sweep(&self, needed: &BTreeSet<String>) -> io::Result<usize> {
        let mut removed = 0;
        for entry in self.folder.read_dir()? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| needed.contains(name)) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_blob_is_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let sha256 = sha256_hex(b"text");
        assert_eq!(blobs.read(&sha256).unwrap(), None);
        blobs.write(&[(sha256.clone(), Bytes::from_static(b"text"))].into()).unwrap();
        assert_eq!(blobs.read(&sha256).unwrap().unwrap(), "text");
        durable_files::replace(&folder.path().join(&sha256), b"torn", 0o644).unwrap();
        assert_eq!(blobs.read(&sha256).unwrap(), None);
        assert_eq!(blobs.sweep(&BTreeSet::from([sha256])).unwrap(), 0);
        assert_eq!(blobs.sweep(&BTreeSet::new()).unwrap(), 1);
    }
}
