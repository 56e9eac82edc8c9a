use crate::manifest::ManifestError;
use durable_files::DurableError;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// A project that was not made. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StarterError {
    /// The file cannot be read.
    #[error("could not read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Nobody writes such a file by hand.
    #[error("{path} is larger than {limit} bytes, so it is not read; name the project's own file")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// Not what its name says, or a value of another type.
    #[error("{path}{line}: {what}", line = .line.map(|line| format!(":{line}")).unwrap_or_default())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, where there is one.
        line: Option<usize>,
        /// What is wrong, and what to do.
        what: String,
    },
    /// None of the known kinds.
    #[error(
        "{0} is none of Cargo.toml, package.json, pyproject.toml and an nfpm configuration (YAML with `name` and \
         `arch`); name one of these"
    )]
    Unknown(PathBuf),
    /// A folder without any of them.
    #[error(
        "{0} holds no Cargo.toml, package.json, pyproject.toml or nfpm.yaml to begin from; give a name that is no \
         folder yet, as in `debfleet new hi`, or the file with --from"
    )]
    Nothing(PathBuf),
    /// A folder with more than one of them.
    #[error("{folder} holds several files to begin from; choose one:{choices}", choices = choices(.found))]
    Several {
        /// The folder.
        folder: PathBuf,
        /// The files.
        found: Vec<PathBuf>,
    },
    /// A name that Policy forbids.
    #[error("{problem}{}", nearest_words(.nearest))]
    Name {
        /// Which name, and the rule.
        problem: String,
        /// A name near it that is right.
        nearest: Option<String>,
    },
    /// Nobody to ask about the package.
    #[error(
        "no maintainer is known: {0}; give one with --maintainer \"Name <mail@example.org>\", or set git's user.name \
         and user.email, or DEBFULLNAME and DEBEMAIL"
    )]
    NoMaintainer(String),
    /// Somebody named a maintainer in another form.
    #[error("the maintainer {0:?} is not of the form \"Name <mail@example.org>\"; write it so")]
    Maintainer(String),
    /// The manifest that would come of it is refused.
    #[error("what {from} says makes a manifest that no build would take: {cause}; correct {from}")]
    Refused {
        /// The file that was read.
        from: String,
        /// The refusal.
        cause: Box<ManifestError>,
    },
    /// A file would be overwritten.
    #[error("{0} is there already, and no file is ever overwritten; move it away, or choose another folder")]
    Exists(PathBuf),
    /// Writing failed.
    #[error("{0}")]
    Write(#[from] DurableError),
}

impl StarterError {
    pub(super) fn syntax(path: &std::path::Path, line: Option<usize>, what: impl Into<String>) -> Self {
        Self::Syntax { path: path.to_owned(), line, what: what.into() }
    }

    /// A parser's words, in one line.
    pub(super) fn toml(path: &std::path::Path, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
        Self::syntax(path, line, format!("{}; correct it", error.message().replace('\n', "; ")))
    }
}

fn nearest_words(name: &Option<String>) -> String {
    name.as_ref().map(|name| format!("; the nearest right name is `{name}`")).unwrap_or_default()
}

fn choices(found: &[PathBuf]) -> String {
    found.iter().fold(String::new(), |mut text, path| {
        let _ = write!(text, "\n  debfleet new --from {}", path.display());
        text
    })
}
