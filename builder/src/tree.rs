//! The other form of a source: a tree with a `DEBIAN/` folder, as for `dpkg-deb --build`.
//!
//! `DEBIAN/` becomes control.tar, the rest is the payload. Nothing is added but md5sums and Installed-Size.
//! `DEBIAN/debfleet.toml` may hold a `[bump]` table for `debfleet bump`; it is not packed.

use crate::entries::{Content, Entries, Entry, EntryError, EntryKind, Owner};
use crate::gathered::Gathered;
use crate::manifest::ManifestError;
use crate::scripts::{self, ScriptError};
use crate::walk::{self, Found, WalkError};
use debian_formats::Version;
use debian_formats::control::{Control, ControlError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file beside DEBIAN/control that is for `debfleet bump`.
pub const BUMP_FILE: &str = "debfleet.toml";

/// A tree whose control file was read.
#[derive(Debug)]
pub struct Tree {
    folder: PathBuf,
    control: Control,
}

/// A tree that cannot be built from.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// DEBIAN/control is not what Policy 5.3 asks for.
    #[error("{path}: {source}; correct it")]
    Control {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ControlError,
    },
    /// A folder or link where DEBIAN/ must hold a file.
    #[error("{path} is not a regular file; DEBIAN/ holds only files: move it elsewhere")]
    NotAFile {
        /// The entry.
        path: PathBuf,
    },
    /// A conffile that the package does not hold.
    #[error("{path}: {line:?} names no file of this tree; write one absolute path of a packed file on each line")]
    Conffile {
        /// DEBIAN/conffiles.
        path: PathBuf,
        /// The line.
        line: String,
    },
    /// Files or folders that cannot be read or packed.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// Two entries that cannot stand together.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A maintainer script that dpkg could not run.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The `[bump]` table in DEBIAN/debfleet.toml.
    #[error(transparent)]
    Bump(#[from] ManifestError),
}

impl Tree {
    /// Reads the control file.
    pub fn open(folder: &Path) -> Result<Self, TreeError> {
        let path = folder.join("DEBIAN").join("control");
        let text = std::fs::read_to_string(&path).map_err(WalkError::io(&path))?;
        let control = text.parse().map_err(|source| TreeError::Control { path, source })?;
        Ok(Self { folder: folder.to_owned(), control })
    }

    /// The same with another version.
    pub fn with_version(self, version: &Version) -> Result<Self, TreeError> {
        let mut stanza = self.control.stanza().clone();
        stanza.set("Version", version.as_str());
        let path = self.folder.join("DEBIAN").join("control");
        let control = Control::from_stanza(stanza).map_err(|source| TreeError::Control { path, source })?;
        Ok(Self { control, ..self })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// DEBIAN/control.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Finds all files that belong to the package.
    pub fn gather(&self) -> Result<Gathered, TreeError> {
        let debian = self.folder.join("DEBIAN");
        let checkout = Checkout::of(walk::look(&debian, String::new())?.mode);
        let mut newest = 0;
        let mut control_files = BTreeMap::new();
        let (mut conffiles, mut read) = (Vec::new(), Vec::new());
        for found in walk::below(&debian, "")? {
            let EntryKind::File(_) = found.kind else { return Err(TreeError::NotAFile { path: found.path }) };
            newest = newest.max(found.mtime);
            read.push(found.path.clone());
            match found.relative.as_str() {
                // The first three are written anew, the last is not for the device.
                "control" | "md5sums" | "conffiles" | BUMP_FILE => {}
                name if scripts::NAMES.contains(&name) => {
                    control_files.insert(found.relative, scripts::read(&found.path)?);
                }
                _ => {
                    let bytes = std::fs::read(&found.path).map_err(WalkError::io(&found.path))?;
                    control_files.insert(found.relative, bytes);
                }
            }
        }
        let mut entries = Entries::default();
        for found in walk::below(&self.folder, "DEBIAN")? {
            if let EntryKind::File(Content::File { .. }) = found.kind {
                newest = newest.max(found.mtime);
            }
            let mode = checkout.mode_of(&found);
            entries.add(&found.relative, Entry { kind: found.kind, mode, owner: Owner::root() })?;
        }
        let list = debian.join("conffiles");
        if list.exists() {
            let text = std::fs::read_to_string(&list).map_err(WalkError::io(&list))?;
            conffiles = read_conffiles(&text, &entries)
                .map_err(|line| TreeError::Conffile { path: list, line: line.to_owned() })?;
        }
        let stanza = self.control.stanza().clone();
        Ok(Gathered {
            stanza,
            entries,
            control_files,
            conffiles,
            documents: None,
            newest,
            read,
            installed: Vec::new(),
            folders: vec![self.folder.clone()],
        })
    }
}

/// The lines of DEBIAN/conffiles, or the first that is wrong.
fn read_conffiles<'a>(text: &'a str, entries: &Entries) -> Result<Vec<String>, &'a str> {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let check = |line: &'a str| {
        // A file that dpkg should remove on upgrade must not be in the package (deb-conffiles(5)).
        if let Some(gone) = line.strip_prefix("remove-on-upgrade ") {
            let gone = gone.strip_prefix('/').filter(|path| entries.get(path).is_none());
            return gone.map(|_| line.to_owned()).ok_or(line);
        }
        let packed = line.strip_prefix('/').filter(|path| entries.is_file(path));
        packed.map(|_| line.to_owned()).ok_or(line)
    };
    lines.map(check).collect()
}

/// What the place of the checkout did to every permission. `DEBIAN/` itself is never packed, so its mode shows it:
/// what the umask took away, and the setgid bit that a shared folder hands down.
struct Checkout {
    taken_away: u32,
    inherited: u32,
}

impl Checkout {
    fn of(mode_of_debian: u32) -> Self {
        Self { taken_away: !mode_of_debian & 0o055, inherited: mode_of_debian & 0o2000 }
    }

    /// Permissions as in the tree, but nobody except the owner may write, and without the marks of the checkout.
    fn mode_of(&self, found: &Found) -> u32 {
        let owner = found.mode & 0o500;
        let restored = (owner >> 3 | owner >> 6) & self.taken_away;
        match found.kind {
            EntryKind::Symlink(_) => 0o777,
            EntryKind::Directory => (found.mode & !0o022 & !self.inherited) | restored,
            EntryKind::File(_) => (found.mode & !0o022) | restored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(debian: u32, kind: EntryKind, mode: u32) -> u32 {
        let found = Found { relative: String::new(), path: PathBuf::new(), kind, mode, mtime: 0 };
        Checkout::of(debian).mode_of(&found)
    }

    #[test]
    fn the_umask_of_a_checkout_leaves_no_mark() {
        let file = || EntryKind::File(Content::Bytes(vec![]));
        for (debian, found) in [(0o755, 0o755), (0o775, 0o775), (0o700, 0o700), (0o750, 0o750)] {
            assert_eq!(mode(debian, file(), found), 0o755, "{debian:o}");
        }
        assert_eq!(mode(0o700, file(), 0o600), 0o644);
        assert_eq!(mode(0o2775, EntryKind::Directory, 0o2775), 0o755);
    }

    #[test]
    fn deliberate_permissions_are_kept() {
        let file = || EntryKind::File(Content::Bytes(vec![]));
        assert_eq!(mode(0o755, file(), 0o600), 0o600);
        assert_eq!(mode(0o755, file(), 0o4755), 0o4755);
        assert_eq!(mode(0o755, EntryKind::Directory, 0o2775), 0o2755);
    }
}
