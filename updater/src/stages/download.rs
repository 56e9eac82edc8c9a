//! Bringing packages here, whole and verified.

use crate::repository::{Client, FetchError, PackageError, VerifiedPackage, verify_package};
use crate::transaction::PlannedPackage;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::Keyring;
use durable_files::DurableError;
use std::path::PathBuf;

/// Why a package did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Keep(#[from] DurableError),
}

/// The folder of downloads. A file is named by the SHA-256 it must have, so one that is cut off is continued by
/// whoever asks for the same content.
#[derive(Debug)]
pub(crate) struct Downloads {
    folder: PathBuf,
}

impl Downloads {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Downloads a package, going on where an earlier attempt ended, and verifies it.
    pub(crate) fn fetch(
        &self,
        client: &Client,
        planned: &PlannedPackage,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<VerifiedPackage, DownloadError> {
        durable_files::create_dir(&self.folder, 0o700)?;
        let part = self.folder.join(format!("{}.part", planned.sha256));
        let whole = self.folder.join(format!("{}.deb", planned.sha256));
        if !whole.exists() {
            client.download(&planned.filename, &part, planned.size)?;
            durable_files::rename(&part, &whole)?;
        }
        let verified = verify_package(&whole, planned, trusted, required);
        if verified.is_err() {
            // Nothing can be continued from a file that is wrong.
            durable_files::remove(&whole)?;
        }
        Ok(verified?)
    }

    /// Removes all downloads.
    pub(crate) fn clear(&self) -> std::io::Result<()> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
