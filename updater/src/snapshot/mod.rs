//! A copy of everything that an update may change, and the way back that runs no maintainer script.
//!
//! Measured on real dpkg, reinstalling the old package brings back the old tree almost never; copying away what
//! may change and writing it back does, also when the power fails while it is written back.

mod audit;
mod capture;
mod contents;
mod manifest;
mod restore;
mod room;
mod rooted;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use audit::{changed_outside, is_part_of_the_system};
pub(crate) use capture::{Captured, capture, flush, release_subvolume};
pub(crate) use manifest::{discard, load};
pub(crate) use restore::restore;
pub(crate) use scope::{PackageFootprint, Scope, displaced_packages};

use crate::system::SubvolumeError;
use durable_files::DurableError;
use std::io;
use std::path::{Path, PathBuf};

/// A snapshot that could not be taken or put back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("could not {action} {path}: {cause}")]
    Io { action: &'static str, path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Durable(#[from] DurableError),
    #[error(transparent)]
    Subvolume(#[from] SubvolumeError),
    #[error("{path}: the snapshot's list of files cannot be read: {cause}")]
    Manifest { path: PathBuf, cause: serde_json::Error },
    #[error("{path} leads through more than 40 symbolic links")]
    SymlinkLoop { path: PathBuf },
    #[error(
        "there is not enough room in {path}: {needed} bytes are needed to copy away what will change and to unpack the new version, {free} are free; free some and try again"
    )]
    NoRoom { path: PathBuf, needed: u64, free: u64 },
    #[error(
        "there is not enough room in {path}: {needed} files may be made by the snapshot and the new version, and the file system takes {free} more (`df -i`); remove some and try again"
    )]
    NoInodes { path: PathBuf, needed: u64, free: u64 },
}

impl SnapshotError {
    /// Whether the disk, or root's quota, was full.
    fn is_full(&self) -> bool {
        match self {
            Self::Io { cause, .. } => durable_files::is_full(cause),
            Self::Durable(error) => error.is_full(),
            _ => false,
        }
    }
}

fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SnapshotError + 'a {
    move |cause| SnapshotError::Io { action, path: path.to_owned(), cause }
}
