use std::io;
use std::path::{Path, PathBuf};

/// A write that did not happen: what was attempted, and on which path.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// The operating system refused.
    #[error("could not {action} {path}: {cause}")]
    Io {
        /// Such as `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Somebody else holds the lock.
    #[error("{path} is locked by another process; wait for it to end")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A record that does not fit its slot.
    #[error("{path}: a record of {size} bytes does not fit the {capacity} bytes kept for it")]
    TooLarge {
        /// The slot file.
        path: PathBuf,
        /// Of the record.
        size: usize,
        /// Of a slot.
        capacity: usize,
    },
}

impl DurableError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }

    /// Whether the disk, or the user's quota, was full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if is_full(cause))
    }
}

/// Whether an error means that the disk, or the user's quota, is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
