//! The two forms of a source folder.

use crate::gathered::Gathered;
use crate::manifest::{self, ArchitectureError, Architectures, Manifest, ManifestError};
use crate::policies::{self, PolicyFileError};
use crate::tree::{Tree, TreeError};
use debian_formats::Architecture;
use debian_formats::deb::Compression;
use std::path::{Path, PathBuf};

/// A folder to build from.
#[derive(Debug)]
pub enum Source {
    /// With a `debfleet.toml`.
    Manifest(Box<Manifest>),
    /// With a `DEBIAN/`, as for `dpkg-deb --build`.
    Tree(Tree),
}

/// A folder that cannot be built from.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No folder.
    #[error("there is no folder {0}; name the folder that holds the debfleet.toml")]
    Missing(PathBuf),
    /// Neither form.
    #[error("{0} holds neither a debfleet.toml nor a DEBIAN/control; write one of them, or name another folder")]
    Neither(PathBuf),
    /// Both forms.
    #[error("{0} holds both a debfleet.toml and a DEBIAN/control, so it is unclear which counts; remove one of them")]
    Both(PathBuf),
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The tree is wrong.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A packed update policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
}

impl Source {
    /// Looks which form a folder has, and reads it.
    pub fn open(folder: &Path) -> Result<Self, SourceError> {
        if !folder.is_dir() {
            return Err(SourceError::Missing(folder.to_owned()));
        }
        let manifest = folder.join(manifest::FILE_NAME);
        let has_manifest = manifest.symlink_metadata().is_ok();
        let has_tree = folder.join("DEBIAN").join("control").symlink_metadata().is_ok();
        match (has_manifest, has_tree) {
            (true, true) => Err(SourceError::Both(folder.to_owned())),
            (true, false) => Ok(Self::Manifest(Box::new(Manifest::load(&manifest)?))),
            (false, true) => Ok(Self::Tree(Tree::open(folder)?)),
            (false, false) => Err(SourceError::Neither(folder.to_owned())),
        }
    }

    /// How the source wants to be compressed.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        match self {
            Self::Manifest(manifest) => manifest.compression(),
            Self::Tree(_) => None,
        }
    }

    /// The architectures to build for: those asked for, or all that the source is for.
    pub fn architectures(&self, asked: &[Architecture]) -> Result<Vec<Architecture>, ArchitectureError> {
        match self {
            Self::Manifest(manifest) => manifest.package().architectures().choose(asked),
            Self::Tree(tree) => Architectures::Listed(vec![tree.control().architecture().clone()]).choose(asked),
        }
    }

    /// Finds all files that belong to the package for an architecture, which must be one of
    /// [`Self::architectures`].
    pub fn gather(&self, architecture: &Architecture) -> Result<Gathered, SourceError> {
        let gathered = match self {
            Self::Manifest(manifest) => manifest.gather(architecture)?,
            Self::Tree(tree) => tree.gather()?,
        };
        policies::check(&gathered)?;
        Ok(gathered)
    }
}
