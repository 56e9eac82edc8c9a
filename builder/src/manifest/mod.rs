//! `debfleet.toml`: the manifest of a package.
//!
//! The text becomes checked values here, without a look at any other file; [`gather`](Manifest::gather) then
//! finds the files that it names.

mod architectures;
mod bump_table;
mod error;
mod files;
mod gather;
mod gather_services;
mod maintainer_scripts;
mod package;
mod placeholders;
mod raw;
mod relations;
mod systemd;
mod values;

pub use architectures::{ArchitectureError, Architectures};
pub use bump_table::{BumpFile, VERSION_MARK};
pub use error::{ManifestError, ManifestProblem};
pub use package::Package;
pub(crate) use values::check_maintainer;

use debian_formats::changelog::Entry;
use debian_formats::deb::Compression;
use files::FileRule;
use fleet_protocol::update_policy::UpdatePolicy;
use maintainer_scripts::Scripts;
use std::path::{Path, PathBuf};
use systemd::Systemd;

/// The manifest's file name.
pub const FILE_NAME: &str = "debfleet.toml";

/// A checked manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    file: PathBuf,
    package: Package,
    files: Vec<FileRule>,
    scripts: Scripts,
    systemd: Systemd,
    update: Option<UpdatePolicy>,
    bump: Vec<BumpFile>,
    compression: Option<Compression>,
    /// At the head of the changelog, for a version that the source does not name.
    snapshot: Option<Entry>,
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

    /// The same with another version, of which the changelog holds this entry.
    #[must_use]
    pub fn with_snapshot(mut self, version: semver::Version, entry: Entry) -> Self {
        self.package = self.package.with_version(version, entry.version.clone());
        self.snapshot = Some(entry);
        self
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

    /// How `[build]` wants the members compressed.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        self.compression
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
    bump_table::parse_alone(&text).map_err(|found| ManifestError::new(file, found.line_in(&text), found.problem))
}

#[cfg(test)]
mod tests;
