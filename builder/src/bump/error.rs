use super::order::OrderError;
use super::snapshot::SnapshotError;
use super::step::StepError;
use crate::confine::ConfineError;
use crate::git::GitError;
use crate::manifest::ManifestError;
use crate::source::SourceError;
use debian_formats::changelog::ChangelogError;
use debian_formats::names::NameError;
use debian_formats::version::VersionError;
use durable_files::DurableError;
use std::io;
use std::path::PathBuf;

/// A version that was not bumped. Nothing was written, unless the error itself says so.
#[derive(Debug, thiserror::Error)]
pub enum BumpError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A tree whose version people did not write as semver.
    #[error("{path}: the version {version} is not three numbers such as 1.4.0; bump to a whole version instead", path = .path.display())]
    NotSemver {
        /// DEBIAN/control.
        path: PathBuf,
        /// As written.
        version: String,
    },
    /// A step that leads nowhere.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A version that is not above the present one.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// No version for a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A version that Debian's form cannot hold.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The manifest cannot be edited.
    #[error("{path}: could not find the line of the version to edit; write `version = \"…\"` below [package]", path = .path.display())]
    NoVersionLine {
        /// debfleet.toml or DEBIAN/control.
        path: PathBuf,
    },
    /// A file of `[bump]`, or the changelog.
    #[error("{key}: {cause}")]
    Path {
        /// `[bump]` or `changelog`.
        key: &'static str,
        /// What is wrong.
        cause: ConfineError,
    },
    /// A file cannot be read.
    #[error("could not read {path}: {cause}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file in which no version can be changed.
    #[error("{path} is not a text file of at most 16 MiB, so no version can be changed in it; name another file", path = .path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// A file that somebody protected.
    #[error("{path} is read-only, so no file was changed; make it writable by `chmod u+w`", path = .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what its pattern says.
    #[error("{path} does not hold {wanted:?}, so no file was changed; correct the file or its pattern in [bump]", path = .path.display())]
    PatternMissing {
        /// The file.
        path: PathBuf,
        /// The pattern with the old version in it.
        wanted: String,
    },
    /// The changelog is none.
    #[error("{path}: {cause}; correct it", path = .path.display())]
    Changelog {
        /// The changelog.
        path: PathBuf,
        /// What is wrong.
        cause: ChangelogError,
    },
    /// The changelog is another package's.
    #[error("{path}: its newest entry is of the package {found}, not of {package}; name another file in `changelog`", path = .path.display())]
    OtherPackage {
        /// The changelog.
        path: PathBuf,
        /// In the changelog.
        found: String,
        /// In the source.
        package: String,
    },
    /// The source package's name.
    #[error("source: {0}")]
    Name(#[from] NameError),
    /// The changelog is ahead.
    #[error("{path}: its newest entry is of {newest}, which is not below {new}; remove that entry or bump further", path = .path.display())]
    AlreadyInChangelog {
        /// The changelog.
        path: PathBuf,
        /// In the changelog.
        newest: String,
        /// The version asked for.
        new: String,
    },
    /// The history cannot be read or written.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Changes that the commit would take along.
    #[error("other changes would be committed with the new version: {}; commit or undo them first", .0.join(", "))]
    Uncommitted(Vec<String>),
    /// A tag of that name.
    #[error("the tag {0} is there already; bump to a version above it, or remove the tag by `git tag --delete {0}`")]
    TagExists(String),
    /// The tag failed after the commit.
    #[error("the new version is written and committed, but not tagged: {cause}; run `git tag --annotate {tag}`")]
    NotTagged {
        /// Its name.
        tag: String,
        /// Why.
        cause: GitError,
    },
    /// Writing failed; files written before were put back.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// Writing failed, and so did putting back.
    #[error("{path} could not be put back and holds the new version: {cause}; run `git checkout` on it", path = .path.display())]
    NotPutBack {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: DurableError,
    },
}

impl From<ManifestError> for BumpError {
    fn from(error: ManifestError) -> Self {
        Self::Source(error.into())
    }
}
