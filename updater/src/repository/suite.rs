//! A suite's index: InRelease, then the Packages that it vouches for.

use super::client::{Client, FetchError};
use crate::memory::{Memory, MemoryError};
use debian_formats::checksums::sha256_hex;
use debian_formats::limits::Limits;
use debian_formats::names::SuiteName;
use debian_formats::openpgp::Keyring;
use debian_formats::packages::{IndexError, PackageEntry};
use debian_formats::packed::unpacked;
use debian_formats::release::{IndexFile, ReleaseError, VerifiedRelease};
use debian_formats::{Architecture, PackageName};
use jiff::Timestamp;
use std::io::Read;

/// Why a suite's index is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuiteError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("refused the suite {suite}: {cause}")]
    Release { suite: SuiteName, cause: ReleaseError },
    #[error("refused the suite {suite}: InRelease is not text")]
    NotText { suite: SuiteName },
    #[error("the suite {suite} holds no packages for the architecture {architecture}")]
    NoIndex { suite: SuiteName, architecture: Architecture },
    #[error("refused {path} of the suite {suite}: {problem}")]
    IndexFile { suite: SuiteName, path: String, problem: String },
    #[error("refused the suite {suite}: {cause}")]
    Index { suite: SuiteName, cause: IndexError },
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// A Packages index whose whole chain up to a pinned repository key was checked. Only [`fetch_index`] makes one.
#[derive(Debug)]
pub(crate) struct Index {
    suite: SuiteName,
    text: String,
}

impl Index {
    /// The entries of one package.
    pub(crate) fn entries(&self, name: &PackageName) -> Result<Vec<PackageEntry>, SuiteError> {
        PackageEntry::find_in_index(&self.text, name)
            .map_err(|cause| SuiteError::Index { suite: self.suite.clone(), cause })
    }
}

/// Fetches and verifies a suite's index for one architecture, and remembers its Date.
pub(crate) fn fetch_index(
    client: &Client,
    trusted: &Keyring,
    suite: &SuiteName,
    architecture: &Architecture,
    memory: &mut Memory,
    clock: Timestamp,
) -> Result<Index, SuiteError> {
    let limits = Limits::DEFAULT;
    let inrelease = client.fetch(&format!("dists/{suite}/InRelease"), limits.release_bytes)?;
    let inrelease = String::from_utf8(inrelease).map_err(|_| SuiteError::NotText { suite: suite.clone() })?;
    let refused = |cause| SuiteError::Release { suite: suite.clone(), cause };
    let release = VerifiedRelease::verify(&inrelease, trusted, suite).map_err(refused)?;
    release.check_fresh(clock, memory.newest_release(suite)).map_err(refused)?;
    let text = fetch_packages(client, &release, suite, architecture, &limits)?;
    memory.saw_release(suite, release.release().date)?;
    Ok(Index { suite: suite.clone(), text })
}

/// The best compression that the Release offers; its hash and that of the plain text are both checked.
fn fetch_packages(
    client: &Client,
    release: &VerifiedRelease,
    suite: &SuiteName,
    architecture: &Architecture,
    limits: &Limits,
) -> Result<String, SuiteError> {
    let plain_path = format!("main/binary-{architecture}/Packages");
    let no_index = || SuiteError::NoIndex { suite: suite.clone(), architecture: architecture.clone() };
    let plain = release.file(&plain_path).ok_or_else(no_index)?;
    let packed = [".xz", ".gz"].iter().find_map(|ending| release.file(&format!("{plain_path}{ending}")));
    let file = packed.unwrap_or(plain);
    let bad = |file: &IndexFile, problem: &str| SuiteError::IndexFile {
        suite: suite.clone(),
        path: file.path.clone(),
        problem: problem.to_owned(),
    };
    if plain.size > limits.packages_index_bytes || file.size > limits.packages_index_bytes {
        return Err(bad(plain, "it is larger than this device takes"));
    }
    let bytes = client.fetch(&format!("dists/{suite}/{}", file.by_hash_path()), file.size)?;
    if bytes.len() as u64 != file.size || sha256_hex(&bytes) != file.sha256 {
        return Err(bad(file, "its size or SHA-256 is not what the signed Release says"));
    }
    let text = unpack(&bytes, &file.path, plain.size).map_err(|error| bad(file, &error.to_string()))?;
    if text.len() as u64 != plain.size || sha256_hex(&text) != plain.sha256 {
        return Err(bad(plain, "its size or SHA-256 is not what the signed Release says"));
    }
    String::from_utf8(text).map_err(|_| bad(plain, "it is not UTF-8"))
}

fn unpack(bytes: &[u8], path: &str, size: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more than promised, so that too much is noticed.
    unpacked(path, bytes)?.take(size.saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}
