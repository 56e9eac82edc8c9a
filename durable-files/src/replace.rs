//! Atomic replacement of a file.

use crate::error::DurableError;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// Writes a whole file with this mode, durably; readers see the old content or the new.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), DurableError> {
    let mut replacement = Replacement::new(path)?;
    replacement.write_all(content).map_err(DurableError::io("write", path))?;
    replacement.commit(mode)
}

/// A file in the making, beside the place where it will stand. Dropped without [`Replacement::commit`] it is gone.
pub struct Replacement {
    target: PathBuf,
    file: NamedTempFile,
}

impl Replacement {
    /// Begins a file that will stand at `target`. Until then nobody else can read it.
    pub fn new(target: &Path) -> Result<Self, DurableError> {
        let file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder_of(target))
            .map_err(DurableError::io("create a file beside", target))?;
        Ok(Self { target: target.to_owned(), file })
    }

    /// Where the unfinished file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Makes it stand at another place of the same file system, when the name becomes known only after writing.
    #[must_use]
    pub fn with_target(mut self, target: &Path) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Closes the file, so that thousands can wait to be placed.
    #[must_use]
    pub fn close(self) -> Unplaced {
        Unplaced { target: self.target, path: self.file.into_temp_path() }
    }

    /// Flushes it to the disk and puts it in place.
    pub fn commit(self, mode: u32) -> Result<(), DurableError> {
        let Self { target, file } = self;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))
            .and_then(|()| file.as_file().sync_all())
            .map_err(DurableError::io("write", &target))?;
        file.persist(&target).map_err(|error| DurableError::io("put in place", &target)(error.error))?;
        sync_dir(folder_of(&target))
    }
}

impl Replacement {
    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Renames within one file system, durably.
#[expect(clippy::disallowed_methods, reason = "this is the durable form of it")]
pub fn rename(from: &Path, to: &Path) -> Result<(), DurableError> {
    std::fs::rename(from, to).map_err(DurableError::io("move a file to", to))?;
    sync_dir(folder_of(to))?;
    if folder_of(from) == folder_of(to) { Ok(()) } else { sync_dir(folder_of(from)) }
}

/// Removes a file durably; that it is absent already is no error.
pub fn remove(path: &Path) -> Result<(), DurableError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DurableError::io("remove", path)(error)),
        Ok(()) => sync_dir(folder_of(path)),
    }
}

/// Creates a folder and those above it, durably; folders that are there keep their mode.
pub fn create_dir(path: &Path, mode: u32) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = folder_of(path);
    create_dir(parent, mode)?;
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(DurableError::io("create", path)(error)),
        _ => sync_dir(parent),
    }
}

/// A [`Replacement`] that is closed. Dropped without [`Unplaced::place`] it is gone.
pub struct Unplaced {
    target: PathBuf,
    path: TempPath,
}

impl Unplaced {
    /// Where the unfinished file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it stand at another place of the same file system.
    #[must_use]
    pub fn with_target(mut self, target: &Path) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Flushes it to the disk and puts it in place.
    pub fn commit(self, mode: u32) -> Result<(), DurableError> {
        let target = self.target.clone();
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(DurableError::io("flush", &target))?;
        self.place(mode)?;
        sync_dir(folder_of(&target))
    }

    /// Puts it in place without flushing it: whoever places many files flushes them together with [`sync_files_of`],
    /// and until then a power cut may leave any of them torn.
    pub fn place(self, mode: u32) -> Result<(), DurableError> {
        let Self { target, path } = self;
        let set = std::fs::set_permissions(&path, Permissions::from_mode(mode));
        set.map_err(DurableError::io("write", &target))?;
        path.persist(&target).map_err(|error| DurableError::io("put in place", &target)(error.error))
    }
}

/// Flushes everything on the file system that holds a folder, files and folders.
pub fn sync_files_of(folder: &Path) -> Result<(), DurableError> {
    let opened = File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    opened.map_err(DurableError::io("flush the file system of", folder))
}

/// Flushes a folder's entries to the disk.
pub fn sync_dir(path: &Path) -> Result<(), DurableError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(DurableError::io("flush the folder", path))
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one", 0o644).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_unfinished_replacement_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one", 0o644).unwrap();
        let mut unfinished = Replacement::new(&path).unwrap();
        unfinished.write_all(b"half").unwrap();
        drop(unfinished);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_path_that_was_asked_for() {
        let error = replace(Path::new("/nowhere/at/all"), b"", 0o644).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
