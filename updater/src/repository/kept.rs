//! The last index that was believed, kept so that an idle poll costs one answer "not modified". It lies on the
//! device's disk and is verified again whenever it is used; what is damaged is fetched again.

use super::transfer::Validators;
use debian_formats::checksums::sha256_hex;
use debian_formats::limits::Limits;
use debian_formats::names::SuiteName;
use debian_formats::release::IndexFile;
use durable_files::DurableError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// An InRelease as a server once sent it.
#[derive(Debug, Clone)]
pub(super) struct KeptRelease {
    pub(super) inrelease: String,
    pub(super) validators: Validators,
}

/// The first line of the file; the InRelease follows it, so that both are replaced at once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Heading {
    repository: String,
    validators: Validators,
}

/// Longest first line, in bytes.
const MAX_HEADING: u64 = 16 << 10;

/// The folder of one suite's kept index.
#[derive(Debug, Clone)]
pub(crate) struct KeptIndex {
    folder: PathBuf,
}

impl KeptIndex {
    /// Below this folder.
    pub(crate) fn of(folder: &Path, suite: &SuiteName) -> Self {
        Self { folder: folder.join(suite.as_str()) }
    }

    /// The InRelease that this repository sent, if it is there and whole enough to be looked at.
    pub(super) fn release(&self, repository: &str) -> Option<KeptRelease> {
        let bytes = read_bounded(&self.inrelease(), Limits::DEFAULT.release_bytes + MAX_HEADING)?;
        let text = String::from_utf8(bytes).ok()?;
        let (heading, inrelease) = text.split_once('\n')?;
        let heading: Heading = serde_json::from_str(heading).ok()?;
        (heading.repository == repository)
            .then(|| KeptRelease { inrelease: inrelease.to_owned(), validators: heading.validators })
    }

    /// An index file, if it is there with the size and the hash that a Release names.
    pub(super) fn file(&self, file: &IndexFile) -> Option<Vec<u8>> {
        let bytes = read_bounded(&self.folder.join(&file.sha256), file.size)?;
        (bytes.len() as u64 == file.size && sha256_hex(&bytes) == file.sha256).then_some(bytes)
    }

    /// Keeps an index file and forgets all others.
    pub(super) fn keep_file(&self, file: &IndexFile, bytes: &[u8]) -> Result<(), DurableError> {
        durable_files::create_dir(&self.folder, 0o700)?;
        let others = self.folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        for other in others.filter(|path| *path != self.inrelease()) {
            durable_files::remove(&other)?;
        }
        durable_files::replace(&self.folder.join(&file.sha256), bytes, 0o600)
    }

    /// Keeps an InRelease; without validators there is nothing to ask with, and so nothing to keep.
    pub(super) fn keep_release(
        &self,
        repository: &str,
        inrelease: &str,
        validators: &Validators,
    ) -> Result<(), DurableError> {
        let heading = Heading { repository: repository.to_owned(), validators: validators.clone() };
        let (false, Ok(heading)) = (*validators == Validators::default(), serde_json::to_string(&heading)) else {
            return durable_files::remove(&self.inrelease());
        };
        durable_files::create_dir(&self.folder, 0o700)?;
        durable_files::replace(&self.inrelease(), format!("{heading}\n{inrelease}").as_bytes(), 0o600)
    }

    fn inrelease(&self) -> PathBuf {
        self.folder.join("InRelease")
    }
}

fn read_bounded(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}
