//! One published state of a suite.

use super::index::{IndexFiles, Parts};
use debian_formats::release::{IndexFile, SignedRelease};
use jiff::Timestamp;

/// The signed texts of one state of a suite, and the index files that they vouch for. It comes from a
/// [`SignedRelease`], or from the database, where only such were put.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    number: i64,
    date: Timestamp,
    valid_until: Timestamp,
    release: String,
    inrelease: String,
    release_gpg: String,
    parts: Parts,
    files: IndexFiles,
}

/// A generation's columns in the database.
pub(super) struct GenerationRow {
    pub(super) number: i64,
    pub(super) date: Timestamp,
    pub(super) valid_until: Timestamp,
    pub(super) release: String,
    pub(super) inrelease: String,
    pub(super) release_gpg: String,
}

impl Generation {
    pub(super) fn signed(number: i64, signed: &SignedRelease, parts: Parts, files: IndexFiles) -> Self {
        let release = signed.release();
        Self {
            number,
            date: release.date,
            // Without one it would count as expired at once, and be signed anew.
            valid_until: release.valid_until.unwrap_or(release.date),
            release: signed.text().to_owned(),
            inrelease: signed.inrelease().to_owned(),
            release_gpg: signed.detached().to_owned(),
            parts,
            files,
        }
    }

    /// One of the database. Index files that its Release does not vouch for are not served.
    pub(super) fn stored(row: GenerationRow, listed: &[IndexFile], parts: Parts, files: IndexFiles) -> Self {
        let GenerationRow { number, date, valid_until, release, inrelease, release_gpg } = row;
        let files = if files.listed == listed { files } else { IndexFiles::default() };
        Self { number, date, valid_until, release, inrelease, release_gpg, parts, files }
    }

    pub(super) fn number(&self) -> i64 {
        self.number
    }

    pub(super) fn date(&self) -> Timestamp {
        self.date
    }

    pub(super) fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn files(&self) -> &IndexFiles {
        &self.files
    }

    /// Whether its index files are at hand: there is no Release without any.
    pub(super) fn is_complete(&self) -> bool {
        !self.files.listed.is_empty()
    }

    pub(super) fn inrelease(&self) -> &str {
        &self.inrelease
    }

    /// The three signed forms and the names they are served under.
    pub(super) fn signed_files(&self) -> [(&'static str, &str); 3] {
        [("Release", &self.release), ("InRelease", &self.inrelease), ("Release.gpg", &self.release_gpg)]
    }
}
