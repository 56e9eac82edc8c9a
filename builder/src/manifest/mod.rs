//! `debfleet.toml`: the manifest of a package.
//!
//! The text becomes checked values here, without a look at any other file; [`gather`](Manifest::gather) then
//! finds the files that it names.

mod error;
mod gather;
mod package;
mod raw;
mod relations;
mod values;

pub use error::{ManifestError, ManifestProblem};
pub use package::Package;

use crate::entries::Owner;
use fleet_protocol::update_policy::UpdatePolicy;
use std::path::{Path, PathBuf};

/// The manifest's file name.
pub const FILE_NAME: &str = "debfleet.toml";

/// Where the version stands in a `[bump]` pattern.
pub const VERSION_MARK: &str = "{version}";

/// A checked manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    file: PathBuf,
    package: Package,
    files: Vec<FileRule>,
    scripts: Vec<ScriptRule>,
    update: Option<UpdatePolicy>,
    bump: Vec<BumpFile>,
}

/// One `[[files]]`.
#[derive(Debug, Clone)]
struct FileRule {
    line: usize,
    source: String,
    /// Relative to the root; empty is the root itself.
    destination: String,
    /// The destination ended with `/`: a file keeps its own name below it.
    into_folder: bool,
    mode: Option<u32>,
    owner: Owner,
    conffile: bool,
}

/// One of `[scripts]`.
#[derive(Debug, Clone)]
struct ScriptRule {
    line: usize,
    name: &'static str,
    source: String,
}

/// A file that carries the version, from `[bump]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BumpFile {
    /// Relative to the folder.
    pub path: String,
    /// Holds `{version}` where the version stands.
    pub pattern: String,
}

impl Manifest {
    /// Reads a manifest.
    pub fn load(file: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ManifestError::new(file, None, ManifestProblem::Read { source }))?;
        Self::parse(&text, file)
    }

    /// Checks a manifest's text; `file` names it in errors, and its folder is where its paths begin.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        raw::parse(text)
            .and_then(|raw| raw::check(raw, file, text))
            .map_err(|found| ManifestError::new(file, found.line_in(text), found.problem))
    }

    /// The manifest's own file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder where its paths begin.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// `[package]`
    #[must_use]
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// `[bump]`
    #[must_use]
    pub fn bump_files(&self) -> &[BumpFile] {
        &self.bump
    }
}

/// Reads the one table that a `DEBIAN/` tree may say in `DEBIAN/debfleet.toml`.
pub(crate) fn load_bump_table(file: &Path) -> Result<Vec<BumpFile>, ManifestError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ManifestError::new(file, None, ManifestProblem::Read { source }))?;
    raw::parse_bump_only(&text).map_err(|found| ManifestError::new(file, found.line_in(&text), found.problem))
}

#[cfg(test)]
mod tests;
