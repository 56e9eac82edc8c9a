//! A suite's index: InRelease, then the Packages that it vouches for.

use super::client::Client;
use super::kept::KeptIndex;
use super::transfer::{Answer, FetchError, Validators};
use crate::memory::{Memory, MemoryError};
use debian_formats::checksums::sha256_hex;
use debian_formats::limits::Limits;
use debian_formats::names::SuiteName;
use debian_formats::openpgp::Keyring;
use debian_formats::packages::{IndexError, PackageEntry};
use debian_formats::packed::unpacked;
use debian_formats::release::{IndexFile, ReleaseError, VerifiedRelease};
use debian_formats::{Architecture, PackageName};
use durable_files::DurableError;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

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

impl SuiteError {
    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// A Packages index whose whole chain up to a pinned repository key was checked. Only [`Suite::index`] makes one.
#[derive(Debug)]
pub(crate) struct Index {
    suite: SuiteName,
    text: String,
}

impl Index {
    /// The whole of it, but of these packages only these versions.
    pub(crate) fn narrowed_to<'a>(&'a self, entries: &[&PackageEntry]) -> impl Iterator<Item = &'a str> {
        let lines = |entry: &&PackageEntry| {
            (format!("Package: {}", entry.control().package()), format!("SHA256: {}", entry.sha256()))
        };
        let wanted: Vec<(String, String)> = entries.iter().map(lines).collect();
        let is_kept = move |stanza: &&str| {
            let has = |wanted: &str| stanza.lines().any(|line| line.eq_ignore_ascii_case(wanted));
            wanted.iter().all(|(name, content)| !has(name) || has(content))
        };
        self.text.split_inclusive("\n\n").filter(is_kept)
    }

    /// The entries of these packages.
    pub(crate) fn entries_of(&self, names: &BTreeSet<&PackageName>) -> Result<Vec<PackageEntry>, SuiteError> {
        PackageEntry::find_all_in_index(&self.text, |name| names.iter().any(|wanted| wanted.as_str() == name))
            .map_err(|cause| SuiteError::Index { suite: self.suite.clone(), cause })
    }

    /// The entries of one package.
    pub(crate) fn entries(&self, name: &PackageName) -> Result<Vec<PackageEntry>, SuiteError> {
        PackageEntry::find_in_index(&self.text, name)
            .map_err(|cause| SuiteError::Index { suite: self.suite.clone(), cause })
    }
}

/// A suite whose Release is signed, fresh and not older than any seen before.
#[derive(Debug)]
pub(crate) struct Suite {
    name: SuiteName,
    release: VerifiedRelease,
    inrelease: String,
    /// What the server said of a Release that is not the kept one.
    news: Option<Validators>,
    kept: Option<KeptIndex>,
}

impl Suite {
    /// Asks for the suite's Release, or whether the kept one is still the newest, and verifies it either way: an
    /// answer "not modified" makes nothing fresh.
    pub(crate) fn fetch(
        client: &Client,
        trusted: &Keyring,
        name: &SuiteName,
        kept: Option<KeptIndex>,
        memory: &Memory,
        clock: Timestamp,
    ) -> Result<Self, SuiteError> {
        let verify = |inrelease: &str| VerifiedRelease::verify(inrelease, trusted, name);
        let known = kept.as_ref().and_then(|kept| kept.release(client.identity()));
        // One that the keys of today do not vouch for is not asked about.
        let known = known.and_then(|known| Some((verify(&known.inrelease).ok()?, known)));
        let validators = known.as_ref().map(|(_, known)| known.validators.clone()).unwrap_or_default();
        let path = format!("dists/{name}/InRelease");
        let refused = |cause| SuiteError::Release { suite: name.clone(), cause };
        let (release, inrelease, news) =
            match (client.fetch_if_new(&path, Limits::DEFAULT.release_bytes, &validators)?, known) {
                (Answer::NotModified, Some((release, known))) => (release, known.inrelease, None),
                // It was asked only where there is a known one.
                (Answer::NotModified, None) => return Err(SuiteError::NotText { suite: name.clone() }),
                (Answer::New(bytes, validators), _) => {
                    let text = String::from_utf8(bytes).map_err(|_| SuiteError::NotText { suite: name.clone() })?;
                    (verify(&text).map_err(refused)?, text, Some(validators))
                }
            };
        release.check_fresh(clock, memory.newest_release(name)).map_err(refused)?;
        Ok(Self { name: name.clone(), release, inrelease, news, kept })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &SuiteName {
        &self.name
    }

    /// What tells this state of the suite from any other.
    pub(crate) fn digest(&self) -> String {
        sha256_hex(self.inrelease.as_bytes())
    }

    /// The index for one architecture, fetched where the kept one is another; remembers the suite's Date.
    pub(crate) fn index(
        &self,
        client: &Client,
        architecture: &Architecture,
        memory: &mut Memory,
    ) -> Result<Index, SuiteError> {
        let text = self.packages(client, architecture)?;
        if let (Some(kept), Some(validators)) = (&self.kept, &self.news) {
            tell_of(kept.keep_release(client.identity(), &self.inrelease, validators));
        }
        memory.saw_release(&self.name, self.release.release().date)?;
        Ok(Index { suite: self.name.clone(), text })
    }

    /// The best compression that the Release offers; its hash and that of the plain text are both checked.
    fn packages(&self, client: &Client, architecture: &Architecture) -> Result<String, SuiteError> {
        let limit = Limits::DEFAULT.packages_index_bytes;
        let plain_path = format!("main/binary-{architecture}/Packages");
        let no_index = || SuiteError::NoIndex { suite: self.name.clone(), architecture: architecture.clone() };
        let plain = self.release.file(&plain_path).ok_or_else(no_index)?;
        let packed = [".xz", ".gz"].iter().find_map(|ending| self.release.file(&format!("{plain_path}{ending}")));
        let file = packed.unwrap_or(plain);
        if plain.size > limit || file.size > limit {
            return Err(self.bad(plain, "it is larger than this device takes"));
        }
        let bytes = match self.kept.as_ref().and_then(|kept| kept.file(file)) {
            Some(bytes) => bytes,
            None => {
                let bytes = self.fetch_file(client, file)?;
                if let Some(kept) = &self.kept {
                    tell_of(kept.keep_file(file, &bytes));
                }
                bytes
            }
        };
        let text = unpack(&bytes, &file.path, plain.size).map_err(|error| self.bad(file, &error.to_string()))?;
        if text.len() as u64 != plain.size || sha256_hex(&text) != plain.sha256 {
            return Err(self.bad(plain, "its size or SHA-256 is not what the signed Release says"));
        }
        String::from_utf8(text).map_err(|_| self.bad(plain, "it is not UTF-8"))
    }

    fn fetch_file(&self, client: &Client, file: &IndexFile) -> Result<Vec<u8>, SuiteError> {
        let fetch = |path: &str| client.fetch(&format!("dists/{}/{path}", self.name), file.size);
        let bytes = match fetch(&file.by_hash_path()) {
            // Not every copy of a repository has the files by their hashes.
            Err(error) if error.is_absence() => fetch(&file.path)?,
            fetched => fetched?,
        };
        if bytes.len() as u64 != file.size || sha256_hex(&bytes) != file.sha256 {
            return Err(self.bad(file, "its size or SHA-256 is not what the signed Release says"));
        }
        Ok(bytes)
    }

    fn bad(&self, file: &IndexFile, problem: &str) -> SuiteError {
        SuiteError::IndexFile { suite: self.name.clone(), path: file.path.clone(), problem: problem.to_owned() }
    }
}

/// What is kept saves a download, and nothing more.
fn tell_of(kept: Result<(), DurableError>) {
    if let Err(error) = kept {
        tracing::warn!("the index will be fetched anew the next time: {error}");
    }
}

fn unpack(bytes: &[u8], path: &str, size: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more than promised, so that too much is noticed.
    unpacked(path, bytes)?.take(size.saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}
