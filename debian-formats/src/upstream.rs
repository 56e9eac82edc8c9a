//! Somebody else's archive: its Release, which says less and more than one of ours does, and its packages.

use crate::control::{Stanza, StanzaError};
use crate::date::parse_release_date;
use crate::names::{Architecture, ComponentName, NameError, PackageName};
use crate::openpgp::{ArchiveKeyring, Fingerprint};
use crate::packed::ENDINGS;
use crate::release::{IndexFile, ReleaseError, parse_file_line};
use crate::version::{Version, VersionError};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

/// A Release whose signature by a trusted key was checked. Only verifying makes one.
#[derive(Debug, Clone)]
pub struct UpstreamRelease {
    signers: Vec<Fingerprint>,
    components: Vec<String>,
    architectures: Vec<String>,
    by_hash: bool,
    /// Whether every architecture's index has the packages of `all`, too.
    repeats_all: bool,
    files: BTreeMap<String, IndexFile>,
}

impl UpstreamRelease {
    /// Checks an InRelease: its signature, that it is of this suite, and that it has not expired.
    pub fn from_inrelease(
        inrelease: &str,
        trusted: &ArchiveKeyring,
        suite: &str,
        now: Timestamp,
    ) -> Result<Self, ReleaseError> {
        let verified = trusted.verify_cleartext(inrelease, now)?;
        Self::read(&verified.text, verified.signers, suite, now)
    }

    /// The same for a Release whose signature is a file of its own.
    pub fn from_release(
        release: &str,
        signature: &[u8],
        trusted: &ArchiveKeyring,
        suite: &str,
        now: Timestamp,
    ) -> Result<Self, ReleaseError> {
        let signers = trusted.verify_detached(signature, release.as_bytes(), now)?;
        Self::read(release, signers, suite, now)
    }

    fn read(text: &str, signers: Vec<Fingerprint>, suite: &str, now: Timestamp) -> Result<Self, ReleaseError> {
        let stanza = Stanza::parse_all(text)?.into_iter().next().unwrap_or_default();
        let field = |name: &'static str| stanza.get(name).ok_or(ReleaseError::Missing(name));
        let names: Vec<&str> = ["Suite", "Codename"].iter().filter_map(|name| stanza.get(name)).collect();
        if names.is_empty() {
            return Err(ReleaseError::Missing("Suite"));
        }
        // The same key signs all suites of an archive: another one's Release must not pass for this one's.
        if !names.contains(&suite) {
            let found = names.join(", ");
            return Err(ReleaseError::OtherUpstream { wanted: suite.to_owned(), found });
        }
        let valid_until = stanza.get("Valid-Until").map(parse_release_date).transpose()?;
        if let Some(valid_until) = valid_until.filter(|valid_until| *valid_until < now) {
            return Err(ReleaseError::Expired { valid_until, now });
        }
        let words = |name| stanza.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let lines = field("SHA256")?.lines().filter(|line| !line.trim().is_empty());
        let files = lines.map(parse_file_line).map(|file| file.map(|file| (file.path.clone(), file)));
        Ok(Self {
            signers,
            components: words("Components"),
            architectures: words("Architectures"),
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            repeats_all: stanza.get("No-Support-for-Architecture-all").is_some_and(|what| what.contains("Packages")),
            files: files.collect::<Result<_, _>>()?,
        })
    }

    /// Who signed it, of those that are trusted.
    #[must_use]
    pub fn signers(&self) -> &[Fingerprint] {
        &self.signers
    }

    /// Such as `main`.
    #[must_use]
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// As it names them.
    #[must_use]
    pub fn architectures(&self) -> &[String] {
        &self.architectures
    }

    /// The Packages of a component and architecture, in the best compression that it is offered in.
    #[must_use]
    pub fn packages(&self, component: &str, architecture: &str) -> Option<Packages<'_>> {
        let plain = format!("{component}/binary-{architecture}/Packages");
        let packed = ENDINGS.iter().find_map(|ending| self.files.get(&format!("{plain}{ending}")));
        let plain = self.files.get(&plain);
        let file = packed.or(plain)?;
        let path = if self.by_hash { file.by_hash_path() } else { file.path.clone() };
        Some(Packages { file, path, plain_size: plain.map(|plain| plain.size) })
    }

    /// Whether packages of `all` stand only in an index of their own, as apt sees it.
    #[must_use]
    pub fn parts_all(&self) -> bool {
        !self.repeats_all && self.architectures.iter().any(|architecture| architecture == "all")
    }
}

/// Where an index of packages is.
#[derive(Debug, Clone)]
pub struct Packages<'a> {
    /// What the Release vouches for.
    pub file: &'a IndexFile,
    /// Where it is fetched, relative to the suite's folder.
    pub path: String,
    /// Unpacked, if the Release says it.
    pub plain_size: Option<u64>,
}

/// A package as an index of somebody else's archive names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamPackage {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture.
    pub architecture: Architecture,
    /// The component of the index.
    pub component: ComponentName,
    /// Where its file is, relative to the archive's root; never absolute, never with `..`.
    pub filename: String,
    /// The file's length in bytes.
    pub size: u64,
    /// Of the file, lower-case hex.
    pub sha256: String,
    /// Such as `required`; empty if it says none.
    pub priority: String,
    /// Pre-Depends and Depends as they stand there, each if there is one.
    pub depends: Vec<String>,
    /// Provides, if there is one.
    pub provides: Option<String>,
}

/// A stanza that names no package that could be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamProblem {
    /// A field is absent, or no value of its kind.
    #[error("its field {0} is missing or wrong")]
    Field(&'static str),
    /// A name that Policy forbids.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A version that Policy forbids.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl UpstreamPackage {
    /// Reads a stanza of an index of this component.
    pub fn from_stanza(stanza: &Stanza, component: &ComponentName) -> Result<Self, UpstreamProblem> {
        let field = |name| stanza.get(name).ok_or(UpstreamProblem::Field(name));
        let filename = field("Filename")?;
        let filename = filename.strip_prefix("./").unwrap_or(filename);
        let leaves = |part: &str| part.is_empty() || part == "." || part == "..";
        if filename.split('/').any(leaves) || filename.contains(char::is_control) {
            return Err(UpstreamProblem::Field("Filename"));
        }
        let sha256 = field("SHA256")?.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(UpstreamProblem::Field("SHA256"));
        }
        Ok(Self {
            name: field("Package")?.parse()?,
            version: field("Version")?.parse()?,
            architecture: field("Architecture")?.parse()?,
            component: component.clone(),
            filename: filename.to_owned(),
            size: field("Size")?.parse().map_err(|_| UpstreamProblem::Field("Size"))?,
            sha256,
            priority: stanza.get("Priority").unwrap_or_default().to_owned(),
            depends: ["Pre-Depends", "Depends"].iter().filter_map(|name| stanza.get(name)).map(str::to_owned).collect(),
            provides: stanza.get("Provides").map(str::to_owned),
        })
    }
}

/// An index that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StanzasError {
    /// It cannot be unpacked, or is no UTF-8.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A stanza without end.
    #[error("a stanza is longer than {0} bytes")]
    TooLong(u64),
    /// The text is not made of stanzas.
    #[error("stanza {number}, {cause}")]
    Syntax {
        /// Counted from one.
        number: u64,
        /// What is wrong with it.
        cause: StanzaError,
    },
}

/// The stanzas of a text, read one by one, so that a text of any length takes little memory.
pub struct Stanzas<R> {
    reader: R,
    limit: u64,
    number: u64,
}

impl<R: BufRead> Stanzas<R> {
    /// Of this text; no stanza may have more than `limit` bytes.
    pub fn new(reader: R, limit: u64) -> Self {
        Self { reader, limit, number: 0 }
    }

    fn read(&mut self) -> Result<Option<Stanza>, StanzasError> {
        let mut text = String::new();
        loop {
            let begin = text.len();
            let left = (self.limit + 1).saturating_sub(begin as u64);
            let got = self.reader.by_ref().take(left).read_line(&mut text)?;
            if text.len() as u64 > self.limit {
                return Err(StanzasError::TooLong(self.limit));
            }
            let is_blank = text[begin..].trim_matches([' ', '\t', '\r', '\n']).is_empty();
            if got > 0 && !is_blank {
                continue;
            }
            text.truncate(begin);
            if !text.is_empty() {
                self.number += 1;
                let number = self.number;
                let stanzas = Stanza::parse_all(&text).map_err(|cause| StanzasError::Syntax { number, cause })?;
                if let Some(stanza) = stanzas.into_iter().next() {
                    return Ok(Some(stanza));
                }
                // It was all comment.
                text.clear();
            }
            if got == 0 {
                return Ok(None);
            }
        }
    }
}

impl<R: BufRead> Iterator for Stanzas<R> {
    type Item = Result<Stanza, StanzasError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(extra: &str) -> Stanza {
        let text = format!(
            "Package: hi\nVersion: 1:1-1\nArchitecture: all\nSize: 3\nSHA256: {}\nFilename: pool/hi.deb\n",
            "AB".repeat(32)
        );
        let mut stanza = Stanza::parse_all(&text).unwrap().remove(0);
        let (name, value) = extra.split_once(": ").unwrap();
        stanza.set(name, value);
        stanza
    }

    fn read(extra: &str) -> Result<UpstreamPackage, UpstreamProblem> {
        UpstreamPackage::from_stanza(&stanza(extra), &ComponentName::main())
    }

    #[test]
    fn a_package_says_where_its_file_is() {
        let package = read("Priority: optional").unwrap();
        assert_eq!((package.name.as_str(), package.size, package.filename.as_str()), ("hi", 3, "pool/hi.deb"));
        assert_eq!(package.sha256, "ab".repeat(32));
        assert_eq!(read("Filename: ./pool/hi_1%3a1_all.deb").unwrap().filename, "pool/hi_1%3a1_all.deb");
    }

    #[test]
    fn a_file_stays_within_the_archive() {
        for path in ["../../etc/passwd", "/etc/passwd", "pool/../../x", "http://evil.example/x", "", ".", "pool//x"] {
            assert_eq!(read(&format!("Filename: {path}")), Err(UpstreamProblem::Field("Filename")), "{path:?}");
        }
        for field in ["SHA256: 12", "Size: -1", "Size: much", "Package: Hi", "Version: ", "Architecture: a b"] {
            assert!(read(field).is_err(), "{field}");
        }
    }

    #[test]
    fn stanzas_are_read_one_by_one() {
        let text = "\n\nA: 1\n 2\n\n \t\n# only this\n\nB: 3\nC: 4";
        let stanzas: Vec<Stanza> = Stanzas::new(text.as_bytes(), 64).collect::<Result<_, _>>().unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!((stanzas[0].get("A"), stanzas[1].get("C")), (Some("1\n2"), Some("4")));
        let long = format!("A: 1\n\nB: {}", "x".repeat(100));
        let ends: Vec<bool> = Stanzas::new(long.as_bytes(), 64).take(2).map(|stanza| stanza.is_ok()).collect();
        assert_eq!(ends, [true, false]);
        let error = Stanzas::new(&b"A: 1\n\nnonsense\n"[..], 64).nth(1).unwrap().unwrap_err().to_string();
        assert!(error.contains("stanza 2"), "{error}");
        assert!(Stanzas::new(&b"A: \xff\n"[..], 64).next().unwrap().is_err());
    }
}
