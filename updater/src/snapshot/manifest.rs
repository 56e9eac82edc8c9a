//! The list of what a snapshot holds. It is written last: a snapshot without it was never finished.

use super::{SnapshotError, at, contents};
use crate::transaction::Transaction;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path relative to the root. A name that is not UTF-8 is written as its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "PathText", into = "PathText")]
pub(super) struct RootedPath(pub(super) PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<PathText> for RootedPath {
    fn from(text: PathText) -> Self {
        Self(match text {
            PathText::Text(text) => text.into(),
            PathText::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

impl From<RootedPath> for PathText {
    fn from(path: RootedPath) -> Self {
        match path.0.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.0.as_os_str().as_bytes().to_vec()),
        }
    }
}

/// What a path was when the snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Node {
    /// Nothing was there.
    Absent,
    Present(Present),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Present {
    pub(super) kind: Kind,
    pub(super) metadata: Metadata,
    pub(super) identity: Identity,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Its content is the snapshot's file of this number; without one, the file of the same path in the snapshot of
    /// the root's subvolume.
    File {
        content: Option<u64>,
    },
    /// Another name of a file that comes before it in the list.
    HardLink {
        to: RootedPath,
    },
    Directory,
    Symlink {
        target: RootedPath,
    },
    /// A device, a named pipe or a socket; `mode` holds its type.
    Special {
        mode: u32,
        device: u64,
    },
}

/// All that is put back besides the content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Metadata {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, i64),
    /// Names and values; they carry capabilities and ACLs.
    pub(super) xattrs: Vec<(RootedPath, Vec<u8>)>,
}

/// An inode that still has these is untouched: nobody can set a ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) ctime: (i64, i64),
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The transaction before which it was taken.
    pub(crate) transaction: Transaction,
    /// Units that the packages hold, before or after the update.
    pub(crate) units: Vec<String>,
    /// Those of them that were active.
    pub(crate) active_units: Vec<String>,
    pub(super) trees: Vec<RootedPath>,
    /// Left alone, with all below.
    pub(super) excluded: Vec<RootedPath>,
    pub(super) entries: Vec<(RootedPath, Node)>,
}

impl Manifest {
    /// What was there, folders before what lies in them.
    pub(super) fn present(&self) -> BTreeMap<&Path, &Present> {
        let there = self.entries.iter().filter_map(|(path, node)| match node {
            Node::Present(present) => Some((path.0.as_path(), present)),
            Node::Absent => None,
        });
        there.collect()
    }

    pub(super) fn excluded(&self) -> BTreeSet<PathBuf> {
        self.excluded.iter().map(|path| path.0.clone()).collect()
    }
}

const MANIFEST: &str = "manifest.json";

/// Where the list is kept.
pub(super) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join(MANIFEST)
}

/// Reads a finished snapshot's list; none if there is no finished snapshot.
pub(crate) fn load(folder: &Path) -> Result<Option<Manifest>, SnapshotError> {
    let path = manifest_path(folder);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|cause| SnapshotError::Manifest { path, cause }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("read", &path)(error)),
    }
}

/// Writes the list, durably.
pub(super) fn write(folder: &Path, manifest: &Manifest) -> Result<(), SnapshotError> {
    let path = manifest_path(folder);
    let bytes = serde_json::to_vec(manifest).map_err(|cause| SnapshotError::Manifest { path: path.clone(), cause })?;
    Ok(durable_files::replace(&path, &bytes, 0o600)?)
}

/// Forgets a snapshot: the list first, so that half of one is none.
pub(crate) fn discard(folder: &Path) -> Result<(), SnapshotError> {
    if folder.exists() {
        durable_files::remove(&manifest_path(folder))?;
        contents::remove_subvolume(folder)?;
        std::fs::remove_dir_all(folder).map_err(at("remove", folder))?;
    }
    Ok(())
}
