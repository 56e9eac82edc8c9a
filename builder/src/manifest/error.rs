use crate::confine::ConfineError;
use crate::entries::EntryError;
use crate::nearest::nearest;
use crate::pattern::PatternError;
use crate::shared_libraries::SharedLibraryError;
use debian_formats::control::ControlError;
use debian_formats::names::NameError;
use debian_formats::version::VersionError;
use fleet_protocol::update_policy::PolicyError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A manifest that cannot be built from: where, and why.
#[derive(Debug)]
pub struct ManifestError {
    /// The manifest.
    pub file: PathBuf,
    /// The line in it, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: ManifestProblem,
}

/// What may be wrong in a manifest, or with the files it names.
#[derive(Debug, thiserror::Error)]
pub enum ManifestProblem {
    /// The manifest itself cannot be read.
    #[error("could not read the manifest: {source}")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A mandatory key is absent.
    #[error("the key `{0}` is missing; add it")]
    MissingKey(String),
    /// A key that nobody knows.
    #[error("unknown key `{key}`; {}", .nearest.as_ref().map_or_else(|| format!("known here: {known}"), |near| format!("did you mean `{near}`?")))]
    UnknownKey {
        /// As written.
        key: String,
        /// A known one that looks like it.
        nearest: Option<String>,
        /// All known ones.
        known: String,
    },
    /// A value that its key does not allow.
    #[error("{key} = {value:?}: {rule}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, cut if long.
        value: String,
        /// What it must be.
        rule: String,
    },
    /// A package name or architecture.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The version in Debian's form.
    #[error("{0}")]
    Version(#[from] VersionError),
    /// The control file that would come of it.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// `[update]` says something that cannot be obeyed.
    #[error("[update]: {0}")]
    Update(#[from] PolicyError),
    /// A path that leaves the folder or leads nowhere.
    #[error("{what}: {source}")]
    Path {
        /// Which key.
        what: &'static str,
        /// Why.
        source: ConfineError,
    },
    /// A pattern that cannot be read.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// A pattern that nothing fits.
    #[error("source = {pattern:?} matches nothing in {folder}; build what it should find first, or correct it")]
    NothingMatches {
        /// As written, placeholders filled in.
        pattern: String,
        /// The manifest's folder.
        folder: PathBuf,
    },
    /// The changelog's newest entry tells of another package or version.
    #[error("{path}: {problem}")]
    Changelog {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A source that is no file or folder where one is needed.
    #[error("{what}: {path} is {found}; {next}")]
    Kind {
        /// Which key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// A maintainer script that dpkg could not run.
    #[error("{0}")]
    Script(#[from] crate::scripts::ScriptError),
    /// The packages of `${auto}` were not found.
    #[error("{0}")]
    SharedLibraries(#[from] SharedLibraryError),
    /// A unit file that systemd would not take, or a key that does not fit it.
    #[error("{path}: {cause}")]
    Unit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: crate::systemd::UnitError,
    },
    /// A line of a file for systemd-sysusers or systemd-tmpfiles.
    #[error("{path}:{line}: {cause}")]
    Conf {
        /// The file.
        path: PathBuf,
        /// The line in it.
        line: usize,
        /// What is wrong.
        cause: crate::systemd::ConfError,
    },
    /// Two entries that cannot stand together.
    #[error("{0}")]
    Entry(#[from] EntryError),
    /// A folder that cannot be walked.
    #[error("{0}")]
    Walk(#[from] crate::walk::WalkError),
}

impl ManifestError {
    pub(super) fn new(file: &Path, line: Option<usize>, problem: ManifestProblem) -> Self {
        Self { file: file.to_owned(), line, problem }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

// No `source`: the problem stands in the message already.
impl std::error::Error for ManifestError {}

/// A problem and where it begins in the text.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) offset: Option<usize>,
    pub(super) problem: ManifestProblem,
}

impl Found {
    pub(super) fn at(offset: usize) -> impl Fn(ManifestProblem) -> Self {
        move |problem| Self { offset: Some(offset), problem }
    }

    pub(super) fn line_in(&self, text: &str) -> Option<usize> {
        self.offset.map(|offset| line_of(text, offset))
    }
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Turns serde's words into ours, which say what to do.
pub(super) fn from_toml(error: &toml::de::Error) -> Found {
    let message = error.message();
    let quoted = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let problem = if let Some(rest) = message.strip_prefix("unknown field ") {
        let key = quoted(rest).unwrap_or_default();
        let known: Vec<&str> = rest.split('`').skip(3).step_by(2).collect();
        let nearest = nearest(&key, &known).map(str::to_owned);
        ManifestProblem::UnknownKey { key, nearest, known: known.join(", ") }
    } else if let Some(key) = message.strip_prefix("missing field ").and_then(quoted) {
        ManifestProblem::MissingKey(key)
    } else {
        ManifestProblem::Syntax(message.replace('\n', "; "))
    };
    Found { offset: error.span().map(|span| span.start), problem }
}
