//! Bringing packages here, whole and verified.

use crate::repository::{Client, FetchError, PackageError, VerifiedPackage, verify_by_list, verify_package};
use crate::system::{Apt, AptError, ExactVersion};
use crate::transaction::PlannedPackage;
use debian_formats::checksums::Checksums;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::Keyring;
use debian_formats::packages::PackageEntry;
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
    #[error(transparent)]
    Apt(#[from] AptError),
    #[error("could not read {path}: {cause}")]
    Read { path: PathBuf, cause: io::Error },
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
        entry: &PackageEntry,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<VerifiedPackage, DownloadError> {
        durable_files::create_dir(&self.folder, 0o700)?;
        self.take_from_ahead(entry)?;
        self.fetch_into(&self.folder, client, planned, entry, trusted, required)
    }

    /// The same for an update that may not begin yet; what was brought here before and is not wanted any more goes.
    pub(crate) fn fetch_ahead(
        &self,
        client: &Client,
        planned: &PlannedPackage,
        entry: &PackageEntry,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<(), DownloadError> {
        durable_files::create_dir(&self.ahead, 0o700)?;
        let verified = self.fetch_into(&self.ahead, client, planned, entry, trusted, required)?;
        // It is made anew when the time has come; until then only room would be lost.
        Ok(verified.uncompressed().map_or(Ok(()), durable_files::remove)?)
    }

    /// Whether a package needs no download. Its content is looked at when it is installed.
    pub(crate) fn has(&self, planned: &PlannedPackage, entry: &PackageEntry) -> bool {
        let ours = [&self.folder, &self.ahead].map(|folder| folder.join(whole(entry)));
        ours.iter().any(|path| path.exists()) || self.in_apt_cache(planned, entry).is_some()
    }

    fn fetch_into(
        &self,
        folder: &Path,
        client: &Client,
        planned: &PlannedPackage,
        entry: &PackageEntry,
        trusted: &Keyring,
        required: &[SignatureRole],
    ) -> Result<VerifiedPackage, DownloadError> {
        let (part, whole) = (folder.join(part(entry)), folder.join(whole(entry)));
        if !whole.exists() {
            if !self.take_from_apt_cache(planned, entry, &part)? {
                client.download(entry.filename(), &part, entry.size())?;
            }
            durable_files::rename(&part, &whole)?;
        }
        let verified = verify_package(&whole, planned, entry, trusted, required);
        if verified.is_err() {
            // Nothing can be continued from a file that is wrong.
            durable_files::remove(&whole)?;
        }
        Ok(verified?)
    }

    /// Brings packages of the device's own sources here, by apt, and verifies them.
    pub(crate) fn fetch_by_apt(
        &self,
        apt: &Apt,
        packages: &[(&PlannedPackage, &PackageEntry)],
    ) -> Result<Vec<VerifiedPackage>, DownloadError> {
        durable_files::create_dir(&self.folder, 0o700)?;
        packages.iter().try_for_each(|(_, entry)| self.take_from_ahead(entry))?;
        self.fetch_by_apt_into(&self.folder, apt, packages)
    }

    /// The same for an update that may not begin yet.
    pub(crate) fn fetch_ahead_by_apt(
        &self,
        apt: &Apt,
        packages: &[(&PlannedPackage, &PackageEntry)],
    ) -> Result<(), DownloadError> {
        durable_files::create_dir(&self.ahead, 0o700)?;
        self.fetch_by_apt_into(&self.ahead, apt, packages).map(drop)
    }

    fn fetch_by_apt_into(
        &self,
        folder: &Path,
        apt: &Apt,
        packages: &[(&PlannedPackage, &PackageEntry)],
    ) -> Result<Vec<VerifiedPackage>, DownloadError> {
        let mut missing = Vec::new();
        for (planned, entry) in packages {
            let (part, whole) = (folder.join(part(entry)), folder.join(whole(entry)));
            if whole.exists() {
            } else if self.take_from_apt_cache(planned, entry, &part)? {
                durable_files::rename(&part, &whole)?;
            } else {
                missing.push((*planned, *entry));
            }
        }
        if !missing.is_empty() {
            let wishes: Vec<ExactVersion> = missing.iter().map(|(planned, _)| ExactVersion::exactly(planned)).collect();
            // apt names the files its own way; here the content decides.
            for found in apt.download(&wishes, missing.iter().map(|(_, entry)| entry.size()).sum())? {
                let digest = digest(&found)?;
                if let Some((_, entry)) = missing.iter().find(|(_, entry)| entry.sha256() == digest) {
                    durable_files::rename(&found, &folder.join(whole(entry)))?;
                }
            }
        }
        let verify = |(planned, entry): &(&PlannedPackage, &PackageEntry)| {
            let whole = folder.join(whole(entry));
            let verified = verify_by_list(&whole, planned, entry);
            if verified.is_err() && whole.exists() {
                durable_files::remove(&whole)?;
            }
            Ok(verified?)
        };
        packages.iter().map(verify).collect()
    }

    /// What was brought here before the update could begin, whole or not.
    fn take_from_ahead(&self, entry: &PackageEntry) -> Result<(), DurableError> {
        for name in [whole(entry), part(entry)] {
            let (ahead, here) = (self.ahead.join(&name), self.folder.join(&name));
            if !here.exists() && ahead.exists() {
                durable_files::rename(&ahead, &here)?;
            }
        }
        Ok(())
    }

    /// Copies the file that apt has already, if it has; false otherwise.
    fn take_from_apt_cache(
        &self,
        planned: &PlannedPackage,
        entry: &PackageEntry,
        to: &Path,
    ) -> Result<bool, DownloadError> {
        let Some(mut cached) = self.in_apt_cache(planned, entry) else { return Ok(false) };
        tracing::info!("taking {} {} from apt's cache", planned.name, planned.to);
        let write_error = |cause| FetchError::Write { path: to.to_owned(), cause };
        let mut file = File::create(to).map_err(write_error)?;
        io::copy(&mut cached, &mut file).and_then(|_| file.sync_all()).map_err(write_error)?;
        Ok(true)
    }

    /// The file that apt would have downloaded, if it has the right content. It is copied, not linked: what was
    /// verified must not change behind our back.
    fn in_apt_cache(&self, planned: &PlannedPackage, entry: &PackageEntry) -> Option<File> {
        // apt writes the colon of an epoch so (`QuoteString` of the version).
        let version = planned.to.as_str().replace(':', "%3a");
        let path = self.apt_cache.join(format!("{}_{version}_{}.deb", planned.name, planned.architecture));
        let metadata = path.symlink_metadata().ok()?;
        if !metadata.is_file() || metadata.len() != entry.size() {
            return None;
        }
        let mut file = File::open(path).ok()?;
        let checksums = Checksums::of_reader(&mut file).ok()?;
        let fits = checksums.size == entry.size() && checksums.sha256 == entry.sha256();
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

fn whole(entry: &PackageEntry) -> String {
    format!("{}.deb", entry.sha256())
}

fn part(entry: &PackageEntry) -> String {
    format!("{}.part", entry.sha256())
}

fn digest(path: &Path) -> Result<String, DownloadError> {
    let read = || Checksums::of_reader(File::open(path)?);
    read().map(|found| found.sha256).map_err(|cause| DownloadError::Read { path: path.to_owned(), cause })
}
