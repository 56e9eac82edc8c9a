//! Bringing packages here, whole and verified.

use crate::repository::{Client, FetchError, PackageError, VerifiedPackage, verify_package};
use crate::transaction::PlannedPackage;
use debian_formats::checksums::Checksums;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::Keyring;
use durable_files::DurableError;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

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

/// Where apt keeps what it downloaded, within the device's root.
const APT_CACHE: &str = "var/cache/apt/archives";

/// The folders of downloads. A file is named by the SHA-256 it must have, so one that is cut off is continued by
/// whoever asks for the same content.
#[derive(Debug)]
pub(crate) struct Downloads {
    /// Of the transaction under way.
    folder: PathBuf,
    /// Of updates that wait for their time.
    ahead: PathBuf,
    apt_cache: PathBuf,
}

impl Downloads {
    pub(crate) fn new(folder: PathBuf, ahead: PathBuf, root: &Path) -> Self {
        Self { folder, ahead, apt_cache: root.join(APT_CACHE) }
    }

    /// Brings a package here, from where it lies already or from the repository, going on where an earlier attempt
    /// ended, and verifies it.
    pub(crate) fn fetch(
        &self,
        client: &Client,
        planned: &PlannedPackage,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<VerifiedPackage, DownloadError> {
        durable_files::create_dir(&self.folder, 0o700)?;
        for name in [whole(planned), part(planned)] {
            let (ahead, here) = (self.ahead.join(&name), self.folder.join(&name));
            if !here.exists() && ahead.exists() {
                durable_files::rename(&ahead, &here)?;
            }
        }
        self.fetch_into(&self.folder, client, planned, trusted, required)
    }

    /// The same for an update that may not begin yet; what was brought here before and is not wanted any more goes.
    pub(crate) fn fetch_ahead(
        &self,
        client: &Client,
        planned: &PlannedPackage,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<(), DownloadError> {
        durable_files::create_dir(&self.ahead, 0o700)?;
        self.fetch_into(&self.ahead, client, planned, trusted, required).map(drop)
    }

    /// Whether a package needs no download. Its content is looked at when it is installed.
    pub(crate) fn has(&self, planned: &PlannedPackage) -> bool {
        let ours = [&self.folder, &self.ahead].map(|folder| folder.join(whole(planned)));
        ours.iter().any(|path| path.exists()) || self.in_apt_cache(planned).is_some()
    }

    fn fetch_into(
        &self,
        folder: &Path,
        client: &Client,
        planned: &PlannedPackage,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<VerifiedPackage, DownloadError> {
        let (part, whole) = (folder.join(part(planned)), folder.join(whole(planned)));
        if !whole.exists() {
            if let Some(mut cached) = self.in_apt_cache(planned) {
                tracing::info!("taking {} {} from apt's cache", planned.name, planned.to);
                let write_error = |cause| FetchError::Write { path: part.clone(), cause };
                let mut file = File::create(&part).map_err(write_error)?;
                io::copy(&mut cached, &mut file).and_then(|_| file.sync_all()).map_err(write_error)?;
            } else {
                client.download(&planned.filename, &part, planned.size)?;
            }
            durable_files::rename(&part, &whole)?;
        }
        let verified = verify_package(&whole, planned, trusted, required);
        if verified.is_err() {
            // Nothing can be continued from a file that is wrong.
            durable_files::remove(&whole)?;
        }
        Ok(verified?)
    }

    /// The file that apt would have downloaded, if it has the right content. It is copied, not linked: what was
    /// verified must not change behind our back.
    fn in_apt_cache(&self, planned: &PlannedPackage) -> Option<File> {
        // apt writes the colon of an epoch so (`QuoteString` of the version).
        let version = planned.to.as_str().replace(':', "%3a");
        let path = self.apt_cache.join(format!("{}_{version}_{}.deb", planned.name, planned.architecture));
        let metadata = path.symlink_metadata().ok()?;
        if !metadata.is_file() || metadata.len() != planned.size {
            return None;
        }
        let mut file = File::open(path).ok()?;
        let checksums = Checksums::of_reader(&mut file).ok()?;
        let fits = checksums.size == planned.size && checksums.sha256 == planned.sha256;
        (fits && file.seek(SeekFrom::Start(0)).is_ok()).then_some(file)
    }

    /// Removes what was brought here for updates that wait no more, but for these.
    pub(crate) fn clear_ahead(&self, waiting: &[String]) -> Result<(), DurableError> {
        let is_waiting = |path: &Path| {
            let sha256 = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            waiting.iter().any(|wanted| wanted == sha256)
        };
        let files = self.ahead.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|path| !is_waiting(path)).try_for_each(|path| durable_files::remove(&path))
    }

    /// Removes the downloads of the transaction under way.
    pub(crate) fn clear(&self) -> io::Result<()> {
        remove_folder(&self.folder)
    }

    /// Removes also those of updates that wait.
    pub(crate) fn clear_all(&self) -> io::Result<()> {
        remove_folder(&self.folder).and(remove_folder(&self.ahead))
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn whole(planned: &PlannedPackage) -> String {
    format!("{}.deb", planned.sha256)
}

fn part(planned: &PlannedPackage) -> String {
    format!("{}.part", planned.sha256)
}
