//! Everything below a folder, as it would be packed: links stay links, devices and sockets are refused.

use crate::entries::{Content, EntryKind};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Something below a folder that cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The system refused to look.
    #[error("could not read {path}: {source}")]
    Io {
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that no package can hold.
    #[error("{path:?} is not named in UTF-8; rename it")]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A device, socket or pipe.
    #[error("{path} is neither file, folder nor symbolic link; a package holds only these (Policy 10.6): remove it")]
    Kind {
        /// The file.
        path: PathBuf,
    },
}

impl WalkError {
    /// Names the path that the system refused.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// One thing found on disk.
#[derive(Debug)]
pub struct Found {
    /// Below the folder, with `/` between.
    pub relative: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// What stands at one path; a link is not followed.
pub fn look(path: &Path, relative: String) -> Result<Found, WalkError> {
    let metadata = path.symlink_metadata().map_err(WalkError::io(path))?;
    found(path, relative, &metadata)
}

fn found(path: &Path, relative: String, metadata: &Metadata) -> Result<Found, WalkError> {
    let kind = if metadata.is_file() {
        EntryKind::File(Content::File { path: path.to_owned(), size: metadata.len() })
    } else if metadata.is_dir() {
        EntryKind::Directory
    } else if metadata.is_symlink() {
        let target = std::fs::read_link(path).map_err(WalkError::io(path))?;
        EntryKind::Symlink(text(&target, path)?)
    } else {
        return Err(WalkError::Kind { path: path.to_owned() });
    };
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(Found { relative, path: path.to_owned(), kind, mode, mtime: metadata.mtime() })
}

fn text(name: &Path, path: &Path) -> Result<String, WalkError> {
    name.to_str().map(str::to_owned).ok_or_else(|| WalkError::Name { path: path.to_owned() })
}

/// All things below a folder but itself, sorted, except what `skip` says at the top.
pub fn below(folder: &Path, skip: &str) -> Result<Vec<Found>, WalkError> {
    let mut all = Vec::new();
    let walk = WalkDir::new(folder)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() != 1 || entry.file_name() != skip);
    for entry in walk {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            let source = error.into_io_error().unwrap_or_else(|| io::Error::other("the folder contains itself"));
            WalkError::Io { path, source }
        })?;
        let path = entry.path();
        let relative = text(path.strip_prefix(folder).unwrap_or(path), path)?;
        let metadata = path.symlink_metadata().map_err(WalkError::io(path))?;
        all.push(found(path, relative, &metadata)?);
    }
    Ok(all)
}
