//! Release files: what a suite holds, signed (Debian wiki, DebianRepository/Format).
//!
//! A server's [`Release`] becomes public only as a [`SignedRelease`]; a device looks only into a
//! [`VerifiedRelease`].

use crate::control::{Stanza, StanzaError};
use crate::date::{DateError, format_release_date, parse_release_date};
use crate::names::{Architecture, NameError, SuiteName};
use crate::openpgp::{Keyring, OpenPgpError, SigningKeys};
use jiff::Timestamp;

/// An index file that a Release vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Relative to the suite's folder, such as `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl IndexFile {
    /// Where it is found by its content: `main/binary-amd64/by-hash/SHA256/<hex>`.
    #[must_use]
    pub fn by_hash_path(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        format!("{folder}by-hash/SHA256/{}", self.sha256)
    }
}

/// The content of a Release file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Who publishes: a word for apt's pinning.
    pub origin: String,
    /// `Suite` and `Codename`.
    pub suite: SuiteName,
    /// When it was made.
    pub date: Timestamp,
    /// When to stop trusting it.
    pub valid_until: Option<Timestamp>,
    /// Sorted.
    pub architectures: Vec<Architecture>,
    /// Such as `main`.
    pub components: Vec<String>,
    /// The indexes.
    pub files: Vec<IndexFile>,
}

/// A Release that cannot be trusted or read.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The signature is missing, wrong, or a stranger's.
    #[error("InRelease: {0}")]
    Signature(#[from] OpenPgpError),
    /// The text is not made of fields.
    #[error("Release, {0}")]
    Syntax(#[from] StanzaError),
    /// A field is absent.
    #[error("Release: the field {0} is missing")]
    Missing(&'static str),
    /// A name that is not valid.
    #[error("Release: {0}")]
    Name(#[from] NameError),
    /// A date that cannot be read.
    #[error("Release: {0}")]
    Date(#[from] DateError),
    /// A line of the file list that cannot be read.
    #[error("Release: {0:?} is not a line `hash size path`")]
    FileLine(String),
    /// A signed Release of another suite.
    #[error("the server sent the Release of suite {found} when {wanted} was asked for")]
    OtherSuite {
        /// Asked for.
        wanted: SuiteName,
        /// Got.
        found: SuiteName,
    },
    /// A signed Release of another suite of somebody else's archive.
    #[error("it is the Release of {found}, and {wanted} was asked for; give one of the names that it says")]
    OtherUpstream {
        /// Asked for.
        wanted: String,
        /// Its Suite and Codename.
        found: String,
    },
    /// Valid-Until has passed.
    #[error(
        "the Release expired at {valid_until} (now: {now}); the server must publish a fresh one, or the clock here is wrong"
    )]
    Expired {
        /// Its Valid-Until.
        valid_until: Timestamp,
        /// The time it was compared with.
        now: Timestamp,
    },
    /// Older than one that was seen before: somebody plays back an old state.
    #[error(
        "the Release of {date} is older than the one of {newest_seen} that was accepted before; an old state is being played back"
    )]
    RolledBack {
        /// Its Date.
        date: Timestamp,
        /// The newest Date accepted for this suite.
        newest_seen: Timestamp,
    },
}

/// The three signed forms of a Release. Only [`Release::sign`] makes one.
#[derive(Debug, Clone)]
pub struct SignedRelease {
    release: Release,
    text: String,
    inrelease: String,
    detached: String,
}

impl Release {
    /// The text of the Release file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut stanza = Stanza::new();
        stanza.set("Origin", &self.origin);
        stanza.set("Label", &self.origin);
        stanza.set("Suite", self.suite.as_str());
        stanza.set("Codename", self.suite.as_str());
        stanza.set("Date", &format_release_date(self.date));
        if let Some(valid_until) = self.valid_until {
            stanza.set("Valid-Until", &format_release_date(valid_until));
        }
        stanza.set("Acquire-By-Hash", "yes");
        let architectures: Vec<&str> = self.architectures.iter().map(Architecture::as_str).collect();
        stanza.set("Architectures", &architectures.join(" "));
        stanza.set("Components", &self.components.join(" "));
        let files: Vec<String> =
            self.files.iter().map(|file| format!("\n{} {} {}", file.sha256, file.size, file.path)).collect();
        stanza.set("SHA256", &files.concat());
        stanza.to_string()
    }

    /// Signs it in all three forms with each of the keys, at this time: sqv refuses a signature from the future, and a
    /// Date may be a little ahead.
    pub fn sign(self, keys: &SigningKeys, now: Timestamp) -> Result<SignedRelease, OpenPgpError> {
        let text = self.to_text();
        let inrelease = keys.sign_cleartext(&text, now)?;
        let detached = keys.sign_detached_armored(text.as_bytes(), now)?;
        Ok(SignedRelease { release: self, text, inrelease, detached })
    }

    fn parse(text: &str) -> Result<Self, ReleaseError> {
        let stanza = Stanza::parse_all(text)?.into_iter().next().unwrap_or_default();
        let field = |name: &'static str| stanza.get(name).ok_or(ReleaseError::Missing(name));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let files = field("SHA256")?.lines().filter(|line| !line.trim().is_empty()).map(parse_file_line);
        Ok(Self {
            origin: stanza.get("Origin").unwrap_or_default().to_owned(),
            suite: field("Suite")?.parse()?,
            date: parse_release_date(field("Date")?)?,
            valid_until: stanza.get("Valid-Until").map(parse_release_date).transpose()?,
            architectures: words(field("Architectures")?).iter().map(|a| a.parse()).collect::<Result<_, _>>()?,
            components: words(field("Components")?),
            files: files.collect::<Result<_, _>>()?,
        })
    }
}

pub(crate) fn parse_file_line(line: &str) -> Result<IndexFile, ReleaseError> {
    let mut words = line.split_whitespace();
    let (hash, size, path, end) = (words.next(), words.next(), words.next(), words.next());
    let parsed = || {
        let sha256 = hash.filter(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))?.to_ascii_lowercase();
        let path = path.filter(|p| !p.starts_with('/') && !p.split('/').any(|part| part == ".."))?.to_owned();
        end.is_none().then_some(IndexFile { path, size: size?.parse().ok()?, sha256 })
    };
    parsed().ok_or_else(|| ReleaseError::FileLine(line.chars().take(120).collect()))
}

impl SignedRelease {
    /// What was signed.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The file `Release`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file `InRelease`.
    #[must_use]
    pub fn inrelease(&self) -> &str {
        &self.inrelease
    }

    /// The file `Release.gpg`.
    #[must_use]
    pub fn detached(&self) -> &str {
        &self.detached
    }
}

/// A Release whose signature by a trusted key was checked. Only [`VerifiedRelease::verify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedRelease {
    release: Release,
}

impl VerifiedRelease {
    /// Checks an InRelease's signature and that it is the suite that was asked for.
    pub fn verify(inrelease: &str, trusted: &Keyring, suite: &SuiteName) -> Result<Self, ReleaseError> {
        let verified = trusted.verify_cleartext(inrelease)?;
        let release = Release::parse(&verified.text)?;
        if release.suite != *suite {
            return Err(ReleaseError::OtherSuite { wanted: suite.clone(), found: release.suite });
        }
        Ok(Self { release })
    }

    /// Demands that it has not expired and is not older than `newest_seen`, the Date last accepted for this suite.
    /// A device's clock may be behind, so `newest_seen` is the lower bound of now. A Release without Valid-Until
    /// could be played back for ever, so it is refused.
    pub fn check_fresh(&self, clock: Timestamp, newest_seen: Option<Timestamp>) -> Result<(), ReleaseError> {
        let now = newest_seen.map_or(clock, |seen| clock.max(seen));
        let date = self.release.date;
        if let Some(newest_seen) = newest_seen.filter(|seen| date < *seen) {
            return Err(ReleaseError::RolledBack { date, newest_seen });
        }
        let valid_until = self.release.valid_until.ok_or(ReleaseError::Missing("Valid-Until"))?;
        if valid_until < now {
            return Err(ReleaseError::Expired { valid_until, now });
        }
        Ok(())
    }

    /// What it says.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The index at this path, if the Release vouches for it.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&IndexFile> {
        self.release.files.iter().find(|file| file.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::SigningKey;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn release() -> Release {
        Release {
            origin: "debfleet".into(),
            suite: "stable".parse().unwrap(),
            date: time(0),
            valid_until: Some(time(100)),
            architectures: vec!["amd64".parse().unwrap()],
            components: vec!["main".into()],
            files: vec![IndexFile { path: "main/binary-amd64/Packages".into(), size: 7, sha256: "ab".repeat(32) }],
        }
    }

    fn key() -> SigningKeys {
        SigningKey::generate("test <t@example.org>", time(-1000)).unwrap().into()
    }

    fn verified(key: &SigningKeys) -> VerifiedRelease {
        let signed = release().sign(key, time(0)).unwrap();
        VerifiedRelease::verify(signed.inrelease(), &key.public_keyring(), &"stable".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_signed_release_reads_back_the_same() {
        assert_eq!(*verified(&key()).release(), release());
    }

    #[test]
    fn a_strangers_and_another_suites_release_are_refused() {
        let key = key();
        let signed = release().sign(&key, time(0)).unwrap();
        let check =
            |ring: &Keyring, suite: &str| VerifiedRelease::verify(signed.inrelease(), ring, &suite.parse().unwrap());
        let stranger = SigningKey::generate("other <o@example.org>", time(-1000)).unwrap().public_keyring();
        assert!(matches!(check(&stranger, "stable"), Err(ReleaseError::Signature(_))));
        assert!(matches!(check(&key.public_keyring(), "beta"), Err(ReleaseError::OtherSuite { .. })));
    }

    #[test]
    fn expired_and_played_back_releases_are_refused() {
        let release = verified(&key());
        assert!(release.check_fresh(time(50), None).is_ok());
        assert!(release.check_fresh(time(50), Some(time(0))).is_ok());
        assert!(matches!(release.check_fresh(time(101), None), Err(ReleaseError::Expired { .. })));
        assert!(matches!(release.check_fresh(time(50), Some(time(1))), Err(ReleaseError::RolledBack { .. })));
    }

    #[test]
    fn a_clock_that_is_behind_is_moved_up_by_what_was_seen() {
        let mut late = release();
        late.valid_until = Some(time(-1));
        let key = key();
        let signed = late.sign(&key, time(0)).unwrap();
        let late =
            VerifiedRelease::verify(signed.inrelease(), &key.public_keyring(), &"stable".parse().unwrap()).unwrap();
        assert!(matches!(late.check_fresh(time(-900), Some(time(0))), Err(ReleaseError::Expired { .. })));
    }
}
